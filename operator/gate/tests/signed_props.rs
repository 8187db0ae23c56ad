//! Whatever is changed of what was signed, nothing counts; whatever arrives, nothing panics.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use placet_gate::signed::{
    ApprovalPayload, AuthorPayload, Payload, Place, RiskAcceptancePayload, SignerKey, compare, pae,
    payload_of, seal, unarmor, verify_envelope,
};
use proptest::prelude::*;
use serde_json::{Value, json};

#[path = "signed/common.rs"]
mod common;

use common::{PLACE, acceptance, approval, envelope, envelope_of, key, sshsig};

/// Envelopes of every type of key that signs.
fn golden() -> Vec<String> {
    let cases: Vec<Value> = serde_json::from_str(include_str!("signed/envelopes.json")).unwrap();
    let good = cases.iter().filter(|c| c["refused"].is_null() && c["name"] != "an author");
    let good: Vec<String> = good.map(|c| c["envelope"].as_str().unwrap().to_owned()).collect();
    assert_eq!(good.len(), 8);
    good
}

fn counts_for_nothing(envelope: &[u8]) -> bool {
    verify_envelope::<ApprovalPayload>(envelope).is_err()
        && verify_envelope::<RiskAcceptancePayload>(envelope).is_err()
}

/// A signature in another SSH namespace or over another payload type is none.
fn another<P: Payload>(payload: &Value, namespace: &str, kind: &str) -> Result<(), TestCaseError> {
    let payload = payload.to_string();
    let seals = |namespace: &str, kind: &str| {
        let blob = sshsig(&key(7), namespace, &pae(kind, payload.as_bytes()));
        seal::<P>(payload.as_bytes(), &blob).is_ok()
    };
    prop_assert!(seals(P::NAMESPACE, P::TYPE));
    prop_assert!(namespace == P::NAMESPACE || !seals(namespace, P::TYPE));
    prop_assert!(kind == P::TYPE || !seals(P::NAMESPACE, kind));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn one_changed_byte_of_an_envelope_is_refused(at in any::<prop::sample::Index>(), change in 1..=255u8) {
        for envelope in golden() {
            let mut bytes = envelope.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            prop_assert!(counts_for_nothing(&bytes), "{}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn one_changed_byte_of_what_was_signed_is_refused(
        field in prop::sample::select(vec!["payload", "sig"]), at in any::<prop::sample::Index>(), change in 1..=255u8,
    ) {
        for text in golden() {
            let mut envelope: Value = serde_json::from_str(&text).unwrap();
            let place = if field == "sig" { &mut envelope["signatures"][0]["sig"] } else { &mut envelope["payload"] };
            let mut bytes = STANDARD.decode(place.as_str().unwrap()).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            *place = STANDARD.encode(&bytes).into();
            envelope["signatures"][0]["keyid"] = "".into();
            // The counter of a FIDO key, and its flags beside the touch, are signed as well.
            prop_assert!(counts_for_nothing(envelope.to_string().as_bytes()), "{field} {at}: {envelope}");
        }
    }

    #[test]
    fn another_namespace_or_type_is_refused(namespace in "[a-z@.]{1,24}", kind in "[a-z/.+]{1,60}") {
        another::<ApprovalPayload>(&approval(), &namespace, &kind)?;
        another::<RiskAcceptancePayload>(&acceptance(), &namespace, &kind)?;
        another::<ApprovalPayload>(&approval(), RiskAcceptancePayload::NAMESPACE, RiskAcceptancePayload::TYPE)?;
        another::<RiskAcceptancePayload>(&acceptance(), ApprovalPayload::NAMESPACE, ApprovalPayload::TYPE)?;
    }

    #[test]
    fn what_is_not_signed_in_the_encoding_of_dsse_is_refused(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        // The bare payload, as a careless signer would sign it.
        let blob = sshsig(&key(7), ApprovalPayload::NAMESPACE, &payload);
        prop_assert!(seal::<ApprovalPayload>(&payload, &blob).is_err());
    }

    #[test]
    fn a_payload_comes_back_as_it_was(
        comment in proptest::option::of(any::<String>()), nonce in "[0-9a-f]{32}", cluster in "\\PC{1,40}",
    ) {
        let mut value = approval();
        value["comment"] = json!(comment);
        value["nonce"] = nonce.into();
        value["cluster"] = cluster.clone().into();
        prop_assume!(cluster.contains(|c: char| !c.is_whitespace()));
        prop_assume!(comment.as_ref().is_none_or(|c| c.chars().count() <= 2048));
        let payload = ApprovalPayload::from_bytes(value.to_string().as_bytes()).unwrap();
        let bytes = payload.to_bytes().unwrap();
        let envelope = envelope_of(&bytes).to_string();
        let found = verify_envelope::<ApprovalPayload>(envelope.as_bytes()).unwrap();
        prop_assert_eq!(&found.payload, &payload);
        prop_assert_eq!(serde_json::to_value(&found.payload).unwrap(), value);
    }

    #[test]
    fn an_object_that_says_anything_else_is_refused(
        field in prop::sample::select(vec![
            "/subject/kind", "/subject/name", "/subject/covers", "/subject/digest", "/role", "/decision", "/comment",
            "/answers", "/expiresAt", "/signed/issuedAt", "/signed/nonce",
        ]),
        text in "\\PC{0,20}",
    ) {
        let payload = approval();
        let mut spec = json!({
            "subject": {"kind": payload["kind"], "name": payload["name"], "covers": payload["covers"], "digest": payload["digest"]},
            "role": payload["role"], "decision": payload["decision"], "comment": payload["comment"],
            "answers": payload["answers"], "expiresAt": payload["expiresAt"],
            "signed": {"issuedAt": payload["issuedAt"], "nonce": payload["nonce"], "envelope": "{}"},
        });
        let payload = ApprovalPayload::from_bytes(payload.to_string().as_bytes()).unwrap();
        prop_assert_eq!(compare(&payload, &spec, PLACE), Ok(()));
        let there = spec.pointer_mut(field).unwrap();
        prop_assume!(*there != json!(text));
        *there = text.into();
        prop_assert_eq!(compare(&payload, &spec, PLACE).unwrap_err().differences.len(), 1);
    }

    /// Whoever holds an acceptance and its envelope changes anything of it, or takes it anywhere.
    #[test]
    fn an_acceptance_that_says_anything_else_is_refused(
        field in prop::sample::select(vec![
            "/assessment/name", "/risks/0/id", "/risks/0/digest", "/risks/1/id", "/role", "/level", "/rationale",
            "/conditions/0", "/expiresAt", "/signed/issuedAt", "/signed/nonce",
        ]),
        text in "\\PC{0,20}", conditions in prop::collection::vec("\\PC{1,20}", 0..3),
    ) {
        let mut spec = json!({
            "assessment": {"name": "impact-2026"}, "risks": acceptance()["risks"], "role": "executive", "level": "High",
            "rationale": "A person reviews refusals", "conditions": ["a", "b"], "expiresAt": "2027-01-01T00:00:00Z",
            "signed": {"issuedAt": "2026-11-20T12:00:00Z", "nonce": "00112233445566778899aabbccddeeff"},
        });
        let place = Place { kind: placet_api::Kind::RiskAcceptance, name: "r1-frank", ..PLACE };
        let payload: RiskAcceptancePayload = payload_of(&spec, place).unwrap();
        prop_assert_eq!(serde_json::to_value(&payload).unwrap(), acceptance());
        let sealed = envelope::<RiskAcceptancePayload>(
            &key(7), RiskAcceptancePayload::NAMESPACE, &payload.to_bytes().unwrap(),
        );
        let payload = verify_envelope::<RiskAcceptancePayload>(sealed.to_string().as_bytes()).unwrap().payload;
        spec["signed"]["envelope"] = sealed.to_string().into();
        prop_assert_eq!(compare(&payload, &spec, place), Ok(()));
        for elsewhere in [
            Place { cluster: &text, ..place }, Place { namespace: &text, ..place }, Place { name: &text, ..place },
            Place { kind: placet_api::Kind::Approval, ..place },
        ] {
            prop_assert!(compare(&payload, &spec, elsewhere).is_err());
        }
        let mut fewer = spec.clone();
        fewer["conditions"] = json!(conditions);
        prop_assert!(compare(&payload, &fewer, place).is_err() || fewer == spec);
        let mut risks = spec.clone();
        risks["risks"].as_array_mut().unwrap().pop();
        prop_assert_eq!(compare(&payload, &risks, place).unwrap_err().differences.len(), 1);
        let there = spec.pointer_mut(field).unwrap();
        prop_assume!(*there != json!(text));
        *there = text.into();
        prop_assert_eq!(compare(&payload, &spec, place).unwrap_err().differences.len(), 1);
    }

    #[test]
    fn nothing_that_arrives_makes_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), text in "\\PC{0,200}") {
        let _ = verify_envelope::<ApprovalPayload>(&bytes);
        let _ = verify_envelope::<AuthorPayload>(text.as_bytes());
        let _ = RiskAcceptancePayload::from_bytes(&bytes);
        let _ = ApprovalPayload::from_bytes(&bytes);
        let _ = SignerKey::parse(&text);
        let _ = unarmor(&text);
        let blob = [&b"SSHSIG\0\0\0\x01"[..], &bytes].concat();
        let seals = seal::<ApprovalPayload>(b"{}", &blob).is_ok() || seal::<RiskAcceptancePayload>(b"{}", &blob).is_ok();
        prop_assert!(!seals);
    }
}
