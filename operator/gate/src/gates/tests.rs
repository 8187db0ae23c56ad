//! Gate *tests*: each test that the policies ask for has a report for each artefact of role Model or Adapter, on a
//! dataset of use Evaluation, and its verdict, recomputed from what was counted, is Pass.

use std::collections::{BTreeMap, BTreeSet};

use placet_api::approval::{Covers, SubjectKind};
use placet_api::common::Class;
use placet_api::modelrelease::{Artifact, ArtifactRole, DatasetUse, ModelReleaseSpec};
use placet_api::releasepolicy::{Compare as PolicyCompare, WhenIndeterminate};
use placet_api::testreport::{PositiveMeans as ApiPositiveMeans, TestReportSpec, TestType};

use super::assessment::short;
use super::{Context, Outcome};
use crate::fairness::{
    self, BiasTest, Compare, Counts, Criterion, Eligibility, Extended, Group, Limit, Measured, Metric,
    PositiveMeans, Table, Verdict,
};
use crate::finding::{Gate, Reason};
use crate::object::Object;
use crate::policy::{Requirements, Test};
use crate::time;

const GATE: Gate = Gate::Tests;

/// Judges all tests of all artefacts.
pub fn evaluate(cx: &Context<'_>) -> Outcome {
    let Some(requirements) = cx.requirements else { return cx.requirements_unknown(GATE) };
    let Some((_, release)) = cx.release else { return cx.requirements_unknown(GATE) };
    let mut out = Outcome::default();
    let bias = requirements.tests.iter().any(|t| t.rule.type_ == TestType::Bias);
    let sets = attribute_sets(cx, requirements);
    if bias {
        evaluation_defined(cx, &sets, &mut out);
    }
    let evaluation: BTreeSet<&str> = release
        .datasets
        .iter()
        .flatten()
        .filter(|d| d.use_ == DatasetUse::Evaluation)
        .map(|d| d.digest.as_str())
        .collect();
    for test in &requirements.tests {
        for artifact in
            release.artifacts.iter().filter(|a| matches!(a.role, ArtifactRole::Model | ArtifactRole::Adapter))
        {
            judge(cx, release, test, artifact, &evaluation, &sets, &mut out);
        }
    }
    out
}

/// The union of the policies' and the system's attribute sets, each sorted.
fn attribute_sets(cx: &Context<'_>, requirements: &Requirements) -> Vec<Vec<String>> {
    let own = cx.system.iter().flat_map(|(_, s)| s.evaluation.iter().flat_map(|e| e.attribute_sets.iter()));
    let own = own.map(|set| set.iter().map(ToString::to_string).collect::<Vec<_>>());
    let mut sets: BTreeSet<Vec<String>> = BTreeSet::new();
    for mut set in requirements.attribute_sets.iter().cloned().chain(own) {
        set.sort();
        set.dedup();
        sets.insert(set);
    }
    sets.into_iter().collect()
}

/// A bias test needs attribute sets and the favourable outcome; for class High, somebody other than the author has
/// confirmed them.
fn evaluation_defined(cx: &Context<'_>, sets: &[Vec<String>], out: &mut Outcome) {
    let Some((system, spec)) = cx.system else { return };
    let edit = cx.command(&format!("kubectl edit ais/{}", system.name()));
    if spec.evaluation.is_none() || sets.is_empty() {
        out.unknown(
            GATE,
            Reason::EvaluationMissing,
            system.name(),
            "spec.evaluation with attributeSets and favourableOutcome",
            "what a bias test must look at is not said",
            "system owner",
            edit,
        );
        return;
    }
    if cx.class() != Some(Class::High) {
        return;
    }
    let authors = system.standing().map(|s| s.authors.as_slice()).unwrap_or_default();
    let wanted = super::approvals::Wanted {
        kind: SubjectKind::AISystem,
        name: system.name(),
        covers: Covers::Content,
        digest: system.digest(),
        role: None,
    };
    let tally = super::approvals::tally(cx, &wanted, authors, None);
    if tally.counted.is_empty() {
        out.not_met(
            GATE,
            Reason::EvaluationNotApproved,
            system.name(),
            format!("{}'s evaluation settings approved by somebody other than its author", system.name()),
            tally.found_or("nobody approved the system's content"),
            "holder of any approval role",
            cx.command(&format!("placet approve ais/{} --role ROLE", system.name())),
        );
    }
}

/// What one report comes to for one test.
struct Judged {
    verdict: Verdict,
    text: String,
    more: Option<String>,
    notes: Vec<String>,
}

