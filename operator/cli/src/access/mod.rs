//! `placet access`: who can approve in each role, and who could get round it, from RBAC.

mod guard;
mod questions;
mod rbac;
mod scan;
mod show;
#[cfg(test)]
mod tests;

use placet_api::Kind;
use placet_api::guard::Loosening;
use placet_api::releasepolicy::ReleasePolicySpec;
use serde::Serialize;
use serde_json::{Value, json};

use self::rbac::{Identity, Objects, Own, grants};
use self::scan::{Facts, Role, scan};
use crate::args::{AccessArgs, TableOrJson};
use crate::cluster::{Cluster, Refused};
use crate::{sys, target, text};

/// Prefix of RBAC's paths.
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// What was read beside RBAC.
#[derive(Debug, Default)]
struct Gathered {
    /// Namespace of the installation.
    namespace: String,
    /// What could not be read, and why.
    not_read: Vec<String>,
    /// Bindings whose role is not there.
    dangling: Vec<String>,
    /// Policies that let wildcards count.
    count_wildcards: Vec<String>,
    /// Pods in the installation's namespace that are not the operator's.
    beside: Vec<Pod>,
}

/// A pod beside the operator.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Pod {
    name: String,
    service_account: String,
}

/// Runs the command. `namespace` is what was typed, not the context's.
pub fn run(cluster: &Cluster, args: &AccessArgs, namespace: Option<&str>) -> anyhow::Result<u8> {
    if let Some(role) = &args.role {
        target::name_of(role)?;
    }
    let own = Own { namespace: &cluster.operator.namespace, release: &cluster.operator.release };
    let mut gathered = Gathered { namespace: own.namespace.to_owned(), ..Gathered::default() };
    // Without these there is no answer at all.
    let objects = Objects {
        cluster_roles: cluster.list_path(&format!("{RBAC}/clusterroles"), "")?,
        cluster_bindings: cluster.list_path(&format!("{RBAC}/clusterrolebindings"), "")?,
        roles: namespaced(cluster, "roles", namespace, &mut gathered)?,
        bindings: namespaced(cluster, "rolebindings", namespace, &mut gathered)?,
    };
    let (grants, dangling) = grants(&objects, &own);
    gathered.dangling = dangling;
    let all = roles(cluster, &mut gathered)?;
    let found = or_note("ReleasePolicies", cluster.list(Kind::ReleasePolicy, ""), &mut gathered)?;
    gathered.count_wildcards = count_wildcards(&found);
    let policies = found.iter().filter_map(|p| guards(p, &all)).collect();
    let roles = only(all, args.role.as_deref());
    gathered.beside = beside(cluster, &own, &mut gathered)?;
    let identity = (args.user.is_some() || !args.groups.is_empty())
        .then(|| Identity::new(args.user.as_deref(), &args.groups));
    let report = scan(&Facts { roles, policies, grants, own, namespace, identity });
    let said = match args.output {
        TableOrJson::Table => show::table(&report, &gathered, sys::width()),
        TableOrJson::Json => {
            let mut whole = serde_json::to_value(&report)?;
            whole["installation"] = json!({"namespace": own.namespace, "release": own.release});
            whole["complete"] = gathered.not_read.is_empty().into();
            whole["notRead"] = json!(gathered.not_read);
            whole["bindingsWithoutRole"] = json!(gathered.dangling);
            whole["policiesThatCountWildcards"] = json!(gathered.count_wildcards);
            whole["podsBesideTheOperator"] = json!(gathered.beside);
            whole["beyond"] = json!(show::BEYOND);
            text::json(&whole)?
        }
    };
    sys::print(&said)?;
    sys::tell(&show::notes(&report, &gathered));
    Ok(u8::from(!gathered.not_read.is_empty() || report.everybody().next().is_some()))
}

/// Says what was refused instead of failing; other errors stay errors.
fn or_note<T: Default>(what: &str, found: anyhow::Result<T>, gathered: &mut Gathered) -> anyhow::Result<T> {
    match found {
        Err(e) if e.downcast_ref::<Refused>().is_some() => {
            gathered.not_read.push(format!("{what}: {}", text::chain(&e)));
            Ok(T::default())
        }
        other => other,
    }
}

