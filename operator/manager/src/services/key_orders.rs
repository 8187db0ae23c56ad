//! Orders about receipt keys: a person leaves one in the `ConfigMap` of the log's head, the operator carries it out when
//! it starts ([`crate::receipts`]) and answers beside it.
//!
//! | key | what | by |
//! |---|---|---|
//! | `keyOrder` | JSON of [`Order`] | a person: `placet keys rotate`, `placet keys distrust` |
//! | `keyOrderAnswer` | JSON of [`Answer`]; the order goes in the same write | the operator |
//!
//! Everything that was signed or is believed changes with such an order, so the operator takes it in where it takes in
//! everything else that it believes: at its start. A running one watches for orders ([`keep`]), refuses those that cannot
//! be carried out, and ends for the others.

use std::sync::Arc;
use std::time::Duration;

use kube::discovery::ApiResource;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tracing::{info, warn};

use super::call::{self, PatchKind};
use super::heads::{ConfigMapHeads, HEAD_MANAGER, keys, line_of};
use crate::infra::backoff::Backoff;
use crate::infra::supervisor::Shutdown;
use crate::infra::watch::{Event, Watch, WatchConfig};
use crate::ledger::Ledger;
use crate::receipts::History;

/// The longest id of an order, in bytes: 16 random bytes in hex.
const MAX_ID: usize = 32;

/// What a person ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Order {
    /// Random; so that it is carried out once, and its answer is found.
    pub id: String,
    /// Why; goes into the record.
    pub because: String,
    /// The key that is distrusted. Without it the order is to make a new key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distrust: Option<DistrustOrder>,
}

/// What is distrusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DistrustOrder {
    /// Id of the key.
    pub key: String,
    /// Index of the log from which on.
    pub from: u64,
}

/// What the operator says to an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answer {
    /// Id of the order; empty where the order could not be read.
    pub order: String,
    /// Whether it was carried out.
    pub done: bool,
    /// What was done, or why not.
    pub text: String,
}

/// An order that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// As it was left.
    text: String,
    /// As it is understood, or why it is not.
    pub order: Result<Order, String>,
}

impl Waiting {
    fn read(map: &Value) -> Option<Self> {
        let text = map.pointer(&format!("/data/{}", keys::KEY_ORDER))?.as_str()?;
        Some(Self { text: text.to_owned(), order: parse(text) })
    }

    fn refused(&self, why: &str) -> Answer {
        let order = self.order.as_ref().map(|o| o.id.clone()).unwrap_or_default();
        Answer { order, done: false, text: why.to_owned() }
    }
}

fn parse(text: &str) -> Result<Order, String> {
    let mut order: Order = serde_json::from_str(text)
        .map_err(|error| format!("key {:?}: {error}; order it with placet keys", keys::KEY_ORDER))?;
    if order.id.is_empty()
        || order.id.len() > MAX_ID
        || !order.id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    {
        return Err(format!(
            "key {:?}: wanted an id of at most {MAX_ID} letters and digits; order it with placet keys",
            keys::KEY_ORDER
        ));
    }
    order.because = line_of(&order.because)
        .map_err(|(wanted, found)| format!("--because: wanted {wanted}, found {found}"))?;
    Ok(order)
}

/// The order that waits, if one does.
///
/// # Errors
/// When the `ConfigMap` cannot be read.
pub async fn waiting(heads: &ConfigMapHeads) -> Result<Option<Waiting>, call::CallError> {
    let map = call::get_opt::<Value>(heads.client(), heads.path()).await?;
    Ok(map.as_ref().and_then(Waiting::read))
}

