//! Decisions as a table and as JSON.

use placet_api::common::Class;
use placet_gate::people::with_names;
use placet_gate::render::{self, Names};
use placet_gate::{Cleared, Decision, visible};
use serde_json::{Value, json};

use super::loosened::Loosened;
use super::{Change, Judged, Question};
use crate::text::{self, seconds};

/// Rows in columns, each as wide as its longest cell; the last column has no padding.
fn columns(rows: &[Vec<String>]) -> String {
    let shown = |c: &String| visible::line(c).into_owned();
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(shown).collect()).collect();
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len))
        .map(|i| rows.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in &rows {
        let line: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out.push_str(line.join("  ").trim_end());
        out.push('\n');
    }
    out
}

fn class(decision: &Decision) -> String {
    decision.class.map_or_else(|| "Unknown".to_owned(), |c: Class| c.to_string())
}

/// A line per release, then what is said on each.
pub fn table(judged: &[Judged]) -> String {
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
    }
    out
}

/// What a new set of policies changes: losses first, with what is said on them.
pub fn changes(changes: &[Change]) -> String {
    let kind = |c: &Change| match (c.before, c.after.decision.cleared) {
        (Cleared::True, Cleared::True) => "stays cleared",
        (Cleared::True, _) => "loses",
        (_, Cleared::True) => "gains",
        _ => "stays uncleared",
    };
    let mut rows =
        vec![["CLEARANCE", "NAMESPACE", "RELEASE", "OPEN", "VALID UNTIL"].map(str::to_owned).to_vec()];
    for wanted in ["loses", "gains", "stays cleared", "stays uncleared"] {
        rows.extend(changes.iter().filter(|c| kind(c) == wanted).map(|c| {
            vec![
                wanted.to_owned(),
                c.after.namespace.clone(),
                c.after.name.clone(),
                render::open_gates(&c.after.decision),
                c.after.until.map(seconds).unwrap_or_default(),
            ]
        }));
    }
    let mut out = columns(&rows);
    for change in changes.iter().filter(|c| kind(c) == "loses") {
        out.push('\n');
        out.push_str(&change.after.said);
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
        "decision": named(serde_json::to_value(&judged.decision)?, names),
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
            Ok(value)
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    document(question, json!({"releases": releases, "policies": loosened}))
}
