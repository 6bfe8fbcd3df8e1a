"""Figures of outcomes as a paper prints them: who is spared, what happens first, hazard ratios, the hazard over a covariate, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rt4d.errors import InputError
from rt4d.figures.look import INK, QUIET, plain_logarithms, quieten
from rt4d.geometry import Floats
from rt4d.outcomes.analysis import round_times
from rt4d.outcomes.calibration import CalibrationGroup
from rt4d.outcomes.curves import Curve, cumulative_incidence, kaplan_meier, log_rank
from rt4d.outcomes.effects import Effect, decimals, span
from rt4d.outcomes.hazard_curve import HazardCurve
from rt4d.outcomes.table import Cohort

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Okabe and Ito's blue, vermilion, green and purple; lines differ in style and points in marker, so that print without colour tells them apart."""
STYLES, MARKERS = ("-", "--", "-.", ":"), ("o", "s", "^", "D")
DAYS_PER_YEAR, MONTHS_PER_YEAR = 365.25, 12.0
Bools = npt.NDArray[np.bool_]


def survival_plot(cohort: Cohort, *, groups: Sequence[str] | None = None, outcome: str = "free of the event") -> Figure:
    """Kaplan–Meier curves with 95 % bands, a tick at the end of each follow-up without the event, and the number at risk beneath.

    groups: each patient's, up to four; their log-rank p value is printed. outcome: what the axis calls the share of patients.
    """
    levels = [""] if groups is None else sorted(set(groups))
    if len(levels) > len(COLOURS):
        raise InputError("So many curves cannot be told apart", expected=f"at most {len(COLOURS)} groups", found=len(levels))
    figure, axes, beneath = _over_time(cohort, len(levels))
    year, _ = _year(cohort)
    for n, level in enumerate(levels):
        chosen = np.full(cohort.n, True) if groups is None else np.array(groups) == level
        _steps(axes, _spared(cohort, chosen), year, COLOURS[n], STYLES[n], level or None)
        _censored(axes, cohort, chosen, year, COLOURS[n])
        _at_risk(beneath, cohort, chosen, row=n, name=level, colour=COLOURS[n])
    axes.set(ylim=(0, 103))
    axes.set_ylabel(f"{outcome}, % of patients", color=INK)
    if groups is not None:
        told = f"log-rank {_p(log_rank(cohort, groups).p)}"
        axes.legend(title=told, title_fontsize=9, frameon=False, fontsize=9, labelcolor=INK, loc="best", alignment="left")
    return figure


def incidence_plot(cohort: Cohort, *, event: str = "event", competing: str = "competing event") -> Figure:
    """The cumulative incidence of the event and of the competing one (Aalen–Johansen) with 95 % bands, and the number at risk beneath."""
    if not cohort.competing_events:
        raise InputError("No competing event", expected="patients with event 2", found="none", do="Draw survival_plot instead")
    figure, axes, beneath = _over_time(cohort, 1)
    year, _ = _year(cohort)
    highest = 0.0
    for n, (cause, name) in enumerate(((1, event), (2, competing))):
        curve = cumulative_incidence(cohort, cause=cause)
        _steps(axes, curve, year, COLOURS[1 - n], STYLES[n], name)
        highest = max(highest, float(curve.high.max()))
    _at_risk(beneath, cohort, np.full(cohort.n, True), row=0, name="", colour=INK)
    axes.set(ylim=(0, min(103.0, 108 * highest)))
    axes.set_ylabel("cumulative incidence, % of patients", color=INK)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper left")
    return figure


def forest_plot(effects: Mapping[str, Mapping[str, Effect]]) -> Figure:
    """Hazard ratios with 95 % intervals on a logarithmic axis, the numbers at the right.

    effects: by covariate, then by how it was found ('alone', 'adjusted', at most four). What a hazard ratio is for stands beneath its covariate.
    """
    if not effects or not all(effects.values()):
        raise InputError("A forest plot needs hazard ratios", found="none")
    kinds = list(dict.fromkeys(kind for each in effects.values() for kind in each))
    if len(kinds) > len(COLOURS):
        raise InputError("So many kinds of effect cannot be told apart", expected=f"at most {len(COLOURS)}", found=", ".join(kinds))
    rows = [(name, kind, effect) for name, each in effects.items() for kind, effect in each.items()]
    figure = Figure(figsize=(8.6, 1.1 + 0.36 * len(rows) + 0.2 * len(effects)), facecolor="white", layout="constrained")
    axes = figure.subplots()
    places = _places([len(each) for each in effects.values()])
    axes.axvline(1.0, color=QUIET, linewidth=1, zorder=1)
    for place, (_, kind, effect) in zip(places, rows, strict=True):
        _forest_row(axes, place, kind, effect, kinds.index(kind))
    axes.set_xscale("log")
    _around_one([end for *_, effect in rows for end in effect.ci95], axes)
    for first, (name, each) in zip(_firsts(effects), effects.items(), strict=True):
        _named(axes, places[first : first + len(each)], name, next(iter(each.values())).unit, aside=14 + 5.2 * max(map(len, kinds)))
    axes.set_ylim(max(places) + 0.7, -1.0)
    _beside(axes, (1, -0.9), "hazard ratio (95 % interval)", (10, 0), colour=QUIET)
    axes.set_xlabel("hazard ratio, logarithmic", color=INK)
    quieten(axes)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    return figure


