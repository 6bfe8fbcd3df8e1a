"""Who was at risk when something happened: the sums that Cox's and Fine and Gray's partial likelihoods are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rt4d.geometry import Floats

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class RiskSets:
    """Patients in order of their times, and for every event the patients that might have had it.

    x: covariates, shape (n, p). time: shape (n,), ascending. happened: bool, the events of interest. order: where each patient stood before.
    efron: events at one time share their risk set (Efron 1977); otherwise each sees all of it (Breslow 1974).
    carried, shape (n,), and share, one per event: a patient who is no longer followed stays at risk at a later event with the weight
    carried × share. That is Fine and Gray's weighting of those who had a competing event; for Cox both are None.
    """

    x: Floats
    time: Floats
    happened: npt.NDArray[np.bool_]
    order: Indices
    efron: bool = True
    carried: Floats | None = None
    share: Floats | None = None

    @property
    def events(self) -> Indices:
        """The places of the events, in order of time."""
        return np.flatnonzero(self.happened)

    @property
    def first_at_risk(self) -> Indices:
        """Of each event, the first patient (in order of time) whose time is not earlier."""
        return np.searchsorted(self.time, self.time[self.events], side="left")

    @property
    def tie_shares(self) -> Floats:
        """Of each event, the part of the events at its time that Efron takes out of the risk set: 0/d, 1/d … (d-1)/d."""
        times = self.time[self.events]
        if not self.efron:
            return np.zeros(len(times))
        first = np.searchsorted(times, times, side="left")
        tied = np.searchsorted(times, times, side="right") - first
        return np.asarray((np.arange(len(times)) - first) / tied, dtype=float)


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """The partial likelihood at one set of coefficients.

    log_likelihood; score, shape (p,); information by event, shape (events, p, p); mean: the covariates expected of each event, (events, p);
    hazard: the baseline hazard that each event adds, (events,); risk: exp(linear predictor) of each patient, (n,).
    """

    log_likelihood: float
    score: Floats
    information_by_event: Floats
    mean: Floats
    hazard: Floats
    risk: Floats

    @property
    def information(self) -> Floats:
        return np.asarray(self.information_by_event.sum(axis=0), dtype=float)


def risk_sets(x: Floats, time: Floats, happened: npt.NDArray[np.bool_], *, efron: bool = True) -> RiskSets:
    """The risk sets of Cox's regression: everyone whose time is not earlier than the event's."""
    order = np.argsort(time, kind="stable")
    return RiskSets(x[order], time[order], happened[order], order, efron=efron)


def moments(sets: RiskSets, coefficients: Floats) -> Moments:
    """The partial likelihood and its derivatives, from sums that run once over the patients."""
    predictor = sets.x @ coefficients
    highest = float(predictor.max())
    risk = np.exp(predictor - highest)
    products = np.einsum("i,ij,ik->ijk", risk, sets.x, sets.x)
    total, first, second = (_at_risk(sets, each) for each in (risk, risk[:, None] * sets.x, products))
    mean = first / total[:, None]
    spread = second / total[:, None, None] - np.einsum("ij,ik->ijk", mean, mean)
    mine = sets.x[sets.events]
    log_likelihood = float((predictor[sets.events] - highest - np.log(total)).sum())
    return Moments(log_likelihood, (mine - mean).sum(axis=0), spread, mean, np.exp(-highest) / total, np.exp(predictor))


def _at_risk(sets: RiskSets, values: Floats) -> Floats:
    """The sum of values, shape (n, …), over the risk set of each event."""
    waiting = np.concatenate([np.cumsum(values[::-1], axis=0)[::-1], np.zeros_like(values[:1])])
    total = waiting[sets.first_at_risk]
    if sets.carried is not None and sets.share is not None:
        kept = np.cumsum(_times(sets.carried, values), axis=0)
        total = total + _times(sets.share, np.concatenate([np.zeros_like(values[:1]), kept])[sets.first_at_risk])
    if sets.efron:
        total = total - _times(sets.tie_shares, _tied_sum(sets, values[sets.events]))
    return np.asarray(total, dtype=float)


def _times(weights: Floats, values: Floats) -> Floats:
    return np.asarray(weights.reshape(-1, *([1] * (values.ndim - 1))) * values, dtype=float)


def score_residuals(sets: RiskSets, at: Moments) -> Floats:
    """Each patient's part of the score, shape (n, p), in the order in which the patients were given.

    Therneau & Grambsch, Modeling Survival Data (2000), 4.2; with Efron's ties the events of one time share their expectation.
    """
    own = np.zeros_like(sets.x)
    own[sets.events] = sets.x[sets.events] - _shared(sets, at.mean)
    until = np.searchsorted(sets.time[sets.events], sets.time, side="right")
    hazard, drift = _running(at.hazard)[until], _running(at.hazard[:, None] * at.mean)[until]
    own -= at.risk[:, None] * (sets.x * hazard[:, None] - drift)
    if sets.efron:
        taken = sets.tie_shares * at.hazard
        own[sets.events] += at.risk[sets.events][:, None] * (
            sets.x[sets.events] * _tied_sum(sets, taken)[:, None] - _tied_sum(sets, taken[:, None] * at.mean)
        )
    if sets.carried is not None and sets.share is not None:
        later = _running(sets.share * at.hazard)[-1] - _running(sets.share * at.hazard)[until]
        later_drift = _running((sets.share * at.hazard)[:, None] * at.mean)
        own -= (sets.carried * at.risk)[:, None] * (sets.x * later[:, None] - (later_drift[-1] - later_drift[until]))
    back = np.empty_like(own)
    back[sets.order] = own
    return back


def _running(values: Floats) -> Floats:
    return np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])


def _tied_sum(sets: RiskSets, by_event: Floats) -> Floats:
    """The sum of a value of each event over the events at its time."""
    times, running = sets.time[sets.events], _running(by_event)
    return np.asarray(running[np.searchsorted(times, times, side="right")] - running[np.searchsorted(times, times, side="left")], dtype=float)


def _shared(sets: RiskSets, by_event: Floats) -> Floats:
    """The mean of a value of each event over the events at its time."""
    return _tied_sum(sets, by_event) / _tied_sum(sets, np.ones((len(by_event), 1)))
