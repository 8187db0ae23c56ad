//! What happened: one struct per kind of record. Nothing about people: who did it is a [`Commitment`] of the record under
//! [`ACTOR`]. No maps (a repeated key must be an error).
//!
//! [`Commitment`]: super::Commitment
//! [`ACTOR`]: super::ACTOR

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::roles::RoleStanding;
use super::stamps::{KeyDistrust, KeyRotate, Stamped};
use crate::hash::{Digest, TreeHash};

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident($body:ty) = $name:literal),+ $(,)?) => {
        /// The kinds of records, as `kind` spells them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Kind {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)+
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant),+];

            /// The word in the record.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }

        /// What a record tells.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum Payload {
            $($(#[$doc])* $variant($body),)+
        }

        impl Payload {
            /// Its kind.
            pub fn kind(&self) -> Kind {
                match self { $(Self::$variant(_) => Kind::$variant,)+ }
            }

            pub(super) fn parse(kind: Kind, body: &str) -> Result<Self, serde_json::Error> {
                Ok(match kind { $(Kind::$variant => Self::$variant(serde_json::from_str(body)?),)+ })
            }
        }
    };
}

kinds! {
    /// The operator opened the log; the first record of a first log is one.
    LogStart(LogStart) = "log.start",
    /// The operator closed the log in good order.
    LogStop(LogStop) = "log.stop",
    /// The first record of a successor log: which log it follows, and why.
    LogBegin(LogBegin) = "log.begin",
    /// Counts of what happened without a record of its own.
    Heartbeat(Heartbeat) = "heartbeat",
    /// Something that should have been recorded was not, or not one by one.
    Gap(Gap) = "gap",
    /// The gate's decision on a release.
    Decision(Decision) = "decision",
    /// The answer given to an admission request.
    Admission(Admission) = "admission",
    /// A version of an object of ours, seen or stamped.
    Object(ObjectSeen) = "object",
    /// Who wrote a version of an object of ours was written on it and signed.
    Stamp(Stamped) = "stamp",
    /// An approval, rejection or acceptance that counts.
    Approval(ApprovalCounted) = "approval",
    /// The scheduling gate of a pod was removed by us.
    HoldLifted(HoldLifted) = "hold.lifted",
    /// A release was withdrawn.
    Withdrawal(Withdrawal) = "withdrawal",
    /// A namespace's enforcement label was set, weakened or removed.
    Enforcement(Enforcement) = "enforcement",
    /// Our webhooks were removed (uninstallation).
    WebhooksRemoved(WebhooksRemoved) = "webhooks.removed",
    /// A policy or a role changed.
    PolicyChange(PolicyChange) = "policy.change",
    /// From now on another version of a policy decides, or none.
    PolicyEffect(PolicyEffect) = "policy.effect",
    /// Somebody lost a role, or holds it again.
    RoleStanding(RoleStanding) = "role.standing",
    /// A key was replaced.
    KeyRotate(KeyRotate) = "key.rotate",
    /// What a key signed no longer counts, but for what the log had recorded before.
    KeyDistrust(KeyDistrust) = "key.distrust",
    /// The opening of a personal value was erased.
    Redaction(Redaction) = "redaction",
}

impl Payload {
    /// Digests of stored objects that the payload names: they are cited and must be in the object store.
    pub(crate) fn cites(&self) -> Vec<Digest> {
        match self {
            Self::Decision(d) => d.snapshot.iter().copied().chain(d.result).collect(),
            Self::Object(o) => o.stored.into_iter().collect(),
            Self::Approval(a) => a.stored.into_iter().collect(),
            Self::Withdrawal(w) => w.stored.into_iter().collect(),
            Self::PolicyChange(p) => p.stored.into_iter().collect(),
            Self::PolicyEffect(p) => p.stored.iter().chain(&p.approvals).copied().collect(),
            _ => Vec::new(),
        }
    }
}

/// Three-valued outcome of a gate or of a whole decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Everything that is asked for is there.
    Met,
    /// Something is missing or wrong.
    NotMet,
    /// Not yet known; blocks as `NotMet` does.
    Unknown,
}

/// What was answered to an admission request, or done with a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Let through.
    Allow,
    /// Refused.
    Deny,
    /// Let through with the scheduling gate.
    Hold,
    /// Let through with a warning.
    Warn,
    /// Let through, would have been refused.
    Audit,
}

