"""The exporter of docs/importers.md, run with the real Fairlearn, into `placet report import`.

`python3 fairlearn_export.py PLACET DOCS` takes the exporter from the page as it is printed there, lets it count drawn rows of
two attributes, one of them unknown now and then, and compares the TestReport that the command makes of its file with counts
that are made here row by row.
"""

import pathlib
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter

import pandas as pd

DIGEST = "sha256:" + "ab" * 32


def exporter(page):
    """The one Python block of the page."""
    (code,) = re.findall(r"```python\n(.*?)```", pathlib.Path(page).read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(code, names)  # it is ours, and what is tested
    return names["export"]


def main(placet, page):
    draw = random.Random(7)
    rows = [
        (draw.choice(["female", "male", None]), draw.choice(["under 30", "30 and over"]), draw.randint(0, 1), draw.randint(0, 1))
        for _ in range(900)
    ]
    people = pd.DataFrame([row[:2] for row in rows], columns=["sex", "age"])
    truth, predicted = (pd.Series([row[i] for row in rows]) for i in (2, 3))
    wanted = Counter()
    for sex, age, y, p in rows:
        group = (sex or "(missing)", age)
        wanted[group, "rows"] += 1
        wanted[group, {(1, 1): "tp", (0, 1): "fp", (1, 0): "fn", (0, 0): "tn"}[y, p]] += 1
    with tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory, "counts.json")
        exporter(page)(truth, predicted, people, file, "Favourable")
        given = {"--artifact": DIGEST, "--dataset": DIGEST, "--ran-at": "2026-11-22T06:55:00Z"}
        command = [placet, "report", "import", "--from", "counts", file, *(word for pair in given.items() for word in pair)]
        report = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = Counter()
    for line in re.findall(r"^  - \{attributes: .*$", report, re.MULTILINE):
        age, sex = (re.search(rf'{name}: "?([^",}}]+)"?', line).group(1) for name in ("age", "sex"))
        for what in ("rows", "tp", "fp", "fn", "tn"):
            found[(sex, age), what] = int(re.search(rf"\b{what}: (\d+)", line).group(1))
    assert found == wanted, f"wanted {wanted}, found {found} in\n{report}"
    assert "rows: 900\n" in report and "name: fairlearn\n" in report, report
    print(f"{len(rows)} rows in {len(set(g for g, _ in wanted))} groups: the report counts what the rows say")


main(*sys.argv[1:])
