//! Texts that people read, without what a terminal obeys or hides: what objects say must not be able to forge what is
//! shown of them. Everything that a terminal may show goes through here; data stays as it is.
//!
//! Left out of what is shown as it is: control characters (ESC begins terminal commands, a line break a line that
//! nobody wrote), marks that turn the direction of text, and characters without a glyph of their own (Unicode's
//! `Default_Ignorable_Code_Point`, line and paragraph separators, interlinear annotation).

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;

/// Whether a terminal would obey or hide a character rather than show it.
pub(crate) fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether nothing of a text can be seen: it says nothing.
pub(crate) fn blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || hidden(c))
}

/// Bytes that are looked at together.
const BLOCK: usize = 32;

/// Bytes that a text begins with and that are, in whole blocks, ASCII that is shown as it is, or `keep`.
fn plain_blocks(text: &[u8], keep: Option<char>) -> usize {
    let keep = keep.and_then(|c| u8::try_from(c).ok()).filter(u8::is_ascii).unwrap_or(b' ');
    let blocks = text.chunks_exact(BLOCK);
    // Counted to the end of the block, and not until the first, so that all of it is looked at in a step or two.
    let others = |block: &&[u8]| block.iter().filter(|b| !matches!(b, b' '..=b'~') && **b != keep).count();
    blocks.take_while(|block| others(block) == 0).count() * BLOCK
}

/// Writes every hidden character but those in `keep` by `write`.
fn escape(text: &str, keep: Option<char>, write: fn(char, &mut String)) -> Cow<'_, str> {
    let stays = |c: char| !hidden(c) || Some(c) == keep;
    // Nearly every text is one that nothing is to be done to, and nearly all of it plain ASCII.
    let plain = plain_blocks(text.as_bytes(), keep);
    let Some(first) = text[plain..].find(|c| !stays(c)).map(|at| plain + at) else {
        return Cow::Borrowed(text);
    };
    let (good, rest) = text.split_at(first);
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(good);
    for c in rest.chars() {
        if stays(c) { out.push(c) } else { write(c, &mut out) }
    }
    Cow::Owned(out)
}

fn readable(c: char, out: &mut String) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c => {
            let _ = write!(out, "{}", c.escape_unicode());
        }
    }
}

/// A text on one line: hidden characters as `\n`, `\t`, `\u{202e}`. What was made so stays so when it is done again.
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, None, readable)
}

/// The same for a text of several lines that were made here: line breaks stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    escape(text, Some('\n'), readable)
}

/// JSON, already written, with the hidden characters of its strings as `\u202e`: the same data.
pub fn in_json(text: &str) -> Cow<'_, str> {
    escape(text, Some('\n'), |c, out| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    })
}

/// A string of YAML in double quotes, already written as JSON, with hidden characters as `\u202e` or `\U000e0001`: the
/// same string. YAML does not join surrogates as JSON does.
pub fn in_yaml(text: &str) -> Cow<'_, str> {
    escape(text, None, |c, out| {
        let code = u32::from(c);
        let _ = if code > 0xffff { write!(out, "\\U{code:08x}") } else { write!(out, "\\u{code:04x}") };
    })
}

/// A value whose texts, keys included, are shown as [`line`] gives them.
pub fn value(value: &Value) -> Value {
    match value {
        Value::String(text) => line(text).into(),
        Value::Array(items) => items.iter().map(self::value).collect(),
        Value::Object(map) => map.iter().map(|(k, v)| (line(k).into_owned(), self::value(v))).collect(),
        other => other.clone(),
    }
}

/// Digits of a digest and what comes before them: `sha256:`.
const DIGEST: usize = 7 + 64;

