//! The cluster, as raw JSON: digests are computed over what is stored, never over typed structs that drop fields.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use placet_api::Kind;
use placet_api::keys::{GROUP, MANAGER_CLI, VERSION};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::args::Global;
use crate::target::name_of;

/// How long one call may last: admission of our own kinds takes at most 10 s, the rest is the way there and back.
const CALL: Duration = Duration::from_secs(30);

/// Files of the log that are asked for at a time: the way there is most of what one costs, and the API server has other work.
const AT_ONCE: usize = 16;

/// A connection to the API server.
pub struct Cluster {
    runtime: Runtime,
    client: Client,
    /// The namespace that commands act in.
    pub namespace: String,
    /// Where the operator lives.
    pub operator: Operator,
}

/// Where the operator's objects are.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Its namespace.
    pub namespace: String,
    /// Prefix of its objects' names.
    pub release: String,
}

/// The API server said no.
#[derive(Debug)]
pub struct Refused {
    /// HTTP status.
    pub code: u16,
    /// Reason code, such as `AlreadyExists`.
    pub reason: String,
    /// What it said, whole.
    message: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refused {}

impl Cluster {
    /// Connects as kubectl would.
    ///
    /// # Errors
    /// No kubeconfig, or one that cannot be used.
    pub fn connect(global: &Global) -> anyhow::Result<Self> {
        // With two providers in one build rustls panics at first use; an error means that one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("no runtime for network calls")?;
        let (client, namespace) = runtime.block_on(async {
            let options = KubeConfigOptions { context: global.context.clone(), ..KubeConfigOptions::default() };
            let mut config = match (&global.kubeconfig, &global.context) {
                (Some(path), _) => {
                    let file = Kubeconfig::read_from(path)
                        .with_context(|| format!("--kubeconfig {}", path.display()))?;
                    Config::from_custom_kubeconfig(file, &options).await?
                }
                (None, Some(_)) => Config::from_kubeconfig(&options).await?,
                (None, None) => Config::infer().await?,
            };
            // People wait at most for one call, not for a series of them.
            config.default_retry = false;
            config.connect_timeout = Some(Duration::from_secs(10));
            let namespace = config.default_namespace.clone();
            anyhow::Ok((Client::try_from(config)?, namespace))
        })
        .context(
            "no way to reach a cluster: wanted --kubeconfig, KUBECONFIG, ~/.kube/config or a pod's service account",
        )?;
        let namespace = global.namespace.clone().unwrap_or(namespace);
        name_of(&namespace).context("namespace")?;
        name_of(&global.operator_namespace).context("--operator-namespace")?;
        name_of(&global.operator_release).context("--operator-release")?;
        let operator = Operator {
            namespace: global.operator_namespace.clone(),
            release: global.operator_release.clone(),
        };
        Ok(Self { runtime, client, namespace, operator })
    }

    /// A connection to a stand-in.
    #[cfg(test)]
    pub fn stand_in(runtime: Runtime, client: Client, namespace: &str) -> Self {
        let operator = Operator { namespace: "placet-system".into(), release: "placet".into() };
        Self { runtime, client, namespace: namespace.into(), operator }
    }

