//! Files that are made whole or not at all: temporary name, sync, rename, sync of the directory.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::Arc;

use crate::vfs::Vfs;

/// Where files are written before they get their name.
pub(super) const TEMPORARY: &str = "tmp";

pub(super) struct Files {
    pub(super) vfs: Arc<dyn Vfs>,
    made: HashSet<String>,
    dirty: BTreeSet<String>,
    next: u64,
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

impl Files {
    pub(super) fn new(vfs: Arc<dyn Vfs>) -> Self {
        Self { vfs, made: HashSet::new(), dirty: BTreeSet::new(), next: 0 }
    }

    /// Removes what a crash left behind under temporary names.
    pub(super) fn clear_temporary(&mut self) -> io::Result<()> {
        for left in self.vfs.list(TEMPORARY)? {
            self.vfs.remove_file(&format!("{TEMPORARY}/{}", left.name))?;
        }
        self.directory(TEMPORARY)
    }

    /// Makes a directory and those above it; their names become durable with [`Self::sync`].
    pub(super) fn directory(&mut self, dir: &str) -> io::Result<()> {
        if dir.is_empty() || self.made.contains(dir) {
            return Ok(());
        }
        self.directory(parent(dir))?;
        self.vfs.create_dir(dir)?;
        self.dirty.insert(parent(dir).to_owned());
        self.made.insert(dir.to_owned());
        Ok(())
    }

    /// Makes or replaces a file. Its name becomes durable with [`Self::sync`].
    pub(super) fn put(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.directory(parent(path))?;
        let temporary = format!("{TEMPORARY}/{}", self.next);
        self.next += 1;
        self.vfs.write_synced(&temporary, bytes)?;
        self.vfs.rename(&temporary, path)?;
        self.dirty.insert(parent(path).to_owned());
        Ok(())
    }

    /// Makes or replaces files, as [`Self::put`] of each, in order.
    pub(super) fn put_all(&mut self, files: &[(&str, &[u8])]) -> io::Result<()> {
        let mut temporary = Vec::with_capacity(files.len());
        for (path, bytes) in files {
            self.directory(parent(path))?;
            temporary.push((format!("{TEMPORARY}/{}", self.next), *bytes));
            self.next += 1;
        }
        if let Err(error) = self.vfs.write_all_synced(&temporary) {
            // It will be tried again, perhaps often: what lies there must not take the room that is wanted.
            for (path, _) in &temporary {
                let _ = self.vfs.remove_file(path);
            }
            return Err(error);
        }
        for ((from, _), (to, _)) in temporary.iter().zip(files) {
            self.vfs.rename(from, to)?;
            self.dirty.insert(parent(to).to_owned());
        }
        Ok(())
    }

    /// Makes all names durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let dirs: Vec<String> = self.dirty.iter().cloned().collect();
        self.vfs.sync_dirs(&dirs)?;
        self.dirty.clear();
        Ok(())
    }

    /// Of the partial tiles in a directory, keeps the widest ones.
    pub(super) fn keep_widest(&mut self, dir: &str, keep: usize) -> io::Result<()> {
        let mut widths: Vec<u16> =
            self.vfs.list(dir)?.iter().filter_map(|file| file.name.parse().ok()).collect();
        widths.sort_unstable();
        let surplus = widths.len().saturating_sub(keep);
        for width in &widths[..surplus] {
            self.vfs.remove_file(&format!("{dir}/{width}"))?;
        }
        Ok(())
    }

    /// Removes a directory of partial tiles, whose full tile is there.
    pub(super) fn remove_partials(&mut self, dir: &str) -> io::Result<()> {
        let files = self.vfs.list(dir)?;
        if files.is_empty() {
            return Ok(());
        }
        for file in files {
            self.vfs.remove_file(&format!("{dir}/{}", file.name))?;
        }
        self.vfs.remove_dir(dir)?;
        self.made.remove(dir);
        self.dirty.remove(dir);
        self.dirty.insert(parent(dir).to_owned());
        Ok(())
    }
}
