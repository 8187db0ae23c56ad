//! What policies say of classes in some namespaces: the least one, and from when a practice is refused.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use placet_api::aisystem::AISystemSpec;
use placet_api::common::Class;
use placet_api::releasepolicy::Proof;

use super::{PolicySet, selects};
use crate::class::{self, Derived};
use crate::time::{self, Now};
use crate::world::Snapshot;

/// Letters of Article 5(1) that were added in 2026 and apply later than the others, which have applied since 2 February 2025.
const POSTPONED: [&str; 2] = ["ba", "bb"];

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

    /// The most that any policy of a namespace with these labels asks of a role as a proof, whichever classes it applies to.
    #[must_use]
    pub fn proof(&self, role: &str, labels: &BTreeMap<String, String>) -> Option<Proof> {
        let here = self.iter().filter_map(|policy| policy.spec.as_ref().ok());
        let here = here.filter(|spec| selects(spec.applies_to.namespace_selector.as_ref(), labels));
        here.flat_map(|spec| &spec.approvals)
            .filter(|rule| rule.role.as_str() == role)
            .filter_map(|rule| rule.proof)
            .max()
    }

    /// Letters of Article 5(1) of which every policy for the class High in a namespace with these labels says from when they are
    /// refused, each with the earliest day. A day that does not exist is no day, and a policy that is not understood says
    /// nothing. No policy postpones what has long applied.
    #[must_use]
    pub fn prohibited_from(&self, labels: &BTreeMap<String, String>) -> BTreeMap<String, Timestamp> {
        let mut out: Option<BTreeMap<String, Timestamp>> = None;
        for policy in self.iter() {
            let here = match super::set::fits(policy, Some(Class::High), labels) {
                Some(false) => continue,
                None => BTreeMap::new(),
                Some(true) => policy
                    .spec
                    .iter()
                    .flat_map(|s| s.prohibited_from.iter().flatten())
                    .filter(|p| POSTPONED.contains(&p.letter.as_str()))
                    .filter_map(|p| Some((p.letter.to_string(), time::moment(&p.from)?)))
                    .collect(),
            };
            out = Some(match out {
                None => here,
                Some(mut all) => {
                    all.retain(|letter, _| here.contains_key(letter));
                    for (letter, from) in &mut all {
                        *from = here.get(letter).map_or(*from, |other| (*from).min(*other));
                    }
                    all
                }
            });
        }
        out.unwrap_or_default()
    }

    /// Letters of the practices of a system that are not refused yet. Their days bound how long that holds.
    pub(crate) fn not_yet_prohibited(
        &self,
        spec: &AISystemSpec,
        labels: &BTreeMap<String, String>,
        now: &Now,
    ) -> BTreeSet<String> {
        let practices = spec.triggers.iter().flat_map(|t| t.article5.iter().flatten());
        let mut practices = practices.map(ToString::to_string).peekable();
        if practices.peek().is_none() {
            return BTreeSet::new();
        }
        let from = self.prohibited_from(labels);
        practices.filter(|letter| from.get(letter).is_some_and(|day| !now.reached(*day))).collect()
    }

    /// The class of a system in a namespace with these labels, as its triggers give it at this time.
    #[must_use]
    pub fn derive(&self, spec: &AISystemSpec, labels: &BTreeMap<String, String>, now: &Now) -> Derived {
        class::derive_before(spec, &self.not_yet_prohibited(spec, labels, now))
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
        let now = Now::new(self.clock.now());
        let derived = self.policies.derive(spec, &self.namespace_labels, &now);
        self.policies.class_in(derived.class, &self.namespace_labels)
    }
}
