//! The decision rule on cases that a risk officer could check by hand, and on bad input.

#![expect(clippy::float_cmp, reason = "values are rounded to 1e-9 and compared bit for bit on purpose")]
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::collections::BTreeMap;

use placet_gate::fairness::needed::for_comparison;
use placet_gate::fairness::{
    BiasResult, BiasTest, Compare, Comparison, Counts, Criterion, Eligibility, Extended, FairnessError,
    Group, Hold, IneligibleReason, Limit, MAX_ROWS, Measured, Metric, NeededUnit, Observed, PositiveMeans,
    Rate, Table, Towards, Verdict, decide, decide_single, label,
};

fn attributes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn cell(pairs: &[(&str, &str)], tp: i64, fp: i64, fn_: i64, tn: i64) -> Group {
    let counts = Counts::new(tp + fp + fn_ + tn, tp, fp, fn_, tn).unwrap();
    Group { attributes: attributes(pairs), counts }
}

/// A group by sex of which `selected` of `n` are selected; a third of each side actually positive.
fn sex(value: &str, selected: i64, n: i64) -> Group {
    let (tp, fn_) = (selected / 3, (n - selected) / 3);
    cell(&[("sex", value)], tp, selected - tp, fn_, n - selected - fn_)
}

fn criterion(metric: Metric, threshold: f64) -> Criterion {
    Criterion {
        metric,
        threshold,
        compare: Compare::MinMax,
        confidence: 0.95,
        eligibility: Eligibility::default(),
    }
}

fn test_of(sets: &[&[&str]], criteria: Vec<Criterion>) -> BiasTest {
    BiasTest {
        attribute_sets: sets.iter().map(|set| set.iter().map(|name| (*name).to_owned()).collect()).collect(),
        criteria,
        accepted_groups: Vec::new(),
        metrics: 1,
    }
}

fn four_fifths() -> BiasTest {
    test_of(&[&["sex"]], vec![criterion(Metric::SelectionRateRatio, 0.8)])
}

fn judge(groups: &[Group], test: &BiasTest) -> BiasResult {
    decide(&Table::new(groups, PositiveMeans::Favourable, None).unwrap(), test).unwrap()
}

fn worst(result: &BiasResult) -> &Comparison {
    &result.comparisons[result.worst.unwrap()]
}

fn compas() -> Vec<Group> {
    vec![
        cell(&[("race", "African-American")], 1369, 805, 532, 990),
        cell(&[("race", "Caucasian")], 505, 349, 461, 1139),
    ]
}

#[test]
fn compas_fails_four_fifths_on_the_favourable_outcome() {
    let groups = compas();
    let table = Table::new(&groups, PositiveMeans::Unfavourable, Some(6150)).unwrap();
    let test = test_of(&[&["race"]], vec![criterion(Metric::SelectionRateRatio, 0.8)]);
    let result = decide(&table, &test).unwrap();
    assert_eq!(result.verdict, Verdict::Fail);
    let comparison = worst(&result);
    assert_eq!(comparison.a.label, "race=African-American");
    assert_eq!(comparison.a.observed, Observed::Rate { successes: 1522, trials: 3696 });
    assert_eq!(comparison.estimate, Some(Extended::Finite(0.631_592_938)));
    let interval = comparison.interval.unwrap();
    assert_eq!((interval.lower, interval.upper), (0.601_891_645, Extended::Finite(0.662_759_889)));
    assert_eq!(comparison.corrected, comparison.interval, "one comparison needs no correction");
    assert_eq!(result.values[0].values[0].value, Some(0.631_592_938));
    assert!(result.needed.is_empty() && result.holds.is_empty());
}

