//! A copy of a log: what its checkpoint covers, and the checkpoint last, so that a copy that was cut short is seen to be.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, bail};
use placet_evidence::note::{Checkpoint, Note};
use placet_evidence::published::tiles;
use placet_evidence::source::{object_path, openings_path, read, read_inputs, read_records};
use placet_evidence::{Decision, Digest, DirFs, Payload, Source};

use crate::sys;

/// Leaves, or hashes, in a full tile.
const WIDTH: u64 = 256;

/// Objects that are asked for at a time.
const AT_ONCE: usize = 512;

/// Copies a log into a directory.
pub fn run(source: &dyn Source, to: &Path) -> anyhow::Result<u8> {
    let bytes = read(source, "checkpoint")?.context("wanted a log, found no checkpoint")?;
    let checkpoint = Checkpoint::parse(Note::parse(&bytes)?.text())?;
    let size = checkpoint.size;
    let copy = || format!("{}: wanted a copy of a log", to.display());
    if let Some(old) = read(&DirFs::new(to), "checkpoint").with_context(copy)? {
        let old = Note::parse(&old).and_then(|note| Checkpoint::parse(note.text())).with_context(copy)?;
        if old.origin != checkpoint.origin || old.size > size {
            bail!(
                "{}: it holds {} with {} records, the log is {} with {size}; pull into another directory, and ask why",
                to.display(),
                old.origin,
                old.size,
                checkpoint.origin
            );
        }
    }
    let mut copied = 0_u64;
    for tile in tiles(size) {
        let full = tile.full();
        // A full tile never changes; a partial one is another file once it grows.
        if to.join(full.to_string()).exists() {
            continue;
        }
        let (path, bytes) = match read(source, &tile.to_string())? {
            Some(bytes) => (tile, bytes),
            None => (full, read(source, &full.to_string())?.with_context(|| format!("{tile} is missing"))?),
        };
        sys::write(&to.join(path.to_string()), &bytes)?;
        copied += 1;
    }
    let mut cited: BTreeSet<Digest> = BTreeSet::new();
    let mut lists: BTreeSet<Digest> = BTreeSet::new();
    let mut personal: BTreeSet<u64> = BTreeSet::new();
    read_records(source, 0, size, &mut |index, record| {
        cited.extend(record.cites.iter().copied());
        if let Payload::Decision(Decision { snapshot, .. }) = &record.payload
            && let [one] = snapshot.as_slice()
        {
            lists.insert(*one);
        }
        if !record.personal.is_empty() {
            personal.insert(index / WIDTH);
        }
    })?;
    source.expect(&lists.iter().map(object_path).collect::<Vec<_>>());
    for one in lists {
        cited.extend(read_inputs(source, &[one])?);
    }
    let new: Vec<String> = cited.iter().map(object_path).filter(|path| !to.join(path).exists()).collect();
    for some in new.chunks(AT_ONCE) {
        source.expect(some);
        for path in some {
            let bytes = read(source, path)?.with_context(|| format!("{path} is cited and missing"))?;
            sys::write(&to.join(path), &bytes)?;
            copied += 1;
        }
    }
    let mut openings = 0;
    for bundle in personal {
        let path = openings_path(bundle);
        if let Some(bytes) = read(source, &path)? {
            sys::write(&to.join(&path), &bytes)?;
            openings += 1;
        }
    }
    sys::write(&to.join("checkpoint"), &bytes)?;
    sys::print(&format!("{}\n", to.display()))?;
    sys::tell(&format!(
        "note: {size} records, {} objects; {copied} new files, {openings} files of names",
        cited.len()
    ));
    Ok(0)
}
