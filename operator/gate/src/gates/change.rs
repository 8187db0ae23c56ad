//! Gate *change*: what kind of change a release is follows from its difference with the release before, and is what its
//! author says; the effects are assessed; there is a release to go back to.
//!
//! | what differs | kind |
//! |---|---|
//! | no release before | Initial |
//! | digests of artefacts of role Model or Adapter; datasets | Retrain |
//! | training (code, commit, configuration, seed); artefacts of role Other | Configuration |
//! | artefacts of role Runtime; environment (libraries, driver, class of nodes) | Infrastructure |
//!
//! Names, references and roles within a line of the table are no difference: the same content is the same artefact.

use std::collections::{BTreeMap, BTreeSet};

use placet_api::lifecycle::{ChangeImpact, ChangePart};
use placet_api::modelrelease::{ArtifactRole, ChangeKind, ModelReleaseSpec};

use super::{Context, Outcome};
use crate::finding::{Finding, Gate, Reason};
use crate::object::Object;
use crate::time;
use crate::visible::blank;
use crate::world::{Snapshot, WasCleared};

const GATE: Gate = Gate::Change;
const WHO: &str = "data scientist";

/// A release with its spec.
type Release<'a> = (&'a Object<ModelReleaseSpec>, &'a ModelReleaseSpec);

/// Judges the change; None if no policy asks about changes.
pub fn evaluate(cx: &Context<'_>) -> Option<Outcome> {
    let asked = cx.requirements?.life_cycle.change.as_ref()?;
    let release = cx.release?;
    let mut out = Outcome::default();
    kinds(cx, release, &mut out);
    let impact = release.1.change.impact.clone().unwrap_or_default();
    for part in &asked.parts {
        let (field, text) = part_of(&impact, *part);
        if text.is_none_or(blank) {
            out.not_met(
                GATE,
                Reason::ChangeNotAssessed,
                format!("{part:?}"),
                format!("spec.change.impact.{field}, which {} asks for", cx.policy_names()),
                if text.is_none() { "it is not there" } else { "a text of which nothing can be seen" },
                WHO,
                cx.new_release(&format!("with spec.change.impact.{field}")),
            );
        }
    }
    // The first release has none to go back to.
    let named = release.1.rollback_target.is_some();
    let initial = release.1.change.kinds().any(|kind| kind == ChangeKind::Initial);
    let follows = release.1.previous.is_some() && cx.snapshot.cleared_before.is_none() && !initial;
    if asked.rollback_target && (named || follows || cleared_before(cx).next().is_some()) {
        rollback(cx, release, &mut out);
    }
    Some(out)
}

fn part_of(impact: &ChangeImpact, part: ChangePart) -> (&'static str, Option<&str>) {
    match part {
        ChangePart::Technical => ("technical", impact.technical.as_deref()),
        ChangePart::Security => ("security", impact.security.as_deref()),
        ChangePart::Societal => ("societal", impact.societal.as_deref()),
    }
}

/// The version of a release that was cleared last, or else the one that is there: what was created again under the name changes
/// nothing of the past.
pub(crate) fn named<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a Object<ModelReleaseSpec>> {
    let all = || snapshot.named.iter().filter(|r| r.name() == name).map(AsRef::as_ref);
    let last = |r: &&Object<ModelReleaseSpec>| (r.live, r.standing().map(|s| s.created_at), r.id.clone());
    all().filter(|r| was_cleared(snapshot, r)).max_by_key(last).or_else(|| all().max_by_key(last))
}

/// Releases of the system that were cleared before this one, as far as it is known.
fn cleared_before<'a>(cx: &Context<'a>) -> impl Iterator<Item = &'a WasCleared> {
    cx.snapshot.cleared_before.iter().flatten()
}