#[test]
fn compas_passes_predictive_parity_and_fails_equalized_odds() {
    let groups = compas();
    let parity =
        judge(&groups, &test_of(&[&["race"]], vec![criterion(Metric::PredictiveParityDifference, 0.1)]));
    assert_eq!(parity.verdict, Verdict::Pass);
    let odds = judge(&groups, &test_of(&[&["race"]], vec![criterion(Metric::EqualizedOdds, 0.1)]));
    assert_eq!(odds.verdict, Verdict::Fail);
    assert_eq!(odds.comparisons.len(), 2, "its two components are separate comparisons");
    assert_eq!(odds.family, 2);
    assert_eq!(
        odds.comparisons.iter().map(|c| c.rate.unwrap()).collect::<Vec<_>>(),
        [Rate::TruePositive, Rate::FalsePositive]
    );
    assert_eq!(odds.comparisons[0].corrected_confidence, 0.975);
    assert_eq!(worst(&odds).rate, Some(Rate::FalsePositive), "0.214 against 0.197");
}

#[test]
fn a_small_group_below_four_fifths_is_indeterminate_not_failed() {
    // 8 of 32 against 854 of 2454: ratio 0.718, Katz 0.393 to 1.312
    let groups = [sex("small", 8, 32), sex("large", 854, 2454)];
    let mut test = four_fifths();
    test.criteria[0].eligibility.min_rows = 30;
    let result = judge(&groups, &test);
    assert_eq!(result.verdict, Verdict::Indeterminate);
    assert_eq!(worst(&result).estimate, Some(Extended::Finite(0.718_384_075)));
    assert!(result.holds.is_empty(), "nothing but the interval leaves it open");
    let [needed] = &result.needed[..] else { panic!("{:?}", result.needed) };
    assert_eq!(needed.group, "sex=small");
    assert_eq!((needed.unit, needed.towards), (NeededUnit::Rows, Towards::Fail));
    // what is said to be needed, at the same rate, decides; a good part less does not
    let scaled = |more: u64| {
        let n = i64::try_from(32 + more).unwrap() / 4 * 4;
        judge(&[sex("small", n / 4, n), sex("large", 854, 2454)], &test).verdict
    };
    assert_eq!(scaled(needed.more + 3), Verdict::Fail);
    assert_eq!(scaled(needed.more * 9 / 10), Verdict::Indeterminate);
}

#[test]
fn equality_passes() {
    // an exact limit: the upper bound of 0 of 60 against 9 of 60 is 0.451826877
    let groups = [sex("a", 0, 60), sex("b", 9, 60)];
    let mut test = four_fifths();
    test.criteria[0].eligibility.min_rows = 1;
    test.criteria[0].threshold = 0.451_826_877;
    assert_eq!(judge(&groups, &test).verdict, Verdict::Indeterminate, "U < t is not so");
    test.criteria[0].threshold = 0.451_826_878;
    assert_eq!(judge(&groups, &test).verdict, Verdict::Fail);
    // 50 of 50 against 50 of 50 is 0.928652401 to 1.076829176; 1 / 0.928652401 lies above
    let all = [sex("a", 50, 50), sex("b", 50, 50)];
    test.criteria[0].threshold = 0.928_652_401;
    assert_eq!(judge(&all, &test).verdict, Verdict::Pass);
    test.criteria[0].threshold = 0.928_652_402;
    assert_eq!(judge(&all, &test).verdict, Verdict::Indeterminate);
}

#[test]
fn both_sides_of_a_ratio_must_hold() {
    // favouring the other group as strongly is as bad: 900 of 1000 against the reference's 500 of 1000
    let groups = [sex("female", 900, 1000), sex("male", 500, 1000)];
    let mut test = four_fifths();
    test.criteria[0].compare = Compare::Reference(attributes(&[("sex", "male")]));
    let result = judge(&groups, &test);
    assert_eq!(result.verdict, Verdict::Fail);
    assert_eq!(worst(&result).b.as_ref().unwrap().label, "sex=male");
    assert_eq!(worst(&result).estimate, Some(Extended::Finite(1.8)));
}

#[test]
fn a_reference_that_nobody_is_holds() {
    let groups = [sex("female", 500, 1000), sex("male", 500, 1000), sex("other", 5, 10)];
    for reference in [&[("sex", "nobody")][..], &[("sex", "other")], &[("gender", "male")], &[]] {
        let mut test = four_fifths();
        test.criteria[0].compare = Compare::Reference(attributes(reference));
        let result = judge(&groups, &test);
        assert_eq!(result.verdict, Verdict::Indeterminate);
        assert!(result.holds.contains(&Hold::NoReference { set: 0, criterion: 0 }));
    }
}

