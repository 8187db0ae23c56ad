//! User names that may be mistaken for another: they identify somebody to the API server, and somebody else to who reads.

use serde::{Deserialize, Serialize};
use unicode_normalization::is_nfkc;
use unicode_security::{GeneralSecurityProfile as _, MixedScript as _};

/// Why a name may be mistaken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum DoubtfulName {
    /// It is not in the normal form NFKC: another spelling looks the same (UAX #15).
    #[error("is not in the Unicode normal form NFKC")]
    NotNormal,
    /// A part of it mixes letters of scripts that are not written together (UTS #39, section 5.1).
    #[error("mixes letters of several scripts")]
    MixedScripts,
    /// It holds characters that are not seen, or that turn the direction of reading.
    #[error("holds characters that are not seen")]
    Invisible,
}

/// Where one authority's part of a name ends and another's begins: a provider's prefix, a domain.
const PARTS: [char; 4] = [':', '@', '/', '#'];

/// What makes a name doubtful, if anything. Scripts are compared within each part, so that a prefix in Latin letters does
/// not make every other script a mixture.
pub fn doubt(name: &str) -> Option<DoubtfulName> {
    if name.is_ascii() {
        return name.bytes().any(|b| b.is_ascii_control()).then_some(DoubtfulName::Invisible);
    }
    if !is_nfkc(name) {
        return Some(DoubtfulName::NotNormal);
    }
    if name.chars().any(|c| !is_seen(c)) {
        return Some(DoubtfulName::Invisible);
    }
    name.split(PARTS).any(|part| !part.is_single_script()).then_some(DoubtfulName::MixedScripts)
}

/// Whether a character is one that names are written with. The joiners (U+200C, U+200D) are, in some scripts, and are
/// still not seen.
fn is_seen(c: char) -> bool {
    let joiner = matches!(c, '\u{200c}' | '\u{200d}');
    !c.is_control() && !joiner && (c.is_ascii() || c.is_alphanumeric() || c.identifier_allowed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_like_another_are_doubtful() {
        for plain in [
            "alice",
            "oidc:alice@example.com",
            "system:serviceaccount:ci:robot",
            "CN=Erin O'Neil,O=Risk",
            "oidc:иван",
            "rené",
            "山田@例え",
        ] {
            assert_eq!(doubt(plain), None, "{plain}");
        }
        for (name, why) in [
            ("аlice", DoubtfulName::MixedScripts),                 // Cyrillic а
            ("oidc:erіn@example.com", DoubtfulName::MixedScripts), // Cyrillic і
            ("rene\u{301}", DoubtfulName::NotNormal),              // e and a combining accent
            ("ﬁona", DoubtfulName::NotNormal),                     // the ligature fi
            ("al\u{200b}ice", DoubtfulName::Invisible),            // zero-width space
            ("al\u{202e}ice", DoubtfulName::Invisible),            // right-to-left override
            ("al\u{7}ice", DoubtfulName::Invisible),               // bell
            ("rené\u{ad}", DoubtfulName::Invisible),               // soft hyphen
        ] {
            assert_eq!(doubt(name), Some(why), "{name:?}");
        }
    }
}
