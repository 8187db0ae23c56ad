//! Refused writes of our own kinds, and of the label of a namespace: who tried what is recorded as any governed answer is
//! (invariant 5). Each person's same refusal of the same object is one record, then a count.

use placet_evidence::budget::Refusal;
use placet_evidence::{Admission as Body, Effect, NewRecord, Operation, Payload, Subject};
use serde_json::Value;

use super::Admission;
use super::review::{Answer, Request};
use crate::ledger::Repeat;
use crate::stores::text;

/// What such a record says for the mode: these answers do not depend on one.
const MODE: &str = "own";

/// The answer, once it is recorded, if it is a refusal. One that has no record for want of room or of a disk is a refusal all the
/// same: nothing has changed by it.
pub async fn recorded(a: &Admission, request: &Request, mut answer: Answer) -> Answer {
    let refused = answer.denied.as_ref().filter(|(code, ..)| matches!(code, 403 | 422));
    let Some(reason) = refused.map(|(_, reason, _)| (*reason).to_owned()) else { return answer };
    if request.dry() {
        return answer;
    }
    let now = a.state.now();
    let (kind, namespace) = (request.kind.kind.as_str(), request.namespace.as_str());
    let object =
        if request.operation == "DELETE" { request.old().unwrap_or(&Value::Null) } else { &request.object };
    let name = match (request.name.as_str(), text(object, "/metadata/generateName")) {
        ("", prefix) => format!("{prefix}*"),
        (name, _) => name.to_owned(),
    };
    let op = match request.operation.as_str() {
        "CREATE" => Operation::Create,
        "DELETE" => Operation::Delete,
        _ => Operation::Update,
    };
    let user = request.user_info.username.as_str();
    let who = format!("{kind} {name} {op:?} by {}", a.state.reading.people.person(user).token());
    let reasons = vec![reason];
    let refusal = Refusal {
        namespace: namespace.to_owned(),
        owner: who,
        effect: Effect::Deny,
        reasons: reasons.clone(),
    };
    let (Repeat::Record, repeats) = a.ledger.refusal(&refusal, now) else {
        return answer;
    };
    let inside = Some(namespace).filter(|n| !n.is_empty() && kind != "Namespace");
    let about = Subject::new(kind, inside, &name);
    let body = Body {
        effect: Effect::Deny,
        mode: MODE.to_owned(),
        op,
        group: request.kind.group.clone(),
        version: request.kind.version.clone(),
        kind: kind.to_owned(),
        subresource: request.sub_resource.clone().filter(|s| !s.is_empty()),
        namespace: namespace.to_owned(),
        name,
        request: request.uid.clone(),
        uid: Some(text(object, "/metadata/uid").to_owned()).filter(|uid| !uid.is_empty()),
        owner_uid: None,
        owner_kind: None,
        release: None,
        decision: None,
        cleared: false,
        pod_content: None,
        replicas: None,
        raised_from: None,
        replacement: false,
        reasons,
        repeats,
    };
    match a.ledger.append(NewRecord::new(now, about, Payload::Admission(body)).with_actor(user)).await {
        Ok(appended) => {
            answer.audit.insert("record", appended.index.to_string());
        }
        Err(error) => {
            a.ledger.unrecorded(&refusal, repeats, now);
            tracing::error!(%error, "a refusal of a write to one of our kinds is counted: its record could not be written");
        }
    }
    answer
}

#[cfg(test)]
#[path = "refused_tests.rs"]
mod tests;
