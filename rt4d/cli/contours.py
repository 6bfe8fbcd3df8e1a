"""rt4d contours: the ROIs of a structure set as masks on the grid of the CT that they were drawn on."""

from __future__ import annotations

import enum
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rt4d.roi_files import RoiFiles

CHECK_FAILED = 1
CT_HELP = "Folder with the CT; of several series the one that the structure set references."
BOUNDARY_HELP = "Whether voxel centres on a contour belong: all of them, or those on one side.  [default: decided for each ROI, and said]"
FRAME_HELP = "Accept another frame of reference, or none, where the planes lie on the slices. It is recorded."
INTERPOLATE_HELP = "Fill slices without a contour inside an ROI from the planes about them, also where planes lie between slices."
PARTIAL_HELP = "Write the share of each voxel that lies inside (float32, 0 to 1) instead of a mask, for small volumes."


class Boundary(enum.StrEnum):
    """As typer wants the choices of an option."""

    inclusive = "inclusive"
    half_open = "half-open"


def contours(
    structures: Annotated[Path, typer.Argument(metavar="RTSTRUCT", help="The structure set.")],
    folder: Annotated[Path, typer.Argument(metavar="CT_DIR", help=CT_HELP)],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the masks: new or empty, not inside CT_DIR.")],
    roi: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this ROI (several are allowed).  [default: all]")] = None,
    boundary: Annotated[Boundary | None, typer.Option(help=BOUNDARY_HELP, show_default=False)] = None,
    assume_same_frame: Annotated[bool, typer.Option("--assume-same-frame", help=FRAME_HELP)] = False,
    interpolate: Annotated[bool, typer.Option("--interpolate", help=INTERPOLATE_HELP)] = False,
    partial_volume: Annotated[bool, typer.Option("--partial-volume", help=PARTIAL_HELP)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print contours.json instead of a table.")] = False,
) -> int:
    """One NIfTI mask per ROI on the CT's grid, <roi>.nii.gz, and contours.json: which file is which ROI, what was skipped and why.

    ROIs of points and empty ones are skipped. Exit code 1 where an ROI with closed contours, or one asked for with --roi, could not be
    used: the others are written all the same. Exit code 2, and nothing written, where none could be.
    """
    from rt4d.cli.screen import progress
    from rt4d.dicom.referenced import read_referenced_ct
    from rt4d.dicom.structures import read_rtstruct, summarise_rtstruct
    from rt4d.outputs import require_new_folder, whole_folder
    from rt4d.roi_files import require_nifti, write_roi_files

    require_new_folder(out, not_inside=folder)
    summary = summarise_rtstruct(structures)
    with progress() as show:
        ct = read_referenced_ct(folder, summary, progress=show)
        require_nifti(ct.geometry)
        drawn = read_rtstruct(
            structures,
            on=ct,
            assume_same_frame=assume_same_frame,
            boundary=None if boundary is None else boundary.value,
            interpolate_missing=interpolate,
        )
        with whole_folder(out.absolute()) as place:
            files = write_roi_files(drawn, place, names=roi or (), partial_volume=partial_volume, progress=show)
    for note in files.notes:
        sys.stderr.write(f"note: {note}\n")
    sys.stdout.write(json.dumps(files.to_dict(), indent=2) + "\n" if as_json else as_text(files) + f"Written to {out}\n")
    if files.passed:
        return 0
    sys.stderr.write(f"rt4d: not written, though drawn or asked for: {', '.join(each.roi for each in files.skipped if each.is_trouble)}\n")
    return CHECK_FAILED


def as_text(files: RoiFiles) -> str:
    """What was written as a person reads it in a terminal."""
    width = max(len(written.file) for written in files.written)
    lines = [f"{written.file:<{width}}  {written.volume_cm3:10.2f} cm³  {written.roi}" for written in files.written]
    lines += [f"skipped  {skipped.roi}: {skipped.why}" for skipped in files.skipped]
    return "\n".join(lines) + "\n"
