//! Properties of the bias gate that hold for any counts.

#![expect(clippy::float_cmp, reason = "values are rounded to 1e-9 and compared bit for bit on purpose")]
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::collections::BTreeMap;

use placet_gate::fairness::intervals::{katz, mover_r, newcombe, ratio, wilson};
use placet_gate::fairness::normal::{upper_quantile, z_two_sided};
use placet_gate::fairness::{
    BiasResult, BiasTest, Compare, Counts, Criterion, Eligibility, Extended, Group, Interval, MAX_ROWS,
    Metric, PositiveMeans, Table, Verdict, decide,
};
use proptest::prelude::*;

const ATTRIBUTES: [&str; 2] = ["race", "sex"];

/// Counts of any size, many of them small, where the edges are.
fn count() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 0..12_i64, 4 => 0..3_000_i64, 1 => 0..(1_i64 << 49)]
}

fn counts() -> impl Strategy<Value = Counts> {
    (count(), count(), count(), count())
        .prop_map(|(tp, fp, fn_, tn)| Counts::new(tp + fp + fn_ + tn, tp, fp, fn_, tn).unwrap())
}

/// Up to 3 x 3 cells by race and sex, some left out.
fn cells() -> impl Strategy<Value = Vec<Group>> {
    prop::collection::btree_map((0..3_u8, 0..3_u8), counts(), 1..9).prop_map(|cells| {
        let named = |name: &str, value: u8| (name.to_owned(), format!("{value}"));
        cells
            .into_iter()
            .map(|((race, sex), counts)| Group {
                attributes: BTreeMap::from([named("race", race), named("sex", sex)]),
                counts,
            })
            .collect()
    })
}

fn metric() -> impl Strategy<Value = Metric> {
    prop::sample::select(Metric::OF_COUNTS.to_vec())
}

fn criterion() -> impl Strategy<Value = Criterion> {
    let sizes = (0..120_u64, 0..60_u64, 0..25_u64, 0.0..1.0_f64);
    let reference = prop::option::of((0..4_u8, 0..4_u8));
    (metric(), 0.01..=1.0_f64, 0.5..0.9999_f64, sizes, reference).prop_map(
        |(
            metric,
            threshold,
            confidence,
            (min_rows, min_intersection_rows, min_positives, share),
            reference,
        )| {
            let named = |name: &str, value: u8| (name.to_owned(), format!("{value}"));
            Criterion {
                metric,
                threshold,
                confidence,
                compare: reference.map_or(Compare::MinMax, |(race, sex)| {
                    Compare::Reference(BTreeMap::from([named("race", race), named("sex", sex)]))
                }),
                eligibility: Eligibility {
                    min_rows,
                    min_intersection_rows,
                    min_positives,
                    min_negatives: min_positives,
                    ineligible_intersection_share: share,
                    exclude_below_share: None,
                },
            }
        },
    )
}

fn question() -> impl Strategy<Value = BiasTest> {
    let sets = prop::collection::vec(
        prop::sample::select(vec![vec!["race"], vec!["sex"], vec!["sex", "race"]]),
        1..4,
    );
    (sets, prop::collection::vec(criterion(), 1..4)).prop_map(|(sets, criteria)| BiasTest {
        attribute_sets: sets.iter().map(|set| set.iter().map(|name| (*name).to_owned()).collect()).collect(),
        criteria,
        accepted_groups: Vec::new(),
        metrics: 1,
    })
}

fn means() -> impl Strategy<Value = PositiveMeans> {
    prop::sample::select(vec![PositiveMeans::Favourable, PositiveMeans::Unfavourable])
}

fn judge(cells: &[Group], means: PositiveMeans, test: &BiasTest) -> BiasResult {
    decide(&Table::new(cells, means, None).unwrap(), test).unwrap()
}

