//! A stand-in for the API server: answers by method and path.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::Value;

use crate::cluster::Cluster;

/// What comes back of an object that a webhook stamped.
pub fn received() -> Value {
    serde_json::json!({"metadata": {"annotations": {placet_api::keys::RECEIPT: "v1.receipt"}}})
}

/// What is answered to which request; anything else is a 404.
#[derive(Debug, Default, Clone)]
pub struct Answers(BTreeMap<String, (u16, Vec<u8>)>, Vec<String>);

impl Answers {
    /// Answers `METHOD PATH` with a status and JSON.
    pub fn with(mut self, request: &str, status: u16, body: &Value) -> Self {
        self.0.insert(request.to_owned(), (status, serde_json::to_vec(body).unwrap()));
        self
    }

    /// Lets the user do what is asked about objects of this name (`SelfSubjectAccessReview`), and nothing else.
    pub fn may(mut self, name: &str) -> Self {
        self.1.push(name.to_owned());
        self
    }

    /// Answers `METHOD PATH` with bytes.
    pub fn bytes(mut self, request: &str, body: Vec<u8>) -> Self {
        self.0.insert(request.to_owned(), (200, body));
        self
    }
}

/// A request as it was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `METHOD PATH`, without the query.
    pub request: String,
    /// JSON body.
    pub body: Value,
    /// Headers whose names begin with `x-placet`.
    pub headers: Vec<(String, String)>,
}

/// A cluster that gives these answers, in namespace `lending`, and the list of what was asked.
pub fn cluster(answers: Answers) -> (Cluster, Arc<Mutex<Vec<Asked>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (log, answers) = (Arc::clone(&log), answers.clone());
        async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await?.to_bytes();
            let key = format!("{} {}", parts.method, parts.uri.path());
            let headers = parts
                .headers
                .iter()
                .filter(|(name, _)| name.as_str().starts_with("x-placet"))
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect();
            let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            log.lock().unwrap().push(Asked { request: key.clone(), body: body.clone(), headers });
            let none = (404, br#"{"kind":"Status","reason":"NotFound","message":"not found"}"#.to_vec());
            let (status, body) = if key.ends_with("/selfsubjectaccessreviews") {
                let allowed =
                    answers.1.iter().any(|n| body["spec"]["resourceAttributes"]["name"] == n.as_str());
                (201, serde_json::to_vec(&serde_json::json!({"status": {"allowed": allowed}}))?)
            } else {
                answers.0.get(&key).cloned().unwrap_or(none)
            };
            let response = Response::builder().status(status).body(Body::from(body))?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(response)
        }
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let client = {
        let _inside = runtime.enter();
        Client::new(service, "lending")
    };
    (Cluster::stand_in(runtime, client, "lending"), asked)
}
