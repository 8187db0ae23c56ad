//! Roles as RBAC gives them: which of them a namespace gives, what the chart's may and may not become part of, who reads the
//! log and the names in it, and who is asked where a harmless-looking system releases what another system does.

use futures::future::join_all;
use placet_e2e::placet::{INSTALLED_IN, Lending, RELEASE, SYSTEM, vouch_for};
use placet_e2e::{Output, SOON, eventually};
use serde_json::{Value, json};

use super::common::{holds, refused_with};
use super::lending;

/// Lets somebody approve in a role, by a Role and its binding in one namespace.
async fn bind(lending: &Lending<'_>, namespace: &str, who: &str, role: &str) {
    let name = format!("approve-{role}");
    let rbac = "rbac.authorization.k8s.io";
    let objects = [
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "Role",
            "metadata": { "name": name, "namespace": namespace },
            "rules": [{
                "apiGroups": ["placet.dev"], "resources": ["approvalroles"], "resourceNames": [role],
                "verbs": ["approve"],
            }],
        }),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding",
            "metadata": { "name": name, "namespace": namespace },
            "roleRef": { "apiGroup": rbac, "kind": "Role", "name": name },
            "subjects": [{ "apiGroup": rbac, "kind": "User", "name": who }],
        }),
    ];
    lending.cluster.apply("root-admin", &objects).await.unwrap();
}

async fn can_approve(lending: &Lending<'_>, who: &str, role: &str, place: &[&str]) -> bool {
    let object = format!("approvalroles.placet.dev/{role}");
    let asked = ["auth", "can-i", "approve", &object].into_iter().chain(place.iter().copied());
    lending.cluster.kubectl(who, asked).await.unwrap().stdout.trim() == "yes"
}

#[tokio::test]
async fn a_role_of_namespaces_is_asked_there_and_a_role_of_the_cluster_is_not() {
    let Some(lending) = lending("team-scope", Some("deny")).await else { return };
    let (ns, elsewhere) = (lending.ns, "team-scope-other");
    lending.cluster.namespace(elsewhere, &[]).await.unwrap();
    lending.cluster.grant(ns, "mallory", "placet-reviewer").await.unwrap();
    let role = json!({
        "apiVersion": "placet.dev/v1alpha1", "kind": "ApprovalRole", "metadata": { "name": "team-lead" },
        "spec": { "title": "Team lead", "answersFor": "The team's own releases", "scope": "Namespace" },
    });
    lending.cluster.apply("root-admin", &[role]).await.unwrap();
    // It lets in whoever a namespace's administrators choose: of an installation that was used before, it waits.
    vouch_for(lending.cluster, "approvalrole/team-lead", "approle/team-lead").await.unwrap();
    let policy = json!({
        "apiVersion": "placet.dev/v1alpha1", "kind": "ReleasePolicy", "metadata": { "name": ns },
        "spec": {
            "appliesTo": {
                "classes": ["High"], "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": ns } },
            },
            "approvals": [{ "role": "team-lead", "count": 1, "covers": "Content" }],
            // Whom it asks for a word on a release is nobody's judge of policies.
            "guard": { "loosening": "Apply" },
        },
    });
    lending.cluster.apply("root-admin", &[policy]).await.unwrap();
    lending.documents(&["system", "release-v2"]).await.unwrap();
    let wanted = "{.status.gates[*].findings[?(@.item=='team-lead')].wanted}";
    let asked = "1 approval by team-lead (covers: Content)";
    lending.cluster.becomes(ns, &format!("modelrelease/{RELEASE}"), wanted, asked).await.unwrap();

    let digest = lending.digest(&format!("modelrelease/{RELEASE}")).await.unwrap();
    let approve = async |name: &str, role: &str| -> Output {
        let approval = lending.approval(name, role, "ModelRelease", RELEASE, &digest);
        lending.apply("mallory", &approval.to_string()).await.unwrap()
    };
    let nobody = ["wanted a holder of the role team-lead, found mallory"];
    refused_with(&approve("unbound", "team-lead").await, &nobody);
    bind(&lending, elsewhere, "mallory", "team-lead").await;
    assert!(can_approve(&lending, "mallory", "team-lead", &["-n", elsewhere]).await);
    refused_with(&approve("bound-elsewhere", "team-lead").await, &nobody);

    bind(&lending, ns, "mallory", "team-lead").await;
    assert!(can_approve(&lending, "mallory", "team-lead", &["-n", ns]).await);
    assert!(!can_approve(&lending, "mallory", "team-lead", &["-A"]).await);
    eventually("mallory's binding to be known to the API server's authorizer", SOON, async || {
        let said = approve("bound-here", "team-lead").await;
        if said.code == 0 { Ok(()) } else { Err(said.stderr) }
    })
    .await
    .unwrap();
    let counts = "{.status.conditions[?(@.type=='Counts')].status}";
    lending.cluster.becomes(ns, "approval/bound-here", counts, "True").await.unwrap();
    // What the tests of a system look at is not left to whom a namespace chooses.
    let system = lending.digest(&format!("aisystem/{SYSTEM}")).await.unwrap();
    let evaluation = lending.approval("evaluation", "team-lead", "AISystem", SYSTEM, &system);
    let refused = lending.apply("mallory", &evaluation.to_string()).await.unwrap();
    refused_with(&refused, &["wanted a role of the cluster", "found team-lead", "(scope: Namespace)"]);

    // A role of the cluster is nothing that a namespace gives, and `can-i` in all namespaces tells the truth.
    bind(&lending, ns, "mallory", "risk-officer").await;
    assert!(can_approve(&lending, "mallory", "risk-officer", &["-n", ns]).await);
    assert!(!can_approve(&lending, "mallory", "risk-officer", &["-A"]).await);
    assert!(can_approve(&lending, "erin", "risk-officer", &["-A"]).await);
    let refused = approve("bound-in-vain", "risk-officer").await;
    refused_with(&refused, &["wanted a holder of the role risk-officer, found mallory"]);
}

