//! Verification of a published log: everything is computed again from the bytes, nothing is taken from the writer.
//!
//! Checked: the checkpoint's signature, each tile, each entry's hash, each record's schema, sequence and links, that
//! each cited object is there and has its digest, that each opening opens its commitment, and, where the source can
//! list, every other file of the published directories. `wal/` is the writer's own and no part of the evidence.

mod files;
mod records;

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use serde::Serialize;

use crate::hash::{TreeHash, leaf_hash};
use crate::head::Head;
use crate::merkle::TileEdge;
use crate::note::{Checkpoint, Note, VerifierKey};
use crate::source::{ReadError, Source, bundle_width, expect_bundles, read, read_bundle};
use crate::tile::{TILE_WIDTH, TilePath};

use records::Claimed;
pub use records::{GapSeen, Summary};

/// Findings that are told one by one; beyond, they are counted.
const MAX_FINDINGS: usize = 100;

/// What the verifier was given besides the log.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The log's key, known from elsewhere. Without it a log can only be found consistent with itself.
    pub key: Option<VerifierKey>,
    /// A head known from elsewhere: the log must extend it.
    pub head: Option<Head>,
    /// Records whose objects and openings are looked at; absent: those of all, and every other file. The records
    /// themselves, their order and the signature are checked always.
    pub only: Option<BTreeSet<u64>>,
}

/// What verification came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Everything fits, and the checkpoint is signed by the given key.
    Authenticated,
    /// Consistent with itself, not authenticated: no key was given. Whoever can write the directory can make such a
    /// log.
    SelfConsistent,
    /// Consistent with itself, and not the log of the given key but one that says it follows that one: it is signed by
    /// another key, or under another name. Nothing is authenticated.
    AnotherLog,
    /// Something that the checkpoint covers is missing.
    Incomplete,
    /// Something was changed, or does not fit.
    Tampered,
}

impl Outcome {
    /// The exit code of `placet evidence verify`: 0 authenticated, 1 tampered, 2 incomplete, 3 not authenticated,
    /// another log included.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Authenticated => 0,
            Self::Tampered => 1,
            Self::Incomplete => 2,
            Self::SelfConsistent | Self::AnotherLog => 3,
        }
    }
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The file.
    pub path: String,
    /// Offset in the file, where one can be named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
    /// Index of the record, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// What was wanted and what was found.
    pub what: String,
    /// Missing rather than wrong.
    pub missing: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(record) = self.record {
            write!(f, "record {record}, ")?;
        }
        f.write_str(&self.path)?;
        if let Some(byte) = self.byte {
            write!(f, ", byte {byte}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The whole.
    pub outcome: Outcome,
    /// What the checkpoint says; absent when there is none that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// What is wrong, the first hundred.
    pub findings: Vec<Finding>,
    /// How many things are wrong.
    pub total_findings: u64,
    /// What the records say about themselves: kinds, gaps, restarts.
    pub summary: Summary,
    /// What an auditor should know and is not wrong.
    pub notes: Vec<String>,
    /// What was not checked, and why.
    pub not_checked: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = self.head.as_ref().map_or_else(|| "no readable checkpoint".to_owned(), Head::to_string);
        match self.outcome {
            Outcome::Authenticated => writeln!(f, "verified: {head}")?,
            Outcome::SelfConsistent => writeln!(f, "consistent with itself, not authenticated: {head}")?,
            Outcome::AnotherLog => writeln!(f, "ANOTHER LOG than that of the key: {head}")?,
            Outcome::Incomplete => writeln!(f, "INCOMPLETE: {head}")?,
            Outcome::Tampered => writeln!(f, "TAMPERED: {head}")?,
        }
        for finding in &self.findings {
            writeln!(f, "  wrong: {finding}")?;
        }
        let more = self.total_findings - self.findings.len() as u64;
        if more > 0 {
            writeln!(f, "  and {more} more")?;
        }
        writeln!(f, "{}", self.summary)?;
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        for what in &self.not_checked {
            writeln!(f, "  not checked: {what}")?;
        }
        Ok(())
    }
}

/// Collects what is wrong.
#[derive(Default)]
struct Findings {
    list: Vec<Finding>,
    total: u64,
    tampered: bool,
}

impl Findings {
    fn add(&mut self, finding: Finding) {
        self.total += 1;
        self.tampered |= !finding.missing;
        if self.list.len() < MAX_FINDINGS {
            self.list.push(finding);
        }
    }

