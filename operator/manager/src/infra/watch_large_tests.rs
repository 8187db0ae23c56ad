//! Lists and watches of objects as large as somebody likes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use futures::StreamExt as _;
use http::Response;
use kube::Client;
use serde_json::json;

use super::super::fake_api::{self, Seen};
use super::super::freshness::StoreState;
use super::super::supervisor::Trigger;
use super::*;

const MIB: usize = 1 << 20;

/// How many bytes of answers were taken from the fake API server and not yet given up, and the most of it.
#[derive(Debug, Default)]
struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// Counts what is read of one answer until it is dropped.
struct Counted {
    gauge: Arc<Gauge>,
    bytes: usize,
}

impl Counted {
    fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        let now = self.gauge.now.fetch_add(bytes, Ordering::SeqCst) + bytes;
        self.gauge.most.fetch_max(now, Ordering::SeqCst);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.gauge.now.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

/// A body in chunks, each of which takes some time to come.
fn slow(text: Vec<u8>, gauge: &Arc<Gauge>) -> Response<Body> {
    let counted = Counted { gauge: Arc::clone(gauge), bytes: 0 };
    let chunks = futures::stream::unfold((text, 0, counted), |(text, at, mut counted)| async move {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let end = (at + (64 << 10)).min(text.len());
        if at == end {
            return None;
        }
        let chunk = Bytes::copy_from_slice(&text[at..end]);
        counted.add(chunk.len());
        Some((chunk, (text, end, counted)))
    });
    Response::new(Body::from_stream(chunks.map(Ok::<_, std::io::Error>)))
}

/// An API server with these objects, which answers lists in pages as asked and lets watches hang.
fn server(objects: Vec<Value>, gauge: &Arc<Gauge>) -> (Client, Arc<Mutex<Vec<Seen>>>) {
    let (objects, gauge) = (Arc::new(objects), Arc::clone(gauge));
    fake_api::client(move |seen| {
        let (objects, gauge) = (Arc::clone(&objects), Arc::clone(&gauge));
        async move {
            if seen.target.contains("watch=true") {
                return std::future::pending().await;
            }
            let number = |name: &str| -> Option<usize> {
                seen.target.split_once(&format!("{name}="))?.1.split('&').next()?.parse().ok()
            };
            let (from, limit) = (number("continue").unwrap_or(0), number("limit").unwrap());
            let end = (from + limit).min(objects.len());
            let next = if end < objects.len() { end.to_string() } else { String::new() };
            let metadata = json!({"resourceVersion": "7", "continue": next});
            // As the API server writes it: the list's own fields first.
            let items = serde_json::to_string(&objects[from..end]).unwrap();
            slow(format!(r#"{{"kind":"List","metadata":{metadata},"items":{items}}}"#).into_bytes(), &gauge)
        }
    })
}

fn deployment(name: &str, args: usize) -> Value {
    json!({"metadata": {"name": name, "namespace": "n", "resourceVersion": "5", "uid": name},
           "spec": {"replicas": 0, "args": "a".repeat(args)}})
}

fn config(plural: &str, turns: &Turns) -> WatchConfig {
    let mut config = WatchConfig::all(ApiResource {
        group: "apps".to_owned(),
        version: "v1".to_owned(),
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        plural: plural.to_owned(),
    });
    config.turns = turns.clone();
    config.keep = |text| {
        let whole: Value = serde_json::from_str(text)?;
        Ok(json!({"metadata": whole["metadata"], "spec": {"replicas": whole["spec"]["replicas"]}}))
    };
    config
}

type Events = Arc<Mutex<Vec<Event>>>;

#[expect(clippy::disallowed_methods, reason = "a test owns its tasks, which end with its runtime")]
fn start(client: &Client, config: WatchConfig) -> (Events, Freshness, Trigger) {
    let events: Events = Arc::default();
    let sink = Arc::clone(&events);
    let watch = Watch::new(client.clone(), config, move |event| sink.lock().unwrap().push(event));
    let freshness = watch.freshness();
    let (stop, shutdown) = Shutdown::pair();
    tokio::spawn(watch.run(shutdown));
    (events, freshness, stop)
}

fn names(events: &Events) -> Vec<String> {
    match events.lock().unwrap().first() {
        Some(Event::Restarted(objects)) => {
            objects.clone().into_iter().map(|o| o["metadata"]["name"].as_str().unwrap().to_owned()).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn limits(seen: &Mutex<Vec<Seen>>) -> Vec<u32> {
    let seen = seen.lock().unwrap();
    let limit = |s: &Seen| s.target.split_once("limit=")?.1.split('&').next()?.parse().ok();
    seen.iter().filter_map(limit).collect()
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_too_long_is_asked_for_again_with_fewer_objects_and_later_ones_grow_again() {
    let large = (0..40).map(|n| deployment(&format!("a-{n:03}"), MIB));
    let small = (0..2000).map(|n| deployment(&format!("b-{n:04}"), 10));
    let objects: Vec<Value> = large.chain(small).collect();
    let wanted: Vec<String> =
        objects.iter().map(|o| o["metadata"]["name"].as_str().unwrap().to_owned()).collect();
    let gauge = Arc::default();
    let (client, seen) = server(objects, &gauge);
    let (events, freshness, _stop) = start(&client, config("deployments", &Turns::default()));
    freshness.listed().await;
    assert_eq!(names(&events), wanted, "each once, in order");
    let limits = limits(&seen);
    assert_eq!(limits[..5], [500, 60, 8, 1, 1]);
    assert_eq!(limits.last(), Some(&500));
    assert!(limits.len() < 70, "{limits:?}");
    let most = gauge.most.load(Ordering::SeqCst);
    assert!(most <= PAGE_BYTES + (64 << 10), "{most} bytes at once");
}

#[tokio::test(start_paused = true)]
async fn two_pages_are_read_at_once_however_many_stores_begin() {
    let gauge = Arc::default();
    let turns = Turns::default();
    let objects: Vec<Value> = (0..20).map(|n| deployment(&format!("a-{n}"), 3 * MIB)).collect();
    let (client, _) = server(objects, &gauge);
    let started: Vec<_> = (0..8).map(|n| start(&client, config(&format!("kind{n}"), &turns))).collect();
    for (events, freshness, _) in &started {
        freshness.listed().await;
        assert_eq!(names(events).len(), 20);
    }
    let most = gauge.most.load(Ordering::SeqCst);
    // What waits for its turn has not been read but for what its connection holds, here nothing.
    assert!((PAGE_BYTES..=2 * (PAGE_BYTES + (64 << 10))).contains(&most), "{most} bytes at once");
}

#[tokio::test(start_paused = true)]
async fn one_object_is_read_as_large_as_it_can_be_and_a_larger_one_is_named() {
    let gauge = Arc::default();
    let (client, _) = server(vec![deployment("a", 9 * MIB), deployment("b", 10)], &gauge);
    let (events, freshness, _stop) = start(&client, config("deployments", &Turns::default()));
    freshness.listed().await;
    assert_eq!(names(&events), ["a", "b"]);

    let (client, _) = server(vec![deployment("a", 10), deployment("too-large", 17 * MIB)], &gauge);
    let (events, freshness, _stop) = start(&client, config("deployments", &Turns::default()));
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(freshness.state(), StoreState::NotYetListed);
    assert!(events.lock().unwrap().is_empty(), "half a list is none");
    let problem = freshness.problem().unwrap();
    assert!(problem.contains("n/too-large") && problem.contains("16777216 bytes"), "{problem}");
}

#[tokio::test(start_paused = true)]
async fn a_list_holds_of_each_namespace_what_there_is_room_for() {
    let gauge = Arc::default();
    let mut objects: Vec<Value> = (0..30).map(|n| deployment(&format!("a-{n:02}"), 100)).collect();
    let mut other = deployment("b", 100);
    other["metadata"]["namespace"] = "other".into();
    objects.push(other);
    let (client, _) = server(objects, &gauge);
    let mut config = config("deployments", &Turns::default());
    config.keep = |text| serde_json::from_str(text);
    // {"args":"aaa…","replicas":0} is 124 bytes.
    config.room = Some(Room { field: "spec", most: 1000, each: 76 });
    let (events, freshness, _stop) = start(&client, config);
    freshness.listed().await;
    let Some(Event::Restarted(objects)) = events.lock().unwrap().first().cloned() else { panic!("a list") };
    let has_spec: Vec<bool> = objects.into_iter().map(|o| o.get("spec").is_some()).collect();
    assert_eq!(
        has_spec,
        [vec![true; 5], vec![false; 6], vec![true]].concat(),
        "the other namespace has its own"
    );
}

/// A watch whose lines come as they are sent.
fn watched() -> (tokio::sync::mpsc::UnboundedSender<Vec<u8>>, Client) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<Vec<u8>>();
    let chunks = futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (Ok::<_, std::io::Error>(Bytes::from(chunk)), receiver))
    });
    let watch = Mutex::new(Some(Response::new(Body::from_stream(chunks))));
    let (client, _) = fake_api::client(move |seen| {
        let answer = if seen.target.contains("watch=true") {
            watch.lock().unwrap().take()
        } else {
            Some(fake_api::reply(200, &json!({"metadata": {"resourceVersion": "5"}, "items": []})))
        };
        async move {
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }
    });
    (sender, client)
}

fn line(object: &Value) -> Vec<u8> {
    format!("{}\n", json!({"type": "ADDED", "object": object})).into_bytes()
}

#[tokio::test(start_paused = true)]
async fn events_come_in_any_pieces_and_as_large_as_an_object_can_be() {
    let (sender, client) = watched();
    let (events, freshness, _stop) = start(&client, config("deployments", &Turns::default()));
    freshness.listed().await;
    let mut bytes = line(&deployment("a", 9 * MIB));
    bytes.extend(line(&deployment("b", 5)));
    bytes.extend(line(&deployment("c", 5)));
    for piece in bytes.chunks(300_007) {
        sender.send(piece.to_vec()).unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let heard: Vec<String> = events.lock().unwrap()[1..]
        .iter()
        .map(|e| match e {
            Event::Applied(o) => o["metadata"]["name"].as_str().unwrap().to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(heard, ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_without_an_end_is_not_read_for_ever() {
    let (sender, client) = watched();
    let (_, freshness, _stop) = start(&client, config("deployments", &Turns::default()));
    freshness.listed().await;
    let head = br#"{"type":"ADDED","object":{"metadata":{"name":"endless","namespace":"n"},"spec":{"args":""#;
    sender.send(head.to_vec()).unwrap();
    for _ in 0..17 {
        sender.send(vec![b'a'; MIB]).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    let problem = freshness.problem().unwrap();
    assert!(problem.contains("n/endless"), "{problem}");
}

#[tokio::test(start_paused = true)]
async fn a_long_event_that_stalls_gives_its_turn_back() {
    let turns = Turns::default();
    let mut senders = Vec::new();
    let mut stops = Vec::new();
    for _ in 0..2 {
        let (sender, client) = watched();
        let (_, freshness, stop) = start(&client, config("deployments", &turns));
        freshness.listed().await;
        sender.send(vec![b'a'; MIB]).unwrap();
        senders.push(sender);
        stops.push(stop);
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    let gauge = Arc::default();
    let (client, _) = server(vec![deployment("a", 5)], &gauge);
    let (events, freshness, _stop) = start(&client, config("kind", &turns));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(freshness.state(), StoreState::NotYetListed, "both turns are taken");
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(freshness.state(), StoreState::Live);
    assert_eq!(names(&events), ["a"]);
}
