//! Gate *custom*: what policies' authors ask in CEL. There is no such gate where no policy asks for one.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use jiff::Timestamp;
use placet_api::approval::{ApprovalDecision, ApprovalSpec, Covers, SubjectKind};
use placet_api::riskacceptance::RiskAcceptanceSpec;

use super::{Context, Outcome, approvals, authors, risk_acceptance};
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
        // What held on the day on which the release went into use, all else being as it is, ended by time alone.
        let then = cx.snapshot.first_use.filter(|_| said == Ok(false)).and_then(day);
        let ended = then.filter(|_| input.contains_key("now")).is_some_and(|(then, _)| {
            input.insert("now", Val::Time(then));
            gate.program.holds(&input) == Ok(true)
        });
        tell(gate, said, ended, &mut out);
    }
    out
}

/// Says what a gate comes to. `ended`: by time alone.
fn tell(gate: &Custom, said: Result<bool, String>, ended: bool, out: &mut Outcome) {
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
            if ended { Reason::CustomGateEnded } else { Reason::CustomGateNotMet },
            item,
            message,
            format!("it is not so{} ({of})", if ended { " any more" } else { "" }),
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
        "approvals" => list(counted(cx).map(|a| &a.record), "approvals"),
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

/// Approvals that count for what is there now, as the gates count them: by holders of their role who did not write it where
/// authors do not count, within their term, of this very object, taken back by nobody; of a role that rejects it, none.
fn counted<'c>(cx: &'c Context<'_>) -> impl Iterator<Item = &'c Object<ApprovalSpec>> {
    let evidence = cx.evidence.and_then(|e| e.digest().ok()).unwrap_or_default();
    let roles: BTreeSet<(SubjectKind, &str, &str)> = cx
        .snapshot
        .approvals
        .iter()
        .filter_map(|a| a.spec.as_ref().ok())
        .filter(|spec| spec.decision == ApprovalDecision::Approve)
        .map(|spec| (spec.subject.kind, spec.subject.name.as_str(), spec.role.as_str()))
        .collect();
    let wrote = match cx.requirements {
        Some(asked) if asked.author_may_approve => Vec::new(),
        _ => authors::authors(cx.snapshot),
    };
    let mut given: BTreeSet<String> = BTreeSet::new();
    for (kind, name, role) in roles {
        for (covers, digest, uid) in now(cx, kind, name, &evidence) {
            let own = cx.requirements.is_some_and(|r| r.approvals.keys().any(|(asked, _)| asked == role));
            let wanted = approvals::Wanted {
                kind,
                name,
                uid,
                covers,
                digest: &digest,
                also: &[],
                role: Some(role),
                // Whose role is asked otherwise is told by the gate that asks.
                asks: kind == SubjectKind::ModelRelease && !own,
            };
            let tally = approvals::tally(cx, &wanted, &wrote, cx.requirements);
            if tally.rejects.is_empty() {
                given.extend(tally.given);
            }
        }
    }
    let all = cx.snapshot.approvals.iter().map(AsRef::as_ref);
    all.filter(move |a: &&Object<ApprovalSpec>| a.live && given.contains(a.name()))
}

/// What an approval may be of now: what it covers, its digest and the uid of the object.
fn now<'c>(
    cx: &'c Context<'_>,
    kind: SubjectKind,
    name: &str,
    evidence: &str,
) -> Vec<(Covers, String, &'c str)> {
    let of =
        |covers: Covers, digest: &str, record: &'c Record| (covers, digest.to_owned(), record.uid.as_str());
    let mut out = Vec::new();
    match kind {
        SubjectKind::ModelRelease => {
            for (release, _) in cx.release.iter().filter(|(r, _)| r.name() == name) {
                out.push(of(Covers::Content, release.digest(), &release.record));
                out.push(of(Covers::Evidence, evidence, &release.record));
            }
        }
        SubjectKind::AISystem => {
            for (system, _) in cx.system.iter().filter(|(s, _)| s.name() == name) {
                out.push(of(Covers::Content, system.digest(), &system.record));
                let class = system.classification.as_deref().unwrap_or_default();
                out.push(of(Covers::Classification, class, &system.record));
            }
        }
        SubjectKind::ImpactAssessment => {
            let current = cx.assessment.iter().filter(|(a, _)| a.name() == name);
            out.extend(current.map(|(a, _)| of(Covers::Content, a.digest(), &a.record)));
        }
        SubjectKind::RiskAcceptance => {
            let there = cx.snapshot.acceptances.iter().filter(|a| a.live && a.name() == name);
            out.extend(there.map(|a| of(Covers::Content, a.digest(), &a.record)));
        }
        SubjectKind::ReleasePolicy | SubjectKind::ApprovalRole | SubjectKind::TrustedSigner => {}
    }
    out.retain(|(_, digest, _)| !digest.is_empty());
    out
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
