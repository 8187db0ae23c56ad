//! The one place of the command line that reads files and the clock, and reads and writes the terminal.
#![expect(clippy::disallowed_methods, reason = "a command line reads files and, once, the clock")]

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use placet_evidence::untrusted;
use placet_gate::visible;

/// The current time: the only clock read.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A text file, or standard input for `-`.
pub fn read_text(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input: wanted UTF-8 text")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("{}: wanted a readable text file", path.display()))
}

/// Writes a file, making its directories, under a temporary name first so that nobody reads half of it.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let what = || format!("{}: cannot be written", path.display());
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(what)?;
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    std::fs::write(&part, bytes).with_context(what)?;
    std::fs::rename(&part, path).with_context(what)
}

/// Columns of the terminal on stdout; 100 when it is none.
pub fn width() -> usize {
    if !std::io::stdout().is_terminal() {
        return 100;
    }
    terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0).max(40))
}

/// Asks a question that `y` answers, unless `yes` was given.
///
/// # Errors
/// There is nobody to ask, or the answer was no.
pub fn confirm(question: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        bail!(
            "{question} Wanted an answer, found no terminal to ask on; look at what is shown above and give --yes"
        );
    }
    let mut err = std::io::stderr().lock();
    write!(err, "{} [y/N] ", visible::line(question))?;
    err.flush()?;
    drop(err);
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => bail!("not confirmed: nothing was written"),
    }
}

/// Prints data on stdout, line breaks as they are and nothing else that a terminal obeys or hides. A reader that went
/// away (`| head`) is no error.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(visible::lines(text).as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("stdout"),
    }
}

/// Tells people something on stderr, on lines of its own, as [`print`] does. A stderr that is closed is no error.
pub fn tell(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "{}", visible::lines(text.trim_end_matches('\n')));
}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// What is no file: reading it may never end.
    Other(&'static str),
}

/// What a path names, symbolic links followed.
///
/// # Errors
/// There is nothing, or it may not be looked at.
pub fn named(path: &Path) -> anyhow::Result<Named> {
    let found =
        untrusted::kind(path).with_context(|| format!("{}: wanted a readable text file", path.display()))?;
    Ok(match found {
        untrusted::Kind::File => Named::File,
        untrusted::Kind::Directory => Named::Directory,
        other => Named::Other(other.words()),
    })
}
