//! A clock that is set ahead or back.

use placet_e2e::placet::Lending;
use placet_e2e::{SOON, eventually};
use serde_json::json;

use super::alone;
use super::common::holds;

#[tokio::test]
async fn a_clock_that_cannot_be_trusted_clears_nothing() {
    let Some((cluster, _guard)) = alone().await else { return };
    let file = cluster.dir().join("settings/test-clock");
    let more = json!({
        "extraArgs": ["--allow-test-clock"],
        "extraEnv": [{ "name": "PLACET_TEST_CLOCK_FILE", "value": file.to_string_lossy() }],
    });
    let _ = tokio::fs::remove_file(&file).await;
    cluster.install_placet(&more).await.unwrap();
    cluster.placet_ready().await.unwrap();
    let lending = Lending::open(cluster, "hours", Some("deny")).await.unwrap();
    lending.clear().await.unwrap();
    let deployment = lending.manifest("deployment-v2").unwrap();
    lending.apply("dana", &deployment).await.unwrap().ok().unwrap();
    lending.running(1).await.unwrap();

    // An hour ahead, an hour back.
    for offset in ["3600", "-3600"] {
        tokio::fs::write(&file, offset).await.unwrap();
        let refusal = eventually("a refusal for the clock", SOON, async || {
            let args = [
                "set",
                "env",
                "deployment/credit-eligibility",
                &format!("OFFSET=x{offset}"),
                "--dry-run=server",
            ];
            let refusal = lending.kubectl("dana", &args).await.map_err(|error| error.to_string())?;
            if refusal.code == 0 { Err("it passes".to_owned()) } else { Ok(refusal) }
        })
        .await
        .unwrap();
        holds(&refusal.stderr, &["not yet known", "clock"]);
        lending.cleared("Unknown").await.unwrap();
        // What runs goes on; nothing is stamped by a clock that is wrong.
        lending.running(1).await.unwrap();
        let digest = lending.digest("mr/credit-eligibility-2.0.0").await.unwrap();
        let approval =
            lending.approval("late", "validator", "ModelRelease", "credit-eligibility-2.0.0", &digest);
        let refusal = lending.apply("vera", &approval.to_string()).await.unwrap();
        assert_ne!(refusal.code, 0, "{refusal:?}");
        holds(&refusal.stderr, &["the clock cannot be trusted", "try again"]);

        tokio::fs::write(&file, "0").await.unwrap();
        lending.cleared("True").await.unwrap();
    }
    tokio::fs::remove_file(&file).await.unwrap();
    cluster.install_placet(&json!({})).await.unwrap();
}
