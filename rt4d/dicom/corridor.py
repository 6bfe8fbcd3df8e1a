"""The line of a contour through the free corridor between the voxel centres inside and those outside.

A contour crosses, one after the other, the links between a centre inside and its neighbour outside. Where on each link is free: any line
that crosses the same links in the same order bounds the same voxels, and meets neither itself nor another (between two links it runs
straight through one cell, and the two lines that a cell can hold lie on either side of its diagonal). So the line is

1. relaxed: each crossing moves towards the straight line between its neighbours, while the area stays that of the voxels, which turns
   stair steps into slopes and arcs (surface nets: Gibson 1998, in the plane, with the area held);
2. thinned: points that the straight line between their neighbours passes closely enough are left out;
3. widened or narrowed by the little that this cost, so that it encloses the area of its voxels.

Where the outline of the voxels themselves takes a third fewer points, or four (a box, a single voxel), it is drawn instead; so it is where
the smooth line has no room for the area (voxels in a row, corner to corner).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rt4d.geometry import Floats

CLEARANCE = 0.08
"""Of a link, at its either end, that no contour touches: none comes nearer to a centre than 0.08 / √2 = 0.056 voxels."""
THINNED_CLEARANCE, RELAXED_CLEARANCE = 0.1, 0.15
"""The same for the steps before, so that each leaves room to the next."""
TOLERANCE = 0.2
"""How far, in voxels, thinning may move the line."""
ROUNDS, WIDENINGS = 16, 4
OUTLINE = 0.495
"""Where on its links the outline of the voxels themselves lies: programs that round points to voxels (rt-utils) then get the voxels inside."""
MOST_MISSED = 0.005
"""Of its area, that a smooth line may miss."""
MOST_TILTED = 0.35
"""Cosine of the angle between a link and the contour's normal below which moving along the link stands for no more."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Corridor:
    """Links in the order in which closed contours cross them, contour after contour; contour n begins at place starts[n].

    x, y: the centre inside, in index coordinates; step_x, step_y: from it to the neighbour outside, a unit step along one axis.
    end: where on the link the room ends: 1 at the centre outside, less at the edge of the image, which no contour leaves.
    """

    x: Floats
    y: Floats
    step_x: Floats
    step_y: Floats
    end: Floats
    starts: Ints

    def __len__(self) -> int:
        return len(self.x)

    def at(self, place: Floats) -> tuple[Floats, Floats]:
        """x and y of crossings at `place` along their links (0 the centre inside, 1 the one outside)."""
        return self.x + place * self.step_x, self.y + place * self.step_y

    def thinned(self, kept: Ints) -> Corridor:
        """The corridor of these links only; each contour's first is among them."""
        return Corridor(self.x[kept], self.y[kept], self.step_x[kept], self.step_y[kept], self.end[kept], np.searchsorted(kept, self.starts))


def drawn(corridor: Corridor) -> list[Floats]:
    """One polygon for each contour of the corridor, (n, 2), x y; smooth, of few points, enclosing the area of its voxels."""
    middle = np.full(len(corridor), 0.5)
    doubled = _doubled_areas(*corridor.at(middle), corridor)
    wanted = doubled + np.sign(doubled)  # through the middles a contour lacks four corners of an eighth of a voxel each
    relaxed = _relaxed(corridor, middle, wanted)
    kept = _thinned(corridor, relaxed)
    points = corridor.thinned(kept)
    x, y = points.at(_of_area(corridor, relaxed, kept, wanted))
    misses = np.abs(_doubled_areas(x, y, points) - wanted) > MOST_MISSED * np.abs(wanted)
    smooth = np.split(np.column_stack([x, y]), points.starts[1:])
    chosen = zip(outlines(corridor), smooth, misses.tolist(), strict=True)
    return [outline if missed or len(outline) == 4 or 3 * len(outline) <= 2 * len(line) else line for outline, line, missed in chosen]


