//! The register as a table, as JSON and as CSV.

use placet_api::common::Class;
use placet_gate::people::with_names;
use placet_gate::register::{Entry, Register};
use placet_gate::render::Names;
use placet_gate::risk::{Place, ScoreError};
use placet_gate::visible;
use serde_json::{Value, json};

use super::{LEGEND, Shown, doubts, map, marks};
use crate::text;

fn class(register: &Register) -> String {
    register.class.map_or_else(|| "class not known".to_owned(), |c: Class| format!("class {c}"))
}

/// By which policies the levels are, in words.
fn by(register: &Register) -> String {
    let appetite = register.appetite.map_or("none said".to_owned(), |a| a.to_string());
    if register.policies.is_empty() {
        return "levels by the matrix of ISO/IEC 27005 practice, since it is not known which policies apply"
            .to_owned();
    }
    format!("levels by {}; appetite: {appetite}", register.policies.join(", "))
}

/// Each register: a line on it, its risks, the heat map, and why controls do not count.
pub fn table(found: &[Shown], names: &Names) -> String {
    let mut out = String::new();
    for (i, one) in found.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        let register = &one.register;
        let level = register.level().map_or("not known".to_owned(), |l| l.to_string());
        let mut line = |text: &str| {
            out.push_str(&visible::line(text));
            out.push('\n');
        };
        line(&format!(
            "ImpactAssessment {}/{} of {} ({}): level {level}",
            one.namespace,
            register.assessment,
            register.system,
            class(register)
        ));
        line(&by(register));
        if let Some(problem) = &one.problem {
            line(&format!("no release counts it: {problem}"));
        }
        line("");
        for row in text::columns(&rows(register)).lines() {
            line(row);
        }
        for error in register.entries.iter().filter_map(|e| e.as_ref().err()) {
            line(&format!("{}: no level: {error}", error.risk()));
        }
        line("");
        for row in map::lines(register) {
            line(&row);
        }
        let all: String = computed(register).map(|e| marks(register, e)).collect();
        for meaning in LEGEND.iter().filter(|m| m.chars().next().is_some_and(|mark| all.contains(mark))) {
            line(&format!("     {meaning}"));
        }
        for entry in computed(register) {
            for doubt in doubts(entry, names) {
                line(&format!("{}: {doubt}", entry.score.id));
            }
        }
    }
    out
}

fn computed(register: &Register) -> impl Iterator<Item = &Entry> {
    register.entries.iter().filter_map(|e| e.as_ref().ok())
}

