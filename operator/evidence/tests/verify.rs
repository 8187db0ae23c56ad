//! Verification: a good log passes, with our verifier and with one that we did not write; a changed one never does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and reads and writes files as it likes"
)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use common::{ORIGIN, admission, decision, key, many, now, open};
use placet_evidence::verify::{Options, Outcome, Report, Summary, verify};
#[allow(clippy::wildcard_imports, reason = "the crate's own tests name most of it")]
use placet_evidence::*;

fn with_key() -> Options {
    Options { key: Some(key().verifier(ORIGIN).unwrap()), head: None, only: None }
}

fn check(dir: &Path, options: &Options) -> Report {
    verify(&DirFs::new(dir), options).unwrap()
}

/// A closed log with `n` records between its first and its last, published now and then.
fn write_log(dir: &Path, n: u64) -> Arc<MemoryHeads> {
    let heads = Arc::new(MemoryHeads::default());
    let log = open(dir, &heads).unwrap();
    for i in 0..n {
        let pending = log.append(if i % 3 == 0 { decision(i) } else { refused(i) });
        if i % 50 == 7 || i + 1 == n {
            pending.wait().unwrap();
            log.publish_now().unwrap();
        }
    }
    log.close(now(), "shutdown").unwrap();
    heads
}

/// A refusal that rests on the first decision.
fn refused(n: u64) -> NewRecord {
    let mut record = admission(n);
    if let Payload::Admission(body) = &mut record.payload {
        body.decision = Some(1);
    }
    record
}

fn published_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = vec![dir.join("checkpoint")];
    let mut dirs: Vec<PathBuf> = ["tile", "objects", "openings"].iter().map(|d| dir.join(d)).collect();
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { dirs.push(path) } else { files.push(path) }
        }
    }
    files
}

#[test]
fn a_good_log_passes_and_says_what_was_not_checked() {
    let dir = tempfile::tempdir().unwrap();
    let heads = write_log(dir.path(), 600);
    let report = check(dir.path(), &with_key());
    assert_eq!(report.outcome, Outcome::Authenticated, "{report}");
    assert_eq!(report.summary.kinds["decision"], 200);
    assert_eq!((report.summary.openings, report.summary.commitments), (200, 200));
    assert!(report.not_checked.iter().any(|n| n.contains("outside its volume")), "{report}");
    let head = heads.load().unwrap();
    let report = check(dir.path(), &Options { head, ..with_key() });
    assert_eq!(report.outcome, Outcome::Authenticated, "{report}");
    assert!(!report.not_checked.iter().any(|n| n.contains("outside its volume")), "{report}");
}

#[test]
fn a_copy_verifies_also_without_openings() {
    let dir = tempfile::tempdir().unwrap();
    write_log(dir.path(), 600);
    for openings in [true, false] {
        let target = tempfile::tempdir().unwrap();
        let copied = published::copy(&DirFs::new(dir.path()), openings, &mut |path, bytes| {
            assert!(published::Published::parse(path).is_some(), "{path}");
            let path = target.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap())?;
            std::fs::write(path, bytes)
        })
        .unwrap();
        assert_eq!((copied.head.size, copied.missing.len()), (602, 0));
        let report = check(target.path(), &with_key());
        assert_eq!(report.outcome, Outcome::Authenticated, "{report}");
        assert_eq!(report.summary.openings, if openings { 200 } else { 0 });
    }
    let found = source::read_record(&DirFs::new(dir.path()), 601, 602).unwrap().unwrap();
    assert_eq!(found.payload.kind(), Kind::LogStop);
    assert_eq!(source::read_record(&DirFs::new(dir.path()), 602, 602).unwrap(), None);
}

#[test]
fn proofs_from_tiles_check_against_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    write_log(dir.path(), 700);
    let fs = DirFs::new(dir.path());
    let head = check(dir.path(), &with_key()).head.unwrap();
    let tree = source::TileTree::new(&fs, head.size);
    for index in [0, 1, 255, 256, 511, 512, 700, 701] {
        let entry =
            &source::read_bundle(&fs, index / 256, head.size).unwrap()[usize::try_from(index % 256).unwrap()];
        let proof = merkle::prove_inclusion(&tree, index, head.size).unwrap();
        let leaf = hash::leaf_hash(entry);
        assert!(merkle::check_inclusion(&proof, head.size, &head.root, index, &leaf), "{index}");
    }
    for old in [1, 255, 256, 300, 512, 701, 702] {
        let proof = merkle::prove_consistency(&tree, old, head.size).unwrap();
        let root = merkle::root_at(&tree, old).unwrap();
        assert!(merkle::check_consistency(&proof, old, &root, head.size, &head.root), "{old}");
    }
}

