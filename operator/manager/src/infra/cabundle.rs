//! Keeps `caBundle` and `service.path` in our webhook configurations ours.
//!
//! A JSON patch under a field manager of its own owns these two fields and nothing else: Helm and Argo CD own the rest and
//! do not see a difference. A server-side apply would also own the entry's key, and then a chart that drops an entry
//! cannot be upgraded: what is left of it, a name and a bundle, is not valid (seen with Kubernetes 1.36). The
//! configurations are watched, so that what somebody overwrote is put back. What is in force decides readiness: an API
//! server that does not trust our certificate, or does not know the token in our paths (`door.rs`), cannot call us,
//! however well we serve.
//!
//! What an entry is for follows from its name, by the table that the routes are made from. An entry that is not in the
//! table is left alone, and named in the log and by the readiness probe.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use kube::Client;
use kube::discovery::ApiResource;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::backoff::Backoff;
use super::client::explain;
use super::clock::Clock;
use super::door::Door;
use super::pki;
use super::pki_keeper::Bundle;
use super::supervisor::Shutdown;
use super::tls::Serving;
use super::watch::{Event, Watch, WatchConfig};

/// The field manager that owns `caBundle` and `service.path`.
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

/// Names of entries, and the endpoint that each leads to.
pub type Entries = &'static [(&'static str, &'static str)];

fn endpoint(entries: Entries, name: &str) -> Option<&'static str> {
    entries.iter().find(|(entry, _)| *entry == name).map(|(_, endpoint)| *endpoint)
}

/// What is in force in one configuration.
#[derive(Clone, PartialEq, Eq)]
enum InForce {
    /// Nothing has been heard of it yet.
    Unknown,
    /// It does not exist.
    Absent,
    /// It does.
    Seen {
        /// The bundle of each of its webhooks, in PEM, without repetition; none for a webhook without a bundle.
        bundles: Vec<Option<Vec<u8>>>,
        /// Name and path of each of its webhooks.
        paths: Vec<(String, Option<String>)>,
    },
}

/// Tells readers whether what we serve is trusted by what is in force. Cheap to clone; checking costs a signature
/// verification per configuration, so it belongs into a readiness probe and not on the admission path.
#[derive(Clone)]
pub struct TrustCheck {
    targets: Arc<[(Target, Mutex<InForce>)]>,
    entries: Entries,
    serving: Arc<Serving>,
    door: Arc<Door>,
    dns_name: String,
    clock: Clock,
}

