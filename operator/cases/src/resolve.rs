//! Digests that a case writes as what they are of.

use jiff::Timestamp;
use placet_gate::evaluate;
use placet_gate::evidence::Evidence;
use placet_gate::world::{Clock, World};
use serde_json::Value;

use crate::CaseError;
use crate::given::Given;
use crate::place::At;

/// An object that still names a digest in one of these ways has none itself.
const OPEN: [&str; 4] =
    [" of AISystem/", " of ImpactAssessment/", " of ModelRelease/", " of RiskAcceptance/"];

/// The last object of a list that a text names as KIND/NAME.
fn find<'a>(list: &'a [Given], what: &str) -> Result<&'a Given, CaseError> {
    let (kind, name) = what
        .split_once('/')
        .ok_or_else(|| CaseError::Case(format!("a digest of {what:?}: wanted KIND/NAME")))?;
    let found = list.iter().rev().find(|o| o.is(kind, name));
    found.ok_or_else(|| CaseError::Case(format!("a digest of {what}: there is no such object")))
}

/// Replaces `content of KIND/NAME` and its like by digests, until none is left (digests may depend on digests).
///
/// # Errors
/// One names an object that is not there.
pub fn resolve(at: &At<'_>, objects: &mut [Given], base: &[Given]) -> Result<(), CaseError> {
    for _ in 0..4 {
        let snapshot = objects.to_vec();
        for given in objects.iter_mut() {
            let text = given.spec.pointer("/subject/digest").and_then(Value::as_str).unwrap_or_default();
            let then = given.at.unwrap_or(at.now);
            if let Some(parts) = evidence(at, (&snapshot, base), text, then)? {
                given.evidence = Some(Box::new(parts.bounded()));
            }
            walk(&mut given.spec, &|text| digest(at, &snapshot, base, text))?;
        }
    }
    Ok(())
}

/// The digest that a text stands for; None for any other text, and while it cannot be known yet.
fn digest(at: &At<'_>, objects: &[Given], base: &[Given], text: &str) -> Result<Option<String>, CaseError> {
    if let Some(what) = text.strip_prefix("content before change of ") {
        return at.bare_digest(find(base, what)?);
    }
    if let Some(what) = text.strip_prefix("content of ") {
        let given = find(objects, what)?;
        let spec = given.spec.to_string();
        return if OPEN.iter().any(|open| spec.contains(open)) { Ok(None) } else { at.digest(given) };
    }
    if let Some((id, what)) = text.strip_prefix("risk ").and_then(|t| t.split_once(" of ImpactAssessment/")) {
        let given = find(objects, &format!("ImpactAssessment/{what}"))?;
        let found = placet_gate::digest::risk(at.namespace, &given.name, &given.spec, id);
        return found.map_err(|e| CaseError::Case(format!("{text}: {e}")));
    }
    if let Some(what) = text.strip_prefix("classification of ") {
        let given = find(objects, what)?;
        return Ok(placet_gate::digest::classification(at.namespace, &given.name, &given.spec).ok());
    }
    Ok(evidence(at, (objects, base), text, at.now)?.and_then(|parts| parts.digest().ok()))
}

/// What the evidence is made of that a text names: `evidence of MR` as the case gives it, `evidence before change of MR` as
/// its base does; with the levels of a moment.
fn evidence(
    at: &At<'_>,
    (objects, base): (&[Given], &[Given]),
    text: &str,
    then: Timestamp,
) -> Result<Option<Evidence>, CaseError> {
    let (list, what) = match text.strip_prefix("evidence before change of ") {
        Some(what) => (base, what),
        None => match text.strip_prefix("evidence of ") {
            Some(what) => (objects, what),
            None => return Ok(None),
        },
    };
    let mut world = World::new();
    for given in list {
        at.add(&mut world, given, false)?;
    }
    let name = what.split_once('/').map_or(what, |(_, name)| name);
    Ok(evaluate(&world.snapshot(at.namespace, name, Clock::Trusted(then))).shown.evidence)
}

fn walk(
    value: &mut Value,
    digest: &dyn Fn(&str) -> Result<Option<String>, CaseError>,
) -> Result<(), CaseError> {
    match value {
        Value::String(text) => {
            if let Some(found) = digest(text)? {
                *text = found;
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|i| walk(i, digest)),
        Value::Object(map) => map.values_mut().try_for_each(|i| walk(i, digest)),
        _ => Ok(()),
    }
}
