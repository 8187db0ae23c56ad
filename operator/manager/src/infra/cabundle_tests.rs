use axum::body::Body;
use http::Response;
use jiff::Timestamp;

use super::super::fake_api::{self, Feed, Seen};
use super::super::pki::{CaSet, Leaf, Lifetimes, step};
use super::super::supervisor::Trigger;
use super::*;

const DNS: &str = "placet.placet-system.svc";
const ENTRIES: Entries =
    &[("w0.placet.dev", "/mutate/a"), ("w1.placet.dev", "/b"), ("w2.placet.dev", "/b/c")];

fn encode(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn configuration(bundles: &[Option<&str>]) -> Value {
    let webhooks: Vec<Value> = bundles
        .iter()
        .enumerate()
        .map(|(index, bundle)| {
            let mut client = json!({"service": {"name": "placet", "namespace": "placet-system"}});
            if let Some(bundle) = bundle {
                client["caBundle"] = json!(encode(bundle));
            }
            json!({"name": format!("w{index}.placet.dev"), "clientConfig": client, "sideEffects": "None"})
        })
        .collect();
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
           "metadata": {"name": "placet", "uid": "u1", "resourceVersion": "1"}, "webhooks": webhooks})
}

/// What a configuration looks like once `door` leads through it.
fn with_paths(mut configuration: Value, door: &Door) -> Value {
    for (index, (_, endpoint)) in ENTRIES.iter().enumerate() {
        if let Some(webhook) = configuration["webhooks"].get_mut(index) {
            webhook["clientConfig"]["service"]["path"] = json!(door.path(endpoint));
        }
    }
    configuration
}

fn trust(door: &Arc<Door>) -> TrustCheck {
    let (client, _) = fake_api::client(async |_| fake_api::failure(404, "NotFound"));
    let (_, bundle) = watch::channel::<Bundle>(Arc::from(""));
    let config = InjectorConfig { targets: Vec::new(), entries: ENTRIES, dns_name: DNS.to_owned() };
    Injector::new(client, config, bundle, Serving::new(), Arc::clone(door), Clock::system()).trust()
}

#[tokio::test]
async fn the_patch_touches_bundles_and_paths_that_differ_and_nothing_else() {
    let door = Door::new(&[]).unwrap();
    let mut found = with_paths(configuration(&[Some("new"), Some("old"), None]), &door);
    found["webhooks"][2]["clientConfig"]["service"]["path"] = json!("/b/c");
    assert_eq!(
        trust(&door).patch_for(&found, "new").unwrap(),
        json!([
            {"op": "test", "path": "/metadata/uid", "value": "u1"},
            {"op": "test", "path": "/webhooks/1/name", "value": "w1.placet.dev"},
            {"op": "add", "path": "/webhooks/1/clientConfig/caBundle", "value": encode("new")},
            {"op": "test", "path": "/webhooks/2/name", "value": "w2.placet.dev"},
            {"op": "add", "path": "/webhooks/2/clientConfig/caBundle", "value": encode("new")},
            {"op": "add", "path": "/webhooks/2/clientConfig/service/path", "value": door.path("/b/c")},
        ])
    );
}

#[tokio::test]
async fn nothing_is_applied_when_nothing_differs_or_nothing_is_known() {
    let door = Door::new(&[]).unwrap();
    let trust = trust(&door);
    let ours = with_paths(configuration(&[Some("new"), Some("new")]), &door);
    assert_eq!(trust.patch_for(&ours, "new"), None);
    assert_eq!(trust.patch_for(&configuration(&[]), "new"), None);
    assert_eq!(trust.patch_for(&configuration(&[None]), ""), None, "no bundle to inject yet");
}

#[tokio::test]
async fn a_webhook_of_another_version_or_without_a_service_is_left_alone() {
    let door = Door::new(&[]).unwrap();
    let mut found = configuration(&[None, None]);
    found["webhooks"][0]["name"] = json!("future.placet.dev");
    found["webhooks"][1]["clientConfig"] = json!({"url": "https://example.com/b"});
    assert_eq!(trust(&door).patch_for(&found, "new"), None);
}

