//! Our webhook configurations belong to the installation's namespace: when that is deleted, the garbage collector
//! removes them, and the cluster is not left with webhooks that nobody answers.
//!
//! The chart sets the owner when it can look up the namespace's uid; where it cannot (rendered without a cluster), we
//! do, by server-side apply of that one list entry under a field manager of its own.

use std::time::Duration;

use kube::Client;
use serde_json::{Value, json};
use tracing::{info, warn};

use super::call::{self, CallError, PatchKind};
use crate::infra::backoff::Backoff;
use crate::infra::supervisor::Shutdown;

/// The field manager that owns the owner reference.
pub const FIELD_MANAGER: &str = "placet-owner";

/// How often it is looked at again: an upgrade by a chart that was rendered without a cluster may have removed it.
const AGAIN: Duration = Duration::from_secs(600);

/// What became of one configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// It belonged to the namespace before.
    Had,
    /// It does now.
    Added,
    /// There is no such configuration.
    Absent,
}

const MUTATING: &str = "mutatingwebhookconfigurations";
const VALIDATING: &str = "validatingwebhookconfigurations";

pub(super) fn configurations(mutating: &str, validating: &str) -> [(String, &'static str); 2] {
    let base = "/apis/admissionregistration.k8s.io/v1";
    [
        (format!("{base}/{MUTATING}/{mutating}"), "MutatingWebhookConfiguration"),
        (format!("{base}/{VALIDATING}/{validating}"), "ValidatingWebhookConfiguration"),
    ]
}

/// Sees to the owner of both configurations until `shutdown`; what fails is tried again.
///
/// # Errors
/// None; the type is that of a task.
pub async fn keep(
    client: Client,
    namespace: &str,
    mutating: &str,
    validating: &str,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
    loop {
        let wait = match ensure(&client, namespace, mutating, validating).await {
            Ok([Ownership::Absent, _] | [_, Ownership::Absent]) => backoff.next_wait(),
            Ok(_) => {
                backoff.reset();
                AGAIN
            }
            Err(error) => {
                warn!(%error, "the webhook configurations could not be given to the namespace, trying again");
                backoff.next_wait()
            }
        };
        tokio::select! {
            () = shutdown.wait() => return Ok(()),
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Makes the namespace an owner of both configurations, mutating first.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn ensure(
    client: &Client,
    namespace: &str,
    mutating: &str,
    validating: &str,
) -> Result<[Ownership; 2], CallError> {
    let owner: Value = call::get(client, &format!("/api/v1/namespaces/{namespace}")).await?;
    let uid = &owner["metadata"]["uid"];
    let mut done = [Ownership::Absent; 2];
    for ((path, kind), slot) in configurations(mutating, validating).iter().zip(&mut done) {
        let Some(found) = call::get_opt::<Value>(client, path).await? else { continue };
        let owners = found["metadata"]["ownerReferences"].as_array().map_or(&[][..], Vec::as_slice);
        if owners.iter().any(|reference| reference["uid"] == *uid) {
            *slot = Ownership::Had;
            continue;
        }
        // With its uid, or an apply to a configuration that was deleted in between would make an empty one.
        let apply = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {
                "name": found["metadata"]["name"], "uid": found["metadata"]["uid"],
                "ownerReferences": [{"apiVersion": "v1", "kind": "Namespace", "name": namespace, "uid": uid}],
            },
        });
        // Forced: another manager's entry for the same uid could only differ in nothing that matters.
        let target = format!("{path}?fieldManager={FIELD_MANAGER}&force=true");
        match call::patch(client, &target, PatchKind::Apply, &apply).await {
            Ok(_) => {
                info!(kind, namespace, "now goes with its namespace");
                *slot = Ownership::Added;
            }
            Err(error) if matches!(error.code(), Some(404 | 409)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::super::fake::Fake;
    use super::*;

    const M: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/placet-mutating";
    const V: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/placet-validating";

    fn cluster() -> Fake {
        let fake = Fake::new();
        fake.put(
            "/api/v1/namespaces/placet-system",
            json!({"metadata": {"name": "placet-system", "uid": "n1"}}),
        );
        fake.put(
            M,
            json!({"metadata": {"name": "placet-mutating", "uid": "m1"}, "webhooks": [{"name": "a"}]}),
        );
        let owners = json!([{"apiVersion": "v1", "kind": "Namespace", "name": "placet-system", "uid": "n1"}]);
        fake.put(
            V,
            json!({"metadata": {"name": "placet-validating", "uid": "v1", "ownerReferences": owners}}),
        );
        fake
    }

    async fn run(fake: &Fake) -> Result<[Ownership; 2], CallError> {
        ensure(&fake.client(), "placet-system", "placet-mutating", "placet-validating").await
    }

    #[tokio::test]
    async fn an_owner_is_added_where_there_is_none_and_only_there() {
        let fake = cluster();
        assert_eq!(run(&fake).await.unwrap(), [Ownership::Added, Ownership::Had]);
        let owned = fake.object(M).unwrap();
        assert_eq!(
            owned["metadata"]["ownerReferences"],
            json!([{"apiVersion": "v1", "kind": "Namespace", "name": "placet-system", "uid": "n1"}])
        );
        assert_eq!(owned["webhooks"], json!([{"name": "a"}]));
        let writes = fake.writes();
        assert_eq!(writes.len(), 1);
        assert!(writes[0].query.contains("fieldManager=placet-owner"), "{writes:?}");
        assert!(writes[0].body.get("webhooks").is_none(), "that field alone");
        assert_eq!(run(&fake).await.unwrap(), [Ownership::Had; 2]);
        assert_eq!(fake.writes().len(), 1);
    }

    #[tokio::test]
    async fn an_owner_of_an_earlier_namespace_of_the_same_name_does_not_count() {
        let fake = cluster();
        fake.put(
            "/api/v1/namespaces/placet-system",
            json!({"metadata": {"name": "placet-system", "uid": "n2"}}),
        );
        assert_eq!(run(&fake).await.unwrap(), [Ownership::Added; 2]);
    }

    #[tokio::test]
    async fn a_configuration_that_goes_meanwhile_is_not_made_again() {
        let fake = cluster();
        fake.hook(|asked, objects| {
            if asked.is_write() {
                objects.remove(M);
            }
            None
        });
        assert_eq!(run(&fake).await.unwrap(), [Ownership::Absent, Ownership::Had]);
        assert!(fake.object(M).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_tried_again_until_it_works() {
        let fake = cluster();
        let mut failures = 3;
        fake.hook(move |_, _| {
            failures -= 1;
            (failures > 0).then_some((503, "ServiceUnavailable"))
        });
        let (_stop, shutdown) = Shutdown::pair();
        let keeping = keep(fake.client(), "placet-system", "placet-mutating", "placet-validating", shutdown);
        let ended = tokio::time::timeout(Duration::from_secs(60), keeping).await;
        assert!(ended.is_err(), "it keeps on");
        assert_eq!(fake.writes().len(), 1);
        assert!(fake.object(M).unwrap()["metadata"]["ownerReferences"].is_array());
    }
}
