//! A secret that somebody must show to be let in.

use std::borrow::Cow;
use std::fmt;

use subtle::ConstantTimeEq as _;

/// A secret that is compared in constant time and shows in no debug output.
#[derive(Clone)]
pub struct Token {
    bytes: Vec<u8>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} bytes)", self.bytes.len())
    }
}

impl Token {
    /// A token of these bytes. One without bytes matches nothing.
    pub fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec() }
    }

    /// 32 random bytes as 64 lower-case hex digits: what may stand in the path of a webhook, whose parts must be DNS
    /// subdomains.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn random_hex() -> Result<Self, getrandom::Error> {
        let mut random = [0; 32];
        getrandom::fill(&mut random)?;
        let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
        Ok(Self { bytes: random.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect() })
    }

    /// Whether `shown` is this token. Takes the same time wherever they differ; lengths are no secret.
    pub fn matches(&self, shown: &[u8]) -> bool {
        !self.bytes.is_empty() && bool::from(self.bytes.ct_eq(shown))
    }

    /// The token as text, for whoever is to show it; empty when it is none. Never for logs.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }
}

/// The text with `…` for each part of a path that looks like [`Token::random_hex`]: an API server that fails to call us
/// quotes our path to whoever asked, and that may be ourselves.
pub fn without_tokens(text: &str) -> Cow<'_, str> {
    const LENGTH: usize = 64;
    let mut parts: Vec<&str> = text.split('/').collect();
    let last = parts.len() - 1;
    let mut found = false;
    for (index, part) in parts.iter_mut().enumerate() {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if index > 0 && index < last && part.len() == LENGTH && part.bytes().all(hex) {
            *part = "…";
            found = true;
        }
    }
    if found { Cow::Owned(parts.join("/")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_matches_itself_only_and_nothing_when_it_is_empty() {
        let token = Token::new(b"secret");
        assert!(token.matches(b"secret"));
        for other in [&b"Secret"[..], b"secre", b"secrets", b""] {
            assert!(!token.matches(other), "{other:?}");
        }
        assert!(!Token::new(b"").matches(b""));
        assert_eq!(format!("{token:?}"), "Token(6 bytes)");
    }

    #[test]
    fn random_ones_are_64_hex_digits_and_differ() {
        let (one, other) = (Token::random_hex().unwrap(), Token::random_hex().unwrap());
        assert_eq!(one.text().len(), 64);
        assert!(
            one.text().bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
            "{}",
            one.text()
        );
        assert!(!one.matches(other.text().as_bytes()));
    }

    #[test]
    fn tokens_in_quoted_paths_are_hidden_and_digests_are_not() {
        let token = Token::random_hex().unwrap();
        let quoted =
            format!("Post \"https://placet.ns.svc:8443/{}/mutate/own?timeout=10s\": EOF", token.text());
        assert_eq!(
            without_tokens(&quoted),
            "Post \"https://placet.ns.svc:8443/…/mutate/own?timeout=10s\": EOF"
        );
        for other in
            [format!("a/b@sha256:{}/c", token.text()), format!("objects/ab/{}", token.text()), String::new()]
        {
            assert_eq!(without_tokens(&other), other);
        }
    }
}
