"""Consensus of observers whose errors are known, and of SimpleITK's filters called directly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from rt4d.agreement.consensus import MARGIN_MM, majority, staple
from rt4d.errors import GeometryError, InputError
from rt4d.geometry import Geometry
from rt4d.volumes import Mask
from tests.agreement.make import GRID, ball, box, empty

WIDE = Geometry((60, 50, 30), (1.0, 1.0, 2.0), (0, 0, 0))
TRUTH = box((15, 12, 8), (30, 25, 14), WIDE)


def observers(rates, *, seed=0, truth=TRUTH):
    """Observers who each mark a voxel of the truth, and one outside within 10 mm of it, with their own chances."""
    rng = np.random.default_rng(seed)
    near = np.zeros(WIDE.shape, bool)
    near[3:27, 2:47, 5:55] = True
    drawn = {}
    for name, (sensitivity, specificity) in rates.items():
        inside = np.where(truth.inside, rng.random(WIDE.shape) < sensitivity, near & (rng.random(WIDE.shape) > specificity))
        inside[3, 2, 5] = inside[26, 46, 54] = True
        drawn[name] = Mask(inside, WIDE)
    return drawn


RATES = {"A": (0.95, 0.995), "B": (0.8, 0.99), "C": (0.9, 0.98), "D": (0.7, 0.99), "E": (0.99, 0.985)}


def test_staple_recovers_sensitivity_and_specificity_of_simulated_observers():
    """Specificity is over the box and 10 mm more, of which the observers' errors fill only the box."""
    found = staple(observers(RATES))
    margin = np.ceil(MARGIN_MM / np.array([2, 1, 1])).astype(int)
    outside_box = np.count_nonzero(~TRUTH.inside[3:27, 2:47, 5:55])
    outside = np.prod(np.array([24, 45, 50]) + 2 * margin) - np.count_nonzero(TRUTH.inside)
    for name, (sensitivity, specificity) in RATES.items():
        assert found.sensitivity[name] == pytest.approx(sensitivity, abs=0.01)
        assert 1 - found.specificity[name] == pytest.approx((1 - specificity) * outside_box / outside, abs=0.004)
    assert np.count_nonzero(found.mask.inside != TRUTH.inside) < 0.01 * np.count_nonzero(TRUTH.inside)


def test_staple_is_closer_to_the_truth_than_the_majority_where_observers_are_not_equally_good():
    drawn = observers({"good": (0.99, 0.99), "also good": (0.97, 0.99), "poor": (0.5, 0.9), "poorer": (0.5, 0.85), "poorest": (0.45, 0.85)})
    wrong = [np.count_nonzero(each(drawn).mask.inside != TRUTH.inside) for each in (staple, majority)]
    assert wrong[0] < 0.5 * wrong[1]


def test_staple_is_simpleitks_filter_on_the_same_box():
    drawn = observers(RATES)
    found = staple(drawn)
    margin = [(n, n) for n in (5, 10, 10)]
    images = [sitk.GetImageFromArray(np.pad(each.inside[3:27, 2:47, 5:55], margin).astype(np.uint8)) for each in drawn.values()]
    probability = sitk.GetArrayFromImage(sitk.STAPLE(images, 1.0))[5:-5, 10:-10, 10:-10]
    assert np.array_equal(found.mask.inside[3:27, 2:47, 5:55], probability > 0.5)


def test_majority_is_simpleitks_label_voting():
    drawn = observers(RATES)
    votes = sitk.GetArrayFromImage(sitk.LabelVoting([sitk.GetImageFromArray(each.inside.astype(np.uint8)) for each in drawn.values()], 0))
    assert np.array_equal(majority(drawn).mask.inside, votes > 0)


def test_consensus_does_not_depend_on_how_much_of_the_patient_the_grid_shows():
    """The same contours on a grid that ends at their box, and on one with 20 voxels more all round."""
    drawn = {name: Mask(mask.inside[3:27, 2:47, 5:55].copy(), WIDE.crop((5, 2, 3), (50, 45, 24))) for name, mask in observers(RATES).items()}
    wider = Geometry((90, 85, 64), WIDE.spacing_mm, (-15, -18, -34))
    padded = {name: Mask(np.pad(mask.inside, 20), wider) for name, mask in drawn.items()}
    for method in (staple, majority):
        tight, wide = method(drawn), method(padded)
        assert np.array_equal(tight.mask.inside, wide.mask.inside[20:-20, 20:-20, 20:-20])
        assert tight.sensitivity == wide.sensitivity
        assert tight.specificity == wide.specificity
        assert tight.method == wide.method


