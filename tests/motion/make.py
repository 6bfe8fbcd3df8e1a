"""A small breathing scene with motion in closed form, made independently of rt4d.phantom: what the tests of motion measure against.

Phase to reference is x = y - amplitude · share(label) · bump(y): a Gaussian bump of `width_mm` around the tumour, so the tumour and its
surroundings move and the far surroundings stay. The image of a phase is the scene looked up at that x; its own reference is share 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rt4d.geometry import IDENTITY, Floats, Geometry
from rt4d.phases import FourDCT, Phase, SeriesIdentity
from rt4d.volumes import Mask, Volume

SHARES = {"00": 1.0, "20": 0.6, "50": 0.0, "80": 0.5}


@dataclass(frozen=True)
class Scene:
    """Texture of smoothed noise in the patient (fixed grid of 4 mm) and a tumour ball; all in LPS mm."""

    centre_mm: tuple[float, float, float]
    radius_mm: float = 11.0
    amplitude_mm: tuple[float, float, float] = (1.5, -2.0, 9.0)
    width_mm: float = 45.0
    noise_hu: float = 12.0
    shares: dict[str, float] = field(default_factory=lambda: dict(SHARES))
    seed: int = 3

    def phase_to_reference(self, label: str, points_mm: npt.ArrayLike) -> Floats:
        y = np.asarray(points_mm, dtype=float)
        bump = np.exp(-((y - self.centre_mm) ** 2).sum(axis=-1) / (2 * self.width_mm**2))
        return np.asarray(y - self.shares[label] * bump[..., None] * np.array(self.amplitude_mm))

    def reference_to_phase(self, label: str, points_mm: npt.ArrayLike) -> Floats:
        x = np.asarray(points_mm, dtype=float)
        y = x.copy()
        for _ in range(50):
            y = y + x - self.phase_to_reference(label, y)
        return np.asarray(y)

    def hu(self, points_mm: Floats) -> Floats:
        """Hounsfield units of the reference at points: lung texture around -700, tumour 30, a soft edge of about a millimetre."""
        rng = np.random.default_rng(self.seed)
        fine = ndimage.gaussian_filter(rng.normal(size=(64, 64, 64)), 1.2, mode="wrap")
        index = np.moveaxis((points_mm - np.array(self.centre_mm)) / 4.0 + 32.0, -1, 0)[::-1]
        texture = ndimage.map_coordinates(fine / fine.std(), index, order=3, mode="grid-wrap")
        distance = np.linalg.norm(points_mm - self.centre_mm, axis=-1) - self.radius_mm
        tumour = 1 / (1 + np.exp(np.clip(distance / 0.7, -50, 50)))
        return np.asarray((-700 + 120 * texture) * (1 - tumour) + 30 * tumour)

    def volume(self, label: str, geometry: Geometry) -> Volume:
        hu = self.hu(self.phase_to_reference(label, geometry.centres()))
        rng = np.random.default_rng([self.seed, int(label)])
        return Volume(np.clip(hu + rng.normal(scale=self.noise_hu, size=hu.shape), -1024, 3071).astype(np.int16), geometry)

    def tumour(self, label: str, geometry: Geometry) -> Mask:
        """The truth: voxel centres of the phase whose place in the reference lies in the ball."""
        x = self.phase_to_reference(label, geometry.centres())
        return Mask(np.linalg.norm(x - self.centre_mm, axis=-1) < self.radius_mm, geometry)

    def four_d_ct(self, geometry: Geometry, *, reference: str = "50") -> FourDCT:
        phases = tuple(Phase(self.volume(label, geometry), identity(geometry), label=label) for label in self.shares)
        return FourDCT(phases, reference)


def identity(geometry: Geometry) -> SeriesIdentity:
    return SeriesIdentity("1.2", "1.2.3", "1.2.840.10008.5.1.4.1.1.2", tuple(f"1.2.3.{i}" for i in range(geometry.size[2])))


def grid(
    size: tuple[int, int, int] = (48, 44, 28),
    spacing_mm: tuple[float, float, float] = (2.0, 2.0, 3.0),
    direction: tuple[float, ...] = IDENTITY,
    centre_mm: tuple[float, float, float] = (-60.0, 40.0, -120.0),
) -> Geometry:
    """An even grid whose middle lies at `centre_mm`, whatever way it is turned."""
    half = (np.array(size) - 1) / 2 * spacing_mm
    origin = np.array(centre_mm) - np.array(direction).reshape(3, 3) @ half
    return Geometry(size, spacing_mm, tuple(origin), direction, "1.2.826.0.1")
