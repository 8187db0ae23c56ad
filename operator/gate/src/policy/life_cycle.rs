//! What policies ask together of how a release is documented, verified, validated, overseen, disclosed and changed.

use std::collections::BTreeSet;

use placet_api::approval::Covers;
use placet_api::lifecycle::{
    BuildRecord, ChangePart, ChangeRule, DocumentPart, OversightPart, OversightRule, TransparencyDuty,
    TransparencyRule, ValidationRule,
};
use placet_api::releasepolicy::ReleasePolicySpec;
use placet_api::scalar::Title;
use placet_api::testreport::TestType;
use serde::Serialize;

use super::{Approvals, Requirements, covers_key, smaller};
use crate::finding::Gate;

/// What all matching policies ask for together. A gate that no policy asks for is None, and no part of the decision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LifeCycle {
    /// Parts of the documentation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documentation: Option<BTreeSet<DocumentPart>>,
    /// How it is shown that the release was built right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// Who shows that it does what it is meant for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// The oversight plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oversight: Option<Oversight>,
    /// Notices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transparency: Option<Transparency>,
    /// Changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
}

/// Records and types of tests that verify.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The records.
    pub records: BTreeSet<BuildRecord>,
    /// The types.
    pub tests: BTreeSet<TestType>,
}

/// Roles of validators and types of tests that validate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Validation {
    /// The roles, each of which approves.
    pub roles: BTreeSet<String>,
    /// The types.
    pub tests: BTreeSet<TestType>,
}

/// What an oversight plan holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Oversight {
    /// How many overseers.
    pub overseers: i32,
    /// How old the last stop drill may be, in days; None: none is asked for.
    pub drill_max_age_days: Option<i32>,
    /// What else.
    pub parts: BTreeSet<OversightPart>,
}

/// Which notices there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Transparency {
    /// Whether those that follow from Article 50 are asked for.
    pub article50: bool,
    /// Those that are asked for in any case.
    pub duties: BTreeSet<TransparencyDuty>,
}

/// What is asked of changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Parts of the assessment.
    pub parts: BTreeSet<ChangePart>,
    /// Whether there is a release to go back to.
    pub rollback_target: bool,
}

impl LifeCycle {
    /// The gate that judges tests of a type, where that is not the gate *tests*. A type that is said to verify and to validate
    /// validates, which asks for more.
    pub fn judges(&self, type_: TestType) -> Option<Gate> {
        let validates = self.validation.as_ref().is_some_and(|v| v.tests.contains(&type_));
        let verifies = self.verification.as_ref().is_some_and(|v| v.tests.contains(&type_));
        validates.then_some(Gate::Validation).or(verifies.then_some(Gate::Verification))
    }
}

/// Joins what a policy says, and gives in which ways it contradicts itself.
pub(super) fn join(out: &mut Requirements, name: &str, spec: &ReleasePolicySpec) -> Vec<String> {
    let life = &mut out.life_cycle;
    if let Some(rule) = &spec.documentation {
        life.documentation.get_or_insert_default().extend(&rule.parts);
    }
    if let Some(rule) = &spec.verification {
        let verification = life.verification.get_or_insert_default();
        verification.records.extend(rule.records.iter().flatten());
        verification.tests.extend(rule.tests.iter().flatten());
    }
    if let Some(rule) = &spec.validation {
        let validation = life.validation.get_or_insert_default();
        validation.roles.insert(rule.role.to_string());
        validation.tests.extend(rule.tests.iter().flatten());
        let key = (rule.role.to_string(), covers_key(Covers::Evidence));
        match out.approvals.get_mut(&key) {
            Some(known) => known.add(approval(rule)),
            None => {
                out.approvals.insert(key, approval(rule));
            }
        }
    }
    if let Some(OversightRule { overseers, drill_max_age_days, parts }) = &spec.oversight {
        let plan = life.oversight.get_or_insert(Oversight {
            overseers: 1,
            drill_max_age_days: None,
            parts: BTreeSet::new(),
        });
        plan.overseers = plan.overseers.max(overseers.unwrap_or(1));
        plan.drill_max_age_days = smaller(plan.drill_max_age_days, *drill_max_age_days);
        plan.parts.extend(parts.iter().flatten());
    }
    if let Some(TransparencyRule { article50, duties }) = &spec.transparency {
        let notices = life.transparency.get_or_insert_default();
        notices.article50 |= *article50 != Some(false);
        notices.duties.extend(duties.iter().flatten());
    }
    if let Some(ChangeRule { parts, rollback_target }) = &spec.change {
        let change = life.change.get_or_insert_default();
        change.parts.extend(parts.iter().flatten());
        change.rollback_target |= *rollback_target == Some(true);
    }
    conflicts(name, spec).collect()
}

/// The approval of a validator, as one that a policy asks for: it is counted with all others, so that nobody stands for two.
fn approval(rule: &ValidationRule) -> Approvals {
    Approvals {
        count: 1,
        covers: Covers::Evidence,
        always: true,
        when: BTreeSet::new(),
        not_in_groups: not_in_groups(rule).iter().map(ToString::to_string).collect(),
        proof: None,
        independent: true,
        fill: false,
    }
}

/// Groups whose members are no validators, with what holds where it is left out.
#[must_use]
pub fn not_in_groups(rule: &ValidationRule) -> Vec<Title> {
    rule.not_in_groups.clone().unwrap_or_else(|| Title::new("developers").into_iter().collect())
}

/// Types of tests that a policy says verify or validate, and of which it asks for no test: nothing would say what passes. Each
/// with the field that names it.
pub(crate) fn undefined(spec: &ReleasePolicySpec) -> Vec<(&'static str, TestType)> {
    let verifies = spec.verification.as_ref().and_then(|v| v.tests.as_ref()).into_iter().flatten();
    let validates = spec.validation.as_ref().and_then(|v| v.tests.as_ref()).into_iter().flatten();
    let named = verifies.map(|t| ("verification", *t)).chain(validates.map(|t| ("validation", *t)));
    named.filter(|(_, t)| !spec.tests.iter().flatten().any(|rule| rule.type_ == *t)).collect()
}

/// The same, as contradictions of a policy.
fn conflicts<'a>(name: &'a str, spec: &'a ReleasePolicySpec) -> impl Iterator<Item = String> + 'a {
    undefined(spec).into_iter().map(move |(field, type_)| {
        format!("policy {name}: {field}.tests names {type_}, and the policy asks for no test of this type")
    })
}
