"""The voxels of an ROI whose contours have been placed on slices: those whose centres lie inside, or of each the share that does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rt4d.dicom.interpolating import FINER_FOR_CENTRES, FINER_FOR_SHARES, Gap, between
from rt4d.dicom.placing import span
from rt4d.dicom.rasterise import ON_CENTRE, ON_TRACED_CENTRE, Boundary, area_fractions, rasterise
from rt4d.errors import ContourError, GeometryError, InputError
from rt4d.geometry import Floats, Geometry
from rt4d.volumes import Mask

_EDGE = 0.5 + 1e-3
_LOST = 0.5
"""Of a voxel: so much of an ROI's volume may lie beyond the image's edge unsaid."""

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PartialVolume:
    """The share of each voxel that lies inside something: `fraction` is float32 from 0 to 1, shape z y x. Read-only."""

    fraction: npt.NDArray[np.float32]
    geometry: Geometry

    def __post_init__(self) -> None:
        if self.fraction.dtype != np.float32:
            raise InputError("A partial volume holds float32", found=self.fraction.dtype)
        if self.fraction.shape != self.geometry.shape:
            raise GeometryError("An array must have its grid's shape", expected=f"(z, y, x) = {self.geometry.shape}", found=self.fraction.shape)
        view = self.fraction.view()
        view.flags.writeable = False
        object.__setattr__(self, "fraction", view)

    @property
    def volume_cm3(self) -> float:
        """The volume inside; on uneven slices each counts for half the way to its neighbours."""
        return float(self.fraction.sum(axis=(1, 2), dtype=np.float64) @ self.geometry.slice_volumes_mm3 / 1000)

    def __repr__(self) -> str:
        return f"PartialVolume({self.volume_cm3:.3f} cm³)"


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """An ROI placed on the slices of a grid: contours by slice in index coordinates x y, gaps to be interpolated, and how its boundary counts."""

    name: str
    on: Geometry
    by_slice: Mapping[int, Sequence[Floats]]
    gaps: Sequence[Gap]
    boundary: Boundary
    traced: bool

    @property
    def on_centre(self) -> float:
        return ON_TRACED_CENTRE if self.traced else ON_CENTRE


def mask_of(region: Region) -> Mask:
    """The voxels whose centres lie inside. Raises ContourError where some of them would lie beyond the image, or where there are none."""

    def centres(polygons: Sequence[Floats], shape: tuple[int, int]) -> Array:
        return rasterise(polygons, shape, boundary=region.boundary, on_centre=region.on_centre)

    inside = np.zeros(region.on.shape, dtype=bool)
    lost = _fill(inside, region, centres) + _fill_gaps(inside, region, FINER_FOR_CENTRES)
    mask = Mask(inside, region.on)
    if lost:
        _refuse_cut(region, lost, mask.volume_cm3)
    if mask.is_empty:
        small = f"contours on {len(region.by_slice)} slices that enclose none"
        raise ContourError(f"ROI {region.name} holds no voxel centre", found=small, do="It is too small for this CT")
    return mask


def partial_volume_of(region: Region) -> PartialVolume:
    """The share of each voxel that lies inside; of a region whose boundary voxels belong to it, whole voxels. Raises ContourError as `mask_of`."""
    if region.boundary == "inclusive":
        mask = mask_of(region)
        return PartialVolume(mask.inside.astype(np.float32), mask.geometry)
    fraction = np.zeros(region.on.shape, dtype=np.float32)
    lost = _fill(fraction, region, area_fractions) + _fill_gaps(fraction, region, FINER_FOR_SHARES)
    part = PartialVolume(fraction, region.on)
    if lost > _LOST or (lost and not fraction.any()):
        _refuse_cut(region, lost, part.volume_cm3)
    if not fraction.any():
        raise ContourError(f"ROI {region.name} encloses nothing", found=f"contours without an area on {len(region.by_slice)} slices")
    return part


def _fill(into: Array, region: Region, of_slice: Callable[[Sequence[Floats], tuple[int, int]], Array]) -> float:
    """Fill the drawn slices; how many voxels lie beyond the image."""
    columns, rows = region.on.size[:2]
    lost = 0.0
    for z, polygons in region.by_slice.items():
        if _reaches_beyond(polygons, region.on):
            around = of_slice([points + np.array([columns, rows]) for points in polygons], (3 * rows, 3 * columns))
            into[z] = around[rows : 2 * rows, columns : 2 * columns]
            lost += float(around.sum(dtype=np.float64) - into[z].sum(dtype=np.float64)) + _reaches_beyond(polygons, region.on, times=3)
        else:
            into[z] = of_slice(polygons, (rows, columns))
    return lost


def _fill_gaps(into: Array, region: Region, finer: int) -> float:
    """Fill the slices to be interpolated: the value at voxel centres, or of numbers the mean over the voxel; how many voxels lie beyond the image."""
    lost = 0.0
    for gap in region.gaps:
        found, (left, top), finer_here = between(gap, region.on, boundary=region.boundary, on_centre=region.on_centre, finer=finer)
        for (z, _), fine in zip(gap.slices, found, strict=True):
            height, width = fine.shape[0] // finer_here, fine.shape[1] // finer_here
            blocks = fine.reshape(height, finer_here, width, finer_here)
            voxels = blocks[:, finer_here // 2, :, finer_here // 2] if into.dtype == np.bool_ else blocks.mean(axis=(1, 3), dtype=np.float32)
            y0, x0, y1, x1 = max(top, 0), max(left, 0), min(top + height, into.shape[1]), min(left + width, into.shape[2])
            if y1 > y0 and x1 > x0:
                into[z, y0:y1, x0:x1] = voxels[y0 - top : y1 - top, x0 - left : x1 - left]
            lost += float(voxels.sum(dtype=np.float64) - into[z].sum(dtype=np.float64))
    return lost


def _reaches_beyond(polygons: Sequence[Floats], on: Geometry, *, times: int = 1) -> bool:
    """Whether any contour leaves the slice, or a field of so many times its width and height about it."""
    size = np.array(on.size[:2])
    reach = size * (times - 1) // 2
    return any(bool(np.any(points < -reach - _EDGE) or np.any(points > size - 1 + reach + _EDGE)) for points in polygons)


def _refuse_cut(region: Region, lost: float, within_cm3: float) -> None:
    if not within_cm3:
        raise ContourError(f"ROI {region.name} lies outside the image", expected=span(region.on), found="contours beside it")
    lost_cm3 = lost * region.on.voxel_volume_mm3 / 1000
    raise ContourError(
        f"ROI {region.name} lies partly outside the image, which would cut it",
        expected="all of it within the image",
        found=f"at least {lost_cm3:.2f} cm³ beyond its edge, {within_cm3:.2f} cm³ within",
        do="Draw it on a CT that holds all of it",
    )
