"""The report of a compared cohort: what `rt4d compare --cohort … --report` writes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rt4d.agreement.cohort import CohortPairs, records
from rt4d.agreement.cohort_detection import CohortDetection
from rt4d.agreement.cohort_pairs import MACHINE_PHYSICIAN
from rt4d.agreement.cohort_table import ContourTable
from rt4d.contour_files import file_and_part
from rt4d.errors import InputError
from rt4d.figures.agreement import METRICS, SHARES
from rt4d.figures.overlays import case_overlays
from rt4d.report.cohort import CohortFigures
from rt4d.report.names import without_folders
from rt4d.report.page import Picture, made_with, minus_text, number_text, picture, require_new_page, write_new_page

if TYPE_CHECKING:
    import pandas as pd

TILES = ("dice", "surface_dice", "hd95_mm", "mean_surface_distance_mm", "volume_difference_percent")
DECIMALS = {"volume_difference_percent": 1, "added_path_mm": 0}
CAPTIONS = {
    "dice": "DSC (Dice similarity coefficient) of every pair: 1 the same contour, 0 no overlap.",
    "surface_dice": "The share of both surfaces that lies within the tolerance of the other one.",
    "hd95_mm": "The distance that 95 % of both surfaces do not exceed.",
    "mean_surface_distance_mm": "The mean distance of both surfaces from one another.",
    "volumes": "Volumes against one another, with the line of identity.",
    "bland_altman": "Limits of agreement (Bland and Altman): bias, and where 95 % of patients are expected, each with its 95 % interval.",
    "confusion": "Scans by what the physician drew and what the machine found.",
    "froc": "Sensitivity by lesion over false positives per scan (FROC), had the machine kept fewer or more candidates; 95 % interval by patient.",
}
CASES_SAY = "Machine (orange, broken) and physician (blue) in the worst, median and best pair by DSC, through the middle of the physician's contour."
_ABSENT = re.compile(r"(?P<head>has no contour of .* of \d+ of \d+ patients(?: in cohort .+?)?: )(?P<names>.+)$")


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """What the page calls each patient, by cohort and name in the table, and how it tells what else would name one."""

    contours: ContourTable
    with_names: bool

    @property
    def called(self) -> dict[tuple[str, str], str]:
        places = dict.fromkeys((row.cohort, row.patient) for row in self.contours.rows)
        return {place: place[1] if self.with_names else f"patient {n}" for n, place in enumerate(places, start=1)}

    def told(self, text: str) -> str:
        """A message without the patients and files that it names, unless names were asked for."""
        if self.with_names:
            return text
        renamed: dict[str, str] = {}
        for row in self.contours.rows:
            renamed |= dict.fromkeys(_file_names(row.contour), f"the contour of row {row.row}")
            renamed |= {row.ct: "the folder of its CT"} if row.ct else {}
        return self._without_patients(without_folders(text, renamed=renamed))

    def _without_patients(self, text: str) -> str:
        """Names of patients that stand in a list at the end, or on their own as words that cannot be numbers."""
        by_name = {patient: called for (_, patient), called in self.called.items()}
        if found := _ABSENT.search(text):
            names = [by_name.get(name, name) for name in found["names"].split(", ")]
            return text[: found.start("names")] + ", ".join(names)
        for patient in sorted(by_name, key=len, reverse=True):
            if not patient.isdigit():
                text = re.sub(rf"(?<!\w){re.escape(patient)}(?!\w)", by_name[patient], text)
        return text


def write_cohort_report(
    path: str | Path,
    pairs: CohortPairs,
    summary: pd.DataFrame,
    drawn: CohortFigures,
    contours: ContourTable,
    *,
    statements: Sequence[str] = (),
    notes: Sequence[str] = (),
    with_names: bool = False,
    made_of: Mapping[str, str] | None = None,
) -> Path:
    """The path of a new HTML file: medians with quartiles and intervals, worst, median and best case, boxes, volumes, detection, what failed.

    summary: of `summarise`; drawn: of `draw_cohort`. Patients are numbered in the order of the table, and files called by its rows;
    with_names: as the table has them. made_of: inputs by name, for the record.
    """
    path = require_new_page(path)
    names = Names(contours, with_names)
    listed = list(records(pairs.table))
    return write_new_page(
        path,
        "cohort.html.jinja",
        pairs=[_pair(row, names) for row in listed],
        failed=list(_failed(listed, names)),
        patients=len(names.called),
        observers=contours.observers,
        tolerances=sorted({row["tolerance_mm"] for row in listed if row.get("tolerance_mm") is not None}),
        tiles=_tiles(summary),
        groups=list(_groups(summary)),
        statements=[minus_text(line) for line in statements],
        pictures=_pictures(drawn, names),
        detections=[_detection(each, names) for each in pairs.detections],
        notes=[names.told(note) for note in notes],
        with_names=with_names,
        made=made_with(made_of or {}),
    )


def _file_names(contour: str) -> Iterator[str]:
    """The ways in which a message may name a contour's file."""
    yield contour
    try:
        file = file_and_part(contour)[0]
    except InputError:
        file = Path(contour)
    yield from (str(file), file.name)


