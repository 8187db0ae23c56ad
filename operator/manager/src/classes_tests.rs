//! The memory of classes is the log: a class that a system had, or another one with the same artefact, is known after a
//! restart, whatever became of the objects.

use placet_api::Kind;
use serde_json::{Value, json};

use crate::testbed::{Bed, NS, RELEASE, Site, model_release, policy, stamped, world};

/// The system whose users are told that they talk to a machine, or are not (article 50).
fn system(name: &str, article50: &Value) -> Value {
    let of_the_world = world().into_iter().find(|o| o["kind"] == "AISystem").unwrap();
    let mut spec = of_the_world["spec"].clone();
    spec["triggers"]["article50"] = article50.clone();
    stamped(Kind::AISystem, name, "olga", "2026-10-01T09:00:00Z", &spec)
}

/// The policy, for both classes.
fn for_both() -> Value {
    let mut spec = policy(&[])["spec"].clone();
    spec["appliesTo"]["classes"] = json!(["Minimal", "Limited"]);
    stamped(Kind::ReleasePolicy, "minimal", "platform", "2026-01-01T00:00:00Z", &spec)
}

/// Somebody's confirmation of a classification.
fn confirmed(of: &Value, by: &str, at: &str) -> Value {
    let name = of["metadata"]["name"].as_str().unwrap();
    let digest = placet_gate::digest::classification(NS, name, &of["spec"]).unwrap();
    let spec = json!({
        "subject": {"kind": "AISystem", "name": name, "covers": "Classification", "digest": digest},
        "role": "risk-officer", "decision": "Approve",
    });
    stamped(Kind::Approval, &format!("class-{name}-{by}"), by, at, &spec)
}

/// An operator that judged the release while its system was of class Limited, and what was there then.
async fn judged_as_limited(site: &Site) -> Bed {
    let bed = site.start();
    bed.namespace(Some("deny"));
    let others = world().into_iter().filter(|o| o["kind"] != "ReleasePolicy" && o["kind"] != "AISystem");
    for object in others.chain([for_both(), system("scoring", &json!(["1"]))]) {
        bed.put(&object);
    }
    bed.turns(2).await;
    assert_eq!(bed.status(Kind::ModelRelease, RELEASE)["class"], "Limited");
    bed
}

