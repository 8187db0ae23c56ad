//! The keys that receipts are signed with. The log says which there are and which are distrusted; the Secret holds the
//! one that signs. Losing the Secret therefore voids nothing: a new key signs, and the old ones go on verifying.
//!
//! All of it is settled at the start, between opening the log and reading the first object. The order of steps makes it
//! end the same wherever a start is cut off: the Secret first, then the record, then the answer to whoever ordered it. A
//! key in the Secret that the log does not name yet is recorded; an order whose id a record names is not repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Context as _;
use ed25519_dalek::{SigningKey, VerifyingKey};
use jiff::Timestamp;
use kube::Client;
use placet_evidence::{KeyDistrust, KeyRotate, Log, NewRecord, Payload, Record as LogRecord, Subject};
use placet_gate::stamp::{Distrust, ReceiptKeys, key_id, key_text, parse_key};
use serde::Serialize;
use tracing::{error, info, warn};

use crate::infra::secrets::{SecretKey, replace_secret_key};
use crate::services::heads::ConfigMapHeads;
use crate::services::key_orders::{self, Answer, Order};

/// What the records call these keys.
const PURPOSE: &str = "receipts";

/// A receipt key, as `placet keys list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// Its id.
    pub id: String,
    /// The public key.
    pub key: String,
    /// Index of the first record that names it.
    pub record: u64,
    /// When that was made.
    pub since: Timestamp,
    /// Whether it signs now.
    pub signs: bool,
    /// Whether it is distrusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distrusted: Option<Distrusted>,
}

/// That a key is distrusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Distrusted {
    /// Index of the log from which on.
    pub from: u64,
    /// Index of the record that says so.
    pub record: u64,
    /// When that was made.
    pub since: Timestamp,
    /// Why.
    pub reason: String,
}

/// The receipt keys that the log knows, in the order of their first records.
#[derive(Debug, Clone, Default)]
pub struct History {
    held: Vec<Held>,
    orders: BTreeSet<String>,
}

impl History {
    /// Takes in one record while the log is read.
    pub fn visit(&mut self, index: u64, record: &LogRecord) {
        self.take(index, record.time.wall, &record.payload);
    }

    fn take(&mut self, index: u64, at: Timestamp, payload: &Payload) {
        match payload {
            Payload::KeyRotate(body) if body.purpose == PURPOSE => {
                self.orders.extend(body.order.clone());
                let Some(key) = parse_key(&body.new) else { return };
                let id = key_id(&key);
                if !self.holds(&id) {
                    let key = body.new.clone();
                    let id = id.clone();
                    self.held.push(Held {
                        id,
                        key,
                        record: index,
                        since: at,
                        signs: false,
                        distrusted: None,
                    });
                }
                for held in &mut self.held {
                    held.signs = held.id == id;
                }
            }
            Payload::KeyDistrust(body) if body.purpose == PURPOSE => {
                self.orders.insert(body.order.clone());
                if let Some(held) = self.held.iter_mut().find(|h| h.id == body.key) {
                    // An earlier index stays in force: trust never comes back.
                    let from = held.distrusted.as_ref().map_or(body.from, |d| d.from.min(body.from));
                    let reason = body.reason.clone();
                    held.distrusted = Some(Distrusted { from, record: index, since: at, reason });
                }
            }
            _ => {}
        }
    }

    /// All keys.
    pub fn held(&self) -> &[Held] {
        &self.held
    }

    fn holds(&self, id: &str) -> bool {
        self.held.iter().any(|h| h.id == id)
    }

    fn distrusts(&self, id: &str) -> bool {
        self.held.iter().any(|h| h.id == id && h.distrusted.is_some())
    }

    /// The key that the log names last.
    fn newest(&self) -> Option<&Held> {
        self.held.iter().find(|h| h.signs)
    }

    /// Whether an order can be carried out on a log with so many records.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(&self, order: &Order, size: u64) -> Result<(), String> {
        let Some(distrust) = &order.distrust else { return Ok(()) };
        let Some(held) = self.held.iter().find(|h| h.id == distrust.key) else {
            let ids: Vec<&str> = self.held.iter().map(|h| h.id.as_str()).collect();
            return Err(format!(
                "wanted the id of a receipt key ({}), found {}; see placet keys list",
                ids.join(", "),
                distrust.key
            ));
        };
        if distrust.from > size {
            return Err(format!(
                "--from: wanted an index of the log or the one after its last, at most {size}, found {}; see placet \
                 evidence tail",
                distrust.from
            ));
        }
        match &held.distrusted {
            Some(before) if before.from <= distrust.from && !self.orders.contains(&order.id) => Err(format!(
                "--from: the key {} is distrusted from record {} on already, so that an earlier index is wanted, found {}",
                held.id, before.from, distrust.from
            )),
            _ => Ok(()),
        }
    }
}