/// All sets of `ATTRIBUTES` by one `MinMax` criterion without minimums.
fn bare(metric: Metric, threshold: f64, confidence: f64) -> BiasTest {
    BiasTest {
        attribute_sets: ATTRIBUTES.iter().map(|name| vec![(*name).to_owned()]).collect(),
        criteria: vec![Criterion {
            metric,
            threshold,
            confidence,
            compare: Compare::MinMax,
            eligibility: Eligibility {
                min_rows: 0,
                min_positives: 0,
                min_negatives: 0,
                ..Eligibility::default()
            },
        }],
        accepted_groups: Vec::new(),
        metrics: 1,
    }
}

fn in_order(interval: Interval) -> bool {
    let upper_holds = match interval.upper {
        Extended::Finite(upper) => upper.is_finite() && interval.lower <= upper,
        Extended::Infinite => true,
    };
    interval.lower.is_finite() && upper_holds
}

/// Whether `outer` holds all of `inner`.
fn holds(outer: Interval, inner: Interval) -> bool {
    outer.lower <= inner.lower
        && match (outer.upper, inner.upper) {
            (Extended::Infinite, _) => true,
            (Extended::Finite(_), Extended::Infinite) => false,
            (Extended::Finite(outer), Extended::Finite(inner)) => outer >= inner,
        }
}

