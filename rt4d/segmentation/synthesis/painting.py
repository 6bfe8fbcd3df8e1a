"""A placed tumour becomes visible: its texture, strands and halo in the lung, vessels that go on in it."""

from __future__ import annotations

import numpy as np

from rt4d.phantom.soft import step
from rt4d.segmentation.synthesis import hosts
from rt4d.segmentation.synthesis.chests import Chest, hilum_of, lung_of
from rt4d.segmentation.synthesis.fields import Array, log_uniform, smooth_noise
from rt4d.segmentation.synthesis.inserting import Placed
from rt4d.segmentation.synthesis.material import Nodule
from rt4d.segmentation.synthesis.texture import Look, any_look, fill, grain_of_nodule, rays


def paint_tumour(chest: Chest, placed: Placed, nodule: Nodule | None, rng: np.random.Generator) -> Look:
    """Put the tumour into the chest's HU, in place; with a real nodule's texture where one is given. What it was made to look like."""
    hu, spacing = chest.hu[placed.window], chest.geometry.spacing_mm[0]
    in_lung = placed.kind in ("parenchymal", "pleural", "basal", "apical")
    look = any_look(rng, volume_cm3=placed.volume_cm3, contrast_hu=chest.contrast_hu, in_lung=in_lung)
    inside = fill(look, placed.distance_mm, hu, radius_mm=placed.radius_mm, spacing_mm=spacing, rng=rng)
    if nodule is not None:
        texture = grain_of_nodule(*nodule.read(), hu.shape, rng)
        inside = inside if texture is None else inside + np.float32(rng.uniform(0.15, 0.5)) * texture
    if placed.kind != "nodal":
        _paint_around(chest, placed, look, rng)
    if placed.kind == "nodal" and rng.random() < (0.65 if chest.contrast_hu > 60 else 0.97):
        _paint_fat(chest, placed, rng)
    share = placed.share
    if placed.kind != "nodal" and chest.contrast_hu > 50 and rng.random() < 0.6:
        share = share * (1 - _going_on(chest, placed, inside, rng))
    hu += share * (inside - hu)
    return look


def _strands(chest: Chest, placed: Placed, rng: np.random.Generator) -> Array:
    """Up to four vessels and bronchi that lead to it from the hilum, and tags to the pleura, as far as the window goes: 0 to 1."""
    shape, spacing = placed.distance_mm.shape, chest.geometry.spacing_mm[0]
    found = np.zeros(shape, dtype=np.float32)
    axis = hilum_of(chest, placed.lung) - placed.middle
    axis /= max(float(np.linalg.norm(axis)), 1e-3)
    sides = [np.arange(s.start, s.stop, dtype=np.float32) - np.float32(m) for s, m in zip(placed.window, placed.middle, strict=True)]
    away = np.stack(np.meshgrid(*sides, indexing="ij")) * np.float32(spacing)
    for _ in range(int(rng.integers(0, 5))):
        inwards = rng.random() < 0.65
        way = (axis if inwards else -axis) + 0.35 * rng.standard_normal(3)
        way = (way / np.linalg.norm(way)).astype(np.float32)
        along = np.tensordot(way, away, axes=1)
        bow = np.float32(rng.normal(0, 0.006)) * along**2
        across = np.sqrt(np.maximum((away**2).sum(axis=0) - along**2, 0)) + bow
        width = rng.uniform(1.2, 3.2) if inwards else rng.uniform(0.6, 1.4)
        end = placed.radius_mm + rng.uniform(8, 40)
        share = np.clip(0.5 + (width - np.abs(across)) / spacing, 0, 1) * (along > 0) * step((end - along) / 8)
        found = np.maximum(found, np.float32(rng.uniform(0.5, 1)) * share.astype(np.float32))
    return found


def _paint_fat(chest: Chest, placed: Placed, rng: np.random.Generator) -> None:
    """A rim of mediastinal fat around a node, here and there interrupted: what makes it visible on a CT."""
    hu, spacing = chest.hu[placed.window], chest.geometry.spacing_mm[0]
    around = np.maximum(placed.distance_mm, 0)
    patchy = step(smooth_noise(hu.shape, spacing, 14.0, rng) + 1.2)
    thick = np.float32(rng.uniform(2.5, 6.0))
    share = patchy * step((thick + spacing - around) / spacing) * (chest.tissue[placed.window] == hosts.MEDIASTINUM)
    hu += share.astype(np.float32) * np.float32(rng.uniform(0.5, 0.95)) * (np.float32(rng.uniform(-115, -75)) - hu)


def _going_on(chest: Chest, placed: Placed, inside: Array, rng: np.random.Generator) -> Array:
    """How much of each voxel stays as it was: the lung's enhanced vessels where the tumour surrounds them."""
    brighter = step((chest.hu[placed.window] - inside - 40) / 50) * lung_of(chest.tissue[placed.window])
    return np.asarray(np.float32(rng.uniform(0.3, 0.9)) * brighter, dtype=np.float32)


def _paint_around(chest: Chest, placed: Placed, look: Look, rng: np.random.Generator) -> None:
    """Strands and a halo in the lung around it, as often as physicians see them; not part of what is drawn."""
    hu, lung = chest.hu[placed.window], lung_of(chest.tissue[placed.window])
    middle = tuple(m - s.start for m, s in zip(placed.middle, placed.window, strict=True))
    around = np.zeros(hu.shape, dtype=np.float32)
    if rng.random() < 0.55:
        reach = log_uniform(rng, 4.0, 14.0)
        around = np.float32(rng.uniform(0.3, 0.9)) * rays(placed.distance_mm, middle, reach_mm=reach, rng=rng)
    if rng.random() < 0.3:
        halo = np.float32(rng.uniform(0.05, 0.25)) * np.exp(-np.maximum(placed.distance_mm, 0) / np.float32(rng.uniform(3, 8)))
        around = np.maximum(around, halo)
    around = np.maximum(around, _strands(chest, placed, rng)) * lung * (placed.share < 0.5)
    hu += around * np.maximum(look.base_hu - hu, 0)
