//! Policies guard themselves: a change that loosens a policy is judged by the version that it replaces. A change of a role
//! or of a signer that lets more in is judged by each policy in force that names a role of it.
//!
//! Pure: which version is in force is the log's memory ([`crate::world`]), and here is said in which ways another one
//! loosens it, who has a say, and whether they have said it.

mod adds;
mod data;
mod life_cycle;
mod loosens;
mod others;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use placet_api::Kind;
use placet_api::approval::{ApprovalDecision, ApprovalSpec};
use placet_api::guard::Loosening;
use placet_api::releasepolicy::{Proof, ReleasePolicySpec, WildcardGrants};
use placet_api::scalar::Name;

use crate::digest::{self, DigestError};
use crate::gates::rejects::{Answer, When};
use crate::object::{Object, Record, Stamp, Standing};
use crate::people::Person;
use crate::policy;
use crate::signature::Trust;
use crate::time;

pub use adds::adds;
pub use loosens::loosens;
pub(crate) use loosens::test_loosens;
pub use others::Guarded;

/// A policy as an object.
pub type Policy = Arc<Object<ReleasePolicySpec>>;

/// A change of a policy, a role or a signer that has not taken effect.
#[derive(Debug, Clone)]
pub struct Change {
    /// Kind.
    pub kind: Kind,
    /// Name.
    pub name: String,
    /// The version in force; None if none was.
    pub before: Option<Record>,
    /// The version that is there; None if it was deleted.
    pub after: Option<Record>,
    /// In which ways it loosens.
    pub loosens: Vec<String>,
    /// What becomes of it.
    pub ruling: Ruling,
    /// What became of the approvals of it.
    pub heard: Heard,
}

/// What becomes of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// It takes effect.
    Takes(Because),
    /// It waits.
    Waits(Asked),
}

/// Why a change takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// The installation is being set up: no release was judged before or, for roles and signers, none was cleared. Or no
    /// policy is in force at all.
    First,
    /// It loosens nothing.
    Tightens,
    /// Somebody entitled approved it.
    Approved,
    /// The version in force, or each policy that has a say, says `guard.loosening: Apply`.
    Unguarded,
    /// Nobody could approve it: none of the roles that have a say was ever in force.
    NobodyCould,
}

impl Because {
    /// As records write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Because::First => "First",
            Because::Tightens => "Tightens",
            Because::Approved => "Approved",
            Because::Unguarded => "Unguarded",
            Because::NobodyCould => "NobodyCould",
        }
    }
}

/// What a change waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The digest that the approval names.
    pub digest: String,
    /// Roles of which one holder is enough.
    pub roles: BTreeSet<String>,
    /// Why approvals that name the digest do not count, and Rejects that block; people stand in it as tokens.
    pub why_not: Vec<String>,
}

/// The digest by which the deletion of a version of a policy is approved: SHA-256 over `placet.dev/deletion/v1\n` and the RFC
/// 8785 JSON of {group, kind, name, version}, the content digest of what is deleted.
///
/// # Errors
/// There is no canonical form.
pub fn deletion(kind: Kind, name: &str, version: &str) -> Result<String, DigestError> {
    digest::deletion(kind, name, version)
}

/// Roles of which one holder approves that a version of a policy is loosened.
pub fn roles(spec: &ReleasePolicySpec) -> BTreeSet<String> {
    match spec.guard.as_ref().and_then(|g| g.role.as_ref()) {
        Some(role) => [role.to_string()].into(),
        None => spec.approvals.iter().map(|a| a.role.to_string()).collect(),
    }
}

/// The greatest proof of who approves that a policy asks of anybody.
fn greatest_proof(spec: &ReleasePolicySpec) -> Option<Proof> {
    let authority = spec.acceptance_authority.iter().flatten().filter_map(|a| a.proof);
    spec.approvals.iter().filter_map(|rule| rule.proof).chain(authority).max()
}

/// Whether a policy's guard is off.
fn unguarded(spec: &ReleasePolicySpec) -> bool {
    spec.guard.as_ref().and_then(|g| g.loosening) == Some(Loosening::Apply)
}

