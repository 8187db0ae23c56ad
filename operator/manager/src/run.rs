//! Putting the operator together: keys, log, memory, watches, servers; then waiting for the end.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client};
use placet_evidence::budget::Limits as Budget;
use placet_evidence::{Config as LogConfig, Digest, HeadStore, Log, LogKey, OpenError};
use placet_gate::object::Reading;
use placet_gate::people::PeopleKey;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::admission::{self, Admission};
use crate::config::{Place, Run, Uninstall, WEBHOOKS};
use crate::deletions::Deletions;
use crate::guard;
use crate::infra::cabundle::{Injector, InjectorConfig, Target, TrustCheck, WebhookKind};
use crate::infra::clock::{Clock, TestClock};
use crate::infra::door::Door;
use crate::infra::health::{self, Readiness};
use crate::infra::lease::Claim;
use crate::infra::pki_keeper::{PkiConfig, PkiKeeper, service_names};
use crate::infra::secrets::{SecretKey, ensure_secret_key};
use crate::infra::server::{Server, ServerConfig};
use crate::infra::supervisor::{Phase, Supervisor, stop_signals};
use crate::infra::tls::{self, Serving};
use crate::infra::{client, telemetry};
use crate::ledger::Ledger;
use crate::memory::{Memory, There};
use crate::queue::Queue;
use crate::quota::Limits;
use crate::receipts::{self, Desk, History, Receipts};
use crate::reconcile::Reconciler;
use crate::roles::RoleKeeper;
use crate::services::events::EventSink;
use crate::services::heads::ConfigMapHeads;
use crate::services::key_orders::{self, Looking};
use crate::services::reading::{Readers, Token, evidence_router};
use crate::services::{owner, packs, uninstall};
use crate::state::State;
use crate::stores;
use crate::unseen::Seen;

/// How long stopping may take: below the 30 s that Kubernetes gives a pod.
const STOP: Duration = Duration::from_secs(25);

