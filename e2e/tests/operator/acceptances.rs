//! Risks that people accept, and proofs of who decided: what counts, for how long, and what takes the clearance back again.

use placet_e2e::placet::{ASSESSMENT, Lending, RELEASE, in_seconds};
use placet_e2e::{Output, SOON, eventually};
use serde_json::{Value, json};

use super::common::{holds, refused_with};
use super::lending;

/// Adds a policy for one namespace to what the packs ask for, with what these fields say, and waits until it is in force.
async fn policy(lending: &Lending<'_>, approvals: Value, more: &[(&str, Value)]) {
    let mut object = json!({
        "apiVersion": "placet.dev/v1alpha1", "kind": "ReleasePolicy", "metadata": {"name": lending.ns},
        "spec": {
            "appliesTo": {"classes": ["High"], "namespaceSelector": {
                "matchLabels": {"kubernetes.io/metadata.name": lending.ns}}},
            "approvals": approvals,
            // So that the scenario can change it and take it away again.
            "guard": {"loosening": "Apply"},
        },
    });
    for (field, value) in more {
        object["spec"][*field] = value.clone();
    }
    lending.apply("root-admin", &object.to_string()).await.unwrap().ok().unwrap();
    let path = "{.metadata.generation}/{.status.observedGeneration}/{.status.conditions[?(@.type=='InForce')].status}";
    eventually("the policy to be in force", SOON, async || {
        let told = lending.cluster.field("", &format!("rp/{}", lending.ns), path).await?;
        let parts: Vec<&str> = told.split('/').collect();
        if parts[0] == parts[1] && parts[2] == "True" { Ok(()) } else { Err(told) }
    })
    .await
    .unwrap();
}

async fn no_policy(lending: &Lending<'_>) {
    let policy = format!("releasepolicy/{}", lending.ns);
    lending.kubectl("root-admin", &["delete", &policy]).await.unwrap().ok().unwrap();
}

/// Waits until the findings ask for all of these.
async fn asks_for(lending: &Lending<'_>, wanted: &[&str]) {
    let path = "{.status.gates[*].findings[*].wanted}";
    eventually(&format!("findings that ask for {wanted:?}"), SOON, async || {
        let found = lending.cluster.field(lending.ns, &format!("modelrelease/{RELEASE}"), path).await?;
        if wanted.iter().all(|w| found.contains(w)) { Ok(()) } else { Err(found) }
    })
    .await
    .unwrap();
}

/// `kubectl apply` by somebody who poses as erin, risk officer, with more flags.
async fn posing(lending: &Lending<'_>, who: &str, object: &Value, more: &[&str]) -> Output {
    let pose = ["--as=erin", "--as-group=risk-officers", "--as-group=system:authenticated"];
    // Without a look at the definitions, which would ask as the person posed as, too.
    let apply = ["apply", "--validate=false", "-n", lending.ns, "-f", "-"];
    let args = apply.iter().chain(&pose).chain(more);
    lending.cluster.kubectl_with_input(who, args, &object.to_string()).await.unwrap()
}

/// An acceptance of one risk as it is now.
async fn acceptance(lending: &Lending<'_>, name: &str, (risk, level): (&str, &str), role: &str) -> Value {
    json!({
        "apiVersion": "placet.dev/v1alpha1", "kind": "RiskAcceptance",
        "metadata": { "name": name, "namespace": lending.ns },
        "spec": {
            "assessment": { "name": ASSESSMENT },
            "risks": [{ "id": risk, "digest": lending.risk_digest(risk).await.unwrap() }],
            "role": role, "level": level, "rationale": "Officers decide", "expiresAt": in_seconds(90 * 86_400),
        },
    })
}

async fn accept(lending: &Lending<'_>, who: &str, name: &str, risk: (&str, &str), role: &str) {
    let object = acceptance(lending, name, risk, role).await;
    lending.apply(who, &object.to_string()).await.unwrap().ok().unwrap();
}

/// Waits until it is told of a release that it lost its clearance.
async fn told_of_the_loss(lending: &Lending<'_>, why: &str) {
    lending.cleared("False").await.unwrap();
    let told = lending.event(&format!("ModelRelease/{RELEASE}"), "NotCleared").await.unwrap();
    holds(&told, &[why]);
}

