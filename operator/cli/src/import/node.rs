//! What a tool wrote, as a tree: strict about keys that stand twice, and about where in a file something is. Python's
//! `NaN` and `Infinity`, which are no JSON, are read as these words.

use std::borrow::Cow;
use std::fmt;

use anyhow::{anyhow, bail};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// The largest count: 2^53 - 1, the bound of the API's counts, up to which a double holds every integer.
pub const MOST: u64 = 9_007_199_254_740_991;

/// A value of a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A finite number.
    Number(Number),
    /// A text; a number that is not finite is its word, such as `NaN`.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// An object, in the order of the file. No key stands twice.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// A field of an object that is there and not null.
    pub fn get(&self, name: &str) -> Option<&Node> {
        let Node::Map(fields) = self else { return None };
        fields.iter().find(|(key, value)| key == name && *value != Node::Null).map(|(_, value)| value)
    }

    /// Whether a field is there, be it null.
    pub fn has(&self, name: &str) -> bool {
        matches!(self, Node::Map(fields) if fields.iter().any(|(key, _)| key == name))
    }

    /// A field that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Node::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The whole number from 0 to 2^53 - 1 that it is.
    pub fn whole(&self) -> Option<u64> {
        match self {
            Node::Number(number) => number.as_u64().or_else(|| number.as_f64().and_then(whole)),
            _ => None,
        }
        .filter(|count| *count <= MOST)
    }

    /// What it is, in a few words.
    pub fn words(&self) -> String {
        match self {
            Node::Null => "null".into(),
            Node::Bool(value) => value.to_string(),
            Node::Number(number) => number.to_string(),
            Node::Text(text) => format!("{:?}", text.chars().take(60).collect::<String>()),
            Node::List(items) => format!("a list of {}", items.len()),
            Node::Map(fields) if fields.is_empty() => "an empty object".into(),
            Node::Map(fields) => {
                let names: Vec<&str> = fields.iter().take(8).map(|(key, _)| key.as_str()).collect();
                let more = if fields.len() > 8 { ", …" } else { "" };
                format!("an object with {}{more}", names.join(", "))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(Reader)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        let number = Number::from_f64(value);
        Ok(number.map_or_else(|| Node::Text(Reading::of(value).to_string()), Node::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Node, A::Error> {
        let mut map: Vec<(String, Node)> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        while let Some((key, value)) = fields.next_entry::<String, Node>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format!(
                    "wanted each key once, found {key:?} twice in one object: one of them hides the other; write the file again"
                )));
            }
            map.push((key, value));
        }
        Ok(Node::Map(map))
    }
}

/// A number as a file has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// A number.
    Finite(f64),
    /// None: what stands in its place.
    NonFinite(&'static str),
}

impl Reading {
    /// Of a double.
    pub fn of(value: f64) -> Self {
        if value.is_finite() {
            Self::Finite(value)
        } else if value.is_nan() {
            Self::NonFinite("NaN")
        } else if value > 0.0 {
            Self::NonFinite("Infinity")
        } else {
            Self::NonFinite("-Infinity")
        }
    }

    /// Of a text, as tools write numbers that JSON has no form for; `None` where it is no number.
    pub fn of_text(text: &str) -> Option<Self> {
        let text = text.trim();
        // As YAML writes them.
        match text.to_ascii_lowercase().as_str() {
            ".nan" => return Some(Self::NonFinite("NaN")),
            ".inf" | "+.inf" => return Some(Self::NonFinite("Infinity")),
            "-.inf" => return Some(Self::NonFinite("-Infinity")),
            _ => {}
        }
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            .then(|| text.parse().ok().map(Self::of))
            .flatten()
    }

    /// The number, if it is one.
    pub fn finite(self) -> Option<f64> {
        match self {
            Self::Finite(value) => Some(value),
            Self::NonFinite(_) => None,
        }
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finite(value) => write!(f, "{value}"),
            Self::NonFinite(word) => f.write_str(word),
        }
    }
}

/// A value and where in its file it is.
#[derive(Debug, Clone)]
pub struct At<'a> {
    /// The value.
    pub node: &'a Node,
    place: String,
}

impl<'a> At<'a> {
    /// The whole file.
    pub fn root(node: &'a Node, file: &str) -> Self {
        Self { node, place: file.to_owned() }
    }

    /// An error about this value.
    pub fn wanted(&self, what: &str) -> anyhow::Error {
        anyhow!("{}: wanted {what}, found {}", self.place, self.node.words())
    }

    /// Where it is.
    pub fn place(&self) -> &str {
        &self.place
    }

    fn inner(&self, name: &str, node: &'a Node) -> Self {
        let colon = if self.place.contains(": ") { "." } else { ": " };
        Self { node, place: format!("{}{colon}{name}", self.place) }
    }

    /// A field that has to be there.
    pub fn field(&self, name: &str) -> anyhow::Result<Self> {
        self.get(name).ok_or_else(|| self.wanted(&format!("the field {name}")))
    }

