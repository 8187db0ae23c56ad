//! The thread that keeps the newest published head outside the volume. It may wait on a network: nothing waits on it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::head::{Head, HeadStore};
use crate::log::shared::Shared;

/// How long to wait after a store that failed.
const RETRY: Duration = Duration::from_secs(1);

/// Stores each head, at most one in `interval`, until the publisher is gone; then the last one once more.
#[expect(clippy::disallowed_methods, reason = "the monotonic clock spaces writes; no record depends on it")]
pub(super) fn run(heads: &Receiver<Head>, store: &dyn HeadStore, shared: &Arc<Shared>, interval: Duration) {
    let mut pending: Option<Head> = None;
    let mut allowed = Instant::now();
    loop {
        let next = match &pending {
            None => heads.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(_) => heads.recv_timeout(allowed.saturating_duration_since(Instant::now())),
        };
        match next {
            Ok(head) => pending = Some(head),
            Err(RecvTimeoutError::Timeout) => {
                pending = pending.filter(|head| !keep(head, store, shared));
                // What failed is not asked again at once.
                let wait = if pending.is_some() { interval.max(RETRY) } else { interval };
                allowed = Instant::now() + wait;
            }
            Err(RecvTimeoutError::Disconnected) => {
                if let Some(head) = pending {
                    keep(&head, store, shared);
                }
                return;
            }
        }
    }
}

/// Stores a head and notes how it went. Whether it is stored.
pub(super) fn keep(head: &Head, store: &dyn HeadStore, shared: &Shared) -> bool {
    // One store at a time, and never an older head after a newer one.
    let _storing = shared.storing();
    if shared.status().outside.as_ref().is_some_and(|outside| outside.size >= head.size) {
        return true;
    }
    let result = store.store(head);
    let mut status = shared.status();
    match result {
        Ok(()) => {
            status.head_error = None;
            status.outside = Some(head.clone());
            true
        }
        Err(error) => {
            status.head_error = Some(error.to_string());
            false
        }
    }
}
