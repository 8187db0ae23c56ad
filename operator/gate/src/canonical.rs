//! RFC 8785 JSON. The general writer keeps the members of each object apart until it can sort them, which takes most of
//! the time of a digest. Nearly all values need less: texts, small integers, and members with ASCII names, which are
//! sorted as their bytes are. Those are written here, all others there; the bytes are the same.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// Integers up to here are the same in JSON and as the floating point numbers of RFC 8785.
const EXACT: u64 = 1 << 53;

/// Whether [`Sorted`], written as plain JSON, is the RFC 8785 JSON of a value: no numbers but small integers, and names
/// in ASCII.
pub(crate) fn is_plain(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(n) => n.as_i64().is_some_and(|n| n.unsigned_abs() <= EXACT),
        Value::Array(items) => items.iter().all(is_plain),
        Value::Object(map) => map.iter().all(|(key, value)| key.is_ascii() && is_plain(value)),
    }
}

/// Appends the RFC 8785 JSON of a value.
///
/// # Errors
/// It has none.
pub(crate) fn write(value: &Value, out: &mut Vec<u8>) -> serde_json::Result<()> {
    if is_plain(value) {
        serde_json::to_writer(out, &Sorted(value))
    } else {
        serde_json_canonicalizer::to_writer(value, out)
    }
}

/// A value, the members of each object by name.
pub(crate) struct Sorted<'a>(pub(crate) &'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) => serializer.collect_seq(items.iter().map(Sorted)),
            Value::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in by_name(fields) {
                    map.serialize_entry(name, &Sorted(value))?;
                }
                map.end()
            }
            plain => plain.serialize(serializer),
        }
    }
}

/// The members of an object by name.
pub(crate) fn by_name(fields: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut all: Vec<_> = fields.iter().collect();
    all.sort_unstable_by_key(|(name, _)| *name);
    all
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any value that JSON can hold, with members that sort by their UTF-16 otherwise than by their bytes.
    pub(crate) fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-9_i64..9).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[\\x00-\\x7f]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let names = prop_oneof!["[a-c\"\\x00é\u{ff5e}\u{1f600}]{0,3}", "[a-zA-Z0-9./_-]{0,3}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::vec((names, inner), 0..5)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_bytes_are_those_of_the_general_writer(value in anything()) {
            let mut bytes = b"before".to_vec();
            write(&value, &mut bytes).unwrap();
            prop_assert_eq!(&bytes[6..], serde_json_canonicalizer::to_vec(&value).unwrap());
        }
    }
}
