//! Published and independently computed numbers: normal quantiles, intervals, metrics.
//!
//! Where the constants without another source come from: `fairness_oracle.py`.

#![expect(clippy::float_cmp, reason = "values are rounded to 1e-9 and compared bit for bit on purpose")]
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::collections::BTreeMap;

use placet_gate::fairness::fisher;
use placet_gate::fairness::intervals::{Method, katz, mover_r, newcombe, ratio, wilson};
use placet_gate::fairness::normal::{upper_quantile, z_bonferroni, z_two_sided};
use placet_gate::fairness::{
    Counts, Extended, Group, Interval, LabelledCounts, Metric, PositiveMeans, Rate, Table, all_metrics,
    round9, unrounded_value,
};

const INFINITE: f64 = f64::INFINITY;

fn z95() -> f64 {
    z_two_sided(0.95).unwrap()
}

#[track_caller]
fn assert_near(found: f64, wanted: f64, tolerance: f64) {
    assert!((found - wanted).abs() <= tolerance, "wanted {wanted}, found {found}");
}

#[track_caller]
fn assert_interval(found: Interval, lower: f64, upper: f64, tolerance: f64) {
    assert_near(found.lower, lower, tolerance);
    match found.upper {
        Extended::Finite(bound) => assert_near(bound, upper, tolerance),
        Extended::Infinite => assert!(upper == INFINITE, "wanted {upper}, found no upper bound"),
    }
}

fn group(name: &str, counts: Counts) -> Group {
    Group { attributes: BTreeMap::from([("group".to_owned(), name.to_owned())]), counts }
}

fn counts(tp: i64, fp: i64, fn_: i64, tn: i64) -> Counts {
    Counts::new(tp + fp + fn_ + tn, tp, fp, fn_, tn).unwrap()
}

/// `ProPublica`'s COMPAS file, all 7,214 persons, "positive" is a decile score of 5 or more.
fn compas() -> Vec<Group> {
    vec![
        group("African-American", counts(1369, 805, 532, 990)),
        group("Caucasian", counts(505, 349, 461, 1139)),
    ]
}

fn labelled(groups: &[Group], means: PositiveMeans) -> Vec<LabelledCounts> {
    Table::new(groups, means, None).unwrap().groups(&["group".to_owned()]).unwrap()
}

#[test]
fn normal_quantiles_to_1e_9() {
    let known = [
        (0.5, 0.674_489_750_196_082),
        (0.8, 1.281_551_565_544_6),
        (0.9, 1.644_853_626_951_47),
        (0.95, 1.959_963_984_540_05),
        (0.99, 2.575_829_303_548_9),
        (0.999, 3.290_526_731_491_89),
        (0.999_999, 4.891_638_475_698_59),
    ];
    for (confidence, z) in known {
        assert_near(z_two_sided(confidence).unwrap(), z, 1e-9);
    }
    assert_near(z_bonferroni(0.95, 3).unwrap(), 2.393_979_799_818_51, 1e-9);
    assert_near(z_bonferroni(0.95, 190).unwrap(), 3.649_102_696_300_88, 1e-9);
    // the far-tail region, value of Wichura's own check: the quantile of 1e-20 is -9.262340089798408
    assert_near(upper_quantile(1e-20).unwrap(), 9.262_340_089_798_408, 1e-9);
    assert_eq!(upper_quantile(0.5), Some(0.0));
    for outside in [0.0, -0.1, 0.500_001, f64::NAN, INFINITE] {
        assert_eq!(upper_quantile(outside), None);
    }
    for outside in [0.0, 1.0, 1.5, -0.5, f64::NAN] {
        assert_eq!(z_two_sided(outside), None);
    }
    assert_eq!(z_bonferroni(0.95, 0), None);
}

#[test]
fn wilson_agrees_with_statsmodels() {
    let known = [
        (0, 10, 0.0, 0.277_532_799_862_889_26),
        (1, 10, 0.017_876_213_095_072_924, 0.404_150_026_795_238_54),
        (8, 32, 0.132_524_009_185_090_4, 0.421_065_589_942_444_9),
        (10, 10, 0.722_467_200_137_110_6, 1.0),
        (2174, 3696, 0.572_253_135_226_529_8, 0.603_970_631_996_139_7),
    ];
    for (x, n, lower, upper) in known {
        assert_interval(wilson(x, n, z95()).unwrap(), lower, upper, 6e-10);
    }
    assert_eq!(wilson(0, 0, z95()), None);
    assert_eq!(wilson(2, 1, z95()), None);
    assert_eq!(wilson(1, 2, f64::NAN), None);
}

