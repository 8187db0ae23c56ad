//! What the log knows of signatures outlasts a restart.

use placet_evidence::Operation;
use placet_gate::signed::{
    ApprovalPayload, AuthorPayload, Payload, Place, RiskAcceptancePayload, pae, payload_of, seal,
};
use serde_json::{Value, json};
use ssh_key::encoding::Encode as _;
use ssh_key::private::Ed25519Keypair;
use ssh_key::{HashAlg, PrivateKey};

use super::*;
use crate::testbed::{Bed, NS, Site, approval, stamped};

/// A key of tests only.
fn key() -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[5; 32]))
}

/// An Approval that bob's key signed, as somebody applied it.
fn signed(name: &str, at: &str) -> Value {
    let spec = approval(name, "bob", "Approve", at)["spec"].clone();
    sealed::<ApprovalPayload>(Kind::Approval, name, spec, at)
}

/// A RiskAcceptance that bob's key signed, as somebody applied it.
fn signed_acceptance(name: &str, at: &str) -> Value {
    let spec = json!({
        "assessment": {"name": "impact"}, "risks": [{"id": "R1", "digest": format!("sha256:{}", "a".repeat(64))}],
        "role": "model-owner", "level": "High", "rationale": "Told nobody", "conditions": ["Told nobody either"],
        "expiresAt": "2027-01-01T00:00:00Z",
    });
    sealed::<RiskAcceptancePayload>(Kind::RiskAcceptance, name, spec, at)
}

fn sealed<P: Payload>(kind: Kind, name: &str, mut spec: Value, at: &str) -> Value {
    spec["signed"] = json!({"issuedAt": "2026-11-01T00:00:00Z", "nonce": "00112233445566778899aabbccddeeff"});
    let place = Place { cluster: "cluster", namespace: NS, kind, name };
    let payload = payload_of::<P>(&spec, place).unwrap().to_bytes().unwrap();
    let blob = key().sign(P::NAMESPACE, HashAlg::Sha512, &pae(P::TYPE, &payload)).unwrap();
    spec["signed"]["envelope"] = seal::<P>(&payload, &blob.encode_vec().unwrap()).unwrap().into();
    stamped(kind, name, "bob", at, &spec)
}

fn signer() -> Value {
    let public = key().public_key().to_openssh().unwrap();
    let spec = json!({"key": public, "user": "bob", "roles": ["model-owner"]});
    stamped(Kind::TrustedSigner, "erin", "platform", "2026-10-01T00:00:00Z", &spec)
}

fn read(bed: &Bed, object: &Value) -> Record {
    bed.state.reading.read(object).unwrap().0
}

#[tokio::test]
async fn first_use_and_end_of_a_signature_are_read_back_from_the_log() {
    let site = Site::new();
    let bed = site.start();
    let (first, second) = (signed("first", "2026-11-04T09:00:00Z"), signed("second", "2026-11-05T09:00:00Z"));
    let records = [&first, &second].map(|o| read(&bed, o));
    let envelope = records[0].envelope().map(str::to_owned);
    assert!(
        envelope.is_some() && envelope.as_deref() == records[1].envelope(),
        "one envelope in two objects"
    );
    let begun = bed.state.now();
    for record in &records {
        bed.reconciler
            .ledger
            .object(bed.state.now(), Operation::Create, record, Some("robot"), None)
            .await
            .unwrap();
        site.hands.pass(jiff::SignedDuration::from_secs(60));
    }
    let signer = read(&bed, &signer());
    let deleted = bed.state.now();
    let ledger = &bed.reconciler.ledger;
    ledger.object(begun, Operation::Create, &signer, Some("platform"), None).await.unwrap();
    ledger.object(deleted, Operation::Delete, &signer, Some("platform"), None).await.unwrap();
    drop(bed);

    let bed = site.start();
    let world = bed.state.world();
    let seen = world.seen(envelope.as_deref().unwrap()).unwrap();
    assert_eq!((seen.name.as_str(), seen.namespace.as_str(), seen.at), ("first", NS, begun));
    let (signers, remembered) = world.trust([&records[0]]);
    assert_eq!(remembered.deleted.get(signer.key().unwrap()), Some(&deleted));
    assert_eq!(remembered.seen.len(), 1);
    // The one that was deleted is remembered, and does not count.
    assert_eq!(signers.iter().map(|s| (s.name(), s.live)).collect::<Vec<_>>(), [("erin", false)]);
}

