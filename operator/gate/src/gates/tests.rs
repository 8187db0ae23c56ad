//! Gate *tests*: each test that the policies ask for has a report for each artefact of role Model or Adapter, on a
//! dataset of use Evaluation, and its verdict, recomputed from what was counted, is Pass.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use placet_api::Kind;
use placet_api::approval::{Covers, SubjectKind};
use placet_api::common::Class;
use placet_api::modelrelease::{ArtifactRole, ModelReleaseSpec};
use placet_api::scalar::Digest;
use placet_api::testreport::{PositiveMeans, Run, TestReportSpec, TestType};

use super::assessment::short;
use super::{Context, Outcome, authors, gone};
use crate::finding::{Gate, Reason};
use crate::object::Object;
use crate::policy::Test;
use crate::time;

use dataset::{judge_dataset, note_superseded};
use look::{Look, look, look_at};
use relevant::{Report, relevant, sorted, whole};
use single::says;
use subject::{Judging, Uses};

pub use frozen::requirement_digest;
pub use groups::check;
pub(super) use independent::independent;
pub(super) use shown::shows;
pub use trial::{Trial, names_sets, try_bias};
pub(crate) use verdict::Verdicts;
use verdict::verdict;

mod dataset;
mod frozen;
mod groups;
mod independent;
mod look;
mod merged;
mod relevant;
mod reporter;
mod shown;
mod single;
mod subject;
mod trial;
mod verdict;

const GATE: Gate = Gate::Tests;

/// Judges all tests of all artefacts.
pub fn evaluate(cx: &Context<'_>) -> Outcome {
    let Some(requirements) = cx.requirements else { return cx.requirements_unknown(GATE) };
    let Some((_, release)) = cx.release else { return cx.requirements_unknown(GATE) };
    let mut out = Outcome::default();
    let bias = requirements.tests.iter().any(|t| t.rule.type_ == TestType::Bias);
    let look = look_at(cx, requirements);
    if bias {
        evaluation_defined(cx, &look.sets, &mut out);
    }
    let uses = Uses::of(release);
    let barred = reporter::barred(cx);
    let judged =
        release.artifacts.iter().filter(|a| matches!(a.role, ArtifactRole::Model | ArtifactRole::Adapter));
    let subjects: Vec<Judging<'_>> =
        judged.map(|artifact| Judging::new(cx, artifact, &look, (&uses, &barred))).collect();
    for test in &requirements.tests {
        for subject in &subjects {
            judge(cx, release, test, subject, &mut out);
        }
    }
    for subject in &subjects {
        subject.say_frozen(cx, &mut out);
        for test in &subject.frozen.tests {
            judge(cx, release, test, subject, &mut out);
        }
    }
    out
}

/// Datasets that a test is taken on, each of them; none where any of the release's will do.
fn datasets<'a>(cx: &Context<'a>, test: &'a Test) -> BTreeSet<&'a str> {
    let evaluation = cx.system.and_then(|(_, s)| s.evaluation.as_ref());
    let of_system =
        evaluation.filter(|_| test.rule.type_ == TestType::Bias).and_then(|e| e.datasets.as_ref());
    of_system.into_iter().chain(&test.rule.datasets).flatten().map(Digest::as_str).collect()
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
    authors::known(cx, GATE, &[Kind::AISystem], out);
    let authors = authors::system_authors(cx.snapshot);
    let wanted = super::approvals::Wanted {
        kind: SubjectKind::AISystem,
        name: system.name(),
        uid: &system.record.uid,
        covers: Covers::Content,
        digest: system.digest(),
        also: &[],
        role: None,
        asks: true,
    };
    let tally = super::approvals::tally(cx, &wanted, &authors, None);
    if tally.counted.is_empty() {
        out.not_met(
            GATE,
            Reason::EvaluationNotApproved,
            system.name(),
            format!("{}'s evaluation settings approved by somebody other than its author", system.name()),
            tally.found_or("nobody approved the system's content"),
            "holder of any approval role",
            cx.command(&format!("placet approve ais/{} --role ROLE", system.name())),
        )
        .about(tally.about());
    }
}