#[test]
fn newcombe_agrees_with_the_paper_and_statsmodels() {
    // the first is example (a) of Newcombe 1998, table II, method 10: 0.0524 to 0.3339
    let known = [
        (56, 70, 48, 80, 0.052_431_472_402_364_98, 0.333_872_654_036_906_14),
        (9, 10, 3, 10, 0.170_522_723_934_502_9, 0.809_017_973_535_488),
        (2174, 3696, 854, 2454, 0.215_338_581_398_754_4, 0.264_580_417_744_412_65),
        (10, 10, 0, 20, 0.679_086_037_141_914_5, 1.0),
    ];
    for (x1, n1, x2, n2, lower, upper) in known {
        assert_interval(newcombe(x1, n1, x2, n2, z95()).unwrap(), lower, upper, 6e-10);
    }
    assert_eq!(newcombe(0, 0, 1, 2, z95()), None);
}

#[test]
fn katz_agrees_with_statsmodels() {
    let known = [
        (854, 2454, 2174, 3696, 0.556_903_810_079_363, 0.628_537_626_261_015_4),
        (8, 32, 854, 2454, 0.393_252_461_507_203_32, 1.312_326_634_019_13),
        (1522, 3696, 1600, 2454, 0.601_891_644_720_903_2, 0.662_759_889_132_812_7),
        (1179, 10771, 6662, 21790, 0.338_029_674_427_017_76, 0.379_197_910_058_071_7),
    ];
    for (x1, n1, x2, n2, lower, upper) in known {
        assert_interval(katz(x1, n1, x2, n2, z95()).unwrap(), lower, upper, 6e-10);
        assert_eq!(ratio(x1, n1, x2, n2, z95()).unwrap().0, Method::Katz);
    }
    assert_eq!(katz(0, 10, 5, 10, z95()), None, "the log of zero");
    assert_interval(katz(50, 50, 50, 50, z95()).unwrap(), 1.0, 1.0, 0.0);
}

#[test]
fn mover_r_agrees_with_forty_digits() {
    let known = [
        (8, 32, 854, 2454, 0.380_170_293_614_489, 1.214_210_566_251_44),
        (50, 50, 50, 50, 0.928_652_400_866_641, 1.076_829_176_413_88),
        (0, 60, 9, 60, 0.0, 0.451_826_876_708_726),
        (9, 60, 0, 60, 2.213_237_086_036_96, INFINITE),
        (3, 40, 35, 40, 0.029_476_849_659_605_7, 0.231_538_407_219_932),
    ];
    for (x1, n1, x2, n2, lower, upper) in known {
        assert_interval(mover_r(x1, n1, x2, n2, z95()).unwrap(), lower, upper, 6e-10);
    }
    assert_eq!(mover_r(0, 60, 0, 60, z95()), None, "0 / 0");
}

#[test]
fn the_rule_chooses_katz_from_five_successes_and_failures_on() {
    let method = |x1, n1, x2, n2| ratio(x1, n1, x2, n2, z95()).unwrap().0;
    assert_eq!(method(5, 10, 5, 10), Method::Katz);
    assert_eq!(method(4, 10, 5, 10), Method::MoverR);
    assert_eq!(method(5, 10, 4, 10), Method::MoverR);
    assert_eq!(method(5, 9, 5, 10), Method::MoverR);
    assert_eq!(method(5, 10, 5, 9), Method::MoverR);
    assert_eq!(method(50, 50, 50, 50), Method::MoverR);
    assert_eq!(ratio(0, 60, 0, 60, z95()), None);
    assert_eq!(ratio(0, 0, 5, 10, z95()), None);
    // the goldens of the decision rule, to the four digits in which they are stated
    let interval = |x1, n1, x2, n2| ratio(x1, n1, x2, n2, z95()).unwrap().1;
    assert_interval(interval(8, 32, 854, 2454), 0.3933, 1.3123, 5e-5);
    assert_interval(interval(50, 50, 50, 50), 0.9287, 1.0768, 5e-5);
    assert_interval(interval(0, 60, 9, 60), 0.0, 0.4518, 5e-5);
    assert_interval(interval(854, 2454, 2174, 3696), 0.5569, 0.6285, 5e-5);
    assert_interval(interval(12, 18, 2174, 3696), 0.817, 1.573, 5e-4);
    assert_interval(interval(1179, 10771, 6662, 21790), 0.3380, 0.3792, 5e-5);
}

