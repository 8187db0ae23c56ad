//! What a log does not open from, what it does not take, and the way out of each.
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

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{ORIGIN, admission, config, decision, key, now, open};
use placet_evidence::verify::{Options, Outcome, verify};
#[allow(clippy::wildcard_imports, reason = "the crate's own tests name most of it")]
use placet_evidence::*;

struct Volume {
    dir: tempfile::TempDir,
    heads: Arc<MemoryHeads>,
}

impl Volume {
    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn open(&self) -> Result<Log, OpenError> {
        open(&self.log(), &self.heads)
    }

    /// The refusal, which must name the way out.
    fn refused(&self) -> OpenError {
        let error = self.open().expect_err("the log opened");
        assert!(error.to_string().contains("placet evidence begin --because"), "{error}");
        error
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// A closed log with `n` records between its first and its last.
fn volume(n: u64) -> Volume {
    let volume = Volume { dir: tempfile::tempdir().unwrap(), heads: Arc::default() };
    let log = volume.open().unwrap();
    extend(&log, n);
    log.close(now(), "shutdown").unwrap();
    volume
}

fn extend(log: &Log, n: u64) {
    for i in 0..n {
        log.append(decision(i)).wait().unwrap();
    }
}

#[test]
fn an_emptied_or_missing_volume_is_refused() {
    let volume = volume(3);
    fs::remove_dir_all(volume.log()).unwrap();
    assert!(matches!(volume.refused(), OpenError::Emptied { .. }));
    fs::create_dir(volume.log()).unwrap();
    let error = volume.refused();
    assert!(matches!(&error, OpenError::Emptied { known } if known.size == 5), "{error}");
}

#[test]
fn an_older_copy_is_refused() {
    let volume = volume(3);
    let older = volume.dir.path().join("older");
    copy(&volume.log(), &older);
    let log = volume.open().unwrap();
    extend(&log, 3);
    log.close(now(), "shutdown").unwrap();
    fs::remove_dir_all(volume.log()).unwrap();
    fs::rename(older, volume.log()).unwrap();
    let error = volume.refused();
    assert!(matches!(&error, OpenError::Older { found: 5, known } if known.size == 10), "{error}");
}

#[test]
fn another_volume_and_another_key_are_refused() {
    let (one, two) = (volume(3), volume(4));
    fs::remove_dir_all(one.log()).unwrap();
    copy(&two.log(), &one.log());
    assert!(matches!(one.refused(), OpenError::Different { .. }));
    let other = LogKey::from_seed(&[7; 32]);
    let error = Log::open(&config(&two.log()), &other, two.heads.clone(), now()).unwrap_err();
    assert!(matches!(error, OpenError::Signature { .. }), "{error}");
    let elsewhere = Config { origin: "placet.dev/elsewhere".into(), ..config(&two.log()) };
    let error = Log::open(&elsewhere, &key(), two.heads.clone(), now()).unwrap_err();
    assert!(matches!(error, OpenError::OtherOrigin { .. }), "{error}");
    let error = open(&two.log(), &Arc::default()).unwrap_err();
    assert!(matches!(error, OpenError::HeadMissing { .. }), "{error}");
    two.open().unwrap();
}

#[test]
fn two_writers_are_refused() {
    let volume = volume(1);
    let first = volume.open().unwrap();
    let error = volume.open().unwrap_err();
    assert!(matches!(error, OpenError::Locked(_)), "{error}");
    drop(first);
    volume.open().unwrap();
}

#[test]
fn a_changed_or_missing_entry_is_refused_and_a_lost_tile_is_rebuilt() {
    let volume = volume(300);
    let entries = volume.log().join("tile/entries/000");
    let good = fs::read(&entries).unwrap();
    let mut bad = good.clone();
    let at = bad.windows(6).position(|w| w == b"NotMet").unwrap();
    bad[at] = b'M';
    // Still a record: only the tree shows it.
    bad[at..at + 6].copy_from_slice(b"Met\",\"");
    fs::write(&entries, &bad).unwrap();
    assert!(volume.open().is_err());
    let mut bad = good.clone();
    let at = bad.windows(9).position(|w| w == b"score-v1\"").unwrap();
    bad[at + 7] = b'9';
    fs::write(&entries, &bad).unwrap();
    let error = volume.refused();
    assert!(error.to_string().contains("tile/0/000"), "{error}");
    fs::remove_file(&entries).unwrap();
    let error = volume.refused();
    assert!(error.to_string().contains("tile/entries/000 is missing"), "{error}");
    fs::write(&entries, &good).unwrap();

    fs::remove_file(volume.log().join("tile/0/000")).unwrap();
    fs::write(volume.log().join("tile/1/000.p/1"), b"garbage").unwrap();
    let log = volume.open().unwrap();
    log.close(now(), "shutdown").unwrap();
    let options = Options {
        key: Some(key().verifier(ORIGIN).unwrap()),
        head: volume.heads.load().unwrap(),
        only: None,
    };
    let report = verify(&DirFs::new(volume.log()), &options).unwrap();
    assert_eq!(report.outcome, Outcome::Authenticated, "{report}");
}

/// The write-ahead log of a process that was killed: frames that no checkpoint covers.
fn killed(n: u64) -> Volume {
    let volume = Volume { dir: tempfile::tempdir().unwrap(), heads: Arc::default() };
    let never = std::time::Duration::from_secs(3600);
    let config = Config { publish_interval: never, publish_entries: u64::MAX, ..config(&volume.log()) };
    let log = Log::open(&config, &key(), volume.heads.clone(), now()).unwrap();
    extend(&log, n);
    // The directory as it is now, without the publish that dropping does.
    let copied = volume.dir.path().join("copied");
    copy(&volume.log(), &copied);
    let head = volume.heads.load().unwrap().unwrap();
    drop(log);
    volume.heads.store(&head).unwrap();
    fs::remove_dir_all(volume.log()).unwrap();
    fs::rename(copied, volume.log()).unwrap();
    volume
}

/// The write-ahead log's file with frames in it, and where its frames begin.
fn frames(volume: &Volume) -> (PathBuf, Vec<u8>, Vec<usize>) {
    let path = volume.log().join("wal/00000001.seg");
    let bytes = fs::read(&path).unwrap();
    let starts = (0..bytes.len()).step_by(4096).filter(|at| bytes[*at..].starts_with(b"PLCTFRM1")).collect();
    (path, bytes, starts)
}

#[test]
fn a_torn_tail_is_cut_and_told() {
    let volume = killed(5);
    let (path, mut bytes, starts) = frames(&volume);
    bytes[starts.last().unwrap() + 600] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let mut kinds = Vec::new();
    let log = volume.open().unwrap();
    log.publish_now().unwrap();
    log.replay(0, &mut |_, r| kinds.push(r.payload.kind())).unwrap();
    // log.start, four of the five decisions, then log.start and the gap.
    let decisions = kinds.iter().filter(|k| **k == Kind::Decision).count();
    assert_eq!((decisions, kinds.last()), (4, Some(&Kind::Gap)), "{kinds:?}");
    log.close(now(), "shutdown").unwrap();
    // It is told once.
    let log = volume.open().unwrap();
    let mut gaps = 0;
    log.publish_now().unwrap();
    log.replay(0, &mut |_, r| gaps += u32::from(r.payload.kind() == Kind::Gap)).unwrap();
    assert_eq!(gaps, 1);
}

#[test]
fn a_bad_frame_before_the_tail_is_refused() {
    let volume = killed(5);
    let (path, good, starts) = frames(&volume);
    // The first frame is log.start, which the first checkpoint covers; the next is not covered and not the last.
    let mut bytes = good.clone();
    bytes[starts[1] + 600] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = volume.refused();
    assert!(
        matches!(error, OpenError::Damaged(_)) && error.to_string().contains("wal/00000001.seg"),
        "{error}"
    );
    // One that the checkpoint covers does no harm.
    let mut bytes = good;
    bytes[starts[0] + 600] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(volume.open().unwrap().head().size, 7);
}

#[test]
fn a_successor_cites_the_head_that_was_known() {
    let volume = volume(3);
    let old = volume.heads.load().unwrap().unwrap();
    fs::remove_dir_all(volume.log()).unwrap();
    let because = "the volume was lost with its node";
    let begin = || Log::begin_successor(&config(&volume.log()), &key(), volume.heads.clone(), now(), because);
    let log = begin().unwrap();
    extend(&log, 2);
    let head = log.close(now(), "shutdown").unwrap();
    assert_eq!(head.origin, format!("{ORIGIN}/2"));
    let mut first = None;
    let log =
        Log::open_with(&config(&volume.log()), &key(), volume.heads.clone(), now(), &mut |index, record| {
            if index == 0 {
                first = Some(record.clone());
            }
        })
        .unwrap();
    let Some(Payload::LogBegin(first)) = first.map(|r| r.payload) else { panic!("no log.begin") };
    assert_eq!(first.because, because);
    assert_eq!(first.follows, Some(HeadRef { origin: old.origin, size: old.size, root: old.root }));
    drop(log);

    // A second one keeps what it replaces.
    let log = begin().unwrap();
    assert_eq!(log.head().origin, format!("{ORIGIN}/3"));
    let key = log.verifier().clone();
    drop(log);
    assert!(volume.log().join("old/1/checkpoint").exists());
    // With the key of a log before it: another log, nothing that was tampered with, and nothing that is verified.
    for (number, more) in [("", "a later log than that of the key given"), ("/2", "the key given is that of")]
    {
        let former = key.renamed(&format!("{ORIGIN}{number}")).unwrap();
        let report = verify(
            &DirFs::new(volume.log()),
            &Options { key: Some(former), head: volume.heads.load().unwrap(), only: None },
        )
        .unwrap();
        assert_eq!((report.outcome, report.outcome.exit_code()), (Outcome::AnotherLog, 3), "{report}");
        for part in [more, "placet.dev/test/2 (", &key.to_string(), "placet evidence key", "proves nothing"] {
            assert!(report.notes[0].contains(part), "{part}: {report}");
        }
        assert!(
            !report.to_string().contains("verified:") && !report.to_string().contains("TAMPERED"),
            "{report}"
        );
    }
    // A log of another line, a later one of the line, and one that was changed are not taken for it.
    let tampered = |key: VerifierKey| {
        let options = Options { key: Some(key), head: None, only: None };
        let report = verify(&DirFs::new(volume.log()), &options).unwrap();
        assert_eq!(report.outcome, Outcome::Tampered, "{report}");
    };
    tampered(key.renamed("placet.dev/other").unwrap());
    tampered(key.renamed(&format!("{ORIGIN}/4")).unwrap());
    let entries = volume.log().join("tile/entries/000.p/1");
    let whole = fs::read(&entries).unwrap();
    let mut changed = whole.clone();
    changed[40] ^= 1;
    fs::write(&entries, &changed).unwrap();
    tampered(key.renamed(ORIGIN).unwrap());
    fs::write(&entries, &whole).unwrap();
    let report =
        verify(&DirFs::new(volume.log()), &Options { key: Some(key), head: None, only: None }).unwrap();
    assert_eq!(report.outcome, Outcome::Authenticated, "{report}");
    assert!(report.notes.iter().any(|n| n.contains("it follows placet.dev/test/2")), "{report}");
}

#[test]
fn a_successor_that_was_only_ordered_begins_at_the_next_start() {
    let volume = volume(2);
    let mut head = volume.heads.load().unwrap().unwrap();
    let follows = Some(HeadRef { origin: head.origin.clone(), size: head.size, root: head.root });
    fs::remove_dir_all(volume.log()).unwrap();
    head = Head::empty(&format!("{ORIGIN}/2"));
    head.begin = Some(placet_evidence::head::Succession { follows: follows.clone(), because: "lost".into() });
    volume.heads.store(&head).unwrap();
    let log = volume.open().unwrap();
    let mut begun = Vec::new();
    log.replay(0, &mut |_, r| begun.push(r.payload.clone())).unwrap();
    assert!(matches!(&begun[0], Payload::LogBegin(b) if b.follows == follows), "{begun:?}");
    assert_eq!(volume.heads.load().unwrap().unwrap().begin, None);
}

#[test]
fn a_capacity_is_kept_and_usage_is_told() {
    let volume = Volume { dir: tempfile::tempdir().unwrap(), heads: Arc::default() };
    let config = Config { capacity_bytes: Some(100_000), reserve_bytes: 10_000, ..config(&volume.log()) };
    let log = Log::open(&config, &key(), volume.heads.clone(), now()).unwrap();
    let mut percents = Vec::new();
    let mut refused = None;
    for n in 0..10_000 {
        if let Err(error) = log.append(decision(n)).wait() {
            refused = Some(error);
            break;
        }
        if n % 16 == 0 {
            log.publish_now().unwrap();
            percents.push(log.usage().percent);
        }
    }
    assert_eq!(refused, Some(AppendError::DiskFull));
    // The disk may be fuller than the log is: then usage is the disk's, which others change.
    assert!(percents.last() >= Some(&80) && percents.last() >= percents.first(), "{percents:?}");
    drop(log);
    // With more room it goes on.
    volume.open().unwrap().append(decision(1)).wait().unwrap();
}

#[test]
fn a_record_that_cites_what_nobody_has_is_refused_and_an_object_is_stored_once() {
    let volume = volume(1);
    let log = volume.open().unwrap();
    let mut record = decision(77);
    let digest = record.objects[0].digest();
    record.objects.clear();
    assert_eq!(log.append(record.clone()).wait(), Err(AppendError::UnknownObject(digest)));
    // Brought along once, it may be cited from then on: at once, when published, and after a restart.
    log.append(decision(77)).wait().unwrap();
    log.append(record.clone()).wait().unwrap();
    log.publish_now().unwrap();
    assert!(log.has_object(&digest));
    log.append(record.clone()).wait().unwrap();
    drop(log);
    let log = volume.open().unwrap();
    log.append(record).wait().unwrap();
    let huge = admission(1).with_object(Object::new(vec![0; 1 << 20]));
    assert!(matches!(log.append(huge).wait(), Err(AppendError::TooLarge { .. })));
}

#[test]
fn an_erased_name_is_nowhere_and_the_log_still_verifies() {
    let volume = Volume { dir: tempfile::tempdir().unwrap(), heads: Arc::default() };
    let log = volume.open().unwrap();
    let secret = "ada.lovelace@example.test";
    let one = log.append(admission(1).with_actor(secret)).wait().unwrap();
    let two = log.append(admission(2).with_actor("somebody else")).wait().unwrap();
    let erased = log.erase(one.index, ACTOR, "gdpr-17", now()).unwrap();
    assert!(erased.is_some());
    assert_eq!(log.erase(one.index, ACTOR, "gdpr-17", now()).unwrap(), None);
    log.append(admission(3).with_actor("a third")).wait().unwrap();
    log.close(now(), "shutdown").unwrap();
    let mut dirs = vec![volume.log()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let bytes = fs::read(&path).unwrap();
                assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "{}", path.display());
            }
        }
    }
    let openings = source::read_openings(&DirFs::new(volume.log()), 0).unwrap();
    assert_eq!(openings.iter().map(|o| o.value.as_str()).collect::<Vec<_>>(), ["somebody else", "a third"]);
    assert_eq!(openings[0].index, two.index);
    let options = Options { key: Some(key().verifier(ORIGIN).unwrap()), head: None, only: None };
    let report = verify(&DirFs::new(volume.log()), &options).unwrap();
    assert_eq!(report.outcome, Outcome::Authenticated, "{report}");
    assert!(report.not_checked.iter().any(|n| n.contains("1 are recorded as erased")), "{report}");
    volume.open().unwrap();
}

#[test]
fn a_full_queue_refuses_at_once() {
    let sim = sim::Sim::default();
    let small = Config { queue: 2, ..config(Path::new("sim")) };
    let heads: Arc<MemoryHeads> = Arc::default();
    let log = Log::open_on(Arc::new(sim.clone()), &small, &key(), heads, now(), &mut |_, _| {}).unwrap();
    let standstill = sim.stall();
    // The writer holds one batch, two wait, the rest is refused without waiting.
    let pending: Vec<Pending> = (0..50).map(|n| log.append(admission(n))).collect();
    drop(standstill);
    let answers: Vec<_> = pending.into_iter().map(Pending::wait).collect();
    let busy = answers.iter().filter(|a| **a == Err(AppendError::Busy)).count();
    assert!(busy >= 40, "{busy} of 50 were refused");
    assert!(answers.iter().all(|a| a.is_ok() || *a == Err(AppendError::Busy)), "{answers:?}");
}
