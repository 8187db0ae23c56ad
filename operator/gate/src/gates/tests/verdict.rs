//! What a report comes to for a test: recomputed from what was counted, never read from the report.

use std::sync::{Arc, PoisonError};

use placet_api::testreport::{TestReportSpec, TestType};

use super::merged::merged;
use super::{Look, groups};
use crate::decision::SHOWN;
use crate::fairness::{
    self, BiasTest, Criterion, Extended, Group, Ineligible, IneligibleReason, Metric, MetricValue, Observed,
    Scale, SetValues, Side, Source, Table, Tally, Towards, Verdict,
};
use crate::object::Object;
use crate::policy::{Test, criterion};

/// What would let a report that decides nothing decide.
#[derive(Debug)]
pub(super) enum Mend {
    /// More rows.
    MoreData,
    /// Groups by an attribute that the report does not have.
    Attribute(String),
    /// Groups of categories that no group of the report is.
    Category(Vec<String>),
    /// Narrower bins.
    Bins,
    /// Scores that are probabilities.
    Probabilities,
    /// Other groups beside the one that is there.
    Groups,
    /// Groups that need not be put together.
    Larger,
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
            Self::Category(left_out) => format!(
                "test on rows of {}, too, and count them as a group of their own",
                left_out.join(", ")
            ),
            Self::Bins => {
                "count the scores in narrower bins, or by values where there are few: that wide, no number of rows decides"
                    .to_owned()
            }
            Self::Probabilities => "give a score that is a probability, in bins from 0 to 1".to_owned(),
            Self::Groups => "test with at least two groups to compare".to_owned(),
            Self::Larger => "test with fewer attributes, wider values or more data, so that no group of few people is put together \
                             with others"
                .to_owned(),
            Self::Report => "mend what is said of the report".to_owned(),
        }
    }
}

/// What lets a small group be left out, where the policy leaves out groups of its share.
const EXCLUDE: &str = "or name the group in a risk of the assessment (spec.risks[].groups) and have that risk accepted: placet accept-risk";

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
    /// Whether an attribute or a category is left out that is asked for: that much is known to be missing.
    pub(super) absent: bool,
    /// Whether people are put together whose groups were to be compared: no policy takes that for a warning.
    pub(super) hides: bool,
    /// What was computed beside it and binds nobody.
    pub(super) notes: Vec<String>,
}

/// A test, and what it looks at where that matters: all that a verdict depends on beside the report.
type Asked = (Test, Look);

/// Verdicts that a report came to, by what was asked.
pub(crate) type Verdicts = Vec<(Asked, Arc<Judged>)>;

/// Verdicts that are kept with one report at most. Beyond, all are forgotten and computed again when asked for.
const MAX_VERDICTS: usize = 64;

/// What a report comes to for a test, computed once: it follows from the report's content and what is asked alone.
pub(super) fn verdict(
    test: &Test,
    report: &Object<TestReportSpec>,
    spec: &TestReportSpec,
    look: &Look,
) -> Arc<Judged> {
    let nothing = Look::default();
    let look = if test.rule.type_ == TestType::Bias { look } else { &nothing };
    let kept = || report.known().verdicts.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, judged)) = kept().iter().find(|((t, l), _)| t == test && l == look) {
        return Arc::clone(judged);
    }
    let judged = Arc::new(judge_report(test, spec, look));
    let mut kept = kept();
    if kept.len() >= MAX_VERDICTS {
        kept.clear();
    }
    kept.push(((test.clone(), look.clone()), Arc::clone(&judged)));
    judged
}

/// What a report comes to for a test.
pub(super) fn judge_report(test: &Test, spec: &TestReportSpec, look: &Look) -> Judged {
    if let Some(min) = test.rule.min_rows
        && test.rule.type_ == TestType::Bias
        && spec.rows.unwrap_or(0) < i64::from(min)
    {
        return invalid(format!("{} rows; wanted at least {min}", spec.rows.unwrap_or(0)), Mend::MoreData);
    }
    let result = if test.rule.type_ == TestType::Bias {
        bias(test, spec, look)
    } else {
        super::single::single(test, spec)
    };
    result.unwrap_or_else(|text| invalid(text, Mend::Report))
}

