//! Who wrote what is judged: they do not decide on it. And whether that is known.

use std::sync::Arc;

use placet_api::Kind;
use placet_api::impactassessment::ImpactAssessmentSpec;

use super::{Context, Outcome};
use crate::finding::{Gate, Reason};
use crate::object::{Object, Record, Standing};
use crate::people::Person;
use crate::world::Snapshot;

/// Who wrote or develops the release: creator and editors of it, of every earlier release of this name with the same content,
/// whoever signed one of them as its author, and the developers that it lists.
pub(super) fn release_authors(snapshot: &Snapshot) -> Vec<Person> {
    let Some(release) = &snapshot.release else { return Vec::new() };
    let same = snapshot.former.iter().filter(|f| f.digest() == release.digest());
    let releases = [release].into_iter().chain(same).flat_map(|r| wrote(snapshot, r));
    let developers = release.spec.iter().flat_map(|s| s.developers.iter().flatten());
    releases.chain(developers.map(|d| Person::from_token(d))).collect()
}

/// Who wrote what is judged: creator and editors of the release, of every earlier release of this name with the same
/// content, of the system and of its assessments, who signed any of these as its author, and the developers that the release
/// lists. Deleting and creating again makes nobody less of an author.
pub fn authors(snapshot: &Snapshot) -> Vec<Person> {
    if snapshot.release.is_none() {
        return Vec::new();
    }
    let live = || snapshot.assessments.iter().filter(|a| a.live);
    let same_assessment = |a: &&Arc<Object<ImpactAssessmentSpec>>| live().any(|l| l.digest() == a.digest());
    let assessments = snapshot.assessments.iter().filter(same_assessment).flat_map(|a| wrote(snapshot, a));
    let assessments = assessments.chain(live().flat_map(|a| signed_before(snapshot, a)));
    let mut authors: Vec<Person> =
        assessments.chain(system_authors(snapshot)).chain(release_authors(snapshot)).collect();
    authors.sort();
    authors.dedup();
    authors
}

/// Who wrote the system, and every earlier system of this name with the same content.
pub(super) fn system_authors(snapshot: &Snapshot) -> Vec<Person> {
    let Some(system) = &snapshot.system else { return Vec::new() };
    let same = snapshot.former_systems.iter().filter(|f| f.digest() == system.digest());
    let wrote = [system].into_iter().chain(same).flat_map(|s| wrote(snapshot, s));
    let before = snapshot.former_systems.iter().filter(|f| f.record.uid == system.record.uid);
    wrote.chain(before.flat_map(|s| snapshot.trust().ever_authors(&s.record))).collect()
}

/// Who wrote an assessment, in any version that is as it is now; and the system.
pub(super) fn assessment_authors(
    snapshot: &Snapshot,
    assessment: &Object<ImpactAssessmentSpec>,
) -> Vec<Person> {
    let same = snapshot.assessments.iter().filter(|a| a.digest() == assessment.digest());
    let wrote = same.flat_map(|a| wrote(snapshot, a)).chain(signed_before(snapshot, assessment));
    wrote.chain(system_authors(snapshot)).collect()
}

/// Who signed an earlier version of an assessment as its author: as with editors, what was changed since is theirs too.
fn signed_before<'a>(
    snapshot: &'a Snapshot,
    assessment: &'a Object<ImpactAssessmentSpec>,
) -> impl Iterator<Item = Person> + use<'a> {
    let uid = &assessment.record.uid;
    let before = snapshot.assessments.iter().filter(move |a| a.record.uid == *uid);
    before.flat_map(|a| snapshot.trust().ever_authors(&a.record))
}

/// Creator and editors of an object, and whoever signed it as its author.
pub(super) fn wrote<'a, S>(
    snapshot: &'a Snapshot,
    object: &'a Object<S>,
) -> impl Iterator<Item = Person> + use<'a, S> {
    let stamped = object.standing().into_iter().flat_map(|s| s.authors.iter().cloned());
    stamped.chain(snapshot.trust().ever_authors(&object.record))
}

/// What a robot wrote without an author who signed it.
pub(super) struct Unsigned<'a> {
    kind: Kind,
    name: &'a str,
    found: String,
    about: Vec<String>,
}

impl Unsigned<'_> {
    /// The command that mends it.
    pub(super) fn command(&self, cx: &Context<'_>) -> String {
        cx.command(&format!("placet sign {}/{} --sign-with KEY", self.kind.short(), self.name))
    }

    /// What the words name.
    pub(super) fn about(&self) -> impl Iterator<Item = String> {
        [self.name.to_owned()].into_iter().chain(self.about.iter().cloned())
    }

    /// What is wrong, in words, with how it is mended.
    pub(super) fn said(&self, cx: &Context<'_>) -> String {
        format!("nobody knows who wrote {} {}: {} ({})", self.kind, self.name, self.found, self.command(cx))
    }
}

/// Of the release, its system and its assessment those of these kinds of which nobody knows who wrote them: a robot writes
/// nothing itself, and without somebody who signed what it wrote, nobody can say who may not decide on it.
pub(super) fn unsigned<'a>(cx: &Context<'a>, kinds: &[Kind]) -> Vec<Unsigned<'a>> {
    let release = cx.release.and_then(|(r, _)| Some((&r.record, r.standing()?)));
    let system = cx.system.and_then(|(s, _)| Some((&s.record, s.standing()?)));
    let assessment = cx.assessment.and_then(|(a, _)| Some((&a.record, a.standing()?)));
    let all = [release, system, assessment].into_iter().flatten();
    all.filter(|(record, _)| kinds.contains(&record.kind)).filter_map(|(r, s)| of(cx, r, s)).collect()
}

fn of<'a>(cx: &Context<'a>, record: &'a Record, standing: &Standing) -> Option<Unsigned<'a>> {
    let robot = standing.robot()?;
    let (found, about) = match cx.snapshot.trust().author(record, standing) {
        Some(Ok(_)) => return None,
        Some(Err(void)) => (format!("{robot} wrote it; its author's signature: {}", void.text), void.about),
        None => (format!("{robot} wrote it, and it carries no author's signature"), Vec::new()),
    };
    let about = [robot.to_string()].into_iter().chain(about).collect();
    Some(Unsigned { kind: record.kind, name: &record.name, found, about })
}

/// A rule asks who wrote these: where nobody knows, it cannot be known whether it holds. A decision says of each once what is
/// missing (`decision::authors_once`).
pub(super) fn known(cx: &Context<'_>, gate: Gate, kinds: &[Kind], out: &mut Outcome) {
    for one in unsigned(cx, kinds) {
        let item = match one.kind {
            Kind::ModelRelease => one.name.to_owned(),
            kind => format!("{}/{}", kind.short(), one.name),
        };
        out.unknown(
            gate,
            Reason::AuthorUnknown,
            item,
            "the signature of its author, since a service account wrote it and nobody knows who may not decide on it",
            one.found.clone(),
            "its author",
            one.command(cx),
        )
        .about(one.about);
    }
}
