//! The records' own checks: schema, sequence, links, citations, openings; and what they say about gaps.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::io;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::Findings;
use crate::hash::{Digest, TreeHash};
use crate::inputs;
use crate::note::Checkpoint;
use crate::record::{Decision, GapReason, HeadRef, Payload, Record, commit};
use crate::source::{Source, object_path, openings_path, read_object, read_openings};
use crate::tile::TILE_WIDTH;

/// How much earlier than a record before it a record may be, before it is counted: longer than anything waits for its
/// place in the log, shorter than what a clock that was turned back shows.
pub const CLOCK_SLACK: SignedDuration = SignedDuration::from_secs(60);

/// A gap that a record tells of.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GapSeen {
    /// Index of the record.
    pub record: u64,
    /// Why.
    pub reason: GapReason,
    /// How many events, where counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Where and how much.
    pub detail: String,
}

/// What the records say about themselves.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Records per kind.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Wall time of the oldest record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Timestamp>,
    /// Wall time of the newest record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<Timestamp>,
    /// Starts after which counts of the time before are lost: the log had not been closed.
    pub unclean_starts: Vec<u64>,
    /// Gaps.
    pub gaps: Vec<GapSeen>,
    /// Refusals that were answered without a record of their own, as heartbeats and records count them.
    pub repeated_refusals: u64,
    /// Records whose wall time lies more than [`CLOCK_SLACK`] before that of a record before them. A record's time is
    /// taken before its place in the log is, so that neighbours of one busy moment may cross: that is no anomaly.
    pub backward_times: u64,
    /// Objects that records cite.
    pub objects: u64,
    /// Personal values that records commit to.
    pub commitments: u64,
    /// How many of those could be opened.
    pub openings: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<String> = self.kinds.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
        write!(f, "  records: {}", if kinds.is_empty() { "none".into() } else { kinds.join(", ") })?;
        if let (Some(oldest), Some(newest)) = (self.oldest, self.newest) {
            let slack = CLOCK_SLACK.as_secs();
            let backward = match self.backward_times {
                0 => String::new(),
                1 => format!(" (1 gives a time more than {slack} s earlier than one before it)"),
                n => format!(" ({n} give a time more than {slack} s earlier than one before them)"),
            };
            write!(
                f,
                "\n  times from {oldest} to {newest} are what the operator's clock said: the log proves the order of its \
                 records, not their times{backward}"
            )?;
        }
        write!(
            f,
            "\n  {} objects cited, {} of {} personal values open",
            self.objects, self.openings, self.commitments
        )?;
        if self.repeated_refusals > 0 {
            write!(f, "\n  {} repeated refusals are counted, not recorded", self.repeated_refusals)?;
        }
        for gap in &self.gaps {
            write!(f, "\n  gap, record {}: {:?}, {}", gap.record, gap.reason, gap.detail)?;
        }
        if !self.unclean_starts.is_empty() {
            write!(f, "\n  started without a clean stop before, records {:?}", self.unclean_starts)?;
        }
        Ok(())
    }
}

/// Goes through the records in order.
pub(super) struct Walk {
    origin: String,
    next: u64,
    whole: bool,
    chain: HashMap<[u8; 16], TreeHash>,
    decisions: HashSet<u64>,
    /// Lists of inputs that were followed: a log may name a long one in each of its records.
    lists: HashSet<Digest>,
    pub(super) cited: HashSet<Digest>,
    /// Bundles whose openings file was judged, or cannot be.
    pub(super) opened: HashSet<u64>,
    redacted: u64,
    claimed: Claimed,
    /// Why the log was begun.
    because: String,
    /// Records whose objects and openings are looked at; absent: those of all.
    only: Option<BTreeSet<u64>>,
    /// Records whose objects were passed over for that.
    passed: u64,
    summary: Summary,
}

/// What a log says of itself.
#[derive(Default)]
pub(super) struct Claimed {
    /// The key that it names.
    pub(super) key: Option<String>,
    /// The log that its first record cites.
    pub(super) follows: Option<HeadRef>,
}

impl Walk {
    pub(super) fn new(checkpoint: &Checkpoint, only: Option<BTreeSet<u64>>) -> Self {
        Self {
            origin: checkpoint.origin.clone(),
            next: 0,
            whole: true,
            chain: HashMap::new(),
            decisions: HashSet::new(),
            lists: HashSet::new(),
            cited: HashSet::new(),
            opened: HashSet::new(),
            redacted: 0,
            claimed: Claimed::default(),
            because: String::new(),
            only,
            passed: 0,
            summary: Summary::default(),
        }
    }

    /// Goes past records that cannot be read; links across them cannot be judged any more.
    pub(super) fn skip(&mut self, bundle: u64, records: u64) {
        self.next += records;
        // Openings of records that cannot be read cannot be judged.
        self.opened.insert(bundle);
        self.whole = false;
    }

