"""Plots as functions of values. Planes are shown as radiologists look at them: from the feet, from the front, from the left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from scipy import ndimage

from rt4d.figures.look import INK, QUIET, quieten
from rt4d.geometry import Floats, Geometry, Triple
from rt4d.phases import FourDCT
from rt4d.rois import COLOURS
from rt4d.target import ITV
from rt4d.volumes import Mask, Volume

LUNG_WINDOW_HU = (-1000.0, 250.0)
STEP_MM = 0.75
OUTLINED = [withStroke(linewidth=2.5, foreground="black")]
"""White on an image is read over bone and over lung."""


@dataclass(frozen=True, slots=True)
class Plane:
    """A plane through the patient: across and down are LPS axes (0 x, 1 y, 2 z) with the sign in which they run on the screen."""

    name: str
    across: int
    down: int
    down_sign: int
    left: str
    right: str


@dataclass(frozen=True, slots=True)
class _View:
    """What all planes of a target show: ± reach_mm around the ITV's centroid."""

    centre_mm: Triple
    reach_mm: float


PLANES = (
    Plane("axial", 0, 1, 1, "R", "L"),
    Plane("coronal", 0, 2, -1, "R", "L"),
    Plane("sagittal", 1, 2, -1, "A", "P"),
)


def itv_planes(ct: FourDCT, target: ITV) -> Figure:
    """Axial, coronal and sagittal planes of the reference phase through the ITV's centroid, with phase GTVs, ITV and PTV."""
    figure, view = Figure(figsize=(12.0, 4.5), facecolor="white", layout="constrained"), _view(target)
    for axes, plane in zip(figure.subplots(1, 3), PLANES, strict=True):
        _show_plane(axes, plane, ct.reference.volume, view)
        _draw_target(axes, plane, target, view)
        axes.set_title(f"{plane.name}, phase {ct.reference_label}", fontsize=10, color=INK, loc="left")
    names = {"phase GTVs": COLOURS["GTV"], "ITV": COLOURS["ITV"]} | ({"PTV": COLOURS["PTV"]} if target.ptv is not None else {})
    handles = [_line(colour) for colour in names.values()]
    figure.legend(handles, list(names), loc="outside lower center", ncols=3, frameon=False, fontsize=9, labelcolor=INK)
    return figure


def itv_extremes(ct: FourDCT, target: ITV) -> Figure:
    """The coronal plane in the phases where the target lies lowest and highest, each with that phase's GTV and the ITV, and the MIP with the ITV."""
    height = {label: centroid[2] for label, centroid in target.centroid_mm.items()}
    lowest, highest = min(height, key=height.__getitem__), max(height, key=height.__getitem__)
    figure, view = Figure(figsize=(12.0, 4.2), facecolor="white", layout="constrained"), _view(target)
    shown: list[tuple[str, Volume, str | None]] = [
        (f"phase {lowest}: lowest", ct[lowest].volume, lowest),
        (f"phase {highest}: highest", ct[highest].volume, highest),
        ("MIP of all phases", _mip_around(ct, target), None),
    ]
    for axes, (title, volume, label) in zip(figure.subplots(1, 3), shown, strict=True):
        _show_plane(axes, PLANES[1], volume, view)
        _outline(axes, PLANES[1], target.mask, view, COLOURS["ITV"], 1.6)
        if label is not None:
            _outline(axes, PLANES[1], target.phases[label], view, COLOURS["GTV"], 1.4)
        axes.set_title(f"coronal, {title}", fontsize=10, color=INK, loc="left")
    return figure


