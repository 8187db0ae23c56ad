//! The one place of the command line that reads files and the clock, and reads and writes the terminal.
#![expect(clippy::disallowed_methods, reason = "a command line reads files and, for what it says, the clock")]

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

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

/// A file of at most so many bytes, or standard input for `-`.
///
/// # Errors
/// It cannot be read, or is larger.
pub fn read_bytes(path: &Path, most: u64) -> anyhow::Result<Vec<u8>> {
    let what = || format!("{}: wanted a readable file", path.display());
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().take(most + 1).read_to_end(&mut bytes).context("standard input")?;
    } else {
        let file = std::fs::File::open(path).with_context(what)?;
        file.take(most + 1).read_to_end(&mut bytes).with_context(what)?;
    }
    if u64::try_from(bytes.len()).is_ok_and(|found| found > most) {
        bail!(
            "{}: wanted at most {most} bytes, found more: leave out what is logged of each sample",
            path.display()
        );
    }
    Ok(bytes)
}

/// A file that is read from its beginning to its end, bit by bit.
///
/// # Errors
/// There is none, it is a directory, or it may not be read.
pub fn open(path: &Path) -> anyhow::Result<std::fs::File> {
    match named(path)? {
        Named::File => {
            std::fs::File::open(path).with_context(|| format!("{}: wanted a readable file", path.display()))
        }
        Named::Directory => bail!("{}: wanted a file, found a directory", path.display()),
        Named::Other(what) => {
            bail!("{}: wanted a file, which may be read more than once, found {what}", path.display())
        }
    }
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

/// Whoever read stdout went away (`| head`): the command ends without a word, with [`READER_GONE`].
#[derive(Debug)]
pub struct ReaderGone;

impl std::fmt::Display for ReaderGone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stdout was closed")
    }
}

impl std::error::Error for ReaderGone {}

/// What a shell gives for a program that SIGPIPE (13) ended: 128 and its number.
pub const READER_GONE: u8 = 128 + 13;

/// Prints data on stdout, line breaks as they are and nothing else that a terminal obeys or hides.
///
/// # Errors
/// [`ReaderGone`] where nobody reads any more, or stdout cannot be written.
pub fn print(text: &str) -> anyhow::Result<()> {
    print_as_it_is(visible::lines(text).as_bytes())
}

/// The same of bytes that are not looked at.
///
/// # Errors
/// As [`print`].
pub fn print_as_it_is(bytes: &[u8]) -> anyhow::Result<()> {
    end_progress();
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        other => other.context("stdout"),
    }
}

/// Whether a line of [`Progress`] is on the terminal.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// Takes the line of progress away.
fn end_progress() {
    if SHOWN.swap(false, Ordering::Relaxed) {
        let _ = write!(std::io::stderr().lock(), "\r\u{1b}[K");
    }
}

/// How far something is that takes long: a line on stderr from the second on that it lasts, where stderr is a terminal.
#[derive(Debug)]
pub struct Progress {
    last: Instant,
    every: Duration,
    terminal: bool,
}

impl Progress {
    /// Begins now.
    pub fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { last: Instant::now(), every: Duration::from_secs(1), terminal }
    }

    /// Says how far it is, at most five times a second.
    pub fn tell(&mut self, what: impl FnOnce() -> String) {
        if !self.terminal || self.last.elapsed() < self.every {
            return;
        }
        (self.last, self.every) = (Instant::now(), Duration::from_millis(200));
        SHOWN.store(true, Ordering::Relaxed);
        let mut err = std::io::stderr().lock();
        let _ = write!(err, "\r\u{1b}[K{}", visible::line(&what()));
        let _ = err.flush();
    }
}

/// Tells people something on stderr, on lines of its own, as [`print`] does. A stderr that is closed is no error.
pub fn tell(text: &str) {
    end_progress();
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "{}", visible::lines(text.trim_end_matches('\n')));
}

/// While this lives, a library that ends the program because of what a file says does it with words and the exit code of
/// a question that could not be asked. A mistake of this program's own code is shown as it is.
#[must_use = "it ends when it is dropped"]
pub struct EndWithWords(());

/// See [`EndWithWords`].
pub fn end_with_words(words: String) -> EndWithWords {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.location().is_some_and(|at| at.file().starts_with("operator")) {
            before(info);
            return;
        }
        tell(&format!("error: {words}"));
        std::process::exit(i32::from(crate::COULD_NOT_ASK));
    }));
    EndWithWords(())
}

impl Drop for EndWithWords {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            drop(std::panic::take_hook());
        }
    }
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
