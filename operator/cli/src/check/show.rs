//! Decisions as a table and as JSON.

use placet_api::common::Class;
use placet_gate::people::with_names;
use placet_gate::render::{self, Names};
use placet_gate::{Decision, visible};
use serde_json::{Value, json};

use super::change::{Becomes, Change};
use super::loosened::Loosened;
use super::simulate::Fate;
use super::{Judged, Question};
use crate::text::{self, columns, seconds};

fn class(decision: &Decision) -> String {
    decision.class.map_or_else(|| "Unknown".to_owned(), |c: Class| c.to_string())
}

/// A line per release, then what is said on each, with what whoever decides should see beside the findings.
pub fn table(judged: &[Judged], names: &Names) -> String {
    let header = ["NAMESPACE", "RELEASE", "SYSTEM", "CLASS", "CLEARED", "OPEN", "VALID UNTIL"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(judged.iter().map(|j| {
        vec![
            j.namespace.clone(),
            j.name.clone(),
            j.system.clone(),
            class(&j.decision),
            format!("{:?}", j.decision.cleared),
            render::open_gates(&j.decision),
            j.until.map(seconds).unwrap_or_default(),
        ]
    }));
    let mut out = columns(&rows);
    for one in judged {
        out.push('\n');
        out.push_str(&one.said);
        out.push('\n');
        for note in one.decision.notes() {
            out.push_str(&text::wrap(&with_names(note, names), crate::sys::width(), "note: ", "      "));
        }
    }
    out
}

/// In which order and how what becomes of clearances is told.
const BECOMES: [(Becomes, &str); 5] = [
    (Becomes::LostAtOnce, "loses at once"),
    (Becomes::LostAtItsEnd, "loses at its end"),
    (Becomes::Gained, "gains"),
    (Becomes::Kept, "stays cleared"),
    (Becomes::Absent, "stays uncleared"),
];

/// What a new set of policies changes: losses first, with what is said on them.
pub fn changes(changes: &[Change]) -> String {
    let mut rows =
        vec![["CLEARANCE", "NAMESPACE", "RELEASE", "OPEN", "VALID UNTIL"].map(str::to_owned).to_vec()];
    for (becomes, words) in BECOMES {
        rows.extend(changes.iter().filter(|c| c.becomes() == becomes).map(|c| {
            vec![
                words.to_owned(),
                c.after.namespace.clone(),
                c.after.name.clone(),
                render::open_gates(&c.afterwards.as_ref().unwrap_or(&c.after).decision),
                c.after.until.map(seconds).unwrap_or_default(),
            ]
        }));
    }
    let mut out = columns(&rows);
    for change in changes.iter().filter(|c| c.becomes() == Becomes::LostAtOnce) {
        out.push('\n');
        out.push_str(&change.after.said);
        out.push('\n');
    }
    for Change { after, afterwards, .. } in changes {
        let Some(afterwards) = afterwards else { continue };
        let until = after.until.map_or_else(|| "what it was cleared by ends".to_owned(), seconds);
        out.push('\n');
        out.push_str(&visible::line(&format!(
            "{} stays cleared until {until}, under the policies that it was cleared under (no new version says \
             appliesToCleared). Then it would be as follows, were nothing else to change:",
            after.name
        )));
        out.push('\n');
        out.push_str(&afterwards.said);
        out.push('\n');
    }
    out
}

/// A decision with names in place of tokens.
fn named(value: Value, names: &Names) -> Value {
    match value {
        Value::String(text) => with_names(&text, names).into(),
        Value::Array(items) => items.into_iter().map(|v| named(v, names)).collect(),
        Value::Object(map) => map.into_iter().map(|(k, v)| (k, named(v, names))).collect(),
        other => other,
    }
}

/// A decision with the controls that each gate shows.
fn with_controls(mut decision: Value) -> Value {
    for gate in decision["gates"].as_array_mut().into_iter().flatten() {
        gate["controls"] = json!(gate["gate"].as_str().and_then(crate::controls::cited));
    }
    decision
}

fn one(judged: &Judged, names: &Names) -> anyhow::Result<Value> {
    Ok(json!({
        "namespace": judged.namespace,
        "release": judged.name,
        "system": judged.system,
        "file": judged.place.as_ref().map(|(file, _)| file),
        "line": judged.place.as_ref().map(|(_, line)| line),
        "cleared": judged.decision.cleared,
        "clearedUntil": judged.until.map(seconds),
        "open": judged.decision.open().map(|g| g.gate.as_str()).collect::<Vec<_>>(),
        "text": judged.said,
        "decision": named(with_controls(serde_json::to_value(&judged.decision)?), names),
    }))
}

fn document(question: &Question, mut body: Value) -> anyhow::Result<String> {
    body["now"] = seconds(question.now).into();
    body["assumptions"] = json!(question.assumptions);
    body["notes"] = json!(question.input.notes);
    Ok(text::json(&body)?)
}

/// Decisions as JSON.
pub fn json(question: &Question, judged: &[Judged], names: &Names) -> anyhow::Result<String> {
    let releases = judged.iter().map(|j| one(j, names)).collect::<anyhow::Result<Vec<_>>>()?;
    document(question, json!({"releases": releases}))
}

/// What becomes of releases at a later date: one line each, then what is said on those that are held.
pub fn later(fates: &[Fate]) -> String {
    let header = ["NAMESPACE", "RELEASE", "CLASS", "NOW", "THEN", "HELD FROM", "OPEN"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(fates.iter().map(|f| {
        vec![
            f.then.namespace.clone(),
            f.then.name.clone(),
            class(&f.then.decision),
            format!("{:?}", f.now.decision.cleared),
            format!("{:?}", f.then.decision.cleared),
            f.held_from().map(seconds).unwrap_or_default(),
            render::open_gates(&f.then.decision),
        ]
    }));
    let mut out = columns(&rows);
    for fate in fates.iter().filter(|f| f.is_held()) {
        out.push('\n');
        out.push_str(&fate.then.said);
        out.push('\n');
    }
    out
}

/// The same as JSON.
pub fn later_json(
    question: &Question,
    date: jiff::Timestamp,
    fates: &[Fate],
    names: &Names,
) -> anyhow::Result<String> {
    let releases = fates
        .iter()
        .map(|f| {
            let mut value = one(&f.then, names)?;
            value["clearedNow"] = json!(f.now.decision.cleared);
            value["heldFrom"] = f.held_from().map(seconds).into();
            Ok(value)
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let held = fates.iter().filter(|f| f.is_held()).count();
    document(question, json!({"date": seconds(date), "held": held, "releases": releases}))
}

/// What a new set of policies changes, as JSON.
pub fn changes_json(
    question: &Question,
    changes: &[Change],
    loosened: &[Loosened],
    names: &Names,
) -> anyhow::Result<String> {
    let releases = changes
        .iter()
        .map(|c| {
            let mut value = one(&c.after, names)?;
            value["clearedBefore"] = json!(c.before);
            value["clearance"] = json!(c.becomes());
            value["afterwards"] = c.afterwards.as_ref().map(|a| one(a, names)).transpose()?.into();
            Ok(value)
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    document(question, json!({"releases": releases, "policies": loosened}))
}
