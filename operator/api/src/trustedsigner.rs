//! TrustedSigner: an SSH key that stands for a person.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::guard::GuardedStatus;
use crate::scalar::{DateTime, Line, Name, SshPublicKey, Title};

/// An SSH key whose signatures count for a user, so that approvals can travel through Git and be applied by a robot. The
/// user needs the roles by RBAC as well. One key stands for one person: a key that two TrustedSigners name counts for
/// nobody. A new TrustedSigner, and a change that lets more in, takes effect once a second person has approved it (`placet
/// approve ts/NAME`). Deleting a TrustedSigner voids all that its key signed; to end it for the future only, set spec.revoked.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "placet.dev",
    version = "v1alpha1",
    kind = "TrustedSigner",
    plural = "trustedsigners",
    shortname = "ts",
    category = "placet",
    status = "GuardedStatus",
    derive = "PartialEq",
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name: at most 63 characters, since names become label values"),
    printcolumn = r#"{"name":"User","type":"string","jsonPath":".spec.user"}"#,
    printcolumn = r#"{"name":"Roles","type":"string","jsonPath":".status.roles"}"#,
    printcolumn = r#"{"name":"Expires","type":"string","jsonPath":".spec.expiresAt"}"#,
    printcolumn = r#"{"name":"Revoked","type":"string","jsonPath":".spec.revoked.at"}"#,
    printcolumn = r#"{"name":"In-Force","type":"string","jsonPath":".status.conditions[?(@.type==\"InForce\")].status"}"#,
    printcolumn = r#"{"name":"Key","type":"string","jsonPath":".spec.key","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[x_kube(validation = Rule::new("self.key == oldSelf.key").message("key is immutable: create a new TrustedSigner, and revoke this one"))]
#[x_kube(validation = Rule::new("self.user == oldSelf.user").message("user is immutable: a key stands for one person; create a new TrustedSigner with a new key"))]
#[x_kube(validation = Rule::new("!self.user.startsWith('system:')").message("user: a signer stands for a person, not for a service account or a component of the cluster"))]
#[x_kube(validation = Rule::new("!has(self.expiresAt) || size(self.expiresAt) < 20 || timestamp(self.expiresAt) <= timestamp('9999-12-31T23:59:59Z')").message("expiresAt: wanted a moment that exists"))]
#[x_kube(validation = Rule::new("!has(oldSelf.revoked) || has(self.revoked)").message("revoked cannot be taken back: create a new TrustedSigner with a new key"))]
#[x_kube(validation = Rule::new("!has(oldSelf.revoked) || !has(self.revoked) || timestamp(self.revoked.at) <= timestamp(oldSelf.revoked.at)").message("revoked.at can only move to an earlier time"))]
#[x_kube(validation = Rule::new("!has(oldSelf.revoked) || !has(oldSelf.revoked.compromisedSince) || !has(self.revoked) || (has(self.revoked.compromisedSince) && timestamp(self.revoked.compromisedSince) <= timestamp(oldSelf.revoked.compromisedSince))").message("revoked.compromisedSince can only move to an earlier time"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrustedSignerSpec {
    /// The public key, as in the .pub file: ssh-ed25519, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384 or their FIDO forms
    /// (sk-ssh-ed25519@openssh.com, sk-ecdsa-sha2-nistp256@openssh.com). Immutable.
    pub key: SshPublicKey,
    /// The Kubernetes user name that the key stands for, exactly as the API server sees it (`kubectl auth whoami`).
    /// Immutable. Personal: kept out of evidence leaves and snapshots.
    pub user: Title,
    /// The ApprovalRoles in which signatures of this key count, by name. The user needs the verb `approve` on each as
    /// well.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub roles: Vec<Name>,
    /// Groups of the user, as the identity provider would name them: a signature comes without them. They are sent with the
    /// question whether the user holds a role, and rules on groups see them. Whoever writes this object answers for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub groups: Option<Vec<Title>>,
    /// When the key ends by itself. What the log saw before stays; what it first sees from then on does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime>,
    /// That the key is given up. It cannot be taken back, and its times only move to earlier ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revoked>,
}

/// From when on a key's signatures do not count. What decides is when the log first saw a signature, never the time that
/// is written in it.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("timestamp(self.at) <= timestamp('9999-12-31T23:59:59Z')").message("at: wanted a moment that exists"))]
#[x_kube(validation = Rule::new("!has(self.compromisedSince) || timestamp(self.compromisedSince) <= timestamp(self.at)").message("compromisedSince cannot be later than at"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Revoked {
    /// Signatures that the log has not seen by this time do not count.
    pub at: DateTime,
    /// Where somebody else may have had the key: what the log first saw from this time on does not count either, though it
    /// counted before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compromised_since: Option<DateTime>,
    /// Why, for readers. Personal: kept out of evidence leaves and snapshots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Line>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::CustomResourceExt as _;
    use serde_json::json;

    #[test]
    fn the_definition_bounds_and_describes_every_field() {
        let crd = serde_json::to_value(TrustedSigner::crd()).unwrap();
        assert_eq!(crd["spec"]["scope"], "Cluster");
        assert_eq!(crd["spec"]["names"]["shortNames"], json!(["ts"]));
        let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        assert_eq!(spec["required"], json!(["key", "roles", "user"]));
        assert_eq!(spec["properties"]["roles"]["x-kubernetes-list-type"], "set");
        assert_eq!(spec["properties"]["roles"]["minItems"], 1);
        let revoked = &spec["properties"]["revoked"]["properties"];
        for (name, field) in
            spec["properties"].as_object().unwrap().iter().chain(revoked.as_object().unwrap())
        {
            assert!(field["description"].as_str().is_some_and(|d| !d.trim().is_empty()), "{name}: {field}");
        }
    }

    #[test]
    fn a_role_is_named_and_never_a_wildcard() {
        let spec = |roles: serde_json::Value| {
            serde_json::from_value::<TrustedSignerSpec>(
                json!({"key": "ssh-ed25519 AAAA", "user": "erin", "roles": roles}),
            )
        };
        assert!(spec(json!(["risk-officer"])).is_ok());
        assert!(spec(json!(["*"])).is_err());
        assert!(spec(json!([""])).is_err());
    }
}
