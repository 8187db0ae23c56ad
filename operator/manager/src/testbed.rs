//! A bed for tests of whole controllers: the API server as a map of objects, a real log in a directory whose disk can be
//! made to refuse, and clocks that hands set. Objects carry real stamps.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use placet_api::{Kind, keys};
use placet_evidence::vfs::{DirFs, Listed, Space, Vfs, WalFile};
use placet_evidence::{Config, Log, LogKey, MemoryHeads, Payload, Record};
use placet_gate::object::Reading;
use placet_gate::people::PeopleKey;
use placet_gate::stamp::ReceiptKeys;
use serde_json::{Value, json};

use crate::admission::Admission;
use crate::deletions::Deletions;
use crate::infra::clock::{Clock, TimeSource};
use crate::infra::fake_api;
use crate::infra::lease::Claim;
use crate::infra::supervisor::Shutdown;
use crate::ledger::Ledger;
use crate::memory::Memory;
use crate::queue::{Queue, Work};
use crate::quota::Limits;
use crate::reconcile::{Kept, Reconciler};
use crate::services::events::{EventSink, EventTask};
use crate::services::fake::{Asked, Fake};
use crate::state::{Raw, State};
use crate::unseen::Seen;

mod objects;

use objects::path_of;
pub(crate) use objects::{
    api_of_the_world, api_with, approval, content, model_release, path, pod_path, policy, signing, stamped,
    unstamped, world,
};

/// The namespace of everything.
pub(crate) const NS: &str = "lending";
/// The release.
pub(crate) const RELEASE: &str = "scoring-2";
/// An image that the release lists.
pub(crate) const SERVER: &str =
    "registry.example.com/server@sha256:4444444444444444444444444444444444444444444444444444444444444444";
/// An image that it does not list.
pub(crate) const PROXY: &str =
    "registry.example.com/proxy@sha256:5555555555555555555555555555555555555555555555555555555555555555";
const CLUSTER: &str = "cluster";

/// Clocks that are set by hand: wall and monotonic.
#[derive(Debug)]
pub(crate) struct Hands(Mutex<(Timestamp, Duration)>);

impl TimeSource for Hands {
    fn wall(&self) -> Timestamp {
        self.0.lock().unwrap().0
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().unwrap().1
    }
}

impl Hands {
    /// Time passes.
    pub(crate) fn pass(&self, time: SignedDuration) {
        let mut hands = self.0.lock().unwrap();
        hands.0 += time;
        hands.1 += Duration::try_from(time).unwrap();
    }

    /// Somebody sets the wall clock.
    pub(crate) fn set(&self, by: SignedDuration) {
        self.0.lock().unwrap().0 += by;
    }
}

/// A disk that can break.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Writing fails.
    pub(crate) broken: AtomicBool,
    /// There is no room.
    pub(crate) full: AtomicBool,
}

struct Disk(DirFs, Arc<Faults>);

struct File(Box<dyn WalFile>, Arc<Faults>);

impl WalFile for File {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.1.broken.load(Ordering::Relaxed) {
            return Err(io::Error::other("the disk is broken"));
        }
        self.0.write_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }
}

impl Vfs for Disk {
    fn lock(&self) -> io::Result<Box<dyn Send + Sync>> {
        self.0.lock()
    }
    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.0.create_dir(path)
    }
    fn list(&self, dir: &str) -> io::Result<Vec<Listed>> {
        self.0.list(dir)
    }
    fn exists(&self, path: &str) -> io::Result<bool> {
        self.0.exists(path)
    }
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0.read(path)
    }
    fn write_synced(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.0.write_synced(path, bytes)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove_file(&self, path: &str) -> io::Result<()> {
        self.0.remove_file(path)
    }
    fn remove_dir(&self, path: &str) -> io::Result<()> {
        self.0.remove_dir(path)
    }
    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.0.sync_dir(dir)
    }
    fn allocate(&self, path: &str, header: &[u8], len: u64) -> io::Result<Box<dyn WalFile>> {
        Ok(Box::new(File(self.0.allocate(path, header, len)?, Arc::clone(&self.1))))
    }
    fn open(&self, path: &str) -> io::Result<Box<dyn WalFile>> {
        Ok(Box::new(File(self.0.open(path)?, Arc::clone(&self.1))))
    }
    fn space(&self) -> io::Result<Space> {
        let space = self.0.space()?;
        let full = self.1.full.load(Ordering::Relaxed);
        // Empty otherwise, whatever the disk of the machine that tests.
        Ok(Space { free: if full { 0 } else { space.total }, total: space.total })
    }
}

