//! Who may weaken a namespace's label, and the record of it.

use std::collections::BTreeMap;

use placet_api::keys;
use placet_evidence::{Enforcement, GapReason, NewRecord, Payload, Subject};
use placet_gate::admission::Mode;

use super::Admission;
use super::review::{Answer, Request};
use crate::stores::labels;

/// How strict a mode is; no label is 0.
fn strictness(value: Option<&String>) -> u8 {
    let Some(value) = value else { return 0 };
    let labels = BTreeMap::from([(keys::ENFORCE.to_owned(), value.clone())]);
    match Mode::of(&labels) {
        Some((Mode::Deny | Mode::Hold, _)) => 3,
        Some((Mode::Warn, _)) => 2,
        Some((Mode::Audit, _)) => 1,
        None => 0,
    }
}

/// What is to be said of a namespace's labels: a value that is none of the modes, and keys of ours that mean nothing.
fn notes(labels: &BTreeMap<String, String>) -> Vec<String> {
    let prefix = format!("{}/", keys::GROUP);
    let unknown = labels.keys().filter(|key| key.starts_with(&prefix) && *key != keys::ENFORCE);
    let unknown = unknown.map(|key| {
        format!(
            "the label {key} of a namespace means nothing to Placet, wanted {}: nothing is enforced by it",
            keys::ENFORCE
        )
    });
    Mode::of(labels).and_then(|(_, note)| note).into_iter().chain(unknown).collect()
}

/// Judges a change of a namespace's labels.
pub async fn answer(a: &Admission, request: &Request) -> Answer {
    if request.object.pointer("/metadata/deletionTimestamp").is_some() {
        return Answer::allow();
    }
    let of = |object| labels(object, "/metadata/labels");
    let (was, is) = (request.old().map(of), of(&request.object));
    let mut answer = Answer::allow();
    if was.as_ref() != Some(&is) {
        answer.warnings = notes(&is);
    }
    // A namespace that is new had no mode that could be weakened; what it has is seen and recorded with the first use of it.
    let Some(mut was) = was else { return answer };
    let (before, after) = (was.remove(keys::ENFORCE), is.get(keys::ENFORCE).cloned());
    if before == after {
        return answer;
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
