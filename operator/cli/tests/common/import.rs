//! What the tests of `placet report import` share.
#![allow(dead_code, reason = "each test binary uses some of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use serde_json::Value;

use crate::common::{self, Ran, placet};

/// What was tested.
pub const ARTIFACT: &str = "sha256:3ecc933942d7d90aa05aaf3da6798f19d4af1815b0890de094d100d7feae14d7";
/// On what.
pub const DATASET: &str = "sha256:a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05";

/// Files of the tools, and the options that each needs.
pub const FILES: [(&str, &str, &[&str]); 15] = [
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

/// Imports a file of the fixtures, or one with its whole path.
pub fn import(tool: &str, file: &str, more: &[&str]) -> Ran {
    let file = if file.starts_with('/') { file.to_owned() } else { format!("import/{file}") };
    let base = ["report", "import", "--from", tool, &file, "--artifact", ARTIFACT];
    placet(&[&base[..], more].concat())
}

/// The report of a file of a tool, and the notes.
pub fn report(tool: &str, file: &str, more: &[&str]) -> (Value, String) {
    let ran = import(tool, file, &[&["--dataset", DATASET], more].concat());
    assert_eq!(ran.code, 0, "{tool} {file}: {}", ran.err);
    (serde_saphyr::from_str(&ran.out).unwrap(), ran.err)
}

/// What is said of a file that is refused.
pub fn refused(tool: &str, file: &str, more: &[&str]) -> String {
    let ran = import(tool, file, &[&["--dataset", DATASET], more].concat());
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{tool} {file}: {}", ran.err);
    assert!(ran.err.starts_with("error: "), "{tool} {file}: {}", ran.err);
    ran.err
}

/// The content of a file of the fixtures.
#[expect(clippy::disallowed_methods, reason = "a test reads a fixture")]
pub fn fixture(name: &str) -> String {
    std::fs::read_to_string(common::tests().join("fixtures/import").join(name)).unwrap()
}

/// A file with this content, gone at the end of the test.
#[expect(clippy::disallowed_methods, reason = "a test writes a file")]
pub fn written(content: impl AsRef<[u8]>) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("results");
    std::fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

/// What is said of a file of a tool in which a text stands in the place of another.
pub fn changed(tool: &str, name: &str, from: &str, to: &str, more: &[&str]) -> String {
    let text = fixture(name);
    assert!(text.contains(from), "{name} has no {from}");
    let (_dir, file) = written(text.replacen(from, to, 1));
    refused(tool, &file, more)
}

/// A metric of a report.
pub fn metric<'a>(report: &'a Value, name: &str) -> &'a Value {
    let all = report["spec"]["metrics"].as_array().unwrap();
    all.iter().find(|m| m["name"] == name).unwrap_or_else(|| panic!("no {name} in {all:?}"))
}