/// What a start settles keys with.
pub struct Desk<'a> {
    /// The API server.
    pub client: &'a Client,
    /// Namespace of the installation.
    pub namespace: &'a str,
    /// Name of the Secret with the key that signs.
    pub secret: &'a str,
    /// Where orders are left and keys are published.
    pub heads: &'a ConfigMapHeads,
    /// The log.
    pub log: &'a Arc<Log>,
    /// The time.
    pub now: Timestamp,
}

impl std::fmt::Debug for Desk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("secret", &self.secret).finish_non_exhaustive()
    }
}

/// What was settled.
#[derive(Debug)]
pub struct Receipts {
    /// The key that signs.
    pub signing: SigningKey,
    /// The keys that verify.
    pub keys: ReceiptKeys,
    /// What the log knows of them.
    pub history: History,
    /// What was answered to an order.
    pub answered: Option<Answer>,
}

/// Settles which key signs and which verify: carries out the order that waits, replaces a distrusted key in the Secret,
/// records a key that the log does not name, publishes the keys, and answers the order.
///
/// # Errors
/// The API server cannot be asked, a distrusted key cannot be replaced, or the log cannot be read.
pub async fn settle(desk: &Desk<'_>, history: History, secret: SecretKey) -> anyhow::Result<Receipts> {
    let mut settling = Settling { desk, history, signing: signing(&secret)?, secret };
    let waiting = key_orders::waiting(desk.heads).await?;
    let mut answered = None;
    if let Some(waiting) = &waiting {
        let answer = match &waiting.order {
            Ok(order) => settling.carry_out(order).await,
            Err(why) => Answer { order: String::new(), done: false, text: why.clone() },
        };
        if answer.done {
            info!(order = %answer.order, "an order about receipt keys is carried out: {}", answer.text);
        } else {
            warn!(order = %answer.order, "an order about receipt keys is refused: {}", answer.text);
        }
        answered = Some(answer);
    }
    if settling.history.distrusts(&settling.id()) {
        // Put back from a backup, say: what it signed would not count.
        warn!(key = %settling.id(), "the Secret holds a receipt key that is distrusted; a new one takes its place");
        settling.replace().await.context("the Secret holds a receipt key that is distrusted")?;
    }
    if let Err(problem) = settling.record(None).await {
        // Nothing is signed while the log cannot be written; the next start tries again.
        error!(%problem, "the receipt key could not be recorded");
    }
    let keys = settling.keys().await?;
    let Settling { mut history, signing, .. } = settling;
    let id = key_id(&signing.verifying_key());
    for held in &mut history.held {
        held.signs = held.id == id;
    }
    let list = serde_json::to_string(history.held())?;
    desk.heads.publish_keys(&desk.log.verifier().to_string(), &keys.to_text(), &list).await?;
    if let (Some(waiting), Some(answer)) = (&waiting, &answered)
        && let Err(problem) = key_orders::answer(desk.heads, waiting, answer).await
    {
        // It is answered again when the order is seen again, by this process or the next.
        warn!(%problem, "the order about receipt keys could not be answered yet");
    }
    Ok(Receipts { signing, keys, history, answered })
}

fn signing(secret: &SecretKey) -> anyhow::Result<SigningKey> {
    Ok(SigningKey::from_bytes(&secret.array::<32>().context("a seed has 32 bytes")?))
}

struct Settling<'a> {
    desk: &'a Desk<'a>,
    history: History,
    secret: SecretKey,
    signing: SigningKey,
}

