//! YAML as people write it: block style, flow style for the leaves of lists, and quotes around everything that a YAML
//! 1.1 reader such as kubectl's could take for a date, a number or a truth value.

use std::fmt::Write as _;

use placet_gate::visible;
use serde_json::Value;

/// An object as a YAML document.
pub fn document(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

fn block(value: &Value, indent: usize, out: &mut String) {
    let Value::Object(map) = value else {
        let _ = writeln!(out, "{}", flow(value));
        return;
    };
    for (key, value) in map {
        let _ = write!(out, "{:indent$}{}:", "", text(key));
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                block(value, indent + 2, out);
            }
            Value::Array(items) if items.iter().any(|i| !is_scalar(i)) => {
                out.push('\n');
                for item in items {
                    let _ = writeln!(out, "{:indent$}- {}", "", flow(item));
                }
            }
            _ => {
                let _ = writeln!(out, " {}", flow(value));
            }
        }
    }
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Object(_) | Value::Array(_))
}

fn flow(value: &Value) -> String {
    match value {
        Value::String(s) => text(s),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(k, v)| format!("{}: {}", text(k), flow(v))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}

/// Plain where no reader can take it for anything but a text; otherwise in double quotes, as in JSON.
fn text(text: &str) -> String {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b" ._/@-".contains(&b) || b == b':');
    let colon = text.contains(": ") || text.ends_with(':') || text.ends_with(' ');
    let word = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    if first && plain && !colon && !word.contains(&text.to_lowercase().as_str()) {
        return text.to_owned();
    }
    visible::in_yaml(&Value::from(text).to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_reads_back_as_it_was_and_quotes_what_looks_like_something_else() {
        let value = json!({
            "a": {"version": "1", "at": "2026-11-22T06:55:00Z", "day": "2026-11-22", "yes": "yes", "n": 5},
            "list": [{"attributes": {"sex": "female, old"}, "rows": 5, "fn": 1}, {"attributes": {"x": "(missing)"}}],
            "set": ["R1", "a: b", "#", "", "tab\there", "ü"], "none": {}, "digest": "sha256:ab", "b": true
        });
        let text = document(&value);
        assert_eq!(serde_saphyr::from_str::<Value>(&text).unwrap(), value, "{text}");
        // What a terminal obeys or hides is there and is not obeyed.
        let value = json!({"comment": "a\u{1b}[2J\u{9b}\n\u{202e}\u{feff}\u{e0041}b \u{1f642}"});
        let forged = document(&value);
        assert_eq!(serde_saphyr::from_str::<Value>(&forged).unwrap(), value, "{forged}");
        assert_eq!(visible::lines(&forged), forged);
        assert!(text.contains("at: \"2026-11-22T06:55:00Z\""), "{text}");
        assert!(text.contains("digest: sha256:ab\n"), "{text}");
        assert!(text.contains("- {attributes: {sex: \"female, old\"}"), "{text}");
    }
}