/// Where things live that outlast the operator.
pub(crate) struct Site {
    pub(crate) fake: Fake,
    pub(crate) hands: Arc<Hands>,
    pub(crate) faults: Arc<Faults>,
    heads: Arc<MemoryHeads>,
    /// Whether policies guard themselves, by approvals in [`NS`].
    pub(crate) guarded: bool,
    /// Whether there are policy packs to be applied.
    pub(crate) packs: bool,
    /// Bytes of a segment of the log; an object takes a quarter of that at most.
    pub(crate) segment_bytes: u64,
    volume: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let start = "2026-11-20T12:00:00Z".parse().unwrap();
        Self {
            fake: Fake::new(),
            hands: Arc::new(Hands(Mutex::new((start, Duration::from_secs(100))))),
            faults: Arc::default(),
            heads: Arc::default(),
            guarded: false,
            packs: false,
            segment_bytes: 1 << 20,
            volume: tempfile::tempdir().unwrap(),
        }
    }

    /// Starts an operator, as `run` does: the log is read, and the world holds what it remembers.
    pub(crate) fn start(&self) -> Bed {
        self.start_with(Limits::default())
    }

    /// The same, and has it list everything that the API server has, in an enforcing namespace.
    pub(crate) fn start_again(&self) -> Bed {
        let bed = self.start();
        bed.namespace(Some("deny"));
        bed.list();
        bed
    }

    /// The same as [`Site::start`], with other limits on what a namespace may hold.
    pub(crate) fn start_with(&self, limits: Limits) -> Bed {
        let clock = Clock::new(Arc::clone(&self.hands) as Arc<dyn TimeSource>);
        let now = (self.hands.wall(), self.hands.monotonic());
        clock.record_date(now.0, now, now);
        let mut config = Config::new(self.volume.path(), "placet.dev/test", CLUSTER);
        (config.segment_bytes, config.reserve_bytes) = (self.segment_bytes, 1);
        let (mut memory, mut seen) = (Memory::default(), Seen::default());
        let deletions = Deletions::default();
        let disk = Arc::new(Disk(DirFs::new(self.volume.path()), Arc::clone(&self.faults)));
        let heads = Arc::clone(&self.heads);
        let log = Log::open_on(disk, &config, &key(), heads, now.0, &mut |index, record| {
            seen.visit(record);
            memory.visit(index, record);
            deletions.take(index, &record.payload, record.has_actor());
        });
        let log = Arc::new(log.unwrap());
        let mut receipts = ReceiptKeys::new();
        receipts.add(signing().verifying_key());
        let people = PeopleKey::new(*b"testbed");
        let reading = Reading { cluster: CLUSTER.into(), cluster_name: None, keys: receipts, people };
        let state = State::new(reading, clock).with_quota(limits).with_deletions(deletions);
        let state = Arc::new(if self.packs { state.with_packs() } else { state });
        let read = |digest: &placet_evidence::Digest| -> anyhow::Result<Vec<u8>> {
            Ok(placet_evidence::source::read_object(log.source(), digest)?.unwrap().bytes().to_vec())
        };
        seen.recall(&read).unwrap();
        let decisions = memory.recall(&mut state.world_mut(), &read).unwrap();
        if self.guarded {
            state.world_mut().guard(NS, memory.guard.is_open());
        }
        state.workloads_mut().recall(memory.admitted, memory.under, memory.waiting);
        memory.roles.recall(&state);
        let ledger = Ledger::new(Arc::clone(&log), decisions, now.0).with_seen(seen);
        let ledger = Arc::new(ledger.with_deletions(state.deletions.clone()));
        let client = self.fake.client();
        let (events, event_task) = EventSink::new(client.clone(), "placet-operator", "placet-0");
        let reconciler = Arc::new(Reconciler {
            state: Arc::clone(&state),
            raw: Arc::default(),
            queue: Arc::new(Queue::default()),
            ledger,
            client,
            events,
            claim: Claim::sole(),
            timers: Mutex::default(),
            retries: Mutex::default(),
            installation: Mutex::default(),
            told: Mutex::default(),
            lifts: Mutex::default(),
            unfit: Mutex::default(),
        });
        let kept = tokio::sync::Mutex::new(Kept::new(state.now()));
        Bed {
            fake: self.fake.clone(),
            hands: Arc::clone(&self.hands),
            state,
            log,
            reconciler,
            event_task,
            kept,
        }
    }
}

