use placet_evidence::TreeHash;

use super::super::fake::Fake;
use super::*;

const PATH: &str = "/api/v1/namespaces/placet-system/configmaps/placet-log-head";

fn head(origin: &str, size: u64, root: u8) -> Head {
    Head { size, root: TreeHash([root; 32]), ..Head::empty(origin) }
}

fn ordered(origin: &str) -> Head {
    let begin = placet_evidence::head::Succession { follows: None, because: "moved".to_owned() };
    Head { begin: Some(begin), ..Head::empty(origin) }
}

fn heads(fake: &Fake) -> ConfigMapHeads {
    ConfigMapHeads::new(fake.client(), "placet-system", "placet", Handle::current())
}

fn data(fake: &Fake) -> Value {
    fake.object(PATH).unwrap()["data"].clone()
}

/// As the log calls: from a thread that knows nothing of the runtime.
async fn on_a_thread<T: Send + 'static>(
    heads: &ConfigMapHeads,
    call: impl FnOnce(&ConfigMapHeads) -> Result<T, HeadError> + Send + 'static,
) -> Result<T, HeadError> {
    let (heads, (sender, receiver)) = (heads.clone(), tokio::sync::oneshot::channel());
    std::thread::Builder::new().spawn(move || sender.send(call(&heads)).map_err(|_| ()).unwrap()).unwrap();
    receiver.await.unwrap()
}

async fn store(heads: &ConfigMapHeads, head: Head) -> Result<(), HeadError> {
    on_a_thread(heads, move |heads| heads.store(&head)).await
}

async fn load(heads: &ConfigMapHeads) -> Result<Option<Head>, HeadError> {
    on_a_thread(heads, HeadStore::load).await
}

#[tokio::test]
async fn a_head_is_stored_and_loaded_and_keys_and_orders_stay() {
    let fake = Fake::new();
    let heads = heads(&fake);
    assert_eq!(load(&heads).await.unwrap(), None);
    heads.publish_keys("vkey 1", "placet-receipt:a\n", "[]").await.unwrap();
    assert_eq!(load(&heads).await.unwrap(), None, "keys alone are no head");
    store(&heads, head("placet.dev/c", 7, 1)).await.unwrap();
    assert_eq!(load(&heads).await.unwrap(), Some(head("placet.dev/c", 7, 1)));
    heads.publish_keys("vkey 2", "placet-receipt:b\n", "[]").await.unwrap();
    store(&heads, head("placet.dev/c", 9, 2)).await.unwrap();
    assert_eq!(data(&fake)["vkey"], "vkey 2");
    assert_eq!(data(&fake)["receiptKeys"], "placet-receipt:b\n");
    assert_eq!(load(&heads).await.unwrap(), Some(head("placet.dev/c", 9, 2)));
    let writes = fake.writes();
    assert!(writes[0].query.contains("fieldManager=placet-log-keys"), "{writes:?}");
    assert!(writes[1].query.contains("fieldManager=placet-log-head"), "{writes:?}");
    store(&heads, head("placet.dev/c", 9, 2)).await.unwrap();
    assert_eq!(fake.writes().len(), writes.len(), "the same head is not written again");
}

#[tokio::test]
async fn the_first_head_makes_the_config_map_and_a_lost_race_is_run_again() {
    let fake = Fake::new();
    let mut raced = false;
    fake.hook(move |asked, objects| {
        if asked.method == "POST" && !raced {
            raced = true;
            let other = json!({"metadata": {"name": "placet-log-head", "resourceVersion": "9"}, "data": {"vkey": "k"}});
            objects.insert(PATH.to_owned(), other);
        }
        None
    });
    store(&heads(&fake), head("placet.dev/c", 7, 1)).await.unwrap();
    assert_eq!(data(&fake)["vkey"], "k");
    assert!(data(&fake)["head"].as_str().unwrap().contains("\"size\":7"));
}

