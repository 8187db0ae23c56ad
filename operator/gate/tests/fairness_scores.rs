//! Scores and errors of groups: constants of an independent implementation, decisions, bad input, and how often a model at the
//! threshold passes. Where the constants come from: `fairness_scores_oracle.py`.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]
#![expect(
    clippy::float_cmp,
    reason = "what is rounded, or exactly nothing, is compared bit for bit on purpose"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use placet_gate::fairness::{
    BiasResult, BiasTest, Bins, Compare, Counts, Criterion, Eligibility, ErrorCounts, ErrorSums,
    FairnessError, Group, IneligibleReason, MAX_BINS, Metric, NeededUnit, ScoreCounts, Table, Tally, Towards,
    Verdict, decide,
};

#[path = "common/draw.rs"]
mod draw;

use draw::Draws;

const MIDDLES: [f64; 5] = [0.1, 0.3, 0.5, 0.7, 0.9];
const EDGES: [f64; 6] = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];

fn of_values() -> Arc<Bins> {
    Arc::new(Bins::of_values(&MIDDLES).unwrap())
}

fn between() -> Arc<Bins> {
    Arc::new(Bins::between(&EDGES).unwrap())
}

fn scores(bins: &Arc<Bins>, positive: &[i64], negative: &[i64]) -> ScoreCounts {
    let rows = positive.iter().chain(negative).sum();
    ScoreCounts::new(Arc::clone(bins), rows, positive, negative).unwrap()
}

fn a(bins: &Arc<Bins>) -> ScoreCounts {
    scores(bins, &[5, 10, 25, 50, 60], &[60, 50, 25, 10, 5])
}

fn b(bins: &Arc<Bins>) -> ScoreCounts {
    scores(bins, &[10, 20, 30, 45, 40], &[30, 55, 30, 20, 10])
}

/// Deciles of COMPAS by what happened within two years.
fn compas() -> [ScoreCounts; 2] {
    let deciles = Arc::new(Bins::of_values(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]).unwrap());
    [
        scores(
            &deciles,
            &[91, 119, 145, 177, 176, 215, 237, 245, 269, 227],
            &[307, 274, 201, 208, 189, 169, 163, 114, 111, 59],
        ),
        scores(
            &deciles,
            &[142, 113, 93, 113, 111, 111, 88, 82, 68, 45],
            &[539, 248, 180, 172, 130, 83, 55, 32, 30, 19],
        ),
    ]
}

fn billionths(number: f64) -> i128 {
    #[expect(clippy::cast_possible_truncation, reason = "numbers of tests are small")]
    let whole = (number * 1e9).round() as i128;
    whole
}

fn errors(rows: i64, sum: f64, squares: f64, absolutes: f64) -> ErrorCounts {
    let sums =
        ErrorSums { sum: billionths(sum), squares: billionths(squares), absolutes: billionths(absolutes) };
    ErrorCounts::new(rows, sums, None).unwrap()
}

fn named<C>(groups: impl IntoIterator<Item = C>) -> Vec<Group<C>> {
    let named = |(at, counts)| {
        let name = char::from(b'a' + u8::try_from(at).unwrap()).to_string();
        Group { attributes: BTreeMap::from([("sex".to_owned(), name)]), counts }
    };
    groups.into_iter().enumerate().map(named).collect()
}

fn asked(metric: Metric, threshold: f64) -> BiasTest {
    BiasTest {
        attribute_sets: vec![vec!["sex".to_owned()]],
        criteria: vec![Criterion {
            metric,
            threshold,
            compare: Compare::MinMax,
            confidence: 0.95,
            eligibility: Eligibility { min_rows: 1, ..Eligibility::default() },
        }],
        accepted_groups: Vec::new(),
        metrics: 1,
    }
}

fn judged<C: Tally>(groups: &[Group<C>], test: &BiasTest) -> BiasResult {
    decide(&Table::of(groups, None).unwrap(), test).unwrap()
}

#[track_caller]
fn near(found: f64, wanted: f64, tolerance: f64) {
    assert!((found - wanted).abs() <= tolerance, "wanted {wanted}, found {found}");
}

/// Value and bounds of the worst comparison, at the criterion's confidence.
fn said(result: &BiasResult) -> (f64, f64, f64) {
    let worst = &result.comparisons[result.worst.unwrap()];
    let interval = worst.interval.unwrap();
    (worst.estimate.unwrap().finite().unwrap(), interval.lower, interval.upper.finite().unwrap())
}

