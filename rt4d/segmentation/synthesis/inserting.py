"""Where tumours grow and what a physician would draw of them: a shape where it replaces lung, and a bounded ingrowth into what it touches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rt4d.geometry import Geometry
from rt4d.segmentation.synthesis import hosts
from rt4d.segmentation.synthesis.chests import Chest
from rt4d.segmentation.synthesis.fields import Array, smooth_noise
from rt4d.segmentation.synthesis.shapes import Form, Pose, distance_at, radius_of, share_of

Kind = Literal["parenchymal", "pleural", "basal", "central", "apical", "nodal"]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Window = tuple[slice, slice, slice]

COARSE = 2
"""Sites are looked for on every second voxel."""
SIZING_STEPS = 6
TOUCHING: dict[Kind, tuple[int, ...]] = {
    "pleural": (hosts.WALL, hosts.BONE, hosts.ABDOMEN),
    "basal": (hosts.ABDOMEN,),
    "central": (hosts.MEDIASTINUM, hosts.AIRWAY),
}
"""What the place on the lung's surface from which a tumour grows is next to."""
TOLERANCE = 0.06
FARTHEST = 0.25
"""Of the asked volume: by how much a placed tumour may miss it, where the chest leaves it no room."""
CUT_SHARE = 0.02
KEPT: dict[Kind, float] = {"parenchymal": 0.6, "pleural": 0.35, "basal": 0.35, "central": 0.35, "apical": 0.3, "nodal": 0.7}
"""Which share of the whole shape must be left of it at least."""
THINNEST_MM = 3.0
HEART_MM = 45.0
"""Below the carina begins the heart, in which there are no nodes."""
RIM_MM = 2.6
"""The voxels next to a lung are partly air: a tumour at its surface takes them."""


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """A chest on every second voxel: `tissue`; per lung how deep in it; how far from the airways and from bone (mm)."""

    tissue: hosts.Tissue
    depth_mm: dict[int, Array]
    from_airway_mm: Array
    from_bone_mm: Array
    carina_z: float


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A tumour in its window of the chest. share: of each voxel, what a physician would draw; distance_mm: from its whole shape, negative inside.

    lung: which one it belongs to, 0 for none. middle: index z y x in the chest. kept: which part of the whole shape is drawn.
    """

    kind: Kind
    window: Window
    share: Array
    distance_mm: Array
    radius_mm: float
    middle: Floats
    lung: int
    volume_cm3: float
    asked_cm3: float
    kept: float


def ground_of(chest: Chest) -> Ground:
    """What sites are looked for on."""
    tissue = np.ascontiguousarray(chest.tissue[::COARSE, ::COARSE, ::COARSE])
    step = chest.geometry.spacing_mm[0] * COARSE
    depth = {code: _depth(tissue == code, step) for code in (hosts.RIGHT_LUNG, hosts.LEFT_LUNG)}
    airway = tissue == hosts.AIRWAY
    away = ndimage.distance_transform_edt(~airway) * step if airway.any() else np.full(tissue.shape, 25.0)
    from_bone = ndimage.distance_transform_edt(tissue != hosts.BONE) * step
    return Ground(tissue, depth, away.astype(np.float32), from_bone.astype(np.float32), chest.carina_z / COARSE)


def place(chest: Chest, ground: Ground, kind: Kind, volume_cm3: float, form: Form, pose: Pose, rng: np.random.Generator) -> Placed | None:
    """The form as a tumour of that kind and drawn volume somewhere in the chest; None where there is no room for it.

    It is sized until what is drawn of it has the volume asked for: what bone, airway or the far side of a wall takes away is made up for.
    """
    lung = int(rng.choice([hosts.RIGHT_LUNG, hosts.LEFT_LUNG]))
    radius = radius_of(volume_cm3)
    sites = _sites(ground, kind, lung, radius)
    if not sites.any():
        return None
    index = np.argwhere(sites)[rng.integers(np.count_nonzero(sites))].astype(float)
    inwards = _inwards(ground.depth_mm[lung], index)
    sunk = _sunk(kind, rng)
    growth = _ingrowth_mm(kind, rng)
    found = None
    for _ in range(SIZING_STEPS):
        middle = index * COARSE + inwards * sunk * radius / chest.geometry.spacing_mm[0]
        found = _drawn(chest, kind, lung, middle, radius, growth, form, pose)
        if found is None:
            return None
        ratio = volume_cm3 / max(found.volume_cm3, 1e-3)
        if abs(ratio - 1) < TOLERANCE:
            break
        radius *= float(np.clip(np.cbrt(ratio), 0.7, 1.4))
    if found is None or abs(found.volume_cm3 / volume_cm3 - 1) > FARTHEST or found.kept < KEPT[kind] or _is_thin(found):
        return None
    return replace(found, asked_cm3=volume_cm3)


def push_aside(chest: Chest, placed: Placed, strength: float) -> None:
    """Move what lies around a tumour outwards by up to `strength` × its radius, less and less far from it, in what is to be looked up. In place."""
    window, spacing = placed.window, chest.geometry.spacing_mm[0]
    start = np.array([s.start for s in window], dtype=np.float32)
    shape = placed.distance_mm.shape
    away = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij"))
    away -= (placed.middle - start).astype(np.float32)[:, None, None, None]
    length = np.maximum(np.sqrt((away**2).sum(axis=0)), 1e-3)
    outside = np.maximum(placed.distance_mm, 0)
    shift = np.float32(strength * placed.radius_mm) * np.exp(-outside / np.float32(0.6 * placed.radius_mm + 4)) * _edge_fade(shape)
    shift = np.minimum(shift / np.float32(spacing), 0.9 * length)
    at = np.indices(shape, dtype=np.float32) - away / length * shift
    for row in chest.places:
        row[window] = ndimage.map_coordinates(row[window], at, order=1, mode="nearest", prefilter=False)
    chest.tissue[window] = ndimage.map_coordinates(chest.tissue[window], at, order=0, mode="nearest", prefilter=False)


def _is_thin(placed: Placed) -> bool:
    """Whether it is nowhere deep: a thread or film that no CT would show as a tumour."""
    inside = placed.distance_mm[placed.share > 0.5]
    return not inside.size or float(-inside.min()) < max(THINNEST_MM, 0.3 * placed.radius_mm)


def _drawn(chest: Chest, kind: Kind, lung: int, middle: Floats, radius: float, growth: float, form: Form, pose: Pose) -> Placed | None:
    """The form at that place and size, and what is drawn of it."""
    spacing = chest.geometry.spacing_mm[0]
    if (middle < 0).any() or (middle > np.array(chest.hu.shape) - 1).any():
        return None
    half = (min(2.6 * radius, radius + 60) + 10) / spacing
    window = _window(middle, half, chest.hu.shape)
    geometry = chest.geometry.crop([s.start for s in window][::-1], [s.stop - s.start for s in window][::-1])
    distance = distance_at(form, pose, radius_mm=radius, centre_mm=chest.geometry.to_patient(middle[::-1]), geometry=geometry)
    allowed = _allowed(chest.tissue[window], kind, lung, growth, spacing, np.random.default_rng(pose.seed + 1))
    whole = share_of(distance, spacing)
    share = _connected(whole * allowed)
    volume, kept = float(share.sum()) * spacing**3 / 1000, float(share.sum() / max(whole.sum(), 1e-3))
    return Placed(kind, window, share, distance, radius, middle, 0 if kind == "nodal" else lung, volume, volume, kept)


def _allowed(tissue: hosts.Tissue, kind: Kind, lung: int, growth: float, spacing: float, rng: np.random.Generator) -> Array:
    """How much of each voxel may be drawn: its lung, and the soft tissue within the ingrowth; not bone, airway or what lies outside the body."""
    home = (tissue == hosts.MEDIASTINUM) if kind == "nodal" else (tissue == lung)
    if not home.any():
        return np.zeros(tissue.shape, dtype=np.float32)
    away = ndimage.distance_transform_edt(~home) * spacing
    reach = growth * (1 + 0.3 * smooth_noise(tissue.shape, spacing, 25.0, rng))
    never = [hosts.OUTSIDE, hosts.AIRWAY, hosts.BONE]
    if kind != "nodal":
        never.append(hosts.RIGHT_LUNG + hosts.LEFT_LUNG - lung)
    inside = home | ((away <= np.maximum(reach, 0)) & ~np.isin(tissue, never))
    return np.asarray(np.clip(ndimage.gaussian_filter(inside.astype(np.float32), 0.6) * 1.6 - 0.3, 0, 1))


def _connected(share: Array) -> Array:
    """Without the specks that a surface leaves behind: pieces of less than a fiftieth of the whole."""
    labels, count = ndimage.label(share > 0)
    if count < 2:
        return share
    sizes = np.bincount(labels.ravel(), weights=share.ravel())
    sizes[0] = 0
    return np.asarray(share * np.isin(labels, np.flatnonzero(sizes > CUT_SHARE * sizes.sum())), dtype=np.float32)


def _sites(ground: Ground, kind: Kind, lung: int, radius: float) -> Bools:
    """Where a tumour of that kind may begin: its middle, or the place on the lung's surface from which it grows."""
    depth, tissue = ground.depth_mm[lung], ground.tissue
    z = np.arange(tissue.shape[0])[:, None, None]
    inside = tissue == lung
    if kind == "nodal":
        away = ground.from_airway_mm
        up = (z - ground.carina_z) * 5.0
        near = (up > max(-35.0, radius - HEART_MM)) & (up < 65) & (away > 0.8 * radius + 2) & (away < radius + 20)
        from_lung = ndimage.distance_transform_edt((tissue != hosts.RIGHT_LUNG) & (tissue != hosts.LEFT_LUNG)) * 5.0
        return np.asarray((tissue == hosts.MEDIASTINUM) & near & (from_lung < 1.1 * radius + 4) & (ground.from_bone_mm > 0.8 * radius + 4))
    if kind == "parenchymal":
        return np.asarray(inside & (depth >= min(0.9 * radius, 0.8 * float(depth.max()))))
    if kind == "apical":
        rows = np.flatnonzero(inside.any(axis=(1, 2)))
        return np.asarray(inside & (z > (rows[-1] - 0.16 * (rows[-1] - rows[0]) if rows.size else 0)) & (depth < 12))
    surface = inside & ndimage.binary_dilation(np.isin(tissue, TOUCHING[kind]))
    if kind == "central":
        surface &= (z - ground.carina_z < 8) & (z - ground.carina_z > -14)
    return np.asarray(surface)


