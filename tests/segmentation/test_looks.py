"""Looks at one CT through voxels of several sizes: who outlines a lesion."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from rt4d.segmentation import looks

SHAPE = (40, 40, 60)
LARGE, SMALL = np.s_[5:25, 5:25, 5:25], np.s_[10:14, 10:14, 40:44]
PARTS = {share: np.s_[5:25, 5:25, 5 : 5 + round(20 * share)] for share in (0.1, 0.3, 0.6)}


together = functools.partial(looks.together, threshold=0.4, known=(0.15, 0.5))


def seen(where: tuple[slice, ...] = LARGE, share: float = 0.0) -> np.ndarray:
    values = np.zeros(SHAPE, np.float32)
    values[where] = share
    return values


def test_a_large_lesion_of_which_the_finer_look_knows_a_part_is_outlined_by_both():
    values = together(seen(PARTS[0.3], 0.9), seen(LARGE, 0.9), from_voxels=1000)
    assert values.dtype == np.float32
    assert np.array_equal(values >= 0.4, seen(LARGE, 1) > 0)
    assert values[PARTS[0.3]] == pytest.approx(0.9)
    assert values[5:25, 5:25, 11:25] == pytest.approx(0.45)


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_one_of_which_it_knows_next_to_nothing_is_none(share):
    """Such were hearts and spleens: seen by the coarser look alone."""
    fine = seen(PARTS[0.1], 0.9) if share else seen()
    assert np.array_equal(together(fine, seen(LARGE, 0.9), from_voxels=1000), fine)


def test_one_of_which_it_knows_enough_is_outlined_by_the_finer_look_alone():
    fine = seen(PARTS[0.6], 0.9)
    assert np.array_equal(together(fine, seen(LARGE, 0.9), from_voxels=1000), fine)


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_a_lesion_elsewhere_is_outlined_by_the_finer_look_alone(share):
    fine = np.maximum(seen(SMALL, share), seen(PARTS[0.3], 0.9))
    for coarse in (seen(), seen(SMALL, 0.9), seen(LARGE, 0.9)):
        assert together(fine, coarse, from_voxels=1000)[SMALL] == pytest.approx(share)


def test_how_large_is_large_is_asked_for():
    fine = seen(PARTS[0.3], 0.9)
    by_both, alone = (together(fine, seen(LARGE, 0.9), from_voxels=least) for least in (8000, 8001))
    assert (by_both > fine).any()
    assert np.array_equal(alone, fine)


def test_nothing_stays_nothing():
    assert not together(seen(), seen(), from_voxels=10).any()


@pytest.mark.parametrize(("known", "by_both"), [((0.25, 0.5), True), ((0.35, 0.5), False), ((0.0, 0.25), False)])
def test_how_much_the_finer_look_must_know_and_may_is_asked_for(known, by_both):
    fine = seen(PARTS[0.3], 0.9)
    values = together(fine, seen(LARGE, 0.9), from_voxels=1000, known=known)
    assert (values > fine).any() == by_both


with_small = functools.partial(looks.with_small, faint=0.15, to_voxels=1000, share=0.5)


@pytest.mark.parametrize(("own", "fine"), [(0.2, 0.8), (0.0, 0.6), (0.9, 0.1), (0.3, 0.0)])
def test_a_small_lesion_that_either_look_finds_is_as_likely_as_both_say(own, fine):
    values = with_small(seen(SMALL, own), seen(SMALL, fine))
    assert values.dtype == np.float32
    assert values[SMALL] == pytest.approx((own + fine) / 2)


def test_what_is_large_is_told_by_the_own_look_alone_also_where_the_finer_one_sees_a_piece_of_it():
    own = seen(LARGE, 0.9)
    for fine in (seen(), seen(PARTS[0.1], 0.9), seen(LARGE, 0.2)):
        assert np.array_equal(with_small(own, fine), own)


def test_a_small_lesion_beside_a_large_one_changes_nothing_of_it():
    own, fine = np.maximum(seen(LARGE, 0.9), seen(SMALL, 0.2)), seen(SMALL, 0.8)
    beside = np.s_[10:14, 10:14, 26:30]
    values = with_small(np.maximum(own, seen(beside, 0.2)), np.maximum(fine, seen(beside, 0.8)))
    assert np.array_equal(values[LARGE], own[LARGE])
    assert values[beside] == pytest.approx(0.5)


def test_how_small_is_small_and_how_much_it_counts_are_asked_for():
    own, fine = seen(SMALL, 0.2), seen(SMALL, 0.8)
    assert with_small(own, fine, to_voxels=65, share=0.25)[SMALL] == pytest.approx(0.35)
    assert np.array_equal(with_small(own, fine, to_voxels=64), own)


def test_what_neither_finds_stays_as_it_is():
    own, fine = seen(SMALL, 0.1), seen(SMALL, 0.14)
    assert np.array_equal(with_small(own, fine), own)


def test_around_a_small_lesion_too_both_looks_say_how_likely_it_is():
    """So that its outline, between voxels, lies between values of one kind."""
    own, fine = np.maximum(seen(SMALL, 0.8), np.float32(0.1)), seen(SMALL, 0.8)
    values = with_small(own, fine)
    assert values[9, 12, 42] == pytest.approx(0.05)
    assert values[30, 30, 5] == pytest.approx(0.1)
