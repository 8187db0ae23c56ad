//! `placet pending` over a stand-in.

use super::*;
use crate::testing::{Answers, cluster};

const LIST: &str = "GET /apis/placet.dev/v1alpha1/namespaces/lending";

fn finding(reason: &str, item: &str, who: &str, command: &str) -> Value {
    json!({"reason": reason, "item": item, "wanted": "w", "found": "f", "who": who, "command": command})
}

fn stamped(kind: &str, name: &str, by: &str, spec: &Value) -> Value {
    let stamp = json!({"creator": {"user": by}, "editors": [{"user": "eddy"}]}).to_string();
    json!({"kind": kind, "metadata": {"name": name, "namespace": "lending", "generation": 1,
        "annotations": {"placet.dev/stamp": stamp}}, "spec": spec})
}

fn release(by: &str, findings: &[Value]) -> Value {
    let mut object =
        stamped("ModelRelease", "m-2", by, &json!({"system": "scoring", "developers": ["dora"]}));
    object["status"] = json!({"observedGeneration": 1, "gates": [
        {"gate": "approvals", "verdict": "NotMet", "total": findings.len(), "findings": findings}]});
    object
}

fn every() -> Vec<Value> {
    vec![
        finding(
            "ApprovalMissing",
            "risk-officer",
            "risk-officer",
            "placet approve mr/m-2 --role risk-officer -n lending",
        ),
        finding(
            "RiskNotAccepted",
            "R1",
            "executive or risk-officer",
            "placet accept-risk ia/i R1 --role executive --until DATE -n lending",
        ),
        finding(
            "EvaluationNotApproved",
            "scoring",
            "holder of any approval role",
            "placet approve ais/scoring --role ROLE -n lending",
        ),
        finding(
            "Rejected",
            "risk-officer",
            "data scientist, or a holder of risk-officer who answers the Reject",
            "mend what was criticised and release it as a new ModelRelease, or placet approve mr/m-2 --role risk-officer --answers no-1 -n lending",
        ),
        finding("TestFailed", "x", "data scientist", "train again"),
        finding(
            "ClassNotApproved",
            "validator",
            "validator",
            "placet approve ais/scoring --role validator --covers Classification -n lending",
        ),
    ]
}

fn answers(release: &Value) -> Answers {
    let items = |list: &[&Value]| json!({"items": list});
    let role = |name: &str| json!({"metadata": {"name": name}, "spec": {}});
    Answers::default()
        .with(
            "POST /apis/authentication.k8s.io/v1/selfsubjectreviews",
            201,
            &json!({"status": {"userInfo": {"username": "erin"}}}),
        )
        .with(&format!("{LIST}/modelreleases"), 200, &items(&[release]))
        .with(
            &format!("{LIST}/aisystems"),
            200,
            &items(&[&stamped("AISystem", "scoring", "olga", &json!({}))]),
        )
        .with(&format!("{LIST}/impactassessments"), 200, &items(&[]))
        .with(&format!("{LIST}/approvals"), 200, &items(&[]))
        .with(
            "GET /apis/placet.dev/v1alpha1/approvalroles",
            200,
            &items(&[&role("executive"), &role("risk-officer"), &role("validator")]),
        )
}

fn args() -> PendingArgs {
    PendingArgs { all_namespaces: false, role: None, output: TableOrJson::Json }
}

/// What `run` finds.
fn found(answers: Answers, only: Option<&str>) -> Found {
    let (cluster, _) = cluster(answers);
    let mut notes = Vec::new();
    let mut list = |kind: Kind| or_note(&cluster, kind, "lending", &mut notes).unwrap();
    let world = World {
        releases: list(Kind::ModelRelease),
        systems: list(Kind::AISystem),
        assessments: list(Kind::ImpactAssessment),
        approvals: list(Kind::Approval),
    };
    let scopes = ["executive", "risk-officer", "validator"].map(|r| (r.to_owned(), false)).into();
    let mut held = Held { cluster: &cluster, scopes, asked: BTreeMap::new() };
    let mut found = Found::default();
    for release in &world.releases {
        look(&world, "erin", release, only, &mut held, &mut found).unwrap();
    }
    found
}

#[test]
fn what_waits_is_what_my_roles_can_supply_with_the_command_in_my_role() {
    let found = found(answers(&release("dana", &every())).may("risk-officer"), None);
    let commands: Vec<&str> = found.waiting.iter().map(|w| w.command.as_str()).collect();
    assert_eq!(
        commands,
        [
            "placet approve mr/m-2 --role risk-officer -n lending",
            "placet accept-risk ia/i R1 --role risk-officer --until DATE -n lending",
            "placet approve ais/scoring --role risk-officer -n lending",
            "placet approve mr/m-2 --role risk-officer --answers no-1 -n lending",
        ]
    );
    assert!(found.left_out.is_empty() && !found.waiting[0].by_wildcard);
    let text = table(&found.waiting, true);
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(
        text.lines().nth(2).unwrap().starts_with("lending     m-2       risk-officer   approvals R1"),
        "{text}"
    );
}

