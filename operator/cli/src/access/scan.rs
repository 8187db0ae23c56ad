//! The scan: facts in, a report out. Pure.

use std::collections::BTreeMap;

use placet_api::keys::{GROUP, VERB_APPROVE};
use serde::Serialize;

use super::guard::{Guard, Policy, guard};
use super::questions::{Hit, bypasses};
use super::rbac::{Ask, Grant, Identity, Own, Subject};

/// An approval role, or a name that was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Whether there is an ApprovalRole of that name.
    pub exists: bool,
    /// Whether it is asked for in the subject's namespace.
    pub namespaced: bool,
}

/// What the scan rests on.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The roles to report on.
    pub roles: Vec<Role>,
    /// The policies, and who has a say in them.
    pub policies: Vec<Policy>,
    /// Every grant.
    pub grants: Vec<Grant>,
    /// The installation.
    pub own: Own<'a>,
    /// Grants in other namespaces are left out, the installation's apart.
    pub namespace: Option<&'a str>,
    /// Only what this one holds.
    pub identity: Option<Identity>,
}

/// Something that somebody holds through one binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Holding {
    /// Who.
    pub subject: Subject,
    /// Through which binding.
    pub binding: String,
    /// Of which role.
    pub role: String,
    /// Where alone it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Whether this means everybody.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub everybody: bool,
    /// Whether it comes with Kubernetes or is the installation's own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub component: bool,
    /// Held by name, and by a wildcard as well, which takes the name's worth away.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub also_by_wildcard: bool,
    /// What it allows, for ways round.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allows: Vec<Hit>,
}

/// Who can approve in a role.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Approvers {
    /// The role.
    pub role: String,
    /// Whether there is an ApprovalRole of that name.
    pub exists: bool,
    /// Cluster or Namespace.
    pub scope: &'static str,
    /// Those whom the role was given by name.
    pub by_name: Vec<Holding>,
    /// Those who hold it as they would hold any other.
    pub by_wildcard: Vec<Holding>,
    /// Those to whom it was given in a namespace, though it is asked for in the whole cluster.
    pub without_effect: Vec<Holding>,
    /// Of the identity that was asked about: `ByName`, `ByWildcard` or `No`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<&'static str>,
}

/// Who can take a way round.
#[derive(Debug, Serialize)]
pub struct WayRound {
    /// A stable word for it.
    pub id: &'static str,
    /// What it is.
    pub title: &'static str,
    /// What it lets somebody do.
    pub lets: &'static str,
    /// Who, everything-holders left out.
    pub who: Vec<Holding>,
}

/// The report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Approvers, role by role.
    pub roles: Vec<Approvers>,
    /// Those who may do everything in the cluster: they can take every way round.
    pub everything: Vec<Holding>,
    /// The ways round.
    pub ways_round: Vec<WayRound>,
    /// Who approves that something is loosened, and who could do without.
    pub loosening: Guard,
}

impl Report {
    /// What means everybody, if anything does: an approver or one who gets round.
    pub fn everybody(&self) -> impl Iterator<Item = (&str, &Holding)> {
        let roles = self
            .roles
            .iter()
            .flat_map(|r| r.by_name.iter().chain(&r.by_wildcard).map(move |h| (r.role.as_str(), h)));
        let rest = self.ways_round.iter().flat_map(|w| w.who.iter().map(move |h| (w.title, h)));
        let all = self.everything.iter().map(|h| ("everything", h));
        roles.chain(all).chain(rest).filter(|(_, h)| h.everybody)
    }
}

fn holding(grant: &Grant) -> Holding {
    Holding {
        subject: grant.subject.clone(),
        binding: grant.binding.clone(),
        role: grant.role.clone(),
        namespace: grant.namespace.clone(),
        everybody: grant.subject.is_everybody(),
        component: grant.component,
        also_by_wildcard: false,
        allows: Vec::new(),
    }
}

/// How a grant covers a role's name: by it, by none (any), or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Covers {
    No,
    ByName,
    ByWildcard,
}