/// The verb of an admission request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// Creation.
    Create,
    /// Change.
    Update,
    /// Deletion; in a record that commits to no actor one that was found afterwards, with no request seen.
    Delete,
    /// A connection to a subresource.
    Connect,
    /// Found in the stores without a valid stamp, with no request seen (made while the webhook was away).
    Relist,
}

/// Body of `log.start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogStart {
    /// The log's name.
    pub origin: String,
    /// The key that signs its checkpoints, as a verifier key. A claim of the log about itself, for reading; trust
    /// comes from a key that is known from elsewhere.
    pub key: String,
    /// Name and version of the software that writes.
    pub software: String,
    /// Records that the log held when it was opened.
    pub found: u64,
    /// Whether the log had been closed in good order (true for a new one). When not, counts since the last heartbeat
    /// are lost.
    pub clean: bool,
    /// Tiles that were missing or wrong and were computed anew from the records.
    pub rebuilt: u64,
}

/// Body of `log.stop`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogStop {
    /// Why it was closed, for instance `shutdown`.
    pub reason: String,
}

/// The head of a log, as a record cites it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeadRef {
    /// The log's name.
    pub origin: String,
    /// Number of records.
    pub size: u64,
    /// Root hash.
    pub root: TreeHash,
}

/// Body of `log.begin`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogBegin {
    /// The new log's name.
    pub origin: String,
    /// The key that signs its checkpoints, as a verifier key.
    pub key: String,
    /// Name and version of the software that writes.
    pub software: String,
    /// The last head of the old log that is known outside its volume; absent when none was known.
    pub follows: Option<HeadRef>,
    /// Why a new log was begun, in the words of who did it.
    pub because: String,
}

/// A named count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Count {
    /// What is counted, for instance `reconciles.unchanged`.
    pub what: String,
    /// How many.
    pub count: u64,
}

/// How often a refusal was given again without a record of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefusalCount {
    /// Namespace of the refused object.
    pub namespace: String,
    /// Uid of the owner, or what else stood for it; `*` for what no longer could be told apart.
    pub owner: String,
    /// First 16 hex digits of the digest over effect and reasons; that of the record that counts the first one.
    pub refusal: String,
    /// How many were answered without a record since the last count.
    pub count: u64,
    /// When the first of them was answered.
    pub first: Timestamp,
    /// When the last of them was answered.
    pub last: Timestamp,
}

/// Body of `heartbeat`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Heartbeat {
    /// Start of the time that is counted.
    pub since: Timestamp,
    /// Named counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<Count>,
    /// Repeated refusals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<RefusalCount>,
}

/// Why there is a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GapReason {
    /// A write that a crash had cut off was found and dropped; nobody had been answered.
    Torn,
    /// The log could not be written and requests were let through (namespaces that warn or audit).
    Unwritable,
    /// A namespace had used up its write budget.
    Budget,
    /// Requests were seen only afterwards, on a list.
    Away,
}

/// Body of `gap`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gap {
    /// Why.
    pub reason: GapReason,
    /// Start of the gap, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// End of the gap, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// How many events, where counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Where and how much, for instance segment and byte.
    pub detail: String,
}

/// One gate's outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GateOutcome {
    /// Name of the gate.
    pub gate: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// Reason codes, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// A policy that was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyRef {
    /// Its name.
    pub name: String,
    /// Its content digest.
    pub digest: Digest,
}

/// Body of `decision`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Decision {
    /// The whole verdict: `Met` is cleared.
    pub verdict: Verdict,
    /// The class by which policies applied, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The class that the system's triggers give, where a policy raises it in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived: Option<String>,
    /// Each gate's outcome, in the order of evaluation.
    pub gates: Vec<GateOutcome>,
    /// Digests of the stored objects that were read: the snapshot. Replay evaluates them again. To be appended, all of
    /// them; in a record that was read, a list in their place where they are many: see [`crate::inputs`].
    pub snapshot: Vec<Digest>,
    /// Digest of the stored full decision. Replay must decide the same, whatever its words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Digest>,
    /// Policies applied.
    pub policies: Vec<PolicyRef>,
    /// The time that was given to the evaluation.
    pub now: Timestamp,
    /// Until when the decision holds if nothing changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
    /// Name and version of the gate.
    pub engine: String,
}

