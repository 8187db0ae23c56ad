//! Whole controllers against an API server that is a map: what leaves, in which order, and how often.

use std::sync::atomic::Ordering;

use placet_evidence::{Payload, Verdict};
use serde_json::json;

use super::*;
use crate::conditions::types;
use crate::services::fake::Asked;
use crate::testbed::{
    Bed, NS, PROXY, RELEASE, SERVER, Site, approval, content, model_release, path, policy, stamped, world,
};

/// What is done to an operator's world.
type Change = Box<dyn Fn(&Bed)>;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// An operator in a holding namespace in which everything exists, which has not taken a turn.
fn cleared(site: &Site) -> Bed {
    let bed = site.start();
    bed.namespace(Some("hold"));
    for object in world() {
        bed.put(&object);
    }
    bed
}

/// Writes to paths that hold this.
fn writes<'a>(all: &'a [Asked], part: &str) -> Vec<&'a Asked> {
    all.iter().filter(|asked| asked.path.contains(part)).collect()
}

fn decisions(bed: &Bed) -> Vec<(Verdict, Timestamp)> {
    let told = |r: &placet_evidence::Record| match &r.payload {
        Payload::Decision(d) => Some((d.verdict, d.now)),
        _ => None,
    };
    bed.records().iter().filter_map(told).collect()
}

// Invariant 5.

#[tokio::test]
async fn the_record_of_each_effect_is_durable_before_the_effect_leaves() {
    let site = Site::new();
    let bed = cleared(&site);
    bed.pod("server-1", Some(RELEASE), SERVER, true);
    // How long the log was when each write arrived at the API server.
    let written = Arc::new(Mutex::new(Vec::new()));
    let (log, sizes) = (Arc::clone(&bed.log), Arc::clone(&written));
    bed.fake.hook(move |asked, _| {
        if asked.is_write() {
            sizes.lock().unwrap().push((asked.path.clone(), log.head().size));
        }
        None
    });
    bed.turns(1).await;
    let decision = bed.index(|p| matches!(p, Payload::Decision(d) if d.verdict == Verdict::Met)).unwrap();
    let lifted = bed.index(|p| matches!(p, Payload::HoldLifted(_))).unwrap();
    assert!(decision < lifted, "the decision that lifts a hold comes before");
    assert!(!bed.held("server-1"));
    assert_eq!(bed.cleared(), "True");
    let fake = bed.fake.clone();
    let all = bed.stop().await;
    let written = written.lock().unwrap().clone();
    assert_eq!(written.len(), all.len());
    let size_at = |part: &str| {
        let found = written.iter().find(|(path, _)| path.contains(part));
        found.unwrap_or_else(|| panic!("no write to {part} in {written:?}")).1
    };
    let status = format!("{}/status", path(Kind::ModelRelease, RELEASE));
    assert!(size_at(&status) > decision);
    assert!(size_at("/pods/server-1") > lifted);
    assert!(size_at("/events") > decision);
    // Holds, then status, then events.
    let place = |part: &str| written.iter().position(|(path, _)| path.contains(part));
    assert!(place("/pods/server-1") < place(&status) && place(&status) < place("/events"));
    fake.hook(|_, _| None);
}

#[tokio::test]
async fn with_a_log_that_refuses_nothing_leaves() {
    let site = Site::new();
    let bed = cleared(&site);
    bed.pod("server-1", Some(RELEASE), SERVER, true);
    site.faults.broken.store(true, Ordering::Relaxed);
    let error = bed.reconciler.release(NS, RELEASE).await.unwrap_err();
    assert!(error.to_string().contains("evidence log"), "{error:#}");
    let error = bed.turn().await.unwrap_err().to_string();
    assert!(error.contains("takes no more records"), "the process ends and starts again: {error}");
    assert!(bed.held("server-1"));
    assert_eq!(bed.stop().await.iter().filter(|asked| asked.is_write()).count(), 0);
}

