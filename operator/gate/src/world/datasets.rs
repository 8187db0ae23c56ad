//! Datasets that a decision reads.

use std::borrow::Cow;
use std::sync::Arc;

use placet_api::dataset::DatasetSpec;
use placet_api::modelrelease::ModelReleaseSpec;

use super::World;
use crate::object::Object;

impl Object<DatasetSpec> {
    /// What it says of itself, understood or not.
    fn says<'a>(&'a self, field: &str, typed: impl Fn(&'a DatasetSpec) -> &'a str) -> Cow<'a, str> {
        match &self.spec {
            Ok(spec) => typed(spec).into(),
            Err(_) => self.record.spec.text(field).unwrap_or_default().into(),
        }
    }

    /// Digest of the content that it is about; empty if it names none.
    pub fn content(&self) -> Cow<'_, str> {
        self.says("digest", |s| &s.digest)
    }

    /// Whether the decision on a release judges it: it is of a content that the release names.
    pub fn is_of_content(&self, release: &ModelReleaseSpec) -> bool {
        let digest = self.content();
        release.datasets.iter().flatten().any(|d| d.digest.as_str() == digest)
    }

    /// Whether the decision on a release reads it: also one of the same name and another content is told of.
    pub fn is_read_by(&self, release: &ModelReleaseSpec) -> bool {
        let name = self.says("name", |s| &s.name);
        let named = || release.datasets.iter().flatten().any(|d| d.name.as_str() == name);
        self.is_of_content(release) || (self.live && named())
    }
}

impl World {
    /// Datasets of the contents that a release names, those that are gone included, and live ones of the names that it gives them.
    pub(super) fn datasets_of(
        &self,
        namespace: &str,
        release: Option<&ModelReleaseSpec>,
    ) -> Vec<Arc<Object<DatasetSpec>>> {
        let Some(release) = release.filter(|r| r.datasets.iter().flatten().next().is_some()) else {
            return Vec::new();
        };
        self.datasets.in_namespace(namespace).filter(|d| d.is_read_by(release)).cloned().collect()
    }
}