def hazard_plot(curve: HazardCurve, *, name: str = "", unit: str = "") -> Figure:
    """The hazard over a covariate as a spline with 95 % band, the straight line beside it, and a rug: patients with the event above, without below.

    name, unit: as the axis calls the covariate; by default the column's name.
    """
    figure = Figure(figsize=(5.6, 4.0), facecolor="white", layout="constrained")
    axes = figure.subplots()
    axes.fill_between(curve.value, curve.low, curve.high, color=COLOURS[0], alpha=0.16, linewidth=0)
    axes.plot(curve.value, curve.ratio, color=COLOURS[0], linewidth=1.8, label="spline, 95 % interval")
    axes.plot(curve.value, curve.straight, color=COLOURS[1], linewidth=1.4, linestyle="--", label="one hazard ratio per unit")
    axes.axhline(1.0, color=QUIET, linewidth=0.8, zorder=1)
    axes.set_yscale("log")
    shown = np.r_[curve.ratio, curve.straight, np.percentile(curve.low, 5), np.percentile(curve.high, 95), 0.5, 2.0]
    axes.set_ylim(shown.min() / 1.5, shown.max() * 1.5)
    for values, place, anchor in ((curve.value[curve.happened], 1.0, -0.03), (curve.value[~curve.happened], 0.0, 0.03)):
        axes.vlines(values, place, place + anchor, transform=axes.get_xaxis_transform(), color=INK, linewidth=0.6, alpha=0.5)
    plain_logarithms(axes.yaxis)
    axes.set_xlabel((name or curve.covariate) + (f", {unit}" if unit else ""), color=INK)
    axes.set_ylabel(f"hazard against {curve.reference:.3g}{f' {unit}' if unit else ''}, logarithmic", color=INK)
    told = f"departure from a straight line: {_p(curve.bend.p)}; rug: events above, others below"
    axes.set_title(told, fontsize=9, color=QUIET, loc="left")
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper left", bbox_to_anchor=(0.0, 0.96))
    quieten(axes)
    return figure


def calibration_plot(groups: Sequence[CalibrationGroup], *, until: str) -> Figure:
    """Predicted against observed risk in groups of patients, each with its 95 % interval and size, and the line of identity.

    until: in words, for the axes, for example '2 years'.
    """
    if not groups:
        raise InputError("Calibration needs groups of patients", found="none")
    figure = Figure(figsize=(4.4, 4.2), facecolor="white", layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 100], [0, 100], color=QUIET, linewidth=1, linestyle="--", zorder=1)
    ends = [0.05]
    for group in groups:
        low, high = group.ci95 or (group.observed, group.observed)
        axes.vlines(100 * group.predicted, 100 * low, 100 * high, color=COLOURS[0], linewidth=1.6)
        axes.plot(100 * group.predicted, 100 * group.observed, "o", color=COLOURS[0], markersize=6)
        axes.annotate(
            f"n = {group.n}", (100 * group.predicted, 100 * low), (0, -4), textcoords="offset points", fontsize=8, color=QUIET, ha="center", va="top"
        )
        ends += [group.predicted, high]
    end = min(102.0, 108 * max(ends))
    axes.set(xlim=(0, end), ylim=(0, end), aspect="equal")
    axes.set_xlabel(f"predicted risk until {until}, %", color=INK)
    axes.set_ylabel(f"observed until {until} (1 − Kaplan–Meier), %", color=INK)
    quieten(axes)
    return figure


def _over_time(cohort: Cohort, rows: int) -> tuple[Figure, Axes, Axes]:
    """Axes of curves with axes for the numbers at risk beneath; both in years, or in the cohort's unit where follow-up is short."""
    figure = Figure(figsize=(5.8, 3.9 + 0.2 * rows), facecolor="white", layout="constrained")
    axes, beneath = figure.subplots(2, 1, height_ratios=(3.4, 0.2 + 0.2 * rows), sharex=True)
    year, unit = _year(cohort)
    end = float(cohort.time.max()) / year
    axes.set_xlim(0, 1.02 * end)
    axes.tick_params(labelbottom=True)
    axes.set_xlabel(f"time, {unit}", color=INK)
    axes.set_xticks(_ticks(cohort))
    quieten(axes)
    beneath.set_ylim(rows - 0.4, -1.0)
    beneath.spines[:].set_visible(False)
    beneath.tick_params(length=0, labelbottom=False)
    beneath.set_yticks([])
    beneath.text(0, -0.85, "at risk", fontsize=9, color=QUIET, va="center", ha="left")
    return figure, axes, beneath


