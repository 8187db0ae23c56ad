//! Properties: total on arbitrary JSON, scaling down always passes, warn and audit never refuse, and what enforces never
//! lets through what is not cleared.

use std::collections::BTreeMap;

use placet_gate::admission::{
    self, Effect, Facts, Judged, Mode, Operation, OwnerHistory, Request, Workload, hold_patch, unhold_patch,
};
use placet_gate::policy::PolicySet;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{OPERATOR, base, support};

/// Field names that the judgement looks at, so that arbitrary JSON reaches its depths.
const FIELDS: [&str; 26] = [
    "metadata",
    "labels",
    "placet.dev/release",
    "ownerReferences",
    "controller",
    "uid",
    "name",
    "generateName",
    "deletionTimestamp",
    "spec",
    "template",
    "jobTemplate",
    "containers",
    "initContainers",
    "ephemeralContainers",
    "volumes",
    "image",
    "reference",
    "replicas",
    "parallelism",
    "suspend",
    "strategy",
    "schedulingGates",
    "nodeName",
    "env",
    "kind",
];

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop_oneof![
            Just("v1"),
            Just("placet.dev/hold"),
            Just("@"),
            Just(":"),
            Just("/:@sha256:"),
            Just("nginx:1@sha256:"),
        ]
        .prop_map(Value::from),
    ]
}

fn anything() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(8, 96, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((prop::sample::select(&FIELDS[..]), inner), 0..6).prop_map(|pairs| {
                Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>())
            }),
        ]
    })
}

fn workload() -> impl Strategy<Value = Workload> {
    prop::sample::select(&Workload::ALL[..])
}

fn subresource() -> impl Strategy<Value = Option<&'static str>> {
    prop::sample::select(&[None, Some(""), Some("scale"), Some("status"), Some("ephemeralcontainers")][..])
}

fn user() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &["alice", OPERATOR, "", "system:serviceaccount:kube-system:replicaset-controller"][..],
    )
}

const WORDS: [&str; 9] = [
    "absent",
    "cleared",
    "cleared without release",
    "missing",
    "unknown",
    "not found",
    "expired",
    "taken back",
    "taken back, replacements start",
];

