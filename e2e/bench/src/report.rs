//! Results: a table for people, JSON for everything else.

use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

/// What a figure should come to.
#[derive(Debug, Clone, Copy)]
pub enum Aim {
    /// The value is at most this.
    AtMost(f64),
    /// The value is at least this.
    AtLeast(f64),
    /// Value divided by baseline is at most this.
    RatioAtMost(f64),
    /// Value divided by baseline is at least this.
    RatioAtLeast(f64),
}

impl Aim {
    fn holds(self, line: &Line) -> bool {
        match self {
            Aim::AtMost(limit) => line.value <= limit,
            Aim::AtLeast(limit) => line.value >= limit,
            Aim::RatioAtMost(limit) => line.ratio.is_some_and(|ratio| ratio <= limit),
            Aim::RatioAtLeast(limit) => line.ratio.is_some_and(|ratio| ratio >= limit),
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Aim::AtMost(limit) => format!("≤ {limit} {unit}"),
            Aim::AtLeast(limit) => format!("≥ {limit} {unit}"),
            Aim::RatioAtMost(limit) => format!("ratio ≤ {limit}"),
            Aim::RatioAtLeast(limit) => format!("ratio ≥ {limit}"),
        }
    }
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// What was measured: group, subject, figure.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
    /// The same figure of the baseline, measured in the same run.
    pub baseline: Option<f64>,
    /// Value divided by baseline.
    pub ratio: Option<f64>,
    /// What it should come to.
    pub aim: Option<String>,
    /// Whether it does.
    pub met: Option<bool>,
}

/// All figures of a run.
#[derive(Debug, Default)]
pub struct Report {
    lines: Vec<Line>,
}

impl Report {
    /// Adds a figure. Without aims it is shown for what it is.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
        baseline: Option<f64>,
        aims: &[Aim],
    ) {
        let ratio = baseline.filter(|b| *b > 0.0).map(|b| value / b);
        let mut line = Line { name: name.into(), value, unit, baseline, ratio, aim: None, met: None };
        if !aims.is_empty() {
            line.met = Some(aims.iter().all(|aim| aim.holds(&line)));
            line.aim = Some(aims.iter().map(|aim| aim.text(unit)).collect::<Vec<_>>().join(" and "));
        }
        eprintln!("{}", shown(&line).join("  "));
        self.lines.push(line);
    }

    /// The table.
    pub fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_header(["", "value", "unit", "baseline", "ratio", "aim", "met"]);
        for line in &self.lines {
            table.add_row(shown(line));
        }
        for column in [1, 3, 4] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }

    /// Writes `target/bench.json`.
    ///
    /// # Errors
    /// When the file cannot be written.
    #[expect(clippy::disallowed_methods, reason = "a bench writes its results once, at its end")]
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        std::fs::write(path, serde_json::to_vec_pretty(&self.lines)?)?;
        Ok(())
    }
}

fn shown(line: &Line) -> [String; 7] {
    let met = match line.met {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "",
    };
    [
        line.name.clone(),
        number(line.value),
        line.unit.to_owned(),
        line.baseline.map(number).unwrap_or_default(),
        line.ratio.map(|r| format!("{r:.2}")).unwrap_or_default(),
        line.aim.clone().unwrap_or_default(),
        met.to_owned(),
    ]
}

/// Three digits that say something.
fn number(value: f64) -> String {
    if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_aims_must_hold_and_a_ratio_needs_a_baseline() {
        let mut report = Report::default();
        report.add("x", 9000.0, "1/s", Some(12000.0), &[Aim::AtLeast(8000.0), Aim::RatioAtLeast(0.5)]);
        report.add("y", 9000.0, "1/s", Some(30000.0), &[Aim::AtLeast(8000.0), Aim::RatioAtLeast(0.5)]);
        report.add("z", 9000.0, "1/s", None, &[Aim::RatioAtLeast(0.5)]);
        report.add("w", 12.0, "us", None, &[]);
        let met: Vec<_> = report.lines.iter().map(|l| l.met).collect();
        assert_eq!(met, [Some(true), Some(false), Some(false), None]);
        assert_eq!(report.lines[0].aim.as_deref(), Some("≥ 8000 1/s and ratio ≥ 0.5"));
        assert!(report.table().to_string().contains("NO"));
    }
}
