"""Lesions of a mask against pictures whose pieces are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from rt4d.agreement.lesions import lesions_in, lesions_of
from rt4d.errors import GeometryError, InputError
from rt4d.geometry import Geometry
from rt4d.volumes import Mask
from tests.agreement.make import GRID, ball, box, empty, together


def test_pieces_come_by_size_with_volume_place_and_longest_axis():
    small, large = box((2, 2, 2), (4, 1, 1)), box((20, 10, 5), (7, 5, 3))
    first, second = lesions_in(together(small, large))
    assert (first.number, second.number) == (1, 2)
    assert first.volume_cm3 == pytest.approx(7 * 5 * 3 * 6 / 1000)
    assert first.centroid_mm == pytest.approx((-20 + 23, 10 + 2 * 12, -30 + 3 * 6))
    assert first.longest_axis_mm == pytest.approx(np.linalg.norm([6, 8, 6]), rel=2e-3)
    assert second.longest_axis_mm == pytest.approx(3.0, rel=2e-3)
    assert np.array_equal(first.mask.inside, large.inside)
    assert first.score is None


def test_voxels_that_touch_at_a_corner_are_one_lesion():
    assert len(lesions_in(together(box((2, 2, 2), (2, 2, 2)), box((4, 4, 4), (2, 2, 2))))) == 1
    assert len(lesions_in(together(box((2, 2, 2), (2, 2, 2)), box((5, 4, 4), (2, 2, 2))))) == 2


def test_an_empty_mask_has_no_lesions():
    assert lesions_in(empty()) == ()


def test_every_one_of_many_pieces_is_counted():
    """More than the 50 that resampling tells apart: specks are false positives, one by one."""
    inside = np.zeros(GRID.shape, bool)
    inside[::5, ::5, ::5] = True
    found = lesions_in(Mask(inside, GRID))
    assert len(found) == np.count_nonzero(inside)
    assert {one.longest_axis_mm for one in found} == {0.0}


def test_pieces_are_those_of_simpleitk():
    rng = np.random.default_rng(1)
    mask = Mask(rng.random(GRID.shape) < 0.12, GRID)
    numbers = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.inside.astype(np.uint8)), True)
    counts = np.bincount(sitk.GetArrayFromImage(numbers).ravel())[1:]
    assert [round(one.volume_cm3 * 1000 / 6) for one in lesions_in(mask)] == sorted(counts.tolist(), reverse=True)


def test_a_ball_is_measured_in_every_pose(posed_geometry: Geometry):
    grid = replace(posed_geometry, size=(40, 30, 16))
    centre = grid.to_patient((20, 14, 8))
    (one,) = lesions_in(ball(centre, 9.1, grid))
    assert one.centroid_mm == pytest.approx(centre, abs=1e-6)
    assert one.longest_axis_mm == pytest.approx(18.0, abs=1.0)
    assert one.holds(tuple(centre))
    assert not one.holds(tuple(grid.to_patient((31, 14, 8))))
    assert not one.holds(tuple(grid.to_patient((-5, 14, 8))))


def test_masks_may_each_stand_for_one_lesion_in_several_pieces():
    nodal = together(box((2, 2, 2), (2, 2, 2)), box((10, 2, 2), (2, 2, 2)))
    first, second = lesions_of([nodal, box((20, 10, 5), (7, 5, 3))], scores=[0.4, 0.9])
    assert first.volume_cm3 == pytest.approx(nodal.volume_cm3)
    assert (first.score, second.score) == (0.4, 0.9)


def test_common_volume_is_that_of_the_masks_on_uneven_slices_too():
    grid = replace(GRID, slice_offsets_mm=tuple(np.cumsum([0.0] + [3.0] * 9 + [6.0] * 10)))
    (one,), (other,) = lesions_in(box((5, 5, 5), (10, 8, 9), grid)), lesions_in(box((9, 2, 8), (10, 8, 9), grid))
    assert one.common_cm3(other) == pytest.approx((one.mask & other.mask).volume_cm3)
    assert one.common_cm3(other) == pytest.approx(other.common_cm3(one))
    (far,) = lesions_in(box((30, 25, 0), (2, 2, 2), grid))
    assert one.common_cm3(far) == 0


def test_what_is_no_lesion_is_refused():
    with pytest.raises(InputError, match="empty"):
        lesions_of([box((1, 1, 1), (2, 2, 2)), empty()])
    with pytest.raises(GeometryError):
        lesions_of([box((1, 1, 1), (2, 2, 2)), box((1, 1, 1), (2, 2, 2), Geometry((9, 9, 9), (1, 1, 1)))])
    for scores in ([0.5, 0.4], [np.nan]):
        with pytest.raises(InputError, match="score"):
            lesions_of([box((1, 1, 1), (2, 2, 2))], scores=scores)