#[tokio::test]
async fn a_credential_is_asked_for_that_who_impersonates_lacks_unless_they_may_type_it() {
    let Some(lending) = lending("credentials", Some("deny")).await else { return };
    let asked = json!([{"role": "risk-officer", "count": 1, "covers": "Evidence", "proof": "Credential"}]);
    policy(&lending, asked, &[]).await;
    lending.all_documents().await.unwrap();
    lending.settings_and_risk().await.unwrap();
    lending.approvals(&["risk-officer"]).await.unwrap();

    // Plain --as: it is taken, and does not count.
    let plain = lending.of_evidence("plain", "risk-officer").await.unwrap();
    posing(&lending, "root-admin", &plain, &[]).await.ok().unwrap();
    let none = "erin's request named no credential, as one by impersonation (--as) does not";
    lending.findings_say(&[none]).await.unwrap();
    lending.cleared("False").await.unwrap();

    // Who may impersonate users and groups alone cannot type a credential.
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "poses-in-credentials"},
        "rules": [{"apiGroups": [""], "resources": ["users", "groups"], "verbs": ["impersonate"]}],
    });
    lending.apply("root-admin", &role.to_string()).await.unwrap().ok().unwrap();
    let bind = [
        "create",
        "clusterrolebinding",
        "poses-in-credentials",
        "--clusterrole=poses-in-credentials",
        "--user=rosa",
    ];
    lending.kubectl("root-admin", &bind).await.unwrap().ok().unwrap();
    let typed = "--as-user-extra=authentication.kubernetes.io/credential-id=X509SHA256=00";
    let object = lending.of_evidence("typed", "risk-officer").await.unwrap();
    eventually("rosa to be one who may impersonate", SOON, async || {
        let said = posing(&lending, "rosa", &object, &["--dry-run=server"]).await;
        if said.code == 0 { Ok(()) } else { Err(said.stderr) }
    })
    .await
    .unwrap();
    refused_with(&posing(&lending, "rosa", &object, &[typed]).await, &["userextras", "forbidden"]);

    // Who may impersonate userextras too can: this the proof does not stop, and `placet access` names them.
    posing(&lending, "root-admin", &object, &[typed]).await.ok().unwrap();
    lending.cleared("True").await.unwrap();
    lending.kubectl("root-admin", &["delete", "apv/typed"]).await.unwrap().ok().unwrap();
    lending.cleared("False").await.unwrap();

    // erin herself.
    lending.approve("erin", "risk-officer", None).await.unwrap();
    lending.cleared("True").await.unwrap();
    for object in ["clusterrolebinding", "clusterrole"] {
        lending
            .kubectl("root-admin", &["delete", object, "poses-in-credentials"])
            .await
            .unwrap()
            .ok()
            .unwrap();
    }
    no_policy(&lending).await;
}

