//! Gate *transparency*: for each duty that follows from the system's triggers under AI Act Article 50, and for each that a
//! policy names, people are told, and it is said where; or the article itself excepts the system.

use std::collections::BTreeSet;

use placet_api::aisystem::AISystemSpec;
use placet_api::lifecycle::{Notice, TransparencyDuty};

use super::{Context, Outcome};
use crate::finding::{Gate, Reason};
use crate::visible::blank;

const GATE: Gate = Gate::Transparency;

/// Judges the notices of the system; None if no policy asks for any.
pub fn evaluate(cx: &Context<'_>) -> Option<Outcome> {
    let asked = cx.requirements?.life_cycle.transparency.as_ref()?;
    let (system, spec) = cx.system?;
    let mut out = Outcome::default();
    let triggered = if asked.article50 { of_triggers(spec) } else { BTreeSet::new() };
    let duties: BTreeSet<TransparencyDuty> = triggered.iter().chain(&asked.duties).copied().collect();
    for duty in duties {
        let by_policy = asked.duties.contains(&duty);
        let given: Vec<&Notice> = spec.transparency.iter().flatten().filter(|n| n.duty == duty).collect();
        let found = match given.as_slice() {
            [] => "there is none".to_owned(),
            [one] => match lacks(one, by_policy) {
                None => {
                    out.notes.push(shown(one));
                    continue;
                }
                Some(found) => found,
            },
            several => format!("{} of them, of which nobody knows which holds", several.len()),
        };
        let because = if by_policy {
            format!("which {} asks for", cx.policy_names())
        } else {
            "which follows from spec.triggers.article50".to_owned()
        };
        out.not_met(
            GATE,
            Reason::NoticeMissing,
            format!("{duty:?}"),
            format!(
                "{duty:?} ({}) in spec.transparency, with what people are told and where, {because}",
                article(duty)
            ),
            found,
            "system owner",
            cx.command(&format!("kubectl edit ais/{}", system.name())),
        );
    }
    Some(out)
}

/// Duties that follow from a system's triggers. A paragraph that this version does not know is none of them: the schema knows
/// four.
fn of_triggers(spec: &AISystemSpec) -> BTreeSet<TransparencyDuty> {
    let paragraphs = spec.triggers.iter().flat_map(|t| t.article50.iter().flatten());
    paragraphs
        .filter_map(|p| match p.as_str() {
            "1" => Some(TransparencyDuty::DirectInteraction),
            "2" => Some(TransparencyDuty::SyntheticContent),
            "3" => Some(TransparencyDuty::EmotionOrBiometric),
            "4" => Some(TransparencyDuty::DeepFakeOrPublicText),
            _ => None,
        })
        .collect()
}

/// What a notice lacks, if anything.
fn lacks(notice: &Notice, by_policy: bool) -> Option<String> {
    let Notice { duty: _, text, digest, reference: _, shown_at, exception } = notice;
    match (text, digest, exception) {
        (None, None, Some(_)) if by_policy => {
            Some("an exception, which does not count where a policy asks for the notice".into())
        }
        (None, None, Some(why)) => blank(why).then(|| "an exception without a reason".into()),
        (Some(text), None, None) if blank(text) => Some("a text of which nothing can be seen".into()),
        (Some(_), None, None) | (None, Some(_), None) => {
            let said = shown_at.as_ref().is_some_and(|place| !blank(place));
            (!said).then(|| "it is not said where it is shown (shownAt)".into())
        }
        (None, None, None) => Some("neither text, nor a document, nor an exception".into()),
        _ => Some("several of text, document and exception, of which nobody knows which holds".into()),
    }
}

/// A notice that is there, in words. An exception is for whoever decides to see.
fn shown(notice: &Notice) -> String {
    match (&notice.exception, &notice.shown_at) {
        (Some(why), _) => format!("warning: {:?}: excepted: {why}", notice.duty),
        (None, Some(place)) => format!("{:?}: shown at {place}", notice.duty),
        (None, None) => format!("{:?}", notice.duty),
    }
}

/// Where a duty stands.
fn article(duty: TransparencyDuty) -> &'static str {
    match duty {
        TransparencyDuty::DirectInteraction => "AI Act Article 50(1)",
        TransparencyDuty::SyntheticContent => "AI Act Article 50(2)",
        TransparencyDuty::EmotionOrBiometric => "AI Act Article 50(3)",
        TransparencyDuty::DeepFakeOrPublicText => "AI Act Article 50(4)",
        TransparencyDuty::InstructionsForUse => "AI Act Article 13",
        TransparencyDuty::WorkersInformed => "AI Act Article 26(7)",
        TransparencyDuty::PersonsInformed => "AI Act Article 26(11)",
        TransparencyDuty::RightToExplanation => "AI Act Article 86",
    }
}
