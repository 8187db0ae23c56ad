//! The ways out that README's section "3 a.m." gives, tried as somebody would at that hour: its own commands are typed.

use std::time::Duration;

use placet_e2e::placet::{INSTALLED_IN, Lending, RELEASE, repository};
use placet_e2e::{Cluster, Output, SOON, eventually};
use serde_json::{Value, json};

use super::alone;
use super::common::{holds, refused_with};
use super::webhooks::in_force;

/// A part of the section, from its heading in bold type to the next.
async fn part(heading: &str) -> String {
    let page = tokio::fs::read_to_string(repository().join("README.md")).await.unwrap();
    let section = page.split_once("\n## 3 a.m.\n").unwrap().1;
    let section = section.split_once("\n## ").unwrap().0;
    let part =
        section.split_once(&format!("\n**{heading}")).unwrap_or_else(|| panic!("no part {heading:?}")).1;
    part.split_once("\n**").map_or(part, |(part, _)| part).to_owned()
}

/// The blocks of commands in a text.
fn blocks(text: &str) -> Vec<&str> {
    text.split("```").skip(1).step_by(2).map(|block| block.strip_prefix("sh\n").unwrap()).collect()
}

/// The command in the prose of a text that begins with these words.
fn inline(text: &str, words: &str) -> String {
    let prose: String = text.split("```").step_by(2).collect();
    let quoted = prose.split('`').skip(1).step_by(2);
    let mut commands = quoted.map(|command| command.split_whitespace().collect::<Vec<_>>().join(" "));
    commands
        .find(|command| command.starts_with(words))
        .unwrap_or_else(|| panic!("no `{words} …` in:\n{text}"))
}

/// Types commands at the root of the repository, as a cluster administrator.
async fn typed(cluster: &Cluster, commands: &str) -> Output {
    let script = format!("set -eu\ncd '{}'\n{commands}", repository().display());
    cluster.run("sh", "root-admin", ["-c", script.as_str()], None).await.unwrap()
}

/// A namespace with one pod of the sample that is held; gives its name.
async fn one_held(lending: &Lending<'_>) -> String {
    lending.all_documents().await.unwrap();
    lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap().ok().unwrap();
    let mut pods = lending.pods_become("one held pod", |pods| pods.len() == 1 && pods[0].held).await.unwrap();
    pods.remove(0).name
}

/// What is left of an installation, whoever made it: names of ours in all kinds that the chart, its Job and the operator make.
async fn left(cluster: &Cluster) -> Vec<String> {
    let kinds = "clusterrolebindings,clusterroles,configmaps,endpointslices,jobs,mutatingwebhookconfigurations,\
                 networkpolicies,persistentvolumeclaims,poddisruptionbudgets,pods,rolebindings,roles,secrets,services,\
                 serviceaccounts,statefulsets,validatingwebhookconfigurations";
    let path = "jsonpath={range .items[*]}{.kind}/{.metadata.name}{'\\n'}{end}";
    let all =
        cluster.kubectl("admin", ["get", "-n", INSTALLED_IN, kinds, "-o", path]).await.unwrap().ok().unwrap();
    let ours = |line: &&str| line.split_once('/').is_some_and(|(_, name)| name.contains("placet"));
    let mut found: Vec<String> = all.lines().filter(ours).map(ToOwned::to_owned).collect();
    found.sort();
    found
}

/// What README says stays: the log, the keys, the log's head.
const STAYS: [&str; 8] = [
    "ConfigMap/placet-log-head",
    "PersistentVolumeClaim/log-placet-0",
    "Secret/placet-ca",
    "Secret/placet-log-key",
    "Secret/placet-people-key",
    "Secret/placet-read-log",
    "Secret/placet-read-names",
    "Secret/placet-receipt-key",
];

