//! Whatever is changed of what was signed, nothing counts; whatever arrives, nothing panics.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use placet_gate::signed::{
    ApprovalPayload, AuthorPayload, NAMESPACE, Payload as _, Place, SignerKey, compare, pae, seal, unarmor,
    verify_envelope,
};
use proptest::prelude::*;
use serde_json::{Value, json};

#[path = "signed/common.rs"]
mod common;

use common::{approval, envelope_of, key, sshsig};

/// Envelopes of every type of key that signs.
fn golden() -> Vec<String> {
    let cases: Vec<Value> = serde_json::from_str(include_str!("signed/envelopes.json")).unwrap();
    let good = cases.iter().filter(|c| c["refused"].is_null() && c["payload"]["decision"] == "Approve");
    let good: Vec<String> = good.map(|c| c["envelope"].as_str().unwrap().to_owned()).collect();
    assert_eq!(good.len(), 7);
    good
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn one_changed_byte_of_an_envelope_is_refused(at in any::<prop::sample::Index>(), change in 1..=255u8) {
        for envelope in golden() {
            let mut bytes = envelope.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            prop_assert!(verify_envelope::<ApprovalPayload>(&bytes).is_err(), "{}", String::from_utf8_lossy(&bytes));
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
            let found = verify_envelope::<ApprovalPayload>(envelope.to_string().as_bytes());
            // The counter of a FIDO key, and its flags beside the touch, are signed as well.
            prop_assert!(found.is_err(), "{field} {at}: {found:?}");
        }
    }

    #[test]
    fn another_namespace_or_type_is_refused(namespace in "[a-z@.]{1,24}", kind in "[a-z/.+]{1,60}") {
        let payload = approval().to_string();
        if namespace != NAMESPACE {
            let blob = sshsig(&key(7), &namespace, &pae(ApprovalPayload::TYPE, payload.as_bytes()));
            prop_assert!(seal(ApprovalPayload::TYPE, payload.as_bytes(), &blob).is_err());
        }
        if kind != ApprovalPayload::TYPE {
            let blob = sshsig(&key(7), NAMESPACE, &pae(&kind, payload.as_bytes()));
            prop_assert!(seal(&kind, payload.as_bytes(), &blob).is_ok());
            prop_assert!(seal(ApprovalPayload::TYPE, payload.as_bytes(), &blob).is_err());
        }
    }

    #[test]
    fn what_is_not_signed_in_the_encoding_of_dsse_is_refused(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        // The bare payload, as a careless signer would sign it.
        let blob = sshsig(&key(7), NAMESPACE, &payload);
        prop_assert!(seal(ApprovalPayload::TYPE, &payload, &blob).is_err());
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
        let place = Place { cluster: "prod-eu", namespace: "lending" };
        prop_assert_eq!(compare(&payload, &spec, place), Ok(()));
        let there = spec.pointer_mut(field).unwrap();
        prop_assume!(*there != json!(text));
        *there = text.into();
        prop_assert_eq!(compare(&payload, &spec, place).unwrap_err().differences.len(), 1);
    }

    #[test]
    fn nothing_that_arrives_makes_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), text in "\\PC{0,200}") {
        let _ = verify_envelope::<ApprovalPayload>(&bytes);
        let _ = verify_envelope::<AuthorPayload>(text.as_bytes());
        let _ = ApprovalPayload::from_bytes(&bytes);
        let _ = SignerKey::parse(&text);
        let _ = unarmor(&text);
        let blob = [&b"SSHSIG\0\0\0\x01"[..], &bytes].concat();
        let found = seal(ApprovalPayload::TYPE, b"{}", &blob);
        prop_assert!(found.is_err());
    }
}
