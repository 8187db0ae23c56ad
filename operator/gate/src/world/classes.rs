//! Classes that systems and artefacts had, as the log says: a class is not lowered by forgetting.
//!
//! Known is what a decision was made on: the class of a system for which a release was judged, and the artefacts of role
//! Model and Adapter of that release. Minimal is lower than nothing and not kept.

use std::collections::BTreeMap;

use jiff::Timestamp;
use placet_api::aisystem::AISystemSpec;
use placet_api::common::Class;
use placet_api::modelrelease::{ArtifactRole, ModelReleaseSpec};
use serde::{Deserialize, Serialize};

use super::{Key, World};
use crate::object::Object;

/// Systems and artefacts that are kept of one namespace at most, each. A namespace that is full adds nothing: what is known
/// first stays.
const MAX_KEPT: usize = 10_000;

/// A class that a system had, or another one with the same artefact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HadClass {
    /// The class.
    pub class: Class,
    /// When a release was first judged with it.
    pub at: Timestamp,
    /// The system, as NAMESPACE/NAME.
    pub system: String,
    /// The artefact that both have; None for the system itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<String>,
}

/// When each class was first seen, and of which system.
type Seen = BTreeMap<Class, (Timestamp, Key)>;

/// What is known of one namespace, or of all.
#[derive(Debug, Default)]
pub(super) struct Classes {
    systems: BTreeMap<Key, Seen>,
    /// By namespace and digest: what somebody calls their system elsewhere takes nothing from a release here.
    artifacts: BTreeMap<Key, Seen>,
    /// How many of each began in a namespace: systems, artefacts.
    kept: BTreeMap<String, (usize, usize)>,
}

/// Digests of the artefacts by which a release is known to be the same model.
fn models(release: &ModelReleaseSpec) -> impl Iterator<Item = &str> {
    let model = |role: &ArtifactRole| matches!(role, ArtifactRole::Model | ArtifactRole::Adapter);
    release.artifacts.iter().filter(move |a| model(&a.role)).map(|a| a.digest.as_str())
}

impl Classes {
    /// A release was judged. Whether that is news.
    pub(super) fn had<'a>(
        &mut self,
        system: &Key,
        artifacts: impl Iterator<Item = &'a str>,
        class: Class,
        at: Timestamp,
    ) -> bool {
        if class == Class::Minimal {
            return false;
        }
        let (systems, models) = self.kept.entry(system.0.clone()).or_default();
        let mut news = note(&mut self.systems, system.clone(), system, class, at, systems);
        for artifact in artifacts {
            news |=
                note(&mut self.artifacts, (system.0.clone(), artifact.to_owned()), system, class, at, models);
        }
        news
    }

    /// Whether [`Classes::had`] would tell nothing new.
    pub(super) fn has_had<'a>(
        &self,
        system: &Key,
        mut artifacts: impl Iterator<Item = &'a str>,
        class: Class,
        at: Timestamp,
    ) -> bool {
        let knows =
            |seen: Option<&Seen>| seen.and_then(|s| s.get(&class)).is_some_and(|(first, _)| *first <= at);
        class == Class::Minimal
            || knows(self.systems.get(system))
                && artifacts.all(|a| knows(self.artifacts.get(&(system.0.clone(), a.to_owned()))))
    }

    /// Classes above this one that a system had, or that its artefacts had with other systems of its namespace before a
    /// release of it was created.
    pub(super) fn above<'a>(
        &self,
        system: &Key,
        artifacts: impl Iterator<Item = &'a str>,
        class: Class,
        created: Timestamp,
    ) -> Vec<HadClass> {
        let name = |key: &Key| format!("{}/{}", key.0, key.1);
        let own = self.systems.get(system).into_iter().flatten();
        let mut out: Vec<HadClass> = own
            .filter(|(had, _)| **had > class)
            .map(|(had, (at, _))| HadClass { class: *had, at: *at, system: name(system), artifact: None })
            .collect();
        for artifact in artifacts {
            let seen = self.artifacts.get(&(system.0.clone(), artifact.to_owned())).into_iter().flatten();
            let others = seen.filter(|(had, (at, of))| **had > class && of != system && *at < created);
            out.extend(others.map(|(had, (at, of))| HadClass {
                class: *had,
                at: *at,
                system: name(of),
                artifact: Some(artifact.to_owned()),
            }));
        }
        out.sort();
        out.dedup();
        out
    }
}

