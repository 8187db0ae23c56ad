//! Stamping our own kinds: who wrote an object is taken from the request, never from the object (invariant 3).

use std::collections::BTreeSet;

use placet_api::{Kind, keys};
use placet_evidence::{CREATOR, Digest, NewRecord, Operation, Payload, Stamped, Subject};
use placet_gate::object::{Stamp, place_of};
use placet_gate::stamp::{self, Edit, Identity, Place, RoleAnswer, StampText};
use placet_gate::{digest, world};
use serde_json::{Value, json};

use super::own_restore::{self, Carried};
use super::own_subject::Filled;
use super::review::{Answer, Request, UserInfo};
use super::{Admission, own_reject, own_report, own_role, own_subject};
use crate::ledger::Repeat;

/// Stamps the object of a CREATE or UPDATE, and fills in the digest of an Approval that names none, where that may be.
pub async fn answer(a: &Admission, request: &Request) -> Answer {
    if request.operation == "DELETE" {
        return Answer::allow();
    }
    let place = match place(request) {
        Ok(place) => place,
        Err(invalid) => return invalid,
    };
    if let Some(taken) = taken(a, request, &place).await {
        return taken;
    }
    match own_subject::fill(a, request).await {
        Err(refused) => refused,
        Ok(None) => stamped(a, request, &request.object, place, None).await,
        Ok(Some(Filled { digest, role })) => {
            let mut object = request.object.clone();
            object["spec"]["subject"]["digest"] = digest.clone().into();
            let mut answer = stamped(a, request, &object, place, role).await;
            if answer.denied.is_none() {
                answer.patch.push(json!({"op": "add", "path": "/spec/subject/digest", "value": digest}));
            }
            answer
        }
    }
}

/// Kind, namespace and name of the object.
fn place(request: &Request) -> Result<(Kind, Option<String>, String), Answer> {
    let generated = request.object.pointer("/metadata/generateName").and_then(Value::as_str);
    if generated.is_some_and(|g| !g.is_empty()) {
        return Err(Answer::invalid(
            "metadata.generateName: wanted metadata.name, since the name is part of what is signed, found generateName; \
             give the object a name",
        ));
    }
    place_of(&request.object).map_err(|error| Answer::invalid(error.to_string()))
}

/// Whether somebody decides something there.
fn decides(kind: Kind) -> bool {
    matches!(kind, Kind::Approval | Kind::RiskAcceptance)
}

/// What the API server is going to answer where a decision has a name that is taken: it is not recorded as said, and a Reject
/// that never comes to be is not waited for.
async fn taken(
    a: &Admission,
    request: &Request,
    (kind, namespace, name): &(Kind, Option<String>, String),
) -> Option<Answer> {
    let created = request.operation == "CREATE" && decides(*kind);
    if !created || !own_subject::is_there(a, *kind, namespace.as_deref().unwrap_or_default(), name).await {
        return None;
    }
    let text = format!("{}.{} \"{name}\" already exists", kind.plural(), keys::GROUP);
    Some(Answer::deny(409, "AlreadyExists", text))
}

