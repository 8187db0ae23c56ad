//! Gate *classification*: the class follows from the system's triggers; Prohibited is refused whatever is approved; a
//! class below High counts only with an Approval by the role that the policy names, not by the system's author.

use jiff::Timestamp;
use placet_api::Kind;
use placet_api::aisystem::{AISystemSpec, Stage};
use placet_api::approval::{Covers, SubjectKind};
use placet_api::common::Class;

use super::approvals::{self, Tally, Wanted};
use super::{Context, Outcome, authors, class_lowered};
use crate::class::{Derived, Ground};
use crate::finding::{Gate, Reason};
use crate::object::Object;
use crate::time::{self, day};
use crate::visible::blank;

const GATE: Gate = Gate::Classification;

/// Judges the class.
pub fn evaluate(cx: &Context<'_>) -> Outcome {
    let mut out = Outcome::default();
    let Some(system) = &cx.snapshot.system else {
        if let Some((_, release)) = cx.release {
            out.not_met(
                GATE,
                Reason::SystemNotFound,
                release.system.to_string(),
                format!("an AISystem {} in namespace {}", release.system, cx.snapshot.namespace),
                "there is none",
                "system owner",
                cx.command("kubectl apply -f SYSTEM.yaml"),
            );
        }
        return out;
    };
    if let Some(problem) = system.problem() {
        out.problem_since(GATE, system, &problem, &cx.snapshot.former_systems);
    }
    let (Some((system, spec)), Some(derived)) = (cx.system, cx.derived) else { return out };
    for trigger in &derived.unanswered {
        out.unknown(
            GATE,
            Reason::TriggerNotAnswered,
            *trigger,
            format!(
                "an answer to spec.triggers.{trigger} (an empty list or false says that it does not apply)"
            ),
            "no answer",
            "system owner",
            cx.command(&format!("kubectl edit ais/{}", system.name())),
        );
    }
    for why in &derived.refused {
        out.not_met(
            GATE,
            Reason::DerogationNotValid,
            system.name(),
            "a complete and allowed derogation or exception, or none",
            why.clone(),
            "system owner",
            cx.command(&format!("kubectl edit ais/{}", system.name())),
        );
    }
    derogation_in_time(cx, spec, derived, &mut out);
    let Some(class) = derived.class else { return out };
    out.notes.push(format!("class {class}: {}", derived.in_words().join("; ")));
    if class == Class::Prohibited {
        out.not_met(
            GATE,
            Reason::Prohibited,
            system.name(),
            "a system that the law allows",
            format!("prohibited: {}", derived.in_words().join("; ")),
            "nobody",
            "no approval changes this; the system's triggers state a prohibited practice",
        );
        return out;
    }
    if let Some(declared) = spec.declared_class.filter(|d| *d < class) {
        out.not_met(
            GATE,
            Reason::DeclaredClassTooLow,
            system.name(),
            format!("declaredClass {class} or none"),
            format!(
                "declaredClass {declared}, while the triggers give {class}: {}",
                derived.in_words().join("; ")
            ),
            "system owner",
            cx.command(&format!("kubectl edit ais/{}", system.name())),
        )
        .about([declared.to_string(), class.to_string()]);
    }
    rejected(cx, &mut out);
    let raised = cx.class().unwrap_or(class);
    if let Some((least, policy)) = cx.minimum.filter(|(least, _)| *least > class) {
        out.notes.push(format!("class {least} in this namespace, as {policy} says: at least that"));
    }
    let class = raised;
    class_lowered::evaluate(cx, class, &mut out);
    if class < Class::High {
        confirmed(cx, class, &mut out);
    }
    out
}

