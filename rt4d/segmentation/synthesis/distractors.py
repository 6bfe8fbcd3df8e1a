"""What looks like a tumour and is none: fluid, collapsed lung, scars, vessels, calcium, nodes, lumps of the skin. All of it keeps label 0."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from rt4d.phantom.soft import step
from rt4d.segmentation.synthesis import hosts
from rt4d.segmentation.synthesis.chests import SPACING_MM, Chest, hilum_of
from rt4d.segmentation.synthesis.fields import Array, log_uniform, smooth_noise
from rt4d.segmentation.synthesis.inserting import COARSE, Bools, Floats, Ground, Placed

Distractor = Callable[[Chest, Ground, np.random.Generator], None]


def add_distractors(chest: Chest, ground: Ground, rng: np.random.Generator) -> list[str]:
    """Some of them, as often as they are met in patients with lung cancer or a little more; their names. In place."""
    added = []
    for name, (often, add) in DISTRACTORS.items():
        if rng.random() < often:
            add(chest, ground, rng)
            added.append(name)
    return added


def collapse_behind(chest: Chest, placed: Placed, rng: np.random.Generator) -> None:
    """Consolidated lung between a tumour and the chest wall, seen from the hilum. In place; to be called before the tumour is painted."""
    hilum = hilum_of(chest, placed.lung)
    axis = placed.middle - hilum
    length = float(np.linalg.norm(axis))
    if length < 4 or not placed.lung:
        return
    _cone(chest, placed.lung, placed.middle, axis / length, float(rng.uniform(18, 38)), rng)


def effusion(chest: Chest, ground: Ground, rng: np.random.Generator) -> None:
    """Fluid in the back of one pleural space, higher at the wall, with some collapsed lung in front of it."""
    lung = _with_rim(chest, _side(rng))
    rows = np.flatnonzero(lung.any(axis=(0, 2)))
    if rows.size < 10:
        return
    depth = ndimage.distance_transform_edt(lung) * SPACING_MM
    z, y, _ = _axes(chest)
    slices = np.flatnonzero(lung.any(axis=(1, 2)))
    tall = (z - slices[0]) / max(slices[-1] - slices[0], 1)
    level = rows[-1] - rng.uniform(0.08, 0.5) * (rows[-1] - rows[0]) + rng.uniform(0.1, 0.6) * np.ptp(rows) * tall
    meniscus = rng.uniform(5, 25) / SPACING_MM * np.exp(-depth / np.float32(rng.uniform(5, 12)))
    under = (y - level + meniscus + 1.2 * smooth_noise(lung.shape, SPACING_MM, 40.0, rng)).astype(np.float32)
    fluid = np.clip(under + 0.5, 0, 1) * lung
    collapsed = step((under + rng.uniform(2, 7)) / 4) * lung * (1 - fluid)
    _mix(chest.hu, rng.uniform(-150, 20) + 60 * smooth_noise(lung.shape, SPACING_MM, 12.0, rng), collapsed * rng.uniform(0.3, 0.9))
    _mix(chest.hu, rng.uniform(0, 22), fluid)


def consolidation(chest: Chest, ground: Ground, rng: np.random.Generator) -> None:
    """A wedge of dense lung on the pleura or above the diaphragm, with air-filled bronchi or glassy edges."""
    lung = _side(rng)
    surface = (ground.tissue == lung) & (ground.depth_mm[lung] < 8)
    if not surface.any():
        return
    middle = _chosen(surface, rng)
    hilum = hilum_of(chest, lung)
    away = middle - hilum
    length = max(float(np.linalg.norm(away)), 1.0)
    apex = middle - away / length * log_uniform(rng, 10, 45) / SPACING_MM
    _cone(chest, lung, apex, away / length, float(rng.uniform(15, 45)), rng)


def dependent_density(chest: Chest, ground: Ground, rng: np.random.Generator) -> None:
    """Grey lung along the back, as in patients who lie."""
    lung = _with_rim(chest, hosts.RIGHT_LUNG) | _with_rim(chest, hosts.LEFT_LUNG)
    rows = np.flatnonzero(lung.any(axis=(0, 2)))
    if rows.size < 10:
        return
    y = np.arange(lung.shape[1], dtype=np.float32)[None, :, None]
    thick = np.float32(rng.uniform(3, 12)) * (1 + 0.4 * smooth_noise(lung.shape, SPACING_MM, 35.0, rng))
    share = step((y - rows[-1] + thick) / thick.clip(1)) * lung * np.float32(rng.uniform(0.15, 0.7))
    _mix(chest.hu, 0.0, share * (chest.hu < -300))


def bands(chest: Chest, ground: Ground, rng: np.random.Generator) -> None:
    """One to five scars or plates of collapsed lung: thin sheets that end."""
    for _ in range(int(rng.integers(1, 6))):
        lung = _side(rng)
        if not (ground.tissue == lung).any():
            continue
        middle, normal = _chosen(ground.tissue == lung, rng), _direction(rng)
        half = int(rng.integers(8, 22))
        window, away = _around(chest, middle, half)
        off = np.tensordot(normal.astype(np.float32), away, axes=1) * SPACING_MM + 2.5 * smooth_noise(away.shape[1:], SPACING_MM, 25.0, rng)
        thick = rng.uniform(1.2, 4.0)
        reach = np.sqrt((away**2).sum(axis=0)) / half
        share = np.clip(0.5 + (thick / 2 - np.abs(off)) / SPACING_MM, 0, 1) * step((1 - reach) * 3)
        _mix(chest.hu[window], rng.uniform(-150, 40), share * (chest.tissue[window] == lung) * np.float32(rng.uniform(0.5, 1)))


def thick_vessels(chest: Chest, ground: Ground, rng: np.random.Generator) -> None:
    """Two to eight curved tubes of soft tissue in the lungs, 3 to 9 mm wide: dilated vessels, filled bronchi."""
    for _ in range(int(rng.integers(2, 9))):
        lung = _side(rng)
        if not (ground.tissue == lung).any():
            continue
        start, way = _chosen(ground.tissue == lung, rng), _direction(rng)
        window, away = _around(chest, start, 16)
        along = np.tensordot(way.astype(np.float32), away, axes=1)
        bow = _direction(rng).astype(np.float32)[:, None, None, None] * (along**2 * np.float32(rng.uniform(0, 0.03)))
        across = away - way.astype(np.float32)[:, None, None, None] * along - bow
        width = rng.uniform(1.5, 4.5) * (1 - 0.5 * np.clip(along / 16, -1, 1))
        share = np.clip(0.5 + (width - np.sqrt((across**2).sum(axis=0)) * SPACING_MM) / SPACING_MM, 0, 1) * step((15 - np.abs(along)) / 5)
        _mix(chest.hu[window], 40.0 + chest.contrast_hu * rng.uniform(0, 1), share * (chest.tissue[window] == lung))


def granulomas(chest: Chest, ground: Ground, rng: np.random.Generator) -> None:
    """One to four small calcified spots in lung or mediastinum, 3 to 8 mm."""
    for _ in range(int(rng.integers(1, 5))):
        inside = np.isin(ground.tissue, (hosts.RIGHT_LUNG, hosts.LEFT_LUNG, hosts.MEDIASTINUM))
        _ball(chest, _chosen(inside, rng), rng.uniform(1.5, 4), rng.uniform(250, 900))


def small_nodes(chest: Chest, ground: Ground, rng: np.random.Generator) -> None:
    """Two to ten lymph nodes of normal size, 4 to 8 mm, beside the airways."""
    near = (ground.tissue == hosts.MEDIASTINUM) & (ground.from_airway_mm < 25)
    for _ in range(int(rng.integers(2, 11))):
        if near.any():
            _ball(chest, _chosen(near, rng), rng.uniform(2, 4), rng.uniform(25, 60) + 0.2 * chest.contrast_hu)


def skin_lumps(chest: Chest, ground: Ground, rng: np.random.Generator) -> None:
    """Nipples, moles and buttons: one to three lumps on the body's surface."""
    skin = (ground.tissue == hosts.WALL) & ndimage.binary_dilation(ground.tissue == hosts.OUTSIDE)
    for _ in range(int(rng.integers(1, 4))):
        if skin.any():
            _ball(chest, _chosen(skin, rng), rng.uniform(2, 8), rng.uniform(0, 60))


