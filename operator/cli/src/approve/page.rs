//! What is about to be decided on, for the person who decides.

use placet_api::Kind;
use placet_api::common::Level;
use placet_api::impactassessment::ImpactAssessmentSpec;
use placet_gate::risk;
use serde::Serialize;
use serde_json::Value;

use super::around::Around;
use super::creator;
use crate::text::Page;

/// What is about to be decided on.
pub fn describe(namespace: &str, object: &Value, kind: Kind, name: &str, around: Option<&Around>) -> Page {
    let field = |p: &str| object.pointer(p).and_then(Value::as_str).unwrap_or("?");
    let list = |p: &str| object.pointer(p).and_then(Value::as_array).cloned().unwrap_or_default();
    let s = |v: &Value, k: &str| v[k].as_str().unwrap_or("?").to_owned();
    let names = |p: &str| list(p).iter().filter_map(|v| v.as_str().map(str::to_owned)).collect::<Vec<_>>();
    let mut out = Page::default();
    out.add(0, &format!("{kind} {name} in namespace {namespace}"));
    let by = creator(object).unwrap_or_else(|| "nobody known: it carries no stamp".into());
    out.add(2, &format!("created by {by}"));
    match kind {
        Kind::ModelRelease => {
            let (system, version) = (field("/spec/system"), field("/spec/version"));
            out.add(2, &format!("system {system}, version {version}"));
            change(object, &mut out);
            for a in list("/spec/artifacts") {
                let (name, role, reference) = (s(&a, "name"), s(&a, "role"), s(&a, "reference"));
                out.add(2, &format!("artefact {name} ({role}) {reference}"));
                out.add(4, &s(&a, "digest"));
            }
            for d in list("/spec/datasets") {
                out.add(2, &format!("dataset {} ({})", s(&d, "name"), s(&d, "use")));
                out.add(4, &s(&d, "digest"));
            }
            made(object, &mut out);
            let developers = names("/spec/developers");
            if !developers.is_empty() {
                out.add(2, &format!("developed by {}", developers.join(", ")));
            }
            out.add(2, &format!("class {}", field("/status/class")));
            let observed = object.pointer("/status/observedGeneration").and_then(Value::as_i64);
            if observed != object.pointer("/metadata/generation").and_then(Value::as_i64) {
                out.add(2, "not judged at this generation yet: class and findings may be older");
            }
            findings(object, &mut out);
            if let Some(around) = around {
                residual_risks(around, field("/spec/system"), &mut out);
            }
        }
        Kind::AISystem => {
            out.add(2, &format!("{}: {}", field("/spec/title"), field("/spec/purpose")));
            out.add(2, &format!("class {}", field("/status/class")));
            for basis in names("/status/classBasis") {
                out.add(4, &basis);
            }
            // With a derogation the class depends on the day of placing on the market, and its confirmation covers it.
            let market = object.pointer("/spec/derogation").map(|_| "placedOnMarketAt");
            let parts = ["triggers", "derogation", "exceptions", "evaluation", "oversight", "transparency"]
                .into_iter();
            let parts = parts.chain(market);
            for part in parts {
                if let Some(value) = object.get("spec").and_then(|s| s.get(part)) {
                    out.add(2, &format!("{part} {value}"));
                }
            }
        }
        Kind::ImpactAssessment => {
            out.add(2, &format!("system {}, assessed {}", field("/spec/system"), field("/spec/assessedAt")));
            risks_of(object, &mut out);
        }
        _ => {
            out.add(
                2,
                &format!(
                    "assessment {}, risks {}, level {}, until {}",
                    field("/spec/assessment/name"),
                    list("/spec/risks").iter().map(|r| s(r, "id")).collect::<Vec<_>>().join(", "),
                    field("/spec/level"),
                    field("/spec/expiresAt")
                ),
            );
        }
    }
    out
}

/// What kind of change a release says it is, and what its author says of the effects.
fn change(object: &Value, out: &mut Page) {
    let text = |p: &str| object.pointer(p).and_then(Value::as_str);
    let also = object.pointer("/spec/change/also").and_then(Value::as_array);
    let also = also.into_iter().flatten().filter_map(Value::as_str);
    let kinds: Vec<&str> = text("/spec/change/kind").into_iter().chain(also).collect();
    let reason = text("/spec/change/reason").unwrap_or("?");
    out.add(2, &format!("change {}: {reason}", kinds.join(" and ")));
    for (part, field) in [
        ("assessment", "assessment"),
        ("technical", "impact/technical"),
        ("security", "impact/security"),
        ("societal", "impact/societal"),
        ("nothing to go back to", "noRollback"),
    ] {
        if let Some(said) = text(&format!("/spec/change/{field}")) {
            out.add(4, &format!("{part}: {said}"));
        }
    }
    for field in ["previous", "rollbackTarget"] {
        if let Some(name) = text(&format!("/spec/{field}")) {
            out.add(2, &format!("{field} {name}"));
        }
    }
}

