"""Arrays that never travel without their grid: `Volume` (Hounsfield units) and `Mask` (inside or not)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rt4d import geometry as grids
from rt4d.errors import GeometryError, InputError
from rt4d.geometry import Floats, Geometry, Triple


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Volume:
    """A CT image: `hu` in Hounsfield units, shape z y x, kept as int16 where it is given so. Read-only."""

    hu: npt.NDArray[Any]
    geometry: Geometry

    def __post_init__(self) -> None:
        if not np.issubdtype(self.hu.dtype, np.number):
            raise InputError("A volume holds numbers", expected="int16 or float32", found=self.hu.dtype)
        object.__setattr__(self, "hu", _fitting(self.hu, self.geometry))

    def crop(self, start: Sequence[int], size: Sequence[int]) -> Volume:
        """The part that begins at index `start` (x y z) and has `size` voxels; shares memory."""
        return Volume(_window(self.hu, start, size), self.geometry.crop(start, size))

    def __repr__(self) -> str:
        return f"Volume({describe(self.geometry)}, {self.hu.dtype})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Mask:
    """The voxels whose centres lie inside something: `inside` is bool, shape z y x. Read-only.

    Union `|`, intersection `&` and difference `-` are refused between different grids. An empty mask has volume 0 and no centroid.
    """

    inside: npt.NDArray[np.bool_]
    geometry: Geometry

    def __post_init__(self) -> None:
        if self.inside.dtype != np.bool_:
            raise InputError("A mask holds bool", expected="bool", found=self.inside.dtype, do="Compare first, for example array > 0")
        object.__setattr__(self, "inside", _fitting(self.inside, self.geometry))

    @property
    def is_empty(self) -> bool:
        return not self.inside.any()

    @property
    def volume_cm3(self) -> float:
        """The volume of its voxels; on uneven slices each counts for half the way to its neighbours."""
        if self.geometry.is_even:
            return float(np.count_nonzero(self.inside) * self.geometry.voxel_volume_mm3 / 1000)
        return float(self.inside.sum(axis=(1, 2)) @ self.geometry.slice_volumes_mm3 / 1000)

    @property
    def points_mm(self) -> Floats:
        """The patient coordinates of its voxel centres, shape (n, 3)."""
        return self.geometry.to_patient(self._indices()[:, ::-1])

    @property
    def centroid_mm(self) -> Triple:
        """The mean of its voxel centres, weighted by the volume that each stands for."""
        if self.is_empty:
            raise InputError("An empty mask has no centroid")
        by_x, by_y = np.count_nonzero(self.inside, axis=1), np.count_nonzero(self.inside, axis=2)
        of_slice = self.geometry.slice_volumes_mm3
        dx, dy, _ = self.geometry.spacing_mm
        first_moments = (
            of_slice @ by_x @ np.arange(self.geometry.size[0]) * dx,
            of_slice @ by_y @ np.arange(self.geometry.size[1]) * dy,
            (of_slice * self.geometry.offsets_mm) @ by_x.sum(axis=1),
        )
        x, y, z = self.geometry.matrix @ (np.array(first_moments) / (of_slice @ by_x.sum(axis=1))) + self.geometry.origin_mm
        return float(x), float(y), float(z)

    def _indices(self) -> npt.NDArray[np.intp]:
        """The indices z y x of its voxels, shape (n, 3); looked for only where there are some, which on a whole CT is 20 times as quick."""
        rows = np.any(self.inside, axis=2)
        z, y = (np.flatnonzero(np.any(rows, axis=axis)) for axis in (1, 0))
        if not z.size:
            return np.empty((0, 3), dtype=np.intp)
        first = np.array([z[0], y[0], 0])
        return np.asarray(np.argwhere(self.inside[z[0] : z[-1] + 1, y[0] : y[-1] + 1]) + first, dtype=np.intp)

    @property
    def touches_edge(self) -> bool:
        """Whether it reaches the outermost voxels of its grid, so that part of it may be missing."""
        a = self.inside
        return bool(any(face.any() for face in (a[0], a[-1], a[:, 0], a[:, -1], a[:, :, 0], a[:, :, -1])))

    def box(self, margin_mm: float | Triple = 0.0) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Start and size (x y z indices) of the smallest crop that holds it and a margin, clipped to the grid."""
        return self.geometry.box_around(self.points_mm, margin_mm)

    def crop(self, start: Sequence[int], size: Sequence[int]) -> Mask:
        """The part that begins at index `start` (x y z) and has `size` voxels; shares memory."""
        return Mask(_window(self.inside, start, size), self.geometry.crop(start, size))

    def __or__(self, other: Mask) -> Mask:
        grids.require(self.geometry, other.geometry, what="A union needs masks on one grid")
        return Mask(self.inside | other.inside, self.geometry)

    def __and__(self, other: Mask) -> Mask:
        grids.require(self.geometry, other.geometry, what="An intersection needs masks on one grid")
        return Mask(self.inside & other.inside, self.geometry)

    def __sub__(self, other: Mask) -> Mask:
        grids.require(self.geometry, other.geometry, what="A difference needs masks on one grid")
        return Mask(self.inside & ~other.inside, self.geometry)

    def __repr__(self) -> str:
        return f"Mask({self.volume_cm3:.2f} cm³ on {describe(self.geometry)})"


def describe(geometry: Geometry) -> str:
    """A grid in a few words: '512×512×100, 0.98×0.98×3 mm'."""
    size = "×".join(str(n) for n in geometry.size)
    spacing = "×".join(f"{v:.3g}" for v in geometry.spacing_mm)
    return f"{size}, {spacing} mm" + ("" if geometry.is_even else ", uneven slices")


def _fitting(array: npt.NDArray[Any], geometry: Geometry) -> npt.NDArray[Any]:
    """A read-only view of the array, refused where it is not of the grid's shape."""
    if array.shape != geometry.shape:
        raise GeometryError("An array must have its grid's shape", expected=f"(z, y, x) = {geometry.shape}", found=array.shape)
    view = array.view()
    view.flags.writeable = False
    return view


def _window(array: npt.NDArray[Any], start: Sequence[int], size: Sequence[int]) -> npt.NDArray[Any]:
    x, y, z = (slice(int(i), int(i) + int(n)) for i, n in zip(start, size, strict=True))
    return array[z, y, x]
