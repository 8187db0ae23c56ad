//! What is signed: JSON that repeats the decision, where it is valid and when it was made.
//!
//! Every field is written; what the object leaves out is null. Payloads are made as RFC 8785 JSON, so that the same
//! decision gives the same bytes everywhere; they are verified over the bytes that arrive, never over a form written anew.

use jiff::{SignedDuration, Timestamp};
use placet_api::Kind;
use placet_api::approval::{ApprovalDecision, Covers, SubjectKind};
use placet_api::common::Level;
use placet_api::scalar::{DateTime, Digest, Id, Line, Name, Nonce, Paragraph, Title};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::strict::{self, Object};
use crate::time::date_time;

/// How far a signer's clock may be ahead of the operator's.
pub const MAX_AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// A payload of one type.
pub trait Payload: Serialize + DeserializeOwned + sealed::Sealed {
    /// DSSE's payload type.
    const TYPE: &'static str;
    /// The SSH namespace that it is signed in.
    const NAMESPACE: &'static str;
    /// Fields of the payload and where their counterparts stand in the spec (JSON pointers).
    #[doc(hidden)]
    const FIELDS: &'static [(&'static str, &'static str)];
    /// The cluster for which it was signed.
    fn cluster(&self) -> &str;
    /// The namespace of the object that carries it.
    fn namespace(&self) -> &str;
    /// Kind and name of the object that carries it, of types that say them: others name the object by these.
    fn carrier(&self) -> Option<(Kind, &str)> {
        None
    }
    /// When it was signed, as the signer says.
    fn issued_at(&self) -> &DateTime;
    /// When it ends by itself.
    fn expires_at(&self) -> Option<&DateTime>;

    /// The bytes that are signed: RFC 8785 JSON.
    ///
    /// # Errors
    /// A payload that [`Payload::from_bytes`] would not read back.
    fn to_bytes(&self) -> Result<Vec<u8>, PayloadError> {
        let bytes =
            serde_json_canonicalizer::to_vec(self).map_err(|e| PayloadError::Malformed(e.to_string()))?;
        Self::from_bytes(&bytes)?;
        Ok(bytes)
    }

    /// Reads the bytes of a payload: every field is there, none is unknown or doubled, and the dates are in order.
    ///
    /// # Errors
    /// What is wrong with them.
    fn from_bytes(bytes: &[u8]) -> Result<Self, PayloadError> {
        let Object(payload) = serde_json::from_slice::<Object<Self>>(bytes)
            .map_err(|e| PayloadError::Malformed(super::envelope::cut(&e.to_string())))?;
        let moment = |field, text: &DateTime| {
            date_time(text).ok_or_else(|| PayloadError::NoSuchMoment { field, found: text.to_string() })
        };
        let issued = moment("issuedAt", payload.issued_at())?;
        if let Some(expires) = payload.expires_at()
            && moment("expiresAt", expires)? <= issued
        {
            return Err(PayloadError::Backwards {
                issued: payload.issued_at().to_string(),
                expires: expires.to_string(),
            });
        }
        Ok(payload)
    }
}

mod sealed {
    /// Payloads are those of this module.
    pub trait Sealed {}
    impl Sealed for super::ApprovalPayload {}
    impl Sealed for super::RiskAcceptancePayload {}
    impl Sealed for super::AuthorPayload {}
}

/// A payload that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// It is not the JSON that its type asks for.
    #[error(
        "the payload: wanted every field of its type once and nothing else, found {0}; sign again with placet"
    )]
    Malformed(String),
    /// A date that does not exist.
    #[error("the payload's {field}: wanted a moment that exists, found {found}; sign again")]
    NoSuchMoment {
        /// Which field.
        field: &'static str,
        /// Its text.
        found: String,
    },
    /// It ends before it begins.
    #[error(
        "the payload: wanted expiresAt after issuedAt, found {expires} and {issued}; sign again with a later end"
    )]
    Backwards {
        /// When it was signed.
        issued: String,
        /// When it ends.
        expires: String,
    },
}

/// Whether a payload claims to be signed later than it was seen, by more than clocks differ. A date that does not exist
/// is as bad.
pub fn issued_ahead(issued_at: &DateTime, first_seen: Timestamp) -> bool {
    date_time(issued_at).is_none_or(|issued| issued.duration_since(first_seen) > MAX_AHEAD)
}

/// What the signer of an Approval signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalPayload {
    /// `spec.answers`, in any order: the Rejects that this Approve answers.
    #[serde(deserialize_with = "strict::required")]
    pub answers: Option<Vec<Name>>,
    /// The cluster: its configured name, or the uid of its kube-system namespace.
    pub cluster: Title,
    /// `spec.comment`.
    #[serde(deserialize_with = "strict::required")]
    pub comment: Option<Paragraph>,
    /// `spec.subject.covers`.
    pub covers: Covers,
    /// `spec.decision`.
    pub decision: ApprovalDecision,
    /// `spec.subject.digest`.
    pub digest: Digest,
    /// `spec.expiresAt`.
    #[serde(deserialize_with = "strict::required")]
    pub expires_at: Option<DateTime>,
    /// `spec.signed.issuedAt`.
    pub issued_at: DateTime,
    /// `spec.subject.kind`.
    pub kind: SubjectKind,
    /// `spec.subject.name`.
    pub name: Name,
    /// Namespace of the Approval.
    pub namespace: Name,
    /// `spec.signed.nonce`.
    pub nonce: Nonce,
    /// `spec.role`.
    pub role: Name,
}

