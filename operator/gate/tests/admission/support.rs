//! Releases, decisions and policies for the cases.

use std::sync::Arc;

use placet_api::Kind;
use placet_api::common::Class;
use placet_api::modelrelease::{GateVerdict, ModelReleaseSpec};
use placet_api::releasepolicy::ReleasePolicySpec;
use placet_gate::decision::{Lapse, Shown};
use placet_gate::finding::{Finding, Gate, GateOutcome, Reason};
use placet_gate::object::{Object, Record, Stamp, Standing};
use placet_gate::people::PeopleKey;
use placet_gate::world::{Clock, World};
use placet_gate::{Cleared, Decision, evaluate};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// An object that counts.
pub fn object<S: DeserializeOwned>(
    kind: Kind,
    namespace: Option<&str>,
    name: &str,
    spec: &Value,
) -> Object<S> {
    let person = PeopleKey::new(*b"cases").person("platform");
    let at = "2026-01-01T00:00:00Z";
    let standing: Standing = serde_json::from_value(serde_json::json!({
        "creator": person, "createdAt": at, "changedAt": at, "authors": [person],
    }))
    .unwrap();
    let record = Record {
        kind,
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
        uid: format!("uid-{name}"),
        spec: spec.clone().into(),
        digest: placet_gate::digest::content(kind, namespace, name, spec).map_err(|e| e.to_string()),
        stamp: Stamp::Valid(standing),
        signature: None,
        signer: None,
    };
    Object::new(record, true)
}

/// The release of the cases.
pub fn release(spec: &Value) -> Object<ModelReleaseSpec> {
    let release: Object<ModelReleaseSpec> = object(Kind::ModelRelease, Some("credit"), "v1", spec);
    assert_eq!(release.problem(), None);
    release
}

/// A policy of the cases.
pub fn policy(name: &str, spec: &Value) -> Arc<Object<ReleasePolicySpec>> {
    Arc::new(object(Kind::ReleasePolicy, None, name, spec))
}

/// A decision by the word that the cases use.
pub fn decision(word: &str) -> Option<Decision> {
    let one = |gate, reason, found: &str| {
        vec![Finding {
            gate,
            verdict: GateVerdict::NotMet,
            reason,
            item: "item".into(),
            wanted: "minimum wants it".into(),
            found: found.into(),
            about: vec![],
            who: "validator".into(),
            command: "placet report".into(),
        }]
    };
    let expired = one(Gate::Approvals, Reason::ApprovalExpired, "0 of 1 Approve; one expired");
    let withdrawn = one(Gate::Release, Reason::Withdrawn, "spec.withdrawn is true");
    let (lapse, findings) = match word {
        "absent" => return None,
        "not found" => {
            let clock = Clock::Trusted("2026-11-20T12:00:00Z".parse().unwrap());
            let decision = evaluate(&World::new().snapshot("credit", "v1", clock));
            assert!(decision.findings().any(|f| f.reason == Reason::ReleaseNotFound));
            return Some(decision);
        }
        "cleared" | "cleared without release" => (None, vec![]),
        "missing" => (Some(Lapse::Missing), one(Gate::Tests, Reason::TestMissing, "no report of bias")),
        "unknown" => {
            let mut findings = one(Gate::Release, Reason::ClockUntrusted, "differs by 45 s");
            findings[0].verdict = GateVerdict::Unknown;
            (Some(Lapse::Missing), findings)
        }
        "rejected" => (
            Some(Lapse::TakenBack),
            one(Gate::Approvals, Reason::Rejected, "rejected by <person:0123456789abcdef0123456789abcdef>"),
        ),
        "expired" => (Some(Lapse::Expired), expired),
        "taken back" | "taken back, replacements start" => (Some(Lapse::TakenBack), withdrawn),
        other => panic!("no decision {other}"),
    };
    // Of policies that ask nothing about data.
    let gates: Vec<GateOutcome> = Gate::ALL
        .into_iter()
        .filter(|gate| gate.always())
        .map(|gate| {
            let findings: Vec<Finding> = findings.iter().filter(|f| f.gate == gate).cloned().collect();
            let verdict = findings.iter().map(|f| f.verdict).max().unwrap_or(GateVerdict::Met);
            GateOutcome { gate, verdict, findings, notes: vec![] }
        })
        .collect();
    Some(Decision {
        cleared: match gates.iter().map(|g| g.verdict).max() {
            Some(GateVerdict::Met) => Cleared::True,
            Some(GateVerdict::NotMet) => Cleared::False,
            _ => Cleared::Unknown,
        },
        lapse,
        class: Some(Class::High),
        derived: None,
        class_basis: vec![],
        gates,
        content: "sha256:c".into(),
        evidence: None,
        policies: vec![],
        valid_until: None,
        on_basis: false,
        hold_replacements: word != "taken back, replacements start",
        shown: Shown::default(),
    })
}

/// Puts digests in place of `sha256:WORD`: 64 hexadecimal digits made from the word.
pub fn digests(text: &str) -> String {
    const WORDS: [(&str, char); 5] =
        [("MODEL", 'a'), ("WEIGHTS", 'b'), ("ORIGIN", 'c'), ("ENVOY", 'd'), ("OTHER", 'e')];
    WORDS.iter().fold(text.to_owned(), |text, (word, digit)| {
        text.replace(&format!("sha256:{word}"), &format!("sha256:{}", digit.to_string().repeat(64)))
    })
}

/// JSON merge patch (RFC 7386).
pub fn merge(target: &mut Value, patch: &Value) {
    let (Value::Object(_) | Value::Null, Value::Object(patch)) = (&*target, patch) else {
        target.clone_from(patch);
        return;
    };
    if target.is_null() {
        *target = Value::Object(serde_json::Map::new());
    }
    for (key, value) in patch {
        if value.is_null() {
            if let Some(map) = target.as_object_mut() {
                map.remove(key);
            }
        } else {
            merge(&mut target[key.as_str()], value);
        }
    }
}
