use std::sync::Arc;

use placet_gate::stamp::StampText;

use super::super::own_mutate;
use super::*;
use crate::infra::fake_api::{self, failure, reply};
use crate::testbed::{Bed, NS, RELEASE, Site, content, model_release, path, policy, stamped, world};

/// A policy that fills in what is left out.
fn filling(spec: &dyn Fn(&mut Value)) -> Value {
    let mut with = policy(&[])["spec"].clone();
    with["approvals"][0]["emptyDigest"] = "Fill".into();
    spec(&mut with);
    stamped(Kind::ReleasePolicy, "minimal", "platform", "2026-01-01T00:00:00Z", &with)
}

fn heard(bed: &Bed, policy: &Value) {
    bed.namespace(Some("deny"));
    for object in world().iter().filter(|o| o["kind"] != "ReleasePolicy").chain([policy]) {
        bed.hear(object);
    }
}

/// Who holds no role.
const NOBODY: &str = "mallory";

/// What the webhooks answer by, over an API server that holds these, or fails; everybody else holds each role that there is.
fn desk(bed: &Bed, there: Option<Vec<Value>>) -> Admission {
    let there = Arc::new(there);
    let (client, _) = fake_api::client(move |seen| {
        let there = Arc::clone(&there);
        async move {
            if seen.method == "POST" {
                let role = seen.body.pointer("/spec/resourceAttributes/name").and_then(Value::as_str);
                let user = seen.body.pointer("/spec/user").and_then(Value::as_str);
                let allowed = role.is_some_and(|r| !r.starts_with("no-role-")) && user != Some(NOBODY);
                return reply(201, &json!({"spec": seen.body["spec"], "status": {"allowed": allowed}}));
            }
            let Some(objects) = there.as_ref() else { return failure(500, "InternalError") };
            let found = objects.iter().find(|o| {
                let kind = Kind::parse(o["kind"].as_str().unwrap()).unwrap();
                seen.target.split('?').next()
                    == Some(path(kind, o["metadata"]["name"].as_str().unwrap()).as_str())
            });
            found.map_or_else(|| failure(404, "NotFound"), |object| reply(200, object))
        }
    });
    bed.admission_over(client)
}

fn approval(change: &dyn Fn(&mut Value)) -> Value {
    let mut object = json!({
        "apiVersion": "placet.dev/v1alpha1", "kind": "Approval", "metadata": {"name": "mine", "namespace": NS},
        "spec": {"subject": {"kind": "ModelRelease", "name": RELEASE, "covers": "Content"}, "role": "model-owner",
                 "decision": "Approve"},
    });
    change(&mut object);
    object
}

fn request(by: &str, object: &Value, old: &Value) -> Request {
    serde_json::from_value(json!({
        "uid": "request", "operation": if old.is_null() { "CREATE" } else { "UPDATE" }, "name": "mine",
        "namespace": NS, "kind": {"group": "placet.dev", "version": "v1alpha1", "kind": "Approval"},
        "resource": {"group": "placet.dev", "version": "v1alpha1", "resource": "approvals"},
        "userInfo": {"username": by}, "object": object, "oldObject": old,
    }))
    .unwrap()
}

fn filled(answer: &Answer) -> Option<&str> {
    let step = answer.patch.iter().find(|step| step["path"] == "/spec/subject/digest")?;
    step["value"].as_str()
}

fn refused(answer: &Answer) -> &str {
    assert!(answer.patch.is_empty(), "{answer:?}");
    &answer.denied.as_ref().unwrap().2
}

