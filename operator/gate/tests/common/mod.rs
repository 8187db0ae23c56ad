//! What the case runner and the properties share: placet-cases, where what cannot be read or made fails the test.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test reads its cases from files, and a case that cannot be read fails it"
)]
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::Path;

use jiff::Timestamp;
#[allow(unused_imports, reason = "each test binary uses its part")]
pub use placet_cases::{Base, ClearedOnce, Edited, Given, SeenAs, SignedBy, merge};
use placet_gate::object::{Reading, Record, Stamp};
use placet_gate::people::PeopleKey;
use placet_gate::stamp::{ReceiptKeys, StampProblem};
use placet_gate::world::World;
use serde_json::Value;

#[path = "../signed/common.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
pub mod signing;

/// The text of a file.
pub fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| e.to_string())
}

pub fn yaml<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

pub struct Run {
    pub namespace: String,
    pub reading: Reading,
    pub now: Timestamp,
}

/// The moment of properties.
pub fn start() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

impl Run {
    /// Of a namespace without a key that is known, at [`start`].
    pub fn new() -> Self {
        let reading = Reading {
            cluster: "c".into(),
            cluster_name: None,
            keys: ReceiptKeys::new(),
            people: PeopleKey::new(*b"cases"),
        };
        Self { namespace: "lending".into(), reading, now: start() }
    }

    fn at(&self) -> placet_cases::At<'_> {
        placet_cases::At { namespace: &self.namespace, reading: &self.reading, now: self.now }
    }

    pub fn json(&self, given: &Given) -> Value {
        self.at().json(given).unwrap()
    }

    pub fn record(&self, given: &Given) -> Record {
        let record = self.at().record(given).unwrap();
        assert!(given.by.is_some() || record.stamp == Stamp::Invalid { why: StampProblem::NeverSeen });
        record
    }

    /// A release of `objects` was cleared once.
    pub fn was_cleared(&self, world: &mut World, objects: &[Given], once: &ClearedOnce) {
        self.at().was_cleared(world, objects, once).unwrap();
    }

    /// Puts an object into a world.
    pub fn add(&self, world: &mut World, given: &Given, remembered: bool) {
        self.at().add(world, given, remembered).unwrap();
    }
}

/// Replaces `content of KIND/NAME` and its like by digests.
pub fn resolve(run: &Run, title: &str, objects: &mut [Given], base: &[Given]) {
    placet_cases::resolve(&run.at(), objects, base).unwrap_or_else(|e| panic!("{title}: {e}"));
}
