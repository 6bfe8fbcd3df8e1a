"""What the bootstrap says of a hazard ratio: the same regression on patients drawn again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from rt4d.errors import InputError
from rt4d.outcomes.cox import Regression, cox
from rt4d.outcomes.effects import hazard_ratio
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
    found, patients = [], replace(cohort, clusters=None)  # a drawing has an estimate also where it has too few centres for a variance
    for drawn in drawings(cohort, repetitions=repetitions, seed=seed).T.astype(int):
        try:
            found.append(regression(patients.only(np.repeat(np.arange(cohort.n), drawn)), names).coefficients)
        except InputError:
            continue
    if len(found) < (1 - MOST_FAILED) * repetitions:
        expected = f"an estimate in nearly all of {repetitions} drawings"
        raise InputError("The bootstrap gives no interval", expected=expected, found=len(found), do="Use fewer covariates")
    low, high = np.quantile(np.array(found), [0.025, 0.975], axis=0)
    return {name: (hazard_ratio(low[n]), hazard_ratio(high[n])) for n, name in enumerate(names)}


def drawings(cohort: Cohort, *, repetitions: int, seed: int) -> npt.NDArray[np.float64]:
    """How often each patient is drawn in each repetition of a bootstrap, shape (n, repetitions); with centres, whole centres are drawn."""
    chance = np.random.default_rng(seed)
    group = np.arange(cohort.n) if cohort.clusters is None else np.unique(np.array(cohort.clusters), return_inverse=True)[1]
    groups = int(group.max()) + 1
    drawn = chance.multinomial(groups, np.full(groups, 1 / groups), size=repetitions).T.astype(float)
    return np.asarray(drawn[group], dtype=float)
