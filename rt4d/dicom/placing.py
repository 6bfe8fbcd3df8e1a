"""Contours of one ROI onto the slices of a CT: each goes to the slice whose own position it has, or is refused in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rt4d.errors import ContourError
from rt4d.geometry import Floats, Geometry

PLANE_SHARE, PLANE_MM = 0.1, 0.3
"""A plane is a slice's where it lies within a tenth of the slice distance, at most 0.3 mm: room for text rounded to 0.1 mm, not for another slice."""
SAME_PLANE_MM = 0.05
"""Contours between slices whose positions differ by less lie in one plane."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Contours in index coordinates x y, each (n, 2): by slice number; and by their offset from the first slice (mm) where that is no slice's."""

    by_slice: dict[int, list[Floats]] = field(default_factory=dict)
    between: dict[float, list[Floats]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Sorted(Placed):
    """And those that cannot be placed, with their position along the slice normal (mm); `across` slices by number, from and to."""

    across: dict[int, tuple[float, float]] = field(default_factory=dict)
    beyond: list[float] = field(default_factory=list)


def place(contours: Mapping[int, Floats], on: Geometry, *, name: str, between_slices: bool = False) -> Placed:
    """The contours of an ROI (by their number in it; patient coordinates, each (n, 3)) by the slices that they lie on.

    Raises ContourError, naming the ROI: contours that are not in the planes of the slices (with their numbers), since without them the
    ROI would be another; planes beyond the first or last slice; and
    unless `between_slices`, planes between slices (with the slices next to them).
    """
    found = _sort(contours, on)
    start = float(np.dot(on.origin_mm, on.normal))
    if found.across:
        raise ContourError(
            f"ROI {name} has contours that do not lie in the planes of the CT's slices",
            expected="contours drawn on its slices",
            found=f"{len(found.across)} of {len(contours)} across them: {_across(found.across)} along the slice normal",
            do="Export it drawn on the slices of this CT, or without these contours if they are not part of it",
        )
    if found.beyond and not found.by_slice and not found.between:
        raise ContourError(f"ROI {name} lies outside the image", expected=span(on), found=f"contours at {_list(found.beyond)}")
    if found.beyond:
        raise ContourError(
            f"ROI {name} lies partly outside the image, which would cut it",
            expected=span(on),
            found=f"{len(found.beyond)} of {len(contours)} contours beyond, at {_list(found.beyond)}",
            do="Draw it on a CT that holds all of it",
        )
    if found.between and not between_slices:
        positions = [start + offset for offset, polygons in found.between.items() for _ in polygons]
        slices = start + on.offsets_mm
        near = slices[np.argsort(np.abs(slices - positions[0]))[:2]]
        raise ContourError(
            f"ROI {name} has planes between the slices of the CT",
            expected=f"planes on slices, such as {_list(sorted(near))}",
            found=f"{len(positions)} of {len(contours)} contours off them, at {_list(positions)} along the slice normal",
            do="Give the CT that it was drawn on, or --interpolate (interpolate_missing=True) to have slices filled from the planes about them",
        )
    return found


def empty_slices_within(by_slice: dict[int, list[Floats]]) -> int:
    """How many slices between the first and the last contour have none."""
    return max(by_slice) - min(by_slice) + 1 - len(by_slice) if by_slice else 0


def _sort(contours: Mapping[int, Floats], on: Geometry) -> _Sorted:
    offsets, matrix = on.offsets_mm, on.matrix
    steps = np.diff(offsets) if on.size[2] > 1 else np.array([on.spacing_mm[2]])
    start = float(np.dot(on.origin_mm, on.normal))
    found = _Sorted()
    for number, points in contours.items():
        local = (points - on.origin_mm) @ matrix
        flat = local[:, :2] / on.spacing_mm[:2]
        low, high = float(local[:, 2].min()), float(local[:, 2].max())
        middle = (low + high) / 2
        z = int(np.abs(offsets - middle).argmin())
        tolerance = min(PLANE_SHARE * float(steps[max(z - 1, 0) : z + 1].min()), PLANE_MM)
        if max(abs(low - offsets[z]), abs(high - offsets[z])) <= tolerance:
            found.by_slice.setdefault(z, []).append(flat)
        elif high - low > 2 * tolerance:
            found.across[number] = (start + low, start + high)
        elif middle < -tolerance or middle > offsets[-1] + tolerance:
            found.beyond.append(start + middle)
        else:
            plane = next((offset for offset in found.between if abs(offset - middle) < SAME_PLANE_MM), middle)
            found.between.setdefault(plane, []).append(flat)
    return found


def span(on: Geometry) -> str:
    start = float(np.dot(on.origin_mm, on.normal))
    return f"slices from {start:.1f} to {start + on.offsets_mm[-1]:.1f} mm along the slice normal"


def _list(positions: Sequence[float]) -> str:
    """A few positions in words: the first three, and how many more."""
    different = list(dict.fromkeys(round(float(position), 2) for position in positions))
    return ", ".join(f"{position:g}" for position in different[:3]) + " mm" + _and_more(different)


def _across(contours: Mapping[int, tuple[float, float]]) -> str:
    """A few contours in words: the numbers of the first three and how far they reach, and how many more."""
    said = [f"number {number} from {low:.5g} to {high:.5g} mm" for number, (low, high) in contours.items()]
    return ", ".join(said[:3]) + _and_more(said)


def _and_more(named: Sequence[object]) -> str:
    return f" and {len(named) - 3} more" if len(named) > 3 else ""
