//! What depends on an object that was written, changed or deleted: which releases are judged anew, and what shows it in status.

use placet_api::Kind;
use placet_api::approval::{ApprovalSpec, SubjectKind};
use placet_api::modelrelease::ModelReleaseSpec;
use placet_gate::world::World;

use crate::queue::Work;
use crate::registers;
use crate::state::State;

/// The work of looking at an object itself.
pub(crate) fn own(kind: Kind, key: (String, String)) -> Work {
    match kind {
        Kind::ModelRelease => Work::Release(key.0, key.1),
        _ => Work::Object(kind, key.0, key.1),
    }
}

/// Releases whose decision may read an object as it is now: those of its namespace (all, for cluster kinds), and where
/// the object says what it is about, those only. An approval of one release is no work for a thousand others.
pub(crate) fn releases_about(
    world: &World,
    kind: Kind,
    namespace: &str,
    name: &str,
) -> Vec<(String, String)> {
    let all = world.releases_touched(kind, Some(namespace)).into_iter();
    let spec = |key: &(String, String)| world.release(&key.0, &key.1).and_then(|r| r.spec.as_ref().ok());
    match kind {
        Kind::Approval => match world.approval(namespace, name).and_then(|a| a.spec.as_ref().ok()) {
            Some(ApprovalSpec { subject, .. }) if subject.kind == SubjectKind::ModelRelease => {
                all.filter(|key| key.1 == subject.name.as_str()).collect()
            }
            Some(ApprovalSpec { subject, .. }) if subject.kind == SubjectKind::AISystem => all
                .filter(|key| spec(key).is_some_and(|s| s.system.as_str() == subject.name.as_str()))
                .collect(),
            _ => all.collect(),
        },
        Kind::TestReport => match world.report(namespace, name) {
            Some(report) => {
                let artifact = report.record.spec.text("artifact");
                let has = |s: &ModelReleaseSpec| {
                    s.artifacts.iter().any(|a| Some(a.digest.as_str()) == artifact.as_deref())
                };
                // What shows that a control works is read by every release of the system.
                let shows = registers::resting_on(world, kind, namespace, name);
                let of = |s: &ModelReleaseSpec| shows.iter().any(|(_, system)| s.system.as_str() == system);
                all.filter(|key| spec(key).is_some_and(|s| has(s) || of(s))).collect()
            }
            None => all.collect(),
        },
        Kind::Dataset => match world.dataset(namespace, name) {
            Some(dataset) => all.filter(|key| spec(key).is_some_and(|s| dataset.is_read_by(s))).collect(),
            None => all.collect(),
        },
        _ => all.collect(),
    }
}

/// What depends on an object: releases, itself, and what shows it in status.
pub(crate) fn affected(state: &State, kind: Kind, namespace: &str, name: &str) -> Vec<Work> {
    let world = state.world();
    let mut work: Vec<Work> = releases_about(&world, kind, namespace, name)
        .into_iter()
        .map(|(ns, n)| Work::Release(ns, n))
        .collect();
    work.push(own(kind, (namespace.to_owned(), name.to_owned())));
    let shown: &[Kind] = match kind {
        Kind::ModelRelease => &[Kind::AISystem, Kind::Approval, Kind::RiskAcceptance],
        Kind::RiskAcceptance => &[Kind::Approval],
        // A policy says whether authors may approve, a signer who stands behind a signature.
        Kind::AISystem | Kind::TrustedSigner => &[Kind::Approval, Kind::RiskAcceptance],
        // A system shows its obligations and where it ranks.
        Kind::ReleasePolicy | Kind::ImpactAssessment => {
            &[Kind::AISystem, Kind::Approval, Kind::RiskAcceptance]
        }
        Kind::ApprovalRole => &[Kind::ReleasePolicy],
        _ => &[],
    };
    for other in shown {
        work.extend(
            world
                .names(*other)
                .into_iter()
                .filter(|(ns, _)| !kind.namespaced() || ns == namespace)
                .map(|key| own(*other, key)),
        );
    }
    let resting = registers::resting_on(&world, kind, namespace, name);
    for (key, system) in resting {
        // Where a system ranks follows from the levels of its assessment.
        work.push(own(Kind::AISystem, (key.0.clone(), system)));
        work.push(own(Kind::ImpactAssessment, key));
    }
    work
}