#[test]
fn without_a_key_it_is_consistent_with_itself_only() {
    let dir = tempfile::tempdir().unwrap();
    write_log(dir.path(), 5);
    let report = check(dir.path(), &Options::default());
    assert_eq!((report.outcome, report.outcome.exit_code()), (Outcome::SelfConsistent, 3), "{report}");
    assert!(report.to_string().starts_with("consistent with itself, not authenticated"), "{report}");
    let other = LogKey::from_seed(&[1; 32]).verifier(ORIGIN).unwrap();
    let report = check(dir.path(), &Options { key: Some(other), head: None, only: None });
    assert_eq!(report.outcome.exit_code(), 1, "{report}");
}

#[test]
fn times_are_told_as_what_a_clock_said() {
    let told = |backward_times| {
        let at = |text: &str| Some(text.parse().unwrap());
        let (oldest, newest) = (at("2026-11-20T09:00:00Z"), at("2026-11-21T09:00:00Z"));
        Summary { oldest, newest, backward_times, ..Summary::default() }.to_string()
    };
    let sentence = "times from 2026-11-20T09:00:00Z to 2026-11-21T09:00:00Z are what the operator's clock said: the log \
                    proves the order of its records, not their times";
    assert!(told(0).contains(&format!("{sentence}\n")), "{}", told(0));
    assert!(
        told(1).contains(&format!("{sentence} (1 gives a time more than 60 s earlier than one before it)\n")),
        "{}",
        told(1)
    );
    assert!(
        told(7)
            .contains(&format!("{sentence} (7 give a time more than 60 s earlier than one before them)\n")),
        "{}",
        told(7)
    );
}

#[test]
fn times_count_as_backward_only_where_a_busy_moment_does_not_explain_them() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &Arc::new(MemoryHeads::default())).unwrap();
    // Seconds beside the newest time before: up to 60 earlier is how records of one moment cross.
    for (n, seconds) in (0..).zip([0, -1, -59, -60, 10, -49, -51, -3600, 0]) {
        let wall = now() + jiff::SignedDuration::from_secs(seconds);
        log.append(NewRecord { wall, ..admission(n) }).wait().unwrap();
    }
    log.close(now(), "shutdown").unwrap();
    let report = check(dir.path(), &with_key());
    assert_eq!(report.outcome, Outcome::Authenticated, "{report}");
    // -51 and -3600, which are more than 60 s before 10.
    assert_eq!(report.summary.backward_times, 2, "{report}");
    let newest = now() + jiff::SignedDuration::from_secs(10);
    assert_eq!(report.summary.newest, Some(newest));
}

#[test]
fn an_older_copy_and_another_history_do_not_extend_a_known_head() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_log(one.path(), 5);
    let other = write_log(two.path(), 5);
    let newer = Head { size: 100, ..other.load().unwrap().unwrap() };
    for head in [other.load().unwrap(), Some(newer)] {
        let report = check(one.path(), &Options { head, ..with_key() });
        assert_eq!(report.outcome, Outcome::Tampered, "{report}");
    }
}

#[test]
fn every_flipped_byte_is_found() {
    let dir = tempfile::tempdir().unwrap();
    write_log(dir.path(), 300);
    assert_eq!(check(dir.path(), &with_key()).outcome, Outcome::Authenticated);
    let mut flips = 0;
    for path in published_files(dir.path()) {
        let good = std::fs::read(&path).unwrap();
        // Every byte of small files; in large ones the ends and every 397th (a prime, so that no field is missed).
        let dense = good.len() <= 400;
        for at in (0..good.len()).filter(|at| dense || *at < 4 || at % 397 == 0 || at + 4 > good.len()) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bad).unwrap();
            let report = check(dir.path(), &with_key());
            assert!(matches!(report.outcome.exit_code(), 1 | 2), "{} byte {at}: {report}", path.display());
            assert!(!report.findings.is_empty());
            flips += 1;
        }
        std::fs::write(&path, &good).unwrap();
    }
    assert!(flips > 2000, "{flips}");
    assert_eq!(check(dir.path(), &with_key()).outcome, Outcome::Authenticated);
}

