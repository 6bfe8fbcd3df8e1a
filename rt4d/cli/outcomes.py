"""rt4d outcomes: whether what the machine drew and the physician did not goes with what happened to the patients."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pandas as pd

    from rt4d.outcomes.analysis import Analysis
    from rt4d.outcomes.units import Unit

TABLE_HELP = "One row per patient: .csv, .tsv, or with the extra 'tables' .xlsx and .parquet."
EVENT_HELP = "Column of what ended it: 0 censored, 1 event, 2 competing event."
COVARIATES_HELP = (
    "Columns of one joint model. A number of voxels needs their size beside it (--voxel-volume). false_positive_voxels and its like are measured "
    "where the table names contours instead: columns machine, physician, and for structure sets ct (files, as for rt4d compare)."
)
WHERE_HELP = "Only rows with this value (several are allowed): patients with two rows need it."
PATIENT_HELP = "Column that says who is who.  [default: patient, patient_id or PatientID]"
CLUSTER_HELP = "Column of centres: the variance is then robust by centre."
UNIT_HELP = "Unit of the time.  [default: as the column's name ends (days, months), else days, which is noted]"
DEATH_HELP = "Column with the time of death, in the same unit: nothing may happen after it."
VOXEL_HELP = "Column with the volume of each patient's voxels, mm³."
PER_HELP = "Give counts per voxel of this size, mm³.  [default: the cohort's own size; where sizes differ, per cm³]"
GTV_HELP = "Column with the volume of the GTV to adjust for.  [default: physician_volume_cm3, volume_physician_cm3 or gtv_volume_cm3]"
COMPETING_HELP = "Add cumulative incidence and Fine and Gray's regression."
ZERO_HELP = "What time is counted from, for the record, for example 'start of radiotherapy'."
REPORT_HELP = "Also write a page for people: one HTML file, new, that opens offline; hazard ratios, curves, checks, who was left out."


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
    report: Annotated[Path | None, typer.Option("--report", metavar="FILE.html", help=REPORT_HELP)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> int:
    """Cox regression of an outcome on what is known of each patient: hazard ratios with 95 % intervals, and what to know before believing them.

    The table is checked first and refused (exit code 2) where it contradicts itself; what may mislead but is no contradiction is a warning,
    which leaves the exit code 0. A hazard ratio per voxel is refused where voxels differ between patients, and given per cm³.
    """
    from rt4d.outcomes.analysis import Question, analyse
    from rt4d.outcomes.telling import as_dict, as_text
    from rt4d.tables import read_table

    if report is not None:
        from rt4d.report.page import require_new_page

        require_new_page(report)
    asked = _names(covariates)
    table = _measured(_chosen(read_table(path), where or ()), asked, path.parent)
    question = Question(
        time=time,
        event=event,
        covariates=asked,
        unit=_unit(unit),
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
    if report is not None:
        _write_report(report, found, path, where or ())
    sys.stdout.write(json.dumps(as_dict(found), indent=2, ensure_ascii=False, allow_nan=False) + "\n" if as_json else as_text(found))
    return 0


def _write_report(report: Path, found: Analysis, table: Path, conditions: Sequence[str]) -> None:
    from rt4d.provenance import sha256
    from rt4d.report.outcomes import write_outcomes_report

    made_of = {"table": f"SHA-256 {sha256(table)}"} | ({"rows where": "; ".join(conditions)} if conditions else {})
    write_outcomes_report(report, found, made_of=made_of)


def _measured(table: pd.DataFrame, covariates: Sequence[str], folder: Path) -> pd.DataFrame:
    """With what only the machine drew, where the table names contours instead."""
    from rt4d.cli.screen import progress
    from rt4d.outcomes.contours import with_discordance

    with progress() as show:
        found, notes = with_discordance(table, covariates, folder=folder, progress=show)
    sys.stderr.write("".join(f"note: {note}\n" for note in notes))
    return found


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


def _unit(unit: TimeUnit | None) -> Unit | None:
    if unit is None:
        return None
    return "months" if unit is TimeUnit.months else "days"


def _size(mm3: float | None) -> float | None:
    from rt4d.errors import InputError

    if mm3 is not None and not 0 < mm3 < 1e6:
        raise InputError("--per-voxel-of takes the volume of a voxel", expected="mm³ > 0, for example 8", found=mm3)
    return mm3
