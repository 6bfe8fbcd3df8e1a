"""Curves over time: survival without the event (Kaplan–Meier), cumulative incidence where events compete (Aalen–Johansen), who is at risk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rt4d.errors import InputError
from rt4d.geometry import Floats
from rt4d.outcomes.effects import NORMAL_95, ChiSquare
from rt4d.outcomes.table import Cohort


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A step curve: from each time on (ascending, the first is 0) its value, the 95 % interval, and how many were at risk just before."""

    time: Floats
    value: Floats
    low: Floats
    high: Floats
    at_risk: npt.NDArray[np.int_]

    def at(self, times: Sequence[float] | Floats) -> dict[str, Floats]:
        """value, low and high at these times, which must not be negative."""
        place = np.searchsorted(self.time, np.asarray(times, dtype=float), side="right") - 1
        if place.size and place.min() < 0:
            raise InputError("A curve begins at time 0", found=f"{min(times):g}")
        return {"value": self.value[place], "low": self.low[place], "high": self.high[place]}


def kaplan_meier(cohort: Cohort) -> Curve:
    """The chance to have been spared the event until each time (lifelines' estimate, interval of the log-log kind).

    A competing event counts as the end of follow-up, which is right for the cause's own hazard but overstates how many will have the event:
    1 minus this curve is no cumulative incidence.
    """
    from lifelines import KaplanMeierFitter

    fitted = KaplanMeierFitter().fit(cohort.time, cohort.event == 1)
    low, high = fitted.confidence_interval_.to_numpy(dtype=float).T
    times = fitted.survival_function_.index.to_numpy(dtype=float)
    value = fitted.survival_function_.to_numpy(dtype=float)[:, 0]
    return Curve(times, value, np.where(np.isnan(low), value, low), np.where(np.isnan(high), value, high), at_risk(cohort, times))


def cumulative_incidence(cohort: Cohort, *, cause: int = 1) -> Curve:
    """The chance to have had this kind of event (1, or 2 for the competing one) until each time: Aalen & Johansen 1978, exact with tied times.

    Variance: the delta method of Marubini & Valsecchi (1995). The interval is of log(-log incidence), as in R's survfit with "log-log", SAS and
    Stata, and stays between 0 and 1.
    """
    times = np.unique(cohort.time)
    events = np.array([_counts(cohort, times, kind) for kind in (1, 2)], dtype=float)
    waiting = at_risk(cohort, times).astype(float)
    all_events, own = events.sum(axis=0), events[cause - 1]
    after = np.cumprod(1 - all_events / waiting)
    before = np.concatenate([[1.0], after[:-1]])
    incidence = np.cumsum(before * own / waiting)
    error = np.sqrt(np.maximum(_variance(waiting, all_events, own, before, incidence), 0))
    low, high = _log_log(incidence, error)
    time, value, low, high = (np.concatenate([[0.0], each]) for each in (times, incidence, low, high))
    return Curve(time, value, low, high, np.concatenate([[cohort.n], waiting]).astype(int))


def at_risk(cohort: Cohort, times: Sequence[float] | Floats) -> npt.NDArray[np.int_]:
    """How many are followed, without any event, until just before each time."""
    return np.asarray(cohort.n - np.searchsorted(np.sort(cohort.time), np.asarray(times, dtype=float), side="left"), dtype=int)


def log_rank(cohort: Cohort, groups: Sequence[str]) -> ChiSquare:
    """The test that the hazard of the event is the same in all groups (lifelines), a competing event ending follow-up."""
    from lifelines.statistics import multivariate_logrank_test

    levels = require_groups(cohort, groups)
    found = multivariate_logrank_test(cohort.time, np.array(groups), cohort.event == 1)
    return ChiSquare(float(found.test_statistic), len(levels) - 1)


def require_groups(cohort: Cohort, groups: Sequence[str]) -> list[str]:
    """The groups in order of their names; at least two, one for each patient."""
    levels = sorted(set(groups))
    if len(groups) != cohort.n or len(levels) < 2:
        found = f"{len(groups)} in {len(levels)} groups"
        raise InputError("A comparison needs a group for each patient, and two groups", expected=f"{cohort.n} patients", found=found)
    return levels


def _counts(cohort: Cohort, times: Floats, kind: int) -> npt.NDArray[np.intp]:
    return np.bincount(np.searchsorted(times, cohort.time[cohort.event == kind]), minlength=len(times))


def _variance(waiting: Floats, all_events: Floats, own: Floats, before: Floats, incidence: Floats) -> Floats:
    """Sums over all earlier times of squares and products with the incidence still to come, opened so that they run once."""
    lasting = np.divide(all_events, waiting * (waiting - all_events), out=np.zeros_like(waiting), where=waiting > all_events)
    own_part, cross = before**2 * own * (waiting - own) / waiting**3, before * own / waiting**2
    sums = [np.cumsum(each) for each in (lasting, lasting * incidence, lasting * incidence**2, own_part, cross, cross * incidence)]
    return np.asarray(incidence**2 * sums[0] - 2 * incidence * sums[1] + sums[2] + sums[3] - 2 * (incidence * sums[4] - sums[5]), dtype=float)


def _log_log(incidence: Floats, error: Floats) -> tuple[Floats, Floats]:
    inside = (incidence > 0) & (incidence < 1)
    safe = np.where(inside, incidence, 0.5)
    reach = np.exp(-NORMAL_95 * np.where(inside, error, 0) / (safe * np.log(safe)))
    return tuple(np.where(inside, safe**power, incidence) for power in (reach, 1 / reach))  # type: ignore[return-value]
