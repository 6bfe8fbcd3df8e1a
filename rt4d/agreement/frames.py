"""Whether two contours lie in one frame of reference, said or taken on trust."""

from __future__ import annotations

import numpy as np

from rt4d import geometry as grids
from rt4d.errors import GeometryError
from rt4d.geometry import Floats, Geometry

EVERY_CORNER = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)


def one_frame(machine: Geometry, physician: Geometry) -> tuple[str, ...]:
    """What is to be said of it: nothing where both grids name one frame of reference, that it is taken on trust where either names none.

    Raises GeometryError for different ones, and without a name where the grids do not overlap in space.
    """
    grids.require_same_frame(physician, machine, what="Contours in different frames of reference cannot be compared")
    named = [bool(grid.frame_of_reference) for grid in (machine, physician)]
    if all(named):
        return ()
    whose = "The physician's contour" if named[0] else "The machine's contour" if named[1] else "Neither contour"
    if not _overlap_in_space(machine, physician):
        raise GeometryError(
            "Grids without a common frame of reference do not overlap in space",
            expected="two grids of one patient position",
            found=f"{whose.lower()} names a frame of reference" if not any(named) else f"{whose.lower()} names none",
            do="Compare contours that were drawn on one CT",
        )
    if any(named):
        return (f"{whose} names no frame of reference: taken on trust to lie in the other's",)
    return ("Neither contour names a frame of reference: taken on trust to lie in one",)


def _overlap_in_space(one: Geometry, other: Geometry) -> bool:
    """Whether no axis of either grid separates them."""
    return all(_meets(*pair) for pair in ((one, other), (other, one)))


def _meets(grid: Geometry, other: Geometry) -> bool:
    index = grid.to_index(outer_corners_mm(other))
    return bool(np.all(index.max(axis=0) > -0.5) and np.all(index.min(axis=0) < np.array(grid.size) - 0.5))


def outer_corners_mm(grid: Geometry) -> Floats:
    """The patient coordinates of the corners of its outermost voxels, shape (8, 3)."""
    return grid.to_patient(EVERY_CORNER * grid.size - 0.5)
