"""A displacement field: u on an even grid, x + u(x); looked up between voxels, inverted, and asked for its Jacobian."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rt4d import geometry as grids
from rt4d.errors import GeometryError, InputError
from rt4d.geometry import Floats, Geometry

INVERSE_TOLERANCE_MM = 0.005
INVERSE_STEPS = 60


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DisplacementField:
    """Maps x to x + u(x): `vectors_mm` is u in LPS mm at the voxel centres of `geometry`, float32, shape (z, y, x, 3). Read-only, all finite.

    Nothing is known outside the outermost voxels' edges: points there are refused, not left where they are.
    """

    vectors_mm: npt.NDArray[np.float32]
    geometry: Geometry

    def __post_init__(self) -> None:
        grids.require_even(self.geometry, what="A displacement field")
        if self.vectors_mm.shape != (*self.geometry.shape, 3) or self.vectors_mm.dtype != np.float32:
            expected, found = f"float32 of shape {(*self.geometry.shape, 3)}", f"{self.vectors_mm.dtype} {self.vectors_mm.shape}"
            raise GeometryError("A displacement field needs one vector per voxel", expected=expected, found=found)
        if min(self.geometry.size) < 2:
            raise GeometryError("A displacement field needs two voxels along each axis", found=self.geometry.size)
        if not np.isfinite(self.vectors_mm).all():
            raise InputError("A displacement field must be finite", found="infinite or undefined vectors")
        view = self.vectors_mm.view()
        view.flags.writeable = False
        object.__setattr__(self, "vectors_mm", view)

    def at(self, points_mm: npt.ArrayLike) -> Floats:
        """u at points, shape (..., 3), linear between voxel centres; GeometryError where a point lies outside the field's grid."""
        points = np.asarray(points_mm, dtype=float)
        self._require_inside(points, what="A displacement is asked for where it is not known")
        return self.near(points)

    def map(self, points_mm: npt.ArrayLike) -> Floats:
        """x + u(x), shape (..., 3)."""
        return np.asarray(np.asarray(points_mm, dtype=float) + self.at(points_mm))

    def inverse(self, points_mm: npt.ArrayLike) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
        """For points y: x with x + u(x) = y, shape (..., 3); |x + u(x) - y| in mm, shape (...); and whether x lies within the field's grid.

        Fixed-point steps, x ← y - u(x), which halve the error or better where the motion is no steeper than 0.5 mm per mm; a damped step where
        one made it worse. Beyond its grid the field is taken as at the nearest voxel, for the steps only: such x are told by the third array.
        """
        shape = np.shape(points_mm)
        y = self.geometry.to_index(np.asarray(points_mm, dtype=float).reshape(-1, 3)).T.copy()
        steps = self._by_index()
        x = y - _interpolated(steps, y)
        miss = y - x - _interpolated(steps, x)
        size = self._length_mm(miss)
        damping = np.ones(y.shape[1])
        for _ in range(INVERSE_STEPS):
            active = np.flatnonzero(size > INVERSE_TOLERANCE_MM)
            if not active.size:
                break
            tried = x[:, active] + damping[active] * miss[:, active]
            new_miss = y[:, active] - tried - _interpolated(steps, tried)
            new_size = self._length_mm(new_miss)
            better = new_size < size[active]
            taken = active[better]
            x[:, taken], miss[:, taken], size[taken] = tried[:, better], new_miss[:, better], new_size[better]
            damping[active[~better]] /= 2
        within = np.all((x >= -0.5) & (x <= np.array(self.geometry.size)[:, None] - 0.5), axis=0)
        return self.geometry.to_patient(x.T).reshape(shape), size.reshape(shape[:-1]), within.reshape(shape[:-1])

    def _by_index(self) -> npt.NDArray[np.float32]:
        """u in voxels along x y z, shape (3, z, y, x)."""
        to_voxels = (self.geometry.matrix / self.geometry.spacing_mm).astype(np.float32)
        return np.ascontiguousarray(np.moveaxis(self.vectors_mm @ to_voxels, -1, 0))

    def _length_mm(self, voxels: Floats) -> Floats:
        """The lengths of vectors in voxels, shape (3, n)."""
        return np.asarray(np.sqrt(((voxels * np.array(self.geometry.spacing_mm)[:, None]) ** 2).sum(axis=0)))

    def crop(self, start: Sequence[int], size: Sequence[int]) -> DisplacementField:
        """The part that begins at index `start` (x y z) and has `size` voxels, two along each axis at least; shares memory."""
        (i, n), (j, m), (k, p) = ((a, max(2, b)) for a, b in zip(start, size, strict=True))
        i, j, k = (min(a, whole - b) for a, b, whole in zip((i, j, k), (n, m, p), self.geometry.size, strict=True))
        return DisplacementField(self.vectors_mm[k : k + p, j : j + m, i : i + n], self.geometry.crop((i, j, k), (n, m, p)))

    def jacobian(self) -> npt.NDArray[np.float32]:
        """The determinant of the gradient of x + u(x) at every voxel, shape (z, y, x): volume in the phase per volume here; ≤ 0 is folded."""
        g = self.geometry
        by_index = [np.gradient(self.vectors_mm, g.spacing_mm[axis], axis=2 - axis) for axis in range(3)]
        along_axes = np.stack(by_index, axis=-1)
        gradient = along_axes @ g.matrix.T.astype(np.float32) + np.eye(3, dtype=np.float32)
        return np.asarray(_determinant(gradient), dtype=np.float32)

    def near(self, points: Floats) -> Floats:
        """u at points, shape (..., 3); beyond the grid as at the nearest voxel."""
        index = np.moveaxis(self.geometry.to_index(points), -1, 0)
        return np.moveaxis(_interpolated(np.moveaxis(self.vectors_mm, -1, 0), index), 0, -1)

    def _require_inside(self, points: Floats, *, what: str) -> None:
        inside = self.geometry.contains(points)
        if not inside.all():
            x, y, z = points[~inside][0]
            found = f"({x:.1f}, {y:.1f}, {z:.1f}) mm and {np.count_nonzero(~inside) - 1} more"
            raise GeometryError(what, found=found, do="Register a larger region: take a focus that holds these points, or whole_lung=True")

    def __repr__(self) -> str:
        largest = float(np.linalg.norm(self.vectors_mm, axis=-1).max())
        return f"DisplacementField({'×'.join(str(n) for n in self.geometry.size)}, up to {largest:.1f} mm)"


def _interpolated(parts: npt.NDArray[np.float32], index: Floats) -> Floats:
    """Each of the parts, shape (n, z, y, x), at fractional indices x y z, shape (3, ...), linear: shape (n, ...)."""
    from scipy import ndimage

    places = index[::-1].reshape(3, -1)
    found = [ndimage.map_coordinates(part, places, order=1, mode="nearest", output=np.float64) for part in parts]
    return np.stack(found).reshape(-1, *index.shape[1:])


def _determinant(m: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Of 3×3 matrices in the last two axes; written out, which is many times faster than a general routine."""
    a, b, c, d, e, f, g, h, i = (m[..., row, column] for row in range(3) for column in range(3))
    return np.asarray(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))