def pleural_thickening(chest: Chest, ground: Ground, rng: np.random.Generator) -> None:
    """A plate of 2 to 8 mm along a part of the wall, sometimes calcified."""
    lung = _side(rng)
    surface = (ground.tissue == lung) & (ground.depth_mm[lung] < 8) & ndimage.binary_dilation(np.isin(ground.tissue, (hosts.WALL, hosts.BONE)))
    if not surface.any():
        return
    window, away = _around(chest, _chosen(surface, rng), int(rng.integers(10, 24)))
    inside = _with_rim(chest, lung)[window]
    depth = ndimage.distance_transform_edt(inside) * SPACING_MM
    reach = np.sqrt((away**2).sum(axis=0)) / (away.shape[1] / 2)
    thick = rng.uniform(2, 8) * step((1 - reach) * 2) * (1 + 0.3 * smooth_noise(inside.shape, SPACING_MM, 15.0, rng))
    share = np.clip(0.5 + (thick - depth) / SPACING_MM, 0, 1) * inside
    _mix(chest.hu[window], rng.uniform(200, 500) if rng.random() < 0.2 else rng.uniform(20, 60), share)


def metal(chest: Chest, ground: Ground, rng: np.random.Generator) -> None:
    """A port, clip or electrode in the wall or mediastinum, with streaks in its slices."""
    middle = _chosen(np.isin(ground.tissue, (hosts.WALL, hosts.MEDIASTINUM)), rng)
    size = rng.uniform(1.5, 6)
    _ball(chest, middle, size, rng.uniform(1500, 3000))
    z, y, x = _axes(chest)
    angle, far = np.arctan2(y - middle[1], x - middle[2]), np.hypot(y - middle[1], x - middle[2])
    waves = sum(np.cos(k * angle + rng.uniform(0, 6.3)) for k in rng.integers(3, 24, 4))
    fall = np.exp(-far / np.float32(rng.uniform(8, 30))) * np.exp(-((SPACING_MM * (z - middle[0]) / (size + 2)) ** 2))
    chest.hu += np.float32(rng.uniform(20, 130)) * waves * fall * (chest.tissue != hosts.OUTSIDE)