#[test]
fn compas_rates_as_published() {
    let [black, white] = [&compas()[0], &compas()[1]].map(|group| group.counts);
    let rate = |rate: Rate, counts| {
        let (successes, trials) = rate.of(counts);
        f64::from(u32::try_from(successes).unwrap()) / f64::from(u32::try_from(trials).unwrap())
    };
    // ProPublica: false positives 44.9 % and 23.5 %, false negatives 28.0 % and 47.7 %
    for (which, first, second) in [
        (Rate::Selection, 0.5882, 0.3480),
        (Rate::FalsePositive, 0.4485, 0.2345),
        (Rate::FalseNegative, 0.2799, 0.4772),
        (Rate::TruePositive, 0.7201, 0.5228),
        (Rate::PositivePredictive, 0.6297, 0.5913),
        (Rate::Base, 0.5143, 0.3936),
    ] {
        assert_near(rate(which, black), first, 5e-5);
        assert_near(rate(which, white), second, 5e-5);
    }
}

#[test]
fn adult_ratio_of_base_rates() {
    let groups = [group("Female", counts(1179, 0, 0, 9592)), group("Male", counts(6662, 0, 0, 15128))];
    let found = unrounded_value(Metric::SelectionRateRatio, &labelled(&groups, PositiveMeans::Favourable));
    assert_near(found.unwrap(), 0.35802, 5e-6);
}

/// Values in the order of `Metric::OF_COUNTS` without the impact ratio.
type Values = [f64; 7];

#[test]
fn metrics_agree_with_fairlearn_to_1e_12() {
    let loans = vec![group("female", counts(240, 60, 160, 1540)), group("male", counts(700, 200, 300, 1800))];
    let three = vec![
        group("a", counts(30, 10, 20, 40)),
        group("b", counts(15, 25, 5, 155)),
        group("c", counts(70, 7, 13, 210)),
    ];
    let known: [(Vec<Group>, Values, Values); 3] = [
        (
            compas(),
            [
                0.591_637_556_991_607_9,
                0.240_200_203_219_763_1,
                0.197_372_963_777_373_34,
                0.213_924_955_821_127_97,
                0.038_379_916_793_960_58,
                0.213_924_955_821_127_97,
                0.197_372_963_777_373_34,
            ],
            [
                0.631_592_938_311_688_3,
                0.240_200_203_219_763_15,
                0.213_924_955_821_128_03,
                0.213_924_955_821_128_03,
                0.061_415_078_843_626_85,
                0.197_372_963_777_373_34,
                0.213_924_955_821_127_97,
            ],
        ),
        (
            loans,
            [0.5, 0.15, 0.1, 0.1, 0.022_222_222_222_222_254, 0.0625, 0.1],
            [0.823_529_411_764_705_8, 0.15, 0.0625, 0.1, 0.048_739_495_798_319_38, 0.1, 0.0625],
        ),
        (
            three,
            [
                0.5,
                0.2,
                0.243_373_493_975_903_7,
                0.243_373_493_975_903_7,
                0.534_090_909_090_909_1,
                0.167_741_935_483_870_98,
                0.243_373_493_975_903_63,
            ],
            [
                0.75,
                0.2,
                0.167_741_935_483_870_95,
                0.243_373_493_975_903_63,
                0.302_083_333_333_333_37,
                0.243_373_493_975_903_63,
                0.167_741_935_483_870_98,
            ],
        ),
    ];
    for (groups, favourable, unfavourable) in known {
        for (means, values) in
            [(PositiveMeans::Favourable, favourable), (PositiveMeans::Unfavourable, unfavourable)]
        {
            let groups = labelled(&groups, means);
            for (metric, wanted) in Metric::OF_COUNTS.into_iter().zip(values) {
                assert_near(unrounded_value(metric, &groups).unwrap(), wanted, 1e-12);
            }
            let shown = all_metrics(&groups);
            for (value, wanted) in shown.iter().zip(values) {
                assert_eq!(value.value, Some(round9(wanted)));
            }
            let impact = shown.iter().find(|value| value.metric == Metric::ImpactRatio).unwrap();
            assert_eq!(impact.value, shown[0].value);
        }
    }
}

