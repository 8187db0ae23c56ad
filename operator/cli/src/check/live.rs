//! What files leave out, read from a cluster.

use std::collections::BTreeSet;

use anyhow::Context as _;
use placet_api::Kind;
use placet_gate::stamp::ReceiptKeys;
use serde_json::Value;

use crate::args::GivenArgs;
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
    args: &GivenArgs,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use crate::testing::{Answers, cluster};
    use clap::Parser as _;
    use serde_json::json;

    #[test]
    fn what_the_files_leave_out_comes_from_the_cluster() {
        let base = "GET /apis/placet.dev/v1alpha1";
        let named =
            |name: &str| json!({"items": [{"metadata": {"name": name, "namespace": "lending"}, "spec": {}}]});
        let mut answers = Answers::default()
            .with("GET /api/v1/namespaces/lending", 200, &json!({"metadata": {"labels": {"tier": "prod"}}}))
            .with("GET /api/v1/namespaces/kube-system", 200, &json!({"metadata": {"uid": "uid-1"}}));
        for kind in Kind::ALL {
            let path = crate::cluster::path_of(kind, "lending", None);
            answers = answers.with(&format!("GET {path}"), 200, &named("one"));
        }
        let (cluster, asked) = cluster(answers);
        let cli = Cli::parse_from(["placet", "check", "--from-cluster"]);
        let Command::Check(args) = &cli.command else { panic!("wanted check") };
        let mine = json!({"apiVersion": "placet.dev/v1alpha1", "kind": "AISystem",
                          "metadata": {"name": "one", "namespace": "lending"}, "spec": {"title": "new"}});
        let mut input = Input::default();
        input.objects.push(Loaded::new(mine, "f.yaml", 1, None).unwrap());
        let (mut replaced, mut keys, mut uid) = (Vec::new(), None, None);
        fill(&cluster, &args.given, &mut input, &mut replaced, &mut keys, &mut uid).unwrap();
        assert_eq!(input.objects.len(), Kind::ALL.len());
        assert_eq!(replaced.iter().map(|o| o.kind).collect::<Vec<_>>(), [Kind::AISystem]);
        assert!(!is_live(&input.objects[0]) && is_live(&input.objects[1]));
        assert_eq!(input.namespaces["lending"]["tier"], "prod");
        assert_eq!(uid.as_deref(), Some("uid-1"));
        // No operator there: nothing can be verified, and that is said.
        assert!(keys.is_none());
        assert!(input.notes.iter().any(|n| n.contains("give --receipt-keys")), "{:?}", input.notes);
        assert!(asked.lock().unwrap().iter().any(|a| a.request == format!("{base}/releasepolicies")));
    }
}
