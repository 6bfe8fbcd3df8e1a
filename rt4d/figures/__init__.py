"""Plots as functions of values: of an ITV (`target`), of agreement and detection (`agreement`), of contours over the CT (`overlays`),
of where they differ (`places`), of outcomes (`outcomes`).

They return matplotlib figures and neither show nor save them.
"""

from rt4d.figures.agreement import bland_altman_plot, confusion_plot, froc_plot, metric_boxes, volume_scatter
from rt4d.figures.look import GRID, INK, QUIET
from rt4d.figures.outcomes import calibration_plot, forest_plot, hazard_plot, incidence_plot, survival_plot
from rt4d.figures.overlays import Case, case_overlays, difference_planes, observer_planes
from rt4d.figures.places import places_plot
from rt4d.figures.target import (
    FIGURES,
    LUNG_WINDOW_HU,
    OUTLINED,
    PLANES,
    Plane,
    itv_extremes,
    itv_occupancy,
    itv_planes,
    sample_plane,
    trajectory,
)

__all__ = [
    "FIGURES",
    "GRID",
    "INK",
    "LUNG_WINDOW_HU",
    "OUTLINED",
    "PLANES",
    "QUIET",
    "Case",
    "Plane",
    "bland_altman_plot",
    "calibration_plot",
    "case_overlays",
    "confusion_plot",
    "difference_planes",
    "forest_plot",
    "froc_plot",
    "hazard_plot",
    "incidence_plot",
    "itv_extremes",
    "itv_occupancy",
    "itv_planes",
    "metric_boxes",
    "observer_planes",
    "places_plot",
    "sample_plane",
    "survival_plot",
    "trajectory",
    "volume_scatter",
]