    fn wrong(&mut self, path: &str, byte: Option<usize>, what: String) {
        let byte = byte.map(|b| b as u64);
        self.add(Finding { path: path.to_owned(), byte, record: None, what, missing: false });
    }

    fn record(&mut self, path: &str, index: u64, what: String) {
        self.add(Finding { path: path.to_owned(), byte: None, record: Some(index), what, missing: false });
    }

    fn missing(&mut self, path: &str, record: Option<u64>, what: &str) {
        self.add(Finding { path: path.to_owned(), byte: None, record, what: what.to_owned(), missing: true });
    }

    /// A file; nothing when it is not there, or cannot be one of a log, which is told.
    fn file<S: Source + ?Sized>(&mut self, source: &S, path: &str) -> io::Result<Option<Vec<u8>>> {
        read(source, path).or_else(|error| self.unreadable(error).map(|()| None))
    }

    /// A file that could not be used. What could not be read at all is an error of the question, not of the log.
    fn unreadable(&mut self, error: ReadError) -> io::Result<()> {
        match error {
            ReadError::Io { path, error } => Err(io::Error::new(error.kind(), format!("{path}: {error}"))),
            ReadError::Unfit(unfit) => {
                self.wrong(&unfit.path, None, format!("wanted {}, found {}", unfit.wanted, unfit.found));
                Ok(())
            }
            ReadError::Missing(path) => {
                self.missing(&path, None, "the checkpoint covers this file, and it is missing");
                Ok(())
            }
            ReadError::Damaged { path, byte, what } => {
                self.wrong(&path, Some(byte), what);
                Ok(())
            }
            ReadError::Record { index, error } => {
                self.record("tile/entries", index, error.to_string());
                Ok(())
            }
        }
    }
}

/// Verifies a log.
///
/// # Errors
/// Only when a file cannot be read: then the question could not be asked. Everything that is wrong with the log is in
/// the report, also what is no regular file or larger than the format allows.
pub fn verify<S: Source + ?Sized>(source: &S, options: &Options) -> io::Result<Report> {
    let mut findings = Findings::default();
    let mut summary = Summary::default();
    let mut not_checked =
        vec!["that what the records say is true: only that it was said, in this order".to_owned()];
    let mut notes = Vec::new();
    let Some((note, checkpoint)) = read_checkpoint(source, &mut findings)? else {
        return Ok(finish((findings, false), summary, None, options, notes, not_checked));
    };
    let head = Head { size: checkpoint.size, root: checkpoint.root, ..Head::empty(&checkpoint.origin) };
    let mut walk = records::Walk::new(&checkpoint, options.only.clone());
    check_tree(source, &checkpoint, options, &mut walk, &mut findings)?;
    if options.only.is_none() {
        files::check_all(source, &checkpoint, &mut walk, &mut findings, &mut notes, &mut not_checked)?;
    }
    let claimed = walk.finish(&mut summary, &mut notes, &mut not_checked);
    let successor = successor(&note, &checkpoint, options, &claimed).filter(|_| findings.total == 0);
    if let Some(said) = successor {
        notes.insert(0, said);
        if options.head.is_some() {
            not_checked
                .push("the head that was given: it is compared once the log's own key is given".to_owned());
        }
        return Ok(finish((findings, true), summary, Some(head), options, notes, not_checked));
    }
    check_signature(&note, &checkpoint, options, claimed.key.as_deref(), &mut findings);
    match &options.head {
        Some(known) => check_head(known, &checkpoint, &mut findings),
        None => not_checked.push(
            "that this is the whole log and the newest: give the head that is kept outside its volume"
                .to_owned(),
        ),
    }
    Ok(finish((findings, false), summary, Some(head), options, notes, not_checked))
}