fn judge(
    cx: &Context<'_>,
    release: &ModelReleaseSpec,
    test: &Test,
    artifact: &Artifact,
    evaluation: &BTreeSet<&str>,
    sets: &[Vec<String>],
    out: &mut Outcome,
) {
    let item = format!("{} {}", test.rule.type_, artifact.name);
    let what = wanted_text(test);
    let reports = relevant(cx, test.rule.type_, artifact.digest.as_str());
    let (on_evaluation, elsewhere): (Vec<_>, Vec<_>) =
        reports.into_iter().partition(|(_, spec)| evaluation.contains(spec.dataset.as_str()));
    let mut passed = false;
    let mut by_dataset: BTreeMap<&str, Vec<(&Object<TestReportSpec>, &TestReportSpec)>> = BTreeMap::new();
    for (report, spec) in on_evaluation {
        if let Some(problem) = report.problem() {
            if report.live {
                out.problem(GATE, report, &problem);
            }
            continue;
        }
        by_dataset.entry(spec.dataset.as_str()).or_default().push((report, spec));
    }
    let mut blocked = false;
    for reports in by_dataset.values() {
        let (ok, block) = judge_dataset(cx, test, &item, &what, reports, sets, out);
        passed |= ok;
        blocked |= block;
    }
    if passed || blocked {
        return;
    }
    let command = if test.rule.type_ == TestType::Bias {
        format!(
            "placet report counts COUNTS.csv --artifact {} --dataset DIGEST | kubectl apply -n {} -f -",
            artifact.digest, cx.snapshot.namespace
        )
    } else {
        cx.command("kubectl apply -f REPORT.yaml")
    };
    let found = if elsewhere.is_empty() {
        "there is none".to_owned()
    } else {
        format!("{} is not on a dataset of use Evaluation of this release", elsewhere[0].0.name())
    };
    let names: Vec<&str> = release
        .datasets
        .iter()
        .flatten()
        .filter(|d| d.use_ == DatasetUse::Evaluation)
        .map(|d| d.name.as_str())
        .collect();
    let on = if names.is_empty() {
        "a dataset of use Evaluation (the release names none)".into()
    } else {
        names.join(" or ")
    };
    out.not_met(
        GATE,
        Reason::TestMissing,
        item,
        format!("a {} report for {} on {on}; {what}", test.rule.type_, short(&artifact.digest)),
        found,
        "data scientist",
        command,
    );
}

/// Reports of a type on an artefact that no valid report supersedes. Deleted ones take part.
fn relevant<'a>(
    cx: &'a Context<'_>,
    type_: TestType,
    artifact: &str,
) -> Vec<(&'a Object<TestReportSpec>, &'a TestReportSpec)> {
    let all: Vec<_> = cx
        .snapshot
        .reports
        .iter()
        .filter_map(|r| Some((r.as_ref(), r.spec.as_ref().ok()?)))
        .filter(|(_, s)| s.type_ == type_ && s.artifact.as_str() == artifact)
        .collect();
    let superseded = |report: &Object<TestReportSpec>| {
        all.iter().any(|(by, spec)| {
            by.name() != report.name()
                && spec
                    .supersedes
                    .as_ref()
                    .is_some_and(|s| s.reports.iter().any(|r| r.as_str() == report.name()))
                && by.standing().is_some_and(|s| !made_any(&all, spec, &s.creator))
        })
    };
    all.iter().copied().filter(|(r, _)| !superseded(r)).collect()
}

/// Whether a person made any of the reports that a report supersedes: then superseding does not count.
fn made_any(
    all: &[(&Object<TestReportSpec>, &TestReportSpec)],
    by: &TestReportSpec,
    person: &crate::people::Person,
) -> bool {
    by.supersedes.iter().flat_map(|s| &s.reports).any(|name| {
        all.iter().any(|(r, _)| {
            r.name() == name.as_str() && r.standing().is_none_or(|s| s.authors.contains(person))
        })
    })
}

