"""Gray's test: whether the cumulative incidence of the event is the same in several groups, where other events compete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rt4d.geometry import Floats
from rt4d.outcomes.curves import require_groups
from rt4d.outcomes.effects import ChiSquare
from rt4d.outcomes.table import Cohort


@dataclass(frozen=True, slots=True, eq=False)
class _Counts:
    """At each time (columns) in each group (rows): at risk, events, competing events; survival without either just before and just after."""

    waiting: Floats
    events: Floats
    competing: Floats
    before: Floats
    after: Floats


def gray_test(cohort: Cohort, groups: Sequence[str]) -> ChiSquare:
    """Gray's k-sample test of the subdistribution hazard (Ann Stat 1988, rho = 0), as R's cmprsk::cuminc prints it.

    The variance is the paper's: the paths by which a group's events and competing events reach the score, under one common incidence; tied
    times are corrected as in a hypergeometric draw, of the event from all groups as if each had lost as many by then as this one.
    """
    levels = require_groups(cohort, groups)
    counts = _count(cohort, np.array(groups), levels)
    exposure = np.divide(counts.waiting, counts.before, out=np.zeros_like(counts.waiting), where=counts.before > 0)
    own = np.cumsum(counts.before * _over(counts.events, counts.waiting), axis=1)
    risk = exposure * (1 - _shifted(own))
    hazard = _over(counts.events.sum(axis=0), risk.sum(axis=0))
    score = (counts.events - risk * hazard).sum(axis=1)[:-1]
    covariance = sum(_covariance(counts, exposure, group) for group in range(len(levels)))
    return ChiSquare(float(score @ np.linalg.solve(np.asarray(covariance)[:-1, :-1], score)), len(levels) - 1)


def _count(cohort: Cohort, groups: np.ndarray[tuple[int], np.dtype[np.str_]], levels: list[str]) -> _Counts:
    times = np.unique(cohort.time)
    found: list[list[Floats]] = [[], [], []]
    for level in levels:
        time, event = cohort.time[groups == level], cohort.event[groups == level]
        found[0].append(np.asarray(len(time) - np.searchsorted(np.sort(time), times, side="left"), dtype=float))
        for kind in (1, 2):
            found[kind].append(np.bincount(np.searchsorted(times, time[event == kind]), minlength=len(times)).astype(float))
    waiting, events, competing = (np.array(each) for each in found)
    after = np.asarray(np.cumprod(1 - _over(events + competing, waiting), axis=1), dtype=float)
    return _Counts(waiting, events, competing, 1 - _shifted(1 - after), after)


def _covariance(counts: _Counts, exposure: Floats, group: int) -> Floats:
    """What one group's events and competing events add to the covariance of all scores, shape (groups, groups)."""
    happened = counts.events.sum(axis=0)
    step = _over(happened, exposure.sum(axis=0))
    incidence = np.cumsum(step)
    hazard = _over(step, 1 - _shifted(incidence))
    here = exposure[group]
    others = np.eye(len(exposure))[:, group][:, None] - _over(exposure, exposure.sum(axis=0))
    direct = others * here
    later = (direct * hazard).sum(axis=1)[:, None] - np.cumsum(direct * hazard, axis=1)
    ratio = _over(1 - incidence, counts.after[group])
    by_event = direct + later * (1 - ratio)
    by_competing = -later * ratio
    own_tie, competing = _tie(counts.waiting[group], counts.competing[group]), _over(counts.competing[group], counts.waiting[group])
    tie = _tie(exposure.sum(axis=0) * counts.before[group], happened)
    of_events = by_event * _over(step * tie, here) @ by_event.T
    of_competing = by_competing * _over(counts.before[group] * competing * own_tie, here) @ by_competing.T
    return np.asarray(of_events + of_competing, dtype=float)


def _tie(waiting: Floats, happened: Floats) -> Floats:
    """What is left of a variance where several of those at risk have their event at one time; `waiting` need not be whole."""
    return np.divide(waiting - happened, waiting - 1, out=np.ones_like(waiting), where=(waiting > 1) & (happened > 1))


def _over(part: Floats, whole: Floats) -> Floats:
    """Quotients, 0 where there is nothing to divide by."""
    part, whole = np.broadcast_arrays(part, whole)
    return np.divide(part, whole, out=np.zeros(whole.shape), where=whole > 0)


def _shifted(values: Floats) -> Floats:
    """Of each time, the value at the time before; 0 at the first."""
    return np.concatenate([np.zeros_like(values[..., :1]), values[..., :-1]], axis=-1)
