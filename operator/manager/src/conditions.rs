//! Conditions: every type, every reason, and what the installation as a whole shows on each ReleasePolicy.
//!
//! Policies are few and cluster-wide, and platform people look at them: so that is where a clock that is not
//! trusted and a log that is full or nearly full are told. They are written when they change and at no other time.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use placet_evidence::Health;
use placet_gate::visible;
use serde_json::{Value, json};

use crate::infra::clock::{Distrust, Trust};

/// Types of conditions.
pub mod types {
    /// Judged at this generation (kstatus).
    pub const READY: &str = "Ready";
    /// ReleasePolicy: it is understood, does not contradict itself, and every role that it names exists.
    pub const USABLE: &str = "Usable";
    /// ModelRelease: all gates are met.
    pub const CLEARED: &str = "Cleared";
    /// Approval, RiskAcceptance: it counts for what it names.
    pub const COUNTS: &str = "Counts";
    /// The operator's clock may be decided by. On each ReleasePolicy; on a ModelRelease only while it is False.
    pub const TIME_TRUSTED: &str = "TimeTrusted";
    /// ReleasePolicy: the evidence log takes records.
    pub const EVIDENCE_WRITABLE: &str = "EvidenceWritable";
    /// ReleasePolicy: neither the log's volume nor a namespace's write budget is nearly used up.
    pub const EVIDENCE_SPACE: &str = "EvidenceSpace";

    /// RiskAcceptance: it ends soon, or has ended.
    pub const EXPIRING: &str = "Expiring";

    /// ReleasePolicy: this version decides.
    pub const IN_FORCE: &str = "InForce";

    /// All of them.
    pub const ALL: [&str; 9] =
        [READY, USABLE, IN_FORCE, CLEARED, COUNTS, TIME_TRUSTED, EVIDENCE_WRITABLE, EVIDENCE_SPACE, EXPIRING];
}

/// Reasons of conditions.
pub mod reasons {
    /// The release, approval or acceptance was judged at this generation.
    pub const JUDGED: &str = "Judged";
    /// Every gate is met.
    pub const ALL_GATES_MET: &str = "AllGatesMet";
    /// A gate is not met.
    pub const GATES_OPEN: &str = "GatesOpen";
    /// No gate is not met, and at least one is not known.
    pub const NOT_YET_KNOWN: &str = "NotYetKnown";
    /// No valid receipt.
    pub const NOT_STAMPED: &str = "NotStamped";
    /// The spec does not parse, or holds a field that this version does not know.
    pub const NOT_UNDERSTOOD: &str = "NotUnderstood";
    /// The class is derived.
    pub const CLASSIFIED: &str = "Classified";
    /// A trigger is not answered.
    pub const TRIGGERS_NOT_ANSWERED: &str = "TriggersNotAnswered";
    /// Levels are computed.
    pub const SCORED: &str = "Scored";
    /// A risk cannot be scored.
    pub const SCORES_NOT_COMPUTABLE: &str = "ScoresNotComputable";
    /// Read, and nothing is wrong with it.
    pub const UNDERSTOOD: &str = "Understood";
    /// Its author did not hold the role.
    pub const ROLE_NOT_HELD: &str = "RoleNotHeld";
    /// The signature that it carries does not count.
    pub const NOT_SIGNED: &str = "SignatureDoesNotCount";
    /// Its author wrote what it approves.
    pub const BY_AUTHOR: &str = "ByAuthor";
    /// A rule on who may approve keeps it from counting.
    pub const DOES_NOT_COUNT: &str = "DoesNotCount";
    /// No policy asks for it.
    pub const NOT_ASKED: &str = "NotAsked";
    /// Nothing has asked for it yet: there is no release, or what is asked for is not known.
    pub const NOT_YET_ASKED: &str = "NotYetAsked";
    /// A Reject that somebody answered.
    pub const ANSWERED: &str = "Answered";
    /// What it is about does not exist.
    pub const SUBJECT_NOT_FOUND: &str = "SubjectNotFound";
    /// What it is about has another content now.
    pub const CONTENT_CHANGED: &str = "ContentChanged";
    /// Bound to its subject's content.
    pub const BOUND: &str = "Bound";
    /// Its term has ended.
    pub const ENDED: &str = "Ended";
    /// Its term has not ended.
    pub const IN_DATE: &str = "InDate";
    /// It ends within the days that a policy warns before.
    pub const ENDS_SOON: &str = "EndsSoon";
    /// The policy contradicts itself.
    pub const CONTRADICTION: &str = "Contradiction";
    /// It names a role that does not exist.
    pub const UNKNOWN_ROLE: &str = "UnknownRole";
    /// The clock agrees with the API server's.
    pub const CLOCKS_AGREE: &str = "ClocksAgree";
    /// A release is Unknown because the clock cannot be decided by.
    pub const CLOCK_UNTRUSTED: &str = "ClockUntrusted";
    /// No answer of the API server was compared yet.
    pub const CLOCK_NOT_COMPARED: &str = "ClockNotCompared";
    /// More than 30 s from the API server's `Date`.
    pub const CLOCK_DIFFERS: &str = "ClockDiffers";
    /// Set while running.
    pub const CLOCK_JUMPED: &str = "ClockJumped";
    /// Behind the newest record of the log.
    pub const CLOCK_BEHIND_LOG: &str = "ClockBehindLog";
    /// The log takes records.
    pub const WRITABLE: &str = "Writable";
    /// The log's volume is full.
    pub const VOLUME_FULL: &str = "VolumeFull";
    /// Something is too large to be recorded.
    pub const RECORD_TOO_LARGE: &str = "RecordTooLarge";
    /// There is room.
    pub const ROOM: &str = "Room";
    /// The log's volume is nearly full.
    pub const VOLUME_NEARLY_FULL: &str = "VolumeNearlyFull";
    /// A namespace has nearly used up its write budget.
    pub const BUDGET_NEARLY_USED: &str = "BudgetNearlyUsed";

