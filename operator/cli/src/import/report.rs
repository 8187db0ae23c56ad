//! The report that a file becomes: what the file says, what the options say, and nothing that either leaves out.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, anyhow, bail};
use placet_api::scalar::{Decimal, Digest, Id, Name, Title};
use placet_gate::fairness::{Group, PositiveMeans, Table, normal};
use serde_json::{Value, json};

use super::args::{ImportArgs, Source};
use super::found::{Found, Metric, Round, decimal};
use super::node::{MOST, Reading};
use crate::args::{PositiveArg, TestTypeArg};
use crate::text;

/// Metrics in one report, by the API's schema.
const MOST_METRICS: usize = 64;

/// Groups in one report, by the API's schema.
const MOST_GROUPS: usize = placet_gate::fairness::MAX_GROUPS;

/// Names in one message at most; beyond, they are counted.
const MOST_NAMES: usize = 12;

/// A report and what people should know of it.
#[derive(Debug)]
pub struct Made {
    /// The object.
    pub object: Value,
    /// One line each.
    pub notes: Vec<String>,
}

/// Makes the report.
pub fn make(
    namespace: Option<&str>,
    args: &ImportArgs,
    mut found: Found,
    file: &str,
) -> anyhow::Result<Made> {
    let artifact = artifact(args, &found, file)?;
    let dataset = dataset(args, &found, file)?;
    let (tool, version) = tool(args, &found, file)?;
    let ran_at = ran_at(args, &found, file)?;
    let type_ = args.type_.unwrap_or_else(|| args.from.usual());
    let mut notes = std::mem::take(&mut found.notes);
    if let Some(model) = found.model.as_ref().filter(|_| found.artifacts.is_empty()) {
        notes.push(format!(
            "it says that {model:?} was tested; that this is {} nobody but you says (--artifact)",
            text::short(&artifact)
        ));
    }
    let mut spec = json!({
        "type": format!("{type_:?}"),
        "artifact": artifact,
        "dataset": dataset,
        "tool": {"name": tool, "version": version},
        "ranAt": ran_at,
    });
    let of_people = args.from == Source::Counts;
    if of_people {
        spec["positiveMeans"] = format!("{:?}", positive(args, &found, file)?).into();
    } else if type_ == TestTypeArg::Bias {
        bail!(
            "--type: a Bias report holds raw counts per group of people, found none in {}; count per group and give --from \
             counts, or give another type (Safety)",
            args.from.words()
        );
    } else if args.positive_means.is_some() {
        bail!("--positive-means: wanted with --from counts only, found with --from {}", args.from.option());
    }
    let counted = groups(&found.groups, file)?;
    if let Some((groups, rows)) = counted {
        if let Some(given) = args.rows.filter(|given| *given != rows) {
            bail!("--rows: wanted {rows}, the rows that {file} counts, found {given}; leave it out");
        }
        spec["rows"] = rows.into();
        spec["groups"] = groups.into();
    }
    let metrics = metrics(args, &found, file, &mut notes)?;
    if !metrics.is_empty() {
        // What a policy's minRows asks of: the rows of the whole report.
        let rows: BTreeSet<u64> = metrics.iter().filter_map(|m| m["rows"].as_u64()).collect();
        match rows.first().filter(|_| rows.len() == 1) {
            Some(rows) if spec.get("rows").is_none() => spec["rows"] = (*rows).into(),
            None => notes.push(
                "its metrics are of different numbers of rows, so that the report says no number for all: where a policy asks \
                 for minRows, import one metric a report (--metric)"
                    .into(),
            ),
            _ => {}
        }
        spec["metrics"] = metrics.into();
    } else if spec.get("groups").is_none() {
        bail!("{file}: wanted at least one value that is a number, found none{}", left_out(&found.metrics));
    }
    let short = &artifact["sha256:".len()..][..12];
    let usual = text::object_name(&[args.from.option(), &format!("{type_:?}"), short]);
    let name = args.name.clone().unwrap_or_else(|| text::with_hash(&usual, &spec.to_string()));
    Name::new(name.as_str()).context("--name")?;
    serde_json::from_value::<placet_api::testreport::TestReportSpec>(spec.clone())
        .with_context(|| format!("{file}: what would be the TestReport"))?;
    let mut metadata = json!({"name": name});
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    let object = json!({"apiVersion": "placet.dev/v1alpha1", "kind": "TestReport", "metadata": metadata, "spec": spec});
    Ok(Made { object, notes })
}

