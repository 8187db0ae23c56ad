//! Envelopes: golden ones signed by the real `ssh-keygen` and put together by a second implementation
//! (`signed/envelopes.py`), malformed ones, and what is compared with an object.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use placet_gate::signed::{
    ApprovalPayload, AuthorPayload, Difference, EnvelopeError, KeyError, MAX_ENVELOPE, Payload, PayloadError,
    Place, RiskAcceptancePayload, SignerKey, Verified, compare, compare_author, pae, seal, verify_envelope,
};
use serde_json::{Value, json};

#[path = "signed/common.rs"]
mod common;

use common::{PLACE, acceptance, approval, envelope, envelope_of, key, sshsig};

fn verify(envelope: &Value) -> Result<Verified<ApprovalPayload>, EnvelopeError> {
    verify_envelope(envelope.to_string().as_bytes())
}

#[test]
fn the_encoding_that_is_signed_is_that_of_the_specification() {
    let wanted = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
    assert_eq!(pae("http://example.com/HelloWorld", b"hello world"), wanted);
    assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
    // Lengths are in bytes, not in characters.
    assert_eq!(pae("t\u{e4}", "\u{e4}".as_bytes()), "DSSEv1 3 t\u{e4} 2 \u{e4}".as_bytes());
}

#[test]
fn envelopes_of_the_real_ssh_keygen_are_read_as_the_second_implementation_wrote_them() {
    fn check<P: Payload>(case: &Value) -> Option<String> {
        let text = |field: &str| case[field].as_str().unwrap();
        match verify_envelope::<P>(text("envelope").as_bytes()) {
            Ok(found) => {
                assert!(case["refused"].is_null(), "{}: it was accepted", case["name"]);
                assert_eq!(
                    serde_json::to_value(&found.payload).unwrap(),
                    case["payload"],
                    "{}",
                    case["name"]
                );
                assert_eq!(found.fingerprint, text("fingerprint"), "{}", case["name"]);
                assert_eq!(found.digest, text("digest"), "{}", case["name"]);
                assert_eq!(SignerKey::parse(text("key")).unwrap().fingerprint(), found.fingerprint);
                // What we would have signed are the same bytes.
                let envelope: Value = serde_json::from_str(text("envelope")).unwrap();
                let bytes = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
                assert_eq!(found.payload.to_bytes().unwrap(), bytes, "{}", case["name"]);
                let blob = STANDARD.decode(envelope["signatures"][0]["sig"].as_str().unwrap()).unwrap();
                assert_eq!(seal::<P>(&bytes, &blob).unwrap(), text("envelope"), "{}", case["name"]);
                Some(found.digest)
            }
            Err(e) => {
                let refused = case["refused"].as_str().unwrap_or("nothing wrong");
                assert!(e.to_string().contains(refused), "{}: wanted {refused}, found {e}", case["name"]);
                None
            }
        }
    }
    let cases: Vec<Value> = serde_json::from_str(include_str!("signed/envelopes.json")).unwrap();
    assert_eq!(cases.len(), 21);
    let mut digests = std::collections::BTreeMap::new();
    for case in &cases {
        let digest = match case["name"].as_str().unwrap() {
            name if name.starts_with("a risk acceptance") => check::<RiskAcceptancePayload>(case),
            "an author" => check::<AuthorPayload>(case),
            _ => check::<ApprovalPayload>(case),
        };
        digests.insert(case["name"].as_str().unwrap(), digest);
    }
    assert_eq!(digests.values().flatten().count(), 9);
    // A second signature over the same bytes, whether with another hash or made from the first one, is the same envelope.
    assert_eq!(digests["ecdsa-sha2-nistp256"], digests["ecdsa-sha2-nistp256, the other s"]);
    assert_eq!(digests["ed25519, sha512"], digests["ed25519, sha256"]);
    assert_ne!(digests["ed25519, sha512"], digests["ecdsa-sha2-nistp256"]);
}

