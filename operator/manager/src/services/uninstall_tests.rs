use std::sync::Mutex;

use placet_evidence::{Config, Log, LogKey, MemoryHeads, Record};

use super::super::fake::Fake;
use super::*;

const M: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/placet-mutating";
const V: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/placet-validating";
const HEAD: &str = "/api/v1/namespaces/placet-system/configmaps/placet-log-head";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-01T12:00:00Z")
}

fn pod(namespace: &str, name: &str, gates: &[&str]) -> (String, Value) {
    let gates: Vec<_> = gates.iter().map(|gate| json!({"name": gate})).collect();
    let spec = if gates.is_empty() { json!({}) } else { json!({"schedulingGates": gates}) };
    let metadata = json!({"namespace": namespace, "name": name, "uid": format!("uid-{name}")});
    (format!("/api/v1/namespaces/{namespace}/pods/{name}"), json!({"metadata": metadata, "spec": spec}))
}

/// A cluster with our webhooks, the head's `ConfigMap` and pods, three of them held.
fn cluster() -> Fake {
    let fake = Fake::new();
    fake.put(M, json!({"metadata": {"name": "placet-mutating"}}));
    fake.put(V, json!({"metadata": {"name": "placet-validating"}}));
    fake.put(HEAD, json!({"metadata": {"name": "placet-log-head"}, "data": {"vkey": "k"}}));
    for (namespace, name, gates) in [
        ("a", "held", &[HOLD_GATE][..]),
        ("a", "free", &[]),
        ("b", "both", &["other.dev/gate", HOLD_GATE]),
        ("b", "theirs", &["other.dev/gate"]),
        ("c", "held-too", &[HOLD_GATE]),
    ] {
        let (path, object) = pod(namespace, name, gates);
        fake.put(&path, object);
    }
    fake
}

fn gates(fake: &Fake, namespace: &str, name: &str) -> Value {
    fake.object(&format!("/api/v1/namespaces/{namespace}/pods/{name}")).unwrap()["spec"]["schedulingGates"]
        .clone()
}

async fn run(fake: &Fake) -> Result<Outcome, CallError> {
    remove(&fake.client(), "placet-system", "placet", now()).await
}

