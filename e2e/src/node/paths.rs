//! Paths as a container sees them, and where they are on this machine.

use std::path::{Path, PathBuf};

/// The mounts of one container.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mounts {
    /// Mount path without a trailing slash, and the directory or file behind it; longest mount path first.
    mounts: Vec<(String, PathBuf)>,
}

impl Mounts {
    pub(crate) fn new(mut mounts: Vec<(String, PathBuf)>) -> Self {
        for (path, _) in &mut mounts {
            let kept = path.trim_end_matches('/').len();
            path.truncate(kept);
        }
        mounts.sort_by(|one, other| other.0.len().cmp(&one.0.len()).then_with(|| one.0.cmp(&other.0)));
        Self { mounts }
    }

    /// Where a mount path lies, if it is one.
    pub(crate) fn of(&self, mount_path: &str) -> Option<&Path> {
        self.mounts.iter().find(|(path, _)| path == mount_path).map(|(_, real)| real.as_path())
    }

    /// The path on this machine, when `path` is a mount path or lies below one.
    pub(crate) fn real(&self, path: &str) -> Option<String> {
        self.mounts.iter().find_map(|(mount, real)| {
            let rest = path.strip_prefix(mount.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("{}{rest}", real.display()))
        })
    }

    /// An argument or the value of a variable with its path replaced: the whole text is a path, or what follows the
    /// first `=` of `--flag=/path` is.
    pub(crate) fn rewrite(&self, text: &str) -> String {
        if let Some(real) = self.real(text) {
            return real;
        }
        if text.starts_with('-')
            && let Some((flag, value)) = text.split_once('=')
            && let Some(real) = self.real(value)
        {
            return format!("{flag}={real}");
        }
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_mounts_are_replaced_and_nothing_else() {
        let mounts = Mounts::new(vec![
            ("/var/lib/placet".into(), "/h/log".into()),
            ("/var/lib/placet/keys/".into(), "/h/keys".into()),
        ]);
        for (given, wanted) in [
            ("/var/lib/placet", "/h/log"),
            ("/var/lib/placet/a/b", "/h/log/a/b"),
            ("/var/lib/placet/keys/k", "/h/keys/k"),
            ("--log=/var/lib/placet/x", "--log=/h/log/x"),
            ("/var/lib/placetx", "/var/lib/placetx"),
            ("--log=/tmp", "--log=/tmp"),
            ("see /var/lib/placet", "see /var/lib/placet"),
        ] {
            assert_eq!(mounts.rewrite(given), wanted, "{given}");
        }
        assert_eq!(mounts.of("/var/lib/placet/keys"), Some(Path::new("/h/keys")));
    }
}
