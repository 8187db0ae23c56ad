use super::super::fake::{Asked, Fake};
use super::*;

const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/credit/events";

fn release(name: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("placet.dev/v1alpha1".to_owned()),
        kind: Some("ModelRelease".to_owned()),
        namespace: Some("credit".to_owned()),
        name: Some(name.to_owned()),
        uid: Some(format!("uid of {name}")),
        ..ObjectReference::default()
    }
}

struct Bench {
    fake: Fake,
    sink: EventSink,
    _stop: crate::infra::supervisor::Trigger,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test owns its one task and drops it at its end")]
fn start() -> Bench {
    let fake = Fake::new();
    let (sink, task) = EventSink::new(fake.client(), "placet-operator", "placet-0");
    let (stop, shutdown) = Shutdown::pair();
    let task = tokio::spawn(task.run(shutdown));
    Bench { fake, sink, _stop: stop, task }
}

impl Bench {
    async fn settle(&self) {
        // With time paused this returns once every task waits for something later.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    async fn say(&self, name: &str, note: &str) {
        self.sink.emit(release(name), EventType::Warning, "NotCleared", note);
        self.settle().await;
    }

    fn created(&self) -> Vec<Asked> {
        self.fake.writes().into_iter().filter(|asked| asked.method == "POST").collect()
    }

