//! An own list and watch.
//!
//! kube-runtime's watcher hides bookmarks, and without them a quiet watch cannot be told from a dead one. This one
//! - lists consistently (no `resourceVersion`: the answer is as new as the question) and in pages;
//! - watches from there with bookmarks, keeps every field of every object (raw JSON), and resumes after a broken
//!   connection where it stopped;
//! - starts again with a list when the API server has forgotten that point (410 Gone), or when the store has become
//!   stale, because a list proves freshness at once;
//! - takes a kind that does not exist (a CRD that is not installed yet) for a state, not for an error.
//!
//! Events are handed to a synchronous sink before [`Freshness`] is told, so that a store that is called live holds
//! what it was heard of.

use std::time::Duration;

use futures::StreamExt as _;
use kube::Client;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::Request;
use kube::discovery::ApiResource;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use super::backoff::{Backoff, jitter};
use super::client::explain;
use super::freshness::{Freshness, STALE_AFTER};
use super::supervisor::Shutdown;

/// Objects per page of a list: what the API server's own clients ask for.
const PAGE: u32 = 500;

/// More pages than this is not a list but a loop (five million objects).
const MAX_PAGES: usize = 10_000;

/// How long one page, or the beginning of a watch, may take. The API server gives up after 60 s itself.
const ANSWER: Duration = Duration::from_secs(60);

/// The longest wait between attempts: a store stays unknown for at most so long after the API server is back, or a CRD
/// was installed.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How long a watch is asked to last, in seconds. Kubernetes' own clients take five to ten minutes.
const WATCH_SECONDS: u64 = 290;

/// A watch that ends sooner than this without having brought anything is taken for a failure, not for a timeout.
const TOO_SHORT: Duration = Duration::from_secs(1);

/// The API server sends a bookmark two seconds before a watch times out. A watch that must prove itself soon is
/// therefore asked to be short; below this many seconds a list is better.
const SHORTEST_WATCH: u64 = 8;

/// What changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// These are all objects; what else the store holds is gone.
    Restarted(Listed),
    /// This object is new or has changed.
    Applied(Value),
    /// This object is gone; its last state.
    Deleted(Value),
}

/// A list of objects, kept as text until each is looked at: as values, all of them together would take several times as
/// much, and be the most that the process ever takes.
#[derive(Debug, Clone, Default)]
pub struct Listed(Vec<Box<str>>);

impl Listed {
    fn push(&mut self, object: &Value) {
        self.0.push(object.to_string().into());
    }
}

impl From<Vec<Value>> for Listed {
    fn from(objects: Vec<Value>) -> Self {
        Self(objects.iter().map(|object| object.to_string().into()).collect())
    }
}

/// As the objects are, whatever the order of their fields.
impl PartialEq for Listed {
    fn eq(&self, other: &Self) -> bool {
        self.clone().into_iter().eq(other.clone())
    }
}

impl IntoIterator for Listed {
    type Item = Value;
    type IntoIter = std::iter::Map<std::vec::IntoIter<Box<str>>, fn(Box<str>) -> Value>;

    fn into_iter(self) -> Self::IntoIter {
        // It was written from a value.
        self.0.into_iter().map(|text| serde_json::from_str(&text).unwrap_or_default())
    }
}

/// What to watch.
#[derive(Debug, Clone)]
pub struct WatchConfig {
    /// The kind.
    pub resource: ApiResource,
    /// One namespace, or all.
    pub namespace: Option<String>,
    /// Label selector.
    pub labels: Option<String>,
    /// Field selector.
    pub fields: Option<String>,
    /// Ask for metadata only (the objects are then `{apiVersion, kind, metadata}`).
    pub metadata_only: bool,
    /// Drop `metadata.managedFields`, which is often half of an object and never decided by.
    pub drop_managed_fields: bool,
    /// Silence after which the store is stale.
    pub stale_after: Duration,
}

impl WatchConfig {
    /// All objects of a kind in all namespaces, whole but for `managedFields`.
    pub fn all(resource: ApiResource) -> Self {
        Self {
            resource,
            namespace: None,
            labels: None,
            fields: None,
            metadata_only: false,
            drop_managed_fields: true,
            stale_after: STALE_AFTER,
        }
    }
}

/// A list and watch that has not started.
pub struct Watch<S> {
    client: Client,
    config: WatchConfig,
    sink: S,
    freshness: Freshness,
    backoff: Backoff,
}

impl<S> std::fmt::Debug for Watch<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("config", &self.config)
            .field("freshness", &self.freshness)
            .finish_non_exhaustive()
    }
}

/// How one attempt ended.
#[derive(Debug)]
enum End {
    /// The API server ended the watch in the ordinary way.
    Done,
    /// It no longer knows our point in time.
    Gone,
    /// It does not know the kind.
    Missing,
    /// Anything else.
    Failed(String),
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMeta,
    /// The API server writes `null` for an empty list of metadata.
    #[serde(default)]
    items: Option<Vec<Box<RawValue>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PageMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    next: String,
}

