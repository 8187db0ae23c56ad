//! An own list and watch.
//!
//! kube-runtime's watcher hides bookmarks, and without them a quiet watch cannot be told from a dead one. This one
//! - lists consistently (no `resourceVersion`: the answer is as new as the question) and in pages, each as long as fits
//!   ([`super::watch_read`]), and keeps of each object what the store asks for while the page is read;
//! - watches from there with bookmarks, keeps every field of every object (raw JSON), and resumes after a broken
//!   connection where it stopped;
//! - starts again with a list when the API server has forgotten that point (410 Gone), or when the store is about to become
//!   stale, because a list proves freshness at once;
//! - believes a bookmark only if its version is newer than what was heard before: an API server that hears nothing of etcd
//!   any more goes on sending old ones;
//! - takes a kind that does not exist (a CRD that is not installed yet) for a state, not for an error.
//!
//! Events are handed to a synchronous sink before [`Freshness`] is told, so that a store that is called live holds
//! what it was heard of.

use std::time::Duration;

use http::{HeaderValue, Response, header};
use kube::Client;
use kube::api::{ListParams, WatchParams};
use kube::client::Body;
use kube::core::{Request, Status};
use kube::discovery::ApiResource;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, info, warn};

use super::backoff::{Backoff, jitter};
use super::client::explain;
use super::freshness::{Freshness, STALE_AFTER, StoreState};
use super::supervisor::Shutdown;
use super::watch_list::Listing;
pub use super::watch_list::{Listed, Room};
use super::watch_read::{self, Lines, OBJECT_BYTES, PAGE_BYTES, Turns, Whole};

/// Objects per page of a list: what the API server's own clients ask for, and fewer where so many are too long to be read
/// at once.
const LIMITS: [u32; 4] = [500, 60, 8, 1];

/// After a page that was too long so many are asked for that are as short as what came instead.
const SHORT_PAGES: u32 = 8;

/// More pages than this is not a list but a loop.
const MAX_PAGES: usize = 50_000;

/// So often a list begins again when the API server forgets its point in time between two pages.
const MAX_BEGINNINGS: u32 = 3;

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
    /// Makes of an object's JSON what is kept of it.
    pub keep: fn(&str) -> serde_json::Result<Value>,
    /// How much of one namespace's objects a list may hold.
    pub room: Option<Room>,
    /// Turns at reading what is long, to be shared by all watches of a process.
    pub turns: Turns,
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
            keep: |text| serde_json::from_str(text),
            room: None,
            turns: Turns::default(),
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
    /// That the store is stale was said.
    told_stale: bool,
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
    /// Nothing came for so long that the connection may be dead. Ordinary where nothing changes: an API server whose etcd
    /// reports no progress has no bookmarks for such kinds.
    Quiet(Duration),
    /// Anything else.
    Failed(String),
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: PageMeta,
    /// The API server writes `null` for an empty list of metadata.
    #[serde(default, borrow)]
    items: Option<Vec<&'a RawValue>>,
}

/// One line of a watch.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    what: Box<str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// What of an object is needed although it may not be kept.
#[derive(Deserialize)]
struct Versioned {
    #[serde(default)]
    metadata: PageMeta,
}

