//! Every way that the API server has of writing an object: stamps stay, all editors are kept, and what another webhook
//! changes after ours is not stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use placet_e2e::placet::{ASSESSMENT, Lending, RELEASE, SYSTEM};
use placet_e2e::{Output, SOON, eventually};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::common::{holds, refused_with};
use super::lending;

const STAMP: &str = "placet.dev/stamp";
const RECEIPT: &str = "placet.dev/receipt";
/// What somebody types instead.
const FORGED: &str = r#"{"creator":{"user":"erin"},"createdAt":"2026-01-01T00:00:00Z"}"#;

async fn get(lending: &Lending<'_>, object: &str) -> Value {
    let text = lending.kubectl("admin", &["get", object, "-o", "json"]).await.unwrap().ok().unwrap();
    let mut object: Value = serde_json::from_str(&text).unwrap();
    // What another version of it must not name.
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.retain(|key, _| !["resourceVersion", "managedFields"].contains(&key.as_str()));
    object
}

fn stamp(object: &Value) -> (Value, Value) {
    let annotations = &object["metadata"]["annotations"];
    (annotations[STAMP].clone(), annotations[RECEIPT].clone())
}

async fn send(lending: &Lending<'_>, who: &str, verb: &[&str], object: &Value) -> Output {
    let args = [verb, &["-n", lending.ns, "-f", "-"]].concat();
    lending.cluster.kubectl_with_input(who, args, &object.to_string()).await.unwrap()
}

async fn patch(lending: &Lending<'_>, who: &str, object: &str, kind: &str, patch: &Value) -> Output {
    let (kind, patch) = (format!("--type={kind}"), patch.to_string());
    lending.kubectl(who, &["patch", object, &kind, "-p", &patch]).await.unwrap()
}

/// Server-side apply as a second field manager.
const SECOND: [&str; 4] = ["apply", "--server-side", "--force-conflicts", "--field-manager=second"];