fn key() -> LogKey {
    LogKey::from_seed(&[7; 32])
}

/// An operator that runs.
pub(crate) struct Bed {
    pub(crate) fake: Fake,
    pub(crate) hands: Arc<Hands>,
    pub(crate) state: Arc<State>,
    pub(crate) log: Arc<Log>,
    pub(crate) reconciler: Arc<Reconciler>,
    event_task: EventTask,
    kept: tokio::sync::Mutex<Kept>,
}

impl Bed {
    /// Brings an object to the stores, as a watch would, without the API server having it.
    pub(crate) fn hear(&self, object: &Value) {
        let (record, names) = self.state.read(object).unwrap();
        self.state.learn(names);
        let key = (record.kind, record.namespace.clone().unwrap_or_default(), record.name.clone());
        self.state.world_mut().apply(record);
        let work = match key.0 {
            Kind::ModelRelease => Work::Release(key.1.clone(), key.2.clone()),
            kind => Work::Object(kind, key.1.clone(), key.2.clone()),
        };
        self.state.quota.seen(key.0, &key.1, &key.2, object);
        self.reconciler.raw.lock().unwrap().insert(key, Raw::new(object));
        self.reconciler.queue.push([work, release()]);
    }

    /// What the webhooks answer by; the API server that they ask knows nothing.
    pub(crate) fn admission(&self) -> Admission {
        self.admission_over(fake_api::client(|_| async { fake_api::failure(500, "InternalError") }).0)
    }

    /// The same over a client.
    pub(crate) fn admission_over(&self, client: kube::Client) -> Admission {
        let (events, _) = EventSink::new(client.clone(), "placet-operator", "placet-0");
        Admission {
            state: Arc::clone(&self.state),
            ledger: Arc::clone(&self.reconciler.ledger),
            receipts: Arc::new(signing()),
            client,
            events,
            operator_user: "system:serviceaccount:placet-system:placet".into(),
        }
    }

    /// An object is written, and the stores hear of it.
    pub(crate) fn put(&self, object: &Value) {
        self.fake.put(&path_of(object), object.clone());
        self.hear(&self.fake.object(&path_of(object)).unwrap());
    }

    /// The stores hear that an object is gone; it stays on the API server.
    pub(crate) fn miss(&self, kind: Kind, name: &str) {
        let namespace = if kind.namespaced() { NS } else { "" };
        self.state.world_mut().remove(kind, Some(namespace), name);
        self.state.quota.gone(kind, namespace, name);
        self.reconciler.raw.lock().unwrap().remove(&(kind, namespace.to_owned(), name.to_owned()));
        self.reconciler.queue.push([release()]);
    }

    /// An object is deleted, and the stores hear of it.
    pub(crate) fn delete(&self, kind: Kind, name: &str) {
        self.fake.take_away(&path(kind, name));
        self.miss(kind, name);
    }

    /// The stores hear of everything that the API server holds: what a restarted operator lists.
    pub(crate) fn list(&self) {
        for kind in Kind::ALL {
            let all = if kind.namespaced() { format!("/namespaces/{NS}") } else { String::new() };
            for object in
                self.fake.in_collection(&format!("/apis/placet.dev/v1alpha1{all}/{}", kind.plural()))
            {
                self.hear(&object);
            }
        }
    }

