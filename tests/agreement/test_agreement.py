from __future__ import annotations

import pytest

from rt4d.agreement import dice, mean_surface_distance_mm
from rt4d.errors import GeometryError, InputError
from rt4d.geometry import Geometry
from tests.agreement.shapes import box, nothing


def test_dice_of_a_shifted_cube_is_its_overlap():
    assert dice(box((5, 5, 5), (10, 10, 5)), box((5, 5, 5), (10, 10, 5))) == 1
    assert dice(box((5, 5, 5), (10, 10, 5)), box((7, 5, 5), (10, 10, 5))) == pytest.approx(0.8)
    assert dice(box((5, 5, 5), (4, 4, 4)), box((15, 5, 5), (4, 4, 4))) == 0


def test_mean_surface_distance_of_a_box_in_a_larger_one_is_the_gap():
    outer, inner = box((2, 2, 2), (24, 24, 12)), box((4, 4, 4), (20, 20, 8))
    assert mean_surface_distance_mm(outer, outer) == 0
    assert 2.0 <= mean_surface_distance_mm(outer, inner) <= 6.5
    thick = mean_surface_distance_mm(box((2, 2, 8), (26, 26, 1)), box((2, 2, 9), (26, 26, 1)))
    assert thick == pytest.approx(3 * 26 * 26 * 2 / (2 * (2 * 26 * 26 + 4 * 26 * 3)), rel=0.35)


def test_what_is_undefined_and_other_grids_are_refused():
    with pytest.raises(InputError, match="empty"):
        mean_surface_distance_mm(nothing(), box((5, 5, 5), (4, 4, 4)))
    with pytest.raises(InputError, match="empty"):
        dice(nothing(), nothing())
    elsewhere = Geometry((30, 30, 20), (1, 1, 3))
    with pytest.raises(GeometryError):
        dice(nothing(), box((1, 1, 1), (2, 2, 2), elsewhere))
    with pytest.raises(GeometryError):
        mean_surface_distance_mm(box((1, 1, 1), (2, 2, 2)), box((1, 1, 1), (2, 2, 2), elsewhere))
