"""Plots as functions of values: of an ITV here (`rt4d.figures.target`). They return matplotlib figures and neither show nor save them."""

from rt4d.figures.target import FIGURES, INK, LUNG_WINDOW_HU, OUTLINED, PLANES, QUIET, Plane, itv_extremes, itv_planes, sample_plane, trajectory

__all__ = [
    "FIGURES",
    "INK",
    "LUNG_WINDOW_HU",
    "OUTLINED",
    "PLANES",
    "QUIET",
    "Plane",
    "itv_extremes",
    "itv_planes",
    "sample_plane",
    "trajectory",
]
