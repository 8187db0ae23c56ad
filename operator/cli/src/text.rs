//! Words in columns, names of objects, dates.

use anyhow::anyhow;
use jiff::Timestamp;
use placet_gate::visible;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Breaks a text at spaces so that no line is longer than `width` columns where a break is possible. The first line
/// begins with `first`, the others with `rest`: a text of an object neither begins a line nor, by many spaces, seems to.
pub fn wrap(text: &str, width: usize, first: &str, rest: &str) -> String {
    let text = visible::line(text);
    let mut out = String::new();
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split(' ').filter(|w| !w.is_empty()) {
        let columns = line.chars().count() + usize::from(!empty) + word.chars().count();
        if !empty && columns > width {
            out.push_str(line.trim_end());
            out.push('\n');
            rest.clone_into(&mut line);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
    out
}

/// Rows in columns, each as wide as its longest cell; the last column has no padding.
pub fn columns(rows: &[Vec<String>]) -> String {
    let shown = |c: &String| visible::line(c).into_owned();
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(shown).collect()).collect();
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len))
        .map(|i| rows.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in &rows {
        let line: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out.push_str(line.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// A text as XML has it.
pub fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // What XML 1.0 does not allow, whatever is written for it.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// What is shown to somebody who decides, item by item: each begins a line with its indent, and what is longer goes on
/// further in.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// Adds an item.
    pub fn add(&mut self, indent: usize, text: &str) {
        let (first, rest) = (" ".repeat(indent), " ".repeat(indent + 4));
        self.0.push_str(&wrap(text, crate::sys::width(), &first, &rest));
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// JSON over several lines, exact, with what a terminal obeys or hides written as escapes.
pub fn json<T: Serialize>(value: &T) -> serde_json::Result<String> {
    Ok(format!("{}\n", visible::in_json(&serde_json::to_string_pretty(value)?)))
}

/// An error and what caused it. A cause whose words were said already is not said again: libraries repeat them.
pub fn chain(error: &anyhow::Error) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if said.iter().any(|s| s.contains(&text)) {
            continue;
        }
        match said.last_mut() {
            Some(last) if text.contains(last.as_str()) => *last = text,
            _ => said.push(text),
        }
    }
    said.join(": ")
}

/// `sha256:` and twelve digits: enough to compare by eye.
pub fn short(digest: &str) -> String {
    let keep = digest.find(':').map_or(12, |i| i + 13);
    if digest.len() <= keep { digest.to_owned() } else { format!("{}…", &digest[..keep]) }
}

/// A name of at most 63 characters made from parts; what no name can hold becomes a dash, and a name that is too long
/// ends with a hash of all of it, so that two do not fall together.
pub fn object_name(parts: &[&str]) -> String {
    let mut name = String::new();
    for c in parts.join("-").to_lowercase().chars() {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            name.push(c);
        } else if !name.ends_with(['-', '.']) {
            name.push(if c == '.' { '.' } else { '-' });
        } else if c != '.' && name.ends_with('.') {
            // A part of a DNS name neither begins nor ends with a dash.
            name.pop();
            name.push('-');
        }
    }
    let trimmed = name.trim_matches(['-', '.']).to_owned();
    if trimmed.len() <= 63 { trimmed } else { with_hash(&trimmed, &parts.join("\0")) }
}

/// A name that ends with a hash of `of`, cut to 63 characters.
pub fn with_hash(name: &str, of: &str) -> String {
    let hash = hex::encode(Sha256::digest(of.as_bytes()));
    let room: String = name.chars().take(63 - 9).collect();
    format!("{}-{}", room.trim_end_matches(['-', '.']), &hash[..8])
}

/// A date (00:00 UTC of that day) or a date with a time and zone.
///
/// # Errors
/// Neither of them, or no such day.
pub fn moment(what: &str, text: &str) -> anyhow::Result<Timestamp> {
    let full = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    full.parse().map_err(|e| {
        anyhow!(
            "{what}: wanted a date (2027-03-31) or a date with a time and zone (2027-03-31T09:00:00Z), found {text:?}: {e}"
        )
    })
}

/// As the API writes it, to the second.
pub fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_only() {
        let text = wrap("one two three four", 12, "* ", "  ");
        assert_eq!(text, "* one two\n  three four\n");
        assert_eq!(wrap("averyveryverylongword x", 8, "", " "), "averyveryverylongword\n x\n");
    }

    #[test]
    fn a_text_cannot_begin_a_line() {
        let spaces = " ".repeat(40);
        let text = wrap(&format!("one\n\u{1b}[Atwo{spaces}three"), 24, "* ", "      ");
        assert_eq!(text, "* one\\n\\u{1b}[Atwo three\n");
        let mut page = Page::default();
        page.add(2, &format!("reason x\n  class Minimal {}", "word ".repeat(40)));
        assert!(page.text().lines().skip(1).all(|line| line.starts_with("      word")), "{}", page.text());
    }

    #[test]
    fn causes_are_said_once() {
        let io = || std::io::Error::new(std::io::ErrorKind::NotFound, "no such file");
        // As libraries do: the words of the cause are in those of the error, and it is given as the cause as well.
        let doubled = anyhow::Error::new(io()).context("config: no such file").context("no cluster");
        assert_eq!(format!("{doubled:#}").matches("no such file").count(), 2);
        assert_eq!(chain(&doubled), "no cluster: config: no such file");
        let named = anyhow!("--role: wanted a name").context("--role").context("usage");
        assert_eq!(chain(&named), "usage: --role: wanted a name");
        assert_eq!(chain(&anyhow!("one").context("two")), "two: one");
    }

    #[test]
    fn names_fit_and_differ() {
        assert_eq!(object_name(&["credit-2.4.0", "risk-officer", "erin"]), "credit-2.4.0-risk-officer-erin");
        assert_eq!(
            object_name(&["m", "r", "system:serviceaccount:ci:bot"]),
            "m-r-system-serviceaccount-ci-bot"
        );
        let long = |user: &str| object_name(&["a-release-with-a-long-name-2.4.0", "legal-compliance", user]);
        let (one, two) = (long("anna.maria.schmidt@example.com"), long("anna.maria.schmitt@example.com"));
        assert!(one.len() <= 63 && two.len() <= 63, "{one} {two}");
        assert_ne!(one, two);
        placet_api::scalar::Name::new(one).unwrap();
    }

    #[test]
    fn dates_mean_midnight_utc() {
        assert_eq!(seconds(moment("x", "2027-03-31").unwrap()), "2027-03-31T00:00:00Z");
        assert!(moment("--until", "2027-02-30").unwrap_err().to_string().contains("--until"));
    }
}