#[tokio::test]
async fn a_smaller_head_or_another_log_never_replaces_the_newest() {
    let fake = Fake::new();
    let heads = heads(&fake);
    let newest = head("placet.dev/c/2", 7, 1);
    store(&heads, ordered("placet.dev/c/2")).await.unwrap();
    store(&heads, newest.clone()).await.unwrap();
    for (refused, why) in [
        (head("placet.dev/c/2", 6, 1), "smaller"),
        (head("placet.dev/c/2", 7, 2), "another root"),
        (head("placet.dev/c", 1000, 1), "successor has begun"),
        (head("placet.dev/c/3", 8, 1), "nobody ordered"),
        (head("placet.dev/d", 8, 1), "different logs"),
    ] {
        let error = store(&heads, refused).await.unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
        assert_eq!(load(&heads).await.unwrap(), Some(newest.clone()));
    }
    store(&heads, ordered("placet.dev/c/3")).await.unwrap();
    store(&heads, head("placet.dev/c/3", 1, 4)).await.unwrap();
    assert_eq!(load(&heads).await.unwrap().unwrap().origin, "placet.dev/c/3");
}

#[tokio::test]
async fn a_head_that_grew_behind_our_back_is_seen_at_writing() {
    let fake = Fake::new();
    let heads = heads(&fake);
    store(&heads, head("placet.dev/c", 7, 1)).await.unwrap();
    let mut done = false;
    fake.hook(move |asked, objects| {
        if asked.method == "PATCH" && !done {
            done = true;
            let map = objects.get_mut(PATH).unwrap();
            map["metadata"]["resourceVersion"] = json!("99");
            map["data"]["head"] = json!(serde_json::to_string(&head("placet.dev/c", 20, 5)).unwrap());
        }
        None
    });
    let error = store(&heads, head("placet.dev/c", 8, 2)).await.unwrap_err().to_string();
    assert!(error.contains("smaller") && error.contains("20 records"), "{error}");
    assert_eq!(load(&heads).await.unwrap().unwrap().size, 20);
}

#[tokio::test]
async fn what_does_not_read_is_never_overwritten() {
    let fake = Fake::new();
    let broken = json!({"metadata": {"name": "placet-log-head"}, "data": {"head": "{\"size\": 3"}});
    fake.put(PATH, broken);
    let heads = heads(&fake);
    for error in
        [load(&heads).await.unwrap_err(), store(&heads, head("placet.dev/c", 8, 2)).await.unwrap_err()]
    {
        assert!(error.to_string().contains("restore it from a backup"), "{error}");
    }
    assert!(fake.writes().is_empty());
}

#[tokio::test]
async fn a_refusal_and_endless_conflicts_are_errors_with_a_reason() {
    let fake = Fake::new();
    let heads = heads(&fake);
    store(&heads, head("placet.dev/c", 7, 1)).await.unwrap();
    fake.hook(|asked, _| asked.is_write().then_some((409, "Conflict")));
    let error = store(&heads, head("placet.dev/c", 8, 2)).await.unwrap_err().to_string();
    assert!(error.contains("changed 5 times"), "{error}");
    fake.hook(|_, _| Some((403, "Forbidden")));
    let error = load(&heads).await.unwrap_err().to_string();
    assert!(error.contains("403") && error.contains("GET"), "{error}");
}

