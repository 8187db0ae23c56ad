//! What a living release rests on is not deleted by whoever wrote it.

use serde_json::json;

use super::*;
use crate::testbed::{Bed, NS, RELEASE, Site, model_release, stamped, world};

/// What becomes of a deletion by erin; why it is refused.
async fn deleting(bed: &Bed, object: &Value) -> Option<String> {
    let request: Request = serde_json::from_value(json!({
        "uid": "request", "operation": "DELETE", "name": object["metadata"]["name"], "namespace": NS,
        "kind": {"group": "placet.dev", "version": "v1alpha1", "kind": object["kind"]},
        "resource": {"group": "placet.dev", "version": "v1alpha1", "resource": "x"},
        "userInfo": {"username": "erin"}, "object": null, "oldObject": object,
    }))
    .unwrap();
    answer(&bed.admission(), &request).await.denied.map(|(_, _, why)| why)
}

#[tokio::test]
async fn an_approval_that_a_control_names_stays_until_its_release_is_withdrawn() {
    let site = Site::new();
    let bed = site.start();
    bed.namespace(Some("deny"));
    let system = world().remove(3);
    let digest = crate::testbed::content(&system);
    let approve = |name: &str| {
        let spec = json!({
            "subject": {"kind": "AISystem", "name": "scoring", "covers": "Content", "digest": digest},
            "role": "risk-officer", "decision": "Approve",
        });
        stamped(Kind::Approval, name, "erin", "2026-10-12T09:00:00Z", &spec)
    };
    let (named, other) = (approve("reviewed"), approve("other"));
    let evidence = json!([{"kind": "Approval", "name": "reviewed"}]);
    let assessment = json!({
        "system": "scoring", "assessedAt": "2026-10-20", "scope": {"datasets": []},
        "harms": [{"id": "H1", "affects": "Individuals", "description": "Refused", "likelihood": 4, "severity": 4,
                   "reach": 3, "reversibility": "Easy", "vulnerable": false}],
        "risks": [{"id": "R1", "domain": "AI", "harms": ["H1"], "residual": {"likelihood": 1, "severity": 1},
                   "controls": [{"control": "ISO42001/A.6.2.4", "status": "Implemented", "owner": "Model Risk",
                                 "implementedAt": "2026-10-01", "evidence": evidence}]}],
    });
    let impact = stamped(Kind::ImpactAssessment, "impact", "olga", "2026-10-20T09:00:00Z", &assessment);
    for object in world().iter().chain([&named, &other, &impact]) {
        bed.put(object);
    }
    bed.turns(2).await;
    let why = deleting(&bed, &named).await.unwrap();
    assert!(why.contains(RELEASE), "{why}");
    assert_eq!(deleting(&bed, &other).await, None, "no control names it");
    // Once nothing rests on it, it may go.
    let mut withdrawn = model_release();
    withdrawn["spec"]["withdrawn"] = true.into();
    withdrawn["metadata"]["generation"] = 2.into();
    bed.put(&withdrawn);
    bed.turns(2).await;
    assert_eq!(deleting(&bed, &named).await, None);
}

#[tokio::test]
async fn what_is_said_of_a_releases_data_stays_until_the_release_is_withdrawn() {
    let site = Site::new();
    let bed = site.start();
    bed.namespace(Some("deny"));
    let digest = |c: &str| format!("sha256:{}", c.repeat(64));
    let of = |name: &str, content: &str| {
        let spec = json!({
            "name": "train", "digest": content, "provenance": {"source": "Loan ledger"}, "permittedUses": ["Training"],
            "permittedPurposes": ["Estimate default"], "personalData": {"contained": true, "specialCategories": []},
        });
        stamped(Kind::Dataset, name, "erin", "2026-10-12T09:00:00Z", &spec)
    };
    let (named, other) = (of("train", &digest("1")), of("train-before", &digest("9")));
    let mut release = model_release();
    release["spec"]["datasets"] = json!([{"name": "train", "digest": digest("1"), "use": "Training"}]);
    let release = stamped(Kind::ModelRelease, RELEASE, "dana", "2026-11-01T09:00:00Z", &release["spec"]);
    for object in world().iter().filter(|o| o["kind"] != "ModelRelease").chain([&release, &named, &other]) {
        bed.put(object);
    }
    bed.turns(2).await;
    let why = deleting(&bed, &named).await.unwrap();
    assert!(why.contains(RELEASE), "{why}");
    assert_eq!(deleting(&bed, &other).await, None, "the release has its name only");
    let mut withdrawn = release;
    withdrawn["spec"]["withdrawn"] = true.into();
    withdrawn["metadata"]["generation"] = 2.into();
    bed.put(&withdrawn);
    bed.turns(2).await;
    assert_eq!(deleting(&bed, &named).await, None);
}
