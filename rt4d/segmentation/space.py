"""The space in which the network sees a CT: isotropic voxels, upright in the patient, one window of Hounsfield units; there and back.

A grid of this space has the identity as direction, whatever the CT's pose, so that training and inference see patients the same way up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rt4d import geometry as grids
from rt4d.anatomy import PADDED_HU
from rt4d.errors import GeometryError, InputError
from rt4d.geometry import Geometry, Triple
from rt4d.volumes import Mask, Volume

Array = npt.NDArray[np.float32]

OUTSIDE_HU = -1000.0
CLICK_SIGMA_MM = 5.0
CT_HU = (-1024.0, 3071.0)
"""What a CT scanner says; padding and metal beyond it would spread into their neighbours when voxels are averaged."""
PADDING_HU = -3024.0
FWHM = 2.3548
"""Of a Gaussian, in standard deviations."""
STRAIGHT = 1e-5
"""Of a direction cosine: axes that differ by less run along one another."""
MOST_POINTS = 5
"""Along each axis of a voxel, to measure which share of it lies inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Isotropic voxels of `spacing_mm`, and the window of HU that becomes 0 to 1."""

    spacing_mm: float
    window_hu: tuple[float, float]

    def __post_init__(self) -> None:
        if not 0 < self.spacing_mm < float("inf"):
            raise InputError("The network's voxels need a size", expected="spacing_mm above 0", found=self.spacing_mm)
        if len(self.window_hu) != 2 or not self.window_hu[0] < self.window_hu[1]:
            raise InputError("The network's window of HU must be two rising numbers", expected="(-1000, 400)", found=self.window_hu)


def to_space(volume: Volume, space: Space, *, inside: Mask | None = None) -> Volume:
    """The CT, or the box of `inside`, as float32 HU on the network's grid; outside the image -1000 HU.

    Averaged with a Gaussian where voxels become larger, then linear. Refused (InputError): an empty `inside`.
    """
    box = volume.geometry
    if inside is not None:
        grids.require(box, inside.geometry, what="The region to look at lies on another grid than the CT")
        if inside.is_empty:
            raise InputError("The region to look at is empty")
        box = box.crop(*inside.box())
    return resample_hu(volume, grid_for(box, space))


def resample_hu(volume: Volume, onto: Geometry) -> Volume:
    """The CT as float32 HU on an upright isotropic grid, averaged with a Gaussian where its voxels are the smaller ones; outside -1000 HU."""
    target_mm = onto.spacing_mm[0]
    try:
        start, size = _room_around(onto, volume.geometry, 2 * target_mm)
    except GeometryError:
        return Volume(np.full(onto.shape, OUTSIDE_HU, np.float32), onto)
    part = volume.crop(start, size)
    hu = np.clip(part.hu, *CT_HU, dtype=np.float32, casting="unsafe")
    for axis, spacing_mm in enumerate(part.geometry.spacing_mm[::-1]):
        if target_mm > spacing_mm:
            sigma = float(np.sqrt(target_mm**2 - spacing_mm**2)) / FWHM / spacing_mm
            hu = ndimage.gaussian_filter1d(hu, sigma, axis=axis, mode="nearest", truncate=3.0)
    return Volume(_sampled(hu, part.geometry, onto, outside=OUTSIDE_HU), onto)


def padded_where_not_imaged(resampled: Volume, volume: Volume) -> Volume:
    """The CT on another grid, padded (-3024 HU) where nothing was imaged: outside a round field of view, or beyond the edges of a CT that is turned.

    Resampling says air there, and who looks for the body needs to know better.
    """
    padded = volume.hu < PADDED_HU
    if not padded.any() and _runs_along(volume.geometry, resampled.geometry):
        return resampled
    share = _sampled(padded.view(np.uint8), volume.geometry, resampled.geometry, outside=1.0)
    return Volume(np.where(share > 0.5, np.float32(PADDING_HU), resampled.hu), resampled.geometry)


def from_space(values: Array, geometry: Geometry, onto: Geometry, *, outside: float = 0.0) -> Array:
    """Values of the network's grid on any other one, linear, float32 z y x; slice by slice, so that no more memory is held than for the result."""
    _require_shape(values, geometry)
    return _sampled(values, geometry, onto, outside=outside)


