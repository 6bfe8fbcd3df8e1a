"""Tumour shapes at any size, as signed distances: real ones from masks, and parametric ones; turned, bent and roughened by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rt4d.errors import InputError
from rt4d.geometry import Geometry
from rt4d.phantom.soft import cover
from rt4d.resampling import signed_distance_mm
from rt4d.segmentation.synthesis.fields import Array, log_uniform, rotation, smooth_noise
from rt4d.segmentation.synthesis.material import MaskShape
from rt4d.volumes import Mask

FORM_VOXELS = 56
"""Along the longest axis of a form's grid."""
ROOM = 0.35
"""Around a form on its grid, in parts of its longest axis."""


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """A shape without a size: `distance` float32 z y x, negative inside, on an even grid; both in units of the radius of the ball of its volume.

    step: between grid points. The grid's middle is the form's own. name: of the material, 'parametric' where there is none.
    """

    distance: Array
    step: float
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """How a form is set into the world: `matrix` turns (z y x) and may stretch or mirror; `bend` and `rough` in parts of the radius; their chance."""

    matrix: npt.NDArray[np.float64]
    bend: float
    rough: float
    seed: int


def form_of_mask(shape: MaskShape, *, largest_only: bool) -> Form:
    """A real tumour's form, smoothed over its slices' steps; of several pieces all, or the largest alone."""
    inside = shape.inside
    if largest_only:
        labels, count = ndimage.label(inside)
        if count > 1:
            inside = labels == np.argmax(np.bincount(labels.ravel())[1:]) + 1
    box = ndimage.find_objects(inside.astype(np.uint8))[0]
    inside = inside[box]
    extent = float(max(n * s for n, s in zip(inside.shape, shape.spacing_mm[::-1], strict=True)))
    return _normalised(_even_distance(inside, shape.spacing_mm, extent), extent * (1 + 2 * ROOM) / FORM_VOXELS, shape.name)


def lobulated(rng: np.random.Generator) -> Form:
    """A parametric form: one to six balls grown together, their surface waved."""
    n = int(rng.integers(1, 7))
    centres = rng.standard_normal((n, 3)) * rng.uniform(0.25, 0.6)
    radii = rng.uniform(0.45, 1.0, n)
    half = float(np.max(np.linalg.norm(centres, axis=1) + radii)) * (1 + ROOM)
    axis = np.linspace(-half, half, FORM_VOXELS, dtype=np.float32)
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)
    away = [np.sqrt((z - c[0]) ** 2 + (y - c[1]) ** 2 + (x - c[2]) ** 2) - r for c, r in zip(centres, radii, strict=True)]
    blend = rng.uniform(0.06, 0.3)
    distance = -blend * np.log(np.sum([np.exp(-np.clip(d / blend, -30, 30)) for d in away], axis=0))
    step = 2 * half / (FORM_VOXELS - 1)
    distance += np.float32(rng.uniform(0, 0.12)) * smooth_noise(distance.shape, step, log_uniform(rng, 0.3, 0.9), rng)
    return _normalised(distance.astype(np.float32), step, "parametric")


def any_pose(rng: np.random.Generator, *, turn_degrees: float = 180.0, wild: float = 1.0) -> Pose:
    """A random turn, mirroring, stretch of the axes by up to a fifth, bending and roughness, `wild` times as strong."""
    stretch = np.exp(rng.uniform(-0.18, 0.18, 3))
    mirror = rng.choice([-1.0, 1.0], 3)
    matrix = rotation(rng, turn_degrees) @ np.diag(stretch / np.cbrt(np.prod(stretch)) * mirror)
    return Pose(matrix, float(wild * rng.uniform(0, 0.2)), float(wild * rng.uniform(0, 0.07)), int(rng.integers(2**31)))


