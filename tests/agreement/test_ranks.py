"""Wilcoxon's test and Hodges-Lehmann's estimate against scipy, R and every choice of signs."""

from __future__ import annotations

import subprocess
from itertools import product

import numpy as np
import pytest
from scipy import stats

from rt4d.agreement.ranks import hodges_lehmann, hodges_lehmann_interval, signed_rank
from rt4d.errors import InputError
from tests.conftest import needs_program


@pytest.mark.parametrize("n", [1, 3, 8, 20, 45])
def test_exact_p_is_scipys(n):
    differences = np.random.default_rng(n).normal(0.3, 1, n)
    mine = signed_rank(differences)
    for alternative, p in (("two-sided", mine.p_two_sided), ("greater", mine.p_greater)):
        assert p == pytest.approx(stats.wilcoxon(differences, alternative=alternative, method="exact").pvalue)
    assert mine.exact


def test_with_ties_and_zeros_p_is_that_of_every_choice_of_signs():
    differences = np.array([0.0, 1, -1, 2, 2, 3, 0, -1, 4, 1, 5])
    given = differences[differences != 0]
    ranks = stats.rankdata(np.abs(given))
    sums = np.array([(ranks * signs).sum() for signs in product([0, 1], repeat=len(given))])
    mine = signed_rank(differences)
    greater, less = np.mean(sums >= mine.w_plus), np.mean(sums <= mine.w_plus)
    assert mine.p_two_sided == pytest.approx(2 * min(greater, less))
    assert mine.p_greater == pytest.approx(greater)
    assert (mine.n, mine.zeros) == (9, 2)
    assert mine.w_plus + mine.w_minus == 45


def test_many_differences_have_scipys_normal_approximation():
    differences = np.round(np.random.default_rng(3).normal(0.1, 1, 400), 1)
    mine = signed_rank(differences)
    assert mine.p_two_sided == pytest.approx(stats.wilcoxon(differences, method="asymptotic").pvalue)
    assert not mine.exact


def test_exact_and_normal_agree_where_one_follows_the_other():
    differences = np.random.default_rng(5).normal(0.1, 1, 200)
    assert signed_rank(differences).p_two_sided == pytest.approx(stats.wilcoxon(differences, method="asymptotic").pvalue, rel=0.01)


def test_rank_biserial_is_1_where_all_are_larger_and_0_where_none_is():
    assert signed_rank([1, 2, 3]).rank_biserial == 1
    assert signed_rank([-1, -2, -3]).rank_biserial == -1
    assert signed_rank([1, -1]).rank_biserial == 0
    nothing = signed_rank([0.0, 0.0])
    assert (nothing.rank_biserial, nothing.p_two_sided, nothing.zeros) == (None, 1.0, 2)


def test_hodges_lehmann_by_hand():
    """Pairs of 1, 2, 9: 1, 1.5, 5, 2, 5.5, 9."""
    assert hodges_lehmann([1, 2, 9]) == pytest.approx(3.5)


def test_below_six_patients_there_is_no_interval_at_95_percent():
    assert hodges_lehmann_interval([1, 2, 3, 4, 5]) is None
    assert hodges_lehmann_interval([1, 2, 3, 4, 5, 6]) == (1, 6)


def test_the_interval_holds_what_the_test_does_not_refuse():
    """Its bounds are where p crosses 5 %: inversion of the test."""
    differences = np.random.default_rng(9).normal(0.4, 1, 17)
    low, high = hodges_lehmann_interval(differences)
    for bound, inward in ((low, 1e-9), (high, -1e-9)):
        assert signed_rank(differences - bound - inward).p_two_sided > 0.05
        assert signed_rank(differences - bound + inward).p_two_sided <= 0.05


@needs_program("Rscript")
@pytest.mark.parametrize("n", [6, 20, 49])
def test_test_estimate_and_interval_are_rs(n):
    differences = np.random.default_rng(n).gamma(2, 1, n) - 1.2
    code = f"t <- wilcox.test(c({','.join(map(repr, differences.tolist()))}), conf.int=TRUE, exact=TRUE); cat(t$p.value, t$estimate, t$conf.int)"
    told = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=True).stdout
    p, estimate, low, high = map(float, told.split())
    assert signed_rank(differences).p_two_sided == pytest.approx(p, rel=1e-5)
    assert hodges_lehmann(differences) == pytest.approx(estimate, rel=1e-5)
    assert hodges_lehmann_interval(differences) == pytest.approx((low, high), rel=1e-5)


def test_many_differences_have_a_normal_interval_close_to_the_exact_one():
    from rt4d.agreement import ranks as module

    differences = np.random.default_rng(4).normal(0.2, 1, 190)
    exact = hodges_lehmann_interval(differences)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "EXACT_UP_TO", 10)
        assert hodges_lehmann_interval(differences) == pytest.approx(exact, abs=0.005)


@pytest.mark.parametrize("differences", [[], [np.nan, 1.0], [[1.0, 2.0]]])
def test_what_are_no_differences_is_refused(differences):
    with pytest.raises(InputError):
        signed_rank(differences)