/// What a line of a watch says.
enum Said {
    Event { version: String, event: Event },
    Bookmark(String),
    End(End),
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
        Self { client, config, sink, freshness, backoff, told_stale: false }
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
        let quiet = self.freshness.quiet().filter(|_| !self.freshness.is_doubted())?;
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
        let state = self.freshness.state();
        let silent = matches!(state, StoreState::Stale { .. } | StoreState::Doubted);
        if silent && !self.told_stale {
            warn!(%kind, %state, "nothing is decided by this store before it is heard of again");
        }
        self.told_stale = silent;
        let problem = match end {
            End::Done => return,
            End::Quiet(silence) => {
                debug!(%kind, seconds = silence.as_secs(), "no event or bookmark, asking again");
                return;
            }
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
        let mut listing = Listing::default();
        let mut params = ListParams {
            label_selector: self.config.labels.clone(),
            field_selector: self.config.fields.clone(),
            ..ListParams::default()
        };
        let (mut size, mut short_pages, mut beginnings) = (0, 0, 1);
        for _ in 0..MAX_PAGES {
            params.limit = Some(LIMITS[size]);
            let (meta, bytes) = match self.page(&params, &mut listing).await {
                // The point in time of the first page was forgotten while we read the others. Without pages it could not
                // be, but then nothing bounds what comes.
                Err(End::Gone) if params.continue_token.is_some() && beginnings < MAX_BEGINNINGS => {
                    beginnings += 1;
                    listing = Listing::default();
                    params.continue_token = None;
                    continue;
                }
                Ok(None) => {
                    // Of one object what is read is larger, and more is an error.
                    size = (size + 1).min(LIMITS.len() - 1);
                    short_pages = SHORT_PAGES;
                    continue;
                }
                Ok(Some(page)) => page,
                Err(end) => return Err(end),
            };
            if meta.next.is_empty() {
                if meta.resource_version.is_empty() {
                    return Err(End::Failed("wanted a list with a resourceVersion, found none".to_owned()));
                }
                let kind = &self.config.resource.plural;
                debug!(%kind, objects = listing.len(), "listed");
                if listing.left_out > 0 {
                    let objects = listing.left_out;
                    warn!(%kind, objects, "left out, of namespaces that have more than is remembered");
                }
                (self.sink)(Event::Restarted(listing.done()));
                self.freshness.mark_listed(asked);
                return Ok(meta.resource_version);
            }
            params.continue_token = Some(meta.next);
            short_pages = short_pages.saturating_sub(1);
            // The next step is eight times as many objects.
            if short_pages == 0 && bytes < PAGE_BYTES / 8 {
                size = size.saturating_sub(1);
            }
        }
        Err(End::Failed(format!("wanted the end of the list, found more than {MAX_PAGES} pages")))
    }

    /// Reads a page into the listing. Gives what is said of the list, and how many bytes were read; nothing if they were too
    /// many and fewer objects have to be asked for.
    async fn page(
        &self,
        params: &ListParams,
        listing: &mut Listing,
    ) -> Result<Option<(PageMeta, usize)>, End> {
        let request = self.request();
        let request =
            if self.config.metadata_only { request.list_metadata(params) } else { request.list(params) };
        let request = request.map_err(|error| End::Failed(error.to_string()))?;
        let late = |_| End::Failed(format!("no answer to a list within {} s", ANSWER.as_secs()));
        let response = timeout(ANSWER, self.send(request)).await.map_err(late)??;
        let alone = params.limit == LIMITS.last().copied();
        let most = if alone { OBJECT_BYTES } else { PAGE_BYTES };
        let _turn = self.config.turns.take().await;
        let body = timeout(ANSWER, watch_read::whole(response.into_body(), most)).await.map_err(late)?;
        let text = match body.map_err(End::Failed)? {
            Whole::Yes(text) => text,
            Whole::No(beginning) if alone => {
                let name = watch_read::name_of(&beginning);
                return Err(End::Failed(format!(
                    "wanted objects of at most {OBJECT_BYTES} bytes, found a larger one: {name}; nothing is decided by this \
                     store while it is there"
                )));
            }
            Whole::No(_) => return Ok(None),
        };
        let page: Page<'_> = serde_json::from_slice(&text)
            .map_err(|error| End::Failed(format!("a list that is none: {error}")))?;
        for item in page.items.into_iter().flatten() {
            let item = (self.config.keep)(item.get());
            let mut item = item.map_err(|error| End::Failed(format!("an item that is none: {error}")))?;
            self.complete(&mut item);
            listing.push(item, self.config.room);
        }
        Ok(Some((page.metadata, text.len())))
    }