    /// Sends a request; gives status and body.
    fn send(&self, request: Request<Body>) -> anyhow::Result<(u16, Vec<u8>)> {
        let what = format!("{} {}", request.method(), request.uri().path());
        self.runtime.block_on(async {
            match tokio::time::timeout(CALL, ask(self.client.clone(), request)).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(e)) => Err(anyhow!(e)
                    .context(format!("{what}: the API server was not reached, see `kubectl cluster-info`"))),
                Err(_) => bail!("{what}: wanted an answer within {} s, found none", CALL.as_secs()),
            }
        })
    }

    fn json(&self, method: Method, path: &str, body: Option<(&str, &Value)>) -> anyhow::Result<Value> {
        let mut request = Request::builder().method(method).uri(path).header("accept", "application/json");
        let bytes = match body {
            Some((content_type, value)) => {
                request = request.header("content-type", content_type);
                serde_json::to_vec(value)?
            }
            None => Vec::new(),
        };
        let (status, body) = self.send(request.body(Body::from(bytes))?)?;
        if (200..300).contains(&status) {
            return serde_json::from_slice(&body).with_context(|| format!("{path}: wanted JSON"));
        }
        Err(self.refused(status, &body).into())
    }

    /// What the API server said; that the operator does not answer is told in words of ours, its own below.
    fn refused(&self, status: u16, body: &[u8]) -> Refused {
        let mut refused = refused(status, body);
        let said = refused.message.replace('\n', " ");
        let unheard = (said.contains("failed calling webhook") && said.contains(".placet.dev\""))
            || (status == 503 && said.contains("no endpoints available for service"));
        if unheard {
            let Operator { namespace, release } = &self.operator;
            refused.message = format!(
                "Placet's operator does not answer. Until it does, nobody writes objects of placet.dev, its log is read from a \
                 copy only (--dir), and namespaces set to deny or hold start no new pods. Running pods, other namespaces, kubectl \
                 get, placet why and placet check -f DIR go on. Look at it: kubectl get pods -n {namespace} -l \
                 app.kubernetes.io/instance={release}; how to take one namespace or all out of its way: README, \"3 a.m.\"\n  \
                 the API server said: {}",
                without_paths(&said)
            );
        }
        refused
    }

    /// Reads one path; nothing when it is not there.
    pub fn get_path(&self, path: &str) -> anyhow::Result<Option<Value>> {
        match self.json(Method::GET, path, None) {
            Ok(value) => Ok(Some(value)),
            Err(e) if e.downcast_ref::<Refused>().is_some_and(|r| r.code == 404) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// One of our objects as it is stored.
    ///
    /// # Errors
    /// It is not there, may not be read, or the cluster is not reached.
    pub fn get(&self, kind: Kind, name: &str) -> anyhow::Result<Value> {
        let found = self.get_path(&path_of(kind, &self.namespace, Some(name)))?;
        found.ok_or_else(|| {
            let place =
                if kind.namespaced() { format!(" in namespace {}", self.namespace) } else { String::new() };
            anyhow!(
                "wanted the {kind} {name}{place}, found none; see `kubectl get {}{}`",
                kind.plural(),
                if kind.namespaced() { " -A" } else { "" }
            )
        })
    }

    /// All objects of a kind; of namespaced kinds those in a namespace, an empty one meaning all. Each carries apiVersion and kind.
    pub fn list(&self, kind: Kind, namespace: &str) -> anyhow::Result<Vec<Value>> {
        let mut out = self.list_path(&path_of(kind, namespace, None), "")?;
        for item in &mut out {
            item["apiVersion"] = format!("{GROUP}/{VERSION}").into();
            item["kind"] = kind.as_str().into();
        }
        Ok(out)
    }

    /// All objects of a path, page by page; `query` (`labelSelector=…`) is escaped already.
    pub fn list_path(&self, base: &str, query: &str) -> anyhow::Result<Vec<Value>> {
        let mut out = Vec::new();
        let mut next = String::new();
        loop {
            let mut path = format!("{base}?limit=500");
            for more in [query, next.as_str()].into_iter().filter(|m| !m.is_empty()) {
                path = format!("{path}&{more}");
            }
            let mut page = self.json(Method::GET, &path, None)?;
            out.extend(page["items"].as_array_mut().map(std::mem::take).unwrap_or_default());
            match page.pointer("/metadata/continue").and_then(Value::as_str) {
                // The token is base64 in the URL-safe alphabet, so that it needs no escaping.
                Some(token) if !token.is_empty() && !next.ends_with(token) => {
                    next = format!("continue={token}");
                }
                _ => return Ok(out),
            }
        }
    }

    /// Creates one of our objects. What admission says against it is the error, whole.
    pub fn create(&self, kind: Kind, object: &Value) -> anyhow::Result<Value> {
        let path = format!("{}?fieldManager={MANAGER_CLI}", path_of(kind, &self.namespace, None));
        self.json(Method::POST, &path, Some(("application/json", object)))
    }

    /// Merges a patch into an object.
    pub fn merge(&self, path: &str, change: &Value) -> anyhow::Result<Value> {
        let path = format!("{path}?fieldManager={MANAGER_CLI}");
        self.json(Method::PATCH, &path, Some(("application/merge-patch+json", change)))
    }

    /// Deletes one of our objects if it is still the one that was read.
    pub fn delete(&self, kind: Kind, name: &str, uid: &str, version: &str) -> anyhow::Result<Value> {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions",
            "preconditions": {"uid": uid, "resourceVersion": version}});
        let path = path_of(kind, &self.namespace, Some(name));
        self.json(Method::DELETE, &path, Some(("application/json", &options)))
    }

    /// Whether you may do something with one of our objects: a `SelfSubjectAccessReview`, without a namespace for the
    /// whole cluster.
    pub fn may(&self, verb: &str, plural: &str, name: &str, namespace: Option<&str>) -> anyhow::Result<bool> {
        let mut asked =
            json!({"group": GROUP, "version": VERSION, "resource": plural, "verb": verb, "name": name});
        if let Some(namespace) = namespace {
            asked["namespace"] = namespace.into();
        }
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked}});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer = self.json(Method::POST, path, Some(("application/json", &review)))?;
        let said = |at: &str| answer.pointer(at).and_then(Value::as_bool);
        Ok(said("/status/allowed") == Some(true) && said("/status/denied") != Some(true))
    }

    /// The user name that the API server knows you by.
    pub fn whoami(&self) -> anyhow::Result<String> {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let answer = self.json(Method::POST, path, Some(("application/json", &review)))?;
        let user = answer.pointer("/status/userInfo/username").and_then(Value::as_str);
        user.map(str::to_owned).context("SelfSubjectReview: wanted status.userInfo.username, found none")
    }

    /// The operator's `ConfigMap` with the head of its log and its public keys.
    pub fn log_head(&self) -> anyhow::Result<Value> {
        let Operator { namespace, release } = &self.operator;
        let path = self.log_head_path();
        self.get_path(&path)?.with_context(|| {
            format!(
                "wanted the ConfigMap {release}-log-head in namespace {namespace}, found none; is the operator \
                 installed there? (--operator-namespace, --operator-release)"
            )
        })
    }

    /// Path of that `ConfigMap`.
    pub fn log_head_path(&self) -> String {
        let Operator { namespace, release } = &self.operator;
        format!("/api/v1/namespaces/{namespace}/configmaps/{release}-log-head")
    }

    /// A reader's token from one of the operator's Secrets, as base64; nothing when it may not be read or is not there.
    ///
    /// # Errors
    /// The cluster is not reached.
    pub fn token(&self, suffix: &str) -> anyhow::Result<Result<String, String>> {
        let Operator { namespace, release } = &self.operator;
        let name = format!("{release}-{suffix}");
        match self.get_path(&format!("/api/v1/namespaces/{namespace}/secrets/{name}")) {
            Ok(Some(secret)) => {
                let token = secret.pointer("/data/key").and_then(Value::as_str);
                let decodes = |t: &&str| base64::engine::general_purpose::STANDARD.decode(t).is_ok();
                Ok(token
                    .filter(decodes)
                    .map(str::to_owned)
                    .ok_or_else(|| format!("Secret {name} in {namespace}: wanted data.key, found none")))
            }
            Ok(None) => Ok(Err(format!("there is no Secret {name} in namespace {namespace}"))),
            Err(e) if e.downcast_ref::<Refused>().is_some() => Ok(Err(e.to_string())),
            Err(e) => Err(e),
        }
    }

    /// A file of the operator's log, through the API server's service proxy; nothing when it is not there.
    pub fn log_file(&self, path: &str, headers: &[(&str, &str)]) -> anyhow::Result<Option<Vec<u8>>> {
        let Operator { namespace, release } = &self.operator;
        let uri =
            format!("/api/v1/namespaces/{namespace}/services/https:{release}:8443/proxy/evidence/{path}");
        let mut request = Request::builder().method(Method::GET).uri(&uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (status, body) = self.send(request.body(Body::empty())?)?;
        match status {
            200 => Ok(Some(body)),
            404 => Ok(None),
            status => {
                Err(anyhow::Error::from(self.refused(status, &body)).context(format!("evidence/{path}")))
            }
        }
    }

    /// Files of the operator's log, several at a time, until `most` bytes are read. One that could not be read is left out:
    /// who needs it asks for it again, and is told why.
    pub fn log_files(
        &self,
        wanted: Vec<(String, Vec<(&'static str, String)>)>,
        most: usize,
        got: &mut dyn FnMut(String, Option<Vec<u8>>),
    ) {
        let Operator { namespace, release } = &self.operator;
        let base = format!("/api/v1/namespaces/{namespace}/services/https:{release}:8443/proxy/evidence");
        self.runtime.block_on(async {
            let mut running = tokio::task::JoinSet::new();
            let mut wanted = wanted.into_iter();
            let mut bytes = 0;
            loop {
                while running.len() < AT_ONCE && bytes < most {
                    let Some((path, headers)) = wanted.next() else { break };
                    let mut request = Request::builder().method(Method::GET).uri(format!("{base}/{path}"));
                    for (name, value) in headers {
                        request = request.header(name, value);
                    }
                    let Ok(request) = request.body(Body::empty()) else { continue };
                    let client = self.client.clone();
                    running
                        .spawn(async move { (path, tokio::time::timeout(CALL, ask(client, request)).await) });
                }
                let Some(ended) = running.join_next().await else { return };
                match ended {
                    Ok((path, Ok(Ok((200, body))))) => {
                        bytes += body.len();
                        got(path, Some(body));
                    }
                    Ok((path, Ok(Ok((404, _))))) => got(path, None),
                    _ => {}
                }
            }
        });
    }
}

/// Sends a request; gives status and body.
async fn ask(client: Client, request: Request<Body>) -> Result<(u16, Vec<u8>), kube::Error> {
    let response = client.send(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes().to_vec();
    Ok((status, body))
}

/// A text without the paths of the addresses in it: the one of a webhook holds a secret.
fn without_paths(text: &str) -> String {
    let mut parts = text.split("https://");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c == '"' || c.is_whitespace()).unwrap_or(part.len());
        let (address, rest) = part.split_at(end);
        let host = address.split(['/', '?']).next().unwrap_or_default();
        out.push_str("https://");
        out.push_str(host);
        out.push_str(if host.len() < address.len() { "/…" } else { "" });
        out.push_str(rest);
    }
    out
}

/// Path of one of our objects, or of all of them.
pub fn path_of(kind: Kind, namespace: &str, name: Option<&str>) -> String {
    let mut path = format!("/apis/{GROUP}/{VERSION}");
    if kind.namespaced() && !namespace.is_empty() {
        path = format!("{path}/namespaces/{namespace}");
    }
    path = format!("{path}/{}", kind.plural());
    match name {
        Some(name) => format!("{path}/{name}"),
        None => path,
    }
}

fn refused(code: u16, body: &[u8]) -> Refused {
    let status: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let text = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut message = text("message");
    if message.is_empty() {
        let body = String::from_utf8_lossy(body);
        message = format!("the API server answered {code}: {}", body.trim());
    }
    Refused { code, reason: text("reason"), message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answers, cluster};

    #[test]
    fn an_operator_that_does_not_answer_is_said_in_words_and_no_secret_is_quoted() {
        let quoted = "Internal error occurred: failed calling webhook \"own.placet.dev\": failed to call webhook: Post \
                      \"https://placet.placet-system.svc:8443/mutate/s3cr3t?timeout=10s\": dial tcp 10.0.0.1:8443: connect: \
                      connection refused";
        let path = path_of(Kind::Approval, "lending", None);
        let failed = json!({"kind": "Status", "reason": "InternalError", "message": quoted});
        let (cluster, _) = cluster(Answers::default().with(&format!("POST {path}"), 500, &failed));
        let said = cluster.create(Kind::Approval, &json!({})).unwrap_err().to_string();
        for part in [
            "operator does not answer",
            "3 a.m.",
            "svc:8443/…\": dial tcp",
            "kubectl get pods -n placet-system",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains("s3cr3t") && said.lines().count() == 2, "{said}");
        // Another webhook's failure, and what ours says, stay as they are.
        for other in
            ["failed calling webhook \"x.example.com\": EOF", "own.placet.dev\" denied the request: no"]
        {
            let failed = json!({"kind": "Status", "reason": "InternalError", "message": other});
            let (cluster, _) =
                crate::testing::cluster(Answers::default().with(&format!("POST {path}"), 500, &failed));
            assert_eq!(cluster.create(Kind::Approval, &json!({})).unwrap_err().to_string(), other);
        }
    }

    #[test]
    fn files_of_the_log_are_read_several_at_a_time_and_no_more_than_there_is_room_for() {
        let base = "GET /api/v1/namespaces/placet-system/services/https:placet:8443/proxy/evidence";
        let mut answers = Answers::default();
        for i in 0..100 {
            answers = answers.bytes(&format!("{base}/objects/{i}"), vec![0; 10]);
        }
        let (cluster, asked) = cluster(answers);
        let wanted = || (0..101).map(|i| (format!("objects/{i}"), Vec::new())).collect();
        let mut found = std::collections::BTreeMap::new();
        cluster.log_files(wanted(), usize::MAX, &mut |path, bytes| {
            found.insert(path, bytes);
        });
        assert_eq!(found.values().filter(|b| b.as_ref().is_some_and(|b| b.len() == 10)).count(), 100);
        assert_eq!(found.get("objects/100"), Some(&None));
        asked.lock().unwrap().clear();
        cluster.log_files(wanted(), 100, &mut |_, _| {});
        assert!((10..=10 + AT_ONCE).contains(&asked.lock().unwrap().len()));
    }
}
