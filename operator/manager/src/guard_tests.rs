//! A change that loosens a policy waits for a second person, across restarts and without the operator too.

use std::sync::Arc;

use placet_api::Kind;
use placet_evidence::{Payload, PolicyEffect};
use serde_json::{Value, json};

use crate::admission::review::Request;
use crate::testbed::{Bed, NS, RELEASE, Site, content, model_release, path, policy, stamped, world};

/// The policy, asking for so many people.
fn asking(count: i32, by: &str, at: &str) -> Value {
    let mut spec = policy(&[])["spec"].clone();
    spec["approvals"][0]["count"] = json!(count);
    spec["guard"] = json!({"role": "risk-officer"});
    stamped(Kind::ReleasePolicy, "minimal", by, at, &spec)
}

/// A looser version than the first, by somebody else.
fn looser() -> Value {
    asking(1, "mallory", "2026-11-19T00:00:00Z")
}

fn site() -> Site {
    let mut site = Site::new();
    site.guarded = true;
    site
}

/// Where packs are going to be applied.
fn with_packs() -> Site {
    let mut site = site();
    site.packs = true;
    site
}

/// An installation whose packs are being applied, with everything that clears the release there already.
async fn installing(site: &Site) -> Bed {
    let bed = site.start();
    bed.namespace(Some("deny"));
    for object in world() {
        bed.put(&object);
    }
    bed.turns(2).await;
    bed
}

/// An installation in which two people are asked for and one has approved.
async fn set_up(site: &Site) -> Bed {
    let bed = site.start();
    bed.namespace(Some("deny"));
    for object in world().into_iter().filter(|o| o["kind"] != "ReleasePolicy") {
        bed.put(&object);
    }
    bed.put(&asking(2, "platform", "2026-01-01T00:00:00Z"));
    bed.turns(3).await;
    assert_eq!(bed.cleared(), "False");
    assert!(!bed.state.world().being_set_up());
    bed
}

fn yes(name: &str, by: &str, digest: &str) -> Value {
    let spec = json!({
        "subject": {"kind": "ReleasePolicy", "name": "minimal", "covers": "Content", "digest": digest},
        "role": "risk-officer", "decision": "Approve",
    });
    stamped(Kind::Approval, name, by, "2026-11-19T12:00:00Z", &spec)
}

fn effects(bed: &Bed) -> Vec<PolicyEffect> {
    effects_of(bed, Kind::ReleasePolicy)
}

fn effects_of(bed: &Bed, kind: Kind) -> Vec<PolicyEffect> {
    let all = bed.records().into_iter().filter_map(|r| match r.payload {
        Payload::PolicyEffect(effect) if r.subject.kind == kind.as_str() => Some(effect),
        _ => None,
    });
    all.collect()
}

fn in_force(bed: &Bed) -> (String, String) {
    let condition = bed.condition(Kind::ReleasePolicy, "minimal", "InForce");
    let text = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("message"))
}

