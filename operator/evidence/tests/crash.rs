//! Power loss: at any moment, with any part of what was not synced lost or torn, no answered record is lost, and the
//! log opens again by itself. Then errors and full disks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and reads and writes files as it likes"
)]

mod common;
#[path = "common/sim.rs"]
mod sim;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::{ORIGIN, admission, decision, key, many, now};
use placet_evidence::verify::{Options, Outcome, verify};
use placet_evidence::vfs::Vfs;
#[allow(clippy::wildcard_imports, reason = "the crate's own tests name most of it")]
use placet_evidence::*;
use sim::{Rng, Sim};

/// Publishes all the time and changes segments often, so that power fails in the middle of everything.
fn config() -> Config {
    Config {
        segment_bytes: 96 << 10,
        publish_interval: Duration::from_micros(200),
        publish_gap: Duration::ZERO,
        head_interval: Duration::ZERO,
        ..common::config(Path::new("sim"))
    }
}

fn open(sim: &Sim, heads: &Arc<MemoryHeads>, visit: &mut dyn FnMut(u64, &Record)) -> Result<Log, OpenError> {
    Log::open_on(Arc::new(sim.clone()), &config(), &key(), heads.clone(), now(), visit)
}

/// Appends until something fails or `most` are in; gives the answered ones.
fn append(log: &Log, rng: &mut Rng, most: u64, answered: &mut Vec<Appended>) -> Result<(), AppendError> {
    append_some_large(log, rng, most, 0, answered)
}

/// The same; with `large` one in so many is a decision that read much.
fn append_some_large(
    log: &Log,
    rng: &mut Rng,
    most: u64,
    large: u64,
    answered: &mut Vec<Appended>,
) -> Result<(), AppendError> {
    let mut done = 0;
    while done < most {
        let batch: Vec<Pending> = (0..=rng.below(5))
            .map(|_| {
                done += 1;
                let large = large > 0 && rng.below(large) == 0;
                log.append(match rng.below(3) {
                    // More than one write takes: objects go before the record that rests on them.
                    _ if large => many(rng.next(), 65 + rng.below(20)),
                    0 => decision(rng.below(40)),
                    _ => admission(rng.next()),
                })
            })
            .collect();
        // Each of them may have been answered, also when one before was not.
        let answers: Vec<_> = batch.into_iter().map(Pending::wait).collect();
        for answer in answers {
            answered.push(answer?);
        }
        if rng.below(40) == 0 {
            log.publish_now()?;
        }
    }
    Ok(())
}

/// Opens a log on a good disk and checks that everything answered is in it, and that it verifies.
fn check(seed: u64, sim: &Sim, heads: &Arc<MemoryHeads>, answered: &[Appended]) -> Vec<Record> {
    let mut records = Vec::new();
    let log = open(sim, heads, &mut |_, record| records.push(record.clone()))
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    for one in answered {
        let record = records.get(usize::try_from(one.index).unwrap());
        let id = record.map(|r| r.id.as_str());
        assert_eq!(
            id,
            Some(one.id.as_str()),
            "seed {seed}: record {} of {} is lost",
            one.index,
            records.len()
        );
    }
    log.close(now(), "check").unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let options =
        Options { key: Some(key().verifier(ORIGIN).unwrap()), head: heads.load().unwrap(), only: None };
    let source: &dyn Vfs = sim;
    let report = verify(source, &options).unwrap();
    assert_eq!(report.outcome, Outcome::Authenticated, "seed {seed}: {report}");
    records
}

#[test]
fn no_object_that_went_before_its_record_is_lost_when_power_fails() {
    let (mut crashes, mut large) = (0, 0);
    for seed in 1..=120 {
        let mut rng = Rng::new(seed);
        let heads = Arc::new(MemoryHeads::default());
        let (mut sim, mut answered) = (Sim::default(), Vec::new());
        for _ in 0..3 {
            sim.fail_power_after(1 + rng.below(3000));
            match open(&sim, &heads, &mut |_, _| {}) {
                Ok(log) => {
                    let _ = append_some_large(&log, &mut rng, 60, 6, &mut answered);
                }
                Err(error) => assert!(sim.lost_power(), "seed {seed}: refused a good disk: {error}"),
            }
            crashes += u32::from(sim.lost_power());
            sim = sim.after_power_loss(&mut rng);
        }
        // Verification misses any object that a list names.
        let records = check(seed, &sim, &heads, &answered);
        large += records
            .iter()
            .filter(
                |r| matches!(&r.payload, Payload::Decision(d) if d.snapshot.len() == 1 && r.cites.len() == 1),
            )
            .filter(|r| {
                let source: &dyn Vfs = &sim;
                source::cited(source, r).unwrap().len() > 65
            })
            .count();
    }
    assert!(crashes > 100 && large > 200, "{crashes} crashes, {large} large");
}

