//! Classes that systems and artefacts had, as the log says: a class is not lowered by forgetting.
//!
//! Known is what a decision was made on: the class of a system for which a release was judged, and the artefacts of role
//! Model and Adapter of that release. Minimal is lower than nothing and not kept.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use placet_api::Kind;
use placet_api::aisystem::AISystemSpec;
use placet_api::common::Class;
use placet_api::modelrelease::{ArtifactRole, ModelReleaseSpec};
use serde::{Deserialize, Serialize};

use super::{Key, World};
use crate::object::Object;

/// Bytes that remembering one takes, about. They count among what is remembered of a namespace, so that nothing has to be
/// forgotten: what a namespace may write ends before (`World::remembered_bytes`).
const ENTRY: u64 = 512;

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
    /// How many of both are of a namespace.
    kept: BTreeMap<String, u64>,
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
        let kept = self.kept.entry(system.0.clone()).or_default();
        let mut news = note(&mut self.systems, system.clone(), system, class, at, kept);
        for artifact in artifacts {
            let key = (system.0.clone(), artifact.to_owned());
            news |= note(&mut self.artifacts, key, system, class, at, kept);
        }
        news
    }

    /// Bytes of what is remembered of a namespace, about.
    pub(super) fn bytes(&self, namespace: &str) -> u64 {
        self.kept.get(namespace).copied().unwrap_or_default().saturating_mul(ENTRY)
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

    /// Classes above this one that a system ever had, or that its artefacts ever had with other systems of its namespace.
    pub(super) fn above<'a>(
        &self,
        system: &Key,
        artifacts: impl Iterator<Item = &'a str>,
        class: Class,
    ) -> Vec<HadClass> {
        let name = |key: &Key| format!("{}/{}", key.0, key.1);
        let own = self.systems.get(system).into_iter().flatten();
        let mut out: Vec<HadClass> = own
            .filter(|(had, _)| **had > class)
            .map(|(had, (at, _))| HadClass { class: *had, at: *at, system: name(system), artifact: None })
            .collect();
        for artifact in artifacts {
            let seen = self.artifacts.get(&(system.0.clone(), artifact.to_owned())).into_iter().flatten();
            let others = seen.filter(|(had, (_, of))| **had > class && of != system);
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
    kept: &mut u64,
) -> bool {
    if !all.contains_key(&key) {
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

    /// Live releases of which a class says something that a release was judged with: those of its system, and those of its
    /// artefacts.
    pub fn releases_with(&self, namespace: &str, release: &ModelReleaseSpec) -> Vec<Key> {
        let shared: BTreeSet<&str> = models(release).collect();
        let with = |other: &ModelReleaseSpec| {
            other.system == release.system
                || other.artifacts.iter().any(|a| shared.contains(a.digest.as_str()))
        };
        let all = self.releases_touched(Kind::AISystem, Some(namespace)).into_iter();
        all.filter(|key| self.releases.live.get(key).is_some_and(|r| r.spec.as_ref().is_ok_and(with)))
            .collect()
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
        let Ok(spec) = &release.spec else { return Vec::new() };
        let key = (namespace.to_owned(), spec.system.to_string());
        // Whatever role it has here: it is the same file.
        let artifacts = spec.artifacts.iter().map(|a| a.digest.as_str());
        self.classes.above(&key, artifacts, class)
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
    fn the_first_time_of_each_class_is_kept_and_nothing_is_forgotten() {
        let mut classes = Classes::default();
        assert!(!classes.had(&key("a"), ["x"].into_iter(), Class::Minimal, at(1)));
        assert!(classes.had(&key("a"), ["x"].into_iter(), Class::High, at(5)));
        assert!(!classes.had(&key("a"), ["x"].into_iter(), Class::High, at(6)));
        assert!(classes.had(&key("a"), ["x"].into_iter(), Class::High, at(4)));
        let above = |classes: &Classes, system: &Key, artifact: &str| {
            classes.above(system, [artifact].into_iter(), Class::Limited)
        };
        assert_eq!(above(&classes, &key("a"), "y").len(), 1, "its own, whatever it releases");
        assert_eq!(above(&classes, &key("b"), "x")[0].artifact.as_deref(), Some("x"));
        assert_eq!(above(&classes, &key("b"), "y"), []);
        let other = ("other".to_owned(), "s".to_owned());
        assert_eq!(
            above(&classes, &other, "x"),
            [],
            "what a tenant calls a system takes nothing from another's"
        );
        assert_eq!(classes.above(&key("a"), ["x"].into_iter(), Class::High), []);
        assert_eq!((classes.bytes("lending"), classes.bytes("other")), (2 * ENTRY, 0));
        for i in 0..20_000 {
            classes.had(
                &key(&format!("s{i}")),
                [format!("m{i}").as_str()].into_iter(),
                Class::Limited,
                at(7),
            );
        }
        classes.had(&key("late"), ["late"].into_iter(), Class::High, at(8));
        assert_eq!(above(&classes, &key("b"), "late").len(), 1, "however much was remembered before");
        assert_eq!(classes.bytes("lending"), 40_004 * ENTRY);
    }
}
