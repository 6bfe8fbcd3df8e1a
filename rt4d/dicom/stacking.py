"""Slices become a stack: sorted along their normal by ImagePositionPatient alone, and refused where they are no regular stack."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rt4d.dicom.headers import Slice
from rt4d.errors import DicomError, GeometryError
from rt4d.geometry import Floats, Geometry

SAME_POSITION_MM = 0.01
EVEN_TOLERANCE_MM = 0.051
"""Vendors that round positions to 0.1 mm leave slices up to 0.05 mm off an even grid."""
SHIFT_TOLERANCE_MM = 0.1
"""How far a slice may lie off the line through the first along the normal: more is gantry tilt or a shifted slice."""
DIRECTION_TOLERANCE = 1e-3
FARTHEST_MM = 1e6
"""A coordinate beyond it is no place in a scanner."""
MISSING_STEP = 1.5
"""A step this many times the usual one is a missing slice."""


def stack(slices: Sequence[Slice], *, what: str) -> tuple[Geometry, tuple[Slice, ...]]:
    """The grid that the slices make, and the slices in its order (increasing along the normal, so the grid is right-handed).

    what: whose slices they are, for messages ('phase 30'). Uneven distances are kept as `Geometry.slice_offsets_mm`. Refused: no or
    differing orientation, size, spacing or frame of reference; two slices at one position; gantry tilt and shifted slices.
    """
    _require_complete(slices, what)
    first = slices[0]
    for name, values in (
        ("image size", [(s.file.pixels.columns, s.file.pixels.rows) if s.file.pixels else None for s in slices]),
        ("frame of reference", [s.file.frame_of_reference for s in slices]),
        ("patient position", [s.file.patient_position for s in slices]),
    ):
        _require_one(slices, values, name=name, what=what)
    axes = _axes(slices, what)
    _require_one_spacing(slices, what)
    local = np.array([s.position_mm for s in slices]) @ axes
    order = np.argsort(local[:, 2], kind="stable")
    ordered = tuple(slices[i] for i in order)
    local = local[order]
    _require_distinct(ordered, local[:, 2], what)
    _require_straight(ordered, local, what)
    offsets = local[:, 2] - local[0, 2]
    assert first.file.pixels is not None
    assert first.spacing_mm is not None
    step = _step(ordered, offsets, what)
    geometry = Geometry(
        size=(first.file.pixels.columns, first.file.pixels.rows, len(slices)),
        spacing_mm=(*first.spacing_mm, step),
        origin_mm=_triple(ordered[0]),
        direction=tuple(axes.ravel()),
        frame_of_reference=first.file.frame_of_reference,
        slice_offsets_mm=None if _is_even(offsets) else tuple(offsets),
    )
    return geometry, ordered


def require_no_gap(geometry: Geometry, ordered: Sequence[Slice], *, what: str) -> None:
    """Refuse uneven slices, naming the files on both sides of the gap and where the missing slice belongs."""
    if geometry.is_even:
        return
    steps = np.diff(geometry.offsets_mm)
    usual = float(np.median(steps))
    at = int(np.abs(steps - usual).argmax())
    before, after = ordered[at], ordered[at + 1]
    neighbours = f"between {before.name} and {after.name}"
    if steps[at] > MISSING_STEP * usual:
        n = max(1, round(steps[at] / usual) - 1)
        centre = np.array(_triple(before)) + geometry.normal * usual
        raise GeometryError(
            f"{'A slice is' if n == 1 else f'{n} slices are'} missing in {what}",
            where=neighbours,
            expected=f"a slice at {_text(centre)} mm (slices lie {usual:.2f} mm apart)",
            found=f"a gap of {steps[at]:.2f} mm",
            do="Export the series again, with all its slices",
        )
    raise GeometryError(
        f"The slices of {what} lie at uneven distances",
        where=neighbours,
        expected=f"{usual:.2f} mm throughout",
        found=f"{steps[at]:.2f} mm",
        do="Reconstruct the series at even distances",
    )


def _require_complete(slices: Sequence[Slice], what: str) -> None:
    for one in slices:
        _require_identified(one, what)
        if one.file.pixels is None:
            raise DicomError(f"An image of {what} holds no pixels", where=one.name, do="The file is cut off: copy or export it again")
        for name, value in (
            ("ImagePositionPatient", one.position_mm),
            ("ImageOrientationPatient", one.row),
            ("PixelSpacing", one.spacing_mm),
        ):
            if value is None or max(map(abs, value)) > FARTHEST_MM or (name == "PixelSpacing" and min(value) <= 0):
                raise DicomError(
                    f"An image of {what} does not say where it lies",
                    where=one.name,
                    expected=name,
                    found="none, or no usable numbers",
                    do="Export the series again; a slice's position is not guessed",
                )


def _require_identified(one: Slice, what: str) -> None:
    """Refuse an image without the UIDs by which structure sets and other objects refer to it."""
    file = one.file
    for keyword, uid in (("SOPInstanceUID", file.sop_uid), ("SeriesInstanceUID", file.series_uid), ("StudyInstanceUID", file.study_uid)):
        if not uid:
            raise DicomError(
                f"An image of {what} cannot be identified",
                where=one.name,
                expected=keyword,
                found="none",
                do="Export the series again; nothing that is drawn on it could refer to it",
            )


def _require_one(slices: Sequence[Slice], values: Sequence[object], *, name: str, what: str) -> None:
    for one, value in zip(slices, values, strict=True):
        if value != values[0]:
            raise GeometryError(
                f"The images of {what} differ in {name}",
                where=f"{slices[0].name} and {one.name}",
                expected=values[0] or "none",
                found=value or "none",
                do="Two series were mixed: keep one of them in the folder",
            )


def _axes(slices: Sequence[Slice], what: str) -> Floats:
    """3×3, its columns the unit vectors of rows, columns and normal; refused where a file's are not orthonormal or differ."""
    stored = np.array([[s.row, s.column] for s in slices], dtype=float)
    lengths = np.linalg.norm(stored, axis=2)
    skew = np.abs((stored[:, 0] * stored[:, 1]).sum(axis=1))
    wrong = np.flatnonzero((np.abs(lengths - 1).max(axis=1) > DIRECTION_TOLERANCE) | (skew > DIRECTION_TOLERANCE))
    if wrong.size:
        one = slices[int(wrong[0])]
        raise GeometryError(
            f"The ImageOrientationPatient of an image of {what} is no pair of perpendicular unit vectors",
            where=one.name,
            found=(one.row, one.column),
        )
    turned = np.flatnonzero(np.abs(stored - stored[0]).max(axis=(1, 2)) > DIRECTION_TOLERANCE)
    if turned.size:
        raise GeometryError(
            f"The images of {what} differ in orientation",
            where=f"{slices[0].name} and {slices[int(turned[0])].name}",
            do="Two series were mixed, or this is a scout: keep one series in the folder",
        )
    row = stored[0, 0] / np.linalg.norm(stored[0, 0])
    column = stored[0, 1] - row * (row @ stored[0, 1])
    column /= np.linalg.norm(column)
    return np.stack([row, column, np.cross(row, column)], axis=1)


