//! Objects as the gate reads them: content, digest, and who stands behind them, with people as tokens.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

use jiff::Timestamp;
use placet_api::Kind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::asked::Asked;
use crate::class::Classified;
use crate::digest::{self, DigestError};
use crate::evidence::{Evidence, Facts};
use crate::gates::tests::Verdicts;
use crate::people::{PeopleKey, Person};
use crate::risk::Scored;
use crate::signature::{Signature, SignerRecord};
use crate::spec::Spec;
use crate::stamp::{self, Place, ReceiptKeys, StampProblem, StampText};
use crate::username::{self, DoubtfulName};

/// Who stands behind an object.
#[expect(clippy::large_enum_variant, reason = "nearly all are valid")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum Stamp {
    /// The receipt verifies.
    Valid(Standing),
    /// It does not, so the object does not count.
    Invalid {
        /// Why.
        why: StampProblem,
    },
}

/// The people and times of a valid stamp.
#[expect(clippy::struct_excessive_bools, reason = "each is something that is or is not so of who wrote it")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Who created the object.
    pub creator: Person,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its spec was last changed; the creation if never.
    pub changed_at: Timestamp,
    /// Creator and everybody who changed the spec, without repetition.
    pub authors: Vec<Person>,
    /// Cluster-scoped kinds: the same, each with when they last wrote it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<(Person, Timestamp)>,
    /// Whether the creator held the role that the object names, where it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds_role: Option<bool>,
    /// Of whom that is said, where it is not the creator: the person whose key signed the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_of: Option<Person>,
    /// Whether they have lost it since, as the API server says when it is asked again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub role_lost: bool,
    /// Whether the creator held it only by a wildcard.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_wildcard: bool,
    /// Groups of the creator, where the stamp says them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Whether the creator is a service account.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub service_account: bool,
    /// Service accounts that changed the spec since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub robots: Vec<Person>,
    /// Whether the request named the credential that it was authenticated with.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub credential: bool,
    /// Why the creator's name may be mistaken for another, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubtful_name: Option<DoubtfulName>,
    /// TestReport: the roles in which its creator could report it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports_as: Vec<ReportsAs>,
    /// TestReport: what was asked of tests when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Box<Asked>>,
    /// Approval: uid of the object that it is about, as it was when the approval was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_uid: Option<String>,
    /// Approval of a release: what its evidence was made of then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Box<Evidence>>,
}

/// A role in which somebody could report tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportsAs {
    /// The ApprovalRole.
    pub role: String,
    /// Whether they could only as they could in any other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_wildcard: bool,
}

/// An object as it was read: what a snapshot stores, and what replay reads back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Kind.
    pub kind: Kind,
    /// Namespace; absent for cluster kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// Uid; of an object that was restored, that of its first life.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The spec, with tokens in place of personal fields.
    pub spec: Spec,
    /// Content digest of the spec as stored (before tokens took the place of names).
    pub digest: Result<String, String>,
    /// Who stands behind it.
    pub stamp: Stamp,
    /// Approval, RiskAcceptance, and what an author signs: the signature that it carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// TrustedSigner: its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<SignerRecord>,
}

/// Why a text is no object of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// Not an object of the group placet.dev.
    #[error("wanted apiVersion placet.dev/v1alpha1 and one of our kinds, found {api_version} {kind}")]
    NotOurs {
        /// apiVersion found.
        api_version: String,
        /// kind found.
        kind: String,
    },
    /// A name or namespace is missing.
    #[error("{kind}: wanted metadata.{field}, found none")]
    Missing {
        /// Kind of the object.
        kind: &'static str,
        /// The missing field.
        field: &'static str,
    },
}

/// What reading an object needs beside the object.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Uid of the cluster.
    pub cluster: String,
    /// The cluster's configured name, which signatures may be made for as well.
    pub cluster_name: Option<String>,
    /// Keys that receipts are verified with.
    pub keys: ReceiptKeys,
    /// The key that makes tokens from names.
    pub people: PeopleKey,
}

