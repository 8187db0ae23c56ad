//! The mode of a namespace.

use std::collections::BTreeMap;

use placet_api::keys::ENFORCE;

/// What happens in a namespace to workloads that are not cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// They are refused.
    Deny,
    /// Pods are created and held; their controllers' objects pass with warnings.
    Hold,
    /// They pass with warnings.
    Warn,
    /// They pass and are recorded.
    Audit,
}

impl Mode {
    /// The mode that a namespace's labels ask for, and what is to be said about it. None without the label. A value that
    /// is none of the four is taken as deny, and the note says so.
    pub fn of(labels: &BTreeMap<String, String>) -> Option<(Mode, Option<String>)> {
        let value = labels.get(ENFORCE)?;
        Some(match value.as_str() {
            "deny" => (Mode::Deny, None),
            "hold" => (Mode::Hold, None),
            "warn" => (Mode::Warn, None),
            "audit" => (Mode::Audit, None),
            other => {
                let note = format!(
                    "the namespace's label {ENFORCE} is {other:?}, wanted deny, hold, warn or audit; taken as deny"
                );
                (Mode::Deny, Some(note))
            }
        })
    }

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Deny => "deny",
            Mode::Hold => "hold",
            Mode::Warn => "warn",
            Mode::Audit => "audit",
        }
    }

    /// Whether anything is refused or held.
    pub fn enforces(self) -> bool {
        matches!(self, Mode::Deny | Mode::Hold)
    }
}