#[tokio::test]
async fn a_call_from_the_only_worker_ends_with_an_error_and_does_not_deadlock() {
    let fake = Fake::new();
    let mut heads = heads(&fake);
    heads.whole = Duration::from_millis(50);
    let error = heads.load().unwrap_err().to_string();
    assert!(error.contains("no answer"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[expect(clippy::disallowed_methods, reason = "a test waits for its one task")]
async fn calls_from_a_worker_and_from_a_blocking_thread_are_answered() {
    let fake = Fake::new();
    let heads = heads(&fake);
    let in_task = heads.clone();
    tokio::spawn(async move { in_task.store(&head("placet.dev/c", 7, 1)) }).await.unwrap().unwrap();
    let blocking = heads.clone();
    let loaded = tokio::task::spawn_blocking(move || blocking.load()).await.unwrap().unwrap();
    assert_eq!(loaded, Some(head("placet.dev/c", 7, 1)));
}

#[test]
fn after_the_runtime_calls_fail_at_once() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let fake = Fake::new();
    let heads = runtime.block_on(async { heads(&fake) });
    drop(runtime);
    assert!(heads.load().unwrap_err().to_string().contains("stopping"));
}

#[tokio::test]
async fn an_order_is_carried_out_exactly_once() {
    let fake = Fake::new();
    let heads = heads(&fake);
    assert_eq!(heads.take_begin_order().await.unwrap(), None);
    store(&heads, head("placet.dev/c", 7, 1)).await.unwrap();
    assert_eq!(heads.take_begin_order().await.unwrap(), None);
    let mut map = fake.object(PATH).unwrap();
    map["data"]["begin"] = json!("the volume\n was lost ");
    fake.put(PATH, map);
    let order = BeginOrder { because: "the volume was lost".to_owned() };
    assert_eq!(heads.take_begin_order().await.unwrap(), Some(order.clone()));
    assert!(data(&fake).get("begin").is_none());
    // The process ends before it has begun the successor.
    assert_eq!(heads.take_begin_order().await.unwrap(), Some(order));
    // It ends after it has, and before it says so.
    store(&heads, ordered("placet.dev/c/2")).await.unwrap();
    assert_eq!(heads.take_begin_order().await.unwrap(), None);
    assert!(data(&fake).get("beginTaken").is_none(), "{}", data(&fake));
}

#[tokio::test]
async fn a_finished_order_is_gone_and_a_later_one_is_taken() {
    let fake = Fake::new();
    let heads = heads(&fake);
    heads.publish_keys("vkey", "", "[]").await.unwrap();
    for reason in ["first", "second"] {
        let mut map = fake.object(PATH).unwrap();
        map["data"]["begin"] = json!(reason);
        fake.put(PATH, map);
        assert_eq!(heads.take_begin_order().await.unwrap().unwrap().because, reason);
        heads.finish_begin_order().await.unwrap();
        assert_eq!(heads.take_begin_order().await.unwrap(), None);
    }
    assert_eq!(data(&fake)["vkey"], "vkey");
}

#[tokio::test]
async fn an_order_without_a_usable_reason_is_refused_with_the_command() {
    let fake = Fake::new();
    for bad in [" \n ".to_owned(), "x".repeat(501), "a\u{7}b".to_owned()] {
        fake.put(PATH, json!({"metadata": {"name": "placet-log-head"}, "data": {"begin": bad}}));
        let error = heads(&fake).take_begin_order().await.unwrap_err().to_string();
        assert!(error.contains("wanted a reason") && error.contains("placet evidence begin"), "{error}");
    }
    assert!(fake.writes().is_empty());
}

/// The log itself on this store: what it refuses, and what an order changes.
#[tokio::test]
async fn an_emptied_volume_is_refused_until_a_successor_is_begun() {
    use std::sync::Arc;

    use placet_evidence::{Config, Log, LogKey};

    let fake = Fake::new();
    let store = heads(&fake);
    let (volume, now) = (tempfile::tempdir().unwrap(), "2026-11-01T00:00:00Z".parse().unwrap());
    let mut config = Config::new(volume.path().join("log"), "placet.dev/c", "c");
    config.reserve_bytes = 0;
    let key = LogKey::from_seed(&[1; 32]);
    let open = |config: Config, begin: Option<&'static str>| {
        let (key, store) = (key.clone(), Arc::new(store.clone()));
        tokio::task::spawn_blocking(move || {
            let log = match begin {
                None => Log::open(&config, &key, store, now)?,
                Some(because) => Log::begin_successor(&config, &key, store, now, because)?,
            };
            Ok::<_, placet_evidence::OpenError>(log.close(now, "test").map(|head| head.origin).unwrap())
        })
    };
    assert_eq!(open(config.clone(), None).await.unwrap().unwrap(), "placet.dev/c");
    assert_eq!(open(config.clone(), None).await.unwrap().unwrap(), "placet.dev/c");
    config.dir = volume.path().join("another");
    let error = open(config.clone(), None).await.unwrap().unwrap_err().to_string();
    assert!(error.contains("placet evidence begin"), "{error}");
    assert_eq!(open(config.clone(), Some("the volume was lost")).await.unwrap().unwrap(), "placet.dev/c/2");
    assert_eq!(open(config, None).await.unwrap().unwrap(), "placet.dev/c/2");
}
