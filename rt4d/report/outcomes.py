"""The report of an analysis of outcomes: what `rt4d outcomes --report` writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rt4d import figures
from rt4d.errors import InputError
from rt4d.outcomes.analysis import Analysis
from rt4d.outcomes.caveats import caveats
from rt4d.outcomes.effects import Effect, decimals, span, told
from rt4d.outcomes.hazard_curve import hazard_curve
from rt4d.outcomes.telling import as_text
from rt4d.report.page import Picture, made_with, minus_text, number_text, picture, require_new_page, write_new_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rt4d.outcomes.table import Cohort

MOST_SHAPES = 4
"""Of so many covariates the hazard is drawn; of more the table tells."""
FEWEST_IN_A_HALF = 10
APART = 0.05
"""Predicted risks that differ by less lie on top of one another, and show no calibration."""
SURVIVAL_SAYS = "Free of the event (Kaplan–Meier) with 95 % band; a tick where follow-up ended without it. Beneath, how many are at risk."
INCIDENCE_SAYS = "Cumulative incidence of the event and of the competing one (Aalen–Johansen) with 95 % bands. Beneath, how many are at risk."
HALVES_SAY = "The same by halves of {name}, cut at its median, {median}. The cut is for the eye: the regression takes the covariate as it is."
FOREST_SAYS = "Hazard ratios with 95 % intervals: 1 is no association. Together: all covariates in one Cox model."
SHAPE_SAYS = "The hazard over {name} if the line may bend, against a patient at the median; the broken line is one hazard ratio per unit."
CALIBRATION_SAYS = "Predicted against observed risk in groups of patients, the same that the model was made from."


def write_outcomes_report(path: str | Path, found: Analysis, *, made_of: Mapping[str, str] | None = None) -> Path:
    """The path of a new HTML file: hazard ratios with their units, curves with numbers at risk, checks, what to know, and who was left out.

    Patients are told by the rows of the table, never by name. made_of: inputs by name, for the record.
    """
    path = require_new_page(path)
    cohort = found.cohort
    return write_new_page(
        path,
        "outcomes.html.jinja",
        question=found.question,
        cohort=cohort,
        censored=cohort.n - cohort.events - cohort.competing_events,
        centres=len(set(cohort.clusters)) if cohort.clusters else 0,
        tiles=list(_tiles(found)),
        rows=list(_hazard_rows(found)),
        bootstrap=found.bootstrap is not None,
        adjusted=found.adjusted,
        forest=_drawn(lambda: figures.forest_plot(_effects(found)), FOREST_SAYS),
        curves=list(_curves(found)),
        shapes=list(_shapes(found)),
        checks=list(_checks(found)),
        variants=[{"what": each.what, "n": each.n, "events": each.events, "rows": list(_variant_rows(each.effects))} for each in found.variants],
        left_out=_left_out(found),
        caveats=[minus_text(note) for note in caveats(found)],
        text=minus_text(as_text(found)),
        made=made_with(made_of or {}),
    )


def _tiles(found: Analysis) -> Iterator[tuple[str, str, str]]:
    """Numbers with their units, and what they are."""
    cohort = found.cohort
    yield str(cohort.n), "patients", f"analysed; {len(cohort.lost)} left out" if cohort.lost else "analysed"
    yield str(cohort.events), "events", f"{found.question.event} = 1"
    if cohort.competing_events:
        yield str(cohort.competing_events), "competing events", f"{found.question.event} = 2"
    if found.followed is not None:
        yield f"{found.followed:g}", cohort.unit, "median follow-up"
    for name, effect in list(found.joint.items())[:2]:
        ratio, interval = _ratio(effect)
        of = f", {name}" if effect.unit.startswith("against") else f" {effect.unit} of {name}"
        yield ratio, "", f"hazard ratio{of}: 95 % {interval}, p {_p(effect.p)}"


def _hazard_rows(found: Analysis) -> Iterator[dict[str, Any]]:
    """A row for each covariate and way of asking: unit, hazard ratio, interval, p."""
    for name, effect in found.joint.items():
        first = {"name": name, **_told("together" if len(found.joint) > 1 else "unadjusted", effect), "bootstrap": _bootstrap(found, name)}
        yield first
        if (units := found.units.in_cm3.get(name)) is not None:
            yield {"name": "", **_told("the same", effect.per(units, "per cm³")), "bootstrap": ""}
        for how, other in _other_ways(found, name):
            yield {"name": "", **_told(how, other), "bootstrap": ""}


def _other_ways(found: Analysis, name: str) -> Iterator[tuple[str, Effect]]:
    alone = found.alone[name]
    if len(found.joint) > 1:
        yield "alone", alone.effect
    if alone.everyone is not None:
        yield f"alone, all {alone.n} patients who have it", alone.everyone
    if found.adjusted is not None and name in found.adjusted.after:
        yield f"beside {found.adjusted.volume}", found.adjusted.after[name]
    if found.competing is not None:
        yield "subdistribution (Fine and Gray)", found.competing.fine_gray[name]


def _effects(found: Analysis) -> dict[str, dict[str, Effect]]:
    """The forest plot's rows; no more than four ways of asking, and counts of voxels per cm³, since the hazard ratio of one is all but 1."""
    short = {"alone": "alone", "beside": "beside the GTV", "subdistribution": "Fine–Gray"}
    effects: dict[str, dict[str, Effect]] = {}
    for name, effect in found.joint.items():
        others = {short[how.split()[0]]: other for how, other in _other_ways(found, name) if not how.startswith("alone,")}
        every = {"together" if len(found.joint) > 1 else "unadjusted": effect, **others}
        units = found.units.in_cm3.get(name)
        effects[name] = every if units is None else {how: each.per(units, "per cm³") for how, each in every.items()}
    return effects


