//! Reading a published log, wherever it lies: a directory, a copy in memory, a connection.

use std::io;

use crate::hash::{Digest, TreeHash};
use crate::inputs::{InputsError, expand};
use crate::merkle::{NodeReader, root_of};
use crate::published::Published;
use crate::record::{Object, Opening, Payload, Record, RecordError};
use crate::tile::{TILE_WIDTH, TilePath, index_path, split_bundle};
use crate::untrusted::{self, Unfit};
use crate::vfs::{DirFs, Listed, Vfs};

/// Where the files of a log are read from. Paths are those of the log's directory: `checkpoint`, `tile/…`,
/// `objects/…`, `openings/…`.
pub trait Source {
    /// A file, or nothing when it is not there.
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;

    /// Files that are read next. A source that is far away gets them at once and says that it did; the others are read one by
    /// one.
    fn expect(&self, paths: &[String]) -> bool {
        let _ = paths;
        false
    }

    /// Names in a directory, or nothing when this source cannot list; then files that the log does not name go
    /// unnoticed, and verification says so.
    fn list(&self, dir: &str) -> io::Result<Option<Vec<Listed>>> {
        let _ = dir;
        Ok(None)
    }
}

fn absent(result: io::Result<Vec<u8>>) -> io::Result<Option<Vec<u8>>> {
    match result {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// A log that somebody handed over: what is no regular file of a size that the format allows is an [`Unfit`] inside the
/// error.
impl Source for DirFs {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        absent(untrusted::read(self.root(), path, Published::most_bytes(path)))
    }

    fn list(&self, dir: &str) -> io::Result<Option<Vec<Listed>>> {
        untrusted::list(self.root(), dir).map(Some)
    }
}

impl Source for dyn Vfs {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        absent(Vfs::read(self, path))
    }

    fn list(&self, dir: &str) -> io::Result<Option<Vec<Listed>>> {
        Vfs::list(self, dir).map(Some)
    }
}

/// A file of a log that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// The file is not there.
    #[error("{0} is missing")]
    Missing(String),
    /// What is there is no file of a log.
    #[error(transparent)]
    Unfit(Unfit),
    /// The file's content is not what the log needs.
    #[error("{path}, byte {byte}: {what}")]
    Damaged {
        /// The file.
        path: String,
        /// Offset in the file.
        byte: usize,
        /// What was wanted and found.
        what: String,
    },
    /// An entry is not a record.
    #[error("record {index}: {error}")]
    Record {
        /// Its index.
        index: u64,
        /// Why.
        error: RecordError,
    },
}

impl From<InputsError> for ReadError {
    fn from(error: InputsError) -> Self {
        Self::Damaged { path: object_path(&error.digest), byte: 0, what: error.to_string() }
    }
}

impl ReadError {
    pub(crate) fn io(path: &str, error: io::Error) -> Self {
        match error.downcast::<Unfit>() {
            Ok(unfit) => Self::Unfit(unfit),
            Err(error) => Self::Io { path: path.to_owned(), error },
        }
    }
}

