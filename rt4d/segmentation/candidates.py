"""Lesions that the network proposes, for a physician to choose from: each with its score, size, place and mask. None is dropped in silence.

A candidate's mask lies on the CT's own grid: the probability, linear between the network's voxels, at least as high as the threshold; of a
faint one, which nowhere reaches that, at least half its own highest. Its low score keeps it from being kept, but it can be chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rt4d.errors import InputError, NoLesionError, NotFoundError
from rt4d.geometry import Geometry, Triple
from rt4d.segmentation.bundle import Bundle
from rt4d.segmentation.chest import BY_LUNGS_MM, Chest, Side
from rt4d.segmentation.probabilities import TOUCHING, Probability
from rt4d.segmentation.space import from_space
from rt4d.volumes import Mask

Bools = npt.NDArray[np.bool_]
SCORED_SHARE = 0.5
"""The score is the mean probability of this share of a lesion's voxels, the surest ones: its blurred rim says nothing about whether it is one."""
DIRECTIONS = 800
"""Over a half sphere, some 5° apart: the longest axis is found to 0.1 %."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Candidate:
    """One connected lesion.

    number: from 1, kept ones first, then by score. score: the mean probability of the surer half of its voxels, 0 to 1, with that of the coarser
    look where the bundle has one. spread: the members' standard deviation of the probability, its mean over the lesion; None of one member
    alone. outlined_from: the probability at its outline, lower than the bundle's threshold for a faint one. longest_axis_mm: between its
    farthest voxel centres. side: None where no lungs were found. at_edge: it reaches the edge of the CT or of what was looked at, and may go
    on beyond.
    why_not: '' for a candidate that is kept, else why it is not. part: its mask within its own box; geometry: of the whole CT.
    """

    number: int
    score: float
    volume_cm3: float
    centroid_mm: Triple
    longest_axis_mm: float
    side: Side | None
    spread: float | None
    outlined_from: float
    at_edge: bool
    part: Mask
    geometry: Geometry
    why_not: str = ""

    @property
    def kept(self) -> bool:
        return not self.why_not

    @property
    def mask(self) -> Mask:
        """The lesion on the CT's grid, made when it is asked for."""
        inside = np.zeros(self.geometry.shape, dtype=bool)
        self.add_to(inside)
        return Mask(inside, self.geometry)

    def add_to(self, inside: Bools) -> None:
        """Set its voxels in an array of the CT's shape."""
        first = np.round(self.geometry.to_index(self.part.geometry.origin_mm)).astype(int)[::-1]
        window = inside[tuple(slice(i, i + n) for i, n in zip(first, self.part.geometry.shape, strict=True))]
        window |= self.part.inside

    def __repr__(self) -> str:
        x, y, z = self.centroid_mm
        kept = "kept" if self.kept else f"not kept: {self.why_not}"
        return f"Candidate({self.number}: score {self.score:.2f}, {self.volume_cm3:.2f} cm³ at ({x:.0f}, {y:.0f}, {z:.0f}) mm, {self.side}, {kept})"


def find_candidates(found: Probability, bundle: Bundle, onto: Geometry) -> tuple[Candidate, ...]:
    """All connected lesions above the bundle's thresholds, on the CT's grid: those that are kept first, then by falling score.

    What reaches the faint threshold only is one where its score, of the coarser look too, reaches that too.
    """
    lesions = found.lesions(bundle.threshold, bundle.faint_threshold)
    boxes = ndimage.find_objects(lesions.numbers)
    each = [
        _candidate(found, lesions.numbers, number, box, level, onto)
        for number, (box, level) in enumerate(zip(boxes, lesions.levels, strict=True), start=1)
    ]
    borne_out = [one for one in each if one.outlined_from >= bundle.threshold or one.score >= bundle.faint_threshold]
    judged = [replace(one, why_not=why_not(one, bundle, found.chest)) for one in borne_out]
    return _numbered(judged)


def candidate_at(found: Probability, bundle: Bundle, onto: Geometry, point_mm: Triple) -> Candidate:
    """The one lesion that holds a point, or else is nearest to it within 10 mm, whatever its score and size. NoLesionError where there is none."""
    seen = found.lesion_at(point_mm, bundle.threshold_at_point, bundle.faint_threshold)
    if seen is None:
        x, y, z = point_mm
        least, highest = min(bundle.faint_threshold, bundle.threshold_at_point), found.highest_near(point_mm)
        raise NoLesionError(
            "No lesion was found at the point",
            where=f"{x:g},{y:g},{z:g}",
            expected=f"a probability of at least {least:g} within 10 mm",
            found=f"{highest:.2f} at most" + (", none of it a lesion of its own" if highest >= least else ""),
            do="Is the point in patient coordinates (LPS, mm), in the lesion's middle? Else give its contour with --gtv RTSTRUCT",
        )
    lesion, level = seen
    box = ndimage.find_objects(lesion.astype(np.uint8))[0]
    one = _candidate(found, lesion.astype(np.int32), 1, box, level, onto)
    if one.part.is_empty:
        raise NoLesionError("The lesion at the point is too small for the CT's voxels", found="no voxel centre in it", do="Draw it: --gtv RTSTRUCT")
    return one


