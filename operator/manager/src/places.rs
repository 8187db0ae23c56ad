//! Pods, and who may take the places of those that were admitted while cleared (invariant 9).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::{SignedDuration, Timestamp};
use placet_api::keys;
use placet_gate::admission::{Owner, OwnerHistory};
use serde_json::Value;

use crate::coming;
use crate::parents::Parents;
use crate::stores::{controller, text};

/// A pod as far as holds and replacements need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Uid.
    pub uid: String,
    /// The release that its label names.
    pub release: Option<String>,
    /// Whether it carries our scheduling gate.
    pub held: bool,
    /// Uid of the controlling owner.
    pub owner: Option<String>,
    /// Not yet ended, and not being deleted, or only after a long time.
    pub live: bool,
}

/// Seconds within which a pod that is deleted is expected to be gone. One that may go on longer is not one that has given
/// up its place.
const LONG_GRACE: i64 = 600;

impl Pod {
    /// A pod as far as we keep it.
    pub fn of(object: &Value) -> Self {
        let gates = object.pointer("/spec/schedulingGates").and_then(Value::as_array);
        let phase = text(object, "/status/phase");
        let grace =
            object.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0);
        Self {
            uid: text(object, "/metadata/uid").to_owned(),
            release: object
                .get("metadata")
                .and_then(|m| m.get("labels")?.get(keys::RELEASE)?.as_str())
                .map(str::to_owned),
            held: gates.into_iter().flatten().any(|g| g["name"] == keys::HOLD_GATE),
            owner: controller(object).map(|o| text(o, "/uid").to_owned()),
            live: !matches!(phase, "Succeeded" | "Failed")
                && (object.pointer("/metadata/deletionTimestamp").is_none() || grace > LONG_GRACE),
        }
    }
}

/// What was admitted for one controlling owner while its release was cleared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admitted {
    /// Release and pod-content digest of each pod.
    pub pods: BTreeSet<(String, String)>,
    /// Highest number of replicas.
    pub replicas: i64,
    /// How many were wanted before somebody wanted more while it was not cleared: those beyond are no replacements.
    pub raised_from: Option<i64>,
    /// When something was last admitted.
    pub last: Timestamp,
}

impl Admitted {
    /// Something was admitted while cleared: a pod, by release and content, or an object that wants so many.
    pub fn admit(&mut self, pod: Option<(String, String)>, replicas: i64, at: Timestamp) {
        self.pods.extend(pod);
        self.replicas = self.replicas.max(replicas);
        self.raised_from = None;
        self.last = self.last.max(at);
    }

    /// More than this many were wanted, and let through without being cleared, so that their pods are held.
    pub fn raise(&mut self, from: i64) {
        self.raised_from = Some(self.raised_from.map_or(from, |before| before.min(from)));
    }

    /// So many live at most while replacements start.
    pub fn highest(&self) -> i64 {
        self.raised_from.map_or(self.replicas, |from| from.min(self.replicas))
    }
}

/// For so long a pod that was given a place may come to be, and our store not know of it.
const WAIT: SignedDuration = SignedDuration::from_secs(coming::WAIT.as_secs().cast_signed());

/// The longest uid of an owner for which something is remembered: the API server takes any text for one.
const MAX_UID: usize = 253;

/// Workloads in the cluster, and what the log knows of their owners.
#[derive(Debug, Default)]
pub struct Workloads {
    /// Pods by namespace and name.
    pub pods: BTreeMap<Key, Pod>,
    /// Controllers' objects.
    pub parents: Parents,
    /// What was admitted while cleared, by owner's uid.
    pub admitted: BTreeMap<String, Admitted>,
    /// Under whom pods were admitted, by uid.
    under: BTreeMap<String, Under>,
    /// Held pods that replace one as soon as their owner has a place for them, by uid.
    waiting: BTreeMap<String, Waiting>,
    /// Pods that were given a place and that our store does not show in it yet, by uid.
    taking: BTreeMap<String, Taking>,
}

/// What gives a pod its place: an owner whose pods are counted, and the release that they name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Namespace.
    pub namespace: String,
    /// The release.
    pub release: String,
    /// Kind of the owner.
    pub kind: String,
    /// Uid of the owner.
    pub owner: String,
}

impl Place {
    /// The place that pods of this owner with this release have.
    pub fn of(namespace: &str, release: &str, owner: &Owner) -> Self {
        let [namespace, release, kind, owner] =
            [namespace, release, &owner.kind, &owner.uid].map(str::to_owned);
        Self { namespace, release, kind, owner }
    }
}

/// Under whom a pod was admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Under {
    /// Uid of its controlling owner; its own where it had none.
    pub owner: String,
    /// When.
    pub at: Timestamp,
}

/// A held pod that waits for a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The place.
    pub place: Place,
    /// When it was held.
    pub since: Timestamp,
}

/// A pod that was given a place.
#[derive(Debug)]
struct Taking {
    /// Uid of its owner.
    owner: String,
    since: Timestamp,
}

