//! Approval: one person's decision, in one role, on one content.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::Condition;
use crate::kind::Kind;
use crate::scalar::{DateTime, Digest, Line, Name, Paragraph};
use crate::signed::Signed;

/// One person's decision, in one role, on the content with this digest. Who decided is not written here: it is taken
/// from the request that created the object, or from its signature. Immutable; an approval is withdrawn by a new Approval that says Reject.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "placet.dev",
    version = "v1alpha1",
    kind = "Approval",
    plural = "approvals",
    shortname = "apv",
    category = "placet",
    namespaced,
    status = "ApprovalStatus",
    derive = "PartialEq",
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name: at most 63 characters, since names become label values"),
    printcolumn = r#"{"name":"Kind","type":"string","jsonPath":".spec.subject.kind","priority":1}"#,
    printcolumn = r#"{"name":"Subject","type":"string","jsonPath":".spec.subject.name"}"#,
    printcolumn = r#"{"name":"Role","type":"string","jsonPath":".spec.role"}"#,
    printcolumn = r#"{"name":"By","type":"string","jsonPath":".status.by"}"#,
    printcolumn = r#"{"name":"Decision","type":"string","jsonPath":".spec.decision"}"#,
    printcolumn = r#"{"name":"Counts","type":"string","jsonPath":".status.conditions[?(@.type==\"Counts\")].status"}"#,
    printcolumn = r#"{"name":"Why","type":"string","jsonPath":".status.conditions[?(@.type==\"Counts\")].reason"}"#,
    printcolumn = r#"{"name":"Expires","type":"string","jsonPath":".spec.expiresAt"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[x_kube(validation = Rule::new("!has(self.answers) || self.decision == 'Approve'").message("answers is for decision: Approve; a Reject answers nothing"))]
#[x_kube(validation = Rule::new("self == oldSelf").message("spec is immutable: to withdraw an approval, create a new Approval with decision: Reject"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalSpec {
    /// What is approved or rejected.
    pub subject: Subject,
    /// The ApprovalRole in which you decide. You need the verb `approve` on it.
    pub role: Name,
    /// The decision.
    pub decision: ApprovalDecision,
    /// Why. Personal: kept out of evidence leaves and snapshots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<Paragraph>,
    /// When it ends by itself. The policy may end it earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime>,
    /// Rejects of the same digest in the same role that this approval answers, by name: they block no longer. Whoever
    /// gave the Reject may answer it, or another holder of the role; an approval that is merely newer answers nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub answers: Option<Vec<Name>>,
    /// Your signature over all of this, where a robot applies it: it counts for the user of the TrustedSigner whose key
    /// signed, whoever applies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
}

/// What an approval is about.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("self.covers != 'Classification' || self.kind == 'AISystem'").message("covers: Classification is for an AISystem"))]
#[x_kube(validation = Rule::new("self.covers != 'Evidence' || self.kind == 'ModelRelease'").message("covers: Evidence is for a ModelRelease"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subject {
    /// Kind of the object.
    pub kind: SubjectKind,
    /// Its name, in this namespace; policies, roles and signers have none.
    pub name: Name,
    /// What the digest covers.
    pub covers: Covers,
    /// The digest that you looked at; `placet approve` writes it, status.digests shows it.
    pub digest: Digest,
}

/// Kinds that can be approved or rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SubjectKind {
    /// A release.
    ModelRelease,
    /// A system: its classification, or its evaluation settings.
    AISystem,
    /// An assessment.
    ImpactAssessment,
    /// A risk acceptance; a Reject withdraws it.
    RiskAcceptance,
    /// A version of a policy that loosens the one in force, or its deletion. Counts in the operator's namespace only.
    ReleasePolicy,
    /// A version of a role that loosens the one in force. Counts in the operator's namespace only.
    ApprovalRole,
    /// A key that is to stand for a person, or a version of it that loosens the one in force. Counts in the operator's
    /// namespace only.
    TrustedSigner,
}

impl SubjectKind {
    /// Name of the kind.
    pub fn as_str(self) -> &'static str {
        match self {
            SubjectKind::ModelRelease => "ModelRelease",
            SubjectKind::AISystem => "AISystem",
            SubjectKind::ImpactAssessment => "ImpactAssessment",
            SubjectKind::RiskAcceptance => "RiskAcceptance",
            SubjectKind::ReleasePolicy => "ReleasePolicy",
            SubjectKind::ApprovalRole => "ApprovalRole",
            SubjectKind::TrustedSigner => "TrustedSigner",
        }
    }

    /// The kind.
    pub fn kind(self) -> Kind {
        match self {
            SubjectKind::ModelRelease => Kind::ModelRelease,
            SubjectKind::AISystem => Kind::AISystem,
            SubjectKind::ImpactAssessment => Kind::ImpactAssessment,
            SubjectKind::RiskAcceptance => Kind::RiskAcceptance,
            SubjectKind::ReleasePolicy => Kind::ReleasePolicy,
            SubjectKind::ApprovalRole => Kind::ApprovalRole,
            SubjectKind::TrustedSigner => Kind::TrustedSigner,
        }
    }
}

/// What a digest covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Covers {
    /// The object's content.
    Content,
    /// A release together with its class, assessment, reports and the policy's requirements.
    Evidence,
    /// What an AISystem's class depends on.
    Classification,
}

impl std::fmt::Display for Covers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// A decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApprovalDecision {
    /// In favour.
    Approve,
    /// Against: blocks while the role is required.
    Reject,
}

/// What Placet found about an approval.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStatus {
    /// The generation that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Who decided, from the request that created it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Line>,
    /// Conditions: Ready (judged at this generation) and Counts (it counts for its subject now).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Option<Vec<Condition>>,
}
