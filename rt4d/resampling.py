"""A mask as a signed distance, and from one grid to another of the same frame of reference, finer than a voxel; uneven slices made even.

The surface of a mask runs half-way between the centres inside and their neighbours outside; what lies beyond the grid is outside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rt4d import geometry as grids
from rt4d.errors import GeometryError, InputError
from rt4d.geometry import Floats, Geometry
from rt4d.volumes import Mask, Volume

MOST_PIECES = 50
"""So many pieces of a mask keep their volume each; what is left over keeps it together."""
HALF_OPEN = 1e-3
"""Of a voxel: how far sampling is shifted, so that a centre exactly on the surface belongs to one side and volume is neither won nor lost."""
MAY_STICK_OUT = 0.05
"""Of a voxel: so far a region may reach beyond the grid that it is resampled onto, which two grids of the same extent do by rounding."""


def signed_distance_mm(mask: Mask) -> npt.NDArray[np.float32]:
    """How far each voxel centre is from the nearest centre on the other side of the mask's surface, negative inside, shape z y x.

    Across a flat face it goes through zero half-way between neighbours, in every direction of the grid; slices may be uneven.
    Where one mask holds another its distance is nowhere greater, so that what is made of both keeps that order. Beyond the grid is
    outside. Crop to what is needed first: the cost grows with the grid. An empty mask is refused.
    """
    if mask.is_empty:
        raise InputError("An empty mask has no surface to measure a distance from")
    padded = np.pad(mask.inside, 1)
    z_mm = _padded(mask.geometry.offsets_mm, mask.geometry.spacing_mm[2])
    distance = _to_nearest(padded, mask.geometry, z_mm) - _to_nearest(~padded, mask.geometry, z_mm)
    return np.ascontiguousarray(distance[1:-1, 1:-1, 1:-1], dtype=np.float32)


def rounded_distance_mm(mask: Mask, *, rounded: float) -> npt.NDArray[np.float32]:
    """The mask's signed distance, its flat faces and the steps between slices rounded by a Gaussian of so many of the largest voxel spacings."""
    spacing_mm = np.array(mask.geometry.spacing_mm[::-1])
    return np.asarray(ndimage.gaussian_filter(signed_distance_mm(mask), rounded * spacing_mm.max() / spacing_mm, mode="nearest"))


def resample_mask(mask: Mask, onto: Geometry, *, keep_volume: bool = False) -> Mask:
    """The same region on another grid of the same frame of reference, by linear interpolation of its signed distance.

    On its own grid it is the same mask, whatever it looks like. A region within another one stays within it, unless `keep_volume` is
    asked for: then the surface of each of its pieces is moved by up to half a voxel so that its volume is kept, of which small regions
    on thick slices lose some at their caps otherwise. Refused (GeometryError): another frame of reference, a region
    that the other grid would cut, if only through its outermost voxels, and one so small that it holds no centre of the other grid.
    An empty mask stays empty.
    """
    grids.require_same_frame(onto, mask.geometry, what="A mask cannot be resampled into another frame of reference")
    if mask.geometry.is_same_grid(onto):
        return Mask(mask.inside, onto)
    inside = np.zeros(onto.shape, dtype=bool)
    if mask.is_empty:
        return Mask(inside, onto)
    _refuse_cut(mask, onto)
    for piece in pieces(mask) if keep_volume else [mask]:
        _add(piece, inside, onto, keep_volume=keep_volume)
    if not inside.any():
        small = f"{1000 * mask.volume_cm3:.1f} mm³ without a voxel centre"
        raise GeometryError("A mask is too small for the grid that it is resampled onto", found=small)
    return Mask(inside, onto)


def _add(piece: Mask, inside: npt.NDArray[np.bool_], onto: Geometry, *, keep_volume: bool) -> None:
    """Set the voxels of `inside` whose centres lie within the piece."""
    crop = _with_room(piece)
    window, target, sampled = _sampled(crop, onto)
    reach_mm = max(_longest_step_mm(crop.geometry), _longest_step_mm(target)) / 2
    inside[window] |= sampled < (level_that_keeps_volume(sampled, target, 1000 * piece.volume_cm3, reach_mm=reach_mm) if keep_volume else 0.0)


def sampled_distance_mm(mask: Mask, onto: Geometry) -> tuple[tuple[slice, ...], Geometry, npt.NDArray[np.float32]]:
    """The mask's signed distance, interpolated linearly, on the part of another grid that holds it and some room: slices z y x, their grid, values.

    Voxels beyond the other grid are not in it. An empty mask is refused.
    """
    return _sampled(_with_room(mask), onto)


