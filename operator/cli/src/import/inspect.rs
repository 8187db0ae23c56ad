//! A log of `inspect_ai` in JSON (`--log-format json`, or `inspect log dump`): per scorer metrics of all samples. Read of
//! version 0.3.285 (log version 2).

use anyhow::{anyhow, bail};

use super::found::{Found, Metric, Spread};
use super::node::{At, Node};

/// Metrics that are a standard error of the mean beside them.
const ERRORS: [&str; 2] = ["stderr", "bootstrap_stderr"];

/// Metrics that are a mean of all samples.
const MEANS: [&str; 2] = ["accuracy", "mean"];

/// What the file says.
pub fn read(at: &At<'_>) -> anyhow::Result<Found> {
    let all = whole(at)?;
    let eval = at.field("eval")?;
    let stats = at.get("stats");
    let ended =
        stats.as_ref().and_then(|s| s.get("completed_at")).filter(|t| t.node != &Node::Text(String::new()));
    let ran_at = ended.or_else(|| eval.get("created"));
    let mut found = Found {
        tool: eval
            .get("packages")
            .and_then(|p| p.get("inspect_ai"))
            .map(|v| v.text())
            .transpose()?
            .map(|v| ("inspect".into(), v.into())),
        ran_at: ran_at.map(|t| super::time(&t)).transpose()?,
        model: eval.get("model").map(|m| m.text()).transpose()?.map(str::to_owned),
        ..Found::default()
    };
    let task = eval.field("task")?.text()?;
    for score in at.field("results")?.field("scores")?.items()? {
        scores(&score, task, all, &mut found)?;
    }
    Ok(found)
}

/// How many samples were run.
#[derive(Clone, Copy)]
struct Samples {
    /// In all epochs together.
    runs: u64,
    /// In each of them, of which a reducer makes one score a sample.
    of_one_epoch: u64,
}

/// Refuses what is not the whole of a test that went well.
fn whole(at: &At<'_>) -> anyhow::Result<Samples> {
    let again = "run the task again";
    let status = at.field("status")?;
    if status.text()? != "success" {
        let why = at.get("error").and_then(|e| e.node.text("message").map(str::to_owned)).unwrap_or_default();
        let why: String = why.chars().take(120).collect();
        let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
        bail!(
            "{}: wanted a run that ended with success, found {}{why}; {again}",
            status.place(),
            status.text()?
        );
    }
    if let Some(invalidated) = at.get("invalidated")
        && invalidated.bool()?
    {
        bail!(
            "{}: wanted a run whose samples are all valid, found that somebody invalidated some; {again}",
            invalidated.place()
        );
    }
    let eval = at.field("eval")?;
    if let Some(dirty) = eval.get("revision").and_then(|r| r.get("dirty"))
        && dirty.bool()?
    {
        bail!(
            "{}: wanted a run of committed code, found a work tree with changes, so that nobody can run the same again; commit, \
             and {again}",
            dirty.place()
        );
    }
    if let Some(config) = eval.get("config") {
        for option in ["limit", "sample_id"] {
            if let Some(chosen) = config.get(option) {
                bail!(
                    "{}: wanted a run on the whole dataset, found {option} {}: whoever chooses the rows chooses the result; \
                     {again} without --{}",
                    chosen.place(),
                    chosen.node.words(),
                    option.replace('_', "-")
                );
            }
        }
    }
    let results = at.field("results")?;
    if let Some(early) = results.get("early_stopping") {
        bail!(
            "{}: wanted a run of all samples, found one that stopped early; {again} to its end",
            early.place()
        );
    }
    let total = results.field("total_samples")?.count()?;
    for part in
        [Some(results.field("completed_samples")?), results.get("logged_samples")].into_iter().flatten()
    {
        if part.count()? != total {
            bail!(
                "{}: wanted all {total} samples, found {}; see which failed (inspect view), and {again}",
                part.place(),
                part.node.words()
            );
        }
    }
    let epochs = eval.get("config").and_then(|c| c.get("epochs")).map_or(Ok(1), |e| e.count())?;
    if let Some(samples) = eval.get("dataset").and_then(|d| d.get("samples")) {
        let planned = samples.count()?.saturating_mul(epochs);
        if planned != total {
            bail!(
                "{}: wanted {planned} samples, the dataset's {} in {epochs} epochs, found {total}; {again} on the whole dataset",
                results.place(),
                samples.node.words()
            );
        }
    }
    Ok(Samples { runs: total, of_one_epoch: total / epochs.max(1) })
}

/// The metrics of a scorer.
fn scores(score: &At<'_>, task: &str, all: Samples, found: &mut Found) -> anyhow::Result<()> {
    // Of several epochs there is one score per way of putting them together; the mean is the usual one.
    let mut name = score.field("name")?.text()?.to_owned();
    if let Some(reducer) = score.node.text("reducer").filter(|r| *r != "mean") {
        name = format!("{name}.{reducer}");
    }
    let rows = score.get("scored_samples").map(|n| n.count()).transpose()?;
    if let Some(scored) = score.get("scored_samples")
        && ![all.runs, all.of_one_epoch].contains(&scored.count()?)
    {
        return Err(anyhow!(
            "{}: wanted a score of every sample, {}, found {}: what could not be scored is missing from the result; see which \
             (inspect view), and score again (inspect score)",
            scored.place(),
            all.of_one_epoch,
            scored.node.words()
        ));
    }
    if let Some(unscored) = score.get("unscored_samples")
        && unscored.count()? > 0
    {
        return Err(anyhow!(
            "{}: wanted a score of every sample, found {} without one: what could not be scored is missing from the result; see \
             which (inspect view), and score again (inspect score)",
            unscored.place(),
            unscored.node.words()
        ));
    }
    let metrics = score.field("metrics")?.fields()?;
    let mut errors = metrics.iter().filter(|(key, _)| ERRORS.contains(key));
    // Of two, nobody says of which mean each is.
    let error = match (errors.next(), errors.next()) {
        (Some((_, only)), None) => only.field("value")?.reading()?.finite(),
        _ => None,
    };
    for (key, metric) in &metrics {
        if ERRORS.contains(key) {
            continue;
        }
        let value = metric.field("value")?.reading()?;
        let group = metric.node.text("group").map_or(String::new(), |g| format!("{g}."));
        let spread = match (value.finite(), error) {
            (Some(value), Some(error)) if MEANS.contains(key) => {
                Spread::of_mean(value, error, rows, *key == "accuracy")
            }
            _ => Spread::Unknown,
        };
        found.metrics.push(Metric { name: format!("{task}.{name}.{group}{key}"), value, rows, spread });
    }
    Ok(())
}
