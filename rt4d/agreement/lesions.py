"""Lesions: the connected pieces of a mask, or masks that each stand for one, with size and place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rt4d import geometry as grids
from rt4d.agreement.surfaces import extent
from rt4d.errors import InputError
from rt4d.geometry import Geometry, Triple
from rt4d.segmentation.candidates import longest_axis_mm
from rt4d.segmentation.probabilities import TOUCHING
from rt4d.volumes import Mask

Bools = npt.NDArray[np.bool_]
Start = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Lesion:
    """One lesion of a scan.

    number: from 1. longest_axis_mm: between its farthest voxel centres, so 0 of a single voxel. score: the machine's, None of a physician's.
    part: its mask within its own box, which begins at index `start` (x y z) of the scan's grid `geometry`.
    """

    number: int
    volume_cm3: float
    centroid_mm: Triple
    longest_axis_mm: float
    part: Mask
    start: Start
    geometry: Geometry
    score: float | None = None

    @property
    def mask(self) -> Mask:
        """The lesion on the scan's grid, made when it is asked for."""
        inside = np.zeros(self.geometry.shape, dtype=bool)
        inside[self._window(self.start, self.part.geometry.size)] = self.part.inside
        return Mask(inside, self.geometry)

    def common_cm3(self, other: Lesion) -> float:
        """The volume of the voxels that both lesions of one scan hold; where they were sampled on a finer grid, not more than either has."""
        return min(self.volume_of(self.held_by([other])), self.volume_cm3, other.volume_cm3)

    def volume_of(self, held: Bools) -> float:
        """The volume in cm³ of some of its voxels, given in its own box, shape z y x."""
        return Mask(held, self.part.geometry).volume_cm3

    def held_by(self, others: Sequence[Lesion]) -> Bools:
        """Which of its own voxels any of the others holds, in its own box, shape z y x."""
        held = np.zeros(self.part.geometry.shape, dtype=bool)
        for other in others:
            first = np.maximum(self.start, other.start)
            size = np.minimum(np.add(self.start, self.part.geometry.size), np.add(other.start, other.part.geometry.size)) - first
            if (size > 0).all():
                mine, theirs = self._window(first - self.start, size), self._window(first - other.start, size)
                held[mine] |= other.part.inside[theirs]
        return held & self.part.inside

    def holds(self, point_mm: Triple) -> bool:
        """Whether a point lies in one of its voxels."""
        index = np.round(self.part.geometry.to_index(point_mm)).astype(int)
        within = ((index >= 0) & (index < self.part.geometry.size)).all()
        return bool(within and self.part.inside[tuple(index[::-1])])

    @staticmethod
    def _window(start: npt.ArrayLike, size: npt.ArrayLike) -> tuple[slice, ...]:
        return tuple(slice(int(i), int(i) + int(n)) for i, n in zip(np.asarray(start)[::-1], np.asarray(size)[::-1], strict=True))

    def __repr__(self) -> str:
        x, y, z = self.centroid_mm
        score = "" if self.score is None else f", score {self.score:.2f}"
        return f"Lesion({self.number}: {self.volume_cm3:.2f} cm³, {self.longest_axis_mm:.0f} mm, at ({x:.0f}, {y:.0f}, {z:.0f}) mm{score})"


def lesions_in(mask: Mask) -> tuple[Lesion, ...]:
    """The pieces of a mask that do not touch, not even at a corner (26-connectivity), the largest first; an empty mask has none.

    Every piece is one, down to a single voxel: what is left out as too small is a choice of the strata that are reported.
    """
    if (window := extent(mask.inside)) is None:
        return ()
    start = [part.start for part in window[::-1]]
    numbers, _ = ndimage.label(mask.inside[window], structure=TOUCHING)
    found = []
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        first = np.add(start, [each.start for each in box[::-1]])
        found.append(_piece(numbers[box] == number, first, mask.geometry))
    found.sort(key=lambda part: -part[0].volume_cm3)
    return tuple(_measured(part, first, mask.geometry, number=n) for n, (part, first) in enumerate(found, start=1))


def lesions_of(masks: Sequence[Mask], *, scores: Sequence[float] | None = None) -> tuple[Lesion, ...]:
    """Each mask as one lesion, in one piece or several (a nodal GTV, a candidate of the segmenter), in their order.

    scores: the machine's, one each. The longest axis of several pieces spans them all. Refused: masks on different grids, an empty mask,
    scores of another number or not finite.
    """
    if scores is not None and (len(scores) != len(masks) or not np.isfinite(scores).all()):
        raise InputError("Every lesion needs its score, a finite number", expected=f"{len(masks)} scores", found=list(scores))
    found = []
    for n, mask in enumerate(masks):
        grids.require(masks[0].geometry, mask.geometry, what="Lesions of one scan lie on one grid")
        if mask.is_empty:
            raise InputError("An empty mask is no lesion", where=f"mask {n + 1}", do="Leave it out")
        start, size = mask.box()
        score = None if scores is None else float(scores[n])
        found.append(_measured(mask.crop(start, size), start, mask.geometry, number=n + 1, score=score))
    return tuple(found)


def _piece(inside: Bools, first: npt.NDArray[np.int_], geometry: Geometry) -> tuple[Mask, Start]:
    """A piece within its own box, and where that begins."""
    x, y, z = (int(i) for i in first)
    return Mask(inside, geometry.crop((x, y, z), inside.shape[::-1])), (x, y, z)


def _measured(part: Mask, start: Start, geometry: Geometry, *, number: int, score: float | None = None) -> Lesion:
    return Lesion(
        number=number,
        volume_cm3=part.volume_cm3,
        centroid_mm=part.centroid_mm,
        longest_axis_mm=longest_axis_mm(part),
        part=part,
        start=start,
        geometry=geometry,
        score=score,
    )