#[track_caller]
fn says(result: &BiasResult, (value, lower, upper): (f64, f64, f64)) {
    let found = said(result);
    near(found.0, value, 6e-10);
    near(found.1, lower, 6e-10);
    near(found.2, upper, 6e-10);
}

#[test]
fn areas_and_their_variances_are_those_of_all_pairs() {
    let values = of_values();
    let perfect = scores(&values, &[0, 0, 0, 40, 10], &[30, 20, 0, 0, 0]);
    let edges = between();
    for (counts, area, variance) in [
        (a(&values), 0.885, 0.000_373_440_218_742_232),
        (b(&values), 0.738_406_658_739_596, 0.000_821_200_406_124_927),
        (perfect, 1.0, 0.0),
        (compas()[0].clone(), 0.691_834_381_259_534, 7.330_452_449_155e-5),
        (compas()[1].clone(), 0.693_146_274_405_04, 0.000_116_585_866_869_697),
    ] {
        let found = counts.auc().unwrap();
        near(found.value(), area, 6e-10);
        near(found.variance(), variance, 1e-15);
        assert_eq!(found.slack(), 0.0, "a bin that is one value hides no order");
    }
    for (counts, slack) in [(a(&edges), 0.049_444_444_444_444_4), (b(&edges), 0.085_612_366_230_677_8)] {
        near(counts.auc().unwrap().slack(), slack, 6e-10);
    }
}

#[test]
fn calibration_is_mean_label_less_mean_score() {
    for (counts, value, variance, ece) in [
        (a(&of_values()), 0.0, 0.000_452_619_843_924_192, 0.063_333_333_333_333_3),
        (b(&of_values()), -0.006_896_551_724_137_93, 0.000_721_706_322_593_387, 0.048_275_862_068_965_5),
    ] {
        let found = counts.calibration().unwrap();
        near(found.value(), value, 6e-10);
        near(found.variance(), variance, 1e-15);
        near(counts.expected_calibration_error().unwrap(), ece, 6e-10);
    }
    near(a(&between()).calibration().unwrap().slack(), 0.1, 6e-10);
    assert!(compas()[0].calibration().is_none(), "deciles are no probabilities");
    assert_eq!((a(&between()).quantile(0.5), a(&between()).quantile(0.9)), (Some(0.5), Some(0.9)));
}

#[test]
fn intervals_of_estimates_are_as_documented() {
    let values = of_values();
    let groups = named([a(&values), b(&values)]);
    says(
        &judged(&groups, &asked(Metric::AucDifference, 0.1)),
        (0.146_593_341_260_404, 0.058_158_294_827_002_7, 0.235_028_387_693_806),
    );
    let perfect = scores(&values, &[0, 0, 0, 40, 10], &[30, 20, 0, 0, 0]);
    let groups = named([perfect, a(&values)]);
    says(
        &judged(&groups, &asked(Metric::AucDifference, 0.1)),
        (0.115, 0.021_784_541_874_440_1, 0.208_215_458_125_56),
    );
    let result = judged(&named([a(&values), b(&values)]), &asked(Metric::CalibrationInTheLarge, 0.01));
    says(&result, (-0.006_896_551_724_137_93, -0.066_588_315_655_253_9, 0.052_795_212_206_977_7));
    assert!(result.comparisons.iter().all(|comparison| comparison.b.is_none()));
    let u = errors(60, -1.117, 186.630_991, 83.363);
    let v = errors(35, -10.238, 532.705_832, 108.876);
    near(u.root_mean_squared_error().unwrap(), 1.763_665_647_640_35, 6e-10);
    let groups = named([u, v]);
    // Welch's interval as scipy has it, but for the quantile of Student's distribution: a series, and not exact
    for (metric, wanted) in [
        (Metric::MeanErrorDifference, (0.273_897_619_047_619, -1.149_841_759_563_44, 1.697_636_997_658_67)),
        (
            Metric::MeanAbsoluteErrorDifference,
            (1.721_359_523_809_52, 0.858_241_203_023_734, 2.584_477_844_595_31),
        ),
    ] {
        let found = said(&judged(&groups, &asked(metric, 1.0)));
        for (found, wanted) in [(found.0, wanted.0), (found.1, wanted.1), (found.2, wanted.2)] {
            near(found, wanted, 2e-6);
        }
    }
    let mut surer = asked(Metric::MeanErrorDifference, 1.0);
    surer.criteria[0].confidence = 0.999;
    let found = said(&judged(&groups, &surer));
    near(found.1, -2.221_450_761_432_06, 2e-4);
    near(found.2, 2.769_245_999_527_32, 2e-4);
}