/// Roles that a policy names anywhere. A new field is looked at here, or it does not compile.
pub fn names(spec: &ReleasePolicySpec) -> BTreeSet<&str> {
    let ReleasePolicySpec {
        classification,
        assessment,
        reporters,
        validation,
        acceptance_authority,
        approvals,
        guard,
        applies_to: _,
        tests: _,
        data: _,
        attribute_sets: _,
        categories: _,
        documentation: _,
        verification: _,
        oversight: _,
        transparency: _,
        change: _,
        risk_appetite: _,
        risk_matrix: _,
        controls: _,
        // Names roles that are held beside those that it asks; it asks nobody itself.
        separation_of_duties: _,
        validity: _,
        platform_images: _,
        applies_to_cleared: _,
        replacements: _,
        obligations: _,
        prohibited_from: _,
        minimum_class: _,
        custom_gates: _,
    } = spec;
    let mut out: BTreeSet<&str> = approvals.iter().map(|a| a.role.as_str()).collect();
    let class = classification.iter();
    out.extend(class.flat_map(|c| [&c.approved_by].into_iter().chain(&c.lowered_by)).map(Name::as_str));
    out.extend(guard.iter().filter_map(|g| g.role.as_ref()).map(Name::as_str));
    out.extend(assessment.iter().filter_map(|a| a.approved_by.as_ref()).map(Name::as_str));
    out.extend(reporters.iter().flatten().map(|r| r.role.as_str()));
    out.extend(validation.iter().map(|v| v.role.as_str()));
    let authority = acceptance_authority.iter().flatten();
    let accept = authority.flat_map(|a| a.roles.iter().chain(a.consulted.iter().flatten()));
    out.extend(accept.map(Name::as_str));
    out
}

/// Policies that have a say in who approves in some roles: those that name one; if none does, all. Where nobody ever could
/// speak for any of those (a policy that asks for the new role alone), all others are asked. `held`: roles that are in force,
/// or once were.
pub fn concerned<'a>(
    roles: &BTreeSet<String>,
    policies: &[&'a ReleasePolicySpec],
    held: &BTreeSet<String>,
) -> Vec<&'a ReleasePolicySpec> {
    let name_one = |p: &&&ReleasePolicySpec| names(p).iter().any(|r| roles.contains(*r));
    let answers = |p: &&ReleasePolicySpec| unguarded(p) || !self::roles(p).is_disjoint(held);
    let some: Vec<&ReleasePolicySpec> = policies.iter().filter(name_one).copied().collect();
    let mut asked = if some.iter().any(answers) { some } else { policies.to_vec() };
    // One that lets anybody pass speaks for nobody where another is guarded.
    if policies.iter().any(|p| !unguarded(p)) {
        if asked.iter().all(|p| unguarded(p)) {
            asked = policies.to_vec();
        }
        asked.retain(|p| !unguarded(p));
    }
    asked
}

/// What rulings are made from beside the versions.
#[derive(Debug)]
pub struct Ground<'a> {
    /// Roles that are in force, or once were: others can be held by nobody.
    pub roles: &'a BTreeSet<String>,
    /// Roles in which some key ever counted.
    pub signed_in: &'a BTreeSet<String>,
    /// Approvals in the operator's namespace.
    pub approvals: Vec<&'a Arc<Object<ApprovalSpec>>>,
    /// What their signatures are held against.
    pub trust: Trust<'a>,
    /// The time.
    pub now: Timestamp,
    /// Who deletes it, where that is known.
    pub deleter: Option<&'a Person>,
}

/// A change, and who has a say in it.
#[derive(Debug)]
pub struct Proposed<'a> {
    /// Kind.
    pub kind: Kind,
    /// Name.
    pub name: &'a str,
    /// The version in force.
    pub before: Option<&'a Record>,
    /// The version that is there: stamped and understood.
    pub after: Option<&'a Record>,
    /// In which ways it loosens.
    pub ways: &'a [String],
    /// Whether the installation is being set up, or there is nothing to judge it by.
    pub first: bool,
    /// Since when an approval of it can have been given: a version that comes back is not approved by who approved it then.
    pub since: Option<Timestamp>,
    /// Policies that have a say. Of each list one policy's word is enough, and every list is asked.
    pub judges: Vec<Vec<&'a ReleasePolicySpec>>,
}

