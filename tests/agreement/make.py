"""Small pictures for the tests of agreement."""

from __future__ import annotations

import numpy as np

from rt4d.geometry import Geometry
from rt4d.volumes import Mask

GRID = Geometry((40, 30, 20), (1.0, 2.0, 3.0), (-20.0, 10.0, -30.0), frame_of_reference="1.2.3")


def box(start, size, grid=GRID) -> Mask:
    """The voxels of a box, start and size in voxels x y z."""
    inside = np.zeros(grid.shape, bool)
    inside[tuple(slice(i, i + n) for i, n in zip(start[::-1], size[::-1], strict=True))] = True
    return Mask(inside, grid)


def empty(grid=GRID) -> Mask:
    return Mask(np.zeros(grid.shape, bool), grid)


def together(*masks) -> Mask:
    return Mask(np.any([mask.inside for mask in masks], axis=0), masks[0].geometry)


def ball(centre_mm, radius_mm, grid) -> Mask:
    return Mask(np.linalg.norm(grid.centres() - centre_mm, axis=-1) <= radius_mm, grid)
