from __future__ import annotations

import numpy as np
import pytest

from rt4d.errors import GeometryError, InputError
from rt4d.geometry import Geometry
from rt4d.volumes import Mask, Volume

GRID = Geometry((4, 5, 6), (1, 2, 3), (10, 20, 30))


def cube(grid=GRID):
    inside = np.zeros(grid.shape, bool)
    inside[1:3, 1:3, 1:3] = True
    return Mask(inside, grid)


def test_an_array_must_have_its_grids_shape():
    with pytest.raises(GeometryError, match=r"\(z, y, x\) = \(6, 5, 4\)"):
        Volume(np.zeros((4, 5, 6), np.int16), GRID)


def test_a_mask_is_bool_and_nothing_else():
    with pytest.raises(InputError, match="array > 0"):
        Mask(np.zeros(GRID.shape, np.uint8), GRID)


def test_values_are_read_only_and_leave_the_callers_array_as_it_was():
    array = np.zeros(GRID.shape, np.int16)
    volume = Volume(array, GRID)
    with pytest.raises(ValueError, match="read-only"):
        volume.hu[0, 0, 0] = 1
    array[0, 0, 0] = 1


def test_volume_and_centroid_of_a_cube():
    assert cube().volume_cm3 == pytest.approx(8 * 6 / 1000)
    assert cube().centroid_mm == pytest.approx((11.5, 23, 34.5))


def test_centroid_and_volume_weigh_uneven_slices_by_their_share():
    grid = Geometry((4, 5, 6), (1, 2, 3), slice_offsets_mm=(0, 3, 9, 12, 15, 18))
    assert cube(grid).volume_cm3 == pytest.approx(2 * 4 * 2 * 4.5 / 1000)
    assert cube(grid).centroid_mm[2] == pytest.approx(6)


def test_an_empty_mask_has_no_volume_and_no_centroid():
    empty = Mask(np.zeros(GRID.shape, bool), GRID)
    assert empty.volume_cm3 == 0
    assert empty.is_empty
    with pytest.raises(InputError, match="no centroid"):
        _ = empty.centroid_mm


def test_masks_of_different_grids_do_not_meet():
    other = cube(Geometry((4, 5, 6), (1, 2, 3), (10, 20, 31)))
    for meet in (Mask.__or__, Mask.__and__, Mask.__sub__):
        with pytest.raises(GeometryError, match="one grid"):
            meet(cube(), other)
    assert (cube() | cube()).volume_cm3 == cube().volume_cm3
    assert (cube() - cube()).is_empty


def test_a_crop_shares_memory_and_keeps_its_place():
    start, size = cube().box(0)
    part = cube().crop(start, size)
    assert part.inside.all()
    assert part.centroid_mm == pytest.approx(cube().centroid_mm)
    assert part.touches_edge
    assert not cube().touches_edge


def test_points_are_those_of_every_inside_voxel_wherever_they_lie():
    rng = np.random.default_rng(0)
    for share in (0.0, 0.01, 0.3, 1.0):
        inside = rng.random(GRID.shape) < share
        expected = GRID.to_patient(np.argwhere(inside)[:, ::-1])
        assert np.array_equal(Mask(inside, GRID).points_mm, expected)