/// Waits until nothing else is left: what was deleted goes a moment later.
async fn no_more_stays(cluster: &Cluster) {
    eventually("nothing but what stays to be left", SOON, async || {
        let left = left(cluster).await;
        if left == STAYS { Ok(()) } else { Err(left.join("\n")) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn everything_gets_out_of_the_way_and_comes_back() {
    let Some((cluster, _turn)) = alone().await else { return };
    let way = part("Everything out of the way.").await;
    let held = Lending::open(cluster, "aside-held", Some("hold")).await.unwrap();
    let waiting = one_held(&held).await;
    let freed = Lending::open(cluster, "aside-freed", Some("hold")).await.unwrap();
    one_held(&freed).await;
    let lending = Lending::open(cluster, "aside", Some("deny")).await.unwrap();
    lending.documents(&["system", "assessment", "datasets", "release-v2", "report-bias-v2"]).await.unwrap();
    let digest = lending.digest("aisystem/credit-eligibility").await.unwrap();
    let deployment = lending.manifest("deployment-v2").unwrap();
    refused_with(&lending.apply("dana", &deployment).await.unwrap(), &["is not cleared"]);

    typed(cluster, blocks(&way)[0]).await.ok().unwrap();
    // "From now on everything is let in."
    eventually("everything to be let in", SOON, async || {
        let applied = lending.apply("dana", &deployment).await.map_err(|error| error.to_string())?;
        if applied.code == 0 { Ok(()) } else { Err(applied.stderr) }
    })
    .await
    .unwrap();
    lending.running(1).await.unwrap();
    // "Objects of placet.dev that are written meanwhile carry no stamp and do not count."
    lending.documents(&["report-performance-v2"]).await.unwrap();
    let evaluation = lending.approval("evaluation", "validator", "AISystem", "credit-eligibility", &digest);
    lending.apply("vera", &evaluation.to_string()).await.unwrap().ok().unwrap();
    let stamp = r"{.metadata.annotations.placet\.dev/stamp}";
    let report = "testreport/credit-eligibility-2.0.0-performance";
    for object in [report, "approval/evaluation"] {
        assert_eq!(cluster.field("aside", object, stamp).await.unwrap(), "", "{object}");
    }
    // "The operator goes not ready and changes nothing": "pods that are already held stay held".
    let ready = "{.status.conditions[?(@.type=='Ready')].status}";
    cluster.becomes(INSTALLED_IN, "pod/placet-0", ready, "False").await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let still = |pods: &[placet_e2e::placet::Pod]| pods.len() == 1 && pods[0].held && pods[0].name == waiting;
    held.pods_become("the pod that was held", still).await.unwrap();
    // "But for the holds of a namespace whose label you remove: those it lifts."
    let label = ["label", "ns", "aside-freed", "placet.dev/enforce-"];
    cluster.kubectl("root-admin", label).await.unwrap().ok().unwrap();
    freed.running(1).await.unwrap();

    // "Back: …"
    typed(cluster, &inline(&way, "helm upgrade")).await.ok().unwrap();
    cluster.placet_ready().await.unwrap();
    in_force(cluster).await;
    let pod = lending.pod("late", RELEASE).to_string();
    eventually("refusals again", SOON, async || {
        let dry = ["create", "--dry-run=server", "-n", "aside", "-f", "-"];
        let asked = cluster.kubectl_with_input("dana", dry, &pod).await.map_err(|error| error.to_string())?;
        if asked.stderr.contains("is not cleared") { Ok(()) } else { Err(asked.stderr) }
    })
    .await
    .unwrap();
    held.pods_become("the pod that was held", still).await.unwrap();
    // "Their author applies them again later", "whoever gave an approval gives it again under another name".
    let why = ["why", &format!("mr/{RELEASE}"), "-n", "aside"];
    let told = cluster.run("placet", "dana", why, None).await.unwrap();
    let told = told.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    holds(&told, &["evaluation does not count: it carries no stamp", "gives it again, under another name"]);
    let plain = lending.manifest("report-performance-v2").unwrap();
    let unchanged = lending.apply("vera", &plain).await.unwrap().ok().unwrap();
    assert!(unchanged.ends_with(" unchanged\n"), "{unchanged}");
    assert_eq!(cluster.field("aside", report, stamp).await.unwrap(), "");
    let apply = inline(&way, "kubectl apply --server-side").replace("FILE", "-");
    cluster.kubectl_with_input("vera", apply.split(' ').skip(1), &plain).await.unwrap().ok().unwrap();
    holds(&cluster.field("aside", report, stamp).await.unwrap(), &["vera"]);
    let mut again = evaluation;
    again["metadata"]["name"] = json!("evaluation-again");
    lending.apply("vera", &again.to_string()).await.unwrap().ok().unwrap();
    holds(&cluster.field("aside", "approval/evaluation-again", stamp).await.unwrap(), &["vera"]);
}

/// A gate of ours behind one of somebody else.
fn gated(lending: &Lending<'_>) -> Value {
    let mut pod = lending.pod("gated-twice", RELEASE);
    pod["spec"]["schedulingGates"] = json!([{ "name": "example.com/wait" }]);
    pod
}

#[tokio::test]
async fn without_its_hooks_an_uninstall_leaves_holds_that_are_removed_by_hand() {
    let Some((cluster, _turn)) = alone().await else { return };
    let (aside, uninstall) = (part("Everything out of the way.").await, part("For good.").await);
    let by_hand = part("Removing holds by hand.").await;
    let [one, all] = blocks(&by_hand)[..] else { panic!("two blocks of commands in:\n{by_hand}") };
    let first = Lending::open(cluster, "by-hand", Some("hold")).await.unwrap();
    let pod = one_held(&first).await;
    let second = Lending::open(cluster, "by-hand-all", Some("hold")).await.unwrap();
    one_held(&second).await;
    second.apply("dana", &gated(&second).to_string()).await.unwrap().ok().unwrap();
    let gates = "{.spec.schedulingGates[*].name}";
    let both = cluster.field("by-hand-all", "pod/gated-twice", gates).await.unwrap();
    assert_eq!(both, "example.com/wait placet.dev/hold");
    second
        .pods_become("two held pods", |pods| pods.len() == 2 && pods.iter().all(|pod| pod.held))
        .await
        .unwrap();

    // "If not even the Job can run (no image)": it is tried all the same, and waited for for less long than at that hour.
    let chart = repository().join("charts/placet");
    let upgrade = ["upgrade", "placet", &chart.to_string_lossy(), "-n", INSTALLED_IN, "--reuse-values"];
    let nowhere = ["--set", "image.repository=registry.example.com/none"];
    cluster.helm([upgrade.as_slice(), &nowhere].concat()).await.unwrap().ok().unwrap();
    let [usual, tidy] = blocks(&uninstall)[..] else { panic!("two blocks of commands in:\n{uninstall}") };
    let tried = typed(cluster, &format!("{} --timeout 10s", usual.trim_end())).await;
    refused_with(&tried, &["placet-uninstall"]);
    typed(cluster, blocks(&aside)[0]).await.ok().unwrap();
    typed(cluster, &inline(&uninstall, "helm uninstall placet -n placet-system --no-hooks"))
        .await
        .ok()
        .unwrap();
    // All three are still held.
    first.pods_become("the held pod", |pods| pods.len() == 1 && pods[0].held).await.unwrap();
    second
        .pods_become("two held pods", |pods| pods.len() == 2 && pods.iter().all(|pod| pod.held))
        .await
        .unwrap();
    assert!(left(cluster).await.contains(&"Job/placet-uninstall".to_owned()), "its log can be read");
    typed(cluster, tidy).await.ok().unwrap();
    no_more_stays(cluster).await;

    // One, which the list shows.
    let listed =
        typed(cluster, &one.replace("POD", &pod).replace("NAMESPACE", "by-hand")).await.ok().unwrap();
    assert!(
        listed.lines().any(|line| line.contains(&pod) && line.trim_end().ends_with("placet.dev/hold")),
        "{listed}"
    );
    first.running(1).await.unwrap();
    second
        .pods_become("two held pods", |pods| pods.len() == 2 && pods.iter().all(|pod| pod.held))
        .await
        .unwrap();
    // All of them. Somebody else's gate is not ours to take.
    typed(cluster, all).await.ok().unwrap();
    second
        .pods_become("one that runs and one that somebody else holds", |pods| {
            pods.len() == 2
                && pods.iter().all(|pod| !pod.held && (pod.phase == "Running") == (pod.name != "gated-twice"))
        })
        .await
        .unwrap();
    assert_eq!(cluster.field("by-hand-all", "pod/gated-twice", gates).await.unwrap(), "example.com/wait");

    // Installed again it goes on, and the usual uninstall leaves no more than that.
    cluster.install_placet(&json!({})).await.unwrap();
    typed(cluster, usual).await.ok().unwrap();
    no_more_stays(cluster).await;
    cluster.install_placet(&json!({})).await.unwrap();
    in_force(cluster).await;
}

#[tokio::test]
async fn the_conditions_of_the_page_are_those_that_its_commands_show() {
    let Some((cluster, _turn)) = alone().await else { return };
    let part = part("What is wrong?").await;
    let rows = part.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let told: Vec<&str> = rows.map(|(condition, _)| condition).collect();
    assert_eq!(told, ["TimeTrusted", "EvidenceWritable", "EvidenceSpace", "Usable", "InForce"]);
    let shown = typed(cluster, &blocks(&part)[0].replace("NAME", "high-risk")).await.ok().unwrap();
    holds(&shown, &told);
}
