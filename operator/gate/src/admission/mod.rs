//! The judgement of an admission request on a workload (design: *Admission, exactly*). Pure: the webhook brings the
//! request and the facts, and carries out the answer.
//!
//! [`subject()`] says whether a request is judged at all and what it would run; [`judge()`] answers it. The mutating and
//! the validating webhook call both in the same way; the validating one then passes the answer through
//! [`Answer::in_validation`], which refuses a pod that should be held and carries no hold.

mod content;
pub mod image;
mod judge;
mod listing;
mod mode;
mod patch;
mod say;
mod subject;
mod workload;

use std::collections::{BTreeMap, BTreeSet};

use placet_api::modelrelease::ModelReleaseSpec;
use serde_json::Value;

use crate::decision::Decision;
use crate::finding::{Finding, Reason};
use crate::object::Object;
use crate::policy::PolicySet;
use crate::render::Words;

pub use content::{ImageUse, Part};
pub use judge::judge;
pub use mode::Mode;
pub use patch::{hold_patch, unhold_patch};
pub use subject::{Change, Judged, Owner, Passes, Subject, subject};
pub use workload::Workload;

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Creates an object.
    Create,
    /// Changes an object.
    Update,
}

/// An admission request on a workload.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Kind of the workload; for the subresource `scale` the kind of the workload that is scaled.
    pub kind: Workload,
    /// Subresource; None or empty for the object itself.
    pub subresource: Option<&'a str>,
    /// Operation.
    pub operation: Operation,
    /// Namespace.
    pub namespace: &'a str,
    /// Name as the request has it; empty where the API server has not made one yet.
    pub name: &'a str,
    /// The object; a Scale for the subresource `scale`.
    pub object: &'a Value,
    /// The object before an update.
    pub old: Option<&'a Value>,
    /// User name of the sender.
    pub user: &'a str,
}

/// What the judgement reads beside the request.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Mode of the namespace.
    pub mode: Mode,
    /// What is to be said about the namespace's label ([`Mode::of`]).
    pub mode_note: Option<&'a str>,
    /// Labels of the namespace.
    pub namespace_labels: &'a BTreeMap<String, String>,
    /// The release that the workload names, if it exists.
    pub release: Option<&'a Object<ModelReleaseSpec>>,
    /// The decision on that release, made from the same snapshot that `release` is from. One on a release that does not
    /// exist says so.
    pub decision: Option<&'a Decision>,
    /// The words of that decision, where they are at hand; otherwise they are made for the answer.
    pub words: Option<&'a Words>,
    /// The policies in force: one that waits for its approval lists no image yet.
    pub policies: &'a PolicySet,
    /// What was admitted for the pod's owner ([`Subject::owner`], by uid) while it was cleared, according to the log.
    pub history: Option<&'a OwnerHistory>,
    /// How many pods of that owner exist and are not ending.
    pub live_pods: i64,
    /// Updates of controllers' objects: whether pods of the object run that are not held.
    pub pods_running: bool,
    /// User name of the operator itself.
    pub operator_user: &'a str,
}

/// What was admitted for an owner of pods while it was cleared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnerHistory {
    /// Release and pod-content digest of each pod.
    pub admitted: BTreeSet<(String, String)>,
    /// The highest number of pods at once; `i64::MAX` for a `DaemonSet`, which has one per node.
    pub highest_replicas: i64,
}

/// The account of all controllers, where the controller manager runs without one for each.
pub const CONTROLLER_MANAGER: &str = "system:kube-controller-manager";

/// What happens to the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// It passes.
    Allow,
    /// It is refused.
    Deny,
    /// The pod is created with the scheduling gate `placet.dev/hold`.
    Hold,
    /// It passes, with warnings.
    Warn,
    /// It passes and is recorded.
    Audit,
}

impl Effect {
    /// Name as recorded.
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::Allow => "Allow",
            Effect::Deny => "Deny",
            Effect::Hold => "Hold",
            Effect::Warn => "Warn",
            Effect::Audit => "Audit",
        }
    }
}

/// The answer to a request. People stand in its texts as tokens until [`Answer::message_for`] and
/// [`Answer::warnings_for`] join their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What happens.
    pub effect: Effect,
    /// Whether the workload is cleared: its release is, or it needs none, and everything else fits.
    pub cleared: bool,
    /// Whether the pod starts although it is not cleared, as the replacement of one that was; of one that is held, whether
    /// it may once replacements start and its owner has a place for it.
    pub replacement: bool,
    /// Reason codes of everything that is missing, those of the workload itself first, without repetition.
    pub reasons: Vec<Reason>,
    /// What is missing in the workload itself, beyond the findings of the decision.
    pub findings: Vec<Finding>,
    /// Denial: the complete text. Empty otherwise.
    pub message: String,
    /// Lines for the sender, most important first, the one that shows the rest last; not yet cut.
    pub warnings: Vec<String>,
    /// The same lines for a denial, whose sender gets the message: for the event on the top owner.
    pub denied: Vec<String>,
}
