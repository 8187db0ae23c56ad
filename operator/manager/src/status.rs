//! Status of our kinds, computed whole from what is decided: pure, so that tests compare values.

use placet_api::common::Level;
use placet_api::modelrelease::GateVerdict;
use placet_api::obligation::Obligation;
use placet_gate::object::Object;
use placet_gate::overview::Overview;
use placet_gate::people::with_names;
use placet_gate::register::Register;
use placet_gate::render::{self, Names};
use placet_gate::risk::{Score, ScoreError};
use placet_gate::{Cleared, Decision, visible};
use serde_json::{Value, json};

use crate::conditions::{Installation, condition, reasons, time_untrusted, types};
use crate::ledger::Recorded;

/// Findings per gate that fit a status; the total is given beside them.
const MAX_FINDINGS: usize = 20;
/// Policies that a status lists.
const MAX_POLICIES: usize = 32;
/// Risks that a status lists.
const MAX_RISKS: usize = 64;
/// Warnings that a status lists.
const MAX_NOTES: usize = 10;
/// Obligations that apply and that a status lists.
const MAX_OBLIGATIONS: usize = 64;
/// Obligations to come that a status lists.
const MAX_NEXT: usize = 8;
/// Roles that a status lists.
const MAX_APPROVERS: usize = 64;

/// Adds transition times: kept from the old status where the condition's status is the same.
pub fn with_times(mut status: Value, old: Option<&Value>, now: jiff::Timestamp) -> Value {
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let old = old.and_then(|s| s.get("conditions")).and_then(Value::as_array);
    if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
        for condition in conditions {
            let before = old.into_iter().flatten().find(|c| c["type"] == condition["type"]);
            let kept = before
                .filter(|c| c["status"] == condition["status"])
                .map(|c| c["lastTransitionTime"].clone());
            condition["lastTransitionTime"] = kept.unwrap_or_else(|| now.clone().into());
        }
    }
    status
}

/// Ready=True: judged at this generation (invariant 10).
fn ready(reason: &str, message: &str, generation: Option<i64>) -> Value {
    condition(types::READY, "True", reason, message, generation)
}

/// Status of a ModelRelease. `untrusted` says why the time could not be decided by, if so.
#[expect(clippy::too_many_arguments, reason = "everything that the status shows")]
pub fn release(
    name: &str,
    generation: Option<i64>,
    decision: &Decision,
    recorded: &Recorded,
    cleared_until: Option<jiff::Timestamp>,
    snapshot_digest: &str,
    untrusted: Option<&str>,
    names: &Names,
) -> Value {
    let (status, reason) = match decision.cleared {
        Cleared::True => ("True", reasons::ALL_GATES_MET),
        Cleared::False => ("False", reasons::GATES_OPEN),
        Cleared::Unknown => ("Unknown", reasons::NOT_YET_KNOWN),
    };
    let mut message = render::headline(name, decision);
    let open = render::open_gates(decision);
    if !open.is_empty() {
        message = format!("{message}: {}", open.replace(',', ", "));
    }
    if decision.on_basis {
        message.push_str("; decided under the policies that it was cleared under: those of now apply when its approvals end");
    }
    let gates: Vec<Value> = decision
        .gates
        .iter()
        .map(|gate| {
            let mut out = json!({"gate": gate.gate.as_str(), "verdict": verdict(gate.verdict)});
            if let Some(first) = gate.findings.first() {
                out["reason"] = first.reason.as_str().into();
                out["total"] = gate.findings.len().into();
                out["findings"] =
                    gate.findings.iter().take(MAX_FINDINGS).map(|f| finding(f, names)).collect();
            }
            out
        })
        .collect();
    let policies = decision.policies.iter().take(MAX_POLICIES);
    let policies: Vec<Value> =
        policies.map(|(name, digest)| json!({"name": name, "digest": digest})).collect();
    let mut out = json!({
        "observedGeneration": generation,
        "open": line(&open),
        "gates": gates,
        "policies": policies,
        "decision": {"record": recorded.index, "digest": snapshot_digest},
        "conditions": [
            ready(reasons::JUDGED, "judged at this generation", generation),
            condition(types::CLEARED, status, reason, &message, generation),
        ],
    });
    if let (Some(why), Some(conditions)) = (untrusted, out["conditions"].as_array_mut()) {
        conditions.push(time_untrusted(why, generation));
    }
    if placet_api::scalar::is_digest(&decision.content) {
        out["digests"] = json!({"content": decision.content});
        if let Some(evidence) = &decision.evidence {
            out["digests"]["evidence"] = evidence.clone().into();
        }
        if let Some(parts) = &decision.shown.evidence {
            out["digests"]["classBasis"] = parts.class_basis.clone().into();
            out["digests"]["requirements"] = parts.requirements.clone().into();
        }
    }
    let approvers = decision.shown.approvers.iter().take(MAX_APPROVERS);
    let approvers: Vec<Value> =
        approvers.map(|(role, covers)| json!({"role": role, "covers": covers.to_string()})).collect();
    if !approvers.is_empty() {
        out["approvers"] = approvers.into();
    }
    let notes: Vec<String> = decision.notes().take(MAX_NOTES).map(|n| line(&with_names(n, names))).collect();
    if !notes.is_empty() {
        out["notes"] = notes.into();
    }
    if let Some(class) = decision.class {
        out["class"] = class.to_string().into();
    }
    if let Some(until) = cleared_until {
        out["validUntil"] = until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
    }
    out
}

