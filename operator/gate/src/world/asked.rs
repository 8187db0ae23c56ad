//! What is asked of tests now, for the stamp of a report.

use std::collections::BTreeMap;

use placet_api::modelrelease::DatasetUse;
use placet_api::testreport::TestType;

use super::World;
use crate::asked::Asked;

impl World {
    /// What the policies in force, the systems of a namespace and the releases that have an artefact ask of tests now.
    ///
    /// # Errors
    /// As [`Asked::new`].
    pub fn asked(&self, namespace: &str, artifact: &str) -> Result<Asked, String> {
        let systems = self.systems.in_namespace(namespace).filter(|s| s.live).filter_map(|system| {
            let evaluation = system.spec.as_ref().ok()?.evaluation.as_ref()?;
            let sets = evaluation.attribute_sets.iter();
            let sets = sets.map(|set| set.iter().map(ToString::to_string).collect()).collect();
            Some((system.name().to_owned(), sets))
        });
        let releases = self.releases.in_namespace(namespace).filter(|r| r.live);
        let releases = releases.filter_map(|r| r.spec.as_ref().ok());
        let with = releases.filter(|r| r.artifacts.iter().any(|a| a.digest.as_str() == artifact));
        let datasets = with
            .flat_map(|r| r.datasets.iter().flatten())
            .filter(|d| d.use_ == DatasetUse::Evaluation)
            .map(|d| d.digest.to_string());
        Asked::new(self.policy_set.iter().map(AsRef::as_ref), systems, datasets)
    }

    /// Roles in which the policies in force have tests of a type reported, with the policies that say so.
    pub fn reporter_roles(&self, type_: TestType) -> BTreeMap<String, Vec<String>> {
        let mut out = BTreeMap::<String, Vec<String>>::new();
        for policy in self.policy_set.iter() {
            let rules = policy.spec.iter().flat_map(|s| s.reporters.iter().flatten());
            for rule in rules.filter(|r| r.type_ == type_) {
                out.entry(rule.role.to_string()).or_default().push(policy.name().to_owned());
            }
        }
        out
    }
}
