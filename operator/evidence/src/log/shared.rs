//! What the log's threads and its callers share.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use jiff::Timestamp;

use crate::head::Head;
use crate::log::publish::Durable;
use crate::log::{AppendError, Config, Usage};
use crate::vfs::Vfs;

#[derive(Debug)]
pub(super) struct Status {
    /// What is durable: every answered record is in it.
    pub(super) durable: Head,
    /// What the checkpoint says.
    pub(super) published: Head,
    /// What is stored outside the volume.
    pub(super) outside: Option<Head>,
    /// Why the head could not be stored outside the volume the last time.
    pub(super) head_error: Option<String>,
    /// Newest wall time of a record.
    pub(super) newest: Option<Timestamp>,
    /// Bytes of the log's files.
    pub(super) used: u64,
    pub(super) usage: Usage,
}

/// Unpublished bytes above which a publish does not wait: bounds memory.
pub(super) const MAX_UNPUBLISHED: usize = 8 << 20;

/// What is durable and lies there for the publisher.
#[derive(Default)]
pub(super) struct Inbox {
    batches: Vec<Durable>,
    pub(super) records: u64,
    pub(super) bytes: usize,
    /// Records at which the publisher wants to be told.
    enough: u64,
}

impl Inbox {
    /// Whether the publisher must look: it is the first batch, or with it there are enough.
    pub(super) fn put(&mut self, batch: Durable) -> bool {
        let before = (self.records, self.bytes);
        self.records += batch.leaves.len() as u64;
        self.bytes += batch.bytes();
        self.batches.push(batch);
        before.0 == 0
            || (before.0 < self.enough && self.records >= self.enough)
            || (before.1 <= MAX_UNPUBLISHED && self.bytes > MAX_UNPUBLISHED)
    }

    /// Everything, in order.
    pub(super) fn take(&mut self) -> Vec<Durable> {
        (self.records, self.bytes) = (0, 0);
        std::mem::take(&mut self.batches)
    }

    /// Whether so much lies there that nothing more may be put.
    pub(super) fn is_crowded(&self) -> bool {
        self.bytes > 4 * MAX_UNPUBLISHED
    }
}

pub(super) struct Shared {
    status: Mutex<Status>,
    inbox: Mutex<Inbox>,
    storing: Mutex<()>,
    full: AtomicBool,
    /// Publishing met a full volume and has not succeeded since.
    behind: AtomicBool,
    poisoned: OnceLock<String>,
    reserve: u64,
    capacity: Option<u64>,
}

impl Shared {
    pub(super) fn new(config: &Config, head: Head, newest: Option<Timestamp>, used: u64) -> Self {
        let status = Status {
            durable: head.clone(),
            published: head,
            outside: None,
            head_error: None,
            newest,
            used,
            usage: Usage::default(),
        };
        Self {
            status: Mutex::new(status),
            inbox: Mutex::new(Inbox { enough: config.publish_entries, ..Inbox::default() }),
            storing: Mutex::new(()),
            full: AtomicBool::new(false),
            behind: AtomicBool::new(false),
            poisoned: OnceLock::new(),
            reserve: config.reserve_bytes,
            capacity: config.capacity_bytes,
        }
    }

    pub(super) fn status(&self) -> MutexGuard<'_, Status> {
        // A holder that panicked left plain values behind: they are still true.
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What lies there for the publisher.
    pub(super) fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held while the head is stored outside.
    pub(super) fn storing(&self) -> MutexGuard<'_, ()> {
        self.storing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No further record is taken; the process should end and recover at its next start.
    pub(super) fn poison(&self, why: String) {
        let _ = self.poisoned.set(why);
    }

    pub(super) fn poisoned(&self) -> Option<&str> {
        self.poisoned.get().map(String::as_str)
    }

    pub(super) fn poison_error(&self) -> AppendError {
        AppendError::Poisoned(self.poisoned().unwrap_or("the log's writer ended").to_owned())
    }

    /// Reads the room on the volume again.
    pub(super) fn refresh_space(&self, vfs: &dyn Vfs, written: u64) -> io::Result<()> {
        let space = vfs.space()?;
        let mut status = self.status();
        status.used += written;
        let of_volume = percent(space.total.saturating_sub(space.free), space.total);
        let of_capacity = self.capacity.map_or(0, |capacity| percent(status.used, capacity));
        status.usage = Usage {
            used: status.used,
            free: space.free,
            total: space.total,
            percent: of_volume.max(of_capacity),
        };
        let over = self.capacity.is_some_and(|c| status.used.saturating_add(self.reserve) > c);
        self.set_full(space.free < self.reserve || over);
        Ok(())
    }

    pub(super) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    pub(super) fn set_behind(&self, behind: bool) {
        self.behind.store(behind, Ordering::Relaxed);
    }

    pub(super) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }
}

/// Whether a write failed for want of room (bytes, inodes or quota), which passes, unlike all other failures.
pub(super) fn no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whole percent, rounded down; 100 at most.
fn percent(part: u64, whole: u64) -> u8 {
    let percent = u128::from(part) * 100 / u128::from(whole.max(1));
    u8::try_from(percent.min(100)).unwrap_or(100)
}
