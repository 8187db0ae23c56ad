//! What is said of a ReleasePolicy before it is stored: it does not contradict itself, and its own gates can be evaluated.

use placet_api::releasepolicy::ReleasePolicySpec;
use placet_gate::object::Object;
use placet_gate::policy;
use placet_gate::world::World;

use crate::subjects;

/// Gives what is warned of.
///
/// # Errors
/// Why it is refused.
pub fn judge(world: &World, object: &Object<ReleasePolicySpec>) -> Result<Vec<String>, String> {
    let spec = object.spec.as_ref().map_err(|why| format!("spec: {why}"))?;
    let wrong = policy::custom_problems(spec);
    if !wrong.is_empty() {
        return Err(format!("spec.{}", wrong.join("; spec.")));
    }
    let (missing, conflicts) = subjects::policy_problems(world, object);
    if !conflicts.is_empty() {
        return Err(format!("the policy contradicts itself: {}", conflicts.join("; ")));
    }
    let missing = missing
        .into_iter()
        .map(|r| format!("there is no ApprovalRole {r} yet; releases stay Unknown until there is"));
    Ok(missing.chain(policy::warnings(spec)).collect())
}

#[cfg(test)]
mod tests {
    use placet_gate::object::Reading;
    use placet_gate::people::PeopleKey;
    use placet_gate::stamp::ReceiptKeys;
    use serde_json::{Value, json};

    use super::*;
    fn said(change: &Value) -> Result<Vec<String>, String> {
        let mut spec = json!({
            "appliesTo": {"classes": ["High"]},
            "approvals": [{"role": "model-owner", "count": 1, "covers": "Content"}],
        });
        for (key, value) in change.as_object().unwrap() {
            spec[key] = value.clone();
        }
        let value = json!({"apiVersion": "placet.dev/v1alpha1", "kind": "ReleasePolicy",
            "metadata": {"name": "house", "uid": "u"}, "spec": spec});
        let people = PeopleKey::new(*b"tests");
        let reading = Reading { cluster: "c".into(), cluster_name: None, keys: ReceiptKeys::new(), people };
        let record = reading.read(&value).unwrap().0;
        judge(&World::new(), &Object::new(record, true))
    }

    fn custom(expression: &str) -> Value {
        json!({"customGates": [{"name": "a", "expression": expression, "message": "x", "who": "y"}]})
    }

    #[test]
    fn a_policy_whose_gates_cannot_be_evaluated_is_refused_with_the_place() {
        let missing = "there is no ApprovalRole model-owner yet; releases stay Unknown until there is";
        assert_eq!(said(&json!({})), Ok(vec![missing.to_owned()]));
        assert_eq!(said(&custom("release.version != ''")), Ok(vec![missing.to_owned()]));
        for (expression, says) in [
            ("release.version ==", "spec.customGates[a].expression: line 1, column 19: "),
            (
                "releas.version == ''",
                "spec.customGates[a].expression: line 1, column 1: wanted one of system",
            ),
            ("reports.all(r, r.rows > 1)", "of reports it may only be asked whether there is one"),
        ] {
            let why = said(&custom(expression)).unwrap_err();
            assert!(why.contains(says), "{expression}: {why}");
        }
    }

    #[test]
    fn a_gate_that_comes_later_is_refused_as_not_yet_known() {
        let why = said(&json!({"signatures": {"required": true}})).unwrap_err();
        assert!(
            why.starts_with("spec: signatures: gates on signatures of artefacts are not yet known"),
            "{why}"
        );
    }

    #[test]
    fn a_contradiction_is_refused_and_criteria_that_cannot_hold_together_are_warned_of() {
        let bias = |metric: &str, side: &str| json!({"type": "Bias", "metric": metric, side: "0.5"});
        let both = [bias("SelectionRateRatio", "atLeast"), bias("EqualizedOdds", "atMost")];
        let said_of = said(&json!({"tests": both})).unwrap();
        assert!(said_of.len() == 2 && said_of[1].contains("parity of selection"), "{said_of:?}");
        let why = said(&json!({"tests": [bias("SelectionRateRatio", "atMost")]})).unwrap_err();
        assert!(why.starts_with("the policy contradicts itself: "), "{why}");
    }
}
