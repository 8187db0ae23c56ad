//! Specs as text: a JSON value takes six times the memory of its text, everything that exists is kept, and after reading
//! it is seldom asked for again.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// A spec. Written and read as the JSON that it is; copies share their text.
#[derive(Clone, PartialEq, Eq)]
pub struct Spec(Arc<str>);

impl Spec {
    /// As a value.
    pub fn value(&self) -> Value {
        // It was written from a value.
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// The text of a field, if it has the field and that is text.
    pub fn text(&self, field: &str) -> Option<String> {
        self.value().get(field)?.as_str().map(str::to_owned)
    }

    /// Its JSON, fields in the order in which they came.
    pub fn json(&self) -> &str {
        &self.0
    }
}

impl From<Value> for Spec {
    fn from(value: Value) -> Self {
        Self(value.to_string().into())
    }
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Spec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Spec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_written_and_read_as_the_json_that_it_is() {
        let value = json!({"b": [1, 2.5, {"z": null, "a": "\u{202e}\"x"}], "a": true});
        let spec = Spec::from(value.clone());
        assert_eq!(spec.value(), value);
        assert_eq!(serde_json::to_string(&spec).unwrap(), value.to_string());
        assert_eq!(serde_json::to_value(&spec).unwrap(), value);
        let read: Spec =
            serde_json::from_str("{ \"b\" : [1, 2.5, {\"z\":null,\"a\":\"\\u202e\\\"x\"}],\"a\":true}")
                .unwrap();
        assert_eq!(read, spec);
        assert_eq!(serde_json::from_value::<Spec>(value).unwrap(), spec);
        assert_eq!(Spec::from(json!({"a": "b", "c": 1})).text("a").as_deref(), Some("b"));
        assert_eq!(Spec::from(json!({"a": "b", "c": 1})).text("c"), None);
        assert_eq!(Spec::from(Value::Null).text("c"), None);
    }
}
