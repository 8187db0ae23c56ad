//! `placet evidence` on a log in a directory, written as the operator writes it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{Ran, placet};
use jiff::Timestamp;
use placet_api::Kind;
use placet_api::modelrelease::GateVerdict;
use placet_evidence::{
    Admission, Config, Decision, Effect, FileHeads, GateOutcome, HoldLifted, Log, LogKey, NewRecord, Object,
    ObjectSeen, Operation, Payload, Subject, Verdict,
};
use placet_gate::circumstances::Circumstances;
use placet_gate::evaluate;
use placet_gate::object::Reading;
use placet_gate::people::PeopleKey;
use placet_gate::stamp::{Identity, ReceiptKeys, StampText};
use placet_gate::world::{Clock, World};
use serde_json::{Value, json};

const ORIGIN: &str = "placet.dev/test";
/// More than a record names one by one.
const MANY: usize = 100;

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn release() -> Value {
    json!({"apiVersion": "placet.dev/v1alpha1", "kind": "ModelRelease", "metadata": {"name": "m-1", "namespace": "lending"},
           "spec": {"system": "s", "version": "1", "change": {"kind": "Initial", "reason": "First"},
                    "artifacts": [{"name": "w", "role": "Model", "kind": "OCI", "reference": "r.example/w",
                                   "digest": format!("sha256:{}", "3".repeat(64))}]}})
}

fn approval() -> Value {
    json!({"apiVersion": "placet.dev/v1alpha1", "kind": "Approval", "metadata": {"name": "a", "namespace": "lending"},
           "spec": {"subject": {"kind": "ModelRelease", "name": "m-1", "covers": "Content", "digest": format!("sha256:{}", "9".repeat(64))},
                    "role": "risk-officer", "decision": "Approve"}})
}

/// What a log holds in place of what the gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Changed {
    Nothing,
    /// The gate read so much that a list stands for it.
    Many,
    /// The stored decision says the same in other words.
    Words,
    /// The stored decision is about another system.
    Finding,
    /// The stored decision holds longer.
    Until,
    /// The record says Met over a stored decision that is not.
    Record,
    /// The stored decision gives a reason that only another version knows.
    Reason,
}

impl Changed {
    fn change(self, decision: &mut placet_gate::Decision) {
        let finding = || decision.gates.iter().position(|g| !g.findings.is_empty()).unwrap();
        match self {
            Changed::Nothing | Changed::Many | Changed::Record | Changed::Reason => {}
            Changed::Words => {
                let at = finding();
                decision.gates[at].findings[0].wanted = "the same, said better".into();
                decision.gates[at].notes.push("more to see".into());
            }
            Changed::Finding => {
                let at = finding();
                decision.gates[at].findings[0].item = "another".into();
            }
            Changed::Until => decision.valid_until = Some(at("2030-01-01T00:00:00Z")),
        }
    }
}