#[tokio::test]
async fn a_digest_that_is_left_out_is_filled_in_for_a_person_and_what_is_signed_is_what_is_stored() {
    let site = Site::new();
    let bed = site.start();
    heard(&bed, &filling(&|_| {}));
    let desk = desk(&bed, Some(world()));
    for empty in [json!(null), json!("")] {
        let object = approval(&|o| o["spec"]["subject"]["digest"] = empty.clone());
        let answer = own_mutate::answer(&desk, &request("bob", &object, &Value::Null)).await;
        assert_eq!(answer.denied, None);
        assert_eq!(filled(&answer), Some(content(&model_release()).as_str()));
        let stored = approval(&|o| o["spec"]["subject"]["digest"] = filled(&answer).unwrap().into());
        let stamp =
            answer.patch.iter().find(|s| s["path"] == "/metadata/annotations/placet.dev~1stamp").unwrap();
        let stamp: StampText = serde_json::from_str(stamp["value"].as_str().unwrap()).unwrap();
        assert_eq!(stamp.spec, content(&stored));
        assert_eq!(stamp.subject_uid.as_deref(), model_release()["metadata"]["uid"].as_str());
        assert_eq!(stamp.evidence.unwrap().content, content(&model_release()), "what was there is kept");

        // Applied again as it was, it stays what it was, though the subject has changed since.
        let again = request("bob", &object, &stored);
        let mut later = model_release();
        later["spec"]["version"] = "3".into();
        let answer = own_mutate::answer(&self::desk(&bed, Some(vec![later])), &again).await;
        assert_eq!(filled(&answer), stored.pointer("/spec/subject/digest").and_then(Value::as_str));
    }
    // One that is there is left alone.
    let named = approval(&|o| o["spec"]["subject"]["digest"] = content(&model_release()).into());
    let answer = own_mutate::answer(&desk, &request("bob", &named, &Value::Null)).await;
    assert_eq!((answer.denied.as_ref(), filled(&answer)), (None, None));
}

#[tokio::test]
async fn it_is_filled_in_for_nobody_else_and_nowhere_else_and_the_refusal_has_the_command() {
    let site = Site::new();
    let bed = site.start();
    heard(&bed, &filling(&|_| {}));
    let desk = desk(&bed, Some(world()));
    let ask = async |by: &str, change: &dyn Fn(&mut Value)| {
        let answer = own_mutate::answer(&desk, &request(by, &approval(change), &Value::Null)).await;
        refused(&answer).to_owned()
    };
    let command = format!("placet approve mr/{RELEASE} --role model-owner -n {NS}");
    let said = ask("system:serviceaccount:ci:robot", &|_| {}).await;
    assert!(said.contains("is no person") && said.contains(&command), "{said}");
    let said = ask("bob", &|o| o["spec"]["signed"] = json!({"envelope": "{}"})).await;
    assert!(said.contains("a signature covers the digest"), "{said}");
    let said = ask("bob", &|o| o["spec"]["role"] = "risk-officer".into()).await;
    assert!(said.contains("emptyDigest: Fill") && said.contains("--role risk-officer"), "{said}");
    let said = ask("bob", &|o| o["spec"]["subject"]["covers"] = "Evidence".into()).await;
    assert!(said.contains("that cover Evidence of a release of class Minimal"), "{said}");
    let said = ask("bob", &|o| {
        o["spec"]["subject"] = json!({"kind": "AISystem", "name": "scoring", "covers": "Classification"});
    })
    .await;
    assert!(said.contains("placet approve ais/scoring --role model-owner --covers Classification"), "{said}");
    let said = ask("bob", &|o| o["spec"]["subject"]["name"] = "nothing".into()).await;
    assert!(said.contains("class is not known"), "{said}");
    // All policies that ask must say so.
    let mut strict = policy(&[]);
    strict["metadata"]["name"] = "strict".into();
    let strict = stamped(Kind::ReleasePolicy, "strict", "platform", "2026-01-01T00:00:00Z", &strict["spec"]);
    bed.hear(&strict);
    let said = ask("bob", &|_| {}).await;
    assert!(said.contains("no policy says emptyDigest: Fill"), "{said}");
}