fn scaled(cells: &[Group], factor: i64) -> Vec<Group> {
    let times = |count: u64| i64::try_from(count).unwrap() * factor;
    cells
        .iter()
        .map(|cell| {
            let c = cell.counts;
            let counts =
                Counts::new(times(c.n()), times(c.tp()), times(c.fp()), times(c.fn_()), times(c.tn()));
            Group { attributes: cell.attributes.clone(), counts: counts.unwrap() }
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counts_are_total_and_never_wrap(n: i64, tp: i64, fp: i64, fn_: i64, tn: i64) {
        if let Ok(counts) = Counts::new(n, tp, fp, fn_, tn) {
            prop_assert!(counts.n() <= MAX_ROWS);
            prop_assert_eq!(
                i128::from(tp) + i128::from(fp) + i128::from(fn_) + i128::from(tn),
                i128::from(n)
            );
        }
        let near = i64::MAX - (n & 0xff).abs();
        prop_assert!(Counts::new(near, near, 0, 0, 0).is_err());
        prop_assert!(Counts::new(0, near, near, 1, 1).is_err());
    }

    #[test]
    fn intervals_are_total(x1: u64, n1: u64, x2: u64, n2: u64, bits: u64, tail: f64) {
        let any = f64::from_bits(bits);
        for z in [any, 1.96, upper_quantile(tail).unwrap_or(38.0)] {
            for (n1, n2) in [(n1, n2), (n1 >> 11, n2 >> 40)] {
                let (x1, x2) = (x1.min(n1) % (n1 / 3).max(2), x2.min(n2));
                let found = [
                    wilson(x1, n1, z),
                    newcombe(x1, n1, x2, n2, z),
                    katz(x1, n1, x2, n2, z),
                    mover_r(x1, n1, x2, n2, z),
                    ratio(x1, n1, x2, n2, z).map(|(_, interval)| interval),
                ];
                for interval in found.into_iter().flatten() {
                    prop_assert!(in_order(interval), "{interval:?}");
                }
            }
        }
    }

    #[test]
    fn more_confidence_never_narrows(
        x1 in 0..200_u64, y1 in 0..200_u64, x2 in 0..200_u64, y2 in 0..200_u64, c in 0.5..0.99_f64, d in 0.5..0.99_f64,
    ) {
        let (low, high) = (z_two_sided(c.min(d)).unwrap(), z_two_sided(c.max(d)).unwrap());
        let (n1, n2) = (x1 + y1, x2 + y2);
        for method in [newcombe, katz, mover_r] {
            if let (Some(narrow), Some(wide)) = (method(x1, n1, x2, n2, low), method(x1, n1, x2, n2, high)) {
                prop_assert!(holds(wide, narrow), "{narrow:?} {wide:?}");
            }
        }
    }

    #[test]
    fn mirrored_intervals_mirror(x1 in 0..500_u64, y1 in 0..500_u64, x2 in 0..500_u64, y2 in 0..500_u64) {
        let (n1, n2) = (x1 + y1, x2 + y2);
        if let (Some(there), Some(back)) = (newcombe(x1, n1, x2, n2, 1.96), newcombe(x2, n2, x1, n1, 1.96)) {
            prop_assert!((there.lower + back.upper.finite().unwrap()).abs() <= 1e-9);
        }
        if let (Some((_, there)), Some((_, back))) = (ratio(x1, n1, x2, n2, 1.96), ratio(x2, n2, x1, n1, 1.96)) {
            // swapping the groups turns [L, U] into [1/U, 1/L]
            match back.upper {
                Extended::Infinite => prop_assert_eq!(there.lower, 0.0),
                Extended::Finite(upper) => prop_assert!((there.lower * upper - 1.0).abs() <= 1e-6 * (1.0 + upper)),
            }
        }
        if let Some(interval) = wilson(x1, n1, 1.96) {
            let failures = wilson(y1, n1, 1.96).unwrap();
            prop_assert!((interval.lower + failures.upper.finite().unwrap() - 1.0).abs() <= 2e-9);
        }
    }

    #[test]
    fn a_decision_is_total_deterministic_and_consistent(cells in cells(), means in means(), test in question()) {
        let table = Table::new(&cells, means, None).unwrap();
        // the one refusal left: the cells lack no attribute, and every number is in range
        let result = decide(&table, &test).unwrap();
        prop_assert_eq!(&result, &decide(&table, &test).unwrap());
        let json = serde_json::to_value(&result).unwrap();
        prop_assert!(json.is_object());
        let any = |verdict| result.comparisons.iter().any(|comparison| comparison.verdict == verdict);
        let wanted = if any(Verdict::Fail) {
            Verdict::Fail
        } else if any(Verdict::Indeterminate) || !result.holds.is_empty() || result.comparisons.is_empty() {
            Verdict::Indeterminate
        } else {
            Verdict::Pass
        };
        prop_assert_eq!(result.verdict, wanted);
        prop_assert!(result.verdict == Verdict::Indeterminate || result.needed.is_empty());
        for comparison in &result.comparisons {
            prop_assert_eq!(comparison.interval.is_some(), comparison.estimate.is_some());
            if let (Some(interval), Some(corrected)) = (comparison.interval, comparison.corrected) {
                prop_assert!(in_order(interval) && holds(corrected, interval));
                if let Some(Extended::Finite(estimate)) = comparison.estimate {
                    let point = Interval { lower: estimate, upper: Extended::Finite(estimate) };
                    prop_assert!(holds(interval, point));
                }
            }
        }
        for needed in &result.needed {
            prop_assert!(needed.more > 0);
        }
    }

    #[test]
    fn order_of_groups_and_names_do_not_matter(
        cells in cells(), metric in metric(), threshold in 0.01..=1.0_f64, seed: u64,
    ) {
        let test = bare(metric, threshold, 0.95);
        let before = judge(&cells, PositiveMeans::Favourable, &test);
        let mut reversed = cells.clone();
        reversed.reverse();
        let cut = usize::try_from(seed).unwrap_or(0) % reversed.len();
        reversed.rotate_left(cut);
        prop_assert_eq!(&before, &judge(&reversed, PositiveMeans::Favourable, &test));
        // renaming the values so that they sort the other way round
        let renamed: Vec<Group> = cells
            .iter()
            .map(|cell| Group {
                attributes: cell
                    .attributes
                    .iter()
                    .map(|(name, value)| (name.clone(), format!("{}", 9 - value.parse::<u8>().unwrap())))
                    .collect(),
                counts: cell.counts,
            })
            .collect();
        let after = judge(&renamed, PositiveMeans::Favourable, &test);
        prop_assert_eq!(before.verdict, after.verdict);
        let estimates = |result: &BiasResult| {
            let mut all: Vec<String> = result.comparisons.iter().map(|c| format!("{:?}", c.interval)).collect();
            all.sort();
            all
        };
        prop_assert_eq!(estimates(&before), estimates(&after));
    }

    #[test]
    fn turning_the_labels_twice_changes_nothing(cells in cells(), test in question()) {
        let turned: Vec<Group> = cells
            .iter()
            .map(|cell| Group {
                attributes: cell.attributes.clone(),
                counts: cell.counts.favourable(PositiveMeans::Unfavourable),
            })
            .collect();
        prop_assert_eq!(
            judge(&cells, PositiveMeans::Favourable, &test),
            judge(&turned, PositiveMeans::Unfavourable, &test)
        );
    }

    #[test]
    fn asking_for_more_never_passes_more(
        cells in cells(), metric in metric(), threshold in 0.01..=1.0_f64, stricter in 0.0..1.0_f64,
        confidence in 0.5..0.99_f64, surer in 0.0..1.0_f64, more in criterion(),
    ) {
        let lax = bare(metric, threshold, confidence);
        let loose = judge(&cells, PositiveMeans::Favourable, &lax).verdict;
        let mut strict = lax.clone();
        let criterion = &mut strict.criteria[0];
        criterion.confidence += (0.999 - confidence) * surer;
        criterion.threshold = match metric.scale() {
            placet_gate::fairness::Scale::Ratio => threshold + (1.0 - threshold) * stricter,
            placet_gate::fairness::Scale::Difference => threshold * stricter,
        };
        let tight = judge(&cells, PositiveMeans::Favourable, &strict).verdict;
        prop_assert!(tight != Verdict::Pass || loose == Verdict::Pass);
        let mut added = lax;
        added.criteria.push(more);
        added.attribute_sets.push(ATTRIBUTES.map(str::to_owned).to_vec());
        let both = judge(&cells, PositiveMeans::Favourable, &added).verdict;
        prop_assert!(both != Verdict::Pass || loose == Verdict::Pass);
    }

    #[test]
    fn passing_at_one_confidence_is_not_failing_at_another(
        cells in cells(), metric in metric(), threshold in 0.01..=1.0_f64, c in 0.5..0.999_f64, d in 0.5..0.999_f64,
    ) {
        let at = |confidence| judge(&cells, PositiveMeans::Favourable, &bare(metric, threshold, confidence)).verdict;
        prop_assert!(at(c) != Verdict::Pass || at(d) != Verdict::Fail);
    }

    #[test]
    fn more_rows_at_the_same_rates_never_turn_a_decision_round(
        cells in prop::collection::vec((0..40_i64, 0..40_i64, 0..40_i64, 0..40_i64), 2..5),
        metric in metric(), threshold in 0.01..=1.0_f64, factor in 2..200_i64,
    ) {
        let cells: Vec<Group> = cells
            .into_iter()
            .enumerate()
            .map(|(index, (tp, fp, fn_, tn))| Group {
                attributes: ATTRIBUTES.iter().map(|name| ((*name).to_owned(), index.to_string())).collect(),
                counts: Counts::new(tp + fp + fn_ + tn, tp, fp, fn_, tn).unwrap(),
            })
            .collect();
        let test = bare(metric, threshold, 0.95);
        let before = judge(&cells, PositiveMeans::Favourable, &test).verdict;
        let after = judge(&scaled(&cells, factor), PositiveMeans::Favourable, &test).verdict;
        prop_assert!(!(before == Verdict::Pass && after == Verdict::Fail), "{before:?} {after:?}");
        prop_assert!(!(before == Verdict::Fail && after == Verdict::Pass), "{before:?} {after:?}");
    }

    #[test]
    fn an_empty_group_never_makes_a_test_pass(cells in cells(), test in question()) {
        // an empty group of a single attribute holds; it never makes a test pass
        let mut more = cells.clone();
        more.push(Group {
            attributes: ATTRIBUTES.iter().map(|name| ((*name).to_owned(), "empty".to_owned())).collect(),
            counts: Counts::default(),
        });
        let before = judge(&cells, PositiveMeans::Favourable, &test).verdict;
        let after = judge(&more, PositiveMeans::Favourable, &test).verdict;
        prop_assert!(after != Verdict::Pass || before == Verdict::Pass);
    }
}