fn finding(f: &placet_gate::finding::Finding, names: &Names) -> Value {
    let text = |t: &str, max: usize| cut(&visible::line(&with_names(t, names)), max);
    let mut out = json!({
        "reason": f.reason.as_str(),
        "wanted": text(&f.wanted, 2048),
        "found": text(&f.found, 2048),
        "who": text(&f.who, 256),
        "command": text(&f.command, 2048),
    });
    if !f.item.is_empty() {
        out["item"] = text(&f.item, 256).into();
    }
    out
}

/// A text of at most `max` characters, as a schema counts them; one that is cut ends with a mark.
pub(crate) fn cut(text: &str, max: usize) -> String {
    visible::cut(text, max).into_owned()
}

/// What a line of a status has room for: people choose their names, and what is chosen has no bound.
pub(crate) fn line(text: &str) -> String {
    cut(&visible::line(text), 256)
}

fn verdict(verdict: GateVerdict) -> &'static str {
    match verdict {
        GateVerdict::Met => "Met",
        GateVerdict::NotMet => "NotMet",
        GateVerdict::Unknown => "Unknown",
    }
}

/// What keeps an object from counting, as a Ready condition; Ready stays True, since it was judged.
pub(crate) fn problem<S>(object: &Object<S>) -> Option<(&'static str, String)> {
    object.problem().map(|p| match p {
        placet_gate::object::Problem::NotStamped(why) => (
            reasons::NOT_STAMPED,
            format!("it does not count: {why}; its author heals it by kubectl apply --server-side -f FILE"),
        ),
        placet_gate::object::Problem::NotUnderstood(why) => {
            (reasons::NOT_UNDERSTOOD, format!("it does not count: {why}"))
        }
    })
}

/// Status of an AISystem.
pub fn system(
    object: &Object<placet_api::aisystem::AISystemSpec>,
    generation: Option<i64>,
    overview: Option<&Overview>,
    cleared: Option<&str>,
    pending: usize,
) -> Value {
    let derived = overview.map(|o| &o.derived);
    let class = derived.and_then(|d| d.class);
    let (reason, message) = match (problem(object), class, derived) {
        (Some((reason, message)), ..) => (reason, message),
        (None, Some(class), _) => (reasons::CLASSIFIED, format!("class {class}")),
        (None, None, derived) => {
            let missing = derived.map(|d| d.unanswered.join(", ")).unwrap_or_default();
            (
                reasons::TRIGGERS_NOT_ANSWERED,
                format!("the class is not known until these triggers are answered: {missing}"),
            )
        }
    };
    let mut out = json!({
        "observedGeneration": generation,
        "releases": {"pending": pending},
        "conditions": [ready(reason, &message, generation)],
    });
    if let Some(class) = class {
        out["class"] = class.to_string().into();
    }
    if let Some(derived) = derived.filter(|d| !d.basis.is_empty()) {
        out["classBasis"] = derived.in_words().iter().take(32).map(|b| line(b)).collect();
    }
    if let (Some(classification), Ok(content)) = (&object.classification, &object.record.digest) {
        out["digests"] = json!({"content": content, "classification": classification});
    }
    if let Some(cleared) = cleared {
        out["releases"]["cleared"] = cleared.into();
    }
    if let Some(overview) = overview {
        out["riskRank"] = rank(overview);
        if let Some(obligations) = obligations(overview) {
            out["obligations"] = obligations;
        }
    }
    out
}

