//! What was asked of an artefact when the first report on it came and is not asked any more: it is asked of this artefact all the
//! same. Nobody moves a threshold once they know on which side of it a result lies.

use std::collections::BTreeSet;
use std::sync::Arc;

use placet_api::releasepolicy::TestRule;
use placet_api::testreport::{TestReportSpec, TestType};

use crate::asked::{Asked, AskedBy};
use crate::digest;
use crate::gates::Context;
use crate::guard::test_loosens;
use crate::object::{Object, Standing};
use crate::policy::{Test, add_test, confidence, effective, eligibility, same_test, selects};

/// What holds for one artefact beside what is asked now.
#[derive(Debug, Default)]
pub(super) struct Frozen {
    /// Tests that were loosened or left out since.
    pub(super) tests: Vec<Test>,
    /// Attribute sets that were left out since.
    pub(super) sets: Vec<Vec<String>>,
    /// Datasets that were for evaluation then, and that the release does not name for it.
    pub(super) datasets: Vec<String>,
    /// The day of the first report.
    pub(super) day: String,
}

impl Frozen {
    /// Whether all that was asked is asked now.
    pub(super) fn is_empty(&self) -> bool {
        self.tests.is_empty() && self.sets.is_empty() && self.datasets.is_empty()
    }
}

/// Digest of what is asked in one test: SHA-256 of the RFC 8785 JSON of what is measured, on what, of whom, and the limits. Two rules
/// of the same digest ask for the same; how old a result may be is left out.
///
/// # Errors
/// There is no canonical form.
pub fn requirement_digest(
    rule: &TestRule,
    sets: &[Vec<String>],
    datasets: &BTreeSet<&str>,
) -> Result<String, digest::DigestError> {
    let bias = rule.type_ == TestType::Bias;
    let groups = bias.then(|| eligibility(rule));
    digest::of_value(&serde_json::json!({
        "type": rule.type_,
        "metric": rule.metric,
        "compare": rule.compare,
        "reference": rule.reference,
        "exact": rule.exact == Some(true),
        "atLeast": rule.at_least,
        "atMost": rule.at_most,
        "confidence": confidence(rule),
        "minGroupSize": groups.as_ref().map(|g| g.min_rows),
        "minIntersectionSize": groups.as_ref().map(|g| g.min_intersection_rows),
        "minPositives": groups.as_ref().map(|g| g.min_positives),
        "minNegatives": groups.as_ref().map(|g| g.min_negatives),
        "ineligibleIntersectionShare": groups.as_ref().map(|g| g.ineligible_intersection_share),
        "excludeBelowShare": groups.as_ref().and_then(|g| g.exclude_below_share),
        "minRows": rule.min_rows,
        "attributeSets": bias.then_some(sets),
        "datasets": datasets,
    }))
}

/// What was asked of an artefact when the first report on it came: by the stamps, whatever a report says of when it ran.
/// Reports that are gone are among them.
fn first<'a>(cx: &'a Context<'_>, artifact: &str) -> Option<(&'a Standing, Vec<&'a Asked>)> {
    let on =
        |r: &&Arc<Object<TestReportSpec>>| r.spec.as_ref().is_ok_and(|s| s.artifact.as_str() == artifact);
    let stamped = || cx.snapshot.reports.iter().filter(on).filter_map(|r| r.standing());
    let first = stamped().min_by_key(|s| s.created_at)?;
    let asked = stamped().filter(|s| s.created_at == first.created_at).filter_map(|s| s.asked.as_deref());
    Some((first, asked.collect()))
}

