//! The decision: compares every pair that a test asks for, and combines the verdicts.
//!
//! A comparison passes when its whole interval at the criterion's confidence lies in the allowed range, and
//! fails when its whole interval at the corrected confidence lies outside. The test
//!
//! - passes when every comparison passes. Uncorrected: asking for all is an intersection-union test (R. L.
//!   Berger, Technometrics 24, 1982), which needs no correction;
//! - fails when at least one comparison fails at confidence `1 - (1 - c) / m` (Bonferroni), m being the number
//!   of all binding comparisons of the test;
//! - is Indeterminate otherwise, and when anything leaves open who was to be compared.

use super::error::FairnessError;
use super::estimate::{Measure, compared, interval};
use super::needed::{for_comparison, for_ineligible, judged};
use super::number::{float, round9};
use super::question::{BiasTest, Compare, Criterion, Eligibility, MAX_GROUPS};
use super::rates::{Metric, Rate, Scale};
use super::result::{BiasResult, Comparison, Hold, Ineligible, IneligibleReason, SetValues, Side, Verdict};
use super::table::{Labelled, Projected, Table, sorted};
use super::tally::{Observed, Tally};

/// Judges a bias test on checked counts.
///
/// # Errors
/// A criterion out of range; an attribute set that is empty, repeats a name, or names an attribute that the
/// counts are not broken down by; more than [`MAX_GROUPS`] groups to compare; a metric of another source than what was
/// counted.
pub fn decide<C: Tally>(table: &Table<'_, C>, test: &BiasTest) -> Result<BiasResult, FairnessError> {
    for criterion in &test.criteria {
        criterion.check()?;
        if criterion.metric.source() != C::SOURCE {
            return Err(FairnessError::OtherSource { metric: criterion.metric.name() });
        }
    }
    let mut judge = Judge { table, test, plans: Vec::new(), ineligible: Vec::new(), holds: Vec::new() };
    if test.criteria.is_empty() || test.attribute_sets.is_empty() {
        judge.holds.push(Hold::NothingAsked);
    }
    let mut values = Vec::with_capacity(test.attribute_sets.len());
    let mut seen: Vec<Vec<&str>> = Vec::with_capacity(test.attribute_sets.len());
    for (set, attributes) in test.attribute_sets.iter().enumerate() {
        let names = sorted(attributes)?;
        if seen.contains(&names) {
            continue;
        }
        let groups = GroupsOf::new(table, &names)?;
        values.push(SetValues {
            set,
            groups: groups.shown.len(),
            values: C::values(&groups.shown),
            shown: C::shown(&groups.shown),
        });
        judge.plan_set(set, &names, &groups)?;
        seen.push(names);
    }
    Ok(judge.conclude(values))
}

/// The groups of an attribute set, to compare and to show.
struct GroupsOf<'a, C> {
    projected: Vec<Projected<'a, C>>,
    shown: Vec<Labelled<C>>,
}

impl<'a, C: Tally> GroupsOf<'a, C> {
    fn new(table: &Table<'a, C>, names: &[&str]) -> Result<Self, FairnessError> {
        let projected = table.project(names)?;
        let shown = projected
            .iter()
            .map(|group| Labelled { label: group.label(names), counts: group.counts.clone() })
            .collect();
        Ok(Self { projected, shown })
    }
}

/// The comparisons of one criterion in one attribute set, before any is judged.
struct Plan {
    set: usize,
    criterion: usize,
    pairs: Vec<Pair>,
    family: u64,
}

/// Two groups to compare by a rate or an estimate, or one by itself.
type Pair = (Option<Rate>, Side, Option<Side>);

/// A test while it is judged.
struct Judge<'t, 'a, C> {
    table: &'t Table<'a, C>,
    test: &'t BiasTest,
    plans: Vec<Plan>,
    ineligible: Vec<Ineligible>,
    holds: Vec<Hold>,
}

