//! A real control plane with Placet installed, for everything that needs one.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::{Client, ResourceExt as _};
use placet_api::{Kind, keys};
use placet_e2e::{Cluster, Options, own_images};
use serde_json::{Value, json};

use crate::samples;

/// The namespace that Placet is installed in.
pub const NAMESPACE: &str = "placet-system";

/// People's roles for benches: in the whole cluster, so that every namespace is the same.
fn values() -> Value {
    json!({
        "access": [
            {"role": "data-scientist", "groups": ["data-science"]},
            {"role": "reviewer", "groups": ["model-owners", "validators", "risk-officers"]},
        ],
        "bindings": [
            {"role": "model-owner", "groups": ["model-owners"]},
            {"role": "validator", "groups": ["validators"]},
            {"role": "risk-officer", "groups": ["risk-officers"]},
        ],
    })
}

/// A cluster with Placet.
pub struct Installed {
    /// The cluster.
    pub cluster: Cluster,
    /// In `system:masters`: sets up and looks.
    pub admin: Client,
    /// Data scientist.
    pub dana: Client,
    /// Holds model-owner.
    pub bob: Client,
    /// Holds risk-officer.
    pub erin: Client,
}

impl Installed {
    /// Starts a cluster with so many simulated nodes, and installs both charts with Helm.
    ///
    /// # Errors
    /// When something does not come up.
    pub async fn start(nodes: usize) -> anyhow::Result<Self> {
        let options = Options { nodes, images: own_images(), progress: true, ..Options::default() };
        let cluster = Cluster::start(options).await?;
        let values_file = cluster.dir().join("bench-values.json");
        tokio::fs::write(&values_file, values().to_string()).await?;
        let (node, own) = (text(&cluster.real_node_values()), text(&values_file));
        cluster.helm(["install", "placet-crds", "charts/placet-crds"]).await?.ok()?;
        let install = [
            "install",
            "placet",
            "charts/placet",
            "-n",
            NAMESPACE,
            "--create-namespace",
            "--wait",
            "--timeout",
            "180s",
        ];
        let files = ["-f", node.as_str(), "-f", own.as_str()];
        cluster.helm(install.into_iter().chain(files)).await?.ok()?;
        let installed = Self {
            admin: cluster.client("admin").await?,
            dana: cluster.client("dana").await?,
            bob: cluster.client("bob").await?,
            erin: cluster.client("erin").await?,
            cluster,
        };
        // The operator applies the policy packs itself, once it is ready.
        placet_e2e::eventually("the policy packs", placet_e2e::SOON, async || {
            let policies =
                Api::<DynamicObject>::all_with(installed.admin.clone(), &resource(Kind::ReleasePolicy));
            let roles =
                Api::<DynamicObject>::all_with(installed.admin.clone(), &resource(Kind::ApprovalRole));
            let found = (policies.get_opt("minimal").await, roles.get_opt("model-owner").await);
            if matches!(found, (Ok(Some(_)), Ok(Some(_)))) { Ok(()) } else { Err("not yet there".to_owned()) }
        })
        .await?;
        Ok(installed)
    }

