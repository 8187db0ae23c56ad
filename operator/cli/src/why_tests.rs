use super::*;
use crate::testing::{Answers, cluster};

const NOW: &str = "2026-11-20T13:00:00Z";

fn answer(object: &Value) -> Answer {
    Answer::new(object, "m-2", "lending", NOW.parse().unwrap()).unwrap()
}

/// A release whose status says that it is cleared until a time.
fn cleared_until(until: &str) -> Value {
    let mut object = release(2);
    object["metadata"]["managedFields"] = json!([
        {"manager": "kubectl", "time": "2026-11-20T12:30:00Z"},
        {"manager": "placet-status", "subresource": "status", "time": "2026-11-20T12:00:00Z"}]);
    object["status"]["gates"] = json!([{"gate": "release", "verdict": "Met"}]);
    object["status"]["validUntil"] = until.into();
    object["status"]["conditions"][0]["status"] = "True".into();
    object["status"]["conditions"][0]["message"] = "m-2 is cleared".into();
    object
}

#[test]
fn a_clearance_is_of_when_it_was_judged() {
    let object = cleared_until("2026-11-20T13:00:01Z");
    assert!(answer(&object).cleared());
    let text = answer(&object).table(100);
    assert!(
        text.starts_with("m-2 was cleared when last judged (status written 2026-11-20T12:00:00Z)\n"),
        "{text}"
    );
    assert!(!text.contains("is cleared"), "{text}");
    assert_eq!(answer(&object).json()["cleared"], "True");
    assert_eq!(answer(&object).json()["statusWritten"], "2026-11-20T12:00:00Z");
    // Its term has passed: whoever would have said so is not there.
    let object = cleared_until(NOW);
    assert!(!answer(&object).cleared());
    let text = answer(&object).table(200);
    assert!(
        text.starts_with("the clearance ended at 2026-11-20T13:00:00Z and nothing was said since"),
        "{text}"
    );
    assert!(!text.contains("is cleared"), "{text}");
    assert_eq!(answer(&object).json()["cleared"], "Unknown");
    // Judged at another generation, older or newer (an object that was restored).
    for generation in [1, 3] {
        let mut object = cleared_until("2027-01-01T00:00:00Z");
        object["metadata"]["generation"] = generation.into();
        assert!(!answer(&object).cleared(), "{generation}");
        assert!(answer(&object).table(100).starts_with("this status is not of this object"), "{generation}");
    }
    let mut object = cleared_until("2027-01-01T00:00:00Z");
    object["spec"]["withdrawn"] = true.into();
    assert!(!answer(&object).cleared());
    assert_eq!(answer(&object).json()["cleared"], "False");
}

#[test]
fn the_code_is_1_once_the_term_has_passed() {
    let ask = |until: &str| {
        let path = "GET /apis/placet.dev/v1alpha1/namespaces/lending/modelreleases/m-2";
        let (cluster, _) = cluster(Answers::default().with(path, 200, &cleared_until(until)));
        run(&cluster, &WhyArgs { target: "mr/m-2".into(), output: TableOrJson::Table }).unwrap()
    };
    assert_eq!((ask("2999-01-01T00:00:00Z"), ask("2000-01-01T00:00:00Z")), (0, 1));
}

#[test]
fn what_a_finding_quotes_cannot_forge_the_answer() {
    let mut object = release(2);
    let forged = "x\n\nmet: approvals\u{1b}[2J\u{202e}";
    object["spec"]["system"] = forged.into();
    for field in ["item", "wanted", "found", "who", "command"] {
        object["status"]["gates"][1]["findings"][0][field] = forged.into();
    }
    let text = answer(&object).table(80);
    assert_eq!(visible::lines(&text), text);
    assert_eq!(
        text.lines().filter(|l| l.starts_with("met: ")).collect::<Vec<_>>(),
        ["met: release"],
        "{text}"
    );
    // Data stays as it is.
    assert_eq!(answer(&object).json()["missing"][0]["findings"][0]["found"], forged);
}

fn release(observed: i64) -> Value {
    json!({
        "metadata": {"name": "m-2", "namespace": "lending", "generation": 2},
        "spec": {"system": "scoring"},
        "status": {
            "observedGeneration": observed, "class": "High", "open": "riskAcceptance,approvals",
            "decision": {"record": 4703, "digest": format!("sha256:{}", "a".repeat(64))},
            "gates": [
                {"gate": "release", "verdict": "Met"},
                {"gate": "riskAcceptance", "verdict": "NotMet", "reason": "RiskNotAccepted", "total": 1, "findings": [
                    {"reason": "RiskNotAccepted", "item": "R1", "wanted": "R1 accepted at High by executive",
                     "found": "R1 is High after controls; the appetite is Low", "who": "executive",
                     "command": "placet accept-risk ia/impact R1 --role executive --until DATE -n lending"}]},
                {"gate": "approvals", "verdict": "NotMet", "reason": "ApprovalMissing", "total": 2, "findings": [
                    {"reason": "ApprovalMissing", "item": "executive", "wanted": "1 approval by executive (covers: Content)",
                     "found": "0 of 1", "who": "executive", "command": "placet approve mr/m-2 --role executive -n lending"},
                    {"reason": "ApprovalMissing", "item": "validator", "wanted": "1 approval by validator (covers: Content)",
                     "found": "0 of 1; <person:0123456789abcdef> is an author and does not count", "who": "validator",
                     "command": "placet approve mr/m-2 --role validator -n lending"}]}],
            "conditions": [{"type": "Cleared", "status": "False", "reason": "GatesOpen",
                "message": "m-2 is not cleared: 2 of 7 gates are open: riskAcceptance, approvals", "lastTransitionTime": "2026-11-20T12:00:00Z"}]
        }
    })
}

