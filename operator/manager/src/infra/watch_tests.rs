use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::Response;
use serde_json::json;

use super::super::fake_api::{self, Feed, Seen};
use super::super::freshness::StoreState;
use super::*;

type Events = Arc<Mutex<Vec<Event>>>;
type Script = Arc<Mutex<VecDeque<Response<Body>>>>;

/// A watch over scripted answers; when the script is used up, requests hang.
struct Bench {
    events: Events,
    asked: Arc<Mutex<Vec<Seen>>>,
    freshness: Freshness,
    script: Script,
    _stop: super::super::supervisor::Trigger,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

fn releases() -> WatchConfig {
    WatchConfig::all(ApiResource {
        group: "placet.dev".to_owned(),
        version: "v1alpha1".to_owned(),
        api_version: "placet.dev/v1alpha1".to_owned(),
        kind: "ModelRelease".to_owned(),
        plural: "modelreleases".to_owned(),
    })
}

#[expect(clippy::disallowed_methods, reason = "a test owns its one task and drops it at its end")]
fn start(config: WatchConfig, answers: Vec<Response<Body>>) -> Bench {
    let script: Script = Arc::new(Mutex::new(answers.into()));
    let next = Arc::clone(&script);
    let (client, asked) = fake_api::client(move |_| {
        let answer = next.lock().unwrap().pop_front();
        async move {
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }
    });
    let events: Events = Arc::default();
    let sink = Arc::clone(&events);
    let watch = Watch::new(client, config, move |event| sink.lock().unwrap().push(event));
    let freshness = watch.freshness();
    let (stop, shutdown) = Shutdown::pair();
    let task = tokio::spawn(watch.run(shutdown));
    Bench { events, asked, freshness, script, _stop: stop, task }
}

impl Bench {
    async fn settle(&self) {
        // With time paused this returns once every task waits for something later.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    fn targets(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|seen| seen.target.clone()).collect()
    }