fn note<K: Ord>(
    all: &mut BTreeMap<K, Seen>,
    key: K,
    system: &Key,
    class: Class,
    at: Timestamp,
    kept: &mut usize,
) -> bool {
    if !all.contains_key(&key) {
        if *kept >= MAX_KEPT {
            return false;
        }
        *kept += 1;
    }
    let seen = all.entry(key).or_default();
    match seen.get(&class) {
        Some((first, _)) if *first <= at => false,
        _ => {
            seen.insert(class, (at, system.clone()));
            true
        }
    }
}

impl World {
    /// A release was judged when its system was of this class. Whether that is news.
    pub fn had_class(
        &mut self,
        namespace: &str,
        release: &ModelReleaseSpec,
        class: Class,
        at: Timestamp,
    ) -> bool {
        let system = (namespace.to_owned(), release.system.to_string());
        self.classes.had(&system, models(release), class, at)
    }

    /// Whether [`World::had_class`] would tell nothing new.
    pub fn has_had(&self, namespace: &str, release: &ModelReleaseSpec, class: Class, at: Timestamp) -> bool {
        let system = (namespace.to_owned(), release.system.to_string());
        self.classes.has_had(&system, models(release), class, at)
    }

    /// Classes above that of now.
    pub(super) fn had_above(
        &self,
        namespace: &str,
        release: Option<&Object<ModelReleaseSpec>>,
        system: Option<&Object<AISystemSpec>>,
    ) -> Vec<HadClass> {
        let class = system.and_then(|s| s.classified(s.spec.as_ref().ok()?).derived.class);
        let (Some(class), Some(release)) = (class, release) else { return Vec::new() };
        let (Ok(spec), Some(standing)) = (&release.spec, release.standing()) else { return Vec::new() };
        let key = (namespace.to_owned(), spec.system.to_string());
        // Whatever role it has here: it is the same file.
        let artifacts = spec.artifacts.iter().map(|a| a.digest.as_str());
        self.classes.above(&key, artifacts, class, standing.created_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        ("lending".into(), name.into())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_first_time_of_each_class_is_kept_and_no_namespace_takes_the_room_of_another() {
        let mut classes = Classes::default();
        assert!(!classes.had(&key("a"), ["x"].into_iter(), Class::Minimal, at(1)));
        assert!(classes.had(&key("a"), ["x"].into_iter(), Class::High, at(5)));
        assert!(!classes.had(&key("a"), ["x"].into_iter(), Class::High, at(6)));
        assert!(classes.had(&key("a"), ["x"].into_iter(), Class::High, at(4)));
        let above = |system: &str, created| {
            classes.above(&key(system), ["x"].into_iter(), Class::Limited, at(created))
        };
        assert_eq!(above("a", 0).len(), 1, "its own counts whenever it was");
        assert_eq!(above("b", 4), [], "nothing that another system had since");
        assert_eq!(above("b", 5)[0].artifact.as_deref(), Some("x"));
        assert_eq!(classes.above(&key("a"), ["x"].into_iter(), Class::High, at(9)), []);
        for i in 0..MAX_KEPT + 10 {
            classes.had(&key(&format!("s{i}")), std::iter::empty(), Class::Limited, at(1));
        }
        assert_eq!(classes.systems.len(), MAX_KEPT);
        let other = ("other".to_owned(), "s".to_owned());
        assert!(classes.had(&other, ["y"].into_iter(), Class::High, at(1)));
    }
}
