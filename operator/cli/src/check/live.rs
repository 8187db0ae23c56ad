//! What files leave out, read from a cluster.

use std::collections::BTreeSet;

use anyhow::Context as _;
use placet_api::Kind;
use placet_gate::stamp::ReceiptKeys;
use serde_json::Value;

use crate::args::CheckArgs;
use crate::cluster::Cluster;
use crate::files::{Input, Loaded};

/// The place of objects that were read from a cluster.
const CLUSTER: &str = "(cluster)";

/// Whether an object was read from the cluster.
pub fn is_live(object: &Loaded) -> bool {
    object.file == CLUSTER
}

/// Adds what is on the cluster and not in the files. What the files replace goes to `replaced`: it was there before.
pub fn fill(
    cluster: &Cluster,
    args: &CheckArgs,
    input: &mut Input,
    replaced: &mut Vec<Loaded>,
    keys: &mut Option<ReceiptKeys>,
    uid: &mut Option<String>,
) -> anyhow::Result<()> {
    let mut namespaces: BTreeSet<String> = input
        .objects
        .iter()
        .filter(|o| o.kind == Kind::ModelRelease)
        .filter_map(|o| o.namespace.clone())
        .collect();
    namespaces.extend(args.release.iter().filter_map(|r| Some(r.split_once('/')?.0.to_owned())));
    if args.all_namespaces {
        namespaces = BTreeSet::from([String::new()]);
    } else if namespaces.is_empty() {
        namespaces.insert(cluster.namespace.clone());
    }
    for kind in Kind::ALL {
        let places: Vec<&str> =
            if kind.namespaced() { namespaces.iter().map(String::as_str).collect() } else { vec![""] };
        for namespace in places {
            let found = cluster
                .list(kind, namespace)
                .with_context(|| format!("--from-cluster: {} could not be read", kind.plural()))?;
            for value in found {
                let object = Loaded::new(value, CLUSTER, 0, None).map_err(anyhow::Error::msg)?;
                let same = |o: &Loaded| {
                    (o.kind, &o.namespace, &o.name) == (object.kind, &object.namespace, &object.name)
                };
                if input.objects.iter().any(same) {
                    input
                        .notes
                        .push(format!("{} of the files stands for that of the cluster", object.label()));
                    replaced.push(object);
                } else {
                    input.objects.push(object);
                }
            }
        }
    }
    let used: BTreeSet<String> = input.objects.iter().filter_map(|o| o.namespace.clone()).collect();
    for namespace in used {
        if input.namespaces.contains_key(&namespace) {
            continue;
        }
        match cluster.get_path(&format!("/api/v1/namespaces/{namespace}")) {
            Ok(found) => {
                let labels =
                    found.and_then(|v| v.pointer("/metadata/labels").cloned()).unwrap_or(Value::Null);
                let labels = serde_json::from_value(labels).unwrap_or_default();
                input.namespaces.insert(namespace, labels);
            }
            Err(e) => input.notes.push(format!("the labels of namespace {namespace} could not be read: {e}")),
        }
    }
    if uid.is_none() {
        let found = cluster.get_path("/api/v1/namespaces/kube-system");
        match found.map(|v| v.and_then(|v| v.pointer("/metadata/uid")?.as_str().map(str::to_owned))) {
            Ok(found) => *uid = found,
            Err(e) => {
                input.notes.push(format!("the cluster's uid could not be read; give --cluster-uid: {e}"));
            }
        }
    }
    if keys.is_none() {
        match cluster.log_head() {
            Ok(head) => {
                let text = head.pointer("/data/receiptKeys").and_then(Value::as_str).unwrap_or_default();
                let found = ReceiptKeys::parse(text)
                    .map_err(anyhow::Error::msg)
                    .context("receiptKeys of the operator's ConfigMap")?;
                *keys = Some(found);
            }
            Err(e) => input.notes.push(format!("receipt keys could not be read; give --receipt-keys: {e}")),
        }
    }
    Ok(())
}
