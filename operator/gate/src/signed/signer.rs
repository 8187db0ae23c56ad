//! Whose key it is, and whether it counted when the log first saw the signature.

use jiff::Timestamp;
use placet_api::scalar::DateTime;
use placet_api::trustedsigner::TrustedSignerSpec;
use serde::{Deserialize, Serialize};

use super::sshsig::SignerKey;
use crate::time::date_time;

/// Nobody, or nobody in particular, stands behind a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerProblem {
    /// No TrustedSigner names the key.
    #[error("wanted a TrustedSigner with the key {fingerprint}, found none; an administrator creates one")]
    NotTrusted {
        /// Fingerprint of the key.
        fingerprint: String,
    },
    /// Several do.
    #[error(
        "the key {fingerprint}: wanted one TrustedSigner, found {names}; one key stands for one person: delete the others, or give each person a key of their own"
    )]
    Shared {
        /// Fingerprint of the key.
        fingerprint: String,
        /// Names of those that name it, sorted, at most five.
        names: String,
    },
}

/// The one TrustedSigner (name and spec) that names the key with this fingerprint. One whose key cannot be read is
/// nobody's.
///
/// # Errors
/// There is none, or more than one.
pub fn find_signer<'a>(
    fingerprint: &str,
    signers: impl IntoIterator<Item = (&'a str, &'a TrustedSignerSpec)>,
) -> Result<(&'a str, &'a TrustedSignerSpec), SignerProblem> {
    let mut found: Vec<_> = signers
        .into_iter()
        .filter(|(_, spec)| SignerKey::parse(&spec.key).is_ok_and(|key| key.fingerprint() == fingerprint))
        .collect();
    let fingerprint = fingerprint.to_owned();
    if found.len() > 1 {
        found.sort_unstable_by_key(|(name, _)| *name);
        let names: Vec<_> = found.iter().take(5).map(|(name, _)| *name).collect();
        return Err(SignerProblem::Shared { fingerprint, names: names.join(", ") });
    }
    found.pop().ok_or(SignerProblem::NotTrusted { fingerprint })
}

/// What the log remembers of a key beside the TrustedSigner that stands now, so that deleting one and creating it anew
/// brings nothing back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyHistory {
    /// The earliest [`cut`] that any TrustedSigner with this key ever had.
    pub revoked: Option<Timestamp>,
    /// When a TrustedSigner with this key was last deleted.
    pub deleted: Option<Timestamp>,
}

/// Whether a signature counts for its signer. Its role and its content are other questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It counts.
    Counts {
        /// When it stops to count if the log has not seen it by then. None for a signature that the log has seen.
        unless_seen_by: Option<Timestamp>,
    },
    /// It does not, and never will again.
    Void(VoidReason),
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum VoidReason {
    /// There is no TrustedSigner with the key any more, or never was.
    #[error("no TrustedSigner has its key: it was deleted, which voids all that it signed, or never created")]
    NotTrusted,
    /// The TrustedSigner was deleted after the signature was seen, and created again.
    #[error(
        "the TrustedSigner of its key was deleted at {at}, which voided all that it had signed; sign again"
    )]
    Deleted {
        /// When.
        at: Timestamp,
    },
    /// The key was revoked before the log saw the signature.
    #[error(
        "its key was revoked from {at} on, and the log had not seen the signature by then; sign with another key"
    )]
    Revoked {
        /// From when on.
        at: Timestamp,
    },
    /// The key was in other hands when the log saw the signature.
    #[error(
        "its key is compromised since {since}, and the log had not seen the signature by then; sign with another key"
    )]
    Compromised {
        /// Since when.
        since: Timestamp,
    },
    /// The key had ended.
    #[error("its key ended at {at}, and the log had not seen the signature by then; sign with another key")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// A date of the TrustedSigner that does not exist.
    #[error("its TrustedSigner's {field} is {found}, which is no moment; mend the TrustedSigner")]
    Unreadable {
        /// Which field.
        field: String,
        /// Its text.
        found: String,
    },
}

/// From when on a key is revoked: `compromisedSince`, or else `at`. [`Timestamp::MIN`] where a date does not exist: what
/// was meant to end a key ends it. The log keeps the earliest ([`KeyHistory::revoked`]).
pub fn cut(spec: &TrustedSignerSpec) -> Option<Timestamp> {
    let revoked = spec.revoked.as_ref()?;
    let moment = |text: &DateTime| date_time(text).unwrap_or(Timestamp::MIN);
    let at = moment(&revoked.at);
    Some(revoked.compromised_since.as_ref().map_or(at, |since| at.min(moment(since))))
}

/// Whether a signature by a key counts, judged by when the log first saw its envelope (None: not yet, so that it is seen
/// now) and never by the time that its signer wrote. A moment has come when it is reached: what was seen at exactly the
/// time of a revocation, an end or a deletion does not count.
pub fn standing(
    signer: Option<&TrustedSignerSpec>,
    history: KeyHistory,
    first_seen: Option<Timestamp>,
    now: Timestamp,
) -> Standing {
    let seen = first_seen.unwrap_or(now);
    match ends(signer, history, seen) {
        Err(reason) => Standing::Void(reason),
        Ok(ends) => {
            let earliest = ends.iter().min_by_key(|(at, _)| *at);
            match earliest {
                Some((at, reason)) if *at <= seen => Standing::Void(reason.clone()),
                Some((at, _)) if first_seen.is_none() => Standing::Counts { unless_seen_by: Some(*at) },
                _ => Standing::Counts { unless_seen_by: None },
            }
        }
    }
}

/// Every moment from which on signatures do not count, with what is said of them.
fn ends(
    signer: Option<&TrustedSignerSpec>,
    history: KeyHistory,
    seen: Timestamp,
) -> Result<Vec<(Timestamp, VoidReason)>, VoidReason> {
    let signer = signer.ok_or(VoidReason::NotTrusted)?;
    if let Some(at) = history.deleted.filter(|at| seen <= *at) {
        return Err(VoidReason::Deleted { at });
    }
    let moment = |field: &str, text: &DateTime| {
        date_time(text)
            .ok_or_else(|| VoidReason::Unreadable { field: field.to_owned(), found: text.to_string() })
    };
    let mut ends = Vec::new();
    if let Some(revoked) = &signer.revoked {
        if let Some(since) = &revoked.compromised_since {
            let since = moment("revoked.compromisedSince", since)?;
            ends.push((since, VoidReason::Compromised { since }));
        }
        let at = moment("revoked.at", &revoked.at)?;
        ends.push((at, VoidReason::Revoked { at }));
    }
    if let Some(at) = history.revoked {
        ends.push((at, VoidReason::Revoked { at }));
    }
    if let Some(text) = &signer.expires_at {
        let at = moment("expiresAt", text)?;
        ends.push((at, VoidReason::Expired { at }));
    }
    Ok(ends)
}
