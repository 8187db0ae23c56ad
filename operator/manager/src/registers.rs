//! Whose levels an object shows something for: controls of an assessment name it as evidence.

use std::collections::BTreeSet;

use placet_api::Kind;
use placet_api::impactassessment::{EvidenceRef, ImpactAssessmentSpec};
use placet_gate::world::{World, reports_named};

/// Whether a control of an assessment names an object as evidence.
pub fn names(spec: &ImpactAssessmentSpec, kind: Kind, name: &str) -> bool {
    evidence(spec).any(|e| e.kind.as_str() == kind.as_str() && e.name.as_str() == name)
}

/// Whether a control of any assessment of a namespace does.
pub fn is_evidence(world: &World, kind: Kind, namespace: &str, name: &str) -> bool {
    let here = world.names(Kind::ImpactAssessment).into_iter().filter(|(ns, _)| ns == namespace);
    let mut specs = here.filter_map(|key| world.assessment(&key.0, &key.1)?.spec.as_ref().ok());
    specs.any(|spec| names(spec, kind, name))
}

fn evidence(spec: &ImpactAssessmentSpec) -> impl Iterator<Item = &EvidenceRef> {
    let controls = spec.risks.iter().flat_map(|r| r.controls.iter().flatten());
    controls.flat_map(|c| c.evidence.iter().flatten())
}

