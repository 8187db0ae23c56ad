//! Which images may run: those of the release, and those that the platform's policies list.

use std::collections::BTreeMap;

use placet_api::modelrelease::{ArtifactKind, ModelReleaseSpec};
use placet_api::releasepolicy::ReleasePolicySpec;

use super::image::Reference;
use super::{ImageUse, Workload};

/// Containers and volumes that are named one by one where they share an image; beyond, they are counted.
const NAMED: usize = 4;

/// Everything in a workload that names the same image.
pub(super) struct Uses<'a>(Vec<&'a ImageUse>);

impl<'a> Uses<'a> {
    /// Images as they are first named, each once.
    pub(super) fn of(images: impl Iterator<Item = &'a ImageUse>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for image in images {
            // What names no image at all has nothing in common.
            let known = places.get(image.image.as_str()).filter(|_| !image.image.is_empty());
            if let Some(uses) = known.and_then(|place| all.get_mut(*place)) {
                uses.0.push(image);
            } else {
                places.insert(&image.image, all.len());
                all.push(Self(vec![image]));
            }
        }
        all
    }

    /// The image as written.
    pub(super) fn image(&self) -> &'a str {
        self.0.first().map_or("", |image| image.image.as_str())
    }

    /// What they are, for example `container web, init container warm`.
    pub(super) fn item(&self) -> String {
        self.named(ImageUse::item)
    }

    /// The fields that name it.
    pub(super) fn fields(&self, kind: Workload) -> String {
        self.named(|image| image.field(kind))
    }

    fn named(&self, of: impl Fn(&ImageUse) -> String) -> String {
        let named: Vec<String> = self.0.iter().take(NAMED).map(|image| of(image)).collect();
        match self.0.len().saturating_sub(NAMED) {
            0 => named.join(", "),
            more => format!("{} and {more} more with the same image", named.join(", ")),
        }
    }
}

/// Images of a release.
fn artifacts(release: &ModelReleaseSpec) -> impl Iterator<Item = (&str, &str)> {
    release
        .artifacts
        .iter()
        .filter(|a| matches!(a.kind, ArtifactKind::Image | ArtifactKind::OCI))
        .map(|a| (a.reference.strip_prefix("oci://").unwrap_or(&a.reference), a.digest.as_str()))
}

/// Whether a release has an image or OCI artefact of this digest. The repository may be another one: a mirror's copy of
/// the same content is the same content.
pub(super) fn in_release(release: &ModelReleaseSpec, digest: &str) -> bool {
    artifacts(release).any(|(_, known)| known == digest)
}

/// Whether every policy lists an image as a platform image: by repository and digest, or by repository alone. Without
/// policies none does.
pub(super) fn on_platform(policies: &[&ReleasePolicySpec], image: &Reference<'_>) -> bool {
    let entry_fits = |entry: &str| match entry.split_once('@') {
        Some((_, digest)) if image.digest != Some(digest) => false,
        Some((repository, _)) => Reference::parse(repository).same_repository(image),
        None => whole_repository(entry, image),
    };
    !policies.is_empty()
        && policies.iter().all(|p| p.platform_images.iter().flatten().any(|i| entry_fits(&i.image)))
}

/// Whether every policy lists the image's repository, whatever the digest: then only the right digest is missing.
pub(super) fn repository_on_platform(policies: &[&ReleasePolicySpec], image: &Reference<'_>) -> bool {
    let entry_fits = |entry: &str| match entry.split_once('@') {
        Some((repository, _)) => Reference::parse(repository).same_repository(image),
        None => whole_repository(entry, image),
    };
    !policies.is_empty()
        && policies.iter().all(|p| p.platform_images.iter().flatten().any(|i| entry_fits(&i.image)))
}

/// Whether an entry lists all images of this repository. One with a tag lists none: a tag says nothing about content.
fn whole_repository(entry: &str, image: &Reference<'_>) -> bool {
    let entry = Reference::parse(entry);
    entry.tag.is_none() && entry.same_repository(image)
}

/// Pinned forms of an image under which it may run, those of the release first: its repository as written, with each
/// digest that is known for it.
pub(super) fn pinned_forms(
    release: Option<&ModelReleaseSpec>,
    policies: &[&ReleasePolicySpec],
    image: &Reference<'_>,
) -> Vec<String> {
    let mut forms: Vec<String> = Vec::new();
    let mut add = |digest: &str| {
        let form = format!("{}@{digest}", image.repository);
        if !forms.contains(&form) {
            forms.push(form);
        }
    };
    for (reference, digest) in release.into_iter().flat_map(artifacts) {
        if Reference::parse(reference).same_repository(image) {
            add(digest);
        }
    }
    for entry in policies.iter().flat_map(|p| p.platform_images.iter().flatten()) {
        if let Some((repository, digest)) = entry.image.split_once('@')
            && Reference::parse(repository).same_repository(image)
            && on_platform(policies, &image.with_digest(digest))
        {
            add(digest);
        }
    }
    forms
}