fn judge(
    cx: &Context<'_>,
    release: &ModelReleaseSpec,
    test: &Test,
    subject: &Judging<'_>,
    out: &mut Outcome,
) {
    let artifact = subject.artifact;
    // What a bias test looks at is missing as a whole: no report could say more.
    if test.rule.type_ == TestType::Bias && subject.look.sets.is_empty() {
        return;
    }
    let item = format!("{} {}", test.rule.type_, artifact.name);
    let (reports, superseded) = sorted(cx, |type_| type_ == test.rule.type_, artifact.digest.as_str());
    note_superseded(test, &item, &superseded, subject, out);
    let evaluation: BTreeSet<&str> = subject.evaluation.iter().map(String::as_str).collect();
    let fixed = datasets(cx, test);
    let allowed = |digest: &str| {
        (evaluation.contains(digest) || subject.renamed.contains(digest))
            && (fixed.is_empty() || fixed.contains(digest))
    };
    let (on_evaluation, elsewhere): (Vec<_>, Vec<_>) =
        reports.into_iter().partition(|(_, spec)| allowed(spec.dataset.as_str()));
    let (on_evaluation, parts): (Vec<_>, Vec<_>) =
        on_evaluation.into_iter().partition(|(report, spec)| whole(spec) || report.problem().is_some());
    let mut by_dataset: BTreeMap<&str, Vec<Report<'_>>> = BTreeMap::new();
    for (report, spec) in on_evaluation {
        if let Some(problem) = report.problem() {
            out.problem_since(GATE, report, &problem, &cx.snapshot.reports);
            continue;
        }
        by_dataset.entry(spec.dataset.as_str()).or_default().push((report, spec));
    }
    let mut settled: BTreeSet<&str> = BTreeSet::new();
    for (&dataset, reports) in &mut by_dataset {
        // Several tools test for several metrics: one that says nothing of this one is asked only where none does.
        if test.rule.type_ != TestType::Bias && reports.iter().any(|(_, s)| says(&test.rule, s).is_some()) {
            reports.retain(|(_, s)| says(&test.rule, s).is_some());
        }
        let (passed, blocked) = judge_dataset(cx, test, &item, reports, subject, out);
        if blocked || (passed && evaluation.contains(dataset)) {
            settled.insert(dataset);
        }
    }
    // Of datasets that are named each is asked for: whoever chose among them would choose the result.
    let lacking: BTreeSet<&str> = fixed.difference(&settled).copied().collect();
    let done = if fixed.is_empty() { !settled.is_empty() } else { lacking.is_empty() };
    if done {
        return;
    }
    let open = if fixed.is_empty() { &evaluation } else { &lacking };
    let command = command(cx, test, artifact.digest.as_str(), open);
    let found = if let Some((report, spec)) = parts.first() {
        format!("{} is of a run that is {:?}", report.name(), spec.run.unwrap_or(Run::Whole))
    } else if elsewhere.is_empty() {
        "there is none".to_owned()
    } else {
        let what = if fixed.is_empty() { "a dataset" } else { "one of the named datasets" };
        format!("{} is not on {what} of use Evaluation of this release", elsewhere[0].0.name())
    };
    let names: BTreeSet<&str> = release
        .datasets
        .iter()
        .flatten()
        .filter(|d| open.contains(d.digest.as_str()) && evaluation.contains(d.digest.as_str()))
        .map(|d| d.name.as_str())
        .collect();
    let names: Vec<&str> = names.into_iter().collect();
    let unlisted: Vec<String> = lacking
        .iter()
        .filter(|digest| !evaluation.contains(**digest))
        .map(|digest| format!("{} (which the release does not list with use Evaluation)", short(digest)))
        .collect();
    let on = if names.is_empty() && unlisted.is_empty() {
        "a dataset of use Evaluation (the release names none that it was not trained on)".into()
    } else {
        let all: Vec<&str> = names.iter().copied().chain(unlisted.iter().map(String::as_str)).collect();
        all.join(if fixed.is_empty() { " or " } else { " and " })
    };
    out.not_met(
        GATE,
        Reason::TestMissing,
        item,
        format!(
            "a {} report for {} on {on}; {}",
            test.rule.type_,
            short(&artifact.digest),
            wanted_text(test)
        ),
        found,
        reporter::who(cx, test.rule.type_),
        command,
    )
    .about(
        [artifact.digest.as_str()]
            .into_iter()
            .chain(lacking.iter().copied())
            .chain(names)
            .chain(parts.first().or(elsewhere.first()).map(|(r, _)| r.name()))
            .chain(test.then.as_deref()),
    );
}

