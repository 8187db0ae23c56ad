//! The kinds by name, and what is true of each.

use serde::{Deserialize, Serialize};

/// A kind of the group `placet.dev`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// AISystem.
    AISystem,
    /// ImpactAssessment.
    ImpactAssessment,
    /// ModelRelease.
    ModelRelease,
    /// TestReport.
    TestReport,
    /// Dataset.
    Dataset,
    /// Approval.
    Approval,
    /// RiskAcceptance.
    RiskAcceptance,
    /// ReleasePolicy.
    ReleasePolicy,
    /// ApprovalRole.
    ApprovalRole,
    /// TrustedSigner.
    TrustedSigner,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 10] = [
        Kind::AISystem,
        Kind::ImpactAssessment,
        Kind::ModelRelease,
        Kind::TestReport,
        Kind::Dataset,
        Kind::Approval,
        Kind::RiskAcceptance,
        Kind::ReleasePolicy,
        Kind::ApprovalRole,
        Kind::TrustedSigner,
    ];

    /// The kind with this name.
    pub fn parse(name: &str) -> Option<Kind> {
        Self::ALL.into_iter().find(|k| k.as_str() == name)
    }

    /// Name, as in `kind:`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::AISystem => "AISystem",
            Kind::ImpactAssessment => "ImpactAssessment",
            Kind::ModelRelease => "ModelRelease",
            Kind::TestReport => "TestReport",
            Kind::Dataset => "Dataset",
            Kind::Approval => "Approval",
            Kind::RiskAcceptance => "RiskAcceptance",
            Kind::ReleasePolicy => "ReleasePolicy",
            Kind::ApprovalRole => "ApprovalRole",
            Kind::TrustedSigner => "TrustedSigner",
        }
    }

    /// Plural, as in URLs and RBAC rules.
    pub fn plural(self) -> &'static str {
        match self {
            Kind::AISystem => "aisystems",
            Kind::ImpactAssessment => "impactassessments",
            Kind::ModelRelease => "modelreleases",
            Kind::TestReport => "testreports",
            Kind::Dataset => "datasets",
            Kind::Approval => "approvals",
            Kind::RiskAcceptance => "riskacceptances",
            Kind::ReleasePolicy => "releasepolicies",
            Kind::ApprovalRole => "approvalroles",
            Kind::TrustedSigner => "trustedsigners",
        }
    }

    /// Short name for kubectl.
    pub fn short(self) -> &'static str {
        match self {
            Kind::AISystem => "ais",
            Kind::ImpactAssessment => "ia",
            Kind::ModelRelease => "mr",
            Kind::TestReport => "tr",
            Kind::Dataset => "dset",
            Kind::Approval => "apv",
            Kind::RiskAcceptance => "ra",
            Kind::ReleasePolicy => "rp",
            Kind::ApprovalRole => "approle",
            Kind::TrustedSigner => "ts",
        }
    }

    /// Whether its author may sign it in an annotation: somebody wrote it who does not decide on it.
    pub fn authored(self) -> bool {
        matches!(self, Kind::ModelRelease | Kind::AISystem | Kind::ImpactAssessment)
    }

    /// Whether objects live in a namespace.
    pub fn namespaced(self) -> bool {
        !matches!(self, Kind::ReleasePolicy | Kind::ApprovalRole | Kind::TrustedSigner)
    }

    /// Whether the spec never changes after creation (ModelRelease: except `withdrawn`).
    pub fn immutable(self) -> bool {
        matches!(
            self,
            Kind::ModelRelease | Kind::TestReport | Kind::Dataset | Kind::Approval | Kind::RiskAcceptance
        )
    }

    /// Lists of the spec whose order carries no meaning, as (path from spec, keys). A `*` in a path stands for each
    /// item of a list. Digests sort them; no keys means a set of plain values. The same lists are
    /// `x-kubernetes-list-type: map` or `set` in the schema (a test compares the two).
    pub fn keyed_lists(self) -> &'static [(&'static str, &'static [&'static str])] {
        match self {
            Kind::AISystem => &[
                ("organisationRoles", &[]),
                ("intendedUse.users", &[]),
                ("intendedUse.decisions", &[]),
                ("intendedUse.affectedGroups", &[]),
                ("intendedUse.regions", &[]),
                ("intendedUse.deployers", &[]),
                ("intendedUse.outOfScope", &[]),
                ("triggers.article5", &[]),
                ("triggers.annexI", &[]),
                ("triggers.annexIII", &[]),
                ("triggers.article50", &[]),
                ("exceptions", &["point"]),
                ("datasets", &["name"]),
                ("suppliers", &["name"]),
                ("oversight.overseers", &["function"]),
                ("transparency", &["duty"]),
            ],
            Kind::ImpactAssessment => &[
                ("scope.datasets", &["name"]),
                ("scope.regions", &[]),
                ("scope.affectedGroups", &[]),
                ("scope.purposes", &[]),
                ("scope.artifactKinds", &[]),
                ("obligations", &["id"]),
                ("stakeholders", &["group"]),
                ("harms", &["id"]),
                ("risks.*.harms", &[]),
                ("risks.*.controls", &["control"]),
                ("risks", &["id"]),
                ("threatsExcluded", &["threat"]),
                ("noHarms", &["section"]),
                ("fundamentalRights.affected", &[]),
                ("fundamentalRights.risks", &[]),
            ],
            Kind::ModelRelease => &[
                ("artifacts", &["name"]),
                ("datasets", &["name", "use"]),
                ("documentation", &["part"]),
                ("change.also", &[]),
                ("developers", &[]),
            ],
            Kind::TestReport => &[("supersedes.reports", &[]), ("metrics", &["name"])],
            Kind::Dataset => &[
                ("permittedUses", &[]),
                ("permittedPurposes", &[]),
                ("personalData.specialCategories", &[]),
                ("quality", &["metric"]),
                ("groups.*.counts", &["value"]),
                ("groups", &["attribute"]),
                ("supersedes.datasets", &[]),
            ],
            Kind::ApprovalRole => &[],
            Kind::TrustedSigner => &[("roles", &[]), ("groups", &[])],
            Kind::Approval => &[("answers", &[])],
            Kind::RiskAcceptance => &[("risks", &["id"])],
            Kind::ReleasePolicy => &[
                ("appliesTo.classes", &[]),
                ("assessment.freshness.scope", &[]),
                ("obligations.*.regions", &[]),
                ("obligations.*.roles", &[]),
                ("obligations.*.deployers", &[]),
                ("obligations.*.classes", &[]),
                ("obligations.*.grounds", &[]),
                ("obligations", &["id"]),
                ("prohibitedFrom", &["letter"]),
                ("reporters", &["type"]),
                ("acceptanceAuthority.*.roles", &[]),
                ("acceptanceAuthority.*.consulted", &[]),
                ("acceptanceAuthority", &["level"]),
                ("approvals", &["role"]),
                ("separationOfDuties.acceptorNotApproverAs", &[]),
                ("platformImages", &["image"]),
                ("customGates", &["name"]),
                ("data.uses", &[]),
                ("data.facts", &[]),
                ("data.quality", &["metric"]),
                ("data.representativeness.attributes.*.groups", &["value"]),
                ("data.representativeness.attributes", &["attribute"]),
                ("assessment.stakeholders", &[]),
                ("assessment.sections", &[]),
                ("assessment.threats", &[]),
                ("controls.alsoAccepted", &["control", "domain"]),
                ("controls.excluded", &["control"]),
                ("documentation.parts", &[]),
                ("verification.records", &[]),
                ("verification.tests", &[]),
                ("validation.tests", &[]),
                ("oversight.parts", &[]),
                ("transparency.duties", &[]),
                ("change.parts", &[]),
            ],
        }
    }

    /// Fields of the spec that name or describe people, as paths. Tokens replace them in snapshots (invariant 12).
    pub fn personal_fields(self) -> &'static [&'static str] {
        match self {
            Kind::AISystem => &["owner.contact"],
            Kind::ModelRelease => &["developers.*"],
            Kind::Approval => &["comment", "signed.envelope"],
            Kind::RiskAcceptance => &["rationale", "conditions.*", "signed.envelope"],
            Kind::ReleasePolicy => &[
                "separationOfDuties.aliases.*.names.*",
                "separationOfDuties.serviceAccounts.*",
                "separationOfDuties.pipelines.*",
            ],
            Kind::TrustedSigner => &["key", "user", "revoked.reason"],
            Kind::ImpactAssessment | Kind::TestReport | Kind::Dataset | Kind::ApprovalRole => &[],
        }
    }

    /// Those of [`Kind::personal_fields`] that hold user names, each a path of the same form.
    pub fn user_fields(self) -> &'static [&'static str] {
        match self {
            Kind::ModelRelease | Kind::ReleasePolicy => self.personal_fields(),
            Kind::TrustedSigner => &["user"],
            _ => &[],
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
