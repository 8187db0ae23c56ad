//! Whatever the definitions refuse has a file in `e2e/tests/bad` that shows it; `e2e/tests/schema.rs` holds each file
//! against a real API server.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

mod common;

use common::walk;

/// A file of `e2e/tests/bad`, as far as its first lines and its kind go.
struct Bad {
    kind: String,
    /// Path of what is refused; `*` for each item of a list.
    path: String,
    because: String,
}

#[expect(clippy::disallowed_methods, reason = "a test reads the files that it is about")]
fn bad_files() -> Vec<Bad> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../e2e/tests/bad");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("e2e/tests/bad is there") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|e| e != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("the file is readable");
        let line =
            |prefix: &str| text.lines().find_map(|l| l.strip_prefix(prefix)).unwrap_or_default().to_owned();
        found.push(Bad {
            kind: line("kind: "),
            path: without_indices(&line("# Refused: ")),
            because: line("# Because: "),
        });
    }
    assert!(found.len() > 100, "{} files", found.len());
    found
}

/// `spec.groups[0].rows` as `spec.groups.*.rows`.
fn without_indices(path: &str) -> String {
    let mut out = String::new();
    for part in path.split('[') {
        match part.split_once(']') {
            Some((index, rest)) if index.bytes().all(|b| b.is_ascii_digit()) => {
                out.push_str(".*");
                out.push_str(rest);
            }
            _ => out.push_str(part),
        }
    }
    out
}

/// What each definition says of everything that people write: (kind, path, schema).
fn written() -> Vec<(String, String, Value)> {
    let mut out = Vec::new();
    for crd in placet_api::crds() {
        let kind = crd.spec.names.kind.clone();
        let definition = serde_json::to_value(&crd).expect("a definition is JSON");
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        walk(schema, "", &mut |path, schema| {
            if path.is_empty() || path == "spec" || path.starts_with("spec.") {
                out.push((kind.clone(), path.to_owned(), schema.clone()));
            }
        });
    }
    out
}

#[test]
fn every_rule_has_a_bad_file() {
    let files = bad_files();
    let mut rules = 0;
    let mut missing = Vec::new();
    for (kind, path, schema) in written() {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            rules += 1;
            let message = rule["message"].as_str().expect("each rule has a message");
            // The API server names the object itself so.
            let path = if path.is_empty() { "<nil>" } else { &path };
            let shown = files.iter().any(|f| f.kind == kind && f.path == path && f.because == message);
            if !shown {
                missing.push(format!("{kind} {path}: {message}"));
            }
        }
    }
    assert!(rules >= 35, "only {rules} rules were found");
    assert!(missing.is_empty(), "no file in e2e/tests/bad for\n{}", missing.join("\n"));
}

#[test]
fn every_pattern_and_every_choice_has_a_bad_file() {
    let files = bad_files();
    let mut missing = BTreeSet::new();
    let mut seen = 0;
    for (kind, path, schema) in written() {
        if let Some(pattern) = schema["pattern"].as_str() {
            seen += 1;
            let because = format!("should match '{pattern}'");
            if !files.iter().any(|f| f.kind == kind && f.because == because) {
                missing.insert(format!("{kind}: {because}"));
            }
        }
        if schema["enum"].is_array() {
            seen += 1;
            let shown =
                |f: &Bad| f.kind == kind && f.path == path && f.because.starts_with("Unsupported value: ");
            if !files.iter().any(shown) {
                missing.insert(format!("{kind} {path}: a value that is none of {}", schema["enum"]));
            }
        }
    }
    assert!(seen > 60, "only {seen} were found");
    let missing: Vec<_> = missing.into_iter().collect();
    assert!(missing.is_empty(), "no file in e2e/tests/bad for\n{}", missing.join("\n"));
}
