//! Which reports are judged: those on an artefact that nobody entitled has superseded with a reason.

use placet_api::testreport::{Run, TestReportSpec, TestType};

use super::reporter;
use crate::gates::Context;
use crate::gates::authors::authors;
use crate::object::Object;
use crate::people::Person;

/// A report with its spec.
pub(super) type Report<'a> = (&'a Object<TestReportSpec>, &'a TestReportSpec);

/// Whether a report is of a whole run: of any other it shows nothing.
pub(super) fn whole(report: &TestReportSpec) -> bool {
    report.run.is_none_or(|run| run == Run::Whole)
}

/// Reports of some types on an artefact that no valid report supersedes. Deleted ones take part.
pub(super) fn relevant<'a>(
    cx: &'a Context<'_>,
    of: impl Fn(TestType) -> bool,
    artifact: &str,
) -> Vec<Report<'a>> {
    sorted(cx, of, artifact).0
}

/// The same, and those that were superseded, each with what supersedes it.
pub(super) fn sorted<'a>(
    cx: &'a Context<'_>,
    of: impl Fn(TestType) -> bool,
    artifact: &str,
) -> (Vec<Report<'a>>, Vec<(Report<'a>, Report<'a>)>) {
    let all: Vec<Report<'a>> = cx
        .snapshot
        .reports
        .iter()
        .filter_map(|r| Some((r.as_ref(), r.spec.as_ref().ok()?)))
        .filter(|(_, s)| of(s.type_) && s.artifact.as_str() == artifact)
        .collect();
    // Nearly always nothing does.
    if all.iter().all(|(_, spec)| spec.supersedes.is_none()) {
        return (all, Vec::new());
    }
    // Whoever wrote or develops the release does not say which of its results are wrong, under none of their names.
    let same = |person: &Person| cx.requirements.map_or(person, |r| r.same(person)).clone();
    let authors: Vec<Person> = authors(cx.snapshot).iter().map(same).collect();
    let barred = reporter::barred(cx);
    // What was found on one dataset is not shown to be wrong by another, nor by a part of it.
    let superseded = |report: &Object<TestReportSpec>, about: &TestReportSpec| {
        all.iter().copied().find(|(by, spec)| {
            by.name() != report.name()
                && spec.type_ == about.type_
                && spec.dataset == about.dataset
                && whole(spec)
                && spec
                    .supersedes
                    .as_ref()
                    .is_some_and(|s| s.reports.iter().any(|r| r.as_str() == report.name()))
                && by.standing().is_some_and(|s| {
                    // What was not there yet cannot be known to be wrong.
                    let later = report.standing().is_some_and(|r| r.changed_at < s.created_at);
                    let who = same(&s.creator);
                    later
                        && !made_any(&all, spec, &who, &same)
                        && !authors.contains(&who)
                        && reporter::entitled(cx, spec.type_, s, &barred).is_ok()
                })
        })
    };
    let (mut stand, mut gone) = (Vec::new(), Vec::new());
    for (report, spec) in all.iter().copied() {
        match superseded(report, spec) {
            Some(by) => gone.push(((report, spec), by)),
            None => stand.push((report, spec)),
        }
    }
    (stand, gone)
}

/// Whether a person made any of the reports that a report supersedes: then superseding does not count.
fn made_any(
    all: &[Report<'_>],
    by: &TestReportSpec,
    person: &Person,
    same: &dyn Fn(&Person) -> Person,
) -> bool {
    by.supersedes.iter().flat_map(|s| &s.reports).any(|name| {
        all.iter().any(|(r, _)| {
            r.name() == name.as_str()
                && r.standing().is_none_or(|s| s.authors.iter().any(|author| same(author) == *person))
        })
    })
}