    /// This version of the policy decides.
    pub const DECIDES: &str = "Decides";
    /// This version of the policy waits for the approval of a second person.
    pub const WAITS_FOR_APPROVAL: &str = "WaitsForApproval";

    /// All of them.
    pub const ALL: [&str; 40] = [
        JUDGED,
        ALL_GATES_MET,
        GATES_OPEN,
        NOT_YET_KNOWN,
        NOT_STAMPED,
        NOT_UNDERSTOOD,
        CLASSIFIED,
        TRIGGERS_NOT_ANSWERED,
        SCORED,
        SCORES_NOT_COMPUTABLE,
        UNDERSTOOD,
        ROLE_NOT_HELD,
        NOT_SIGNED,
        BY_AUTHOR,
        DOES_NOT_COUNT,
        NOT_ASKED,
        NOT_YET_ASKED,
        ANSWERED,
        SUBJECT_NOT_FOUND,
        CONTENT_CHANGED,
        BOUND,
        ENDED,
        IN_DATE,
        ENDS_SOON,
        CONTRADICTION,
        UNKNOWN_ROLE,
        CLOCKS_AGREE,
        CLOCK_UNTRUSTED,
        CLOCK_NOT_COMPARED,
        CLOCK_DIFFERS,
        CLOCK_JUMPED,
        CLOCK_BEHIND_LOG,
        WRITABLE,
        VOLUME_FULL,
        RECORD_TOO_LARGE,
        ROOM,
        VOLUME_NEARLY_FULL,
        BUDGET_NEARLY_USED,
        DECIDES,
        WAITS_FOR_APPROVAL,
    ];
}

/// Percent of the log's volume, or of a namespace's write budget, from which a condition warns.
pub const WARN_PERCENT: u8 = 80;
/// The volume's percentage is shown in such steps, and a step is left when it is undershot by as much: one write to
/// etcd per step, and none from wavering around one.
const STEP: u8 = 5;
/// How long a namespace is named after its budget was last found nearly used: budgets refill within half a minute.
const BUDGET_NAMED: SignedDuration = SignedDuration::from_mins(10);
/// Namespaces that a message names; the number of all is always told.
const NAMED: usize = 5;
/// A difference between clocks is told anew when it has changed by more than this, and by more than a tenth.
const TOLD_ANEW: u64 = 30;
/// Characters of a message, by the schema.
const MAX_MESSAGE: usize = 2048;

/// A condition, without its transition time.
///
/// Its message is shown by terminals, and what it quotes may be anybody's.
pub fn condition(type_: &str, status: &str, reason: &str, message: &str, generation: Option<i64>) -> Value {
    let message = crate::status::cut(&visible::line(message), MAX_MESSAGE);
    json!({"type": type_, "status": status, "reason": reason, "message": message, "observedGeneration": generation})
}

/// That the time cannot be decided by, and why: for a release that is Unknown for it.
pub fn time_untrusted(why: &str, generation: Option<i64>) -> Value {
    condition(types::TIME_TRUSTED, "False", reasons::CLOCK_UNTRUSTED, why, generation)
}

/// How the installation is, as the conditions of policies tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Installation {
    /// Why time is not trusted.
    distrust: Option<Distrust>,
    /// Whether the log's volume is full.
    full: bool,
    /// Percent of the volume in use, in steps; None below [`WARN_PERCENT`].
    volume: Option<u8>,
    /// Namespaces whose budget was nearly used, with the time at which that was last found.
    budgets: BTreeMap<String, Timestamp>,
    /// What could not be recorded for its size.
    too_large: Vec<String>,
}

impl Installation {
    /// Takes in how things are now. Whether the conditions say something else than before.
    pub fn observe(&mut self, now: Timestamp, trust: &Trust, log: &Health, budgets: Vec<String>) -> bool {
        let before = (self.distrust.clone(), self.full, self.volume, self.names());
        match trust {
            Trust::Trusted => self.distrust = None,
            Trust::Untrusted { why } if !self.distrust.as_ref().is_some_and(|old| same(old, why)) => {
                self.distrust = Some(why.clone());
            }
            Trust::Untrusted { .. } => {}
        }
        self.full = log.full;
        let percent = log.usage.percent;
        let step = (percent >= WARN_PERCENT).then_some(percent / STEP * STEP);
        self.volume = match self.volume {
            Some(shown) if percent.saturating_add(STEP) >= shown && step <= Some(shown) => Some(shown),
            _ => step,
        };
        self.budgets.retain(|_, at| now.duration_since(*at) < BUDGET_NAMED);
        self.budgets.extend(budgets.into_iter().map(|namespace| (namespace, now)));
        before != (self.distrust.clone(), self.full, self.volume, self.names())
    }

