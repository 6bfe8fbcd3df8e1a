"""A breathing motion on any CT: three smooth weights, for the ways x, y and z, each a cubic B-spline on coarse nodes along the CT's own axes.

A point y of a phase shows what at the reference lies at y − (sx·Wx(y), sy·Wy(y), sz·Wz(y)); each phase has its three numbers (sx, sy, sz) in mm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rt4d.errors import NotFoundError
from rt4d.geometry import Floats, Geometry, Triple
from rt4d.phantom.breathing import XYZ
from rt4d.phantom.soft import Array


@dataclass(frozen=True, slots=True, eq=False)
class FieldBreathing:
    """weights: spline coefficients for x, y, z, shape (3, z, y, x), on an even grid of nodes wider than the CT. strength: mm, by phase label."""

    weights: Floats
    nodes: Geometry
    strength: Mapping[str, Triple]

    def pull_back(self, label: str, x: Array, y: Array, z: Array) -> XYZ:
        """Where at the reference lies what points of a phase show."""
        numbers = self._numbers(label)
        if not any(numbers):
            return x, y, z
        x, y, z = np.broadcast_arrays(x, y, z)
        points = np.stack([x, y, z], axis=-1).astype(float)
        shares = self.shares(points)
        back = points - shares * numbers
        return back[..., 0], back[..., 1], back[..., 2]

    def shares(self, points_mm: Floats) -> Floats:
        """The three weights at points, shape (..., 3)."""
        index = np.moveaxis(self.nodes.to_index(points_mm)[..., ::-1], -1, 0)
        return np.stack([ndimage.map_coordinates(w, index, order=3, mode="constant", prefilter=False) for w in self.weights], axis=-1)

    def push(self, label: str, points_mm: Floats) -> Floats:
        """The inverse, by Newton's method: where points of the reference, shape (n, 3), lie in a phase."""
        points = np.asarray(points_mm, dtype=float)
        numbers = np.array(self._numbers(label))
        place = points + self.shares(points) * numbers
        for _ in range(40):
            off = place - self.shares(place) * numbers - points
            if np.abs(off).max(initial=0) < 1e-8:
                break
            place = place - np.clip(np.linalg.solve(self._slopes(place, numbers), off[..., None])[..., 0], -15, 15)
        return np.asarray(place)

    def on_grid(self, geometry: Geometry) -> npt.NDArray[np.float32]:
        """The three weights at the voxel centres of a grid with the same axes, shape (3, z, y, x)."""
        along = [_basis(self.nodes, geometry, axis) for axis in (2, 1, 0)]
        return np.stack([np.einsum("zk,kyx->zyx", along[0], (along[1] @ w @ along[2].T).astype(np.float32), optimize=True) for w in self.weights])

    def smallest_jacobian(self) -> float:
        """The smallest determinant of the pull-back's derivative at the nodes, over all phases."""
        along = [np.stack([_slope(w, axis, self.nodes) for axis in range(3)], axis=-1) for w in self.weights]
        slopes = np.stack([each @ self.nodes.matrix.T for each in along], axis=0)
        return min(float(_determinant(slopes, numbers).min()) for numbers in self.strength.values())

    def _slopes(self, points: Floats, numbers: Floats) -> Floats:
        """The pull-back's derivative at points, shape (n, 3, 3), by central differences."""
        ahead, behind = (np.stack([self.shares(points + e) for e in 0.05 * sign * np.eye(3)], axis=-1) for sign in (1, -1))
        return np.asarray(np.eye(3) - numbers[:, None] * (ahead - behind) / 0.1)

    def _numbers(self, label: str) -> Triple:
        if label not in self.strength:
            raise NotFoundError("No phase of that label", expected=f"one of {', '.join(self.strength)}", found=label)
        return self.strength[label]


def _basis(nodes: Geometry, geometry: Geometry, axis: int) -> Floats:
    """How much each node contributes to each voxel along one axis, shape (voxels, nodes)."""
    first = nodes.to_index(geometry.origin_mm)[axis]
    at = first + np.arange(geometry.size[axis]) * geometry.spacing_mm[axis] / nodes.spacing_mm[axis]
    t = np.abs(at[:, None] - np.arange(nodes.size[axis])[None, :])
    return np.asarray(np.where(t < 1, 2 / 3 - t * t * (2 - t) / 2, np.maximum(2 - t, 0) ** 3 / 6))


def _determinant(slopes: Floats, numbers: Triple) -> Floats:
    """Of 1 − diag(numbers)·slopes, slopes being (3, ..., 3): the gradient of each weight."""
    rows = [np.eye(3)[i] - numbers[i] * slopes[i] for i in range(3)]
    return np.asarray((rows[0] * np.cross(rows[1], rows[2])).sum(axis=-1))


def _slope(weights: Floats, axis: int, nodes: Geometry) -> Floats:
    """The exact derivative at the nodes, per mm along index axis x, y or z."""
    side = np.array([1, 4, 1]) / 6
    for other in range(3):
        if other != axis:
            weights = ndimage.correlate1d(weights, side, axis=2 - other, mode="constant")
    return np.asarray(ndimage.correlate1d(weights, np.array([-0.5, 0, 0.5]), axis=2 - axis, mode="constant") / nodes.spacing_mm[axis])
