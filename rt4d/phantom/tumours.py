"""A tumour as a formula: an ellipsoid, smooth or lobulated, held back by the chest wall that it grows against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rt4d.errors import InputError
from rt4d.geometry import Floats, Triple
from rt4d.phantom import cavity
from rt4d.phantom.soft import Array


@dataclass(frozen=True, slots=True)
class Tumour:
    """A tumour at the reference phase.

    centre_mm: patient coordinates of the generated thorax (right lung at negative x, diaphragm near z = −60, apex at z = 130).
    diameter_mm: one, or three along x y z. lobulation: how far lobes stand out, as a share of the radius (0 to 0.4). spicules: how many
    strands of its tissue radiate into the lung (they are no part of the GTV). Where it reaches the chest wall it ends there and slides along it.
    """

    centre_mm: Triple
    diameter_mm: float | Triple = 30.0
    hu: float = 35.0
    lobulation: float = 0.0
    spicules: int = 0
    seed: int = 0
    name: str = "GTV"

    def __post_init__(self) -> None:
        if min(self.diameters_mm) <= 0 or len(self.diameters_mm) != 3 or not 0 <= self.lobulation <= 0.4:
            found = f"diameter {self.diameter_mm} mm, lobulation {self.lobulation}"
            raise InputError("A tumour needs positive diameters and a lobulation between 0 and 0.4", found=found)

    @property
    def diameters_mm(self) -> tuple[float, ...]:
        if isinstance(self.diameter_mm, int | float):
            return (float(self.diameter_mm),) * 3
        return tuple(float(d) for d in self.diameter_mm)

    @property
    def mask(self) -> None:
        """Nobody drew it: it is a formula."""
        return None

    @property
    def reach_mm(self) -> float:
        """A radius around the centre that holds all of it."""
        return max(self.diameters_mm) / 2 * (1 + self.lobulation)

    def distance_mm(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance from its surface along the ray from its centre, negative inside: exact for a sphere, zero where it must be for all."""
        own = [p - c for p, c in zip((x, y, z), self.centre_mm, strict=True)]
        scaled = [p * (2 / d) for p, d in zip(own, self.diameters_mm, strict=True)]
        q = np.sqrt(sum(p * p for p in scaled)) + 1e-9
        length = np.sqrt(sum(p * p for p in own))
        outline = 1.0 if self.lobulation == 0 else self._outline([p / q for p in scaled])
        distance = (q - outline) * length / q + (length < 1e-6) * -min(self.diameters_mm) / 2
        return np.asarray(np.maximum(distance, cavity.locate(x, y, z).outside_mm + 1.5))

    def _outline(self, towards: list[Array]) -> Array:
        """The radius in each direction, 1 on average: a dozen lobes in random directions."""
        rise = sum(np.exp(9.0 * (towards[0] * a + towards[1] * b + towards[2] * c - 1)) for a, b, c in self._lobes())
        return np.asarray(1 - 0.35 * self.lobulation + self.lobulation * np.minimum(rise, 1.0))

    def _lobes(self) -> Floats:
        directions = np.random.default_rng([self.seed, 11]).normal(size=(12, 3))
        return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True))

    def shell_points_mm(self) -> Floats:
        """Points all round it, at its reach, to find the box that holds it in a phase."""
        grid = np.linspace(-1, 1, 5)
        cube = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), axis=-1).reshape(-1, 3)
        return np.asarray(np.array(self.centre_mm) + self.reach_mm * cube)
