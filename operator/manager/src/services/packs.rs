//! Policy packs: the ReleasePolicy and ApprovalRole documents of a directory, applied once the operator is ready.
//!
//! They are not part of the chart's own objects because its webhook would have to answer for them before it runs. Each
//! document is applied by server-side apply under a field manager of its own and without force: a field that somebody
//! else has changed since is theirs, the object is left as it is, and the log says who keeps it. What is no longer in
//! the directory stays in the cluster: removing a policy is a decision of people.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use kube::Client;
use placet_api::keys::{GROUP, VERSION};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::Value;
use tracing::{error, info, warn};

use super::call::{self, CallError, PatchKind};
use crate::infra::backoff::Backoff;
use crate::infra::supervisor::Shutdown;

/// The kind of policies.
const POLICY: &str = "ReleasePolicy";

/// The field manager of what packs bring.
pub const FIELD_MANAGER: &str = "placet-packs";

/// Name of the metric, without the registry's prefix: documents by what became of them.
pub const METRIC: &str = "pack_documents";

/// Largest file in bytes: a `ConfigMap` holds no more than 1 MiB in all.
const MAX_FILE: u64 = 1 << 20;
/// Files that are read.
const MAX_FILES: usize = 200;
/// Documents that wait longer than this are not waited for: in its first seconds an operator's webhooks are not called yet.
const LONG: Duration = Duration::from_secs(60);
/// How often readiness is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What became of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// Not yet applied; the reason of the last attempt.
    Waiting(Option<String>),
    /// Applied.
    Applied,
    /// Somebody else owns a field.
    Kept,
    /// Not a document of a pack, or one that the API server will not take.
    Refused,
}