def test_a_voxel_that_half_of_the_observers_drew_is_outside():
    a, b = box((5, 5, 5), (6, 6, 6)), box((8, 5, 5), (6, 6, 6))
    both = majority({"A": a, "B": b})
    assert np.array_equal(both.mask.inside, (a & b).inside)
    assert both.sensitivity == {"A": 1.0, "B": 1.0}
    assert np.array_equal(majority({"A": a, "B": a, "C": b, "D": b}).mask.inside, (a & b).inside)


def test_votes_hold_union_and_intersection():
    a, b, c = box((5, 5, 5), (6, 6, 6)), box((8, 5, 5), (6, 6, 6)), box((9, 5, 5), (6, 6, 6))
    found = majority({"A": a, "B": b, "C": c})
    assert np.array_equal(found.held_by_at_least(1).inside, (a | b | c).inside)
    assert np.array_equal(found.held_by_at_least(2).inside, found.mask.inside)
    assert np.array_equal(found.held_by_at_least(3).inside, (a & b & c).inside)
    with pytest.raises(InputError, match="1 to 3"):
        found.held_by_at_least(4)


@pytest.mark.parametrize("method", [majority, staple])
def test_observers_who_agree_are_all_right(method):
    a = box((5, 5, 5), (6, 6, 6))
    found = method({"A": a, "B": a, "C": a})
    assert np.array_equal(found.mask.inside, a.inside)
    assert set(found.sensitivity.values()) == set(found.specificity.values()) == {1.0}


@pytest.mark.parametrize("method", [majority, staple])
def test_one_who_drew_nothing_is_outvoted_and_nothing_at_all_is_nothing(method):
    a = box((5, 5, 5), (6, 6, 6))
    found = method({"A": a, "B": a, "C": empty()})
    assert np.array_equal(found.mask.inside, a.inside)
    assert found.sensitivity["C"] == 0
    nothing = method({"A": empty(), "B": empty()})
    assert nothing.mask.is_empty
    assert nothing.sensitivity == {"A": None, "B": None}
    assert "nobody drew anything" in str(nothing)


def test_a_contour_at_the_edge_of_the_grid_is_kept():
    a, b = box((0, 0, 0), (6, 6, 6)), box((0, 0, 0), (7, 6, 6))
    assert np.array_equal(staple({"A": a, "B": a, "C": b}).mask.inside, a.inside)


def test_uneven_slices_are_no_hindrance():
    grid = replace(GRID, slice_offsets_mm=tuple(np.cumsum([0.0] + [3.0] * 9 + [6.0] * 10)))
    a = box((5, 5, 5), (6, 6, 9), grid)
    assert staple({"A": a, "B": a, "C": box((5, 5, 5), (8, 6, 9), grid)}).mask.volume_cm3 == pytest.approx(a.volume_cm3)


def test_different_grids_are_refused_by_the_observers_names():
    other = box((5, 5, 5), (6, 6, 6), replace(GRID, origin_mm=(1, 2, 3)))
    for method in (majority, staple):
        with pytest.raises(GeometryError, match=r"A consensus needs contours on one grid \(A and C\).*origin"):
            method({"A": box((5, 5, 5), (6, 6, 6)), "B": box((5, 5, 5), (6, 6, 6)), "C": other})


def test_too_few_observers_are_refused():
    with pytest.raises(InputError, match="at least one"):
        majority({})
    with pytest.raises(InputError, match="at least two"):
        staple({"A": box((5, 5, 5), (6, 6, 6))})


def test_the_method_says_its_prior_and_the_box_it_depends_on():
    text = str(staple(observers(RATES)))
    assert "prior 0." in text
    assert "the box of all contours and 10 mm" in text
    assert "A                    sensitivity 0.9" in text


@pytest.mark.parametrize("method", [staple, majority])
def test_a_consensus_of_two_is_what_both_drew_and_says_so(method):
    """Unless one contour holds the other, exactly so; with STAPLE too, whose prior and weights give neither the upper hand."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        one, other = (ball(GRID.centres().mean(axis=(0, 1, 2)) + rng.normal(0, 2, 3), 8 + rng.normal(0, 0.5), GRID) for _ in range(2))
        assert not (one - other).is_empty
        assert not (other - one).is_empty
        found = method({"A": one, "B": other})
        assert np.array_equal(found.mask.inside, (one & other).inside)
    assert "note: A consensus of two contours is what both drew" in str(found)
    assert "note" not in str(method({"A": one, "B": other, "C": one}))
