//! Gate *policy*: at least one policy matches, all that match agree, and every role that they name exists.

use std::collections::BTreeSet;

use super::{Context, Outcome};
use crate::finding::{Gate, Reason};
use crate::policy::{self, Matched};

const GATE: Gate = Gate::Policy;

/// Judges which policies apply.
pub fn evaluate(cx: &Context<'_>, matched: &Matched<'_>) -> Outcome {
    let Matched { policies, unclear, joined } = matched;
    let mut out = Outcome::default();
    for policy in unclear {
        if let Some(problem) = policy.problem() {
            out.problem(GATE, policy, &problem);
        }
    }
    if cx.class() == Some(placet_api::common::Class::Prohibited) {
        return out;
    }
    if policies.is_empty() && unclear.is_empty() && cx.class().is_some() {
        let class = cx.class().map(|c| c.to_string()).unwrap_or_default();
        out.unknown(
            GATE,
            Reason::NoPolicy,
            class.clone(),
            format!(
                "a ReleasePolicy for class {class} whose namespaceSelector matches {}",
                cx.snapshot.namespace
            ),
            "none matches",
            "platform team",
            "kubectl get releasepolicies; apply a policy pack",
        );
    }
    let conflicts = joined.requirements.as_ref().err().filter(|_| cx.class().is_some());
    for conflict in conflicts.into_iter().flatten() {
        out.unknown(
            GATE,
            Reason::PolicyConflict,
            "",
            "policies that agree",
            conflict.clone(),
            "platform team",
            "kubectl edit releasepolicies",
        )
        .about(policies.iter().map(|p| p.name()));
    }
    if let Some(requirements) = cx.requirements {
        let together = policy::incompatible(requirements.tests.iter().map(|t| &t.rule));
        out.notes.extend(together.into_iter().map(|w| format!("warning: {w}")));
        let mut named: BTreeSet<&str> = requirements
            .classification_roles
            .iter()
            .chain(&requirements.lowered_roles)
            .map(String::as_str)
            .collect();
        named.extend(requirements.reporters.values().flatten().map(String::as_str));
        named.extend(requirements.register.approved_by.iter().map(String::as_str));
        let authorities = requirements.authority.values().flatten();
        named.extend(authorities.flat_map(|a| a.roles.iter().chain(&a.consulted)).map(String::as_str));
        named.extend(requirements.approvals.keys().map(|(role, _)| role.as_str()));
        for role in named.into_iter().filter(|r| !cx.snapshot.roles.contains(*r)) {
            out.unknown(
                GATE,
                Reason::UnknownRole,
                role,
                format!("an ApprovalRole {role}, which {} names", cx.policy_names()),
                "there is none",
                "platform team",
                format!("create the ApprovalRole {role} and bind it to its holders"),
            );
        }
    }
    out
}
