//! Part of the gate *assessment*: what makes an assessment stale beside its age. Datasets and requests to assess again are
//! held against it always; the rest of its scope, and obligations, where a policy asks (`assessment.freshness`).

use std::collections::BTreeSet;

use placet_api::aisystem::{AISystemSpec, Modification, NamedSupplier};
use placet_api::impactassessment::ImpactAssessmentSpec;
use placet_api::modelrelease::{ArtifactRole, ChangeKind};
use placet_api::releasepolicy::ScopePart;
use placet_api::scalar::{Line, Paragraph};

use super::assessment::short;
use super::{Context, Outcome};
use crate::class::Derived;
use crate::finding::{Gate, Reason};
use crate::object::Object;
use crate::obligations::{self, Due, Obligations};
use crate::time;

const GATE: Gate = Gate::Assessment;

/// Obligations that concern the system, and what is to be told of them: also where no assessment is asked for. Their days bound
/// how long the decision holds.
pub fn concern<'a>(cx: &Context<'a>, out: &mut Outcome) -> Option<Obligations<'a>> {
    let (asked, (_, system), derived) = (cx.requirements?, cx.system?, cx.derived?);
    modified(cx, system, derived, out);
    for region in obligations::unknown_regions(system, asked.obligations.values()) {
        out.notes.push(format!(
            "warning: region {region} is no country by ISO 3166, not the EU, and named by no obligation: it may be any, and \
             obligations of each region are asked for"
        ));
    }
    Some(obligations::of(system, derived, asked.obligations.values(), cx.now))
}

/// Judges whether the assessment saw what is there now.
pub fn evaluate(
    cx: &Context<'_>,
    (assessment, spec): (&Object<ImpactAssessmentSpec>, &ImpactAssessmentSpec),
    concern: Option<&Obligations<'_>>,
    out: &mut Outcome,
) {
    datasets(cx, assessment.name(), spec, out);
    scope(cx, assessment.name(), spec, out);
    if let Some(all) = concern {
        considered(cx, assessment.name(), spec, all, out);
    }
    asked_again(cx, assessment, spec, out);
}

fn datasets(cx: &Context<'_>, name: &str, spec: &ImpactAssessmentSpec, out: &mut Outcome) {
    let Some((_, release)) = cx.release else { return };
    for dataset in release.datasets.iter().flatten() {
        if !spec.scope.datasets.iter().any(|d| d.digest == dataset.digest) {
            out.not_met(
                GATE,
                Reason::DatasetNotAssessed,
                dataset.name.to_string(),
                format!("dataset {} {} in the scope of {name}", dataset.name, short(&dataset.digest)),
                "the assessment did not look at this content",
                "system owner",
                cx.command(&format!("assess it and add it to spec.scope.datasets: kubectl edit ia/{name}")),
            )
            .about([dataset.digest.as_str(), name]);
        }
    }
}

