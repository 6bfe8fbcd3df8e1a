"""What the network says of a CT: a probability for each voxel of its grid, and the connected lesions in it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
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
LINK, LEVELS = 0.8, 9
"""What links a faint peak to another lesion is below this share of it: a bump on that one's slope is none of its own. So many levels are tried."""

Bools = npt.NDArray[np.bool_]
Outlined = tuple[Bools, float]
"""A lesion, z y x, and the probability from which it is outlined."""


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

    def lesion_at(self, point_mm: Triple, threshold: float, faint: float) -> Outlined | None:
        """The one lesion that holds a point or encloses it, sure or faint; else the nearest within 10 mm, a sure one first. None where there is none.

        Also found is here a faint lesion that is linked to another one and so not among `lesions`; and the sure one holds the point too where its
        own highest probability is low, and half of that reaches so far.
        """
        lesions = self.lesions(threshold, faint)
        numbers, distance = lesions.numbers, self.distance_mm(point_mm)
        here = np.unravel_index(int(distance.argmin()), distance.shape)
        sure = _nearest(np.where(numbers <= lesions.sure, numbers, 0), distance)
        encloses = sure > 0 and bool(ndimage.binary_fill_holes(numbers == sure)[here])  # a necrosis, in which there may be a faint one
        number = sure if encloses else int(numbers[here])
        if not number:
            number = sure or _nearest(numbers, distance)
            linked = list(self._linked(numbers > 0, distance <= NEAR_MM, threshold, faint))
            wider = [self._outlined(numbers == sure, (numbers > 0) & (numbers != sure), faint, threshold)] if sure else []
            if found := [one for one in (*linked, *wider) if one and one[0][here]] or ([] if number else linked):
                return found[0]
        return (np.asarray(numbers == number), lesions.levels[number - 1]) if number else None

    def _linked(self, others: Bools, near: Bools, threshold: float, faint: float) -> Iterator[Outlined]:
        """Faint lesions about peaks near a point that are no part of others, the highest first."""
        values = self.values
        peaks = near & ~others & (values >= faint) & (values < threshold) & (values == ndimage.maximum_filter(values, size=3))
        while peaks.any():
            highest = float(values[peaks].max())
            found = self._outlined(peaks, others, faint, LINK * highest)
            if found:
                yield found
            peaks &= ~(found[0] if found else self._piece(max(faint, LINK * highest), peaks))

    def _outlined(self, within: Bools, others: Bools, faint: float, most: float) -> Outlined | None:
        """What lies about the highest value within something, down to half of it or to where it meets others; None where it does so at `most` too."""
        least = max(faint, float(self.values[within].max()) / 2)
        levels = np.linspace(least, max(least, most), LEVELS).tolist()

        def alone(level: float) -> bool:
            return not (self._piece(level, within) & others).any()

        place = bisect_left(levels, x=True, key=alone)
        return (self._piece(levels[place], within), levels[place]) if place < LEVELS else None

    def _piece(self, level: float, within: Bools) -> Bools:
        """What reaches a level and hangs together with the highest value within something."""
        numbers, _ = ndimage.label(self.values >= level, structure=TOUCHING)
        return np.asarray(numbers == numbers.flat[int(np.where(within, self.values, -1).argmax())])

    def highest_near(self, point_mm: Triple) -> float:
        """The highest probability within 10 mm of a point; 0 where the grid has no voxel there."""
        near = self.values[self.distance_mm(point_mm) <= NEAR_MM]
        return float(near.max()) if near.size else 0.0

    def distance_mm(self, point_mm: Triple) -> npt.NDArray[np.float64]:
        """How far each voxel's centre lies from a point, z y x."""
        axes = [self.geometry.origin_mm[a] + np.arange(self.geometry.size[a]) * self.geometry.spacing_mm[a] - point_mm[a] for a in (2, 1, 0)]
        z, y, x = np.ix_(*axes)
        return np.asarray(np.sqrt(z**2 + y**2 + x**2))


def _nearest(numbers: npt.NDArray[np.integer], distance: npt.NDArray[np.float64]) -> int:
    """The number that comes nearest, within 10 mm; 0 where none does."""
    nearest = int(np.where(numbers == 0, np.inf, distance).argmin())
    return int(numbers.flat[nearest]) if distance.flat[nearest] <= NEAR_MM else 0
