//! Uninstalling: the webhooks go first, then the holds, then it is recorded.
//!
//! The pre-delete Job ([`uninstall`]) does the work. It cannot append to the log, which one process holds; so it leaves
//! a note in the `ConfigMap` of the log's head, and the operator ([`record_removal`]), which still runs, appends the
//! record `webhooks.removed` and writes its index beside the note. If the operator is gone, the note waits for it: it
//! becomes a record when an operator next starts on this log. A note is recorded once or, if the process ends between
//! record and acknowledgement, twice; never not at all.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::Client;
use placet_api::keys::HOLD_GATE;
use placet_evidence::{NewRecord, Payload, Subject, WebhooksRemoved};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tracing::{info, warn};

use super::call::{self, CallError, PatchKind};
use super::heads::{ConfigMapHeads, HEAD_MANAGER, config_map_path, keys};
use super::key_orders::watched;
use super::owner::configurations;
use crate::config::WEBHOOKS;
use crate::infra::backoff::Backoff;
use crate::infra::clock::Clock;
use crate::infra::supervisor::Shutdown;
use crate::infra::watch::{Event, Watch};
use crate::ledger::Ledger;

/// Pods asked for at a time.
const PAGE: usize = 500;
/// Holds lifted at once: quick for thousands of pods, little for the API server.
const AT_ONCE: usize = 16;
/// How often the pods are listed: a pod that was on its way through the webhook when that went may appear after the
/// first list with our gate.
const PASSES: usize = 5;
/// Between two lists; API servers notice within about a second that a webhook is gone.
const BETWEEN: Duration = Duration::from_secs(2);
/// Attempts at one pod whose other gates change meanwhile.
const ATTEMPTS: usize = 4;
/// How long to wait for the operator's record.
const RECORD: Duration = Duration::from_secs(10);
/// How often to look whether it is there.
const LOOK: Duration = Duration::from_millis(500);
/// Problems that are listed; the number of all is always told.
const LISTED: usize = 20;

/// What the Job tells the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovalNote {
    /// When.
    pub at: Timestamp,
    /// What did it.
    pub by: String,
    /// Names of the configurations.
    pub names: Vec<String>,
    /// Holds lifted.
    pub lifted: u64,
}

/// Whether the removal is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// There was nothing to record.
    Nothing,
    /// It is, at this index.
    Recorded(String),
    /// The note waits for the operator's next start.
    Waiting,
    /// This release never had a log.
    NoLog,
    /// The note could not be left.
    Failed(String),
}

/// What an uninstallation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Names of the configurations that were removed.
    pub removed: Vec<String>,
    /// Holds lifted.
    pub lifted: u64,
    /// Holds that could not be lifted, with the reason; more than these are counted in `failed`.
    pub problems: Vec<String>,
    /// Holds that could not be lifted.
    pub failed: u64,
    /// Whether it is recorded.
    pub noted: Noted,
}

/// What the pre-delete Job runs. `now` is the time that is recorded. Running it again changes nothing.
///
/// # Errors
/// When a webhook configuration cannot be removed or a hold cannot be lifted; then the release must stay, or pods would
/// be refused or wait with nobody to answer. A record that could not be ordered is a warning.
pub async fn uninstall(
    client: &Client,
    namespace: &str,
    release: &str,
    now: Timestamp,
) -> anyhow::Result<()> {
    let outcome = remove(client, namespace, release, now).await?;
    info!(webhooks = ?outcome.removed, lifted = outcome.lifted, "removed the webhooks and lifted the holds");
    match &outcome.noted {
        Noted::Nothing => info!("there was nothing to record"),
        Noted::Recorded(index) => info!(index, "the evidence log says so"),
        Noted::Waiting => warn!("the record will be written when the operator next starts on this log"),
        Noted::NoLog => info!("this release has no evidence log, nothing is recorded"),
        Noted::Failed(reason) => warn!(reason, "the removal could not be noted and will not be recorded"),
    }
    if outcome.failed == 0 {
        return Ok(());
    }
    let mut text = format!("{} holds could not be lifted:", outcome.failed);
    for problem in &outcome.problems {
        let _ = write!(text, "\n  {problem}");
    }
    if outcome.failed > outcome.problems.len() as u64 {
        text.push_str("\n  …");
    }
    let _ = write!(
        text,
        "\nwanted every pod free of the scheduling gate {HOLD_GATE}; run the uninstallation again"
    );
    anyhow::bail!(text)
}

