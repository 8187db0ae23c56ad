//! Properties of every metric, of counts, scores and errors alike: another group, another name, more confidence.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use placet_gate::fairness::{
    BiasResult, BiasTest, Bins, Compare, Counts, Criterion, Eligibility, ErrorCounts, ErrorSums, Group, Hold,
    Metric, ScoreCounts, Source, Table, Tally, Verdict, decide,
};
use proptest::prelude::*;

fn count() -> impl Strategy<Value = i64> {
    prop_oneof![3 => 0..12_i64, 4 => 0..2_000_i64, 1 => 0..(1_i64 << 40)]
}

fn matrices() -> impl Strategy<Value = Vec<Counts>> {
    let matrix = (count(), count(), count(), count())
        .prop_map(|(tp, fp, fn_, tn)| Counts::new(tp + fp + fn_ + tn, tp, fp, fn_, tn).unwrap());
    prop::collection::vec(matrix, 3..6)
}

/// Histograms of four bins, between edges or by values.
fn histograms() -> impl Strategy<Value = Vec<ScoreCounts>> {
    let group = (prop::array::uniform4(count()), prop::array::uniform4(count()));
    (prop::collection::vec(group, 3..6), any::<bool>()).prop_map(|(groups, values)| {
        let bins = if values {
            Bins::of_values(&[0.1, 0.4, 0.6, 0.9])
        } else {
            Bins::between(&[0.0, 0.01, 0.5, 0.99, 1.0])
        };
        let bins = Arc::new(bins.unwrap());
        let scores = |(positive, negative): ([i64; 4], [i64; 4])| {
            let rows = positive.iter().chain(&negative).sum();
            ScoreCounts::new(Arc::clone(&bins), rows, &positive, &negative).unwrap()
        };
        groups.into_iter().map(scores).collect()
    })
}

/// Errors that are really there: a few hundred, drawn.
fn sums() -> impl Strategy<Value = Vec<ErrorCounts>> {
    let group = prop::collection::vec(-5_000_000_000..5_000_000_000_i64, 1..120);
    let sums = |errors: Vec<i64>| {
        let of = |value: &dyn Fn(i128) -> i128| errors.iter().map(|e| value(i128::from(*e))).sum();
        let sums =
            ErrorSums { sum: of(&|e| e), squares: of(&|e| e * e / 1_000_000_000), absolutes: of(&i128::abs) };
        ErrorCounts::new(i64::try_from(errors.len()).unwrap(), sums, None).unwrap()
    };
    prop::collection::vec(group.prop_map(sums), 3..6)
}

fn metric_of(source: Source) -> impl Strategy<Value = Metric> {
    // The impact ratio compares with whoever is selected most, by law: another group changes who that is.
    let all = Metric::ALL.into_iter().filter(move |m| m.source() == source && *m != Metric::ImpactRatio);
    prop::sample::select(all.collect::<Vec<_>>())
}

fn asked(metric: Metric, threshold: f64, confidence: f64, least: u64, reference: bool) -> BiasTest {
    BiasTest {
        attribute_sets: vec![vec!["sex".to_owned()]],
        criteria: vec![Criterion {
            metric,
            threshold,
            confidence,
            compare: if reference { Compare::Reference(attributes("a")) } else { Compare::MinMax },
            eligibility: Eligibility {
                min_rows: least,
                min_positives: least / 5,
                min_negatives: least / 5,
                ..Eligibility::default()
            },
        }],
        accepted_groups: Vec::new(),
        metrics: 1,
    }
}

fn attributes(value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("sex".to_owned(), value.to_owned())])
}

/// The groups, named so that they sort as they stand, or the other way round.
fn named<C: Tally>(groups: &[C], turned: bool) -> Vec<Group<C>> {
    let name = |at: usize| {
        let letter = u8::try_from(at).unwrap();
        char::from(if turned { b'z' - letter } else { b'a' + letter }).to_string()
    };
    groups
        .iter()
        .enumerate()
        .map(|(at, counts)| Group { attributes: attributes(&name(at)), counts: counts.clone() })
        .collect()
}

fn judged<C: Tally>(groups: &[Group<C>], test: &BiasTest) -> BiasResult {
    decide(&Table::of(groups, None).unwrap(), test).unwrap()
}

