"""A compared cohort as files: its pairs, their summary, and the figures that a paper prints."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True, eq=False)
class CohortCase:
    """A pair to be looked at: which it is ('worst'), its row of the cohort's table, and what is to be shown of it."""

    which: str
    row: Mapping[str, Any]
    shown: Case

    def called(self, patient: str) -> Case:
        """The case with a title that calls the patient so."""
        return replace(self.shown, title=f"{self.which}: {patient}, DSC {self.row['dice']:.2f}")


@dataclass(frozen=True, slots=True, eq=False)
class CohortFigures:
    """Figures of a cohort by the names of their files, none of which names a patient, and its worst, median and best case.

    lacking: what could not be shown, and why.
    """

    plots: Mapping[str, Figure]
    cases: tuple[CohortCase, ...]
    lacking: tuple[str, ...]


def draw_cohort(pairs: CohortPairs, contours: ContourTable, *, assume_same_frame: bool = False) -> CohortFigures:
    """Scans found and missed where lesions were matched; boxes of four metrics; of every two observers, by ROI, volumes and limits of agreement.

    The worst, median and best case by DSC where the table names CTs.
    """
    drawn: dict[str, Figure] = {}
    lacking = []
    for name, draw in (*_confusions(pairs.detections), *_figures(pairs.table)):
        try:
            drawn[name] = draw()
        except InputError as error:
            lacking.append(f"no figure {name}: {error}")
    try:
        cases = tuple(_cases(pairs.table, contours, assume_same_frame=assume_same_frame))
    except InputError as error:
        cases = ()
        lacking.append(f"no figure cases: {error}")
    return CohortFigures(drawn, cases, tuple(lacking))


def write_cohort(folder: Path, pairs: CohortPairs, summary: pd.DataFrame, drawn: CohortFigures, *, parquet: bool = False) -> None:
    """Write cohort.csv (or .parquet), summary.csv and the figures (PNG and SVG) into a folder.

    Where lesions were matched also detection.csv and detection.json. The overlays of cases name the patients as the table does.
    """
    write_table(folder / ("cohort.parquet" if parquet else "cohort.csv"), pairs.table)
    write_table(folder / "summary.csv", summary)
    if pairs.detections:
        _write_detections(folder, pairs.detections)
    overlays = {"cases": case_overlays([each.called(each.row["patient"]) for each in drawn.cases])} if drawn.cases else {}
    for name, figure in {**drawn.plots, **overlays}.items():
        figure.savefig(folder / f"{name}.png", dpi=200)
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


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
        if each.froc is not None:
            yield f"froc{ending}", lambda each=each: plots.froc_plot(each.froc)  # type: ignore[misc]


def _figures(table: pd.DataFrame) -> Iterator[tuple[str, Callable[[], Figure]]]:
    there = table[table["error"] == ""]
    if there.empty:
        return
    for metric in BOXES:
        yield metric, lambda metric=metric: plots.metric_boxes(there, metric)  # type: ignore[misc]
    yield from _volume_figures(there)


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


def _cases(table: pd.DataFrame, contours: ContourTable, *, assume_same_frame: bool) -> Iterator[CohortCase]:
    """The worst, median and best pair of machine and physician, read once more for the picture; none where the table names no CT."""
    against = table[(table["error"] == "") & (table["pair"] == MACHINE_PHYSICIAN)]
    if len(against) and any(row.ct for row in contours.rows):
        for which, row in extremes(against).items():
            yield CohortCase(which, row, _case(which, row, contours, assume_same_frame=assume_same_frame))


def _case(which: str, row: dict[str, Any], contours: ContourTable, *, assume_same_frame: bool) -> Case:
    ours = [each for each in contours.rows if each.target == (row["cohort"], row["patient"], row["roi"])]
    machine, physician = (_of(ours, row[who]) for who in ("machine", "physician"))
    files = {ct: ContourFiles(on=ct or None, assume_same_frame=assume_same_frame) for ct in (machine.ct, physician.ct)}
    masks = [files[each.ct].read(each.contour).mask for each in (machine, physician)]
    ct = files[physician.ct].ct or files[machine.ct].ct
    if ct is None:
        raise InputError("No CT is named", where=f"rows {machine.row} and {physician.row}", do="Name it in the column ct")
    return Case(which, ct.volume, *masks)


def _of(rows: list[ContourRow], observer: str) -> ContourRow:
    return next(row for row in rows if row.drawn_by == observer)
