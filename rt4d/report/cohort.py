"""A compared cohort as files: its pairs, their summary, and the figures that a paper prints."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rt4d.agreement.cohort import CohortPairs, extremes, write_table
from rt4d.agreement.cohort_detection import CohortDetection
from rt4d.agreement.cohort_pairs import MACHINE_PHYSICIAN
from rt4d.agreement.cohort_table import ContourRow, ContourTable
from rt4d.agreement.limits_of_agreement import BlandAltman, bland_altman
from rt4d.contour_files import ContourFiles
from rt4d.errors import InputError
from rt4d.figures import agreement as plots
from rt4d.figures.overlays import Case, case_overlays
from rt4d.roi_files import free_stem

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

BOXES = ("dice", "surface_dice", "hd95_mm", "mean_surface_distance_mm")


def write_cohort(
    folder: Path, pairs: CohortPairs, summary: pd.DataFrame, contours: ContourTable, *, parquet: bool = False, assume_same_frame: bool = False
) -> list[str]:
    """Write cohort.csv (or .parquet), summary.csv and figures (PNG and SVG) into a folder; what could not be shown, and why.

    Where lesions were matched also detection.csv and detection.json. Figures: scans found and missed; boxes of four metrics; of
    every two observers, by ROI, volumes and limits of agreement; and the worst, median and best case by DSC where the table names CTs.
    """
    write_table(folder / ("cohort.parquet" if parquet else "cohort.csv"), pairs.table)
    write_table(folder / "summary.csv", summary)
    if pairs.detections:
        _write_detections(folder, pairs.detections)
    notes = []
    for name, draw in (*_confusions(pairs.detections), *_figures(pairs.table, contours, assume_same_frame=assume_same_frame)):
        try:
            figure = draw()
        except InputError as error:
            notes.append(f"no figure {name}: {error}")
            continue
        figure.savefig(folder / f"{name}.png", dpi=200)
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    return notes


def _write_detections(folder: Path, detections: Sequence[CohortDetection]) -> None:
    import pandas as pd

    rows = [row for each in detections for row in each.rows()]
    write_table(folder / "detection.csv", pd.DataFrame(rows, dtype=object))  # whole numbers stay whole beside empty cells
    told = json.dumps([each.to_dict() for each in detections], indent=2, ensure_ascii=False)
    (folder / "detection.json").write_text(told + "\n", encoding="utf-8")


def _confusions(detections: Sequence[CohortDetection]) -> Iterator[tuple[str, Callable[[], Figure]]]:
    """One figure for each machine, physician, ROI and cohort, numbered where there are several as in detection.json."""
    for number, each in enumerate(detections, start=1):
        title = "" if len(detections) == 1 else each.title
        ending = "" if len(detections) == 1 else f"_{number}"
        yield f"confusion{ending}", lambda each=each, title=title: plots.confusion_plot(each.detection, title=title)  # type: ignore[misc]


def _figures(table: pd.DataFrame, contours: ContourTable, *, assume_same_frame: bool) -> Iterator[tuple[str, Callable[[], Figure]]]:
    there = table[table["error"] == ""]
    if there.empty:
        return
    for metric in BOXES:
        yield metric, lambda metric=metric: plots.metric_boxes(there, metric)  # type: ignore[misc]
    yield from _volume_figures(there)
    against = there[there["pair"] == MACHINE_PHYSICIAN]
    if len(against) and any(row.ct for row in contours.rows):
        yield "cases", lambda: case_overlays(_cases(against, contours, assume_same_frame=assume_same_frame))


def _volume_figures(there: pd.DataFrame) -> Iterator[tuple[str, Callable[[], Figure]]]:
    """Volumes and limits of agreement of every two observers, by ROI; the files are named by what there are several of."""
    several_rois = there["roi"].nunique() > 1
    groups = list(there.groupby(["roi", "machine", "physician"], sort=False))
    taken: set[str] = set()
    for (roi, *observers), part in groups:
        stem = free_stem("_".join([*([roi] if several_rois else []), *observers]), taken)
        ending = f"_{stem}" if len(groups) > 1 else ""
        first, second, labels = part["volume_machine_cm3"], part["volume_physician_cm3"], (observers[0], observers[1])
        yield f"volumes{ending}", lambda x=first, y=second, labels=labels: plots.volume_scatter(x, y, labels=labels)  # type: ignore[misc]
        yield f"bland_altman{ending}", lambda part=part, labels=labels: plots.bland_altman_plot(_limits_of_volume(part, labels))  # type: ignore[misc]


def _limits_of_volume(part: pd.DataFrame, labels: tuple[str, str]) -> BlandAltman:
    """Limits of agreement of two observers' volumes over patients; of ratios where they span a wide range."""
    names = [" ".join(filter(None, each)) for each in zip(part["cohort"], part["patient"], strict=True)]
    first, second = (dict(zip(names, part[f"volume_{side}_cm3"].astype(float), strict=True)) for side in ("machine", "physician"))
    both = np.array([*first.values(), *second.values()])
    ratio = bool(both.min() > 0 and both.max() > plots.LOGARITHMIC_FROM * both.min())
    return bland_altman(first, second, quantity="volume", unit="cm³", labels=labels, ratio=ratio)


def _cases(table: pd.DataFrame, contours: ContourTable, *, assume_same_frame: bool) -> list[Case]:
    """The worst, median and best pair of machine and physician, read once more for the picture."""
    return [_case(name, row, contours, assume_same_frame=assume_same_frame) for name, row in extremes(table).items()]


def _case(name: str, row: dict[str, Any], contours: ContourTable, *, assume_same_frame: bool) -> Case:
    ours = [each for each in contours.rows if each.target == (row["cohort"], row["patient"], row["roi"])]
    machine, physician = (_of(ours, row[who]) for who in ("machine", "physician"))
    files = {ct: ContourFiles(on=ct or None, assume_same_frame=assume_same_frame) for ct in (machine.ct, physician.ct)}
    masks = [files[each.ct].read(each.contour).mask for each in (machine, physician)]
    ct = files[physician.ct].ct or files[machine.ct].ct
    if ct is None:
        raise InputError("No CT is named", where=f"rows {machine.row} and {physician.row}", do="Name it in the column ct")
    title = f"{name}: {row['patient']}, DSC {row['dice']:.2f}"
    return Case(title, ct.volume, *masks)


def _of(rows: list[ContourRow], observer: str) -> ContourRow:
    return next(row for row in rows if row.observer == observer)
