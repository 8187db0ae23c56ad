//! What is shown on a risk acceptance is what the gate made of it.

use placet_api::Kind;
use serde_json::{Value, json};

use crate::testbed::{Bed, NS, RELEASE, Site, policy, stamped, world};

/// Two risks above the appetite: R1 is High, R2 Medium after controls. R3 is not above it.
fn assessment(text: &str) -> Value {
    let risk = |id: &str, text: &str, (likelihood, severity): (i32, i32)| {
        json!({"id": id, "domain": "AI", "description": text, "harms": ["H1"],
            "residual": {"likelihood": likelihood, "severity": severity},
            "controls": [{"control": "ISO42001/A.6.2.4", "status": "Implemented", "owner": "Model Risk",
                "implementedAt": "2026-10-01"}]})
    };
    let spec = json!({
        "system": "scoring", "assessedAt": "2026-10-10",
        "scope": {"datasets": [{"name": "train", "digest": format!("sha256:{}", "1".repeat(64))}],
            "regions": ["EU"], "affectedGroups": ["Applicants"]},
        "stakeholders": [{"group": "Applicants", "considered": true, "how": "Interviews"}],
        "harms": [{"id": "H1", "affects": "Individuals", "description": "Refused", "likelihood": 4, "severity": 4,
            "reach": 3, "reversibility": "Easy", "vulnerable": false}],
        "risks": [risk("R1", text, (4, 4)), risk("R2", "Slow", (2, 4)), risk("R3", "Small", (1, 1))],
    });
    stamped(Kind::ImpactAssessment, "impact", "ann", "2026-10-10T00:00:00Z", &spec)
}

fn acceptance(bed: &Bed, by: &str, risks: &[&str], role: &str) -> Value {
    let shown = bed.status(Kind::ImpactAssessment, "impact")["risks"].clone();
    let digest = |id: &str| {
        let risk = shown
            .as_array()
            .unwrap()
            .iter()
            .find(|r| r["id"] == id)
            .unwrap_or_else(|| panic!("{id} in {}", bed.status(Kind::ImpactAssessment, "impact")));
        json!({"id": id, "digest": risk["digest"]})
    };
    let spec = json!({
        "assessment": {"name": "impact"}, "risks": risks.iter().map(|r| digest(r)).collect::<Vec<_>>(),
        "role": role, "level": "High", "rationale": "Rare", "expiresAt": "2027-03-31T00:00:00Z",
    });
    stamped(Kind::RiskAcceptance, "accepted", by, "2026-11-04T09:00:00Z", &spec)
}

/// An operator with a policy by which executives accept what is High and risk officers what is Medium.
async fn installed(site: &Site) -> Bed {
    let bed = site.start();
    bed.namespace(Some("deny"));
    for object in world().into_iter().filter(|o| o["kind"] != "ReleasePolicy" && o["kind"] != "ModelRelease")
    {
        bed.put(&object);
    }
    let mut spec = policy(&[])["spec"].clone();
    spec["riskAppetite"] = json!("Low");
    spec["acceptanceAuthority"] = json!([{"level": "High", "roles": ["executive"], "maxDays": 100}, {"level": "Medium", "roles": ["risk-officer", "executive"]}]);
    bed.put(&stamped(Kind::ReleasePolicy, "minimal", "platform", "2026-01-01T00:00:00Z", &spec));
    let role = json!({"title": "Executive", "answersFor": "The whole"});
    bed.put(&stamped(Kind::ApprovalRole, "executive", "platform", "2026-01-01T00:00:00Z", &role));
    bed.put(&assessment("Wrong"));
    bed.turns(2).await;
    bed
}

/// Status, reason and words of the acceptance.
async fn shown(bed: &Bed) -> (String, String, String) {
    bed.turns(2).await;
    let counts = bed.condition(Kind::RiskAcceptance, "accepted", "Counts");
    let text = |key: &str| counts[key].as_str().unwrap().to_owned();
    (text("status"), text("reason"), text("message"))
}