def trajectory(target: ITV) -> Figure:
    """The centroid's way over the cycle along patient x, y, z, from the reference phase (or the first), and the GTV's volume per phase."""
    centroids, volumes = target.centroid_mm, target.volume_cm3
    labels = list(centroids)
    way = np.array(list(centroids.values())) - centroids[target.reference_label or labels[0]]
    figure = Figure(figsize=(12.0, 3.4), facecolor="white", layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for axis, (name, style) in enumerate((("x, to the left", ":"), ("y, to posterior", "--"), ("z, to superior", "-"))):
        left.plot(labels, way[:, axis], style, color=INK if axis == 2 else QUIET, marker="o", markersize=4, label=name)
    left.set_ylabel("centroid, mm", color=INK)
    left.legend(frameon=False, fontsize=9, ncols=3, labelcolor=INK, loc="upper center", bbox_to_anchor=(0.5, 1.16))
    right.bar(labels, [volumes[label] for label in labels], color=_hex(COLOURS["GTV"]), width=0.6)
    right.axhline(volumes["ITV"], color=_hex(COLOURS["ITV"]), linewidth=1.6)
    right.annotate("ITV", (0.0, volumes["ITV"]), (2, -11), textcoords="offset points", color=_hex(COLOURS["ITV"]), fontsize=9)
    right.set_ylabel("GTV, cm³", color=INK)
    for axes in (left, right):
        axes.set_xlabel("phase, %", color=INK)
        quieten(axes)
    return figure


def itv_occupancy(ct: FourDCT, target: ITV) -> Figure:
    """In how many of the phases each place belongs to the GTV, in three planes through the ITV's centroid over the reference phase."""
    figure, view = Figure(figsize=(12.0, 4.2), facecolor="white", layout="constrained"), _view(target)
    reach, rows = view.reach_mm, figure.subplots(1, 3)
    for axes, plane in zip(rows, PLANES, strict=True):
        _show_plane(axes, plane, ct.reference.volume, view)
        share = np.mean([_inside(mask, plane, view) > 0.5 for mask in target.phases.values()], axis=0)
        there = np.ma.masked_less_equal(100 * share, 0)
        shown = axes.imshow(there, cmap="cividis", vmin=0, vmax=100, alpha=0.85, extent=(-reach, reach, reach, -reach), interpolation="nearest")
        _outline(axes, plane, target.mask, view, COLOURS["ITV"], 1.6)
        axes.set_title(plane.name, fontsize=10, color=INK, loc="left")
    scale = figure.colorbar(shown, ax=rows, shrink=0.8, pad=0.01)
    scale.set_label("share of the phases, %", color=INK, fontsize=9)
    scale.ax.tick_params(colors=QUIET, labelsize=9)
    scale.outline.set_visible(False)
    return figure


def sample_plane(array: npt.NDArray[Any], geometry: Geometry, plane: Plane, *, through_mm: Triple, reach_mm: float, fill: float) -> Floats:
    """The values of an array on a square of ± reach_mm around a point, rows down the screen and columns across it; `fill` outside the grid."""
    steps = np.arange(-reach_mm, reach_mm + STEP_MM / 2, STEP_MM)
    down, across = np.meshgrid(steps * plane.down_sign, steps, indexing="ij")
    points = np.tile(np.array(through_mm), (*down.shape, 1))
    points[..., plane.across] += across
    points[..., plane.down] += down
    index = geometry.to_index(points)[..., ::-1]
    first = np.clip(np.floor(index.min(axis=(0, 1))).astype(int), 0, np.array(array.shape) - 1)
    last = np.clip(np.ceil(index.max(axis=(0, 1))).astype(int), 0, np.array(array.shape) - 1)
    part = array[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))].astype(np.float32)
    return np.asarray(ndimage.map_coordinates(part, np.moveaxis(index - first, -1, 0), order=1, mode="constant", cval=fill))


def _mip_around(ct: FourDCT, target: ITV) -> Volume:
    """The maximum over the phases in the slices and surroundings that the planes show."""
    start, size = target.mask.box(_view(target).reach_mm * 1.5)
    return Volume(np.maximum.reduce([phase.volume.crop(start, size).hu for phase in ct]), ct.geometry.crop(start, size))


def _show_plane(axes: Axes, plane: Plane, volume: Volume, view: _View) -> None:
    reach = view.reach_mm
    hu = sample_plane(volume.hu, volume.geometry, plane, through_mm=view.centre_mm, reach_mm=reach, fill=-1000)
    low, high = LUNG_WINDOW_HU
    axes.imshow(hu, cmap="gray", vmin=low, vmax=high, extent=(-reach, reach, reach, -reach), interpolation="bilinear")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    for place, text in ((0.02, plane.left), (0.98, plane.right)):
        axes.text(place, 0.5, text, transform=axes.transAxes, color="white", fontsize=10, ha="center", va="center", path_effects=OUTLINED)
    axes.plot([0.92 * reach - 20, 0.92 * reach], [0.92 * reach] * 2, color="white", linewidth=2, path_effects=OUTLINED)
    axes.text(0.92 * reach - 10, 0.88 * reach, "2 cm", color="white", fontsize=8, ha="center", va="bottom", path_effects=OUTLINED)


def _draw_target(axes: Axes, plane: Plane, target: ITV, view: _View) -> None:
    for mask in target.phases.values():
        _outline(axes, plane, mask, view, COLOURS["GTV"], 0.7)
    _outline(axes, plane, target.mask, view, COLOURS["ITV"], 1.8)
    if target.ptv is not None:
        _outline(axes, plane, target.ptv, view, COLOURS["PTV"], 1.4)


def _outline(axes: Axes, plane: Plane, mask: Mask, view: _View, colour: tuple[int, int, int], width: float) -> None:
    shown, reach = _inside(mask, plane, view), view.reach_mm
    if shown.max() > 0.5:
        axes.contour(shown, levels=[0.5], colors=[_hex(colour)], linewidths=width, extent=(-reach, reach, -reach, reach))


def _inside(mask: Mask, plane: Plane, view: _View) -> Floats:
    return sample_plane(mask.inside, mask.geometry, plane, through_mm=view.centre_mm, reach_mm=view.reach_mm, fill=0)


def _view(target: ITV) -> _View:
    shown = target.ptv or target.mask
    return _View(target.mask.centroid_mm, float(np.ptp(shown.points_mm, axis=0).max() / 2 + 35))


def _line(colour: tuple[int, int, int]) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=_hex(colour), linewidth=2)


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


FIGURES: Mapping[str, str] = {
    "planes": "Phase GTVs, ITV and PTV on the reference phase, through the ITV's centroid.",
    "extremes": "Where the target lies lowest and highest, with that phase's GTV (orange) and the ITV (blue), and the maximum over all phases.",
    "occupancy": "In how many of the phases each place belongs to the GTV, within the ITV (blue), over the reference phase.",
    "trajectory": "The centroid over the breathing cycle, and the GTV's volume in each phase.",
}
