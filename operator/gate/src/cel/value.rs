//! Values of expressions: those of JSON, moments and lengths of time.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// A value. Copies share what they hold.
#[derive(Debug, Clone)]
pub enum Val {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number; finite.
    Double(f64),
    /// A text.
    Text(Rc<str>),
    /// A list.
    List(Rc<Vec<Val>>),
    /// A map, by key.
    Map(Rc<BTreeMap<String, Val>>),
    /// A moment.
    Time(Timestamp),
    /// A length of time.
    Span(SignedDuration),
}

impl Val {
    /// What it is, in a word.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Val::Null => "null",
            Val::Bool(_) => "bool",
            Val::Int(_) => "int",
            Val::Double(_) => "double",
            Val::Text(_) => "string",
            Val::List(_) => "list",
            Val::Map(_) => "map",
            Val::Time(_) => "timestamp",
            Val::Span(_) => "duration",
        }
    }

    pub(crate) fn text(text: &str) -> Self {
        Val::Text(text.into())
    }

    /// The order of two values; None if they have none.
    pub(super) fn order(&self, other: &Val) -> Option<Ordering> {
        match (self, other) {
            (Val::Int(a), Val::Int(b)) => Some(a.cmp(b)),
            (Val::Double(a), Val::Double(b)) => a.partial_cmp(b),
            (Val::Int(a), Val::Double(b)) => int_with_double(*a, *b),
            (Val::Double(a), Val::Int(b)) => int_with_double(*b, *a).map(Ordering::reverse),
            (Val::Text(a), Val::Text(b)) => Some(a.cmp(b)),
            (Val::Bool(a), Val::Bool(b)) => Some(a.cmp(b)),
            (Val::Time(a), Val::Time(b)) => Some(a.cmp(b)),
            (Val::Span(a), Val::Span(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

/// The exact order of a whole number and another one: the nearest double of a large number is another number.
fn int_with_double(int: i64, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // 2^63, which is the first double above every i64; its negative is the smallest i64.
    let bound = 9_223_372_036_854_775_808.0;
    if double >= bound {
        return Some(Ordering::Less);
    }
    if double < -bound {
        return Some(Ordering::Greater);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is within the range of i64, and the rest is compared below"
    )]
    let whole = double.trunc() as i64;
    Some(int.cmp(&whole).then_with(|| 0.0_f64.total_cmp(&(double.fract() + 0.0))))
}

impl From<&Value> for Val {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Val::Null,
            Value::Bool(b) => Val::Bool(*b),
            Value::Number(n) => match (n.as_i64(), n.as_f64()) {
                (Some(int), _) => Val::Int(int),
                (None, Some(double)) => Val::Double(double),
                (None, None) => Val::Null,
            },
            Value::String(text) => Val::text(text),
            Value::Array(items) => Val::List(Rc::new(items.iter().map(Val::from).collect())),
            Value::Object(map) => {
                Val::Map(Rc::new(map.iter().map(|(k, v)| (k.clone(), Val::from(v))).collect()))
            }
        }
    }
}
