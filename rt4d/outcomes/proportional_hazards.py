"""Whether hazards are proportional: whether an effect stays what it is while time goes on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rt4d.geometry import Floats
from rt4d.outcomes.cox import Regression
from rt4d.outcomes.effects import ChiSquare
from rt4d.outcomes.risk_sets import RiskSets

TRANSFORM = "1 - Kaplan–Meier"


@dataclass(frozen=True, slots=True)
class ProportionalHazards:
    """The test for each covariate and for all together; a small p says that the effect changes with time."""

    by_covariate: dict[str, ChiSquare]
    together: ChiSquare


def proportional_hazards(model: Regression) -> ProportionalHazards:
    """The score test that an effect changes in proportion to 1 minus the Kaplan–Meier curve, as R's cox.zph tests by default.

    Grambsch & Therneau, Biometrika 1994. Computed from the Schoenfeld residuals and the information at each event; it takes patients for
    independent, also where there are centres.
    """
    at, sets = model.maximum.moments, model.sets
    warped = _warped(sets)
    score = ((sets.x[sets.events] - at.mean) * warped[:, None]).sum(axis=0)
    plain, crossed, squared = (np.einsum("e,ejk->jk", weight, at.information_by_event) for weight in (np.ones_like(warped), warped, warped**2))
    solved = np.linalg.solve(plain, crossed)
    free = squared - crossed.T @ solved
    each = {}
    for n, name in enumerate(model.names):
        alone = squared[n, n] - crossed[:, n] @ solved[:, n]
        each[name] = ChiSquare(float(score[n] ** 2 / alone) if alone > 0 else 0.0, 1)
    return ProportionalHazards(each, ChiSquare(float(score @ np.linalg.lstsq(free, score, rcond=None)[0]), len(score)))


def _warped(sets: RiskSets) -> Floats:
    """Of each event, 1 minus the Kaplan–Meier curve just before it, less the mean."""
    times, deaths = np.unique(sets.time[sets.events], return_counts=True)
    at_risk = len(sets.time) - np.searchsorted(sets.time, times, side="left")
    surviving = np.concatenate([[1.0], np.cumprod(1 - deaths / at_risk)])
    values = 1 - surviving[np.searchsorted(times, sets.time[sets.events], side="left")]
    return np.asarray(values - values.mean(), dtype=float)