fn rank(overview: &Overview) -> Value {
    let rank = &overview.rank;
    let mut out = json!({"value": rank.value()});
    let inputs = [
        ("class", rank.class.map(|c| c.to_string())),
        ("residual", rank.residual.map(|l| l.to_string())),
        ("inherent", rank.inherent.map(|l| l.to_string())),
        ("assessment", overview.assessment.clone()),
    ];
    for (field, value) in inputs {
        if let Some(value) = value {
            out[field] = value.into();
        }
    }
    out
}

/// Obligations, where the policies give any that concern the system, or those of a provider do whatever it says.
fn obligations(overview: &Overview) -> Option<Value> {
    if overview.apply.is_empty() && overview.next.is_empty() && overview.provider_because.is_none() {
        return None;
    }
    let time = |at: &jiff::Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let one = |(o, from): &(Obligation, jiff::Timestamp)| json!({"id": o.id, "version": o.version, "title": o.title, "article": o.article, "from": time(from)});
    let mut out = json!({
        "apply": overview.apply.iter().take(MAX_OBLIGATIONS).map(one).collect::<Vec<_>>(),
        "total": overview.apply.len(),
    });
    if let Some((_, from)) = overview.next.first() {
        out["next"] = overview.next.iter().take(MAX_NEXT).map(one).collect();
        out["nextFrom"] = time(from).into();
    }
    if let Some(because) = &overview.provider_because {
        out["providerBecause"] = line(because).into();
    }
    Some(out)
}

/// Status of an ImpactAssessment.
pub fn assessment(
    object: &Object<placet_api::impactassessment::ImpactAssessmentSpec>,
    generation: Option<i64>,
    register: Option<&Register>,
    names: &Names,
) -> Value {
    let scores: Vec<Result<&Score, &ScoreError>> =
        register.iter().flat_map(|r| &r.entries).map(|e| e.as_ref().map(|e| &e.score)).collect();
    let good: Vec<&Score> = scores.iter().filter_map(|s| s.as_ref().ok().copied()).collect();
    let (reason, message) = match problem(object) {
        Some((reason, message)) => (reason, message),
        None if good.len() < scores.len() => {
            let first = scores.iter().find_map(|s| s.as_ref().err());
            let first = first.map(|error| format!("{}: {error}", error.risk())).unwrap_or_default();
            (reasons::SCORES_NOT_COMPUTABLE, format!("not every risk can be scored: {first}"))
        }
        None => (reasons::SCORED, "levels are computed".to_owned()),
    };
    let risks: Vec<Value> = good
        .iter()
        .take(MAX_RISKS)
        .map(|s| {
            json!({
                "id": s.id,
                "inherent": s.inherent.to_string(),
                "residual": s.residual.to_string(),
                "arithmetic": line(&with_names(&s.arithmetic, names)),
                "digest": object.risk_digests().get(&s.id),
            })
        })
        .collect();
    let mut out = json!({
        "observedGeneration": generation,
        "risks": risks,
        "conditions": [ready(reason, &message, generation)],
    });
    let level: Option<Level> = good.iter().map(|s| s.residual).max().filter(|_| good.len() == scores.len());
    if let Some(level) = level {
        out["level"] = level.to_string().into();
    }
    if let Ok(digest) = &object.record.digest {
        out["digest"] = digest.clone().into();
    }
    out
}

/// Status of a TestReport.
pub fn report(object: &Object<placet_api::testreport::TestReportSpec>, generation: Option<i64>) -> Value {
    understood(object, "read; a policy's tests say what it comes to", generation)
}

/// Status of a Dataset.
pub fn dataset(object: &Object<placet_api::dataset::DatasetSpec>, generation: Option<i64>) -> Value {
    let read = "read; the gate data of each release that names it says what it comes to";
    let mut out = understood(object, read, generation);
    if let Ok(spec) = &object.spec {
        let uses: Vec<String> = spec.permitted_uses.iter().map(|u| format!("{u:?}")).collect();
        out["uses"] = line(&uses.join(", ")).into();
    }
    out
}

/// Status of what decides nothing by itself.
fn understood<S>(object: &Object<S>, read: &str, generation: Option<i64>) -> Value {
    let (reason, message) = problem(object).unwrap_or((reasons::UNDERSTOOD, read.to_owned()));
    let mut out =
        json!({"observedGeneration": generation, "conditions": [ready(reason, &message, generation)]});
    if let Ok(digest) = &object.record.digest {
        out["digest"] = digest.clone().into();
    }
    out
}

