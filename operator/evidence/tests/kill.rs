//! SIGKILL, for real: a child process appends from four threads and tells what was answered; it is killed at odd
//! moments; every answered record is in the log that it leaves. (This shows what process death does; power loss is
//! the crash model's.) Runs without the test harness, because the child is this program itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and reads and writes files as it likes"
)]

mod common;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::{ORIGIN, admission, config, decision, key, now};
use placet_evidence::verify::{Options, Outcome, verify};
#[allow(clippy::wildcard_imports, reason = "the crate's own tests name most of it")]
use placet_evidence::*;

const ROUNDS: u64 = 30;

fn heads(dir: &Path) -> Arc<FileHeads> {
    Arc::new(FileHeads::new(dir.join("head")))
}

fn child(dir: &Path) {
    let log = Log::open(&config(&dir.join("log")), &key(), heads(dir), now()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let log = &log;
            scope.spawn(move || {
                for n in 0.. {
                    let record = if n % 4 == 0 { decision(n * 4 + thread) } else { admission(n) };
                    let appended = log.append(record).wait().unwrap();
                    // One write a line: a line that is cut off is not counted.
                    let line = format!("{} {}\n", appended.index, appended.id);
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                    std::io::stdout().flush().unwrap();
                }
            });
        }
    });
}

fn parent() {
    let dir = tempfile::tempdir().unwrap();
    let mut answered: HashMap<u64, String> = HashMap::new();
    let mut over = 0;
    for round in 0..ROUNDS {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["child", dir.path().to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(writer.stdout.take().unwrap());
        let reader = std::thread::Builder::new()
            .spawn(move || {
                let mut seen = Vec::new();
                let mut line = String::new();
                while lines.read_line(&mut line).is_ok_and(|n| n > 0) {
                    if let Some((index, id)) = line.strip_suffix('\n').and_then(|l| l.split_once(' ')) {
                        seen.push((index.parse::<u64>().unwrap(), id.to_owned()));
                    }
                    line.clear();
                }
                seen
            })
            .unwrap();
        // From "still opening" to "has published and stored heads a few times".
        std::thread::sleep(Duration::from_millis(2 + (round * 97) % 700));
        writer.kill().unwrap();
        writer.wait().unwrap();
        for (index, id) in reader.join().unwrap() {
            assert_eq!(answered.insert(index, id), None, "round {round}: index {index} was given twice");
        }
        let mut records = Vec::new();
        let log = Log::open_with(
            &config(&dir.path().join("log")),
            &key(),
            heads(dir.path()),
            now(),
            &mut |_, r| {
                records.push(r.id.clone());
            },
        )
        .unwrap_or_else(|error| panic!("round {round}: {error}"));
        for (index, id) in &answered {
            let found = records.get(usize::try_from(*index).unwrap());
            assert_eq!(found, Some(id), "round {round}: record {index} is lost");
        }
        over = records.len() - answered.len();
        log.close(now(), "check").unwrap();
    }
    let options = Options {
        key: Some(key().verifier(ORIGIN).unwrap()),
        head: heads(dir.path()).load().unwrap(),
        only: None,
    };
    let report = verify(&DirFs::new(dir.path().join("log")), &options).unwrap();
    assert_eq!(report.outcome, Outcome::Authenticated, "{report}");
    assert!(answered.len() > 500, "only {} records were answered: the test is too short", answered.len());
    println!(
        "kill: {ROUNDS} kills, {} records answered, 0 lost, {over} more in the log (starts, stops, unanswered)",
        answered.len()
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("child") => child(Path::new(&arguments[2])),
        // Asked by test runners what there is to run.
        Some("--list") => println!("kill: test"),
        _ => parent(),
    }
}
