//! `placet risks`: the risk register of assessments, by the levels that the gate judges releases by.

mod args;
mod map;
mod show;
mod svg;

use anyhow::bail;
use placet_api::Kind;
use placet_gate::gates::assessment;
use placet_gate::people::with_names;
use placet_gate::register::{self, Entry, Register};
use placet_gate::render::Names;
use placet_gate::world::{Clock, World};

pub use args::{RisksArgs, RisksOutput};

use crate::args::Global;
use crate::check;
use crate::{sys, target};

/// A register and where it stands.
struct Shown {
    namespace: String,
    register: Register,
    /// Why no release counts the assessment, if none does.
    problem: Option<String>,
}

/// Runs the command.
pub fn run(global: &Global, args: &RisksArgs) -> anyhow::Result<u8> {
    let wanted = args.target.as_deref().map(name_of).transpose()?;
    let asked = check::asked(global, &args.given())?;
    let found = registers(&asked.world, wanted.as_deref(), &Clock::Trusted(asked.now));
    if found.is_empty() {
        let what = wanted
            .map_or("at least one ImpactAssessment".to_owned(), |n| format!("the ImpactAssessment {n}"));
        bail!(
            "wanted {what} that is understood, found none; see `kubectl get impactassessments`, or placet check for what is wrong with it"
        );
    }
    let text = match args.output {
        RisksOutput::Table => show::table(&found, &asked.names),
        RisksOutput::Json => show::json(&found, &asked.names)?,
        RisksOutput::Csv => show::csv(&found, &asked.names)?,
    };
    asked.tell();
    if let Some(file) = &args.svg {
        sys::write(file, svg::draw(&found).as_bytes())?;
        sys::tell(&format!("heat map: {}", file.display()));
    }
    sys::print(&text)?;
    Ok(0)
}

/// The name of an assessment, as `ia/NAME` or NAME.
fn name_of(text: &str) -> anyhow::Result<String> {
    if text.contains('/') {
        return Ok(target::ours(text, &[Kind::ImpactAssessment])?.1);
    }
    target::name_of(text)?;
    Ok(text.to_owned())
}

/// The registers of the assessments that are there: of the one that is named, or of those that no other supersedes.
fn registers(world: &World, wanted: Option<&str>, clock: &Clock) -> Vec<Shown> {
    let keys = world.names(Kind::ImpactAssessment).into_iter();
    keys.filter(|key| wanted.is_none_or(|name| key.1 == name))
        .filter_map(|key| {
            let around = world.around(&key.0, &key.1, clock.clone())?;
            // As the gate has it: what is superseded by one that counts.
            let current = || assessment::current(&around).iter().any(|one| one.name() == key.1);
            if wanted.is_none() && !current() {
                return None;
            }
            let problem = world.assessment(&key.0, &key.1)?.problem().map(|p| p.to_string());
            Some(Shown { namespace: key.0.clone(), register: register::of(&around, &key.1)?, problem })
        })
        .collect()
}

/// How a risk is marked: `^` one level up, since its stakeholder impact is 4 or 5; `!` at its inherent place, since no control
/// that counts lowers it; `*` above the appetite.
fn marks(register: &Register, entry: &Entry) -> String {
    let marks = [
        (entry.lifted(&register.matrix), '^'),
        (entry.score.raised.is_some(), '!'),
        (register.above_appetite(entry), '*'),
    ];
    marks.into_iter().filter(|(is, _)| *is).map(|(_, mark)| mark).collect()
}

/// What the marks mean.
const LEGEND: [&str; 3] = [
    "^ one level up: stakeholder impact 4 or 5",
    "! at its inherent place: no control that counts lowers it",
    "* above the appetite: needs an acceptance",
];

/// Why the controls of a risk do not lower it, one text each.
fn doubts(entry: &Entry, names: &Names) -> Vec<String> {
    let raised = entry.score.raised.iter().flatten();
    raised.map(|d| with_names(&format!("{} {}", d.control, d.why), names)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assessment_is_named_with_or_without_its_kind() {
        assert_eq!(name_of("ia/impact").unwrap(), "impact");
        assert_eq!(name_of("impact").unwrap(), "impact");
        for wrong in ["mr/impact", "Impact!", ""] {
            assert!(name_of(wrong).is_err(), "{wrong}");
        }
    }
}
