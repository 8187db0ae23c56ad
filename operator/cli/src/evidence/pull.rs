//! A copy of a log: what its checkpoint covers, and the checkpoint last, so that a copy that was cut short is seen to be.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, bail};
use placet_evidence::note::{Checkpoint, Note};
use placet_evidence::source::{object_path, openings_path, read_inputs, read_records};
use placet_evidence::tile::TilePath;
use placet_evidence::{Decision, Digest, Payload, Source};

use crate::sys;

/// Leaves, or hashes, in a full tile.
const WIDTH: u64 = 256;

/// Copies a log into a directory.
pub fn run(source: &dyn Source, to: &Path) -> anyhow::Result<u8> {
    let bytes = source.read("checkpoint")?.context("wanted a log, found no checkpoint")?;
    let checkpoint = Checkpoint::parse(Note::parse(&bytes)?.text())?;
    let size = checkpoint.size;
    let old = to.join("checkpoint");
    if old.exists() {
        let old = Checkpoint::parse(Note::parse(sys::read_text(&old)?.as_bytes())?.text())
            .with_context(|| format!("{}: wanted a copy of a log", to.display()))?;
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
        let (path, bytes) = match source.read(&tile.to_string())? {
            Some(bytes) => (tile, bytes),
            None => (full, source.read(&full.to_string())?.with_context(|| format!("{tile} is missing"))?),
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
    for one in lists {
        cited.extend(read_inputs(source, &[one])?);
    }
    for digest in &cited {
        let path = object_path(digest);
        if to.join(&path).exists() {
            continue;
        }
        let bytes = source.read(&path)?.with_context(|| format!("{path} is cited and missing"))?;
        sys::write(&to.join(&path), &bytes)?;
        copied += 1;
    }
    let mut openings = 0;
    for bundle in personal {
        let path = openings_path(bundle);
        if let Some(bytes) = source.read(&path)? {
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

/// Every tile that the checkpoint of a log of `size` records covers: entries, then hashes by level.
fn tiles(size: u64) -> Vec<TilePath> {
    let width = |index: u64, of: u64| u16::try_from((of - index * WIDTH).min(WIDTH)).unwrap_or(256);
    let mut out: Vec<TilePath> = (0..size.div_ceil(WIDTH))
        .map(|index| TilePath::Entries { index, width: width(index, size) })
        .collect();
    let mut level = 0_u8;
    let mut at_level = size;
    while at_level > 0 {
        out.extend((0..at_level.div_ceil(WIDTH)).map(|index| TilePath::Hashes {
            level,
            index,
            width: width(index, at_level),
        }));
        at_level /= WIDTH;
        level += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_of_a_log() {
        let names: Vec<String> = tiles(257).iter().map(ToString::to_string).collect();
        assert_eq!(
            names,
            ["tile/entries/000", "tile/entries/001.p/1", "tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]
        );
        assert!(tiles(0).is_empty());
    }
}
