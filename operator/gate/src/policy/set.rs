//! All policies of a world, and which of them match a release.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use placet_api::common::Class;
use placet_api::releasepolicy::{LabelOperator, LabelSelector, ReleasePolicySpec};

use super::Joined;
use crate::object::Object;

/// Sets of matching policies whose join is kept at most. Beyond, all are forgotten and joined again when asked for.
const MAX_JOINED: usize = 64;

/// Matching policies by their places in a [`PolicySet`], and what they ask for.
type Joins = Vec<(Vec<usize>, Arc<Joined>)>;

/// All policies of a world. Never changed: other policies are another set. What those that match together ask for is
/// joined once and kept, since nearly every decision asks for the same.
#[derive(Debug, Default)]
pub struct PolicySet {
    policies: Vec<Arc<Object<ReleasePolicySpec>>>,
    joined: Mutex<Joins>,
}

/// Which policies of a set match.
#[derive(Debug)]
pub struct Matched<'a> {
    /// Those that match.
    pub policies: Vec<&'a Object<ReleasePolicySpec>>,
    /// Those that are not understood: one of them might match.
    pub unclear: Vec<&'a Object<ReleasePolicySpec>>,
    /// What those that match ask for.
    pub joined: Arc<Joined>,
}

impl PolicySet {
    /// These policies.
    pub fn new(policies: impl Iterator<Item = Arc<Object<ReleasePolicySpec>>>) -> Self {
        Self { policies: policies.collect(), joined: Mutex::default() }
    }

    /// Names and content digests, sorted: sets of which these are equal ask for the same.
    fn contents(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<(&str, &str)> = self.policies.iter().map(|p| (p.name(), p.digest())).collect();
        all.sort_unstable();
        all
    }

    /// Whether another set holds the same policies.
    pub fn asks_as(&self, other: &PolicySet) -> bool {
        std::ptr::eq(self, other) || self.contents() == other.contents()
    }

    /// What a release stands on that was cleared under these policies, now that the policies are `live`: the version of
    /// before of each, unless the version of now says that it applies to what is cleared. None if that is what is live.
    #[must_use]
    pub fn standing(&self, live: &PolicySet) -> Option<Vec<Arc<Object<ReleasePolicySpec>>>> {
        let at_once = |p: &&Arc<Object<ReleasePolicySpec>>| {
            p.spec.as_ref().is_ok_and(|s| s.applies_to_cleared == Some(true)) && p.problem().is_none()
        };
        let replaced: BTreeSet<&str> = live.iter().filter(at_once).map(|p| p.name()).collect();
        let before = self.iter().filter(|p| !replaced.contains(p.name()));
        let mut out: Vec<_> = before.chain(live.iter().filter(at_once)).cloned().collect();
        out.sort_by(|a, b| a.name().cmp(b.name()));
        let same = PolicySet::new(out.iter().cloned()).asks_as(live);
        (!same).then_some(out)
    }

    /// When the first of those that are live now took the place of these; None while none did (one that was deleted leaves
    /// no time).
    #[must_use]
    pub fn replaced_at(&self, live: &PolicySet) -> Option<Timestamp> {
        let known = self.contents();
        let new = live.iter().filter(|p| !known.contains(&(p.name(), p.digest())));
        new.filter_map(|p| Some(p.standing()?.changed_at)).min()
    }

    /// Policies that match a release of a class in a namespace, and what they ask for together.
    pub fn matching(&self, class: Option<Class>, labels: &BTreeMap<String, String>) -> Matched<'_> {
        let (mut places, mut unclear) = (Vec::new(), Vec::new());
        for (i, policy) in self.policies.iter().enumerate() {
            match fits(policy, class, labels) {
                Some(true) => places.push(i),
                Some(false) => {}
                None => unclear.push(policy.as_ref()),
            }
        }
        let policies: Vec<&Object<ReleasePolicySpec>> =
            places.iter().map(|i| self.policies[*i].as_ref()).collect();
        let joined = self.joined(places, &policies);
        Matched { policies, unclear, joined }
    }

    fn joined(&self, places: Vec<usize>, policies: &[&Object<ReleasePolicySpec>]) -> Arc<Joined> {
        let kept = || self.joined.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, joined)) = kept().iter().find(|(of, _)| *of == places) {
            return Arc::clone(joined);
        }
        let joined = Arc::new(Joined::new(policies));
        let mut kept = kept();
        if kept.len() >= MAX_JOINED {
            kept.clear();
        }
        kept.push((places, Arc::clone(&joined)));
        joined
    }
}

impl Deref for PolicySet {
    type Target = [Arc<Object<ReleasePolicySpec>>];

    fn deref(&self) -> &Self::Target {
        &self.policies
    }
}

/// Whether a policy matches a release of a class in a namespace; None if it is not understood.
pub(super) fn fits(
    policy: &Object<ReleasePolicySpec>,
    class: Option<Class>,
    labels: &BTreeMap<String, String>,
) -> Option<bool> {
    let spec = policy.spec.as_ref().ok().filter(|_| policy.problem().is_none())?;
    let class_fits = class.is_none_or(|c| spec.applies_to.classes.contains(&c));
    Some(class_fits && selects(spec.applies_to.namespace_selector.as_ref(), labels))
}

/// Policies that match a release of a class in a namespace, and those that are not understood: one of them might match.
pub fn matching<'a>(
    policies: impl Iterator<Item = &'a Object<ReleasePolicySpec>>,
    class: Option<Class>,
    labels: &BTreeMap<String, String>,
) -> (Vec<&'a Object<ReleasePolicySpec>>, Vec<&'a Object<ReleasePolicySpec>>) {
    let (mut matched, mut unclear) = (Vec::new(), Vec::new());
    for policy in policies {
        match fits(policy, class, labels) {
            Some(true) => matched.push(policy),
            Some(false) => {}
            None => unclear.push(policy),
        }
    }
    (matched, unclear)
}

/// Whether a selector selects these labels. No selector, and an empty one, select everything.
pub fn selects(selector: Option<&LabelSelector>, labels: &BTreeMap<String, String>) -> bool {
    let Some(selector) = selector else { return true };
    let equal = selector
        .match_labels
        .iter()
        .flatten()
        .all(|(key, value)| labels.get(key).is_some_and(|v| v == value.as_str()));
    equal
        && selector.match_expressions.iter().flatten().all(|r| {
            let value = labels.get(r.key.as_str());
            let listed = value.is_some_and(|v| r.values.iter().flatten().any(|w| w.as_str() == v));
            match r.operator {
                LabelOperator::In => listed,
                LabelOperator::NotIn => !listed,
                LabelOperator::Exists => value.is_some(),
                LabelOperator::DoesNotExist => value.is_none(),
            }
        })
}
