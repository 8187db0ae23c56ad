//! The evaluator, case by case, and the command over a stand-in.

use serde_json::{Value, json};

use super::rbac::{Ask, Grant, Identity, Objects, Own, Rule, Subject, grants};
use super::scan::{Facts, Report, Role, scan};
use crate::args::{AccessArgs, TableOrJson};
use crate::testing::{Answers, cluster};

const OWN: Own<'static> = Own { namespace: "placet-system", release: "placet" };

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str], names: &[&str]) -> Value {
    let mut rule = json!({"apiGroups": groups, "resources": resources, "verbs": verbs});
    if !names.is_empty() {
        rule["resourceNames"] = json!(names);
    }
    rule
}

fn approve(names: &[&str]) -> Value {
    rule(&["placet.dev"], &["approvalroles"], &["approve"], names)
}

fn cluster_role(name: &str, rules: &[Value]) -> Value {
    json!({"metadata": {"name": name}, "rules": rules})
}

fn user(name: &str) -> Value {
    json!({"kind": "User", "name": name})
}

fn group(name: &str) -> Value {
    json!({"kind": "Group", "name": name})
}

/// A `ClusterRoleBinding`, or with a namespace a `RoleBinding`, to a `ClusterRole` of the same name.
fn binding(namespace: Option<&str>, name: &str, subjects: &[Value]) -> Value {
    let mut out = json!({"metadata": {"name": name}, "subjects": subjects,
        "roleRef": {"kind": "ClusterRole", "name": name}});
    if let Some(namespace) = namespace {
        out["metadata"]["namespace"] = namespace.into();
    }
    out
}

/// Grants of these rules to alice, in the whole cluster or in a namespace.
fn alice(namespace: Option<&str>, rules: &[Value]) -> Vec<Grant> {
    let bound = vec![binding(namespace, "r", &[user("alice")])];
    let (cluster_bindings, bindings) = if namespace.is_some() { (vec![], bound) } else { (bound, vec![]) };
    let objects = Objects {
        cluster_roles: vec![cluster_role("r", rules)],
        cluster_bindings,
        bindings,
        ..Objects::default()
    };
    grants(&objects, &OWN).0
}

fn report(grants: Vec<Grant>, namespaced: bool, namespace: Option<&str>, who: Option<Identity>) -> Report {
    let roles = ["risk-officer", "executive"]
        .map(|name| Role { name: name.into(), exists: true, namespaced })
        .to_vec();
    scan(&Facts { roles, policies: vec![], grants, own: OWN, namespace, identity: who })
}

/// Which ways round are open to somebody other than a component.
fn open(report: &Report) -> Vec<&str> {
    let people = |w: &&super::scan::WayRound| w.who.iter().any(|h| !h.component);
    report.ways_round.iter().filter(people).map(|w| w.id).collect()
}

/// Verb, group, resource, name.
type Asked<'a> = (&'a str, &'a str, &'a str, &'a str);

