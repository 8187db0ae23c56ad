use axum::body::Body;
use http::Response;
use jiff::Timestamp;

use super::super::fake_api::{self, Feed, Seen};
use super::super::pki::{CaSet, Leaf, Lifetimes, step};
use super::super::supervisor::Trigger;
use super::*;

const DNS: &str = "placet.placet-system.svc";

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

#[test]
fn the_patch_touches_bundles_that_differ_and_nothing_else() {
    let patch = patch_for(&configuration(&[Some("new"), Some("old"), None]), "new").unwrap();
    assert_eq!(
        patch,
        json!([
            {"op": "test", "path": "/metadata/uid", "value": "u1"},
            {"op": "test", "path": "/webhooks/1/name", "value": "w1.placet.dev"},
            {"op": "add", "path": "/webhooks/1/clientConfig/caBundle", "value": encode("new")},
            {"op": "test", "path": "/webhooks/2/name", "value": "w2.placet.dev"},
            {"op": "add", "path": "/webhooks/2/clientConfig/caBundle", "value": encode("new")},
        ])
    );
}

#[test]
fn nothing_is_applied_when_nothing_differs_or_nothing_is_known() {
    assert_eq!(patch_for(&configuration(&[Some("new"), Some("new")]), "new"), None);
    assert_eq!(patch_for(&configuration(&[]), "new"), None);
    assert_eq!(patch_for(&configuration(&[None]), ""), None, "no bundle to inject yet");
}

/// An API server with one validating configuration: applies change it and are told to the watch.
struct Bench {
    stored: Arc<Mutex<Option<Value>>>,
    feed: Arc<Mutex<Option<Feed>>>,
    asked: Arc<Mutex<Vec<Seen>>>,
    trust: TrustCheck,
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
    let injector = Injector::new(client, vec![target], receiver, serving, DNS.to_owned(), clock);
    let trust = injector.trust();
    let (stop, shutdown) = Shutdown::pair();
    let task = tokio::spawn(injector.run(shutdown));
    Bench { stored, feed, asked, trust, bundle, _stop: stop, task }
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
