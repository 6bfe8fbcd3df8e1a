"""From the closed contours of one slice to its voxels: a voxel belongs where its centre lies inside (even-odd).

Contours are in index coordinates x y of the slice, so voxel centres are the integers. A centre *on* a contour belongs, by the half-open
rule, to what lies on its side of greater x and y: polygons that share an edge then share no voxel, and a square drawn along centres does
not grow. By the inclusive rule every centre on a contour belongs, as writers that trace the outermost voxels (OpenCV) mean it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from rt4d.geometry import Floats

Boundary = Literal["half-open", "inclusive"]

ON_CENTRE = 1e-4
"""Of a voxel: a vertex or a crossing this near to a centre is on it, so that float noise never decides."""
ON_TRACED_CENTRE = 0.02
"""Of a voxel: the same where a whole region was traced from centre to centre, in text of two or three decimals."""

Bools = npt.NDArray[np.bool_]


def rasterise(polygons: Iterable[Floats], shape: tuple[int, int], *, boundary: Boundary = "half-open", on_centre: float = ON_CENTRE) -> Bools:
    """The voxels of one slice inside closed polygons, shape (y, x) as given by `shape`.

    polygons: each (n, 2), x y, closed without repeating the first point. Even-odd over all of them, so holes, rings and islands come out;
    keyholes too. The same polygon given again (reversed, begun elsewhere) counts once. What lies beyond the slice is cut off. With
    'inclusive' a polygon of one or two points gives the centres on it; otherwise it gives nothing.
    """
    inside = np.zeros(shape, dtype=bool)
    edges = _edges(polygons, on_centre)
    if not len(edges):
        return inside
    ends = edges.reshape(-1, 2)
    left, top = np.clip(np.floor(ends.min(axis=0)), 0, (shape[1], shape[0])).astype(int)
    right, bottom = np.clip(np.ceil(ends.max(axis=0)) + 1, 0, (shape[1], shape[0])).astype(int)
    if right <= left or bottom <= top:
        return inside
    window = inside[top:bottom, left:right]
    local = edges - (left, top, left, top)
    window |= _even_odd(local, window.shape, on_centre)
    if boundary == "inclusive":
        rows, columns = _centres_on(local, window.shape, on_centre)
        window[rows, columns] = True
    return inside


def is_traced(polygons: Sequence[Floats], *, by_known_tracer: bool = False) -> bool:
    """Whether a region's contours, all of them together, run from voxel centre to voxel centre as a mask's outermost voxels do.

    Every vertex lies on a centre, and something tells the trace from a box that was drawn along centres: a step aside (a tracer cuts
    inner corners and climbs slopes diagonally), a contour of one or two points, or a writer known to trace.
    """
    if not polygons or any(np.abs(points - np.round(points)).max() > ON_TRACED_CENTRE for points in polygons):
        return False
    if by_known_tracer or any(len(points) < 3 for points in polygons):
        return True
    steps = (np.abs(np.round(points) - np.round(np.roll(points, -1, axis=0))) for points in polygons)
    return any(bool(np.any((step > 0).all(axis=1))) for step in steps)


def without_repeats(polygons: Iterable[Floats]) -> list[Floats]:
    """The polygons, each only once, wherever it begins and whichever way it runs."""
    once = {_fingerprint(_as_edges(np.asarray(points, dtype=float))): points for points in polygons}
    return list(once.values())


def _edges(polygons: Iterable[Floats], on_centre: float) -> Floats:
    """All edges as rows x0 y0 x1 y1 with the end of smaller y first, each polygon once, vertices near a centre set onto it."""
    once: dict[bytes, Floats] = {}
    for points in polygons:
        edges = _as_edges(_snapped(np.asarray(points, dtype=float), on_centre))
        once[_fingerprint(edges)] = edges
    return np.concatenate(list(once.values())) if once else np.empty((0, 4))


def _as_edges(points: Floats) -> Floats:
    """The edges of one closed polygon, each from the end of smaller y (then x): the same however the polygon runs."""
    ends = np.roll(points, -1, axis=0)
    edges = np.hstack([points, ends])
    swap = (edges[:, 1] > edges[:, 3]) | ((edges[:, 1] == edges[:, 3]) & (edges[:, 0] > edges[:, 2]))
    edges[swap] = edges[swap][:, [2, 3, 0, 1]]
    return edges


def _fingerprint(edges: Floats) -> bytes:
    """What two polygons have in common that bound the same region in the same steps; edges of no length do not count."""
    steps = np.round(edges / ON_CENTRE).astype(np.int64)
    moving = steps[(steps[:, :2] != steps[:, 2:]).any(axis=1)]
    steps = moving if len(moving) else steps[:1]
    return steps[np.lexsort(steps.T)].tobytes()


def _snapped(values: Floats, on_centre: float) -> Floats:
    nearest = np.round(values)
    return np.where(np.abs(values - nearest) <= on_centre, nearest, values)


def _even_odd(edges: Floats, shape: tuple[int, int], on_centre: float) -> Bools:
    """Scan lines along x: a voxel is inside where an odd number of edges crosses its row at or left of its centre."""
    first = np.clip(np.ceil(edges[:, 1]), 0, shape[0]).astype(int)
    last = np.clip(np.ceil(edges[:, 3]), 0, shape[0]).astype(int)  # half-open: the lower end's row belongs to the next edge
    rows, columns = _crossings(edges, first, last - first, on_centre)
    columns = np.clip(np.ceil(columns), 0, shape[1]).astype(int)
    counts = np.bincount(rows * (shape[1] + 1) + columns, minlength=shape[0] * (shape[1] + 1))
    flips = (counts & 1).astype(bool).reshape(shape[0], shape[1] + 1)[:, :-1]
    return np.asarray(np.logical_xor.accumulate(flips, axis=1))


def _crossings(edges: Floats, first: npt.NDArray[np.int_], counts: npt.NDArray[np.int_], on_centre: float) -> tuple[npt.NDArray[np.int_], Floats]:
    """Where edges cross `counts` rows each from row `first` on: rows, and x on them."""
    counts = np.maximum(counts, 0)
    which = np.repeat(np.arange(len(edges)), counts)
    rows = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts) + first[which]
    x0, y0, x1, y1 = edges[which].T
    height = np.where(y1 > y0, y1 - y0, 1.0)
    return rows, _snapped(x0 + (rows - y0) * (x1 - x0) / height, on_centre)


def _centres_on(edges: Floats, shape: tuple[int, int], on_centre: float) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]:
    """Rows and columns of the voxel centres that lie on an edge."""
    level = edges[:, 1] == edges[:, 3]
    sloped, flat = edges[~level], edges[level]
    first = np.clip(np.ceil(sloped[:, 1]), 0, shape[0]).astype(int)
    last = np.clip(np.floor(sloped[:, 3]) + 1, 0, shape[0]).astype(int)
    rows, x = _crossings(sloped, first, last - first, on_centre)
    on = x == np.round(x)
    rows, columns = rows[on], x[on].astype(int)
    flat = flat[flat[:, 1] == np.round(flat[:, 1])]
    counts = np.maximum(np.floor(flat[:, 2]) - np.ceil(flat[:, 0]) + 1, 0).astype(int)
    which = np.repeat(np.arange(len(flat)), counts)
    along = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts) + np.ceil(flat[which, 0]).astype(int)
    rows, columns = np.r_[rows, flat[which, 1].astype(int)], np.r_[columns, along]
    within = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    return rows[within], columns[within]
