//! `placet simulate` over the fixtures: what a later date changes, and nothing else.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod common;

use common::{AUTHORS, NOW, Ran, golden, placet};
use serde_json::Value;

fn simulate(date: &str, more: &[&str]) -> Ran {
    let mut args = vec!["simulate", "--date", date, "--now", NOW, "--roles", "holders.yaml", "--as", "dana"];
    for author in AUTHORS {
        args.extend(["--as", author]);
    }
    args.extend(more);
    placet(&args)
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {}", ran.err))
}

fn reasons(release: &Value) -> Vec<&str> {
    let gates = release["decision"]["gates"].as_array().unwrap();
    let findings = gates.iter().flat_map(|g| g["findings"].as_array().into_iter().flatten());
    findings.map(|f| f["reason"].as_str().unwrap()).collect()
}

#[test]
fn a_date_at_which_everything_still_stands() {
    let ran = simulate("2026-12-20T11:59:59Z", &["-f", "high"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(
        ran.err.contains("assumed: nothing but the time changes until 2026-12-20T11:59:59Z"),
        "{}",
        ran.err
    );
    let ran = simulate("2026-12-20T11:59:59Z", &["-f", "high", "-o", "json"]);
    let said = json(&ran);
    assert_eq!((&said["date"], &said["now"]), (&"2026-12-20T11:59:59Z".into(), &NOW.into()));
    assert_eq!((&said["held"], &said["releases"][0]["heldFrom"]), (&0.into(), &Value::Null));
}

#[test]
fn approvals_that_nobody_used_end_and_the_table_says_why() {
    // The second more that makes the difference.
    let ran = simulate("2026-12-20T12:00:00Z", &["-f", "high"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    golden("simulate.txt", &ran.out);
    let said = json(&simulate("2027-12-02", &["-f", "high", "-o", "json"]));
    let release = &said["releases"][0];
    assert_eq!((&release["clearedNow"], &release["cleared"]), (&"True".into(), &"False".into()));
    assert_eq!(release["heldFrom"], "2026-12-20T12:00:00Z", "the first moment, not the date");
    assert!(reasons(release).contains(&"AssessmentStale"), "{release}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads and writes its files")]
fn an_obligation_that_begins_to_apply_holds_what_did_not_consider_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut args: Vec<String> = vec!["-f".into()];
    for file in ["policy", "roles", "system", "release", "reports", "assessment", "approvals"] {
        let mut text =
            std::fs::read_to_string(common::tests().join(format!("fixtures/high/{file}.yaml"))).unwrap();
        if file == "policy" {
            let asked = "maxAgeDays: 365, freshness: {obligationsLeadDays: 30}}\n  obligations:\n  - {id: Act-1, version: '1', title: Do it, jurisdiction: EU, article: Article 1, from: '2027-03-01', source: The act}\n";
            text = text.replace("maxAgeDays: 365}\n", asked);
            assert!(text.contains("Act-1"));
        }
        let path = dir.path().join(format!("{file}.yaml"));
        std::fs::write(&path, text).unwrap();
        args.push(path.to_str().unwrap().to_owned());
    }
    let used = ["--first-use", "2026-11-20T13:00:00Z", "-o", "json"];
    let asked = |date: &str| {
        let args: Vec<&str> = args.iter().map(String::as_str).chain(used).collect();
        simulate(date, &args)
    };
    // 30 days before 1 March.
    let before = asked("2027-01-29T23:59:59Z");
    assert_eq!(before.code, 0, "{}{}", before.out, before.err);
    let after = asked("2027-01-30");
    assert_eq!(after.code, 1, "{}", after.err);
    let said = json(&after);
    assert_eq!(said["held"], 1);
    assert_eq!(said["releases"][0]["heldFrom"], "2027-01-30T00:00:00Z");
    assert_eq!(reasons(&said["releases"][0]), ["ObligationNotConsidered"]);
}

#[test]
fn questions_that_cannot_be_asked() {
    for (date, more, wanted) in [
        (
            "2026-11-20",
            &["-f", "high"][..],
            "--date: wanted a date after 2026-11-20T12:00:00Z, found 2026-11-20T00:00:00Z",
        ),
        ("tomorrow", &["-f", "high"], "--date: wanted a date (2027-03-31)"),
        ("2027-02-30", &["-f", "high"], "--date: wanted a date"),
        ("2027-12-02", &["-f", "high/policy.yaml"], "wanted at least one ModelRelease, found none"),
        ("2027-12-02", &["-f", "high", "-o", "sarif"], "invalid value 'sarif'"),
        ("2027-12-02", &["-f", "high", "--policy", "high/policy.yaml"], "unexpected argument '--policy'"),
        ("2027-12-02", &["--from-cluster"], "no way to reach a cluster"),
        ("2027-12-02", &[], "required arguments were not provided"),
    ] {
        let ran = simulate(date, more);
        assert_eq!(ran.code, 2, "{date} {more:?}: {}", ran.out);
        assert!(ran.err.contains(wanted), "{date} {more:?}: {}", ran.err);
        assert_eq!(ran.out, "", "{date} {more:?}");
    }
}
