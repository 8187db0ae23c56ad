//! A stand-in for the API server in unit tests: objects by path, changed as the API server would change them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use serde_json::{Value, json};

use crate::infra::fake_api::{Feed, stream};

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) content_type: String,
    pub(crate) body: Value,
}

impl Asked {
    pub(crate) fn is_write(&self) -> bool {
        self.method != "GET"
    }
}

type Objects = BTreeMap<String, Value>;
/// May change the objects before a request is looked at, and answer it instead: status and reason.
type Hook = Box<dyn FnMut(&Asked, &mut Objects) -> Option<(u16, &'static str)> + Send>;

#[derive(Default)]
struct State {
    objects: Objects,
    asked: Vec<Asked>,
    version: u64,
    hook: Option<Hook>,
    /// Watches that are open, by the path that they watch.
    watches: Vec<(String, Feed)>,
}

/// The API server. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Mutex<State>>);

impl Fake {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn client(&self) -> Client {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let fake = fake.clone();
            async move {
                let (parts, body) = request.into_parts();
                let bytes = body.collect().await?.to_bytes();
                let content_type = parts.headers.get(http::header::CONTENT_TYPE);
                let asked = Asked {
                    method: parts.method.to_string(),
                    path: parts.uri.path().to_owned(),
                    query: parts.uri.query().unwrap_or_default().to_owned(),
                    content_type: content_type.map_or("", |v| v.to_str().unwrap()).to_owned(),
                    body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
                };
                Ok::<_, tower::BoxError>(fake.answer(&asked))
            }
        });
        Client::new(service, "default")
    }

    pub(crate) fn put(&self, path: &str, object: Value) {
        self.0.lock().unwrap().store(path, object);
    }

    pub(crate) fn object(&self, path: &str) -> Option<Value> {
        self.0.lock().unwrap().objects.get(path).cloned()
    }

    pub(crate) fn in_collection(&self, path: &str) -> Vec<Value> {
        let state = self.0.lock().unwrap();
        state.objects.iter().filter(|(p, _)| belongs(p, path)).map(|(_, object)| object.clone()).collect()
    }

    pub(crate) fn take_away(&self, path: &str) {
        self.0.lock().unwrap().objects.remove(path);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.0.lock().unwrap().asked.clone()
    }

    pub(crate) fn writes(&self) -> Vec<Asked> {
        self.asked().into_iter().filter(Asked::is_write).collect()
    }

    pub(crate) fn hook<H>(&self, hook: H)
    where
        H: FnMut(&Asked, &mut Objects) -> Option<(u16, &'static str)> + Send + 'static,
    {
        self.0.lock().unwrap().hook = Some(Box::new(hook));
    }

    fn answer(&self, asked: &Asked) -> Response<Body> {
        let mut state = self.0.lock().unwrap();
        state.asked.push(asked.clone());
        if let Some(mut hook) = state.hook.take() {
            let answer = hook(asked, &mut state.objects);
            state.hook = Some(hook);
            if let Some((code, reason)) = answer {
                return failure(code, reason);
            }
        }
        if asked.query.contains("watch=true") {
            return state.watch(asked);
        }
        match state.act(asked) {
            Ok(object) => reply(200, &object),
            Err((code, reason)) => failure(code, reason),
        }
    }
}

impl State {
    fn store(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(path.to_owned(), object.clone());
        self.tell("MODIFIED", path, &object);
        object
    }

    fn tell(&mut self, type_: &str, path: &str, object: &Value) {
        let event = json!({"type": type_, "object": object});
        self.watches.retain(|(watched, feed)| !belongs(path, watched) || feed.send(event.clone()).is_ok());
    }

    /// Opens a watch: what changed since the version that was asked for comes at once.
    fn watch(&mut self, asked: &Asked) -> Response<Body> {
        let since = parameter(asked, "resourceVersion").and_then(|v| v.parse().ok()).unwrap_or(0_u64);
        let (feed, response) = stream();
        let version = |o: &Value| o["metadata"]["resourceVersion"].as_str().and_then(|v| v.parse().ok());
        for (_, object) in self.objects.iter().filter(|(path, _)| belongs(path, &asked.path)) {
            if version(object).is_some_and(|v: u64| v > since) {
                feed.send(json!({"type": "MODIFIED", "object": object})).unwrap();
            }
        }
        self.watches.push((asked.path.clone(), feed));
        response
    }

    fn act(&mut self, asked: &Asked) -> Result<Value, (u16, &'static str)> {
        let found = self.objects.get(&asked.path).cloned();
        match (asked.method.as_str(), found) {
            ("GET", Some(object)) => Ok(object),
            ("GET", None) if asked.query.contains("limit=") || is_collection(&asked.path) => {
                Ok(self.list(asked))
            }
            ("DELETE", Some(object)) => {
                self.objects.remove(&asked.path);
                self.tell("DELETED", &asked.path, &object);
                Ok(json!({"kind": "Status", "status": "Success"}))
            }
            ("POST", _) => {
                let path = format!("{}/{}", asked.path, asked.body["metadata"]["name"].as_str().unwrap());
                match self.objects.get(&path) {
                    Some(_) => Err((409, "AlreadyExists")),
                    None => Ok(self.store(&path, asked.body.clone())),
                }
            }
            ("PATCH", found) => self.patch(asked, found),
            _ => Err((404, "NotFound")),
        }
    }

