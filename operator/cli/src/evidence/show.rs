//! The life of a release as a timeline, and the newest records.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use anyhow::bail;
use placet_api::Kind;
use placet_evidence::source::{
    object_path, openings_path, read_inputs, read_object, read_openings, read_records,
};
use placet_evidence::verify::{Outcome, Report};
use placet_evidence::{Digest, Payload, Record, Source, Subject};
use placet_gate::visible;
use serde_json::{Value, json};

use super::event::{Event, Names, event};
use super::{Log, report};
use crate::args::{Global, LogPlace, TableOrJson};
use crate::text::{self, short};
use crate::{sys, target};

/// Records in a bundle of openings.
const BUNDLE: u64 = 256;

/// Shows the life of a release.
pub fn run(
    global: &Global,
    log: &Log<'_>,
    place: &LogPlace,
    what: &str,
    no_verify: bool,
    output: TableOrJson,
) -> anyhow::Result<u8> {
    let (_, name) = target::ours(what, &[Kind::ModelRelease])?;
    let namespace = global.namespace.as_deref().or(log.namespace());
    let size = log.size()?;
    let found = life(log.source(), size, namespace, &name)?;
    if found.is_empty() {
        bail!(
            "mr/{name}{}: wanted records about it, found none among {size}",
            namespace.map_or_else(String::new, |n| format!(" in namespace {n}"))
        );
    }
    let names = names(log.source(), &found);
    let events = events(log.source(), &found, &names);
    // Whether the log as a whole is well is asked by `verify`.
    let shown = found.iter().map(|(index, _)| *index).collect();
    let checked = if no_verify { None } else { Some(report(log, place, None, Some(shown))?) };
    let text = match output {
        TableOrJson::Table => {
            let last = checked.as_ref().map_or_else(|| format!("not verified: {size} records"), summary);
            format!("{}      {last}\n", lines(&events))
        }
        TableOrJson::Json => {
            let outcome = checked.as_ref().map(|r| json!({"outcome": r.outcome, "head": r.head}));
            text::json(&json!({"events": events, "verification": outcome}))?
        }
    };
    sys::print(&text)?;
    if let Some(report) =
        checked.filter(|r| !matches!(r.outcome, Outcome::Authenticated | Outcome::SelfConsistent))
    {
        sys::tell(&super::shown(&report));
        return Ok(1);
    }
    Ok(0)
}

/// The newest records, and with `follow` those that come.
#[expect(clippy::disallowed_methods, reason = "a command line waits where it is")]
pub fn tail(log: &Log<'_>, last: u64, follow: bool) -> anyhow::Result<u8> {
    let mut from = log.size()?.saturating_sub(last);
    loop {
        let size = log.size()?;
        if size < from {
            bail!("wanted a log of at least {from} records, found {size}: it was replaced");
        }
        if size > from {
            let mut found = Vec::new();
            read_records(log.source(), from, size, &mut |index, record| found.push((index, record.clone())))?;
            let names = names(log.source(), &found);
            expect_said(log.source(), &found);
            let lines: Vec<String> = found
                .iter()
                .map(|(index, record)| {
                    let spec = spec_of(log.source(), record);
                    let event = event(*index, record, spec.as_ref(), &names);
                    format!("{}  {}\n", line(&event, [14, 0]), visible::line(&subject(&record.subject)))
                })
                .collect();
            sys::print(&lines.concat())?;
            from = size;
        }
        if !follow {
            return Ok(0);
        }
        std::thread::sleep(Duration::from_secs(2));
    }
}

fn subject(subject: &Subject) -> String {
    if subject.kind == "Log" { String::new() } else { format!("({subject})") }
}

