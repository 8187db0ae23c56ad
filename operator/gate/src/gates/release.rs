//! Gate *release*: the release exists, is stamped, is understood and was not withdrawn; time and stores can be trusted.

use super::{Context, Outcome};
use crate::finding::{Gate, Reason};
use crate::world::Clock;

const GATE: Gate = Gate::Release;

/// Judges the release itself.
pub fn evaluate(cx: &Context<'_>) -> Outcome {
    let mut out = Outcome::default();
    let snapshot = cx.snapshot;
    if let Clock::Untrusted { why, .. } = &snapshot.clock {
        out.unknown(
            GATE,
            Reason::ClockUntrusted,
            "clock",
            "a clock that agrees with the API server's within 30 s",
            why.clone(),
            "platform team",
            "mend the time service of the operator's node and of the API server",
        );
    }
    for what in &snapshot.not_ready {
        out.unknown(
            GATE,
            Reason::StoreNotReady,
            what.clone(),
            format!("{what} read and watched"),
            format!("{what}: not yet read, or not heard of for 90 s"),
            "platform team",
            "wait a moment; if it stays, see the operator's log and its RBAC",
        );
    }
    let Some(release) = &snapshot.release else {
        out.not_met(
            GATE,
            Reason::ReleaseNotFound,
            snapshot.name.clone(),
            format!("a ModelRelease {} in namespace {}", snapshot.name, snapshot.namespace),
            "there is none, and nothing else can be judged before",
            "data scientist",
            cx.command("kubectl apply -f RELEASE.yaml"),
        );
        return out;
    };
    if let Some(problem) = release.problem() {
        out.problem_since(GATE, release, &problem, &snapshot.former);
    }
    let withdrawn_now = release.spec.as_ref().is_ok_and(|s| s.withdrawn == Some(true));
    let withdrawn_before = snapshot.former.iter().any(|former| {
        former.digest() == release.digest() && former.spec.as_ref().is_ok_and(|s| s.withdrawn == Some(true))
    });
    if withdrawn_now || withdrawn_before {
        out.not_met(
            GATE,
            Reason::Withdrawn,
            release.name(),
            "a release that was not withdrawn",
            if withdrawn_now { "spec.withdrawn is true" } else { "this content was withdrawn before" },
            "data scientist",
            cx.new_release("(what was withdrawn stays withdrawn)"),
        );
    }
    if let Ok(spec) = &release.spec {
        for (field, named) in [("previous", &spec.previous), ("rollbackTarget", &spec.rollback_target)] {
            if let Some(name) = named.as_ref().filter(|n| snapshot.absent.contains(n.as_str())) {
                out.notes.push(format!(
                    "warning: spec.{field} names ModelRelease {name}, which is not in namespace {}",
                    snapshot.namespace
                ));
            }
        }
    }
    out
}
