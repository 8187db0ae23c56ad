//! Policies guard themselves: a change that loosens a policy is judged by the version that it replaces.
//!
//! Pure: which version is in force is the log's memory ([`crate::world`]), and here is said in which ways another one
//! loosens it, who has a say, and whether they have said it.

mod loosens;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use placet_api::Kind;
use placet_api::approval::{ApprovalDecision, ApprovalSpec, SubjectKind};
use placet_api::guard::Loosening;
use placet_api::releasepolicy::{Proof, ReleasePolicySpec, WildcardGrants};

use crate::digest::{self, DigestError};
use crate::object::{Object, Standing};
use crate::people::Person;
use crate::policy;
use crate::signature::Trust;
use crate::time;

pub use loosens::{adds, loosens};

/// A policy as an object.
pub type Policy = Arc<Object<ReleasePolicySpec>>;

/// A change of a policy that has not taken effect.
#[derive(Debug, Clone)]
pub struct Change {
    /// Name of the policy.
    pub name: String,
    /// The version in force; None if none was.
    pub before: Option<Policy>,
    /// The version that is there; None if it was deleted.
    pub after: Option<Policy>,
    /// In which ways it loosens.
    pub loosens: Vec<String>,
    /// What becomes of it.
    pub ruling: Ruling,
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
    /// No release was judged before: the installation is being set up. Or no policy is in force at all.
    First,
    /// It loosens nothing.
    Tightens,
    /// Somebody entitled approved it.
    Approved,
    /// The version in force says `guard.loosening: Apply`.
    Unguarded,
    /// The version in force can be approved by nobody: none of its roles ever existed.
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

/// What rulings are made from beside the versions.
#[derive(Debug)]
pub struct Ground<'a> {
    /// Whether the installation is being set up.
    pub open: bool,
    /// Policies in force, without the one that changes.
    pub others: Vec<&'a ReleasePolicySpec>,
    /// Roles that exist, or once did.
    pub roles: &'a BTreeSet<String>,
    /// Approvals in the operator's namespace.
    pub approvals: Vec<&'a Arc<Object<ApprovalSpec>>>,
    /// What their signatures are held against.
    pub trust: Trust<'a>,
    /// The time.
    pub now: Timestamp,
    /// Who deletes it, where that is known.
    pub deleter: Option<&'a Person>,
}

/// In which ways a change loosens. The version in force, if there is one, is one that is understood.
pub fn ways(
    before: Option<&ReleasePolicySpec>,
    after: Option<&ReleasePolicySpec>,
    others: &[&ReleasePolicySpec],
) -> Vec<String> {
    match (before, after) {
        (Some(before), Some(after)) => loosens(before, after),
        (Some(_), None) => vec!["deleted: what it asks for would be asked by nobody".to_owned()],
        (None, Some(after)) => adds(after, others),
        (None, None) => Vec::new(),
    }
}

/// Rules on a change. `after` is one that counts: stamped and understood.
pub fn rule(
    name: &str,
    before: Option<&Policy>,
    after: Option<&Policy>,
    on: &Ground<'_>,
) -> (Vec<String>, Ruling) {
    let spec = |p: Option<&Policy>| p.and_then(|p| p.spec.as_ref().ok().cloned());
    let (old, new) = (spec(before), spec(after));
    let ways = ways(old.as_ref(), new.as_ref(), &on.others);
    if on.open || (old.is_none() && on.others.is_empty()) {
        return (ways, Ruling::Takes(Because::First));
    }
    if ways.is_empty() {
        return (ways, Ruling::Takes(Because::Tightens));
    }
    let applies =
        |p: &ReleasePolicySpec| p.guard.as_ref().and_then(|g| g.loosening) == Some(Loosening::Apply);
    if old.as_ref().is_some_and(applies) {
        return (ways, Ruling::Takes(Because::Unguarded));
    }
    // A policy that is new is approved by those who could approve a change of another.
    let judges: Vec<&ReleasePolicySpec> = old.as_ref().map_or_else(|| on.others.clone(), |old| vec![old]);
    let roles: BTreeSet<String> = judges.iter().flat_map(|p| self::roles(p)).collect();
    if roles.is_disjoint(on.roles) {
        return (ways, Ruling::Takes(Because::NobodyCould));
    }
    let digest = match (before, after) {
        (_, Some(after)) => after.digest().to_owned(),
        (Some(before), None) => deletion(Kind::ReleasePolicy, name, before.digest()).unwrap_or_default(),
        (None, None) => String::new(),
    };
    let since = before.and_then(|b| Some(b.standing()?.changed_at));
    let asked = Asking {
        name,
        digest: &digest,
        roles: &roles,
        judges: &judges,
        editors: editors(before, after, since, on.deleter),
    };
    match asked.approved(on) {
        Ok(()) => (ways, Ruling::Takes(Because::Approved)),
        Err(why_not) => (ways, Ruling::Waits(Asked { digest, roles, why_not })),
    }
}

