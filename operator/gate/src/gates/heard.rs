//! What became of each approval and each acceptance that a decision read. Whoever shows one shows this: it is noted where they
//! are counted, so that nobody has rules of their own on what counts.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use placet_api::approval::{ApprovalDecision, ApprovalSpec};
use placet_api::modelrelease::GateVerdict;
use placet_api::riskacceptance::RiskAcceptanceSpec;

use super::counted::{Cause, WhyNot};
use crate::decision::{self, Decision};
use crate::finding::Gate;
use crate::object::Object;
use crate::world::Snapshot;

/// What was said of objects by id; of acceptances also by risk, which is empty for approvals.
type Words = BTreeMap<(String, String), Result<(), WhyNot>>;

/// Notes of one evaluation.
#[derive(Debug, Default)]
pub struct Hearing(RefCell<Words>);

impl Hearing {
    /// An approval counts somewhere, or why it does not. What counts in one place counts.
    pub(super) fn note(&self, approval: &Object<ApprovalSpec>, said: Result<(), WhyNot>) {
        add(&mut self.0.borrow_mut(), (approval.id.clone(), String::new()), said);
    }

    /// Ids of Rejects that were answered and stand nowhere.
    pub(crate) fn answered(&self) -> BTreeSet<String> {
        let words = self.0.borrow();
        let answered =
            words.iter().filter(|(_, said)| said.as_ref().is_err_and(|why| why.cause == Cause::Answered));
        answered.map(|((id, _), _)| id.clone()).collect()
    }

    /// What was noted in another evaluation takes the place of what was in this.
    pub(crate) fn replace(&self, other: Self) {
        self.0.replace(other.0.into_inner());
    }

    /// An acceptance counts somewhere for a risk that it names, or why it does not.
    pub(super) fn accepts(
        &self,
        acceptance: &Object<RiskAcceptanceSpec>,
        risk: &str,
        said: Result<(), WhyNot>,
    ) {
        add(&mut self.0.borrow_mut(), (acceptance.id.clone(), risk.to_owned()), said);
    }
}

/// What counts in one place counts; of what does not, the first word stays.
fn add(words: &mut Words, key: (String, String), said: Result<(), WhyNot>) {
    let known = words.get(&key);
    if known.is_none_or(|known| known.is_err() && said.is_ok()) {
        words.insert(key, said);
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

/// A decision, and what became of each approval and acceptance that it read.
#[derive(Debug)]
pub struct Heard {
    /// The decision.
    pub decision: Decision,
    words: Words,
    /// Roles of which it is not known whether they are asked.
    unsure: BTreeSet<String>,
}

impl Heard {
    /// What became of an approval.
    pub fn of(&self, approval: &Object<ApprovalSpec>) -> Said {
        if let Some(said) = self.words.get(&(approval.id.clone(), String::new())) {
            return said.clone().map_or_else(Said::Not, |()| Said::Counts);
        }
        let unsure = approval.spec.as_ref().is_ok_and(|spec| {
            spec.decision == ApprovalDecision::Approve && self.unsure.contains(spec.role.as_str())
        });
        if self.knows() && !unsure { Said::NotAsked } else { Said::NotKnown }
    }

    /// What became of an acceptance, for one of the risks that it names.
    pub fn of_risk(&self, acceptance: &Object<RiskAcceptanceSpec>, risk: &str) -> Said {
        if let Some(said) = self.words.get(&(acceptance.id.clone(), risk.to_owned())) {
            return said.clone().map_or_else(Said::Not, |()| Said::Counts);
        }
        let asked = self.decision.gates.iter().find(|gate| gate.gate == Gate::RiskAcceptance);
        let unsure = asked.is_some_and(|gate| gate.verdict == GateVerdict::Unknown);
        if self.knows() && !unsure { Said::NotAsked } else { Said::NotKnown }
    }

    /// Whether it is known what is asked for.
    fn knows(&self) -> bool {
        !self.decision.policies.is_empty() && !self.decision.is_blind()
    }
}

/// Decides on a release, and says what became of each approval and acceptance: the decision is that of [`crate::evaluate`]. Where a release
/// stands on the policies that it was cleared under, what counts under those or under those of now counts.
pub fn hear(snapshot: &Snapshot) -> Heard {
    let [now, basis] = [Hearing::default(), Hearing::default()];
    let decision = decision::decide(snapshot, Some([&now, &basis]));
    let mut words = now.0.into_inner();
    if decision.on_basis {
        for (key, said) in basis.0.into_inner() {
            if said.is_ok() || words.get(&key).is_none_or(Result::is_err) {
                words.insert(key, said);
            }
        }
    }
    let unknown = |gate: &&crate::finding::GateOutcome| gate.gate == Gate::Approvals;
    let unsure = decision.gates.iter().filter(unknown).flat_map(|gate| &gate.findings);
    let unsure = unsure.filter(|f| f.verdict == GateVerdict::Unknown).map(|f| f.item.clone()).collect();
    Heard { decision, words, unsure }
}