#[test]
fn compas_ranks_both_groups_alike() {
    let groups = named(compas());
    let result = judged(&groups, &asked(Metric::AucDifference, 0.05));
    assert_eq!(result.verdict, Verdict::Pass);
    let (value, lower, upper) = said(&result);
    near(value, 0.001_311_893_145_506, 1e-9);
    // the reaches of both by the oracle, put together
    let both = 0.017_884_957_468_184_8_f64.hypot(0.023_244_232_460_927_1);
    near(lower, value - both, 1e-9);
    near(upper, value + both, 1e-9);
    let close = judged(&groups, &asked(Metric::AucDifference, 0.02));
    assert_eq!(close.verdict, Verdict::Indeterminate);
    let needed = &close.needed[0];
    assert_eq!((needed.unit, needed.towards), (NeededUnit::Rows, Towards::Pass));
    // with a tenth more than that it is decided, with a tenth less it is not: bins are rounded to whole rows
    let grown = |factor: f64| {
        let [one, other] = compas();
        let times = |counts: &ScoreCounts, rows: f64| {
            // the same shares of every bin
            let factor = rows / f64::from(u32::try_from(counts.rows()).unwrap());
            scaled(counts, factor.max(1.0))
        };
        let rows = f64::from(u32::try_from(other.rows() + needed.more).unwrap()) * factor;
        judged(&named([times(&one, rows), times(&other, rows)]), &asked(Metric::AucDifference, 0.02)).verdict
    };
    assert_eq!(grown(1.1), Verdict::Pass, "{needed:?}");
    assert_eq!(grown(0.9), Verdict::Indeterminate);
}

/// A histogram of COMPAS with so many times the rows of each bin.
fn scaled(counts: &ScoreCounts, factor: f64) -> ScoreCounts {
    let [one, _] = compas();
    let deciles = Arc::new(Bins::of_values(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]).unwrap());
    let (positive, negative): (&[i64], &[i64]) = if *counts == one {
        (
            &[91, 119, 145, 177, 176, 215, 237, 245, 269, 227],
            &[307, 274, 201, 208, 189, 169, 163, 114, 111, 59],
        )
    } else {
        (&[142, 113, 93, 113, 111, 111, 88, 82, 68, 45], &[539, 248, 180, 172, 130, 83, 55, 32, 30, 19])
    };
    let times = |counts: &[i64]| -> Vec<i64> {
        counts
            .iter()
            .map(|count| {
                let count = f64::from(i32::try_from(*count).unwrap()) * factor;
                #[expect(clippy::cast_possible_truncation, reason = "counts of tests are small")]
                let count = count.round() as i64;
                count
            })
            .collect()
    };
    scores(&deciles, &times(positive), &times(negative))
}

#[test]
fn what_bins_hide_is_in_the_interval() {
    // One bin: every area is one half, with no variance at all. It must not pass for equal areas.
    let one = Arc::new(Bins::between(&[0.0, 1.0]).unwrap());
    let groups = named([scores(&one, &[5000], &[5000]), scores(&one, &[5000], &[5000])]);
    let result = judged(&groups, &asked(Metric::AucDifference, 0.05));
    assert_eq!(result.verdict, Verdict::Indeterminate);
    let (value, lower, upper) = said(&result);
    assert_eq!((value, lower, upper), (0.0, -1.0, 1.0));
    assert!(result.needed.is_empty(), "no number of rows makes a bin narrower: {:?}", result.needed);
    // The same rows by value: the score really is the same for all.
    let value = Arc::new(Bins::of_values(&[0.5]).unwrap());
    let groups = named([scores(&value, &[5000], &[5000]), scores(&value, &[5000], &[5000])]);
    assert_eq!(judged(&groups, &asked(Metric::AucDifference, 0.05)).verdict, Verdict::Pass);
    // Half a bin's width is what calibration may be off.
    let groups = named([a(&between()), a(&between())]);
    let result = judged(&groups, &asked(Metric::CalibrationInTheLarge, 0.12));
    assert_eq!(result.verdict, Verdict::Indeterminate);
}

