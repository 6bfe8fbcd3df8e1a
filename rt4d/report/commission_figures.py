"""The pictures of a commissioning report: what was found, over what is true."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rt4d.figures import INK, LUNG_WINDOW_HU, OUTLINED, PLANES, Plane, sample_plane
from rt4d.phantom import Phantom
from rt4d.rois import COLOURS
from rt4d.target import ITV
from rt4d.volumes import Mask

TRUE, FOUND = COLOURS["GTV"], COLOURS["ITV"]
NAMES = {"true ITV": TRUE, "ITV as rt4d found it": FOUND}
AROUND_MM = 30.0


def itv_against_truth(case: Phantom, found: ITV) -> bytes:
    """A PNG of the axial, coronal and sagittal planes through the true ITV's centroid on the reference phase, true and found ITV outlined."""
    truth = case.itv
    reach = float(np.ptp(truth.points_mm, axis=0).max() / 2 + AROUND_MM)
    figure = Figure(figsize=(7.0, 2.95), facecolor="white", layout="constrained")
    for axes, plane in zip(figure.subplots(1, 3), PLANES, strict=True):
        _show(axes, plane, case, reach)
        _outline(axes, plane, truth, truth, reach, TRUE, 2.2, "-")
        _outline(axes, plane, found.mask, truth, reach, FOUND, 1.6, "--")
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=_hex(colour), linewidth=2, linestyle="-" if colour == TRUE else "--") for colour in NAMES.values()]
    figure.legend(handles, list(NAMES), loc="outside lower center", ncols=2, frameon=False, fontsize=9, labelcolor=INK)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    return buffer.getvalue()


def _show(axes: Axes, plane: Plane, case: Phantom, reach: float) -> None:
    volume = case.ct.reference.volume
    hu = sample_plane(volume.hu, volume.geometry, plane, through_mm=case.itv.centroid_mm, reach_mm=reach, fill=-1000)
    low, high = LUNG_WINDOW_HU
    axes.imshow(hu, cmap="gray", vmin=low, vmax=high, extent=(-reach, reach, reach, -reach), interpolation="bilinear")
    axes.set_title(plane.name, fontsize=9, color=INK, loc="left")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    for place, text in ((0.04, plane.left), (0.96, plane.right)):
        axes.text(place, 0.5, text, transform=axes.transAxes, color="white", fontsize=9, ha="center", va="center", path_effects=OUTLINED)
    axes.plot([0.92 * reach - 20, 0.92 * reach], [0.92 * reach] * 2, color="white", linewidth=2, path_effects=OUTLINED)
    axes.text(0.92 * reach - 10, 0.88 * reach, "2 cm", color="white", fontsize=8, ha="center", va="bottom", path_effects=OUTLINED)


def _outline(
    axes: Axes, plane: Plane, mask: Mask, through: Mask, reach: float, colour: tuple[int, int, int], width: float, style: str
) -> None:
    shown = sample_plane(mask.inside, mask.geometry, plane, through_mm=through.centroid_mm, reach_mm=reach, fill=0)
    if shown.max() > 0.5:
        extent = (-reach, reach, -reach, reach)
        axes.contour(shown, levels=[0.5], colors=[_hex(colour)], linewidths=width, linestyles=[style], extent=extent)


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
