"""Who was at risk when something happened: the sums that Cox's and Fine and Gray's partial likelihoods are made of."""

from __future__ import annotations

from dataclasses import dataclass, field

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

    Found once: the places of the events in order of time; of each event the first patient whose time is not earlier, the first and one past
    the last of the events at its time, and the part of those that Efron takes out of the risk set (0/d, 1/d … (d-1)/d; Breslow: 0).
    """

    x: Floats
    time: Floats
    happened: npt.NDArray[np.bool_]
    order: Indices
    efron: bool = True
    carried: Floats | None = None
    share: Floats | None = None
    events: Indices = field(init=False)
    first_at_risk: Indices = field(init=False)
    first_tied: Indices = field(init=False)
    past_tied: Indices = field(init=False)
    tie_shares: Floats = field(init=False)

    def __post_init__(self) -> None:
        events = np.flatnonzero(self.happened)
        times = self.time[events]
        first, past = (np.searchsorted(times, times, side=side) for side in ("left", "right"))
        shares = (np.arange(len(times)) - first) / (past - first) if self.efron else np.zeros(len(times))
        found = {"events": events, "first_at_risk": np.searchsorted(self.time, times), "first_tied": first, "past_tied": past, "tie_shares": shares}
        for name, value in found.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """The partial likelihood at one set of coefficients.

    log_likelihood; score, shape (p,); information by event, shape (events, p, p); mean: the covariates expected of each event, (events, p);
    risk: each patient's hazard against the highest one, exp(linear predictor - highest), (n,); hazard: what each event adds to the hazard of
    the patient with that highest risk, (events,).
    """

    log_likelihood: float
    score: Floats
    information_by_event: Floats
    mean: Floats
    hazard: Floats
    risk: Floats
    highest: float

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
    n, p = sets.x.shape
    packed = np.empty((n, 1 + p + p * p))
    packed[:, 0] = risk
    packed[:, 1 : p + 1] = risk[:, None] * sets.x
    packed[:, p + 1 :] = (packed[:, 1 : p + 1, None] * sets.x[:, None, :]).reshape(n, p * p)
    sums = _at_risk(sets, packed)
    total, mean = sums[:, 0], sums[:, 1 : p + 1] / sums[:, :1]
    spread = (sums[:, p + 1 :] / sums[:, :1]).reshape(-1, p, p) - mean[:, :, None] * mean[:, None, :]
    mine = sets.x[sets.events]
    log_likelihood = float((predictor[sets.events] - highest - np.log(total)).sum())
    return Moments(log_likelihood, (mine - mean).sum(axis=0), spread, mean, 1 / total, risk, highest)


def _at_risk(sets: RiskSets, values: Floats) -> Floats:
    """The sum of values, shape (n, columns), over the risk set of each event, shape (events, columns)."""
    total = np.cumsum(values[::-1], axis=0)[::-1][sets.first_at_risk]
    if sets.carried is not None and sets.share is not None:
        total = total + sets.share[:, None] * _running(sets.carried[:, None] * values)[sets.first_at_risk]
    if sets.efron:
        total = total - sets.tie_shares[:, None] * _tied_sum(sets, values[sets.events])
    return np.asarray(total, dtype=float)


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
    """The sums of the first 0, 1, 2 … values."""
    sums = np.zeros((len(values) + 1, *values.shape[1:]))
    np.cumsum(values, axis=0, out=sums[1:])
    return sums


def _tied_sum(sets: RiskSets, by_event: Floats) -> Floats:
    """The sum of a value of each event over the events at its time."""
    running = _running(by_event)
    return np.asarray(running[sets.past_tied] - running[sets.first_tied], dtype=float)


def _shared(sets: RiskSets, by_event: Floats) -> Floats:
    """The mean of a value of each event over the events at its time."""
    return _tied_sum(sets, by_event) / _tied_sum(sets, np.ones((len(by_event), 1)))
