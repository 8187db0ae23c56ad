//! What a page shows of the demo, held against what the demo said.

use std::fs;
use std::path::Path;

use anyhow::bail;

/// The heading of the section whose quotes are held against the transcript.
const SECTION: &str = "\n## The demo\n";

/// Holds what a page quotes of the demo against the transcript.
pub fn quoted(page: &Path, transcript: &Path) -> anyhow::Result<()> {
    let missing = not_said(&fs::read_to_string(page)?, &fs::read_to_string(transcript)?);
    if !missing.is_empty() {
        bail!("{} quotes what was not said:\n  {}", page.display(), missing.join("\n  "));
    }
    Ok(())
}

/// Lines that the page quotes in its section on the demo and that no line of the transcript, in the same order, is. `…` in a
/// quote stands for anything: what differs from run to run, or is left out.
fn not_said(page: &str, transcript: &str) -> Vec<String> {
    let section = page.split_once(SECTION).map_or("", |(_, after)| after);
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let said: Vec<String> = transcript.lines().map(words).collect();
    let mut missing = Vec::new();
    let quotes: Vec<&str> = section.split("```").skip(1).step_by(2).collect();
    if quotes.is_empty() {
        missing.push(format!("a quote under {:?}", SECTION.trim()));
    }
    for quote in quotes {
        let mut rest = said.as_slice();
        for line in quote.lines().map(words).filter(|line| line.chars().any(|c| c != '…')) {
            match rest.iter().position(|said| quotes_it(&line, said)) {
                Some(at) => rest = &rest[at + 1..],
                None => missing.push(line),
            }
        }
    }
    missing
}

/// A line with single blanks.
fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a line is what a quote with `…` stands for.
fn quotes_it(quote: &str, said: &str) -> bool {
    let mut parts = quote.split('…');
    let Some(mut rest) = parts.next().and_then(|first| said.strip_prefix(first)) else { return false };
    let mut open = false;
    for part in parts {
        open = part.is_empty();
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    open || rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# A\n```\nnot of the demo\n```\n## The demo\nSays:\n```\ndana$ run\nname   12…  0s\n…\nend …\n```\n## Next\n```\nnor this\n```\n";

    #[test]
    fn quotes_are_in_the_transcript_in_their_order() {
        assert!(not_said(PAGE, "dana$ run\nelse\nname 12345 0s\nend of it\n").is_empty());
        assert_eq!(not_said(PAGE, "name 12345 0s\ndana$ run\nend of it\n"), ["name 12… 0s"]);
        assert_eq!(not_said(PAGE, "dana$ run it\nname 12345 1s\nthe end\n").len(), 3);
        assert_eq!(not_said("no such section", "x").len(), 1);
    }

    #[test]
    fn a_quote_stands_for_the_whole_line() {
        assert!(quotes_it("a … b … c", "a 1 b 2 c"));
        assert!(quotes_it("a …", "a "));
        for wrong in ["a 1 b 2 c d", "b a 1 b 2 c", "a 1 c"] {
            assert!(!quotes_it("a … b … c", wrong), "{wrong}");
        }
    }
}
