//! What policies ask together of the datasets that a release names.

use std::collections::{BTreeMap, BTreeSet};

use placet_api::datarule::{DataFact, DataRule, QualityRule, RepresentativenessRule};
use placet_api::modelrelease::DatasetUse;
use placet_api::scalar::Decimal;
use serde::Serialize;

use super::{Requirements, smaller};

/// What all matching policies ask for together of datasets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DataRules {
    /// Uses of which the release names a dataset.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub uses: BTreeSet<DatasetUse>,
    /// Fields that each Dataset fills in.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub facts: BTreeSet<DataFact>,
    /// Days since the end of collection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_days: Option<i32>,
    /// Limits of measures of quality, by measure.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub quality: BTreeMap<String, Limits>,
    /// Groups that must be there, by attribute and value, each with its expected share if one is given.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, BTreeMap<String, Option<Decimal>>>,
    /// Largest distance of a share from the one expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_gap: Option<Decimal>,
    /// Smallest share of each group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_share: Option<Decimal>,
    /// Smallest number of rows of each group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_rows: Option<i32>,
}

/// Limits of one measure of quality.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Smallest value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Decimal>,
    /// Largest value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Decimal>,
    /// Rows that were looked at, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_rows: Option<i32>,
}

/// Adds what a policy asks of datasets; gives what contradicts itself in it, or what policies before it ask for.
pub(super) fn join(out: &mut Requirements, name: &str, asked: Option<&DataRule>) -> Vec<String> {
    let Some(rule) = asked else { return Vec::new() };
    let DataRule { uses, facts, max_age_days, quality, representativeness } = rule;
    let mut conflicts = Vec::new();
    let data = out.data.get_or_insert_default();
    data.uses.extend(uses.iter().flatten());
    data.facts.extend(facts.iter().flatten());
    data.max_age_days = smaller(data.max_age_days, *max_age_days);
    for QualityRule { metric, at_least, at_most, min_rows } in quality.iter().flatten() {
        let limits = data.quality.entry(metric.to_string()).or_default();
        limits.at_least = larger(limits.at_least.take(), at_least.as_ref());
        limits.at_most = lower(limits.at_most.take(), at_most.as_ref());
        limits.min_rows = limits.min_rows.max(*min_rows);
        if let (Some(low), Some(high)) = (at_least, at_most)
            && low.billionths() > high.billionths()
        {
            conflicts.push(format!("policy {name}: data {metric}: atLeast {low} is above atMost {high}"));
        }
    }
    if let Some(rule) = representativeness {
        conflicts.extend(data.groups(name, rule));
    }
    conflicts
}

impl DataRules {
    /// Adds the groups that a policy expects.
    fn groups(&mut self, name: &str, rule: &RepresentativenessRule) -> Vec<String> {
        let RepresentativenessRule { attributes, max_gap, min_share, min_rows } = rule;
        let mut conflicts = impossible(name, rule);
        for expected in attributes {
            let attribute = &expected.attribute;
            let known = self.groups.entry(attribute.to_string()).or_default();
            for group in &expected.groups {
                let share = known.entry(group.value.to_string()).or_default();
                match (share.as_ref(), &group.share) {
                    (Some(a), Some(b)) if a.billionths() != b.billionths() => conflicts.push(format!(
                        "policies expect different shares of {attribute} {}: {a}, and {b} by {name}",
                        group.value
                    )),
                    (None, Some(_)) => share.clone_from(&group.share),
                    _ => {}
                }
            }
        }
        self.max_gap = lower(self.max_gap.take(), max_gap.as_ref());
        self.min_share = larger(self.min_share.take(), min_share.as_ref());
        self.min_rows = self.min_rows.max(*min_rows);
        conflicts
    }
}

/// Numbers of a policy by which nothing could be judged.
pub(crate) fn impossible(name: &str, rule: &RepresentativenessRule) -> Vec<String> {
    const ONE: i128 = 1_000_000_000;
    let mut out = Vec::new();
    let mut share = |field: String, value: Option<&Decimal>| {
        let found = value.filter(|v| !(0..=ONE).contains(&v.billionths()));
        out.extend(
            found.map(|v| format!("policy {name}: data {field}: wanted a share from 0 to 1, found {v}")),
        );
    };
    share("maxGap".to_owned(), rule.max_gap.as_ref());
    share("minShare".to_owned(), rule.min_share.as_ref());
    for expected in &rule.attributes {
        let attribute = &expected.attribute;
        for group in &expected.groups {
            share(format!("{attribute} {}", group.value), group.share.as_ref());
        }
    }
    for expected in &rule.attributes {
        let shares = expected.groups.iter().filter_map(|g| g.share.as_ref());
        if shares.map(Decimal::billionths).sum::<i128>() > ONE {
            let attribute = &expected.attribute;
            out.push(format!(
                "policy {name}: data {attribute}: wanted shares that add up to at most 1, found more"
            ));
        }
    }
    out
}

/// The larger of two numbers, as it is written.
fn larger(known: Option<Decimal>, other: Option<&Decimal>) -> Option<Decimal> {
    known.into_iter().chain(other.cloned()).max_by_key(Decimal::billionths)
}

/// The smaller of two numbers, as it is written.
fn lower(known: Option<Decimal>, other: Option<&Decimal>) -> Option<Decimal> {
    known.into_iter().chain(other.cloned()).min_by_key(Decimal::billionths)
}
