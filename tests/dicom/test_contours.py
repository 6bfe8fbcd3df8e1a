"""Voxels to contours: back again they are the same voxels, whatever these look like; smooth, of few points, of the voxels' own area."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from rt4d.dicom.contours import contours_by_slice
from rt4d.dicom.rasterise import rasterise

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=10))


def contours(mask: np.ndarray, *, smooth: bool = True) -> list[np.ndarray]:
    """Of one slice."""
    return [points for _, points in contours_by_slice(mask[np.newaxis], smooth=smooth)]


@st.composite
def shapes(draw: st.DrawFn) -> np.ndarray:
    """Larger masks with long slopes: discs and ellipses joined and taken away, some cut by the edge of the image."""
    y, x = np.mgrid[:40, :44]
    inside = np.zeros(y.shape, dtype=bool)
    for _ in range(draw(st.integers(1, 4))):
        middle_x, middle_y = draw(st.floats(0, 44)), draw(st.floats(0, 40))
        a, b, turn = draw(st.floats(0.6, 25)), draw(st.floats(0.6, 25)), draw(st.floats(0, np.pi))
        u = (x - middle_x) * np.cos(turn) + (y - middle_y) * np.sin(turn)
        v = (y - middle_y) * np.cos(turn) - (x - middle_x) * np.sin(turn)
        inside ^= (u / a) ** 2 + (v / b) ** 2 < 1
    return inside


def area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def sides(polygons: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The two ends of every side, each (n, 2)."""
    return np.concatenate(polygons), np.concatenate([np.roll(polygon, -1, axis=0) for polygon in polygons])


def nearest_centre(polygons: list[np.ndarray], shape: tuple[int, int]) -> float:
    """How near any side comes to any voxel centre, also to those around the image."""
    start, end = sides(polygons)
    y, x = np.mgrid[-1 : shape[0] + 1, -1 : shape[1] + 1]
    centres = np.column_stack([x.ravel(), y.ravel()])[:, np.newaxis]
    along = end - start
    share = np.clip(((centres - start) * along).sum(axis=-1) / (along**2).sum(axis=-1), 0, 1)
    return float(np.linalg.norm(centres - start - share[..., np.newaxis] * along, axis=-1).min())


def crossings(polygons: list[np.ndarray]) -> int:
    """How many pairs of sides that do not follow one another meet."""
    start, end = sides(polygons)
    follows = np.concatenate([np.roll(np.arange(len(polygon)), -1) + first for polygon, first in zip(polygons, offsets(polygons), strict=True)])

    def side_of(p: np.ndarray) -> np.ndarray:
        (along_x, along_y), (to_x, to_y) = (end - start).T, np.moveaxis(p - start[:, np.newaxis], -1, 0)
        return along_x[:, np.newaxis] * to_y - along_y[:, np.newaxis] * to_x

    parted = side_of(start[np.newaxis]) * side_of(end[np.newaxis]) > 0
    meet = ~(parted | parted.T)
    straight_apart = (np.maximum(start, end)[:, np.newaxis] < np.minimum(start, end)[np.newaxis]).any(axis=-1)
    meet &= ~(straight_apart | straight_apart.T)
    each = np.arange(len(start))
    meet[each, each] = meet[each, follows] = meet[follows, each] = False
    return int(meet.sum())


def offsets(polygons: list[np.ndarray]) -> np.ndarray:
    return np.cumsum([0, *[len(polygon) for polygon in polygons[:-1]]])


@settings(max_examples=300, deadline=None)
@given(mask=MASKS | shapes(), smooth=st.booleans())
def test_any_mask_comes_back_from_its_contours(mask: np.ndarray, smooth: bool) -> None:
    polygons = contours(mask, smooth=smooth)
    assert np.array_equal(rasterise(polygons, mask.shape), mask)
    assert np.array_equal(rasterise(polygons, mask.shape, boundary="inclusive"), mask)
    assert all(len(polygon) >= 3 for polygon in polygons)


@settings(max_examples=200, deadline=None)
@given(mask=(MASKS | shapes()).filter(np.any), smooth=st.booleans())
def test_no_contour_comes_near_a_voxel_centre_meets_another_or_leaves_the_image(mask: np.ndarray, smooth: bool) -> None:
    polygons = contours(mask, smooth=smooth)
    assert nearest_centre(polygons, mask.shape) >= 0.05
    assert crossings(polygons) == 0
    points = np.concatenate(polygons)
    assert points.min() >= -0.5
    assert np.all(points.max(axis=0) <= np.array(mask.shape)[::-1] - 0.5)