#[tokio::test]
async fn with_a_full_log_only_the_conditions_that_say_so_leave() {
    let site = Site::new();
    let bed = cleared(&site);
    bed.pod("server-1", Some(RELEASE), SERVER, true);
    site.faults.full.store(true, Ordering::Relaxed);
    // The log notices at its next publication.
    bed.reconciler
        .ledger
        .append(
            crate::unseen::Unseen::Enforcement {
                namespace: NS.to_owned(),
                before: None,
                after: Some("hold".to_owned()),
            }
            .record(bed.state.now()),
        )
        .await
        .unwrap();
    bed.log.publish_now().unwrap();
    bed.turns(2).await;
    assert!(bed.held("server-1"));
    let written: Vec<String> = bed.fake.writes().iter().map(|asked| asked.path.clone()).collect();
    assert!(!written.iter().any(|p| p.contains("/modelreleases/") || p.contains("/pods/")), "{written:?}");
    let writable = bed.condition(Kind::ReleasePolicy, "minimal", types::EVIDENCE_WRITABLE);
    assert_eq!(
        (writable["status"].as_str(), writable["reason"].as_str()),
        (Some("False"), Some("VolumeFull"))
    );
    // With room again it goes on by itself.
    site.faults.full.store(false, Ordering::Relaxed);
    bed.turns(2).await;
    assert!(!bed.held("server-1"));
    assert_eq!(bed.condition(Kind::ReleasePolicy, "minimal", types::EVIDENCE_WRITABLE)["status"], "True");
}

// A no-op writes nothing.

#[tokio::test]
async fn reconciling_again_writes_nothing_and_is_counted() {
    let site = Site::new();
    let bed = cleared(&site);
    bed.turns(3).await;
    let (writes, records) = (bed.fake.writes().len(), bed.log.head().size);
    assert!(writes > 0);
    for _ in 0..3 {
        bed.everything();
        bed.turns(1).await;
    }
    assert_eq!(bed.fake.writes().len(), writes, "{:?}", bed.fake.writes().last());
    assert_eq!(bed.log.head().size, records);
    bed.hands.pass(HEARTBEAT);
    bed.turns(1).await;
    let heartbeat = bed.records().into_iter().find_map(|r| match r.payload {
        Payload::Heartbeat(h) => Some(h),
        _ => None,
    });
    let counts = heartbeat.unwrap().counts;
    let unchanged = counts.iter().find(|c| c.what == "reconciles.unchanged").unwrap();
    assert!(unchanged.count >= 3, "{counts:?}");
    assert_eq!(bed.fake.writes().len(), writes);
}

// Invariant 10.

