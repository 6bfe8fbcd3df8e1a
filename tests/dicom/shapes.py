"""Seven solids known by their formulas: contours, distance and volume, and how near a mask comes to them. Nothing here is rt4d's rasteriser."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from rt4d.agreement import surface
from rt4d.dicom.filling import Region, mask_of
from rt4d.dicom.placing import place
from rt4d.dicom.structures import read_rtstruct
from rt4d.geometry import Geometry
from rt4d.phases import CtImage
from rt4d.volumes import Mask, Volume
from tests.dicom.drawn import FRAME, Drawn, ct_image, grid, saved, structure_set

WALL = 20.0
SOLID, HOLLOW = ("sphere", "cube", "cylinder", "ellipsoid"), ("torus", "hollow sphere", "tube")
Distance = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Shape:
    """A solid about the origin, in mm. outlines: height z → closed polygons x y. distance: points (…, 3) → mm from the surface, negative inside."""

    name: str
    volume_mm3: float
    reach: tuple[float, float, float]
    outlines: Callable[[float], list[np.ndarray]]
    distance: Distance


def shape(name: str, radius: float) -> Shape:
    """A shape whose half width (outer radius) is `radius`; hollow ones have walls of 20 mm."""
    return {
        "sphere": _sphere,
        "cube": _cube,
        "cylinder": _cylinder,
        "ellipsoid": _ellipsoid,
        "torus": _torus,
        "hollow sphere": _hollow_sphere,
        "tube": _tube,
    }[name](radius)


def drawn_on(solid: Shape, spacing_mm: tuple[float, float, float], offset: np.ndarray) -> tuple[CtImage, list[np.ndarray], np.ndarray]:
    """A CT around the solid, the solid's contours on its slices, and its centre, which lies `offset` voxels from a voxel centre."""
    size = tuple(int(2 * np.ceil(reach / step) + 7) for reach, step in zip(solid.reach, spacing_mm, strict=True))
    geometry = Geometry((size[0], size[1], size[2]), spacing_mm, (-11.0, 23.0, -50.0), frame_of_reference=FRAME)
    small = ct_image(grid())
    ct = CtImage(
        Volume(np.broadcast_to(np.int16(0), geometry.shape), geometry),
        replace(small.identity, sop_instance_uids=tuple(f"1.2.{z}" for z in range(size[2]))),
    )
    centre = geometry.to_patient((np.array(size) - 1) // 2 + offset)
    contours = []
    for z in range(size[2]):
        height = geometry.to_patient([0.0, 0.0, z])[2]
        for outline in solid.outlines(round(height - centre[2], 9)):
            contours.append(np.column_stack([outline + centre[:2], np.full(len(outline), height)]))
    return ct, contours, centre


def read_back(solid: Shape, spacing_mm: tuple[float, float, float], offset: np.ndarray, folder: Path) -> tuple[Mask, np.ndarray]:
    """The solid's contours through a structure set's file, as rt4d reads them; and the solid's centre."""
    ct, contours, centre = drawn_on(solid, spacing_mm, offset)
    path = saved(structure_set(ct, Drawn(solid.name, contours)), folder / "shape.dcm")
    return read_rtstruct(path, on=ct)[solid.name], centre


def filled(solid: Shape, spacing_mm: tuple[float, float, float], offset: np.ndarray) -> tuple[Mask, np.ndarray]:
    """The same without a file, which is ten times as quick."""
    ct, contours, centre = drawn_on(solid, spacing_mm, offset)
    placed = place(dict(enumerate(contours)), ct.geometry, name=solid.name)
    return mask_of(Region(solid.name, ct.geometry, placed.by_slice, (), "half-open", traced=False)), centre


def shares(solid: Shape, centre: np.ndarray, on: Geometry, *, finer: tuple[int, int, int]) -> np.ndarray:
    """The sub-voxel truth: the share of each voxel inside the solid, from so many points along x, y and z in each voxel near its surface."""
    centres = on.centres() - centre
    distance = solid.distance(centres)
    share = (distance < 0).astype(float)
    near = np.abs(distance) < 0.75 * np.linalg.norm(on.spacing_mm)  # farther than needed: the ellipsoid's distance is not exact
    points = centres[near]
    total = np.zeros(len(points))
    for step in itertools.product(*((np.arange(n) + 0.5) / n - 0.5 for n in finer)):
        total += solid.distance(points + np.array(step) * on.spacing_mm) < 0
    share[near] = total / np.prod(finer)
    return share


def dice(inside: np.ndarray, share: np.ndarray) -> float:
    return float(2 * share[inside].sum() / (np.count_nonzero(inside) + share.sum()))


def best_dice(share: np.ndarray) -> float:
    """What the best of all binary masks reaches: one that takes voxels in the order of their shares."""
    ordered = np.sort(share[share > 0])[::-1]
    return float((2 * np.cumsum(ordered) / (np.arange(1, len(ordered) + 1) + share.sum())).max())


def hd95_mm(mask: Mask, solid: Shape, centre: np.ndarray) -> float:
    """The greater of both directions' 95th percentile: from the mask's surface to the formula's, and from points on that to the mask's."""
    found = surface(mask)
    points, areas = found.points_mm, found.areas_mm2
    there = np.abs(solid.distance(points - centre))
    order = np.argsort(there)
    at = min(int(np.searchsorted(np.cumsum(areas[order]), 0.95 * areas.sum())), len(order) - 1)
    back = cKDTree(points).query(_surface(solid) + centre)[0]
    return float(max(there[order][at], np.percentile(back, 95)))


def placements(count: int, seed: int) -> np.ndarray:
    """Random offsets in voxels, shape (count, 3), spread evenly along each axis (a Latin hypercube)."""
    rng = np.random.default_rng(seed)
    return np.stack([(rng.permutation(count) + rng.uniform(size=count)) / count for _ in range(3)], axis=1)


def _surface(solid: Shape, count: int = 2000) -> np.ndarray:
    """Points on the surface: those near it, moved onto it along the gradient of the distance."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (40 * count, 3)) * (np.array(solid.reach) + 2)
    points = points[np.abs(solid.distance(points)) < 2][:count]
    for _ in range(3):
        away = solid.distance(points)
        gradient = np.stack([(solid.distance(points + step) - away) / 1e-5 for step in 1e-5 * np.eye(3)], axis=1)
        points = points - (away / np.maximum((gradient**2).sum(axis=1), 1e-6))[:, None] * gradient
    return points


def _circle(radius: float, corners: int = 120) -> np.ndarray:
    """A polygon of the circle's own area."""
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + 0.1
    radius *= np.sqrt(2 * np.pi / corners / np.sin(2 * np.pi / corners))
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _disc(squared: float) -> list[np.ndarray]:
    return [_circle(float(np.sqrt(squared)))] if squared > 1e-6 else []


def _between_caps(half: float, outlines: list[np.ndarray]) -> Callable[[float], list[np.ndarray]]:
    """Flat ends, half-open as within the plane: the lower one is drawn where it lies on a slice, the upper one is not."""
    return lambda z: outlines if -half <= z < half else []


def _sphere(r: float) -> Shape:
    return Shape("sphere", 4 / 3 * np.pi * r**3, (r, r, r), lambda z: _disc(r**2 - z**2), lambda p: np.linalg.norm(p, axis=-1) - r)


def _cube(r: float) -> Shape:
    corners = np.array([[-r, -r], [r, -r], [r, r], [-r, r]])
    return Shape("cube", 8 * r**3, (r, r, r), _between_caps(r, [corners]), lambda p: _box(np.abs(p) - r))


def _cylinder(r: float) -> Shape:
    outlines = _between_caps(r, [_circle(r)])
    return Shape("cylinder", 2 * np.pi * r**3, (r, r, r), outlines, lambda p: _box(np.stack([_rho(p) - r, np.abs(p[..., 2]) - r], axis=-1)))


def _ellipsoid(r: float) -> Shape:
    axes = np.array([r, 0.75 * r, 0.6 * r])

    def outlines(z: float) -> list[np.ndarray]:
        return [outline * [1, 0.75] for outline in _disc(r**2 * (1 - (z / axes[2]) ** 2))]

    def distance(p: np.ndarray) -> np.ndarray:
        """To first order, which is all that is needed near the surface."""
        k0, k1 = np.linalg.norm(p / axes, axis=-1), np.linalg.norm(p / axes**2, axis=-1)
        return np.asarray(k0 * (k0 - 1) / np.maximum(k1, 1e-9))

    return Shape("ellipsoid", 4 / 3 * np.pi * float(axes.prod()), (axes[0], axes[1], axes[2]), outlines, distance)


def _torus(r: float) -> Shape:
    """Its ring, of diameter 20 mm, lies in the plane of the slices; the opening is inside it."""
    thick = WALL / 2
    middle = r - thick

    def outlines(z: float) -> list[np.ndarray]:
        half = float(np.sqrt(max(thick**2 - z**2, 0)))
        return [_circle(middle + half), _circle(middle - half)] if half > 1e-3 else []

    def distance(p: np.ndarray) -> np.ndarray:
        return np.asarray(np.hypot(_rho(p) - middle, p[..., 2]) - thick)

    return Shape("torus", 2 * np.pi**2 * middle * thick**2, (r, r, thick), outlines, distance)


def _hollow_sphere(r: float) -> Shape:
    inner = r - WALL

    def distance(p: np.ndarray) -> np.ndarray:
        away = np.linalg.norm(p, axis=-1)
        return np.asarray(np.maximum(away - r, inner - away))

    volume = 4 / 3 * np.pi * (r**3 - inner**3)
    return Shape("hollow sphere", volume, (r, r, r), lambda z: _disc(r**2 - z**2) + _disc(inner**2 - z**2), distance)


def _tube(r: float) -> Shape:
    inner = r - WALL

    def distance(p: np.ndarray) -> np.ndarray:
        return _box(np.stack([np.abs(_rho(p) - (r + inner) / 2) - WALL / 2, np.abs(p[..., 2]) - r], axis=-1))

    return Shape("tube", 2 * np.pi * r * (r**2 - inner**2), (r, r, r), _between_caps(r, [_circle(r), _circle(inner)]), distance)


def _rho(p: np.ndarray) -> np.ndarray:
    return np.asarray(np.hypot(p[..., 0], p[..., 1]))


def _box(q: np.ndarray) -> np.ndarray:
    """The distance from a box, given how far beyond each pair of its sides a point lies."""
    return np.asarray(np.linalg.norm(np.maximum(q, 0), axis=-1) + np.minimum(q.max(axis=-1), 0))