def _require_one_spacing(slices: Sequence[Slice], what: str) -> None:
    spacing = np.array([s.spacing_mm for s in slices], dtype=float)
    other = np.flatnonzero(np.abs(spacing - spacing[0]).max(axis=1) > DIRECTION_TOLERANCE * spacing[0].min())
    if other.size:
        one = slices[int(other[0])]
        raise GeometryError(
            f"The images of {what} differ in PixelSpacing",
            where=f"{slices[0].name} and {one.name}",
            expected=f"{_text(spacing[0])} mm",
            found=f"{_text(spacing[int(other[0])])} mm",
            do="Two series were mixed: keep one of them in the folder",
        )


def _require_distinct(ordered: Sequence[Slice], along: Floats, what: str) -> None:
    doubled = np.flatnonzero(np.diff(along) < SAME_POSITION_MM)
    if doubled.size:
        at = int(doubled[0])
        raise GeometryError(
            f"Two slices of {what} lie at one position",
            where=f"{ordered[at].name} and {ordered[at + 1].name}",
            expected="one slice at each position",
            found=f"{doubled.size} {'position' if doubled.size == 1 else 'positions'} taken twice, the first at {_text(_triple(ordered[at]))} mm",
            do="Two series were mixed, or a slice was reconstructed twice: keep one of each",
        )


def _require_straight(ordered: Sequence[Slice], local: Floats, what: str) -> None:
    """Slices must be stacked along their normal: a tilted gantry shifts each against the one before."""
    drift = local[:, :2] - local[0, :2]
    far = np.linalg.norm(drift, axis=1)
    if far.max() <= SHIFT_TOLERANCE_MM:
        return
    along = local[:, 2] - local[0, 2]
    slope = along @ drift / (along @ along)
    if np.abs(drift - np.outer(along, slope)).max() <= SHIFT_TOLERANCE_MM:
        raise GeometryError(
            f"{what[0].upper()}{what[1:]} was taken with a tilted gantry",
            where=f"{ordered[0].name} … {ordered[-1].name}",
            expected="slices stacked along their normal",
            found=f"a tilt of {np.degrees(np.arctan(np.linalg.norm(slope))):.1f}°",
            do="Resample the series to an upright grid first; its voxels are no right-angled boxes",
        )
    at = int(far.argmax())
    raise GeometryError(
        f"A slice of {what} is shifted within its plane",
        where=f"{ordered[at].name} against {ordered[0].name}",
        found=f"{far[at]:.2f} mm",
        do="Two series were mixed, or the reconstruction centre was moved: keep one series",
    )


def _step(ordered: Sequence[Slice], offsets: Floats, what: str) -> float:
    """The distance of slices: the mean where even, the median where not, of a single slice its thickness."""
    if len(offsets) > 1:
        return float(offsets[-1] / (len(offsets) - 1) if _is_even(offsets) else np.median(np.diff(offsets)))
    thickness = ordered[0].thickness_mm
    if not thickness or thickness <= 0:
        raise GeometryError(f"The only slice of {what} does not say how thick it is", where=ordered[0].name, expected="SliceThickness")
    return thickness


def _is_even(offsets: Floats) -> bool:
    return bool(np.abs(offsets - np.linspace(0, offsets[-1], len(offsets))).max() <= EVEN_TOLERANCE_MM)


def _triple(one: Slice) -> tuple[float, float, float]:
    assert one.position_mm is not None
    return one.position_mm


def _text(numbers: Sequence[float] | Floats) -> str:
    return ", ".join(f"{v:.2f}" for v in numbers)