/// Runs the operator until a signal or a failure.
///
/// # Errors
/// Why it could not start, or which task ended.
pub async fn run(flags: Run) -> anyhow::Result<()> {
    telemetry::init_logs(&flags.place.log_level, flags.place.log_format.into())?;
    one_replica(&flags.pod_name)?;
    let stop = stop_signals()?;
    let mut supervisor = Supervisor::new();
    let (clock, test_clock) = TestClock::choose(flags.test_clock_file.clone(), flags.allow_test_clock)?;
    if let Some(test) = &test_clock {
        test.read().await;
    }
    let client = client::connect(&clock).await?;
    let Keys { log: log_key, receipts, people, readers } = Keys::read(&client, &flags.place).await?;
    let Remembered { log, heads, state, ledger, receipts } =
        Remembered::read(&flags, &client, &clock, log_key, receipts, people).await?;

    let (events, event_task) = EventSink::new(client.clone(), "placet-operator", &flags.pod_name);
    supervise(&mut supervisor, Phase::Foundation, "events", |s| event_task.run(s));
    let entrance = Entrance::make(&mut supervisor, &flags.place, &flags.service, &client, &clock).await?;
    let probe = clock.clone();
    let probe_client = client.clone();
    supervise(&mut supervisor, Phase::Foundation, "clock", |s| probe.run_probe(probe_client, s));
    if let Some(test) = test_clock {
        supervise(&mut supervisor, Phase::Foundation, "test clock", |s| test.run(s));
    }

    let queue = Arc::new(Queue::default());
    let raw = Arc::new(Mutex::new(BTreeMap::new()));
    let stores = stores::start(&client, &state, &raw, &queue, &mut supervisor);
    let roles = RoleKeeper::new(Arc::clone(&state), Arc::clone(&queue), client.clone(), Arc::clone(&ledger));
    supervise(&mut supervisor, Phase::Work, "roles", |s| roles.run(s));
    let reconciler = Arc::new(Reconciler {
        state: Arc::clone(&state),
        raw,
        queue,
        ledger: Arc::clone(&ledger),
        client: client.clone(),
        events: events.clone(),
        claim: Claim::sole(),
        timers: Mutex::default(),
        retries: Mutex::default(),
        installation: Mutex::default(),
        told: Mutex::default(),
        lifts: Mutex::default(),
        unfit: Mutex::default(),
    });
    supervise(&mut supervisor, Phase::Work, "reconciler", |s| reconciler.run(s));

    let place = &flags.place;
    let user = flags
        .service_account
        .clone()
        .unwrap_or_else(|| format!("system:serviceaccount:{}:{}", place.namespace, place.release));
    let router = admission::router(Admission {
        state: Arc::clone(&state),
        ledger: Arc::clone(&ledger),
        receipts: Arc::new(receipts.signing),
        client: client.clone(),
        events,
        operator_user: user.into(),
    })
    .merge(evidence_router(flags.log_dir.clone(), Arc::clone(&log), readers));
    let Entrance { serving, trust, expiry, door } = entrance;
    let address = SocketAddr::new(flags.bind_address, flags.port);
    let admission_server =
        Server::bind(ServerConfig::admission(address), Some(Arc::new(tls::server_config(serving)?)))
            .await?
            .behind(Arc::clone(&door));
    supervise(&mut supervisor, Phase::Intake, "admission server", |s| admission_server.serve(router, s));

    let mut registry = telemetry::registry(stores, clock.clone(), expiry);
    packs::register(&mut registry);
    door.register(&mut registry);
    let address_of_health = SocketAddr::new(flags.bind_address, flags.health_port);
    serve_health(&mut supervisor, address_of_health, readiness(&state, &log, trust, door), registry).await?;
    start_services(&mut supervisor, &flags, &client, &state, &ledger, &heads, &clock);
    let looking = Looking {
        heads: Arc::clone(&heads),
        history: receipts.history,
        ledger: Arc::clone(&ledger),
        answered: receipts.answered,
    };
    supervise(&mut supervisor, Phase::Work, "orders about receipt keys", |s| key_orders::keep(looking, s));

    tracing::info!(%address, log = %log.head(), "running");
    let outcome = supervisor.run(stop, STOP).await;
    drop(ledger);
    close(log, clock.now()).await?;
    Ok(outcome?)
}

/// Refuses to be another replica: before a key is read or the log is touched.
fn one_replica(pod: &str) -> anyhow::Result<()> {
    let ordinal = pod.rsplit_once('-').and_then(|(_, ordinal)| ordinal.parse::<u64>().ok());
    anyhow::ensure!(
        ordinal.is_none_or(|ordinal| ordinal == 0),
        "wanted to be the one replica of this version, found pod {pod}: another would need a log of its own that decisions \
         read together with the first; scale the StatefulSet back to 1 (ARCHITECTURE.md, \"One replica\")"
    );
    Ok(())
}

/// What the name of the Secret with the receipt key ends in.
const RECEIPT_KEY: &str = "receipt-key";

/// The installation's keys.
struct Keys {
    log: LogKey,
    receipts: SecretKey,
    people: PeopleKey,
    readers: Readers,
}

impl Keys {
    /// Reads them from their Secrets; one that is not there is made.
    async fn read(client: &Client, place: &Place) -> anyhow::Result<Self> {
        let secret =
            async |suffix: &str| ensure_secret_key(client, &place.namespace, &place.name(suffix), 32).await;
        let seed = |key: &SecretKey| key.array::<32>().context("a seed has 32 bytes");
        Ok(Self {
            log: LogKey::from_seed(&seed(&secret("log-key").await?)?),
            receipts: secret(RECEIPT_KEY).await?,
            people: PeopleKey::new(secret("people-key").await?.bytes()),
            readers: Readers {
                log: Token::new(&secret("read-log").await?, &place.name("read-log")),
                names: Token::new(&secret("read-names").await?, &place.name("read-names")),
            },
        })
    }
}

