//! A disk in memory that loses power: what was not synced may be there, may be gone, may be torn at sectors; names
//! that were not synced may be old or new. It also says "full" or "broken" when asked.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use placet_evidence::vfs::{Listed, Space, Vfs, WalFile};

/// The unit in which a write is torn.
const SECTOR: usize = 512;

/// Small and repeatable.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

#[derive(Clone, Default)]
struct File {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Unsynced writes, in order.
    pending: Vec<(usize, Vec<u8>)>,
}

impl File {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        place(&mut self.now, at, bytes);
        self.pending.push((at, bytes.to_vec()));
    }

    fn sync(&mut self) {
        self.durable.clone_from(&self.now);
        self.pending.clear();
    }
}

fn place(into: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if into.len() < at + bytes.len() {
        into.resize(at + bytes.len(), 0);
    }
    into[at..at + bytes.len()].copy_from_slice(bytes);
}

#[derive(Clone, Copy, PartialEq)]
enum Node {
    Dir,
    File(usize),
}

#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is one way in which a disk goes wrong")]
struct Disk {
    files: Vec<File>,
    names: BTreeMap<String, Node>,
    durable_names: BTreeMap<String, Node>,
    /// Unsynced changes of names, in order; `None` is a removal.
    name_changes: Vec<(String, Option<Node>)>,
    operations: u64,
    power_fails_at: Option<u64>,
    broken_at: Option<u64>,
    full: bool,
    no_inodes: bool,
    read_only: bool,
    locked: bool,
}

impl Disk {
    /// Counts an operation that changes something. `Ok(true)`: power fails while it runs.
    fn step(&mut self, grows: bool) -> io::Result<bool> {
        self.operations += 1;
        if self.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        if self.power_fails_at.is_some_and(|at| self.operations > at) {
            return Err(io::Error::other("no power"));
        }
        if self.broken_at == Some(self.operations) {
            return Err(io::Error::other("input/output error"));
        }
        if grows && (self.full || self.no_inodes) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(self.power_fails_at == Some(self.operations))
    }

    fn name(&mut self, path: &str, node: Option<Node>) {
        match node {
            Some(node) => self.names.insert(path.to_owned(), node),
            None => self.names.remove(path),
        };
        self.name_changes.push((path.to_owned(), node));
    }

    fn file(&mut self, path: &str) -> io::Result<&mut File> {
        match self.names.get(path) {
            Some(Node::File(number)) => Ok(&mut self.files[*number]),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn create(&mut self, path: &str) -> io::Result<usize> {
        if !parent(path).is_empty() && self.names.get(parent(path)) != Some(&Node::Dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.files.push(File::default());
        let number = self.files.len() - 1;
        self.name(path, Some(Node::File(number)));
        Ok(number)
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

fn no_power<T>() -> io::Result<T> {
    Err(io::Error::other("power lost"))
}

/// The disk.
#[derive(Clone, Default)]
pub struct Sim(Arc<Mutex<Disk>>);

impl Sim {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap()
    }

    /// Power fails during the `n`th change from now.
    pub fn fail_power_after(&self, n: u64) {
        let mut disk = self.disk();
        disk.power_fails_at = Some(disk.operations + n);
    }

    /// The `n`th change from now gives an input/output error, those after it go well.
    pub fn break_after(&self, n: u64) {
        let mut disk = self.disk();
        disk.broken_at = Some(disk.operations + n);
    }

    pub fn lost_power(&self) -> bool {
        let disk = self.disk();
        disk.power_fails_at.is_some_and(|at| disk.operations >= at)
    }

    pub fn broke(&self) -> bool {
        let disk = self.disk();
        disk.broken_at.is_some_and(|at| disk.operations >= at)
    }

    /// Nothing is written until the guard is dropped.
    pub fn stall(&self) -> impl Drop + '_ {
        struct Stall<'a>(MutexGuard<'a, Disk>);
        impl Drop for Stall<'_> {
            fn drop(&mut self) {}
        }
        Stall(self.disk())
    }

    pub fn set_full(&self, full: bool) {
        self.disk().full = full;
    }

    /// Bytes are free, and no file can be made.
    pub fn set_no_inodes(&self, none: bool) {
        self.disk().no_inodes = none;
    }

    pub fn set_read_only(&self) {
        self.disk().read_only = true;
    }

    /// What is on the disk when power comes back.
    pub fn after_power_loss(&self, rng: &mut Rng) -> Self {
        let disk = self.disk();
        let mut names = disk.durable_names.clone();
        for (path, node) in &disk.name_changes {
            if rng.below(2) == 0 {
                match node {
                    Some(node) => names.insert(path.clone(), *node),
                    None => names.remove(path),
                };
            }
        }
        // What lies in a directory that is not there is not there.
        let reachable = |path: &str| {
            let mut dir = parent(path);
            while !dir.is_empty() {
                if names.get(dir) != Some(&Node::Dir) {
                    return false;
                }
                dir = parent(dir);
            }
            true
        };
        let names: BTreeMap<String, Node> =
            names.iter().filter(|(path, _)| reachable(path)).map(|(p, n)| (p.clone(), *n)).collect();
        let files = disk
            .files
            .iter()
            .map(|file| {
                let mut bytes = file.durable.clone();
                for (at, written) in &file.pending {
                    // Sector by sector: a write may arrive in part, in any order.
                    let all = rng.below(3);
                    let mut start = 0;
                    while start < written.len() {
                        let end = (((at + start) / SECTOR + 1) * SECTOR - at).min(written.len());
                        if all == 0 || (all == 1 && rng.below(2) == 0) {
                            place(&mut bytes, at + start, &written[start..end]);
                        }
                        start = end;
                    }
                }
                File { now: bytes.clone(), durable: bytes, pending: Vec::new() }
            })
            .collect();
        Self(Arc::new(Mutex::new(Disk { files, durable_names: names.clone(), names, ..Disk::default() })))
    }
}

struct Unlock(Sim);

impl Drop for Unlock {
    fn drop(&mut self) {
        self.0.disk().locked = false;
    }
}

impl Vfs for Sim {
    fn lock(&self) -> io::Result<Box<dyn Send + Sync>> {
        let mut disk = self.disk();
        if disk.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        if disk.locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        disk.locked = true;
        Ok(Box::new(Unlock(self.clone())))
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        let mut disk = self.disk();
        if path.is_empty() || disk.names.get(path) == Some(&Node::Dir) {
            return Ok(());
        }
        let fails = disk.step(true)?;
        disk.name(path, Some(Node::Dir));
        if fails { no_power() } else { Ok(()) }
    }