impl Reading {
    /// Reads an object from its JSON as the API server gave it. The second value holds the names behind the tokens that
    /// this object brought, for showing.
    ///
    /// # Errors
    /// The object is not one of ours or has no name. Anything else that is wrong with it is kept in the record, since an
    /// object that does not parse must block, not vanish.
    pub fn read(&self, object: &Value) -> Result<(Record, Vec<(String, String)>), ObjectError> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let (kind, namespace, name) = place_of(object)?;
        let mut spec = object.get("spec").cloned().unwrap_or(Value::Null);
        let digest = digest::content(kind, namespace.as_deref(), &name, &spec);
        let place = Place { cluster: &self.cluster, kind, namespace: namespace.as_deref(), name: &name };
        let annotation = |key: &str| object.get("metadata")?.get("annotations")?.get(key)?.as_str();
        let stamp = match &digest {
            Ok(digest) => stamp::verify(
                &self.keys,
                place,
                annotation(placet_api::keys::STAMP),
                annotation(placet_api::keys::RECEIPT),
                digest,
            ),
            Err(_) => Err(StampProblem::Unreadable),
        };
        let mut names = Vec::new();
        for path in kind.user_fields() {
            let path: Vec<&str> = path.split('.').collect();
            digest::visit(&mut spec, &path, &mut |value| {
                names.extend(value.as_str().map(|user| self.named(user)));
            });
        }
        // What is restored lives on: approvals name the uid of its first life.
        let first = stamp.as_ref().ok().and_then(|s| s.restored.as_ref()?.uid.clone());
        let uid = first.unwrap_or_else(|| text("/metadata/uid").unwrap_or_default().to_owned());
        let stamp = match stamp {
            Ok(stamp) => Stamp::Valid(self.standing_of(kind, &stamp, &mut names)),
            Err(why) => Stamp::Invalid { why },
        };
        let content = digest.as_deref().unwrap_or_default();
        let signature = self
            .signature(kind, namespace.as_deref(), &name, object, content)
            .map(|held| held.unwrap_or_else(|error| Signature::Invalid { why: error.flaw() }));
        let signer = (kind == Kind::TrustedSigner).then(|| Self::signer(&self.people, &spec));
        self.people.tokenise(kind, &mut spec);
        let digest = digest.map_err(|e: DigestError| e.to_string());
        let spec = spec.into();
        Ok((Record { kind, namespace, name, uid, spec, digest, stamp, signature, signer }, names))
    }

    /// Reads an object without a stamp as if it had been written by these people: for cases and offline checks, where
    /// the assumption is listed. Everything else is as in [`Reading::read`].
    ///
    /// # Errors
    /// As [`Reading::read`].
    pub fn read_assuming(
        &self,
        object: &Value,
        assumed: &StampText,
    ) -> Result<(Record, Vec<(String, String)>), ObjectError> {
        let (mut record, mut names) = self.read(object)?;
        record.stamp = Stamp::Valid(self.standing_of(record.kind, assumed, &mut names));
        Ok((record, names))
    }

    /// The same for an object of this kind: when each author wrote it matters of policies alone.
    fn standing_of(&self, kind: Kind, stamp: &StampText, names: &mut Vec<(String, String)>) -> Standing {
        let mut standing = self.standing(stamp, names);
        if kind.namespaced() {
            standing.edits.clear();
        }
        standing
    }

    /// People and times of a stamp; names are added to `names`.
    pub fn standing(&self, stamp: &StampText, names: &mut Vec<(String, String)>) -> Standing {
        let mut person = |user: &str| {
            names.push(self.named(user));
            self.people.person(user)
        };
        let creator = person(&stamp.creator.user);
        let mut authors = vec![creator.clone()];
        let mut edits = vec![(creator.clone(), stamp.created_at)];
        let mut robots = Vec::new();
        for edit in &stamp.editors {
            let editor = person(&edit.by.user);
            edits.push((editor.clone(), edit.at));
            if is_robot(&edit.by.user) && !robots.contains(&editor) {
                robots.push(editor.clone());
            }
            if !authors.contains(&editor) {
                authors.push(editor);
            }
        }
        Standing {
            creator,
            created_at: stamp.created_at,
            changed_at: stamp.editors.last().map_or(stamp.created_at, |e| e.at),
            authors,
            edits,
            role_of: stamp.role.as_ref().and_then(|r| r.user.as_deref()).map(&mut person),
            holds_role: stamp.role.as_ref().map(|r| r.allowed),
            role_lost: false,
            by_wildcard: stamp.role.as_ref().is_some_and(|r| r.wildcard),
            groups: stamp.creator.groups.clone(),
            service_account: is_robot(&stamp.creator.user),
            robots,
            credential: stamp.creator.credential.is_some(),
            doubtful_name: username::doubt(&stamp.creator.user),
            reports_as: reports_as(stamp),
            asked: stamp.asked.clone(),
            subject_uid: stamp.subject_uid.clone(),
            evidence: stamp.evidence.clone(),
        }
    }

    fn named(&self, user: &str) -> (String, String) {
        (self.people.person(user).token().to_owned(), user.to_owned())
    }
}

