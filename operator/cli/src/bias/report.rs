//! The `TestReport`: counts per group, small groups put together.

use anyhow::{Context as _, bail};
use placet_api::scalar::{Digest, Id, Name, Title};
use placet_api::testreport::{PositiveMeans, TestReportSpec};
use serde_json::{Value, json};

use super::BiasArgs;
use super::bins::ScoreBins;
use super::count::Cells;
use super::small::FEWEST;
use super::table::counts;
use crate::{sys, text};

/// Groups of a report at most, as the API takes them: beyond, a test of all pairs says little of any.
pub const MOST_GROUPS: usize = placet_gate::fairness::MAX_GROUPS;

/// What is tested, where nobody says it: such a report is judged and goes nowhere.
const NOTHING: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// Checks what the report is about, before anything is read.
pub fn check(args: &BiasArgs) -> anyhow::Result<()> {
    let given = |what: &'static str, digest: &Option<String>| {
        digest.as_deref().map(|d| Digest::new(d).context(what)).transpose()
    };
    given("--artifact", &args.artifact)?;
    given("--dataset", &args.dataset)?;
    if let Some(at) = &args.ran_at {
        text::moment("--ran-at", at)?;
    }
    if let Some(name) = &args.name {
        Name::new(name.as_str()).context("--name")?;
    }
    Ok(())
}

/// The report's spec.
///
/// # Errors
/// More groups than a report holds; a value that the API does not take.
pub fn spec(
    args: &BiasArgs,
    names: &[String],
    cells: &Cells,
    bins: Option<&ScoreBins>,
) -> anyhow::Result<(Value, TestReportSpec)> {
    if cells.is_empty() {
        bail!(
            "wanted at least {FEWEST} rows in a TestReport, found fewer: counts of so few people tell about each of them"
        );
    }
    if cells.len() > MOST_GROUPS {
        bail!(
            "wanted at most {MOST_GROUPS} groups in a TestReport, found {}: group by fewer attributes, or put values together (ages \
             to bands, places to regions); a report for each attribute is possible, too",
            cells.len()
        );
    }
    let mut groups = Vec::new();
    let mut scores = Vec::new();
    let mut rows = 0;
    for (values, cell) in cells {
        let mut attributes = serde_json::Map::new();
        for (name, value) in names.iter().zip(values) {
            Id::new(name.as_str()).context("attribute (give it another name: --attribute NAME=COLUMN)")?;
            Title::new(value.as_str()).with_context(|| format!("a value of {name}"))?;
            attributes.insert(name.clone(), value.as_str().into());
        }
        let c = counts(cell).context("wanted at most 2^53 rows, found more")?;
        rows += c.n();
        if let Some([negative, positive]) = cell.scores.as_deref() {
            scores.push(
                json!({"attributes": attributes, "rows": c.n(), "positive": positive, "negative": negative}),
            );
        }
        groups.push(
            json!({"attributes": attributes, "rows": c.n(), "tp": c.tp(), "fp": c.fp(), "fn": c.fn_(), "tn": c.tn()}),
        );
    }
    let mut value = json!({
        "type": "Bias",
        "artifact": args.artifact.as_deref().unwrap_or(NOTHING),
        "dataset": args.dataset.as_deref().unwrap_or(NOTHING),
        "tool": {"name": "placet bias", "version": env!("CARGO_PKG_VERSION")},
        "ranAt": args.ran_at.clone().unwrap_or_else(|| text::seconds(sys::now())),
        "positiveMeans": format!("{:?}", PositiveMeans::from(args.positive_means)),
        "rows": rows,
        "groups": groups,
    });
    if let Some(bins) = bins {
        value["scores"] = json!({"bins": {"edges": bins.edges()}, "groups": scores});
    }
    let typed = serde_json::from_value(value.clone()).context("the TestReport")?;
    Ok((value, typed))
}

/// The whole report; None where nobody said what was tested.
pub fn object(args: &BiasArgs, namespace: Option<&str>, spec: &Value) -> Option<Value> {
    let artifact = args.artifact.as_deref()?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => text::object_name(&["bias", artifact.get("sha256:".len()..)?.get(..12)?]),
    };
    let mut metadata = json!({"name": name});
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    Some(
        json!({"apiVersion": "placet.dev/v1alpha1", "kind": "TestReport", "metadata": metadata, "spec": spec}),
    )
}
