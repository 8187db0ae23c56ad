//! `placet keys`: the keys that receipts of stamps are signed with. The operator publishes what it knows of them in the
//! ConfigMap of its log's head, and takes orders from there.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use placet_gate::visible;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::args::{KeysCommand, TableOrJson};
use crate::cluster::{Cluster, Refused};
use crate::{sys, text};

/// How often an order is left again when somebody else wrote the ConfigMap in between.
const ATTEMPTS: usize = 5;
/// How often to look for the operator's answer, and how long between two looks: a minute and a half, in which the
/// operator ends and starts.
const LOOKS: (usize, Duration) = (90, Duration::from_secs(1));

/// A key as the operator publishes it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    id: String,
    record: u64,
    since: Timestamp,
    signs: bool,
    distrusted: Option<Distrusted>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Distrusted {
    from: u64,
    reason: String,
}

/// Runs a subcommand.
pub fn run(cluster: &Cluster, command: &KeysCommand) -> anyhow::Result<u8> {
    match command {
        KeysCommand::List { output } => list(cluster, *output),
        KeysCommand::Rotate { because, yes } => {
            let what =
                "The operator will make a new key and sign with it. Receipts of the old key go on verifying.";
            order(cluster, because, None, what, *yes, LOOKS)
        }
        KeysCommand::Distrust { key, from, because, yes } => {
            let keys = known(&published(&cluster.log_head()?)?)?;
            let Some(found) = keys.iter().find(|k| k.id == *key) else {
                let ids: Vec<&str> = keys.iter().map(|k| k.id.as_str()).collect();
                bail!(
                    "wanted the id of a receipt key ({}), found {key}; see `placet keys list`",
                    ids.join(", ")
                );
            };
            let mut what = format!(
                "Of what {key} signed, only what the log recorded below {from} will count. Whoever wrote the rest applies \
                 it again (kubectl apply --server-side), releases and policies included; until then it does not count. \
                 This cannot be taken back."
            );
            if found.signs {
                what.push_str(" The key signs now, so a new one is made.");
            }
            order(cluster, because, Some(json!({"key": key, "from": from})), &what, *yes, LOOKS)
        }
    }
}

/// What the operator published, as JSON.
fn published(head: &Value) -> anyhow::Result<Value> {
    let list = head.pointer("/data/receiptKeyList").and_then(Value::as_str).context(
        "the operator's ConfigMap: wanted data.receiptKeyList, found none; has an operator of this version started?",
    )?;
    serde_json::from_str(list).context("data.receiptKeyList of the operator's ConfigMap")
}

fn known(list: &Value) -> anyhow::Result<Vec<Key>> {
    serde_json::from_value(list.clone()).context("data.receiptKeyList of the operator's ConfigMap")
}

fn list(cluster: &Cluster, output: TableOrJson) -> anyhow::Result<u8> {
    let head = cluster.log_head()?;
    let list = published(&head)?;
    let keys = known(&list)?;
    let shown = match output {
        TableOrJson::Json => text::json(&list)?,
        TableOrJson::Table => table(&keys),
    };
    sys::print(&shown)?;
    if let Some(because) = waiting(&head) {
        sys::tell(&format!("note: an order waits for the operator to start: {}", visible::line(&because)));
    }
    Ok(0)
}

fn table(keys: &[Key]) -> String {
    let mut out = format!("{:16}  {:>8}  {:20}  STATE\n", "KEY", "RECORD", "SINCE");
    for key in keys {
        let state = match (&key.distrusted, key.signs) {
            (Some(d), _) => format!("distrusted from record {} on: {}", d.from, d.reason),
            (None, true) => "signs".to_owned(),
            (None, false) => "verifies".to_owned(),
        };
        // Writing into a string cannot fail.
        let _ = writeln!(
            out,
            "{:16}  {:>8}  {:20}  {}",
            visible::line(&key.id),
            key.record,
            text::seconds(key.since),
            visible::line(&state)
        );
    }
    out
}

