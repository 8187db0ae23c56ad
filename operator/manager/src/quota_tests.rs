use placet_gate::object::Record;
use serde_json::json;

use super::*;
use crate::admission::own_validate;
use crate::admission::review::{Answer, Request};
use crate::testbed::{Bed, NS, Site, approval, model_release, stamped};

const AT: &str = "2026-11-20T11:00:00Z";

fn at(seconds: i64) -> Timestamp {
    AT.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

/// An object whose spec has about so many bytes.
fn object(name: &str, bytes: usize) -> Value {
    json!({"metadata": {"name": name, "namespace": "a", "managedFields": [{"manager": "m"}]}, "spec": {"x": "y".repeat(bytes)}})
}

/// A version that nothing else keeps from being exempt.
fn version<'a>(object: &'a Value, old: Option<&'a Value>) -> Version<'a> {
    Version { object, old, exempt: true }
}

fn create(quota: &Quota, name: &str, bytes: usize, now: Timestamp) -> Result<(), String> {
    quota.admit(Kind::TestReport, "a", name, version(&object(name, bytes), None), now, false)
}

#[test]
fn a_size_is_that_of_the_json_without_managed_fields_and_status() {
    let mut one = object("one", 1000);
    let metadata = json!({"name": "one", "namespace": "a"}).to_string().len();
    let spec = one["spec"].to_string().len();
    let told = usize::try_from(size(&one)).unwrap();
    assert!(told.abs_diff(metadata + spec) <= 4, "{told}");
    one["status"] = json!({"open": "z".repeat(5000)});
    one["metadata"]["managedFields"] = json!(["z".repeat(5000)]);
    assert_eq!(usize::try_from(size(&one)).unwrap(), told);
}

#[test]
fn a_burst_ahead_of_the_stores_is_bounded_and_deleting_makes_room() {
    let quota = Quota::new(Limits { bytes: 10_000, objects: 100 });
    let through = (0..50).filter(|n| create(&quota, &format!("r-{n}"), 900, at(0)).is_ok()).count();
    assert_eq!(through, 10, "no store has seen any of them");
    for n in 0..10 {
        quota.seen(Kind::TestReport, "a", &format!("r-{n}"), &object(&format!("r-{n}"), 900));
    }
    let (bytes, objects) = quota.total("a", at(1));
    assert_eq!((bytes, objects), (10 * size(&object("r-0", 900)), 10));
    let why = create(&quota, "more", 900, at(1)).unwrap_err();
    for said in
        ["namespace a", "at most 10000 bytes", "in 11 objects", "quota.namespaceBytes", "delete what is old"]
    {
        assert!(why.contains(said), "{why}");
    }
    assert_eq!(
        quota.admit(Kind::TestReport, "b", "more", version(&object("more", 900), None), at(1), false),
        Ok(())
    );
    quota.gone(Kind::TestReport, "a", "r-3");
    assert_eq!(create(&quota, "more", 900, at(1)), Ok(()));
    assert!(create(&quota, "and-more", 900, at(1)).is_err());
}

#[test]
fn what_never_came_to_be_counts_for_a_minute_and_a_dry_run_not_at_all() {
    let quota = Quota::new(Limits { bytes: 1 << 20, objects: 1 });
    let dry = |now| quota.admit(Kind::TestReport, "a", "dry", version(&object("dry", 1), None), now, true);
    assert_eq!(dry(at(0)), Ok(()));
    assert_eq!(create(&quota, "refused-by-another-webhook", 1, at(0)), Ok(()));
    assert!(dry(at(0)).unwrap_err().contains("at most 1 objects"));
    assert!(create(&quota, "next", 1, at(59)).is_err());
    assert_eq!(create(&quota, "next", 1, at(60)), Ok(()));
    // A clock that was set back.
    assert_eq!(create(&quota, "another", 1, at(-60)), Ok(()));
}

#[test]
fn an_older_version_that_is_seen_late_does_not_make_room() {
    let quota = Quota::new(Limits { bytes: 10_000, objects: 100 });
    let (small, large) = (object("r", 100), object("r", 9000));
    quota.seen(Kind::TestReport, "a", "r", &small);
    assert_eq!(quota.admit(Kind::TestReport, "a", "r", version(&large, Some(&small)), at(0), false), Ok(()));
    quota.seen(Kind::TestReport, "a", "r", &small);
    assert_eq!(quota.total("a", at(1)), (size(&large), 1));
    assert!(create(&quota, "other", 2000, at(1)).is_err());
    quota.seen(Kind::TestReport, "a", "r", &large);
    assert_eq!(quota.total("a", at(90)), (size(&large), 1));
}

#[test]
fn in_a_full_namespace_only_what_grows_is_refused() {
    let quota = Quota::new(Limits { bytes: 1000, objects: 100 });
    let whole = object("r", 5000);
    quota.seen(Kind::AISystem, "a", "r", &whole);
    let update =
        |new: &Value| quota.admit(Kind::AISystem, "a", "r", version(new, Some(&whole)), at(0), false);
    assert_eq!(update(&whole), Ok(()));
    assert_eq!(update(&object("r", 4000)), Ok(()), "still too large, and smaller");
    assert!(update(&object("r", 5001)).is_err());
    let role = object("role", 5000);
    assert_eq!(quota.admit(Kind::ApprovalRole, "", "role", version(&role, None), at(0), false), Ok(()));
    assert_eq!(quota.total("", at(0)), (0, 0));
}

#[test]
fn rejects_and_withdrawals_are_never_kept_out_and_no_other_way_in() {
    let quota = Quota::new(Limits { bytes: 1, objects: 1 });
    let (kind, before) = (Kind::ModelRelease, model_release());
    let mut withdrawn = before.clone();
    withdrawn["spec"]["withdrawn"] = true.into();
    let admit = |kind, new: &Value, old| quota.admit(kind, NS, "x", version(new, old), at(0), true);
    assert_eq!(admit(Kind::Approval, &approval("no", "bob", "Reject", AT), None), Ok(()));
    assert!(admit(Kind::Approval, &approval("yes", "bob", "Approve", AT), None).is_err());
    assert!(admit(kind, &withdrawn, None).is_err(), "it was never there");
    assert_eq!(admit(kind, &withdrawn, Some(&before)), Ok(()));
    withdrawn["metadata"]["annotations"]["fill"] = "x".repeat(5000).into();
    assert!(admit(kind, &withdrawn, Some(&before)).is_err());
}

#[test]
fn a_reject_is_exempt_up_to_a_size_that_the_stamp_does_not_use_up() {
    let quota = Quota::new(Limits { bytes: 1, objects: 1 });
    let admit = |object: &Value, exempt| {
        quota.admit(Kind::Approval, NS, "no", Version { object, old: None, exempt }, at(0), true)
    };
    let mut reject = approval("no", "bob", "Reject", AT);
    let before = size(&reject);
    reject["metadata"]["annotations"][keys::STAMP] = "x".repeat(300 << 10).into();
    assert!(size(&reject) > before + REJECT);
    assert_eq!(admit(&reject, true), Ok(()), "groups in a stamp are not what its giver writes");
    assert!(admit(&reject, false).is_err(), "one that adds nothing");
    reject["metadata"]["annotations"]["fill"] = "x".into();
    let room = usize::try_from(REJECT - written(&reject)).unwrap();
    reject["metadata"]["annotations"]["fill"] = "x".repeat(room + 1).into();
    assert_eq!((written(&reject), admit(&reject, true)), (REJECT, Ok(())));
    reject["metadata"]["annotations"]["fill"] = "x".repeat(room + 2).into();
    let why = admit(&reject, true).unwrap_err();
    assert!(
        why.contains(&format!(
            "wanted a Reject of at most {REJECT} bytes, found {}; leave out labels",
            REJECT + 1
        )),
        "{why}"
    );
    let why = quota.remembering(NS, 1 << 40).unwrap_err();
    assert!(why.contains(&format!("A Reject of at most {REJECT} bytes")), "{why}");
}

/// Has the validating webhook judge a request.
async fn asked(bed: &Bed, operation: &str, object: &Value, old: &Value) -> Answer {
    let request: Request = serde_json::from_value(json!({
        "uid": "request", "operation": operation, "name": "", "namespace": NS,
        "kind": {"group": "placet.dev", "version": "v1alpha1", "kind": "ModelRelease"},
        "resource": {"group": "placet.dev", "version": "v1alpha1", "resource": "modelreleases"},
        "userInfo": {"username": "dana"}, "object": object, "oldObject": old,
    }))
    .unwrap();
    own_validate::answer(&bed.admission(), &request).await
}

#[tokio::test]
async fn the_webhook_refuses_what_is_too_much_and_takes_it_once_something_is_deleted() {
    let limits = Limits { bytes: 3 * size(&model_release()), objects: 2000 };
    let site = Site::new();
    let bed = site.start_with(limits);
    let release = |name: &str| stamped(Kind::ModelRelease, name, "dana", AT, &model_release()["spec"]);
    let mut taken = Vec::new();
    for name in ["scoring-2", "scoring-3", "scoring-4", "scoring-5"] {
        match asked(&bed, "CREATE", &release(name), &Value::Null).await.denied {
            None => taken.push(name),
            Some((code, reason, why)) => {
                assert_eq!((code, reason), (403, "Forbidden"));
                assert!(
                    why.contains("namespace lending: wanted at most") && why.contains("4 objects"),
                    "{why}"
                );
            }
        }
    }
    assert_eq!(taken, ["scoring-2", "scoring-3", "scoring-4"]);
    let recorded = |bed: &Bed| {
        let names = bed.records().into_iter().map(|r| r.subject.name);
        names.filter(|n| n.starts_with("scoring")).count()
    };
    assert_eq!(recorded(&bed), 3, "what is refused is not recorded");
    for name in taken {
        bed.hear(&release(name));
    }
    let (old, mut withdrawn) = (release("scoring-2"), release("scoring-2"));
    withdrawn["spec"]["withdrawn"] = true.into();
    let record: Record = bed.state.reading.read(&withdrawn).unwrap().0;
    assert!(record.digest.is_ok());
    let withdrawn = stamped(Kind::ModelRelease, "scoring-2", "dana", AT, &withdrawn["spec"]);
    assert_eq!(asked(&bed, "UPDATE", &withdrawn, &old).await.denied, None, "withdrawing");
    assert_eq!(asked(&bed, "DELETE", &Value::Null, &old).await.denied, None);
    assert!(asked(&bed, "CREATE", &release("scoring-5"), &Value::Null).await.denied.is_some());
    bed.miss(Kind::ModelRelease, "scoring-2");
    bed.hands.pass(AHEAD);
    assert_eq!(asked(&bed, "CREATE", &release("scoring-5"), &Value::Null).await.denied, None);
}

#[tokio::test]
async fn who_creates_and_deletes_again_and_again_is_stopped_and_a_reject_is_not() {
    let limits = Limits { bytes: 3 * size(&model_release()), objects: 2000 };
    let site = Site::new();
    let bed = site.start_with(limits);
    let release =
        |n: usize| stamped(Kind::ModelRelease, &format!("scoring-{n}"), "dana", AT, &model_release()["spec"]);
    let mut stopped = None;
    for n in 0..100 {
        if let Some((code, _, why)) = asked(&bed, "CREATE", &release(n), &Value::Null).await.denied {
            stopped = Some((n, code, why));
            break;
        }
        bed.hear(&release(n));
        assert_eq!(asked(&bed, "DELETE", &Value::Null, &release(n)).await.denied, None);
        bed.miss(Kind::ModelRelease, &format!("scoring-{n}"));
        bed.hands.pass(AHEAD);
    }
    let (n, code, why) = stopped.unwrap();
    assert!((4..40).contains(&n), "{n}");
    assert_eq!(code, 403);
    assert!(why.contains("remembered for good") && why.contains("quota.namespaceBytes"), "{why}");
    // Stopping goes on.
    let last = release(n - 1);
    bed.hear(&last);
    let mut spec = last["spec"].clone();
    spec["withdrawn"] = true.into();
    let withdrawn = stamped(Kind::ModelRelease, &format!("scoring-{}", n - 1), "dana", AT, &spec);
    assert_eq!(asked(&bed, "UPDATE", &withdrawn, &last).await.denied, None);
}
