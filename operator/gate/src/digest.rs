//! Digests that bind an approval to a content (invariant 4).
//!
//! A content digest is SHA-256 over `placet.dev/digest/v1\n` and the RFC 8785 JSON of {group, kind, namespace (left out
//! for cluster kinds), name, spec} of the object as stored: raw JSON, never a typed struct that could drop a field.
//! Lists with keys are sorted by their keys and sets by their values, since the API server may reorder neither meaning
//! nor content by them; `spec.withdrawn` is left out, since withdrawing changes what may run, not what was looked at.

use placet_api::Kind;
use placet_api::keys::GROUP;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::canonical;
use crate::class::Ground;

/// Largest integer that JSON readers agree on (RFC 8785 numbers are IEEE doubles).
const MAX_INTEGER: u64 = 1 << 53;

/// A content that cannot be digested.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// An integer that a double cannot hold exactly.
    #[error("{path}: wanted an integer of at most 2^53, found {found}; write larger numbers as text")]
    IntegerTooLarge {
        /// Where in the object.
        path: String,
        /// The number as written.
        found: String,
    },
    /// Nested deeper than any of our kinds.
    #[error("{path}: nested deeper than {MAX_DEPTH} levels")]
    TooDeep {
        /// Where in the object.
        path: String,
    },
    /// The canonical form could not be written.
    #[error("no canonical JSON: {0}")]
    Canonical(String),
}

const MAX_DEPTH: usize = 32;

/// Digest of an object's content. `namespace` is ignored for cluster kinds.
///
/// # Errors
/// Integers beyond 2^53, or nesting deeper than 32.
pub fn content(kind: Kind, namespace: Option<&str>, name: &str, spec: &Value) -> Result<String, DigestError> {
    check_numbers(spec, "spec", 0)?;
    let mut spec = spec.clone();
    if kind == Kind::ModelRelease
        && let Some(map) = spec.as_object_mut()
    {
        map.remove("withdrawn");
    }
    sort_keyed_lists(kind, &mut spec);
    let mut body = identity(kind, namespace, name);
    body.insert("spec".into(), spec);
    hash("placet.dev/digest/v1\n", &Value::Object(body))
}

/// Digest of what an AISystem's class depends on: purpose, intended use, triggers, derogation and exceptions; with a
/// derogation also when it was placed on the market, before which that was assessed.
///
/// # Errors
/// As [`content`].
pub fn classification(namespace: &str, name: &str, spec: &Value) -> Result<String, DigestError> {
    check_numbers(spec, "spec", 0)?;
    let mut spec = spec.clone();
    sort_keyed_lists(Kind::AISystem, &mut spec);
    let mut body = identity(Kind::AISystem, Some(namespace), name);
    let derogated = spec.get("derogation").is_some_and(|d| !d.is_null());
    let market = derogated.then_some("placedOnMarketAt");
    for field in ["purpose", "intendedUse", "triggers", "derogation", "exceptions"].into_iter().chain(market)
    {
        if let Some(value) = spec.get_mut(field) {
            body.insert(field.into(), value.take());
        }
    }
    hash("placet.dev/classification/v1\n", &Value::Object(body))
}

/// Digest of one risk of an assessment: SHA-256 over `placet.dev/risk/v1\n` and the RFC 8785 JSON of {namespace,
/// assessment, risk, harms}: the risk as the assessment's spec writes it, with the harms that it names. The level is not in
/// it: it follows from these and from a policy's matrix, and an acceptance says which level it accepts.
///
/// # Errors
/// As [`content`]; `None` inside if the spec has no such risk.
pub fn risk(
    namespace: &str,
    assessment: &str,
    spec: &Value,
    id: &str,
) -> Result<Option<String>, DigestError> {
    let listed = |list: &str| spec.get(list).and_then(Value::as_array).into_iter().flatten();
    let Some(risk) = listed("risks").find(|r| r["id"] == id) else { return Ok(None) };
    let named: Vec<&Value> = risk.get("harms").and_then(Value::as_array).into_iter().flatten().collect();
    let mut part = serde_json::json!({
        "risks": [risk],
        "harms": listed("harms").filter(|h| named.contains(&&h["id"])).collect::<Vec<_>>(),
    });
    check_numbers(&part, "spec", 0)?;
    sort_keyed_lists(Kind::ImpactAssessment, &mut part);
    let body = serde_json::json!({
        "namespace": namespace,
        "assessment": assessment,
        "risk": part["risks"][0],
        "harms": part["harms"],
    });
    hash("placet.dev/risk/v1\n", &body).map(Some)
}

