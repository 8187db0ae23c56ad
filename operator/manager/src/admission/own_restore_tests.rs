use std::collections::BTreeMap;

use placet_evidence::Operation;
use placet_gate::object::Stamp;
use placet_gate::stamp::StampProblem;
use serde_json::json;

use super::*;
use crate::admission::{own_mutate, own_validate};
use crate::infra::fake_api;
use crate::testbed::{Bed, NS, Site, model_release, unstamped};

/// The API server has nothing, and says that erin holds every role, and velero the verb restore.
fn desk(bed: &Bed) -> Admission {
    let (client, _) = fake_api::client(|asked| async move {
        if asked.method == "GET" {
            return fake_api::failure(404, "NotFound");
        }
        let text = |at: &str| asked.body.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        let attributes = |field: &str| text(&format!("/spec/resourceAttributes/{field}"));
        let (user, verb) = (text("/spec/user"), attributes("verb"));
        let officer = user == "erin" && !attributes("name").starts_with("no-role-");
        let allowed = match verb.as_str() {
            "approve" => officer,
            "restore" => user == "velero" && attributes("namespace").is_empty(),
            _ => false,
        };
        fake_api::reply(201, &json!({"metadata": {}, "spec": {}, "status": {"allowed": allowed}}))
    });
    bed.admission_over(client)
}

fn request(operation: &str, user: &str, object: &Value, old: &Value) -> Request {
    let named = if object.is_null() { old } else { object };
    serde_json::from_value(json!({
        "uid": "request", "operation": operation, "name": named["metadata"]["name"], "namespace": NS,
        "kind": {"group": "placet.dev", "version": "v1alpha1", "kind": named["kind"]},
        "resource": {"group": "placet.dev", "version": "v1alpha1", "resource": "x"},
        "userInfo": {"username": user}, "object": object, "oldObject": old,
    }))
    .unwrap()
}

/// What is stored of an object that somebody writes, and what they are warned of; or why it is refused.
async fn write(a: &Admission, user: &str, object: &Value) -> Result<(Value, Vec<String>), String> {
    let mut answer = own_mutate::answer(a, &request("CREATE", user, object, &Value::Null)).await;
    if let Some((_, _, why)) = answer.denied {
        return Err(why);
    }
    let mut object = object.clone();
    for step in answer.patch.drain(..) {
        let path = step["path"].as_str().unwrap();
        if path == "/metadata/annotations" {
            object["metadata"]["annotations"] = json!({});
        } else {
            let key = path.rsplit('/').next().unwrap().replace("~1", "/");
            object["metadata"]["annotations"][key] = step["value"].clone();
        }
    }
    let judged = own_validate::answer(a, &request("CREATE", user, &object, &Value::Null)).await;
    match judged.denied {
        Some((_, _, why)) => Err(why),
        None => Ok((object, answer.warnings)),
    }
}

/// Somebody deletes an object, or it goes with its namespace.
async fn gone(a: &Admission, user: Option<&str>, object: &Value) {
    if let Some(user) = user {
        let deleted = own_validate::answer(a, &request("DELETE", user, &Value::Null, object)).await;
        assert_eq!(deleted.denied, None);
    } else {
        let record = a.state.read(object).unwrap().0;
        a.ledger.object(a.state.now(), Operation::Delete, &record, None, None).await.unwrap();
    }
}

fn stamp_of(object: &Value) -> StampText {
    serde_json::from_str(annotation(object, keys::STAMP).unwrap()).unwrap()
}

fn problem(a: &Admission, object: &Value) -> Option<StampProblem> {
    match a.state.read(object).unwrap().0.stamp {
        Stamp::Valid(_) => None,
        Stamp::Invalid { why } => Some(why),
    }
}

fn with_uid(object: &Value, uid: &str) -> Value {
    let mut object = object.clone();
    object["metadata"]["uid"] = uid.into();
    object
}

fn release() -> Value {
    unstamped(Kind::ModelRelease, "r", &model_release()["spec"])
}

/// An acceptance of risks; it is about nothing that is there.
fn acceptance() -> Value {
    let digest = format!("sha256:{}", "1".repeat(64));
    let spec = json!({
        "assessment": {"name": "ia"}, "risks": [{"id": "R1", "digest": digest}], "role": "risk-officer",
        "level": "Low", "rationale": "Small", "expiresAt": "2027-01-01T00:00:00Z",
    });
    unstamped(Kind::RiskAcceptance, "ra", &spec)
}