/// What is said where a log is not that of the given key but one that follows it: of the same line under a later number, its
/// first record cites a log of that line, and it is signed by the key that it names. Anybody can make such a log.
fn successor(note: &Note, checkpoint: &Checkpoint, options: &Options, claimed: &Claimed) -> Option<String> {
    let (key, follows) = (options.key.as_ref()?, claimed.follows.as_ref()?);
    let own = VerifierKey::parse(claimed.key.as_deref()?).ok()?;
    let place = |origin: &str| -> (String, u64) {
        let numbered = origin.rsplit_once('/').and_then(|(line, n)| Some((line.to_owned(), n.parse().ok()?)));
        numbered.unwrap_or_else(|| (origin.to_owned(), 1))
    };
    let [(line, given), (cited_line, cited), (this_line, this)] =
        [key.name(), &follows.origin, &checkpoint.origin].map(place);
    let later = line == this_line && cited_line == this_line && given <= cited && cited < this;
    if !later || own.name() != checkpoint.origin || !own.verifies(note) {
        return None;
    }
    let through = if given == cited { "" } else { ", a later log than that of the key given" };
    Some(format!(
        "it is another log, signed by the key {own}, whose first record says that it follows {} ({} records, root {}){through}; \
         the key given is that of {}. That record proves nothing: whoever can write the files can write it. Get this log's key \
         by another way than the log (placet evidence key, and ask those who ordered it), and verify with it; verify the \
         former log with the key given, up to the head that is cited",
        follows.origin,
        follows.size,
        follows.root,
        key.name()
    ))
}

fn finish(
    (findings, another): (Findings, bool),
    summary: Summary,
    head: Option<Head>,
    options: &Options,
    notes: Vec<String>,
    mut not_checked: Vec<String>,
) -> Report {
    if options.key.is_none() {
        not_checked.push(
            "who signed: no key was given; a key that is read from the log itself proves nothing".to_owned(),
        );
    }
    let outcome = match (findings.total, findings.tampered) {
        (0, _) if another => Outcome::AnotherLog,
        (0, _) if options.key.is_some() => Outcome::Authenticated,
        (0, _) => Outcome::SelfConsistent,
        (_, true) => Outcome::Tampered,
        (_, false) => Outcome::Incomplete,
    };
    Report {
        outcome,
        head,
        findings: findings.list,
        total_findings: findings.total,
        summary,
        notes,
        not_checked,
    }
}

fn read_checkpoint<S: Source + ?Sized>(
    source: &S,
    findings: &mut Findings,
) -> io::Result<Option<(Note, Checkpoint)>> {
    const PATH: &str = "checkpoint";
    let bytes = match read(source, PATH) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            findings.missing(PATH, None, "there is no checkpoint, hence no log");
            return Ok(None);
        }
        Err(error) => return findings.unreadable(error).map(|()| None),
    };
    let parsed = Note::parse(&bytes).and_then(|n| Checkpoint::parse(n.text()).map(|c| (n, c)));
    match parsed {
        Ok(parsed) => Ok(Some(parsed)),
        Err(error) => {
            findings.wrong(PATH, None, error.to_string());
            Ok(None)
        }
    }
}

/// Without a key from elsewhere the log must at least be signed by the key that its own records name.
fn check_signature(
    note: &Note,
    checkpoint: &Checkpoint,
    options: &Options,
    claimed: Option<&str>,
    findings: &mut Findings,
) {
    let key = match (&options.key, claimed.map(VerifierKey::parse)) {
        (Some(key), _) => key.clone(),
        (None, Some(Ok(key))) => key,
        (None, _) => {
            let what = "the log's first records name no key that its signature could be compared with";
            findings.wrong("checkpoint", None, what.to_owned());
            return;
        }
    };
    if key.name() != checkpoint.origin {
        let what = format!("it is that of log {:?}, the key is that of {:?}", checkpoint.origin, key.name());
        findings.wrong("checkpoint", None, what);
    } else if !key.verifies(note) {
        let signers: Vec<&str> = note.signers().collect();
        let what = format!("no signature of key {key} that verifies; signature lines name {signers:?}");
        findings.wrong("checkpoint", None, what);
    }
}

fn check_head(known: &Head, checkpoint: &Checkpoint, findings: &mut Findings) {
    if known.origin != checkpoint.origin {
        let what = format!("it is that of log {:?}, wanted {known}", checkpoint.origin);
        findings.wrong("checkpoint", None, what);
    } else if known.size > checkpoint.size {
        let what = format!("it has {} records, wanted {known} or more: an older copy", checkpoint.size);
        findings.wrong("checkpoint", None, what);
    }
    // That the root at that size is the known one was compared while the tree was computed.
}