// What is in force holds the token.
impl fmt::Debug for TrustCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.targets.iter().map(|(target, _)| target);
        f.debug_struct("TrustCheck").field("targets", &names.collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

impl TrustCheck {
    /// Whether the API server, with what is now in force, accepts the certificate now served and is let in, for all
    /// configurations.
    ///
    /// # Errors
    /// The first configuration that is absent, not yet seen, does not trust us or does not lead to us, with the reason.
    pub fn check(&self) -> Result<(), String> {
        let leaf = self.serving.get().ok_or("no certificate is served yet")?;
        let now = self.clock.now();
        for (target, state) in self.targets.iter() {
            let state = state.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let (bundles, paths) = match state {
                InForce::Unknown => return Err(format!("{target}: not yet seen")),
                InForce::Absent => {
                    return Err(format!("{target}: does not exist; is the chart installed whole?"));
                }
                InForce::Seen { bundles, paths } => (bundles, paths),
            };
            for bundle in bundles {
                let bundle = bundle.ok_or_else(|| format!("{target}: a webhook has no caBundle yet"))?;
                pki::accepts(&bundle, &leaf, &self.dns_name, now)
                    .map_err(|reason| format!("{target}: {reason}"))?;
            }
            for (name, path) in paths {
                let Some(endpoint) = endpoint(self.entries, &name) else {
                    return Err(format!("{target}: {}", unknown(&name)));
                };
                // What it is instead may be a token, too.
                if !path.is_some_and(|path| self.door.leads(&path, endpoint)) {
                    return Err(format!("{target}: the path of {name} is not ours"));
                }
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

/// What an [`Injector`] keeps.
#[derive(Debug)]
pub struct InjectorConfig {
    /// Our configurations.
    pub targets: Vec<Target>,
    /// What their entries are for.
    pub entries: Entries,
    /// The name in our certificate that API servers ask for: the first of `service_names`.
    pub dns_name: String,
}

impl fmt::Debug for Injector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Injector").field("trust", &self.trust).finish_non_exhaustive()
    }
}

impl Injector {
    /// Puts the bundle and the door's token into these configurations, and checks them against what is served.
    pub fn new(
        client: Client,
        config: InjectorConfig,
        bundle: watch::Receiver<Bundle>,
        serving: Arc<Serving>,
        door: Arc<Door>,
        clock: Clock,
    ) -> Self {
        let InjectorConfig { targets, entries, dns_name } = config;
        let targets = targets.into_iter().map(|target| (target, Mutex::new(InForce::Unknown))).collect();
        Self { client, bundle, trust: TrustCheck { targets, entries, serving, door, dns_name, clock } }
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
            let door = Arc::clone(&trust.door);
            let mut known: Vec<Option<Value>> = vec![None; trust.targets.len()];
            let mut backoff = Backoff::new(SPACING, Duration::from_secs(30));
            let mut failed = false;
            loop {
                let wanted: Bundle = bundle.borrow_and_update().clone();
                // While what is wanted cannot be put in force, wanting something else does not help.
                if !failed && door.change() {
                    info!("the webhooks get a new path");
                }
                // Everything that is known is looked at on each turn: comparing is cheap and nothing is forgotten.
                failed = false;
                for (index, slot) in known.iter_mut().enumerate() {
                    let patch = slot.as_ref().and_then(|object| trust.patch_for(object, &wanted));
                    let Some(patch) = patch else { continue };
                    let (target, _) = &trust.targets[index];
                    match apply(&client, target, &patch).await {
                        Ok(object) => {
                            info!(%target, "injected caBundle and path");
                            backoff.reset();
                            trust.set(index, in_force(&object));
                            *slot = Some(object);
                            tokio::time::sleep(SPACING).await;
                        }
                        Err(problem) => {
                            warn!(%target, %problem, "caBundle and path could not be injected, trying again");
                            failed = true;
                        }
                    }
                }
                if !failed {
                    door.settled();
                }
                let retry = if failed { backoff.next_wait() } else { Duration::MAX };
                let change = door.due();
                let mut first = tokio::select! {
                    event = seen.recv() => event,
                    changed = bundle.changed() => match changed {
                        Ok(()) => None,
                        // The keeper is gone: the process is stopping.
                        Err(_) => return,
                    },
                    () = door.doubted() => None,
                    () = tokio::time::sleep_until(change.unwrap_or_else(Instant::now)),
                        if change.is_some() && !failed => None,
                    () = tokio::time::sleep(retry), if failed => None,
                };
                while let Some((index, object)) = first.take().or_else(|| seen.try_recv().ok()) {
                    if let Some(object) = &object {
                        trust.look(index, object, &wanted);
                    }
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

fn name_of(webhook: &Value) -> &str {
    webhook["name"].as_str().unwrap_or_default()
}

fn path_of(webhook: &Value) -> Option<&str> {
    webhook.pointer("/clientConfig/service/path")?.as_str()
}

fn unknown(name: &str) -> String {
    format!("{name} is no webhook of this version and is left alone; are chart and image of one version?")
}

fn in_force(object: &Value) -> InForce {
    let (mut bundles, mut paths) = (Vec::new(), Vec::new());
    for webhook in webhooks(object) {
        let bundle = bundle_of(webhook);
        if !bundles.contains(&bundle) {
            bundles.push(bundle);
        }
        paths.push((name_of(webhook).to_owned(), path_of(webhook).map(str::to_owned)));
    }
    InForce::Seen { bundles, paths }
}

impl TrustCheck {
    /// The JSON patch that gives all webhooks of `object` the bundle `wanted` and the current paths; `None` when they have
    /// them, or when there is nothing yet to inject. Its tests make it fail when the configuration was replaced or its
    /// webhooks were reordered since it was read. Webhooks that are not in the table, or call no Service, are left alone.
    fn patch_for(&self, object: &Value, wanted: &str) -> Option<Value> {
        if wanted.is_empty() {
            return None;
        }
        let encoded = base64::engine::general_purpose::STANDARD.encode(wanted);
        let mut steps = Vec::new();
        for (index, webhook) in webhooks(object).iter().enumerate() {
            let Some(endpoint) = endpoint(self.entries, name_of(webhook)) else { continue };
            if webhook.pointer("/clientConfig/service").is_none() {
                continue;
            }
            let at = format!("/webhooks/{index}");
            let before = steps.len();
            // `add` also replaces.
            if bundle_of(webhook).as_deref() != Some(wanted.as_bytes()) {
                let path = format!("{at}/clientConfig/caBundle");
                steps.push(json!({"op": "add", "path": path, "value": encoded}));
            }
            if !path_of(webhook).is_some_and(|path| self.door.is_current(path, endpoint)) {
                let path = format!("{at}/clientConfig/service/path");
                steps.push(json!({"op": "add", "path": path, "value": self.door.path(endpoint)}));
            }
            if steps.len() > before {
                let test = json!({"op": "test", "path": format!("{at}/name"), "value": webhook["name"]});
                steps.insert(before, test);
            }
        }
        if steps.is_empty() {
            return None;
        }
        steps.insert(0, json!({"op": "test", "path": "/metadata/uid", "value": object["metadata"]["uid"]}));
        Some(Value::Array(steps))
    }

    /// Looks at what somebody wrote.
    fn look(&self, index: usize, object: &Value, wanted: &str) {
        for webhook in webhooks(object) {
            let name = name_of(webhook);
            let Some(endpoint) = endpoint(self.entries, name) else {
                if let Some((target, _)) = self.targets.get(index) {
                    warn!(%target, "{}", unknown(name));
                }
                continue;
            };
            // With our path and without our bundle, API servers break calls off, and tell the path.
            if bundle_of(webhook).as_deref() != Some(wanted.as_bytes())
                && path_of(webhook).is_some_and(|path| self.door.leads(path, endpoint))
            {
                self.door.doubt("a caBundle was overwritten");
            }
        }
    }
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
