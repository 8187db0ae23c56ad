//! The harness itself: what scenarios rely on must be so.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helper fails the test")]

use std::time::Duration;

use placet_e2e::{
    Cluster, Did, PEOPLE, PodSignal, REAL_NODE_LABEL, SOON, eventually, person, record_skip, shared_cluster,
};
use serde_json::{Value, json};

#[path = "cluster/components.rs"]
mod components;
#[path = "cluster/left.rs"]
mod left;

/// Whether the node that is ours is there; a foreign cluster has none, and the test says that it was skipped.
fn has_our_node(cluster: &Cluster) -> bool {
    if cluster.is_foreign() {
        record_skip("run pods as processes", "the cluster of E2E_KUBECONFIG has no node of ours");
    }
    !cluster.is_foreign()
}

async fn get(cluster: &Cluster, args: &[&str]) -> Result<String, String> {
    let output = cluster.kubectl("admin", args).await.map_err(|error| error.to_string())?;
    output.ok().map_err(|error| error.to_string())
}

/// A container of our own image that serves what its process was given.
fn server(args: &[&str]) -> Value {
    let args: Vec<&str> = ["selftest-server"].iter().chain(args).copied().collect();
    json!({
        "name": "server",
        "image": "placet.dev/placet-cluster:test",
        "args": args,
        "ports": [{ "name": "web", "containerPort": 8080 }],
        "readinessProbe": { "httpGet": { "path": "/healthz", "port": "web" }, "periodSeconds": 1 },
    })
}

/// A pod spec for our node.
fn on_our_node(containers: &Value, more: &Value) -> Value {
    let mut spec = json!({
        "nodeSelector": { REAL_NODE_LABEL: "true" },
        "tolerations": [{ "key": REAL_NODE_LABEL, "operator": "Exists", "effect": "NoSchedule" }],
        "terminationGracePeriodSeconds": 5,
        "containers": containers,
    });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    spec
}

fn pod(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": namespace, "labels": { "app": name } },
        "spec": spec,
    })
}

fn service(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": name, "namespace": namespace },
        "spec": { "selector": { "app": name }, "ports": [{ "name": "web", "port": 80, "targetPort": "web" }] },
    })
}

/// What the server answers through the API server's proxy to the Service.
async fn proxied(cluster: &Cluster, namespace: &str, service: &str, path: &str) -> Result<String, String> {
    get(
        cluster,
        &["get", "--raw", &format!("/api/v1/namespaces/{namespace}/services/{service}:80/proxy{path}")],
    )
    .await
}

#[tokio::test]
async fn the_real_server_says_its_version_and_all_nodes_are_ready() {
    let cluster = shared_cluster().await.unwrap();
    if !has_our_node(cluster) {
        return;
    }
    let version: Value =
        serde_json::from_str(&get(cluster, &["version", "-o", "json"]).await.unwrap()).unwrap();
    assert_eq!(version["serverVersion"]["gitVersion"], "v1.36.3");
    assert_eq!(version["clientVersion"]["gitVersion"], "v1.36.3");
    let nodes = get(cluster, &["get", "nodes", "-o", "name"]).await.unwrap();
    assert_eq!(nodes.lines().count(), 3, "{nodes}");
    assert_eq!(cluster.status().await.unwrap().iter().filter(|line| line.contains("runs")).count(), 5);
    let helm = cluster.helm(["list", "-A", "-o", "json"]).await.unwrap().ok().unwrap();
    assert_eq!(helm.trim(), "[]");
}

#[tokio::test]
async fn people_are_who_they_are() {
    let cluster = shared_cluster().await.unwrap();
    for person in PEOPLE {
        let whoami =
            cluster.kubectl(person.name, ["auth", "whoami", "-o", "json"]).await.unwrap().ok().unwrap();
        let info = serde_json::from_str::<Value>(&whoami).unwrap()["status"]["userInfo"].clone();
        assert_eq!(info["username"], person.name);
        for group in person.groups {
            assert!(info["groups"].as_array().unwrap().contains(&json!(group)), "{whoami}");
        }
    }
    let secrets = ["get", "secrets", "-A"];
    assert_eq!(cluster.kubectl("root-admin", secrets).await.unwrap().code, 0);
    let refused = cluster.kubectl("mallory", secrets).await.unwrap();
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("Forbidden"), "{}", refused.stderr);
    assert!(person("nobody").is_none());
    assert!(cluster.kubeconfig("nobody").is_err());
}