/// Answers an order and takes it away, unless another one was left in its place meanwhile.
///
/// # Errors
/// When the `ConfigMap` cannot be written.
pub async fn answer(
    heads: &ConfigMapHeads,
    waiting: &Waiting,
    answer: &Answer,
) -> Result<(), call::CallError> {
    let order = format!("/data/{}", keys::KEY_ORDER);
    let change = json!([
        {"op": "test", "path": order, "value": waiting.text},
        {"op": "remove", "path": order},
        {"op": "add", "path": format!("/data/{}", keys::KEY_ORDER_ANSWER), "value": json!(answer).to_string()},
    ]);
    let path = format!("{}?fieldManager={HEAD_MANAGER}", heads.path());
    match call::patch(heads.client(), &path, PatchKind::Json, &change).await {
        Ok(_) => Ok(()),
        // The test failed: another order waits, and is answered in its turn.
        Err(error) if error.code() == Some(422) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What a running operator needs to look at orders.
#[derive(Debug)]
pub struct Looking {
    /// Where they are left.
    pub heads: Arc<ConfigMapHeads>,
    /// The keys, as the start left them.
    pub history: History,
    /// The log.
    pub ledger: Arc<Ledger>,
    /// What the start answered: an order that it could not take away is answered again, and not carried out again.
    pub answered: Option<Answer>,
}

impl Looking {
    /// Looks once. The order for which the operator is to start again, if there is one.
    async fn look(&self) -> Result<Option<Order>, call::CallError> {
        let Some(waiting) = waiting(&self.heads).await? else { return Ok(None) };
        let order = match &waiting.order {
            Ok(order) => order,
            Err(why) => {
                warn!(%why, "an order about receipt keys is refused");
                answer(&self.heads, &waiting, &waiting.refused(why)).await?;
                return Ok(None);
            }
        };
        if let Some(before) = self.answered.as_ref().filter(|a| a.order == order.id) {
            answer(&self.heads, &waiting, before).await?;
            return Ok(None);
        }
        match self.history.judge(order, self.ledger.log().head().size) {
            Ok(()) => Ok(Some(order.clone())),
            Err(why) => {
                warn!(%why, "an order about receipt keys is refused");
                answer(&self.heads, &waiting, &waiting.refused(&why)).await?;
                Ok(None)
            }
        }
    }
}

/// Watches for orders: one watch of one object, and no write but an answer.
///
/// # Errors
/// An order that can be carried out: the operator ends with it, since it is carried out at the start.
pub async fn keep(looking: Looking, shutdown: Shutdown) -> anyhow::Result<()> {
    let bell = Arc::new(Notify::new());
    let ring = Arc::clone(&bell);
    let heads = Arc::clone(&looking.heads);
    let watch = Watch::new(heads.client().clone(), watched(&heads), move |event| {
        let objects = match event {
            Event::Restarted(objects) => objects.into_iter().collect(),
            Event::Applied(object) => vec![object],
            Event::Deleted(_) => return,
        };
        if objects.iter().any(|map| Waiting::read(map).is_some()) {
            ring.notify_one();
        }
    });
    let look = async {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        loop {
            bell.notified().await;
            match looking.look().await {
                Ok(None) => backoff.reset(),
                Ok(Some(order)) => {
                    let what = if order.distrust.is_some() {
                        "a receipt key is distrusted"
                    } else {
                        "a new receipt key"
                    };
                    info!(order = %order.id, because = %order.because, "ordered: {what}");
                    return Err::<(), _>(anyhow::anyhow!(
                        "this is no defect: an order about receipt keys ({what}: {}) waits, and is carried out when the \
                         operator starts; it ends now, to be started again",
                        order.because
                    ));
                }
                Err(problem) => {
                    warn!(%problem, "orders about receipt keys could not be looked at");
                    tokio::time::sleep(backoff.next_wait()).await;
                    bell.notify_one();
                }
            }
        }
    };
    tokio::select! {
        ended = watch.run(shutdown) => ended,
        ordered = look => ordered,
    }
}

/// The one `ConfigMap`, by a field selector, which is how a watch is allowed by name.
pub(super) fn watched(heads: &ConfigMapHeads) -> WatchConfig {
    let (namespace, name) = heads.place();
    let resource = ApiResource {
        group: String::new(),
        version: "v1".into(),
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        plural: "configmaps".into(),
    };
    WatchConfig {
        namespace: Some(namespace.to_owned()),
        fields: Some(format!("metadata.name={name}")),
        ..WatchConfig::all(resource)
    }
}
