"""The reference anatomy as a fine raster, and its look-up at pulled-back points: how every phase's image is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rt4d.geometry import Geometry
from rt4d.phantom.breathing import XYZ
from rt4d.phantom.soft import Array
from rt4d.provenance import cores

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """HU at the reference phase on an even grid along the image's own axes; beyond it the outermost values go on.

    values: shape z y x. Looked up by a cubic spline where `cubic` (values are then its coefficients, see `splined`), otherwise linear.
    """

    values: npt.NDArray[np.float32]
    geometry: Geometry
    cubic: bool = False

    def look_up(self, x: Array, y: Array, z: Array) -> npt.NDArray[np.float32]:
        """HU at points of the reference, in their common shape."""
        index = [np.clip(each, 0, n - 1) for each, n in zip(_index_of(self.geometry, x, y, z), self.geometry.size, strict=True)]
        if self.cubic:
            places = np.stack(np.broadcast_arrays(*index[::-1]))
            return np.asarray(ndimage.map_coordinates(self.values, places, order=3, mode="mirror", prefilter=False, output=np.float32))
        (i, fx), (j, fy), (k, fz) = (_cell(each, n) for each, n in zip(index, self.geometry.size, strict=True))
        flat, (columns, layer) = self.values.ravel(), (self.values.shape[2], self.values.shape[1] * self.values.shape[2])
        in_plane = (j * columns + i).astype(np.intp)
        hu = np.zeros(np.broadcast_shapes(i.shape, j.shape, k.shape), dtype=np.float32)
        for offset, weight in ((0, 1 - fz), (1, fz)):
            at = np.minimum(k + offset, self.values.shape[0] - 1).astype(np.intp) * layer + in_plane
            # np.take from a shifted view needs no second index array
            corners = [flat[shift:].take(at, mode="clip") for shift in (0, 1, columns, columns + 1)]
            near, far = corners[0] + fx * (corners[1] - corners[0]), corners[2] + fx * (corners[3] - corners[2])
            hu += weight * (near + fy * (far - near))
        return hu


def splined(hu: npt.NDArray[np.float32], geometry: Geometry) -> Raster:
    """A raster of these HU, to be looked up by a cubic spline: between voxels an image keeps its detail, which linear interpolation would blur."""
    for axis in range(3):
        hu = ndimage.spline_filter1d(hu, 3, axis=axis, output=np.float32, mode="mirror")
    return Raster(hu, geometry, cubic=True)


def _cell(index: Array, n: int) -> tuple[Array, Array]:
    """The lower of the two points around each fractional index, and how far on from it (0 to 1)."""
    lower = np.minimum(np.floor(index), max(n - 2, 0))
    return lower, index - lower


def slice_points(geometry: Geometry, k: int, *, dtype: npt.DTypeLike = np.float32) -> XYZ:
    """Patient x, y, z of slice k's voxel centres, each in the smallest shape that broadcasts to (y, x)."""
    i = (np.arange(geometry.size[0]) * geometry.spacing_mm[0])[None, :]
    j = (np.arange(geometry.size[1]) * geometry.spacing_mm[1])[:, None]
    points = []
    for origin, (by_i, by_j, by_k) in zip(geometry.origin_mm, geometry.matrix, strict=True):
        value = np.full((1, 1), origin + by_k * geometry.offsets_mm[k])
        for steps, slope in ((i, by_i), (j, by_j)):
            value = value if abs(slope) < 1e-12 else value + slope * steps
        points.append(value.astype(dtype))
    return points[0], points[1], points[2]


def in_threads(work: Callable[[Item], Result], items: Iterable[Item], *, workers: int | None = None) -> list[Result]:
    """The results in the order of the items; numpy and scipy leave Python's lock while they compute."""
    with ThreadPoolExecutor(max_workers=workers or cores()) as pool:
        return list(pool.map(work, items))


def window(geometry: Geometry, inner: Geometry) -> tuple[tuple[int, int, int], tuple[int, int, int]] | None:
    """Start and size of the part of a grid that another of the same axes covers; None where they do not meet."""
    ends = geometry.to_index(inner.to_patient(np.array([[0, 0, 0], inner.size]) - [[0], [1]]))
    first = np.clip(np.ceil(ends[0] - 1e-6), 0, geometry.size).astype(int)
    last = np.clip(np.floor(ends[1] + 1e-6) + 1, 0, geometry.size).astype(int)
    if (first >= last).any():
        return None
    (x, y, z), (nx, ny, nz) = first.tolist(), (last - first).tolist()
    return (x, y, z), (nx, ny, nz)


def _index_of(geometry: Geometry, x: Array, y: Array, z: Array) -> list[Array]:
    """Fractional indices x, y, z of points, without the temporary arrays of a matrix product."""
    away = [p - o for p, o in zip((x, y, z), geometry.origin_mm, strict=True)]
    index = []
    for axis in range(3):
        value: Array = np.zeros((), dtype=away[0].dtype)
        for part, slope in zip(away, geometry.matrix[:, axis], strict=True):
            if abs(slope) > 1e-12:
                value = value + part * (slope / geometry.spacing_mm[axis])
        index.append(value)
    return index