/// What people are told where nothing was computed.
fn invalid(text: String, mend: Mend) -> Judged {
    Judged {
        verdict: Verdict::Indeterminate,
        text,
        mend,
        more: None,
        absent: false,
        hides: false,
        notes: Vec::new(),
    }
}

/// Recomputes a bias test from what was counted.
fn bias(test: &Test, spec: &TestReportSpec, look: &Look) -> Result<Judged, String> {
    let criterion = criterion(&test.rule).map_err(|why| format!("policy {}: {why}", test.policy))?;
    let source = criterion.metric.source();
    // What is said here is said of the whole report: a part of it that does not fit makes no other part right.
    groups::check(spec)?;
    if let Some(name) = groups::lacking(spec, source, &look.sets) {
        return Ok(Judged {
            absent: true,
            ..invalid(format!("no counts by {name}"), Mend::Attribute(name.to_owned()))
        });
    }
    let total = spec.rows.and_then(|r| u64::try_from(r).ok()).ok_or("wanted rows, found none")?;
    let wrong = |e: fairness::FairnessError| e.to_string();
    let mut judged = match source {
        Source::Counts => {
            let groups = groups::counts(spec)?;
            groups::two_known(&groups, &look.sets)?;
            let table = Table::new(&groups, groups::means(spec)?, Some(total)).map_err(wrong)?;
            shared(&groups, &table, criterion, look)
        }
        Source::Scores => {
            let groups = groups::scores(spec)?;
            groups::two_known(&groups, &look.sets)?;
            shared(&groups, &Table::of(&groups, Some(total)).map_err(wrong)?, criterion, look)
        }
        Source::Errors => {
            let groups = groups::errors(spec)?;
            groups::two_known(&groups, &look.sets)?;
            shared(&groups, &Table::of(&groups, Some(total)).map_err(wrong)?, criterion, look)
        }
    }?;
    let left_out = groups::left_out(spec, source, &look.categories);
    // Who fails without a group fails with it, too.
    if !left_out.is_empty() && judged.verdict != Verdict::Fail {
        judged.verdict = Verdict::Indeterminate;
        judged.absent = true;
        judged.text = format!("no group {}; {}", left_out.join(", "), judged.text);
        judged.mend = Mend::Category(left_out);
        judged.more = None;
    }
    Ok(judged)
}

/// The same of groups of which some may have been put together.
fn shared<C: Tally>(
    groups: &[Group<C>],
    table: &Table<'_, C>,
    criterion: Criterion,
    look: &Look,
) -> Result<Judged, String> {
    let rows = groups.iter().map(|group| (&group.attributes, group.counts.rows()));
    let merged = merged(&rows, &look.sets, &criterion.eligibility);
    let judged = compared(table, criterion, merged.sets, look)?;
    // Who fails without them fails with them.
    let Some(text) = merged.hides.filter(|_| judged.verdict != Verdict::Fail) else { return Ok(judged) };
    let text = if judged.notes.is_empty() { text } else { format!("{text}; {}", judged.text) };
    Ok(Judged {
        verdict: Verdict::Indeterminate,
        text,
        mend: Mend::Larger,
        more: None,
        hides: true,
        ..judged
    })
}

