//! Verdicts and findings: what a gate says.

use placet_api::modelrelease::GateVerdict;
use serde::{Deserialize, Serialize};

/// The gates, in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Gate {
    /// The release itself: stamped, understood, not withdrawn.
    Release,
    /// Which policies apply.
    Policy,
    /// The system's class.
    Classification,
    /// The impact assessment.
    Assessment,
    /// Datasets that the release names.
    Data,
    /// The release's documentation.
    Documentation,
    /// What changed since the release before.
    Change,
    /// Tests.
    Tests,
    /// Whether the release was built right.
    Verification,
    /// Whether it does what it is meant for.
    Validation,
    /// How people oversee and stop the system.
    Oversight,
    /// What people are told.
    Transparency,
    /// Acceptance of residual risks.
    RiskAcceptance,
    /// Approvals by people.
    Approvals,
    /// What policies' authors ask in CEL. It is in no decision under policies that ask nothing so.
    Custom,
    /// The workload that would run a release: its labels, its images, whether it can be held. Asked at admission only
    /// and no part of a decision, so it is not in [`Gate::ALL`].
    Workload,
}

impl Gate {
    /// All gates of a decision, those that are part of one only where a policy asks for them included ([`Gate::always`]).
    pub const ALL: [Gate; 15] = [
        Gate::Release,
        Gate::Policy,
        Gate::Classification,
        Gate::Assessment,
        Gate::Data,
        Gate::Documentation,
        Gate::Change,
        Gate::Tests,
        Gate::Verification,
        Gate::Validation,
        Gate::Oversight,
        Gate::Transparency,
        Gate::RiskAcceptance,
        Gate::Approvals,
        Gate::Custom,
    ];

    /// Whether it is part of a decision whatever policies ask for. Decisions that were recorded before there was one of the others
    /// stay what they are.
    pub fn always(self) -> bool {
        !matches!(
            self,
            Gate::Data
                | Gate::Documentation
                | Gate::Change
                | Gate::Verification
                | Gate::Validation
                | Gate::Oversight
                | Gate::Transparency
                | Gate::Custom
                | Gate::Workload
        )
    }

    /// Name as shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Gate::Release => "release",
            Gate::Policy => "policy",
            Gate::Classification => "classification",
            Gate::Assessment => "assessment",
            Gate::Data => "data",
            Gate::Documentation => "documentation",
            Gate::Change => "change",
            Gate::Tests => "tests",
            Gate::Verification => "verification",
            Gate::Validation => "validation",
            Gate::Oversight => "oversight",
            Gate::Transparency => "transparency",
            Gate::RiskAcceptance => "riskAcceptance",
            Gate::Approvals => "approvals",
            Gate::Custom => "custom",
            Gate::Workload => "workload",
        }
    }
}

impl std::fmt::Display for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Stable reason codes. A code never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// All codes.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The code as text.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$name => stringify!($name),)* }
            }
        }
    };
}

