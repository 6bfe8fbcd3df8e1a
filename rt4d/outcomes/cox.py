"""Cox's proportional hazards regression: how the hazard of the event goes with what we know of a patient.

Own arithmetic on `risk_sets`, which Fine and Gray's regression needs as well: lifelines agrees on the coefficients to five digits, but its
robust variance with tied times, its residuals and its test of proportional hazards are not those of R's survival, which are the reference here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rt4d.errors import InputError
from rt4d.geometry import Floats
from rt4d.outcomes.effects import ChiSquare, Effect, wald
from rt4d.outcomes.maximum import Maximum, maximise
from rt4d.outcomes.risk_sets import RiskSets, risk_sets, score_residuals
from rt4d.outcomes.table import Cohort
from rt4d.outcomes.units import unit_of


@dataclass(frozen=True, slots=True, eq=False)
class Regression:
    """A regression of hazards: coefficients with their covariance (robust by centre where the cohort has centres), and what it was made from.

    means: of the covariates; the risk sets hold their deviations from it. score_residuals: each patient's part of the score, shape (n, p).
    """

    names: tuple[str, ...]
    cohort: Cohort
    sets: RiskSets
    maximum: Maximum
    covariance: Floats
    means: Floats
    score_residuals: Floats

    @property
    def coefficients(self) -> Floats:
        return self.maximum.coefficients

    @property
    def effects(self) -> dict[str, Effect]:
        errors = np.sqrt(np.diag(self.covariance))
        pairs = zip(self.names, self.coefficients, errors, strict=True)
        return {name: Effect(float(value), float(error), unit_of(name), self.degrees) for name, value, error in pairs}

    @property
    def degrees(self) -> int | None:
        """One less than there are centres: with few of them a robust standard error is itself a guess, as R's survey::svycoxph allows for."""
        return None if self.cohort.clusters is None else len(set(self.cohort.clusters)) - 1

    @property
    def likelihood_ratio(self) -> ChiSquare:
        """The test that none of the covariates matters; it takes patients for independent, also where there are centres."""
        return ChiSquare(2 * (self.maximum.moments.log_likelihood - self.maximum.null_log_likelihood), len(self.names))

    @property
    def wald(self) -> ChiSquare:
        return wald(self.coefficients, self.covariance)

    @property
    def linear_predictor(self) -> Floats:
        """The logarithm of each patient's hazard against that of the mean patient, shape (n,)."""
        return np.asarray((self.cohort.matrix(self.names) - self.means) @ self.coefficients, dtype=float)

    @property
    def influence(self) -> Floats:
        """By how much each patient moves each coefficient (dfbeta), shape (n, p)."""
        return np.asarray(self.score_residuals @ self.maximum.covariance, dtype=float)


def cox(cohort: Cohort, names: Sequence[str]) -> Regression:
    """Cox's regression on these covariates together, tied times after Efron; a competing event ends follow-up (cause-specific hazards).

    Where the cohort has centres the variance is robust (Lin & Wei 1989), summed by centre, and held against Student's t. Raises InputError
    for constant and collinear covariates, for complete separation, and where the likelihood has no maximum.
    """
    x = cohort.matrix(_distinct(names))
    means = x.mean(axis=0)
    sets = risk_sets(x - means, cohort.time, cohort.event == 1)
    maximum = maximise(sets, names=names)
    residuals = score_residuals(sets, maximum.moments)
    covariance = maximum.covariance if cohort.clusters is None else robust_covariance(maximum, residuals, cohort.clusters)
    return Regression(tuple(names), cohort, sets, maximum, covariance, means, residuals)


def robust_covariance(maximum: Maximum, residuals: Floats, clusters: Sequence[str] | None) -> Floats:
    """The sandwich (Lin & Wei, J Am Stat Assoc 1989): right also where patients of one centre resemble one another."""
    if clusters is not None:
        _, place = np.unique(np.array(clusters), return_inverse=True)
        residuals = np.stack([np.bincount(place, column) for column in residuals.T], axis=1)
        if len(residuals) <= residuals.shape[1]:
            raise InputError("A robust variance needs more centres than covariates", expected=f"more than {residuals.shape[1]}", found=len(residuals))
    return np.asarray(maximum.covariance @ (residuals.T @ residuals) @ maximum.covariance, dtype=float)


def _distinct(names: Sequence[str]) -> Sequence[str]:
    if not names or len(set(names)) != len(names):
        raise InputError("A regression needs covariates, each once", found=", ".join(names) or "none")
    return names