#[expect(clippy::too_many_lines, reason = "one record after the other, each with all its fields")]
/// A log with the life of one release; `changed` makes the recorded decision another one than the gate's.
fn write_log(dir: &Path, heads: &Path, changed: Changed) -> LogKey {
    let key = LogKey::from_seed(&[5; 32]);
    let config = Config::new(dir, ORIGIN, "cluster-1");
    let log = Log::open(&config, &key, Arc::new(FileHeads::new(heads)), at("2026-11-20T09:00:00Z")).unwrap();
    let reading = Reading {
        cluster: "cluster-1".into(),
        cluster_name: None,
        keys: ReceiptKeys::new(),
        people: PeopleKey::new(*b"people"),
    };
    let stamp = |user: &str| {
        StampText::new(Identity { user: user.into(), ..Identity::default() }, at("2026-11-20T09:00:00Z"))
    };
    let mut world = World::new();
    let append = |record: NewRecord| log.append(record).wait().unwrap().index;
    let mut stored = Vec::new();
    let mut objects =
        vec![(release(), "alice", "2026-11-20T09:00:01Z"), (approval(), "erin", "2026-11-20T09:00:02Z")];
    for n in 0..if changed == Changed::Many { MANY } else { 0 } {
        let mut more = approval();
        more["metadata"]["name"] = format!("more-{n}").into();
        objects.push((more, "erin", "2026-11-20T09:00:02Z"));
    }
    for (object, user, time) in objects {
        let (record, _) = reading.read_assuming(&object, &stamp(user)).unwrap();
        let object = Object::new(serde_json::to_vec(&record).unwrap());
        stored.push(object.digest());
        let seen = ObjectSeen {
            op: Operation::Create,
            kind: record.kind.to_string(),
            namespace: record.namespace.clone(),
            name: record.name.clone(),
            uid: None,
            content: record.digest.clone().unwrap().parse().unwrap(),
            stored: Some(object.digest()),
            stamped: true,
        };
        let subject = Subject::new(record.kind.as_str(), record.namespace.as_deref(), &record.name);
        append(NewRecord::new(at(time), subject, Payload::Object(seen)).with_object(object).with_actor(user));
        world.apply(record);
    }
    let now = at("2026-11-20T09:00:03Z");
    let snapshot = world.snapshot("lending", "m-1", Clock::Trusted(now));
    let mut decision = evaluate(&snapshot);
    changed.change(&mut decision);
    let rest = Object::new(serde_json::to_vec(&Circumstances::of(&snapshot)).unwrap());
    let mut result = serde_json::to_string(&decision).unwrap();
    if changed == Changed::Reason {
        result = result.replacen("SystemNotFound", "SystemNotRegistered", 1);
    }
    let result = Object::new(result.into_bytes());
    let verdict = |verdict| match verdict {
        GateVerdict::Met => Verdict::Met,
        GateVerdict::NotMet => Verdict::NotMet,
        GateVerdict::Unknown => Verdict::Unknown,
    };
    let body = Decision {
        verdict: if changed == Changed::Record { Verdict::Met } else { Verdict::NotMet },
        class: None,
        derived: None,
        gates: decision
            .gates
            .iter()
            .map(|g| GateOutcome {
                gate: g.gate.to_string(),
                verdict: verdict(g.verdict),
                reasons: g.reasons(),
            })
            .collect(),
        snapshot: [stored.clone(), vec![rest.digest()]].concat(),
        result: Some(result.digest()),
        policies: vec![],
        now,
        valid_until: decision.valid_until,
        engine: "placet-gate/test".into(),
    };
    let subject = Subject::new(Kind::ModelRelease.as_str(), Some("lending"), "m-1");
    let record =
        NewRecord::new(now, subject.clone(), Payload::Decision(body)).with_object(result).with_object(rest);
    let index = append(record);
    let admission = Admission {
        effect: Effect::Hold,
        mode: "hold".into(),
        op: Operation::Create,
        group: String::new(),
        version: "v1".into(),
        kind: "Pod".into(),
        subresource: None,
        namespace: "lending".into(),
        name: "credit-*".into(),
        request: "r-1".into(),
        uid: None,
        owner_uid: None,
        owner_kind: None,
        release: Some("m-1".into()),
        decision: Some(index),
        cleared: false,
        pod_content: None,
        replicas: None,
        raised_from: None,
        replacement: false,
        reasons: vec!["ApprovalMissing".into()],
        repeats: 0,
    };
    append(NewRecord::new(at("2026-11-20T09:00:04Z"), subject.clone(), Payload::Admission(admission)));
    let lifted = HoldLifted {
        namespace: "lending".into(),
        pod: "credit-x".into(),
        uid: "u".into(),
        resource_version: "1".into(),
        owner_uid: None,
        release: Some("m-1".into()),
        pod_content: None,
        replicas: None,
        decision: Some(index),
        replacement: false,
    };
    append(NewRecord::new(at("2026-11-20T09:00:05.5Z"), subject, Payload::HoldLifted(lifted)));
    log.close(at("2026-11-20T09:00:06Z"), "test").unwrap();
    key
}

struct Fixture {
    _dir: tempfile::TempDir,
    log: String,
    key: String,
    root: std::path::PathBuf,
}

fn fixture(changed: Changed) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let key = write_log(&log, &dir.path().join("heads"), changed);
    let root = dir.path().to_owned();
    Fixture {
        log: log.to_str().unwrap().to_owned(),
        key: key.verifier(ORIGIN).unwrap().to_string(),
        root,
        _dir: dir,
    }
}

fn verify(dir: &str, more: &[&str]) -> Ran {
    placet(&[&["evidence", "verify", dir], more].concat())
}

