"""Contours of one ROI onto the slices of a CT: each goes to the slice whose own position it has, or is refused in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rt4d.dicom.rasterise import ON_CENTRE, ON_TRACED_CENTRE, Boundary, rasterise
from rt4d.errors import ContourError
from rt4d.geometry import Floats, Geometry
from rt4d.volumes import Mask

PLANE_SHARE, PLANE_MM = 0.1, 0.3
"""A plane is a slice's where it lies within a tenth of the slice distance, at most 0.3 mm: room for text rounded to 0.1 mm, not for another slice."""
_EDGE = 0.5 + 1e-3


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Contours by slice, in index coordinates x y; and those that fit no slice, with their position along the slice normal (mm)."""

    by_slice: dict[int, list[Floats]] = field(default_factory=dict)
    tilted_mm: list[float] = field(default_factory=list)
    between: list[float] = field(default_factory=list)
    beyond: list[float] = field(default_factory=list)


def place(contours: Sequence[Floats], on: Geometry, *, name: str) -> dict[int, list[Floats]]:
    """The contours (patient coordinates, each (n, 3)) by slice number, in index coordinates x y, each (n, 2).

    Raises ContourError, naming the ROI: contours that are not in the planes of the slices; planes between slices (with the slices next
    to them); planes beyond the first or last slice.
    """
    found = _sort(contours, on)
    start = float(np.dot(on.origin_mm, on.normal))
    if found.tilted_mm:
        raise ContourError(
            f"ROI {name} has contours that do not lie in the planes of the CT's slices",
            expected="contours drawn on its slices",
            found=f"{len(found.tilted_mm)} of {len(contours)} contours reach up to {max(found.tilted_mm):.1f} mm across slices",
            do="Export it drawn on the slices of this CT",
        )
    if found.beyond and not found.by_slice and not found.between:
        raise ContourError(f"ROI {name} lies outside the image", expected=_span(on), found=f"contours at {_list(found.beyond)} mm")
    if found.beyond:
        raise ContourError(
            f"ROI {name} lies partly outside the image, which would cut it",
            expected=_span(on),
            found=f"{len(found.beyond)} of {len(contours)} contours beyond, at {_list(found.beyond)} mm",
            do="Draw it on a CT that holds all of it",
        )
    if found.between:
        slices = start + on.offsets_mm
        near = slices[np.argsort(np.abs(slices - found.between[0]))[:2]]
        raise ContourError(
            f"ROI {name} has planes between the slices of the CT",
            expected=f"planes on slices, such as {_list(sorted(near))} mm",
            found=f"{len(found.between)} of {len(contours)} contours off them, at {_list(found.between)} mm along the slice normal",
            do="Give the CT that it was drawn on",
        )
    return found.by_slice


def fill(by_slice: dict[int, list[Floats]], on: Geometry, *, name: str, boundary: Boundary, traced: bool) -> Mask:
    """The voxels of the placed contours. Raises ContourError where some of them would lie beyond the image, or where there are none."""
    inside = np.zeros(on.shape, dtype=bool)
    columns, rows = on.size[:2]
    near = ON_TRACED_CENTRE if traced else ON_CENTRE
    lost = 0
    for z, polygons in by_slice.items():
        if _reaches_beyond(polygons, on):
            around = rasterise(
                [points + np.array([columns, rows]) for points in polygons], (3 * rows, 3 * columns), boundary=boundary, on_centre=near
            )
            inside[z] = around[rows : 2 * rows, columns : 2 * columns]
            lost += int(np.count_nonzero(around)) - int(np.count_nonzero(inside[z])) + _reaches_beyond(polygons, on, times=3)
        else:
            inside[z] = rasterise(polygons, (rows, columns), boundary=boundary, on_centre=near)
    mask = Mask(inside, on)
    if lost:
        _refuse_cut(mask, lost, name)
    if mask.is_empty:
        small = f"contours on {len(by_slice)} slices that enclose none"
        raise ContourError(f"ROI {name} holds no voxel centre", found=small, do="It is too small for this CT")
    return mask


def empty_slices_within(by_slice: dict[int, list[Floats]]) -> int:
    """How many slices between the first and the last contour have none."""
    return max(by_slice) - min(by_slice) + 1 - len(by_slice) if by_slice else 0


def _sort(contours: Sequence[Floats], on: Geometry) -> _Sorted:
    offsets, matrix = on.offsets_mm, on.matrix
    steps = np.diff(offsets) if on.size[2] > 1 else np.array([on.spacing_mm[2]])
    start = float(np.dot(on.origin_mm, on.normal))
    found = _Sorted()
    for points in contours:
        local = (points - on.origin_mm) @ matrix
        low, high = float(local[:, 2].min()), float(local[:, 2].max())
        middle = (low + high) / 2
        z = int(np.abs(offsets - middle).argmin())
        tolerance = min(PLANE_SHARE * float(steps[max(z - 1, 0) : z + 1].min()), PLANE_MM)
        if max(abs(low - offsets[z]), abs(high - offsets[z])) <= tolerance:
            found.by_slice.setdefault(z, []).append(local[:, :2] / on.spacing_mm[:2])
        elif high - low > 2 * tolerance:
            found.tilted_mm.append(high - low)
        elif middle < -tolerance or middle > offsets[-1] + tolerance:
            found.beyond.append(start + middle)
        else:
            found.between.append(start + middle)
    return found


def _reaches_beyond(polygons: Sequence[Floats], on: Geometry, *, times: int = 1) -> bool:
    """Whether any contour leaves the slice, or a field of so many times its width and height about it."""
    size = np.array(on.size[:2])
    reach = size * (times - 1) // 2
    return any(bool(np.any(points < -reach - _EDGE) or np.any(points > size - 1 + reach + _EDGE)) for points in polygons)


def _refuse_cut(mask: Mask, lost: int, name: str) -> None:
    if mask.is_empty:
        raise ContourError(f"ROI {name} lies outside the image", expected=_span(mask.geometry), found="contours beside it")
    lost_cm3 = lost * mask.geometry.voxel_volume_mm3 / 1000
    raise ContourError(
        f"ROI {name} lies partly outside the image, which would cut it",
        expected="all of it within the image",
        found=f"at least {lost_cm3:.2f} cm³ beyond its edge, {mask.volume_cm3:.2f} cm³ within",
        do="Draw it on a CT that holds all of it",
    )


def _span(on: Geometry) -> str:
    start = float(np.dot(on.origin_mm, on.normal))
    return f"slices from {start:.1f} to {start + on.offsets_mm[-1]:.1f} mm along the slice normal"


def _list(positions: Sequence[float]) -> str:
    """A few positions in words: the first three, and how many more."""
    different = list(dict.fromkeys(round(float(position), 2) for position in positions))
    said = ", ".join(f"{position:g}" for position in different[:3])
    return said + (f" and {len(different) - 3} more" if len(different) > 3 else "")