    /// Takes in what could not be recorded for its size. Whether that is something else than before.
    pub fn too_large(&mut self, found: Vec<String>) -> bool {
        std::mem::replace(&mut self.too_large, found) != self.too_large
    }

    fn names(&self) -> Vec<String> {
        self.budgets.keys().cloned().collect()
    }

    /// The conditions, for a ReleasePolicy of this generation.
    pub fn conditions(&self, generation: Option<i64>) -> Vec<Value> {
        vec![self.time(generation), self.writable(generation), self.space(generation)]
    }

    fn time(&self, generation: Option<i64>) -> Value {
        let (status, reason, message) = match &self.distrust {
            None => ("True", reasons::CLOCKS_AGREE, "within 30 s of the API server's Date".to_owned()),
            Some(why) => (
                "False",
                match why {
                    Distrust::NotCompared => reasons::CLOCK_NOT_COMPARED,
                    Distrust::Differs { .. } => reasons::CLOCK_DIFFERS,
                    Distrust::Jumped { .. } => reasons::CLOCK_JUMPED,
                    Distrust::BehindFloor { .. } => reasons::CLOCK_BEHIND_LOG,
                },
                format!("every decision is Unknown: {why}"),
            ),
        };
        condition(types::TIME_TRUSTED, status, reason, &message, generation)
    }

    fn writable(&self, generation: Option<i64>) -> Value {
        let (status, reason, message) = if self.full {
            (
                "False",
                reasons::VOLUME_FULL,
                "the evidence log's volume is full: in enforcing namespaces no pod starts, and objects of placet.dev \
                 cannot be written; enlarge the volume, or begin a successor log on a new one"
                    .to_owned(),
            )
        } else if !self.too_large.is_empty() {
            let shown: Vec<&str> = self.too_large.iter().take(NAMED).map(String::as_str).collect();
            let more = self.too_large.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            (
                "False",
                reasons::RECORD_TOO_LARGE,
                format!(
                    "what happens to these is too large to be recorded, so that nothing is decided on them and no pod of \
                     theirs starts: {}{more}; trying again does not help: make the objects smaller, or fewer",
                    shown.join(", ")
                ),
            )
        } else {
            ("True", reasons::WRITABLE, "the evidence log takes records".to_owned())
        };
        condition(types::EVIDENCE_WRITABLE, status, reason, &message, generation)
    }

    fn space(&self, generation: Option<i64>) -> Value {
        let volume = self.volume.map(|percent| {
            format!(
                "the evidence log's volume is more than {percent} % full: enlarge it before it is; a full one stops \
                 enforcing namespaces"
            )
        });
        let budgets = (!self.budgets.is_empty()).then(|| {
            let shown: Vec<&str> = self.budgets.keys().take(NAMED).map(String::as_str).collect();
            let more = self.budgets.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!(
                "within the last {} minutes these namespaces used more than {WARN_PERCENT} % of what they may write to \
                 the evidence log at once or in a day: {}{more}; beyond it their requests are refused, those of others are not: \
                 look for a workload that is created, or an object that is written, again and again",
                BUDGET_NAMED.as_mins(),
                shown.join(", "),
            )
        });
        let (status, reason) = match (&volume, &budgets) {
            (Some(_), _) => ("False", reasons::VOLUME_NEARLY_FULL),
            (None, Some(_)) => ("False", reasons::BUDGET_NEARLY_USED),
            (None, None) => ("True", reasons::ROOM),
        };
        let said: Vec<String> = volume.into_iter().chain(budgets).collect();
        let message = if said.is_empty() {
            format!("the volume and each namespace's write budget are less than {WARN_PERCENT} % used")
        } else {
            said.join("; ")
        };
        condition(types::EVIDENCE_SPACE, status, reason, &message, generation)
    }
}

/// Whether two reasons for distrust read the same: of one kind, and nearly of one size.
fn same(old: &Distrust, new: &Distrust) -> bool {
    let near = |old: &i64, new: &i64| old.abs_diff(*new) <= TOLD_ANEW.max(old.unsigned_abs() / 10);
    match (old, new) {
        (Distrust::NotCompared, Distrust::NotCompared) => true,
        (Distrust::Differs { seconds: old }, Distrust::Differs { seconds: new })
        | (Distrust::Jumped { seconds: old }, Distrust::Jumped { seconds: new })
        | (Distrust::BehindFloor { seconds: old }, Distrust::BehindFloor { seconds: new }) => near(old, new),
        _ => false,
    }
}

#[cfg(test)]
#[path = "conditions_tests.rs"]
mod tests;