#[test]
fn nothing_waits_for_who_holds_nothing_and_a_wildcard_is_marked() {
    assert!(found(answers(&release("dana", &every())), None).waiting.is_empty());
    let all = answers(&release("dana", &every())).may("validator").may(NOBODYS);
    let found = found(all, Some("validator"));
    assert_eq!(found.waiting.len(), 2);
    assert!(found.waiting.iter().all(|w| w.by_wildcard && w.role == "validator"));
    assert!(said("erin", &found, &[]).contains("only by a wildcard"));
}

#[test]
fn what_i_wrote_is_left_out_and_said() {
    let why = |answers: Answers| {
        let found = found(answers.may("risk-officer"), None);
        (found.waiting.len(), found.left_out.iter().map(|l| l.why.clone()).collect::<Vec<_>>())
    };
    // The release: its system's settings are still mine to approve.
    let (waiting, out) = why(answers(&release("erin", &every())));
    assert_eq!((waiting, out), (1, vec!["you wrote or developed mr/m-2".to_owned(); 3]));
    // The system: nothing is.
    let system = json!({"items": [stamped("AISystem", "scoring", "erin", &json!({}))]});
    let (waiting, out) =
        why(answers(&release("dana", &every())).with(&format!("{LIST}/aisystems"), 200, &system));
    assert_eq!((waiting, out), (0, vec!["you wrote ais/scoring".to_owned(); 4]));
    let assessment =
        json!({"items": [stamped("ImpactAssessment", "i", "erin", &json!({"system": "scoring"}))]});
    let (waiting, out) =
        why(answers(&release("dana", &every())).with(&format!("{LIST}/impactassessments"), 200, &assessment));
    assert_eq!((waiting, out), (1, vec!["you wrote ia/i".to_owned(); 3]));
    // An approval of mine that counts: somebody else is wanted.
    let mut mine = stamped(
        "Approval",
        "a",
        "erin",
        &json!({"decision": "Approve", "role": "risk-officer",
        "subject": {"kind": "ModelRelease", "name": "m-2"}}),
    );
    mine["status"] = json!({"conditions": [{"type": "Counts", "status": "True"}]});
    let approvals = json!({"items": [mine]});
    let (waiting, out) =
        why(answers(&release("dana", &every())).with(&format!("{LIST}/approvals"), 200, &approvals));
    assert_eq!((waiting, out.len()), (3, 1));
    assert!(out[0].starts_with("you approved it already"), "{out:?}");
}

#[test]
fn the_code_is_0_whether_something_waits_or_not_and_a_refusal_is_said() {
    let no = json!({"kind": "Status", "reason": "Forbidden", "message": "no"});
    for answers in [
        answers(&release("dana", &every())).may("risk-officer"),
        answers(&release("dana", &[])),
        answers(&release("dana", &every())).with(&format!("{LIST}/approvals"), 403, &no),
    ] {
        let (cluster, _) = cluster(answers);
        assert_eq!(run(&cluster, &args()).unwrap(), 0);
    }
    let refused = answers(&release("dana", &[])).with(&format!("{LIST}/modelreleases"), 403, &no);
    assert!(run(&cluster(refused).0, &args()).is_err());
}

#[test]
fn a_status_of_another_generation_is_not_looked_at_nor_what_is_withdrawn() {
    let mut old = release("dana", &every());
    old["metadata"]["generation"] = 2.into();
    let old = found(answers(&old).may("risk-officer"), None);
    assert_eq!((old.waiting.len(), old.not_judged), (0, vec!["lending/m-2".to_owned()]));
    let mut gone = release("dana", &every());
    gone["spec"]["withdrawn"] = true.into();
    assert!(found(answers(&gone).may("risk-officer"), None).waiting.is_empty());
}

#[test]
fn findings_that_are_nobodys_approval_name_no_role() {
    let read = |v: Value| serde_json::from_value::<FindingStatus>(v).unwrap();
    for (who, command) in [
        ("data scientist", "train again"),
        ("system owner", "kubectl edit ais/scoring --role x"),
        ("its author", "placet approve"),
        ("residual risk board", "placet approve mr/m --role x"),
    ] {
        assert_eq!(wanted(&read(finding("X", "y", who, command))), None, "{who}");
    }
    let two = finding("X", "y", "executive and risk-officer", "placet accept-risk ia/i R1 --role executive");
    assert_eq!(wanted(&read(two)), Some(Wanted::These(vec!["executive".into(), "risk-officer".into()])));
}
