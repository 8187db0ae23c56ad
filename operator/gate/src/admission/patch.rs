//! The JSON patches (RFC 6902) that put a hold on a pod and take it off.

use placet_api::keys::HOLD_GATE;
use serde_json::{Value, json};

/// Puts the scheduling gate `placet.dev/hold` on a pod that is being created. Empty if it is there already, or if the
/// pod is not one (which the judgement refuses).
pub fn hold_patch(pod: &Value) -> Vec<Value> {
    let gate = json!({"name": HOLD_GATE});
    let Some(spec) = pod.get("spec").filter(|s| s.is_object()) else { return Vec::new() };
    match spec.get("schedulingGates") {
        None | Some(Value::Null) => {
            vec![json!({"op": "add", "path": "/spec/schedulingGates", "value": [gate]})]
        }
        Some(Value::Array(_)) if hold_index(pod).is_none() => {
            vec![json!({"op": "add", "path": "/spec/schedulingGates/-", "value": gate})]
        }
        Some(_) => Vec::new(),
    }
}

/// Takes the gate off a pod that was read, and nothing else: the patch fails if it is no longer that pod in that
/// version, or the gate stands elsewhere. None if the pod has no such gate. A pod that is being created has neither uid
/// nor resourceVersion yet, and they are not tested then.
pub fn unhold_patch(pod: &Value) -> Option<Vec<Value>> {
    let index = hold_index(pod)?;
    let gate = pod.get("spec")?.get("schedulingGates")?.get(index)?;
    let mut ops = Vec::with_capacity(4);
    for field in ["uid", "resourceVersion"] {
        if let Some(value) = pod.get("metadata").and_then(|m| m.get(field)).filter(|v| v.is_string()) {
            ops.push(json!({"op": "test", "path": format!("/metadata/{field}"), "value": value}));
        }
    }
    let path = format!("/spec/schedulingGates/{index}");
    ops.push(json!({"op": "test", "path": path, "value": gate}));
    ops.push(json!({"op": "remove", "path": path}));
    Some(ops)
}

/// Place of our gate among a pod's scheduling gates.
pub(super) fn hold_index(pod: &Value) -> Option<usize> {
    let gates = pod.get("spec")?.get("schedulingGates")?.as_array()?;
    gates.iter().position(|g| g.get("name").and_then(Value::as_str) == Some(HOLD_GATE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_added_once() {
        let add = |path: &str, value: Value| vec![json!({"op": "add", "path": path, "value": value})];
        let gate = json!({"name": HOLD_GATE});
        assert_eq!(hold_patch(&json!({"spec": {}})), add("/spec/schedulingGates", json!([gate])));
        let null = json!({"spec": {"schedulingGates": null}});
        assert_eq!(hold_patch(&null), add("/spec/schedulingGates", json!([gate])));
        let other = json!({"spec": {"schedulingGates": [{"name": "other"}]}});
        assert_eq!(hold_patch(&other), add("/spec/schedulingGates/-", gate.clone()));
        assert!(hold_patch(&json!({"spec": {"schedulingGates": [gate]}})).is_empty());
        assert!(hold_patch(&json!({"spec": "text"})).is_empty());
        assert!(hold_patch(&Value::Null).is_empty());
    }

    #[test]
    fn a_hold_is_lifted_from_exactly_this_pod() {
        let pod = json!({"metadata": {"uid": "u", "resourceVersion": "7"},
            "spec": {"schedulingGates": [{"name": "other"}, {"name": HOLD_GATE}]}});
        let wanted = json!([
            {"op": "test", "path": "/metadata/uid", "value": "u"},
            {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
            {"op": "test", "path": "/spec/schedulingGates/1", "value": {"name": HOLD_GATE}},
            {"op": "remove", "path": "/spec/schedulingGates/1"},
        ]);
        assert_eq!(unhold_patch(&pod).map(Value::Array), Some(wanted));
        let created = json!({"metadata": {}, "spec": {"schedulingGates": [{"name": HOLD_GATE}]}});
        assert_eq!(unhold_patch(&created).map(|ops| ops.len()), Some(2));
        assert_eq!(unhold_patch(&json!({"spec": {"schedulingGates": [{"name": "other"}]}})), None);
        assert_eq!(unhold_patch(&Value::Null), None);
    }
}