@settings(max_examples=200, deadline=None)
@given(mask=(MASKS | shapes()).filter(np.any))
def test_contours_enclose_the_area_of_the_voxels(mask: np.ndarray) -> None:
    """Within half a percent of what each encloses, or a hair of its way round."""
    polygons = contours(mask)
    rounds = [np.abs(np.diff(polygon, axis=0, append=polygon[:1])).sum() for polygon in polygons]
    room = sum(max(0.0051 * abs(area(polygon)), 0.006 * way) for polygon, way in zip(polygons, rounds, strict=True))
    assert abs(sum(area(polygon) for polygon in polygons) - mask.sum()) <= room


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 2.0), (1.0, 3.0)])
def test_the_area_of_balls_and_ellipsoids_is_that_of_their_voxels_on_the_mean(spacing: tuple[float, float]) -> None:
    rng = np.random.default_rng(5)
    bias = []
    for _ in range(40):
        a, b = rng.uniform(5, 30, 2)
        x, y = (np.arange(-34, 35, step) + rng.uniform(-0.5, 0.5) * step for step in spacing)
        mask = (x / a) ** 2 + (y[:, np.newaxis] / b) ** 2 < 1
        bias.append(sum(area(polygon) for polygon in contours(mask)) / mask.sum() - 1)
    assert abs(np.mean(bias)) < 0.001
    assert np.abs(bias).max() < 0.005


def turned(polygons: list[np.ndarray]) -> float:
    """By how many full turns contours turn altogether: one each where convex, more the more stair steps there are."""
    total = 0.0
    for polygon in polygons:
        step = np.roll(polygon, -1, axis=0) - polygon
        heading = np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
        around = np.diff(np.r_[heading, heading[0] + 2 * np.pi * np.round((heading[-1] - heading[0]) / (2 * np.pi))])
        total += float(np.abs((around + np.pi) % (2 * np.pi) - np.pi).sum()) / (2 * np.pi)
    return total


def test_a_ball_has_no_stair_steps_and_half_the_points_of_marching_squares() -> None:
    z, y, x = np.ogrid[-30:31, -30:31, -30:31]
    ball = (x - 0.2) ** 2 + (y + 0.3) ** 2 + (z - 0.1) ** 2 < 27**2
    polygons = [polygon for _, polygon in contours_by_slice(ball)]
    assert sum(map(len, polygons)) < 0.6 * sum(map(corners_of_marching_squares, ball))
    assert turned(polygons) < 1.15 * len(polygons), "convex all round, but for a hair"


def corners_of_marching_squares(slice_: np.ndarray) -> int:
    """How many corners the outline at half distance has, as matplotlib draws it."""
    from contourpy import contour_generator

    count = 0
    for line in contour_generator(z=np.pad(slice_, 1).astype(float)).lines(0.5):
        step = np.diff(np.asarray(line), axis=0)
        following = np.roll(step, -1, axis=0)
        count += int(np.count_nonzero(np.abs(step[:, 0] * following[:, 1] - step[:, 1] * following[:, 0]) > 1e-9))
    return count


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (9, 30)])
def test_a_box_is_a_box(size: tuple[int, int]) -> None:
    (outline,) = contours(np.pad(np.ones(size, dtype=bool), 1))
    assert len(outline) == 4
    assert area(outline) == pytest.approx((size[0] - 0.01) * (size[1] - 0.01))
    assert np.all(np.abs(outline - 0.5 - np.round(outline - 0.5)) < 0.006), "half-way between centres, a hair inside"


def test_voxels_that_touch_at_a_corner_have_contours_of_their_own_that_do_not_meet() -> None:
    for mask in (np.eye(2, dtype=bool), np.eye(2, dtype=bool)[::-1]):
        assert len(contours(mask)) == 2
        assert crossings(contours(mask)) == 0


def test_a_hole_is_a_contour_of_its_own_running_the_other_way() -> None:
    mask = np.ones((9, 9), dtype=bool)
    mask[[0, -1]] = mask[:, [0, -1]] = False
    mask[3:6, 3:6] = False
    areas = sorted(area(polygon) for polygon in contours(mask))
    assert areas == pytest.approx([-(3.01**2), 6.99**2])


def test_an_empty_slice_has_no_contour() -> None:
    assert contours(np.zeros((5, 5), dtype=bool)) == []


def test_slices_are_contoured_by_themselves() -> None:
    mask = np.zeros((5, 8, 9), dtype=bool)
    mask[1, 2:5, 2:6] = mask[3, 1, 1] = mask[3, 5:, 5:] = True
    by_slice = contours_by_slice(mask)
    assert [z for z, _ in by_slice] == [1, 3, 3]
    for z in (1, 3):
        assert all(np.array_equal(one, other) for one, other in zip([p for n, p in by_slice if n == z], contours(mask[z]), strict=True))


def test_an_itv_of_100_cm3_on_512_512_100_takes_well_under_a_second() -> None:
    z, y, x = np.ogrid[:100, :512, :512]
    mask = ((z - 50) * 3) ** 2 + (y - 256) ** 2 + (x - 256) ** 2 < 28.8**2
    start = time.perf_counter()
    contours_by_slice(mask)
    assert time.perf_counter() - start < 1