/// Body of `admission`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Admission {
    /// What was answered.
    pub effect: Effect,
    /// The namespace's mode at that time.
    pub mode: String,
    /// Verb of the request.
    pub op: Operation,
    /// API group; empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Subresource; absent for the object itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subresource: Option<String>,
    /// Namespace.
    pub namespace: String,
    /// Name, or the `generateName` with a star for a pod that has none yet.
    pub name: String,
    /// Uid of the request: joins with the API server's audit log by our audit annotation.
    pub request: String,
    /// Uid of the object, where it exists already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Uid of the controlling owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_uid: Option<String>,
    /// Kind of the controlling owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_kind: Option<String>,
    /// The release that the object names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Index of the `decision` record that the answer rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<u64>,
    /// Whether the release was cleared at that time.
    pub cleared: bool,
    /// Digest of what makes pods equal (see the design's pod-content digest).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_content: Option<Digest>,
    /// Replicas or parallelism of the admitted object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i64>,
    /// How many were wanted before, where more were let through without being cleared: their pods are held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raised_from: Option<i64>,
    /// Admitted as the replacement of a pod that had been admitted while cleared; or held, and to be let go as one once its
    /// owner has a place for it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub replacement: bool,
    /// Reason codes, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// The same answer given to the same owner before, without a record, since the last count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeats: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// Body of `object`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectSeen {
    /// What was done with it.
    pub op: Operation,
    /// Kind.
    pub kind: String,
    /// Namespace; absent for cluster kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// Uid, where it exists already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Content digest (the installation's digest rule, not that of the stored bytes).
    pub content: Digest,
    /// Digest of the stored version, people replaced by tokens; cited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Digest>,
    /// Whether the identity was stamped by us with a receipt.
    pub stamped: bool,
}

/// What an approval decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApprovalDecision {
    /// Yes.
    Approve,
    /// No.
    Reject,
    /// A risk is accepted.
    Accept,
}

/// Body of `approval`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalCounted {
    /// Yes or no.
    pub decision: ApprovalDecision,
    /// The role in which it was given.
    pub role: String,
    /// What it covers: `Content`, `Evidence` or `Classification`; empty for an acceptance.
    pub covers: String,
    /// Kind of the subject.
    pub subject_kind: String,
    /// Name of the subject, in the record's namespace.
    pub subject_name: String,
    /// The digest that it is bound to.
    pub subject_digest: Digest,
    /// Until when it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Digest of the stored version, people replaced by tokens; cited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Digest>,
}

/// Body of `hold.lifted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HoldLifted {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Uid of the pod.
    pub uid: String,
    /// Resource version that the patch tested.
    pub resource_version: String,
    /// Uid of the controlling owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_uid: Option<String>,
    /// The release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Digest of what makes pods equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_content: Option<Digest>,
    /// Pods that the owner has, held ones included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i64>,
    /// Index of the `decision` record that allowed it; absent when holds are lifted at uninstallation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<u64>,
    /// Let go as the replacement of a pod that had been admitted while cleared, though it no longer is.
    #[serde(default, skip_serializing_if = "is_false")]
    pub replacement: bool,
}

/// Body of `withdrawal`: stays in force for this content, also when the object is made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Withdrawal {
    /// Content digest of the release.
    pub digest: Digest,
    /// Digest of the stored version; cited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Digest>,
}

/// Body of `enforcement`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Enforcement {
    /// The label's value before; absent when there was none or it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The label's value after; absent when it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// False when it was found afterwards: the webhook was away, or the namespace was created with the label.
    pub seen: bool,
}

/// Body of `webhooks.removed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhooksRemoved {
    /// Names of the configurations.
    pub names: Vec<String>,
    /// Why, for instance `uninstall`.
    pub reason: String,
}

/// Body of `policy.change`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyChange {
    /// What was done.
    pub op: Operation,
    /// Content digest before; absent on creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
    /// Content digest after; absent on deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Digest>,
    /// Digest of the stored new version; cited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Digest>,
}

/// Body of `policy.effect`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyEffect {
    /// Content digest of the version that decided before; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
    /// Content digest of the version that decides from now on; absent once a deletion has taken effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Digest>,
    /// Digest of the stored version that decides from now on; cited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Digest>,
    /// Whether it asks for less than the one before.
    pub loosens: bool,
    /// Why it takes effect: `First`, `Tightens`, `Approved`, `Unguarded` or `NobodyCould`.
    pub because: String,
    /// Digests of the stored approvals that name it; cited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Digest>,
}

/// Body of `redaction`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Redaction {
    /// Index of the record whose opening was erased.
    pub index: u64,
    /// Type of the value.
    pub field: String,
    /// Legal ground, as a code.
    pub ground: String,
}
