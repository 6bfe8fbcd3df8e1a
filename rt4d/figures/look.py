"""What all plots share: ink, quiet axes, and round numbers on logarithmic ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.axes import Axes

if TYPE_CHECKING:
    from matplotlib.axis import Axis

INK, QUIET, GRID = "#1b1f24", "#68707a", "#e6e8eb"


def quieten(axes: Axes, *, grid: Literal["y", "both"] = "y") -> None:
    """Two thin axes and a faint grid behind what is shown."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(which="both", colors=QUIET, labelsize=9)
    axes.grid(axis=grid, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def plain_logarithms(axis: Axis) -> None:
    """A few round numbers instead of powers of ten, within what the axis shows."""
    from matplotlib.ticker import FixedLocator, NullLocator

    low, high = sorted(axis.get_view_interval())
    axis.set_major_locator(FixedLocator(_round_ratios(low, high)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: f"{value:g}")


def _round_ratios(low: float, high: float) -> list[float]:
    """Round numbers between two, about five."""
    if high / low < 2:
        step = next(each for each in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2) if (high - low) / each <= 7)
        return [round(n * step, 6) for n in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]
    mantissas = (1.0, 2.0, 5.0) if high / low < 200 else (1.0,)
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    return [m * 10.0**power for power in powers for m in mantissas if low <= m * 10.0**power <= high]
