//! What the integration tests share: a log in a temporary directory, and records to put into it.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
#[allow(clippy::wildcard_imports, reason = "the crate's own tests name most of it")]
use placet_evidence::*;

pub const ORIGIN: &str = "placet.dev/test";

pub fn key() -> LogKey {
    LogKey::from_seed(&[42; 32])
}

pub fn now() -> Timestamp {
    "2026-11-21T16:04:37.120394Z".parse().unwrap()
}

/// Small segments and no reserve: tests run on any disk.
pub fn config(dir: &Path) -> Config {
    Config { segment_bytes: 1 << 20, reserve_bytes: 0, ..Config::new(dir, ORIGIN, "cluster-uid") }
}

pub fn open(dir: &Path, heads: &Arc<MemoryHeads>) -> Result<Log, OpenError> {
    Log::open(&config(dir), &key(), heads.clone(), now())
}

/// A decision on a release, with an object that it cites and a name that it hides.
pub fn decision(n: u64) -> NewRecord {
    let object = Object::new(format!("{{\"spec\":{{\"version\":{n}}}}}").into_bytes());
    let body = Decision {
        verdict: Verdict::NotMet,
        class: Some("High".into()),
        derived: None,
        gates: vec![GateOutcome {
            gate: "tests".into(),
            verdict: Verdict::NotMet,
            reasons: vec!["TestReportMissing".into()],
        }],
        snapshot: vec![object.digest()],
        result: None,
        policies: vec![PolicyRef { name: "high-risk".into(), digest: Digest::of(b"policy") }],
        now: now(),
        valid_until: None,
        engine: "placet-gate/0.1.0".into(),
    };
    let subject = Subject::new("ModelRelease", Some("credit"), &format!("score-v{}", n % 3));
    NewRecord::new(now(), subject, Payload::Decision(body))
        .with_object(object)
        .with_actor(&format!("person {n}"))
}

/// A refused pod, as admission records it.
pub fn admission(n: u64) -> NewRecord {
    let body = Admission {
        effect: Effect::Deny,
        mode: "deny".into(),
        op: Operation::Create,
        group: String::new(),
        version: "v1".into(),
        kind: "Pod".into(),
        subresource: None,
        namespace: "credit".into(),
        name: format!("score-{n}"),
        request: format!("request-{n}"),
        uid: None,
        owner_uid: Some("owner".into()),
        owner_kind: Some("ReplicaSet".into()),
        release: Some("score-v1".into()),
        decision: None,
        cleared: false,
        pod_content: Some(Digest::of(b"pod")),
        replicas: None,
        raised_from: None,
        replacement: false,
        reasons: vec!["ApprovalMissing".into()],
        repeats: 0,
    };
    NewRecord::new(now(), Subject::new("ModelRelease", Some("credit"), "score-v1"), Payload::Admission(body))
}

/// A decision that read so many objects of some 400 bytes.
pub fn many(n: u64, inputs: u64) -> NewRecord {
    let mut record = decision(n);
    let objects =
        (0..inputs).map(|i| Object::new(format!("{{\"n\":{},\"x\":\"{:0400}\"}}", n % 7, i).into_bytes()));
    record.objects = objects.collect();
    if let Payload::Decision(body) = &mut record.payload {
        body.snapshot = record.objects.iter().map(Object::digest).collect();
    }
    record
}
