"""Slices on which nothing was drawn, between planes on which something was: interpolated by shape, and only where that was asked for.

Between two planes the signed distance from their contours is interpolated linearly (Raya and Udupa 1990): what is inside where it is
negative. Two circles give the circle between them, holes stay holes, and what is on one plane only tapers towards the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from rt4d.dicom.rasterise import Bools, Boundary, rasterise
from rt4d.geometry import Floats, Geometry

FINER_FOR_CENTRES, FINER_FOR_SHARES = 5, 9
"""Points per voxel along x and y at which distances are taken: odd, so that one of them is its centre."""
MOST_POINTS = 600_000
"""In one plane; larger regions are sampled less finely."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Slices between two neighbouring drawn planes: each slice's number, and its share of the way from `below` to `above`."""

    below: Sequence[Floats]
    above: Sequence[Floats]
    slices: tuple[tuple[int, float], ...]


def gaps_between(planes: Mapping[float, Sequence[Floats]], on: Geometry, *, drawn: Sequence[int]) -> list[Gap]:
    """The gaps to be filled. planes: contours (index coordinates x y) by their offset along the normal in mm; drawn: slices that have their own."""
    offsets = sorted(planes)
    slices: dict[int, list[tuple[int, float]]] = {}
    for z, offset in enumerate(on.offsets_mm.tolist()):
        if z not in drawn and offsets[0] < offset < offsets[-1]:
            above = int(np.searchsorted(offsets, offset))
            share = (offset - offsets[above - 1]) / (offsets[above] - offsets[above - 1])
            slices.setdefault(above, []).append((z, share))
    return [Gap(planes[offsets[k - 1]], planes[offsets[k]], tuple(found)) for k, found in slices.items()]


def slices_at_the_ends(planes: Mapping[float, Sequence[Floats]], on: Geometry) -> dict[int, Sequence[Floats]]:
    """Slices just beyond the first and last plane, within half the usual distance of planes, that these planes stand for too."""
    offsets = sorted(planes)
    half = float(np.median(np.diff(offsets))) / 2 if len(offsets) > 1 else on.spacing_mm[2] / 2
    noise = 1e-6 * half
    found: dict[int, Sequence[Floats]] = {}
    for z, offset in enumerate(on.offsets_mm.tolist()):
        if offsets[0] - half - noise <= offset < offsets[0]:
            found[z] = planes[offsets[0]]
        elif offsets[-1] < offset < offsets[-1] + half - noise:
            found[z] = planes[offsets[-1]]
    return found


def between(gap: Gap, on: Geometry, *, boundary: Boundary, on_centre: float, finer: int) -> tuple[list[Bools], tuple[int, int], int]:
    """What is inside on each slice of a gap, the first voxel (x, y) that it covers, and how many points per voxel and axis: `finer` or fewer."""
    corners = np.concatenate([*gap.below, *gap.above])
    width, height = on.size[:2]
    left, top = np.clip(np.floor(corners.min(axis=0)) - 1, (-width, -height), (2 * width, 2 * height)).astype(int).tolist()
    right, bottom = np.clip(np.ceil(corners.max(axis=0)) + 2, (left + 1, top + 1), (2 * width + 2, 2 * height + 2)).astype(int).tolist()
    shape = bottom - top, right - left
    while finer > 1 and shape[0] * shape[1] * finer**2 > MOST_POINTS:
        finer -= 2
    below, above = (
        _signed_distance_mm(_finely([points - (left, top) for points in plane], shape, boundary, on_centre, finer), on, finer)
        for plane in (gap.below, gap.above)
    )
    return [(1 - share) * below + share * above < 0 for _, share in gap.slices], (left, top), finer


def _finely(polygons: Sequence[Floats], shape: tuple[int, int], boundary: Boundary, on_centre: float, finer: int) -> Bools:
    """The plane at `finer` points per voxel and axis; where contours mark whole voxels, these."""
    if boundary == "inclusive":
        voxels = rasterise(polygons, shape, boundary=boundary, on_centre=on_centre)
        return voxels.repeat(finer, axis=0).repeat(finer, axis=1)
    fine = [points * finer + (finer - 1) / 2 for points in polygons]
    return rasterise(fine, (shape[0] * finer, shape[1] * finer), on_centre=on_centre)


def _signed_distance_mm(inside: Bools, on: Geometry, finer: int) -> Floats:
    """Negative inside; where nothing is inside, as far as the plane is wide."""
    sampling = on.spacing_mm[1] / finer, on.spacing_mm[0] / finer
    if not inside.any():
        return np.full(inside.shape, float(np.hypot(*np.multiply(inside.shape, sampling))))
    return np.asarray(ndimage.distance_transform_edt(~inside, sampling=sampling) - ndimage.distance_transform_edt(inside, sampling=sampling))
