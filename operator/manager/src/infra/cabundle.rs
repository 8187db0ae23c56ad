//! Keeps `caBundle` in our webhook configurations equal to our bundle.
//!
//! A JSON patch under a field manager of its own owns `webhooks[name].clientConfig.caBundle` and nothing else: Helm and
//! Argo CD own the rest and do not see a difference. A server-side apply would also own the entry's key, and then a
//! chart that drops an entry cannot be upgraded: what is left of it, a name and a bundle, is not valid (seen with
//! Kubernetes 1.36). The configurations are watched, so that a bundle
//! that somebody overwrote is put back. What is in force decides readiness: an API server that does not trust our
//! certificate cannot call us, however well we serve.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use kube::Client;
use kube::discovery::ApiResource;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tracing::{info, warn};

use super::backoff::Backoff;
use super::client::explain;
use super::clock::Clock;
use super::pki;
use super::pki_keeper::Bundle;
use super::supervisor::Shutdown;
use super::tls::Serving;
use super::watch::{Event, Watch, WatchConfig};

/// The field manager that owns `caBundle`.
pub const FIELD_MANAGER: &str = "placet-ca-injector";

/// How long one call may take.
const CALL: Duration = Duration::from_secs(15);

/// The shortest time between two writes of one configuration, so that somebody who keeps overwriting costs little.
const SPACING: Duration = Duration::from_secs(1);

/// Which kind of webhook configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookKind {
    /// `MutatingWebhookConfiguration`
    Mutating,
    /// `ValidatingWebhookConfiguration`
    Validating,
}

impl WebhookKind {
    fn resource(self) -> ApiResource {
        let (kind, plural) = match self {
            Self::Mutating => ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
            Self::Validating => ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
        };
        ApiResource {
            group: "admissionregistration.k8s.io".to_owned(),
            version: "v1".to_owned(),
            api_version: "admissionregistration.k8s.io/v1".to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        }
    }
}

/// A webhook configuration by kind and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its kind.
    pub kind: WebhookKind,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.resource().kind, self.name)
    }
}

/// What is in force in one configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
enum InForce {
    /// Nothing has been heard of it yet.
    Unknown,
    /// It does not exist.
    Absent,
    /// The bundle of each of its webhooks, in PEM, without repetition; none for a webhook without a bundle.
    Bundles(Vec<Option<Vec<u8>>>),
}

/// Tells readers whether what we serve is trusted by what is in force. Cheap to clone; checking costs a signature
/// verification per configuration, so it belongs into a readiness probe and not on the admission path.
#[derive(Debug, Clone)]
pub struct TrustCheck {
    targets: Arc<[(Target, Mutex<InForce>)]>,
    serving: Arc<Serving>,
    dns_name: String,
    clock: Clock,
}

impl TrustCheck {
    /// Whether the API server, with the bundles now in force, accepts the certificate now served, for all
    /// configurations.
    ///
    /// # Errors
    /// The first configuration that is absent, not yet seen, or does not trust us, with the reason.
    pub fn check(&self) -> Result<(), String> {
        let leaf = self.serving.get().ok_or("no certificate is served yet")?;
        let now = self.clock.now();
        for (target, state) in self.targets.iter() {
            let state = state.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let bundles = match state {
                InForce::Unknown => return Err(format!("{target}: not yet seen")),
                InForce::Absent => {
                    return Err(format!("{target}: does not exist; is the chart installed whole?"));
                }
                InForce::Bundles(bundles) => bundles,
            };
            for bundle in bundles {
                let bundle = bundle.ok_or_else(|| format!("{target}: a webhook has no caBundle yet"))?;
                pki::accepts(&bundle, &leaf, &self.dns_name, now)
                    .map_err(|reason| format!("{target}: {reason}"))?;
            }
        }
        Ok(())
    }

    fn set(&self, index: usize, state: InForce) {
        if let Some((_, slot)) = self.targets.get(index) {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = state;
        }
    }
}

/// Keeps the bundles. Run it as a task.
pub struct Injector {
    client: Client,
    bundle: watch::Receiver<Bundle>,
    trust: TrustCheck,
}

impl fmt::Debug for Injector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Injector").field("trust", &self.trust).finish_non_exhaustive()
    }
}

impl Injector {
    /// For these configurations. `serving` and `dns_name` (the first of `service_names`) are for the trust check.
    pub fn new(
        client: Client,
        targets: Vec<Target>,
        bundle: watch::Receiver<Bundle>,
        serving: Arc<Serving>,
        dns_name: String,
        clock: Clock,
    ) -> Self {
        let targets = targets.into_iter().map(|target| (target, Mutex::new(InForce::Unknown))).collect();
        Self { client, bundle, trust: TrustCheck { targets, serving, dns_name, clock } }
    }

    /// The handle for readiness.
    pub fn trust(&self) -> TrustCheck {
        self.trust.clone()
    }