/// `asked`: what the API server said of the sender's role, where it was asked before.
async fn stamped(
    a: &Admission,
    request: &Request,
    object: &Value,
    (kind, namespace, name): (Kind, Option<String>, String),
    asked: Option<RoleAnswer>,
) -> Answer {
    let decides = decides(kind);
    let place =
        Place { cluster: &a.state.reading.cluster, kind, namespace: namespace.as_deref(), name: &name };
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let content = match digest::content(kind, namespace.as_deref(), &name, spec) {
        Ok(content) => content,
        Err(error) => return Answer::invalid(error.to_string()),
    };
    let now = match a.state.gate_clock() {
        world::Clock::Trusted(now) => now,
        world::Clock::Untrusted { why, .. } => {
            return Answer::deny(
                503,
                "ServiceUnavailable",
                format!("nothing is stamped while the clock cannot be trusted: {why}; try again"),
            );
        }
    };
    let old = request.old();
    let old_stamp = old.and_then(|old| stamp_of(a, place, old));
    if let (Some(old), Some(_)) = (old, old_stamp.as_ref().filter(|s| s.spec == content)) {
        // Restores a stamp that was dropped or changed. The content is the same: nobody becomes an editor, and setting
        // `withdrawn` needs no room for another one.
        return patched(object, annotation(old, keys::STAMP), annotation(old, keys::RECEIPT));
    }
    let identity = identity(&a.state.world(), &request.user_info, decides);
    let mut warnings = Vec::new();
    let restored = match own_restore::carried(a, request, object, place, &content).await {
        Ok(Carried::Restored(stamp)) => Some(own_restore::restored(*stamp, identity.clone(), now, a, place)),
        Ok(Carried::Nothing) => None,
        Ok(Carried::NotKept(why)) => {
            warnings.push(why);
            None
        }
        Err(answer) => return answer,
    };
    let is_restored = restored.is_some();
    let mut stamp = match old_stamp.or(restored) {
        Some(stamp) if is_restored => stamp,
        Some(mut stamp) => {
            if let Err(full) = edited(&mut stamp, identity, now, !kind.namespaced()) {
                return Answer::forbid(full);
            }
            stamp
        }
        None => StampText::new(identity, now),
    };
    stamp.spec = content;
    stamp.record = None;
    if request.operation == "UPDATE" {
        stamp.uid = object.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
    }
    if decides && !is_restored {
        let signer = match super::signed::signer(a, object, now) {
            Ok(signer) => signer,
            Err(why) => return Answer::forbid(why),
        };
        stamp.role = match asked.filter(|_| signer.is_none()) {
            Some(answered) => Some(RoleAnswer { at: now, ..answered }),
            None => match own_role::ask(a, request, signer.as_ref(), spec, now).await {
                Ok(answered) => Some(answered),
                Err(answer) => return answer,
            },
        };
    }
    if kind == Kind::TestReport && !is_restored {
        match own_report::look(a, request, spec, now).await {
            Ok((reports, asked)) => (stamp.reports, stamp.asked) = (reports, Some(asked)),
            Err(answer) => return answer,
        }
    }
    if let Some(subject) = own_subject::of_decision(kind, spec).filter(|_| !is_restored) {
        match own_subject::look(a, namespace.as_deref().unwrap_or_default(), &subject).await {
            Ok(live) => {
                stamp.subject_uid = live.uid;
                stamp.evidence = live.evidence.map(|e| Box::new(e.bounded()));
            }
            Err(answer) => return answer,
        }
    }
    // A dry run gets the identity without a signature and a record: nothing that a dry run returns can ever count.
    if !request.dry() {
        match record(a, request, place, object, &stamp, now).await {
            Ok(index) => stamp.record = Some(index),
            Err(answer) => return answer,
        }
    }
    let text = match serde_json::to_string(&stamp) {
        Ok(text) => text,
        Err(error) => return Answer::invalid(format!("the stamp cannot be written: {error}")),
    };
    let receipt = (!request.dry()).then(|| stamp::sign(&a.receipts, place, &stamp));
    Answer { warnings, ..patched(object, Some(&text), receipt.as_deref()) }
}

/// The stamp of an object before it is changed, if it counts.
fn stamp_of(a: &Admission, place: Place<'_>, old: &Value) -> Option<StampText> {
    let spec = old.get("spec").unwrap_or(&Value::Null);
    let content = digest::content(place.kind, place.namespace, place.name, spec).ok()?;
    let (text, receipt) = (annotation(old, keys::STAMP), annotation(old, keys::RECEIPT));
    let held = stamp::verify(&a.state.reading.keys, place, text, receipt, &content).ok();
    held.filter(|_| a.state.read(old).is_ok_and(|(record, _)| matches!(record.stamp, Stamp::Valid(_))))
}

/// Records a stamping. Index of the record, which is durable.
async fn record(
    a: &Admission,
    request: &Request,
    place: Place<'_>,
    object: &Value,
    stamp: &StampText,
    now: jiff::Timestamp,
) -> Result<u64, Answer> {
    let exempt = own_reject::exempt(a, (object, request.old()), stamp).map_err(Answer::forbid)?;
    if !(exempt && a.state.coming.may_stamp(&request.user_info.username))
        && a.ledger.effective(place.namespace.unwrap_or_default(), now) == Repeat::Exhausted
    {
        return Err(super::used_up(place.namespace.unwrap_or_default()));
    }
    let content: Digest = stamp.spec.parse().map_err(|error| Answer::invalid(format!("spec: {error}")))?;
    let mut subject = Subject::new(place.kind.as_str(), place.namespace, place.name);
    subject.digest = Some(content);
    let body = Stamped {
        op: if request.operation == "CREATE" { Operation::Create } else { Operation::Update },
        kind: place.kind.to_string(),
        namespace: place.namespace.map(str::to_owned),
        name: place.name.to_owned(),
        content,
        key: stamp::key_id(&a.receipts.verifying_key()),
        stamp: Digest::from_bytes(stamp.digest()),
    };
    let mut new = NewRecord::new(now, subject, Payload::Stamp(body)).with_actor(&request.user_info.username);
    if stamp.restored.is_some() {
        new = new.with_personal(CREATOR, &stamp.creator.user);
    }
    a.ledger.append(new).await.map(|appended| appended.index).map_err(|error| super::unwritable(&error))
}

