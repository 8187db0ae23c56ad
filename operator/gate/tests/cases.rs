//! Runs the YAML cases of `tests/cases/` and of `policies/packs/cases/`. The format is in `tests/cases/README.md`.

#![expect(
    clippy::unwrap_used,
    reason = "a test reads its cases from files, and a case that cannot be read fails it"
)]

mod common;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use common::read;
use placet_api::approval::{ApprovalSpec, SubjectKind};
use placet_api::modelrelease::GateVerdict;
use placet_api::riskacceptance::RiskAcceptanceSpec;
use placet_cases::{Played, play, title};
use placet_gate::circumstances::Circumstances;
use placet_gate::digest;
use placet_gate::finding::{Gate, Reason};
use placet_gate::gates::counted::Cause;
use placet_gate::gates::heard::{Heard, Said, hear};
use placet_gate::object::Object;
use placet_gate::world::Snapshot;
use placet_gate::{Cleared, Decision, evaluate};

fn run(path: &Path) -> Result<(), String> {
    let mut played = play(path, &read).map_err(|e| e.to_string())?;
    let wrong = std::mem::take(&mut played.wrong);
    let Played { snapshot, decision, .. } = &played;
    holds(decision, wrong)?;
    deleting_clears_nothing(&played)?;
    replays(snapshot, decision)?;
    what_is_heard_is_what_counts(snapshot, decision)?;
    words_are_words(snapshot, decision)
}

/// Policies and roles left out: who may delete them decides what is asked for.
fn deleting_clears_nothing(played: &Played) -> Result<(), String> {
    let asked = played.base.as_ref().is_some_and(|b| b.ends_with("life-cycle.yaml"));
    if !asked || played.decision.cleared == Cleared::True {
        return Ok(());
    }
    for deletion in played.deletions() {
        let (kind, name, snapshot) = deletion.map_err(|e| e.to_string())?;
        let decides = kind == "ReleasePolicy" || kind == "ApprovalRole";
        if !decides && evaluate(&snapshot).cleared == Cleared::True {
            return Err(format!("deleting {kind} {name} clears it"));
        }
    }
    Ok(())
}

/// What is stored of a snapshot gives the same decision again.
fn replays(snapshot: &Snapshot, decision: &Decision) -> Result<(), String> {
    let stored = serde_json::to_value(Circumstances::of(snapshot)).unwrap();
    let read = Circumstances::read(&stored).unwrap().unwrap();
    let records = snapshot.records().into_iter().map(|(record, _)| {
        let bytes = serde_json::to_vec(record).unwrap();
        (digest::of_bytes(&bytes), serde_json::from_slice(&bytes).unwrap())
    });
    let again = read.snapshot(records, snapshot.clock.now());
    if again.digest() != snapshot.digest() {
        return Err("the snapshot is another when it is read back".into());
    }
    if evaluate(&again) == *decision { Ok(()) } else { Err("replay decides otherwise".into()) }
}

/// Of approvals and acceptances it is said that they count where they do and nowhere else: the decision is the same, and without
/// those that do not count every gate comes to the same.
fn what_is_heard_is_what_counts(snapshot: &Snapshot, decision: &Decision) -> Result<(), String> {
    let heard = hear(snapshot);
    if heard.decision != *decision {
        return Err("who asks what became of approvals gets another decision".into());
    }
    let mut only = snapshot.clone();
    // Since when an assessment is approved follows from those that ended, too.
    let since = |a: &Object<ApprovalSpec>| {
        let assessment = a.spec.as_ref().is_ok_and(|s| s.subject.kind == SubjectKind::ImpactAssessment);
        assessment && matches!(heard.of(a), Said::Not(why) if why.cause == Cause::Ended)
    };
    only.approvals.retain(|a| a.spec.is_err() || heard.of(a) == Said::Counts || since(a));
    // Whoever approved does not accept risks, whether or not their approval counts.
    let verdicts = |decision: &Decision| {
        let gates = decision.gates.iter().filter(|g| g.gate != Gate::RiskAcceptance);
        gates.map(|g| (g.gate, g.verdict)).collect::<Vec<_>>()
    };
    let (all, only) = (verdicts(decision), verdicts(&evaluate(&only)));
    if all == only {
        return what_is_heard_of_acceptances(snapshot, decision, &heard);
    }
    let said: Vec<_> = snapshot.approvals.iter().map(|a| (a.name(), heard.of(a))).collect();
    Err(format!("with all approvals {all:?}, with those that are said to count {only:?}: {said:#?}"))
}

