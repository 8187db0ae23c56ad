//! Policies guard themselves, and classes are not lowered in passing.

use placet_e2e::placet::{INSTALLED_IN, Lending};
use placet_e2e::{Output, SOON, eventually};
use serde_json::{Value, json};

use super::common::{holds, refused_with};
use super::lending;

/// A policy for one namespace that asks for so many risk officers.
fn asking(lending: &Lending<'_>, name: &str, count: i32) -> String {
    json!({
        "apiVersion": "placet.dev/v1alpha1", "kind": "ReleasePolicy", "metadata": {"name": name},
        "spec": {
            "appliesTo": {"classes": ["High"], "namespaceSelector": {
                "matchLabels": {"kubernetes.io/metadata.name": lending.ns}}},
            "approvals": [{"role": "risk-officer", "count": count, "covers": "Content"}],
            "guard": {"role": "risk-officer"},
        },
    })
    .to_string()
}

async fn placet(lending: &Lending<'_>, who: &str, args: &[&str]) -> Output {
    lending.cluster.run("placet", who, args, None).await.unwrap()
}

async fn in_force(lending: &Lending<'_>, policy: &str, wanted: &str) {
    let path = "{.status.conditions[?(@.type=='InForce')].status}";
    lending.cluster.becomes("", &format!("rp/{policy}"), path, wanted).await.unwrap();
}

#[tokio::test]
async fn a_looser_policy_waits_for_a_second_person_and_so_does_its_deletion() {
    let Some(lending) = lending("guarded", Some("deny")).await else { return };
    let policy = "guarded-two";
    lending.all_documents().await.unwrap();
    // It adds to what the pack asks for: in force at once.
    lending.apply("root-admin", &asking(&lending, policy, 2)).await.unwrap().ok().unwrap();
    in_force(&lending, policy, "True").await;
    lending.findings_say(&["0 of 2"]).await.unwrap();
    let decides = lending.cluster.field("", &format!("rp/{policy}"), "{.status.inForce}").await.unwrap();

    // It asks for less: the version before decides, and says what it waits for.
    let applied = lending.apply("root-admin", &asking(&lending, policy, 1)).await.unwrap();
    // Who applies it is told at once.
    let command = "placet approve rp/guarded-two --role risk-officer -n placet-system";
    holds(
        &applied.stderr,
        &["Warning: ReleasePolicy guarded-two is stored and waits: it asks for less", &decides, command],
    );
    applied.ok().unwrap();
    in_force(&lending, policy, "False").await;
    let still = lending.cluster.field("", &format!("rp/{policy}"), "{.status.inForce}").await.unwrap();
    assert_eq!(still, decides);
    lending.findings_say(&["0 of 2"]).await.unwrap();
    let why = placet(&lending, "erin", &["why", &format!("rp/{policy}")]).await;
    assert_eq!(why.code, 1, "{why:?}");
    holds(
        &why.stdout,
        &[
            "approvals[risk-officer].count: 2 before, 1 now",
            "placet approve rp/guarded-two --role risk-officer",
        ],
    );

    // What waits for a risk officer, with the command that does it.
    let wanted = format!("placet approve rp/{policy} --role risk-officer");
    eventually("the policy among what waits for erin", SOON, async || {
        let said = placet(&lending, "erin", &["pending", "-n", lending.ns, "-o", "json"]).await;
        let pending: Value = serde_json::from_str(&said.stdout).unwrap();
        let waiting = pending["waiting"].as_array().unwrap();
        let found = waiting.iter().any(|w| w["command"] == wanted.as_str());
        if found { Ok(()) } else { Err(pending.to_string()) }
    })
    .await
    .unwrap();

    // Who made the change approves nothing, all-powerful as they are; and elsewhere no approval counts.
    let own = placet(
        &lending,
        "root-admin",
        &["approve", &format!("rp/{policy}"), "--role", "risk-officer", "--yes"],
    )
    .await;
    assert_ne!(own.code, 0, "{own:?}");
    holds(&own.stderr, &["who holds every role by a wildcard"]);
    let digest =
        lending.cluster.field("", &format!("rp/{policy}"), "{.status.waiting.digest}").await.unwrap();
    let elsewhere = lending.approval("elsewhere", "risk-officer", "ReleasePolicy", policy, &digest);
    refused_with(&lending.apply("erin", &elsewhere.to_string()).await.unwrap(), &["wanted placet-system"]);

    let target = format!("rp/{policy}");
    let approve = ["approve", &target, "--role", "risk-officer"];
    let shown = placet(&lending, "erin", &[approve.as_slice(), &["--show", "-o", "json"]].concat()).await;
    let shown: serde_json::Value = serde_json::from_str(&shown.ok().unwrap()).unwrap();
    assert_eq!(
        (&shown["subject"]["digest"], &shown["waiting"]["digest"]),
        (&digest.clone().into(), &digest.clone().into())
    );
    let approved = placet(&lending, "erin", &[approve.as_slice(), &["--yes"]].concat()).await;
    assert_eq!(approved.code, 0, "{approved:?}");
    holds(&approved.stderr, &["asks for less: approvals[risk-officer].count"]);
    in_force(&lending, policy, "True").await;
    let now = lending.cluster.field("", &format!("rp/{policy}"), "{.status.inForce}").await.unwrap();
    assert_eq!(now, digest);

    // Deleting asks for less, too.
    let deleted = lending.kubectl("root-admin", &["delete", &format!("rp/{policy}")]).await.unwrap();
    refused_with(&deleted, &["to delete it asks for less", "--deletion"]);
    let approved = placet(
        &lending,
        "erin",
        &["approve", &format!("rp/{policy}"), "--role", "risk-officer", "--deletion", "--yes"],
    )
    .await;
    assert_eq!(approved.code, 0, "{approved:?}");
    eventually("the deletion to be let through", SOON, async || {
        let deleted = lending.kubectl("root-admin", &["delete", &format!("rp/{policy}")]).await.unwrap();
        if deleted.code == 0 { Ok(()) } else { Err(deleted.stderr) }
    })
    .await
    .unwrap();
    assert_eq!(INSTALLED_IN, "placet-system", "as the refusal says");
}

