use super::*;
use crate::args::Signing;
use crate::testing::{Answers, cluster, received};

const SELF: &str = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews";
const RELEASE: &str = "GET /apis/placet.dev/v1alpha1/namespaces/lending/modelreleases/m-2";
const CREATE: &str = "POST /apis/placet.dev/v1alpha1/namespaces/lending/approvals";
const ASSESSMENTS: &str = "GET /apis/placet.dev/v1alpha1/namespaces/lending/impactassessments";

fn args(yes: bool) -> ApproveArgs {
    ApproveArgs {
        target: "mr/m-2".into(),
        role: "risk-officer".into(),
        comment: Some("looked at".into()),
        expires: None,
        covers: None,
        digest: None,
        show: false,
        yes,
        dry_run: false,
        signing: Signing::default(),
        output: WriteOutput::Name,
    }
}

fn release() -> Value {
    json!({"metadata": {"name": "m-2", "generation": 1}, "status": {"observedGeneration": 1},
           "spec": {"system": "scoring", "version": "2", "unknownToUs": true, "developers": ["alice"]}})
}

fn answers() -> Answers {
    Answers::default()
        .with(SELF, 201, &json!({"status": {"userInfo": {"username": "erin@example.com"}}}))
        .with(RELEASE, 200, &release())
        .with(ASSESSMENTS, 200, &json!({"items": []}))
}

#[test]
fn until_it_is_judged_nobody_guesses_what_a_role_is_asked_to_cover() {
    let mut unjudged = release();
    unjudged.as_object_mut().unwrap().remove("status");
    let (there, _) = cluster(answers().with(RELEASE, 200, &unjudged));
    let said = run(&there, &args(true), Some(&[])).unwrap_err().to_string();
    assert!(said.contains("not yet; wait until it is, or say --covers"), "{said}");
    let (there, _) = cluster(answers().with(RELEASE, 200, &unjudged).with(CREATE, 201, &received()));
    let saying = ApproveArgs { covers: Some(Covers::Content), ..args(true) };
    assert_eq!(run(&there, &saying, Some(&[])).unwrap(), 0);
}

#[test]
fn the_digest_is_that_of_the_raw_object_that_was_shown() {
    let (cluster, asked) = cluster(answers().with(CREATE, 201, &received()));
    assert_eq!(run(&cluster, &args(true), Some(&[])).unwrap(), 0);
    let asked = asked.lock().unwrap();
    let wanted =
        placet_gate::digest::content(Kind::ModelRelease, Some("lending"), "m-2", &release()["spec"]).unwrap();
    let body = &asked.last().unwrap().body;
    assert_eq!(
        body["spec"]["subject"],
        json!({"kind": "ModelRelease", "name": "m-2", "covers": "Content", "digest": wanted})
    );
    assert_eq!(body["metadata"]["name"], "m-2-risk-officer");
    assert_eq!(body["spec"]["decision"], "Approve");
    assert_eq!(asked.iter().filter(|a| a.request == RELEASE).count(), 1);
}

#[test]
fn what_the_release_says_cannot_forge_what_is_approved() {
    let forged =
        format!("1\r\n  class Minimal\u{1b}[1A\u{202e}\u{200b}{}Content digest sha256:0", " ".repeat(200));
    let shown = |text: &str| {
        let mut object = release();
        object["spec"]["version"] = text.into();
        object["spec"]["change"] = json!({"kind": "Retrain", "reason": text});
        object["spec"]["artifacts"] =
            json!([{"name": text, "role": "Model", "reference": text, "digest": "sha256:1"}]);
        object["spec"]["developers"] = json!([text]);
        object["status"] = json!({"class": "High", "observedGeneration": 1, "gates": [{"gate": "tests", "findings": [
            {"reason": "TestFailed", "found": text}]}]});
        let (cluster, _) = cluster(answers());
        let around = Around::read(&cluster, &object);
        page::describe("lending", &object, Kind::ModelRelease, "m-2", Some(&around)).text().to_owned()
    };
    let (honest, forged) = (shown("x"), shown(&forged));
    assert_eq!(placet_gate::visible::lines(&forged), forged);
    // Every line that begins like one of ours is one of ours.
    let ours = |text: &str| -> Vec<String> {
        let heads = text.lines().filter(|l| !l.starts_with("      "));
        heads.map(|l| l.split_whitespace().next().unwrap().to_owned()).collect()
    };
    assert_eq!(ours(&forged), ours(&honest), "{forged}");
    assert!(forged.contains(r"version 1\r\n class Minimal\u{1b}[1A\u{202e}\u{200b} Content"), "{forged}");
}

