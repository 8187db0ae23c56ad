//! Which classes systems and artefacts had, from the log and for the log.

use std::collections::BTreeMap;

use jiff::Timestamp;
use placet_api::Kind;
use placet_api::common::Class;
use placet_api::modelrelease::ModelReleaseSpec;
use placet_evidence::{Decision as Body, Payload, Record as LogRecord};
use placet_gate::Decision;
use placet_gate::finding::Reason;
use placet_gate::object::Record;
use placet_gate::world::{Key, Snapshot, World};

use crate::state::State;

/// Decisions say nothing of a class while the clock or the stores cannot be trusted.
fn blind(body: &Body) -> bool {
    let blind = [Reason::ClockUntrusted, Reason::StoreNotReady];
    body.gates.iter().flat_map(|g| &g.reasons).any(|r| blind.iter().any(|b| b.as_str() == r))
}

fn class_named(name: &str) -> Option<Class> {
    serde_json::from_value(name.into()).ok()
}

/// What the log says of classes.
#[derive(Debug, Clone, Default)]
pub struct ClassMemory {
    /// When a release was first judged with a class: by namespace, content and class.
    first: BTreeMap<(String, String, Class), Timestamp>,
    /// Releases that decisions read, by namespace and content.
    releases: BTreeMap<(String, String), ModelReleaseSpec>,
}

impl ClassMemory {
    /// Takes one record in.
    pub fn visit(&mut self, record: &LogRecord) {
        let Payload::Decision(body) = &record.payload else { return };
        let class = body.derived.as_deref().or(body.class.as_deref()).and_then(class_named);
        let (Some(class), Some(content)) = (class, record.subject.digest) else { return };
        if class == Class::Minimal || blind(body) {
            return;
        }
        let namespace = record.subject.namespace.clone().unwrap_or_default();
        let first = self.first.entry((namespace, content.to_string(), class)).or_insert(body.now);
        *first = body.now.min(*first);
    }

    /// Takes in an object that a decision read.
    pub fn read(&mut self, record: &Record) {
        let (Some(namespace), Ok(content)) = (&record.namespace, &record.digest) else { return };
        let key = (namespace.clone(), content.clone());
        if record.kind == Kind::ModelRelease
            && !self.releases.contains_key(&key)
            && let Ok(spec) = serde_json::from_value(record.spec.value())
        {
            self.releases.insert(key, spec);
        }
    }

    /// Tells a world.
    pub fn recall(self, world: &mut World) {
        for ((namespace, content, class), at) in self.first {
            if let Some(release) = self.releases.get(&(namespace.clone(), content)) {
                world.had_class(&namespace, release, class, at);
            }
        }
    }
}

impl State {
    /// A decision was recorded: the class that it was made on is remembered. Where that is news, releases of which it says
    /// something.
    pub fn note_class(&self, snapshot: &Snapshot, decision: &Decision) -> Vec<Key> {
        let class =
            decision.derived.or(decision.class).filter(|c| *c != Class::Minimal && !decision.is_blind());
        let release = snapshot.release.as_ref().and_then(|r| r.spec.as_ref().ok());
        let (Some(class), Some(release)) = (class, release) else { return Vec::new() };
        let (namespace, now) = (&snapshot.namespace, snapshot.clock.now());
        if self.world().has_had(namespace, release, class, now) {
            return Vec::new();
        }
        self.world_mut().had_class(namespace, release, class, now);
        self.world().releases_with(namespace, release)
    }
}

#[cfg(test)]
#[path = "classes_tests.rs"]
mod tests;
