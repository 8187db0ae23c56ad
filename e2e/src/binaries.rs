//! The binaries that a cluster starts later, in a directory of its own: what is built anew while it runs neither takes
//! them away nor mixes two versions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files;
use crate::layout::Layout;

/// Our own binaries. A container may name one that lies beside its image's.
pub(crate) const OWN: [&str; 3] = ["placet-cluster", "placet-operator", "placet"];

/// Which binary runs for container images whose reference starts with the text.
pub(crate) type Images = Vec<(String, PathBuf)>;

/// Puts the supervisor's binary and those behind images below `bin/`, each directory that they come from as one of its
/// own, and says where they are. A binary that is not built stays named by its own path: a pod that needs it says so.
pub(crate) fn place(layout: &Layout, images: Images) -> Result<(PathBuf, Images)> {
    let supervisor = files::sibling("placet-cluster")?;
    let mut places: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    let own = place_one(layout, &supervisor, &mut places)?;
    let mut moved = Vec::with_capacity(images.len());
    for (prefix, binary) in images {
        let binary = if binary.is_file() { place_one(layout, &binary, &mut places)? } else { binary };
        moved.push((prefix, binary));
    }
    Ok((own, moved))
}

fn place_one(layout: &Layout, binary: &Path, places: &mut BTreeMap<PathBuf, PathBuf>) -> Result<PathBuf> {
    let (Some(from), Some(name)) = (binary.parent(), binary.file_name()) else {
        return Err(Error::unmet("the path of a binary", binary.display().to_string(), "name a file"));
    };
    let next = layout.binaries(places.len());
    let to = if let Some(known) = places.get(from) {
        known.clone()
    } else {
        files::make_dir(&next)?;
        for own in OWN.map(|name| from.join(name)).iter().filter(|path| path.is_file()) {
            files::link(own, &next)?;
        }
        places.insert(from.to_path_buf(), next.clone());
        next
    };
    if !to.join(name).exists() {
        files::link(binary, &to)?;
    }
    Ok(to.join(name))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the test removes what it made")]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_anew_does_not_reach_a_cluster() {
        let root = std::env::temp_dir().join(format!("placet-binaries-{}", std::process::id()));
        let (built, layout) = (root.join("built"), Layout::new(root.join("c")).unwrap());
        files::make_dir(&built).unwrap();
        let binary = built.join("placet-operator");
        files::write(&binary, "first", 0o755).unwrap();
        files::write(&built.join("placet"), "beside", 0o755).unwrap();
        let mut known = BTreeMap::new();
        let copy = place_one(&layout, &binary, &mut known).unwrap();
        assert_eq!(place_one(&layout, &binary, &mut known).unwrap(), copy);
        assert!(copy.starts_with(root.join("c")), "{}", copy.display());
        // Linkers replace the file or remove it first.
        files::write(&binary, "second", 0o755).unwrap();
        assert_eq!(files::read(&copy).unwrap(), "first");
        assert_eq!(files::read(&copy.with_file_name("placet")).unwrap(), "beside");
        std::fs::remove_dir_all(&root).unwrap();
    }
}
