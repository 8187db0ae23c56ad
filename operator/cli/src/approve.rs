//! `placet approve` and `placet reject`: show what is decided on, bind the decision to that content.

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use placet_api::Kind;
use placet_api::common::Level;
use placet_api::impactassessment::ImpactAssessmentSpec;
use placet_api::keys::STAMP;
use placet_gate::risk;
use serde_json::{Value, json};

use crate::args::{ApproveArgs, Covers, WriteOutput};
use crate::cluster::{Cluster, path_of};
use crate::made::{Made, Writing};
use crate::text::Page;
use crate::{signed, sys, target, text, yaml};

/// Runs the command: `approve`, with the Rejects that it answers, or else reject.
pub fn run(cluster: &Cluster, args: &ApproveArgs, answers: Option<&[String]>) -> anyhow::Result<u8> {
    let approve = answers.is_some();
    let answers = answers.unwrap_or_default();
    let verb = if approve { "approve" } else { "reject" };
    let kinds = [Kind::ModelRelease, Kind::AISystem, Kind::ImpactAssessment, Kind::RiskAcceptance];
    let (kind, name) = target::ours(&args.target, &kinds)?;
    target::name_of(&args.role).context("--role")?;
    let now = sys::now();
    let expires = args.expires.as_deref().map(|t| later("--expires", t, now)).transpose()?;
    // Read once: what is shown is what is digested.
    let object = cluster.get(kind, &name)?;
    let digest = digest_of(&object, kind, &cluster.namespace, &name, args.covers)?;
    let user = cluster.whoami()?;
    let mut shown = describe(cluster, &object, kind, &name);
    shown.add(2, &format!("{} digest {digest}", covers(args.covers)));
    for reject in answers {
        let about =
            Rejected { kind, name: &name, role: &args.role, covers: covers(args.covers), digest: &digest };
        shown.add(2, &about.answered(cluster, reject)?);
    }
    let until = expires.map_or_else(String::new, |t| format!(", until {}", text::seconds(t)));
    shown.add(0, &format!("You, {user}, {verb} this as {}{until}.", args.role));
    if approve && is_author(&object, kind, &user) {
        shown.add(
            0,
            "You wrote or developed it: policies with separation of duties do not count your approval.",
        );
    }
    sys::tell(shown.text());
    let mut spec = json!({
        "subject": {"kind": kind.as_str(), "name": name, "covers": covers(args.covers), "digest": digest},
        "role": args.role,
        "decision": if approve { "Approve" } else { "Reject" },
    });
    if let Some(comment) = &args.comment {
        spec["comment"] = comment.as_str().into();
    }
    if !answers.is_empty() {
        spec["answers"] = json!(answers);
    }
    if let Some(expires) = expires {
        spec["expiresAt"] = text::seconds(expires).into();
    }
    // Checked here already, so that what cannot be is said before anybody is asked.
    serde_json::from_value::<placet_api::approval::ApprovalSpec>(spec.clone()).context("the Approval")?;
    let mut parts = vec![name.as_str(), args.role.as_str(), user.as_str()];
    if !approve {
        parts.push("reject");
    }
    let made = Made { kind: Kind::Approval, name: text::object_name(&parts), spec };
    let question = format!("{}{} it?", verb[..1].to_uppercase(), &verb[1..]);
    if let Some(key) = &args.sign_with {
        let for_cluster = signed::cluster_name(cluster, args.cluster_name.as_deref())?;
        sys::tell(&format!(
            "It is signed for the cluster {for_cluster}, namespace {}, and counts for the user of the TrustedSigner that has \
             your key.",
            cluster.namespace
        ));
        sys::confirm(&question, args.yes)?;
        let spec = signed::approval(key, &for_cluster, &cluster.namespace, made.spec, now)?;
        // Decisions are immutable: another signature is another object, so that Git never changes one.
        let name = text::with_hash(&made.name, spec["signed"]["nonce"].as_str().unwrap_or_default());
        let object = Made { kind: made.kind, name, spec }.whole(cluster);
        let json = args.output == WriteOutput::Json;
        sys::print(&if json { text::json(&object)? } else { yaml::document(&object) })?;
        return Ok(0);
    }
    let how = Writing { question: &question, yes: args.yes, dry_run: args.dry_run, output: args.output };
    made.write(cluster, &how, now)
}

/// What a Reject has to be about, to be answered.
struct Rejected<'a> {
    kind: Kind,
    name: &'a str,
    role: &'a str,
    covers: &'a str,
    digest: &'a str,
}

