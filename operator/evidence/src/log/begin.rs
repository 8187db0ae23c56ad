//! Beginning a successor log: what lies on the volume is set aside, and the next opening begins anew.

use std::io;
use std::sync::Arc;

use crate::head::{Head, HeadStore, Succession};
use crate::log::Config;
use crate::log::files::Files;
use crate::log::open::{OpenError, io_error, read_checkpoint, take_lock};
use crate::record::HeadRef;
use crate::vfs::Vfs;

/// The ordinal of a log in its line: 1 for the first, 2 for its successor. Nothing for another line.
pub(super) fn ordinal(origin: &str, line: &str) -> Option<u64> {
    let rest = origin.strip_prefix(line)?;
    if rest.is_empty() {
        return Some(1);
    }
    let number = rest.strip_prefix('/')?;
    number.parse().ok().filter(|n: &u64| *n > 1 && n.to_string() == number)
}

/// Moves what lies on the volume aside and orders a successor log; the next opening begins it.
pub(super) fn begin(
    vfs: &Arc<dyn Vfs>,
    config: &Config,
    heads: &dyn HeadStore,
    because: &str,
) -> Result<(), OpenError> {
    let known = heads.load()?;
    vfs.create_dir("").map_err(io_error("making the directory"))?;
    let _lock = take_lock(&**vfs, config)?;
    // A damaged checkpoint is one of the reasons to begin anew.
    let found = read_checkpoint(&**vfs).ok().flatten().map(|(_, checkpoint)| checkpoint);
    let cite = |origin: &str, size, root| HeadRef { origin: origin.to_owned(), size, root };
    let follows = match (&known, &found) {
        (Some(Head { begin: Some(ordered), size: 0, .. }), _) => ordered.follows.clone(),
        (Some(known), _) => Some(cite(&known.origin, known.size, known.root)),
        (None, Some(found)) => Some(cite(&found.origin, found.size, found.root)),
        (None, None) => None,
    };
    let last = [known.as_ref().map(|k| &k.origin), found.as_ref().map(|f| &f.origin)]
        .into_iter()
        .flatten()
        .filter_map(|origin| ordinal(origin, &config.origin))
        .max();
    let origin = match last {
        Some(last) => format!("{}/{}", config.origin, last + 1),
        None => config.origin.clone(),
    };
    let mut files = Files::new(vfs.clone());
    set_aside(vfs, &mut files).map_err(io_error("setting the old log aside"))?;
    let begin = Some(Succession { follows, because: because.to_owned() });
    heads.store(&Head { begin, ..Head::empty(&origin) })?;
    Ok(())
}

fn set_aside(vfs: &Arc<dyn Vfs>, files: &mut Files) -> io::Result<()> {
    let mut present = Vec::new();
    for name in ["checkpoint", "tile", "objects", "openings", "wal"] {
        if vfs.exists(name)? {
            present.push(name);
        }
    }
    if present.is_empty() {
        return Ok(());
    }
    let mut number = 1;
    while vfs.exists(&format!("old/{number}"))? {
        number += 1;
    }
    let dir = format!("old/{number}");
    files.directory(&dir)?;
    for name in present {
        vfs.rename(name, &format!("{dir}/{name}"))?;
    }
    files.sync()?;
    vfs.sync_dir(&dir)?;
    vfs.sync_dir("")
}

#[cfg(test)]
mod tests {
    use super::ordinal;

    #[test]
    fn successors_are_counted() {
        assert_eq!(ordinal("placet.dev/a", "placet.dev/a"), Some(1));
        assert_eq!(ordinal("placet.dev/a/2", "placet.dev/a"), Some(2));
        for other in ["placet.dev/b", "placet.dev/a/1", "placet.dev/a/02", "placet.dev/a/x", "placet.dev/ab"]
        {
            assert_eq!(ordinal(other, "placet.dev/a"), None, "{other}");
        }
    }
}
