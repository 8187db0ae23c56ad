//! Who approves that policies, roles and signers are loosened, and who could loosen them alone. Pure.

use serde::Serialize;

use super::rbac::Subject;
use super::scan::{Approvers, Holding, Report, Role};

/// A policy, as far as it guards something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Roles of which one holder approves.
    pub roles: Vec<Role>,
    /// Whether nobody is asked.
    pub applies: bool,
}

/// Who has a say in a policy, and, where it names their roles, in roles and signers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Say {
    /// The policy.
    pub policy: String,
    /// Roles of which one holder, who did not make the change, approves; none if nobody is asked.
    pub roles: Vec<String>,
    /// Those to whom such a role was given by name and by nothing else.
    pub who: Vec<Holding>,
}

/// Somebody who could loosen without a second person.
#[derive(Debug, Serialize)]
pub struct Alone {
    /// Who.
    pub subject: Subject,
    /// By what.
    pub by: Vec<String>,
}

/// The answers.
#[derive(Debug, Default, Serialize)]
pub struct Guard {
    /// Who approves, policy by policy.
    pub approvers: Vec<Say>,
    /// Who could do without.
    pub alone: Vec<Alone>,
}

/// Ways that give somebody who may change policies a second person's word, or a log that knows nothing of before.
const SECOND: [&str; 5] = ["impersonate", "certificates", "grants", "keys", "configuration"];

/// What a report says of the policies. `approvers`: who holds a role, whichever roles the report is about.
pub fn guard(policies: &[Policy], report: &Report, approvers: impl Fn(&Role) -> Approvers) -> Guard {
    let say = |policy: &Policy| {
        let roles: Vec<&Role> = policy.roles.iter().filter(|_| !policy.applies).collect();
        let mut who: Vec<Holding> = Vec::new();
        for role in &roles {
            for holding in approvers(role).by_name.into_iter().filter(|h| !h.also_by_wildcard) {
                if !who.contains(&holding) {
                    who.push(holding);
                }
            }
        }
        let roles = roles.into_iter().map(|r| r.name.clone()).collect();
        Say { policy: policy.name.clone(), roles, who }
    };
    let mut alone: Vec<Alone> = Vec::new();
    let mut add = |subject: &Subject, by: &str| match alone.iter_mut().find(|a| a.subject == *subject) {
        Some(known) if known.by.iter().any(|b| b == by) => {}
        Some(known) => known.by.push(by.to_owned()),
        None => alone.push(Alone { subject: subject.clone(), by: vec![by.to_owned()] }),
    };
    for holding in &report.everything {
        add(&holding.subject, "may do everything");
    }
    for (_, editor) in people(report, "policies") {
        let edits = |resource: &str| {
            let whole = format!("{resource}.{}", placet_api::keys::GROUP);
            editor.allows.iter().any(|hit| hit.resources.contains(&whole))
        };
        for policy in policies.iter().filter(|p| p.applies && edits("releasepolicies")) {
            add(&editor.subject, &format!("may edit policies, and {} asks nobody", policy.name));
        }
        if !policies.is_empty() && policies.iter().all(|p| p.applies) {
            add(&editor.subject, "may edit policies, roles or signers, and no policy asks anybody");
        }
        for (title, second) in SECOND.iter().flat_map(|id| people(report, id)) {
            if second.subject == editor.subject {
                add(&editor.subject, &format!("may edit policies, roles or signers, and could {title}"));
            }
        }
    }
    Guard { approvers: policies.iter().map(say).collect(), alone }
}

/// Who can take a way round, components apart, with its title.
fn people<'a>(report: &'a Report, id: &str) -> Vec<(&'static str, &'a Holding)> {
    let ways = report.ways_round.iter().filter(|w| w.id == id);
    ways.flat_map(|w| w.who.iter().filter(|h| !h.component).map(move |h| (w.title, h))).collect()
}
