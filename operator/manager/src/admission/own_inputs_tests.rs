//! Both webhooks for our own kinds, one after the other, as the API server calls them: what comes between them, what a dry
//! run leaves and tells, and what is about something that is not there.

use std::sync::Arc;

use placet_api::{Kind, keys};
use placet_evidence::Payload;
use placet_gate::evaluate;
use placet_gate::object::Stamp;
use placet_gate::signed::{ApprovalPayload, Payload as _, Place, pae, payload_of, seal};
use serde_json::{Value, json};
use ssh_key::encoding::Encode as _;
use ssh_key::private::Ed25519Keypair;
use ssh_key::{HashAlg, PrivateKey};

use super::review::{Answer, Request};
use super::{Admission, own_mutate, own_validate};
use crate::infra::fake_api::{self, failure, reply};
use crate::testbed::{
    Bed, NS, RELEASE, Site, approval, content, model_release, path, stamped, unstamped, world,
};

/// Holds no role.
const NOBODY: &str = "mallory";

/// What the webhooks answer by, over an API server that has these; everybody but [`NOBODY`] holds each role that there is.
fn desk(bed: &Bed, there: Vec<Value>) -> Admission {
    let there = Arc::new(there);
    let (client, _) = fake_api::client(move |seen| {
        let there = Arc::clone(&there);
        async move {
            if seen.method == "POST" {
                let text = |at: &str| seen.body.pointer(at).and_then(Value::as_str).unwrap_or_default();
                let role = text("/spec/resourceAttributes/name");
                let allowed = text("/spec/user") != NOBODY && !role.starts_with("no-role-");
                return reply(201, &json!({"spec": seen.body["spec"], "status": {"allowed": allowed}}));
            }
            let at = |o: &Value| {
                let kind = Kind::parse(o["kind"].as_str().unwrap()).unwrap();
                path(kind, o["metadata"]["name"].as_str().unwrap())
            };
            let asked = seen.target.split('?').next().unwrap_or_default();
            let found = there.iter().find(|o| at(o) == asked);
            found.map_or_else(|| failure(404, "NotFound"), |object| reply(200, object))
        }
    });
    bed.admission_over(client)
}

/// An operator that has heard of everything that makes the release cleared; the API server has an assessment, too.
fn heard(site: &Site) -> (Bed, Admission) {
    let bed = site.start();
    bed.namespace(Some("deny"));
    let mut all = world();
    for object in &all {
        bed.hear(object);
    }
    let impact = stamped(Kind::ImpactAssessment, "impact", "olga", "2026-10-20T09:00:00Z", &assessment());
    all.push(impact);
    let desk = desk(&bed, all);
    (bed, desk)
}

fn assessment() -> Value {
    json!({
        "system": "scoring", "assessedAt": "2026-10-20", "scope": {"datasets": []},
        "harms": [{"id": "H1", "affects": "Individuals", "description": "Refused", "likelihood": 4, "severity": 4,
                   "reach": 3, "reversibility": "Difficult", "vulnerable": true}],
        "risks": [{"id": "R1", "domain": "AI", "harms": ["H1"], "residual": {"likelihood": 2, "severity": 4},
                   "controls": []}],
    })
}

/// An Approve of the release as somebody applies it.
fn approve(name: &str) -> Value {
    unstamped(Kind::Approval, name, &approval(name, "bob", "Approve", "2026-11-04T09:00:00Z")["spec"])
}

fn changed(object: &Value, at: &str, to: Value) -> Value {
    let mut object = object.clone();
    *object.pointer_mut(at).unwrap() = to;
    object
}

#[derive(Clone, Copy)]
struct Asking<'a> {
    by: &'a str,
    dry: bool,
    old: &'a Value,
}

const NEW: Asking<'_> = Asking { by: "dana", dry: false, old: &Value::Null };

fn request(asking: Asking<'_>, object: &Value) -> Request {
    let of = if object.is_null() { asking.old } else { object };
    let operation = match (object.is_null(), asking.old.is_null()) {
        (true, _) => "DELETE",
        (false, true) => "CREATE",
        (false, false) => "UPDATE",
    };
    let kind = Kind::parse(of["kind"].as_str().unwrap()).unwrap();
    serde_json::from_value(json!({
        "uid": "request", "operation": operation, "name": of["metadata"]["name"],
        "namespace": of["metadata"]["namespace"].as_str().unwrap_or_default(), "dryRun": asking.dry,
        "kind": {"group": "placet.dev", "version": "v1alpha1", "kind": kind.as_str()},
        "resource": {"group": "placet.dev", "version": "v1alpha1", "resource": kind.plural()},
        "userInfo": {"username": asking.by, "groups": ["system:authenticated"]},
        "object": object, "oldObject": asking.old,
    }))
    .unwrap()
}

