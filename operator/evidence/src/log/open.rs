//! Opening a log: what lies on the volume is read whole and checked against its checkpoint, against the head outside,
//! and against the write-ahead log. What does not fit is refused, never repaired by guessing.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

use jiff::Timestamp;

use crate::hash::{TreeHash, leaf_hash};
use crate::head::{Head, HeadError, HeadStore, Succession};
use crate::log::begin::ordinal;
use crate::log::commit::{Command, Committer};
use crate::log::files::Files;
use crate::log::publish::{Ask, Durable, Publisher, Segment, Timing};
use crate::log::shared::Shared;
use crate::log::{AppendError, Config, Log, heads};
use crate::merkle::TileEdge;
use crate::note::{Checkpoint, LogKey, Note, NoteError};
use crate::published::MAX_OBJECT;
use crate::record::{
    Gap, GapReason, Kind, LogBegin, LogStart, NewRecord, Payload, Record, RecordError, Subject,
};
use crate::source::{ReadError, read_bundle, read_openings};
use crate::tile::{TILE_WIDTH, TilePath};
use crate::vfs::Vfs;
use crate::wal::{self, BLOCK, Frame};

/// Segments of the write-ahead log that are kept though all of them is published.
const KEEP_SEGMENTS: usize = 2;
/// Questions that may wait for the publisher before the committer waits for it.
const PUBLISHER_QUEUE: usize = 256;

/// The log was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The head outside the volume could not be read or written.
    #[error(transparent)]
    Heads(#[from] HeadError),
    /// The key or the origin cannot be used.
    #[error(transparent)]
    Key(#[from] NoteError),
    /// Another process has the log.
    #[error("{0} is in use by another process; a log has one writer")]
    Locked(String),
    /// The volume cannot be read or written.
    #[error("the evidence log's volume: {what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed. `ReadOnlyFilesystem` and `PermissionDenied` mean that the volume is mounted wrongly.
        error: io::Error,
    },
    /// The head outside is that of another log.
    #[error(
        "the head kept outside the volume is that of log {found}, wanted {wanted} (or a successor of it); \
         check which installation this is"
    )]
    OtherOrigin {
        /// Found outside.
        found: String,
        /// From the configuration.
        wanted: String,
    },
    /// The volume holds a log, and no head is known outside.
    #[error(
        "the volume holds a log ({found}), and no head of it is kept outside the volume, so that it cannot be told \
         whether it is complete: restore the head, or begin a successor: placet evidence begin --because \"…\""
    )]
    HeadMissing {
        /// What the volume holds.
        found: String,
    },
    /// The volume is empty and should not be.
    #[error(
        "the volume holds no log, wanted {known}: mount the right volume or restore it, or begin a successor log \
         that cites this head: placet evidence begin --because \"…\""
    )]
    Emptied {
        /// The head outside.
        known: Box<Head>,
    },
    /// The volume is older than the head outside.
    #[error(
        "the volume holds an older copy: {found} records, wanted {known} or more: restore the newest copy, or begin \
         a successor log that cites this head: placet evidence begin --because \"…\""
    )]
    Older {
        /// Records on the volume.
        found: u64,
        /// The head outside.
        known: Box<Head>,
    },
    /// The volume holds another log.
    #[error(
        "the volume holds another log: {found}, wanted one that extends {known}: mount the right volume, or begin a \
         successor log that cites this head: placet evidence begin --because \"…\""
    )]
    Different {
        /// What the volume holds.
        found: String,
        /// The head outside.
        known: Box<Head>,
    },
    /// The checkpoint is not signed by this key.
    #[error(
        "the checkpoint on the volume is not signed by key {wanted}: mount the right key or volume, or begin a \
         successor log: placet evidence begin --because \"…\""
    )]
    Signature {
        /// The verifier key.
        wanted: String,
    },
    /// What lies on the volume is damaged.
    #[error(
        "the evidence log is damaged: {0}: restore it from a copy, or begin a successor log: placet evidence begin \
         --because \"…\""
    )]
    Damaged(String),
    /// A record cannot be read by this version.
    #[error("record {index}: {error}: written by a newer version? start that one")]
    Record {
        /// Its index.
        index: u64,
        /// Why.
        error: RecordError,
    },
    /// The first records could not be written.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io { path, error } => Self::Io { what: path, error },
            ReadError::Record { index, error } => Self::Record { index, error },
            other => Self::Damaged(other.to_string()),
        }
    }
}

