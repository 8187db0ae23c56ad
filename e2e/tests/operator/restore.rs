//! Backup and restore: objects are exported with their stamps, lost, and created again by a backup tool's account, which
//! holds the verb `restore`; into the same cluster, and into another one with other keys.

use std::path::PathBuf;

use placet_e2e::placet::{Lending, RELEASE, SYSTEM};
use placet_e2e::{Cluster, Options, Output, SOON, eventually, own_images};
use serde_json::{Value, json};

use super::common::{holds, refused_with};
use super::lending;

/// The kinds of a namespace, in the order of their names, as a backup tool creates them.
const KINDS: &str =
    "aisystems,approvals,datasets,impactassessments,modelreleases,riskacceptances,testreports";

/// A backup tool: a service account that may create and restore every kind of Placet, and no more.
struct Backup<'a> {
    cluster: &'a Cluster,
    config: PathBuf,
}

impl<'a> Backup<'a> {
    async fn new(cluster: &'a Cluster, name: &str) -> Self {
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "default"},
        });
        let rules = json!([{
            "apiGroups": ["placet.dev"], "resources": ["*"], "verbs": ["get", "list", "create", "restore"],
        }]);
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name},
            "rules": rules,
        });
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "default"}],
        });
        cluster.apply("root-admin", &[account, role, binding]).await.unwrap();
        let token = ["create", "token", name, "-n", "default"];
        let token = cluster.kubectl("root-admin", token).await.unwrap().ok().unwrap();
        let view = ["config", "view", "--raw", "-o", "json"];
        let view = cluster.kubectl("dana", view).await.unwrap().ok().unwrap();
        let mut config: Value = serde_json::from_str(&view).unwrap();
        for user in config["users"].as_array_mut().unwrap() {
            user["user"] = json!({"token": token.trim()});
        }
        let path = cluster.dir().join(format!("{name}.json"));
        tokio::fs::write(&path, config.to_string()).await.unwrap();
        Self { cluster, config: path }
    }

    async fn kubectl(&self, args: &[&str], input: &str) -> Output {
        let config = format!("--kubeconfig={}", self.config.display());
        let args = [config.as_str()].into_iter().chain(args.iter().copied());
        self.cluster.kubectl_with_input("dana", args, input).await.unwrap()
    }

    /// What a backup tool keeps of a namespace: everything but status and what the API server gave.
    async fn export(&self, ns: &str) -> Vec<Value> {
        let text = self.kubectl(&["get", KINDS, "-n", ns, "-o", "json"], "").await.ok().unwrap();
        let list: Value = serde_json::from_str(&text).unwrap();
        let mut items = list["items"].as_array().unwrap().clone();
        for item in &mut items {
            let object = item.as_object_mut().unwrap();
            object.remove("status");
            let metadata = object["metadata"].as_object_mut().unwrap();
            metadata.retain(|key, _| ["name", "namespace", "annotations", "labels"].contains(&key.as_str()));
        }
        items
    }

    async fn create(&self, items: &[Value]) -> Output {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
        self.kubectl(&["create", "-f", "-"], &list).await
    }
}

fn stamp(object: &Value) -> Value {
    let text = object["metadata"]["annotations"]["placet.dev/stamp"].as_str().unwrap_or("null");
    serde_json::from_str(text).unwrap()
}

fn of_kind(items: &[Value], kind: &str) -> Vec<Value> {
    items.iter().filter(|item| item["kind"] == kind).cloned().collect()
}

/// The risk officer's approval.
fn of_erin(approvals: &[Value]) -> &Value {
    approvals.iter().find(|a| a["metadata"]["name"] == "risk-officer").unwrap()
}

/// The namespace goes, with all that is in it, and is made again.
async fn lost(lending: &Lending<'_>) {
    let delete = ["delete", "namespace", lending.ns, "--wait=true", "--timeout=60s"];
    lending.cluster.kubectl("root-admin", delete).await.unwrap().ok().unwrap();
    Lending::open(lending.cluster, lending.ns, Some("deny")).await.unwrap();
}