/// An acceptance as it was stamped for erin, whatever validation says of it.
async fn accepted(a: &Admission) -> Value {
    let mut object = acceptance();
    let answer = own_mutate::answer(a, &request("CREATE", "erin", &object, &Value::Null)).await;
    assert_eq!(answer.denied, None);
    let mut annotations = BTreeMap::new();
    for step in &answer.patch[1..] {
        let key = step["path"].as_str().unwrap().rsplit('/').next().unwrap().replace("~1", "/");
        annotations.insert(key, step["value"].clone());
    }
    object["metadata"]["annotations"] = json!(annotations);
    object
}

#[tokio::test]
async fn what_is_restored_keeps_its_author_its_time_and_its_first_uid() {
    let site = Site::new();
    let bed = site.start();
    let a = desk(&bed);
    let (object, warnings) = write(&a, "dana", &release()).await.unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    let first = stamp_of(&object);
    let lived = with_uid(&object, "first");
    gone(&a, None, &lived).await;

    // Put back behind the webhooks it does not count, and its author heals it.
    let back = with_uid(&object, "second");
    assert_eq!(problem(&a, &back), Some(StampProblem::PutBack));
    assert_eq!(problem(&a, &lived), None, "one whose deletion was not carried out lives on");
    let answer = own_mutate::answer(&a, &request("UPDATE", "alice", &back, &back)).await;
    let text = answer.patch.iter().find_map(|s| s["value"].as_str()).unwrap();
    assert_eq!(serde_json::from_str::<StampText>(text).unwrap().creator.user, "alice");

    // Without the verb the sender is its creator, as ever, and is told.
    let (by_dave, warnings) = write(&a, "dave", &object).await.unwrap();
    assert_eq!(stamp_of(&by_dave).creator.user, "dave");
    assert!(
        warnings[0].contains("dave is its creator: wanted the verb restore on modelreleases"),
        "{warnings:?}"
    );

    let (restored, warnings) = write(&a, "velero", &object).await.unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    let stamp = stamp_of(&restored);
    assert_eq!((&stamp.creator, stamp.created_at), (&first.creator, first.created_at));
    let restoring = stamp.restored.as_ref().unwrap();
    assert_eq!((restoring.by.user.as_str(), restoring.from), ("velero", first.record.unwrap()));
    assert!(stamp.record > first.record);
    let (record, _) = a.state.read(&with_uid(&restored, "second")).unwrap();
    assert_eq!((record.uid.as_str(), matches!(record.stamp, Stamp::Valid(_))), ("first", true));
    // Both are in the record, each in a field of its own.
    let recorded = bed.records();
    let fields = |r: &placet_evidence::Record| r.personal.iter().map(|p| p.field.clone()).collect::<Vec<_>>();
    assert_eq!(fields(recorded.last().unwrap()), ["actor.name", "creator.name"]);
    // Twice restored it is still itself; the stamp in between is void with the life that it was given in.
    gone(&a, None, &with_uid(&restored, "second")).await;
    assert_eq!(problem(&a, &with_uid(&restored, "third")), Some(StampProblem::PutBack));
    let (again, _) = write(&a, "velero", &restored).await.unwrap();
    assert_eq!(stamp_of(&again).restored.unwrap().uid.as_deref(), Some("first"));
    // After a restart, too: the log is what remembers.
    drop(a);
    bed.stop().await;
    let bed = site.start();
    let a = desk(&bed);
    assert_eq!(problem(&a, &back), Some(StampProblem::PutBack));
    assert_eq!(problem(&a, &with_uid(&again, "third")), None);
}

