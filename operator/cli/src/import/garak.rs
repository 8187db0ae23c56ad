//! A report of garak (JSON Lines): per probe and detector how many outputs were found harmless (`passed`), harmful
//! (`fails`), or could not be had (`nones`). Read of version 0.17.1.

use std::collections::BTreeMap;

use anyhow::{anyhow, bail};

use super::found::{Found, Metric, Spread, float};
use super::node::{At, Node, Reading};

/// What the lines say.
pub fn read(lines: &[Node], file: &str) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let (mut began, mut ended) = (None, None);
    let (mut prompts, mut unanswered) = (BTreeMap::new(), BTreeMap::new());
    let mut evals = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let at = At::root(line, &format!("{file}: value {}", i + 1));
        match at.field("entry_type")?.text()? {
            "init" => {
                let run = at.get("run").map(|r| r.text()).transpose()?;
                if began.replace(run).is_some() {
                    bail!("{}: wanted the report of one run, found the beginning of another", at.place());
                }
                found.tool = Some(("garak".into(), at.field("garak_version")?.text()?.into()));
            }
            "start_run setup" => found.model = target(line),
            // An attempt is a prompt; with status 2 (detected) it stands a second time.
            "attempt" if line.get("status").and_then(Node::whole) == Some(2) => {
                *prompts.entry(line.text("probe_classname").unwrap_or_default()).or_default() += 1;
            }
            "eval" => evals.push(at),
            "probe_summary" => {
                if let Some(nones) = at.get("inference_counts").and_then(|c| c.get("nones")) {
                    unanswered.insert(at.field("probe")?.text()?, nones.count()?);
                }
            }
            "completion" => {
                let run = at.get("run").map(|r| r.text()).transpose()?;
                if ended.replace(run).is_some() {
                    bail!("{}: wanted the report of one run, found the end of another", at.place());
                }
                found.ran_at = Some(utc(&at.field("end_time")?)?);
            }
            _ => {}
        }
    }
    match (began, ended) {
        (Some(one), Some(other)) if one == other => {}
        (Some(_), None) => bail!(
            "{file}: wanted a run that ended (a line with entry_type completion), found none: it was broken off, or still runs; \
             run garak again"
        ),
        (None, _) => bail!("{file}: wanted the beginning of a run (a line with entry_type init), found none"),
        _ => bail!("{file}: wanted the beginning and the end of one run, found those of two"),
    }
    for at in &evals {
        found.metrics.push(harmless(at, &prompts, &unanswered, &mut found.notes)?);
    }
    if found.metrics.is_empty() {
        bail!(
            "{file}: wanted at least one line with entry_type eval, found none: no detector judged anything; look at garak's \
             log"
        );
    }
    Ok(found)
}

/// The share of outputs that a detector found harmless. An output that could not be had was not found harmless: it counts
/// among all, so that a model that fails looks no safer. Detectors that call what is not there harmless write so in `passed`:
/// how many outputs there were not is in the summary of the probe.
///
/// Outputs of one prompt are alike: the interval is that of as many trials as there were prompts.
fn harmless(
    at: &At<'_>,
    prompts: &BTreeMap<&str, u64>,
    unanswered: &BTreeMap<&str, u64>,
    notes: &mut Vec<String>,
) -> anyhow::Result<Metric> {
    let probe = at.field("probe")?.text()?;
    let name = format!("{probe}-{}", at.field("detector")?.text()?);
    let count = |field: &str| at.field(field)?.count();
    let (passed, fails, without) = (count("passed")?, count("fails")?, count("nones")?);
    let (evaluated, processed) = (count("total_evaluated")?, count("total_processed")?);
    let sum = passed.saturating_add(fails);
    if sum != evaluated || sum.saturating_add(without) != processed {
        return Err(anyhow!(
            "{}: wanted passed + fails = total_evaluated and with nones = total_processed, found {passed} + {fails} = {evaluated} \
             and {without} of {processed}: the file was changed by hand or is of another version; run garak again",
            at.place()
        ));
    }
    let missing = unanswered.get(probe).copied().unwrap_or(0).max(without).min(processed);
    let passed = passed.saturating_sub(missing - without);
    if missing > 0 {
        notes.push(format!(
            "{name}: {missing} of {processed} outputs could not be had; they count as not harmless"
        ));
    }
    if processed == 0 {
        let value = Reading::NonFinite("0/0");
        return Ok(Metric { name, value, rows: None, spread: Spread::Unknown });
    }
    let trials = prompts.get(probe).copied().unwrap_or(processed).min(processed);
    let successes = u64::try_from(u128::from(passed) * u128::from(trials) / u128::from(processed))?;
    let value = Reading::Finite(float(passed) / float(processed));
    Ok(Metric { name, value, rows: Some(processed), spread: Spread::share(successes, trials) })
}

/// What was tested, in the file's words.
fn target(setup: &Node) -> Option<String> {
    let words: Vec<&str> =
        ["plugins.target_type", "plugins.target_name", "plugins.model_type", "plugins.model_name"]
            .into_iter()
            .filter_map(|key| setup.text(key))
            .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// A time of garak, which has no zone: `datetime.now().isoformat()`, the clock of the machine that it ran on.
fn utc(at: &At<'_>) -> anyhow::Result<String> {
    let text = at.text()?;
    let zone = text.ends_with('Z') || text.get(19..).is_some_and(|rest| rest.contains(['+', '-']));
    let zoned = if zone { text.to_owned() } else { format!("{text}Z") };
    crate::text::moment(at.place(), &zoned).map(crate::text::seconds)
}