/// Digest of what a Dataset says, whatever the object is called and replaces: SHA-256 over `placet.dev/dataset/v1\n` and the RFC 8785
/// JSON of its spec without `supersedes`.
///
/// # Errors
/// As [`content`].
pub fn dataset(spec: &Value) -> Result<String, DigestError> {
    check_numbers(spec, "spec", 0)?;
    let mut spec = spec.clone();
    if let Some(map) = spec.as_object_mut() {
        map.remove("supersedes");
    }
    sort_keyed_lists(Kind::Dataset, &mut spec);
    hash("placet.dev/dataset/v1\n", &spec)
}

/// Digest by which the deletion of a version of a cluster-scoped object is approved: SHA-256 over `placet.dev/deletion/v1\n`
/// and the RFC 8785 JSON of {group, kind, name, version}, the content digest of that version.
///
/// # Errors
/// As [`content`].
pub fn deletion(kind: Kind, name: &str, version: &str) -> Result<String, DigestError> {
    let mut body = identity(kind, None, name);
    body.insert("version".into(), version.into());
    hash("placet.dev/deletion/v1\n", &Value::Object(body))
}

/// Digest of everything that an approval covering Evidence binds: digests of the release's content, its class and basis,
/// the assessment, the datasets (where they are asked about), the reports and the requirements.
///
/// # Errors
/// As [`content`].
pub fn evidence(parts: &EvidenceParts<'_>) -> Result<String, DigestError> {
    of_canonical(
        "placet.dev/evidence/v1\n",
        &Canonical {
            assessment: parts.assessment,
            class: parts.class,
            class_basis: parts.class_basis,
            content: parts.content,
            datasets: parts.datasets.map(each_once),
            reports: each_once(parts.reports),
            requirements: parts.requirements,
        },
    )
}

/// A list in order, each of it once.
fn each_once<'a>(list: &[&'a str]) -> Vec<&'a str> {
    let mut list = list.to_vec();
    list.sort_unstable();
    list.dedup();
    list
}

/// Digest of requirements with what of a system they are held against; that of the requirements where it is nothing.
///
/// # Errors
/// As [`content`].
pub(crate) fn applied(applied: &Applied<'_>) -> Result<String, DigestError> {
    let requirements = applied.requirements;
    let alone = Applied { requirements, ..Applied::default() };
    if *applied == alone { Ok(requirements.to_owned()) } else { of_canonical("", applied) }
}

/// Digest of what is canonical JSON as it is written.
fn of_canonical(domain: &str, value: &impl serde::Serialize) -> Result<String, DigestError> {
    let mut text = Vec::with_capacity(1024);
    serde_json::to_writer(&mut text, value).map_err(|e| DigestError::Canonical(e.to_string()))?;
    Ok(hash_text(domain, &text))
}

/// What [`applied`] is taken of: digests, the fields in the order of RFC 8785, and none for what is not asked about.
#[derive(Debug, Default, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Applied<'a> {
    /// Digest of what gates of policies' authors read and the evidence does not hold otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) custom: Option<&'a str>,
    /// Digest of who is to be tested for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) evaluation: Option<&'a str>,
    /// Digest of the releases that it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) named: Option<&'a str>,
    /// Digest of the oversight plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) oversight: Option<&'a str>,
    /// Whether personal data are processed, or that it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) personal_data: Option<Value>,
    /// Digest of the requirements.
    pub(crate) requirements: &'a str,
    /// Digest of what an assessment is held against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) system: Option<&'a str>,
    /// Digest of the notices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transparency: Option<&'a str>,
}

/// What an evidence digest is taken of. Its fields are digests and the name of a class in the order of RFC 8785, so that
/// this is the canonical form as it is.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Canonical<'a> {
    assessment: Option<&'a str>,
    class: &'a str,
    class_basis: &'a str,
    content: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    datasets: Option<Vec<&'a str>>,
    reports: Vec<&'a str>,
    requirements: &'a str,
}

