//! What people type: what waits for them, a Reject and its answer, taking back.

use placet_e2e::placet::{ASSESSMENT, DEPLOYMENT, Lending, RELEASE, SYSTEM};
use placet_e2e::{Output, SOON, eventually};
use serde_json::{Value, json};

use super::common::{holds, refused_with};
use super::lending;

async fn placet(lending: &Lending<'_>, who: &str, args: &[&str]) -> Output {
    lending.cluster.run("placet", who, args.iter().chain(&["-n", lending.ns]), None).await.unwrap()
}

/// The JSON that a command prints, which succeeds.
async fn answer(lending: &Lending<'_>, who: &str, args: &[&str]) -> Value {
    let said = placet(lending, who, &[args, &["-o", "json"]].concat()).await;
    assert_eq!(said.code, 0, "{said:?}");
    serde_json::from_str(&said.stdout).unwrap()
}

/// Waits until the commands that wait for somebody are as wanted.
async fn waits(lending: &Lending<'_>, who: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
    eventually(&format!("what waits for {who}"), SOON, async || {
        let pending = answer(lending, who, &["pending"]).await;
        let waiting = pending["waiting"].as_array().unwrap();
        let commands: Vec<String> =
            waiting.iter().map(|w| w["command"].as_str().unwrap().to_owned()).collect();
        if wanted(&commands) { Ok(commands) } else { Err(pending.to_string()) }
    })
    .await
    .unwrap()
}

/// Runs a command as it was shown, with more behind it.
async fn typed(lending: &Lending<'_>, who: &str, command: &str, more: &[&str]) -> Output {
    let mut words: Vec<&str> = command.split(' ').collect();
    assert_eq!(words.remove(0), "placet", "{command}");
    words.extend(more);
    lending.cluster.run("placet", who, words, None).await.unwrap()
}

#[tokio::test]
async fn what_waits_is_shown_with_a_command_that_does_it() {
    let Some(lending) = lending("pending", Some("deny")).await else { return };
    lending.all_documents().await.unwrap();
    lending.cleared("False").await.unwrap();
    let ns = lending.ns;

    // The data scientist holds no role: nothing waits, which is an answer.
    let none = placet(&lending, "dana", &["pending"]).await;
    assert_eq!((none.code, none.stdout.as_str()), (0, ""), "{none:?}");
    holds(&none.stderr, &["nothing waits for you, dana"]);

    let approve = format!("placet approve mr/{RELEASE} --role risk-officer -n {ns}");
    waits(&lending, "erin", |commands| commands.contains(&approve)).await;
    // As a table: one line each, and notes elsewhere.
    let table = placet(&lending, "erin", &["pending"]).await;
    let line = table.stdout.lines().find(|line| line.ends_with(&approve)).unwrap();
    assert!(line.starts_with(RELEASE) && line.contains(" risk-officer "), "{line}");
    holds(&table.stderr, &["a policy's aliases"]);
    // Over all namespaces it names them.
    let all = lending.cluster.run("placet", "erin", ["pending", "-A"], None).await.unwrap();
    assert!(
        all.stdout.lines().any(|line| line.starts_with("pending ") && line.ends_with(&approve)),
        "{all:?}"
    );

    // The command does it, and then nothing waits for that role.
    let said = typed(&lending, "erin", &approve, &["--yes", "-o", "json"]).await;
    let made: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(
        (said.code, &made["kind"], &made["spec"]["decision"]),
        (0, &json!("Approval"), &json!("Approve")),
        "{said:?}"
    );
    assert!(made["metadata"].get("managedFields").is_none() && made["metadata"]["uid"].is_string());
    waits(&lending, "erin", |commands| !commands.contains(&approve)).await;

    // The executive's risk, with a date instead of DATE.
    let accept = format!("placet accept-risk ia/{ASSESSMENT} R1 --role executive --until DATE -n {ns}");
    waits(&lending, "frank", |commands| commands.contains(&accept)).await;
    let accept_until = accept.replace("DATE", "2999-01-01");
    let said =
        typed(&lending, "frank", &accept_until, &["--rationale", "Reviewed", "--dry-run", "-o", "json"])
            .await;
    let made: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((said.code, &made["kind"]), (0, &json!("RiskAcceptance")), "{said:?}");
    waits(&lending, "frank", |commands| commands.contains(&accept)).await;

    // The system's evaluation settings wait for whoever holds any role.
    let settings = format!("placet approve ais/{SYSTEM} --role validator -n {ns}");
    waits(&lending, "vera", |commands| commands.contains(&settings)).await;
    typed(&lending, "vera", &settings, &["--yes"]).await.ok().unwrap();
    waits(&lending, "vera", |commands| !commands.contains(&settings)).await;

    // Who may not list releases of the whole cluster is told what to give.
    lending.cluster.grant(ns, "mallory", "placet-reviewer").await.unwrap();
    let refused = placet(&lending, "mallory", &["pending", "-A"]).await;
    assert_eq!(refused.code, 2);
    refused_with(&refused, &["forbidden", "give -n NAMESPACE"]);
    let own = placet(&lending, "mallory", &["pending"]).await;
    assert_eq!((own.code, own.stdout.as_str()), (0, ""), "{own:?}");
}

