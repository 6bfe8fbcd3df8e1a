"""Covariates that count voxels, in a unit that is the same for all patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rt4d.errors import InputError
from rt4d.geometry import Floats
from rt4d.outcomes.columns import as_numbers, require_column, rows
from rt4d.outcomes.discordance import one_voxel_volume_mm3, voxels_in_cm3
from rt4d.outcomes.units import VOXELS, counts_voxels

if TYPE_CHECKING:
    import pandas as pd

VOXEL_VOLUME = "voxel_volume_mm3"


@dataclass(frozen=True, slots=True, eq=False)
class InUnits:
    """A table whose covariates may be compared between patients, and how.

    asked: for each covariate asked for, the column that stands for it. units: of columns that count voxels, what one more of them is.
    in_cm3: of those, how many make one cm³. refused: covariates whose hazard ratio per voxel is refused, and why. notes: of voxels whose size
    is unknown.
    """

    table: pd.DataFrame
    asked: dict[str, str]
    units: dict[str, str]
    in_cm3: dict[str, float]
    refused: dict[str, str]
    notes: list[str]


def in_units(table: pd.DataFrame, covariates: Sequence[str], *, voxel_volume: str = VOXEL_VOLUME, per_voxel_of_mm3: float | None = None) -> InUnits:
    """The table ready for a regression: a count of voxels stays one where all patients have voxels of one size, and becomes cm³ where not.

    per_voxel_of_mm3: counts become numbers of voxels of this size. voxel_volume: the column with the volume of each patient's voxels.
    Where a patient's is unknown, so is the count, which is noted. Raises InputError where that column is missing, for impossible counts and
    sizes, for a count that contradicts the volume beside it, and where a count and its volume are asked for together.
    """
    found = InUnits(table.copy(), {name: name for name in covariates}, {}, {}, {}, [])
    for name in filter(counts_voxels, covariates):
        counts, volumes = _counted(table, name, voxel_volume)
        if (unknown := np.isnan(volumes) & np.isfinite(counts)).any():
            found.notes.append(f"{voxel_volume} is missing in {rows(table.index[unknown])}, so that {name} says nothing there")
            found.table[name] = np.where(unknown, np.nan, counts)
        own = one_voxel_volume_mm3(volumes[np.isfinite(volumes)])
        if (size := per_voxel_of_mm3 or own) is None:
            _as_cm3(found, name, counts, volumes)
            continue
        if per_voxel_of_mm3 is not None:
            found.table[name] = voxels_in_cm3(counts, volumes) * 1000 / size
        found.units[name], found.in_cm3[name] = f"per voxel of {size:.4g} mm³", 1000 / size
    double = sorted(name for name in set(found.asked.values()) if list(found.asked.values()).count(name) > 1)
    if double:
        raise InputError("The same covariate is asked for twice", where=", ".join(double), found=", ".join(covariates), do="Ask for it once")
    return found


def _counted(table: pd.DataFrame, name: str, voxel_volume: str) -> tuple[Floats, Floats]:
    counts = as_numbers(require_column(table, name))
    if voxel_volume not in table.columns:
        raise InputError(
            "A number of voxels means nothing without their size",
            where=name,
            expected=f"a column {voxel_volume} with the volume of each patient's voxels in mm³",
            do="Add it, name it with --voxel-volume, or use a volume in cm³",
        )
    volumes = as_numbers(table[voxel_volume])
    if not np.isfinite(volumes).any():
        raise InputError("No patient's voxel size is known", where=voxel_volume, do="Fill it in, or use a volume in cm³")
    _refuse(volumes <= 0, table, voxel_volume, "The volume of a voxel must be positive", found=volumes)
    _refuse(counts < 0, table, name, "A number of voxels cannot be negative", found=counts)
    _refuse_contradiction(table, name, counts, volumes)
    return counts, volumes


def _refuse(wrong: npt.NDArray[np.bool_], table: pd.DataFrame, name: str, what: str, *, found: Floats) -> None:
    if wrong.any():
        raise InputError(what, where=f"{name}, {rows(table.index[wrong])}", found=f"{found[wrong][0]:g}", do="Correct the table")


def _refuse_contradiction(table: pd.DataFrame, name: str, counts: Floats, volumes: Floats) -> None:
    """Where the table has the same in cm³ too, both must agree to 2 %, or to the rounding of a voxel or of a table's last decimal."""
    instead = _in_cm3(name)
    if instead not in table.columns:
        return
    told, made = as_numbers(table[instead]), counts * volumes / 1000
    wrong = np.abs(told - made) > np.maximum(0.02 * np.abs(made), volumes / 1000 + 0.006)
    if wrong.any():
        raise InputError(
            f"{name} and {instead} contradict each other",
            where=rows(table.index[wrong]),
            expected=f"{made[wrong][0]:.4g} cm³",
            found=f"{told[wrong][0]:.4g}",
            do=f"Correct the table, or ask for {instead}",
        )


def _in_cm3(name: str) -> str:
    return VOXELS.sub("cm3", name)


def _as_cm3(found: InUnits, name: str, counts: Floats, volumes: Floats) -> None:
    instead = _in_cm3(name)
    known = volumes[np.isfinite(volumes)]
    found.table[instead] = voxels_in_cm3(counts, np.where(np.isfinite(volumes), volumes, np.nan))
    found.asked[name] = instead
    found.refused[name] = (
        f"No hazard ratio per voxel: voxels differ between patients ({known.min():.3g} to {known.max():.3g} mm³), so their number is no measure "
        f"in common. It is given per cm³, as {instead}; --per-voxel-of MM3 gives it per voxel of one stated size"
    )