#[test]
fn a_fixed_key_gives_a_fixed_envelope() {
    let bytes = ApprovalPayload::from_bytes(approval().to_string().as_bytes()).unwrap().to_bytes().unwrap();
    let blob = sshsig(&key(7), ApprovalPayload::NAMESPACE, &pae(ApprovalPayload::TYPE, &bytes));
    let envelope = seal::<ApprovalPayload>(&bytes, &blob).unwrap();
    let found = verify_envelope::<ApprovalPayload>(envelope.as_bytes()).unwrap();
    assert_eq!(envelope, include_str!("signed/fixed.json").trim_end());
    assert_eq!(found.fingerprint, "SHA256:z/fSv0Z0RZS+Lccbc6ZoOWwt/fbj1VFJGSBKQbo4icE");
    assert_eq!(found.digest, "sha256:514201b7e3792379ae5bde02ad12e10674dfbad206130aacff9670da8680dd59");
}

#[test]
fn what_is_written_differently_is_the_same_envelope() {
    let envelope = envelope_of(approval().to_string().as_bytes());
    let wanted = verify(&envelope).unwrap();
    let pretty = serde_json::to_string_pretty(&envelope).unwrap();
    assert_eq!(verify_envelope(pretty.as_bytes()), Ok(wanted.clone()));
    let mut silent = envelope.clone();
    silent["signatures"][0]["keyid"] = "".into();
    assert_eq!(verify(&silent), Ok(wanted.clone()));
    silent["signatures"][0].as_object_mut().unwrap().remove("keyid");
    assert_eq!(verify(&silent), Ok(wanted.clone()));
    // Another nonce, and another person, are other envelopes.
    let mut other = approval();
    other["nonce"] = "f".repeat(32).into();
    assert_ne!(verify(&envelope_of(other.to_string().as_bytes())).unwrap().digest, wanted.digest);
    let bytes = approval().to_string();
    let blob = sshsig(&key(8), ApprovalPayload::NAMESPACE, &pae(ApprovalPayload::TYPE, bytes.as_bytes()));
    let other = seal::<ApprovalPayload>(bytes.as_bytes(), &blob).unwrap();
    let other = verify_envelope::<ApprovalPayload>(other.as_bytes()).unwrap();
    assert_eq!(other.payload, wanted.payload);
    assert_ne!(other.digest, wanted.digest);
}

/// An envelope that counts.
fn good() -> Value {
    envelope_of(approval().to_string().as_bytes())
}

fn refused(envelope: &str) -> EnvelopeError {
    verify_envelope::<ApprovalPayload>(envelope.as_bytes()).unwrap_err()
}

/// Why an envelope that counts does not once it is edited.
fn edited(edit: impl Fn(&mut Value)) -> EnvelopeError {
    let mut envelope = good();
    edit(&mut envelope);
    refused(&envelope.to_string())
}

macro_rules! refused_as {
    ($pattern:pat, $($error:expr),+ $(,)?) => {
        $(let error = $error; assert!(matches!(error, $pattern), "wanted {}, found {error:?}", stringify!($pattern));)+
    };
}

#[test]
fn malformed_json_is_refused_by_name() {
    let (good, text) = (good(), good().to_string());
    let doubled = text.replacen('{', &format!("{{\"payload\":{},", good["payload"]), 1);
    let sig = good["signatures"][0]["sig"].as_str().unwrap();
    let doubled_sig = text.replacen("\"sig\"", &format!("\"sig\":\"{sig}\",\"sig\""), 1);
    refused_as!(
        EnvelopeError::Malformed(_),
        refused(""),
        refused("null"),
        refused("{"),
        refused(&text[..text.len() - 1]),
        refused(&format!("{text}{text}")),
        refused(&format!("{text} x")),
        refused(&json!([good["payload"], good["payloadType"], good["signatures"]]).to_string()),
        refused(&doubled),
        refused(&doubled_sig),
        refused(&"[".repeat(4000)),
        edited(|e| e["unsigned"] = "anything".into()),
        edited(|e| e["signatures"][0]["cert"] = "anything".into()),
        edited(|e| e["signatures"][0] = json!(["", sig])),
        edited(|e| e["signatures"][0]["keyid"] = Value::Null),
        edited(|e| e["payload"] = Value::Null),
        edited(|e| drop(e.as_object_mut().unwrap().remove("payloadType"))),
    );
    assert!(verify_envelope::<ApprovalPayload>(b"{\"payload\":\"\xff\"}").is_err());
    refused_as!(
        EnvelopeError::Signatures { found: 0 | 2 },
        edited(|e| e["signatures"] = json!([])),
        edited(|e| {
            let again = e["signatures"][0].clone();
            e["signatures"].as_array_mut().unwrap().push(again);
        }),
    );
    refused_as!(
        EnvelopeError::TooLarge { found: 16_385 },
        refused(&format!("{text}{}", " ".repeat(MAX_ENVELOPE + 1 - text.len()))),
    );
    assert!(
        verify_envelope::<ApprovalPayload>(
            format!("{text}{}", " ".repeat(MAX_ENVELOPE - text.len())).as_bytes()
        )
        .is_ok()
    );
}

