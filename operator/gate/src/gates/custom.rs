//! Gate *custom*: what policies' authors ask in CEL. There is no such gate where no policy asks for one.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use jiff::Timestamp;
use placet_api::approval::{ApprovalDecision, ApprovalSpec};
use placet_api::riskacceptance::RiskAcceptanceSpec;

use super::entitled::{eligible, entitled};
use super::{Context, Outcome, authors, risk_acceptance};
use crate::cel::Val;
use crate::finding::{Gate, Reason};
use crate::object::{Object, Record};
use crate::policy::Custom;
use crate::time;

const GATE: Gate = Gate::Custom;

/// Objects of one sort that an expression goes through at most.
const MAX_OBJECTS: usize = 256;

/// What an expression cannot be given, and why.
type Given = Result<Val, String>;

/// Judges the gates that policies' authors wrote.
pub fn evaluate(cx: &Context<'_>) -> Outcome {
    let mut out = Outcome::default();
    let Some(requirements) = cx.requirements else { return out };
    let wanted: BTreeSet<&'static str> =
        requirements.custom.values().flat_map(|gate| gate.program.all_reads()).collect();
    let given: BTreeMap<&'static str, Given> =
        wanted.into_iter().map(|name| (name, give(cx, name))).collect();
    for gate in requirements.custom.values() {
        let mut input = BTreeMap::new();
        let mut missing = None;
        for name in gate.program.all_reads() {
            match given.get(name) {
                Some(Ok(val)) => {
                    input.insert(name, val.clone());
                }
                Some(Err(why)) => missing = missing.or(Some(why.clone())),
                None => {}
            }
        }
        let said = missing.map_or_else(|| gate.program.holds(&input), Err);
        tell(gate, said, &mut out);
    }
    out
}

fn tell(gate: &Custom, said: Result<bool, String>, out: &mut Outcome) {
    let words = &gate.words;
    let of = words.reason.as_ref().map_or_else(
        || format!("policy {}", words.policy),
        |reason| format!("policy {}: {reason}", words.policy),
    );
    let command = format!(
        "read what it asks (customGates[{}]): kubectl get releasepolicies {} -o yaml",
        gate.name, words.policy
    );
    let (item, message, who) = (gate.name.as_str(), words.message.as_str(), words.who.as_str());
    let finding = match said {
        Ok(true) => return out.notes.push(format!("{item} holds ({of})")),
        Ok(false) => out.not_met(
            GATE,
            Reason::CustomGateNotMet,
            item,
            message,
            format!("it is not so ({of})"),
            who,
            command,
        ),
        Err(why) => {
            let found = format!("it cannot be said ({of}): {why}");
            let finding = out.unknown(GATE, Reason::CustomGateUnknown, item, message, found, who, command);
            finding.about([why]);
            finding
        }
    };
    finding.about([words.policy.clone(), gate.expression.clone()]);
}

fn give(cx: &Context<'_>, name: &str) -> Given {
    let spec = |record: Option<&Record>, what: &str| {
        let record = record.ok_or_else(|| format!("there is no {what} that counts"))?;
        Ok(Val::from(&record.spec.value()))
    };
    match name {
        "release" => {
            spec(cx.release.filter(|(r, _)| r.problem().is_none()).map(|(r, _)| &r.record), "release")
        }
        "system" => spec(cx.system.filter(|(s, _)| s.problem().is_none()).map(|(s, _)| &s.record), "system"),
        "assessment" => spec(cx.assessment.map(|(a, _)| &a.record), "assessment"),
        "reports" => {
            let counts = cx.snapshot.reports.iter().filter(|r| r.live && r.problem().is_none());
            list(counts.map(|r| &r.record), "reports")
        }
        "approvals" => list(approvals(cx).map(|a| &a.record), "approvals"),
        "acceptances" => list(acceptances(cx).map(|a| &a.record), "acceptances"),
        "namespaceObject" => {
            let labels = cx.snapshot.namespace_labels.iter();
            let labels = labels.map(|(key, value)| (key.clone(), Val::text(value))).collect();
            let name = Val::text(&cx.snapshot.namespace);
            let fields = [("labels".to_owned(), Val::Map(Rc::new(labels))), ("name".to_owned(), name)];
            let metadata = Val::Map(Rc::new(fields.into()));
            Ok(Val::Map(Rc::new([("metadata".to_owned(), metadata)].into())))
        }
        // The day and not the moment: what an expression says of it may change at midnight, and not before.
        _ => {
            let (today, tomorrow) = day(cx.now.timestamp()).ok_or("there is no such day")?;
            cx.now.reached(tomorrow);
            Ok(Val::Time(today))
        }
    }
}

