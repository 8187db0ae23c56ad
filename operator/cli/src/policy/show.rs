//! Results of cases as a table and as JSON.

use std::fmt::Write as _;

use placet_cases::Played;
use placet_gate::visible;
use serde_json::{Value, json};

use super::{Outcome, Results, Tested};
use crate::args::TableOrJson;
use crate::sys;
use crate::text::{self, Page, columns};

/// Results to stdout, notes and errors to stderr.
pub fn print(results: &Results, output: TableOrJson) -> anyhow::Result<()> {
    match output {
        TableOrJson::Table => sys::print(&table(results))?,
        TableOrJson::Json => sys::print(&text::json(&whole(results))?)?,
    }
    for warning in &results.warnings {
        sys::tell(&format!("note: {}", visible::line(warning)));
    }
    for error in &results.errors {
        sys::tell(&format!("error: {}", visible::line(error)));
    }
    Ok(())
}

fn said(tested: &Tested) -> &'static str {
    match &tested.outcome {
        Outcome::Played(played) if played.wrong.is_empty() => "Holds",
        Outcome::Played(_) => "Fails",
        Outcome::Error(_) => "Error",
    }
}

fn findings(played: &Played) -> impl Iterator<Item = String> {
    played
        .decision
        .findings()
        .map(|f| format!("{} {} [{}]: wanted: {}; found: {}", f.gate, f.reason, f.item, f.wanted, f.found))
}

fn table(results: &Results) -> String {
    let mut rows = vec![["RESULT", "CASE", "TITLE"].map(str::to_owned).to_vec()];
    rows.extend(results.cases.iter().map(|t| {
        let file = t.file.display().to_string();
        vec![said(t).to_owned(), visible::line(&file).into_owned(), visible::line(&t.title).into_owned()]
    }));
    let mut out = columns(&rows);
    for tested in &results.cases {
        let mut page = Page::default();
        let file = tested.file.display();
        match &tested.outcome {
            Outcome::Played(played) if played.wrong.is_empty() => continue,
            Outcome::Played(played) => {
                page.add(0, &format!("{file} fails: {}", played.title));
                played.wrong.iter().for_each(|wrong| page.add(2, wrong));
                page.add(2, &format!("it said: cleared {:?}", played.decision.cleared));
                findings(played).for_each(|finding| page.add(4, &finding));
            }
            Outcome::Error(why) => {
                page.add(0, &format!("{file} could not be run:"));
                page.add(2, why);
            }
        }
        out.push('\n');
        out.push_str(page.text());
    }
    let (all, failed, broken) = (results.cases.len(), results.failed(), results.broken());
    let held = all - failed - broken;
    let _ = writeln!(out, "\n{all} cases: {held} hold, {failed} fail, {broken} could not be run");
    out
}

fn whole(results: &Results) -> Value {
    let cases: Vec<Value> = results.cases.iter().map(one).collect();
    let (all, failed, broken) = (results.cases.len(), results.failed(), results.broken());
    json!({
        "cases": cases,
        "summary": {"cases": all, "hold": all - failed - broken, "fail": failed, "error": broken},
        "errors": results.errors,
        "warnings": results.warnings,
    })
}

fn one(tested: &Tested) -> Value {
    let mut out =
        json!({"file": tested.file.display().to_string(), "title": tested.title, "result": said(tested)});
    match &tested.outcome {
        Outcome::Played(played) => {
            out["wrong"] = json!(played.wrong);
            out["decision"] = json!(played.decision);
        }
        Outcome::Error(why) => out["error"] = json!(why),
    }
    out
}
