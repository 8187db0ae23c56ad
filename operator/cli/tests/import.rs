//! `placet report import`: what files of each tool become (`fixtures/import/README.md` says how each was made).

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod common;
#[path = "common/import.rs"]
mod imports;

use std::path::Path;

use common::placet;
use imports::{ARTIFACT, DATASET, FILES, changed, fixture, import, metric, refused, report, written};
use serde_json::Value;

#[test]
fn files_of_each_tool_become_reports() {
    for (tool, file, more) in FILES {
        let ran = import(tool, file, &[&["--dataset", DATASET, "-n", "lending"], more].concat());
        assert_eq!(ran.code, 0, "{file}: {}", ran.err);
        let name = Path::new(file).file_stem().unwrap().to_str().unwrap().replace(".report", "");
        common::golden(&format!("import-{name}.yaml"), &ran.out);
        common::golden(&format!("import-{name}.notes"), &ran.err);
        let found: Value = serde_saphyr::from_str(&ran.out).unwrap();
        let typed: placet_api::testreport::TestReportSpec =
            serde_json::from_value(found["spec"].clone()).unwrap();
        assert_eq!(typed.artifact.as_str(), ARTIFACT);
        // No verdict of a tool is in it.
        for word in ["pass", "fail", "status", "success"] {
            let said = found["spec"].as_object().unwrap().keys().any(|k| k.to_lowercase().contains(word));
            assert!(!said, "{file}: {word}");
        }
    }
}

#[test]
fn a_share_has_wilsons_interval_and_a_mean_that_of_its_standard_error() {
    let (found, _) = report("lm-eval", "lm-eval.json", &[]);
    let acc = metric(&found, "parity.acc");
    // 21 of 40: statsmodels' proportion_confint(21, 40, method="wilson").
    assert_eq!((&acc["value"], &acc["rows"]), (&"0.525".into(), &40.into()));
    assert_eq!((&acc["lower"], &acc["upper"]), (&"0.374973621".into(), &"0.670645299".into()));
    assert_eq!(found["spec"]["ranAt"], "2026-11-23T03:58:58Z");
    // Of a group of tasks, whose standard error is pooled: 0.446153846 and 1.959964 times 0.062037052 on both sides.
    let (group, notes) = report("lm-eval", "lm-eval-group.json", &[]);
    let acc = metric(&group, "numbers.acc");
    assert_eq!((&acc["value"], &acc["rows"]), (&"0.446153846".into(), &65.into()));
    assert_eq!((&acc["lower"], &acc["upper"]), (&"0.324563458".into(), &"0.567744235".into()));
    assert!(group["spec"].get("rows").is_none() && notes.contains("different numbers of rows"), "{notes}");
    // More confidence, a wider interval, and the report says which.
    let (wide, _) =
        report("lm-eval", "lm-eval.json", &["--confidence", "0.99", "--metric", "Accuracy=parity.acc"]);
    let acc = metric(&wide, "Accuracy");
    assert_eq!(acc["confidence"], "0.99");
    assert!(acc["lower"].as_str().unwrap() < "0.374", "{acc}");
    assert_eq!(wide["spec"]["rows"], 40);
}

#[test]
fn a_matrix_of_mlflow_is_kept_as_counts_and_its_shares_have_intervals() {
    let (found, notes) = report("mlflow", "mlflow-classifier.json", FILES[5].2);
    assert_eq!(found["spec"]["groups"][0]["attributes"], serde_json::json!({"all": "all"}));
    assert_eq!(found["spec"]["groups"][0]["tp"], 141);
    assert_eq!(found["spec"]["rows"], 228);
    assert!(metric(&found, "recall_score").get("lower").is_some());
    assert!(metric(&found, "f1_score").get("lower").is_none());
    assert!(notes.contains("f1_score") && notes.contains("stays Indeterminate"), "{notes}");
    let e = refused("mlflow", "mlflow-classifier.json", &[]);
    assert!(e.contains("wanted the version of the tool") && e.contains("--tool mlflow@VERSION"), "{e}");
    let e = refused("mlflow", "mlflow-classifier.json", &["--tool", "mlflow@3.17.2"]);
    assert!(e.contains("wanted when the test ran") && e.contains("--ran-at"), "{e}");
    let e = refused("mlflow", "mlflow-classifier.json", &["--tool", "weka@3", "--ran-at", "2026-11-22"]);
    assert!(e.contains("--tool: wanted mlflow@VERSION"), "{e}");
}

