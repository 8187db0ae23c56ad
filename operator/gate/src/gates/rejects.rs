//! Which Rejects stand, and whether a new one would add anything.

use jiff::Timestamp;
use placet_api::approval::{ApprovalDecision, ApprovalSpec};

use super::Context;
use super::counted::{Cause, WhyNot};
use crate::object::{Object, Record};
use crate::people::Person;
use crate::signature::Trust;

/// When somebody decided.
#[derive(Debug, Clone, Copy)]
pub struct When {
    stamped: Timestamp,
    /// As whoever signed it says, who cannot say that it was after it was stamped.
    signed: Option<Timestamp>,
}

impl When {
    /// When the decision in an object was made, which was stamped, or first seen, at `stamped`.
    pub(crate) fn of(object: &Record, stamped: Timestamp) -> Self {
        Self { stamped, signed: object.issued_at().map(|signed| signed.min(stamped)) }
    }

    /// Whether it came after another. A robot applies what was signed in an order of its own, and anew in an empty namespace:
    /// of two that are signed, what their signers say holds.
    pub(super) fn after(self, other: Self) -> bool {
        match (self.signed, other.signed) {
            (Some(this), Some(other)) => this > other,
            _ => self.stamped > other.stamped,
        }
    }

    /// Whether it came after a Reject that it names as answered or not. Signers say when to the second; within one, what names
    /// a Reject came after it.
    fn after_reject(self, reject: Self, names: bool) -> bool {
        self.after(reject) || (names && self.signed.is_some() && self.signed == reject.signed)
    }

    /// The earlier of two.
    pub(super) fn earlier(self, other: Self) -> Self {
        if self.after(other) { other } else { self }
    }

    /// The moment, as people read it.
    pub(super) fn moment(self) -> Timestamp {
        self.signed.unwrap_or(self.stamped)
    }
}

/// An approval that counts and that may answer Rejects.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) spec: &'a ApprovalSpec,
    pub(crate) at: When,
    /// Whether it is what was wanted, and not only another part of the subject.
    pub(crate) whole: bool,
}

impl Answer<'_> {
    /// Whether it answers a Reject of this name: given later (a name that bears another Reject by now is not answered by an
    /// approval of before), in the same role, and for the same part of the subject or for all that the role is asked for.
    pub(crate) fn lifts(&self, name: &str, reject: &ApprovalSpec, at: When) -> bool {
        answers(self.spec, name)
            && self.at.after_reject(at, true)
            && self.spec.role == reject.role
            && (self.whole || self.spec.subject.digest == reject.subject.digest)
    }
}

/// A Reject by a holder of its role, of what is there now.
pub(super) struct Reject<'a> {
    pub(super) object: &'a Object<ApprovalSpec>,
    pub(super) spec: &'a ApprovalSpec,
    pub(super) by: Person,
    pub(super) at: When,
}

/// An approval that counts, unless whoever gave it took it back.
pub(super) struct Given<'a> {
    pub(super) object: &'a Object<ApprovalSpec>,
    pub(super) spec: &'a ApprovalSpec,
    pub(super) by: Person,
    pub(super) at: When,
    /// Whether it covers what is wanted, and not only another part.
    pub(super) whole: bool,
}

impl Reject<'_> {
    /// Whoever rejects takes back what they approved in that role before, also where somebody else answers the Reject.
    pub(super) fn takes_back(&self, given: &Given<'_>) -> bool {
        let answers = answers(given.spec, self.object.name());
        self.by == given.by && self.spec.role == given.spec.role && !given.at.after_reject(self.at, answers)
    }
}

/// Whether an approval names a Reject that it answers.
fn answers(approval: &ApprovalSpec, reject: &str) -> bool {
    approval.answers.iter().flatten().any(|answered| answered.as_str() == reject)
}

/// What became of an approval that its giver took back.
pub(super) fn taken_back(given: &Given<'_>, reject: &Reject<'_>) -> WhyNot {
    let (by, name) = (&given.by, reject.object.name());
    let text = format!("{by} took {} back by {name}", given.object.name());
    let about = vec![given.object.name().to_owned(), by.to_string(), name.to_owned()];
    WhyNot { cause: Cause::Other, text, about }
}

