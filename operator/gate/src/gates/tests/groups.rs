//! The groups of a report as the statistics read them, and what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use placet_api::scalar::{Decimal, Title};
use placet_api::testreport::{self, PositiveMeans as Means, TestReportSpec};
use unicode_normalization::UnicodeNormalization as _;
use unicode_security::skeleton;

use crate::fairness::{
    Bins, Counts, ErrorCounts, ErrorSums, Group, PositiveMeans, ScoreCounts, Source, Table, Tally, label,
};
use crate::visible::hidden;

/// The value of rows whose attribute is not known.
const MISSING: &str = "(missing)";

/// What is wrong with the counts of a report, if anything: what no test could be judged on, whatever policies ask for.
///
/// # Errors
/// What was wanted and what was found, in words.
pub fn check(spec: &TestReportSpec) -> Result<(), String> {
    let rows = spec.rows.and_then(|r| u64::try_from(r).ok());
    let within = |field: &str, why: String| format!("spec.{field}: {why}");
    if spec.groups.is_some() {
        let groups = counts(spec).map_err(|why| within("groups", why))?;
        checked(&groups, rows).map_err(|why| within("groups", why))?;
    }
    if spec.scores.is_some() {
        let groups = scores(spec).map_err(|why| within("scores", why))?;
        checked(&groups, rows).map_err(|why| within("scores", why))?;
        same_rows(spec, &groups).map_err(|why| within("scores", why))?;
    }
    if spec.errors.is_some() {
        let groups = errors(spec).map_err(|why| within("errors", why))?;
        checked(&groups, rows).map_err(|why| within("errors", why))?;
    }
    Ok(())
}

fn checked<C: Tally>(groups: &[Group<C>], rows: Option<u64>) -> Result<(), String> {
    look_alikes(groups)?;
    Table::of(groups, rows).map(|_| ()).map_err(|e| e.to_string())
}

/// Scores and confusion matrices of one report are of the same rows: the same groups with as many actual positives.
fn same_rows(spec: &TestReportSpec, scores: &[Group<ScoreCounts>]) -> Result<(), String> {
    let Some(Ok(counted)) = spec.groups.as_ref().map(|_| counts(spec)) else { return Ok(()) };
    let labels = |group: (u64, u64)| format!("{} actual positives and {} actual negatives", group.0, group.1);
    let of: BTreeMap<_, _> = counted
        .iter()
        .map(|g| (&g.attributes, (g.counts.positives(), g.counts.negatives())))
        .filter(|(_, (p, n))| p + n > 0)
        .collect();
    let with_rows = scores.iter().filter(|g| g.counts.rows() > 0);
    let mut seen = 0;
    for group in with_rows {
        let found = (group.counts.positives(), group.counts.negatives());
        match of.get(&group.attributes) {
            Some(wanted) if *wanted == found => seen += 1,
            Some(wanted) => {
                return Err(format!(
                    "{}: wanted {} as in spec.groups, found {}",
                    label(&group.attributes),
                    labels(*wanted),
                    labels(found)
                ));
            }
            None => {
                return Err(format!("wanted the groups of spec.groups, found {}", label(&group.attributes)));
            }
        }
    }
    if seen == of.len() {
        return Ok(());
    }
    Err(format!("wanted the {} groups of spec.groups that have rows, found {seen} of them", of.len()))
}

/// An attribute that is asked for and that not every group of a report has.
pub(super) fn lacking<'a>(spec: &TestReportSpec, source: Source, sets: &'a [Vec<String>]) -> Option<&'a str> {
    let all = attributes(spec, source)?;
    sets.iter().flatten().map(String::as_str).find(|name| !all.iter().all(|of| of.contains_key(*name)))
}

/// The attributes of each group; None where the report has none of the source.
fn attributes(spec: &TestReportSpec, source: Source) -> Option<Vec<&BTreeMap<String, Title>>> {
    Some(match source {
        Source::Counts => spec.groups.as_ref()?.iter().map(|g| &g.attributes).collect(),
        Source::Scores => spec.scores.as_ref()?.groups.iter().map(|g| &g.attributes).collect(),
        Source::Errors => spec.errors.as_ref()?.groups.iter().map(|g| &g.attributes).collect(),
    })
}

/// Categories that are asked for and that no group of a report has: `sex=other`.
pub(super) fn left_out(
    spec: &TestReportSpec,
    source: Source,
    categories: &BTreeMap<String, BTreeSet<String>>,
) -> Vec<String> {
    let all = attributes(spec, source).unwrap_or_default();
    let there =
        |name: &str, value: &str| all.iter().any(|of| of.get(name).is_some_and(|v| v.as_str() == value));
    let asked = categories.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    asked.filter(|(name, value)| !there(name, value)).map(|(name, value)| format!("{name}={value}")).collect()
}

fn named(attributes: &BTreeMap<String, Title>) -> BTreeMap<String, String> {
    attributes.iter().map(|(k, v)| (k.clone(), v.to_string())).collect()
}

/// Confusion matrices.
pub(super) fn counts(spec: &TestReportSpec) -> Result<Vec<Group>, String> {
    of_rows(spec.groups.as_deref().ok_or("wanted raw counts per group (spec.groups), found none")?)
}

