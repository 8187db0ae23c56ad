//! `placet evidence`: read and verify the log, from a directory or through the API server.

mod event;
mod place;
mod pull;
mod replay;
mod show;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, bail};
use placet_evidence::note::{Checkpoint, Note};
use placet_evidence::verify::{self, Options, Outcome, Report};
use placet_evidence::{DirFs, Head, Source, VerifierKey, source};
use placet_gate::visible;
use serde_json::{Value, json};

use crate::args::{EvidenceCommand, Global, LogPlace, TableOrJson};
use crate::cluster::Cluster;
use crate::{sys, text};
use place::ClusterLog;

/// Runs a subcommand.
pub fn run(global: &Global, command: &EvidenceCommand) -> anyhow::Result<u8> {
    match command {
        EvidenceCommand::Verify { dir, key, head, output } => {
            let place = LogPlace { dir: dir.clone(), key: key.clone() };
            with(global, dir.as_deref(), |log| check(log, &place, head.as_deref(), *output))
        }
        EvidenceCommand::Show { target, place, no_verify, output } => {
            with(global, place.dir.as_deref(), |log| {
                show::run(global, log, place, target, *no_verify, *output)
            })
        }
        EvidenceCommand::Tail { last, follow, dir } => {
            with(global, dir.as_deref(), |log| show::tail(log, *last, *follow))
        }
        EvidenceCommand::Pull { to, dir } => with(global, dir.as_deref(), |log| pull::run(log.source(), to)),
        EvidenceCommand::Replay { target, dir } => {
            with(global, dir.as_deref(), |log| replay::run(global, log, target.as_deref()))
        }
        EvidenceCommand::Key => key_of(&Cluster::connect(global)?),
        EvidenceCommand::Begin { because, yes } => begin(&Cluster::connect(global)?, because, *yes),
    }
}

/// A log, wherever it lies.
pub enum Log<'a> {
    /// A directory.
    Dir(DirFs),
    /// The operator's, through the API server.
    Cluster(ClusterLog<'a>),
}

impl Log<'_> {
    /// Where its files are read from.
    pub fn source(&self) -> &dyn Source {
        match self {
            Log::Dir(dir) => dir,
            Log::Cluster(cluster) => cluster,
        }
    }

    /// The namespace that names without one mean; nothing where all are meant.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Log::Dir(_) => None,
            Log::Cluster(cluster) => Some(cluster.namespace()),
        }
    }

    /// Number of records that its checkpoint covers.
    pub fn size(&self) -> anyhow::Result<u64> {
        let bytes = source::read(self.source(), "checkpoint")?.with_context(|| match self {
            Log::Dir(dir) => format!("{}: wanted a log, found no checkpoint", dir.root().display()),
            Log::Cluster(_) => "the operator's log has no checkpoint yet".to_owned(),
        })?;
        Ok(Checkpoint::parse(Note::parse(&bytes)?.text())?.size)
    }
}