/// Whether a grant makes somebody a holder of a role. A rule that would also allow it for a name that no role bears is a
/// wildcard.
fn covers(grant: &Grant, role: &str) -> Covers {
    let ask = |name| Ask { verb: VERB_APPROVE, group: GROUP, resource: "approvalroles", name };
    let one = |rule: &super::rbac::Rule| match rule.allows(&ask(role)) {
        true if rule.resource_names.is_empty() => Covers::ByWildcard,
        true => Covers::ByName,
        false => Covers::No,
    };
    grant.rules.iter().map(one).max().unwrap_or(Covers::No)
}

/// Scans.
pub fn scan(facts: &Facts<'_>) -> Report {
    let mine = |grant: &&Grant| {
        let here = match (&grant.namespace, facts.namespace) {
            (Some(found), Some(wanted)) => found == wanted || found == facts.own.namespace,
            _ => true,
        };
        here && facts.identity.as_ref().is_none_or(|who| who.is(&grant.subject))
    };
    let grants: Vec<&Grant> = facts.grants.iter().filter(mine).collect();
    let roles = facts.roles.iter().map(|role| approvers(role, &grants, facts)).collect();
    let is_everything =
        |grant: &Grant| grant.namespace.is_none() && grant.rules.iter().any(super::rbac::Rule::is_everything);
    let everything = grants.iter().filter(|g| is_everything(g)).map(|g| holding(g)).collect();
    let namespaced = facts.roles.iter().any(|r| r.namespaced);
    let ways_round = bypasses(&facts.own, namespaced)
        .into_iter()
        .map(|bypass| {
            let who = grants.iter().filter(|g| !is_everything(g)).filter_map(|grant| {
                let allows = bypass.ask(grant, &facts.own);
                (!allows.is_empty()).then(|| Holding { allows, ..holding(grant) })
            });
            WayRound { id: bypass.id, title: bypass.title, lets: bypass.lets, who: sorted(who.collect()) }
        })
        .collect();
    let mut report =
        Report { roles, everything: sorted(everything), ways_round, loosening: Guard::default() };
    report.loosening = guard(&facts.policies, &report, |role| approvers(role, &grants, facts));
    report
}

/// People's own grants first, then components, each by who.
fn sorted(mut holdings: Vec<Holding>) -> Vec<Holding> {
    holdings.sort_by(|a, b| {
        let key = |h: &Holding| (!h.everybody, h.component, h.subject.clone(), h.binding.clone());
        key(a).cmp(&key(b))
    });
    holdings
}

fn approvers(role: &Role, grants: &[&Grant], facts: &Facts<'_>) -> Approvers {
    let (mut by_name, mut by_wildcard, mut without_effect) = (Vec::new(), Vec::new(), Vec::new());
    for grant in grants {
        let into = match (covers(grant, &role.name), grant.namespace.is_some() && !role.namespaced) {
            (Covers::No, _) => continue,
            (_, true) => &mut without_effect,
            (Covers::ByName, false) => &mut by_name,
            (Covers::ByWildcard, false) => &mut by_wildcard,
        };
        into.push(holding(grant));
    }
    // Where somebody holds it by name and by a wildcard, the operator sees the wildcard.
    let mut wild: BTreeMap<Subject, Vec<Option<String>>> = BTreeMap::new();
    for holding in &by_wildcard {
        wild.entry(holding.subject.clone()).or_default().push(holding.namespace.clone());
    }
    for holding in &mut by_name {
        let places = wild.get(&holding.subject);
        holding.also_by_wildcard =
            places.is_some_and(|p| p.iter().any(|ns| ns.is_none() || *ns == holding.namespace));
    }
    let answer = facts.identity.as_ref().map(|who| {
        // In one namespace, or in the whole cluster: what is granted elsewhere is not asked about.
        let counts = |h: &Holding| h.namespace.is_none() || h.namespace.as_deref() == facts.namespace;
        if who.is_master() || by_wildcard.iter().any(counts) {
            "ByWildcard"
        } else if by_name.iter().any(counts) {
            "ByName"
        } else {
            "No"
        }
    });
    Approvers {
        role: role.name.clone(),
        exists: role.exists,
        scope: if role.namespaced { "Namespace" } else { "Cluster" },
        by_name: sorted(by_name),
        by_wildcard: sorted(by_wildcard),
        without_effect: sorted(without_effect),
        answer,
    }
}