#[tokio::test]
async fn ready_means_judged_and_waiting_for_people_is_never_unready() {
    let confirmed = "class-erin";
    let unanswered = || {
        let mut system = world().remove(3);
        system["spec"]["triggers"].as_object_mut().unwrap().remove("profiling");
        stamped(Kind::AISystem, "scoring", "olga", "2026-10-01T09:00:00Z", &system["spec"])
    };
    let forged = || {
        let mut release = model_release();
        release["metadata"].as_object_mut().unwrap().remove("annotations");
        release
    };
    let cases: [(&str, &str, Change); 6] = [
        ("everything exists", "True", Box::new(|_| {})),
        ("an approval is waited for", "False", Box::new(|bed| bed.delete(Kind::Approval, "owner-bob"))),
        ("the class is waited for", "False", Box::new(move |bed| bed.delete(Kind::Approval, confirmed))),
        ("a trigger is not answered", "Unknown", Box::new(move |bed| bed.put(&unanswered()))),
        ("the policy is waited for", "Unknown", Box::new(|bed| bed.delete(Kind::ReleasePolicy, "minimal"))),
        ("not stamped", "False|Unknown", Box::new(move |bed| bed.put(&forged()))),
    ];
    for (what, wanted, change) in cases {
        let site = Site::new();
        let bed = cleared(&site);
        change(&bed);
        bed.turns(2).await;
        assert!(wanted.split('|').any(|w| w == bed.cleared()), "{what}: {}", bed.cleared());
        let mut judged = 0;
        for kind in Kind::ALL {
            let all = if kind.namespaced() { format!("/namespaces/{NS}") } else { String::new() };
            for object in bed.fake.in_collection(&format!("/apis/placet.dev/v1alpha1{all}/{}", kind.plural()))
            {
                let Some(conditions) = object["status"]["conditions"].as_array() else {
                    assert_eq!(kind, Kind::ApprovalRole, "{what}: {object}");
                    continue;
                };
                judged += 1;
                let ready: Vec<_> = conditions.iter().filter(|c| c["type"] == types::READY).collect();
                assert_eq!(ready.len(), 1, "{what}: {object}");
                assert_eq!(ready[0]["status"], "True", "{what}: {object}");
                assert_eq!(object["status"]["observedGeneration"], object["metadata"]["generation"]);
                for condition in conditions {
                    assert_eq!(condition["observedGeneration"], object["metadata"]["generation"], "{what}");
                    assert!(types::ALL.contains(&condition["type"].as_str().unwrap()), "{condition}");
                }
                for never in ["Reconciling", "Stalled"] {
                    assert!(!conditions.iter().any(|c| c["type"] == never), "{what}: {object}");
                }
            }
        }
        assert!(judged >= 4, "{what}: {judged}");
    }
}

#[tokio::test]
async fn a_new_generation_is_shown_as_judged_only_once_it_is() {
    let site = Site::new();
    let bed = cleared(&site);
    bed.turns(1).await;
    let mut withdrawn = bed.fake.object(&path(Kind::ModelRelease, RELEASE)).unwrap();
    withdrawn["spec"]["withdrawn"] = json!(true);
    withdrawn["metadata"]["generation"] = json!(2);
    bed.put(&withdrawn);
    assert_eq!(bed.status(Kind::ModelRelease, RELEASE)["observedGeneration"], 1);
    bed.turns(1).await;
    assert_eq!(bed.status(Kind::ModelRelease, RELEASE)["observedGeneration"], 2);
    assert_eq!(bed.cleared(), "False");
}

#[tokio::test]
async fn a_policy_that_names_no_role_is_not_usable_and_still_ready() {
    let site = Site::new();
    let bed = cleared(&site);
    bed.delete(Kind::ApprovalRole, "model-owner");
    bed.turns(1).await;
    let usable = bed.condition(Kind::ReleasePolicy, "minimal", types::USABLE);
    assert_eq!((usable["status"].as_str(), usable["reason"].as_str()), (Some("False"), Some("UnknownRole")));
    assert_eq!(bed.condition(Kind::ReleasePolicy, "minimal", types::READY)["status"], "True");
}

// Time.

#[tokio::test]
async fn a_decision_is_taken_again_at_the_moment_it_names() {
    let site = Site::new();
    let bed = cleared(&site);
    bed.turns(1).await;
    assert_eq!(bed.cleared(), "True");
    let timers = bed.reconciler.timers.lock().unwrap().clone();
    let at = timers[&Work::Release(NS.to_owned(), RELEASE.to_owned())];
    let until = bed.status(Kind::ModelRelease, RELEASE)["validUntil"].as_str().unwrap().parse();
    let until: Timestamp = until.unwrap();
    assert!(at <= until);
    // The approval of 4 November ends unused after 30 days; moments before it that change nothing are looked past.
    assert_eq!(until, "2026-12-04T09:00:00Z".parse::<Timestamp>().unwrap());
    let left = until.duration_since(bed.state.now());
    bed.hands.pass(left - SignedDuration::from_secs(1));
    bed.turn().await.unwrap();
    bed.hear_written();
    assert_eq!(bed.cleared(), "True", "one second before");
    bed.hands.pass(SignedDuration::from_secs(1));
    bed.turn().await.unwrap();
    bed.hear_written();
    assert_eq!(bed.cleared(), "False");
    let last = *decisions(&bed).last().unwrap();
    assert_eq!((last.0, Some(last.1)), (Verdict::NotMet, Some(until)));
}

