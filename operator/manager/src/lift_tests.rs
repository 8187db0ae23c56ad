//! Lifting a hold: what is read before, what the patch says, and when it is not sent.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::*;
use crate::testbed::{Bed, NS, PROXY, RELEASE, SERVER, Site, approval, path, pod_path, policy, world};

/// What is done to an operator's world.
type Change = Box<dyn Fn(&Bed)>;

/// An operator that knows everything that clears the release, and a held pod.
fn held(site: &Site) -> Bed {
    let bed = site.start();
    bed.namespace(Some("hold"));
    for object in world() {
        bed.put(&object);
    }
    bed.pod("server-1", Some(RELEASE), SERVER, true);
    bed
}

#[tokio::test]
async fn everything_is_read_again_before_and_the_patch_tests_what_it_was_decided_for() {
    let site = Site::new();
    let bed = held(&site);
    bed.turns(1).await;
    let asked = bed.fake.asked();
    let patch = asked.iter().position(|a| a.method == "PATCH" && a.path == pod_path("server-1")).unwrap();
    let before = asked[..patch].iter().rfind(|a| a.path == pod_path("server-1")).unwrap();
    assert_eq!(before.method, "GET");
    for kind in Kind::ALL {
        let namespace = if kind.namespaced() { format!("/namespaces/{NS}") } else { String::new() };
        let list = format!("/apis/placet.dev/v1alpha1{namespace}/{}", kind.plural());
        let read = asked[..patch].iter().find(|a| a.method == "GET" && a.path == list);
        let read = read.unwrap_or_else(|| panic!("{kind} was not listed again"));
        // Without a version the API server answers from etcd, not from its cache.
        assert!(!read.query.contains("resourceVersion"), "{kind}: {}", read.query);
    }
    let body = &asked[patch].body;
    let version = body[1]["value"].as_str().unwrap().to_owned();
    let wanted = json!([
        {"op": "test", "path": "/metadata/uid", "value": "uid-server-1"},
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "test", "path": "/spec/schedulingGates/1", "value": {"name": keys::HOLD_GATE}},
        {"op": "remove", "path": "/spec/schedulingGates/1"},
    ]);
    assert_eq!(*body, wanted);
    assert!(asked[patch].content_type.contains("json-patch"));
    assert!(!bed.held("server-1"));
    let record = bed.records().into_iter().find_map(|r| match r.payload {
        placet_evidence::Payload::HoldLifted(h) => Some(h),
        _ => None,
    });
    assert_eq!(record.unwrap().resource_version, version);
}

#[tokio::test]
async fn nothing_is_lifted_while_the_caches_are_behind() {
    let newer = |mut object: Value| {
        object["metadata"]["generation"] = json!(2);
        object
    };
    let behind: [(&str, Change); 5] = [
        (
            "a Reject that was not heard of",
            Box::new(|bed| {
                let reject = approval("no-bert", "bert", "Reject", "2026-11-05T09:00:00Z");
                bed.fake.put(&path(Kind::Approval, "no-bert"), reject);
            }),
        ),
        ("an approval that is gone", Box::new(|bed| bed.fake.take_away(&path(Kind::Approval, "owner-bob")))),
        (
            "a policy that changed",
            Box::new(move |bed| {
                bed.fake.put(&path(Kind::ReleasePolicy, "minimal"), newer(policy(&[PROXY])));
            }),
        ),
        (
            "an approval made anew under the same name",
            Box::new(|bed| {
                let mut other = approval("owner-bob", "bob", "Approve", "2026-11-04T09:00:00Z");
                other["metadata"]["uid"] = json!("another");
                bed.fake.put(&path(Kind::Approval, "owner-bob"), other);
            }),
        ),
        (
            "a stamp that was taken off",
            Box::new(|bed| {
                let mut bare = approval("owner-bob", "bob", "Approve", "2026-11-04T09:00:00Z");
                bare["metadata"].as_object_mut().unwrap().remove("annotations");
                bed.fake.put(&path(Kind::Approval, "owner-bob"), bare);
            }),
        ),
    ];
    for (what, change) in behind {
        let site = Site::new();
        let bed = held(&site);
        change(&bed);
        bed.turns(3).await;
        assert!(bed.held("server-1"), "{what}");
        assert!(!bed.fake.writes().iter().any(|w| w.path.contains("/pods/")), "{what}");
        let lifted = bed.index(|p| matches!(p, placet_evidence::Payload::HoldLifted(_)));
        assert_eq!(lifted, None, "{what}");
        let timers = bed.reconciler.timers.lock().unwrap().clone();
        assert!(
            timers.contains_key(&Work::Release(NS.to_owned(), RELEASE.to_owned())),
            "{what}: not tried again"
        );
    }
}

#[tokio::test]
async fn a_list_that_is_not_answered_lifts_nothing() {
    let site = Site::new();
    let bed = held(&site);
    let list = format!("/apis/placet.dev/v1alpha1/namespaces/{NS}/approvals");
    bed.fake.hook(move |asked, _| (asked.path == list).then_some((503, "ServiceUnavailable")));
    bed.turns(2).await;
    assert!(bed.held("server-1"));
    bed.fake.hook(|_, _| None);
    bed.turns(2).await;
    assert!(!bed.held("server-1"), "tried again by itself");
}

