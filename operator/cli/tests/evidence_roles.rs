//! `placet evidence show` on records of roles that were lost and are held again.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::placet;
use jiff::Timestamp;
use placet_evidence::{
    Config, Decision, Digest, FileHeads, HOLDER, Log, LogKey, NewRecord, Object, Payload, RoleStanding,
    Subject, Verdict, Word,
};

fn at(second: u8) -> Timestamp {
    format!("2026-11-20T09:00:{second:02}Z").parse().unwrap()
}

fn word(name: &str, (about, about_name): (&str, &str), version: &str) -> Word {
    Word {
        kind: "Approval".into(),
        name: name.into(),
        content: Digest::of(name.as_bytes()),
        about: about.into(),
        about_name: about_name.into(),
        version: Digest::of(version.as_bytes()),
    }
}

fn standing(second: u8, role: &str, namespace: &str, lost: bool, words: Vec<Word>) -> NewRecord {
    let body = RoleStanding { lost, held_in: None, namespace: namespace.into(), words };
    let subject = Subject::new("ApprovalRole", None, role);
    NewRecord::new(at(second), subject, Payload::RoleStanding(body)).with_personal(HOLDER, "erin")
}

/// A log in which a decision on a release read an approval of its system.
fn write(dir: &Path, heads: &Path) {
    let config = Config::new(dir, "placet.dev/test", "cluster-1");
    let key = LogKey::from_seed(&[5; 32]);
    let log = Log::open(&config, &key, Arc::new(FileHeads::new(heads)), at(0)).unwrap();
    let of_m1 = word("risk-erin", ("ModelRelease", "m-1"), "unread");
    let of_its_system = word("class-erin", ("AISystem", "s"), "read");
    let read = Object::new(b"read".to_vec());
    let decision = Decision {
        verdict: Verdict::NotMet,
        class: None,
        derived: None,
        gates: Vec::new(),
        snapshot: vec![read.digest()],
        result: None,
        policies: Vec::new(),
        now: at(3),
        valid_until: None,
        engine: "placet-gate/test".into(),
    };
    let subject = Subject::new("ModelRelease", Some("lending"), "m-1");
    let more: Vec<Word> = (0..5).map(|n| word(&format!("more-{n}"), ("AISystem", "t"), "other")).collect();
    for record in [
        standing(1, "risk-officer", "lending", true, vec![of_m1.clone()]),
        standing(2, "compliance", "lending", true, [vec![of_its_system], more.clone()].concat()),
        NewRecord::new(at(3), subject, Payload::Decision(decision)).with_object(read),
        // Of another release, of one of this name elsewhere, and of a system that no decision on this one read.
        standing(4, "dpo", "lending", true, vec![word("a", ("ModelRelease", "m-2"), "other")]),
        standing(5, "dpo", "elsewhere", true, vec![word("b", ("ModelRelease", "m-1"), "other")]),
        standing(6, "dpo", "lending", true, more),
        standing(7, "risk-officer", "lending", false, vec![of_m1]),
    ] {
        log.append(record).wait().unwrap();
    }
    log.close(at(8), "test").unwrap();
}

#[test]
fn the_life_of_a_release_tells_who_lost_a_role_and_holds_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    write(&log, &dir.path().join("heads"));
    let log = log.to_str().unwrap();
    let shown = placet(&["evidence", "show", "mr/m-1", "-n", "lending", "--dir", log, "--no-verify"]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    let lines: Vec<String> =
        shown.out.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let [lost, of_system, _, again, _] = lines.as_slice() else { panic!("{lines:#?}") };
    assert!(
        lost.ends_with("role lost erin as risk-officer risk-erin may count no more where a policy says so"),
        "{lost}"
    );
    let all = "class-erin, more-0, more-1, 3 more";
    assert!(
        of_system.contains(&format!("role lost erin as compliance {all} may count no more")),
        "{of_system}"
    );
    assert!(again.ends_with("role held again erin as risk-officer risk-erin may count again"), "{again}");
    let tail = placet(&["evidence", "tail", "--dir", log, "--last", "20"]);
    assert_eq!(tail.out.matches("role lost").count(), 5, "{}", tail.out);
}
