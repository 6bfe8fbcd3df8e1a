"""The added path length: closed forms, and surface-distance in two dimensions as oracle."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from rt4d.agreement import added_path
from rt4d.errors import GeometryError, InputError
from rt4d.geometry import Geometry
from rt4d.volumes import Mask
from tests.agreement.shapes import GRID, blob, box, nothing


def outline(nx: int, ny: int, dx: float = 1.0, dy: float = 1.0) -> float:
    """The contour of a rectangle of pixels whose corners are cut half-way."""
    return 2 * (nx - 1) * dx + 2 * (ny - 1) * dy + 2 * np.hypot(dx, dy)


def test_nothing_is_to_be_drawn_where_all_is_covered():
    drawn = box((5, 5, 5), (10, 8, 4))
    found = added_path(drawn, drawn, tolerance_mm=0)
    assert (found.length_mm, found.slices_to_edit, found.slice_count) == (0, 0, 4)
    wider = box((4, 4, 5), (12, 10, 4))
    assert added_path(wider, drawn, tolerance_mm=np.sqrt(2)).slices_to_edit == 0


def test_without_the_machine_the_whole_contour_is_to_be_drawn():
    grid = Geometry((30, 30, 20), (0.7, 1.3, 3))
    found = added_path(nothing(grid), box((5, 5, 5), (10, 8, 4), grid), tolerance_mm=2)
    assert found.length_mm == pytest.approx(4 * outline(10, 8, 0.7, 1.3))
    assert (found.slices_to_edit, found.slice_count) == (4, 4)


def test_a_side_that_lies_too_far_off_is_drawn_anew():
    """The right side is 4 mm short: that side, and what of the two beside it lies more than 2 mm away."""
    found = added_path(box((5, 5, 5), (6, 8, 4)), box((5, 5, 5), (10, 8, 4)), tolerance_mm=2)
    side = 7 * 1.0 + 2 * np.hypot(1, 1) / 2  # seven elements and both cut corners
    beside = 2 * 1 * 1.0  # on top and bottom the element at 3 mm; the one at 2 mm is covered
    assert found.length_mm == pytest.approx(4 * (side + beside))
    assert found.slices_to_edit == 4


def test_the_tolerance_itself_is_covered_also_on_an_oblique_grid(posed_geometry):
    """Shifted by two pixels of 1 mm, all lies within 2 mm."""
    machine, drawn = box((4, 2, 2), (5, 5, 4), posed_geometry), box((2, 2, 2), (5, 5, 4), posed_geometry)
    assert added_path(machine, drawn, tolerance_mm=2).length_mm == 0
    assert added_path(machine, drawn, tolerance_mm=1.99).length_mm > 0


def test_contours_of_neighbouring_slices_cover_nothing():
    machine, drawn = box((5, 5, 5), (10, 8, 1)), box((5, 5, 6), (10, 8, 1))
    found = added_path(machine, drawn, tolerance_mm=10)
    assert found.length_mm == pytest.approx(outline(10, 8))
    assert (found.slices_to_edit, found.slice_count) == (2, 1)  # one to be drawn, one to be deleted


def test_what_the_machine_drew_too_much_is_an_edit_but_no_path():
    drawn = box((5, 5, 5), (6, 6, 4))
    found = added_path(drawn | box((20, 20, 6), (4, 4, 2)), drawn, tolerance_mm=2)
    assert (found.length_mm, found.slices_to_edit, found.slice_count) == (0, 2, 4)
    assert added_path(drawn, nothing(), tolerance_mm=2).slices_to_edit == 4
    assert added_path(nothing(), nothing(), tolerance_mm=2).slices_to_edit == 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tolerance", [0.0, 1.1, 2.9])
def test_it_is_what_surface_distance_finds_uncovered_slice_by_slice(seed, tolerance):
    oracle = pytest.importorskip("surface_distance")
    rng = np.random.default_rng(seed)
    grid = Geometry((19, 23, 6), (0.7, 1.3, 3))
    machine, drawn = (Mask(np.pad(blob(rng, Geometry((15, 19, 6), (1, 1, 1))).inside, ((0, 0), (2, 2), (2, 2))), grid) for _ in range(2))
    expected, edited = 0.0, 0
    for mine, theirs in zip(machine.inside, drawn.inside, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            known = oracle.compute_surface_distances(theirs, mine, (1.3, 0.7))
        far = known["distances_gt_to_pred"] > tolerance
        expected += known["surfel_areas_gt"][far].sum()
        edited += bool(far.any() or (known["distances_pred_to_gt"] > tolerance).any())
    found = added_path(machine, drawn, tolerance_mm=tolerance)
    assert found.length_mm == pytest.approx(expected, abs=1e-6)
    assert found.slices_to_edit == edited


def test_other_grids_and_tolerances_that_are_none_are_refused():
    with pytest.raises(GeometryError):
        added_path(nothing(), nothing(Geometry((30, 30, 20), (1, 1, 3))), tolerance_mm=2)
    with pytest.raises(InputError, match="tolerance"):
        added_path(nothing(GRID), nothing(GRID), tolerance_mm=-2)
