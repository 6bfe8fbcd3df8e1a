"""Paired comparison of two measurements: the machine's ITV against the physician's."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from rt4d.agreement.paired import compare_paired
from rt4d.errors import InputError


def volumes(n=20, *, shrink=0.85, seed=1):
    """Physicians' ITV volumes, and a machine's that are smaller by some 15 %."""
    rng = np.random.default_rng(seed)
    physician = rng.lognormal(3, 0.8, n)
    machine = physician * shrink * rng.lognormal(0, 0.1, n)
    return tuple({f"P{k}": float(v) for k, v in enumerate(each)} for each in (machine, physician))


def test_a_machine_that_draws_smaller_is_said_to_do_so():
    machine, physician = volumes()
    found = compare_paired(machine, physician, quantity="ITV volume", unit="cm³")
    assert found.direction.startswith("machine significantly smaller than physician: smaller in ")
    assert found.wilcoxon.rank_biserial < -0.5
    assert found.median_difference < 0
    assert found.median_interval[1] < 0
    text = str(found)
    for said in ("ITV volume, machine against physician, 20 patients", "cm³", "exact, two-sided", "Hodges-Lehmann", "rank-biserial -"):
        assert said in text


def test_the_other_way_round_everything_changes_sign():
    machine, physician = volumes()
    there, back = compare_paired(machine, physician, quantity="volume"), compare_paired(physician, machine, quantity="volume")
    assert back.wilcoxon.p_two_sided == pytest.approx(there.wilcoxon.p_two_sided)
    assert back.wilcoxon.rank_biserial == pytest.approx(-there.wilcoxon.rank_biserial)
    assert back.median_difference == pytest.approx(-there.median_difference)
    assert back.t == pytest.approx(-there.t)
    assert "larger" in back.direction.split(":")[0]


def test_no_difference_is_called_none():
    machine, physician = volumes(shrink=1.0)
    assert compare_paired(machine, physician, quantity="volume").direction.startswith("machine not significantly different from physician")


def test_the_paired_t_test_is_scipys():
    machine, physician = volumes()
    found = compare_paired(machine, physician, quantity="volume")
    theirs = stats.ttest_rel(list(machine.values()), list(physician.values()))
    assert (found.t, found.t_p) == pytest.approx((theirs.statistic, theirs.pvalue))
    interval = theirs.confidence_interval()
    assert found.mean_interval == pytest.approx((interval.low, interval.high))


def test_ratios_are_tested_on_logarithms_and_told_as_ratios():
    machine, physician = volumes()
    found = compare_paired(machine, physician, quantity="volume", ratio=True)
    logs = np.log(list(machine.values())) - np.log(list(physician.values()))
    told = found.to_dict()
    assert told["mean_difference"] == pytest.approx(stats.gmean(np.exp(logs)))
    assert told["median_interval"][0] < told["median_difference"] < told["median_interval"][1] < 1
    assert found.t == pytest.approx(stats.ttest_1samp(logs, 0).statistic)
    assert "median ratio (Hodges-Lehmann) 0.8" in str(found)


def test_ten_times_the_volume_is_the_same_ratio():
    machine, physician = volumes()
    ten = [{name: 10 * value for name, value in each.items()} for each in (machine, physician)]
    mine, theirs = compare_paired(machine, physician, quantity="v", ratio=True), compare_paired(*ten, quantity="v", ratio=True)
    assert mine.median_difference == pytest.approx(theirs.median_difference)


def test_patients_without_both_measurements_are_named():
    machine, physician = volumes(8)
    machine["P2"], physician["P5"] = None, float("nan")
    del machine["P7"]
    physician["P9"] = 3.0
    found = compare_paired(machine, physician, quantity="volume")
    assert found.pairs.patients == ("P0", "P1", "P3", "P4", "P6")
    assert dict(found.pairs.left_out) == {
        "P2": "no volume of machine",
        "P5": "no volume of physician",
        "P7": "no volume of machine",
        "P9": "no volume of machine",
    }
    assert "left out: P5 (no volume of physician)" in str(found)


def test_a_missed_tumour_has_a_difference_but_no_ratio():
    machine, physician = volumes(8)
    machine["P3"] = 0.0
    assert len(compare_paired(machine, physician, quantity="volume").pairs.patients) == 8
    found = compare_paired(machine, physician, quantity="volume", ratio=True)
    assert found.pairs.left_out["P3"] == "no ratio: volume of machine is not above 0"


def test_very_few_patients_say_what_is_undefined():
    one = compare_paired({"P1": 3.0}, {"P1": 4.0}, quantity="volume")
    assert (one.t, one.t_p, one.mean_interval, one.median_interval) == (None, None, None, None)
    assert one.wilcoxon.p_two_sided == 1
    same = compare_paired({"P1": 3.0, "P2": 5.0}, {"P1": 3.0, "P2": 5.0}, quantity="volume")
    assert same.wilcoxon.rank_biserial is None
    assert "equal in 2 of 2" in same.direction
    for each in (one, same):
        assert "undefined" in str(each)
        json.dumps(each.to_dict(), allow_nan=False)


def test_nobody_in_common_is_refused_by_name():
    with pytest.raises(InputError, match=r"No patient has both.*P1"):
        compare_paired({"P1": 3.0}, {"P2": 4.0}, quantity="volume")
