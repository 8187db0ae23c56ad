//! In which ways a version of a policy asks less of datasets than the one before it.

use std::collections::{BTreeMap, BTreeSet};

use placet_api::datarule::{DataRule, ExpectedGroup, ExpectedGroups, QualityRule, RepresentativenessRule};
use placet_api::scalar::Decimal;

use super::loosens::Found;
use crate::policy;

fn number(decimal: Option<&Decimal>) -> Option<f64> {
    decimal.map(Decimal::value)
}

/// Items of a list, by what they are called.
fn items<T: std::fmt::Debug>(list: Option<&Vec<T>>) -> BTreeSet<String> {
    list.into_iter().flatten().map(|one| format!("{one:?}")).collect()
}

/// Groups that are expected, each with its share.
fn groups(rule: Option<&RepresentativenessRule>) -> BTreeMap<String, Option<i128>> {
    let mut out = BTreeMap::new();
    for ExpectedGroups { attribute, groups } in rule.into_iter().flat_map(|r| &r.attributes) {
        for ExpectedGroup { value, share } in groups {
            out.insert(format!("{attribute}={value}"), share.as_ref().map(Decimal::billionths));
        }
    }
    out
}

impl Found {
    pub(super) fn data(&mut self, before: Option<&DataRule>, after: Option<&DataRule>) {
        let Some(before) = before else { return };
        let Some(after) = after else { return self.say("data: left out".to_owned()) };
        let DataRule { uses, facts, max_age_days, quality, representativeness } = before;
        self.loses("data.uses", &items(uses.as_ref()), &items(after.uses.as_ref()));
        self.loses("data.facts", &items(facts.as_ref()), &items(after.facts.as_ref()));
        self.at_most("data.maxAgeDays", *max_age_days, after.max_age_days);
        for old in quality.iter().flatten() {
            let QualityRule { metric, at_least, at_most, min_rows } = old;
            let field = format!("data.quality[{metric}]");
            let Some(new) = after.quality.iter().flatten().find(|new| new.metric == *metric) else {
                self.say(format!("{field}: left out"));
                continue;
            };
            let (was, is) = (number(at_least.as_ref()), number(new.at_least.as_ref()));
            self.at_least(&format!("{field}.atLeast"), was, is);
            let (was, is) = (number(at_most.as_ref()), number(new.at_most.as_ref()));
            self.at_most(&format!("{field}.atMost"), was, is);
            self.at_least(&format!("{field}.minRows"), *min_rows, new.min_rows);
        }
        self.representativeness(representativeness.as_ref(), after.representativeness.as_ref());
    }

    fn representativeness(
        &mut self,
        before: Option<&RepresentativenessRule>,
        after: Option<&RepresentativenessRule>,
    ) {
        // Whoever lets go of a contradiction lets in what nothing could satisfy.
        let wrong = |rule| policy::impossible_data("", rule);
        if before.is_some_and(|b| !wrong(b).is_empty()) && after.is_none_or(|a| wrong(a).is_empty()) {
            self.say("data.representativeness: nothing satisfied it".to_owned());
        }
        let known = groups(after);
        let at = |name: &str| format!("data.representativeness.{name}");
        for (group, share) in groups(before) {
            match known.get(&group) {
                None => self.say(format!("{}[{group}]: left out", at("attributes"))),
                // Another share is met by other data.
                Some(now) if share.is_some() && *now != share => {
                    self.say(format!("{}[{group}]: another share", at("attributes")));
                }
                Some(_) => {}
            }
        }
        let Some(RepresentativenessRule { attributes: _, max_gap, min_share, min_rows }) = before else {
            return;
        };
        let is = |of: fn(&RepresentativenessRule) -> Option<&Decimal>| number(after.and_then(of));
        self.at_most(&at("maxGap"), number(max_gap.as_ref()), is(|r| r.max_gap.as_ref()));
        self.at_least(&at("minShare"), number(min_share.as_ref()), is(|r| r.min_share.as_ref()));
        self.at_least(&at("minRows"), *min_rows, after.and_then(|r| r.min_rows));
    }
}
