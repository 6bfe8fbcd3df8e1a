"""How sure a figure is: exact intervals of proportions, and bootstrap intervals of whatever else, by patient."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rt4d.errors import InputError
from rt4d.geometry import Floats

Interval = tuple[float, float]
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Proportion:
    """So many of so many: its value and exact interval. Of no trials there is neither (None)."""

    successes: int
    trials: int

    def __post_init__(self) -> None:
        _refuse_no_count(self.successes, self.trials)

    @property
    def value(self) -> float | None:
        return self.successes / self.trials if self.trials else None

    def interval(self, level: float = LEVEL) -> Interval | None:
        return exact_interval(self.successes, self.trials, level=level) if self.trials else None

    def to_dict(self) -> dict[str, Any]:
        interval = self.interval()
        return {
            "successes": self.successes,
            "trials": self.trials,
            "value": self.value,
            "interval": None if interval is None else list(interval),
            "level": LEVEL,
        }

    def __str__(self) -> str:
        interval = self.interval()
        share = ", undefined" if interval is None else f", {self.value:.2f} ({interval[0]:.2f}–{interval[1]:.2f})"
        return f"{self.successes} of {self.trials}{share}"


def exact_interval(successes: int, trials: int, *, level: float = LEVEL) -> Interval:
    """The exact interval of a proportion (Clopper & Pearson, Biometrika 1934): never too narrow, whatever the numbers.

    Of none it begins at 0, of all it ends at 1. No trials, and more successes than trials, are refused.
    """
    from scipy.special import betaincinv

    _refuse_no_count(successes, trials)
    _refuse_no_level(level)
    if trials == 0:
        raise InputError("A proportion of no trials has no interval", expected="at least one trial", found=0)
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, trials - successes + 1, tail))
    high = 1.0 if successes == trials else float(betaincinv(successes + 1, trials - successes, 1 - tail))
    return low, high


def bootstrap_interval(
    values: Sequence[float] | Floats,
    statistic: Callable[[Floats], Any] = np.median,
    *,
    groups: Sequence[Hashable] | npt.NDArray[Any] | None = None,
    seed: int = 0,
    repetitions: int = 2000,
    level: float = LEVEL,
) -> Interval:
    """The percentile bootstrap interval (Efron 1979) of a statistic of the values, shape (n,).

    groups: the patient of each value; patients are then drawn, each with all its values, since lesions of one patient are not independent.
    Percentile, not BCa: the statistic here is most often a median, whose jackknife, from which BCa takes its acceleration, is not consistent;
    and the percentile interval of a median is that of its order statistics. Fewer than two values (patients), and values that are not finite,
    are refused. Below some ten patients it is too narrow, as every bootstrap is.
    """
    array = np.asarray(values, dtype=float)
    members = _members(array, groups)
    _refuse_no_level(level)
    if repetitions < 100:
        raise InputError("A bootstrap needs repetitions", expected="at least 100", found=repetitions)
    draws = np.random.default_rng(seed).integers(len(members), size=(repetitions, len(members)))
    resamples = array[draws] if groups is None else (array[np.concatenate([members[n] for n in draw])] for draw in draws)
    found = [float(statistic(each)) for each in resamples]
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _members(values: Floats, groups: Sequence[Hashable] | npt.NDArray[Any] | None) -> list[npt.NDArray[np.intp]]:
    """The indices of the values of each patient, in order of first appearance."""
    if values.ndim != 1 or not np.isfinite(values).all():
        wrong = np.count_nonzero(~np.isfinite(values))
        raise InputError("A bootstrap takes finite numbers, shape (n,)", found=f"shape {values.shape}, {wrong} not finite")
    if groups is not None and len(groups) != len(values):
        raise InputError("Every value needs its patient", expected=f"{len(values)} groups", found=len(groups))
    places: dict[Hashable, list[int]] = {}
    for n, group in enumerate(range(len(values)) if groups is None else groups):
        places.setdefault(group, []).append(n)
    if len(places) < 2:
        raise InputError("A bootstrap interval needs something to draw from", expected="at least two patients", found=len(places))
    return [np.array(each, dtype=np.intp) for each in places.values()]


def _refuse_no_count(successes: int, trials: int) -> None:
    if int(successes) != successes or int(trials) != trials or not 0 <= successes <= trials:
        raise InputError("A proportion needs whole numbers", expected="0 ≤ successes ≤ trials", found=f"{successes} of {trials}")


def _refuse_no_level(level: float) -> None:
    if not 0 < level < 1:
        raise InputError("A level of confidence lies between 0 and 1", expected="for example 0.95", found=level)
