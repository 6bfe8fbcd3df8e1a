"""The wall of the thoracic cavity as a formula: coordinates in which lungs slide along it.

At each height z the wall's outline is one shape (a rounded ellipse with the spine pressed into it from behind), scaled by half_width(z) and
half_depth(z). `rho` is 1 on the wall and grows in proportion with the distance from the middle. A motion that keeps the scaled place (u, v)
while z changes therefore stays on its side of the wall, and may be as different from the wall's own as it likes without folding.
Patient coordinates in mm: x to the left, y to posterior, z to superior; (0, 0, 0) lies in the middle of the chest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rt4d.phantom.soft import Array, step

WIDTH_MM, DEPTH_MM = 136.0, 88.0
TOP_MM = 135.0
"""The height of the lung apices."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Points in the wall's coordinates: u, v scaled by the outline at their height; rho 1 on the wall; radius_mm from the middle axis."""

    u: Array
    v: Array
    rho: Array
    radius_mm: Array

    @property
    def outside_mm(self) -> Array:
        """How far outside the wall, measured along the ray from the middle; negative inside."""
        return (self.rho - 1) * self.radius_mm / np.maximum(self.rho, 1e-3)


def half_width(z: Array) -> Array:
    return WIDTH_MM - 62 * step(z / TOP_MM)


def half_depth(z: Array) -> Array:
    return DEPTH_MM - 36 * step(z / TOP_MM)


def middle_y(z: Array) -> Array:
    return -2 + 14 * step(z / TOP_MM)


def locate(x: Array, y: Array, z: Array) -> Place:
    """Points of the patient in the wall's coordinates."""
    away = y - middle_y(z)
    u, v = x / half_width(z), away / half_depth(z)
    return Place(u, v, rho(u, v), np.sqrt(x * x + away * away))


def rho(u: Array, v: Array) -> Array:
    """1 on the wall: (u, v) measured by the outline's radius in their direction."""
    r2 = u * u + v * v + 1e-9
    c2, sv = u * u / r2, np.maximum(v, 0) ** 2 / r2
    outline = (1 + 0.4 * c2 * (1 - c2)) * (1 - 0.45 * np.exp(-c2 / 0.11) * sv)
    return np.asarray(np.sqrt(r2) / outline)
