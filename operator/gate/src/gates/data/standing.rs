//! Which Datasets stand: those that nobody entitled has corrected. Deleted ones take part: deleting a word on data takes back nothing.

use placet_api::dataset::DatasetSpec;

use crate::gates::Context;
use crate::gates::authors::authors;
use crate::object::Object;
use crate::people::Person;

/// Why a Dataset that names another in `supersedes` does not supersede it.
pub(super) struct WhyNot {
    /// In words.
    pub(super) text: String,
    /// What they name.
    pub(super) about: Vec<String>,
}

impl WhyNot {
    fn of(text: impl Into<String>, person: Option<&Person>) -> Self {
        Self { text: text.into(), about: person.into_iter().map(ToString::to_string).collect() }
    }
}

/// Whether one of `all` supersedes a Dataset.
pub(super) fn superseded(cx: &Context<'_>, old: &Object<DatasetSpec>, all: &[&Object<DatasetSpec>]) -> bool {
    all.iter().any(|by| names(by, old) && why_not(cx, by, old, all).is_none())
}

/// Whether a Dataset says that it supersedes another.
fn names(by: &Object<DatasetSpec>, old: &Object<DatasetSpec>) -> bool {
    let said = by.spec.as_ref().ok().and_then(|s| s.supersedes.as_ref());
    by.name() != old.name() && said.is_some_and(|s| s.datasets.iter().any(|d| d.as_str() == old.name()))
}

/// Why a Dataset does not supersede another that it names; None where it does, or does not name it.
pub(super) fn why_not(
    cx: &Context<'_>,
    by: &Object<DatasetSpec>,
    old: &Object<DatasetSpec>,
    all: &[&Object<DatasetSpec>],
) -> Option<WhyNot> {
    if !names(by, old) {
        return None;
    }
    let Some(standing) = by.standing() else {
        return Some(WhyNot::of("nobody is known to have written it", None));
    };
    let who = &standing.creator;
    if let Some(doubt) = standing.doubtful_name {
        return Some(WhyNot::of(format!("the name of {who} {doubt}"), Some(who)));
    }
    // What was not there yet cannot be known to be wrong.
    if old.standing().is_none_or(|s| s.changed_at >= standing.created_at) {
        return Some(WhyNot::of("it is not the later one", None));
    }
    let same = |person: &Person| cx.requirements.map_or(person, |r| r.same(person)).clone();
    let one = same(who);
    let wrote = |d: &Object<DatasetSpec>| {
        d.standing().is_none_or(|s| s.authors.iter().any(|author| same(author) == one))
    };
    if undone(by, all).into_iter().any(wrote) {
        return Some(WhyNot::of(
            format!("{who} wrote one of those that it names, or that these superseded"),
            Some(who),
        ));
    }
    // Whoever made the release does not say what is wrong in what others say of its data.
    if authors(cx.snapshot).iter().any(|author| same(author) == one) {
        return Some(WhyNot::of(
            format!("{who} wrote or develops the release, its system or its assessment"),
            Some(who),
        ));
    }
    None
}

/// Those that a Dataset names, and those that these name in turn: whoever undoes a correction speaks for what it corrected.
fn undone<'a>(by: &Object<DatasetSpec>, all: &[&'a Object<DatasetSpec>]) -> Vec<&'a Object<DatasetSpec>> {
    let (mut out, mut rest): (Vec<_>, Vec<_>) = all.iter().copied().partition(|d| names(by, d));
    let mut next = 0;
    while let Some(&one) = out.get(next) {
        let (found, left) = rest.into_iter().partition(|d| names(one, d));
        rest = left;
        out.extend::<Vec<_>>(found);
        next += 1;
    }
    out
}
