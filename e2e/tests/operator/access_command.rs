//! `placet access`: what the scan of RBAC says is what the API server says.

use placet_e2e::Output;
use placet_e2e::placet::Lending;
use serde_json::{Value, json};

use super::common::{holds, refused_with};
use super::lending;

const NS: &str = "access-scan";
const GROUP: &str = "rbac.authorization.k8s.io";

async fn access(lending: &Lending<'_>, who: &str, args: &[&str]) -> Output {
    lending.cluster.run("placet", who, ["access"].iter().chain(args), None).await.unwrap()
}

fn cluster_role(name: &str, rules: &Value) -> Value {
    json!({"apiVersion": format!("{GROUP}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules})
}

fn binding(kind: &str, name: &str, role: &str, subject: &Value) -> Value {
    let mut object = json!({"apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": {"name": name},
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role}, "subjects": [subject]});
    if kind == "RoleBinding" {
        object["metadata"]["namespace"] = NS.into();
    }
    object
}

fn user(name: &str) -> Value {
    json!({"apiGroup": GROUP, "kind": "User", "name": name})
}

fn approve(resources: &[&str], names: &[&str]) -> Value {
    let mut rule = json!({"apiGroups": ["placet.dev"], "resources": resources, "verbs": ["approve"]});
    if !names.is_empty() {
        rule["resourceNames"] = json!(names);
    }
    json!([rule])
}

/// Roles and bindings of every shape; none of these users exists elsewhere.
fn shapes() -> Vec<Value> {
    let mut collected = cluster_role("scan-collected", &json!([]));
    collected["aggregationRule"] =
        json!({"clusterRoleSelectors": [{"matchLabels": {"scan.example.com/collected": "yes"}}]});
    let mut part = cluster_role("scan-part", &approve(&["approvalroles"], &["validator"]));
    part["metadata"]["labels"] = json!({"scan.example.com/collected": "yes"});
    let everywhere = "ClusterRoleBinding";
    vec![
        cluster_role("scan-wild", &approve(&["approvalroles"], &[])),
        cluster_role("scan-sub", &approve(&["approvalroles/*", "*/approve"], &[])),
        cluster_role("scan-star", &approve(&["approvalroles"], &["*"])),
        cluster_role("scan-two", &approve(&["*"], &["executive", "security-officer"])),
        cluster_role(
            "scan-read",
            &json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]),
        ),
        cluster_role(
            "scan-helpdesk",
            &json!([{"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"], "resourceNames": ["erin"]}]),
        ),
        part,
        collected,
        binding(everywhere, "scan-wild", "scan-wild", &user("scan-wild")),
        binding(everywhere, "scan-sub", "scan-sub", &user("scan-sub")),
        binding(everywhere, "scan-star", "scan-star", &user("scan-star")),
        binding(everywhere, "scan-two", "scan-two", &user("scan-two")),
        binding(everywhere, "scan-read", "scan-read", &user("scan-read")),
        binding(everywhere, "scan-helpdesk", "scan-helpdesk", &user("scan-heidi")),
        binding(everywhere, "scan-collected", "scan-collected", &user("scan-collected")),
        binding(everywhere, "scan-every", "cluster-admin", &user("scan-every")),
        binding(everywhere, "scan-both-1", "placet-approve-executive", &user("scan-both")),
        binding(everywhere, "scan-both-2", "scan-wild", &user("scan-both")),
        binding("RoleBinding", "scan-local", "placet-approve-executive", &user("scan-local")),
        binding("RoleBinding", "scan-local-admin", "cluster-admin", &user("scan-local")),
        binding(
            everywhere,
            "scan-robot",
            "placet-approve-validator",
            &json!({"kind": "ServiceAccount", "name": "robot", "namespace": NS}),
        ),
        binding(
            everywhere,
            "scan-other",
            "placet-approve-executive",
            &user(&format!("system:serviceaccount:{NS}:other")),
        ),
        binding(
            everywhere,
            "scan-accounts",
            "placet-approve-security-officer",
            &json!({"apiGroup": GROUP, "kind": "Group", "name": format!("system:serviceaccounts:{NS}")}),
        ),
    ]
}

