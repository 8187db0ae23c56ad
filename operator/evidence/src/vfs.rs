//! The file operations that the log needs, as a trait: the real one below, and in tests one that loses power.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// The name, without its directory.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Bytes of a file; 0 for a directory.
    pub len: u64,
}

/// Room on the volume, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What an unprivileged process can still write.
    pub free: u64,
    /// Size of the volume, without what only root may use.
    pub total: u64,
}

/// File operations below one directory. Paths are relative, with `/`.
///
/// What is durable when: a file's bytes after [`Vfs::write_synced`], [`Vfs::allocate`] or [`WalFile::sync`]; a name
/// (made, renamed, removed) after [`Vfs::sync_dir`] of its directory.
pub trait Vfs: Send + Sync + 'static {
    /// Takes the directory for this process alone until the guard is dropped. `WouldBlock` when another one holds it.
    fn lock(&self) -> io::Result<Box<dyn Send + Sync>>;
    /// Makes one directory; one that is there already is no error.
    fn create_dir(&self, path: &str) -> io::Result<()>;
    /// Names in a directory, sorted; none when it is not there.
    fn list(&self, dir: &str) -> io::Result<Vec<Listed>>;
    /// Whether a file or directory is there.
    fn exists(&self, path: &str) -> io::Result<bool>;
    /// A whole file.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
    /// Makes or replaces a file; its bytes are durable, its name not yet.
    fn write_synced(&self, path: &str, bytes: &[u8]) -> io::Result<()>;
    /// Makes or replaces several files: as [`Vfs::write_synced`] of each. Synced together they cost the disk, and what
    /// else waits for it, a few journal commits rather than one for each.
    fn write_all_synced(&self, files: &[(String, &[u8])]) -> io::Result<()> {
        files.iter().try_for_each(|(path, bytes)| self.write_synced(path, bytes))
    }
    /// Renames, replacing what is there.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &str) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &str) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    /// Makes the names in several directories durable.
    fn sync_dirs(&self, dirs: &[String]) -> io::Result<()> {
        dirs.iter().try_for_each(|dir| self.sync_dir(dir))
    }
    /// Makes a file of `len` bytes: `header`, then zeros, all written (no holes) and durable.
    fn allocate(&self, path: &str, header: &[u8], len: u64) -> io::Result<Box<dyn WalFile>>;
    /// Opens a file for writing at places.
    fn open(&self, path: &str) -> io::Result<Box<dyn WalFile>>;
    /// Room on the volume.
    fn space(&self) -> io::Result<Space>;
}

/// A file that is written at places and synced.
pub trait WalFile: Send {
    /// Writes all of `bytes` at `offset`.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes all that was written durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// A real directory.
#[derive(Clone, Debug)]
pub struct DirFs {
    root: PathBuf,
}

impl DirFs {
    /// The directory at `root`, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn at(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

/// Zeros for preallocation.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

#[expect(clippy::disallowed_methods, reason = "the evidence store's own blocking file I/O")]
impl Vfs for DirFs {
    fn lock(&self) -> io::Result<Box<dyn Send + Sync>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(self.at("lock"))?;
        file.try_lock()?;
        Ok(Box::new(file))
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        if path.is_empty() {
            return std::fs::create_dir_all(&self.root);
        }
        match std::fs::create_dir(self.at(path)) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn list(&self, dir: &str) -> io::Result<Vec<Listed>> {
        let entries = match std::fs::read_dir(self.at(dir)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            let meta = match entry.metadata() {
                // Removed since: temporary files come and go.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            let Ok(name) = entry.file_name().into_string() else { continue };
            let is_dir = meta.is_dir();
            names.push(Listed { name, is_dir, len: if is_dir { 0 } else { meta.len() } });
        }
        names.sort();
        Ok(names)
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        self.at(path).try_exists()
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.at(path))
    }

    fn write_synced(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let file = File::create(self.at(path))?;
        file.write_all_at(bytes, 0)?;
        file.sync_all()
    }

    fn write_all_synced(&self, files: &[(String, &[u8])]) -> io::Result<()> {
        // Bounds the number of open files.
        for some in files.chunks(MAX_OPEN) {
            let open = some.iter().map(|(path, bytes)| {
                let file = File::create(self.at(path))?;
                file.write_all_at(bytes, 0)?;
                Ok(file)
            });
            sync_together(&open.collect::<io::Result<Vec<_>>>()?)?;
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.at(from), self.at(to))
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        std::fs::remove_file(self.at(path))
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        std::fs::remove_dir(self.at(path))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        File::open(self.at(dir))?.sync_all()
    }

    fn sync_dirs(&self, dirs: &[String]) -> io::Result<()> {
        for some in dirs.chunks(MAX_OPEN) {
            let open = some.iter().map(|dir| File::open(self.at(dir)));
            sync_together(&open.collect::<io::Result<Vec<_>>>()?)?;
        }
        Ok(())
    }

    fn allocate(&self, path: &str, header: &[u8], len: u64) -> io::Result<Box<dyn WalFile>> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(self.at(path))?;
        // Zeros are written rather than reserved: a reserved extent would have to be converted at the first write,
        // which costs each sync a journal commit.
        let mut at = 0;
        while at < len {
            let step = (len - at).min(ZEROS.len() as u64);
            file.write_all_at(&ZEROS[..usize::try_from(step).unwrap_or(ZEROS.len())], at)?;
            at += step;
        }
        file.write_all_at(header, 0)?;
        file.sync_all()?;
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn WalFile>> {
        Ok(Box::new(RealFile(OpenOptions::new().write(true).open(self.at(path))?)))
    }

    fn space(&self) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(&self.root)?;
        // As df counts: blocks that only root may use are neither free nor part of the whole.
        let whole = stat.f_blocks.saturating_sub(stat.f_bfree).saturating_add(stat.f_bavail);
        Ok(Space { free: stat.f_bavail * stat.f_frsize, total: whole * stat.f_frsize })
    }
}

/// Files that are open at once, at most.
const MAX_OPEN: usize = 128;
/// Threads that sync at once. File systems with a journal let all that wait share one commit.
const SYNCERS: usize = 8;

/// Syncs files so that they wait together and not one after the other.
fn sync_together(files: &[File]) -> io::Result<()> {
    if files.len() < 2 {
        return files.iter().try_for_each(File::sync_all);
    }
    std::thread::scope(|scope| {
        let mut threads = Vec::with_capacity(SYNCERS);
        for some in files.chunks(files.len().div_ceil(SYNCERS)) {
            let sync = || some.iter().try_for_each(File::sync_all);
            threads.push(std::thread::Builder::new().name("evidence-sync".into()).spawn_scoped(scope, sync)?);
        }
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread that syncs files panicked")))
        })
    })
}

struct RealFile(File);

impl WalFile for RealFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}
