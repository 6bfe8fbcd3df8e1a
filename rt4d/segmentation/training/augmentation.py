"""Patches as other patients, scanners and gatings would have shown them. Arrays are z y x; randomness comes from the generator given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array = npt.NDArray[np.float32]
AIR_HU = -1000.0
TURN_DEG, SCALES = 15.0, (0.85, 1.18)
FAR, FAR_VOXELS = 0.3, (1.3, 2.0)
"""Share of the patches seen from afar, through larger voxels: the whole of a large tumour with what is around it, for the bundle's coarser look."""
SLICES_MM, PIXELS_MM = (3.0, 6.5), (3.0, 5.5)
"""Thicknesses and pixels that 4D-CTs have."""


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """How a patch lies in its case: `matrix` takes an offset from the patch's middle (z y x voxels) to one from its centre in the case.

    voxel: how large the patch's voxels are, in the case's.
    """

    matrix: npt.NDArray[np.float64]
    voxel: float = 1.0

    @property
    def is_straight(self) -> bool:
        """Whether only flips are in it, so that no voxel need be interpolated."""
        return bool(np.array_equal(np.abs(self.matrix), np.eye(3)))

    @property
    def flipped(self) -> tuple[int, ...]:
        return tuple(axis for axis in range(3) if self.matrix[axis, axis] < 0)


def straight() -> Pose:
    return Pose(np.eye(3))


def random_pose(rng: np.random.Generator) -> Pose:
    """Left and right swapped in half, front and back in a fifth; three in ten through larger voxels, and of the others half turned by up to 15°
    about each axis and scaled by 0.85 to 1.18, as a smaller or larger patient."""
    flips = np.diag([1.0, -1.0 if rng.random() < 0.2 else 1.0, -1.0 if rng.random() < 0.5 else 1.0])
    if rng.random() < FAR:
        voxel = float(np.exp(rng.uniform(*np.log(FAR_VOXELS))))
        return Pose(flips * voxel, voxel)
    if rng.random() < 0.5:
        return Pose(flips)
    return Pose(_rotation(rng.uniform(-1, 1, 3) * np.radians([TURN_DEG, TURN_DEG / 2, TURN_DEG / 2])) @ flips / np.exp(rng.uniform(*np.log(SCALES))))


def taken(values: npt.NDArray[Any], centre: npt.NDArray[np.float64], pose: Pose, *, edge: int, outside: float) -> Array:
    """The cube of `edge` voxels about a voxel (z y x) of the array in a pose, linear; `outside` where the array ends."""
    if pose.is_straight:
        corner = np.round(centre).astype(int) - edge // 2
        return np.flip(_window(values, corner, edge, outside), pose.flipped) if pose.flipped else _window(values, corner, edge, outside)
    reach = int(np.ceil(np.abs(pose.matrix).sum(axis=1).max() * edge / 2)) + 2
    corner = np.round(centre).astype(int) - reach
    part = _window(values, corner, 2 * reach, outside)
    if pose.voxel > 1:  # a voxel shows the mean of what lies in it
        part = ndimage.gaussian_filter(part, np.sqrt((pose.voxel**2 - 1) / 12), truncate=3.0)
    middle = np.full(3, (edge - 1) / 2)
    offset = np.round(centre) - corner - pose.matrix @ middle
    return np.asarray(ndimage.affine_transform(part, pose.matrix, offset, output_shape=(edge,) * 3, order=1, mode="constant", cval=outside))


def other_scanner(hu: Array, rng: np.random.Generator, *, spacing_mm: float) -> Array:
    """The patch with other densities, thicker slices, larger pixels, blur and noise, each in some of the patches; float32 HU."""
    if rng.random() < 0.35:
        hu = _coarser(hu, (rng.uniform(*SLICES_MM), *(2 * [rng.uniform(*PIXELS_MM) if rng.random() < 0.4 else 0.0])), spacing_mm)
    elif rng.random() < 0.25:
        hu = ndimage.gaussian_filter(hu, rng.uniform(0.4, 1.0), truncate=3.0)
    if rng.random() < 0.6:
        hu = (hu - AIR_HU) * np.float32(rng.uniform(0.92, 1.08)) + np.float32(AIR_HU + rng.normal(0, 15))
    if rng.random() < 0.4:
        grains = rng.standard_normal(hu.shape, dtype=np.float32)
        hu = hu + grains * np.float32(rng.uniform(5, 50))
    return hu


def other_contrast(image: Array, rng: np.random.Generator) -> Array:
    """The patch in [0, 1] with a gamma of 0.8 to 1.25, in a fifth of the patches."""
    return image ** np.float32(np.exp(rng.uniform(-0.22, 0.22))) if rng.random() < 0.2 else image


def _window(values: npt.NDArray[Any], corner: npt.NDArray[np.intp], edge: int, outside: float) -> Array:
    window = np.full((edge,) * 3, outside, dtype=np.float32)
    low, high = np.maximum(corner, 0), np.minimum(corner + edge, values.shape)
    if (high > low).all():
        there = tuple(slice(a, b) for a, b in zip(low - corner, high - corner, strict=True))
        window[there] = values[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return window


def _coarser(hu: Array, voxel_mm: tuple[float, ...], spacing_mm: float) -> Array:
    """Averaged over larger voxels (z y x; none where smaller than the patch's own) and brought back, linear."""
    import torch
    from torch.nn import functional

    size = [max(2, round(n * spacing_mm / max(mm, spacing_mm))) for n, mm in zip(hu.shape, voxel_mm, strict=True)]
    whole = torch.from_numpy(np.ascontiguousarray(hu))[None, None]
    coarse = functional.interpolate(whole, size=size, mode="area")
    return np.asarray(functional.interpolate(coarse, size=hu.shape, mode="trilinear", align_corners=False)[0, 0].numpy())


def _rotation(angles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Turned about z, y and x (radians), for coordinates z y x."""
    turned = np.eye(3)
    for axis, angle in enumerate(angles):
        one, two = (other for other in range(3) if other != axis)
        step = np.eye(3)
        step[one, one] = step[two, two] = np.cos(angle)
        step[one, two], step[two, one] = -np.sin(angle), np.sin(angle)
        turned = turned @ step
    return turned
