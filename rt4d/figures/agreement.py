"""Figures of agreement as a paper prints them: a metric by cohort, volumes against one another, limits of agreement, detection, FROC."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rt4d.agreement.cohort_pairs import MACHINE_PHYSICIAN, MACHINES, PHYSICIANS
from rt4d.agreement.detection import Detection
from rt4d.agreement.froc_curve import Froc
from rt4d.agreement.limits_of_agreement import BlandAltman
from rt4d.agreement.observers import INTRA
from rt4d.errors import InputError
from rt4d.figures.look import INK, QUIET, plain_logarithms, quieten
from rt4d.geometry import Floats

if TYPE_CHECKING:
    import pandas as pd

KINDS = {MACHINE_PHYSICIAN: ("#d55e00", "o"), PHYSICIANS: ("#0072b2", "s"), MACHINES: ("#009e73", "^"), INTRA: ("#cc79a7", "D")}
"""Colour and marker of each kind of pair: Okabe and Ito's vermilion, blue and green; told apart in print without colour by the marker."""
METRICS = {
    "dice": "DSC",
    "surface_dice": "surface DSC",
    "hd95_mm": "HD95, mm",
    "mean_surface_distance_mm": "mean surface distance, mm",
    "centroid_shift_mm": "shift of the centroid, mm",
    "volume_difference_cm3": "volume, machine less physician, cm³",
    "volume_difference_percent": "volume, machine less physician, %",
    "false_positive_cm3": "false positive, cm³",
    "false_negative_cm3": "false negative, cm³",
    "added_path_mm": "added path length, mm",
}
SHARES = ("dice", "surface_dice")
FEWEST_IN_A_BOX = 5
"""Below so many values a box pretends to know quartiles: the points and their median are shown."""
LOGARITHMIC_FROM = 20.0
"""Volumes that span more than so many times the smallest are shown on logarithmic axes."""
LEGEND_WIDTH = 1.85
"""In inches: a kind of pair, in words beside its mark."""
LABEL_HEIGHT = 0.13
"""Of the height of the axes: two lines of small type."""
RIGHT, WRONG = (0.0, 0.447, 0.698), (0.835, 0.369, 0.0)
"""Cells of a confusion table: what machine and physician agree on in blue, the rest in vermilion; the deeper, the larger its share."""


def metric_boxes(table: pd.DataFrame, metric: str) -> Figure:
    """A metric of a cohort's pairs (`CohortPairs.table`) as boxes with all points, by cohort and ROI, machine–physician beside physician–physician.

    Boxes hold the middle half and the median, whiskers reach to the farthest value within 1.5 times its width. Fewer than five values are
    points and their median. What is undefined is counted beneath.
    """
    if metric not in METRICS:
        raise InputError("Not a metric of this figure", expected=", ".join(METRICS), found=metric)
    rois, cohorts = (list(dict.fromkeys(table[name])) for name in ("roi", "cohort"))
    kinds = [kind for kind in KINDS if (table["pair"] == kind).any()]
    width = 1.6 + len(rois) * (0.9 + 0.75 * len(cohorts) * len(kinds))
    figure = Figure(figsize=(max(4.0, width, LEGEND_WIDTH * len(kinds)), 4.0), facecolor="white", layout="constrained")
    row = figure.subplots(1, len(rois), sharey=True, squeeze=False)[0]
    for axes, roi in zip(row, rois, strict=True):
        for place, cohort in enumerate(cohorts):
            part = table[(table["roi"] == roi) & (table["cohort"] == cohort)]
            for n, kind in enumerate(kinds):
                values = part[part["pair"] == kind][metric].to_numpy(dtype=float)
                _box(axes, place + 0.8 * ((n + 0.5) / len(kinds) - 0.5), values, *KINDS[kind], width=0.55 / len(kinds))
        axes.set_xticks(range(len(cohorts)), [_counted(table, metric, roi=roi, cohort=cohort, kinds=kinds) for cohort in cohorts])
        axes.set_xlim(-0.6, len(cohorts) - 0.4)
        axes.set_title(roi if len(rois) > 1 else "", fontsize=10, color=INK, loc="left")
        quieten(axes)
        axes.tick_params(axis="x", length=0)
    row[0].set_ylabel(_with_tolerance(table, metric), color=INK)
    if metric in SHARES:
        row[0].set_ylim(min(0.5, _lowest(table[metric])) - 0.03, 1.02)
    elif _lowest(table[metric]) >= 0:
        row[0].set_ylim(bottom=0)
    figure.legend(*_legend(kinds), loc="outside upper left", ncols=len(kinds), frameon=False, fontsize=9, labelcolor=INK, handletextpad=0.3)
    return figure