/// The parts of the scope that policies ask for.
fn scope(cx: &Context<'_>, name: &str, spec: &ImpactAssessmentSpec, out: &mut Outcome) {
    let (Some(asked), Some((_, release)), Some((system, facts))) = (cx.requirements, cx.release, cx.system)
    else {
        return;
    };
    let scope = &spec.scope;
    for part in &asked.assessment_scope {
        match part {
            ScopePart::ArtifactKinds => {
                let seen = scope.artifact_kinds.as_deref().unwrap_or_default();
                if release.artifacts.iter().all(|a| seen.contains(&a.kind)) {
                    continue;
                }
                let seen: BTreeSet<String> = seen.iter().map(|k| format!("{k:?}")).collect();
                let used: BTreeSet<String> =
                    release.artifacts.iter().map(|a| format!("{:?}", a.kind)).collect();
                let what = |kind: &str| format!("artefacts of the kind {kind}");
                part_of(
                    cx,
                    name,
                    Reason::ArtifactKindNotAssessed,
                    "artifactKinds",
                    (&used, &seen),
                    what,
                    out,
                );
            }
            ScopePart::Regions => {
                let (used, seen) = (&facts.intended_use.regions, scope.regions.as_deref());
                let Some((used, seen)) = some(used, seen, "every region") else { continue };
                let none =
                    if facts.intended_use.regions.is_empty() { " (the system names none)" } else { "" };
                let what = |region: &str| format!("use in {region}{none}");
                part_of(cx, name, Reason::RegionNotAssessed, "regions", (&used, &seen), what, out);
            }
            ScopePart::AffectedGroups => {
                let (used, seen) = (&facts.intended_use.affected_groups, scope.affected_groups.as_deref());
                let Some((used, seen)) = some(used, seen, "everybody") else { continue };
                let none = if facts.intended_use.affected_groups.is_empty() {
                    " (the system names none)"
                } else {
                    ""
                };
                let what = |group: &str| format!("what it does to {group}{none}");
                part_of(
                    cx,
                    name,
                    Reason::AffectedGroupNotAssessed,
                    "affectedGroups",
                    (&used, &seen),
                    what,
                    out,
                );
            }
            ScopePart::Purpose => {
                let used = std::slice::from_ref(&facts.purpose);
                let Some((used, seen)) = unlike(used, scope.purposes.as_deref(), Paragraph::as_str) else {
                    continue;
                };
                if !used.is_subset(&seen) {
                    out.not_met(
                        GATE,
                        Reason::PurposeNotAssessed,
                        system.name(),
                        format!("the purpose of {} in spec.scope.purposes of {name}", system.name()),
                        match seen.len() {
                            0 => "the assessment names none".to_owned(),
                            1 => "the purpose assessed is another one".to_owned(),
                            more => format!("each of the {more} purposes assessed is another one"),
                        },
                        "system owner",
                        cx.command(&format!(
                            "assess it and add it, in the words of ais/{}: kubectl edit ia/{name}",
                            system.name()
                        )),
                    )
                    .about([system.digest(), name]);
                }
            }
        }
    }
}

