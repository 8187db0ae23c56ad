use super::*;

#[test]
fn what_a_policy_applies_to_reads_as_words() {
    let words = |json: &str| serde_json::from_str::<AppliesTo>(json).unwrap().in_words();
    assert_eq!(words(r#"{"classes": ["High"]}"#), "High");
    assert_eq!(words(r#"{"classes": ["Minimal", "Limited"], "namespaceSelector": {}}"#), "Minimal, Limited");
    assert_eq!(
        words(
            r#"{"classes": ["High"], "namespaceSelector": {"matchLabels": {"tier": "prod"}, "matchExpressions": [
                {"key": "team", "operator": "In", "values": ["a", "b"]}, {"key": "test", "operator": "DoesNotExist"}]}}"#
        ),
        "High; namespaces with tier=prod, team in (a, b), no test"
    );
}