pub(super) fn io_error(what: &str) -> impl FnOnce(io::Error) -> OpenError {
    let what = what.to_owned();
    move |error| OpenError::Io { what, error }
}

pub(super) fn take_lock(vfs: &dyn Vfs, config: &Config) -> Result<Box<dyn Send + Sync>, OpenError> {
    vfs.lock().map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked(config.dir.display().to_string()),
        _ => OpenError::Io { what: "lock".into(), error },
    })
}

pub(super) fn read_checkpoint(vfs: &dyn Vfs) -> Result<Option<(Note, Checkpoint)>, OpenError> {
    let bytes = match vfs.read("checkpoint") {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_error("checkpoint")(e)),
    };
    let note = Note::parse(&bytes).map_err(|e| OpenError::Damaged(format!("checkpoint: {e}")))?;
    let checkpoint =
        Checkpoint::parse(note.text()).map_err(|e| OpenError::Damaged(format!("checkpoint: {e}")))?;
    Ok(Some((note, checkpoint)))
}

/// What reading the records gives the writer.
#[derive(Default)]
struct Memory {
    chain: HashMap<[u8; 16], TreeHash>,
    newest: Option<Timestamp>,
    last: Option<Kind>,
}

impl Memory {
    fn see(
        &mut self,
        index: u64,
        leaf: &[u8],
        hash: TreeHash,
        visit: &mut dyn FnMut(u64, &Record),
    ) -> Result<(), OpenError> {
        let record = Record::parse(leaf).map_err(|error| OpenError::Record { index, error })?;
        self.chain.insert(record.subject.chain_key(), hash);
        self.newest = self.newest.max(Some(record.time.wall));
        self.last = Some(record.payload.kind());
        visit(index, &record);
        Ok(())
    }
}

/// The published part of the log, read and checked.
struct Published {
    edge: TileEdge,
    bundle: Vec<Vec<u8>>,
    /// Tiles that were missing or wrong, computed anew.
    repairs: Vec<(TilePath, Vec<u8>)>,
}

fn read_published(
    vfs: &dyn Vfs,
    checkpoint: &Checkpoint,
    known: &Head,
    memory: &mut Memory,
    visit: &mut dyn FnMut(u64, &Record),
) -> Result<Published, OpenError> {
    let mut published = Published { edge: TileEdge::default(), bundle: Vec::new(), repairs: Vec::new() };
    let mut differs = None;
    let mut check = |path: TilePath, hashes: &[TreeHash]| -> Result<(), OpenError> {
        let bytes: Vec<u8> = hashes.iter().flat_map(|h| h.0).collect();
        match vfs.read(&path.to_string()) {
            Ok(found) if found == bytes => {}
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io_error(&path.to_string())(e)),
            _ => published.repairs.push((path, bytes)),
        }
        Ok(())
    };
    for bundle in 0..checkpoint.size.div_ceil(TILE_WIDTH) {
        published.bundle = read_bundle(vfs, bundle, checkpoint.size)?;
        for entry in &published.bundle {
            let (index, hash) = (published.edge.size(), leaf_hash(entry));
            for tile in published.edge.push(hash) {
                let path = TilePath::Hashes { level: tile.level, index: tile.index, width: 256 };
                check(path, &tile.hashes)?;
            }
            memory.see(index, entry, hash, visit)?;
            if index + 1 == known.size && published.edge.root() != known.root {
                differs = Some(published.edge.root());
            }
        }
    }
    for (level, hashes) in (0u8..).zip(published.edge.partial()) {
        if !hashes.is_empty() {
            let index = (checkpoint.size >> (u32::from(level) * 8)) / TILE_WIDTH;
            let width = u16::try_from(hashes.len()).unwrap_or(256);
            check(TilePath::Hashes { level, index, width }, hashes)?;
        }
    }
    if published.edge.root() != checkpoint.root {
        let differing = published.repairs.first().map_or_else(
            || "the tiles agree with the records".to_owned(),
            |(path, _)| format!("the first tile that differs is {path}"),
        );
        return Err(OpenError::Damaged(format!(
            "the records give root {}, the checkpoint says {}; {differing}",
            published.edge.root(),
            checkpoint.root
        )));
    }
    if let Some(root) = differs {
        let found = format!("{} with root {root} at that size", checkpoint.origin);
        return Err(OpenError::Different { found, known: Box::new(known.clone()) });
    }
    if published.bundle.len() as u64 == TILE_WIDTH {
        published.bundle.clear();
    }
    Ok(published)
}