reasons! {
    /// The operator's clock cannot be trusted now.
    ClockUntrusted,
    /// The operator has not yet read, or no longer hears of, a kind of object.
    StoreNotReady,
    /// An object carries no valid receipt.
    NotStamped,
    /// An object does not parse, or holds a field that this version does not know.
    NotUnderstood,
    /// The release was withdrawn.
    Withdrawn,
    /// There is no such release.
    ReleaseNotFound,
    /// No policy matches.
    NoPolicy,
    /// Policies contradict each other.
    PolicyConflict,
    /// A policy names a role that does not exist.
    UnknownRole,
    /// The system does not exist.
    SystemNotFound,
    /// A trigger is not answered.
    TriggerNotAnswered,
    /// A practice that Article 5 prohibits.
    Prohibited,
    /// The declared class is below the derived one.
    DeclaredClassTooLow,
    /// A derogation is incomplete or not allowed.
    DerogationNotValid,
    /// A class below High is not confirmed.
    ClassNotApproved,
    /// The class is lower than one of before, and nobody who is named for it has approved that.
    ClassLowered,
    /// The class is not known, so neither is what is asked for.
    ClassUnknown,
    /// There is no assessment of the system.
    AssessmentMissing,
    /// Several assessments, of which none supersedes the other.
    AssessmentsConflict,
    /// The current assessment was deleted.
    AssessmentDeleted,
    /// The assessment has no date.
    AssessmentUndated,
    /// The assessment is too old.
    AssessmentStale,
    /// The assessment does not cover a dataset.
    DatasetNotAssessed,
    /// The assessment does not cover a kind of artefact.
    ArtifactKindNotAssessed,
    /// The assessment does not cover the system's purpose.
    PurposeNotAssessed,
    /// The assessment does not cover a region of use.
    RegionNotAssessed,
    /// The assessment does not cover a group of people.
    AffectedGroupNotAssessed,
    /// The assessment did not consider an obligation that applies or soon will.
    ObligationNotConsidered,
    /// The assessment considered another version of an obligation.
    ObligationVersionDiffers,
    /// Something asks for a new assessment.
    ReassessmentAsked,
    /// The scores of the assessment cannot be computed.
    ScoreNotComputable,
    /// A residual value is above the inherent one.
    ResidualAboveInherent,
    /// A kind of interested party was neither considered nor left out with a reason.
    StakeholderNotConsidered,
    /// A section of the assessment has neither harms nor a reason why there are none.
    SectionMissing,
    /// A threat is neither a risk nor excluded with a reason.
    ThreatNotAddressed,
    /// A part of the fundamental rights impact assessment of AI Act Article 27 is missing.
    FundamentalRightsMissing,
    /// It is not said when the risks were evaluated.
    RiskEvaluationMissing,
    /// The risks were evaluated before the assessment.
    RiskEvaluationTooEarly,
    /// A risk that is High or above without controls cites no control of an Annex A.
    ControlNotCited,
    /// The assessment is not approved by a role that is asked for it.
    AssessmentNotApproved,
    /// The release names no dataset, or there is no Dataset of the content of one that it names.
    DatasetMissing,
    /// Several Datasets of one content say different things, and none supersedes the others.
    DatasetsConflict,
    /// A Dataset does not fit together.
    DatasetNotValid,
    /// A release calls a dataset otherwise than its Dataset does.
    DatasetNameDiffers,
    /// A Dataset leaves out a field that is asked for.
    DatasetFactMissing,
    /// A dataset may not be used for what the release used it for.
    DatasetUseNotPermitted,
    /// A dataset may not serve the system's purpose.
    DatasetPurposeNotPermitted,
    /// A dataset holds special categories of personal data, and nothing says why they may be used.
    SpecialCategoryWithoutBasis,
    /// A dataset holds personal data, and its system says that it processes none.
    PersonalDataNotDeclared,
    /// The data is too old.
    DatasetStale,
    /// A dataset may no longer be used.
    DatasetExpired,
    /// A measure of quality that is asked for is not there.
    QualityNotMeasured,
    /// A measure of quality is beyond its limit.
    QualityNotMet,
    /// A measure of quality does not show on which side of its limit it is.
    QualityIndeterminate,
    /// A Dataset does not count the rows of an attribute that is asked for.
    GroupCountsMissing,
    /// A group is not in the data as it is asked for.
    GroupNotRepresented,
    /// There is no report of a test.
    TestMissing,
    /// A test failed.
    TestFailed,
    /// A test does not show which way it goes.
    TestIndeterminate,
    /// A report leaves out an attribute or a category of people that is asked for.
    GroupMissing,
    /// A report does not fit together.
    ReportNotValid,
    /// Whoever reported may not.
    ReporterNotEntitled,
    /// A report is too old.
    ReportStale,
    /// Reports differ.
    ReportsConflict,
    /// What a bias test must look at is not defined.
    EvaluationMissing,
    /// The system's evaluation settings are not confirmed.
    EvaluationNotApproved,
    /// A part of the documentation is missing.
    DocumentMissing,
    /// What is said to document the release is part of it.
    DocumentNotValid,
    /// A record is missing without which the release cannot be built again.
    BuildRecordMissing,
    /// Nobody but who made or develops the release reported a test that validates it.
    ReportNotIndependent,
    /// There is no oversight plan.
    OversightMissing,
    /// The oversight plan lacks something.
    OversightIncomplete,
    /// Stopping the system was never practised.
    DrillMissing,
    /// Stopping the system was practised too long ago.
    DrillStale,
    /// People are not told what they are to be told.
    NoticeMissing,
    /// The release before is not named.
    PreviousMissing,
    /// The release before is not there.
    PreviousNotFound,
    /// What is named as the release before is none.
    PreviousNotValid,
    /// A kind of change is not declared, or one is that it is not.
    ChangeNotDeclared,
    /// A part of the change's assessment is missing.
    ChangeNotAssessed,
    /// There is no release to go back to.
    RollbackTargetMissing,
    /// Nobody can go back to the release that is named for it.
    RollbackTargetNotValid,
    /// A residual risk above the appetite is not accepted.
    RiskNotAccepted,
    /// A role was not heard on the acceptance of a risk.
    ConsultationMissing,
    /// A residual risk that nobody may accept.
    RiskNotAcceptable,
    /// No policy says who may accept a level.
    AuthorityMissing,
    /// Approvals are missing.
    ApprovalMissing,
    /// Approvals are missing because the term of those that were given has ended.
    ApprovalExpired,
    /// A residual risk is no longer accepted, because the acceptance has ended.
    AcceptanceExpired,
    /// A risk rose since what its controls name as evidence ended.
    EvidenceExpired,
    /// A robot wrote a release, a system or an assessment, and nobody's signature says who its author is.
    AuthorUnknown,
    /// A role's holder rejected it.
    Rejected,
    /// What a policy's author asks in CEL is not so.
    CustomGateNotMet,
    /// A gate of a policy's author held when the release went into use, and its day has gone.
    CustomGateEnded,
    /// What a policy's author asks in CEL cannot be evaluated.
    CustomGateUnknown,
    /// The content changed since it was approved.
    ContentChanged,
    /// An image is not named by its digest.
    ImageNotPinned,
    /// An image is neither in the release nor on the platform list.
    ImageNotListed,
    /// A workload names no release, and does not consist of platform images only.
    NoRelease,
    /// A workload and its pod template name different releases.
    ReleaseLabelsDiffer,
    /// The workload that is scaled is not known.
    WorkloadNotFound,
    /// A pod that names its node cannot be held.
    NodeNameSet,
    /// A pod that must be held carries no hold.
    NotHeld,
    /// Somebody other than the operator takes the hold off a pod that is not cleared.
    HoldRemoved,
    /// A hold would stop pods that run: their controller deletes them before it creates their successors.
    HoldWouldStopPods,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that keeps a gate from being met. People stand in the texts as tokens ([`crate::people::with_names`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The gate.
    pub gate: Gate,
    /// Whether it is known that something is missing (`NotMet`), or not yet known (Unknown).
    pub verdict: GateVerdict,
    /// Reason code.
    pub reason: Reason,
    /// What it is about: a role, a risk, an artefact.
    pub item: String,
    /// What was wanted.
    pub wanted: String,
    /// What was found.
    pub found: String,
    /// What the words of `wanted` and `found` name beside the item: objects, digests, people, dates and numbers that the
    /// verdict rests on. Replay compares these and not the words, which a later version may say better.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub about: Vec<String>,
    /// Who can supply it.
    pub who: String,
    /// The command or change that does.
    pub command: String,
}

impl Finding {
    /// Adds what the words name.
    pub fn about<T: Into<String>>(&mut self, things: impl IntoIterator<Item = T>) {
        self.about.extend(things.into_iter().map(Into::into));
    }
}

/// What one gate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GateOutcome {
    /// The gate.
    pub gate: Gate,
    /// Its verdict: the worst of its findings', Met without any; Unknown without any where it cannot be asked before
    /// there is a release.
    pub verdict: GateVerdict,
    /// What is missing, in a stable order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// What was looked at and holds, for those who want to see it: computed metrics, scores, warnings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}