fn what_is_heard_of_acceptances(
    snapshot: &Snapshot,
    decision: &Decision,
    heard: &Heard,
) -> Result<(), String> {
    let risks = |a: &Object<RiskAcceptanceSpec>| {
        let named = a.spec.iter().flat_map(|s| &s.risks).map(|r| r.id.to_string());
        named.collect::<Vec<_>>()
    };
    let counts =
        |a: &Object<RiskAcceptanceSpec>| risks(a).iter().any(|risk| heard.of_risk(a, risk) == Said::Counts);
    let verdict = |decision: &Decision| {
        decision.gates.iter().find(|g| g.gate == Gate::RiskAcceptance).map(|g| g.verdict)
    };
    let of = |keep: bool| {
        let mut some = snapshot.clone();
        some.acceptances.retain(|a| a.spec.is_err() || counts(a) == keep);
        verdict(&evaluate(&some))
    };
    let (all, those) = (verdict(decision), of(true));
    if all != those {
        return Err(format!("with all acceptances {all:?}, with those that are said to count {those:?}"));
    }
    // What a finding says of one is what is said on it.
    let found = decision.findings().filter(|f| f.gate == Gate::RiskAcceptance && !decision.on_basis);
    // What is VeryHigh nobody may accept, so that nothing is said of acceptances.
    for finding in
        found.filter(|f| f.reason != Reason::RiskNotAcceptable && f.wanted.contains(" accepted at "))
    {
        for acceptance in snapshot.acceptances.iter().filter(|a| risks(a).contains(&finding.item)) {
            match heard.of_risk(acceptance, &finding.item) {
                Said::Counts => {}
                Said::Not(why) if finding.found.contains(&format!("{}: {}", acceptance.name(), why.text)) => {
                }
                other => {
                    return Err(format!("{}: {other:?} where is found {}", acceptance.name(), finding.found));
                }
            }
        }
    }
    let some = snapshot.acceptances.iter().any(|a| counts(a));
    if some && all == Some(GateVerdict::Met) && of(false) == all && !decision.on_basis {
        return Err("acceptances are said to count that nothing rests on".into());
    }
    Ok(())
}

/// The outcome is the same in other words, and what the words name is kept beside them: otherwise replay would take
/// another decision for the same one.
fn words_are_words(snapshot: &Snapshot, decision: &Decision) -> Result<(), String> {
    let mut reworded = decision.clone();
    for gate in &mut reworded.gates {
        gate.notes = vec!["other words".into()];
        for finding in &mut gate.findings {
            for text in [&mut finding.wanted, &mut finding.found, &mut finding.who, &mut finding.command] {
                *text = format!("other words than {text:?}");
            }
        }
    }
    if reworded.outcome() != decision.outcome() {
        return Err("the outcome depends on the words".into());
    }
    let names: BTreeSet<&str> = snapshot.records().iter().map(|(r, _)| r.name.as_str()).collect();
    for finding in decision.findings() {
        let mut kept: Vec<&str> =
            finding.item.split([' ', '/']).chain(finding.about.iter().map(String::as_str)).collect();
        kept.extend(decision.policies.iter().map(|(name, _)| name.as_str()));
        kept.extend([decision.content.as_str()].into_iter().chain(decision.evidence.as_deref()));
        kept.extend(snapshot.release.iter().map(|o| o.name()));
        kept.extend(snapshot.system.iter().map(|o| o.name()));
        // What cannot be parsed is said in a library's words.
        if matches!(finding.reason, Reason::NotUnderstood | Reason::Prohibited | Reason::DerogationNotValid) {
            continue;
        }
        let text = format!("{} {}", finding.wanted, finding.found).replace("stakeholder impact", "");
        for word in text.split(|c: char| c.is_whitespace() || ",;()'".contains(c)) {
            let word = word.trim_end_matches([':', '…', '.']);
            let date = word.len() >= 10 && word.as_bytes()[4] == b'-' && word[..4].parse::<u16>().is_ok();
            let part = date || word.starts_with("sha256:");
            let person_or_object = names.contains(word) || word.starts_with("<person:");
            let found = |k: &&str| *k == word || (part && k.starts_with(word));
            if (person_or_object || part) && !kept.iter().any(found) {
                return Err(format!(
                    "{} {}: {word} stands in words alone: {text}",
                    finding.gate, finding.reason
                ));
            }
        }
    }
    Ok(())
}

/// It is what the case expects, and each finding says all that a finding says.
fn holds(decision: &Decision, mut wrong: Vec<String>) -> Result<(), String> {
    for finding in decision.findings() {
        for (field, text) in [
            ("wanted", &finding.wanted),
            ("found", &finding.found),
            ("who", &finding.who),
            ("command", &finding.command),
        ] {
            if text.trim().is_empty() {
                wrong.push(format!("{} {}: {field} is empty", finding.gate, finding.reason));
            }
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let said: Vec<String> = decision
        .findings()
        .map(|f| {
            format!(
                "    {} {} [{}] wanted: {}; found: {}; {}: {}",
                f.gate, f.reason, f.item, f.wanted, f.found, f.who, f.command
            )
        })
        .collect();
    Err(format!("{}\n  it said:\n{}", wrong.join("\n  "), said.join("\n")))
}

#[expect(clippy::disallowed_methods, reason = "a test reads the files that it is about")]
fn cases(root: &Path, out: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(root) else { return };
    let mut entries: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() && path.file_name().is_some_and(|n| n != "base") {
            cases(&path, out);
        } else if path.extension().is_some_and(|e| e == "yaml") {
            out.push(path);
        }
    }
}

#[test]
fn every_case_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    cases(&root.join("tests/cases"), &mut all);
    let own = all.len();
    assert!(own > 0, "no cases found");
    cases(&root.join("../../policies/packs/cases"), &mut all);
    let mut failed = Vec::new();
    for path in &all {
        if let Err(why) = run(path) {
            let title = read(path).ok().and_then(|text| title(&text)).unwrap_or_default();
            failed.push(format!("{}\n  {title}\n  {why}", path.display()));
        }
    }
    // Past the harness, which keeps what a test prints to itself: CI's summary says how many there are.
    writeln!(std::io::stdout(), "\n{own} gate cases and {} pack cases", all.len() - own).unwrap();
    assert!(failed.is_empty(), "{} of {} cases failed:\n{}", failed.len(), all.len(), failed.join("\n"));
}