/// Compares computed hashes with a tile's file.
fn compare_tile<S: Source + ?Sized>(
    source: &S,
    path: TilePath,
    hashes: &[TreeHash],
    findings: &mut Findings,
) -> io::Result<()> {
    let mut name = path.to_string();
    let mut found = read(source, &name);
    if matches!(found, Ok(None)) && path.full() != path {
        name = path.full().to_string();
        found = read(source, &name);
    }
    let bytes = match found {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            findings.missing(&path.to_string(), None, "the checkpoint covers this tile, and it is missing");
            return Ok(());
        }
        Err(error) => return findings.unreadable(error),
    };
    let full = usize::from(if name == path.to_string() { path.width() } else { 256 }) * 32;
    if bytes.len() != full {
        let what = format!("wanted {full} bytes, found {}", bytes.len());
        findings.wrong(&name, Some(bytes.len().min(full)), what);
        return Ok(());
    }
    for (slot, (wanted, found)) in hashes.iter().zip(bytes.as_chunks::<32>().0).enumerate() {
        if wanted.0 != *found {
            let what = format!("hash {slot}: the records give {wanted}, the tile holds {}", TreeHash(*found));
            let TilePath::Hashes { level: 0, index, .. } = path else {
                findings.wrong(&name, Some(slot * 32), what);
                continue;
            };
            findings.add(Finding {
                path: name.clone(),
                byte: Some(slot as u64 * 32),
                record: Some(index * TILE_WIDTH + slot as u64),
                what,
                missing: false,
            });
        }
    }
    Ok(())
}

/// The hashes that tile 0/`index` holds, to go on with where a bundle is missing.
fn leaf_hashes<S: Source + ?Sized>(
    source: &S,
    index: u64,
    width: u16,
    findings: &mut Findings,
) -> io::Result<Vec<TreeHash>> {
    let path = TilePath::Hashes { level: 0, index, width };
    let bytes = match findings.file(source, &path.to_string())? {
        Some(bytes) => bytes,
        None if path.full() != path => findings.file(source, &path.full().to_string())?.unwrap_or_default(),
        None => Vec::new(),
    };
    Ok(bytes.as_chunks::<32>().0.iter().take(usize::from(width)).map(|h| TreeHash(*h)).collect())
}

/// Computes the whole tree from the entries and compares each tile and the root.
fn check_tree<S: Source + ?Sized>(
    source: &S,
    checkpoint: &Checkpoint,
    options: &Options,
    walk: &mut records::Walk,
    findings: &mut Findings,
) -> io::Result<()> {
    let mut edge = TileEdge::default();
    for bundle in 0..checkpoint.size.div_ceil(TILE_WIDTH) {
        let width = bundle_width(bundle, checkpoint.size);
        let path = TilePath::Entries { index: bundle, width }.to_string();
        expect_bundles(source, 0, bundle, checkpoint.size, true);
        let entries = match read_bundle(source, bundle, checkpoint.size) {
            Ok(entries) => Some(entries),
            Err(error) => {
                findings.unreadable(error)?;
                None
            }
        };
        let hashes = match &entries {
            Some(entries) => entries.iter().map(|e| leaf_hash(e)).collect(),
            None => leaf_hashes(source, bundle, width, findings)?,
        };
        if hashes.len() != usize::from(width) {
            let what = "neither entries nor hashes are there: nothing after this can be checked";
            findings.missing(&path, Some(bundle * TILE_WIDTH), what);
            return Ok(());
        }
        for hash in &hashes {
            for tile in edge.push(*hash) {
                let path = TilePath::Hashes { level: tile.level, index: tile.index, width: 256 };
                compare_tile(source, path, &tile.hashes, findings)?;
            }
            if let Some(known) = options.head.as_ref().filter(|known| known.size == edge.size()) {
                check_root("the head that was given", known.root, &edge, findings);
            }
        }
        match entries {
            Some(entries) => walk.bundle(source, bundle, &path, &entries, &hashes, findings)?,
            None => walk.skip(bundle, u64::from(width)),
        }
    }
    for (level, hashes) in (0u8..).zip(edge.partial()) {
        if !hashes.is_empty() {
            let index = (checkpoint.size >> (u32::from(level) * 8)) / TILE_WIDTH;
            let width = u16::try_from(hashes.len()).unwrap_or(256);
            compare_tile(source, TilePath::Hashes { level, index, width }, hashes, findings)?;
        }
    }
    check_root("the checkpoint", checkpoint.root, &edge, findings);
    Ok(())
}

fn check_root(who: &str, wanted: TreeHash, edge: &TileEdge, findings: &mut Findings) {
    let (size, found) = (edge.size(), edge.root());
    if found != wanted {
        let what = format!("{who} says root {wanted} at size {size}, the entries give {found}");
        findings.wrong("checkpoint", None, what);
    }
}