def outlines(corridor: Corridor) -> list[Floats]:
    """The outlines of the voxels themselves, a hair inside: along x and y with right angles, where one link along x and one along y meet."""
    _, after = _neighbours(corridor)
    x, y = corridor.at(np.full(len(corridor), OUTLINE))
    along_x = corridor.step_x != 0
    turns = np.flatnonzero(along_x != along_x[after])
    corners = np.column_stack([np.where(along_x, x, x[after]), np.where(along_x, y[after], y)])[turns]
    return np.split(corners, np.searchsorted(turns, corridor.starts[1:]))


def _neighbours(corridor: Corridor) -> tuple[Ints, Ints]:
    """For each crossing the places of the one before and the one after it on its contour."""
    places = np.arange(len(corridor))
    before, after = places - 1, places + 1
    last = np.r_[corridor.starts[1:], len(corridor)] - 1
    before[corridor.starts], after[last] = last, corridor.starts
    return before, after


def _doubled_areas(x: Floats, y: Floats, corridor: Corridor) -> Floats:
    """Twice the signed area of each contour: positive around voxels, negative around a hole."""
    _, after = _neighbours(corridor)
    return np.asarray(np.add.reduceat(x * y[after] - x[after] * y, corridor.starts))


def _relaxed(corridor: Corridor, place: Floats, wanted: Floats) -> Floats:
    """The crossings after ROUNDS steps, in each half-way to the line between their neighbours and outward by what the area lacks."""
    before, after = _neighbours(corridor)
    for _ in range(ROUNDS):
        x, y = corridor.at(place)
        dx, dy = x[after] - x[before], y[after] - y[before]
        across = corridor.step_x * dy - corridor.step_y * dx  # never near 0 between neighbours that keep their clearance
        straight = ((x[before] - corridor.x) * dy - (y[before] - corridor.y) * dx) / across
        lack = wanted - np.add.reduceat(x * y[after] - x[after] * y, corridor.starts)
        widening = _widening(corridor, across, np.hypot(dx, dy), lack)
        place = np.clip((place + straight) / 2 + widening, RELAXED_CLEARANCE, np.minimum(corridor.end, 1 - RELAXED_CLEARANCE))
    return place


def _widening(corridor: Corridor, across: Floats, chord: Floats, lack: Floats) -> Floats:
    """How far along its link each crossing moves, all of a contour by the same along its normal, to gain twice the area that it lacks.

    across: what twice the area gains as the crossing moves along its link; chord: the distance between its neighbours.
    """
    tilt = np.maximum(across / chord, MOST_TILTED)
    gain = np.maximum(np.add.reduceat(across / tilt, corridor.starts), 1.0)
    return np.repeat(lack / gain, np.diff(np.r_[corridor.starts, len(corridor)])) / tilt


def _thinned(corridor: Corridor, place: Floats) -> Ints:
    """The crossings that remain as points, where between any two the straight line passes within TOLERANCE of the crossings left out.

    In each round those go of which no neighbour could go more cheaply, so that none of two neighbours goes at once. Each contour's first
    stays.
    """
    ends = np.r_[corridor.starts, len(corridor)]
    closing = np.arange(len(corridor) + 1)
    closing[ends[1:]] = corridor.starts  # where one contour ends it closes, and the next begins
    tie = 1e-6 * (np.arange(len(corridor)) * 40503 % 65536) / 65536  # along a straight line neither all go at once nor one by one
    points, cost = corridor.at(place), np.full(len(corridor) + 1, np.inf)
    kept = np.arange(len(corridor) + 1)
    changed = np.delete(kept, ends)
    while changed.size:
        where = np.searchsorted(kept, changed)
        cost[changed] = tie[changed] + _costs(corridor, place, points, (kept[where - 1], kept[where + 1]), closing)
        now = cost[kept]
        goes = 1 + np.flatnonzero((now[1:-1] < TOLERANCE) & (now[1:-1] < now[:-2]) & (now[1:-1] < now[2:]))
        beside = np.zeros(len(cost), dtype=bool)
        beside[kept[goes - 1]] = beside[kept[goes + 1]] = True
        beside[ends] = False
        changed, kept = np.flatnonzero(beside), np.delete(kept, goes)
    return kept[:-1]