#[test]
fn reference_mode_compares_with_the_reference_only() {
    let groups = [sex("a", 500, 1000), sex("b", 5000, 10000), sex("c", 5000, 10000)];
    let mut test = four_fifths();
    assert_eq!(judge(&groups, &test).comparisons.len(), 3);
    test.criteria[0].compare = Compare::Reference(attributes(&[("sex", "b"), ("age", "unused here")]));
    let result = judge(&groups, &test);
    assert_eq!((result.comparisons.len(), result.family), (2, 2));
    assert!(result.comparisons.iter().all(|comparison| comparison.b.as_ref().unwrap().label == "sex=b"));
    assert_eq!(result.verdict, Verdict::Pass);
}

#[test]
fn impact_ratio_compares_with_the_category_selected_most() {
    let groups = [sex("a", 5400, 10000), sex("b", 6000, 10000), sex("c", 5700, 10000)];
    let mut test = four_fifths();
    test.criteria[0].metric = Metric::ImpactRatio;
    test.criteria[0].compare = Compare::Reference(attributes(&[("sex", "a")]));
    let result = judge(&groups, &test);
    assert_eq!((result.verdict, result.comparisons.len()), (Verdict::Pass, 2));
    assert!(result.comparisons.iter().all(|comparison| comparison.b.as_ref().unwrap().label == "sex=b"));
    assert_eq!(result.family, 3, "the data chose the category: corrected for all pairs");
    assert_eq!(worst(&result).estimate, Some(Extended::Finite(0.9)));
}

#[test]
fn failing_is_corrected_for_the_number_of_comparisons() {
    // alone it fails; among ten groups, 45 comparisons, the same numbers no longer do
    let pair = [sex("a", 340, 1000), sex("b", 485, 1000)];
    assert_eq!(judge(&pair, &four_fifths()).verdict, Verdict::Fail);
    let mut many = pair.to_vec();
    for name in ["c", "d", "e", "f", "g", "h", "i", "j"] {
        many.push(sex(name, 420, 1000));
    }
    let result = judge(&many, &four_fifths());
    assert_eq!(result.family, 45);
    assert_eq!(worst(&result).corrected_confidence, 0.998_888_889);
    assert_eq!(result.verdict, Verdict::Indeterminate);
    // the interval by which it would pass stays uncorrected
    assert_eq!(worst(&result).interval, worst(&judge(&pair, &four_fifths())).interval);
}

#[test]
fn passing_is_not_corrected() {
    // each pair: Katz 0.822 to 1.217 at 95 %, and 0.787 to 1.271 at the corrected 98.3 %
    let groups = [sex("a", 100, 200), sex("b", 100, 200), sex("c", 100, 200)];
    let result = judge(&groups, &four_fifths());
    assert_eq!(result.verdict, Verdict::Pass);
    assert!(worst(&result).interval.unwrap().lower >= 0.8);
    assert!(worst(&result).corrected.unwrap().lower < 0.8);
}

#[test]
fn minimums_are_met_by_equality() {
    let groups = |positives: i64, negatives: i64| {
        [cell(&[("sex", "a")], positives, 0, 0, negatives), cell(&[("sex", "b")], 500, 500, 500, 500)]
    };
    let reason = |positives, negatives, metric| {
        let test = test_of(&[&["sex"]], vec![criterion(metric, 0.1)]);
        judge(&groups(positives, negatives), &test).ineligible.first().map(|group| group.reason)
    };
    assert_eq!(reason(20, 80, Metric::EqualizedOdds), None);
    assert_eq!(reason(80, 20, Metric::EqualizedOdds), None);
    let positives = Some(IneligibleReason::TooFewPositives { wanted: 20, found: 19 });
    assert_eq!(reason(19, 81, Metric::EqualOpportunityDifference), positives);
    assert_eq!(reason(19, 81, Metric::FalseNegativeRateDifference), positives);
    let negatives = Some(IneligibleReason::TooFewNegatives { wanted: 20, found: 19 });
    assert_eq!(reason(81, 19, Metric::EqualizedOdds), negatives);
    assert_eq!(reason(81, 19, Metric::FalsePositiveRateDifference), negatives);
    assert_eq!(reason(19, 81, Metric::SelectionRateRatio), None, "which looks at neither");
}

