"""What a tumour looks like inside: Hounsfield units by depth, with the grain, necrosis, rim, calcium, cavity or ground glass of real ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from rt4d.phantom.soft import step
from rt4d.segmentation.synthesis.fields import Array, Shape3, grain, smooth_noise
from rt4d.volumes import Mask, Volume

GLASS_HU = (-700.0, -350.0)


@dataclass(frozen=True, slots=True)
class Look:
    """One tumour's look. base_hu: of its solid part; grain_hu: of its texture. necrotic, cavity: from which depth (parts of the radius) on, 0 for
    none. rim_hu: by how much its edge is brighter. calcium: share of calcified spots. glass: how much of it, from outside, is ground glass (1: all).
    """

    base_hu: float
    grain_hu: float
    necrotic: float = 0.0
    cavity: float = 0.0
    rim_hu: float = 0.0
    calcium: float = 0.0
    glass: float = 0.0
    glass_hu: float = -550.0


def any_look(rng: np.random.Generator, *, volume_cm3: float, contrast_hu: float, in_lung: bool) -> Look:
    """A look as often as it is met at that volume: necrosis in large, ground glass in small tumours of the lung."""
    enhanced = min(contrast_hu, 100.0) * rng.uniform(0.1, 0.5)
    look = {"base_hu": rng.uniform(18, 52) + enhanced, "grain_hu": rng.uniform(2, 12)}
    large = step(np.log(volume_cm3 / 4) / np.log(20))
    if rng.random() < 0.1 + 0.35 * large:
        look |= {"necrotic": rng.uniform(0.25, 0.6), "rim_hu": 0.5 * enhanced * rng.random()}
    if rng.random() < 0.02 + 0.06 * large and in_lung:
        look |= {"cavity": rng.uniform(0.3, 0.6)}
    if rng.random() < 0.08:
        look |= {"calcium": rng.uniform(0.002, 0.03)}
    if in_lung and rng.random() < 0.16 * (1 - large):
        look |= {"glass": 1.0 if rng.random() < 0.25 else rng.uniform(0.2, 0.7), "glass_hu": rng.uniform(*GLASS_HU)}
    return Look(**{name: float(value) for name, value in look.items()})


def fill(look: Look, distance_mm: Array, host_hu: Array, *, radius_mm: float, spacing_mm: float, rng: np.random.Generator) -> Array:
    """HU of the tumour everywhere on the grid, to be mixed with the host by the tumour's share; distance negative inside."""
    shape: Shape3 = distance_mm.shape
    hu = np.full(shape, look.base_hu, dtype=np.float32)
    hu += np.float32(look.grain_hu) * (0.7 * smooth_noise(shape, spacing_mm, 7.0, rng) + 0.7 * smooth_noise(shape, spacing_mm, 22.0, rng))
    wave = np.float32(0.16) * smooth_noise(shape, spacing_mm, max(0.6 * radius_mm, 6.0), rng)
    depth = -distance_mm / np.float32(radius_mm) + wave
    hu += np.float32(look.rim_hu) * np.exp(-(((depth - 0.12) / 0.12) ** 2))
    if look.necrotic:
        hu += (np.float32(rng.uniform(0, 18)) - hu) * step((depth - look.necrotic) / 0.15)
    if look.cavity:
        hu += (np.float32(rng.uniform(-980, -750)) - hu) * step((depth - look.cavity) / (2 * spacing_mm / radius_mm))
    if look.calcium:
        spots = grain(shape, 0.8, rng)
        hu += np.float32(rng.uniform(150, 500)) * (spots > np.quantile(spots, 1 - look.calcium))
    return _with_glass(hu, look, depth, host_hu, rng)


def _with_glass(hu: Array, look: Look, depth: Array, host_hu: Array, rng: np.random.Generator) -> Array:
    """Ground glass where it is not deep enough to be solid: the lung with its vessels, only denser."""
    if not look.glass:
        return hu
    patchy = np.float32(look.glass_hu) + 60 * smooth_noise(hu.shape, 2.5, 9.0, rng)
    glass = np.maximum(patchy, host_hu + 0.25 * (patchy + 1000))
    solid = step((depth - look.glass) / 0.3) if look.glass < 1 else np.float32(0)
    return np.asarray(glass + (hu - glass) * solid, dtype=np.float32)


def grain_of_nodule(image: Volume, nodule: Mask, shape: Shape3, rng: np.random.Generator) -> Array | None:
    """A real nodule's texture (HU around its own mean), stretched or tiled over a grid; None where it has too little inside."""
    inside = ndimage.binary_erosion(nodule.inside)
    if np.count_nonzero(inside) < 150:
        return None
    values = np.clip(image.hu, -120, 130).astype(np.float32)
    values -= values[inside].mean()
    nearest = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    box = ndimage.find_objects(inside.astype(np.uint8))[0]
    tile = values[tuple(nearest)][box]
    tile = np.concatenate([tile, tile[::-1]], axis=0)
    reps = [int(np.ceil(n / m)) for n, m in zip(shape, tile.shape, strict=True)]
    tiled = np.tile(np.pad(tile, [(0, m) if r > 1 else (0, 0) for m, r in zip(tile.shape, reps, strict=True)], mode="symmetric"), reps)
    start = [int(rng.integers(0, t - n + 1)) for t, n in zip(tiled.shape, shape, strict=True)]
    a, b, c = (slice(s, s + n) for s, n in zip(start, shape, strict=True))
    return np.ascontiguousarray(tiled[a, b, c])


def rays(distance_mm: Array, middle: tuple[float, float, float], *, reach_mm: float, rng: np.random.Generator) -> Array:
    """Strands that leave the surface radially and fade over `reach_mm`, 0 to 1; middle: index z y x of what they come from."""
    away = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) - m for n, m in zip(distance_mm.shape, middle, strict=True)), indexing="ij"))
    direction = away / np.maximum(np.sqrt((away**2).sum(axis=0)), 1e-3)
    sphere = grain((40, 40, 40), 0.9, rng)
    level = ndimage.map_coordinates(sphere, direction * np.float32(15) + np.float32(19.5), order=1, mode="nearest", prefilter=False)
    fade = np.exp(-np.maximum(distance_mm, 0) / np.float32(reach_mm)) * (distance_mm < 3 * reach_mm)
    return np.asarray(step((level - 0.6) / 0.7) * fade, dtype=np.float32)
