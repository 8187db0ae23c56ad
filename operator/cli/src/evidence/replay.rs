//! Replay: a recorded decision is evaluated again from the recorded snapshot and must come out the same, byte for byte.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use placet_api::Kind;
use placet_evidence::source::{read_object, read_records};
use placet_evidence::{Decision as Recorded, Digest, Payload, Source};
use placet_gate::evaluate;
use placet_gate::object::Record;
use placet_gate::world::{Clock, World};
use serde::Deserialize;
use serde_json::Value;

use super::Log;
use crate::args::Global;
use crate::{sys, target};

/// What a snapshot holds beside objects, as the operator stores it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rest {
    #[serde(rename = "placet.dev/snapshot")]
    version: String,
    namespace: String,
    name: String,
    labels: BTreeMap<String, String>,
    roles: BTreeSet<String>,
    first_use: Option<Timestamp>,
    not_ready: Vec<String>,
    clock_untrusted: Option<String>,
    live: BTreeSet<Digest>,
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
    let mut out = String::new();
    for (index, subject, body) in &decisions {
        match again(log.source(), body) {
            Ok(None) => same += 1,
            Ok(Some(found)) => {
                differ += 1;
                let _ = writeln!(
                    out,
                    "record {index}, {subject}: recorded {} by {}, evaluated now {found}",
                    body.result.map_or_else(|| "nothing".into(), |d| d.to_string()),
                    body.engine
                );
            }
            Err(e) => {
                unknown += 1;
                let _ = writeln!(out, "record {index}, {subject}: not evaluated: {e:#}");
            }
        }
    }
    let _ = writeln!(
        out,
        "{} decisions: {same} come out as recorded, {differ} differ, {unknown} could not be evaluated",
        decisions.len()
    );
    sys::print(&out)?;
    Ok(match (differ, unknown) {
        (0, 0) => 0,
        (0, _) => 2,
        _ => 1,
    })
}

/// Evaluates one decision again: nothing when it comes out as recorded, otherwise the digest of what came out.
fn again(source: &dyn Source, body: &Recorded) -> anyhow::Result<Option<Digest>> {
    let mut rest: Option<Rest> = None;
    let mut records: Vec<(Digest, Record)> = Vec::new();
    for digest in &body.snapshot {
        let object = read_object(source, digest)?.with_context(|| format!("{digest} is missing"))?;
        let value: Value = serde_json::from_slice(object.bytes()).with_context(|| digest.to_string())?;
        if value.get("placet.dev/snapshot").is_some() {
            rest = Some(serde_json::from_value(value).with_context(|| digest.to_string())?);
        } else {
            records.push((*digest, serde_json::from_value(value).with_context(|| digest.to_string())?));
        }
    }
    let rest = rest.context("its snapshot does not say which release was judged")?;
    if rest.version != "v1" {
        bail!("wanted a snapshot of version v1, found {}; a newer placet reads it", rest.version);
    }
    let mut world = World::new();
    for (digest, record) in records {
        if rest.live.contains(&digest) { world.apply(record) } else { world.remember(record) }
    }
    let clock = match rest.clock_untrusted {
        Some(why) => Clock::Untrusted { now: body.now, why },
        None => Clock::Trusted(body.now),
    };
    let mut snapshot = world.snapshot(&rest.namespace, &rest.name, clock);
    snapshot.namespace_labels = rest.labels.into();
    snapshot.roles = rest.roles.into();
    snapshot.first_use = rest.first_use;
    snapshot.not_ready = rest.not_ready;
    let found = Digest::of(&serde_json::to_vec(&evaluate(&snapshot))?);
    Ok((body.result != Some(found)).then_some(found))
}
