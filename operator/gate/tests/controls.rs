//! However much evidence an assessment names, so much is looked at and no more.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod common;

use std::path::Path;

use common::{Base, Run, resolve, start, yaml};
use placet_gate::world::{Clock, World};
use placet_gate::{Cleared, Decision, evaluate};
use serde_json::{Value, json};

/// The base of the cases, where the risk R1 rests on an approval, and a risk before it on so many reports that are not there.
fn naming(missing: usize) -> Decision {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/base/high.yaml");
    let mut objects = yaml::<Base>(&path).objects;
    let assessment = objects.iter_mut().find(|o| o.kind == "ImpactAssessment").unwrap();
    let control = |kind: &str, name: &str| {
        json!({"control": "ISO27001/A.8.32", "status": "Implemented", "owner": "Platform", "implementedAt": "2026-10-01",
            "evidence": [{"kind": kind, "name": name}]})
    };
    let controls: Vec<Value> = (0..missing).map(|n| control("TestReport", &format!("missing-{n}"))).collect();
    let before = json!({
        "id": "R0", "domain": "Information", "residual": {"likelihood": 1, "severity": 1}, "controls": controls,
        "impacts": {"likelihood": 2, "confidentiality": 1, "integrity": 1, "availability": 1},
    });
    let risks = assessment.spec["risks"].as_array_mut().unwrap();
    risks[0]["controls"][0]["evidence"] = json!([{"kind": "Approval", "name": "evaluation-erin"}]);
    risks.insert(0, before);
    let run = Run::new();
    resolve(&run, "a bound", &mut objects, &[]);
    let mut world = World::new();
    for object in &objects {
        run.add(&mut world, object, false);
    }
    evaluate(&world.snapshot("lending", "scoring-2", Clock::Trusted(start())))
}

#[test]
fn beyond_256_pieces_evidence_shows_nothing_and_is_not_looked_at() {
    let decision = naming(255);
    assert_eq!(decision.cleared, Cleared::True, "{:?}", decision.findings().collect::<Vec<_>>());
    let decision = naming(256);
    assert_eq!(decision.cleared, Cleared::False);
    let findings: Vec<_> = decision.findings().map(|f| (f.item.as_str(), f.found.as_str())).collect();
    let [(item, found)] = findings.as_slice() else { panic!("{findings:?}") };
    let said =
        "Approval/evaluation-erin is one of more than 256 pieces of evidence that one assessment names";
    assert!(*item == "R1" && found.contains(said), "{item}: {found}");
}
