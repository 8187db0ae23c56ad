use std::collections::BTreeMap;
use std::time::Duration;

use placet_api::Kind;
use placet_evidence::{Config, Digest, LogKey, MemoryHeads, Operation, Stamped};
use placet_gate::stamp::{Identity, Place, StampProblem, StampText, sign, verify};
use serde_json::{Value, json};

use super::*;
use crate::infra::secrets::ensure_secret_key;
use crate::infra::supervisor::Shutdown;
use crate::ledger::Ledger;
use crate::services::fake::Fake;
use crate::services::key_orders::{Looking, keep};

const NS: &str = "placet-system";
const HEAD: &str = "/api/v1/namespaces/placet-system/configmaps/placet-log-head";
const SECRET: &str = "/api/v1/namespaces/placet-system/secrets/placet-receipt-key";

/// What outlasts the operator.
struct Site {
    fake: Fake,
    volume: tempfile::TempDir,
    outside: Arc<MemoryHeads>,
    starts: i64,
}

/// An operator that has started.
struct Started {
    log: Arc<Log>,
    heads: Arc<ConfigMapHeads>,
    receipts: Receipts,
    now: Timestamp,
}

impl Site {
    fn new() -> Self {
        let (fake, volume) = (Fake::new(), tempfile::tempdir().unwrap());
        fake.put(HEAD, json!({"metadata": {"name": "placet-log-head", "namespace": NS}, "data": {}}));
        Self { fake, volume, outside: Arc::default(), starts: 0 }
    }

    /// Starts an operator as `run` does, an hour after the last.
    async fn start(&mut self) -> Started {
        self.try_start().await.unwrap()
    }

    async fn try_start(&mut self) -> anyhow::Result<Started> {
        self.starts += 1;
        let now = Timestamp::from_second(1_800_000_000 + 3600 * self.starts).unwrap();
        let client = self.fake.client();
        let secret = ensure_secret_key(&client, NS, "placet-receipt-key", 32).await?;
        let mut config = Config::new(self.volume.path(), "placet.dev/c", "c");
        (config.segment_bytes, config.reserve_bytes) = (1 << 20, 0);
        let mut history = History::default();
        let outside = Arc::clone(&self.outside);
        let log =
            Log::open_with(&config, &LogKey::from_seed(&[1; 32]), outside, now, &mut |index, record| {
                history.visit(index, record);
            });
        let log = Arc::new(log.unwrap());
        let handle = tokio::runtime::Handle::current();
        let heads = Arc::new(ConfigMapHeads::new(client.clone(), NS, "placet", handle));
        let desk = Desk {
            client: &client,
            namespace: NS,
            secret: "placet-receipt-key",
            heads: &heads,
            log: &log,
            now,
        };
        let receipts = settle(&desk, history, secret).await?;
        Ok(Started { log, heads, receipts, now })
    }

    fn order(&self, order: &Value) {
        let mut map = self.fake.object(HEAD).unwrap();
        map["data"]["keyOrder"] = order.to_string().into();
        self.fake.put(HEAD, map);
    }

    fn data(&self, key: &str) -> Value {
        let map = self.fake.object(HEAD).unwrap();
        serde_json::from_str(map["data"][key].as_str().unwrap_or("null")).unwrap()
    }

    /// The answer to the last order, which is gone.
    fn answer(&self) -> (bool, String) {
        assert_eq!(self.data("keyOrder"), Value::Null);
        let answer = self.data("keyOrderAnswer");
        (answer["done"].as_bool().unwrap(), answer["text"].as_str().unwrap().to_owned())
    }
}

fn rotate(id: &str) -> Value {
    json!({"id": id, "because": "Every year"})
}

fn distrust(id: &str, key: &str, from: u64) -> Value {
    json!({"id": id, "because": "It leaked", "distrust": {"key": key, "from": from}})
}

const PLACE: Place<'static> = Place { cluster: "c", kind: Kind::Approval, namespace: Some("n"), name: "a" };

/// A stamp and its receipt.
type Signed = (String, String);

fn text(by: &str, record: Option<u64>) -> StampText {
    StampText {
        spec: Digest::of(b"spec").to_string(),
        record,
        ..StampText::new(
            Identity { user: by.to_owned(), ..Identity::default() },
            "2026-11-01T00:00:00Z".parse().unwrap(),
        )
    }
}