def only(candidates: Sequence[Candidate], keep: Sequence[int]) -> tuple[Candidate, ...]:
    """The same candidates, of which those of the given numbers are kept and no others. NotFoundError where there is none of a number."""
    known = [one.number for one in candidates]
    if missing := [number for number in keep if number not in known]:
        expected = f"1 to {len(known)}" if known else "none: no candidate was found"
        do = "rt4d segment lists the candidates of a CT; a point in the lesion needs no number (--point=X,Y,Z)"
        raise NotFoundError("There is no candidate of that number", expected=expected, found=", ".join(map(str, missing)), do=do)
    if empty := [one.number for one in candidates if one.number in keep and one.part.is_empty]:
        raise InputError("A candidate is too small for the CT's voxels to be kept", found=", ".join(map(str, empty)))
    return tuple(replace(one, why_not="" if one.number in keep else "not asked for") for one in candidates)


def _candidate(
    found: Probability, numbers: npt.NDArray[np.int32], number: int, box: tuple[slice, ...], threshold: float, onto: Geometry
) -> Candidate:
    """A lesion of the network's grid as a candidate on the CT's, not yet judged."""
    wide = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
    lesion = numbers[wide] == number
    values = found.values[wide]
    grid = found.geometry.crop([s.start for s in wide[::-1]], lesion.shape[::-1])
    part = _on_ct(np.where(ndimage.binary_dilation(lesion, TOUCHING), values, 0.0), grid, threshold, onto)
    x, y, z = grid.to_patient(np.argwhere(lesion)[:, ::-1]).mean(axis=0) if part.is_empty else part.centroid_mm
    return Candidate(
        number=number,
        score=_score((values if found.scores is None else found.scores[wide])[lesion]),
        volume_cm3=part.volume_cm3,
        centroid_mm=(float(x), float(y), float(z)),
        longest_axis_mm=longest_axis_mm(part),
        side=found.chest.side(float(x)),
        spread=None if found.spread is None else float(found.spread[wide][lesion].mean(dtype=np.float64)),
        outlined_from=threshold,
        at_edge=any(s.start == 0 or s.stop == n for s, n in zip(box, found.values.shape, strict=True)) or _at_edge(part, onto),
        part=part,
        geometry=onto,
    )


def _on_ct(values: npt.NDArray[np.floating], grid: Geometry, threshold: float, onto: Geometry) -> Mask:
    """Where the probability, linear between the network's voxels, reaches the threshold: within its box on the CT's grid."""
    last = np.array(grid.size) - 1.0
    corners = grid.to_patient(np.array([[x, y, z] for x in (0.0, last[0]) for y in (0.0, last[1]) for z in (0.0, last[2])]))
    target = onto.crop(*onto.box_around(corners, grid.spacing_mm[0]))
    inside = from_space(values.astype(np.float32), grid, target) >= threshold
    mask = Mask(inside, target)
    return mask if mask.is_empty else mask.crop(*mask.box())


def _at_edge(part: Mask, onto: Geometry) -> bool:
    if part.is_empty:
        return False
    first = np.round(onto.to_index(part.geometry.origin_mm)).astype(int)
    return bool((first == 0).any() or (first + part.geometry.size == onto.size).any())


def _score(values: npt.NDArray[np.floating]) -> float:
    surest = np.sort(values, kind="stable")[::-1][: max(1, round(len(values) * SCORED_SHARE))]
    return float(surest.mean(dtype=np.float64))


def longest_axis_mm(part: Mask) -> float:
    """The largest distance between voxel centres, over directions spread evenly (Fibonacci's lattice); the ends of its rows are enough."""
    if part.is_empty:
        return 0.0
    z, y = np.nonzero(part.inside.any(axis=2))
    rows = part.inside[z, y]
    first, last = rows.argmax(axis=1), rows.shape[1] - 1 - rows[:, ::-1].argmax(axis=1)
    points = part.geometry.to_patient(np.concatenate([np.stack([x, y, z], axis=1) for x in (first, last)]))
    height = (np.arange(DIRECTIONS) + 0.5) / DIRECTIONS
    turn = np.pi * (1 + 5**0.5) * np.arange(DIRECTIONS)
    across = np.sqrt(1 - height**2)
    directions = np.stack([np.cos(turn) * across, np.sin(turn) * across, height])
    at_once = max(1, 1_000_000 // len(points))
    return max(float(np.ptp(points @ directions[:, first : first + at_once], axis=0).max()) for first in range(0, DIRECTIONS, at_once))


def why_not(one: Candidate, bundle: Bundle, chest: Chest) -> str:
    """Why a candidate that nobody chose is not kept; empty where it is."""
    if one.part.is_empty:
        return "too small for the CT's voxels"
    if one.volume_cm3 < bundle.smallest_cm3:
        return f"smaller than {bundle.smallest_cm3:g} cm³"
    if not one.score >= bundle.candidate_score:  # nor is kept what has no score
        return f"score below {bundle.candidate_score:g}"
    if not chest.holds(one.part.points_mm):
        return "outside the chest"
    if not chest.reaches_lung(one.part.points_mm):
        return f"more than {BY_LUNGS_MM:g} mm from the lungs"
    return ""


def _numbered(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    ordered = sorted(candidates, key=lambda one: (not one.kept, -one.score, -one.volume_cm3))
    return tuple(replace(one, number=number) for number, one in enumerate(ordered, start=1))
