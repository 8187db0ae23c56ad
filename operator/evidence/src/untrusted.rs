//! Reading a directory that somebody else made. Only regular files are read, never through a symbolic link inside the
//! directory, never waiting for a writer, and never more bytes than the format gives such a file.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, openat, stat, statat};
use rustix::io::Errno;

use crate::vfs::Listed;

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A named pipe: opening it may wait for ever.
    Pipe,
    /// A socket.
    Socket,
    /// A device: reading it may never end.
    Device,
}

impl Kind {
    fn of(found: FileType) -> Self {
        match found {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Link,
            FileType::Fifo => Self::Pipe,
            FileType::Socket => Self::Socket,
            _ => Self::Device,
        }
    }

    /// With its article, for messages.
    pub fn words(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Directory => "a directory",
            Self::Link => "a symbolic link",
            Self::Pipe => "a named pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
        }
    }
}

/// What a path names, symbolic links followed. Nothing is opened.
///
/// # Errors
/// There is nothing, or it may not be looked at.
pub fn kind(path: &Path) -> io::Result<Kind> {
    Ok(Kind::of(FileType::from_raw_mode(stat(path)?.st_mode)))
}

/// Something in the directory of a log that cannot be a part of one, whatever it holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: wanted {wanted}, found {found}")]
pub struct Unfit {
    /// Where, below the log's directory.
    pub path: String,
    /// What belongs there.
    pub wanted: String,
    /// What is there.
    pub found: String,
}

impl Unfit {
    /// A file of `found` bytes, or of more than the bound where that is not known.
    pub(crate) fn too_large(path: &str, most: u64, found: Option<u64>) -> Self {
        let found = found.map_or_else(|| "more".to_owned(), |bytes| format!("{bytes} bytes"));
        Self { path: path.to_owned(), wanted: file_of(most), found }
    }

    fn other(path: &str, wanted: impl Into<String>, found: Kind) -> Self {
        Self { path: path.to_owned(), wanted: wanted.into(), found: found.words().to_owned() }
    }
}

impl From<Unfit> for io::Error {
    fn from(unfit: Unfit) -> Self {
        Self::new(io::ErrorKind::InvalidData, unfit)
    }
}

fn file_of(most: u64) -> String {
    format!("a regular file of at most {most} bytes")
}

/// What a name in an open directory is, symbolic links not followed.
fn kind_at(dir: impl AsFd, name: &str) -> Result<Kind, Errno> {
    statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(|found| Kind::of(FileType::from_raw_mode(found.st_mode)))
}