    /// Makes an object of ours as a person.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn create(&self, who: &Client, kind: Kind, object: &Value) -> anyhow::Result<DynamicObject> {
        let namespace = samples::text_of(object, "/metadata/namespace");
        let api: Api<DynamicObject> = Api::namespaced_with(who.clone(), &namespace, &resource(kind));
        let typed: DynamicObject = serde_json::from_value(object.clone())?;
        let name = typed.name_any();
        api.create(&PostParams::default(), &typed).await.with_context(|| format!("{kind} {namespace}/{name}"))
    }

    /// The digest that the operator shows for an object, once it does.
    ///
    /// # Errors
    /// When it shows none in time.
    pub async fn digest(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        which: &str,
    ) -> anyhow::Result<String> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.admin.clone(), namespace, &resource(kind));
        let pointer = format!("/status/digests/{which}");
        let what = format!("{pointer} of {kind} {namespace}/{name}");
        let found = placet_e2e::eventually(&what, placet_e2e::SOON, async || {
            let object = api.get(name).await.map_err(|e| e.to_string())?;
            let digest = samples::text_of(&object.data, &pointer);
            if digest.is_empty() { Err(object.data["status"].to_string()) } else { Ok(digest) }
        });
        Ok(found.await?)
    }

    /// A system of class Minimal in a namespace, whose class the risk officer has confirmed: a release of it needs one
    /// approval, by the model owner.
    ///
    /// # Errors
    /// When something is refused.
    pub async fn minimal_system(&self, namespace: &str) -> anyhow::Result<()> {
        let system = json!({
            "apiVersion": api_version(), "kind": "AISystem", "metadata": {"name": "routing", "namespace": namespace},
            "spec": {
                "title": "Routing of tickets",
                "owner": {"function": "Head of Support"},
                "organisationRoles": ["Deployer"],
                "purpose": "Choose the team that answers a ticket",
                "intendedUse": {"users": ["Agents"], "decisions": ["Routing"], "affectedGroups": ["Customers"], "regions": ["EU"]},
                "triggers": {"annexIII": [], "article5": [], "annexI": [], "article50": [], "profiling": false, "personalData": false},
                "stage": "Operation",
            },
        });
        self.create(&self.dana, Kind::AISystem, &system).await?;
        let digest = self.digest(Kind::AISystem, namespace, "routing", "classification").await?;
        let confirmed = approval(
            namespace,
            ("AISystem", "routing", "Classification"),
            &digest,
            "risk-officer",
            "class-erin",
        );
        self.create(&self.erin, Kind::Approval, &confirmed).await?;
        Ok(())
    }

    /// A release of the system that [`Installed::minimal_system`] made.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn minimal_release(&self, namespace: &str, name: &str) -> anyhow::Result<()> {
        let release = json!({
            "apiVersion": api_version(), "kind": "ModelRelease", "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "system": "routing",
                "version": name,
                "change": {"kind": "Retrain", "reason": "New data"},
                "artifacts": [{"name": "server", "role": "Model", "kind": "Image", "reference": IMAGE.0, "digest": IMAGE.1}],
                "datasets": [{"name": "tickets", "digest": IMAGE.1, "use": "Training"}],
                "developers": ["alice"],
            },
        });
        self.create(&self.dana, Kind::ModelRelease, &release).await.map(drop)
    }

    /// The approval that clears such a release.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn approve(&self, namespace: &str, release: &str, digest: &str) -> anyhow::Result<()> {
        let name = format!("{release}-bob");
        let approve = approval(namespace, ("ModelRelease", release, "Content"), digest, "model-owner", &name);
        self.create(&self.bob, Kind::Approval, &approve).await.map(drop)
    }

    /// Waits until a release is cleared.
    ///
    /// # Errors
    /// When it is not in time, with its findings.
    pub async fn cleared(&self, namespace: &str, name: &str) -> anyhow::Result<()> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.admin.clone(), namespace, &resource(Kind::ModelRelease));
        let what = format!("{namespace}/{name} cleared");
        let wait = placet_e2e::eventually(&what, placet_e2e::SOON, async || {
            let object = api.get(name).await.map_err(|e| e.to_string())?;
            let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
            let cleared =
                conditions.into_iter().flatten().any(|c| c["type"] == "Cleared" && c["status"] == "True");
            if cleared { Ok(()) } else { Err(object.data["status"].to_string()) }
        });
        Ok(wait.await?)
    }

    /// Ends the cluster.
    ///
    /// # Errors
    /// When something of it is left.
    pub async fn end(self) -> anyhow::Result<()> {
        Ok(self.cluster.shut_down().await?)
    }
}

/// Repository and digest of the image that runs.
pub const IMAGE: (&str, &str) = (
    "registry.example.com/support/routing",
    "sha256:dec91d0ccd77540bc5d3af5596675233892920d1dce9c6c1434ee51a0374556b",
);

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn api_version() -> String {
    format!("{}/{}", keys::GROUP, keys::VERSION)
}

/// An Approve of a subject (kind, name, what it covers) by its digest.
pub fn approval(namespace: &str, subject: (&str, &str, &str), digest: &str, role: &str, name: &str) -> Value {
    let (kind, about, covers) = subject;
    json!({
        "apiVersion": api_version(), "kind": "Approval", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "subject": {"kind": kind, "name": about, "covers": covers, "digest": digest},
            "role": role, "decision": "Approve",
        },
    })
}

/// The kind as the API server knows it.
pub fn resource(kind: Kind) -> ApiResource {
    placet_operator::effects::resource(kind)
}

/// A pod spec that an approved release runs with.
pub fn pod(namespace: &str, name: &str, release: Option<&str>) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": {"app": "routing"}},
        "spec": pod_spec(),
    });
    if let Some(release) = release {
        pod["metadata"]["labels"][keys::RELEASE] = release.into();
    }
    pod
}

/// What runs.
pub fn pod_spec() -> Value {
    json!({
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": false,
        "containers": [{"name": "server", "image": format!("{}@{}", IMAGE.0, IMAGE.1)}],
    })
}

/// How long something that a controller does for many objects may take.
pub const LONG: Duration = Duration::from_secs(600);