/// Judges one request in every mode.
fn every_mode(
    request: &Request<'_>,
    parent: Option<&Value>,
    word: &str,
    with_release: bool,
    history: Option<i64>,
) -> Vec<(Mode, admission::Answer, admission::Subject)> {
    let Judged::Subject(subject) = admission::subject(request, parent) else { return Vec::new() };
    let base = base();
    let release = support::release(&base.release);
    let decision = support::decision(word);
    let policies: Vec<_> = base.policies.iter().map(|(n, s)| support::policy(n, s)).collect();
    let labels = BTreeMap::new();
    let history = history.map(|highest_replicas| OwnerHistory {
        admitted: [("v1".to_owned(), subject.pod_content.clone())].into(),
        highest_replicas,
    });
    [Mode::Deny, Mode::Hold, Mode::Warn, Mode::Audit]
        .into_iter()
        .map(|mode| {
            let facts = Facts {
                mode,
                mode_note: None,
                namespace_labels: &labels,
                release: Some(&release).filter(|_| with_release),
                decision: decision.as_ref(),
                words: None,
                policies: &PolicySet::new(policies.iter().cloned()),
                history: history.as_ref(),
                live_pods: 1,
                pods_running: true,
                operator_user: OPERATOR,
            };
            let answer = admission::judge(request, &subject, &facts);
            let last = answer.in_validation(request, &subject, &facts);
            (mode, last, (*subject).clone())
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn any_input_gives_an_answer_and_only_enforcing_modes_refuse(
        kind in workload(), sub in subresource(), create in any::<bool>(), object in anything(),
        old in prop::option::of(anything()), parent in prop::option::of(anything()), user in user(),
        word in prop::sample::select(&WORDS[..]), with_release in any::<bool>(),
        history in prop::option::of(0_i64..3),
    ) {
        let request = Request {
            kind, subresource: sub, operation: if create { Operation::Create } else { Operation::Update },
            namespace: "credit", name: "", object: &object, old: old.as_ref(), user,
        };
        let _ = (hold_patch(&object), unhold_patch(&object));
        for (mode, answer, subject) in every_mode(&request, parent.as_ref(), word, with_release, history) {
            prop_assert!(!subject.changes.is_empty());
            if !mode.enforces() {
                prop_assert!(!matches!(answer.effect, Effect::Deny | Effect::Hold));
            }
            let lifted = user == OPERATOR && subject.changes == [admission::Change::GateRemoved];
            let let_go = answer.cleared || answer.replacement || lifted;
            if mode == Mode::Deny && !let_go {
                prop_assert_eq!(answer.effect, Effect::Deny);
            }
            if mode == Mode::Hold && subject.is_pod() && !let_go {
                prop_assert!(answer.effect == Effect::Deny || (answer.effect == Effect::Hold && subject.gated));
            }
            if answer.cleared {
                prop_assert!(subject.problems.is_empty() && subject.images.iter().all(|i| i.image.contains("@sha256:")));
                prop_assert!(subject.release.is_none() || (word == "cleared" && with_release));
            }
            prop_assert!(!answer.replacement || (subject.is_pod() && create));
            prop_assert_eq!(answer.effect == Effect::Deny, !answer.message.is_empty());
        }
    }

    #[test]
    fn scaling_down_always_passes(
        kind in workload(), mut object in anything(), from in 0_i64..1000, down in 0_i64..1000,
    ) {
        let (path, field): (&[&str], _) = match kind {
            Workload::CronJob => (&["spec", "jobTemplate", "spec"], "parallelism"),
            Workload::Job => (&["spec"], "parallelism"),
            _ => (&["spec"], "replicas"),
        };
        let to = (from - down).max(0);
        let mut place = &mut object;
        for step in path {
            if !place.is_object() {
                *place = json!({});
            }
            place = &mut place[*step];
        }
        if !place.is_object() {
            *place = json!({});
        }
        place[field] = from.into();
        let old = object.clone();
        let mut place = &mut object;
        for step in path {
            place = &mut place[*step];
        }
        place[field] = to.into();
        let request = Request {
            kind, subresource: None, operation: Operation::Update, namespace: "credit", name: "a",
            object: &object, old: Some(&old), user: "alice",
        };
        prop_assert!(matches!(admission::subject(&request, None), Judged::Passes(_)));
        let (new, old) = (json!({"spec": {"replicas": to}}), json!({"spec": {"replicas": from}}));
        let scale = Request { subresource: Some("scale"), object: &new, old: Some(&old), ..request };
        prop_assert!(matches!(admission::subject(&scale, None), Judged::Passes(_)));
    }

    #[test]
    fn an_update_that_changes_nothing_passes(kind in workload(), sub in subresource(), object in anything()) {
        let request = Request {
            kind, subresource: sub, operation: Operation::Update, namespace: "credit", name: "a",
            object: &object, old: Some(&object), user: "alice",
        };
        prop_assert!(matches!(admission::subject(&request, None), Judged::Passes(_)));
    }

    #[test]
    fn what_is_held_can_be_let_go_again(mut pod in anything()) {
        if !pod.is_object() {
            pod = json!({});
        }
        if !pod["spec"].is_object() {
            pod["spec"] = json!({});
        }
        let gates = pod["spec"]["schedulingGates"].clone();
        for op in hold_patch(&pod) {
            match op["path"].as_str() {
                Some("/spec/schedulingGates") => pod["spec"]["schedulingGates"] = op["value"].clone(),
                Some("/spec/schedulingGates/-") => {
                    pod["spec"]["schedulingGates"].as_array_mut().unwrap().push(op["value"].clone());
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert!(hold_patch(&pod).is_empty());
        let lifted = unhold_patch(&pod);
        prop_assert_eq!(lifted.is_some(), gates.is_null() || gates.is_array());
        if let Some(ops) = lifted {
            let place = ops.last().unwrap()["path"].as_str().unwrap();
            prop_assert_eq!(&pod.pointer(place).unwrap()["name"], "placet.dev/hold");
        }
    }
}
