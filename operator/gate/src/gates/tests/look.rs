//! What bias tests look at: nothing of it is the tester's to say.

use std::collections::{BTreeMap, BTreeSet};

use placet_api::Kind;
use placet_api::aisystem::AISystemSpec;
use placet_api::testreport::TestType;

use crate::gates::{Context, authors, risk_acceptance};
use crate::policy::Requirements;

/// What bias tests look at, as policies and system say it together. The tester says none of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Look {
    /// Attribute sets, each sorted.
    pub(super) sets: Vec<Vec<String>>,
    /// Values of attributes of which there must be a group.
    pub(super) categories: BTreeMap<String, BTreeSet<String>>,
    /// Metrics of bias that are asked for, each judged by itself.
    pub(super) metrics: u64,
    /// Groups that acceptances name which count: where a policy leaves out small groups, these may be.
    pub(super) accepted: Vec<BTreeMap<String, String>>,
}

/// The union of what the policies and the system say.
pub(super) fn look(system: Option<&AISystemSpec>, requirements: &Requirements) -> Look {
    let evaluation = system.and_then(|s| s.evaluation.as_ref());
    let own = evaluation.into_iter().flat_map(|e| e.attribute_sets.iter());
    let own = own.map(|set| set.iter().map(ToString::to_string).collect::<Vec<_>>());
    let mut sets: BTreeSet<Vec<String>> = BTreeSet::new();
    for mut set in requirements.attribute_sets.iter().cloned().chain(own) {
        set.sort();
        set.dedup();
        sets.insert(set);
    }
    let mut categories = requirements.categories.clone();
    for (attribute, values) in evaluation.and_then(|e| e.categories.as_ref()).into_iter().flatten() {
        categories.entry(attribute.clone()).or_default().extend(values.0.iter().map(ToString::to_string));
    }
    let bias = requirements.tests.iter().filter(|t| t.rule.type_ == TestType::Bias);
    let metrics: BTreeSet<&str> = bias.map(|t| t.rule.metric.as_str()).collect();
    let metrics = u64::try_from(metrics.len()).unwrap_or(u64::MAX);
    Look { sets: sets.into_iter().collect(), categories, metrics, accepted: Vec::new() }
}

/// The same where a release is judged: with the groups that somebody accepts not to be compared.
pub(super) fn look_at(cx: &Context<'_>, requirements: &Requirements) -> Look {
    let accepted = accepted_groups(cx, requirements);
    Look { accepted, ..look(cx.system.map(|(_, s)| s), requirements) }
}

/// Groups that risks name of which an acceptance counts, by somebody who wrote nothing of what is judged. Nobody is accepted
/// where no policy leaves anybody out, or while it is not known who wrote it.
fn accepted_groups(cx: &Context<'_>, requirements: &Requirements) -> Vec<BTreeMap<String, String>> {
    let excludes = requirements.tests.iter().any(|t| t.rule.exclude_below_share.is_some());
    let Some((assessment, spec)) = cx.assessment.filter(|_| excludes) else { return Vec::new() };
    if !authors::unsigned(cx, &[Kind::ModelRelease, Kind::AISystem, Kind::ImpactAssessment]).is_empty() {
        return Vec::new();
    }
    let wrote = authors::authors(cx.snapshot);
    let of_it =
        cx.snapshot.acceptances.iter().filter(|a| {
            a.live && a.spec.as_ref().is_ok_and(|s| s.assessment.name.as_str() == assessment.name())
        });
    let counts = of_it.filter(|a| risk_acceptance::shows(cx, a, &wrote).is_ok());
    let risks: BTreeSet<&str> = counts
        .filter_map(|a| a.spec.as_ref().ok())
        .flat_map(|s| s.risks.iter().map(|r| r.id.as_str()))
        .collect();
    let named = spec.risks.iter().filter(|r| risks.contains(r.id.as_str()));
    let groups: BTreeSet<BTreeMap<String, String>> = named
        .flat_map(|r| r.groups.iter().flatten())
        .map(|g| g.attributes.iter().map(|(name, value)| (name.clone(), value.to_string())).collect())
        .collect();
    groups.into_iter().collect()
}