#[tokio::test]
async fn a_class_that_was_lowered_is_told_until_somebody_approves_it() {
    let Some(lending) = lending("lowered", Some("deny")).await else { return };
    lending.all_documents().await.unwrap();
    lending.cleared("False").await.unwrap();
    let lower = r#"{"spec":{"triggers":{"annexIII":[],"article50":["1"],"profiling":false}}}"#;
    let patched =
        lending.kubectl("dana", &["patch", "ais/credit-eligibility", "--type=merge", "-p", lower]).await;
    patched.unwrap().ok().unwrap();
    lending.findings_say(&["credit-eligibility was of class High before"]).await.unwrap();
    let approve = [
        "approve",
        "ais/credit-eligibility",
        "--role",
        "risk-officer",
        "--covers",
        "Classification",
        "--yes",
        "-n",
        lending.ns,
    ];
    let approved = placet(&lending, "erin", &approve).await;
    assert_eq!(approved.code, 0, "{approved:?}");
    eventually("the lower class to be approved", SOON, async || {
        let why = placet(&lending, "dana", &["why", "-n", lending.ns, placet_e2e::placet::RELEASE]).await;
        if why.stdout.contains("was of class High before") { Err(why.stdout) } else { Ok(()) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_new_signer_waits_for_a_second_person_and_says_so() {
    let Some(lending) = lending("guarded-key", Some("deny")).await else { return };
    lending.all_documents().await.unwrap();
    // An installation in use: some release was cleared.
    lending.settings_and_risk().await.unwrap();
    lending.approvals(&[]).await.unwrap();
    lending.cleared("True").await.unwrap();
    let dir = lending.cluster.dir().join("guarded-key");
    tokio::fs::create_dir_all(&dir).await.unwrap();
    let key = dir.join("key").display().to_string();
    let args = ["-q", "-t", "ed25519", "-N", "", "-C", "made for a test", "-f", &key];
    lending.cluster.run("ssh-keygen", "mallory", args, None).await.unwrap().ok().unwrap();
    let public = tokio::fs::read_to_string(format!("{key}.pub")).await.unwrap();
    let signer = json!({
        "apiVersion": "placet.dev/v1alpha1", "kind": "TrustedSigner", "metadata": {"name": "guarded-key"},
        "spec": {"key": public.trim(), "user": "erin", "groups": ["risk-officers"], "roles": ["risk-officer"]},
    });
    let path = "{.status.conditions[?(@.type=='InForce')].status}";
    eventually("the key of a person to wait", SOON, async || {
        lending.apply("root-admin", &signer.to_string()).await.map_err(|e| e.to_string())?;
        let found = lending.cluster.field("", "trustedsigner/guarded-key", path).await?;
        if found == "False" {
            return Ok(());
        }
        // It came before the log said that the first release was cleared: one that is made again is another.
        if found == "True" {
            let gone = lending.kubectl("root-admin", &["delete", "trustedsigner", "guarded-key"]).await;
            gone.map_err(|e| e.to_string())?;
        }
        Err(found)
    })
    .await
    .unwrap();
    let why = placet(&lending, "erin", &["why", "ts/guarded-key"]).await;
    assert_eq!(why.code, 1, "{why:?}");
    holds(&why.stdout, &["erin could sign as risk-officer", "placet approve ts/guarded-key"]);
    eventually("an event that says so", SOON, async || {
        let said = lending.kubectl("root-admin", &["describe", "trustedsigner", "guarded-key"]).await;
        let said = said.map_err(|e| e.to_string())?.stdout;
        if said.contains("WaitsForApproval") && said.contains("Warning") { Ok(()) } else { Err(said) }
    })
    .await
    .unwrap();
    // What the key signs counts for nobody.
    let release = format!("mr/{}", placet_e2e::placet::RELEASE);
    let cluster = lending.cluster.field("", "namespace/kube-system", "{.metadata.uid}").await.unwrap();
    let approve = [
        "approve",
        &release,
        "--role",
        "risk-officer",
        "--sign-with",
        &key,
        "--cluster-name",
        &cluster,
        "--yes",
        "-o",
        "json",
        "-n",
        lending.ns,
    ];
    let word = placet(&lending, "erin", &approve).await;
    assert_eq!(word.code, 0, "{word:?}");
    refused_with(
        &lending.apply("root-admin", &word.stdout).await.unwrap(),
        &["the TrustedSigner guarded-key has not taken effect"],
    );
    let waits = placet(&lending, "bob", &["pending", "-n", lending.ns]).await;
    holds(&waits.stdout, &["placet approve ts/guarded-key --role model-owner"]);
    placet_e2e::placet::vouch(lending.cluster, "guarded-key").await.unwrap();
    let deleted = lending.kubectl("root-admin", &["delete", "trustedsigner", "guarded-key"]).await.unwrap();
    assert_eq!(deleted.code, 0, "deleting one lets nothing in: {deleted:?}");
}