/// A pod's name: namespace and name.
pub type Key = (String, String);

impl Workloads {
    /// Begins with what the log remembers.
    pub fn recall(
        &mut self,
        admitted: BTreeMap<String, Admitted>,
        under: BTreeMap<String, Under>,
        waiting: BTreeMap<String, Waiting>,
    ) {
        (self.admitted, self.under, self.waiting) = (admitted, under, waiting);
    }

    /// Takes in a pod as the API server has it. Whether another may have its place now.
    pub fn set_pod(&mut self, key: Key, pod: Pod) -> bool {
        if !pod.held {
            self.taking.remove(&pod.uid);
            self.waiting.remove(&pod.uid);
        }
        let after = pod.clone();
        let before = self.pods.insert(key, pod);
        before.is_some_and(|before| before.live && before != after)
    }

    /// Takes out a pod that is gone. Gives it, if another may have its place now.
    pub fn remove_pod(&mut self, key: &Key) -> Option<Pod> {
        let pod = self.pods.remove(key)?;
        self.taking.remove(&pod.uid);
        self.waiting.remove(&pod.uid);
        self.under.remove(&pod.uid);
        pod.live.then_some(pod)
    }

    /// What was admitted for an owner while cleared, and how many pods take places of it now, without the pod with this uid.
    pub fn history(&self, place: &Place, but: Option<&str>, now: Timestamp) -> Option<(OwnerHistory, i64)> {
        let admitted = self.admitted.get(&place.owner)?;
        let strays = self.strays(place);
        // A pod that is held takes nobody's place.
        let (live, held) = self.live_pods(&place.namespace, &place.owner);
        let coming = self.coming(&place.owner, but, now);
        let history = OwnerHistory {
            admitted: admitted.pods.clone(),
            highest_replicas: match place.kind.as_str() {
                // One per node; on which of them a stray runs in the place of another is not looked at.
                "DaemonSet" if strays == 0 => i64::MAX,
                "DaemonSet" => 0,
                _ => admitted.highest(),
            },
        };
        Some((history, live - held + strays + coming))
    }

    /// How many pods were given a place of this owner and are not seen in it yet. One that is not seen in time never came.
    fn coming(&self, owner: &str, but: Option<&str>, now: Timestamp) -> i64 {
        let fresh = |t: &Taking| now.duration_since(t.since) < WAIT;
        let of_owner = self.taking.iter().filter(|(uid, t)| t.owner == owner && Some(uid.as_str()) != but);
        i64::try_from(of_owner.filter(|(_, t)| fresh(t)).count()).unwrap_or(i64::MAX)
    }

    /// Remembers a held pod that waits for a place.
    pub fn wait(&mut self, uid: &str, place: Place, since: Timestamp) {
        self.waiting.insert(uid.to_owned(), Waiting { place, since });
    }

    /// Whether there is a place for the pod with this uid.
    fn free(&self, place: &Place, uid: &str, now: Timestamp) -> bool {
        self.history(place, Some(uid), now).is_some_and(|(history, taken)| taken < history.highest_replicas)
    }

    /// Gives a pod a place of its owner, if there is one: of several that ask at once no more than there are places for.
    pub fn take_place(&mut self, place: Place, uid: &str, now: Timestamp) -> bool {
        let free = self.free(&place, uid, now);
        if free {
            self.taking.insert(uid.to_owned(), Taking { owner: place.owner, since: now });
        }
        free
    }

    /// The pod with this uid never came: its place is free again.
    pub fn give_back(&mut self, uid: &str) {
        self.taking.remove(uid);
    }

    /// Held pods of a release that wait for a place and for which there is one now: name and uid. More than there are places
    /// for, where several wait for the same.
    pub fn waiting_for(&self, namespace: &str, release: &str, now: Timestamp) -> Vec<(String, String)> {
        if !self.waits(namespace, release) {
            return Vec::new();
        }
        let ready = |pod: &Pod| {
            let waiting = self.waiting.get(&pod.uid);
            waiting.is_some_and(|w| w.place.release == release && self.free(&w.place, &pod.uid, now))
        };
        let pods = self.range(namespace).filter(|(_, pod)| pod.held && pod.live && ready(pod));
        pods.map(|((_, name), pod)| (name.clone(), pod.uid.clone())).collect()
    }

    /// Releases with pods that wait for a place: namespace and name.
    pub fn waited_for(&self) -> BTreeSet<(String, String)> {
        self.waiting.values().map(|w| (w.place.namespace.clone(), w.place.release.clone())).collect()
    }

    /// Whether a pod of a release waits for a place.
    pub fn waits(&self, namespace: &str, release: &str) -> bool {
        self.waiting.values().any(|w| w.place.namespace == namespace && w.place.release == release)
    }

    /// Whether places are given to pods that are not seen in them yet.
    pub fn places_are_coming(&self, now: Timestamp) -> bool {
        self.taking.values().any(|t| now.duration_since(t.since) < WAIT)
    }