#[test]
fn malformed_signatures_are_refused_by_name() {
    let good = good();
    let sig = good["signatures"][0]["sig"].as_str().unwrap();
    let payload = good["payload"].as_str().unwrap().to_owned();
    let blob = STANDARD.decode(sig).unwrap();
    refused_as!(
        EnvelopeError::Base64 { field: "payload", .. },
        edited(|e| e["payload"] = format!("{payload}\n").into()),
        edited(|e| e["payload"] = payload.trim_end_matches('=').replacen('e', "", 1).into()),
        edited(|e| e["payload"] = format!("{payload}====").into()),
    );
    refused_as!(
        EnvelopeError::Base64 { field: "sig", .. },
        edited(|e| e["signatures"][0]["sig"] = format!(" {sig}").into()),
        edited(|e| e["signatures"][0]["sig"] = URL_SAFE.encode([0xfb, 0xff, 0xfe]).into()),
        edited(|e| e["signatures"][0]["sig"] = "-----BEGIN SSH SIGNATURE-----".into()),
    );
    let with_blob = |blob: Vec<u8>| edited(|e| e["signatures"][0]["sig"] = STANDARD.encode(&blob).into());
    refused_as!(
        EnvelopeError::NotSsh(_),
        with_blob(vec![]),
        with_blob(b"SSHSIG".to_vec()),
        with_blob(blob[..blob.len() - 1].to_vec()),
        with_blob([blob.clone(), vec![0]].concat()),
        with_blob([&b"SSHSIH"[..], &blob[6..]].concat()),
        // Version 0, version 2, and a length that no memory holds.
        with_blob([&blob[..9], &[0], &blob[10..]].concat()),
        with_blob([&blob[..9], &[2], &blob[10..]].concat()),
        with_blob([&blob[..10], &[0xff; 4], &blob[14..]].concat()),
    );
    // Something in the reserved field, which OpenSSH does not sign.
    let reserved = with_blob([&blob[..88], &[0, 0, 0, 1, b'x'], &blob[92..]].concat());
    assert!(reserved.to_string().contains("nothing reserved"), "{reserved}");
    refused_as!(
        EnvelopeError::PayloadType { .. },
        edited(|e| e["payloadType"] = RiskAcceptancePayload::TYPE.into()),
        edited(|e| e["payloadType"] = "application/json".into()),
        edited(|e| e["payloadType"] = format!("{} ", ApprovalPayload::TYPE).into()),
    );
    refused_as!(
        EnvelopeError::KeyId { .. },
        edited(|e| e["signatures"][0]["keyid"] = "SHA256:somebody-else".into()),
    );
}

/// Why an envelope does not count with the payload type of another kind.
fn moved<P: Payload + std::fmt::Debug>(mut envelope: Value) -> EnvelopeError {
    envelope["payloadType"] = P::TYPE.into();
    verify_envelope::<P>(envelope.to_string().as_bytes()).unwrap_err()
}

