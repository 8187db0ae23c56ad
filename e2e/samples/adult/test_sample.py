"""Models, counts, results and manifests name the same numbers and digests: `python3 -m unittest -v`, no packages."""

import hashlib
import json
import re
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
MODELS = [(name, RESULTS["models"][name]) for name in ("v1", "v2")]
TEST_SET = RESULTS["datasets"]["adult.test"]["digest"]
TRAINING_SET = RESULTS["datasets"]["adult.data"]["digest"]


def manifest(name):
    return (HERE / "manifests" / name).read_text(encoding="utf-8")


def digest_of(name):
    return "sha256:" + hashlib.sha256((HERE / name).read_bytes()).hexdigest()


def every(pattern, text):
    return re.findall(pattern, text, re.MULTILINE)


class Sample(unittest.TestCase):
    def test_the_models_have_the_digests_that_the_results_name(self):
        for name, facts in MODELS:
            found = hashlib.sha256((HERE / f"model-{name}.json").read_bytes()).hexdigest()
            self.assertEqual(facts["model"]["digest"], f"sha256:{found}")

    def test_counts_add_up_and_are_those_of_the_results(self):
        for name, facts in MODELS:
            header, *lines = (HERE / f"counts-{name}.csv").read_text(encoding="utf-8").splitlines()
            self.assertEqual(header, "sex,n,tp,fp,fn,tn")
            table = {}
            for line in lines:
                sex, *cells = line.split(",")
                table[sex] = dict(zip(("n", "tp", "fp", "fn", "tn"), map(int, cells), strict=True))
            self.assertEqual(table, facts["counts"])
            for group in table.values():
                self.assertEqual(group["n"], sum(group[cell] for cell in ("tp", "fp", "fn", "tn")))
            self.assertEqual(sum(g["n"] for g in table.values()), RESULTS["datasets"]["adult.test"]["rows"])

    def test_bias_reports_hold_these_counts(self):
        for name, facts in MODELS:
            text = manifest(f"report-bias-{name}.yaml")
            pattern = r'\{sex: (\w+)\}, rows: (\d+), tp: (\d+), fp: (\d+), fn: (\d+), tn: (\d+)\}'
            table = {
                sex: dict(zip(("n", "tp", "fp", "fn", "tn"), map(int, cells), strict=True))
                for sex, *cells in every(pattern, text)
            }
            self.assertEqual(table, facts["counts"])
            self.assertIn("positiveMeans: Favourable", text)

    def test_performance_reports_hold_these_values(self):
        for name, facts in MODELS:
            text = manifest(f"report-performance-{name}.yaml")
            pattern = r'- name: (\w+)\n +value: "([\d.]+)"\n +rows: (\d+)\n +lower: "([\d.]+)"\n +upper: "([\d.]+)"'
            table = {metric: tuple(map(float, cells)) for metric, *cells in every(pattern, text)}
            wanted = {
                metric: tuple(float(facts[key][cell]) for cell in ("value", "n", "lower", "upper"))
                for metric, key in (("Accuracy", "accuracy"), ("BalancedAccuracy", "balanced_accuracy"))
            }
            self.assertEqual(table, wanted)

    def test_reports_are_bound_to_model_and_test_set(self):
        for name, facts in MODELS:
            for kind in ("bias", "performance"):
                text = manifest(f"report-{kind}-{name}.yaml")
                self.assertEqual(every(r"^  artifact: (\S+)$", text), [facts["model"]["digest"]])
                self.assertEqual(every(r"^  dataset: (\S+)$", text), [TEST_SET])

    def test_releases_name_model_and_datasets(self):
        for name, facts in MODELS:
            text = manifest(f"release-{name}.yaml")
            digests = every(r"^    digest: (\S+)$", text)
            self.assertEqual(digests[1:], [facts["model"]["digest"], TRAINING_SET, TEST_SET])

    def test_releases_name_the_files_that_made_them(self):
        for name, _ in MODELS:
            text = manifest(f"release-{name}.yaml")
            self.assertEqual(every(r'ModelCard, digest: "(\S+)"', text), [digest_of("README.md")])
            self.assertEqual(every(r"^    configuration: (\S+)$", text), [digest_of("train.py")])
            self.assertEqual(every(r"^    libraries: (\S+)$", text), [digest_of("requirements.txt")])

    def test_datasets_are_those_of_the_releases(self):
        text = manifest("datasets.yaml")
        self.assertEqual(every(r"^  digest: (\S+)$", text), [TRAINING_SET, TEST_SET])
        rows = [RESULTS["datasets"][name]["rows"] for name in ("adult.data", "adult.test")]
        self.assertEqual(list(map(int, every(r"^  rows: (\d+)$", text))), rows)
        sexes = every(r"value: female, rows: (\d+)\}, \{value: male, rows: (\d+)\}", text)
        self.assertEqual([sum(map(int, both)) for both in sexes], rows)
        self.assertEqual(set(every(r'How this sample was made, digest: "(\S+)"', text)), {digest_of("README.md")})
        self.assertEqual(set(every(r'logarithms", digest: "(\S+)"', text)), {digest_of("train.py")})

    def test_the_assessment_covers_the_datasets(self):
        self.assertEqual(every(r"^      digest: (\S+)$", manifest("assessment.yaml")), [TRAINING_SET, TEST_SET])

    def test_deployments_run_the_release_that_they_name(self):
        for name, facts in MODELS:
            text, release = manifest(f"deployment-{name}.yaml"), manifest(f"release-{name}.yaml")
            version = every(r"^  name: (\S+)$", release)
            self.assertEqual(every(r"placet.dev/release: (\S+)$", text), version * 2)
            image = every(r"reference: (\S+scoring-server)\n +digest: (\S+)", release)
            self.assertEqual(every(r"image: (\S+)@(\S+)$", text), image)
            self.assertEqual(every(r"--model-digest=(\S+)$", text), [facts["model"]["digest"]])


if __name__ == "__main__":
    unittest.main()