#[tokio::test]
async fn when_a_release_expires_running_pods_are_left_alone() {
    let site = Site::new();
    let bed = cleared(&site);
    bed.pod("server-1", Some(RELEASE), SERVER, true);
    bed.turns(2).await;
    assert!(!bed.held("server-1"));
    // It is in use now, so that the approval runs for 60 days.
    let until = bed.status(Kind::ModelRelease, RELEASE)["validUntil"].as_str().unwrap().parse::<Timestamp>();
    assert_eq!(until.unwrap(), "2027-01-03T09:00:00Z".parse::<Timestamp>().unwrap());
    let before = writes(&bed.fake.writes(), "/pods/").len();
    bed.hands.pass(DAY * 60);
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "False");
    assert!(!bed.held("server-1"), "no hold comes back");
    assert_eq!(writes(&bed.fake.writes(), "/pods/").len(), before);
    assert!(bed.fake.object(&crate::testbed::pod_path("server-1")).is_some());
    let all = bed.stop().await;
    let reasons: Vec<_> = writes(&all, "/events").iter().map(|e| e.body["reason"].clone()).collect();
    assert!(reasons.contains(&json!("NotCleared")), "{reasons:?}");
}

#[tokio::test]
async fn a_clock_that_is_not_trusted_makes_everything_unknown_and_says_so_until_it_agrees_again() {
    let site = Site::new();
    let bed = cleared(&site);
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True");
    let trusted = |bed: &Bed| {
        let of = |kind, name| bed.condition(kind, name, types::TIME_TRUSTED)["status"].clone();
        (of(Kind::ReleasePolicy, "minimal"), of(Kind::ModelRelease, RELEASE))
    };
    assert_eq!(trusted(&bed), (json!("True"), json!(null)));
    bed.hands.set(SignedDuration::from_secs(31));
    bed.pod("server-1", Some(RELEASE), SERVER, true);
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "Unknown");
    assert_eq!(trusted(&bed), (json!("False"), json!("False")));
    let said = bed.condition(Kind::ReleasePolicy, "minimal", types::TIME_TRUSTED);
    assert_eq!(said["reason"], "ClockJumped");
    assert!(bed.held("server-1"), "nothing is lifted meanwhile");
    let before = bed.fake.writes().len();
    bed.turns(5).await;
    assert_eq!(bed.fake.writes().len(), before, "told once");
    bed.hands.set(SignedDuration::from_secs(-31));
    bed.turns(2).await;
    assert_eq!(bed.cleared(), "True");
    assert_eq!(trusted(&bed), (json!("True"), json!(null)));
    assert!(!bed.held("server-1"));
}

#[tokio::test]
async fn thirty_seconds_of_difference_are_trusted_and_more_is_not() {
    // The half second that the header cuts off is added.
    for (seconds, wanted) in [(29, "True"), (31, "Unknown")] {
        let site = Site::new();
        let bed = cleared(&site);
        // The API server's Date, as an answer brings it.
        let now = (bed.state.now(), monotonic(&bed));
        bed.state.clock.record_date(now.0 + SignedDuration::from_secs(seconds), now, now);
        bed.turns(1).await;
        assert_eq!(bed.cleared(), wanted, "{seconds} s");
    }
}

fn monotonic(bed: &Bed) -> Duration {
    use crate::infra::clock::TimeSource as _;
    bed.hands.monotonic()
}

// The installation's conditions.

