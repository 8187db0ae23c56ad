//! What this process let through as a webhook and its watches have not shown yet, of what can only stop something: Rejects
//! and withdrawals.
//!
//! The stores lag behind what was admitted, by milliseconds as a rule and by up to 90 s when a watch is frozen. Until they
//! show it, releases that it may be about are Unknown. It does not count as existing: another admission plugin, or the API
//! server itself, may still refuse the request. So the wait ends by itself, when a store that is live must have heard of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use placet_api::{Kind, keys};
use placet_gate::object::place_of;
use placet_gate::stamp::StampText;
use serde_json::Value;
use tokio::time::Instant;

use crate::admission::own_mutate::annotation;
use crate::infra::freshness::STALE_AFTER;

/// The API server gives a request up after this time; until then what we let through may come to be.
const REQUEST: Duration = Duration::from_secs(60);

/// How long is waited: whatever came to be within [`REQUEST`] is in each store that is live then.
pub const WAIT: Duration = REQUEST.saturating_add(STALE_AFTER);

/// So many are named to one decision; it is Unknown for one as for a thousand.
const NAMED: usize = 16;

#[derive(Debug)]
struct Waiting {
    generation: i64,
    /// The release that it stops; none: any of its namespace may be concerned.
    release: Option<String>,
    /// Of a Reject, who says what.
    word: Option<Word>,
    until: Instant,
}

/// Who rejects what in which role: a second Reject with the same adds nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    user: String,
    role: String,
    kind: String,
    name: String,
    digest: String,
}

impl Word {
    /// What somebody says with an Approval; None if it is no Reject.
    pub fn of(user: &str, object: &Value) -> Option<Self> {
        let spec = object.get("spec")?;
        let text = |at: &str| spec.pointer(at).and_then(Value::as_str).map(str::to_owned);
        text("/decision").filter(|d| d == "Reject")?;
        let (kind, name) = (text("/subject/kind")?, text("/subject/name")?);
        Some(Self {
            user: user.to_owned(),
            role: text("/role")?,
            kind,
            name,
            digest: text("/subject/digest")?,
        })
    }
}

/// Releases that something was about: a namespace, and one of it or all.
pub type About = (String, Option<String>);

/// So many versions that can only stop something are stamped for one user in [`STAMPING`] although the budget of the namespace
/// is used up. Most are judged a moment later and let through; who sends what is refused then must not fill the log with stamps.
const STAMPED: u32 = 8;
/// The time in which they are counted.
const STAMPING: Duration = Duration::from_secs(60);

/// Namespace, kind, name and uid: of two objects of one name that are on their way, either may come to be.
type Place = (String, Kind, String, String);

/// What is waited for, by namespace, kind, name and uid.
#[derive(Debug, Default)]
pub struct Coming {
    waiting: RwLock<BTreeMap<Place, Waiting>>,
    /// Users for whom something was stamped whatever the budget, since when, and how often.
    stamped: Mutex<BTreeMap<String, (Instant, u32)>>,
}

impl Coming {
    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Place, Waiting>> {
        self.waiting.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something that can only stop is stamped for a user whatever the budget. It is counted.
    pub fn may_stamp(&self, user: &str) -> bool {
        let now = Instant::now();
        let mut all = self.stamped.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (since, _)| now.duration_since(*since) < STAMPING);
        let (_, number) = all.entry(user.to_owned()).or_insert((now, 0));
        *number = number.saturating_add(1);
        *number <= STAMPED
    }

    /// A version of an object was recorded, and is about to be let through; it is waited for if it can only stop something.
    pub fn admitted(&self, object: &Value, stops: bool) {
        let (Ok((kind, Some(namespace), name)), true) = (place_of(object), stops) else { return };
        let subject = |field: &str| object.pointer(&format!("/spec/subject/{field}")).and_then(Value::as_str);
        let release = match kind {
            Kind::ModelRelease => Some(name.clone()),
            _ if subject("kind") == Some(Kind::ModelRelease.as_str()) => subject("name").map(str::to_owned),
            _ => None,
        };
        let (uid, generation) = version(object);
        let stamp: Option<StampText> =
            annotation(object, keys::STAMP).and_then(|text| serde_json::from_str(text).ok());
        let word = stamp.and_then(|stamp| Word::of(stamp.decider(), object));
        let waiting = Waiting { generation, release, word, until: Instant::now() + WAIT };
        self.write().insert((namespace, kind, name, uid.to_owned()), waiting);
    }

