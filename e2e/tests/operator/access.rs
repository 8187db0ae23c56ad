//! What somebody sees whose rights end at a namespace, and what the chart does with namespaces that are not there.

use placet_e2e::placet::{INSTALLED_IN, RELEASE, repository};
use serde_json::json;

use super::common::{holds, refused_with};
use super::lending;

#[tokio::test]
async fn somebody_of_one_namespace_learns_why() {
    let Some(lending) = lending("of-one", Some("deny")).await else { return };
    lending.all_documents().await.unwrap();
    lending.cleared("False").await.unwrap();
    let why = ["why", &format!("mr/{RELEASE}"), "-n", lending.ns];
    let ask = async || lending.cluster.run("placet", "mallory", why, None).await.unwrap();

    // With `edit` alone: nothing, and who can change that.
    let said = ask().await;
    assert_eq!(said.code, 2, "{said:?}");
    holds(&said.stderr, &["mallory", "forbidden", "placet-data-scientist"]);

    // With a working role in the namespace: everything that is missing, but not the cluster-wide kinds.
    lending.cluster.grant(lending.ns, "mallory", "placet-data-scientist").await.unwrap();
    let said = ask().await;
    assert_eq!(said.code, 1, "{said:?}");
    holds(&said.stdout, &["is not cleared", "executive", "placet approve mr/"]);
    // The same by kubectl, which finds the plugin by its name in PATH.
    let plugins = lending.cluster.dir().join("plugins");
    tokio::fs::create_dir(&plugins).await.unwrap();
    let own =
        lending.cluster.run("sh", "mallory", ["-c", "command -v placet"], None).await.unwrap().ok().unwrap();
    tokio::fs::symlink(own.trim_end(), plugins.join("kubectl-placet")).await.unwrap();
    let plugins = plugins.to_string_lossy();
    let as_plugin = ["-c", "PATH=$0:$PATH; exec kubectl placet \"$@\"", &plugins].into_iter().chain(why);
    let said = lending.cluster.run("sh", "mallory", as_plugin, None).await.unwrap();
    assert_eq!(said.code, 1, "{said:?}");
    holds(&said.stdout, &["is not cleared", "executive", "placet approve mr/"]);
    let list = ["get", "placet"];
    let listed = lending.kubectl("mallory", &list).await.unwrap();
    holds(&listed.stdout, &["modelrelease.placet.dev/", "aisystem.placet.dev/", "testreport.placet.dev/"]);
    refused_with(&listed, &["releasepolicies.placet.dev is forbidden"]);

    // With the chart's role for reading policies: all of it.
    let bind = [
        "create",
        "clusterrolebinding",
        "mallory-reads-policies",
        "--clusterrole=placet-policy-viewer",
        "--user=mallory",
    ];
    lending.cluster.kubectl("root-admin", bind).await.unwrap().ok().unwrap();
    let listed = lending.kubectl("mallory", &list).await.unwrap().ok().unwrap();
    holds(
        &listed,
        &[
            "modelrelease.placet.dev/",
            "releasepolicy.placet.dev/high-risk",
            "approvalrole.placet.dev/executive",
        ],
    );
    // Columns are words, no JSON.
    assert!(!listed.contains("[\"") && !listed.contains("map["), "{listed}");
    refused_with(
        &lending.kubectl("mallory", &["delete", "rp", "high-risk"]).await.unwrap(),
        &["cannot delete resource \"releasepolicies\""],
    );
    let unbind = ["delete", "clusterrolebinding", "mallory-reads-policies"];
    lending.cluster.kubectl("root-admin", unbind).await.unwrap().ok().unwrap();
}

#[tokio::test]
async fn a_namespace_of_access_that_is_not_there_is_left_out_and_named() {
    let Some(lending) = lending("is-there", None).await else { return };
    let chart = repository().join("charts/placet");
    let access =
        r#"access=[{"role":"data-scientist","groups":["science"],"namespaces":["is-there","is-not-there"]}]"#;
    let rendered = lending
        .cluster
        .helm([
            "upgrade",
            "placet",
            &chart.to_string_lossy(),
            "-n",
            INSTALLED_IN,
            "--dry-run=server",
            "--reuse-values",
            "--set-json",
            access,
        ])
        .await
        .unwrap()
        .ok()
        .unwrap();
    holds(
        &rendered,
        &[
            "namespace: is-there\n",
            "name: placet-policy-viewer-0\n",
            "WARNING: `access` names namespaces that do not exist, so nobody was bound there: is-not-there.",
        ],
    );
    assert!(!rendered.contains("namespace: is-not-there"), "{rendered}");
}

#[tokio::test]
async fn who_holds_a_role_by_the_chart_may_approve_changes_of_policies_and_nothing_else_there() {
    let Some(lending) = lending("chart-roles", None).await else { return };
    let chart = repository().join("charts/placet");
    let rendered = lending
        .cluster
        .helm([
            "template",
            "placet",
            &chart.to_string_lossy(),
            "-n",
            INSTALLED_IN,
            "--set-json",
            r#"bindings=[{"role":"validator","groups":["validators-only"]}]"#,
            "-s",
            "templates/rbac-bindings.yaml",
        ])
        .await
        .unwrap()
        .ok()
        .unwrap();
    holds(
        &rendered,
        &[
            "kind: RoleBinding\n",
            "namespace: placet-system\n",
            "kind: Role\n  name: placet-approve-changes\n",
            "kind: Group, name: \"validators-only\"",
        ],
    );
    // Somebody who has nothing else.
    let may = async |verb: &str, what: &str| {
        let asked = ["auth", "can-i", verb, what, "-n", INSTALLED_IN, "--as", "somebody", "--as-group"];
        let asked = asked.into_iter().chain(["only-a-role"]);
        lending.cluster.kubectl("root-admin", asked).await.unwrap().stdout.trim() == "yes"
    };
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "only-a-role", "namespace": INSTALLED_IN},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "placet-approve-changes"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "only-a-role"}],
    });
    let apply = ["apply", "-f", "-"];
    let made = lending.cluster.kubectl_with_input("root-admin", apply, &binding.to_string()).await;
    made.unwrap().ok().unwrap();
    for (verb, what, wanted) in [
        ("create", "approvals.placet.dev", true),
        ("get", "approvals.placet.dev", true),
        ("list", "approvals.placet.dev", true),
        ("update", "approvals.placet.dev", false),
        ("delete", "approvals.placet.dev", false),
        ("create", "riskacceptances.placet.dev", false),
        ("get", "secrets", false),
    ] {
        assert_eq!(may(verb, what).await, wanted, "{verb} {what}");
    }
    let unbind = ["delete", "rolebinding", "only-a-role", "-n", INSTALLED_IN];
    lending.cluster.kubectl("root-admin", unbind).await.unwrap().ok().unwrap();
}
