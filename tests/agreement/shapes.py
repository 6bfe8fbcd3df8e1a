"""Masks whose agreement is known by formula, and blobs that nobody would draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from rt4d.geometry import Geometry
from rt4d.volumes import Mask

FRAME = "1.2.3"
GRID = Geometry((30, 30, 20), (1.0, 1.0, 3.0), (5, 5, 5), frame_of_reference=FRAME)


def box(start: Sequence[int], size: Sequence[int], grid: Geometry = GRID) -> Mask:
    inside = np.zeros(grid.shape, bool)
    inside[tuple(slice(i, i + n) for i, n in zip(start[::-1], size[::-1], strict=True))] = True
    return Mask(inside, grid)


def ball(grid: Geometry, centre: Sequence[float], radius: float) -> Mask:
    return Mask(np.linalg.norm(grid.centres() - np.array(centre), axis=-1) < radius, grid)


def nothing(grid: Geometry = GRID) -> Mask:
    return Mask(np.zeros(grid.shape, bool), grid)


def blob(rng: np.random.Generator, grid: Geometry, *, roughness: float = 1.5, share: float = 0.3) -> Mask:
    """A random region of several pieces, with holes, up to the edges of its grid."""
    noise = ndimage.gaussian_filter(rng.normal(size=grid.shape), roughness)
    return Mask(noise > np.quantile(noise, 1 - share), grid)


def common_of_balls(radius: float, other: float, apart: float) -> float:
    """The volume that two balls have in common (two caps)."""
    if apart >= radius + other:
        return 0.0
    if apart <= abs(radius - other):
        return 4 / 3 * np.pi * min(radius, other) ** 3
    inner = radius + other - apart
    spread = apart**2 + 2 * apart * (radius + other) - 3 * (radius - other) ** 2
    return float(np.pi * inner**2 * spread / (12 * apart))
