//! Writes what is generated from the kinds: `cargo run -p placet-api --example crds -- ROOT`.
//!
//! ROOT is the root of the repository. Written are `crds/`, the same as templates of the chart `placet-crds`, and the
//! policy packs as files of the chart `placet`. A test fails when what lies there differs.

mod render;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(root) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("wanted the root of the repository as the one argument, found none: crds .");
        return ExitCode::from(2);
    };
    match write(&root) {
        Ok(files) => {
            eprintln!("{files} files written");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a generator that runs by itself, outside any runtime")]
fn write(root: &std::path::Path) -> Result<usize, render::RenderError> {
    let files = render::files(root)?;
    for dir in render::OWNED {
        let dir = root.join(dir);
        std::fs::create_dir_all(&dir).map_err(|source| render::RenderError::at(&dir, source))?;
        // A file that is generated no more must not stay behind and be installed.
        for name in render::listing(&dir)? {
            let path = dir.join(name);
            std::fs::remove_file(&path).map_err(|source| render::RenderError::at(&path, source))?;
        }
    }
    for (path, text) in &files {
        let path = root.join(path);
        std::fs::write(&path, text).map_err(|source| render::RenderError::at(&path, source))?;
    }
    Ok(files.len())
}