#[tokio::test]
async fn a_looser_version_waits_for_a_second_person_and_takes_effect_by_a_record() {
    let site = site();
    let bed = set_up(&site).await;
    assert_eq!(effects(&bed).iter().map(|e| e.because.as_str()).collect::<Vec<_>>(), ["First"]);
    assert_eq!(in_force(&bed).0, "True");
    bed.put(&looser());
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False");
    let (status, message) = in_force(&bed);
    let digest = content(&looser());
    assert_eq!(status, "False");
    for part in [
        "approvals[model-owner].count: 2 before, 1 now",
        &digest,
        "risk-officer",
        "placet approve rp/minimal",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let before = content(&asking(2, "platform", "2026-01-01T00:00:00Z"));
    assert_eq!(bed.status(Kind::ReleasePolicy, "minimal")["inForce"], before.as_str());
    assert_eq!(bed.status(Kind::ModelRelease, RELEASE)["policies"][0]["digest"], before.as_str());
    // Who edited it is no second person.
    bed.put(&yes("own", "mallory", &digest));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False");
    assert!(in_force(&bed).1.contains("mallory made the change"), "{:?}", in_force(&bed));
    // The approval says the same of itself.
    let own = bed.condition(Kind::Approval, "own", "Counts");
    assert_eq!((own["status"].as_str(), own["reason"].as_str()), (Some("False"), Some("DoesNotCount")));
    assert!(own["message"].as_str().unwrap().contains("mallory made the change"), "{own}");
    drop(bed);
    for _ in 0..2 {
        let bed = site.start_again();
        bed.turns(2).await;
        assert_eq!(bed.cleared(), "False", "after a restart too");
        assert_eq!(in_force(&bed).0, "False");
    }
    let bed = site.start_again();
    bed.put(&yes("second", "erin", &digest));
    bed.turns(3).await;
    assert_eq!(bed.cleared(), "True");
    assert_eq!(in_force(&bed).0, "True");
    let effect = effects(&bed).pop().unwrap();
    assert_eq!((effect.because.as_str(), effect.loosens, effect.approvals.len()), ("Approved", true, 2));
    let took = bed.index(|p| matches!(p, Payload::PolicyEffect(e) if e.because == "Approved")).unwrap();
    let cleared =
        bed.index(|p| matches!(p, Payload::Decision(d) if d.verdict == placet_evidence::Verdict::Met));
    assert!(cleared.unwrap() > took, "the record comes first");
    // What took effect stays, whatever becomes of the approval.
    bed.delete(Kind::Approval, "second");
    bed.turns(1).await;
    drop(bed);
    let bed = site.start_again();
    bed.turns(2).await;
    assert_eq!(in_force(&bed).0, "True");
    assert_eq!(effects(&bed).len(), 2, "nothing is recorded twice");
}

#[tokio::test]
async fn what_was_done_to_a_policy_while_the_operator_was_gone_is_judged_by_the_version_in_force() {
    let site = site();
    drop(set_up(&site).await);
    site.fake.put(&path(Kind::ReleasePolicy, "minimal"), looser());
    let bed = site.start_again();
    bed.turns(2).await;
    assert_eq!((bed.cleared(), in_force(&bed).0), ("False".to_owned(), "False".to_owned()));
    drop(bed);
    // Deleted, and deleted with the webhooks off: it goes on deciding.
    site.fake.take_away(&path(Kind::ReleasePolicy, "minimal"));
    let bed = site.start_again();
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False");
    let policies = &bed.status(Kind::ModelRelease, RELEASE)["policies"];
    assert_eq!(policies[0]["name"], "minimal", "{policies}");
    drop(bed);
    let bed = site.start_again();
    bed.put(&asking(1, "mallory", "2026-11-20T00:00:00Z"));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False", "created again, looser");
}

#[tokio::test]
async fn a_stricter_version_decides_at_once_and_a_clearance_stands() {
    let site = site();
    let bed = site.start();
    bed.namespace(Some("deny"));
    for object in world() {
        bed.put(&object);
    }
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True");
    bed.put(&asking(2, "mallory", "2026-11-19T00:00:00Z"));
    bed.turns(2).await;
    // The guard is another than before, which counts as loosening; so the version before decides.
    assert_eq!(bed.cleared(), "True");
    let mut spec = policy(&[])["spec"].clone();
    spec["approvals"][0]["count"] = json!(2);
    spec["appliesToCleared"] = true.into();
    bed.put(&stamped(Kind::ReleasePolicy, "minimal", "mallory", "2026-11-19T00:00:00Z", &spec));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False");
    assert_eq!(effects(&bed).last().unwrap().because, "Tightens");
}

#[tokio::test]
async fn a_log_of_before_begins_with_what_is_there() {
    let mut site = site();
    site.guarded = false;
    let bed = site.start();
    bed.namespace(Some("deny"));
    for object in world() {
        bed.put(&object);
    }
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True");
    drop(bed);
    site.guarded = true;
    let bed = site.start_again();
    bed.turns(2).await;
    assert_eq!(effects(&bed).iter().map(|e| e.because.as_str()).collect::<Vec<_>>(), ["First"]);
    assert_eq!(bed.cleared(), "True");
    assert!(!bed.state.world().being_set_up());
}

#[tokio::test]
async fn packs_are_one_installation_though_releases_are_judged_meanwhile() {
    let site = with_packs();
    let bed = installing(&site).await;
    assert_eq!(bed.cleared(), "True");
    assert!(bed.state.world().being_set_up(), "packs are still being applied");
    let another = |name: &str, class: &str| {
        let mut spec = policy(&[])["spec"].clone();
        spec["appliesTo"] = json!({"classes": [class]});
        stamped(Kind::ReleasePolicy, name, "placet", "2026-01-01T00:00:00Z", &spec)
    };
    bed.put(&another("limited", "Limited"));
    let brought = vec!["minimal".to_owned(), "limited".to_owned()];
    tokio::join!(super::packs_brought(Arc::clone(&bed.state), brought), bed.turns(2));
    assert!(!bed.state.world().being_set_up());
    bed.put(&another("high-risk", "High"));
    bed.turns(2).await;
    assert_eq!(effects(&bed).iter().map(|e| e.because.as_str()).collect::<Vec<_>>(), ["First", "First"]);
    assert_eq!(
        bed.status(Kind::ReleasePolicy, "high-risk")["waiting"]["digest"].as_str().map(str::len),
        Some(71)
    );
}

#[tokio::test]
async fn packs_of_an_earlier_installation_are_waited_for_until_they_are_stamped_anew() {
    let site = with_packs();
    let bed = site.start();
    bed.namespace(Some("deny"));
    // What survived carries no stamp that this installation knows.
    let mut survived = policy(&[]);
    survived["metadata"].as_object_mut().unwrap().remove("annotations");
    bed.put(&survived);
    bed.put(&model_release());
    bed.turns(2).await;
    let brought = super::packs_brought(Arc::clone(&bed.state), vec!["minimal".to_owned()]);
    let stamping = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        assert!(bed.state.world().being_set_up());
        bed.put(&policy(&[]));
        bed.turns(2).await;
    };
    tokio::join!(brought, stamping);
    assert!(!bed.state.world().being_set_up());
    assert_eq!(effects(&bed).iter().map(|e| e.because.as_str()).collect::<Vec<_>>(), ["First"]);
}