/// Roles or role bindings of all namespaces, or, where those may not be listed, of the two that matter.
fn namespaced(
    cluster: &Cluster,
    plural: &str,
    namespace: Option<&str>,
    gathered: &mut Gathered,
) -> anyhow::Result<Vec<Value>> {
    match cluster.list_path(&format!("{RBAC}/{plural}"), "") {
        Err(e) if e.downcast_ref::<Refused>().is_some() => {
            gathered.not_read.push(format!("{plural} of all namespaces: {}", text::chain(&e)));
        }
        other => return other,
    }
    let mut places = vec![gathered.namespace.clone()];
    places.extend(namespace.map(str::to_owned).filter(|n| *n != gathered.namespace));
    let mut out = Vec::new();
    for place in places {
        let found = cluster.list_path(&format!("{RBAC}/namespaces/{place}/{plural}"), "");
        out.extend(or_note(&format!("{plural} of namespace {place}"), found, gathered)?);
    }
    Ok(out)
}

/// The approval roles.
fn roles(cluster: &Cluster, gathered: &mut Gathered) -> anyhow::Result<Vec<Role>> {
    let found = or_note("ApprovalRoles", cluster.list(Kind::ApprovalRole, ""), gathered)?;
    let mut roles: Vec<Role> = found
        .iter()
        .filter_map(|role| {
            let name = role.pointer("/metadata/name")?.as_str()?.to_owned();
            let namespaced = role.pointer("/spec/scope").and_then(Value::as_str) == Some("Namespace");
            Some(Role { name, exists: true, namespaced })
        })
        .collect();
    roles.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(roles)
}

/// Those of one name, whether there is such a role or not.
fn only(mut roles: Vec<Role>, only: Option<&str>) -> Vec<Role> {
    let Some(only) = only else { return roles };
    roles.retain(|r| r.name == only);
    if roles.is_empty() {
        roles.push(Role { name: only.to_owned(), exists: false, namespaced: false });
    }
    roles
}

fn count_wildcards(policies: &[Value]) -> Vec<String> {
    let count = |p: &&Value| {
        p.pointer("/spec/separationOfDuties/wildcardGrants").and_then(Value::as_str) == Some("Count")
    };
    let name = |p: &Value| p.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned);
    policies.iter().filter(count).filter_map(name).collect()
}

/// Who has a say in a policy.
fn guards(policy: &Value, all: &[Role]) -> Option<guard::Policy> {
    let name = policy.pointer("/metadata/name")?.as_str()?.to_owned();
    let spec: ReleasePolicySpec = serde_json::from_value(policy.get("spec")?.clone()).ok()?;
    let applies = spec.guard.as_ref().and_then(|g| g.loosening) == Some(Loosening::Apply);
    let role = |name: String| {
        let known = all.iter().find(|r| r.name == name).cloned();
        known.unwrap_or(Role { name, exists: false, namespaced: false })
    };
    Some(guard::Policy {
        name,
        roles: placet_gate::guard::roles(&spec).into_iter().map(role).collect(),
        applies,
    })
}

/// Pods in the installation's namespace that are not of its `StatefulSet`.
fn beside(cluster: &Cluster, own: &Own<'_>, gathered: &mut Gathered) -> anyhow::Result<Vec<Pod>> {
    let path = format!("/api/v1/namespaces/{}/pods", own.namespace);
    let pods = or_note("pods beside the operator", cluster.list_path(&path, ""), gathered)?;
    let owned = |pod: &&Value| {
        let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let its =
            |o: &Value| o["kind"] == "StatefulSet" && o["name"] == own.release && o["controller"] == true;
        !owners.is_some_and(|o| o.iter().any(its))
    };
    let text =
        |pod: &Value, at: &str| pod.pointer(at).and_then(Value::as_str).unwrap_or("default").to_owned();
    Ok(pods
        .iter()
        .filter(owned)
        .map(|pod| Pod {
            name: text(pod, "/metadata/name"),
            service_account: text(pod, "/spec/serviceAccountName"),
        })
        .collect())
}