/// What is used and what was seen, with one space where there are several: how a line is folded in YAML is no other purpose.
/// None where all that is used was seen letter for letter.
fn unlike<T>(
    used: &[T],
    seen: Option<&[T]>,
    text: impl Fn(&T) -> &str,
) -> Option<(BTreeSet<String>, BTreeSet<String>)> {
    let seen = seen.unwrap_or_default();
    if used.iter().all(|u| seen.iter().any(|s| text(s) == text(u))) {
        return None;
    }
    let plain =
        |of: &[T]| of.iter().map(|t| text(t).split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    Some((plain(used), plain(seen)))
}

/// The same where who names none means `all` of them, which some that were seen are not.
fn some(used: &[Line], seen: Option<&[Line]>, all: &str) -> Option<(BTreeSet<String>, BTreeSet<String>)> {
    let some = seen.filter(|seen| used.is_empty() && !seen.is_empty());
    let Some(some) = some.filter(|some| !some.iter().any(|s| s.as_str() == all)) else {
        return unlike(used, seen, Line::as_str);
    };
    let named = some.iter().map(|s| s.split_whitespace().collect::<Vec<_>>().join(" "));
    Some((BTreeSet::from([all.to_owned()]), named.collect()))
}

/// One finding for each thing that is used and was not seen.
fn part_of(
    cx: &Context<'_>,
    name: &str,
    reason: Reason,
    field: &str,
    (used, seen): (&BTreeSet<String>, &BTreeSet<String>),
    what: impl Fn(&str) -> String,
    out: &mut Outcome,
) {
    let seen_in_words = match seen.len() {
        0 => format!("the assessment names no {field}"),
        _ => format!("assessed: {}", seen.iter().cloned().collect::<Vec<_>>().join(", ")),
    };
    for missing in used.difference(seen) {
        out.not_met(
            GATE,
            reason,
            missing.clone(),
            format!("{} assessed by {name}, as {} asks", what(missing), cx.policy_names()),
            seen_in_words.clone(),
            "system owner",
            cx.command(&format!("assess it and add it to spec.scope.{field}: kubectl edit ia/{name}")),
        )
        .about(seen.iter().cloned().chain([name.to_owned(), missing.clone()]));
    }
}

/// Obligations that apply, or soon will, and that the assessment did not consider, where a policy asks about them.
fn considered(
    cx: &Context<'_>,
    name: &str,
    spec: &ImpactAssessmentSpec,
    all: &Obligations<'_>,
    out: &mut Outcome,
) {
    let Some(lead) = cx.requirements.and_then(|r| r.obligations_lead_days) else { return };
    let soon = |due: &&Due<'_>| cx.now.reached(time::days_after(due.from, -lead));
    let (mut wanted, mut seen) = (0, 0);
    for due in all.apply.iter().chain(all.next.iter().filter(soon)) {
        wanted += 1;
        let obligation = due.obligation;
        let (id, version) = (obligation.id.as_str(), obligation.version.as_str());
        let known = spec.obligations.iter().flatten().find(|o| o.id.as_str() == id);
        let (reason, found) = match known {
            Some(known) if known.version == obligation.version => {
                seen += 1;
                continue;
            }
            Some(known) => (
                Reason::ObligationVersionDiffers,
                format!("the assessment considered version {}", known.version),
            ),
            None => (Reason::ObligationNotConsidered, "the assessment did not consider it".to_owned()),
        };
        let from = due.from.strftime("%Y-%m-%d");
        out.not_met(
            GATE,
            reason,
            id,
            format!(
                "obligation {id}, version {version} ({}: {}; from {from}), considered by {name}, as {} asks",
                obligation.article,
                obligation.title,
                cx.policy_names()
            ),
            found,
            "system owner",
            cx.command(&format!(
                "consider it and add {{id: {id}, version: {version:?}}} to spec.obligations: kubectl edit ia/{name}"
            )),
        )
        .about(
            [due.from.to_string(), version.to_owned(), name.to_owned()]
                .into_iter()
                .chain(known.map(|k| k.version.to_string())),
        );
    }
    out.notes.push(format!("{seen} of {wanted} obligations that apply within {lead} days were considered"));
}

/// Whether a supplier's model is modified (AI Act Article 25): what follows from what the system says, and where the release says
/// otherwise.
fn modified(cx: &Context<'_>, system: &AISystemSpec, derived: &Derived, out: &mut Outcome) {
    if let Some(because) = obligations::provider_because(system, derived.class) {
        out.notes.push(format!("warning: {because}, although organisationRoles does not say so"));
    }
    let Some((_, release)) = cx.release else { return };
    let adapted = release.artifacts.iter().any(|a| a.role == ArtifactRole::Adapter);
    let says = match (adapted, release.change.kind) {
        (true, _) => "has an adapter",
        (false, ChangeKind::Retrain) => "is trained again",
        _ => return,
    };
    let as_it_is = |s: &&NamedSupplier| s.modification == Some(Modification::Unmodified);
    for supplier in system.suppliers.iter().flatten().filter(as_it_is) {
        out.notes.push(format!(
            "warning: Article 25: the model of {} is used Unmodified, as the system says, and this release {says}",
            supplier.name
        ));
    }
}

/// Somebody asked for a new assessment since this one was made.
fn asked_again(
    cx: &Context<'_>,
    assessment: &Object<ImpactAssessmentSpec>,
    spec: &ImpactAssessmentSpec,
    out: &mut Outcome,
) {
    let typed = spec.assessed_at.as_ref().and_then(time::moment);
    let changed = assessment.standing().map(|s| s.changed_at);
    let Some(made) = typed.into_iter().chain(changed).min() else { return };
    for request in cx.snapshot.reassess.iter().filter(|r| r.at >= made) {
        let at = request.at.strftime("%Y-%m-%dT%H:%M:%SZ");
        out.not_met(
            GATE,
            Reason::ReassessmentAsked,
            request.by.clone(),
            format!("an assessment made after {at}, as {} asks", request.by),
            format!("{} is of {}", assessment.name(), made.strftime("%Y-%m-%dT%H:%M:%SZ")),
            "system owner",
            cx.command(&format!("assess again: kubectl edit ia/{}", assessment.name())),
        )
        .about([at.to_string(), made.to_string(), assessment.name().to_owned(), request.by.clone()]);
    }
}
