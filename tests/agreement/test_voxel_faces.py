"""The mean distance between contours, by voxel faces."""

from __future__ import annotations

import numpy as np
import pytest

from rt4d import Geometry, Mask, compare
from rt4d.agreement import face_distances, surface_distances
from rt4d.agreement.voxel_faces import voxel_faces
from rt4d.errors import InputError
from tests.agreement.shapes import GRID, box, nothing
from tests.conftest import rotation

THICK = Geometry((64, 64, 40), (1.0, 1.0, 3.0), (-32.0, -32.0, -60.0))
CENTRES = THICK.centres()


def sphere(radius_mm: float, centre_mm: np.ndarray) -> Mask:
    return Mask(np.linalg.norm(CENTRES - centre_mm, axis=-1) < radius_mm, THICK)


def test_a_box_has_the_faces_of_its_formula() -> None:
    faces = voxel_faces(box((5, 5, 5), (10, 8, 4)))
    x, y, z = np.multiply((10, 8, 4), GRID.spacing_mm)
    assert faces.areas_mm2.sum() == pytest.approx(2 * (x * y + y * z + z * x))


def test_a_shifted_box_has_the_distance_of_its_formula() -> None:
    machine, physician = box((6, 5, 5), (10, 10, 5)), box((5, 5, 5), (10, 10, 5))
    one = GRID.spacing_mm[0]
    assert face_distances(machine, physician).hausdorff_mm() == pytest.approx(one)


@pytest.mark.parametrize("larger_mm", [0.2, 0.5, 1.0, 2.0, 4.0])
def test_the_mean_distance_of_a_larger_ball_is_what_it_is_larger_by(larger_mm: float) -> None:
    rng = np.random.default_rng(1)
    found, elements = [], []
    for _ in range(4):
        centre = rng.uniform(-1, 1, 3)
        machine, physician = sphere(15 + larger_mm, centre), sphere(15, centre)
        found.append(compare(machine, physician).mean_surface_distance_mm)
        elements.append(surface_distances(machine, physician).mean_mm)
    assert np.mean(found) == pytest.approx(larger_mm, rel=0.15, abs=0.05)
    assert np.mean(elements) < 0.9 * larger_mm  # why the elements of `surfaces` are not used for it


@pytest.mark.parametrize("shift_mm", [0.4, 1.0, 2.0, 4.0, 8.0])
def test_the_mean_distance_of_a_shifted_ball_is_half_of_the_shift(shift_mm: float) -> None:
    rng = np.random.default_rng(2)
    found = []
    for _ in range(4):
        centre, away = rng.uniform(-1, 1, 3), rng.normal(size=3)
        machine = sphere(15, centre + shift_mm * away / np.linalg.norm(away))
        found.append(compare(machine, sphere(15, centre)).mean_surface_distance_mm)
    assert np.mean(found) == pytest.approx(shift_mm / 2, rel=0.15)


def test_faces_lie_and_measure_the_same_on_a_turned_grid_and_on_uneven_slices() -> None:
    turned = Geometry(THICK.size, THICK.spacing_mm, THICK.origin_mm, rotation(10, -15, 20))
    uneven = Geometry(THICK.size, THICK.spacing_mm, THICK.origin_mm, slice_offsets_mm=tuple(3.0 * np.arange(40) + (np.arange(40) > 30) * 1.5))
    machine, physician = sphere(16, np.zeros(3)), sphere(14, np.array([1.0, 0, 0]))
    expected = face_distances(machine, physician).mean_mm
    for grid in (turned, uneven):  # what is inside lies on slices that are even
        moved = face_distances(Mask(machine.inside, grid), Mask(physician.inside, grid))
        assert moved.mean_mm == pytest.approx(expected, abs=1e-6)


def test_uneven_slices_have_faces_as_high_as_their_slices() -> None:
    grid = Geometry((4, 4, 4), (1.0, 1.0, 2.0), slice_offsets_mm=(0.0, 2.0, 5.0, 7.0))
    inside = np.zeros(grid.shape, bool)
    inside[1, 1, 1] = True
    faces = voxel_faces(Mask(inside, grid))
    assert faces.areas_mm2.sum() == pytest.approx(2 + 4 * 2.5)
    assert sorted(set(np.round(faces.points_mm[:, 2], 9))) == [1.0, 2.0, 3.5]


def test_an_empty_mask_has_no_faces() -> None:
    with pytest.raises(InputError, match="no surface"):
        voxel_faces(nothing())
    assert compare(nothing(), box((5, 5, 5), (4, 4, 4))).mean_surface_distance_mm is None
