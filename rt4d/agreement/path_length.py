"""How much contour a physician would have to draw anew: the added path length (Vaassen et al. 2020, doi 10.1016/j.phro.2019.12.001).

The contour of a slice is made like the surface (surfaces): an element where four pixel centres meet, as long as the line that cuts the
edges between inside and outside pixels half-way. It is covered where the other contour passes within the tolerance in the same slice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rt4d import geometry as grids
from rt4d.agreement.nearest import LEAF, Cells, in_both
from rt4d.agreement.surfaces import ROUNDING_MM, extent, require_tolerance
from rt4d.errors import InputError
from rt4d.geometry import Floats
from rt4d.volumes import Mask

ALL_INSIDE = 15


@dataclass(frozen=True, slots=True)
class AddedPath:
    """length_mm: of the physician's contour, what the machine's does not cover. slices_to_edit: slices in which either contour has a part
    that the other one does not cover, so that something is to be drawn or deleted. slice_count: slices with a physician's contour."""

    length_mm: float
    slices_to_edit: int
    slice_count: int

    def __post_init__(self) -> None:
        if self.length_mm < 0 or self.slices_to_edit < 0 or self.slice_count < 0:
            raise InputError("An added path has no negative lengths or counts", found=(self.length_mm, self.slices_to_edit, self.slice_count))


@dataclass(frozen=True, slots=True, eq=False)
class _Contour:
    """Elements of the contours of all slices: slice numbers (n,), places x y in mm (n, 2), lengths (n,), and in which cells they stand."""

    slices: npt.NDArray[np.intp]
    points_mm: Floats
    lengths_mm: Floats
    cells: Cells


def added_path(machine: Mask, physician: Mask, *, tolerance_mm: float) -> AddedPath:
    """The length of the physician's contour that the machine's does not cover within the tolerance, over all slices of their grid.

    Without a machine's contour that is all of it; without a physician's one nothing is to be drawn, and what the machine drew is to be
    deleted. Raises GeometryError where the masks lie on different grids.
    """
    require_tolerance(tolerance_mm)
    grids.require(physician.geometry, machine.geometry, what="An added path is measured on the slices of one grid")
    mine, drawn = _contour(machine), _contour(physician)
    shared, shared_drawn = in_both(mine.cells, drawn.cells)
    to_draw = ~_covered(drawn, mine, shared_drawn, tolerance_mm)
    to_delete = ~_covered(mine, drawn, shared, tolerance_mm)
    edited = np.union1d(drawn.slices[to_draw], mine.slices[to_delete])
    return AddedPath(float(drawn.lengths_mm[to_draw].sum()), len(edited), len(np.unique(drawn.slices)))


def _contour(mask: Mask) -> _Contour:
    if (box := extent(mask.inside)) is None:
        return _Contour(np.empty(0, dtype=np.intp), np.empty((0, 2)), np.empty(0), Cells((np.zeros((0, 0, 0), dtype=bool),), ((0, 0, 0),)))
    inside = np.pad(mask.inside[box], ((0, 0), (1, 1), (1, 1))).view(np.uint8)
    rows = inside[:, :, :-1] | inside[:, :, 1:] << 1
    codes = rows[:, :-1] | rows[:, 1:] << 2
    there = (codes != 0) & (codes != ALL_INSIDE)
    at = np.flatnonzero(there)
    z, y, x = np.unravel_index(at, there.shape)
    dx, dy, _ = mask.geometry.spacing_mm
    points = np.stack([(x + (box[2].start - 0.5)) * dx, (y + (box[1].start - 0.5)) * dy], axis=1)
    cells = Cells((there,), ((box[0].start, box[1].start, box[2].start),))
    return _Contour(z + box[0].start, points, _lengths_mm(dx, dy)[codes.ravel()[at]], cells)


def _lengths_mm(dx: float, dy: float) -> Floats:
    """The length of contour between four pixel centres, by code: bit 0 the first, 1 the next in x, 2 the next in y, 3 across."""
    lengths = np.full(ALL_INSIDE + 1, np.hypot(dx, dy) / 2)
    lengths[[0b0011, 0b1100]] = dx
    lengths[[0b0101, 0b1010]] = dy
    lengths[[0b0110, 0b1001]] *= 2
    lengths[[0, ALL_INSIDE]] = 0
    return lengths


def _covered(contour: _Contour, other: _Contour, shared: npt.NDArray[np.bool_], tolerance_mm: float) -> npt.NDArray[np.bool_]:
    """Which elements lie within the tolerance of the other contour in their slice: slices are set too far apart to reach one another."""
    from scipy.spatial import cKDTree

    rest = ~shared
    if not (rest.any() and len(other.slices)):
        return shared
    apart = 2 * tolerance_mm + 1
    points, others = (np.c_[each.points_mm, apart * each.slices] for each in (contour, other))
    reach = tolerance_mm + ROUNDING_MM
    covered = shared.copy()
    tree = cKDTree(others, leafsize=LEAF, balanced_tree=False, compact_nodes=False)
    covered[rest] = np.isfinite(tree.query(points[rest], distance_upper_bound=reach)[0])
    return covered
