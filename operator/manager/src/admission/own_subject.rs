//! The subject of an Approval as the API server has it now, and digests that are left out.
//!
//! What watches bring may be older than what somebody looked at, or was made behind them a moment ago. So where a digest is
//! compared or filled in, the subject is asked for, and of a release also its system and its assessment, from which its
//! evidence follows. For our own kinds only: workloads are judged without a request to anybody (invariant 6).

use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use kube::api::DynamicObject;
use placet_api::Kind;
use placet_api::approval::{Covers, Subject, SubjectKind};
use placet_api::scalar::Digest;
use placet_gate::evaluate;
use placet_gate::evidence::Evidence;
use placet_gate::gates::assessment;
use placet_gate::object::{Object, Record, is_ending};
use placet_gate::policy::covers_key;
use placet_gate::stamp::RoleAnswer;
use placet_gate::world::Snapshot;
use serde_json::{Value, json};

use super::review::{Answer, Request};
use super::{Admission, own_role};

/// Webhooks for our own kinds wait 10 s at most, and the API server is asked about a role in up to 4 of them.
const PATIENCE: Duration = Duration::from_secs(4);

/// A subject as it is now.
#[derive(Debug, Default)]
pub struct Live {
    /// The digest that an approval of it must name; None if it is not there, or the digest is not known.
    pub digest: Option<String>,
    /// Its uid.
    pub uid: Option<String>,
    /// A release: what its evidence is made of.
    pub evidence: Option<Evidence>,
}

/// What a decision is stamped for: the subject of an Approval, and of a signed RiskAcceptance the assessment, so that its
/// signature is used for that one.
pub fn of_decision(kind: Kind, spec: &Value) -> Option<Subject> {
    let subject = match kind {
        Kind::Approval => spec.get("subject")?.clone(),
        Kind::RiskAcceptance if spec.get("signed").is_some_and(|signed| !signed.is_null()) => json!({
            "kind": Kind::ImpactAssessment.as_str(), "name": spec.pointer("/assessment/name")?, "covers": "Content",
            "digest": any_digest(),
        }),
        _ => return None,
    };
    serde_json::from_value(subject).ok()
}

/// Where any digest will do to read the rest.
fn any_digest() -> String {
    format!("sha256:{}", "0".repeat(64))
}

/// Asks for the subject of an approval.
///
/// # Errors
/// The API server did not answer.
pub async fn look(a: &Admission, namespace: &str, subject: &Subject) -> Result<Live, Answer> {
    match tokio::time::timeout(PATIENCE, live(a, namespace, subject)).await {
        Ok(Ok(live)) => Ok(live),
        Ok(Err(error)) => Err(unanswered(subject, &error.to_string())),
        Err(_) => Err(unanswered(subject, "no answer in time")),
    }
}

fn unanswered(subject: &Subject, why: &str) -> Answer {
    let what = format!("{} {}", subject.kind.as_str(), subject.name);
    let text = format!("the API server did not say what {what} is now: {why}; try again");
    Answer::deny(503, "ServiceUnavailable", text)
}

async fn live(a: &Admission, namespace: &str, subject: &Subject) -> anyhow::Result<Live> {
    let name = subject.name.as_str();
    let kind = subject.kind.kind();
    if let Some(deleted) = crate::guard::deletion(&a.state.world(), subject) {
        return Ok(deleted);
    }
    let Some(record) = get(a, kind, namespace, name).await? else { return Ok(Live::default()) };
    let uid = Some(record.uid.clone()).filter(|u| !u.is_empty());
    let content = record.digest.clone().ok();
    let mut out = Live { digest: content, uid, evidence: None };
    match kind {
        Kind::ModelRelease => {
            let snapshot = snapshot(a, namespace, name, record).await?;
            let decision = evaluate(&snapshot);
            if subject.covers == Covers::Evidence {
                out.digest = decision.evidence;
            }
            out.evidence = decision.shown.evidence;
        }
        Kind::AISystem if subject.covers == Covers::Classification => {
            let system: Object<placet_api::aisystem::AISystemSpec> = Object::new(record, true);
            out.digest = system.classification;
        }
        _ => {}
    }
    Ok(out)
}