/// What makes a report on an artefact, on one of these datasets.
fn command(cx: &Context<'_>, test: &Test, artifact: &str, open: &BTreeSet<&str>) -> String {
    if test.rule.type_ == TestType::Bias {
        // Where there is a choice, the names of the datasets are told beside it.
        let mut digests = open.iter().copied();
        let dataset = digests.next().filter(|_| digests.next().is_none()).unwrap_or("DIGEST");
        format!(
            "placet report counts COUNTS.csv --artifact {artifact} --dataset {dataset} --positive-means {:?} --tool NAME@VERSION | \
             kubectl apply -n {} -f -",
            positive(cx),
            cx.snapshot.namespace
        )
    } else {
        cx.command("kubectl apply -f REPORT.yaml")
    }
}

/// Since when a report is valid: the earlier of when it is said to have run and of when it was stamped.
fn start(report: &Object<TestReportSpec>, spec: &TestReportSpec) -> Option<Timestamp> {
    Some(time::moment(&spec.ran_at)?.min(report.standing()?.created_at))
}

/// What the system says a positive prediction means: nobody who tests chooses it.
fn positive(cx: &Context<'_>) -> PositiveMeans {
    let said = cx.system.and_then(|(_, s)| s.evaluation.as_ref()?.positive_means);
    said.unwrap_or(PositiveMeans::Favourable)
}

/// Whether bias reports say of a positive prediction what the system says.
fn outcome_fits(
    cx: &Context<'_>,
    reports: &[(&Object<TestReportSpec>, &TestReportSpec)],
    item: &str,
    out: &mut Outcome,
) -> bool {
    let wanted = positive(cx);
    if let Some((report, spec)) = reports.iter().find(|(_, s)| s.positive_means.is_some_and(|m| m != wanted))
    {
        let system = cx.system.map(|(s, _)| s.name()).unwrap_or_default();
        let outcome =
            cx.system.and_then(|(_, s)| Some(s.evaluation.as_ref()?.favourable_outcome.to_string()));
        out.unknown(
            GATE,
            Reason::ReportNotValid,
            item,
            format!(
                "positiveMeans: {wanted:?}, as AISystem {system} says (favourable: {})",
                outcome.unwrap_or_default()
            ),
            format!("{} says {:?}", report.name(), spec.positive_means.unwrap_or(wanted)),
            "a person who did not make it, or the system owner",
            cx.command(&format!(
                "if it was typed wrongly, apply a TestReport with the right one that names it in spec.supersedes; if the \
                 system is described wrongly, set spec.evaluation.positiveMeans, and have it approved: kubectl edit ais/{system}"
            )),
        )
        .about([report.name(), report.digest()]);
        return false;
    }
    true
}

/// Rows that a report counted, of whatever it says.
fn counted(report: &TestReportSpec) -> Option<i64> {
    report.rows.into_iter().chain(report.metrics.iter().flatten().map(|m| m.rows)).max()
}

/// The report of such a type that counted most rows on the same artefact and dataset as this one, if more than `rows`.
fn counted_more<'a>(
    cx: &'a Context<'_>,
    of: impl Fn(TestType) -> bool,
    about: &TestReportSpec,
    rows: i64,
) -> Option<(i64, &'a Object<TestReportSpec>)> {
    let others = relevant(cx, of, about.artifact.as_str()).into_iter();
    let others = others.filter(|(r, s)| r.problem().is_none() && s.dataset == about.dataset);
    let counts = others.filter_map(|(r, s)| Some((counted(s)?, r)));
    counts.filter(|(counted, _)| *counted > rows).max_by_key(|(counted, r)| (*counted, r.name()))
}

