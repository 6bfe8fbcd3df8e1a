"""How well a risk ranks patients: the C-index over all pairs, and the area under the time-dependent ROC curve at one time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rt4d.errors import InputError
from rt4d.geometry import Floats
from rt4d.outcomes.competing_risk_sets import censoring
from rt4d.outcomes.table import Cohort

REPETITIONS = 1000
BLOCK = 512
"""So many patients at a time are compared with all others."""

Pairs = Callable[[slice], tuple[Floats, Floats]]
"""Of a block of patients and all others: what each pair counts for, and how much of that is ranked rightly."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The share of pairs of patients that a risk ranks rightly (0.5: as by chance), with the bootstrap interval by patient."""

    value: float
    ci95: tuple[float, float]
    pairs: int


def c_index(cohort: Cohort, risk: Floats, *, repetitions: int = REPETITIONS, seed: int = 0) -> Ranking:
    """Harrell's C: of all pairs in which one is known to have had the event first, the share in which that one has the higher risk; ties count half.

    At one time an event comes before a censoring, and two events are no pair, as in R's survival. The interval takes the risk as given:
    it does not say how much worse the model would do on other patients.
    """
    time, happened = cohort.time, cohort.event == 1

    def pairs(block: slice) -> tuple[Floats, Floats]:
        later = (time[block, None] < time) | ((time[block, None] == time) & ~happened)
        known = (happened[block, None] & later).astype(float)
        return known, known * _higher(risk[block], risk)

    return _ranked(pairs, cohort, repetitions=repetitions, seed=seed)


def auc_at(cohort: Cohort, risk: Floats, time: float, *, repetitions: int = REPETITIONS, seed: int = 0) -> Ranking:
    """The chance that who had the event until `time` has a higher risk than who was free of any event then (cumulative cases, dynamic controls).

    Cases are weighted by the inverse of their chance to be followed until then (Uno 2007, Blanche 2013), so that censoring does not bend it.
    """
    case = (cohort.event == 1) & (cohort.time <= time)
    control = cohort.time > time
    if not case.any() or not control.any():
        expected = "patients with the event until then, and others free of any after it"
        raise InputError("At that time there is nobody to compare", where=f"{time:g} {cohort.unit}", expected=expected)
    weight = np.where(case, 1 / np.maximum(censoring(cohort.time, cohort.event).just_before(cohort.time), 1e-12), 0.0)

    def pairs(block: slice) -> tuple[Floats, Floats]:
        counted = weight[block, None] * control
        return counted, counted * _higher(risk[block], risk)

    return _ranked(pairs, cohort, repetitions=repetitions, seed=seed)


def _higher(risk: Floats, than: Floats) -> Floats:
    return np.asarray((risk[:, None] > than) + 0.5 * (risk[:, None] == than), dtype=float)


def _ranked(pairs: Pairs, cohort: Cohort, *, repetitions: int, seed: int) -> Ranking:
    """The share over all patients, and over patients (or centres) drawn again: each drawing is how often everyone was drawn."""
    drawn = np.column_stack([np.ones(cohort.n), drawings(cohort, repetitions=repetitions, seed=seed)])
    counted, right, number = np.zeros(repetitions + 1), np.zeros(repetitions + 1), 0
    for start in range(0, cohort.n, BLOCK):
        block = slice(start, min(start + BLOCK, cohort.n))
        weight, ranked = pairs(block)
        number += int(np.count_nonzero(weight))
        counted += (drawn[block] * (weight @ drawn)).sum(axis=0)
        right += (drawn[block] * (ranked @ drawn)).sum(axis=0)
    if number == 0:
        raise InputError("No two patients can be ranked", expected="an event before somebody else's time")
    shares = right[counted > 0] / counted[counted > 0]
    low, high = np.quantile(shares[1:], [0.025, 0.975]) if len(shares) > 1 else (float("nan"), float("nan"))
    return Ranking(float(shares[0]), (float(low), float(high)), number)


def drawings(cohort: Cohort, *, repetitions: int, seed: int) -> npt.NDArray[np.float64]:
    """How often each patient is drawn in each repetition of a bootstrap, shape (n, repetitions); with centres, whole centres are drawn."""
    chance = np.random.default_rng(seed)
    group = np.arange(cohort.n) if cohort.clusters is None else np.unique(np.array(cohort.clusters), return_inverse=True)[1]
    groups = int(group.max()) + 1
    drawn = chance.multinomial(groups, np.full(groups, 1 / groups), size=repetitions).T.astype(float)
    return np.asarray(drawn[group], dtype=float)
