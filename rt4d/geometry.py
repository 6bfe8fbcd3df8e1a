"""Where voxels lie in the patient. Said once, here, and nowhere else:

- patient coordinates are DICOM's: LPS (x to the patient's left, y to posterior, z to superior), in millimetres;
- triples run x y z, arrays run z y x; index (0, 0, 0) is the *centre* of the first voxel;
- `direction` holds, row by row, the 3×3 matrix whose columns are the patient directions of the x, y and z index axes.

Slices whose distances differ keep their own positions (`slice_offsets_mm`); whatever needs an even grid asks for it
with `require_even` and is refused otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rt4d.errors import GeometryError

Floats = npt.NDArray[np.float64]
Triple = tuple[float, float, float]

POSITION_TOLERANCE_MM = 0.01
"""Two grids are one where no voxel centre differs by more than this: DICOM text (DS) is good to far less than it."""
DIRECTION_TOLERANCE = 1e-4
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Geometry:
    """A grid of voxels in the patient.

    size: voxels along x, y, z. spacing_mm: between voxel centres (z: the median where slices are uneven).
    origin_mm: centre of the first voxel. direction: 9 numbers, row by row, orthonormal and right-handed.
    frame_of_reference: DICOM's UID, '' where the source (a NIfTI file) has none.
    slice_offsets_mm: where slices are uneven, each slice's distance from the first along the slice normal; else None.
    """

    size: tuple[int, int, int]
    spacing_mm: Triple
    origin_mm: Triple = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = IDENTITY
    frame_of_reference: str = ""
    slice_offsets_mm: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        _set(self, size=tuple(int(n) for n in self.size), spacing_mm=_floats(self.spacing_mm, 3, "spacing_mm"))
        _set(self, origin_mm=_floats(self.origin_mm, 3, "origin_mm"), direction=_floats(self.direction, 9, "direction"))
        if len(self.size) != 3 or min(self.size) < 1:
            raise GeometryError("A grid needs at least one voxel along each axis", expected="three sizes ≥ 1", found=self.size)
        if min(self.spacing_mm) <= 0:
            raise GeometryError("Voxel spacing must be positive", expected="three lengths > 0 mm", found=self.spacing_mm)
        matrix = np.array(self.direction).reshape(3, 3)
        if not np.allclose(matrix.T @ matrix, np.eye(3), atol=10 * DIRECTION_TOLERANCE) or np.linalg.det(matrix) < 0:
            raise GeometryError("The grid's axes must be orthonormal and right-handed", expected="a rotation", found=self.direction)
        if self.slice_offsets_mm is not None:
            self._check_slice_offsets(self.slice_offsets_mm)

    def _check_slice_offsets(self, offsets: Sequence[float]) -> None:
        _set(self, slice_offsets_mm=_floats(offsets, self.size[2], "slice_offsets_mm"))
        steps = np.diff(offsets)
        if offsets[0] != 0 or (steps.size and steps.min() <= 0):
            raise GeometryError("Slice offsets must start at 0 and increase", found=f"first {offsets[0]}, smallest step {steps.min():.3f} mm")

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of an array on this grid: z, y, x."""
        return self.size[2], self.size[1], self.size[0]

    @property
    def is_even(self) -> bool:
        """Whether all slices lie the same distance apart."""
        return self.slice_offsets_mm is None

    @property
    def voxel_volume_mm3(self) -> float:
        """The volume of one voxel; on uneven slices, of one in a slice of median distance."""
        return float(np.prod(self.spacing_mm))

    @property
    def slice_volumes_mm3(self) -> Floats:
        """The volume that one voxel of each slice stands for: half the way to either neighbouring slice, shape (z,)."""
        area = self.spacing_mm[0] * self.spacing_mm[1]
        if self.slice_offsets_mm is None or self.size[2] == 1:
            return np.full(self.size[2], area * self.spacing_mm[2])
        steps = np.diff(self.slice_offsets_mm)
        return np.asarray(area * (np.r_[steps[0], steps] + np.r_[steps, steps[-1]]) / 2)

    @property
    def matrix(self) -> Floats:
        """3×3: its columns are the unit vectors of the index axes in the patient."""
        return np.array(self.direction).reshape(3, 3)

    @property
    def normal(self) -> Floats:
        """The unit vector along which slices are stacked."""
        return self.matrix[:, 2]

    @property
    def offsets_mm(self) -> Floats:
        """Each slice's distance from the first along the normal, shape (z,)."""
        if self.slice_offsets_mm is not None:
            return np.array(self.slice_offsets_mm)
        return np.arange(self.size[2], dtype=np.float64) * self.spacing_mm[2]

    def to_patient(self, index: npt.ArrayLike) -> Floats:
        """Patient coordinates in mm, shape (..., 3), of (fractional) indices x y z, shape (..., 3)."""
        index = np.asarray(index, dtype=float)
        scaled = index * self.spacing_mm
        if self.slice_offsets_mm is not None:
            scaled[..., 2] = _interpolate(index[..., 2], np.arange(self.size[2], dtype=float), self.offsets_mm)
        return np.asarray(scaled @ self.matrix.T + self.origin_mm)

    def to_index(self, points_mm: npt.ArrayLike) -> Floats:
        """Fractional indices x y z, shape (..., 3), of patient coordinates in mm, shape (..., 3). Outside is not refused."""
        local = (np.asarray(points_mm, dtype=float) - self.origin_mm) @ self.matrix
        index = local / self.spacing_mm
        if self.slice_offsets_mm is not None:
            index[..., 2] = _interpolate(local[..., 2], self.offsets_mm, np.arange(self.size[2], dtype=float))
        return np.asarray(index)

    def contains(self, points_mm: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which points lie within the outermost voxels (edges, not centres), shape (...)."""
        index = self.to_index(points_mm)
        return np.asarray(np.all((index >= -0.5) & (index <= np.array(self.size) - 0.5), axis=-1))

    def crop(self, start: Sequence[int], size: Sequence[int]) -> Geometry:
        """The part of this grid that begins at index `start` (x y z) and has `size` voxels."""
        start, (nx, ny, nz) = [int(i) for i in start], (int(n) for n in size)
        size = nx, ny, nz
        if min(start) < 0 or any(i + n > whole for i, n, whole in zip(start, size, self.size, strict=True)):
            raise GeometryError("A crop must lie inside its grid", expected=f"within {self.size}", found=f"{size} from {start}")
        origin = tuple(self.to_patient(start))
        if self.slice_offsets_mm is None:
            return replace(self, size=size, origin_mm=origin)
        offsets = self.offsets_mm[start[2] : start[2] + size[2]]
        return replace(self, size=size, origin_mm=origin, slice_offsets_mm=tuple(offsets - offsets[0]))

    def box_around(self, points_mm: npt.ArrayLike, margin_mm: float | Triple = 0.0) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Start and size (x y z indices) of the smallest crop that holds the points and `margin_mm` along each index axis, clipped to the grid."""
        points = np.atleast_2d(np.asarray(points_mm, dtype=float))
        margin = np.broadcast_to(np.asarray(margin_mm, dtype=float), 3)
        local = (points - self.origin_mm) @ self.matrix
        corners = np.stack([local.min(axis=0) - margin, local.max(axis=0) + margin])
        index = self.to_index(corners @ self.matrix.T + self.origin_mm)
        first = np.clip(np.floor(index[0] + 1e-6), 0, np.array(self.size) - 1).astype(int)
        last = np.clip(np.ceil(index[1] - 1e-6), 0, np.array(self.size) - 1).astype(int)
        start, size = first.tolist(), (last - first + 1).tolist()
        return (start[0], start[1], start[2]), (size[0], size[1], size[2])

    def centres(self) -> Floats:
        """The patient coordinates of all voxel centres, shape (z, y, x, 3)."""
        z, y, x = np.meshgrid(*(np.arange(n, dtype=float) for n in self.shape), indexing="ij")
        return self.to_patient(np.stack([x, y, z], axis=-1))

    def is_same_grid(self, other: Geometry) -> bool:
        """Whether all voxel centres coincide (within 0.01 mm) and no two frames of reference are named."""
        return not self.differences(other)

    def differences(self, other: Geometry) -> str:
        """In words, how the other grid differs from this one; '' where it is the same."""
        said: list[str] = []
        if self.size != other.size:
            said.append(f"size {self.size} against {other.size}")
        else:
            far = (np.array(self.size) - 1.0) * [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
            worst = float(np.abs(self.to_patient(far) - other.to_patient(far)).max())
            worst = max(worst, float(np.abs(self.offsets_mm - other.offsets_mm).max()))
            if worst > POSITION_TOLERANCE_MM:
                said.append(
                    f"voxel centres up to {worst:.2f} mm apart (origin {_text(self.origin_mm)} against {_text(other.origin_mm)} mm, "
                    f"spacing {_text(self.spacing_mm)} against {_text(other.spacing_mm)} mm)"
                )
        if self.frame_of_reference and other.frame_of_reference and self.frame_of_reference != other.frame_of_reference:
            said.append(f"frame of reference {self.frame_of_reference} against {other.frame_of_reference}")
        return "; ".join(said)


def require(mine: Geometry, other: Geometry, *, what: str = "Two grids that must be one differ", do: str = "") -> None:
    """Refuse, with the differences named, two grids whose voxels are not the same ones."""
    if differences := mine.differences(other):
        raise GeometryError(what, found=differences, do=do)


def require_same_frame(mine: Geometry, other: Geometry, *, what: str = "Two frames of reference that must be one differ", do: str = "") -> None:
    """Refuse two grids that name different frames of reference; one without a name is taken on trust."""
    if mine.frame_of_reference and other.frame_of_reference and mine.frame_of_reference != other.frame_of_reference:
        raise GeometryError(what, expected=mine.frame_of_reference, found=other.frame_of_reference, do=do)


def require_even(geometry: Geometry, *, what: str) -> None:
    """Refuse a grid whose slices lie at uneven distances, naming the widest gap."""
    if geometry.slice_offsets_mm is not None:
        steps = np.diff(geometry.offsets_mm)
        worst = int(steps.argmax())
        raise GeometryError(
            f"{what} needs slices at even distances",
            expected=f"{np.median(steps):.2f} mm throughout",
            found=f"{steps[worst]:.2f} mm between slices {worst + 1} and {worst + 2}",
            do="Add the missing slices, or resample the CT to even slices first (rt4d.resampling.evenly; --resample where there is one)",
        )


def _interpolate(at: Floats, known_at: Floats, known: Floats) -> Floats:
    """Piecewise linear, and straight on beyond both ends."""
    if len(known) == 1:
        return np.asarray(known[0] + (at - known_at[0]))
    cell = np.clip(np.searchsorted(known_at, at, side="right") - 1, 0, len(known) - 2)
    slope = (known[cell + 1] - known[cell]) / (known_at[cell + 1] - known_at[cell])
    return np.asarray(known[cell] + slope * (at - known_at[cell]))


def _floats(values: Sequence[float], n: int, name: str) -> tuple[float, ...]:
    """A tuple of n finite Python floats."""
    numbers = tuple(float(v) for v in values)
    if len(numbers) != n or not np.all(np.isfinite(numbers)):
        raise GeometryError(f"{name} must be {n} finite numbers", found=numbers)
    return numbers


def _set(value: object, **fields: Any) -> None:
    """Store the cleaned form of a frozen value's field, at birth only."""
    for name, content in fields.items():
        object.__setattr__(value, name, content)


def _text(numbers: Sequence[float]) -> str:
    return "×".join(f"{v:.4g}" for v in numbers)
