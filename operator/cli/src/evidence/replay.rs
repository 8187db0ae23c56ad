//! Replay: a recorded decision is evaluated again from the recorded snapshot and must decide the same. Its words may be
//! those of another version.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use placet_api::Kind;
use placet_evidence::source::{read_inputs, read_object, read_records};
use placet_evidence::{Decision as Recorded, Digest, MOST_POLICIES, Payload, Source};
use placet_gate::circumstances::Circumstances;
use placet_gate::object::Record;
use placet_gate::{Cleared, Decision, ENGINE, evaluate, outcome, visible};
use serde_json::Value;

use super::Log;
use crate::args::Global;
use crate::{sys, target, text};

/// What an evaluation comes to beside the recorded one.
enum Compared {
    /// The same, to the last byte.
    Same,
    /// The same is decided, in other words.
    OtherWords,
    /// Something else is decided.
    Otherwise(Differences),
}

/// What is decided on one side only, one line each.
struct Differences {
    recorded: Vec<String>,
    now: Vec<String>,
}

/// Evaluates the decisions of a log again.
pub fn run(global: &Global, log: &Log<'_>, what: Option<&str>) -> anyhow::Result<u8> {
    let name = what.map(|t| target::ours(t, &[Kind::ModelRelease]).map(|(_, name)| name)).transpose()?;
    let namespace = global.namespace.as_deref().or(log.namespace()).filter(|_| name.is_some());
    let size = log.size()?;
    let mut decisions = Vec::new();
    read_records(log.source(), 0, size, &mut |index, record| {
        let fits = name.as_ref().is_none_or(|n| record.subject.name == *n)
            && namespace.is_none_or(|n| record.subject.namespace.as_deref() == Some(n));
        if let Payload::Decision(body) = &record.payload
            && fits
        {
            decisions.push((index, record.subject.to_string(), body.clone()));
        }
    })?;
    if decisions.is_empty() {
        bail!("wanted recorded decisions, found none among {size} records");
    }
    let (mut same, mut differ, mut unknown) = (0_u64, 0_u64, 0_u64);
    let mut other_words: BTreeMap<&str, u64> = BTreeMap::new();
    let mut out = String::new();
    for (index, subject, body) in &decisions {
        match again(log.source(), body) {
            Ok(Compared::Same) => same += 1,
            Ok(Compared::OtherWords) => *other_words.entry(&body.engine).or_default() += 1,
            Ok(Compared::Otherwise(differences)) => {
                differ += 1;
                let said = format!(
                    "record {index}, {subject}: recorded by {}, evaluated by {ENGINE}, decided otherwise",
                    body.engine
                );
                let _ = writeln!(out, "{}", visible::line(&said));
                for (title, lines) in [("recorded", differences.recorded), ("evaluated", differences.now)] {
                    for line in lines {
                        let _ = writeln!(out, "  {:11}{}", format!("{title}:"), visible::line(&line));
                    }
                }
            }
            Err(e) => {
                unknown += 1;
                let said = format!("record {index}, {subject}: not evaluated: {}", text::chain(&e));
                let _ = writeln!(out, "{}", visible::line(&said));
            }
        }
    }
    for (engine, count) in &other_words {
        let _ = writeln!(
            out,
            "{count} decided the same in other words: recorded by {}, evaluated by {ENGINE}",
            visible::line(engine)
        );
    }
    let _ = writeln!(
        out,
        "{} decisions: {same} come out as recorded, {} in other words, {differ} differ, {unknown} could not be evaluated",
        decisions.len(),
        other_words.values().sum::<u64>()
    );
    sys::print(&out)?;
    Ok(match (differ, unknown) {
        (0, 0) => 0,
        (0, _) => 2,
        _ => 1,
    })
}

/// Evaluates one decision again and compares.
fn again(source: &dyn Source, body: &Recorded) -> anyhow::Result<Compared> {
    let read = |digest: &Digest| -> anyhow::Result<Vec<u8>> {
        let object = read_object(source, digest)?.with_context(|| format!("{digest} is missing"))?;
        Ok(object.bytes().to_vec())
    };
    let mut circumstances: Option<Circumstances> = None;
    let mut records: Vec<(String, Record)> = Vec::new();
    for digest in &read_inputs(source, &body.snapshot)? {
        let value: Value = serde_json::from_slice(&read(digest)?).with_context(|| digest.to_string())?;
        if let Some(found) = Circumstances::read(&value).with_context(|| digest.to_string())? {
            circumstances = Some(found);
        } else {
            let record = serde_json::from_value(value).with_context(|| digest.to_string())?;
            records.push((digest.to_string(), record));
        }
    }
    let circumstances = circumstances.context("its snapshot does not say which release was judged")?;
    let found = evaluate(&circumstances.snapshot(records, body.now));
    let stored = body.result.context("its record names no stored decision")?;
    let same = stored == Digest::of(&serde_json::to_vec(&found)?);
    let mut recorded = stated_by(body);
    let mut now = stated(&found);
    if !same {
        // A reason code that this version does not know makes it another decision, or one of a newer version: not the
        // same one in other words.
        let stored: Decision = serde_json::from_slice(&read(&stored)?).with_context(|| {
            format!("the decision recorded by {} cannot be read by {ENGINE}", body.engine)
        })?;
        recorded.extend(stored.outcome());
        now.extend(found.outcome());
    }
    recorded.sort_unstable();
    now.sort_unstable();
    if recorded != now {
        let lines = |one: &[String], other: &[String]| -> Vec<String> {
            outcome::missing(one, other).into_iter().map(str::to_owned).collect()
        };
        return Ok(Compared::Otherwise(Differences {
            recorded: lines(&recorded, &now),
            now: lines(&now, &recorded),
        }));
    }
    Ok(if same { Compared::Same } else { Compared::OtherWords })
}

/// What a record says of its decision by itself.
fn stated_by(body: &Recorded) -> Vec<String> {
    let mut lines = vec![format!("record: {:?}", body.verdict)];
    lines.extend(body.class.iter().map(|class| format!("record: class {class}")));
    lines.extend(body.gates.iter().map(|g| gate_line(&g.gate, &format!("{:?}", g.verdict), &g.reasons)));
    lines.extend(body.policies.iter().map(|p| format!("record: policy {} {}", p.name, p.digest)));
    lines.extend(body.valid_until.map(|until| format!("record: valid until {until}")));
    lines
}

/// What a record of this decision has to say.
fn stated(decision: &Decision) -> Vec<String> {
    let verdict = match decision.cleared {
        Cleared::True => "Met",
        Cleared::False => "NotMet",
        Cleared::Unknown => "Unknown",
    };
    let mut lines = vec![format!("record: {verdict}")];
    lines.extend(decision.class.map(|class| format!("record: class {class}")));
    let gates = decision.gates.iter();
    lines.extend(gates.map(|g| gate_line(g.gate.as_str(), &format!("{:?}", g.verdict), &g.reasons())));
    // A policy whose content cannot be digested has no digest to be stated, and a record names so many.
    let policies = decision.policies.iter().filter(|(_, digest)| digest.parse::<Digest>().is_ok());
    lines
        .extend(policies.take(MOST_POLICIES).map(|(name, digest)| format!("record: policy {name} {digest}")));
    lines.extend(decision.valid_until.map(|until| format!("record: valid until {until}")));
    lines
}

fn gate_line(gate: &str, verdict: &str, reasons: &[String]) -> String {
    format!("record: gate {gate} {verdict} {}", reasons.join(", ")).trim_end().to_owned()
}