/// Removes the webhook configurations, lifts all holds, and orders the record.
///
/// # Errors
/// When a configuration cannot be removed, or the pods cannot be listed.
pub async fn remove(
    client: &Client,
    namespace: &str,
    release: &str,
    now: Timestamp,
) -> Result<Outcome, CallError> {
    let mut removed = Vec::new();
    for ((path, _), name) in configurations(WEBHOOKS[0], WEBHOOKS[1]).iter().zip(WEBHOOKS) {
        if call::delete(client, path).await? {
            removed.push(name.to_owned());
        }
    }
    let mut lifting = Lifting::default();
    let listed = lifting.run(client, removed.is_empty()).await;
    let Lifting { lifted, mut problems } = lifting;
    // Also when the pods could not be listed: that the webhooks went is true, and the next run would not know it.
    let noted = if removed.is_empty() && lifted == 0 {
        Noted::Nothing
    } else {
        let note =
            RemovalNote { at: now, by: format!("{release}-uninstall"), names: removed.clone(), lifted };
        leave_note(client, &config_map_path(namespace, release), note).await
    };
    listed?;
    let failed = problems.len() as u64;
    problems.truncate(LISTED);
    Ok(Outcome { removed, lifted, problems, failed, noted })
}

/// Lifting holds, as far as it has come.
#[derive(Debug, Default)]
struct Lifting {
    lifted: u64,
    /// Of the last pass.
    problems: Vec<String>,
}

impl Lifting {
    /// Lists and lifts until a list has none; `settled` when no webhook went just now, so that the first list counts.
    async fn run(&mut self, client: &Client, settled: bool) -> Result<(), CallError> {
        for pass in 0..PASSES {
            let held = held_pods(client).await?;
            self.problems.clear();
            if held.is_empty() && (pass > 0 || settled) {
                return Ok(());
            }
            let lifting = futures::stream::iter(held).map(|pod| lift(client, pod));
            for result in lifting.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await {
                match result {
                    Ok(done) => self.lifted += u64::from(done),
                    Err(problem) => self.problems.push(problem),
                }
            }
            if pass + 1 < PASSES {
                tokio::time::sleep(BETWEEN).await;
            }
        }
        Ok(())
    }
}

#[derive(Debug, Deserialize)]
struct Page {
    metadata: PageMetadata,
    // Empty lists may be null.
    items: Option<Vec<Pod>>,
}

#[derive(Debug, Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

/// What matters of a pod.
#[derive(Debug, Deserialize)]
struct Pod {
    metadata: PodMetadata,
    #[serde(default)]
    spec: PodSpec,
}

#[derive(Debug, Deserialize)]
struct PodMetadata {
    namespace: String,
    name: String,
    uid: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSpec {
    #[serde(default)]
    scheduling_gates: Vec<Gate>,
}

#[derive(Debug, Deserialize)]
struct Gate {
    name: String,
}

impl Pod {
    fn gate(&self) -> Option<usize> {
        self.spec.scheduling_gates.iter().position(|gate| gate.name == HOLD_GATE)
    }

    fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/pods/{}", self.metadata.namespace, self.metadata.name)
    }
}

/// All pods with our gate. No field selector narrows the list: the phase that one could ask for is status, which others
/// may write.
async fn held_pods(client: &Client) -> Result<Vec<Pod>, CallError> {
    let mut held = Vec::new();
    let mut next = String::new();
    loop {
        let path = if next.is_empty() {
            format!("/api/v1/pods?limit={PAGE}")
        } else {
            format!("/api/v1/pods?limit={PAGE}&continue={}", escape(&next))
        };
        let page: Page = call::get(client, &path).await?;
        held.extend(page.items.unwrap_or_default().into_iter().filter(|pod| pod.gate().is_some()));
        next = page.metadata.next.unwrap_or_default();
        if next.is_empty() {
            return Ok(held);
        }
    }
}

/// Percent-encodes all that is not unreserved in a query.
fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// Lifts the hold of one pod. Whether this call did it: the pod may be gone, or somebody else was first.
async fn lift(client: &Client, mut pod: Pod) -> Result<bool, String> {
    let path = pod.path();
    let said = |problem: String| format!("pod {}/{}: {problem}", pod.metadata.namespace, pod.metadata.name);
    let uid = pod.metadata.uid.clone();
    let mut gate = pod.gate();
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        let Some(index) = gate else { return Ok(false) };
        let at = format!("/spec/schedulingGates/{index}");
        let change = json!([
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "test", "path": at, "value": {"name": HOLD_GATE}},
            {"op": "remove", "path": at},
        ]);
        match call::patch(client, &path, PatchKind::Json, &change).await {
            Ok(_) => return Ok(true),
            Err(error) if error.code() == Some(404) => return Ok(false),
            Err(error) => last = error.to_string(),
        }
        // A test failed (others lift gates too) or the call did: look again.
        match call::get_opt::<Pod>(client, &path).await {
            Ok(Some(found)) if found.metadata.uid == uid => pod.spec = found.spec,
            Ok(_) => return Ok(false),
            Err(error) => return Err(said(error.to_string())),
        }
        gate = pod.spec.scheduling_gates.iter().position(|gate| gate.name == HOLD_GATE);
    }
    Err(said(last))
}

fn text_of<'a>(map: &'a Value, key: &str) -> Option<&'a str> {
    map["data"][key].as_str()
}

/// The note that no record tells of yet.
fn open_note(map: &Value) -> Option<&str> {
    let recorded = text_of(map, keys::WEBHOOKS_REMOVED_RECORD).is_some();
    text_of(map, keys::WEBHOOKS_REMOVED).filter(|_| !recorded)
}

