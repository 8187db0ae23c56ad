//! The publisher: a thread that turns what is durable in the write-ahead log into tiles, bundles, objects, openings
//! and a signed checkpoint. Everything it writes follows from the write-ahead log, so that it may fail and retry.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::{Duration, Instant};

use crate::hash::{Digest, TreeHash};
use crate::head::Head;
use crate::log::AppendError;
use crate::log::files::Files;
use crate::log::shared::{MAX_UNPUBLISHED, Shared, no_room};
use crate::merkle::TileEdge;
use crate::note::{Checkpoint, LogKey};
use crate::record::{Object, Opening};
use crate::source::{object_path, openings_path, write_openings};
use crate::tile::{TILE_WIDTH, TilePath, push_entry};
use crate::wal::{self, BLOCK, Nonce};

/// Nice value of the publisher's thread and of those that sync for it: a quarter of the processor's time where
/// others want it, and all of what nobody wants.
const NICE: i32 = 6;
/// How long to wait after a full volume before trying again.
const RETRY: Duration = Duration::from_secs(1);
/// Partial tiles that are kept beside the newest until the full tile is there. C2SP lets a log remove them only then;
/// a bundle that grows record by record would cost 50 MB on the way. Sixteen publishes are 8 s or more for a reader
/// that holds an older checkpoint; and every older state can be read from the newest files.
const KEEP_PARTIALS: usize = 16;
/// Closed segments that are kept although a checkpoint covers them.
const KEEP_SEGMENTS: usize = 2;

/// A segment to write frames into.
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) nonce: Nonce,
    pub(super) file: Box<dyn crate::vfs::WalFile>,
    pub(super) at: u64,
}

/// One durable frame's content.
pub(super) struct Durable {
    pub(super) leaves: Vec<(Vec<u8>, TreeHash)>,
    pub(super) objects: Vec<Object>,
    pub(super) openings: Vec<Opening>,
}

impl Durable {
    /// About what it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let leaves: usize = self.leaves.iter().map(|(leaf, _)| leaf.len() + 128).sum();
        let objects: usize = self.objects.iter().map(|o| o.bytes().len()).sum();
        leaves + objects + self.openings.len() * 256
    }
}

/// What the publisher is asked for.
pub(super) enum Ask {
    /// There are records in the inbox, or enough of them.
    Look,
    /// Make the next segment and hand it over.
    Spare(u64),
    /// A segment is full; no later frame goes there.
    Sealed { number: u64, end: u64 },
    /// Publish now and tell the head.
    Publish(SyncSender<Result<Head, AppendError>>),
    /// Remove the opening of a value, also from sealed segments, and tell whether it was there.
    Erase { index: u64, field: String, reply: SyncSender<Result<bool, AppendError>> },
}

pub(super) struct Timing {
    pub(super) interval: Duration,
    pub(super) entries: u64,
    pub(super) gap: Duration,
}

pub(super) struct Publisher {
    pub(super) files: Files,
    pub(super) key: LogKey,
    pub(super) origin: String,
    pub(super) shared: Arc<Shared>,
    pub(super) segment_bytes: u64,
    edge: TileEdge,
    published: u64,
    /// Entries of the bundle that is not full yet.
    bundle: Vec<Vec<u8>>,
    /// Openings of the records in that bundle.
    openings: Vec<Opening>,
    openings_changed: bool,
    /// Files that are complete and not yet published, in order.
    ready: Vec<(String, Vec<u8>)>,
    ready_bytes: usize,
    objects: Vec<Object>,
    /// Bytes of finished files since this was last taken.
    written: u64,
    /// Directories of partial tiles that full ones replace.
    replaced: Vec<String>,
    /// Partial tiles that are published, by level: index and width. Those of the higher levels seldom change.
    partials: BTreeMap<u8, (u64, u16)>,
    pub(super) sealed: VecDeque<(u64, u64)>,
}

impl Publisher {
    pub(super) fn new(
        files: Files,
        key: LogKey,
        origin: String,
        shared: Arc<Shared>,
        segment_bytes: u64,
    ) -> Self {
        Self {
            files,
            key,
            origin,
            shared,
            segment_bytes,
            edge: TileEdge::default(),
            published: 0,
            bundle: Vec::new(),
            openings: Vec::new(),
            openings_changed: false,
            ready: Vec::new(),
            ready_bytes: 0,
            objects: Vec::new(),
            written: 0,
            replaced: Vec::new(),
            partials: BTreeMap::new(),
            sealed: VecDeque::new(),
        }
    }