/// The log, and what was read back from it.
struct Remembered {
    log: Arc<Log>,
    heads: Arc<ConfigMapHeads>,
    state: Arc<State>,
    ledger: Arc<Ledger>,
    receipts: Receipts,
}

impl Remembered {
    /// Opens the log and reads it once. From here on time does not go below its newest record.
    async fn read(
        flags: &Run,
        client: &Client,
        clock: &Clock,
        log_key: LogKey,
        receipts: SecretKey,
        people: PeopleKey,
    ) -> anyhow::Result<Self> {
        let place = &flags.place;
        let cluster = cluster_uid(client).await?;
        let handle = tokio::runtime::Handle::current();
        let heads = Arc::new(ConfigMapHeads::new(client.clone(), &place.namespace, &place.release, handle));
        let mut config = LogConfig::new(&flags.log_dir, &format!("placet.dev/{cluster}"), &cluster);
        concat!("placet-operator/", env!("CARGO_PKG_VERSION")).clone_into(&mut config.software);
        let (log, Read { memory, mut seen, receipts: history, deletions }) =
            open_log(config, log_key, &heads, there(client, clock.now()).await?, clock.now()).await?;
        if let Some(newest) = log.newest() {
            clock.observe_floor(newest);
        }
        let desk = Desk {
            client,
            namespace: &place.namespace,
            secret: &place.name(RECEIPT_KEY),
            heads: &heads,
            log: &log,
            now: clock.now(),
        };
        let receipts = receipts::settle(&desk, history, receipts).await?;

        let reading = Reading {
            cluster,
            cluster_name: flags.cluster_name.clone(),
            keys: receipts.keys.clone(),
            people,
        };
        let quota = Limits { bytes: flags.quota_namespace_bytes, objects: flags.quota_namespace_objects };
        let state = State::new(reading, clock.clone()).with_quota(quota).with_deletions(deletions);
        let state = Arc::new(if flags.policies_dir.is_some() { state.with_packs() } else { state });
        let read = |digest: &Digest| -> anyhow::Result<Vec<u8>> {
            let object = placet_evidence::source::read_object(log.source(), digest)?;
            Ok(object
                .with_context(|| format!("the log cites {digest}, which is not in its object store"))?
                .bytes()
                .to_vec())
        };
        seen.recall(&read)?;
        let decisions = memory.recall(&mut state.world_mut(), &read)?;
        state.world_mut().guard(&place.namespace, memory.guard.is_open());
        state.workloads_mut().recall(memory.admitted, memory.under, memory.waiting);
        memory.roles.recall(&state);
        let ledger = Ledger::new(Arc::clone(&log), decisions, clock.now()).with_seen(seen);
        let records_per_second = flags.namespace_records_per_second;
        let ledger = ledger.with_budget(Budget { records_per_second, ..Budget::default() }, clock.now());
        let ledger = Arc::new(ledger.with_deletions(state.deletions.clone()));
        Ok(Self { log, heads, state, ledger, receipts })
    }
}

/// What the API server needs to reach us and we to know it: certificate, trust in it, and the paths that only it knows.
struct Entrance {
    serving: Arc<Serving>,
    trust: TrustCheck,
    expiry: Gauge,
    door: Arc<Door>,
}