#[tokio::test]
async fn packs_that_never_come_end_an_installation_too() {
    let site = with_packs();
    let bed = installing(&site).await;
    tokio::time::pause();
    super::packs_brought(Arc::clone(&bed.state), vec!["never".to_owned()]).await;
    assert!(!bed.state.world().being_set_up());
}

#[tokio::test]
async fn a_policy_is_deleted_once_a_second_person_has_approved_that() {
    let site = site();
    let bed = set_up(&site).await;
    let object = bed.fake.object(&path(Kind::ReleasePolicy, "minimal")).unwrap();
    let ask = async |user: &str| {
        let request: Request = serde_json::from_value(json!({
            "uid": "r", "kind": {"group": "placet.dev", "version": "v1alpha1", "kind": "ReleasePolicy"},
            "operation": "DELETE", "namespace": "", "name": "minimal", "dryRun": false, "object": null,
            "oldObject": object, "userInfo": {"username": user}, "resource": {"group": "placet.dev", "version": "v1alpha1", "resource": "releasepolicies"},
        }))
        .unwrap();
        crate::admission::own_validate::answer(&bed.admission(), &request).await
    };
    let refused = ask("mallory").await;
    assert!(refused.denied.is_some());
    let said = format!("{refused:?}");
    for part in
        ["asks for less", "risk-officer", "placet approve rp/minimal --role risk-officer", "--deletion"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    let digest = bed.state.world().deletion_digest("minimal").unwrap();
    bed.put(&yes("deletion", "erin", &digest));
    bed.turns(1).await;
    assert!(ask("erin").await.denied.is_some(), "who deletes it is no second person");
    assert!(ask("mallory").await.denied.is_none());
    bed.delete(Kind::ReleasePolicy, "minimal");
    bed.reconciler.queue.push([crate::queue::Work::Object(
        Kind::ReleasePolicy,
        String::new(),
        "minimal".into(),
    )]);
    bed.turns(2).await;
    assert_eq!(effects(&bed).last().unwrap().after, None);
    assert_eq!(bed.cleared(), "Unknown", "no policy is left");
    // Another object with the same content does not go on the approval of before.
    let mut again = asking(2, "platform", "2026-11-20T00:00:00Z");
    again["metadata"]["uid"] = json!("another");
    bed.put(&again);
    bed.turns(2).await;
    assert_eq!(in_force(&bed).0, "True", "{:?}", in_force(&bed));
    assert_eq!(bed.state.world().deletion_digest("minimal").unwrap(), digest);
    assert!(ask("mallory").await.denied.is_some());
}

#[tokio::test]
async fn approvals_of_policies_count_in_one_namespace_alone() {
    let site = site();
    let bed = set_up(&site).await;
    let subject = |digest: &str| {
        serde_json::from_value(
            json!({"kind": "ReleasePolicy", "name": "minimal", "covers": "Content", "digest": digest}),
        )
        .unwrap()
    };
    let world = bed.state.world();
    let now = content(&asking(2, "platform", "2026-01-01T00:00:00Z"));
    let deletion = world.deletion_digest("minimal").unwrap();
    assert_eq!(super::digest(&world, NS, &subject(&now)), Some(now.clone()));
    assert_eq!(super::digest(&world, NS, &subject(&deletion)), Some(deletion));
    assert!(super::counts_here(&world, "other", &subject(&now)).unwrap_err().contains("wanted lending"));
}

const KEYS: [&str; 2] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHyxP9Sjws9AfEmW6FetaPhBwDM7kWkUGcnrumsp2TDt",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPfLcEdWxCFWKox214oeHW2Iwc6eBj7y0zXBBAzBnShX",
];

