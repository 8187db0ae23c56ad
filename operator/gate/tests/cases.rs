//! Runs the YAML cases of `tests/cases/` and of `policies/packs/cases/`. The format is in `tests/cases/README.md`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test reads its cases from files, and a case that cannot be read fails it"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use common::{Base, ClearedOnce, Edited, Given, Run, SignedBy, merge, policy_objects, resolve, yaml};
use jiff::Timestamp;
use placet_api::Kind;
use placet_api::approval::{ApprovalSpec, SubjectKind};
use placet_api::common::Class;
use placet_api::modelrelease::GateVerdict;
use placet_api::riskacceptance::RiskAcceptanceSpec;
use placet_gate::asked::Asked;
use placet_gate::circumstances::Circumstances;
use placet_gate::digest;
use placet_gate::finding::{Gate, Reason};
use placet_gate::gates::counted::Cause;
use placet_gate::gates::heard::{Heard, Said, hear};
use placet_gate::object::{Object, Reading};
use placet_gate::people::PeopleKey;
use placet_gate::stamp::ReceiptKeys;
use placet_gate::world::{Clock, Reassess, Snapshot, World};
use placet_gate::{Cleared, Decision, evaluate};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    title: String,
    now: Timestamp,
    base: Option<String>,
    release: Option<String>,
    #[serde(default)]
    namespace_labels: BTreeMap<String, String>,
    first_use: Option<Timestamp>,
    clock: Option<String>,
    #[serde(default)]
    not_ready: Vec<String>,
    #[serde(default)]
    policies: Vec<String>,
    #[serde(default)]
    objects: Vec<Given>,
    #[serde(default)]
    change: Vec<Change>,
    #[serde(default)]
    remove: Vec<String>,
    /// Approvals and acceptances name what the base holds, not what the case makes of it.
    #[serde(default)]
    approved_before: bool,
    /// Classes with which releases were judged before.
    #[serde(default)]
    had: Vec<Had>,
    /// What asks for a new assessment.
    #[serde(default)]
    reassess: Vec<AskedAgain>,
    /// Releases that were cleared, instead of those that the base names.
    cleared: Option<Vec<ClearedOnce>>,
    expect: Expect,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Had {
    namespace: Option<String>,
    release: Value,
    class: Class,
    at: Timestamp,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AskedAgain {
    system: String,
    by: String,
    at: Timestamp,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Change {
    object: String,
    spec: Option<Value>,
    by: Option<String>,
    at: Option<Timestamp>,
    #[serde(default)]
    edited: Vec<Edited>,
    unstamped: Option<bool>,
    #[serde(default)]
    behind: bool,
    holds_role: Option<bool>,
    deleted: Option<bool>,
    uid: Option<String>,
    subject_uid: Option<String>,
    groups: Option<Vec<String>>,
    wildcard: Option<bool>,
    role_lost: Option<bool>,
    credential: Option<bool>,
    signed: Option<SignedBy>,
    deleted_at: Option<Timestamp>,
    reports_as: Option<Vec<String>>,
    asked: Option<Asked>,
    /// The version before the change is remembered, as the log would.
    #[serde(default)]
    remembered: bool,
    /// It was so before `approvedBefore`.
    #[serde(default)]
    before: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Expect {
    cleared: Option<String>,
    class: Option<String>,
    lapse: Option<String>,
    valid_until: Option<Timestamp>,
    #[serde(default)]
    gates: BTreeMap<String, String>,
    #[serde(default)]
    findings: Vec<ExpectedFinding>,
    #[serde(default)]
    only_findings: bool,
    #[serde(default)]
    notes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedFinding {
    gate: String,
    reason: String,
    item: Option<String>,
    says: Option<String>,
}

#[expect(clippy::too_many_lines, reason = "one step for each field of a case")]
fn run(path: &Path) -> Result<(), String> {
    let case: Case = yaml(path);
    let here = path.parent().unwrap();
    let base: Option<Base> = case.base.as_ref().map(|b| yaml(&here.join(b)));
    let release =
        case.release.clone().or_else(|| base.as_ref().and_then(|b| b.release.clone())).expect("release");
    let (namespace, name) = release.split_once('/').expect("NAMESPACE/NAME");
    let run = Run {
        namespace: namespace.to_owned(),
        reading: Reading {
            cluster: "case".into(),
            cluster_name: None,
            keys: ReceiptKeys::new(),
            people: PeopleKey::new(*b"cases"),
        },
        now: case.now,
    };
    let mut files: Vec<PathBuf> = case.policies.iter().map(|p| here.join(p)).collect();
    if let (Some(base), Some(base_path)) = (&base, &case.base) {
        let base_dir = here.join(base_path).parent().unwrap().to_owned();
        files.extend(base.policies.iter().map(|p| base_dir.join(p)));
    }
    let mut objects: Vec<Given> = files.iter().flat_map(|f| policy_objects(f)).collect();
    let replace = |objects: &mut Vec<Given>, given: Given| {
        objects.retain(|o| !(o.kind == given.kind && o.name == given.name && o.namespace == given.namespace));
        objects.push(given);
    };
    let cleared_in_base = base.as_ref().map(|b| b.cleared.clone());
    for given in base.map(|b| b.objects).unwrap_or_default() {
        replace(&mut objects, given);
    }
    let mut before = objects.clone();
    for given in case.objects.iter().cloned() {
        replace(&mut objects, given);
    }
    let mut remembered = Vec::new();
    for change in &case.change {
        let (kind, name) = change.object.split_once('/').expect("KIND/NAME");
        let given = objects
            .iter_mut()
            .find(|o| o.kind == kind && o.name == name)
            .ok_or_else(|| format!("no {} to change", change.object))?;
        if change.remembered {
            remembered.push(given.clone());
        }
        if let Some(spec) = &change.spec {
            merge(&mut given.spec, spec);
            let earlier = before.iter_mut().filter(|o| change.before && o.kind == kind && o.name == name);
            earlier.for_each(|o| merge(&mut o.spec, spec));
        }
        if let Some(by) = &change.by {
            given.by = Some(by.clone());
        }
        if change.unstamped == Some(true) {
            given.by = None;
        }
        given.behind |= change.behind;
        given.at = change.at.or(given.at);
        given.edited.extend(change.edited.iter().cloned());
        given.holds_role = change.holds_role.or(given.holds_role);
        given.uid = change.uid.clone().or(given.uid.take());
        given.subject_uid = change.subject_uid.clone().or(given.subject_uid.take());
        given.groups = change.groups.clone().unwrap_or(std::mem::take(&mut given.groups));
        given.role_lost = change.role_lost.unwrap_or(given.role_lost);
        given.wildcard = change.wildcard.unwrap_or(given.wildcard);
        given.credential = change.credential.unwrap_or(given.credential);
        given.signed = change.signed.clone().or(given.signed.take());
        given.deleted_at = change.deleted_at.or(given.deleted_at);
        given.reports_as = change.reports_as.clone().unwrap_or(std::mem::take(&mut given.reports_as));
        given.asked = change.asked.clone().or(given.asked.take());
        given.deleted = change.deleted.unwrap_or(given.deleted);
    }
    for removed in &case.remove {
        let count = objects.len();
        let (kind, name) = removed.split_once('/').expect("KIND/NAME");
        objects.retain(|o| !(o.kind == kind && o.name == name));
        if objects.len() == count {
            return Err(format!("nothing to remove: {removed}"));
        }
    }
    let originals = before.clone();
    resolve(&run, &case.title, &mut before, &originals);
    if case.approved_before {
        let decides = |o: &&mut Given| o.kind == "Approval" || o.kind == "RiskAcceptance";
        for given in objects.iter_mut().filter(decides) {
            if let Some(old) = before.iter().find(|o| o.kind == given.kind && o.name == given.name) {
                given.spec.clone_from(&old.spec);
                given.evidence.clone_from(&old.evidence);
            }
        }
    }
    resolve(&run, &case.title, &mut objects, &before);
    // What they name that was not changed is as it is.
    let mut all = [remembered.as_slice(), &objects].concat();
    resolve(&run, &case.title, &mut all, &before);
    all.truncate(remembered.len());
    remembered = all;
    let make = || {
        let mut world = World::new();
        for given in &remembered {
            run.add(&mut world, given, true);
        }
        for given in &objects {
            run.add(&mut world, given, false);
        }
        for had in &case.had {
            // Of a release this is all that is remembered.
            let mut spec = json!({"system": "scoring", "version": "1", "change": {"kind": "Initial", "reason": "First"}});
            merge(&mut spec, &had.release);
            let spec = serde_json::from_value(spec).unwrap();
            world.had_class(had.namespace.as_deref().unwrap_or(&run.namespace), &spec, had.class, had.at);
        }
        for asked in &case.reassess {
            let request = Reassess { at: asked.at, by: asked.by.clone() };
            world.reassess(&run.namespace, &asked.system, request);
        }
        for once in case.cleared.as_ref().or(cleared_in_base.as_ref()).into_iter().flatten() {
            run.was_cleared(&mut world, &objects, once);
        }
        world.set_namespace(&run.namespace, case.namespace_labels.clone());
        for what in &case.not_ready {
            world.set_ready(what, false);
        }
        world
    };
    let world = make();
    let clock = match case.clock.as_deref() {
        None => Clock::Trusted(case.now),
        Some("untrusted") => Clock::Untrusted { now: case.now, why: "differs by 45 s".into() },
        Some(other) => return Err(format!("clock: {other}?")),
    };
    let snapshot_of = |world: &World| {
        let mut snapshot = world.snapshot(&run.namespace, name, clock.clone());
        snapshot.first_use = case.first_use.or(snapshot.first_use);
        snapshot
    };
    let snapshot = snapshot_of(&world);
    let decision = evaluate(&snapshot);
    check(&case.expect, &decision)?;
    if case.base.as_ref().is_some_and(|b| b.ends_with("life-cycle.yaml")) && decision.cleared != Cleared::True
    {
        // Policies and roles left out: who may delete them decides what is asked for.
        for given in objects.iter().filter(|o| o.kind != "ReleasePolicy" && o.kind != "ApprovalRole") {
            let mut world = make();
            world.remove(Kind::parse(&given.kind).unwrap(), Some(&run.namespace), &given.name);
            if evaluate(&snapshot_of(&world)).cleared == Cleared::True {
                return Err(format!("deleting {} {} clears it", given.kind, given.name));
            }
        }
    }
    replays(&snapshot, &decision)?;
    what_is_heard_is_what_counts(&snapshot, &decision)?;
    words_are_words(&snapshot, &decision)
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

fn check(expect: &Expect, decision: &Decision) -> Result<(), String> {
    let mut wrong = Vec::new();
    let mut same = |what: &str, wanted: &Option<String>, found: String| {
        if let Some(wanted) = wanted
            && *wanted != found
        {
            wrong.push(format!("{what}: wanted {wanted}, found {found}"));
        }
    };
    same("cleared", &expect.cleared, format!("{:?}", decision.cleared));
    same("class", &expect.class, decision.class.map_or("Unknown".into(), |c| c.to_string()));
    same("lapse", &expect.lapse, decision.lapse.map_or("None".into(), |l| format!("{l:?}")));
    same(
        "validUntil",
        &expect.valid_until.map(|t| t.to_string()),
        decision.valid_until.map_or("None".into(), |t| t.to_string()),
    );
    for (gate, wanted) in &expect.gates {
        assert!(Gate::ALL.iter().any(|g| g.as_str() == gate), "no gate {gate}");
        let found =
            decision.gates.iter().find(|g| g.gate.as_str() == gate).map(|g| format!("{:?}", g.verdict));
        same(gate, &Some(wanted.clone()), found.unwrap_or_default());
    }
    let mut used = 0;
    for wanted in &expect.findings {
        assert!(Reason::ALL.iter().any(|r| r.as_str() == wanted.reason), "no reason {}", wanted.reason);
        let matching = decision.findings().filter(|f| {
            f.gate.as_str() == wanted.gate
                && f.reason.as_str() == wanted.reason
                && wanted.item.as_ref().is_none_or(|i| f.item == *i)
                && wanted.says.as_ref().is_none_or(|s| {
                    [&f.wanted, &f.found, &f.command, &f.who].iter().any(|t| t.contains(s.as_str()))
                })
        });
        let count = matching.count();
        used += count;
        if count == 0 {
            wrong.push(format!("no finding like {wanted:?}"));
        }
    }
    let total = decision.findings().count();
    if expect.only_findings && total != used {
        wrong.push(format!("{total} findings, of which {used} were expected"));
    }
    for wanted in &expect.notes {
        let mut notes = decision.gates.iter().flat_map(|g| &g.notes);
        if !notes.any(|n| n.contains(wanted.as_str())) {
            wrong.push(format!("no note that says {wanted:?}"));
        }
    }
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
            let case: Case = yaml(path);
            failed.push(format!("{}\n  {}\n  {why}", path.display(), case.title));
        }
    }
    // Past the harness, which keeps what a test prints to itself: CI's summary says how many there are.
    writeln!(std::io::stdout(), "\n{own} gate cases and {} pack cases", all.len() - own).unwrap();
    assert!(failed.is_empty(), "{} of {} cases failed:\n{}", failed.len(), all.len(), failed.join("\n"));
}