#[test]
fn a_removed_file_is_found_and_named() {
    let dir = tempfile::tempdir().unwrap();
    write_log(dir.path(), 300);
    for path in published_files(dir.path()) {
        let name = path.strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned();
        let good = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let report = check(dir.path(), &with_key());
        if name.starts_with("openings/") {
            // Openings may be erased; the report says how many are not here.
            assert_eq!(report.outcome, Outcome::Authenticated, "{name}: {report}");
            assert!(report.not_checked.iter().any(|n| n.contains("personal values")), "{report}");
        } else if name.contains(".p/") && report.outcome == Outcome::Authenticated {
            // A partial tile of an older checkpoint.
        } else {
            assert_eq!(report.outcome.exit_code(), 2, "{name}: {report}");
            assert!(report.findings.iter().any(|f| f.path == name), "{name}: {report}");
        }
        std::fs::write(&path, &good).unwrap();
    }
}

#[test]
fn a_changed_record_is_named() {
    let dir = tempfile::tempdir().unwrap();
    write_log(dir.path(), 300);
    let path = dir.path().join("tile/entries/000");
    let mut bytes = std::fs::read(&path).unwrap();
    // A verdict inside record 1: the first NotMet becomes NotMat.
    let at = bytes.windows(6).position(|w| w == b"NotMet").unwrap() + 4;
    bytes[at] = b'a';
    std::fs::write(&path, &bytes).unwrap();
    let report = check(dir.path(), &with_key());
    assert!(report.findings.iter().any(|f| f.record == Some(1)), "{report}");
    assert!(report.findings.iter().all(|f| f.record.is_none_or(|r| r == 1)), "{report}");
}

#[test]
fn a_stranger_among_the_files_is_found() {
    let dir = tempfile::tempdir().unwrap();
    write_log(dir.path(), 3);
    for name in ["tile/0/001.txt", "objects/ab/cd", "openings/x000/000"] {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, b"x").unwrap();
        let report = check(dir.path(), &with_key());
        assert_eq!(report.outcome, Outcome::Tampered, "{name}: {report}");
        std::fs::remove_file(&path).unwrap();
    }
}

