//! Reading what the API server answers to lists and watches, with a bound on what is in memory at once.
//!
//! Whoever may create objects in some namespace decides how long these answers are. A page is read up to [`PAGE_BYTES`] and
//! asked for again with fewer objects if it is longer; an object alone, in a page or in an event, up to [`OBJECT_BYTES`]. What
//! is long is read by [`TURNS`] at a time, over all watches that share a [`Turns`].

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use kube::client::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::client::explain;

/// Bytes of a page of several objects.
pub const PAGE_BYTES: usize = 4 << 20;

/// Bytes of one object. etcd takes 1.5 MiB, most kinds as protobuf; as JSON a byte of a text may take six (`\u003c`), so that
/// 9 MiB can come of it.
pub const OBJECT_BYTES: usize = 16 << 20;

/// Bytes of an event that are read without a turn.
const EVENT_BYTES: usize = 256 << 10;

/// So many long answers are read at once.
const TURNS: usize = 2;

/// How long the rest of a long event may take to come, while others wait for its turn.
const REST: Duration = Duration::from_secs(10);

/// How much of a failure's text is read.
const FAILURE_BYTES: usize = 64 << 10;

/// Turns at reading what is long, shared by all watches of a process.
#[derive(Debug, Clone)]
pub struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(TURNS)))
    }
}

impl Turns {
    /// Waits for a turn, which ends when what is given is dropped.
    pub(super) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        // Nobody closes the semaphore.
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}

/// A body that was read.
#[derive(Debug)]
pub(super) enum Whole {
    /// To its end.
    Yes(Vec<u8>),
    /// Its beginning: it is longer than was wanted.
    No(Vec<u8>),
}

/// Reads a body of at most so many bytes; of a longer one, not more than that.
pub(super) async fn whole(mut body: Body, most: usize) -> Result<Whole, String> {
    let mut held = Vec::new();
    while let Some(data) = chunk(&mut body).await? {
        let room = most - held.len();
        if data.len() > room {
            held.extend_from_slice(&data[..room]);
            return Ok(Whole::No(held));
        }
        grow(&mut held, data.len(), most);
        held.extend_from_slice(&data);
    }
    Ok(Whole::Yes(held))
}

/// The beginning of a body, for what a failure says.
pub(super) async fn beginning(body: Body) -> Vec<u8> {
    match whole(body, FAILURE_BYTES).await {
        Ok(Whole::Yes(text) | Whole::No(text)) => text,
        Err(_) => Vec::new(),
    }
}

/// Makes room by doubling, but for no more than `most` bytes.
fn grow(held: &mut Vec<u8>, more: usize, most: usize) {
    let needed = held.len() + more;
    if needed > held.capacity() {
        let capacity = (held.capacity() * 2).min(most).max(needed);
        held.reserve_exact(capacity - held.len());
    }
}

/// The next bytes, if more come.
async fn chunk(body: &mut Body) -> Result<Option<axum::body::Bytes>, String> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(error)) => return Err(explain(&error)),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// The lines of a watch.
#[derive(Debug)]
pub(super) struct Lines {
    body: Body,
    turns: Turns,
    turn: Option<OwnedSemaphorePermit>,
    held: Vec<u8>,
    /// So many of the held bytes hold no end of a line.
    searched: usize,
}

impl Lines {
    pub(super) fn new(body: Body, turns: Turns) -> Self {
        Self { body, turns, turn: None, held: Vec::new(), searched: 0 }
    }

    /// Gives what `read` makes of the next line; nothing at the end. A line that is broken off by the end is none.
    pub(super) async fn next<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, String> {
        loop {
            if let Some(at) = self.held[self.searched..].iter().position(|byte| *byte == b'\n') {
                let end = self.searched + at;
                let out = (end > 0).then_some(&self.held[..end]);
                if let Some(line) = out {
                    let out = read(line);
                    self.forget(end);
                    return Ok(Some(out));
                }
                self.forget(end);
                continue;
            }
            self.searched = self.held.len();
            if self.held.len() > OBJECT_BYTES {
                let name = name_of(&self.held);
                return Err(format!("wanted events of at most {OBJECT_BYTES} bytes, found more: {name}"));
            }
            if self.held.len() > EVENT_BYTES && self.turn.is_none() {
                self.turn = self.turns.take().await;
            }
            let more = if self.turn.is_some() {
                timeout(REST, chunk(&mut self.body))
                    .await
                    .unwrap_or_else(|_| Err(format!("the rest of an event within {} s", REST.as_secs())))
            } else {
                chunk(&mut self.body).await
            };
            let Some(more) = more? else { return Ok(None) };
            grow(&mut self.held, more.len(), OBJECT_BYTES);
            self.held.extend_from_slice(&more);
        }
    }

    /// Drops the line that ends here, and what was needed for a long one.
    fn forget(&mut self, end: usize) {
        self.held.drain(..=end);
        self.held.shrink_to(EVENT_BYTES);
        self.searched = 0;
        self.turn = None;
    }
}

/// What the first object in a text is called, as far as one can tell without reading all of it. Quotes within a JSON text
/// are escaped, so that no value looks like this.
pub(super) fn name_of(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let object = text.split_once("\"items\":[").map_or(&*text, |(_, items)| items);
    let field = |name: &str| {
        let value = object.split_once(&format!("\"{name}\":\""))?.1.split('"').next()?;
        Some(value.chars().take(253).collect::<String>())
    };
    let name = field("name").unwrap_or_else(|| "one whose name comes late".to_owned());
    field("namespace").map_or_else(|| name.clone(), |namespace| format!("{namespace}/{name}"))
}
