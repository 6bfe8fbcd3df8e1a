"""Where what only one of two contours holds lies: to which side of the physician's contour, and how far from its surface."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rt4d.agreement.places import Places
from rt4d.errors import InputError
from rt4d.figures.look import INK, QUIET, quieten

COLOURS = {"false_positive": "#d55e00", "false_negative": "#0072b2"}
NAMES = {"false_positive": "machine alone (false positive)", "false_negative": "physician alone (false negative)"}


def places_plot(places: Mapping[str, Places]) -> Figure:
    """The volume of 'false_positive' and 'false_negative' (`locate`) by direction and by distance from the physician's surface, as bars in cm³.

    Refused where the physician drew nothing: there is no side or surface then to see it from.
    """
    directions = {kind: each.by_direction_cm3 for kind, each in places.items() if each.by_direction_cm3 is not None}
    distances = {kind: each.by_distance_cm3 for kind, each in places.items() if each.by_distance_cm3 is not None}
    if not directions or not distances:
        raise InputError("Places are seen from the physician's contour", expected="one that is not empty", found="nothing drawn")
    figure = Figure(figsize=(10.2, 3.0), facecolor="white", layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(6, 5))
    _bars(left, directions, "from the physician's centroid")
    _bars(right, distances, "from the physician's surface")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False, fontsize=9, labelcolor=INK)
    return figure


def _bars(axes: Axes, kinds: Mapping[str, Mapping[str, float]], title: str) -> None:
    """Upright bars beside one another, each with its volume above."""
    width = 0.8 / len(kinds)
    for n, (kind, parts) in enumerate(kinds.items()):
        at = [place + width * (n - (len(kinds) - 1) / 2) for place in range(len(parts))]
        bars = axes.bar(at, list(parts.values()), width=0.92 * width, color=COLOURS[kind], label=NAMES[kind])
        axes.bar_label(bars, [_volume(value) for value in parts.values()], fontsize=8, color=QUIET, padding=1)
    names = list(next(iter(kinds.values())))
    axes.set_xticks(range(len(names)), names)
    axes.set_title(title, fontsize=9, color=QUIET, loc="left")
    axes.set_ylabel("cm³", color=INK)
    axes.margins(y=0.14)
    quieten(axes)
    axes.tick_params(axis="x", length=0)


def _volume(cm3: float) -> str:
    return "0" if cm3 == 0 else f"{cm3:.2f}" if cm3 < 9.995 else f"{cm3:.1f}"
