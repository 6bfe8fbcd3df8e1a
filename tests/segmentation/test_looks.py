"""Two looks at one CT: who outlines a lesion and who scores it."""

from __future__ import annotations

import numpy as np
import pytest

from rt4d.segmentation.looks import together

SHAPE = (40, 40, 60)
LARGE, SMALL = np.s_[5:25, 5:25, 5:25], np.s_[10:14, 10:14, 40:44]
PART = np.s_[5:25, 5:25, 5:10]
"""A quarter of the large one."""


def seen(**sure: object) -> np.ndarray:
    values = np.zeros(SHAPE, np.float32)
    for name, share in sure.items():
        values[{"large": LARGE, "small": SMALL, "part": PART}[name]] = share
    return values


def outlined(fine: np.ndarray, coarse: np.ndarray, *, from_voxels: float = 1000) -> tuple[np.ndarray, np.ndarray]:
    values, scores = together(fine, coarse, threshold=0.4, from_voxels=from_voxels)
    assert values.dtype == scores.dtype == np.float32
    assert np.array_equal(scores, (fine + coarse) / 2)
    return values, values >= 0.4


def test_a_large_lesion_of_which_the_finer_look_knows_a_part_is_outlined_by_both():
    values, inside = outlined(seen(part=0.9), seen(large=0.9))
    assert np.array_equal(inside, seen(large=1) > 0)
    assert values[PART] == pytest.approx(0.9)
    assert values[LARGE][:, :, 10:] == pytest.approx(0.45)


def test_a_lesion_that_the_finer_look_knows_is_outlined_by_it_alone():
    fine = seen(large=0.8)
    fine[5:25, 5:25, 20:25] = 0.1
    values, _ = outlined(fine, seen(large=0.9))
    assert np.array_equal(values, fine)


@pytest.mark.parametrize("small", [0.2, 0.9])
def test_a_small_lesion_is_outlined_by_the_finer_look_alone(small):
    fine = seen(small=small)
    for coarse in (seen(), seen(small=0.9), seen(large=0.9)):
        values, _ = outlined(fine, coarse)
        assert values[SMALL] == pytest.approx(small)


def test_how_large_is_large_is_asked_for():
    assert outlined(seen(), seen(large=0.9), from_voxels=8000)[1].any()
    assert not outlined(seen(), seen(large=0.9), from_voxels=8001)[1].any()


def test_what_one_look_is_hardly_sure_of_and_the_other_does_not_see_is_none():
    assert not outlined(seen(), seen(large=0.6))[1].any()


def test_nothing_stays_nothing():
    assert not outlined(seen(), seen())[0].any()
