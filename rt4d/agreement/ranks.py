"""Wilcoxon's signed-rank test and the Hodges-Lehmann estimate that belongs to it, with their zeros and ties said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rt4d.agreement.intervals import Interval
from rt4d.errors import InputError
from rt4d.geometry import Floats

EXACT_UP_TO = 200
"""So many differences have the exact distribution; beyond, the normal one is as good."""


@dataclass(frozen=True, slots=True)
class SignedRank:
    """Wilcoxon's signed-rank test (Biometrics Bulletin 1945) of differences about zero.

    n: differences that are not zero; zeros: left out of the ranks. Equal sizes share their mean rank. w_plus, w_minus: the sums of ranks of
    positive and of negative differences. p_two_sided: twice the smaller tail. p_greater: that differences are not above zero. exact: from all
    2ⁿ choices of signs of these very ranks, ties or not (up to 200); else by the normal distribution, its variance corrected for ties.
    """

    n: int
    zeros: int
    w_plus: float
    w_minus: float
    p_two_sided: float
    p_greater: float
    exact: bool

    @property
    def rank_biserial(self) -> float | None:
        """Matched-pairs rank-biserial correlation (Kerby 2014): the share of ranks for a positive difference less that for a negative one."""
        return (self.w_plus - self.w_minus) / (self.w_plus + self.w_minus) if self.n else None


def signed_rank(differences: Sequence[float] | Floats) -> SignedRank:
    """The test; differences that are all zero have p = 1. No differences, and ones that are not finite, are refused."""
    from scipy import stats

    every = _finite(differences)
    given = every[every != 0]
    ranks = stats.rankdata(np.abs(given))
    plus, total = float(ranks[given > 0].sum()), len(given) * (len(given) + 1) / 2
    exact = len(given) <= EXACT_UP_TO
    if exact:
        chance = _distribution(np.round(2 * ranks).astype(int))
        greater, less = float(chance[round(2 * plus) :].sum()), float(chance[: round(2 * plus) + 1].sum())
    else:
        deviation = float(np.sqrt((ranks**2).sum()) / 2)
        greater, less = (float(stats.norm.sf(sign * (plus - total / 2) / deviation)) for sign in (1, -1))
    return SignedRank(len(given), len(every) - len(given), plus, total - plus, min(1.0, 2 * min(greater, less)), min(1.0, greater), exact)


def hodges_lehmann(differences: Sequence[float] | Floats) -> float:
    """The median of the means of all pairs of differences, each with itself too (Hodges & Lehmann 1963): zeros count."""
    return float(np.median(_walsh(_finite(differences))))


def hodges_lehmann_interval(differences: Sequence[float] | Floats, level: float = 0.95) -> Interval | None:
    """Its interval by inversion of the signed-rank test, exact for symmetric differences; each bound alone is one-sided at (1 + level)/2.

    None where so few differences cannot give that level: at 95 %, fewer than six.
    """
    from scipy import stats

    every = _finite(differences)
    n, tail = len(every), (1 - level) / 2
    if n <= EXACT_UP_TO:
        below = np.cumsum(_distribution(np.arange(1, n + 1)))
        place = int(np.searchsorted(below, tail * (1 - 1e-12)))
    else:
        place = int(n * (n + 1) / 4 + stats.norm.ppf(tail) * np.sqrt(n * (n + 1) * (2 * n + 1) / 24))
    if place == 0:
        return None
    means = np.sort(_walsh(every))
    return float(means[place - 1]), float(means[len(means) - place])


def _distribution(ranks: npt.NDArray[np.int_]) -> Floats:
    """The chance of each sum of those whole-numbered ranks that happen to have a plus, shape (sum of ranks + 1,)."""
    chance = np.zeros(int(ranks.sum()) + 1)
    chance[0] = 1.0
    for rank in ranks:
        chance[rank:] = (chance[rank:] + chance[: len(chance) - rank]) / 2
        chance[:rank] /= 2
    return chance


def _walsh(values: Floats) -> Floats:
    first, second = np.triu_indices(len(values))
    return np.asarray((values[first] + values[second]) / 2)


def _finite(differences: Sequence[float] | Floats) -> Floats:
    every = np.asarray(differences, dtype=float)
    if every.ndim != 1 or not every.size or not np.isfinite(every).all():
        raise InputError("A signed-rank test needs differences, finite numbers, shape (n,)", found=f"shape {every.shape}")
    return every
