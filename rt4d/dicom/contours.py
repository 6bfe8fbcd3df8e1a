"""From the voxels of a mask to closed contours that run between the centres inside and their neighbours outside.

Marching squares (Lorensen and Cline 1987, in the plane) says between which centres a contour passes; `corridor` then draws the line through.
Voxels that touch at a corner only are kept apart, so that no contour meets itself or another.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rt4d.dicom.corridor import Corridor, Ints, drawn, outlines
from rt4d.geometry import Floats

# A cell is the square between four centres; its sides are numbered 0 top, 1 right, 2 bottom, 3 left. For each pattern of inside corners
# (1 top left, 2 top right, 4 bottom right, 8 bottom left) the steps from side to side, inside on the left as x runs right and y down.
_STEPS = {
    1: ((0, 3),),
    2: ((1, 0),),
    3: ((1, 3),),
    4: ((2, 1),),
    5: ((0, 3), (2, 1)),
    6: ((2, 0),),
    7: ((2, 3),),
    8: ((3, 2),),
    9: ((0, 2),),
    10: ((1, 0), (3, 2)),
    11: ((1, 2),),
    12: ((3, 1),),
    13: ((0, 1),),
    14: ((3, 0),),
}

AT_ONCE = 2**20
"""So many voxels are contoured at once: few calls for many slices, and no more than some 400 MB for any mask."""


def contours_by_slice(inside: npt.NDArray[np.bool_], *, smooth: bool = True) -> list[tuple[int, Floats]]:
    """The closed contours of a mask, bool (z, y, x), each with its slice number, in the order of the slices; an empty slice has none.

    Each is (n, 2), x y index coordinates, n ≥ 3, the first point not repeated. Outer contours and holes are each a contour of their own,
    running opposite ways; filled even-odd they give back exactly these voxels. Not smooth: the outlines of the voxels themselves.
    """
    slices = np.flatnonzero(np.any(inside, axis=(1, 2)))
    if not slices.size:
        return []
    first, last = int(slices[0]), int(slices[-1]) + 1
    shadow = np.asarray(np.any(inside[first:last], axis=0))
    rows, columns = np.flatnonzero(np.any(shadow, axis=1)), np.flatnonzero(np.any(shadow, axis=0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    at_once = max(1, AT_ONCE // ((bottom - top) * (right - left)))
    found = []
    for z in range(first, last, at_once):
        window = np.pad(inside[z : min(z + at_once, last), top:bottom, left:right].view(np.uint8), ((0, 0), (1, 1), (1, 1)))
        found += [(z + n, points) for n, points in _drawn(window, corner=(left - 1, top - 1), shape=inside.shape[1:], smooth=smooth)]
    return found


def _drawn(window: npt.NDArray[np.uint8], *, corner: tuple[int, int], shape: tuple[int, ...], smooth: bool) -> list[tuple[int, Floats]]:
    """The contours of a window that begins at `corner`, x y, of an image, each with its slice in the window."""
    crossings, successor = _crossings(window)
    if not crossings.size:
        return []
    order, starts = _loops(successor)
    corridor, z = _corridor(window, crossings[order], starts, corner=corner, shape=shape)
    return list(zip(z[starts].tolist(), drawn(corridor) if smooth else outlines(corridor), strict=True))


def _crossings(window: npt.NDArray[np.uint8]) -> tuple[Ints, Ints]:
    """The neighbours between which contours pass, and for each the place in this list of the one that follows it.

    A pair is numbered 2c where centre c (counted through the padded window) and the next along x differ, 2c + 1 where along y.
    """
    width, flat = window.shape[2], window.ravel()
    n = len(flat) - width - 1  # the padding keeps cells that reach round the end of a row or slice empty
    pattern = flat[:n] | flat[1 : n + 1] << 1 | flat[width + 1 :] << 2 | flat[width : n + width] << 3
    cell = np.flatnonzero(pattern - np.uint8(1) < np.uint8(14))  # neither 0 nor 15
    pattern = pattern[cell]
    starts, ends = [], []
    for value, steps in _STEPS.items():
        at = cell[pattern == value]
        sides = (2 * at, 2 * (at + 1) + 1, 2 * (at + width), 2 * at + 1)
        for start, end in steps:
            starts.append(sides[start])
            ends.append(sides[end])
    begin, finish = np.concatenate(starts), np.concatenate(ends)
    order = np.argsort(begin)
    begin = begin[order]
    return begin, np.searchsorted(begin, finish[order])


def _loops(successor: Ints) -> tuple[Ints, Ints]:
    """The cycles of a permutation one after the other as they are met on the way round, and where each begins."""
    following = successor.tolist()
    seen = bytearray(len(following))
    order: list[int] = []
    starts = []
    for first in range(len(following)):
        if seen[first]:
            continue
        starts.append(len(order))
        here = first
        while not seen[here]:
            seen[here] = 1
            order.append(here)
            here = following[here]
    return np.array(order), np.array(starts)


def _corridor(
    window: npt.NDArray[np.uint8], crossings: Ints, starts: Ints, *, corner: tuple[int, int], shape: tuple[int, ...]
) -> tuple[Corridor, Ints]:
    """The corridor along crossings that are in the order of their loops, and the slice of each; the window begins at `corner`, x y, of the image."""
    first, upright = crossings >> 1, crossings & 1
    second = first + np.where(upright, window.shape[2], 1)
    outward = np.where(window.ravel()[first] != 0, 1, -1)
    z, y, x = np.unravel_index(np.where(outward > 0, first, second), window.shape)
    x, y, step_x, step_y = x + corner[0], y + corner[1], outward * (1 - upright), outward * upright
    beyond = (x + step_x < 0) | (y + step_y < 0) | (x + step_x >= shape[1]) | (y + step_y >= shape[0])
    end = np.where(beyond, 0.5, 1.0)
    return Corridor(x.astype(float), y.astype(float), step_x.astype(float), step_y.astype(float), end, starts), z
