"""What a regression says of each covariate, and tests that follow a chi-square distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rt4d.geometry import Floats

NORMAL_95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Effect:
    """The logarithm of a hazard ratio with its standard error; the hazard ratio is for one `unit` more of the covariate.

    degrees: of freedom of Student's t, which interval and p value come from; None: the normal distribution.
    """

    coefficient: float
    standard_error: float
    unit: str = "per 1"
    degrees: int | None = None

    @property
    def hazard_ratio(self) -> float:
        return hazard_ratio(self.coefficient)

    @property
    def ci95(self) -> tuple[float, float]:
        reach = _reach_95(self.degrees) * self.standard_error
        return hazard_ratio(self.coefficient - reach), hazard_ratio(self.coefficient + reach)

    @property
    def p(self) -> float:
        """Wald's test of no effect, two-sided."""
        ratio = abs(self.coefficient) / self.standard_error
        if self.degrees is None:
            return math.erfc(ratio / math.sqrt(2))
        from scipy.special import stdtr

        return float(2 * stdtr(self.degrees, -ratio))

    def per(self, units: float, unit: str) -> Effect:
        """The same effect for so many of the present units together: the same p, another hazard ratio."""
        return Effect(self.coefficient * units, self.standard_error * abs(units), unit, self.degrees)

    def to_dict(self) -> dict[str, Any]:
        return {"hazard_ratio": self.hazard_ratio, "ci95": list(self.ci95), "p": self.p, "unit": self.unit}


@dataclass(frozen=True, slots=True)
class ChiSquare:
    """A test whose statistic follows a chi-square distribution with so many degrees of freedom if there is nothing."""

    statistic: float
    degrees: int

    @property
    def p(self) -> float:
        from scipy.special import gammaincc

        return float(gammaincc(self.degrees / 2, max(0.0, self.statistic) / 2))

    def to_dict(self) -> dict[str, Any]:
        return {"statistic": self.statistic, "degrees_of_freedom": self.degrees, "p": self.p}


def span(low: float, high: float) -> str:
    """An interval of hazard ratios in as many decimals as it is good for: '0.85 to 1.11', '1.0009 to 1.0026'."""
    digits = decimals(low, high)
    return f"{told(low, digits)} to {told(high, digits)}"


def told(ratio: float, digits: int) -> str:
    """A hazard ratio with so many decimals, or as a power of ten where that would fill a line."""
    return f"{ratio:.{digits}f}" if ratio < 1e6 else f"{ratio:.2e}"


def decimals(low: float, high: float) -> int:
    """How many decimals tell the ends of an interval apart, at least two."""
    return min(9, max(2, 1 + math.ceil(-math.log10(max(1e-12, high - low)))))


def wald(coefficients: Floats, covariance: Floats) -> ChiSquare:
    """The test that all coefficients are 0."""
    return ChiSquare(float(coefficients @ np.linalg.solve(covariance, coefficients)), len(coefficients))


def _reach_95(degrees: int | None) -> float:
    if degrees is None:
        return NORMAL_95
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))


def hazard_ratio(logarithm: float) -> float:
    """Of its logarithm; what no floating-point number can hold becomes the largest that can be told."""
    return math.exp(min(logarithm, 700.0))