#[test]
fn areas_of_one_and_labels_without_variance_still_have_an_interval() {
    let values = of_values();
    let perfect = |n| scores(&values, &[0, 0, 0, 0, n], &[n, 0, 0, 0, 0]);
    let few = judged(&named([perfect(20), perfect(20)]), &asked(Metric::AucDifference, 0.05));
    assert_eq!(few.verdict, Verdict::Indeterminate, "20 pairs in order do not show that all are");
    let many = judged(&named([perfect(2000), perfect(2000)]), &asked(Metric::AucDifference, 0.05));
    assert_eq!(many.verdict, Verdict::Pass);
    // 100 rows that nothing happened to, and a score that says so: 3 % could still be.
    let zero = Arc::new(Bins::of_values(&[0.0]).unwrap());
    let never = |n| scores(&zero, &[0], &[n]);
    let few = judged(&named([never(100), never(100)]), &asked(Metric::CalibrationInTheLarge, 0.01));
    assert_eq!(few.verdict, Verdict::Indeterminate);
    assert_eq!(few.needed[0].towards, Towards::Pass);
    let enough = 100 + i64::try_from(few.needed[0].more).unwrap();
    let many = judged(&named([never(enough), never(enough)]), &asked(Metric::CalibrationInTheLarge, 0.01));
    assert_eq!(many.verdict, Verdict::Pass);
}

#[test]
fn groups_too_small_for_an_estimate_are_listed_and_hold() {
    let values = of_values();
    let lone = scores(&values, &[0, 0, 0, 0, 19], &[40, 0, 0, 0, 0]);
    let result = judged(&named([a(&values), lone, b(&values)]), &asked(Metric::AucDifference, 0.5));
    assert_eq!(result.verdict, Verdict::Indeterminate);
    assert_eq!(result.ineligible[0].reason, IneligibleReason::TooFewPositives { wanted: 20, found: 19 });
    let result = judged(
        &named([errors(29, 0.0, 29.0, 29.0), errors(30, 0.0, 30.0, 30.0), errors(30, 0.0, 30.0, 30.0)]),
        &asked(Metric::MeanErrorDifference, 10.0),
    );
    assert_eq!(result.ineligible[0].reason, IneligibleReason::TooFewRows { wanted: 30, found: 29 });
    assert_eq!(result.verdict, Verdict::Indeterminate);
    // One class alone, and nobody asks for more: undefined, which holds.
    let mut test = asked(Metric::AucDifference, 0.5);
    test.criteria[0].eligibility.min_positives = 0;
    let none = scores(&values, &[0; 5], &[40, 0, 0, 0, 0]);
    let result = judged(&named([a(&values), none]), &test);
    assert_eq!((result.verdict, result.comparisons[0].estimate), (Verdict::Indeterminate, None));
}

#[test]
fn a_metric_is_not_taken_from_what_does_not_measure_it() {
    let groups = named([a(&of_values()), b(&of_values())]);
    for metric in [Metric::SelectionRateRatio, Metric::MeanErrorDifference] {
        let refused = decide(&Table::of(&groups, None).unwrap(), &asked(metric, 0.8));
        assert_eq!(refused, Err(FairnessError::OtherSource { metric: metric.name() }));
    }
    let counts = named([Counts::new(4, 1, 1, 1, 1).unwrap(), Counts::new(4, 1, 1, 1, 1).unwrap()]);
    assert!(decide(&Table::of(&counts, None).unwrap(), &asked(Metric::AucDifference, 0.8)).is_err());
}