#[tokio::test]
async fn an_authors_own_work_is_left_out_and_said() {
    let Some(lending) = lending("pending-own", Some("deny")).await else { return };
    lending.cluster.grant(lending.ns, "vera", "placet-data-scientist").await.unwrap();
    for name in ["system", "assessment", "datasets"] {
        lending.apply("dana", &lending.manifest(name).unwrap()).await.unwrap().ok().unwrap();
    }
    lending.apply("vera", &lending.manifest("release-v2").unwrap()).await.unwrap().ok().unwrap();
    lending.cleared("False").await.unwrap();
    let settings = format!("placet approve ais/{SYSTEM} --role validator -n {}", lending.ns);
    // What she did not write still waits.
    let commands = waits(&lending, "vera", |commands| commands.contains(&settings)).await;
    assert!(!commands.iter().any(|c| c.contains(&format!("mr/{RELEASE}"))), "{commands:?}");
    let pending = answer(&lending, "vera", &["pending", "--role", "validator"]).await;
    let left = pending["leftOut"].as_array().unwrap();
    assert!(left.iter().any(|l| l["why"] == format!("you wrote or developed mr/{RELEASE}")), "{pending}");
}

#[tokio::test]
async fn a_reject_is_answered_by_name_and_not_withdrawn() {
    let Some(lending) = lending("answers", Some("deny")).await else { return };
    lending.all_documents().await.unwrap();
    lending.settings_and_risk().await.unwrap();
    let release = format!("mr/{RELEASE}");
    let reject = ["reject", &release, "--role", "risk-officer", "--comment", "Too early", "--yes"];
    let made = answer(&lending, "erin", &reject).await;
    let name = made["metadata"]["name"].as_str().unwrap();
    lending.approvals(&["risk-officer"]).await.unwrap();
    let approve = ["approve", &release, "--role", "risk-officer", "--yes"];
    placet(&lending, "erin", &approve).await.ok().unwrap();
    lending.findings_say(&["rejects this content"]).await.unwrap();

    // Withdrawing it says how it is answered, and does nothing.
    let said = placet(&lending, "erin", &["withdraw", &format!("apv/{name}"), "--yes"]).await;
    assert_eq!((said.code, said.stdout.as_str()), (1, ""), "{said:?}");
    let answers = format!("placet approve {release} --role risk-officer --answers {name} -n {}", lending.ns);
    holds(&said.stderr, &["is not withdrawn", &answers]);
    // It waits for its giver, with the same command.
    waits(&lending, "erin", |commands| commands.contains(&answers)).await;
    // In another role it would answer nothing.
    let other = ["approve", &release, "--role", "validator", "--answers", name, "--yes"];
    refused_with(&placet(&lending, "vera", &other).await, &["role is risk-officer, not validator"]);
    let said = typed(&lending, "erin", &answers, &["--yes"]).await;
    holds(&said.stderr, &[&format!("answers the Reject {name} by erin: Too early")]);
    said.ok().unwrap();
    lending.cleared("True").await.unwrap();

    // The name of the first is taken: a second one has another, and stands as the first did.
    let second = answer(&lending, "erin", &reject).await;
    let second = second["metadata"]["name"].as_str().unwrap();
    assert_ne!(second, name);
    lending.cleared("False").await.unwrap();
    lending.findings_say(&["rejects this content"]).await.unwrap();
    let answers =
        format!("placet approve {release} --role risk-officer --answers {second} -n {}", lending.ns);
    typed(&lending, "erin", &answers, &["--yes"]).await.ok().unwrap();
    lending.cleared("True").await.unwrap();

    // An acceptance is withdrawn by a Reject of it.
    let made =
        answer(&lending, "frank", &["withdraw", "ra/risk-1", "--because", "Complaints", "--yes"]).await;
    assert_eq!(
        (&made["spec"]["decision"], &made["spec"]["subject"]["kind"], &made["spec"]["comment"]),
        (&json!("Reject"), &json!("RiskAcceptance"), &json!("Complaints"))
    );
    lending.findings_say(&["withdrawn by"]).await.unwrap();

    // An Approve is deleted by whoever may; others are shown the Reject.
    let validators = "apv/validator";
    let said = placet(&lending, "vera", &["withdraw", validators, "--yes"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    holds(&said.stderr, &[&format!("placet reject {release} --role validator -n {}", lending.ns)]);
    let said = placet(&lending, "root-admin", &["withdraw", validators, "--yes"]).await;
    assert_eq!(said.stdout, "approval.placet.dev/validator deleted\n", "{said:?}");
    waits(&lending, "vera", |commands| commands.iter().any(|c| c.contains(&release))).await;
}

#[tokio::test]
async fn a_release_is_withdrawn_once_it_was_seen_what_runs() {
    let Some(lending) = lending("withdraw", Some("deny")).await else { return };
    lending.clear().await.unwrap();
    lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap().ok().unwrap();
    let pods = lending.running(1).await.unwrap();
    let release = format!("mr/{RELEASE}");
    let withdraw = ["withdraw", &release, "--because", "Drift"];

    // Without a yes and without a terminal nothing is written; neither in a dry run.
    let said = placet(&lending, "dana", &withdraw).await;
    assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{said:?}");
    holds(
        &said.stderr,
        &[
            "deployment credit-eligibility: 1 of 1 ready",
            &format!("pod {}: running", pods[0].name),
            "This cannot be taken back",
            "Pods that run go on running",
            "are refused",
            "give --yes",
        ],
    );
    placet(&lending, "dana", &[&withdraw[..], &["--dry-run"]].concat()).await.ok().unwrap();
    lending.cleared("True").await.unwrap();
    // An auditor may look at the release, and neither at what runs nor change it.
    let said = placet(&lending, "audrey", &[&withdraw[..], &["--yes"]].concat()).await;
    assert_eq!(said.code, 2, "{said:?}");
    holds(&said.stderr, &["you may not list deployments", "pods", "cannot patch resource \"modelreleases\""]);

    let said = placet(&lending, "dana", &[&withdraw[..], &["--yes"]].concat()).await;
    assert_eq!(said.stdout, format!("modelrelease.placet.dev/{RELEASE} withdrawn\n"), "{said:?}");
    lending.cleared("False").await.unwrap();
    let because = "{.metadata.annotations.placet\\.dev/withdrawn-because}";
    assert_eq!(lending.cluster.field(lending.ns, &release, because).await.unwrap(), "Drift");
    // What runs goes on; a new pod does not start.
    lending.running(1).await.unwrap();
    let scale = ["scale", DEPLOYMENT, "--replicas=2"];
    refused_with(&lending.kubectl("dana", &scale).await.unwrap(), &["withdrawn"]);
    // Again: it is so already.
    let said = placet(&lending, "dana", &["withdraw", &release, "--yes"]).await;
    assert_eq!(
        (said.code, said.stdout),
        (0, format!("modelrelease.placet.dev/{RELEASE} unchanged\n")),
        "{}",
        said.stderr
    );
    let made = answer(&lending, "dana", &["withdraw", &release, "--yes"]).await;
    assert_eq!(made["spec"]["withdrawn"], true);
    // What was withdrawn waits for nobody.
    waits(&lending, "erin", |commands| commands.iter().all(|command| !command.contains(&release))).await;
}

#[tokio::test]
async fn why_speaks_json_of_a_workload_without_a_release_too() {
    let Some(lending) = lending("why-json", None).await else { return };
    let create = ["create", "deployment", "plain", "--image=registry.example.com/plain:1"];
    lending.kubectl("dana", &create).await.unwrap().ok().unwrap();
    let said = placet(&lending, "dana", &["why", "deployment/plain", "-o", "json"]).await;
    let why: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(
        (said.code, &why["release"], &why["cleared"]),
        (1, &Value::Null, &json!("Unknown")),
        "{said:?}"
    );
    let command = why["missing"][0]["findings"][0]["command"].as_str().unwrap();
    holds(command, &["kubectl label deployment/plain placet.dev/release=NAME -n why-json"]);
}