#[tokio::test]
async fn in_every_way_of_writing_the_stamp_stays_and_all_editors_are_kept() {
    let Some(lending) = lending("rewritten", Some("deny")).await else { return };
    lending.all_documents().await.unwrap();
    lending.approve("bob", "model-owner", None).await.unwrap();
    let (system, assessment) = (format!("ais/{SYSTEM}"), format!("ia/{ASSESSMENT}"));
    let annotations = json!({ STAMP: FORGED, RECEIPT: "v1.forged" });
    let key = |name: &str| format!("/metadata/annotations/{}", name.replace('/', "~1"));
    for object in ["apv/model-owner", &system, &assessment] {
        let before = get(&lending, object).await;
        let wanted = stamp(&before);
        holds(wanted.0.as_str().unwrap(), &["\"creator\":{\"user\":\""]);
        let mut typed = before.clone();
        for (name, value) in annotations.as_object().unwrap() {
            typed["metadata"]["annotations"][name] = value.clone();
        }
        let mut dropped = before.clone();
        dropped["metadata"].as_object_mut().unwrap().remove("annotations");
        let merge = json!({ "metadata": { "annotations": annotations } });
        let replaced = json!([
            { "op": "replace", "path": key(STAMP), "value": FORGED },
            { "op": "replace", "path": key(RECEIPT), "value": "v1.forged" },
        ]);
        let removed =
            json!([{ "op": "remove", "path": key(STAMP) }, { "op": "remove", "path": key(RECEIPT) }]);
        let all_removed = json!({ "metadata": { "annotations": null } });
        // Custom resources know no strategic merge: the API server says so, and nothing is written.
        let strategic = patch(&lending, "root-admin", object, "strategic", &merge).await;
        assert_ne!(strategic.code, 0, "{strategic:?}");
        assert_eq!(stamp(&get(&lending, object).await), wanted, "{object}: strategic");
        for (kind, change) in
            [("merge", &merge), ("merge", &all_removed), ("json", &replaced), ("json", &removed)]
        {
            patch(&lending, "root-admin", object, kind, change).await.ok().unwrap();
            assert_eq!(stamp(&get(&lending, object).await), wanted, "{object}: {kind} {change}");
        }
        // The second manager takes the annotations over, and then leaves them out, which removes what it owns.
        let ways: [(&[&str], &Value); 6] = [
            (&["replace"], &typed),
            (&["replace"], &dropped),
            (&["apply"], &typed),
            (&SECOND, &typed),
            (&SECOND, &dropped),
            (&["replace", "--subresource=status"], &typed),
        ];
        for (way, text) in ways {
            send(&lending, "root-admin", way, text).await.ok().unwrap();
            assert_eq!(stamp(&get(&lending, object).await), wanted, "{object}: {way:?}");
        }
        let status = ["patch", object, "--subresource=status", "--type=merge", "-p", &merge.to_string()];
        lending.kubectl("root-admin", &status).await.unwrap().ok().unwrap();
        assert_eq!(stamp(&get(&lending, object).await), wanted, "{object}: status");
    }

    // An approval is nobody's to edit.
    let approval = get(&lending, "apv/model-owner").await;
    let mut other = approval.clone();
    other["spec"]["role"] = json!("executive");
    let change = json!({ "spec": { "role": "executive" } });
    let steps = json!([{ "op": "replace", "path": "/spec/role", "value": "executive" }]);
    for (kind, change) in [("merge", &change), ("json", &steps)] {
        refused_with(
            &patch(&lending, "root-admin", "apv/model-owner", kind, change).await,
            &["spec is immutable"],
        );
    }
    for way in [["replace"].as_slice(), &["apply"], &SECOND] {
        refused_with(&send(&lending, "root-admin", way, &other).await, &["spec is immutable"]);
    }
    assert_eq!(stamp(&get(&lending, "apv/model-owner").await), stamp(&approval));

    // Each who edits a document is kept, in whichever way; a status is no edit.
    for who in ["bob", "vera", "erin", "mallory"] {
        lending.cluster.grant(lending.ns, who, "placet-data-scientist").await.unwrap();
    }
    for (object, at) in [(&system, "/spec/purpose"), (&assessment, "/spec/harms/0/description")] {
        let said = |n: usize| json!(format!("As edited for the {n}. time"));
        let edited = async |n: usize| {
            let mut now = get(&lending, object).await;
            *now.pointer_mut(at).unwrap() = said(n);
            now
        };
        let merge = json!({ "spec": edited(1).await["spec"] });
        patch(&lending, "alice", object, "merge", &merge).await.ok().unwrap();
        let steps = json!([{ "op": "replace", "path": at, "value": said(2) }]);
        patch(&lending, "bob", object, "json", &steps).await.ok().unwrap();
        send(&lending, "vera", &["replace"], &edited(3).await).await.ok().unwrap();
        send(&lending, "erin", &["apply"], &edited(4).await).await.ok().unwrap();
        // Beside the edit, mallory names somebody else.
        let mut typed = edited(5).await;
        typed["metadata"]["annotations"][STAMP] = json!(FORGED);
        send(&lending, "mallory", &SECOND, &typed).await.ok().unwrap();
        let now = get(&lending, object).await;
        assert_eq!(now.pointer(at), Some(&said(5)));
        let stamp: Value = serde_json::from_str(stamp(&now).0.as_str().unwrap()).unwrap();
        let editors: Vec<&str> =
            stamp["editors"].as_array().unwrap().iter().filter_map(|e| e["by"]["user"].as_str()).collect();
        assert_eq!(stamp["creator"]["user"], "dana");
        assert_eq!(editors, ["alice", "bob", "vera", "erin", "mallory"], "{object}: {stamp}");
    }
    // What bob approved is not what there is now.
    lending.findings_say(&["bob approved earlier evidence; changed since"]).await.unwrap();
}

/// A mutating webhook of somebody else's, on loopback. Its path says how it behaves; see [`Meddler::title`].
struct Meddler {
    port: u16,
    bundle: String,
    calls: Arc<AtomicUsize>,
    /// Ends with it.
    _server: JoinSet<()>,
}

