//! `placet simulate`: the same decisions at a later date, with nothing changed but the time. What has a date of its own ends or
//! begins by then: approvals, acceptances, assessments and reports by their age, obligations by their date of application.

use anyhow::bail;
use jiff::Timestamp;
use placet_gate::Cleared;

use super::{Judged, Question, show};
use crate::args::{Global, SimulateArgs, TableOrJson};
use crate::{sys, text};

/// What becomes of a release.
#[derive(Debug)]
pub struct Fate {
    /// As it is judged now.
    pub now: Judged,
    /// As it is judged at the date.
    pub then: Judged,
}

impl Fate {
    /// Whether it is not cleared at the date.
    pub fn is_held(&self) -> bool {
        self.then.decision.cleared != Cleared::True
    }

    /// When it loses the clearance that it has now; None where it has none, or keeps it.
    pub fn held_from(&self) -> Option<Timestamp> {
        self.now.until.filter(|_| self.is_held())
    }
}

/// Runs the command.
///
/// # Errors
/// The date is none, or not after the time of now; and whatever `check` refuses.
pub fn run(global: &Global, args: &SimulateArgs) -> anyhow::Result<u8> {
    let date = text::moment("--date", &args.date)?;
    let mut question = Question::new(global, &args.given)?;
    if date <= question.now {
        bail!(
            "--date: wanted a date after {}, found {}; what was decided before is in the log (placet evidence show mr/NAME)",
            text::seconds(question.now),
            text::seconds(date)
        );
    }
    let wanted = question.wanted(&args.given)?;
    question.note_assumptions(&args.given);
    question.assumptions.push(format!("nothing but the time changes until {}", text::seconds(date)));
    let (world, names) = question.world(&[])?;
    let judge = |question: &Question, namespace: &str, name: &str| {
        question.judge_on(&world, namespace, name, &names, None)
    };
    let now: Vec<Judged> = wanted.iter().map(|(ns, name)| judge(&question, ns, name)).collect();
    question.clock = date;
    let then = wanted.iter().map(|(ns, name)| judge(&question, ns, name));
    let fates: Vec<Fate> = now.into_iter().zip(then).map(|(now, then)| Fate { now, then }).collect();
    let text = match args.output {
        TableOrJson::Table => show::later(&fates),
        TableOrJson::Json => show::later_json(&question, date, &fates, &names)?,
    };
    question.tell();
    sys::print(&text)?;
    Ok(u8::from(fates.iter().any(Fate::is_held)))
}
