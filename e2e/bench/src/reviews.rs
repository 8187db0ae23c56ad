//! a: admission reviews over TLS, in process: the operator's server, router, state and ledger, without an API server,
//! which the path for workloads never asks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use ed25519_dalek::SigningKey;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::client::Body;
use placet_evidence::{Config, Log, LogKey, MemoryHeads};
use placet_operator::admission::{Admission, router};
use placet_operator::infra::clock::{Clock, TimeSource};
use placet_operator::infra::door::Door;
use placet_operator::infra::supervisor::Shutdown;
use placet_operator::ledger::Ledger;
use placet_operator::places::Pod;
use placet_operator::services::events::EventSink;
use placet_operator::state::State;
use tokio::runtime::Runtime;

use crate::load::{self, Target};
use crate::noop;
use crate::report::{Aim, Report};
use crate::samples::{self, Filler};
use crate::server::{self, Certificates, HOST, Running};
use crate::stats::{Run, now};
use crate::webhook::{self, Case};

/// Namespaces of each mode. A namespace may write 4,096 records at once and 200 a second; so many namespaces write more
/// than any of these measurements.
const NAMESPACES: u64 = 64;
/// Pods that exist in each namespace.
const PODS: u64 = 10;
/// Slices of each measurement; subject and baseline take turns, so that both see the machine's moods.
const SLICES: u32 = 3;
/// Requests a second of the open loop, over so many connections.
const RATE: u32 = 300;
const CONNECTIONS: usize = 20;

/// Time that begins after the samples' dates and runs on.
#[derive(Debug)]
struct SampleTime {
    begin: Timestamp,
    origin: std::time::Instant,
}

impl TimeSource for SampleTime {
    fn wall(&self) -> Timestamp {
        self.begin + SignedDuration::try_from(self.monotonic()).unwrap_or(SignedDuration::ZERO)
    }

    fn monotonic(&self) -> Duration {
        now().saturating_duration_since(self.origin)
    }
}

/// A clock that has been compared with an API server that agrees.
fn clock(begin: Timestamp) -> Clock {
    let source = Arc::new(SampleTime { begin, origin: now() });
    let reading = (source.wall(), source.monotonic());
    let clock = Clock::new(source);
    clock.record_date(reading.0, reading, reading);
    clock
}

/// A state in which everything has been heard of.
fn state() -> anyhow::Result<State> {
    let begin: Timestamp = samples::NOW.parse()?;
    let state = State::new(samples::reading(), clock(begin));
    let names = {
        let mut world = state.world_mut();
        let mut filler = Filler::new(&state.reading, begin);
        filler.policies(&mut world)?;
        for mode in ["deny", "hold"] {
            for n in 0..NAMESPACES {
                filler.namespace(&mut world, &webhook::namespace(mode, n), mode)?;
            }
        }
        filler.names
    };
    state.learn(names);
    let mut workloads = state.workloads_mut();
    for mode in ["deny", "hold"] {
        for (n, p) in (0..NAMESPACES).flat_map(|n| (0..PODS).map(move |p| (n, p))) {
            let pod = Pod {
                uid: format!("uid-{n}-{p}"),
                release: Some(samples::CLEARED.to_owned()),
                held: false,
                owner: Some(format!("0b6f2c1e-0000-4000-8000-{:012}", p % 3)),
                live: true,
            };
            workloads.pods.insert((webhook::namespace(mode, n), format!("pod-{p}")), pod);
        }
    }
    drop(workloads);
    Ok(state)
}

/// Answers every call of the Kubernetes API with an empty object: events go there, nothing else may.
fn no_api_server() -> Client {
    let service = tower::service_fn(async |_: http::Request<Body>| {
        Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(b"{}".to_vec())))
    });
    Client::new(service, "default")
}

