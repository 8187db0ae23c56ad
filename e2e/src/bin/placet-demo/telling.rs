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

    /// The step of the story that is told, from 1.
    pub fn step(&self) -> usize {
        self.step
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
fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("'{text}'") }
}

/// A command as somebody types it, behind their prompt.
pub fn prompt(who: &str, program: &str, args: &[&str]) -> String {
    let quoted: Vec<String> = args.iter().map(|a| quote(a)).collect();
    format!("{who}$ {program} {}", quoted.join(" "))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn output(code: i32, stdout: &str, stderr: &str) -> Output {
        Output { command: "placet why".into(), code, stdout: stdout.into(), stderr: stderr.into() }
    }

    #[test]
    fn what_comes_out_as_told_may_say_it_on_either_stream_and_say_more() {
        let told = Told { code: 1, says: &["not cleared", "executive"] };
        check(&output(1, "it is not cleared", "ask an executive"), &told).unwrap();
        check(&output(1, "", "not cleared: executive, and more"), &told).unwrap();
        check(&output(0, "anything", ""), &DONE).unwrap();
    }

    #[test]
    fn what_does_not_come_out_as_told_is_told_with_the_command() {
        let told = Told { code: 1, says: &["not cleared", "TAMPERED"] };
        for (found, wanted) in [
            (output(0, "not cleared, TAMPERED", ""), "wanted exit code 1, found 0"),
            (output(2, "not cleared, TAMPERED", ""), "wanted exit code 1, found 2"),
            (output(-1, "not cleared, TAMPERED", ""), "wanted exit code 1, found -1"),
            (output(1, "not cleared", "tampered"), "wanted \"TAMPERED\" in the output"),
            (output(1, "TAMPERED", "TAMPERED"), "wanted \"not cleared\" in the output"),
            (output(1, "", ""), "wanted \"not cleared\" in the output"),
        ] {
            let error = check(&found, &told).unwrap_err().to_string();
            assert!(error.contains(wanted) && error.ends_with("`placet why`"), "{error}");
        }
        assert!(check(&output(1, "", ""), &DONE).is_err());
    }
}
