"""Confidence intervals for rates, differences and ratios of two groups, and the three-valued decision on a ratio.

Standard library only. Rates are x successes of n trials. `z` is the two-sided normal quantile of the confidence.

Sources: E. B. Wilson (1927), JASA 22, for a rate; R. G. Newcombe (1998), Statistics in Medicine 17, method 10, for a
difference; D. Katz and others (1978), Biometrics 34, for a ratio; A. Donner and G. Y. Zou (2012), Statistical Methods
in Medical Research 21 (MOVER-R), for a ratio where Katz is not usable.
"""

from math import exp, inf, log, sqrt
from statistics import NormalDist

KATZ_MINIMUM = 5  # least successes and failures in each group for which the log ratio is treated as normal


def quantile(confidence):
    """The z of a two-sided interval at `confidence` (0.95 gives 1.96)."""
    return NormalDist().inv_cdf(1 - (1 - confidence) / 2)


def wilson(x, n, z):
    """Wilson score interval of x/n, as (lower, upper)."""
    if n <= 0 or not 0 <= x <= n:
        raise ValueError(f"wanted 0 <= x <= n and n > 0, found x = {x}, n = {n}")
    p, zz = x / n, z * z
    centre = (p + zz / (2 * n)) / (1 + zz / n)
    half = z / (1 + zz / n) * sqrt(p * (1 - p) / n + zz / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def difference(x1, n1, x2, n2, z):
    """x1/n1 - x2/n2 with its Newcombe interval, as (value, lower, upper)."""
    p1, p2 = x1 / n1, x2 / n2
    (l1, u1), (l2, u2) = wilson(x1, n1, z), wilson(x2, n2, z)
    d = p1 - p2
    return d, d - sqrt((p1 - l1) ** 2 + (u2 - p2) ** 2), d + sqrt((u1 - p1) ** 2 + (p2 - l2) ** 2)


def mean_of_two(x1, n1, x2, n2, z):
    """Mean of two independent rates with its MOVER interval from Wilson limits, as (value, lower, upper).

    Balanced accuracy is this mean for true positive and true negative rate.
    """
    p1, p2 = x1 / n1, x2 / n2
    (l1, u1), (l2, u2) = wilson(x1, n1, z), wilson(x2, n2, z)
    m = (p1 + p2) / 2
    return m, m - sqrt((p1 - l1) ** 2 + (p2 - l2) ** 2) / 2, m + sqrt((u1 - p1) ** 2 + (u2 - p2) ** 2) / 2


def ratio(x1, n1, x2, n2, z):
    """(x1/n1) / (x2/n2) with its interval, as (value, lower, upper, method).

    Katz (log) where every count and its complement is at least KATZ_MINIMUM, otherwise MOVER-R.
    Raises ValueError when both counts are zero: the ratio does not exist.
    """
    if x1 == 0 and x2 == 0:
        raise ValueError("both counts are zero: there is no ratio")
    p1, p2 = x1 / n1, x2 / n2
    value = p1 / p2 if x2 else inf
    if min(x1, x2, n1 - x1, n2 - x2) >= KATZ_MINIMUM:
        half = z * sqrt(1 / x1 - 1 / n1 + 1 / x2 - 1 / n2)
        return value, exp(log(value) - half), exp(log(value) + half), "Katz"
    (l1, u1), (l2, u2) = wilson(x1, n1, z), wilson(x2, n2, z)
    a = p1 * p2
    b, c = l1 * (2 * p1 - l1), u2 * (2 * p2 - u2)
    d, e = u1 * (2 * p1 - u1), l2 * (2 * p2 - l2)
    lower = b / (a + sqrt(a * a - b * c)) if b > 0 else 0.0
    upper = (a + sqrt(a * a - d * e)) / e if e > 0 else inf
    return value, lower, upper, "MOVER-R"


def decide_ratio(interval, bonferroni, threshold):
    """Pass, Fail or Indeterminate for a ratio that may lie between `threshold` and 1/`threshold`.

    `interval` is (lower, upper) at the policy's confidence and decides Pass; `bonferroni` is (lower, upper) at the
    confidence corrected for the number of comparisons and decides Fail. Equality passes.
    """
    if interval[0] >= threshold and interval[1] <= 1 / threshold:
        return "Pass"
    if bonferroni[1] < threshold or bonferroni[0] > 1 / threshold:
        return "Fail"
    return "Indeterminate"