    /// A field that may be missing or null.
    pub fn get(&self, name: &str) -> Option<Self> {
        self.node.get(name).map(|node| self.inner(name, node))
    }

    /// The fields of an object.
    pub fn fields(&self) -> anyhow::Result<Vec<(&'a str, Self)>> {
        let Node::Map(fields) = self.node else { return Err(self.wanted("an object")) };
        Ok(fields.iter().map(|(key, node)| (key.as_str(), self.inner(key, node))).collect())
    }

    /// The items of a list.
    pub fn items(&self) -> anyhow::Result<Vec<Self>> {
        let Node::List(items) = self.node else { return Err(self.wanted("a list")) };
        Ok(items.iter().enumerate().map(|(i, node)| self.inner(&i.to_string(), node)).collect())
    }

    /// A text.
    pub fn text(&self) -> anyhow::Result<&'a str> {
        match self.node {
            Node::Text(text) => Ok(text),
            _ => Err(self.wanted("a text")),
        }
    }

    /// A truth value.
    pub fn bool(&self) -> anyhow::Result<bool> {
        match self.node {
            Node::Bool(value) => Ok(*value),
            _ => Err(self.wanted("true or false")),
        }
    }

    /// A number, or what stands in the place of one.
    pub fn reading(&self) -> anyhow::Result<Reading> {
        let read = match self.node {
            Node::Number(number) => number.as_f64().map(Reading::of),
            Node::Text(text) => Reading::of_text(text),
            // Where a language has no NaN, its writers say null.
            Node::Null => Some(Reading::NonFinite("null")),
            _ => None,
        };
        read.ok_or_else(|| self.wanted("a number"))
    }

    /// A whole number from 0 to 2^53 - 1; one that was written as a float (`228.0`) is one as well.
    pub fn count(&self) -> anyhow::Result<u64> {
        self.node.whole().ok_or_else(|| self.wanted("a whole number from 0 to 9007199254740991"))
    }
}

/// The whole number that a float is.
pub fn whole(value: f64) -> Option<u64> {
    #[expect(clippy::cast_precision_loss, reason = "2^53 - 1 is a double")]
    let most = MOST as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number between 0 and 2^53 - 1"
    )]
    ((0.0..=most).contains(&value) && value.fract() == 0.0).then_some(value as u64)
}

/// A document: one value, one value a line, or text that is neither.
#[derive(Debug)]
pub enum Document {
    /// JSON.
    One(Node),
    /// JSON Lines.
    Lines(Vec<Node>),
    /// Neither.
    Text(String),
}

impl Document {
    /// Reads a text.
    ///
    /// # Errors
    /// What begins as JSON and is none, with line and column.
    pub fn read(text: &str, file: &str) -> anyhow::Result<Self> {
        if !text.trim_start().starts_with(['{', '[']) {
            return Ok(Self::Text(text.to_owned()));
        }
        let words = with_words(text);
        let error = match serde_json::from_str(&words) {
            Ok(node) => return Ok(Self::One(node)),
            Err(e) => e,
        };
        // One value, and more behind it on the next line: one value a line.
        let second = words.trim_end().lines().nth(1).is_some_and(|line| line.starts_with('{'));
        if !second || !words.starts_with('{') {
            return Err(broken(file, &error, 0));
        }
        let mut lines = Vec::new();
        for (i, line) in words.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            lines.push(serde_json::from_str(line).map_err(|e| broken(file, &e, i))?);
        }
        Ok(Self::Lines(lines))
    }
}

/// What is wrong with JSON; `above` lines stand above it.
fn broken(file: &str, error: &serde_json::Error, above: usize) -> anyhow::Error {
    let line = above + error.line();
    if error.is_eof() {
        return anyhow!(
            "{file}: line {line}: wanted JSON that is whole, found that it ends early: it was cut off, or is still being \
             written; copy it again from where the tool wrote it"
        );
    }
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    anyhow!("{file}: line {line}, column {}: not JSON that can be read: {what}", error.column())
}

/// The text with Python's numbers that are not finite as texts.
fn with_words(text: &str) -> Cow<'_, str> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 64);
    let (mut inside, mut escaped, mut kept) = (false, false, 0);
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        if inside {
            (inside, escaped) = (escaped || *byte != b'"', !escaped && *byte == b'\\');
            at += 1;
            continue;
        }
        let word = ["NaN", "Infinity", "-Infinity"].into_iter().find(|w| {
            text.as_bytes()[at..].starts_with(w.as_bytes())
                && !text.as_bytes().get(at + w.len()).is_some_and(u8::is_ascii_alphanumeric)
        });
        if let Some(word) = word {
            out.push_str(&text[kept..at]);
            out.push('"');
            out.push_str(word);
            out.push('"');
            at += word.len();
            kept = at;
        } else {
            inside = *byte == b'"';
            at += 1;
        }
    }
    out.push_str(&text[kept..]);
    Cow::Owned(out)
}

