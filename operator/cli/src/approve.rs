//! `placet approve` and `placet reject`: show what is decided on, bind the decision to that content.

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use placet_api::Kind;
use placet_api::common::Level;
use placet_api::impactassessment::ImpactAssessmentSpec;
use placet_api::keys::{GROUP, STAMP, VERSION};
use placet_gate::risk;
use serde_json::{Value, json};

use crate::args::{ApproveArgs, Covers, WriteOutput};
use crate::cluster::{Cluster, Refused};
use crate::text::Page;
use crate::{sys, target, text, yaml};

/// Runs the command: `approve` or else reject.
pub fn run(cluster: &Cluster, args: &ApproveArgs, approve: bool) -> anyhow::Result<u8> {
    let verb = if approve { "approve" } else { "reject" };
    let mut kinds = vec![Kind::ModelRelease, Kind::AISystem, Kind::ImpactAssessment];
    if !approve {
        kinds.push(Kind::RiskAcceptance);
    }
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
    if args.dry_run || args.output == WriteOutput::Yaml {
        return made.show(cluster);
    }
    sys::confirm(&format!("{}{} it?", verb[..1].to_uppercase(), &verb[1..]), args.yes)?;
    made.create(cluster, now)
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
fn creator(object: &Value) -> Option<String> {
    let stamp = object.get("metadata")?.get("annotations")?.get(STAMP)?.as_str()?;
    let stamp: placet_gate::stamp::StampText = serde_json::from_str(stamp).ok()?;
    Some(stamp.creator.user)
}

fn is_author(object: &Value, kind: Kind, user: &str) -> bool {
    let developers = object.pointer("/spec/developers").and_then(Value::as_array);
    let listed = kind == Kind::ModelRelease && developers.is_some_and(|d| d.iter().any(|x| x == user));
    listed || creator(object).is_some_and(|c| c == user)
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
                    names("/spec/risks").join(", "),
                    field("/spec/level"),
                    field("/spec/expiresAt")
                ),
            );
        }
    }
    out
}

/// What the last decision found, other than that approvals are missing.
fn findings(object: &Value, out: &mut Page) {
    let gates = object.pointer("/status/gates").and_then(Value::as_array);
    for gate in gates.into_iter().flatten().filter(|g| g["gate"] != "approvals") {
        for finding in gate["findings"].as_array().into_iter().flatten() {
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

/// An object that is about to be created.
#[derive(Debug)]
pub struct Made {
    /// Its kind.
    pub kind: Kind,
    /// The name that it should have.
    pub name: String,
    /// Its spec.
    pub spec: Value,
}

impl Made {
    fn object(&self, cluster: &Cluster, name: &str) -> Value {
        json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": self.kind.as_str(),
            "metadata": {"name": name, "namespace": cluster.namespace},
            "spec": self.spec,
        })
    }

    /// Prints it and creates nothing.
    pub fn show(&self, cluster: &Cluster) -> anyhow::Result<u8> {
        sys::print(&yaml::document(&self.object(cluster, &self.name)))?;
        Ok(0)
    }

    /// Creates it, under a name with a hash where the name is taken: decisions are immutable, a new one is a new object.
    pub fn create(&self, cluster: &Cluster, now: Timestamp) -> anyhow::Result<u8> {
        let content = self.spec.to_string();
        let names = [
            self.name.clone(),
            text::with_hash(&self.name, &content),
            text::with_hash(&self.name, &format!("{content}{now}")),
        ];
        for name in &names {
            match cluster.create(self.kind, &self.object(cluster, name)) {
                Ok(_) => {
                    sys::print(&format!("{}.{GROUP}/{name} created\n", self.kind.as_str().to_lowercase()))?;
                    return Ok(0);
                }
                Err(e) if e.downcast_ref::<Refused>().is_some_and(|r| r.reason == "AlreadyExists") => {
                    sys::tell(&format!("note: {} {name} exists already; taking another name", self.kind));
                }
                Err(e) => return Err(e),
            }
        }
        bail!("{}: wanted a free name, found {} taken", self.kind, names.join(", "))
    }
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
        assert_eq!(run(&cluster, &args(true), true).unwrap(), 0);
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
            let e = run(&cluster, &args(false), true).unwrap_err().to_string();
            assert!(e.contains("give --yes"), "{e}");
        }
        let dry = ApproveArgs { dry_run: true, ..args(false) };
        assert_eq!(run(&cluster, &dry, false).unwrap(), 0);
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
        assert_eq!(run(&cluster, &args(true), true).unwrap_err().to_string(), said);
    }

    #[test]
    fn a_name_that_is_taken_gets_a_hash() {
        let taken = json!({"kind": "Status", "reason": "AlreadyExists", "message": "exists"});
        let (cluster, asked) = cluster(answers().with(CREATE, 409, &taken));
        assert!(run(&cluster, &args(true), false).is_err());
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