#[tokio::test]
async fn the_charts_roles_are_aggregated_into_none() {
    let Some(lending) = lending("aggregation", None).await else { return };
    let list = ["get", "clusterroles", "-o", "json"];
    let text = lending.cluster.kubectl("root-admin", list).await.unwrap().ok().unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let all = all["items"].as_array().unwrap();
    let name = |role: &Value| role["metadata"]["name"].as_str().unwrap().to_owned();
    let ours: Vec<&Value> = all.iter().filter(|role| name(role).starts_with("placet-")).collect();
    for wanted in ["placet-data-scientist", "placet-reviewer", "placet-risk-officer", "placet-auditor"] {
        assert!(ours.iter().any(|role| name(role) == wanted), "{wanted}");
    }
    for role in ours {
        let labels = role["metadata"]["labels"].as_object().cloned().unwrap_or_default();
        assert!(!labels.keys().any(|key| key.contains("/aggregate-to-")), "{role}");
        assert!(role["aggregationRule"].is_null(), "{role}");
    }
    // Nor do Kubernetes' own roles hold any of our rights, but where they hold everything.
    for role in all.iter().filter(|role| ["admin", "edit", "view"].contains(&name(role).as_str())) {
        let rules = role["rules"].as_array().unwrap();
        assert!(
            !rules.is_empty() && !rules.iter().any(|rule| rule.to_string().contains("placet.dev")),
            "{role}"
        );
    }
}

/// One of each of the chart's working roles: data scientist, reviewer, risk officer, auditor.
const WORKERS: [&str; 4] = ["dana", "bob", "erin", "audrey"];

/// What can be done with which of our kinds, and who of them may.
const MAY: [(&str, &str, &[&str]); 19] = [
    ("get", "modelreleases", &WORKERS),
    ("list", "approvals", &WORKERS),
    ("watch", "releasepolicies", &WORKERS),
    ("create", "aisystems", &["dana"]),
    ("update", "impactassessments", &["dana"]),
    ("patch", "modelreleases", &["dana"]),
    ("create", "testreports", &["dana"]),
    ("create", "datasets", &["dana"]),
    ("create", "approvals", &["bob", "erin"]),
    ("create", "riskacceptances", &["erin"]),
    ("update", "approvals", &[]),
    ("patch", "riskacceptances", &[]),
    ("delete", "approvals", &[]),
    ("delete", "testreports", &[]),
    ("approve", "approvalroles", &[]),
    ("enforce", "releasepolicies", &[]),
    ("create", "releasepolicies", &[]),
    ("update", "approvalroles", &[]),
    ("restore", "approvals", &[]),
];

/// What `kubectl auth can-i` says, which is yes or no.
async fn can_i(lending: &Lending<'_>, who: &str, verb: &str, kind: &str) -> bool {
    let said = lending.kubectl(who, &["auth", "can-i", verb, kind]).await.unwrap();
    let answer = said.stdout.split_whitespace().next();
    assert!(matches!(answer, Some("yes" | "no")), "{said:?}");
    answer == Some("yes")
}

