"""A real nodule set into another lung as it is, with the strands and vessels around it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from rt4d.phantom.soft import step
from rt4d.segmentation.synthesis import hosts
from rt4d.segmentation.synthesis.chests import Chest, lung_of
from rt4d.segmentation.synthesis.fields import Array
from rt4d.segmentation.synthesis.inserting import COARSE, Floats, Ground, Window
from rt4d.segmentation.synthesis.material import Nodule
from rt4d.volumes import Mask, Volume

REACH_MM = 6.0
"""So far from the nodule what is brighter than the lung comes with it."""
SCALES = (0.8, 1.8)
DRAWS = 10
SMALLEST_CM3 = 0.25
CALCIFIED_HU = 150.0
"""A nodule that is denser is a scar of an infection: no tumour."""
WALL_HU = -150.0
"""What is brighter outside the nodule is the wall or a large vessel of its own chest, and stays there."""


def transplant(chest: Chest, ground: Ground, nodules: Sequence[Nodule], volume_cm3: float, rng: np.random.Generator) -> tuple[Nodule, Array] | None:
    """Set one of the nodules into a lung at about that volume, in place: which one, and the share of each of the chest's voxels that it is.

    None where there is no room, or none of a few drawn ones is large enough.
    """
    lung = int(rng.choice([hosts.RIGHT_LUNG, hosts.LEFT_LUNG]))
    sites = (ground.depth_mm[lung] > 4.0) & (ground.tissue == lung)
    if not sites.any():
        return None
    middle = np.argwhere(sites)[rng.integers(np.count_nonzero(sites))].astype(float) * COARSE
    for _ in range(DRAWS):
        nodule = nodules[int(rng.integers(len(nodules)))]
        image, mask = nodule.read()
        if _is_flat(mask) or float(np.median(image.hu[mask.inside])) > CALCIFIED_HU:
            continue
        scale = float(np.clip(np.cbrt(volume_cm3 / max(mask.volume_cm3, 1e-3)), *SCALES))
        window, index = _own_places(chest, middle, mask, scale, rng)
        inside = lung_of(chest.tissue[window])
        share, found, far = _looked_up(chest, image, mask, scale, index)
        share *= inside
        whole = np.zeros(chest.hu.shape, dtype=np.float32)
        whole[window] = share
        if float(share.sum()) * chest.geometry.voxel_volume_mm3 / 1000 >= SMALLEST_CM3:
            _mix(chest.hu[window], share, found, step((REACH_MM - far) / REACH_MM) * inside)
            return nodule, whole
    return None


def _looked_up(chest: Chest, image: Volume, mask: Mask, scale: float, index: Array) -> tuple[Array, Array, Array]:
    """At the chest's voxels: the nodule's share, the crop's HU as blurred as the chest's voxels make it, and how far from the nodule in mm."""
    spacing = np.array(image.geometry.spacing_mm[::-1])
    voxel = chest.geometry.spacing_mm[0] / scale / spacing
    soft = ndimage.gaussian_filter(mask.inside.astype(np.float32), 0.3 * voxel)
    blurred = ndimage.gaussian_filter(np.clip(image.hu, -1000, 600).astype(np.float32), 0.35 * voxel)
    away = ndimage.distance_transform_edt(~mask.inside, sampling=spacing).astype(np.float32) * np.float32(scale)
    share = ndimage.map_coordinates(soft, index, order=1, mode="constant", cval=0.0, prefilter=False)
    found = ndimage.map_coordinates(blurred, index, order=1, mode="nearest", prefilter=False)
    far = ndimage.map_coordinates(away, index, order=1, mode="constant", cval=99.0, prefilter=False)
    return share, found, far


def _is_flat(mask: Mask) -> bool:
    """Whether the crop holds slices of a nodule rather than the nodule: less tall than half its width, or broad at its last slices."""
    z, y, x = (np.flatnonzero(mask.inside.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    if not z.size:
        return True
    tall, deep, wide = (np.ptp(found) * s for found, s in zip((z, y, x), mask.geometry.spacing_mm[::-1], strict=True))
    areas = mask.inside.sum(axis=(1, 2))[z]
    return bool(tall < 0.5 * max(deep, wide) or max(areas[0], areas[-1]) > 0.45 * areas.max())


def _mix(here: Array, share: Array, found: Array, weight: Array) -> None:
    """The nodule by its share, and what is brighter than the lung around it. In place."""
    around = np.where(found < WALL_HU, np.maximum(found, here), here)
    here += np.maximum(weight, share).astype(np.float32) * (share * found + (1 - share) * around - here)


def _own_places(chest: Chest, middle: Floats, mask: Mask, scale: float, rng: np.random.Generator) -> tuple[Window, Array]:
    """The window of the chest that the crop covers, and each of its voxels' index z y x in the crop, which is turned and mirrored by chance."""
    spacing = np.array(mask.geometry.spacing_mm[::-1])
    axes, flips = np.array([0, *rng.permutation([1, 2])]), rng.choice([-1.0, 1.0], 3)
    centre = np.array(ndimage.center_of_mass(mask.inside))
    half = int(np.ceil(np.max(np.array(mask.inside.shape) * spacing) * scale / 2 / chest.geometry.spacing_mm[0])) + 4
    window = tuple(slice(max(int(m) - half, 0), min(int(m) + half + 1, n)) for m, n in zip(middle, chest.hu.shape, strict=True))
    sides = [(np.arange(s.start, s.stop, dtype=np.float32) - m) * chest.geometry.spacing_mm[0] for s, m in zip(window, middle, strict=True)]
    local = np.stack(np.meshgrid(*sides, indexing="ij"))
    index = np.stack([flips[a] * local[axes[a]] / (scale * spacing[a]) + centre[a] for a in range(3)])
    return (window[0], window[1], window[2]), index.astype(np.float32)