/// What somebody who has the key can write.
fn forged(key: &SigningKey, by: &str, record: Option<u64>) -> Signed {
    let stamp = text(by, record);
    (serde_json::to_string(&stamp).unwrap(), sign(key, PLACE, &stamp))
}

impl Started {
    fn id(&self) -> String {
        key_id(&self.receipts.signing.verifying_key())
    }

    /// Stamps as the webhook does, which has tests of its own. Gives the index of the record, too.
    async fn stamp(&self, by: &str) -> (u64, Signed) {
        let body = Stamped {
            op: Operation::Create,
            kind: "Approval".into(),
            namespace: Some("n".into()),
            name: "a".into(),
            content: Digest::of(b"spec"),
            key: self.id(),
            stamp: Digest::from_bytes(text(by, None).digest()),
        };
        let record = NewRecord::new(self.now, Subject::new("Approval", Some("n"), "a"), Payload::Stamp(body));
        let index = self.log.append(record).await.unwrap().index;
        (index, forged(&self.receipts.signing, by, Some(index)))
    }

    fn check(&self, (stamp, receipt): &Signed) -> Result<String, StampProblem> {
        let content = Digest::of(b"spec").to_string();
        let stamp = verify(&self.receipts.keys, PLACE, Some(stamp), Some(receipt), &content)?;
        Ok(stamp.creator.user)
    }

    fn stop(self) {
        let log = Arc::try_unwrap(self.log).unwrap();
        log.close(self.now, "test").unwrap();
    }
}