def _curves(found: Analysis) -> Iterator[Picture]:
    """Survival, also by halves of the first covariate; where events compete, cumulative incidence alone: 1 minus survival would overstate it."""
    cohort = found.cohort
    if cohort.competing_events:
        yield picture(figures.incidence_plot(cohort), INCIDENCE_SAYS)
        return
    yield picture(figures.survival_plot(cohort), SURVIVAL_SAYS)
    name = next(iter(found.joint))
    values = cohort.covariates[name]
    above = values > np.median(values)
    if len(np.unique(values)) > 2 and min(above.sum(), (~above).sum()) >= FEWEST_IN_A_HALF:
        groups = np.where(above, "above median", "up to median").tolist()
        says = HALVES_SAY.format(name=name, median=f"{np.median(values):.3g}")
        yield from filter(None, [_drawn(lambda: figures.survival_plot(cohort, groups=groups), says)])


def _shapes(found: Analysis) -> Iterator[Picture]:
    """The hazard over each covariate as a bent line, and calibration."""
    names = list(found.joint)
    for name in names[:MOST_SHAPES]:
        with suppress(InputError):  # too few different values for a line that bends
            yield picture(figures.hazard_plot(hazard_curve(found.cohort, names, of=name), name=name), SHAPE_SAYS.format(name=name))
    if found.calibration is not None:
        until, groups = found.calibration
        predicted = [group.predicted for group in groups]
        if max(predicted) - min(predicted) >= APART:
            yield picture(figures.calibration_plot(groups, until=_when(until, found.cohort)), CALIBRATION_SAYS)


def _checks(found: Analysis) -> Iterator[tuple[str, str, str]]:
    """What was checked, what came out, and how to read it."""
    yield "events per covariate", f"{found.events_per_variable:.1f}", "below 10, hazard ratios are unsteady and biased away from 1"
    yield "all covariates, likelihood ratio", f"p {_p(found.model.likelihood_ratio.p)}", "a small p: at least one of them goes with the event"
    interval = found.ranking.ci95
    ends = "" if interval is None else f" ({number_text(interval[0])} to {number_text(interval[1])})"
    yield "C-index", f"{number_text(found.ranking.value)}{ends}", "0.5 is chance; in the patients that the model was made from"
    for name, test in found.proportional.by_covariate.items():
        yield f"proportional hazards, {name}", f"p {_p(test.p)}", "a small p: the hazard ratio changes with time and is a mean over follow-up"
    for name, bend in found.bend.items():
        said = "too few different values" if bend is None else f"p {_p(bend.p)}"
        yield f"straight line, {name}", said, "a small p: one hazard ratio per unit does not describe it"


def _left_out(found: Analysis) -> list[str]:
    """What is missing in whom, of the model and of what was adjusted for."""
    notes = [note for note in found.cohort.notes if "left out" in note.lower()]
    if found.adjusted is not None:
        more = [note for note in found.adjusted.notes if "left out" in note.lower() and note not in notes]
        notes += [f"Beside {found.adjusted.volume}: {note}" for note in more]
    return notes


def _when(time: float, cohort: Cohort) -> str:
    years = time / (365.25 if cohort.unit == "days" else 12)
    return f"{years:g} year{'s' if years > 1 else ''}" if abs(years - round(years)) < 1e-9 else f"{time:g} {cohort.unit}"


def _variant_rows(effects: Mapping[str, Effect]) -> Iterator[dict[str, str]]:
    return ({"name": name, **_told("", effect)} for name, effect in effects.items())


def _told(how: str, effect: Effect) -> dict[str, str]:
    ratio, interval = _ratio(effect)
    unit = "–" if effect.unit.startswith("against") else effect.unit
    return {"how": how, "unit": unit, "ratio": ratio, "interval": interval, "p": _p(effect.p)}


def _ratio(effect: Effect) -> tuple[str, str]:
    return told(effect.hazard_ratio, decimals(*effect.ci95)), span(*effect.ci95)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _bootstrap(found: Analysis, name: str) -> str:
    return "–" if found.bootstrap is None else span(*found.bootstrap[name])


def _drawn(draw: Any, says: str) -> Picture | None:
    """A picture, or none where there is nothing that could be drawn."""
    try:
        figure: Figure = draw()
    except InputError:
        return None
    return picture(figure, says)
