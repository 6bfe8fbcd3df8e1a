"""Contours over the CT: a cohort's worst, median and best case, where two contours differ, and what several observers drew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rt4d.errors import InputError
from rt4d.figures.look import INK
from rt4d.figures.target import LUNG_WINDOW_HU, OUTLINED, PLANES, Plane, sample_plane
from rt4d.geometry import Floats, Triple
from rt4d.volumes import Mask, Volume

AROUND_MM = 25.0
MACHINE, PHYSICIAN = "#ff8c1a", "#56b4e9"
OBSERVERS = (PHYSICIAN, "#f0e442", "#cc79a7", "#00c795", "#ffffff", "#b39ddb")
"""Of physicians beside one another; from the seventh on a line is dotted as well."""
SHOWN = PLANES[:2]
"""Axial and coronal."""
FILLED = 0.5
NO_CT_HU = -760.0
"""What stands for the CT where there is none: a dark grey."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Two contours of one frame of reference, their CT where there is one, and what is to be written above them ('worst, DSC 0.41')."""

    title: str
    ct: Volume | None
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
        return _reach(self.middle_mm, (self.machine, self.physician))


@dataclass(frozen=True, slots=True)
class _View:
    """A square of a plane: ± reach_mm around a point."""

    plane: Plane
    through_mm: Triple
    reach_mm: float

    @property
    def normal(self) -> int:
        """The patient's axis (0 x, 1 y, 2 z) across which the plane lies."""
        return 3 - self.plane.across - self.plane.down


def case_overlays(cases: Sequence[Case]) -> Figure:
    """Axial (above) and coronal planes of each case through the middle of the physician's contour, both contours outlined."""
    figure = Figure(figsize=(3.4 * len(cases), 7.3), facecolor="white", layout="constrained")
    grid = figure.subplots(len(SHOWN), len(cases), squeeze=False)
    for column, case in zip(grid.T, cases, strict=True):
        for axes, plane in zip(column, SHOWN, strict=True):
            view = _View(plane, case.middle_mm, case.reach_mm)
            _show(axes, view, case.ct)
            axes.text(0.03, 0.97, plane.name, transform=axes.transAxes, color="white", fontsize=8, ha="left", va="top", path_effects=OUTLINED)
            _outline_both(axes, view, case)
        column[0].set_title(case.title, fontsize=10, color=INK, loc="left")
    figure.legend(*_both(("physician", "machine")), loc="outside lower center", ncols=2, frameon=False, fontsize=9, labelcolor=INK)
    return figure


def difference_planes(case: Case, *, most_mm: Triple | None = None) -> Figure:
    """Axial, coronal and sagittal planes with both contours, what only one of them holds filled: through the middle of the physician's contour.

    most_mm: where they differ most, a point in LPS mm. Planes through it stand beneath, the point marked.
    """
    places = [case.middle_mm, *([] if most_mm is None else [most_mm])]
    figure = Figure(figsize=(10.2, 0.5 + 3.5 * len(places)), facecolor="white", layout="constrained")
    for row, place in zip(figure.subplots(len(places), 3, squeeze=False), places, strict=True):
        for axes, plane in zip(row, PLANES, strict=True):
            view = _moved_to(_View(plane, case.middle_mm, case.reach_mm), place)
            _show(axes, view, case.ct)
            _fill(axes, view, case)
            _outline_both(axes, view, case)
            _titled(axes, view)
            if place is most_mm:
                _mark(axes, view, place)
    lines, names = _both(("physician", "machine"))
    handles = [*lines, *(Patch(facecolor=colour, alpha=FILLED) for colour in (PHYSICIAN, MACHINE))]
    names += ["physician alone", "machine alone"]
    if most_mm is not None:
        handles.append(Line2D([], [], color=INK, marker="+", markersize=10, linestyle=""))
        names.append("where they differ most (below)")
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False, fontsize=9, labelcolor=INK)
    return figure