def _costs(corridor: Corridor, place: Floats, points: tuple[Floats, Floats], spans: tuple[Ints, Ints], closing: Ints) -> Floats:
    """How far the line would move at most were it straight along each span; infinite where it would leave the corridor."""
    begin, end = spans
    lengths = end - begin - 1
    first = np.cumsum(lengths) - lengths
    links = np.arange(first[-1] + lengths[-1]) + np.repeat(begin + 1 - first, lengths)
    straight, tilt = _straight(corridor, points, links, np.repeat(begin, lengths), np.repeat(closing[end], lengths))
    fits = (straight > THINNED_CLEARANCE) & (straight < np.minimum(corridor.end[links], 1 - THINNED_CLEARANCE) + 1e-9)
    moved = np.where(fits, np.abs(np.where(fits, straight, 0) - place[links]) * tilt, np.inf)
    return np.asarray(np.maximum.reduceat(moved, first))


def _segments(corridor: Corridor, kept: Ints) -> tuple[Ints, Ints]:
    """For each link the number of the kept point at or before it; for each kept point the place of the one after it on its contour."""
    segment = np.repeat(np.arange(len(kept)), np.diff(np.r_[kept, len(corridor)]))
    after = np.r_[kept[1:], kept[0]]
    after[segment[np.r_[corridor.starts[1:], len(corridor)] - 1]] = corridor.starts
    return segment, after


def _straight(corridor: Corridor, points: tuple[Floats, Floats], links: Ints, start: Ints, end: Ints) -> tuple[Floats, Floats]:
    """Where straight lines from points `start` to points `end` cross these links, and the cosine between each link and the line's normal.

    Infinite where a line does not cross its link with the inside on the same hand.
    """
    x, y = points
    x0, y0 = x[start], y[start]
    dx, dy = x[end] - x0, y[end] - y0
    across = corridor.step_x[links] * dy - corridor.step_y[links] * dx
    crosses = across > 1e-9
    along = (x0 - corridor.x[links]) * dy - (y0 - corridor.y[links]) * dx
    return np.where(crosses, along / np.where(crosses, across, 1.0), np.inf), across / np.maximum(np.hypot(dx, dy), 1e-9)


def _of_area(corridor: Corridor, place: Floats, kept: Ints, wanted: Floats) -> Floats:
    """The places of the kept points, moved so that each contour encloses twice the area wanted, as far as its clearance lets it."""
    points = corridor.thinned(kept)
    before, after = _neighbours(points)
    now = place[kept]
    for _ in range(WIDENINGS):
        x, y = points.at(now)
        dx, dy = x[after] - x[before], y[after] - y[before]
        lack = wanted - np.add.reduceat(x * y[after] - x[after] * y, points.starts)
        widening = _widening(points, points.step_x * dy - points.step_y * dx, np.hypot(dx, dy), lack)
        moved = np.clip(now + widening, CLEARANCE, np.minimum(points.end, 1 - CLEARANCE))
        while (tight := _tight(corridor, points, moved, kept) & (moved != now)).any():
            moved[tight] = now[tight]
        now = moved
    return now


def _tight(corridor: Corridor, points: Corridor, now: Floats, kept: Ints) -> npt.NDArray[np.bool_]:
    """Which kept points are an end of a straight line that does not keep its clearance on every link."""
    place = np.zeros(len(corridor))
    place[kept] = now
    segment, after = _segments(corridor, kept)
    crossing, _ = _straight(corridor, corridor.at(place), np.arange(len(corridor)), kept[segment], after[segment])
    crossing[kept] = now
    outside = (crossing < CLEARANCE) | (crossing > np.minimum(corridor.end, 1 - CLEARANCE) + 1e-9)
    lines = np.logical_or.reduceat(outside, kept)
    before, _ = _neighbours(points)
    return np.asarray(lines | lines[before])
