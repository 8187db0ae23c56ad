//! Who may weaken a namespace's label, and the record of it.

use placet_api::keys;
use placet_evidence::{Enforcement, GapReason, NewRecord, Payload, Subject};
use placet_gate::admission::Mode;

use super::Admission;
use super::review::{Answer, Request};
use crate::stores::labels;

/// How strict a mode is; no label is 0.
fn strictness(value: Option<&String>) -> u8 {
    let Some(value) = value else { return 0 };
    let labels = std::collections::BTreeMap::from([(keys::ENFORCE.to_owned(), value.clone())]);
    match Mode::of(&labels) {
        Some((Mode::Deny | Mode::Hold, _)) => 3,
        Some((Mode::Warn, _)) => 2,
        Some((Mode::Audit, _)) => 1,
        None => 0,
    }
}

/// Judges an UPDATE of a namespace.
pub async fn answer(a: &Admission, request: &Request) -> Answer {
    let Some(old) = request.old() else { return Answer::allow() };
    if request.operation != "UPDATE" || request.object.pointer("/metadata/deletionTimestamp").is_some() {
        return Answer::allow();
    }
    let label = |object| labels(object, "/metadata/labels").remove(keys::ENFORCE);
    let (before, after) = (label(old), label(&request.object));
    if before == after {
        return Answer::allow();
    }
    let mut answer = Answer::allow();
    if let Some(note) = after
        .as_ref()
        .and_then(|value| {
            Mode::of(&std::collections::BTreeMap::from([(keys::ENFORCE.to_owned(), value.clone())]))
        })
        .and_then(|(_, note)| note)
    {
        answer.warnings.push(note);
    }
    if strictness(after.as_ref()) < strictness(before.as_ref()) {
        let shown = |v: &Option<String>| v.clone().unwrap_or_else(|| "no label".into());
        match crate::access::may_weaken(&a.client, &request.user_info).await {
            Ok(true) => {}
            Ok(false) => {
                return Answer::forbid(format!(
                    "{}: going from {} to {} weakens the gate, which needs the verb enforce on releasepolicies.placet.dev; \
                     {} does not have it; ask the platform team",
                    keys::ENFORCE,
                    shown(&before),
                    shown(&after),
                    request.user_info.username
                ));
            }
            Err(error) => {
                return Answer::deny(
                    503,
                    "ServiceUnavailable",
                    format!(
                        "the API server did not say whether you may weaken {}: {error}; try again",
                        keys::ENFORCE
                    ),
                );
            }
        }
    }
    if request.dry() {
        return answer;
    }
    let user = request.user_info.username.as_str();
    let body = Enforcement { before, after, seen: true };
    let subject = Subject::new("Namespace", None, &request.name);
    let record = NewRecord::new(a.state.now(), subject, Payload::Enforcement(body)).with_actor(user);
    match a.ledger.append(record).await {
        Ok(_) => answer,
        // Taking the label off is the way out when the log is full: it passes, and is found and recorded afterwards.
        Err(error) => {
            a.ledger.missed(GapReason::Unwritable, &error);
            answer.warnings.push(format!("the evidence log cannot be written: {error}"));
            answer
        }
    }
}
