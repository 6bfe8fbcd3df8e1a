"""What is measured of a case, and how far each figure lies from the known truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from rt4d.agreement import dice, mean_surface_distance_mm
from rt4d.dicom.structures import read_rtstruct
from rt4d.geometry import Floats
from rt4d.motion import Motion
from rt4d.patient import ItvResult, TargetResult
from rt4d.phantom import Phantom
from rt4d.resampling import signed_distance_mm
from rt4d.target import ITV
from rt4d.volumes import Mask

AROUND_MM = 10.0
"""So far around the target its surroundings reach."""
ENOUGH_POINTS = 4000

Figures = dict[str, float | None]
"""By measure; None where there is nothing to measure because a phase has no result, which never passes."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of a case: its words, its unit ('1' for a pure number), and whether a tolerance bounds it from below or above."""

    title: str
    unit: str
    bound: Literal["at_least", "at_most"] = "at_most"


MEASURES: Mapping[str, Measure] = {
    "gtv_dice": Measure("GTV, Dice coefficient", "1", "at_least"),
    "itv_dice": Measure("ITV, Dice coefficient", "1", "at_least"),
    "itv_volume_error_percent": Measure("ITV, volume error", "%"),
    "mean_surface_distance_mm": Measure("GTV, mean surface distance", "mm"),
    "centroid_error_mm": Measure("GTV, centroid error", "mm"),
    "amplitude_error_mm": Measure("GTV, amplitude error along x, y or z", "mm"),
    "tre_gtv_mean_mm": Measure("Registration error in the GTV, mean", "mm"),
    "tre_gtv_p95_mm": Measure("Registration error in the GTV, 95th percentile", "mm"),
    "tre_gtv_max_mm": Measure("Registration error in the GTV, maximum", "mm"),
    "tre_around_mean_mm": Measure("Registration error around the GTV, mean", "mm"),
    "tre_around_p95_mm": Measure("Registration error around the GTV, 95th percentile", "mm"),
    "tre_around_max_mm": Measure("Registration error around the GTV, maximum", "mm"),
    "folding_percent": Measure("Folded field in and around the GTV", "%"),
    "contour_round_trip_voxels": Measure("Contours, written and read: voxels that differ", "voxels"),
    "checks_failed": Measure("rt4d's own checks that failed", "checks"),
    "sabotage_missed": Measure("Wrong phases that no check flagged", "phases"),
}
"""The figures of a case, each that of its worst phase; of a sabotaged case only the last is one. Around the GTV: within 10 mm of its surface."""
SABOTAGED = ("sabotage_missed",)
SOUND = tuple(name for name in MEASURES if name not in SABOTAGED)


def sound_figures(case: Phantom, result: ItvResult, delivered: Path) -> Figures:
    """The figures of a case whose phases are what they claim to be. delivered: the folder that the main job filled."""
    (target,) = result.targets
    figures: Figures = dict.fromkeys(SOUND)
    if not target.itv.failed:
        figures |= figures_of_volumes(case, target.itv) | _of_the_field(case, target.motion)
    figures["contour_round_trip_voxels"] = _changed_by_files(result, delivered / "rtstruct.dcm")
    figures["checks_failed"] = sum(check.verdict == "fail" for check in target.checks)
    return figures


def sabotage_figures(result: ItvResult, sabotaged: tuple[str, ...]) -> Figures:
    """How many of the phases made wrong on purpose were taken for sound."""
    (target,) = result.targets
    return {"sabotage_missed": len(set(sabotaged) - flagged(target))}


def flagged(target: TargetResult) -> set[str]:
    """The phases in which a check failed, or which could not be registered."""
    return {check.phase for check in target.checks if check.verdict == "fail"} | set(target.itv.failed)


def figures_of_volumes(case: Phantom, found: ITV) -> Figures:
    """Masks against the true masks on the same voxels; centroids and amplitude as they are reported, against those of the true masks."""
    truth = {label: case.gtv(label) for label in case.ct.labels}
    centroids = {label: mask.centroid_mm for label, mask in truth.items()}
    travel = np.ptp(list(centroids.values()), axis=0)
    return {
        "gtv_dice": min(dice(found.phases[label], mask) for label, mask in truth.items()),
        "itv_dice": dice(found.mask, case.itv),
        "itv_volume_error_percent": 100 * (found.mask.volume_cm3 / case.itv.volume_cm3 - 1),
        "mean_surface_distance_mm": max(_surface_mm(found.phases[label], mask) for label, mask in truth.items()),
        "centroid_error_mm": max(float(np.linalg.norm(np.subtract(found.centroid_mm[label], true))) for label, true in centroids.items()),
        "amplitude_error_mm": float(np.abs(np.subtract([found.amplitude_mm[axis] for axis in "xyz"], travel)).max()),
    }


def _surface_mm(found: Mask, truth: Mask) -> float:
    return mean_surface_distance_mm(found, truth) if not found.is_empty else float("inf")


def _of_the_field(case: Phantom, motion: Motion) -> Figures:
    """Where points of the reference come to lie, against where the known motion takes them; and folding."""
    gtv = case.reference_gtv
    inside, around = _some(gtv.points_mm), _some(_surroundings(gtv, motion))
    figures: Figures = {}
    for name, points in (("gtv", inside), ("around", around)):
        errors = [_errors_mm(case, motion, label, points) for label in motion.fields]
        figures[f"tre_{name}_mean_mm"] = max(float(each.mean()) for each in errors)
        figures[f"tre_{name}_p95_mm"] = max(float(np.percentile(each, 95)) for each in errors)
        figures[f"tre_{name}_max_mm"] = max(float(each.max()) for each in errors)
    box = motion.region.box_around(gtv.points_mm, AROUND_MM)
    figures["folding_percent"] = max(100 * float(np.mean(field.crop(*box).jacobian() <= 0)) for field in motion.fields.values())
    return figures


def _errors_mm(case: Phantom, motion: Motion, label: str, points: Floats) -> Floats:
    return np.asarray(np.linalg.norm(motion.reference_to_phase(label, points) - case.reference_to_phase(label, points), axis=-1))


def _surroundings(gtv: Mask, motion: Motion) -> Floats:
    """Voxel centres outside the target and within 10 mm of its surface, shape (n, 3)."""
    crop = gtv.crop(*gtv.box(AROUND_MM))
    distance = signed_distance_mm(crop)
    points = crop.geometry.centres()[(distance > 0) & (distance <= AROUND_MM)]
    return np.asarray(points[motion.region.contains(points)])


def _some(points: Floats) -> Floats:
    """Evenly many of a long list of points."""
    return points[:: max(1, len(points) // ENOUGH_POINTS)]


def _changed_by_files(result: ItvResult, path: Path) -> float:
    """How many voxels of all volumes differ between what was computed and what a reader finds in the structure set."""
    drawn = read_rtstruct(path, on=result.ct.reference)
    rois = [roi for target in result.targets for roi in target.itv.rois]
    return float(sum(np.count_nonzero(drawn[roi.name].inside != roi.mask.inside) for roi in rois))
