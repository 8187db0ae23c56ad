//! Whose key it is, and whether it counted when the log first saw the signature: one row for each way to end a key.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use jiff::{SignedDuration, Timestamp};
use placet_api::trustedsigner::TrustedSignerSpec;
use placet_gate::signed::{
    KeyHistory, SignerProblem, Standing, VoidReason, cut, find_signer, issued_ahead, standing,
};
use proptest::prelude::*;
use serde_json::{Value, json};

#[path = "signed/common.rs"]
#[expect(dead_code, reason = "other tests make envelopes with it")]
mod common;

fn at(hour: i64) -> Timestamp {
    "2026-11-20T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hour)
}

fn signer(more: &Value) -> TrustedSignerSpec {
    let mut spec = json!({
        "key": common::key(7).public_key().to_openssh().unwrap(), "user": "erin@example.com", "roles": ["risk-officer"],
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn counts(signer: &TrustedSignerSpec, history: KeyHistory, first_seen: Option<i64>, now: i64) -> bool {
    matches!(standing(Some(signer), history, first_seen.map(at), at(now)), Standing::Counts { .. })
}

#[test]
fn revocation_is_judged_by_when_the_log_saw_the_signature() {
    let none = KeyHistory::default();
    let plain = signer(&json!({}));
    let revoked = signer(&json!({"revoked": {"at": at(10).to_string()}}));
    let compromised =
        signer(&json!({"revoked": {"at": at(10).to_string(), "compromisedSince": at(5).to_string()}}));
    let ended = signer(&json!({"expiresAt": at(10).to_string()}));
    for (name, signer, first_seen, now, wanted) in [
        ("nothing ends the key", &plain, Some(1), 20, true),
        ("nothing ends the key, not yet seen", &plain, None, 20, true),
        ("revoked after it was seen", &revoked, Some(9), 20, true),
        ("seen at the moment of the revocation", &revoked, Some(10), 20, false),
        ("seen after the revocation", &revoked, Some(11), 20, false),
        ("not seen by the revocation", &revoked, None, 20, false),
        ("not seen, and the revocation is to come", &revoked, None, 9, true),
        ("seen before the key was in other hands", &compromised, Some(4), 20, true),
        ("seen when it was, and before the revocation", &compromised, Some(7), 20, false),
        ("seen at the very moment", &compromised, Some(5), 20, false),
        ("not seen, compromised since", &compromised, None, 20, false),
        ("ended after it was seen", &ended, Some(9), 20, true),
        ("seen when it ended", &ended, Some(10), 20, false),
        ("not seen before it ended", &ended, None, 20, false),
    ] {
        assert_eq!(counts(signer, none, first_seen, now), wanted, "{name}");
    }
    let reason = |signer, first_seen: i64| match standing(Some(signer), none, Some(at(first_seen)), at(20)) {
        Standing::Void(reason) => reason,
        other @ Standing::Counts { .. } => panic!("{other:?}"),
    };
    assert_eq!(reason(&revoked, 11), VoidReason::Revoked { at: at(10) });
    assert_eq!(reason(&compromised, 7), VoidReason::Compromised { since: at(5) });
    assert_eq!(reason(&ended, 11), VoidReason::Expired { at: at(10) });
    assert_eq!(
        standing(Some(&revoked), none, None, at(9)),
        Standing::Counts { unless_seen_by: Some(at(10)) }
    );
    assert_eq!(standing(Some(&revoked), none, Some(at(9)), at(9)), Standing::Counts { unless_seen_by: None });
}

#[test]
fn deleting_a_signer_voids_all_it_signed_and_creating_it_again_brings_nothing_back() {
    let plain = signer(&json!({}));
    let void = |signer, history, seen| standing(signer, history, seen, at(20));
    for seen in [None, Some(at(1))] {
        assert_eq!(void(None, KeyHistory::default(), seen), Standing::Void(VoidReason::NotTrusted));
    }
    let deleted = KeyHistory { deleted: Some(at(10)), revoked: None };
    for (seen, wanted) in [(Some(1), false), (Some(10), false), (Some(11), true), (None, true)] {
        assert_eq!(counts(&plain, deleted, seen, 20), wanted, "{seen:?}");
    }
    assert_eq!(void(Some(&plain), deleted, Some(at(1))), Standing::Void(VoidReason::Deleted { at: at(10) }));
    // A revocation that a deleted TrustedSigner had, or one that was edited away behind the webhook's back.
    let revoked = KeyHistory { deleted: None, revoked: Some(at(10)) };
    for (seen, wanted) in [(Some(9), true), (Some(10), false), (None, false)] {
        assert_eq!(counts(&plain, revoked, seen, 20), wanted, "{seen:?}");
    }
}

#[test]
fn dates_that_do_not_exist_end_a_key() {
    let bad = "2026-02-31T00:00:00Z";
    for more in [
        json!({"revoked": {"at": bad}}),
        json!({"revoked": {"at": at(10).to_string(), "compromisedSince": bad}}),
        json!({"expiresAt": bad}),
    ] {
        let found = standing(Some(&signer(&more)), KeyHistory::default(), Some(at(1)), at(2));
        assert!(matches!(found, Standing::Void(VoidReason::Unreadable { .. })), "{more}: {found:?}");
    }
    assert_eq!(cut(&signer(&json!({"revoked": {"at": bad}}))), Some(Timestamp::MIN));
    assert_eq!(cut(&signer(&json!({}))), None);
    let both = json!({"revoked": {"at": at(10).to_string(), "compromisedSince": at(5).to_string()}});
    assert_eq!(cut(&signer(&both)), Some(at(5)));
}

#[test]
fn a_date_of_signing_may_not_lie_ahead() {
    let seen = "2026-11-20T12:00:00Z".parse().unwrap();
    let ahead = |text: &str| issued_ahead(&placet_api::scalar::DateTime::new(text).unwrap(), seen);
    assert!(!ahead("2020-01-01T00:00:00Z"));
    assert!(!ahead("2026-11-20T12:05:00Z"));
    assert!(ahead("2026-11-20T12:05:00.000000001Z"));
    assert!(ahead("2026-02-31T00:00:00Z"));
}

fn fingerprint(seed: u8) -> String {
    common::key(seed).fingerprint(ssh_key::HashAlg::Sha256).to_string()
}

/// Name of the TrustedSigner of the key with this seed, and its user.
fn find<'a>(
    signers: &[(&'a str, &'a TrustedSignerSpec)],
    seed: u8,
) -> Result<(&'a str, String), SignerProblem> {
    let (name, spec) = find_signer(&fingerprint(seed), signers.iter().copied())?;
    Ok((name, spec.user.to_string()))
}

#[test]
fn a_key_stands_for_one_person() {
    let erin = signer(&json!({}));
    let again = signer(&json!({"user": "frank@example.com"}));
    // The same key with another comment is the same key.
    let commented =
        signer(&json!({"key": format!("{} of erin", common::key(7).public_key().to_openssh().unwrap())}));
    let other = signer(&json!({"key": common::key(8).public_key().to_openssh().unwrap()}));
    let unreadable = signer(&json!({"key": "ssh-ed25519 AAAA"}));
    let user = |name, user: &str| Ok((name, user.to_owned()));
    let not_trusted = |seed| Err(SignerProblem::NotTrusted { fingerprint: fingerprint(seed) });
    let shared =
        |names: &str| Err(SignerProblem::Shared { fingerprint: fingerprint(7), names: names.into() });
    assert_eq!(find(&[("a", &erin), ("b", &other)], 7), user("a", "erin@example.com"));
    assert_eq!(find(&[("a", &erin), ("b", &other)], 9), not_trusted(9));
    assert_eq!(find(&[("u", &unreadable)], 7), not_trusted(7));
    assert_eq!(find(&[("b", &erin), ("a", &again)], 7), shared("a, b"));
    assert_eq!(find(&[("a", &erin), ("b", &commented)], 7), shared("a, b"));
    assert_eq!(find(&[], 7), not_trusted(7));
}

proptest! {
    /// Whatever more is known of a key's end, nothing begins to count by it; and what has been seen stays as it was judged.
    #[test]
    fn more_ends_never_make_a_signature_count(
        revoked in proptest::option::of(0..30i64), since in proptest::option::of(0..30i64),
        expires in proptest::option::of(0..30i64), old in proptest::option::of(0..30i64),
        deleted in proptest::option::of(0..30i64), seen in proptest::option::of(0..30i64), now in 0..30i64,
    ) {
        prop_assume!(seen.is_none_or(|seen| seen <= now));
        let mut more = json!({});
        if let Some(revoked) = revoked {
            more["revoked"] = json!({"at": at(revoked).to_string()});
            if let Some(since) = since {
                more["revoked"]["compromisedSince"] = at(since.min(revoked)).to_string().into();
            }
        }
        if let Some(expires) = expires {
            more["expiresAt"] = at(expires).to_string().into();
        }
        let history = KeyHistory { revoked: old.map(at), deleted: deleted.map(at) };
        let (plain, ended) = (signer(&json!({})), signer(&more));
        if counts(&ended, history, seen, now) {
            prop_assert!(counts(&plain, history, seen, now));
            prop_assert!(counts(&ended, KeyHistory::default(), seen, now));
        }
        // The naive rule: it was seen before every end, and after every deletion.
        let seen_at = seen.unwrap_or(now);
        let since = revoked.and(since).map(|s| s.min(revoked.unwrap_or(s)));
        let naive = [revoked, since, expires, old].into_iter().flatten().all(|end| seen_at < end)
            && deleted.is_none_or(|d| seen_at > d);
        prop_assert_eq!(counts(&ended, history, seen, now), naive);
        if let Some(seen) = seen {
            prop_assert_eq!(counts(&ended, history, Some(seen), now), counts(&ended, history, Some(seen), now + 100));
        }
    }
}
