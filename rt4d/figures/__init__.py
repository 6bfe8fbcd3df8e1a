"""Plots as functions of values: of an ITV (`target`), of agreement and detection (`agreement`), of contours over the CT (`overlays`).

They return matplotlib figures and neither show nor save them.
"""

from rt4d.figures.agreement import bland_altman_plot, confusion_plot, froc_plot, metric_boxes, volume_scatter
from rt4d.figures.overlays import Case, case_overlays
from rt4d.figures.target import FIGURES, INK, LUNG_WINDOW_HU, OUTLINED, PLANES, QUIET, Plane, itv_extremes, itv_planes, sample_plane, trajectory

__all__ = [
    "FIGURES",
    "INK",
    "LUNG_WINDOW_HU",
    "OUTLINED",
    "PLANES",
    "QUIET",
    "Case",
    "Plane",
    "bland_altman_plot",
    "case_overlays",
    "confusion_plot",
    "froc_plot",
    "itv_extremes",
    "itv_planes",
    "metric_boxes",
    "sample_plane",
    "trajectory",
    "volume_scatter",
]