#[tokio::test]
async fn the_scan_says_what_the_api_server_says() {
    let Some(lending) = lending(NS, None).await else { return };
    let cluster = lending.cluster;
    let shapes = shapes();
    cluster.apply("root-admin", &shapes).await.unwrap();
    cluster
        .becomes("", "clusterrole/scan-collected", "{.rules[0].resourceNames[0]}", "validator")
        .await
        .unwrap();
    let roles = ["get", "approvalroles", "-o", "jsonpath={.items[*].metadata.name}"];
    let roles = cluster.kubectl("root-admin", roles).await.unwrap().ok().unwrap();
    let roles: Vec<&str> = roles.split_whitespace().collect();
    assert!(roles.len() >= 8, "{roles:?}");

    let (robot, other) =
        (format!("system:serviceaccount:{NS}:robot"), format!("system:serviceaccount:{NS}:other"));
    let people: Vec<(&str, &[&str])> = vec![
        ("erin", &["risk-officers"]),
        ("frank", &["executives", "legal"]),
        ("erin", &[]),
        ("scan-dana", &["data-science"]),
        ("scan-wild", &[]),
        ("scan-every", &[]),
        ("scan-sub", &[]),
        ("scan-star", &[]),
        ("scan-two", &["validators"]),
        ("scan-read", &[]),
        ("scan-collected", &[]),
        ("scan-both", &[]),
        ("scan-local", &[]),
        ("scan-nobody", &[]),
        (&robot, &[]),
        (&other, &[]),
    ];
    let mut yes = 0;
    for (name, groups) in &people {
        let mut args = vec!["--user", name, "-o", "json"];
        let mut impersonated = vec!["--as", name];
        for group in *groups {
            args.extend(["--group", group]);
            impersonated.extend(["--as-group", group]);
        }
        let said = access(&lending, "root-admin", &args).await;
        assert_eq!(said.code, 0, "{said:?}");
        let report: Value = serde_json::from_str(&said.stdout).unwrap();
        let may = async |role: &str| {
            let asked = format!("approvalroles.placet.dev/{role}");
            let args =
                ["auth", "can-i", "-A", "approve", &asked].into_iter().chain(impersonated.iter().copied());
            let said = cluster.kubectl("root-admin", args).await.unwrap();
            match said.stdout.trim() {
                "yes" => true,
                "no" => false,
                _ => panic!("{said:?}"),
            }
        };
        let any = may("scan-of-a-name-that-no-role-bears").await;
        for role in &roles {
            let found = report["roles"].as_array().unwrap().iter().find(|r| r["role"] == *role).unwrap();
            let holds = may(role).await;
            yes += usize::from(holds);
            let wanted = if !holds {
                "No"
            } else if any {
                "ByWildcard"
            } else {
                "ByName"
            };
            assert_eq!(found["answer"], wanted, "{name} {groups:?} {role}: {found}");
        }
    }
    // The matrix is no row of noes.
    assert!(yes > 20 && yes < people.len() * roles.len() - 20, "{yes}");

    everybody_elses(&lending).await;
    for shape in shapes {
        let (kind, name) = (shape["kind"].as_str().unwrap(), shape["metadata"]["name"].as_str().unwrap());
        let delete = ["delete", kind, name, "-n", NS];
        cluster.kubectl("root-admin", delete).await.unwrap().ok().unwrap();
    }
}

