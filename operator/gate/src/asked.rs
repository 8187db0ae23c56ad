//! What was asked of tests when a report came. Its stamp keeps it, so that nobody loosens a test once they know how it goes:
//! the stamp is signed, comes with the report and is remembered with it, so that replay says the same and a deletion takes
//! nothing away.

use std::collections::BTreeMap;

use placet_api::releasepolicy::{AppliesTo, ReleasePolicySpec, TestRule};
use serde::{Deserialize, Serialize};

use crate::object::Object;

/// Tests that one stamp keeps at most: some 200 bytes each, of the 256 KiB that all annotations of an object may have.
const MAX_TESTS: usize = 256;
/// Systems, and datasets, that one stamp keeps at most.
const MAX_LISTED: usize = 64;

/// What was asked of tests in a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Asked {
    /// Policies that asked for tests, whatever class they are for: which class a system will have is not known yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<AskedBy>,
    /// Attribute sets by system, of those in the namespace that named any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub systems: BTreeMap<String, Vec<Vec<String>>>,
    /// Datasets of use Evaluation of the releases that had the artefact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<String>,
}

/// What one policy asked of tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AskedBy {
    /// Its name.
    pub name: String,
    /// Its content digest.
    pub digest: String,
    /// Which releases it applied to.
    pub applies_to: AppliesTo,
    /// The tests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<TestRule>,
    /// Attribute sets for each of its bias tests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attribute_sets: Vec<Vec<String>>,
}

impl AskedBy {
    /// What a policy asks of tests; None if nothing.
    fn of(policy: &Object<ReleasePolicySpec>) -> Option<Self> {
        let spec = policy.spec.as_ref().ok().filter(|_| policy.problem().is_none())?;
        let sets = spec.attribute_sets.iter().flatten();
        let asked = Self {
            name: policy.name().to_owned(),
            digest: policy.digest().to_owned(),
            applies_to: spec.applies_to.clone(),
            tests: spec.tests.clone().unwrap_or_default(),
            attribute_sets: sets.map(|set| set.iter().map(ToString::to_string).collect()).collect(),
        };
        (!asked.tests.is_empty() || !asked.attribute_sets.is_empty()).then_some(asked)
    }
}

impl Asked {
    /// What policies, systems and releases ask. Systems and datasets beyond what a stamp keeps are left out, in the order of
    /// their names.
    ///
    /// # Errors
    /// The policies ask for more tests than a stamp keeps: in words.
    pub fn new<'a>(
        policies: impl Iterator<Item = &'a Object<ReleasePolicySpec>>,
        systems: impl IntoIterator<Item = (String, Vec<Vec<String>>)>,
        datasets: impl IntoIterator<Item = String>,
    ) -> Result<Self, String> {
        let policies: Vec<AskedBy> = policies.filter_map(AskedBy::of).collect();
        let tests: usize = policies.iter().map(|p| p.tests.len().max(p.attribute_sets.len())).sum();
        if tests > MAX_TESTS {
            return Err(format!(
                "wanted policies in force that ask for {MAX_TESTS} tests at most, since the stamp of a report keeps what was \
                 asked when it came, found {tests}; join policies that ask for the same"
            ));
        }
        let mut datasets: Vec<String> = datasets.into_iter().collect();
        datasets.sort();
        datasets.dedup();
        datasets.truncate(MAX_LISTED);
        let systems = systems.into_iter().take(MAX_LISTED).collect();
        Ok(Self { policies, systems, datasets })
    }

    /// Bytes that it takes in memory, about.
    pub fn bytes(&self) -> u64 {
        let tests: usize = self.policies.iter().map(|p| 1 + p.tests.len() + p.attribute_sets.len()).sum();
        let sets: usize = self.systems.values().map(Vec::len).sum();
        u64::try_from((tests + sets + self.datasets.len()).saturating_mul(256)).unwrap_or(u64::MAX)
    }
}