/// The text of a file: UTF-8, with or without a mark at its beginning.
///
/// # Errors
/// Another encoding, an archive, nothing at all: what it looks like and what to do.
pub fn decode(bytes: Vec<u8>, file: &str) -> anyhow::Result<String> {
    if bytes.starts_with(b"PK\x03\x04") {
        bail!(
            "{file}: wanted text, found an archive (zip); of an inspect log (.eval) write JSON first: inspect log dump \
             FILE.eval > FILE.json"
        );
    }
    let wide = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    if wide || bytes.iter().take(4).any(|b| *b == 0) {
        bail!(
            "{file}: wanted text in UTF-8, found UTF-16 or another encoding with null bytes; convert it: iconv -f UTF-16 -t \
             UTF-8 FILE"
        );
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        anyhow!(
            "{file}: wanted text in UTF-8, found a byte that is none at offset {at}; convert it with iconv"
        )
    })?;
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    if text.trim().is_empty() {
        bail!("{file}: wanted the results of a tool, found an empty file: look whether the tool ended well");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        match Document::read(text, "f.json").unwrap() {
            Document::One(node) => node,
            other => panic!("{other:?}"),
        }
    }

    fn fails(text: &str) -> String {
        Document::read(text, "f.json").unwrap_err().to_string()
    }

    #[test]
    fn numbers_that_are_none_keep_their_word_and_texts_stay() {
        let text =
            r#"{"a": NaN, "b": [Infinity, -Infinity, 1], "c": "NaN, \" Infinity", "NaN": -1, "\\": NaN}"#;
        let node = one(text);
        let at = At::root(&node, "f");
        let read = |name: &str| at.field(name).unwrap().reading().unwrap();
        assert_eq!(read("a"), Reading::NonFinite("NaN"));
        assert_eq!(read("\\"), Reading::NonFinite("NaN"));
        assert_eq!(read("NaN"), Reading::Finite(-1.0));
        assert_eq!(node.text("c"), Some("NaN, \" Infinity"));
        let list: Vec<Reading> =
            at.field("b").unwrap().items().unwrap().iter().map(|i| i.reading().unwrap()).collect();
        let wanted = [Reading::NonFinite("Infinity"), Reading::NonFinite("-Infinity"), Reading::Finite(1.0)];
        assert_eq!(list, wanted);
        // No prefix of another word, and nothing else that Python writes and JSON does not know.
        assert!(fails(r#"{"a": NaNs}"#).contains("line 1"));
        assert!(fails(r#"{"a": nan}"#).contains("line 1"));
    }

    #[test]
    fn keys_stand_once_at_every_depth() {
        let e = fails("{\"a\": [{\"b\": 1,\n \"b\": 2}]}");
        assert!(e.contains("f.json: line 2") && e.contains("found \"b\" twice"), "{e}");
        let e = fails("{\"entry_type\": \"a\"}\n{\"x\": 1, \"x\": 2}");
        assert!(e.contains("f.json: line 2") && e.contains("found \"x\" twice"), "{e}");
    }

    #[test]
    fn what_is_cut_off_is_called_so() {
        for text in ["{\"a\": {", "{\"a\": \"b", "[1, 2", "{\"a\": 1}\n{\"b\": "] {
            assert!(fails(text).contains("it ends early"), "{text}: {}", fails(text));
        }
        assert!(fails("{\"a\": 1e999}").contains("line 1"), "{}", fails("{\"a\": 1e999}"));
        let deep = "[".repeat(5000);
        assert!(fails(&deep).contains("recursion"), "{}", fails(&deep));
    }

    #[test]
    fn counts_are_whole_and_have_a_bound() {
        let count = |text: &str| At::root(&one(&format!("[{text}]")), "f").items().unwrap()[0].count();
        assert_eq!(count("228.0").unwrap(), 228);
        assert_eq!(count("9007199254740991").unwrap(), MOST);
        for bad in [
            "-1",
            "0.5",
            "9007199254740992",
            "9223372036854775807",
            "18446744073709551616",
            "1e308",
            "NaN",
            "\"3\"",
        ] {
            let e = count(bad).unwrap_err().to_string();
            assert!(
                e.contains("f: 0: wanted a whole number from 0 to 9007199254740991, found "),
                "{bad}: {e}"
            );
        }
    }

    #[test]
    fn texts_in_other_encodings_are_named() {
        let wide: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let bare: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [wide, bare] {
            let e = decode(bytes, "f").unwrap_err().to_string();
            assert!(e.contains("UTF-16") && e.contains("iconv"), "{e}");
        }
        assert_eq!(decode(b"\xef\xbb\xbf{}".to_vec(), "f").unwrap(), "{}");
        assert!(decode(b"{\"a\": \"\xe9\"}".to_vec(), "f").unwrap_err().to_string().contains("offset 7"));
        assert!(decode(b" \n".to_vec(), "f").unwrap_err().to_string().contains("an empty file"));
        assert!(decode(b"PK\x03\x04".to_vec(), "f").unwrap_err().to_string().contains("inspect log dump"));
    }
}