/// The same of groups that are there.
pub(super) fn of_rows(groups: &[testreport::GroupCounts]) -> Result<Vec<Group>, String> {
    groups
        .iter()
        .map(|g| {
            let counts = Counts::new(g.rows, g.tp, g.fp, g.fn_, g.tn).map_err(|e| e.to_string())?;
            Ok(Group { attributes: named(&g.attributes), counts })
        })
        .collect()
}

/// What a positive prediction means, as the statistics read it.
pub(super) fn means(spec: &TestReportSpec) -> Result<PositiveMeans, String> {
    Ok(match spec.positive_means.ok_or("wanted positiveMeans, found none")? {
        Means::Favourable => PositiveMeans::Favourable,
        Means::Unfavourable => PositiveMeans::Unfavourable,
    })
}

fn bins(of: &testreport::Bins) -> Result<Arc<Bins>, String> {
    let numbers = |list: &[Decimal]| list.iter().map(Decimal::value).collect::<Vec<f64>>();
    let bins = match (&of.edges, &of.values) {
        (Some(edges), None) => Bins::between(&numbers(edges)),
        (None, Some(values)) => Bins::of_values(&numbers(values)),
        _ => return Err("bins: wanted edges or values, found both or neither".to_owned()),
    };
    bins.map(Arc::new).map_err(|e| e.to_string())
}

/// Histograms of scores.
pub(super) fn scores(spec: &TestReportSpec) -> Result<Vec<Group<ScoreCounts>>, String> {
    let scores =
        spec.scores.as_ref().ok_or("wanted histograms of the scores by label (spec.scores), found none")?;
    let bins = bins(&scores.bins)?;
    let group = |g: &testreport::GroupScores| {
        let attributes = named(&g.attributes);
        let counts = ScoreCounts::new(Arc::clone(&bins), g.rows, &g.positive, &g.negative)
            .map_err(|e| format!("{}: {e}", label(&attributes)))?;
        Ok(Group { attributes, counts })
    };
    scores.groups.iter().map(group).collect()
}

/// Errors of a regression.
pub(super) fn errors(spec: &TestReportSpec) -> Result<Vec<Group<ErrorCounts>>, String> {
    let errors =
        spec.errors.as_ref().ok_or("wanted sums of the errors of a regression (spec.errors), found none")?;
    let bins = errors.bins.as_ref().map(bins).transpose()?;
    let group = |g: &testreport::GroupErrors| {
        let attributes = named(&g.attributes);
        let counted = match (&bins, &g.histogram) {
            (Some(bins), Some(counts)) => Some((Arc::clone(bins), counts.as_slice())),
            (None, None) => None,
            _ => return Err(format!("{}: wanted histograms with bins", label(&attributes))),
        };
        let sums = ErrorSums {
            sum: g.sum.billionths(),
            squares: g.sum_of_squares.billionths(),
            absolutes: g.sum_of_absolutes.billionths(),
        };
        let counts =
            ErrorCounts::new(g.rows, sums, counted).map_err(|e| format!("{}: {e}", label(&attributes)))?;
        Ok(Group { attributes, counts })
    };
    errors.groups.iter().map(group).collect()
}

/// What people see of a value: without case, white space, characters that are not seen and punctuation around it, and with
/// each letter as the one that it is confused with (UTS #39, section 4).
fn plain(value: &str) -> String {
    let folded: String = value.nfkc().collect::<String>().to_lowercase();
    let seen: String = skeleton(&folded).filter(|c| !hidden(*c)).collect();
    let words: Vec<&str> = seen.split_whitespace().collect();
    words.join(" ").trim_matches(['(', ')', '[', ']', '.', ',', ';', ':', '\'', '"', '_', '-']).to_owned()
}

/// Refuses values of an attribute that are taken for one another: one group under two names hides another.
pub(super) fn look_alikes<C>(groups: &[Group<C>]) -> Result<(), String> {
    let mut seen: BTreeMap<(&str, String), &str> = BTreeMap::new();
    for (attribute, value) in groups.iter().flat_map(|g| &g.attributes) {
        let first = *seen.entry((attribute, plain(value))).or_insert(value);
        if first != value {
            return Err(format!(
                "{attribute}: wanted one name for each value, found {first:?} and {value:?}"
            ));
        }
    }
    Ok(())
}

/// Refuses an attribute of which only one value is known: rows of unknown value are no group that is compared with.
pub(super) fn two_known<C>(groups: &[Group<C>], sets: &[Vec<String>]) -> Result<(), String> {
    for attribute in sets.iter().flatten() {
        let values: BTreeSet<&str> =
            groups.iter().filter_map(|g| g.attributes.get(attribute)).map(String::as_str).collect();
        if values.contains(MISSING) && values.len() < 3 {
            return Err(format!(
                "{attribute}: wanted two groups beside {MISSING}, found {}",
                values.into_iter().filter(|v| *v != MISSING).collect::<Vec<_>>().join("")
            ));
        }
    }
    Ok(())
}
