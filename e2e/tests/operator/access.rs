//! What somebody sees whose rights end at a namespace, and what the chart does with namespaces that are not there.

use placet_e2e::placet::{INSTALLED_IN, RELEASE, repository};

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
