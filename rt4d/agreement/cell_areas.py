"""How much surface passes between eight neighbouring voxel centres, for each of the 256 ways in which they can lie inside and outside.

The surface cuts each edge between an inside and an outside centre half-way. Within a cell it is made of polygons through these points.
What is left open by that is chosen so that areas are those of DeepMind's surface-distance (Nikolov et al. 2018), of which a test
asks it for every code and spacing:

- on a face with two inside corners across from one another the surface keeps apart whichever kind, inside or outside, has the fewer
  corners in the cell (inside where both have four);
- a polygon whose points lie in no plane (three corners in an L, four in a bent line) is cut into the triangles that together have the
  largest area in a cubic cell.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np
import numpy.typing as npt

from rt4d.geometry import Floats

CORNERS = np.array([(i & 1, i >> 1 & 1, i >> 2) for i in range(8)], dtype=float)
"""x y z of each corner; bit i of a code says whether corner i is inside."""
EMPTY, FULL = 0, 255

Edge = tuple[int, int]
Triangles = list[tuple[int, int, int]]

EDGES = tuple((a, b) for a, b in combinations(range(8), 2) if (a ^ b).bit_count() == 1)
FACES = tuple(tuple(i for i in range(8) if i >> axis & 1 == side) for axis in range(3) for side in (0, 1))


def neighbour_codes(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """The code of every cell between eight voxel centres: one fewer than voxels along each axis."""
    along_x = np.asarray(inside, dtype=bool).view(np.uint8)
    pairs = along_x[:, :, :-1] | along_x[:, :, 1:] << 1
    squares = pairs[:, :-1] | pairs[:, 1:] << 2
    return np.asarray(squares[:-1] | squares[1:] << 4)


def cell_areas_mm2(size_mm: npt.ArrayLike) -> Floats:
    """The area of surface in a cell of that size (x y z), by code, shape (256,)."""
    x, y, z = np.asarray(size_mm, dtype=float)
    code, vector = _unit_triangles()
    return np.asarray(np.bincount(code, weights=np.linalg.norm(vector * (y * z, x * z, x * y), axis=1), minlength=256), dtype=float)


@cache
def _unit_triangles() -> tuple[npt.NDArray[np.intp], Floats]:
    """For every triangle of every code: the code, and the vector that stands on it and is as long as its area in a cell of size 1."""
    code, vector = [], []
    for each in range(EMPTY + 1, FULL):
        for polygon in _polygons(each):
            for a, b, c in _widest(polygon):
                code.append(each)
                vector.append(np.cross(polygon[b] - polygon[a], polygon[c] - polygon[a]) / 2)
    return np.array(code), np.array(vector)


def _polygons(code: int) -> list[Floats]:
    """The closed polygons in which the surface cuts the cell's edges, shape (n, 3) each."""
    links: dict[Edge, list[Edge]] = {}
    for a, b in _cuts(code):
        links.setdefault(a, []).append(b)
        links.setdefault(b, []).append(a)
    found = []
    while links:
        edge, (follower, _) = next(iter(links.items()))
        way = [edge]
        while follower != way[0]:
            way.append(follower)
            follower = next(one for one in links[follower] if one != way[-2])
        for each in way:
            del links[each]
        found.append(np.array([(CORNERS[a] + CORNERS[b]) / 2 for a, b in way]))
    return found


def _cuts(code: int) -> list[tuple[Edge, Edge]]:
    """The lines in which the surface cuts the cell's faces, each from edge to edge."""
    apart = code.bit_count() <= len(CORNERS) // 2
    cuts = []
    for face in FACES:
        crossed = [(a, b) for a, b in EDGES if a in face and b in face and (code >> a ^ code >> b) & 1]
        if len(crossed) == 2:
            cuts.append((crossed[0], crossed[1]))
        elif crossed:
            for corner in (i for i in face if bool(code >> i & 1) == apart):
                one, other = (edge for edge in crossed if corner in edge)
                cuts.append((one, other))
    return cuts


def _widest(polygon: Floats) -> Triangles:
    """The triangulation of the largest area."""
    a, b, c = np.array(list(combinations(range(len(polygon)), 3))).T
    doubled = np.linalg.norm(np.cross(polygon[b] - polygon[a], polygon[c] - polygon[a]), axis=1)
    area = dict(zip(zip(a.tolist(), b.tolist(), c.tolist(), strict=True), doubled.tolist(), strict=True))
    return max(_triangulations(0, len(polygon) - 1), key=lambda triangles: sum(area[each] for each in triangles))


def _triangulations(first: int, last: int) -> list[Triangles]:
    """All ways to cut the polygon with corners first … last into triangles."""
    if last - first < 2:
        return [[]]
    return [
        [*left, (first, corner, last), *right]
        for corner in range(first + 1, last)
        for left in _triangulations(first, corner)
        for right in _triangulations(corner, last)
    ]
