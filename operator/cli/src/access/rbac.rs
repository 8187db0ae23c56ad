//! RBAC as the API server evaluates it: which rule allows what, and whom a binding means. Pure: objects in, answers out.
//!
//! The semantics are those of Kubernetes' RBAC authorizer (`pkg/apis/rbac/v1/evaluation_helpers.go` and
//! `pkg/registry/rbac/validation/rule.go`, 1.36): a `*` in resources also means subresources, `*/scale` one subresource of
//! everything, `pods/*` nothing; a rule with resource names allows no request that bears no name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everybody whom the API server knows, whom it does not know, and every service account.
const EVERYBODY: [&str; 3] = ["system:authenticated", "system:unauthenticated", "system:serviceaccounts"];
/// Prefix of a service account's user name.
const ACCOUNT: &str = "system:serviceaccount:";

/// One rule of a role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// API groups; `*` is all, an empty text the core group.
    pub api_groups: Vec<String>,
    /// Resources, `resource/subresource`, `*/subresource` or `*`.
    pub resources: Vec<String>,
    /// Verbs or `*`.
    pub verbs: Vec<String>,
    /// Names; none is all.
    pub resource_names: Vec<String>,
}

impl Rule {
    /// Whether it allows one request.
    pub fn allows(&self, ask: &Ask<'_>) -> bool {
        let has = |list: &[String], wanted: &str| list.iter().any(|x| x == "*" || x == wanted);
        has(&self.verbs, ask.verb)
            && has(&self.api_groups, ask.group)
            && self.covers(ask.resource)
            && (self.resource_names.is_empty() || self.resource_names.iter().any(|n| n == ask.name))
    }

    /// Whether its resources cover `resource` or `resource/subresource`; a subresource `*` in the question means any.
    pub fn covers(&self, resource: &str) -> bool {
        let asked = resource.split_once('/');
        self.resources.iter().any(|mine| {
            if mine == "*" {
                return true;
            }
            match (asked, mine.split_once('/')) {
                (Some((_, "*")), Some(("*", _))) => true,
                (Some((asked, "*")), Some((mine, sub))) => asked == mine && sub != "*",
                (Some((_, asked)), Some(("*", mine))) => asked == mine,
                _ => mine == resource,
            }
        })
    }

    /// Whether it allows every verb on everything in every group.
    pub fn is_everything(&self) -> bool {
        let all = |list: &[String]| list.iter().any(|x| x == "*");
        all(&self.api_groups) && all(&self.resources) && all(&self.verbs) && self.resource_names.is_empty()
    }
}

/// One request, as an authorizer sees it.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Verb.
    pub verb: &'a str,
    /// API group.
    pub group: &'a str,
    /// `resource` or `resource/subresource`.
    pub resource: &'a str,
    /// Name; empty where a request bears none (create, deletecollection).
    pub name: &'a str,
}

/// Whom a binding means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "kind")]
pub enum Subject {
    /// A user.
    User {
        /// Its name.
        name: String,
    },
    /// A group.
    Group {
        /// Its name.
        name: String,
    },
    /// A service account.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl Subject {
    /// A user, or the service account that its name is of.
    pub fn user(name: &str) -> Self {
        match name.strip_prefix(ACCOUNT).and_then(|rest| rest.split_once(':')) {
            Some((namespace, name)) => {
                Subject::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() }
            }
            None => Subject::User { name: name.to_owned() },
        }
    }

    /// Reads a subject of a binding in this namespace; nothing for what the authorizer ignores.
    fn read(value: &Value, namespace: Option<&str>) -> Option<Self> {
        let text = |key: &str| value[key].as_str().filter(|t| !t.is_empty());
        let name = text("name")?;
        match text("kind")? {
            "User" => Some(Subject::user(name)),
            "Group" => Some(Subject::Group { name: name.to_owned() }),
            "ServiceAccount" => {
                let namespace = text("namespace").or(namespace)?;
                Some(Subject::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => None,
        }
    }

    /// Whether it means everybody: all users, known or not, or all service accounts of the cluster.
    pub fn is_everybody(&self) -> bool {
        match self {
            Subject::Group { name } => EVERYBODY.contains(&name.as_str()),
            Subject::User { name } => name == "system:anonymous",
            Subject::ServiceAccount { .. } => false,
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Subject::User { name } => write!(f, "user {name}"),
            Subject::Group { name } => write!(f, "group {name}"),
            Subject::ServiceAccount { namespace, name } => write!(f, "service account {namespace}/{name}"),
        }
    }
}

/// Somebody, with the groups that the API server would see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    user: Option<Subject>,
    groups: BTreeSet<String>,
}

impl Identity {
    /// A user with these groups and those that the API server adds.
    pub fn new(user: Option<&str>, groups: &[String]) -> Self {
        let mut all: BTreeSet<String> = groups.iter().cloned().collect();
        let known = user != Some("system:anonymous");
        all.insert(if known { "system:authenticated" } else { "system:unauthenticated" }.to_owned());
        let user = user.map(Subject::user);
        if let Some(Subject::ServiceAccount { namespace, .. }) = &user {
            all.insert("system:serviceaccounts".to_owned());
            all.insert(format!("system:serviceaccounts:{namespace}"));
        }
        Self { user, groups: all }
    }

