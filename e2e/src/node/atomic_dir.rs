//! A volume's directory whose files all change at once, as kubelets do it: the files lie in a directory of one version,
//! the link `..data` names the version, and each visible name is a link through `..data`.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A file of a volume: its bytes and permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VolumeFile {
    pub(crate) bytes: Vec<u8>,
    pub(crate) mode: u32,
}

/// The files of a volume by relative path.
pub(crate) type VolumeFiles = BTreeMap<String, VolumeFile>;

/// Makes the directory show exactly `files`. `version` is a name not used before in it.
pub(crate) async fn publish(dir: &Path, files: &VolumeFiles, version: &str) -> io::Result<()> {
    tokio::fs::create_dir_all(dir).await?;
    let old = tokio::fs::read_link(dir.join("..data")).await.ok();
    let fresh = dir.join(version);
    tokio::fs::create_dir(&fresh).await?;
    for (path, file) in files {
        let target = fresh.join(path);
        if let Some(parent) = target.parent() {
            tokio::fs::create_dir_all(parent).await?;
        }
        tokio::fs::write(&target, &file.bytes).await?;
        tokio::fs::set_permissions(&target, std::fs::Permissions::from_mode(file.mode)).await?;
    }
    let link = dir.join("..data_new");
    let _ = tokio::fs::remove_file(&link).await;
    tokio::fs::symlink(version, &link).await?;
    tokio::fs::rename(&link, dir.join("..data")).await?;
    // The visible names are the first parts of the paths; `..data` is what made them change.
    let names: std::collections::BTreeSet<&str> =
        files.keys().filter_map(|path| path.split('/').next()).collect();
    for name in &names {
        match tokio::fs::symlink(Path::new("..data").join(name), dir.join(name)).await {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    let mut entries = tokio::fs::read_dir(dir).await?;
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !names.contains(name.as_str()) {
            tokio::fs::remove_file(entry.path()).await?;
        }
    }
    if let Some(old) = old.filter(|old| old != Path::new(version)) {
        tokio::fs::remove_dir_all(dir.join(old)).await?;
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the test reads small files")]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> VolumeFiles {
        list.iter()
            .map(|(name, text)| {
                ((*name).to_owned(), VolumeFile { bytes: text.as_bytes().to_vec(), mode: 0o640 })
            })
            .collect()
    }

    #[tokio::test]
    async fn a_new_version_replaces_the_old_one_whole() {
        let dir = std::env::temp_dir().join(format!("placet-atomic-dir-{}", std::process::id()));
        publish(&dir, &files(&[("tls.crt", "1"), ("tls.key", "1"), ("sub/x", "1")]), "..1").await.unwrap();
        assert_eq!(std::fs::read_to_string(dir.join("sub/x")).unwrap(), "1");
        publish(&dir, &files(&[("tls.crt", "2"), ("ca.crt", "2")]), "..2").await.unwrap();
        assert_eq!(std::fs::read_to_string(dir.join("tls.crt")).unwrap(), "2");
        assert_eq!(std::fs::metadata(dir.join("ca.crt")).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(!dir.join("tls.key").exists() && !dir.join("sub").exists() && !dir.join("..1").exists());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