/// A file of a log, or nothing when it is not there.
///
/// # Errors
/// It cannot be read, or is larger than the format allows, wherever it came from.
pub fn read<S: Source + ?Sized>(source: &S, path: &str) -> Result<Option<Vec<u8>>, ReadError> {
    let most = Published::most_bytes(path);
    match source.read(path) {
        Ok(Some(bytes)) if bytes.len() as u64 > most => {
            Err(ReadError::Unfit(Unfit::too_large(path, most, Some(bytes.len() as u64))))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(ReadError::io(path, error)),
    }
}

/// The file at a tile path; where only the full tile is there, that one. Gives the path that was read.
fn read_tile<S: Source + ?Sized>(source: &S, path: TilePath) -> Result<(String, Vec<u8>), ReadError> {
    let name = path.to_string();
    if let Some(bytes) = read(source, &name)? {
        return Ok((name, bytes));
    }
    let full = path.full().to_string();
    if full != name
        && let Some(bytes) = read(source, &full)?
    {
        return Ok((full, bytes));
    }
    Err(ReadError::Missing(name))
}

/// Number of entries of bundle `index` in a log of `size` entries.
pub(crate) fn bundle_width(index: u64, size: u64) -> u16 {
    let left = size.saturating_sub(index.saturating_mul(TILE_WIDTH)).min(TILE_WIDTH);
    u16::try_from(left).unwrap_or(256)
}

/// The entries of bundle `index` in a log of `size` entries. Not checked against the tree.
pub fn read_bundle<S: Source + ?Sized>(source: &S, index: u64, size: u64) -> Result<Vec<Vec<u8>>, ReadError> {
    let width = bundle_width(index, size);
    if width == 0 {
        return Ok(Vec::new());
    }
    let (path, bytes) = read_tile(source, TilePath::Entries { index, width })?;
    let entries = split_bundle(&bytes).map_err(|byte| ReadError::Damaged {
        path: path.clone(),
        byte,
        what: "an entry runs over the end of the file".into(),
    })?;
    let is_partial = path.contains(".p/");
    if entries.len() < usize::from(width) || (is_partial && entries.len() != usize::from(width)) {
        let what = format!("wanted {width} entries, found {}", entries.len());
        return Err(ReadError::Damaged { path, byte: bytes.len(), what });
    }
    Ok(entries.into_iter().take(usize::from(width)).map(<[u8]>::to_vec).collect())
}

/// Bundles that are asked for ahead: some ten MiB of records as a rule.
const AHEAD: u64 = 32;

/// Tells a source that bundle `index` and those behind it are read next, where they are the first of so many.
pub(crate) fn expect_bundles<S: Source + ?Sized>(source: &S, first: u64, index: u64, size: u64, tiles: bool) {
    if !(index - first).is_multiple_of(AHEAD) {
        return;
    }
    let mut paths = Vec::new();
    for index in index..size.div_ceil(TILE_WIDTH).min(index + AHEAD) {
        let width = bundle_width(index, size);
        paths.push(TilePath::Entries { index, width }.to_string());
        paths.extend(tiles.then(|| TilePath::Hashes { level: 0, index, width }.to_string()));
    }
    source.expect(&paths);
}

/// Calls `visit` with each record from index `from` to below `size`, in order. Not checked against the tree: that is
/// what opening and verifying a log do.
pub fn read_records<S: Source + ?Sized>(
    source: &S,
    from: u64,
    size: u64,
    visit: &mut dyn FnMut(u64, &Record),
) -> Result<(), ReadError> {
    for bundle in from / TILE_WIDTH..size.div_ceil(TILE_WIDTH) {
        expect_bundles(source, from / TILE_WIDTH, bundle, size, false);
        let first = bundle * TILE_WIDTH;
        for (index, entry) in (first..).zip(read_bundle(source, bundle, size)?) {
            if index >= from {
                let record = Record::parse(&entry).map_err(|error| ReadError::Record { index, error })?;
                visit(index, &record);
            }
        }
    }
    Ok(())
}

/// One record. Not checked against the tree.
pub fn read_record<S: Source + ?Sized>(
    source: &S,
    index: u64,
    size: u64,
) -> Result<Option<Record>, ReadError> {
    let entries = read_bundle(source, index / TILE_WIDTH, size)?;
    let slot = usize::try_from(index % TILE_WIDTH).unwrap_or(usize::MAX);
    let record = entries.get(slot).map(|entry| Record::parse(entry));
    record.transpose().map_err(|error| ReadError::Record { index, error })
}

/// The path of an object.
pub fn object_path(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("objects/{}/{hex}", &hex[..2])
}

/// A stored object; its bytes are checked against its digest.
pub fn read_object<S: Source + ?Sized>(source: &S, digest: &Digest) -> Result<Option<Object>, ReadError> {
    let path = object_path(digest);
    let Some(bytes) = read(source, &path)? else { return Ok(None) };
    let object = Object::new(bytes);
    if object.digest() == *digest {
        return Ok(Some(object));
    }
    let what = format!("wanted an object with this digest, found {}", object.digest());
    Err(ReadError::Damaged { path, byte: 0, what })
}

/// All inputs of a decision whose record names these: a list that stands in their place is read.
pub fn read_inputs<S: Source + ?Sized>(source: &S, named: &[Digest]) -> Result<Vec<Digest>, ReadError> {
    expand(named, |digest| {
        let object = read_object(source, digest)?.ok_or_else(|| ReadError::Missing(object_path(digest)))?;
        Ok(object.bytes().to_vec())
    })
}

/// Every stored object that a record rests on: what it cites, and what a list that it cites names.
pub fn cited<S: Source + ?Sized>(source: &S, record: &Record) -> Result<Vec<Digest>, ReadError> {
    let mut cited = record.cites.clone();
    if let Payload::Decision(decision) = &record.payload {
        cited.extend(read_inputs(source, &decision.snapshot)?);
    }
    Ok(cited)
}

/// The path of the openings of bundle `bundle`: one file for 256 records.
pub fn openings_path(bundle: u64) -> String {
    format!("openings/{}", index_path(bundle))
}

/// The openings of personal values of the records in bundle `bundle`, those that were not erased.
pub fn read_openings<S: Source + ?Sized>(source: &S, bundle: u64) -> Result<Vec<Opening>, ReadError> {
    let path = openings_path(bundle);
    let Some(bytes) = read(source, &path)? else { return Ok(Vec::new()) };
    let mut openings = Vec::new();
    let mut byte = 0;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let damaged = |what: String| ReadError::Damaged { path: path.clone(), byte, what };
        let json = line.strip_suffix(b"\n").ok_or_else(|| damaged("the last line has no end".into()))?;
        let opening: Opening = serde_json::from_slice(json).map_err(|e| damaged(e.to_string()))?;
        // One spelling, or a changed byte could go unnoticed.
        if serde_json::to_vec(&opening).ok().as_deref() != Some(json)
            || opening.salt != opening.salt.to_lowercase()
        {
            return Err(damaged("not as the log writes an opening".into()));
        }
        openings.push(opening);
        byte += line.len();
    }
    Ok(openings)
}

