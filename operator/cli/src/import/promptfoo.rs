//! Results of promptfoo (`promptfoo eval -o FILE.json`, results version 3): per prompt how many test cases met their
//! assertions. Read of version 0.121.20.

use anyhow::bail;

use super::found::{Found, Metric, Spread, float};
use super::node::{At, Node, Reading};

/// What the file says.
pub fn read(at: &At<'_>) -> anyhow::Result<Found> {
    let results = at.field("results")?;
    let metadata = at.get("metadata");
    let version = metadata.as_ref().and_then(|m| m.get("promptfooVersion"));
    let ran =
        results.get("timestamp").or_else(|| metadata.as_ref().and_then(|m| m.get("evaluationCreatedAt")));
    let mut found = Found {
        tool: version.map(|v| v.text()).transpose()?.map(|v| ("promptfoo".into(), v.into())),
        ran_at: ran.map(|t| super::time(&t)).transpose()?,
        ..Found::default()
    };
    let prompts = results.field("prompts")?;
    let items = prompts.items()?;
    whole(at, &results, items.len())?;
    for (i, prompt) in items.iter().enumerate() {
        let provider = prompt.field("provider")?.text()?;
        match &found.model {
            Some(other) if other != provider => bail!(
                "{}: wanted results of one provider, since a report is about one artefact, found {other} and {provider}; run \
                 promptfoo with --filter-providers for each",
                prompts.place()
            ),
            _ => found.model = Some(provider.to_owned()),
        }
        let metrics = prompt.field("metrics")?;
        let count = |name: &str| metrics.field(name)?.count();
        let (met, not, errors) = (count("testPassCount")?, count("testFailCount")?, count("testErrorCount")?);
        if errors > 0 {
            bail!(
                "{}: wanted an answer to every test case, found {errors} that ended with an error: what could not be asked is \
                 missing from the result; run promptfoo again (promptfoo retry)",
                metrics.place()
            );
        }
        let all = met.saturating_add(not);
        let value =
            if all == 0 { Reading::NonFinite("0/0") } else { Reading::Finite(float(met) / float(all)) };
        let name = format!("prompt-{}.assertions-met", i + 1);
        if let Some(label) = prompt.node.text("label") {
            let label: String = label.chars().take(60).collect();
            found.notes.push(format!("{name}: prompt {label:?}"));
        }
        found.metrics.push(Metric {
            name,
            value,
            rows: Some(all).filter(|n| *n > 0),
            spread: Spread::share(met, all),
        });
    }
    if found.metrics.is_empty() {
        return Err(prompts.wanted("at least one prompt"));
    }
    Ok(found)
}

/// Refuses a run of some of the test cases: each of the configuration has at least one result per prompt.
fn whole(at: &At<'_>, results: &At<'_>, prompts: usize) -> anyhow::Result<()> {
    let Some(tests) = at.get("config").and_then(|c| c.get("tests")) else { return Ok(()) };
    let Node::List(tests) = tests.node else { return Ok(()) };
    // Files of test cases are named there, not listed.
    if tests.iter().any(|test| !matches!(test, Node::Map(_))) {
        return Ok(());
    }
    // One that names prompts or providers of its own is asked of these alone.
    let of_all = tests.iter().filter(|t| t.get("prompts").or_else(|| t.get("providers")).is_none()).count();
    let wanted = of_all.saturating_mul(prompts).saturating_add(tests.len() - of_all);
    let ran = results.field("results")?;
    let found = ran.items()?.len();
    if found < wanted {
        bail!(
            "{}: wanted at least {wanted} results of {} test cases and {prompts} prompts, found {found}: whoever chooses the \
             rows chooses the result; run promptfoo again without --filter options",
            ran.place(),
            tests.len()
        );
    }
    Ok(())
}
