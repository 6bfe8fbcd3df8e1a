"""Cohorts that are made, with an effect that is known."""

from __future__ import annotations

import numpy as np

from rt4d.outcomes.table import Cohort


def cohort(time: list[float], event: list[int], clusters: list[str] | None = None, **covariates: list[float]) -> Cohort:
    values = {name: np.array(each, dtype=float) for name, each in covariates.items()}
    return Cohort(np.array(time, dtype=float), np.array(event), values, clusters=None if clusters is None else tuple(clusters))


def simulated(n: int = 120, *, effect: float = 0.0, seed: int = 0, competing: bool = False) -> Cohort:
    """False positives (cm³) and a GTV's volume, exponential times with this effect per cm³ on the logarithm of the hazard, uniform censoring."""
    chance = np.random.default_rng(seed)
    gtv = chance.gamma(2, 20, n)
    wrong = chance.gamma(1 + gtv / 40, 1.5)
    event = chance.exponential(900 * np.exp(-effect * wrong))
    other = chance.exponential(1500, n) if competing else np.full(n, np.inf)
    end = chance.uniform(200, 2500, n)
    time = np.minimum(np.minimum(event, other), end)
    what = np.where(time == event, 1, np.where(time == other, 2, 0))
    return Cohort(time, what, {"false_positive_cm3": wrong, "gtv_volume_cm3": gtv})
