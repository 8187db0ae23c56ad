//! The published files of a log: their names, and copying them.
//!
//! A server gives out only what [`Published::parse`] accepts, which no path can leave the directory with; openings are
//! a kind of their own, so that who may read names can be decided apart from who may read the log.

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use crate::hash::Digest;
use crate::head::Head;
use crate::note::{Checkpoint, MAX_NOTE, Note};
use crate::record::Record;
use crate::source::{
    ReadError, Source, bundle_width, cited as cited_by, object_path, openings_path, read, read_bundle,
};
use crate::tile::{MAX_ENTRY, TILE_WIDTH, TilePath, parse_index_path};

/// Bytes of a stored object, at most. The log writes none that is larger; by its usual settings it stops at half.
pub const MAX_OBJECT: u64 = 8 << 20;
/// Bytes that the values of people in one record take as openings, at most. The log takes no record with more.
pub const MAX_OPENED: u64 = 128 << 10;
/// Bytes of any published file, at most: openings are the largest.
pub const MAX_FILE: u64 = TILE_WIDTH * MAX_OPENED;
/// Missing files after which a copy is given up: more than people look at one by one, and a checkpoint can claim any.
const MAX_MISSING: usize = 1000;

/// A published file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// `checkpoint`.
    Checkpoint,
    /// `tile/…`.
    Tile(TilePath),
    /// `objects/<aa>/<hex>`.
    Object(Digest),
    /// `openings/…` of this bundle: names and other values of people.
    Openings(u64),
}

impl Published {
    /// Reads a path as it stands below the log's directory; nothing for any other path. One spelling each.
    pub fn parse(path: &str) -> Option<Self> {
        let file = match path.split_once('/') {
            None if path == "checkpoint" => Self::Checkpoint,
            Some(("tile", _)) => Self::Tile(path.parse().ok()?),
            Some(("objects", rest)) => {
                let (_, hex) = rest.split_once('/')?;
                Self::Object(format!("sha256:{hex}").parse().ok()?)
            }
            Some(("openings", rest)) => Self::Openings(parse_index_path(rest)?),
            _ => return None,
        };
        (file.to_string() == path).then_some(file)
    }

    /// Bytes that such a file has at most, by the format.
    pub fn max_bytes(self) -> u64 {
        match self {
            Self::Checkpoint => MAX_NOTE as u64,
            Self::Tile(TilePath::Hashes { width, .. }) => u64::from(width) * 32,
            // Each entry has its length in two bytes before it.
            Self::Tile(TilePath::Entries { width, .. }) => u64::from(width) * (MAX_ENTRY as u64 + 2),
            Self::Object(_) => MAX_OBJECT,
            Self::Openings(_) => MAX_FILE,
        }
    }

    /// Bytes that the file at a path has at most: for a path that no published file has, those of the largest.
    pub(crate) fn most_bytes(path: &str) -> u64 {
        Self::parse(path).map_or(MAX_FILE, Self::max_bytes)
    }

    /// Whether the file may have other bytes later: only the checkpoint and openings. All others may be cached.
    pub fn is_mutable(self) -> bool {
        matches!(self, Self::Checkpoint | Self::Openings(_))
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::Tile(tile) => write!(f, "{tile}"),
            Self::Object(digest) => f.write_str(&object_path(digest)),
            Self::Openings(bundle) => f.write_str(&openings_path(*bundle)),
        }
    }
}

/// The tiles and bundles of a log of `size` entries, lowest level first. One after the other: a checkpoint may claim any
/// size.
pub fn tiles(size: u64) -> impl Iterator<Item = TilePath> {
    let bundles = (0..size.div_ceil(TILE_WIDTH))
        .map(move |index| TilePath::Entries { index, width: bundle_width(index, size) });
    let levels = std::iter::successors(Some(size), |at_level| Some(at_level / TILE_WIDTH));
    let hashes = (0u8..).zip(levels.take_while(|at_level| *at_level > 0)).flat_map(|(level, at_level)| {
        (0..at_level.div_ceil(TILE_WIDTH)).map(move |index| TilePath::Hashes {
            level,
            index,
            width: bundle_width(index, at_level),
        })
    });
    bundles.chain(hashes)
}

/// What a copy was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// What the checkpoint says.
    pub head: Head,
    /// Files, the checkpoint included.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
    /// Files that the log leads to and the source does not have.
    pub missing: Vec<String>,
}