/// An API server with one validating configuration: applies change it and are told to the watch.
struct Bench {
    stored: Arc<Mutex<Option<Value>>>,
    feed: Arc<Mutex<Option<Feed>>>,
    asked: Arc<Mutex<Vec<Seen>>>,
    trust: TrustCheck,
    door: Arc<Door>,
    bundle: watch::Sender<Bundle>,
    _stop: Trigger,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn now() -> Timestamp {
    "2026-11-01T12:00:00Z".parse().unwrap()
}

fn ca() -> CaSet {
    step(None, now(), &Lifetimes::default()).unwrap().0
}

/// Applies a JSON patch of `test` and `add` steps.
fn apply_to(stored: &mut Value, patch: &Value) {
    for step in patch.as_array().unwrap() {
        let at = step["path"].as_str().unwrap();
        if step["op"] == "test" {
            assert_eq!(stored.pointer(at), Some(&step["value"]));
        } else {
            let (parent, field) = at.rsplit_once('/').unwrap();
            stored.pointer_mut(parent).unwrap()[field] = step["value"].clone();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test owns its one task and drops it at its end")]
fn start(initial: Option<Value>, set: &CaSet, refuse: bool) -> Bench {
    let stored = Arc::new(Mutex::new(initial));
    let feed: Arc<Mutex<Option<Feed>>> = Arc::default();
    let (objects, feeds) = (Arc::clone(&stored), Arc::clone(&feed));
    let (client, asked) = fake_api::client(move |seen| {
        let answer = answer(&seen, &objects, &feeds, refuse);
        async move { answer }
    });
    let serving = Serving::new();
    let names = [DNS.to_owned()];
    serving.set(Arc::clone(Leaf::issue(set, &names, now(), &Lifetimes::default()).unwrap().certified()));
    let (bundle, receiver) = watch::channel::<Bundle>(Arc::from(set.bundle()));
    let target = Target { kind: WebhookKind::Validating, name: "placet".to_owned() };
    let clock = Clock::system();
    clock.observe_floor(now());
    let door = Door::new(&[]).unwrap();
    let config = InjectorConfig { targets: vec![target], entries: ENTRIES, dns_name: DNS.to_owned() };
    let injector = Injector::new(client, config, receiver, serving, Arc::clone(&door), clock);
    let trust = injector.trust();
    let (stop, shutdown) = Shutdown::pair();
    let task = tokio::spawn(injector.run(shutdown));
    Bench { stored, feed, asked, trust, door, bundle, _stop: stop, task }
}

fn answer(
    seen: &Seen,
    stored: &Mutex<Option<Value>>,
    feed: &Mutex<Option<Feed>>,
    refuse: bool,
) -> Response<Body> {
    let mut stored = stored.lock().unwrap();
    match seen.method.as_str() {
        "PATCH" if refuse => fake_api::failure(403, "Forbidden"),
        "PATCH" => {
            let object = stored.as_mut().unwrap();
            apply_to(object, &seen.body);
            if let Some(feed) = feed.lock().unwrap().as_ref() {
                let _ = feed.send(json!({"type": "MODIFIED", "object": object}));
            }
            fake_api::reply(200, object)
        }
        _ if seen.target.contains("watch=true") => {
            let (sender, response) = fake_api::stream();
            *feed.lock().unwrap() = Some(sender);
            response
        }
        _ => {
            let items: Vec<Value> = stored.iter().cloned().collect();
            fake_api::reply(200, &json!({"metadata": {"resourceVersion": "1"}, "items": items}))
        }
    }
}

impl Bench {
    /// Somebody writes the configuration, or deletes it.
    fn write(&self, object: Option<Value>) {
        let kind = if object.is_some() { "MODIFIED" } else { "DELETED" };
        let told = object.clone().or_else(|| self.stored.lock().unwrap().clone()).unwrap();
        *self.stored.lock().unwrap() = object;
        self.feed.lock().unwrap().as_ref().unwrap().send(json!({"type": kind, "object": told})).unwrap();
    }

    fn stored(&self) -> Value {
        self.stored.lock().unwrap().clone().unwrap()
    }

    /// The path of the first webhook in force.
    fn path(&self) -> String {
        path_of(&self.stored()["webhooks"][0]).unwrap_or_default().to_owned()
    }

    fn patches(&self) -> Vec<Seen> {
        self.asked.lock().unwrap().iter().filter(|seen| seen.method == "PATCH").cloned().collect()
    }
}

#[tokio::test(start_paused = true)]
async fn the_bundle_is_injected_once_and_then_trusted() {
    let set = ca();
    let bench = start(Some(configuration(&[None, None])), &set, false);
    assert_eq!(bench.trust.check().unwrap_err(), "ValidatingWebhookConfiguration/placet: not yet seen");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.trust.check(), Ok(()));
    let patches = bench.patches();
    assert_eq!(patches.len(), 1);
    assert_eq!(patches[0].content_type, "application/json-patch+json");
    assert!(patches[0].target.contains("fieldManager=placet-ca-injector"), "{}", patches[0].target);
    let targets: Vec<_> = bench.asked.lock().unwrap().iter().map(|seen| seen.target.clone()).collect();
    assert!(targets[0].contains("fieldSelector=metadata.name%3Dplacet"), "{}", targets[0]);
}

#[tokio::test(start_paused = true)]
async fn an_overwritten_bundle_is_put_back() {
    let set = ca();
    let bench = start(Some(configuration(&[None])), &set, false);
    tokio::time::sleep(Duration::from_secs(5)).await;
    bench.write(Some(configuration(&[Some("somebody else's")])));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(bench.patches().len(), 2);
    assert_eq!(bench.trust.check(), Ok(()));
    assert_eq!(bench.door.due(), None, "nobody was told our path");
}

#[tokio::test(start_paused = true)]
async fn an_overwritten_path_is_put_back() {
    let set = ca();
    let bench = start(Some(configuration(&[None, None])), &set, false);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let ours = bench.stored();
    assert_eq!(bench.path(), bench.door.path("/mutate/a"));
    for path in ["/mutate/a", "/0000/mutate/a", &bench.door.path("/b")] {
        let mut theirs = ours.clone();
        theirs["webhooks"][0]["clientConfig"]["service"]["path"] = json!(path);
        bench.write(Some(theirs));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(bench.stored(), ours, "{path}");
    }
    let patches = bench.patches();
    assert_eq!(patches.len(), 4);
    assert_eq!(
        patches[3].body,
        json!([
            {"op": "test", "path": "/metadata/uid", "value": "u1"},
            {"op": "test", "path": "/webhooks/0/name", "value": "w0.placet.dev"},
            {"op": "add", "path": "/webhooks/0/clientConfig/service/path", "value": bench.door.path("/mutate/a")},
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn ready_is_who_has_bundle_and_paths_in_force() {
    let set = ca();
    let bench = start(Some(configuration(&[None, None])), &set, true);
    let check = |object: &Value| {
        bench.trust.set(0, in_force(object));
        bench.trust.check()
    };
    let ours = with_paths(configuration(&[Some(&set.bundle()), Some(&set.bundle())]), &bench.door);
    assert_eq!(check(&ours), Ok(()));
    let mut other = ours.clone();
    other["webhooks"][1]["clientConfig"]["service"]["path"] = json!("/secret/b");
    let reason = check(&other).unwrap_err();
    assert!(reason.ends_with("the path of w1.placet.dev is not ours"), "{reason}");
    let mut other = ours.clone();
    other["webhooks"][1]["name"] = json!("future.placet.dev");
    let reason = check(&other).unwrap_err();
    assert!(reason.contains("future.placet.dev is no webhook of this version"), "{reason}");
    let debug = format!("{:?}", bench.trust);
    assert!(!debug.contains(bench.door.path("").trim_start_matches('/')), "{debug}");
}

#[tokio::test(start_paused = true)]
async fn a_doubt_changes_the_path_in_force_and_requests_pass_all_the_while() {
    let set = ca();
    let bench = start(Some(configuration(&[None, None])), &set, false);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = bench.path();
    bench.door.doubt("test");
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(bench.path(), before, "at most once a minute");
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(bench.door.leads(&bench.path(), "/mutate/a"));
        assert_eq!(bench.trust.check(), Ok(()));
    }
    assert_ne!(bench.path(), before);
    assert!(!bench.door.leads(&before, "/mutate/a"), "the one before has ended");
    assert_eq!(bench.patches().len(), 2);
    // Nothing is written while nothing happens.
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert_eq!(bench.patches().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_bundle_overwritten_under_our_path_changes_the_path() {
    let set = ca();
    let bench = start(Some(configuration(&[None])), &set, false);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = bench.path();
    let mut theirs = bench.stored();
    theirs["webhooks"][0]["clientConfig"]["caBundle"] = json!(encode("somebody else's"));
    bench.write(Some(theirs));
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert_ne!(bench.path(), before);
    assert_eq!(bench.trust.check(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn while_nothing_can_be_put_in_force_the_token_stays() {
    let set = ca();
    let bench = start(Some(configuration(&[None])), &set, true);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = bench.door.path("/b");
    bench.door.doubt("test");
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(bench.door.path("/b"), before);
}

#[tokio::test(start_paused = true)]
async fn a_new_bundle_is_injected_without_being_asked() {
    let (set, other) = (ca(), ca());
    let bench = start(Some(configuration(&[None])), &set, false);
    tokio::time::sleep(Duration::from_secs(5)).await;
    bench.bundle.send_replace(Arc::from(other.bundle()));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(bench.patches().len(), 2);
    let reason = bench.trust.check().unwrap_err();
    assert!(reason.contains("not accepted"), "still serving a leaf of the first CA: {reason}");
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_is_absent_or_deleted_is_named_and_never_created() {
    let set = ca();
    let bench = start(None, &set, false);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(bench.trust.check().unwrap_err().contains("does not exist"));
    bench.write(Some(configuration(&[None])));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(bench.trust.check(), Ok(()));
    bench.write(None);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(bench.trust.check().unwrap_err().contains("does not exist"));
    assert_eq!(bench.patches().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_apply_is_tried_again_in_growing_steps() {
    let set = ca();
    let bench = start(Some(configuration(&[None])), &set, true);
    tokio::time::sleep(Duration::from_secs(300)).await;
    let tries = bench.patches().len();
    assert!((8..40).contains(&tries), "{tries} in five minutes");
    assert!(bench.trust.check().unwrap_err().contains("has no caBundle yet"));
}