impl Entrance {
    /// Makes or reads the certificates, and keeps them and the webhook configurations up to date.
    async fn make(
        supervisor: &mut Supervisor,
        place: &Place,
        service: &str,
        client: &Client,
        clock: &Clock,
    ) -> anyhow::Result<Self> {
        let pki = PkiConfig::for_service(&place.namespace, service, &place.name("ca"));
        let names = service_names(&place.namespace, service);
        let keeper = PkiKeeper::start(client, pki, clock.clone()).await?;
        let serving = keeper.serving();
        let targets = vec![
            Target { kind: WebhookKind::Mutating, name: WEBHOOKS[0].to_owned() },
            Target { kind: WebhookKind::Validating, name: WEBHOOKS[1].to_owned() },
        ];
        let door = Door::new(&["/evidence/"])?;
        let injection = InjectorConfig {
            targets,
            entries: admission::ENTRIES,
            dns_name: names.first().cloned().unwrap_or_default(),
        };
        let (bundle, serving_now) = (keeper.bundle(), Arc::clone(&serving));
        let injector =
            Injector::new(client.clone(), injection, bundle, serving_now, Arc::clone(&door), clock.clone());
        let (trust, expiry) = (injector.trust(), keeper.expiry());
        supervise(supervisor, Phase::Foundation, "certificates", |s| keeper.run(s));
        supervise(supervisor, Phase::Foundation, "caBundle", |s| injector.run(s));
        Ok(Self { serving, trust, expiry, door })
    }
}

/// Ends the log in good order, or, where a task that did not end still holds it, publishes what it has.
async fn close(log: Arc<Log>, at: jiff::Timestamp) -> anyhow::Result<()> {
    match Arc::try_unwrap(log) {
        Ok(log) => {
            tokio::task::spawn_blocking(move || log.close(at, "shutdown")).await??;
        }
        Err(log) => {
            tokio::task::spawn_blocking(move || log.publish_now()).await??;
        }
    }
    Ok(())
}

/// What must hold before the API server is asked to call us (invariant 9).
fn readiness(state: &Arc<State>, log: &Arc<Log>, trust: TrustCheck, door: Arc<Door>) -> Readiness {
    let mut readiness = Readiness::new();
    let state = Arc::clone(state);
    readiness.add("stores", move || match state.store_problems() {
        problems if problems.is_empty() => Ok(()),
        problems => Err(format!("not yet read or not heard of: {}", problems.join(", "))),
    });
    let log = Arc::downgrade(log);
    readiness.add("evidence log", move || {
        let health = log.upgrade().ok_or("the log is closed")?.health();
        match (health.poisoned, health.full) {
            (Some(why), _) => Err(why),
            (None, true) => Err("its volume is full".into()),
            (None, false) => Ok(()),
        }
    });
    readiness.add("certificate and paths", move || trust.check());
    readiness.on_probe(move |ready| door.probed(ready));
    readiness
}

/// Serves /livez, /readyz and /metrics.
async fn serve_health(
    supervisor: &mut Supervisor,
    address: SocketAddr,
    readiness: Readiness,
    registry: Registry,
) -> anyhow::Result<()> {
    let router = health::router(Arc::new(readiness), Arc::new(registry));
    let server = Server::bind(ServerConfig::health(address), None).await?;
    supervise(supervisor, Phase::Foundation, "health server", |s| server.serve(router, s));
    Ok(())
}

/// Starts what serves beside the decisions.
fn start_services(
    supervisor: &mut Supervisor,
    flags: &Run,
    client: &Client,
    state: &Arc<State>,
    ledger: &Arc<Ledger>,
    heads: &Arc<ConfigMapHeads>,
    clock: &Clock,
) {
    let place = &flags.place;
    let owner_client = client.clone();
    let namespace = place.namespace.clone();
    supervise(supervisor, Phase::Work, "webhook owner", |s| async move {
        owner::keep(owner_client, &namespace, WEBHOOKS[0], WEBHOOKS[1], s).await
    });
    if let Some(dir) = flags.policies_dir.clone() {
        let packs_client = client.clone();
        let packs_state = Arc::clone(state);
        supervise(supervisor, Phase::Work, "policy packs", |s| async move {
            let ready = || packs_state.store_problems().is_empty();
            let tried = |policies: Vec<String>| guard::packs_brought(Arc::clone(&packs_state), policies);
            packs::apply_when(packs_client, dir, ready, tried, s).await
        });
    }
    let removal = Arc::clone(ledger);
    let removal_clock = clock.clone();
    let removal_heads = Arc::clone(heads);
    supervise(supervisor, Phase::Work, "uninstall notice", |s| async move {
        uninstall::record_removal(removal_heads, removal, removal_clock, s).await
    });
}

