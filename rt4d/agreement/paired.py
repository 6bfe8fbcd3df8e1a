"""Two measurements of the same patients: whether one is smaller, by how much, and in which direction, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rt4d.agreement.intervals import LEVEL, Interval
from rt4d.agreement.ranks import SignedRank, hodges_lehmann, hodges_lehmann_interval, signed_rank
from rt4d.errors import InputError
from rt4d.geometry import Floats

Values = Mapping[str, float | None]
"""A measurement of each patient by name; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairedValues:
    """The patients of whom both measurements are there, shape (n,) each. left_out: the others, and why."""

    labels: tuple[str, str]
    quantity: str
    unit: str
    ratio: bool
    patients: tuple[str, ...]
    first: Floats
    second: Floats
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def differences(self) -> Floats:
        """First less second; of ratios, of their logarithms."""
        return np.log(self.first / self.second) if self.ratio else self.first - self.second

    def told(self, difference: float, interval: Interval | None) -> str:
        """A difference with its sign, unit and interval; of ratios, the ratio."""
        shown, *ends = (f"{np.exp(each):.3f}" if self.ratio else f"{each:+.3g}" for each in (difference, *(interval or ())))
        unit = f" {self.unit}" if self.unit and not self.ratio else ""
        return f"{shown}{unit} ({f'95 % {ends[0]} to {ends[1]}' if ends else 'no interval'})"

    def back(self, difference: float) -> float:
        """A difference as it is reported: of ratios, the ratio."""
        return float(np.exp(difference)) if self.ratio else float(difference)

    def head(self) -> str:
        return f"{self.quantity}, {self.labels[0]} against {self.labels[1]}{' (ratio)' if self.ratio else ''}, {len(self.patients)} patients"

    def to_dict(self) -> dict[str, Any]:
        """What was measured, of how many, and who was left out."""
        first, second = self.labels
        told = {"quantity": self.quantity, "unit": self.unit, "first": first, "second": second, "ratio": self.ratio}
        return told | {"n": len(self.patients), "left_out": dict(self.left_out)}

    def named_left_out(self) -> list[str]:
        return [f"left out: {name} ({why})" for name, why in self.left_out.items()]


