//! A scenario that cannot run here says so where CI sees it.

use std::io::Write as _;
use std::path::PathBuf;

use crate::files;

/// The file, below the `target` directory, to which each skipped step is appended as a JSON line. CI removes it before
/// the tests and fails when it is there afterwards.
pub const SKIPPED_FILE: &str = "e2e/skipped.jsonl";

/// Notes that a step of the running test was skipped: on stderr and in [`SKIPPED_FILE`]. The test's name is the name
/// of its thread, as the test harness sets it.
#[expect(clippy::disallowed_methods, reason = "a line that a test writes")]
pub fn record_skip(step: &str, reason: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("unnamed");
    eprintln!("SKIPPED {test}: {step}: {reason}");
    let path = files::target_dir().unwrap_or_else(|| PathBuf::from("target")).join(SKIPPED_FILE);
    let line = serde_json::json!({ "test": test, "step": step, "reason": reason });
    let written = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::OpenOptions::new().create(true).append(true).open(&path))
        .and_then(|mut file| writeln!(file, "{line}"));
    if let Err(error) = written {
        eprintln!("SKIPPED {test}: and it could not be noted in {}: {error}", path.display());
    }
}
