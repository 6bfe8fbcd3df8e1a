"""Intraclass correlation against Shrout and Fleiss's own table and statsmodels' mean squares."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rt4d.agreement.correlation import intraclass
from rt4d.errors import InputError

SHROUT_FLEISS = {"J1": [9, 6, 8, 7, 10, 6], "J2": [2, 1, 4, 1, 5, 2], "J3": [5, 3, 6, 2, 6, 4], "J4": [8, 2, 8, 6, 9, 7]}
"""Six targets, four judges (Psychol Bull 1979, table 2)."""


def named(table):
    return {judge: {f"P{n}": float(value) for n, value in enumerate(values)} for judge, values in table.items()}


def test_the_published_table_has_its_published_correlations():
    """ICC(2,1) 0.29 and ICC(3,1) 0.71 in the paper; intervals as R's psych documents for the same table."""
    found = intraclass(named(SHROUT_FLEISS), quantity="score")
    assert found.agreement == pytest.approx(0.29, abs=0.005)
    assert found.consistency == pytest.approx(0.71, abs=0.006)
    assert found.agreement_interval == pytest.approx((0.019, 0.76), abs=0.005)
    assert found.consistency_interval == pytest.approx((0.34, 0.95), abs=0.005)


def test_correlations_come_from_statsmodels_mean_squares():
    formula, linear = pytest.importorskip("statsmodels.formula.api"), pytest.importorskip("statsmodels.stats.anova")
    import pandas as pd

    rng = np.random.default_rng(3)
    table = rng.normal(30, 10, (15, 1)) + rng.normal(0, 2, (1, 5)) + rng.normal(0, 3, (15, 5))
    rows = pd.DataFrame([{"patient": str(i), "observer": str(j), "value": table[i, j]} for i in range(15) for j in range(5)])
    squares = linear.anova_lm(formula.ols("value ~ patient + observer", rows).fit())["sum_sq"] / [14, 4, 56]
    between, among, error = squares["patient"], squares["observer"], squares["Residual"]
    found = intraclass(named({str(j): table[:, j] for j in range(5)}), quantity="volume")
    assert found.consistency == pytest.approx((between - error) / (between + 4 * error))
    assert found.agreement == pytest.approx((between - error) / (between + 4 * error + 5 * (among - error) / 15))


def test_a_constant_difference_counts_for_agreement_only():
    values = np.array([10.0, 20, 30, 40])
    found = intraclass(named({"A": values, "B": values + 5}), quantity="volume")
    assert found.consistency == pytest.approx(1)
    assert found.agreement < 0.95
    assert found.consistency_interval is None


def test_intervals_hold_the_true_correlation_as_often_as_they_say():
    """Spread between patients 1, between observers 0.1, left 0.3: ICC(2,1) = 1/1.4, ICC(3,1) = 1/1.3."""
    rng = np.random.default_rng(6)
    holds = np.zeros(2)
    for _ in range(300):
        table = rng.normal(0, 1, (20, 1)) + rng.normal(0, 0.1**0.5, (1, 5)) + rng.normal(0, 0.3**0.5, (20, 5))
        found = intraclass(named({str(j): table[:, j] for j in range(5)}), quantity="volume")
        for n, (interval, true) in enumerate(((found.agreement_interval, 1 / 1.4), (found.consistency_interval, 1 / 1.3))):
            holds[n] += interval[0] <= true <= interval[1]
    assert holds / 300 == pytest.approx(np.array([0.95, 0.95]), abs=0.035)


def test_who_is_left_out_is_named_and_everything_is_json():
    table = named(SHROUT_FLEISS)
    table["J2"]["P3"] = None
    found = intraclass(table, quantity="score")
    assert found.left_out == {"P3": "no score of J2"}
    assert "left out: P3 (no score of J2)" in str(found)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["n"] == 5


def test_without_any_spread_it_is_undefined():
    found = intraclass(named({"A": [3, 3, 3], "B": [3, 3, 3]}), quantity="volume")
    assert (found.agreement, found.consistency, found.agreement_interval) == (None, None, None)
    assert "undefined" in str(found)


def test_one_observer_or_patient_is_refused():
    for table in ({"A": [1, 2, 3]}, {"A": [1], "B": [2]}):
        with pytest.raises(InputError, match="at least two of each"):
            intraclass(named(table), quantity="volume")
