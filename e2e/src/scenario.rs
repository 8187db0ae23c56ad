//! Small steps that scenarios are made of.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::error::{Error, Result};

/// How long a scenario waits for what a controller does within a second when the machine is idle.
pub const SOON: Duration = Duration::from_secs(30);

/// Asks every 100 ms until the answer is some value; the error of the last try is what was found instead.
///
/// # Errors
/// When there was none `within` the time.
pub async fn eventually<T>(
    what: &str,
    within: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        match ask().await {
            Ok(value) => return Ok(value),
            Err(found) if Instant::now() > deadline => {
                let seconds = within.as_secs();
                return Err(Error::unmet(
                    format!("{what} within {seconds} s"),
                    found,
                    "see the cluster's logs",
                ));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

impl Cluster {
    /// Applies objects as a person, with `kubectl apply`.
    ///
    /// # Errors
    /// When kubectl fails, with what it said.
    pub async fn apply(&self, who: &str, objects: &[Value]) -> Result<String> {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string();
        self.kubectl_with_input(who, ["apply", "-f", "-"], &list).await?.ok()
    }

    /// Makes a namespace with labels, and waits for the service account that its pods need.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn namespace(&self, name: &str, labels: &[(&str, &str)]) -> Result<()> {
        let labels: serde_json::Map<String, Value> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels },
        });
        self.apply("root-admin", &[object]).await?;
        eventually("the namespace's service account", SOON, async || {
            self.field(name, "sa/default", "{.metadata.name}").await
        })
        .await
        .map(drop)
    }

    /// Binds a `ClusterRole` to a person in one namespace.
    ///
    /// # Errors
    /// When it cannot be bound.
    pub async fn grant(&self, namespace: &str, who: &str, role: &str) -> Result<()> {
        let object = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": { "name": format!("{who}-{role}"), "namespace": namespace },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": who }],
        });
        self.apply("root-admin", &[object]).await.map(drop)
    }

    /// What a jsonpath of an object is now, or why there is no answer.
    pub async fn field(&self, namespace: &str, object: &str, path: &str) -> Result<String, String> {
        let template = format!("jsonpath={path}");
        let output = self.kubectl("admin", ["get", "-n", namespace, object, "-o", &template]).await;
        output.and_then(super::Output::ok).map_err(|error| error.to_string())
    }

    /// Waits until a jsonpath of an object is `wanted`.
    ///
    /// # Errors
    /// When it is not so after [`SOON`].
    pub async fn becomes(&self, namespace: &str, object: &str, path: &str, wanted: &str) -> Result<()> {
        eventually(&format!("{path} of {namespace} {object} to be {wanted:?}"), SOON, async || {
            let found = self.field(namespace, object, path).await?;
            if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await
    }

    /// What `placet evidence show` says of a release, once that is what is wanted: what is published follows what was done.
    ///
    /// # Errors
    /// When it does not say so in time.
    pub async fn evidence_shows(
        &self,
        (namespace, release): (&str, &str),
        what: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let release = format!("mr/{release}");
        let show = ["evidence", "show", &release, "-n", namespace];
        eventually(&format!("evidence of {namespace} {release}: {what}"), SOON, async || {
            let shown = self.run("placet", "root-admin", show, None).await.and_then(super::Output::ok);
            let shown = shown.map_err(|error| error.to_string())?;
            if wanted(&shown) { Ok(shown) } else { Err(shown) }
        })
        .await
    }
}
