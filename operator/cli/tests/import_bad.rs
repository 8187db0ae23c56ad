//! `placet report import`: files that are broken, of another tool, or of a run that is no result, and options that do not fit.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod common;
#[path = "common/import.rs"]
mod imports;

use base64::Engine as _;
use imports::{FILES, changed, fixture, import, metric, refused, report, written};

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
        (
            "promptfoo",
            "promptfoo-first2.json",
            "wanted at least 6 results of 3 test cases",
            "without --filter",
        ),
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
            r#""scored_samples": 20"#,
            r#""scored_samples": 19"#,
            "wanted a score of every sample, 20, found 19",
        ),
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
fn test_cases_of_promptfoo_that_were_left_out_are_found_where_they_can_be_counted() {
    // In the configuration, below the results.
    let (results, config) = {
        let text = fixture("promptfoo.json");
        let at = text.find("\"tests\": [").unwrap();
        (text[..at].to_owned(), text[at..].to_owned())
    };
    let with = |from: &str, to: &str| {
        assert!(config.contains(from), "{from}");
        written(format!("{results}{}", config.replacen(from, to, 1)))
    };
    // One test case of a list of values is one for each of them, and each is run as often as is said.
    let (_dir, file) = with("\"answer\": \"Paris\"", "\"answer\": [\"Paris\", \"Lyon\", \"Nice\"]");
    let e = refused("promptfoo", &file, &[]);
    assert!(e.contains("wanted at least 10 results of 3 test cases and 2 prompts, found 6"), "{e}");
    let two = "\"answer\": [\"Paris\", \"Lyon\"], \"other\": [1, 2, 3]";
    let (_dir, file) = with("\"answer\": \"Paris\"", two);
    assert!(refused("promptfoo", &file, &[]).contains("wanted at least 16 results"));
    let all = "\"defaultTest\": {\"vars\": {\"of\": [1, 2]}}, \"tests\": [";
    let (_dir, file) = with("\"tests\": [", all);
    assert!(refused("promptfoo", &file, &[]).contains("wanted at least 12 results"));
    let one = all.replace("\"vars\"", "\"options\": {\"disableVarExpansion\": true}, \"vars\"");
    let (_dir, file) = with("\"tests\": [", &one);
    report("promptfoo", &file, &[]);
    let (_dir, file) = with("\"repeat\": 1", "\"repeat\": 2");
    assert!(refused("promptfoo", &file, &[]).contains("wanted at least 12 results"));
    // Those of a file cannot be counted, which is said.
    let (_, notes) = report("promptfoo", "promptfoo.json", &[]);
    assert!(!notes.contains("is your word"), "{notes}");
    for named in ["\"tests\": \"cases.csv\", \"x\": [", "\"tests\": [\"file://cases.csv\", "] {
        let (_dir, file) = with("\"tests\": [", named);
        let (_, notes) = report("promptfoo", &file, &[]);
        assert!(notes.contains("whether --filter options left some out is your word"), "{notes}");
    }
}

#[test]
fn what_an_envelope_holds_is_a_statement() {
    let more = FILES[13].2;
    let kind = "https://in-toto.io/Statement/v1";
    let e = changed("in-toto", "in-toto.json", kind, "https://example.com/v1", more);
    assert!(e.contains("wanted https://in-toto.io/Statement/v1"), "{e}");
    for other in ["https://example.com/Link/v1", ""] {
        let payload = fixture("in-toto.json").replacen(kind, other, 1);
        let payload = base64::engine::general_purpose::STANDARD.encode(payload);
        let (_dir, file) = written(format!(
            r#"{{"payloadType": "application/vnd.in-toto+json", "payload": "{payload}", "signatures": []}}"#
        ));
        let e = refused("in-toto", &file, more);
        assert!(e.contains("payload._type: wanted https://in-toto.io/Statement/v1"), "{e}");
    }
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
    // Two scores of one name, of which a name could not choose.
    let text = fixture("evidently.json");
    let (_dir, file) = written(text.replace("\"method\": \"wasserstein\"", "\"method\": \"ks\""));
    let e = refused("evidently", &file, FILES[7].2);
    assert!(e.contains("found two called ValueDrift.age.ks.p_value"), "{e}");
}