#[tokio::test]
async fn a_level_that_needs_two_roles_needs_both_and_a_policy_ends_an_acceptance_earlier() {
    let Some(lending) = lending("two-roles", Some("deny")).await else { return };
    let asked = json!([{"role": "risk-officer", "count": 1, "covers": "Evidence"}]);
    let both = json!([{"level": "High", "roles": ["executive", "risk-officer"], "needs": "EveryRole"}]);
    let more = [("riskAppetite", json!("Low")), ("acceptanceAuthority", both.clone())];
    policy(&lending, asked.clone(), &more).await;
    lending.all_documents().await.unwrap();
    lending.settings_and_risk().await.unwrap();
    lending.approvals(&[]).await.unwrap();
    // frank accepted as executive; that is one of them.
    asks_for(&lending, &["R1 accepted at High by risk-officer, each by a different person"]).await;
    lending.cleared("False").await.unwrap();
    accept(&lending, "erin", "risk-2", ("R1", "High"), "risk-officer").await;
    lending.cleared("True").await.unwrap();

    // It ends when it says, in ninety days; who looks is told a month before.
    let expiring = "{.status.conditions[?(@.type=='Expiring')].status} {.status.conditions[?(@.type=='Expiring')].reason}";
    lending.cluster.becomes(lending.ns, "ra/risk-2", expiring, "False InDate").await.unwrap();
    // A policy lets none stand longer than forty days, and wants it told sixty days before.
    let mut shorter = both;
    shorter[0]["maxDays"] = json!(40);
    let validity = json!({"firstUseDays": 30, "runningDays": 365, "warnDays": 60});
    let more = [("riskAppetite", json!("Low")), ("acceptanceAuthority", shorter), ("validity", validity)];
    policy(&lending, asked, &more).await;
    lending.cluster.becomes(lending.ns, "ra/risk-2", expiring, "True EndsSoon").await.unwrap();
    let told = "{.status.conditions[?(@.type=='Expiring')].message}";
    let told = lending.cluster.field(lending.ns, "ra/risk-2", told).await.unwrap();
    let made = lending.cluster.field(lending.ns, "ra/risk-2", "{.metadata.creationTimestamp}").await.unwrap();
    let ends = made.parse::<jiff::Timestamp>().unwrap() + jiff::SignedDuration::from_hours(24 * 40);
    // Stamps are of the same second, or the one before.
    let day = ends.strftime("%Y-%m-%dT%H:%M").to_string();
    holds(&told, &["within 60 days"]);
    assert!(told.contains(&day) || ends.as_second() % 60 == 0, "wanted about {ends}, found {told}");
    // Elsewhere that policy says nothing.
    let elsewhere = super::lending("two-roles-elsewhere", None).await.unwrap();
    elsewhere.documents(&["system", "assessment", "datasets"]).await.unwrap();
    accept(&elsewhere, "frank", "risk-1", ("R1", "High"), "executive").await;
    elsewhere.cluster.becomes(elsewhere.ns, "ra/risk-1", expiring, "False InDate").await.unwrap();
    no_policy(&lending).await;
}

#[tokio::test]
async fn an_acceptance_that_is_withdrawn_takes_the_clearance_along_until_another_is_given() {
    let Some(lending) = lending("withdrawn-risk", Some("deny")).await else { return };
    lending.clear().await.unwrap();
    let digest = lending.digest("riskacceptance/risk-1").await.unwrap();
    let mut reject = lending.approval("not-any-more", "executive", "RiskAcceptance", "risk-1", &digest);
    reject["spec"]["decision"] = json!("Reject");
    lending.apply("frank", &reject.to_string()).await.unwrap().ok().unwrap();
    lending.findings_say(&["risk-1: withdrawn by not-any-more"]).await.unwrap();
    told_of_the_loss(&lending, "R1").await;
    let counts = "{.status.conditions[?(@.type=='Counts')].status}";
    lending.cluster.becomes(lending.ns, "ra/risk-1", counts, "False").await.unwrap();
    refused_with(
        &lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap(),
        &["withdrawn by not-any-more"],
    );
    // Deleting the Reject brings nothing back.
    let delete = lending.kubectl("root-admin", &["delete", "apv/not-any-more"]).await.unwrap();
    refused_with(&delete, &["was read by the decision on"]);
    // Another acceptance, on which those are heard who must be: the approvals stand.
    accept(&lending, "frank", "risk-1-again", ("R1", "High"), "executive").await;
    lending.heard("risk-1-again").await.unwrap();
    lending.cleared("True").await.unwrap();
}

