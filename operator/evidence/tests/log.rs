//! The log as its users see it: what was answered is there, and nothing else opens.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and reads and writes files as it likes"
)]

mod common;

use std::sync::Arc;

use common::{admission, config, decision, key, now, open};
#[allow(clippy::wildcard_imports, reason = "the crate's own tests name most of it")]
use placet_evidence::*;

fn records(log: &Log) -> Vec<Record> {
    let mut records = Vec::new();
    log.replay(0, &mut |index, record| {
        assert_eq!(index, record.seq);
        records.push(record.clone());
    })
    .unwrap();
    records
}

#[test]
fn appended_records_are_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let heads = Arc::new(MemoryHeads::default());
    let log = open(dir.path(), &heads).unwrap();
    let pending: Vec<Pending> =
        (0..700).map(|n| log.append(if n % 2 == 0 { decision(n) } else { admission(n) })).collect();
    let appended: Vec<Appended> = pending.into_iter().map(|p| p.wait().unwrap()).collect();
    for (n, appended) in (1..).zip(&appended) {
        assert_eq!(appended.index, n);
    }
    assert_eq!(log.head().size, 701);
    let head = log.close(now(), "shutdown").unwrap();
    assert_eq!(head.size, 702);
    assert_eq!(heads.load().unwrap().unwrap(), head);

    let mut seen = Vec::new();
    let log = Log::open_with(&config(dir.path()), &key(), heads.clone(), now(), &mut |_, r| {
        seen.push(r.id.clone());
    })
    .unwrap();
    assert_eq!(seen.len(), 702);
    for appended in &appended {
        assert_eq!(seen[usize::try_from(appended.index).unwrap()], appended.id);
    }
    assert_eq!(log.newest(), Some(now()));
    log.publish_now().unwrap();
    let records = records(&log);
    assert_eq!(records.len(), 703);
    let Payload::LogStart(start) = &records[702].payload else { panic!("{:?}", records[702]) };
    assert!(start.clean);
    assert_eq!((start.found, start.rebuilt), (702, 0));
}

#[test]
fn a_log_that_was_not_closed_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let heads = Arc::new(MemoryHeads::default());
    let log = open(dir.path(), &heads).unwrap();
    log.append(decision(0)).wait().unwrap();
    drop(log);
    let log = open(dir.path(), &heads).unwrap();
    log.publish_now().unwrap();
    let Payload::LogStart(start) = &records(&log)[2].payload else { panic!("no log.start") };
    assert!(!start.clean);
}