/// A file of a kind below a directory.
#[expect(clippy::disallowed_methods, reason = "a test looks at files")]
fn a_file(dir: &Path) -> std::path::PathBuf {
    let mut entries: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    let path = entries.remove(0);
    if path.is_dir() { a_file(&path) } else { path }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test damages a file")]
fn verification_has_four_answers() {
    let f = fixture(Changed::Nothing);
    let good = verify(&f.log, &["--key", &f.key]);
    assert_eq!(good.code, 0, "{}{}", good.out, good.err);
    assert!(good.out.starts_with("verified: "), "{}", good.out);
    let open = verify(&f.log, &[]);
    assert_eq!(open.code, 3, "{}", open.out);
    assert!(open.out.starts_with("consistent with itself, not authenticated"), "{}", open.out);
    let other = LogKey::from_seed(&[6; 32]).verifier(ORIGIN).unwrap().to_string();
    assert_eq!(verify(&f.log, &["--key", &other]).code, 1);
    for (args, wanted) in [
        (&["--key", "nonsense"][..], "no such file, and no key"),
        (&["--head", "/nonexistent"], "wanted a readable text file"),
    ] {
        let ran = verify(&f.log, args);
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains(wanted), "{}", ran.err);
    }
    assert_eq!(verify("/nonexistent", &[]).code, 2);

    let object = a_file(&f.root.join("log/objects"));
    let mut bytes = std::fs::read(&object).unwrap();
    bytes[3] ^= 1;
    std::fs::write(&object, &bytes).unwrap();
    let bad = verify(&f.log, &["--key", &f.key]);
    assert_eq!(bad.code, 1, "{}", bad.out);
    assert!(bad.out.contains(object.file_name().unwrap().to_str().unwrap()), "{}", bad.out);
    assert_eq!(placet(&["evidence", "show", "mr/m-1", "--dir", &f.log, "--key", &f.key]).code, 1);
    std::fs::remove_file(&object).unwrap();
    assert_eq!(verify(&f.log, &["--key", &f.key]).code, 2);
}

/// What is no file of a log is named, and no command waits for it or reads it whole.
#[expect(clippy::disallowed_methods, reason = "a test makes the files that it is about")]
#[test]
fn a_prepared_directory_gets_an_answer() {
    let f = fixture(Changed::Nothing);
    let object = a_file(&f.root.join("log/objects"));
    // The newest of the partial ones is the one that is read.
    let partial =
        std::fs::read_dir(f.root.join("log/tile/entries/000.p")).unwrap().map(|e| e.unwrap().path());
    let width =
        |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().parse::<u16>().unwrap();
    let entries = partial.max_by_key(width).unwrap();
    for (place, prepared) in [
        (f.root.join("log/checkpoint"), None),
        (entries.clone(), Some(5_u64 << 30)),
        (entries, None),
        (object, None),
    ] {
        let aside = f.root.join("aside");
        std::fs::rename(&place, &aside).unwrap();
        match prepared {
            Some(bytes) => std::fs::File::create(&place).unwrap().set_len(bytes).unwrap(),
            None => std::os::unix::fs::symlink("/dev/zero", &place).unwrap(),
        }
        let name = place.strip_prefix(f.root.join("log")).unwrap().to_str().unwrap();
        let found = if prepared.is_some() { "found 5368709120 bytes" } else { "found a symbolic link" };
        let ran = verify(&f.log, &["--key", &f.key]);
        assert!(ran.code == 1 && ran.out.starts_with("TAMPERED"), "{name}: {}{}", ran.out, ran.err);
        let told = |text: &str| text.contains(name) && text.contains(found);
        assert!(told(&ran.out), "{name}: {}", ran.out);
        let to = f.root.join("copy");
        let ways: [&[&str]; 4] = [
            &["evidence", "show", "mr/m-1", "--dir", &f.log, "--no-verify"],
            &["evidence", "replay", "--dir", &f.log],
            &["evidence", "tail", "--dir", &f.log],
            &["evidence", "pull", "--dir", &f.log, "--to", to.to_str().unwrap()],
        ];
        // Objects are looked at by what rests on them: a timeline is shown without.
        let read = if name.starts_with("objects/") { &ways[3..] } else { &ways[..] };
        for args in read {
            let ran = placet(args);
            assert!(ran.code == 2 && told(&ran.err), "{args:?}: {} {}{}", ran.code, ran.out, ran.err);
        }
        std::fs::remove_file(&place).unwrap();
        std::fs::rename(&aside, &place).unwrap();
    }
    assert_eq!(verify(&f.log, &["--key", &f.key]).code, 0);
}

#[test]
fn the_life_of_a_release() {
    let f = fixture(Changed::Nothing);
    let ran = placet(&["evidence", "show", "mr/m-1", "--dir", &f.log, "--key", &f.key]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    // The root depends on random salts.
    let cut = ran.out.rfind(", root ").unwrap();
    common::golden("show.txt", &format!("{}\n", &ran.out[..cut]));
    assert!(ran.out.contains("3.50 s after the last approval"), "{}", ran.out);
    let json = placet(&["evidence", "show", "m-1", "--dir", &f.log, "--no-verify", "-o", "json"]);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["events"].as_array().unwrap().len(), 5);
    let none = placet(&["evidence", "show", "mr/m-2", "--dir", &f.log]);
    assert_eq!(none.code, 2);
    assert!(none.err.contains("wanted records about it, found none"), "{}", none.err);
}