impl<'a> Proposed<'a> {
    /// A change of a policy: judged by the version in force; one that is new by any of the others.
    pub fn policy(
        name: &'a str,
        (before, after): (Option<&'a Policy>, Option<&'a Policy>),
        ways: &'a [String],
        others: &[&'a ReleasePolicySpec],
        open: bool,
    ) -> Self {
        let old = before.and_then(|p| p.spec.as_ref().ok());
        let new = after.and_then(|p| p.spec.as_ref().ok());
        let of_others = old.zip(new).is_some_and(|(old, new)| !beyond(old, new, others).is_empty());
        // A policy that is new is approved by those who could approve a change of another, and so is what reaches beyond itself.
        let judges = match old {
            Some(old) if !of_others || others.is_empty() => vec![vec![old]],
            Some(old) if !unguarded(old) => vec![vec![old], others.to_vec()],
            _ => vec![others.to_vec()],
        };
        let first = open || (old.is_none() && others.is_empty());
        // Of a deletion, since the version is there: who approved that another object of this content goes said nothing of it.
        let since = after.or(before).and_then(|p| Some(p.standing()?.changed_at));
        let (before, after) = (before.map(|p| &p.record), after.map(|p| &p.record));
        Self { kind: Kind::ReleasePolicy, name, before, after, ways, first, since, judges }
    }

    /// Whether nobody is asked, since who has a say said so.
    fn unguarded(&self) -> bool {
        let mut judges = self.judges.iter().flatten().peekable();
        // A policy that is new is not let in by the others' carelessness.
        let new_policy = self.kind == Kind::ReleasePolicy && self.before.is_none();
        !new_policy && judges.peek().is_some() && judges.all(|p| unguarded(p))
    }
}

/// In which ways a version of a policy could clear what those beside it do not clear, that the one before it could not.
fn beyond(
    before: &ReleasePolicySpec,
    after: &ReleasePolicySpec,
    others: &[&ReleasePolicySpec],
) -> Vec<String> {
    let known = adds(before, others);
    adds(after, others).into_iter().filter(|way| !known.contains(way)).collect()
}

/// In which ways a change loosens. The version in force, if there is one, is one that is understood.
pub fn ways(
    before: Option<&ReleasePolicySpec>,
    after: Option<&ReleasePolicySpec>,
    others: &[&ReleasePolicySpec],
) -> Vec<String> {
    match (before, after) {
        (Some(before), Some(after)) => {
            let mut ways = loosens(before, after);
            ways.extend(beyond(before, after, others));
            ways
        }
        (Some(_), None) => vec!["deleted: what it asks for would be asked by nobody".to_owned()],
        (None, Some(after)) => adds(after, others),
        (None, None) => Vec::new(),
    }
}

/// Rules on a change.
pub fn rule(change: &Proposed<'_>, on: &Ground<'_>) -> Ruling {
    if change.first {
        return Ruling::Takes(Because::First);
    }
    if change.ways.is_empty() {
        return Ruling::Takes(Because::Tightens);
    }
    if change.unguarded() {
        return Ruling::Takes(Because::Unguarded);
    }
    let asked = Everybody::of(change, on);
    let mut asked_somebody = false;
    for (roles, judges) in judges(change, on) {
        asked_somebody = true;
        if let Err(why_not) = asked.asking(change, &roles, judges).approved(on) {
            return Ruling::Waits(Asked { digest: asked.digest, roles, why_not });
        }
    }
    Ruling::Takes(if asked_somebody { Because::Approved } else { Because::NobodyCould })
}

/// What became of each approval of a change, by the id of its object: it counts with somebody who has a say, or why it does
/// not. One that is about something else is left out.
pub fn heard(change: &Proposed<'_>, on: &Ground<'_>) -> Heard {
    let asked = Everybody::of(change, on);
    let mut out = Heard::new();
    for (roles, judges) in judges(change, on) {
        let asking = asked.asking(change, &roles, judges);
        for approval in &on.approvals {
            let Some((_, _, said)) = asking.hears(approval, on) else { continue };
            let said = said.map(drop);
            if said.is_ok() || !out.contains_key(&approval.id) {
                out.insert(approval.id.clone(), said);
            }
        }
    }
    out
}

/// What became of approvals of a change; people stand in the words as tokens.
pub type Heard = BTreeMap<String, Result<(), String>>;

/// Those who are asked about a change, with the roles of which one holder is enough.
fn judges<'c, 'a>(
    change: &'c Proposed<'a>,
    on: &Ground<'_>,
) -> Vec<(BTreeSet<String>, &'c [&'a ReleasePolicySpec])> {
    let mut out = Vec::new();
    for judges in &change.judges {
        let roles: BTreeSet<String> = judges.iter().flat_map(|p| self::roles(p)).collect();
        let off = change.kind != Kind::ReleasePolicy && judges.iter().all(|p| unguarded(p));
        if !off && !roles.is_disjoint(on.roles) {
            out.push((roles, judges.as_slice()));
        }
    }
    out
}

/// What is the same for all who have a say in a change.
struct Everybody {
    digest: String,
    editors: BTreeSet<Person>,
    /// All their roles.
    roles: BTreeSet<String>,
}

