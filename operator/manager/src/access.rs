//! Asking the API server who may do what. For our own kinds and namespaces only, never on the workload path.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use placet_api::approvalrole::RoleScope;
use placet_api::{Kind, keys};
use placet_gate::world::World;

use crate::admission::review::UserInfo;
use crate::state::State;

/// Webhooks for our own kinds wait 10 s at most.
const PATIENCE: Duration = Duration::from_secs(4);

/// Members of it may do everything, whatever RBAC says.
const MASTERS: &str = "system:masters";

/// Where it is asked who holds a role, of a decision in this namespace: cluster-wide (None), so that a tenant's wildcard in
/// their own namespace grants nothing, unless the role's scope is Namespace.
pub fn asked_in(world: &World, role: &str, namespace: &str) -> Option<String> {
    let scope = world.role_in_force(role).and_then(|r| r.spec.as_ref().ok()?.scope);
    (scope == Some(RoleScope::Namespace)).then(|| namespace.to_owned())
}

/// Whether somebody holds an approval role for a verb, `approve` or `report`, on `approvalroles.placet.dev/<role>`, asked where
/// [`asked_in`] says. And whether they hold it only as they would hold any other: the same is allowed for a name that no role bears.
///
/// # Errors
/// The API server did not answer.
pub async fn holds_role(
    client: &Client,
    state: &State,
    user: &UserInfo,
    (verb, role): (&str, &str),
    namespace: Option<String>,
) -> anyhow::Result<(bool, bool)> {
    let nobodys = nobodys_role(state)?;
    let ask = |name| allowed(client, user, verb, "approvalroles", Some(name), namespace.clone());
    let (holds, any) = tokio::try_join!(ask(role), ask(&nobodys))?;
    let master = user.groups.iter().flatten().any(|g| g == MASTERS);
    Ok((holds, holds && (any || master)))
}

/// A name that no role bears, and that nobody can have granted: it is made anew each time.
fn nobodys_role(state: &State) -> anyhow::Result<String> {
    for _ in 0..8 {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("no random numbers: {e}"))?;
        let name = format!("no-role-{:032x}", u128::from_be_bytes(bytes));
        if !state.world().has_role(&name) {
            return Ok(name);
        }
    }
    anyhow::bail!("no name was found that no role bears")
}

/// Whether somebody may weaken or remove a namespace's label.
///
/// # Errors
/// The API server did not answer.
pub async fn may_weaken(client: &Client, user: &UserInfo) -> anyhow::Result<bool> {
    allowed(client, user, keys::VERB_ENFORCE, "releasepolicies", None, None).await
}

/// Whether objects of a kind that somebody creates keep the stamp that they carry: asked cluster-wide, so that a tenant's
/// wildcard in their own namespace brings back nothing.
///
/// # Errors
/// The API server did not answer.
pub async fn may_restore(client: &Client, user: &UserInfo, kind: Kind) -> anyhow::Result<bool> {
    allowed(client, user, keys::VERB_RESTORE, kind.plural(), None, None).await
}

async fn allowed(
    client: &Client,
    user: &UserInfo,
    verb: &str,
    resource: &str,
    name: Option<&str>,
    namespace: Option<String>,
) -> anyhow::Result<bool> {
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.username.clone()),
            uid: user.uid.clone().filter(|u| !u.is_empty()),
            groups: user.groups.clone(),
            extra: user.extra.clone().map(|e| e.into_iter().collect::<BTreeMap<_, _>>()),
            resource_attributes: Some(ResourceAttributes {
                group: Some(keys::GROUP.into()),
                version: Some(keys::VERSION.into()),
                resource: Some(resource.into()),
                verb: Some(verb.into()),
                name: name.map(str::to_owned),
                namespace,
                ..ResourceAttributes::default()
            }),
            non_resource_attributes: None,
        },
        ..SubjectAccessReview::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    let params = PostParams::default();
    let answer = tokio::time::timeout(PATIENCE, api.create(&params, &review)).await??;
    Ok(answer.status.is_some_and(|s| s.allowed && s.denied != Some(true)))
}
