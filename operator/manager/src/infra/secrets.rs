//! Keys that are made once and kept in Secrets: the log's and the receipts' signing seeds, the people key.
//!
//! A key that changes voids what it signed, so a Secret is created at most once, marked immutable, and never written
//! again. Whoever wins the race to create it, all replicas use that one. Only the key of receipts is ever replaced, whole
//! ([`replace_secret_key`]): the log knows its predecessors.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams, Preconditions};
use kube::{Client, ResourceExt as _};
use tokio::time::timeout;
use tracing::info;

use super::client::explain;

/// The field of the Secret that holds the key.
pub const FIELD: &str = "key";

/// How long one call may take.
const CALL: Duration = Duration::from_secs(15);

/// The Secret cannot be read, made, or used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The API server refused or did not answer.
    #[error("Secret {name}: {action} failed: {reason}")]
    Api {
        /// Namespace and name.
        name: String,
        /// What was tried.
        action: &'static str,
        /// What was answered.
        reason: String,
    },
    /// The Secret is there, but its value is no key of ours. It is not overwritten.
    #[error(
        "Secret {name}: wanted {wanted} random bytes in field \"{FIELD}\", found {found}; it is never overwritten, because \
         what it signed would be void: restore it from a backup, or delete it to begin with a new key"
    )]
    Malformed {
        /// Namespace and name.
        name: String,
        /// The length that was wanted.
        wanted: usize,
        /// What is there instead.
        found: String,
    },
    /// The system has no randomness.
    #[error("no random bytes for Secret {name}: {reason}")]
    Random {
        /// Namespace and name.
        name: String,
        /// What the system said.
        reason: String,
    },
}

/// A key from a Secret. Its bytes do not show in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey {
    bytes: Vec<u8>,
    made_now: bool,
    uid: String,
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({} bytes, uid {})", self.bytes.len(), self.uid)
    }
}

impl SecretKey {
    /// The key.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The key as an array, for a seed; `None` when it was asked for with another length.
    pub fn array<const N: usize>(&self) -> Option<[u8; N]> {
        self.bytes.as_slice().try_into().ok()
    }

    /// Whether this call created it. A new key beside an old log is worth an alarm.
    pub fn made_now(&self) -> bool {
        self.made_now
    }

    /// The Secret's uid: changes when somebody deleted and made it again.
    pub fn uid(&self) -> &str {
        &self.uid
    }
}

/// The key in Secret `namespace`/`name`, made of `length` random bytes when the Secret does not exist.
///
/// # Errors
/// When the API server refuses, or the Secret holds something else. It is never overwritten.
pub async fn ensure_secret_key(
    client: &Client,
    namespace: &str,
    name: &str,
    length: usize,
) -> Result<SecretKey, SecretError> {
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    let full = format!("{namespace}/{name}");
    let failed = |action, reason: String| SecretError::Api { name: full.clone(), action, reason };
    if let Some(secret) = get(&api, name).await.map_err(|reason| failed("reading", reason))? {
        return read(&secret, &full, length, false);
    }
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes)
        .map_err(|error| SecretError::Random { name: full.clone(), reason: error.to_string() })?;
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(BTreeMap::from([(
                "app.kubernetes.io/managed-by".to_owned(),
                "placet-operator".to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(FIELD.to_owned(), ByteString(bytes))])),
        immutable: Some(true),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    match timeout(CALL, api.create(&PostParams::default(), &secret)).await {
        Ok(Ok(made)) => {
            info!(secret = %full, "made a new key");
            read(&made, &full, length, true)
        }
        // Another replica was first, or our own call was answered too late: theirs it is.
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
            match get(&api, name).await.map_err(|reason| failed("reading", reason))? {
                Some(secret) => read(&secret, &full, length, false),
                None => Err(failed("creating", "it exists and cannot be found; try again".to_owned())),
            }
        }
        Ok(Err(error)) => Err(failed("creating", explain(&error))),
        Err(_) => Err(failed("creating", format!("no answer within {} s", CALL.as_secs()))),
    }
}

