//! Who may show by a report that a test passes: whoever holds each role that the policies name for its type, and, where they ask
//! so, nobody who made or develops the release. What fails in a report counts whoever made it.

use std::collections::BTreeSet;

use placet_api::testreport::TestType;

use crate::gates::Context;
use crate::gates::authors::release_authors;
use crate::object::Standing;
use crate::people::Person;

/// Why a report by somebody shows nothing.
#[derive(Debug)]
pub(super) struct NotEntitled {
    /// In words.
    pub(super) text: String,
    /// What lets a report count.
    pub(super) command: String,
}

/// Roles that the policies name for a type; none where anybody may report.
fn roles<'a>(cx: &'a Context<'_>, type_: TestType) -> impl Iterator<Item = &'a str> {
    let named = cx.requirements.and_then(|r| r.reporters.get(&type_));
    named.into_iter().flatten().map(String::as_str)
}

/// Who supplies a report of a type, as findings name them.
pub(super) fn who(cx: &Context<'_>, type_: TestType) -> String {
    let roles: Vec<&str> = roles(cx, type_).collect();
    if roles.is_empty() { "data scientist".to_owned() } else { format!("tester ({})", roles.join(" and ")) }
}

/// Whether somebody held the roles that the policies name for tests of a type when they made a report.
///
/// # Errors
/// Why not.
pub(super) fn holds_roles(cx: &Context<'_>, type_: TestType, standing: &Standing) -> Result<(), NotEntitled> {
    let who = &standing.creator;
    for role in roles(cx, type_) {
        let held = standing.reports_as.iter().find(|r| r.role == role);
        let why = match held {
            None => format!("{who} did not hold the verb report on approvalroles.placet.dev/{role}"),
            Some(held) if held.by_wildcard && !cx.requirements.is_some_and(|r| r.wildcards_count) => format!(
                "{who} could report as {role} only by a wildcard that covers every role, and nobody gave it to them by name"
            ),
            Some(_) => continue,
        };
        return Err(NotEntitled {
            text: format!("{why} when it was made"),
            command: format!(
                "somebody who may report as {role} applies the numbers under another name; to let somebody: kubectl create \
                 clusterrolebinding report-{role}-NAME --clusterrole=placet-report-{role} --user=NAME"
            ),
        });
    }
    Ok(())
}

/// Who made or develops the release, each by the name that stands for all of theirs; nobody where that bars nobody.
pub(super) fn barred(cx: &Context<'_>) -> BTreeSet<Person> {
    let Some(asked) = cx.requirements.filter(|r| !r.authors_report) else { return BTreeSet::new() };
    release_authors(cx.snapshot).iter().map(|author| asked.same(author).clone()).collect()
}

/// Whether a report by somebody may show that a test passes. `barred`: those of [`barred`].
///
/// # Errors
/// Why not.
pub(super) fn entitled(
    cx: &Context<'_>,
    type_: TestType,
    standing: &Standing,
    barred: &BTreeSet<Person>,
) -> Result<(), NotEntitled> {
    let who = &standing.creator;
    let somebody_else = || "somebody else tests, and reports under another name".to_owned();
    if let Some(doubt) = standing.doubtful_name {
        let text = format!("the name of {who} {doubt}, so it may be taken for another's");
        return Err(NotEntitled { text, command: somebody_else() });
    }
    holds_roles(cx, type_, standing)?;
    let Some(asked) = cx.requirements.filter(|r| !r.authors_report && !r.pipelines.contains(who)) else {
        return Ok(());
    };
    if standing.service_account {
        return Err(NotEntitled {
            text: format!("{who} is a service account, and none of the pipelines that the policies list"),
            command: "list the account in spec.separationOfDuties.pipelines of each policy that applies, or have a person report"
                .to_owned(),
        });
    }
    if barred.contains(asked.same(who)) {
        return Err(NotEntitled {
            text: format!("{who} made or develops the release"),
            command: somebody_else(),
        });
    }
    Ok(())
}
