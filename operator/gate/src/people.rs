//! People as the gate sees them: opaque tokens, equal if and only if the same person (invariant 12).

use std::borrow::Cow;
use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use placet_api::Kind;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;

/// A person, as a token. In texts it stands as `<person:TOKEN>` until names are joined for showing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Person(String);

impl Person {
    /// The token.
    pub fn token(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<person:{}>", self.0)
    }
}

/// The installation's people key: makes tokens from user names.
#[derive(Clone)]
pub struct PeopleKey(Vec<u8>);

impl std::fmt::Debug for PeopleKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PeopleKey(…)")
    }
}

impl PeopleKey {
    /// A key of any length; 32 random bytes are right for an installation.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The token of a user name: the first 128 bits of HMAC-SHA256 under this key, as hex.
    pub fn person(&self, user: &str) -> Person {
        Person(self.mac("person", user))
    }

    /// Token of a signing key, by its fingerprint.
    pub fn key_token(&self, fingerprint: &str) -> String {
        self.mac("key", fingerprint)
    }

    /// Token of an envelope, by its digest.
    pub fn envelope_token(&self, digest: &str) -> String {
        self.mac("envelope", digest)
    }

    fn mac(&self, domain: &str, text: &str) -> String {
        // HMAC takes keys of any length; the error is there for MACs that do not.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(domain.as_bytes());
        mac.update(&[0]);
        mac.update(text.as_bytes());
        hex::encode(&mac.finalize().into_bytes()[..16])
    }

    /// Replaces the personal fields of a spec by tokens. Lists of user names become lists of person tokens, so that the
    /// gate can compare them; free text becomes a token that says only whether it is the same text.
    pub fn tokenise(&self, kind: Kind, spec: &mut Value) {
        for path in kind.personal_fields() {
            let segments: Vec<&str> = path.split('.').collect();
            let is_user = kind.user_fields().contains(path);
            crate::digest::visit(spec, &segments, &mut |value| {
                if let Value::String(text) = value {
                    *text = match *path {
                        _ if is_user => self.person(text).0,
                        // These have a form, which their tokens keep.
                        "key" => format!("ssh-ed25519 {}", self.mac("text", text)),
                        "signed.envelope" => format!(r#"{{"token":"{}"}}"#, self.mac("text", text)),
                        _ => format!("text:{}", self.mac("text", text)),
                    };
                }
            });
        }
    }
}

impl Person {
    /// A person from a token that stands in a tokenised field.
    pub fn from_token(token: &str) -> Self {
        Self(token.to_owned())
    }
}

/// Puts names in place of `<person:TOKEN>` marks. A token without a known name stays as `person TOKEN…`, shortened.
/// Names are put in as they are: for data. What is shown is made by [`crate::render::named`].
pub fn with_names(text: &str, names: &BTreeMap<String, String>) -> String {
    join_names(text, |token| names.get(token).map(|name| Cow::Borrowed(name.as_str())))
}

/// The same with what `name` gives for a token.
pub(crate) fn join_names<'a>(text: &str, name: impl Fn(&str) -> Option<Cow<'a, str>>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("<person:") {
        let (before, mark) = rest.split_at(start);
        out.push_str(before);
        let Some(end) = mark.find('>') else {
            rest = mark;
            break;
        };
        let token = &mark["<person:".len()..end];
        if let Some(name) = name(token) {
            out.push_str(&name);
        } else {
            out.push_str("person ");
            out.extend(token.chars().take(8));
            out.push('…');
        }
        rest = &mark[end + 1..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_equal_for_the_same_person_only_and_hide_names() {
        let key = PeopleKey::new(*b"k");
        assert_eq!(key.person("alice"), key.person("alice"));
        assert_ne!(key.person("alice"), key.person("bob"));
        assert_ne!(key.person("alice"), PeopleKey::new(*b"other").person("alice"));
        let mut spec = serde_json::json!({"developers": ["alice"], "system": "s"});
        key.tokenise(Kind::ModelRelease, &mut spec);
        assert!(!spec.to_string().contains("alice"));
        assert_eq!(spec["developers"][0], key.person("alice").token());
    }

    #[test]
    fn names_are_joined_when_shown() {
        let key = PeopleKey::new(*b"k");
        let alice = key.person("alice");
        let names = BTreeMap::from([(alice.token().to_owned(), "alice".to_owned())]);
        assert_eq!(with_names(&format!("{alice} wrote it"), &names), "alice wrote it");
        assert!(with_names(&format!("{} wrote it", key.person("bob")), &names).starts_with("person "));
        assert_eq!(with_names("a <person:", &names), "a <person:");
    }
}