    /// Sends a request. An answer that is a failure is an end.
    async fn send(&self, request: http::Request<Vec<u8>>) -> Result<Response<Body>, End> {
        let response = self.client.send(request.map(Body::from)).await.map_err(|error| end_of(&error))?;
        let code = response.status();
        if !code.is_client_error() && !code.is_server_error() {
            return Ok(response);
        }
        let text = watch_read::beginning(response.into_body()).await;
        // A proxy on the way does not speak JSON.
        let status = serde_json::from_slice::<Status>(&text).unwrap_or_else(|_| {
            Status::failure(&String::from_utf8_lossy(&text), "no answer of an API server")
                .with_code(code.as_u16())
        });
        Err(end_with(&status))
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
        let mut request = match request {
            Ok(request) => request,
            Err(error) => return (from, End::Failed(error.to_string())),
        };
        // API servers from 1.37 on compress each event by itself, of which our client reads the first.
        request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let mut doubts = self.freshness.doubts();
        // Nobody who cannot say anything in time keeps a list from being asked for before the store is stale.
        let left = self.config.stale_after.saturating_sub(self.freshness.quiet().unwrap_or_default());
        let patience = (left * 2 / 3).clamp(Duration::from_secs(SHORTEST_WATCH), ANSWER);
        let response = match timeout(patience, self.send(request)).await {
            Err(_) => {
                return (from, End::Failed(format!("no answer to a watch within {} s", patience.as_secs())));
            }
            Ok(Err(end)) => return (from, end),
            Ok(Ok(response)) => response,
        };
        let mut lines = Lines::new(response.into_body(), self.config.turns.clone());
        // A bookmark is due every 60 s: a connection that is silent for longer may be dead, even if nobody said so.
        // Leaves time to open another before the store is stale.
        let silence = self.config.stale_after * 7 / 9;
        let mut reached = from;
        let (mut heard, mut moved) = (false, begun);
        loop {
            let next = tokio::select! {
                _ = doubts.changed() => return (reached, End::Quiet(moved.elapsed())),
                next = timeout_at(moved + silence, lines.next(|line| self.said(line))) => next,
            };
            let said = match next {
                Err(_) => return (reached, End::Quiet(silence)),
                Ok(Ok(None)) if heard || begun.elapsed() >= TOO_SHORT => return (reached, End::Done),
                Ok(Ok(None)) => {
                    return (reached, End::Failed("the watch ended as soon as it began".to_owned()));
                }
                Ok(Err(problem)) => return (reached, End::Failed(problem)),
                Ok(Ok(Some(said))) => said,
            };
            let version = match said {
                Said::Event { version, event } => {
                    (self.sink)(event);
                    version
                }
                Said::Bookmark(version) => version,
                Said::End(end) => return (reached, end),
            };
            heard = true;
            self.backoff.reset();
            // An API server that is cut off from etcd, or whose etcd is cut off from the others, goes on sending bookmarks:
            // only one that is newer than the last says that nothing else happened.
            if is_newer(&version, &reached) {
                reached = version;
                moved = Instant::now();
                self.freshness.mark_heard();
            }
        }
    }

    /// Reads one line of a watch.
    fn said(&self, line: &[u8]) -> Said {
        let wrong =
            |error: serde_json::Error| Said::End(End::Failed(format!("an event that is none: {error}")));
        let Line { what, object } = match serde_json::from_slice(line) {
            Ok(line) => line,
            Err(error) => {
                return match serde_json::from_slice::<Status>(line) {
                    Ok(status) => Said::End(end_with(&status)),
                    Err(_) => wrong(error),
                };
            }
        };
        let version = || Ok(serde_json::from_str::<Versioned>(object.get())?.metadata.resource_version);
        let event = || -> serde_json::Result<(String, Value)> {
            let mut kept = (self.config.keep)(object.get())?;
            self.complete(&mut kept);
            Ok((version()?, kept))
        };
        let said = match &*what {
            "ADDED" | "MODIFIED" => {
                event().map(|(version, object)| Said::Event { version, event: Event::Applied(object) })
            }
            "DELETED" => {
                event().map(|(version, object)| Said::Event { version, event: Event::Deleted(object) })
            }
            "BOOKMARK" => version().map(Said::Bookmark),
            "ERROR" => serde_json::from_str(object.get()).map(|status| Said::End(end_with(&status))),
            other => Ok(Said::End(End::Failed(format!("an event of the unknown type {other:?}")))),
        };
        said.unwrap_or_else(wrong)
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

/// Whether a resourceVersion is later than another of the same kind. They are numbers that grow (KEP-5504); of an API server
/// for which they are not, each that is another one counts.
fn is_newer(version: &str, than: &str) -> bool {
    match (version.parse::<u64>(), than.parse::<u64>()) {
        (Ok(version), Ok(than)) => version > than,
        _ => !version.is_empty() && version != than,
    }
}

fn end_of(error: &kube::Error) -> End {
    match error {
        kube::Error::Api(status) => end_with(status),
        other => End::Failed(explain(other)),
    }
}

fn end_with(status: &Status) -> End {
    match status.code {
        410 => End::Gone,
        404 => End::Missing,
        code => End::Failed(format!("{code} {}: {}", status.reason, status.message)),
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "watch_large_tests.rs"]
mod large_tests;
