"""Comparisons, cohorts and outcomes made from arrays and tables, as the command line hands them to their reports."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from rt4d.agreement import Overlap, compare, match_masks
from rt4d.agreement.cohort import CohortPairs, compare_cohort, summarise
from rt4d.agreement.cohort_table import ContourTable, read_contour_table
from rt4d.geometry import Geometry
from rt4d.images import write_mask
from rt4d.outcomes import Question, analyse
from rt4d.outcomes.analysis import Analysis
from rt4d.report import ComparedPair, draw_cohort, write_cohort_report
from rt4d.volumes import Mask, Volume
from tests.outcomes.made import simulated
from tests.report.make import ball

GRID = Geometry((40, 36, 24), (2.0, 2.0, 3.0), (-40.0, -30.0, -36.0), frame_of_reference="1.2.3")
CT = Volume(np.full(GRID.shape, -750, np.int16), GRID)
SHIFTED = ball(GRID, (4.0, 0.0, 6.0), 12.0)
DRAWN = ball(GRID, (0.0, 0.0, 0.0), 12.0)
STRAY = ball(GRID, (-30.0, 20.0, -24.0), 4.0)
NOTHING = Mask(np.zeros(GRID.shape, dtype=bool), GRID)


def pair(machine: Mask, physician: Mask, *, names: tuple[str, str] = ("net.nii.gz", "anna.nii.gz"), lesions: bool = False) -> ComparedPair:
    found = compare(machine, physician, machine_label=names[0], physician_label=names[1])
    matched = match_masks(machine, physician, rule=Overlap()) if lesions else None
    return ComparedPair(comparison=found, machine=machine, physician=physician, lesions=matched)


def contour_table(folder: Path) -> ContourTable:
    """Six patients of a machine and a physician, two of them of a second one too, named like people; one contour is broken."""
    lines = ["patient,observer,roi,contour"]
    for n in range(6):
        for observer, shift in (("unet", n % 3), ("anna", 0), ("bo", 1)):
            path = folder / "Smithers" / f"Smithers_{n}_{observer}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            write_mask(path, ball(Geometry((16, 14, 10), (2.0, 2.0, 3.0)), (14.0 + 2 * shift, 12.0, 12.0), 7.0 + n / 2))
            lines += [] if observer == "bo" and n not in (2, 3) else [f"Smithers {n},{observer},GTV,{path.relative_to(folder)}"]
    (folder / "Smithers" / "Smithers_2_bo.nii.gz").write_bytes(b"broken")
    (folder / "contours.csv").write_text("\n".join(lines), encoding="utf-8")
    return read_contour_table(folder / "contours.csv")


def compared(contours: ContourTable) -> CohortPairs:
    return compare_cohort(contours, machines=["unet"], rule=Overlap(), workers=1)


def cohort_page(folder: Path, pairs: CohortPairs, contours: ContourTable, *, with_names: bool = False) -> Path:
    drawn = draw_cohort(pairs, contours)
    told = {"statements": ["GTV: a -0.5 lower"], "notes": [*pairs.notes, *drawn.lacking], "with_names": with_names}
    return write_cohort_report(folder / "cohort.html", pairs, summarise(pairs.table), drawn, contours, **told)


def outcome(*, competing: bool = False) -> Analysis:
    """A cohort with false-positive voxels of one size, of whom two lack them."""
    made = simulated(90, effect=0.2, competing=competing, seed=4)
    voxels = np.round(made.covariates["false_positive_cm3"] * 1000 / 8)
    voxels[[3, 7]] = np.nan
    columns = {"patient": [f"Smithers {n}" for n in range(made.n)], "follow_up_days": made.time, "failure": made.event}
    table = pd.DataFrame(columns | {"false_positive_voxels": voxels, "voxel_volume_mm3": 8.0, "gtv_volume_cm3": made.covariates["gtv_volume_cm3"]})
    table.index = range(2, made.n + 2)
    question = Question("follow_up_days", "failure", ("false_positive_voxels",), competing=competing, time_zero="the first fraction")
    return analyse(table, question, repetitions=20)


def assert_offline(page: str) -> None:
    """Nothing in the page asks for anything outside it."""
    assert "http" not in page.replace("http-equiv", "")
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert not re.findall(r"@import|url\((?!#)|<link|<iframe|<script|<metadata", page)
    assert "default-src &#39;none&#39;; script-src &#39;none&#39;" in page