/// What lies in the write-ahead log.
#[derive(Default)]
struct Wal {
    frames: Vec<(u64, Frame)>,
    segments: Vec<u64>,
    /// Blocks that are no part of a frame: segment and offset.
    damaged: Vec<(u64, u64)>,
    /// Segment and offset after the last valid frame.
    end: (u64, u64),
}

fn read_wal(vfs: &dyn Vfs) -> Result<Wal, OpenError> {
    let mut found = Wal::default();
    let names = vfs.list("wal").map_err(io_error("wal"))?;
    found.segments = names.iter().filter_map(|f| wal::segment_number(&f.name)).collect();
    found.segments.sort_unstable();
    for &number in &found.segments {
        let path = wal::segment_path(number);
        let scan = wal::scan(&vfs.read(&path).map_err(io_error(&path))?);
        found.damaged.extend(scan.damaged.iter().map(|at| (number, *at)));
        if !scan.frames.is_empty() {
            found.end = (number, scan.end);
        }
        found.frames.extend(scan.frames.into_iter().map(|frame| (number, frame)));
    }
    Ok(found)
}

/// Takes the frames that the checkpoint does not cover. A hole, or a root that does not fit, is damage.
fn apply_wal(
    frames: Vec<(u64, Frame)>,
    damaged: &[(u64, u64)],
    publisher: &mut Publisher,
    memory: &mut Memory,
    visit: &mut dyn FnMut(u64, &Record),
) -> Result<(), OpenError> {
    for (segment, frame) in frames {
        let next = publisher.size();
        // One without records holds objects of the record that follows.
        if frame.end() < next || (frame.end() == next && !frame.entries.is_empty()) {
            continue;
        }
        if frame.first > next {
            let near = damaged.first().map_or(String::new(), |(segment, at)| {
                format!("; {} has damage at byte {at}", wal::segment_path(*segment))
            });
            let path = wal::segment_path(segment);
            return Err(OpenError::Damaged(format!(
                "{path} goes on with record {}, wanted {next}: what lies between is lost{near}",
                frame.first
            )));
        }
        let skip = usize::try_from(next - frame.first).unwrap_or(usize::MAX);
        let leaves: Vec<(Vec<u8>, TreeHash)> =
            frame.entries.into_iter().skip(skip).map(|e| (e.clone(), leaf_hash(&e))).collect();
        for (index, (leaf, hash)) in (next..).zip(&leaves) {
            memory.see(index, leaf, *hash, visit)?;
        }
        let openings = frame.openings.into_iter().filter(|o| o.index >= next).collect();
        publisher
            .take(Durable { leaves, objects: frame.objects, openings })
            .map_err(io_error("taking in the write-ahead log"))?;
        if publisher.root() != frame.root {
            let path = wal::segment_path(segment);
            return Err(OpenError::Damaged(format!(
                "{path}: record {next} does not give the root it was sealed with"
            )));
        }
    }
    Ok(())
}

/// Overwrites damaged blocks with zeros, so that they are told of once and never read again.
fn cut(vfs: &dyn Vfs, damaged: &[(u64, u64)]) -> io::Result<()> {
    for segment in damaged.chunk_by(|a, b| a.0 == b.0) {
        let Some((number, _)) = segment.first() else { continue };
        let mut file = vfs.open(&wal::segment_path(*number))?;
        for (_, at) in segment {
            file.write_at(&[0; BLOCK], *at)?;
        }
        file.sync()?;
    }
    Ok(())
}

/// Bytes of the files below a directory.
fn bytes_below(vfs: &dyn Vfs, dir: &str) -> io::Result<u64> {
    let mut sum = 0;
    for file in vfs.list(dir)? {
        sum += if file.is_dir { bytes_below(vfs, &format!("{dir}/{}", file.name))? } else { file.len };
    }
    Ok(sum)
}

/// What must be there, and what the volume says is there.
struct Expected {
    known: Head,
    checkpoint: Option<(Note, Checkpoint)>,
    lock: Box<dyn Send + Sync>,
}

