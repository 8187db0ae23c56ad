//! The signature that an object carries when it travelled through Git and somebody else applied it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{DateTime, Envelope, Nonce};

/// A person's signature over this spec, for objects that travel through Git and are applied by a robot. Written by
/// `placet approve --sign-with KEY` and its like; not by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Signed {
    /// When the person signed, by the clock of their machine. Shown to readers; nothing is decided by it but that it may
    /// not lie ahead.
    pub issued_at: DateTime,
    /// A number used once, so that no two signatures are alike.
    pub nonce: Nonce,
    /// The envelope: DSSE 1.0 in JSON with one SSH signature, in the SSH namespace approval@placet.dev (of a RiskAcceptance:
    /// riskacceptance@placet.dev). What is signed repeats this spec, the namespace and the cluster. Personal: it holds what
    /// you wrote and names the key.
    pub envelope: Envelope,
}
