"""Elements that both contours share are not searched for: every distance is what comparing all with all gives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from rt4d.agreement import added_path, face_distances, surface_distances
from rt4d.agreement.nearest import Cells, in_both, nearest_mm
from rt4d.agreement.surfaces import SurfaceDistances, surface
from rt4d.agreement.voxel_faces import voxel_faces
from rt4d.geometry import Geometry
from rt4d.volumes import Mask
from tests.agreement.shapes import FRAME, blob, box
from tests.conftest import rotation

FLAT = Geometry((17, 15, 11), (0.977, 0.977, 3.0), (3.0, -70.0, 8.0), frame_of_reference=FRAME)
TURNED = Geometry(FLAT.size, (2.5, 0.7, 1.3), FLAT.origin_mm, rotation(10, -15, 20), FRAME)
UNEVEN = Geometry(
    FLAT.size, FLAT.spacing_mm, FLAT.origin_mm, slice_offsets_mm=(0.0, 3, 6, 10, 12, 15, 18, 21.5, 24, 27, 30), frame_of_reference=FRAME
)
GRIDS = {"anisotropic": FLAT, "oblique": TURNED, "uneven": UNEVEN}


def pair(kind: str, grid: Geometry) -> tuple[Mask, Mask]:
    """Two contours that share much, nothing or all of their surface."""
    rng = np.random.default_rng(5)
    one, other = blob(rng, grid, roughness=2), blob(rng, grid, roughness=2)
    lump = box((4, 3, 2), (6, 5, 4), grid)
    return {
        "overlapping": (one, other),
        "partly the same": (one | lump, one - box((8, 0, 0), (9, 15, 11), grid) | lump),
        "identical": (one, one),
        "disjoint": (box((0, 0, 0), (3, 4, 2), grid), box((12, 9, 7), (5, 6, 4), grid)),
        "touching": (lump, box((10, 3, 2), (4, 5, 4), grid)),
        "touching at a corner": (lump, box((10, 8, 6), (4, 5, 4), grid)),
        "one within the other": (box((0, 0, 0), (17, 15, 11), grid), lump),
        "one voxel": (box((4, 3, 2), (1, 1, 1), grid), lump),
    }[kind]


KINDS = ["overlapping", "partly the same", "identical", "disjoint", "touching", "touching at a corner", "one within the other", "one voxel"]


def assert_all_with_all(found: SurfaceDistances, machine: np.ndarray, physician: np.ndarray) -> None:
    apart = cdist(machine, physician)
    np.testing.assert_allclose(found.machine_to_physician_mm, apart.min(axis=1), rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.physician_to_machine_mm, apart.min(axis=0), rtol=0, atol=1e-9)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_distance_is_that_of_all_elements_with_all(kind: str, grid: Geometry) -> None:
    machine, physician = pair(kind, grid)
    assert_all_with_all(surface_distances(machine, physician), surface(machine).points_mm, surface(physician).points_mm)
    assert_all_with_all(face_distances(machine, physician), voxel_faces(machine).points_mm, voxel_faces(physician).points_mm)


@pytest.mark.parametrize("kind", KINDS)
def test_of_crops_and_of_grids_a_little_apart_too(kind: str) -> None:
    """0.005 mm apart, voxels are taken as the same, and what lies in one place is yet not at distance 0."""
    machine, physician = pair(kind, FLAT)
    for moved in (0.0, 0.005, 1.0):
        start, size = machine.box()
        part = machine.crop(start, size)
        x, y, z = part.geometry.origin_mm
        near = Mask(part.inside, Geometry(size, FLAT.spacing_mm, (x + moved, y, z), frame_of_reference=FRAME))
        assert_all_with_all(surface_distances(near, physician), surface(near).points_mm, surface(physician).points_mm)
        assert_all_with_all(face_distances(near, physician), voxel_faces(near).points_mm, voxel_faces(physician).points_mm)


def test_a_single_voxel_of_a_turned_grid_shares_no_places_with_a_straight_one() -> None:
    """The centres coincide, and the number of voxels; no face does."""
    straight = Geometry((1, 1, 1), (1.0, 1.0, 3.0), frame_of_reference=FRAME)
    turned = Geometry((1, 1, 1), (1.0, 1.0, 3.0), (0.0, 0.0, 0.0), rotation(30, 20, 10), FRAME)
    one, other = (Mask(np.ones((1, 1, 1), bool), grid) for grid in (straight, turned))
    assert_all_with_all(surface_distances(one, other), surface(one).points_mm, surface(other).points_mm)
    assert_all_with_all(face_distances(one, other), voxel_faces(one).points_mm, voxel_faces(other).points_mm)


@pytest.mark.parametrize("tolerance", [0.0, 0.9, 2.5])
@pytest.mark.parametrize("kind", KINDS)
def test_the_added_path_is_that_of_all_elements_with_all(kind: str, tolerance: float) -> None:
    machine, physician = pair(kind, FLAT)
    found = added_path(machine, physician, tolerance_mm=tolerance)
    edited, length = 0, 0.0
    for z in range(FLAT.size[2]):
        both = [_outline(each.inside[z]) for each in (machine, physician)]
        far = [_far(one, other, tolerance) for one, other in (both, both[::-1])]
        length += both[1][1][far[1]].sum()
        edited += bool(far[0].any() or far[1].any())
    assert found.length_mm == pytest.approx(length, abs=1e-9)
    assert found.slices_to_edit == edited


def _outline(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places and lengths of a slice's contour, by looking at every four pixels."""
    dx, dy, _ = FLAT.spacing_mm
    wide, points, lengths = np.pad(inside, 1), [], []
    for y, x in np.ndindex(wide.shape[0] - 1, wide.shape[1] - 1):
        four = wide[y : y + 2, x : x + 2]
        cut = {"x": int(four[0, 0] != four[0, 1]) + int(four[1, 0] != four[1, 1]), "y": int(four[0, 0] != four[1, 0]) + int(four[0, 1] != four[1, 1])}
        if sum(cut.values()):
            points.append((x * dx, y * dy))
            corners = sum(cut.values()) // 2 if cut["x"] and cut["y"] else 0
            lengths.append(corners * np.hypot(dx, dy) / 2 if corners else dx if cut["y"] else dy)
    return np.array(points).reshape(-1, 2), np.array(lengths)


def _far(contour: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray], tolerance: float) -> np.ndarray:
    if not len(contour[0]) or not len(other[0]):
        return np.ones(len(contour[0]), bool)
    return cdist(contour[0], other[0]).min(axis=1) > tolerance + 1e-6


def test_cells_of_one_lattice_are_found_in_both_in_one_order() -> None:
    there = np.zeros((3, 4, 5), bool)
    there[1, 1, 1] = there[2, 3, 4] = there[0, 0, 0] = True
    moved = np.zeros((2, 3, 4), bool)
    moved[0, 0, 0] = moved[1, 2, 3] = moved[0, 1, 1] = True
    mine, theirs = in_both(Cells((there,), ((0, 0, 0),)), Cells((moved,), ((1, 1, 1),)))
    assert mine.tolist() == [False, True, True]
    assert theirs.tolist() == [True, False, True]
    mine, theirs = in_both(Cells((there,), ((0, 0, 0),)), Cells((moved,), ((7, 0, 0),)))
    assert not mine.any()
    assert not theirs.any()


def test_elements_that_all_coincide_are_at_distance_0_without_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scipy.spatial.cKDTree", None)
    points = np.arange(12.0).reshape(4, 3)
    assert nearest_mm(points, points, np.ones(4, bool)).tolist() == [0, 0, 0, 0]
