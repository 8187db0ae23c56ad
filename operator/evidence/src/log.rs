//! The log while it is written: opening, appending, closing.

mod begin;
mod commit;
mod files;
mod heads;
mod open;
mod publish;
mod shared;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::channel::oneshot;
use jiff::Timestamp;

use crate::hash::{Digest, TreeHash};
use crate::head::{Head, HeadStore};
use crate::log::commit::Command;
use crate::log::shared::Shared;
use crate::note::{LogKey, VerifierKey};
use crate::published::MAX_OPENED;
use crate::record::{LogStop, NewRecord, Payload, Prepared, Record, RecordError, Redaction, Subject};
use crate::source::{ReadError, read_records};
use crate::vfs::Vfs;

pub use open::OpenError;

/// Where a log lies and how it is written.
#[derive(Clone, Debug)]
pub struct Config {
    /// The log's directory: on its own volume, not on NFS, never the place of its key.
    pub dir: PathBuf,
    /// Name of the log: the first line of its checkpoints and the name of its key. No white space, no plus sign. A
    /// successor adds `/2`, `/3` and so on.
    pub origin: String,
    /// Uid of the cluster's `kube-system` namespace, in each record.
    pub cluster: String,
    /// Name and version of the writing software, in `log.start`.
    pub software: String,
    /// A record is covered by a signed checkpoint after this time at the latest.
    pub publish_interval: Duration,
    /// As soon as this many records wait, they are published earlier …
    pub publish_entries: u64,
    /// … but not closer to the publish before than this: each costs some ten files, and four times the wait for a sync.
    pub publish_gap: Duration,
    /// The head is stored outside the volume no more often than this: each is a write to etcd.
    pub head_interval: Duration,
    /// Bytes of a segment of the write-ahead log, 256 KiB at least: one record, or one object, takes a quarter of it
    /// at most. Up to four segments lie on the volume.
    pub segment_bytes: u64,
    /// Records that may wait for the writer; beyond, appending is refused at once.
    pub queue: usize,
    /// Appending stops when the volume (or the capacity below) has less room than this, so that what was answered
    /// for can still be published, and a person can still look.
    pub reserve_bytes: u64,
    /// What the log's files may take, when that is less than the volume; `None`: the volume.
    pub capacity_bytes: Option<u64>,
}

impl Config {
    /// The usual settings for a log in `dir`.
    pub fn new(dir: impl Into<PathBuf>, origin: &str, cluster: &str) -> Self {
        Self {
            dir: dir.into(),
            origin: origin.to_owned(),
            cluster: cluster.to_owned(),
            software: concat!("placet-evidence/", env!("CARGO_PKG_VERSION")).to_owned(),
            publish_interval: Duration::from_millis(500),
            publish_entries: 256,
            publish_gap: Duration::from_millis(500),
            head_interval: Duration::from_secs(1),
            segment_bytes: 16 << 20,
            queue: 4096,
            reserve_bytes: 64 << 20,
            capacity_bytes: None,
        }
    }
}

/// Room that the log has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of the log's published files.
    pub used: u64,
    /// Bytes free on the volume.
    pub free: u64,
    /// Bytes of the volume.
    pub total: u64,
    /// Whole percent in use, of the volume or of the capacity, whichever is more. Warn from 80.
    pub percent: u8,
}

/// How the log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Set when the log takes no record any more: a write or a sync failed, and what lies on the disk is not known.
    /// End the process: the next start reads the log again and checks it.
    pub poisoned: Option<String>,
    /// The volume is full; appending goes on when there is room.
    pub full: bool,
    /// Why the head could not be stored outside the volume the last time.
    pub head_error: Option<String>,
    /// The newest head outside the volume.
    pub outside: Option<Head>,
    /// The newest published head.
    pub published: Head,
    /// The newest durable head.
    pub durable: Head,
    /// Room.
    pub usage: Usage,
}

/// A record's place in the log; it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Index, equal to the record's `seq`.
    pub index: u64,
    /// Its leaf hash.
    pub leaf: TreeHash,
    /// Its id.
    pub id: String,
}

/// A record was not appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The record cannot be written as it is.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An object that it brings along, the values of people in it, or the rest of it, is too many bytes for one write.
    #[error("an object that the record rests on has {found} bytes, wanted at most {limit}; make it smaller")]
    TooLarge {
        /// Bytes of the object.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// It cites an object that nobody has.
    #[error("the record cites {0}, which is neither in the log nor brought along")]
    UnknownObject(Digest),
    /// Too many records wait.
    #[error("the evidence log's queue is full: the disk does not keep up; try again")]
    Busy,
    /// No room.
    #[error("the evidence log's volume is full; make it larger, or begin a successor log on a new one")]
    DiskFull,
    /// The log takes no record any more. Whether this one became durable is not known.
    #[error("the evidence log takes no more records: {0}; the process must end and start again")]
    Poisoned(String),
}

