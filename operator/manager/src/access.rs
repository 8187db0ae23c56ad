//! Asking the API server who may do what. For our own kinds and namespaces only, never on the workload path.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use placet_api::approvalrole::RoleScope;
use placet_api::keys;

use crate::admission::review::UserInfo;
use crate::state::State;

/// Webhooks for our own kinds wait 10 s at most.
const PATIENCE: Duration = Duration::from_secs(4);

/// Whether somebody holds an approval role: the verb `approve` on `approvalroles.placet.dev/<role>`, asked cluster-wide,
/// so that a tenant's wildcard in their own namespace grants nothing, unless the role's scope is Namespace.
///
/// # Errors
/// The API server did not answer.
pub async fn holds_role(
    client: &Client,
    state: &State,
    user: &UserInfo,
    role: &str,
    namespace: &str,
) -> anyhow::Result<bool> {
    let scope = state.world().role(role).and_then(|r| r.spec.as_ref().ok()?.scope);
    let namespace = (scope == Some(RoleScope::Namespace)).then(|| namespace.to_owned());
    allowed(client, user, keys::VERB_APPROVE, "approvalroles", Some(role), namespace).await
}

/// Whether somebody may weaken or remove a namespace's label.
///
/// # Errors
/// The API server did not answer.
pub async fn may_weaken(client: &Client, user: &UserInfo) -> anyhow::Result<bool> {
    allowed(client, user, keys::VERB_ENFORCE, "releasepolicies", None, None).await
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