/// What is found of a class that was lowered; None if nothing is.
fn lowered(bed: &Bed, release: &str) -> Option<String> {
    let gates = bed.status(Kind::ModelRelease, release)["gates"].clone();
    let findings =
        gates.as_array().unwrap().iter().flat_map(|g| g["findings"].as_array().into_iter().flatten());
    let mut found = findings.filter(|f| f["reason"] == "ClassLowered").map(|f| f["found"].clone());
    found.next().map(|f| f.as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_class_that_was_lowered_while_nobody_watched_is_known_from_the_log() {
    let site = Site::new();
    let bed = judged_as_limited(&site).await;
    let lower = system("scoring", &json!([]));
    // erin confirmed the lower class before anybody knew of the higher one.
    let first = confirmed(&lower, "erin", "2026-11-05T09:00:00Z");
    drop(bed);
    for object in [&lower, &first] {
        let kind = Kind::parse(object["kind"].as_str().unwrap()).unwrap();
        site.fake
            .put(&crate::testbed::path(kind, object["metadata"]["name"].as_str().unwrap()), object.clone());
    }
    // The second restart reads decisions that were made on the lower class, too: the higher one stays known.
    for _ in 0..2 {
        let bed = site.start_again();
        bed.turns(2).await;
        assert_eq!(bed.status(Kind::ModelRelease, RELEASE)["class"], "Minimal");
        assert_eq!(bed.cleared(), "False");
        let found = lowered(&bed, RELEASE).unwrap();
        assert!(found.contains("scoring was of class Limited before"), "{found}");
    }
    let bed = site.start_again();
    bed.put(&confirmed(&lower, "rita", "2026-11-20T13:00:00Z"));
    bed.turns(2).await;
    assert_eq!((lowered(&bed, RELEASE), bed.cleared()), (None, "True".to_owned()));
    drop(bed);
    let bed = site.start_again();
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True", "and what somebody approved since stays approved");
}

#[tokio::test]
async fn the_class_of_an_artefact_is_known_from_the_log_when_its_system_is_gone() {
    let site = Site::new();
    let bed = judged_as_limited(&site).await;
    bed.delete(Kind::ModelRelease, RELEASE);
    bed.delete(Kind::AISystem, "scoring");
    bed.turns(2).await;
    drop(bed);
    // A second, harmless-looking system releases the same artefact, and another one does not.
    let bed = site.start_again();
    let harmless = system("harmless", &json!([]));
    bed.put(&harmless);
    bed.put(&confirmed(&harmless, "erin", "2026-11-05T09:00:00Z"));
    let release = |name: &str, digest: Option<&str>| {
        let mut spec = model_release()["spec"].clone();
        spec["system"] = "harmless".into();
        if let Some(digest) = digest {
            spec["artifacts"][0]["digest"] = digest.into();
        }
        stamped(Kind::ModelRelease, name, "dana", "2026-11-20T13:00:00Z", &spec)
    };
    bed.put(&release("harmless-1", None));
    bed.put(&release("harmless-2", Some(&format!("sha256:{}", "7".repeat(64)))));
    bed.turns(2).await;
    let found = lowered(&bed, "harmless-1").unwrap();
    assert!(
        found.contains("another system, lending/scoring, was of class Limited with the same artefact"),
        "{found}"
    );
    assert_eq!(lowered(&bed, "harmless-2"), None);
}

#[tokio::test]
async fn what_was_judged_blindly_gave_no_class() {
    let site = Site::new();
    let bed = site.start();
    bed.namespace(Some("deny"));
    // Nobody knows the time while this system says that it is of class Limited.
    site.hands.set(jiff::SignedDuration::from_mins(5));
    let others = world().into_iter().filter(|o| o["kind"] != "ReleasePolicy" && o["kind"] != "AISystem");
    for object in others.chain([for_both(), system("scoring", &json!(["1"]))]) {
        bed.put(&object);
    }
    bed.turns(2).await;
    let status = bed.status(Kind::ModelRelease, RELEASE);
    assert_eq!(status["class"], "Limited");
    assert!(status["gates"].to_string().contains("ClockUntrusted"), "{status}");
    drop(bed);
    site.hands.set(jiff::SignedDuration::from_mins(-5));
    let lower = system("scoring", &json!([]));
    site.fake.put(&crate::testbed::path(Kind::AISystem, "scoring"), lower);
    let bed = site.start_again();
    bed.pass_turns(jiff::SignedDuration::from_mins(6), 2).await;
    assert_eq!(lowered(&bed, RELEASE), None);
}

#[tokio::test]
async fn a_class_that_another_system_has_later_is_said_of_releases_with_its_artefact_at_once() {
    let site = Site::new();
    let bed = site.start();
    bed.namespace(Some("deny"));
    let of_release =
        |o: &Value| o["kind"] == "ModelRelease" || o["kind"] == "AISystem" || o["kind"] == "ReleasePolicy";
    for object in world().into_iter().filter(|o| !of_release(o)).chain([for_both()]) {
        bed.put(&object);
    }
    let harmless = system("harmless", &json!([]));
    bed.put(&harmless);
    bed.put(&confirmed(&harmless, "erin", "2026-11-05T09:00:00Z"));
    let mut spec = model_release()["spec"].clone();
    spec["system"] = "harmless".into();
    bed.put(&stamped(Kind::ModelRelease, "harmless-1", "dana", "2026-11-01T09:00:00Z", &spec));
    bed.turns(2).await;
    assert_eq!(lowered(&bed, "harmless-1"), None);
    // Only then somebody says what the model is used for.
    bed.put(&system("scoring", &json!(["1"])));
    bed.put(&model_release());
    bed.turns(3).await;
    assert_eq!(bed.status(Kind::ModelRelease, RELEASE)["class"], "Limited");
    let found = lowered(&bed, "harmless-1").unwrap();
    assert!(found.contains("another system, lending/scoring, was of class Limited"), "{found}");
    // Whoever confirms it now knows.
    bed.put(&confirmed(&harmless, "rita", "2026-11-20T13:00:00Z"));
    bed.turns(2).await;
    assert_eq!(lowered(&bed, "harmless-1"), None);
}