impl Meddler {
    async fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let mut server = JoinSet::new();
        server.spawn(async move {
            // One call for each connection.
            let mut calls = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                calls.spawn(Self::answer(acceptor.clone(), stream, Arc::clone(&counter)));
            }
        });
        Self { port, bundle: STANDARD.encode(made.cert.pem()), calls, _server: server }
    }

    async fn answer(
        acceptor: TlsAcceptor,
        stream: TcpStream,
        calls: Arc<AtomicUsize>,
    ) -> std::io::Result<()> {
        let mut stream = BufReader::new(acceptor.accept(stream).await?);
        let (mut path, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            let line = line.trim_end();
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
            if let Some(rest) = line.strip_prefix("POST ") {
                path = rest.split(['?', ' ']).next().unwrap_or_default().to_owned();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let review: Value = serde_json::from_slice(&body)?;
        let title = Self::title(&path, calls.fetch_add(1, Ordering::Relaxed));
        let steps = match review["request"]["kind"]["kind"].as_str() {
            Some("AISystem") => json!([{ "op": "replace", "path": "/spec/title", "value": title }]),
            Some("Approval") => json!([{ "op": "replace", "path": "/spec/decision", "value": "Reject" }]),
            _ => json!([]),
        };
        let answer = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": { "uid": review["request"]["uid"], "allowed": true, "patchType": "JSONPatch",
                          "patch": STANDARD.encode(steps.to_string()) },
        })
        .to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all((head + &answer).as_bytes()).await?;
        stream.flush().await?;
        stream.shutdown().await
    }

    /// What it makes of a title: always the same, or another one at each call.
    fn title(path: &str, call: usize) -> String {
        if path == "/restless" { format!("Meddled /restless {call}") } else { format!("Meddled {path}") }
    }

    /// Puts it before or after ours, which is called placet-mutating: they are called in the order of their names.
    async fn in_force(&self, lending: &Lending<'_>, name: &str, path: &str, reinvoked: &str) {
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": { "name": name },
            "webhooks": [{
                "name": "meddler.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "failurePolicy": "Fail", "reinvocationPolicy": reinvoked, "timeoutSeconds": 5,
                "clientConfig": { "url": format!("https://127.0.0.1:{}{path}", self.port), "caBundle": self.bundle },
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": lending.ns } },
                "rules": [{ "apiGroups": ["placet.dev"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"],
                            "resources": ["aisystems", "approvals"] }],
            }],
        });
        lending.apply("root-admin", &configuration.to_string()).await.unwrap().ok().unwrap();
        let probe =
            lending.manifest("system").unwrap().replacen("name: credit-eligibility", "name: probe", 1);
        let create =
            ["create", "--dry-run=server", "-n", lending.ns, "-o", "jsonpath={.spec.title}", "-f", "-"];
        eventually(&format!("the webhook {name} to be called"), SOON, async || {
            let said = lending.cluster.kubectl_with_input("dana", create, &probe).await;
            let said = said.map_err(|e| e.to_string())?;
            if said.stdout.starts_with(&format!("Meddled {path}")) {
                Ok(())
            } else {
                Err(format!("{said:?}"))
            }
        })
        .await
        .unwrap();
    }

    async fn gone(lending: &Lending<'_>, name: &str) {
        let delete = ["delete", "mutatingwebhookconfiguration", name];
        lending.kubectl("root-admin", &delete).await.unwrap().ok().unwrap();
    }
}

#[tokio::test]
async fn what_another_webhook_changes_after_ours_is_refused_and_what_it_changes_before_is_stamped() {
    let Some(lending) = lending("meddled", Some("deny")).await else { return };
    if lending.cluster.is_foreign() {
        placet_e2e::record_skip(
            "a second webhook",
            "the API server of another cluster does not reach the scenario",
        );
        return;
    }
    lending.documents(&["release-v2"]).await.unwrap();
    let meddler = Meddler::start().await;
    let system = lending.manifest("system").unwrap();
    let refused = &["another mutating webhook changed the spec after it was stamped", "see that none does"];

    // After ours: neither what was made nor what was decided is stored as something else.
    meddler.in_force(&lending, "zz-meddled", "/after", "Never").await;
    refused_with(&lending.apply("dana", &system).await.unwrap(), refused);
    let digest = lending.digest(&format!("mr/{RELEASE}")).await.unwrap();
    let approval = lending.approval("turned", "model-owner", "ModelRelease", RELEASE, &digest).to_string();
    refused_with(&lending.apply("bob", &approval).await.unwrap(), refused);
    for object in [format!("ais/{SYSTEM}"), "apv/turned".to_owned()] {
        refused_with(&lending.kubectl("admin", &["get", &object]).await.unwrap(), &["NotFound"]);
    }
    Meddler::gone(&lending, "zz-meddled").await;

    // Before ours, and called again since ours changed the object: the second time it makes another one of it.
    meddler.in_force(&lending, "aa-meddled", "/restless", "IfNeeded").await;
    let before = meddler.calls.load(Ordering::Relaxed);
    refused_with(&lending.apply("dana", &system).await.unwrap(), refused);
    assert_eq!(meddler.calls.load(Ordering::Relaxed) - before, 2, "it was called again");
    Meddler::gone(&lending, "aa-meddled").await;

    // Before ours, always the same: what is stamped is what is stored.
    meddler.in_force(&lending, "aa-meddled", "/before", "IfNeeded").await;
    lending.apply("dana", &system).await.unwrap().ok().unwrap();
    Meddler::gone(&lending, "aa-meddled").await;
    let stored = get(&lending, &format!("ais/{SYSTEM}")).await;
    assert_eq!(stored["spec"]["title"], "Meddled /before");
    let reason = "{.status.conditions[?(@.type=='Ready')].reason}";
    lending.cluster.becomes(lending.ns, &format!("ais/{SYSTEM}"), reason, "Classified").await.unwrap();
}