/// An object with what an answer changes in it.
fn patched(object: &Value, answer: &Answer) -> Value {
    assert_eq!(answer.denied, None);
    let mut out = object.clone();
    for step in &answer.patch {
        let (parent, key) = step["path"].as_str().unwrap().rsplit_once('/').unwrap();
        let parent = out.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        let key = key.replace("~1", "/");
        if step["op"] == "remove" {
            parent.remove(&key);
        } else {
            parent.insert(key, step["value"].clone());
        }
    }
    out
}

/// The object after our mutating webhook.
async fn mutated(desk: &Admission, asking: Asking<'_>, object: &Value) -> Value {
    patched(object, &own_mutate::answer(desk, &request(asking, object)).await)
}

async fn validated(desk: &Admission, asking: Asking<'_>, object: &Value) -> Result<(), String> {
    let answer = own_validate::answer(desk, &request(asking, object)).await;
    answer.denied.map_or(Ok(()), |(_, _, why)| Err(why))
}

/// Both, one after the other; what is stored in the end, or why not.
async fn written(desk: &Admission, asking: Asking<'_>, object: &Value) -> Result<Value, String> {
    let answer = own_mutate::answer(desk, &request(asking, object)).await;
    if let Some((_, _, why)) = answer.denied {
        return Err(why);
    }
    let object = patched(object, &answer);
    validated(desk, asking, &object).await.map(|()| object)
}

/// Records beside those of stamping.
fn records(bed: &Bed) -> usize {
    bed.records().iter().filter(|r| !matches!(r.payload, Payload::Stamp(_))).count()
}

#[tokio::test]
async fn what_another_webhook_changes_after_the_stamp_is_refused_and_not_recorded() {
    let site = Site::new();
    let (bed, desk) = heard(&site);
    bed.hear(&bed_objects().pop().unwrap());
    let risk = placet_gate::digest::risk(NS, "impact", &assessment(), "R1").unwrap().unwrap();
    let acceptance = json!({
        "assessment": {"name": "impact"}, "risks": [{"id": "R1", "digest": risk}], "role": "risk-officer",
        "level": "High", "rationale": "Officers decide", "expiresAt": "2027-01-01T00:00:00Z",
    });
    let report = json!({
        "type": "Performance", "artifact": format!("sha256:{}", "4".repeat(64)),
        "dataset": format!("sha256:{}", "1".repeat(64)), "rows": 10, "ranAt": "2026-11-02",
        "groups": [{"attributes": {}, "rows": 10}],
    });
    let role = json!({"title": "Probe", "answersFor": "Nothing"});
    let system = world().into_iter().find(|o| o["kind"] == "AISystem").unwrap();
    let release = unstamped(Kind::ModelRelease, "scoring-3", &model_release()["spec"]);
    let cases = [
        (approve("mine"), "/spec/decision", json!("Reject")),
        (approve("mine"), "/spec/role", json!("risk-officer")),
        (approve("mine"), "/spec/subject/digest", json!(format!("sha256:{}", "0".repeat(64)))),
        (unstamped(Kind::RiskAcceptance, "mine", &acceptance), "/spec/level", json!("VeryHigh")),
        (unstamped(Kind::AISystem, "another", &system["spec"]), "/spec/triggers/profiling", json!(true)),
        (
            unstamped(Kind::ImpactAssessment, "another", &assessment()),
            "/spec/risks/0/residual/severity",
            json!(1),
        ),
        (release, "/spec/artifacts/0/reference", json!("registry.example.com/evil")),
        (unstamped(Kind::TestReport, "mine", &report), "/spec/dataset", json!("sha256:0")),
        (unstamped(Kind::Dataset, "mine", &dataset()), "/spec/personalData/contained", json!(false)),
        (unstamped(Kind::ApprovalRole, "probe", &role), "/spec/title", json!("Emperor")),
    ];
    for (object, at, to) in cases {
        let ours = mutated(&desk, NEW, &object).await;
        let before = records(&bed);
        let refused = validated(&desk, NEW, &changed(&ours, at, to)).await.unwrap_err();
        assert!(
            refused.contains("another mutating webhook changed the spec after it was stamped"),
            "{refused}"
        );
        // Nor may anybody say between the two who wrote it, or that it was written under another name.
        let stamp = ours["metadata"]["annotations"][keys::STAMP].as_str().unwrap().replace("dana", "erin");
        let places = [
            ("/metadata/name", json!("other-name")),
            ("/metadata/annotations/placet.dev~1stamp", json!(stamp)),
        ];
        for (at, to) in places {
            let refused = validated(&desk, NEW, &changed(&ours, at, to)).await.unwrap_err();
            assert!(refused.contains("the stamp of who wrote this does not hold"), "{at}: {refused}");
        }
        let mut bare = ours.clone();
        bare["metadata"].as_object_mut().unwrap().remove("annotations");
        let refused = validated(&desk, NEW, &bare).await.unwrap_err();
        assert!(refused.contains("carries no stamp"), "{refused}");
        assert_eq!(records(&bed), before, "{refused}");
        // Nobody came between.
        assert_eq!(validated(&desk, NEW, &ours).await, Ok(()), "{at}");
        assert_eq!(records(&bed), before + 1);
    }
}