/// The roles in which the creator of a report could report it.
fn reports_as(stamp: &StampText) -> Vec<ReportsAs> {
    let may = stamp.reports.iter().filter(|answer| answer.allowed);
    may.map(|answer| ReportsAs { role: answer.name.clone(), by_wildcard: answer.wildcard }).collect()
}

/// Whether a user name is that of a service account.
fn is_robot(user: &str) -> bool {
    user.starts_with("system:serviceaccount:")
}

/// Kind, namespace and name of an object of ours.
///
/// # Errors
/// It is not one of ours, or has no name or namespace.
pub fn place_of(object: &Value) -> Result<(Kind, Option<String>, String), ObjectError> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind_name) = (text("/apiVersion"), text("/kind"));
    let kind = Kind::parse(kind_name)
        .filter(|_| api_version.strip_prefix(placet_api::keys::GROUP).is_some_and(|v| v.starts_with('/')))
        .ok_or_else(|| ObjectError::NotOurs { api_version: api_version.into(), kind: kind_name.into() })?;
    let missing = |field| ObjectError::Missing { kind: kind.as_str(), field };
    let name = Some(text("/metadata/name")).filter(|n| !n.is_empty()).ok_or_else(|| missing("name"))?;
    let namespace = match Some(text("/metadata/namespace")).filter(|n| !n.is_empty()) {
        _ if !kind.namespaced() => None,
        Some(namespace) => Some(namespace.to_owned()),
        None => return Err(missing("namespace")),
    };
    Ok((kind, namespace, name.to_owned()))
}

/// Whether an object is being deleted: it counts no more, whatever finalizer still keeps it. Policies and roles do until
/// they are gone, since without them less may be asked for.
pub fn is_ending(object: &Value) -> bool {
    let kind = object.get("kind").and_then(Value::as_str).and_then(Kind::parse);
    kind.is_some_and(Kind::namespaced)
        && object.pointer("/metadata/deletionTimestamp").is_some_and(|d| !d.is_null())
}

/// An object with its spec parsed. A spec that does not parse, or holds a field that this version does not know, stays
/// as the reason why.
#[derive(Debug)]
pub struct Object<S> {
    /// As it was read.
    pub record: Record,
    /// The spec, or why it is not understood.
    pub spec: Result<S, String>,
    /// Whether it exists now. An object that was deleted is remembered where forgetting it could clear something.
    pub live: bool,
    /// Digest of the record: what a snapshot lists.
    pub id: String,
    /// AISystem: digest of what the class depends on.
    pub classification: Option<String>,
    known: OnceLock<Box<Known>>,
}

