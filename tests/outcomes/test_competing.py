"""Where events compete: Fine and Gray, Aalen–Johansen and Gray's test against R and by hand; Kaplan–Meier and the log-rank test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rt4d.errors import InputError
from rt4d.outcomes.cox import cox
from rt4d.outcomes.curves import at_risk, cumulative_incidence, kaplan_meier, log_rank
from rt4d.outcomes.fine_gray import fine_gray
from rt4d.outcomes.gray import gray_test
from rt4d.outcomes.table import Cohort, cohort_from_table
from tests.conftest import needs_program
from tests.outcomes.conftest import Oracle
from tests.outcomes.made import cohort, simulated

TIMES = {"melanoma": ("time", ["age", "thickness", "ulcer"], [1000, 2000, 3000]), "mgus2": ("etime", ["age", "hgb", "mspike"], [60, 120, 240])}
both = pytest.mark.parametrize("name", list(TIMES))


def competing(oracle: Oracle, name: str, *more: str) -> Cohort:
    return cohort_from_table(oracle.table(name), time=TIMES[name][0], event="ev", covariates=[*TIMES[name][1], *more])


def words(values: object) -> list[str]:
    return [str(value) for value in np.ravel(np.asarray(values))]


@needs_program("Rscript")
@both
def test_fine_and_gray_is_that_of_cmprsk_with_many_ties_too(oracle: Oracle, name: str) -> None:
    model = fine_gray(competing(oracle, name), TIMES[name][1])
    np.testing.assert_allclose(model.coefficients, oracle[f"{name}.fg.coef"], rtol=1e-6)
    np.testing.assert_allclose(np.sqrt(np.diag(model.covariance)), oracle[f"{name}.fg.se"], rtol=1e-5)


@needs_program("Rscript")
def test_fine_and_gray_is_the_weighted_cox_regression_of_survival(oracle: Oracle) -> None:
    """Where no event is tied with a censoring; finegray then weights as crr does."""
    model = fine_gray(competing(oracle, "melanoma"), TIMES["melanoma"][1])
    np.testing.assert_allclose(model.coefficients, oracle["melanoma.finegray.coef"], rtol=1e-6)


@needs_program("Rscript")
@both
def test_cumulative_incidence_is_that_of_r_with_ties(oracle: Oracle, name: str) -> None:
    found = cumulative_incidence(competing(oracle, name))
    at = found.at(TIMES[name][2])
    np.testing.assert_allclose(at["value"], oracle[f"{name}.ci.est"], rtol=1e-9)
    error = np.log(np.log(at["low"]) / np.log(at["value"])) / -1.959964 * (at["value"] * np.log(at["value"]))
    np.testing.assert_allclose(error, oracle[f"{name}.ci.se"], rtol=1e-5)
    np.testing.assert_allclose(at["low"], oracle[f"{name}.ci.low"], rtol=1e-5)
    np.testing.assert_allclose(at["high"], oracle[f"{name}.ci.high"], rtol=1e-5)


@needs_program("Rscript")
def test_grays_test_is_that_of_cmprsk(oracle: Oracle) -> None:
    skin, gamma = competing(oracle, "melanoma"), oracle.table("mgus2")
    assert gray_test(skin, words(skin.covariates["ulcer"])).statistic == pytest.approx(oracle["melanoma.gray"][0], rel=1e-6)
    thickness = np.digitize(skin.covariates["thickness"], [1, 3], right=True)
    three = gray_test(skin, words(thickness))
    assert (three.statistic, three.degrees) == (pytest.approx(oracle["melanoma.gray3"][0], rel=1e-6), 2)
    assert gray_test(competing(oracle, "mgus2"), words(gamma["sex"])).statistic == pytest.approx(oracle["mgus2.gray"][0], rel=1e-9)


@needs_program("Rscript")
def test_grays_test_is_that_of_cmprsk_where_nearly_all_times_are_tied(oracle: Oracle) -> None:
    table = oracle.table("tied")
    made = cohort_from_table(table, time="time", event="ev", covariates=["group"], unit="months")
    found = gray_test(made, list(table["group"]))
    assert (found.statistic, found.degrees) == (pytest.approx(oracle["tied.gray"][0], rel=1e-9), table["group"].nunique() - 1)


@needs_program("Rscript")
def test_kaplan_meier_with_number_at_risk_is_that_of_r(oracle: Oracle) -> None:
    lungs = cohort_from_table(oracle.table("lung"), time="time", event="status", covariates=["sex"])
    at = kaplan_meier(lungs).at([100, 365, 700])
    for key, name in (("value", "km.surv"), ("low", "km.low"), ("high", "km.high")):
        np.testing.assert_allclose(at[key], oracle[name], rtol=1e-6)
    assert at_risk(lungs, [100, 365, 700]).tolist() == oracle["km.at_risk"].tolist()
    assert log_rank(lungs, words(lungs.covariates["sex"])).statistic == pytest.approx(oracle["logrank"][0], rel=1e-6)


@needs_program("Rscript")
def test_log_rank_of_four_groups_is_that_of_r(oracle: Oracle) -> None:
    table = oracle.table("veteran")
    made = cohort_from_table(table, time="time", event="status", covariates=["age"])
    found = log_rank(made, list(table["celltype"]))
    assert (found.statistic, found.degrees) == (pytest.approx(oracle["veteran.logrank"][0], rel=1e-6), 3)


def test_kaplan_meier_by_hand() -> None:
    """Five patients: 4/5 after the first event, then 2/3 of it, as one was censored before."""
    curve = kaplan_meier(cohort([1, 2, 3, 4, 5], [1, 0, 1, 0, 0], x=[0, 0, 0, 0, 0]))
    np.testing.assert_allclose(curve.at([0, 1, 3, 5])["value"], [1, 0.8, 0.8 * 2 / 3, 0.8 * 2 / 3])


def test_cumulative_incidence_by_hand_where_both_happen_at_one_time() -> None:
    """At time 1 one of four has the event and one the competing one; both have 1/4, whichever row comes first; then 1/2 of the 1/2 left."""
    for event in ([1, 2, 1, 0], [2, 1, 1, 0]):
        made = cohort([1, 1, 2, 3], event, x=[0, 0, 0, 0])
        np.testing.assert_allclose(cumulative_incidence(made).at([1, 2, 3])["value"], [0.25, 0.5, 0.5])
        np.testing.assert_allclose(cumulative_incidence(made, cause=2).at([1, 3])["value"], [0.25, 0.25])


def test_incidences_and_being_spared_add_up_to_one() -> None:
    made = simulated(competing=True)
    any_event = replace(made, event=(made.event > 0).astype(int))
    total = cumulative_incidence(made).value + cumulative_incidence(made, cause=2).value
    np.testing.assert_allclose(1 - total, kaplan_meier(any_event).at(cumulative_incidence(made).time)["value"], atol=1e-12)


def test_without_competition_incidence_is_one_minus_kaplan_meier() -> None:
    made = simulated()
    incidence, spared = cumulative_incidence(made), kaplan_meier(made)
    np.testing.assert_allclose(incidence.value, 1 - spared.at(incidence.time)["value"], atol=1e-12)
    inside = (incidence.value > 0) & (incidence.value < 1)
    assert ((incidence.low < incidence.value) & (incidence.value < incidence.high))[inside].all()


def test_kaplan_meier_overstates_incidence_where_events_compete() -> None:
    made = simulated(competing=True)
    assert 1 - kaplan_meier(made).value[-1] > cumulative_incidence(made).value[-1] + 0.05


def test_fine_and_gray_without_censoring_is_cox_with_competing_events_at_the_end() -> None:
    made = simulated(competing=True)
    made = made.only(made.event > 0)
    last = replace(made, time=np.where(made.event == 2, 1e9, made.time), event=np.where(made.event == 2, 0, 1))
    names = list(made.covariates)
    np.testing.assert_allclose(fine_gray(made, names).coefficients, cox(last, names).coefficients, rtol=1e-8)


def test_fine_and_gray_does_not_depend_on_the_order_of_rows() -> None:
    made = simulated(60, effect=0.1, competing=True)
    made = replace(made, time=np.ceil(made.time / 100))
    order = np.random.default_rng(1).permutation(60)
    names = list(made.covariates)
    here, there = fine_gray(made, names), fine_gray(made.only(order), names)
    np.testing.assert_allclose(there.covariance, here.covariance, rtol=1e-8)
    np.testing.assert_allclose(there.score_residuals, here.score_residuals[order], atol=1e-9)


def test_grays_test_is_the_same_whichever_group_comes_first() -> None:
    made = simulated(competing=True)
    group = np.arange(made.n) % 3
    here, there = gray_test(made, words(group)), gray_test(made, words((group + 1) % 3))
    assert there.statistic == pytest.approx(here.statistic, rel=1e-9)


def test_fine_and_gray_is_refused_where_nothing_competes() -> None:
    with pytest.raises(InputError, match="No competing event"):
        fine_gray(simulated(), ["false_positive_cm3"])


@pytest.mark.parametrize("groups", [["A"] * 120, ["A", "B"]])
def test_groups_that_are_none_are_refused(groups: list[str]) -> None:
    with pytest.raises(InputError, match="two groups"):
        gray_test(simulated(competing=True), groups)
