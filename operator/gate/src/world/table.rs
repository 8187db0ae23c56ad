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
        if !worth_remembering(&record) {
            return;
        }
        let object = Object::new(record, false);
        if self.live.get(&key).is_none_or(|l| l.id != object.id) {
            self.gone.entry(key).or_default().insert(object.id.clone(), Arc::new(object));
        }
    }

    /// Keeps a version that is gone, where that matters.
    fn bury(&mut self, key: Key, old: &Arc<Object<S>>) {
        if worth_remembering(&old.record) {
            let mut object = Object::clone(old);
            object.live = false;
            self.gone.entry(key).or_default().insert(object.id.clone(), Arc::new(object));
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
        gone.map(|o| u64::try_from(o.record.spec.json().len()).unwrap_or(u64::MAX).saturating_add(512)).sum()
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

/// Whether a version matters once it is gone. Only one with a valid stamp does: others never counted, and whoever can write
/// unstamped objects must not be able to fill our memory. Approvals in favour and acceptances end with their objects, and
/// roles are asked for by name only.
fn worth_remembering(record: &Record) -> bool {
    let stamped = matches!(record.stamp, Stamp::Valid(_));
    let approve = || record.spec.text("decision").as_deref() == Some("Approve");
    stamped
        && match record.kind {
            Kind::RiskAcceptance | Kind::ApprovalRole => false,
            Kind::Approval => !approve(),
            _ => true,
        }
}