impl Payload for ApprovalPayload {
    const TYPE: &'static str = "application/vnd.placet.dev.approval.v1+json";
    const NAMESPACE: &'static str = "approval@placet.dev";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("answers", "/answers"),
        ("comment", "/comment"),
        ("covers", "/subject/covers"),
        ("decision", "/decision"),
        ("digest", "/subject/digest"),
        ("expiresAt", "/expiresAt"),
        ("issuedAt", "/signed/issuedAt"),
        ("kind", "/subject/kind"),
        ("name", "/subject/name"),
        ("nonce", "/signed/nonce"),
        ("role", "/role"),
    ];
    fn cluster(&self) -> &str {
        &self.cluster
    }
    fn namespace(&self) -> &str {
        &self.namespace
    }
    fn issued_at(&self) -> &DateTime {
        &self.issued_at
    }
    fn expires_at(&self) -> Option<&DateTime> {
        self.expires_at.as_ref()
    }
}

/// What the signer of a RiskAcceptance signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RiskAcceptancePayload {
    /// `spec.assessment.name`.
    pub assessment: Name,
    /// The cluster: its configured name, or the uid of its kube-system namespace.
    pub cluster: Title,
    /// `spec.conditions`.
    #[serde(deserialize_with = "strict::required")]
    pub conditions: Option<Vec<Line>>,
    /// `spec.expiresAt`.
    pub expires_at: DateTime,
    /// `spec.signed.issuedAt`.
    pub issued_at: DateTime,
    /// Kind of the object: a RiskAcceptance.
    pub kind: Kind,
    /// `spec.level`.
    pub level: Level,
    /// Name of the RiskAcceptance, by which a consultation or a Reject names it.
    pub name: Name,
    /// Namespace of the RiskAcceptance.
    pub namespace: Name,
    /// `spec.signed.nonce`.
    pub nonce: Nonce,
    /// `spec.rationale`.
    pub rationale: Paragraph,
    /// `spec.risks`, in any order.
    #[serde(deserialize_with = "strict::objects")]
    pub risks: Vec<Risk>,
    /// `spec.role`.
    pub role: Name,
}

/// One accepted risk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Risk {
    /// Digest of the risk: text, harms, controls, computed level.
    pub digest: Digest,
    /// Its id in the assessment.
    pub id: Id,
}

impl Payload for RiskAcceptancePayload {
    const TYPE: &'static str = "application/vnd.placet.dev.riskacceptance.v1+json";
    const NAMESPACE: &'static str = "riskacceptance@placet.dev";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("assessment", "/assessment/name"),
        ("conditions", "/conditions"),
        ("expiresAt", "/expiresAt"),
        ("issuedAt", "/signed/issuedAt"),
        ("level", "/level"),
        ("nonce", "/signed/nonce"),
        ("rationale", "/rationale"),
        ("risks", "/risks"),
        ("role", "/role"),
    ];
    fn cluster(&self) -> &str {
        &self.cluster
    }
    fn namespace(&self) -> &str {
        &self.namespace
    }
    fn issued_at(&self) -> &DateTime {
        &self.issued_at
    }
    fn carrier(&self) -> Option<(Kind, &str)> {
        Some((self.kind, &self.name))
    }
    fn expires_at(&self) -> Option<&DateTime> {
        Some(&self.expires_at)
    }
}

/// What the author of a release, a system or an assessment signs where a robot writes it: its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthorPayload {
    /// The cluster: its configured name, or the uid of its kube-system namespace.
    pub cluster: Title,
    /// Its content digest.
    pub digest: Digest,
    /// When it was signed.
    pub issued_at: DateTime,
    /// Kind of the object: a ModelRelease, an AISystem or an ImpactAssessment.
    pub kind: SubjectKind,
    /// Its name.
    pub name: Name,
    /// Its namespace.
    pub namespace: Name,
    /// A number used once.
    pub nonce: Nonce,
}

impl Payload for AuthorPayload {
    const TYPE: &'static str = "application/vnd.placet.dev.author.v1+json";
    const NAMESPACE: &'static str = "approval@placet.dev";
    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("digest", "/digest"), ("kind", "/kind"), ("name", "/name")];
    fn cluster(&self) -> &str {
        &self.cluster
    }
    fn namespace(&self) -> &str {
        &self.namespace
    }
    fn issued_at(&self) -> &DateTime {
        &self.issued_at
    }
    fn expires_at(&self) -> Option<&DateTime> {
        None
    }
}
