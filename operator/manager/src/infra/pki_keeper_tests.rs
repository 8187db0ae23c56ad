use std::sync::Mutex;

use serde_json::Value;

use super::super::clock::TimeSource;
use super::super::fake_api::{self, Seen};
use super::super::pki::accepts;
use super::*;

/// A wall clock that follows tokio's, so that pausing the one pauses the other.
#[derive(Debug)]
struct Paused(tokio::time::Instant);

impl TimeSource for Paused {
    fn wall(&self) -> Timestamp {
        let start: Timestamp = "2026-11-01T12:00:00Z".parse().unwrap();
        start + jiff::SignedDuration::try_from(self.0.elapsed()).unwrap()
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

fn clock() -> Clock {
    let source = Arc::new(Paused(tokio::time::Instant::now()));
    let clock = Clock::new(Arc::clone(&source) as Arc<dyn TimeSource>);
    let reading = (source.wall(), source.monotonic());
    clock.record_date(reading.0, reading, reading);
    clock
}

type Store = Arc<Mutex<Option<Value>>>;

/// An API server with one Secret, resourceVersions and conflicts.
fn server(store: &Store) -> (Client, Arc<Mutex<Vec<Seen>>>) {
    let store = Arc::clone(store);
    fake_api::client(move |seen| {
        let mut store = store.lock().unwrap();
        let answer = match (seen.method.as_str(), store.as_mut()) {
            ("GET", Some(secret)) => fake_api::reply(200, secret),
            ("GET" | "PATCH", None) => fake_api::failure(404, "NotFound"),
            ("POST", None) => {
                let mut made = seen.body.clone();
                made["metadata"]["resourceVersion"] = json!("1");
                *store = Some(made.clone());
                fake_api::reply(201, &made)
            }
            ("PATCH", Some(secret)) => {
                if seen.body["metadata"]["resourceVersion"] == secret["metadata"]["resourceVersion"] {
                    for (field, value) in seen.body["data"].as_object().unwrap() {
                        if value.is_null() {
                            secret["data"].as_object_mut().unwrap().remove(field);
                        } else {
                            secret["data"][field] = value.clone();
                        }
                    }
                    let version: u32 =
                        secret["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
                    secret["metadata"]["resourceVersion"] = json!((version + 1).to_string());
                    fake_api::reply(200, secret)
                } else {
                    fake_api::failure(409, "Conflict")
                }
            }
            _ => fake_api::failure(409, "AlreadyExists"),
        };
        async move { answer }
    })
}

fn config() -> PkiConfig {
    PkiConfig::for_service("placet-system", "placet", "placet-webhook-ca")
}

/// A year is an hour: everything renews within a test.
fn fast() -> PkiConfig {
    let lifetimes = Lifetimes {
        ca: Duration::from_secs(5 * 3600),
        leaf: Duration::from_secs(600),
        overlap: Duration::from_secs(60),
        backdate: Duration::from_secs(5),
    };
    PkiConfig { lifetimes, recheck: Duration::from_secs(15), ..config() }
}

async fn start(client: &Client, config: PkiConfig, clock: &Clock) -> PkiKeeper {
    PkiKeeper::start(client, config, clock.clone()).await.unwrap()
}

fn served_is_trusted(keeper: &PkiKeeper, bundle: &str) -> Result<(), String> {
    let leaf = keeper.serving().get().unwrap();
    accepts(bundle.as_bytes(), &leaf, "placet.placet-system.svc", keeper.clock.now())
}

#[tokio::test(start_paused = true)]
async fn replicas_share_one_ca_and_have_leaves_of_their_own() {
    let store = Store::default();
    let (client, _) = server(&store);
    let clock = clock();
    let first = start(&client, config(), &clock).await;
    let second = start(&client, config(), &clock).await;
    let bundle = first.bundle().borrow().clone();
    assert_eq!(bundle, *second.bundle().borrow());
    assert_eq!(served_is_trusted(&first, &bundle), Ok(()));
    assert_eq!(served_is_trusted(&second, &bundle), Ok(()));
    assert_ne!(first.serving().get().unwrap().cert, second.serving().get().unwrap().cert);
    assert_eq!(first.expiry().get(), (clock.now() + jiff::SignedDuration::from_hours(30 * 24)).as_second());
}

#[tokio::test(start_paused = true)]
async fn the_loser_of_the_first_race_uses_the_winners_ca() {
    let store = Store::default();
    let (client, _) = server(&store);
    let clock = clock();
    let winner = start(&client, config(), &clock).await;
    // The loser reads before the winner has written.
    let reads = Mutex::new(0);
    let secret = store.lock().unwrap().clone().unwrap();
    let (late, _) = fake_api::client(move |seen| {
        *reads.lock().unwrap() += 1;
        let answer = match (seen.method.as_str(), *reads.lock().unwrap()) {
            ("GET", 1) => fake_api::failure(404, "NotFound"),
            ("POST", _) => fake_api::failure(409, "AlreadyExists"),
            _ => fake_api::reply(200, &secret),
        };
        async move { answer }
    });
    let loser = start(&late, config(), &clock).await;
    assert_eq!(*winner.bundle().borrow(), *loser.bundle().borrow());
}

#[tokio::test(start_paused = true)]
async fn a_restart_writes_nothing() {
    let store = Store::default();
    let (client, asked) = server(&store);
    let clock = clock();
    start(&client, config(), &clock).await;
    start(&client, config(), &clock).await;
    let writes = asked.lock().unwrap().iter().filter(|seen| seen.method != "GET").count();
    assert_eq!(writes, 1);
}

#[tokio::test(start_paused = true)]
async fn an_expired_ca_in_the_secret_is_renewed_at_start() {
    let store = Store::default();
    let (client, _) = server(&store);
    let clock = clock();
    let old = start(&client, fast(), &clock).await.bundle().borrow().clone();
    tokio::time::advance(Duration::from_secs(6 * 3600)).await;
    let keeper = start(&client, fast(), &clock).await;
    let new = keeper.bundle().borrow().clone();
    assert_ne!(old, new);
    assert_eq!(served_is_trusted(&keeper, &new), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn two_replicas_live_through_several_cas_without_an_untrusted_moment() {
    let store = Store::default();
    let (client, _) = server(&store);
    let clock = clock();
    let mut replicas = [start(&client, fast(), &clock).await, start(&client, fast(), &clock).await];
    let mut cas = std::collections::BTreeSet::new();
    let mut leaves = std::collections::BTreeSet::new();
    // What the API server has been told; it learns of a new bundle 30 s late.
    let mut told: std::collections::VecDeque<Bundle> = std::collections::VecDeque::new();
    for turn in 0..2400 {
        tokio::time::advance(Duration::from_secs(15)).await;
        // The replicas look at different times; nobody knows who is first.
        replicas[turn % 2].sync().await.unwrap();
        let bundle = replicas[turn % 2].bundle().borrow().clone();
        cas.insert(bundle.split_inclusive("END CERTIFICATE-----\n").next().unwrap().to_owned());
        told.push_back(bundle);
        if told.len() > 2 {
            told.pop_front();
        }
        for replica in &replicas {
            assert_eq!(served_is_trusted(replica, &told[0]), Ok(()), "turn {turn}");
            leaves.insert(replica.serving().get().unwrap().cert[0].to_vec());
        }
    }
    assert!(cas.len() >= 3, "{} CAs in ten hours", cas.len());
    assert!(leaves.len() > 100, "{} leaves", leaves.len());
}

#[tokio::test(start_paused = true)]
async fn a_failing_api_server_changes_nothing_that_is_served() {
    let store = Store::default();
    let (client, _) = server(&store);
    let clock = clock();
    let mut keeper = start(&client, fast(), &clock).await;
    let before = keeper.serving().get().unwrap();
    *store.lock().unwrap() = Some(json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "placet-webhook-ca"}, "data": {"ca.crt": "AAAA", "ca.key": "AAAA"}}));
    let error = keeper.sync().await.unwrap_err().to_string();
    assert!(error.contains("ca.crt") && error.contains("delete the Secret"), "{error}");
    assert!(Arc::ptr_eq(&before, &keeper.serving().get().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn somebody_who_always_wins_is_named() {
    let store = Store::default();
    let (client, _) = server(&store);
    let clock = clock();
    start(&client, fast(), &clock).await;
    let secret = store.lock().unwrap().clone().unwrap();
    let (contested, asked) = fake_api::client(move |seen| {
        let answer = match seen.method.as_str() {
            "GET" => fake_api::reply(200, &secret),
            _ => fake_api::failure(409, "Conflict"),
        };
        async move { answer }
    });
    tokio::time::advance(Duration::from_secs(6 * 3600)).await;
    let error = PkiKeeper::start(&contested, fast(), clock).await.unwrap_err().to_string();
    assert!(
        error.contains("placet-system/placet-webhook-ca") && error.contains("others wrote first"),
        "{error}"
    );
    assert_eq!(asked.lock().unwrap().len(), 2 * RACES);
}

#[tokio::test(start_paused = true)]
async fn the_task_renews_by_itself() {
    let store = Store::default();
    let (client, _) = server(&store);
    let keeper = start(&client, fast(), &clock()).await;
    let (serving, before) = (keeper.serving(), keeper.serving().get().unwrap());
    let (stop, shutdown) = Shutdown::pair();
    let running = keeper.run(shutdown);
    let watching = async {
        tokio::time::sleep(Duration::from_secs(390)).await;
        assert!(Arc::ptr_eq(&before, &serving.get().unwrap()), "two thirds of 600 s are 400");
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!(!Arc::ptr_eq(&before, &serving.get().unwrap()));
        stop.fire();
    };
    let (ended, ()) = tokio::join!(running, watching);
    ended.unwrap();
}
