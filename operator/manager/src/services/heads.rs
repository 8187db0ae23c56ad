//! The head of the log outside its volume: a `ConfigMap`, read by people, written by us.
//!
//! The `ConfigMap` `<release>-log-head` holds, each key written by one writer only and without touching the others:
//!
//! | key | what | by |
//! |---|---|---|
//! | `head` | JSON of [`Head`]: what the log must extend when it is opened | [`HeadStore::store`] |
//! | `vkey`, `receiptKeys`, `receiptKeyList` | public keys for auditors and the command line | [`ConfigMapHeads::publish_keys`] |
//! | `keyOrder`, `keyOrderAnswer` | see [`super::key_orders`] | a person, the operator |
//! | `begin` | why a successor log is to begin | a person: `placet evidence begin --because …` |
//! | `beginTaken` | that order while it is carried out, with the log that it ends | [`ConfigMapHeads::take_begin_order`] |
//! | `webhooksRemoved`, `webhooksRemovedRecord` | see [`super::uninstall`] | the uninstall Job, the operator |

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use kube::Client;
use placet_evidence::{Head, HeadError, HeadStore};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::runtime::{Handle, RuntimeFlavor};
use tracing::info;

use super::call::{self, PatchKind};

/// The field manager that owns `vkey`, `receiptKeys` and `receiptKeyList`.
pub const KEYS_MANAGER: &str = "placet-log-keys";

/// The field manager of all other writes to the `ConfigMap`.
pub const HEAD_MANAGER: &str = "placet-log-head";

/// Data keys of the `ConfigMap`; the module's text says what they hold.
pub mod keys {
    /// JSON of the head.
    pub const HEAD: &str = "head";
    /// The log's public key.
    pub const VKEY: &str = "vkey";
    /// Public keys that receipts verify with.
    pub const RECEIPT_KEYS: &str = "receiptKeys";
    /// What the log knows of receipt keys, distrusted ones included, as JSON.
    pub const RECEIPT_KEY_LIST: &str = "receiptKeyList";
    /// An order about receipt keys.
    pub const KEY_ORDER: &str = "keyOrder";
    /// What the operator said to the last one.
    pub const KEY_ORDER_ANSWER: &str = "keyOrderAnswer";
    /// Why a successor is to begin.
    pub const BEGIN: &str = "begin";
    /// The order that is being carried out.
    pub const BEGIN_TAKEN: &str = "beginTaken";
    /// What the uninstall Job removed.
    pub const WEBHOOKS_REMOVED: &str = "webhooksRemoved";
    /// Index of the record of that.
    pub const WEBHOOKS_REMOVED_RECORD: &str = "webhooksRemovedRecord";
}

/// How often a write is tried again when somebody else wrote in between.
const ATTEMPTS: usize = 5;

/// How long a blocking call may take in all. Its single calls have shorter ends; this one holds when the runtime
/// itself does not turn.
const WHOLE: Duration = Duration::from_secs(30);

/// The longest reason for a successor log, in bytes: it goes into a record, and a sentence is enough.
const MAX_REASON: usize = 500;

/// Name of the `ConfigMap` of a release.
pub fn config_map_name(release: &str) -> String {
    format!("{release}-log-head")
}

pub(super) fn config_map_path(namespace: &str, release: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps/{}", config_map_name(release))
}

/// The head in the `ConfigMap` `<release>-log-head`. Cheap to clone.
///
/// # Blocking
/// [`HeadStore`]'s functions block and are for the log's own threads and the thread that opens the log. The request
/// runs as a task of the runtime whose handle was given, and the caller waits for it, at most 30 s whatever happens:
/// - from a plain thread or inside `spawn_blocking`: as meant;
/// - from a task of a multi-threaded runtime: the worker is handed over first (`block_in_place`), so that the request
///   can proceed; better call from a blocking thread;
/// - from a task of a single-threaded runtime: the request cannot proceed while its caller blocks; an error after the
///   time is over, never a deadlock;
/// - after the runtime has ended: an error at once. Close the log before the runtime.
#[derive(Clone)]
pub struct ConfigMapHeads {
    map: ConfigMap,
    handle: Handle,
    whole: Duration,
}

