//! What was counted of approvals, and how it is said: however many there are, a finding names the first few of them and the
//! number of the others.

use std::collections::BTreeSet;

use super::rejects::When;
use crate::digest;
use crate::people::Person;

/// How many a finding names at most.
pub const NAMED: usize = 5;

/// What was counted.
#[derive(Debug, Default)]
pub struct Tally {
    /// People who approved.
    pub counted: BTreeSet<Person>,
    /// Names of their approvals that count.
    pub given: BTreeSet<String>,
    /// When the first of them did, or of those whose approval ended since.
    pub first: Option<When>,
    /// Names of Rejects by holders of the role.
    pub rejects: Vec<String>,
    /// Why approvals that name this subject do not count.
    pub why_not: Vec<WhyNot>,
    /// Rejects that nobody is known to have given, and why.
    pub of_nobody: Vec<String>,
}

/// Why an approval does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhyNot {
    /// What kept it from counting.
    pub cause: Cause,
    /// In words.
    pub text: String,
    /// What the words name: the approval, who gave it, when it ended.
    pub about: Vec<String>,
}

/// What keeps an approval from counting, what says most of why it is missing first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The content changed since.
    Changed,
    /// Its term has ended.
    Ended,
    /// It was given by an author of what it approves.
    Author,
    /// Whoever gave it does not hold the role, or not by name.
    Role,
    /// Its signature does not count.
    Signature,
    /// A Reject: somebody answered it.
    Answered,
    /// Anything else.
    Other,
}

impl Cause {
    /// What is named first where there is no room for all.
    fn weight(self) -> u8 {
        match self {
            Cause::Changed => 0,
            Cause::Ended => 1,
            _ => 2,
        }
    }
}

impl Tally {
    /// What the words about approvals that do not count name, and a digest of what they leave out.
    pub fn about(&self) -> Vec<String> {
        about(&self.why_not)
    }

    /// An approval was given then.
    pub(super) fn given_since(&mut self, at: When) {
        self.first = Some(self.first.map_or(at, |first| first.earlier(at)));
    }

    /// Why the approval of this name does not count.
    pub fn why_not_of(&self, name: &str) -> Option<&WhyNot> {
        self.why_not.iter().find(|why| why.about.first().is_some_and(|about| about == name))
    }

    /// What was found, in words.
    pub fn found_or(&self, nothing: &str) -> String {
        words(&self.why_not).unwrap_or_else(|| nothing.to_owned())
    }

    /// Appends to what was found why approvals do not count.
    pub fn explain(&self, found: &mut String) {
        if let Some(words) = words(&self.why_not) {
            found.push_str("; ");
            found.push_str(&words);
        }
    }

    /// That the Rejects stand: what they do in words, and what the words name; None without any.
    pub fn rejected(&self, what: &str) -> Option<(String, Vec<String>)> {
        let (first, rest) = split(&self.rejects);
        let verb = match self.rejects.as_slice() {
            [] => return None,
            [_] => "rejects",
            _ => "reject",
        };
        let mut about = first.to_vec();
        about.extend(left_out(rest));
        Some((format!("{} {verb} {what}", listed(first, rest.len())), about))
    }

    /// The Rejects that are named, as a command answers them.
    pub fn answering(&self) -> String {
        split(&self.rejects).0.iter().flat_map(|name| [" --answers ", name.as_str()]).collect()
    }
}

