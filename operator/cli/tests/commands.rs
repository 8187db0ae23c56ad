//! The commands that need no cluster, and what is said where one is needed and not there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod common;

use common::{placet, run};
use serde_json::Value;

const ARTIFACT: &str = "sha256:3ecc933942d7d90aa05aaf3da6798f19d4af1815b0890de094d100d7feae14d7";
const DATASET: &str = "sha256:a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05";

fn counts(file: &str, more: &[&str]) -> common::Ran {
    let base = ["report", "counts", file, "--artifact", ARTIFACT, "--dataset", DATASET];
    let said = more.contains(&"--positive-means");
    let means: &[&str] = if said { &[] } else { &["--positive-means", "Favourable"] };
    placet(&[&base[..], means, more].concat())
}

#[test]
fn a_report_from_a_table_is_the_sample_that_was_written_by_hand() {
    let more = ["--tool", "adult/evaluate.py@1", "--ran-at", "2026-11-22T06:55:00Z", "-n", "lending"];
    let ran = counts("../../../../e2e/samples/adult/counts-v1.csv", &more);
    assert_eq!(ran.code, 0, "{}", ran.err);
    common::golden("counts.yaml", &ran.out);
    let found: Value = serde_saphyr::from_str(&ran.out).unwrap();
    let path = common::tests().join("../../../e2e/samples/adult/manifests/report-bias-v1.yaml");
    #[expect(clippy::disallowed_methods, reason = "a test reads a sample")]
    let sample: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(found["spec"], sample["spec"]);
    // The digest of what was made is that of what is read back.
    let typed: placet_api::testreport::TestReportSpec =
        serde_json::from_value(found["spec"].clone()).unwrap();
    assert_eq!(typed.rows, Some(16281));
}