#[tokio::test]
async fn first_use_of_a_signed_acceptance_is_read_back_from_the_log() {
    let site = Site::new();
    let bed = site.start();
    let record = read(&bed, &signed_acceptance("r1", "2026-11-04T09:00:00Z"));
    let envelope = record.envelope().map(str::to_owned).unwrap();
    let begun = bed.state.now();
    let ledger = &bed.reconciler.ledger;
    ledger.object(begun, Operation::Create, &record, Some("robot"), None).await.unwrap();
    // Another object, signed over itself, is another envelope.
    let other = read(&bed, &signed_acceptance("r2", "2026-11-04T09:00:00Z"));
    assert_ne!(other.envelope(), Some(envelope.as_str()));
    drop(bed);
    let bed = site.start();
    let seen = bed.state.world().seen(&envelope).cloned().unwrap();
    assert_eq!((seen.name.as_str(), seen.namespace.as_str(), seen.at), ("r1", NS, begun));
}

#[tokio::test]
async fn first_use_of_an_authors_signature_is_read_back_from_the_log() {
    let site = Site::new();
    let bed = site.start();
    let ledger = &bed.reconciler.ledger;
    let mut seen = Vec::new();
    for kind in [Kind::AISystem, Kind::ImpactAssessment, Kind::ModelRelease] {
        let mut object =
            stamped(kind, "one", "robot", "2026-10-01T09:00:00Z", &json!({"purpose": "Forecast"}));
        let payload = json!({
            "cluster": "cluster", "digest": crate::testbed::content(&object), "issuedAt": "2026-11-01T00:00:00Z",
            "kind": kind.as_str(), "name": "one", "namespace": NS, "nonce": "00112233445566778899aabbccddeeff",
        });
        let payload = AuthorPayload::from_bytes(payload.to_string().as_bytes()).unwrap().to_bytes().unwrap();
        let blob = key().sign(AuthorPayload::NAMESPACE, HashAlg::Sha512, &pae(AuthorPayload::TYPE, &payload));
        let envelope = seal::<AuthorPayload>(&payload, &blob.unwrap().encode_vec().unwrap()).unwrap();
        object["metadata"]["annotations"][placet_api::keys::AUTHOR_SIGNATURE] = envelope.into();
        let record = read(&bed, &object);
        let envelope = record.envelope().map(str::to_owned).unwrap();
        let at = bed.state.now();
        ledger.object(at, Operation::Update, &record, Some("robot"), None).await.unwrap();
        seen.push((envelope, at));
        site.hands.pass(jiff::SignedDuration::from_secs(60));
    }
    drop(bed);
    let bed = site.start();
    for (envelope, at) in seen {
        assert_eq!(bed.state.world().seen(&envelope).map(|s| s.at), Some(at));
    }
}

#[tokio::test]
async fn of_a_signer_and_a_signature_only_tokens_are_stored() {
    let bed = Site::new().start();
    let at = "2026-11-04T09:00:00Z";
    for (object, secret) in
        [(signed("a", at), "signatures"), (signed_acceptance("r", at), "Told nobody"), (signer(), "AAAA")]
    {
        let record = read(&bed, &object);
        let stored = serde_json::to_string(&record).unwrap();
        for secret in [secret, "bob", "SHA256:", "payload"] {
            assert!(!stored.contains(secret), "{secret}: {stored}");
        }
        // The tokens are of the form that the fields have: it is understood.
        match record.kind {
            Kind::TrustedSigner => {
                serde_json::from_value::<placet_api::trustedsigner::TrustedSignerSpec>(record.spec.value())
                    .map(drop)
            }
            Kind::RiskAcceptance => {
                let spec = record.spec.value();
                serde_json::from_value::<placet_api::riskacceptance::RiskAcceptanceSpec>(spec).map(drop)
            }
            _ => serde_json::from_value::<placet_api::approval::ApprovalSpec>(record.spec.value()).map(drop),
        }
        .unwrap();
    }
}
