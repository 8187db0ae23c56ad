//! Which reports show that a test passes and are by a person who neither made nor develops the release: those that validate it.
//! What the developers measured validates nothing, and neither does what somebody else measured and the gate *tests* would not
//! pass by: on another dataset, too long ago, or with numbers that do not reach the limit.

use std::collections::BTreeSet;

use jiff::Timestamp;
use placet_api::modelrelease::Artifact;
use placet_api::releasepolicy::WhenIndeterminate;
use placet_api::testreport::TestType;

use super::relevant::{Report, relevant, whole};
use super::single::says;
use super::subject::{Judging, Uses};
use super::verdict::verdict;
use super::{datasets, look_at, positive, reporter, start};
use crate::fairness::Verdict;
use crate::gates::Context;
use crate::gates::authors::release_authors;
use crate::people::Person;
use crate::policy::Test;
use crate::time;

/// Reports of a test.
#[derive(Debug, Default)]
pub struct Reported {
    /// Names of those that count as independent; none unless they are on each dataset that the test is taken on.
    pub independent: Vec<String>,
    /// All of them.
    pub reported: Vec<One>,
}

/// A report.
#[derive(Debug)]
pub struct One {
    /// Its name.
    pub name: String,
    /// Who made it.
    pub by: Person,
    /// Why it does not count; empty where it does.
    pub why: String,
    /// When the test began, as far as it is known.
    pub start: Option<Timestamp>,
}

/// Reports that say something of a test on an artefact.
pub fn independent(cx: &Context<'_>, test: &Test, artifact: &Artifact) -> Reported {
    let mut out = Reported::default();
    let (Some(requirements), Some((_, release))) = (cx.requirements, cx.release) else { return out };
    let authors: BTreeSet<Person> =
        release_authors(cx.snapshot).iter().map(|p| requirements.same(p).clone()).collect();
    let look = look_at(cx, requirements);
    let judging = Judging::new(cx, artifact, &look, (&Uses::of(release), &authors));
    let fixed = datasets(cx, test);
    let mut settled: BTreeSet<&str> = BTreeSet::new();
    for (report, spec) in relevant(cx, |t| t == test.rule.type_, artifact.digest.as_str()) {
        let speaks = test.rule.type_ == TestType::Bias || says(&test.rule, spec).is_some();
        let Some(standing) = report.standing().filter(|_| report.live && speaks) else { continue };
        let who = &standing.creator;
        let dataset = spec.dataset.as_str();
        let why = if standing.service_account {
            Some(format!("{who} is a service account, and no person"))
        } else if authors.contains(requirements.same(who)) {
            Some(format!("{who} made or develops the release"))
        } else if !judging.evaluation.contains(dataset) || !(fixed.is_empty() || fixed.contains(dataset)) {
            Some("it is on another dataset than the test is taken on".to_owned())
        } else {
            let entitled = reporter::entitled(cx, spec.type_, standing, &BTreeSet::new());
            entitled.err().map(|not| not.text).or_else(|| shows_nothing(cx, test, (report, spec), &judging))
        };
        let name = report.name().to_owned();
        if why.is_none() {
            settled.insert(dataset);
            out.independent.push(name.clone());
        }
        let why = why.unwrap_or_default();
        out.reported.push(One { name, by: who.clone(), why, start: start(report, spec) });
    }
    if let Some(dataset) = fixed.difference(&settled).next() {
        out.independent.clear();
        for one in out.reported.iter_mut().filter(|one| one.why.is_empty()) {
            one.why = format!("nobody else reported on {}", super::short(dataset));
        }
    }
    out
}

/// Why a report does not show that a test passes, if so.
fn shows_nothing(
    cx: &Context<'_>,
    test: &Test,
    (report, spec): Report<'_>,
    judging: &Judging<'_>,
) -> Option<String> {
    if !whole(spec) {
        return Some("it is not of a whole run".to_owned());
    }
    if test.rule.type_ == TestType::Bias && spec.positive_means.is_some_and(|means| means != positive(cx)) {
        return Some("it says another thing of a positive prediction than the system".to_owned());
    }
    let judged = verdict(test, report, spec, &judging.look);
    let warns = test.rule.when_indeterminate == Some(WhenIndeterminate::Warn) && !judged.hides;
    let passes = judged.verdict == Verdict::Pass || judged.verdict == Verdict::Indeterminate && warns;
    if !passes || judged.absent {
        return Some(format!("it does not pass: {}", judged.text));
    }
    let (days, start) = (test.rule.max_age_days?, start(report, spec)?);
    let old = cx.now.reached(time::days_after(start, days));
    old.then(|| format!("it is of {}, more than {days} days ago", start.strftime("%Y-%m-%d")))
}