    /// A store holds this version of an object, or held it until it was deleted.
    pub fn shown(&self, kind: Kind, namespace: &str, name: &str, object: &Value) {
        if self.is_empty() {
            return;
        }
        let (uid, generation) = version(object);
        let key = (namespace.to_owned(), kind, name.to_owned(), uid.to_owned());
        let mut all = self.write();
        if all.get(&key).is_some_and(|w| w.generation <= generation) {
            all.remove(&key);
        }
    }

    /// What a decision on a release does not know yet, as names of what is not ready.
    pub fn about(&self, namespace: &str, release: &str) -> Vec<String> {
        let all = self.waiting.read().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return Vec::new();
        }
        let now = Instant::now();
        all.range((namespace.to_owned(), Kind::ALL[0], String::new(), String::new())..)
            .take_while(|((ns, ..), _)| ns == namespace)
            .filter(|(_, w)| w.until > now && w.release.as_deref().is_none_or(|r| r == release))
            .take(NAMED)
            .map(|((_, kind, name, _), _)| format!("{}/{name}", kind.plural()))
            .collect()
    }

    /// The name of a Reject in a namespace that says the same, one of this name before all others.
    pub fn same(&self, namespace: &str, name: &str, word: &Word) -> Option<String> {
        let all = self.waiting.read().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let mut same: Vec<&String> = all
            .iter()
            .filter(|((ns, ..), w)| ns == namespace && w.until > now && w.word.as_ref() == Some(word))
            .map(|((_, _, name, _), _)| name)
            .collect();
        same.sort_by_key(|found| *found != name);
        same.first().map(|name| (*name).clone())
    }

    /// Forgets what never came. Gives the releases that are to be decided again.
    pub fn forget(&self) -> Vec<About> {
        if self.is_empty() {
            return Vec::new();
        }
        let now = Instant::now();
        let mut over = Vec::new();
        self.write().retain(|(namespace, ..), waiting| {
            let stays = waiting.until > now;
            if !stays {
                over.push((namespace.clone(), waiting.release.clone()));
            }
            stays
        });
        over
    }

    fn is_empty(&self) -> bool {
        self.waiting.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// Uid and generation: what the validating webhook is shown is what is stored.
fn version(object: &Value) -> (&str, i64) {
    let metadata = object.get("metadata");
    let uid = metadata.and_then(|m| m.get("uid")?.as_str()).unwrap_or_default();
    (uid, metadata.and_then(|m| m.get("generation")?.as_i64()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use placet_gate::stamp::Identity;
    use serde_json::json;

    fn reject(name: &str, kind: &str, about: &str) -> Value {
        json!({"apiVersion": "placet.dev/v1alpha1", "kind": "Approval",
               "metadata": {"name": name, "namespace": "credit", "uid": format!("uid-{name}"), "generation": 1},
               "spec": {"decision": "Reject", "subject": {"kind": kind, "name": about}}})
    }

    #[tokio::test(start_paused = true)]
    async fn a_reject_is_waited_for_until_a_store_shows_it_or_it_cannot_come_any_more() {
        let coming = Coming::default();
        let no = reject("no", "ModelRelease", "v1");
        coming.admitted(&no, true);
        assert_eq!(coming.about("credit", "v1"), ["approvals/no"]);
        assert!(coming.about("credit", "v2").is_empty() && coming.about("credi", "v1").is_empty());
        // An earlier object of this name is not it.
        let mut other = no.clone();
        other["metadata"]["uid"] = "uid-before".into();
        coming.shown(Kind::Approval, "credit", "no", &other);
        assert_eq!(coming.about("credit", "v1"), ["approvals/no"]);
        coming.shown(Kind::Approval, "credit", "no", &no);
        assert!(coming.about("credit", "v1").is_empty() && coming.forget().is_empty());

        coming.admitted(&reject("never", "ModelRelease", "v1"), true);
        tokio::time::advance(WAIT.saturating_sub(Duration::from_secs(1))).await;
        assert_eq!(coming.about("credit", "v1"), ["approvals/never"]);
        assert!(coming.forget().is_empty());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(coming.about("credit", "v1").is_empty());
        assert_eq!(coming.forget(), [("credit".to_owned(), Some("v1".to_owned()))]);
        assert!(coming.forget().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn some_are_stamped_for_each_user_whatever_the_budget_and_no_more_within_a_minute() {
        let coming = Coming::default();
        for _ in 0..STAMPED {
            assert!(coming.may_stamp("erin"));
        }
        assert!(!coming.may_stamp("erin") && coming.may_stamp("bob"));
        tokio::time::advance(STAMPING).await;
        assert!(coming.may_stamp("erin"));
        assert_eq!(coming.stamped.lock().unwrap().len(), 1, "nobody is kept for longer");
    }

    fn said(by: &str, name: &str, about: &str) -> Value {
        let mut object = reject(name, "ModelRelease", about);
        object["spec"]["role"] = "risk-officer".into();
        object["spec"]["subject"]["digest"] = "sha256:1".into();
        let stamp =
            StampText::new(Identity { user: by.into(), ..Identity::default() }, Timestamp::UNIX_EPOCH);
        object["metadata"]["annotations"] = json!({keys::STAMP: serde_json::to_string(&stamp).unwrap()});
        object
    }

    #[tokio::test(start_paused = true)]
    async fn a_reject_that_says_the_same_is_known_before_a_store_shows_it_and_for_no_longer_than_it_may_come()
    {
        let coming = Coming::default();
        coming.admitted(&said("erin", "no", "v1"), true);
        let same = |by: &str, name: &str, about: &str| {
            coming.same("credit", name, &Word::of(by, &said(by, name, about)).unwrap())
        };
        assert_eq!(same("erin", "again", "v1").as_deref(), Some("no"));
        assert_eq!((same("bob", "again", "v1"), same("erin", "again", "v2")), (None, None));
        let word = Word::of("erin", &said("erin", "again", "v1")).unwrap();
        assert_eq!(coming.same("lending", "again", &word), None);
        coming.admitted(&said("erin", "some", "v1"), true);
        assert_eq!(same("erin", "some", "v1").as_deref(), Some("some"), "itself before others");
        coming.shown(Kind::Approval, "credit", "some", &said("erin", "some", "v1"));
        assert_eq!(same("erin", "some", "v1").as_deref(), Some("no"));
        tokio::time::advance(WAIT).await;
        assert_eq!(same("erin", "some", "v1"), None);
        let mut approves = said("erin", "yes", "v1");
        approves["spec"]["decision"] = "Approve".into();
        assert_eq!(Word::of("erin", &approves), None);
    }

    #[test]
    fn what_is_about_a_system_concerns_every_release_and_a_withdrawal_its_own() {
        let coming = Coming::default();
        coming.admitted(&reject("no", "AISystem", "scoring"), true);
        let mut release = reject("v1", "", "");
        release["kind"] = "ModelRelease".into();
        release["metadata"]["generation"] = 2.into();
        coming.admitted(&release, true);
        assert_eq!(coming.about("credit", "v1").len(), 2);
        assert_eq!(coming.about("credit", "v2"), ["approvals/no"]);
        let mut before = release.clone();
        before["metadata"]["generation"] = 1.into();
        coming.shown(Kind::ModelRelease, "credit", "v1", &before);
        assert_eq!(coming.about("credit", "v1").len(), 2, "not yet withdrawn there");
        coming.shown(Kind::ModelRelease, "credit", "v1", &release);
        assert_eq!(coming.about("credit", "v1"), ["approvals/no"]);
    }
}