#[test]
fn several_criteria_and_sets_are_one_family() {
    let mut groups = Vec::new();
    for (s, r) in [("f", "x"), ("f", "y"), ("m", "x"), ("m", "y")] {
        groups.push(cell(&[("sex", s), ("race", r)], 4000, 1000, 1000, 4000));
    }
    let test = test_of(
        &[&["sex"], &["sex", "race"], &["race", "sex"]],
        vec![
            criterion(Metric::SelectionRateRatio, 0.8),
            criterion(Metric::EqualizedOdds, 0.1),
            criterion(Metric::SelectionRateRatio, 0.8),
        ],
    );
    let result = judge(&groups, &test);
    assert_eq!(result.verdict, Verdict::Pass);
    // (1 pair + 6 pairs) for the ratio, twice as many for equalized odds; what is given twice counts once
    assert_eq!((result.family, result.comparisons.len()), (21, 21));
    assert_eq!(result.values.len(), 2);
    assert_eq!(result.values[1].groups, 4);
}

#[test]
fn an_ineligible_group_of_a_single_attribute_holds() {
    let groups = [sex("female", 5000, 10000), sex("male", 5000, 10000), sex("(missing)", 10, 99)];
    let mut test = four_fifths();
    let result = judge(&groups, &test);
    assert_eq!(result.verdict, Verdict::Indeterminate);
    assert_eq!(result.comparisons.len(), 1, "it is neither numerator nor denominator");
    assert_eq!(result.comparisons[0].verdict, Verdict::Pass);
    let [listed] = &result.ineligible[..] else { panic!("{:?}", result.ineligible) };
    assert_eq!(listed.group, "sex=(missing)");
    assert_eq!(listed.reason, IneligibleReason::TooFewRows { wanted: 100, found: 99 });
    assert!(listed.holds && !listed.accepted);
    assert_eq!(result.holds, [Hold::IneligibleGroup { ineligible: 0 }]);
    assert_eq!((result.needed[0].more, result.needed[0].towards), (1, Towards::Eligible));
    // the value that is shown uses all groups
    assert_eq!(result.values[0].values[0].value, Some(0.202_020_202));

    // an acceptance alone does not do, nor does the policy's share alone: both together do
    test.accepted_groups = vec![attributes(&[("sex", "(missing)")])];
    assert_eq!(judge(&groups, &test).verdict, Verdict::Indeterminate);
    test.criteria[0].eligibility.exclude_below_share = Some(0.02);
    let accepted = judge(&groups, &test);
    assert_eq!(accepted.verdict, Verdict::Pass);
    assert!(accepted.ineligible[0].accepted && !accepted.ineligible[0].holds);
    test.accepted_groups.clear();
    assert_eq!(judge(&groups, &test).verdict, Verdict::Indeterminate);
    // an acceptance of a part of the group is none of the group
    test.accepted_groups = vec![attributes(&[("sex", "(missing)"), ("race", "x")])];
    assert_eq!(judge(&groups, &test).verdict, Verdict::Indeterminate);
    // the share must lie below what the policy says
    test.accepted_groups = vec![attributes(&[("sex", "(missing)")])];
    test.criteria[0].eligibility.exclude_below_share = Some(0.004);
    assert_eq!(judge(&groups, &test).verdict, Verdict::Indeterminate);
}

#[test]
fn an_acceptance_never_hides_a_group_that_can_be_compared() {
    let groups = [sex("female", 5000, 10000), sex("male", 5000, 10000), sex("other", 1, 150)];
    let mut test = four_fifths();
    test.criteria[0].eligibility.exclude_below_share = Some(0.02);
    test.accepted_groups = vec![attributes(&[("sex", "other")])];
    assert_eq!(judge(&groups, &test).verdict, Verdict::Fail);
}

