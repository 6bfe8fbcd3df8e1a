"""Trees of vessels and airways: grown through an organ from a seed, and drawn into a raster as tapered tubes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rt4d.geometry import Floats, Geometry
from rt4d.phantom.soft import cover

Inside = Callable[[Floats], npt.NDArray[np.bool_]]


@dataclass(frozen=True, slots=True, eq=False)
class Tubes:
    """Straight pieces from start to end, shape (n, 3), with a radius at either end, shape (n,); all in mm."""

    start_mm: Floats
    end_mm: Floats
    start_radius_mm: Floats
    end_radius_mm: Floats

    def __add__(self, other: Tubes) -> Tubes:
        mine, others = ((t.start_mm, t.end_mm, t.start_radius_mm, t.end_radius_mm) for t in (self, other))
        return Tubes(*(np.concatenate(pair) for pair in zip(mine, others, strict=True)))

    def thicker_than(self, radius_mm: float) -> Tubes:
        """Only the pieces that begin wider than that."""
        keep = self.start_radius_mm > radius_mm
        return Tubes(self.start_mm[keep], self.end_mm[keep], self.start_radius_mm[keep], self.end_radius_mm[keep])


def tubes(pieces: Sequence[tuple[Sequence[float], Sequence[float], float, float]]) -> Tubes:
    """Tubes told one by one: start, end, radius at start, radius at end."""
    start, end, r0, r1 = (np.array(column, dtype=float) for column in zip(*pieces, strict=True))
    return Tubes(start, end, r0, r1)


def grow(root_mm: Sequence[float], inside: Inside, box_mm: tuple[Floats, Floats], *, ends: int, tip_mm: float, trunk_mm: float, seed: int) -> Tubes:
    """A tree from a root to `ends` points spread through an organ: each joins where way to it and way from the root are short together.

    (Cuntz et al., PLoS Comput Biol 6 (2010) e1000877; balance 0.35.) Radii follow Murray's law: the cubes of the branches add up.
    """
    points = np.vstack([np.array(root_mm, dtype=float), _spread(inside, box_mm, ends, seed)])
    parent, way = np.full(len(points), -1), np.zeros(len(points))
    nearest = np.zeros(len(points), dtype=int)
    cost = np.full(len(points), np.inf)
    joined = np.zeros(len(points), dtype=bool)
    new = 0
    for _ in range(len(points) - 1):
        joined[new] = True
        length = np.linalg.norm(points - points[new], axis=1)
        trial = length + 0.35 * (way[new] + length)
        closer = (trial < cost) & ~joined
        cost[closer], nearest[closer] = trial[closer], new
        new = int(np.where(joined, np.inf, cost).argmin())
        parent[new] = nearest[new]
        way[new] = way[parent[new]] + np.linalg.norm(points[new] - points[parent[new]])
    radius = _murray(parent, way, tip_mm, trunk_mm)
    child = np.flatnonzero(parent >= 0)
    return Tubes(points[parent[child]], points[child], np.minimum(radius[parent[child]], 1.25 * radius[child]), radius[child])


def _spread(inside: Inside, box_mm: tuple[Floats, Floats], n: int, seed: int) -> Floats:
    """n points inside, none close to another: of many random ones, always that farthest from those taken."""
    random = np.random.default_rng([seed, 21])
    many = random.uniform(*box_mm, size=(40 * n, 3))
    many = many[inside(many)][: 8 * n]
    taken = [0]
    far = np.linalg.norm(many - many[0], axis=1)
    while len(taken) < min(n, len(many)):
        taken.append(int((far * random.uniform(0.7, 1.0, size=len(many))).argmax()))
        far = np.minimum(far, np.linalg.norm(many - many[taken[-1]], axis=1))
    return np.asarray(many[taken])


def _murray(parent: npt.NDArray[np.int_], way: Floats, tip_mm: float, trunk_mm: float) -> Floats:
    """Radii from the tips back to the root, stretched so that the trunk is as wide as asked."""
    leaves = np.ones(len(parent))
    for i in np.argsort(-way):
        if parent[i] >= 0:
            leaves[parent[i]] += leaves[i]
    exponent = np.log(trunk_mm / tip_mm) / np.log(leaves.max())
    return np.asarray(tip_mm * leaves**exponent)


def draw(share: npt.NDArray[np.float32], geometry: Geometry, what: Tubes, *, wider_mm: float = 0.0) -> None:
    """Raise `share` (z y x, 0 to 1) on an even grid to how much of each voxel the tubes cover, made wider by a wall. In place."""
    spacing = np.array(geometry.spacing_mm)
    width = float(spacing.mean())
    starts, ends = ((points - geometry.origin_mm) @ geometry.matrix for points in (what.start_mm, what.end_mm))
    first_radius, last_radius = what.start_radius_mm + wider_mm, what.end_radius_mm + wider_mm
    reach = np.maximum(first_radius, last_radius)[:, None] + 1.5 * width
    first = np.maximum(np.floor((np.minimum(starts, ends) - reach) / spacing), 0).astype(int)
    last = np.minimum(np.ceil((np.maximum(starts, ends) + reach) / spacing) + 1, geometry.size).astype(int)
    for i in np.flatnonzero((first < last).all(axis=1)):
        axes = [np.arange(a, b) * step for a, b, step in zip(first[i], last[i], spacing, strict=True)]
        from_start = [v.astype(np.float32) - s for v, s in zip(np.ix_(axes[2], axes[1], axes[0]), starts[i, ::-1].astype(np.float32), strict=True)]
        run = (ends[i] - starts[i])[::-1].astype(np.float32)
        along = np.clip(sum(v * r for v, r in zip(from_start, run, strict=True)) / np.maximum(run @ run, 1e-9), 0, 1)
        radius = first_radius[i] + (last_radius[i] - first_radius[i]) * along
        distance = np.sqrt(sum((v - along * r) ** 2 for v, r in zip(from_start, run, strict=True))) - radius
        # A tube thinner than a voxel covers only its share of it.
        found = cover(distance, width) * np.minimum(1.0, np.pi / 2 * radius / width)
        (x, y, z), (x1, y1, z1) = first[i], last[i]
        part = share[z:z1, y:y1, x:x1]
        np.maximum(part, found, out=part)