/// The reason of the order that waits, if one does.
fn waiting(head: &Value) -> Option<String> {
    let order = head.pointer("/data/keyOrder")?.as_str()?;
    let read: Option<Value> = serde_json::from_str(order).ok();
    let because = read.as_ref().and_then(|o| o.get("because")).and_then(Value::as_str);
    Some(because.unwrap_or(order).to_owned())
}

/// Leaves an order and waits for the operator's answer.
#[expect(clippy::disallowed_methods, reason = "a command line waits where it is")]
fn order(
    cluster: &Cluster,
    because: &str,
    distrust: Option<Value>,
    what: &str,
    yes: bool,
    looks: (usize, Duration),
) -> anyhow::Result<u8> {
    if because.trim().is_empty() {
        bail!("--because: wanted a reason for those who read the evidence, found nothing");
    }
    sys::tell(&format!(
        "{what}\nThe operator starts again for it: for some seconds nothing of placet.dev is admitted, nor new pods in \
         namespaces that enforce."
    ));
    sys::confirm("Order it?", yes)?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).context("wanted 16 random bytes from the system")?;
    let id = hex::encode(random);
    let mut body = json!({"id": id, "because": because});
    if let Some(distrust) = distrust {
        body["distrust"] = distrust;
    }
    leave(cluster, &body)?;
    for look in 0..looks.0 {
        if look > 0 {
            std::thread::sleep(looks.1);
        }
        let head = cluster.log_head()?;
        let answer = head.pointer("/data/keyOrderAnswer").and_then(Value::as_str).unwrap_or("null");
        let answer: Value =
            serde_json::from_str(answer).context("data.keyOrderAnswer of the operator's ConfigMap")?;
        if answer["order"] != id.as_str() {
            continue;
        }
        let said = answer["text"].as_str().unwrap_or_default();
        if answer["done"] != true {
            bail!("the operator refused the order: {said}");
        }
        sys::print(&format!("{}\n", visible::line(said)))?;
        return Ok(0);
    }
    let operator = &cluster.operator;
    sys::tell(&format!(
        "note: the order waits, and the operator has not answered yet; it is carried out when the operator starts: kubectl get \
         pods -n {}; placet keys list",
        operator.namespace
    ));
    Ok(1)
}

