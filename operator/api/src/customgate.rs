//! Gates that a policy's author writes in CEL.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{Expression, Id, Title};

/// A gate of your own: what it asks of what is decided on, as an expression in CEL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomGate {
    /// Its name, as findings give it.
    pub name: Id,
    /// What must be true, in CEL. It may read `system`, `assessment` and `release` (their specs), `reports`, `approvals` and
    /// `acceptances` (the specs of those that count for this release now), `namespaceObject` (metadata: name and labels) and `now` (the
    /// beginning of the day, UTC). Of reports, approvals and acceptances it may ask whether there is one: `exists`, not `all`.
    /// Where it is false the release is not cleared; where it cannot be evaluated, that is not yet known.
    pub expression: Expression,
    /// What is wanted, for whoever is held up by it: what findings say.
    pub message: Title,
    /// Who can supply it.
    pub who: Title,
    /// Which rule asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Title>,
}
