//! In which ways a version of a policy asks for less of how a release is documented, verified, validated, overseen, disclosed
//! and changed.

use std::collections::BTreeSet;
use std::fmt::Debug;

use placet_api::lifecycle::{
    ChangeRule, DocumentationRule, OversightRule, TransparencyRule, ValidationRule, VerificationRule,
};
use placet_api::releasepolicy::ReleasePolicySpec;

use super::loosens::{Found, named, set};
use crate::policy;

/// Everything that a list of a rule holds.
fn listed<R, T: Debug>(rule: Option<&R>, list: impl Fn(&R) -> Option<&Vec<T>>) -> BTreeSet<String> {
    named(rule.and_then(list))
}

impl Found {
    pub(super) fn life_cycle(&mut self, old: &ReleasePolicySpec, new: &ReleasePolicySpec) {
        // Whoever says what passes lets go of a contradiction that kept everything from being cleared.
        let still = policy::undefined(new);
        for (field, type_) in policy::undefined(old).into_iter().filter(|one| !still.contains(one)) {
            self.say(format!("{field}.tests: {type_} waited for a test that is asked for"));
        }
        self.documentation(old.documentation.as_ref(), new.documentation.as_ref());
        self.verification(old.verification.as_ref(), new.verification.as_ref());
        self.validation(old.validation.as_ref(), new.validation.as_ref());
        self.oversight(old.oversight.as_ref(), new.oversight.as_ref());
        self.transparency(old.transparency.as_ref(), new.transparency.as_ref());
        self.change(old.change.as_ref(), new.change.as_ref());
    }

    fn documentation(&mut self, before: Option<&DocumentationRule>, after: Option<&DocumentationRule>) {
        let parts =
            |rule: Option<&DocumentationRule>| listed(rule, |DocumentationRule { parts }| Some(parts));
        self.loses("documentation.parts", &parts(before), &parts(after));
    }

    fn verification(&mut self, before: Option<&VerificationRule>, after: Option<&VerificationRule>) {
        let Some(VerificationRule { records, tests }) = before else { return };
        let is = listed(after, |r| r.records.as_ref());
        self.loses("verification.records", &named(records.as_ref()), &is);
        self.loses("verification.tests", &named(tests.as_ref()), &listed(after, |r| r.tests.as_ref()));
    }

    fn validation(&mut self, before: Option<&ValidationRule>, after: Option<&ValidationRule>) {
        let Some(before) = before else { return };
        let ValidationRule { role, not_in_groups: _, tests } = before;
        match after {
            Some(new) if new.role == *role => {
                let (was, is) = (policy::not_in_groups(before), policy::not_in_groups(new));
                self.loses("validation.notInGroups", &set(&was), &set(&is));
            }
            Some(new) => self.add("validation.role", role, &new.role),
            None => self.add("validation.role", role, "nobody"),
        }
        self.loses("validation.tests", &named(tests.as_ref()), &listed(after, |r| r.tests.as_ref()));
    }

    fn oversight(&mut self, before: Option<&OversightRule>, after: Option<&OversightRule>) {
        let Some(OversightRule { overseers, drill_max_age_days, parts }) = before else { return };
        if after.is_none() {
            self.say("oversight: left out".to_owned());
        }
        let least = |overseers: Option<i32>| overseers.unwrap_or(1);
        let is = after.map(|r| least(r.overseers));
        self.at_least("oversight.overseers", Some(least(*overseers)), is);
        let is = after.and_then(|r| r.drill_max_age_days);
        self.at_most("oversight.drillMaxAgeDays", *drill_max_age_days, is);
        self.loses("oversight.parts", &named(parts.as_ref()), &listed(after, |r| r.parts.as_ref()));
    }

    fn transparency(&mut self, before: Option<&TransparencyRule>, after: Option<&TransparencyRule>) {
        let Some(TransparencyRule { article50, duties }) = before else { return };
        if *article50 != Some(false) && after.is_none_or(|r| r.article50 == Some(false)) {
            self.add("transparency.article50", true, false);
        }
        self.loses("transparency.duties", &named(duties.as_ref()), &listed(after, |r| r.duties.as_ref()));
    }

    fn change(&mut self, before: Option<&ChangeRule>, after: Option<&ChangeRule>) {
        let Some(ChangeRule { parts, rollback_target }) = before else { return };
        if after.is_none() {
            self.say("change: left out".to_owned());
        }
        self.loses("change.parts", &named(parts.as_ref()), &listed(after, |r| r.parts.as_ref()));
        if *rollback_target == Some(true) && after.and_then(|r| r.rollback_target) != Some(true) {
            self.add("change.rollbackTarget", true, false);
        }
    }
}
