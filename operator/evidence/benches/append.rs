//! Appends a second at 1, 8, 32 and 256 in flight, each answered only when durable, beside a loop that writes and
//! syncs the same bytes one by one. One JSON object a line: name, value, unit, baseline, ratio.
//!
//! `--seconds N` (2), `--dir DIR` (the system's for temporary files): a directory on the disk that is to be measured.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use futures::stream::{FuturesUnordered, StreamExt as _};
use placet_evidence::{
    Admission, Config, Digest, Effect, Log, LogKey, MemoryHeads, NewRecord, Operation, Payload, Subject,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Bytes of a leaf: those of a refusal with a full set of reasons.
const LEAF: usize = 1500;

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
        namespace: "credit".into(),
        name: "score-7d9c5b8f6d-*".into(),
        request: format!("5f0c8a5e-0000-4000-8000-{n:012}"),
        uid: None,
        owner_uid: Some("0b6f2c1e-0000-4000-8000-000000000001".into()),
        owner_kind: Some("ReplicaSet".into()),
        release: Some("score-v1".into()),
        decision: None,
        cleared: false,
        pod_content: Some(digest),
        replicas: None,
        replacement: false,
        // Fills the leaf up to its size.
        reasons: (0..13)
            .map(|i| format!("ApprovalMissing/role-of-responsible-officer/for-gate-{i:03}/v1"))
            .collect(),
        actor: Some(digest.hex()),
        repeats: 0,
    };
    let wall = jiff::Timestamp::UNIX_EPOCH;
    NewRecord::new(wall, Subject::new("ModelRelease", Some("credit"), "score-v1"), Payload::Admission(body))
}

/// Latencies in microseconds, sorted.
struct Run {
    seconds: f64,
    micros: Vec<u64>,
}

impl Run {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn rate(&self) -> f64 {
        self.micros.len() as f64 / self.seconds
    }

    fn quantile(&self, thousandth: usize) -> u64 {
        let at = self.micros.len() * thousandth / 1000;
        self.micros.get(at.min(self.micros.len().saturating_sub(1))).copied().unwrap_or(0)
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Each of the records in flight is a caller that appends again as soon as it is answered.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn appends(dir: &Path, in_flight: u64, duration: Duration) -> Result<Run, Failure> {
    let config = Config::new(dir, "placet.dev/bench", "bench");
    let heads = Arc::new(MemoryHeads::default());
    let log = Arc::new(Log::open(&config, &LogKey::from_seed(&[1; 32]), heads, jiff::Timestamp::UNIX_EPOCH)?);
    let start = Instant::now();
    // Two callers' threads at most: the machine has two cores, and the admission server has as many workers.
    let threads = in_flight.min(2);
    let mut handles = Vec::new();
    for thread in 0..threads {
        let log = log.clone();
        let share = in_flight / threads;
        let work = move || -> Result<Vec<u64>, Failure> {
            let mut micros_each = Vec::new();
            let mut waiting = FuturesUnordered::new();
            let one = |n: u64| {
                let (since, pending) = (Instant::now(), log.append(record(n)));
                async move { pending.await.map(|_| since) }
            };
            for n in 0..share {
                waiting.push(one(n * threads + thread));
            }
            block_on(async {
                while let Some(since) = waiting.next().await {
                    micros_each.push(micros(since?));
                    if start.elapsed() < duration {
                        waiting.push(one(micros_each.len() as u64));
                    }
                }
                Ok(micros_each)
            })
        };
        handles.push(std::thread::Builder::new().name(format!("caller-{thread}")).spawn(work)?);
    }
    let mut micros = Vec::new();
    for handle in handles {
        micros.extend(handle.join().map_err(|_| "a caller's thread panicked")??);
    }
    let seconds = start.elapsed().as_secs_f64();
    micros.sort_unstable();
    Ok(Run { seconds, micros })
}

/// The plainest durable writer: one record, one write, one sync, into a preallocated file.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn raw(dir: &Path, duration: Duration) -> Result<Run, Failure> {
    const ROOM: u64 = 64 << 20;
    let path = dir.join("raw");
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    for at in 0..ROOM >> 20 {
        file.write_all_at(&vec![0; 1 << 20], at << 20)?;
    }
    file.sync_all()?;
    let (bytes, mut at, mut micros_each) = ([b'x'; LEAF], 0, Vec::new());
    let start = Instant::now();
    while start.elapsed() < duration {
        let since = Instant::now();
        file.write_all_at(&bytes, at)?;
        file.sync_data()?;
        micros_each.push(micros(since));
        at = (at + LEAF as u64) % (ROOM - LEAF as u64);
    }
    let seconds = start.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    micros_each.sort_unstable();
    Ok(Run { seconds, micros: micros_each })
}

fn line(name: &str, value: f64, unit: &str, baseline: f64) {
    let ratio = if baseline > 0.0 { value / baseline } else { 0.0 };
    println!(
        "{{\"name\":\"{name}\",\"value\":{value:.1},\"unit\":\"{unit}\",\"baseline\":{baseline:.1},\"ratio\":{ratio:.3}}}"
    );
}

#[expect(clippy::cast_precision_loss, reason = "microseconds far below 2^52")]
fn measure(dir: &Path, duration: Duration) -> Result<(), Failure> {
    // A caller in the way of nobody: warms the disk and the caches up.
    raw(dir, duration / 4)?;
    for in_flight in [1, 8, 32, 256] {
        // Beside each other in time: the disk's mood changes.
        let base = raw(dir, duration)?;
        let run = appends(&dir.join(format!("log-{in_flight}")), in_flight, duration)?;
        line(&format!("evidence_append_{in_flight}"), run.rate(), "1/s", base.rate());
        for (name, thousandth) in [("p50", 500), ("p99", 990)] {
            let (value, baseline) = (run.quantile(thousandth) as f64, base.quantile(thousandth) as f64);
            line(&format!("evidence_append_{in_flight}_{name}"), value, "us", baseline);
        }
    }
    Ok(())
}

fn argument(arguments: &[String], name: &str) -> Option<String> {
    let at = arguments.iter().position(|a| a == name)?;
    arguments.get(at + 1).cloned()
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let seconds = argument(&arguments, "--seconds").map_or(Ok(2), |s| s.parse())?;
    let dir = argument(&arguments, "--dir").map_or_else(std::env::temp_dir, PathBuf::from);
    let temporary = tempfile::tempdir_in(dir)?;
    measure(temporary.path(), Duration::from_secs(seconds))
}
