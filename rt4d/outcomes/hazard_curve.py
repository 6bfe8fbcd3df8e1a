"""How the hazard goes with one covariate when the line may bend: what a hazard ratio per unit leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rt4d.geometry import Floats
from rt4d.outcomes.cox import Regression, cox
from rt4d.outcomes.effects import NORMAL_95, ChiSquare
from rt4d.outcomes.splines import bends, non_linearity
from rt4d.outcomes.table import Cohort


@dataclass(frozen=True, slots=True, eq=False)
class HazardCurve:
    """Hazard ratios against a patient at the median of a covariate, with 95 % interval, at all its values in this cohort (ascending).

    happened: at each value, whether a patient there had the event. straight: the same by one hazard ratio per unit. bend: the test between them.
    """

    covariate: str
    value: Floats
    ratio: Floats
    low: Floats
    high: Floats
    straight: Floats
    happened: np.ndarray[tuple[int], np.dtype[np.bool_]]
    reference: float
    bend: ChiSquare


def hazard_curve(cohort: Cohort, names: Sequence[str], *, of: str, knots: int = 4) -> HazardCurve:
    """The hazard over one of the covariates, the others kept as they are, by a restricted cubic spline (as in `non_linearity`).

    Raises InputError where too many patients share one value.
    """
    columns = bends(cohort.covariates[of], knots=knots)
    bent = {f"{of} bend {n}": column for n, column in enumerate(columns.T, start=1)}
    model = cox(replace(cohort, covariates={**cohort.covariates, **bent}), [*names, *bent])
    order = np.argsort(cohort.covariates[of], kind="stable")
    value = cohort.covariates[of][order]
    middle = (cohort.n - 1) // 2
    logarithm, error = _against(model, [of, *bent], order, middle)
    slope = cox(cohort, names).effects[of].coefficient
    return HazardCurve(
        covariate=of,
        value=value,
        ratio=np.exp(logarithm),
        low=np.exp(logarithm - NORMAL_95 * error),
        high=np.exp(logarithm + NORMAL_95 * error),
        straight=np.exp(slope * (value - value[middle])),
        happened=cohort.event[order] == 1,
        reference=float(value[middle]),
        bend=non_linearity(cohort, names, of=of, knots=knots),
    )


def _against(model: Regression, columns: Sequence[str], order: np.ndarray[tuple[int], np.dtype[np.intp]], middle: int) -> tuple[Floats, Floats]:
    """The logarithm of each patient's hazard by these columns against the patient in the middle, and its standard error."""
    matrix = model.cohort.matrix(columns)[order]
    away = matrix - matrix[middle]
    places = [model.names.index(name) for name in columns]
    covariance = model.covariance[np.ix_(places, places)]
    return away @ model.coefficients[places], np.sqrt(np.einsum("ij,jk,ik->i", away, covariance, away))