impl Fate {
    const NAMES: [&'static str; 4] = ["waiting", "applied", "kept", "refused"];

    fn name(&self) -> &'static str {
        match self {
            Self::Waiting(_) => "waiting",
            Self::Applied => "applied",
            Self::Kept => "kept",
            Self::Refused => "refused",
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FateLabel {
    fate: &'static str,
}

static DOCUMENTS: LazyLock<Family<FateLabel, Gauge>> = LazyLock::new(Family::default);

/// Adds the metric to a registry.
pub fn register(registry: &mut Registry) {
    registry.register(METRIC, "Documents of policy packs by what became of them", DOCUMENTS.clone());
}

/// A document of a pack.
#[derive(Debug, Clone, PartialEq)]
struct Document {
    /// File and number, for messages.
    place: String,
    kind: &'static str,
    name: String,
    path: String,
    object: Value,
}

/// Applies the directory once `ready`, then waits for `shutdown`. What the API server cannot take now is tried again;
/// what it will never take, and what is no document of a pack, is an error in the log and in the metric. `tried` is told the
/// names of the policies that were applied, once no document waits or some do for long.
///
/// # Errors
/// None; the type is that of a task.
pub async fn apply_when<R, T, F>(
    client: Client,
    dir: PathBuf,
    ready: R,
    tried: T,
    shutdown: Shutdown,
) -> anyhow::Result<()>
where
    R: Fn() -> bool + Send,
    T: FnOnce(Vec<String>) -> F + Send,
    F: Future<Output = ()> + Send,
{
    let work = async {
        while !ready() {
            tokio::time::sleep(LOOK).await;
        }
        apply_all(&client, dir, tried).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = shutdown.wait() => {}
        () = work => {}
    }
    Ok(())
}

/// Applies the directory. Returns when nothing waits any more: the names of the documents with what became of them.
async fn apply_all<T, F>(client: &Client, dir: PathBuf, tried: T) -> BTreeMap<String, &'static str>
where
    T: FnOnce(Vec<String>) -> F + Send,
    F: Future<Output = ()> + Send,
{
    let shown = dir.display().to_string();
    let read = tokio::task::spawn_blocking(move || read_dir(&dir)).await.map_err(io::Error::other);
    let (documents, refused) = match read.and_then(|result| result) {
        Ok(read) => read,
        Err(problem) => {
            error!(dir = shown, %problem, "the policy packs cannot be read; wanted a directory of YAML files");
            (Vec::new(), vec![shown])
        }
    };
    let mut fates: Vec<_> = documents.iter().map(|_| Fate::Waiting(None)).collect();
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(300));
    let (begun, mut tried) = (tokio::time::Instant::now(), Some(tried));
    loop {
        for (document, fate) in documents.iter().zip(&mut fates) {
            if matches!(fate, Fate::Waiting(_)) {
                *fate = apply(client, document, fate).await;
            }
        }
        count(&fates, refused.len());
        let waits = fates.iter().any(|fate| matches!(fate, Fate::Waiting(_)));
        if let Some(tried) = tried.take_if(|_| !waits || begun.elapsed() >= LONG) {
            let fates = documents.iter().zip(&fates);
            let applied = fates.filter(|(d, fate)| d.kind == POLICY && **fate == Fate::Applied);
            tried(applied.map(|(document, _)| document.name.clone()).collect()).await;
        }
        if !waits {
            break;
        }
        tokio::time::sleep(backoff.next_wait()).await;
    }
    let done = documents.iter().zip(&fates).map(|(document, fate)| (document.name.clone(), fate.name()));
    done.chain(refused.into_iter().map(|place| (place, Fate::Refused.name()))).collect()
}

fn count(fates: &[Fate], refused: usize) {
    for name in Fate::NAMES {
        let mut number = fates.iter().filter(|fate| fate.name() == name).count();
        if name == Fate::Refused.name() {
            number += refused;
        }
        DOCUMENTS.get_or_create(&FateLabel { fate: name }).set(i64::try_from(number).unwrap_or(i64::MAX));
    }
}

async fn apply(client: &Client, document: &Document, before: &Fate) -> Fate {
    let (kind, name, place) = (document.kind, &document.name, &document.place);
    let target = format!("{}?fieldManager={FIELD_MANAGER}&force=false", document.path);
    let Err(error) = call::patch(client, &target, PatchKind::Apply, &document.object).await else {
        info!(kind, name, place, "applied");
        return Fate::Applied;
    };
    if let Some((managers, fields)) = owners(&error) {
        info!(kind, name, place, fields, "kept: changed by {managers}");
        return Fate::Kept;
    }
    // 403 also comes from webhooks that will answer otherwise when they are well; 404 from a kind that is not there yet.
    if matches!(error.code(), Some(400 | 413 | 415 | 422)) {
        error!(kind, name, place, %error, "the API server does not take this document; correct the pack");
        return Fate::Refused;
    }
    let reason = error.to_string();
    if *before != Fate::Waiting(Some(reason.clone())) {
        warn!(kind, name, place, %error, "could not be applied yet, trying again");
    }
    Fate::Waiting(Some(reason))
}

/// Who owns the fields of a conflict, and which these are.
fn owners(error: &CallError) -> Option<(String, String)> {
    let CallError::Refused { status, .. } = error else { return None };
    let causes = &status.details.as_ref()?.causes;
    let conflicts: Vec<_> = causes.iter().filter(|cause| cause.reason == "FieldManagerConflict").collect();
    if conflicts.is_empty() {
        return None;
    }
    let unique = |texts: Vec<String>| {
        texts
            .into_iter()
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
            .join(", ")
    };
    // `conflict with "kubectl-edit" using placet.dev/v1alpha1 at …`
    let manager = |message: &String| message.split('"').nth(1).unwrap_or(message).to_owned();
    Some((
        unique(conflicts.iter().map(|cause| manager(&cause.message)).collect()),
        unique(conflicts.iter().map(|cause| cause.field.clone()).collect()),
    ))
}

/// The documents of all YAML files in a directory, by file name, and the places that hold something else (logged).
#[expect(clippy::disallowed_methods, reason = "runs behind spawn_blocking")]
fn read_dir(dir: &Path) -> io::Result<(Vec<Document>, Vec<String>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // A mounted ConfigMap keeps its versions in names that begin with two dots.
        let yaml = matches!(path.extension().and_then(|e| e.to_str()), Some("yaml" | "yml"));
        if yaml && !name.starts_with('.') {
            files.push((name, path));
        }
    }
    files.sort();
    let (mut documents, mut refused) = (Vec::new(), Vec::new());
    let mut refuse = |place: String, problem: String| {
        error!(place, problem, "not a document of a policy pack, left out");
        refused.push(place);
    };
    if files.len() > MAX_FILES {
        let problem = format!("wanted at most {MAX_FILES} files, found {}", files.len());
        refuse(dir.display().to_string(), problem);
        files.truncate(MAX_FILES);
    }
    for (name, path) in files {
        let text = match read_file(&path) {
            Ok(text) => text,
            Err(problem) => {
                refuse(name, problem.to_string());
                continue;
            }
        };
        match serde_saphyr::from_multiple::<Value>(&text) {
            Err(problem) => refuse(name, problem.to_string()),
            Ok(values) => {
                for (index, value) in (1..).zip(values).filter(|(_, value)| !value.is_null()) {
                    let place = format!("{name}, document {index}");
                    match document(place.clone(), value) {
                        Ok(document) => documents.push(document),
                        Err(problem) => refuse(place, problem),
                    }
                }
            }
        }
    }
    Ok((documents, refused))
}

#[expect(clippy::disallowed_methods, reason = "runs behind spawn_blocking")]
fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("wanted at most {MAX_FILE} bytes")));
    }
    Ok(text)
}

/// Checks that a document is one that packs may bring.
fn document(place: String, mut object: Value) -> Result<Document, String> {
    let api_version = format!("{GROUP}/{VERSION}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let known = [(POLICY, "releasepolicies"), ("ApprovalRole", "approvalroles")];
    let Some((kind, plural)) = known.into_iter().find(|(known, _)| *known == kind && version == api_version)
    else {
        return Err(format!(
            "wanted a ReleasePolicy or ApprovalRole of {api_version}, found kind {kind:?} of {version:?}"
        ));
    };
    let name = text(&object["metadata"]["name"]);
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    if name.is_empty() || name.len() > 253 || !name.bytes().all(allowed) || name.starts_with('.') {
        return Err(format!(
            "wanted metadata.name, lower-case letters, digits, dots and dashes, found {name:?}"
        ));
    }
    if !object["metadata"]["namespace"].is_null() {
        return Err(format!("{kind} has no namespace, found {}", object["metadata"]["namespace"]));
    }
    if let Some(fields) = object.as_object_mut() {
        // Ours to compute.
        fields.remove("status");
    }
    let path = format!("/apis/{api_version}/{plural}/{name}");
    Ok(Document { place, kind, name, path, object })
}

#[cfg(test)]
#[path = "packs_tests.rs"]
mod tests;
