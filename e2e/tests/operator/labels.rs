//! The release label of what runs, through every resource that could change it.

use placet_e2e::placet::{IMAGE, RELEASE};
use serde_json::{Value, json};

use super::common::refused_with;
use super::lending;

#[tokio::test]
async fn the_release_label_is_judged_whichever_way_it_changes() {
    let Some(lending) = lending("relabel", Some("deny")).await else { return };
    lending.clear().await.unwrap();
    // Whatever is in the namespace may be written.
    lending.cluster.grant("relabel", "mallory", "admin").await.unwrap();
    let role = ["create", "role", "everything", "--verb=*", "--resource=*.*,*.apps,*.batch"];
    lending.kubectl("root-admin", &role).await.unwrap().ok().unwrap();
    let core =
        r#"[{"op":"replace","path":"/rules","value":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]}]"#;
    lending
        .kubectl("root-admin", &["patch", "role/everything", "--type=json", "-p", core])
        .await
        .unwrap()
        .ok()
        .unwrap();
    let bind = ["create", "rolebinding", "mallory-everything", "--role=everything", "--user=mallory"];
    lending.kubectl("root-admin", &bind).await.unwrap().ok().unwrap();

    let objects = objects();
    for object in &objects {
        lending.apply("dana", &object.to_string()).await.unwrap().ok().unwrap();
    }
    let mut missed = Vec::new();
    let mut judged = Vec::new();
    let patch = r#"{"metadata":{"labels":{"placet.dev/release":"other"}}}"#;
    for object in &objects {
        let name = object["metadata"]["name"].as_str().unwrap();
        let target = format!("{name}/{name}");
        for subresource in ["", "status", "scale", "resize", "ephemeralcontainers"] {
            let mut args = vec!["patch", target.as_str(), "--type=merge", "-p", patch];
            let flag = format!("--subresource={subresource}");
            if !subresource.is_empty() {
                args.push(&flag);
            }
            let output = lending.kubectl("mallory", &args).await.unwrap();
            let label = r"{.metadata.labels.placet\.dev/release}";
            let now = lending.cluster.field("relabel", &target, label).await.unwrap();
            if now != RELEASE {
                missed.push(format!("{target} {subresource}"));
                let back = format!("placet.dev/release={RELEASE}");
                lending
                    .kubectl("dana", &["label", &target, "--overwrite", &back])
                    .await
                    .unwrap()
                    .ok()
                    .unwrap();
            } else if output.stderr.contains("\"workloads.placet.dev\" denied the request") {
                judged.push(format!("{name} {subresource}"));
            }
        }
    }
    // The labels of a binding become those of the pod that it binds.
    for (name, path) in [("bound", "pods/bound/binding"), ("legacy", "bindings")] {
        let mut bare = lending.pod(name, RELEASE);
        bare["spec"]["schedulerName"] = json!("nobody");
        lending.apply("dana", &bare.to_string()).await.unwrap().ok().unwrap();
        let mut binding = json!({
            "apiVersion": "v1", "kind": "Binding", "target": {"apiVersion": "v1", "kind": "Node", "name": "kwok-node-0"},
            "metadata": {"name": name, "namespace": "relabel", "labels": {"placet.dev/release": "other"}},
        });
        let url = format!("/api/v1/namespaces/relabel/{path}");
        let create = ["create", "--raw", url.as_str(), "-f", "-"];
        let bound =
            lending.cluster.kubectl_with_input("mallory", create, &binding.to_string()).await.unwrap();
        let label = r"{.metadata.labels.placet\.dev/release}";
        let now = lending.cluster.field("relabel", &format!("pod/{name}"), label).await.unwrap();
        if now != RELEASE {
            missed.push(url);
            continue;
        }
        refused_with(&bound, &["a Binding without the label placet.dev/release"]);
        binding["metadata"].as_object_mut().unwrap().remove("labels");
        lending
            .cluster
            .kubectl_with_input("mallory", create, &binding.to_string())
            .await
            .unwrap()
            .ok()
            .unwrap();
    }
    assert!(missed.is_empty(), "unjudged: {missed:#?}\njudged: {judged:#?}");
    // Each kind by itself, and each whose status keeps labels.
    for object in &objects {
        let name = object["metadata"]["name"].as_str().unwrap();
        assert!(judged.contains(&format!("{name} ")), "{name}: {judged:#?}");
    }
    for kind in ["pod", "replicaset", "statefulset", "daemonset", "replicationcontroller", "job", "cronjob"] {
        assert!(judged.contains(&format!("{kind} status")), "{kind}: {judged:#?}");
    }
}

/// One of each kind that runs something, none of which starts a pod but the pod and the DaemonSet.
fn objects() -> Vec<Value> {
    let of = |api: &str, kind: &str, spec: &dyn Fn(Value, Value) -> Value| {
        let name = kind.to_lowercase();
        // No controller takes the pod of another one.
        let labels = json!({"app": name, "placet.dev/release": RELEASE});
        let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "server", "image": IMAGE}]}});
        let spec = spec(json!({"app": name}), template);
        json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "relabel", "labels": labels}, "spec": spec})
    };
    let zero = |app: Value, template: Value| json!({"replicas": 0, "selector": {"matchLabels": app}, "template": template});
    let job = |_: Value, mut template: Value| {
        template["spec"]["restartPolicy"] = json!("Never");
        json!({"suspend": true, "template": template})
    };
    vec![
        of("v1", "Pod", &|_, template| template["spec"].clone()),
        of("apps/v1", "Deployment", &zero),
        of("apps/v1", "ReplicaSet", &zero),
        of("apps/v1", "StatefulSet", &zero),
        of(
            "apps/v1",
            "DaemonSet",
            &|app, template| json!({"selector": {"matchLabels": app}, "template": template}),
        ),
        of(
            "v1",
            "ReplicationController",
            &|app, template| json!({"replicas": 0, "selector": app, "template": template}),
        ),
        of("batch/v1", "Job", &job),
        of(
            "batch/v1",
            "CronJob",
            &|app, template| json!({"schedule": "0 3 1 1 *", "suspend": true, "jobTemplate": {"spec": job(app, template)}}),
        ),
    ]
}
