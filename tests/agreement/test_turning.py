from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from rt4d import Geometry, Mask, compare
from rt4d.agreement.turning import turned
from tests.agreement.shapes import FRAME, blob
from tests.conftest import rotation

GRID = Geometry((7, 6, 5), (0.7, 1.3, 3.0), (10, -20, 30), rotation(10, -15, 20), FRAME)
AXES = [
    (order, signs)
    for order in permutations(range(3))
    for signs in product((1, -1), repeat=3)
    if np.isclose(np.linalg.det(np.eye(3)[:, list(order)] * signs), 1)
]


def stored_along(mask: Mask, order: tuple[int, ...], signs: tuple[int, ...]) -> Mask:
    """The same voxels in a file of other axes: its axis i runs along the mask's axis order[i], to or fro. Found voxel by voxel."""
    size = np.array(mask.geometry.size)[list(order)]
    last = np.where(np.array(signs) < 0, size - 1, 0)
    first = np.zeros(3)
    first[list(order)] = last
    matrix = mask.geometry.matrix[:, list(order)] * signs
    spacing = np.array(mask.geometry.spacing_mm)[list(order)]
    grid = Geometry(tuple(size), tuple(spacing), tuple(mask.geometry.to_patient(first)), tuple(matrix.ravel()), FRAME)
    index = np.round(mask.geometry.to_index(grid.centres())).astype(int)
    return Mask(mask.inside[index[..., 2], index[..., 1], index[..., 0]], grid)


@pytest.mark.parametrize(("order", "signs"), AXES)
def test_the_same_voxels_in_another_order_are_the_same_contour(order, signs):
    rng = np.random.default_rng(0)
    machine, physician = blob(rng, GRID), blob(rng, GRID)
    other = stored_along(machine, order, signs)
    back = turned(other, GRID)
    assert back.geometry.is_same_grid(GRID)
    assert np.array_equal(back.inside, machine.inside)
    found, known = compare(other, physician), compare(machine, physician)
    assert found.notes == ()
    assert found.false_positive_voxels == known.false_positive_voxels
    for name in ("dice", "hd95_mm", "hausdorff_mm", "mean_surface_distance_mm", "added_path_mm", "surface_dice"):
        assert getattr(found, name) == pytest.approx(getattr(known, name)), name


def test_other_axes_are_left_alone():
    mask = blob(np.random.default_rng(0), GRID)
    oblique = Geometry(GRID.size, GRID.spacing_mm, GRID.origin_mm, rotation(10, -15, 45), FRAME)
    assert turned(mask, oblique) is mask
    assert turned(mask, GRID) is mask
    uneven = Geometry((7, 6, 5), (1, 1, 3), slice_offsets_mm=(0.0, 3.0, 6.0, 12.0, 15.0))
    assert turned(blob(np.random.default_rng(0), uneven), Geometry((7, 6, 5), (1, 1, 3), direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1))).geometry is uneven