/// Their names.
fn cleared(cx: &Context<'_>) -> Vec<String> {
    let names: BTreeSet<&str> = cleared_before(cx).map(|c| c.name.as_str()).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// Whether a release was cleared before this one as it is.
fn was_cleared(snapshot: &Snapshot, release: &Object<ModelReleaseSpec>) -> bool {
    let is = |name: &str, content: &str| name == release.name() && content == release.digest();
    snapshot.cleared_before.iter().flatten().any(|c| is(&c.name, &c.content))
}

/// Whether it is known that a release was never cleared as it is.
fn never_cleared(cx: &Context<'_>, release: &Object<ModelReleaseSpec>) -> bool {
    cx.snapshot.cleared_before.is_some() && !was_cleared(cx.snapshot, release)
}

/// Said where no log tells what was cleared.
fn unknown_past(cx: &Context<'_>, release: &str, out: &mut Outcome) {
    if cx.snapshot.cleared_before.is_none() {
        out.notes.push(format!(
            "warning: {release}: whether it was cleared is not known here, since there is no log; the cluster knows"
        ));
    }
}

/// The kinds of change are declared that follow from the difference with the release before.
fn kinds(cx: &Context<'_>, (release, spec): Release<'_>, out: &mut Outcome) {
    let declared: BTreeSet<ChangeKind> = spec.change.kinds().collect();
    let Some(previous) = &spec.previous else {
        first(cx, release.name(), &declared, out);
        return;
    };
    let wrong = |found: &str, of: Option<String>, out: &mut Outcome| {
        not_the_previous(cx, spec, (previous, found), out).about(of.into_iter().chain(cleared(cx)));
    };
    if previous.as_str() == release.name() {
        wrong("the release itself", None, out);
        return;
    }
    let none_cleared = cx.snapshot.cleared_before.as_ref().is_some_and(BTreeSet::is_empty);
    if none_cleared && !declared.contains(&ChangeKind::Initial) {
        // It is compared with an attempt that never ran.
        let found = format!("no release of {} was cleared before, {previous} neither", spec.system);
        let names = [spec.system.to_string(), previous.to_string()];
        undeclared(cx, ChangeKind::Initial, &declared, &found, &names, out);
    }
    // Where no log tells what was cleared, whoever says that it is the first one is believed, with a warning.
    let first =
        none_cleared || (cx.snapshot.cleared_before.is_none() && declared.contains(&ChangeKind::Initial));
    unknown_past(cx, previous, out);
    let found = named(cx.snapshot, previous);
    if first && found.is_none() {
        out.notes.push(format!("warning: {previous} is not there, so that nobody sees what differs from it"));
        return;
    }
    let Some(before) = found else {
        if cx.snapshot.cleared_before.is_some() {
            // Applied now, it would still be none that was cleared.
            wrong("it is not there, and none of this name was cleared", None, out);
            return;
        }
        out.unknown(
            GATE,
            Reason::PreviousNotFound,
            previous.to_string(),
            format!("ModelRelease {previous} in namespace {}, to compare with", cx.snapshot.namespace),
            "it is not there, and there is no log that tells what was cleared",
            WHO,
            cx.command(&format!("apply {previous} again: kubectl apply -f RELEASE.yaml")),
        );
        return;
    };
    if let Some(problem) = before.problem() {
        out.problem(GATE, before, &problem);
    }
    let Ok(old) = &before.spec else { return };
    if old.system != spec.system {
        wrong(&format!("{previous} is of system {}", old.system), Some(old.system.to_string()), out);
        return;
    }
    if !first && never_cleared(cx, before) {
        wrong(
            &format!("{previous}, which was never cleared as it is"),
            Some(before.digest().to_owned()),
            out,
        );
        return;
    }
    if !first && declared.contains(&ChangeKind::Initial) {
        out.not_met(
            GATE,
            Reason::ChangeNotDeclared,
            ChangeKind::Initial.to_string(),
            "Initial for the first release of a system alone",
            format!("spec.previous names {previous}"),
            WHO,
            cx.new_release("with the kinds of change that it is (spec.change.kind, spec.change.also)"),
        )
        .about([previous.to_string()]);
    }
    let differences = differences(old, spec);
    for (kind, what) in &differences {
        let found = format!("differs from {previous} in {}", what.join(", "));
        if declared.contains(kind) || declared.contains(&ChangeKind::Initial) {
            out.notes.push(format!("{kind}: {found}"));
        } else {
            let mut names = what.clone();
            names.push(previous.to_string());
            undeclared(cx, *kind, &declared, &found, &names, out);
        }
    }
    for kind in declared.iter().filter(|k| **k != ChangeKind::Initial && !differences.contains_key(*k)) {
        out.notes.push(format!("{kind}: declared, and nothing of it differs from {previous}"));
    }
}

/// A release that follows none is the first one of its system.
fn first(cx: &Context<'_>, release: &str, declared: &BTreeSet<ChangeKind>, out: &mut Outcome) {
    let before = cleared(cx);
    if let Some(last) = before.last() {
        out.not_met(
            GATE,
            Reason::PreviousMissing,
            release,
            format!(
                "spec.previous: the release that this one follows, since {} was cleared before",
                before.join(", ")
            ),
            "none is named, so that nobody can see what changed",
            WHO,
            cx.new_release(&format!("with spec.previous, for example {last}")),
        )
        .about(before.iter().cloned());
    } else if !declared.contains(&ChangeKind::Initial) {
        let found = "there is no release before it (spec.previous)";
        undeclared(cx, ChangeKind::Initial, declared, found, &[], out);
    }
}

/// No release can follow what is named as the one before.
fn not_the_previous<'o>(
    cx: &Context<'_>,
    spec: &ModelReleaseSpec,
    (previous, found): (&str, &str),
    out: &'o mut Outcome,
) -> &'o mut Finding {
    let before = cleared(cx);
    let wanted = if before.is_empty() {
        format!("spec.previous: another release of {}", spec.system)
    } else {
        format!("spec.previous: a release of {} that was cleared: {}", spec.system, before.join(", "))
    };
    let how = cx.new_release("with the release that it follows as spec.previous");
    out.not_met(GATE, Reason::PreviousNotValid, previous, wanted, found, WHO, how)
}