/// What became of a Reject that was answered.
pub(super) fn answered(name: &str) -> WhyNot {
    WhyNot { cause: Cause::Answered, text: format!("{name} was answered"), about: vec![name.to_owned()] }
}

/// Why what nobody is known to have said does not count, and how it is healed: who may say such things can change none.
pub(super) fn of_nobody(cx: &Context<'_>, approval: &Object<ApprovalSpec>) -> String {
    format!("{} {}", approval.name(), super::undecided(approval, &cx.snapshot.approvals))
}

/// Why a Reject does not block.
pub(super) fn no_reject(
    cx: &Context<'_>,
    reject: &Object<ApprovalSpec>,
    spec: &ApprovalSpec,
    current: &str,
) -> WhyNot {
    let name = reject.name();
    let why = |cause: Cause, text: String| WhyNot { cause, text, about: vec![name.to_owned()] };
    let Some(standing) = reject.standing() else {
        return why(Cause::Other, of_nobody(cx, reject));
    };
    match cx.snapshot.trust().decider(&reject.record, spec, standing) {
        Err(void) => why(Cause::Signature, format!("{name} does not count: {}", void.text)),
        Ok(decider) => match super::entitled::entitled(cx, &decider, spec.role.as_str()) {
            Err(text) => why(Cause::Role, text),
            Ok(()) => why(
                Cause::Changed,
                format!(
                    "{} rejected {}, the content is {}",
                    standing.who(),
                    super::assessment::short(&spec.subject.digest),
                    super::assessment::short(current)
                ),
            ),
        },
    }
}

/// Whoever rejects something.
#[derive(Debug, Clone, Copy)]
pub struct Rejecting<'a> {
    /// Who it is: of a signed Reject, whoever signed it.
    pub by: &'a Person,
    /// Whether they hold the role by a wildcard only.
    pub by_wildcard: bool,
    /// What they say.
    pub spec: &'a ApprovalSpec,
}

/// The Reject by the same person in the same role of the same digest that stands already, so that this one would add
/// nothing. It may have been deleted, which changes nothing.
///
/// What may answer it is any Approve by a holder of the role, whatever else a policy asks of those whose approval counts: a
/// Reject is wanted rather once too often than once too little.
pub fn stands_already<'o>(
    new: Rejecting<'_>,
    approvals: impl IntoIterator<Item = &'o Object<ApprovalSpec>>,
    trust: Trust<'_>,
) -> Option<&'o Object<ApprovalSpec>> {
    let (mut rejects, mut answers) = (Vec::new(), Vec::new());
    for approval in approvals {
        let (Ok(spec), Some(standing)) = (&approval.spec, approval.standing()) else { continue };
        let same = spec.role == new.spec.role && is_of(spec, new.spec);
        if !same || standing.holds_role != Some(true) {
            continue;
        }
        let Ok(decider) = trust.decider(&approval.record, spec, standing) else { continue };
        match spec.decision {
            ApprovalDecision::Reject => {
                let counts_as_much = new.by_wildcard || !decider.by_wildcard;
                if counts_as_much
                    && decider.creator == *new.by
                    && spec.subject.digest == new.spec.subject.digest
                {
                    rejects.push((approval, spec, When::of(&approval.record, decider.created_at)));
                }
            }
            ApprovalDecision::Approve if approval.live => {
                let at = When::of(&approval.record, decider.created_at);
                answers.push(Answer { spec, at, whole: true });
            }
            ApprovalDecision::Approve => {}
        }
    }
    rejects.retain(|(reject, spec, at)| !answers.iter().any(|a| a.lifts(reject.name(), spec, *at)));
    // One that is there is easier to look at than one that is gone.
    rejects.sort_by_key(|(reject, _, at)| (!reject.live, at.stamped));
    rejects.first().map(|(reject, ..)| *reject)
}

/// Whether both are about one subject, whatever part of it.
pub fn is_of(one: &ApprovalSpec, other: &ApprovalSpec) -> bool {
    one.subject.kind == other.subject.kind && one.subject.name == other.subject.name
}