#[test]
fn nothing_is_written_without_a_yes() {
    let (cluster, asked) = cluster(answers().with(CREATE, 201, &received()));
    // Where tests run there may be a terminal; its answer would not be ours.
    if !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        let e = run(&cluster, &args(false), Some(&[])).unwrap_err().to_string();
        assert!(e.contains("give --yes"), "{e}");
    }
    let dry = ApproveArgs { dry_run: true, ..args(false) };
    assert_eq!(run(&cluster, &dry, None).unwrap(), 0);
    assert!(asked.lock().unwrap().iter().all(|a| a.request != CREATE));
}

#[test]
fn what_admission_says_is_shown_whole() {
    let said = "admission webhook \"own.validate.placet.dev\" denied the request: erin@example.com does not hold risk-officer\nwanted: verb approve on approvalroles/risk-officer";
    let (cluster, _) = cluster(answers().with(
        CREATE,
        403,
        &json!({"kind": "Status", "reason": "Forbidden", "message": said}),
    ));
    assert_eq!(run(&cluster, &args(true), Some(&[])).unwrap_err().to_string(), said);
}

#[test]
fn what_no_webhook_stamped_is_no_success() {
    let empty = json!({"metadata": {"annotations": {placet_api::keys::RECEIPT: ""}}});
    for stored in [json!({}), json!({"metadata": {"annotations": {"note": "x"}}}), empty] {
        for output in [WriteOutput::Name, WriteOutput::Json] {
            let (cluster, _) = cluster(answers().with(CREATE, 201, &stored));
            assert_eq!(
                run(&cluster, &ApproveArgs { output, ..args(true) }, Some(&[])).unwrap(),
                1,
                "{stored}"
            );
        }
    }
    // What is not written needs none.
    let (cluster, _) = cluster(answers());
    let dry = ApproveArgs { dry_run: true, ..args(false) };
    assert_eq!(run(&cluster, &dry, Some(&[])).unwrap(), 0);
}

#[test]
fn findings_and_notes_say_what_they_are_about() {
    let mut object = release();
    object["status"] = json!({"class": "High", "observedGeneration": 1, "notes": ["spec.previous names x"], "gates": [
        {"gate": "tests", "findings": [
            {"reason": "TestMissing", "item": "Bias weights", "found": "there is none", "wanted": "a Bias report"}]},
        {"gate": "approvals", "findings": [{"reason": "ApprovalMissing", "item": "validator", "found": "0 of 1"}]}]});
    let page = page::describe("lending", &object, Kind::ModelRelease, "m-2", None);
    let lines: Vec<&str> = page.text().lines().map(str::trim).collect();
    let at = lines.iter().position(|l| l.starts_with("finding")).unwrap();
    assert_eq!(
        lines[at..],
        [
            "finding, tests, Bias weights (TestMissing): there is none",
            "wanted: a Bias report",
            "note: spec.previous names x"
        ],
        "{lines:?}"
    );
}

