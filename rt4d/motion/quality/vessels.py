"""Residual misalignment at points of the lung that are told from all others near them: branchings and bends of vessels, found and matched by itself.

A point is distinctive where its structure tensor has no weak direction (Förstner and Gülch 1987). It is looked for in the phase, pulled back to the
reference by the field, as the patch of highest normalised cross-correlation; a match counts where it is good, where no other place is nearly as
good, and where the way back from it leads to the point again. What registration left over is then the distance between the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rt4d.geometry import Floats, Geometry
from rt4d.motion.motion import Motion
from rt4d.motion.quality.check import Check, limited, nothing_to_measure
from rt4d.motion.quality.shift import vertex
from rt4d.motion.quality.surroundings import LUNG_HU, every_other, look_up
from rt4d.resampling import signed_distance_mm
from rt4d.volumes import Mask, Volume

NAME = "vessel_residual_mm"
NEAR_MM = 25.0
"""How far around the target points are sought."""
PATCH_MM = 5.0
SEARCH_MM = 8.0
"""Half the width of what is compared, and how far away it is sought."""
SAMPLE_MM = 1.5
"""Voxels smaller than this are passed over."""
CLIP_HU = (-1000.0, 50.0)
CORNER_HU_PER_MM = 6.0
"""The least gradient along the weakest direction: above what noise makes."""
APART_MM = 4.0
MOST, FEWEST = 50, 8
"""Points that are enough; matches fewer than which are no sample."""
GOOD = 0.8
UNIQUE = 0.1
"""The correlation that a match has at least, and by how much any other place has less."""
BACK_MM = 1.5
"""How near to itself a point comes by the match and the match of the match."""

Array = npt.NDArray[np.float32]
Index = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """Distinctive points of the reference near the target: their indices z y x in an image on `geometry`, and the half-widths in voxels."""

    index: npt.NDArray[np.intp]
    hu: Array
    geometry: Geometry
    patch: Index
    search: Index


def landmarks(motion: Motion, reference: Volume, mask: Mask) -> Landmarks:
    """At most MOST points, the most distinctive first, in lung near the target and away from what is no lung."""
    box = mask.box(NEAR_MM + PATCH_MM + SEARCH_MM)
    sx, sy, sz = (max(1, round(SAMPLE_MM / spacing)) for spacing in mask.geometry.spacing_mm)
    every = slice(None, None, sz), slice(None, None, sy), slice(None, None, sx)
    crop = mask.crop(*box)
    geometry = every_other(crop.geometry, (sx, sy, sz))
    hu = np.clip(reference.crop(*box).hu[every].astype(np.float32), *CLIP_HU)
    patch, search = _half_width(geometry, PATCH_MM, least=1), _half_width(geometry, SEARCH_MM, least=3)
    distance_mm = signed_distance_mm(crop)[every]
    sought = (distance_mm > 0) & (distance_mm < NEAR_MM) & motion.region.contains(geometry.centres())
    sought &= _in_lung(hu, patch) & _deep_enough(hu.shape, patch, search)
    return Landmarks(_distinctive(hu, geometry, sought), hu, geometry, patch, search)


def vessel_check(motion: Motion, label: str, phase: Volume, points: Landmarks) -> Check:
    """The median distance between points and their matches, in mm."""
    limit = motion.recipe.target_limits.vessel_residual_mm
    found = residuals_mm(motion, label, phase, points)
    if len(found) < FEWEST:
        said = f"{len(found)} of {len(points.index)} distinctive points near the target were found again, too few to tell (at least {FEWEST})"
        return nothing_to_measure(label, NAME, limit, said)
    words = f"{len(found)} distinctive points in the lung near the target lie {{:.1f}} mm from their match, by the median"
    return limited(label, NAME, float(np.median(np.linalg.norm(found, axis=1))), limit, words)


def residuals_mm(motion: Motion, label: str, phase: Volume, points: Landmarks) -> Floats:
    """From each point that was found again to its match in the phase pulled back, along the voxel axes x y z in mm, shape (n, 3)."""
    if not len(points.index):
        return np.empty((0, 3))
    centres = points.geometry.centres()
    pulled = np.clip(look_up(phase.hu, phase.geometry, centres + motion.fields[label].near(centres)), *CLIP_HU)
    spacing = np.array(points.geometry.spacing_mm)
    return np.array([way[::-1] * spacing for way in _matches(points, pulled)]).reshape(-1, 3)


def _matches(points: Landmarks, pulled: Array) -> Iterator[Floats]:
    """The way from a point to its match, in voxels z y x, for each point with a match that may be trusted."""
    room = [(search, search) for search in points.search]
    here, there = (_Searched.of(np.pad(hu, room, mode="edge"), points.patch) for hu in (points.hu, pulled))
    spacing = np.array(points.geometry.spacing_mm[::-1])
    apart = [max(1, round(2.0 / each)) for each in spacing]
    for index in points.index + np.array(points.search):
        score = there.scores(here, index, points.search)
        way = _confident(score, points.search, apart)
        if way is None:
            continue
        met = index + np.rint(way).astype(int)
        back = _best(here.scores(there, met, points.search), points.search)
        if np.linalg.norm((np.rint(way) + back) * spacing) <= max(BACK_MM, 1.01 * spacing.min()):
            yield way


@dataclass(frozen=True, slots=True, eq=False)
class _Searched:
    """An image and, at every voxel, the mean and the spread of the patch around it."""

    hu: Array
    mean: Array
    spread: Array
    patch: Index

    @classmethod
    def of(cls, hu: Array, patch: Index) -> _Searched:
        from scipy import ndimage

        size = [2 * half + 1 for half in patch]
        values = hu - hu.mean()
        mean = ndimage.uniform_filter(values, size, output=np.float64)
        square = ndimage.uniform_filter(values.astype(np.float64) ** 2, size)
        spread = np.sqrt(np.maximum(square - mean**2, 1e-6) * np.prod(size))
        return cls(values, mean.astype(np.float32), spread.astype(np.float32), patch)

    def scores(self, other: _Searched, index: npt.NDArray[np.intp], search: Index) -> Array:
        """How well the other image's patch at `index` fits at each place of this one up to `search` voxels away: correlations, z y x."""
        template = other.hu[_window(index, self.patch)] - other.mean[tuple(index)]
        block = self.hu[_window(index, np.add(self.patch, search))]
        patches = np.lib.stride_tricks.sliding_window_view(block, template.shape)
        fit = np.einsum("abcxyz,xyz->abc", patches, template, optimize=True)
        return np.asarray(fit / (self.spread[_window(index, search)] * other.spread[tuple(index)]))


