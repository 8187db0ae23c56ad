//! Signed notes and checkpoints (C2SP signed-note and tlog-checkpoint), Ed25519.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, Verifier as _, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::hash::{TreeHash, clip};

/// C2SP's type byte for an Ed25519 signature over the text of the note.
const ED25519: u8 = 0x01;
/// A checkpoint of ours has a few hundred bytes; room for many cosignatures, none for an attack on memory.
pub(crate) const MAX_NOTE: usize = 1 << 20;

/// A key, note or checkpoint that does not follow its format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not a verifier key.
    #[error("not a verifier key: wanted <name>+<8 hex digits>+<base64 of type 0x01 and 32 bytes>: {0}")]
    Key(&'static str),
    /// Not a signed note.
    #[error("not a signed note: {0}")]
    Note(&'static str),
    /// Not a checkpoint.
    #[error("not a checkpoint: wanted origin, size and base64 root, one a line: {0}")]
    Checkpoint(&'static str),
    /// A key's name cannot be written into a note.
    #[error("a key name is not empty and has no plus sign or white space; found {0:?}")]
    Name(String),
    /// The system gave no random bytes.
    #[error("the system gave no random bytes for a key: {0}")]
    Random(String),
}

/// The key that signs checkpoints. Its seed never lies on the log's volume.
#[derive(Clone)]
pub struct LogKey(SigningKey);

impl LogKey {
    /// A key from its 32-byte seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// A fresh key.
    pub fn generate() -> Result<Self, NoteError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| NoteError::Random(e.to_string()))?;
        Ok(Self::from_seed(&seed))
    }

    /// The 32-byte seed, to be kept in a secret.
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public half under a name.
    pub fn verifier(&self, name: &str) -> Result<VerifierKey, NoteError> {
        VerifierKey::new(name, self.0.verifying_key())
    }

    /// Signs a note's text (which ends with a newline) and returns the whole note.
    pub fn sign(&self, name: &str, text: &str) -> Result<String, NoteError> {
        let id = self.verifier(name)?.id;
        let mut blob = id.to_vec();
        blob.extend_from_slice(&self.0.sign(text.as_bytes()).to_bytes());
        Ok(format!("{text}\n\u{2014} {name} {}\n", STANDARD.encode(blob)))
    }
}

impl std::fmt::Debug for LogKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogKey(secret)")
    }
}

/// A public key with its name: what an auditor pins. Written `name+id+base64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

/// Whether a name can stand in a signature line (C2SP signed-note).
fn valid_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('+') && !name.contains(char::is_whitespace)
}

impl VerifierKey {
    fn new(name: &str, key: VerifyingKey) -> Result<Self, NoteError> {
        if !valid_name(name) {
            return Err(NoteError::Name(clip(name)));
        }
        let hash = Sha256::new()
            .chain_update(name.as_bytes())
            .chain_update([b'\n', ED25519])
            .chain_update(key.as_bytes())
            .finalize();
        Ok(Self { name: name.to_owned(), id: [hash[0], hash[1], hash[2], hash[3]], key })
    }

    /// The key's name: for a log, its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same key under another name: a successor log signs with it under its own origin.
    pub fn renamed(&self, name: &str) -> Result<Self, NoteError> {
        Self::new(name, self.key)
    }

    /// Reads `name+id+base64`.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key("three parts joined by a plus sign are wanted"));
        };
        let blob = STANDARD.decode(key).map_err(|_| NoteError::Key("the third part is not base64"))?;
        let bytes: [u8; 32] = match blob.split_first() {
            Some((&ED25519, bytes)) => {
                bytes.try_into().map_err(|_| NoteError::Key("an Ed25519 key has 32 bytes"))?
            }
            _ => return Err(NoteError::Key("only Ed25519 (type 0x01) is known")),
        };
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| NoteError::Key("not an Ed25519 point"))?;
        let verifier = Self::new(name, key)?;
        if hex::encode(verifier.id) != id {
            return Err(NoteError::Key("the id does not belong to this name and key"));
        }
        Ok(verifier)
    }

    /// Whether the note carries this key's valid signature. Lines of other keys are ignored.
    pub fn verifies(&self, note: &Note) -> bool {
        note.signatures.iter().any(|line| {
            line.name == self.name
                && line.id == self.id
                && Signature::from_slice(&line.signature)
                    .is_ok_and(|signature| self.key.verify(note.text.as_bytes(), &signature).is_ok())
        })
    }
}

impl std::fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut blob = vec![ED25519];
        blob.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id), STANDARD.encode(blob))
    }
}

/// One signature line of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SignatureLine {
    name: String,
    id: [u8; 4],
    signature: Vec<u8>,
}

/// A signed note: a text and its signature lines, not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<SignatureLine>,
}

impl Note {
    /// The signed text, with its last newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Names of the keys that the signature lines claim.
    pub fn signers(&self) -> impl Iterator<Item = &str> {
        self.signatures.iter().map(|line| line.name.as_str())
    }

