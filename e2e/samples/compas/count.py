"""Counts the outcomes of the COMPAS recidivism score by race. Standard library only.

    python3 count.py PATH/compas-scores-two-years.csv

prints `race,n,tp,fp,fn,tn`: positive is a new offence within two years, predicted positive is a decile score of 5 or
more ("medium" or "high" risk). Predicted positive is the unfavourable outcome. No row and no name is printed.
"""

import csv
import hashlib
import sys

SHA256 = "c451db85908b2f7fef1d83203bedf6b71ecda0d5af468d82ae62178f91d0cc7d"
FLAGGED_FROM = 5


def main(arguments):
    if len(arguments) != 1:
        print("usage: count.py PATH/compas-scores-two-years.csv", file=sys.stderr)
        return 2
    with open(arguments[0], "rb") as file:
        found = hashlib.sha256(file.read()).hexdigest()
    if found != SHA256:
        print(f"wanted sha256 {SHA256}, found {found}", file=sys.stderr)
        return 1
    groups = {}
    with open(arguments[0], newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            flagged, offended = int(row["decile_score"]) >= FLAGGED_FROM, row["two_year_recid"] == "1"
            cell = ("tp" if offended else "fp") if flagged else ("fn" if offended else "tn")
            group = groups.setdefault(row["race"], dict.fromkeys(("n", "tp", "fp", "fn", "tn"), 0))
            group["n"] += 1
            group[cell] += 1
    print("race,n,tp,fp,fn,tn")
    for race, group in sorted(groups.items()):
        print(race, *group.values(), sep=",")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