/// Opens a directory below `root`, one name after the other, so that no link leads elsewhere. `root` itself was named by
/// whoever asks, and may be one.
fn directory(root: &Path, dir: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = rustix::fs::open(root, flags, Mode::empty())?;
    let mut so_far = String::new();
    for name in dir.split('/').filter(|name| !name.is_empty()) {
        if !so_far.is_empty() {
            so_far.push('/');
        }
        so_far.push_str(name);
        let found = kind_at(&at, name)?;
        if found != Kind::Directory {
            return Err(Unfit::other(&so_far, "a directory", found).into());
        }
        at = openat(&at, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(at)
}

/// Opens the file at `path` below `root`, if it has at most `most` bytes, and says how many it has.
///
/// # Errors
/// `NotFound`; an [`Unfit`] inside the error where something else is there than a regular file of such a size; or it
/// cannot be opened.
pub fn open(root: &Path, path: &str, most: u64) -> io::Result<(File, u64)> {
    let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
    let dir = directory(root, dir)?;
    let fits = |found: Kind| match found {
        Kind::File => Ok(()),
        other => Err(Unfit::other(path, file_of(most), other)),
    };
    // Opening a device may do something by itself: what is there is looked at before.
    fits(kind_at(&dir, name)?)?;
    // Should it have become something else since: opening does not wait, and what was opened is looked at again.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat(&dir, name, flags, Mode::empty())?;
    let found = fstat(&file)?;
    fits(Kind::of(FileType::from_raw_mode(found.st_mode)))?;
    let size = u64::try_from(found.st_size).unwrap_or(0);
    if size > most {
        return Err(Unfit::too_large(path, most, Some(size)).into());
    }
    Ok((file.into(), size))
}

/// The bytes of the file at `path` below `root`, if it has at most `most`.
///
/// # Errors
/// As for [`open`]; or it cannot be read.
pub fn read(root: &Path, path: &str, most: u64) -> io::Result<Vec<u8>> {
    let (file, size) = open(root, path, most)?;
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(Unfit::too_large(path, most, None).into());
    }
    Ok(bytes)
}

/// Names in a directory below `root`, sorted; none when it is not there. What is not a directory counts as a file of no
/// bytes: only reading says what it is. A name that is not UTF-8 is given with replacement characters, as no file of a
/// log has.
///
/// # Errors
/// An [`Unfit`] inside the error where it is no directory, or it cannot be read.
pub fn list(root: &Path, dir: &str) -> io::Result<Vec<Listed>> {
    let dir = match directory(root, dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in Dir::read_from(&dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let found = match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            // Removed since.
            Err(Errno::NOENT) => continue,
            other => other?,
        };
        let kind = Kind::of(FileType::from_raw_mode(found.st_mode));
        let len = if kind == Kind::File { u64::try_from(found.st_size).unwrap_or(0) } else { 0 };
        let name = name.to_string_lossy().into_owned();
        names.push(Listed { name, is_dir: kind == Kind::Directory, len });
    }
    names.sort();
    Ok(names)
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make the files that they read")]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn unfit(result: io::Result<Vec<u8>>) -> String {
        result.unwrap_err().downcast::<Unfit>().unwrap().to_string()
    }

    #[test]
    fn only_regular_files_within_the_bound_are_read() {
        let place = tempfile::tempdir().unwrap();
        let (root, outside) = (place.path().join("log"), place.path().join("outside"));
        for dir in [root.join("in/ner"), outside.clone()] {
            std::fs::create_dir_all(dir).unwrap();
        }
        std::fs::write(root.join("in/ner/file"), b"12345").unwrap();
        std::fs::write(outside.join("file"), b"12345").unwrap();
        assert_eq!(read(&root, "in/ner/file", 5).unwrap(), b"12345");
        assert_eq!(
            unfit(read(&root, "in/ner/file", 4)),
            "in/ner/file: wanted a regular file of at most 4 bytes, found 5 bytes"
        );
        assert_eq!(read(&root, "in/other", 5).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(read(&root, "other/file", 5).unwrap_err().kind(), io::ErrorKind::NotFound);

        rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let socket = UnixListener::bind(root.join("socket")).unwrap();
        symlink("/dev/zero", root.join("zero")).unwrap();
        symlink(outside.join("file"), root.join("link")).unwrap();
        symlink(&outside, root.join("elsewhere")).unwrap();
        for (path, wanted, found) in [
            ("pipe", "a regular file of at most 9 bytes", "a named pipe"),
            ("socket", "a regular file of at most 9 bytes", "a socket"),
            ("zero", "a regular file of at most 9 bytes", "a symbolic link"),
            ("link", "a regular file of at most 9 bytes", "a symbolic link"),
            ("in", "a regular file of at most 9 bytes", "a directory"),
        ] {
            assert_eq!(unfit(read(&root, path, 9)), format!("{path}: wanted {wanted}, found {found}"));
        }
        assert_eq!(
            unfit(read(&root, "elsewhere/file", 9)),
            "elsewhere: wanted a directory, found a symbolic link"
        );
        assert_eq!(unfit(read(&root, "in/ner/file/x", 9)), "in/ner/file: wanted a directory, found a file");
        assert_eq!(kind(&root.join("zero")).unwrap(), Kind::Device);
        assert_eq!(kind(&root.join("pipe")).unwrap(), Kind::Pipe);
        drop(socket);
        // The directory itself may be a link: whoever asks named it.
        symlink(&root, place.path().join("copy")).unwrap();
        assert_eq!(read(&place.path().join("copy"), "in/ner/file", 5).unwrap(), b"12345");
    }

    #[test]
    fn five_sparse_gigabytes_are_not_read() {
        let root = tempfile::tempdir().unwrap();
        File::create(root.path().join("sparse")).unwrap().set_len(5 << 30).unwrap();
        assert_eq!(
            unfit(read(root.path(), "sparse", 1 << 20)),
            "sparse: wanted a regular file of at most 1048576 bytes, found 5368709120 bytes"
        );
    }

    #[test]
    fn a_directory_is_listed_without_following_anything() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("dir")).unwrap();
        std::fs::write(root.path().join("dir/b"), b"123").unwrap();
        std::fs::create_dir(root.path().join("dir/a")).unwrap();
        symlink("/", root.path().join("dir/c")).unwrap();
        std::fs::write(root.path().join("dir").join(std::ffi::OsStr::from_bytes(b"d\xff")), b"").unwrap();
        let found: Vec<(String, bool, u64)> = list(root.path(), "dir")
            .unwrap()
            .into_iter()
            .map(|listed| (listed.name, listed.is_dir, listed.len))
            .collect();
        let wanted = [("a", true, 0), ("b", false, 3), ("c", false, 0), ("d\u{fffd}", false, 0)]
            .map(|(n, d, l)| (n.to_owned(), d, l));
        assert_eq!(found, wanted);
        assert!(list(root.path(), "none").unwrap().is_empty());
        let error = list(root.path(), "dir/c").unwrap_err().downcast::<Unfit>().unwrap();
        assert_eq!(error.to_string(), "dir/c: wanted a directory, found a symbolic link");
    }
}
