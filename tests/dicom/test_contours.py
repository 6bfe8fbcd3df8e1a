"""Voxels to contours: back again they are the same voxels, whatever these look like."""

from __future__ import annotations

import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from rt4d.dicom.contours import contours
from rt4d.dicom.rasterise import rasterise

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=10))


def area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


@settings(max_examples=300, deadline=None)
@given(mask=MASKS)
def test_any_mask_comes_back_from_its_contours(mask: np.ndarray) -> None:
    polygons = contours(mask)
    assert np.array_equal(rasterise(polygons, mask.shape), mask)
    assert np.array_equal(rasterise(polygons, mask.shape, boundary="inclusive"), mask)
    assert all(len(polygon) >= 4 for polygon in polygons)


@settings(max_examples=100, deadline=None)
@given(mask=MASKS, seed=st.integers(0, 1000))
def test_a_third_of_a_voxel_of_room_is_left_for_rounding(mask: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shaken = [polygon + rng.uniform(-0.2, 0.2, polygon.shape) for polygon in contours(mask)]
    assert np.array_equal(rasterise(shaken, mask.shape), mask)


def test_a_single_voxel_is_a_diamond() -> None:
    mask = np.zeros((3, 4), dtype=bool)
    mask[1, 2] = True
    (diamond,) = contours(mask)
    assert sorted(map(tuple, diamond.tolist())) == [(1.5, 1.0), (2.0, 0.5), (2.0, 1.5), (2.5, 1.0)]


def test_voxels_that_touch_at_a_corner_have_contours_of_their_own_that_do_not_meet() -> None:
    for mask in (np.eye(2, dtype=bool), np.eye(2, dtype=bool)[::-1]):
        one, other = contours(mask)
        assert not {tuple(point) for point in one} & {tuple(point) for point in other}


def test_a_hole_is_a_contour_of_its_own_running_the_other_way() -> None:
    mask = np.ones((7, 7), dtype=bool)
    mask[2:5, 2:5] = False
    areas = sorted(area(polygon) for polygon in contours(mask))
    assert [abs(value) for value in areas] in ([48.5, 8.5], [8.5, 48.5])
    assert areas[0] < 0 < areas[1]


def test_a_box_has_no_point_along_its_straight_sides() -> None:
    (outline,) = contours(np.ones((9, 30), dtype=bool))
    assert len(outline) == 8, "two points for each corner cut"
    assert abs(area(outline)) == 9 * 30 - 0.5


def test_an_empty_slice_has_no_contour() -> None:
    assert contours(np.zeros((5, 5), dtype=bool)) == []


def test_an_itv_of_100_cm3_on_512_512_100_takes_well_under_a_second() -> None:
    z, y, x = np.ogrid[:100, :512, :512]
    mask = ((z - 50) * 3) ** 2 + (y - 256) ** 2 + (x - 256) ** 2 < 28.8**2
    start = time.perf_counter()
    for slice_ in mask:
        contours(slice_)
    assert time.perf_counter() - start < 1