#[test]
fn a_name_that_is_taken_gets_a_hash() {
    let taken = json!({"kind": "Status", "reason": "AlreadyExists", "message": "exists"});
    let (cluster, asked) = cluster(answers().with(CREATE, 409, &taken));
    assert!(run(&cluster, &args(true), None).is_err());
    let names: Vec<String> = asked
        .lock()
        .unwrap()
        .iter()
        .filter(|a| a.request == CREATE)
        .map(|a| a.body["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names.len(), 3);
    assert_eq!(names[0], "m-2-risk-officer-reject");
    assert!(names[1] != names[0] && names[2] != names[1] && names.iter().all(|n| n.len() <= 63), "{names:?}");
}

#[test]
fn a_reject_is_answered_by_its_name_and_only_if_it_is_about_this() {
    let digest =
        placet_gate::digest::content(Kind::ModelRelease, Some("lending"), "m-2", &release()["spec"]).unwrap();
    let reject = |change: &dyn Fn(&mut Value)| {
        let mut object = json!({"metadata": {"name": "no-1", "annotations": {STAMP: r#"{"creator":{"user":"vera"}}"#}},
            "spec": {"subject": {"kind": "ModelRelease", "name": "m-2", "covers": "Content", "digest": digest},
                     "role": "risk-officer", "decision": "Reject", "comment": "no\nreason"}});
        change(&mut object);
        answers().with("GET /apis/placet.dev/v1alpha1/namespaces/lending/approvals/no-1", 200, &object).with(
            CREATE,
            201,
            &received(),
        )
    };
    let ask = |answers: Answers| {
        let (cluster, asked) = cluster(answers);
        let names = ["no-1".to_owned()];
        let said = run(&cluster, &args(true), Some(&names));
        let body = asked.lock().unwrap().iter().find(|a| a.request == CREATE).map(|a| a.body.clone());
        (said.map_err(|e| e.to_string()), body)
    };
    let (said, body) = ask(reject(&|_| {}));
    assert_eq!((said.unwrap(), &body.unwrap()["spec"]["answers"]), (0, &json!(["no-1"])));
    // Deleted Rejects are remembered and answered, too.
    let (said, body) = ask(answers().with(CREATE, 201, &received()));
    assert_eq!((said.unwrap(), &body.unwrap()["spec"]["answers"]), (0, &json!(["no-1"])));
    for (at, value) in [
        ("/spec/decision", "Approve"),
        ("/spec/role", "executive"),
        ("/spec/subject/name", "m-1"),
        ("/spec/subject/digest", "sha256:other"),
    ] {
        let (said, body) = ask(reject(&|o| *o.pointer_mut(at).unwrap() = value.into()));
        let said = said.unwrap_err();
        assert!(
            body.is_none() && said.contains(value) && said.contains("would not answer it"),
            "{at}: {said}"
        );
    }
    // One that names another digest of the same release, its evidence, blocks too and is answered.
    let (said, body) = ask(reject(&|o| {
        o["spec"]["subject"]["covers"] = "Evidence".into();
        o["spec"]["subject"]["digest"] = "sha256:other".into();
    }));
    assert!(said.is_ok() && body.is_some());
    let (cluster, _) = cluster(reject(&|_| {}));
    let about = Rejected {
        kind: Kind::ModelRelease,
        name: "m-2",
        role: "risk-officer",
        covers: "Content",
        digest: &digest,
    };
    assert_eq!(about.answered(&cluster, "no-1").unwrap(), "answers the Reject no-1 by vera: no\nreason");
}

#[test]
fn evidence_is_bound_only_where_it_is_known() {
    let mut object = release();
    let of =
        |o: &Value, kind, covers| digest_of(o, kind, "lending", "m-2", covers).map_err(|e| e.to_string());
    assert!(
        of(&object, Kind::ModelRelease, Covers::Evidence).unwrap_err().contains("wait until it is judged")
    );
    let content = of(&object, Kind::ModelRelease, Covers::Content).unwrap();
    object["status"] = json!({"digests": {"content": content, "evidence": "sha256:e"}});
    assert_eq!(of(&object, Kind::ModelRelease, Covers::Evidence).unwrap(), "sha256:e");
    object["status"]["digests"]["content"] = "sha256:older".into();
    assert!(of(&object, Kind::ModelRelease, Covers::Evidence).is_err());
    assert!(of(&object, Kind::ModelRelease, Covers::Classification).is_err());
}

#[test]
fn dates_in_the_past_are_refused() {
    let now = "2026-11-20T12:00:00Z".parse().unwrap();
    assert!(later("--expires", "2026-11-20", now).is_err());
    assert!(later("--expires", "2026-11-21", now).is_ok());
}

/// A release that is judged, with an assessment and a report, and one that was cleared before.
fn judged() -> (Value, Answers) {
    judged_on(None)
}

/// The same; of its datasets where they are part of the evidence, what the Dataset says.
fn judged_on(data: Option<&Value>) -> (Value, Answers) {
    let digest = |c: char| format!("sha256:{}", c.to_string().repeat(64));
    let at = |name: &str, spec: &Value, kind: &str| {
        json!({"apiVersion": "placet.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "lending",
            "generation": 1}, "spec": spec})
    };
    let mut object = release();
    object["spec"]["artifacts"] = json!([{"name": "weights", "role": "Model", "reference": "r", "digest": digest('2')},
        {"name": "server", "role": "Runtime", "reference": "s", "digest": digest('4')}]);
    object["spec"]["change"] = json!({"kind": "Retrain", "reason": "New data"});
    let assessment = at("impact", &json!({"system": "scoring", "risks": []}), "ImpactAssessment");
    let on = |kind: &str, dataset: char| json!({"artifact": digest('2'), "type": kind, "dataset": digest(dataset)});
    let report = at("bias", &on("Bias", '7'), "TestReport");
    // Nobody asks for one of this type, and the other is not on a dataset for evaluation.
    let (unasked, elsewhere) =
        (at("attack", &on("Security", '7'), "TestReport"), at("again", &on("Bias", '5'), "TestReport"));
    let other = at("else", &json!({"artifact": digest('9')}), "TestReport");
    object["spec"]["datasets"] = json!([{"name": "train", "digest": digest('5'), "use": "Training"},
        {"name": "test", "digest": digest('7'), "use": "Evaluation"}]);
    let dataset = at("train", data.unwrap_or(&Value::Null), "Dataset");
    let namesake = at("train-before", &json!({"name": "train", "digest": digest('6')}), "Dataset");
    let of = |o: &Value, kind: Kind| {
        let name = o["metadata"]["name"].as_str().unwrap();
        placet_gate::digest::content(kind, Some("lending"), name, &o["spec"]).unwrap()
    };
    let (content, basis, asked) = (of(&object, Kind::ModelRelease), digest('b'), digest('d'));
    let said = placet_gate::digest::dataset(&dataset["spec"]).unwrap();
    let datasets = [said.as_str()];
    let evidence = placet_gate::digest::evidence(&placet_gate::digest::EvidenceParts {
        content: &content,
        class: "High",
        class_basis: &basis,
        assessment: Some(&of(&assessment, Kind::ImpactAssessment)),
        datasets: data.map(|_| &datasets[..]),
        reports: &[&of(&report, Kind::TestReport)],
        requirements: &asked,
    });
    object["status"] = json!({"class": "High", "observedGeneration": 1,
        "approvers": [{"role": "risk-officer", "covers": "Evidence"}, {"role": "auditor", "covers": "Content"}],
        "digests": {"content": content, "evidence": evidence.unwrap(), "classBasis": basis, "requirements": asked}});
    let mut before = at("m-1", &object["spec"], "ModelRelease");
    before["spec"]["artifacts"][0]["digest"] = digest('1').into();
    before["status"] = json!({"class": "Limited", "observedGeneration": 1, "conditions": [
        {"type": "Cleared", "status": "True", "lastTransitionTime": "2026-11-01T00:00:00Z"}]});
    let mut uncleared = before.clone();
    uncleared["metadata"]["name"] = "m-0".into();
    uncleared["status"]["conditions"][0]["status"] = "False".into();
    let stamp =
        json!({"createdAt": "2026-11-01T00:00:00Z", "evidence": {"residual": {"R1": "Medium"}}}).to_string();
    let mut approval = at(
        "old",
        &json!({"decision": "Approve", "subject": {"kind": "ModelRelease", "name": "m-1"}}),
        "Approval",
    );
    approval["metadata"]["annotations"] = json!({STAMP: stamp});
    let list = |plural: &str| format!("GET /apis/placet.dev/v1alpha1/namespaces/lending/{plural}");
    let answers = answers()
        .with(RELEASE, 200, &object)
        .with(ASSESSMENTS, 200, &json!({"items": [assessment]}))
        .with(&list("testreports"), 200, &json!({"items": [report, other, unasked, elsewhere]}))
        .with(&list("datasets"), 200, &json!({"items": [dataset, namesake]}))
        .with(&list("modelreleases"), 200, &json!({"items": [object, before, uncleared]}))
        .with(&list("approvals"), 200, &json!({"items": [approval]}))
        .with(CREATE, 201, &received());
    (object, answers)
}

fn created(answers: Answers, args: &ApproveArgs, approves: bool) -> Result<Value, String> {
    let (cluster, asked) = cluster(answers);
    run(&cluster, args, approves.then_some(&[][..])).map_err(|e| e.to_string())?;
    let asked = asked.lock().unwrap();
    let read = |request: &str| asked.iter().filter(|a| a.request == request).count();
    assert!(read(RELEASE) == 1 && read(ASSESSMENTS) == 1, "each is read once");
    Ok(asked.iter().find(|a| a.request == CREATE).unwrap().body["spec"]["subject"].clone())
}

#[test]
fn what_is_said_of_data_is_part_of_what_is_shown_where_a_policy_asks() {
    let says = |licence: &str| json!({"name": "train", "digest": format!("sha256:{}", "5".repeat(64)), "licence": licence});
    let (object, all) = judged_on(Some(&says("CC-BY-4.0")));
    let subject = created(all.clone(), &args(true), true).unwrap();
    assert_eq!(subject["digest"], object["status"]["digests"]["evidence"]);
    // Another word on the data meanwhile.
    let late = json!({"items": [{"metadata": {"name": "train"}, "spec": says("none")}]});
    let path = "GET /apis/placet.dev/v1alpha1/namespaces/lending/datasets";
    let said = created(all.clone().with(path, 200, &late), &args(true), true).unwrap_err();
    assert!(said.contains("run it again"), "{said}");
    // Who may not read them is told so where they are needed, and needs them nowhere else.
    let forbidden = json!({"kind": "Status", "reason": "Forbidden", "message": "no"});
    let said = created(all.with(path, 403, &forbidden), &args(true), true).unwrap_err();
    assert!(said.contains("was not read"), "{said}");
    assert!(created(judged().1.with(path, 403, &forbidden), &args(true), true).is_ok());
}

#[test]
fn what_the_policies_ask_the_role_for_is_pinned_and_is_what_was_shown() {
    let (object, all) = judged();
    let subject = |covers: &str, which: &str| json!({"kind": "ModelRelease", "name": "m-2", "covers": covers, "digest": object["status"]["digests"][which]});
    assert_eq!(created(all.clone(), &args(true), true).unwrap(), subject("Evidence", "evidence"));
    // A Reject stands for the content; so does who is asked for it, and who is not asked at all.
    assert_eq!(created(all.clone(), &args(true), false).unwrap(), subject("Content", "content"));
    let by = |role: &str| ApproveArgs { role: role.into(), ..args(true) };
    for role in ["auditor", "nobody"] {
        assert_eq!(created(all.clone(), &by(role), true).unwrap(), subject("Content", "content"));
    }
    // The digest that somebody looked at, or nothing.
    let pinned = |digest: &Value| ApproveArgs { digest: digest.as_str().map(str::to_owned), ..args(true) };
    assert!(created(all.clone(), &pinned(&object["status"]["digests"]["evidence"]), true).is_ok());
    let said = created(all.clone(), &pinned(&object["status"]["digests"]["content"]), true).unwrap_err();
    assert!(
        said.contains("--digest") && said.contains(object["status"]["digests"]["evidence"].as_str().unwrap()),
        "{said}"
    );
    // Whatever of it changed meanwhile was not shown as it was judged.
    let report =
        json!({"metadata": {"name": "late"}, "spec": {"artifact": object["spec"]["artifacts"][0]["digest"]}});
    let changed = [
        (
            ASSESSMENTS.to_owned(),
            json!({"items": [{"metadata": {"name": "impact"}, "spec": {"system": "scoring"}}]}),
        ),
        (
            "GET /apis/placet.dev/v1alpha1/namespaces/lending/testreports".to_owned(),
            json!({"items": [report]}),
        ),
    ];
    for (path, list) in changed {
        let said = created(all.clone().with(&path, 200, &list), &args(true), true).unwrap_err();
        assert!(said.contains("run it again"), "{said}");
    }
    let forbidden = json!({"kind": "Status", "reason": "Forbidden", "message": "no"});
    let said = created(all.with(ASSESSMENTS, 403, &forbidden), &args(true), true).unwrap_err();
    assert!(said.contains("was not read"), "{said}");
}

#[test]
fn what_differs_from_the_release_that_was_cleared_last_is_shown() {
    let (object, all) = judged();
    let (cluster, _) = cluster(all);
    let around = Around::read(&cluster, &object);
    let levels = BTreeMap::from([("R1".to_owned(), "High".to_owned())]);
    let since = Since::of(&cluster, &object, &around, &levels).unwrap().unwrap();
    let mut page = text::Page::default();
    since.show(&mut page);
    let lines: Vec<&str> = page.text().lines().map(str::trim).collect();
    assert_eq!(
        lines,
        [
            "since m-1, the release that was cleared last, a change of kind Retrain:",
            "artefact weights sha256:111111111111… then, sha256:222222222222… now",
            "class Limited then, High now",
            "residual risk R1 Medium then, High now",
        ]
    );
    let json = serde_json::to_value(&since).unwrap();
    assert_eq!(json["artifacts"][0]["name"], "weights");
    assert_eq!(json["residualRisks"], json!([{"name": "R1", "then": "Medium", "now": "High"}]));
    // With --show nothing is asked or written.
    let show = ApproveArgs { show: true, output: WriteOutput::Json, ..args(false) };
    let (cluster, asked) = self::cluster(judged().1);
    assert_eq!(run(&cluster, &show, Some(&[])).unwrap(), 0);
    assert!(asked.lock().unwrap().iter().all(|a| a.request != CREATE));
}
