//! What is asked over the network: by judging a workload nothing (invariant 6), by probes what the server answers.

use std::sync::Arc;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::admission::router;
use crate::infra::door::{Door, Knock};
use crate::infra::fake_api;
use crate::testbed::{Bed, NS, PROXY, RELEASE, SERVER, Site, world};

/// The endpoints, over a client that counts what it is asked and answers nothing.
struct Desk {
    router: axum::Router,
    door: Arc<Door>,
    asked: Arc<std::sync::Mutex<Vec<fake_api::Seen>>>,
}

fn desk(bed: &Bed) -> Desk {
    let (client, asked) = fake_api::client(|_| async { fake_api::failure(500, "InternalError") });
    Desk { router: router(bed.admission_over(client)), door: Door::new(&[]).unwrap(), asked }
}

impl Desk {
    /// Answers a review; whether it was let through, with the message.
    async fn ask(&self, path: &str, request: &Value) -> (bool, String) {
        let review =
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        let Knock::Admitted(visit, inside) = self.door.knock(&self.door.path(path).parse().unwrap()) else {
            panic!("the door does not know its own path to {path}");
        };
        let request =
            Request::post(inside).header("content-type", "application/json").extension(visit.mark());
        let request = request.body(Body::from(review.to_string())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        visit.answered(response.status());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        let response = &answer["response"];
        let message = response["status"]["message"].as_str().unwrap_or_default().to_owned();
        (response["allowed"].as_bool().unwrap(), message)
    }

    fn network(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn request(kind: (&str, &str, &str), operation: &str, object: &Value) -> Value {
    let (group, kind, plural) = kind;
    json!({
        "uid": "request", "kind": {"group": group, "version": "v1", "kind": kind},
        "resource": {"group": group, "version": "v1", "resource": plural},
        "name": object["metadata"]["name"], "namespace": NS, "operation": operation,
        "userInfo": {"username": "dana"}, "object": object,
    })
}

const POD: (&str, &str, &str) = ("", "Pod", "pods");
const DEPLOYMENT: (&str, &str, &str) = ("apps", "Deployment", "deployments");

fn pod(name: &str, release: Option<&str>, image: &str) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NS, "labels": {}},
        "spec": {"containers": [{"name": "main", "image": image}]}});
    if let Some(release) = release {
        pod["metadata"]["labels"]["placet.dev/release"] = release.into();
    }
    pod
}

fn deployment(release: &str, image: &str) -> Value {
    let labels = json!({"placet.dev/release": release, "app": "server"});
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "server", "namespace": NS, "labels": labels},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "server"}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}}}})
}

#[tokio::test]
async fn workloads_are_judged_and_recorded_without_a_request_to_anybody() {
    let site = Site::new();
    let bed = site.start();
    bed.namespace(Some("deny"));
    for object in world() {
        bed.put(&object);
    }
    let desk = desk(&bed);
    let before = (bed.fake.asked().len(), bed.log.head().size);
    let cleared = pod("cleared", Some(RELEASE), SERVER);
    assert_eq!(
        desk.ask("/validate/workloads", &request(POD, "CREATE", &cleared)).await,
        (true, String::new())
    );
    for (what, pod, said) in [
        (
            "an image by tag",
            pod("tag", Some(RELEASE), "registry.example.com/server:v2"),
            "registry.example.com/server@sha256:4444",
        ),
        ("a release that does not exist", pod("none", Some("none"), SERVER), "none"),
        ("no release", pod("bare", None, PROXY), "placet.dev/release"),
    ] {
        let (allowed, message) = desk.ask("/validate/workloads", &request(POD, "CREATE", &pod)).await;
        assert!(!allowed && !message.is_empty(), "{what}");
        assert!(message.contains(said) || message.contains("ReleaseNotFound"), "{what}: {message}");
    }
    let rollout = deployment(RELEASE, SERVER);
    assert!(desk.ask("/validate/workloads", &request(DEPLOYMENT, "CREATE", &rollout)).await.0);
    assert!(
        !desk.ask("/validate/workloads", &request(DEPLOYMENT, "CREATE", &deployment("none", SERVER))).await.0
    );
    // Holding, warning and auditing.
    for mode in ["hold", "warn", "audit"] {
        bed.namespace(Some(mode));
        let refused = request(POD, "CREATE", &pod("held", None, PROXY));
        assert!(desk.ask("/mutate/workloads", &refused).await.0, "{mode}");
        let path = if mode == "hold" { "/validate/workloads" } else { "/validate/workloads/watching" };
        // Without the gate that the first webhook adds, an enforcing namespace refuses.
        assert_eq!(desk.ask(path, &refused).await.0, mode != "hold", "{mode}");
    }
    assert!(bed.log.head().size > before.1, "recorded");
    assert_eq!(desk.network(), 0, "{:?}", desk.asked.lock().unwrap());
    assert_eq!(bed.fake.asked().len(), before.0);
    // The counter counts: our own kinds ask whether a name is taken, and who holds a role.
    let approval = crate::testbed::approval("owner-zoe", "zoe", "Approve", "2026-11-05T09:00:00Z");
    let mut own = request(("placet.dev", "Approval", "approvals"), "CREATE", &approval);
    own["kind"]["version"] = json!("v1alpha1");
    own["resource"]["version"] = json!("v1alpha1");
    desk.ask("/mutate/own", &own).await;
    assert_eq!(desk.network(), 2);
}

#[tokio::test]
async fn the_charts_probes_ask_what_the_health_server_answers() {
    let chart = include_str!("../../../charts/placet/templates/statefulset.yaml");
    let paths: Vec<&str> =
        chart.split("httpGet: {path: ").skip(1).map(|rest| rest.split(',').next().unwrap()).collect();
    assert_eq!(paths, ["/livez", "/livez", "/readyz"], "start, liveness, readiness");
    let readiness = Arc::new(crate::infra::health::Readiness::new());
    let router = crate::infra::health::router(readiness, Arc::default());
    for path in paths {
        let response = router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{path}");
    }
    // Of the names that other programs use, none is answered: a probe for one would restart us for ever.
    for path in ["/healthz", "/health"] {
        let response = router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), 404, "{path}");
    }
}
