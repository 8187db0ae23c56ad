//! Bounded text types: each says in one place what it accepts, both to the API server (schema) and to Rust (parsing).
//!
//! Every string of our kinds has one of these types, so that no string is without a bound (CEL's cost budget needs one)
//! and files judged offline are refused for the same reasons as objects sent to a cluster.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A text that is not what its type asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalarError {
    /// What was wanted, in words.
    pub wanted: &'static str,
    /// What was found, cut to 80 characters.
    pub found: String,
}

impl std::fmt::Display for ScalarError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "wanted {}, found {:?}", self.wanted, self.found)
    }
}

impl std::error::Error for ScalarError {}

macro_rules! scalar {
    ($(#[$doc:meta])* $name:ident, $max:literal, $pattern:expr, $wanted:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks a text against this type's rule.
            ///
            /// # Errors
            /// The rule in words and the text found.
            pub fn new(text: impl Into<String>) -> Result<Self, ScalarError> {
                let text = text.into();
                let check: fn(&str) -> bool = $check;
                if text.chars().count() <= $max && check(&text) {
                    Ok(Self(text))
                } else {
                    Err(ScalarError { wanted: $wanted, found: text.chars().take(80).collect() })
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = ScalarError;
            fn try_from(text: String) -> Result<Self, ScalarError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let pattern: Option<&str> = $pattern;
                match pattern {
                    Some(pattern) => json_schema!({"type": "string", "maxLength": $max, "pattern": pattern}),
                    None => json_schema!({"type": "string", "maxLength": $max}),
                }
            }
        }
    };
}

scalar!(
    /// A name of an object that may become a label value: at most 63 characters, a DNS subdomain.
    Name, 63, Some("^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"),
    "a Kubernetes object name of at most 63 characters: lower-case letters, digits, '-' and '.'",
    is_name
);
scalar!(
    /// A short identifier within a list, such as `R1` or `weights`.
    Id, 63, Some("^[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$"),
    "an identifier of at most 63 characters: letters, digits, '-', '_' and '.'",
    |t| {
        let ok = |b: u8| b.is_ascii_alphanumeric();
        let bytes = t.as_bytes();
        bytes.first().is_some_and(|b| ok(*b))
            && bytes.last().is_some_and(|b| ok(*b))
            && bytes.iter().all(|b| ok(*b) || b"-._".contains(b))
    }
);
scalar!(
    /// A SHA-256 digest, written `sha256:` and 64 lower-case hexadecimal digits. Other algorithms are not accepted.
    Digest, 71, Some("^sha256:[0-9a-f]{64}$"),
    "a digest of the form sha256: and 64 lower-case hexadecimal digits",
    is_digest
);
scalar!(
    /// A commit of a version control system, in full: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
    Commit, 64, Some("^([0-9a-f]{40}|[0-9a-f]{64})$"),
    "a commit in full: 40 or 64 lower-case hexadecimal digits",
    |t| matches!(t.len(), 40 | 64) && is_lower_hex(t)
);
scalar!(
    /// A line of text.
    Line, 256, None, "a text of at most 256 characters", |_| true
);
scalar!(
    /// A line of text that is not empty.
    Title, 256, Some("\\S"), "a text of 1 to 256 characters", |t| t.contains(|c: char| !c.is_whitespace())
);
scalar!(
    /// A paragraph of text.
    Paragraph, 2048, None, "a text of at most 2,048 characters", |_| true
);
scalar!(
    /// An expression in CEL.
    Expression, 1024, Some("\\S"), "an expression of 1 to 1,024 characters", |t| t.contains(|c: char| !c.is_whitespace())
);
scalar!(
    /// A paragraph of text that is not empty.
    Explanation, 2048, Some("\\S"), "a text of 1 to 2,048 characters", |t| t.contains(|c: char| !c.is_whitespace())
);
scalar!(
    /// A calendar date, `YYYY-MM-DD`, meaning 00:00 UTC of that day, or a date with a time (RFC 3339).
    Moment, 35,
    Some("^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2}))?$"),
    "a date (2026-11-01) or a date with a time and zone (2026-11-01T16:30:00Z)",
    |t| t.is_ascii() && (is_date(t) || (t.len() >= 20 && is_date(&t[..10]) && t.as_bytes()[10] == b'T'))
);
scalar!(
    /// A date with a time and zone (RFC 3339).
    DateTime, 35,
    Some("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"),
    "a date with a time and zone (2027-03-31T00:00:00Z)",
    |t| t.is_ascii() && t.len() >= 20 && is_date(&t[..10]) && t.as_bytes()[10] == b'T'
);
scalar!(
    /// A decimal number written as text, since the Kubernetes API knows no floating-point fields.
    Decimal, 24, Some("^-?[0-9]{1,12}(\\.[0-9]{1,9})?$"),
    "a decimal number such as 0.80, with at most 12 digits before and 9 after the point",
    is_decimal
);
scalar!(
    /// A reference to where an artefact lies, without its digest: a repository, a model id, or a URI.
    Reference, 512, Some("^[^\\s@]+$"),
    "a repository, model id or URI without spaces and without '@' (the digest has its own field)",
    |t| !t.is_empty() && !t.contains(|c: char| c.is_whitespace() || c == '@')
);
scalar!(
    /// An image reference of platform software: `repository@sha256:…`, or a repository alone where the policy's author
    /// accepts every image of it.
    PlatformImageRef, 584, Some("^[^\\s@]+(@sha256:[0-9a-f]{64})?$"),
    "repository@sha256:<64 hex digits>, or a repository without a tag",
    |t| {
        let (repo, digest) = t.split_once('@').map_or((t, None), |(r, d)| (r, Some(d)));
        !repo.is_empty() && !repo.contains(char::is_whitespace) && digest.is_none_or(is_digest)
    }
);
scalar!(
    /// A number used once: 16 random bytes, written as 32 lower-case hexadecimal digits.
    Nonce, 32, Some("^[0-9a-f]{32}$"),
    "32 lower-case hexadecimal digits, made at random",
    |t| t.len() == 32 && is_lower_hex(t)
);
scalar!(
    /// A public key as OpenSSH writes it, on one line: type, base64 and, if wanted, a comment.
    SshPublicKey, 512,
    Some("^(ssh-ed25519|ecdsa-sha2-nistp256|ecdsa-sha2-nistp384|sk-ssh-ed25519@openssh\\.com|sk-ecdsa-sha2-nistp256@openssh\\.com) [A-Za-z0-9+/]+={0,2}( [^\\r\\n]*)?$"),
    "one line of an OpenSSH public key (the .pub file): ssh-ed25519, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, sk-ssh-ed25519@openssh.com or sk-ecdsa-sha2-nistp256@openssh.com, base64, and perhaps a comment",
    is_ssh_key
);
scalar!(
    /// A signature envelope (DSSE 1.0, JSON) in one text.
    Envelope, 16384, Some("^\\{"),
    "a DSSE envelope, as `placet approve --sign-with KEY` writes it: a JSON object of at most 16 KiB",
    |t| t.starts_with('{')
);

fn is_name(t: &str) -> bool {
    let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = t.as_bytes();
    bytes.first().is_some_and(|b| ok(*b))
        && bytes.last().is_some_and(|b| ok(*b))
        && bytes.iter().all(|b| ok(*b) || b"-.".contains(b))
}

/// Whether a text is `sha256:` and 64 lower-case hexadecimal digits.
pub fn is_digest(t: &str) -> bool {
    t.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && is_lower_hex(hex))
}