#[tokio::test]
async fn what_went_with_its_namespace_is_restored_and_counts_and_what_somebody_took_back_does_not() {
    let Some(lending) = lending("restored", Some("deny")).await else { return };
    lending.clear().await.unwrap();
    let backup = Backup::new(lending.cluster, "velero").await;
    let items = backup.export(lending.ns).await;
    let approvals = of_kind(&items, "Approval");
    assert_eq!(approvals.len(), 12, "{approvals:?}");
    lost(&lending).await;

    // Somebody without the verb makes them theirs: of decisions that is refused, with the reason.
    let refused = lending.apply("vera", &of_erin(&approvals).to_string()).await.unwrap();
    refused_with(&refused, &["wanted a holder of the role risk-officer, found vera"]);
    // The tool creates them in the order of their kinds: approvals before what they are about.
    let said = backup.create(&items).await;
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
    // An acceptance that is gone is remembered by nobody before its end is recorded: who was heard on it says so of the one that
    // is there now.
    let read = "{.status.gates[*].findings[?(@.reason=='ConsultationMissing')].found}\
                {.status.conditions[?(@.type=='Cleared')].status}";
    let asked = eventually("the restored release to be judged", SOON, async || {
        let said = lending.cluster.field(lending.ns, &format!("modelrelease/{RELEASE}"), read).await?;
        let known = said.contains("approved an earlier object of this name") || said == "True";
        if known { Ok(said != "True") } else { Err(said) }
    });
    if asked.await.unwrap() {
        lending.heard_as("zz", "risk-1").await.unwrap();
    }
    lending.cleared("True").await.unwrap();
    lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap().ok().unwrap();
    lending.running(1).await.unwrap();

    // Who wrote and approved them are those who did, and who restored them stands beside.
    let mut now = backup.export(lending.ns).await;
    now.retain(|o| !o["metadata"]["name"].as_str().unwrap_or_default().starts_with("zz-"));
    for (before, after) in items.iter().zip(&now) {
        let (was, is) = (stamp(before), stamp(after));
        assert_eq!((&was["creator"], &was["createdAt"]), (&is["creator"], &is["createdAt"]), "{after}");
        assert_eq!(is["restored"]["by"]["user"], "system:serviceaccount:default:velero", "{after}");
        assert_eq!(is["restored"]["from"], was["record"], "{after}");
    }
    let restored = "restored by system:serviceaccount:default:velero";
    for wanted in [["release created", "by dana", restored], ["frank as executive", "", restored]] {
        let found = |shown: &str| shown.lines().any(|line| wanted.iter().all(|w| line.contains(w)));
        lending.cluster.evidence_shows((lending.ns, RELEASE), &format!("{wanted:?}"), found).await.unwrap();
    }

    // What somebody deletes themselves is not brought back, and the same content is given anew under another name.
    let executive = approvals.iter().find(|a| a["metadata"]["name"] == "executive").unwrap();
    lending.kubectl("root-admin", &["delete", "approval/executive"]).await.unwrap().ok().unwrap();
    lending.cleared("False").await.unwrap();
    let executive_now = now.iter().find(|a| a["metadata"]["name"] == "executive").unwrap();
    for old in [executive, executive_now] {
        let said = backup.create(std::slice::from_ref(old)).await;
        refused_with(&said, &["somebody deleted it", "given anew, under another name"]);
    }
}

#[tokio::test]
async fn a_tenant_restores_nothing_and_a_stamp_is_of_its_object_alone() {
    let Some(lending) = lending("restore-tenant", Some("deny")).await else { return };
    lending.all_documents().await.unwrap();
    let backup = Backup::new(lending.cluster, "velero-tenant").await;
    let system = of_kind(&backup.export(lending.ns).await, "AISystem").remove(0);
    let mut other = system.clone();
    other["metadata"]["name"] = json!("another");
    // Everything in one's own namespace is not the verb, which is asked cluster-wide.
    let rights = ["create", "role", "all", "--verb=*", "--resource=*.placet.dev"];
    lending.kubectl("root-admin", &rights).await.unwrap().ok().unwrap();
    let bind = ["create", "rolebinding", "all", "--role=all", "--user=mallory"];
    lending.kubectl("root-admin", &bind).await.unwrap().ok().unwrap();
    let delete = ["delete", &format!("aisystem/{SYSTEM}")];
    lending.kubectl("root-admin", &delete).await.unwrap().ok().unwrap();
    for (who, object, why) in [
        ("mallory", &system, "wanted the verb restore on aisystems.placet.dev"),
        ("velero", &other, "its receipt does not fit it"),
    ] {
        let name = object["metadata"]["name"].as_str().unwrap();
        let said = match who {
            "velero" => backup.create(std::slice::from_ref(object)).await,
            _ => lending.apply(who, &object.to_string()).await.unwrap(),
        };
        assert_eq!(said.code, 0, "{said:?}");
        holds(&said.stderr, &["the stamp that it carries is not kept", why]);
        let made = backup.export(lending.ns).await;
        let made = made.iter().find(|o| o["kind"] == "AISystem" && o["metadata"]["name"] == name).unwrap();
        let creator = stamp(made)["creator"]["user"].as_str().unwrap().to_owned();
        let wanted = if who == "velero" { "system:serviceaccount:default:velero-tenant" } else { who };
        assert_eq!((creator.as_str(), &stamp(made)["restored"]), (wanted, &Value::Null));
    }
}