def _pair(row: Mapping[str, Any], names: Names) -> dict[str, Any]:
    rows = [str(each.row) for each in _contours_of(row, names)]
    return dict(row) | {"patient": names.called[row["cohort"], row["patient"]], "rows": ", ".join(rows)}


def _contours_of(row: Mapping[str, Any], names: Names) -> Iterator[Any]:
    target, who = (row["cohort"], row["patient"], row["roi"]), (row["machine"], row["physician"])
    return (each for each in names.contours.rows if each.target == target and each.drawn_by in who)


def _failed(rows: Sequence[Mapping[str, Any]], names: Names) -> Iterator[dict[str, Any]]:
    """The pairs that could not be compared, and why."""
    return (_pair(row, names) | {"error": names.told(row["error"])} for row in rows if row["error"])


def _tiles(summary: pd.DataFrame) -> list[dict[str, Any]]:
    """The medians of machine against physician, where that is one group; of several the table tells."""
    rows = [row for row in records(summary) if row["pair"] == MACHINE_PHYSICIAN and row["metric"] in TILES]
    if len({(row["cohort"], row["roi"]) for row in rows}) != 1:
        return []
    return [_summarised(row) for row in sorted(rows, key=lambda row: TILES.index(row["metric"]))]


def _groups(summary: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The summary by cohort, ROI and kind of pair."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in records(summary):
        groups.setdefault((row["cohort"], row["roi"], row["pair"]), []).append(_summarised(row))
    for (cohort, roi, pair), rows in groups.items():
        yield {"title": ", ".join(filter(None, (cohort, roi, pair.replace("-", "–")))), "rows": rows}


def _summarised(row: Mapping[str, Any]) -> dict[str, Any]:
    """A metric of the summary in words and numbers, each with its unit."""
    title, _, unit = METRICS[row["metric"]].rpartition(", ")
    decimals = 3 if row["metric"] in SHARES else DECIMALS.get(row["metric"], 2)
    signed = row["metric"].startswith("volume_difference")
    numbers = ("median", "quartile_1", "quartile_3", "interval_low", "interval_high")
    texts = {name: number_text(row[name], decimals, signed=signed) for name in numbers}
    return dict(row) | texts | {"title": title or unit, "unit": unit if title else ""}


def _pictures(drawn: CohortFigures, names: Names) -> dict[str, list[Picture]]:
    """Pictures by what they are about."""
    kinds: dict[str, list[Picture]] = {"cases": [], "agreement": [], "volumes": [], "detection": []}
    if drawn.cases:
        titled = [each.called(names.called[each.row["cohort"], each.row["patient"]]) for each in drawn.cases]
        kinds["cases"].append(picture(case_overlays(titled), CASES_SAY))
    for name, figure in drawn.plots.items():
        about = next(each for each in sorted(CAPTIONS, key=len, reverse=True) if name.startswith(each))
        kind = "volumes" if about in ("volumes", "bland_altman") else "detection" if about in ("confusion", "froc") else "agreement"
        kinds[kind].append(picture(figure, CAPTIONS[about]))
    return kinds


def _detection(each: CohortDetection, names: Names) -> dict[str, Any]:
    left_out = {names.called[each.cohort, patient]: names.told(why) for patient, why in each.detection.left_out.items()}
    return each.detection.to_dict() | {"left_out": left_out, "title": each.title, "note": names.told(each.froc_note)}