fn is_lower_hex(t: &str) -> bool {
    t.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Types of keys that signatures may be made with; the pattern of [`SshPublicKey`] names the same.
const SSH_KEY_TYPES: [&str; 5] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

fn is_ssh_key(t: &str) -> bool {
    let mut parts = t.splitn(3, ' ');
    let (Some(kind), Some(data)) = (parts.next(), parts.next()) else { return false };
    let body = data.trim_end_matches('=');
    let base64 = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
    SSH_KEY_TYPES.contains(&kind)
        && !body.is_empty()
        && data.len() - body.len() <= 2
        && body.bytes().all(base64)
        && !parts.next().is_some_and(|comment| comment.contains(['\r', '\n']))
}

fn is_date(t: &str) -> bool {
    let b = t.as_bytes();
    let digits = |from: usize, to: usize| b[from..to].iter().all(u8::is_ascii_digit);
    b.len() == 10 && digits(0, 4) && b[4] == b'-' && digits(5, 7) && b[7] == b'-' && digits(8, 10)
}

fn is_decimal(t: &str) -> bool {
    let t = t.strip_prefix('-').unwrap_or(t);
    let (whole, fraction) = t.split_once('.').map_or((t, None), |(w, f)| (w, Some(f)));
    let digits =
        |s: &str, max: usize| !s.is_empty() && s.len() <= max && s.bytes().all(|b| b.is_ascii_digit());
    digits(whole, 12) && fraction.is_none_or(|f| digits(f, 9))
}

impl Decimal {
    /// The number. Twelve digits before and nine after the point are more than a double holds exactly; thresholds and
    /// rates are far shorter.
    pub fn value(&self) -> f64 {
        // The constructor has checked the form, which Rust's parser accepts as a whole.
        self.as_str().parse().unwrap_or(0.0)
    }

    /// The number in billionths, exactly.
    pub fn billionths(&self) -> i128 {
        let (whole, fraction) = self.as_str().split_once('.').unwrap_or((self.as_str(), ""));
        // At most 21 digits, as the constructor has checked.
        format!("{whole}{fraction:0<9}").parse().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_other_forms_are_refused_with_the_form_wanted() {
        assert!(Digest::new(format!("sha256:{}", "a".repeat(64))).is_ok());
        for bad in [
            "sha256:abc".to_owned(),
            format!("sha512:{}", "a".repeat(64)),
            format!("sha256:{}", "A".repeat(64)),
        ] {
            let e = Digest::new(bad).unwrap_err();
            assert!(e.to_string().contains("64 lower-case hexadecimal digits"), "{e}");
        }
    }

    #[test]
    fn commits_are_named_in_full() {
        assert!(Commit::new("a".repeat(40)).is_ok() && Commit::new("0".repeat(64)).is_ok());
        for bad in ["", "main", "v1.2", &"a".repeat(7), &"A".repeat(40), &"a".repeat(41), &"g".repeat(40)] {
            assert!(Commit::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn moments_are_dates_or_timestamps() {
        for good in ["2026-11-01", "2026-11-01T16:30:00Z", "2026-11-01T16:30:00.5+01:00"] {
            assert!(Moment::new(good).is_ok(), "{good}");
        }
        for bad in ["", "yesterday", "2026-11-1", "2026-11-01 16:30", "2026-11-01X16:30:00Z"] {
            assert!(Moment::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_one_line_of_a_type_that_signs() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM";
        for good in
            [key.to_owned(), format!("{key}=="), format!("{key} erin on her laptop"), format!("{key} ")]
        {
            assert!(SshPublicKey::new(good.as_str()).is_ok(), "{good}");
        }
        for bad in [
            String::new(),
            "ssh-ed25519".into(),
            "ssh-ed25519 ".into(),
            format!(" {key}"),
            format!("{key}==="),
            format!("{key}\nssh-ed25519 BBBB"),
            format!("{key} comment\n"),
            key.replace("ssh-ed25519", "ssh-rsa"),
            format!("no-pty {key}"),
        ] {
            assert!(SshPublicKey::new(bad.as_str()).is_err(), "{bad:?}");
        }
        assert!(Nonce::new("0123456789abcdef0123456789abcdef").is_ok());
        assert!(Nonce::new("0123456789ABCDEF0123456789ABCDEF").is_err());
        assert!(Envelope::new("[]").is_err());
    }

    #[test]
    fn decimals_are_whole_billionths() {
        for (text, billionths) in [
            ("0.80", 800_000_000),
            ("-1.5", -1_500_000_000),
            ("-0.000000001", -1),
            ("12", 12_000_000_000),
            ("999999999999.999999999", 999_999_999_999_999_999_999),
        ] {
            assert_eq!(Decimal::new(text).unwrap().billionths(), billionths, "{text}");
        }
    }

    #[test]
    fn decimals_have_no_exponent_and_no_nan() {
        for good in ["0.80", "-1", "12"] {
            assert!(Decimal::new(good).is_ok(), "{good}");
        }
        for bad in ["NaN", "Infinity", "1e3", "1e308", ".5", "inf", "1.", "--1"] {
            assert!(Decimal::new(bad).is_err(), "{bad}");
        }
    }
}
