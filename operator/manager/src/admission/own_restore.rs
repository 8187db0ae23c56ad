//! Restoring: who holds the verb `restore` on a kind and creates an object that carries a stamp keeps what it says of its
//! author, if its receipt verifies, the log has the record that it names, and nobody took back what it decides. The object
//! is stamped anew with who restored it, since the stamp of before ended with the object that it was on.

use std::sync::Arc;

use jiff::Timestamp;
use placet_api::{Kind, keys};
use placet_evidence::source::read_record;
use placet_evidence::{CREATOR, Log, Payload, SIGNER};
use placet_gate::object::Record;
use placet_gate::people::Person;
use placet_gate::stamp::{self, Identity, Place, Restored, StampText};
use serde_json::Value;

use super::Admission;
use super::own_mutate::annotation;
use super::review::{Answer, Request};

/// What becomes of the stamp that a new object carries.
#[derive(Debug)]
pub enum Carried {
    /// It carries none, or is not new.
    Nothing,
    /// It is not kept: the sender becomes its creator. Why, for them to read.
    NotKept(String),
    /// It stands.
    Restored(Box<StampText>),
}

/// Judges the stamp that an object carries at its creation.
///
/// # Errors
/// The answer: what it decides was taken back, or it cannot be told now.
pub async fn carried(
    a: &Admission,
    request: &Request,
    object: &Value,
    place: Place<'_>,
    content: &str,
) -> Result<Carried, Answer> {
    let (text, receipt) = (annotation(object, keys::STAMP), annotation(object, keys::RECEIPT));
    // A preview of `kubectl --dry-run=server` carries a stamp without a receipt.
    if request.operation != "CREATE" || text.is_none() || receipt.is_none() {
        return Ok(Carried::Nothing);
    }
    let kind = place.kind;
    let plural = kind.plural();
    let not_kept = |why: &str, mend: &str| {
        Ok(Carried::NotKept(format!(
            "the stamp that it carries is not kept, and {} is its creator: {why}; {mend}",
            request.user_info.username
        )))
    };
    let mend = "have its author apply it, or give the decision anew";
    let stamp = match stamp::verify(&a.state.reading.keys, place, text, receipt, content) {
        Ok(stamp) => stamp,
        Err(why) => return not_kept(&why.to_string(), mend),
    };
    let may = crate::access::may_restore(&a.client, &request.user_info, kind).await.map_err(|error| {
        let who = &request.user_info.username;
        unavailable(format!(
            "the API server did not say whether {who} may restore {plural}: {error}; try again"
        ))
    })?;
    if !may {
        let why =
            format!("wanted the verb {} on {plural}.{}, which is not held", keys::VERB_RESTORE, keys::GROUP);
        return not_kept(&why, "restore by an account that holds it (kubectl auth can-i -A restore …)");
    }
    let Some(index) = stamp.record else {
        return not_kept("it names no record of the log", mend);
    };
    if !recorded(a, index, place, &stamp).await? {
        return not_kept(&format!("the log has no record of it at {index}"), mend);
    }
    let namespace = place.namespace.unwrap_or_default();
    if decides(kind, object)
        && let Some(record) = a.state.deletions.by_somebody(kind, namespace, place.name, index)
    {
        return Err(Answer::forbid(format!(
            "{kind} {}: wanted one that nobody took back, found that somebody deleted it (record {record}), which ended it \
             for good; what is still meant is given anew, under another name",
            place.name
        )));
    }
    if let Some(newer) = newer(a, place, &stamp) {
        return not_kept(&format!("the log knows a version of {newer}, later than this one"), mend);
    }
    Ok(Carried::Restored(Box::new(stamp)))
}