/// What is frozen for an artefact. `sets`: those of now; `evaluation`: datasets that the release names for evaluation.
pub(super) fn frozen(
    cx: &Context<'_>,
    artifact: &str,
    sets: &[Vec<String>],
    evaluation: &BTreeSet<&str>,
) -> Frozen {
    let mut out = Frozen::default();
    let Some(requirements) = cx.requirements else { return out };
    let Some((standing, asked)) = first(cx, artifact) else { return out };
    let class = cx.class();
    let applies = |by: &&AskedBy| {
        class.is_some_and(|class| by.applies_to.classes.contains(&class))
            && selects(by.applies_to.namespace_selector.as_ref(), &cx.snapshot.namespace_labels)
    };
    let system = cx.system.map(|(s, _)| s.name()).unwrap_or_default();
    let mut tests: Vec<Test> = Vec::new();
    for asked in asked {
        // What a policy asked that is there as it was is among what is asked now.
        let unchanged =
            |by: &&AskedBy| cx.policies.iter().any(|p| p.name() == by.name && p.digest() == by.digest);
        for by in asked.policies.iter().filter(|by| !unchanged(by)).filter(applies) {
            for rule in &by.tests {
                add_test(&mut tests, &effective(rule, &by.applies_to.classes), &by.name);
            }
            out.sets.extend(by.attribute_sets.iter().cloned());
        }
        out.sets.extend(asked.systems.get(system).into_iter().flatten().cloned());
        out.datasets.extend(asked.datasets.iter().filter(|d| !evaluation.contains(d.as_str())).cloned());
    }
    for set in &mut out.sets {
        set.sort();
        set.dedup();
    }
    out.sets.retain(|set| !sets.contains(set));
    out.sets.sort();
    out.sets.dedup();
    out.datasets.sort();
    out.datasets.dedup();
    out.day = standing.created_at.strftime("%Y-%m-%d").to_string();
    tests.retain(|then| {
        let mut now = requirements.tests.iter().filter(|now| same_test(&now.rule, &then.rule));
        now.all(|now| test_loosens(&then.rule, &now.rule))
    });
    for test in &mut tests {
        test.then = Some(out.day.clone());
    }
    out.tests = tests;
    // Where nobody is tested for bias, no groups are looked at.
    if !requirements.tests.iter().chain(&out.tests).any(|t| t.rule.type_ == TestType::Bias) {
        out.sets.clear();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(more: &serde_json::Value) -> TestRule {
        let mut rule = serde_json::json!({"type": "Bias", "metric": "SelectionRateRatio", "atLeast": "0.80"});
        for (key, value) in more.as_object().into_iter().flatten() {
            rule[key] = value.clone();
        }
        serde_json::from_value(rule).unwrap()
    }

    #[test]
    fn rules_that_ask_for_the_same_have_one_digest_and_others_another() {
        let sets = [vec!["sex".to_owned()]];
        let on = BTreeSet::from(["sha256:01"]);
        let of = |more: &serde_json::Value| requirement_digest(&rule(more), &sets, &on).unwrap();
        let plain = of(&serde_json::json!({}));
        for same in [
            serde_json::json!({"confidence": "0.95", "minGroupSize": 100}),
            serde_json::json!({"confidence": "0.950"}),
            serde_json::json!({"minIntersectionSize": 50, "minPositives": 20, "minNegatives": 20}),
            serde_json::json!({"ineligibleIntersectionShare": "0.050"}),
            serde_json::json!({"maxAgeDays": 7}),
        ] {
            assert_eq!(of(&same), plain, "{same}");
        }
        for other in [
            serde_json::json!({"atLeast": "0.79"}),
            serde_json::json!({"metric": "DemographicParityDifference"}),
            serde_json::json!({"confidence": "0.90"}),
            serde_json::json!({"compare": "Reference", "reference": {"sex": "male"}}),
            serde_json::json!({"minGroupSize": 99}),
            serde_json::json!({"minIntersectionSize": 49}),
            serde_json::json!({"minPositives": 21}),
            serde_json::json!({"minNegatives": 19}),
            serde_json::json!({"ineligibleIntersectionShare": "0.06"}),
            serde_json::json!({"excludeBelowShare": "0.02"}),
            serde_json::json!({"minRows": 1}),
        ] {
            assert_ne!(of(&other), plain, "{other}");
        }
        let digest = |sets: &[Vec<String>], on: &BTreeSet<&str>| {
            requirement_digest(&rule(&serde_json::json!({})), sets, on).unwrap()
        };
        assert_ne!(digest(&[], &on), plain);
        assert_ne!(digest(&sets, &BTreeSet::from(["sha256:02"])), plain);
    }
}
