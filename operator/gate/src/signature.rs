//! Signatures as decisions read them: which key signed what is found out when an object is read, and kept as a recorded
//! input; whose key it is and whether it counts is decided here, from recorded inputs alone.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use placet_api::Kind;
use placet_api::approval::{ApprovalDecision, ApprovalSpec};
use placet_api::keys::AUTHOR_SIGNATURE;
use placet_api::releasepolicy::Proof;
use placet_api::riskacceptance::RiskAcceptanceSpec;
use placet_api::scalar::{DateTime, Name};
use placet_api::trustedsigner::TrustedSignerSpec;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::object::{Object, Reading, Record, Standing};
use crate::people::{PeopleKey, Person};
use crate::signed::{
    self, ApprovalPayload, AuthorPayload, EnvelopeError, KeyHistory, Mismatch, Payload, Place,
    RiskAcceptancePayload, SignerKey, Verified, VoidReason,
};
use crate::time;
use crate::username::{self, DoubtfulName};

/// The signature that an object carries, as it was found when the object was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum Signature {
    /// It holds over what the object says, here.
    Verified {
        /// Token of the key's fingerprint.
        key: String,
        /// Token of the envelope's digest.
        envelope: String,
        /// When it was made, by the signer's clock.
        issued_at: DateTime,
    },
    /// It does not.
    Invalid {
        /// Why.
        why: Flaw,
    },
}

/// Why a signature does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Flaw {
    /// The envelope cannot be read, or its signature does not hold over its payload.
    #[error("its envelope does not verify")]
    Unverified,
    /// What was signed is not what the object says, or not for this place.
    #[error("what was signed is not what it says, or was signed for another namespace or cluster")]
    Differs,
}

/// The same in full, for whoever sends the object: it quotes what the object says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The envelope does not hold.
    #[error(transparent)]
    Unverified(#[from] EnvelopeError),
    /// The payload is another.
    #[error(transparent)]
    Differs(#[from] Mismatch),
}

impl SignatureError {
    /// The part that is recorded.
    pub fn flaw(&self) -> Flaw {
        match self {
            Self::Unverified(_) => Flaw::Unverified,
            Self::Differs(_) => Flaw::Differs,
        }
    }
}

/// What a decision must know of a TrustedSigner beside its spec with tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignerRecord {
    /// Token of the key's fingerprint; None for a key that cannot be read, which is nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Why the user's name may be mistaken for another, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubtful_name: Option<DoubtfulName>,
    /// Whether the user is a component of the cluster, for which no key stands.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub system_user: bool,
}

/// The first use of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// When the log first saw it.
    pub at: Timestamp,
    /// Namespace of the object that carried it.
    pub namespace: String,
    /// Name of that object.
    pub name: String,
    /// Uid of what that object is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_uid: Option<String>,
}

/// What the log remembers of signatures: of a world all, of a snapshot those that it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Remembered {
    /// First use of each envelope, by token.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seen: BTreeMap<String, Seen>,
    /// When a TrustedSigner with a key was last deleted, by the key's token.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub deleted: BTreeMap<String, Timestamp>,
}

impl Remembered {
    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty() && self.deleted.is_empty()
    }

    /// An envelope was seen; only its first use is kept. Whether this is news.
    pub fn saw(&mut self, envelope: &str, seen: Seen) -> bool {
        match self.seen.get_mut(envelope) {
            Some(first) if *first <= seen => false,
            Some(first) => {
                *first = seen;
                true
            }
            None => self.seen.insert(envelope.to_owned(), seen).is_none(),
        }
    }

    /// A TrustedSigner with this key was deleted.
    pub fn deleted(&mut self, key: &str, at: Timestamp) {
        let last = self.deleted.entry(key.to_owned()).or_insert(at);
        *last = at.max(*last);
    }
}

/// A signature that does not count: why, and what the words name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Void {
    /// In words that follow the object's name; people stand in them as tokens.
    pub text: String,
    /// What the words name.
    pub about: Vec<String>,
}

impl Void {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), about: Vec::new() }
    }

    fn about<T: ToString>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.about.extend(names.into_iter().map(|n| n.to_string()));
        self
    }
}

