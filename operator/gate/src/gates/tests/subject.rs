//! An artefact, and what it is judged by: what is asked now, and what was asked when the first report on it came.

use std::collections::BTreeSet;

use placet_api::modelrelease::{Artifact, DatasetUse, ModelReleaseSpec};
use placet_api::scalar::Digest;

use super::frozen::{Frozen, frozen, requirement_digest};
use super::{Look, wanted_text};
use crate::decision::SHOWN;
use crate::gates::assessment::short;
use crate::gates::{Context, Outcome};
use crate::people::Person;

/// What a release uses datasets for.
pub(super) struct Uses<'a> {
    /// Digests of those for evaluation, that nothing was trained on.
    evaluation: BTreeSet<&'a str>,
    /// Digests of those for anything else.
    other: BTreeSet<&'a str>,
}

impl<'a> Uses<'a> {
    pub(super) fn of(release: &'a ModelReleaseSpec) -> Self {
        let all = || release.datasets.iter().flatten();
        let of = |wanted: fn(DatasetUse) -> bool| -> BTreeSet<&'a str> {
            all().filter(|d| wanted(d.use_)).map(|d| d.digest.as_str()).collect()
        };
        let trained = of(|u| u == DatasetUse::Training);
        let mut evaluation = of(|u| u == DatasetUse::Evaluation);
        // What a model was trained on tells nothing of it, whatever else it is called.
        evaluation.retain(|d| !trained.contains(d));
        let mut other = of(|u| u != DatasetUse::Evaluation);
        other.retain(|d| !evaluation.contains(d));
        Self { evaluation, other }
    }
}

/// An artefact, and what it is judged by.
pub(super) struct Judging<'a> {
    pub(super) artifact: &'a Artifact,
    /// Datasets on which reports count.
    pub(super) evaluation: BTreeSet<String>,
    /// Datasets that were for evaluation when the first report on the artefact came, and that the release names for something else:
    /// what failed on them failed, and what passes on them shows nothing.
    pub(super) renamed: BTreeSet<String>,
    /// What bias tests look at.
    pub(super) look: Look,
    /// Who may not report it, since they made or develop the release.
    pub(super) barred: &'a BTreeSet<Person>,
    /// What of it is not asked any more of others.
    pub(super) frozen: Frozen,
}

impl<'a> Judging<'a> {
    pub(super) fn new(
        cx: &Context<'_>,
        artifact: &'a Artifact,
        look: &Look,
        (uses, barred): (&Uses<'_>, &'a BTreeSet<Person>),
    ) -> Self {
        let frozen = frozen(cx, artifact.digest.as_str(), &look.sets, &uses.evaluation);
        let mut look = look.clone();
        look.sets.extend(frozen.sets.iter().cloned());
        look.sets.sort();
        let (renamed, then): (BTreeSet<String>, BTreeSet<String>) =
            frozen.datasets.iter().cloned().partition(|d| uses.other.contains(d.as_str()));
        let evaluation = uses.evaluation.iter().map(ToString::to_string).chain(then).collect();
        Self { artifact, evaluation, renamed, look, barred, frozen }
    }

    /// Notes what is asked of the artefact alone.
    pub(super) fn say_frozen(&self, cx: &Context<'_>, out: &mut Outcome) {
        let frozen = &self.frozen;
        if frozen.is_empty() {
            return;
        }
        let datasets: BTreeSet<&str> = self.evaluation.iter().map(String::as_str).collect();
        let tests = frozen.tests.iter().map(|test| {
            let fixed: BTreeSet<&str> = test.rule.datasets.iter().flatten().map(Digest::as_str).collect();
            let on = if fixed.is_empty() { &datasets } else { &fixed };
            let digest = requirement_digest(&test.rule, &self.look.sets, on).unwrap_or_default();
            format!("{} (requirement {})", wanted_text(test), short(&digest))
        });
        let sets = frozen.sets.iter().map(|set| format!("attributes {}", set.join(" × ")));
        let datasets = frozen.datasets.iter().map(|d| format!("dataset {}", short(d)));
        let all: Vec<String> = tests.chain(sets).chain(datasets).collect();
        out.notes.push(format!(
            "{SHOWN}{}: judged by what was asked on {}, too, when the first report on it came in {}: {}",
            self.artifact.name,
            frozen.day,
            cx.snapshot.namespace,
            all.join("; ")
        ));
    }
}