#[test]
fn outputs_that_garak_could_not_have_are_not_harmless() {
    // The generator gave nothing 24 times, and the detector called that harmless 24 times.
    assert!(fixture("garak-nones.report.jsonl").contains("\"passed\": 24, \"fails\": 0, \"nones\": 0"));
    let (found, notes) = report("garak", "garak-nones.report.jsonl", &[]);
    let share = metric(&found, "test.Test-always.Pass");
    assert_eq!((&share["value"], &share["rows"], &share["lower"]), (&"0".into(), &24.into(), &"0".into()));
    assert!(notes.contains("24 of 24 outputs could not be had"), "{notes}");
    // 15 of 24 outputs of 8 prompts: as certain as 5 of 8.
    let (found, _) = report("garak", "garak-mixed.report.jsonl", &[]);
    let share = metric(&found, "test.Test-always.Random");
    assert_eq!((&share["value"], &share["rows"]), (&"0.625".into(), &24.into()));
    assert_eq!((&share["lower"], &share["upper"]), (&"0.305742395".into(), &"0.863155714".into()));
    assert_eq!(found["spec"]["type"], "Security");
}

#[test]
fn evidently_says_of_each_value_which_way_drift_lies() {
    let (found, notes) = report("evidently", "evidently.json", FILES[7].2);
    let names: Vec<&str> =
        found["spec"]["metrics"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    let wanted = [
        "ValueDrift.age.ks.p_value",
        "ValueDrift.income.psi.distance",
        "ValueDrift.sector.chisquare.p_value",
        "ValueDrift.age.wasserstein.distance",
    ];
    assert_eq!(names, wanted);
    assert!(
        notes.contains("ks.p_value: data drifted where it is small; a policy limits it with atLeast"),
        "{notes}"
    );
    assert!(
        notes.contains("psi.distance: data drifted where it is large; a policy limits it with atMost"),
        "{notes}"
    );
    assert!(notes.contains("its 6 tests are verdicts of the tool and are not read"), "{notes}");
    assert_eq!((&found["spec"]["rows"], &found["spec"]["type"]), (&400.into(), &"Drift".into()));
    let method = r#""method": "ks""#;
    let text = fixture("evidently.json").replace(method, r#""method": "mine""#);
    let (_dir, file) = written(text);
    let (other, notes) = report("evidently", &file, FILES[7].2);
    assert_eq!(other["spec"]["metrics"].as_array().unwrap().len(), 3);
    assert!(notes.contains("of the method \"mine\" it is not known"), "{notes}");
    let old = r#"{"version": "0.4.0", "metrics": [{"metric": "DatasetDriftMetric", "result": {"drift_share": 0.5}}]}"#;
    let (_dir, file) = written(old);
    assert!(refused("evidently", &file, &[]).contains("wanted a metric of Evidently 0.7 or later"));
}

#[test]
fn counts_say_what_positive_means_and_are_those_of_the_table() {
    let table = common::tests().join("../../../e2e/samples/adult/counts-v1.csv");
    let table = table.to_str().unwrap();
    let said = ["--tool", "adult/evaluate.py@1", "--ran-at", "2026-11-22T06:55:00Z"];
    let e = refused("counts", table, &said);
    assert!(e.contains("wanted what a positive prediction means"), "{e}");
    let (found, _) = report("counts", table, &[&said[..], &["--positive-means", "Favourable"]].concat());
    let base = ["report", "counts", table, "--artifact", ARTIFACT, "--dataset", DATASET];
    let unsaid = placet(&[&base[..], &said].concat());
    assert!(unsaid.code == 2 && unsaid.err.contains("--positive-means"), "{unsaid:?}");
    let by_hand = placet(&[&base[..], &said, &["--positive-means", "Favourable"]].concat());
    let by_hand: Value = serde_saphyr::from_str(&by_hand.out).unwrap();
    assert_eq!(found["spec"], by_hand["spec"]);
    // What Fairlearn counted.
    let (found, _) = report("counts", "counts.json", FILES[9].2);
    assert_eq!((&found["spec"]["rows"], &found["spec"]["tool"]["name"]), (&400.into(), &"fairlearn".into()));
    assert_eq!(found["spec"]["groups"][0]["attributes"]["sex"], "(missing)");
    let e = refused("counts", "counts.json", &["--ran-at", "2026-11-22", "--positive-means", "Unfavourable"]);
    assert!(e.contains("--positive-means: wanted Favourable"), "{e}");
    let e = refused("counts", "counts.json", &["--ran-at", "2026-11-22", "--rows", "399"]);
    assert!(e.contains("--rows: wanted 400"), "{e}");
    // What a file says that it is about, and what is given, are the same, or one of them is wrong.
    let about = |field: &str, digest: &str| {
        let text = fixture("counts.json").replacen('{', &format!("{{\"{field}\": \"{digest}\","), 1);
        written(text)
    };
    let other = format!("sha256:{}", "0".repeat(64));
    let (_dir, file) = about("artifact", &other);
    let e = refused("counts", &file, FILES[9].2);
    assert!(e.contains("wanted results on the artefact sha256:3ecc") && e.contains(&other), "{e}");
    let (_dir, file) = about("dataset", &other);
    let e = refused("counts", &file, FILES[9].2);
    assert!(e.contains("wanted results on the dataset sha256:a2a9") && e.contains(&other), "{e}");
    let ran = import("counts", &file, FILES[9].2);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains(&format!("dataset: {other}")), "{}", ran.out);
    let wide: Vec<u8> = fixture_table().encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (_dir, file) = written(wide);
    assert!(refused("counts", &file, &said).contains("found UTF-16"));
    let groups: Vec<String> = (0..201)
        .map(|i| format!(r#"{{"attributes": {{"a": "v{i}"}}, "n": 1, "tp": 1, "fp": 0, "fn": 0, "tn": 0}}"#))
        .collect();
    let (_dir, file) =
        written(format!(r#"{{"schema": "placet.dev/counts/v1", "groups": [{}]}}"#, groups.join(",")));
    let e = refused("counts", &file, &[&said[..], &["--positive-means", "Favourable"]].concat());
    assert!(e.contains("wanted at most 200 groups, found 201"), "{e}");
}

fn fixture_table() -> String {
    "sex,n,tp,fp,fn,tn\nfemale,3,1,1,0,1\nmale,3,1,1,0,1\n".to_owned()
}

#[test]
fn a_mean_of_nothing_is_left_out_and_what_is_inside_is_read() {
    let (found, notes) = report("evidently", "evidently-nan.json", FILES[7].2);
    let names: Vec<&str> =
        found["spec"]["metrics"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    let unique = "UniqueValueCount_column_sector";
    let shares = [format!("{unique}_.shares.a"), format!("{unique}_.shares.b")];
    assert!(names.contains(&"MeanValue_column_age"), "{names:?}");
    assert!(shares.iter().all(|s| names.contains(&s.as_str())), "{names:?}");
    assert!(!names.iter().any(|n| n.contains("gone")), "{names:?}");
    assert!(notes.contains("MeanValue(column=gone) is NaN"), "{notes}");
}

#[test]
fn whether_a_run_of_lm_eval_was_limited_is_said_where_nothing_tells() {
    let silent = |text: String| text.replace(r#""limit""#, r#""unlimited""#);
    let warned = |text: String| {
        let rows: &[&str] = if text.contains(r#""n-samples""#) { &[] } else { &["--rows", "40"] };
        let (_dir, file) = written(text);
        let ran = import("lm-eval", &file, &[&["--dataset", DATASET, "-n", "lending"], rows].concat());
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.err.contains("nor whether the run was limited (config.limit)")
    };
    let file = fixture("lm-eval.json");
    let counted = r#""n-samples""#;
    assert!(!warned(file.clone()) && !warned(silent(file.clone())));
    assert!(!warned(file.replace(counted, r#""n""#)), "config.limit is null: a whole run");
    assert!(warned(silent(file.replace(counted, r#""n""#))));
}

#[test]
fn scores_of_several_epochs_are_told_apart() {
    let (found, _) = report("inspect", "inspect-epochs.json", &[]);
    for name in ["sums.match.accuracy", "sums.match.pass_at_1.accuracy", "sums.match.at_least_2.accuracy"] {
        let score = metric(&found, name);
        // Samples, not answers: those to one question are alike.
        assert_eq!((&score["rows"], &score["lower"]), (&20.into(), &"0.583982568".into()), "{name}");
    }
}

#[test]
fn cards_say_less_than_a_result_and_bind_what_they_name() {
    let more = FILES[11].2;
    let (found, notes) = report("cyclonedx", "cyclonedx.json", more);
    let metrics = found["spec"]["metrics"].as_array().unwrap();
    assert_eq!(
        (metrics.len(), &metrics[0]["name"], &metrics[0]["value"]),
        (1, &"accuracy.all".into(), &"0.91".into())
    );
    assert!(metrics[0].get("lower").is_none());
    assert!(!notes.contains("nobody but you says"), "the file names the artefact: {notes}");
    for said in
        ["its intervals say neither", "what --rows says is your word", "accuracy.even primes above 2 is NaN"]
    {
        assert!(notes.contains(said), "{said}: {notes}");
    }
    let other = format!("\"content\": \"{}\"", "0".repeat(64));
    let own = format!("\"content\": \"{}\"", &ARTIFACT["sha256:".len()..]);
    let e = changed("cyclonedx", "cyclonedx.json", &own, &other, more);
    assert!(e.contains("wanted results on the artefact sha256:3ecc"), "{e}");
    let e = changed("cyclonedx", "cyclonedx.json", "performanceMetrics", "graphics", more);
    assert!(
        e.contains("wanted one component of type machine-learning-model") && e.contains("found 0"),
        "{e}"
    );
    let e = refused("cyclonedx", "cyclonedx.json", &more[..4]);
    assert!(e.contains("wanted the number of rows") && e.contains("--rows N"), "{e}");
    let (found, notes) = report("hf", "hf.md", more);
    assert_eq!(metric(&found, "parity.test.accuracy")["value"], "0.91");
    assert!(notes.contains("parity.test.f1 is NaN"), "{notes}");
    let e = changed(
        "hf",
        "hf.md",
        "value: 0.91",
        "value: 91 %",
        &[more, &["--metric", "parity.test.accuracy"]].concat(),
    );
    assert!(e.contains("found parity.test.accuracy = no number"), "{e}");
}

#[test]
fn a_verdict_of_in_toto_is_not_read() {
    let more = FILES[13].2;
    let (found, notes) = report("in-toto", "in-toto.json", more);
    let share = metric(&found, "tests-passed");
    assert_eq!((&share["value"], &share["rows"], share.get("lower")), (&"0.6".into(), &5.into(), None));
    assert!(notes.contains("its result is a verdict of the tool and is not read"), "{notes}");
    // Another verdict changes nothing.
    let text = fixture("in-toto.json").replace("FAILED", "PASSED");
    let (_dir, file) = written(text);
    assert_eq!(report("in-toto", &file, more).0, found);
    let (sealed, notes) = report("in-toto", "in-toto.dsse.json", more);
    assert_eq!(sealed["spec"], found["spec"]);
    assert!(notes.contains("signatures are not checked here"), "{notes}");
    let alone = r#"{"_type": "https://in-toto.io/Statement/v1", "subject": [{"digest": {"sha256": "SUBJECT"}}],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1", "predicate": {"result": "PASSED"}}"#;
    let (_dir, file) = written(alone.replace("SUBJECT", &ARTIFACT["sha256:".len()..]));
    let e = refused("in-toto", &file, more);
    assert!(e.contains("found the verdict \"PASSED\" alone: a verdict is no result"), "{e}");
    let (_dir, file) = written(
        alone
            .replace("SUBJECT", &"0".repeat(64))
            .replace("{\"result\"", "{\"passedTests\": [\"a\"], \"result\""),
    );
    assert!(refused("in-toto", &file, more).contains("wanted results on the artefact sha256:3ecc"));
    let e = changed("in-toto", "in-toto.json", "test-result/v0.1", "vsa/v1", more);
    assert!(e.contains("predicateType: wanted https://in-toto.io/attestation/test-result/v0.1"), "{e}");
    let e = changed("in-toto", "in-toto.dsse.json", "\"payload\": \"", "\"payload\": \"*", more);
    assert!(e.contains("payload: wanted base64"), "{e}");
}

#[test]
fn helm_counts_trials_and_not_rows() {
    let more = FILES[10].2;
    let (found, notes) = report("helm", "helm.json", more);
    let original = metric(&found, "exact_match.test");
    assert_eq!(
        (&original["value"], &original["rows"], original.get("lower")),
        (&"0.61".into(), &200.into(), None)
    );
    assert_eq!(metric(&found, "exact_match.test.typos.perturbed")["rows"], 150);
    for said in ["bbq_metric_overall_acc.test is 0/0", "ece_10_bin.test is NaN", "max_eval_instances"] {
        assert!(notes.contains(said), "{said}: {notes}");
    }
}

#[test]
fn the_gate_judges_what_was_imported_and_not_what_the_tool_thought() {
    let (artifact, dataset) = (format!("sha256:{}", "3".repeat(64)), format!("sha256:{}", "2".repeat(64)));
    let reports = common::tests().join("fixtures/high/reports.yaml");
    #[expect(clippy::disallowed_methods, reason = "a test reads a fixture")]
    let bias = std::fs::read_to_string(reports).unwrap().split("---").next().unwrap().to_owned();
    let judged = |tool: &str, file: &str, more: &[&str]| {
        let base = ["report", "import", "--from", tool, file, "--artifact", &artifact, "--dataset", &dataset];
        let made = placet(&[&base[..], &["-n", "lending", "--type", "Performance"], more].concat());
        assert_eq!(made.code, 0, "{}", made.err);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reports.yaml");
        #[expect(clippy::disallowed_methods, reason = "a test writes a file")]
        std::fs::write(&path, format!("{bias}---\n{}", made.out)).unwrap();
        let mut args =
            vec!["check", "--now", "2026-11-20T12:00:00Z", "--roles", "holders.yaml", "--as", "tess"];
        for author in
            ["AISystem/scoring=olga", "apv/evaluation-erin=erin", "apv/owner-bob=bob", "apv/risk-erin=erin"]
        {
            args.extend(["--as", author]);
        }
        args.extend([
            "--as",
            "mr/scoring-2=dana",
            "--as",
            "apv/executive-frank=frank",
            "--as",
            "ra/r1-frank=frank",
            "-f",
        ]);
        let others = ["policy", "roles", "system", "release", "assessment", "approvals"];
        let others: Vec<String> = others.iter().map(|name| format!("high/{name}.yaml")).collect();
        args.extend(others.iter().map(String::as_str));
        args.push(path.to_str().unwrap());
        placet(&args)
    };
    let mlflow = ["--tool", "mlflow@3.17.2", "--ran-at", "2026-11-19"];
    // The policy wants BalancedAccuracy of at least 0.70: computed from the matrix, it is 0.873.
    let passes = judged("mlflow", "import/mlflow-classifier.json", &mlflow);
    assert_eq!(passes.code, 0, "{}{}", passes.out, passes.err);
    // 21 of 40, at most 0.67 with 95 %.
    let fails = judged("lm-eval", "import/lm-eval.json", &["--metric", "BalancedAccuracy=parity.acc"]);
    assert_eq!(fails.code, 1, "{}", fails.err);
    assert!(fails.out.contains("BalancedAccuracy 0.525 (95 %: 0.375 to 0.67)"), "{}", fails.out);
    // 0.944 of three rows, of which nobody says how certain it is.
    let r2 = [&mlflow[..], &["--metric", "BalancedAccuracy=r2_score"]].concat();
    let undecided = judged("mlflow", "import/mlflow-regressor.json", &r2);
    assert_eq!(undecided.code, 1, "{}", undecided.err);
    assert!(
        undecided.out.contains("BalancedAccuracy 0.944 (without successes, a standard error"),
        "{}",
        undecided.out
    );
}

#[test]
fn standard_input_is_read_as_a_file_is() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_placet"))
        .args(["report", "import", "--from", "inspect", "-", "--artifact", ARTIFACT, "--dataset", DATASET])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(fixture("inspect.json").as_bytes()).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8(ended.stdout).unwrap(),
        import("inspect", "inspect.json", &["--dataset", DATASET]).out
    );
}