    /// Watches and injects until `shutdown`. Whatever the API server answers is logged and tried again.
    ///
    /// # Errors
    /// None; the type is that of a task.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let (sender, mut seen) = mpsc::unbounded_channel();
        let watches = self.trust.targets.iter().enumerate().map(|(index, (target, _))| {
            let mut config = WatchConfig::all(target.kind.resource());
            config.fields = Some(format!("metadata.name={}", target.name));
            let sender = sender.clone();
            let watch = Watch::new(self.client.clone(), config, move |event| {
                let object = match event {
                    Event::Restarted(objects) => objects.into_iter().next(),
                    Event::Applied(object) => Some(object),
                    Event::Deleted(_) => None,
                };
                // The receiver lives as long as this future.
                let _ = sender.send((index, object));
            });
            watch.run(shutdown.clone())
        });
        let watches = futures::future::try_join_all(watches.collect::<Vec<_>>());
        let Self { client, mut bundle, trust } = self;
        let inject = async {
            let mut known: Vec<Option<Value>> = vec![None; trust.targets.len()];
            let mut backoff = Backoff::new(SPACING, Duration::from_secs(30));
            loop {
                // Everything that is known is looked at on each turn: comparing is cheap and nothing is forgotten.
                let wanted: Bundle = bundle.borrow_and_update().clone();
                let mut failed = false;
                for (index, slot) in known.iter_mut().enumerate() {
                    let Some(patch) = slot.as_ref().and_then(|object| patch_for(object, &wanted)) else {
                        continue;
                    };
                    let (target, _) = &trust.targets[index];
                    match apply(&client, target, &patch).await {
                        Ok(object) => {
                            info!(%target, "injected the caBundle");
                            backoff.reset();
                            trust.set(index, in_force(&object));
                            *slot = Some(object);
                            tokio::time::sleep(SPACING).await;
                        }
                        Err(problem) => {
                            warn!(%target, %problem, "the caBundle could not be injected, trying again");
                            failed = true;
                        }
                    }
                }
                let retry = if failed { backoff.next_wait() } else { Duration::MAX };
                let mut first = tokio::select! {
                    event = seen.recv() => event,
                    changed = bundle.changed() => match changed {
                        Ok(()) => None,
                        // The keeper is gone: the process is stopping.
                        Err(_) => return,
                    },
                    () = tokio::time::sleep(retry), if failed => None,
                };
                while let Some((index, object)) = first.take().or_else(|| seen.try_recv().ok()) {
                    trust.set(index, object.as_ref().map_or(InForce::Absent, in_force));
                    if let Some(slot) = known.get_mut(index) {
                        *slot = object;
                    }
                }
            }
        };
        tokio::select! {
            () = shutdown.wait() => Ok(()),
            ended = watches => ended.map(|_| ()),
            () = inject => { shutdown.wait().await; Ok(()) }
        }
    }
}

fn webhooks(object: &Value) -> &[Value] {
    object.get("webhooks").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn bundle_of(webhook: &Value) -> Option<Vec<u8>> {
    let text = webhook.pointer("/clientConfig/caBundle")?.as_str()?;
    // What is not base64 cannot come from the API server; it would not be our bundle either.
    base64::engine::general_purpose::STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty())
}

fn in_force(object: &Value) -> InForce {
    let mut bundles = Vec::new();
    for webhook in webhooks(object) {
        let bundle = bundle_of(webhook);
        if !bundles.contains(&bundle) {
            bundles.push(bundle);
        }
    }
    InForce::Bundles(bundles)
}

/// The JSON patch that gives all webhooks of `object` the bundle `wanted`; `None` when they have it, or when there is
/// nothing yet to inject. Its tests make it fail when the configuration was replaced or its webhooks were reordered
/// since it was read.
fn patch_for(object: &Value, wanted: &str) -> Option<Value> {
    if wanted.is_empty() {
        return None;
    }
    let encoded = base64::engine::general_purpose::STANDARD.encode(wanted);
    let mut steps = Vec::new();
    for (index, webhook) in webhooks(object).iter().enumerate() {
        if bundle_of(webhook).as_deref() != Some(wanted.as_bytes()) {
            let at = format!("/webhooks/{index}");
            steps.push(json!({"op": "test", "path": format!("{at}/name"), "value": webhook["name"]}));
            // `add` also replaces.
            steps.push(json!({"op": "add", "path": format!("{at}/clientConfig/caBundle"), "value": encoded}));
        }
    }
    if steps.is_empty() {
        return None;
    }
    steps.insert(0, json!({"op": "test", "path": "/metadata/uid", "value": object["metadata"]["uid"]}));
    Some(Value::Array(steps))
}

async fn apply(client: &Client, target: &Target, patch: &Value) -> Result<Value, String> {
    let resource = target.kind.resource();
    let uri = format!(
        "/apis/{}/{}/{}?fieldManager={FIELD_MANAGER}",
        resource.api_version, resource.plural, target.name
    );
    let body = serde_json::to_vec(patch).map_err(|error| error.to_string())?;
    let request = http::Request::patch(uri)
        .header(http::header::CONTENT_TYPE, "application/json-patch+json")
        .body(body)
        .map_err(|error| error.to_string())?;
    match timeout(CALL, client.request::<Value>(request)).await {
        Ok(Ok(object)) => Ok(object),
        Ok(Err(error)) => Err(explain(&error)),
        Err(_) => Err(format!("no answer within {} s", CALL.as_secs())),
    }
}

#[cfg(test)]
#[path = "cabundle_tests.rs"]
mod tests;
