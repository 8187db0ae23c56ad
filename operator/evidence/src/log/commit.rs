//! The committer: the one thread that owns the tree. It takes whatever waits, gives each record its place, makes the
//! batch durable with one write and one sync, and only then answers.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

use futures::channel::oneshot;
use jiff::Timestamp;

use crate::hash::{Digest, TreeHash};
use crate::head::Head;
use crate::log::publish::{Ask, Durable, Segment};
use crate::log::shared::{Shared, no_room};
use crate::log::{AppendError, Appended};
use crate::merkle::Frontier;
use crate::record::{Object, Prepared};
use crate::source::object_path;
use crate::vfs::Vfs;
use crate::wal::{self, BLOCK};

/// Records in one batch, at most: bounds the time that the first of them waits.
const MAX_BATCH: usize = 1024;
/// Bytes in one batch, at most.
const MAX_BATCH_BYTES: usize = 2 << 20;
/// How long to wait before looking again whether the publisher has taken what lies there.
const CROWDED: Duration = Duration::from_millis(1);
/// Objects remembered as being in the log; older ones are looked up in the directory.
const MAX_KNOWN: usize = 16_384;

pub(super) type Reply = oneshot::Sender<Result<Appended, AppendError>>;

/// What the committer is asked for.
pub(super) enum Command {
    Append(Box<Prepared>, Reply),
    /// Objects of a record to come that do not fit beside it.
    Store(Vec<Object>),
    Publish(SyncSender<Result<Head, AppendError>>),
    Erase {
        index: u64,
        field: String,
        reply: SyncSender<Result<bool, AppendError>>,
    },
    Stop,
}

pub(super) struct Committer {
    pub(super) vfs: Arc<dyn Vfs>,
    pub(super) shared: Arc<Shared>,
    pub(super) frontier: Frontier,
    /// Leaf hash of each subject's last record.
    pub(super) chain: HashMap<[u8; 16], TreeHash>,
    pub(super) publisher: SyncSender<Ask>,
    pub(super) spares: Receiver<io::Result<Segment>>,
    pub(super) segment: Segment,
    pub(super) segment_bytes: u64,
    /// Objects in the log that may not lie in their files yet, with the size of the log that holds them.
    pub(super) known: HashMap<Digest, u64>,
    pub(super) spare_asked: bool,
}

type Batch = Vec<(Box<Prepared>, Reply)>;

