//! What a signed RiskAcceptance says is what was signed, each field of it; so with an Approval. Which fields there are is
//! taken from the definitions, so that a new one is signed or these tests fail.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::collections::BTreeSet;

use placet_api::Kind;
use placet_gate::signed::{
    ApprovalPayload, Difference, Payload, Place, RiskAcceptancePayload, compare, payload_of,
};
use serde_json::{Value, json};

#[path = "signed/common.rs"]
#[expect(dead_code, reason = "other tests make envelopes with it")]
mod common;

use common::{PLACE, acceptance, approval};

const HERE: Place<'_> = Place { kind: Kind::RiskAcceptance, name: "r1-frank", ..PLACE };

fn signed() -> Value {
    json!({"issuedAt": "2026-11-20T12:00:00Z", "nonce": "00112233445566778899aabbccddeeff", "envelope": "{}"})
}

/// The spec of which the payload is [`acceptance`].
fn spec() -> Value {
    let payload = acceptance();
    json!({
        "assessment": {"name": payload["assessment"]}, "conditions": payload["conditions"],
        "expiresAt": payload["expiresAt"], "level": payload["level"], "rationale": payload["rationale"],
        "risks": [payload["risks"][1], payload["risks"][0]], "role": payload["role"], "signed": signed(),
    })
}

#[test]
fn an_acceptance_is_of_the_risks_that_were_signed_in_any_order() {
    let payload = RiskAcceptancePayload::from_bytes(acceptance().to_string().as_bytes()).unwrap();
    assert_eq!(compare(&payload, &spec(), HERE), Ok(()));
    let differs = |pointer: &str, value: Value| {
        let mut spec = spec();
        *spec.pointer_mut(pointer).unwrap() = value;
        let found = compare(&payload, &spec, HERE).unwrap_err().differences;
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let (one, three) = (acceptance()["risks"][0]["digest"].clone(), format!("sha256:{}", "3".repeat(64)));
    for (pointer, value, named) in [
        ("/risks/0/digest", json!(three), "risks: signed"),
        ("/risks/0/id", json!("R3"), "risks: signed"),
        ("/risks", json!([{"id": "R1", "digest": one}]), "risks: signed"),
        ("/assessment", json!({"name": "another"}), "assessment: signed"),
        (
            "/assessment",
            json!({"name": "impact-2026", "digest": one}),
            "spec.assessment.digest: not signed at all",
        ),
        ("/conditions", json!(["b", "a"]), "conditions: signed"),
        ("/conditions", Value::Null, "conditions: signed"),
        ("/level", json!("Medium"), "level: signed \"High\", found \"Medium\""),
        ("/rationale", json!("other"), "rationale: signed"),
        ("/role", json!("risk-officer"), "role: signed"),
        ("/expiresAt", json!("2027-01-02T00:00:00Z"), "expiresAt: signed"),
        ("/signed/nonce", json!("0".repeat(32)), "nonce: signed"),
        ("/signed/issuedAt", json!("2026-11-20T12:00:01Z"), "issuedAt: signed"),
    ] {
        let found = differs(pointer, value);
        assert!(found.starts_with(named) && !found.contains('\n'), "{pointer}: {found}");
    }
    for (place, named) in [
        (Place { cluster: "prod-us", ..HERE }, "cluster"),
        (Place { namespace: "retail", ..HERE }, "namespace"),
        (Place { kind: Kind::Approval, ..HERE }, "kind"),
        (Place { name: "another", ..HERE }, "name"),
    ] {
        let found = compare(&payload, &spec(), place).unwrap_err().differences;
        assert!(matches!(found.as_slice(), [Difference::Field { field, .. }] if field == named), "{found:?}");
    }
}

/// The schema of a kind's spec.
fn schema(kind: Kind) -> Value {
    let crd = placet_api::crds().into_iter().find(|crd| crd.spec.names.kind == kind.as_str()).unwrap();
    let crd = serde_json::to_value(crd).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// JSON pointers of everything in an object, items of lists by their index.
fn leaves(value: &Value, at: &str, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(k, v)| leaves(v, &format!("{at}/{k}"), out)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, v)| leaves(v, &format!("{at}/{i}"), out));
        }
        _ => drop(out.insert(at.to_owned())),
    }
}

/// JSON pointers of everything that a schema lets people write, items of lists as the first.
fn written(schema: &Value, at: &str, out: &mut BTreeSet<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        properties.iter().for_each(|(name, below)| written(below, &format!("{at}/{name}"), out));
    } else if schema["items"].is_object() {
        written(&schema["items"], &format!("{at}/0"), out);
    } else {
        out.insert(at.to_owned());
    }
}

/// Whatever the definition lets people write stands in the example, is signed, and cannot be changed afterwards.
fn covered<P: Payload>(place: Place<'_>, example: &Value) {
    let kind = place.kind;
    let (mut there, mut wanted) = (BTreeSet::new(), BTreeSet::new());
    leaves(example, "", &mut there);
    written(&schema(kind), "", &mut wanted);
    assert!(wanted.len() > 8, "{wanted:?}");
    for pointer in &wanted {
        assert!(there.contains(pointer), "{kind} {pointer}: a new field? sign it, and add it to the example");
    }
    let payload: P = payload_of(example, place).unwrap();
    assert_eq!(compare(&payload, example, place), Ok(()), "{kind}");
    let mut changed = 0;
    for pointer in there.iter().filter(|p| *p != "/signed/envelope") {
        for value in [json!("something else"), Value::Null] {
            let mut other = example.clone();
            *other.pointer_mut(pointer).unwrap() = value;
            let found = compare(&payload, &other, place).map_err(|e| e.differences.len());
            assert_eq!(found, Err(1), "{kind} {pointer}");
            changed += 1;
        }
    }
    assert!(changed >= 2 * (wanted.len() - 1), "{changed}");
}

#[test]
fn every_field_of_a_definition_is_signed() {
    covered::<RiskAcceptancePayload>(HERE, &spec());
    let payload = approval();
    let mut example = json!({
        "subject": {"kind": payload["kind"], "name": payload["name"], "covers": payload["covers"], "digest": payload["digest"]},
        "answers": ["r-1"], "expiresAt": "2027-01-01T00:00:00Z", "signed": signed(),
    });
    for field in ["role", "decision", "comment"] {
        example[field] = payload[field].clone();
    }
    covered::<ApprovalPayload>(PLACE, &example);
}