/// Whether an object of this name is there, so that the API server stores no other. False where it does not say: then it
/// answers for itself.
pub async fn is_there(a: &Admission, kind: Kind, namespace: &str, name: &str) -> bool {
    let api = api(a, kind, namespace);
    matches!(tokio::time::timeout(PATIENCE, api.get_metadata_opt(name)).await, Ok(Ok(Some(_))))
}

fn api(a: &Admission, kind: Kind, namespace: &str) -> Api<DynamicObject> {
    let resource = crate::effects::resource(kind);
    if kind.namespaced() {
        Api::namespaced_with(a.client.clone(), namespace, &resource)
    } else {
        Api::all_with(a.client.clone(), &resource)
    }
}

/// An object as it is read; None if it is not there, or on its way out.
async fn get(a: &Admission, kind: Kind, namespace: &str, name: &str) -> anyhow::Result<Option<Record>> {
    let resource = crate::effects::resource(kind);
    let Some(found) = api(a, kind, namespace).get_opt(name).await? else { return Ok(None) };
    let mut found = serde_json::to_value(found)?;
    // A stand-in or a proxy may leave them out of a single object.
    found["apiVersion"] = resource.api_version.clone().into();
    found["kind"] = resource.kind.clone().into();
    if is_ending(&found) {
        return Ok(None);
    }
    let (record, names) = a.state.reading.read(&found)?;
    a.state.learn(names);
    Ok(Some(record))
}

/// What the decision on a release reads, with the release, its system and its assessment as they are now.
async fn snapshot(a: &Admission, namespace: &str, name: &str, release: Record) -> anyhow::Result<Snapshot> {
    let clock = a.state.gate_clock();
    let mut snapshot = a.state.world().snapshot(namespace, name, clock);
    // Another object than the watches know: what belongs to it is not known yet.
    if snapshot.release.as_ref().is_none_or(|r| r.record.uid != release.uid) {
        snapshot.release = None;
        return Ok(snapshot);
    }
    snapshot.release = Some(Arc::new(Object::new(release, true)));
    let system = snapshot.system.as_ref().map(|s| s.name().to_owned());
    let current = match assessment::current(&snapshot).as_slice() {
        [one] if one.live => Some(one.name().to_owned()),
        _ => None,
    };
    let ask = async |kind, name: Option<&String>| match name {
        Some(name) => get(a, kind, namespace, name).await,
        None => Ok(None),
    };
    let (system, current) = tokio::try_join!(
        ask(Kind::AISystem, system.as_ref()),
        ask(Kind::ImpactAssessment, current.as_ref())
    )?;
    snapshot.system = system.map(|record| Arc::new(Object::new(record, true)));
    for known in snapshot.assessments.iter_mut().filter(|k| k.live) {
        if let Some(record) = current.as_ref().filter(|r| r.name == known.name()) {
            *known = Arc::new(Object::new(record.clone(), true));
        }
    }
    Ok(snapshot)
}

/// A digest that is filled in, and what was asked on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// The digest.
    pub digest: String,
    /// What the API server said of the sender's role; None if it was not asked, since nothing changes.
    pub role: Option<RoleAnswer>,
}

