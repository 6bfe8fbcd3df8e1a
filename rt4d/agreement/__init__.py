"""How well two contours agree (the metrics that the main job's own demo and benchmark need)."""

from __future__ import annotations

import numpy as np

from rt4d import geometry as grids
from rt4d.errors import InputError
from rt4d.geometry import Floats
from rt4d.volumes import Mask


def dice(mask: Mask, other: Mask) -> float:
    """Twice the common volume over the sum of both (Dice 1945); 1 means the same. Refused on different grids and where both are empty."""
    common = (mask & other).volume_cm3
    if (total := mask.volume_cm3 + other.volume_cm3) == 0:
        raise InputError("The Dice coefficient of two empty masks is undefined")
    return 2 * common / total


def mean_surface_distance_mm(mask: Mask, other: Mask) -> float:
    """The mean over both surfaces of the distance to the nearest point of the other one (symmetric mean surface distance).

    A surface is the faces between inside and outside voxels: a face counts with its area and stands for its centre.
    """
    from scipy.spatial import cKDTree

    grids.require(mask.geometry, other.geometry, what="Surfaces are compared on one grid")
    (points, areas), (other_points, other_areas) = faces(mask), faces(other)
    there = cKDTree(other_points).query(points)[0]
    back = cKDTree(points).query(other_points)[0]
    return float((there @ areas + back @ other_areas) / (areas.sum() + other_areas.sum()))


def faces(mask: Mask) -> tuple[Floats, Floats]:
    """The centres (n, 3), in patient mm, and areas (n,), in mm², of all faces between an inside and an outside voxel."""
    if mask.is_empty:
        raise InputError("An empty mask has no surface")
    grids.require_even(mask.geometry, what="A surface of voxel faces")
    spacing = mask.geometry.spacing_mm
    start, size = mask.box()
    inside = np.pad(mask.crop(start, size).inside, 1)
    centres, areas = [], []
    for axis in range(3):
        along = 2 - axis
        index = np.argwhere(np.diff(inside.astype(np.int8), axis=along))[:, ::-1].astype(float)
        index[:, axis] += 0.5
        centres.append(index - 1 + start)
        areas.append(np.full(len(index), np.prod(spacing) / spacing[axis]))
    return mask.geometry.to_patient(np.concatenate(centres)), np.concatenate(areas)