/// What was tested: by the option, and by the file where it says it.
fn artifact(args: &ImportArgs, found: &Found, file: &str) -> anyhow::Result<Digest> {
    let artifact = Digest::new(args.artifact.as_str()).context("--artifact")?;
    if !found.artifacts.is_empty() && !found.artifacts.iter().any(|d| *d == *artifact) {
        bail!(
            "{file}: wanted results on the artefact {}, found results on {}; give the digest of what was tested, or the file of \
             that artefact",
            artifact.as_str(),
            some(found.artifacts.iter().map(String::as_str))
        );
    }
    Ok(artifact)
}

fn dataset(args: &ImportArgs, found: &Found, file: &str) -> anyhow::Result<Digest> {
    let said = found.dataset.as_deref();
    match (args.dataset.as_deref(), said) {
        (Some(given), Some(said)) if given != said => bail!(
            "{file}: wanted results on the dataset {given}, found results on {said}; leave out --dataset, or import the file of \
             that dataset"
        ),
        (Some(given), _) => Digest::new(given).context("--dataset"),
        (None, Some(said)) => Digest::new(said).with_context(|| format!("{file}: dataset")),
        (None, None) => bail!(
            "{file}: wanted the digest of the dataset that was tested on, found none in the file; give --dataset sha256:…, the \
             digest that the release lists with use: Evaluation"
        ),
    }
}

fn tool(args: &ImportArgs, found: &Found, file: &str) -> anyhow::Result<(Title, Title)> {
    let given = match &args.tool {
        Some(given) => Some(
            given
                .split_once('@')
                .filter(|(tool, version)| !tool.is_empty() && !version.is_empty())
                .with_context(|| format!("--tool: wanted NAME@VERSION, found {given:?}"))?,
        ),
        None => None,
    };
    let said = found.tool.as_ref().map(|(name, version)| (name.as_str(), version.as_str()));
    let (name, version) = match (given, said) {
        (Some(given), Some(said)) if given != said => bail!(
            "--tool: wanted {}@{}, as {file} says, found {}@{}; leave it out",
            said.0,
            said.1,
            given.0,
            given.1
        ),
        (Some((name, _)), None) if !args.from.of_any_tool() && name != args.from.option() => {
            bail!("--tool: wanted {0}@VERSION, since {file} is of {0}, found {name}", args.from.option())
        }
        (Some(tool), _) | (None, Some(tool)) => tool,
        (None, None) => bail!(
            "{file}: wanted the version of the tool that ran the test, found none in the file; give --tool {}@VERSION",
            if args.from.of_any_tool() { "NAME" } else { args.from.option() }
        ),
    };
    Ok((Title::new(name).context("--tool")?, Title::new(version).context("--tool")?))
}

fn ran_at(args: &ImportArgs, found: &Found, file: &str) -> anyhow::Result<String> {
    match (&args.ran_at, &found.ran_at) {
        (Some(given), Some(said)) if given != said => {
            bail!("--ran-at: wanted {said}, as {file} says, found {given}; leave it out")
        }
        (Some(given), _) => {
            text::moment("--ran-at", given)?;
            Ok(given.clone())
        }
        (None, Some(said)) => Ok(said.clone()),
        (None, None) => bail!(
            "{file}: wanted when the test ran, found no time in the file; give --ran-at 2026-11-22T06:55:00Z (the time of the \
             run, not of the import: from then on it grows old)"
        ),
    }
}