#[tokio::test]
async fn an_acceptance_says_of_each_risk_what_the_gate_made_of_it() {
    let site = Site::new();
    let bed = installed(&site).await;
    bed.put(&acceptance(&bed, "erin", &["R1", "R2"], "executive"));
    let (status, reason, text) = shown(&bed).await;
    assert_eq!((status.as_str(), reason.as_str()), ("Unknown", "NotYetAsked"), "{text}");

    bed.put(&crate::testbed::model_release());
    let (status, reason, text) = shown(&bed).await;
    assert_eq!((status.as_str(), reason.as_str(), text.as_str()), ("True", "InDate", "counts for R1, R2"));

    // The text of one risk is another now: for the other it counts.
    bed.put(&assessment("Wrong, and unequal"));
    let (status, reason, text) = shown(&bed).await;
    assert_eq!((status.as_str(), reason.as_str()), ("False", "ContentChanged"), "{text}");
    assert!(text.starts_with("R1: is for another content of the risk"), "{text}");
    assert!(text.ends_with("; counts for R2"), "{text}");

    // By an author of the assessment, in a role that may not, of what nobody asks for.
    for (by, risks, role, wanted) in [
        ("ann", ["R1"], "executive", ("ByAuthor", "wrote or developed the release")),
        ("erin", ["R1"], "risk-officer", ("RoleNotHeld", "R1: risk-officer may not accept High")),
        ("erin", ["R3"], "executive", ("NotAsked", "none of its risks is above an appetite")),
    ] {
        bed.delete(Kind::RiskAcceptance, "accepted");
        bed.turns(1).await;
        bed.put(&acceptance(&bed, by, &risks, role));
        let (status, reason, text) = shown(&bed).await;
        assert_eq!(status, "False", "{by} {risks:?} {role}: {text}");
        assert!(text.contains(wanted.1), "{by} {risks:?} {role}: {reason} {text}");
        assert_eq!(reason, wanted.0, "{text}");
    }

    // Its term ends by itself, and the policy's is the earlier one: that is told 30 days before.
    bed.delete(Kind::RiskAcceptance, "accepted");
    bed.put(&acceptance(&bed, "erin", &["R1"], "executive"));
    assert_eq!(shown(&bed).await.0, "True");
    let expiring = || bed.condition(Kind::RiskAcceptance, "accepted", "Expiring");
    assert_eq!(
        (&expiring()["status"], &expiring()["message"]),
        (&json!("False"), &json!("ends 2027-02-12T09:00:00Z"))
    );
    bed.pass_turns(jiff::SignedDuration::from_hours(24 * 60), 1).await;
    assert_eq!((&expiring()["status"], &expiring()["reason"]), (&json!("True"), &json!("EndsSoon")));
    bed.pass_turns(jiff::SignedDuration::from_hours(24 * 30), 1).await;
    assert_eq!((&expiring()["status"], &expiring()["reason"]), (&json!("True"), &json!("Ended")));
    let (status, reason, text) = shown(&bed).await;
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Ended"), "{text}");

    // Without a release nothing asks for it.
    bed.delete(Kind::ModelRelease, RELEASE);
    bed.hear(&bed.fake.object(&crate::testbed::path(Kind::RiskAcceptance, "accepted")).unwrap());
    let (status, reason, text) = shown(&bed).await;
    assert_eq!((status.as_str(), reason.as_str()), ("Unknown", "NotYetAsked"), "{text} in {NS}");
}

#[tokio::test]
async fn an_acceptance_warns_as_many_days_ahead_as_the_policy_that_says_most() {
    let site = Site::new();
    let bed = installed(&site).await;
    bed.put(&crate::testbed::model_release());
    bed.put(&acceptance(&bed, "erin", &["R1"], "executive"));
    bed.turns(2).await;
    // It ends 84 days from now.
    let expiring = || bed.condition(Kind::RiskAcceptance, "accepted", "Expiring")["status"].clone();
    assert_eq!(expiring(), "False");
    let policy_of = |name: &str, days: i32| {
        let mut spec = policy(&[])["spec"].clone();
        spec["validity"]["warnDays"] = json!(days);
        stamped(Kind::ReleasePolicy, name, "platform", "2026-01-01T00:00:00Z", &spec)
    };
    for (name, days, wanted) in [("other", 83, "False"), ("another", 85, "True"), ("third", 10, "True")] {
        bed.put(&policy_of(name, days));
        bed.hear(&bed.fake.object(&crate::testbed::path(Kind::RiskAcceptance, "accepted")).unwrap());
        bed.turns(2).await;
        assert_eq!(expiring(), wanted, "{days} days");
    }
}

#[tokio::test]
async fn when_an_acceptance_ends_and_is_told_of_is_said_by_policies_of_its_namespace_alone() {
    let site = Site::new();
    let bed = installed(&site).await;
    bed.put(&crate::testbed::model_release());
    bed.put(&acceptance(&bed, "erin", &["R1"], "executive"));
    assert_eq!(shown(&bed).await.0, "True");
    let expiring = async || {
        bed.turns(2).await;
        let found = bed.condition(Kind::RiskAcceptance, "accepted", "Expiring");
        (found["reason"].clone(), found["message"].clone())
    };
    let in_date = (json!("InDate"), json!("ends 2027-02-12T09:00:00Z"));
    assert_eq!(expiring().await, in_date);
    // The same for all namespaces with a label, and then for all.
    let other = |name: &str, selector: Value| {
        let mut spec = policy(&[])["spec"].clone();
        spec["acceptanceAuthority"] = json!([{"level": "High", "roles": ["executive"], "maxDays": 60}]);
        spec["validity"] = json!({"firstUseDays": 30, "runningDays": 365, "warnDays": 200});
        spec["appliesTo"]["namespaceSelector"] = selector;
        stamped(Kind::ReleasePolicy, name, "platform", "2026-01-01T00:00:00Z", &spec)
    };
    bed.put(&other("elsewhere", json!({"matchLabels": {"tier": "somewhere-else"}})));
    assert_eq!(expiring().await, in_date);
    bed.put(&other("here", json!({})));
    let told = json!("ends 2027-01-03T09:00:00Z, within 200 days");
    assert_eq!(expiring().await, (json!("EndsSoon"), told));
}
