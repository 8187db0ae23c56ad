use std::sync::Arc;

use placet_api::Kind;
use placet_gate::stamp::StampText;
use serde_json::{Value, json};

use super::super::review::{Answer, Request};
use super::super::{Admission, own_mutate, own_validate};
use crate::infra::fake_api::{self, failure, reply};
use crate::testbed::{Bed, NS, Site, model_release, policy, stamped, unstamped};

/// The policy of the bed, with two roles for reports of one type, and what it asks of tests.
fn asking(at_least: &str) -> Value {
    let mut spec = policy(&[])["spec"].clone();
    spec["reporters"] = json!([{"type": "Performance", "role": "tester"}]);
    spec["tests"] = json!([{"type": "Performance", "metric": "Accuracy", "atLeast": at_least}]);
    stamped(Kind::ReleasePolicy, "minimal", "platform", "2026-01-01T00:00:00Z", &spec)
}

fn report(type_: &str) -> Value {
    let artifact = model_release()["spec"]["artifacts"][0]["digest"].clone();
    let spec = json!({
        "type": type_, "artifact": artifact, "dataset": format!("sha256:{}", "d".repeat(64)),
        "tool": {"name": "scikit-learn", "version": "1.7.0"}, "ranAt": "2026-01-01",
        "metrics": [{"name": "Accuracy", "value": "0.90", "rows": 1000, "successes": 900}],
    });
    unstamped(Kind::TestReport, "measured", &spec)
}

fn request(by: &str, object: &Value, old: &Value) -> Request {
    serde_json::from_value(json!({
        "uid": "request", "operation": if old.is_null() { "CREATE" } else { "UPDATE" }, "name": "measured",
        "namespace": NS, "kind": {"group": "placet.dev", "version": "v1alpha1", "kind": "TestReport"},
        "resource": {"group": "placet.dev", "version": "v1alpha1", "resource": "testreports"},
        "userInfo": {"username": by}, "object": object, "oldObject": old,
    }))
    .unwrap()
}

/// What the webhooks answer by, over an API server by which vera may report as tester, root everything, and nobody anything else;
/// or that fails.
fn desk(bed: &Bed, answers: bool) -> (Admission, Arc<std::sync::Mutex<Vec<fake_api::Seen>>>) {
    let (client, seen) = fake_api::client(move |seen| async move {
        if !answers {
            return failure(500, "InternalError");
        }
        let attributes = &seen.body["spec"]["resourceAttributes"];
        let by_name = seen.body["spec"]["user"] == "vera"
            && attributes["verb"] == "report"
            && attributes["resource"] == "approvalroles"
            && attributes["name"] == "tester";
        let allowed = by_name || seen.body["spec"]["user"] == "root";
        reply(201, &json!({"spec": seen.body["spec"], "status": {"allowed": allowed}}))
    });
    (bed.admission_over(client), seen)
}

/// The object with what an answer stamps it with.
fn patched(object: &Value, answer: &Answer) -> Value {
    assert_eq!(answer.denied, None);
    let mut object = object.clone();
    for step in &answer.patch {
        let path = step["path"].as_str().unwrap().replace("~1", "/");
        match path.strip_prefix("/metadata/annotations/") {
            Some(key) => object["metadata"]["annotations"][key] = step["value"].clone(),
            None => object["metadata"]["annotations"] = json!({}),
        }
    }
    object
}

fn stamp_of(object: &Value) -> StampText {
    let text = object["metadata"]["annotations"][placet_api::keys::STAMP].as_str().unwrap();
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn the_stamp_of_a_report_says_in_which_roles_its_maker_could_report_it_and_what_was_asked() {
    let site = Site::new();
    let bed = site.start();
    bed.namespace(Some("deny"));
    bed.hear(&asking("0.80"));
    for (who, allowed, wildcard, warns) in
        [("vera", true, false, 0), ("mallory", false, false, 2), ("root", true, true, 2)]
    {
        let (desk, _) = desk(&bed, true);
        let object = report("Performance");
        let stamped =
            patched(&object, &own_mutate::answer(&desk, &request(who, &object, &Value::Null)).await);
        let stamp = stamp_of(&stamped);
        let [answer] = stamp.reports.as_slice() else { panic!("{:?}", stamp.reports) };
        assert_eq!(
            (answer.name.as_str(), answer.allowed, answer.wildcard),
            ("tester", allowed, wildcard),
            "{who}"
        );
        let asked = stamp.asked.unwrap();
        let [by] = asked.policies.as_slice() else { panic!("{asked:?}") };
        assert_eq!((by.name.as_str(), by.tests.len()), ("minimal", 1));
        assert_eq!(by.tests[0].at_least.as_ref().unwrap().as_str(), "0.80");

        let told = own_validate::answer(&desk, &request(who, &stamped, &Value::Null)).await;
        assert_eq!((told.denied.is_none(), told.warnings.len()), (true, warns), "{told:?}");
        let words = [
            "where minimal asks for that, this shows no Performance test",
            "--clusterrole=placet-report-tester",
        ];
        let said = |(warning, word): (&String, &str)| warning.contains(who) && warning.contains(word);
        assert!(told.warnings.iter().zip(words).all(said), "{told:?}");

        // What was asked then stays, though the policy asks for less since.
        bed.hear(&asking("0.10"));
        let again = own_mutate::answer(&desk, &request(who, &stamped, &stamped)).await;
        assert_eq!((again.denied, again.patch), (None, vec![]));
        bed.hear(&asking("0.80"));
    }
}

#[tokio::test]
async fn nobody_is_asked_about_where_no_policy_names_a_role_and_no_answer_is_no_stamp() {
    let site = Site::new();
    let bed = site.start();
    bed.namespace(Some("deny"));
    bed.hear(&asking("0.80"));
    let (no_roles, seen) = desk(&bed, true);
    let object = report("Robustness");
    let answer = own_mutate::answer(&no_roles, &request("mallory", &object, &Value::Null)).await;
    assert_eq!(stamp_of(&patched(&object, &answer)).reports, []);
    assert_eq!(seen.lock().unwrap().len(), 0);

    let (silent, _) = desk(&bed, false);
    let object = report("Performance");
    let answer = own_mutate::answer(&silent, &request("vera", &object, &Value::Null)).await;
    let (code, _, text) = answer.denied.clone().unwrap();
    assert_eq!((code, answer.patch.len()), (503, 0));
    assert!(text.contains("did not say whether vera holds the role tester"), "{text}");
}

#[tokio::test]
async fn more_than_a_stamp_keeps_is_refused() {
    let site = Site::new();
    let bed = site.start();
    bed.namespace(Some("deny"));
    let answered = async |more: usize| {
        for n in 0..8 {
            let mut spec = asking("0.80")["spec"].clone();
            spec.as_object_mut().unwrap().remove("reporters");
            let test = |n| json!({"type": "Performance", "metric": format!("Accuracy{n}"), "atLeast": "0.5"});
            let tests: Vec<Value> = (0..if n == 0 { 32 + more } else { 32 }).map(test).collect();
            spec["tests"] = tests.into();
            let name = format!("policy-{n}");
            bed.hear(&stamped(Kind::ReleasePolicy, &name, "platform", "2026-01-01T00:00:00Z", &spec));
        }
        let (desk, _) = desk(&bed, true);
        own_mutate::answer(&desk, &request("vera", &report("Performance"), &Value::Null)).await
    };
    assert_eq!(answered(0).await.denied, None);
    let (_, _, text) = answered(1).await.denied.unwrap();
    assert!(text.contains("256 tests at most") && text.contains("found 257"), "{text}");
}
