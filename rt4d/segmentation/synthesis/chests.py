"""One host becomes many chests: another size, posture, form and density, on a grid of the network's space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rt4d.geometry import Geometry
from rt4d.phantom.soft import step
from rt4d.segmentation.synthesis import hosts
from rt4d.segmentation.synthesis.fields import Array, log_uniform, rotation, smooth_noise
from rt4d.segmentation.synthesis.hosts import Host, Tissue

SPACING_MM = 2.5
ELASTIC = ((130.0, 9.0), (60.0, 4.0), (32.0, 1.8))
"""Grain and strength in mm of the elastic warp's parts: weak enough never to fold."""


@dataclass(slots=True, eq=False)
class Chest:
    """A chest on its way to become a scan, changed in place: `hu` float32 and `tissue`, z y x on a 2.5 mm grid; where its carina lies.

    contrast_hu: by how much blood is brighter than without contrast medium. places: where each voxel lies in the host, as indices z y x.
    """

    hu: Array
    tissue: Tissue
    geometry: Geometry
    carina_z: float
    contrast_hu: float
    places: Array


def lay_out(host: Host, rng: np.random.Generator) -> Chest:
    """A chest of the host's tissues after an affine and elastic warp, flip and crop; its HU are still to come (`image`)."""
    places, carina_z = _places(host, rng)
    tissue = tissue_at(host, places)
    if _was_flipped(places):
        tissue = _sides_swapped(tissue)
    nz, ny, nx = tissue.shape
    geometry = Geometry((nx, ny, nz), (SPACING_MM,) * 3)
    return Chest(np.full(tissue.shape, -1000.0, np.float32), tissue, geometry, carina_z, _contrast(rng), places)


def image(chest: Chest, host: Host, rng: np.random.Generator) -> None:
    """Give the chest its HU: the host's, with other lung density, fat and contrast medium, with or without a couch. In place."""
    chest.hu = look_up(host, chest.places)
    if rng.random() < 0.6:
        chest.hu[_away_from_body(chest.tissue)] = -1000.0
    _change_lungs(chest, rng)
    _change_soft_tissue(chest, rng)


def tissue_at(host: Host, places: Array) -> Tissue:
    """The host's tissue at indices z y x, of the nearest voxel."""
    return np.asarray(ndimage.map_coordinates(host.tissue, places, order=0, mode="nearest", prefilter=False))


def look_up(host: Host, places: Array) -> Array:
    """The host's HU at indices z y x, linear; beyond its first and last slices they go on."""
    return np.asarray(ndimage.map_coordinates(host.hu, places, order=1, output=np.float32, mode="nearest", prefilter=False))


def lung_of(tissue: Tissue) -> npt.NDArray[np.bool_]:
    """Where either lung is."""
    return np.asarray((tissue == hosts.RIGHT_LUNG) | (tissue == hosts.LEFT_LUNG))


def hilum_of(chest: Chest, lung: int) -> npt.NDArray[np.float64]:
    """About where that lung's hilum is, index z y x: 2 cm below the carina, beside the middle of the mediastinum; it may lie outside the grid."""
    z = chest.carina_z - 8
    k = int(np.clip(z, 0, chest.tissue.shape[0] - 1))
    middle, other = np.argwhere(chest.tissue[k] == hosts.MEDIASTINUM), np.argwhere(chest.tissue[k] == lung)
    if not len(middle) or not len(other):
        return np.array([z, chest.tissue.shape[1] / 2, chest.tissue.shape[2] / 2])
    y, x = middle.mean(axis=0)
    return np.array([z, y, x + 10 * np.sign(other[:, 1].mean() - x)])


