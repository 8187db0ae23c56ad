//! What a system's status shows beside its class: obligations, by the policies and the calendar, and where it ranks.

use jiff::SignedDuration;
use placet_api::Kind;
use serde_json::{Value, json};

use crate::testbed::{Bed, Site, policy, stamped, world};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn obligation(id: &str, from: &str) -> Value {
    json!({"id": id, "version": "1", "title": "Do it", "jurisdiction": "EU", "article": "Article 1", "from": from,
        "source": "The act"})
}

/// The policy of the world with these obligations.
fn with(obligations: &Value, more: &Value) -> Value {
    let mut spec = policy(&[])["spec"].clone();
    spec["obligations"] = obligations.clone();
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    stamped(Kind::ReleasePolicy, "minimal", "platform", "2026-01-01T00:00:00Z", &spec)
}

async fn bed_with(site: &Site, policy: &Value) -> Bed {
    let bed = site.start();
    bed.namespace(Some("deny"));
    for object in world().iter().filter(|o| o["kind"] != "ReleasePolicy").chain([policy]) {
        bed.put(object);
    }
    bed.turns(2).await;
    bed
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|o| o["id"].as_str()).collect()
}

#[tokio::test]
async fn a_system_shows_what_applies_today_and_what_comes_next_and_the_day_moves_it() {
    let site = Site::new();
    let mut all = vec![obligation("Later", "2026-11-25"), obligation("Now", "2026-01-01")];
    all.extend((1..=9).map(|i| obligation(&format!("In-{i}"), &format!("203{i}-01-01"))));
    let bed = bed_with(&site, &with(&json!(all), &json!({}))).await;
    let shown = bed.status(Kind::AISystem, "scoring")["obligations"].clone();
    assert_eq!((ids(&shown["apply"]), &shown["total"]), (vec!["Now"], &json!(1)));
    assert_eq!(ids(&shown["next"]).len(), 8, "bounded");
    assert_eq!(shown["next"][0]["id"], "Later");
    assert_eq!(shown["nextFrom"], "2026-11-25T00:00:00Z");
    // Nothing happens but the time.
    bed.pass_turns(DAY * 4, 3).await;
    let shown = bed.status(Kind::AISystem, "scoring")["obligations"].clone();
    assert_eq!(ids(&shown["apply"]), ["Now", "Later"]);
    assert_eq!(shown["nextFrom"], "2031-01-01T00:00:00Z");
}

#[tokio::test]
async fn only_policies_that_match_attach_obligations() {
    let site = Site::new();
    let selector = json!({"appliesTo": {"classes": ["Minimal"], "namespaceSelector": {"matchLabels": {"tier": "prod"}}}});
    let bed = bed_with(&site, &with(&json!([obligation("Now", "2026-01-01")]), &selector)).await;
    let shown = |bed: &Bed| bed.status(Kind::AISystem, "scoring")["obligations"].clone();
    assert_eq!(shown(&bed), Value::Null, "no policy matches");
    bed.put(&with(&json!([obligation("Now", "2026-01-01")]), &json!({})));
    bed.turns(2).await;
    assert_eq!(ids(&shown(&bed)["apply"]), ["Now"]);
}

#[tokio::test]
async fn a_provider_by_a_modification_sees_why_where_no_policy_lists_an_obligation() {
    let site = Site::new();
    let bed = bed_with(&site, &policy(&[])).await;
    assert_eq!(bed.status(Kind::AISystem, "scoring")["obligations"], Value::Null);
    let mut spec = world().iter().find(|o| o["kind"] == "AISystem").unwrap()["spec"].clone();
    spec["organisationRoles"] = json!(["Deployer"]);
    spec["triggers"]["annexIII"] = json!(["5(b)"]);
    spec["suppliers"] = json!([{"name": "acme", "modification": "Substantial"}]);
    bed.put(&stamped(Kind::AISystem, "scoring", "olga", "2026-10-01T09:00:00Z", &spec));
    bed.turns(2).await;
    let shown = bed.status(Kind::AISystem, "scoring")["obligations"].clone();
    assert_eq!((&shown["apply"], &shown["total"]), (&json!([]), &json!(0)));
    assert!(shown["providerBecause"].as_str().unwrap().contains("the model of acme"), "{shown}");
}

#[tokio::test]
async fn a_system_ranks_by_class_and_by_what_its_assessment_leaves() {
    let site = Site::new();
    let bed = bed_with(&site, &policy(&[])).await;
    let rank = |bed: &Bed| bed.status(Kind::AISystem, "scoring")["riskRank"].clone();
    assert_eq!(rank(&bed), json!({"value": 166, "class": "Minimal"}), "not assessed comes before what is");
    let spec = json!({
        "system": "scoring", "assessedAt": "2026-10-20", "scope": {"datasets": []}, "harms": [],
        "risks": [{"id": "R1", "domain": "Information",
            "impacts": {"likelihood": 3, "confidentiality": 1, "integrity": 4, "availability": 1}}],
    });
    bed.put(&stamped(Kind::ImpactAssessment, "impact", "olga", "2026-10-20T09:00:00Z", &spec));
    bed.turns(2).await;
    let wanted = json!({"value": 144, "class": "Minimal", "residual": "High", "inherent": "High", "assessment": "impact"});
    assert_eq!(rank(&bed), wanted);
}
