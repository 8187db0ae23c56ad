//! Dates, owners and counts of what is written.

use super::*;
use serde_json::json;

#[test]
fn typed_dates_are_held_against_the_stamp() {
    let at: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    let ran = |text: &str| dates(Kind::TestReport, &json!({"ranAt": text}), at);
    for good in ["2026-11-22", "2026-11-23", "2026-11-22T10:00:00Z", "2020-01-01"] {
        assert_eq!(ran(good), Ok(()), "{good}");
    }
    for bad in ["2026-11-24", "2026-11-22T10:00:01Z", "2026-02-31"] {
        assert!(ran(bad).unwrap_err().contains("spec.ranAt"), "{bad}");
    }
    let ends = |text: &str| dates(Kind::Approval, &json!({"expiresAt": text}), at);
    assert_eq!(ends("2026-11-22T10:00:01Z"), Ok(()));
    for bad in ["2026-11-22T10:00:00Z", "2020-01-01T00:00:00Z"] {
        assert!(ends(bad).unwrap_err().contains("a time to come"), "{bad}");
    }
}

#[test]
fn a_dataset_is_of_days_that_have_come_and_its_counts_add_up() {
    let at: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    let of = |until: &str| dates(Kind::Dataset, &json!({"provenance": {"collectedUntil": until}}), at);
    assert_eq!(of("2026-11-22"), Ok(()));
    for bad in ["2026-11-24", "2026-02-31"] {
        assert!(of(bad).unwrap_err().contains("spec.provenance.collectedUntil"), "{bad}");
    }
    let digest = format!("sha256:{}", "a".repeat(64));
    let spec = |rows: i64| {
        json!({
            "name": "d", "digest": digest, "provenance": {"source": "s"}, "permittedUses": ["Training"],
            "permittedPurposes": ["p"], "personalData": {"contained": false, "specialCategories": []}, "rows": rows,
            "groups": [{"attribute": "sex", "counts": [{"value": "f", "rows": 2}, {"value": "m", "rows": 3}]}],
        })
    };
    assert_eq!(dataset(&spec(5)), Ok(()));
    assert!(dataset(&spec(6)).unwrap_err().contains("found 5"));
}

#[test]
fn owners_are_for_nobody_to_add() {
    let owned = |names: &[&str]| {
        let owners: Vec<Value> = names.iter().map(|n| json!({"kind": "ConfigMap", "name": n})).collect();
        json!({"metadata": {"ownerReferences": owners}})
    };
    assert_eq!(new_owners(&owned(&[]), None), None);
    assert_eq!(new_owners(&json!({"metadata": {}}), Some(&owned(&["a"]))), None);
    assert_eq!(
        new_owners(&owned(&["a"]), Some(&owned(&["a"]))),
        None,
        "what was there does not get in the way"
    );
    assert_eq!(new_owners(&owned(&["a"]), None).as_deref(), Some("ConfigMap a"));
    assert_eq!(new_owners(&owned(&["a", "b"]), Some(&owned(&["a"]))).as_deref(), Some("ConfigMap b"));
}

#[test]
fn counts_must_sum_to_rows() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let spec = |rows: i64, first: i64| {
        let group = |name: &str, rows: i64| json!({"attributes": {"sex": name}, "rows": rows, "tp": rows, "fp": 0, "fn": 0, "tn": 0});
        json!({
            "type": "Bias", "artifact": digest, "dataset": digest, "tool": {"name": "t", "version": "1"},
            "ranAt": "2026-11-20", "positiveMeans": "Favourable", "rows": rows,
            "groups": [group("female", first), group("male", 3)],
        })
    };
    assert_eq!(report(&spec(5, 2)), Ok(()));
    assert!(report(&spec(6, 2)).unwrap_err().contains("found 5"));
    assert!(report(&spec(6, i64::MAX)).is_err());
}
