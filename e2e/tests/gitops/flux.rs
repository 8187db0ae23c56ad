//! The real kustomize-controller, one process for each scenario, and what it runs on: its definitions, those of its
//! sources, and somebody who says what a source holds now.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use placet_e2e::placet::repository;
use placet_e2e::{Cluster, Output, SOON, eventually, record_skip, shared_cluster};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use super::repository::Repository;

/// The name that signatures are made for.
pub const CLUSTER_NAME: &str = "production";

static READY: OnceCell<(&'static Cluster, PathBuf)> = OnceCell::const_new();

/// The cluster of these scenarios, with Placet and Flux's definitions, and the directory of Flux's tools. None where
/// Placet cannot be installed; the skip has been noted.
pub async fn ready() -> Option<(&'static Cluster, &'static Path)> {
    if !shared_cluster().await.unwrap().can_install() {
        record_skip(
            "install Placet from this build",
            "E2E_VALUES names no image for the cluster of E2E_KUBECONFIG",
        );
        return None;
    }
    let make = async || {
        let tools = built().await;
        let cluster = shared_cluster().await.unwrap();
        cluster.install_definitions().await.unwrap();
        cluster.install_placet(&json!({"clusterName": CLUSTER_NAME})).await.unwrap();
        let crds = tools.join("crds").display().to_string();
        let apply = ["apply", "--server-side", "-f", crds.as_str()];
        cluster.kubectl("root-admin", apply).await.unwrap().ok().unwrap();
        let sources: Vec<Value> = SOURCES.iter().map(|(kind, plural)| definition(kind, plural)).collect();
        cluster.apply("root-admin", &sources).await.unwrap();
        for (_, plural) in SOURCES {
            let name = format!("crd/{plural}.source.toolkit.fluxcd.io");
            let established = "{.status.conditions[?(@.type=='Established')].status}";
            cluster.becomes("", &name, established, "True").await.unwrap();
        }
        (cluster, tools)
    };
    let (cluster, tools) = READY.get_or_init(make).await;
    Some((cluster, tools))
}

/// Builds the controller if it is missing (minutes, the first time).
async fn built() -> PathBuf {
    let script = repository().join("e2e/controlplane/flux/build.sh");
    let command =
        tokio::process::Command::new(&script).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = command.await.unwrap();
    assert!(output.status.success(), "{} ended with {}", script.display(), output.status);
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// The kinds of sources that kustomize-controller watches. Their controller is not here: whoever is in its place writes
/// the status that it would write.
const SOURCES: [(&str, &str); 3] =
    [("GitRepository", "gitrepositories"), ("OCIRepository", "ocirepositories"), ("Bucket", "buckets")];

fn definition(kind: &str, plural: &str) -> Value {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.source.toolkit.fluxcd.io")},
        "spec": {
            "group": "source.toolkit.fluxcd.io", "scope": "Namespaced",
            "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase()},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": open, "status": open}}},
            }],
        },
    })
}

/// A controller that serves one namespace until this value is dropped.
pub struct Flux {
    cluster: &'static Cluster,
    ns: &'static str,
    _running: JoinSet<Output>,
}

impl Flux {
    /// Starts it and applies manifests of the sample: who it is in the namespace, its source, what it reconciles.
    pub async fn start(
        (cluster, tools): (&'static Cluster, &'static Path),
        ns: &'static str,
        kustomizations: &str,
    ) -> Self {
        let mut running = JoinSet::new();
        let binary = tools.join("bin/kustomize-controller").display().to_string();
        running.spawn(async move {
            let (only, program) = (format!("RUNTIME_NAMESPACE={ns}"), binary.as_str());
            // No port is opened; what needs no waiting is not waited for.
            let args = [
                only.as_str(),
                program,
                "--watch-all-namespaces=false",
                "--metrics-addr=0",
                "--health-addr=0",
                "--requeue-dependency=1s",
                "--feature-gates=CancelHealthCheckOnNewRevision=true",
            ];
            cluster.run("env", "root-admin", args, None).await.unwrap()
        });
        let flux = Self { cluster, ns, _running: running };
        for name in ["tenant", "source", kustomizations] {
            flux.apply(&flux.manifest(name).await).await;
        }
        flux
    }

    /// A manifest of the sample, moved into this namespace.
    async fn manifest(&self, name: &str) -> String {
        let path = repository().join("e2e/samples/gitops/flux").join(format!("{name}.yaml"));
        super::repository::moved(&tokio::fs::read_to_string(path).await.unwrap(), self.ns)
    }

    async fn apply(&self, text: &str) {
        let args = ["apply", "-f", "-"];
        self.cluster.kubectl_with_input("root-admin", args, text).await.unwrap().ok().unwrap();
    }

    /// The source holds what is in the repository now.
    pub async fn push(&self, git: &mut Repository) {
        let artifact = git.publish(self.cluster).await;
        let status = json!({"status": {"artifact": artifact}}).to_string();
        let args = [
            "patch",
            "-n",
            self.ns,
            "gitrepository/support",
            "--subresource=status",
            "--type=merge",
            "-p",
            &status,
        ];
        self.cluster.kubectl("root-admin", args).await.unwrap().ok().unwrap();
    }

    /// Waits until a Kustomization's condition Ready has a status, and its message these words, for the revision.
    pub async fn becomes(&self, name: &str, git: &Repository, status: &str, words: &[&str]) {
        let wanted = format!("{name} to be Ready={status} with {words:?} at {}", git.revision());
        eventually(&wanted, SOON * 2, async || {
            let found = self.kustomization(name).await?;
            let conditions = found.pointer("/status/conditions").and_then(Value::as_array);
            let ready =
                conditions.into_iter().flatten().find(|c| c["type"] == "Ready").cloned().unwrap_or_default();
            let message = ready["message"].as_str().unwrap_or_default();
            let at = |field: &str| found["status"][field].as_str() == Some(git.revision());
            let said = ready["status"] == status && words.iter().all(|w| message.contains(w));
            let seen = at("lastAttemptedRevision")
                || status == "Unknown"
                || words.iter().any(|w| w.contains("dependency"));
            let all = said && seen && (status != "True" || at("lastAppliedRevision"));
            if all { Ok(()) } else { Err(found["status"].to_string()) }
        })
        .await
        .unwrap();
    }

    async fn kustomization(&self, name: &str) -> Result<Value, String> {
        let args = ["get", "-n", self.ns, "kustomization", name, "-o", "json"];
        let text =
            self.cluster.kubectl("admin", args).await.and_then(Output::ok).map_err(|e| e.to_string())?;
        serde_json::from_str(&text).map_err(|e| e.to_string())
    }

    /// Asks for a reconciliation of what is there already, as `flux reconcile` does, and waits until it is done.
    pub async fn reconcile(&self, name: &str, token: &str) {
        let object = format!("kustomization/{name}");
        let asked = format!("reconcile.fluxcd.io/requestedAt={token}");
        let args = ["annotate", "-n", self.ns, &object, "--overwrite", &asked];
        self.cluster.kubectl("root-admin", args).await.unwrap().ok().unwrap();
        self.cluster.becomes(self.ns, &object, "{.status.lastHandledReconcileAt}", token).await.unwrap();
        let ready = "{.status.conditions[?(@.type=='Ready')].status}";
        self.cluster.becomes(self.ns, &object, ready, "True").await.unwrap();
    }
}
