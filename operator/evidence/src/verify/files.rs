//! Files that no record leads to: older partial tiles, surplus objects, strangers.

use std::io;

use super::Findings;
use super::records::Walk;
use crate::hash::Digest;
use crate::note::Checkpoint;
use crate::published::Published;
use crate::source::{ReadError, Source, bundle_width};
use crate::tile::{TILE_WIDTH, TilePath};

/// Directories below one another in a log, at most: a level, seven groups of an index, its partial tiles.
const MAX_DEPTH: usize = 12;

/// Goes through the files of the published directories, where the source can list.
pub(super) fn check_all<S: Source + ?Sized>(
    source: &S,
    checkpoint: &Checkpoint,
    walk: &mut Walk,
    findings: &mut Findings,
    notes: &mut Vec<String>,
    not_checked: &mut Vec<String>,
) -> io::Result<()> {
    let mut files = Vec::new();
    for dir in ["tile", "objects", "openings"] {
        if !list_below(source, dir, 0, &mut files, findings)? {
            not_checked.push("files that the log does not lead to: this source cannot list".to_owned());
            return Ok(());
        }
    }
    let (mut beyond, mut uncited) = (0u64, 0u64);
    for path in files {
        match Published::parse(&path) {
            None | Some(Published::Checkpoint) => {
                findings.wrong(&path, None, "no file of a log has this name".to_owned());
            }
            Some(Published::Tile(tile)) => {
                beyond += u64::from(!check_tile(source, checkpoint, &path, tile, findings)?);
            }
            Some(Published::Object(digest)) if walk.cited.contains(&digest) => {}
            Some(Published::Object(digest)) => {
                uncited += 1;
                if findings.file(source, &path)?.is_some_and(|bytes| Digest::of(&bytes) != digest) {
                    findings.wrong(&path, None, "the object does not have this digest".to_owned());
                }
            }
            Some(Published::Openings(bundle)) if bundle > checkpoint.size / TILE_WIDTH => beyond += 1,
            Some(Published::Openings(bundle)) if walk.opened.contains(&bundle) => {}
            // An empty one is what erasing the last opening leaves behind.
            Some(Published::Openings(_))
                if findings.file(source, &path)?.is_none_or(|bytes| bytes.is_empty()) => {}
            // Those of the next record, in a log that is being written.
            Some(Published::Openings(bundle)) if bundle * TILE_WIDTH >= checkpoint.size => beyond += 1,
            Some(Published::Openings(_)) => {
                findings.wrong(&path, None, "openings for records that commit to nothing".to_owned());
            }
        }
    }
    if beyond > 0 {
        notes.push(format!(
            "{beyond} files belong to records that the checkpoint does not cover yet; not checked"
        ));
    }
    if uncited > 0 {
        notes.push(format!("{uncited} objects are cited by no record that the checkpoint covers"));
    }
    Ok(())
}

fn list_below<S: Source + ?Sized>(
    source: &S,
    dir: &str,
    depth: usize,
    files: &mut Vec<String>,
    findings: &mut Findings,
) -> io::Result<bool> {
    let names = match source.list(dir) {
        Ok(Some(names)) => names,
        Ok(None) => return Ok(false),
        Err(error) => return findings.unreadable(ReadError::io(dir, error)).map(|()| true),
    };
    for entry in names {
        let path = format!("{dir}/{}", entry.name);
        if !entry.is_dir {
            files.push(path);
        } else if depth == MAX_DEPTH {
            findings.wrong(&path, None, "no directory of a log lies so deep".to_owned());
        } else if !list_below(source, &path, depth + 1, files, findings)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A tile that the tree was not computed with must be the beginning of the one that was. `false` when the checkpoint
/// does not cover it.
fn check_tile<S: Source + ?Sized>(
    source: &S,
    checkpoint: &Checkpoint,
    path: &str,
    tile: TilePath,
    findings: &mut Findings,
) -> io::Result<bool> {
    let (at_level, newest) = match tile {
        TilePath::Entries { index, .. } => {
            (checkpoint.size, TilePath::Entries { index, width: bundle_width(index, checkpoint.size) })
        }
        TilePath::Hashes { level, index, .. } => {
            let at_level = checkpoint.size.checked_shr(u32::from(level) * 8).unwrap_or(0);
            (at_level, TilePath::Hashes { level, index, width: bundle_width(index, at_level) })
        }
    };
    if tile.width() > bundle_width(tile.index(), at_level) {
        return Ok(false);
    }
    let name = newest.to_string();
    if name == path {
        return Ok(true);
    }
    let whole = match findings.file(source, &name)? {
        Some(bytes) => bytes,
        None => match findings.file(source, &newest.full().to_string())? {
            Some(bytes) => bytes,
            // Its absence is told already.
            None => return Ok(true),
        },
    };
    // What is there and cannot be read is told.
    let Some(part) = findings.file(source, path)? else { return Ok(true) };
    let wanted = match tile {
        TilePath::Hashes { width, .. } => Some(usize::from(width) * 32),
        TilePath::Entries { width, .. } => crate::tile::split_bundle(&whole)
            .ok()
            .map(|entries| entries.iter().take(usize::from(width)).map(|e| e.len() + 2).sum()),
    };
    let differs = part.iter().zip(&whole).position(|(a, b)| a != b);
    if let Some(byte) = differs {
        findings.wrong(path, Some(byte), format!("it is not the beginning of {name}"));
    } else if wanted != Some(part.len()) {
        findings.wrong(
            path,
            Some(part.len()),
            format!("it does not hold the first {} of {name}", tile.width()),
        );
    }
    Ok(true)
}
