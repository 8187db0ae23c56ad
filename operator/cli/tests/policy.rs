//! `placet policy test`: packs of ours, packs of others, and what is wrong with them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod common;

use std::path::Path;

use common::{Ran, placet};
use serde_json::Value;

const POLICY: &str = r"
apiVersion: placet.dev/v1alpha1
kind: ReleasePolicy
metadata: {name: house}
spec:
  appliesTo: {classes: [Minimal]}
  approvals: [{role: model-owner, count: 1, covers: Content}]
---
apiVersion: placet.dev/v1alpha1
kind: ApprovalRole
metadata: {name: model-owner}
spec: {title: Model owner, answersFor: Whether the model may run}
";

const CASE: &str = r#"
title: Nobody approved it
now: 2026-11-20T12:00:00Z
release: lending/scoring-1
policies: [../house.yaml]
objects: [{by: dana, kind: ModelRelease, name: scoring-1, spec: {}}]
remove: [ModelRelease/scoring-1]
expect: {cleared: "False", findings: [{gate: release, reason: ReleaseNotFound}]}
"#;

/// The objects of [`CASE`].
const OBJECTS: &str = "objects: [{by: dana, kind: ModelRelease, name: scoring-1, spec: {}}]";

/// A directory with a pack, its case and what a test makes of them.
struct Pack(tempfile::TempDir);

impl Pack {
    fn new() -> Self {
        let pack = Self(tempfile::tempdir().unwrap());
        pack.write("house.yaml", POLICY);
        pack.write("cases/nobody.yaml", CASE);
        pack
    }

    #[expect(clippy::disallowed_methods, reason = "a test writes the files that it is about")]
    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn test(&self, name: &str, more: &[&str]) -> Ran {
        let path = self.0.path().join(name);
        placet(&[&["policy", "test", path.to_str().unwrap()], more].concat())
    }
}