/// Assessments whose levels may follow from an object as it is now, with their systems: those that name it, or a report that
/// it supersedes; of a system its own; all where a policy changed. Whether somebody's word counts follows from other words,
/// from what it is about and from who stands behind it: any of these reaches all that name one.
pub fn resting_on(world: &World, kind: Kind, namespace: &str, name: &str) -> Vec<((String, String), String)> {
    let superseded: BTreeSet<String> = match kind {
        Kind::TestReport => {
            let spec = world.report(namespace, name).and_then(|r| r.spec.as_ref().ok());
            let names = spec.and_then(|s| s.supersedes.as_ref()).into_iter().flat_map(|s| &s.reports);
            names.map(ToString::to_string).collect()
        }
        _ => BTreeSet::new(),
    };
    // Of a report that is gone nobody knows what it superseded.
    let unknown = kind == Kind::TestReport && world.report(namespace, name).is_none();
    let rests = |spec: &ImpactAssessmentSpec| match kind {
        Kind::ReleasePolicy => true,
        Kind::AISystem => spec.system.as_str() == name,
        Kind::TestReport => {
            reports_named(spec).any(|named| unknown || named == name || superseded.contains(named))
        }
        Kind::Approval | Kind::RiskAcceptance | Kind::ImpactAssessment | Kind::TrustedSigner => {
            evidence(spec).any(|e| ["Approval", "RiskAcceptance"].contains(&e.kind.as_str()))
        }
        _ => false,
    };
    let all = world.names(Kind::ImpactAssessment).into_iter();
    all.filter(|(ns, _)| !kind.namespaced() || ns == namespace)
        .filter_map(|key| {
            let spec = world.assessment(&key.0, &key.1)?.spec.as_ref().ok()?;
            rests(spec).then(|| (key, spec.system.to_string()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use placet_gate::object::Reading;
    use placet_gate::people::PeopleKey;
    use placet_gate::stamp::ReceiptKeys;
    use placet_gate::world::Clock;
    use serde_json::{Value, json};

    use super::*;
    use crate::affected::releases_about;

    /// Two systems with a release each; a control of the second is shown by a report on an artefact of the first.
    fn world() -> World {
        let people = PeopleKey::new(*b"registers");
        let reading = Reading { cluster: "c".into(), cluster_name: None, keys: ReceiptKeys::new(), people };
        let mut world = World::new();
        let mut put = |kind: Kind, name: &str, spec: Value| {
            let object = json!({"apiVersion": "placet.dev/v1alpha1", "kind": kind.as_str(),
                "metadata": {"name": name, "namespace": "credit"}, "spec": spec});
            world.apply(reading.read(&object).unwrap().0);
        };
        let digest = |n: usize| format!("sha256:{}", n.to_string().repeat(64));
        for n in 0..2 {
            let release = json!({"system": format!("system-{n}"), "version": "1",
                "change": {"kind": "Retrain", "reason": "New"},
                "artifacts": [{"name": "a", "role": "Model", "kind": "OCI", "reference": "r", "digest": digest(n)}]});
            put(Kind::ModelRelease, &format!("release-{n}"), release);
            let report = json!({"type": "Performance", "artifact": digest(n), "dataset": digest(9),
                "tool": {"name": "t", "version": "1"}, "ranAt": "2026-11-01",
                "metrics": [{"name": "Accuracy", "value": "0.9", "rows": 10}]});
            put(Kind::TestReport, &format!("report-{n}"), report);
        }
        let evidence =
            json!([{"kind": "TestReport", "name": "report-0"}, {"kind": "Approval", "name": "seen"}]);
        let control = json!({"control": "ISO27001/A.8.32", "status": "Implemented", "owner": "x",
            "implementedAt": "2026-10-01", "evidence": evidence});
        let assessment = json!({"system": "system-1", "assessedAt": "2026-10-20", "scope": {"datasets": []}, "harms": [],
            "risks": [{"id": "R1", "domain": "Information", "controls": [control],
                "impacts": {"likelihood": 1, "confidentiality": 1, "integrity": 1, "availability": 1}}]});
        put(Kind::ImpactAssessment, "impact", assessment);
        world
    }

    #[test]
    fn what_shows_that_a_control_works_reaches_the_assessment_and_the_releases_of_its_system() {
        let world = world();
        let resting = |kind, name| -> Vec<String> {
            resting_on(&world, kind, "credit", name).into_iter().map(|((_, name), _)| name).collect()
        };
        assert!(is_evidence(&world, Kind::Approval, "credit", "seen"));
        assert!(!is_evidence(&world, Kind::Approval, "credit", "report-0"));
        assert!(!is_evidence(&world, Kind::Approval, "other", "seen"));
        for (kind, name) in [
            (Kind::TestReport, "report-0"),
            (Kind::TestReport, "gone, and nobody knows what it superseded"),
            (Kind::Approval, "seen"),
            (Kind::Approval, "a Reject of what was seen"),
            (Kind::RiskAcceptance, "what it is about"),
            (Kind::TrustedSigner, "who stands behind it"),
            (Kind::AISystem, "system-1"),
            (Kind::ReleasePolicy, "any"),
        ] {
            assert_eq!(resting(kind, name), ["impact"], "{kind} {name}");
        }
        for (kind, name) in
            [(Kind::TestReport, "report-1"), (Kind::ModelRelease, "release-1"), (Kind::AISystem, "system-0")]
        {
            assert!(resting(kind, name).is_empty(), "{kind} {name}");
        }
        assert!(resting_on(&world, Kind::TestReport, "other", "report-0").is_empty());
        // Each release that reads a report is decided on again when it changes.
        for report in ["report-0", "report-1"] {
            let touched = releases_about(&world, Kind::TestReport, "credit", report);
            for key in world.names(Kind::ModelRelease) {
                let snapshot = world.snapshot(&key.0, &key.1, Clock::Trusted(jiff::Timestamp::UNIX_EPOCH));
                let reads =
                    snapshot.records().iter().any(|(r, _)| r.kind == Kind::TestReport && r.name == report);
                assert_eq!(reads, touched.contains(&key), "{report} and {}", key.1);
            }
        }
    }
    #[tokio::test]
    async fn the_levels_in_status_are_those_of_the_policies_and_follow_what_shows_that_controls_work() {
        use crate::testbed::{Site, policy, stamped, world};
        let site = Site::new();
        let bed = site.start();
        bed.namespace(Some("deny"));
        for object in world().into_iter().filter(|o| o["kind"] != "ReleasePolicy") {
            bed.put(&object);
        }
        let control = |at: &str| {
            json!({"control": "ISO27001/A.8.32", "status": "Implemented", "owner": "x",
            "implementedAt": at, "evidence": [{"kind": "TestReport", "name": "pentest"}]})
        };
        let assessment = |at: &str| {
            let risk = json!({"id": "R1", "domain": "Information", "controls": [control(at)],
                "residual": {"likelihood": 1, "severity": 1},
                "impacts": {"likelihood": 4, "confidentiality": 1, "integrity": 4, "availability": 1}});
            let spec = json!({"system": "scoring", "assessedAt": "2026-10-10", "scope": {"datasets": []}, "harms": [],
                "risks": [risk]});
            stamped(Kind::ImpactAssessment, "impact", "ann", "2026-10-10T00:00:00Z", &spec)
        };
        bed.put(&assessment("2026-10-01"));
        let shown = || {
            let status = bed.status(Kind::ImpactAssessment, "impact");
            let text = |at: &str| status.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
            (text("/level"), text("/risks/0/residual"), text("/risks/0/arithmetic"))
        };
        bed.turns(2).await;
        assert!(shown().2.contains("TestReport/pentest is not there"), "{:?}", shown());
        assert_eq!(shown().0, "High");

        let report = json!({"type": "Security", "artifact": format!("sha256:{}", "9".repeat(64)),
            "dataset": format!("sha256:{}", "8".repeat(64)), "tool": {"name": "garak", "version": "1"}, "ranAt": "2026-10-09",
            "metrics": [{"name": "AttackSuccessRate", "value": "0.1", "rows": 10}]});
        bed.put(&stamped(Kind::TestReport, "pentest", "sam", "2026-10-09T09:00:00Z", &report));
        bed.turns(2).await;
        assert_eq!((shown().0.as_str(), shown().1.as_str()), ("VeryLow", "VeryLow"), "{:?}", shown());

        // Another matrix, by which the least is Low.
        let mut spec = policy(&[])["spec"].clone();
        spec["riskMatrix"] = json!(vec![vec!["Low"; 5]; 5]);
        bed.put(&stamped(Kind::ReleasePolicy, "minimal", "platform", "2026-01-01T00:00:00Z", &spec));
        bed.turns(2).await;
        assert_eq!(shown().0, "Low", "{:?}", shown());

        bed.delete(Kind::TestReport, "pentest");
        bed.turns(2).await;
        assert!(shown().2.contains("so the inherent level counts"), "{:?}", shown());

        // It works from the next day on, and nobody has to touch anything.
        bed.put(&stamped(Kind::TestReport, "pentest", "sam", "2026-10-09T09:00:00Z", &report));
        let tomorrow =
            (bed.state.now() + jiff::SignedDuration::from_hours(24)).strftime("%Y-%m-%d").to_string();
        bed.put(&assessment(&tomorrow));
        bed.turns(2).await;
        assert!(shown().2.contains("works from"), "{:?}", shown());
        bed.pass_turns(jiff::SignedDuration::from_hours(25), 2).await;
        assert!(!shown().2.contains("works from"), "{:?}", shown());
    }
}
