"""The whole answer to one question: does this go with the outcome, in these patients, and how far may it be trusted?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rt4d.errors import InputError
from rt4d.geometry import Floats
from rt4d.outcomes.adjusting import GTV_COLUMNS, Adjusted, adjusted_for_volume
from rt4d.outcomes.calibration import CalibrationGroup, calibration
from rt4d.outcomes.columns import as_numbers, require_column
from rt4d.outcomes.competing_risk_sets import censoring
from rt4d.outcomes.complete import misses
from rt4d.outcomes.cox import Regression, cox
from rt4d.outcomes.curves import Curve, cumulative_incidence, kaplan_meier
from rt4d.outcomes.effects import ChiSquare, Effect
from rt4d.outcomes.fine_gray import fine_gray
from rt4d.outcomes.multiplicity import benjamini_hochberg, holm
from rt4d.outcomes.proportional_hazards import ProportionalHazards, proportional_hazards
from rt4d.outcomes.ranking import Ranking, auc_at, c_index
from rt4d.outcomes.refitting import bootstrap_hazard_ratios
from rt4d.outcomes.sensitivity import Variant, per_deviation, without
from rt4d.outcomes.splines import non_linearity
from rt4d.outcomes.table import Cohort, cohort_from_table
from rt4d.outcomes.units import Unit, unit_of_time
from rt4d.outcomes.voxel_units import VOXEL_VOLUME, InUnits, in_units

if TYPE_CHECKING:
    import pandas as pd

REPETITIONS = 500


@dataclass(frozen=True, slots=True)
class Question:
    """Which columns of a table are related to which outcome. unit, per_voxel_of_mm3 and gtv_volume may be left to what the table offers."""

    time: str
    event: str
    covariates: tuple[str, ...]
    unit: Unit | None = None
    patient: str | None = None
    cluster: str | None = None
    death: str | None = None
    voxel_volume: str = VOXEL_VOLUME
    per_voxel_of_mm3: float | None = None
    gtv_volume: str | None = None
    competing: bool = False
    time_zero: str | None = None


@dataclass(frozen=True, slots=True)
class Alone:
    """A covariate's effect without the others, and its p value on account of how many were tried.

    everyone: the same in all patients who have this covariate, where the joint model had to leave some of them out; n: how many they are.
    """

    effect: Effect
    p_holm: float
    p_benjamini_hochberg: float
    everyone: Effect | None
    n: int


@dataclass(frozen=True, slots=True, eq=False)
class Competing:
    """Where events compete: subdistribution hazard ratios and the cumulative incidence of the event and of the competing one."""

    fine_gray: dict[str, Effect]
    of_event: Curve
    of_competing: Curve


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """All that is found: one joint Cox model, each covariate alone, adjusted for the GTV's volume, and the checks of the model.

    bend: the test of non-linearity by covariate, None where too few values differ. bootstrap: the interval of each hazard ratio, None where
    there is none. followed: the median follow-up (of the reversed Kaplan–Meier curve), None where less than half were censored. auc: the area
    under the ROC curve at round times. calibration: at one of them, None where events compete. unsaid: what was not computed, and why.
    """

    question: Question
    units: InUnits
    model: Regression
    joint: dict[str, Effect]
    alone: dict[str, Alone]
    adjusted: Adjusted | None
    proportional: ProportionalHazards
    ranking: Ranking
    auc: dict[float, Ranking]
    calibration: tuple[float, tuple[CalibrationGroup, ...]] | None
    bend: dict[str, ChiSquare | None]
    bootstrap: dict[str, tuple[float, float]] | None
    followed: float | None
    spared: Curve
    competing: Competing | None
    variants: tuple[Variant, ...]
    unsaid: tuple[str, ...]

    @property
    def cohort(self) -> Cohort:
        return self.model.cohort

    @property
    def events_per_variable(self) -> float:
        return self.cohort.events / len(self.model.names)


def analyse(table: pd.DataFrame, question: Question, *, repetitions: int = REPETITIONS, seed: int = 0) -> Analysis:
    """What a table (one row per patient; see `where`) says to a question. Raises InputError for whatever the table or the question cannot be."""
    units = in_units(table, question.covariates, voxel_volume=question.voxel_volume, per_voxel_of_mm3=question.per_voxel_of_mm3)
    cohort = _cohort(units, question, tuple(units.asked.values()))
    if question.competing and not cohort.competing_events:
        raise InputError("--competing needs competing events", where=question.event, expected="patients with 2", found="none", do="Leave it out")
    names = list(cohort.covariates)
    model, unsaid = cox(cohort, names), list[str]()
    return Analysis(
        question=question,
        units=units,
        model=model,
        joint=_said(model.effects, units),
        alone=_alone(cohort, question, units),
        adjusted=_adjusted(units, question, unsaid),
        proportional=proportional_hazards(model),
        ranking=c_index(cohort, model.linear_predictor),
        auc=_auc(model),
        calibration=_calibration(model),
        bend={name: _bend(cohort, names, name) for name in names},
        bootstrap=_bootstrap(cohort, names, repetitions, seed),
        followed=_followed(cohort),
        spared=kaplan_meier(cohort),
        competing=_competing(cohort, names, units) if question.competing else None,
        variants=_variants(cohort, names, units, unsaid),
        unsaid=tuple(unsaid),
    )


def _cohort(units: InUnits, question: Question, covariates: Sequence[str]) -> Cohort:
    return cohort_from_table(
        units.table,
        time=question.time,
        event=question.event,
        covariates=covariates,
        unit=unit_of_time(question.time, question.unit) or "days",
        patient=question.patient,
        cluster=question.cluster,
        death=question.death,
    )


def _said(effects: dict[str, Effect], units: InUnits) -> dict[str, Effect]:
    """The same effects with the unit of columns that count voxels."""
    return {name: effect.per(1, units.units.get(name, effect.unit)) for name, effect in effects.items()}


def _alone(cohort: Cohort, question: Question, units: InUnits) -> dict[str, Alone]:
    effects: dict[str, Effect] = {}
    everyone: dict[str, tuple[Effect | None, int]] = {}
    for covariate in units.asked.values():
        columns = [name for name in cohort.covariates if name == covariate or name.startswith(f"{covariate}: ")]
        effects |= _said(cox(cohort, columns).effects, units)
        wider = _cohort(units, question, [covariate])
        same = wider.n == cohort.n or list(wider.covariates) != columns
        more = {} if same else _said(cox(wider, columns).effects, units)
        everyone |= {name: (more.get(name), wider.n) for name in columns}
    p = [effect.p for effect in effects.values()]
    adjusted = zip(holm(p), benjamini_hochberg(p), strict=True)
    return {name: Alone(effects[name], *both, *everyone[name]) for name, both in zip(effects, adjusted, strict=True)}


def _adjusted(units: InUnits, question: Question, unsaid: list[str]) -> Adjusted | None:
    """The covariates but the volume itself, beside the volume of the GTV; None where nothing else is asked, and where `unsaid` says why not."""
    volume = question.gtv_volume or next((name for name in GTV_COLUMNS if name in units.table.columns), None)
    covariates = [name for name in units.asked.values() if name != volume]
    if volume is None:
        unsaid.append("Not adjusted for the volume of the GTV: no column of the table is known to hold it (--gtv-volume)")
        return None
    if not covariates:
        return None
    try:
        return _beside(volume, covariates, units, question)
    except InputError as error:
        if question.gtv_volume:
            raise
        unsaid.append(f"Not adjusted for {volume}: {error}")
        return None


def _beside(volume: str, covariates: Sequence[str], units: InUnits, question: Question) -> Adjusted:
    require_column(units.table, volume)
    cohort = _cohort(units, question, [*covariates, volume])
    found = adjusted_for_volume(cohort, [name for name in cohort.covariates if name != volume], volume=volume)
    return Adjusted(
        found.volume, found.n, found.events, _said(found.before, units), _said(found.after, units), found.of_volume, found.correlation, found.notes
    )


def _variants(cohort: Cohort, names: Sequence[str], units: InUnits, unsaid: list[str]) -> tuple[Variant, ...]:
    """What the result would be without the misses, and with bare numbers of voxels where their sizes differ; `unsaid` says what cannot be said."""
    missed = [int(row) for row in units.table.index[misses(units.table)]]
    rows = list(cohort.rows)
    counts = {units.asked[name]: (name, as_numbers(units.table[name].loc[rows])) for name in units.refused}
    found: list[Variant] = []
    try:
        rest = without(cohort, names, rows=missed)
        found += [rest] if rest else []
    except InputError as error:
        unsaid.append(f"Without the tumours that the machine missed there is no result: {error}")
    try:
        found += per_deviation(cohort, names, counts=counts) if counts else []
    except InputError as error:
        unsaid.append(f"By the bare number of voxels there is no result: {error}")
    return tuple(found)


def _auc(model: Regression) -> dict[float, Ranking]:
    """At the round times at which there is somebody to compare."""
    found = {}
    for time in round_times(model.cohort):
        with suppress(InputError):
            found[float(time)] = auc_at(model.cohort, model.linear_predictor, float(time))
    return found


def _calibration(model: Regression) -> tuple[float, tuple[CalibrationGroup, ...]] | None:
    """At the middle one of the round times."""
    times = round_times(model.cohort)
    until = float(times[(len(times) - 1) // 2])
    return None if model.cohort.competing_events else (until, calibration(model, until))


def _bend(cohort: Cohort, names: Sequence[str], of: str) -> ChiSquare | None:
    try:
        return non_linearity(cohort, names, of=of)
    except InputError:
        return None


def _bootstrap(cohort: Cohort, names: Sequence[str], repetitions: int, seed: int) -> dict[str, tuple[float, float]] | None:
    try:
        return bootstrap_hazard_ratios(cohort, names, repetitions=repetitions, seed=seed)
    except InputError:
        return None


def _followed(cohort: Cohort) -> float | None:
    curve = censoring(cohort.time, cohort.event)
    late = np.flatnonzero(curve.followed <= 0.5)
    return float(curve.time[late[0]]) if late.size else None


def _competing(cohort: Cohort, names: Sequence[str], units: InUnits) -> Competing:
    incidence = [cumulative_incidence(cohort, cause=cause) for cause in (1, 2)]
    return Competing(_said(fine_gray(cohort, names).effects, units), *incidence)


def round_times(cohort: Cohort) -> Floats:
    """A few round times within follow-up, for a table: whole years, or parts of the longest follow-up where that is short."""
    year = 365.25 if cohort.unit == "days" else 12.0
    longest = float(cohort.time.max())
    years = int(longest // year)
    if years < 2:
        return np.round(longest * np.array([0.25, 0.5, 0.75, 1.0]), 2)
    return np.asarray(year * np.arange(1, years + 1, max(1, round(years / 5))), dtype=float)