/// Records about a release: its own, those of pods and workloads that name it, and those of every object version that a
/// decision on it has read.
fn life(
    source: &dyn Source,
    size: u64,
    namespace: Option<&str>,
    name: &str,
) -> anyhow::Result<Vec<(u64, Record)>> {
    let mut about: Vec<(u64, Record)> = Vec::new();
    let mut objects: Vec<(u64, Record)> = Vec::new();
    let mut read: HashSet<Digest> = HashSet::new();
    let mut lists: BTreeSet<Digest> = BTreeSet::new();
    let mut namespaces: BTreeSet<String> = BTreeSet::new();
    let here = |found: Option<&str>| namespace.is_none_or(|wanted| found == Some(wanted));
    read_records(source, 0, size, &mut |index, record| {
        let subject = &record.subject;
        let its_own = subject.kind == "ModelRelease" && subject.name == name;
        let names_it = match &record.payload {
            Payload::Admission(a) => a.release.as_deref() == Some(name),
            Payload::HoldLifted(h) => h.release.as_deref() == Some(name),
            Payload::Approval(a) => a.subject_kind == "ModelRelease" && a.subject_name == name,
            Payload::RoleStanding(r) => {
                r.words.iter().any(|w| w.about == "ModelRelease" && w.about_name == name)
            }
            _ => false,
        };
        let of = match &record.payload {
            Payload::RoleStanding(r) => Some(&r.namespace),
            _ => subject.namespace.as_ref(),
        };
        if (its_own || names_it) && here(of.map(String::as_str)) {
            namespaces.extend(of.cloned());
            if let Payload::Decision(d) = &record.payload {
                read.extend(d.snapshot.iter().copied());
                lists.extend(d.snapshot.first().filter(|_| d.snapshot.len() == 1));
            }
            about.push((index, record.clone()));
        } else if !versions(record).is_empty() {
            objects.push((index, record.clone()));
        }
    })?;
    if namespaces.len() > 1 {
        let list: Vec<&str> = namespaces.iter().map(String::as_str).collect();
        bail!("mr/{name}: found in namespaces {}; say which with -n", list.join(", "));
    }
    source.expect(&lists.iter().map(object_path).collect::<Vec<_>>());
    // Verification tells of a list that is missing.
    read.extend(lists.into_iter().filter_map(|one| read_inputs(source, &[one]).ok()).flatten());
    about.extend(objects.into_iter().filter(|(_, r)| versions(r).iter().any(|d| read.contains(d))));
    about.sort_by_key(|(index, _)| *index);
    Ok(about)
}

/// The stored versions that a record tells of.
fn versions(record: &Record) -> Vec<Digest> {
    let one = match &record.payload {
        Payload::RoleStanding(r) => return r.words.iter().map(|w| w.version).collect(),
        Payload::Object(o) => o.stored,
        Payload::PolicyChange(p) => p.stored,
        Payload::PolicyEffect(p) => p.stored,
        Payload::Withdrawal(w) => w.stored,
        Payload::Approval(a) => a.stored,
        _ => None,
    };
    one.into_iter().collect()
}

/// Names of the people in these records, as far as openings may be read.
fn names(source: &dyn Source, records: &[(u64, Record)]) -> Names {
    let bundles: BTreeSet<u64> =
        records.iter().filter(|(_, r)| !r.personal.is_empty()).map(|(index, _)| index / BUNDLE).collect();
    let mut names = Names::new();
    source.expect(&bundles.iter().copied().map(openings_path).collect::<Vec<_>>());
    for bundle in bundles {
        // Openings are erasable and guarded apart: none is no error, and verification tells of damaged ones.
        for opening in read_openings(source, bundle).unwrap_or_default() {
            names.entry(opening.index).or_default().take(&opening.field, opening.value);
        }
    }
    names
}

/// The stored object that a record tells of, for approvals and acceptances.
fn said(record: &Record) -> Option<Digest> {
    let Payload::Object(seen) = &record.payload else { return None };
    seen.stored.filter(|_| seen.kind == "Approval" || seen.kind == "RiskAcceptance")
}

/// Tells the source that the objects of [`spec_of`] are read next.
fn expect_said(source: &dyn Source, found: &[(u64, Record)]) {
    source.expect(&found.iter().filter_map(|(_, r)| said(r)).map(|d| object_path(&d)).collect::<Vec<_>>());
}