/// What follows from an object's content alone. It is worked out when a decision first asks for it and kept with the
/// object, since most decisions read objects that others have read; no result shows whether it was kept.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// AISystem: the class.
    pub(crate) class: OnceLock<Classified>,
    /// AISystem: digests of what requirements are held against; None if it has none.
    pub(crate) facts: OnceLock<Option<Facts>>,
    /// ImpactAssessment: scores by the matrix that was asked for first.
    pub(crate) scores: OnceLock<Scored>,
    /// ImpactAssessment: digest of each risk, by id.
    pub(crate) risks: OnceLock<BTreeMap<String, String>>,
    /// TestReport: verdicts by the test that was asked for.
    pub(crate) verdicts: Mutex<Verdicts>,
}

impl Standing {
    /// A service account that wrote any of it: it writes what somebody else wrote.
    pub fn robot(&self) -> Option<&Person> {
        Some(&self.creator).filter(|_| self.service_account).or(self.robots.first())
    }

    /// Who decided, as far as the stamp says: the person whose key signed, or the creator.
    pub fn who(&self) -> &Person {
        self.role_of.as_ref().unwrap_or(&self.creator)
    }
}

impl<S: serde::de::DeserializeOwned> Object<S> {
    /// Parses a record's spec.
    pub fn new(record: Record, live: bool) -> Self {
        let value = record.spec.value();
        let id = serde_json::to_vec(&record).map(|b| digest::of_bytes(&b)).unwrap_or_default();
        let classification = (record.kind == Kind::AISystem)
            .then(|| {
                digest::classification(record.namespace.as_deref().unwrap_or_default(), &record.name, &value)
                    .ok()
            })
            .flatten();
        let policy = record.kind == Kind::ReleasePolicy;
        let said = |e: String| if policy { crate::policy::explained(e) } else { e };
        let spec = serde_json::from_value(value).map_err(|e| said(e.to_string()));
        Self { record, spec, live, id, classification, known: OnceLock::new() }
    }
}

/// A copy may be changed, so it knows nothing yet.
impl<S: Clone> Clone for Object<S> {
    fn clone(&self) -> Self {
        Self {
            record: self.record.clone(),
            spec: self.spec.clone(),
            live: self.live,
            id: self.id.clone(),
            classification: self.classification.clone(),
            known: OnceLock::new(),
        }
    }
}

impl<S> Object<S> {
    /// What follows from its content alone.
    pub(crate) fn known(&self) -> &Known {
        self.known.get_or_init(Box::default)
    }

    /// Name.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// Content digest; empty when the content cannot be digested, which equals no digest that anybody approved.
    pub fn digest(&self) -> &str {
        self.record.digest.as_deref().unwrap_or_default()
    }

    /// Who stands behind it, if its receipt verifies.
    pub fn standing(&self) -> Option<&Standing> {
        match &self.record.stamp {
            Stamp::Valid(standing) => Some(standing),
            Stamp::Invalid { .. } => None,
        }
    }

    /// Why it does not count: no valid receipt, or a spec that is not understood.
    pub fn problem(&self) -> Option<Problem> {
        if let Err(e) = &self.record.digest {
            return Some(Problem::NotUnderstood(e.clone()));
        }
        match (&self.record.stamp, &self.spec) {
            (Stamp::Invalid { why }, _) => Some(Problem::NotStamped(*why)),
            (_, Err(e)) => Some(Problem::NotUnderstood(e.clone())),
            _ => None,
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Problem::NotStamped(why) => why.fmt(f),
            Problem::NotUnderstood(why) => f.write_str(why),
        }
    }
}

/// Why an object does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// No valid receipt.
    NotStamped(StampProblem),
    /// The spec does not parse, or holds a field that this version does not know.
    NotUnderstood(String),
}
