//! What policies ask together of the content of an assessment, of who approves it, and of the controls that lower its risks.

use std::collections::{BTreeMap, BTreeSet};

use placet_api::impactassessment::{RiskDomain, Section, StakeholderKind, Threat};
use placet_api::releasepolicy::ReleasePolicySpec;
use serde::Serialize;

/// What all matching policies ask for together of the risk register.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegisterRules {
    /// Kinds of interested parties that are considered or left out with a reason.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub stakeholders: BTreeSet<StakeholderKind>,
    /// Sections with harms, or the reason why there are none.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub sections: BTreeSet<Section>,
    /// Threats that are a risk or excluded with a reason.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub threats: BTreeSet<Threat>,
    /// Whether what AI Act Article 27 lists is asked for where it applies.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub article27: bool,
    /// Whether it is said when the risks were evaluated.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub risk_evaluation: bool,
    /// Roles that approve the assessment.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub approved_by: BTreeSet<String>,
    /// Controls beside those of the catalogues, for risks of a domain: those that every policy lists.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub also_accepted: BTreeSet<(String, RiskDomain)>,
    /// Controls that lower no risk, with the reason that each policy gives.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "names")]
    pub excluded: BTreeMap<String, BTreeMap<String, String>>,
}

/// Which controls are excluded: other reasons for it ask for nothing else.
fn names<S: serde::Serializer>(
    excluded: &BTreeMap<String, BTreeMap<String, String>>,
    out: S,
) -> Result<S::Ok, S::Error> {
    out.collect_seq(excluded.keys())
}

impl RegisterRules {
    /// Adds what a policy says; `first` if it is the first.
    pub(super) fn join(&mut self, name: &str, spec: &ReleasePolicySpec, first: bool) {
        if let Some(asked) = &spec.assessment {
            self.stakeholders.extend(asked.stakeholders.iter().flatten());
            self.sections.extend(asked.sections.iter().flatten());
            self.threats.extend(asked.threats.iter().flatten());
            self.article27 |= asked.article27 == Some(true);
            self.risk_evaluation |= asked.risk_evaluation == Some(true);
            self.approved_by.extend(asked.approved_by.iter().map(ToString::to_string));
        }
        let controls = spec.controls.as_ref();
        let listed: BTreeSet<(String, RiskDomain)> = controls
            .and_then(|c| c.also_accepted.as_ref())
            .into_iter()
            .flatten()
            .map(|c| (c.control.to_string(), c.domain))
            .collect();
        if first {
            self.also_accepted = listed;
        } else {
            self.also_accepted.retain(|one| listed.contains(one));
        }
        for one in controls.and_then(|c| c.excluded.as_ref()).into_iter().flatten() {
            let said = self.excluded.entry(one.control.to_string()).or_default();
            said.insert(name.to_owned(), one.reason.to_string());
        }
    }
}
