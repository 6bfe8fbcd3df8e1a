"""Contours of one slice that cross one another: filled even-odd, what two of them share is outside, which nobody may have meant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rt4d.dicom.rasterise import Ints, rasterise
from rt4d.geometry import Floats

MOST_POLYGONS = 200
"""Of one slice that are looked at: more than anybody draws there, and few enough to look at each pair."""


def voxels_shared(polygons: Sequence[Floats], shape: tuple[int, int], *, on_centre: float) -> int:
    """How many voxels of a slice, shape (y, x), lie in two polygons of which neither lies within the other (as a hole or island does).

    Two that hold the very same voxels count too: one drawn again, a hair beside itself. Polygons as for `rasterise`.
    """
    polygons = polygons[:MOST_POLYGONS]
    pairs = _pairs_that_meet(polygons)
    if not len(pairs):
        return 0
    corner, shape = _window([polygons[k] for k in np.unique(pairs)], shape)
    inside = {k: rasterise([polygons[k] - corner], shape, on_centre=on_centre) for k in np.unique(pairs).tolist()}
    counts = {k: int(np.count_nonzero(mask)) for k, mask in inside.items()}
    shared = np.zeros(shape, dtype=bool)
    for a, b in pairs.tolist():
        both = inside[a] & inside[b]
        few, many = sorted((counts[a], counts[b]))
        if not few == np.count_nonzero(both) < many:
            shared |= both
    return int(np.count_nonzero(shared))


def _pairs_that_meet(polygons: Sequence[Floats]) -> Ints:
    """The pairs of polygons whose bounding boxes meet, shape (n, 2)."""
    if len(polygons) < 2:
        return np.empty((0, 2), dtype=int)
    low, high = np.stack([points.min(axis=0) for points in polygons]), np.stack([points.max(axis=0) for points in polygons])
    reaches = (low[:, np.newaxis] <= high[np.newaxis]).all(axis=-1)
    return np.argwhere(np.triu(reaches & reaches.T, k=1))


def _window(polygons: Sequence[Floats], shape: tuple[int, int]) -> tuple[Ints, tuple[int, int]]:
    """The first voxel, x y, and the shape of the part of a slice that holds the polygons, as far as they lie in it."""
    points = np.concatenate(polygons)
    first = np.clip(np.floor(points.min(axis=0)), 0, (shape[1], shape[0])).astype(int)
    last = np.clip(np.ceil(points.max(axis=0)) + 1, first, (shape[1], shape[0])).astype(int)
    width, height = (last - first).tolist()
    return first, (height, width)