/// A text of at most `most` characters; one that is cut ends with a mark, and it is not cut within a digest but before
/// the word that the digest stands in: somebody may copy it.
pub fn cut(text: &str, most: usize) -> Cow<'_, str> {
    // There are no more characters than bytes.
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let Some((end, last)) = text.char_indices().nth(most.saturating_sub(1)) else {
        return Cow::Borrowed(text);
    };
    if end + last.len_utf8() >= text.len() {
        return Cow::Borrowed(text);
    }
    let word = text[..end].rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let after = text[end..].find(char::is_whitespace).map_or(text.len(), |at| end + at);
    let mut digests = text[word..after].match_indices("sha256:").map(|(at, _)| word + at);
    // The name before a digest goes with it, unless it is so long that little else would stay.
    let end = match digests.find(|at| at + DIGEST > end) {
        Some(_) if word > 0 && end - word <= 4 * DIGEST => word,
        Some(at) => at.min(end),
        None => end,
    };
    Cow::Owned(format!("{}…", &text[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cut_is_seen_and_leaves_digests_whole() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdef", 5), "abcd…");
        assert_eq!(cut("üüü", 2), "ü…");
        assert_eq!(cut("", 0), "");
        let image = format!("registry.example/app@sha256:{}", "d".repeat(64));
        let text = format!("set it to {image} or ask");
        assert_eq!(cut(&text, text.len()), text);
        // Within the image, from its first letter to its last.
        for most in 11..=102 {
            assert_eq!(cut(&text, most), "set it to …", "{most}");
        }
        assert_eq!(cut(&text, 103), format!("set it to {image}…"));
        // Without a word before it, what precedes the digest stays.
        assert_eq!(cut(&image, 60), "registry.example/app@…");
        let long = format!("a {}{image}", "x".repeat(2000));
        assert_eq!(cut(&long, 2060), format!("a {}registry.example/app@…", "x".repeat(2000)));
        assert!(cut(&long, 1000).ends_with("xx…") && cut(&long, 1000).chars().count() == 1000);
    }

    /// Each of these makes a terminal show something else than the text says.
    const FORGING: [char; 22] = [
        '\n',
        '\r',
        '\t',
        '\u{8}',
        '\u{1b}',
        '\u{7f}',
        '\u{85}',
        '\u{9b}',
        '\u{ad}',
        '\u{61c}',
        '\u{200b}',
        '\u{200d}',
        '\u{200e}',
        '\u{200f}',
        '\u{202a}',
        '\u{202e}',
        '\u{2066}',
        '\u{2069}',
        '\u{2028}',
        '\u{feff}',
        '\u{fe0f}',
        '\u{e0041}',
    ];

    #[test]
    fn what_a_terminal_obeys_or_hides_is_written_out() {
        for c in FORGING {
            let text = format!("a{c}b");
            let shown = line(&text);
            assert!(shown.starts_with("a\\") && shown.ends_with('b'), "{shown}");
            assert!(shown.chars().all(|c| (' '..='~').contains(&c)), "{shown}");
            assert_eq!(line(&shown), shown);
        }
        assert_eq!(line("1\r\n\u{1b}[2K\u{202e}x\t\u{9b}"), r"1\r\n\u{1b}[2K\u{202e}x\t\u{9b}");
        assert_eq!(lines("one\ntwo\u{1b}[A\rthree\u{2066}"), "one\ntwo\\u{1b}[A\\rthree\\u{2066}");
    }

    #[test]
    fn what_is_hidden_is_found_wherever_it_stands() {
        for c in FORGING.into_iter().chain(['é', '🙂']) {
            for before in 0..70 {
                let text = format!("{}{c}{}", "x".repeat(before), "y".repeat(40));
                let shown = line(&text);
                assert_eq!(shown.starts_with(&format!("{}\\", "x".repeat(before))), hidden(c), "{shown}");
                assert_eq!(shown == text, !hidden(c), "{shown}");
                assert_eq!(lines(&text) == text, !hidden(c) || c == '\n', "{shown}");
            }
        }
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        for text in ["", "Müller, Ωmega, 東京, עברית, العربية", "« 50 % » – 'x' \"y\" \\n", "🙂 a\u{301}"]
        {
            assert!(matches!(line(text), Cow::Borrowed(t) if t == text), "{text}");
        }
    }

    #[test]
    fn json_holds_the_same_data_and_shows_as_it_reads() {
        let text: String = FORGING.iter().collect();
        let data = json!({"text": text, text.as_str(): [1, {"x": "\u{e0041}\u{1f642}"}]});
        let written = serde_json::to_string_pretty(&data).unwrap();
        let shown = in_json(&written);
        assert!(shown.chars().all(|c| c == '\n' || c == '\u{1f642}' || (' '..='~').contains(&c)), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), data);
        assert_eq!(in_yaml("\"\u{9b}\u{e0041}\""), "\"\\u009b\\U000e0041\"");
    }

    #[test]
    fn a_value_is_shown_through_and_through() {
        assert_eq!(
            value(&json!({"a\u{1b}": ["\n", 1, null, {"b": "\u{202e}"}]})),
            json!({"a\\u{1b}": ["\\n", 1, null, {"b": "\\u{202e}"}]})
        );
    }
}
