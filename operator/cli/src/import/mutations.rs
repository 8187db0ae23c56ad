//! Every number of every tool's file in turn replaced by what is none, or by one that is absurd, and files cut off anywhere:
//! nothing panics, and what is no number never becomes one.

use std::collections::BTreeMap;

use super::args::Source;
use super::{ImportArgs, read, report};

/// A file of each tool.
const FILES: [(Source, &str); 13] = [
    (Source::LmEval, include_str!("../../tests/fixtures/import/lm-eval.json")),
    (Source::LmEval, include_str!("../../tests/fixtures/import/lm-eval-group.json")),
    (Source::Inspect, include_str!("../../tests/fixtures/import/inspect.json")),
    (Source::Garak, include_str!("../../tests/fixtures/import/garak-mixed.report.jsonl")),
    (Source::Mlflow, include_str!("../../tests/fixtures/import/mlflow-classifier.json")),
    (Source::Mlflow, include_str!("../../tests/fixtures/import/mlflow-regressor.json")),
    (Source::Evidently, include_str!("../../tests/fixtures/import/evidently.json")),
    (Source::Promptfoo, include_str!("../../tests/fixtures/import/promptfoo.json")),
    (Source::Counts, include_str!("../../tests/fixtures/import/counts.json")),
    (Source::Helm, include_str!("../../tests/fixtures/import/helm.json")),
    (Source::Cyclonedx, include_str!("../../tests/fixtures/import/cyclonedx.json")),
    (Source::Hf, include_str!("../../tests/fixtures/import/hf.md")),
    (Source::InToto, include_str!("../../tests/fixtures/import/in-toto.json")),
];

/// What is no number, as tools and people write it.
const NONE: [&str; 8] = ["NaN", "Infinity", "-Infinity", "null", "\"NaN\"", "\"N/A\"", "true", "{}"];

/// Numbers that no such file has.
const ABSURD: [&str; 6] = ["-1", "0.5", "1e308", "-1e308", "9223372036854775807", "18446744073709551616"];

/// The numbers of a report: metrics by name, cells of groups by place.
fn numbers(from: Source, text: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let found = read(from, text, "f")?;
    let tool = found
        .tool
        .is_none()
        .then(|| if from.of_any_tool() { "t@1".into() } else { format!("{}@1", from.option()) });
    let args = ImportArgs {
        from,
        file: "f".into(),
        artifact: "sha256:3ecc933942d7d90aa05aaf3da6798f19d4af1815b0890de094d100d7feae14d7".into(),
        dataset: Some(format!("sha256:{}", "2".repeat(64))),
        type_: None,
        metrics: Vec::new(),
        confidence: "0.95".into(),
        rows: matches!(from, Source::Cyclonedx | Source::Hf).then_some(500),
        tool,
        ran_at: found.ran_at.is_none().then(|| "2026-11-22".into()),
        positive_means: None,
        name: None,
    };
    let spec = report::make(None, &args, found, "f")?.object["spec"].take();
    let mut all = BTreeMap::new();
    for metric in spec["metrics"].as_array().into_iter().flatten() {
        all.insert(metric["name"].to_string(), metric["value"].to_string());
    }
    for (i, group) in spec["groups"].as_array().into_iter().flatten().enumerate() {
        for cell in ["rows", "tp", "fp", "fn", "tn"] {
            all.insert(format!("group {i} {cell}"), group[cell].to_string());
        }
    }
    Ok(all)
}

/// Where the numbers of a text are: digits outside of quotes, behind what separates values.
fn places(text: &str) -> Vec<std::ops::Range<usize>> {
    let bytes = text.as_bytes();
    let (mut places, mut inside, mut at) = (Vec::new(), false, 0);
    while at < bytes.len() {
        inside ^= bytes[at] == b'"' && (at == 0 || bytes[at - 1] != b'\\');
        let begins = bytes[at].is_ascii_digit() || bytes[at] == b'-';
        if !inside && begins && at > 0 && b" :,[".contains(&bytes[at - 1]) {
            let end =
                (at..bytes.len()).find(|i| !b"0123456789+-.eE".contains(&bytes[*i])).unwrap_or(bytes.len());
            places.push(at..end);
            at = end;
        } else {
            at += 1;
        }
    }
    places
}

#[test]
fn what_is_no_number_never_becomes_one() {
    let mut left_out = 0;
    for (from, text) in FILES {
        let whole = numbers(from, text).unwrap();
        assert!(!whole.is_empty());
        for place in places(text) {
            for word in NONE {
                let changed = format!("{}{word}{}", &text[..place.start], &text[place.end..]);
                let Ok(found) = numbers(from, &changed) else { continue };
                left_out += usize::from(found.len() < whole.len());
                for (name, value) in &found {
                    // Where a cell of a matrix is none, the others are single values.
                    let known = whole.get(name).is_none_or(|before| before == value);
                    assert!(
                        known,
                        "{from:?} at {}: {word}: {name} = {value}, was {:?}",
                        place.start,
                        whole.get(name)
                    );
                    let own = whole.contains_key(name) || value != "\"0\"";
                    assert!(own, "{from:?} at {}: {word}: {name} = {value}", place.start);
                }
            }
        }
    }
    assert!(left_out > 20, "{left_out}");
}

#[test]
fn absurd_numbers_and_files_that_end_anywhere_are_refused_or_read() {
    let (mut refused, mut taken) = (0, 0);
    for (from, text) in FILES {
        for place in places(text) {
            for word in ABSURD {
                let changed = format!("{}{word}{}", &text[..place.start], &text[place.end..]);
                match numbers(from, &changed) {
                    Ok(_) => taken += 1,
                    Err(e) => {
                        let said = e.to_string();
                        assert!(said.starts_with("f: ") || said.starts_with("--rows"), "{said}");
                        refused += 1;
                    }
                }
            }
        }
        // A whole file of JSON ends where it ends.
        let end = text.trim_end().len();
        let step = (end / 200).max(1);
        for cut in (1..end).step_by(step).filter(|cut| text.is_char_boundary(*cut)) {
            let part = numbers(from, &text[..cut]);
            assert!(part.is_err() || from == Source::Hf, "{from:?} until {cut}: {part:?}");
        }
    }
    assert!(refused > 100 && taken > 100, "{refused} {taken}");
}