/// The key of a person, made by somebody.
fn signer(name: &str, key: usize, by: &str, at: &str) -> Value {
    let spec = json!({"key": KEYS[key], "user": name, "roles": ["model-owner"]});
    stamped(Kind::TrustedSigner, name, by, at, &spec)
}

fn because(bed: &Bed, kind: Kind) -> Vec<String> {
    effects_of(bed, kind).into_iter().map(|e| e.because).collect()
}

fn told(bed: &Bed, name: &str) -> (String, String) {
    let condition = bed.condition(Kind::TrustedSigner, name, "InForce");
    let text = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("message"))
}

/// An installation whose first release was cleared, with a key that it was set up with.
async fn in_use(site: &Site) -> Bed {
    let bed = site.start();
    bed.namespace(Some("deny"));
    bed.put(&signer("first", 0, "platform", "2026-10-01T00:00:00Z"));
    bed.turns(2).await;
    assert_eq!(because(&bed, Kind::TrustedSigner), ["First"]);
    for object in world() {
        bed.put(&object);
    }
    bed.turns(4).await;
    assert_eq!(bed.cleared(), "True");
    assert_eq!(because(&bed, Kind::TrustedSigner), ["First", "SetUp"]);
    assert_eq!(because(&bed, Kind::ApprovalRole).last().unwrap(), "SetUp");
    assert_eq!(told(&bed, "first").0, "True");
    bed
}