/// A verifier that shares no code with us: Go's own transparency-log packages.
#[test]
fn the_go_verifier_agrees() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/verifier");
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("verifier");
    let built = Command::new("go")
        .args(["build", "-trimpath", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(&source)
        .output()
        .expect(
            "wanted `go` on PATH: the evidence must be verified by a program that shares no code with it",
        );
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let log = dir.path().join("log");
    write_log(&log, 700);
    let vkey = key().verifier(ORIGIN).unwrap().to_string();
    let run = || Command::new(&program).arg(&log).arg(&vkey).output().unwrap();
    let good = run();
    let said = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(good.status.success(), "{said}{}", String::from_utf8_lossy(&good.stderr));
    assert!(said.contains("verified 702 records"), "{said}");
    for name in ["checkpoint", "tile/0/000", "tile/0/002.p/190", "tile/1/000.p/2", "tile/entries/001"] {
        let path = log.join(name);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        std::fs::write(&path, bad).unwrap();
        assert!(!run().status.success(), "a flipped byte in {name} was accepted");
        std::fs::write(&path, good).unwrap();
    }
}

#[test]
fn an_object_that_only_a_list_names_is_copied_and_missed() {
    let dir = tempfile::tempdir().unwrap();
    let heads = Arc::new(MemoryHeads::default());
    let log = open(dir.path(), &heads).unwrap();
    // More than one write of the log takes, and more than a record names.
    let record = many(1, 900);
    let inputs: Vec<Digest> = record.objects.iter().map(Object::digest).collect();
    log.append(record).wait().unwrap();
    log.close(now(), "shutdown").unwrap();
    assert_eq!(check(dir.path(), &with_key()).outcome, Outcome::Authenticated);
    let mut list = None;
    source::read_records(&DirFs::new(dir.path()), 0, 3, &mut |_, record| {
        if let Payload::Decision(body) = &record.payload {
            assert_eq!(source::read_inputs(&DirFs::new(dir.path()), &body.snapshot).unwrap(), inputs);
            list = body.snapshot.first().copied();
        }
    })
    .unwrap();
    let mut copied = Vec::new();
    published::copy(&DirFs::new(dir.path()), false, &mut |path, _| {
        copied.push(path.to_owned());
        Ok(())
    })
    .unwrap();
    for digest in inputs.iter().chain(&list) {
        assert!(copied.contains(&source::object_path(digest)));
    }
    let one = dir.path().join(source::object_path(&inputs[450]));
    let bytes = std::fs::read(&one).unwrap();
    std::fs::remove_file(&one).unwrap();
    let report = check(dir.path(), &with_key());
    assert_eq!((report.outcome, report.total_findings), (Outcome::Incomplete, 1), "{report}");
    assert!(
        report.findings[0].record.is_some() && report.findings[0].what.contains("list of inputs"),
        "{report}"
    );
    std::fs::write(&one, b"another").unwrap();
    assert_eq!(check(dir.path(), &with_key()).outcome, Outcome::Tampered);
    std::fs::write(&one, bytes).unwrap();
    std::fs::remove_file(dir.path().join(source::object_path(&list.unwrap()))).unwrap();
    let report = check(dir.path(), &with_key());
    assert_eq!((report.outcome, report.total_findings), (Outcome::Incomplete, 1), "{report}");
}

/// A log that is far away: what is expected is near, and each file that is read without that is a way to go.
struct Far {
    dir: DirFs,
    near: std::cell::RefCell<std::collections::BTreeSet<String>>,
    ways: std::cell::RefCell<Vec<String>>,
}

impl Source for Far {
    fn read(&self, path: &str) -> std::io::Result<Option<Vec<u8>>> {
        if !self.near.borrow().contains(path) {
            self.ways.borrow_mut().push(path.to_owned());
        }
        Source::read(&self.dir, path)
    }

    fn expect(&self, paths: &[String]) -> bool {
        self.near.borrow_mut().extend(paths.iter().cloned());
        true
    }
}

fn far(dir: &Path) -> Far {
    Far { dir: DirFs::new(dir), near: std::cell::RefCell::default(), ways: std::cell::RefCell::default() }
}

#[test]
fn a_log_that_is_far_away_is_got_in_batches() {
    let dir = tempfile::tempdir().unwrap();
    write_log(dir.path(), 600);
    let source = far(dir.path());
    let report = verify(&source, &with_key()).unwrap();
    assert_eq!(report.outcome, Outcome::Authenticated, "{report}");
    // The checkpoint, and tiles above the lowest level.
    let ways = source.ways.take();
    assert!(ways.len() <= 2 && ways[0] == "checkpoint", "{ways:?}");
    assert!(source.near.borrow().iter().any(|path| path.starts_with("objects/")));
}

#[test]
fn where_some_records_are_asked_about_the_objects_of_others_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    write_log(dir.path(), 600);
    let source = far(dir.path());
    let only = Options { only: Some([1].into()), ..with_key() };
    let report = verify(&source, &only).unwrap();
    assert_eq!(report.outcome, Outcome::Authenticated, "{report}");
    assert!(report.not_checked.iter().any(|n| n.contains("other records, and further files")), "{report}");
    let objects = |paths: &std::collections::BTreeSet<String>| {
        paths.iter().filter(|path| path.starts_with("objects/")).cloned().collect::<Vec<_>>()
    };
    let asked = objects(&source.near.borrow());
    assert!(!asked.is_empty() && asked.len() < 8, "{asked:?}");
    // What those rest on is checked, and so is every record.
    let lost = dir.path().join(&asked[0]);
    let whole = std::fs::read(&lost).unwrap();
    std::fs::remove_file(&lost).unwrap();
    assert_eq!(verify(&source, &only).unwrap().outcome, Outcome::Incomplete);
    std::fs::write(&lost, whole).unwrap();
    let entries = dir.path().join("tile/entries/001");
    let mut bytes = std::fs::read(&entries).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&entries, bytes).unwrap();
    assert_eq!(verify(&source, &only).unwrap().outcome, Outcome::Tampered);
}