/// Judges the reports on one dataset: whether a report passes now, and whether something blocks.
fn judge_dataset(
    cx: &Context<'_>,
    test: &Test,
    item: &str,
    what: &str,
    reports: &[(&Object<TestReportSpec>, &TestReportSpec)],
    sets: &[Vec<String>],
    out: &mut Outcome,
) -> (bool, bool) {
    let judged: Vec<(&Object<TestReportSpec>, Judged)> =
        reports.iter().map(|(r, s)| (*r, judge_report(cx, test, r, s, sets))).collect();
    if let Some((report, failed)) = judged.iter().find(|(_, j)| j.verdict == Verdict::Fail) {
        let gone = if report.live { "" } else { " (deleted since, which changes nothing)" };
        let artifact = reports[0].1.artifact.as_str();
        out.not_met(
            GATE,
            Reason::TestFailed,
            item,
            what,
            format!("{}: {}{gone}", report.name(), failed.text),
            "data scientist",
            format!("train again and release new artefacts; this result stays for {}", short(artifact)),
        );
        out.notes.extend(failed.notes.iter().cloned());
        return (false, true);
    }
    let results: BTreeSet<String> = reports.iter().map(|(_, s)| numbers(s)).collect();
    if results.len() > 1 {
        let names: Vec<&str> = reports.iter().map(|(r, _)| r.name()).collect();
        out.unknown(
            GATE,
            Reason::ReportsConflict,
            item,
            "one result for an artefact, a dataset and a test",
            format!("{} differ", names.join(" and ")),
            "a person who made none of them",
            cx.command("test again and apply a TestReport that names the wrong ones in spec.supersedes with a reason"),
        );
        return (false, true);
    }
    let Some((report, result)) = judged.iter().find(|(r, _)| r.live) else { return (false, false) };
    out.notes.extend(result.notes.iter().cloned());
    if stale(cx, test, report, reports, what, item, out) {
        return (false, true);
    }
    match result.verdict {
        Verdict::Pass => {
            out.notes.push(format!("{item}: {}: {}", report.name(), result.text));
            (true, false)
        }
        _ if test.rule.when_indeterminate == Some(WhenIndeterminate::Warn) => {
            out.notes.push(format!("warning: {item}: {}: {}", report.name(), result.text));
            (true, false)
        }
        _ => {
            let mut command = "test with more data: a new TestReport that supersedes this one".to_owned();
            if let Some(more) = &result.more {
                command = format!("{command}; {more}");
            }
            out.unknown(
                GATE,
                Reason::TestIndeterminate,
                item,
                what,
                format!("{}: {}", report.name(), result.text),
                "data scientist",
                command,
            );
            (false, true)
        }
    }
}

fn stale(
    cx: &Context<'_>,
    test: &Test,
    report: &Object<TestReportSpec>,
    reports: &[(&Object<TestReportSpec>, &TestReportSpec)],
    what: &str,
    item: &str,
    out: &mut Outcome,
) -> bool {
    let Some(days) = test.rule.max_age_days else { return false };
    let typed =
        reports.iter().find(|(r, _)| r.name() == report.name()).and_then(|(_, s)| time::moment(&s.ran_at));
    let start = match (typed, report.standing()) {
        (Some(typed), Some(standing)) => typed.min(standing.created_at),
        _ => return false,
    };
    if !cx.now.reached(time::days_after(start, days)) {
        return false;
    }
    out.not_met(
        GATE,
        Reason::ReportStale,
        item,
        format!("{what}; a result of at most {days} days"),
        format!("{} is of {}", report.name(), start.strftime("%Y-%m-%d")),
        "data scientist",
        cx.command("test again and apply a new TestReport"),
    );
    true
}

/// The numbers of a report, for comparing reports.
fn numbers(spec: &TestReportSpec) -> String {
    serde_json::json!({"m": spec.positive_means, "r": spec.rows, "g": spec.groups, "v": spec.metrics})
        .to_string()
}

fn judge_report(
    _cx: &Context<'_>,
    test: &Test,
    report: &Object<TestReportSpec>,
    spec: &TestReportSpec,
    sets: &[Vec<String>],
) -> Judged {
    let invalid =
        |text: String| Judged { verdict: Verdict::Indeterminate, text, more: None, notes: Vec::new() };
    if let Some(min) = test.rule.min_rows
        && spec.rows.unwrap_or(0) < i64::from(min)
    {
        return invalid(format!("{} rows; wanted at least {min}", spec.rows.unwrap_or(0)));
    }
    let confidence = test.rule.confidence.as_ref().map_or(0.95, placet_api::scalar::Decimal::value);
    let result = if test.rule.type_ == TestType::Bias {
        bias(test, spec, sets, confidence)
    } else {
        single(test, spec, confidence)
    };
    result.unwrap_or_else(|text| invalid(format!("{}: {text}", report.name())))
}

/// The groups of a report as the statistics read them.
fn groups(spec: &TestReportSpec) -> Result<Vec<Group>, String> {
    let rows = spec.groups.as_deref().ok_or("wanted raw counts per group (spec.groups), found none")?;
    rows.iter()
        .map(|g| {
            let attributes = g.attributes.iter().map(|(k, v)| (k.clone(), v.to_string())).collect();
            let counts = Counts::new(g.rows, g.tp, g.fp, g.fn_, g.tn).map_err(|e| e.to_string())?;
            Ok(Group { attributes, counts })
        })
        .collect()
}

