//! What became of each approval that a decision read. Whoever shows an approval shows this: it is noted where approvals are
//! counted, so that nobody has rules of their own on what counts.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use placet_api::approval::{ApprovalDecision, ApprovalSpec};
use placet_api::modelrelease::GateVerdict;

use super::counted::WhyNot;
use crate::decision::{self, Decision};
use crate::finding::Gate;
use crate::object::Object;
use crate::world::Snapshot;

/// Notes of one evaluation.
#[derive(Debug, Default)]
pub struct Hearing(RefCell<BTreeMap<String, Result<(), WhyNot>>>);

impl Hearing {
    /// An approval counts somewhere, or why it does not. What counts in one place counts.
    pub(super) fn note(&self, approval: &Object<ApprovalSpec>, said: Result<(), WhyNot>) {
        let mut all = self.0.borrow_mut();
        match all.get(&approval.id) {
            Some(Ok(())) => {}
            Some(Err(_)) if said.is_err() => {}
            _ => {
                all.insert(approval.id.clone(), said);
            }
        }
    }
}

/// What a decision says of an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It counts; a Reject: it blocks.
    Counts,
    /// It does not.
    Not(WhyNot),
    /// Nothing asks for it: no policy that applies wants this role's word on this part of its subject.
    NotAsked,
    /// What is asked for is not known.
    NotKnown,
}

/// A decision, and what became of each approval that it read.
#[derive(Debug)]
pub struct Heard {
    /// The decision.
    pub decision: Decision,
    words: BTreeMap<String, Result<(), WhyNot>>,
    /// Roles of which it is not known whether they are asked.
    unsure: BTreeSet<String>,
}

impl Heard {
    /// What became of an approval.
    pub fn of(&self, approval: &Object<ApprovalSpec>) -> Said {
        match self.words.get(&approval.id) {
            Some(Ok(())) => return Said::Counts,
            Some(Err(why)) => return Said::Not(why.clone()),
            None => {}
        }
        let unsure = approval.spec.as_ref().is_ok_and(|spec| {
            spec.decision == ApprovalDecision::Approve && self.unsure.contains(spec.role.as_str())
        });
        let known = !self.decision.policies.is_empty() && !self.decision.is_blind();
        if known && !unsure { Said::NotAsked } else { Said::NotKnown }
    }
}

/// Decides on a release, and says what became of each approval: the decision is that of [`crate::evaluate`]. Where a release
/// stands on the policies that it was cleared under, what counts under those or under those of now counts.
pub fn hear(snapshot: &Snapshot) -> Heard {
    let [now, basis] = [Hearing::default(), Hearing::default()];
    let decision = decision::decide(snapshot, Some([&now, &basis]));
    let mut words = now.0.into_inner();
    if decision.on_basis {
        for (id, said) in basis.0.into_inner() {
            if said.is_ok() || words.get(&id).is_none_or(Result::is_err) {
                words.insert(id, said);
            }
        }
    }
    let unknown = |gate: &&crate::finding::GateOutcome| gate.gate == Gate::Approvals;
    let unsure = decision.gates.iter().filter(unknown).flat_map(|gate| &gate.findings);
    let unsure = unsure.filter(|f| f.verdict == GateVerdict::Unknown).map(|f| f.item.clone()).collect();
    Heard { decision, words, unsure }
}
