//! A directory that somebody prepared for whoever verifies it: there is always a verdict, and it names the file.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and reads and writes files as it likes"
)]

mod common;

use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use common::{ORIGIN, decision, key, now, open};
use placet_evidence::source::{object_path, openings_path, read_records};
use placet_evidence::verify::{Options, Outcome, Report, verify};
#[allow(clippy::wildcard_imports, reason = "the crate's own tests name most of it")]
use placet_evidence::*;
use rustix::fs::{CWD, FileType, Mode, mknodat};

/// Records of the log, with the first and the last: one full bundle and a partial one.
const SIZE: u64 = 302;

/// Puts something in the place of a file.
type Prepare = fn(&Path);

fn write_log(dir: &Path) {
    let log = open(dir, &Arc::new(MemoryHeads::default())).unwrap();
    for i in 0..SIZE - 2 {
        let pending = log.append(decision(i));
        if i == 100 || i == SIZE - 3 {
            pending.wait().unwrap();
            log.publish_now().unwrap();
        }
    }
    log.close(now(), "shutdown").unwrap();
}

fn check(dir: &Path) -> Report {
    let options = Options { key: Some(key().verifier(ORIGIN).unwrap()), head: None, only: None };
    verify(&DirFs::new(dir), &options).unwrap()
}

/// The object that a record cites.
fn cited(dir: &Path) -> Digest {
    let mut cited = None;
    read_records(&DirFs::new(dir), 1, 2, &mut |_, record| cited = record.cites.first().copied()).unwrap();
    cited.unwrap()
}

fn pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

fn sparse(path: &Path, bytes: u64) {
    File::create(path).unwrap().set_len(bytes).unwrap();
}

#[test]
fn whatever_is_in_the_place_of_a_file_there_is_a_verdict_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    write_log(dir.path());
    assert_eq!(check(dir.path()).outcome, Outcome::Authenticated);
    let object = object_path(&cited(dir.path()));
    let places = [
        "checkpoint".to_owned(),
        "tile/entries/000".to_owned(),
        "tile/entries/001.p/46".to_owned(),
        "tile/0/000".to_owned(),
        "tile/1/000.p/1".to_owned(),
        openings_path(0),
        object,
    ];
    let ways: [(&str, Prepare); 4] = [
        ("a named pipe", pipe),
        ("a symbolic link", |path| symlink("/dev/zero", path).unwrap()),
        ("5368709120 bytes", |path| sparse(path, 5 << 30)),
        ("a directory", |path| std::fs::create_dir(path).unwrap()),
    ];
    for place in &places {
        let path = dir.path().join(place);
        let kept = std::fs::read(&path).unwrap();
        for (found, prepare) in ways {
            std::fs::remove_file(&path).unwrap();
            prepare(&path);
            let report = check(dir.path());
            let told = report.findings.iter().find(|f| f.path == *place && f.what.contains(found));
            let told = told.unwrap_or_else(|| panic!("{place}, {found}: {report}"));
            assert!(told.what.starts_with("wanted a regular file of at most "), "{told}");
            assert_eq!(report.outcome, Outcome::Tampered, "{place}, {found}");
            if path.is_dir() && !path.is_symlink() {
                std::fs::remove_dir(&path).unwrap();
            } else {
                std::fs::remove_file(&path).unwrap();
            }
            std::fs::write(&path, &kept).unwrap();
        }
    }
    assert_eq!(check(dir.path()).outcome, Outcome::Authenticated);
}

#[test]
fn a_directory_that_is_a_link_is_not_followed() {
    for name in ["tile", "objects", "openings", "tile/entries"] {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("log");
        write_log(&dir);
        let elsewhere = place.path().join("elsewhere");
        std::fs::rename(dir.join(name), &elsewhere).unwrap();
        symlink(&elsewhere, dir.join(name)).unwrap();
        let report = check(&dir);
        assert_eq!(report.outcome, Outcome::Tampered, "{name}: {report}");
        let told =
            report.findings.iter().any(|f| f.path == name && f.what.ends_with("found a symbolic link"));
        assert!(told, "{name}: {report}");
    }
}

#[test]
fn what_no_record_leads_to_is_judged_without_being_read_whole() {
    let dir = tempfile::tempdir().unwrap();
    write_log(dir.path());
    let uncited = dir.path().join(object_path(&Digest::of(b"uncited")));
    std::fs::create_dir_all(uncited.parent().unwrap()).unwrap();
    pipe(&uncited);
    let openings = dir.path().join(openings_path(1));
    std::fs::remove_file(&openings).unwrap();
    sparse(&openings, 3 << 30);
    sparse(&dir.path().join("tile/entries/000.p-strange"), 3 << 30);
    pipe(&dir.path().join("tile/0/001.p/7"));
    let mut deep = dir.path().join("objects");
    for _ in 0..40 {
        deep.push("d");
    }
    std::fs::create_dir_all(&deep).unwrap();
    let report = check(dir.path());
    assert_eq!(report.outcome, Outcome::Tampered);
    for (path, what) in [
        (object_path(&Digest::of(b"uncited")), "found a named pipe"),
        (openings_path(1), "found 3221225472 bytes"),
        ("tile/entries/000.p-strange".to_owned(), "no file of a log has this name"),
        ("tile/0/001.p/7".to_owned(), "found a named pipe"),
    ] {
        assert!(report.findings.iter().any(|f| f.path == path && f.what.contains(what)), "{path}: {report}");
    }
    assert!(report.findings.iter().any(|f| f.what.contains("lies so deep")), "{report}");
}

/// What a checkpoint claims costs nothing: the first tile that is missing ends it.
#[test]
fn a_checkpoint_that_claims_a_huge_log_is_soon_judged() {
    let dir = tempfile::tempdir().unwrap();
    write_log(dir.path());
    let text = std::fs::read_to_string(dir.path().join("checkpoint")).unwrap();
    let huge = text.replacen(&format!("\n{SIZE}\n"), &format!("\n{}\n", 1_u64 << 61), 1);
    assert_ne!(huge, text);
    std::fs::write(dir.path().join("checkpoint"), huge).unwrap();
    assert_eq!(check(dir.path()).outcome, Outcome::Tampered);
    let copied = published::copy(&DirFs::new(dir.path()), true, &mut |_, _| Ok(()));
    assert!(matches!(copied, Err(source::ReadError::Missing(_))), "{copied:?}");
}

/// Openings have a bound since each record's have one.
#[test]
fn a_record_with_too_much_of_people_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &Arc::new(MemoryHeads::default())).unwrap();
    log.append(decision(1).with_personal("comment", &"c".repeat(20_000))).wait().unwrap();
    let refused = log.append(decision(2).with_personal("comment", &"c".repeat(30_000))).wait();
    assert!(matches!(refused, Err(AppendError::TooLarge { limit: 131_072, .. })), "{refused:?}");
}