#[test]
fn what_is_missing_is_grouped_by_who_can_act() {
    let text = answer(&release(2)).table(60);
    assert_eq!(
        text,
        "m-2 is not cleared: 2 of 7 gates are open: riskAcceptance,\n  approvals\n  \
system scoring, class High, decision 4703\n\n\
executive\n  riskAcceptance, R1 (RiskNotAccepted)\n    found   R1 is High after controls; the appetite is Low\n    \
wanted  R1 accepted at High by executive\n    \
$ placet accept-risk ia/impact R1 --role executive --until DATE -n lending\n  \
approvals, executive (ApprovalMissing)\n    found   0 of 1\n    wanted  1 approval by executive (covers: Content)\n    \
$ placet approve mr/m-2 --role executive -n lending\n\n\
validator\n  approvals, validator (ApprovalMissing)\n    found   0 of 1; person 01234567… is an author and does\n            \
not count\n    wanted  1 approval by validator (covers: Content)\n    \
$ placet approve mr/m-2 --role validator -n lending\n\nmet: release\n"
    );
}

#[test]
fn notes_are_shown_though_nothing_is_open() {
    let mut object = cleared_until("2027-01-01T00:00:00Z");
    object["status"]["notes"] =
        json!(["spec.previous names ModelRelease m-0, which is not in namespace lending", "x\ny"]);
    let text = answer(&object).table(60);
    let wanted = "\nnote: spec.previous names ModelRelease m-0, which is not in\n      namespace lending\nnote: x\\ny\n";
    assert!(text.contains(wanted), "{text}");
    assert_eq!(answer(&object).json()["notes"][1], "x\ny");
    assert_eq!(answer(&release(2)).json()["notes"], json!([]));
    assert!(!answer(&release(2)).table(60).contains("note:"));
}

#[test]
fn a_status_older_than_the_object_is_not_relied_on() {
    let old = answer(&release(1));
    assert!(old.table(100).starts_with("this status is not of this object: judged at generation 1"));
    assert_eq!(old.json()["cleared"], "Unknown");
    let unjudged = answer(&json!({"metadata": {"generation": 1}, "spec": {"system": "s"}}));
    assert!(!unjudged.cleared());
    assert!(unjudged.table(100).starts_with("not judged yet"));
}

#[test]
fn a_workload_leads_to_its_release() {
    let answers = Answers::default()
        .with(
            "GET /apis/apps/v1/namespaces/lending/deployments/credit",
            200,
            &json!({
            "metadata": {"name": "credit"},
            "spec": {"template": {"metadata": {"labels": {"placet.dev/release": "m-2"}}}}}),
        )
        .with("GET /apis/placet.dev/v1alpha1/namespaces/lending/modelreleases/m-2", 200, &release(2))
        .with("GET /api/v1/namespaces/lending/pods/bare", 200, &json!({"metadata": {"name": "bare"}}));
    let (cluster, asked) = cluster(answers);
    let args = |target: &str| WhyArgs { target: target.into(), output: TableOrJson::Json };
    assert_eq!(run(&cluster, &args("deploy/credit")).unwrap(), 1);
    assert_eq!(run(&cluster, &args("pod/bare")).unwrap(), 1);
    let e = run(&cluster, &args("mr/none")).unwrap_err().to_string();
    assert!(e.contains("wanted the ModelRelease none in namespace lending, found none"), "{e}");
    assert_eq!(asked.lock().unwrap().len(), 4);
}

#[test]
fn who_may_not_read_is_told_who_decides_that() {
    let said = json!({"kind": "Status", "reason": "Forbidden", "message": "modelreleases.placet.dev \"m-2\" is forbidden"});
    let path = "GET /apis/placet.dev/v1alpha1/namespaces/lending/modelreleases/m-2";
    let (cluster, _) = cluster(Answers::default().with(path, 403, &said));
    let args = WhyArgs { target: "mr/m-2".into(), output: TableOrJson::Table };
    let e = run(&cluster, &args).unwrap_err().to_string();
    assert!(
        e.contains("is forbidden")
            && e.contains("a role binding in namespace lending")
            && e.contains("placet-data-scientist"),
        "{e}"
    );
}
