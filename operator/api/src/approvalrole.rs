//! ApprovalRole: a role that people decide in. Who holds it is said by RBAC.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::guard::GuardedStatus;
use crate::scalar::{Paragraph, Title};

/// A role in which people approve releases or accept risks. Who holds it is granted by RBAC: the verb `approve` on
/// `approvalroles.placet.dev` with this name.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "placet.dev",
    version = "v1alpha1",
    kind = "ApprovalRole",
    plural = "approvalroles",
    shortname = "approle",
    category = "placet",
    status = "GuardedStatus",
    derive = "PartialEq",
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name: at most 63 characters, since names become label values"),
    printcolumn = r#"{"name":"Title","type":"string","jsonPath":".spec.title"}"#,
    printcolumn = r#"{"name":"Answers For","type":"string","jsonPath":".spec.answersFor","priority":1}"#,
    printcolumn = r#"{"name":"Scope","type":"string","jsonPath":".spec.scope","priority":1}"#,
    printcolumn = r#"{"name":"In-Force","type":"string","jsonPath":".status.conditions[?(@.type==\"InForce\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalRoleSpec {
    /// Human-readable title.
    pub title: Title,
    /// What a holder of the role answers for when approving.
    pub answers_for: Paragraph,
    /// Where the permission is asked for: cluster-wide (left out means Cluster) or in the subject's namespace. Namespace lets
    /// whoever binds roles there give it out, so it takes effect once a second person has approved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<RoleScope>,
}

/// Where a role's permission is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RoleScope {
    /// Cluster-wide, so that a tenant's own role bindings grant nothing.
    Cluster,
    /// In the namespace of what is approved.
    Namespace,
}
