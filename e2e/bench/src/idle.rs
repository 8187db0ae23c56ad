//! d: what the operator costs while nothing happens: its memory, its processor time, and its requests to the API server by the audit log,
//! with many governed workloads that run on simulated nodes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, ListParams, ObjectMeta, PostParams};
use placet_api::{Kind, keys};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncSeekExt as _, BufReader};

use crate::cluster::{self, Installed, LONG};
use crate::report::{Aim, Report};

const NAMESPACE: &str = "bench-idle";
const RELEASE: &str = "routing-1";
/// How long everything must have been quiet before it counts as idle: longer than a heartbeat of counts takes.
const SETTLE: Duration = Duration::from_secs(75);

/// Measures memory and idle requests.
///
/// # Errors
/// When the workloads do not come up, or the operator's process is not found.
pub async fn measure(
    report: &mut Report,
    installed: &Installed,
    workloads: usize,
    seconds: u64,
) -> anyhow::Result<()> {
    let audit = installed
        .cluster
        .audit_log()
        .context("the audit log of a cluster that is not ours cannot be read")?;
    installed.cluster.namespace(NAMESPACE, &[]).await?;
    installed.minimal_system(NAMESPACE).await?;
    installed.minimal_release(NAMESPACE, RELEASE).await?;
    let digest = installed.digest(Kind::ModelRelease, NAMESPACE, RELEASE, "content").await?;
    installed.approve(NAMESPACE, RELEASE, &digest).await?;
    installed.cleared(NAMESPACE, RELEASE).await?;
    let label = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {keys::ENFORCE: "deny"}}});
    installed.cluster.apply("root-admin", &[label]).await?;
    let api: Api<Deployment> = Api::namespaced(installed.admin.clone(), NAMESPACE);
    for n in 0..workloads {
        api.create(&PostParams::default(), &deployment(n)?)
            .await
            .with_context(|| format!("deployment {n}"))?;
    }
    let all = format!("{workloads} deployments available");
    placet_e2e::eventually(&all, LONG, async || {
        let listed = api.list(&ListParams::default()).await.map_err(|e| e.to_string())?;
        let ready =
            listed.iter().filter(|d| d.status.as_ref().and_then(|s| s.available_replicas) == Some(1)).count();
        if ready == workloads { Ok(()) } else { Err(format!("{ready}")) }
    })
    .await?;
    tokio::time::sleep(SETTLE).await;
    let process = operator(installed.cluster.dir()).await?;
    let begin = tokio::fs::metadata(&audit).await?.len();
    let before = processor_time(&process).await?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let used = processor_time(&process).await? - before;
    let requests = requests(&audit, begin).await?;
    let memory = memory(&process).await?;
    let name = format!("d {workloads} workloads");
    report.add(format!("{name}, resident memory"), memory, "MiB", None, &[Aim::AtMost(40.0)]);
    let per_minute =
        |count: u32| f64::from(count) * 60.0 / f64::from(u32::try_from(seconds).unwrap_or(u32::MAX).max(1));
    report.add(
        format!("{name}, idle writes"),
        per_minute(requests.writes),
        "1/min",
        None,
        &[Aim::AtMost(0.0)],
    );
    let share = used * 100.0 / f64::from(u32::try_from(seconds).unwrap_or(u32::MAX).max(1));
    report.add(format!("{name}, idle processor time"), share, "% of a core", None, &[Aim::AtMost(1.0)]);
    report.add(format!("{name}, idle reads"), per_minute(requests.reads), "1/min", None, &[]);
    let questions = per_minute(requests.questions);
    report.add(format!("{name}, idle questions who holds a role"), questions, "1/min", None, &[]);
    Ok(())
}

fn deployment(n: usize) -> anyhow::Result<Deployment> {
    let labels = json!({"app": format!("routing-{n}"), keys::RELEASE: RELEASE});
    let mut deployment: Deployment = serde_json::from_value(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": format!("routing-{n}")}},
            "template": {"metadata": {"labels": labels}, "spec": cluster::pod_spec()},
        },
    }))?;
    deployment.metadata = ObjectMeta {
        name: Some(format!("routing-{n:04}")),
        namespace: Some(NAMESPACE.into()),
        ..deployment.metadata
    };
    Ok(deployment)
}

#[derive(Debug, Default)]
struct Requests {
    reads: u32,
    questions: u32,
    writes: u32,
}

/// The operator's requests in the audit log from a place on. A watch that is renewed is a read; each is there twice
/// (begun and ended) and counted when it begins.
async fn requests(audit: &Path, from: u64) -> anyhow::Result<Requests> {
    let mut file = tokio::fs::File::open(audit).await?;
    file.seek(std::io::SeekFrom::Start(from)).await?;
    let mut lines = BufReader::new(file).lines();
    let mut found = Requests::default();
    let account = format!("system:serviceaccount:{}:", cluster::NAMESPACE);
    while let Some(line) = lines.next_line().await? {
        // The last line may be half written.
        let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if !text("/user/username").starts_with(&account) {
            continue;
        }
        match (text("/verb"), text("/stage")) {
            ("watch", "ResponseComplete") => {}
            ("get" | "list" | "watch", _) => found.reads += 1,
            // It is created and stored nowhere: whether somebody still holds the role that they approved in is asked so.
            ("create", _) if text("/objectRef/resource") == "subjectaccessreviews" => found.questions += 1,
            (verb, _) => {
                found.writes += 1;
                eprintln!("idle write: {verb} {}", text("/requestURI"));
            }
        }
    }
    Ok(found)
}

/// Where /proc tells of the operator of this cluster.
async fn operator(dir: &Path) -> anyhow::Result<PathBuf> {
    // With a slash: another cluster's directory may begin with the same text.
    let dir = format!("{}/", dir.to_string_lossy());
    let mut processes = tokio::fs::read_dir("/proc").await?;
    while let Some(process) = processes.next_entry().await? {
        let path = process.path();
        // Processes end while they are looked at.
        let (Ok(command), Ok(status)) = (
            tokio::fs::read_to_string(path.join("cmdline")).await,
            tokio::fs::read_to_string(path.join("status")).await,
        ) else {
            continue;
        };
        let named = status.lines().next().is_some_and(|line| line.trim_end().ends_with("placet-operator"));
        if !named || command.split('\0').nth(1) != Some("run") {
            continue;
        }
        let ours = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).contains(&dir);
        let environment = tokio::fs::read(path.join("environ")).await.is_ok_and(ours);
        let place = tokio::fs::read_link(path.join("cwd")).await.is_ok_and(|cwd| cwd.starts_with(&dir));
        if command.contains(&dir) || environment || place {
            return Ok(path);
        }
    }
    anyhow::bail!("no process placet-operator of the cluster in {dir} was found")
}

/// Resident memory of a process, in MiB.
async fn memory(process: &Path) -> anyhow::Result<f64> {
    let status = tokio::fs::read_to_string(process.join("status")).await?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).context("its status holds no VmRSS")
}

/// Seconds that a process has run on a processor, in user mode and in the kernel (`proc_pid_stat(5)`, fields 14 and 15).
async fn processor_time(process: &Path) -> anyhow::Result<f64> {
    /// In which the kernel counts for programs, whatever it counts in itself.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = tokio::fs::read_to_string(process.join("stat")).await?;
    // The name before them, in brackets, may hold spaces.
    let (_, fields) = stat.rsplit_once(')').context("its stat names no program")?;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).filter_map(|f| f.parse().ok()).collect();
    anyhow::ensure!(ticks.len() == 2, "its stat holds no times: {stat}");
    Ok(ticks.iter().sum::<f64>() / TICKS_PER_SECOND)
}