pub(crate) fn write_openings(openings: &[Opening]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for opening in openings {
        serde_json::to_writer(&mut bytes, opening)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// The tree of a published log, read from its tiles: proofs over it are made with [`crate::merkle`]. A proof from
/// damaged tiles does not check, so the reader need not be trusted.
#[derive(Debug)]
pub struct TileTree<'a, S: ?Sized> {
    source: &'a S,
    size: u64,
}

impl<'a, S: Source + ?Sized> TileTree<'a, S> {
    /// The tree of the first `size` leaves, for a `size` with a published checkpoint.
    pub fn new(source: &'a S, size: u64) -> Self {
        Self { source, size }
    }
}

impl<S: Source + ?Sized> NodeReader for TileTree<'_, S> {
    type Error = ReadError;

    fn node(&self, height: u8, index: u64) -> Result<TreeHash, ReadError> {
        let (level, above) = (height / 8, height % 8);
        let first = index.checked_shl(u32::from(above)).unwrap_or(u64::MAX);
        let count = 1usize << above;
        let tile = first / TILE_WIDTH;
        let at_level = self.size.checked_shr(u32::from(level) * 8).unwrap_or(0);
        let width = bundle_width(tile, at_level);
        let path = TilePath::Hashes { level, index: tile, width: width.max(1) };
        let (path, bytes) = read_tile(self.source, path)?;
        let start = usize::try_from(first % TILE_WIDTH).unwrap_or(0) * 32;
        let Some(bytes) = bytes.get(start..start + count * 32) else {
            let what = format!("wanted {count} hashes here, the file has {} bytes", bytes.len());
            return Err(ReadError::Damaged { path, byte: start, what });
        };
        let (hashes, _) = bytes.as_chunks::<32>();
        Ok(root_of(&hashes.iter().map(|h| TreeHash(*h)).collect::<Vec<_>>()))
    }
}