/// Digest of why a system has its class.
///
/// # Errors
/// As [`content`].
pub fn class_basis(basis: &[Ground]) -> Result<String, DigestError> {
    of_value(&serde_json::json!(basis))
}

/// What an evidence digest is made of.
#[derive(Debug, Clone, Copy)]
pub struct EvidenceParts<'a> {
    /// Content digest of the release.
    pub content: &'a str,
    /// Class of the system.
    pub class: &'a str,
    /// Digest of why it has this class ([`class_basis`]).
    pub class_basis: &'a str,
    /// Content digest of the current assessment, if there is one.
    pub assessment: Option<&'a str>,
    /// Content digests of the Datasets of what the release names, where the policies ask about data.
    pub datasets: Option<&'a [&'a str]>,
    /// Content digests of the reports that count.
    pub reports: &'a [&'a str],
    /// Digest of the requirements of the policies that apply.
    pub requirements: &'a str,
}

/// SHA-256 of the RFC 8785 JSON of a value, without a domain prefix: for parts of other digests.
///
/// # Errors
/// The value has no canonical form.
pub fn of_value(value: &Value) -> Result<String, DigestError> {
    hash("", value)
}

/// SHA-256 of bytes, written `sha256:` and hex.
pub fn of_bytes(bytes: &[u8]) -> String {
    written(&Sha256::digest(bytes).into())
}

/// A SHA-256 as it is written: `sha256:` and hex.
fn written(hash: &[u8; 32]) -> String {
    let mut digits = [0; 64];
    // Two digits for each byte: there is always room.
    let _ = hex::encode_to_slice(hash, &mut digits);
    ["sha256:", std::str::from_utf8(&digits).unwrap_or_default()].concat()
}

fn identity(kind: Kind, namespace: Option<&str>, name: &str) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("group".into(), GROUP.into());
    body.insert("kind".into(), kind.as_str().into());
    if kind.namespaced() {
        body.insert("namespace".into(), namespace.unwrap_or_default().into());
    }
    body.insert("name".into(), name.into());
    body
}

fn hash(domain: &str, value: &Value) -> Result<String, DigestError> {
    let mut text = Vec::with_capacity(1024);
    canonical::write(value, &mut text).map_err(|e| DigestError::Canonical(e.to_string()))?;
    Ok(hash_text(domain, &text))
}

fn hash_text(domain: &str, text: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(domain.as_bytes());
    hasher.update(text);
    written(&hasher.finalize().into())
}

fn check_numbers(value: &Value, path: &str, depth: usize) -> Result<(), DigestError> {
    if depth > MAX_DEPTH {
        return Err(DigestError::TooDeep { path: path.to_owned() });
    }
    match value {
        Value::Number(n) => {
            let magnitude = n.as_u64().or_else(|| n.as_i64().map(i64::unsigned_abs));
            match magnitude {
                Some(m) if m > MAX_INTEGER => {
                    Err(DigestError::IntegerTooLarge { path: path.to_owned(), found: n.to_string() })
                }
                _ => Ok(()),
            }
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(i, item)| check_numbers(item, &format!("{path}[{i}]"), depth + 1)),
        Value::Object(map) => {
            map.iter().try_for_each(|(k, item)| check_numbers(item, &format!("{path}.{k}"), depth + 1))
        }
        _ => Ok(()),
    }
}

/// A spec with the lists in order whose order carries no meaning: two of which nothing else differs are equal.
pub(crate) fn in_order(kind: Kind, mut spec: Value) -> Value {
    sort_keyed_lists(kind, &mut spec);
    spec
}

fn sort_keyed_lists(kind: Kind, spec: &mut Value) {
    for (path, keys) in kind.keyed_lists() {
        let segments: Vec<&str> = path.split('.').collect();
        visit(spec, &segments, &mut |value| {
            if let Value::Array(items) = value {
                if keys.is_empty() {
                    items.sort_by_cached_key(Value::to_string);
                } else {
                    items.sort_by_cached_key(|item| {
                        keys.iter().map(|k| item.get(*k).map(Value::to_string)).collect::<Vec<_>>()
                    });
                }
            }
        });
    }
}

