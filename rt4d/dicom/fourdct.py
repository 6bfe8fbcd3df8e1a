"""A 4D-CT from a folder: phases told by what the files say, ordered, checked, read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rt4d.dicom.folder import Contents, read_folder
from rt4d.dicom.grouping import Grouping, group_by_phase
from rt4d.dicom.headers import Slice
from rt4d.dicom.inventory import Scan, scan
from rt4d.dicom.phase_stacks import stack_phases
from rt4d.dicom.pixels import Hu, read_hu
from rt4d.dicom.series import identity_of, named, require_ct, require_one_patient
from rt4d.errors import NotFoundError, PhaseError
from rt4d.phases import FourDCT, Phase, parse_label
from rt4d.rois import Progress
from rt4d.volumes import Volume

__all__ = ["Scan", "read_4dct", "scan"]


def read_4dct(
    folder: str | Path,
    *,
    reference: str | float | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> FourDCT:
    """The 4D-CT in a folder, its phases in the order of the breathing cycle.

    reference: a label ('50', '30In') or a percentage; without it the 50 % phase. Averages and projections, other series and structure
    sets are left out, and `notes` says which. Values are Hounsfield units, int16, padding and all below −1024 as −1024. Refused, naming
    files: phases not told or contradictory, two 4D-CTs, two patients or patient positions, unequal grids, missing or doubled slices, a
    tilted gantry, values that are no Hounsfield units, files without UIDs or that are cut off.
    """
    contents = read_folder(folder, progress=progress, workers=workers)
    slices = require_ct(contents)
    require_one_patient(slices)
    grouping = group_by_phase(slices)
    require_phases(grouping, contents)
    stacks = stack_phases(grouping)
    chosen = reference_label(tuple(stacks), reference)
    volumes = {label: np.empty(geometry.shape, np.int16) for label, (geometry, _) in stacks.items()}
    targets: list[tuple[Slice, Hu]] = [pair for label, (_, ordered) in stacks.items() for pair in zip(ordered, volumes[label], strict=True)]
    read_hu(targets, workers=workers, progress=progress)
    phases = tuple(Phase(Volume(volumes[label], geometry), identity_of(ordered), label) for label, (geometry, ordered) in stacks.items())
    return FourDCT(phases, chosen, told_by=grouping.told_by, notes=notes_on(contents, grouping))


def require_phases(grouping: Grouping, contents: Contents) -> None:
    """Refuse a folder without at least two phases, saying what was found instead."""
    if len(grouping.phases) >= 2:
        return
    others = "; ".join(f"{named(left.slices)}{': ' + left.kind if left.kind else ''}" for left in grouping.left_out)
    if grouping.phases:
        label = next(iter(grouping.phases))
        found = f"{label} alone ({named(grouping.phases[label])})" + (f"; no phase is told by {others}" if others else "")
        raise PhaseError(
            "There is only one phase in the folder",
            where=contents.folder,
            expected="two or more",
            found=found,
            do="Give the folder that holds all phases; a single CT is read with read_ct",
        )
    raise PhaseError(
        "No CT in the folder says which phase it is",
        where=contents.folder,
        expected="a percentage in SeriesDescription, ImageComments, NominalPercentageOfRespiratoryPhase or a temporal position",
        found=others,
        do="Export the phases with their descriptions; file and folder names are not believed",
    )


def reference_label(labels: Sequence[str], reference: str | float | None) -> str:
    """The phase that a label, a percentage or nothing (the 50 % phase) means; refused, listing the labels, where it is not one."""
    if isinstance(reference, str) and reference in labels:
        return reference
    wanted = 50.0 if reference is None else _percent(reference)
    fitting = [label for label in labels if wanted is not None and abs(parse_label(label)[0] - wanted) < 0.005]
    if len(fitting) == 1:
        return fitting[0]
    name = "the 50 % phase" if reference is None else reference
    what = "There is no phase to be the reference" if not fitting else "More than one phase could be the reference"
    raise NotFoundError(what, expected=f"one of {', '.join(fitting or labels)}", found=name, do="Name the reference phase by its label")


def notes_on(contents: Contents, grouping: Grouping) -> tuple[str, ...]:
    """What was odd but harmless, in sentences."""
    notes = list(grouping.notes)
    for left in grouping.left_out:
        notes.append(f"Left out of the phases: {named(left.slices)}, {left.kind or 'no phase told'}.")
    if contents.copies:
        copy, original = contents.copies[0]
        notes.append(f"{len(contents.copies)} files are copies of others and count once, for example {copy.name} of {original.name}.")
    if not next(iter(grouping.phases.values()))[0].file.frame_of_reference:
        notes.append("The phases name no frame of reference: that they lie on one was taken on trust.")
    return tuple(notes)


def _percent(reference: str | float) -> float | None:
    try:
        return float(reference.replace("%", "").replace(",", ".")) if isinstance(reference, str) else float(reference)
    except ValueError:
        return None
