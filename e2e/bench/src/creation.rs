//! b: pods through a real API server: without a webhook, with one that decides nothing, with ours. The three take turns
//! pod by pod, so that they see the same machine.

use anyhow::Context as _;
use base64::Engine as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::json;

use crate::cluster::{self, Installed};
use crate::noop;
use crate::report::Report;
use crate::server::{Certificates, Running};
use crate::stats::{Run, nanos, now};

const PLAIN: &str = "bench-plain";
const NOOP: &str = "bench-noop";
const OURS: &str = "bench-ours";
const RELEASE: &str = "routing-1";
/// Pods that warm everything up.
const WARM: usize = 10;

/// Measures the creation of pods.
///
/// # Errors
/// When a pod is refused.
pub async fn measure(report: &mut Report, installed: &Installed, pods: usize) -> anyhow::Result<()> {
    let certificates = Certificates::make()?;
    let server =
        Running::start(&certificates, noop::router(), None, &tokio::runtime::Handle::current()).await?;
    let outcome = compare(report, installed, pods, &certificates, &server).await;
    server.end().await?;
    outcome
}

async fn compare(
    report: &mut Report,
    installed: &Installed,
    pods: usize,
    certificates: &Certificates,
    server: &Running,
) -> anyhow::Result<()> {
    installed.cluster.namespace(PLAIN, &[]).await?;
    installed.cluster.namespace(NOOP, &[("bench", "noop")]).await?;
    installed.cluster.namespace(OURS, &[]).await?;
    installed.minimal_system(OURS).await?;
    installed.minimal_release(OURS, RELEASE).await?;
    let digest = installed.digest(placet_api::Kind::ModelRelease, OURS, RELEASE, "content").await?;
    installed.approve(OURS, RELEASE, &digest).await?;
    installed.cleared(OURS, RELEASE).await?;
    let label = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OURS, "labels": {"placet.dev/enforce": "deny"}}});
    installed.cluster.apply("root-admin", &[label]).await?;
    let webhooks = ["Mutating", "Validating"].map(|kind| webhook(kind, certificates, server));
    installed.cluster.apply("root-admin", &webhooks).await?;
    // The API server takes a moment to hear of a webhook or a label.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let mut runs = [Run::default(), Run::default(), Run::default()];
    for n in 0..WARM + pods {
        for (namespace, run) in [PLAIN, NOOP, OURS].into_iter().zip(&mut runs) {
            let pod = cluster::pod(namespace, &format!("pod-{n}"), (namespace == OURS).then_some(RELEASE));
            let pod: Pod = serde_json::from_value(pod)?;
            let api: Api<Pod> = Api::namespaced(installed.admin.clone(), namespace);
            let since = now();
            api.create(&PostParams::default(), &pod)
                .await
                .with_context(|| format!("a pod in {namespace}"))?;
            if n >= WARM {
                run.extend(Run::new(vec![nanos(since)], 0.0));
            }
        }
    }
    let [plain, nothing, ours] = runs;
    for (figure, thousandths) in [("p50", 500), ("p99", 990)] {
        let base = plain.millis(thousandths);
        report.add(format!("b no webhook {figure}"), base, "ms", None, &[]);
        report.add(format!("b no-op webhooks {figure}"), nothing.millis(thousandths), "ms", Some(base), &[]);
        report.add(format!("b ours beside none {figure}"), ours.millis(thousandths), "ms", Some(base), &[]);
        let base = Some(nothing.millis(thousandths));
        report.add(format!("b ours beside no-op {figure}"), ours.millis(thousandths), "ms", base, &[]);
    }
    for namespace in [PLAIN, NOOP, OURS] {
        let api: Api<Pod> = Api::namespaced(installed.admin.clone(), namespace);
        api.delete_collection(&DeleteParams::default().grace_period(0), &ListParams::default()).await?;
    }
    installed
        .cluster
        .kubectl(
            "admin",
            ["delete", "mutatingwebhookconfiguration,validatingwebhookconfiguration", "bench-noop"],
        )
        .await?
        .ok()?;
    Ok(())
}

/// The same two calls as ours gets for a pod.
fn webhook(kind: &str, certificates: &Certificates, server: &Running) -> serde_json::Value {
    let bundle = base64::engine::general_purpose::STANDARD.encode(&certificates.bundle);
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": format!("{kind}WebhookConfiguration"),
        "metadata": {"name": "bench-noop"},
        "webhooks": [{
            "name": "noop.bench.placet.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Fail", "timeoutSeconds": 5,
            "clientConfig": {"url": format!("https://{}/", server.address), "caBundle": bundle},
            "namespaceSelector": {"matchLabels": {"bench": "noop"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        }],
    })
}