impl<C: Tally> Judge<'_, '_, C> {
    /// Finds who is compared in one attribute set, for every criterion.
    fn plan_set(
        &mut self,
        set: usize,
        names: &[&str],
        groups: &GroupsOf<'_, C>,
    ) -> Result<(), FairnessError> {
        let test = self.test;
        for (index, criterion) in test.criteria.iter().enumerate() {
            if test.criteria.iter().take(index).any(|earlier| earlier == criterion) {
                continue;
            }
            let eligible = self.eligible(set, index, criterion, names, groups);
            if eligible.len() < 2 {
                self.holds.push(Hold::TooFewGroups { set, criterion: index, eligible: eligible.len() });
                continue;
            }
            if eligible.len() > MAX_GROUPS {
                return Err(FairnessError::TooManyGroups { wanted: MAX_GROUPS, found: eligible.len() });
            }
            let reference = match (&criterion.compare, criterion.metric) {
                (Compare::MinMax, _) | (_, Metric::ImpactRatio | Metric::CalibrationInTheLarge) => None,
                (Compare::Reference(wanted), _) => {
                    let found = eligible.iter().position(|at| {
                        groups.projected.get(*at).is_some_and(|group| {
                            names
                                .iter()
                                .zip(&group.values)
                                .all(|(name, value)| wanted.get(*name).is_some_and(|wanted| wanted == value))
                        })
                    });
                    if found.is_none() {
                        self.holds.push(Hold::NoReference { set, criterion: index });
                        continue;
                    }
                    found
                }
            };
            let candidates: Vec<&Labelled<C>> =
                eligible.iter().filter_map(|at| groups.shown.get(*at)).collect();
            let mut pairs = Vec::new();
            if criterion.metric.rates().is_empty() {
                pair_up(criterion.metric, None, &candidates, reference, &mut pairs);
            }
            for rate in criterion.metric.rates() {
                pair_up(criterion.metric, Some(*rate), &candidates, reference, &mut pairs);
            }
            let all_pairs = candidates.len() * (candidates.len() - 1) / 2;
            let counted = if criterion.metric == Metric::ImpactRatio { all_pairs } else { pairs.len() };
            // at most 2 rates times 19,900 pairs
            let family = u64::try_from(counted).unwrap_or(u64::MAX);
            self.plans.push(Plan { set, criterion: index, pairs, family });
        }
        Ok(())
    }

    /// Indices of the groups that are large enough; lists the others.
    fn eligible(
        &mut self,
        set: usize,
        index: usize,
        criterion: &Criterion,
        names: &[&str],
        groups: &GroupsOf<'_, C>,
    ) -> Vec<usize> {
        let all_rows = self.table.rows();
        let single = names.len() == 1;
        let mut eligible = Vec::with_capacity(groups.shown.len());
        let mut uncovered = 0_u64;
        let first = self.ineligible.len();
        for (at, (group, shown)) in groups.projected.iter().zip(&groups.shown).enumerate() {
            let Some(reason) = too_small(group, single, criterion.metric, &criterion.eligibility) else {
                eligible.push(at);
                continue;
            };
            let rows = group.counts.rows();
            let share = share_of(rows, all_rows);
            let excludable = criterion.eligibility.exclude_below_share.is_some_and(|below| share < below);
            let accepted = excludable && self.test.accepted_groups.iter().any(|named| group.is(names, named));
            if !accepted {
                // rows of one table are at most 2^53 together
                uncovered += rows;
                if single {
                    self.holds.push(Hold::IneligibleGroup { ineligible: self.ineligible.len() });
                }
            }
            self.ineligible.push(Ineligible {
                set,
                criterion: index,
                group: shown.label.clone(),
                rows,
                share,
                reason,
                accepted,
                holds: single && !accepted,
            });
        }
        let (share, tolerated) =
            (share_of(uncovered, all_rows), round9(criterion.eligibility.ineligible_intersection_share));
        if !single && share > tolerated {
            self.holds.push(Hold::IneligibleIntersections { set, criterion: index, share, tolerated });
            for ineligible in self.ineligible.iter_mut().skip(first) {
                ineligible.holds = !ineligible.accepted;
            }
        }
        eligible
    }