#[test]
fn the_newest_records() {
    let f = fixture(Changed::Nothing);
    let ran = placet(&["evidence", "tail", "--last", "2", "--dir", &f.log]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 2, "{}", ran.out);
    assert!(lines[0].contains("hold lifted") && lines[1].contains("log closed"), "{}", ran.out);
}

#[test]
fn a_copy_verifies_as_the_log_does() {
    let f = fixture(Changed::Nothing);
    let to = f.root.join("copy");
    let to = to.to_str().unwrap();
    for _ in 0..2 {
        let ran = placet(&["evidence", "pull", "--dir", &f.log, "--to", to]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert_eq!(verify(to, &["--key", &f.key]).code, 0);
    }
    let names = placet(&["evidence", "show", "mr/m-1", "--dir", to, "--key", &f.key]);
    assert!(names.out.contains("alice"), "{}", names.out);
    assert_eq!(placet(&["evidence", "pull", "--dir", "high", "--to", to]).code, 2);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test damages a file")]
fn a_list_in_the_place_of_many_inputs_is_followed() {
    let f = fixture(Changed::Many);
    let to = f.root.join("copy");
    let to = to.to_str().unwrap();
    assert_eq!(placet(&["evidence", "pull", "--dir", &f.log, "--to", to]).code, 0);
    for dir in [&f.log, to] {
        assert_eq!(verify(dir, &["--key", &f.key]).code, 0);
        let ran = placet(&["evidence", "replay", "mr/m-1", "--dir", dir]);
        assert!(ran.code == 0 && ran.out.contains("1 come out as recorded"), "{}{}", ran.out, ran.err);
        let json = placet(&["evidence", "show", "m-1", "--dir", dir, "--no-verify", "-o", "json"]);
        let json: Value = serde_json::from_str(&json.out).unwrap();
        // Each approval that was read belongs to the release's life.
        assert_eq!(json["events"].as_array().unwrap().len(), 5 + MANY);
    }
    // Without an object that only the list names the copy is incomplete.
    let lost = (0..MANY).find_map(|n| {
        let path = object_of(to, &format!("\"more-{n}\""))?;
        std::fs::remove_file(path).ok()
    });
    assert_eq!(lost, Some(()));
    assert_eq!(verify(to, &["--key", &f.key]).code, 2);
}

/// The stored object of a log that contains a text.
#[expect(clippy::disallowed_methods, reason = "a test looks at files")]
fn object_of(log: &str, text: &str) -> Option<std::path::PathBuf> {
    let mut dirs = vec![Path::new(log).join("objects")];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if std::fs::read_to_string(&path).unwrap().contains(text) {
                return Some(path);
            }
        }
    }
    None
}

#[test]
fn replay_gives_the_recorded_decision_or_says_so() {
    let replay = |changed| {
        let f = fixture(changed);
        let ran = placet(&["evidence", "replay", "mr/m-1", "--dir", &f.log]);
        (ran.code, ran.out)
    };
    let engine = placet_gate::ENGINE;
    assert_eq!(
        replay(Changed::Nothing),
        (
            0,
            "1 decisions: 1 come out as recorded, 0 in other words, 0 differ, 0 could not be evaluated\n"
                .into()
        )
    );
    assert_eq!(
        replay(Changed::Words),
        (
            0,
            format!(
                "1 decided the same in other words: recorded by placet-gate/test, evaluated by {engine}\n\
                 1 decisions: 0 come out as recorded, 1 in other words, 0 differ, 0 could not be evaluated\n"
            )
        )
    );
    for (changed, recorded, evaluated) in [
        (
            Changed::Finding,
            "  recorded:  finding classification SystemNotFound (NotMet): another\n",
            "  evaluated: finding classification SystemNotFound (NotMet): s\n",
        ),
        (Changed::Until, "  recorded:  valid until: 2030-01-01T00:00:00Z\n", ""),
        (Changed::Record, "  recorded:  record: Met\n", "  evaluated: record: NotMet\n"),
    ] {
        let (code, out) = replay(changed);
        assert_eq!(code, 1, "{out}");
        let first = format!("recorded by placet-gate/test, evaluated by {engine}, decided otherwise\n");
        for wanted in
            [first.as_str(), recorded, evaluated, "0 come out as recorded, 0 in other words, 1 differ"]
        {
            assert!(out.contains(wanted), "{wanted}\nis not in\n{out}");
        }
    }
    let (code, out) = replay(Changed::Reason);
    assert_eq!(code, 2, "{out}");
    assert!(out.contains("recorded by placet-gate/test cannot be read by placet-gate/"), "{out}");
}
