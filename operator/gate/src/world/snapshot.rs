//! What a snapshot is known by and stored as.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use super::Snapshot;
use crate::object::{Object, Record};
use crate::signature::Trust;

impl Snapshot {
    /// What its signatures are held against.
    pub fn trust(&self) -> Trust<'_> {
        Trust { signers: &self.signers, remembered: &self.signatures }
    }

    /// Ids of everything that it holds, sorted: what a record of the decision lists.
    pub fn ids(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self.objects().into_iter().map(|(id, _, _)| id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Digest of everything that it holds, the time left out: equal inputs have equal digests.
    pub fn digest(&self) -> String {
        let mut text = String::from("placet.dev/snapshot/v1\n");
        for id in self.ids() {
            text.push_str(id);
            text.push('\n');
        }
        for (key, value) in self.namespace_labels.iter() {
            let _ = writeln!(text, "label {key}={value}");
        }
        for role in self.roles.iter() {
            let _ = writeln!(text, "role {role}");
        }
        for kind in &self.not_ready {
            let _ = writeln!(text, "not ready {kind}");
        }
        for policy in self.basis.iter().flat_map(|b| b.iter()) {
            let _ = writeln!(text, "stands on {}", policy.id);
        }
        for policy in self.policies.iter().filter(|p| !p.live) {
            let _ = writeln!(text, "in force {}", policy.id);
        }
        for signer in self.signers.iter().filter(|s| s.live) {
            let _ = writeln!(text, "stands behind {}", signer.id);
        }
        if let Some(at) = self.first_use {
            let _ = writeln!(text, "first use {at}");
        }
        for had in &self.had {
            let had = serde_json::to_string(had).unwrap_or_default();
            let _ = writeln!(text, "had {had}");
        }
        for request in &self.reassess {
            let request = serde_json::to_string(request).unwrap_or_default();
            let _ = writeln!(text, "reassess {request}");
        }
        for name in &self.absent {
            let _ = writeln!(text, "absent {name}");
        }
        for release in &self.named {
            let live = if release.live { "" } else { " gone" };
            let _ = writeln!(text, "named {}{live}", release.id);
        }
        if self.cleared_before.as_ref().is_some_and(BTreeSet::is_empty) {
            let _ = writeln!(text, "cleared before: none");
        }
        for release in self.cleared_before.iter().flatten() {
            let _ = writeln!(text, "cleared before {} {}", release.name, release.content);
        }
        if !self.signatures.is_empty() {
            let signatures = serde_json::to_string(&self.signatures).unwrap_or_default();
            let _ = writeln!(text, "signatures {signatures}");
        }
        crate::digest::of_bytes(text.as_bytes())
    }

    /// Every record that it holds, with whether it is live: what the evidence store keeps for replay.
    pub fn records(&self) -> Vec<(&Record, bool)> {
        self.objects().into_iter().map(|(_, record, live)| (record, live)).collect()
    }

    /// The same with the id of each.
    pub(crate) fn objects(&self) -> Vec<(&str, &Record, bool)> {
        fn of<S>(object: &Arc<Object<S>>) -> (&str, &Record, bool) {
            (&object.id, &object.record, object.live)
        }
        let mut all: Vec<(&str, &Record, bool)> = Vec::new();
        all.extend(self.release.iter().map(of));
        all.extend(self.former.iter().map(of));
        all.extend(self.system.iter().map(of));
        all.extend(self.former_systems.iter().map(of));
        all.extend(self.assessments.iter().map(of));
        all.extend(self.reports.iter().chain(&self.proofs).map(of));
        all.extend(self.datasets.iter().map(of));
        all.extend(self.approvals.iter().map(of));
        all.extend(self.acceptances.iter().chain(&self.former_acceptances).map(of));
        all.extend(self.policies.iter().map(of));
        all.extend(self.basis.iter().flat_map(|b| b.iter()).map(of));
        all.extend(self.former_policies.iter().map(of));
        all.extend(self.signers.iter().map(of));
        all.extend(self.named.iter().map(of));
        all
    }
}