    /// A namespace has this label.
    pub(crate) fn namespace(&self, mode: Option<&str>) {
        let mut labels = BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), NS.to_owned())]);
        labels.extend(mode.map(|m| (keys::ENFORCE.to_owned(), m.to_owned())));
        self.state.world_mut().set_namespace(NS, labels);
        self.reconciler.queue.push([release(), Work::Release(NS.to_owned(), String::new())]);
    }

    /// A pod exists, and the stores hear of it.
    pub(crate) fn pod(&self, name: &str, release: Option<&str>, image: &str, held: bool) {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": NS, "uid": format!("uid-{name}"), "labels": {}},
            "spec": {"containers": [{"name": "main", "image": image}]},
        });
        if let Some(release) = release {
            pod["metadata"]["labels"][keys::RELEASE] = release.into();
        }
        if held {
            pod["spec"]["schedulingGates"] = json!([{"name": "other.dev/gate"}, {"name": keys::HOLD_GATE}]);
        }
        self.fake.put(&pod_path(name), pod.clone());
        let key = (NS.to_owned(), name.to_owned());
        self.state.workloads_mut().pods.insert(key, crate::places::Pod::of(&pod));
        self.reconciler.queue.push([Work::Release(NS.to_owned(), release.unwrap_or_default().to_owned())]);
    }

    /// Whether a pod carries our gate; the other one never goes.
    pub(crate) fn held(&self, name: &str) -> bool {
        let pod = self.fake.object(&pod_path(name)).unwrap();
        let gates = pod["spec"]["schedulingGates"].as_array().cloned().unwrap_or_default();
        assert!(gates.contains(&json!({"name": "other.dev/gate"})), "{gates:?}");
        gates.contains(&json!({"name": keys::HOLD_GATE}))
    }

    /// The stores hear of what was written: statuses, and pods whose gates went.
    pub(crate) fn hear_written(&self) {
        for ((_, name), pod) in &mut self.state.workloads_mut().pods {
            *pod = crate::places::Pod::of(&self.fake.object(&pod_path(name)).unwrap());
        }
        let mut raw = self.reconciler.raw.lock().unwrap();
        for ((kind, _, name), object) in raw.iter_mut() {
            if let Some(written) = self.fake.object(&path(*kind, name)) {
                // Nothing else: what the stores did not hear of stays unheard of.
                let mut now = object.object();
                now["status"] = written["status"].clone();
                *object = Raw::new(&now);
            }
        }
    }

    /// Everything that waits, again.
    pub(crate) fn everything(&self) {
        let raw = self.reconciler.raw.lock().unwrap();
        let work = raw.keys().map(|(kind, namespace, name)| match kind {
            Kind::ModelRelease => Work::Release(namespace.clone(), name.clone()),
            kind => Work::Object(*kind, namespace.clone(), name.clone()),
        });
        self.reconciler.queue.push(work);
    }

    /// Turns of the worker, a second apart; between them the stores hear of what was written.
    pub(crate) async fn turns(&self, number: usize) {
        self.pass_turns(SignedDuration::from_secs(1), number).await;
    }

    /// Turns of the worker, with so much time before each.
    pub(crate) async fn pass_turns(&self, time: SignedDuration, number: usize) {
        for _ in 0..number {
            self.hands.pass(time);
            self.turn().await.unwrap();
            self.hear_written();
        }
    }

    /// One turn of the worker.
    pub(crate) async fn turn(&self) -> anyhow::Result<()> {
        let mut kept = self.kept.lock().await;
        self.reconciler.turn(&mut kept).await
    }

    /// Status of an object as it was written.
    pub(crate) fn status(&self, kind: Kind, name: &str) -> Value {
        self.fake.object(&path(kind, name)).unwrap()["status"].clone()
    }

    /// A condition of an object.
    pub(crate) fn condition(&self, kind: Kind, name: &str, type_: &str) -> Value {
        let status = self.status(kind, name);
        let all = status["conditions"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|c| c["type"] == type_).unwrap_or(Value::Null)
    }

    /// Whether the release is cleared, as its status says.
    pub(crate) fn cleared(&self) -> String {
        let condition = self.condition(Kind::ModelRelease, RELEASE, "Cleared");
        condition["status"].as_str().unwrap_or("no status").to_owned()
    }

    /// All records of the log, from index 0.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.log.publish_now().unwrap();
        let found = Mutex::new(Vec::new());
        self.log.replay(0, &mut |_, record: &Record| found.lock().unwrap().push(record.clone())).unwrap();
        found.into_inner().unwrap()
    }

    /// Index of the first record that is meant.
    pub(crate) fn index<F: Fn(&Payload) -> bool>(&self, meant: F) -> Option<u64> {
        let found = self.records().iter().position(|r| meant(&r.payload));
        found.map(|index| u64::try_from(index).unwrap())
    }

    /// Stops: events that wait are written. Gives all writes that the API server was sent.
    pub(crate) async fn stop(self) -> Vec<Asked> {
        let (stop, shutdown) = Shutdown::pair();
        stop.fire();
        self.event_task.run(shutdown).await.unwrap();
        self.fake.writes()
    }
}

fn release() -> Work {
    Work::Release(NS.to_owned(), RELEASE.to_owned())
}