def share_in_space(mask: Mask, geometry: Geometry) -> Array:
    """Which share of each voxel of an isotropic grid lies inside the mask, 0 to 1, float32 z y x: its sum keeps the mask's volume."""
    share = np.zeros(geometry.shape, np.float32)
    if mask.is_empty:
        return share
    start, size = _room_around_mask(mask, geometry)
    part = geometry.crop(start, size)
    near = mask.crop(*mask.geometry.box_around(mask.points_mm, 2 * max(mask.geometry.spacing_mm)))
    x, y, z = (slice(i, i + n) for i, n in zip(start, size, strict=True))
    share[z, y, x] = _mean_within_voxels(near, part)
    return share


def normalised(hu: npt.NDArray[Any], space: Space) -> Array:
    """Hounsfield units as the network takes them: the window becomes 0 to 1, what lies beyond is cut off."""
    low, high = space.window_hu
    share = (np.asarray(hu, dtype=np.float32) - np.float32(low)) / np.float32(high - low)
    return np.asarray(np.clip(share, 0.0, 1.0, out=share))


def click_channel(geometry: Geometry, point_mm: Triple | None) -> Array:
    """exp(-d²/(2·σ²)) of the distance d from the point, σ = 5 mm, float32 z y x on an upright grid; zeros where no point is given."""
    if point_mm is None:
        return np.zeros(geometry.shape, np.float32)
    _require_upright(geometry)
    z, y, x = (_gaussian(geometry, axis, point_mm[axis]) for axis in (2, 1, 0))
    return np.asarray(z[:, None, None] * y[None, :, None] * x[None, None, :], dtype=np.float32)


def grid_for(box: Geometry, space: Space) -> Geometry:
    """The upright isotropic grid that covers all voxels of `box`, edges included, with its middle in the same place."""
    last = np.array(box.size) - 0.5
    corners = box.to_patient(np.array([[x, y, z] for x in (-0.5, last[0]) for y in (-0.5, last[1]) for z in (-0.5, last[2])]))
    low, high = corners.min(axis=0), corners.max(axis=0)
    counts = np.maximum(np.ceil((high - low) / space.spacing_mm - 1e-6), 1).astype(int)
    x, y, z = (low + high) / 2 - (counts - 1) / 2 * space.spacing_mm
    nx, ny, nz = counts.tolist()
    return Geometry((nx, ny, nz), (space.spacing_mm,) * 3, (x, y, z), frame_of_reference=box.frame_of_reference)


def _gaussian(geometry: Geometry, axis: int, at_mm: float) -> npt.NDArray[np.float64]:
    places = geometry.origin_mm[axis] + np.arange(geometry.size[axis]) * geometry.spacing_mm[axis]
    return np.asarray(np.exp(-((places - at_mm) ** 2) / (2 * CLICK_SIGMA_MM**2)))


def _mean_within_voxels(mask: Mask, geometry: Geometry) -> Array:
    """The mean of the mask, linear between its voxels' centres, over points spread evenly through each voxel."""
    inside = np.pad(mask.inside, 1).astype(np.float32)
    points = int(np.clip(np.ceil(2 * geometry.spacing_mm[0] / min(mask.geometry.spacing_mm)), 1, MOST_POINTS))
    within = (np.arange(points) + 0.5) / points - 0.5
    total = np.zeros(geometry.shape, np.float32)
    for z in within:
        for y in within:
            for x in within:
                moved = replace(geometry, origin_mm=tuple(geometry.to_patient((x, y, z))))
                total += _sampled(inside, _padded(mask.geometry), moved, outside=0.0)
    return total / np.float32(points**3)


def _padded(geometry: Geometry) -> Geometry:
    """The grid with one more voxel on every side, uneven slices going on as they ended."""
    nx, ny, nz = geometry.size
    x, y, z = geometry.to_patient((-1.0, -1.0, -1.0))
    wider = replace(geometry, size=(nx + 2, ny + 2, nz + 2), origin_mm=(x, y, z), slice_offsets_mm=None)
    if geometry.is_even:
        return wider
    known = geometry.offsets_mm
    offsets = np.r_[2 * known[0] - known[1], known, 2 * known[-1] - known[-2]]
    return replace(wider, slice_offsets_mm=tuple(offsets - offsets[0]))