/// Writes an order where none waits.
fn leave(cluster: &Cluster, body: &Value) -> anyhow::Result<()> {
    for _ in 0..ATTEMPTS {
        let head = cluster.log_head()?;
        if let Some(because) = waiting(&head) {
            bail!(
                "wanted no order that waits, found one: {}; it is carried out when the operator starts; to take it back: \
                 kubectl patch configmap {}-log-head -n {} --type json -p \
                 '[{{\"op\":\"remove\",\"path\":\"/data/keyOrder\"}}]'",
                visible::line(&because),
                cluster.operator.release,
                cluster.operator.namespace
            );
        }
        let version = &head["metadata"]["resourceVersion"];
        let change =
            json!({"metadata": {"resourceVersion": version}, "data": {"keyOrder": body.to_string()}});
        match cluster.merge(&cluster.log_head_path(), &change) {
            Ok(_) => return Ok(()),
            Err(e) if e.downcast_ref::<Refused>().is_some_and(|r| r.code == 409) => {}
            Err(e) => return Err(e),
        }
    }
    bail!("the operator's ConfigMap was changed {ATTEMPTS} times while the order was left; try again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answers, cluster};

    const HEAD: &str = "/api/v1/namespaces/placet-system/configmaps/placet-log-head";
    const ONCE: (usize, Duration) = (1, Duration::ZERO);

    fn head(more: &Value) -> Value {
        let list = json!([
            {"id": "aaaaaaaaaaaaaaaa", "key": "placet-receipt:x", "record": 1, "since": "2026-11-01T00:00:00Z",
             "signs": false, "distrusted": {"from": 7, "record": 9, "since": "2026-11-02T00:00:00Z", "reason": "Leaked\u{1b}"}},
            {"id": "bbbbbbbbbbbbbbbb", "key": "placet-receipt:y", "record": 10, "since": "2026-11-02T00:00:00Z",
             "signs": true},
        ]);
        let mut head =
            json!({"metadata": {"resourceVersion": "5"}, "data": {"receiptKeyList": list.to_string()}});
        for (key, value) in more.as_object().unwrap() {
            head["data"][key] = value.to_string().into();
        }
        head
    }

    #[test]
    fn keys_are_listed_with_what_they_are_good_for() {
        let keys = known(&published(&head(&json!({}))).unwrap()).unwrap();
        let table = table(&keys);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3, "{table}");
        assert!(
            lines[1].starts_with("aaaaaaaaaaaaaaaa")
                && lines[1].contains("distrusted from record 7 on: Leaked")
        );
        assert!(
            lines[2].starts_with("bbbbbbbbbbbbbbbb") && lines[2].ends_with("2026-11-02T00:00:00Z  signs"),
            "{table}"
        );
        assert!(!table.contains('\u{1b}'));
        let e = published(&json!({"data": {}})).unwrap_err().to_string();
        assert!(e.contains("receiptKeyList"), "{e}");
    }

    #[test]
    fn an_order_is_left_with_its_reason_where_nothing_else_was_written() {
        let answers = Answers::default().with(&format!("GET {HEAD}"), 200, &head(&json!({}))).with(
            &format!("PATCH {HEAD}"),
            200,
            &json!({}),
        );
        let (cluster, asked) = cluster(answers);
        assert!(order(&cluster, " ", None, "", true, ONCE).is_err());
        let distrust = Some(json!({"key": "aaaaaaaaaaaaaaaa", "from": 3}));
        // Nobody answers.
        assert_eq!(order(&cluster, "Every year", distrust, "", true, ONCE).unwrap(), 1);
        let asked = asked.lock().unwrap();
        let left = asked.iter().find(|a| a.request.starts_with("PATCH")).unwrap();
        assert_eq!(left.body["metadata"]["resourceVersion"], "5");
        let body: Value = serde_json::from_str(left.body["data"]["keyOrder"].as_str().unwrap()).unwrap();
        assert_eq!(body["because"], "Every year");
        assert_eq!(body["distrust"], json!({"key": "aaaaaaaaaaaaaaaa", "from": 3}));
        assert_eq!(body["id"].as_str().unwrap().len(), 32);
    }

    #[test]
    fn a_second_order_and_an_unknown_key_are_errors() {
        let waits = head(&json!({"keyOrder": {"id": "1", "because": "The first"}}));
        let (cluster, asked) = cluster(Answers::default().with(&format!("GET {HEAD}"), 200, &waits));
        let e = order(&cluster, "The second", None, "", true, ONCE).unwrap_err().to_string();
        assert!(e.contains("wanted no order that waits, found one: The first"), "{e}");
        let unknown =
            KeysCommand::Distrust { key: "cccccccccccccccc".into(), from: 1, because: "x".into(), yes: true };
        let e = run(&cluster, &unknown).unwrap_err().to_string();
        assert!(e.contains("(aaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbb), found cccccccccccccccc"), "{e}");
        assert!(asked.lock().unwrap().iter().all(|a| a.request.starts_with("GET")));
    }

    #[test]
    fn somebody_who_writes_in_between_is_no_error_at_first() {
        let answers = Answers::default().with(&format!("GET {HEAD}"), 200, &head(&json!({}))).with(
            &format!("PATCH {HEAD}"),
            409,
            &json!({"kind": "Status", "reason": "Conflict", "message": "changed"}),
        );
        let (cluster, asked) = cluster(answers);
        let e = leave(&cluster, &json!({})).unwrap_err().to_string();
        assert!(e.contains("changed 5 times"), "{e}");
        assert_eq!(asked.lock().unwrap().len(), 10);
    }
}