/// A kind of change follows from the facts and is not declared. `names`: what `found` names.
fn undeclared(
    cx: &Context<'_>,
    kind: ChangeKind,
    declared: &BTreeSet<ChangeKind>,
    found: &str,
    names: &[String],
    out: &mut Outcome,
) {
    let said: Vec<String> = declared.iter().map(ToString::to_string).collect();
    out.not_met(
        GATE,
        Reason::ChangeNotDeclared,
        kind.to_string(),
        format!("{kind} among the kinds of change (spec.change.kind, spec.change.also)"),
        format!("{}; {found}", said.join(", ")),
        WHO,
        cx.new_release(&format!("that says {kind} too and assesses that change")),
    )
    .about(names.iter().cloned().chain(said));
}

/// What differs between two releases, by the kind of change that it is.
fn differences(old: &ModelReleaseSpec, new: &ModelReleaseSpec) -> BTreeMap<ChangeKind, Vec<String>> {
    let mut out: BTreeMap<ChangeKind, Vec<String>> = BTreeMap::new();
    let mut differs = |kind: ChangeKind, what: &str, differs: bool| {
        if differs {
            out.entry(kind).or_default().push(what.to_owned());
        }
    };
    let of_roles = |spec: &ModelReleaseSpec, roles: &[ArtifactRole]| -> BTreeSet<String> {
        let of = spec.artifacts.iter().filter(|a| roles.contains(&a.role));
        of.map(|a| a.digest.to_string()).collect()
    };
    let artifacts = |roles: &[ArtifactRole]| of_roles(old, roles) != of_roles(new, roles);
    let data = |spec: &ModelReleaseSpec| -> BTreeSet<(String, String)> {
        let all = spec.datasets.iter().flatten();
        all.map(|d| (d.digest.to_string(), format!("{:?}", d.use_))).collect()
    };
    differs(ChangeKind::Retrain, "weights", artifacts(&[ArtifactRole::Model, ArtifactRole::Adapter]));
    differs(ChangeKind::Retrain, "data", data(old) != data(new));
    let (was, is) = (old.training.clone().unwrap_or_default(), new.training.clone().unwrap_or_default());
    differs(ChangeKind::Configuration, "code repository", was.code != is.code);
    differs(ChangeKind::Configuration, "code commit", was.commit != is.commit);
    differs(ChangeKind::Configuration, "training configuration", was.configuration != is.configuration);
    differs(ChangeKind::Configuration, "seed", was.seed != is.seed);
    differs(ChangeKind::Configuration, "artefacts of role Other", artifacts(&[ArtifactRole::Other]));
    let (was, is) =
        (old.environment.clone().unwrap_or_default(), new.environment.clone().unwrap_or_default());
    differs(ChangeKind::Infrastructure, "runtime", artifacts(&[ArtifactRole::Runtime]));
    differs(ChangeKind::Infrastructure, "pinned libraries", was.libraries != is.libraries);
    differs(ChangeKind::Infrastructure, "driver", was.driver != is.driver);
    differs(ChangeKind::Infrastructure, "node class", was.node_class != is.node_class);
    out
}