impl Everybody {
    fn of(change: &Proposed<'_>, on: &Ground<'_>) -> Self {
        let digest = match (change.before, change.after) {
            (_, Some(after)) => digest_of(after).to_owned(),
            (Some(before), None) => deletion(change.kind, change.name, digest_of(before)).unwrap_or_default(),
            (None, None) => String::new(),
        };
        Self {
            digest,
            editors: editors(change.before, change.after, on.deleter),
            roles: change.judges.iter().flatten().flat_map(|p| self::roles(p)).collect(),
        }
    }

    fn asking<'s>(
        &'s self,
        change: &'s Proposed<'_>,
        roles: &'s BTreeSet<String>,
        judges: &'s [&'s ReleasePolicySpec],
    ) -> Asking<'s> {
        Asking {
            kind: change.kind,
            name: change.name,
            digest: &self.digest,
            roles,
            everybody: &self.roles,
            judges,
            editors: &self.editors,
            since: change.since,
        }
    }
}

/// The content digest of a version; empty if it has none.
fn digest_of(version: &Record) -> &str {
    version.digest.as_deref().unwrap_or_default()
}

fn standing_of(version: &Record) -> Option<&Standing> {
    match &version.stamp {
        Stamp::Valid(standing) => Some(standing),
        Stamp::Invalid { .. } => None,
    }
}

/// Who changed an object since the version in force: they do not approve the change.
fn editors(before: Option<&Record>, after: Option<&Record>, deleter: Option<&Person>) -> BTreeSet<Person> {
    let since = before.and_then(|b| Some(standing_of(b)?.changed_at));
    let mut out: BTreeSet<Person> = deleter.into_iter().cloned().collect();
    let Some(standing) = after.and_then(standing_of) else { return out };
    let same_object = before.is_some_and(|b| after.is_some_and(|a| a.uid == b.uid));
    match since.filter(|_| same_object && !standing.edits.is_empty()) {
        Some(since) => {
            out.extend(standing.edits.iter().filter(|(_, at)| *at > since).map(|(who, _)| who.clone()));
        }
        None => out.extend(standing.authors.iter().cloned()),
    }
    out
}

/// What an approval of a change has to be.
struct Asking<'a> {
    kind: Kind,
    name: &'a str,
    digest: &'a str,
    roles: &'a BTreeSet<String>,
    /// Roles that have a say elsewhere too: what is said in them is no mistake.
    everybody: &'a BTreeSet<String>,
    /// Versions whose rules on people hold.
    judges: &'a [&'a ReleasePolicySpec],
    editors: &'a BTreeSet<Person>,
    since: Option<Timestamp>,
}