/// Decides what must be there, from the head outside.
fn expected(vfs: &dyn Vfs, config: &Config, heads: &dyn HeadStore) -> Result<Expected, OpenError> {
    let known = heads.load()?;
    if let Some(known) = &known {
        if ordinal(&known.origin, &config.origin).is_none() {
            return Err(OpenError::OtherOrigin {
                found: known.origin.clone(),
                wanted: config.origin.clone(),
            });
        }
        if known.size > 0 && !vfs.exists("").map_err(io_error("the directory"))? {
            return Err(OpenError::Emptied { known: Box::new(known.clone()) });
        }
    }
    vfs.create_dir("").map_err(io_error("making the directory"))?;
    let lock = take_lock(vfs, config)?;
    let checkpoint = read_checkpoint(vfs)?;
    let known = match (known, &checkpoint) {
        (None, None) => {
            if !vfs.list("wal").map_err(io_error("wal"))?.is_empty() {
                return Err(OpenError::HeadMissing { found: "a write-ahead log".into() });
            }
            // Stored before anything is made here: a volume that is empty later is one that was emptied.
            let head = Head::empty(&config.origin);
            heads.store(&head)?;
            head
        }
        (None, Some((_, found))) => {
            let found = format!("{} with {} records", found.origin, found.size);
            return Err(OpenError::HeadMissing { found });
        }
        (Some(known), None) if known.size > 0 => return Err(OpenError::Emptied { known: Box::new(known) }),
        (Some(known), None) => known,
        (Some(known), Some((_, found))) => {
            if found.origin != known.origin {
                return Err(OpenError::Different { found: found.origin.clone(), known: Box::new(known) });
            }
            if found.size < known.size {
                return Err(OpenError::Older { found: found.size, known: Box::new(known) });
            }
            known
        }
    };
    Ok(Expected { known, checkpoint, lock })
}

pub(super) fn open(
    vfs: Arc<dyn Vfs>,
    config: &Config,
    key: &LogKey,
    heads: &Arc<dyn HeadStore>,
    now: Timestamp,
    visit: &mut dyn FnMut(u64, &Record),
) -> Result<Log, OpenError> {
    key.verifier(&config.origin)?;
    let Expected { known, checkpoint, lock } = expected(&*vfs, config, &**heads)?;
    let verifier = key.verifier(&known.origin)?;
    let checkpoint = match checkpoint {
        Some((note, _)) if !verifier.verifies(&note) => {
            return Err(OpenError::Signature { wanted: verifier.to_string() });
        }
        Some((_, checkpoint)) => checkpoint,
        None => Checkpoint { origin: known.origin.clone(), size: 0, root: crate::hash::empty_root() },
    };

    let mut files = Files::new(vfs.clone());
    files.clear_temporary().map_err(io_error("temporary files"))?;
    let mut memory = Memory::default();
    let published = read_published(&*vfs, &checkpoint, &known, &mut memory, visit)?;
    let rebuilt = published.repairs.len() as u64;
    for (path, bytes) in &published.repairs {
        files.put(&path.to_string(), bytes).map_err(io_error("rebuilding a tile"))?;
    }
    files.sync().map_err(io_error("rebuilding tiles"))?;

    let used = ["tile", "objects", "openings"]
        .iter()
        .try_fold(0, |sum, dir| bytes_below(&*vfs, dir).map(|bytes| sum + bytes).map_err(io_error(dir)))?;
    let head = |size, root| Head { size, root, ..Head::empty(&known.origin) };
    let at = head(checkpoint.size, checkpoint.root);
    let shared = Arc::new(Shared::new(config, at, memory.newest, used));
    let mut writer =
        Publisher::new(files, key.clone(), known.origin.clone(), shared.clone(), config.segment_bytes);
    let openings = if published.bundle.is_empty() {
        Vec::new()
    } else {
        let mut openings = read_openings(&*vfs, checkpoint.size / TILE_WIDTH)?;
        openings.retain(|o| o.index < checkpoint.size);
        openings
    };
    writer.resume(published.edge, published.bundle, openings);

    let found = read_wal(&*vfs)?;
    let torn = found.damaged.iter().copied().find(|at| *at >= found.end);
    apply_wal(found.frames, &found.damaged, &mut writer, &mut memory, visit)?;
    cut(&*vfs, &found.damaged).map_err(io_error("cutting a torn write"))?;
    let recovered = writer.publish().map_err(io_error("publishing what was recovered"))?;
    {
        let mut status = shared.status();
        status.durable = recovered.clone();
        status.published = recovered.clone();
        status.newest = memory.newest;
    }
    shared.refresh_space(&*vfs, 0).map_err(io_error("asking for free space"))?;
    writer.sealed.extend(found.segments.iter().map(|number| (*number, recovered.size)));
    writer.drop_segments(KEEP_SEGMENTS).map_err(io_error("removing old segments"))?;
    let number = found.segments.last().map_or(1, |last| last + 1);
    let segment = writer.allocate(number).map_err(io_error("making a segment"))?;

    let first =
        first_records(config, &known, &verifier.to_string(), &memory, recovered.size, rebuilt, torn, now);
    let started = Started { publisher: writer, segment, memory };
    let (commands, receiver) = mpsc::sync_channel(config.queue);
    let threads =
        start(config, started, receiver, &vfs, &shared, heads.clone()).map_err(io_error("threads"))?;
    let log = Log {
        commands,
        shared,
        vfs,
        cluster: config.cluster.clone(),
        limit: usize::try_from((config.segment_bytes / 4).min(MAX_OBJECT)).unwrap_or(usize::MAX),
        verifier,
        threads: Mutex::new(threads),
        lock: Some(lock),
    };
    for record in first {
        log.append(record).wait()?;
    }
    if known.size == 0 {
        // From here on an empty volume is an emptied one.
        let head = log.publish_now()?;
        if !heads::keep(&head, &**heads, &log.shared) {
            let why = log.shared.status().head_error.clone();
            return Err(OpenError::Heads(HeadError(why.unwrap_or_default())));
        }
    }
    Ok(log)
}

