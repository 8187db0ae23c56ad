//! Controllers' objects in the cluster, as far as Scale requests that name them are judged by them.
//!
//! They come from all namespaces, also from those that have nothing to do with us, and whoever may edit one of these says
//! how long they are. So of each a bounded part is kept ([`slim::parent`]), and of each namespace a bounded number of bytes.
//! What has no room is remembered without its content, and scaling it up is Unknown.

use std::collections::{BTreeMap, HashMap};

use placet_gate::admission::Owner;
use serde_json::Value;

use crate::infra::room::{Fit, Rooms};
use crate::slim;

/// Bytes of controllers' objects that are kept whole of one namespace. Eight thousand Deployments and `ReplicaSet`s with a
/// container each fit, which is more than a cluster is advised to have in a namespace; the chart gives the operator thirty
/// times as much memory.
pub const NAMESPACE_BYTES: usize = 8 << 20;

/// What each object takes beside its text and its names: entries of maps, allocations.
pub const EACH: usize = 512;

/// A controller's object as far as it is kept: who controls it, and what a Scale request of it is judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Uid.
    pub uid: String,
    /// What controls it.
    pub controller: Option<Owner>,
    /// JSON text of the object: a tenth of the memory that the value would take, and seldom read.
    text: Box<str>,
}

impl Parent {
    /// Of an object as the API server gave it, or as [`slim::parent`] left it.
    pub fn new(object: &Value) -> Self {
        Self::of(&slim::parent(&object.to_string()).unwrap_or_default())
    }

    fn of(slim: &Value) -> Self {
        let text = |o: &Value, key: &str| o.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let controller = crate::stores::controller(slim).map(|o| Owner {
            api_version: text(o, "apiVersion"),
            kind: text(o, "kind"),
            name: text(o, "name"),
            uid: text(o, "uid"),
        });
        let uid = crate::stores::text(slim, "/metadata/uid").to_owned();
        Self { uid, controller, text: slim.to_string().into_boxed_str() }
    }

    /// The object, without what no judgement reads. One that is too large to be remembered has no spec.
    pub fn object(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Without what it is judged by.
    fn cut(self) -> Self {
        let mut object = self.object();
        object.as_object_mut().map(|fields| fields.remove("spec"));
        Self { text: object.to_string().into_boxed_str(), ..self }
    }

    /// Bytes that it takes.
    fn bytes(&self) -> usize {
        let names = |o: &Owner| o.api_version.len() + o.kind.len() + o.name.len() + o.uid.len();
        self.text.len() + self.controller.as_ref().map_or(0, names) + EACH
    }
}

/// Kind, namespace and name.
type Place = (String, String, String);

/// Controllers' objects in the cluster.
#[derive(Debug, Default)]
pub struct Parents {
    by_place: BTreeMap<Place, Parent>,
    by_uid: HashMap<String, Place>,
    rooms: Rooms,
}

impl Parents {
    /// One of them.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&Parent> {
        self.by_place.get(&(kind.to_owned(), namespace.to_owned(), name.to_owned()))
    }

    /// The one with this uid.
    pub fn with_uid(&self, namespace: &str, uid: &str) -> Option<&Parent> {
        let place = self.by_uid.get(uid).filter(|(_, ns, _)| ns == namespace)?;
        self.by_place.get(place)
    }

    /// Whether one has this uid.
    pub fn knows(&self, uid: &str) -> bool {
        self.by_uid.contains_key(uid)
    }

    /// One exists, in this version. Of a namespace that has no more room it is remembered without its content, and in the
    /// end not at all.
    pub fn set(&mut self, kind: &str, namespace: &str, name: &str, parent: Parent) {
        self.remove(kind, namespace, name);
        let whole = parent.bytes();
        let fits = self.rooms.taken(namespace) + whole <= NAMESPACE_BYTES;
        let parent = if fits { parent } else { parent.cut() };
        if self.rooms.take(namespace, NAMESPACE_BYTES, whole, parent.bytes()) == Fit::Nothing {
            return;
        }
        let place = (kind.to_owned(), namespace.to_owned(), name.to_owned());
        self.by_uid.insert(parent.uid.clone(), place.clone());
        self.by_place.insert(place, parent);
    }

    /// One is gone.
    pub fn remove(&mut self, kind: &str, namespace: &str, name: &str) {
        let place = (kind.to_owned(), namespace.to_owned(), name.to_owned());
        let Some(gone) = self.by_place.remove(&place) else { return };
        self.rooms.give(namespace, gone.bytes());
        if self.by_uid.get(&gone.uid) == Some(&place) {
            self.by_uid.remove(&gone.uid);
        }
    }

    /// All of a kind are gone.
    pub fn clear(&mut self, kind: &str) {
        let rooms = &mut self.rooms;
        self.by_place.retain(|(k, namespace, _), parent| {
            let stays = k != kind;
            if !stays {
                rooms.give(namespace, parent.bytes());
            }
            stays
        });
        self.by_uid.retain(|_, (k, _, _)| k != kind);
    }

    /// Bytes that those of a namespace take.
    pub fn bytes(&self, namespace: &str) -> usize {
        self.rooms.taken(namespace)
    }
}

#[cfg(test)]
#[path = "parents_tests.rs"]
mod tests;
