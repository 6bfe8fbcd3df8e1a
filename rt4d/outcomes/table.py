"""A cohort: whom we know what of, how long they were followed, and what happened. Checked before anything is computed from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rt4d.errors import InputError
from rt4d.geometry import Floats
from rt4d.outcomes.columns import as_levels, as_numbers, counted, is_words, require_column, rows, shown
from rt4d.outcomes.complete import complete_rows
from rt4d.outcomes.follow_up import imputed_follow_up, nobody_censored, refuse_events_after_death, refuse_impossible_follow_up
from rt4d.outcomes.units import UNITS_OF_TIME, Unit

if TYPE_CHECKING:
    import pandas as pd

PATIENT_COLUMNS = ("patient", "patient_id", "PatientID")


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Patients with their times (in `unit`), events (0 censored, 1 event, 2 competing event) and covariates; every array has one value per patient.

    rows: where each stands in the table. clusters: each patient's centre, or None. lost: rows left out because something is missing.
    notes: what is to be said of the data whatever is computed from them.
    """

    time: Floats
    event: npt.NDArray[np.int_]
    covariates: Mapping[str, Floats]
    unit: Unit = "days"
    rows: tuple[int, ...] = ()
    clusters: tuple[str, ...] | None = None
    lost: tuple[int, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.rows:
            object.__setattr__(self, "rows", tuple(range(1, len(self.time) + 1)))
        if self.unit not in UNITS_OF_TIME:
            raise InputError("Time has a unit", expected=" or ".join(UNITS_OF_TIME), found=self.unit)
        self._require_lengths()
        self._require_times()
        if not np.isin(self.event, (0, 1, 2)).all():
            wrong = rows(np.array(self.rows)[~np.isin(self.event, (0, 1, 2))])
            raise InputError("An event is 0 (censored), 1 (event) or 2 (competing event)", where=wrong)
        if not (self.event == 1).any():
            found = f"{counted(self.competing_events, 'competing event')} (2)" if self.competing_events else f"{self.n} patients, all censored (0)"
            raise InputError("Nobody had the event, so there is nothing to relate to", expected="at least one 1", found=found)

    def _require_lengths(self) -> None:
        lengths = {len(self.time), len(self.event), len(self.rows), *(len(each) for each in self.covariates.values())}
        lengths |= set() if self.clusters is None else {len(self.clusters)}
        if len(lengths) != 1:
            raise InputError("Every patient needs one time, one event and one value of each covariate", found=f"{sorted(lengths)} values")

    def _require_times(self) -> None:
        wrong = ~(np.isfinite(self.time) & (self.time > 0))
        if wrong.any():
            where, found = rows(np.array(self.rows)[wrong]), ", ".join(f"{value:g}" for value in self.time[wrong][:3])
            expected, do = f"more than 0 {self.unit}", "Correct the table, or leave the rows out"
            raise InputError("A time of follow-up must be positive", where=where, expected=expected, found=found, do=do)

    @property
    def n(self) -> int:
        return len(self.time)

    @property
    def events(self) -> int:
        """How many had the event of interest."""
        return int((self.event == 1).sum())

    @property
    def competing_events(self) -> int:
        return int((self.event == 2).sum())

    def matrix(self, names: Sequence[str]) -> Floats:
        """The covariates of these names as columns, shape (n, p)."""
        return np.column_stack([self.covariates[name] for name in names])

    def only(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Cohort:
        """Some of the patients, by places or by yes and no; drawn twice they count twice."""
        clusters = None if self.clusters is None else tuple(np.array(self.clusters)[chosen])
        picked = {name: values[chosen] for name, values in self.covariates.items()}
        places = tuple(int(row) for row in np.array(self.rows)[chosen])
        return replace(self, time=self.time[chosen], event=self.event[chosen], covariates=picked, rows=places, clusters=clusters)


def cohort_from_table(
    table: pd.DataFrame,
    *,
    time: str,
    event: str,
    covariates: Sequence[str],
    unit: Unit = "days",
    patient: str | None = None,
    cluster: str | None = None,
    death: str | None = None,
) -> Cohort:
    """The cohort that a table describes, every check passed; rows in which something needed is missing are left out and noted.

    patient: the column that says who is who; by default one called patient, patient_id or PatientID, and without one every row is a patient.
    cluster: the column of centres. death: a column with the time of death in the same unit: nobody has an event after it.
    A covariate in words becomes one of 0 and 1 per level, against the most frequent level.
    """
    require_column(table, time), require_column(table, event)
    who = patient or _patient_column(table)
    notes = _refuse_double_patients(table, who)
    if taken := [name for name in covariates if name in (time, event, death, who)]:
        raise InputError("A covariate cannot be what the outcome or the patient is told by", where=", ".join(taken), do="Leave it out")
    needed = {name: _values(table, name) for name in covariates}
    times, events = as_numbers(table[time]), _events(table, event)
    refuse_impossible_follow_up(table, times, time=time, unit=unit)
    refuse_events_after_death(table, times, events, death)
    columns = {key: values for each in needed.values() for key, values in each.items()}
    complete, said = complete_rows(table, {time: times, event: events, **columns}, events=events, cluster=cluster)
    places = np.flatnonzero(complete)
    clusters = None if cluster is None else tuple(str(value) for value in require_column(table, cluster).to_numpy()[places])
    notes += said + nobody_censored(events) + imputed_follow_up(times, events, unit=unit)
    return Cohort(
        time=times[places],
        event=events[places].astype(int),
        covariates={name: values[places] for name, values in columns.items()},
        unit=unit,
        rows=tuple(int(row) for row in table.index[places]),
        clusters=clusters,
        lost=tuple(int(row) for row in table.index[~complete]),
        notes=notes,
    )


def where(table: pd.DataFrame, *, column: str, value: str) -> pd.DataFrame:
    """The rows in which a column has a value. Raises InputError, listing the values there are, where none has."""
    words = require_column(table, column).astype("string").str.strip()
    chosen = table[(words == value.strip()).fillna(False).to_numpy(dtype=bool)]
    if len(chosen) == 0:
        raise InputError("No row has that value", where=column, expected=f"one of {', '.join(sorted(words.dropna().unique())[:12])}", found=value)
    return chosen


def _values(table: pd.DataFrame, name: str) -> dict[str, Floats]:
    column = require_column(table, name)
    return as_levels(column) if is_words(column) else {name: as_numbers(column)}


def _events(table: pd.DataFrame, name: str) -> Floats:
    """0, 1 or 2, NaN where a cell is empty; words such as yes and no are refused, for nobody can know which of them is 1."""
    import pandas as pd

    column = table[name]
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    wrong = column.notna().to_numpy() & ~np.isin(numbers, (0, 1, 2))
    if wrong.any():
        where, do = f"{name}, {rows(table.index[wrong])}", "Write it as one of these numbers"
        raise InputError("An event is 0 (censored), 1 (event) or 2 (competing event)", where=where, found=shown(column[wrong]), do=do)
    return np.asarray(numbers, dtype=float)


def _patient_column(table: pd.DataFrame) -> str | None:
    """The column that says who is who by its name, however that is written: patient, Patient ID, PATIENT_ID."""
    plain = {name.lower().replace("_", "").replace(" ", ""): name for name in reversed([str(each) for each in table.columns])}
    return next((plain[each] for each in ("patient", "patientid") if each in plain), None)


def _refuse_double_patients(table: pd.DataFrame, name: str | None) -> tuple[str, ...]:
    """Nothing where every patient has one row; a note where no column says who is who."""
    if name is None:
        return (f"No column says who is who ({', '.join(PATIENT_COLUMNS)}): every row is taken for a patient of its own",)
    who: pd.Series[Any] = require_column(table, name).astype("string").str.strip()
    if who.isna().any():
        raise InputError("A row does not say whose it is", where=f"{name}, {rows(table.index[who.isna()])}")
    double = who.duplicated(keep=False)
    if not double.any():
        return ()
    raise InputError(
        "Patients have several rows, which would count them several times",
        where=f"{name}, {rows(table.index[double])}",
        expected="one row for each patient",
        found=f"{counted(int(who[double].nunique()), 'patient')} with more",
        do=_separating(table, who, name),
    )


def _separating(table: pd.DataFrame, who: pd.Series[Any], name: str) -> str:
    """Which column would leave one row for each patient, and its values."""
    for column in table.columns.drop(name):
        levels = table[column].dropna().astype("string").unique()
        if 2 <= len(levels) <= 20 and not table.assign(_who=who).duplicated(["_who", column]).any():
            offered = " or ".join(f"--where {column}={level}" for level in sorted(levels)[:4])
            return f"Column {column} tells them apart: choose {offered}"
    return "Keep one row for each patient"