fn rows(register: &Register) -> Vec<Vec<String>> {
    let header = ["RISK", "DOMAIN", "INHERENT", "RESIDUAL", "CONTROLS", "THREAT", "DESCRIPTION"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let at = |p: Place, level: &dyn std::fmt::Display| format!("{}×{} {level}", p.likelihood, p.severity);
    rows.extend(computed(register).map(|e| {
        let counting = e.controls.iter().filter(|c| c.counts.is_ok()).count();
        vec![
            format!("{}{}", e.score.id, marks(register, e)),
            format!("{:?}", e.domain),
            at(e.inherent, &e.score.inherent),
            at(e.residual, &e.score.residual),
            if e.controls.is_empty() {
                "-".to_owned()
            } else {
                format!("{counting} of {}", e.controls.len())
            },
            e.threat.map_or("-".to_owned(), |t| format!("{t:?}")),
            e.description.clone(),
        ]
    }));
    rows
}

fn place(place: Place) -> Value {
    json!({"likelihood": place.likelihood, "severity": place.severity, "stakeholderImpact": place.impact, "level": place.level})
}

/// Everything, as JSON.
pub fn json(found: &[Shown], names: &Names) -> anyhow::Result<String> {
    let all: Vec<Value> = found.iter().map(|one| of_register(one, names)).collect();
    Ok(text::json(&json!({"assessments": all}))?)
}

fn of_register(one: &Shown, names: &Names) -> Value {
    let register = &one.register;
    let risks: Vec<Value> = register.entries.iter().map(|entry| of_entry(register, entry, names)).collect();
    json!({
        "namespace": one.namespace,
        "name": register.assessment,
        "digest": register.digest,
        "system": register.system,
        "class": register.class,
        "level": register.level(),
        "policies": register.policies,
        "matrix": register.matrix,
        "appetite": register.appetite,
        "validUntil": register.valid_until.map(text::seconds),
        "doesNotCount": one.problem,
        "risks": risks,
    })
}

fn of_entry(register: &Register, entry: &Result<Entry, ScoreError>, names: &Names) -> Value {
    let entry = match entry {
        Ok(entry) => entry,
        Err(error) => return json!({"id": error.risk(), "error": error.to_string()}),
    };
    let controls: Vec<Value> = entry
        .controls
        .iter()
        .map(|c| {
            json!({
                "control": c.control,
                "title": c.title,
                "status": c.status,
                "counts": c.counts.is_ok(),
                "why": c.counts.as_ref().err().map(|d| with_names(&d.why, names)),
            })
        })
        .collect();
    json!({
        "id": entry.score.id,
        "domain": entry.domain,
        "description": entry.description,
        "threat": entry.threat,
        "inherent": place(entry.inherent),
        "claimed": place(entry.claimed),
        "residual": place(entry.residual),
        "arithmetic": with_names(&entry.score.arithmetic, names),
        "raised": entry.score.raised.is_some(),
        "oneUp": entry.lifted(&register.matrix),
        "aboveAppetite": register.above_appetite(entry),
        "controls": controls,
    })
}

/// The columns of the CSV.
const COLUMNS: [&str; 23] = [
    "namespace",
    "assessment",
    "system",
    "class",
    "risk",
    "domain",
    "threat",
    "description",
    "inherent_likelihood",
    "inherent_severity",
    "stakeholder_impact",
    "inherent_level",
    "claimed_likelihood",
    "claimed_severity",
    "claimed_level",
    "residual_likelihood",
    "residual_severity",
    "residual_level",
    "raised",
    "above_appetite",
    "controls",
    "controls_that_count",
    "why",
];

/// A spreadsheet takes what begins so for a formula, and runs it.
fn harmless(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell }
}

/// One line for each risk.
pub fn csv(found: &[Shown], names: &Names) -> anyhow::Result<String> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(COLUMNS)?;
    for one in found {
        for entry in &one.register.entries {
            out.write_record(record(one, entry, names).into_iter().map(harmless))?;
        }
    }
    let bytes = out.into_inner().map_err(|e| anyhow::anyhow!("CSV: {}", e.error()))?;
    Ok(String::from_utf8(bytes)?)
}

fn record(one: &Shown, entry: &Result<Entry, ScoreError>, names: &Names) -> Vec<String> {
    let register = &one.register;
    let mut cells = vec![
        one.namespace.clone(),
        register.assessment.clone(),
        register.system.clone(),
        register.class.map_or_else(String::new, |c| c.to_string()),
    ];
    match entry {
        Ok(e) => {
            let names_of = |counting: bool| {
                let of = e.controls.iter().filter(|c| !counting || c.counts.is_ok());
                of.map(|c| c.control.as_str()).collect::<Vec<_>>().join("; ")
            };
            cells.extend([
                e.score.id.clone(),
                format!("{:?}", e.domain),
                e.threat.map_or_else(String::new, |t| format!("{t:?}")),
                e.description.clone(),
            ]);
            let inherent = [e.inherent.likelihood, e.inherent.severity, e.inherent.impact];
            cells.extend(inherent.map(|v| v.to_string()));
            cells.push(e.inherent.level.to_string());
            for p in [e.claimed, e.residual] {
                cells.extend([p.likelihood.to_string(), p.severity.to_string(), p.level.to_string()]);
            }
            cells.extend([
                e.score.raised.is_some().to_string(),
                register.above_appetite(e).to_string(),
                names_of(false),
                names_of(true),
                doubts(e, names).join("; "),
            ]);
        }
        Err(error) => {
            cells.push(error.risk().to_owned());
            cells.resize(COLUMNS.len() - 1, String::new());
            cells.push(format!("no level: {error}"));
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_run_is_a_text() {
        for cell in ["=1+1", "+1", "-1", "@sum", "\tx"] {
            assert_eq!(harmless(cell.to_owned()), format!("'{cell}"));
        }
        assert_eq!(harmless("R1 = 2".to_owned()), "R1 = 2");
    }
}
