//! What CI sums up: scenarios that cannot run here, and how soon clusters are there.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::files;

/// The file, below the `target` directory, to which each skipped step is appended as a JSON line. CI removes it before
/// the tests and fails when it is there afterwards.
pub const SKIPPED_FILE: &str = "e2e/skipped.jsonl";

/// The file, below the `target` directory, to which each start of a cluster is appended as a JSON line. CI sums it up.
const STARTS_FILE: &str = "e2e/clusters.jsonl";

/// Notes how long a cluster took to start.
pub(crate) fn record_start(took: Duration) {
    if let Err(error) = append(STARTS_FILE, &serde_json::json!({ "seconds": took.as_secs_f64() })) {
        tracing::debug!(%error, "the start of a cluster is not noted");
    }
}

/// Appends a line to a file below the `target` directory.
#[expect(clippy::disallowed_methods, reason = "a line that a test writes")]
fn append(file: &str, line: &Value) -> io::Result<()> {
    let path = files::target_dir().unwrap_or_else(|| PathBuf::from("target")).join(file);
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
    // In one piece: several processes write.
    file.write_all(format!("{line}\n").as_bytes())
}

/// Notes that a step of the running test was skipped: on stderr and in [`SKIPPED_FILE`]. The test's name is the name
/// of its thread, as the test harness sets it.
pub fn record_skip(step: &str, reason: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("unnamed");
    eprintln!("SKIPPED {test}: {step}: {reason}");
    let line = serde_json::json!({ "test": test, "step": step, "reason": reason });
    if let Err(error) = append(SKIPPED_FILE, &line) {
        eprintln!("SKIPPED {test}: and it could not be noted in {SKIPPED_FILE}: {error}");
    }
}
