"""Where contours differ most: places that are known from how the contours were made."""

from __future__ import annotations

import numpy as np
import pytest

from rt4d.agreement import compare
from rt4d.agreement.greatest_difference import greatest_difference_mm
from rt4d.geometry import Geometry
from rt4d.volumes import Mask

GRID = Geometry((30, 26, 20), (2.0, 2.0, 3.0), (-30.0, -20.0, -30.0))


def ball(centre_mm: tuple[float, float, float], radius_mm: float, geometry: Geometry = GRID) -> Mask:
    return Mask(np.linalg.norm(geometry.centres() - centre_mm, axis=-1) <= radius_mm, geometry)


@pytest.mark.parametrize("swapped", [False, True])
def test_it_is_the_far_end_of_what_sticks_out_whoever_drew_it(swapped: bool) -> None:
    plain = ball((0.0, 0.0, 0.0), 10.0)
    spur = Mask(np.array(plain.inside), GRID) | ball((0.0, 0.0, 18.0), 3.0)
    machine, physician = (plain, spur) if swapped else (spur, plain)
    x, y, z = greatest_difference_mm(compare(machine, physician), physician) or (None, None, None)
    assert (x, y) == (0, 0)
    assert z == 21


def test_of_a_whole_side_that_is_as_far_the_middle_is_taken() -> None:
    inside = np.zeros(GRID.shape, dtype=bool)
    inside[5:10, 5:12, 5:12] = True
    drawn = Mask(inside, GRID)
    machine = Mask(np.roll(inside, 3, axis=2), GRID)
    x, y, z = greatest_difference_mm(compare(machine, drawn), drawn) or (0.0, 0.0, 0.0)
    assert abs(x - GRID.origin_mm[0]) in (2 * 5, 2 * 14)
    assert (y, z) == pytest.approx((-20 + 2 * 8, -30 + 3 * 7))


def test_equal_contours_differ_nowhere_and_an_empty_one_by_all_of_the_other() -> None:
    drawn = ball((4.0, 2.0, 3.0), 8.0)
    nothing = Mask(np.zeros(GRID.shape, dtype=bool), GRID)
    assert greatest_difference_mm(compare(drawn, drawn), drawn) is None
    assert greatest_difference_mm(compare(nothing, drawn), drawn) == pytest.approx((4, 2, 3))
    assert greatest_difference_mm(compare(drawn, nothing), nothing) == pytest.approx((4, 2, 3))
    assert greatest_difference_mm(compare(nothing, nothing), nothing) is None