def _window(index: npt.NDArray[np.intp], half: npt.ArrayLike) -> tuple[slice, ...]:
    """The voxels so near to one; the image holds them all: points lie deep enough in it, and it is padded for the search back."""
    return tuple(slice(int(i - h), int(i + h + 1)) for i, h in zip(index, np.asarray(half), strict=True))


def _confident(score: Array, search: Index, apart: list[int]) -> Floats | None:
    """The way to the best place, finer than a voxel; None where it is not good, not the only one, or where the search ends."""
    best = np.array(np.unravel_index(int(score.argmax()), score.shape))
    if score[tuple(best)] < GOOD or ((best == 0) | (best == np.array(score.shape) - 1)).any():
        return None
    others = score.copy()
    others[tuple(slice(max(0, b - a), b + a + 1) for b, a in zip(best, apart, strict=True))] = -1
    if others.max() > score[tuple(best)] - UNIQUE:
        return None
    fine = [vertex(score.astype(np.float64), best, axis) for axis in range(3)]
    return np.asarray(best - np.array(search) + fine)


def _best(score: Array, search: Index) -> Floats:
    best = np.unravel_index(int(score.argmax()), score.shape)
    return np.asarray(np.subtract(best, search), dtype=float)


def _half_width(geometry: Geometry, reach_mm: float, *, least: int) -> Index:
    x, y, z = (max(least, round(reach_mm / spacing)) for spacing in geometry.spacing_mm)
    return z, y, x


def _in_lung(hu: Array, patch: Index) -> npt.NDArray[np.bool_]:
    """Where the surroundings, a patch wide, are lung."""
    from scipy import ndimage

    return np.asarray(ndimage.uniform_filter(hu, [2 * half + 1 for half in patch]) < LUNG_HU)


def _deep_enough(shape: tuple[int, ...], patch: Index, search: Index) -> npt.NDArray[np.bool_]:
    """Where patch and search stay in the image."""
    inside = np.zeros(shape, dtype=bool)
    rims = np.add(patch, search)
    inside[tuple(slice(rim, n - rim) for rim, n in zip(rims, shape, strict=True))] = True
    return inside


def _distinctive(hu: Array, geometry: Geometry, sought: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """The indices z y x, shape (n, 3), of local maxima of the gradient along its weakest direction."""
    from scipy import ndimage

    strength = _corner_strength(hu, geometry)
    reach = [2 * max(1, round(APART_MM / 2 / spacing)) + 1 for spacing in geometry.spacing_mm[::-1]]
    peak = (strength == ndimage.maximum_filter(strength, reach)) & sought & (strength > CORNER_HU_PER_MM**2)
    index = np.argwhere(peak)
    order = np.argsort(-strength[peak], kind="stable")
    return np.asarray(index[order[:MOST]], dtype=np.intp)


def _corner_strength(hu: Array, geometry: Geometry) -> Array:
    """Förstner's strength: determinant of the structure tensor over the trace of its adjugate, near its smallest eigenvalue."""
    from scipy import ndimage

    spacing = np.array(geometry.spacing_mm[::-1])
    smooth = ndimage.gaussian_filter(hu, 1.0 / spacing)
    gz, gy, gx = np.gradient(smooth, *spacing)

    def mean(product: Array) -> Array:
        return np.asarray(ndimage.gaussian_filter(product, 2.5 / spacing, truncate=3.0))

    xx, yy, zz, xy, xz, yz = (mean(a * b) for a, b in ((gx, gx), (gy, gy), (gz, gz), (gx, gy), (gx, gz), (gy, gz)))
    minors = yy * zz - yz * yz, xx * zz - xz * xz, xx * yy - xy * xy
    determinant = xx * minors[0] - xy * (xy * zz - yz * xz) + xz * (xy * yz - yy * xz)
    return np.asarray(determinant / np.maximum(minors[0] + minors[1] + minors[2], 1e-6), dtype=np.float32)
