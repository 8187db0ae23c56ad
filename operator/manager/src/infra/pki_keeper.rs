//! Keeps the CA's Secret, the served leaf and the bundle up to date.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use prometheus_client::metrics::gauge::Gauge;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::backoff::Backoff;
use super::client::explain;
use super::clock::Clock;
use super::pki::{CaSet, Change, Leaf, Lifetimes, PkiError, step};
use super::supervisor::Shutdown;
use super::tls::Serving;

/// How long one call may take.
const CALL: Duration = Duration::from_secs(15);

/// How often a lost race is run again. Each loss means that another replica has written; more losses than this mean
/// that something else is wrong.
const RACES: usize = 5;

/// The fields of the Secret that are ours.
const FIELDS: [&str; 5] = ["ca.crt", "ca.key", "next.crt", "next.key", "old.crt"];

/// What to keep.
#[derive(Debug, Clone)]
pub struct PkiConfig {
    /// The operator's namespace.
    pub namespace: String,
    /// The Secret that holds the CAs.
    pub secret: String,
    /// The names that the leaf is good for, see [`service_names`].
    pub names: Vec<String>,
    /// How long things live.
    pub lifetimes: Lifetimes,
    /// How often the Secret is read again, to learn what other replicas wrote. Well below the overlap.
    pub recheck: Duration,
}

impl PkiConfig {
    /// For a Service, with the default lifetimes.
    pub fn for_service(namespace: &str, service: &str, secret: &str) -> Self {
        let lifetimes = Lifetimes::default();
        Self {
            namespace: namespace.to_owned(),
            secret: secret.to_owned(),
            names: service_names(namespace, service),
            lifetimes,
            recheck: lifetimes.overlap / 4,
        }
    }
}

/// The DNS names of a Service. The API server calls webhooks by the first.
pub fn service_names(namespace: &str, service: &str) -> Vec<String> {
    let base = format!("{service}.{namespace}");
    vec![format!("{base}.svc"), format!("{base}.svc.cluster.local"), base]
}

/// The bundle in force: the CAs to trust, in PEM.
pub type Bundle = Arc<str>;

/// The keeper. Make it with [`PkiKeeper::start`], then run it as a task.
#[derive(Debug)]
pub struct PkiKeeper {
    api: Api<Secret>,
    config: PkiConfig,
    clock: Clock,
    serving: Arc<Serving>,
    bundle: watch::Sender<Bundle>,
    leaf: Option<Leaf>,
    expiry: Gauge,
}

impl PkiKeeper {
    /// Loads or makes the CA, and issues the first leaf: when this returns, there is something to serve.
    ///
    /// # Errors
    /// When the Secret cannot be read, written, or used.
    pub async fn start(client: &Client, config: PkiConfig, clock: Clock) -> Result<Self, PkiError> {
        let mut keeper = Self {
            api: Api::namespaced(client.clone(), &config.namespace),
            config,
            clock,
            serving: Serving::new(),
            bundle: watch::channel(Arc::from("")).0,
            leaf: None,
            expiry: Gauge::default(),
        };
        keeper.sync().await?;
        Ok(keeper)
    }

    /// What the TLS server serves.
    pub fn serving(&self) -> Arc<Serving> {
        Arc::clone(&self.serving)
    }

    /// The bundle, and a notice when it changes.
    pub fn bundle(&self) -> watch::Receiver<Bundle> {
        self.bundle.subscribe()
    }

