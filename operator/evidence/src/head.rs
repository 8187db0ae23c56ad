//! The head of the log that is kept outside its volume, so that a volume that was emptied, swapped or set back shows.

use std::fmt;
use std::path::PathBuf;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::hash::{TreeHash, empty_root};
use crate::record::HeadRef;
use crate::vfs::{DirFs, Vfs as _};

/// Size and root of a log at some moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Head {
    /// The log's name.
    pub origin: String,
    /// Number of records.
    pub size: u64,
    /// Root hash.
    pub root: TreeHash,
    /// Set while a successor log has been ordered and not yet begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begin: Option<Succession>,
}

/// A successor log that is to begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Succession {
    /// The last known head of the old log, if one was known.
    pub follows: Option<HeadRef>,
    /// Why.
    pub because: String,
}

impl Head {
    /// The head of a log without records.
    pub fn empty(origin: &str) -> Self {
        Self { origin: origin.to_owned(), size: 0, root: empty_root(), begin: None }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} records, root {}", self.origin, self.size, self.root)
    }
}

/// The head could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the head of the evidence log outside its volume: {0}")]
pub struct HeadError(pub String);

/// Where the head lies. The operator keeps it in a Kubernetes object; calls block, and come from the log's own threads
/// and from the thread that opens it.
pub trait HeadStore: Send + Sync {
    /// The head that was stored last; `None` when none ever was.
    fn load(&self) -> Result<Option<Head>, HeadError>;
    /// Replaces the head.
    fn store(&self, head: &Head) -> Result<(), HeadError>;
}

/// Keeps the head in memory: for tests.
#[derive(Debug, Default)]
pub struct MemoryHeads(Mutex<Option<Head>>);

impl MemoryHeads {
    /// A store that holds this head.
    pub fn with(head: Option<Head>) -> Self {
        Self(Mutex::new(head))
    }
}

impl HeadStore for MemoryHeads {
    fn load(&self) -> Result<Option<Head>, HeadError> {
        Ok(self.0.lock().map_err(|e| HeadError(e.to_string()))?.clone())
    }

    fn store(&self, head: &Head) -> Result<(), HeadError> {
        *self.0.lock().map_err(|e| HeadError(e.to_string()))? = Some(head.clone());
        Ok(())
    }
}

/// Keeps the head as `head.json` in a directory, which must lie on another volume than the log.
#[derive(Debug)]
pub struct FileHeads {
    fs: DirFs,
}

impl FileHeads {
    /// The store in this directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { fs: DirFs::new(dir) }
    }
}

impl HeadStore for FileHeads {
    fn load(&self) -> Result<Option<Head>, HeadError> {
        match self.fs.read("head.json") {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| HeadError(e.to_string())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(HeadError(e.to_string())),
        }
    }

    fn store(&self, head: &Head) -> Result<(), HeadError> {
        let write = || {
            self.fs.create_dir("")?;
            self.fs.write_synced("head.json.new", &serde_json::to_vec(head)?)?;
            self.fs.rename("head.json.new", "head.json")?;
            self.fs.sync_dir("")
        };
        write().map_err(|e: std::io::Error| HeadError(e.to_string()))
    }
}
