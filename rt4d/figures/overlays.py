"""Contours of machine and physician over the CT: a cohort's worst, median and best case beside one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rt4d.errors import InputError
from rt4d.figures.look import INK
from rt4d.figures.target import LUNG_WINDOW_HU, OUTLINED, PLANES, Plane, sample_plane
from rt4d.geometry import Triple
from rt4d.volumes import Mask, Volume

AROUND_MM = 25.0
MACHINE, PHYSICIAN = "#ff8c1a", "#56b4e9"
SHOWN = PLANES[:2]
"""Axial and coronal."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A CT with two contours of one frame of reference and what is to be written above them ('worst, DSC 0.41')."""

    title: str
    ct: Volume
    machine: Mask
    physician: Mask

    def __post_init__(self) -> None:
        if self.machine.is_empty and self.physician.is_empty:
            raise InputError("A case without any contour cannot be shown", where=self.title)

    @property
    def middle_mm(self) -> Triple:
        """The centroid of the physician's contour, where there is one."""
        return (self.machine if self.physician.is_empty else self.physician).centroid_mm

    @property
    def reach_mm(self) -> float:
        """Half the side of a square around the middle that shows both contours."""
        points = np.concatenate([mask.points_mm for mask in (self.machine, self.physician) if not mask.is_empty])
        return float(np.abs(points - self.middle_mm).max() + AROUND_MM)


def case_overlays(cases: Sequence[Case]) -> Figure:
    """Axial (above) and coronal planes of each case through the middle of the physician's contour, both contours outlined."""
    figure = Figure(figsize=(3.4 * len(cases), 7.3), facecolor="white", layout="constrained")
    grid = figure.subplots(len(SHOWN), len(cases), squeeze=False)
    for column, case in zip(grid.T, cases, strict=True):
        for axes, plane in zip(column, SHOWN, strict=True):
            _show(axes, plane, case)
            _outline(axes, plane, case, case.physician, PHYSICIAN, "-", 1.8)
            _outline(axes, plane, case, case.machine, MACHINE, "--", 1.6)
        column[0].set_title(case.title, fontsize=10, color=INK, loc="left")
    handles = [Line2D([], [], color=PHYSICIAN, linewidth=2), Line2D([], [], color=MACHINE, linewidth=2, linestyle="--")]
    figure.legend(handles, ["physician", "machine"], loc="outside lower center", ncols=2, frameon=False, fontsize=9, labelcolor=INK)
    return figure


def _show(axes: Axes, plane: Plane, case: Case) -> None:
    reach = case.reach_mm
    low, high = LUNG_WINDOW_HU
    hu = sample_plane(case.ct.hu, case.ct.geometry, plane, through_mm=case.middle_mm, reach_mm=reach, fill=low)
    axes.imshow(hu, cmap="gray", vmin=low, vmax=high, extent=(-reach, reach, reach, -reach), interpolation="bilinear")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    for place, text in ((0.04, plane.left), (0.96, plane.right)):
        axes.text(place, 0.5, text, transform=axes.transAxes, color="white", fontsize=9, ha="center", va="center", path_effects=OUTLINED)
    axes.text(0.03, 0.97, plane.name, transform=axes.transAxes, color="white", fontsize=8, ha="left", va="top", path_effects=OUTLINED)
    axes.plot([0.92 * reach - 20, 0.92 * reach], [0.92 * reach] * 2, color="white", linewidth=2, path_effects=OUTLINED)
    axes.text(0.92 * reach - 10, 0.88 * reach, "2 cm", color="white", fontsize=8, ha="center", va="bottom", path_effects=OUTLINED)


def _outline(axes: Axes, plane: Plane, case: Case, mask: Mask, colour: str, style: str, width: float) -> None:
    reach = case.reach_mm
    shown = sample_plane(mask.inside, mask.geometry, plane, through_mm=case.middle_mm, reach_mm=reach, fill=0)
    if shown.max() > 0.5:
        axes.contour(shown, levels=[0.5], colors=[colour], linewidths=width, linestyles=[style], extent=(-reach, reach, -reach, reach))
