//! What an approval binds: the release with all that speaks for it, as it is when the approval is given.

use placet_e2e::placet::{APPROVERS, ASSESSMENT, Lending, RELEASE, SYSTEM};
use placet_e2e::{Output, SOON, eventually};
use serde_json::{Value, json};

use super::common::{holds, refused_with};
use super::lending;

async fn placet(lending: &Lending<'_>, who: &str, args: &[&str]) -> Output {
    let args = [args, &["-n", lending.ns]].concat();
    lending.cluster.run("placet", who, args, None).await.unwrap()
}

/// dana types other residual values for the first risk.
async fn residual(lending: &Lending<'_>, likelihood: u8, severity: u8) {
    let patch = json!([{"op": "replace", "path": "/spec/risks/0/residual",
        "value": {"likelihood": likelihood, "severity": severity}}]);
    let patch = patch.to_string();
    let args = ["patch", "ia", ASSESSMENT, "--type=json", "-p", &patch];
    lending.kubectl("dana", &args).await.unwrap().ok().unwrap();
}

#[tokio::test]
async fn who_softens_the_assessment_after_the_approvals_asks_everybody_again() {
    let Some(lending) = lending("softened", Some("deny")).await else { return };
    lending.clear().await.unwrap();
    residual(&lending, 1, 1).await;
    let changed = format!(
        "bob approved earlier evidence; changed since: assessment {ASSESSMENT}: spec.risks[R1].residual.likelihood, \
         spec.risks[R1].residual.severity"
    );
    lending.findings_say(&[&changed]).await.unwrap();
    lending.cleared("False").await.unwrap();
    let pod = lending.pod("softened", RELEASE).to_string();
    refused_with(&lending.apply("dana", &pod).await.unwrap(), &[&changed]);
    // As it was, it is what they approved.
    residual(&lending, 2, 4).await;
    lending.cleared("True").await.unwrap();
    // So it is with a report that none of them has seen.
    let late = lending.manifest("report-performance-v2").unwrap();
    let late = late.replacen("  name: ", "  name: late-", 1);
    lending.apply("dana", &late).await.unwrap().ok().unwrap();
    lending.findings_say(&["changed since: report late-"]).await.unwrap();
    lending.cleared("False").await.unwrap();
    for (who, role) in APPROVERS {
        lending.approve_as(&format!("again-{role}"), who, role, None).await.unwrap();
    }
    lending.cleared("True").await.unwrap();
}

#[tokio::test]
async fn placet_approve_pins_what_it_showed_and_shows_what_differs_from_the_release_before() {
    let Some(lending) = lending("compared", Some("deny")).await else { return };
    lending.clear().await.unwrap();
    let weights = "7f06e302437f15f850ca6cc36a5159a1d73ce72eff7a528abc8a973dbcd260a1";
    let next = lending.manifest("release-v2").unwrap();
    let next = next.replace(RELEASE, "credit-eligibility-3.0.0").replace(weights, &"7".repeat(64));
    lending.apply("dana", &next).await.unwrap().ok().unwrap();
    let target = "mr/credit-eligibility-3.0.0";
    let show = ["approve", target, "--role", "risk-officer", "--show", "-o", "json"];
    // Until it is judged, there is no evidence to show.
    let shown: Value = eventually("the next release to be shown", SOON, async || {
        let said = placet(&lending, "erin", &show).await;
        if said.code == 0 { Ok(serde_json::from_str(&said.stdout).unwrap()) } else { Err(said.stderr) }
    })
    .await
    .unwrap();
    assert_eq!(shown["subject"]["covers"], "Evidence");
    let since = &shown["since"];
    assert_eq!((&since["release"], &since["cleared"]), (&json!(RELEASE), &json!(true)), "{shown}");
    assert_eq!(
        since["artifacts"],
        json!([{"name": "weights", "then": format!("sha256:{weights}"), "now": format!("sha256:{}", "7".repeat(64))}])
    );
    assert_eq!((&since["residualRisks"], &since["residualKnown"]), (&json!([]), &json!(true)), "{shown}");
    assert_eq!(shown["residualRisks"]["R1"], "High");
    assert!(shown["findings"].as_array().is_some_and(|f| !f.is_empty()), "{shown}");

    // What is pinned is what was shown. Something else is there by now: nothing is approved, with both digests.
    let digest = shown["subject"]["digest"].as_str().unwrap();
    residual(&lending, 2, 5).await;
    let approve = ["approve", target, "--role", "risk-officer", "--digest", digest, "--yes"];
    let said = eventually("the change to be judged", SOON, async || {
        let said = placet(&lending, "erin", &[approve.as_slice(), &["--dry-run"]].concat()).await;
        if said.stderr.contains("--digest:") { Ok(said) } else { Err(format!("{said:?}")) }
    })
    .await
    .unwrap();
    refused_with(&said, &["has the digest sha256:", "not", digest]);
    residual(&lending, 2, 4).await;
    let said = eventually("the change to be taken back", SOON, async || {
        let said = placet(&lending, "erin", &approve).await;
        if said.code == 0 { Ok(said) } else { Err(said.stderr) }
    })
    .await
    .unwrap();
    let words = format!("since {RELEASE}, the release that was cleared last, a change of kind Initial:");
    holds(&said.stderr, &[&words, "artefact weights sha256:7f06", "the same residual risks", digest]);
    // Typed and wrong: refused, with both.
    let mut typed =
        lending.approval("typed", "model-owner", "ModelRelease", "credit-eligibility-3.0.0", digest);
    typed["spec"]["subject"]["covers"] = json!("Evidence");
    let wrong = format!("sha256:{}", "0".repeat(64));
    typed["spec"]["subject"]["digest"] = json!(wrong);
    refused_with(
        &lending.apply("bob", &typed.to_string()).await.unwrap(),
        &[digest, &wrong, "covers: Evidence"],
    );
}

