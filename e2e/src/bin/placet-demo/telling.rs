//! The terminal and the transcript, and what a command must come to.

use std::fs;
use std::io::Write as _;
use std::time::Instant;

use anyhow::bail;
use placet_e2e::Output;

/// The terminal and the transcript.
pub struct Teller {
    transcript: fs::File,
    step: usize,
}

impl Teller {
    /// One that writes into this file.
    pub fn new(transcript: fs::File) -> Self {
        Self { transcript, step: 0 }
    }

    /// Says something.
    pub fn say(&mut self, text: &str) -> anyhow::Result<()> {
        println!("{text}");
        writeln!(self.transcript, "{text}")?;
        Ok(())
    }

    /// Says something in short, and writes all of it into the transcript.
    pub fn say_in_short(&mut self, text: &str, short: &str) -> anyhow::Result<()> {
        println!("{short}");
        writeln!(self.transcript, "{text}")?;
        Ok(())
    }

    /// Begins a step of the story.
    pub fn chapter(&mut self, text: &str) -> anyhow::Result<()> {
        self.step += 1;
        let step = self.step;
        self.say(&format!("\n── {step}. {text}"))
    }
}

/// What a command must come to.
pub struct Told<'a> {
    /// Exit code.
    pub code: i32,
    /// Texts of its output.
    pub says: &'a [&'a str],
}

/// It succeeds.
pub const DONE: Told<'static> = Told { code: 0, says: &[] };

/// For measuring how long something took.
pub fn now() -> Instant {
    Instant::now()
}

/// An argument as a shell wants it.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("'{text}'") }
}

/// Holds what came out against what was told.
pub fn check(output: &Output, told: &Told<'_>) -> anyhow::Result<()> {
    if output.code != told.code {
        bail!("wanted exit code {}, found {} from `{}`", told.code, output.code, output.command);
    }
    for text in told.says {
        if !output.stdout.contains(text) && !output.stderr.contains(text) {
            bail!("wanted {text:?} in the output of `{}`", output.command);
        }
    }
    Ok(())
}
