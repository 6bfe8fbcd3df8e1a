"""What is asked of a model: ranking, calibration, straight lines, the bootstrap, and many tries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rt4d.errors import InputError
from rt4d.outcomes.calibration import calibration, predicted_risk
from rt4d.outcomes.cox import cox
from rt4d.outcomes.multiplicity import benjamini_hochberg, holm
from rt4d.outcomes.ranking import auc_at, c_index
from rt4d.outcomes.refitting import bootstrap_hazard_ratios
from rt4d.outcomes.splines import bends, non_linearity
from rt4d.outcomes.table import cohort_from_table
from tests.conftest import needs_program
from tests.outcomes.conftest import Oracle
from tests.outcomes.made import cohort, simulated

LUNG = ["age", "sex", "ph.ecog"]


@needs_program("Rscript")
def test_c_index_and_predicted_risk_are_those_of_r(oracle: Oracle) -> None:
    model = cox(cohort_from_table(oracle.table("lung"), time="time", event="status", covariates=LUNG), LUNG)
    found = c_index(model.cohort, model.linear_predictor)
    assert (found.value, found.standard_error) == pytest.approx(oracle["cox.c"], rel=1e-9)
    np.testing.assert_allclose(1 - predicted_risk(model, 365), oracle["cox.survival.365"], rtol=1e-5)


@needs_program("Rscript")
def test_the_interval_of_the_c_index_by_centre_is_that_of_r(oracle: Oracle) -> None:
    made = cohort_from_table(oracle.table("lung"), time="time", event="status", covariates=LUNG, cluster="inst")
    assert c_index(made, cox(made, LUNG).linear_predictor).standard_error == pytest.approx(oracle["cluster.c.se"][0], rel=1e-9)


@needs_program("Rscript")
def test_splines_are_those_of_r(oracle: Oracle) -> None:
    made = cohort_from_table(oracle.table("veteran"), time="time", event="status", covariates=["karno"])
    found = non_linearity(made, ["karno"], of="karno")
    assert (found.statistic, found.degrees) == (pytest.approx(oracle["spline.chisq"][0], rel=1e-4), 2)


@needs_program("Rscript")
def test_p_values_for_many_tries_are_those_of_r(oracle: Oracle) -> None:
    p = [0.01, 0.04, 0.03, 0.005, 0.5]
    np.testing.assert_allclose(benjamini_hochberg(p), oracle["adjust.bh"])
    np.testing.assert_allclose(holm(p), oracle["adjust.holm"])


def test_p_values_for_many_tries_by_hand() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(benjamini_hochberg([0.01, 0.04, 0.03]), [0.03, 0.04, 0.04])
    with pytest.raises(InputError, match="between 0 and 1"):
        holm([0.5, 1.5])


def test_c_index_by_hand() -> None:
    """Events at 1 and 3, censored at 2 and 4: four pairs are known; the risk ranks two of them rightly and one is a tie."""
    made = cohort([1, 2, 3, 4], [1, 0, 1, 0], x=[0, 0, 0, 0])
    found = c_index(made, np.array([2.0, 1.0, 2.0, 3.0]))
    assert found.value == (1 + 0.5) / 4


def test_a_risk_turned_round_ranks_the_other_way() -> None:
    made = simulated(effect=0.2)
    risk = made.covariates["false_positive_cm3"]
    for one, other in ((c_index(made, risk), c_index(made, -risk)), (auc_at(made, risk, 700), auc_at(made, -risk, 700))):
        assert one.value + other.value == pytest.approx(1)
        assert one.ci95 is not None
        assert one.ci95[0] < one.value < one.ci95[1]


def test_a_ranking_without_a_mistake_has_no_interval() -> None:
    made = cohort([1, 2, 3, 4], [1, 0, 1, 0], x=[0, 0, 0, 0])
    found = c_index(made, np.array([4.0, 3.0, 2.0, 1.0]))
    assert (found.value, found.ci95) == (1, None)


def test_the_interval_of_a_ranking_comes_near_that_of_the_bootstrap() -> None:
    made = simulated(150, effect=0.2)
    risk, chance = made.covariates["false_positive_cm3"], np.random.default_rng(1)
    for rank in (c_index, lambda each, at: auc_at(each, at, 700)):
        drawn = [rank(made.only(chosen), risk[chosen]).value for chosen in chance.integers(150, size=(200, 150))]
        assert rank(made, risk).standard_error == pytest.approx(np.std(drawn), rel=0.15)


def test_auc_without_censoring_is_that_of_mann_and_whitney() -> None:
    made = simulated(effect=0.2)
    full = replace(made, event=np.ones(made.n, dtype=int))
    risk = made.covariates["false_positive_cm3"]
    case, control = risk[made.time <= 500], risk[made.time > 500]
    expected = np.mean((case[:, None] > control) + 0.5 * (case[:, None] == control))
    assert auc_at(full, risk, 500).value == pytest.approx(expected, rel=1e-12)


def test_auc_weighs_cases_by_their_chance_to_be_followed() -> None:
    """Censored at 1.5 of three still followed: the case at 2 stands for one and a half (Kaplan–Meier of censoring 2/3)."""
    made = cohort([1, 1.5, 2, 3], [1, 0, 1, 0], x=[0, 0, 0, 0])
    found = auc_at(made, np.array([5.0, 9.0, 1.0, 3.0]), 2.5)
    assert found.value == pytest.approx(1 / (1 + 1.5))


def test_auc_needs_somebody_with_the_event_and_somebody_without() -> None:
    with pytest.raises(InputError, match="nobody to compare"):
        auc_at(simulated(), np.zeros(120), 1e6)


def test_a_model_is_calibrated_in_the_patients_that_it_was_made_from() -> None:
    model = cox(simulated(600, effect=0.2), ["false_positive_cm3"])
    groups = calibration(model, 600)
    assert sum(group.n for group in groups) == 600
    assert [group.predicted for group in groups] == sorted(group.predicted for group in groups)
    assert all(group.ci95 is not None and group.ci95[0] - 0.02 < group.predicted < group.ci95[1] + 0.02 for group in groups)


def test_a_group_without_events_has_no_interval() -> None:
    parted = cohort([1, 2, 9, 9, 8, 3], [1, 1, 0, 0, 0, 1], x=[9, 8, 1, 2, 3, 2.5])
    groups = calibration(cox(parted, ["x"]), 5, groups=2)
    assert [group.ci95 is None for group in groups if group.observed == 0] == [True] * sum(group.observed == 0 for group in groups)


def test_risk_is_not_predicted_where_events_compete_nor_beyond_follow_up() -> None:
    with pytest.raises(InputError, match="compete"):
        predicted_risk(cox(simulated(competing=True), ["false_positive_cm3"]), 500)
    with pytest.raises(InputError, match="Nobody was followed"):
        predicted_risk(cox(simulated(), ["false_positive_cm3"]), 1e6)


def test_a_threshold_is_no_straight_line_and_a_line_is_one() -> None:
    chance = np.random.default_rng(4)
    x = chance.uniform(0, 10, 500)
    step, line = (cohort(list(chance.exponential(np.exp(-effect))), [1] * 500, x=list(x)) for effect in (2.0 * (abs(x - 5) > 3), 0.2 * x))
    assert non_linearity(step, ["x"], of="x").p < 1e-6
    assert non_linearity(line, ["x"], of="x").p > 0.05


def test_splines_stay_straight_beyond_the_outer_knots() -> None:
    values = np.linspace(0, 100, 101)
    for outer in (slice(0, 5), slice(96, 101)):
        np.testing.assert_allclose(np.diff(bends(values)[outer], n=2, axis=0), 0, atol=1e-9)


def test_a_spline_needs_values_that_differ() -> None:
    with pytest.raises(InputError, match="share one value"):
        bends(np.array([0.0] * 90 + [1.0] * 10))


def test_the_bootstrap_comes_near_the_interval_of_the_model_and_is_the_same_again() -> None:
    made = simulated(300, effect=0.1, seed=5)
    names = ["false_positive_cm3"]
    low, high = cox(made, names).effects[names[0]].ci95
    found = bootstrap_hazard_ratios(made, names, repetitions=150)
    assert found == bootstrap_hazard_ratios(made, names, repetitions=150)
    assert found[names[0]] == (pytest.approx(low, abs=0.03), pytest.approx(high, abs=0.03))


def test_the_bootstrap_draws_whole_centres() -> None:
    made = simulated(60, effect=0.1)
    twins = made.only(np.repeat(np.arange(60), 2))
    by_twin = replace(twins, clusters=tuple(str(n) for n in np.repeat(np.arange(60), 2)))
    (wide,), (narrow,) = (bootstrap_hazard_ratios(each, ["false_positive_cm3"], repetitions=150).values() for each in (by_twin, twins))
    assert wide[1] - wide[0] > 1.2 * (narrow[1] - narrow[0])


def test_a_bootstrap_that_hangs_on_a_few_patients_is_refused() -> None:
    few = cohort([1, 2, 3, 4, 5, 6], [1, 1, 0, 0, 0, 0], x=[3, 5, 4, 2, 6, 1])
    with pytest.raises(InputError, match="bootstrap"):
        bootstrap_hazard_ratios(few, ["x"], repetitions=40)
