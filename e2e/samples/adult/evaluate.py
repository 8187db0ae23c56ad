"""Applies a model file to the UCI Adult test set and counts outcomes by sex. Standard library only.

    python3 evaluate.py model-v1.json PATH/adult.test

prints the table `sex,n,tp,fp,fn,tn`: positive is an income above 50K, predicted positive is the favourable outcome
(granted). The committed tables counts-v1.csv and counts-v2.csv are this program's output.

A model file is JSON: numeric columns with transform, mean, scale and weight; categorical columns with a weight for
each value; an intercept; and the probability above which the answer is "granted", for everybody or by sex.
"""

import csv
import json
import sys
from math import exp, log1p

COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship",
    "race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income",
)  # fmt: skip
GROUPS = ("Female", "Male")
TRANSFORMS = {"identity": float, "log1p": lambda v: log1p(float(v))}


def read_rows(path):
    """The rows of adult.data or adult.test as dictionaries; comment and empty lines are left out."""
    with open(path, newline="", encoding="ascii") as file:
        for number, cells in enumerate(csv.reader(file, skipinitialspace=True), 1):
            if not cells or cells[0].startswith("|"):
                continue
            if len(cells) != len(COLUMNS):
                raise ValueError(f"{path}:{number}: wanted {len(COLUMNS)} columns, found {len(cells)}")
            yield dict(zip(COLUMNS, cells, strict=True))


def is_positive(row):
    """Whether the row's income is above 50K (adult.test ends its labels with a full stop)."""
    label = row["income"].removesuffix(".")
    if label not in (">50K", "<=50K"):
        raise ValueError(f"wanted an income of >50K or <=50K, found {label!r}")
    return label == ">50K"


def probability(model, row):
    """The model's probability of an income above 50K for this row."""
    score = model["intercept"]
    for column in model["numeric"]:
        value = TRANSFORMS[column["transform"]](row[column["column"]])
        score += column["weight"] * (value - column["mean"]) / column["scale"]
    for column in model["categorical"]:
        value = row[column["column"]]
        if value not in column["weights"]:
            raise ValueError(f"{column['column']}: the model has no weight for {value!r}")
        score += column["weights"][value]
    return 1 / (1 + exp(-score))


def is_granted(model, row):
    """Whether the model answers "granted" for this row."""
    threshold = model["threshold"]
    limit = threshold["by_sex"][row["sex"]] if "by_sex" in threshold else threshold["all"]
    return probability(model, row) > limit


def count(model, rows):
    """Outcomes by sex, as {"Female": {"n": …, "tp": …, "fp": …, "fn": …, "tn": …}, "Male": …}."""
    groups = {group: {"n": 0, "tp": 0, "fp": 0, "fn": 0, "tn": 0} for group in GROUPS}
    for row in rows:
        group = groups[row["sex"]]
        cell = ("tp" if is_positive(row) else "fp") if is_granted(model, row) else ("fn" if is_positive(row) else "tn")
        group[cell] += 1
        group["n"] += 1
    return groups


def as_csv(groups):
    """The table that `placet report counts` reads."""
    lines = ["sex,n,tp,fp,fn,tn"]
    for name, g in groups.items():
        lines.append(f"{name.lower()},{g['n']},{g['tp']},{g['fp']},{g['fn']},{g['tn']}")
    return "\n".join(lines) + "\n"


def main(arguments):
    if len(arguments) != 2:
        print("usage: evaluate.py MODEL.json PATH/adult.test", file=sys.stderr)
        return 2
    with open(arguments[0], encoding="utf-8") as file:
        model = json.load(file)
    sys.stdout.write(as_csv(count(model, read_rows(arguments[1]))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