/// Makes a new key in the place of `old`, which Secret `namespace`/`name` holds: deletes the Secret and makes it anew.
///
/// # Errors
/// When the API server refuses, or the old key is still there. Cut off in between, it is made by [`ensure_secret_key`].
pub async fn replace_secret_key(
    client: &Client,
    namespace: &str,
    name: &str,
    old: &SecretKey,
) -> Result<SecretKey, SecretError> {
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    let failed =
        |reason: String| SecretError::Api { name: format!("{namespace}/{name}"), action: "deleting", reason };
    let uid = Some(old.uid.clone()).filter(|uid| !uid.is_empty());
    let only_that = DeleteParams {
        preconditions: uid.map(|uid| Preconditions { uid: Some(uid), resource_version: None }),
        ..DeleteParams::default()
    };
    match timeout(CALL, api.delete(name, &only_that)).await {
        Ok(Ok(_)) => {}
        // Gone already, or another one has its name: then that one is taken.
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {}
        Ok(Err(error)) => return Err(failed(explain(&error))),
        Err(_) => return Err(failed(format!("no answer within {} s", CALL.as_secs()))),
    }
    let new = ensure_secret_key(client, namespace, name, old.bytes.len()).await?;
    if new.bytes == old.bytes {
        return Err(failed(
            "the old key is still there; see whether a finalizer keeps the Secret".to_owned(),
        ));
    }
    Ok(new)
}

async fn get(api: &Api<Secret>, name: &str) -> Result<Option<Secret>, String> {
    match timeout(CALL, api.get_opt(name)).await {
        Ok(Ok(secret)) => Ok(secret),
        Ok(Err(error)) => Err(explain(&error)),
        Err(_) => Err(format!("no answer within {} s", CALL.as_secs())),
    }
}

