//! What a new set of policies does to a release, as on a cluster: what is cleared stands on the policies that it was cleared
//! under until its approvals end, unless the new version says `appliesToCleared`.

use std::sync::Arc;

use placet_gate::Cleared;
use placet_gate::policy::PolicySet;
use placet_gate::render::Names;
use placet_gate::world::World;
use serde::Serialize;

use super::{Judged, Question};

/// What becomes of a clearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Becomes {
    /// It is lost as soon as the policies are in force.
    LostAtOnce,
    /// It stands on the policies of before; those to come keep it from being renewed.
    LostAtItsEnd,
    /// There is one that was not there.
    Gained,
    /// It is there before and after.
    Kept,
    /// There is none.
    Absent,
}

/// What a new set of policies changes for a release.
#[derive(Debug)]
pub struct Change {
    /// The release once the policies are in force.
    pub after: Judged,
    /// The release once it no longer stands on the policies of before, where that changes the answer.
    pub afterwards: Option<Judged>,
    /// Whether it is cleared without the new policies.
    pub before: Cleared,
}

impl Change {
    /// What becomes of the clearance.
    pub fn becomes(&self) -> Becomes {
        match (self.before, self.after.decision.cleared) {
            (Cleared::True, Cleared::True) if self.afterwards.is_some() => Becomes::LostAtItsEnd,
            (Cleared::True, Cleared::True) => Becomes::Kept,
            (Cleared::True, _) => Becomes::LostAtOnce,
            (_, Cleared::True) => Becomes::Gained,
            _ => Becomes::Absent,
        }
    }
}

/// What the policies of `new` change for a release that was judged under those of `old`.
pub fn of(question: &Question, before: &Judged, (old, new): (&World, &World), names: &Names) -> Change {
    let (namespace, name, cleared) = (&before.namespace, &before.name, before.decision.cleared);
    let judge = |basis| question.judge_on(new, namespace, name, names, basis);
    let decides = |world: &World| question.snapshot(world, namespace, name).policies;
    let basis = decides(old).standing(&decides(new)).filter(|_| cleared == Cleared::True);
    let Some(basis) = basis.map(|all| Arc::new(PolicySet::new(all.into_iter()))) else {
        return Change { after: judge(None), afterwards: None, before: cleared };
    };
    let (after, afterwards) = (judge(Some(basis)), judge(None));
    let differs = after.decision.cleared == Cleared::True && afterwards.decision.cleared != Cleared::True;
    Change { after, afterwards: differs.then_some(afterwards), before: cleared }
}
