//! Each gate that the pack for high risk asks holds the release, and lets it go when its fact arrives.

use placet_e2e::placet::{APPROVERS, Lending, RELEASE, SYSTEM};
use placet_e2e::{SOON, eventually};

use super::lending;

/// Gates that are open without what follows, in the order in which their facts arrive here.
const OPEN: [&str; 11] = [
    "data",
    "oversight",
    "transparency",
    "documentation",
    "verification",
    "change",
    "assessment",
    "tests",
    "riskAcceptance",
    "validation",
    "approvals",
];

/// A manifest without a field of its spec.
fn without(manifest: &str, field: &str) -> String {
    let start = manifest.find(&format!("\n  {field}:")).unwrap_or_else(|| panic!("no {field} in {manifest}"));
    let mut lines = manifest[start + 1..].split_inclusive('\n');
    let first = lines.next().map_or(0, str::len);
    // What is indented deeper, and the items of a list, which are not.
    let more: usize = lines.take_while(|l| l.starts_with("   ") || l.starts_with("  - ")).map(str::len).sum();
    format!("{}{}", &manifest[..=start], &manifest[start + 1 + first + more..])
}

/// Waits until exactly these gates are open.
async fn open(lending: &Lending<'_>, release: &str, wanted: &[&str]) {
    eventually(&format!("{wanted:?} to be the open gates of {release}"), SOON, async || {
        let path = "jsonpath={range .status.gates[?(@.verdict!='Met')]}{.gate} {end}";
        let found = lending.kubectl("audrey", &["get", "mr", release, "-o", path]).await;
        let found = found.and_then(placet_e2e::Output::ok).map_err(|error| error.to_string())?;
        let mut found: Vec<&str> = found.split_whitespace().collect();
        let mut wanted = wanted.to_vec();
        found.sort_unstable();
        wanted.sort_unstable();
        if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn each_gate_holds_a_release_until_its_fact_arrives() {
    let Some(lending) = lending("each-gate", Some("hold")).await else { return };
    let (system, release) = (lending.manifest("system").unwrap(), lending.manifest("release-v2").unwrap());
    let apply = async |who: &str, text: &str| lending.apply(who, text).await.unwrap().ok().unwrap();

    // A release of which next to nothing is said, of a system of which little is.
    let bare_system = without(&without(&system, "oversight"), "transparency");
    apply("dana", &bare_system).await;
    lending.documents(&["assessment"]).await.unwrap();
    let attempt = |n: u8| format!("{RELEASE}-attempt-{n}");
    let named = |n: u8, text: &str| {
        text.replacen(&format!("name: {RELEASE}\n"), &format!("name: {}\n", attempt(n)), 1)
    };
    let bare = bare_of_change(&without(&without(&release, "documentation"), "training"));
    apply("dana", &named(1, &bare)).await;
    apply("dana", &lending.pod("waits", &attempt(1)).to_string()).await;
    let mut left = OPEN.to_vec();
    open(&lending, &attempt(1), &left).await;

    // What is said of data and of the system arrives.
    lending.documents(&["datasets"]).await.unwrap();
    left.retain(|g| *g != "data");
    open(&lending, &attempt(1), &left).await;
    apply("dana", &without(&system, "transparency")).await;
    left.retain(|g| *g != "oversight");
    open(&lending, &attempt(1), &left).await;
    apply("dana", &system).await;
    left.retain(|g| *g != "transparency");
    open(&lending, &attempt(1), &left).await;

    // What is said of a release never changes: another one says more.
    let unassessed = bare_of_change(&release);
    let steps =
        [(2, without(&unassessed, "training"), "documentation"), (3, unassessed.clone(), "verification")];
    for (n, text, gate) in steps {
        apply("dana", &named(n, &text)).await;
        left.retain(|g| *g != gate);
        open(&lending, &attempt(n), &left).await;
    }
    apply("dana", &release).await;
    left.retain(|g| *g != "change");
    open(&lending, RELEASE, &left).await;
    apply("dana", &lending.pod("released", RELEASE).to_string()).await;

    // People.
    lending.assessed().await.unwrap();
    left.retain(|g| *g != "assessment");
    open(&lending, RELEASE, &left).await;
    let digest = lending.digest(&format!("aisystem/{SYSTEM}")).await.unwrap();
    let settings = lending.approval("evaluation", "validator", "AISystem", SYSTEM, &digest);
    apply("vera", &settings.to_string()).await;
    lending.documents(&["report-bias-v2"]).await.unwrap();
    open(&lending, RELEASE, &left).await;
    lending.documents(&["report-performance-v2"]).await.unwrap();
    left.retain(|g| *g != "tests");
    open(&lending, RELEASE, &left).await;
    lending.accept_risk().await.unwrap();
    left.retain(|g| *g != "riskAcceptance");
    open(&lending, RELEASE, &left).await;
    for (who, role) in APPROVERS.iter().filter(|(_, role)| *role == "validator") {
        lending.approve(who, role, None).await.unwrap();
    }
    left.retain(|g| *g != "validation");
    open(&lending, RELEASE, &left).await;
    assert_eq!(left, ["approvals"]);
    let pods = lending.pods("app=credit-eligibility").await.unwrap();
    assert!(pods.len() == 2 && pods.iter().all(|pod| pod.held), "{pods:?}");
    lending.approvals(&["validator"]).await.unwrap();
    open(&lending, RELEASE, &[]).await;
    lending.cleared("True").await.unwrap();
    lending
        .pods_become("the released pod to run and the attempt to wait", |pods| {
            let of = |release: &str| pods.iter().find(|pod| pod.release == release);
            let attempt = of(&attempt(1)).is_some_and(|pod| pod.held);
            attempt && of(RELEASE).is_some_and(|pod| pod.phase == "Running" && !pod.held)
        })
        .await
        .unwrap();
}

/// A release that does not say what its change means.
fn bare_of_change(release: &str) -> String {
    let (before, after) = release.split_at(release.find("    impact:\n").unwrap());
    let mut lines = after.split_inclusive('\n');
    lines.next();
    let after: String = lines.skip_while(|l| l.starts_with("      ")).collect();
    format!("{before}{after}")
}