fn read(secret: &Secret, name: &str, length: usize, made_now: bool) -> Result<SecretKey, SecretError> {
    let malformed = |found: String| SecretError::Malformed { name: name.to_owned(), wanted: length, found };
    let value = secret.data.as_ref().and_then(|data| data.get(FIELD));
    let bytes = value.ok_or_else(|| malformed("no such field".to_owned()))?.0.clone();
    if bytes.len() != length {
        return Err(malformed(format!("{} bytes", bytes.len())));
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return Err(malformed("nothing but zeros".to_owned()));
    }
    Ok(SecretKey { bytes, made_now, uid: secret.uid().unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use base64::Engine as _;
    use serde_json::{Value, json};

    use super::super::fake_api::{self, Seen};
    use super::*;

    fn stored(bytes: &[u8]) -> Value {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "k", "namespace": "ns", "uid": "u1"},
               "data": {"key": base64::engine::general_purpose::STANDARD.encode(bytes)}})
    }

    /// An API server with one Secret.
    fn server(secret: Option<Value>) -> (Client, std::sync::Arc<Mutex<Vec<Seen>>>) {
        let store = Mutex::new(secret);
        fake_api::client(move |seen| {
            let mut store = store.lock().unwrap();
            let answer = match (seen.method.as_str(), store.clone()) {
                ("GET", Some(secret)) => fake_api::reply(200, &secret),
                ("GET", None) => fake_api::failure(404, "NotFound"),
                ("DELETE", Some(secret)) => {
                    let wanted = &seen.body["preconditions"]["uid"];
                    if *wanted == secret["metadata"]["uid"] {
                        *store = None;
                        fake_api::reply(200, &json!({"kind": "Status", "status": "Success"}))
                    } else {
                        fake_api::failure(409, "Conflict")
                    }
                }
                ("POST", None) => {
                    let mut made = seen.body.clone();
                    made["metadata"]["uid"] = json!("u2");
                    *store = Some(made.clone());
                    fake_api::reply(201, &made)
                }
                _ => fake_api::failure(409, "AlreadyExists"),
            };
            async move { answer }
        })
    }

    #[tokio::test]
    async fn a_key_is_made_once_and_then_always_the_same() {
        let (client, asked) = server(None);
        let first = ensure_secret_key(&client, "ns", "k", 32).await.unwrap();
        let second = ensure_secret_key(&client, "ns", "k", 32).await.unwrap();
        assert_eq!(first.bytes(), second.bytes());
        assert!(first.made_now() && !second.made_now());
        assert_eq!(first.array::<32>().unwrap().to_vec(), first.bytes());
        assert_eq!(second.uid(), "u2");
        let asked = asked.lock().unwrap();
        let written: Vec<_> = asked.iter().filter(|seen| seen.method != "GET").collect();
        assert_eq!(written.len(), 1);
        assert_eq!(written[0].body["immutable"], json!(true));
    }

    #[tokio::test]
    async fn a_key_is_replaced_whole_and_only_the_one_that_is_meant() {
        let (client, asked) = server(Some(stored(&[7; 32])));
        let old = ensure_secret_key(&client, "ns", "k", 32).await.unwrap();
        let new = replace_secret_key(&client, "ns", "k", &old).await.unwrap();
        assert_ne!(new.bytes(), old.bytes());
        assert!(new.made_now());
        // Once more with the same key in mind: another one is there, and is taken.
        let again = replace_secret_key(&client, "ns", "k", &old).await.unwrap();
        assert_eq!((again.bytes(), again.made_now()), (new.bytes(), false));
        let methods: Vec<String> = asked.lock().unwrap().iter().map(|seen| seen.method.clone()).collect();
        assert_eq!(methods, ["GET", "DELETE", "GET", "POST", "DELETE", "GET"]);
    }

    #[tokio::test]
    async fn a_key_that_does_not_go_is_an_error() {
        for code in [200, 403] {
            let kept = stored(&[7; 32]);
            let (client, _) = fake_api::client(move |seen| {
                let answer = match (seen.method.as_str(), code) {
                    ("DELETE", 403) => fake_api::failure(403, "Forbidden"),
                    ("DELETE", _) => fake_api::reply(200, &json!({"kind": "Status", "status": "Success"})),
                    _ => fake_api::reply(200, &kept),
                };
                async move { answer }
            });
            let old = ensure_secret_key(&client, "ns", "k", 32).await.unwrap();
            let error = replace_secret_key(&client, "ns", "k", &old).await.unwrap_err().to_string();
            let wanted = if code == 403 { "Forbidden" } else { "still there" };
            assert!(error.contains("deleting failed") && error.contains(wanted), "{error}");
        }
    }

    #[tokio::test]
    async fn the_loser_of_a_race_takes_the_winners_key() {
        let winner = stored(&[7; 32]);
        let reads = Mutex::new(0);
        let (client, _) = fake_api::client(move |seen| {
            let mut reads = reads.lock().unwrap();
            *reads += 1;
            let answer = match (seen.method.as_str(), *reads) {
                ("GET", 1) => fake_api::failure(404, "NotFound"),
                ("POST", _) => fake_api::failure(409, "AlreadyExists"),
                _ => fake_api::reply(200, &winner),
            };
            async move { answer }
        });
        let key = ensure_secret_key(&client, "ns", "k", 32).await.unwrap();
        assert_eq!(key.bytes(), [7; 32]);
        assert!(!key.made_now());
    }

    #[tokio::test]
    async fn malformed_secrets_are_reported_and_never_written() {
        let without = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "k"}, "data": {}});
        for (secret, found) in
            [(stored(&[1; 31]), "31 bytes"), (stored(&[0; 32]), "zeros"), (without, "no such field")]
        {
            let (client, asked) = server(Some(secret));
            let error = ensure_secret_key(&client, "ns", "k", 32).await.unwrap_err().to_string();
            assert!(error.contains("ns/k") && error.contains(found), "{error}");
            assert!(error.contains("never overwritten"), "{error}");
            assert!(asked.lock().unwrap().iter().all(|seen| seen.method == "GET"));
        }
    }

    #[tokio::test]
    async fn a_refusal_is_passed_on() {
        let (client, _) = fake_api::client(|_| async { fake_api::failure(403, "Forbidden") });
        let error = ensure_secret_key(&client, "ns", "k", 32).await.unwrap_err().to_string();
        assert!(error.contains("reading failed") && error.contains("Forbidden"), "{error}");
    }

    #[test]
    fn keys_do_not_show_in_debug() {
        let key = SecretKey { bytes: vec![42; 32], made_now: true, uid: "u".to_owned() };
        assert_eq!(format!("{key:?}"), "SecretKey(32 bytes, uid u)");
    }
}