    /// Starts from what is published: the tree's edge, the entries of the bundle that is not full, its openings.
    pub(super) fn resume(&mut self, edge: TileEdge, bundle: Vec<Vec<u8>>, openings: Vec<Opening>) {
        self.published = edge.size();
        self.edge = edge;
        self.bundle = bundle;
        self.openings = openings;
    }

    pub(super) fn root(&self) -> TreeHash {
        self.edge.root()
    }

    pub(super) fn size(&self) -> u64 {
        self.edge.size()
    }

    pub(super) fn edge(&self) -> &TileEdge {
        &self.edge
    }

    /// Takes records in; writes nothing.
    pub(super) fn take(&mut self, durable: Durable) -> io::Result<()> {
        let mut openings = durable.openings.into_iter().peekable();
        self.ready_bytes += durable.objects.iter().map(|o| o.bytes().len()).sum::<usize>();
        self.objects.extend(durable.objects);
        for (entry, hash) in durable.leaves {
            let index = self.edge.size();
            while let Some(opening) = openings.next_if(|o| o.index <= index) {
                self.openings.push(opening);
                self.openings_changed = true;
            }
            self.ready_bytes += entry.len();
            self.bundle.push(entry);
            for tile in self.edge.push(hash) {
                let path = TilePath::Hashes { level: tile.level, index: tile.index, width: 256 };
                self.finish(path, tile_bytes(&tile.hashes));
            }
            if self.bundle.len() as u64 == TILE_WIDTH {
                let entries = std::mem::take(&mut self.bundle);
                let bundle = index / TILE_WIDTH;
                self.finish(TilePath::Entries { index: bundle, width: 256 }, bundle_bytes(&entries)?);
                let openings_now = std::mem::take(&mut self.openings);
                if self.openings_changed {
                    self.ready.push((openings_path(bundle), write_openings(&openings_now)?));
                    self.openings_changed = false;
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, path: TilePath, bytes: Vec<u8>) {
        self.replaced.push(format!("{path}.p"));
        self.ready.push((path.to_string(), bytes));
    }

    /// Takes in what lies in the inbox.
    fn take_all(&mut self) {
        let batches = self.shared.inbox().take();
        for batch in batches {
            if let Err(error) = self.take(batch) {
                self.shared.poison(format!("the publisher could not take a record in: {error}"));
            }
        }
    }

    /// Writes what is not yet written, reads it back, signs, and replaces the checkpoint.
    pub(super) fn publish(&mut self) -> io::Result<Head> {
        self.take_all();
        let (size, root) = (self.edge.size(), self.edge.root());
        let head = Head { size, root, ..Head::empty(&self.origin) };
        if size == self.published {
            // The segment that holds them may go now.
            self.put_objects()?;
            return Ok(head);
        }
        let mut fresh: Vec<(String, Vec<u8>)> = Vec::new();
        let mut objects: Vec<(String, &[u8])> = Vec::new();
        for object in &self.objects {
            let path = object_path(&object.digest());
            let there = self.files.vfs.exists(&path)?;
            // Looked at also when it is there: a record is about to rest on it.
            if !there || Digest::of(&self.files.vfs.read(&path)?) != object.digest() {
                self.written += if there { 0 } else { object.bytes().len() as u64 };
                objects.push((path, object.bytes()));
            }
        }
        if self.openings_changed {
            fresh.push((openings_path(size / TILE_WIDTH), write_openings(&self.openings)?));
        }
        if !self.bundle.is_empty() {
            let width = u16::try_from(self.bundle.len()).unwrap_or(256);
            let path = TilePath::Entries { index: size / TILE_WIDTH, width };
            fresh.push((path.to_string(), bundle_bytes(&self.bundle)?));
        }
        let mut partials = BTreeMap::new();
        for (level, hashes) in (0u8..).zip(self.edge.partial()) {
            if hashes.is_empty() {
                continue;
            }
            let index = (size >> (u32::from(level) * 8)) / TILE_WIDTH;
            let width = u16::try_from(hashes.len()).unwrap_or(256);
            partials.insert(level, (index, width));
            if self.partials.get(&level) == Some(&(index, width)) {
                continue;
            }
            fresh.push((TilePath::Hashes { level, index, width }.to_string(), tile_bytes(hashes)));
        }
        let whole = self.ready.iter().chain(&fresh).map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
        let all: Vec<(&str, &[u8])> =
            objects.iter().map(|(path, bytes)| (path.as_str(), *bytes)).chain(whole).collect();
        self.files.put_all(&all)?;
        self.files.sync()?;
        for (path, bytes) in all {
            self.read_back(path, bytes)?;
        }
        let text = Checkpoint { origin: self.origin.clone(), size, root }.text();
        let note = self.key.sign(&self.origin, &text).map_err(io::Error::other)?;
        self.files.put("checkpoint", note.as_bytes())?;
        self.files.sync()?;
        self.read_back("checkpoint", note.as_bytes())?;
        for (path, _) in &fresh {
            if let Some((dir, _)) = path.rsplit_once('/').filter(|_| path.contains(".p/")) {
                self.files.keep_widest(dir, KEEP_PARTIALS)?;
            }
        }
        self.written += self.ready.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
        self.published = size;
        self.partials = partials;
        self.ready.clear();
        self.ready_bytes = 0;
        self.objects.clear();
        self.openings_changed = false;
        for dir in std::mem::take(&mut self.replaced) {
            self.files.remove_partials(&dir)?;
        }
        self.drop_segments(KEEP_SEGMENTS)?;
        Ok(head)
    }

    /// Writes objects that came ahead of the record that cites them.
    fn put_objects(&mut self) -> io::Result<()> {
        if self.objects.is_empty() {
            return Ok(());
        }
        let named: Vec<(String, &[u8])> =
            self.objects.iter().map(|o| (object_path(&o.digest()), o.bytes())).collect();
        let all: Vec<(&str, &[u8])> = named.iter().map(|(path, bytes)| (path.as_str(), *bytes)).collect();
        self.files.put_all(&all)?;
        self.files.sync()?;
        for (path, bytes) in all {
            self.read_back(path, bytes)?;
        }
        let bytes = self.objects.iter().map(|o| o.bytes().len()).sum::<usize>();
        self.written += bytes as u64;
        self.ready_bytes = self.ready_bytes.saturating_sub(bytes);
        self.objects.clear();
        Ok(())
    }

    fn read_back(&self, path: &str, wanted: &[u8]) -> io::Result<()> {
        if self.files.vfs.read(path)? == wanted {
            return Ok(());
        }
        Err(io::Error::other(format!("{path}: what was read back is not what was written")))
    }

    /// Removes closed segments that a checkpoint covers, but for the last `keep`.
    pub(super) fn drop_segments(&mut self, keep: usize) -> io::Result<()> {
        let mut removed = false;
        while self.sealed.len() > keep && self.sealed.front().is_some_and(|(_, end)| *end <= self.published) {
            if let Some((number, _)) = self.sealed.pop_front() {
                self.files.vfs.remove_file(&wal::segment_path(number))?;
                removed = true;
            }
        }
        if removed { self.files.vfs.sync_dir("wal") } else { Ok(()) }
    }

    /// Makes a segment; its file and name are durable when it is handed over.
    pub(super) fn allocate(&mut self, number: u64) -> io::Result<Segment> {
        let mut nonce = Nonce::default();
        getrandom::fill(&mut nonce).map_err(|e| io::Error::other(e.to_string()))?;
        self.files.directory("wal")?;
        self.files.sync()?;
        let path = wal::segment_path(number);
        let header = wal::segment_header(&nonce);
        let file = self.files.vfs.allocate(&path, &header, self.segment_bytes)?;
        self.files.vfs.sync_dir("wal")?;
        Ok(Segment { number, nonce, file, at: BLOCK as u64 })
    }

    fn erase(&mut self, index: u64, field: &str) -> io::Result<bool> {
        self.publish()?;
        let bundle = index / TILE_WIDTH;
        let is_last = bundle == self.edge.size() / TILE_WIDTH;
        let vfs: &dyn crate::vfs::Vfs = &*self.files.vfs;
        let mut openings = crate::source::read_openings(vfs, bundle).map_err(io::Error::other)?;
        let before = openings.len();
        openings.retain(|o| o.index != index || o.field != field);
        let found = openings.len() < before;
        if found {
            self.files.put(&openings_path(bundle), &write_openings(&openings)?)?;
            self.files.sync()?;
            if is_last {
                self.openings = openings;
            }
        }
        self.drop_segments(0)?;
        Ok(found)
    }

    /// Serves until the committer is gone; then publishes what is left.
    #[expect(
        clippy::disallowed_methods,
        reason = "the monotonic clock spaces publishes; no record depends on it"
    )]
    pub(super) fn run(
        mut self,
        asks: &Receiver<Ask>,
        spares: &SyncSender<io::Result<Segment>>,
        heads: &Sender<Head>,
        timing: &Timing,
    ) {
        // Nobody waits for what is done here, but for what the committer and the callers do. Refused: so be it.
        let _ = rustix::process::setpriority_process(None, NICE);
        let mut due: Option<Instant> = None;
        let mut last: Option<Instant> = None;
        loop {
            let now = Instant::now();
            if due.is_some_and(|due| due <= now) {
                last = Some(now);
                due = self.publish_and_tell(heads).is_none().then(|| now + RETRY);
            }
            let ask = match due {
                None => asks.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => asks.recv_timeout(due.saturating_duration_since(now)),
            };
            match ask {
                Ok(Ask::Look) => {
                    let latest = due.unwrap_or(now + timing.interval);
                    let (records, bytes) = {
                        let inbox = self.shared.inbox();
                        (inbox.records, inbox.bytes)
                    };
                    let many = self.size() - self.published + records >= timing.entries;
                    let soon = last.map_or(now, |last| last + timing.gap);
                    due = Some(if many { latest.min(soon) } else { latest });
                    if self.ready_bytes + bytes > MAX_UNPUBLISHED && !self.shared.is_full() {
                        due = Some(now);
                    }
                }
                Ok(Ask::Spare(number)) => {
                    let segment = self.allocate(number);
                    if spares.send(segment).is_err() {
                        break;
                    }
                }
                Ok(Ask::Sealed { number, end }) => self.sealed.push_back((number, end)),
                Ok(Ask::Publish(reply)) => {
                    let head = self.publish_and_tell(heads);
                    // What was taken in and could not be written is not forgotten.
                    due = head.is_none().then(|| now + RETRY);
                    // The asker may have given up.
                    let _ = reply.send(head.ok_or_else(|| self.refusal()));
                }
                Ok(Ask::Erase { index, field, reply }) => {
                    let erased = self.erase(index, &field);
                    let erased = erased.map_err(|error| {
                        due = due.or(Some(now + RETRY));
                        self.failed(&error);
                        self.refusal()
                    });
                    let _ = reply.send(erased);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.publish_and_tell(heads);
    }

    fn refusal(&self) -> AppendError {
        if self.shared.poisoned().is_some() { self.shared.poison_error() } else { AppendError::DiskFull }
    }

    fn failed(&self, error: &io::Error) {
        if no_room(error) {
            self.shared.set_full(true);
            self.shared.set_behind(true);
        } else {
            self.shared.poison(format!("publishing failed: {error}"));
        }
    }

    fn publish_and_tell(&mut self, heads: &Sender<Head>) -> Option<Head> {
        if self.shared.poisoned().is_some() {
            return None;
        }
        let published = self.publish().and_then(|head| {
            let written = std::mem::take(&mut self.written);
            self.shared.refresh_space(&*self.files.vfs, written)?;
            Ok(head)
        });
        match published {
            Ok(head) => {
                self.shared.set_behind(false);
                self.shared.status().published = head.clone();
                // The thread that keeps the head outside ends after this one.
                let _ = heads.send(head.clone());
                Some(head)
            }
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }
}

fn tile_bytes(hashes: &[TreeHash]) -> Vec<u8> {
    hashes.iter().flat_map(|h| h.0).collect()
}

fn bundle_bytes(entries: &[Vec<u8>]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in entries {
        if !push_entry(&mut bytes, entry) {
            return Err(io::Error::other("an entry is longer than a bundle can frame"));
        }
    }
    Ok(bytes)
}