def volume_scatter(
    machine_cm3: Sequence[float] | Floats, physician_cm3: Sequence[float] | Floats, *, labels: tuple[str, str] = ("machine", "physician")
) -> Figure:
    """Volumes of the machine's contours against the physician's with the line of identity; logarithmic where they span a wide range.

    On logarithmic axes a volume of 0 (a lesion that was missed, or is none) is an open triangle on the edge.
    """
    machine, physician = (np.asarray(values, dtype=float) for values in (machine_cm3, physician_cm3))
    if machine.shape != physician.shape or machine.ndim != 1 or not np.isfinite(machine).all() or not np.isfinite(physician).all():
        raise InputError("A scatter needs two finite volumes of every pair", found=f"shapes {machine.shape} and {physician.shape}")
    both = np.r_[machine, physician]
    above = both[both > 0]
    logarithmic = above.size > 1 and above.max() > LOGARITHMIC_FROM * above.min()
    low = above.min() / 1.6 if logarithmic else 0.0
    high = (above.max() if above.size else 1.0) * (1.4 if logarithmic else 1.06)
    figure = Figure(figsize=(4.4, 4.2), facecolor="white", layout="constrained")
    axes = figure.subplots()
    if logarithmic:
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.plot([low, high], [low, high], color=QUIET, linewidth=1, linestyle="--", zorder=1)
    axes.text(0.11, 0.05, "identity", transform=axes.transAxes, color=QUIET, fontsize=8, rotation=45)
    there = (machine > 0) & (physician > 0) | (not logarithmic)
    axes.scatter(physician[there], machine[there], s=22, color=KINDS[MACHINE_PHYSICIAN][0], alpha=0.65, linewidths=0, zorder=2)
    _edges(axes, physician[~there], machine[~there], low)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set_xlabel(f"{labels[1]}, cm³", color=INK)
    axes.set_ylabel(f"{labels[0]}, cm³", color=INK)
    if logarithmic:
        plain_logarithms(axes.xaxis)
        plain_logarithms(axes.yaxis)
    quieten(axes, grid="both")
    return figure


def bland_altman_plot(agreement: BlandAltman) -> Figure:
    """Differences over means with bias and limits of agreement, each with its interval; ratios on logarithmic axes."""
    pairs = agreement.pairs
    x = np.exp(agreement.means) if pairs.ratio else agreement.means
    figure = Figure(figsize=(5.6, 3.8), facecolor="white", layout="constrained")
    axes = figure.subplots()
    lines = [("bias", agreement.bias, agreement.bias_interval)]
    if agreement.lower < agreement.upper:
        lines += [("upper limit", agreement.upper, agreement.upper_interval), ("lower limit", agreement.lower, agreement.lower_interval)]
    for name, value, interval in lines:
        style = "-" if name == "bias" else "--"
        axes.axhspan(pairs.back(interval[0]), pairs.back(interval[1]), color="#56b4e9", alpha=0.22, linewidth=0)
        axes.axhline(pairs.back(value), color=INK, linewidth=1.2, linestyle=style)
    axes.axhline(1.0 if pairs.ratio else 0.0, color=QUIET, linewidth=0.8, zorder=1)
    differences = np.exp(pairs.differences) if pairs.ratio else pairs.differences
    axes.scatter(x, differences, s=22, color=KINDS[MACHINE_PHYSICIAN][0], alpha=0.75, linewidths=0, zorder=3)
    unit = f", {pairs.unit}" if pairs.unit else ""
    axes.set_xlabel(f"{'geometric ' if pairs.ratio else ''}mean {pairs.quantity} of {pairs.labels[0]} and {pairs.labels[1]}{unit}", color=INK)
    joined = "over" if pairs.ratio else "less"
    axes.set_ylabel(f"{pairs.labels[0]} {joined} {pairs.labels[1]}{'' if pairs.ratio else unit}", color=INK)
    if pairs.ratio:
        axes.set_xscale("log")
        axes.set_yscale("log")
    if pairs.ratio:
        plain_logarithms(axes.xaxis)
        plain_logarithms(axes.yaxis)
    quieten(axes)
    axes.grid(visible=False)
    _label_beside(axes, {f"{name}\n{_limit(agreement, value)}": pairs.back(value) for name, value, _ in lines})
    return figure