impl Rejected<'_> {
    /// The Reject that is about to be answered, in words.
    ///
    /// # Errors
    /// It is none, or it is about something else, so that answering it would change nothing.
    fn answered(&self, cluster: &Cluster, reject: &str) -> anyhow::Result<String> {
        target::name_of(reject).context("--answers")?;
        let path = path_of(Kind::Approval, &cluster.namespace, Some(reject));
        let Some(object) = cluster.get_path(&path)? else {
            return Ok(format!(
                "answers {reject}, which is not there; a Reject that was deleted is remembered, and answered by its name"
            ));
        };
        let text = |at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or("?");
        // A Reject blocks whichever digest of the subject as it is now it names: one of another sort is compared by nobody
        // here.
        let same_sort = text("/spec/subject/covers") == self.covers;
        let digest = if same_sort { text("/spec/subject/digest") } else { self.digest };
        let pairs = [
            ("decision", text("/spec/decision"), "Reject"),
            ("subject.kind", text("/spec/subject/kind"), self.kind.as_str()),
            ("subject.name", text("/spec/subject/name"), self.name),
            ("role", text("/spec/role"), self.role),
            ("subject.digest", digest, self.digest),
        ];
        for (field, found, wanted) in pairs {
            if found != wanted {
                bail!(
                    "--answers {reject}: wanted a Reject of what you approve, in the same role; its {field} is {found}, not \
                     {wanted}, so that your approval would not answer it"
                );
            }
        }
        let by = creator(&object).unwrap_or_else(|| "nobody known".into());
        let why = object.pointer("/spec/comment").and_then(Value::as_str).unwrap_or("without a comment");
        Ok(format!("answers the Reject {reject} by {by}: {why}"))
    }
}

/// The content, classification or evidence digest of an object as it was read.
///
/// # Errors
/// A digest that this kind does not have, or one that is not yet known.
pub fn digest_of(
    object: &Value,
    kind: Kind,
    namespace: &str,
    name: &str,
    covers: Covers,
) -> anyhow::Result<String> {
    let spec = object.get("spec").with_context(|| format!("{kind} {name}: wanted a spec, found none"))?;
    match (covers, kind) {
        (Covers::Content, _) => Ok(placet_gate::digest::content(kind, Some(namespace), name, spec)?),
        (Covers::Classification, Kind::AISystem) => {
            Ok(placet_gate::digest::classification(namespace, name, spec)?)
        }
        (Covers::Evidence, Kind::ModelRelease) => {
            let status = |p: &str| object.pointer(p).and_then(Value::as_str);
            let content = placet_gate::digest::content(kind, Some(namespace), name, spec)?;
            if status("/status/digests/content") != Some(content.as_str()) {
                bail!(
                    "mr/{name}: wanted a status for this content, found an older one or none; wait until it is judged"
                );
            }
            let evidence = status("/status/digests/evidence");
            Ok(evidence
                .with_context(|| {
                    format!(
                        "mr/{name}: wanted status.digests.evidence, found none: class, assessment or reports are not yet known; see placet why mr/{name} -n {namespace}"
                    )
                })?
                .to_owned())
        }
        (Covers::Classification, _) => bail!("--covers Classification is for an AISystem, found a {kind}"),
        (Covers::Evidence, _) => bail!("--covers Evidence is for a ModelRelease, found a {kind}"),
    }
}

fn covers(covers: Covers) -> &'static str {
    match covers {
        Covers::Content => "Content",
        Covers::Evidence => "Evidence",
        Covers::Classification => "Classification",
    }
}

/// A date that is still to come.
pub fn later(what: &str, date: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    let at = text::moment(what, date)?;
    if at <= now {
        bail!("{what}: wanted a date that is still to come, found {date}");
    }
    Ok(at)
}

/// Creator from the stamp, as the API server shows it: not verified here, and shown as such by being only a name.
pub fn creator(object: &Value) -> Option<String> {
    writers(object).into_iter().next()
}

/// Creator and editors from the stamp, in the same way. What else a stamp holds is not looked at.
pub fn writers(object: &Value) -> Vec<String> {
    let stamp = object.pointer("/metadata/annotations").and_then(|a| a.get(STAMP)).and_then(Value::as_str);
    let stamp: Value = stamp.and_then(|s| serde_json::from_str(s).ok()).unwrap_or(Value::Null);
    let editors = stamp["editors"].as_array().into_iter().flatten();
    let users = [&stamp["creator"]].into_iter().chain(editors).filter_map(|who| who["user"].as_str());
    users.map(str::to_owned).collect()
}

fn is_author(object: &Value, kind: Kind, user: &str) -> bool {
    let developers = object.pointer("/spec/developers").and_then(Value::as_array);
    let listed = kind == Kind::ModelRelease && developers.is_some_and(|d| d.iter().any(|x| x == user));
    listed || writers(object).iter().any(|c| c == user)
}

