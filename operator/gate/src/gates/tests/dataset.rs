//! What the reports on one dataset show.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use placet_api::releasepolicy::WhenIndeterminate;
use placet_api::testreport::{TestReportSpec, TestType};

use super::relevant::Report;
use super::reporter::{self, NotEntitled};
use super::subject::Judging;
use super::verdict::{Judged, verdict};
use super::{
    Context, GATE, Outcome, differ, few_rows, gone, outcome_fits, positive, rows_fit, short, stale, start,
    wanted_text,
};
use crate::fairness::Verdict;
use crate::finding::Reason;
use crate::object::Object;
use crate::people::Person;
use crate::policy::Test;

/// What failed stays to be seen, though somebody has superseded it.
pub(super) fn note_superseded(
    test: &Test,
    item: &str,
    superseded: &[(Report<'_>, Report<'_>)],
    subject: &Judging<'_>,
    out: &mut Outcome,
) {
    for ((report, spec), (by, why)) in superseded {
        let judged = verdict(test, report, spec, &subject.look);
        if report.problem().is_some() || judged.verdict != Verdict::Fail {
            continue;
        }
        let reason = why.supersedes.as_ref().map(|s| s.reason.to_string()).unwrap_or_default();
        out.notes.push(format!(
            "warning: {item}: {} failed ({}){}; superseded by {}: {reason}",
            report.name(),
            judged.text,
            gone(report),
            by.name()
        ));
    }
}

fn say_failed(test: &Test, item: &str, report: &Object<TestReportSpec>, failed: &Judged, out: &mut Outcome) {
    let artifact =
        report.spec.as_ref().map_or_else(|_| "these artefacts".to_owned(), |spec| short(&spec.artifact));
    out.not_met(
        GATE,
        Reason::TestFailed,
        item,
        wanted_text(test),
        format!("{}: {}{}", report.name(), failed.text, gone(report)),
        "data scientist",
        format!("train again and release new artefacts; this result stays for {artifact}"),
    )
    .about([report.name(), report.digest()].into_iter().chain(test.then.as_deref()));
    out.notes.extend(failed.notes.iter().cloned());
}