/// Whether writing an object with this spec over `old` can only stop something: a Reject, or the withdrawal of a release
/// that is there. No budget keeps it out, or whoever uses it up could not be stopped. A release that begins withdrawn
/// stops nothing.
pub fn blocks(spec: &Value, old: Option<&Value>) -> bool {
    let withdrawn = |spec: &Value| spec.get("withdrawn").and_then(Value::as_bool) == Some(true);
    spec.get("decision").and_then(Value::as_str) == Some("Reject")
        || withdrawn(spec) && old.and_then(|o| o.get("spec")).is_some_and(|before| !withdrawn(before))
}

/// Groups in a stamp at most, each of 64 characters or so: 16 KiB of the 256 KiB that all annotations may have. Of more,
/// those that a policy names come first.
const MAX_GROUPS: usize = 256;
/// In everybody's groups.
const EVERYBODY: &str = "system:authenticated";
/// Where the API server says which credential it authenticated a request with (KEP-4193).
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// Who sends a request; with their groups where they decide something.
fn identity(world: &world::World, user: &UserInfo, decides: bool) -> Identity {
    let groups = user.groups.iter().flatten().filter(|g| decides && *g != EVERYBODY);
    let mut groups: Vec<String> = groups.cloned().collect();
    groups.sort();
    groups.dedup();
    if groups.len() > MAX_GROUPS {
        let matter = groups_that_matter(world);
        groups.sort_by_key(|g| !matter.contains(g));
        groups.truncate(MAX_GROUPS);
        groups.sort();
    }
    let extra = user.extra.as_ref().and_then(|e| e.get(CREDENTIAL_ID)?.first());
    Identity {
        user: user.username.clone(),
        uid: user.uid.clone().filter(|u| !u.is_empty()),
        groups,
        credential: extra.map(|id| stamp::credential(id)),
    }
}

/// Groups that a policy names.
fn groups_that_matter(world: &world::World) -> BTreeSet<String> {
    let specs = world.deciding().chain(world.policies()).filter_map(|p| p.spec.as_ref().ok());
    let groups = specs.flat_map(|spec| {
        let barred = spec.duties().barred_groups.unwrap_or_default();
        let approve = spec.approvals.iter().flat_map(|rule| spec.not_in_groups(rule));
        let validate = spec.validation.iter().flat_map(placet_gate::policy::not_in_groups);
        barred.into_iter().chain(approve).chain(validate)
    });
    groups.map(|group| group.to_string()).collect()
}

/// Editors of one object at most: 100 take about 10 KiB of the 256 KiB that all annotations of an object may have.
const MAX_EDITORS: usize = 100;

/// Edits of one object that are kept at most.
const MAX_EDITS: usize = 2 * MAX_EDITORS;

/// Adds an edit. Each editor is kept with their last one, and where it matters when somebody edited (`by_day`: whoever changes
/// a policy approves nothing by it for some days) with the first of each day before; the list stays in the order of time. Of
/// too many the oldest are forgotten that are nobody's last.
fn edited(stamp: &mut StampText, by: Identity, at: jiff::Timestamp, by_day: bool) -> Result<(), String> {
    let mut days = BTreeSet::new();
    let day = |at: jiff::Timestamp| at.as_second().div_euclid(86_400);
    stamp.editors.retain(|e| e.by.user != by.user || (by_day && days.insert(day(e.at))));
    let mut people: BTreeSet<&str> = stamp.editors.iter().map(|e| e.by.user.as_str()).collect();
    people.remove(by.user.as_str());
    if people.len() >= MAX_EDITORS {
        return Err(format!(
            "wanted at most {MAX_EDITORS} editors of one object, found another one, {}; create a new object in its place",
            by.user
        ));
    }
    stamp.editors.push(Edit { by, at });
    while stamp.editors.len() > MAX_EDITS {
        let again = |i: &usize| stamp.editors[i + 1..].iter().any(|e| e.by.user == stamp.editors[*i].by.user);
        let Some(oldest) = (0..stamp.editors.len()).find(again) else { break };
        stamp.editors.remove(oldest);
    }
    Ok(())
}