#[test]
fn small_intersections_are_tolerated_up_to_a_share_of_rows() {
    let cells = |small: i64| {
        vec![
            cell(&[("sex", "f"), ("race", "x")], 2500, 0, 0, 2500),
            cell(&[("sex", "m"), ("race", "x")], 2500, 0, 0, 2500),
            cell(&[("sex", "m"), ("race", "y")], 0, small, 0, 0),
        ]
    };
    let mut test = test_of(&[&["race", "sex"]], vec![criterion(Metric::SelectionRateRatio, 0.8)]);
    let tolerated = judge(&cells(49), &test);
    assert_eq!(tolerated.verdict, Verdict::Pass);
    assert_eq!(tolerated.ineligible[0].group, "race=y, sex=m");
    assert!(!tolerated.ineligible[0].holds, "listed all the same");
    test.criteria[0].eligibility.min_intersection_rows = 1000;
    let held = judge(&cells(600), &test);
    assert_eq!(held.verdict, Verdict::Indeterminate);
    assert!(held.ineligible[0].holds);
    let [Hold::IneligibleIntersections { share, tolerated, .. }] = held.holds[..] else { panic!() };
    assert_eq!((share, tolerated), (0.056_603_774, 0.05));
}

#[test]
fn marginals_are_sums_of_cells_and_never_compared_with_them() {
    let cells = [
        cell(&[("sex", "f"), ("race", "x")], 100, 20, 30, 250),
        cell(&[("sex", "f"), ("race", "y")], 50, 10, 20, 120),
        cell(&[("sex", "m"), ("race", "x")], 150, 30, 10, 310),
        cell(&[("sex", "m"), ("race", "(missing)")], 1, 2, 3, 4),
    ];
    let table = Table::new(&cells, PositiveMeans::Favourable, Some(1110)).unwrap();
    let by_sex = table.groups(&["sex".to_owned()]).unwrap();
    assert_eq!(by_sex.iter().map(|group| group.label.as_str()).collect::<Vec<_>>(), ["sex=f", "sex=m"]);
    assert_eq!(by_sex[0].counts, Counts::new(600, 150, 30, 50, 370).unwrap());
    let by_race = table.groups(&["race".to_owned()]).unwrap();
    assert_eq!(by_race[0].label, "race=(missing)", "a category like any other");
    assert_eq!(by_race[0].counts.n(), 10);
    let both = table.groups(&["sex".to_owned(), "race".to_owned()]).unwrap();
    assert_eq!(both[0].label, "race=(missing), sex=m");
    assert_eq!(both.len(), 4);
    let test = test_of(&[&["sex"], &["sex", "race"]], vec![criterion(Metric::SelectionRateRatio, 0.8)]);
    for comparison in &decide(&table, &test).unwrap().comparisons {
        assert_eq!(
            comparison.a.label.contains("race"),
            comparison.b.as_ref().unwrap().label.contains("race")
        );
    }
}