#[tokio::test]
async fn a_new_signer_waits_for_a_second_person_across_restarts_and_says_so() {
    let site = site();
    let bed = in_use(&site).await;
    let new = signer("olga", 1, "mallory", "2026-11-19T00:00:00Z");
    bed.put(&new);
    bed.turns(2).await;
    let (status, message) = told(&bed, "olga");
    assert_eq!(status, "False");
    let digest = content(&new);
    for part in
        ["olga could sign as model-owner", &digest, "placet approve ts/olga", "this signer does not count"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(bed.status(Kind::TrustedSigner, "olga")["waiting"]["digest"], digest.as_str());
    let asked = bed.stop().await;
    let events: Vec<&Value> =
        asked.iter().map(|a| &a.body).filter(|b| b["reason"] == "WaitsForApproval").collect();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["regarding"]["kind"], "TrustedSigner");
    assert!(events[0]["note"].as_str().unwrap().contains("placet approve ts/olga"), "{}", events[0]);
    for _ in 0..2 {
        let bed = site.start_again();
        bed.turns(2).await;
        assert_eq!(told(&bed, "olga").0, "False", "after a restart too");
        assert!(bed.state.world().signer_in_force("olga").is_none());
        assert!(bed.state.world().signer_in_force("first").is_some());
    }
    let bed = site.start_again();
    let role = bed.status(Kind::TrustedSigner, "olga")["waiting"]["roles"][0].as_str().unwrap().to_owned();
    let spec = json!({
        "subject": {"kind": "TrustedSigner", "name": "olga", "covers": "Content", "digest": digest},
        "role": role, "decision": "Approve",
    });
    bed.put(&stamped(Kind::Approval, "second", "erin", "2026-11-19T12:00:00Z", &spec));
    bed.turns(3).await;
    assert_eq!(told(&bed, "olga").0, "True");
    let effect = effects_of(&bed, Kind::TrustedSigner).pop().unwrap();
    assert_eq!((effect.because.as_str(), effect.loosens, effect.approvals.len()), ("Approved", true, 1));
    drop(bed);
    // Deleting is nobody's to approve, behind the webhooks' back neither; and one that comes back is a new one.
    site.fake.take_away(&path(Kind::TrustedSigner, "olga"));
    let bed = site.start_again();
    bed.turns(2).await;
    assert_eq!(because(&bed, Kind::TrustedSigner).last().unwrap(), "Tightens");
    drop(bed);
    let bed = site.start_again();
    bed.put(&signer("olga", 1, "mallory", "2026-11-20T00:00:00Z"));
    bed.turns(2).await;
    assert_eq!(told(&bed, "olga").0, "False");
}

#[tokio::test]
async fn a_log_of_before_knows_the_signers_and_roles_that_are_there_and_no_further_ones() {
    let mut site = site();
    site.guarded = false;
    let bed = site.start();
    bed.namespace(Some("deny"));
    for object in world() {
        bed.put(&object);
    }
    bed.put(&signer("first", 0, "platform", "2026-10-01T00:00:00Z"));
    bed.turns(3).await;
    assert_eq!(bed.cleared(), "True");
    drop(bed);
    site.guarded = true;
    let bed = site.start_again();
    bed.turns(3).await;
    assert_eq!(because(&bed, Kind::TrustedSigner), ["First", "SetUp"]);
    bed.put(&signer("olga", 1, "mallory", "2026-11-19T00:00:00Z"));
    bed.turns(2).await;
    assert_eq!(told(&bed, "olga").0, "False");
    drop(bed);
    let bed = site.start_again();
    bed.turns(2).await;
    assert_eq!(because(&bed, Kind::TrustedSigner), ["First", "SetUp"], "nothing is recorded twice");
    assert_eq!(bed.cleared(), "True");
}

/// Somebody writes an object; what they are told.
async fn written(bed: &Bed, object: &Value, old: &Value, dry: bool) -> Vec<String> {
    let mut object = object.clone();
    if dry {
        // A dry run is stamped without a receipt.
        object["metadata"]["annotations"].as_object_mut().unwrap().remove(placet_api::keys::RECEIPT);
    }
    let kind = Kind::parse(object["kind"].as_str().unwrap()).unwrap();
    let request: Request = serde_json::from_value(json!({
        "uid": "r", "kind": {"group": "placet.dev", "version": "v1alpha1", "kind": kind.as_str()},
        "operation": if old.is_null() { "CREATE" } else { "UPDATE" }, "namespace": "", "dryRun": dry,
        "name": object["metadata"]["name"], "object": object, "oldObject": old, "userInfo": {"username": "mallory"},
        "resource": {"group": "placet.dev", "version": "v1alpha1", "resource": kind.plural()},
    }))
    .unwrap();
    let answer = crate::admission::own_validate::answer(&bed.admission(), &request).await;
    assert_eq!(answer.denied, None);
    answer.warnings
}