/// An annotation.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("annotations")?.get(key)?.as_str()
}

/// The patch that sets both annotations, where they differ.
fn patched(object: &Value, stamp: Option<&str>, receipt: Option<&str>) -> Answer {
    let mut answer = Answer::allow();
    if object.get("metadata").and_then(|m| m.get("annotations")).is_none() {
        answer.patch.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
    }
    for (key, wanted) in [(keys::STAMP, stamp), (keys::RECEIPT, receipt)] {
        let found = annotation(object, key);
        let path = format!("/metadata/annotations/{}", key.replace('~', "~0").replace('/', "~1"));
        match (found, wanted) {
            (found, Some(wanted)) if found != Some(wanted) => {
                answer.patch.push(json!({"op": "add", "path": path, "value": wanted}));
            }
            (Some(_), None) => answer.patch.push(json!({"op": "remove", "path": path})),
            _ => {}
        }
    }
    if answer.patch.len() == 1 && answer.patch[0]["value"] == json!({}) {
        answer.patch.clear();
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_editor_is_kept_once_and_a_hundred_at_most() {
        let by = |n: usize| Identity { user: format!("user-{n}"), ..Identity::default() };
        let at = |n: usize| jiff::Timestamp::from_second(i64::try_from(n).unwrap()).unwrap();
        let mut stamp = StampText::new(by(0), at(0));
        for n in 0..1000 {
            assert_eq!(edited(&mut stamp, by(n % 2), at(n), false), Ok(()));
        }
        let kept: Vec<_> = stamp.editors.iter().map(|e| (e.by.user.as_str(), e.at)).collect();
        assert_eq!(kept, [("user-0", at(998)), ("user-1", at(999))]);
        for n in 2..100 {
            assert_eq!(edited(&mut stamp, by(n), at(1000 + n), false), Ok(()));
        }
        assert!(
            edited(&mut stamp, by(100), at(2000), false).unwrap_err().contains("found another one, user-100")
        );
        assert_eq!(edited(&mut stamp, by(1), at(2000), false), Ok(()), "one who is known may go on");
        assert_eq!(stamp.editors.len(), 100);
    }

    #[test]
    fn of_a_policy_the_first_edit_of_each_day_is_kept_beside_the_last() {
        let by = |n: usize| Identity { user: format!("user-{n}"), ..Identity::default() };
        let at = |hour: i64| jiff::Timestamp::from_second(hour * 3600).unwrap();
        let mut stamp = StampText::new(by(0), at(0));
        // mona edits, approves at 9, and edits again: the edit of 8 stays.
        for hour in [8, 10, 11, 30, 31, 33] {
            edited(&mut stamp, by(1), at(hour), true).unwrap();
        }
        let kept: Vec<_> = stamp.editors.iter().map(|e| e.at).collect();
        assert_eq!(kept, [at(8), at(30), at(33)]);
        // Everybody's last edit stays however many there are, and so does the newest of the others.
        edited(&mut stamp, by(2), at(34), true).unwrap();
        for day in 2..1000 {
            edited(&mut stamp, by(1), at(24 * day), true).unwrap();
        }
        assert_eq!(stamp.editors.len(), MAX_EDITS);
        assert_eq!((stamp.editors[0].by.user.as_str(), stamp.editors[0].at), ("user-2", at(34)));
        assert_eq!(stamp.editors[MAX_EDITS - 1].at, at(24 * 999));
        assert_eq!(stamp.editors[1].at, at(24 * (1000 - 199)));
    }

    #[test]
    fn the_patch_sets_only_what_differs() {
        let bare = json!({"metadata": {"name": "a"}});
        let answer = patched(&bare, Some("s"), Some("r"));
        assert_eq!(answer.patch.len(), 3);
        assert_eq!(answer.patch[1]["path"], "/metadata/annotations/placet.dev~1stamp");
        let stamped = json!({"metadata": {"annotations": {keys::STAMP: "s", keys::RECEIPT: "r"}}});
        assert!(patched(&stamped, Some("s"), Some("r")).patch.is_empty());
        assert_eq!(patched(&stamped, Some("s"), None).patch[0]["op"], "remove");
        assert!(patched(&bare, None, None).patch.is_empty());
    }
}

#[cfg(test)]
#[path = "own_mutate_tests.rs"]
mod stamping;