    /// Keeps everything up to date until `shutdown`. A Secret that cannot be read or written is logged and tried
    /// again; what is served stays.
    ///
    /// # Errors
    /// None; the type is that of a task.
    pub async fn run(mut self, shutdown: Shutdown) -> anyhow::Result<()> {
        let mut backoff =
            Backoff::new(Duration::from_secs(1), self.config.recheck.max(Duration::from_secs(1)));
        let mut pause = self.pause();
        loop {
            tokio::select! {
                () = shutdown.wait() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
            pause = match self.sync().await {
                Ok(()) => {
                    backoff.reset();
                    self.pause()
                }
                Err(problem) => {
                    error!(%problem, "keeping the certificates; what is served stays, trying again");
                    backoff.next_wait()
                }
            };
        }
    }

    /// Brings Secret, leaf and bundle up to date once.
    ///
    /// # Errors
    /// When the Secret cannot be read, written, or used. Nothing that is served has changed then.
    pub async fn sync(&mut self) -> Result<(), PkiError> {
        let now = self.clock.now();
        let set = self.settle(now).await?;
        // First the bundle: it must be on its way to the API server before a new leaf is served.
        let bundle: Bundle = Arc::from(set.bundle());
        self.bundle.send_if_modified(|current| {
            let changed = **current != *bundle;
            *current = bundle;
            changed
        });
        if self.leaf.as_ref().is_none_or(|leaf| leaf.is_due(&set, now)) {
            let leaf = Leaf::issue(&set, &self.config.names, now, &self.config.lifetimes)?;
            info!(not_after = %leaf.not_after(), "serving a new certificate");
            self.expiry.set(leaf.not_after().as_second());
            self.serving.set(Arc::clone(leaf.certified()));
            self.leaf = Some(leaf);
        }
        Ok(())
    }

    /// When the served leaf ends, in seconds since 1970, for the registry.
    pub fn expiry(&self) -> Gauge {
        self.expiry.clone()
    }

    fn pause(&self) -> Duration {
        let due = self.leaf.as_ref().map_or(Duration::ZERO, |leaf| {
            Duration::try_from(leaf.renew_at().duration_since(self.clock.now())).unwrap_or(Duration::ZERO)
        });
        // Never a busy loop, whatever the clock says.
        due.min(self.config.recheck).max(Duration::from_millis(100))
    }

    fn full_name(&self) -> String {
        format!("{}/{}", self.config.namespace, self.config.secret)
    }

    fn failed(&self, reason: impl Into<String>) -> PkiError {
        PkiError::Store { secret: self.full_name(), reason: reason.into() }
    }

    /// Reads the set, steps it, and writes what changed; when another replica writes in between, theirs is read and
    /// stepped again.
    async fn settle(&self, now: Timestamp) -> Result<CaSet, PkiError> {
        for _ in 0..RACES {
            let stored = self.call("reading", self.api.get_opt(&self.config.secret)).await?.flatten();
            let set = match &stored {
                None => None,
                Some(secret) => {
                    let data = secret.data.as_ref();
                    CaSet::from_fields(|field| {
                        data.and_then(|data| data.get(field)).map(|value| value.0.as_slice())
                    })?
                }
            };
            let (set, changes) = step(set, now, &self.config.lifetimes)?;
            if changes.is_empty() || self.write(stored.as_ref(), &set).await? {
                for change in &changes {
                    let secret = self.full_name();
                    if matches!(change, Change::Replaced { .. }) {
                        warn!(%secret, "{change}");
                    } else {
                        info!(%secret, "{change}");
                    }
                }
                return Ok(set);
            }
        }
        Err(self.failed("wanted to write it, others wrote first every time; is something else managing it?"))
    }

    /// Whether the set was written; `false` when somebody else wrote in between.
    async fn write(&self, stored: Option<&Secret>, set: &CaSet) -> Result<bool, PkiError> {
        let fields = set.to_fields();
        let Some(stored) = stored else {
            let data = fields.into_iter().map(|(name, value)| (name.to_owned(), ByteString(value))).collect();
            let secret = Secret {
                metadata: ObjectMeta {
                    name: Some(self.config.secret.clone()),
                    labels: Some(BTreeMap::from([(
                        "app.kubernetes.io/managed-by".to_owned(),
                        "placet-operator".to_owned(),
                    )])),
                    ..ObjectMeta::default()
                },
                data: Some(data),
                type_: Some("Opaque".to_owned()),
                ..Secret::default()
            };
            let params = PostParams::default();
            let made = self.call("creating", self.api.create(&params, &secret)).await?;
            return Ok(made.is_some());
        };
        // A merge patch with the resourceVersion: refused when somebody wrote in between, and it touches no field that
        // is not ours.
        let data: serde_json::Map<String, Value> = FIELDS
            .iter()
            .map(|name| {
                let value = fields.get(name).map_or(Value::Null, |value| {
                    Value::String(base64::engine::general_purpose::STANDARD.encode(value))
                });
                ((*name).to_owned(), value)
            })
            .collect();
        let version = stored.resource_version();
        let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "data": data}));
        let params = PatchParams::default();
        let patched = self.api.patch(&self.config.secret, &params, &patch);
        Ok(self.call("writing", patched).await?.is_some())
    }

    /// One call with its deadline; `None` when it was a lost race.
    async fn call<T>(
        &self,
        action: &str,
        call: impl Future<Output = kube::Result<T>>,
    ) -> Result<Option<T>, PkiError> {
        match timeout(CALL, call).await {
            Ok(Ok(value)) => Ok(Some(value)),
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Ok(None),
            Ok(Err(error)) => Err(self.failed(format!("{action} failed: {}", explain(&error)))),
            Err(_) => Err(self.failed(format!("{action}: no answer within {} s", CALL.as_secs()))),
        }
    }
}

#[cfg(test)]
#[path = "pki_keeper_tests.rs"]
mod tests;
