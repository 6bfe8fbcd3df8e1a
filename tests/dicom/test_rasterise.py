"""Contours to voxels: against matplotlib's point-in-polygon and against shapes that can be counted by hand."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline

from rt4d.dicom import rasterise as rasterising
from rt4d.dicom.rasterise import area_fractions, is_traced, rasterise, without_repeats
from rt4d.errors import ContourError

SQUARE = np.array([[2.0, 3.0], [7.0, 3.0], [7.0, 8.0], [2.0, 8.0]])


def square(x0: float, y0: float, side: float) -> np.ndarray:
    return np.array([[x0, y0], [x0 + side, y0], [x0 + side, y0 + side], [x0, y0 + side]])


def picture(*rows: str) -> np.ndarray:
    return np.array([[letter == "#" for letter in row] for row in rows])


def away_from(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The distance of each centre from the nearest edge of a polygon."""
    start, along = points, np.roll(points, -1, axis=0) - points
    share = ((centres[..., None, :] - start) * along).sum(axis=-1) / (along**2).sum(axis=-1)
    nearest = start + np.clip(share, 0, 1)[..., None] * along
    return np.asarray(np.linalg.norm(centres[..., None, :] - nearest, axis=-1).min(axis=-1))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_star_shaped_polygon_anywhere_holds_the_centres_that_matplotlib_finds_inside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 40)))
    radii = rng.uniform(2, 14, len(angles))
    points = rng.uniform(0, 25, 2) + np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii[:, None]
    y, x = np.mgrid[:22, :26]
    expected = Outline(np.vstack([points, points[:1]]), closed=True).contains_points(np.column_stack([x.ravel(), y.ravel()]))
    gaps = np.diff(np.r_[angles, angles[0] + 2 * np.pi])
    if gaps.max() < np.pi:  # else it may cross itself, where matplotlib's nonzero winding differs from even-odd
        clear = away_from(points, np.stack([x, y], axis=-1)) > 1e-3
        assert np.array_equal(rasterise([points], (22, 26))[clear], expected.reshape(22, 26)[clear])