    fn patched(&self) -> Vec<Asked> {
        self.fake.writes().into_iter().filter(|asked| asked.method == "PATCH").collect()
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_has_all_that_the_api_asks_for() {
    let bench = start();
    bench.say("score-v1", "2 gates are missing").await;
    let created = bench.created();
    assert_eq!(created.len(), 1);
    assert_eq!(created[0].path, EVENTS);
    let event = &created[0].body;
    for (field, wanted) in [
        ("reportingController", "placet.dev/placet-operator"),
        ("reportingInstance", "placet-0"),
        ("reason", "NotCleared"),
        ("action", "NotCleared"),
        ("type", "Warning"),
        ("note", "2 gates are missing"),
    ] {
        assert_eq!(event[field], wanted, "{field}");
    }
    assert_eq!(event["regarding"]["uid"], "uid of score-v1");
    let time = event["eventTime"].as_str().unwrap();
    assert!(time.parse::<Timestamp>().is_ok() && time.len() == "2026-11-01T00:00:00.000000Z".len(), "{time}");
    assert!(event["metadata"]["name"].as_str().unwrap().starts_with("score-v1."), "{event}");
    assert!(event.get("series").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_cluster_object_has_its_events_in_default() {
    let bench = start();
    let regarding = ObjectReference { namespace: None, ..release("high-risk") };
    bench.sink.emit(regarding, EventType::Normal, "Applied", "applied");
    bench.settle().await;
    assert_eq!(bench.created()[0].path, "/apis/events.k8s.io/v1/namespaces/default/events");
}

#[tokio::test(start_paused = true)]
async fn what_repeats_is_counted_on_the_first_event() {
    let bench = start();
    for _ in 0..50 {
        bench.say("score-v1", "same").await;
    }
    assert_eq!(bench.created().len(), 1);
    assert_eq!(bench.patched().len(), 1, "the second is told at once, the rest is counted");
    tokio::time::sleep(SERIES_SPACING).await;
    bench.say("score-v1", "same").await;
    let patched = bench.patched();
    assert_eq!(patched.len(), 2);
    let path = format!("{EVENTS}/{}", bench.created()[0].body["metadata"]["name"].as_str().unwrap());
    assert!(patched.iter().all(|patch| patch.path == path), "{patched:?}");
    assert_eq!(bench.fake.object(&path).unwrap()["series"]["count"], 51);
}

#[tokio::test(start_paused = true)]
async fn another_note_object_or_a_long_silence_makes_another_event() {
    let bench = start();
    bench.say("score-v1", "same").await;
    bench.say("score-v1", "other").await;
    bench.say("score-v2", "same").await;
    tokio::time::sleep(SERIES).await;
    bench.say("score-v1", "same").await;
    assert_eq!(bench.created().len(), 4);
    assert!(bench.patched().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_series_whose_event_is_gone_begins_again() {
    let bench = start();
    bench.say("score-v1", "same").await;
    bench.fake.hook(|asked, _| (asked.method == "PATCH").then_some((404, "NotFound")));
    bench.say("score-v1", "same").await;
    assert_eq!(bench.created().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_object_is_limited_and_others_are_not() {
    let bench = start();
    for number in 0..30 {
        bench.say("noisy", &format!("note {number}")).await;
    }
    assert_eq!(bench.created().len(), 10);
    bench.say("quiet", "note").await;
    assert_eq!(bench.created().len(), 11);
    tokio::time::sleep(REFILL).await;
    bench.say("noisy", "again").await;
    bench.say("noisy", "and again").await;
    assert_eq!(bench.created().len(), 12);
}

#[tokio::test(start_paused = true)]
async fn refusals_and_a_full_queue_never_block() {
    let bench = start();
    bench.fake.hook(|_, _| Some((500, "InternalError")));
    bench.say("score-v1", "lost").await;
    // Nothing is awaited here, so the task cannot take any: all but a queue full are dropped.
    for number in 0..3 * QUEUE {
        bench.sink.emit(release(&format!("r{number}")), EventType::Normal, "Cleared", "cleared");
    }
    bench.fake.hook(|_, _| None);
    bench.settle().await;
    assert!(!bench.task.is_finished());
    assert_eq!(bench.created().len(), 200, "the first are written at once");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.created().len(), 250, "the others at a pace");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.created().len(), 1 + QUEUE);
}

#[tokio::test(start_paused = true)]
async fn what_others_can_say_without_end_leaves_room_and_is_worded_only_if_it_is_said() {
    let bench = start();
    let mut worded = 0;
    for number in 0..QUEUE {
        bench.sink.emit_if_room(&format!("n{number}"), EventType::Warning, "PodRefused", || {
            worded += 1;
            (release(&format!("r{number}")), "refused".to_owned())
        });
    }
    assert_eq!(worded, QUEUE / 2 + 1);
    bench.sink.emit(release("v2"), EventType::Normal, "Cleared", "cleared");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.created().len(), QUEUE / 2 + 2);
}

#[tokio::test(start_paused = true)]
async fn a_storm_in_one_namespace_leaves_the_others_their_events() {
    let bench = start();
    let say = |namespace: &str, number: usize| {
        let mut said = false;
        bench.sink.emit_if_room(namespace, EventType::Warning, "PodRefused", || {
            said = true;
            (release(&format!("{namespace}-{number}")), "refused".to_owned())
        });
        said
    };
    assert_eq!((0..QUEUE).filter(|n| say("mallory", *n)).count(), 64);
    assert!(say("credit", 0));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((0..QUEUE).filter(|n| say("mallory", QUEUE + *n)).count(), 10);
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_written_before_the_end() {
    let fake = Fake::new();
    let (sink, task) = EventSink::new(fake.client(), "placet-operator", "placet-0");
    sink.emit(release("score-v1"), EventType::Normal, "Cleared", "cleared");
    let (stop, shutdown) = Shutdown::pair();
    stop.fire();
    task.run(shutdown).await.unwrap();
    assert_eq!(fake.writes().len(), 1);
}

#[test]
fn notes_are_cut_at_a_line_and_keep_the_last_one() {
    assert_eq!(fit("short\nplacet why mr/a"), "short\nplacet why mr/a");
    let lines = vec!["a finding of some length é"; 100].join("\n");
    let cut_note = fit(&format!("{lines}\nplacet why mr/score-v1 -n credit"));
    assert!(cut_note.len() <= MAX_NOTE && cut_note.len() > 900, "{}", cut_note.len());
    assert!(cut_note.ends_with("\n…\nplacet why mr/score-v1 -n credit"), "{cut_note}");
    assert!(cut_note.lines().rev().skip(2).all(|line| line.ends_with(" é")), "whole lines: {cut_note}");
    let one = fit(&"é".repeat(2000));
    assert!(one.len() <= MAX_NOTE && one.ends_with('…') && one.starts_with("éé"), "{one}");
    let long_end = fit(&format!("first\n{}", "x".repeat(2000)));
    assert!(long_end.len() <= MAX_NOTE && long_end.starts_with("first\n"), "{long_end}");
}
