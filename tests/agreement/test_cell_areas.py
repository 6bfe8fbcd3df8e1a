from __future__ import annotations

import numpy as np
import pytest

from rt4d.agreement.cell_areas import cell_areas_mm2, neighbour_codes

SPACINGS = [(1, 1, 1), (0.977, 0.977, 3), (2.5, 0.7, 1.3), (0.4, 3.1, 5), (10, 1, 0.1)]


@pytest.mark.parametrize("spacing", SPACINGS)
def test_every_neighbourhood_has_the_area_that_surface_distance_gives_it(spacing):
    tables = pytest.importorskip("surface_distance.lookup_tables")
    theirs = tables.create_table_neighbour_code_to_surface_area(spacing[::-1])
    weights = np.asarray(tables.ENCODE_NEIGHBOURHOOD_3D_KERNEL).ravel()
    codes = np.arange(256)
    same = sum((codes >> i & 1) * int(weights[i]) for i in range(8))
    np.testing.assert_allclose(cell_areas_mm2(spacing), theirs[same], atol=1e-12)


def test_areas_of_plane_and_corner_cuts_are_those_of_geometry():
    areas = cell_areas_mm2((2, 3, 5))
    assert areas[0] == areas[255] == 0
    assert areas[0b00001111] == pytest.approx(2 * 3)  # the lower four inside: a plane across z
    assert areas[0b01010101] == pytest.approx(3 * 5)
    assert areas[0b00000011] == pytest.approx(2 * np.hypot(3 / 2, 5 / 2))  # an edge along x cut off
    corner = np.linalg.norm(np.cross([-1, 1.5, 0], [-1, 0, 2.5])) / 2
    assert areas[1] == pytest.approx(corner)
    np.testing.assert_allclose(areas, areas[::-1])  # inside and outside have one surface


def test_codes_name_the_corners_that_are_inside():
    inside = np.zeros((2, 2, 2), bool)
    for corner in range(8):
        only = inside.copy()
        only[corner >> 2, corner >> 1 & 1, corner & 1] = True
        assert neighbour_codes(only).item() == 1 << corner