/// Another group never makes a test pass that did not, where there was something to compare before.
fn another_group<C: Tally>(groups: &[C], test: &BiasTest) -> Result<(), TestCaseError> {
    let (_, before) = groups.split_last().unwrap();
    let before = judged(&named(before, false), test);
    let after = judged(&named(groups, false), test);
    let nothing_compared = before.holds.iter().any(|hold| matches!(hold, Hold::TooFewGroups { .. }));
    prop_assert!(
        after.verdict != Verdict::Pass || before.verdict == Verdict::Pass || nothing_compared,
        "{before:?}"
    );
    Ok(())
}

/// Names of groups change nothing where all are compared with all.
fn other_names<C: Tally>(groups: &[C], test: &BiasTest) -> Result<(), TestCaseError> {
    let (before, after) = (judged(&named(groups, false), test), judged(&named(groups, true), test));
    prop_assert_eq!(before.verdict, after.verdict);
    let intervals = |result: &BiasResult| {
        let mut all: Vec<String> = result
            .comparisons
            .iter()
            .map(|c| format!("{:?} {:?} {:?}", c.interval, c.corrected, c.verdict))
            .collect();
        all.sort();
        all
    };
    prop_assert_eq!(intervals(&before), intervals(&after));
    let values =
        |result: &BiasResult| -> Vec<_> { result.values[0].values.iter().map(|v| v.value).collect() };
    prop_assert_eq!(values(&before), values(&after));
    Ok(())
}

/// More confidence and a stricter threshold never make a test pass that did not; an interval holds its value.
fn more_is_asked<C: Tally>(groups: &[C], lax: &BiasTest, strict: &BiasTest) -> Result<(), TestCaseError> {
    let groups = named(groups, false);
    let (lax, strict) = (judged(&groups, lax), judged(&groups, strict));
    prop_assert!(strict.verdict != Verdict::Pass || lax.verdict == Verdict::Pass);
    for comparison in lax.comparisons.iter().chain(&strict.comparisons) {
        prop_assert_eq!(comparison.interval.is_some(), comparison.estimate.is_some());
        if let (Some(interval), Some(estimate)) = (comparison.interval, comparison.estimate) {
            let upper = interval.upper.finite().unwrap_or(f64::INFINITY);
            let value = estimate.finite().unwrap_or(f64::INFINITY);
            prop_assert!(interval.lower.is_finite() && interval.lower <= value && value <= upper);
        }
    }
    prop_assert!(serde_json::to_value(&strict).is_ok());
    Ok(())
}

fn all_hold<C: Tally>(
    groups: &[C],
    metric: Metric,
    (threshold, stricter): (f64, f64),
    (confidence, surer): (f64, f64),
    least: u64,
    reference: bool,
) -> Result<(), TestCaseError> {
    let unit = if metric.source() == Source::Errors { 5.0 } else { 1.0 };
    let test = asked(metric, threshold * unit, confidence, least, reference && !metric.of_each_group());
    another_group(groups, &test)?;
    other_names(groups, &asked(metric, threshold * unit, confidence, least, false))?;
    let mut strict = test.clone();
    let criterion = &mut strict.criteria[0];
    criterion.confidence += (0.9999 - confidence) * surer;
    criterion.threshold = match metric.scale() {
        placet_gate::fairness::Scale::Ratio => threshold + (1.0 - threshold) * stricter,
        placet_gate::fairness::Scale::Difference => criterion.threshold * stricter,
    };
    more_is_asked(groups, &test, &strict)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_counts(
        groups in matrices(), metric in metric_of(Source::Counts), t in 0.01..=1.0_f64, s in 0.0..1.0_f64,
        c in 0.5..0.999_f64, d in 0.0..1.0_f64, least in 0..60_u64, reference: bool,
    ) {
        all_hold(&groups, metric, (t, s), (c, d), least, reference)?;
    }

    #[test]
    fn of_scores(
        groups in histograms(), metric in metric_of(Source::Scores), t in 0.01..=1.0_f64, s in 0.0..1.0_f64,
        c in 0.5..0.999_f64, d in 0.0..1.0_f64, least in 0..60_u64, reference: bool,
    ) {
        all_hold(&groups, metric, (t, s), (c, d), least, reference)?;
    }

    #[test]
    fn of_errors(
        groups in sums(), metric in metric_of(Source::Errors), t in 0.01..=1.0_f64, s in 0.0..1.0_f64,
        c in 0.5..0.999_f64, d in 0.0..1.0_f64, least in 0..60_u64, reference: bool,
    ) {
        all_hold(&groups, metric, (t, s), (c, d), least, reference)?;
    }
}