#[tokio::test]
async fn who_writes_a_version_that_will_wait_is_told_so_in_the_words_of_its_status() {
    let site = site();
    let bed = in_use(&site).await;
    let before = bed.fake.object(&path(Kind::ReleasePolicy, "minimal")).unwrap();
    let mut asks = before["spec"].clone();
    asks["approvals"][0]["notInGroups"] = json!(["developers"]);
    let stricter = stamped(Kind::ReleasePolicy, "minimal", "mallory", "2026-11-19T00:00:00Z", &asks);
    asks["separationOfDuties"] = json!({"authorMayApprove": true});
    let looser = stamped(Kind::ReleasePolicy, "minimal", "mallory", "2026-11-19T00:00:00Z", &asks);
    let signer = signer("olga", 1, "mallory", "2026-11-19T00:00:00Z");
    let role = json!({"title": "T", "answersFor": "A", "scope": "Namespace"});
    let role = stamped(Kind::ApprovalRole, "model-owner", "mallory", "2026-11-19T00:00:00Z", &role);
    let old_role = bed.fake.object(&path(Kind::ApprovalRole, "model-owner")).unwrap();
    for dry in [true, false] {
        assert!(written(&bed, &stricter, &before, dry).await.is_empty(), "it takes effect");
    }
    for (object, old) in [(&looser, &before), (&signer, &Value::Null), (&role, &old_role)] {
        let dry = written(&bed, object, old, true).await;
        let meant = written(&bed, object, old, false).await;
        assert_eq!(dry, meant);
        let [said] = meant.as_slice() else { panic!("{meant:?}") };
        bed.put(object);
        bed.turns(2).await;
        let kind = Kind::parse(object["kind"].as_str().unwrap()).unwrap();
        let name = object["metadata"]["name"].as_str().unwrap();
        let shown = bed.condition(kind, name, "InForce");
        assert_eq!(shown["status"], "False", "{shown}");
        assert_eq!(
            *said,
            format!("{kind} {name} is stored and waits: {}", shown["message"].as_str().unwrap())
        );
        assert!(said.contains(&format!("placet approve {}/{name} --role", kind.short())), "{said}");
    }
}

#[tokio::test]
async fn an_image_that_waits_to_be_let_in_beside_models_is_not() {
    const EVIL: &str =
        "registry.example.com/evil@sha256:eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";
    let site = site();
    let bed = set_up(&site).await;
    bed.namespace(Some("hold"));
    bed.pod("held", None, EVIL, true);
    let mut listing = asking(2, "platform", "2026-01-01T00:00:00Z")["spec"].clone();
    listing["platformImages"] = json!([{"image": "registry.example.com/evil", "reason": "Mine"}]);
    let listing = stamped(Kind::ReleasePolicy, "minimal", "mallory", "2026-11-19T00:00:00Z", &listing);
    bed.put(&listing);
    bed.turns(3).await;
    let starts = async |bed: &Bed| {
        bed.reconciler.queue.push([crate::queue::Work::Release(NS.to_owned(), String::new())]);
        bed.turns(2).await;
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "new", "namespace": NS, "uid": "new"},
            "spec": {"containers": [{"name": "main", "image": EVIL}]},
        });
        let facts = json!({
            "uid": "request", "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"}, "name": "new", "namespace": NS,
            "object": pod, "operation": "CREATE", "dryRun": true, "userInfo": {"username": "mallory"},
        });
        let request: Request = serde_json::from_value(facts).unwrap();
        let answer = crate::admission::workloads::validate(&bed.admission(), &request, false).await;
        (answer.denied.is_none(), !bed.held("held"))
    };
    assert_eq!(starts(&bed).await, (false, false), "nothing starts by what one person wrote");
    bed.put(&yes("second", "olga", &content(&listing)));
    bed.turns(3).await;
    assert_eq!(starts(&bed).await, (true, true));
}