    pub(super) fn bundle<S: Source + ?Sized>(
        &mut self,
        source: &S,
        bundle: u64,
        path: &str,
        entries: &[Vec<u8>],
        hashes: &[TreeHash],
        findings: &mut Findings,
    ) -> io::Result<()> {
        let mut records = Vec::with_capacity(entries.len());
        let parsed: Vec<_> = entries.iter().map(|entry| Record::parse(entry)).collect();
        self.expect(source, bundle, &parsed);
        for (parsed, hash) in parsed.into_iter().zip(hashes) {
            let index = self.next;
            self.next += 1;
            match parsed {
                Ok(record) => {
                    self.record(source, path, index, &record, *hash, findings)?;
                    records.push((index, record));
                }
                Err(error) => {
                    self.whole = false;
                    findings.record(path, index, error.to_string());
                }
            }
        }
        self.openings(source, bundle, &records, findings)
    }

    /// Whether the objects and openings of a record are looked at.
    fn looks_at(&self, index: u64) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&index))
    }

    /// Tells the source which files these records lead to, so that one that is far away gets them together.
    fn expect<S: Source + ?Sized, E>(&self, source: &S, bundle: u64, records: &[Result<Record, E>]) {
        let (mut paths, mut lists) = (BTreeSet::new(), BTreeSet::new());
        for (index, record) in (self.next..).zip(records) {
            let Ok(record) = record else { continue };
            if !self.looks_at(index) {
                continue;
            }
            paths.extend(record.cites.iter().filter(|d| !self.cited.contains(d)).map(object_path));
            if let Payload::Decision(Decision { snapshot, .. }) = &record.payload
                && let [list] = snapshot.as_slice()
                && !self.lists.contains(list)
            {
                paths.insert(object_path(list));
                lists.insert(*list);
            }
            if !record.personal.is_empty() {
                paths.insert(openings_path(bundle));
            }
        }
        if paths.is_empty() || !source.expect(&paths.into_iter().collect::<Vec<_>>()) {
            return;
        }
        let mut more = BTreeSet::new();
        for list in lists {
            // That it is missing or damaged is told when it is judged.
            let Ok(Some(object)) = read_object(source, &list) else { continue };
            let Ok(Some(inputs)) = inputs::listed(&list, object.bytes()) else { continue };
            more.extend(inputs.iter().filter(|d| !self.cited.contains(d)).map(object_path));
        }
        source.expect(&more.into_iter().collect::<Vec<_>>());
    }

    fn record<S: Source + ?Sized>(
        &mut self,
        source: &S,
        path: &str,
        index: u64,
        record: &Record,
        hash: TreeHash,
        findings: &mut Findings,
    ) -> io::Result<()> {
        if record.seq != index {
            findings.record(path, index, format!("its sequence number is {}, wanted {index}", record.seq));
        }
        let last = self.chain.insert(record.subject.chain_key(), hash);
        // With unreadable records in between, the link may point to one of them.
        if record.prev != last && self.whole {
            let show = |hash: Option<TreeHash>| hash.map_or("none".to_owned(), |h| h.to_string());
            let what = format!(
                "its link to the last record about {} is {}, wanted {}",
                record.subject,
                show(record.prev),
                show(last)
            );
            findings.record(path, index, what);
        }
        if index == 0 && !matches!(record.payload, Payload::LogStart(_) | Payload::LogBegin(_)) {
            findings.record(path, 0, "the first record is neither log.start nor log.begin".into());
        }
        if self.looks_at(index) {
            for digest in &record.cites {
                let missing = "the record cites this object, and it is missing";
                self.cite(source, index, *digest, missing, findings)?;
            }
            self.listed(source, index, record, findings)?;
        } else {
            self.passed += u64::from(!record.cites.is_empty() || !record.personal.is_empty());
        }
        for digest in record.payload.cites() {
            if !record.cites.contains(&digest) {
                findings.record(path, index, format!("it rests on {digest} and does not cite it"));
            }
        }
        self.count(path, index, record, findings);
        Ok(())
    }

    fn cite<S: Source + ?Sized>(
        &mut self,
        source: &S,
        index: u64,
        digest: Digest,
        missing: &str,
        findings: &mut Findings,
    ) -> io::Result<()> {
        if !self.cited.insert(digest) {
            return Ok(());
        }
        match read_object(source, &digest) {
            Ok(Some(_)) => {}
            Ok(None) => findings.missing(&object_path(&digest), Some(index), missing),
            Err(error) => findings.unreadable(error)?,
        }
        Ok(())
    }

    /// What a list in the place of a decision's inputs names is cited as well.
    fn listed<S: Source + ?Sized>(
        &mut self,
        source: &S,
        index: u64,
        record: &Record,
        findings: &mut Findings,
    ) -> io::Result<()> {
        let Payload::Decision(Decision { snapshot, .. }) = &record.payload else { return Ok(()) };
        let [list] = snapshot.as_slice() else { return Ok(()) };
        if !self.lists.insert(*list) {
            return Ok(());
        }
        // That it is missing or damaged is told already.
        let Ok(Some(object)) = read_object(source, list) else { return Ok(()) };
        match inputs::listed(list, object.bytes()) {
            Ok(inputs) => {
                for digest in inputs.into_iter().flatten() {
                    let missing =
                        "the decision read this object, as its list of inputs says, and it is missing";
                    self.cite(source, index, digest, missing, findings)?;
                }
            }
            Err(error) => findings.record(&object_path(list), index, error.to_string()),
        }
        Ok(())
    }

    fn count(&mut self, path: &str, index: u64, record: &Record, findings: &mut Findings) {
        let summary = &mut self.summary;
        *summary.kinds.entry(record.payload.kind().as_str()).or_default() += 1;
        let wall = record.time.wall;
        summary.oldest = Some(summary.oldest.map_or(wall, |t| t.min(wall)));
        let earlier = summary.newest.map(|newest| newest.duration_since(wall));
        summary.backward_times += u64::from(earlier.is_some_and(|by| by > CLOCK_SLACK));
        summary.newest = summary.newest.max(Some(wall));
        summary.commitments += record.personal.len() as u64;
        let mut rests_on = |decision: Option<u64>| {
            if let Some(decision) = decision.filter(|d| self.whole && !self.decisions.contains(d)) {
                let what = format!("it rests on decision {decision}, and no earlier record is that decision");
                findings.record(path, index, what);
            }
        };
        match &record.payload {
            Payload::LogStart(start) => {
                self.claimed.key = Some(start.key.clone());
                if !start.clean {
                    summary.unclean_starts.push(index);
                }
                if start.origin != self.origin {
                    findings.record(path, index, format!("it was written for log {:?}", start.origin));
                }
            }
            Payload::LogBegin(begin) => {
                self.claimed = Claimed { key: Some(begin.key.clone()), follows: begin.follows.clone() };
                self.because.clone_from(&begin.because);
                if index != 0 {
                    findings.record(path, index, "log.begin is not the first record".into());
                }
            }
            Payload::Heartbeat(heartbeat) => {
                summary.repeated_refusals += heartbeat.refusals.iter().map(|r| r.count).sum::<u64>();
            }
            Payload::Gap(gap) => {
                let (reason, count, detail) = (gap.reason, gap.count, gap.detail.clone());
                summary.gaps.push(GapSeen { record: index, reason, count, detail });
            }
            Payload::Decision(_) => {
                self.decisions.insert(index);
            }
            Payload::Admission(admission) => {
                summary.repeated_refusals += admission.repeats;
                rests_on(admission.decision);
            }
            Payload::HoldLifted(lifted) => rests_on(lifted.decision),
            Payload::Redaction(redaction) => {
                self.redacted += 1;
                if redaction.index >= index {
                    findings.record(
                        path,
                        index,
                        format!("it redacts record {}, not yet written", redaction.index),
                    );
                }
            }
            _ => {}
        }
    }

    fn openings<S: Source + ?Sized>(
        &mut self,
        source: &S,
        bundle: u64,
        records: &[(u64, Record)],
        findings: &mut Findings,
    ) -> io::Result<()> {
        if !records.iter().any(|(index, record)| !record.personal.is_empty() && self.looks_at(*index)) {
            return Ok(());
        }
        let path = openings_path(bundle);
        let openings = match read_openings(source, bundle) {
            Ok(openings) => openings,
            Err(error) => return findings.unreadable(error),
        };
        if !openings.is_empty() {
            self.opened.insert(bundle);
        }
        for opening in openings {
            // A log that is being written may have openings of records that the checkpoint does not cover yet.
            if opening.index >= self.next && opening.index / TILE_WIDTH == bundle {
                continue;
            }
            let commitment = records
                .iter()
                .find(|(index, _)| *index == opening.index)
                .and_then(|(_, record)| record.personal.iter().find(|c| c.field == opening.field));
            let computed = commit(&opening.salt, &opening.field, &opening.value);
            if commitment.is_some_and(|c| c.commit == computed) {
                self.summary.openings += 1;
            } else {
                let what = format!("the opening of {} does not fit the record's commitment", opening.field);
                findings.record(&path, opening.index, what);
            }
        }
        Ok(())
    }

    /// Hands over what was learnt; gives what the log claims for itself.
    pub(super) fn finish(
        mut self,
        summary: &mut Summary,
        notes: &mut Vec<String>,
        not_checked: &mut Vec<String>,
    ) -> Claimed {
        self.summary.objects = self.cited.len() as u64;
        let closed = self.summary.commitments - self.summary.openings.min(self.summary.commitments);
        if self.passed > 0 {
            not_checked.push(format!(
                "objects and names of {} other records, and further files: verify the whole log for that",
                self.passed
            ));
        } else if closed > 0 {
            not_checked.push(format!(
                "{closed} personal values: their openings are not here ({} are recorded as erased)",
                self.redacted
            ));
        }
        if let Some(old) = &self.claimed.follows {
            let (origin, size, root) = (&old.origin, old.size, old.root);
            notes.push(format!("it follows {origin} ({size} records, root {root}): {}", self.because));
            not_checked
                .push("the log that this one follows: verify it on its own, up to the size cited".into());
        }
        *summary = self.summary;
        self.claimed
    }
}