@pytest.mark.parametrize("quarter_turns", range(4))
def test_a_triangle_pointing_any_way_is_filled_to_its_tips(quarter_turns: int) -> None:
    turn = np.array([[[1, 0], [0, 1]], [[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [-1, 0]]][quarter_turns])
    triangle = np.array([[-8.3, 0.2], [7.4, -3.6], [7.4, 3.7]]) @ turn + 9
    y, x = np.mgrid[:18, :18]
    expected = Outline(np.vstack([triangle, triangle[:1]]), closed=True).contains_points(np.column_stack([x.ravel(), y.ravel()]))
    assert np.array_equal(rasterise([triangle], (18, 18)), expected.reshape(18, 18))


def test_a_square_drawn_along_voxel_centres_does_not_grow() -> None:
    inside = rasterise([SQUARE], (12, 12))
    assert inside.sum() == 25
    assert inside[3:8, 2:7].all()


def test_a_square_between_voxel_centres_holds_exactly_those_within() -> None:
    assert np.argwhere(rasterise([square(1.5, 2.5, 3)], (9, 9))).tolist() == [[y, x] for y in (3, 4, 5) for x in (2, 3, 4)]


@settings(max_examples=60, deadline=None)
@given(cut=st.lists(st.integers(2, 18), min_size=9, max_size=9), step=st.sampled_from([1.0, 0.5]))
def test_two_polygons_that_share_an_edge_share_no_voxel_and_leave_none_out(cut: list[int], step: float) -> None:
    edge = [[x * step, float(y)] for y, x in enumerate(cut)]
    left = np.array([[0.0, 0.0], *edge, [0.0, 8.0]])
    right = np.array([[10.0, 0.0], *edge, [10.0, 8.0]]) if step == 0.5 else np.array([[20.0, 0.0], *edge, [20.0, 8.0]])
    width = 10 if step == 0.5 else 20
    one, other = rasterise([left], (10, 22)), rasterise([right], (10, 22))
    assert not (one & other).any()
    assert (one | other)[:8, :width].all()


def test_a_hole_and_an_island_within_it_come_out() -> None:
    inside = rasterise([square(0.5, 0.5, 10), square(2.5, 2.5, 6), square(4.5, 4.5, 2)], (12, 12))
    assert inside.sum() == 100 - 36 + 4
    assert inside[5, 5]
    assert not inside[3, 3]


def test_a_keyhole_contour_is_a_ring() -> None:
    keyhole = [
        [0.5, 0.5],
        [10.5, 0.5],
        [10.5, 10.5],
        [0.5, 10.5],
        [0.5, 5.0],
        [3.5, 5.0],
        [3.5, 7.5],
        [7.5, 7.5],
        [7.5, 3.5],
        [3.5, 3.5],
        [3.5, 5.0],
        [0.5, 5.0],
    ]
    ring = rasterise([square(0.5, 0.5, 10), square(3.5, 3.5, 4)], (12, 12))
    assert np.array_equal(rasterise([np.array(keyhole)], (12, 12)), ring)


@pytest.mark.parametrize("again", [SQUARE, SQUARE[::-1], np.roll(SQUARE, 2, axis=0), SQUARE + 3e-6], ids=["same", "reversed", "rotated", "rounded"])
def test_a_contour_stored_twice_counts_once(again: np.ndarray) -> None:
    assert np.array_equal(rasterise([SQUARE, again], (12, 12)), rasterise([SQUARE], (12, 12)))
    assert len(without_repeats([SQUARE, again])) == 1


def test_a_contour_of_another_shape_is_not_taken_for_a_repeat() -> None:
    assert len(without_repeats([SQUARE, square(2, 3, 4), square(3, 3, 5)])) == 3


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_float_noise_on_voxel_centres_never_decides(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 12, (6, 2)).astype(float)
    for boundary in ("half-open", "inclusive"):
        noisy = corners + rng.uniform(-9e-5, 9e-5, corners.shape)
        assert np.array_equal(rasterise([noisy], (12, 12), boundary=boundary), rasterise([corners], (12, 12), boundary=boundary))


def test_the_inclusive_rule_keeps_the_voxels_that_a_tracer_walked_through() -> None:
    mask = picture("......", "..##..", ".####.", ".####.", "..#...", "......")
    trace = np.array([[2.0, 1], [3, 1], [4, 2], [4, 3], [3, 3], [2, 4], [1, 3], [1, 2]])
    assert np.array_equal(rasterise([trace], mask.shape, boundary="inclusive"), mask)
    assert rasterise([trace], mask.shape).sum() < mask.sum()


def test_the_inclusive_rule_finds_centres_on_slopes_too() -> None:
    inside = rasterise([np.array([[0.0, 0.0], [8.0, 4.0], [0.0, 4.0]])], (6, 10), boundary="inclusive")
    assert [int(row.sum()) for row in inside] == [1, 3, 5, 7, 9, 0]


def test_one_or_two_points_mark_the_centres_on_them_only_by_the_inclusive_rule() -> None:
    point, stretch = np.array([[3.0, 2.0]]), np.array([[1.0, 4.0], [4.0, 4.0]])
    assert np.argwhere(rasterise([point], (6, 6), boundary="inclusive")).tolist() == [[2, 3]]
    assert np.argwhere(rasterise([stretch], (6, 6), boundary="inclusive")).tolist() == [[4, 1], [4, 2], [4, 3], [4, 4]]
    assert not rasterise([point, stretch], (6, 6)).any()


def test_what_lies_beyond_the_slice_is_cut_off_and_nothing_far_away_costs_memory() -> None:
    assert rasterise([square(-1e6, -1e6, 2e6)], (5, 7)).all()
    assert not rasterise([square(1e6, 1e6, 10)], (5, 7)).any()
    assert rasterise([square(4.5, 2.5, 100)], (5, 7)).sum() == 4
    assert not rasterise([], (5, 7)).any()


def test_a_traced_region_is_told_from_a_drawn_box_and_from_any_other_contour() -> None:
    disc = np.array([[3.0, 1], [4, 1], [6, 3], [6, 4], [4, 6], [3, 6], [1, 4], [1, 3]])
    assert is_traced([disc])
    assert is_traced([disc + 0.004]), "coordinates in text are rounded"
    assert not is_traced([SQUARE]), "a box drawn along centres must not grow"
    assert is_traced([SQUARE], by_known_tracer=True)
    assert is_traced([SQUARE, np.array([[3.0, 3.0]])])
    assert not is_traced([disc, disc + 0.5])
    assert not is_traced([])


def zigzag(teeth: int) -> np.ndarray:
    """A comb of triangles across the whole slice, each as wide as the slice's share of them."""
    x = np.repeat(np.linspace(0.5, 510.5, teeth), 2)
    return np.column_stack([x, np.tile([-0.4, 511.4], teeth)])


def test_a_contour_of_many_crossings_takes_little_memory() -> None:
    polygon = zigzag(10_000)
    tracemalloc.start()
    rasterise([polygon], (512, 512), boundary="inclusive")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300e6, "all at once it would be a GB, and more for a longer one"


def test_a_contour_in_many_parts_is_filled_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    polygon = rng.uniform(-5, 45, (200, 2)).round(1)
    whole = [rasterise([polygon], (40, 40), boundary=boundary) for boundary in ("half-open", "inclusive")]
    monkeypatch.setattr(rasterising, "_AT_ONCE", 50)
    parts = [rasterise([polygon], (40, 40), boundary=boundary) for boundary in ("half-open", "inclusive")]
    assert np.array_equal(whole, parts)


def test_shares_of_a_contour_of_too_many_pieces_are_refused() -> None:
    with pytest.raises(ContourError, match="too intricate"):
        area_fractions([zigzag(10_000)], (512, 512))
