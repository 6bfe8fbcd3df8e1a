"""Edges and steps that are not sharp: how much of a voxel lies inside, and smooth weights between 0 and 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def step(t: Array | float) -> Array:
    """0 below t = 0, 1 above t = 1, smooth between (3t² − 2t³; slope at most 1.5)."""
    t = np.clip(t, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def cover(distance_mm: Array, width_mm: float) -> Array:
    """The share of a voxel `width_mm` wide that lies inside a surface at that signed distance (negative inside)."""
    return np.clip(0.5 - distance_mm / width_mm, 0, 1)


def paint(hu: Array, value: Array | float, share: Array) -> None:
    """Put a material of `value` HU over what is there, as far as it covers each voxel. In place."""
    hu += share * (value - hu)
