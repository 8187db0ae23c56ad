//! Reports of tests: who may report tests of the type, and what is asked of tests when a report comes. Both are part of its stamp.

use futures::future::try_join_all;
use jiff::Timestamp;
use placet_api::keys;
use placet_api::testreport::TestType;
use placet_gate::asked::Asked;
use placet_gate::stamp::{RoleAnswer, StampText};
use serde_json::Value;

use super::Admission;
use super::own_role::unanswered;
use super::review::{Answer, Request};

/// Roles that are asked about for one report, at most: each takes two requests, all at the same time.
const MAX_ROLES: usize = 16;

/// The type of a report's tests, where it is one.
fn type_of(spec: &Value) -> Option<TestType> {
    serde_json::from_value(spec.get("type")?.clone()).ok()
}

/// What the stamp of a report keeps: whether its sender may report in each role that a policy in force names for its type, and
/// what is asked of tests now.
///
/// # Errors
/// The API server did not answer, or more is asked than can be kept.
pub async fn look(
    a: &Admission,
    request: &Request,
    spec: &Value,
    now: Timestamp,
) -> Result<(Vec<RoleAnswer>, Box<Asked>), Answer> {
    let (roles, asked) = {
        let world = a.state.world();
        let roles = type_of(spec).map(|type_| world.reporter_roles(type_)).unwrap_or_default();
        let roles: Vec<(String, Option<String>)> = roles
            .into_keys()
            .map(|role| {
                let namespace = crate::access::asked_in(&world, &role, &request.namespace);
                (role, namespace)
            })
            .collect();
        let artifact = spec.get("artifact").and_then(Value::as_str).unwrap_or_default();
        (roles, world.asked(&request.namespace, artifact).map_err(Answer::forbid)?)
    };
    if roles.len() > MAX_ROLES {
        return Err(Answer::forbid(format!(
            "wanted policies in force that name at most {MAX_ROLES} roles for reports of a type, found {}; join policies that \
             name the same",
            roles.len()
        )));
    }
    let user = &request.user_info;
    let asking = roles.into_iter().map(|(name, namespace)| async move {
        let asked = (keys::VERB_REPORT, name.as_str());
        let held = crate::access::holds_role(&a.client, &a.state, user, asked, namespace).await;
        let (allowed, wildcard) = held.map_err(|error| unanswered(user, &name, &error))?;
        Ok::<_, Answer>(RoleAnswer { name, user: None, allowed, wildcard, at: now })
    });
    Ok((try_join_all(asking).await?, Box::new(asked)))
}

/// What whoever reports is told: for which policies this shows no pass, and what lets them report. The API server cuts a warning
/// after 256 characters.
pub fn warnings(a: &Admission, spec: &Value, stamp: &StampText) -> Vec<String> {
    let Some(type_) = type_of(spec) else { return Vec::new() };
    let roles = a.state.world().reporter_roles(type_);
    let user = &stamp.creator.user;
    let mut out = Vec::new();
    for (role, policies) in roles {
        let held = stamp.reports.iter().find(|r| r.name == role && r.allowed);
        let found = match held {
            Some(answer) if !answer.wildcard => continue,
            Some(_) => format!("{user} may report as {role} by a wildcard only"),
            None => format!("{user} may not report as {role}"),
        };
        let asks = policies.join(", ");
        out.push(format!(
            "{found}: where {asks} asks for that, this shows no {type_} test to pass; what fails in it counts"
        ));
        out.push(format!(
            "to let {user}: kubectl create clusterrolebinding report-{role}-NAME --clusterrole=placet-report-{role} \
             --user={user}; then they report under another name"
        ));
    }
    out
}

#[cfg(test)]
#[path = "own_report_tests.rs"]
mod tests;