#[tokio::test]
async fn a_namespace_that_uses_up_its_budget_is_named_on_the_policies_once() {
    let site = Site::new();
    let bed = cleared(&site);
    bed.turns(2).await;
    assert_eq!(bed.condition(Kind::ReleasePolicy, "minimal", types::EVIDENCE_SPACE)["status"], "True");
    let ledger = &bed.reconciler.ledger;
    while ledger.effective("noisy", bed.state.now()) == crate::ledger::Repeat::Record {}
    bed.turn().await.unwrap();
    bed.hear_written();
    let said = bed.condition(Kind::ReleasePolicy, "minimal", types::EVIDENCE_SPACE);
    assert_eq!((said["status"].as_str(), said["reason"].as_str()), (Some("False"), Some("BudgetNearlyUsed")));
    assert!(said["message"].as_str().unwrap().contains(": noisy;"), "{said}");
    let before = bed.fake.writes().len();
    bed.turns(20).await;
    assert_eq!(bed.fake.writes().len(), before);
    bed.pass_turns(SignedDuration::from_mins(11), 1).await;
    assert_eq!(bed.condition(Kind::ReleasePolicy, "minimal", types::EVIDENCE_SPACE)["status"], "True");
}

// Pods without a release.

#[tokio::test]
async fn a_held_pod_without_a_release_is_let_go_when_a_policy_lists_its_images() {
    let site = Site::new();
    let bed = cleared(&site);
    bed.pod("proxy-1", None, PROXY, true);
    bed.pod("server-1", None, SERVER, true);
    bed.turns(2).await;
    assert!(bed.held("proxy-1") && bed.held("server-1"));
    let mut newer = policy(&[PROXY]);
    newer["metadata"]["generation"] = json!(2);
    bed.put(&newer);
    bed.turns(2).await;
    assert!(!bed.held("proxy-1"));
    assert!(bed.held("server-1"), "a model's image needs its release");
    let lifted: Vec<_> = bed
        .records()
        .into_iter()
        .filter_map(|r| match r.payload {
            Payload::HoldLifted(h) => Some((r.subject.kind, r.subject.name, h.release, h.decision)),
            _ => None,
        })
        .collect();
    assert_eq!(lifted, [("Pod".to_owned(), "proxy-1".to_owned(), None, None)]);
}

#[tokio::test]
async fn the_system_shows_the_release_as_soon_as_it_is_cleared() {
    let site = Site::new();
    let bed = cleared(&site);
    bed.turns(2).await;
    let releases = &bed.status(Kind::AISystem, "scoring")["releases"];
    assert_eq!(*releases, json!({"pending": 0, "cleared": RELEASE}));
    bed.put(&approval("no-bert", "bert", "Reject", "2026-11-05T09:00:00Z"));
    bed.turns(2).await;
    assert_eq!(bed.status(Kind::AISystem, "scoring")["releases"], json!({"pending": 1}));
}

#[tokio::test]
async fn a_reject_that_arrives_takes_the_clearance_and_an_event_says_who_can_do_what() {
    let site = Site::new();
    let bed = cleared(&site);
    bed.turns(1).await;
    bed.put(&approval("no-bert", "bert", "Reject", "2026-11-05T09:00:00Z"));
    bed.turns(1).await;
    assert_eq!(bed.cleared(), "False");
    let all = bed.stop().await;
    let notes: Vec<_> = writes(&all, "/events")
        .iter()
        .map(|e| (e.body["reason"].as_str().unwrap().to_owned(), e.body["note"].as_str().unwrap().to_owned()))
        .collect();
    let words: Vec<_> = notes.iter().map(|(reason, _)| reason.as_str()).collect();
    assert_eq!(words, ["Cleared", "NotCleared"]);
    assert!(notes[1].1.contains("placet why mr/scoring-2"), "{notes:?}");
}

