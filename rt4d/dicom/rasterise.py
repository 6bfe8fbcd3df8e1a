"""From the closed contours of one slice to its voxels: a voxel belongs where its centre lies inside (even-odd).

Contours are in index coordinates x y of the slice, so voxel centres are the integers. A centre *on* a contour belongs, by the half-open
rule, to what lies on its side of greater x and y: polygons that share an edge then share no voxel, and a square drawn along centres does
not grow. By the inclusive rule every centre on a contour belongs, as writers that trace the outermost voxels (OpenCV) mean it.
Instead of all or nothing, `area_fractions` gives the share of each voxel's area that lies inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from rt4d.errors import ContourError
from rt4d.geometry import Floats

Boundary = Literal["half-open", "inclusive"]

ON_CENTRE = 1e-4
"""Of a voxel: a vertex or a crossing this near to a centre is on it, so that float noise never decides."""
ON_TRACED_CENTRE = 0.02
"""Of a voxel: the same where a whole region was traced from centre to centre, in text of two or three decimals."""

MOST_PIECES = 5_000_000
"""Of the edges of one slice, cut where any vertex lies: far more than anybody draws, and half a GiB of them."""
_AT_ONCE = 2_000_000
"""Crossings that are looked at together, so that no contour, however long, takes much memory."""

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int_]


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
        window |= _centres_on(local, window.shape, on_centre)
    return inside


def area_fractions(polygons: Iterable[Floats], shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """The share of each voxel's area inside closed polygons (0 to 1), shape (y, x) as given by `shape`, exact where no two edges cross.

    polygons as for `rasterise`: even-odd, each once. What lies beyond the slice is cut off; one or two points have no area.
    Edges are cut at every vertex's height and at voxel borders, so that between two cuts they bound trapezoids, which alternate left to
    right. Raises ContourError where that is too many pieces.
    """
    edges = _edges(polygons, 0.0)
    edges = edges[edges[:, 1] < edges[:, 3]]
    borders = np.arange(shape[0] + 1) - 0.5
    levels = np.unique(np.r_[borders, np.clip(edges[:, [1, 3]].ravel(), borders[0], borders[-1])])
    first, last = np.searchsorted(levels, np.clip(edges[:, [1, 3]], levels[0], levels[-1])).T
    if int((last - first).sum()) > MOST_PIECES:
        raise ContourError("The contours of a slice are too intricate", expected=f"at most {MOST_PIECES} pieces", found=f"{(last - first).sum()}")
    band, left, right = _pieces(edges, levels, first, last - first)
    height = np.diff(levels)[band]
    row = np.floor((levels[band] + levels[band + 1]) / 2 + 0.5).astype(int)
    height[1::2] *= -1  # within a band pieces come in pairs, the first of which enters
    return _shares(row, left, right, height, shape)


def _pieces(edges: Floats, levels: Floats, first: Ints, counts: Ints) -> tuple[Ints, Floats, Floats]:
    """The edges cut at `levels`, by band and from left to right: the band, and the least and greatest x."""
    which = np.repeat(np.arange(len(edges)), counts)
    band = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts) + first[which]
    x0, y0, x1, y1 = edges[which].T
    slope = (x1 - x0) / (y1 - y0)
    below, above = x0 + (levels[band] - y0) * slope, x0 + (levels[band + 1] - y0) * slope
    order = np.lexsort([below + above, band])
    return band[order], np.minimum(below, above)[order], np.maximum(below, above)[order]


def _shares(row: Ints, left: Floats, right: Floats, height: Floats, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """The sum of what lies to the right of each piece of edge, `height` times, in each voxel."""
    width = shape[1]
    start, end = (np.clip(np.floor(x + 0.5), -1, width).astype(int) for x in (left, right))
    beyond = np.bincount(row * (width + 1) + np.clip(end + 1, 0, width), height, shape[0] * (width + 1)).reshape(shape[0], width + 1)
    counts = end - start + 1
    which = np.repeat(np.arange(len(row)), counts)
    column = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts) + start[which]
    within = (column >= 0) & (column < width)
    which, column = which[within], column[within]
    near, far = column + 0.5 - left[which], column + 0.5 - right[which]
    steep = near - far < 1e-9
    share = np.where(steep, np.clip(near, 0, 1), (_ramp(near) - _ramp(far)) / np.where(steep, 1.0, near - far))
    within_pieces = np.bincount(row[which] * width + column, share * height[which], shape[0] * width).reshape(shape)
    return np.clip(within_pieces + np.cumsum(beyond[:, :-1], axis=1), 0, 1).astype(np.float32)


def _ramp(at: Floats) -> Floats:
    """The integral, up to `at`, of a function that rises from 0 to 1 between 0 and 1."""
    return np.asarray(np.where(at > 1, at - 0.5, np.clip(at, 0, 1) ** 2 / 2))


def is_traced(polygons: Sequence[Floats], *, by_known_tracer: bool = False) -> bool:
    """Whether a region's contours, all of them together, run from voxel centre to voxel centre as a mask's outermost voxels do.

    Every vertex lies on a centre, and something tells the trace from a box that was drawn along centres: a step aside (a tracer cuts
    inner corners and climbs slopes diagonally), a contour of one or two points, or a writer known to trace.
    """
    if not runs_through_centres(polygons):
        return False
    if by_known_tracer or any(len(points) < 3 for points in polygons):
        return True
    steps = (np.abs(np.round(points) - np.round(np.roll(points, -1, axis=0))) for points in polygons)
    return any(bool(np.any((step > 0).all(axis=1))) for step in steps)


def runs_through_centres(polygons: Sequence[Floats]) -> bool:
    """Whether every vertex of a region's contours lies on a voxel centre."""
    return bool(polygons) and all(np.abs(points - np.round(points)).max() <= ON_TRACED_CENTRE for points in polygons)


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
    flips = np.zeros((shape[0], shape[1] + 1), dtype=bool)
    for part in _parts(last - first):
        rows, columns = _crossings(edges[part], first[part], (last - first)[part], on_centre)
        columns = np.clip(np.ceil(columns), 0, shape[1]).astype(int)
        counts = np.bincount(rows * (shape[1] + 1) + columns, minlength=flips.size)
        flips ^= (counts & 1).astype(bool).reshape(flips.shape)
    return np.asarray(np.logical_xor.accumulate(flips[:, :-1], axis=1))


