"""Intervals against scipy's, R's boot, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rt4d.agreement.intervals import Proportion, bootstrap_interval, exact_interval
from rt4d.errors import InputError


@pytest.mark.parametrize(("successes", "trials", "low", "high"), [(92, 100, 0.848, 0.965), (41, 50, 0.686, 0.914)])
def test_exact_intervals_are_those_that_a_paper_printed(successes, trials, low, high):
    """Kashyap, Radiology 2025: 92 of 100 and 41 of 50."""
    assert exact_interval(successes, trials) == pytest.approx((low, high), abs=5e-4)


@pytest.mark.parametrize("trials", [1, 2, 7, 50, 1000])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_exact_intervals_are_scipys(trials, level):
    for successes in {0, 1, trials // 2, trials - 1, trials}:
        theirs = stats.binomtest(successes, trials).proportion_ci(level, method="exact")
        assert exact_interval(successes, trials, level=level) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_none_of_n_and_n_of_n_have_their_closed_forms():
    assert exact_interval(0, 20) == pytest.approx((0.0, 1 - 0.025 ** (1 / 20)))
    assert exact_interval(20, 20) == pytest.approx((0.025 ** (1 / 20), 1.0))


NONSENSE = [(1, 0, 0.95), (0, 0, 0.95), (-1, 5, 0.95), (6, 5, 0.95), (2, 5, 95), (2, 5, 0.0), (2.5, 5, 0.95)]


@pytest.mark.parametrize(("successes", "trials", "level"), NONSENSE)
def test_nonsense_has_no_exact_interval(successes, trials, level):
    with pytest.raises(InputError):
        exact_interval(successes, trials, level=level)


def test_a_proportion_reads_as_a_paper_prints_it():
    assert str(Proportion(92, 100)) == "92 of 100, 0.92 (0.85–0.96)"
    assert Proportion(92, 100).to_dict() == {"successes": 92, "trials": 100, "value": 0.92, "interval": list(exact_interval(92, 100)), "level": 0.95}


def test_of_nothing_there_is_no_proportion():
    none = Proportion(0, 0)
    assert none.value is None
    assert none.interval() is None
    assert str(none) == "0 of 0, undefined"
    with pytest.raises(InputError):
        Proportion(3, 2)


def test_bootstrap_of_a_mean_is_scipys():
    values = np.random.default_rng(4).gamma(2.0, 3.0, 60)
    mine = bootstrap_interval(values, np.mean, repetitions=20000)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20000, random_state=1).confidence_interval
    assert mine == pytest.approx((theirs.low, theirs.high), rel=0.01)


def test_bootstrap_of_a_median_has_its_closed_form():
    """Of odd n, the median of a resample is at most the k-th value where at least (n + 1)/2 of the draws are: a binomial."""
    values = np.arange(31.0)
    at_most = stats.binom.sf(15, 31, (values + 1) / 31)
    low, high = values[np.argmax(at_most >= 0.025)], values[np.argmax(at_most >= 0.975)]
    assert bootstrap_interval(values, repetitions=20000) == (low, high)


def test_the_same_seed_gives_the_same_interval():
    values = [0.7, 0.8, 0.85, 0.9, 0.2]
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, np.mean, seed=3) != bootstrap_interval(values, np.mean, seed=4)


def test_lesions_of_one_patient_are_drawn_together():
    """Four equal values of each patient carry no more than one: the interval is that of the patients, wider than of as many single values."""
    patients = np.random.default_rng(2).normal(size=25)
    values, groups = np.repeat(patients, 4), np.repeat([f"P{n}" for n in range(25)], 4)
    together = bootstrap_interval(values, np.mean, groups=groups, repetitions=5000)
    assert together == pytest.approx(bootstrap_interval(patients, np.mean, repetitions=5000))
    single = bootstrap_interval(values, np.mean, repetitions=5000)
    assert together[1] - together[0] > 1.7 * (single[1] - single[0])


def test_groups_may_be_given_in_any_order_and_size():
    values, groups = [1.0, 5.0, 2.0, 9.0, 4.0], ["a", "b", "a", "c", "a"]
    order = [3, 0, 4, 1, 2]
    shuffled = bootstrap_interval([values[n] for n in order], groups=[groups[n] for n in order], seed=5)
    low, high = bootstrap_interval(values, groups=groups, seed=5)
    assert min(values) <= low <= high <= max(values)
    assert 1.0 <= shuffled[0] <= shuffled[1] <= 9.0


ALONE = {"groups": ["a", "a"]}
TOO_FEW_GROUPS = {"groups": ["a"]}


@pytest.mark.parametrize(
    ("values", "options"),
    [([], {}), ([0.5], {}), ([0.5, np.nan], {}), ([[0.5, 0.2]], {}), ([0.5, 0.6], ALONE), ([0.5, 0.6], TOO_FEW_GROUPS), ([1.0, 2.0], {"level": 2})],
)
def test_what_cannot_be_resampled_is_refused(values, options):
    with pytest.raises(InputError):
        bootstrap_interval(values, **options)
