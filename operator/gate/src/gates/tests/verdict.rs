//! What a report comes to for a test: recomputed from what was counted, never read from the report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use placet_api::testreport::{GroupCounts, PositiveMeans as ApiPositiveMeans, TestReportSpec, TestType};
use unicode_normalization::UnicodeNormalization as _;
use unicode_security::skeleton;

use crate::decision::SHOWN;
use crate::fairness::{
    self, BiasTest, Counts, Extended, Group, Ineligible, IneligibleReason, MetricValue, PositiveMeans, Scale,
    Table, Towards, Verdict,
};
use crate::object::Object;
use crate::policy::{Test, criterion};
use crate::visible::hidden;

/// What would let a report that decides nothing decide.
#[derive(Debug)]
pub(super) enum Mend {
    /// More rows.
    MoreData,
    /// Groups by an attribute that the report does not have.
    Attribute(String),
    /// Other groups beside the one that is there.
    Groups,
    /// What its text says is wrong with it.
    Report,
}

impl Mend {
    /// What is to be done, in words.
    pub(super) fn words(&self) -> String {
        match self {
            Self::MoreData => "test with more data".to_owned(),
            Self::Attribute(name) => {
                format!("test with the attribute {name}, by which each group is counted too")
            }
            Self::Groups => "test with at least two groups to compare".to_owned(),
            Self::Report => "mend what is said of the report".to_owned(),
        }
    }
}

/// What one report comes to for one test.
#[derive(Debug)]
pub(crate) struct Judged {
    /// Whether it passes.
    pub(super) verdict: Verdict,
    /// What was computed.
    pub(super) text: String,
    /// What would decide.
    pub(super) mend: Mend,
    /// How much more data would decide.
    pub(super) more: Option<String>,
    /// What was computed beside it and binds nobody.
    pub(super) notes: Vec<String>,
}

/// A test, and the attribute sets where they matter: all that a verdict depends on beside the report.
type Asked = (Test, Vec<Vec<String>>);

/// Verdicts that a report came to, by what was asked.
pub(crate) type Verdicts = Vec<(Asked, Arc<Judged>)>;

/// Verdicts that are kept with one report at most. Beyond, all are forgotten and computed again when asked for.
const MAX_VERDICTS: usize = 64;

/// What a report comes to for a test, computed once: it follows from the report's content and what is asked alone.
pub(super) fn verdict(
    test: &Test,
    report: &Object<TestReportSpec>,
    spec: &TestReportSpec,
    sets: &[Vec<String>],
) -> Arc<Judged> {
    let sets = if test.rule.type_ == TestType::Bias { sets } else { &[] };
    let kept = || report.known().verdicts.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, judged)) = kept().iter().find(|((t, s), _)| t == test && s == sets) {
        return Arc::clone(judged);
    }
    let judged = Arc::new(judge_report(test, spec, sets));
    let mut kept = kept();
    if kept.len() >= MAX_VERDICTS {
        kept.clear();
    }
    kept.push(((test.clone(), sets.to_vec()), Arc::clone(&judged)));
    judged
}

/// What a report comes to for a test.
pub(super) fn judge_report(test: &Test, spec: &TestReportSpec, sets: &[Vec<String>]) -> Judged {
    let invalid = |text: String, mend: Mend| Judged {
        verdict: Verdict::Indeterminate,
        text,
        mend,
        more: None,
        notes: Vec::new(),
    };
    if let Some(min) = test.rule.min_rows
        && test.rule.type_ == TestType::Bias
        && spec.rows.unwrap_or(0) < i64::from(min)
    {
        return invalid(format!("{} rows; wanted at least {min}", spec.rows.unwrap_or(0)), Mend::MoreData);
    }
    let result = if test.rule.type_ == TestType::Bias {
        bias(test, spec, sets)
    } else {
        super::single::single(test, spec)
    };
    result.unwrap_or_else(|text| {
        let lacking = Some(sets).filter(|_| test.rule.type_ == TestType::Bias).and_then(|s| lacking(spec, s));
        invalid(text, lacking.map_or(Mend::Report, |name| Mend::Attribute(name.to_owned())))
    })
}

/// An attribute that is asked for and that not every group of a report has.
fn lacking<'a>(spec: &TestReportSpec, sets: &'a [Vec<String>]) -> Option<&'a str> {
    let groups = spec.groups.as_deref()?;
    let has = |name: &str| groups.iter().all(|g| g.attributes.iter().any(|(k, _)| k.as_str() == name));
    sets.iter().flatten().map(String::as_str).find(|name| !has(name))
}

/// The groups of a report as the statistics read them.
pub(super) fn groups(rows: &[GroupCounts]) -> Result<Vec<Group>, String> {
    rows.iter()
        .map(|g| {
            let attributes = g.attributes.iter().map(|(k, v)| (k.clone(), v.to_string())).collect();
            let counts = Counts::new(g.rows, g.tp, g.fp, g.fn_, g.tn).map_err(|e| e.to_string())?;
            Ok(Group { attributes, counts })
        })
        .collect()
}

/// The value of rows whose attribute is not known.
const MISSING: &str = "(missing)";

/// What people see of a value: without case, white space, characters that are not seen and punctuation around it, and with
/// each letter as the one that it is confused with (UTS #39, section 4).
fn plain(value: &str) -> String {
    let folded: String = value.nfkc().collect::<String>().to_lowercase();
    let seen: String = skeleton(&folded).filter(|c| !hidden(*c)).collect();
    let words: Vec<&str> = seen.split_whitespace().collect();
    words.join(" ").trim_matches(['(', ')', '[', ']', '.', ',', ';', ':', '\'', '"', '_', '-']).to_owned()
}

