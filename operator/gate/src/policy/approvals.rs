//! The approvals that policies ask for together, by role.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use placet_api::approval::Covers;
use placet_api::releasepolicy::{ApprovalRule, ApprovalWhen, EmptyDigest, Proof, ReleasePolicySpec};
use serde::Serialize;

/// What an approval covers, as a key.
pub type CoversKey = &'static str;

/// Approvals asked for from one role.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Approvals {
    /// Distinct people.
    pub count: i32,
    /// What their digest covers.
    #[serde(skip)]
    pub covers: Covers,
    /// Asked for whatever the case.
    pub always: bool,
    /// Asked for when one of these holds.
    pub when: BTreeSet<ApprovalWhen>,
    /// Groups whose members do not count.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub not_in_groups: BTreeSet<String>,
    /// What must prove who approved; None: the operator's stamp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// Whether who made or develops the release does not count, whatever is said of authors.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub independent: bool,
    /// Whether every policy that asks lets the webhook fill in a digest that is left out. Not digested: it changes how
    /// approvals come to be, not what they are given under.
    #[serde(skip)]
    pub fill: bool,
}

impl Approvals {
    /// Takes what another policy asks of the same role into it.
    pub(super) fn add(&mut self, other: Self) {
        self.count = self.count.max(other.count);
        self.always |= other.always;
        self.when.extend(other.when);
        self.not_in_groups.extend(other.not_in_groups);
        self.proof = self.proof.max(other.proof);
        self.independent |= other.independent;
        self.fill &= other.fill;
    }
}

impl Approvals {
    /// What one rule asks for.
    fn new(rule: &ApprovalRule, of: &ReleasePolicySpec) -> Self {
        Self {
            count: rule.count,
            covers: of.covers(rule),
            always: rule.when.is_none(),
            when: rule.when.into_iter().collect(),
            not_in_groups: of.not_in_groups(rule).iter().map(ToString::to_string).collect(),
            proof: rule.proof.filter(|p| *p > Proof::Stamp),
            independent: false,
            fill: rule.empty_digest == Some(EmptyDigest::Fill),
        }
    }
}

/// One approval of a role covers all that policies ask it to: Evidence has the content in it, so that a role that one
/// policy asks for Content and another for Evidence gives Evidence, and nobody has to be found twice.
pub(super) fn widest(approvals: &mut BTreeMap<(String, CoversKey), Approvals>) {
    let narrow: Vec<_> =
        approvals.keys().filter(|(_, c)| *c == covers_key(Covers::Content)).cloned().collect();
    for key in narrow {
        let wide = (key.0.clone(), covers_key(Covers::Evidence));
        if approvals.contains_key(&wide)
            && let (Some(less), Some(more)) = (approvals.remove(&key), approvals.get_mut(&wide))
        {
            more.add(less);
        }
    }
}

/// Takes one rule of a policy in.
pub(super) fn add(
    approvals: &mut BTreeMap<(String, CoversKey), Approvals>,
    rule: &ApprovalRule,
    of: &ReleasePolicySpec,
) {
    let asked = Approvals::new(rule, of);
    match approvals.entry((rule.role.to_string(), covers_key(asked.covers))) {
        Entry::Occupied(mut known) => known.get_mut().add(asked),
        Entry::Vacant(free) => {
            free.insert(asked);
        }
    }
}

/// Name of what an approval covers.
pub fn covers_key(covers: Covers) -> CoversKey {
    match covers {
        Covers::Content => "Content",
        Covers::Evidence => "Evidence",
        Covers::Classification => "Classification",
    }
}
