//! The inputs of a decision. A record names up to [`MOST_NAMED`] of them one by one. More are a stored object,
//!
//! ```text
//! {"placet.dev/inputs":"v1","objects":["sha256:…",…]}
//! ```
//!
//! which the record names in their place: a record has a bound, what a decision reads has none. Whoever follows what a
//! decision read does so with [`expand`], or with [`crate::source::read_inputs`].

use serde::{Deserialize, Serialize};

use crate::hash::Digest;
use crate::record::Object;

/// Inputs that a record names one by one. Each takes 150 bytes of the record's 32 KiB.
pub const MOST_NAMED: usize = 64;

/// How a list begins; no other object that a decision names does.
const MARK: &[u8] = b"{\"placet.dev/inputs\":";
/// Version of lists that this crate writes.
const VERSION: &str = "v1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(rename = "placet.dev/inputs")]
    version: String,
    objects: Vec<Digest>,
}

/// A list of inputs that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("wanted a list of inputs of version {VERSION} in object {digest}, found {found}")]
pub struct InputsError {
    /// The list.
    pub digest: Digest,
    /// What is there instead.
    pub found: String,
}

/// The list of these inputs, in their order.
pub(crate) fn list(objects: &[Digest]) -> Result<Object, serde_json::Error> {
    let list = List { version: VERSION.to_owned(), objects: objects.to_vec() };
    serde_json::to_vec(&list).map(Object::new)
}

/// The inputs in a list; nothing when the object is no list.
///
/// # Errors
/// It begins as a list and is none of this version.
pub fn listed(digest: &Digest, bytes: &[u8]) -> Result<Option<Vec<Digest>>, InputsError> {
    if !bytes.starts_with(MARK) {
        return Ok(None);
    }
    let wrong = |found: String| InputsError { digest: *digest, found };
    let list: List = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
    if list.version != VERSION {
        return Err(wrong(format!("version {:?}; a newer placet reads it", list.version)));
    }
    Ok(Some(list.objects))
}

/// All inputs of a decision whose record names these.
///
/// # Errors
/// Of `read`, which gives the bytes of a stored object; or a list that cannot be read.
pub fn expand<E: From<InputsError>>(
    named: &[Digest],
    read: impl FnOnce(&Digest) -> Result<Vec<u8>, E>,
) -> Result<Vec<Digest>, E> {
    // A list stands alone.
    if let [one] = named
        && let Some(inputs) = listed(one, &read(one)?)?
    {
        return Ok(inputs);
    }
    Ok(named.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn digests(n: usize) -> Vec<Digest> {
        (0..n).map(|n| Digest::of(&n.to_le_bytes())).collect()
    }

    #[test]
    fn only_a_list_is_read_as_one() {
        let one = Digest::of(b"one");
        for other in [&b"{}"[..], b"", b"{\"placet.dev/snapshot\":\"v1\"}", b"[\"placet.dev/inputs\"]"] {
            assert_eq!(listed(&one, other), Ok(None));
            assert_eq!(expand::<InputsError>(&[one], |_| Ok(other.to_vec())), Ok(vec![one]));
        }
        for bad in [
            r#"{"placet.dev/inputs":"v2","objects":[]}"#,
            r#"{"placet.dev/inputs":"v1","objects":[],"more":1}"#,
            r#"{"placet.dev/inputs":"v1","objects":["sha256:1"]}"#,
            r#"{"placet.dev/inputs":"v1"}"#,
        ] {
            assert!(listed(&one, bad.as_bytes()).is_err(), "{bad}");
        }
        let object = list(&digests(2)).unwrap();
        let text = String::from_utf8(object.bytes().to_vec()).unwrap();
        assert!(text.starts_with(r#"{"placet.dev/inputs":"v1","objects":["sha256:"#), "{text}");
    }

    proptest! {
        #[test]
        fn a_list_gives_back_its_inputs(n in 0usize..500, cut in 1usize..200) {
            let object = list(&digests(n)).unwrap();
            let named = [object.digest()];
            let found = expand::<InputsError>(&named, |_| Ok(object.bytes().to_vec()));
            prop_assert_eq!(found.unwrap(), digests(n));
            let bytes = object.bytes();
            let cut = &bytes[..bytes.len().saturating_sub(cut).max(MARK.len())];
            prop_assert!(listed(&object.digest(), cut).is_err());
        }

        #[test]
        fn several_that_are_named_are_all(n in 2usize..MOST_NAMED) {
            let read = |_: &Digest| -> Result<Vec<u8>, InputsError> { unreachable!("nothing is to be read") };
            prop_assert_eq!(expand(&digests(n), read).unwrap(), digests(n));
        }
    }
}