#[test]
fn a_signature_over_something_else_is_refused() {
    let mut other = approval();
    other["decision"] = "Reject".into();
    refused_as!(
        EnvelopeError::WrongSignature { .. },
        edited(|e| e["payload"] = STANDARD.encode(other.to_string()).into()),
        edited(|e| e["payload"] = "".into()),
    );
    // The same signature under the type of another kind: the type is part of what is signed, and other kinds are signed
    // in another SSH namespace.
    let accepted = envelope::<RiskAcceptancePayload>(
        &key(7),
        RiskAcceptancePayload::NAMESPACE,
        acceptance().to_string().as_bytes(),
    );
    refused_as!(EnvelopeError::WrongSignature { .. }, moved::<AuthorPayload>(good()));
    refused_as!(
        EnvelopeError::Namespace { .. },
        moved::<RiskAcceptancePayload>(good()),
        moved::<ApprovalPayload>(accepted.clone()),
    );
    refused_as!(EnvelopeError::PayloadType { .. }, refused(&accepted.to_string()));
    for namespace in ["git", "file", ApprovalPayload::NAMESPACE] {
        let other =
            envelope::<RiskAcceptancePayload>(&key(7), namespace, acceptance().to_string().as_bytes());
        let error = verify_envelope::<RiskAcceptancePayload>(other.to_string().as_bytes()).unwrap_err();
        let wanted = RiskAcceptancePayload::NAMESPACE;
        assert_eq!(error, EnvelopeError::Namespace { wanted, found: namespace.into() });
    }
}

#[test]
fn what_an_error_repeats_of_others_is_bounded() {
    let mut envelope = envelope_of(approval().to_string().as_bytes());
    envelope["payloadType"] = "x".repeat(10_000).into();
    assert!(verify(&envelope).unwrap_err().to_string().len() < 1000);
    let mut envelope = envelope_of(approval().to_string().as_bytes());
    envelope["y".repeat(10_000)] = 1.into();
    assert!(verify(&envelope).unwrap_err().to_string().len() < 1000);
    let long = sshsig(&key(7), &"n".repeat(5000), b"");
    let e = seal::<ApprovalPayload>(b"{}", &long).unwrap_err();
    assert!(matches!(e, EnvelopeError::Namespace { .. }) && e.to_string().len() < 1000, "{e}");
}

#[test]
fn malformed_payloads_are_refused_though_their_signature_holds() {
    let refused = |payload: &[u8]| match verify(&envelope_of(payload)) {
        Err(EnvelopeError::Payload(e)) => e,
        other => panic!("wanted a payload that is refused, found {other:?}"),
    };
    let good = approval();
    let fields: Vec<String> = good.as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields.len(), 13);
    for field in &fields {
        let mut without = good.clone();
        without.as_object_mut().unwrap().remove(field);
        let e = refused(without.to_string().as_bytes());
        assert!(e.to_string().contains(&format!("missing field `{field}`")), "{e}");
        let doubled = good.to_string().replacen('{', &format!("{{\"{field}\":{},", good[field]), 1);
        let e = refused(doubled.as_bytes());
        assert!(e.to_string().contains(&format!("duplicate field `{field}`")), "{e}");
        let mut number = good.clone();
        number[field] = 1.into();
        refused(number.to_string().as_bytes());
    }
    let edited = |field: &str, value: Value| {
        let mut payload = good.clone();
        payload[field] = value;
        refused(payload.to_string().as_bytes())
    };
    edited("more", "x".into());
    edited("cluster", "".into());
    edited("nonce", "00".into());
    edited("nonce", "0".repeat(33).into());
    edited("digest", "sha512:00".into());
    edited("role", "*".into());
    edited("kind", "TestReport".into());
    edited("decision", "Maybe".into());
    edited("comment", "x".repeat(2049).into());
    assert!(matches!(
        edited("issuedAt", "2026-02-31T00:00:00Z".into()),
        PayloadError::NoSuchMoment { field: "issuedAt", .. }
    ));
    assert!(matches!(
        edited("expiresAt", "2026-02-31T00:00:00Z".into()),
        PayloadError::NoSuchMoment { field: "expiresAt", .. }
    ));
    for backwards in ["2026-11-20T12:00:00Z", "2026-11-20T11:59:59Z", "2026-11-20T13:59:59+02:00"] {
        assert!(
            matches!(edited("expiresAt", backwards.into()), PayloadError::Backwards { .. }),
            "{backwards}"
        );
    }
    for bytes in [&b""[..], b"null", b"{}", b"\xff\xfe", b"{} {}"] {
        refused(bytes);
    }
    let values: Vec<&Value> = good.as_object().unwrap().values().collect();
    refused(json!(values).to_string().as_bytes());
}

