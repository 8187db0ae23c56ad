//! Types that several kinds share: references, classes, levels, conditions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{Digest, Line, Name};

/// The class of an AI system after Regulation (EU) 2024/1689 (AI Act). It is derived from the triggers of an AISystem.
/// Ordered: a later class asks for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Class {
    /// None of the Act's triggers applies.
    Minimal,
    /// Transparency duties of Article 50 apply.
    Limited,
    /// High-risk after Article 6 with Annex I or Annex III.
    High,
    /// A practice that Article 5 prohibits.
    Prohibited,
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Class::Minimal => "Minimal",
            Class::Limited => "Limited",
            Class::High => "High",
            Class::Prohibited => "Prohibited",
        })
    }
}

/// A level of risk. Ordered from `VeryLow` to `VeryHigh`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Level {
    /// Very low.
    VeryLow,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Very high: not acceptable, only treatment or withdrawal helps.
    VeryHigh,
}

impl Level {
    /// All levels, lowest first.
    pub const ALL: [Level; 5] = [Level::VeryLow, Level::Low, Level::Medium, Level::High, Level::VeryHigh];

    /// The level with this rank, 0 (very low) to 4 (very high); larger ranks are very high.
    pub fn from_rank(rank: usize) -> Level {
        Self::ALL.get(rank).copied().unwrap_or(Level::VeryHigh)
    }

    /// The rank, 0 to 4.
    pub fn rank(self) -> usize {
        self as usize
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Level::VeryLow => "VeryLow",
            Level::Low => "Low",
            Level::Medium => "Medium",
            Level::High => "High",
            Level::VeryHigh => "VeryHigh",
        })
    }
}

/// A dataset named together with the digest of its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DatasetRef {
    /// Name of the dataset.
    pub name: Name,
    /// SHA-256 digest of the dataset's content.
    pub digest: Digest,
}

/// One observation of an object's state, as the Kubernetes API conventions define conditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Type of the condition, such as `Ready` or `Cleared`.
    #[serde(rename = "type")]
    pub type_: Name63,
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// Why, as one CamelCase word.
    pub reason: Name63,
    /// What it means for the reader, in a sentence.
    pub message: Message,
    /// When the status last changed.
    pub last_transition_time: Line,
    /// The generation that was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// The status of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It is not known; never read as True.
    Unknown,
}

/// A CamelCase word of at most 63 characters.
pub type Name63 = crate::scalar::Id;
/// A message of at most 2,048 characters.
pub type Message = crate::scalar::Paragraph;