/// Records about keys: kind, and who ordered it.
fn about_keys(log: &Log) -> Vec<(&'static str, Option<String>)> {
    let mut found = Vec::new();
    log.publish_now().unwrap();
    log.replay(0, &mut |_, record| match &record.payload {
        Payload::KeyRotate(body) => found.push(("rotate", body.order.clone())),
        Payload::KeyDistrust(body) => found.push(("distrust", Some(body.order.clone()))),
        _ => {}
    })
    .unwrap();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_key_is_recorded_and_a_start_without_news_writes_nothing() {
    let mut site = Site::new();
    let first = site.start().await;
    let (id, records) = (first.id(), first.log.head().size);
    assert_eq!(about_keys(&first.log), [("rotate", None)]);
    let list = site.data("receiptKeyList");
    assert_eq!(
        (&list[0]["id"], &list[0]["signs"], &list[0]["record"]),
        (&json!(id), &json!(true), &json!(1))
    );
    first.stop();
    let second = site.start().await;
    assert_eq!(second.id(), id);
    assert_eq!(about_keys(&second.log), [("rotate", None)]);
    assert_eq!(second.log.head().size, records + 2, "closed and opened, nothing else");
    second.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_the_secret_voids_nothing() {
    let mut site = Site::new();
    let first = site.start().await;
    let (old_id, (_, before)) = (first.id(), first.stamp("alice").await);
    first.stop();
    site.fake.take_away(SECRET);
    let second = site.start().await;
    assert_ne!(second.id(), old_id);
    let (_, after) = second.stamp("bob").await;
    assert_eq!((second.check(&before), second.check(&after)), (Ok("alice".into()), Ok("bob".into())));
    let list = site.data("receiptKeyList");
    assert_eq!((&list[0]["signs"], &list[1]["signs"]), (&json!(false), &json!(true)), "{list}");
    second.stop();
    // And again: both are in the log.
    site.fake.take_away(SECRET);
    let third = site.start().await;
    assert_eq!((third.check(&before), third.check(&after)), (Ok("alice".into()), Ok("bob".into())));
    let published = site.fake.object(HEAD).unwrap()["data"]["receiptKeys"].as_str().unwrap().to_owned();
    assert_eq!(published.lines().count(), 3, "{published}");
    third.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_carried_out_once_and_the_old_key_goes_on_verifying() {
    let mut site = Site::new();
    let first = site.start().await;
    let (old, (_, before)) = (first.id(), first.stamp("alice").await);
    first.stop();
    site.order(&rotate("o1"));
    let second = site.start().await;
    let (done, said) = site.answer();
    assert!(
        done && said.contains(&second.id()) && said.contains(&format!("{old} goes on verifying")),
        "{said}"
    );
    let (_, after) = second.stamp("bob").await;
    assert_eq!((second.check(&before), second.check(&after)), (Ok("alice".into()), Ok("bob".into())));
    let new = second.id();
    second.stop();
    // The answer was lost: the order is still there.
    site.order(&rotate("o1"));
    let third = site.start().await;
    assert_eq!(third.id(), new);
    assert_eq!(about_keys(&third.log), [("rotate", None), ("rotate", Some("o1".into()))]);
    assert!(site.answer().0);
    third.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_cut_off_is_finished() {
    let mut site = Site::new();
    site.start().await.stop();
    // The Secret was replaced, and then the process ended.
    site.order(&rotate("o1"));
    site.fake.take_away(SECRET);
    let new = ensure_secret_key(&site.fake.client(), NS, "placet-receipt-key", 32).await.unwrap();
    let started = site.start().await;
    assert_eq!(started.receipts.signing.to_bytes().as_slice(), new.bytes());
    assert_eq!(about_keys(&started.log), [("rotate", None), ("rotate", Some("o1".into()))]);
    assert!(site.answer().0);
    started.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_distrusted_key_signed_counts_if_the_log_recorded_it_before() {
    let mut site = Site::new();
    let first = site.start().await;
    let leaked = first.receipts.signing.clone();
    let (early, before) = first.stamp("alice").await;
    let (late, after) = first.stamp("bob").await;
    first.stop();
    site.order(&distrust("o1", &key_id(&leaked.verifying_key()), late));
    let second = site.start().await;
    let (done, said) = site.answer();
    assert!(
        done && said.contains(&format!("recorded below {late}")) && said.contains(&second.id()),
        "{said}"
    );
    assert_ne!(second.id(), key_id(&leaked.verifying_key()), "a new key in the same step");
    assert_eq!(
        about_keys(&second.log),
        [("rotate", None), ("distrust", Some("o1".into())), ("rotate", None)]
    );
    let distrusted = Err(StampProblem::DistrustedKey);
    let attempts = [
        ("recorded before", before.clone(), Ok("alice".to_owned())),
        ("recorded later", after.clone(), distrusted.clone()),
        ("made by the thief without a record", forged(&leaked, "eve", None), distrusted.clone()),
        ("that names a record of another stamp", forged(&leaked, "eve", Some(early)), distrusted.clone()),
        ("that names a record of something else", forged(&leaked, "alice", Some(0)), distrusted.clone()),
    ];
    for (what, signed, wanted) in &attempts {
        assert_eq!(second.check(signed), *wanted, "{what}");
    }
    let (_, healed) = second.stamp("bob").await;
    assert_eq!(second.check(&healed), Ok("bob".into()));
    second.stop();
    // It is remembered, and the leaked key does not come back with its Secret.
    let mut secret = site.fake.object(SECRET).unwrap();
    let seed = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, leaked.to_bytes());
    secret["data"]["key"] = seed.into();
    site.fake.put(SECRET, secret);
    let third = site.start().await;
    assert_ne!(third.id(), key_id(&leaked.verifying_key()));
    for (what, signed, wanted) in &attempts {
        assert_eq!(third.check(signed), *wanted, "{what}");
    }
    assert_eq!(third.check(&healed), Ok("bob".into()));
    let list = site.data("receiptKeyList");
    assert_eq!(list[0]["distrusted"]["from"], json!(late), "{list}");
    assert_eq!(list[0]["distrusted"]["reason"], json!("It leaked"));
    third.stop();
    // An earlier index can be given, and nothing that it takes away comes back.
    site.order(&distrust("o2", &key_id(&leaked.verifying_key()), early));
    let fourth = site.start().await;
    assert!(site.answer().0);
    assert_eq!(fourth.check(&before), distrusted);
    fourth.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_cannot_be_carried_out_are_answered_and_change_nothing() {
    let mut site = Site::new();
    let first = site.start().await;
    let id = first.id();
    first.stop();
    let long = "x".repeat(501);
    for (order, wanted) in [
        (distrust("o1", "0123456789abcdef", 1), "wanted the id of a receipt key"),
        (distrust("o2", &id, 1_000_000), "wanted an index of the log"),
        (json!({"id": "o3", "because": " "}), "wanted a reason of at most 500 bytes, found nothing"),
        (json!({"id": "o4", "because": long}), "found 501 bytes"),
        (json!({"id": "", "because": "x"}), "wanted an id"),
        (json!({"id": "o5", "because": "x", "from": 1}), "unknown field"),
        (json!("rotate"), "placet keys"),
    ] {
        site.order(&order);
        let started = site.start().await;
        let (done, said) = site.answer();
        assert!(!done && said.contains(wanted), "{order}: {said}");
        assert_eq!((started.id(), about_keys(&started.log).len()), (id.clone(), 1), "{order}");
        started.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_replaced_goes_on_and_the_order_is_refused() {
    let mut site = Site::new();
    let first = site.start().await;
    let id = first.id();
    first.stop();
    site.fake.hook(|asked, _| (asked.method == "DELETE").then_some((403, "Forbidden")));
    for order in [rotate("o1"), distrust("o2", &id, 1)] {
        site.order(&order);
        let started = site.start().await;
        let (done, said) = site.answer();
        assert!(!done && said.contains("no new key was made") && said.contains("Forbidden"), "{said}");
        assert_eq!((started.id(), about_keys(&started.log).len()), (id.clone(), 1));
        started.stop();
    }
}

/// Runs the watch until it ends by itself; None when it goes on.
#[expect(clippy::disallowed_methods, reason = "the end of a watch that goes on is a time")]
async fn watched(site: &Site, started: &Started, answered: Option<Answer>) -> Option<String> {
    let ledger = Arc::new(Ledger::new(Arc::clone(&started.log), BTreeMap::new(), started.now));
    let looking = Looking {
        heads: Arc::clone(&started.heads),
        history: started.receipts.history.clone(),
        ledger,
        answered,
    };
    let (_trigger, shutdown) = Shutdown::pair();
    let keeping = tokio::spawn(keep(looking, shutdown));
    for _ in 0..500 {
        if keeping.is_finished() || site.data("keyOrder").is_null() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    if keeping.is_finished() {
        return Some(keeping.await.unwrap().unwrap_err().to_string());
    }
    keeping.abort();
    let _ = keeping.await;
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_operator_ends_for_an_order_that_can_be_carried_out_and_refuses_others() {
    let mut site = Site::new();
    let started = site.start().await;
    let writes = site.fake.writes().len();
    site.order(&distrust("o1", "0123456789abcdef", 1));
    assert_eq!(watched(&site, &started, None).await, None);
    assert!(site.answer().1.contains("wanted the id of a receipt key"));
    assert_eq!(site.fake.writes().len(), writes + 1, "the answer and nothing else");

    site.order(&rotate("o2"));
    let ended = watched(&site, &started, None).await.unwrap();
    assert!(ended.contains("Every year") && ended.contains("this is no defect"), "{ended}");
    assert_eq!(site.data("keyOrder")["id"], json!("o2"), "it waits for the start");

    // What the start had answered already is not a reason to start again.
    let answer = Answer { order: "o2".into(), done: false, text: "no new key was made".into() };
    assert_eq!(watched(&site, &started, Some(answer)).await, None);
    assert_eq!(site.answer(), (false, "no new key was made".into()));
    started.stop();
}

/// Distrusting a key makes receipts void, those of Rejects too. What a decision has read stays in force (invariant 13).
#[tokio::test]
async fn a_reject_whose_receipt_became_void_stays_in_force() {
    use crate::testbed::{self, path, unstamped, world};
    let site = testbed::Site::new();
    let bed = site.start();
    bed.namespace(Some("deny"));
    for object in &world() {
        bed.put(object);
    }
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True");
    bed.put(&testbed::approval("no", "erin", "Reject", "2026-11-06T09:00:00Z"));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False");
    let reject = bed.fake.object(&path(Kind::Approval, "no")).unwrap();
    drop(bed);

    // To the next operator the receipt does not count.
    site.fake.put(&path(Kind::Approval, "no"), unstamped(Kind::Approval, "no", &reject["spec"]));
    let bed = site.start();
    bed.namespace(Some("deny"));
    bed.list();
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False");
}
