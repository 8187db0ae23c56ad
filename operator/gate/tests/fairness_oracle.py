"""Where the constants in fairness_goldens.rs come from.

Run once, by hand, with Python 3.11 and `pip install fairlearn==0.15.0 scikit-learn==1.9.1 scipy==1.17.1
statsmodels==0.15.0 mpmath==1.4.1`; the numbers it prints were copied into fairness_goldens.rs. Nothing runs it in
a build.

Metrics: Fairlearn 0.15.0 on rows expanded from the counts. z: the normal quantile of mpmath at 40 digits.
Intervals: statsmodels (Wilson; Newcombe's method 10; Katz' log interval). MOVER-R: the formula of Donner & Zou
in its published form, evaluated with mpmath at 40 digits from exact Wilson limits, so that it shares neither
code nor rounding with the implementation. Fisher's exact test: scipy.
"""

import warnings

import mpmath as mp
import numpy as np
import pandas as pd
from fairlearn import metrics as fl
from scipy.stats import fisher_exact
from sklearn.metrics import precision_score
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

warnings.simplefilter("ignore")
mp.mp.dps = 40

# label -> (tp, fp, fn, tn)
TABLES = {
    "compas": {"African-American": (1369, 805, 532, 990), "Caucasian": (505, 349, 461, 1139)},
    "loans": {"female": (240, 60, 160, 1540), "male": (700, 200, 300, 1800)},
    "three": {"a": (30, 10, 20, 40), "b": (15, 25, 5, 155), "c": (70, 7, 13, 210)},
}


def rows(table, swap):
    """Rows (truth, prediction, group); with swap the negative label is the favourable one."""
    truth, predicted, group = [], [], []
    for name, (tp, fp, fn, tn) in table.items():
        for count, y, p in ((tp, 1, 1), (fp, 0, 1), (fn, 1, 0), (tn, 0, 0)):
            truth += [1 - y if swap else y] * count
            predicted += [1 - p if swap else p] * count
            group += [name] * count
    return np.array(truth), np.array(predicted), pd.Series(group)


def metrics():
    for name, table in TABLES.items():
        for swap in (False, True):
            y, p, g = rows(table, swap)
            precision = fl.MetricFrame(metrics=precision_score, y_true=y, y_pred=p, sensitive_features=g)
            print(name, "Unfavourable" if swap else "Favourable")
            for label, value in (
                ("SelectionRateRatio", fl.demographic_parity_ratio(y, p, sensitive_features=g)),
                ("SelectionRateDifference", fl.demographic_parity_difference(y, p, sensitive_features=g)),
                ("EqualOpportunityDifference", fl.equal_opportunity_difference(y, p, sensitive_features=g)),
                ("EqualizedOdds", fl.equalized_odds_difference(y, p, sensitive_features=g)),
                ("PredictiveParityDifference", precision.difference()),
                ("FalsePositiveRateDifference", fl.false_positive_rate_difference(y, p, sensitive_features=g)),
                ("FalseNegativeRateDifference", fl.false_negative_rate_difference(y, p, sensitive_features=g)),
            ):
                print("   ", label, repr(float(value)))


def z_of(confidence, comparisons=1):
    tail = (1 - mp.mpf(confidence)) / (2 * comparisons)
    return mp.sqrt(2) * mp.erfinv(1 - 2 * tail)


def exact_wilson(x, n, z):
    p, s = mp.mpf(x) / n, z * mp.sqrt(mp.mpf(x) * (n - x) / n + z * z / 4)
    return (x + z * z / 2 - s) / (n + z * z), (x + z * z / 2 + s) / (n + z * z)


def mover_r(x1, n1, x2, n2, z):
    p1, p2 = mp.mpf(x1) / n1, mp.mpf(x2) / n2
    (l1, u1), (l2, u2) = exact_wilson(x1, n1, z), exact_wilson(x2, n2, z)
    l1, l2 = (mp.mpf(0) if x == 0 else low for x, low in ((x1, l1), (x2, l2)))
    a, b, c = p1 * p2, l1 * (2 * p1 - l1), u2 * (2 * p2 - u2)
    d, e = u1 * (2 * p1 - u1), l2 * (2 * p2 - l2)
    lower = mp.mpf(0) if b <= 0 else b / (a + mp.sqrt(a * a - b * c))
    upper = mp.inf if e == 0 else (a + mp.sqrt(a * a - d * e)) / e
    return lower, upper


def intervals():
    for text in ("0.5", "0.8", "0.9", "0.95", "0.99", "0.999", "0.999999"):
        print("z", text, mp.nstr(z_of(text), 15))
    print("z 0.95 / 3", mp.nstr(z_of("0.95", 3), 15), "z 0.95 / 190", mp.nstr(z_of("0.95", 190), 15))
    for x, n in ((0, 10), (1, 10), (8, 32), (10, 10), (2174, 3696)):
        print("wilson", x, n, *map(repr, map(float, proportion_confint(x, n, 0.05, "wilson"))))
    for pair in ((56, 70, 48, 80), (9, 10, 3, 10), (2174, 3696, 854, 2454), (10, 10, 0, 20)):
        print("newcombe", pair, *map(repr, map(float, confint_proportions_2indep(*pair, compare="diff", method="newcomb"))))
    for pair in ((854, 2454, 2174, 3696), (8, 32, 854, 2454), (1522, 3696, 1600, 2454), (1179, 10771, 6662, 21790)):
        print("katz", pair, *map(repr, map(float, confint_proportions_2indep(*pair, compare="ratio", method="log"))))
    for pair in ((8, 32, 854, 2454), (50, 50, 50, 50), (0, 60, 9, 60), (9, 60, 0, 60), (3, 40, 35, 40)):
        print("mover_r", pair, *(mp.nstr(bound, 15) for bound in mover_r(*pair, z_of("0.95"))))


metrics()
intervals()
for x1, n1, x2, n2 in ((8, 32, 854, 2454), (3, 10, 9, 10), (0, 60, 9, 60), (1522, 3696, 1600, 2454), (5, 5, 5, 5), (480, 1000, 500, 1000)):
    print("fisher", (x1, n1, x2, n2), repr(float(fisher_exact([[x1, n1 - x1], [x2, n2 - x2]]).pvalue)))