#[tokio::test]
async fn a_simulated_pod_waits_for_its_gate_and_then_runs() {
    let cluster = shared_cluster().await.unwrap();
    cluster.namespace("gated", &[]).await.unwrap();
    let spec = json!({
        "schedulingGates": [{ "name": "placet.dev/hold" }],
        "containers": [{ "name": "main", "image": "registry.example/model@sha256:00" }],
    });
    cluster.apply("root-admin", &[pod("gated", "held", &spec)]).await.unwrap();
    cluster.becomes("gated", "pod/held", "{.status.conditions[0].reason}", "SchedulingGated").await.unwrap();
    let lift = r#"[{"op": "remove", "path": "/spec/schedulingGates/0"}]"#;
    get(cluster, &["patch", "-n", "gated", "pod/held", "--type=json", "-p", lift]).await.unwrap();
    cluster.becomes("gated", "pod/held", "{.status.phase}", "Running").await.unwrap();
    let node = cluster.field("gated", "pod/held", "{.spec.nodeName}").await.unwrap();
    assert!(cluster.is_foreign() || node.starts_with("kwok-node-"), "{node}");
}

#[tokio::test]
async fn a_pod_of_ours_is_a_process_with_volumes_an_account_and_a_service() {
    let cluster = shared_cluster().await.unwrap();
    if !has_our_node(cluster) {
        return;
    }
    let ns = "process";
    cluster.namespace(ns, &[]).await.unwrap();
    let mut container =
        server(&["--files=/etc/keys", "--starts", "/var/lib/data/starts", "--text", "$(GREETING)"]);
    container["env"] = json!([
        { "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
        { "name": "GREETING", "value": "$(POD) of $(WHERE) at /etc/keys" },
        { "name": "WHERE", "valueFrom": { "configMapKeyRef": { "name": "settings", "key": "where" } } },
    ]);
    // A variable can refer only to those before it.
    container["env"].as_array_mut().unwrap().swap(1, 2);
    container["volumeMounts"] = json!([
        { "name": "keys", "mountPath": "/etc/keys", "readOnly": true },
        { "name": "data", "mountPath": "/var/lib/data" },
    ]);
    let spec = on_our_node(
        &json!([container]),
        &json!({ "volumes": [{ "name": "keys", "secret": { "secretName": "keys" } }] }),
    );
    cluster.apply("root-admin", &[
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "keys", "namespace": ns },
                    "stringData": { "tls.key": "first" } }),
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings", "namespace": ns },
                    "data": { "where": "here" } }),
            service(ns, "web"),
            json!({
                "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "web", "namespace": ns },
                "spec": {
                    "serviceName": "web", "replicas": 1,
                    "selector": { "matchLabels": { "app": "web" } },
                    "template": { "metadata": { "labels": { "app": "web" } }, "spec": spec },
                    "volumeClaimTemplates": [{
                        "metadata": { "name": "data" },
                        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
                    }],
                },
            }),
        ],
    )
    .await.unwrap();
    get(cluster, &["rollout", "status", "-n", ns, "statefulset/web", "--timeout=60s"]).await.unwrap();

    // The Service, the secret, the variables, the account.
    assert_eq!(proxied(cluster, ns, "web", "/file/tls.key").await.unwrap(), "first");
    assert_eq!(proxied(cluster, ns, "web", "/text").await.unwrap(), "web-0 of here at /etc/keys");
    assert_eq!(proxied(cluster, ns, "web", "/who").await.unwrap(), "system:serviceaccount:process:default");
    let logs = cluster.kubectl("admin", ["logs", "-n", ns, "web-0", "--tail=1"]).await.unwrap().ok().unwrap();
    assert!(logs.starts_with("listening on 127.244."), "{logs}");
    let claim = cluster.claim_dir(ns, "data-web-0").await.unwrap().unwrap();
    assert!(claim.join("starts").is_file());

    // A changed secret arrives within two seconds.
    let patch = r#"{"stringData": {"tls.key": "second"}}"#;
    get(cluster, &["patch", "secret/keys", "-n", ns, "-p", patch]).await.unwrap();
    eventually("the new secret", Duration::from_secs(2), async || {
        let found = proxied(cluster, ns, "web", "/file/tls.key").await?;
        if found == "second" { Ok(()) } else { Err(found) }
    })
    .await
    .unwrap();

    // A crash is a restart of the same pod; a deletion is a new pod on the same volume.
    assert_eq!(cluster.signal_pod(ns, "web-0", None, PodSignal::Kill).await.unwrap(), Did::Done);
    cluster.becomes(ns, "pod/web-0", "{.status.containerStatuses[0].restartCount}", "1").await.unwrap();
    cluster
        .becomes(ns, "pod/web-0", "{.status.conditions[?(@.type=='Ready')].status}", "True")
        .await
        .unwrap();
    let exit =
        cluster.field(ns, "pod/web-0", "{.status.containerStatuses[0].lastState.terminated.exitCode}").await;
    assert_eq!(exit.unwrap(), "137");
    assert_eq!(proxied(cluster, ns, "web", "/starts").await.unwrap(), "2");
    let before = cluster.field(ns, "pod/web-0", "{.metadata.uid}").await.unwrap();
    get(cluster, &["delete", "pod/web-0", "-n", ns, "--wait=true"]).await.unwrap();
    eventually("a third start in a new pod", SOON, async || {
        let uid = cluster.field(ns, "pod/web-0", "{.metadata.uid}").await?;
        let starts = proxied(cluster, ns, "web", "/starts").await?;
        if uid != before && starts == "3" { Ok(()) } else { Err(format!("{uid} {starts}")) }
    })
    .await
    .unwrap();
    let logs = cluster.pod_logs(ns, "web-0").await.unwrap();
    assert_eq!(logs.matches("listening").count(), 3, "{logs}");
    assert_eq!(logs.matches("terminated").count(), 1, "SIGTERM came before the end: {logs}");

    // The claim's end is the directory's end.
    get(cluster, &["delete", "statefulset/web", "pvc/data-web-0", "-n", ns, "--wait=true"]).await.unwrap();
    eventually("the volume's directory to go", SOON, async || {
        if claim.exists() { Err(format!("{} is there", claim.display())) } else { Ok(()) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn jobs_end_as_their_processes_do() {
    let cluster = shared_cluster().await.unwrap();
    if !has_our_node(cluster) {
        return;
    }
    let ns = "jobs";
    cluster.namespace(ns, &[]).await.unwrap();
    let job = |name: &str, code: &str, init: Value| {
        let mut container = server(&["--exit", code]);
        container.as_object_mut().unwrap().remove("readinessProbe");
        let mut more = json!({ "restartPolicy": "Never" });
        if !init.is_null() {
            more["initContainers"] = init;
        }
        json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name, "namespace": ns },
            "spec": { "backoffLimit": 0, "template": { "spec": on_our_node(&json!([container]), &more) } },
        })
    };
    let mut first = server(&["--exit=0"]);
    first.as_object_mut().unwrap().remove("readinessProbe");
    first["name"] = json!("first");
    cluster
        .apply("root-admin", &[job("good", "0", json!([first])), job("bad", "7", Value::Null)])
        .await
        .unwrap();
    cluster.becomes(ns, "job/good", "{.status.succeeded}", "1").await.unwrap();
    cluster.becomes(ns, "job/bad", "{.status.failed}", "1").await.unwrap();
    let code = "{.items[0].status.containerStatuses[0].state.terminated.exitCode}";
    let args = ["get", "pods", "-n", ns, "-l", "job-name=bad", "-o", &format!("jsonpath={code}")];
    assert_eq!(get(cluster, &args).await.unwrap(), "7");
    get(cluster, &["delete", "namespace", ns, "--wait=true", "--timeout=60s"]).await.unwrap();
}