#[tokio::test]
async fn what_is_typed_into_a_stamp_is_put_right_on_every_kind() {
    let site = Site::new();
    let (bed, desk) = heard(&site);
    let forged = json!({
        keys::STAMP: r#"{"creator":{"user":"erin"}}"#, keys::RECEIPT: "v1.forged", "note": "mine",
    });
    let objects = bed_objects();
    assert_eq!(objects.len(), Kind::ALL.len(), "one of each kind");
    for before in objects {
        // The same spec: the stamp is what it was, though it was typed over or dropped.
        for typed in [forged.clone(), json!({"note": "mine"})] {
            let object = changed(&before, "/metadata/annotations", typed);
            let asking = Asking { by: "carol", old: &before, ..NEW };
            let after = mutated(&desk, asking, &object).await;
            for key in [keys::STAMP, keys::RECEIPT] {
                assert_eq!(after["metadata"]["annotations"][key], before["metadata"]["annotations"][key]);
            }
            assert_eq!(after["metadata"]["annotations"]["note"], "mine", "what is not ours is left alone");
        }
        // A new object: what was typed is replaced by who asks.
        let mut new = changed(&before, "/metadata/annotations", forged.clone());
        new["metadata"]["name"] = json!("new");
        let after = mutated(&desk, Asking { by: "carol", ..NEW }, &new).await;
        let Stamp::Valid(standing) = bed.state.reading.read(&after).unwrap().0.stamp else {
            panic!("no stamp that holds: {after}");
        };
        assert_eq!(standing.creator, bed.state.reading.people.person("carol"), "{after}");
    }
}

/// What somebody says of the training data.
fn dataset() -> Value {
    json!({
        "name": "train", "digest": format!("sha256:{}", "1".repeat(64)), "provenance": {"source": "Loan ledger"},
        "permittedUses": ["Training"], "permittedPurposes": ["Estimate default"],
        "personalData": {"contained": true, "specialCategories": []},
    })
}

/// What the operator has heard of, one of each kind.
fn bed_objects() -> Vec<Value> {
    let mut all = world();
    let digest = |c: &str| format!("sha256:{}", c.repeat(64));
    let report = json!({
        "type": "Performance", "artifact": digest("4"), "dataset": digest("1"), "ranAt": "2026-11-01T16:30:00Z",
        "tool": {"name": "scikit-learn", "version": "1.7.0"},
        "metrics": [{"name": "BalancedAccuracy", "value": "0.79", "rows": 6000, "lower": "0.78", "upper": "0.80"}],
    });
    let risk = placet_gate::digest::risk(NS, "impact", &assessment(), "R1").unwrap().unwrap();
    let acceptance = json!({
        "assessment": {"name": "impact"}, "risks": [{"id": "R1", "digest": risk}], "role": "risk-officer",
        "level": "High", "rationale": "Rare", "expiresAt": "2027-01-01T00:00:00Z",
    });
    let signer =
        json!({"key": key().public_key().to_openssh().unwrap(), "user": "bob", "roles": ["model-owner"]});
    for (kind, name, spec) in [
        (Kind::TestReport, "performance", &report),
        (Kind::Dataset, "train", &dataset()),
        (Kind::RiskAcceptance, "accepted", &acceptance),
        (Kind::TrustedSigner, "bob", &signer),
        (Kind::ImpactAssessment, "impact", &assessment()),
    ] {
        all.push(stamped(kind, name, "olga", "2026-10-20T09:00:00Z", spec));
    }
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|o| seen.insert(o["kind"].as_str().unwrap().to_owned()));
    all
}

fn cleared(bed: &Bed) -> placet_gate::Cleared {
    evaluate(&bed.state.snapshot(NS, RELEASE)).cleared
}

fn key() -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[5; 32]))
}

/// An Approve that bob's key signed.
fn signed(name: &str) -> Value {
    signed_as(name, approve(name))
}