/// Compares groups by one criterion.
fn compared<C: Tally>(
    table: &Table<'_, C>,
    criterion: Criterion,
    attribute_sets: Vec<Vec<String>>,
    look: &Look,
) -> Result<Judged, String> {
    let metric = criterion.metric;
    let question = BiasTest {
        attribute_sets,
        criteria: vec![criterion],
        accepted_groups: look.accepted.clone(),
        metrics: look.metrics,
    };
    let result = fairness::decide(table, &question).map_err(|e| e.to_string())?;
    let percent = fairness::round9(question.criteria[0].confidence * 100.0);
    let digits = if metric.source() == Source::Counts { 2 } else { 3 };
    let worst = result.worst.map(|i| &result.comparisons[i]);
    let mut shown = if let Some(worst) = worst {
        let value = worst.estimate.map_or("undefined".to_owned(), |v| to_digits(v, digits));
        let interval = worst.interval.map_or("no interval".to_owned(), |i| {
            format!("{percent} %: {:.digits$} to {}", i.lower, to_digits(i.upper, digits))
        });
        let between = match &worst.b {
            Some(b) => format!("{} {} / {}", metric.words(), worst.a.label, b.label),
            None => format!("{} of {}", metric.words(), worst.a.label),
        };
        format!("{between} is {value} ({interval})")
    } else {
        format!("{}: fewer than two groups to compare", metric.words())
    };
    // What was compared may look like a pass: whoever is missing from it is said first.
    if let Some(small) = too_small(&result).filter(|_| result.verdict == Verdict::Indeterminate) {
        shown = format!("{small}; {shown}");
    }
    let moved: f64 =
        worst.map_or(0.0, |worst| [Some(&worst.a), worst.b.as_ref()].into_iter().flatten().map(slack).sum());
    if moved > 0.0 {
        shown = format!("{shown}, of which bins make {moved:.3} to either side");
    }
    let below = question.criteria[0].eligibility.exclude_below_share;
    let excludable = result.ineligible.iter().any(|g| g.holds && below.is_some_and(|below| g.share < below));
    let more = result
        .needed
        .first()
        .map(needed)
        .map(|more| if excludable { format!("{more}; {EXCLUDE}") } else { more });
    let mend = match (&more, worst) {
        (None, None) => Mend::Groups,
        (None, Some(worst)) if worst.estimate.is_none() && metric.of_each_group() => Mend::Probabilities,
        (None, Some(_)) if moved > 0.0 => Mend::Bins,
        _ => Mend::MoreData,
    };
    let mut notes: Vec<String> = result.values.iter().map(|set| note(set, metric, &question)).collect();
    notes.extend(left_out(&result));
    Ok(Judged { verdict: result.verdict, text: shown, mend, more, absent: false, hides: false, notes })
}

/// How far binning may have moved a value.
fn slack(side: &Side) -> f64 {
    match side.observed {
        Observed::Estimate(estimate) => estimate.slack(),
        Observed::Rate { .. } | Observed::Undefined => 0.0,
    }
}

/// What was computed beside the metric that binds, by one attribute set.
fn note(set: &SetValues, metric: Metric, question: &BiasTest) -> String {
    // of rates there are many, and what they are is said once
    let rates = metric.source() == Source::Counts;
    let beside = |scale: Scale| -> Vec<String> {
        let values = set.values.iter().filter(|v| v.metric.scale() == scale && v.metric != metric);
        let value = |v: &MetricValue| v.value.map_or("undefined".into(), |x| format!("{x:.3}"));
        let words = |v: &MetricValue| {
            let words = v.metric.words();
            if rates { words.trim_end_matches(" difference") } else { words }
        };
        values.map(|v| format!("{} {}", words(v), value(v))).collect()
    };
    let shown = set
        .shown
        .iter()
        .map(|s| format!("{} {}", s.words, s.value.map_or("undefined".to_owned(), |x| format!("{x:.3}"))));
    let differences = if rates { "differences: " } else { "" };
    let kinds = [(differences, beside(Scale::Difference)), ("", beside(Scale::Ratio)), ("", shown.collect())];
    let said: Vec<String> = kinds
        .into_iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|(kind, values)| format!("{kind}{}", values.join(", ")))
        .collect();
    format!("{SHOWN}not binding ({}): {}", question.attribute_sets[set.set].join(" × "), said.join("; "))
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

/// Who is left out because somebody accepted it.
fn left_out(result: &fairness::BiasResult) -> Option<String> {
    let accepted = result.ineligible.iter().filter(|g| g.accepted);
    let named: Vec<String> =
        accepted.map(|g| format!("{} ({} rows, {:.1} % of all)", g.group, g.rows, g.share * 100.0)).collect();
    (!named.is_empty()).then(|| {
        format!(
            "warning: too small to be compared and left out, as an acceptance of the risk says: {}",
            named.join(", ")
        )
    })
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

pub(super) fn to_digits(value: Extended, digits: usize) -> String {
    value.finite().map_or("unbounded".into(), |v| format!("{v:.digits$}"))
}
