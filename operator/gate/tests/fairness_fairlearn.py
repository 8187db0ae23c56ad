"""Draws tables of counts and says what Fairlearn makes of each: what fairness_fairlearn.rs holds the gate's metrics against.

`python3 fairness_fairlearn.py FILE` writes one JSON object a line: {"groups": {name: [tp, fp, fn, tn]}, "metrics": {name:
value or null}}. Null is where Fairlearn gives a number, or NaN, for what is not defined: a group without trials for a rate, or a
ratio of rates that are all zero. Whether it is defined is worked out from the counts here, not asked of Fairlearn.
"""

import json
import random
import sys
import warnings

import numpy as np
from fairlearn import metrics as fl
from sklearn.metrics import precision_score

warnings.simplefilter("ignore")
TABLES = 150
RATES = {  # numerator and denominator of (tp, fp, fn, tn)
    "selection": (lambda tp, fp, fn, tn: tp + fp, lambda tp, fp, fn, tn: tp + fp + fn + tn),
    "tpr": (lambda tp, fp, fn, tn: tp, lambda tp, fp, fn, tn: tp + fn),
    "fpr": (lambda tp, fp, fn, tn: fp, lambda tp, fp, fn, tn: fp + tn),
    "precision": (lambda tp, fp, fn, tn: tp, lambda tp, fp, fn, tn: tp + fp),
}


def count(draw):
    """None now and then, a few, or some."""
    return draw.choice([0, draw.randint(0, 3), draw.randint(1, 20), draw.randint(1, 60), draw.randint(1, 60)])


def tables():
    draw = random.Random(20260802)
    while True:
        groups = {f"g{i}": [count(draw) for _ in range(4)] for i in range(draw.randint(2, 6))}
        if all(sum(cells) for cells in groups.values()):
            yield groups


def metrics(groups):
    truth, predicted, group = [], [], []
    for name, cells in groups.items():
        for cell, (y, p) in zip(cells, ((1, 1), (0, 1), (1, 0), (0, 0))):
            truth += [y] * cell
            predicted += [p] * cell
            group += [name] * cell
    y, p = np.array(truth), np.array(predicted)
    arguments = {"y_true": y, "y_pred": p, "sensitive_features": group}
    frame = fl.MetricFrame(metrics=precision_score, **arguments)

    def defined(*rates):
        return all(RATES[rate][1](*cells) for rate in rates for cells in groups.values())

    selected = any(RATES["selection"][0](*cells) for cells in groups.values())
    # Name here; whether it is defined; Fairlearn's, between groups and worst case.
    all_of_them = (
        ("SelectionRateRatio", selected, fl.demographic_parity_ratio(y, p, sensitive_features=group)),
        ("SelectionRateDifference", True, fl.demographic_parity_difference(y, p, method="between_groups", sensitive_features=group)),
        ("EqualOpportunityDifference", defined("tpr"), fl.equal_opportunity_difference(y, p, sensitive_features=group)),
        ("EqualizedOdds", defined("tpr", "fpr"), fl.equalized_odds_difference(y, p, agg="worst_case", sensitive_features=group)),
        ("PredictiveParityDifference", defined("precision"), frame.difference(method="between_groups")),
        ("FalsePositiveRateDifference", defined("fpr"), fl.false_positive_rate_difference(y, p, sensitive_features=group)),
        ("FalseNegativeRateDifference", defined("tpr"), fl.false_negative_rate_difference(y, p, sensitive_features=group)),
    )
    return {name: float(value) if is_defined else None for name, is_defined, value in all_of_them}


def main():
    drawn = tables()
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        for _ in range(TABLES):
            groups = next(drawn)
            print(json.dumps({"groups": groups, "metrics": metrics(groups)}, allow_nan=False), file=out)


main()