/// Spec of the stored object that a record tells of, for approvals and acceptances.
fn spec_of(source: &dyn Source, record: &Record) -> Option<Value> {
    let object = read_object(source, &said(record)?).ok()??;
    let record: Value = serde_json::from_slice(object.bytes()).ok()?;
    record.get("spec").cloned()
}

fn events(source: &dyn Source, found: &[(u64, Record)], names: &Names) -> Vec<Event> {
    expect_said(source, found);
    let mut last_approval: Option<jiff::Timestamp> = None;
    let mut out = Vec::with_capacity(found.len());
    for (index, record) in found {
        let mut event = event(*index, record, spec_of(source, record).as_ref(), names);
        match &record.payload {
            Payload::Object(o) if o.kind == "Approval" || o.kind == "RiskAcceptance" => {
                last_approval = Some(record.time.wall);
            }
            Payload::Approval(_) => last_approval = Some(record.time.wall),
            Payload::HoldLifted(_) => {
                if let Some(since) = last_approval {
                    let after = record.time.wall.duration_since(since).as_secs_f64();
                    event.detail = format!("{} ({after:.2} s after the last approval)", event.detail);
                }
            }
            _ => {}
        }
        out.push(event);
    }
    out
}

fn line(event: &Event, [what, who]: [usize; 2]) -> String {
    let time = event.time.replace('T', " ");
    let time = time.get(..16).unwrap_or(&time);
    // A record's texts are those of its time's objects, and the name of whoever wrote them.
    let [said, by, detail] = [&event.what, &event.who, &event.detail].map(|t| visible::line(t));
    format!("{:>6}  {time}  {said:what$}  {by:who$}  {detail}", event.record).trim_end().to_owned()
}

fn lines(events: &[Event]) -> String {
    let widest = |of: fn(&Event) -> &str, most: usize| {
        events.iter().map(|e| of(e).chars().count()).max().unwrap_or(0).min(most)
    };
    let widths = [widest(|e| &e.what, 24), widest(|e| &e.who, 48)];
    events.iter().map(|e| line(e, widths) + "\n").collect()
}

/// What verification came to, in a line.
fn summary(report: &Report) -> String {
    let head = report.head.as_ref().map_or_else(
        || "no checkpoint".to_owned(),
        |h| format!("{} records, root {}", h.size, short(&h.root.to_string())),
    );
    let newest =
        report.summary.newest.map_or_else(String::new, |t| format!(", newest {}", crate::text::seconds(t)));
    let gaps = match report.summary.gaps.len() {
        0 => "no gap".to_owned(),
        n => format!("{n} gaps (placet evidence verify tells which)"),
    };
    let word = match report.outcome {
        Outcome::Authenticated => "verified",
        Outcome::SelfConsistent => "consistent with itself, not authenticated (--key)",
        Outcome::AnotherLog => "ANOTHER LOG than that of the key",
        Outcome::Incomplete => "INCOMPLETE",
        Outcome::Tampered => "TAMPERED",
    };
    format!("{word}: {head}{newest}, {gaps}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_record_cannot_forge_a_record() {
        let forged = "eve\n     9  2026-11-20 09:00  cleared\u{1b}[1A\u{202e}";
        let event = |text: &str| Event {
            record: 3,
            time: "2026-11-20T09:00:00Z".into(),
            what: text.into(),
            who: text.into(),
            detail: text.into(),
        };
        let text = lines(&[event("x"), event(forged)]);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert_eq!(visible::lines(&text), text);
        let shown = super::super::shown(&Report {
            outcome: Outcome::SelfConsistent,
            head: None,
            findings: Vec::new(),
            total_findings: 0,
            summary: placet_evidence::verify::Summary::default(),
            notes: vec![forged.into()],
            not_checked: vec![forged.into()],
        });
        assert_eq!(shown.lines().filter(|l| l.contains("  9  ")).count(), 2, "{shown}");
        assert_eq!(visible::lines(&shown), shown);
    }
}