impl<S> Watch<S>
where
    S: FnMut(Event) + Send,
{
    /// A watch that gives its events to `sink`, which must not block. The store's name is the kind's plural.
    pub fn new(client: Client, config: WatchConfig, sink: S) -> Self {
        let freshness = Freshness::new(config.resource.plural.clone(), config.stale_after);
        let backoff = Backoff::new(Duration::from_millis(250), LONGEST_WAIT);
        Self { client, config, sink, freshness, backoff }
    }

    /// The handle for readers of the store.
    pub fn freshness(&self) -> Freshness {
        self.freshness.clone()
    }

    /// Lists and watches until `shutdown`.
    ///
    /// # Errors
    /// None: whatever the API server does is a state of [`Freshness`]. The type is that of a task.
    pub async fn run(mut self, shutdown: Shutdown) -> anyhow::Result<()> {
        tokio::select! {
            () = shutdown.wait() => Ok(()),
            never = self.forever() => match never {},
        }
    }

    async fn forever(&mut self) -> std::convert::Infallible {
        let mut version: Option<String> = None;
        loop {
            let seconds = match version {
                Some(_) => self.watch_seconds(),
                None => Some(WATCH_SECONDS),
            };
            let end = match (version.take(), seconds) {
                (Some(from), Some(seconds)) => {
                    let (reached, end) = self.watch(from, seconds).await;
                    if !matches!(end, End::Gone | End::Missing) {
                        version = Some(reached);
                    }
                    end
                }
                _ => match self.list().await {
                    Ok(at) => {
                        self.backoff.reset();
                        version = Some(at);
                        End::Done
                    }
                    Err(end) => end,
                },
            };
            self.settle(end).await;
        }
    }

    /// How long the next watch may last so that its bookmark comes before the store is stale; `None` when a list is
    /// needed.
    fn watch_seconds(&self) -> Option<u64> {
        let quiet = self.freshness.quiet()?;
        let left = self.config.stale_after.checked_sub(quiet)?.as_secs() * 2 / 3;
        // Half of the limit is the longest gap that an ordinary watch's first bookmark, after 60 s, leaves room for.
        if quiet * 3 <= self.config.stale_after {
            // Spread, so that the watches of all kinds do not end together.
            return Some(WATCH_SECONDS + jitter(Duration::from_secs(20)).as_secs());
        }
        (left >= SHORTEST_WATCH).then_some(left)
    }

    /// Logs how an attempt ended and waits as that calls for.
    async fn settle(&mut self, end: End) {
        let kind = &self.config.resource.plural;
        let problem = match end {
            End::Done => return,
            End::Gone => {
                info!(%kind, "the API server has forgotten our point in time, listing again");
                "410 Gone".to_owned()
            }
            End::Missing => {
                if self.freshness.problem().is_none() {
                    warn!(%kind, "the API server does not know this kind; waiting for its CRD");
                }
                self.freshness.mark_missing();
                "404: the kind is not installed".to_owned()
            }
            End::Failed(problem) => {
                if self.freshness.problem().is_none() {
                    warn!(%kind, %problem, "list or watch failed, trying again");
                }
                problem
            }
        };
        self.freshness.mark_problem(problem);
        tokio::time::sleep(self.backoff.next_wait()).await;
    }

    fn request(&self) -> Request {
        let resource = &self.config.resource;
        let group = if resource.group.is_empty() { "api" } else { "apis" };
        let space =
            self.config.namespace.as_ref().map(|name| format!("/namespaces/{name}")).unwrap_or_default();
        Request::new(format!("/{group}/{}{space}/{}", resource.api_version, resource.plural))
    }

    /// One complete list. Gives the version to watch from.
    async fn list(&mut self) -> Result<String, End> {
        let asked = Instant::now();
        let mut items = Listed::default();
        let mut params = ListParams {
            label_selector: self.config.labels.clone(),
            field_selector: self.config.fields.clone(),
            limit: Some(PAGE),
            ..ListParams::default()
        };
        for _ in 0..MAX_PAGES {
            let page: Page = match self.page(&params).await {
                // The point in time of the first page was forgotten while we read the others: all at once then.
                Err(End::Gone) if params.continue_token.is_some() => {
                    items = Listed::default();
                    params.limit = None;
                    params.continue_token = None;
                    continue;
                }
                other => other?,
            };
            for item in page.items.into_iter().flatten() {
                let item = serde_json::from_str(item.get());
                let mut item = item.map_err(|error| End::Failed(format!("an item that is none: {error}")))?;
                self.complete(&mut item);
                items.push(&item);
            }
            if page.metadata.next.is_empty() {
                if page.metadata.resource_version.is_empty() {
                    return Err(End::Failed("wanted a list with a resourceVersion, found none".to_owned()));
                }
                debug!(kind = %self.config.resource.plural, objects = items.0.len(), "listed");
                (self.sink)(Event::Restarted(items));
                self.freshness.mark_listed(asked);
                return Ok(page.metadata.resource_version);
            }
            params.continue_token = Some(page.metadata.next);
        }
        Err(End::Failed(format!("wanted the end of the list, found more than {MAX_PAGES} pages")))
    }

    async fn page(&self, params: &ListParams) -> Result<Page, End> {
        let request = self.request();
        let request =
            if self.config.metadata_only { request.list_metadata(params) } else { request.list(params) };
        let request = request.map_err(|error| End::Failed(error.to_string()))?;
        match timeout(ANSWER, self.client.request_text(request)).await {
            Err(_) => Err(End::Failed(format!("no answer to a list within {} s", ANSWER.as_secs()))),
            Ok(Err(error)) => Err(end_of(error)),
            Ok(Ok(text)) => serde_json::from_str(&text)
                .map_err(|error| End::Failed(format!("a list that is none: {error}"))),
        }
    }

    /// One watch. Gives the version that was reached and how it ended.
    async fn watch(&mut self, from: String, seconds: u64) -> (String, End) {
        let begun = Instant::now();
        let params = WatchParams {
            label_selector: self.config.labels.clone(),
            field_selector: self.config.fields.clone(),
            timeout: u32::try_from(seconds).ok(),
            bookmarks: true,
            send_initial_events: false,
        };
        let request = self.request();
        let request = if self.config.metadata_only {
            request.watch_metadata(&params, &from)
        } else {
            request.watch(&params, &from)
        };
        let request = match request {
            Ok(request) => request,
            Err(error) => return (from, End::Failed(error.to_string())),
        };
        let stream = match timeout(ANSWER, self.client.request_events::<Value>(request)).await {
            Err(_) => {
                return (from, End::Failed(format!("no answer to a watch within {} s", ANSWER.as_secs())));
            }
            Ok(Err(error)) => return (from, end_of(error)),
            Ok(Ok(stream)) => stream,
        };
        let mut stream = std::pin::pin!(stream);
        // A bookmark is due every 60 s: a connection that is silent for longer is dead, even if nobody said so.
        // Leaves time to open another before the store is stale.
        let silence = self.config.stale_after * 7 / 9;
        let mut reached = from;
        let mut heard = false;
        loop {
            let event = match timeout(silence, stream.next()).await {
                Err(_) => {
                    let problem =
                        format!("no event or bookmark for {} s, connecting again", silence.as_secs());
                    return (reached, End::Failed(problem));
                }
                Ok(None) if heard || begun.elapsed() >= TOO_SHORT => return (reached, End::Done),
                Ok(None) => return (reached, End::Failed("the watch ended as soon as it began".to_owned())),
                Ok(Some(Err(error))) => return (reached, end_of(error)),
                Ok(Some(Ok(event))) => event,
            };
            match event {
                WatchEvent::Added(mut object) | WatchEvent::Modified(mut object) => {
                    advance(&mut reached, &object);
                    self.complete(&mut object);
                    (self.sink)(Event::Applied(object));
                }
                WatchEvent::Deleted(mut object) => {
                    advance(&mut reached, &object);
                    self.complete(&mut object);
                    (self.sink)(Event::Deleted(object));
                }
                WatchEvent::Bookmark(bookmark) => reached = bookmark.metadata.resource_version,
                WatchEvent::Error(status) => return (reached, end_of(kube::Error::Api(status))),
            }
            heard = true;
            self.freshness.mark_heard();
            self.backoff.reset();
        }
    }

    /// Gives an object its kind, which lists of built-in kinds leave out, and drops what nobody reads.
    fn complete(&self, object: &mut Value) {
        let Some(fields) = object.as_object_mut() else { return };
        let resource = &self.config.resource;
        fields.insert("apiVersion".to_owned(), Value::String(resource.api_version.clone()));
        fields.insert("kind".to_owned(), Value::String(resource.kind.clone()));
        if self.config.drop_managed_fields
            && let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut)
        {
            metadata.remove("managedFields");
        }
    }
}

fn advance(reached: &mut String, object: &Value) {
    if let Some(version) = object.pointer("/metadata/resourceVersion").and_then(Value::as_str) {
        version.clone_into(reached);
    }
}

fn end_of(error: kube::Error) -> End {
    match error {
        kube::Error::Api(status) if status.code == 410 => End::Gone,
        kube::Error::Api(status) if status.code == 404 => End::Missing,
        kube::Error::Api(status) => {
            End::Failed(format!("{} {}: {}", status.code, status.reason, status.message))
        }
        other => End::Failed(explain(&other)),
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