/// A decision that bob's key signed.
fn signed_as(name: &str, mut object: Value) -> Value {
    // Of 32 hexadecimal digits, as a nonce is, and another one for each name.
    let nonce = placet_evidence::Digest::of(name.as_bytes()).to_string();
    let nonce = &nonce["sha256:".len()..][..32];
    object["spec"]["signed"] = json!({"issuedAt": "2026-11-20T11:59:00Z", "nonce": nonce});
    let place = Place { cluster: "cluster", namespace: NS, kind: Kind::Approval, name };
    let payload = payload_of::<ApprovalPayload>(&object["spec"], place).unwrap().to_bytes().unwrap();
    let bytes = pae(ApprovalPayload::TYPE, &payload);
    let blob = key().sign(ApprovalPayload::NAMESPACE, HashAlg::Sha512, &bytes).unwrap().encode_vec().unwrap();
    object["spec"]["signed"]["envelope"] = seal::<ApprovalPayload>(&payload, &blob).unwrap().into();
    object
}

#[tokio::test]
async fn a_dry_run_leaves_nothing_and_what_it_gives_never_counts() {
    let site = Site::new();
    let (bed, desk) = heard(&site);
    let public = key().public_key().to_openssh().unwrap();
    let signer = json!({"key": public, "user": "bob", "roles": ["model-owner"]});
    bed.hear(&stamped(Kind::TrustedSigner, "bob", "platform", "2026-10-01T00:00:00Z", &signer));
    let stop = changed(&approve("stop"), "/spec/decision", json!("Reject"));
    let mut withdrawn = model_release();
    withdrawn["spec"]["withdrawn"] = true.into();
    let live = model_release();
    let gone = approval("owner-bob", "bob", "Approve", "2026-11-04T09:00:00Z");
    let decision = evaluate(&bed.state.snapshot(NS, RELEASE));
    assert_eq!(decision.cleared, placet_gate::Cleared::True, "{:?}", decision.findings().collect::<Vec<_>>());
    let before = bed.records().len();
    let dry = Asking { by: "bob", dry: true, old: &Value::Null };
    for object in [approve("mine"), stop.clone(), signed("signed")] {
        let given = written(&desk, dry, &object).await.unwrap();
        assert_eq!(given["metadata"]["annotations"][keys::RECEIPT], Value::Null, "{given}");
        // Stored behind the webhooks, also with a receipt that is good elsewhere, it is nobody's.
        let elsewhere = gone["metadata"]["annotations"][keys::RECEIPT].clone();
        for receipt in [Value::Null, elsewhere] {
            let mut copied = given.clone();
            copied["metadata"]["annotations"][keys::RECEIPT] = receipt;
            let read = bed.state.reading.read(&copied).unwrap().0;
            assert!(matches!(read.stamp, Stamp::Invalid { .. }), "{:?}", read.stamp);
        }
    }
    let after = written(&desk, Asking { old: &live, ..dry }, &withdrawn).await.unwrap();
    assert_eq!(after["metadata"]["annotations"], live["metadata"]["annotations"], "the stamp that was there");
    validated(&desk, Asking { old: &gone, ..dry }, &Value::Null).await.unwrap();
    assert_eq!(bed.records().len(), before, "a dry run is recorded nowhere");
    let envelope = bed.state.reading.read(&signed("signed")).unwrap().0.envelope().unwrap().to_owned();
    assert_eq!(bed.state.world().seen(&envelope), None, "nor does it use up a signature");
    assert_eq!(cleared(&bed), placet_gate::Cleared::True, "nor does it stop anything");

    // The same, meant: each of them is what the dry run was not.
    let meant = Asking { dry: false, ..dry };
    let given = written(&desk, meant, &signed("signed")).await.unwrap();
    assert!(matches!(bed.state.reading.read(&given).unwrap().0.stamp, Stamp::Valid(_)));
    assert!(bed.state.world().seen(&envelope).is_some());
    written(&desk, meant, &stop).await.unwrap();
    assert_ne!(cleared(&bed), placet_gate::Cleared::True);
    assert!(bed.records().len() > before);
}