/// A cluster of its own with the definitions, and no Placet yet.
async fn elsewhere() -> Cluster {
    let cluster = Cluster::start(Options { images: own_images(), ..Options::default() }).await.unwrap();
    cluster.install_definitions().await.unwrap();
    cluster
}

#[tokio::test]
async fn in_another_cluster_nothing_counts_until_those_who_wrote_it_apply_it_again() {
    let Some(lending) = lending("moved", Some("deny")).await else { return };
    if lending.cluster.is_foreign() {
        placet_e2e::record_skip("restore into another cluster", "the scenario starts that one itself");
        return;
    }
    lending.clear().await.unwrap();
    let items = Backup::new(lending.cluster, "velero-moved").await.export(lending.ns).await;

    let cluster = elsewhere().await;
    let there = Lending::open(&cluster, "moved", Some("deny")).await.unwrap();
    let backup = Backup::new(&cluster, "velero").await;
    // Before Placet is there, nobody asks; the stamps come along.
    backup.create(&items).await.ok().unwrap();
    cluster.install_placet(&json!({})).await.unwrap();
    let why =
        "signed by a key that this installation does not know: it was restored or copied from another one";
    there.findings_say(&["ModelRelease", why]).await.unwrap();
    let command = "{.status.gates[*].findings[?(@.reason=='NotStamped')].command}";
    let release = format!("modelrelease/{RELEASE}");
    let found = cluster.field(there.ns, &release, command).await.unwrap();
    holds(&found, &["kubectl apply --server-side"]);

    // A plain apply of an unchanged file sends nothing; the server-side one does. Everybody applies what is theirs.
    for document in
        ["system", "assessment", "datasets", "release-v2", "report-bias-v2", "report-performance-v2"]
    {
        let manifest = there.manifest(document).unwrap();
        let args = ["apply", "--server-side", "--force-conflicts", "-n", there.ns, "-f", "-"];
        let who = if document.starts_with("report-") { "vera" } else { "dana" };
        cluster.kubectl_with_input(who, args, &manifest).await.unwrap().ok().unwrap();
    }
    eventually("the release to be dana's", SOON, async || {
        let said = cluster.field(there.ns, &release, "{.status.gates[*].findings[*].found}").await?;
        if said.contains(&format!("ModelRelease {RELEASE}: its receipt")) { Err(said) } else { Ok(()) }
    })
    .await
    .unwrap();
    // Decisions are given again: the old ones are of another cluster, and immutable. An acceptance that a decision has read
    // stays beside the new one.
    there.kubectl("root-admin", &["delete", "approvals", "--all"]).await.unwrap().ok().unwrap();
    let digest = there.digest(&format!("aisystem/{SYSTEM}")).await.unwrap();
    let settings = there.approval("evaluation", "validator", "AISystem", SYSTEM, &digest);
    there.apply("vera", &settings.to_string()).await.unwrap().ok().unwrap();
    there.assessed().await.unwrap();
    let mut acceptance = of_kind(&items, "RiskAcceptance").remove(0);
    acceptance["metadata"] = json!({"name": "risk-1-again", "namespace": there.ns});
    there.apply("frank", &acceptance.to_string()).await.unwrap().ok().unwrap();
    there.heard("risk-1-again").await.unwrap();
    there.approvals(&[]).await.unwrap();
    there.cleared("True").await.unwrap();

    // With Placet there, the tool is told at once.
    let mut moved = of_kind(&items, "Approval").remove(0);
    moved["metadata"]["name"] = json!("from-before");
    refused_with(&backup.create(&[moved]).await, &["wanted a holder of the role"]);
}