impl Reading {
    /// The signature that an object carries: in the spec of an Approval or a RiskAcceptance, or as the annotation that names
    /// the author of a release, a system or an assessment. None if it carries none.
    ///
    /// # Errors
    /// Why it does not hold.
    pub fn signature(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
        object: &Value,
        digest: &str,
    ) -> Option<Result<Signature, SignatureError>> {
        let place = Place { cluster: &self.cluster, namespace: namespace.unwrap_or_default(), kind, name };
        match kind {
            Kind::Approval => self.in_spec::<ApprovalPayload>(object, place),
            Kind::RiskAcceptance => self.in_spec::<RiskAcceptancePayload>(object, place),
            _ if kind.authored() => {
                let envelope = object
                    .pointer("/metadata/annotations")?
                    .get(AUTHOR_SIGNATURE)?
                    .as_str()
                    .unwrap_or_default();
                Some(self.held::<AuthorPayload>(envelope, |payload, cluster| {
                    signed::compare_author(payload, name, digest, Place { cluster, ..place })
                }))
            }
            _ => None,
        }
    }

    fn in_spec<P: Payload>(
        &self,
        object: &Value,
        place: Place<'_>,
    ) -> Option<Result<Signature, SignatureError>> {
        let spec = object.get("spec")?;
        let envelope = spec.pointer("/signed/envelope")?.as_str().unwrap_or_default();
        let compare = |payload: &P, cluster: &str| signed::compare(payload, spec, Place { cluster, ..place });
        Some(self.held(envelope, compare))
    }

    fn held<P: Payload>(
        &self,
        envelope: &str,
        compare: impl FnOnce(&P, &str) -> Result<(), Mismatch>,
    ) -> Result<Signature, SignatureError> {
        let Verified { payload, fingerprint, digest } = signed::verify_envelope::<P>(envelope.as_bytes())?;
        // Both the configured name and the uid are this cluster's.
        let configured = self.cluster_name.as_deref().filter(|_| payload.cluster() != self.cluster);
        compare(&payload, configured.unwrap_or(&self.cluster))?;
        Ok(Signature::Verified {
            key: self.people.key_token(&fingerprint),
            envelope: self.people.envelope_token(&digest),
            issued_at: payload.issued_at().clone(),
        })
    }

    /// What is recorded of a TrustedSigner beside its spec.
    pub(crate) fn signer(people: &PeopleKey, spec: &Value) -> SignerRecord {
        let text = |field: &str| spec.get(field).and_then(Value::as_str).unwrap_or_default();
        let key = placet_api::scalar::SshPublicKey::new(text("key")).ok();
        let key = key.and_then(|key| SignerKey::parse(&key).ok());
        SignerRecord {
            key: key.map(|key| people.key_token(&key.fingerprint())),
            doubtful_name: username::doubt(text("user")),
            system_user: text("user").starts_with("system:"),
        }
    }
}

impl Record {
    /// Token of the key that signed it, where its signature holds, or that it is about.
    pub fn key(&self) -> Option<&str> {
        match (&self.signature, &self.signer) {
            (Some(Signature::Verified { key, .. }), _) => Some(key),
            (_, Some(signer)) => signer.key.as_deref(),
            _ => None,
        }
    }

    /// When it was signed, by the signer's clock, where its signature holds.
    pub(crate) fn issued_at(&self) -> Option<Timestamp> {
        match &self.signature {
            Some(Signature::Verified { issued_at, .. }) => time::date_time(issued_at),
            _ => None,
        }
    }

    /// Token of its envelope, where its signature holds.
    pub fn envelope(&self) -> Option<&str> {
        match &self.signature {
            Some(Signature::Verified { envelope, .. }) => Some(envelope),
            _ => None,
        }
    }
}

/// What signatures are held against.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'a> {
    /// Each TrustedSigner that may stand behind them, those that are gone included.
    pub signers: &'a [Arc<Object<TrustedSignerSpec>>],
    /// What the log remembers.
    pub remembered: &'a Remembered,
}

/// What somebody decided, as far as it matters for whose decision it is.
#[derive(Debug, Clone, Copy)]
pub struct Decided<'a> {
    /// The role that they name.
    pub role: &'a Name,
    /// Whether the spec carries a signature.
    pub signed: bool,
    /// Whether it can only block.
    pub rejects: bool,
    /// Whether it is about to be made: then whatever keeps an approval from counting keeps a Reject from being new.
    pub anew: bool,
}

impl<'a> From<&'a ApprovalSpec> for Decided<'a> {
    fn from(spec: &'a ApprovalSpec) -> Self {
        let rejects = spec.decision == ApprovalDecision::Reject;
        Self { role: &spec.role, signed: spec.signed.is_some(), rejects, anew: false }
    }
}

impl<'a> From<&'a RiskAcceptanceSpec> for Decided<'a> {
    fn from(spec: &'a RiskAcceptanceSpec) -> Self {
        Self { role: &spec.role, signed: spec.signed.is_some(), rejects: false, anew: false }
    }
}