#[tokio::test]
async fn an_approval_says_whether_it_can_count() {
    let site = Site::new();
    let bed = cleared(&site);
    // Dana wrote the release: her Reject stands, her approval does not count.
    bed.put(&approval("own-dana", "dana", "Approve", "2026-11-05T10:00:00Z"));
    bed.put(&approval("no-dana", "dana", "Reject", "2026-11-05T09:00:00Z"));
    let mut ending = approval("until-bert", "bert", "Approve", "2026-11-05T09:00:00Z");
    let mut spec = ending["spec"].take();
    let ends = bed.state.now() + SignedDuration::from_hours(1);
    spec["expiresAt"] = json!(ends.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    bed.put(&stamped(Kind::Approval, "until-bert", "bert", "2026-11-05T09:00:00Z", &spec));
    bed.turns(2).await;
    let counts = |name: &str| {
        let condition = bed.condition(Kind::Approval, name, types::COUNTS);
        (condition["status"].as_str().unwrap().to_owned(), condition["reason"].as_str().unwrap().to_owned())
    };
    let is = |status: &str, reason: &str| (status.to_owned(), reason.to_owned());
    assert_eq!(counts("owner-bob"), is("True", "Bound"));
    assert_eq!(counts("own-dana"), is("False", "ByAuthor"));
    assert_eq!(counts("no-dana"), is("True", "Bound"));
    assert_eq!(counts("until-bert"), is("True", "Bound"));
    // Erin confirmed a class that olga wrote; olga could not have.
    assert_eq!(counts("class-erin"), is("True", "Bound"));
    // A policy that lets authors approve makes theirs count, and the status follows the policy.
    let mut lenient = policy(&[])["spec"].take();
    lenient["separationOfDuties"] = json!({"authorMayApprove": true});
    let mut lenient = stamped(Kind::ReleasePolicy, "minimal", "platform", "2026-01-02T00:00:00Z", &lenient);
    lenient["metadata"]["generation"] = json!(2);
    bed.put(&lenient);
    let touched = crate::affected::affected(&bed.state, Kind::ReleasePolicy, "", "minimal");
    let own = Work::Object(Kind::Approval, NS.to_owned(), "own-dana".to_owned());
    assert!(touched.contains(&own), "{touched:?}");
    bed.reconciler.queue.push(touched);
    bed.turns(1).await;
    assert_eq!(counts("own-dana"), is("True", "Bound"));
    bed.hands.pass(SignedDuration::from_hours(1));
    bed.turns(1).await;
    assert_eq!(counts("until-bert"), is("False", "Ended"));
}

/// What the gate does not count, the status does not either, and says why in the gate's words; and what nobody asks for is
/// said to be that.
#[tokio::test]
async fn an_approval_counts_where_the_gate_counts_it() {
    let site = Site::new();
    let bed = site.start();
    bed.namespace(Some("hold"));
    let mut asks = policy(&[])["spec"].take();
    asks["approvals"][0]["notInGroups"] = json!(["developers"]);
    asks["separationOfDuties"] =
        json!({"barredGroups": ["auditors"], "aliases": [{"names": ["dana", "oidc:dana"]}]});
    let asks = stamped(Kind::ReleasePolicy, "minimal", "platform", "2026-01-01T00:00:00Z", &asks);
    for object in world().iter().filter(|o| o["kind"] != "ReleasePolicy").chain([&asks]) {
        bed.put(object);
    }
    let at = "2026-11-05T09:00:00Z";
    let robot = "system:serviceaccount:ci:robot";
    for (name, by) in [("by-robot", robot), ("by-look-alike", "b\u{43e}b"), ("by-alias", "oidc:dana")] {
        bed.put(&approval(name, by, "Approve", at));
    }
    let mut unasked = approval("x", "erin", "Approve", at)["spec"].take();
    unasked["role"] = json!("risk-officer");
    bed.put(&stamped(Kind::Approval, "unasked", "erin", at, &unasked));
    unasked["decision"] = json!("Reject");
    bed.put(&stamped(Kind::Approval, "unasked-no", "erin", at, &unasked));
    let mut early = approval("x", "vera", "Approve", at)["spec"].take();
    early["subject"] = json!({"kind": "ImpactAssessment", "name": "none", "covers": "Content", "digest": content(&model_release())});
    bed.put(&stamped(Kind::Approval, "of-nothing", "vera", at, &early));
    bed.put(&approval("no-vera", "vera", "Reject", at));
    bed.turns(2).await;
    let counts = |name: &str| {
        let condition = bed.condition(Kind::Approval, name, types::COUNTS);
        let text = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
        (text("status"), text("reason"), text("message"))
    };
    for (name, status, reason, says) in [
        ("owner-bob", "True", "Bound", "bound to its subject's content"),
        ("by-robot", "False", "DoesNotCount", "is a service account"),
        ("by-look-alike", "False", "DoesNotCount", "may be taken for another's"),
        ("by-alias", "False", "ByAuthor", "is an author"),
        (
            "unasked",
            "False",
            "NotAsked",
            "no policy asks risk-officer for an approval of it that covers Content",
        ),
        ("unasked-no", "False", "NotAsked", "the Reject blocks nothing"),
        ("of-nothing", "Unknown", "SubjectNotFound", "not there"),
        ("no-vera", "True", "Bound", "it blocks its subject"),
        ("class-erin", "True", "Bound", "bound to its subject's content"),
    ] {
        let found = counts(name);
        assert_eq!((found.0.as_str(), found.1.as_str()), (status, reason), "{name}: {found:?}");
        assert!(found.2.contains(says), "{name}: {found:?}");
    }
    // Answered, it blocks no more; and it is said of both without anybody touching them.
    let mut answer = approval("x", "bert", "Approve", at)["spec"].take();
    answer["answers"] = json!(["no-vera"]);
    bed.put(&stamped(Kind::Approval, "answer", "bert", "2026-11-06T09:00:00Z", &answer));
    bed.turns(2).await;
    assert_eq!((counts("no-vera").0.as_str(), counts("no-vera").1.as_str()), ("False", "Answered"));
    assert_eq!(counts("answer").0, "True");
    assert_eq!(bed.cleared(), "True");
    // A term that nobody typed ends, too: 30 days without a first use.
    bed.hands.pass(SignedDuration::from_hours(24 * 30));
    bed.turns(2).await;
    assert_eq!((counts("owner-bob").0.as_str(), counts("owner-bob").1.as_str()), ("False", "Ended"));
    assert!(counts("owner-bob").2.contains("after 30 days without a first use"), "{:?}", counts("owner-bob"));
    assert_eq!(bed.cleared(), "False");
}

/// Nothing can help but a change of the object: the API server is asked less and less, and at once when it changes.
#[tokio::test]
async fn a_status_that_is_called_invalid_is_written_less_and_less_until_the_object_changes() {
    let site = Site::new();
    let bed = cleared(&site);
    bed.fake.hook(|asked, _| {
        (asked.is_write() && asked.path.ends_with("/approvals/owner-bob/status")).then_some((422, "Invalid"))
    });
    let asked = |bed: &Bed| writes(&bed.fake.writes(), "/approvals/owner-bob/status").len();
    bed.turns(300).await;
    // 0, 1, 2, 4, 8, 16, 32, 64, 128 and 256 s: the first waits are shorter than the turns of this test.
    let before = asked(&bed);
    assert!((7..=11).contains(&before), "{before}");
    bed.put(&approval("owner-bob", "bob", "Approve", "2026-11-05T10:00:00Z"));
    bed.turns(1).await;
    // At once, and perhaps again when the decision that reads it is recorded.
    let at_once = asked(&bed);
    assert!((before + 1..=before + 2).contains(&at_once), "{at_once}, {before} before");
    bed.turns(3).await;
    assert!(asked(&bed) > at_once, "a changed object is tried as often as at first");
    // Everything else went on.
    assert!(bed.status(Kind::Approval, "class-erin").is_object());
}