/// What became of an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counting {
    /// Whether it counts; None while that is not known.
    pub counts: Option<bool>,
    /// Why, as a reason of a condition.
    pub reason: &'static str,
    /// Why, in words; people stand in them as tokens.
    pub text: String,
}

/// The condition that says whether an approval or an acceptance counts.
fn counts<S>(object: &Object<S>, counting: &Counting, generation: Option<i64>, names: &Names) -> Value {
    let (status, reason, message) = match (problem(object), counting.counts) {
        (Some((reason, message)), _) => ("False", reason, message),
        (None, Some(true)) => ("True", counting.reason, counting.text.clone()),
        (None, Some(false)) => ("False", counting.reason, counting.text.clone()),
        (None, None) => ("Unknown", counting.reason, counting.text.clone()),
    };
    condition(types::COUNTS, status, reason, &with_names(&message, names), generation)
}

/// Status of an Approval: who gave it, and whether it counts, as the gate counts it. How many a policy asks for is said by the
/// subject's findings.
pub fn approval(
    object: &Object<placet_api::approval::ApprovalSpec>,
    generation: Option<i64>,
    counting: &Counting,
    names: &Names,
) -> Value {
    let mut out = json!({
        "observedGeneration": generation,
        "conditions": [
            ready(reasons::JUDGED, "judged at this generation", generation),
            counts(object, counting, generation, names),
        ],
    });
    if let Some(standing) = object.standing() {
        out["by"] = line(&with_names(&standing.who().to_string(), names)).into();
    }
    out
}

/// Status of a RiskAcceptance: who gave it, whether it counts, as the gate counts it, and whether it ends within so many days:
/// at the typed time, or before it, where a policy lets it stand no longer.
pub fn acceptance(
    object: &Object<placet_api::riskacceptance::RiskAcceptanceSpec>,
    generation: Option<i64>,
    counting: &Counting,
    (now, warn, ends): (jiff::Timestamp, i32, Option<jiff::Timestamp>),
    names: &Names,
) -> Value {
    let spec = object.spec.as_ref().ok();
    let ended = ends.is_none_or(|t| t <= now);
    let soon = ends.is_some_and(|t| t <= placet_gate::time::days_after(now, warn));
    let until = ends.map(|t| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default();
    let (expiring, why, told) = match (ended, soon) {
        (true, _) => ("True", reasons::ENDED, format!("ended {until}")),
        (false, true) => ("True", reasons::ENDS_SOON, format!("ends {until}, within {warn} days")),
        (false, false) => ("False", reasons::IN_DATE, format!("ends {until}")),
    };
    let mut out = json!({
        "observedGeneration": generation,
        "conditions": [
            ready(reasons::JUDGED, "judged at this generation", generation),
            counts(object, counting, generation, names),
            condition(types::EXPIRING, expiring, why, &told, generation),
        ],
    });
    if let Some(standing) = object.standing() {
        out["by"] = line(&with_names(&standing.who().to_string(), names)).into();
    }
    if let Ok(digest) = &object.record.digest {
        out["digest"] = digest.clone().into();
    }
    if let Some(spec) = spec {
        let risks: Vec<&str> = spec.risks.iter().map(|r| r.id.as_str()).collect();
        out["risks"] = line(&risks.join(", ")).into();
    }
    out
}

/// Status of a ReleasePolicy, which also shows how the installation is.
pub fn policy(
    object: &Object<placet_api::releasepolicy::ReleasePolicySpec>,
    generation: Option<i64>,
    unknown_roles: &[String],
    conflicts: &[String],
    installation: &Installation,
) -> Value {
    let (usable, reason, message) = match problem(object) {
        Some((reason, message)) => ("False", reason, message),
        None if !conflicts.is_empty() => ("False", reasons::CONTRADICTION, conflicts.join("; ")),
        None if !unknown_roles.is_empty() => (
            "False",
            reasons::UNKNOWN_ROLE,
            format!("these ApprovalRoles do not exist: {}", unknown_roles.join(", ")),
        ),
        None => ("True", reasons::UNDERSTOOD, "it applies".to_owned()),
    };
    let mut conditions = vec![
        ready(reasons::JUDGED, "judged at this generation", generation),
        condition(types::USABLE, usable, reason, &message, generation),
    ];
    conditions.extend(installation.conditions(generation));
    let mut out = json!({"observedGeneration": generation, "conditions": conditions});
    if let Ok(digest) = &object.record.digest {
        out["digest"] = digest.clone().into();
    }
    if let Ok(spec) = &object.spec {
        out["appliesTo"] = line(&spec.applies_to.in_words()).into();
    }
    out
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