#[tokio::test]
async fn a_dry_run_says_what_the_write_would_say_and_who_holds_no_role_hears_nothing_of_the_subject() {
    let site = Site::new();
    let (_bed, desk) = heard(&site);
    let wrong =
        changed(&approve("mine"), "/spec/subject/digest", json!(format!("sha256:{}", "0".repeat(64))));
    let nothing = changed(&approve("mine"), "/spec/subject/name", json!("no-such-release"));
    let elsewhere = changed(&approve("mine"), "/metadata/namespace", json!("elsewhere"));
    let ended = {
        let mut object = approve("mine");
        object["spec"]["expiresAt"] = json!("2026-11-20T12:00:00Z");
        object
    };
    let digest = content(&model_release());
    for (object, wanted) in [
        (&wrong, digest.as_str()),
        (&nothing, "found no ModelRelease no-such-release"),
        (&elsewhere, "wanted an object in namespace elsewhere whose digest is known, found no ModelRelease"),
        (&ended, "spec.expiresAt: wanted a time to come"),
    ] {
        let asking = Asking { by: "bob", dry: true, old: &Value::Null };
        let dry = written(&desk, asking, object).await.unwrap_err();
        let meant = written(&desk, Asking { dry: false, ..asking }, object).await.unwrap_err();
        assert!(dry.contains(wanted), "{dry}");
        assert_eq!(dry, meant);
    }
    // The right digest, a wrong one, and a name that is none: the same words, which are about the role.
    let mut said = std::collections::BTreeSet::new();
    for object in [&approve("mine"), &wrong, &nothing, &elsewhere] {
        for dry in [true, false] {
            let asking = Asking { by: NOBODY, dry, old: &Value::Null };
            said.insert(written(&desk, asking, object).await.unwrap_err());
        }
    }
    let said: Vec<_> = said.into_iter().collect();
    let [one] = said.as_slice() else { panic!("{said:#?}") };
    assert!(one.contains("wanted a holder of the role model-owner, found mallory"), "{one}");
}

#[tokio::test]
async fn what_was_signed_may_come_before_what_it_is_about_rejects_and_answers_included() {
    let site = Site::new();
    let (bed, desk) = heard(&site);
    let public = key().public_key().to_openssh().unwrap();
    let signer = json!({"key": public, "user": "bob", "roles": ["model-owner"]});
    bed.hear(&stamped(Kind::TrustedSigner, "bob", "platform", "2026-10-01T00:00:00Z", &signer));
    let of = |kind: &str, name: &str, spec: Value| {
        let mut object = changed(&approve(name), "/spec/subject/kind", json!(kind));
        object["spec"]["subject"]["name"] = json!("not-yet");
        for (key, value) in spec.as_object().unwrap() {
            object["spec"][key] = value.clone();
        }
        object
    };
    let stop = json!({"decision": "Reject"});
    let answer = json!({"answers": ["stop-modelrelease-0"]});
    let robot = Asking { by: "system:serviceaccount:git:robot", ..NEW };
    for (kind, does, spec) in [
        ("ModelRelease", "counts", &json!({})),
        ("ModelRelease", "blocks", &stop),
        ("ModelRelease", "counts", &answer),
        ("AISystem", "blocks", &stop),
        ("ImpactAssessment", "blocks", &stop),
        ("RiskAcceptance", "blocks", &stop),
    ] {
        let verb = if spec == &stop { "stop" } else { "go" };
        let answers = usize::from(spec == &answer);
        let name = format!("{verb}-{}-{answers}", kind.to_lowercase());
        let object = of(kind, &name, spec.clone());
        // By a person's own word it must be there.
        let refused = written(&desk, NEW, &object).await.unwrap_err();
        assert!(refused.contains(&format!("found no {kind} not-yet")), "{refused}");
        for dry in [true, false] {
            let asking = Asking { dry, ..robot };
            let given = mutated(&desk, asking, &signed_as(&name, object.clone())).await;
            let said = own_validate::answer(&desk, &request(asking, &given)).await;
            assert_eq!(said.denied, None, "{kind} {spec}");
            let told = format!("there is no {kind} not-yet yet: this {does} once there is one");
            assert!(said.warnings.iter().any(|w| w.contains(&told)), "{:?}", said.warnings);
        }
    }
    // What withdraws an acceptance is not answered, be it there or not.
    let object = of("RiskAcceptance", "again", answer.clone());
    for object in [signed_as("again", object.clone()), object] {
        let refused = written(&desk, robot, &object).await.unwrap_err();
        assert!(refused.contains("a Reject of a RiskAcceptance withdraws it for good"), "{refused}");
    }
    // A signature by somebody who does not hold the role decides nothing, whenever it comes.
    let nobody = json!({"key": public, "user": NOBODY, "roles": ["model-owner"]});
    bed.hear(&stamped(Kind::TrustedSigner, "bob", "platform", "2026-10-01T00:00:00Z", &nobody));
    let refused =
        written(&desk, robot, &signed_as("late", of("ModelRelease", "late", stop))).await.unwrap_err();
    assert!(refused.contains("wanted a holder of the role model-owner, found mallory"), "{refused}");
}
