"""Limits of agreement against closed forms, statsmodels, R's non-central t and their coverage."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest

from rt4d.agreement.limits_of_agreement import bland_altman
from rt4d.errors import InputError
from tests.conftest import needs_program


def named(values):
    return {f"P{n}": float(value) for n, value in enumerate(values)}


def drawn(n=20, *, bias=-2.0, growth=0.0, seed=1):
    rng = np.random.default_rng(seed)
    true = rng.uniform(10, 60, n)
    return named(true + bias + growth * true + rng.normal(0, 2, n)), named(true + rng.normal(0, 2, n))


def test_bias_and_limits_have_their_closed_form():
    first, second = drawn()
    differences = np.array(list(first.values())) - list(second.values())
    found = bland_altman(first, second, quantity="volume", unit="cm³")
    assert found.bias == pytest.approx(differences.mean())
    assert (found.lower, found.upper) == pytest.approx(differences.mean() + np.array([-1, 1]) * 1.959964 * differences.std(ddof=1))
    assert found.lower_interval[0] < found.lower < found.lower_interval[1] < found.bias
    assert found.bias - found.lower_interval[0] == pytest.approx(found.upper_interval[1] - found.bias)


def test_intervals_of_limits_are_bland_and_altmans_own_for_many_patients():
    """Bland & Altman 1999: the limit's standard error is √(1/n + 1.96²/2(n − 1)) s."""
    first, second = drawn(400)
    found = bland_altman(first, second, quantity="volume")
    deviation = (found.upper - found.bias) / 1.959964
    reach = 1.96 * deviation * np.sqrt(1 / 400 + 1.96**2 / (2 * 399))
    assert found.upper_interval == pytest.approx((found.upper - reach, found.upper + reach), abs=0.02 * deviation)


@needs_program("Rscript")
def test_intervals_of_limits_are_rs_noncentral_t():
    found = bland_altman(*drawn(15), quantity="volume")
    deviation = (found.upper - found.bias) / 1.959964
    code = "cat(qt(c(0.025, 0.975), 14, ncp=qnorm(0.975) * sqrt(15)) / sqrt(15))"
    told = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=True).stdout
    assert (np.array(found.upper_interval) - found.bias) / deviation == pytest.approx([float(each) for each in told.split()], rel=1e-4)


def test_intervals_of_limits_hold_the_true_limit_as_often_as_they_say():
    rng = np.random.default_rng(2)
    holds = 0
    for _ in range(400):
        low, high = bland_altman(named(rng.normal(size=12)), named(np.zeros(12)), quantity="volume").upper_interval
        holds += low <= 1.959964 <= high
    assert holds / 400 == pytest.approx(0.95, abs=0.03)


def test_bias_that_grows_with_size_has_statsmodels_slope():
    api = pytest.importorskip("statsmodels.api")
    first, second = drawn(growth=-0.3)
    found = bland_altman(first, second, quantity="volume")
    a, b = np.array(list(first.values())), np.array(list(second.values()))
    fit = api.OLS(a - b, api.add_constant((a + b) / 2)).fit()
    assert (found.slope, found.slope_p) == pytest.approx((fit.params[1], fit.pvalues[1]))
    assert found.slope_interval == pytest.approx(tuple(fit.conf_int()[1]))
    assert found.slope < 0
    assert "proportional bias: slope -0." in str(found)


def test_of_ratios_bias_and_limits_are_ratios():
    true = np.linspace(10, 60, 20)
    noise = np.random.default_rng(1).normal(0, 0.1, 20)
    told = bland_altman(named(0.8 * true * np.exp(noise)), named(true), quantity="volume", unit="cm³", ratio=True).to_dict()
    assert told["bias"] == pytest.approx(0.8 * np.exp(noise.mean()))
    assert told["lower"] * told["upper"] == pytest.approx(told["bias"] ** 2)


def test_who_is_left_out_is_named_and_everything_is_json():
    first, second = drawn(10)
    first["P3"] = None
    found = bland_altman(first, second, quantity="volume")
    assert "left out: P3 (no volume of machine)" in str(found)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["n"] == 9
    assert found.means.shape == (9,)


def test_one_patient_has_no_limits_and_two_have_no_slope():
    with pytest.raises(InputError, match="at least two"):
        bland_altman({"P1": 1.0}, {"P1": 2.0}, quantity="volume")
    two = bland_altman({"P1": 1.0, "P2": 3.0}, {"P1": 2.0, "P2": 5.0}, quantity="volume")
    assert two.slope is None
    str(two)
