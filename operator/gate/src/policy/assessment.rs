//! What policies ask together of assessments, and the obligations that they give.

use std::collections::BTreeMap;

use placet_api::releasepolicy::{AssessmentRule, ReleasePolicySpec};

use super::{Requirements, smaller};
use crate::obligations::Dated;
use crate::time;

/// Joins what a policy asks of the assessment.
pub(super) fn join(out: &mut Requirements, asked: Option<&AssessmentRule>) {
    let Some(asked) = asked else { return };
    out.assessment |= asked.required;
    out.assessment_max_age_days = smaller(out.assessment_max_age_days, asked.max_age_days);
    if let Some(freshness) = &asked.freshness {
        out.assessment_scope.extend(freshness.scope.iter().flatten());
        out.obligations_lead_days = out.obligations_lead_days.max(freshness.obligations_lead_days);
    }
}

/// Adds the obligations of a policy, and gives what is wrong with its days and with them. `known_from` has the policy that
/// gave each first.
pub(super) fn join_obligations<'a>(
    out: &mut Requirements,
    known_from: &mut BTreeMap<String, &'a str>,
    name: &'a str,
    spec: &ReleasePolicySpec,
) -> Vec<String> {
    let mut conflicts = Vec::new();
    let practices = spec.prohibited_from.iter().flatten();
    for wrong in practices.filter(|p| time::moment(&p.from).is_none()) {
        conflicts.push(format!(
            "policy {name}: prohibitedFrom[{}]: wanted a day that exists, found {:?}",
            wrong.letter,
            wrong.from.as_str()
        ));
    }
    for obligation in spec.obligations.iter().flatten() {
        let id = obligation.id.to_string();
        match (out.obligations.get(&id), known_from.get(&id)) {
            (Some(known), Some(other)) if known.obligation != *obligation => {
                conflicts.push(format!("policies {other} and {name} give obligation {id} differently"));
            }
            (Some(_), _) => {}
            (None, _) => match Dated::new(obligation.clone()) {
                Ok(dated) => {
                    known_from.insert(id.clone(), name);
                    out.obligations.insert(id, dated);
                }
                Err(why) => conflicts.push(format!("policy {name}: {why}")),
            },
        }
    }
    conflicts
}
