"""Known values for intervals.py: `python3 -m unittest -v` in this directory."""

import unittest
from math import inf

from intervals import decide_ratio, difference, quantile, ratio, wilson

Z = quantile(0.95)


class Intervals(unittest.TestCase):
    def near(self, found, wanted):
        for f, w in zip(found, wanted, strict=True):
            self.assertAlmostEqual(f, w, delta=5e-5)

    def test_quantile(self):
        self.near([Z], [1.959964])

    def test_wilson(self):
        # 0 of 10: upper limit z^2 / (n + z^2)
        self.near(wilson(0, 10, Z), [0.0, 0.277533])

    def test_newcombe(self):
        # Newcombe (1998), table II, contrast (a): 56/70 - 48/80
        self.near(difference(56, 70, 48, 80, Z), [0.2, 0.0524, 0.3339])

    def test_katz_on_compas(self):
        self.near(ratio(854, 2454, 2174, 3696, Z)[:3], [0.5916, 0.5569, 0.6285])
        self.near(ratio(8, 32, 854, 2454, Z)[1:3], [0.3933, 1.3123])

    def test_mover_r_where_katz_has_no_width_or_no_value(self):
        self.near(ratio(50, 50, 50, 50, Z)[1:3], [0.9287, 1.0768])
        self.near(ratio(0, 60, 9, 60, Z)[1:3], [0.0, 0.4518])
        value, lower, upper, method = ratio(9, 60, 0, 60, Z)
        self.assertEqual((value, upper, method), (inf, inf, "MOVER-R"))
        self.assertAlmostEqual(lower, 1 / 0.4518, delta=5e-4)

    def test_no_ratio(self):
        with self.assertRaises(ValueError):
            ratio(0, 60, 0, 60, Z)

    def test_decision(self):
        self.assertEqual(decide_ratio((0.8, 1.25), (0.8, 1.25), 0.8), "Pass")
        self.assertEqual(decide_ratio((0.5, 0.79), (0.5, 0.79), 0.8), "Fail")
        self.assertEqual(decide_ratio((1.26, 1.5), (1.26, 1.5), 0.8), "Fail")
        self.assertEqual(decide_ratio((0.75, 0.85), (0.74, 0.86), 0.8), "Indeterminate")
        # below the threshold at 95 %, not at the corrected confidence
        self.assertEqual(decide_ratio((0.70, 0.79), (0.69, 0.81), 0.8), "Indeterminate")
        self.assertEqual(decide_ratio((0.9, 1.3), (0.9, 1.3), 0.8), "Indeterminate")


if __name__ == "__main__":
    unittest.main()