    /// Judges the planned comparisons and combines the verdicts.
    fn conclude(mut self, values: Vec<SetValues>) -> BiasResult {
        let here: u64 = self.plans.iter().map(|plan| plan.family).sum();
        let family = here.saturating_mul(self.test.metrics.max(1));
        let mut comparisons = Vec::with_capacity(self.plans.iter().map(|plan| plan.pairs.len()).sum());
        for plan in self.plans {
            let Some(criterion) = self.test.criteria.get(plan.criterion) else { continue };
            let frame = Frame::new(plan.set, plan.criterion, criterion, family);
            for (rate, a, b) in plan.pairs {
                let comparison = frame.compare(rate, a, b);
                if comparison.interval.is_none() {
                    self.holds.push(Hold::Undefined { comparison: comparisons.len() });
                }
                comparisons.push(comparison);
            }
        }
        let mut worst: Option<(usize, &Comparison)> = None;
        for candidate in comparisons.iter().enumerate() {
            if worst.is_none_or(|(_, worst)| is_worse(candidate.1, worst)) {
                worst = Some(candidate);
            }
        }
        let verdict = match worst {
            Some((_, worst)) if worst.verdict == Verdict::Fail => Verdict::Fail,
            Some((_, worst)) if worst.verdict == Verdict::Pass && self.holds.is_empty() => Verdict::Pass,
            _ => Verdict::Indeterminate,
        };
        let mut needed = Vec::new();
        if verdict == Verdict::Indeterminate {
            needed.extend(self.ineligible.iter().filter(|group| group.holds).map(for_ineligible));
            if let Some((_, worst)) = worst
                && worst.verdict == Verdict::Indeterminate
                && let Some(criterion) = self.test.criteria.get(worst.criterion)
            {
                needed.extend(for_comparison(worst, criterion, family));
            }
        }
        let worst = worst.map(|(index, _)| index);
        BiasResult {
            verdict,
            worst,
            comparisons,
            family,
            holds: self.holds,
            ineligible: self.ineligible,
            values,
            needed,
        }
    }
}

/// What all comparisons of one criterion in one attribute set have in common.
struct Frame<'c> {
    set: usize,
    index: usize,
    criterion: &'c Criterion,
    quantiles: Option<(f64, f64)>,
    confidence: f64,
    corrected_confidence: f64,
    threshold: f64,
}

impl<'c> Frame<'c> {
    fn new(set: usize, index: usize, criterion: &'c Criterion, family: u64) -> Self {
        let confidence = round9(criterion.confidence);
        Self {
            set,
            index,
            criterion,
            quantiles: criterion.quantiles(family),
            confidence,
            corrected_confidence: round9(1.0 - (1.0 - confidence) / float(family.max(1))),
            threshold: round9(criterion.threshold),
        }
    }

    fn compare(&self, rate: Option<Rate>, a: Side, b: Option<Side>) -> Comparison {
        let scale = self.criterion.metric.scale();
        let mut comparison = Comparison {
            set: self.set,
            criterion: self.index,
            metric: self.criterion.metric,
            rate,
            estimate: None,
            method: None,
            interval: None,
            confidence: self.confidence,
            corrected: None,
            corrected_confidence: self.corrected_confidence,
            threshold: self.threshold,
            verdict: Verdict::Indeterminate,
            a,
            b,
        };
        let a = Measure::of(&comparison.a);
        let b = comparison.b.as_ref().map(Measure::of);
        let (Some(a), Some((z, z_corrected))) = (a, self.quantiles) else { return comparison };
        let b = match b {
            None => None,
            Some(Some(b)) => Some(b),
            Some(None) => return comparison,
        };
        let Some((method, narrow)) = interval(a, b, scale, z) else { return comparison };
        // with one comparison there is nothing to correct, and the intervals are the same
        let wide = if z_corrected > z {
            interval(a, b, scale, z_corrected).map_or(narrow, |(_, wide)| wide)
        } else {
            narrow
        };
        comparison.estimate = Some(compared(a, b, scale));
        comparison.method = Some(method);
        comparison.interval = Some(narrow);
        comparison.corrected = Some(wide);
        comparison.verdict =
            judged(self.criterion.rule(), narrow, wide).map_or(Verdict::Indeterminate, Verdict::from);
        comparison
    }
}

/// Failed before Indeterminate before passed, then farthest beyond its threshold.
fn is_worse(candidate: &Comparison, than: &Comparison) -> bool {
    let rank = |verdict| match verdict {
        Verdict::Fail => 2,
        Verdict::Indeterminate => 1,
        Verdict::Pass => 0,
    };
    match rank(candidate.verdict).cmp(&rank(than.verdict)) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => candidate.excess() > than.excess(),
    }
}

