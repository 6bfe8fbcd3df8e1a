"""The hazard over one covariate is what lifelines finds with another base of the same splines."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter
from scipy.interpolate import CubicSpline

from rt4d.outcomes.hazard_curve import hazard_curve
from rt4d.outcomes.splines import QUANTILES
from tests.outcomes.made import simulated

NAMES = ("false_positive_cm3", "gtv_volume_cm3")


def natural(values: np.ndarray, *, knots: int) -> np.ndarray:
    """Natural cubic splines through 1 at one knot and 0 at the others, straight beyond the outermost; without the first."""
    at = np.quantile(values, QUANTILES[knots])
    spline = CubicSpline(at, np.eye(knots), bc_type="natural")
    inside = np.clip(values, at[0], at[-1])
    return np.asarray(spline(inside) + spline(inside, 1) * (values - inside)[:, None])[:, 1:]


def test_it_is_the_curve_of_another_base_of_the_same_splines() -> None:
    cohort = simulated(200, effect=0.2, seed=3)
    curve = hazard_curve(cohort, NAMES, of=NAMES[0])
    columns = natural(cohort.covariates[NAMES[0]], knots=4)
    table = pd.DataFrame(columns, columns=list("abc")).assign(gtv=cohort.covariates[NAMES[1]], time=cohort.time, event=cohort.event)
    fitted = CoxPHFitter().fit(table, "time", "event")
    order = np.argsort(cohort.covariates[NAMES[0]])
    away = (columns - columns[cohort.covariates[NAMES[0]] == curve.reference])[order]
    assert np.log(curve.ratio) == pytest.approx(away @ fitted.params_[:3].to_numpy(), abs=1e-4)
    error = np.sqrt(np.diag(away @ fitted.variance_matrix_.to_numpy()[:3, :3] @ away.T))
    assert np.log(curve.high / curve.ratio) == pytest.approx(1.959964 * error, abs=1e-3)


def test_it_is_one_at_the_median_patient_and_knows_who_had_the_event() -> None:
    cohort = simulated(81, effect=0.2, seed=1)
    curve = hazard_curve(cohort, NAMES, of=NAMES[0], knots=3)
    assert curve.reference == np.median(cohort.covariates[NAMES[0]])
    assert curve.ratio[curve.value == curve.reference] == 1
    assert curve.low[40] == curve.high[40] == curve.straight[40] == 1
    assert curve.happened.sum() == cohort.events
    assert (np.diff(curve.value) >= 0).all()