fn supervise<F, T>(supervisor: &mut Supervisor, phase: Phase, name: &str, task: F)
where
    F: FnOnce(crate::infra::supervisor::Shutdown) -> T,
    T: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let shutdown = supervisor.shutdown(phase);
    supervisor.spawn(phase, name, task(shutdown));
}

/// The uids of all pods, and of what may own them. Without the API server nothing can be judged anyway.
async fn there(client: &Client, now: jiff::Timestamp) -> anyhow::Result<There> {
    let mut uids = HashSet::new();
    for kind in stores::pods_and_owners() {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
        let mut params = ListParams::default().limit(500);
        loop {
            let page = tokio::time::timeout(Duration::from_secs(60), api.list_metadata(&params)).await??;
            uids.extend(page.items.into_iter().filter_map(|object| object.metadata.uid));
            let Some(next) = page.metadata.continue_.filter(|next| !next.is_empty()) else { break };
            params.continue_token = Some(next);
        }
    }
    Ok(There { uids, since: now - stores::OLD })
}

/// What is read back from the log while it is opened.
#[derive(Default)]
struct Read {
    memory: Memory,
    seen: Seen,
    receipts: History,
    deletions: Deletions,
}

/// Opens the log, or begins the successor that somebody ordered. Reading a long log takes time and blocks, so it has a
/// thread of its own.
async fn open_log(
    config: LogConfig,
    key: LogKey,
    heads: &Arc<ConfigMapHeads>,
    there: There,
    now: jiff::Timestamp,
) -> anyhow::Result<(Arc<Log>, Read)> {
    let order = heads.take_begin_order().await?;
    let ordered = order.is_some();
    let store: Arc<dyn HeadStore> = Arc::clone(heads) as Arc<dyn HeadStore>;
    let opened = tokio::task::spawn_blocking(move || {
        let mut read = Read { memory: Memory::of(there), ..Read::default() };
        let log = match order {
            Some(order) => Log::begin_successor(&config, &key, store, now, &order.because)?,
            None => Log::open_with(&config, &key, store, now, &mut |index, record| {
                read.seen.visit(record);
                read.memory.visit(index, record);
                read.receipts.visit(index, record);
                read.deletions.take(index, &record.payload, record.has_actor());
            })?,
        };
        Ok::<_, OpenError>((log, read))
    });
    let (log, read) = opened.await??;
    if ordered {
        heads.finish_begin_order().await?;
    }
    Ok((Arc::new(log), read))
}

/// Uid of the kube-system namespace: names the cluster.
async fn cluster_uid(client: &Client) -> anyhow::Result<String> {
    let api: Api<Namespace> = Api::all(client.clone());
    let namespace = tokio::time::timeout(Duration::from_secs(20), api.get("kube-system")).await??;
    namespace.metadata.uid.context("the namespace kube-system has no uid")
}

/// Removes the webhooks, lifts holds, and has that recorded.
///
/// # Errors
/// What could not be removed or lifted.
pub async fn remove(flags: Uninstall) -> anyhow::Result<()> {
    telemetry::init_logs(&flags.place.log_level, flags.place.log_format.into())?;
    let clock = Clock::system();
    let client = client::connect(&clock).await?;
    uninstall::uninstall(&client, &flags.place.namespace, &flags.place.release, clock.now()).await
}

#[cfg(test)]
mod tests {
    use super::one_replica;

    #[test]
    fn a_second_pod_of_the_set_is_refused() {
        for first in ["placet-0", "gate-0", "placet", "placet-7d9c4-x2v9z"] {
            assert!(one_replica(first).is_ok(), "{first}");
        }
        let refused = one_replica("placet-1").unwrap_err().to_string();
        assert!(refused.contains("found pod placet-1") && refused.contains("back to 1"), "{refused}");
    }
}
