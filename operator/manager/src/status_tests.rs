//! Whatever people and objects are called, a status is one that the API server takes.

use placet_api::Kind;

use super::*;
use crate::testbed::{Bed, NS, RELEASE, Site, approval, model_release, policy, stamped, world};

/// What in a value is longer than its schema allows.
fn too_long(schema: &Value, value: &Value, path: &str, out: &mut Vec<String>) {
    let bound = |key: &str| schema[key].as_u64().and_then(|n| usize::try_from(n).ok());
    match value {
        Value::String(text) if bound("maxLength").is_some_and(|max| text.chars().count() > max) => {
            out.push(format!("{path}: {} characters", text.chars().count()));
        }
        Value::Array(items) => {
            if bound("maxItems").is_some_and(|max| items.len() > max) {
                out.push(format!("{path}: {} items", items.len()));
            }
            for (i, item) in items.iter().enumerate() {
                too_long(&schema["items"], item, &format!("{path}[{i}]"), out);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let of = &schema["properties"][name];
                if of.is_null() {
                    out.push(format!("{path}.{name}: not in the schema"));
                }
                too_long(of, field, &format!("{path}.{name}"), out);
            }
        }
        _ => {}
    }
}

/// The statuses that were written, and what of them the API server would not take.
fn judge(bed: &Bed) -> (usize, Vec<String>) {
    let crds: Vec<Value> =
        placet_api::crd::crds().iter().map(|crd| serde_json::to_value(crd).unwrap()).collect();
    let (mut seen, mut wrong) = (0, Vec::new());
    for kind in Kind::ALL {
        let crd = crds.iter().find(|crd| crd["spec"]["names"]["kind"] == kind.as_str()).unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
        let all = if kind.namespaced() { format!("/namespaces/{NS}") } else { String::new() };
        for object in bed.fake.in_collection(&format!("/apis/placet.dev/v1alpha1{all}/{}", kind.plural())) {
            let Some(status) = object.get("status") else { continue };
            seen += 1;
            too_long(schema, status, &format!("{kind} {}", object["metadata"]["name"]), &mut wrong);
        }
    }
    (seen, wrong)
}

#[tokio::test]
async fn a_user_name_of_900_characters_fits_into_every_status() {
    let site = Site::new();
    let bed = site.start();
    bed.namespace(Some("hold"));
    for object in world() {
        bed.put(&object);
    }
    let long = format!("oidc:{}", "ü".repeat(900));
    bed.put(&approval("yes-long", &long, "Approve", "2026-11-05T09:00:00Z"));
    bed.put(&approval("no-long", &long, "Reject", "2026-11-05T09:00:00Z"));
    let asks = policy(&[])["spec"].take();
    bed.put(&stamped(Kind::ReleasePolicy, "minimal", &long, "2026-01-01T00:00:00Z", &asks));
    bed.turns(2).await;
    let (seen, wrong) = judge(&bed);
    assert!(seen >= 7 && wrong.is_empty(), "{seen} {wrong:?}");
    for name in ["yes-long", "no-long"] {
        let by = bed.status(Kind::Approval, name)["by"].as_str().unwrap().to_owned();
        assert_eq!(by, format!("oidc:{}…", "ü".repeat(250)));
    }
}

#[tokio::test]
async fn releases_that_are_named_and_not_there_are_warned_of_until_they_are() {
    let site = Site::new();
    let bed = site.start();
    bed.namespace(Some("hold"));
    for object in world().iter().filter(|o| o["kind"] != "ModelRelease") {
        bed.put(object);
    }
    let mut spec = model_release()["spec"].clone();
    spec["previous"] = "scoring-1".into();
    spec["rollbackTarget"] = "scoring-0".into();
    bed.put(&stamped(Kind::ModelRelease, RELEASE, "dana", "2026-11-01T09:00:00Z", &spec));
    bed.turns(2).await;
    let notes = |bed: &Bed| bed.status(Kind::ModelRelease, RELEASE)["notes"].clone();
    let missing = |field: &str, name: &str| {
        format!("spec.{field} names ModelRelease {name}, which is not in namespace {NS}")
    };
    assert_eq!(
        notes(&bed),
        json!([missing("previous", "scoring-1"), missing("rollbackTarget", "scoring-0")])
    );
    let (_, wrong) = judge(&bed);
    assert!(wrong.is_empty(), "{wrong:?}");
    let kept = |bed: &Bed| bed.status(Kind::ModelRelease, RELEASE)["gates"][0]["verdict"].clone();
    assert_eq!(kept(&bed), "Met", "a warning keeps nothing from being cleared");
    // One is released, the other one only later.
    for (name, left) in
        [("scoring-1", vec![missing("rollbackTarget", "scoring-0")]), ("scoring-0", Vec::new())]
    {
        bed.put(&stamped(Kind::ModelRelease, name, "dana", "2026-11-01T08:00:00Z", &model_release()["spec"]));
        bed.turns(2).await;
        let wanted = if left.is_empty() { Value::Null } else { json!(left) };
        assert_eq!(notes(&bed), wanted, "after {name}");
    }
    // And one that is deleted is missed again.
    bed.delete(Kind::ModelRelease, "scoring-0");
    bed.turns(2).await;
    assert_eq!(notes(&bed), json!([missing("rollbackTarget", "scoring-0")]));
}

#[test]
fn what_is_cut_says_so() {
    assert_eq!(cut("abc", 3), "abc");
    assert_eq!(cut("abcd", 3), "ab…");
    assert_eq!(cut("üüü", 3), "üüü");
    assert_eq!(cut("üüüü", 3), "üü…");
    assert_eq!(cut("", 3), "");
    assert_eq!(line("a\nb"), "a\\nb");
    let message = condition(types::READY, "True", "Judged", &"x".repeat(5000), None);
    let message = message["message"].as_str().unwrap();
    assert!(message.len() == 2047 + "…".len() && message.ends_with("x…"));
}