/// The digest that is filled into an Approval that names none; None if it names one. Who does not hold the role hears of the
/// role alone: neither whether there is such a release, nor its class, nor what a policy says.
///
/// # Errors
/// It is not for this sender, this subject or this policy: the answer has the command that writes it.
pub async fn fill(a: &Admission, request: &Request) -> Result<Option<Filled>, Answer> {
    let object = &request.object;
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let Some(subject) = spec.get("subject").and_then(Value::as_object) else { return Ok(None) };
    let empty = |subject: &serde_json::Map<String, Value>| {
        subject.get("digest").is_none_or(|d| d.is_null() || d.as_str() == Some(""))
    };
    if object.get("kind").and_then(Value::as_str) != Some(Kind::Approval.as_str()) || !empty(subject) {
        return Ok(None);
    }
    let namespace = request.namespace.as_str();
    let mut whole = Value::Object(subject.clone());
    whole["digest"] = json!(any_digest());
    let Ok(asked) = serde_json::from_value::<Subject>(whole) else { return Ok(None) };
    let role = spec.get("role").and_then(Value::as_str).unwrap_or_default();
    let refused = |why: &str| refusal(namespace, &asked, role, why);
    may_leave_out(request).map_err(|why| refused(&why))?;
    // The same as before: who applies it again changes nothing.
    let before = request.old().and_then(|old| old.pointer("/spec/subject")?.as_object());
    if let Some(before) = before.filter(|b| !empty(b)) {
        let digest = before.get("digest").and_then(Value::as_str);
        return Ok(digest.map(|digest| Filled { digest: digest.to_owned(), role: None }));
    }
    own_role::exists(&a.state.world(), role).map_err(Answer::forbid)?;
    let answered = own_role::ask(a, request, None, spec, a.state.now()).await?;
    let user = request.user_info.username.as_str();
    own_role::may_decide(a, &a.state.world(), user, Some(&answered)).map_err(Answer::forbid)?;
    fills(a, namespace, &asked, role).map_err(|why| refused(&why))?;
    let found = look(a, namespace, &asked).await?.digest;
    let found = found.filter(|d| Digest::new(d.clone()).is_ok());
    let filled = found.map(|digest| Some(Filled { digest, role: Some(answered) }));
    filled.ok_or_else(|| refused("the digest of its subject is not known, or there is no such subject"))
}

/// Accounts of programs, whose names the API server keeps from people.
const PROGRAMS: [&str; 2] = ["system:serviceaccount:", "system:node:"];

/// Whether a sender may leave a digest out, whatever it is of.
fn may_leave_out(request: &Request) -> Result<(), String> {
    let user = &request.user_info.username;
    if PROGRAMS.iter().any(|p| user.starts_with(p)) {
        return Err(format!(
            "{user} is no person, and what travels through Git says itself what was looked at"
        ));
    }
    if request.object.pointer("/spec/signed").is_some_and(|s| !s.is_null()) {
        return Err("a signature covers the digest".into());
    }
    Ok(())
}

/// Whether the policies that apply to a subject say that its digest is filled in.
fn fills(a: &Admission, namespace: &str, subject: &Subject, role: &str) -> Result<(), String> {
    if subject.kind != SubjectKind::ModelRelease {
        return Err("it is filled in for releases only".into());
    }
    let snapshot = a.state.world().snapshot(namespace, subject.name.as_str(), a.state.gate_clock());
    let class = snapshot.class();
    let Some(class) = class else { return Err("the release's class is not known".into()) };
    let matched = snapshot.policies.matching(Some(class), &snapshot.namespace_labels);
    let asked = matched.joined.requirements.as_ref().ok().filter(|_| matched.unclear.is_empty());
    let asks = asked.and_then(|r| r.approvals.get(&(role.to_owned(), covers_key(subject.covers))));
    if asks.is_some_and(|r| r.fill) {
        return Ok(());
    }
    let covers = subject.covers;
    Err(format!(
        "no policy says emptyDigest: Fill for approvals by {role} that cover {covers} of a release of class {class}"
    ))
}

fn refusal(namespace: &str, subject: &Subject, role: &str, why: &str) -> Answer {
    let kind = subject.kind.kind().short();
    let covers = match (subject.kind, subject.covers) {
        (SubjectKind::ModelRelease, _) | (_, Covers::Content) => String::new(),
        (_, covers) => format!(" --covers {covers}"),
    };
    Answer::forbid(format!(
        "spec.subject.digest: wanted the digest of what you looked at, found none, and it is not filled in: {why}; \
         placet approve {kind}/{} --role {role}{covers} -n {namespace} shows what there is and writes it",
        subject.name
    ))
}

#[cfg(test)]
#[path = "own_subject_tests.rs"]
mod tests;
