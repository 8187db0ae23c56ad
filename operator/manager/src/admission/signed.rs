//! Signed objects at the door: whose signature it is, so that the role is asked of them, and why it would not count, in
//! full, while somebody is there to read it.

use jiff::Timestamp;
use placet_api::Kind;
use placet_api::approval::ApprovalSpec;
use placet_api::keys::AUTHOR_SIGNATURE;
use placet_api::riskacceptance::RiskAcceptanceSpec;
use placet_gate::object::{Record, Standing};
use placet_gate::people::{Person, with_names};
use placet_gate::signature::{Decided, Seen, Trust};
use placet_gate::signed::{ApprovalPayload, AuthorPayload, Payload as _, RiskAcceptancePayload};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Admission;
use super::review::UserInfo;

/// In everybody's groups.
const EVERYBODY: &str = "system:authenticated";

/// The user for whom the signature of an Approval or a RiskAcceptance counts; None if it carries none.
///
/// # Errors
/// Why it does not count: what was wanted and found, and how it is mended.
pub fn signer(a: &Admission, object: &Value, now: Timestamp) -> Result<Option<UserInfo>, String> {
    let spec = object.get("spec").unwrap_or(&Value::Null);
    if spec.get("signed").is_none_or(Value::is_null) {
        return Ok(None);
    }
    let record = verified(a, object)?;
    let subject = super::own_subject::of_decision(record.kind, spec);
    let (approval, acceptance);
    let what: Decided<'_> = if record.kind == Kind::Approval {
        approval = parsed::<ApprovalSpec>(spec)?;
        (&approval).into()
    } else {
        acceptance = parsed::<RiskAcceptanceSpec>(spec)?;
        (&acceptance).into()
    };
    let world = a.state.world();
    let (signers, remembered) = world.trust([&record]);
    let trust = Trust { signers: &signers, remembered: &remembered };
    // Nobody is asked yet whether they hold the role: as if the person whose key it is did.
    let mut standing = nobody(now);
    let namespace = record.namespace.as_deref().unwrap_or_default();
    standing.subject_uid = subject.and_then(|subject| crate::subjects::uid(&world, namespace, &subject));
    drop(world);
    let live = signers.iter().find(|s| s.live).and_then(|s| s.spec.as_ref().ok());
    let person = live.map(|s| Person::from_token(&s.user));
    standing.role_of.clone_from(&person);
    let asked = Decided { anew: true, ..what };
    let decider =
        trust.decider(&record, asked, &standing).map_err(|void| refusal(a, record.kind, &void.text))?;
    let user = a.state.names().get(decider.creator.token()).cloned();
    let user = user.ok_or("spec.signed: the user of the key is not known yet; try again")?;
    let mut groups = decider.into_owned().groups;
    groups.push(EVERYBODY.to_owned());
    Ok(Some(UserInfo { username: user, groups: Some(groups), ..UserInfo::default() }))
}

/// Judges the signature of an object's author, where it carries one that it did not carry before: who changes what is signed
/// need not take the signature away, which then is of another content.
///
/// # Errors
/// Why it does not count.
pub fn author(a: &Admission, object: &Value, old: Option<&Value>, now: Timestamp) -> Result<(), String> {
    let carries = |object: &Value| {
        object.pointer("/metadata/annotations").and_then(|all| all.get(AUTHOR_SIGNATURE)).cloned()
    };
    let signature = carries(object);
    if signature.is_none() || signature == old.and_then(carries) {
        return Ok(());
    }
    let record = verified(a, object)?;
    let (signers, remembered) = a.state.world().trust([&record]);
    let trust = Trust { signers: &signers, remembered: &remembered };
    match trust.author(&record, &nobody(now)) {
        Some(Err(void)) => Err(refusal(a, record.kind, &void.text)),
        _ => Ok(()),
    }
}

/// User name of who signed an object as its author, where that counts.
pub fn author_of(a: &Admission, record: &Record) -> Option<String> {
    let standing = match &record.stamp {
        placet_gate::object::Stamp::Valid(standing) => standing,
        placet_gate::object::Stamp::Invalid { .. } => return None,
    };
    let (signers, remembered) = a.state.world().trust([record]);
    let trust = Trust { signers: &signers, remembered: &remembered };
    let person = trust.author(record, standing)?.ok()?;
    a.state.names().get(person.token()).cloned()
}

/// What the log now knows of the envelope that an object carries.
pub fn seen(a: &Admission, record: &Record, at: Timestamp) {
    let Some(envelope) = record.envelope() else { return };
    let subject_uid = match &record.stamp {
        placet_gate::object::Stamp::Valid(standing) => standing.subject_uid.clone(),
        placet_gate::object::Stamp::Invalid { .. } => None,
    };
    let namespace = record.namespace.clone().unwrap_or_default();
    let seen = Seen { at, namespace, name: record.name.clone(), subject_uid };
    if a.state.world().seen(envelope).is_none_or(|first| seen < *first) {
        a.state.world_mut().saw(envelope, seen);
    }
}

/// The object as it is read, its signature verified.
fn verified(a: &Admission, object: &Value) -> Result<Record, String> {
    let reading = &a.state.reading;
    let (record, _) = reading.read(object).map_err(|e| e.to_string())?;
    let digest = record.digest.as_deref().unwrap_or_default();
    let held = reading.signature(record.kind, record.namespace.as_deref(), &record.name, object, digest);
    match held {
        Some(Err(error)) => Err(format!(
            "{}: {error} (in this cluster, {}, and namespace {})",
            place_of(record.kind).0,
            reading.cluster_name.as_deref().unwrap_or(&reading.cluster),
            record.namespace.as_deref().unwrap_or_default(),
        )),
        _ => Ok(record),
    }
}

fn parsed<S: DeserializeOwned>(spec: &Value) -> Result<S, String> {
    serde_json::from_value(spec.clone()).map_err(|e| format!("spec: {e}"))
}

/// Where objects of a kind carry their signature, and in which SSH namespace it is made.
fn place_of(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        _ if kind.authored() => (AUTHOR_SIGNATURE, AuthorPayload::NAMESPACE),
        Kind::RiskAcceptance => ("spec.signed", RiskAcceptancePayload::NAMESPACE),
        _ => ("spec.signed", ApprovalPayload::NAMESPACE),
    }
}

fn refusal(a: &Admission, kind: Kind, why: &str) -> String {
    let (what, namespace) = place_of(kind);
    format!(
        "{what}: wanted a signature in {namespace} that counts here, by the key of a TrustedSigner, found one that does not: \
         {}; see kubectl get trustedsigners, or decide through kubectl as yourself",
        with_names(why, &a.state.names())
    )
}

/// The standing of an object that is about to be stamped.
fn nobody(now: Timestamp) -> Standing {
    let creator = Person::from_token("");
    Standing {
        authors: vec![creator.clone()],
        edits: Vec::new(),
        creator,
        created_at: now,
        changed_at: now,
        holds_role: None,
        role_of: None,
        role_lost: false,
        by_wildcard: false,
        groups: Vec::new(),
        service_account: false,
        robots: Vec::new(),
        credential: false,
        doubtful_name: None,
        reports_as: Vec::new(),
        asked: None,
        subject_uid: None,
        evidence: None,
    }
}