def pair_up(
    first: Values, second: Values, *, quantity: str, unit: str = "", labels: tuple[str, str] = ("machine", "physician"), ratio: bool = False
) -> PairedValues:
    """The two measurements patient by patient, in the order of the first; who lacks one (for a ratio: has none above 0) is left out by name."""
    patients, left_out = [], {}
    for name in dict.fromkeys([*first, *second]):
        values = [each.get(name) for each in (first, second)]
        if absent := [label for label, value in zip(labels, values, strict=True) if value is None or not np.isfinite(value)]:
            left_out[name] = f"no {quantity} of {' and '.join(absent)}"
        elif ratio and (wrong := [label for label, value in zip(labels, values, strict=True) if value is not None and value <= 0]):
            left_out[name] = f"no ratio: {quantity} of {' and '.join(wrong)} is not above 0"
        else:
            patients.append(name)
    if not patients:
        where = f"{quantity}: {labels[0]}, {labels[1]}"
        raise InputError("No patient has both measurements", where=where, found="; ".join(map(": ".join, left_out.items())) or "no patients")
    columns = [np.array([each[name] for name in patients], dtype=float) for each in (first, second)]
    return PairedValues(
        labels=labels,
        quantity=quantity,
        unit=unit,
        ratio=ratio,
        patients=tuple(patients),
        first=columns[0],
        second=columns[1],
        left_out=left_out,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairedComparison:
    """Which of two measurements is smaller, over patients.

    wilcoxon: the test of the differences. median_difference: Hodges-Lehmann's estimate over all differences, zeros too, and its interval at
    95 % (None below six patients). mean_difference, its interval, t and t_p: Student's paired test; None of a single patient or where all
    differences are the same. For ratios all are those of the logarithms, given back as ratios (t and its p excepted).
    """

    pairs: PairedValues
    wilcoxon: SignedRank
    median_difference: float
    median_interval: Interval | None
    mean_difference: float
    mean_interval: Interval | None
    t: float | None
    t_p: float | None
    words: tuple[str, str] = ("smaller", "larger")

    @property
    def direction(self) -> str:
        """In words: which is smaller in how many patients, and whether that may be chance."""
        first, second = self.pairs.labels
        below, above = (int(np.count_nonzero(sign * self.pairs.differences < 0)) for sign in (1, -1))
        n, equal = len(self.pairs.patients), len(self.pairs.patients) - below - above
        smaller, larger = self.words
        counts = f"{smaller} in {below}, {larger} in {above}" + (f", equal in {equal}" if equal else "") + f" of {n} patients"
        if self.wilcoxon.p_two_sided >= 1 - LEVEL:
            return f"{first} not significantly different from {second}: {counts}"
        return f"{first} significantly {smaller if self.wilcoxon.w_plus < self.wilcoxon.w_minus else larger} than {second}: {counts}"

    def to_dict(self) -> dict[str, Any]:
        back = self.pairs.back
        intervals = {"median_interval": self.median_interval, "mean_interval": self.mean_interval}
        return {
            **self.pairs.to_dict(),
            "direction": self.direction,
            "median_first": float(np.median(self.pairs.first)),
            "median_second": float(np.median(self.pairs.second)),
            "median_difference": back(self.median_difference),
            "mean_difference": back(self.mean_difference),
            **{name: None if each is None else [back(each[0]), back(each[1])] for name, each in intervals.items()},
            "zeros": self.wilcoxon.zeros,
            "w_plus": self.wilcoxon.w_plus,
            "w_minus": self.wilcoxon.w_minus,
            "p": self.wilcoxon.p_two_sided,
            "p_exact": self.wilcoxon.exact,
            "rank_biserial": self.wilcoxon.rank_biserial,
            "t": self.t,
            "t_p": self.t_p,
        }

    def __str__(self) -> str:
        pairs, test = self.pairs, self.wilcoxon
        (first, second), unit = pairs.labels, f" {pairs.unit}" if pairs.unit else ""
        effect = "undefined" if test.rank_biserial is None else f"{test.rank_biserial:+.2f}"
        zeros = f", {test.zeros} equal left out of the ranks" if test.zeros else ""
        student = "undefined" if self.t is None or self.t_p is None else f"t = {self.t:.2f}, p = {self.t_p:.2g}"
        median, mean = ("median ratio", "geometric mean ratio") if pairs.ratio else ("median difference", "mean difference")
        lines = [
            pairs.head(),
            f"median {first} {np.median(pairs.first):.4g}{unit}, {second} {np.median(pairs.second):.4g}{unit}",
            self.direction,
            f"Wilcoxon signed-rank p = {test.p_two_sided:.2g} ({'exact' if test.exact else 'normal'}, two-sided{zeros}), rank-biserial {effect}",
            f"{median} (Hodges-Lehmann) {pairs.told(self.median_difference, self.median_interval)}",
            f"{mean} {pairs.told(self.mean_difference, self.mean_interval)}, paired t-test {student}",
        ]
        return "\n".join([*lines, *pairs.named_left_out()])


def compare_paired(
    first: Values,
    second: Values,
    *,
    quantity: str,
    unit: str = "",
    labels: tuple[str, str] = ("machine", "physician"),
    ratio: bool = False,
    words: tuple[str, str] = ("smaller", "larger"),
) -> PairedComparison:
    """Two measurements of the same patients, by name: for example the machine's and the physician's ITV volume.

    ratio: compare logarithms, as suits volumes that differ by orders of magnitude. words: for what is below and above, as the quantity
    wants them. Who lacks a measurement is left out and named.
    """
    pairs = pair_up(first, second, quantity=quantity, unit=unit, labels=labels, ratio=ratio)
    differences = pairs.differences
    mean, mean_interval, t, t_p = _student(differences)
    return PairedComparison(
        pairs=pairs,
        wilcoxon=signed_rank(differences),
        median_difference=hodges_lehmann(differences),
        median_interval=hodges_lehmann_interval(differences, LEVEL),
        mean_difference=mean,
        mean_interval=mean_interval,
        t=t,
        t_p=t_p,
        words=words,
    )


def _student(differences: Floats) -> tuple[float, Interval | None, float | None, float | None]:
    """Mean, its interval, t and two-sided p of Student's paired test."""
    from scipy import stats

    n, mean = len(differences), float(differences.mean())
    error = float(differences.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    if n < 2 or error <= 1e-12 * max(1.0, abs(mean)):
        return mean, None, None, None
    reach = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * error
    return mean, (mean - reach, mean + reach), mean / error, float(2 * stats.t.sf(abs(mean / error), n - 1))
