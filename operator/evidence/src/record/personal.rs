//! Values of people: committed to in leaves, opened beside the log, erasable.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::hash::clip;
use crate::record::RecordError;

/// The personal field that holds who did what a record tells: the user name.
pub const ACTOR: &str = "actor.name";
/// The personal field that holds whose signature an object bears, where somebody else sent it.
pub const SIGNER: &str = "signer.name";
/// The personal field that holds who had created an object that somebody else restored.
pub const CREATOR: &str = "creator.name";

/// The personal field that holds who lost a role, or holds it again.
pub const HOLDER: &str = "holder.name";

/// A value of a person: a name, a comment, a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Personal {
    /// What it is, for instance `actor.name`: lower-case letters, digits, dots and dashes.
    pub field: String,
    /// The value.
    pub value: String,
}

/// What a leaf says about a personal value: that the log knew it, without telling it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commitment {
    /// What the value is.
    #[serde(rename = "type")]
    pub field: String,
    /// HMAC-SHA-256 as 64 hex digits; see [`commit`].
    pub commit: String,
}

/// A personal value with the salt that opens its commitment. Kept in the erasable store, never in a leaf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// Index of the record.
    pub index: u64,
    /// What the value is.
    #[serde(rename = "type")]
    pub field: String,
    /// 32 random bytes as 64 hex digits.
    pub salt: String,
    /// The value.
    pub value: String,
}

/// The commitment to a value: HMAC-SHA-256 with the salt (its 32 bytes) as key over `field || 0x00 || value`, as 64
/// hex digits. A fresh salt per field and record: equal values do not show, and without the salt none can be guessed.
/// A salt that is not hex gives the commitment of its text, which matches nothing that this crate wrote.
pub fn commit(salt: &str, field: &str, value: &str) -> String {
    let salt = hex::decode(salt).unwrap_or_else(|_| salt.as_bytes().to_vec());
    commit_under(&salt, field, value)
}

fn commit_under(salt: &[u8], field: &str, value: &str) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(salt) else { return String::new() };
    mac.update(field.as_bytes());
    mac.update(&[0]);
    mac.update(value.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// Random bytes of a salt.
pub(super) const SALT: usize = 32;

/// Commits to each value under a salt of its own, of `random`: [`SALT`] fresh bytes for each value. The openings' index is
/// set when the record has its place.
pub(super) fn seal(
    values: &[Personal],
    random: &[u8],
) -> Result<(Vec<Commitment>, Vec<Opening>), RecordError> {
    let mut commitments: Vec<Commitment> = Vec::with_capacity(values.len());
    let mut openings = Vec::with_capacity(values.len());
    for (i, Personal { field, value }) in values.iter().enumerate() {
        let plain = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
        if field.is_empty() || field.len() > 63 || !field.bytes().all(plain) {
            return Err(RecordError::PersonalType(clip(field)));
        }
        if commitments.iter().any(|c| c.field == *field) {
            return Err(RecordError::RepeatedPersonal(field.clone()));
        }
        let salt = random.get(i * SALT..(i + 1) * SALT);
        let salt = salt.ok_or_else(|| RecordError::Random("fewer than were asked for".into()))?;
        commitments.push(Commitment { field: field.clone(), commit: commit_under(salt, field, value) });
        openings.push(Opening {
            index: 0,
            field: field.clone(),
            salt: hex::encode(salt),
            value: value.clone(),
        });
    }
    Ok((commitments, openings))
}