/// Leaves the note and waits for the record.
async fn leave_note(client: &Client, path: &str, note: RemovalNote) -> Noted {
    match write_note(client, path, note).await {
        Ok(true) => {}
        Ok(false) => return Noted::NoLog,
        Err(error) => return Noted::Failed(error.to_string()),
    }
    let record = async {
        loop {
            // The Job's answer does not depend on one read.
            if let Ok(Some(map)) = call::get_opt::<Value>(client, path).await
                && let Some(index) = text_of(&map, keys::WEBHOOKS_REMOVED_RECORD)
            {
                return index.to_owned();
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(RECORD, record).await.map_or(Noted::Waiting, Noted::Recorded)
}

/// Writes the note, joined with one that waits. False when there is no `ConfigMap`, hence no log.
async fn write_note(client: &Client, path: &str, mut note: RemovalNote) -> Result<bool, CallError> {
    let target = format!("{path}?fieldManager={HEAD_MANAGER}");
    let mut attempt = 0;
    loop {
        attempt += 1;
        let Some(map) = call::get_opt::<Value>(client, path).await? else { return Ok(false) };
        if let Some(old) = open_note(&map).and_then(|text| serde_json::from_str::<RemovalNote>(text).ok()) {
            let names: BTreeSet<_> = old.names.into_iter().chain(note.names).collect();
            note = RemovalNote {
                at: old.at.max(note.at),
                names: names.into_iter().collect(),
                lifted: old.lifted.saturating_add(note.lifted),
                by: note.by,
            };
        }
        let change = json!({
            "metadata": {"resourceVersion": map["metadata"]["resourceVersion"]},
            "data": {keys::WEBHOOKS_REMOVED: json!(note).to_string(), keys::WEBHOOKS_REMOVED_RECORD: null},
        });
        match call::patch(client, &target, PatchKind::Merge, &change).await {
            Ok(_) => return Ok(true),
            Err(error) if error.code() == Some(409) && attempt < ATTEMPTS => {}
            Err(error) => return Err(error),
        }
    }
}

/// Watches for the Job's note until `shutdown`, and makes it a record. Beside the watch nothing is asked until there is
/// a note.
///
/// # Errors
/// None; the type is that of a task.
pub async fn record_removal(
    heads: Arc<ConfigMapHeads>,
    ledger: Arc<Ledger>,
    clock: Clock,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let bell = Arc::new(Notify::new());
    let ring = Arc::clone(&bell);
    let watch = Watch::new(heads.client().clone(), watched(&heads), move |event| {
        let objects = match event {
            Event::Restarted(objects) => objects.into_iter().collect(),
            Event::Applied(object) => vec![object],
            Event::Deleted(_) => return,
        };
        if objects.iter().any(|map| open_note(map).is_some()) {
            ring.notify_one();
        }
    });
    let record = async {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        loop {
            bell.notified().await;
            match record_once(heads.client(), heads.path(), &ledger, &clock).await {
                Ok(recorded) => {
                    if let Some(index) = recorded {
                        info!(index, "recorded that the webhooks were removed");
                    }
                    backoff.reset();
                }
                Err(problem) => {
                    warn!(%problem, "that the webhooks were removed could not be recorded yet");
                    tokio::time::sleep(backoff.next_wait()).await;
                    bell.notify_one();
                }
            }
        }
    };
    tokio::select! {
        ended = watch.run(shutdown) => ended,
        never = record => never,
    }
}

/// Records the note that waits, if one does. The index of the record.
async fn record_once(
    client: &Client,
    path: &str,
    ledger: &Ledger,
    clock: &Clock,
) -> Result<Option<u64>, anyhow::Error> {
    let Some(map) = call::get_opt::<Value>(client, path).await? else { return Ok(None) };
    let Some(text) = open_note(&map) else { return Ok(None) };
    let note: RemovalNote = serde_json::from_str(text).map_err(|error| {
        anyhow::anyhow!(
            "key {:?} of the ConfigMap of the log's head: {error}; remove it",
            keys::WEBHOOKS_REMOVED
        )
    })?;
    // A record's time is when it was written; the note's own time is in the reason, which is not free text.
    let reason = format!("uninstall at {}, {} holds lifted", note.at, note.lifted);
    let body = WebhooksRemoved { names: note.names, reason };
    let record = NewRecord::new(clock.now(), Subject::log(), Payload::WebhooksRemoved(body));
    let index = ledger.append(record).await?.index;
    // Only beside the note that was recorded: another one may have been left meanwhile.
    let change = json!([
        {"op": "test", "path": format!("/data/{}", keys::WEBHOOKS_REMOVED), "value": text},
        {"op": "add", "path": format!("/data/{}", keys::WEBHOOKS_REMOVED_RECORD), "value": index.to_string()},
    ]);
    call::patch(client, &format!("{path}?fieldManager={HEAD_MANAGER}"), PatchKind::Json, &change).await?;
    Ok(Some(index))
}

#[cfg(test)]
#[path = "uninstall_tests.rs"]
mod tests;
