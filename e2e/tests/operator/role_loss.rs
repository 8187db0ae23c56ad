//! Losing a role takes back what was given in it, for as long as it is lost.

use std::time::Duration;

use placet_e2e::eventually;
use placet_e2e::placet::{Lending, RELEASE};
use serde_json::{Value, json};

use super::lending;

/// The operator asks every half minute, and once more before it believes that a role is lost.
const ASKED: Duration = Duration::from_secs(120);

const BINDING: &str = "rosa-is-a-risk-officer-for-now";

/// A role of RBAC that lets its holders approve as risk officer, and rosa's binding to it. It holds in the whole cluster that
/// other scenarios use beside this one, so it is for somebody of whom no other scenario says what they may not do.
fn binding() -> [Value; 2] {
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": BINDING});
    let user = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "rosa"});
    [
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": BINDING},
            "rules": [{"apiGroups": ["placet.dev"], "resources": ["approvalroles"], "resourceNames": ["risk-officer"], "verbs": ["approve"]}],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": BINDING},
            "roleRef": role, "subjects": [user],
        }),
    ]
}

async fn becomes(lending: &Lending<'_>, cleared: &str) {
    let path = "{.status.conditions[?(@.type=='Cleared')].status}";
    eventually(&format!("Cleared {cleared}"), ASKED, async || {
        let found = lending.cluster.field(lending.ns, &format!("modelrelease/{RELEASE}"), path).await?;
        if found == cleared { Ok(()) } else { Err(found) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn who_loses_the_role_takes_the_clearance_along_until_they_hold_it_again() {
    let Some(lending) = lending("role-loss", Some("deny")).await else { return };
    for object in binding() {
        lending.apply("root-admin", &object.to_string()).await.unwrap().ok().unwrap();
    }
    lending.cluster.grant(lending.ns, "rosa", "placet-reviewer").await.unwrap();
    lending.all_documents().await.unwrap();
    lending.settings_and_risk().await.unwrap();
    lending.approvals(&["risk-officer"]).await.unwrap();
    lending.approve("rosa", "risk-officer", None).await.unwrap();
    lending.cleared("True").await.unwrap();

    let delete = ["delete", "clusterrolebinding", BINDING];
    lending.kubectl("root-admin", &delete).await.unwrap().ok().unwrap();
    becomes(&lending, "False").await;
    lending.findings_say(&["rosa does not hold the role any more"]).await.unwrap();
    let asked = ["auth", "can-i", "-A", "approve", "approvalroles.placet.dev/risk-officer"];
    assert_eq!(lending.kubectl("rosa", &asked).await.unwrap().stdout.trim(), "no");

    lending.apply("root-admin", &binding()[1].to_string()).await.unwrap().ok().unwrap();
    becomes(&lending, "True").await;
    // Both stand in the evidence, once each, with the name that the opening holds.
    let times = |shown: &str, what: &str| {
        shown.lines().filter(|l| l.contains(what) && l.contains("rosa as risk-officer")).count()
    };
    let again = |shown: &str| times(shown, "role held again") > 0;
    let shown =
        lending.cluster.evidence_shows((lending.ns, RELEASE), "the role is held again", again).await.unwrap();
    assert_eq!((times(&shown, "role lost"), times(&shown, "role held again")), (1, 1), "{shown}");
    for what in ["clusterrolebinding", "clusterrole"] {
        lending.kubectl("root-admin", &["delete", what, BINDING]).await.unwrap().ok().unwrap();
    }
}
