"""How far elements are from the nearest of others, those that stand in one place left out of the search, which is what takes the time.

Contours drawn on one grid share much of their surface: of a GTV and a good contour of it, half and more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rt4d.geometry import Floats

SAME_PLACE_MM = 1e-9
"""Elements as near as this coincide, and differ by what turning into patient coordinates does to the last digits."""
LEAF = 32
"""Elements that a search tree leaves together; of surfaces this is quickest."""

Bools = npt.NDArray[np.bool_]
Index = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Where elements stand: `there`, arrays z y x, each beginning at an index (z y x) of a lattice; elements are in the order of the arrays."""

    there: tuple[Bools, ...]
    starts: tuple[Index, ...]

    def moved(self, by: Index) -> Cells:
        """The same on a lattice that begins so many cells (z y x) before theirs."""
        z, y, x = by
        return Cells(self.there, tuple((start[0] + z, start[1] + y, start[2] + x) for start in self.starts))


def in_both(cells: Cells, others: Cells) -> tuple[Bools, Bools]:
    """Of either's elements, in their order, which have one of the other's in their cell; these are as many, and in one order."""
    pairs = zip(cells.there, cells.starts, others.there, others.starts, strict=True)
    mine, theirs = zip(*(_in_both(*pair) for pair in pairs), strict=True)
    return np.concatenate(mine), np.concatenate(theirs)


def in_one_place(points: Floats, others: Floats, both: tuple[Bools, Bools]) -> tuple[Bools, Bools]:
    """Of the elements in one cell those that coincide: grids whose voxels have the same numbers may yet lie somewhat apart, or turned."""
    mine, theirs = (np.flatnonzero(each) for each in both)
    same = (np.abs(points[mine] - others[theirs]) <= SAME_PLACE_MM).all(axis=1)
    found = np.zeros(len(points), dtype=bool), np.zeros(len(others), dtype=bool)
    found[0][mine[same]] = found[1][theirs[same]] = True
    return found


def nearest_mm(points: Floats, others: Floats, shared: Bools) -> Floats:
    """How far each point is from the nearest of the others, shape (n,); those known to coincide with one are at distance 0."""
    from scipy.spatial import cKDTree

    distances, rest = np.zeros(len(points)), ~shared
    if rest.any():
        distances[rest] = cKDTree(others, leafsize=LEAF, balanced_tree=False, compact_nodes=False).query(points[rest])[0]
    return distances


def _in_both(there: Bools, start: Index, other: Bools, other_start: Index) -> tuple[Bools, Bools]:
    first = np.maximum(start, other_start)
    size = np.minimum(np.add(start, there.shape), np.add(other_start, other.shape)) - first
    mine, theirs = np.zeros_like(there), np.zeros_like(other)
    if (size > 0).all():
        here, opposite = _window(np.subtract(first, start), size), _window(np.subtract(first, other_start), size)
        mine[here] = theirs[opposite] = there[here] & other[opposite]
    return mine[there], theirs[other]


def _window(start: npt.ArrayLike, size: npt.ArrayLike) -> tuple[slice, ...]:
    return tuple(slice(int(i), int(i) + int(n)) for i, n in zip(np.asarray(start), np.asarray(size), strict=True))