#[test]
fn bad_histograms_and_sums_say_what_was_wanted() {
    let says = |found: Result<ScoreCounts, FairnessError>, words: &str| {
        let error = found.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    let bins = of_values();
    let new = |rows, positive: &[i64], negative: &[i64]| {
        ScoreCounts::new(Arc::clone(&bins), rows, positive, negative)
    };
    says(new(6, &[1; 5], &[0; 5]), "add up to rows = 6, found 5");
    says(new(9, &[1; 4], &[1; 5]), "histogram positive: wanted a count for each of the 5 bins, found 4");
    says(new(3, &[-1, 1, 1, 1, 1], &[0; 5]), "count positive: wanted 0 or more, found -1");
    says(new(i64::MAX, &[i64::MAX; 5], &[0; 5]), "count positive: wanted at most");
    says(new(-1, &[0; 5], &[0; 5]), "count rows: wanted 0 or more");
    for (bins, words) in [
        (Bins::between(&[0.0]), "at least two edges"),
        (Bins::between(&[0.0, f64::NAN]), "finite numbers, found NaN"),
        (Bins::between(&[0.0, f64::INFINITY]), "finite numbers, found inf"),
        (Bins::between(&[0.0, 0.5, 0.5]), "above the one before, found 0.5 after 0.5"),
        (Bins::of_values(&[0.0, -1.0]), "above the one before"),
        (Bins::of_values(&[]), "at least one value"),
        (Bins::between(&[-1e308, 0.0, 1e308]), ""),
    ] {
        match bins {
            Ok(bins) => assert_eq!(bins.count(), 2, "{words}"),
            Err(error) => assert!(!words.is_empty() && error.to_string().contains(words), "{error}"),
        }
    }
    let many: Vec<f64> = (0..=u32::try_from(MAX_BINS).unwrap()).map(f64::from).collect();
    assert!(Bins::of_values(&many).is_err() && Bins::between(&many).is_ok());
    let sums = |sum, squares, absolutes| {
        let sums = ErrorSums { sum, squares, absolutes };
        ErrorCounts::new(10, sums, None).map(|_| ()).map_err(|error| error.to_string())
    };
    for (found, words) in [
        (sums(0, -1, 0), "Σe² and Σ|e| of at least 0"),
        (sums(-3_000_000_000, 1_000_000_000, 2_000_000_000), "|Σe| of at most Σ|e|"),
        (sums(0, 1_000_000_000, 9_000_000_000), "(Σ|e|)² of at most n·Σe²"),
        (sums(i128::from(i64::MAX) * 1000, 0, 0), "at most 10^12"),
    ] {
        assert!(found.as_ref().is_err_and(|error| error.contains(words)), "{found:?}");
    }
    assert_eq!(sums(-2_000_000_000, 4_000_000_000, 2_000_000_000), Ok(()));
    assert!(ErrorCounts::new(i64::MAX, ErrorSums::default(), None).is_err());
}

/// How often a test passes of tables that are drawn, out of 10,000.
fn passes<C: Tally>(test: &BiasTest, seed: u64, table: impl Fn(&mut Draws) -> Vec<Group<C>>) -> f64 {
    let mut draws = Draws::new(seed);
    let tables = 10_000;
    let passed = (0..tables).filter(|_| {
        let groups = table(&mut draws);
        judged(&groups, test).verdict == Verdict::Pass
    });
    f64::from(u32::try_from(passed.count()).unwrap()) / f64::from(tables)
}

/// The share of wrong passes that (1 - c)/2 allows, with four standard errors of 10,000 drawn tables.
fn allowed(confidence: f64) -> f64 {
    let share = (1.0 - confidence) / 2.0;
    share + 4.0 * (share * (1.0 - share) / 10_000.0).sqrt()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table a metric")]
fn a_model_exactly_at_the_threshold_seldom_passes() {
    let confusion = |draws: &mut Draws, n: u32, rate: f64| {
        let selected = i64::from(draws.successes(n, rate));
        let of_rest = i64::from(n) - selected;
        Counts::new(i64::from(n), selected, 0, 0, of_rest).unwrap()
    };
    for (confidence, seed) in [(0.95, 1), (0.9, 2)] {
        let at = |metric, threshold| {
            let mut test = asked(metric, threshold);
            test.criteria[0].confidence = confidence;
            test.criteria[0].eligibility.min_positives = 0;
            test.criteria[0].eligibility.min_negatives = 0;
            test
        };
        let at_most = |what: &str, share: f64| {
            assert!(
                share <= allowed(confidence),
                "{what} at {confidence}: {share} > {}",
                allowed(confidence)
            );
        };
        let seldom = |what: &str, share: f64| {
            at_most(what, share);
            // what nearly never passes would be safe and useless
            assert!(share >= (1.0 - confidence) / 8.0, "{what} at {confidence}: {share}");
        };
        let ratio = at(Metric::SelectionRateRatio, 0.8);
        for (p, q, n, m) in [(0.4, 0.5, 1500, 1500), (0.24, 0.3, 2000, 4000)] {
            let share = passes(&ratio, seed, |draws| named([confusion(draws, n, p), confusion(draws, m, q)]));
            seldom("ratio", share);
        }
        let difference = at(Metric::SelectionRateDifference, 0.1);
        let share = passes(&difference, seed, |draws| {
            named([confusion(draws, 900, 0.3), confusion(draws, 600, 0.2)])
        });
        seldom("difference", share);

        let values = of_values();
        let scored = |draws: &mut Draws, m: u32, n: u32, positive: &[f64], negative: &[f64]| {
            scores(&values, &draws.kinds(m, positive), &draws.kinds(n, negative))
        };
        for (positive, negative, other_positive, other_negative, m, n) in [
            (
                [0.05, 0.1, 0.2, 0.3, 0.35],
                [0.35, 0.3, 0.2, 0.1, 0.05],
                [0.1, 0.15, 0.2, 0.25, 0.3],
                [0.3, 0.25, 0.2, 0.15, 0.1],
                400,
                300,
            ),
            // near 1, where DeLong's variance with the normal approximation alone passes 4.3 % of the tables instead of 2.5 %
            (
                [0.0, 0.0, 0.02, 0.08, 0.9],
                [0.9, 0.08, 0.02, 0.0, 0.0],
                [0.0, 0.05, 0.1, 0.15, 0.7],
                [0.7, 0.15, 0.1, 0.05, 0.0],
                400,
                300,
            ),
        ] {
            let gap = area(&positive, &negative) - area(&other_positive, &other_negative);
            let share = passes(&at(Metric::AucDifference, gap), seed, |draws| {
                named([
                    scored(draws, m, n, &positive, &negative),
                    scored(draws, m, n, &other_positive, &other_negative),
                ])
            });
            at_most("AUC", share);
            if gap > 0.1 {
                seldom("AUC", share);
            }
        }

        // Labels happen more often than their scores say, by exactly the threshold; of one group by half of it.
        let happened =
            |draws: &mut Draws, rows: u32, at: &Arc<Bins>, scores: &[f64], shares: &[f64], off: f64| {
                let drawn = draws.kinds(rows, shares);
                let positive: Vec<i64> = drawn
                    .iter()
                    .zip(scores)
                    .map(|(rows, score)| {
                        i64::from(draws.successes(u32::try_from(*rows).unwrap(), score + off))
                    })
                    .collect();
                let negative: Vec<i64> = drawn.iter().zip(&positive).map(|(rows, p)| rows - p).collect();
                ScoreCounts::new(Arc::clone(at), i64::from(rows), &positive, &negative).unwrap()
            };
        for (probabilities, shares, off, rows) in [
            (vec![0.2, 0.5, 0.8], vec![0.3, 0.4, 0.3], 0.05, 2000),
            // rare: z·sqrt(v) alone passes 4.1 % instead of 2.5 %
            (vec![0.01, 0.02], vec![0.5, 0.5], 0.02, 1500),
        ] {
            let bins = Arc::new(Bins::of_values(&probabilities).unwrap());
            let share = passes(&at(Metric::CalibrationInTheLarge, off), seed, |draws| {
                named([
                    happened(draws, rows, &bins, &probabilities, &shares, off),
                    happened(draws, 3 * rows, &bins, &probabilities, &shares, 0.0),
                ])
            });
            seldom("calibration", share);
        }

        let regressed = |draws: &mut Draws, rows: i64, mean: f64, spread: f64| {
            let drawn: Vec<f64> = (0..rows).map(|_| mean + spread * draws.normal()).collect();
            let squares = drawn.iter().map(|e| e * e).sum();
            errors(rows, drawn.iter().sum(), squares, drawn.iter().map(|e| e.abs()).sum())
        };
        let share = passes(&at(Metric::MeanErrorDifference, 1.0), seed, |draws| {
            named([regressed(draws, 40, 1.5, 0.5), regressed(draws, 120, 0.5, 2.0)])
        });
        seldom("mean error", share);
    }
}

/// Area under the ROC curve of two distributions over the same values.
fn area(positive: &[f64], negative: &[f64]) -> f64 {
    let mut below = 0.0;
    let mut area = 0.0;
    for (p, q) in positive.iter().zip(negative) {
        area += p * (below + q / 2.0);
        below += q;
    }
    area
}

#[test]
fn favourable_or_not_the_area_is_the_same() {
    // Whoever fears the positive outcome reads scores and labels the other way round: each pair stays in order.
    let values = of_values();
    let turned = scores(&values, &[10, 20, 30, 55, 30], &[40, 45, 30, 20, 10]).auc().unwrap();
    let straight = b(&values).auc().unwrap();
    near(turned.value(), straight.value(), 1e-12);
    near(turned.variance(), straight.variance(), 1e-12);
}