#[test]
fn a_rule_allows_what_the_api_server_allows() {
    let table: &[(Value, Asked<'_>, bool)] = &[
        // Verbs, groups.
        (rule(&[""], &["pods"], &["get"], &[]), ("get", "", "pods", "x"), true),
        (rule(&[""], &["pods"], &["get"], &[]), ("list", "", "pods", ""), false),
        (rule(&[""], &["pods"], &["*"], &[]), ("approve", "", "pods", "x"), true),
        (rule(&["apps"], &["pods"], &["get"], &[]), ("get", "", "pods", "x"), false),
        (rule(&["*"], &["pods"], &["get"], &[]), ("get", "apps", "pods", "x"), true),
        (rule(&["placet.*"], &["pods"], &["get"], &[]), ("get", "placet.dev", "pods", "x"), false),
        (rule(&[""], &["pods"], &["g*"], &[]), ("get", "", "pods", "x"), false),
        // Subresources.
        (rule(&[""], &["pods"], &["create"], &[]), ("create", "", "pods/exec", "x"), false),
        (rule(&[""], &["pods/exec"], &["create"], &[]), ("create", "", "pods/exec", "x"), true),
        (rule(&[""], &["pods/exec"], &["create"], &[]), ("create", "", "pods", ""), false),
        (rule(&[""], &["*"], &["create"], &[]), ("create", "", "pods/exec", "x"), true),
        (rule(&[""], &["*/exec"], &["create"], &[]), ("create", "", "pods/exec", "x"), true),
        (rule(&[""], &["*/exec"], &["create"], &[]), ("create", "", "pods", ""), false),
        (rule(&[""], &["*/exec"], &["create"], &[]), ("create", "", "pods/attach", "x"), false),
        (rule(&[""], &["pods/*"], &["create"], &[]), ("create", "", "pods/exec", "x"), false),
        (rule(&[""], &["pod*"], &["get"], &[]), ("get", "", "pods", "x"), false),
        (rule(&[""], &["*/*"], &["get"], &[]), ("get", "", "pods/exec", "x"), false),
        // Names.
        (rule(&[""], &["secrets"], &["get"], &["a"]), ("get", "", "secrets", "a"), true),
        (rule(&[""], &["secrets"], &["get"], &["a"]), ("get", "", "secrets", "b"), false),
        (rule(&[""], &["secrets"], &["list"], &["a"]), ("list", "", "secrets", ""), false),
        (rule(&[""], &["secrets"], &["create"], &["a"]), ("create", "", "secrets", ""), false),
        (rule(&[""], &["secrets"], &["get"], &["*"]), ("get", "", "secrets", "a"), false),
    ];
    for (value, (verb, group, resource, name), wanted) in table {
        let rule: Rule = serde_json::from_value(value.clone()).unwrap();
        let ask = Ask { verb, group, resource, name };
        assert_eq!(rule.allows(&ask), *wanted, "{value} {ask:?}");
    }
}

/// Rules, namespace of the binding, whether roles are asked for in a namespace, which namespace; the answers.
type Case<'a> = (&'a [Value], Option<&'a str>, bool, Option<&'a str>, [&'a str; 2]);

#[test]
fn a_role_is_held_by_name_by_a_wildcard_or_not() {
    let every = || rule(&["*"], &["*"], &["*"], &[]);
    let cases: &[Case<'_>] = &[
        (&[approve(&["risk-officer"])], None, false, None, ["ByName", "No"]),
        (&[approve(&[])], None, false, None, ["ByWildcard", "ByWildcard"]),
        (&[approve(&["*"])], None, false, None, ["No", "No"]),
        (&[every()], None, false, None, ["ByWildcard", "ByWildcard"]),
        // Both: the operator sees that any other name would do as well.
        (&[approve(&["risk-officer"]), every()], None, false, None, ["ByWildcard", "ByWildcard"]),
        (&[rule(&["placet.dev"], &["approvalroles"], &["get"], &[])], None, false, None, ["No", "No"]),
        (&[rule(&["placet.dev"], &["*/approve"], &["approve"], &[])], None, false, None, ["No", "No"]),
        (&[rule(&["*"], &["approvalroles"], &["*"], &["executive"])], None, false, None, ["No", "ByName"]),
        // In a namespace: nothing where the role is asked for in the whole cluster, whatever the rule.
        (&[approve(&["risk-officer"])], Some("lending"), false, Some("lending"), ["No", "No"]),
        (&[every()], Some("lending"), false, Some("lending"), ["No", "No"]),
        (&[approve(&["risk-officer"])], Some("lending"), true, Some("lending"), ["ByName", "No"]),
        (&[approve(&["risk-officer"])], Some("lending"), true, Some("hiring"), ["No", "No"]),
        (&[approve(&["risk-officer"])], None, true, Some("hiring"), ["ByName", "No"]),
    ];
    for (rules, bound, namespaced, asked, wanted) in cases {
        let who = Identity::new(Some("alice"), &[]);
        let report = report(alice(*bound, rules), *namespaced, *asked, Some(who));
        let found: Vec<&str> = report.roles.iter().filter_map(|r| r.answer).collect();
        assert_eq!(found, wanted, "{rules:?} {bound:?} {namespaced} {asked:?}");
    }
    let both = report(alice(None, &[approve(&["risk-officer"])]), false, None, None);
    assert!(!both.roles[0].by_name[0].also_by_wildcard);
    // A name and a wildcard through two bindings: the name is listed, and that it does not count.
    let mut two = alice(None, &[approve(&["risk-officer"])]);
    two.extend(alice(None, &[every()]));
    let both = report(two, false, None, None);
    assert!(both.roles[0].by_name[0].also_by_wildcard);
    assert_eq!(both.everything.len(), 1);
    // Given in a namespace for nothing: said.
    let nothing = report(alice(Some("lending"), &[approve(&["risk-officer"])]), false, None, None);
    assert_eq!(nothing.roles[0].without_effect[0].namespace.as_deref(), Some("lending"));
    assert!(nothing.roles[0].by_name.is_empty());
}

#[test]
fn subjects_are_those_that_the_authorizer_would_match() {
    let account = |ns: &str, name: &str| Subject::ServiceAccount { namespace: ns.into(), name: name.into() };
    let objects = Objects {
        cluster_roles: vec![cluster_role("r", &[approve(&["risk-officer"])])],
        cluster_bindings: vec![binding(
            None,
            "r",
            &[
                user("system:serviceaccount:ci:robot"),
                json!({"kind": "ServiceAccount", "name": "nowhere"}),
                json!({"kind": "Robot", "name": "x"}),
                group("officers"),
            ],
        )],
        bindings: vec![
            binding(Some("lending"), "r", &[json!({"kind": "ServiceAccount", "name": "here"})]),
            json!({"metadata": {"name": "lost", "namespace": "lending"}, "subjects": [user("alice")],
                   "roleRef": {"kind": "Role", "name": "r"}}),
        ],
        ..Objects::default()
    };
    let (found, dangling) = grants(&objects, &OWN);
    let subjects: Vec<&Subject> = found.iter().map(|g| &g.subject).collect();
    let officers = Subject::Group { name: "officers".into() };
    assert_eq!(subjects, [&account("ci", "robot"), &officers, &account("lending", "here")]);
    assert_eq!(dangling, ["RoleBinding lending/lost (Role r)"]);
    let robot = Identity::new(Some("system:serviceaccount:ci:robot"), &[]);
    for (name, wanted) in [
        ("system:serviceaccounts", true),
        ("system:serviceaccounts:ci", true),
        ("system:serviceaccounts:lending", false),
        ("system:authenticated", true),
        ("system:unauthenticated", false),
    ] {
        assert_eq!(robot.is(&Subject::Group { name: name.into() }), wanted, "{name}");
    }
    let erin = Identity::new(Some("erin"), &["officers".into()]);
    assert!(erin.is(&officers) && !erin.is(&Subject::user("alice")));
    assert!(
        !Identity::new(Some("system:anonymous"), &[])
            .is(&Subject::Group { name: "system:authenticated".into() })
    );
    let anybody = Identity::new(Some("mallory"), &["system:masters".into()]);
    assert_eq!(report(vec![], false, None, Some(anybody)).roles[0].answer, Some("ByWildcard"));
}

#[test]
fn each_way_round_is_found_and_no_other() {
    let r = rule;
    // What is granted, where, and which ways round it opens.
    let table: &[(Value, Option<&str>, &[&str])] = &[
        (r(&[""], &["users"], &["impersonate"], &[]), None, &["impersonate"]),
        (r(&[""], &["users"], &["impersonate"], &["erin"]), None, &["impersonate"]),
        (r(&[""], &["users"], &["impersonate"], &[]), Some("lending"), &[]),
        (r(&[""], &["serviceaccounts"], &["impersonate"], &[]), Some("lending"), &[]),
        (r(&[""], &["serviceaccounts"], &["impersonate"], &[]), Some("placet-system"), &["impersonate"]),
        (
            r(&["authentication.k8s.io"], &["userextras/scopes"], &["impersonate"], &[]),
            None,
            &["impersonate"],
        ),
        (r(&["authentication.k8s.io"], &["*/scopes"], &["impersonate"], &[]), None, &["impersonate"]),
        (r(&["authentication.k8s.io"], &["userextras"], &["impersonate"], &[]), None, &[]),
        (r(&["authentication.k8s.io"], &["userextras/*"], &["impersonate"], &[]), None, &[]),
        (r(&["authentication.k8s.io"], &["uids"], &["impersonate"], &[]), None, &["impersonate"]),
        (r(&["authentication.k8s.io"], &["users"], &["impersonate:user-info"], &[]), None, &["impersonate"]),
        (
            r(&["certificates.k8s.io"], &["signers"], &["approve"], &["kubernetes.io/*"]),
            None,
            &["certificates"],
        ),
        (r(&["certificates.k8s.io"], &["signers"], &["sign"], &["example.com/x"]), None, &[]),
        (
            r(&["certificates.k8s.io"], &["certificatesigningrequests/approval"], &["update"], &[]),
            None,
            &["certificates"],
        ),
        (r(&["certificates.k8s.io"], &["certificatesigningrequests"], &["update"], &[]), None, &[]),
        (
            r(&["rbac.authorization.k8s.io"], &["clusterroles"], &["bind"], &["placet-approve-executive"]),
            None,
            &["grants"],
        ),
        (r(&["rbac.authorization.k8s.io"], &["clusterroles"], &["escalate"], &[]), None, &["grants"]),
        (r(&["rbac.authorization.k8s.io"], &["rolebindings"], &["create"], &[]), Some("lending"), &[]),
        (
            r(&["rbac.authorization.k8s.io"], &["rolebindings"], &["create"], &[]),
            Some("placet-system"),
            &["grants"],
        ),
        (r(&["rbac.authorization.k8s.io"], &["clusterrolebindings"], &["create"], &["x"]), None, &[]),
        (r(&["rbac.authorization.k8s.io"], &["clusterrolebindings"], &["patch"], &["x"]), None, &["grants"]),
        (r(&["rbac.authorization.k8s.io"], &["clusterrolebindings"], &["get"], &[]), None, &[]),
        (r(&["placet.dev"], &["releasepolicies"], &["patch"], &[]), None, &["policies"]),
        (r(&["placet.dev"], &["releasepolicies"], &["patch"], &[]), Some("lending"), &[]),
        (r(&["placet.dev"], &["trustedsigners"], &["create"], &[]), None, &["policies"]),
        (r(&["placet.dev"], &["approvals"], &["restore"], &[]), None, &["restore"]),
        (r(&["placet.dev"], &["approvals"], &["restore"], &[]), Some("lending"), &[]),
        (r(&["placet.dev"], &["approvals"], &["create"], &[]), None, &[]),
        (r(&["placet.dev"], &["releasepolicies/status"], &["patch"], &[]), None, &[]),
        (r(&["placet.dev"], &["releasepolicies"], &["enforce"], &[]), None, &["namespaces"]),
        (r(&[""], &["namespaces"], &["patch"], &[]), None, &["namespaces"]),
        (r(&[""], &["namespaces"], &["patch"], &[]), Some("lending"), &["namespaces"]),
        (r(&[""], &["namespaces"], &["patch"], &["hiring"]), Some("lending"), &[]),
        (
            r(
                &["apiextensions.k8s.io"],
                &["customresourcedefinitions"],
                &["delete"],
                &["approvals.placet.dev"],
            ),
            None,
            &["definitions"],
        ),
        (
            r(
                &["apiextensions.k8s.io"],
                &["customresourcedefinitions"],
                &["delete"],
                &["widgets.example.com"],
            ),
            None,
            &[],
        ),
        (r(&["apiextensions.k8s.io"], &["customresourcedefinitions"], &["create"], &[]), None, &[]),
        (
            r(
                &["admissionregistration.k8s.io"],
                &["validatingwebhookconfigurations"],
                &["delete"],
                &["placet-validating"],
            ),
            None,
            &["webhooks"],
        ),
        (
            r(
                &["admissionregistration.k8s.io"],
                &["validatingwebhookconfigurations"],
                &["update"],
                &["other"],
            ),
            None,
            &[],
        ),
        (
            r(&["admissionregistration.k8s.io"], &["mutatingwebhookconfigurations"], &["create"], &[]),
            None,
            &["webhooks"],
        ),
        (r(&["admissionregistration.k8s.io"], &["validatingadmissionpolicies"], &["*"], &[]), None, &[]),
        (r(&["admissionregistration.k8s.io"], &["*"], &["list"], &[]), None, &["webhookPort"]),
        (r(&[""], &["secrets"], &["get"], &[]), Some("placet-system"), &["keys"]),
        (r(&[""], &["secrets"], &["get"], &["placet-receipt-key"]), Some("placet-system"), &["keys"]),
        (r(&[""], &["secrets"], &["get"], &["placet-read-log"]), Some("placet-system"), &[]),
        (r(&[""], &["secrets"], &["deletecollection"], &["placet-log-key"]), Some("placet-system"), &[]),
        (r(&[""], &["secrets"], &["get"], &[]), Some("lending"), &[]),
        (r(&[""], &["secrets"], &["get"], &[]), Some("kube-system"), &["controllers"]),
        (r(&[""], &["secrets"], &["get"], &[]), None, &["keys", "controllers"]),
        (r(&[""], &["serviceaccounts/token"], &["create"], &["placet"]), Some("placet-system"), &["account"]),
        (r(&[""], &["serviceaccounts/token"], &["create"], &["other"]), Some("placet-system"), &[]),
        (r(&[""], &["pods"], &["create"], &["x"]), Some("placet-system"), &[]),
        (r(&[""], &["pods"], &["create"], &[]), Some("placet-system"), &["account"]),
        (r(&[""], &["pods/exec"], &["get"], &[]), Some("placet-system"), &["account"]),
        (r(&[""], &["*/ephemeralcontainers"], &["patch"], &[]), Some("placet-system"), &["account"]),
        (r(&["batch"], &["cronjobs"], &["create"], &[]), Some("placet-system"), &["account"]),
        (
            r(&["apps"], &["statefulsets/scale"], &["patch"], &["placet"]),
            Some("placet-system"),
            &["configuration"],
        ),
        (r(&["apps"], &["statefulsets"], &["delete"], &["other"]), Some("placet-system"), &[]),
        (
            r(&[""], &["configmaps"], &["update"], &["placet-log-head"]),
            Some("placet-system"),
            &["configuration"],
        ),
        (r(&[""], &["configmaps"], &["update"], &["kube-root-ca.crt"]), Some("placet-system"), &[]),
        (
            r(&["snapshot.storage.k8s.io"], &["volumesnapshots"], &["create"], &[]),
            Some("placet-system"),
            &["log"],
        ),
        (
            r(&[""], &["persistentvolumeclaims"], &["delete"], &["log-placet-0"]),
            Some("placet-system"),
            &["log"],
        ),
        (r(&[""], &["persistentvolumes"], &["create"], &[]), None, &["log"]),
        (r(&[""], &["nodes/proxy"], &["get"], &[]), None, &["nodes"]),
        (r(&[""], &["nodes"], &["get"], &[]), None, &[]),
        (r(&[""], &["*/proxy"], &["create"], &[]), None, &["nodes"]),
    ];
    for (granted, place, wanted) in table {
        let report = report(alice(*place, std::slice::from_ref(granted)), false, None, None);
        assert_eq!(open(&report), *wanted, "{granted} in {place:?}");
    }
    // Each way round is opened by some case above.
    let all = report(vec![], false, None, None);
    for way in &all.ways_round {
        assert!(table.iter().any(|(_, _, ids)| ids.contains(&way.id)), "{}", way.id);
    }
    // Where a role is asked for in its namespace, who binds roles there gives it out.
    let bind = r(&["rbac.authorization.k8s.io"], &["rolebindings"], &["create"], &[]);
    let bind = std::slice::from_ref(&bind);
    assert_eq!(open(&report(alice(Some("lending"), bind), true, None, None)), ["grants"]);
    assert!(open(&report(alice(Some("lending"), bind), true, Some("hiring"), None)).is_empty());
    // Who may do everything is said once.
    let every = report(alice(None, &[r(&["*"], &["*"], &["*"], &[])]), false, None, None);
    assert_eq!((open(&every).len(), every.everything.len()), (0, 1));
    // In one namespace that is no cluster-admin, and takes the ways that lead through it.
    let every = report(alice(Some("placet-system"), &[r(&["*"], &["*"], &["*"], &[])]), false, None, None);
    let ways = ["impersonate", "grants", "namespaces", "keys", "account", "configuration", "log"];
    assert_eq!((open(&every), every.everything.len()), (ways.to_vec(), 0));
}

#[test]
fn limits_by_name_are_shown() {
    let limited = rule(&[""], &["users", "groups"], &["impersonate"], &["erin", "frank"]);
    let report = report(alice(None, &[limited]), false, None, None);
    let hit = &report.ways_round[0].who[0].allows[0];
    assert_eq!(hit.to_string(), "impersonate users, groups (only erin, frank)");
}

#[test]
fn what_comes_with_kubernetes_stands_apart_and_whoever_was_added_to_it_does_not() {
    let label = json!({"kubernetes.io/bootstrapping": "rbac-defaults"});
    let mut bound = binding(
        None,
        "system:controller:x",
        &[
            json!({"kind": "ServiceAccount", "name": "x", "namespace": "kube-system"}),
            user("eve"),
            group("system:authenticated"),
        ],
    );
    bound["metadata"]["labels"] = label;
    let operator = json!({"kind": "ServiceAccount", "name": "placet", "namespace": "placet-system"});
    let objects = Objects {
        cluster_roles: vec![
            cluster_role("system:controller:x", &[rule(&[""], &["nodes/proxy"], &["*"], &[])]),
            cluster_role("placet-operator", &[rule(&["placet.dev"], &["releasepolicies"], &["patch"], &[])]),
        ],
        cluster_bindings: vec![bound, binding(None, "placet-operator", &[operator])],
        ..Objects::default()
    };
    let report = report(grants(&objects, &OWN).0, false, None, None);
    let nodes = report.ways_round.iter().find(|w| w.id == "nodes").unwrap();
    let who: Vec<(String, bool, bool)> =
        nodes.who.iter().map(|h| (h.subject.to_string(), h.component, h.everybody)).collect();
    assert_eq!(
        who,
        [
            ("group system:authenticated".to_owned(), false, true),
            ("user eve".to_owned(), false, false),
            ("service account kube-system/x".to_owned(), true, false),
        ]
    );
    assert_eq!(report.everybody().count(), 1);
    assert!(!open(&report).contains(&"policies"));
}

const RBAC: &str = "GET /apis/rbac.authorization.k8s.io/v1";

fn answers() -> Answers {
    let items = |list: &[Value]| json!({"items": list});
    Answers::default()
        .with(
            &format!("{RBAC}/clusterroles"),
            200,
            &items(&[
                cluster_role("officers", &[approve(&["risk-officer"])]),
                cluster_role("cluster-admin", &[rule(&["*"], &["*"], &["*"], &[])]),
            ]),
        )
        .with(
            &format!("{RBAC}/clusterrolebindings"),
            200,
            &items(&[
                binding(None, "officers", &[group("risk\nofficers")]),
                binding(None, "cluster-admin", &[user("root")]),
            ]),
        )
        .with(&format!("{RBAC}/roles"), 200, &items(&[]))
        .with(&format!("{RBAC}/rolebindings"), 200, &items(&[]))
        .with(
            "GET /apis/placet.dev/v1alpha1/approvalroles",
            200,
            &items(&[json!({"metadata": {"name": "risk-officer"}, "spec": {}})]),
        )
        .with("GET /apis/placet.dev/v1alpha1/releasepolicies", 200, &items(&[]))
        .with("GET /api/v1/namespaces/placet-system/pods", 200, &items(&[]))
}

fn args(output: TableOrJson) -> AccessArgs {
    AccessArgs { role: None, user: None, groups: vec![], output }
}

#[test]
fn the_code_says_whether_the_answer_is_whole_and_nobody_is_everybody() {
    let ask = |answers: Answers| {
        let (cluster, _) = cluster(answers);
        super::run(&cluster, &args(TableOrJson::Json), None)
    };
    assert_eq!(ask(answers()).unwrap(), 0);
    let no = json!({"kind": "Status", "reason": "Forbidden", "message": "no"});
    assert_eq!(ask(answers().with("GET /api/v1/namespaces/placet-system/pods", 403, &no)).unwrap(), 1);
    let bindings = "GET /apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    assert!(ask(answers().with(bindings, 403, &no)).is_err());
    let all = json!({"items": [binding(None, "officers", &[group("system:authenticated")])]});
    assert_eq!(ask(answers().with(bindings, 200, &all)).unwrap(), 1);
    // Role bindings of one namespace where those of all are not to be had.
    let one = "GET /apis/rbac.authorization.k8s.io/v1/namespaces/placet-system/rolebindings";
    let refused = answers().with("GET /apis/rbac.authorization.k8s.io/v1/rolebindings", 403, &no).with(
        one,
        200,
        &json!({"items": []}),
    );
    assert_eq!(ask(refused).unwrap(), 1);
}

#[test]
fn the_table_reads_and_names_do_not_forge_it() {
    let objects = Objects {
        cluster_roles: vec![
            cluster_role("officers", &[approve(&["risk-officer"])]),
            cluster_role("root", &[rule(&["*"], &["*"], &["*"], &[])]),
            cluster_role("helpdesk", &[rule(&[""], &["users"], &["impersonate"], &[])]),
        ],
        cluster_bindings: vec![
            binding(None, "officers", &[group("risk\n\nexecutive\u{202e}")]),
            binding(None, "root", &[user("root")]),
            binding(None, "helpdesk", &[user("heidi")]),
        ],
        ..Objects::default()
    };
    let report = report(grants(&objects, &OWN).0, false, None, None);
    let gathered = super::Gathered { namespace: "placet-system".into(), ..super::Gathered::default() };
    let text = super::show::table(&report, &gathered, 100);
    assert_eq!(placet_gate::visible::lines(&text), text);
    assert!(
        text.starts_with(
            "WHO CAN APPROVE\n\nrisk-officer\n  group risk\\n\\nexecutive\\u{202e} by ClusterRoleBinding officers \
             (ClusterRole officers)\n\nexecutive\n  nobody by name\n\nby a wildcard that covers every role, which counts \
             for no policy of this cluster\n  user root by ClusterRoleBinding root (ClusterRole root)\n\nWHO COULD GET"
        ),
        "{text}"
    );
    for wanted in [
        "\nact as somebody else: approves in the name of a holder of any role",
        "\n  user heidi by ClusterRoleBinding helpdesk (ClusterRole helpdesk)\n      impersonate users\n",
        "\nnobody else could: make client certificates; give out roles;",
    ] {
        assert!(text.contains(wanted), "{wanted:?} in\n{text}");
    }
    assert_eq!(text.lines().filter(|l| *l == "executive").count(), 1, "{text}");
}

#[test]
fn who_approves_a_loosening_and_who_could_do_without() {
    let edit = |kinds: &[&str]| rule(&["placet.dev"], kinds, &["update"], &[]);
    let impersonate = rule(&[""], &["users"], &["impersonate"], &[]);
    let objects = Objects {
        cluster_roles: vec![
            cluster_role("officers", &[approve(&["risk-officer"])]),
            cluster_role("all", &[approve(&[])]),
            cluster_role("editors", &[edit(&["releasepolicies"])]),
            cluster_role("helpdesk", &[edit(&["trustedsigners"]), impersonate]),
            cluster_role("root", &[rule(&["*"], &["*"], &["*"], &[])]),
        ],
        cluster_bindings: vec![
            binding(None, "officers", &[user("erin"), user("zoe")]),
            binding(None, "all", &[user("zoe")]),
            binding(None, "editors", &[user("eve")]),
            binding(None, "helpdesk", &[user("heidi")]),
            binding(None, "root", &[user("root")]),
        ],
        ..Objects::default()
    };
    let policy = |name: &str, applies: bool| super::guard::Policy {
        name: name.into(),
        roles: vec![Role { name: "risk-officer".into(), exists: true, namespaced: false }],
        applies,
    };
    let with = |policies: Vec<super::guard::Policy>| {
        let grants = grants(&objects, &OWN).0;
        scan(&Facts { roles: vec![], policies, grants, own: OWN, namespace: None, identity: None })
    };
    let alone = |report: &Report| -> Vec<(String, Vec<String>)> {
        report.loosening.alone.iter().map(|a| (a.subject.to_string(), a.by.clone())).collect()
    };
    let report = with(vec![policy("high", false)]);
    let says = &report.loosening.approvers[0];
    assert_eq!(says.roles, ["risk-officer"]);
    // zoe holds it by a wildcard as well, so that it does not count.
    assert_eq!(says.who.iter().map(|h| h.subject.to_string()).collect::<Vec<_>>(), ["user erin"]);
    let root = ("user root".to_owned(), vec!["may do everything".to_owned()]);
    let heidi = (
        "user heidi".to_owned(),
        vec!["may edit policies, roles or signers, and could act as somebody else".to_owned()],
    );
    assert_eq!(alone(&report), [root.clone(), heidi.clone()]);
    let report = with(vec![policy("high", false), policy("open", true)]);
    assert!(report.loosening.approvers[1].roles.is_empty());
    let eve = ("user eve".to_owned(), vec!["may edit policies, and open asks nobody".to_owned()]);
    assert_eq!(alone(&report), [root, eve, heidi]);
    let gathered = super::Gathered::default();
    let text = super::show::table(&report, &gathered, 100);
    for wanted in [
        "\npolicy high: a holder of risk-officer, other than who made the change\n  user erin by",
        "\npolicy open: nobody is asked (guard.loosening: Apply)\n",
        "\nWHO COULD LOOSEN ALONE\n  user root: may do everything\n  user eve: may edit policies, and open asks nobody\n",
    ] {
        assert!(text.contains(wanted), "{wanted:?} in\n{text}");
    }
}
