"""Intraclass correlation: how much of the spread of a measurement is between patients, and how little between observers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rt4d.agreement.intervals import LEVEL, Interval
from rt4d.agreement.paired import Values
from rt4d.errors import InputError
from rt4d.geometry import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Intraclass:
    """Intraclass correlations of single measurements (Shrout & Fleiss 1979; intervals of McGraw & Wong 1996, at 95 %).

    agreement: ICC(2,1), observers a sample of observers, absolute agreement; consistency: ICC(3,1), these observers only, a constant
    difference between them does not count. None where no measurement differs at all; intervals also None where observers never disagree.
    """

    quantity: str
    observers: tuple[str, ...]
    patients: tuple[str, ...]
    agreement: float | None
    agreement_interval: Interval | None
    consistency: float | None
    consistency_interval: Interval | None
    left_out: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        intervals = {"agreement_interval": self.agreement_interval, "consistency_interval": self.consistency_interval}
        return {
            "quantity": self.quantity,
            "observers": list(self.observers),
            "n": len(self.patients),
            "agreement": self.agreement,
            "consistency": self.consistency,
            **{name: None if each is None else list(each) for name, each in intervals.items()},
            "left_out": dict(self.left_out),
        }

    def __str__(self) -> str:
        who = f"{self.quantity}, {len(self.patients)} patients, {len(self.observers)} observers ({', '.join(self.observers)})"
        lines = [
            f"Intraclass correlation: {who}",
            f"absolute agreement, ICC(2,1)  {_told(self.agreement, self.agreement_interval)}",
            f"consistency, ICC(3,1)         {_told(self.consistency, self.consistency_interval)}",
        ]
        return "\n".join([*lines, *(f"left out: {name} ({why})" for name, why in self.left_out.items())])


def intraclass(by_observer: Mapping[str, Values], *, quantity: str) -> Intraclass:
    """Both correlations of a measurement by two observers or more of the same patients; who lacks one is left out and named."""
    observers = tuple(by_observer)
    patients, left_out = [], {}
    for name in dict.fromkeys(name for values in by_observer.values() for name in values):
        absent = [each for each in observers if (value := by_observer[each].get(name)) is None or not np.isfinite(value)]
        if absent:
            left_out[name] = f"no {quantity} of {', '.join(absent)}"
        else:
            patients.append(name)
    if len(observers) < 2 or len(patients) < 2:
        found = f"{len(observers)} observers, {len(patients)} patients" + (f" (left out: {', '.join(left_out)})" if left_out else "")
        raise InputError("An intraclass correlation needs observers and patients", expected="at least two of each", found=found)
    table = np.array([[by_observer[each][name] for each in observers] for name in patients], dtype=float)
    agreement, consistency = _correlations(table)
    between, among, error = _mean_squares(table)
    n, k = table.shape
    defined = error > 1e-12 * between and between > 0
    return Intraclass(
        quantity=quantity,
        observers=observers,
        patients=tuple(patients),
        agreement=agreement,
        agreement_interval=_agreement_interval(n, k, agreement, (between, among, error)) if defined and agreement is not None else None,
        consistency=consistency,
        consistency_interval=_consistency_interval(n, k, between / error) if defined else None,
        left_out=left_out,
    )


def _mean_squares(table: Floats) -> tuple[float, float, float]:
    """Between patients, between observers, and what is left, of a table shaped (patients, observers)."""
    n, k = table.shape
    rows, columns, whole = table.mean(axis=1, keepdims=True), table.mean(axis=0, keepdims=True), table.mean()
    left = table - rows - columns + whole
    between, among = k * ((rows - whole) ** 2).sum() / (n - 1), n * ((columns - whole) ** 2).sum() / (k - 1)
    return float(between), float(among), float((left**2).sum() / ((n - 1) * (k - 1)))


def _correlations(table: Floats) -> tuple[float | None, float | None]:
    n, k = table.shape
    between, among, error = _mean_squares(table)
    spread = between + (k - 1) * error
    whole = spread + k * (among - error) / n
    tiny = 1e-12 * float((table**2).max(initial=1e-300))
    return ((between - error) / whole if whole > tiny else None), ((between - error) / spread if spread > tiny else None)


def _agreement_interval(n: int, k: int, value: float, squares: tuple[float, float, float]) -> Interval | None:
    """Of ICC(2,1), with Satterthwaite's degrees of freedom."""
    from scipy import stats

    between, among, error = squares
    if value >= 1:
        return None
    a = k * value / (n * (1 - value))
    b = 1 + k * value * (n - 1) / (n * (1 - value))
    freedom = (a * among + b * error) ** 2 / ((a * among) ** 2 / (k - 1) + (b * error) ** 2 / ((n - 1) * (k - 1)))
    lower, upper = (float(stats.f.ppf((1 + LEVEL) / 2, *degrees)) for degrees in ((n - 1, freedom), (freedom, n - 1)))
    rest = k * among + (k * n - k - n) * error
    low = n * (between - lower * error) / (lower * rest + n * between)
    return low, n * (upper * between - error) / (rest + n * upper * between)


def _consistency_interval(n: int, k: int, ratio: float) -> Interval:
    """Of ICC(3,1), from the ratio of mean squares between patients and of error."""
    from scipy import stats

    rest = (n - 1) * (k - 1)
    low = ratio / float(stats.f.ppf((1 + LEVEL) / 2, n - 1, rest))
    high = ratio * float(stats.f.ppf((1 + LEVEL) / 2, rest, n - 1))
    return (low - 1) / (low + k - 1), (high - 1) / (high + k - 1)


def _told(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return "undefined: no measurement differs"
    return f"{value:.3f}" + ("" if interval is None else f" ({interval[0]:.3f} to {interval[1]:.3f})")