#[tokio::test]
async fn what_is_not_proved_is_not_kept() {
    let site = Site::new();
    let bed = site.start();
    let a = desk(&bed);
    let (object, _) = write(&a, "dana", &release()).await.unwrap();
    let annotated = |key: &str, value: &str| {
        let mut object = object.clone();
        object["metadata"]["annotations"][key] = value.into();
        object
    };
    let place =
        Place { cluster: &a.state.reading.cluster, kind: Kind::ModelRelease, namespace: Some(NS), name: "r" };
    let signed_anew = |stamp: &StampText| {
        let mut object = annotated(keys::STAMP, &serde_json::to_string(stamp).unwrap());
        object["metadata"]["annotations"][keys::RECEIPT] = stamp::sign(&a.receipts, place, stamp).into();
        object
    };
    let stamp = stamp_of(&object);
    let renamed = {
        let mut object = object.clone();
        object["metadata"]["name"] = "other".into();
        object
    };
    let mut edited = object.clone();
    edited["spec"]["version"] = "3".into();
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let none = StampText { record: None, ..stamp.clone() };
    let elsewhere = StampText { record: Some(0), ..stamp.clone() };
    let future = StampText { record: Some(9999), ..stamp.clone() };
    // A thief of the key signs what the log never recorded.
    let forged =
        StampText { creator: Identity { user: "mallory".into(), ..Identity::default() }, ..stamp.clone() };
    for (what, object, why) in [
        ("another name", renamed, "does not fit it"),
        ("another spec", edited, "its spec was changed"),
        ("another key", annotated(keys::RECEIPT, &stamp::sign(&stranger, place, &stamp)), "does not know"),
        ("no record", signed_anew(&none), "it names no record"),
        ("another record", signed_anew(&elsewhere), "has no record of it at 0"),
        ("a record to come", signed_anew(&future), "has no record of it at 9999"),
        ("forged", signed_anew(&forged), "has no record of it at"),
    ] {
        let (stored, warnings) = write(&a, "velero", &object).await.unwrap();
        let stamp = stamp_of(&stored);
        assert_eq!((stamp.creator.user.as_str(), stamp.restored.is_some()), ("velero", false), "{what}");
        assert!(warnings[0].contains(why), "{what}: {warnings:?}");
    }
    // An older version than the log knows brings nothing back.
    bed.hear(&with_uid(&object, "first"));
    let site_time = a.state.now();
    let newer = StampText {
        editors: vec![stamp::Edit {
            by: stamp.creator.clone(),
            at: site_time + jiff::SignedDuration::from_secs(9),
        }],
        ..stamp.clone()
    };
    bed.hear(&with_uid(&signed_anew(&newer), "first"));
    bed.miss(Kind::ModelRelease, "r");
    let (stored, warnings) = write(&a, "velero", &object).await.unwrap();
    assert_eq!(stamp_of(&stored).creator.user, "velero");
    assert!(warnings[0].contains("later than this one"), "{warnings:?}");
}

#[tokio::test]
async fn what_somebody_took_back_is_not_brought_back_and_what_went_with_its_namespace_is() {
    let site = Site::new();
    let bed = site.start();
    let a = desk(&bed);
    let object = accepted(&a).await;
    // It is about nothing that is there: as a new one it would be refused.
    let refused = write(&a, "erin", &acceptance()).await.unwrap_err();
    assert!(refused.contains("spec.assessment.name"), "{refused}");
    gone(&a, None, &with_uid(&object, "first")).await;
    let (restored, _) = write(&a, "velero", &object).await.unwrap();
    let stamp = stamp_of(&restored);
    assert_eq!((stamp.creator.user.as_str(), stamp.role.unwrap().allowed), ("erin", true));
    // Without the verb it is a new decision, by somebody who holds no role.
    let refused = write(&a, "dave", &object).await.unwrap_err();
    assert!(refused.contains("wanted a holder of the role"), "{refused}");

    // Taken back, it stays so: whichever of its stamps comes back.
    gone(&a, Some("erin"), &with_uid(&restored, "second")).await;
    for old in [&object, &restored] {
        let refused = write(&a, "velero", old).await.unwrap_err();
        assert!(refused.contains("found that somebody deleted it"), "{refused}");
    }
}

#[tokio::test]
async fn what_was_changed_behind_the_webhooks_is_named_field_by_field() {
    let site = Site::new();
    let bed = site.start();
    let set = |bed: &Bed| {
        bed.namespace(Some("deny"));
        bed.list();
    };
    for object in crate::testbed::world() {
        bed.put(&object);
    }
    set(&bed);
    bed.turns(3).await;
    assert_eq!(bed.cleared(), "True");
    let mut release = model_release();
    release["spec"]["version"] = "3".into();
    let mut system = crate::testbed::world().remove(3);
    system["spec"]["purpose"] = "Decide who gets a loan".into();
    for object in [&mut release, &mut system] {
        object["metadata"]["generation"] = 2.into();
        bed.put(object);
    }
    let said = async |bed: &Bed| {
        bed.turns(3).await;
        let status = bed.status(Kind::ModelRelease, crate::testbed::RELEASE).to_string();
        let of = |field: &str| format!("its spec was changed behind the webhook's back: {field}");
        assert!(status.contains(&of("spec.version")) && status.contains(&of("spec.purpose")), "{status}");
    };
    said(&bed).await;
    bed.stop().await;
    let bed = site.start();
    set(&bed);
    said(&bed).await;
}