#[cfg(test)]
mod tests {
    use placet_gate::object::Reading;
    use placet_gate::people::PeopleKey;
    use placet_gate::stamp::ReceiptKeys;
    use placet_gate::world::Clock;
    use serde_json::{Value, json};

    use super::*;

    fn digest(n: usize) -> String {
        format!("sha256:{}", n.to_string().repeat(64))
    }

    /// Two systems, three releases, each with an artefact of its own, and approvals and reports about all of them.
    fn world() -> (World, Vec<(Kind, String)>) {
        let people = PeopleKey::new(*b"stores");
        let reading = Reading { cluster: "c".into(), cluster_name: None, keys: ReceiptKeys::new(), people };
        let (mut world, mut objects) = (World::new(), Vec::new());
        let mut put = |kind: Kind, name: String, spec: Value| {
            let metadata = json!({"name": name, "namespace": "credit"});
            let object = json!({
                "apiVersion": "placet.dev/v1alpha1", "kind": kind.as_str(), "metadata": metadata, "spec": spec,
            });
            world.apply(reading.read(&object).unwrap().0);
            objects.push((kind, name));
        };
        for n in 0..3 {
            let spec = json!({
                "system": format!("system-{}", n / 2), "version": "1", "change": {"kind": "Retrain", "reason": "New"},
                "artifacts": [{"name": "a", "role": "Model", "kind": "OCI", "reference": "r", "digest": digest(n)}],
                "datasets": [{"name": "d", "digest": digest(9), "use": "Training"}],
            });
            put(Kind::ModelRelease, format!("release-{n}"), spec);
            put(Kind::TestReport, format!("report-{n}"), json!({"artifact": digest(n)}));
        }
        // Of a content that all releases name, of one that none does, and of the name that all of them give to another content.
        for (name, of, content) in [("of-all", "other", 9), ("of-none", "other", 8), ("namesake", "d", 8)] {
            put(Kind::Dataset, name.into(), json!({"name": of, "digest": digest(content)}));
        }
        put(Kind::ImpactAssessment, "assessment".into(), json!({"system": "system-0"}));
        put(Kind::Approval, "not-understood".into(), json!({"subject": {"kind": "ModelRelease"}}));
        let subjects =
            ["release-0", "release-1", "release-2", "gone"].map(|n| ("ModelRelease", "Content", n));
        let systems = ["system-0", "system-1", "gone"].map(|n| ("AISystem", "Classification", n));
        let others = [("ImpactAssessment", "Content", "assessment")];
        for (kind, covers, name) in subjects.into_iter().chain(systems).chain(others) {
            let subject = json!({"kind": kind, "name": name, "covers": covers, "digest": digest(1)});
            let spec = json!({"subject": subject, "role": "risk-officer", "decision": "Approve"});
            put(Kind::Approval, format!("of-{name}"), spec);
        }
        (world, objects)
    }

    #[test]
    fn a_change_reaches_every_release_that_reads_it_and_few_others() {
        let (world, objects) = world();
        for (kind, name) in &objects {
            let touched = releases_about(&world, *kind, "credit", name);
            for key in world.names(Kind::ModelRelease) {
                let snapshot = world.snapshot(&key.0, &key.1, Clock::Trusted(jiff::Timestamp::UNIX_EPOCH));
                let reads = snapshot.records().iter().any(|(r, _)| r.kind == *kind && r.name == *name);
                assert!(!reads || touched.contains(&key), "{kind} {name} is read by {}", key.1);
            }
        }
        let names = |kind, name| -> Vec<String> {
            releases_about(&world, kind, "credit", name).into_iter().map(|(_, name)| name).collect()
        };
        assert_eq!(names(Kind::Approval, "of-release-1"), ["release-1"]);
        assert_eq!(names(Kind::Approval, "of-system-0"), ["release-0", "release-1"]);
        assert!(names(Kind::Approval, "of-gone").is_empty());
        assert_eq!(names(Kind::TestReport, "report-2"), ["release-2"]);
        assert_eq!(names(Kind::Dataset, "of-all").len(), 3);
        assert_eq!(names(Kind::Dataset, "namesake").len(), 3);
        assert!(names(Kind::Dataset, "of-none").is_empty());
        assert_eq!(names(Kind::Approval, "not-understood").len(), 3);
        assert_eq!(names(Kind::Approval, "not-there").len(), 3);
    }
}