#[tokio::test]
async fn who_does_not_hold_the_role_hears_of_the_role_alone() {
    // Whether a policy fills the digest in or not, whether there is such a release or not, and whatever class it has.
    let mut said = std::collections::BTreeSet::new();
    for fills in [true, false] {
        let site = Site::new();
        let bed = site.start();
        heard(&bed, &if fills { filling(&|_| {}) } else { policy(&[]) });
        let desk = desk(&bed, Some(world()));
        for (covers, name) in [("Content", RELEASE), ("Evidence", RELEASE), ("Content", "no-such-release")] {
            let object = approval(&|o| {
                o["spec"]["subject"]["covers"] = covers.into();
                o["spec"]["subject"]["name"] = name.into();
            });
            for dry in [true, false] {
                let mut asking = request(NOBODY, &object, &Value::Null);
                asking.dry_run = Some(dry);
                said.insert(refused(&own_mutate::answer(&desk, &asking).await).to_owned());
            }
        }
        let other = approval(&|o| {
            o["spec"]["subject"] = json!({"kind": "AISystem", "name": "scoring", "covers": "Content"});
        });
        said.insert(
            refused(&own_mutate::answer(&desk, &request(NOBODY, &other, &Value::Null)).await).to_owned(),
        );
        // The operator's own account holds a role that somebody gave it, and decides nothing.
        let operator = request("system:operator", &approval(&|_| {}), &Value::Null);
        let desk = Admission { operator_user: "system:operator".into(), ..desk };
        let answer = own_mutate::answer(&desk, &operator).await;
        assert!(refused(&answer).contains("the operator's own account"), "{answer:?}");
        // Of a role that there is not, that it is not there.
        let answer = own_mutate::answer(
            &desk,
            &request(NOBODY, &approval(&|o| o["spec"]["role"] = "made-up".into()), &Value::Null),
        )
        .await;
        assert!(refused(&answer).contains("wanted an ApprovalRole that exists, found made-up"), "{answer:?}");
    }
    let said: Vec<_> = said.into_iter().collect();
    let [one] = said.as_slice() else { panic!("{said:#?}") };
    assert!(one.starts_with("wanted a holder of the role model-owner, found mallory"), "{one}");
}

#[tokio::test]
async fn what_the_api_server_has_now_counts_and_not_what_was_heard_of() {
    let site = Site::new();
    let bed = site.start();
    heard(&bed, &filling(&|_| {}));
    let subject: Subject = serde_json::from_value(json!({
        "kind": "ModelRelease", "name": RELEASE, "covers": "Content", "digest": content(&model_release()),
    }))
    .unwrap();
    let mut now = model_release();
    now["spec"]["version"] = "3".into();
    let changed = look(&desk(&bed, Some(vec![now.clone()])), NS, &subject).await.unwrap();
    assert_eq!(changed.digest, Some(content(&now)));
    // Another object of the name: its uid, and none of the evidence of the one before.
    now["metadata"]["uid"] = "another".into();
    let again = look(&desk(&bed, Some(vec![now.clone()])), NS, &subject).await.unwrap();
    assert_eq!((again.uid.as_deref(), again.evidence), (Some("another"), None));
    // On its way out it is gone.
    now["metadata"]["deletionTimestamp"] = "2026-11-20T12:00:00Z".into();
    for there in [vec![now], Vec::new()] {
        let gone = look(&desk(&bed, Some(there)), NS, &subject).await.unwrap();
        assert_eq!((gone.digest, gone.uid), (None, None));
    }
    let (code, _, message) = look(&desk(&bed, None), NS, &subject).await.unwrap_err().denied.unwrap();
    assert!(code == 503 && message.contains("try again"), "{message}");

    // Of the evidence its system and what is filled in follow at once.
    let evidence = Subject { covers: Covers::Evidence, ..subject };
    let before = look(&desk(&bed, Some(world())), NS, &evidence).await.unwrap();
    assert!(before.digest.as_ref().is_some_and(|d| d.starts_with("sha256:")));
    let mut objects = world();
    let system = objects.iter_mut().find(|o| o["kind"] == "AISystem").unwrap();
    system["spec"]["triggers"]["article50"] = json!(["1"]);
    let after = look(&desk(&bed, Some(objects)), NS, &evidence).await.unwrap();
    assert_ne!(after.digest, before.digest);
}
