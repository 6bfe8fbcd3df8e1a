"""Fine and Gray's risk sets: who had a competing event stays at risk, weighted by the chance still to be followed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rt4d.geometry import Floats
from rt4d.outcomes.risk_sets import Moments, RiskSets

Events = npt.NDArray[np.int_]
CENSORED, EVENT, COMPETING = 0, 1, 2


@dataclass(frozen=True, slots=True, eq=False)
class Censoring:
    """The Kaplan–Meier curve of being censored: by time of censoring how many were at risk and censored, and the chance to be followed past it."""

    time: Floats
    at_risk: Floats
    censored: Floats
    followed: Floats

    def just_before(self, time: Floats) -> Floats:
        """The chance to be followed until just before each time."""
        return np.concatenate([[1.0], self.followed])[np.searchsorted(self.time, time, side="left")]


def censoring(time: Floats, event: Events) -> Censoring:
    """How follow-up ends for those who are censored; whoever has an event at the time of a censoring is still at risk of it."""
    times, counts = np.unique(time[event == CENSORED], return_counts=True)
    ordered = np.sort(time)
    at_risk = (len(ordered) - np.searchsorted(ordered, times, side="left")).astype(float)
    return Censoring(times, at_risk, counts.astype(float), np.cumprod(1 - counts / at_risk))


def competing_risk_sets(x: Floats, time: Floats, event: Events, follow_up: Censoring) -> RiskSets:
    """The risk sets of the subdistribution hazard (Fine & Gray, J Am Stat Assoc 1999), ties after Breslow, as in R's cmprsk::crr."""
    order = np.argsort(time, kind="stable")
    x, time, event = x[order], time[order], event[order]
    followed = follow_up.just_before(time)
    carried = np.divide(1.0, followed, out=np.zeros_like(followed), where=(event == COMPETING) & (followed > 0))
    return RiskSets(x, time, event == EVENT, order, efron=False, carried=carried, share=followed[event == EVENT])


def censoring_residuals(sets: RiskSets, at: Moments, event: Events, follow_up: Censoring) -> Floats:
    """What each patient adds to the score because the chance to be followed is itself estimated, shape (n, p), in the order given.

    Fine & Gray 1999, the term ψ of their variance: without it the interval would take the weights for known.
    """
    if not follow_up.time.size or sets.carried is None or sets.share is None:
        return np.zeros_like(sets.x)
    drift = _drift(sets, at, follow_up) / follow_up.at_risk[:, None]
    rate = (follow_up.censored / follow_up.at_risk)[:, None]
    running = np.concatenate([np.zeros((1, sets.x.shape[1])), np.cumsum(drift * rate, axis=0)])
    own = -running[np.searchsorted(follow_up.time, sets.time, side="right")]
    censored = event[sets.order] == CENSORED
    own[censored] += drift[np.searchsorted(follow_up.time, sets.time[censored])]
    back = np.empty_like(own)
    back[sets.order] = own
    return back


def _drift(sets: RiskSets, at: Moments, follow_up: Censoring) -> Floats:
    """q(u) of Fine and Gray at each time of censoring u: the score of those carried past u, gathered from u on, shape (times, p).

    Where times are tied, whoever leaves at u counts as at risk of censoring and an event at u as one after it, as in cmprsk::crr.
    """
    assert sets.carried is not None
    assert sets.share is not None
    weight = sets.carried * at.risk
    before = np.searchsorted(sets.time, follow_up.time, side="left")
    after = np.searchsorted(sets.time[sets.events], follow_up.time, side="left")
    hazard, mean = sets.share * at.hazard, (sets.share * at.hazard)[:, None] * at.mean
    kept, kept_x = _until(weight)[before], _until(weight[:, None] * sets.x)[before]
    rest, rest_mean = (_until(each)[-1] - _until(each)[after] for each in (hazard, mean))
    return np.asarray(kept_x * rest[:, None] - kept[:, None] * rest_mean, dtype=float)


def _until(values: Floats) -> Floats:
    return np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
