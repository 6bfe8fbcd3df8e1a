"""Cox's regression against R, lifelines and likelihoods worked out by hand; and what it must not depend on."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt4d.errors import InputError
from rt4d.outcomes.cox import cox
from rt4d.outcomes.proportional_hazards import proportional_hazards
from rt4d.outcomes.table import Cohort, cohort_from_table
from tests.conftest import needs_program
from tests.outcomes.conftest import Oracle
from tests.outcomes.made import cohort, simulated

LUNG = ["age", "sex", "ph.ecog"]


def lungs(oracle: Oracle, cluster: str | None = None) -> Cohort:
    return cohort_from_table(oracle.table("lung"), time="time", event="status", covariates=LUNG, cluster=cluster)


def same(found: object, said: object) -> None:
    """To four digits."""
    np.testing.assert_allclose(np.ravel(found), np.ravel(said), rtol=5e-5, atol=1e-9)


@needs_program("Rscript")
def test_coefficients_intervals_and_p_are_those_of_r(oracle: Oracle) -> None:
    model = cox(lungs(oracle), LUNG)
    same(model.coefficients, oracle["cox.coef"])
    same([effect.standard_error for effect in model.effects.values()], oracle["cox.se"])
    same([effect.ci95 for effect in model.effects.values()], oracle["cox.ci"])
    same([effect.p for effect in model.effects.values()], oracle["cox.p"])
    same([model.maximum.null_log_likelihood, model.maximum.moments.log_likelihood], oracle["cox.loglik"])
    assert model.likelihood_ratio.statistic == pytest.approx(2 * np.diff(oracle["cox.loglik"])[0], rel=1e-6)


@needs_program("Rscript")
def test_robust_variance_by_centre_is_that_of_r_and_is_held_against_t(oracle: Oracle) -> None:
    effects = cox(lungs(oracle, "inst"), LUNG).effects.values()
    same([effect.standard_error for effect in effects], oracle["cluster.se"])
    same([effect.ci95 for effect in effects], oracle["cluster.ci"])
    same([effect.p for effect in effects], oracle["cluster.p"])


@needs_program("Rscript")
def test_influence_of_each_patient_is_the_dfbeta_of_r(oracle: Oracle) -> None:
    np.testing.assert_allclose(cox(lungs(oracle), LUNG).influence.ravel(), oracle["cox.dfbeta"], rtol=1e-4, atol=1e-8)


@needs_program("Rscript")
def test_proportional_hazards_are_tested_as_by_cox_zph(oracle: Oracle) -> None:
    found = proportional_hazards(cox(lungs(oracle), LUNG))
    same([*(test.statistic for test in found.by_covariate.values()), found.together.statistic], oracle["cox.zph"])
    same([*(test.p for test in found.by_covariate.values()), found.together.p], oracle["cox.zph.p"])


@needs_program("Rscript")
def test_levels_in_words_give_the_model_of_r(oracle: Oracle) -> None:
    table = oracle.table("veteran")
    made = cohort_from_table(table, time="time", event="status", covariates=["karno", "age", "celltype"])
    model = cox(made, list(made.covariates))
    reference = list(made.covariates)[2].rpartition(" against ")[2]
    by_name = dict(zip(["karno", "age", "smallcell", "adeno", "large"], oracle["veteran.coef"], strict=True)) | {"squamous": 0.0}
    for name, coefficient in zip(list(made.covariates)[:2], model.coefficients[:2], strict=True):
        same(coefficient, by_name[name])
    for name, coefficient in zip(list(made.covariates)[2:], model.coefficients[2:], strict=True):
        level = name.partition(": ")[2].partition(" against ")[0]
        assert coefficient == pytest.approx(by_name[level] - by_name[reference], rel=1e-4)
    assert proportional_hazards(model).together.statistic == pytest.approx(oracle["veteran.zph"][-1], rel=1e-4)


@needs_program("Rscript")
def test_cohort_of_26_with_12_events_is_that_of_r(oracle: Oracle) -> None:
    model = cox(cohort_from_table(oracle.table("ovarian"), time="futime", event="fustat", covariates=["age"]), ["age"])
    same([model.coefficients[0], model.effects["age"].standard_error], [*oracle["ovarian.coef"], *oracle["ovarian.se"]])


@needs_program("Rscript")
def test_cause_specific_hazards_censor_competing_events(oracle: Oracle) -> None:
    names = ["age", "thickness", "ulcer"]
    model = cox(cohort_from_table(oracle.table("melanoma"), time="time", event="ev", covariates=names), names)
    same(model.coefficients, oracle["melanoma.specific.coef"])
    same([effect.standard_error for effect in model.effects.values()], oracle["melanoma.specific.se"])


def test_coefficients_are_those_of_lifelines() -> None:
    import pandas as pd
    from lifelines import CoxPHFitter

    made = simulated(effect=0.1)
    made = replace(made, time=np.ceil(made.time / 60))  # ties
    frame = pd.DataFrame({"time": made.time, "event": made.event, **made.covariates})
    theirs = CoxPHFitter().fit(frame, "time", "event")
    np.testing.assert_allclose(cox(made, list(made.covariates)).coefficients, theirs.params_, rtol=1e-4)


def test_three_patients_by_hand() -> None:
    """x = 1, 0, 1 with events at 1 and 2: r/(2r + 1) · 1/(1 + r) is greatest at r = 1/√2, r the hazard ratio."""
    effect = cox(cohort([1, 2, 3], [1, 1, 0], x=[1, 0, 1]), ["x"]).effects["x"]
    assert effect.hazard_ratio == pytest.approx(1 / math.sqrt(2), rel=1e-9)


def test_tied_events_by_hand_after_efron() -> None:
    """Both events of four patients at one time, one with x = 1: r / [(2r + 2)(3r/2 + 3/2)] is greatest at r = 1."""
    effect = cox(cohort([1, 1, 2, 3], [1, 1, 0, 0], x=[1, 0, 1, 0]), ["x"]).effects["x"]
    assert effect.coefficient == pytest.approx(0, abs=1e-9)
    assert effect.standard_error == pytest.approx(1 / math.sqrt(2 * 0.25), rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(40)))
def test_the_order_of_rows_changes_nothing(order: list[int]) -> None:
    made = simulated(40, effect=0.1, seed=3)
    made = replace(made, time=np.ceil(made.time / 100))
    there, here = cox(made.only(np.array(order)), list(made.covariates)), cox(made, list(made.covariates))
    np.testing.assert_allclose(there.coefficients, here.coefficients, rtol=1e-7)
    np.testing.assert_allclose(there.influence, here.influence[order], rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize("units", [1e-4, 1000.0, 1e7])
def test_another_unit_of_a_covariate_changes_nothing_but_the_unit(units: float) -> None:
    made = simulated(effect=0.1)
    scaled = replace(made, covariates={**made.covariates, "false_positive_cm3": made.covariates["false_positive_cm3"] * units})
    here, there = (cox(each, list(made.covariates)).effects["false_positive_cm3"] for each in (made, scaled))
    assert there.per(units, "").hazard_ratio == pytest.approx(here.hazard_ratio, rel=1e-9)
    assert there.p == pytest.approx(here.p, rel=1e-6)


def test_another_clock_changes_nothing() -> None:
    """Only the order of times counts."""
    made = simulated(effect=0.1)
    later = replace(made, time=np.exp(made.time / 500))
    np.testing.assert_allclose(cox(made, list(made.covariates)).coefficients, cox(later, list(made.covariates)).coefficients, rtol=1e-9)


def test_one_centre_for_each_patient_is_the_sandwich_of_independent_patients() -> None:
    made = simulated(effect=0.1)
    model = cox(replace(made, clusters=tuple(str(n) for n in range(made.n))), list(made.covariates))
    np.testing.assert_allclose(model.covariance, model.influence.T @ model.influence, rtol=1e-9)


def test_hazard_ratio_per_cm3_is_that_per_voxel_to_the_power_of_voxels() -> None:
    made = simulated(effect=0.05)
    voxels = replace(made, covariates={"false_positive_voxels": made.covariates["false_positive_cm3"] * 1000 / 8})
    per_voxel = cox(voxels, ["false_positive_voxels"]).effects["false_positive_voxels"]
    per_cm3 = cox(made, ["false_positive_cm3"]).effects["false_positive_cm3"]
    assert per_voxel.hazard_ratio**125 == pytest.approx(per_cm3.hazard_ratio, rel=1e-9)


def test_complete_separation_is_refused_by_name() -> None:
    parted = cohort([1, 2, 3, 4, 5, 6], [1, 1, 1, 0, 0, 0], volume=[9, 8, 7, 3, 2, 1], age=[60, 71, 65, 63, 70, 64])
    with pytest.raises(InputError, match=r"separates.*\(volume\)"):
        cox(parted, ["volume", "age"])


def test_a_level_without_events_is_refused() -> None:
    made = simulated(effect=0.1)
    spared = replace(made, covariates={**made.covariates, "lobe": np.where((made.event == 0) & (np.arange(made.n) % 3 == 0), 1.0, 0.0)})
    with pytest.raises(InputError, match="lobe"):
        cox(spared, ["false_positive_cm3", "lobe"])


def test_nearly_separated_patients_still_have_an_estimate() -> None:
    close = cohort([1, 2, 3, 4, 5, 6, 7, 8], [1, 1, 1, 0, 1, 0, 0, 0], x=[9, 8, 7, 6, 1, 3, 2, 4])
    effect = cox(close, ["x"]).effects["x"]
    assert 1 < effect.hazard_ratio < 10


def test_a_strong_effect_is_not_taken_for_separation() -> None:
    chance = np.random.default_rng(1)
    x = chance.normal(size=300)
    strong = cohort(list(chance.exponential(np.exp(-4 * x)) + 1e-9), [1] * 300, x=list(x))
    assert cox(strong, ["x"]).coefficients[0] == pytest.approx(4, abs=0.6)


@pytest.mark.parametrize(
    ("covariates", "said"),
    [
        ({"a": [1, 2, 3, 4], "b": [2, 4, 6, 8]}, "collinear"),
        ({"a": [1, 2, 3, 4], "b": [5, 5, 5, 5]}, "same in all patients"),
        ({"a": [1, 2, 3, 4], "b": [1, 0, 0, 0]}, "at risk when something happened"),
    ],
)
def test_covariates_that_cannot_be_told_apart_are_refused(covariates: dict[str, list[float]], said: str) -> None:
    with pytest.raises(InputError, match=said) as refusal:
        cox(cohort([1, 2, 3, 4], [0, 1, 1, 0], **covariates), ["a", "b"])
    assert "b" in refusal.value.where


def test_too_few_centres_for_a_robust_variance_are_refused() -> None:
    made = simulated(effect=0.1)
    with pytest.raises(InputError, match="centres"):
        cox(replace(made, clusters=tuple("AB"[n % 2] for n in range(made.n))), list(made.covariates))


def test_proportional_hazards_are_rejected_where_an_effect_turns() -> None:
    chance = np.random.default_rng(2)
    x = np.repeat([0.0, 1.0], 200)
    time = np.where(x == 0, chance.weibull(1, 400), chance.weibull(4, 400))
    turned = cohort(list(time), [1] * 400, x=list(x))
    assert proportional_hazards(cox(turned, ["x"])).together.p < 1e-6


def test_an_enormous_value_among_few_patients_is_refused_without_overflow() -> None:
    few = cohort([1, 2, 2, 3, 3], [0, 0, 1, 0, 1], x=[10, 12345, 0, 12345, 10])
    with pytest.raises(InputError, match="converge"):
        cox(few, ["x"])