def _sunk(kind: Kind, rng: np.random.Generator) -> float:
    """How far from its site the middle lies towards the inside of the lung, in radii."""
    ranges = {"pleural": (0.05, 0.85), "basal": (0.2, 1.0), "central": (-0.1, 0.75), "apical": (-0.1, 0.5)}
    return float(rng.uniform(*ranges[kind])) if kind in ranges else 0.0


def _ingrowth_mm(kind: Kind, rng: np.random.Generator) -> float:
    """How far it grows into what is not lung: up to 10 mm; some central masses up to 20, nodes a little out of the mediastinum."""
    if kind == "nodal":
        return float(rng.uniform(3, 8))
    if kind == "parenchymal":
        return RIM_MM
    if kind == "central" and rng.random() < 0.35:
        return float(rng.uniform(8, 20))
    return max(RIM_MM, float(rng.uniform(0, 10) if rng.random() < 0.7 else 0.0))


def _inwards(depth: Array, index: Floats) -> Floats:
    """The direction z y x in which the lung gets deeper, unit length; zero where there is none."""
    z, y, x = (slice(max(int(i) - 5, 0), int(i) + 6) for i in index)
    part = ndimage.gaussian_filter(depth[z, y, x], 1.5)
    at = tuple(int(i) - s.start for i, s in zip(index, (z, y, x), strict=True))
    slope = np.array([g[at] for g in np.gradient(part)]) if min(part.shape) > 1 else np.zeros(3)
    length = float(np.linalg.norm(slope))
    return slope / length if length > 1e-6 else np.zeros(3)


def _depth(inside: Bools, step_mm: float) -> Array:
    return np.asarray(ndimage.distance_transform_edt(np.pad(inside, ((1, 1), (0, 0), (0, 0)), mode="edge"))[1:-1] * step_mm, dtype=np.float32)


def _window(middle: Floats, half: float, shape: tuple[int, ...]) -> Window:
    low = np.clip(np.floor(middle - half), 0, None).astype(int)
    high = np.clip(np.ceil(middle + half) + 1, None, shape).astype(int)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return z, y, x


def _edge_fade(shape: tuple[int, ...]) -> Array:
    """0 at the window's faces, 1 from six voxels inside, so that nothing jumps there."""
    sides = [np.clip(np.minimum(np.arange(n), np.arange(n)[::-1]) / 6.0, 0, 1).astype(np.float32) for n in shape]
    z, y, x = np.meshgrid(*sides, indexing="ij", sparse=True)
    return np.asarray(z * y * x)


def grid_of_window(chest: Chest, window: Window) -> Geometry:
    """The window's own grid."""
    return chest.geometry.crop([s.start for s in window][::-1], [s.stop - s.start for s in window][::-1])
