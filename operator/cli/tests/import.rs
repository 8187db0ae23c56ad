//! `placet report import`: files of real tools (`fixtures/import/README.md` says how each was made), and files that are
//! broken, of another tool, or of a run that is no result.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod common;

use std::path::Path;

use common::{Ran, placet};
use serde_json::Value;

const ARTIFACT: &str = "sha256:3ecc933942d7d90aa05aaf3da6798f19d4af1815b0890de094d100d7feae14d7";
const DATASET: &str = "sha256:a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05";

/// Files of the tools, and the options that each needs.
const FILES: [(&str, &str, &[&str]); 15] = [
    ("lm-eval", "lm-eval.json", &[]),
    ("lm-eval", "lm-eval-group.json", &[]),
    ("inspect", "inspect.json", &[]),
    ("garak", "garak-mixed.report.jsonl", &[]),
    ("garak", "garak-nones.report.jsonl", &[]),
    ("mlflow", "mlflow-classifier.json", &["--tool", "mlflow@3.17.2", "--ran-at", "2026-11-22"]),
    ("mlflow", "mlflow-regressor.json", &["--tool", "mlflow@3.17.2", "--ran-at", "2026-11-22"]),
    ("evidently", "evidently.json", &["--tool", "evidently@0.7.23", "--ran-at", "2026-11-22"]),
    ("promptfoo", "promptfoo.json", &[]),
    ("counts", "counts.json", &["--ran-at", "2026-11-22"]),
    ("helm", "helm.json", &["--tool", "helm@0.5.16", "--ran-at", "2026-11-22"]),
    ("cyclonedx", "cyclonedx.json", &["--tool", "evaluate.py@1", "--ran-at", "2026-11-22", "--rows", "500"]),
    ("hf", "hf.md", &["--tool", "evaluate.py@1", "--ran-at", "2026-11-22", "--rows", "500"]),
    ("in-toto", "in-toto.json", &["--tool", "suite@1", "--ran-at", "2026-11-22"]),
    ("in-toto", "in-toto.dsse.json", &["--tool", "suite@1", "--ran-at", "2026-11-22"]),
];

fn import(tool: &str, file: &str, more: &[&str]) -> Ran {
    let file = if file.starts_with('/') { file.to_owned() } else { format!("import/{file}") };
    let base = ["report", "import", "--from", tool, &file, "--artifact", ARTIFACT];
    placet(&[&base[..], more].concat())
}

/// The report of a file of a tool, and the notes.
fn report(tool: &str, file: &str, more: &[&str]) -> (Value, String) {
    let ran = import(tool, file, &[&["--dataset", DATASET], more].concat());
    assert_eq!(ran.code, 0, "{tool} {file}: {}", ran.err);
    (serde_saphyr::from_str(&ran.out).unwrap(), ran.err)
}

/// What is said of a file that is refused.
fn refused(tool: &str, file: &str, more: &[&str]) -> String {
    let ran = import(tool, file, &[&["--dataset", DATASET], more].concat());
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{tool} {file}: {}", ran.err);
    assert!(ran.err.starts_with("error: "), "{tool} {file}: {}", ran.err);
    ran.err
}

#[expect(clippy::disallowed_methods, reason = "a test reads a fixture")]
fn fixture(name: &str) -> String {
    std::fs::read_to_string(common::tests().join("fixtures/import").join(name)).unwrap()
}

/// A file with this content, gone at the end of the test.
#[expect(clippy::disallowed_methods, reason = "a test writes a file")]
fn written(content: impl AsRef<[u8]>) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("results");
    std::fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

/// What is said of a file of a tool in which a text stands in the place of another.
fn changed(tool: &str, name: &str, from: &str, to: &str, more: &[&str]) -> String {
    let text = fixture(name);
    assert!(text.contains(from), "{name} has no {from}");
    let (_dir, file) = written(text.replacen(from, to, 1));
    refused(tool, &file, more)
}