def observer_planes(contours: Mapping[str, Mask], *, ct: Volume | None = None) -> Figure:
    """Axial, coronal and sagittal planes through the middle of what all drew, by name; the first, the machine's, broken.

    Refused: no contours, and none that is not empty.
    """
    drawn = {name: mask for name, mask in contours.items() if not mask.is_empty}
    if not drawn:
        raise InputError("Contours that are all empty cannot be shown", found=", ".join(contours) or "none")
    x, y, z = np.mean([mask.centroid_mm for mask in drawn.values()], axis=0).tolist()
    reach = _reach((x, y, z), tuple(drawn.values()))
    styles = {name: _style(n) for n, name in enumerate(contours)}
    figure = Figure(figsize=(10.2, 4.0 + 0.2 * (len(contours) // 4)), facecolor="white", layout="constrained")
    for axes, plane in zip(figure.subplots(1, 3), PLANES, strict=True):
        view = _View(plane, (x, y, z), reach)
        _show(axes, view, ct)
        for name, mask in reversed(drawn.items()):
            _outline(axes, view, mask, *styles[name], 1.5)
        _titled(axes, view)
    handles = [Line2D([], [], color=colour, linestyle=style, linewidth=2) for colour, style in styles.values()]
    legend = figure.legend(handles, list(styles), loc="outside lower center", ncols=min(4, len(styles)), fontsize=9, labelcolor="white")
    legend.get_frame().set(facecolor="#1b1f23", edgecolor="none", alpha=1)
    return figure


def _reach(middle_mm: Triple, masks: Sequence[Mask]) -> float:
    points = np.concatenate([mask.points_mm for mask in masks if not mask.is_empty])
    return float(np.abs(points - middle_mm).max() + AROUND_MM)


def _moved_to(view: _View, place_mm: Triple) -> _View:
    """The same square of the plane that goes through a place."""
    x, y, z = (place_mm[axis] if axis == view.normal else view.through_mm[axis] for axis in range(3))
    return _View(view.plane, (x, y, z), view.reach_mm)


def _style(n: int) -> tuple[str, Literal["-", "--", ":"]]:
    """Colour and line of the n-th observer; the first is the machine."""
    return (MACHINE, "--") if n == 0 else (OBSERVERS[(n - 1) % len(OBSERVERS)], "-" if n <= len(OBSERVERS) else ":")


def _both(names: tuple[str, str]) -> tuple[list[Line2D], list[str]]:
    handles = [Line2D([], [], color=PHYSICIAN, linewidth=2), Line2D([], [], color=MACHINE, linewidth=2, linestyle="--")]
    return handles, list(names)


def _show(axes: Axes, view: _View, ct: Volume | None) -> None:
    """The CT, or where there is none a dark ground, with the patient's sides and a scale."""
    reach, plane = view.reach_mm, view.plane
    low, high = LUNG_WINDOW_HU
    hu = np.full((2, 2), NO_CT_HU)
    if ct is not None:
        hu = sample_plane(ct.hu, ct.geometry, plane, through_mm=view.through_mm, reach_mm=reach, fill=low)
    axes.imshow(hu, cmap="gray", vmin=low, vmax=high, extent=(-reach, reach, reach, -reach), interpolation="bilinear")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    for place, text in ((0.04, plane.left), (0.96, plane.right)):
        axes.text(place, 0.5, text, transform=axes.transAxes, color="white", fontsize=9, ha="center", va="center", path_effects=OUTLINED)
    axes.plot([0.92 * reach - 20, 0.92 * reach], [0.92 * reach] * 2, color="white", linewidth=2, path_effects=OUTLINED)
    axes.text(0.92 * reach - 10, 0.88 * reach, "2 cm", color="white", fontsize=8, ha="center", va="bottom", path_effects=OUTLINED)


def _titled(axes: Axes, view: _View) -> None:
    at = f"{view.through_mm[view.normal]:.1f}".replace("-", "−")
    axes.set_title(f"{view.plane.name}, {'xyz'[view.normal]} {at} mm", fontsize=9, color=INK, loc="left")


def _fill(axes: Axes, view: _View, case: Case) -> None:
    """What only one of both holds, in the colour of whose it is."""
    machine, physician = (_inside(mask, view) > 0.5 for mask in (case.machine, case.physician))
    shown = np.zeros((*machine.shape, 4))
    shown[machine & ~physician] = (*to_rgb(MACHINE), FILLED)
    shown[physician & ~machine] = (*to_rgb(PHYSICIAN), FILLED)
    reach = view.reach_mm
    axes.imshow(shown, extent=(-reach, reach, reach, -reach), interpolation="nearest")


def _mark(axes: Axes, view: _View, place_mm: Triple) -> None:
    plane, middle = view.plane, view.through_mm
    across = place_mm[plane.across] - middle[plane.across]
    down = plane.down_sign * (place_mm[plane.down] - middle[plane.down])
    axes.plot(across, down, "+", color="white", markersize=11, markeredgewidth=1.4, path_effects=OUTLINED)


def _outline_both(axes: Axes, view: _View, case: Case) -> None:
    _outline(axes, view, case.physician, PHYSICIAN, "-", 1.8)
    _outline(axes, view, case.machine, MACHINE, "--", 1.6)


def _outline(axes: Axes, view: _View, mask: Mask, colour: str, style: str, width: float) -> None:
    shown, reach = _inside(mask, view), view.reach_mm
    if shown.max() > 0.5:
        axes.contour(shown, levels=[0.5], colors=[colour], linewidths=width, linestyles=[style], extent=(-reach, reach, -reach, reach))


def _inside(mask: Mask, view: _View) -> Floats:
    return sample_plane(mask.inside, mask.geometry, view.plane, through_mm=view.through_mm, reach_mm=view.reach_mm, fill=0)
