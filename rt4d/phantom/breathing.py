"""How the generated thorax breathes, as a formula: the way back from a phase to the reference, and its inverse.

A point y of a phase shows what at the reference lies at pull_back(y) = slide(sway(y)):
- *sway*: a smooth in-plane motion (anterior at inhalation, a little sideways), a third as large in the chest wall, almost none at the spine;
- *slide*: superior–inferior, from nothing at the apices to full at the diaphragm, less in the mediastinum; along the chest wall, which stays,
  within a layer of `sliding_mm`. It runs in the wall's own coordinates (cavity.py), so that it cannot fold however thin the layer is.
Each phase has three numbers (x, y, z), found such that a chosen point, the tumour's centre, goes exactly where it is asked to go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rt4d.errors import InputError, NotFoundError
from rt4d.geometry import Floats, Triple
from rt4d.phantom import cavity
from rt4d.phantom.soft import Array, step

XYZ = tuple[Array, Array, Array]


class Breathing(Protocol):
    """A known motion. Points are patient coordinates in mm."""

    def pull_back(self, label: str, x: Array, y: Array, z: Array) -> XYZ:
        """Where at the reference lies what points of a phase show; in the number type of the points."""

    def push(self, label: str, points_mm: Floats) -> Floats:
        """The inverse: where points of the reference, shape (n, 3), lie in a phase."""


@dataclass(frozen=True, slots=True, eq=False)
class ThoraxBreathing:
    """strength: per phase label the numbers of x, y (sway) and z (slide), in mm of full motion. ramp_mm: z where sliding begins and is full."""

    strength: Mapping[str, Triple]
    ramp_mm: tuple[float, float]
    sliding_mm: float = 2.5

    def pull_back(self, label: str, x: Array, y: Array, z: Array) -> XYZ:
        sx, sy, sz = _of(self.strength, label)
        if not (sx or sy or sz):
            return x, y, z
        share = _sway_share(x, y, z)
        x, y = x - sx * share, y - sy * share
        place = cavity.locate(x, y, z)
        back_z = z - sz * self._slide_share(place.u, place.rho, z)
        ratio_x, ratio_y = cavity.half_width(back_z), cavity.half_depth(back_z)
        return place.u * ratio_x, place.v * ratio_y + cavity.middle_y(back_z), back_z

    def push(self, label: str, points_mm: Floats) -> Floats:
        sx, sy, sz = _of(self.strength, label)
        if not (sx or sy or sz):
            return np.array(points_mm, dtype=float)
        x0, y0, z0 = np.moveaxis(np.asarray(points_mm, dtype=float), -1, 0)
        place = cavity.locate(x0, y0, z0)
        z = self._unslide(place, z0, sz)
        xs, ys = place.u * cavity.half_width(z), place.v * cavity.half_depth(z) + cavity.middle_y(z)
        x, y = xs, ys
        for _ in range(100):
            share = _sway_share(x, y, z)
            x, y, last = xs + sx * share, ys + sy * share, (x, y)
            if max(np.abs(x - last[0]).max(initial=0), np.abs(y - last[1]).max(initial=0)) < 1e-9:
                break
        return np.stack([x, y, z], axis=-1)

    def _unslide(self, place: cavity.Place, back_z: Array, sz: float) -> Array:
        """The z whose pull-back is back_z: z − sz · share(z) grows with z, so halving an interval that holds it finds it."""
        low, high = back_z + min(sz, 0) - 1e-9, back_z + max(sz, 0) + 1e-9
        for _ in range(60):
            middle = (low + high) / 2
            above = middle - sz * self._slide_share(place.u, place.rho, middle) > back_z
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return np.asarray((low + high) / 2)

    def _slide_share(self, u: Array, rho: Array, z: Array) -> Array:
        """1 in the lower lungs and below, 0 at the apices and outside the wall."""
        begin, full = self.ramp_mm
        layer = self.sliding_mm / 110
        centre = 1 - 0.5 * np.exp(-((u / 0.3) ** 2)) * step((z + 90) / 110)
        return np.asarray(centre * step((begin - z) / (begin - full)) * step((1 - rho) / layer + 0.5))


def breathing_for(
    point_mm: Triple, travel_mm: Mapping[str, Triple], *, radius_mm: float = 15.0, sliding_mm: float = 2.5, apex_mm: float = 130.0
) -> ThoraxBreathing:
    """The motion by which the point of the reference travels `travel_mm` (x y z) to each phase; zero for the reference itself.

    Sliding grows from the apices to above the point, where it can, so that a tumour of that radius around it hardly changes its volume.
    Refused where so large a motion at this place would fold the anatomy.
    """
    largest = max(abs(v) for way in travel_mm.values() for v in way)
    begin = max(apex_mm, point_mm[2] + 40)
    full = min(point_mm[2] + radius_mm + 10, begin - max(80.0, 3 * largest))
    motion = ThoraxBreathing({"": (0.0, 0.0, 0.0)}, (begin, full), sliding_mm)
    strength = {label: _strength(motion, np.array(point_mm), np.array(travel)) for label, travel in travel_mm.items()}
    found = ThoraxBreathing(strength, (begin, full), sliding_mm)
    _require_unfolded(found, point_mm)
    return found


def _strength(motion: ThoraxBreathing, point: Floats, travel: Floats) -> Triple:
    """The three numbers for which the pull-back of point + travel is the point (Newton, numeric derivative)."""
    numbers = travel.astype(float)
    if not travel.any():
        return 0.0, 0.0, 0.0

    def miss(values: Floats) -> Floats:
        trial = ThoraxBreathing({"": (values[0], values[1], values[2])}, motion.ramp_mm, motion.sliding_mm)
        return np.array(trial.pull_back("", *(point + travel))) - point

    for _ in range(50):
        off = miss(numbers)
        if np.abs(off).max() < 1e-10:
            break
        slope = np.stack([(miss(numbers + e) - off) / 1e-4 for e in 1e-4 * np.eye(3)], axis=1)
        numbers = numbers - np.linalg.solve(slope, off)
    return float(numbers[0]), float(numbers[1]), float(numbers[2])


def _require_unfolded(motion: ThoraxBreathing, point_mm: Triple) -> None:
    x, y, z = np.meshgrid(np.arange(-160.0, 161, 16), np.arange(-110.0, 111, 16), np.arange(-200.0, 201, 10), indexing="ij")
    points = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=-1)
    for label in motion.strength:
        smallest = jacobian(motion, label, points).min()
        if smallest < 0.1:
            raise InputError(
                "So large a motion at this place would fold the anatomy",
                where=f"phase {label}",
                expected="a smallest Jacobian of at least 0.1",
                found=f"{smallest:.2f} for the point ({point_mm[0]:.0f}, {point_mm[1]:.0f}, {point_mm[2]:.0f}) mm",
                do="Ask for a smaller amplitude, or put the tumour farther from apex, spine and chest wall",
            )


def jacobian(motion: Breathing, label: str, points_mm: npt.ArrayLike) -> Floats:
    """The determinant of the pull-back's derivative at points of a phase, shape (...): volume at the reference per volume in the phase."""
    points = np.asarray(points_mm, dtype=float)
    columns = []
    for axis in range(3):
        shift = 1e-3 * np.eye(3)[axis]
        ahead, behind = (np.stack(motion.pull_back(label, *np.moveaxis(at, -1, 0)), axis=-1) for at in (points + shift, points - shift))
        columns.append((ahead - behind) / 2e-3)
    return np.asarray(np.linalg.det(np.stack(columns, axis=-1)))


def _sway_share(x: Array, y: Array, z: Array) -> Array:
    """1 deep in the chest, a third in the chest wall, a fifth of that at the spine; less towards the apices."""
    out = (x / 170) ** 2 + (y / 112) ** 2
    spine = 1 - 0.8 * np.exp(-((y - 80) / 35) ** 2 - (x / 45) ** 2)
    return np.asarray((1 - 0.65 * step((out - 0.35) / 0.65)) * spine * (1 - 0.7 * step((z - 20) / 130)))


def _of(strength: Mapping[str, Triple], label: str) -> Triple:
    if label not in strength:
        raise NotFoundError("No phase of that label", expected=f"one of {', '.join(strength)}", found=label)
    return strength[label]
