//! Results of promptfoo (`promptfoo eval -o FILE.json`, results version 3): per prompt how many test cases met their
//! assertions. Read of version 0.121.20.

use std::collections::BTreeMap;

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
    whole(at, &results, items.len(), &mut found)?;
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

/// What is said where the test cases cannot be counted.
const UNCOUNTED: &str = "its configuration names files of test cases, which cannot be counted here: whether --filter options left some \
                         out is your word";

/// Refuses a run of some of the test cases: each of the configuration has at least one result per prompt and repetition.
fn whole(at: &At<'_>, results: &At<'_>, prompts: usize, said: &mut Found) -> anyhow::Result<()> {
    let Some(config) = at.get("config") else { return Ok(()) };
    let Some(tests) = config.get("tests") else { return Ok(()) };
    let listed = match tests.node {
        Node::List(tests) => tests.as_slice(),
        _ => &[],
    };
    if listed.is_empty() || listed.iter().any(|test| !matches!(test, Node::Map(_))) {
        said.notes.push(UNCOUNTED.into());
    }
    let by_default = config.node.get("defaultTest");
    let mut wanted = 0_usize;
    for test in listed.iter().filter(|test| matches!(test, Node::Map(_))) {
        // One that names prompts or providers of its own is asked of these alone.
        let asked = if test.get("prompts").or_else(|| test.get("providers")).is_some() { 1 } else { prompts };
        wanted = wanted.saturating_add(asked.saturating_mul(variants(test, by_default)));
    }
    let repeat = at.get("runtimeOptions").and_then(|o| o.get("repeat")).and_then(|r| r.count().ok());
    wanted = wanted.saturating_mul(usize::try_from(repeat.unwrap_or(1)).unwrap_or(usize::MAX).max(1));
    let ran = results.field("results")?;
    let found = ran.items()?.len();
    if found < wanted {
        bail!(
            "{}: wanted at least {wanted} results of {} test cases and {prompts} prompts, found {found}: whoever chooses the \
             rows chooses the result; run promptfoo again without --filter options",
            ran.place(),
            listed.len()
        );
    }
    Ok(())
}

/// How many test cases one of the configuration stands for: one for each combination of the values of variables that are
/// lists, unless it says that a list is one value.
fn variants(test: &Node, by_default: Option<&Node>) -> usize {
    let of = |node: &Node| {
        node.get("options").and_then(|o| o.get("disableVarExpansion")) == Some(&Node::Bool(true))
    };
    if of(test) || by_default.is_some_and(of) {
        return 1;
    }
    let vars = |node: Option<&Node>| -> BTreeMap<String, usize> {
        match node.and_then(|n| n.get("vars")) {
            Some(Node::Map(vars)) => vars.iter().map(|(name, value)| (name.clone(), size(value))).collect(),
            _ => BTreeMap::new(),
        }
    };
    let mut all = vars(by_default);
    all.extend(vars(Some(test)));
    all.values().fold(1, |product, size| product.saturating_mul(*size))
}

/// How many values a variable has.
fn size(value: &Node) -> usize {
    match value {
        Node::List(values) => values.len(),
        _ => 1,
    }
}