def _year(cohort: Cohort) -> tuple[float, str]:
    """By what times are divided to be shown, and the unit that comes out."""
    year = DAYS_PER_YEAR if cohort.unit == "days" else MONTHS_PER_YEAR
    return (year, "years") if cohort.time.max() >= 2 * year else (1.0, cohort.unit)


def _ticks(cohort: Cohort) -> Floats:
    return np.concatenate([[0.0], round_times(cohort) / _year(cohort)[0]])


def _spared(cohort: Cohort, chosen: Bools) -> Curve:
    """Kaplan–Meier of some patients; all spared where none of them had the event."""
    if (cohort.event[chosen] == 1).any():
        return kaplan_meier(cohort.only(chosen))
    ones, count = np.ones(2), int(chosen.sum())
    return Curve(np.array([0.0, cohort.time[chosen].max()]), ones, ones, ones, np.array([count, 1]))


def _steps(axes: Axes, curve: Curve, year: float, colour: str, style: str, name: str | None) -> None:
    time = curve.time / year
    axes.fill_between(time, 100 * curve.low, 100 * curve.high, step="post", color=colour, alpha=0.16, linewidth=0)
    axes.step(time, 100 * curve.value, where="post", color=colour, linestyle=style, linewidth=1.7, label=name)


def _censored(axes: Axes, cohort: Cohort, chosen: Bools, year: float, colour: str) -> None:
    """A tick on the curve where follow-up ended without the event (a competing event ends it too)."""
    times = np.sort(cohort.time[chosen & (cohort.event != 1)])
    axes.plot(times / year, 100 * _spared(cohort, chosen).at(times)["value"], "|", color=colour, markersize=6, markeredgewidth=0.8)


def _at_risk(axes: Axes, cohort: Cohort, chosen: Bools, *, row: int, name: str, colour: str) -> None:
    year, _ = _year(cohort)
    for tick in _ticks(cohort):
        count = int(np.count_nonzero(cohort.time[chosen] >= tick * year))
        axes.text(tick, row, str(count), fontsize=9, color=colour, ha="center", va="center")
    if name:
        _beside(axes, (0, row), name, (-16, 0), colour=colour)


def _forest_row(axes: Axes, place: float, kind: str, effect: Effect, n: int) -> None:
    low, high = effect.ci95
    axes.hlines(place, low, high, color=COLOURS[n], linewidth=1.8)
    axes.plot(effect.hazard_ratio, place, MARKERS[n], color=COLOURS[n], markersize=7)
    told = f"{effect.hazard_ratio:.{decimals(low, high)}f} ({span(low, high)}), {_p(effect.p)}"
    _beside(axes, (1, place), told, (10, 0), colour=INK)
    _beside(axes, (0, place), kind, (-6, 0), colour=COLOURS[n])


def _places(counts: Sequence[int]) -> list[float]:
    """A row for each effect, with half a row between covariates."""
    gaps = np.repeat(0.6 * np.arange(len(counts)), counts)
    return [float(place) for place in np.arange(sum(counts)) + gaps]


def _firsts(effects: Mapping[str, Mapping[str, Effect]]) -> list[int]:
    return [int(n) for n in np.cumsum([0, *(len(each) for each in effects.values())])[:-1]]


def _named(axes: Axes, places: Sequence[float], name: str, unit: str, *, aside: float) -> None:
    """A covariate and its unit, so many points left of the axes."""
    told = name if unit.startswith("against") else f"{name}\n{unit}"
    _beside(axes, (0, float(np.mean(places))), told, (-aside, 0), colour=INK)


def _beside(axes: Axes, at: tuple[float, float], told: str, points: tuple[float, float], *, colour: str) -> None:
    """Words at a place (share of the width, row) moved by points: left of it where they are moved to the left."""
    align = "right" if points[0] < 0 else "left"
    axes.annotate(
        told, at, points, xycoords=axes.get_yaxis_transform(), textcoords="offset points", fontsize=9, color=colour, ha=align, va="center",
        annotation_clip=False, linespacing=1.25,
    )  # fmt: skip


def _around_one(ends: Sequence[float], axes: Axes) -> None:
    """Limits that hold all intervals and 1, with ticks a reader can name."""
    low, high = min(*ends, 1 / 1.05), max(*ends, 1.05)
    room = (high / low) ** 0.06
    axes.set_xlim(low / room, high * room)
    plain_logarithms(axes.xaxis)


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
