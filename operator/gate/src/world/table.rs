//! Objects of one kind: the versions that exist, and those that are gone and matter all the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use placet_api::Kind;

use super::Key;
use crate::object::{Object, Record, Stamp};

/// Objects of one kind, the live ones by name and the remembered ones beside them.
#[derive(Debug)]
pub(super) struct Table<S> {
    pub(super) live: BTreeMap<Key, Arc<Object<S>>>,
    /// Versions that were seen and are gone, by name and record id.
    pub(super) gone: BTreeMap<Key, BTreeMap<String, Arc<Object<S>>>>,
}

impl<S> Default for Table<S> {
    fn default() -> Self {
        Self { live: BTreeMap::new(), gone: BTreeMap::new() }
    }
}

impl<S: serde::de::DeserializeOwned + Clone> Table<S> {
    pub(super) fn apply(&mut self, key: Key, record: Record) {
        let object = Arc::new(Object::new(record, true));
        self.answered(&key, &object);
        if let Some(versions) = self.gone.get_mut(&key) {
            versions.remove(&object.id);
        }
        if let Some(old) = self.live.insert(key.clone(), Arc::clone(&object))
            && old.id != object.id
        {
            self.bury(key, &old);
        }
    }

    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(old) = self.live.remove(key) {
            self.bury(key.clone(), &old);
        }
    }

    pub(super) fn remember(&mut self, key: Key, record: Record) {
        let object = Object::new(record, false);
        if self.live.get(&key).is_none_or(|l| l.id != object.id) {
            self.keep(key, object);
        }
    }

    /// Keeps a version that is gone, where that matters.
    fn bury(&mut self, key: Key, old: &Object<S>) {
        let mut object = old.clone();
        object.live = false;
        self.keep(key, object);
    }

    fn keep(&mut self, key: Key, object: Object<S>) {
        if !worth_remembering(&object.record) {
            return;
        }
        self.answered(&key, &object);
        // In whatever order the versions of a name are heard of, those written through the webhook stand for it.
        let stamped = self.live.get(&key).is_some_and(|l| is_stamped(&l.record))
            || self.versions(&key).any(|v| is_stamped(&v.record));
        if is_stamped(&object.record) || !stamped {
            self.gone.entry(key).or_default().insert(object.id.clone(), Arc::new(object));
        }
    }

    /// With a version whose author is known, those of the same name that are gone and had none ask nothing any more.
    fn answered(&mut self, key: &Key, by: &Object<S>) {
        if is_stamped(&by.record)
            && let Some(versions) = self.gone.get_mut(key)
        {
            versions.retain(|_, version| is_stamped(&version.record));
        }
    }

    pub(super) fn in_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Arc<Object<S>>> {
        let live = range(&self.live, namespace);
        let gone = range(&self.gone, namespace).flat_map(BTreeMap::values);
        live.chain(gone)
    }

    /// Bytes of the specs of versions in a namespace that are gone, with something for each version.
    pub(super) fn remembered(&self, namespace: &str) -> u64 {
        let gone = range(&self.gone, namespace).flat_map(BTreeMap::values);
        gone.map(|o| {
            let spec = u64::try_from(o.record.spec.json().len()).unwrap_or(u64::MAX);
            let asked = o.standing().and_then(|s| s.asked.as_ref()).map_or(0, |a| a.bytes());
            spec.saturating_add(asked).saturating_add(512)
        })
        .sum()
    }

    pub(super) fn versions<'a>(&'a self, key: &Key) -> impl Iterator<Item = &'a Arc<Object<S>>> + use<'a, S> {
        self.gone.get(key).into_iter().flat_map(BTreeMap::values)
    }
}

fn range<'a, V>(map: &'a BTreeMap<Key, V>, namespace: &'a str) -> impl Iterator<Item = &'a V> {
    map.range((namespace.to_owned(), String::new())..)
        .take_while(move |((ns, _), _)| ns == namespace)
        .map(|(_, v)| v)
}

fn is_stamped(record: &Record) -> bool {
    matches!(record.stamp, Stamp::Valid(_))
}

/// Whether a version matters once it is gone. Approvals in favour end with their objects, and roles are asked for by name only;
/// an acceptance ends, too, and what was approved of it is of no other that bears its name. One without a valid stamp never counted; but while it is there, a report, a dataset or an assessment of
/// unknown origin is a question, and deleting a question does not answer it.
fn worth_remembering(record: &Record) -> bool {
    let approve = || record.spec.text("decision").as_deref() == Some("Approve");
    match record.kind {
        Kind::ImpactAssessment | Kind::TestReport | Kind::Dataset => true,
        _ if !is_stamped(record) => false,
        Kind::ApprovalRole => false,
        Kind::Approval => !approve(),
        _ => true,
    }
}
