//! f: appends to the evidence log, each answered only when durable, beside a loop that writes and syncs as many bytes
//! one by one.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use futures::stream::{FuturesUnordered, StreamExt as _};
use jiff::Timestamp;
use placet_evidence::{
    Admission, Config, Digest, Effect, Log, LogKey, MemoryHeads, NewRecord, Operation, Payload, Subject,
};

use crate::report::{Aim, Report};
use crate::stats::{Run, nanos, now};

/// Bytes of a leaf: those of a refusal with a full set of reasons.
pub const LEAF: usize = 1500;

fn record(n: u64) -> NewRecord {
    let digest = Digest::of(&n.to_le_bytes());
    let body = Admission {
        effect: Effect::Deny,
        mode: "deny".into(),
        op: Operation::Create,
        group: String::new(),
        version: "v1".into(),
        kind: "Pod".into(),
        subresource: None,
        namespace: "lending".into(),
        name: "credit-eligibility-7d9c5b8f6d-*".into(),
        request: format!("5f0c8a5e-0000-4000-8000-{n:012}"),
        uid: None,
        owner_uid: Some("0b6f2c1e-0000-4000-8000-000000000001".into()),
        owner_kind: Some("ReplicaSet".into()),
        release: Some("credit-eligibility-1.0.0".into()),
        decision: None,
        cleared: false,
        pod_content: Some(digest),
        replicas: None,
        raised_from: None,
        replacement: false,
        // Fills the leaf up to its size.
        reasons: (0..13)
            .map(|i| format!("ApprovalMissing/role-of-responsible-officer/for-gate-{i:03}/v1"))
            .collect(),
        repeats: 0,
    };
    let subject = Subject::new("ModelRelease", Some("lending"), "credit-eligibility-1.0.0");
    NewRecord::new(Timestamp::UNIX_EPOCH, subject, Payload::Admission(body))
}

/// Each of the records in flight is a caller that appends again as soon as it is answered.
fn appends(dir: &Path, in_flight: u64, duration: Duration) -> anyhow::Result<Run> {
    let config = Config::new(dir, "placet.dev/bench", "bench");
    let heads = Arc::new(MemoryHeads::default());
    let log = Arc::new(Log::open(&config, &LogKey::from_seed(&[1; 32]), heads, Timestamp::UNIX_EPOCH)?);
    let start = now();
    // As many threads as the machine has cores, as the operator's server has.
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let threads = in_flight.min(cores);
    let mut handles = Vec::new();
    for thread in 0..threads {
        let log = Arc::clone(&log);
        let share = in_flight / threads + u64::from(thread < in_flight % threads);
        let work = move || -> anyhow::Result<Vec<u64>> {
            let mut latencies = Vec::new();
            let mut waiting = FuturesUnordered::new();
            let one = |n: u64| {
                let (since, pending) = (now(), log.append(record(n)));
                async move { pending.await.map(|_| since) }
            };
            for n in 0..share {
                waiting.push(one(n * threads + thread));
            }
            block_on(async {
                while let Some(since) = waiting.next().await {
                    latencies.push(nanos(since?));
                    if now().saturating_duration_since(start) < duration {
                        waiting.push(one(latencies.len() as u64));
                    }
                }
                Ok(latencies)
            })
        };
        handles.push(std::thread::Builder::new().name(format!("caller-{thread}")).spawn(work)?);
    }
    let mut latencies = Vec::new();
    for handle in handles {
        latencies.extend(handle.join().map_err(|_| anyhow::anyhow!("a caller's thread panicked"))??);
    }
    Ok(Run::new(latencies, now().saturating_duration_since(start).as_secs_f64()))
}

/// The plainest durable writer: one record, one write, one sync, into a preallocated file.
#[expect(clippy::disallowed_methods, reason = "the bench measures this very I/O")]
fn raw(dir: &Path, duration: Duration) -> anyhow::Result<Run> {
    const ROOM: u64 = 64 << 20;
    let path = dir.join("raw");
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    for at in 0..ROOM >> 20 {
        file.write_all_at(&vec![0; 1 << 20], at << 20)?;
    }
    file.sync_all()?;
    let (bytes, mut at, mut latencies) = ([b'x'; LEAF], 0, Vec::new());
    let start = now();
    while now().saturating_duration_since(start) < duration {
        let since = now();
        file.write_all_at(&bytes, at)?;
        file.sync_data()?;
        latencies.push(nanos(since));
        at = (at + LEAF as u64) % (ROOM - LEAF as u64);
    }
    let seconds = now().saturating_duration_since(start).as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(Run::new(latencies, seconds))
}

/// Measures appends.
///
/// # Errors
/// When the directory cannot be written.
pub fn measure(report: &mut Report, dir: &Path, slice: Duration) -> anyhow::Result<()> {
    let dir = tempfile::Builder::new().prefix("bench-f-").tempdir_in(dir)?;
    // Warms the disk and the caches up.
    raw(dir.path(), slice / 4)?;
    for in_flight in [1, 8, 32, 256] {
        // Beside each other in time: the disk's mood changes.
        let base = raw(dir.path(), slice)?;
        let run = appends(&dir.path().join(format!("log-{in_flight}")), in_flight, slice)?;
        let aims: &[Aim] = if in_flight == 32 { &[Aim::AtLeast(20_000.0)] } else { &[] };
        report.add(format!("f {in_flight} in flight"), run.rate(), "1/s", Some(base.rate()), aims);
        for (figure, thousandths) in [("p50", 500), ("p99", 990)] {
            let figures = (run.millis(thousandths), base.millis(thousandths));
            report.add(format!("f {in_flight} in flight {figure}"), figures.0, "ms", Some(figures.1), &[]);
        }
    }
    Ok(())
}