    /// Whether a binding's subject means this one.
    pub fn is(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Group { name } => self.groups.contains(name),
            other => self.user.as_ref() == Some(other),
        }
    }

    /// Whether it is in `system:masters`, which no authorizer is asked about.
    pub fn is_master(&self) -> bool {
        self.groups.contains("system:masters")
    }
}

/// A role given to somebody: one subject of one binding.
#[derive(Debug, Clone)]
pub struct Grant {
    /// To whom.
    pub subject: Subject,
    /// The binding, as people name it.
    pub binding: String,
    /// The role, as people name it.
    pub role: String,
    /// Where it holds; everywhere if nowhere is named.
    pub namespace: Option<String>,
    /// What it allows.
    pub rules: Arc<[Rule]>,
    /// Whether it comes with Kubernetes or is the installation's own.
    pub component: bool,
}

/// The RBAC objects of a cluster, raw, as far as they could be read.
#[derive(Debug, Default)]
pub struct Objects {
    /// `ClusterRole` objects; aggregated ones hold their rules already.
    pub cluster_roles: Vec<Value>,
    /// `Role` objects.
    pub roles: Vec<Value>,
    /// `ClusterRoleBinding` objects.
    pub cluster_bindings: Vec<Value>,
    /// `RoleBinding` objects.
    pub bindings: Vec<Value>,
}

/// Every grant of these objects, and the bindings whose role is not there (they give nothing until it is made).
pub fn grants(objects: &Objects, own: &Own<'_>) -> (Vec<Grant>, Vec<String>) {
    let text = |o: &Value, at: &str| o.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut rules: BTreeMap<(String, String), Arc<[Rule]>> = BTreeMap::new();
    for role in objects.cluster_roles.iter().chain(&objects.roles) {
        // A rule that is not understood would be one that is not shown: what can be read of it is.
        let list: Vec<Rule> = role["rules"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|rule| serde_json::from_value(rule.clone()).ok())
            .collect();
        rules.insert((text(role, "/metadata/namespace"), text(role, "/metadata/name")), list.into());
    }
    let (mut out, mut dangling) = (Vec::new(), Vec::new());
    for binding in objects.cluster_bindings.iter().chain(&objects.bindings) {
        let (namespace, name) = (text(binding, "/metadata/namespace"), text(binding, "/metadata/name"));
        let inside = (!namespace.is_empty()).then_some(namespace.as_str());
        let (kind, role) = (text(binding, "/roleRef/kind"), text(binding, "/roleRef/name"));
        let binding_name = match inside {
            Some(namespace) => format!("RoleBinding {namespace}/{name}"),
            None => format!("ClusterRoleBinding {name}"),
        };
        // A ClusterRoleBinding can name no Role.
        let of = if kind == "ClusterRole" { String::new() } else { namespace.clone() };
        let found =
            (kind == "ClusterRole" || inside.is_some()).then(|| rules.get(&(of, role.clone()))).flatten();
        let Some(found) = found else {
            dangling.push(format!("{binding_name} ({kind} {role})"));
            continue;
        };
        let shown = match inside.filter(|_| kind == "Role") {
            Some(namespace) => format!("Role {namespace}/{role}"),
            None => format!("{kind} {role}"),
        };
        for value in binding["subjects"].as_array().into_iter().flatten() {
            let Some(subject) = Subject::read(value, inside) else { continue };
            out.push(Grant {
                component: is_component(binding, &name, &role, &subject) || own.is(&subject),
                subject,
                binding: binding_name.clone(),
                role: shown.clone(),
                namespace: inside.map(str::to_owned),
                rules: Arc::clone(found),
            });
        }
    }
    (out, dangling)
}

/// Whether a grant is one that the API server makes at its start: labelled so, with the names that it gives, and to a
/// part of Kubernetes. Anybody else who was added to such a binding is none, everybody least of all.
fn is_component(binding: &Value, name: &str, role: &str, subject: &Subject) -> bool {
    let label = &binding["metadata"]["labels"]["kubernetes.io/bootstrapping"];
    let named = name == role && (name.starts_with("system:") || name == "cluster-admin");
    let part = match subject {
        Subject::ServiceAccount { namespace, .. } => namespace == "kube-system",
        Subject::User { name } | Subject::Group { name } => name.starts_with("system:"),
    };
    label == "rbac-defaults" && named && part && !subject.is_everybody()
}

/// The installation's own accounts.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    /// Namespace of the operator.
    pub namespace: &'a str,
    /// Prefix of its objects' names.
    pub release: &'a str,
}

impl Own<'_> {
    /// Whether this is the operator's account, or that of the Job that uninstalls it.
    pub fn is(&self, subject: &Subject) -> bool {
        let Subject::ServiceAccount { namespace, name } = subject else { return false };
        let known = *name == self.release || name.strip_prefix(self.release) == Some("-uninstall");
        namespace == self.namespace && known
    }
}