/// What is about to be decided on, for the person who decides.
fn describe(cluster: &Cluster, object: &Value, kind: Kind, name: &str) -> Page {
    let field = |p: &str| object.pointer(p).and_then(Value::as_str).unwrap_or("?");
    let list = |p: &str| object.pointer(p).and_then(Value::as_array).cloned().unwrap_or_default();
    let s = |v: &Value, k: &str| v[k].as_str().unwrap_or("?").to_owned();
    let names = |p: &str| list(p).iter().filter_map(|v| v.as_str().map(str::to_owned)).collect::<Vec<_>>();
    let mut out = Page::default();
    out.add(0, &format!("{kind} {name} in namespace {}", cluster.namespace));
    let by = creator(object).unwrap_or_else(|| "nobody known: it carries no stamp".into());
    out.add(2, &format!("created by {by}"));
    match kind {
        Kind::ModelRelease => {
            let (system, version) = (field("/spec/system"), field("/spec/version"));
            out.add(2, &format!("system {system}, version {version}"));
            let (change, reason) = (field("/spec/change/kind"), field("/spec/change/reason"));
            out.add(2, &format!("change {change}: {reason}"));
            for a in list("/spec/artifacts") {
                let (name, role, reference) = (s(&a, "name"), s(&a, "role"), s(&a, "reference"));
                out.add(2, &format!("artefact {name} ({role}) {reference}"));
                out.add(4, &s(&a, "digest"));
            }
            for d in list("/spec/datasets") {
                out.add(2, &format!("dataset {} ({})", s(&d, "name"), s(&d, "use")));
                out.add(4, &s(&d, "digest"));
            }
            let developers = names("/spec/developers");
            if !developers.is_empty() {
                out.add(2, &format!("developed by {}", developers.join(", ")));
            }
            out.add(2, &format!("class {}", field("/status/class")));
            let observed = object.pointer("/status/observedGeneration").and_then(Value::as_i64);
            if observed != object.pointer("/metadata/generation").and_then(Value::as_i64) {
                out.add(2, "not judged at this generation yet: class and findings may be older");
            }
            findings(object, &mut out);
            residual_risks(cluster, field("/spec/system"), &mut out);
        }
        Kind::AISystem => {
            out.add(2, &format!("{}: {}", field("/spec/title"), field("/spec/purpose")));
            out.add(2, &format!("class {}", field("/status/class")));
            for basis in names("/status/classBasis") {
                out.add(4, &basis);
            }
            for part in ["triggers", "derogation", "exceptions", "evaluation"] {
                if let Some(value) = object.get("spec").and_then(|s| s.get(part)) {
                    out.add(2, &format!("{part} {value}"));
                }
            }
        }
        Kind::ImpactAssessment => {
            out.add(2, &format!("system {}, assessed {}", field("/spec/system"), field("/spec/assessedAt")));
            risks_of(object, &mut out);
        }
        _ => {
            out.add(
                2,
                &format!(
                    "assessment {}, risks {}, level {}, until {}",
                    field("/spec/assessment/name"),
                    list("/spec/risks").iter().map(|r| s(r, "id")).collect::<Vec<_>>().join(", "),
                    field("/spec/level"),
                    field("/spec/expiresAt")
                ),
            );
        }
    }
    out
}

/// What the last decision found, other than that approvals are missing; Rejects of others are shown.
fn findings(object: &Value, out: &mut Page) {
    let gates = object.pointer("/status/gates").and_then(Value::as_array);
    for gate in gates.into_iter().flatten() {
        let shown = |f: &&Value| gate["gate"] != "approvals" || f["reason"] == "Rejected";
        for finding in gate["findings"].as_array().into_iter().flatten().filter(shown) {
            let text = |v: &Value| v.as_str().unwrap_or("?").to_owned();
            let (gate, reason) = (text(&gate["gate"]), text(&finding["reason"]));
            out.add(2, &format!("finding, {gate} ({reason}): {}", text(&finding["found"])));
        }
    }
}

/// Residual risks of the assessments of a system.
fn residual_risks(cluster: &Cluster, system: &str, out: &mut Page) {
    match cluster.list(Kind::ImpactAssessment, &cluster.namespace) {
        Ok(all) => {
            let mine: Vec<&Value> = all.iter().filter(|a| a["spec"]["system"] == system).collect();
            if mine.is_empty() {
                out.add(2, &format!("no impact assessment of {system}"));
            }
            for assessment in mine {
                let name = assessment.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("?");
                out.add(2, &format!("assessment {name}"));
                risks_of(assessment, out);
            }
        }
        Err(e) => out.add(2, &format!("residual risks could not be read: {}", text::chain(&e))),
    }
}

fn risks_of(assessment: &Value, out: &mut Page) {
    for (id, level, why) in levels(assessment) {
        let level = level.map_or_else(|| "not computable".to_owned(), |l| l.to_string());
        out.add(4, &format!("residual risk {id}: {level} ({why})"));
    }
}

