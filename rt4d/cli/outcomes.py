"""rt4d outcomes: whether what the machine drew and the physician did not goes with what happened to the patients."""

from __future__ import annotations

import enum
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pandas as pd

    from rt4d.outcomes.table import Unit

TABLE_HELP = "One row per patient: .csv, .tsv, or with the extra 'tables' .xlsx and .parquet."
EVENT_HELP = "Column of what ended it: 0 censored, 1 event, 2 competing event."
COVARIATES_HELP = "Columns of one joint model. A number of voxels needs their size beside it (--voxel-volume)."
WHERE_HELP = "Only rows with this value (several are allowed): patients with two rows need it."
PATIENT_HELP = "Column that says who is who.  [default: patient, patient_id or PatientID]"
CLUSTER_HELP = "Column of centres: the variance is then robust by centre."
UNIT_HELP = "Unit of the time.  [default: as the column's name ends (_days, _months), else days]"
DEATH_HELP = "Column with the time of death, in the same unit: nothing may happen after it."
VOXEL_HELP = "Column with the volume of each patient's voxels, mm³."
PER_HELP = "Give counts per voxel of this size, mm³.  [default: the cohort's own size; where sizes differ, per cm³]"
GTV_HELP = "Column with the volume of the GTV to adjust for.  [default: physician_volume_cm3, volume_physician_cm3 or gtv_volume_cm3]"
COMPETING_HELP = "Add cumulative incidence and Fine and Gray's regression."
ZERO_HELP = "What time is counted from, for the record, for example 'start of radiotherapy'."


class TimeUnit(enum.StrEnum):
    """As typer wants the choices of an option."""

    days = "days"
    months = "months"


def outcomes(
    path: Annotated[Path, typer.Argument(metavar="TABLE", help=TABLE_HELP)],
    time: Annotated[str, typer.Option(metavar="COLUMN", help="Column of the time until the event, or for which the patient was followed.")],
    event: Annotated[str, typer.Option(metavar="COLUMN", help=EVENT_HELP)],
    covariates: Annotated[str, typer.Option(metavar="A,B", help=COVARIATES_HELP)],
    where: Annotated[list[str] | None, typer.Option(metavar="COLUMN=VALUE", help=WHERE_HELP)] = None,
    cluster: Annotated[str | None, typer.Option(metavar="COLUMN", help=CLUSTER_HELP)] = None,
    unit: Annotated[TimeUnit | None, typer.Option(help=UNIT_HELP, show_default=False)] = None,
    competing: Annotated[bool, typer.Option("--competing", help=COMPETING_HELP)] = False,
    patient: Annotated[str | None, typer.Option(metavar="COLUMN", help=PATIENT_HELP)] = None,
    death: Annotated[str | None, typer.Option(metavar="COLUMN", help=DEATH_HELP)] = None,
    voxel_volume: Annotated[str, typer.Option(metavar="COLUMN", help=VOXEL_HELP)] = "voxel_volume_mm3",
    per_voxel_of: Annotated[float | None, typer.Option(metavar="MM3", help=PER_HELP)] = None,
    gtv_volume: Annotated[str | None, typer.Option(metavar="COLUMN", help=GTV_HELP)] = None,
    time_zero: Annotated[str | None, typer.Option(metavar="TEXT", help=ZERO_HELP)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> int:
    """Cox regression of an outcome on what is known of each patient: hazard ratios with 95 % intervals, and what to know before believing them.

    The table is checked first and refused (exit code 2) where it contradicts itself; what may mislead but is no contradiction is a warning,
    which leaves the exit code 0. A hazard ratio per voxel is refused where voxels differ between patients, and given per cm³.
    """
    from rt4d.outcomes.analysis import Question, analyse
    from rt4d.outcomes.telling import as_dict, as_text
    from rt4d.tables import read_table

    table = _chosen(read_table(path), where or ())
    question = Question(
        time=time,
        event=event,
        covariates=_names(covariates),
        unit=_unit(time, unit),
        patient=patient,
        cluster=cluster,
        death=death,
        voxel_volume=voxel_volume,
        per_voxel_of_mm3=_size(per_voxel_of),
        gtv_volume=gtv_volume,
        competing=competing,
        time_zero=time_zero,
    )
    found = analyse(table, question)
    sys.stdout.write(json.dumps(as_dict(found), indent=2, ensure_ascii=False, allow_nan=False) + "\n" if as_json else as_text(found))
    return 0


def _chosen(table: pd.DataFrame, conditions: list[str] | tuple[()]) -> pd.DataFrame:
    from rt4d.errors import InputError
    from rt4d.outcomes.table import where

    for condition in conditions:
        column, equals, value = condition.partition("=")
        if not equals or not column.strip():
            raise InputError("--where takes a column and a value", expected="COLUMN=VALUE", found=repr(condition))
        table = where(table, column=column.strip(), value=value)
    return table


def _names(text: str) -> tuple[str, ...]:
    from rt4d.errors import InputError

    names = tuple(part.strip() for part in text.split(","))
    if not all(names) or len(set(names)) != len(names):
        raise InputError("--covariates takes columns, each once", expected="A,B", found=repr(text))
    return names


def _unit(time: str, unit: TimeUnit | None) -> Unit:
    from rt4d.errors import InputError

    own: Unit | None = "days" if time.lower().endswith("days") else "months" if time.lower().endswith("months") else None
    if unit is not None and own is not None and unit.value != own:
        raise InputError("--unit contradicts the column's name", where=time, expected=own, found=unit.value)
    if unit is None:
        return own or "days"
    return "months" if unit is TimeUnit.months else "days"


def _size(mm3: float | None) -> float | None:
    from rt4d.errors import InputError

    if mm3 is not None and not 0 < mm3 < 1e6:
        raise InputError("--per-voxel-of takes the volume of a voxel", expected="mm³ > 0, for example 8", found=mm3)
    return mm3