#[tokio::test]
async fn a_risk_that_rises_above_what_was_accepted_is_accepted_no_more() {
    let Some(lending) = lending("risen", Some("deny")).await else { return };
    for role in ["placet-risk-officer", "placet-reviewer"] {
        lending.cluster.grant(lending.ns, "rosa", role).await.unwrap();
    }
    let bind = [
        "create",
        "clusterrolebinding",
        "risen-rosa",
        "--clusterrole=placet-approve-business-owner",
        "--user=rosa",
    ];
    lending.kubectl("root-admin", &bind).await.unwrap().ok().unwrap();
    lending.all_documents().await.unwrap();
    // Medium while a report shows that its control works, and High without.
    let patch = json!([
        {"op": "replace", "path": "/spec/risks/1/impacts",
            "value": {"likelihood": 4, "confidentiality": 1, "integrity": 4, "availability": 2}},
        {"op": "replace", "path": "/spec/risks/1/residual", "value": {"likelihood": 2, "severity": 4}},
        {"op": "add", "path": "/spec/risks/1/controls/0/evidence",
            "value": [{"kind": "TestReport", "name": "penetration-test"}]},
    ]);
    let patch = patch.to_string();
    lending
        .kubectl("dana", &["patch", "ia", ASSESSMENT, "--type=json", "-p", &patch])
        .await
        .unwrap()
        .ok()
        .unwrap();
    let shows = super::register::report(&lending, "penetration-test", None);
    // By somebody who neither wrote what it is to show nor develops the release.
    lending.cluster.grant(lending.ns, "vera", "placet-data-scientist").await.unwrap();
    lending.apply("vera", &shows.to_string()).await.unwrap().ok().unwrap();
    super::register::level(&lending, "Medium").await;
    lending.settings_and_risk().await.unwrap();
    accept(&lending, "erin", "medium-erin", ("R2", "Medium"), "risk-officer").await;
    accept(&lending, "rosa", "medium-rosa", ("R2", "Medium"), "business-owner").await;
    lending.approvals(&[]).await.unwrap();
    lending.cleared("True").await.unwrap();

    let other = super::register::report(&lending, "second-test", Some("penetration-test"));
    lending.apply("dana", &other.to_string()).await.unwrap().ok().unwrap();
    super::register::level(&lending, "High").await;
    lending
        .findings_say(&["R2 is High after controls", "medium-erin: risk-officer may not accept High"])
        .await
        .unwrap();
    told_of_the_loss(&lending, "R2").await;
    // Who may accept High and accepted Medium did not accept this.
    accept(&lending, "frank", "medium-frank", ("R2", "Medium"), "executive").await;
    lending.findings_say(&["medium-frank: accepts Medium only"]).await.unwrap();
    lending
        .kubectl("root-admin", &["delete", "clusterrolebinding", "risen-rosa"])
        .await
        .unwrap()
        .ok()
        .unwrap();
}

#[tokio::test]
async fn what_a_new_policy_would_stop_is_said_of_the_cluster_before_it_is_applied() {
    let Some(lending) = lending("new-policy", Some("deny")).await else { return };
    lending.clear().await.unwrap();
    let stricter = |to_cleared: bool| {
        let mut object = json!({
            "apiVersion": "placet.dev/v1alpha1", "kind": "ReleasePolicy", "metadata": {"name": lending.ns},
            "spec": {
                "appliesTo": {"classes": ["High"], "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": lending.ns}}},
                "approvals": [{"role": "model-owner", "count": 2, "covers": "Evidence"}],
                "guard": {"loosening": "Apply"},
            },
        });
        if to_cleared {
            object["spec"]["appliesToCleared"] = json!(true);
        }
        object
    };
    let check = async |policy: &Value| {
        let file = lending.cluster.dir().join("new-policy.json");
        tokio::fs::write(&file, policy.to_string()).await.unwrap();
        let file = file.display().to_string();
        let args = ["check", "--from-cluster", "-n", lending.ns, "--policy", &file];
        lending.cluster.run("placet", "root-admin", args, None).await.unwrap()
    };
    let said = check(&stricter(false)).await;
    println!("{said:?}");
    holds(&said.stdout, &[RELEASE, "loses at its end"]);
    assert_eq!(said.code, 0, "{said:?}");
    let said = check(&stricter(true)).await;
    println!("{said:?}");
    holds(&said.stdout, &[RELEASE, "loses at once"]);
    assert_eq!(said.code, 1, "{said:?}");
    // Asking changed nothing.
    lending.cleared("True").await.unwrap();
    // And so it is.
    lending.apply("root-admin", &stricter(false).to_string()).await.unwrap().ok().unwrap();
    lending
        .cluster
        .becomes(
            "",
            &format!("rp/{}", lending.ns),
            "{.status.conditions[?(@.type=='InForce')].status}",
            "True",
        )
        .await
        .unwrap();
    lending.cleared("True").await.unwrap();
    lending.apply("root-admin", &stricter(true).to_string()).await.unwrap().ok().unwrap();
    told_of_the_loss(&lending, "model-owner").await;
    no_policy(&lending).await;
}
