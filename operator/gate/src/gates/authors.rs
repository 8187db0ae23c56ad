//! Who wrote what is judged: they do not approve it.

use std::sync::Arc;

use placet_api::impactassessment::ImpactAssessmentSpec;

use crate::object::Object;
use crate::people::Person;
use crate::world::Snapshot;

/// Who wrote or develops the release: creator and editors of it, of every earlier release of this name with the same content,
/// whoever signed one of them, and the developers that it lists.
pub(super) fn release_authors(snapshot: &Snapshot) -> Vec<Person> {
    let Some(release) = &snapshot.release else { return Vec::new() };
    let same = snapshot.former.iter().filter(|f| f.digest() == release.digest());
    let trust = snapshot.trust();
    let signed = [release].into_iter().chain(same.clone()).flat_map(|r| trust.ever_authors(&r.record));
    let standings = [release].into_iter().chain(same).filter_map(|r| r.standing());
    let developers = release.spec.iter().flat_map(|s| s.developers.iter().flatten());
    let wrote = standings.flat_map(|s| s.authors.clone());
    wrote.chain(developers.map(|d| Person::from_token(d))).chain(signed).collect()
}

/// Who wrote what is judged: creator and editors of the release, of every earlier release of this name with the same
/// content, of the system and of its assessments, and the developers that the release lists. Deleting and creating again
/// makes nobody less of an author.
pub fn authors(snapshot: &Snapshot) -> Vec<Person> {
    if snapshot.release.is_none() {
        return Vec::new();
    }
    let live = || snapshot.assessments.iter().filter(|a| a.live);
    let same = |a: &&Arc<Object<ImpactAssessmentSpec>>| live().any(|l| l.digest() == a.digest());
    let assessments = snapshot.assessments.iter().filter(same).filter_map(|a| a.standing());
    let wrote = assessments.flat_map(|s| s.authors.clone()).chain(system_authors(snapshot));
    let mut authors: Vec<Person> = wrote.chain(release_authors(snapshot)).collect();
    authors.sort();
    authors.dedup();
    authors
}

/// Creator and editors of the system, and of every earlier system of this name with the same content.
pub(super) fn system_authors(snapshot: &Snapshot) -> Vec<Person> {
    let Some(system) = &snapshot.system else { return Vec::new() };
    let same = snapshot.former_systems.iter().filter(|f| f.digest() == system.digest());
    let standings = [system].into_iter().chain(same).filter_map(|s| s.standing());
    standings.flat_map(|s| s.authors.clone()).collect()
}