/// Whether what is asked for proves who decided; `what` they gave, in words, and the command that signs it.
///
/// # Errors
/// Why it does not, in words.
pub fn proven(
    asked: Option<Proof>,
    who: &Standing,
    decided: Decided<'_>,
    (what, command): (&str, &str),
) -> Result<(), String> {
    let (person, role) = (&who.creator, decided.role);
    if asked >= Some(Proof::Credential) && !who.credential {
        return Err(format!(
            "{person}'s request named no credential, as one by impersonation (--as) does not"
        ));
    }
    if asked >= Some(Proof::Signed) && !decided.signed {
        return Err(format!(
            "{person}'s {what} carries no signature, which the policy asks {role} for ({command} --sign-with KEY)"
        ));
    }
    Ok(())
}

/// A TrustedSigner that stands behind a signature, and who it is.
struct Behind<'a> {
    spec: &'a TrustedSignerSpec,
    person: Person,
    doubtful_name: Option<DoubtfulName>,
    /// When the log first saw the signature.
    seen: Timestamp,
}

impl<'a> Trust<'a> {
    /// Who decided in an Approval or a RiskAcceptance that counts for it now: whoever its stamp names, or, where it is
    /// signed, the user of the TrustedSigner whose key signed. A Reject stays in force whatever becomes of the key: revoking
    /// or deleting one clears nothing.
    ///
    /// # Errors
    /// Why nobody's decision is in it.
    pub fn decider<'d, 's>(
        &self,
        object: &Record,
        what: impl Into<Decided<'d>>,
        standing: &'s Standing,
    ) -> Result<Cow<'s, Standing>, Void> {
        let Decided { role, signed, rejects, anew } = what.into();
        if !signed {
            return Ok(Cow::Borrowed(standing));
        }
        let mut decider = standing.clone();
        if rejects && !anew {
            self.once(object, standing, rejects)?;
            let who = standing.role_of.clone();
            decider.creator = who.ok_or_else(|| Void::new("the key that signed it was not known here"))?;
            decider.authors = vec![decider.creator.clone()];
            decider.service_account = false;
            return Ok(Cow::Owned(decider));
        }
        let behind = self.behind(object, self.first_seen(object, standing))?;
        self.once(object, standing, rejects)?;
        let Behind { spec: signer, person, doubtful_name, seen } = behind;
        if !signer.roles.contains(role) {
            let roles: Vec<&str> = signer.roles.iter().map(placet_api::scalar::Name::as_str).collect();
            return Err(Void::new(format!(
                "the key of {person} is trusted for {}, not for {role}",
                roles.join(", ")
            ))
            .about([&person]));
        }
        if standing.role_of.as_ref() != Some(&person) {
            return Err(Void::new(format!(
                "nobody asked whether {person}, whose key signed it, holds the role {role}; apply it again"
            ))
            .about([&person]));
        }
        // Who applies their own signature is in no fewer groups than without it.
        if decider.creator != person {
            decider.groups.clear();
        }
        decider.groups.extend(signer.groups.iter().flatten().map(ToString::to_string));
        decider.authors = vec![person.clone()];
        decider.creator = person;
        decider.service_account = false;
        decider.credential = true;
        decider.doubtful_name = doubtful_name;
        // A robot that creates it again does not begin its term anew.
        decider.created_at = seen;
        Ok(Cow::Owned(decider))
    }

    /// Who signed an object as its author, where that signature counts; None if it carries none. An author may sign long after
    /// a robot wrote it: when the log first saw the signature is what counts.
    ///
    /// # Errors
    /// Why the signature does not count.
    pub fn author(&self, object: &Record, standing: &Standing) -> Option<Result<Person, Void>> {
        object.signature.as_ref()?;
        let first = object.envelope().and_then(|e| self.remembered.seen.get(e));
        let seen = first.map_or(standing.changed_at, |first| first.at);
        Some(self.behind(object, seen).map(|behind| behind.person))
    }

    /// Everybody for whom the key of an author's signature ever stood: authors do not stop to be some because a key ends.
    pub fn ever_authors(&self, object: &Record) -> Vec<Person> {
        let signers = self.of(object.key());
        signers.filter_map(|s| Some(Person::from_token(&s.spec.as_ref().ok()?.user))).collect()
    }

    /// When a decision's signature was first seen; whoever applies it again does not change that.
    pub(crate) fn first_seen(&self, object: &Record, standing: &Standing) -> Timestamp {
        let first = object.envelope().and_then(|e| self.remembered.seen.get(e));
        first.map_or(standing.created_at, |first| first.at.min(standing.created_at))
    }

    fn of<'k>(
        &self,
        key: Option<&'k str>,
    ) -> impl Iterator<Item = &'a Arc<Object<TrustedSignerSpec>>> + use<'a, 'k> {
        self.signers.iter().filter(move |s| key.is_some() && s.record.key() == key)
    }

    /// An envelope counts for the object and the subject that it was first used for. A Reject that is applied again before
    /// there is another subject only says again what stands.
    fn once(&self, object: &Record, standing: &Standing, rejects: bool) -> Result<(), Void> {
        let Some(first) = object.envelope().and_then(|e| self.remembered.seen.get(e)) else { return Ok(()) };
        let namespace = object.namespace.as_deref().unwrap_or_default();
        if first.name != object.name || first.namespace != namespace {
            return Err(Void::new(format!(
                "its signature was used before, for {}, and counts once: sign again",
                first.name
            ))
            .about([&first.name]));
        }
        let said_again = rejects && standing.subject_uid.is_none();
        if first.subject_uid != standing.subject_uid && !said_again {
            let uids = first.subject_uid.iter().chain(&standing.subject_uid);
            return Err(Void::new(
                "its signature was used before, for an earlier object of the same name, and counts once: sign again",
            )
            .about(uids));
        }
        Ok(())
    }

    /// Why a key stands for nobody.
    fn nobodys(&self, key: &str) -> Void {
        let waits = self.of(Some(key)).find(|s| s.problem().is_none());
        match waits.filter(|_| !self.remembered.deleted.contains_key(key)) {
            Some(signer) => Void::new(format!(
                "the TrustedSigner {} has not taken effect: placet why ts/{} says who approves it",
                signer.name(),
                signer.name()
            ))
            .about([signer.name()]),
            None => Void::new(VoidReason::NotTrusted.to_string()),
        }
    }

    /// The TrustedSigner behind a signature that was first seen then.
    fn behind(&self, object: &Record, seen: Timestamp) -> Result<Behind<'a>, Void> {
        let (key, issued_at) = match &object.signature {
            Some(Signature::Verified { key, issued_at, .. }) => (key, issued_at),
            Some(Signature::Invalid { why }) => return Err(Void::new(why.to_string())),
            None => return Err(Void::new(Flaw::Unverified.to_string())),
        };
        let mut live: Vec<_> = self.of(Some(key)).filter(|s| s.live).collect();
        live.sort_by_key(|s| s.name());
        let signer = match live.as_slice() {
            [] => return Err(self.nobodys(key)),
            [one] => *one,
            several => {
                let names: Vec<&str> = several.iter().take(5).map(|s| s.name()).collect();
                return Err(Void::new(format!(
                    "{} have the same key, which then stands for nobody",
                    names.join(", ")
                ))
                .about(names));
            }
        };
        let (Some(made), Ok(spec), None) = (signer.standing(), &signer.spec, signer.problem()) else {
            let why = signer.problem().map(|p| p.to_string()).unwrap_or_default();
            return Err(Void::new(format!("the TrustedSigner {} does not count: {why}", signer.name()))
                .about([signer.name()]));
        };
        let recorded = signer.record.signer.as_ref();
        let person = Person::from_token(&spec.user);
        if recorded.is_some_and(|s| s.system_user) {
            return Err(
                Void::new(format!("{person} is no person, and no key stands for one")).about([&person])
            );
        }
        if made.created_at > seen {
            return Err(Void::new(format!(
                "the TrustedSigner {} is younger than the signature, which an earlier one made: sign again",
                signer.name()
            ))
            .about([signer.name()]));
        }
        if signed::issued_ahead(issued_at, seen) {
            return Err(Void::new(format!(
                "it says that it was signed at {issued_at}, after it was first seen: set the clock and sign again"
            ))
            .about([issued_at]));
        }
        let history = KeyHistory {
            revoked: self.of(Some(key)).filter_map(|s| signed::cut(s.spec.as_ref().ok()?)).min(),
            deleted: self.remembered.deleted.get(key).copied(),
        };
        match signed::standing(Some(spec), history, Some(seen), seen) {
            signed::Standing::Counts { .. } => {
                Ok(Behind { spec, person, doubtful_name: recorded.and_then(|s| s.doubtful_name), seen })
            }
            signed::Standing::Void(why) => {
                let mut void = Void::new(why.to_string());
                void.about.extend(moment_of(&why));
                Err(void)
            }
        }
    }
}

fn moment_of(why: &VoidReason) -> Option<String> {
    match why {
        VoidReason::NotTrusted => None,
        VoidReason::Deleted { at } | VoidReason::Revoked { at } | VoidReason::Expired { at } => {
            Some(at.to_string())
        }
        VoidReason::Compromised { since } => Some(since.to_string()),
        VoidReason::Unreadable { found, .. } => Some(found.clone()),
    }
}
