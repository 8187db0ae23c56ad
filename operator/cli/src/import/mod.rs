//! `placet report import`: a TestReport from what a tool wrote. Values, counts and how certain they are; a tool's own
//! verdict is never read, and what a run left out keeps it from being a report.
//!
//! Reading ([`node`]), what each tool means by what it wrote (a file per tool, pure), and the report ([`report`]) are
//! apart.

mod args;
mod card;
mod counts;
mod evidently;
mod found;
mod garak;
mod helm;
mod in_toto;
mod inspect;
mod lm_eval;
mod mlflow;
#[cfg(test)]
mod mutations;
mod node;
mod promptfoo;
mod report;

use anyhow::bail;
use placet_gate::visible;

pub use args::ImportArgs;
use args::Source;
use found::Found;
use node::{At, Document, Node};

use crate::args::Global;
use crate::{sys, text, yaml};

/// Bytes of a file that are read at most: logs with all samples are far smaller.
const MOST_BYTES: u64 = 512 << 20;

/// Runs the command.
pub fn run(global: &Global, args: &ImportArgs) -> anyhow::Result<u8> {
    let file = args.file.display().to_string();
    let bytes = sys::read_bytes(&args.file, MOST_BYTES)?;
    let found = read(args.from, &node::decode(bytes, &file)?, &file)?;
    let made = report::make(global.namespace.as_deref(), args, found, &file)?;
    for note in &made.notes {
        sys::tell(&visible::line(&format!("note: {file}: {note}")));
    }
    sys::print(&yaml::document(&made.object))?;
    Ok(0)
}

/// What a file of a tool says.
fn read(from: Source, text: &str, file: &str) -> anyhow::Result<Found> {
    let document = Document::read(text, file)?;
    let looks = guess(&document);
    if looks != Some(from) {
        let found = match (looks, &document) {
            (Some(other), _) => format!(
                "what looks like {}; if that is what it is, give --from {}",
                other.words(),
                other.option()
            ),
            (None, Document::One(node)) => node.words(),
            (None, Document::Lines(lines)) => format!("{} lines of JSON, each a value", lines.len()),
            (None, Document::Text(text)) => {
                let line: String =
                    text.trim_start().lines().next().unwrap_or_default().chars().take(80).collect();
                format!("a text that is no JSON and begins {line:?}")
            }
        };
        bail!("{file}: wanted {}, found {found}", from.words());
    }
    match (from, &document) {
        (Source::Counts, Document::Text(table)) => counts::table(table, file),
        (Source::Hf, Document::Text(card)) => card::hugging_face(card, file),
        (Source::Garak, Document::Lines(lines)) => garak::read(lines, file),
        (Source::Garak, Document::One(line)) => garak::read(std::slice::from_ref(line), file),
        (_, Document::One(node)) => {
            let at = At::root(node, file);
            match from {
                Source::LmEval => lm_eval::read(&at),
                Source::Inspect => inspect::read(&at),
                Source::Mlflow => mlflow::read(&at),
                Source::Evidently => evidently::read(&at),
                Source::Promptfoo => promptfoo::read(&at),
                Source::Cyclonedx => card::cyclonedx(&at),
                Source::Hf => card::index(&at),
                Source::Helm => helm::read(&at),
                Source::InToto => in_toto::read(&at),
                Source::Counts => counts::object(&at),
                Source::Garak => bail!("{file}: wanted {}, found {}", from.words(), node.words()),
            }
        }
        _ => bail!("{file}: wanted {}, found several values", from.words()),
    }
}

/// The tool whose file this looks like.
fn guess(document: &Document) -> Option<Source> {
    let node = match document {
        Document::Text(text) => {
            if text.lines().any(|line| line.starts_with("model-index:")) {
                return Some(Source::Hf);
            }
            let header: String = text.lines().next()?.split(',').map(str::trim).collect::<Vec<_>>().join(",");
            return header.ends_with(",tp,fp,fn,tn").then_some(Source::Counts);
        }
        Document::Lines(lines) => {
            return lines.first()?.text("entry_type").map(|_| Source::Garak);
        }
        Document::One(node) => node,
    };
    if helm::is_one(node) {
        return Some(Source::Helm);
    }
    let Node::Map(fields) = node else { return None };
    let is_map = |name: &str| matches!(node.get(name), Some(Node::Map(_)));
    let number = |value: &Node| match value {
        Node::Number(_) | Node::Null => true,
        Node::Text(text) => node::Reading::of_text(text).is_some_and(|r| r.finite().is_none()),
        _ => false,
    };
    if node.text("entry_type").is_some() {
        Some(Source::Garak)
    } else if node.text("bomFormat") == Some("CycloneDX") {
        Some(Source::Cyclonedx)
    } else if in_toto::is_one(node) {
        Some(Source::InToto)
    } else if node.get("model-index").is_some() {
        Some(Source::Hf)
    } else if node.text("schema").is_some_and(|s| s.starts_with("placet.dev/counts/")) {
        Some(Source::Counts)
    } else if is_map("eval") && node.get("status").is_some() && node.get("version").is_some() {
        Some(Source::Inspect)
    } else if node.get("evalId").is_some() && is_map("results") {
        Some(Source::Promptfoo)
    } else if is_map("results") && (is_map("configs") || is_map("versions")) {
        Some(Source::LmEval)
    } else if matches!(node.get("metrics"), Some(Node::List(_))) {
        Some(Source::Evidently)
    } else if !fields.is_empty() && fields.iter().all(|(_, value)| number(value)) {
        Some(Source::Mlflow)
    } else {
        None
    }
}

