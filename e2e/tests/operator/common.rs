//! How the scenarios look at what was said.

use placet_e2e::Output;

/// Standard error of a command that was refused.
#[track_caller]
pub fn refused(output: &Output) -> &str {
    assert_ne!(output.code, 0, "wanted a refusal: {output:?}");
    &output.stderr
}

/// Asserts that a text holds every one of these.
#[track_caller]
pub fn holds(text: &str, wanted: &[&str]) {
    for one in wanted {
        assert!(text.contains(one), "wanted {one:?} in:\n{text}");
    }
}

/// Asserts that a command was refused, with all of these in what it said.
#[track_caller]
pub fn refused_with(output: &Output, wanted: &[&str]) {
    holds(refused(output), wanted);
}