    /// Reads a note. Whether its signatures are good is asked of [`VerifierKey::verifies`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE {
            return Err(NoteError::Note("longer than 1 MiB"));
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::Note("not UTF-8"))?;
        if note.contains(|c: char| c.is_control() && c != '\n') {
            return Err(NoteError::Note("it has a control character"));
        }
        let split = note.rfind("\n\n").ok_or(NoteError::Note("no blank line before the signatures"))?;
        let (text, lines) = (&note[..=split], &note[split + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Note("no newline at its end"))?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            signatures.push(signature_line(line).ok_or(NoteError::Note("a signature line is malformed"))?);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }
}

fn signature_line(line: &str) -> Option<SignatureLine> {
    let (name, blob) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let blob = STANDARD.decode(blob).ok()?;
    let (id, signature) = blob.split_at_checked(4)?;
    if !valid_name(name) || signature.is_empty() {
        return None;
    }
    Some(SignatureLine { name: name.to_owned(), id: id.try_into().ok()?, signature: signature.to_vec() })
}

/// What a log says about itself: its name, its size, its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's unique name, its first line.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Root hash of the tree.
    pub root: TreeHash,
}

impl Checkpoint {
    /// The text that is signed.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.0))
    }

    /// Reads a note's text. Extension lines are allowed and ignored, as C2SP asks.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let bad = NoteError::Checkpoint;
        let text = text.strip_suffix('\n').ok_or(bad("no newline at its end"))?;
        let mut lines = text.split('\n');
        let origin = lines.next().filter(|o| !o.is_empty()).ok_or(bad("the origin is empty"))?;
        let size_text = lines.next().ok_or(bad("no size"))?;
        let size: u64 = size_text.parse().map_err(|_| bad("the size is not a number"))?;
        // Beyond 2^62 no tree can be handled without overflow, and none exists.
        if size.to_string() != size_text || size > 1 << 62 {
            return Err(bad("the size is not a plain decimal number below 2^62"));
        }
        let root_text = lines.next().ok_or(bad("no root"))?;
        let root = STANDARD.decode(root_text).map_err(|_| bad("the root is not base64"))?;
        let root = root.try_into().map_err(|_| bad("the root has not 32 bytes"))?;
        if lines.any(str::is_empty) {
            return Err(bad("an extension line is empty"));
        }
        Ok(Self { origin: origin.to_owned(), size, root: TreeHash(root) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "placet.dev/test".into(), size: 7, root: TreeHash([9; 32]) }
    }

    #[test]
    fn a_note_is_verified_by_its_key_and_by_no_other() {
        let key = LogKey::from_seed(&[1; 32]);
        let bytes = key.sign("placet.dev/test", &checkpoint().text()).unwrap();
        let note = Note::parse(bytes.as_bytes()).unwrap();
        let verifier = key.verifier("placet.dev/test").unwrap();
        assert!(verifier.verifies(&note));
        assert!(!verifier.renamed("placet.dev/other").unwrap().verifies(&note));
        assert!(!LogKey::from_seed(&[2; 32]).verifier("placet.dev/test").unwrap().verifies(&note));
        assert_eq!(Checkpoint::parse(note.text()).unwrap(), checkpoint());
        assert_eq!(VerifierKey::parse(&verifier.to_string()).unwrap(), verifier);
    }

    #[test]
    fn the_key_of_the_go_documentation_reads() {
        // The example key of golang.org/x/mod/sumdb/note.
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert_eq!(VerifierKey::parse(text).unwrap().to_string(), text);
        assert!(VerifierKey::parse(&text.replace("c74f", "c74e")).is_err());
    }

    #[test]
    fn every_flipped_bit_of_a_note_is_noticed() {
        let key = LogKey::from_seed(&[1; 32]);
        let verifier = key.verifier("placet.dev/test").unwrap();
        let good = key.sign("placet.dev/test", &checkpoint().text()).unwrap().into_bytes();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                let accepted = Note::parse(&bad).is_ok_and(|note| verifier.verifies(&note));
                assert!(!accepted, "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn sizes_have_one_spelling() {
        let root = STANDARD.encode([0; 32]);
        for size in ["007", "+7", "-1", "", " 7", "18446744073709551615", "9223372036854775808"] {
            assert!(Checkpoint::parse(&format!("o\n{size}\n{root}\n")).is_err(), "{size}");
        }
        assert!(Checkpoint::parse(&format!("o\n7\n{root}\nextension\n")).is_ok());
        assert!(Checkpoint::parse(&format!("o\n7\n{root}\n\n")).is_err());
    }

    proptest! {
        #[test]
        fn parsers_are_total(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "[\\n a-z0-9+=/\u{2014}]{0,80}") {
            let _ = Note::parse(&bytes);
            let _ = Note::parse(text.as_bytes());
            if let Ok(checkpoint) = Checkpoint::parse(&text) {
                prop_assert!(text.starts_with(&checkpoint.text()));
            }
            prop_assert!(VerifierKey::parse(&text).is_err());
        }
    }
}