/// What a derogation that counts needs by the calendar: it was assessed, before the system was put into service; and it is
/// registered once the system is on the market or in service (Articles 6(4) and 49(2)), which its stage or the use of its
/// release say whatever day of placing on the market it gives or leaves out. The class stays what the triggers give; the release
/// waits.
fn derogation_in_time(cx: &Context<'_>, spec: &AISystemSpec, derived: &Derived, out: &mut Outcome) {
    let counts = derived.basis.iter().any(|g| matches!(g, Ground::Derogated { .. }));
    let (Some(record), Some((system, _))) = (spec.derogation.as_ref().filter(|_| counts), cx.system) else {
        return;
    };
    let mut wrong = |wanted: &str, found: String, about: &[Timestamp]| {
        out.not_met(
            GATE,
            Reason::DerogationNotValid,
            system.name(),
            wanted,
            found,
            "system owner",
            cx.command(&format!("kubectl edit ais/{}", system.name())),
        )
        .about(about.iter().map(ToString::to_string));
    };
    let Some(assessed) = time::moment(&record.assessed_at) else { return };
    if cx.now.has_come(&record.assessed_at) == Some(false) {
        wrong(
            "derogation.assessedAt on a day that has come",
            format!("{}, which is still to come", day(assessed)),
            &[assessed],
        );
    }
    let used = cx.snapshot.first_use;
    // On the day of the first use it may well have been before.
    let late = |used: &Timestamp| match record.assessed_at.len() {
        10 => day(assessed) > day(*used),
        _ => assessed > *used,
    };
    if let Some(used) = used.filter(late) {
        wrong(
            "derogation.assessedAt before the system was put into service (Article 6(4))",
            format!("assessed {}, in use since {}", record.assessed_at, day(used)),
            &[assessed, used],
        );
    }
    let stage = spec.stage;
    let in_service = matches!(stage, Stage::Deployment | Stage::Operation | Stage::Retirement);
    let placed = spec.placed_on_market_at.as_ref();
    let mut due = false;
    if record.registration.as_ref().is_none_or(|r| blank(r)) {
        let since = [(placed.and_then(time::moment), "placed on the market on"), (used, "in use since")];
        let since = since.into_iter().filter_map(|(at, how)| Some((at?, how)));
        let first = since.filter(|(at, _)| cx.now.reached(*at)).min_by_key(|(at, _)| *at);
        let found = match first {
            Some((at, how)) => Some((format!("{how} {} and no reference", day(at)), Some(at))),
            None if in_service => Some((format!("no reference, in stage {stage:?}"), None)),
            None => None,
        };
        match found {
            Some((found, at)) => wrong(
                "derogation.registration, the reference of the registration under Article 49(2), once the system is on the \
                 market or in service",
                found,
                at.as_slice(),
            ),
            None => due = true,
        }
    }
    let dated = "placedOnMarketAt on a day that has come, by which it is seen that the derogation was assessed before (Article 6(4))";
    match placed.filter(|_| in_service) {
        Some(at) if cx.now.has_come(at) == Some(false) => wrong(
            dated,
            format!("{at}, which is still to come, in stage {stage:?}"),
            time::moment(at).as_slice(),
        ),
        None if in_service => wrong(dated, format!("no placedOnMarketAt, in stage {stage:?}"), &[]),
        _ => {}
    }
    if due {
        out.notes.push(
            "warning: derogation.registration is due once a pod of this release starts (Article 49(2)); without it the \
             clearance ends then"
                .to_owned(),
        );
    }
}

/// A Reject of the system by a holder of a role blocks, whichever part of it the digest covers.
fn rejected(cx: &Context<'_>, out: &mut Outcome) {
    let Some((system, _)) = cx.system else { return };
    let wanted = Wanted {
        kind: SubjectKind::AISystem,
        name: system.name(),
        uid: &system.record.uid,
        covers: Covers::Content,
        digest: system.digest(),
        also: &[system.classification.as_deref().unwrap_or_default()],
        role: None,
        asks: false,
    };
    let tally = approvals::tally(cx, &wanted, &authors::system_authors(cx.snapshot), None);
    if !tally.rejects.is_empty() {
        authors::known(cx, GATE, &[Kind::AISystem], out);
    }
    if let Some((found, about)) = tally.rejected("the system as it is") {
        out.not_met(
            GATE,
            Reason::Rejected,
            system.name(),
            format!("{} without a Reject", system.name()),
            found,
            "system owner",
            cx.command(&format!("mend what was criticised: kubectl edit ais/{}", system.name())),
        )
        .about(about);
    }
}

/// Who confirmed the classification of a system in a role; its authors do not count.
pub(super) fn confirmations(cx: &Context<'_>, system: &Object<AISystemSpec>, role: &str) -> Tally {
    let wanted = Wanted {
        kind: SubjectKind::AISystem,
        name: system.name(),
        uid: &system.record.uid,
        covers: Covers::Classification,
        digest: system.classification.as_deref().unwrap_or_default(),
        also: &[],
        role: Some(role),
        asks: true,
    };
    approvals::tally(cx, &wanted, &authors::system_authors(cx.snapshot), None)
}

/// A class below High needs its Approval, by each role that a matching policy names.
fn confirmed(cx: &Context<'_>, class: Class, out: &mut Outcome) {
    let (Some(requirements), Some((system, _))) = (cx.requirements, cx.system) else { return };
    if requirements.classification_roles.is_empty() {
        out.unknown(
            GATE,
            Reason::ClassNotApproved,
            system.name(),
            format!("a policy that names who confirms class {class} (spec.classification.approvedBy)"),
            format!("{} names nobody", cx.policy_names()),
            "platform team",
            "kubectl edit releasepolicies",
        );
        return;
    }
    authors::known(cx, GATE, &[Kind::AISystem], out);
    for role in &requirements.classification_roles {
        let tally = confirmations(cx, system, role);
        if tally.counted.is_empty() && tally.rejects.is_empty() {
            out.not_met(
                GATE,
                Reason::ClassNotApproved,
                role.clone(),
                format!("class {class} confirmed by {role}, who is not the system's author"),
                tally.found_or("nobody confirmed this classification"),
                role.clone(),
                cx.command(&format!(
                    "placet approve ais/{} --role {role} --covers Classification",
                    system.name()
                )),
            )
            .about(tally.about());
        }
    }
}