/// Who changed a policy since the version in force: they do not approve the change.
fn editors(
    before: Option<&Policy>,
    after: Option<&Policy>,
    since: Option<Timestamp>,
    deleter: Option<&Person>,
) -> BTreeSet<Person> {
    let mut out: BTreeSet<Person> = deleter.into_iter().cloned().collect();
    let Some(standing) = after.and_then(|a| a.standing()) else { return out };
    let same_object = before.is_some_and(|b| after.is_some_and(|a| a.record.uid == b.record.uid));
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
    name: &'a str,
    digest: &'a str,
    roles: &'a BTreeSet<String>,
    /// Versions whose rules on people hold.
    judges: &'a [&'a ReleasePolicySpec],
    editors: BTreeSet<Person>,
}

impl Asking<'_> {
    /// Whether somebody entitled approved it and nobody's Reject stands.
    fn approved(&self, on: &Ground<'_>) -> Result<(), Vec<String>> {
        let (mut why_not, mut rejects, mut answered, mut approved) =
            (Vec::new(), Vec::new(), BTreeSet::new(), false);
        for approval in &on.approvals {
            let Ok(spec) = &approval.spec else { continue };
            let subject = &spec.subject;
            let about = subject.kind == SubjectKind::ReleasePolicy
                && subject.name.as_str() == self.name
                && subject.digest.as_str() == self.digest;
            if !about || (!approval.live && spec.decision == ApprovalDecision::Approve) {
                continue;
            }
            let name = approval.name();
            let decider = match (approval.standing(), approval.problem()) {
                (Some(standing), None) => {
                    on.trust.decider(&approval.record, spec, standing).map_err(|v| v.text)
                }
                (_, problem) => Err(problem.map(|p| p.to_string()).unwrap_or_default()),
            };
            let decider =
                decider.and_then(|decider| self.holds(&decider, spec.role.as_str()).map(|()| decider));
            match (spec.decision, decider) {
                (ApprovalDecision::Reject, Ok(_)) => rejects.push(name),
                (ApprovalDecision::Reject, Err(_)) => {}
                (ApprovalDecision::Approve, Ok(decider)) => match self.counts(spec, &decider, on.now) {
                    Ok(()) => {
                        approved = true;
                        answered.extend(spec.answers.iter().flatten().map(|n| n.as_str().to_owned()));
                    }
                    Err(why) => why_not.push(format!("{name} does not count: {why}")),
                },
                (ApprovalDecision::Approve, Err(why)) => {
                    why_not.push(format!("{name} does not count: {why}"));
                }
            }
        }
        rejects.retain(|name| !answered.contains(*name));
        why_not.extend(rejects.iter().map(|name| format!("{name} rejects it")));
        if approved && rejects.is_empty() { Ok(()) } else { Err(why_not) }
    }

    fn holds(&self, who: &Standing, role: &str) -> Result<(), String> {
        let person = &who.creator;
        if !self.roles.contains(role) {
            return Err(format!("{role} has no say in this policy"));
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
    fn counts(&self, spec: &ApprovalSpec, who: &Standing, now: Timestamp) -> Result<(), String> {
        let person = &who.creator;
        if let Some(doubt) = who.doubtful_name {
            return Err(format!("the name of {person} {doubt}"));
        }
        let objects: Vec<_> = self.judges.iter().filter_map(|p| p.separation_of_duties.as_ref()).collect();
        let listed = |accounts: &Option<Vec<_>>| {
            accounts.iter().flatten().any(|a: &placet_api::scalar::Title| Person::from_token(a) == *person)
        };
        if who.service_account && !objects.iter().any(|d| listed(&d.service_accounts)) {
            return Err(format!("{person} is a service account"));
        }
        let barred = objects.iter().flat_map(|d| d.barred_groups.iter().flatten());
        let rules: Vec<_> =
            self.judges.iter().flat_map(|p| &p.approvals).filter(|r| r.role == spec.role).collect();
        let not_in = rules.iter().flat_map(|r| r.not_in_groups.iter().flatten());
        if let Some(group) = barred.chain(not_in).find(|g| who.groups.iter().any(|of| of == g.as_str())) {
            return Err(format!("{person} is in the group {group}"));
        }
        let proof = rules.iter().filter_map(|r| r.proof).max();
        if proof >= Some(Proof::Credential) && !who.credential {
            return Err(format!("{person}'s request named no credential"));
        }
        if proof >= Some(Proof::Signed) && spec.signed.is_none() {
            return Err(format!("{person}'s approval carries no signature"));
        }
        let aliases = aliases(self.judges);
        let same = |p: &Person| aliases.get(p).unwrap_or(p).clone();
        if self.editors.iter().any(|e| same(e) == same(person)) {
            return Err(format!("{person} made the change, and a second person is asked"));
        }
        if let Some(expires) = &spec.expires_at
            && time::date_time(expires).is_none_or(|ends| ends <= now)
        {
            return Err(format!("it ended {expires}"));
        }
        Ok(())
    }
}

fn aliases(judges: &[&ReleasePolicySpec]) -> std::collections::BTreeMap<Person, Person> {
    let mut out = std::collections::BTreeMap::new();
    for alias in
        judges.iter().filter_map(|p| p.separation_of_duties.as_ref()).flat_map(|d| d.aliases.iter().flatten())
    {
        policy::join_names(&mut out, alias.names.iter().map(|n| Person::from_token(n)));
    }
    out
}