fn positive(args: &ImportArgs, found: &Found, file: &str) -> anyhow::Result<PositiveMeans> {
    let given = args.positive_means.map(|means| match means {
        PositiveArg::Favourable => PositiveMeans::Favourable,
        PositiveArg::Unfavourable => PositiveMeans::Unfavourable,
    });
    match (given, found.positive_means) {
        (Some(given), Some(said)) if given != said => {
            bail!("--positive-means: wanted {said:?}, as {file} says, found {given:?}; leave it out")
        }
        (Some(means), _) | (None, Some(means)) => Ok(means),
        (None, None) => bail!(
            "{file}: wanted what a positive prediction means for the person, found nothing that says it; give --positive-means \
             Favourable (a loan granted) or Unfavourable (flagged as a risk)"
        ),
    }
}

/// Groups as the API has them, and the rows in all of them.
fn groups(groups: &[Group], file: &str) -> anyhow::Result<Option<(Vec<Value>, u64)>> {
    if groups.is_empty() {
        return Ok(None);
    }
    if groups.len() > MOST_GROUPS {
        bail!(
            "{file}: wanted at most {MOST_GROUPS} groups, found {}; count by fewer attributes, or put small values together",
            groups.len()
        );
    }
    // The same check as the gate's: groups that appear twice, too many rows.
    let rows = Table::new(groups, PositiveMeans::Favourable, None).with_context(|| file.to_owned())?.rows();
    if rows == 0 {
        bail!("{file}: wanted at least one row counted, found only zeros");
    }
    let values = groups
        .iter()
        .map(|g| {
            let c = g.counts;
            json!({"attributes": g.attributes, "rows": c.n(), "tp": c.tp(), "fp": c.fp(), "fn": c.fn_(), "tn": c.tn()})
        })
        .collect();
    Ok(Some((values, rows)))
}

/// A metric that goes into the report, under its name there.
struct Chosen<'a> {
    id: Id,
    metric: &'a Metric,
}

/// Each metric once. One that stands there twice and is the same is one.
fn unique<'a>(metrics: &'a [Metric], file: &str) -> anyhow::Result<Vec<&'a Metric>> {
    let mut seen: BTreeMap<&str, &Metric> = BTreeMap::new();
    let mut once = Vec::new();
    for metric in metrics {
        match seen.insert(&metric.name, metric) {
            None => once.push(metric),
            Some(other) if other == metric => {}
            Some(other) => bail!(
                "{file}: wanted one metric of each name, found two called {} ({} and {}); leave one of them in the file",
                metric.name,
                other.value,
                metric.value
            ),
        }
    }
    Ok(once)
}

/// The metrics that were asked for; all that are numbers where none was.
fn choose<'a>(
    args: &ImportArgs,
    metrics: &'a [Metric],
    file: &str,
    notes: &mut Vec<String>,
) -> anyhow::Result<Vec<Chosen<'a>>> {
    let metrics = unique(metrics, file)?;
    let called = |name: &str| metrics.iter().copied().find(|m| m.name == name);
    let mut chosen = Vec::new();
    for asked in &args.metrics {
        // A name of a tool may hold the sign as well (Evidently's do): the whole is tried first.
        let whole = called(asked).map(|m| (None, m));
        let part = || {
            let (id, name) = asked.split_once('=')?;
            called(name).map(|m| (Some(id), m))
        };
        let (id, metric) = whole.or_else(part).ok_or_else(|| {
            anyhow!(
                "--metric: wanted the name of a metric in {file} ({}), found {asked}",
                some(metrics.iter().map(|m| m.name.as_str()))
            )
        })?;
        if let Reading::NonFinite(word) = metric.value {
            bail!(
                "--metric: wanted a number, found {} = {word} in {file}: it was not computed (often a class, a group or a \
                 denominator without rows); test on data that has them",
                metric.name
            );
        }
        let id = match id {
            Some(id) => Id::new(id).with_context(|| format!("--metric {asked}"))?,
            None => id_of(&metric.name)?,
        };
        chosen.push(Chosen { id, metric });
    }
    if args.metrics.is_empty() {
        for metric in &metrics {
            match metric.value {
                Reading::Finite(_) => chosen.push(Chosen { id: id_of(&metric.name)?, metric }),
                Reading::NonFinite(word) => notes.push(format!(
                    "{} is {word}, which is no value: it is left out, and a policy that asks for it finds none",
                    metric.name
                )),
            }
        }
    }
    if chosen.len() > MOST_METRICS {
        bail!(
            "{file}: wanted at most {MOST_METRICS} metrics in a report, found {}; choose with --metric NAME, for example {}",
            chosen.len(),
            some(metrics.iter().map(|m| m.name.as_str()))
        );
    }
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for Chosen { id, metric } in &chosen {
        if let Some(other) = seen.insert(id, &metric.name) {
            bail!(
                "{file}: wanted one metric of each name, found {other} and {}, both {id} in a report; give one another name: \
                 --metric ID={}",
                metric.name,
                metric.name
            );
        }
    }
    Ok(chosen)
}

