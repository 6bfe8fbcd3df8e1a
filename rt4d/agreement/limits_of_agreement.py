"""Bland and Altman's limits of agreement between two measurements of the same patients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rt4d.agreement.intervals import LEVEL, Interval
from rt4d.agreement.paired import PairedValues, Values, pair_up
from rt4d.errors import InputError
from rt4d.geometry import Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BlandAltman:
    """How far two measurements of one patient lie apart (Bland & Altman, Lancet 1986).

    bias: the mean of first less second; lower, upper: bias ∓ 1.96 standard deviations (n - 1), between which 95 % of patients are expected.
    Intervals at 95 %: of the bias Student's, of the limits exact for normal differences (non-central t; Carkeet 2015), so not symmetric.
    slope: of the difference over the mean of both (least squares), with interval and p: other than 0, the bias grows with size; None where all
    means are the same or there are only two patients. For ratios all are of logarithms; bias and limits are given back as ratios by to_dict and str.
    """

    pairs: PairedValues
    bias: float
    bias_interval: Interval
    lower: float
    lower_interval: Interval
    upper: float
    upper_interval: Interval
    slope: float | None
    slope_interval: Interval | None
    slope_p: float | None

    @property
    def means(self) -> Floats:
        """The mean of both measurements of each patient; of ratios, of their logarithms. The abscissa of the plot."""
        return _means(self.pairs)

    def to_dict(self) -> dict[str, Any]:
        back = self.pairs.back
        told = {name: (getattr(self, name), getattr(self, f"{name}_interval")) for name in ("bias", "lower", "upper")}
        return {
            **self.pairs.to_dict(),
            **{name: back(value) for name, (value, _) in told.items()},
            **{f"{name}_interval": [back(interval[0]), back(interval[1])] for name, (_, interval) in told.items()},
            "slope": self.slope,
            "slope_interval": None if self.slope_interval is None else list(self.slope_interval),
            "slope_p": self.slope_p,
        }

    def __str__(self) -> str:
        pairs = self.pairs
        limits = zip((self.lower, self.upper), (self.lower_interval, self.upper_interval), strict=True)
        lines = [f"Bland-Altman: {pairs.head()}", f"bias {pairs.told(self.bias, self.bias_interval)}"]
        lines.append("limits of agreement " + " and ".join(pairs.told(limit, interval) for limit, interval in limits))
        if self.slope is not None and self.slope_interval is not None:
            low, high = self.slope_interval
            lines.append(f"proportional bias: slope {self.slope:+.3f} (95 % {low:+.3f} to {high:+.3f}), p = {self.slope_p:.2g}")
        return "\n".join([*lines, *pairs.named_left_out()])


def bland_altman(
    first: Values, second: Values, *, quantity: str, unit: str = "", labels: tuple[str, str] = ("machine", "physician"), ratio: bool = False
) -> BlandAltman:
    """Bias and limits of agreement of two measurements of the same patients, by name. Refused below two patients."""
    pairs = pair_up(first, second, quantity=quantity, unit=unit, labels=labels, ratio=ratio)
    differences = pairs.differences
    if (n := len(differences)) < 2:
        raise InputError("Limits of agreement need patients", where=f"{quantity}: {labels[0]}, {labels[1]}", expected="at least two", found=n)
    bias, deviation = float(differences.mean()), float(differences.std(ddof=1))
    normal, student, near, far = _factors(n)
    slope, slope_interval, slope_p = _proportional(pairs)
    return BlandAltman(
        pairs=pairs,
        bias=bias,
        bias_interval=(bias - student * deviation, bias + student * deviation),
        lower=bias - normal * deviation,
        lower_interval=(bias - far * deviation, bias - near * deviation),
        upper=bias + normal * deviation,
        upper_interval=(bias + near * deviation, bias + far * deviation),
        slope=slope,
        slope_interval=slope_interval,
        slope_p=slope_p,
    )


def _factors(n: int) -> tuple[float, float, float, float]:
    """In standard deviations: the limit from the bias, the half interval of the bias, and both ends of the interval of the limit."""
    from scipy import stats

    normal = float(stats.norm.ppf((1 + LEVEL) / 2))
    student = float(stats.t.ppf((1 + LEVEL) / 2, n - 1) / np.sqrt(n))
    near, far = (float(stats.nct.ppf(tail, n - 1, normal * np.sqrt(n)) / np.sqrt(n)) for tail in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return normal, student, near, far


def _means(pairs: PairedValues) -> Floats:
    return np.log(pairs.first * pairs.second) / 2 if pairs.ratio else (pairs.first + pairs.second) / 2


def _proportional(pairs: PairedValues) -> tuple[float | None, Interval | None, float | None]:
    """Slope of the difference over the mean, its interval and p."""
    from scipy import stats

    means = _means(pairs)
    if len(means) < 3 or np.ptp(means) == 0:
        return None, None, None
    fit = stats.linregress(means, pairs.differences)
    reach = float(stats.t.ppf((1 + LEVEL) / 2, len(means) - 2) * fit.stderr)
    return float(fit.slope), (float(fit.slope) - reach, float(fit.slope) + reach), float(fit.pvalue)