/// The beginning of the day of a moment, and of the next one, UTC.
fn day(at: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let today: Timestamp = format!("{}T00:00:00Z", time::day(at)).parse().ok()?;
    Some((today, time::days_after(today, 1)))
}

fn list<'a>(records: impl Iterator<Item = &'a Record>, what: &str) -> Given {
    let mut sorted: Vec<&Record> = records.collect();
    if sorted.len() > MAX_OBJECTS {
        return Err(format!("there are more than {MAX_OBJECTS} {what}"));
    }
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Val::List(Rc::new(sorted.into_iter().map(|r| Val::from(&r.spec.value())).collect())))
}

/// Approvals of what is there now, by people whose word counts, whose term has not ended.
fn approvals<'c>(cx: &'c Context<'_>) -> impl Iterator<Item = &'c Object<ApprovalSpec>> {
    let evidence = cx.evidence.and_then(|e| e.digest().ok());
    let (release, system, assessment) = (cx.release, cx.system, cx.assessment);
    let mut now: BTreeSet<String> = evidence.into_iter().collect();
    now.extend(release.map(|(r, _)| r.digest().to_owned()));
    now.extend(system.map(|(s, _)| s.digest().to_owned()));
    now.extend(system.and_then(|(s, _)| s.classification.clone()));
    now.extend(assessment.map(|(a, _)| a.digest().to_owned()));
    now.extend(cx.snapshot.acceptances.iter().filter(|a| a.live).map(|a| a.digest().to_owned()));
    now.remove("");
    cx.snapshot.approvals.iter().map(AsRef::as_ref).filter(move |approval| {
        let (Ok(spec), true) = (&approval.spec, approval.live && approval.problem().is_none()) else {
            return false;
        };
        if spec.decision != ApprovalDecision::Approve || !now.contains(spec.subject.digest.as_str()) {
            return false;
        }
        let trust = cx.snapshot.trust();
        let decider = approval.standing().and_then(|s| trust.decider(&approval.record, spec, s).ok());
        let counts =
            decider.is_some_and(|s| entitled(cx, &s, &spec.role).is_ok() && eligible(cx, &s).is_ok());
        let ended = spec
            .expires_at
            .as_ref()
            .is_some_and(|at| time::date_time(at).is_none_or(|at| cx.now.reached(at)));
        let counts = counts && !ended;
        if let Some(heard) = cx.heard.filter(|_| counts) {
            heard.note(approval, Ok(()));
        }
        counts
    })
}

/// Acceptances that stand, of risks as they are now.
fn acceptances<'c>(cx: &'c Context<'_>) -> impl Iterator<Item = &'c Object<RiskAcceptanceSpec>> {
    let mut wrote = authors::system_authors(cx.snapshot);
    wrote.extend(cx.assessment.into_iter().flat_map(|(a, _)| authors::assessment_authors(cx.snapshot, a)));
    let all = cx.snapshot.acceptances.iter().map(AsRef::as_ref);
    all.filter(move |a: &&Object<RiskAcceptanceSpec>| {
        a.live && a.problem().is_none() && risk_acceptance::shows(cx, a, &wrote).is_ok()
    })
}
