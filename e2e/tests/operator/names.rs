//! Who counts as a person, on a real API server: a service account with the role, a name that looks like another, and one person
//! under two names.

use placet_e2e::Output;
use placet_e2e::placet::Lending;
use serde_json::json;

use super::lending;

/// `kubectl apply` in somebody's name, who holds a role by the right group.
async fn posing(lending: &Lending<'_>, name: &str, groups: &[&str], object: &str) -> Output {
    let name = format!("--as={name}");
    let groups: Vec<String> = groups.iter().map(|group| format!("--as-group={group}")).collect();
    let apply = ["apply", "--validate=false", "-n", lending.ns, "-f", "-", &name];
    let args = apply.into_iter().chain(groups.iter().map(String::as_str));
    lending.cluster.kubectl_with_input("root-admin", args, object).await.unwrap()
}

#[tokio::test]
async fn no_robot_no_look_alike_and_nobody_twice() {
    let Some(lending) = lending("names", Some("deny")).await else { return };
    let policy = json!({
        "apiVersion": "placet.dev/v1alpha1", "kind": "ReleasePolicy", "metadata": {"name": "names"},
        "spec": {
            "appliesTo": {"classes": ["High"], "namespaceSelector": {
                "matchLabels": {"kubernetes.io/metadata.name": "names"}}},
            "approvals": [{"role": "risk-officer", "count": 1}],
            "separationOfDuties": {"aliases": [{"names": ["vera", "oidc:vera"]}]},
            "guard": {"loosening": "Apply"},
        },
    });
    lending.apply("root-admin", &policy.to_string()).await.unwrap().ok().unwrap();
    lending.all_documents().await.unwrap();
    lending.settings_and_risk().await.unwrap();
    // The risk officer's approval is what is missing, and each of these gives one.
    lending.approvals(&["risk-officer"]).await.unwrap();

    let robot = "system:serviceaccount:names:robot";
    lending.kubectl("root-admin", &["create", "serviceaccount", "robot"]).await.unwrap().ok().unwrap();
    for command in [
        "create clusterrolebinding names-robot --clusterrole=placet-approve-risk-officer --serviceaccount=names:robot",
        "create rolebinding names-robot --clusterrole=placet-reviewer --serviceaccount=names:robot",
    ] {
        let args: Vec<&str> = command.split(' ').collect();
        lending.kubectl("root-admin", &args).await.unwrap().ok().unwrap();
    }
    let mut given = lending.of_evidence("by-robot", "risk-officer").await.unwrap();
    posing(&lending, robot, &[], &given.to_string()).await.ok().unwrap();
    lending.findings_say(&["is a service account"]).await.unwrap();

    // Cyrillic е and р in a Latin name, in the officers' group.
    let officers = ["risk-officers", "system:authenticated"];
    given["metadata"]["name"] = json!("by-look-alike");
    posing(&lending, "\u{435}\u{440}in", &officers, &given.to_string()).await.ok().unwrap();
    lending.findings_say(&["mixes letters of several scripts"]).await.unwrap();
    lending.cleared("False").await.unwrap();

    // vera has approved as validator; under the name that another identity provider has for her she is vera.
    given["metadata"]["name"] = json!("by-veras-other-name");
    posing(&lending, "oidc:vera", &officers, &given.to_string()).await.ok().unwrap();
    lending.findings_say(&["since a person counts in one role only"]).await.unwrap();
    lending.cleared("False").await.unwrap();
    for object in ["releasepolicy/names", "clusterrolebinding/names-robot"] {
        lending.kubectl("root-admin", &["delete", object]).await.unwrap().ok().unwrap();
    }
}