/// Copies a log, also while it is written: the checkpoint first, then all that it covers, and the objects that its
/// records cite; openings on request. `put` gets each path and its bytes, the checkpoint last. Nothing is verified:
/// verify the copy.
///
/// # Errors
/// What `put` says; a file that cannot be read; a log of which a thousand tiles are missing.
pub fn copy<S: Source + ?Sized>(
    source: &S,
    openings: bool,
    put: &mut dyn FnMut(&str, &[u8]) -> io::Result<()>,
) -> Result<Copied, ReadError> {
    let note = read(source, "checkpoint")?.ok_or_else(|| ReadError::Missing("checkpoint".into()))?;
    let checkpoint = Note::parse(&note).and_then(|n| Checkpoint::parse(n.text())).map_err(|error| {
        ReadError::Damaged { path: "checkpoint".into(), byte: 0, what: error.to_string() }
    })?;
    let head = Head { size: checkpoint.size, root: checkpoint.root, ..Head::empty(&checkpoint.origin) };
    let mut copied = Copied { head, files: 0, bytes: 0, missing: Vec::new() };
    let mut keep = |copied: &mut Copied, path: &str, bytes: &[u8]| {
        copied.files += 1;
        copied.bytes += bytes.len() as u64;
        put(path, bytes).map_err(|error| ReadError::Io { path: path.to_owned(), error })
    };
    for tile in tiles(checkpoint.size) {
        // The log may have gone on: then the full tile is there instead.
        let mut found = None;
        for path in BTreeSet::from([tile.full().to_string(), tile.to_string()]).into_iter().rev() {
            if let Some(bytes) = read(source, &path)? {
                found = Some((path, bytes));
                break;
            }
        }
        match found {
            Some((path, bytes)) => keep(&mut copied, &path, &bytes)?,
            None if copied.missing.len() == MAX_MISSING => return Err(ReadError::Missing(tile.to_string())),
            None => copied.missing.push(tile.to_string()),
        }
    }
    let mut cited = BTreeSet::new();
    for bundle in 0..checkpoint.size.div_ceil(TILE_WIDTH) {
        // What is damaged is copied as it is and found by verification.
        for entry in read_bundle(source, bundle, checkpoint.size).unwrap_or_default() {
            if let Ok(record) = Record::parse(&entry) {
                cited.extend(cited_by(source, &record).unwrap_or_else(|_| record.cites.clone()));
            }
        }
        if openings && let Some(bytes) = read(source, &openings_path(bundle))? {
            keep(&mut copied, &openings_path(bundle), &bytes)?;
        }
    }
    for digest in cited {
        let path = object_path(&digest);
        match read(source, &path)? {
            Some(bytes) => keep(&mut copied, &path, &bytes)?,
            None => copied.missing.push(path),
        }
    }
    keep(&mut copied, "checkpoint", &note)?;
    Ok(copied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_published_files_have_a_name() {
        let object = object_path(&Digest::of(b"x"));
        for path in ["checkpoint", "tile/0/000", "tile/entries/x001/000.p/7", "openings/x001/234", &object] {
            assert_eq!(Published::parse(path).map(|p| p.to_string()).as_deref(), Some(path));
        }
        let misplaced = object.replacen(&object[8..10], "zz", 1);
        for path in [
            "",
            "/checkpoint",
            "checkpoint/",
            "wal/00000001.seg",
            "lock",
            "old/1/checkpoint",
            "tile/../checkpoint",
            "objects/../../secret",
            "openings/../checkpoint",
            "openings/1",
            "tile/0/000/../../../etc/passwd",
            &misplaced,
        ] {
            assert_eq!(Published::parse(path), None, "{path}");
        }
    }

    #[test]
    fn tiles_of_a_log_are_all_of_them() {
        let names = |size| tiles(size).map(|tile| tile.to_string()).collect::<Vec<_>>();
        assert!(names(0).is_empty());
        assert_eq!(names(1), ["tile/entries/000.p/1", "tile/0/000.p/1"]);
        assert_eq!(
            names(257),
            ["tile/entries/000", "tile/entries/001.p/1", "tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]
        );
        // What a checkpoint claims costs nothing before it is read.
        assert_eq!(tiles(u64::MAX).nth(1).unwrap().to_string(), "tile/entries/001");
    }

    #[test]
    fn every_file_has_a_bound() {
        let object = object_path(&Digest::of(b"x"));
        for (path, most) in [
            ("checkpoint", 1 << 20),
            ("tile/0/000", 8192),
            ("tile/0/000.p/3", 96),
            ("tile/entries/000", 256 * 65_537),
            ("tile/entries/000.p/2", 2 * 65_537),
            ("openings/000", 32 << 20),
            (&object, 8 << 20),
        ] {
            assert_eq!(Published::parse(path).unwrap().max_bytes(), most, "{path}");
            assert!(most <= MAX_FILE);
        }
    }

    proptest! {
        #[test]
        fn any_path_is_parsed_or_refused(path in "(tile|objects|openings|wal)?/?[0-9a-fx./]{0,80}") {
            if let Some(file) = Published::parse(&path) {
                prop_assert!(!path.contains("..") && !path.starts_with('/'));
                prop_assert_eq!(file.to_string(), path);
            }
        }
    }
}
