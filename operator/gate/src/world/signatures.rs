//! What a world knows of signatures: those behind them, and what the log remembers.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use placet_api::trustedsigner::TrustedSignerSpec;

use super::World;
use crate::object::{Object, Record};
use crate::signature::{Remembered, Seen};

impl World {
    /// The log saw the envelope of an object. Whether that is news.
    pub fn saw(&mut self, envelope: &str, seen: Seen) -> bool {
        self.signatures.saw(envelope, seen)
    }

    /// What the log knows of an envelope's first use.
    pub fn seen(&self, envelope: &str) -> Option<&Seen> {
        self.signatures.seen.get(envelope)
    }

    /// A TrustedSigner with this key was deleted.
    pub fn key_deleted(&mut self, key: &str, at: Timestamp) {
        self.signatures.deleted(key, at);
    }

    /// Each TrustedSigner of the keys that signed these objects, live where it stands behind them, and what the log remembers of their signatures.
    pub fn trust<'a>(
        &self,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> (Vec<Arc<Object<TrustedSignerSpec>>>, Remembered) {
        let mut remembered = Remembered::default();
        let mut keys = BTreeSet::new();
        for record in records {
            keys.extend(record.key());
            let first = record.envelope().and_then(|e| self.signatures.seen.get_key_value(e));
            remembered.seen.extend(first.map(|(envelope, seen)| (envelope.clone(), seen.clone())));
        }
        if keys.is_empty() {
            return (Vec::new(), remembered);
        }
        for key in &keys {
            remembered.deleted.extend(self.signatures.deleted.get(*key).map(|at| ((*key).to_owned(), *at)));
        }
        (self.signers_of(&keys), remembered)
    }
}