/// How a release is documented, and what it was made with.
fn made(object: &Value, out: &mut Page) {
    let documents = object.pointer("/spec/documentation").and_then(Value::as_array);
    for document in documents.into_iter().flatten() {
        let text = |key: &str| document[key].as_str();
        let said = [text("text"), text("digest"), text("reference")].into_iter().flatten();
        let said: Vec<&str> = said.collect();
        out.add(2, &format!("documentation {}: {}", text("part").unwrap_or("?"), said.join(" ")));
    }
    for part in ["training", "environment"] {
        if let Some(value) = object.get("spec").and_then(|s| s.get(part)) {
            out.add(2, &format!("{part} {value}"));
        }
    }
}

/// What the last decision found, other than that approvals are missing, and what it warns of; Rejects of others are shown.
fn findings(object: &Value, out: &mut Page) {
    for Finding { gate, reason, item, found, wanted } in found(object) {
        let item = if item.is_empty() { String::new() } else { format!(", {item}") };
        out.add(2, &format!("finding, {gate}{item} ({reason}): {found}"));
        if !wanted.is_empty() {
            out.add(4, &format!("wanted: {wanted}"));
        }
    }
    for note in notes(object) {
        out.add(2, &format!("note: {note}"));
    }
}

/// A finding as it is shown; what it does not say is empty.
#[derive(Debug, Serialize)]
pub struct Finding<'a> {
    gate: &'a str,
    reason: &'a str,
    item: &'a str,
    found: &'a str,
    wanted: &'a str,
}

/// The findings of the last decision, without approvals that are only missing.
pub fn found(object: &Value) -> Vec<Finding<'_>> {
    let mut out = Vec::new();
    let gates = object.pointer("/status/gates").and_then(Value::as_array);
    for gate in gates.into_iter().flatten() {
        // Those of a validator are found missing by the gate validation.
        let missing = ["ApprovalMissing", "ApprovalExpired", "ContentChanged"];
        let shown = |f: &&Value| match gate["gate"].as_str() {
            Some("approvals") => f["reason"] == "Rejected",
            Some("validation") => !missing.iter().any(|reason| f["reason"] == *reason),
            _ => true,
        };
        for finding in gate["findings"].as_array().into_iter().flatten().filter(shown) {
            let text = |key: &str| finding[key].as_str().unwrap_or_default();
            out.push(Finding {
                gate: gate["gate"].as_str().unwrap_or("?"),
                reason: text("reason"),
                item: text("item"),
                found: text("found"),
                wanted: text("wanted"),
            });
        }
    }
    out
}

/// What the last decision warns of.
pub fn notes(object: &Value) -> Vec<&str> {
    let notes = object.pointer("/status/notes").and_then(Value::as_array);
    notes.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Residual risks of the assessments of a system.
fn residual_risks(around: &Around, system: &str, out: &mut Page) {
    match &around.assessments {
        Ok(all) => {
            if all.is_empty() {
                out.add(2, &format!("no impact assessment of {system}"));
            }
            for assessment in all {
                let name = assessment.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("?");
                out.add(2, &format!("assessment {name}"));
                risks_of(assessment, out);
            }
        }
        Err(why) => out.add(2, &format!("residual risks could not be read: {why}")),
    }
}

fn risks_of(assessment: &Value, out: &mut Page) {
    for (id, level, why) in levels(assessment) {
        let level = level.map_or_else(|| "not computable".to_owned(), |l| l.to_string());
        out.add(4, &format!("residual risk {id}: {level} ({why})"));
    }
}

/// Residual levels of an assessment: id, level, how. The operator's, which knows the policy's matrix, where its status
/// is for this generation; otherwise computed here with the default matrix.
pub fn levels(assessment: &Value) -> Vec<(String, Option<Level>, String)> {
    let generation = assessment.pointer("/metadata/generation").and_then(Value::as_i64);
    let status = assessment.get("status").cloned().unwrap_or(Value::Null);
    let status: Option<placet_api::impactassessment::ImpactAssessmentStatus> =
        serde_json::from_value(status).ok();
    if let Some(status) =
        status.filter(|s| s.observed_generation.is_some() && s.observed_generation == generation)
        && let Some(risks) = status.risks
        && assessment["spec"]["risks"].as_array().is_some_and(|all| all.len() == risks.len())
    {
        return risks
            .into_iter()
            .map(|r| (r.id.to_string(), Some(r.residual), r.arithmetic.to_string()))
            .collect();
    }
    let spec: ImpactAssessmentSpec = match serde_json::from_value(assessment["spec"].clone()) {
        Ok(spec) => spec,
        Err(e) => return vec![("?".into(), None, format!("the assessment is not understood: {e}"))],
    };
    risk::scores(&spec, &risk::ISO_27005)
        .into_iter()
        .zip(&spec.risks)
        .map(|(score, risk)| match score {
            Ok(score) => (score.id, Some(score.residual), score.arithmetic),
            Err(e) => (risk.id.to_string(), None, format!("{e:?}")),
        })
        .collect()
}