/// Warns of a measure of quality that was taken on fewer rows than another report counted on the same artefact and dataset:
/// whoever chose the rows chose the result. It keeps nothing from being cleared, since of some rows the outcome is not known
/// (who was refused a loan pays none back).
fn few_rows(
    cx: &Context<'_>,
    test: &Test,
    report: &Object<TestReportSpec>,
    reports: &[(&Object<TestReportSpec>, &TestReportSpec)],
    item: &str,
    out: &mut Outcome,
) {
    let Some((_, spec)) = reports.iter().find(|(r, _)| r.id == report.id) else { return };
    let asked = |name: &str| test.rule.metric.as_str() == name;
    let measured = spec.metrics.iter().flatten().find(|m| asked(m.name.as_str())).map(|m| m.rows);
    let Some(rows) = measured.or(spec.rows) else { return };
    if let Some((counted, other)) = counted_more(cx, |_| true, spec, rows) {
        out.notes.push(format!(
            "warning: {item}: {} was measured on {rows} rows, and {} counted {counted} on the same dataset: of the others \
             nothing is known; ask why they were left out",
            report.name(),
            other.name()
        ));
    }
}

/// Whether bias reports that would pass count as many rows as other reports on the same artefact and dataset: fewer leave
/// somebody out.
fn rows_fit(
    cx: &Context<'_>,
    reports: &[(&Object<TestReportSpec>, &TestReportSpec)],
    item: &str,
    out: &mut Outcome,
) -> bool {
    for (report, spec) in reports {
        let rows = spec.rows.unwrap_or(0);
        if let Some((counted, other)) = counted_more(cx, |type_| type_ != TestType::Bias, spec, rows) {
            out.unknown(
                GATE,
                Reason::ReportNotValid,
                item,
                format!("the {counted} rows that {}{} counted on this dataset, all of them in a group", other.name(), gone(other)),
                format!("{} counts {rows}", report.name()),
                "data scientist",
                "test on the whole dataset; rows whose attribute is not known are a group with the value (missing)",
            )
            .about([report.name(), other.name()]);
            return false;
        }
    }
    true
}

fn stale(
    cx: &Context<'_>,
    test: &Test,
    report: &Object<TestReportSpec>,
    reports: &[(&Object<TestReportSpec>, &TestReportSpec)],
    item: &str,
    out: &mut Outcome,
) -> bool {
    let Some(days) = test.rule.max_age_days else { return false };
    let spec = reports.iter().find(|(r, _)| r.id == report.id).map(|(_, s)| *s);
    let Some(start) = spec.and_then(|s| start(report, s)) else { return false };
    if !cx.now.reached(time::days_after(start, days)) {
        return false;
    }
    out.not_met(
        GATE,
        Reason::ReportStale,
        item,
        format!("{}; a result of at most {days} days", wanted_text(test)),
        format!("{} is of {}", report.name(), start.strftime("%Y-%m-%d")),
        reporter::who(cx, test.rule.type_),
        cx.command("test again and apply a new TestReport: kubectl apply -f REPORT.yaml"),
    )
    .about(
        [report.name().to_owned(), start.to_string(), days.to_string()].into_iter().chain(test.then.clone()),
    );
    true
}

/// Whether two reports of one test say different numbers.
fn differ(test: &Test, one: &TestReportSpec, other: &TestReportSpec) -> bool {
    if test.rule.type_ == TestType::Bias {
        return one.positive_means != other.positive_means
            || one.rows != other.rows
            || one.groups != other.groups
            || one.scores != other.scores
            || one.errors != other.errors
            || one.metrics != other.metrics;
    }
    says(&test.rule, one) != says(&test.rule, other)
}

fn wanted_text(test: &Test) -> String {
    let rule = &test.rule;
    let mut limits = Vec::new();
    limits.extend(rule.at_least.as_ref().map(|v| format!("at least {v}")));
    limits.extend(rule.at_most.as_ref().map(|v| format!("at most {v}")));
    let limits = limits.join(" and ");
    let why = rule.why.as_ref().map_or(String::new(), |why| format!(" ({why})"));
    match &test.then {
        None => format!("{} wants {} {limits}{why}", test.policy, rule.metric),
        Some(day) => format!(
            "{} wanted {} {limits}{why} on {day}, when the first report on it came",
            test.policy, rule.metric
        ),
    }
}