#[test]
fn groups_that_no_gate_judges_are_noted() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("counts.csv");
    let of = |second: &str| {
        let rows = format!("sex,n,tp,fp,fn,tn\nfemale,4,1,1,1,1\n{second},4,1,1,1,1\n");
        #[expect(clippy::disallowed_methods, reason = "a test writes a file")]
        std::fs::write(&file, rows).unwrap();
        let ran = counts(file.to_str().unwrap(), &["--tool", "t@1"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.err
    };
    assert_eq!(of("male"), "");
    let said = of("Female");
    assert!(said.contains(r#"no gate judges this report: spec.groups: sex: wanted one name for each value, found "female" and "Female""#), "{said}");
}

#[test]
fn tables_and_options_that_do_not_fit() {
    let tool = ["--tool", "t@1"];
    for (file, more, wanted) in [
        ("bad/counts.csv", &tool[..], "bad/counts.csv: line 2: tp + fp + fn + tn: wanted n = "),
        ("none.csv", &tool, "none.csv: wanted a readable text file"),
        ("../../../../e2e/samples/adult/counts-v1.csv", &["--tool", "t"], "--tool: wanted NAME@VERSION"),
        (
            "../../../../e2e/samples/adult/counts-v1.csv",
            &["--tool", "t@1", "--ran-at", "soon"],
            "--ran-at: wanted a date",
        ),
        ("../../../../e2e/samples/adult/counts-v1.csv", &["--tool", "t@1", "--name", "A b"], "--name"),
    ] {
        let ran = counts(file, more);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{wanted}: {}", ran.err);
        assert!(ran.err.contains(wanted), "{wanted}: {}", ran.err);
    }
    let ran =
        placet(&["report", "counts", "x", "--artifact", "sha512:ab", "--dataset", DATASET, "--tool", "t@1"]);
    assert_eq!(ran.code, 2);
}

#[test]
fn the_published_compas_counts_become_a_report() {
    let more = ["--tool", "compas/count.py@1", "--ran-at", "2026-11-22", "--positive-means", "Unfavourable"];
    let ran = counts("../../../../e2e/samples/compas/counts.csv", &more);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let found: Value = serde_saphyr::from_str(&ran.out).unwrap();
    assert_eq!(found["spec"]["positiveMeans"], "Unfavourable");
    assert_eq!(found["spec"]["groups"][0]["attributes"]["race"], "African-American");
}

#[test]
fn digests_are_those_that_the_approvals_name() {
    let ran = placet(&["digest", "high/release.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let text = common::tests().join("fixtures/high/approvals.yaml");
    #[expect(clippy::disallowed_methods, reason = "a test reads a fixture")]
    let approvals = std::fs::read_to_string(text).unwrap();
    assert!(approvals.contains(ran.out.trim()), "{}", ran.out);
    let class = placet(&["digest", "high/system.yaml", "--covers", "Classification"]);
    assert_eq!(class.code, 0, "{}", class.err);
    assert!(class.out.starts_with("sha256:") && class.out != placet(&["digest", "high/system.yaml"]).out);
    assert_eq!(placet(&["digest", "high"]).out.lines().count(), 14);
    let wrong = placet(&["digest", "high/release.yaml", "--covers", "Classification"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("is for an AISystem"), "{}", wrong.err);
    let none = placet(&["digest", "no-such-file.yaml"]);
    assert_eq!(none.code, 2);
}

#[test]
fn without_a_cluster_it_is_said_what_was_wanted() {
    for args in [
        &["why", "mr/scoring-2"][..],
        &["approve", "mr/scoring-2", "--role", "risk-officer", "--yes"],
        &["reject", "ais/scoring", "--role", "risk-officer", "--yes"],
        &[
            "accept-risk",
            "ia/impact",
            "R1",
            "--role",
            "executive",
            "--until",
            "2999-01-01",
            "--rationale",
            "x",
        ],
        &["approve", "mr/scoring-2", "--role", "risk-officer", "--answers", "no-1", "-o", "json"],
        &["pending", "-A"],
        &["withdraw", "mr/scoring-2", "--because", "x"],
        &["access", "--role", "risk-officer", "-o", "json"],
        &["evidence", "show", "mr/scoring-2"],
        &["evidence", "key"],
    ] {
        let ran = placet(args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}");
        assert!(
            ran.err.starts_with("error: no way to reach a cluster: wanted --kubeconfig"),
            "{args:?}: {}",
            ran.err
        );
    }
}

#[test]
fn every_command_of_people_takes_and_explains_json() {
    for command in ["why", "pending", "approve", "reject", "accept-risk", "withdraw", "access"] {
        let ran = placet(&[command, "--help"]);
        assert_eq!(ran.code, 0, "{command}");
        let output = ran.out.split("--output").nth(1).unwrap_or_default();
        assert!(output.contains("json"), "{command}: {}", ran.out);
        // A usage error is the question that could not be asked.
        assert_eq!(placet(&[command, "--no-such-option"]).code, 2, "{command}");
    }
    assert_eq!(placet(&["reject", "mr/m", "--role", "r", "--answers", "x"]).code, 2);
    assert!(placet(&["pending", "--help"]).out.contains("whether something waits or not"));
}

#[test]
fn an_error_is_said_once() {
    for args in [&["why", "mr/m", "--kubeconfig", "no-such-kubeconfig"][..], &["why", "mr/m"]] {
        let ran = placet(args);
        assert_eq!(ran.code, 2);
        assert_eq!(ran.err.matches("No such file or directory").count(), 1, "{}", ran.err);
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    #[expect(clippy::disallowed_methods, reason = "a test writes a file")]
    std::fs::write(&file, "apiVersion: [").unwrap();
    let ran = placet(&["why", "mr/m", "--kubeconfig", file.to_str().unwrap()]);
    assert_eq!(ran.code, 2);
    let said: Vec<&str> = ran.err.trim().split(": ").collect();
    let again = said.iter().filter(|s| s.len() > 12 && ran.err.matches(*s).count() > 1).collect::<Vec<_>>();
    assert!(again.is_empty(), "{again:?} in {}", ran.err);
}

#[test]
fn completions_for_every_shell_that_people_use() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = placet(&["completions", shell]);
        assert_eq!(ran.code, 0);
        for command in ["accept-risk", "pending", "withdraw", "access", "--answers", "--because"] {
            // fish writes long options without their dashes.
            assert!(ran.out.contains(command.trim_start_matches('-')), "{shell} {command}");
        }
    }
}

#[test]
fn as_a_kubectl_plugin_it_calls_itself_so() {
    let dir = tempfile::tempdir().unwrap();
    let plugin = dir.path().join("kubectl-placet");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_placet"), &plugin).unwrap();
    let ran = run(&plugin, &["--help"]);
    assert_eq!(ran.code, 0);
    assert!(ran.out.contains("Usage: kubectl placet"), "{}", ran.out);
    assert!(placet(&["--help"]).out.contains("Usage: placet"));
}

#[test]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    use std::process::{Command, Stdio};
    let high = ["check", "-f", "high", "-o", "json"];
    for args in [&["completions", "bash"][..], &["completions", "zsh"], &high, &["--help"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_placet"));
        command.args(args).current_dir(common::tests().join("fixtures")).stderr(Stdio::piped());
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = command.stdout(writer).output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(!said.contains("panicked") && !said.contains("error"), "{args:?}: {said}");
        if args != ["--help"] {
            assert_eq!(ended.status.code(), Some(141), "{args:?}: {said}");
        }
    }
    let whole = placet(&["completions", "bash"]);
    assert_eq!(whole.code, 0);
    assert!(whole.out.contains("complete -F"), "{}", whole.out);
}
