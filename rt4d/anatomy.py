"""The body and the lungs on a CT, found by density and shape: no network, any orientation, a second or two for a planning CT.

Work is done on block means of about 3 mm, upright in the patient (superior up, whatever the grid), and brought back to the CT's grid.
A tumour or fluid that reaches the chest wall is not lung here: unite the result with its contour where that matters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from rt4d.errors import InputError
from rt4d.geometry import Geometry
from rt4d.volumes import Mask, Volume

WORK_MM = 3.0
TISSUE_HU, LUNG_HU = -350.0, -400.0
"""Between air and soft tissue; between lung and soft tissue, half-way."""
AROUND_HU, WALLED = -950.0, 0.75
"""What the edge of the image cuts open is lung where its median is higher and the body makes up so much of its wall (a couch's foam has its own)."""
BETWEEN, ENCLOSED = 0.75, 0.5
"""And where so much of it lies between the body's parts: a cushion moulded around a patient does not. What tissue encloses needs less of a wall."""
IN_VIEW = 30.0, 0.05
"""Air around the patient is in view where this share of a slice's edge is darker by so much; where it is not, that second rule cannot hold."""
ABOVE_DARKEST_HU = 50.0
"""What is cut open is also denser by this than the darkest of the CT: in cone-beam and clipped CTs the air around the patient is above -950 HU."""
PADDED_HU = -1500.0
"""Below it nothing was imaged: outside a round field of view."""
ROOM_HU = -975.0
"""Air that arms or cushions enclose has a darker median; lungs with emphysema have none so dark."""
LUNG_PART = 0.06, 0.4
"""A part of the air belongs to the lungs from this share of the largest part's volume on, and of its height."""
SMALLEST_LUNGS_CM3 = 150.0
LARGEST_LUNGS = 12_000.0, 550.0
"""In cm³, and in cm² of a slice, the mean: what is larger is the air around a patient that is taken for part of one, as where 0 HU pads the image."""
AIRWAYS_CM3 = (4.0, 110.0)
"""Trachea and main bronchi of adults, with some room; more means that the lungs have been entered."""

LARGEST_HOLE_MM2 = 1500.0

Bools = npt.NDArray[np.bool_]
Millimetres = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class _Upright:
    """Block means of a CT, axes superior→inferior reversed to z y x of the patient (LPS): index 0 is inferior, anterior, right.

    Where nothing was imaged, outside a round field of view, they are those of the nearest place of the slice that was.
    """

    hu: npt.NDArray[np.float32]
    imaged: Bools
    spacing_mm: Millimetres
    blocks: tuple[int, int, int]
    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    geometry: Geometry

    @property
    def voxel_cm3(self) -> float:
        return float(np.prod(self.spacing_mm)) / 1000

    def on_grid(self, inside: Bools) -> Mask:
        """A mask of the blocks on the CT's own grid: linear between the blocks' centres, cut at one half."""
        share = (inside & self.imaged).astype(np.float32)
        for axis, flip in enumerate(self.flipped):
            share = np.flip(share, axis) if flip else share
        share = share.transpose(np.argsort(self.axes))
        places = [(np.arange(n) - (block - 1) / 2) / block for n, block in zip(self.geometry.shape, self.blocks, strict=True)]
        return Mask(_cut_between(share, places), self.geometry)


def body(volume: Volume) -> Mask:
    """The patient without table and air around, lungs and other air inside filled. Refused where there is no body (InputError)."""
    upright = _upright(volume)
    return upright.on_grid(_body(upright))


def lungs(volume: Volume) -> Mask:
    """Both lungs with their vessels; without trachea and main bronchi, bowel gas and the air around the patient.

    Refused (InputError) where no lungs are found: less than 150 cm³ of them, more than anybody has, or values that are not HU.
    """
    return lungs_and_body(volume)[0]


def lungs_and_body(volume: Volume) -> tuple[Mask, Mask]:
    """As `lungs` and `body` give them, in little more than the time of one."""
    upright = _upright(volume)
    inside = _body(upright)
    return upright.on_grid(_lungs(upright, inside)), upright.on_grid(inside)


def _lungs(upright: _Upright, inside: Bools) -> Bools:
    air = (upright.hu < LUNG_HU) & inside
    airways = _airways(upright, inside)
    found = _lung_parts(air & ~_walls(airways), upright)
    _require_size(found, upright)
    return _filled(found, upright) & ~airways


def _require_size(lungs: Bools, upright: _Upright) -> None:
    """Refuse lungs that are none: too small, or larger than anybody's."""
    _, y_mm, x_mm = upright.spacing_mm
    voxels, slices = int(np.count_nonzero(lungs)), int(np.count_nonzero(lungs.any(axis=(1, 2))))
    volume_cm3, section_cm2 = voxels * upright.voxel_cm3, voxels * y_mm * x_mm / 100 / max(slices, 1)
    most_cm3, most_cm2 = LARGEST_LUNGS
    if volume_cm3 < SMALLEST_LUNGS_CM3:
        raise InputError(
            "No lungs were found on this CT",
            expected=f"at least {SMALLEST_LUNGS_CM3:.0f} cm³ of air-filled tissue inside the body",
            found=f"{volume_cm3:.0f} cm³",
            do="Check that the CT shows a thorax in Hounsfield units",
        )
    if volume_cm3 > most_cm3 or section_cm2 > most_cm2:
        raise InputError(
            "No lungs were found on this CT",
            expected=f"at most {most_cm3:.0f} cm³, and {most_cm2:.0f} cm² of a slice",
            found=f"{volume_cm3:.0f} cm³ of air, {section_cm2:.0f} cm² of a slice",
            do="Check that what was not imaged is padded with air or less (-1000 HU), not with 0",
        )


def _upright(volume: Volume) -> _Upright:
    geometry = volume.geometry
    blocks = tuple(min(max(1, round(WORK_MM / s)), n) for s, n in zip(geometry.spacing_mm[::-1], geometry.shape, strict=True))
    means = _block_means(volume.hu, blocks)
    by_patient = np.abs(geometry.matrix)
    taken: list[int] = []
    for axis in (2, 1, 0):  # patient z, y, x: which index axis runs along it most
        order = np.argsort(-by_patient[axis])
        taken.append(next(int(i) for i in order if int(i) not in taken))
    axes = tuple(2 - i for i in taken)
    flipped = tuple(bool(geometry.matrix[p, i] < 0) for p, i in zip((2, 1, 0), taken, strict=True))
    hu = means.transpose(axes)
    for axis, flip in enumerate(flipped):
        hu = np.flip(hu, axis) if flip else hu
    spacing = tuple(geometry.spacing_mm[i] * blocks[2 - i] for i in taken)
    hu = np.ascontiguousarray(hu)
    imaged = hu > PADDED_HU
    return _Upright(
        ndimage.gaussian_filter(hu if imaged.all() else _carried_on(hu, imaged), 0.6),
        imaged,
        (spacing[0], spacing[1], spacing[2]),
        (blocks[0], blocks[1], blocks[2]),
        (axes[0], axes[1], axes[2]),
        (flipped[0], flipped[1], flipped[2]),
        geometry,
    )


def _carried_on(hu: npt.NDArray[np.float32], imaged: Bools) -> npt.NDArray[np.float32]:
    """Slice by slice, with the nearest value wherever nothing was imaged and in the blocks next to it, which are partly so."""
    whole = hu.copy()
    for k, seen in enumerate(imaged):
        sure = ndimage.binary_erosion(seen, np.ones((3, 3), dtype=bool), border_value=1)
        if not sure.all() and sure.any():
            nearest = ndimage.distance_transform_edt(~sure, return_distances=False, return_indices=True)
            whole[k] = hu[k][tuple(nearest)]
    return whole


def _block_means(hu: npt.NDArray[Any], blocks: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Means of whole blocks; what is left over at the end belongs to no block."""
    counts = [n // b for n, b in zip(hu.shape, blocks, strict=True)]
    whole = hu[tuple(slice(0, n * b) for n, b in zip(counts, blocks, strict=True))]
    total = np.zeros(counts, dtype=np.float32)
    for z in range(blocks[0]):
        for y in range(blocks[1]):
            for x in range(blocks[2]):
                total += whole[z :: blocks[0], y :: blocks[1], x :: blocks[2]]
    return total / np.float32(np.prod(blocks))


def _body(upright: _Upright) -> Bools:
    """What belongs to the largest thing thicker than a table's shell, filled slice by slice; gaps in a thin chest wall are bridged for that."""
    tissue = upright.hu > TISSUE_HU
    spacing = upright.spacing_mm
    near, interior = _thick_part(tissue, spacing)
    if not near.any():
        raise InputError("No body was found on this CT", expected="tissue above -350 HU", found=f"{upright.hu.max():.0f} HU at most")
    inside = (tissue & near) | interior
    around_hu = max(AROUND_HU, float(np.percentile(upright.hu, 0.05)) + ABOVE_DARKEST_HU)
    filled = np.array([ndimage.binary_fill_holes(one) for one in inside])
    slices = [_air(upright.hu[k], tissue[k], near[k], filled[k], around_hu) for k in range(len(inside))]
    mostly = np.mean([around for _, around in slices]) > 0.5
    for k, (parts, around) in enumerate(slices):
        for part in parts:
            if not (around or mostly) or _lies_between(tissue[k] & near[k] & upright.imaged[k], part & upright.imaged[k]):
                filled[k] |= ndimage.binary_dilation(part)
        filled[k] = ndimage.binary_fill_holes(filled[k])
    return filled


def _air(hu: npt.NDArray[np.float32], tissue: Bools, near: Bools, filled: Bools, around_hu: float) -> tuple[list[Bools], bool]:
    """What else of a slice may be air within the body; and whether air around the patient is in view.

    Behind a wall too thin to be the body's surely, or cut open by the image's edge, denser than the air around a patient and walled by the body.
    """
    edge = np.ones_like(tissue)
    edge[1:-1, 1:-1] = False
    around = bool(np.mean(hu[edge] < around_hu - IN_VIEW[0]) > IN_VIEW[1])
    spaces, _ = ndimage.label(~tissue)
    outside = np.unique(spaces[edge & ~tissue])
    closed = tissue | ndimage.binary_erosion(ndimage.binary_dilation(tissue), border_value=1)
    parts, _ = ndimage.label(~closed)
    found = []
    for number in np.unique(parts[~closed & ~filled]):
        part = parts == number
        solid = ndimage.binary_fill_holes(part)  # vessels and tumours within a lung are no wall
        wall = ndimage.binary_dilation(solid) & ~solid
        least = WALLED if (part & edge).any() else ENCLOSED
        tight = spaces[part][0] not in outside
        if (tight or np.median(hu[part]) > around_hu) and np.count_nonzero(wall & near) > least * np.count_nonzero(wall):
            found.append(part)
    return found, around


def _lies_between(tissue: Bools, part: Bools) -> bool:
    """Whether a part of a slice lies between those of a tissue; or nearly, where a cut is oblique: more so than the tissue bulges into it."""
    if not (part.any() and tissue.any()):
        return False
    between, bulging = float(np.mean(_hull(tissue)[part])), float(np.mean(tissue[_hull(part)]))
    return between > min(BETWEEN, bulging)


def _hull(inside: Bools) -> Bools:
    """The convex hull of a part of a slice; of what lies in one line, the part."""
    try:
        hull = ConvexHull(np.argwhere(inside & ~ndimage.binary_erosion(inside)))
    except QhullError:
        return inside
    outward, offset = hull.equations[:, :2], hull.equations[:, 2]
    return np.asarray(np.all(np.moveaxis(np.indices(inside.shape), 0, -1) @ outward.T + offset < 0.5, axis=-1))


def _thick_part(tissue: Bools, spacing_mm: Millimetres) -> tuple[Bools, Bools]:
    """Where the body's tissue may lie, and what surely lies deep inside: found on every second point along each axis, and spread from there."""
    in_plane = np.ones((1, 3, 3), dtype=bool)
    core = _largest(ndimage.binary_erosion(tissue, in_plane, iterations=max(1, round(3.0 / spacing_mm[1])), border_value=1))
    steps = [2 if spacing < 4 else 1 for spacing in spacing_mm]
    z, y, x = (slice(None, None, step) for step in steps)
    wide = (spacing_mm[0] * steps[0], spacing_mm[1] * steps[1], spacing_mm[2] * steps[2])
    near = _grown(core[z, y, x], 9.0, wide)
    filled = _shrunk(_grown(tissue[z, y, x] & near, 14.0, wide), 14.0, wide)
    for k in range(len(filled)):
        filled[k] = ndimage.binary_fill_holes(filled[k])
    return _spread(near, steps, tissue.shape), _spread(_shrunk(filled, 9.0, wide), steps, tissue.shape)


def _spread(some: Bools, steps: list[int], shape: tuple[int, ...]) -> Bools:
    for axis, step in enumerate(steps):
        some = np.repeat(some, step, axis=axis)
    return some[tuple(slice(0, n) for n in shape)]


def _airways(upright: _Upright, inside: Bools) -> Bools:
    """Trachea and main bronchi, grown from the first seed from above that leads to as much air as they hold."""
    airways = np.zeros_like(inside)
    for k, j, i in _trachea_seeds(upright, inside):
        reach = [round(75 / mm) for mm in upright.spacing_mm[1:]]
        box = slice(0, k + 12), slice(max(0, j - reach[0]), j + reach[0]), slice(max(0, i - reach[1]), i + reach[1])
        grown = _grown_airways(upright.hu[box], inside[box], (k, j - box[1].start, i - box[2].start), upright.voxel_cm3)
        if grown is not None:
            airways[box] = grown
            break
    return airways


def _grown_airways(hu: npt.NDArray[np.float32], inside: Bools, seed: tuple[int, int, int], voxel_cm3: float) -> Bools | None:
    """With the highest limit in HU that does not let it run into the lungs; None where it is too little to be the trachea."""
    least, most = AIRWAYS_CM3
    for limit in range(-700, -1000, -15):
        labels, _ = ndimage.label((hu < limit) & inside)
        grown = labels == labels[seed]
        volume = np.count_nonzero(grown) * voxel_cm3
        if labels[seed] == 0 or volume < least:
            return None
        if volume <= most:
            return np.asarray(grown)
    return None


def _walls(airways: Bools) -> Bools:
    """The airways and the blocks around them."""
    return np.asarray(ndimage.binary_dilation(airways))


def _trachea_seeds(upright: _Upright, inside: Bools) -> Iterator[tuple[int, int, int]]:
    """From above, the darkest point of each air space that is as wide as a trachea, near the middle, and goes on in the next slice."""
    hu, (_, y_mm, x_mm) = upright.hu, upright.spacing_mm
    columns = np.flatnonzero(inside.any(axis=(0, 1)))
    middle = (columns[0] + columns[-1]) / 2
    for k in range(len(hu) - 2, max(len(hu) * 2 // 5, 1), -1):
        labels, count = ndimage.label((hu[k] < -600) & inside[k])
        for number in range(1, count + 1):
            spot = labels == number
            area = np.count_nonzero(spot) * y_mm * x_mm
            x = np.flatnonzero(spot.any(axis=0)).mean()
            goes_on = (hu[k - 1] < -600)[spot].mean() > 0.5
            if 60 <= area <= 1000 and abs(x - middle) * x_mm < 30 and goes_on and _is_round(spot):
                j, i = np.unravel_index(np.where(spot, hu[k], np.inf).argmin(), spot.shape)
                yield k, int(j), int(i)


def _is_round(spot: Bools) -> bool:
    rows, columns = np.flatnonzero(spot.any(axis=1)), np.flatnonzero(spot.any(axis=0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    return bool(max(height, width) <= 2.5 * min(height, width) and np.count_nonzero(spot) > 0.45 * height * width)


def _lung_parts(air: Bools, upright: _Upright) -> Bools:
    """The largest air-filled part and those that are as tall, nearly: gas in stomach and bowel is not, nor is what is as dark as the room's air."""
    labels, count = ndimage.label(air)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    for number in np.flatnonzero(sizes > LUNG_PART[0] * sizes.max()):
        if np.median(upright.hu[labels == number]) < ROOM_HU:
            sizes[number] = 0
    if not sizes.any():
        return np.zeros_like(air)
    boxes = ndimage.find_objects(labels)
    first = int(sizes.argmax())
    tall = boxes[first - 1][0].stop - boxes[first - 1][0].start
    keep = [
        n
        for n in np.flatnonzero(sizes > LUNG_PART[0] * sizes[first])
        if n == first or (boxes[n - 1][0].stop - boxes[n - 1][0].start) > LUNG_PART[1] * tall
    ]
    return np.isin(labels, keep)


def _filled(found: Bools, upright: _Upright) -> Bools:
    """With the vessels and small holes inside: closed by 8 mm, and filled slice by slice where a hole is smaller than the mediastinum."""
    box = ndimage.find_objects(found.astype(np.uint8))[0]
    padded = np.pad(found[box], 5)
    closed = _shrunk(_grown(padded, 8.0, upright.spacing_mm), 8.0, upright.spacing_mm)
    closed = (closed | padded)[5:-5, 5:-5, 5:-5]
    area = upright.spacing_mm[1] * upright.spacing_mm[2]
    for k in range(len(closed)):
        holes, _ = ndimage.label(ndimage.binary_fill_holes(closed[k]) & ~closed[k])
        small = np.bincount(holes.ravel()) * area < LARGEST_HOLE_MM2
        small[0] = False
        closed[k] |= small[holes]
    filled = np.zeros_like(found)
    filled[box] = closed
    return filled


def _grown(inside: Bools, by_mm: float, spacing_mm: Millimetres) -> Bools:
    if not inside.any() or by_mm <= 0:
        return inside
    return np.asarray(ndimage.distance_transform_edt(~inside, sampling=spacing_mm) <= by_mm)


def _shrunk(inside: Bools, by_mm: float, spacing_mm: Millimetres) -> Bools:
    return np.asarray(ndimage.distance_transform_edt(inside, sampling=spacing_mm) > by_mm)


def _largest(inside: Bools) -> Bools:
    labels, count = ndimage.label(inside)
    if count == 0:
        return inside
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


def _cut_between(share: npt.NDArray[np.float32], places: list[npt.NDArray[np.float64]]) -> Bools:
    """Where the share, linear between its points, exceeds one half, at fractional places along each axis (the outermost go on)."""
    for axis in (2, 1):
        share = _between(share, places[axis], axis)
    inside = np.empty(tuple(len(p) for p in places), dtype=bool)
    for k, place in enumerate(places[0]):
        inside[k] = _between(share, np.array([place]), 0)[0] > 0.5
    return inside


def _between(values: npt.NDArray[np.float32], places: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.float32]:
    n = values.shape[axis]
    places = np.clip(places, 0, n - 1)
    lower = np.minimum(np.floor(places).astype(int), max(n - 2, 0))
    upper = np.minimum(lower + 1, n - 1)
    f = (places - lower).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    return np.asarray(np.take(values, lower, axis=axis) * (1 - f) + np.take(values, upper, axis=axis) * f)