/// The metrics as the API has them.
fn metrics(
    args: &ImportArgs,
    found: &Found,
    file: &str,
    notes: &mut Vec<String>,
) -> anyhow::Result<Vec<Value>> {
    let confidence = Decimal::new(args.confidence.as_str()).context("--confidence")?;
    let z = normal::z_two_sided(confidence.value())
        .filter(|_| (0.5..1.0).contains(&confidence.value()))
        .with_context(|| {
            format!("--confidence: wanted at least 0.5 and less than 1, found {}", args.confidence)
        })?;
    let mut values = Vec::new();
    let mut without = Vec::new();
    for Chosen { id, metric } in choose(args, &found.metrics, file, notes)? {
        let Reading::Finite(value) = metric.value else { continue };
        let name = &metric.name;
        let write = |what: &str, number: f64, round: Round| {
            decimal(number, round).with_context(|| {
                format!(
                    "{file}: {name}: wanted {what} below 10^12, the API's bound, found {number:e}; leave it out by naming the \
                     others (--metric)"
                )
            })
        };
        let rows = match (metric.rows, args.rows) {
            (Some(said), Some(given)) if said != given => {
                bail!("--rows: wanted {said}, as {file} says of {name}, found {given}; leave it out")
            }
            (Some(rows), _) | (None, Some(rows)) if rows > 0 && rows <= MOST => rows,
            (Some(rows), _) => bail!("{file}: {name}: wanted at least one row, found {rows}"),
            (None, _) => bail!(
                "{file}: {name}: wanted the number of rows that it was computed from, found none in the file; give --rows N"
            ),
        };
        let mut entry = json!({"name": id, "value": write("a value", value, Round::Nearest)?, "rows": rows});
        match metric.spread.interval(value, z) {
            Some((lower, upper)) => {
                entry["lower"] = write("a lower bound", lower, Round::Down)?.into();
                entry["upper"] = write("an upper bound", upper, Round::Up)?.into();
                entry["confidence"] = confidence.as_str().into();
                entry["method"] = metric.spread.method().into();
            }
            None => without.push(name.as_str()),
        }
        values.push(entry);
    }
    if !without.is_empty() {
        notes.push(format!(
            "{}: the file does not say how certain that is, so that the report has no interval, and a test of it stays \
             Indeterminate",
            some(without.into_iter())
        ));
    }
    Ok(values)
}

/// A name that the API takes: what it does not take becomes `_`.
fn id_of(name: &str) -> anyhow::Result<Id> {
    let mut id = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || "-._".contains(c) {
            id.push(c);
        } else if !id.ends_with('_') {
            id.push('_');
        }
    }
    let trimmed = id.trim_matches(['-', '.', '_']);
    Id::new(trimmed)
        .with_context(|| format!("{name}: give it a shorter name, for example --metric Accuracy={name}"))
}

/// Some names, and how many more there are.
fn some<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let shown = names.iter().take(MOST_NAMES).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST_NAMES) {
        0 if names.is_empty() => "none".into(),
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// What was there and is no number.
fn left_out(metrics: &[Metric]) -> String {
    if metrics.is_empty() {
        return "; look whether the tool computed any metric".into();
    }
    let all: Vec<String> = metrics.iter().map(|m| format!("{} = {}", m.name, m.value)).collect();
    format!(
        ": {}; what is not computed is no result: test on data that has every class and group",
        some(all.iter().map(String::as_str))
    )
}