fn note(fake: &Fake) -> RemovalNote {
    serde_json::from_str(fake.object(HEAD).unwrap()["data"]["webhooksRemoved"].as_str().unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn webhooks_go_first_then_all_holds_and_a_note_stays() {
    let fake = cluster();
    let outcome = run(&fake).await.unwrap();
    assert_eq!(outcome.removed, ["placet-mutating", "placet-validating"]);
    assert_eq!((outcome.lifted, outcome.failed), (3, 0));
    assert_eq!(outcome.noted, Noted::Waiting, "nobody records here");
    assert!(fake.object(M).is_none() && fake.object(V).is_none());
    assert_eq!(gates(&fake, "a", "held"), json!([]));
    assert_eq!(gates(&fake, "b", "both"), json!([{"name": "other.dev/gate"}]));
    assert_eq!(gates(&fake, "b", "theirs"), json!([{"name": "other.dev/gate"}]));
    let writes: Vec<_> = fake.writes().into_iter().map(|write| write.method).collect();
    assert_eq!(writes[..2], ["DELETE", "DELETE"]);
    let patches: Vec<_> = fake.writes().into_iter().filter(|w| w.path.contains("/pods/")).collect();
    assert_eq!(patches.len(), 3, "only held pods are touched");
    assert!(patches.iter().all(|patch| patch.body[1]["op"] == "test"), "{patches:?}");
    assert_eq!(
        note(&fake),
        RemovalNote { at: now(), by: "placet-uninstall".to_owned(), names: outcome.removed, lifted: 3 }
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_run_has_nothing_to_do() {
    let fake = cluster();
    run(&fake).await.unwrap();
    let writes = fake.writes().len();
    let again = run(&fake).await.unwrap();
    assert_eq!(again.noted, Noted::Nothing);
    assert_eq!((again.removed.len(), again.lifted, again.failed), (0, 0, 0));
    assert_eq!(fake.writes().iter().skip(writes).filter(|write| write.method != "DELETE").count(), 0);
    assert_eq!(note(&fake).lifted, 3, "what waits for its record stays");
    uninstall(&fake.client(), "placet-system", "placet", now()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_was_on_its_way_is_found_by_the_next_list() {
    let fake = cluster();
    let mut lists = 0;
    fake.hook(move |asked, objects| {
        if asked.path == "/api/v1/pods" && !asked.query.contains("continue") {
            lists += 1;
            if lists == 2 {
                let (path, object) = pod("a", "late", &[HOLD_GATE]);
                objects.insert(path, object);
            }
        }
        None
    });
    assert_eq!(run(&fake).await.unwrap().lifted, 4);
    assert_eq!(gates(&fake, "a", "late"), json!([]));
}

#[tokio::test(start_paused = true)]
async fn gates_that_move_or_pods_that_go_meanwhile_are_no_problem() {
    let fake = cluster();
    let mut moved = false;
    fake.hook(move |asked, objects| {
        if asked.method == "PATCH" && asked.path.ends_with("/both") && !moved {
            moved = true;
            objects.insert(asked.path.clone(), pod("b", "both", &[HOLD_GATE]).1);
        }
        if asked.method == "PATCH" && asked.path.ends_with("/held-too") {
            objects.remove(&asked.path);
        }
        None
    });
    let outcome = run(&fake).await.unwrap();
    assert_eq!((outcome.lifted, outcome.failed), (2, 0));
    assert_eq!(gates(&fake, "b", "both"), json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_pod_of_the_same_name_that_came_later_is_left_alone() {
    let fake = cluster();
    fake.hook(|asked, objects| {
        if asked.method == "PATCH" && asked.path.ends_with("/held") {
            let mut other = pod("a", "held", &["other.dev/gate"]).1;
            other["metadata"]["uid"] = json!("another");
            objects.insert(asked.path.clone(), other);
        }
        None
    });
    let outcome = run(&fake).await.unwrap();
    assert_eq!((outcome.lifted, outcome.failed), (2, 0));
    assert_eq!(gates(&fake, "a", "held"), json!([{"name": "other.dev/gate"}]));
}

#[tokio::test(start_paused = true)]
async fn holds_that_stay_are_listed_and_fail_the_job() {
    let fake = cluster();
    fake.hook(|asked, _| {
        (asked.method == "PATCH" && asked.path.ends_with("/held")).then_some((403, "Forbidden"))
    });
    let error = uninstall(&fake.client(), "placet-system", "placet", now()).await.unwrap_err().to_string();
    assert!(error.contains("1 holds") && error.contains("pod a/held") && error.contains("403"), "{error}");
    assert_eq!(gates(&fake, "b", "both"), json!([{"name": "other.dev/gate"}]), "the others are lifted");
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_cannot_be_removed_stops_everything() {
    let fake = cluster();
    fake.hook(|asked, _| (asked.path == V).then_some((403, "Forbidden")));
    assert!(run(&fake).await.is_err());
    assert_eq!(gates(&fake, "a", "held"), json!([{"name": HOLD_GATE}]), "holds stay while webhooks do");
}

#[tokio::test(start_paused = true)]
async fn what_was_removed_is_noted_even_if_the_pods_cannot_be_listed() {
    let fake = cluster();
    fake.hook(|asked, _| (asked.path == "/api/v1/pods").then_some((503, "ServiceUnavailable")));
    assert_eq!(run(&fake).await.unwrap_err().code(), Some(503));
    assert_eq!((note(&fake).names.len(), note(&fake).lifted), (2, 0));
    fake.hook(|_, _| None);
    run(&fake).await.unwrap();
    assert_eq!((note(&fake).names.len(), note(&fake).lifted), (2, 3), "the next run completes it");
}

#[tokio::test(start_paused = true)]
async fn without_a_log_nothing_waits() {
    let fake = Fake::new();
    fake.put(M, json!({"metadata": {"name": "placet-mutating"}}));
    assert_eq!(run(&fake).await.unwrap().noted, Noted::NoLog);
    assert_eq!(run(&Fake::new()).await.unwrap().noted, Noted::Nothing);
}

#[tokio::test(start_paused = true)]
async fn a_note_that_waits_is_joined_and_one_that_is_recorded_is_replaced() {
    let fake = cluster();
    let old =
        RemovalNote { at: at("2026-10-01T00:00:00Z"), by: "x".into(), names: vec!["old".into()], lifted: 5 };
    let mut map = fake.object(HEAD).unwrap();
    map["data"]["webhooksRemoved"] = json!(json!(old).to_string());
    fake.put(HEAD, map.clone());
    run(&fake).await.unwrap();
    assert_eq!((note(&fake).lifted, note(&fake).names.len(), note(&fake).at), (8, 3, now()));

    let fake = cluster();
    map["data"]["webhooksRemovedRecord"] = json!("77");
    fake.put(HEAD, map);
    let outcome = run(&fake).await.unwrap();
    assert_eq!(note(&fake).lifted, 3);
    assert_eq!(outcome.noted, Noted::Waiting, "the old index does not answer for the new note");
}

/// A ledger over a log in a directory, and the records that it holds.
fn ledger(volume: &std::path::Path) -> (Arc<Log>, Ledger) {
    let mut config = Config::new(volume, "placet.dev/c", "c");
    config.reserve_bytes = 0;
    let log =
        Log::open(&config, &LogKey::from_seed(&[1; 32]), Arc::new(MemoryHeads::default()), now()).unwrap();
    let log = Arc::new(log);
    (Arc::clone(&log), Ledger::new(log, std::collections::BTreeMap::new(), now()))
}

fn removals(log: &Log) -> Vec<WebhooksRemoved> {
    log.publish_now().unwrap();
    let found = Mutex::new(Vec::new());
    log.replay(0, &mut |_, record: &Record| {
        if let Payload::WebhooksRemoved(body) = &record.payload {
            found.lock().unwrap().push(body.clone());
        }
    })
    .unwrap();
    found.into_inner().unwrap()
}

#[tokio::test]
async fn the_operator_makes_the_note_a_record_once() {
    let volume = tempfile::tempdir().unwrap();
    let (log, ledger) = ledger(volume.path());
    let fake = cluster();
    let (client, clock) = (fake.client(), Clock::system());
    assert_eq!(record_once(&client, HEAD, &ledger, &clock).await.unwrap(), None);
    let left = RemovalNote {
        at: now(),
        by: "placet-uninstall".into(),
        names: vec!["placet-mutating".into()],
        lifted: 3,
    };
    assert!(write_note(&client, HEAD, left).await.unwrap());
    let index = record_once(&client, HEAD, &ledger, &clock).await.unwrap().unwrap();
    assert_eq!(fake.object(HEAD).unwrap()["data"]["webhooksRemovedRecord"], index.to_string());
    assert_eq!(record_once(&client, HEAD, &ledger, &clock).await.unwrap(), None);
    let recorded = removals(&log);
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0].names, ["placet-mutating"]);
    assert!(recorded[0].reason.contains("3 holds lifted"), "{recorded:?}");
    assert_eq!(fake.object(HEAD).unwrap()["data"]["vkey"], "k");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test owns its one task and ends it")]
async fn job_and_operator_meet() {
    let volume = tempfile::tempdir().unwrap();
    let (log, ledger) = ledger(volume.path());
    let fake = cluster();
    let heads =
        ConfigMapHeads::new(fake.client(), "placet-system", "placet", tokio::runtime::Handle::current());
    let (stop, shutdown) = Shutdown::pair();
    let operator = tokio::spawn(record_removal(Arc::new(heads), Arc::new(ledger), Clock::system(), shutdown));
    let outcome = run(&fake).await.unwrap();
    assert!(matches!(outcome.noted, Noted::Recorded(_)), "{outcome:?}");
    stop.fire();
    operator.await.unwrap().unwrap();
    assert_eq!(removals(&log).len(), 1);
}

#[tokio::test]
async fn a_note_that_does_not_read_is_a_named_problem() {
    let volume = tempfile::tempdir().unwrap();
    let (log, ledger) = ledger(volume.path());
    let fake = Fake::new();
    fake.put(HEAD, json!({"metadata": {"name": "placet-log-head"}, "data": {"webhooksRemoved": "{"}}));
    let error = record_once(&fake.client(), HEAD, &ledger, &Clock::system()).await.unwrap_err().to_string();
    assert!(error.contains("webhooksRemoved"), "{error}");
    assert!(removals(&log).is_empty());
}