/// Refuses values of an attribute that are taken for one another: one group under two names hides another.
fn look_alikes(groups: &[Group]) -> Result<(), String> {
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
fn two_known(groups: &[Group], sets: &[Vec<String>]) -> Result<(), String> {
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

/// Recomputes a bias test from its counts.
fn bias(test: &Test, spec: &TestReportSpec, sets: &[Vec<String>]) -> Result<Judged, String> {
    let rule = &test.rule;
    let criterion = criterion(rule).map_err(|why| format!("policy {}: {why}", test.policy))?;
    let metric = criterion.metric;
    let means = match spec.positive_means.ok_or("wanted positiveMeans, found none")? {
        ApiPositiveMeans::Favourable => PositiveMeans::Favourable,
        ApiPositiveMeans::Unfavourable => PositiveMeans::Unfavourable,
    };
    let rows = spec.groups.as_deref().ok_or("wanted raw counts per group (spec.groups), found none")?;
    let groups = groups(rows)?;
    look_alikes(&groups)?;
    two_known(&groups, sets)?;
    let total = spec.rows.and_then(|r| u64::try_from(r).ok()).ok_or("wanted rows, found none")?;
    let table = Table::new(&groups, means, Some(total)).map_err(|e| e.to_string())?;
    let question =
        BiasTest { attribute_sets: sets.to_vec(), criteria: vec![criterion], accepted_groups: Vec::new() };
    let result = fairness::decide(&table, &question).map_err(|e| e.to_string())?;
    let percent = fairness::round9(question.criteria[0].confidence * 100.0);
    let mut shown = if let Some(worst) = result.worst.map(|i| &result.comparisons[i]) {
        let value = worst.estimate.map_or("undefined".to_owned(), extended);
        let interval = worst.interval.map_or("no interval".to_owned(), |i| {
            format!("{percent} %: {:.2} to {}", i.lower, extended(i.upper))
        });
        format!("{} {} / {} is {value} ({interval})", metric.words(), worst.a.label, worst.b.label)
    } else {
        format!("{}: fewer than two groups to compare", metric.words())
    };
    // What was compared may look like a pass: whoever is missing from it is said first.
    if let Some(small) = too_small(&result).filter(|_| result.verdict == Verdict::Indeterminate) {
        shown = format!("{small}; {shown}");
    }
    let more = result.needed.first().map(needed);
    let mend = if more.is_none() && result.worst.is_none() { Mend::Groups } else { Mend::MoreData };
    let notes = result
        .values
        .iter()
        .map(|set| {
            let beside = |scale: Scale| -> Vec<String> {
                let values = set.values.iter().filter(|v| v.metric.scale() == scale && v.metric != metric);
                let value = |v: &MetricValue| v.value.map_or("undefined".into(), |x| format!("{x:.3}"));
                values
                    .map(|v| format!("{} {}", v.metric.words().trim_end_matches(" difference"), value(v)))
                    .collect()
            };
            let kinds = [("differences: ", beside(Scale::Difference)), ("", beside(Scale::Ratio))];
            let said: Vec<String> = kinds
                .into_iter()
                .filter(|(_, values)| !values.is_empty())
                .map(|(kind, values)| format!("{kind}{}", values.join(", ")))
                .collect();
            format!(
                "{SHOWN}not binding ({}): {}",
                question.attribute_sets[set.set].join(" × "),
                said.join("; ")
            )
        })
        .collect();
    Ok(Judged { verdict: result.verdict, text: shown, mend, more, notes })
}

/// Groups named in one text at most; beyond, they are counted.
const MOST_GROUPS: usize = 4;

/// The groups that hold the test because they are too small to be compared.
fn too_small(result: &fairness::BiasResult) -> Option<String> {
    let held: Vec<&Ineligible> = result.ineligible.iter().filter(|g| g.holds).collect();
    let named: Vec<String> = held
        .iter()
        .take(MOST_GROUPS)
        .map(|g| {
            let what = match g.reason {
                IneligibleReason::Empty { wanted } => format!("no row, wanted {wanted}"),
                IneligibleReason::TooFewRows { wanted, found } => format!("{found} of {wanted} rows"),
                IneligibleReason::TooFewPositives { wanted, found } => {
                    format!("{found} of {wanted} actual positives")
                }
                IneligibleReason::TooFewNegatives { wanted, found } => {
                    format!("{found} of {wanted} actual negatives")
                }
            };
            format!("{} is too small to be compared ({what})", g.group)
        })
        .collect();
    let more = match held.len().saturating_sub(MOST_GROUPS) {
        0 => String::new(),
        more => format!(" and {more} more groups are"),
    };
    (!named.is_empty()).then(|| format!("{}{more}", named.join(", ")))
}

/// How much more data would help, in words.
fn needed(n: &fairness::Needed) -> String {
    let what = format!("{} more {} of {}", n.more, unit(n.unit, n.more), n.group);
    match n.towards {
        Towards::Eligible => {
            format!("{what} {} needed before it can be compared", if n.more == 1 { "is" } else { "are" })
        }
        Towards::Pass | Towards::Fail => format!("{what} would decide at the observed rates"),
    }
}

fn unit(unit: fairness::NeededUnit, count: u64) -> &'static str {
    match (unit, count) {
        (fairness::NeededUnit::Rows, 1) => "row",
        (fairness::NeededUnit::Rows, _) => "rows",
        (fairness::NeededUnit::ActualPositives, 1) => "actual positive",
        (fairness::NeededUnit::ActualPositives, _) => "actual positives",
        (fairness::NeededUnit::ActualNegatives, 1) => "actual negative",
        (fairness::NeededUnit::ActualNegatives, _) => "actual negatives",
    }
}

pub(super) fn extended(value: Extended) -> String {
    value.finite().map_or("unbounded".into(), |v| format!("{v:.2}"))
}
