//! Runs the binary over fixtures and compares what it prints with golden files.
#![allow(dead_code, reason = "each test binary uses some of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// When the fixtures are judged.
pub const NOW: &str = "2026-11-20T12:00:00Z";

/// Who wrote what in the fixtures, where it is not dana.
pub const AUTHORS: [&str; 8] = [
    "AISystem/scoring=olga",
    "tr/bias=tess",
    "tr/performance=tess",
    "apv/evaluation-erin=erin",
    "apv/owner-bob=bob",
    "apv/risk-erin=erin",
    "apv/executive-frank=frank",
    "ra/r1-frank=frank",
];

/// What a run gave.
#[derive(Debug)]
pub struct Ran {
    /// Exit code.
    pub code: i32,
    /// Data.
    pub out: String,
    /// Notes.
    pub err: String,
}

/// Directory of this crate's tests.
pub fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// Runs `placet` in the directory of the fixtures, without a way to a cluster.
pub fn placet(args: &[&str]) -> Ran {
    run(Path::new(env!("CARGO_BIN_EXE_placet")), args)
}

/// Runs a program as [`placet`] does.
pub fn run(program: &Path, args: &[&str]) -> Ran {
    let output = Command::new(program)
        .args(args)
        .current_dir(tests().join("fixtures"))
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env("KUBECONFIG", "/nonexistent/kubeconfig")
        .env("HOME", "/nonexistent")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// Compares with `golden/NAME`; with the variable `UPDATE_GOLDEN` set it writes the file instead, to be looked at in a
/// review.
#[expect(clippy::disallowed_methods, reason = "a test reads its golden file and one variable")]
pub fn golden(name: &str, found: &str) {
    let path = tests().join("golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert!(
        wanted == found,
        "{} differs (UPDATE_GOLDEN=1 writes it)\n--- wanted\n{wanted}\n--- found\n{found}",
        path.display()
    );
}
