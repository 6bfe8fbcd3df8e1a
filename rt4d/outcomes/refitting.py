"""What the bootstrap says of a hazard ratio: the same regression on patients drawn again and again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from rt4d.errors import InputError
from rt4d.outcomes.cox import Regression, cox
from rt4d.outcomes.ranking import drawings
from rt4d.outcomes.table import Cohort

MOST_FAILED = 0.05


def bootstrap_hazard_ratios(
    cohort: Cohort,
    names: Sequence[str],
    *,
    regression: Callable[[Cohort, Sequence[str]], Regression] = cox,
    repetitions: int = 1000,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """The percentile interval (95 %) of each hazard ratio over patients, or whole centres, drawn with replacement.

    Raises InputError where more than one drawing in twenty has no estimate: the data then hang on a few patients.
    """
    found = []
    for drawn in drawings(cohort, repetitions=repetitions, seed=seed).T.astype(int):
        try:
            found.append(regression(cohort.only(np.repeat(np.arange(cohort.n), drawn)), names).coefficients)
        except InputError:
            continue
    if len(found) < (1 - MOST_FAILED) * repetitions:
        expected = f"an estimate in nearly all of {repetitions} drawings"
        raise InputError("The bootstrap gives no interval", expected=expected, found=len(found), do="Use fewer covariates")
    low, high = np.quantile(np.array(found), [0.025, 0.975], axis=0)
    return {name: (math.exp(low[n]), math.exp(high[n])) for n, name in enumerate(names)}
