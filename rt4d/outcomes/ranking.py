"""How well a risk ranks patients: the C-index over all pairs, and the area under the time-dependent ROC curve at one time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rt4d.errors import InputError
from rt4d.geometry import Floats
from rt4d.outcomes.competing_risk_sets import censoring
from rt4d.outcomes.effects import NORMAL_95
from rt4d.outcomes.table import Cohort

BLOCK = 256
"""So many patients at a time are compared with all others."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The share of pairs of patients that a risk ranks rightly (0.5: as by chance), and its standard error by the jackknife."""

    value: float
    standard_error: float

    @property
    def ci95(self) -> tuple[float, float] | None:
        """The interval on the scale of log odds, which stays between 0 and 1; None where all pairs are ranked alike, or nothing varies."""
        if not 0 < self.value < 1 or self.standard_error == 0:
            return None
        middle, reach = math.log(self.value / (1 - self.value)), NORMAL_95 * self.standard_error / (self.value * (1 - self.value))
        low, high = (1 / (1 + math.exp(min(700.0, -each))) for each in (middle - reach, middle + reach))
        return low, high


def c_index(cohort: Cohort, risk: Floats) -> Ranking:
    """Harrell's C: of all pairs in which one is known to have had the event first, the share in which that one has the higher risk; ties count half.

    At one time an event comes before a censoring, and two events are no pair, as in R's survival, whose infinitesimal jackknife the standard
    error is. It takes the risk as given: it does not say how much worse the model would do on other patients.
    """
    order = np.lexsort((cohort.event != 1, cohort.time))
    time, happened = cohort.time[order], cohort.event[order] == 1
    rank = np.unique(risk[order], return_inverse=True)[1].astype(np.int32)
    known, right = np.zeros(cohort.n), np.zeros(cohort.n)
    events = np.flatnonzero(happened)
    for first in range(0, len(events), BLOCK):
        block = events[first : first + BLOCK]
        rest = slice(block[0], None)
        later = (time[rest] > time[block, None]) | ((time[rest] == time[block, None]) & ~happened[rest])
        below, not_above = later & (rank[rest] < rank[block, None]), later & (rank[rest] <= rank[block, None])
        for pairs, total, part in ((later, known, 1.0), (below, right, 0.5), (not_above, right, 0.5)):
            total[block] += part * np.count_nonzero(pairs, axis=1)
            total[rest] += part * np.add.reduce(pairs, axis=0, dtype=np.int32)
    return _ranked(known, right, cohort, order)


def auc_at(cohort: Cohort, risk: Floats, time: float) -> Ranking:
    """The chance that who had the event until `time` has a higher risk than who was free of any event then (cumulative cases, dynamic controls).

    Cases are weighted by the inverse of their chance to be followed until then (Uno 2007, Blanche 2013), so that censoring does not bend it;
    the standard error takes the weights as given.
    """
    case = (cohort.event == 1) & (cohort.time <= time)
    control = cohort.time > time
    if not case.any() or not control.any():
        expected = "patients with the event until then, and others free of any after it"
        raise InputError("At that time there is nobody to compare", where=f"{time:g} {cohort.unit}", expected=expected)
    followed = censoring(cohort.time, cohort.event).just_before(cohort.time)
    weight = np.where(case, 1 / np.maximum(followed, 1e-12), 0.0)
    known = np.where(control, weight.sum(), weight * control.sum())
    lower, higher = _share(risk, control.astype(float)), _share(-risk, weight)
    return _ranked(known, np.where(control, higher, weight * lower), cohort, np.arange(cohort.n))


def _share(risk: Floats, weight: Floats) -> Floats:
    """Of each patient, the weight of those with a lower risk, and half of that of those with the same."""
    order = np.argsort(risk, kind="stable")
    running = np.concatenate([[0.0], np.cumsum(weight[order])])
    below, not_above = (running[np.searchsorted(risk[order], risk, side=side)] for side in ("left", "right"))
    return np.asarray((below + not_above) / 2, dtype=float)


def _ranked(known: Floats, right: Floats, cohort: Cohort, order: npt.NDArray[np.intp]) -> Ranking:
    """The share, from each patient's pairs and what of them is ranked rightly; every pair stands with both of its patients."""
    if not known.sum() > 0:
        raise InputError("No two patients can be ranked", expected="an event before somebody else's time")
    value = float(right.sum() / known.sum())
    moves = 2 * (right - value * known) / known.sum()
    if cohort.clusters is not None:
        moves = np.bincount(np.unique(np.array(cohort.clusters)[order], return_inverse=True)[1], moves)
    return Ranking(value, float(np.sqrt((moves**2).sum())))