impl std::fmt::Debug for ConfigMapHeads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConfigMapHeads({}/{})", self.map.namespace, self.map.name)
    }
}

/// A person's order to begin a successor log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginOrder {
    /// Why, in that person's words; it becomes part of the new log's first record.
    pub because: String,
}

/// The order while it is carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Taken {
    because: String,
    /// Origin of the log that it ends; absent when no head was known.
    ends: Option<String>,
}

impl ConfigMapHeads {
    /// The `ConfigMap` of this release. `handle` is that of the runtime in which `client` was made.
    pub fn new(client: Client, namespace: &str, release: &str, handle: Handle) -> Self {
        let map = ConfigMap {
            client,
            namespace: namespace.to_owned(),
            name: config_map_name(release),
            path: config_map_path(namespace, release),
        };
        Self { map, handle, whole: WHOLE }
    }

    pub(super) fn client(&self) -> &Client {
        &self.map.client
    }

    pub(super) fn path(&self) -> &str {
        &self.map.path
    }

    /// Namespace and name of the `ConfigMap`.
    pub(super) fn place(&self) -> (&str, &str) {
        (&self.map.namespace, &self.map.name)
    }

    /// Publishes the public keys: the log's verifier key, the text of `ReceiptKeys::to_text`, and what is known of each
    /// receipt key as JSON. By server-side apply under a field manager of its own, so that the head and a person's order
    /// stay.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub async fn publish_keys(
        &self,
        vkey: &str,
        receipt_keys: &str,
        key_list: &str,
    ) -> Result<(), HeadError> {
        let map = &self.map;
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": map.metadata(),
            "data": {keys::VKEY: vkey, keys::RECEIPT_KEYS: receipt_keys, keys::RECEIPT_KEY_LIST: key_list},
        });
        let path = format!("{}?fieldManager={KEYS_MANAGER}&force=true", map.path);
        call::patch(&map.client, &path, PatchKind::Apply, &object).await.map_err(said)?;
        Ok(())
    }

    /// The order to begin a successor log, if a person gave one. It is carried out exactly once, also when the process
    /// ends at any moment in between: taking it notes which log it ends, and an order whose log is no longer the
    /// newest has been carried out and is cleared. Call it before the log is opened, then `Log::begin_successor`, then
    /// [`Self::finish_begin_order`].
    ///
    /// # Errors
    /// When the `ConfigMap` cannot be read or written, or the order has no usable reason.
    pub async fn take_begin_order(&self) -> Result<Option<BeginOrder>, HeadError> {
        for _ in 0..ATTEMPTS {
            let Some(found) = self.map.get().await? else { return Ok(None) };
            let newest = found.head()?.map(|head| head.origin);
            if let Some(text) = found.data.get(keys::BEGIN_TAKEN) {
                let taken: Taken = serde_json::from_str(text)
                    .map_err(|error| self.map.malformed(keys::BEGIN_TAKEN, &error))?;
                if taken.ends == newest {
                    info!(because = %taken.because, "the order to begin a successor log was not yet carried out");
                    return Ok(Some(BeginOrder { because: taken.because }));
                }
                if self.map.write(&found, &json!({keys::BEGIN_TAKEN: null})).await? {
                    info!("the order to begin a successor log had been carried out");
                }
                continue;
            }
            let Some(because) = found.data.get(keys::BEGIN) else { return Ok(None) };
            let because = reason(because)?;
            let taken = Taken { because: because.clone(), ends: newest };
            let text = serde_json::to_string(&taken).map_err(|error| HeadError(error.to_string()))?;
            if self.map.write(&found, &json!({keys::BEGIN: null, keys::BEGIN_TAKEN: text})).await? {
                return Ok(Some(BeginOrder { because }));
            }
        }
        Err(self.map.contended())
    }

    /// Clears the order that was taken, once the successor log is open. Not calling it does no harm: the next
    /// [`Self::take_begin_order`] sees that the log's name has changed.
    ///
    /// # Errors
    /// When the `ConfigMap` cannot be read or written.
    pub async fn finish_begin_order(&self) -> Result<(), HeadError> {
        for _ in 0..ATTEMPTS {
            let Some(found) = self.map.get().await? else { return Ok(()) };
            if !found.data.contains_key(keys::BEGIN_TAKEN)
                || self.map.write(&found, &json!({keys::BEGIN_TAKEN: null})).await?
            {
                return Ok(());
            }
        }
        Err(self.map.contended())
    }

    /// Runs `work` on the runtime and waits for it; see the type's text.
    fn wait<T, F>(&self, work: F) -> Result<T, HeadError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, HeadError>> + Send + 'static,
    {
        let (answer, answered) = sync_channel(1);
        let task = self.handle.spawn(async move {
            // Nobody waits any more when the time is over.
            let _ = answer.send(work.await);
        });
        let receive = || answered.recv_timeout(self.whole);
        // Outside a runtime, and on its blocking threads, this only calls `receive`; on a worker of a multi-threaded
        // runtime it first lets another thread take the worker's place.
        let threaded =
            Handle::try_current().is_ok_and(|here| here.runtime_flavor() == RuntimeFlavor::MultiThread);
        let got = if threaded { tokio::task::block_in_place(receive) } else { receive() };
        match got {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => {
                task.abort();
                Err(HeadError(format!("no answer within {} s", self.whole.as_secs_f64())))
            }
            Err(RecvTimeoutError::Disconnected) => Err(HeadError("the operator is stopping".to_owned())),
        }
    }
}

