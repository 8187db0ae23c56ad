//! `stats.json` of a HELM run: a list of statistics. Each is first averaged over the instances of a trial, so that `count`
//! is the number of trials and `stddev` how they differ; neither says how certain the mean is. How many instances there
//! were is a statistic of its own.

use anyhow::bail;

use super::found::{Found, Metric, Spread};
use super::node::{At, Node, Reading, whole};

/// The statistic that counts instances.
const INSTANCES: &str = "num_instances";

/// What the file says.
pub fn read(at: &At<'_>) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let mut instances: Vec<(String, u64)> = Vec::new();
    let mut stats: Vec<(String, String, Reading)> = Vec::new();
    for stat in at.items()? {
        let name = stat.field("name")?;
        let (metric, context) = (name.field("name")?.text()?, context(&name));
        // Of no value at all HELM writes no mean.
        let trials = stat.field("count")?.count()?;
        let mean = match stat.get("mean") {
            Some(mean) if trials > 0 => mean.reading()?,
            _ => Reading::NonFinite("0/0"),
        };
        if metric != INSTANCES {
            stats.push((metric.to_owned(), context, mean));
            continue;
        }
        let Some(rows) = mean.finite().and_then(whole) else {
            bail!(
                "{}: wanted a whole number of instances, found a mean of {mean}: trials differ in size",
                stat.place()
            );
        };
        instances.push((context, rows));
    }
    for (metric, context, value) in stats {
        // A metric of bias, and other shares without a denominator, are written as 0.
        if value == Reading::Finite(0.0) && metric.starts_with("bbq_") {
            found.notes.push(format!(
                "{metric} is 0, which HELM writes also where nothing was answered: it is left out; look at the accuracy"
            ));
            continue;
        }
        let rows = instances.iter().find(|(of, _)| *of == context).map(|(_, rows)| *rows);
        let name = if context.is_empty() { metric } else { format!("{metric}.{context}") };
        found.metrics.push(Metric { name, value, rows, spread: Spread::Unknown });
    }
    found.notes.push(
        "stats.json does not say whether all instances were asked (max_eval_instances): look at run_spec.json beside it".into(),
    );
    Ok(found)
}

/// The rows that a statistic is about: split, part of it, and how they were changed.
fn context(name: &At<'_>) -> String {
    let mut parts: Vec<&str> = ["split", "sub_split"].into_iter().filter_map(|p| name.node.text(p)).collect();
    if let Some(perturbation) = name.get("perturbation") {
        parts.extend(["name", "computed_on"].into_iter().filter_map(|p| perturbation.node.text(p)));
    }
    parts.join(".")
}

/// Whether a value looks like a list of statistics.
pub fn is_one(node: &Node) -> bool {
    let Node::List(items) = node else { return false };
    let stat = |item: &Node| {
        item.get("name").is_some_and(|n| n.text("name").is_some()) && item.get("count").is_some()
    };
    items.first().is_some_and(stat)
}