def _sampled(crop: Mask, onto: Geometry) -> tuple[tuple[slice, ...], Geometry, npt.NDArray[np.float32]]:
    start, size = onto.box_around(_corners(crop.geometry))
    target = onto.crop(start, size)
    distance = signed_distance_mm(crop)
    sampled = np.stack([_sample(distance, crop.geometry.to_index(centres)) for centres in _slices(target)])
    return tuple(slice(i, i + n) for i, n in zip(start[::-1], size[::-1], strict=True)), target, sampled


def pieces(mask: Mask) -> list[Mask]:
    """The parts of a mask that do not touch, not even at a corner; beyond the 50 largest the rest as one. An empty mask has none."""
    if mask.is_empty:
        return []
    start, size = mask.box()
    window = tuple(slice(i, i + n) for i, n in zip(start[::-1], size[::-1], strict=True))
    number, count = ndimage.label(mask.inside[window], structure=np.ones((3, 3, 3)))
    if count == 1:
        return [mask]
    by_size = np.argsort(-np.bincount(number.ravel())[1:], kind="stable") + 1
    groups = [[int(one)] for one in by_size[:MOST_PIECES]] + ([by_size[MOST_PIECES:]] if count > MOST_PIECES else [])
    found = []
    for group in groups:
        inside = np.zeros(mask.geometry.shape, dtype=bool)
        inside[window] = np.isin(number, group)
        found.append(Mask(inside, mask.geometry))
    return found


def evenly(volume: Volume, *, step_mm: float | None = None) -> Volume:
    """The CT on slices at even distances (step_mm; the smallest distance there is where not given), linear between slices, same type.

    The first slice stays where it is and none lies beyond the last. A CT with even slices is given back as it is.
    Gaps are filled with what lies above and below them: tissue that no image shows. So this is only done where it is asked for.
    """
    known = volume.geometry.offsets_mm
    if volume.geometry.is_even and step_mm is None:
        return volume
    step = float(np.diff(known).min()) if step_mm is None else step_mm
    if not step > 0:
        raise InputError("Slices need a distance", expected="step_mm above 0", found=step_mm)
    offsets = np.arange(0.0, known[-1] + 1e-6 * step, step)
    above = np.clip(np.searchsorted(known, offsets, side="right"), 1, len(known) - 1)
    share = (offsets - known[above - 1]) / (known[above] - known[above - 1])
    x, y, _ = volume.geometry.size
    hu = np.empty((len(offsets), y, x), volume.hu.dtype)
    for each, (k, t) in enumerate(zip(above, np.clip(share, 0.0, 1.0), strict=True)):
        between = (1 - t) * volume.hu[k - 1] + t * volume.hu[k]
        hu[each] = np.round(between) if np.issubdtype(hu.dtype, np.integer) else between
    dx, dy, _ = volume.geometry.spacing_mm
    even = replace(volume.geometry, size=(x, y, len(offsets)), spacing_mm=(dx, dy, step), slice_offsets_mm=None)
    return Volume(hu, even)


def _to_nearest(inside: npt.NDArray[np.bool_], geometry: Geometry, z_mm: Floats) -> Floats:
    """The distance of each voxel centre from the nearest one that is inside, where slices lie at z_mm; 0 within."""
    x_mm, y_mm, _ = geometry.spacing_mm
    if geometry.is_even:
        return np.asarray(ndimage.distance_transform_edt(~inside, sampling=geometry.spacing_mm[::-1]))
    squared = np.full(inside.shape, np.inf)
    for k in np.flatnonzero(inside.any(axis=(1, 2))):
        within_plane = ndimage.distance_transform_edt(~inside[k], sampling=(y_mm, x_mm)) ** 2
        for z in range(len(z_mm)):
            np.minimum(squared[z], within_plane + (z_mm[z] - z_mm[k]) ** 2, out=squared[z])
    return np.asarray(np.sqrt(squared))


def _padded(z_mm: Floats, alone_mm: float) -> Floats:
    """Slice positions with one more at either end, as far off as the last step (a single slice: its own thickness)."""
    first, last = (z_mm[1] - z_mm[0], z_mm[-1] - z_mm[-2]) if len(z_mm) > 1 else (alone_mm, alone_mm)
    return np.asarray(np.r_[z_mm[0] - first, z_mm, z_mm[-1] + last])