/// Why approvals do not count, in words; None without any.
pub fn words(all: &[WhyNot]) -> Option<String> {
    let (first, rest) = chosen(all);
    let mut texts: Vec<String> = first.iter().map(|w| w.text.clone()).collect();
    if !rest.is_empty() {
        let (number, do_not) = if rest.len() == 1 { ("1 other", "does not") } else { ("others", "do not") };
        let number = if rest.len() == 1 { number.to_owned() } else { format!("{} {number}", rest.len()) };
        texts.push(format!("{number} {do_not} count either"));
    }
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// What these words name, and a digest of what they leave out.
pub fn about(all: &[WhyNot]) -> Vec<String> {
    let (first, rest) = chosen(all);
    let mut about: Vec<String> = first.iter().flat_map(|w| w.about.clone()).collect();
    about.extend(left_out(&rest.iter().map(|w| &w.about).collect::<Vec<_>>()));
    about
}

/// Those that are named, in an order that does not follow from the words, and the others.
fn chosen(all: &[WhyNot]) -> (Vec<&WhyNot>, Vec<&WhyNot>) {
    let mut all: Vec<&WhyNot> = all.iter().collect();
    if all.len() > NAMED {
        all.sort_by(|a, b| (a.cause.weight(), &a.about).cmp(&(b.cause.weight(), &b.about)));
    }
    let rest = all.split_off(all.len().min(NAMED));
    (all, rest)
}

fn split<T>(all: &[T]) -> (&[T], &[T]) {
    all.split_at(all.len().min(NAMED))
}

/// `a, b and 3 others`.
fn listed(first: &[String], others: usize) -> String {
    match (first, others) {
        ([all @ .., last], 0) if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        (first, 0) => first.join(", "),
        (first, 1) => format!("{} and 1 other", first.join(", ")),
        (first, others) => format!("{} and {others} others", first.join(", ")),
    }
}

/// The number and a digest of what is not named, so that another set is another outcome.
fn left_out<T: serde::Serialize>(rest: &[T]) -> Option<String> {
    let bytes = serde_json::to_vec(rest).ok()?;
    (!rest.is_empty()).then(|| format!("{} others, {}", rest.len(), digest::of_bytes(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(cause: Cause, name: &str) -> WhyNot {
        WhyNot { cause, text: format!("{name} does not count"), about: vec![name.to_owned()] }
    }

    fn many(number: usize) -> Vec<WhyNot> {
        (0..number).map(|n| why(Cause::Other, &format!("a-{n:05}"))).collect()
    }

    #[test]
    fn few_are_named_in_their_order_and_of_many_the_first_five() {
        assert_eq!(words(&[]), None);
        assert!(about(&[]).is_empty());
        let two = [why(Cause::Other, "z"), why(Cause::Changed, "a")];
        assert_eq!(words(&two).unwrap(), "z does not count; a does not count");
        assert_eq!(about(&two), ["z", "a"]);
        assert_eq!(about(&many(5)).len(), 5);
        assert!(words(&many(6)).unwrap().ends_with("a-00004 does not count; 1 other does not count either"));
        let all = many(10_000);
        let said = words(&all).unwrap();
        assert!(said.ends_with("; 9995 others do not count either") && said.len() < 300, "{said}");
        assert_eq!(about(&all).len(), 6);
    }

    #[test]
    fn what_is_left_out_changes_what_is_decided_and_the_order_in_which_it_was_met_does_not() {
        let all = many(100);
        let mut turned = all.clone();
        turned.reverse();
        assert_eq!((about(&turned), words(&turned)), (about(&all), words(&all)));
        let mut other = all.clone();
        other[99].about[0] = "another".into();
        assert_eq!(words(&other), words(&all));
        assert_ne!(about(&other), about(&all));
        assert_ne!(about(&all[..99]), about(&all));
        // What says most of why an approval is missing is named first.
        let mut mixed = all;
        mixed.push(why(Cause::Ended, "y"));
        mixed.push(why(Cause::Changed, "z"));
        assert!(words(&mixed).unwrap().starts_with("z does not count; y does not count; a-00000"));
    }

    #[test]
    fn rejects_are_one_sentence() {
        let rejected = |names: &[&str]| {
            let rejects = names.iter().map(|n| (*n).to_owned()).collect();
            Tally { rejects, ..Tally::default() }.rejected("this content")
        };
        assert_eq!(rejected(&[]), None);
        let said = |names: &[&str]| rejected(names).unwrap();
        assert_eq!(said(&["a"]), ("a rejects this content".to_owned(), vec!["a".to_owned()]));
        assert_eq!(said(&["a", "b"]).0, "a and b reject this content");
        assert_eq!(said(&["a", "b", "c", "d", "e"]).0, "a, b, c, d and e reject this content");
        let (six, about) = said(&["a", "b", "c", "d", "e", "f"]);
        assert_eq!(six, "a, b, c, d, e and 1 other reject this content");
        assert_eq!(about[..5], ["a", "b", "c", "d", "e"]);
        assert_ne!(about, said(&["a", "b", "c", "d", "e", "g"]).1);
        let seven = Tally { rejects: (0..7).map(|n| n.to_string()).collect(), ..Tally::default() };
        assert_eq!(seven.rejected("it").unwrap().0, "0, 1, 2, 3, 4 and 2 others reject it");
        assert_eq!(seven.answering(), " --answers 0 --answers 1 --answers 2 --answers 3 --answers 4");
    }
}
