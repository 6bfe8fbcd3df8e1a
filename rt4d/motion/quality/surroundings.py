"""The target and what lies around it on the reference phase: where images are compared and the field is looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rt4d.geometry import Floats, Geometry
from rt4d.motion.motion import Motion
from rt4d.motion.quality.shift import SEARCH_MM
from rt4d.resampling import signed_distance_mm
from rt4d.volumes import Mask, Volume

AROUND_MM = 12.0
"""How far around the target images are compared and the field is looked at."""
EDGE_MM = 5.0
"""How far around the target the remaining shift is measured: enough for its outline, little of what slides past it."""
SAMPLE_MM = 2.0
"""Voxels smaller than this are passed over, every second or third being enough to compare images."""
ENOUGH_POINTS = 20_000
"""Of a large target no more points than about this are asked for their Jacobian and their way back."""
LUNG_HU = -400.0
"""Half-way between lung and soft tissue; as in rt4d.anatomy."""

Array = npt.NDArray[np.float32]
Box = tuple[tuple[int, int, int], tuple[int, int, int]]


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """The target and its surroundings on the reference phase: sample points, the image there, and the distance from the target's surface."""

    mask: Mask
    box: Box
    step: tuple[int, int, int]
    points_mm: Floats
    hu: Array
    distance_mm: Array
    geometry: Geometry
    hu_inside: float

    @property
    def around(self) -> npt.NDArray[np.bool_]:
        return self.distance_mm < AROUND_MM

    @property
    def edge(self) -> npt.NDArray[np.bool_]:
        return self.distance_mm < EDGE_MM

    @property
    def lung(self) -> npt.NDArray[np.bool_]:
        """The sample points in lung around the target."""
        return self.around & (self.distance_mm > 0) & (self.hu < LUNG_HU)

    def sampled(self, volume: Volume) -> Array:
        """What of a whole image on the reference's grid lies at the sample points."""
        every = tuple(slice(a, a + n, step) for a, n, step in zip(*(triple[::-1] for triple in (*self.box, self.step)), strict=True))
        return volume.hu[every].astype(np.float32)

    @property
    def rim_hu(self) -> float:
        """How far coarse voxels alone may change the mean inside: the contrast to the surroundings, times a quarter of a voxel over the radius."""
        target = self.distance_mm < 0
        contrast = abs(float(self.hu[target].mean() - self.hu[~target & self.around].mean()))
        radius_mm = float(np.cbrt(3 * 1000 * self.mask.volume_cm3 / (4 * np.pi)))
        return contrast * float(np.mean(self.mask.geometry.spacing_mm)) / (4 * radius_mm)


def surroundings(motion: Motion, reference: Volume, mask: Mask) -> Surroundings:
    """The sample points around the target, within what was registered."""
    box = box_within(motion, mask, AROUND_MM + SEARCH_MM)
    sx, sy, sz = (max(1, round(SAMPLE_MM / spacing)) for spacing in mask.geometry.spacing_mm)
    crop = mask.crop(*box)
    hu_inside = float(reference.hu[mask.inside].mean())
    every = slice(None, None, sz), slice(None, None, sy), slice(None, None, sx)
    hu = reference.crop(*box).hu[every].astype(np.float32)
    geometry = every_other(crop.geometry, (sx, sy, sz))
    return Surroundings(mask, box, (sx, sy, sz), geometry.centres(), hu, signed_distance_mm(crop)[every], geometry, hu_inside)


def box_within(motion: Motion, mask: Mask, margin_mm: float) -> Box:
    """Start and size, on the mask's grid, of its box and a margin, as far as was registered."""
    corners = motion.region.to_patient(np.array([(0, 0, 0), np.array(motion.region.size) - 1], dtype=float))
    known, extent = mask.geometry.box_around(corners)
    wanted, size = mask.box(margin_mm)
    start = [max(a, b) for a, b in zip(known, wanted, strict=True)]
    stop = [min(a + n, b + m) for a, n, b, m in zip(known, extent, wanted, size, strict=True)]
    return (start[0], start[1], start[2]), (stop[0] - start[0], stop[1] - start[1], stop[2] - start[2])


def every_other(geometry: Geometry, step: tuple[int, int, int]) -> Geometry:
    """The grid of every so-many-th voxel along x y z, from the first."""
    dx, dy, dz = (float(v) for v in np.array(geometry.spacing_mm) * step)
    x, y, z = (-(-n // each) for n, each in zip(geometry.size, step, strict=True))
    return Geometry((x, y, z), (dx, dy, dz), geometry.origin_mm, geometry.direction, geometry.frame_of_reference)


def some(points_mm: Floats) -> Floats:
    """Evenly many of a long list of points: enough for a mean and a worst case."""
    return points_mm[:: max(1, len(points_mm) // ENOUGH_POINTS)]


def look_up(array: npt.NDArray[np.generic], geometry: Geometry, points_mm: Floats) -> Array:
    """An array on a grid at points, linear; at the nearest voxel beyond the grid."""
    from scipy import ndimage

    index = np.moveaxis(geometry.to_index(points_mm), -1, 0)[::-1]
    return np.asarray(ndimage.map_coordinates(array, index, order=1, mode="nearest", output=np.float32))
