"""From the voxels of one slice to closed contours that run half-way between the centres inside and their neighbours outside.

Marching squares with every crossing at the middle (Lorensen and Cline 1987, in the plane). Voxels that touch at a corner only are kept
apart, so that no contour meets itself or another. No contour comes nearer than a third of a voxel to a centre, so that coordinates
may be rounded without changing which centres lie inside.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

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


def contours(inside: npt.NDArray[np.bool_]) -> list[Floats]:
    """The closed contours of one slice, given as bool (y, x): each (n, 2), x y index coordinates, n ≥ 4, the first point not repeated.

    Outer contours and holes are each a contour of their own, running opposite ways; filled even-odd they give back exactly these voxels.
    Points between which a contour runs straight are left out. An empty slice has none.
    """
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not rows.size:
        return []
    top, left = int(rows[0]), int(columns[0])
    window = np.pad(inside[top : rows[-1] + 1, left : columns[-1] + 1], 1)
    successor, points = _links(window)
    points += np.array([left - 1, top - 1])
    return [_corners(points[loop]) for loop in _loops(successor)]


def _links(window: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], Floats]:
    """For each crossing the number of the one that follows it, and where crossings lie, shape (n, 2), x y."""
    width = window.shape[1]
    corners = window.astype(np.uint8)
    pattern = (corners[:-1, :-1] | corners[:-1, 1:] << 1 | corners[1:, 1:] << 2 | corners[1:, :-1] << 3).ravel()
    crossed = np.flatnonzero((pattern > 0) & (pattern < 15))
    pattern, cell = pattern[crossed], crossed + crossed // (width - 1)  # numbered as the centre at their top left
    starts, ends = [], []
    for value, steps in _STEPS.items():
        at = cell[pattern == value]
        sides = (2 * at, 2 * (at + 1) + 1, 2 * (at + width), 2 * at + 1)
        for start, end in steps:
            starts.append(sides[start])
            ends.append(sides[end])
    begin, finish = np.concatenate(starts), np.concatenate(ends)
    order = np.argsort(begin)
    begin, finish = begin[order], finish[order]
    upright = begin & 1  # even: between two centres along x; odd: along y
    y, x = np.divmod(begin >> 1, width)
    return np.searchsorted(begin, finish), np.stack([x + 0.5 * (1 - upright), y + 0.5 * upright], axis=1)


def _loops(successor: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """The cycles of a permutation, each as the numbers met on the way round."""
    following = successor.tolist()
    seen = bytearray(len(following))
    loops = []
    for first in range(len(following)):
        if seen[first]:
            continue
        loop, here = [], first
        while not seen[here]:
            seen[here] = 1
            loop.append(here)
            here = following[here]
        loops.append(np.array(loop))
    return loops


def _corners(points: Floats) -> Floats:
    """The points at which a closed polygon turns."""
    step = np.roll(points, -1, axis=0) - points
    before = np.roll(step, 1, axis=0)
    turns = step[:, 0] * before[:, 1] != step[:, 1] * before[:, 0]
    return np.asarray(points[turns])
