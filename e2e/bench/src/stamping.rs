//! g: an Approval through a real API server, which asks us for a stamp and for a verdict, beside an object of the same
//! schema that asks webhooks that decide nothing. A stamp costs a SubjectAccessReview for the role, one for the wildcard,
//! a read of the subject and a durable record. The two take turns, so that they see the same machine.

use anyhow::Context as _;
use base64::Engine as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams};
use kube::{Client, ResourceExt as _};
use placet_api::Kind;
use serde_json::{Value, json};

use crate::cluster::{self, Installed};
use crate::noop;
use crate::report::Report;
use crate::server::{Certificates, Running};
use crate::stats::{Run, nanos, now};

const NAMESPACE: &str = "bench-stamps";
/// The group of the objects that are not ours.
const GROUP: &str = "bench.placet.dev";
/// Approvals that warm everything up.
const WARM: usize = 10;
/// Approvals of one release: enough that few releases are needed, few enough that their decisions cost little.
const EACH: usize = 10;

/// Measures the creation of Approvals.
///
/// # Errors
/// When one is refused.
pub async fn measure(report: &mut Report, installed: &Installed, approvals: usize) -> anyhow::Result<()> {
    let certificates = Certificates::make()?;
    let server =
        Running::start(&certificates, noop::router(), None, &tokio::runtime::Handle::current()).await?;
    let outcome = compare(report, installed, approvals, &certificates, &server).await;
    server.end().await?;
    outcome
}

async fn compare(
    report: &mut Report,
    installed: &Installed,
    approvals: usize,
    certificates: &Certificates,
    server: &Running,
) -> anyhow::Result<()> {
    let all = WARM + approvals;
    installed.cluster.namespace(NAMESPACE, &[]).await?;
    installed.minimal_system(NAMESPACE).await?;
    let mut digests = Vec::new();
    for n in 0..all.div_ceil(EACH) {
        let name = format!("routing-{n:03}");
        installed.minimal_release(NAMESPACE, &name).await?;
        digests.push(installed.digest(Kind::ModelRelease, NAMESPACE, &name, "content").await?);
    }
    let other = other_kind(installed, certificates, server).await?;
    let ours = cluster::resource(Kind::Approval);
    let (mut stamped, mut nothing) = (Run::default(), Run::default());
    for n in 0..all {
        let release = format!("routing-{:03}", n / EACH);
        let mut object = cluster::approval(
            NAMESPACE,
            ("ModelRelease", &release, "Content"),
            &digests[n / EACH],
            "model-owner",
            &format!("approval-{n:04}"),
        );
        for (resource, run) in [(&ours, &mut stamped), (&other, &mut nothing)] {
            object["apiVersion"] = resource.api_version.as_str().into();
            let took = create(&installed.bob, resource, &object).await?;
            if n >= WARM {
                run.extend(Run::new(vec![took], 0.0));
            }
        }
    }
    for (figure, thousandths) in [("p50", 500), ("p99", 990)] {
        let base = nothing.millis(thousandths);
        report.add(format!("g no-op mutating and validating {figure}"), base, "ms", None, &[]);
        report.add(
            format!("g an Approval, stamped {figure}"),
            stamped.millis(thousandths),
            "ms",
            Some(base),
            &[],
        );
    }
    installed.cluster.kubectl("admin", ["delete", "crd", &format!("approvals.{GROUP}")]).await?.ok()?;
    let both = "mutatingwebhookconfiguration,validatingwebhookconfiguration";
    installed.cluster.kubectl("admin", ["delete", both, "bench-stamps"]).await?.ok()?;
    Ok(())
}

/// Nanoseconds that the API server took.
async fn create(who: &Client, resource: &ApiResource, object: &Value) -> anyhow::Result<u64> {
    let api: Api<DynamicObject> = Api::namespaced_with(who.clone(), NAMESPACE, resource);
    let typed: DynamicObject = serde_json::from_value(object.clone())?;
    let since = now();
    let made = api.create(&PostParams::default(), &typed).await;
    let took = nanos(since);
    let made = made.with_context(|| format!("{} {}", resource.api_version, typed.name_any()))?;
    let stamped = made.annotations().contains_key(placet_api::keys::RECEIPT);
    anyhow::ensure!(
        stamped == (resource.group == placet_api::keys::GROUP),
        "wanted a receipt on objects of ours and on no others, found {stamped} on {}",
        resource.api_version
    );
    Ok(took)
}

/// A kind with the schema of Approval in a group of its own, which the same person may create, and the same two calls as
/// ours gets.
async fn other_kind(
    installed: &Installed,
    certificates: &Certificates,
    server: &Running,
) -> anyhow::Result<ApiResource> {
    let definitions: Api<CustomResourceDefinition> = Api::all(installed.admin.clone());
    let own = definitions.get("approvals.placet.dev").await?;
    let mut spec = serde_json::to_value(own.spec)?;
    spec["group"] = GROUP.into();
    // Short names and categories would be taken twice.
    spec["names"] = json!({"kind": "Approval", "plural": "approvals", "singular": "approval", "listKind": "ApprovalList"});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("approvals.{GROUP}")}, "spec": spec,
    });
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "bench-stamps"},
        "rules": [{"apiGroups": [GROUP], "resources": ["approvals"], "verbs": ["create"]}],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "bench-stamps"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "bench-stamps"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "model-owners"}],
    });
    let bundle = base64::engine::general_purpose::STANDARD.encode(&certificates.bundle);
    let [mutating, validating] = ["Mutating", "Validating"].map(|kind| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": format!("{kind}WebhookConfiguration"),
            "metadata": {"name": "bench-stamps"},
            "webhooks": [{
                "name": "stamps.bench.placet.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "failurePolicy": "Fail", "timeoutSeconds": 5,
                "clientConfig": {"url": format!("https://{}/", server.address), "caBundle": bundle},
                "rules": [{"apiGroups": [GROUP], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["approvals"]}],
            }],
        })
    });
    installed.cluster.apply("root-admin", &[definition, role, binding, mutating, validating]).await?;
    let established = "condition=Established";
    let name = format!("crd/approvals.{GROUP}");
    installed.cluster.kubectl("admin", ["wait", "--for", established, &name, "--timeout=30s"]).await?.ok()?;
    // The API server takes a moment to hear of a webhook or a permission.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let kind = GroupVersionKind::gvk(GROUP, placet_api::keys::VERSION, "Approval");
    Ok(ApiResource::from_gvk(&kind))
}