/// There is a release to go back to, or it is said why there is none.
fn rollback(cx: &Context<'_>, (release, spec): Release<'_>, out: &mut Outcome) {
    let mend = cx.new_release(
        "with the release to go back to as spec.rollbackTarget, or with the reason why there is none as spec.change.noRollback",
    );
    let Some(target) = &spec.rollback_target else {
        if let Some(why) = spec.change.no_rollback.as_deref().filter(|why| !blank(why)) {
            out.notes.push(format!("warning: no release to go back to: {why}"));
        } else {
            let wanted = format!("spec.rollbackTarget, which {} asks for", cx.policy_names());
            let (reason, found) = (Reason::RollbackTargetMissing, "none is named");
            out.not_met(GATE, reason, release.name(), wanted, found, WHO, mend);
        }
        return;
    };
    let found = if target.as_str() == release.name() {
        Some("the release itself".to_owned())
    } else {
        match cx.snapshot.named.iter().find(|r| r.live && r.name() == target.as_str()) {
            None => Some(format!("{target} is not in namespace {}", cx.snapshot.namespace)),
            Some(there) => not_a_target(cx, spec, there, out),
        }
    };
    let Some(found) = found else { return };
    out.not_met(
        GATE,
        Reason::RollbackTargetNotValid,
        target.to_string(),
        format!(
            "spec.rollbackTarget: a release of {} that is there, was cleared and was not withdrawn",
            spec.system
        ),
        found,
        WHO,
        mend,
    );
}

/// Why nobody can go back to a release that is there.
fn not_a_target(
    cx: &Context<'_>,
    spec: &ModelReleaseSpec,
    there: &Object<ModelReleaseSpec>,
    out: &mut Outcome,
) -> Option<String> {
    if let Some(problem) = there.problem() {
        // The release before may be the same one, and then it is said already.
        let item = format!("{}/{}", there.record.kind.short(), there.name());
        if !out.findings.iter().any(|f| f.item == item) {
            out.problem(GATE, there, &problem);
        }
    }
    let Ok(target) = &there.spec else { return None };
    if target.system != spec.system {
        Some(format!("{} is of system {}", there.name(), target.system))
    } else if target.withdrawn == Some(true) {
        Some(format!("{} was withdrawn", there.name()))
    } else if never_cleared(cx, there) {
        Some(format!("{} was never cleared as it is", there.name()))
    } else {
        if spec.previous.as_deref() != Some(there.name()) {
            unknown_past(cx, there.name(), out);
        }
        let at = there.standing().map(|s| time::day(s.created_at));
        out.notes.push(format!("to go back to: {}, of {}", there.name(), at.unwrap_or_default()));
        None
    }
}
