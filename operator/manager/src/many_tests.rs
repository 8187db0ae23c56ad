//! Ten thousand approvals of one release: more than a namespace may hold, so that nothing depends on that bound. What is
//! said of them in the status, in a denial, in a warning and in an event has a size, and so has what is recorded.

use jiff::SignedDuration;
use placet_api::Kind;
use placet_api::keys;
use serde_json::{Value, json};

use crate::admission::review::Request;
use crate::admission::workloads;
use crate::queue::Work;
use crate::testbed::{Bed, NS, RELEASE, SERVER, Site, approval, policy, stamped, world};

/// So many.
const MANY: usize = 10_000;
/// Rejects, each by another person; those of a role are one finding.
const REJECTS: usize = MANY;
/// Bytes of a status as JSON, and of a denial.
#[derive(Clone, Copy)]
struct Most {
    status: usize,
    denial: usize,
}
/// Where each role has a finding: its line in a denial has 2,048 characters at most.
const ONE_A_ROLE: Most = Most { status: 8 << 10, denial: 5 << 10 };

/// The stores hear of it; nobody looks at it for its own sake.
fn hear(bed: &Bed, object: &Value) {
    let (record, names) = bed.state.read(object).unwrap();
    bed.state.learn(names);
    bed.state.world_mut().apply(record);
}

/// Where a log has segments as large as an installation's.
fn site() -> Site {
    let mut site = Site::new();
    site.segment_bytes = 16 << 20;
    site
}

/// An operator that knows a release, which nobody has approved.
fn begin(site: &Site) -> Bed {
    let bed = site.start();
    bed.namespace(Some("deny"));
    for object in world().iter().filter(|o| o["metadata"]["name"] != "owner-bob") {
        bed.put(object);
    }
    bed
}

async fn judged(bed: &Bed) {
    bed.reconciler.queue.push([Work::Release(NS.to_owned(), RELEASE.to_owned())]);
    bed.turns(2).await;
    let now = bed.state.now();
    assert_eq!(bed.reconciler.ledger.too_large(now), Vec::<String>::new());
}

/// What is said to whoever creates a pod of the release: the denial, or the warnings.
async fn said(bed: &Bed) -> (Option<String>, Vec<String>) {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": NS, "labels": {keys::RELEASE: RELEASE}},
        "spec": {"containers": [{"name": "main", "image": SERVER}]},
    });
    let request: Request = serde_json::from_value(json!({
        "uid": "request", "operation": "CREATE", "name": "p", "namespace": NS, "object": pod,
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"}, "userInfo": {"username": "dana"},
    }))
    .unwrap();
    let answer = workloads::validate(&bed.admission(), &request, false).await;
    (answer.denied.map(|(_, _, why)| why), answer.warnings)
}

/// Whatever is said of the release stays within its bounds; what was said in the denial, and the gate's findings.
async fn bounded(bed: Bed, most: Most) -> (Option<String>, Vec<Value>) {
    judged(&bed).await;
    let status = bed.status(Kind::ModelRelease, RELEASE);
    let size = serde_json::to_vec(&status).unwrap().len();
    assert!(size <= most.status, "the status has {size} bytes");
    let gates = status["gates"].as_array().unwrap();
    let gate = gates.iter().find(|g| g["gate"] == "approvals").unwrap();
    let findings = gate["findings"].as_array().cloned().unwrap_or_default();
    let (denied, warnings) = said(&bed).await;
    let size = denied.as_ref().map_or(0, String::len);
    assert!(size <= most.denial, "the denial has {size} bytes");
    let size: usize = warnings.iter().map(String::len).sum();
    assert!(size <= 4096 + 256, "the warnings have {size} bytes");
    let events: Vec<usize> =
        bed.stop().await.iter().filter_map(|w| Some(w.body["note"].as_str()?.len())).collect();
    assert!(events.iter().all(|bytes| *bytes <= 1024), "{events:?}");
    (denied, findings)
}

fn person(n: usize) -> String {
    format!("oidc:reviewer-of-the-second-line-number-{n}@example.com")
}