#[test]
fn malformed_payloads_of_an_acceptance_are_refused() {
    let good = acceptance();
    let read = |value: &Value| RiskAcceptancePayload::from_bytes(value.to_string().as_bytes());
    assert!(read(&good).is_ok());
    let fields: Vec<String> = good.as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields.len(), 13);
    for field in &fields {
        let mut without = good.clone();
        without.as_object_mut().unwrap().remove(field);
        let e = read(&without).unwrap_err();
        assert!(e.to_string().contains(&format!("missing field `{field}`")), "{e}");
        let doubled = good.to_string().replacen('{', &format!("{{\"{field}\":{},", good[field]), 1);
        let e = RiskAcceptancePayload::from_bytes(doubled.as_bytes()).unwrap_err();
        assert!(e.to_string().contains(&format!("duplicate field `{field}`")), "{e}");
    }
    for (field, value) in [
        ("assessment", json!({"name": "impact-2026"})),
        ("risks", json!([["sha256:00", "R1"]])),
        ("risks", json!([{"id": "R1"}])),
        ("risks", json!({})),
        ("expiresAt", Value::Null),
        ("expiresAt", json!("2026-11-20T12:00:00Z")),
        ("level", json!("Terrible")),
        ("kind", json!("Approve")),
        ("rationale", Value::Null),
        ("more", json!("x")),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        assert!(read(&bad).is_err(), "{bad}");
    }
}

#[test]
fn keys_that_cannot_sign_are_refused() {
    let wire = |parts: &[&[u8]]| {
        parts.iter().fold(Vec::new(), |mut all, part| {
            all.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
            all.extend(*part);
            all
        })
    };
    let line = |kind: &str, blob: &[u8]| format!("{kind} {}", STANDARD.encode(blob));
    // The neutral point: every message has a signature that anybody can write down.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let weak = line("ssh-ed25519", &wire(&[b"ssh-ed25519", &neutral]));
    assert_eq!(SignerKey::parse(&weak), Err(KeyError::Weak));
    let weak = line("sk-ssh-ed25519@openssh.com", &wire(&[b"sk-ssh-ed25519@openssh.com", &neutral, b"ssh:"]));
    assert_eq!(SignerKey::parse(&weak), Err(KeyError::Weak));
    let dsa = line("ssh-dss", &wire(&[b"ssh-dss", b"\x01", b"\x01", b"\x01", b"\x01"]));
    assert_eq!(SignerKey::parse(&dsa), Err(KeyError::Type("ssh-dss".into())));
    let good = key(7).public_key().to_openssh().unwrap();
    assert!(SignerKey::parse(&good).is_ok());
    for bad in
        ["", "ssh-ed25519", "ssh-ed25519 AAAA", &good.replacen("ssh-ed25519", "ecdsa-sha2-nistp256", 1)]
    {
        assert!(matches!(SignerKey::parse(bad), Err(KeyError::Unreadable(_))), "{bad}");
    }
}

fn signed_approval() -> (ApprovalPayload, Value) {
    let payload = ApprovalPayload::from_bytes(approval().to_string().as_bytes()).unwrap();
    let spec = json!({
        "subject": {"kind": "ModelRelease", "name": "credit-scoring-2.4.0", "covers": "Content",
                    "digest": format!("sha256:{}", "c0de".repeat(16))},
        "role": "risk-officer", "decision": "Approve", "comment": "looked at",
        "signed": {"issuedAt": "2026-11-20T12:00:00Z", "nonce": "00112233445566778899aabbccddeeff",
                   "envelope": "{whatever}"},
    });
    (payload, spec)
}

