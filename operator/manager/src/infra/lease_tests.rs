use std::sync::Mutex;

use serde_json::{Value, json};

use super::super::fake_api::{self, Seen};
use super::super::supervisor::Trigger;
use super::*;

const EVERY: Duration = Duration::from_secs(2);

fn seen(holder: Option<&str>, at: u64) -> Observed {
    Observed {
        holder: holder.map(str::to_owned),
        duration: Duration::from_secs(15),
        version: "7".to_owned(),
        seen: Duration::from_secs(at),
    }
}

#[test]
fn the_next_step_follows_from_the_lease_alone() {
    let at = Duration::from_secs;
    let cases = [
        (None, 100, Step::Acquire),
        (Some(seen(None, 100)), 100, Step::Acquire),
        (Some(seen(Some("me"), 100)), 100, Step::Renew),
        (Some(seen(Some("me"), 0)), 100, Step::Renew),
        (Some(seen(Some("other"), 100)), 100, Step::Wait(EVERY)),
        (Some(seen(Some("other"), 100)), 114, Step::Wait(at(1))),
        (Some(seen(Some("other"), 100)), 115, Step::Acquire),
        (Some(seen(Some("other"), 100)), 900, Step::Acquire),
    ];
    for (lease, now, wanted) in cases {
        assert_eq!(next_step(lease.as_ref(), "me", at(now), EVERY), wanted, "{lease:?} at {now}");
    }
}

#[derive(Default)]
struct Store {
    lease: Option<Value>,
    version: u32,
    /// No calls reach it.
    gone: bool,
}

type Shared = Arc<Mutex<Store>>;

fn server(store: &Shared) -> (Client, Arc<Mutex<Vec<Seen>>>) {
    let store = Arc::clone(store);
    fake_api::client(move |seen| {
        let store = Arc::clone(&store);
        async move {
            if store.lock().unwrap().gone {
                return std::future::pending().await;
            }
            let mut store = store.lock().unwrap();
            let stored = store.lease.as_ref().map(|lease| lease["metadata"]["resourceVersion"].clone());
            let sent = seen.body["metadata"]["resourceVersion"].clone();
            match (seen.method.as_str(), stored) {
                ("GET", Some(_)) => fake_api::reply(200, store.lease.as_ref().unwrap()),
                ("GET", None) => fake_api::failure(404, "NotFound"),
                ("POST", Some(_)) => fake_api::failure(409, "AlreadyExists"),
                ("PUT", version) if version != Some(sent) => fake_api::failure(409, "Conflict"),
                _ => {
                    store.version += 1;
                    let mut lease = seen.body;
                    lease["metadata"]["resourceVersion"] = json!(store.version.to_string());
                    store.lease = Some(lease.clone());
                    fake_api::reply(200, &lease)
                }
            }
        }
    })
}

struct Running {
    claim: Claim,
    stop: Trigger,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

#[expect(clippy::disallowed_methods, reason = "a test owns its tasks and ends them")]
fn run(client: &Client, me: &str) -> Running {
    let times = LeaseTimes::default();
    let candidate = Candidate::new(client.clone(), "ns", "placet", me.to_owned(), times, Clock::system());
    let (stop, shutdown) = Shutdown::pair();
    Running { claim: candidate.claim(), stop, task: tokio::spawn(candidate.run(shutdown)) }
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

fn holder(store: &Shared) -> String {
    store.lock().unwrap().lease.as_ref().unwrap()["spec"]["holderIdentity"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn one_of_two_leads_and_keeps_leading() {
    let store = Shared::default();
    let (client, _) = server(&store);
    let (a, b) = (run(&client, "a"), run(&client, "b"));
    seconds(1).await;
    let first = holder(&store);
    for _ in 0..60 {
        seconds(1).await;
        assert!(a.claim.is_current() ^ b.claim.is_current());
        assert_eq!(holder(&store), first);
    }
    assert_eq!(*a.claim.subscribe().borrow(), first == "a");
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_changes_hands_at_once() {
    let store = Shared::default();
    let (client, _) = server(&store);
    let a = run(&client, "a");
    seconds(1).await;
    let b = run(&client, "b");
    seconds(5).await;
    assert!(a.claim.is_current() && !b.claim.is_current());
    a.stop.fire();
    a.task.await.unwrap().unwrap();
    assert!(!a.claim.is_current());
    assert_eq!(holder(&store), "");
    seconds(3).await;
    assert!(b.claim.is_current());
    assert_eq!(store.lock().unwrap().lease.as_ref().unwrap()["spec"]["leaseTransitions"], json!(1));
}

#[tokio::test(start_paused = true)]
async fn a_claim_ends_by_itself_before_anybody_else_may_lead() {
    let store = Shared::default();
    let (client, _) = server(&store);
    let a = run(&client, "a");
    seconds(1).await;
    let b = run(&client, "b");
    seconds(6).await;
    // `a` dies without a word.
    a.task.abort();
    let mut gap = 0;
    for _ in 0..40 {
        assert!(!(a.claim.is_current() && b.claim.is_current()));
        gap += u32::from(!a.claim.is_current() && !b.claim.is_current());
        seconds(1).await;
    }
    assert!(b.claim.is_current());
    assert!((3..=10).contains(&gap), "nobody led for {gap} s");
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_cannot_reach_the_api_server_stops_leading() {
    let store = Shared::default();
    let (client, _) = server(&store);
    let a = run(&client, "a");
    seconds(5).await;
    assert!(a.claim.is_current());
    store.lock().unwrap().gone = true;
    seconds(11).await;
    assert!(!a.claim.is_current());
    store.lock().unwrap().gone = false;
    seconds(5).await;
    assert!(a.claim.is_current());
}

#[tokio::test(start_paused = true)]
async fn fields_of_others_survive_a_renewal() {
    let store = Shared::default();
    let (client, asked) = server(&store);
    let _a = run(&client, "a");
    seconds(1).await;
    {
        let mut store = store.lock().unwrap();
        store.version += 1;
        let version = store.version.to_string();
        let lease = store.lease.as_mut().unwrap();
        lease["metadata"]["labels"] = json!({"team": "platform"});
        lease["metadata"]["resourceVersion"] = json!(version);
    }
    seconds(10).await;
    assert_eq!(store.lock().unwrap().lease.as_ref().unwrap()["metadata"]["labels"]["team"], "platform");
    assert!(asked.lock().unwrap().iter().filter(|seen| seen.method == "PUT").count() >= 3);
}

#[test]
fn a_sole_claim_is_always_current() {
    assert!(Claim::sole().is_current());
    assert!(*Claim::sole().subscribe().borrow());
}

#[test]
fn identities_differ_between_lives() {
    let at: Timestamp = "2026-11-01T12:00:00Z".parse().unwrap();
    assert_ne!(identity("placet-0", at), identity("placet-0", at));
    assert!(identity("placet-0", at).starts_with("placet-0_1793534400_"));
}