/// Everything that the slices share.
struct Bench {
    state: Arc<State>,
    log: Arc<Log>,
    certificates: Certificates,
    servers: Runtime,
    client: Runtime,
    next: u64,
    /// Where the durable no-op writes: the log's volume.
    dir: PathBuf,
}

/// Measures these cases, or all.
///
/// # Errors
/// When an answer is not what it must be, or a server fails.
pub fn measure(report: &mut Report, dir: &Path, slice: Duration, cases: &[Case]) -> anyhow::Result<()> {
    let dir = tempfile::Builder::new().prefix("bench-a-").tempdir_in(dir)?;
    let config = Config::new(dir.path(), "placet.dev/bench", "bench");
    let begin: Timestamp = samples::NOW.parse()?;
    let log = Log::open(&config, &LogKey::from_seed(&[1; 32]), Arc::new(MemoryHeads::default()), begin)?;
    let mut bench = Bench {
        state: Arc::new(state()?),
        log: Arc::new(log),
        certificates: Certificates::make()?,
        servers: server::runtime()?,
        // One thread: it leaves the server the rest of the machine, in all measurements alike.
        client: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        next: 0,
        dir: dir.path().to_owned(),
    };
    for case in Case::ALL.into_iter().filter(|case| cases.is_empty() || cases.contains(case)) {
        bench.case(report, case, slice)?;
    }
    // Waits for nothing: what still runs is measured no more.
    bench.servers.shutdown_background();
    Ok(())
}

#[derive(Debug, Clone, Copy)]
enum Load {
    Open,
    Closed(usize),
}

/// What a subject did: its answers, and records for each of them.
#[derive(Default)]
struct Taken {
    run: Run,
    records: u64,
}

impl Bench {
    fn case(&mut self, report: &mut Report, case: Case, slice: Duration) -> anyhow::Result<()> {
        let name = case.as_str();
        let (ours, noop, durable) = self.compare(case, Load::Open, slice)?;
        for (figure, thousandths, aims) in
            [("p50", 500, [].as_slice()), ("p99", 990, [Aim::RatioAtMost(1.2)].as_slice())]
        {
            let figures = (ours.run.millis(thousandths), noop.run.millis(thousandths));
            report.add(format!("a {name} {RATE}/s {figure}"), figures.0, "ms", Some(figures.1), aims);
            if case.recorded() {
                let name = format!("a {name} {RATE}/s {figure} beside a durable no-op");
                report.add(name, figures.0, "ms", Some(durable.run.millis(thousandths)), &[]);
            }
        }
        for count in [1, CONNECTIONS] {
            let (ours, noop, durable) = self.compare(case, Load::Closed(count), slice)?;
            // Where an answer has no record, it is not what the aim speaks of.
            let aims: &[Aim] = if count == CONNECTIONS && case.recorded() {
                &[Aim::AtLeast(8000.0), Aim::RatioAtLeast(0.5)]
            } else {
                &[]
            };
            report.add(
                format!("a {name} closed {count}"),
                ours.run.rate(),
                "1/s",
                Some(noop.run.rate()),
                aims,
            );
            report.add(
                format!("a {name} closed {count} p99"),
                ours.run.millis(990),
                "ms",
                Some(noop.run.millis(990)),
                &[],
            );
            if case.recorded() {
                report.add(
                    format!("a {name} closed {count} beside a durable no-op"),
                    ours.run.rate(),
                    "1/s",
                    Some(durable.run.rate()),
                    &[],
                );
                report.add(
                    format!("a {name} closed {count} records per answer"),
                    ours.per_answer(),
                    "1",
                    None,
                    &[Aim::AtLeast(0.99)],
                );
            }
        }
        Ok(())
    }