    /// Pods of an owner that exist and are not ending, and those among them that are held. A pod that was admitted by itself
    /// takes its own place.
    pub fn live_pods(&self, namespace: &str, owner: &str) -> (i64, i64) {
        let of_owner =
            self.of(namespace).filter(|p| p.live && (p.owner.as_deref() == Some(owner) || p.uid == owner));
        of_owner.fold((0, 0), |(live, held), pod| (live + 1, held + i64::from(pod.held)))
    }

    /// Pods of a release that run, are not counted as this owner's, and are not with the owner under whom they were admitted. A
    /// pod whose labels or owner are changed is let go by its owner, which makes another in its place: it goes on counting as
    /// that owner's, whoever has it now. One that was admitted by itself never had an owner, and takes nobody's place. Of one of
    /// whose admission nothing is known, it is enough that something was admitted for its owner.
    fn strays(&self, place: &Place) -> i64 {
        let at_home = |pod: &Pod| {
            let owner = pod.owner.as_ref().unwrap_or(&pod.uid);
            match self.under.get(&pod.uid) {
                Some(under) => under.owner == *owner,
                None => self.admitted.contains_key(owner),
            }
        };
        let counted = |pod: &Pod| pod.owner.as_ref() == Some(&place.owner) || pod.uid == place.owner;
        let of_release =
            self.of(&place.namespace).filter(|p| p.release.as_deref() == Some(place.release.as_str()));
        let strays = of_release.filter(|p| p.live && !p.held && !counted(p) && !at_home(p)).count();
        i64::try_from(strays).unwrap_or(i64::MAX)
    }

    /// Whether pods run that belong to this object, or to what it controls. Where it is enforced they were let through because
    /// their release was cleared, or ran before; which of both, a log that began after them does not tell.
    pub fn pods_run(&self, namespace: &str, uid: &str) -> bool {
        self.of(namespace).any(|pod| {
            let Some(owner) = pod.owner.as_deref().filter(|_| pod.live && !pod.held) else { return false };
            owner == uid || self.controller_of(namespace, owner) == Some(uid)
        })
    }

    /// Remembers what was admitted while cleared.
    pub fn admit(&mut self, owner: &str, pod: Option<(String, String)>, replicas: i64, at: Timestamp) {
        // No controller has such a uid.
        if owner.len() <= MAX_UID {
            self.admitted.entry(owner.to_owned()).or_default().admit(pod, replicas, at);
        }
    }

    /// Remembers under whom a pod was admitted; by itself, where it has no owner.
    pub fn admit_under(&mut self, uid: &str, owner: Option<&str>, at: Timestamp) {
        let owner = owner.unwrap_or(uid);
        if uid.len() <= MAX_UID && owner.len() <= MAX_UID {
            self.under.insert(uid.to_owned(), Under { owner: owner.to_owned(), at });
        }
    }

    /// Whether [`Workloads::admit`] would tell nothing new.
    pub fn knows(&self, owner: &str, pod: Option<&(String, String)>, replicas: i64) -> bool {
        self.admitted.get(owner).is_some_and(|a| {
            a.replicas >= replicas && a.raised_from.is_none() && pod.is_none_or(|pod| a.pods.contains(pod))
        })
    }

    /// Forgets what was admitted for owners that are gone and have no pods: whatever comes has another uid, and is no
    /// replacement of theirs. What was admitted at `since` or later is kept, since the stores may not have heard of its
    /// owner yet. To be called with all stores live only. How many were forgotten.
    pub fn forget(&mut self, since: Timestamp) -> usize {
        let before = self.admitted.len();
        let there: HashSet<&str> = self.pods.values().map(|pod| pod.uid.as_str()).collect();
        self.waiting.retain(|uid, waiting| waiting.since >= since || there.contains(uid.as_str()));
        self.under.retain(|uid, under| under.at >= since || there.contains(uid.as_str()));
        self.taking.retain(|_, taking| taking.since >= since);
        let with_pods: HashSet<&str> =
            self.pods.values().flat_map(|p| p.owner.iter().chain([&p.uid])).map(String::as_str).collect();
        let parents = &self.parents;
        self.admitted.retain(|uid, admitted| {
            admitted.last >= since || parents.knows(uid) || with_pods.contains(uid.as_str())
        });
        before - self.admitted.len()
    }

    fn range<'a>(&'a self, namespace: &str) -> impl Iterator<Item = (&'a Key, &'a Pod)> + use<'a> {
        let namespace = namespace.to_owned();
        self.pods.range((namespace.clone(), String::new())..).take_while(move |((ns, _), _)| *ns == namespace)
    }

    fn of<'a>(&'a self, namespace: &str) -> impl Iterator<Item = &'a Pod> + use<'a> {
        self.range(namespace).map(|(_, pod)| pod)
    }

    /// Uid of what controls a parent with this uid.
    fn controller_of(&self, namespace: &str, uid: &str) -> Option<&str> {
        Some(self.parents.with_uid(namespace, uid)?.controller.as_ref()?.uid.as_str())
    }
}