/// The stamp of the object in its new life.
pub fn restored(
    mut stamp: StampText,
    by: Identity,
    at: Timestamp,
    a: &Admission,
    place: Place<'_>,
) -> StampText {
    let from = stamp.record.unwrap_or_default();
    let namespace = place.namespace.unwrap_or_default();
    let before = stamp.restored.take().and_then(|r| r.uid);
    let uid = before
        .or_else(|| a.state.deletions.uid_of(place.kind, namespace, place.name, from))
        .or_else(|| lives(a, place, &stamp).next().map(|record| record.uid).filter(|uid| !uid.is_empty()));
    let by = Identity { groups: Vec::new(), ..by };
    stamp.restored = Some(Restored { by, at, from, uid });
    stamp
}

/// Who stands behind an object beside who sent it, and in which field of its record.
pub fn others(
    a: &Admission,
    record: &Record,
    stamp: &StampText,
    sender: &str,
) -> Vec<(&'static str, String)> {
    let mut others = Vec::new();
    if stamp.restored.is_some() {
        others.push((CREATOR, stamp.creator.user.clone()));
    }
    others.extend(stamp.role.as_ref().and_then(|r| r.user.clone()).map(|user| (SIGNER, user)));
    if record.kind.authored() {
        others.extend(super::signed::author_of(a, record).map(|user| (SIGNER, user)));
    }
    others.retain(|(_, user)| user != sender);
    others
}

/// What people take back by deleting it.
fn decides(kind: Kind, object: &Value) -> bool {
    let decision = object.pointer("/spec/decision").and_then(Value::as_str);
    kind == Kind::RiskAcceptance || kind == Kind::Approval && decision != Some("Reject")
}

/// Versions of the object that are gone and were written by the same hand at the same moment.
fn lives(a: &Admission, place: Place<'_>, stamp: &StampText) -> impl Iterator<Item = Record> + use<> {
    let creator = a.state.reading.people.person(&stamp.creator.user);
    let at = stamp.created_at;
    let former = a.state.world().former(place.kind, place.namespace.unwrap_or_default(), place.name);
    let same = move |r: &Record| standing(r).is_some_and(|s| s.0 == creator && s.1 == at);
    former.into_iter().filter(same)
}

fn standing(record: &Record) -> Option<(Person, Timestamp, Timestamp)> {
    match &record.stamp {
        placet_gate::object::Stamp::Valid(s) => Some((s.creator.clone(), s.created_at, s.changed_at)),
        placet_gate::object::Stamp::Invalid { .. } => None,
    }
}

/// When a later version of the object than the stamped one was written, of kinds whose versions are kept.
fn newer(a: &Admission, place: Place<'_>, stamp: &StampText) -> Option<Timestamp> {
    let changed = stamp.editors.last().map_or(stamp.created_at, |e| e.at);
    let former = a.state.world().former(place.kind, place.namespace.unwrap_or_default(), place.name);
    former.iter().filter_map(standing).map(|(_, _, at)| at).filter(|at| *at > changed).max()
}

/// Whether the log's record at an index is of this very stamp on this object.
async fn recorded(a: &Admission, index: u64, place: Place<'_>, stamp: &StampText) -> Result<bool, Answer> {
    let log: Arc<Log> = Arc::clone(a.ledger.log());
    let read = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let head = log.publish_now()?;
        Ok(if index < head.size { read_record(log.source(), index, head.size)? } else { None })
    });
    let failed = |why: String| unavailable(format!("the log could not be read: {why}; try again"));
    let record = read.await.map_err(|e| failed(e.to_string()))?.map_err(|e| failed(e.to_string()))?;
    Ok(record.is_some_and(|record| match &record.payload {
        Payload::Stamp(body) => {
            *body.stamp.as_bytes() == stamp.digest()
                && body.kind == place.kind.as_str()
                && body.namespace.as_deref() == place.namespace
                && body.name == place.name
        }
        _ => false,
    }))
}

fn unavailable(why: String) -> Answer {
    Answer::deny(503, "ServiceUnavailable", why)
}

#[cfg(test)]
#[path = "own_restore_tests.rs"]
mod tests;
