//! Obligations: what law or contract attaches to a system, with its dates, as data of a ReleasePolicy. Nothing here knows
//! a date of any law.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::aisystem::{DeployerKind, OrganisationRole};
use crate::common::Class;
use crate::scalar::{Id, Line, Moment, Title};

/// A duty that law, a contract or your own rules attach to systems of a class or with a trigger, and from when.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Obligation {
    /// Identifier, for example AIAct-Art26. Assessments name it; the same in every policy that lists it.
    pub id: Id,
    /// Version of the text, for example `2026/1744`. An assessment that considered another version is stale.
    pub version: Title,
    /// What is to be done, in a few words.
    pub title: Title,
    /// Whose rule it is: a state, a union, a contract.
    pub jurisdiction: Title,
    /// Where it stands, for example Article 26.
    pub article: Title,
    /// Regions of intended use, of which a system must have one for it to apply. Left out: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub regions: Option<Vec<Line>>,
    /// Roles of your organisation, of which it must have one for the system. Left out: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 5))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub roles: Option<Vec<OrganisationRole>>,
    /// Kinds of deployers, of which one must use the system. Left out: any. A system that does not say who uses it may be
    /// used by each of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub deployers: Option<Vec<DeployerKind>>,
    /// Classes of systems that it is for, as their triggers give them. Left out: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub classes: Option<Vec<Class>>,
    /// Grounds for a class, of which a system must have one: `AnnexI`, `AnnexIII` or a point of it (`AnnexIII/5`,
    /// `AnnexIII/5(b)`), `Article50` or a paragraph of it (`Article50/2`), `Article5Exception`, `Derogation`, `Profiling`,
    /// `PersonalData`. Left out: none is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 32),
        inner(
            length(max = 32),
            regex(
                pattern = r"^(AnnexI|AnnexIII(/[1-8](\([a-g]\))?)?|Article50(/[1-4])?|Article5Exception|Derogation|Profiling|PersonalData)$"
            )
        )
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub grounds: Option<Vec<Line>>,
    /// From when it applies.
    pub from: Moment,
    /// Other dates for systems that were placed on the market before. Of several that fit the earliest counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4))]
    pub transitional: Option<Vec<Transitional>>,
    /// Where all this was read: act, official journal, date.
    pub source: Title,
}

/// Another date for systems that were placed on the market, or put into service, before some day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Transitional {
    /// The system's placedOnMarketAt is before this. A system that does not say when has no other date.
    pub placed_before: Moment,
    /// Kinds of deployers, of which one must use the system. Left out: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3))]
    pub deployers: Option<Vec<DeployerKind>>,
    /// From when the obligation applies to these systems. Left out: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Moment>,
    /// Whether that ends once the design is changed significantly (the system's designChangedAt). Left out: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_design_change: Option<bool>,
}

/// From when a practice of AI Act Article 5(1) is refused: one of those that were added in 2026. The others are refused at once, as
/// they have been since 2 February 2025 (Article 113(a)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProhibitedFrom {
    /// Letter of Article 5(1).
    #[schemars(regex(pattern = r"^(ba|bb)$"))]
    pub letter: Id,
    /// From when a system with this practice is refused. Until then its class is at least High.
    pub from: Moment,
    /// Where the date was read.
    pub source: Title,
}

/// An obligation as an assessment considered it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsideredObligation {
    /// Its id, as the policy gives it.
    pub id: Id,
    /// Its version, as the policy gives it.
    pub version: Title,
}