impl Asking<'_> {
    /// Whether somebody entitled approved it and nobody's Reject stands.
    fn approved(&self, on: &Ground<'_>) -> Result<(), Vec<String>> {
        let (mut why_not, mut rejects, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        for approval in &on.approvals {
            let name = approval.name();
            match self.hears(approval, on) {
                None | Some((ApprovalDecision::Reject, _, Err(_))) => {}
                Some((ApprovalDecision::Reject, spec, Ok(at))) => rejects.push((name, spec, at)),
                Some((ApprovalDecision::Approve, spec, Ok(at))) => {
                    answers.push(Answer { spec, at, whole: true });
                }
                Some((ApprovalDecision::Approve, _, Err(why))) => {
                    why_not.push(format!("{name} does not count: {why}"));
                }
            }
        }
        // As of releases: answered by the same person or a second holder of the role, later, by the Reject's name.
        rejects.retain(|(name, spec, at)| !answers.iter().any(|answer| answer.lifts(name, spec, *at)));
        why_not.extend(rejects.iter().map(|(name, ..)| format!("{name} rejects it")));
        if !answers.is_empty() && rejects.is_empty() { Ok(()) } else { Err(why_not) }
    }

    /// What an approval says of the change and when it was given, and why that does not count if so; None if it is not about it.
    fn hears<'o>(
        &self,
        approval: &'o Object<ApprovalSpec>,
        on: &Ground<'_>,
    ) -> Option<(ApprovalDecision, &'o ApprovalSpec, Result<When, String>)> {
        let spec = approval.spec.as_ref().ok()?;
        let subject = &spec.subject;
        let about = subject.kind.kind() == self.kind
            && subject.name.as_str() == self.name
            && subject.digest.as_str() == self.digest;
        if !about || (!approval.live && spec.decision == ApprovalDecision::Approve) {
            return None;
        }
        let role = spec.role.as_str();
        if !self.roles.contains(role) && self.everybody.contains(role) {
            return None;
        }
        let decider = match (approval.standing(), approval.problem()) {
            (Some(standing), None) => on.trust.decider(&approval.record, spec, standing).map_err(|v| v.text),
            (_, problem) => Err(problem.map(|p| p.to_string()).unwrap_or_default()),
        };
        let said = decider.and_then(|decider| {
            self.holds(&decider, role)?;
            if spec.decision == ApprovalDecision::Approve {
                self.counts(spec, &decider, on)?;
            }
            Ok(When::of(&approval.record, decider.created_at))
        });
        Some((spec.decision, spec, said))
    }

    fn holds(&self, who: &Standing, role: &str) -> Result<(), String> {
        let person = &who.creator;
        if !self.roles.contains(role) {
            return Err(format!("{role} has no say in this {}", said(self.kind)));
        }
        if who.holds_role != Some(true) {
            return Err(format!("{person} does not hold the role {role}"));
        }
        let count = |p: &&&ReleasePolicySpec| {
            p.separation_of_duties.as_ref().and_then(|d| d.wildcard_grants) == Some(WildcardGrants::Count)
        };
        if who.by_wildcard && self.judges.iter().filter(count).count() < self.judges.len() {
            return Err(format!("{person} holds the role {role} only by a wildcard"));
        }
        Ok(())
    }

    /// Whether an approval by a holder of the role counts.
    fn counts(&self, spec: &ApprovalSpec, who: &Standing, on: &Ground<'_>) -> Result<(), String> {
        let person = &who.creator;
        if let Some(doubt) = who.doubtful_name {
            return Err(format!("the name of {person} {doubt}"));
        }
        let objects: Vec<_> = self.judges.iter().map(|p| p.duties()).collect();
        let listed = |accounts: &Option<Vec<_>>| {
            accounts.iter().flatten().any(|a: &placet_api::scalar::Title| Person::from_token(a) == *person)
        };
        if who.service_account && !objects.iter().any(|d| listed(&d.service_accounts)) {
            return Err(format!("{person} is a service account"));
        }
        let barred = objects.iter().flat_map(|d| d.barred_groups.iter().flatten());
        let rules: Vec<_> = self
            .judges
            .iter()
            .flat_map(|p| p.approvals.iter().map(move |rule| (p, rule)))
            .filter(|(_, rule)| rule.role == spec.role)
            .collect();
        let not_in: Vec<_> = rules.iter().flat_map(|(of, rule)| of.not_in_groups(rule)).collect();
        if let Some(group) = barred.chain(&not_in).find(|g| who.groups.iter().any(|of| of == g.as_str())) {
            return Err(format!("{person} is in the group {group}"));
        }
        // The greatest that they ask of anybody: whoever cannot approve as somebody else cannot do it by changing what is asked.
        let proof = self.judges.iter().filter_map(|p| greatest_proof(p)).max();
        if proof >= Some(Proof::Credential) && !who.credential {
            return Err(format!("{person}'s request named no credential"));
        }
        // The first key cannot be vouched for by one; once anybody who is asked had one, the first in another role can.
        let first_key =
            self.kind == Kind::TrustedSigner && self.roles.iter().all(|role| !on.signed_in.contains(role));
        if proof >= Some(Proof::Signed) && spec.signed.is_none() && !first_key {
            return Err(format!("{person}'s approval carries no signature"));
        }
        let aliases = aliases(self.judges);
        let same = |p: &Person| aliases.get(p).unwrap_or(p).clone();
        if self.editors.iter().any(|e| same(e) == same(person)) {
            return Err(format!("{person} made the change, and a second person is asked"));
        }
        if self.since.is_some_and(|since| who.created_at < since) {
            return Err("it was given before the change was made".to_owned());
        }
        if let Some(expires) = &spec.expires_at
            && time::date_time(expires).is_none_or(|ends| ends <= on.now)
        {
            return Err(format!("it ended {expires}"));
        }
        Ok(())
    }
}

/// A kind, in a word.
pub fn said(kind: Kind) -> &'static str {
    match kind {
        Kind::ApprovalRole => "role",
        Kind::TrustedSigner => "signer",
        _ => "policy",
    }
}

fn aliases(judges: &[&ReleasePolicySpec]) -> BTreeMap<Person, Person> {
    let mut out = BTreeMap::new();
    for alias in
        judges.iter().filter_map(|p| p.separation_of_duties.as_ref()).flat_map(|d| d.aliases.iter().flatten())
    {
        policy::join_names(&mut out, alias.names.iter().map(|n| Person::from_token(n)));
    }
    out
}