/// Judges the reports on one dataset: whether a report passes now, and whether something blocks.
pub(super) fn judge_dataset(
    cx: &Context<'_>,
    test: &Test,
    item: &str,
    reports: &[Report<'_>],
    subject: &Judging<'_>,
    out: &mut Outcome,
) -> (bool, bool) {
    let judged: Vec<(&Object<TestReportSpec>, Arc<Judged>)> = reports
        .iter()
        .filter(|(_, s)| {
            test.rule.type_ != TestType::Bias || s.positive_means.is_none_or(|m| m == positive(cx))
        })
        .map(|(r, s)| (*r, verdict(test, r, s, &subject.look)))
        .collect();
    if let Some((report, failed)) = judged.iter().find(|(_, j)| j.verdict == Verdict::Fail) {
        say_failed(test, item, report, failed, out);
        return (false, true);
    }
    if test.rule.type_ == TestType::Bias && !outcome_fits(cx, reports, item, out) {
        return (false, true);
    }
    if reports.iter().skip(1).any(|(_, spec)| differ(test, reports[0].1, spec)) {
        let names: Vec<&str> = reports.iter().map(|(r, _)| r.name()).collect();
        out.unknown(
            GATE,
            Reason::ReportsConflict,
            item,
            "one result for an artefact, a dataset and a test",
            format!("{} differ", names.join(" and ")),
            "a person who made none of them",
            cx.command(
                "test again and apply a TestReport that names the wrong ones in spec.supersedes with a reason: kubectl apply -f \
                 REPORT.yaml",
            ),
        )
        .about(names.iter().copied());
        return (false, true);
    }
    let (report, result) = match who_shows(cx, test, &judged, reports, subject.barred) {
        Shows::Nobody => return (false, false),
        Shows::NotEntitled(report, why) => {
            say_not_entitled(cx, test, item, report, why, out);
            return (false, true);
        }
        Shows::This(report, result) => (report, result),
    };
    out.notes.extend(result.notes.iter().cloned());
    if stale(cx, test, report, reports, item, out) {
        return (false, true);
    }
    if result.absent {
        out.not_met(
            GATE,
            Reason::GroupMissing,
            item,
            format!("{}, for every attribute and category that policies and system name", wanted_text(test)),
            format!("{}: {}", report.name(), result.text),
            reporter::who(cx, test.rule.type_),
            format!("{}: a new TestReport that supersedes this one", result.mend.words()),
        )
        .about([report.name(), report.digest()].into_iter().chain(test.then.as_deref()));
        return (false, true);
    }
    let warns = test.rule.when_indeterminate == Some(WhenIndeterminate::Warn) && !result.hides;
    let passes = result.verdict == Verdict::Pass || warns;
    if passes && test.rule.type_ == TestType::Bias && !rows_fit(cx, reports, item, out) {
        return (false, true);
    }
    if passes && test.rule.type_ == TestType::Performance {
        few_rows(cx, test, report, reports, item, out);
    }
    match result.verdict {
        Verdict::Pass => {
            out.notes.push(format!("{item}: {}: {}", report.name(), result.text));
            (true, false)
        }
        _ if warns => {
            out.notes.push(format!("warning: {item}: {}: {}", report.name(), result.text));
            (true, false)
        }
        _ => {
            let mut command = format!("{}: a new TestReport that supersedes this one", result.mend.words());
            if let Some(more) = &result.more {
                command = format!("{command}; {more}");
            }
            out.unknown(
                GATE,
                Reason::TestIndeterminate,
                item,
                wanted_text(test),
                format!("{}: {}", report.name(), result.text),
                reporter::who(cx, test.rule.type_),
                command,
            )
            .about([report.name(), report.digest()].into_iter().chain(test.then.as_deref()));
            (false, true)
        }
    }
}

/// Says of a report that its maker may not show by it that the test passes.
fn say_not_entitled(
    cx: &Context<'_>,
    test: &Test,
    item: &str,
    report: &Object<TestReportSpec>,
    why: NotEntitled,
    out: &mut Outcome,
) {
    let type_ = test.rule.type_;
    let wanted = format!("a {type_} report by somebody whose word it is; {}", wanted_text(test));
    let found = format!("{}: {}", report.name(), why.text);
    let who = reporter::who(cx, type_);
    let maker = report.standing().map(|s| s.creator.to_string());
    let about = [report.name(), report.digest()].map(str::to_owned).into_iter();
    out.not_met(GATE, Reason::ReporterNotEntitled, item, wanted, found, who, why.command)
        .about(about.chain(maker).chain(test.then.clone()));
}

/// Which of the reports on one dataset, that all say the same, shows it.
enum Shows<'a> {
    /// None of them is there any more.
    Nobody,
    /// None was made by somebody who may.
    NotEntitled(&'a Object<TestReportSpec>, NotEntitled),
    /// This one.
    This(&'a Object<TestReportSpec>, &'a Judged),
}

/// Of those that are there and were made by somebody who may, the one that is valid longest.
fn who_shows<'a>(
    cx: &Context<'_>,
    test: &Test,
    judged: &'a [(&'a Object<TestReportSpec>, Arc<Judged>)],
    reports: &[Report<'_>],
    barred: &BTreeSet<Person>,
) -> Shows<'a> {
    let mut not = None;
    let mut best: Option<(Option<Timestamp>, &Object<TestReportSpec>, &Judged)> = None;
    for (report, judged) in judged.iter().filter(|(r, _)| r.live) {
        let Some(standing) = report.standing() else { continue };
        if let Err(why) = reporter::entitled(cx, test.rule.type_, standing, barred) {
            not.get_or_insert((*report, why));
            continue;
        }
        let spec = reports.iter().find(|(r, _)| r.id == report.id).map(|(_, s)| *s);
        let start = spec.and_then(|s| start(report, s));
        if best.as_ref().is_none_or(|(known, _, _)| start > *known) {
            best = Some((start, *report, judged));
        }
    }
    match (best, not) {
        (Some((_, report, judged)), _) => Shows::This(report, judged),
        (None, Some((report, why))) => Shows::NotEntitled(report, why),
        (None, None) => Shows::Nobody,
    }
}