def _room_around(inner: Geometry, outer: Geometry, margin_mm: float) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Which part of the outer grid holds the inner one and a margin; GeometryError where they do not meet."""
    last = np.array(inner.size) - 1.0
    corners = inner.to_patient(np.array([[x, y, z] for x in (0.0, last[0]) for y in (0.0, last[1]) for z in (0.0, last[2])]))
    index = outer.to_index(corners)
    if (index.max(axis=0) < -1).any() or (index.min(axis=0) > np.array(outer.size)).any():
        raise GeometryError("Two grids do not meet")
    return outer.box_around(corners, margin_mm)


def _room_around_mask(mask: Mask, geometry: Geometry) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    return geometry.box_around(mask.points_mm, 2 * max(*mask.geometry.spacing_mm, *geometry.spacing_mm))


def _sampled(values: npt.NDArray[Any], here: Geometry, onto: Geometry, *, outside: float) -> Array:
    """Linear between the voxels of `here`, at the voxel centres of `onto`; as at its outermost centres to their edges, and `outside` beyond."""
    result = np.empty(onto.shape, np.float32)
    if _runs_along(here, onto):
        _fill_straight(result, values, here, onto, outside)
    else:
        _fill_oblique(result, values, here, onto, outside)
    return result


def _runs_along(here: Geometry, onto: Geometry) -> bool:
    """Whether each axis of one grid runs along one of the other."""
    turned = np.abs(here.matrix.T @ onto.matrix)
    return bool(np.all((turned < STRAIGHT) | (turned > 1 - STRAIGHT)))


def _fill_straight(result: Array, values: npt.NDArray[Any], here: Geometry, onto: Geometry, outside: float) -> None:
    """Where axes run along one another, an axis at a time."""
    along = np.abs(here.matrix.T @ onto.matrix).argmax(axis=0)  # which index axis of `here` each one of `onto` runs along
    places = []
    for axis, own in enumerate(along):
        index = np.zeros((onto.size[axis], 3))
        index[:, axis] = np.arange(onto.size[axis])
        places.append(_Places(here.to_index(onto.to_patient(index))[:, own], here.size[own]))
    values = values.transpose([2 - along[axis] for axis in (2, 1, 0)])
    x, y, z = places
    beyond = ~(y.within[:, None] & x.within[None, :])
    for k, (lower, upper, share) in enumerate(zip(z.lower, z.upper, z.share, strict=True)):
        if not z.within[k]:
            result[k] = outside
            continue
        plane = values[lower] * (1 - share) + values[upper] * share
        plane = plane[y.lower] * (1 - y.share[:, None]) + plane[y.upper] * y.share[:, None]
        result[k] = plane[:, x.lower] * (1 - x.share) + plane[:, x.upper] * x.share
        result[k][beyond] = outside


class _Places:
    """Fractional places along one axis of `count` voxels: the voxels below and above, the share of the upper one, and which lie within."""

    __slots__ = ("lower", "share", "upper", "within")

    def __init__(self, at: npt.NDArray[np.float64], count: int) -> None:
        self.within = (at >= -0.5 - 1e-6) & (at <= count - 0.5 + 1e-6)
        at = np.clip(at, 0, count - 1)
        self.lower = np.floor(at).astype(int)
        self.upper = np.minimum(self.lower + 1, count - 1)
        self.share = (at - self.lower).astype(np.float32)


def _fill_oblique(result: Array, values: npt.NDArray[Any], here: Geometry, onto: Geometry, outside: float) -> None:
    y, x = np.meshgrid(np.arange(onto.size[1], dtype=float), np.arange(onto.size[0], dtype=float), indexing="ij")
    for k in range(onto.size[2]):
        points = onto.to_patient(np.stack([x, y, np.full_like(x, k)], axis=-1))
        places = np.moveaxis(here.to_index(points)[..., ::-1], -1, 0)
        ndimage.map_coordinates(values, places, output=result[k], order=1, mode="nearest")
        result[k][~here.contains(points)] = outside


def _require_shape(values: npt.NDArray[Any], geometry: Geometry) -> None:
    if values.shape != geometry.shape:
        raise GeometryError("Values must have their grid's shape", expected=f"(z, y, x) = {geometry.shape}", found=values.shape)


def _require_upright(geometry: Geometry) -> None:
    if np.abs(geometry.matrix - np.eye(3)).max() > STRAIGHT:
        raise GeometryError("The network's grid is upright in the patient", expected="the identity as direction", found=geometry.direction)