    /// Ours and the baselines in turns: ours, the no-op, and for what is recorded the no-op that is durable.
    fn compare(&mut self, case: Case, load: Load, slice: Duration) -> anyhow::Result<(Taken, Taken, Taken)> {
        let (mut ours, mut noop, mut durable) = (Taken::default(), Taken::default(), Taken::default());
        for _ in 0..SLICES {
            let run = self.baseline(noop::router(), case, load, slice)?;
            noop.run.extend(run);
            if case.recorded() {
                let run = self.baseline(noop::durable_router(&self.dir)?, case, load, slice)?;
                durable.run.extend(run);
            }
            let taken = self.ours(case, load, slice)?;
            ours.run.extend(taken.run);
            ours.records += taken.records;
        }
        Ok((ours, noop, durable))
    }

    fn baseline(&mut self, router: Router, case: Case, load: Load, slice: Duration) -> anyhow::Result<Run> {
        let server =
            self.client.block_on(Running::start(&self.certificates, router, None, self.servers.handle()))?;
        let mut target = self.target(&server, case, case.path().to_owned())?;
        target.allowed = true;
        let first = self.warm_up(&target, slice)?;
        let run = self.drive(&target, load, slice, first)?;
        self.client.block_on(server.end())?;
        Ok(run)
    }

    /// A ledger of its own for each slice, since it counts repeats for a minute and more.
    fn ours(&mut self, case: Case, load: Load, slice: Duration) -> anyhow::Result<Taken> {
        let ledger = Ledger::new(Arc::clone(&self.log), BTreeMap::new(), self.state.now());
        let (stop, shutdown) = Shutdown::pair();
        let (events, events_task) = {
            let _inside = self.servers.enter();
            let (events, task) = EventSink::new(no_api_server(), "placet-operator", "bench");
            (events, self.servers.spawn(task.run(shutdown)))
        };
        let admission = {
            let _inside = self.servers.enter();
            Admission {
                state: Arc::clone(&self.state),
                ledger: Arc::new(ledger),
                receipts: Arc::new(SigningKey::from_bytes(&[2; 32])),
                client: no_api_server(),
                events,
                operator_user: "system:serviceaccount:placet-system:placet".into(),
            }
        };
        let door = Door::new(&["/evidence/"])?;
        let server = self.client.block_on(Running::start(
            &self.certificates,
            router(admission),
            Some(Arc::clone(&door)),
            self.servers.handle(),
        ))?;
        let target = self.target(&server, case, door.path(case.path()))?;
        let first = self.warm_up(&target, slice)?;
        let before = self.log.head().size;
        let run = self.drive(&target, load, slice, first)?;
        let after = self.log.head().size;
        self.client.block_on(server.end())?;
        stop.fire();
        self.client.block_on(events_task)??;
        if let Some(why) = self.log.health().poisoned {
            anyhow::bail!("the evidence log takes no more records: {why}");
        }
        Ok(Taken { run, records: after.saturating_sub(before) })
    }

    fn target(&self, server: &Running, case: Case, path: String) -> anyhow::Result<Target> {
        Ok(Target {
            address: server.address,
            tls: Arc::clone(&self.certificates.client),
            host: HOST,
            path,
            bodies: webhook::bodies(case, NAMESPACES)?,
            allowed: case.allowed(),
        })
    }

    /// Asks for a while without measuring. Gives the number of the first request that is measured: none is used
    /// again, since an owner that was refused once is not refused anew.
    fn warm_up(&mut self, target: &Target, slice: Duration) -> anyhow::Result<u64> {
        let first = self.next;
        self.next += 1 << 32;
        self.client.block_on(load::closed(target, 4, slice / 10, first)).context("warming up")?;
        Ok(first + (1 << 31))
    }

    fn drive(&self, target: &Target, load: Load, slice: Duration, first: u64) -> anyhow::Result<Run> {
        self.client.block_on(async {
            match load {
                Load::Open => load::open(target, CONNECTIONS, RATE, slice, first).await,
                Load::Closed(count) => load::closed(target, count, slice, first).await,
            }
        })
    }
}

impl Taken {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn per_answer(&self) -> f64 {
        let answers = self.run.len().max(1);
        self.records as f64 / answers as f64
    }
}
