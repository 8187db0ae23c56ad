//! Part of the gate *classification*: a class that is lower than one that the system had, or that another system with the
//! same artefact had before, needs the approval of the role that is named for it, given once the higher class was known.

use placet_api::Kind;
use placet_api::approval::ApprovalSpec;
use placet_api::common::Class;

use super::classification::confirmations;
use super::{Context, Outcome, authors};
use crate::finding::{Gate, Reason};
use crate::object::Object;
use crate::world::HadClass;

const GATE: Gate = Gate::Classification;

/// Judges whether the class was lowered. `class` is the one by which policies apply.
pub fn evaluate(cx: &Context<'_>, class: Class, out: &mut Outcome) {
    let higher: Vec<&HadClass> = cx.snapshot.had.iter().filter(|h| h.class > class).collect();
    let (Some(highest), Some(requirements), Some((system, _))) =
        (higher.iter().max_by_key(|h| h.class), cx.requirements, cx.system)
    else {
        return;
    };
    let found = match &highest.artifact {
        None => format!("{} was of class {} before", system.name(), highest.class),
        Some(artifact) => format!(
            "another system, {}, was of class {} with the same artefact {}",
            highest.system,
            highest.class,
            super::assessment::short(artifact)
        ),
    };
    let about = || {
        let named = higher
            .iter()
            .flat_map(|h| [h.class.to_string(), h.system.clone()].into_iter().chain(h.artifact.clone()));
        [class.to_string()].into_iter().chain(named)
    };
    if requirements.lowered_roles.is_empty() {
        out.unknown(
            GATE,
            Reason::ClassLowered,
            system.name(),
            format!(
                "a policy that names who approves a lower class, {class} (spec.classification.loweredBy)"
            ),
            format!("{found}; {} names nobody", cx.policy_names()),
            "platform team",
            "kubectl edit releasepolicies",
        )
        .about(about());
        return;
    }
    authors::known(cx, GATE, &[Kind::AISystem], out);
    // Who confirmed the class before the higher one was known did not approve that it is lower.
    let Some(known) = higher.iter().map(|h| h.at).max() else { return };
    // A signed one was given when the log first saw it, whoever applies it again.
    let trust = cx.snapshot.trust();
    let given = |a: &Object<ApprovalSpec>| a.standing().map(|s| trust.first_seen(&a.record, s));
    let mut since = cx.snapshot.clone();
    since.approvals.retain(|a| given(a).is_none_or(|at| at > known));
    let cx = &Context { snapshot: &since, ..*cx };
    for role in &requirements.lowered_roles {
        let tally = confirmations(cx, system, role);
        if !tally.counted.is_empty() {
            continue;
        }
        let mut text = found.clone();
        tally.explain(&mut text);
        out.not_met(
            GATE,
            Reason::ClassLowered,
            role.clone(),
            format!(
                "the lower class {class} approved by {role} after {}, by somebody who is not the system's author",
                known.strftime("%Y-%m-%dT%H:%M:%SZ")
            ),
            text,
            role.clone(),
            cx.command(&format!("placet approve ais/{} --role {role} --covers Classification", system.name())),
        )
        .about(about().chain([known.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()]).chain(tally.about()));
    }
}