#[test]
fn fewer_than_two_groups_both_rates_zero_and_empty_denominators_are_indeterminate() {
    let one = judge(&[sex("female", 50, 200)], &four_fifths());
    assert_eq!(one.verdict, Verdict::Indeterminate);
    assert_eq!(one.holds, [Hold::TooFewGroups { set: 0, criterion: 0, eligible: 1 }]);
    assert_eq!(one.worst, None);

    let nobody = judge(&[sex("a", 0, 500), sex("b", 0, 500)], &four_fifths());
    assert_eq!(nobody.verdict, Verdict::Indeterminate);
    assert_eq!(nobody.holds, [Hold::Undefined { comparison: 0 }]);
    assert_eq!((worst(&nobody).estimate, worst(&nobody).interval), (None, None));
    assert!(nobody.needed.is_empty(), "no number of rows gives 0/0 a value");

    // no predicted positives in one group
    let parity = test_of(&[&["sex"]], vec![criterion(Metric::PredictiveParityDifference, 0.1)]);
    let result = judge(&[sex("a", 0, 500), sex("b", 250, 500)], &parity);
    assert_eq!(result.verdict, Verdict::Indeterminate);
    assert_eq!(result.holds, [Hold::Undefined { comparison: 0 }]);

    // no actual positives, also with a minimum of none
    let mut opportunity = test_of(&[&["sex"]], vec![criterion(Metric::EqualOpportunityDifference, 0.1)]);
    let groups = [cell(&[("sex", "a")], 0, 100, 0, 400), cell(&[("sex", "b")], 100, 100, 100, 400)];
    let result = judge(&groups, &opportunity);
    assert_eq!(result.ineligible[0].reason, IneligibleReason::TooFewPositives { wanted: 20, found: 0 });
    assert_eq!(result.needed[0].unit, NeededUnit::ActualPositives);
    opportunity.criteria[0].eligibility.min_positives = 0;
    let result = judge(&groups, &opportunity);
    assert_eq!(result.verdict, Verdict::Indeterminate);
    assert_eq!(result.holds, [Hold::Undefined { comparison: 0 }]);

    // an empty group holds even where no minimum is asked for
    let mut test = four_fifths();
    test.criteria[0].eligibility.min_rows = 0;
    let empty = judge(&[sex("a", 500, 1000), sex("b", 500, 1000), sex("c", 0, 0)], &test);
    assert_eq!(empty.verdict, Verdict::Indeterminate);
    assert_eq!(empty.ineligible[0].reason, IneligibleReason::Empty { wanted: 1 });

    // a test that asks nothing shows nothing
    for test in [test_of(&[], four_fifths().criteria), test_of(&[&["sex"]], Vec::new())] {
        let result = judge(&[sex("a", 500, 1000), sex("b", 500, 1000)], &test);
        assert_eq!((result.verdict, &result.holds[..]), (Verdict::Indeterminate, &[Hold::NothingAsked][..]));
    }
}

#[test]
fn a_reference_never_selected_gives_an_infinite_ratio_that_can_fail() {
    let groups = [sex("a", 300, 600), sex("b", 0, 600)];
    let mut test = four_fifths();
    test.criteria[0].compare = Compare::Reference(attributes(&[("sex", "b")]));
    let result = judge(&groups, &test);
    assert_eq!(worst(&result).estimate, Some(Extended::Infinite));
    assert_eq!(worst(&result).interval.unwrap().upper, Extended::Infinite);
    assert_eq!(result.verdict, Verdict::Fail);
}

#[test]
fn a_failure_shows_even_when_a_group_is_too_small() {
    let groups = [sex("a", 100, 1000), sex("b", 500, 1000), sex("c", 5, 10)];
    assert_eq!(judge(&groups, &four_fifths()).verdict, Verdict::Fail);
}

#[test]
fn needed_rows_grow_both_groups_when_one_is_not_enough() {
    // true parity at 10 %: about 3,800 rows per group pass with 80 % power; at the observed parity fewer do
    let groups = [sex("a", 50, 500), sex("b", 50, 500)];
    let result = judge(&groups, &four_fifths());
    let [a, b] = &result.needed[..] else { panic!("{:?}", result.needed) };
    assert_eq!((a.towards, b.towards, a.more), (Towards::Pass, Towards::Pass, b.more));
    let at = |more: u64| {
        let n = i64::try_from((500 + more).next_multiple_of(10)).unwrap();
        judge(&[sex("a", n / 10, n), sex("b", n / 10, n)], &four_fifths()).verdict
    };
    assert_eq!(at(a.more), Verdict::Pass);
    assert_eq!(at(a.more * 99 / 100 - 10), Verdict::Indeterminate);
    // exactly at the threshold no number of rows decides
    let edge = judge(&[sex("a", 80, 200), sex("b", 100, 200)], &four_fifths());
    assert_eq!((edge.verdict, edge.needed.len()), (Verdict::Indeterminate, 0));
    // the others can be asked for
    assert_eq!(for_comparison(worst(&result), &four_fifths().criteria[0], result.family), result.needed);
}