DISTRACTORS: dict[str, tuple[float, Distractor]] = {
    "effusion": (0.12, effusion),
    "consolidation": (0.15, consolidation),
    "dependent density": (0.25, dependent_density),
    "bands": (0.3, bands),
    "thick vessels": (0.35, thick_vessels),
    "granulomas": (0.2, granulomas),
    "small nodes": (0.5, small_nodes),
    "skin lumps": (0.3, skin_lumps),
    "pleural thickening": (0.2, pleural_thickening),
    "metal": (0.08, metal),
}
"""Name: how often, and what."""


def _cone(chest: Chest, lung: int, apex: Floats, axis: Floats, half_angle: float, rng: np.random.Generator) -> None:
    """Dense lung in a cone from its apex outwards, its surface waved, with air-filled bronchi in some."""
    z, y, x = _axes(chest)
    dz, dy, dx = z - apex[0], y - apex[1], x - apex[2]
    along = (dz * axis[0] + dy * axis[1] + dx * axis[2]).astype(np.float32)
    across = np.sqrt(np.maximum(dz**2 + dy**2 + dx**2 - along**2, 0))
    edge = along * np.tan(np.radians(half_angle)) - across + rng.uniform(1, 4) + 2.5 * smooth_noise(chest.hu.shape, SPACING_MM, 30.0, rng)
    soft = rng.uniform(0.8, 6)
    share = np.asarray(step(edge / soft + 0.5), dtype=np.float32) * _with_rim(chest, lung) * np.float32(rng.uniform(0.75, 1.0))
    if rng.random() < 0.5:
        share *= 1 - np.float32(0.9) * step((smooth_noise(chest.hu.shape, SPACING_MM, 8.0, rng) - 1.3) / 0.4)
    dense = rng.uniform(10, 45) + chest.contrast_hu * rng.uniform(0.1, 0.5) + 8 * smooth_noise(chest.hu.shape, SPACING_MM, 15.0, rng)
    _mix(chest.hu, np.maximum(dense, np.minimum(chest.hu, 200)), share)


def _axes(chest: Chest) -> tuple[Array, Array, Array]:
    """The indices z, y, x of the chest's voxels, to be broadcast."""
    nz, ny, nx = (np.arange(n, dtype=np.float32) for n in chest.hu.shape)
    return nz[:, None, None], ny[None, :, None], nx[None, None, :]


def _ball(chest: Chest, middle: Floats, radius_mm: float, hu: float) -> None:
    window, away = _around(chest, middle, int(radius_mm / SPACING_MM) + 3)
    distance = np.sqrt((away**2).sum(axis=0)) * SPACING_MM - radius_mm
    share = np.clip(0.5 - distance / SPACING_MM, 0, 1)
    _mix(chest.hu[window], hu, share)


def _around(chest: Chest, middle: Floats, half: int) -> tuple[tuple[slice, slice, slice], Array]:
    """A window of the chest and how far each of its voxels is from the middle, in voxels z y x."""
    z, y, x = (slice(max(int(m) - half, 0), min(int(m) + half + 1, n)) for m, n in zip(middle, chest.hu.shape, strict=True))
    sides = [np.arange(s.start, s.stop, dtype=np.float32) - np.float32(m) for s, m in zip((z, y, x), middle, strict=True)]
    return (z, y, x), np.stack(np.meshgrid(*sides, indexing="ij"))


def _chosen(inside: Bools, rng: np.random.Generator) -> Floats:
    """One of the coarse voxels, as an index z y x of the chest; its middle where there is none."""
    found = np.argwhere(inside)
    at = found[rng.integers(len(found))] if len(found) else np.array(inside.shape) // 2
    return np.asarray(at * float(COARSE) + rng.uniform(0, 1, 3))


def _direction(rng: np.random.Generator) -> Floats:
    way = rng.standard_normal(3)
    return np.asarray(way / np.linalg.norm(way))


def _side(rng: np.random.Generator) -> int:
    return int(rng.choice([hosts.RIGHT_LUNG, hosts.LEFT_LUNG]))


def _with_rim(chest: Chest, lung: int) -> Bools:
    """A lung and the voxels beside it that are partly air."""
    inside = chest.tissue == lung
    return np.asarray(inside | (ndimage.binary_dilation(inside) & (chest.hu < 0) & (chest.tissue != hosts.AIRWAY)))


def _mix(hu: Array, value: Array | float, share: Array) -> None:
    """In place."""
    hu += share.astype(np.float32) * (np.asarray(value, dtype=np.float32) - hu)
