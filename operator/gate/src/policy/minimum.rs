//! The least class that policies ask for in some namespaces.

use std::collections::BTreeMap;

use placet_api::common::Class;

use super::{PolicySet, selects};
use crate::world::Snapshot;

impl PolicySet {
    /// The least class of systems in a namespace with these labels, and the policy that says so; of several the highest.
    /// Which classes a policy applies to does not matter: the class is known only after this.
    #[must_use]
    pub fn minimum(&self, labels: &BTreeMap<String, String>) -> Option<(Class, &str)> {
        let here = self.iter().filter_map(|policy| {
            let spec = policy.spec.as_ref().ok().filter(|_| policy.problem().is_none())?;
            let minimum = spec.minimum_class?.class();
            selects(spec.applies_to.namespace_selector.as_ref(), labels).then_some((minimum, policy.name()))
        });
        // Of equal ones the first by name.
        here.max_by(|(a, one), (b, other)| a.cmp(b).then_with(|| other.cmp(one)))
    }

    /// What the class that a system's triggers give comes to in a namespace with these labels.
    #[must_use]
    pub fn class_in(&self, derived: Option<Class>, labels: &BTreeMap<String, String>) -> Option<Class> {
        derived.map(|class| self.minimum(labels).map_or(class, |(least, _)| class.max(least)))
    }
}

impl Snapshot {
    /// The class by which policies apply to the release; None while it is not known.
    #[must_use]
    pub fn class(&self) -> Option<Class> {
        let spec = self.system.as_ref()?.spec.as_ref().ok()?;
        self.policies.class_in(crate::class::derive(spec).class, &self.namespace_labels)
    }
}
