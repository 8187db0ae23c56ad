//! Texts that others choose are cut before they enter a record, so that none makes it too long to be written. Kubernetes
//! bounds names; the uids and names of owner references, for instance, it does not.

use super::{MOST_WORDS, Payload, Subject};
use crate::hash::Digest;
use crate::inputs;
use crate::record::Object;

/// Policies that the record of a decision names, the first ones; the stored decision names all.
pub const MOST_POLICIES: usize = 48;
/// Bytes of a name or uid in JSON: what Kubernetes allows for names.
const MAX_NAME: usize = 253;
/// Bytes of an owner in a count: there are many in a heartbeat.
const MAX_OWNER: usize = 100;
/// Bytes of words: a reason why, a detail.
const MAX_WORDS: usize = 4096;
/// Reason codes of an answer.
const MAX_REASONS: usize = 64;

/// Bytes that a character takes in a JSON text, at most.
fn width(c: char) -> usize {
    match c {
        '"' | '\\' => 2,
        c if c < ' ' => 6,
        c => c.len_utf8(),
    }
}

/// Cuts a text to so many bytes of JSON. What is cut ends in an ellipsis and the first 16 hex digits of the digest over
/// the whole, so that what differed still does.
pub(crate) fn cut(text: &mut String, most: usize) {
    // No character takes more than six bytes for each of its own.
    if text.len().saturating_mul(6) <= most {
        return;
    }
    if text.chars().map(width).sum::<usize>() <= most {
        return;
    }
    let digest = Digest::of(text.as_bytes()).hex();
    let mut left = most.saturating_sub('…'.len_utf8() + 16);
    let short: String = text
        .chars()
        .take_while(|c| {
            let fits = width(*c) <= left;
            left = left.saturating_sub(width(*c));
            fits
        })
        .collect();
    *text = format!("{short}…{}", digest.get(..16).unwrap_or_default());
}

fn names<'a>(texts: impl IntoIterator<Item = &'a mut String>) {
    texts.into_iter().for_each(|text| cut(text, MAX_NAME));
}

impl Subject {
    pub(super) fn bound(&mut self) {
        names([&mut self.kind, &mut self.name].into_iter().chain(&mut self.namespace));
    }
}

impl Payload {
    /// Cuts what others choose the length of.
    pub(super) fn bound(&mut self) {
        match self {
            Self::Decision(d) => d.policies.truncate(MOST_POLICIES),
            Self::Admission(a) => {
                let all = [&mut a.mode, &mut a.group, &mut a.version, &mut a.kind, &mut a.namespace];
                names(all.into_iter().chain([&mut a.name, &mut a.request]));
                let some = [&mut a.subresource, &mut a.uid, &mut a.owner_uid, &mut a.owner_kind];
                names(some.into_iter().chain([&mut a.release]).flatten());
                a.reasons.truncate(MAX_REASONS);
                names(&mut a.reasons);
            }
            Self::HoldLifted(h) => {
                names([&mut h.namespace, &mut h.pod, &mut h.uid, &mut h.resource_version]);
                names([&mut h.owner_uid, &mut h.release].into_iter().flatten());
            }
            Self::Object(o) => {
                names([&mut o.kind, &mut o.name]);
                names([&mut o.namespace, &mut o.uid].into_iter().flatten());
            }
            Self::RoleStanding(r) => {
                names([&mut r.namespace].into_iter().chain(&mut r.held_in));
                r.words.truncate(MOST_WORDS);
                for word in &mut r.words {
                    names([&mut word.kind, &mut word.name, &mut word.about, &mut word.about_name]);
                }
            }
            Self::Enforcement(e) => names([&mut e.before, &mut e.after].into_iter().flatten()),
            Self::Heartbeat(h) => {
                for refusal in &mut h.refusals {
                    cut(&mut refusal.namespace, MAX_OWNER);
                    cut(&mut refusal.owner, MAX_OWNER);
                }
            }
            Self::Gap(g) => cut(&mut g.detail, MAX_WORDS),
            Self::LogBegin(b) => cut(&mut b.because, MAX_WORDS),
            Self::LogStop(s) => cut(&mut s.reason, MAX_WORDS),
            Self::KeyRotate(k) => cut(&mut k.reason, MAX_WORDS),
            Self::KeyDistrust(k) => cut(&mut k.reason, MAX_WORDS),
            Self::WebhooksRemoved(w) => cut(&mut w.reason, MAX_WORDS),
            Self::LogStart(_)
            | Self::Stamp(_)
            | Self::Approval(_)
            | Self::Withdrawal(_)
            | Self::PolicyChange(_)
            | Self::PolicyEffect(_)
            | Self::Redaction(_) => {}
        }
    }

    /// Puts a list in the place of many inputs. The list, and what it lists.
    pub(super) fn list_inputs(&mut self) -> Result<Option<(Object, Vec<Digest>)>, serde_json::Error> {
        let Self::Decision(decision) = self else { return Ok(None) };
        if decision.snapshot.len() <= inputs::MOST_NAMED {
            return Ok(None);
        }
        let list = inputs::list(&decision.snapshot)?;
        let listed = std::mem::replace(&mut decision.snapshot, vec![list.digest()]);
        Ok(Some((list, listed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_that_is_cut_fits_and_what_differed_still_does(text in any::<String>(), long in "\\PC{0,600}", most in 20usize..300) {
            for text in [text, long] {
                let (mut one, mut other) = (text.clone(), format!("{text}x"));
                cut(&mut one, most);
                cut(&mut other, most);
                prop_assert!(serde_json::to_string(&one).unwrap().len() <= most + 2, "{}", one);
                prop_assert_ne!(&one, &other);
                if serde_json::to_string(&text).unwrap().len() * 6 <= most {
                    prop_assert_eq!(one, text);
                }
            }
        }
    }
}
