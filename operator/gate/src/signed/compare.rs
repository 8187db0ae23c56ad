//! Whether what was signed is what the object says.

use std::fmt;

use placet_api::Kind;
use serde_json::{Value, json};

use super::envelope::cut;
use super::payload::{AuthorPayload, Payload, PayloadError};

/// Most differences that are named.
const MAX_NAMED: usize = 16;
/// Where the envelope itself stands in a spec.
const ENVELOPE: &str = "/signed/envelope";
/// Lists whose order carries no meaning.
const SETS: [&str; 2] = ["answers", "risks"];

/// Where an object is judged.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The cluster's configured name, or the uid of its kube-system namespace.
    pub cluster: &'a str,
    /// Namespace of the object that carries the signature.
    pub namespace: &'a str,
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: &'a str,
}

/// What was signed is not what the object says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// What differs, in the order of the payload's fields; at most 16.
    pub differences: Vec<Difference>,
}

/// One difference. Values are JSON, cut to 200 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A field has another value.
    Field {
        /// Its name in the payload.
        field: String,
        /// The value that was signed.
        signed: String,
        /// The value in the object, or of the place.
        found: String,
    },
    /// The spec says something that no signature covers.
    Unsigned {
        /// Where, from the spec.
        field: String,
        /// What it says.
        found: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Field { field, signed, found } => {
                write!(f, "{field}: signed {signed}, found {found}")
            }
            Difference::Unsigned { field, found } => write!(f, "{field}: not signed at all, found {found}"),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what was signed is not what the object says: ")?;
        for (i, difference) in self.differences.iter().enumerate() {
            write!(f, "{}{difference}", if i == 0 { "" } else { "; " })?;
        }
        f.write_str("; sign again what is to count")
    }
}

impl std::error::Error for Mismatch {}

/// Compares a payload with the raw spec of the object that carries it, and with the place where it is judged. Every field
/// of the payload has the same value there, and the spec says nothing that the payload does not repeat.
///
/// # Errors
/// Each field that differs, with both values.
pub fn compare<P: Payload>(payload: &P, spec: &Value, place: Place<'_>) -> Result<(), Mismatch> {
    let mut differences = Vec::new();
    let mut check = |field: &str, signed: &Value, found: &Value| {
        if signed != found {
            differences.push(Difference::Field {
                field: field.to_owned(),
                signed: cut(&signed.to_string()),
                found: cut(&found.to_string()),
            });
        }
    };
    check("cluster", &payload.cluster().into(), &place.cluster.into());
    check("namespace", &payload.namespace().into(), &place.namespace.into());
    if let Some((kind, name)) = payload.carrier() {
        check("kind", &kind.as_str().into(), &place.kind.as_str().into());
        check("name", &name.into(), &place.name.into());
    }
    // A payload is a struct of texts and lists, which always has a JSON form; without one, every field differs.
    let signed = serde_json::to_value(payload).unwrap_or_default();
    for (field, pointer) in P::FIELDS {
        let is_set = SETS.contains(field);
        let mut signed = without_nulls(signed.get(*field));
        let mut found = without_nulls(spec.pointer(pointer));
        if is_set {
            sort(&mut signed);
            sort(&mut found);
        }
        check(field, &signed, &found);
    }
    unsigned(spec, "", P::FIELDS, &mut differences);
    differences.truncate(MAX_NAMED);
    if differences.is_empty() { Ok(()) } else { Err(Mismatch { differences }) }
}

/// The payload that repeats a spec and its place: what a person signs, who says when and with which nonce in
/// `spec.signed`. Whether the spec says more than a signature of this type covers, [`compare`] tells.
///
/// # Errors
/// The spec says something that cannot be signed.
pub fn payload_of<P: Payload>(spec: &Value, place: Place<'_>) -> Result<P, PayloadError> {
    // Where a spec says kind and name, they are those of what it is about.
    let mut payload = json!({
        "cluster": place.cluster, "namespace": place.namespace, "kind": place.kind.as_str(), "name": place.name,
    });
    for (field, pointer) in P::FIELDS {
        payload[*field] = spec.pointer(pointer).cloned().unwrap_or_default();
    }
    P::from_bytes(payload.to_string().as_bytes())
}

/// Compares an author's payload with the object that it is about: its kind, name and content digest.
///
/// # Errors
/// Each field that differs, with both values.
pub fn compare_author(
    payload: &AuthorPayload,
    name: &str,
    digest: &str,
    place: Place<'_>,
) -> Result<(), Mismatch> {
    let object = json!({"kind": place.kind.as_str(), "name": name, "digest": digest});
    compare(payload, &object, place)
}

/// A null and a field that is left out mean the same.
fn without_nulls(value: Option<&Value>) -> Value {
    match value {
        Some(Value::Object(fields)) => fields
            .iter()
            .filter(|(_, v)| !v.is_null())
            .map(|(k, v)| (k.clone(), without_nulls(Some(v))))
            .collect(),
        Some(Value::Array(items)) => items.iter().map(|v| without_nulls(Some(v))).collect(),
        Some(other) => other.clone(),
        None => Value::Null,
    }
}

fn sort(list: &mut Value) {
    if let Value::Array(items) = list {
        items.sort_by_cached_key(Value::to_string);
    }
}

/// Collects what the spec says outside of the fields that are compared.
fn unsigned(value: &Value, at: &str, fields: &[(&str, &str)], differences: &mut Vec<Difference>) {
    if value.is_null() || at == ENVELOPE || fields.iter().any(|(_, pointer)| *pointer == at) {
        return;
    }
    let leads_to_one = |pointer: &str| pointer.strip_prefix(at).is_some_and(|rest| rest.starts_with('/'));
    match value {
        Value::Object(members) if leads_to_one(ENVELOPE) || fields.iter().any(|(_, p)| leads_to_one(p)) => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                unsigned(member, &format!("{at}/{name}"), fields, differences);
            }
        }
        _ => differences.push(Difference::Unsigned {
            field: cut(&format!("spec{}", at.replace('/', "."))),
            found: cut(&value.to_string()),
        }),
    }
}
