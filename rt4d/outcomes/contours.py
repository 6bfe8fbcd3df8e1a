"""The discordance of patients whose table names their contours instead of numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rt4d.agreement.comparing import Comparison, compare
from rt4d.contour_files import ContourFiles, file_and_part
from rt4d.errors import InputError, NotFoundError
from rt4d.outcomes.columns import rows
from rt4d.rois import Progress

if TYPE_CHECKING:
    import pandas as pd

MACHINE, PHYSICIAN, CT = "machine", "physician", "ct"
MEASURED = (
    "false_positive_voxels",
    "false_negative_voxels",
    "false_positive_cm3",
    "false_negative_cm3",
    "false_positive_fraction",
    "false_negative_fraction",
    "voxel_volume_mm3",
    "machine_volume_cm3",
    "physician_volume_cm3",
    "dice",
)


def with_discordance(
    table: pd.DataFrame, covariates: Sequence[str], *, folder: Path, progress: Progress | None = None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table with the columns MEASURED, where a covariate is one of them that it lacks and its columns machine and physician name contours.

    A contour is a file, or FILE:PART, in `folder` unless the path is whole; a structure set needs the folder of its CT in a column ct.
    Voxels are those of the physician's grid. A patient without one of the two contours has no values. The second part is what was odd, each
    with the number of patients. Raises NotFoundError for files that are not there, and InputError naming the row of what cannot be compared.
    """
    lacking = [name for name in covariates if name in MEASURED and name not in table.columns]
    if not lacking or not {MACHINE, PHYSICIAN} <= set(table.columns):
        return table, ()
    given = table[[MACHINE, PHYSICIAN]].notna().all(axis=1)
    _require_files(table[given], folder)
    measured: dict[object, dict[str, float]] = {}
    notes: Counter[str] = Counter()
    for done, (row, patient) in enumerate(table[given].iterrows(), start=1):
        found, odd = _compared(patient, folder, row)
        measured[row] = _values(found)
        notes.update(odd)
        if progress is not None:
            progress("contours", done, int(given.sum()))
    added = {name: [measured.get(row, {}).get(name, np.nan) for row in table.index] for name in MEASURED if name not in table.columns}
    return table.assign(**added), tuple(f"{note} ({count} of {given.sum()} patients)" for note, count in notes.items())


def _compared(patient: pd.Series, folder: Path, row: object) -> tuple[Comparison, list[str]]:
    ct = patient.get(CT)
    files = ContourFiles(on=folder / str(ct) if isinstance(ct, str) and ct else None)
    try:
        machine, physician = (files.read(str(folder / str(patient[who]))) for who in (MACHINE, PHYSICIAN))
        found = compare(machine.mask, physician.mask, machine_label=MACHINE, physician_label=PHYSICIAN)
    except InputError as error:
        raise InputError(f"The contours of row {row} cannot be compared: {error}") from error
    return found, list(dict.fromkeys((*machine.notes, *physician.notes, *found.notes)))


def _values(found: Comparison) -> dict[str, float]:
    """Numbers by column; NaN where there is none, as the fraction of an empty contour."""
    part = {
        "false_positive_fraction": (found.false_positive_cm3, found.volume_machine_cm3),
        "false_negative_fraction": (found.false_negative_cm3, found.volume_physician_cm3),
    }
    fractions = {name: some / whole if whole else np.nan for name, (some, whole) in part.items()}
    volumes = {"machine_volume_cm3": found.volume_machine_cm3, "physician_volume_cm3": found.volume_physician_cm3}
    others = {name: getattr(found, name) for name in MEASURED if name not in fractions | volumes}
    return {name: np.nan if value is None else float(value) for name, value in (fractions | volumes | others).items()}


def _require_files(table: pd.DataFrame, folder: Path) -> None:
    """All of them, before the first is read."""
    lost = []
    for row, patient in table.iterrows():
        for who in (MACHINE, PHYSICIAN):
            try:
                file_and_part(str(folder / str(patient[who])))
            except NotFoundError:
                lost.append((row, str(patient[who])))
    if lost:
        names = ", ".join(name for _, name in lost[:3])
        do = f"Paths are relative to {folder}"
        raise NotFoundError("Contours are not there", where=rows(dict.fromkeys(row for row, _ in lost)), found=names, do=do)
