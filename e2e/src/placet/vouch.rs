//! What waits for a second person gets one.

use super::APPROVERS;
use crate::cluster::{Cluster, Output};
use crate::error::Result;
use crate::scenario::{SOON, eventually};

/// Waits until a `TrustedSigner` is in force, and has whoever is asked approve it.
///
/// # Errors
/// When it does not come into force.
pub async fn vouch(cluster: &Cluster, signer: &str) -> Result<()> {
    vouch_for(cluster, &format!("trustedsigner/{signer}"), &format!("ts/{signer}")).await
}

/// The same of any object that guards itself. `target`: as `placet approve` names it.
///
/// # Errors
/// When it does not come into force.
pub async fn vouch_for(cluster: &Cluster, object: &str, target: &str) -> Result<()> {
    let path = "{.metadata.generation}/{.status.observedGeneration}/\
                {.status.conditions[?(@.type=='InForce')].status}/{.status.waiting.roles[*]}";
    eventually(&format!("{object} to be in force"), SOON, async || {
        let told = cluster.field("", object, path).await?;
        let parts: Vec<&str> = told.split('/').collect();
        let [now, judged, in_force, roles] = parts.as_slice() else { return Err(told) };
        if now == judged && *in_force == "True" {
            return Ok(());
        }
        if let Some((who, role)) = APPROVERS.iter().find(|(_, role)| roles.split(' ').any(|r| r == *role)) {
            let said = cluster.run("placet", who, ["approve", target, "--role", role, "--yes"], None).await;
            said.and_then(Output::ok).map_err(|e| format!("{told}: {e}"))?;
        }
        Err(told)
    })
    .await
}