#[tokio::test]
async fn who_has_a_working_role_of_the_chart_may_do_that_work_and_no_other() {
    let Some(lending) = lending("working-roles", None).await else { return };
    for (verb, kind, wanted) in MAY {
        let kind = format!("{kind}.placet.dev");
        let answers = join_all(WORKERS.map(|who| can_i(&lending, who, verb, &kind))).await;
        let may: Vec<&str> =
            WORKERS.into_iter().zip(answers).filter_map(|(who, may)| may.then_some(who)).collect();
        assert_eq!(may, wanted, "{verb} {kind}");
    }
}

#[tokio::test]
async fn an_auditor_reads_the_log_without_names_and_somebody_else_reads_nothing_of_it() {
    let Some(lending) = lending("log-readers", Some("deny")).await else { return };
    lending.all_documents().await.unwrap();
    lending.approve("bob", "model-owner", None).await.unwrap();
    let named = |shown: &str| ["by dana", "bob as model-owner"].iter().all(|person| shown.contains(person));
    lending.cluster.evidence_shows((lending.ns, RELEASE), "its people", named).await.unwrap();

    let show = ["evidence", "show", &format!("mr/{RELEASE}"), "-n", lending.ns];
    let ask = async |who: &str| lending.cluster.run("placet", who, show, None).await.unwrap();
    let said = ask("audrey").await;
    assert_eq!(said.code, 0, "{said:?}");
    holds(&said.stdout, &["by somebody", "somebody as model-owner"]);
    holds(&said.stderr, &["people are shown as tokens", "placet-read-names"]);
    assert!(["dana", "bob"].iter().all(|name| !said.stdout.contains(name)), "{said:?}");
    for who in ["bob", "mallory"] {
        let said = ask(who).await;
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{said:?}");
        holds(&said.stderr, &["the evidence log may not be read", "placet-read-log"]);
    }

    // What stands between them are the Secrets.
    let get = async |who: &str, secret: &str| {
        let get = ["get", "secret", secret, "-n", INSTALLED_IN, "-o", "name"];
        lending.cluster.kubectl(who, get).await.unwrap()
    };
    get("audrey", "placet-read-log").await.ok().unwrap();
    for secret in ["placet-read-names", "placet-people-key", "placet-log-key", "placet-receipt-key"] {
        refused_with(&get("audrey", secret).await, &["cannot get resource \"secrets\""]);
    }
    refused_with(&get("mallory", "placet-read-log").await, &["cannot get resource \"secrets\""]);
}

#[tokio::test]
async fn a_second_system_that_looks_harmless_does_not_lower_the_class_of_the_same_model() {
    let Some(lending) = lending("class-known", Some("deny")).await else { return };
    lending.documents(&["system", "release-v2"]).await.unwrap();
    let class = "{.status.class}";
    lending.cluster.becomes(lending.ns, &format!("modelrelease/{RELEASE}"), class, "High").await.unwrap();

    // The same model, released by another system of which nothing is said that makes it more than Minimal.
    let (system, release) = ("harmless", "harmless-1.0.0");
    let manifest = lending.manifest("system").unwrap();
    let manifest = manifest.replace(&format!("name: {SYSTEM}\n"), &format!("name: {system}\n"));
    lending.apply("dana", &manifest).await.unwrap().ok().unwrap();
    let emptied = json!({"spec": {"triggers": {
        "annexI": [], "annexIII": [], "article5": [], "article50": [], "profiling": false, "personalData": false,
    }}});
    let (object, patch) = (format!("ais/{system}"), emptied.to_string());
    lending.kubectl("dana", &["patch", &object, "--type=merge", "-p", &patch]).await.unwrap().ok().unwrap();
    let manifest = lending.manifest("release-v2").unwrap();
    let manifest = manifest
        .replace(&format!("name: {RELEASE}\n"), &format!("name: {release}\n"))
        .replace(&format!("system: {SYSTEM}\n"), &format!("system: {system}\n"));
    lending.apply("dana", &manifest).await.unwrap().ok().unwrap();
    let object = format!("modelrelease/{release}");
    lending.cluster.becomes(lending.ns, &object, class, "Minimal").await.unwrap();
    let found = "{.status.gates[*].findings[?(@.reason=='ClassLowered')].found}";
    let wanted = format!("another system, {}/{SYSTEM}, was of class High with the same artefact", lending.ns);
    eventually("the class that the model had to be remembered", SOON, async || {
        let said = lending.cluster.field(lending.ns, &object, found).await?;
        if said.contains(&wanted) { Ok(()) } else { Err(said) }
    })
    .await
    .unwrap();
    let pod = lending.pod("harmless", release);
    refused_with(&lending.apply("dana", &pod.to_string()).await.unwrap(), &["was of class High"]);
}