def confusion_plot(detection: Detection, *, title: str = "") -> Figure:
    """Scans by what the physician drew and what the machine found, with sensitivity and specificity, their exact intervals and the rule."""
    confusion = detection.confusion
    counts = np.array([[confusion.found, confusion.false_alarm], [confusion.missed, confusion.rightly_clear]])
    columns = counts.sum(axis=0)
    share = np.divide(counts, columns, out=np.zeros(counts.shape), where=columns > 0)
    figure = Figure(figsize=(4.6, 4.0), facecolor="white", layout="constrained")
    axes = figure.subplots()
    colours = np.array([[RIGHT, WRONG], [WRONG, RIGHT]])
    axes.imshow(np.concatenate([colours, 0.06 + 0.84 * share[..., None]], axis=-1))
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if share[row, column] > 0.7 else INK
        axes.text(column, row - 0.08, str(count), fontsize=18, color=colour, ha="center", va="center")
        told = f"{100 * share[row, column]:.0f} %" if columns[column] else "no scans"
        axes.text(column, row + 0.22, told, fontsize=9, color=colour, ha="center", va="center")
    axes.set_xticks([0, 1], ["lesion", "no lesion"], color=INK)
    axes.set_yticks([0, 1], ["found", "not found"], color=INK, rotation=90, va="center")
    said = f"sensitivity {confusion.sensitivity}\nspecificity {confusion.specificity}\n{textwrap.fill(f'found by {detection.rule}', 52)}"
    axes.set_xlabel(said, fontsize=9, color=INK, labelpad=10)
    figure.suptitle(title, fontsize=10, color=INK, ha="left", x=0.02)
    axes.set_ylabel("machine", color=INK)
    axes.set_title("physician", fontsize=10, color=INK)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def froc_plot(curve: Froc, *, rates: Sequence[float] = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)) -> Figure:
    """Lesion sensitivity over false positives per scan, with its interval by patient at the usual rates up to the first beyond its end."""
    figure = Figure(figsize=(5.0, 3.8), facecolor="white", layout="constrained")
    axes = figure.subplots()
    colour = KINDS[MACHINE_PHYSICIAN][0]
    end = curve.false_positives_per_scan.max(initial=0.0)
    rates = [rate for n, rate in enumerate(sorted(rates)) if n < 2 or sorted(rates)[n - 1] < end]
    low, high = rates[0], rates[-1]
    x, y = np.r_[curve.false_positives_per_scan, max(high, end)], np.r_[curve.sensitivity, curve.sensitivity.max(initial=0.0)]
    axes.step(np.maximum(x, low / 2), y, where="post", color=colour, linewidth=1.6)
    intervals = {rate: curve.interval_at(rate) for rate in rates}
    known = {rate: interval for rate, interval in intervals.items() if interval is not None}
    if known:
        lows, highs = (np.array([interval[end] for interval in known.values()]) for end in (0, 1))
        axes.fill_between(list(known), lows, highs, color=colour, alpha=0.16, linewidth=0)
    axes.plot(rates, [curve.sensitivity_at(rate) for rate in rates], "o", color=colour, markersize=5)
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(rates), [_fraction(rate) for rate in rates])
    axes.set(xlim=(low / 1.3, high * 1.2), ylim=(-0.02, 1.02))
    axes.set_xlabel("false positives per scan", color=INK)
    axes.set_ylabel("sensitivity by lesion", color=INK)
    axes.set_title(textwrap.fill(f"{curve.stratum}, found by {curve.rule}", 62), fontsize=9, color=QUIET, loc="left")
    quieten(axes)
    axes.minorticks_off()
    return figure


