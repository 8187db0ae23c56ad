//! The 5×5 heat map for a terminal.

use placet_api::common::Level;
use placet_gate::register::Register;

use super::marks;

/// A level in at most two letters.
fn short(level: Level) -> &'static str {
    match level {
        Level::VeryLow => "VL",
        Level::Low => "L",
        Level::Medium => "M",
        Level::High => "H",
        Level::VeryHigh => "VH",
    }
}

/// Risks in a cell, with their marks, in the order of the register. Both values are from 1 to 5.
pub fn cell(register: &Register, likelihood: i32, severity: i32) -> Vec<String> {
    let here = register.entries.iter().filter_map(|e| e.as_ref().ok());
    let here = here.filter(|e| (e.residual.likelihood, e.residual.severity) == (likelihood, severity));
    here.map(|e| format!("{}{}", e.score.id, marks(register, e))).collect()
}

/// The level of the matrix in a cell.
pub fn level(register: &Register, likelihood: i32, severity: i32) -> Level {
    let index = |v: i32| usize::try_from(v - 1).unwrap_or(0).min(4);
    register.matrix[index(likelihood)][index(severity)]
}

/// Risks that are written into one cell of the terminal's map; of more their number is said.
const NAMED: usize = 4;

/// The map, line by line: likelihood upwards, severity to the right, each cell with its level and its risks.
pub fn lines(register: &Register) -> Vec<String> {
    let text = |likelihood, severity| {
        let risks = cell(register, likelihood, severity);
        let mut parts = vec![short(level(register, likelihood, severity)).to_owned()];
        parts.extend(risks.iter().take(NAMED).cloned());
        if risks.len() > NAMED {
            parts.push(format!("+{}", risks.len() - NAMED));
        }
        parts.join(" ")
    };
    let rows: Vec<Vec<String>> = (1..=5)
        .rev()
        .map(|likelihood| (1..=5).map(|severity| text(likelihood, severity)).collect())
        .collect();
    let width = rows.iter().flatten().map(|c| c.chars().count()).max().unwrap_or(0).max(4);
    let rule = format!("    +{}", format!("{}+", "-".repeat(width + 2)).repeat(5));
    let mut out = vec!["likelihood".to_owned()];
    for (row, likelihood) in rows.iter().zip((1..=5).rev()) {
        out.push(rule.clone());
        let cells: Vec<String> = row.iter().map(|c| format!(" {c:width$} ")).collect();
        out.push(format!("  {likelihood} |{}|", cells.join("|")));
    }
    out.push(rule);
    let numbers: Vec<String> = (1..=5).map(|severity| format!(" {severity:<width$} ")).collect();
    out.push(format!("     {} severity", numbers.join(" ")));
    out
}