/// What the log says first after it was opened.
#[expect(clippy::too_many_arguments, reason = "each is one fact that the records state")]
fn first_records(
    config: &Config,
    known: &Head,
    key: &str,
    memory: &Memory,
    found: u64,
    rebuilt: u64,
    torn: Option<(u64, u64)>,
    now: Timestamp,
) -> Vec<NewRecord> {
    let mut first = Vec::new();
    let mut add = |payload| first.push(NewRecord::new(now, Subject::log(), payload));
    let (origin, key, software) = (known.origin.clone(), key.to_owned(), config.software.clone());
    match &known.begin {
        Some(Succession { follows, because }) if found == 0 => add(Payload::LogBegin(LogBegin {
            origin,
            key,
            software,
            follows: follows.clone(),
            because: because.clone(),
        })),
        _ => {
            let clean = matches!(memory.last, None | Some(Kind::LogStop));
            add(Payload::LogStart(LogStart { origin, key, software, found, clean, rebuilt }));
        }
    }
    if let Some((segment, at)) = torn {
        let detail =
            format!("{} from byte {at}: an incomplete write was cut off", wal::segment_path(segment));
        add(Payload::Gap(Gap {
            reason: GapReason::Torn,
            from: memory.newest,
            to: Some(now),
            count: None,
            detail,
        }));
    }
    first
}

struct Started {
    publisher: Publisher,
    segment: Segment,
    memory: Memory,
}

fn start(
    config: &Config,
    started: Started,
    commands: Receiver<Command>,
    vfs: &Arc<dyn Vfs>,
    shared: &Arc<Shared>,
    store: Arc<dyn HeadStore>,
) -> io::Result<Vec<JoinHandle<()>>> {
    let Started { publisher, segment, memory } = started;
    let (asks, ask_receiver) = mpsc::sync_channel::<Ask>(PUBLISHER_QUEUE);
    let (spares, spare_receiver) = mpsc::sync_channel(1);
    let (heads_sender, head_receiver) = mpsc::channel();
    let committer = Committer {
        vfs: vfs.clone(),
        shared: shared.clone(),
        frontier: publisher.edge().frontier().clone(),
        chain: memory.chain,
        publisher: asks,
        spares: spare_receiver,
        segment,
        segment_bytes: config.segment_bytes,
        known: HashMap::new(),
        spare_asked: false,
    };
    let timing = Timing {
        interval: config.publish_interval,
        entries: config.publish_entries,
        gap: config.publish_gap,
    };
    let (shared, interval) = (shared.clone(), config.head_interval);
    Ok(vec![
        Builder::new().name("evidence-commit".into()).spawn(move || committer.run(&commands))?,
        Builder::new()
            .name("evidence-publish".into())
            .spawn(move || publisher.run(&ask_receiver, &spares, &heads_sender, &timing))?,
        Builder::new()
            .name("evidence-heads".into())
            .spawn(move || heads::run(&head_receiver, &*store, &shared, interval))?,
    ])
}
