//! What is left of a cluster.

use std::path::Path;
use std::time::Duration;

use placet_e2e::eventually;

/// The command lines of all processes that name the directory or run in it.
#[expect(clippy::disallowed_methods, reason = "a test reads what the kernel says of processes")]
pub fn processes_of(dir: &Path) -> Vec<String> {
    let text = dir.to_str().unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let bytes = std::fs::File::open(entry.path().join("cmdline")).and_then(|mut file| {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut file, &mut bytes).map(|_| bytes)
        });
        let line = String::from_utf8_lossy(&bytes.unwrap_or_default()).replace('\0', " ");
        let inside = std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
        if line.contains(text) || inside {
            found.push(line);
        }
    }
    found
}

/// Waits until no process of the cluster in this directory is left.
pub async fn nothing_left(dir: &Path, within: Duration) {
    eventually("no process of the cluster", within, async || {
        let left = processes_of(dir);
        if left.is_empty() { Ok(()) } else { Err(left.join("\n")) }
    })
    .await
    .unwrap();
}