impl Settling<'_> {
    fn public(&self) -> VerifyingKey {
        self.signing.verifying_key()
    }

    fn id(&self) -> String {
        key_id(&self.public())
    }

    /// Carries out an order, or says why it is not carried out; then nothing has changed but, maybe, the key that signs.
    async fn carry_out(&mut self, order: &Order) -> Answer {
        let (done, text) = match self.try_order(order).await {
            Ok(text) => (true, text),
            Err(why) => (false, why),
        };
        Answer { order: order.id.clone(), done, text }
    }

    async fn try_order(&mut self, order: &Order) -> Result<String, String> {
        if self.history.orders.contains(&order.id) {
            return Ok(format!("it was carried out; receipt key {} signs", self.id()));
        }
        self.history.judge(order, self.desk.log.head().size)?;
        let unwritable = |error| format!("the evidence log cannot be written: {error}; order it again");
        let before = self.id();
        let replaces = order.distrust.as_ref().is_none_or(|d| d.key == before);
        // A key that the log does not name was made by a start that was cut off, or in the place of a lost one.
        if replaces && self.history.holds(&before) {
            self.replace().await.map_err(|error| format!("no new key was made: {error:#}"))?;
        }
        let Some(distrust) = &order.distrust else {
            let old =
                self.history.newest().map_or_else(String::new, |h| format!("; {} goes on verifying", h.id));
            let index = self.record(Some(order)).await.map_err(unwritable)?;
            let said = index.map_or_else(String::new, |index| format!(", as record {index} says"));
            return Ok(format!("receipt key {} signs{said}{old}", self.id()));
        };
        let body = Payload::KeyDistrust(KeyDistrust {
            purpose: PURPOSE.to_owned(),
            key: distrust.key.clone(),
            from: distrust.from,
            reason: order.because.clone(),
            order: order.id.clone(),
        });
        let index = self.append(body).await.map_err(unwritable)?;
        Ok(format!(
            "receipt key {} is distrusted, as record {index} says: of what it signed counts what the log recorded below \
             {}; receipt key {} signs",
            distrust.key,
            distrust.from,
            self.id()
        ))
    }

    /// Puts a new key into the Secret.
    async fn replace(&mut self) -> anyhow::Result<()> {
        let Desk { client, namespace, secret, .. } = self.desk;
        self.secret = replace_secret_key(client, namespace, secret, &self.secret).await?;
        self.signing = signing(&self.secret)?;
        Ok(())
    }

    /// Records the key that signs, unless the log names it last. Index of the record.
    async fn record(&mut self, order: Option<&Order>) -> Result<Option<u64>, placet_evidence::AppendError> {
        let new = key_text(&self.public());
        let newest = self.history.newest();
        if newest.is_some_and(|h| h.key == new) {
            return Ok(None);
        }
        let reason = match (order, newest) {
            (Some(order), _) => order.because.clone(),
            (None, None) => "the first key that this log names".to_owned(),
            (None, Some(old)) if old.distrusted.is_some() => "in the place of a distrusted key".to_owned(),
            (None, Some(old)) => {
                warn!(old = %old.id, new = %self.id(), "the Secret with the receipt key was lost or replaced");
                "the Secret was lost or replaced".to_owned()
            }
        };
        let body = KeyRotate {
            purpose: PURPOSE.to_owned(),
            old: newest.map(|h| h.key.clone()).unwrap_or_default(),
            new,
            reason,
            order: order.map(|o| o.id.clone()),
        };
        self.append(Payload::KeyRotate(body)).await.map(Some)
    }

    async fn append(&mut self, payload: Payload) -> Result<u64, placet_evidence::AppendError> {
        let record = NewRecord::new(self.desk.now, Subject::log(), payload.clone());
        let index = self.desk.log.append(record).await?.index;
        self.history.take(index, self.desk.now, &payload);
        Ok(index)
    }

    /// The keys that verify: all that the log names and the one that signs.
    async fn keys(&self) -> anyhow::Result<ReceiptKeys> {
        let mut keys = ReceiptKeys::new();
        keys.add(self.public());
        let mut from = BTreeMap::new();
        for held in &self.history.held {
            keys.add(parse_key(&held.key).with_context(|| format!("the log's receipt key {}", held.id))?);
            from.extend(held.distrusted.as_ref().map(|d| (held.id.clone(), d.from)));
        }
        if from.is_empty() {
            return Ok(keys);
        }
        let log = Arc::clone(self.desk.log);
        for (id, distrust) in tokio::task::spawn_blocking(move || spared(&log, &from)).await?? {
            keys.distrust(&id, distrust);
        }
        Ok(keys)
    }
}

/// What still counts of distrusted keys, by their ids: reads the log once more, since which keys are distrusted is known
/// only at its end, and what all keys signed may be too much to remember.
fn spared(log: &Log, from: &BTreeMap<String, u64>) -> anyhow::Result<BTreeMap<String, Distrust>> {
    let mut spared: BTreeMap<String, Distrust> = BTreeMap::new();
    for (id, from) in from {
        spared.insert(id.clone(), Distrust { from: *from, stamps: BTreeMap::new() });
    }
    log.publish_now()?;
    log.replay(0, &mut |index, record| {
        if let Payload::Stamp(body) = &record.payload
            && let Some(distrust) = spared.get_mut(&body.key).filter(|d| index < d.from)
        {
            distrust.stamps.insert(index, *body.stamp.as_bytes());
        }
    })?;
    Ok(spared)
}

#[cfg(test)]
#[path = "receipts_tests.rs"]
mod tests;