def _parts(counts: Ints) -> Iterator[slice]:
    """Consecutive parts of a list of edges, each with about as many crossings as are looked at together."""
    total = np.cumsum(np.maximum(counts, 0))
    cuts = np.searchsorted(total, np.arange(_AT_ONCE, total[-1] if len(total) else 0, _AT_ONCE)).tolist()
    for start, end in zip([0, *cuts], [*cuts, len(counts)], strict=True):
        yield slice(start, end)


def _crossings(edges: Floats, first: Ints, counts: Ints, on_centre: float) -> tuple[Ints, Floats]:
    """Where edges cross `counts` rows each from row `first` on: rows, and x on them."""
    counts = np.maximum(counts, 0)
    which = np.repeat(np.arange(len(edges)), counts)
    rows = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts) + first[which]
    x0, y0, x1, y1 = edges[which].T
    height = np.where(y1 > y0, y1 - y0, 1.0)
    return rows, _snapped(x0 + (rows - y0) * (x1 - x0) / height, on_centre)


def _centres_on(edges: Floats, shape: tuple[int, int], on_centre: float) -> Bools:
    """The voxels whose centres lie on an edge."""
    on = np.zeros(shape, dtype=bool)
    level = edges[:, 1] == edges[:, 3]
    sloped, flat = edges[~level], edges[level]
    first = np.clip(np.ceil(sloped[:, 1]), 0, shape[0]).astype(int)
    last = np.clip(np.floor(sloped[:, 3]) + 1, 0, shape[0]).astype(int)
    for part in _parts(last - first):
        rows, x = _crossings(sloped[part], first[part], (last - first)[part], on_centre)
        hit = (x == np.round(x)) & (x >= 0) & (x < shape[1])
        on[rows[hit], x[hit].astype(int)] = True
    flat = flat[(flat[:, 1] == np.round(flat[:, 1])) & (flat[:, 1] >= 0) & (flat[:, 1] < shape[0])]
    start, end = np.clip(np.ceil(flat[:, 0]), 0, shape[1]).astype(int), np.clip(np.floor(flat[:, 2]), -1, shape[1] - 1).astype(int)
    for y, x0, x1 in zip(flat[:, 1].astype(int).tolist(), start.tolist(), end.tolist(), strict=True):
        on[y, x0 : x1 + 1] = True
    return on
