//! Results of lm-evaluation-harness (`results_*.json`, 0.4 and later): per task values under `metric,filter` and standard
//! errors under `metric_stderr,filter`. Read of versions 0.4.0 to 0.4.13, whose `model_args` is a text, later an object.

use anyhow::{anyhow, bail};

use super::found::{Found, Metric, Spread};
use super::node::{At, Node, Reading};

/// Metrics that are a share of rows by their definition: each row is 0 or 1.
const SHARES: [&str; 5] = ["acc", "acc_norm", "acc_bytes", "exact_match", "em"];

/// Scores of BBQ that are 0 also where no answer was biased or none was given.
const BBQ: [&str; 2] = ["disamb_bias_score", "amb_bias_score"];

/// Depth of groups of tasks in groups of tasks.
const DEEPEST: usize = 16;

/// What the file says.
pub fn read(at: &At<'_>) -> anyhow::Result<Found> {
    if let Some(limit) = at.get("config").and_then(|c| c.get("limit")) {
        return Err(anyhow!(
            "{}: wanted a run on the whole of each task (limit null), found --limit {}: whoever chooses the rows chooses the \
             result; run lm-eval again without --limit",
            limit.place(),
            limit.node.words()
        ));
    }
    let mut found = Found {
        tool: at.get("lm_eval_version").map(|v| v.text()).transpose()?.map(|v| ("lm-eval".into(), v.into())),
        ran_at: at.get("date").map(|d| super::epoch(&d)).transpose()?,
        model: model(at),
        ..Found::default()
    };
    let says_limit = at.get("config").is_some_and(|c| c.node.has("limit"));
    for (task, results) in at.field("results")?.fields()? {
        let rows = rows(at, task, 0)?;
        if rows.is_none() && !says_limit {
            found.notes.push(format!(
                "{task}: the file says neither of how many rows (n-samples) nor whether the run was limited (config.limit): see that \
                 it was run whole"
            ));
        }
        for (key, value) in results.fields()? {
            let Some((metric, filter)) = key.split_once(',') else { continue };
            if metric.ends_with("_stderr") {
                continue;
            }
            let name = match filter {
                "none" => format!("{task}.{metric}"),
                _ => format!("{task}.{metric}.{filter}"),
            };
            let reading = value.reading()?;
            if reading == Reading::Finite(0.0) && BBQ.iter().any(|m| metric.starts_with(m)) {
                found.notes.push(format!(
                    "{name} is 0, which lm-eval writes also where no answer was biased or none was given: it is left out; \
                     look at the accuracy and at how many questions were answered"
                ));
                continue;
            }
            let spread = spread(&results, metric, filter, reading, rows)?;
            found.metrics.push(Metric { name, value: reading, rows, spread });
        }
    }
    if found.metrics.is_empty() && found.notes.is_empty() {
        bail!(
            "{}: wanted values under keys such as acc,none (lm-eval 0.4 or later), found none; run the tasks with such a \
             version",
            at.field("results")?.place()
        );
    }
    Ok(found)
}

/// How certain a value is, by its standard error; `N/A` and NaN say nothing.
fn spread(
    results: &At<'_>,
    metric: &str,
    filter: &str,
    value: Reading,
    rows: Option<u64>,
) -> anyhow::Result<Spread> {
    let Some(error) = results.get(&format!("{metric}_stderr,{filter}")) else { return Ok(Spread::Unknown) };
    if error.node == &Node::Text("N/A".into()) {
        return Ok(Spread::Unknown);
    }
    let (Some(value), Some(error)) = (value.finite(), error.reading()?.finite()) else {
        return Ok(Spread::Unknown);
    };
    Ok(Spread::of_mean(value, error, rows, SHARES.contains(&metric)))
}

/// Rows of a task, or of all tasks of a group. Where fewer were asked than there are, the run does not count.
fn rows(at: &At<'_>, task: &str, depth: usize) -> anyhow::Result<Option<u64>> {
    let samples = at.get("n-samples").and_then(|n| n.get(task));
    if let Some(samples) = samples {
        let (original, effective) =
            (samples.field("original")?.count()?, samples.field("effective")?.count()?);
        if effective != original {
            bail!(
                "{}: wanted all {original} rows of the task, found {effective}: a part of a test is no result of it; run lm-eval \
                 again without --limit and --samples",
                samples.place()
            );
        }
        return Ok(Some(effective));
    }
    let Some(parts) = at.get("group_subtasks").and_then(|g| g.get(task)) else { return Ok(None) };
    if depth == DEEPEST {
        bail!("{}: wanted groups of tasks that end, found one that goes {DEEPEST} deep", parts.place());
    }
    let mut sum = 0_u64;
    for part in parts.items()? {
        match rows(at, part.text()?, depth + 1)? {
            Some(rows) => sum = sum.saturating_add(rows),
            None => return Ok(None),
        }
    }
    Ok(Some(sum).filter(|sum| *sum > 0))
}

/// What was tested, in the file's words: `model_args` is a text in older versions and an object in newer ones.
fn model(at: &At<'_>) -> Option<String> {
    let config = at.get("config")?;
    let kind = config.node.text("model").unwrap_or("a model");
    let args = match config.get("model_args")?.node {
        Node::Text(text) => text.clone(),
        Node::Map(fields) => {
            let pairs = fields.iter().map(|(key, value)| match value {
                Node::Text(text) => format!("{key}={text}"),
                other => format!("{key}={}", other.words()),
            });
            pairs.collect::<Vec<_>>().join(",")
        }
        _ => String::new(),
    };
    Some(format!("{kind} {}", args.chars().take(160).collect::<String>()).trim_end().to_owned())
}
