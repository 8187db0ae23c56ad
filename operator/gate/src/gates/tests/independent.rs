//! Which reports of a test are by a person who neither made nor develops the release: those that validate it.

use std::collections::BTreeSet;

use placet_api::modelrelease::DatasetUse;
use placet_api::releasepolicy::TestRule;
use placet_api::testreport::TestType;

use super::relevant::{relevant, whole};
use super::reporter;
use super::single::says;
use crate::gates::Context;
use crate::gates::authors::release_authors;
use crate::people::Person;

/// Reports of a test.
#[derive(Debug, Default)]
pub struct Reported {
    /// Names of those that count as independent.
    pub independent: Vec<String>,
    /// Names of all, each with who made it, and why that is not independent; empty where it is.
    pub reported: Vec<(String, Person, String)>,
}

/// Reports that say something of a test, on an artefact and a dataset of use Evaluation, over the whole of it.
pub fn independent(cx: &Context<'_>, rule: &TestRule, artifact: &str) -> Reported {
    let mut out = Reported::default();
    let (Some(requirements), Some((_, release))) = (cx.requirements, cx.release) else { return out };
    let datasets = release.datasets.iter().flatten().filter(|d| d.use_ == DatasetUse::Evaluation);
    let datasets: BTreeSet<&str> = datasets.map(|d| d.digest.as_str()).collect();
    let authors: BTreeSet<Person> =
        release_authors(cx.snapshot).iter().map(|p| requirements.same(p).clone()).collect();
    let nobody = BTreeSet::new();
    for (report, spec) in relevant(cx, |t| t == rule.type_, artifact) {
        let speaks = rule.type_ == TestType::Bias || says(rule, spec).is_some();
        if !report.live || !whole(spec) || !datasets.contains(spec.dataset.as_str()) || !speaks {
            continue;
        }
        let Some(standing) = report.standing() else { continue };
        let who = &standing.creator;
        let why = if standing.service_account {
            Some(format!("{who} is a service account, and no person"))
        } else if authors.contains(requirements.same(who)) {
            Some(format!("{who} made or develops the release"))
        } else {
            reporter::entitled(cx, spec.type_, standing, &nobody).err().map(|not| not.text)
        };
        let name = report.name().to_owned();
        if why.is_none() {
            out.independent.push(name.clone());
        }
        out.reported.push((name, who.clone(), why.unwrap_or_default()));
    }
    out
}