#[test]
fn bad_counts_say_what_was_wanted_and_found() {
    let message = |n, tp, fp, fn_, tn| Counts::new(n, tp, fp, fn_, tn).unwrap_err().to_string();
    assert!(message(10, 1, 2, 3, 5).contains("wanted n = 10, found 11"));
    assert!(message(10, -1, 2, 3, 6).contains("count tp: wanted 0 or more, found -1"));
    assert!(message(-10, 0, 0, 0, 0).contains("count n"));
    assert!(message(i64::MAX, i64::MAX, 0, 0, 0).contains("wanted at most 9007199254740992"));
    let most = i64::try_from(MAX_ROWS).unwrap();
    assert!(Counts::new(most, most, 0, 0, 0).is_ok());
    assert!(message(most, most, most, most, most).contains("found 36028797018963968"));
}

#[test]
fn bad_tables_and_questions_are_refused() {
    let new = |groups: &[Group], rows| Table::new(groups, PositiveMeans::Favourable, rows).map(|_| ());
    let pair = [sex("a", 5, 10), sex("b", 5, 10)];
    assert_eq!(new(&[], None), Err(FairnessError::NoGroups));
    assert_eq!(new(&pair, Some(20)), Ok(()));
    assert_eq!(new(&pair, Some(21)), Err(FairnessError::RowsDoNotAddUp { wanted: 21, found: 20 }));
    let twice = [sex("a", 5, 10), sex("b", 1, 2), sex("a", 6, 10)];
    assert_eq!(new(&twice, None), Err(FairnessError::DuplicateGroup { group: "sex=a".to_owned() }));
    let mixed = [sex("a", 5, 10), cell(&[("race", "x")], 1, 1, 1, 1)];
    assert!(matches!(new(&mixed, None), Err(FairnessError::AttributesDiffer { .. })));
    let most = i64::try_from(MAX_ROWS).unwrap();
    let huge = [cell(&[("sex", "a")], most, 0, 0, 0), cell(&[("sex", "b")], 1, 0, 0, 0)];
    assert_eq!(new(&huge, None), Err(FairnessError::TooManyRows));

    let table = Table::new(&pair, PositiveMeans::Favourable, None).unwrap();
    let ask = |sets: &[&[&str]]| decide(&table, &test_of(sets, four_fifths().criteria));
    assert!(matches!(ask(&[&["age"]]), Err(FairnessError::AttributeMissing { .. })));
    assert!(matches!(ask(&[&[]]), Err(FairnessError::BadAttributeSet { .. })));
    assert!(matches!(ask(&[&["sex", "sex"]]), Err(FairnessError::BadAttributeSet { .. })));
    for (threshold, metric) in [
        (0.0, Metric::SelectionRateRatio),
        (1e-12, Metric::SelectionRateRatio),
        (1.25, Metric::SelectionRateRatio),
        (f64::NAN, Metric::ImpactRatio),
        (-0.1, Metric::EqualizedOdds),
        (f64::INFINITY, Metric::EqualizedOdds),
        (f64::NAN, Metric::SelectionRateDifference),
    ] {
        assert!(criterion(metric, threshold).check().is_err(), "{threshold}");
    }
    for confidence in [0.0, 0.49, 1.0, 0.999_999_999_9, f64::NAN, -1.0] {
        let criterion = Criterion { confidence, ..criterion(Metric::EqualizedOdds, 0.1) };
        assert!(criterion.check().is_err(), "{confidence}");
    }
    let many: Vec<Group> = (0..201).map(|index| sex(&format!("{index:03}"), 50, 100)).collect();
    let table = Table::new(&many, PositiveMeans::Favourable, None).unwrap();
    assert_eq!(decide(&table, &four_fifths()), Err(FairnessError::TooManyGroups { wanted: 200, found: 201 }));
    assert_eq!(label(&attributes(&[("sex", "f"), ("race", "x")])), "race=x, sex=f");
}

