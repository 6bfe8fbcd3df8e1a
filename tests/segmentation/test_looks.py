"""Two looks at one CT: who outlines a lesion."""

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