fn metric<'a>(report: &'a Value, name: &str) -> &'a Value {
    let all = report["spec"]["metrics"].as_array().unwrap();
    all.iter().find(|m| m["name"] == name).unwrap_or_else(|| panic!("no {name} in {all:?}"))
}

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
fn a_run_of_a_part_or_one_that_failed_is_refused_with_what_to_do() {
    for (tool, file, found, mend) in [
        ("lm-eval", "lm-eval-limit.json", "found --limit 10", "without --limit"),
        (
            "lm-eval",
            "lm-eval-samples.json",
            "wanted all 40 rows of the task, found 3",
            "without --limit and --samples",
        ),
        ("inspect", "inspect-limit.json", "found limit 5", "without --limit"),
        (
            "inspect",
            "inspect-error.json",
            "found error (RuntimeError('the model went away'))",
            "run the task again",
        ),
        ("promptfoo", "promptfoo-first2.json", "wanted at least 6 results, 3 test cases", "without --filter"),
    ] {
        let e = refused(tool, file, &[]);
        assert!(e.contains(found) && e.contains(mend), "{file}: {e}");
    }
    let inspect = |from: &str, to: &str| changed("inspect", "inspect.json", from, to, &[]);
    for (from, to, wanted) in [
        (r#""invalidated": false"#, r#""invalidated": true"#, "found that somebody invalidated some"),
        (r#""completed_samples": 20"#, r#""completed_samples": 19"#, "wanted all 20 samples, found 19"),
        (r#""unscored_samples": 0"#, r#""unscored_samples": 2"#, "wanted a score of every sample, found 2"),
        (
            r#""status": "success""#,
            r#""status": "started""#,
            "wanted a run that ended with success, found started",
        ),
        (
            r#""total_samples": 20"#,
            r#""logged_samples": 7, "total_samples": 20"#,
            "wanted all 20 samples, found 7",
        ),
        (
            r#""total_samples": 20"#,
            r#""early_stopping": {}, "total_samples": 20"#,
            "found one that stopped early",
        ),
        (r#""samples": 20"#, r#""samples": 200"#, "wanted 200 samples"),
        (r#""epochs": 1"#, r#""epochs": 3"#, "wanted 60 samples"),
        (r#""epochs": 1"#, r#""epochs": 1, "sample_id": ["2-1"]"#, "found sample_id a list of 1"),
        (
            r#""model": "mockllm/model""#,
            r#""revision": {"type": "git", "origin": "o", "commit": "c", "dirty": true}, "model": "m""#,
            "found a work tree with changes",
        ),
    ] {
        let e = inspect(from, to);
        assert!(e.contains(wanted), "{to}: {e}");
    }
    let garak = fixture("garak-mixed.report.jsonl");
    let kept = |word: &str| garak.lines().filter(|l| !l.contains(word)).collect::<Vec<_>>().join("\n");
    for (text, wanted) in [
        (kept(r#""entry_type": "completion""#), "wanted a run that ended"),
        (kept(r#""entry_type": "init""#), "wanted the beginning of a run"),
        (kept(r#""entry_type": "eval""#), "wanted at least one line with entry_type eval"),
        (format!("{garak}{garak}"), "found the beginning of another"),
        (garak.replacen(r#""passed": 11"#, r#""passed": 18"#, 1), "wanted passed + fails = total_evaluated"),
    ] {
        let (_dir, file) = written(text);
        let e = refused("garak", &file, &[]);
        assert!(e.contains(wanted), "{wanted}: {e}");
    }
    let e = changed("promptfoo", "promptfoo.json", r#""testErrorCount": 0"#, r#""testErrorCount": 1"#, &[]);
    assert!(e.contains("found 1 that ended with an error"), "{e}");
    let e = changed("promptfoo", "promptfoo.json", r#""provider": "echo""#, r#""provider": "other""#, &[]);
    assert!(e.contains("wanted results of one provider"), "{e}");
}

#[test]
fn what_is_not_finite_never_becomes_a_number() {
    let more = FILES[5].2;
    for word in ["NaN", "Infinity", "-Infinity", "null", "\"nan\""] {
        let (_dir, file) =
            written(format!(r#"{{"accuracy_score": 0.5, "roc_auc": {word}, "example_count": 10}}"#));
        let (found, notes) = report("mlflow", &file, more);
        assert_eq!(found["spec"]["metrics"].as_array().unwrap().len(), 1, "{word}");
        assert!(notes.contains("roc_auc is ") && notes.contains("it is left out"), "{word}: {notes}");
        let e = refused("mlflow", &file, &[more, &["--metric", "roc_auc"]].concat());
        assert!(e.contains("--metric: wanted a number, found roc_auc = "), "{word}: {e}");
        let (_dir, file) = written(format!(r#"{{"roc_auc": {word}, "example_count": 10}}"#));
        let e = refused("mlflow", &file, more);
        assert!(
            e.contains("wanted at least one value that is a number, found none: roc_auc = "),
            "{word}: {e}"
        );
    }
    // A standard error that is none is no interval of no width.
    for error in ["NaN", "\"N/A\"", "0.0", "Infinity"] {
        let text = fixture("lm-eval.json");
        let (_dir, file) = written(text.replacen("0.07996393417804533", error, 1));
        let (found, notes) = report("lm-eval", &file, &[]);
        assert!(metric(&found, "parity.acc").get("lower").is_none(), "{error}");
        assert!(notes.contains("stays Indeterminate"), "{error}: {notes}");
    }
    let score = r#""acc,none": 0.525,"#;
    let zero = r#""acc,none": 0.525, "disamb_bias_score,none": 0.0, "disamb_bias_score_stderr,none": "N/A","#;
    let (_dir, file) = written(fixture("lm-eval.json").replacen(score, zero, 1));
    let (found, notes) = report("lm-eval", &file, &[]);
    assert_eq!(found["spec"]["metrics"].as_array().unwrap().len(), 1);
    assert!(notes.contains("lm-eval writes also where no answer was biased"), "{notes}");
    for value in ["1e308", "-1e308", "1e12", "9223372036854775807"] {
        let (_dir, file) = written(format!(r#"{{"loss": {value}, "f1": 0.5, "example_count": 10}}"#));
        let e = refused("mlflow", &file, more);
        assert!(e.contains("loss: wanted a value below 10^12") && e.contains("--metric"), "{value}: {e}");
        let (found, _) = report("mlflow", &file, &[more, &["--metric", "f1"]].concat());
        assert_eq!(metric(&found, "f1")["value"], "0.5");
    }
    for count in ["9223372036854775807", "-1", "0.5", "1e308", "NaN"] {
        let (_dir, file) = written(format!(r#"{{"f1": 0.5, "example_count": {count}}}"#));
        let e = refused("mlflow", &file, more);
        assert!(
            e.contains("example_count: wanted a whole number from 0 to 9007199254740991"),
            "{count}: {e}"
        );
    }
    let (_dir, file) = written(r#"{"f1": 0.5, "example_count": 0}"#);
    assert!(refused("mlflow", &file, more).contains("f1: wanted at least one row, found 0"));
    let (_dir, file) = written(r#"{"f1": 1e999}"#);
    assert!(refused("mlflow", &file, more).contains("line 1"));
}

#[test]
fn files_that_are_broken_are_refused_for_each_tool() {
    for (tool, name, more) in FILES {
        let text = fixture(name);
        if tool == "hf" {
            // YAML that ends early may be whole; what is then missing is said.
            let (_dir, file) = written(text.split("    metrics:").next().unwrap());
            let e = refused(tool, &file, more);
            assert!(e.contains("model-index.0.results.0: wanted the field metrics"), "{e}");
            let (_dir, file) =
                written(text.replacen("      type: parity", "      type: parity\n      type: other", 1));
            let e = refused(tool, &file, more);
            assert!(e.contains("wanted YAML") && e.contains("type"), "{e}");
            continue;
        }
        // Cut off in the middle of the last value.
        let mut cut = text.trim_end().len() - 2;
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        let (_dir, file) = written(&text[..cut]);
        let e = refused(tool, &file, more);
        assert!(e.contains("it ends early"), "{name}: {e}");
        let key = text.split('"').nth(1).unwrap();
        let twice = text.replacen('{', &format!("{{\"{key}\": null, "), 1);
        let (_dir, file) = written(&twice);
        let e = refused(tool, &file, more);
        assert!(e.contains("twice in one object"), "{name}: {e}");
        let wide: Vec<u8> =
            std::iter::once(0xfeff_u16).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        let (_dir, file) = written(wide);
        let e = refused(tool, &file, more);
        assert!(e.contains("found UTF-16") && e.contains("iconv"), "{name}: {e}");
        let (_dir, file) = written("");
        assert!(refused(tool, &file, more).contains("found an empty file"), "{name}");
        // With a mark at its beginning it is the same file.
        let (_dir, file) = written(format!("\u{feff}{text}"));
        assert_eq!(report(tool, &file, more).0, report(tool, name, more).0, "{name}");
    }
    let none = refused("inspect", "no-such-file.json", &[]);
    assert!(none.contains("import/no-such-file.json: wanted a readable file"), "{none}");
    let (_dir, file) = written("PK\u{3}\u{4}rest");
    assert!(refused("inspect", &file, &[]).contains("inspect log dump"));
}

#[test]
fn a_file_of_another_tool_is_called_by_its_name() {
    for (of, name, _) in FILES {
        for (tool, _, more) in FILES.iter().filter(|(tool, ..)| *tool != of) {
            let e = refused(tool, name, more);
            assert!(e.contains(&format!("give --from {of}\n")), "{tool} {name}: {e}");
        }
    }
    let ran = import("weka", "lm-eval.json", &[]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("lm-eval, inspect, garak, mlflow, evidently"), "{}", ran.err);
}

#[test]
fn what_a_file_says_and_what_is_given_fit() {
    let ran = import("lm-eval", "lm-eval.json", &[]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err.contains("wanted the digest of the dataset") && ran.err.contains("--dataset"),
        "{}",
        ran.err
    );
    for (more, wanted) in [
        (&["--tool", "lm-eval@0.4.2"][..], "--tool: wanted lm-eval@0.4.13"),
        (&["--ran-at", "2026-11-22"], "--ran-at: wanted 2026-11-23T03:58:58Z"),
        (&["--rows", "41"], "--rows: wanted 40"),
        (&["--rows", "0"], "0 is not in"),
        (&["--metric", "acc"], "(parity.acc), found acc"),
        (&["--metric", "a b=parity.acc"], "wanted an identifier"),
        (&["--metric", "parity.acc", "--metric", "parity.acc"], "wanted one metric of each name"),
        (&["--confidence", "1"], "--confidence: wanted at least 0.5 and less than 1"),
        (&["--confidence", "NaN"], "--confidence: wanted a decimal number"),
        (&["--type", "Bias"], "--from counts"),
        (&["--positive-means", "Favourable"], "--positive-means: wanted with --from counts only"),
        (&["--name", "A b"], "--name"),
    ] {
        let e = refused("lm-eval", "lm-eval.json", more);
        assert!(e.contains(wanted), "{more:?}: {e}");
    }
    // The same file makes the same object; another makes one of another name.
    let (one, _) = report("lm-eval", "lm-eval.json", &[]);
    let (other, _) = report("lm-eval", "lm-eval-group.json", &[]);
    assert_eq!(one, report("lm-eval", "lm-eval.json", &[]).0);
    assert_ne!(one["metadata"]["name"], other["metadata"]["name"]);
    // Older files: no number of rows, and the model as one text.
    let old = r#"{"results": {"t": {"alias": "t", "acc,none": 0.5, "acc_stderr,none": 0.05}}, "configs": {}, "versions": {"t": 1},
        "config": {"model": "hf", "model_args": "pretrained=m,dtype=float16", "limit": null}, "git_hash": "x", "date": 1700000000.5}"#;
    let (_dir, file) = written(old);
    let e = refused("lm-eval", &file, &["--tool", "lm-eval@0.4.0"]);
    assert!(e.contains("t.acc: wanted the number of rows") && e.contains("--rows N"), "{e}");
    let (found, notes) = report("lm-eval", &file, &["--tool", "lm-eval@0.4.0", "--rows", "100"]);
    assert_eq!(metric(&found, "t.acc")["rows"], 100);
    assert!(notes.contains("hf pretrained=m,dtype=float16"), "{notes}");
    let newer = old.replace(r#""pretrained=m,dtype=float16""#, r#"{"pretrained": "m", "dtype": "float16"}"#);
    let (_dir, file) = written(newer);
    let (_, notes) = report("lm-eval", &file, &["--tool", "lm-eval@0.4.9", "--rows", "100"]);
    assert!(notes.contains("hf pretrained=m,dtype=float16"), "{notes}");
}

#[test]
fn too_many_metrics_and_names_that_fall_together() {
    let many: Vec<String> = (0..65).map(|i| format!("\"m{i}\": 0.5")).collect();
    let (_dir, file) = written(format!("{{{}, \"example_count\": 9}}", many.join(", ")));
    let e = refused("mlflow", &file, FILES[6].2);
    assert!(e.contains("wanted at most 64 metrics in a report, found 65") && e.contains("--metric"), "{e}");
    let (_dir, file) = written(r#"{"a b": 0.5, "a/b": 0.4, "example_count": 9}"#);
    let e = refused("mlflow", &file, FILES[6].2);
    assert!(e.contains("found a b and a/b, both a_b"), "{e}");
    let more = [FILES[6].2, &["--metric", "a b", "--metric", "other=a/b"]].concat();
    let (found, _) = report("mlflow", &file, &more);
    assert_eq!(metric(&found, "other")["value"], "0.4");
    let (_dir, file) = written(format!("{{\"{}\": 0.5, \"example_count\": 9}}", "x".repeat(64)));
    let e = refused("mlflow", &file, FILES[6].2);
    assert!(e.contains("give it a shorter name"), "{e}");
}

#[test]
fn counts_say_what_positive_means_and_are_those_of_the_table() {
    let table = common::tests().join("../../../e2e/samples/adult/counts-v1.csv");
    let table = table.to_str().unwrap();
    let said = ["--tool", "adult/evaluate.py@1", "--ran-at", "2026-11-22T06:55:00Z"];
    let e = refused("counts", table, &said);
    assert!(e.contains("wanted what a positive prediction means"), "{e}");
    let (found, _) = report("counts", table, &[&said[..], &["--positive-means", "Favourable"]].concat());
    let by_hand = placet(
        &[&["report", "counts", table, "--artifact", ARTIFACT, "--dataset", DATASET], &said[..]].concat(),
    );
    let by_hand: Value = serde_saphyr::from_str(&by_hand.out).unwrap();
    assert_eq!(found["spec"], by_hand["spec"]);
    // What Fairlearn counted.
    let (found, _) = report("counts", "counts.json", FILES[9].2);
    assert_eq!((&found["spec"]["rows"], &found["spec"]["tool"]["name"]), (&400.into(), &"fairlearn".into()));
    assert_eq!(found["spec"]["groups"][0]["attributes"]["sex"], "(missing)");
    let e = refused("counts", "counts.json", &["--ran-at", "2026-11-22", "--positive-means", "Unfavourable"]);
    assert!(e.contains("--positive-means: wanted Favourable"), "{e}");
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
    let groups: Vec<String> = (0..257)
        .map(|i| format!(r#"{{"attributes": {{"a": "v{i}"}}, "n": 1, "tp": 1, "fp": 0, "fn": 0, "tn": 0}}"#))
        .collect();
    let (_dir, file) =
        written(format!(r#"{{"schema": "placet.dev/counts/v1", "groups": [{}]}}"#, groups.join(",")));
    let e = refused("counts", &file, &[&said[..], &["--positive-means", "Favourable"]].concat());
    assert!(e.contains("wanted at most 256 groups, found 257"), "{e}");
}

fn fixture_table() -> String {
    "sex,n,tp,fp,fn,tn\nfemale,3,1,1,0,1\nmale,3,1,1,0,1\n".to_owned()
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
