//! What is known of a pod's containers, and who is told when it changes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

/// The state of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContainerState {
    Waiting { reason: &'static str, message: String },
    Running { pid: i32, since: Timestamp },
    Terminated(Termination),
}

/// How a run of a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Termination {
    pub(crate) code: i32,
    pub(crate) signal: Option<i32>,
    pub(crate) pid: i32,
    pub(crate) started: Timestamp,
    pub(crate) finished: Timestamp,
    pub(crate) message: String,
}

/// One container's entry.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) state: ContainerState,
    pub(crate) last: Option<Termination>,
    pub(crate) restarts: i32,
    pub(crate) started: bool,
    pub(crate) ready: bool,
    /// Whether it will not be started again.
    pub(crate) over: bool,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            state: ContainerState::Waiting { reason: "ContainerCreating", message: String::new() },
            last: None,
            restarts: 0,
            started: false,
            ready: false,
            over: false,
        }
    }
}

/// A pod's entries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pages {
    pub(crate) init: BTreeMap<String, Entry>,
    pub(crate) main: BTreeMap<String, Entry>,
    /// Whether all init containers are done.
    pub(crate) initialized: bool,
    /// Why the node does not run this pod.
    pub(crate) refused: Option<(&'static str, String)>,
    /// Since when each condition has its value.
    pub(crate) conditions: BTreeMap<&'static str, (bool, Timestamp)>,
}

/// The book of one pod, shared by its containers and the one who reports.
#[derive(Debug)]
pub(crate) struct Book {
    pages: Mutex<Pages>,
    pub(crate) changed: Notify,
    pub(crate) opened: Timestamp,
}

impl Book {
    pub(crate) fn new(pages: Pages) -> Self {
        Self { pages: Mutex::new(pages), changed: Notify::new(), opened: now() }
    }

    /// The pages, to be read.
    pub(crate) fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the pages and tells the one who reports.
    pub(crate) fn write(&self, change: impl FnOnce(&mut Pages)) {
        change(&mut self.pages());
        self.changed.notify_one();
    }

    /// Changes one container's entry.
    pub(crate) fn entry(&self, init: bool, name: &str, change: impl FnOnce(&mut Entry)) {
        self.write(|pages| {
            let map = if init { &mut pages.init } else { &mut pages.main };
            change(map.entry(name.to_owned()).or_default());
        });
    }
}

/// The time for pod status.
#[expect(clippy::disallowed_methods, reason = "pod status shows the wall clock; nothing is decided by it")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