def distance_at(form: Form, pose: Pose, *, radius_mm: float, centre_mm: npt.NDArray[np.float64], geometry: Geometry) -> Array:
    """The signed distance in mm (negative inside) from the posed form, at the voxel centres of an upright grid. centre_mm: x y z."""
    spacing = geometry.spacing_mm[0]
    rng = np.random.default_rng(pose.seed)
    sides = [(geometry.origin_mm[a] + np.arange(geometry.size[a]) * spacing - centre_mm[a]) / radius_mm for a in (2, 1, 0)]
    at = np.stack(np.meshgrid(*(side.astype(np.float32) for side in sides), indexing="ij"))
    for row in at:
        row += np.float32(0.5 * pose.bend) * smooth_noise(geometry.shape, spacing / radius_mm, 1.2, rng)
    inverse = np.linalg.inv(pose.matrix).astype(np.float32)
    index = np.asarray(np.tensordot(inverse, at, axes=1) / np.float32(form.step), dtype=np.float32)
    index += ((np.array(form.distance.shape, dtype=np.float32) - 1) / 2)[:, None, None, None]
    distance = ndimage.map_coordinates(form.distance, index, order=1, mode="nearest", prefilter=False)
    distance += _beyond(index, form.distance.shape) * np.float32(form.step)
    grain = max(0.22 * radius_mm, 2.5 * spacing)
    distance += np.float32(pose.rough) * smooth_noise(geometry.shape, spacing, grain, rng)
    return np.asarray(distance * np.float32(radius_mm), dtype=np.float32)


def share_of(distance_mm: Array, spacing_mm: float) -> Array:
    """Which share of each voxel lies inside, 0 to 1."""
    return np.asarray(cover(distance_mm, spacing_mm), dtype=np.float32)


def radius_of(volume_cm3: float) -> float:
    """The radius in mm of the ball of that volume."""
    return float(np.cbrt(750.0 * volume_cm3 / np.pi))


def _even_distance(inside: npt.NDArray[np.bool_], spacing_mm: tuple[float, float, float], extent_mm: float) -> Array:
    """Signed distance in mm on an even cubic grid around the mask, smooth."""
    room = [int(np.ceil(ROOM * extent_mm / s)) + 1 for s in spacing_mm[::-1]]
    padded = np.pad(inside, [(n, n) for n in room])
    coarse = max(1, round(extent_mm * (1 + 2 * ROOM) / FORM_VOXELS / spacing_mm[0] / 1.01))
    padded = padded[:, ::coarse, ::coarse]
    spacing = spacing_mm[0] * coarse, spacing_mm[1] * coarse, spacing_mm[2]
    nz, ny, nx = padded.shape
    distance = signed_distance_mm(Mask(np.ascontiguousarray(padded), Geometry((nx, ny, nz), spacing)))
    distance = ndimage.gaussian_filter(distance, [min(1.6, 0.03 * extent_mm) / s for s in spacing[::-1]])
    step = extent_mm * (1 + 2 * ROOM) / FORM_VOXELS
    at = (np.arange(FORM_VOXELS) - (FORM_VOXELS - 1) / 2) * step
    index = np.meshgrid(*((at / s + (n - 1) / 2).astype(np.float32) for s, n in zip(spacing[::-1], distance.shape, strict=True)), indexing="ij")
    return np.asarray(ndimage.map_coordinates(distance, np.stack(index), order=1, mode="nearest", prefilter=False))


def _normalised(distance: Array, step: float, name: str) -> Form:
    """In units of the radius of the ball of the same volume."""
    volume = float(share_of(distance, step).sum()) * step**3
    if volume <= 0:
        raise InputError("A shape without an inside", where=name)
    radius = float(np.cbrt(0.75 * volume / np.pi))
    return Form(np.asarray(distance / radius, dtype=np.float32), step / radius, name)


def _beyond(index: Array, shape: tuple[int, ...]) -> Array:
    """How far outside the grid, in grid steps."""
    far = [np.maximum(np.maximum(-i, i - (n - 1)), 0) for i, n in zip(index, shape, strict=True)]
    return np.asarray(np.sqrt(sum(f * f for f in far)), dtype=np.float32)
