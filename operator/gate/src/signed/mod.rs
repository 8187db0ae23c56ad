//! Signatures that travel with an object: a person's SSH key over a payload that repeats what they decided.
//!
//! An envelope is DSSE 1.0 (`{"payload", "payloadType", "signatures": [{"keyid", "sig"}]}`), with three choices where
//! DSSE leaves one: base64 is the standard alphabet with padding, there is exactly one signature, and a field that is not
//! DSSE's is refused rather than ignored, since nothing in it would be signed. `sig` is the base64 of an SSHSIG blob,
//! which is what stands between the first and the last line of the file that `ssh-keygen -Y sign` writes, without its
//! line breaks. What is signed is the pre-authentication encoding of DSSE ([`pae`]), in the SSH
//! namespace of the payload's type ([`Payload::NAMESPACE`]), so that no signature can be taken for one of another kind.
//!
//! A signature is read in four steps, each of them pure: [`verify_envelope`] says which key signed which payload,
//! [`compare`] that the payload is what the object says, [`find_signer`] whose key it is, and [`standing`] whether the
//! key counted when the log first saw the envelope. What the log keeps of an envelope is [`Verified::digest`].

mod compare;
mod envelope;
mod payload;
mod signer;
mod sshsig;
mod strict;

pub use compare::{Difference, Mismatch, Place, compare, compare_author, payload_of};
pub use envelope::{EnvelopeError, MAX_ENVELOPE, Verified, pae, seal, verify_envelope};
pub use payload::{
    ApprovalPayload, AuthorPayload, MAX_AHEAD, Payload, PayloadError, Risk, RiskAcceptancePayload,
    issued_ahead,
};
pub use signer::{KeyHistory, SignerProblem, Standing, VoidReason, cut, find_signer, standing};
pub use sshsig::{KeyError, SignerKey, unarmor};
