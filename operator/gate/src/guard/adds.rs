//! What a policy that is new beside those in force could clear that they do not.

use std::collections::BTreeSet;

use placet_api::common::Class;
use placet_api::releasepolicy::{LabelSelector, ReleasePolicySpec, WildcardGrants};

use super::loosens::{accepted, excluded, plain, warns, wildcards};
use crate::policy;

/// Each way in which a policy that is new beside those in force could clear what they do not clear. Empty if there is none:
/// then those in force ask for everything already, and it adds to that.
pub fn adds(new: &ReleasePolicySpec, in_force: &[&ReleasePolicySpec]) -> Vec<String> {
    let mut out = Vec::new();
    let selector = plain(new.applies_to.namespace_selector.as_ref());
    let everywhere = LabelSelector::default();
    let mut beside: Vec<&ReleasePolicySpec> = Vec::new();
    for class in &new.applies_to.classes {
        let of_class: Vec<&ReleasePolicySpec> = in_force
            .iter()
            .copied()
            .filter(|p| p.applies_to.classes.contains(class))
            .filter(|p| {
                let its = plain(p.applies_to.namespace_selector.as_ref());
                its == everywhere || its == selector
            })
            .collect();
        if of_class.is_empty() {
            out.push(format!(
                "appliesTo: no policy in force applies to class {class} in all of these namespaces, where nothing is cleared so far"
            ));
        }
        if *class < Class::High
            && new.classification.is_some()
            && !of_class.iter().any(|p| p.classification.is_some())
        {
            out.push(format!("classification: so far nobody may confirm the class {class}"));
        }
        let known = |level| {
            of_class.iter().any(|p| p.acceptance_authority.iter().flatten().any(|a| a.level == level))
        };
        for authority in new.acceptance_authority.iter().flatten().filter(|a| !known(a.level)) {
            out.push(format!(
                "acceptanceAuthority: so far nobody may accept {} of class {class}",
                authority.level
            ));
        }
        beside.extend(of_class);
    }
    let counts = |p: &&ReleasePolicySpec| wildcards(p.separation_of_duties.as_ref()) == WildcardGrants::Count;
    if !counts(&new) && !beside.is_empty() && beside.iter().all(counts) {
        out.push("separationOfDuties.wildcardGrants: Rejects by wildcard would count no more".to_owned());
    }
    if new.risk_matrix.is_some() && !beside.iter().any(|p| p.risk_matrix.is_some()) {
        out.push("riskMatrix: another than the one that levels are looked up in so far".to_owned());
    }
    if !excluded(new.controls.as_ref()).is_empty() {
        out.push(
            "controls.excluded: risks that these lower would have another level, which others may accept"
                .to_owned(),
        );
    }
    let listed = accepted(new.controls.as_ref());
    if beside.iter().any(|p| accepted(p.controls.as_ref()) != listed) {
        out.push(
            "controls.alsoAccepted: only what every policy lists counts, so that levels would be others"
                .to_owned(),
        );
    }
    if new.attribute_sets.as_ref().is_some_and(|s| !s.is_empty()) {
        out.push("attributeSets: tests would look at other groups".to_owned());
    }
    if new.tests.iter().flatten().any(|rule| rule.datasets.is_some()) {
        out.push("tests: datasets, so that reports on others would count no more".to_owned());
    }
    if policy::tests_of(new.tests.as_deref()).iter().any(warns) {
        out.push("tests: whenIndeterminate Warn".to_owned());
    }
    if new.minimum_class.is_some() {
        out.push("minimumClass: other policies would apply".to_owned());
    }
    // It has a say in roles and signers, and later in what it asks for itself; one that lets anybody pass has none.
    if super::unguarded(new) {
        return out;
    }
    let known: BTreeSet<String> = in_force.iter().flat_map(|p| super::roles(p)).collect();
    let judges = super::roles(new);
    for role in judges.difference(&known) {
        out.push(format!(
            "guard: holders of {role} would approve what loosens it, and so far approve no change of a policy (guard.role: one \
             of those who do)"
        ));
    }
    out
}