/// Share of rows, rounded to 1e-9; 0 of no rows.
fn share_of(rows: u64, all_rows: u64) -> f64 {
    if all_rows == 0 { 0.0 } else { round9(float(rows) / float(all_rows)) }
}

/// Why a group cannot be compared by a metric, if so.
fn too_small<C: Tally>(
    group: &Projected<'_, C>,
    single: bool,
    metric: Metric,
    eligibility: &Eligibility,
) -> Option<IneligibleReason> {
    let counts = &group.counts;
    let least = if single { eligibility.min_rows } else { eligibility.min_intersection_rows };
    let least = least.max(metric.least_rows());
    let lacks =
        |needed: bool, wanted: u64, found: Option<u64>| found.filter(|found| needed && *found < wanted);
    if counts.rows() == 0 {
        // Of no rows at all there is nothing to compare, whatever the policy's least number is.
        Some(IneligibleReason::Empty { wanted: least.max(1) })
    } else if counts.rows() < least {
        Some(IneligibleReason::TooFewRows { wanted: least, found: counts.rows() })
    } else if let Some(found) = lacks(metric.needs_positives(), eligibility.min_positives, counts.positives())
    {
        Some(IneligibleReason::TooFewPositives { wanted: eligibility.min_positives, found })
    } else {
        lacks(metric.needs_negatives(), eligibility.min_negatives, counts.negatives())
            .map(|found| IneligibleReason::TooFewNegatives { wanted: eligibility.min_negatives, found })
    }
}

/// Adds the pairs of one rate or estimate: each group with the reference (an index into `groups`), each with the one
/// selected most (impact ratio), each by itself (calibration), or all pairs.
fn pair_up<C: Tally>(
    metric: Metric,
    rate: Option<Rate>,
    groups: &[&Labelled<C>],
    reference: Option<usize>,
    pairs: &mut Vec<Pair>,
) {
    let mut sides: Vec<Side> = groups
        .iter()
        .map(|group| Side {
            label: group.label.clone(),
            rows: group.counts.rows(),
            observed: group.counts.observed(metric, rate),
        })
        .collect();
    if metric.of_each_group() {
        sides.sort_by(by_value);
        pairs.extend(sides.into_iter().map(|side| (rate, side, None)));
        return;
    }
    let fixed = if metric == Metric::ImpactRatio {
        sides.sort_by(by_value);
        sides.pop()
    } else {
        reference.map(|at| sides.remove(at))
    };
    if let Some(fixed) = fixed {
        pairs.extend(sides.into_iter().map(|side| (rate, side, Some(fixed.clone()))));
        return;
    }
    // by value, so that the direction of a comparison does not depend on names
    sides.sort_by(by_value);
    for (at, low) in sides.iter().enumerate() {
        for high in sides.iter().skip(at + 1) {
            let (a, b) = match metric.scale() {
                Scale::Ratio => (low, high),
                Scale::Difference => (high, low),
            };
            pairs.push((rate, a.clone(), Some(b.clone())));
        }
    }
}

/// Smaller value first, rates exactly; of equal ones the one with fewer trials or the smaller variance, then by label.
/// Undefined ones first.
fn by_value(a: &Side, b: &Side) -> std::cmp::Ordering {
    let values = match (a.observed, b.observed) {
        (
            Observed::Rate { successes: of_a, trials: in_a },
            Observed::Rate { successes: of_b, trials: in_b },
        ) => {
            let rates = match (in_a, in_b) {
                (0, _) | (_, 0) => in_a.cmp(&in_b),
                _ => (u128::from(of_a) * u128::from(in_b)).cmp(&(u128::from(of_b) * u128::from(in_a))),
            };
            rates.then_with(|| in_a.cmp(&in_b))
        }
        (Observed::Estimate(a), Observed::Estimate(b)) => {
            a.value().total_cmp(&b.value()).then_with(|| a.variance().total_cmp(&b.variance()))
        }
        (a, b) => matches!(b, Observed::Undefined).cmp(&matches!(a, Observed::Undefined)),
    };
    values.then_with(|| a.label.cmp(&b.label))
}