/// A time as the API writes it, of a text of a tool.
fn time(at: &At<'_>) -> anyhow::Result<String> {
    // Python leaves the zone out where it has none; what tools write without one is UTC or nobody knows: it is said.
    let text = at.text()?;
    text::moment(at.place(), text).map(text::seconds)
}

/// A time of seconds since 1970.
fn epoch(at: &At<'_>) -> anyhow::Result<String> {
    let wanted = || at.wanted("seconds since 1970");
    let seconds = at.reading()?.finite().ok_or_else(wanted)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float outside of i64 becomes its bound, which is no time"
    )]
    let whole = seconds.floor() as i64;
    jiff::Timestamp::from_second(whole).map(text::seconds).map_err(|_| wanted())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(from: Source, text: &str) -> String {
        read(from, text, "f").unwrap_err().to_string()
    }

    #[test]
    fn what_is_of_another_tool_is_called_by_its_name() {
        let files = [
            (Source::LmEval, r#"{"results": {}, "configs": {}}"#),
            (Source::Inspect, r#"{"version": 2, "status": "success", "eval": {}}"#),
            (Source::Garak, "{\"entry_type\": \"init\"}\n{\"entry_type\": \"completion\"}"),
            (Source::Mlflow, r#"{"accuracy_score": 0.5, "f1_score": NaN}"#),
            (Source::Evidently, r#"{"metrics": [], "tests": []}"#),
            (Source::Promptfoo, r#"{"evalId": "x", "results": {}}"#),
            (Source::Counts, "sex,n,tp,fp,fn,tn\nf,1,1,0,0,0\n"),
            (Source::Counts, r#"{"schema": "placet.dev/counts/v1"}"#),
            (Source::Cyclonedx, r#"{"bomFormat": "CycloneDX", "specVersion": "1.6"}"#),
            (Source::Hf, "---\nlicense: mit\nmodel-index:\n- name: m\n---\n# M\n"),
            (Source::Helm, r#"[{"name": {"name": "exact_match", "split": "test"}, "count": 1}]"#),
            (Source::InToto, r#"{"_type": "https://in-toto.io/Statement/v1"}"#),
            (Source::InToto, r#"{"payloadType": "application/vnd.in-toto+json", "payload": "e30="}"#),
        ];
        for (of, text) in files {
            for (asked, _) in files.iter().filter(|(asked, _)| *asked != of) {
                let e = fails(*asked, text);
                let wanted = format!("f: wanted {}, found what looks like {}", asked.words(), of.words());
                assert!(
                    e.starts_with(&wanted) && e.ends_with(&format!("give --from {}", of.option())),
                    "{e}"
                );
            }
        }
    }

    #[test]
    fn what_is_of_no_tool_is_described() {
        for (text, wanted) in [
            ("[1, 2]", "found a list of 2"),
            ("{}", "found an empty object"),
            (r#"{"a": {"b": 1}, "c": null}"#, "found an object with a, c"),
            ("{\"a\": 1}\n{\"b\": 2}", "found 2 lines of JSON"),
            ("<html>\n<body>", "no JSON and begins \"<html>\""),
            ("42", "no JSON and begins \"42\""),
        ] {
            let e = fails(Source::Inspect, text);
            assert!(e.starts_with("f: wanted a log of inspect") && e.contains(wanted), "{e}");
        }
    }

    #[test]
    fn seconds_since_1970_are_a_time() {
        let time = |number: &str| {
            let Document::One(node) = Document::read(&format!("[{number}]"), "f").unwrap() else { panic!() };
            epoch(&At::root(&node, "f").items().unwrap()[0])
        };
        assert_eq!(time("1795406338.4537063").unwrap(), "2026-11-23T03:58:58Z");
        for bad in ["1e308", "-1e18", "NaN", "\"soon\"", "9223372036854775807"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
