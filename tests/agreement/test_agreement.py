from __future__ import annotations

import numpy as np
import pytest

from rt4d.agreement import dice, faces, mean_surface_distance_mm
from rt4d.errors import GeometryError, InputError
from rt4d.geometry import Geometry
from rt4d.volumes import Mask

GRID = Geometry((30, 30, 20), (1.0, 1.0, 3.0), (5, 5, 5))


def box(start, size, grid=GRID):
    inside = np.zeros(grid.shape, bool)
    inside[tuple(slice(i, i + n) for i, n in zip(start[::-1], size[::-1], strict=True))] = True
    return Mask(inside, grid)


def test_dice_of_a_shifted_cube_is_its_overlap():
    assert dice(box((5, 5, 5), (10, 10, 5)), box((5, 5, 5), (10, 10, 5))) == 1
    assert dice(box((5, 5, 5), (10, 10, 5)), box((7, 5, 5), (10, 10, 5))) == pytest.approx(0.8)
    assert dice(box((5, 5, 5), (4, 4, 4)), box((15, 5, 5), (4, 4, 4))) == 0


def test_faces_add_up_to_the_surface_of_a_box():
    centres, areas = faces(box((5, 5, 5), (10, 8, 4)))
    assert areas.sum() == pytest.approx(2 * (10 * 8 + 10 * 12 + 8 * 12))
    assert centres.min(axis=0) == pytest.approx((9.5, 9.5, 18.5))


def test_mean_surface_distance_of_a_box_in_a_larger_one_is_the_gap():
    outer, inner = box((2, 2, 2), (24, 24, 12)), box((4, 4, 4), (20, 20, 8))
    assert mean_surface_distance_mm(outer, outer) == 0
    assert 2.0 <= mean_surface_distance_mm(outer, inner) <= 6.5
    thick = mean_surface_distance_mm(box((2, 2, 8), (26, 26, 1)), box((2, 2, 9), (26, 26, 1)))
    assert thick == pytest.approx(3 * 26 * 26 * 2 / (2 * (2 * 26 * 26 + 4 * 26 * 3)), rel=0.35)


def test_surfaces_of_nothing_and_of_other_grids_are_refused():
    empty = Mask(np.zeros(GRID.shape, bool), GRID)
    with pytest.raises(InputError, match="empty"):
        faces(empty)
    with pytest.raises(InputError, match="empty"):
        dice(empty, empty)
    with pytest.raises(GeometryError):
        dice(empty, box((1, 1, 1), (2, 2, 2), Geometry((30, 30, 20), (1, 1, 3))))