/// Recomputes a bias test from its counts.
fn bias(test: &Test, spec: &TestReportSpec, sets: &[Vec<String>], confidence: f64) -> Result<Judged, String> {
    let rule = &test.rule;
    let metric = Metric::by_name(&rule.metric).ok_or_else(|| {
        format!("policy {} asks for the metric {}, which is not known here", test.policy, rule.metric)
    })?;
    let means = match spec.positive_means.ok_or("wanted positiveMeans, found none")? {
        ApiPositiveMeans::Favourable => PositiveMeans::Favourable,
        ApiPositiveMeans::Unfavourable => PositiveMeans::Unfavourable,
    };
    let groups = groups(spec)?;
    let total = spec.rows.and_then(|r| u64::try_from(r).ok()).ok_or("wanted rows, found none")?;
    let table = Table::new(&groups, means, Some(total)).map_err(|e| e.to_string())?;
    let threshold = match metric.scale() {
        fairness::Scale::Ratio => rule.at_least.as_ref(),
        fairness::Scale::Difference => rule.at_most.as_ref(),
    }
    .ok_or_else(|| {
        format!(
            "policy {}: {} wants {}",
            test.policy,
            rule.metric,
            match metric.scale() {
                fairness::Scale::Ratio => "atLeast",
                fairness::Scale::Difference => "atMost",
            }
        )
    })?;
    let compare = match (rule.compare, &rule.reference) {
        (Some(PolicyCompare::Reference), Some(reference)) => {
            Compare::Reference(reference.iter().map(|(k, v)| (k.clone(), v.to_string())).collect())
        }
        (Some(PolicyCompare::Reference), None) => {
            return Err(format!("policy {}: compare: Reference names no reference group", test.policy));
        }
        _ => Compare::MinMax,
    };
    let min_rows = u64::try_from(rule.min_group_size.unwrap_or(100)).unwrap_or(u64::MAX);
    let eligibility = Eligibility {
        min_rows,
        min_intersection_rows: Eligibility::default().min_intersection_rows.min(min_rows),
        ..Eligibility::default()
    };
    let criterion = Criterion { metric, threshold: threshold.value(), compare, confidence, eligibility };
    let question =
        BiasTest { attribute_sets: sets.to_vec(), criteria: vec![criterion], accepted_groups: Vec::new() };
    let result = fairness::decide(&table, &question).map_err(|e| e.to_string())?;
    let percent = fairness::round9(confidence * 100.0);
    let shown = if let Some(worst) = result.worst.map(|i| &result.comparisons[i]) {
        let value = worst.estimate.map_or("undefined".to_owned(), extended);
        let interval = worst.interval.map_or("no interval".to_owned(), |i| {
            format!("{percent} %: {:.2} to {}", i.lower, extended(i.upper))
        });
        format!("{} {} / {} is {value} ({interval})", metric.words(), worst.a.label, worst.b.label)
    } else {
        format!("{}: {}", metric.words(), held_by(&result))
    };
    let more = result.needed.first().map(|n| {
        format!("{} more {} of {} would decide at the observed rates", n.more, unit(n.unit, n.more), n.group)
    });
    let notes = result
        .values
        .iter()
        .map(|set| {
            let shown: Vec<String> = set
                .values
                .iter()
                .map(|v| {
                    format!(
                        "{} {}",
                        v.metric.words(),
                        v.value.map_or("undefined".into(), |x| format!("{x:.3}"))
                    )
                })
                .collect();
            format!(
                "shown, not binding ({}): {}",
                question.attribute_sets[set.set].join(" × "),
                shown.join(", ")
            )
        })
        .collect();
    Ok(Judged { verdict: result.verdict, text: shown, more, notes })
}

/// Judges a single value against its limits.
fn single(test: &Test, spec: &TestReportSpec, confidence: f64) -> Result<Judged, String> {
    let rule = &test.rule;
    let name = rule.metric.as_str();
    let measured = measured(spec, name, confidence)?;
    let limits = [
        rule.at_least.as_ref().map(|v| Limit::AtLeast(v.value())),
        rule.at_most.as_ref().map(|v| Limit::AtMost(v.value())),
    ];
    let mut verdict = Verdict::Pass;
    let mut shown = String::new();
    for limit in limits.into_iter().flatten() {
        let result = fairness::decide_single(measured, limit, confidence).map_err(|e| e.to_string())?;
        verdict = match (verdict, result.verdict) {
            (Verdict::Fail, _) | (_, Verdict::Fail) => Verdict::Fail,
            (Verdict::Indeterminate, _) | (_, Verdict::Indeterminate) => Verdict::Indeterminate,
            _ => Verdict::Pass,
        };
        let value = result.value.map_or("undefined".into(), |v| format!("{v:.3}"));
        let interval = result.interval.map_or("without an interval".to_owned(), |i| {
            format!("{} %: {:.3} to {}", fairness::round9(confidence * 100.0), i.lower, extended(i.upper))
        });
        shown = format!("{name} {value} ({interval})");
    }
    Ok(Judged { verdict, text: shown, more: None, notes: Vec::new() })
}

