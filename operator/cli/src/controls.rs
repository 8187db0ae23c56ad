//! `placet controls`: which controls of both standards, and which articles of the AI Act, each gate shows; and where one piece of
//! evidence serves both standards.

use clap::Args;
use placet_gate::controls::{self, Shows, article, find, of_gate, overlap};
use placet_gate::finding::Gate;
use serde_json::{Value, json};

use crate::args::TableOrJson;
use crate::sys;
use crate::text::{self, columns};

/// Answers are data.
const CONTROLS_CODES: &str = "Exit codes: 0 answered; 2 the question could not be asked";

#[derive(Debug, Args)]
#[command(after_help = CONTROLS_CODES)]
pub struct ControlsArgs {
    /// Output
    #[arg(short, long, value_enum, default_value_t = TableOrJson::Table)]
    pub output: TableOrJson,
}

/// All gates, those of a decision and that of workloads.
fn gates() -> impl Iterator<Item = (Gate, Shows)> {
    Gate::ALL.into_iter().chain([Gate::Workload]).map(|gate| (gate, of_gate(gate)))
}

/// Prints the table.
///
/// # Errors
/// It cannot be printed.
pub fn run(args: &ControlsArgs) -> anyhow::Result<u8> {
    match args.output {
        TableOrJson::Table => sys::print(&table())?,
        TableOrJson::Json => sys::print(&text::json(&whole())?)?,
    }
    Ok(0)
}

fn table() -> String {
    let mut rows = vec![["GATE", "ISO/IEC 27001", "ISO/IEC 42001", "AI ACT"].map(str::to_owned).to_vec()];
    rows.extend(gates().map(|(gate, shows)| {
        let articles: Vec<&str> = shows.ai_act.iter().map(|id| id.trim_start_matches("Article ")).collect();
        vec![gate.to_string(), shows.iso27001.join(" "), shows.iso42001.join(" "), articles.join(" ")]
    }));
    let mut out = columns(&rows);
    out.push_str("\nBoth standards by the same evidence:\n");
    let mut rows = vec![["ISO/IEC 27001", "ISO/IEC 42001", "BY"].map(str::to_owned).to_vec()];
    rows.extend(overlap().iter().map(|o| vec![o.iso27001.to_owned(), o.iso42001.join(" "), o.by.to_owned()]));
    out.push_str(&columns(&rows));
    out
}

fn titled(prefix: &str, ids: &[&str]) -> Vec<Value> {
    let title = |id: &str| match prefix {
        "AIAct" => article(id),
        _ => find(&format!("{prefix}/{id}")).map(|control| control.title),
    };
    ids.iter().map(|id| json!({"id": id, "title": title(id)})).collect()
}

fn whole() -> Value {
    let gates: Vec<Value> = gates()
        .map(|(gate, shows)| {
            json!({
                "gate": gate.as_str(),
                "iso27001": titled("ISO27001", &shows.iso27001),
                "iso42001": titled("ISO42001", &shows.iso42001),
                "aiAct": titled("AIAct", &shows.ai_act),
            })
        })
        .collect();
    json!({"gates": gates, "overlap": controls::overlap()})
}

/// What the gate of a name shows, as findings cite it; None if there is no such gate.
pub fn cited(gate: &str) -> Option<Vec<String>> {
    gates().find(|(known, _)| known.as_str() == gate).map(|(_, shows)| shows.cited())
}