    /// Writes the status of an object, and nothing else of it; applying replaces all of it, as for an only owner.
    fn patch_status(&mut self, path: &str, body: &Value) -> Result<Value, (u16, &'static str)> {
        let mut object = self.objects.get(path).cloned().ok_or((404, "NotFound"))?;
        match body["status"].clone() {
            Value::Null => drop(object.as_object_mut().unwrap().remove("status")),
            status => object["status"] = status,
        }
        Ok(self.store(path, object))
    }

    fn patch(&mut self, asked: &Asked, found: Option<Value>) -> Result<Value, (u16, &'static str)> {
        if let Some(path) = asked.path.strip_suffix("/status") {
            return self.patch_status(path, &asked.body);
        }
        let applies = asked.content_type.contains("apply-patch");
        // As the API server does: a uid that is asked for and not there is a conflict, not a new object.
        let uid = &asked.body["metadata"]["uid"];
        let Some(mut object) = found else {
            return if applies && uid.is_null() {
                Ok(self.store(&asked.path, asked.body.clone()))
            } else if applies {
                Err((409, "Conflict"))
            } else {
                Err((404, "NotFound"))
            };
        };
        if asked.content_type.contains("json-patch") {
            for step in asked.body.as_array().unwrap() {
                json_patch(&mut object, step).ok_or((422, "Invalid"))?;
            }
            return Ok(self.store(&asked.path, object));
        }
        let version = &asked.body["metadata"]["resourceVersion"];
        if (!version.is_null() && *version != object["metadata"]["resourceVersion"])
            || (!uid.is_null() && *uid != object["metadata"]["uid"])
        {
            return Err((409, "Conflict"));
        }
        merge(&mut object, &asked.body);
        Ok(self.store(&asked.path, object))
    }

    /// Objects of a kind in one or all namespaces; two a page where pages are asked for.
    fn list(&self, asked: &Asked) -> Value {
        let from: usize = parameter(asked, "continue").map_or(0, |part| part.parse().unwrap());
        let page = if parameter(asked, "limit").is_some() { 2 } else { usize::MAX };
        let found: Vec<_> = self.objects.iter().filter(|(path, _)| belongs(path, &asked.path)).collect();
        let items: Vec<_> = found.iter().skip(from).take(page).map(|(_, object)| object).collect();
        let end = from.saturating_add(page);
        let next = if found.len() > end { end.to_string() } else { String::new() };
        json!({"kind": "List", "metadata": {"resourceVersion": self.version.to_string(), "continue": next},
            "items": items})
    }
}

/// A parameter of a request's query.
fn parameter<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    asked.query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

/// Whether a path is that of a kind, in one or all namespaces, and not that of an object.
fn is_collection(path: &str) -> bool {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (["api", _, rest @ ..] | ["apis", _, _, rest @ ..]) = parts.as_slice() else { return false };
    matches!(rest, [_] | ["namespaces", _, _])
}

/// Whether an object's path is one of a collection's: of its namespace, or of any where it names none.
fn belongs(path: &str, collection: &str) -> bool {
    let Some((parent, _)) = path.rsplit_once('/') else { return false };
    if parent == collection {
        return true;
    }
    let all = parent.split_once("/namespaces/").and_then(|(group, rest)| {
        let (_, plural) = rest.split_once('/')?;
        Some(format!("{group}/{plural}"))
    });
    all.as_deref() == Some(collection)
}

/// RFC 7386.
fn merge(into: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in fields {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut into[key], value);
        }
    }
}

/// The operations of RFC 6902 that we use.
fn json_patch(object: &mut Value, step: &Value) -> Option<()> {
    let path = step["path"].as_str()?;
    let (parent, last) = path.rsplit_once('/')?;
    match step["op"].as_str()? {
        "test" => (object.pointer(path)? == &step["value"]).then_some(()),
        "remove" => match object.pointer_mut(parent)? {
            Value::Array(items) => {
                let index: usize = last.parse().ok().filter(|index| *index < items.len())?;
                items.remove(index);
                Some(())
            }
            Value::Object(fields) => fields.remove(last).map(|_| ()),
            _ => None,
        },
        "add" => {
            object.pointer_mut(parent)?.as_object_mut()?.insert(last.to_owned(), step["value"].clone());
            Some(())
        }
        _ => None,
    }
}

fn reply(code: u16, body: &Value) -> Response<Body> {
    Response::builder().status(code).body(Body::from(serde_json::to_vec(body).unwrap())).unwrap()
}

/// An error answer as the API server words it. `FieldManagerConflict:NAME` names who owns a field.
fn failure(code: u16, reason: &str) -> Response<Body> {
    let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": reason, "reason": reason, "code": code});
    if let Some(manager) = reason.strip_prefix("FieldManagerConflict:") {
        status["reason"] = json!("Conflict");
        status["details"] = json!({"causes": [{"reason": "FieldManagerConflict", "field": ".spec.gates",
            "message": format!("conflict with \"{manager}\" using placet.dev/v1alpha1")}]});
    }
    reply(code, &status)
}