#[tokio::test]
async fn a_pod_that_changed_since_it_was_read_stays_held_until_it_is_read_again() {
    let site = Site::new();
    let bed = held(&site);
    let times = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&times);
    bed.fake.hook(move |asked, objects| {
        let mut times = counted.lock().unwrap();
        if asked.method == "PATCH" && asked.path == pod_path("server-1") && *times == 0 {
            *times += 1;
            // Somebody else wrote it in between.
            objects.get_mut(&pod_path("server-1")).unwrap()["metadata"]["resourceVersion"] = json!("changed");
        }
        None
    });
    bed.turns(2).await;
    assert_eq!(*times.lock().unwrap(), 1);
    let versions: Vec<_> = bed
        .fake
        .asked()
        .iter()
        .filter(|a| a.method == "PATCH" && a.path == pod_path("server-1"))
        .map(|a| a.body[1]["value"].as_str().unwrap().to_owned())
        .collect();
    let [before, after] = versions.as_slice() else { panic!("{versions:?}") };
    assert!(before != "changed" && after == "changed", "{versions:?}");
    assert!(!bed.held("server-1"));
}

#[tokio::test]
async fn another_pod_of_that_name_an_unlisted_image_and_another_release_stay_held() {
    let site = Site::new();
    let bed = held(&site);
    bed.pod("proxy-1", Some(RELEASE), PROXY, true);
    bed.pod("other-1", Some("another"), SERVER, true);
    bed.pod("again-1", Some(RELEASE), SERVER, true);
    let mut again = bed.fake.object(&pod_path("again-1")).unwrap();
    again["metadata"]["uid"] = json!("another");
    bed.fake.put(&pod_path("again-1"), again);
    bed.turns(2).await;
    assert!(!bed.held("server-1"));
    for pod in ["proxy-1", "other-1", "again-1"] {
        assert!(bed.held(pod), "{pod}");
    }
}

#[tokio::test]
async fn a_namespace_that_no_longer_enforces_lets_all_go() {
    let site = Site::new();
    let bed = held(&site);
    bed.delete(Kind::Approval, "owner-bob");
    bed.pod("proxy-1", None, PROXY, true);
    bed.turns(2).await;
    assert!(bed.held("server-1") && bed.held("proxy-1"));
    bed.namespace(Some("warn"));
    bed.turns(1).await;
    assert!(!bed.held("server-1") && !bed.held("proxy-1"));
    let recorded = bed.records();
    let lifted = recorded.iter().filter(|r| matches!(r.payload, placet_evidence::Payload::HoldLifted(_)));
    assert_eq!(lifted.count(), 2);
}

#[tokio::test]
async fn a_pod_that_cannot_be_let_go_keeps_nobody_waiting_and_is_recorded_once() {
    let site = Site::new();
    let bed = held(&site);
    bed.pod("server-0", Some(RELEASE), SERVER, true);
    let stuck = pod_path("server-0");
    bed.fake
        .hook(move |asked, _| (asked.method == "PATCH" && asked.path == stuck).then_some((403, "Forbidden")));
    bed.turns(3).await;
    assert!(bed.held("server-0") && !bed.held("server-1"));
    assert_eq!(bed.cleared(), "True");
    let lifted = |bed: &Bed| {
        let of_stuck = |r: &placet_evidence::Record| matches!(&r.payload, placet_evidence::Payload::HoldLifted(h) if h.pod == "server-0");
        bed.records().iter().filter(|r| of_stuck(r)).count()
    };
    // Once for the decision that cleared it, and once for the one that the first use brought.
    let recorded = lifted(&bed);
    assert!((1..=2).contains(&recorded), "{recorded}");
    bed.pass_turns(jiff::SignedDuration::from_mins(1), 5).await;
    assert_eq!(lifted(&bed), recorded);
    bed.fake.hook(|_, _| None);
    bed.pass_turns(jiff::SignedDuration::from_mins(1), 2).await;
    assert!(!bed.held("server-0"));
    assert_eq!(lifted(&bed), recorded);
}

#[tokio::test]
async fn a_pod_that_is_held_for_its_own_sake_says_so_once() {
    let site = Site::new();
    let bed = held(&site);
    bed.pod("stranger", Some(RELEASE), "registry.example.com/other@sha256:4444", true);
    for _ in 0..3 {
        bed.reconciler.queue.push([Work::Release(NS.to_owned(), RELEASE.to_owned())]);
        bed.turns(1).await;
    }
    assert!(!bed.held("server-1") && bed.held("stranger"));
    let all = bed.stop().await;
    let said: Vec<_> = all
        .iter()
        .filter(|a| a.method == "POST" && a.path.ends_with("/events") && a.body["reason"] == "Held")
        .map(|a| (a.body["regarding"]["name"].clone(), a.body["note"].as_str().unwrap().to_owned()))
        .collect();
    let [(pod, note)] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!(*pod, json!("stranger"));
    assert!(note.contains("ImageNotPinned") || note.contains("registry.example.com/other"), "{note}");
    assert!(note.contains("once its release is cleared and what is said here"), "{note}");
}