impl HeadStore for ConfigMapHeads {
    fn load(&self) -> Result<Option<Head>, HeadError> {
        let map = self.map.clone();
        self.wait(async move { map.get().await?.map_or(Ok(None), |found| found.head()) })
    }

    fn store(&self, head: &Head) -> Result<(), HeadError> {
        let (map, head) = (self.map.clone(), head.clone());
        self.wait(async move { map.store(&head).await })
    }
}

#[derive(Clone)]
struct ConfigMap {
    client: Client,
    namespace: String,
    name: String,
    path: String,
}

/// The `ConfigMap` as it was read.
#[derive(Debug, Deserialize)]
struct Found {
    metadata: FoundMetadata,
    #[serde(default)]
    data: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundMetadata {
    name: String,
    resource_version: String,
}

impl Found {
    fn head(&self) -> Result<Option<Head>, HeadError> {
        let parse = |text: &String| {
            serde_json::from_str(text).map_err(|error| {
                HeadError(format!(
                    "key {:?} of ConfigMap {}: {error}; somebody else wrote it: restore it from a backup, or remove \
                     that key and begin a successor log: placet evidence begin --because \"…\"",
                    keys::HEAD,
                    self.metadata.name
                ))
            })
        };
        self.data.get(keys::HEAD).map(parse).transpose()
    }
}

impl ConfigMap {
    fn metadata(&self) -> Value {
        json!({"name": self.name, "namespace": self.namespace,
               "labels": {"app.kubernetes.io/managed-by": "placet-operator"}})
    }

    fn malformed(&self, key: &str, error: &serde_json::Error) -> HeadError {
        HeadError(format!(
            "key {key:?} of ConfigMap {}: {error}; remove that key and give the order again",
            self.name
        ))
    }

    fn contended(&self) -> HeadError {
        HeadError(format!(
            "ConfigMap {} was changed {ATTEMPTS} times while it was written; try again",
            self.name
        ))
    }

    async fn get(&self) -> Result<Option<Found>, HeadError> {
        call::get_opt(&self.client, &self.path).await.map_err(said)
    }