#[tokio::test]
async fn a_digest_is_left_out_by_people_only_and_only_where_a_policy_says_so() {
    let Some(lending) = lending("left-out", Some("deny")).await else { return };
    lending.documents(&["system", "release-v2"]).await.unwrap();
    // For High, nobody leaves it out.
    let release = format!("modelrelease/{RELEASE}");
    let digest = lending.digest(&release).await.unwrap();
    let mut approval = lending.approval("left-out", "business-owner", "ModelRelease", RELEASE, &digest);
    approval["spec"]["subject"].as_object_mut().unwrap().remove("digest");
    let command = format!("placet approve mr/{RELEASE} --role business-owner -n {}", lending.ns);
    let text = approval.to_string();
    // Who does not hold the role hears of the role alone.
    let said = lending.apply("bob", &text).await.unwrap();
    refused_with(&said, &["wanted a holder of the role business-owner, found bob"]);
    assert!(!said.stderr.contains("class"), "{}", said.stderr);
    let bind = [
        "create",
        "clusterrolebinding",
        "left-out",
        "--clusterrole=placet-approve-business-owner",
        "--user=bob",
        "--serviceaccount=left-out:robot",
    ];
    lending.kubectl("root-admin", &bind).await.unwrap().ok().unwrap();
    eventually("the role to be bob's", SOON, async || {
        let said = lending.apply("bob", &text).await.map_err(|e| e.to_string())?;
        let heard = ["spec.subject.digest", "of class High", command.as_str()];
        if said.code != 0 && heard.iter().all(|part| said.stderr.contains(part)) {
            Ok(())
        } else {
            Err(said.stderr)
        }
    })
    .await
    .unwrap();

    let triggers = json!({"spec": {"triggers": {"annexIII": [], "article5": [], "annexI": [], "article50": [],
        "profiling": false, "personalData": false}}});
    let patch =
        ["patch", &format!("ais/{SYSTEM}"), "--type=merge", "-p", &triggers.to_string()].map(str::to_owned);
    let patch: Vec<&str> = patch.iter().map(String::as_str).collect();
    lending.kubectl("dana", &patch).await.unwrap().ok().unwrap();
    lending
        .cluster
        .becomes(lending.ns, &format!("ais/{SYSTEM}"), "{.status.class}", "Minimal")
        .await
        .unwrap();
    let policy = json!({
        "apiVersion": "placet.dev/v1alpha1", "kind": "ReleasePolicy", "metadata": {"name": "left-out"},
        "spec": {
            "appliesTo": {"classes": ["Minimal"], "namespaceSelector": {
                "matchLabels": {"kubernetes.io/metadata.name": lending.ns}}},
            "approvals": [{"role": "business-owner", "count": 1, "emptyDigest": "Fill"}],
            "guard": {"loosening": "Apply"},
        },
    });
    lending.apply("root-admin", &policy.to_string()).await.unwrap().ok().unwrap();
    let applied = eventually("the policy to be heard of", SOON, async || {
        let said = lending.apply("bob", &text).await.map_err(|e| e.to_string())?;
        if said.code == 0 { Ok(said) } else { Err(said.stderr) }
    })
    .await
    .unwrap();
    holds(&applied.stdout, &["created"]);
    let digest_of = "{.spec.subject.digest}";
    let stored = lending.cluster.field(lending.ns, "apv/left-out", digest_of).await.unwrap();
    assert_eq!(stored, digest);
    // The same file again is no change.
    lending.apply("bob", &text).await.unwrap().ok().unwrap();
    assert_eq!(lending.cluster.field(lending.ns, "apv/left-out", digest_of).await.unwrap(), digest);
    let counts = "{.status.conditions[?(@.type=='Counts')].status}";
    lending.cluster.becomes(lending.ns, "apv/left-out", counts, "True").await.unwrap();

    // What a robot applies says itself what was looked at.
    lending.kubectl("root-admin", &["create", "serviceaccount", "robot"]).await.unwrap().ok().unwrap();
    lending.cluster.grant(lending.ns, "root-admin", "edit").await.unwrap();
    let mut by_robot = approval.clone();
    by_robot["metadata"]["name"] = json!("by-robot");
    let posed = ["apply", "-n", lending.ns, "-f", "-", "--as=system:serviceaccount:left-out:robot"];
    let bind = [
        "create",
        "rolebinding",
        "robot",
        "--clusterrole=placet-reviewer",
        "--serviceaccount=left-out:robot",
    ];
    lending.kubectl("root-admin", &bind).await.unwrap().ok().unwrap();
    let said = lending.cluster.kubectl_with_input("root-admin", posed, &by_robot.to_string()).await.unwrap();
    refused_with(&said, &["is no person", &command]);
    for object in ["releasepolicy/left-out", "clusterrolebinding/left-out"] {
        lending.kubectl("root-admin", &["delete", object]).await.unwrap().ok().unwrap();
    }
}