    fn then(&self, answer: Response<Body>) {
        self.script.lock().unwrap().push_back(answer);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn object(name: &str, version: &str) -> Value {
    json!({"apiVersion": "placet.dev/v1alpha1", "kind": "ModelRelease",
           "metadata": {"name": name, "namespace": "ml", "resourceVersion": version},
           "spec": {"unknownField": 9_007_199_254_740_993_u64}})
}

fn page(version: &str, next: &str, items: &[Value]) -> Response<Body> {
    let metadata = json!({"resourceVersion": version, "continue": next});
    fake_api::reply(200, &json!({"kind": "List", "metadata": metadata, "items": items}))
}

fn bookmark(version: &str) -> Value {
    json!({"type": "BOOKMARK", "object": {"kind": "ModelRelease", "apiVersion": "placet.dev/v1alpha1",
           "metadata": {"resourceVersion": version}}})
}

fn event(kind: &str, object: &Value) -> Value {
    json!({"type": kind, "object": object})
}

/// A list of nothing at version 5, then a watch.
fn listed() -> (Feed, Vec<Response<Body>>) {
    let (feed, watch) = fake_api::stream();
    (feed, vec![page("5", "", &[]), watch])
}

#[tokio::test(start_paused = true)]
async fn pages_become_one_restart_and_every_field_is_kept() {
    let (_feed, watch) = fake_api::stream();
    let mut bare = object("b", "4");
    bare.as_object_mut().unwrap().remove("kind");
    bare.as_object_mut().unwrap().remove("apiVersion");
    bare["metadata"]["managedFields"] = json!([{"manager": "kubectl"}]);
    let bench =
        start(releases(), vec![page("7", "more", &[object("a", "3")]), page("7", "", &[bare]), watch]);
    bench.settle().await;
    assert_eq!(
        *bench.events.lock().unwrap(),
        vec![Event::Restarted(vec![object("a", "3"), object("b", "4")].into())],
        "kind filled in, managedFields dropped, large numbers exact"
    );
    let targets = bench.targets();
    assert_eq!(
        targets[0], "/apis/placet.dev/v1alpha1/modelreleases?&limit=500",
        "consistent: no resourceVersion"
    );
    assert!(targets[1].contains("continue=more"), "{}", targets[1]);
    assert!(targets[2].contains("watch=true"), "{}", targets[2]);
    assert!(targets[2].contains("allowWatchBookmarks=true") && targets[2].contains("resourceVersion=7"));
    assert!(bench.freshness.is_live());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_of_half_a_list() {
    let bench = start(releases(), vec![page("7", "more", &[object("a", "3")])]);
    bench.settle().await;
    assert!(bench.events.lock().unwrap().is_empty());
    assert_eq!(bench.freshness.state(), StoreState::NotYetListed);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_expires_between_pages_begins_again_in_pages() {
    let (_feed, watch) = fake_api::stream();
    let answers = vec![
        page("7", "more", &[object("gone", "3")]),
        fake_api::failure(410, "Expired"),
        page("9", "more", &[object("a", "3")]),
        page("9", "", &[object("b", "8")]),
        watch,
    ];
    let bench = start(releases(), answers);
    bench.settle().await;
    assert_eq!(
        *bench.events.lock().unwrap(),
        vec![Event::Restarted(vec![object("a", "3"), object("b", "8")].into())]
    );
    let targets = bench.targets();
    assert!(targets[2].contains("limit=500") && !targets[2].contains("continue="), "{}", targets[2]);
}

#[tokio::test(start_paused = true)]
async fn events_pass_and_a_broken_watch_resumes_where_it_stopped() {
    let (feed, answers) = listed();
    let bench = start(releases(), answers);
    bench.settle().await;
    feed.send(event("ADDED", &object("a", "6"))).unwrap();
    feed.send(event("MODIFIED", &object("a", "7"))).unwrap();
    feed.send(event("DELETED", &object("a", "8"))).unwrap();
    feed.send(bookmark("12")).unwrap();
    bench.settle().await;
    assert_eq!(
        *bench.events.lock().unwrap(),
        vec![
            Event::Restarted(Vec::new().into()),
            Event::Applied(object("a", "6")),
            Event::Applied(object("a", "7")),
            Event::Deleted(object("a", "8")),
        ]
    );
    let (again, watch) = fake_api::stream();
    bench.then(watch);
    drop(feed);
    bench.settle().await;
    assert!(bench.targets()[2].contains("resourceVersion=12"), "{:?}", bench.targets());
    again.send(event("ADDED", &object("b", "13"))).unwrap();
    bench.settle().await;
    assert_eq!(bench.events.lock().unwrap().last(), Some(&Event::Applied(object("b", "13"))));
}

#[tokio::test(start_paused = true)]
async fn gone_means_list_again() {
    let (feed, answers) = listed();
    let bench = start(releases(), answers);
    bench.settle().await;
    bench.then(page("20", "", &[object("z", "19")]));
    bench.then(fake_api::stream().1);
    feed.send(event("ERROR", &fake_api::status_object(410, "Expired"))).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.events.lock().unwrap().last(), Some(&Event::Restarted(vec![object("z", "19")].into())));
    assert!(bench.freshness.is_live());
}

#[tokio::test(start_paused = true)]
async fn bookmarks_keep_a_quiet_store_live_and_silence_opens_another_connection() {
    let (feed, answers) = listed();
    let bench = start(releases(), answers);
    bench.settle().await;
    for version in 0..3 {
        tokio::time::sleep(Duration::from_secs(61)).await;
        feed.send(bookmark(&format!("1{version}"))).unwrap();
        bench.settle().await;
        assert!(bench.freshness.is_live(), "after bookmark {version}");
    }
    // The connection dies without a word, and the API server does not answer any more.
    tokio::time::sleep(Duration::from_secs(69)).await;
    assert_eq!(bench.targets().len(), 2);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let targets = bench.targets();
    assert_eq!(targets.len(), 3, "tried again before the store is stale");
    // 20 s are left: a watch that is asked to end soon brings its bookmark in time.
    assert!(
        targets[2].contains("timeoutSeconds=13") && targets[2].contains("resourceVersion=12"),
        "{}",
        targets[2]
    );
    assert!(bench.freshness.is_live());
    tokio::time::sleep(Duration::from_secs(19)).await;
    assert!(matches!(bench.freshness.state(), StoreState::Stale { .. }), "{:?}", bench.freshness.state());
}

#[tokio::test(start_paused = true)]
async fn a_stale_store_is_listed_again() {
    let (feed, answers) = listed();
    let bench = start(releases(), answers);
    bench.settle().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    drop(feed);
    bench.then(fake_api::failure(503, "ServiceUnavailable"));
    bench.then(fake_api::failure(503, "ServiceUnavailable"));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(bench.freshness.problem().unwrap().contains("503"), "{:?}", bench.freshness.problem());
    // Nothing answers for long; the store is stale, and the attempt under way gives up after a minute.
    tokio::time::sleep(Duration::from_secs(28)).await;
    assert!(!bench.freshness.is_live());
    let (_feed, watch) = fake_api::stream();
    bench.then(page("30", "", &[object("a", "29")]));
    bench.then(watch);
    tokio::time::sleep(Duration::from_secs(80)).await;
    assert!(bench.freshness.is_live());
    assert_eq!(bench.events.lock().unwrap().last(), Some(&Event::Restarted(vec![object("a", "29")].into())));
    assert_eq!(bench.freshness.problem(), None);
}

#[tokio::test(start_paused = true)]
async fn bookmarks_that_bring_nothing_newer_do_not_keep_a_store_live() {
    let (feed, answers) = listed();
    let bench = start(releases(), answers);
    bench.settle().await;
    feed.send(event("ADDED", &object("a", "6"))).unwrap();
    // An API server that is cut off from etcd repeats the version that it knows; its lists fail.
    for _ in 0..14 {
        tokio::time::sleep(Duration::from_secs(6)).await;
        let _ = feed.send(bookmark("6"));
    }
    let targets = bench.targets();
    assert!(targets.len() > 2, "asked again before the store is stale: {targets:?}");
    assert!(bench.freshness.is_live(), "{:?}", bench.freshness.state());
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert!(matches!(bench.freshness.state(), StoreState::Stale { .. }), "{:?}", bench.freshness.state());
}

#[tokio::test(start_paused = true)]
async fn frozen_watches_are_replaced_by_a_list_before_the_store_is_stale() {
    let (_frozen, answers) = listed();
    let bench = start(releases(), answers);
    bench.settle().await;
    tokio::time::sleep(Duration::from_secs(71)).await;
    assert!(bench.targets()[2].contains("watch=true"), "{:?}", bench.targets());
    // The second watch is frozen before its first byte; nothing waits for it longer than there is time.
    tokio::time::sleep(Duration::from_secs(14)).await;
    let targets = bench.targets();
    assert!(targets.last().unwrap().contains("limit=500"), "{targets:?}");
    assert!(bench.freshness.is_live(), "{:?}", bench.freshness.state());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_doubted_is_listed_at_once() {
    let (feed, answers) = listed();
    let bench = start(releases(), answers);
    bench.settle().await;
    bench.then(page("9", "", &[object("a", "8")]));
    bench.then(fake_api::stream().1);
    bench.freshness.doubt();
    // What was read before does not count, whenever it is looked at.
    feed.send(event("ADDED", &object("old", "6"))).unwrap();
    assert!(!bench.freshness.is_live());
    bench.settle().await;
    assert!(bench.targets()[2].contains("limit=500"), "{:?}", bench.targets());
    assert!(bench.freshness.is_live());
    assert_eq!(bench.events.lock().unwrap().last(), Some(&Event::Restarted(vec![object("a", "8")].into())));
}

#[test]
fn versions_are_numbers_that_grow() {
    assert!(is_newer("10", "9") && !is_newer("9", "10") && !is_newer("9", "9"));
    assert!(is_newer("b", "a") && !is_newer("a", "a") && !is_newer("", "9"));
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_installed_is_a_state_and_is_found_later() {
    let bench = start(releases(), vec![fake_api::failure(404, "NotFound")]);
    bench.settle().await;
    assert_eq!(bench.freshness.state(), StoreState::Missing);
    assert!(bench.events.lock().unwrap().is_empty(), "not the same as an empty store");
    bench.then(page("1", "", &[]));
    bench.then(fake_api::stream().1);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(*bench.events.lock().unwrap(), vec![Event::Restarted(Vec::new().into())]);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_spaced_when_every_watch_ends_at_once() {
    let bench = start(releases(), vec![page("5", "", &[])]);
    for _ in 0..1000 {
        bench.then(Response::new(Body::empty()));
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    let tries = bench.targets().len();
    assert!((6..30).contains(&tries), "{tries} attempts in 30 s");
    assert!(bench.freshness.problem().unwrap().contains("as soon as it began"));
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_may_be_null() {
    let (_feed, watch) = fake_api::stream();
    let empty = fake_api::reply(200, &json!({"metadata": {"resourceVersion": "7"}, "items": null}));
    let bench = start(releases(), vec![empty, watch]);
    bench.settle().await;
    assert_eq!(*bench.events.lock().unwrap(), vec![Event::Restarted(Vec::new().into())]);
}

#[tokio::test(start_paused = true)]
async fn selectors_and_metadata_only_are_asked_for() {
    let (_feed, watch) = fake_api::stream();
    let mut config = releases();
    config.namespace = Some("ml".to_owned());
    config.labels = Some("placet.dev/release".to_owned());
    config.fields = Some("metadata.name=a".to_owned());
    config.metadata_only = true;
    let bench = start(config, vec![page("7", "", &[]), watch]);
    bench.settle().await;
    for seen in bench.asked.lock().unwrap().iter() {
        assert!(
            seen.target.starts_with("/apis/placet.dev/v1alpha1/namespaces/ml/modelreleases?"),
            "{seen:?}"
        );
        assert!(seen.target.contains("labelSelector=placet.dev%2Frelease"), "{seen:?}");
        assert!(seen.target.contains("fieldSelector=metadata.name%3Da"), "{seen:?}");
        assert!(seen.accept.contains("as=PartialObjectMetadata"), "{seen:?}");
    }
}