def _label_beside(axes: Axes, labels: Mapping[str, float]) -> None:
    """Labels of horizontal lines right of the axes, as near their lines as leaves each of them legible."""
    ordered = sorted(labels, key=lambda text: labels[text])
    at = (axes.transScale + axes.transLimits).transform([(axes.get_xlim()[0], labels[text]) for text in ordered])[:, 1]
    wanted = at - LABEL_HEIGHT * np.arange(len(at))
    places = np.maximum.accumulate(wanted)
    down = np.minimum.accumulate(wanted[::-1])[::-1]
    for text, place in zip(ordered, (places + down) / 2 + LABEL_HEIGHT * np.arange(len(at)), strict=True):
        axes.text(1.015, place, text, transform=axes.transAxes, fontsize=8, color=INK, ha="left", va="center")


def _limit(agreement: BlandAltman, value: float) -> str:
    pairs = agreement.pairs
    return f"{pairs.back(value):.2f}" if pairs.ratio else f"{value:+.3g} {pairs.unit}".rstrip().replace("-", "−")


def _box(axes: Axes, place: float, values: Floats, colour: str, marker: str, *, width: float) -> None:
    values = np.sort(values[np.isfinite(values)])
    if len(values) >= FEWEST_IN_A_BOX:
        line = {"color": colour, "linewidth": 1.2}
        axes.boxplot(
            values, positions=[place], widths=width, showfliers=False, manage_ticks=False, patch_artist=True,
            boxprops={"facecolor": f"{colour}22", "edgecolor": colour, "linewidth": 1.2}, medianprops=line | {"linewidth": 2.2},
            whiskerprops=line, capprops=line,
        )  # fmt: skip
    elif len(values):
        axes.hlines(np.median(values), place - width / 2, place + width / 2, color=colour, linewidth=2.2)
    axes.scatter(place + width * _beside(len(values)), values, s=13, marker=marker, color=colour, alpha=0.55, linewidths=0, zorder=3)


def _beside(n: int) -> Floats:
    """How far each point stands aside, of the box's width, so that neighbours in value do not hide one another; the same every time."""
    return np.asarray(((np.arange(n) * 0.618034) % 1.0 - 0.5) * 0.7, dtype=float)


def _counted(table: pd.DataFrame, metric: str, *, roi: str, cohort: str, kinds: Sequence[str]) -> str:
    part = table[(table["roi"] == roi) & (table["cohort"] == cohort)]
    told = [part[part["pair"] == kind][metric] for kind in kinds]
    lines = [cohort] if cohort else []
    lines.append("n = " + " | ".join(str(int(values.notna().sum())) for values in told))
    absent = [int(values.isna().sum()) for values in told]
    return "\n".join([*lines, *(["undefined " + " | ".join(map(str, absent))] if any(absent) else [])])


def _with_tolerance(table: pd.DataFrame, metric: str) -> str:
    if metric != "surface_dice":
        return METRICS[metric]
    return f"surface DSC at {' and '.join(f'{each:g}' for each in sorted(set(table['tolerance_mm'].dropna())))} mm"


def _lowest(values: Any) -> float:
    return float(values.min()) if values.notna().any() else 0.0


def _legend(kinds: Sequence[str]) -> tuple[list[Line2D], list[str]]:
    handles = [Line2D([], [], color=KINDS[kind][0], marker=KINDS[kind][1], linestyle="", markersize=6) for kind in kinds]
    return handles, [kind if kind == INTRA else kind.replace("-", "–") for kind in kinds]


def _edges(axes: Axes, physician: Floats, machine: Floats, low: float) -> None:
    """Volumes of 0 where axes are logarithmic: on the edge, pointing to where they belong."""
    for values, others, marker, where in ((machine, physician, "v", "y"), (physician, machine, "<", "x")):
        gone = (values == 0) & (others > 0)
        at = np.full(int(gone.sum()), low)
        x, y = (others[gone], at) if where == "y" else (at, others[gone])
        axes.scatter(x, y, s=30, marker=marker, facecolors="white", edgecolors=KINDS[MACHINE_PHYSICIAN][0], clip_on=False, zorder=4)


def _fraction(rate: float) -> str:
    return f"{rate:g}" if rate >= 1 else f"1/{1 / rate:g}"