/// Residual levels of an assessment: id, level, how. The operator's, which knows the policy's matrix, where its status
/// is for this generation; otherwise computed here with the default matrix.
pub fn levels(assessment: &Value) -> Vec<(String, Option<Level>, String)> {
    let generation = assessment.pointer("/metadata/generation").and_then(Value::as_i64);
    let status = assessment.get("status").cloned().unwrap_or(Value::Null);
    let status: Option<placet_api::impactassessment::ImpactAssessmentStatus> =
        serde_json::from_value(status).ok();
    if let Some(status) =
        status.filter(|s| s.observed_generation.is_some() && s.observed_generation == generation)
        && let Some(risks) = status.risks
        && assessment["spec"]["risks"].as_array().is_some_and(|all| all.len() == risks.len())
    {
        return risks
            .into_iter()
            .map(|r| (r.id.to_string(), Some(r.residual), r.arithmetic.to_string()))
            .collect();
    }
    let spec: ImpactAssessmentSpec = match serde_json::from_value(assessment["spec"].clone()) {
        Ok(spec) => spec,
        Err(e) => return vec![("?".into(), None, format!("the assessment is not understood: {e}"))],
    };
    risk::scores(&spec, &risk::ISO_27005)
        .into_iter()
        .zip(&spec.risks)
        .map(|(score, risk)| match score {
            Ok(score) => (score.id, Some(score.residual), score.arithmetic),
            Err(e) => (risk.id.to_string(), None, format!("{e:?}")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answers, cluster};

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
            covers: Covers::Content,
            yes,
            dry_run: false,
            sign_with: None,
            cluster_name: None,
            output: WriteOutput::Name,
        }
    }

    fn release() -> Value {
        json!({"metadata": {"name": "m-2", "generation": 1},
               "spec": {"system": "scoring", "version": "2", "unknownToUs": true, "developers": ["alice"]}})
    }

    fn answers() -> Answers {
        Answers::default()
            .with(SELF, 201, &json!({"status": {"userInfo": {"username": "erin@example.com"}}}))
            .with(RELEASE, 200, &release())
            .with(ASSESSMENTS, 200, &json!({"items": []}))
    }

    #[test]
    fn the_digest_is_that_of_the_raw_object_that_was_shown() {
        let (cluster, asked) = cluster(answers().with(CREATE, 201, &json!({})));
        assert_eq!(run(&cluster, &args(true), Some(&[])).unwrap(), 0);
        let asked = asked.lock().unwrap();
        let wanted =
            placet_gate::digest::content(Kind::ModelRelease, Some("lending"), "m-2", &release()["spec"])
                .unwrap();
        let body = &asked.last().unwrap().body;
        assert_eq!(
            body["spec"]["subject"],
            json!({"kind": "ModelRelease", "name": "m-2", "covers": "Content", "digest": wanted})
        );
        assert_eq!(body["metadata"]["name"], "m-2-risk-officer-erin-example.com");
        assert_eq!(body["spec"]["decision"], "Approve");
        assert_eq!(asked.iter().filter(|a| a.request == RELEASE).count(), 1);
    }

    #[test]
    fn what_the_release_says_cannot_forge_what_is_approved() {
        let forged = format!(
            "1\r\n  class Minimal\u{1b}[1A\u{202e}\u{200b}{}Content digest sha256:0",
            " ".repeat(200)
        );
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
            describe(&cluster, &object, Kind::ModelRelease, "m-2").text().to_owned()
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
        let (cluster, asked) = cluster(answers().with(CREATE, 201, &json!({})));
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
        assert_eq!(names[0], "m-2-risk-officer-erin-example.com-reject");
        assert!(
            names[1] != names[0] && names[2] != names[1] && names.iter().all(|n| n.len() <= 63),
            "{names:?}"
        );
    }

    #[test]
    fn a_reject_is_answered_by_its_name_and_only_if_it_is_about_this() {
        let digest =
            placet_gate::digest::content(Kind::ModelRelease, Some("lending"), "m-2", &release()["spec"])
                .unwrap();
        let reject = |change: &dyn Fn(&mut Value)| {
            let mut object = json!({"metadata": {"name": "no-1", "annotations": {STAMP: r#"{"creator":{"user":"vera"}}"#}},
                "spec": {"subject": {"kind": "ModelRelease", "name": "m-2", "covers": "Content", "digest": digest},
                         "role": "risk-officer", "decision": "Reject", "comment": "no\nreason"}});
            change(&mut object);
            answers()
                .with("GET /apis/placet.dev/v1alpha1/namespaces/lending/approvals/no-1", 200, &object)
                .with(CREATE, 201, &json!({}))
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
        let (said, body) = ask(answers().with(CREATE, 201, &json!({})));
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
            of(&object, Kind::ModelRelease, Covers::Evidence)
                .unwrap_err()
                .contains("wait until it is judged")
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
}