impl AppendError {
    /// Whether the record can never be written as it is: trying again does not help.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Record(error) => !matches!(error, RecordError::Random(_)),
            Self::TooLarge { .. } => true,
            Self::UnknownObject(_) | Self::Busy | Self::DiskFull | Self::Poisoned(_) => false,
        }
    }
}

/// An append under way. A future; or call [`Pending::wait`].
#[derive(Debug)]
#[must_use = "until it is done, the record is not durable"]
pub struct Pending(State);

#[derive(Debug)]
enum State {
    Refused(AppendError),
    Waiting(oneshot::Receiver<Result<Appended, AppendError>>),
}

fn ended() -> AppendError {
    AppendError::Poisoned("the log's writer ended".into())
}

impl Pending {
    /// Blocks until the record is durable or refused.
    pub fn wait(self) -> Result<Appended, AppendError> {
        futures::executor::block_on(self)
    }
}

impl Future for Pending {
    type Output = Result<Appended, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Refused(error) => Poll::Ready(Err(error.clone())),
            State::Waiting(reply) => {
                Pin::new(reply).poll(context).map(|reply| reply.unwrap_or_else(|_| Err(ended())))
            }
        }
    }
}

/// An open log. One process at a time; all of its threads may append.
pub struct Log {
    commands: SyncSender<Command>,
    shared: Arc<Shared>,
    vfs: Arc<dyn Vfs>,
    cluster: String,
    /// Bytes that one record may take with its objects, and one object: a quarter of a segment.
    limit: usize,
    verifier: VerifierKey,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Taken until the last thread has ended.
    lock: Option<Box<dyn Send + Sync>>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Log({})", self.head())
    }
}

impl Log {
    /// Opens the log in `config.dir`, or makes it when there never was one, and records `log.start`. Reads every
    /// record and checks the whole tree on the way.
    ///
    /// # Errors
    /// Refuses rather than guesses: see [`OpenError`].
    pub fn open(
        config: &Config,
        key: &LogKey,
        heads: Arc<dyn HeadStore>,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        Self::open_with(config, key, heads, now, &mut |_, _| {})
    }

    /// As [`Log::open`], and calls `visit` with each record that was there, in order: one pass for the operator's
    /// memory. When it returns an error, what was visited is to be forgotten.
    pub fn open_with(
        config: &Config,
        key: &LogKey,
        heads: Arc<dyn HeadStore>,
        now: Timestamp,
        visit: &mut dyn FnMut(u64, &Record),
    ) -> Result<Self, OpenError> {
        let vfs = Arc::new(crate::vfs::DirFs::new(&config.dir));
        Self::open_on(vfs, config, key, heads, now, visit)
    }

    /// As [`Log::open_with`], on other file operations than the system's; `config.dir` is for messages only.
    #[expect(clippy::needless_pass_by_value, reason = "all ways to open a log have one signature")]
    pub fn open_on(
        vfs: Arc<dyn Vfs>,
        config: &Config,
        key: &LogKey,
        heads: Arc<dyn HeadStore>,
        now: Timestamp,
        visit: &mut dyn FnMut(u64, &Record),
    ) -> Result<Self, OpenError> {
        open::open(vfs, config, key, &heads, now, visit)
    }

    /// Begins a new log in the same directory under the next origin. What lies there is moved aside into `old/<n>/`,
    /// never removed. The new log's first record cites the last head that is known outside the volume, and says why.
    pub fn begin_successor(
        config: &Config,
        key: &LogKey,
        heads: Arc<dyn HeadStore>,
        now: Timestamp,
        because: &str,
    ) -> Result<Self, OpenError> {
        let vfs: Arc<dyn Vfs> = Arc::new(crate::vfs::DirFs::new(&config.dir));
        begin::begin(&vfs, config, &*heads, because)?;
        Self::open_on(vfs, config, key, heads, now, &mut |_, _| {})
    }

    /// Appends a record. It is durable, and may have effects, when the returned future gives [`Appended`].
    ///
    /// Never blocks: when too many records wait, the answer is [`AppendError::Busy`]. A caller that gives up waiting
    /// must not act; the record may still enter the log, which then holds one record too many, never one too few.
    pub fn append(&self, record: NewRecord) -> Pending {
        match self.try_append(record) {
            Ok(reply) => Pending(State::Waiting(reply)),
            Err(error) => Pending(State::Refused(error)),
        }
    }