#[test]
fn where_fairlearn_hides_an_undefined_value_it_is_none() {
    let value = |groups: &[Group], metric| {
        let shown = all_metrics(&labelled(groups, PositiveMeans::Favourable));
        shown.into_iter().find(|value| value.metric == metric).unwrap()
    };
    let some = group("some", counts(10, 10, 10, 10));
    // one group: Fairlearn says ratio 1.0
    assert_eq!(value(std::slice::from_ref(&some), Metric::SelectionRateRatio).value, None);
    // all selection rates 0: Fairlearn says NaN; the difference is defined
    let nobody = [group("a", counts(0, 0, 10, 10)), group("b", counts(0, 0, 5, 20))];
    assert_eq!(value(&nobody, Metric::SelectionRateRatio).value, None);
    assert_eq!(value(&nobody, Metric::ImpactRatio).value, None);
    assert_eq!(value(&nobody, Metric::SelectionRateDifference).value, Some(0.0));
    assert_eq!(value(&nobody, Metric::PredictiveParityDifference).value, None);
    // only one rate 0: the ratio is 0
    let half = [group("a", counts(0, 0, 10, 10)), some.clone()];
    assert_eq!(value(&half, Metric::SelectionRateRatio).value, Some(0.0));
    // no actual positives: Fairlearn counts the true positive rate as 0 and reports 0.5
    let no_positives = [group("none", counts(0, 10, 0, 10)), some.clone()];
    let opportunity = value(&no_positives, Metric::EqualOpportunityDifference);
    assert_eq!(opportunity.value, None);
    assert_eq!(opportunity.undefined_in, ["group=none"]);
    assert_eq!(value(&no_positives, Metric::EqualizedOdds).value, None);
    assert_eq!(value(&no_positives, Metric::FalsePositiveRateDifference).value, Some(0.0));
    // an empty group is skipped, as Fairlearn does
    let empty = [group("empty", Counts::default()), some, group("more", counts(20, 0, 10, 10))];
    let skipped = value(&empty, Metric::SelectionRateRatio);
    assert_eq!((skipped.value, skipped.undefined_in.len()), (Some(1.0), 0));
}

#[test]
fn rounding_is_to_1e_9_and_keeps_order() {
    assert_eq!(round9(0.123_456_789_4), 0.123_456_789);
    assert_eq!(round9(0.123_456_789_6), 0.123_456_79);
    assert!(round9(-1e-12).is_sign_positive());
    assert_eq!(round9(1e300), 1e300);
    assert!(round9(f64::NAN).is_nan());
    assert!(round9(3_999_999.999_999_999_9) <= round9(4.0e6));
}

#[test]
fn fisher_agrees_with_scipy() {
    let known = [
        (8, 32, 854, 2454, 0.269_293_012_248_588_9),
        (3, 10, 9, 10, 0.019_766_611_097_880_443),
        (0, 60, 9, 60, 0.002_827_525_777_529_172_6),
        (1522, 3696, 1600, 2454, 0.0),
        (5, 5, 5, 5, 1.0),
        (480, 1000, 500, 1000, 0.395_399_678_094_026_1),
    ];
    for (x1, n1, x2, n2, p) in known {
        assert_near(fisher::two_sided(x1, n1, x2, n2).unwrap(), p, 2e-9);
        assert_eq!(fisher::two_sided(x1, n1, x2, n2), fisher::two_sided(x2, n2, x1, n1));
    }
    assert_eq!(fisher::two_sided(0, 0, 1, 2), None);
    assert_eq!(fisher::two_sided(3, 2, 1, 2), None);
    assert_eq!(fisher::two_sided(1, u64::MAX, 1, u64::MAX), None);
    assert!(fisher::two_sided(250_000, 500_000, 250_000, 500_000).is_some());
}

#[test]
fn a_policy_finds_every_metric_by_its_name() {
    for metric in Metric::ALL {
        assert_eq!(Metric::by_name(metric.name()), Some(metric));
        assert_eq!(format!("{metric:?}"), metric.name());
    }
    assert_eq!(Metric::by_name("selection rate ratio"), None);
}