    /// Writes some keys (null removes one) if nothing else was written since `found` was read. Whether it was done.
    async fn write(&self, found: &Found, data: &Value) -> Result<bool, HeadError> {
        let change = json!({"metadata": {"resourceVersion": found.metadata.resource_version}, "data": data});
        let path = format!("{}?fieldManager={HEAD_MANAGER}", self.path);
        match call::patch(&self.client, &path, PatchKind::Merge, &change).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.code(), Some(409 | 404)) => Ok(false),
            Err(error) => Err(said(error)),
        }
    }

    async fn store(&self, head: &Head) -> Result<(), HeadError> {
        let text = serde_json::to_string(head).map_err(|error| HeadError(error.to_string()))?;
        let data = json!({keys::HEAD: text});
        for _ in 0..ATTEMPTS {
            let Some(found) = self.get().await? else {
                let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": self.metadata(), "data": data});
                let collection = self.path.rsplit_once('/').map_or(self.path.as_str(), |(dir, _)| dir);
                let path = format!("{collection}?fieldManager={HEAD_MANAGER}");
                match call::create(&self.client, &path, &object).await {
                    Ok(_) => return Ok(()),
                    Err(error) if error.code() == Some(409) => continue,
                    Err(error) => return Err(said(error)),
                }
            };
            let stored = found.head()?;
            if stored.as_ref() == Some(head) {
                return Ok(());
            }
            if let Some(stored) = stored {
                may_follow(&stored, head)?;
            }
            if self.write(&found, &data).await? {
                return Ok(());
            }
        }
        Err(self.contended())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that map_err wants")]
fn said(error: call::CallError) -> HeadError {
    HeadError(error.to_string())
}

/// A log's line and its ordinal in it: `placet.dev/x/3` is the third of `placet.dev/x`.
fn place(origin: &str) -> (&str, u64) {
    let successor = origin.rsplit_once('/').and_then(|(line, number)| {
        let ordinal = number.parse::<u64>().ok().filter(|n| *n > 1 && n.to_string() == number)?;
        Some((line, ordinal))
    });
    successor.unwrap_or((origin, 1))
}

/// Whether `new` may take the place of `stored`. What is refused here means that two processes believe to own the log,
/// or that one of them was set back.
fn may_follow(stored: &Head, new: &Head) -> Result<(), HeadError> {
    let ((line, ordinal), (new_line, new_ordinal)) = (place(&stored.origin), place(&new.origin));
    let refused = |why: &str| {
        Err(HeadError(format!(
            "wanted to replace {stored} by {new}: {why}; is another operator writing a log of this release?"
        )))
    };
    if line != new_line {
        // Another cluster's log, unless a person began it.
        return if new.begin.is_some() { Ok(()) } else { refused("they are different logs") };
    }
    if new_ordinal < ordinal {
        return refused("its successor has begun");
    }
    if new_ordinal > ordinal {
        return if new.begin.is_some() { Ok(()) } else { refused("nobody ordered a successor") };
    }
    if new.size < stored.size {
        return refused("it is smaller");
    }
    if new.size == stored.size && new.root != stored.root {
        return refused("it has the same size and another root");
    }
    Ok(())
}

/// The reason of an order, on one line.
fn reason(text: &str) -> Result<String, HeadError> {
    line_of(text).map_err(|(wanted, found)| {
        HeadError(format!(
            "the order to begin a successor log: wanted {wanted}, found {found}; give it again: placet evidence begin \
             --because \"…\""
        ))
    })
}

/// A reason on one line; otherwise what was wanted and what was found.
pub(super) fn line_of(text: &str) -> Result<String, (String, String)> {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let found = match line.len() {
        0 => "nothing".to_owned(),
        length if length > MAX_REASON => format!("{length} bytes"),
        _ if line.contains(char::is_control) => "a control character".to_owned(),
        _ => return Ok(line),
    };
    Err((format!("a reason of at most {MAX_REASON} bytes"), found))
}

#[cfg(test)]
#[path = "heads_tests.rs"]
mod tests;