    fn list(&self, dir: &str) -> io::Result<Vec<Listed>> {
        let disk = self.disk();
        let listed = |(path, node): (&String, &Node)| {
            let name = path.strip_prefix(dir)?.strip_prefix('/')?;
            let len = match node {
                Node::Dir => 0,
                Node::File(number) => disk.files[*number].now.len() as u64,
            };
            (!name.contains('/')).then(|| Listed { name: name.to_owned(), is_dir: *node == Node::Dir, len })
        };
        Ok(disk.names.iter().filter_map(listed).collect())
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        Ok(path.is_empty() || self.disk().names.contains_key(path))
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        Ok(self.disk().file(path)?.now.clone())
    }

    fn write_synced(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.disk();
        let fails = disk.step(true)?;
        let number = disk.create(path)?;
        if fails {
            disk.files[number].write(0, bytes);
            return no_power();
        }
        let fails = disk.step(true)?;
        disk.files[number].write(0, bytes);
        if fails {
            return no_power();
        }
        let fails = disk.step(false)?;
        if !fails {
            disk.files[number].sync();
        }
        if fails { no_power() } else { Ok(()) }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.disk();
        let fails = disk.step(false)?;
        let node = *disk.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        disk.name(to, Some(node));
        disk.name(from, None);
        if fails { no_power() } else { Ok(()) }
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        let mut disk = self.disk();
        let fails = disk.step(false)?;
        disk.file(path)?;
        disk.name(path, None);
        if fails { no_power() } else { Ok(()) }
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        let mut disk = self.disk();
        let fails = disk.step(false)?;
        disk.name(path, None);
        if fails { no_power() } else { Ok(()) }
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut disk = self.disk();
        if disk.step(false)? {
            return no_power();
        }
        let (mut changes, mut rest) = (Vec::new(), Vec::new());
        for change in std::mem::take(&mut disk.name_changes) {
            if parent(&change.0) == dir { changes.push(change) } else { rest.push(change) }
        }
        disk.name_changes = rest;
        for (path, node) in changes {
            match node {
                Some(node) => disk.durable_names.insert(path, node),
                None => disk.durable_names.remove(&path),
            };
        }
        Ok(())
    }

    fn allocate(&self, path: &str, header: &[u8], len: u64) -> io::Result<Box<dyn WalFile>> {
        let mut bytes = header.to_vec();
        bytes.resize(usize::try_from(len).unwrap(), 0);
        self.write_synced(path, &bytes)?;
        self.open(path)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn WalFile>> {
        self.disk().file(path)?;
        Ok(Box::new(Handle { sim: self.clone(), path: path.to_owned() }))
    }

    fn space(&self) -> io::Result<Space> {
        Ok(Space { free: if self.disk().full { 0 } else { 1 << 40 }, total: 1 << 41 })
    }
}

struct Handle {
    sim: Sim,
    path: String,
}

impl WalFile for Handle {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut disk = self.sim.disk();
        let fails = disk.step(false)?;
        disk.file(&self.path)?.write(usize::try_from(offset).unwrap(), bytes);
        if fails { no_power() } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.sim.disk();
        if disk.step(false)? {
            return no_power();
        }
        disk.file(&self.path)?.sync();
        Ok(())
    }
}