#[tokio::test]
async fn what_the_node_cannot_do_is_refused_with_all_reasons() {
    let cluster = shared_cluster().await.unwrap();
    if !has_our_node(cluster) {
        return;
    }
    cluster.namespace("refused", &[]).await.unwrap();
    let containers =
        json!([{ "name": "main", "image": "nginx", "livenessProbe": { "exec": { "command": ["true"] } } }]);
    let spec = on_our_node(&containers, &json!({ "hostNetwork": true }));
    cluster.apply("root-admin", &[pod("refused", "wrong", &spec)]).await.unwrap();
    cluster.becomes("refused", "pod/wrong", "{.status.phase}", "Failed").await.unwrap();
    let message = cluster.field("refused", "pod/wrong", "{.status.message}").await.unwrap();
    for word in ["hostNetwork", "nginx", "exec"] {
        assert!(message.contains(word), "{word} in {message}");
    }
    let reason = cluster.field("refused", "events", "{.items[*].reason}").await.unwrap();
    assert!(reason.contains("NotSupported"), "{reason}");
    get(cluster, &["delete", "pod/wrong", "-n", "refused", "--wait=true", "--timeout=20s"]).await.unwrap();
}

#[tokio::test]
async fn a_webhook_behind_a_service_is_called() {
    use base64::Engine as _;
    let cluster = shared_cluster().await.unwrap();
    if !has_our_node(cluster) {
        return;
    }
    let ns = "hooks";
    cluster.namespace(ns, &[]).await.unwrap();
    let name = format!("hook.{ns}.svc");
    let certified = rcgen::generate_simple_self_signed(vec![name]).unwrap();
    let (certificate, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
    let mut container = server(&["--tls=/etc/tls"]);
    container["volumeMounts"] = json!([{ "name": "tls", "mountPath": "/etc/tls" }]);
    container["readinessProbe"]["httpGet"]["scheme"] = json!("HTTPS");
    let spec = on_our_node(
        &json!([container]),
        &json!({ "volumes": [{ "name": "tls", "secret": { "secretName": "tls" } }] }),
    );
    cluster
        .apply(
            "root-admin",
            &[
                json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "tls", "namespace": ns },
                    "stringData": { "tls.crt": certificate, "tls.key": key } }),
                pod(ns, "hook", &spec),
                service(ns, "hook"),
            ],
        )
        .await
        .unwrap();
    cluster.becomes(ns, "pod/hook", "{.status.conditions[?(@.type=='Ready')].status}", "True").await.unwrap();
    let bundle = base64::engine::general_purpose::STANDARD.encode(&certificate);
    cluster.apply("root-admin", &[json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": { "name": "selftest" },
            "webhooks": [{
                "name": "selftest.placet.dev", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "failurePolicy": "Fail", "timeoutSeconds": 5,
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": ns } },
                "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                            "resources": ["configmaps"] }],
                "clientConfig": { "caBundle": bundle, "service": { "name": "hook", "namespace": ns, "port": 80, "path": "/deny" } },
            }],
        })],
    )
    .await.unwrap();
    eventually("the webhook's own words", SOON, async || {
        let create = ["create", "configmap", "x", "-n", ns];
        let output = cluster.kubectl("root-admin", create).await.map_err(|error| error.to_string())?;
        if output.code == 0 {
            cluster
                .kubectl("root-admin", ["delete", "configmap", "x", "-n", ns])
                .await
                .unwrap()
                .ok()
                .unwrap();
        }
        if output.stderr.contains("denied by the selftest") { Ok(()) } else { Err(output.stderr) }
    })
    .await
    .unwrap();
    get(cluster, &["delete", "validatingwebhookconfiguration/selftest"]).await.unwrap();
}
