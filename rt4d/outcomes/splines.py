"""Whether an effect is a straight line: restricted cubic splines against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rt4d.errors import InputError
from rt4d.geometry import Floats
from rt4d.outcomes.cox import cox
from rt4d.outcomes.effects import ChiSquare
from rt4d.outcomes.table import Cohort

QUANTILES = {3: (0.10, 0.50, 0.90), 4: (0.05, 0.35, 0.65, 0.95), 5: (0.05, 0.275, 0.5, 0.725, 0.95)}
"""Where Harrell (Regression Modeling Strategies, 2.4.6) puts the knots."""


def bends(values: Floats, *, knots: int = 4) -> Floats:
    """The columns that let a line bend at the knots and stay straight beyond them, shape (n, knots - 2).

    Raises InputError where the knots fall together, as with many patients at one value.
    """
    if knots not in QUANTILES:
        raise InputError("Splines have a few knots", expected="3, 4 or 5", found=knots)
    at = np.quantile(values, QUANTILES[knots])
    if not np.all(np.diff(at) > 0):
        found = ", ".join(f"{each:g}" for each in at)
        raise InputError("Too many patients share one value for a spline", expected=f"{knots} knots apart", found=found)
    cubes = np.maximum(values[:, None] - at, 0) ** 3
    last, before = at[-1], at[-2]
    inner, wide = at[:-2], last - before
    columns = cubes[:, :-2] - cubes[:, -2:-1] * (last - inner) / wide + cubes[:, -1:] * (before - inner) / wide
    return np.asarray(columns / (last - at[0]) ** 2, dtype=float)


def non_linearity(cohort: Cohort, names: Sequence[str], *, of: str, knots: int = 4) -> ChiSquare:
    """The likelihood-ratio test that the logarithm of the hazard does not go with one covariate in a straight line, given the others."""
    columns = bends(cohort.covariates[of], knots=knots)
    bent = {f"{of} bend {n}": column for n, column in enumerate(columns.T, start=1)}
    wider = replace(cohort, covariates={**cohort.covariates, **bent})
    straight, curved = cox(cohort, names), cox(wider, [*names, *bent])
    return ChiSquare(2 * (curved.maximum.moments.log_likelihood - straight.maximum.moments.log_likelihood), len(bent))
