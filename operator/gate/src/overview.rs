//! What follows for a system itself, whether or not a release of it exists: its class, its obligations, which system to look
//! at first. Shown in status; no decision reads it.

use jiff::Timestamp;
use placet_api::aisystem::AISystemSpec;
use placet_api::common::Class;
use placet_api::obligation::Obligation;

use crate::class::Derived;
use crate::gates::assessment;
use crate::obligations::{self, Due};
use crate::rank::Rank;
use crate::register;
use crate::time::Now;
use crate::world::{Clock, World};

/// What follows for a system.
#[derive(Debug, Clone)]
pub struct Overview {
    /// The class that its triggers give, and why.
    pub derived: Derived,
    /// The class by which policies apply, where it is known.
    pub class: Option<Class>,
    /// Obligations that apply, with the day from which they do, by day.
    pub apply: Vec<(Obligation, Timestamp)>,
    /// Obligations to come, by day.
    pub next: Vec<(Obligation, Timestamp)>,
    /// Why obligations of a provider are among them, where it does not say that it is one.
    pub provider_because: Option<String>,
    /// Which system to look at first.
    pub rank: Rank,
    /// The assessment that the rank rests on.
    pub assessment: Option<String>,
    /// Until when all this holds if nothing changes.
    pub until: Option<Timestamp>,
}

impl World {
    /// What follows for a system at a time; None if it is not there or not understood. While its class or what the policies say
    /// is not known, it has no obligations to show.
    pub fn overview(&self, namespace: &str, name: &str, now: Timestamp) -> Option<Overview> {
        let spec: &AISystemSpec = self.system(namespace, name)?.spec.as_ref().ok()?;
        let (now, labels, policies) = (Now::new(now), self.namespace_labels(namespace), self.in_force());
        let derived = policies.derive(spec, &labels, &now);
        let class = policies.class_in(derived.class, &labels);
        let matched = policies.matching(class, &labels);
        let known = class.is_some() && !matched.policies.is_empty();
        let asked = matched.joined.requirements.as_ref().ok().filter(|_| known);
        let all =
            asked.map(|a| obligations::of(spec, &derived, a.obligations.values(), &now)).unwrap_or_default();
        let owned =
            |list: &[Due<'_>]| list.iter().map(|d| (d.obligation.clone(), d.from)).collect::<Vec<_>>();
        let assessments = self.assessments_of(namespace, Some(name));
        let current = assessment::current_of(&assessments);
        let counts = match current.as_slice() {
            [one] if one.live && one.problem().is_none() && one.spec.is_ok() => Some(one.name()),
            _ => None,
        };
        let around = counts.and_then(|name| self.around(namespace, name, Clock::Trusted(now.timestamp())));
        let register = counts.and_then(|name| register::of(around.as_ref()?, name));
        let scores = register.as_ref().and_then(register::Register::scores);
        let levels_until = register.and_then(|r| r.valid_until);
        Some(Overview {
            apply: owned(&all.apply),
            next: owned(&all.next),
            provider_because: obligations::provider_because(spec, derived.class),
            rank: Rank::of(class, scores.as_deref()),
            assessment: counts.map(ToOwned::to_owned),
            class,
            derived,
            until: [now.horizon(), levels_until].into_iter().flatten().min(),
        })
    }
}
