//! Gates *verification* (it was built right: it could be built again, and its tests of these types pass) and *validation* (it
//! does what it is meant for: tests of other types pass, by somebody who neither made nor develops it, and a validator
//! approved what they saw).
//!
//! What tests ask is judged where all tests are, and what is asked of approvals where all approvals are counted; what is
//! found there of these types and of these roles is said here.

use placet_api::lifecycle::BuildRecord;
use placet_api::modelrelease::{ArtifactRole, ModelReleaseSpec};

use super::{Context, Outcome, tests};
use crate::finding::{Finding, Gate, Reason};
use crate::visible::blank;

/// Judges the records by which a release could be built again; None if no policy asks for verification.
pub fn evaluate(cx: &Context<'_>) -> Option<Outcome> {
    const GATE: Gate = Gate::Verification;
    let asked = cx.requirements?.life_cycle.verification.as_ref()?;
    let (_, release) = cx.release?;
    let mut out = Outcome::default();
    for record in &asked.records {
        let (field, found) = recorded(release, *record);
        if let Some(found) = found.filter(|found| !blank(found)) {
            out.notes.push(format!("{field}: {found}"));
            continue;
        }
        out.not_met(
            GATE,
            Reason::BuildRecordMissing,
            format!("{record:?}"),
            format!(
                "spec.{field}, without which it cannot be built again; {} asks for it",
                cx.policy_names()
            ),
            "it is not there, or nothing of it can be seen",
            "data scientist",
            cx.new_release(&format!("with spec.{field}")),
        );
    }
    Some(out)
}

/// The field that holds a record, and what it holds.
fn recorded(release: &ModelReleaseSpec, record: BuildRecord) -> (&'static str, Option<String>) {
    let training = release.training.as_ref();
    let environment = release.environment.as_ref();
    match record {
        BuildRecord::CodeCommit => {
            ("training.commit", training.and_then(|t| t.commit.as_ref()).map(ToString::to_string))
        }
        BuildRecord::TrainingConfiguration => (
            "training.configuration",
            training.and_then(|t| t.configuration.as_ref()).map(ToString::to_string),
        ),
        BuildRecord::Seed => ("training.seed", training.and_then(|t| t.seed).map(|s| s.to_string())),
        BuildRecord::Libraries => {
            ("environment.libraries", environment.and_then(|e| e.libraries.as_ref()).map(ToString::to_string))
        }
        BuildRecord::Driver => {
            ("environment.driver", environment.and_then(|e| e.driver.as_ref()).map(ToString::to_string))
        }
        BuildRecord::NodeClass => (
            "environment.nodeClass",
            environment.and_then(|e| e.node_class.as_ref()).map(ToString::to_string),
        ),
    }
}

/// Judges who reported the tests that validate; None if no policy asks for validation.
pub fn validation(cx: &Context<'_>) -> Option<Outcome> {
    const GATE: Gate = Gate::Validation;
    let requirements = cx.requirements?;
    let asked = requirements.life_cycle.validation.as_ref()?;
    let (_, release) = cx.release?;
    let mut out = Outcome::default();
    let models =
        || release.artifacts.iter().filter(|a| matches!(a.role, ArtifactRole::Model | ArtifactRole::Adapter));
    for test in requirements.tests.iter().filter(|t| asked.tests.contains(&t.rule.type_)) {
        for artifact in models() {
            let by = tests::independent(cx, test, artifact);
            let type_ = test.rule.type_;
            // Without any report the test itself is missing, and that is said.
            if by.reported.is_empty() {
                continue;
            }
            if !by.independent.is_empty() {
                let reports = by.independent.join(", ");
                out.notes
                    .push(format!("{type_} {}: {reports}: by nobody who made or develops it", artifact.name));
                continue;
            }
            out.not_met(
                GATE,
                Reason::ReportNotIndependent,
                format!("{type_} {}", artifact.name),
                format!(
                    "a {type_} report of {} that passes, by a person who neither made nor develops the release, which {} asks for",
                    test.rule.metric,
                    cx.policy_names()
                ),
                by.reported.iter().map(|one| format!("{}: {}", one.name, one.why)).collect::<Vec<_>>().join("; "),
                "validator",
                cx.command("somebody else tests again and reports under another name: kubectl apply -f REPORT.yaml"),
            )
            .about(by.reported.into_iter().flat_map(|one| {
                let start = one.start.map(|start| start.to_string()).unwrap_or_default();
                [one.name, one.by.to_string(), start]
            }));
        }
    }
    Some(out)
}

/// What other gates found that these two say: gates by what a finding or a note is about.
pub fn hand_over(cx: &Context<'_>, outcomes: &mut [(Gate, Outcome)]) {
    let Some(requirements) = cx.requirements else { return };
    let life = &requirements.life_cycle;
    let roles = life.validation.as_ref().map(|v| &v.roles);
    let of_item = |from: Gate, item: &str| match from {
        Gate::Tests => {
            let types = requirements.tests.iter().map(|t| t.rule.type_);
            let mut about =
                types.filter(|t| item.strip_prefix(&t.to_string()).is_some_and(|i| i.starts_with(' ')));
            about.find_map(|t| life.judges(t))
        }
        Gate::Approvals => roles.filter(|roles| roles.contains(item)).map(|_| Gate::Validation),
        _ => None,
    };
    let mut moved: Vec<Finding> = Vec::new();
    let mut notes: Vec<(Gate, String)> = Vec::new();
    for (from, outcome) in outcomes.iter_mut().filter(|(g, _)| matches!(g, Gate::Tests | Gate::Approvals)) {
        let (ours, theirs): (Vec<_>, Vec<_>) = std::mem::take(&mut outcome.findings)
            .into_iter()
            .map(|f| (of_item(*from, &f.item), f))
            .partition(|(to, _)| to.is_some());
        outcome.findings = theirs.into_iter().map(|(_, f)| f).collect();
        moved.extend(ours.into_iter().filter_map(|(to, f)| Some(Finding { gate: to?, ..f })));
        if *from == Gate::Tests {
            let about = |note: &str| of_item(*from, note.strip_prefix("warning: ").unwrap_or(note));
            let (ours, theirs): (Vec<_>, Vec<_>) = std::mem::take(&mut outcome.notes)
                .into_iter()
                .map(|n| (about(&n), n))
                .partition(|(to, _)| to.is_some());
            outcome.notes = theirs.into_iter().map(|(_, n)| n).collect();
            notes.extend(ours.into_iter().filter_map(|(to, n)| Some((to?, n))));
        }
    }
    for (gate, outcome) in outcomes {
        outcome.findings.extend(moved.iter().filter(|f| f.gate == *gate).cloned());
        outcome.notes.extend(notes.iter().filter(|(to, _)| to == gate).map(|(_, n)| n.clone()));
    }
}