/// Opens the log that is meant.
fn with(
    global: &Global,
    dir: Option<&Path>,
    run: impl FnOnce(&Log<'_>) -> anyhow::Result<u8>,
) -> anyhow::Result<u8> {
    if let Some(dir) = dir {
        if !dir.is_dir() {
            bail!("{}: wanted the directory of a log, found none", dir.display());
        }
        return run(&Log::Dir(DirFs::new(dir)));
    }
    let cluster = Cluster::connect(global)?;
    run(&Log::Cluster(ClusterLog::open(&cluster)?))
}

/// A key, or the file that holds it.
fn key(text: &str) -> anyhow::Result<VerifierKey> {
    if let Ok(key) = VerifierKey::parse(text) {
        return Ok(key);
    }
    let path = Path::new(text);
    if !path.exists() {
        // The key's own error says what a key looks like.
        return VerifierKey::parse(text).with_context(|| format!("--key {text}: no such file, and no key"));
    }
    let file = sys::read_text(path)?;
    let line = file.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#')).unwrap_or_default();
    VerifierKey::parse(line).with_context(|| format!("--key {text}"))
}

/// The head that is kept outside the log's volume: a file, or the operator's `ConfigMap`.
fn known_head(log: &Log<'_>, file: Option<&Path>) -> anyhow::Result<Option<Head>> {
    let text = match (file, log) {
        (Some(path), _) => Some(sys::read_text(path)?),
        (None, Log::Cluster(cluster)) => cluster.head(),
        (None, Log::Dir(_)) => None,
    };
    text.map(|t| serde_json::from_str(&t).context("--head: wanted {origin, size, root} as JSON")).transpose()
}

/// Verifies a log as far as what is given allows; `only`: the records whose objects and openings are looked at.
fn report(
    log: &Log<'_>,
    place: &LogPlace,
    head: Option<&Path>,
    only: Option<BTreeSet<u64>>,
) -> anyhow::Result<Report> {
    let key = place.key.as_deref().map(key).transpose()?;
    let options = Options { key, head: known_head(log, head)?, only };
    verify::verify(log.source(), &options).context("the log could not be read")
}

/// A report for people: what it quotes from the log stays on its line.
fn shown(report: &Report) -> String {
    let mut report = report.clone();
    let findings = report.findings.iter_mut().flat_map(|f| [&mut f.path, &mut f.what]);
    let gaps = report.summary.gaps.iter_mut().map(|g| &mut g.detail);
    for text in findings.chain(gaps).chain(&mut report.notes).chain(&mut report.not_checked) {
        *text = visible::line(text).into_owned();
    }
    report.to_string()
}

fn check(log: &Log<'_>, place: &LogPlace, head: Option<&Path>, output: TableOrJson) -> anyhow::Result<u8> {
    let report = report(log, place, head, None)?;
    let text = match output {
        TableOrJson::Table => shown(&report),
        TableOrJson::Json => text::json(&report)?,
    };
    sys::print(&text)?;
    if report.outcome == Outcome::SelfConsistent {
        sys::tell(
            "note: give --key with the log's public key, known from elsewhere than this log (placet evidence key)",
        );
    }
    Ok(report.outcome.exit_code())
}

fn key_of(cluster: &Cluster) -> anyhow::Result<u8> {
    let head = cluster.log_head()?;
    let key = head.pointer("/data/vkey").and_then(Value::as_str).map(str::trim);
    let key =
        key.context("the operator's ConfigMap: wanted data.vkey, found none; has the operator started?")?;
    VerifierKey::parse(key).context("data.vkey of the operator's ConfigMap")?;
    sys::print(&format!("{key}\n"))?;
    sys::tell("note: keep it elsewhere than on the cluster; a key that is read beside the log proves little");
    Ok(0)
}

fn begin(cluster: &Cluster, because: &str, yes: bool) -> anyhow::Result<u8> {
    if because.trim().is_empty() {
        bail!("--because: wanted a reason for those who read the evidence, found nothing");
    }
    let head = cluster.log_head()?;
    let old = head.pointer("/data/head").and_then(Value::as_str).unwrap_or("unknown");
    sys::tell(&format!(
        "The operator will begin a new log at its next start, whose first record cites the old head:\n  {}\nThe old log's files, where any are left, are kept.",
        visible::line(old.trim())
    ));
    sys::confirm("Begin a successor log?", yes)?;
    cluster.merge(&cluster.log_head_path(), &json!({"data": {"begin": because}}))?;
    let operator = &cluster.operator;
    sys::print("successor log ordered\n")?;
    sys::tell(&format!(
        "note: it begins when the operator starts: kubectl rollout restart statefulset/{} -n {}",
        operator.release, operator.namespace
    ));
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answers, cluster};

    const HEAD: &str = "/api/v1/namespaces/placet-system/configmaps/placet-log-head";
    const SERVICE: &str = "/api/v1/namespaces/placet-system/services/placet";
    const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn a_successor_is_ordered_with_its_reason() {
        let answers = Answers::default()
            .with(&format!("GET {HEAD}"), 200, &json!({"data": {"vkey": KEY, "head": "{}"}}))
            .with(&format!("PATCH {HEAD}"), 200, &json!({}));
        let (cluster, asked) = cluster(answers);
        assert!(begin(&cluster, " ", true).is_err());
        assert_eq!(begin(&cluster, "volume lost", true).unwrap(), 0);
        assert_eq!(asked.lock().unwrap().last().unwrap().body, json!({"data": {"begin": "volume lost"}}));
        assert_eq!(key_of(&cluster).unwrap(), 0);
    }

    #[test]
    fn keys_are_texts_or_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("log.vkey");
        sys::write(&file, format!("# the log\n{KEY}\n").as_bytes()).unwrap();
        assert_eq!(key(KEY).unwrap(), key(file.to_str().unwrap()).unwrap());
        assert!(format!("{:#}", key("nothing").unwrap_err()).contains("no such file, and no key"));
    }

    #[test]
    fn a_log_behind_the_api_server_is_read_with_the_readers_token() {
        let base = "/api/v1/namespaces/placet-system";
        let proxy = format!("GET {base}/services/https:placet:8443/proxy/evidence");
        let answers = Answers::default()
            .with(&format!("GET {base}/secrets/placet-read-log"), 200, &json!({"data": {"key": "YWJj"}}))
            .bytes(&format!("{proxy}/checkpoint"), b"none".to_vec())
            .bytes(&format!("{proxy}/openings/000"), b"x".to_vec());
        let (cluster, asked) = cluster(answers);
        let log = ClusterLog::open(&cluster).unwrap();
        assert_eq!(log.read("checkpoint").unwrap().unwrap(), b"none");
        // Names need a token of their own.
        assert_eq!(log.read("openings/000").unwrap(), None);
        let asked = asked.lock().unwrap();
        assert_eq!(asked.last().unwrap().headers, [("x-placet-reader".to_owned(), "YWJj".to_owned())]);
    }

    #[test]
    fn without_the_readers_secret_the_error_says_who_grants_it() {
        let answers = Answers::default().with(&format!("GET {SERVICE}"), 200, &json!({}));
        let (cluster, _) = cluster(answers);
        let e = ClusterLog::open(&cluster).err().unwrap().to_string();
        assert!(e.contains("the rights of the Role placet-read-log"), "{e}");
    }

    #[test]
    fn after_an_uninstallation_the_error_says_where_the_log_lies() {
        let secret = "/api/v1/namespaces/placet-system/secrets/placet-read-log";
        let there = json!({"data": {"key": "YWJj"}});
        let forbidden = |message: &str| json!({"kind": "Status", "reason": "Forbidden", "message": message});
        let no_role = "secrets \"placet-read-log\" is forbidden: User \"ada\" cannot get resource \"secrets\": RBAC: \
                       role.rbac.authorization.k8s.io \"placet-read-log\" not found";
        let service = format!("GET {SERVICE}");
        for (what, answers, gone) in [
            ("no Secret", Answers::default(), true),
            ("no Service", Answers::default().with(&format!("GET {secret}"), 200, &there), true),
            (
                "no Role",
                Answers::default().with(&format!("GET {secret}"), 403, &forbidden(no_role)).with(
                    &service,
                    403,
                    &forbidden("no"),
                ),
                true,
            ),
            (
                "no rights",
                Answers::default().with(&format!("GET {secret}"), 403, &forbidden("no")).with(
                    &service,
                    403,
                    &forbidden("no"),
                ),
                false,
            ),
            (
                "no checkpoint yet",
                Answers::default().with(&format!("GET {secret}"), 200, &there).with(
                    &service,
                    200,
                    &json!({}),
                ),
                false,
            ),
        ] {
            let (cluster, _) = cluster(answers);
            let tried = ClusterLog::open(&cluster).and_then(|log| Log::Cluster(log).size());
            let e = text::chain(&tried.unwrap_err());
            assert_eq!(e.contains("claim log-placet-0") && e.contains("kubectl cp"), gone, "{what}: {e}");
            assert_eq!(e.contains("is not installed"), gone, "{what}: {e}");
            assert!(!gone || !e.contains("Role placet-read-log in namespace"), "{what}: {e}");
        }
    }
}