#[test]
fn single_values() {
    let at_95 = |measured, limit| decide_single(measured, limit, 0.95).unwrap();
    // Wilson of 95 of 100: 0.8882 to 0.9785
    let share = Measured::Proportion { successes: 95, n: 100 };
    let result = at_95(share, Limit::AtLeast(0.88));
    assert_eq!((result.verdict, result.value, result.n), (Verdict::Pass, Some(0.95), Some(100)));
    assert_eq!(at_95(share, Limit::AtLeast(0.98)).verdict, Verdict::Fail);
    assert_eq!(at_95(share, Limit::AtMost(0.98)).verdict, Verdict::Pass);
    assert_eq!(at_95(share, Limit::AtMost(0.88)).verdict, Verdict::Fail);
    let open = at_95(share, Limit::AtLeast(0.9));
    assert_eq!(open.verdict, Verdict::Indeterminate);
    let (more, towards) = open.needed.unwrap();
    assert_eq!(towards, Towards::Pass);
    let n = (100 + more).next_multiple_of(20);
    let enough = Measured::Proportion { successes: n / 20 * 19, n };
    assert_eq!(at_95(enough, Limit::AtLeast(0.9)).verdict, Verdict::Pass);
    let n = (100 + more * 9 / 10) / 20 * 20;
    let short = Measured::Proportion { successes: n / 20 * 19, n };
    assert_eq!(at_95(short, Limit::AtLeast(0.9)).verdict, Verdict::Indeterminate);
    assert_eq!(at_95(share, Limit::AtLeast(0.95)).needed, None, "exactly at the limit");

    let none = at_95(Measured::Proportion { successes: 0, n: 0 }, Limit::AtLeast(0.5));
    assert_eq!((none.verdict, none.value, none.interval), (Verdict::Indeterminate, None, None));
    let reported = Measured::WithInterval { value: 0.9, n: Some(50), lower: 0.85, upper: 0.95 };
    assert_eq!(at_95(reported, Limit::AtLeast(0.85)).verdict, Verdict::Pass, "equality passes");
    assert_eq!(at_95(reported, Limit::AtLeast(0.9)).verdict, Verdict::Indeterminate);
    assert_eq!(
        at_95(Measured::Alone { value: 0.99, n: None }, Limit::AtLeast(0.5)).verdict,
        Verdict::Indeterminate
    );
    assert_eq!(at_95(Measured::Exact { value: 3.0 }, Limit::AtMost(3.0)).verdict, Verdict::Pass);
    assert_eq!(at_95(Measured::Exact { value: 4.0 }, Limit::AtMost(3.0)).verdict, Verdict::Fail);

    let refuse = |measured, limit, confidence| decide_single(measured, limit, confidence).unwrap_err();
    refuse(Measured::Proportion { successes: 2, n: 1 }, Limit::AtLeast(0.5), 0.95);
    refuse(Measured::Proportion { successes: 2, n: u64::MAX }, Limit::AtLeast(0.5), 0.95);
    refuse(Measured::Exact { value: f64::NAN }, Limit::AtLeast(0.5), 0.95);
    refuse(share, Limit::AtMost(f64::INFINITY), 0.95);
    refuse(share, Limit::AtMost(0.5), 1.0);
    refuse(
        Measured::WithInterval { value: 0.9, n: None, lower: 0.95, upper: 0.85 },
        Limit::AtLeast(0.5),
        0.95,
    );
}

#[test]
fn a_result_is_plain_json_without_nan() {
    let groups = [sex("a", 300, 600), sex("b", 0, 600), sex("c", 0, 600)];
    let mut test = four_fifths();
    test.criteria[0].compare = Compare::Reference(attributes(&[("sex", "b")]));
    let json = serde_json::to_string(&judge(&groups, &test)).unwrap();
    assert!(json.contains("\"upper\":\"infinite\""), "{json}");
    assert!(json.contains("\"estimate\":null"), "{json}");
    assert!(json.contains("\"verdict\":\"Fail\""), "{json}");
}
