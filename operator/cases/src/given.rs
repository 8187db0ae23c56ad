//! Objects as a case gives them: who wrote what when.

use std::path::Path;

use jiff::Timestamp;
use placet_api::Kind;
use placet_gate::asked::Asked;
use placet_gate::evidence::Evidence;
use serde::Deserialize;
use serde_json::Value;

use crate::CaseError;
use crate::case::first_line;

/// What cases start from.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Base {
    /// NAMESPACE/NAME that is asked about.
    pub release: Option<String>,
    /// Files with policies and roles, by their path from this file.
    #[serde(default)]
    pub policies: Vec<String>,
    /// Releases that were cleared, as they are given.
    #[serde(default)]
    pub cleared: Vec<ClearedOnce>,
    /// The objects.
    pub objects: Vec<Given>,
}

/// A release that was cleared once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClearedOnce {
    /// Its name.
    pub release: String,
    /// When.
    pub at: Timestamp,
    /// Digest of the content that it had, where that is not the one that is given.
    pub content: Option<String>,
}

/// An object and what Placet knows of how it came to be. What is left out is said in `docs/policies.md`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "a case says each of them by name")]
pub struct Given {
    /// Who created it; left out: it has no valid receipt.
    pub by: Option<String>,
    /// When; left out: 30 days before now.
    pub at: Option<Timestamp>,
    /// Who changed it since.
    #[serde(default)]
    pub edited: Vec<Edited>,
    /// Approval, RiskAcceptance: whether `by` held the role.
    pub holds_role: Option<bool>,
    /// Whether `by` has lost the role since.
    #[serde(default)]
    pub role_lost: bool,
    /// Seen once, gone now.
    #[serde(default)]
    pub deleted: bool,
    /// Its spec was changed behind the webhook's back.
    #[serde(default)]
    pub behind: bool,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The namespace; left out: that of the release.
    pub namespace: Option<String>,
    /// The uid; left out: `uid-KIND-NAME`.
    pub uid: Option<String>,
    /// Uid of its subject or assessment when it was made.
    pub subject_uid: Option<String>,
    /// Groups of `by`.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Whether `by` held the role by a wildcard only.
    #[serde(default)]
    pub wildcard: bool,
    /// Whether the request named its credential.
    #[serde(default)]
    pub credential: bool,
    /// Who signed it.
    pub signed: Option<SignedBy>,
    /// TrustedSigner: when it was deleted, as the log says.
    pub deleted_at: Option<Timestamp>,
    /// TestReport: roles in which `by` could report.
    #[serde(default)]
    pub reports_as: Vec<String>,
    /// TestReport: what was asked of tests when it was made.
    pub asked: Option<Asked>,
    /// Approval: what the evidence was made of that its digest is said to be of.
    #[serde(skip)]
    pub evidence: Option<Box<Evidence>>,
    /// The spec, in which digests may be written as what they are of.
    pub spec: Value,
}

/// Who signed an Approval or a RiskAcceptance, or something else as its author.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedBy {
    /// Number of the key; a TrustedSigner has it as `key: key N`.
    pub key: u8,
    /// Of whom it was asked whether they hold the role.
    pub user: Option<String>,
    /// When, as the signature says.
    pub issued_at: Option<String>,
    /// What was signed instead of what the object says.
    #[serde(default)]
    pub but: Value,
    /// Whether the signature is of other bytes.
    #[serde(default)]
    pub broken: bool,
    /// The SSH namespace that it was signed in, where that is not the one of the kind.
    pub in_namespace: Option<String>,
    /// The log's first use of it.
    pub seen: Option<SeenAs>,
}

/// The first use of a signature.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeenAs {
    /// When.
    pub at: Timestamp,
    /// For which object; left out: this one.
    pub name: Option<String>,
    /// For which subject.
    pub subject_uid: Option<String>,
}

/// A change of an object.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edited {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Given {
    fn of_platform(kind: &str, name: &str, spec: Value) -> Self {
        Self {
            by: Some("platform".into()),
            at: "2026-01-01T00:00:00Z".parse().ok(),
            edited: vec![],
            holds_role: None,
            role_lost: false,
            deleted: false,
            behind: false,
            kind: kind.to_owned(),
            name: name.to_owned(),
            namespace: None,
            uid: None,
            subject_uid: None,
            groups: vec![],
            wildcard: false,
            credential: false,
            signed: None,
            deleted_at: None,
            reports_as: vec![],
            asked: None,
            evidence: None,
            spec,
        }
    }

    pub(crate) fn is(&self, kind: &str, name: &str) -> bool {
        self.kind == kind && self.name == name
    }
}

/// The policies and roles of a file, created by `platform` on 1 January 2026.
///
/// # Errors
/// It is no YAML, or one of its documents is no object that Placet knows.
pub fn policy_objects(path: &Path, text: &str) -> Result<Vec<Given>, CaseError> {
    let wrong = |why: String| CaseError::File { file: path.to_owned(), why };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|e| wrong(format!("wanted YAML: {}", first_line(&e))))?;
    let mut out = Vec::new();
    for document in documents.iter().filter(|d| !d.is_null()) {
        let (kind, name) = (document["kind"].as_str(), document["metadata"]["name"].as_str());
        let (Some(kind), Some(name)) = (kind, name) else {
            return Err(wrong("wanted objects with a kind and metadata.name, found one without".into()));
        };
        if Kind::parse(kind).is_none() {
            return Err(wrong(format!("wanted a kind of placet.dev, found {kind}")));
        }
        out.push(Given::of_platform(kind, name, document["spec"].clone()));
    }
    if out.is_empty() {
        return Err(wrong("wanted policies or roles, found none".into()));
    }
    Ok(out)
}