impl Committer {
    /// Serves until the last handle is gone or the log is stopped or poisoned.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        let mut next = commands.recv().ok();
        while let Some(command) = next.take() {
            match command {
                Command::Append(record, reply) => {
                    let mut bytes = record.bound();
                    let mut batch = vec![(record, reply)];
                    // One record takes a quarter of a segment at most, so that the batch fits into one.
                    let most =
                        MAX_BATCH_BYTES.min(usize::try_from(self.segment_bytes / 2).unwrap_or(usize::MAX));
                    while batch.len() < MAX_BATCH && bytes < most {
                        match commands.try_recv() {
                            Ok(Command::Append(record, reply)) => {
                                bytes += record.bound();
                                batch.push((record, reply));
                            }
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.batch(batch);
                }
                Command::Store(objects) => self.store(objects),
                Command::Publish(reply) => {
                    if let Err(error) = self.publisher.send(Ask::Publish(reply)) {
                        answer_lost(error.0, &self.shared);
                    }
                }
                Command::Erase { index, field, reply } => {
                    // The opening may lie in the segment that is being written.
                    let refused = self.turn_segment().err();
                    if let Some(error) = refused {
                        let _ = reply.send(Err(error));
                    } else if let Err(error) = self.publisher.send(Ask::Erase { index, field, reply }) {
                        answer_lost(error.0, &self.shared);
                    }
                }
                Command::Stop => return,
            }
            if next.is_none() {
                next = commands.recv().ok();
            }
        }
    }

    /// Commits a batch and answers each of its records.
    fn batch(&mut self, batch: Batch) {
        let bytes = batch.iter().map(|(record, _)| record.bound()).sum();
        let refusal = self.make_room(bytes).err();
        if let Some(refusal) = refusal {
            for (_, reply) in batch {
                let _ = reply.send(Err(refusal.clone()));
            }
            return;
        }
        let (replies, durable, newest) = self.place(batch);
        if replies.is_empty() {
            return;
        }
        match self.commit(&durable) {
            Ok(()) => {
                {
                    let mut status = self.shared.status();
                    status.durable.size = self.frontier.size();
                    status.durable.root = self.frontier.root();
                    status.newest = status.newest.max(newest);
                }
                for (reply, appended) in replies {
                    // The caller may have given up waiting; the record stands.
                    let _ = reply.send(Ok(appended));
                }
                self.hand_over(durable);
            }
            Err(error) => {
                self.shared.poison(format!("the write-ahead log could not be written: {error}"));
                for (reply, _) in replies {
                    let _ = reply.send(Err(self.shared.poison_error()));
                }
            }
        }
    }

    /// Leaves a batch for the publisher, which is woken only if it must know: a thread that is woken for each batch
    /// takes the time of those that answer.
    #[expect(clippy::disallowed_methods, reason = "the thread that commits is its own")]
    fn hand_over(&mut self, durable: Durable) {
        if self.shared.inbox().put(durable) && self.publisher.send(Ask::Look).is_err() {
            self.shared.poison("the publisher ended".into());
        }
        while self.shared.inbox().is_crowded() && self.shared.poisoned().is_none() {
            // The disk does not keep up; nor may memory then.
            std::thread::sleep(CROWDED);
        }
    }

    /// Makes objects durable that no record cites yet. When that fails the record that would is refused, for what it
    /// cites is not there.
    fn store(&mut self, mut objects: Vec<Object>) {
        objects.retain(|object| !self.has(&object.digest()));
        let bytes = objects.iter().map(|o| o.bytes().len() + 4).sum();
        if objects.is_empty() || self.make_room(bytes).is_err() {
            return;
        }
        let digests: Vec<Digest> = objects.iter().map(Object::digest).collect();
        let durable = Durable { leaves: Vec::new(), objects, openings: Vec::new() };
        match self.commit(&durable) {
            Ok(()) => {
                let size = self.frontier.size();
                self.known.extend(digests.into_iter().map(|digest| (digest, size)));
                self.hand_over(durable);
            }
            Err(error) => self.shared.poison(format!("the write-ahead log could not be written: {error}")),
        }
    }

    /// Sees to it that so many bytes fit: on the volume, and in the segment.
    fn make_room(&mut self, bytes: usize) -> Result<(), AppendError> {
        if self.shared.poisoned().is_some() {
            return Err(self.shared.poison_error());
        }
        if self.shared.is_full() {
            let refreshed = self.shared.refresh_space(&*self.vfs, 0);
            if refreshed.is_err() || self.shared.is_full() {
                return Err(AppendError::DiskFull);
            }
        }
        if self.shared.is_behind() {
            // There may be bytes and no inodes: what was answered for goes first.
            let (reply, answer) = mpsc::sync_channel(1);
            if let Err(error) = self.publisher.send(Ask::Publish(reply)) {
                answer_lost(error.0, &self.shared);
            }
            answer.recv().map_err(|_| self.shared.poison_error())??;
        }
        let needed = (bytes + 2 * BLOCK) as u64;
        if self.segment.at + needed > self.segment_bytes {
            self.turn_segment()?;
        }
        // The next segment is made while this one fills.
        if !self.spare_asked && self.publisher.send(Ask::Spare(self.segment.number + 1)).is_ok() {
            self.spare_asked = true;
        }
        Ok(())
    }

    /// Goes on to the next segment.
    fn turn_segment(&mut self) -> Result<(), AppendError> {
        let poison = |why: String| {
            self.shared.poison(why);
            self.shared.poison_error()
        };
        let ask = || {
            let asked = self.publisher.send(Ask::Spare(self.segment.number + 1));
            asked.map_err(|_| poison("the publisher ended".into()))
        };
        if !std::mem::take(&mut self.spare_asked) {
            ask()?;
        }
        let mut answer = self.spares.recv();
        if matches!(&answer, Ok(Err(error)) if no_room(error)) {
            // That was true when it was asked, which may be long ago.
            ask()?;
            answer = self.spares.recv();
        }
        match answer {
            Ok(Ok(segment)) => {
                let full = std::mem::replace(&mut self.segment, segment);
                let sealed = Ask::Sealed { number: full.number, end: self.frontier.size() };
                self.publisher.send(sealed).map_err(|_| poison("the publisher ended".into()))
            }
            Ok(Err(error)) if no_room(&error) => {
                // There may be bytes and no inodes, which only trying again shows.
                self.shared.set_full(true);
                self.shared.set_behind(true);
                Err(AppendError::DiskFull)
            }
            Ok(Err(error)) => Err(poison(format!("the next segment could not be made: {error}"))),
            Err(_) => Err(poison("the publisher ended".into())),
        }
    }

    /// Gives each record its place in the tree. Records that cite an object nobody has are answered at once.
    fn place(&mut self, batch: Batch) -> (Vec<(Reply, Appended)>, Durable, Option<Timestamp>) {
        let mut durable = Durable { leaves: Vec::new(), objects: Vec::new(), openings: Vec::new() };
        let mut replies = Vec::with_capacity(batch.len());
        let mut newest = None;
        for (mut record, reply) in batch {
            if let Some(missing) = self.missing(&record) {
                let _ = reply.send(Err(AppendError::UnknownObject(missing)));
                continue;
            }
            let seq = self.frontier.size();
            let (leaf, hash) = record.leaf(seq, self.chain.get(&record.chain_key).copied());
            self.frontier.push(hash);
            self.chain.insert(record.chain_key, hash);
            for object in std::mem::take(&mut record.objects) {
                let digest = object.digest();
                if !self.has(&digest) {
                    durable.objects.push(object);
                }
                self.known.insert(digest, seq);
            }
            for mut opening in std::mem::take(&mut record.openings) {
                opening.index = seq;
                durable.openings.push(opening);
            }
            newest = newest.max(Some(record.wall));
            durable.leaves.push((leaf, hash));
            replies.push((reply, Appended { index: seq, leaf: hash, id: record.id() }));
        }
        if self.known.len() > MAX_KNOWN {
            let published = self.shared.status().published.size;
            self.known.retain(|_, seq| *seq >= published);
        }
        (replies, durable, newest)
    }

    fn has(&self, digest: &Digest) -> bool {
        self.known.contains_key(digest) || self.vfs.exists(&object_path(digest)).unwrap_or(false)
    }

    /// The first cited object that is neither in the log nor brought along.
    fn missing(&self, record: &Prepared) -> Option<Digest> {
        let brought: HashSet<Digest> = record.objects.iter().map(Object::digest).collect();
        record.cites.iter().copied().find(|digest| !brought.contains(digest) && !self.has(digest))
    }

    fn commit(&mut self, durable: &Durable) -> io::Result<()> {
        let first = self.frontier.size() - durable.leaves.len() as u64;
        let frame = wal::encode(
            &self.segment.nonce,
            first,
            durable.leaves.iter().map(|(leaf, _)| leaf.as_slice()),
            &durable.objects,
            &durable.openings,
            &self.frontier.root(),
        )?;
        if self.segment.at + frame.len() as u64 > self.segment_bytes {
            return Err(io::Error::other("a frame is longer than its bound"));
        }
        self.segment.file.write_at(&frame, self.segment.at)?;
        self.segment.file.sync()?;
        self.segment.at += frame.len() as u64;
        Ok(())
    }
}

/// Tells who asked a publisher that is gone.
fn answer_lost(ask: Ask, shared: &Shared) {
    shared.poison("the publisher ended".into());
    match ask {
        Ask::Publish(reply) => {
            let _ = reply.send(Err(shared.poison_error()));
        }
        Ask::Erase { reply, .. } => {
            let _ = reply.send(Err(shared.poison_error()));
        }
        Ask::Look | Ask::Spare(_) | Ask::Sealed { .. } => {}
    }
}