def _places(host: Host, rng: np.random.Generator) -> tuple[Array, float]:
    """The host's indices z y x of every voxel of the new grid, shape (3, z, y, x), and the slice (fractional) of the carina there."""
    lung = np.argwhere(lung_of(host.tissue)[::4, ::4, ::4]) * 4.0
    low, high = lung.min(axis=0), lung.max(axis=0)
    scale = rng.uniform(0.8, 1.25) ** 0.7 * rng.uniform(0.88, 1.13, 3)  # new size : host's
    shape, middle = _frame((high - low) * host.geometry.spacing_mm[0] * scale, rng)
    turn = rotation(rng, 10.0) + rng.uniform(-0.05, 0.05, (3, 3)) * (1 - np.eye(3))
    flip = np.array([1.0, 1.0, -1.0 if rng.random() < 0.3 else 1.0])
    matrix = (np.diag(flip) @ turn) / (scale * host.geometry.spacing_mm[0])[:, None]
    axes = [(np.arange(n, dtype=np.float32) - m) * SPACING_MM for n, m in zip(shape, middle, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    bent = [axis + _bent(shape, rng) for axis in (z, y, x)]
    if rng.random() < 0.3:
        bent[0] -= _raised_diaphragm(z, y, x, (high - low) * host.geometry.spacing_mm[0] * scale, rng)
    centre = (low + high) / 2
    places = np.empty((3, *shape), dtype=np.float32)
    for row in range(3):
        places[row] = centre[row] + sum(np.float32(matrix[row, k]) * bent[k] for k in range(3))
    carina = (host.carina_z_mm - host.geometry.origin_mm[2]) / host.geometry.spacing_mm[2] - centre[0]
    return places, float(middle[0] + carina / matrix[0, 0] / SPACING_MM)


def _frame(lungs_mm: npt.NDArray[np.float64], rng: np.random.Generator) -> tuple[tuple[int, int, int], npt.NDArray[np.float64]]:
    """Size z y x of the new grid and the index of the lungs' middle in it: with room around, sometimes cut at the top or the bottom."""
    before, after = (rng.uniform((2, 20, 20), (25, 60, 55)) for _ in range(2))
    if rng.random() < 0.25:
        before[0] = -rng.uniform(0, 0.3) * lungs_mm[0]
    if rng.random() < 0.15:
        after[0] = -rng.uniform(0, 0.2) * lungs_mm[0]
    size = np.ceil((lungs_mm + before + after) / SPACING_MM).astype(int)
    return (int(size[0]), int(size[1]), int(size[2])), (before + lungs_mm / 2) / SPACING_MM


def _bent(shape: tuple[int, int, int], rng: np.random.Generator) -> Array:
    """How far one coordinate is moved, mm."""
    strength = rng.uniform(0.4, 1.3)
    return np.asarray(sum(np.float32(strength * mm) * smooth_noise(shape, SPACING_MM, grain, rng) for grain, mm in ELASTIC), dtype=np.float32)


def _raised_diaphragm(z: Array, y: Array, x: Array, lungs_mm: npt.NDArray[np.float64], rng: np.random.Generator) -> Array:
    """How far the base of one lung is pushed up, mm."""
    at = lungs_mm * (rng.uniform(-0.45, -0.25), rng.uniform(-0.15, 0.15), rng.choice([-1, 1]) * rng.uniform(0.18, 0.3))
    far = ((z - at[0]) / 60) ** 2 + ((y - at[1]) / 50) ** 2 + ((x - at[2]) / 42) ** 2
    return np.asarray(np.float32(rng.uniform(8, 34)) * np.exp(-far / 2), dtype=np.float32)


def _was_flipped(places: Array) -> bool:
    middle = places.shape[1] // 2, places.shape[2] // 2
    return bool(places[2][middle][-1] < places[2][middle][0])


def _sides_swapped(tissue: Tissue) -> Tissue:
    swap = np.arange(8, dtype=np.uint8)
    swap[[hosts.RIGHT_LUNG, hosts.LEFT_LUNG]] = hosts.LEFT_LUNG, hosts.RIGHT_LUNG
    return swap[tissue]


def _away_from_body(tissue: Tissue) -> npt.NDArray[np.bool_]:
    return np.asarray(~ndimage.binary_dilation(tissue != hosts.OUTSIDE))


def _contrast(rng: np.random.Generator) -> float:
    return float(rng.uniform(30, 180)) if rng.random() < 0.5 else 0.0


def _change_lungs(chest: Chest, rng: np.random.Generator) -> None:
    """Lung density from emphysema to exhalation, unevenly, denser towards the back; vessels keep their brightness."""
    lung = ndimage.gaussian_filter(lung_of(chest.tissue).astype(np.float32), 0.7)
    shape = chest.hu.shape
    factor = log_uniform(rng, 0.6, 1.9) * np.exp(np.float32(rng.uniform(0.02, 0.15)) * smooth_noise(shape, SPACING_MM, 60.0, rng))
    slope = np.linspace(-0.5, 0.5, shape[1], dtype=np.float32)[None, :, None] * np.float32(rng.uniform(0, 0.6))
    airy = step((-550.0 - chest.hu) / 200.0).astype(np.float32) * lung
    chest.hu += airy * np.clip((chest.hu + 1000) * (factor * (1 + slope) - 1), -90, 300)
    if rng.random() < 0.25:
        chest.hu -= airy * _emphysema(shape, rng)
    chest.hu += lung * np.float32(chest.contrast_hu) * step((chest.hu + 500.0) / 450.0)


def _emphysema(shape: tuple[int, int, int], rng: np.random.Generator) -> Array:
    """Holes in the lungs, up to 120 HU deep."""
    holes = smooth_noise(shape, SPACING_MM, rng.uniform(8, 20), rng) + 0.7 * smooth_noise(shape, SPACING_MM, 70.0, rng)
    return np.asarray(np.clip(holes - 0.4, 0, 1) * np.float32(rng.uniform(40, 120)), dtype=np.float32)


def _change_soft_tissue(chest: Chest, rng: np.random.Generator) -> None:
    """Fat and muscle shifted; contrast medium in heart and vessels, unevenly, and less of it in organs and muscle."""
    soft = step((chest.hu + 60.0) / 80.0).astype(np.float32) * (chest.hu < 250)
    fat = step((chest.hu + 300.0) / 150.0).astype(np.float32) * (1 - soft) * (chest.hu < 250)
    chest.hu += soft * np.float32(rng.uniform(-15, 12)) + fat * np.float32(rng.uniform(-20, 15))
    if chest.contrast_hu == 0:
        return
    middle = ndimage.gaussian_filter((chest.tissue == hosts.MEDIASTINUM).astype(np.float32), 0.8)
    uneven = 0.75 + 0.3 * smooth_noise(chest.hu.shape, SPACING_MM, 55.0, rng)
    blood = step((chest.hu - 5.0) / 30.0).astype(np.float32)
    chest.hu += middle * blood * np.clip(uneven, 0.1, 1.5) * np.float32(chest.contrast_hu)
    abdomen = ndimage.gaussian_filter((chest.tissue == hosts.ABDOMEN).astype(np.float32), 0.8)
    chest.hu += (0.25 * abdomen * blood + 0.08 * (1 - middle - abdomen) * soft) * np.float32(chest.contrast_hu)