/// The report about everybody, with these shapes in the cluster.
async fn everybody_elses(lending: &Lending<'_>) {
    let said = access(lending, "root-admin", &["-o", "json"]).await;
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((said.code, &report["complete"]), (0, &json!(true)), "{said:?}");
    holds(&said.stderr, &["who is in a group is known to the identity provider", "system:masters"]);
    let role =
        |name: &str| report["roles"].as_array().unwrap().iter().find(|r| r["role"] == name).unwrap().clone();
    let names = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|h| h["subject"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let executive = role("executive");
    let by_name = names(&executive["byName"]);
    assert!(
        ["executives", "scan-two", "scan-both", "other"].iter().all(|n| by_name.contains(&(*n).into())),
        "{by_name:?}"
    );
    let both =
        executive["byName"].as_array().unwrap().iter().find(|h| h["subject"]["name"] == "scan-both").unwrap();
    assert_eq!(both["alsoByWildcard"], true);
    assert_eq!(both["binding"], "ClusterRoleBinding scan-both-1");
    assert_eq!(both["role"], "ClusterRole placet-approve-executive");
    // Other scenarios give out roles in their namespaces, too.
    let here = executive["withoutEffect"].as_array().unwrap().iter().filter(|h| h["namespace"] == NS);
    assert_eq!(names(&here.cloned().collect()), ["scan-local", "scan-local"]);
    let everything = names(&report["everything"]);
    assert!(["root-admin", "scan-every", "system:masters"].iter().all(|n| everything.contains(&(*n).into())));
    let way =
        |id: &str| report["waysRound"].as_array().unwrap().iter().find(|w| w["id"] == id).unwrap().clone();
    let heidi = &way("impersonate")["who"];
    let heidi = heidi.as_array().unwrap().iter().find(|h| h["subject"]["name"] == "scan-heidi").unwrap();
    assert_eq!(heidi["allows"][0]["names"], json!(["erin"]));
    assert!(heidi.get("component").is_none());
    // Reading everything reads keys and paths, and changes nothing.
    for (id, found) in
        [("keys", true), ("webhookPort", true), ("policies", false), ("webhooks", false), ("grants", false)]
    {
        assert_eq!(names(&way(id)["who"]).contains(&"scan-read".into()), found, "{id}");
    }
    // The operator itself, and what Kubernetes brings, are no people.
    let components = |id: &str| -> Vec<String> {
        let who = way(id)["who"].clone();
        let all = who.as_array().unwrap().iter().filter(|h| h["component"] == true);
        all.map(|h| h["subject"]["name"].as_str().unwrap().to_owned()).collect()
    };
    assert!(components("keys").contains(&"placet".into()));
    assert!(components("grants").contains(&"clusterrole-aggregation-controller".into()));

    let table = access(lending, "root-admin", &[]).await.ok().unwrap();
    let (people, components) = table.split_once("\nCOMPONENTS of Kubernetes").unwrap();
    assert!(people.contains("\nexecutive\n"), "{people}");
    // Lines are broken to the terminal's width.
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (people, components) = (&words(people), &words(components));
    holds(
        people,
        &[
            "WHO CAN APPROVE",
            "group executives by ClusterRoleBinding placet-approve-executive-",
            "user scan-both by ClusterRoleBinding scan-both-1 (ClusterRole placet-approve-executive); also by a wildcard",
            "impersonate users (only erin)",
            "user root-admin by ClusterRoleBinding",
        ],
    );
    holds(components, &["service account placet-system/placet by", "clusterrole-aggregation-controller"]);
    assert!(!people.contains("kube-system/clusterrole-aggregation-controller"), "{people}");
}

#[tokio::test]
async fn who_may_not_read_rbac_is_told_so_and_a_role_that_is_not_there_is_named() {
    let Some(lending) = lending("access-refused", None).await else { return };
    for who in ["mallory", "audrey"] {
        let said = access(&lending, who, &[]).await;
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{said:?}");
        refused_with(&said, &["clusterroles.rbac.authorization.k8s.io is forbidden", who]);
    }
    let said = access(&lending, "root-admin", &["--role", "no-such-role", "-o", "json"]).await;
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    let [role] = &report["roles"].as_array().unwrap()[..] else { panic!("{report}") };
    assert_eq!(
        (&role["role"], &role["exists"], &role["byName"]),
        (&json!("no-such-role"), &json!(false), &json!([]))
    );
}