/// Balanced accuracy from raw counts: the mean of the true-positive and the true-negative rate, with the interval of the
/// method of variance estimates recovery for a sum of independent proportions (Zou and Donner 2008) on Wilson limits.
fn balanced_accuracy(counts: Counts, confidence: f64) -> Option<Measured> {
    let z = fairness::normal::z_two_sided(confidence)?;
    let positive = fairness::intervals::wilson(counts.tp(), counts.positives(), z)?;
    let negative = fairness::intervals::wilson(counts.tn(), counts.negatives(), z)?;
    #[expect(clippy::cast_precision_loss, reason = "counts are at most 2^53, which a double holds")]
    let rate = |x: u64, n: u64| x as f64 / n as f64;
    let (p, q) = (rate(counts.tp(), counts.positives()), rate(counts.tn(), counts.negatives()));
    let value = f64::midpoint(p, q);
    let low = libm::sqrt((p - positive.lower).powi(2) + (q - negative.lower).powi(2)) / 2.0;
    let high =
        libm::sqrt((positive.upper.finite()? - p).powi(2) + (negative.upper.finite()? - q).powi(2)) / 2.0;
    Some(Measured::WithInterval { value, n: Some(counts.n()), lower: value - low, upper: value + high })
}

/// What a report says about a metric: from raw counts where they are given, else the value with its interval.
fn measured(spec: &TestReportSpec, name: &str, confidence: f64) -> Result<Measured, String> {
    if spec.groups.is_some() {
        let mut total: Option<Counts> = None;
        for group in groups(spec)? {
            total = match total {
                None => Some(group.counts),
                Some(sum) => Some(sum.checked_add(group.counts).ok_or("the counts are too large to add")?),
            };
        }
        if let Some(counts) = total {
            match name {
                "Accuracy" => {
                    return Ok(Measured::Proportion { successes: counts.tp() + counts.tn(), n: counts.n() });
                }
                "BalancedAccuracy" => {
                    return balanced_accuracy(counts, confidence).ok_or_else(|| {
                        "BalancedAccuracy is undefined without actual positives and negatives".into()
                    });
                }
                _ => {}
            }
        }
    }
    let value = spec
        .metrics
        .iter()
        .flatten()
        .find(|m| m.name.as_str() == name)
        .ok_or_else(|| format!("wanted the metric {name}, found none of this name"))?;
    let n = u64::try_from(value.rows).ok();
    let stated = value.confidence.as_ref().map_or(0.95, placet_api::scalar::Decimal::value);
    Ok(match (&value.lower, &value.upper) {
        // An interval of lower confidence than asked for is too narrow to decide.
        (Some(lower), Some(upper)) if stated >= confidence => Measured::WithInterval {
            value: value.value.value(),
            n,
            lower: lower.value(),
            upper: upper.value(),
        },
        _ => Measured::Alone { value: value.value.value(), n },
    })
}

/// Why nothing was compared.
fn held_by(result: &fairness::BiasResult) -> String {
    let small: Vec<String> =
        result.ineligible.iter().map(|g| format!("{} has too few rows ({})", g.group, g.rows)).collect();
    if small.is_empty() { "fewer than two groups to compare".to_owned() } else { small.join("; ") }
}

fn unit(unit: fairness::NeededUnit, count: u64) -> &'static str {
    match (unit, count) {
        (fairness::NeededUnit::Rows, 1) => "row",
        (fairness::NeededUnit::Rows, _) => "rows",
        (fairness::NeededUnit::ActualPositives, _) => "actual positives",
        (fairness::NeededUnit::ActualNegatives, _) => "actual negatives",
    }
}

fn extended(value: Extended) -> String {
    value.finite().map_or("unbounded".into(), |v| format!("{v:.2}"))
}

fn wanted_text(test: &Test) -> String {
    let rule = &test.rule;
    let mut limits = Vec::new();
    limits.extend(rule.at_least.as_ref().map(|v| format!("at least {v}")));
    limits.extend(rule.at_most.as_ref().map(|v| format!("at most {v}")));
    format!("{} wants {} {}", test.policy, rule.metric, limits.join(" and "))
}