#[test]
fn an_approval_says_what_was_signed_and_nothing_else() {
    let (payload, spec) = signed_approval();
    assert_eq!(compare(&payload, &spec, PLACE), Ok(()));
    let field = |field: &str, signed: &str, found: &str| Difference::Field {
        field: field.into(),
        signed: signed.into(),
        found: found.into(),
    };
    let differs = |pointer: &str, value: Value| {
        let mut spec = spec.clone();
        match spec.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => spec[&pointer[1..]] = value,
        }
        compare(&payload, &spec, PLACE).unwrap_err().differences
    };
    assert_eq!(differs("/role", "executive".into()), [field("role", "\"risk-officer\"", "\"executive\"")]);
    assert_eq!(differs("/decision", "Reject".into()), [field("decision", "\"Approve\"", "\"Reject\"")]);
    assert_eq!(differs("/comment", Value::Null), [field("comment", "\"looked at\"", "null")]);
    assert_eq!(differs("/answers", json!(["r-1"])), [field("answers", "null", "[\"r-1\"]")]);
    let mut answering = approval();
    answering["answers"] = json!(["r-1", "r-2"]);
    let answering = ApprovalPayload::from_bytes(answering.to_string().as_bytes()).unwrap();
    let mut reordered = spec.clone();
    reordered["answers"] = json!(["r-2", "r-1"]);
    assert_eq!(compare(&answering, &reordered, PLACE), Ok(()));
    reordered["answers"] = json!(["r-2"]);
    assert!(compare(&answering, &reordered, PLACE).is_err());
    assert_eq!(
        differs("/expiresAt", "2027-01-01T00:00:00Z".into()),
        [field("expiresAt", "null", "\"2027-01-01T00:00:00Z\"")]
    );
    for (pointer, name) in [
        ("/subject/kind", "kind"),
        ("/subject/name", "name"),
        ("/subject/covers", "covers"),
        ("/subject/digest", "digest"),
        ("/signed/issuedAt", "issuedAt"),
        ("/signed/nonce", "nonce"),
    ] {
        let found = differs(pointer, "other".into());
        assert!(matches!(found.as_slice(), [Difference::Field { field, .. }] if field == name), "{found:?}");
    }
    let elsewhere = Place { cluster: "prod-us", namespace: "retail", ..PLACE };
    let e = compare(&payload, &spec, elsewhere).unwrap_err();
    assert_eq!(
        e.to_string(),
        "what was signed is not what the object says: cluster: signed \"prod-eu\", found \"prod-us\"; namespace: signed \"lending\", found \"retail\"; sign again what is to count"
    );
    // What no signature covers.
    let unsigned =
        |field: &str, found: &str| Difference::Unsigned { field: field.into(), found: found.into() };
    assert_eq!(differs("/exempt", true.into()), [unsigned("spec.exempt", "true")]);
    assert_eq!(differs("/exempt", json!({})), [unsigned("spec.exempt", "{}")]);
    let mut more = spec.clone();
    more["subject"]["uid"] = "u".into();
    more["signed"]["by"] = json!({"user": "mallory"});
    assert_eq!(
        compare(&payload, &more, PLACE).unwrap_err().differences,
        [unsigned("spec.subject.uid", "\"u\""), unsigned("spec.signed.by", "{\"user\":\"mallory\"}")]
    );
    // A null is no more than a field that is left out.
    assert!(
        compare(
            &payload,
            &{
                let mut s = spec.clone();
                s["answers"] = Value::Null;
                s
            },
            PLACE
        )
        .is_ok()
    );
    assert!(compare(&payload, &Value::Null, PLACE).unwrap_err().differences.len() >= 9);
    let many: Value = (0..100).map(|i| (format!("f{i}"), json!(i))).collect::<serde_json::Map<_, _>>().into();
    assert_eq!(compare(&payload, &many, PLACE).unwrap_err().differences.len(), 16);
}

#[test]
fn an_author_signs_one_content_of_one_release() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let payload = json!({
        "cluster": "prod-eu", "digest": digest, "issuedAt": "2026-11-20T12:00:00Z", "kind": "ModelRelease",
        "name": "m-2", "namespace": "lending", "nonce": "0".repeat(32),
    });
    let read = |payload: &Value| AuthorPayload::from_bytes(payload.to_string().as_bytes()).unwrap();
    let author = read(&payload);
    let place = Place { kind: placet_api::Kind::ModelRelease, ..PLACE };
    assert_eq!(compare_author(&author, "m-2", &digest, place), Ok(()));
    assert!(compare_author(&author, "m-3", &digest, place).is_err());
    assert!(compare_author(&author, "m-2", &digest.replace('a', "b"), place).is_err());
    assert!(compare_author(&author, "m-2", &digest, Place { namespace: "retail", ..place }).is_err());
    let mut system = payload.clone();
    system["kind"] = "AISystem".into();
    assert!(compare_author(&read(&system), "m-2", &digest, place).is_err());
}