    fn try_append(
        &self,
        record: NewRecord,
    ) -> Result<oneshot::Receiver<Result<Appended, AppendError>>, AppendError> {
        if self.shared.poisoned().is_some() {
            return Err(self.shared.poison_error());
        }
        let mut prepared = Box::new(Prepared::new(record, &self.cluster)?);
        let (limit, most) = (self.limit, usize::try_from(MAX_OPENED).unwrap_or(usize::MAX));
        // Whoever reads the openings of 256 records knows how long they can be.
        let opened = prepared.opened();
        if opened > most {
            return Err(AppendError::TooLarge { found: opened, limit: most });
        }
        let parts = prepared.split(limit).map_err(|found| AppendError::TooLarge { found, limit })?;
        // What does not fit beside the record is durable before it. Should the record not follow, nothing cites it.
        for objects in parts {
            self.send(Command::Store(objects))?;
        }
        let (reply, receiver) = oneshot::channel();
        self.send(Command::Append(prepared, reply))?;
        Ok(receiver)
    }

    fn send(&self, command: Command) -> Result<(), AppendError> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => AppendError::Busy,
            TrySendError::Disconnected(_) => self.shared.poison_error(),
        })
    }

    /// The head of all that is durable, published or not.
    pub fn head(&self) -> Head {
        self.shared.status().durable.clone()
    }

    /// The newest wall time of a record: time must not go below it.
    pub fn newest(&self) -> Option<Timestamp> {
        self.shared.status().newest
    }

    /// The key under which checkpoints verify; its name is the log's origin. Give it to auditors.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// How the log is.
    pub fn health(&self) -> Health {
        if !self.shared.is_behind() {
            // Room comes and goes without us, and nobody may append while this says full; so it is here that both are
            // found. An error is one of the volume, and the next append meets it.
            let _ = self.shared.refresh_space(&*self.vfs, 0);
        }
        let status = self.shared.status();
        Health {
            poisoned: self.shared.poisoned().map(str::to_owned),
            full: self.shared.is_full(),
            head_error: status.head_error.clone(),
            outside: status.outside.clone(),
            published: status.published.clone(),
            durable: status.durable.clone(),
            usage: status.usage,
        }
    }

    /// Room that the log has.
    pub fn usage(&self) -> Usage {
        self.shared.status().usage
    }

    /// Publishes all that is durable now; blocks. The head of the checkpoint.
    pub fn publish_now(&self) -> Result<Head, AppendError> {
        let (reply, answer) = mpsc::sync_channel(1);
        self.commands.send(Command::Publish(reply)).map_err(|_| self.shared.poison_error())?;
        answer.recv().map_err(|_| self.shared.poison_error())?
    }

    /// Calls `visit` with each published record from index `from` on, in order; blocks.
    pub fn replay(&self, from: u64, visit: &mut dyn FnMut(u64, &Record)) -> Result<(), ReadError> {
        let size = self.shared.status().published.size;
        read_records(&*self.vfs, from, size, visit)
    }

    /// The directory, for reading what is published while the log is written. (A file may be replaced or removed
    /// between two reads: read the checkpoint first, and again when a tile is missing.)
    pub fn source(&self) -> &dyn Vfs {
        &*self.vfs
    }

    /// Whether an object is in the published store.
    pub fn has_object(&self, digest: &Digest) -> bool {
        self.vfs.exists(&crate::source::object_path(digest)).unwrap_or(false)
    }

    /// Erases the opening of a personal value, from the store and from the write-ahead log, and records that; blocks.
    /// The record's commitment stays and can no longer be opened. `ground` is a code, not free text. `None` when there
    /// was no such opening.
    pub fn erase(
        &self,
        index: u64,
        field: &str,
        ground: &str,
        now: Timestamp,
    ) -> Result<Option<Appended>, AppendError> {
        let (reply, answer) = mpsc::sync_channel(1);
        let command = Command::Erase { index, field: field.to_owned(), reply };
        self.commands.send(command).map_err(|_| self.shared.poison_error())?;
        if !answer.recv().map_err(|_| self.shared.poison_error())?? {
            return Ok(None);
        }
        let body = Redaction { index, field: field.to_owned(), ground: ground.to_owned() };
        self.append(NewRecord::new(now, Subject::log(), Payload::Redaction(body))).wait().map(Some)
    }

    /// Records `log.stop`, publishes, stores the head outside, and lets the directory go; blocks.
    pub fn close(self, now: Timestamp, reason: &str) -> Result<Head, AppendError> {
        let body = LogStop { reason: reason.to_owned() };
        self.append(NewRecord::new(now, Subject::log(), Payload::LogStop(body))).wait()?;
        self.publish_now()
        // Dropping joins the threads.
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // Each thread ends when the one before it has: committer, publisher, keeper of the head.
        let _ = self.commands.send(Command::Stop);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
        self.lock = None;
    }
}