#[test]
fn no_answered_record_is_lost_when_power_fails() {
    let (mut crashes, mut torn, mut most) = (0, 0, 0);
    for seed in 1..=400 {
        let mut rng = Rng::new(seed);
        let heads = Arc::new(MemoryHeads::default());
        let (mut sim, mut answered) = (Sim::default(), Vec::new());
        for _ in 0..4 {
            // Most runs are cut early, where opening is; some get past the first full tile of 256 records.
            sim.fail_power_after(1 + rng.below(if seed % 8 == 0 { 6000 } else { 500 }));
            match open(&sim, &heads, &mut |_, _| {}) {
                Ok(log) => {
                    let _ = append(&log, &mut rng, 300, &mut answered);
                }
                Err(error) => assert!(sim.lost_power(), "seed {seed}: refused a good disk: {error}"),
            }
            crashes += u32::from(sim.lost_power());
            sim = sim.after_power_loss(&mut rng);
        }
        let records = check(seed, &sim, &heads, &answered);
        torn += records.iter().filter(|r| matches!(r.payload, Payload::Gap(_))).count();
        most = most.max(records.len());
    }
    // The model is worth something only when it does tear writes and does get far.
    assert!(crashes > 1000 && torn > 20 && most > 256, "{crashes} crashes, {torn} torn, {most} records");
}

#[test]
fn an_input_output_error_ends_the_log_and_loses_nothing() {
    for seed in 1..=150 {
        let mut rng = Rng::new(seed);
        let heads = Arc::new(MemoryHeads::default());
        let (sim, mut answered) = (Sim::default(), Vec::new());
        let log = open(&sim, &heads, &mut |_, _| {}).unwrap();
        sim.break_after(1 + rng.below(300));
        let result = append(&log, &mut rng, 600, &mut answered);
        let _ = log.publish_now();
        assert!(sim.broke(), "seed {seed}: the error was never met");
        // Whoever met it, no further record is taken.
        assert!(
            matches!(log.append(decision(0)).wait(), Err(AppendError::Poisoned(_))),
            "seed {seed}: {result:?}"
        );
        assert!(log.health().poisoned.is_some());
        drop(log);
        check(seed, &sim, &heads, &answered);
    }
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    for seed in 1..=30 {
        let mut rng = Rng::new(seed);
        let heads = Arc::new(MemoryHeads::default());
        let (sim, mut answered) = (Sim::default(), Vec::new());
        let log = open(&sim, &heads, &mut |_, _| {}).unwrap();
        for _ in 0..3 {
            let most = rng.below(60);
            append(&log, &mut rng, most, &mut answered).unwrap();
            // Without bytes, or without inodes only.
            let inodes = rng.below(2) == 0;
            if inodes {
                sim.set_no_inodes(true);
            } else {
                sim.set_full(true);
            }
            let result = append(&log, &mut rng, 3000, &mut answered);
            assert_eq!(result, Err(AppendError::DiskFull), "seed {seed}");
            assert!(log.health().full && log.health().poisoned.is_none());
            sim.set_full(false);
            sim.set_no_inodes(false);
        }
        append(&log, &mut rng, 100, &mut answered).unwrap();
        log.close(now(), "shutdown").unwrap();
        check(seed, &sim, &heads, &answered);
    }
}

#[test]
fn room_on_a_full_disk_is_found_without_an_append() {
    let (sim, heads) = (Sim::default(), Arc::new(MemoryHeads::default()));
    let log = open(&sim, &heads, &mut |_, _| {}).unwrap();
    let mut answered = Vec::new();
    append(&log, &mut Rng::new(1), 10, &mut answered).unwrap();
    sim.set_full(true);
    assert_eq!(append(&log, &mut Rng::new(2), 3000, &mut answered), Err(AppendError::DiskFull));
    assert!(log.health().full);
    sim.set_full(false);
    // The publisher tries again once a second.
    let found = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        !log.health().full
    });
    assert!(found, "{:?}", log.health());
    log.close(now(), "shutdown").unwrap();
    check(1, &sim, &heads, &answered);
}

#[test]
fn a_read_only_volume_is_refused() {
    let heads = Arc::new(MemoryHeads::default());
    let sim = Sim::default();
    open(&sim, &heads, &mut |_, _| {}).unwrap().close(now(), "shutdown").unwrap();
    sim.set_read_only();
    let error = open(&sim, &heads, &mut |_, _| {}).unwrap_err();
    assert!(
        matches!(&error, OpenError::Io { error, .. } if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem)
    );
    assert!(error.to_string().contains("read-only"), "{error}");
}