/// Calls `f` on every value at a path; `*` stands for each item of a list.
pub(crate) fn visit(value: &mut Value, path: &[&str], f: &mut dyn FnMut(&mut Value)) {
    let Some((first, rest)) = path.split_first() else {
        f(value);
        return;
    };
    if *first == "*" {
        if let Value::Array(items) = value {
            for item in items {
                visit(item, rest, f);
            }
        }
    } else if let Some(next) = value.get_mut(*first) {
        visit(next, rest, f);
    }
}

/// Paths of the fields that differ between two specs, at most `limit`, for people to read.
pub fn changed_fields(old: &Value, new: &Value, limit: usize) -> Vec<String> {
    let mut paths = Vec::new();
    diff(old, new, "spec", &mut paths, limit);
    paths
}

fn diff(old: &Value, new: &Value, path: &str, paths: &mut Vec<String>, limit: usize) {
    if old == new || paths.len() >= limit {
        return;
    }
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let null = Value::Null;
                diff(
                    a.get(key).unwrap_or(&null),
                    b.get(key).unwrap_or(&null),
                    &format!("{path}.{key}"),
                    paths,
                    limit,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (x, y)) in a.iter().zip(b).enumerate() {
                let name = ["name", "id", "role", "control", "part", "duty", "function"]
                    .iter()
                    .find_map(|k| x.get(*k)?.as_str());
                let item = name.map_or_else(|| format!("{path}[{i}]"), |n| format!("{path}[{n}]"));
                diff(x, y, &item, paths, limit);
            }
        }
        _ => paths.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn order_of_keyed_lists_and_fields_carries_no_meaning() {
        let a =
            json!({"system": "s", "artifacts": [{"name": "a", "digest": "1"}, {"name": "b", "digest": "2"}]});
        let b =
            json!({"artifacts": [{"digest": "2", "name": "b"}, {"name": "a", "digest": "1"}], "system": "s"});
        let digest = |v| content(Kind::ModelRelease, Some("n"), "m", v).unwrap();
        assert_eq!(digest(&a), digest(&b));
    }

    #[test]
    fn withdrawing_keeps_the_digest_and_every_other_field_changes_it() {
        let base = json!({"system": "s", "version": "1"});
        let digest = |v: &Value| content(Kind::ModelRelease, Some("n"), "m", v).unwrap();
        assert_eq!(digest(&base), digest(&json!({"system": "s", "version": "1", "withdrawn": true})));
        assert_ne!(digest(&base), digest(&json!({"system": "s", "version": "2"})));
        assert_ne!(digest(&base), digest(&json!({"system": "s", "version": "1", "unknownToUs": 1})));
        assert_ne!(digest(&base), content(Kind::ModelRelease, Some("other"), "m", &base).unwrap());
    }

    #[test]
    fn a_classification_changes_with_each_part_that_the_class_depends_on_and_with_no_other() {
        let spec = json!({"purpose": "p", "intendedUse": {"regions": ["EU"]}, "triggers": {"annexIII": ["5(b)"]},
            "derogation": {"condition": "PreparatoryTask"}, "exceptions": [], "placedOnMarketAt": "2026-06-01",
            "stage": "Operation", "title": "t"});
        let digest = |spec: &Value| classification("n", "s", spec).unwrap();
        let with = |spec: &Value, field: &str, value: Value| {
            let mut other = spec.clone();
            other[field] = value;
            digest(&other)
        };
        for field in ["purpose", "intendedUse", "triggers", "derogation", "exceptions", "placedOnMarketAt"] {
            assert_ne!(digest(&spec), with(&spec, field, json!("another")), "{field}");
        }
        for field in ["stage", "title", "designChangedAt"] {
            assert_eq!(digest(&spec), with(&spec, field, json!("another")), "{field}");
        }
        let mut plain = spec.clone();
        plain.as_object_mut().unwrap().remove("derogation");
        assert_eq!(
            digest(&plain),
            with(&plain, "placedOnMarketAt", json!("another")),
            "no class depends on it"
        );
    }

    #[test]
    fn integers_beyond_2_53_are_refused() {
        let e = content(Kind::TestReport, Some("n"), "m", &json!({"rows": 9_007_199_254_740_993_u64}))
            .unwrap_err();
        assert!(e.to_string().contains("spec.rows"), "{e}");
    }

    #[test]
    fn an_evidence_digest_is_taken_of_canonical_json() {
        for assessment in [None, Some("sha256:ab")] {
            let parts = EvidenceParts {
                content: "sha256:01",
                class: "High",
                class_basis: "sha256:02",
                assessment,
                datasets: None,
                reports: &["sha256:05", "sha256:04", "sha256:05"],
                requirements: "sha256:03",
            };
            let value = json!({
                "content": "sha256:01", "class": "High", "classBasis": "sha256:02", "assessment": assessment,
                "reports": ["sha256:04", "sha256:05"], "requirements": "sha256:03",
            });
            assert_eq!(evidence(&parts).unwrap(), hash("placet.dev/evidence/v1\n", &value).unwrap());
            // Where data is asked about, what is said of it is in it, also where nothing is.
            for datasets in [&["sha256:07", "sha256:06", "sha256:07"][..], &[]] {
                let parts = EvidenceParts { datasets: Some(datasets), ..parts };
                let mut value = value.clone();
                value["datasets"] =
                    if datasets.is_empty() { json!([]) } else { json!(["sha256:06", "sha256:07"]) };
                assert_eq!(evidence(&parts).unwrap(), hash("placet.dev/evidence/v1\n", &value).unwrap());
            }
        }
    }

    #[test]
    fn what_a_dataset_says_is_whatever_it_replaces_and_in_whatever_order() {
        let spec = json!({
            "name": "d", "permittedUses": ["Training", "Evaluation"],
            "groups": [{"attribute": "sex", "counts": [{"value": "m", "rows": 1}, {"value": "f", "rows": 2}]}],
        });
        let mut same = json!({
            "permittedUses": ["Evaluation", "Training"], "name": "d", "supersedes": {"datasets": ["e"], "reason": "r"},
            "groups": [{"counts": [{"value": "f", "rows": 2}, {"value": "m", "rows": 1}], "attribute": "sex"}],
        });
        assert_eq!(dataset(&same).unwrap(), dataset(&spec).unwrap());
        same["groups"][0]["counts"][0]["rows"] = 3.into();
        assert_ne!(dataset(&same).unwrap(), dataset(&spec).unwrap());
        assert!(dataset(&json!({"rows": 9_007_199_254_740_993_u64})).is_err());
    }

    #[test]
    fn applied_requirements_are_digested_as_canonical_json() {
        let of = |facts: Applied<'_>| applied(&Applied { requirements: "sha256:03", ..facts }).unwrap();
        assert_eq!(of(Applied::default()), "sha256:03", "held against nothing");
        for personal in [None, Some(false), Some(true)] {
            let value = json!({"requirements": "sha256:03", "personalData": personal});
            let facts = Applied { personal_data: Some(json!(personal)), ..Applied::default() };
            assert_eq!(of(facts), of_value(&value).unwrap());
            let (system, evaluation) = (Some("sha256:04"), Some("sha256:05"));
            let value = json!({
                "requirements": "sha256:03", "personalData": personal, "system": system, "evaluation": evaluation,
            });
            let personal_data = Some(json!(personal));
            let facts = Applied { evaluation, personal_data, system, ..Applied::default() };
            assert_eq!(of(facts), of_value(&value).unwrap());
            let (named, oversight, transparency) = (Some("sha256:06"), Some("sha256:07"), Some("sha256:08"));
            let custom = Some("sha256:09");
            let mut value = value;
            value["custom"] = json!(custom);
            value["named"] = json!(named);
            value["oversight"] = json!(oversight);
            value["transparency"] = json!(transparency);
            let personal_data = Some(json!(personal));
            let facts = Applied {
                custom,
                evaluation,
                named,
                oversight,
                personal_data,
                requirements: "",
                system,
                transparency,
            };
            assert_eq!(of(facts), of_value(&value).unwrap());
        }
    }

    #[test]
    fn changed_fields_are_named_by_list_item() {
        let old = json!({"artifacts": [{"name": "weights", "digest": "a"}], "version": "1"});
        let new = json!({"artifacts": [{"name": "weights", "digest": "b"}], "version": "1"});
        assert_eq!(changed_fields(&old, &new, 5), ["spec.artifacts[weights].digest"]);
    }
}
