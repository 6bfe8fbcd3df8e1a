"""A comparison as a person reads it in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rt4d.agreement.comparing import Comparison

UNDEFINED = "undefined"


def as_text(found: Comparison) -> str:
    """A line for each group of numbers; 'undefined' where a contour is empty."""
    percent = found.volume_difference_percent
    relative = "" if percent is None else f" ({_signed(percent, 1)} %)"
    shift = found.centroid_shift_mm
    more = f"{_signed(found.volume_difference_cm3, 2)} cm³{relative}"
    rows = [
        ("Volume", f"{found.volume_machine_cm3:.2f} against {found.volume_physician_cm3:.2f} cm³, {more}"),
        ("DSC, Jaccard", f"{_number(found.dice, '.3f')}, {_number(found.jaccard, '.3f')}"),
        (f"Surface DSC at {found.tolerance_mm:g} mm", _number(found.surface_dice, ".3f")),
        ("HD95, HD", f"{_number(found.hd95_mm, '.2f', ' mm')}, {_number(found.hausdorff_mm, '.2f', ' mm')}"),
        ("Mean surface distance", _number(found.mean_surface_distance_mm, ".2f", " mm")),
        ("Centroid shift", UNDEFINED if shift is None else "x {}, y {}, z {} mm".format(*(_signed(each, 1) for each in shift))),
        ("False positive", f"{found.false_positive_cm3:.2f} cm³, {found.false_positive_voxels} voxels of {found.voxel_volume_mm3:.2f} mm³"),
        ("False negative", f"{found.false_negative_cm3:.2f} cm³, {found.false_negative_voxels} voxels"),
        ("To be drawn anew", f"{found.added_path_mm:.0f} mm; slices to edit {found.slices_to_edit}, drawn {found.slice_count}"),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"{found.machine} against {found.physician}", *(f"  {name:<{width}}  {value}" for name, value in rows)]
    return "\n".join([*lines, *(f"  note: {note}" for note in found.notes)])


def _number(value: float | None, form: str, unit: str = "") -> str:
    return UNDEFINED if value is None else f"{value:{form}}{unit}"


def _signed(value: float, digits: int) -> str:
    """With its sign, and none for what rounds to zero."""
    rounded = round(value, digits)
    return f"{rounded:+.{digits}f}" if rounded else f"{0:.{digits}f}"
