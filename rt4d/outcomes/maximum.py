"""The coefficients that make what happened most likely, or a refusal that says why there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rt4d.errors import InputError
from rt4d.geometry import Floats
from rt4d.outcomes.risk_sets import Moments, RiskSets, moments

STEPS = 60
FARTHEST = 10.0
"""One step changes the logarithm of no patient's hazard by more."""
PRECISION = 1e-16
"""Newton's steps end where the next one would move the coefficients by 1e-8 of their standard error."""
FLAT = 1e-7
"""Where the information has fallen below this part of what it was without an effect, the likelihood has no maximum: it rises for ever."""


@dataclass(frozen=True, slots=True, eq=False)
class Maximum:
    """The largest partial likelihood: coefficients and their covariance; the moments there, and the likelihood without any effect."""

    coefficients: Floats
    covariance: Floats
    moments: Moments
    null_log_likelihood: float


def maximise(sets: RiskSets, *, names: Sequence[str]) -> Maximum:
    """Newton's method with halved steps, on covariates of unit spread.

    Raises InputError where covariates are collinear, and where a covariate separates those with events from those without: the hazard
    ratio is then infinite and no figure stands for it.
    """
    spread = sets.x.std(axis=0)
    if not np.all(spread > 0):
        constant = ", ".join(name for name, each in zip(names, spread, strict=True) if not each > 0)
        raise InputError("A covariate is the same in all patients", where=constant, do="Leave it out")
    scaled = replace(sets, x=(sets.x - sets.x.mean(axis=0)) / spread)
    here = start = moments(scaled, np.zeros(sets.x.shape[1]))
    _refuse_collinear(start.information, names)
    coefficients = np.zeros(sets.x.shape[1])
    for _ in range(STEPS):
        _refuse_flat(start.information, here.information, names)
        step = np.asarray(np.linalg.solve(here.information, here.score), dtype=float)
        if float(here.score @ step) < PRECISION * len(step):
            return _unscaled(sets, coefficients, here, start, spread)
        coefficients, here = _uphill(scaled, coefficients, step, here)
    raise InputError("The regression did not converge", where=", ".join(names), do="Use fewer covariates, or look for outliers")


def _uphill(sets: RiskSets, coefficients: Floats, step: Floats, here: Moments) -> tuple[Floats, Moments]:
    """The end of a step, halved until the likelihood does not fall by more than rounding; no step takes any patient's risk out of reach."""
    slack = 1e-12 * (1 + abs(here.log_likelihood))
    step = step * min(1.0, FARTHEST / max(FARTHEST, float(np.abs(sets.x @ step).max())))
    for _ in range(30):
        with np.errstate(all="ignore"):
            there = moments(sets, coefficients + step)
        sound = np.isfinite(there.log_likelihood) and np.isfinite(there.information).all()
        if sound and there.log_likelihood >= here.log_likelihood - slack:
            return coefficients + step, there
        step = step / 2
    return coefficients, here


def _unscaled(sets: RiskSets, coefficients: Floats, here: Moments, start: Moments, spread: Floats) -> Maximum:
    covariance = np.linalg.inv(here.information) / np.outer(spread, spread)
    return Maximum(coefficients / spread, covariance, moments(sets, coefficients / spread), start.log_likelihood)


def _refuse_collinear(information: Floats, names: Sequence[str]) -> None:
    own = np.diag(information)
    if not np.all(own > 1e-12):
        idle = ", ".join(name for name, each in zip(names, own, strict=True) if not each > 1e-12)
        raise InputError("A covariate does not vary among the patients at risk when something happened", where=idle, do="Leave it out")
    values, vectors = np.linalg.eigh(information / np.sqrt(np.outer(own, own)))
    if values[0] > 1e-9:
        return
    involved = ", ".join(name for name, part in zip(names, vectors[:, 0], strict=True) if abs(part) > 0.05)
    raise InputError("Covariates are collinear: each follows from the others, so none has an effect of its own", where=involved, do="Leave one out")


def _refuse_flat(start: Floats, here: Floats, names: Sequence[str]) -> None:
    root = np.linalg.inv(np.linalg.cholesky(start))
    values, vectors = np.linalg.eigh(root @ here @ root.T)
    if np.isfinite(values).all() and values[0] > FLAT:
        return
    direction = np.abs(root.T @ vectors[:, 0])
    involved = ", ".join(name for name, part in zip(names, direction, strict=True) if part > 0.3 * direction.max())
    raise InputError(
        "A covariate separates the patients with an event (all but) completely from the others at risk: no hazard ratio is large enough for it",
        where=involved,
        do="Leave it out, join its levels, or report the separation itself",
    )