#[tokio::test]
async fn ten_thousand_approvals_that_do_not_count_are_said_in_few_words() {
    let site = site();
    let bed = begin(&site);
    let wrong = format!("sha256:{}", "0".repeat(64));
    for n in 0..MANY {
        let name = format!("approval-of-the-second-line-number-{n}");
        let at = "2026-11-04T09:00:00Z";
        let mut spec = approval(&name, "x", "Approve", at)["spec"].take();
        // One reason or another why it does not count.
        let by = match n % 5 {
            0 => {
                spec["subject"]["digest"] = json!(wrong);
                person(n)
            }
            1 => {
                spec["expiresAt"] = json!("2026-11-19T00:00:00Z");
                person(n)
            }
            2 => format!("system:serviceaccount:ci:robot-{n}"),
            3 => format!("r\u{435}viewer-{n}"),
            _ => "dana".to_owned(),
        };
        let mut object = stamped(Kind::Approval, &name, &by, at, &spec);
        if n % 100 == 99 {
            object["metadata"].as_object_mut().unwrap().remove("annotations");
        }
        hear(&bed, &object);
    }
    let (denied, findings) = bounded(bed, ONE_A_ROLE).await;
    let denied = denied.unwrap();
    assert!(denied.contains("model-owner") && denied.contains("0 of 1"), "{denied}");
    assert!(denied.lines().last().unwrap().contains("placet why mr/scoring-2"), "{denied}");
    assert_eq!(findings[0]["reason"], "ContentChanged", "{findings:?}");
}

#[tokio::test]
async fn ten_thousand_rejects_block_and_are_said_in_few_words() {
    let site = site();
    let bed = begin(&site);
    hear(&bed, &approval("owner-bob", "bob", "Approve", "2026-11-04T09:00:00Z"));
    for n in 0..REJECTS {
        let name = format!("reject-of-the-second-line-number-{n}");
        hear(&bed, &approval(&name, &person(n), "Reject", "2026-11-04T09:00:00Z"));
    }
    let (denied, findings) = bounded(bed, ONE_A_ROLE).await;
    let denied = denied.unwrap();
    assert!(denied.contains("and 9995 others reject this content"), "{denied}");
    let [one] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!(one["reason"], "Rejected", "{one}");
}

#[tokio::test]
async fn ten_thousand_approvals_that_count_are_ten_thousand_people_of_whom_policy_asks_so_many() {
    let site = site();
    let bed = begin(&site);
    let mut asks = policy(&[])["spec"].take();
    // As many as a policy may ask for, and nobody in two roles.
    asks["approvals"] = json!([
        {"role": "model-owner", "count": 16, "covers": "Content"},
        {"role": "risk-officer", "count": 16, "covers": "Content"},
    ]);
    asks["separationOfDuties"] = json!({"oneRolePerPerson": true});
    bed.put(&stamped(Kind::ReleasePolicy, "minimal", "platform", "2026-01-01T00:00:00Z", &asks));
    for n in 0..MANY {
        let name = format!("approval-number-{n}");
        // Half of them in both roles, by the same people.
        let mut spec = approval(&name, "x", "Approve", "2026-11-04T09:00:00Z")["spec"].take();
        if n % 2 == 1 {
            spec["role"] = json!("risk-officer");
        }
        hear(&bed, &stamped(Kind::Approval, &name, &person(n / 2), "2026-11-04T09:00:00Z", &spec));
    }
    judged(&bed).await;
    assert_eq!(bed.cleared(), "True", "{}", bed.status(Kind::ModelRelease, RELEASE));
    assert_eq!(said(&bed).await.0, None);
    bed.hands.pass(SignedDuration::from_hours(24 * 70));
    // All of them end at once.
    let (denied, findings) = bounded(bed, ONE_A_ROLE).await;
    assert!(denied.unwrap().contains("0 of 16"));
    assert_eq!(findings[0]["reason"], "ApprovalExpired", "{findings:?}");
}
