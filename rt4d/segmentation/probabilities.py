"""What the network says of a CT: a probability for each voxel of its grid, and the connected lesions in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rt4d.errors import GeometryError
from rt4d.geometry import Geometry, Triple
from rt4d.segmentation.chest import Chest
from rt4d.segmentation.space import Array

TOUCHING = np.ones((3, 3, 3), dtype=bool)
"""Voxels that share a face, an edge or a corner belong to one lesion."""
NEAR_MM = 10.0
"""A lesion is 'at' a point where it holds it or comes this near."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesions:
    """Connected lesions. numbers: from 1 in the order of the grid, 0 elsewhere, int32 z y x; the first `sure` of them reach the threshold.

    levels: the probability from which each is outlined.
    """

    numbers: npt.NDArray[np.int32]
    levels: tuple[float, ...]
    sure: int


@dataclass(frozen=True, slots=True, eq=False)
class Probability:
    """The mean over members of the probability of tumour, and their standard deviation (None of one member alone), float32 z y x.

    The spread is that at the network's own voxels. geometry: the part of the upright grid that the network was shown. chest: the midline.
    notes: what to know when reading it. scores: by what lesions are scored, where there was a look through other voxels too; None: by the values.
    """

    values: Array
    spread: Array | None
    geometry: Geometry
    chest: Chest
    notes: tuple[str, ...] = ()
    scores: Array | None = None

    def __post_init__(self) -> None:
        for values in (self.values, self.spread, self.scores):
            if values is not None and values.shape != self.geometry.shape:
                raise GeometryError("A probability must have its grid's shape", expected=self.geometry.shape, found=values.shape)

    def lesions(self, threshold: float, faint: float) -> Lesions:
        """The connected lesions that reach a threshold; then those that reach only the faint one, each about its peak, down to half of it."""
        numbers, count = ndimage.label(self.values >= threshold, structure=TOUCHING)
        levels = [threshold] * count
        weak, weak_count = ndimage.label(self.values >= faint, structure=TOUCHING)
        peaks = ndimage.maximum(self.values, weak, np.arange(1, weak_count + 1))
        for number, (box, peak) in enumerate(zip(ndimage.find_objects(weak), np.atleast_1d(peaks), strict=True), start=1):
            if peak >= threshold:
                continue
            level = max(faint, float(peak) / 2)
            here = np.where(weak[box] == number, self.values[box], 0.0)
            pieces, _ = ndimage.label(here >= level, structure=TOUCHING)
            levels.append(level)
            numbers[box][pieces == pieces.flat[here.argmax()]] = len(levels)
        return Lesions(np.asarray(numbers, dtype=np.int32), tuple(levels), sure=count)

    def lesion_at(self, point_mm: Triple, threshold: float, faint: float) -> tuple[npt.NDArray[np.bool_], float] | None:
        """The one lesion at a point or nearest to it within 10 mm, a faint one only where no other is; with its level. None where there is none."""
        lesions = self.lesions(threshold, faint)
        distance = self.distance_mm(point_mm)
        for numbers in (np.where(lesions.numbers <= lesions.sure, lesions.numbers, 0), lesions.numbers):
            nearest = int(np.where(numbers == 0, np.inf, distance).argmin())
            if (number := int(numbers.flat[nearest])) and distance.flat[nearest] <= NEAR_MM:
                return np.asarray(lesions.numbers == number), lesions.levels[number - 1]
        return None

    def highest_near(self, point_mm: Triple) -> float:
        """The highest probability within 10 mm of a point; 0 where the grid has no voxel there."""
        near = self.values[self.distance_mm(point_mm) <= NEAR_MM]
        return float(near.max()) if near.size else 0.0

    def distance_mm(self, point_mm: Triple) -> npt.NDArray[np.float64]:
        """How far each voxel's centre lies from a point, z y x."""
        axes = [self.geometry.origin_mm[a] + np.arange(self.geometry.size[a]) * self.geometry.spacing_mm[a] - point_mm[a] for a in (2, 1, 0)]
        z, y, x = np.ix_(*axes)
        return np.asarray(np.sqrt(z**2 + y**2 + x**2))
