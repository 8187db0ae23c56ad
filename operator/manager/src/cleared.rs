//! Which releases were cleared, from the log: what a change follows, though it was deleted since.

use std::collections::BTreeMap;

use jiff::Timestamp;
use placet_api::Kind;
use placet_evidence::{Payload, Record as LogRecord, Verdict};
use placet_gate::object::Record;
use placet_gate::world::{WasCleared, World};

/// What the log says of clearances.
#[derive(Debug, Clone, Default)]
pub struct ClearedMemory {
    /// When a release was first cleared, by namespace.
    first: BTreeMap<(String, WasCleared), Timestamp>,
    /// Systems of the releases that decisions read, by namespace and content.
    systems: BTreeMap<(String, String), String>,
}

impl ClearedMemory {
    /// Takes one record in.
    pub fn visit(&mut self, record: &LogRecord) {
        let Payload::Decision(body) = &record.payload else { return };
        let Some(content) = record.subject.digest.filter(|_| body.verdict == Verdict::Met) else { return };
        let namespace = record.subject.namespace.clone().unwrap_or_default();
        let release = WasCleared { name: record.subject.name.clone(), content: content.to_string() };
        let first = self.first.entry((namespace, release)).or_insert(body.now);
        *first = body.now.min(*first);
    }

    /// Takes in an object that a decision read.
    pub fn read(&mut self, record: &Record) {
        let (Some(namespace), Ok(content)) = (&record.namespace, &record.digest) else { return };
        if let Some(system) = record.spec.text("system").filter(|_| record.kind == Kind::ModelRelease) {
            self.systems.insert((namespace.clone(), content.clone()), system);
        }
    }

    /// Tells a world.
    pub fn recall(self, world: &mut World) {
        world.knows_what_was_cleared();
        for ((namespace, release), at) in self.first {
            if let Some(system) = self.systems.get(&(namespace.clone(), release.content.clone())) {
                world.was_cleared(&namespace, system, release, at);
            }
        }
    }
}

#[cfg(test)]
#[path = "cleared_tests.rs"]
mod tests;