def _with_room(mask: Mask) -> Mask:
    """The mask cropped to its box and set into one voxel of outside all round, also where it touches the edge of its grid.

    Above and below stand the slices that are next in its grid, as far off as they are; one more where the grid ends.
    """
    start, size = mask.box()
    crop = mask.crop(start, size)
    geometry = crop.geometry
    if geometry.is_even:
        z_mm = _padded(geometry.offsets_mm, geometry.spacing_mm[2])
    else:
        whole = _padded(mask.geometry.offsets_mm, geometry.spacing_mm[2])
        z_mm = whole[start[2] : start[2] + size[2] + 2] - whole[start[2] + 1]
    origin = geometry.origin_mm + geometry.matrix @ (-geometry.spacing_mm[0], -geometry.spacing_mm[1], z_mm[0])
    wider = Geometry(
        (size[0] + 2, size[1] + 2, size[2] + 2),
        geometry.spacing_mm,
        (origin[0], origin[1], origin[2]),
        geometry.direction,
        geometry.frame_of_reference,
        None if geometry.is_even else tuple(z_mm - z_mm[0]),
    )
    return Mask(np.pad(crop.inside, 1), wider)


def _longest_step_mm(geometry: Geometry) -> float:
    """The longest way from a voxel centre to the next along an axis of the grid."""
    x_mm, y_mm, z_mm = geometry.spacing_mm
    steps = np.diff(geometry.slice_offsets_mm or ())
    return max(x_mm, y_mm, float(steps.max()) if steps.size else z_mm)


def _corners(geometry: Geometry) -> Floats:
    """The patient coordinates of the eight outermost voxel centres."""
    return geometry.to_patient(_of_box(np.zeros(3), np.array(geometry.size) - 1.0))


def _of_box(low: Floats, high: Floats) -> Floats:
    """The eight corners of a box between two of them, x y z, shape (8, 3)."""
    return np.array(list(product(*zip(low, high, strict=True))))


def _slices(geometry: Geometry) -> Iterator[Floats]:
    """The patient coordinates of voxel centres, slice by slice, shape (y, x, 3) each."""
    y, x = np.meshgrid(np.arange(geometry.size[1], dtype=float), np.arange(geometry.size[0], dtype=float), indexing="ij")
    for z in range(geometry.size[2]):
        yield geometry.to_patient(np.stack([x, y, np.full_like(x, z)], axis=-1))


def _sample(distance: npt.NDArray[np.float32], index: Floats) -> npt.NDArray[np.float32]:
    """The distance, interpolated linearly at fractional indices x y z, shape (y, x, 3); far outside beyond the array."""
    places = np.moveaxis(index[..., ::-1], -1, 0) + HALF_OPEN
    return np.asarray(ndimage.map_coordinates(distance, places, order=1, mode="constant", cval=float(distance.max())))


def level_that_keeps_volume(sampled: npt.NDArray[np.float32], onto: Geometry, volume_mm3: float, *, reach_mm: float) -> float:
    """The distance, within reach of zero, below which voxels have most nearly the given volume; zero where that has exactly it.

    From half a voxel's volume on that is at least one voxel, where one is within reach: nothing vanishes between two slices.
    """
    each = np.broadcast_to(onto.slice_volumes_mm3[:, None, None], sampled.shape)
    if abs(float(each[sampled < 0].sum()) - volume_mm3) < 1e-6 * volume_mm3:
        return 0.0
    near = np.abs(sampled) <= reach_mm
    order = np.argsort(sampled[near], kind="stable")
    levels, first = np.unique(sampled[near][order], return_index=True)
    if not len(levels):
        return 0.0
    below = float(each[sampled < -reach_mm].sum()) + np.r_[0.0, np.cumsum(each[near][order])][first]
    levels, below = np.r_[levels, np.nextafter(levels[-1], np.float32(np.inf))], np.r_[below, float(each[sampled <= levels[-1]].sum())]
    if volume_mm3 >= onto.slice_volumes_mm3.min() / 2:
        levels, below = levels[below > 0], below[below > 0]
    return float(levels[np.abs(below - volume_mm3).argmin()])


def _refuse_cut(mask: Mask, onto: Geometry) -> None:
    """A region of which voxels, not only their centres, reach beyond the other grid's outer faces would lose that part in silence."""
    start, size = mask.box()
    low = np.array(start) - 0.5 + MAY_STICK_OUT
    high = np.array(start) + size - 0.5 - MAY_STICK_OUT
    if onto.contains(mask.geometry.to_patient(_of_box(low, high))).all():
        return
    centres = np.argwhere(mask.inside)[:, ::-1]
    within = np.ones(len(centres), dtype=bool)
    for corner in _of_box(np.full(3, MAY_STICK_OUT - 0.5), np.full(3, 0.5 - MAY_STICK_OUT)):
        within &= onto.contains(mask.geometry.to_patient(centres + corner))
    if not within.all():
        share = 100 * (1 - np.count_nonzero(within) / within.size)
        raise GeometryError(
            "A region reaches beyond the grid that it is resampled onto",
            expected="all of it within the grid",
            found=f"{share:.1f} % of its voxels outside, wholly or in part",
            do="Draw it on a CT that holds all of it",
        )