#[test]
fn our_packs_hold_what_their_cases_say() {
    let packs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/packs");
    let ran = placet(&["policy", "test", packs.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.out, ran.err);
    assert!(ran.out.contains("0 fail, 0 could not be run") && ran.err.is_empty(), "{}", ran.err);
    // Of one pack its own cases alone.
    let minimal = placet(&["policy", "test", packs.join("minimal.yaml").to_str().unwrap(), "-o", "json"]);
    assert_eq!(minimal.code, 0, "{}", minimal.err);
    let said: Value = serde_json::from_str(&minimal.out).unwrap();
    let cases = said["cases"].as_array().unwrap();
    let all = cases
        .iter()
        .all(|c| c["result"] == "Holds" && c["file"].as_str().unwrap().contains("cases/minimal/"));
    assert!(all && cases.len() > 3 && said["summary"]["hold"] == cases.len(), "{said}");
}

#[test]
fn a_pack_of_somebody_else_is_tested_by_directory_by_policy_and_by_case() {
    let pack = Pack::new();
    for path in ["", "house.yaml", "cases", "cases/nobody.yaml"] {
        let ran = pack.test(path, &[]);
        assert_eq!(ran.code, 0, "{path}: {}\n{}", ran.out, ran.err);
        assert!(ran.out.contains("1 cases: 1 hold, 0 fail"), "{path}: {}", ran.out);
    }
}

#[test]
fn a_case_that_does_not_hold_says_what_was_said_instead() {
    let pack = Pack::new();
    pack.write("cases/cleared.yaml", &CASE.replace("cleared: \"False\"", "cleared: \"True\""));
    let ran = pack.test("", &[]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.out.contains("cleared: wanted True, found False"), "{}", ran.out);
    assert!(ran.out.contains("release ReleaseNotFound"), "what it said instead: {}", ran.out);
    let said: Value = serde_json::from_str(&pack.test("", &["-o", "json"]).out).unwrap();
    assert_eq!(said["summary"], serde_json::json!({"cases": 2, "hold": 1, "fail": 1, "error": 0}));
    assert_eq!(said["cases"][0]["result"], "Fails");
    assert_eq!(said["cases"][0]["decision"]["cleared"], "False");
}

#[test]
fn what_cannot_be_run_says_why_and_is_no_answer() {
    let wrong = [
        ("title: x\nnow: [", "cases/broken.yaml"),
        (&CASE.replace("release: lending/scoring-1", "realease: lending/scoring-1"), "realease"),
        (&CASE.replace("house.yaml", "hose.yaml"), "hose.yaml"),
        (&CASE.replace("lending/scoring-1", "scoring-1"), "NAMESPACE/NAME"),
        (&CASE.replace("ReleaseNotFound", "ReleaseLost"), "there is no reason ReleaseLost"),
        (&CASE.replace("gate: release,", "gate: relase,"), "relase"),
        (&CASE.replace("cleared: \"False\"", "cleared: \"No\""), "wanted one of True, False, Unknown"),
        ("title: x\nnow: 2026-11-20T12:00:00Z\nrelease: a/b\nexpect: {}", "at least one of its fields"),
        (&CASE.replace(OBJECTS, "change: [{object: Approval/a1, by: x}]"), "there is no Approval/a1"),
        (&CASE.replace("ModelRelease/scoring-1", "Approval/a1"), "there is no Approval/a1"),
        (
            &CASE.replace("objects: [", "objects: [{kind: Aproval, name: x, spec: {}}, "),
            "Aproval/x: wanted a kind",
        ),
        (&CASE.replace("now: 2026-11-20T12:00:00Z", "now: yesterday"), "broken.yaml"),
    ];
    for (text, says) in wrong {
        let pack = Pack::new();
        pack.write("cases/broken.yaml", text);
        let ran = pack.test("", &[]);
        assert_eq!(ran.code, 2, "{text}\n{}", ran.out);
        let line = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(line.contains(says), "{says} is not in\n{}", ran.out);
        assert!(ran.out.contains("1 hold, 0 fail, 1 could not be run"), "the others are run: {}", ran.out);
    }
}

#[test]
fn a_pack_without_cases_or_with_an_unknown_field_is_an_error() {
    let pack = Pack::new();
    pack.write("other.yaml", &POLICY.replace("name: house", "name: other"));
    let ran = pack.test("", &[]);
    assert_eq!(ran.code, 2, "{}", ran.out);
    assert!(ran.err.contains("other.yaml: wanted at least one case that reads it"), "{}", ran.err);
    let ran = pack.test("other.yaml", &[]);
    assert_eq!(ran.code, 2, "its neighbour's cases are none of its own: {}", ran.out);

    let pack = Pack::new();
    pack.write("house.yaml", &POLICY.replace("  approvals:", "  aprovals: []\n  approvals:"));
    let ran = pack.test("", &[]);
    assert_eq!(ran.code, 2, "{}", ran.out);
    assert!(ran.err.contains("house.yaml:7") && ran.err.contains("aprovals"), "{}", ran.err);

    pack.write("house.yaml", &POLICY.replace("  approvals:", "  monitoring: {required: true}\n  approvals:"));
    let ran = pack.test("", &[]);
    assert_eq!(ran.code, 2, "{}", ran.out);
    let says = "house.yaml:7:3: monitoring: gates on monitoring in operation are not yet known";
    assert!(ran.err.contains(says), "{}", ran.err);

    let empty = tempfile::tempdir().unwrap();
    let ran = placet(&["policy", "test", empty.path().to_str().unwrap()]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("found neither"), "{}", ran.err);
    assert_eq!(placet(&["policy", "test", "nowhere"]).code, 2);
}

#[test]
fn criteria_that_cannot_hold_together_are_noted_and_fail_nothing() {
    let pack = Pack::new();
    let tests = "  tests: [{type: Bias, metric: SelectionRateRatio, atLeast: \"0.80\"}, {type: Bias, metric: EqualizedOdds, atMost: \"0.05\"}]\n";
    pack.write("house.yaml", &POLICY.replace("  approvals:", &format!("{tests}  approvals:")));
    let ran = pack.test("", &[]);
    assert_eq!(ran.code, 0, "{}", ran.out);
    let said = ran.err.contains("note: ")
        && ran.err.contains("policy house: tests: parity of selection (SelectionRateRatio)");
    assert!(said && ran.err.contains("EqualizedOdds"), "{}", ran.err);
}

#[test]
fn the_controls_of_gates_are_shown_with_their_titles() {
    let ran = placet(&["controls"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for says in
        ["tests ", "A.8.29", "A.6.2.4", "Both standards by the same evidence", "A.8.32         A.6.2.5"]
    {
        assert!(ran.out.contains(says), "{says} is not in\n{}", ran.out);
    }
    let said: Value = serde_json::from_str(&placet(&["controls", "-o", "json"]).out).unwrap();
    assert_eq!(said["overlap"].as_array().unwrap().len(), 13);
    let gates = said["gates"].as_array().unwrap();
    assert!(gates.iter().any(|g| g["gate"] == "workload") && gates.iter().any(|g| g["gate"] == "custom"));
    for gate in gates {
        for catalogue in ["iso27001", "iso42001", "aiAct"] {
            let ids = gate[catalogue].as_array().unwrap();
            let titled = ids.iter().all(|id| id["title"].as_str().is_some_and(|t| t.len() > 5));
            assert!(titled && !ids.is_empty(), "{gate}");
        }
    }
}
