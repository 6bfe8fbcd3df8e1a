"""A phase as the scanner shows it: the reference raster looked up through the motion, tumours with their true edges, noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rt4d.geometry import Geometry
from rt4d.phantom.breathing import Breathing
from rt4d.phantom.case import Target, box_in_phase
from rt4d.phantom.raster import Raster, in_threads, slice_points, window
from rt4d.phantom.soft import Array, cover
from rt4d.phantom.tumours import Tumour

AIR = -1000.0
SUB = 3
"""A voxel that a tumour's surface crosses is looked at in SUB³ places."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviation in HU, width of a Gaussian kernel in voxels, and where the chance begins."""

    hu: float
    smooth_voxels: float
    seed: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """How much of each voxel of a box (start x y z; array z y x) a material of `hu` covers."""

    start: tuple[int, int, int]
    share: npt.NDArray[np.float32]
    hu: float


def phase_image(
    raster: Raster, motion: Breathing, label: str, geometry: Geometry, tumours: Sequence[Tumour], noise: Noise, *, workers: int | None = None
) -> npt.NDArray[np.int16]:
    """HU of a phase, shape z y x; its slices side by side on the cores there are, each with its own chance."""
    patches = [tumour_patch(tumour, motion, label, geometry) for tumour in tumours]
    hu = np.empty(geometry.shape, dtype=np.int16)

    def make(k: int) -> None:
        image = _looked_up(raster, motion, label, geometry, k)
        for patch in patches:
            _paint(image, patch, k)
        hu[k] = add_noise(image, noise, k)

    in_threads(make, range(geometry.size[2]), workers=workers)
    return hu


def add_noise(image: npt.NDArray[np.float32], noise: Noise, k: int) -> npt.NDArray[np.int16]:
    """Slice k with its noise, as int16 from −1024 HU."""
    if noise.hu > 0:
        grain = np.random.default_rng((*noise.seed, k)).standard_normal(image.shape, dtype=np.float32)
        if noise.smooth_voxels > 0:
            grain = ndimage.gaussian_filter(grain, noise.smooth_voxels, mode="wrap")
            grain /= grain.std()
        image = image + np.float32(noise.hu) * grain
    return np.clip(np.rint(image), -1024, 3071).astype(np.int16)


def tumour_patch(tumour: Tumour, motion: Breathing, label: str, geometry: Geometry) -> Patch:
    """The share of each voxel that the tumour covers in a phase; voxels that its surface crosses are divided."""
    start, size = box_in_phase(tumour, motion, label, geometry)
    part = geometry.crop(start, size)
    centres = part.centres().reshape(-1, 3)
    distance = _distance(tumour, motion, label, centres)
    share = (distance < 0).astype(np.float32)
    edge = np.flatnonzero(np.abs(distance) < 0.75 * np.linalg.norm(part.spacing_mm))
    steps = (np.arange(SUB) - (SUB - 1) / 2) / SUB
    offsets = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3) * part.spacing_mm @ part.matrix.T
    inside = np.zeros(len(edge))
    for offset in offsets:
        inside += cover(_distance(tumour, motion, label, centres[edge] + offset), float(np.mean(part.spacing_mm)) / SUB)
    share[edge] = inside / len(offsets)
    return Patch(start, share.reshape(part.shape), tumour.hu)


def _distance(target: Target, motion: Breathing, label: str, points: Array) -> Array:
    return target.distance_mm(*motion.pull_back(label, *np.moveaxis(points, -1, 0)))


def _looked_up(raster: Raster, motion: Breathing, label: str, geometry: Geometry, k: int) -> npt.NDArray[np.float32]:
    """Slice k of a phase, where the raster reaches."""
    image = np.full((geometry.size[1], geometry.size[0]), AIR, dtype=np.float32)
    part = window(geometry, raster.geometry)
    if part is not None and part[0][2] <= k < part[0][2] + part[1][2]:
        (x, y, z), (nx, ny, nz) = part
        points = slice_points(geometry.crop((x, y, z), (nx, ny, nz)), k - z)
        image[y : y + ny, x : x + nx] = raster.look_up(*motion.pull_back(label, *points))
    return image


def _paint(image: npt.NDArray[np.float32], patch: Patch, k: int) -> None:
    x, y, z = patch.start
    nz, ny, nx = patch.share.shape
    if z <= k < z + nz:
        part = image[y : y + ny, x : x + nx]
        part += patch.share[k - z] * (patch.hu - part)
