//! Findings as SARIF 2.1.0 (OASIS), for code review: one result per finding at the file of its release.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use placet_api::modelrelease::GateVerdict;
use placet_gate::controls::of_gate;
use placet_gate::people::with_names;
use placet_gate::render::Names;
use serde_json::{Value, json};

use super::Judged;
use crate::text;

/// The log of one run.
pub fn render(judged: &[Judged], names: &Names) -> anyhow::Result<String> {
    let reasons: BTreeSet<_> = judged.iter().flat_map(|j| j.decision.findings()).map(|f| f.reason).collect();
    let rules: Vec<Value> = reasons
        .iter()
        .map(|r| json!({"id": r.as_str(), "shortDescription": {"text": described(r.as_str())}}))
        .collect();
    let mut results = Vec::new();
    for one in judged {
        for finding in one.decision.findings() {
            let words = |t: &str| with_names(t, names);
            let rule = reasons.iter().position(|r| *r == finding.reason);
            let mut result = json!({
                "ruleId": finding.reason.as_str(),
                "ruleIndex": rule,
                "level": if finding.verdict == GateVerdict::NotMet { "error" } else { "warning" },
                "message": {"text": format!(
                    "{} is not cleared, gate {}: {}; wanted: {}. {}: {}",
                    one.name, finding.gate, words(&finding.found), words(&finding.wanted), words(&finding.who),
                    words(&finding.command)
                )},
                "partialFingerprints": {"placet/v1": format!(
                    "{}/{}/{}/{}/{}", one.namespace, one.name, finding.gate, finding.reason, finding.item
                )},
                "properties": {"gate": finding.gate.as_str(), "item": words(&finding.item), "who": words(&finding.who),
                               "verdict": finding.verdict, "controls": of_gate(finding.gate).cited()},
            });
            if let Some((file, line)) = &one.place {
                result["locations"] = json!([{
                    "physicalLocation": {"artifactLocation": {"uri": uri(file)}, "region": {"startLine": (*line).max(1)}},
                    "logicalLocations": [{"fullyQualifiedName": format!("{}/{}", one.namespace, one.name), "kind": "resource"}],
                }]);
            }
            results.push(result);
        }
    }
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "placet", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    Ok(text::json(&log)?)
}

/// `RiskNotAccepted` as `Risk not accepted`.
fn described(code: &str) -> String {
    let mut out = String::new();
    for (i, c) in code.chars().enumerate() {
        if i > 0 && c.is_uppercase() {
            out.push(' ');
        }
        out.extend(if i == 0 { vec![c] } else { c.to_lowercase().collect() });
    }
    out
}

/// A path as a URI reference (RFC 3986): what it may not hold is percent-encoded.
fn uri(path: &str) -> String {
    let mut out = String::new();
    for byte in path.strip_prefix("./").unwrap_or(path).bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_as_words_and_paths_as_uris() {
        assert_eq!(described("RiskNotAccepted"), "Risk not accepted");
        assert_eq!(uri("./a b/ü.yaml"), "a%20b/%C3%BC.yaml");
    }
}
