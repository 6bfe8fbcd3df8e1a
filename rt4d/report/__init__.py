"""The report of a result: one HTML file without outside references, that opens offline in any browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rt4d import figures, provenance
from rt4d.report.checks import check_rows, check_title, limit_text, value_text
from rt4d.report.page import inline_svg, write_page
from rt4d.report.viewer import viewer_data

if TYPE_CHECKING:
    from rt4d.patient import ItvResult, TargetResult

VIEWER = ("viewer_data.js", "viewer_drawing.js", "viewer_controls.js")


def write_report(path: Path, result: ItvResult, summary: dict[str, Any]) -> Path:
    """The path of report.html: verdict, volumes and motion, a viewer of the breathing cycle, figures, checks and where it came from.

    It holds images of the patient, but no name, number, birth date or file name; ROIs are named as the structure set names them.
    """
    targets = [_target(result, target, told) for target, told in zip(result.targets, summary["targets"], strict=True)]
    return write_page(
        path,
        "itv.html.jinja",
        scripts=VIEWER,
        summary=summary,
        failed=[check for check in summary["checks"] if check["verdict"] == "fail"],
        targets=targets,
        viewer=viewer_data(result.ct, [target.itv for target in result.targets]),
        notes=[_without_file_names(note, result) for note in summary["notes"]],
        grid=result.ct.geometry,
        told_by=result.ct.told_by,
        model=result.model.name if result.model else "",
        written=provenance.now(),
    )


def _target(result: ItvResult, target: TargetResult, told: dict[str, Any]) -> dict[str, Any]:
    """One target's part of the page: what summary.json says, the checks as a table, and pictures."""
    drawn = {
        "planes": figures.itv_planes(result.ct, target.itv),
        "extremes": figures.itv_extremes(result.ct, target.itv),
        "trajectory": figures.trajectory(target.itv),
        "occupancy": figures.itv_occupancy(result.ct, target.itv),
    }
    pictures = {name: {"svg": inline_svg(figure), "says": figures.FIGURES[name]} for name, figure in drawn.items()}
    sentences = [check | {"title": check_title(check["name"]), "text": value_text(check), "bound": limit_text(check)} for check in told["checks"]]
    recipe = {"name": target.motion.recipe.name, "sha256": target.motion.recipe.sha256}
    return told | {"pictures": pictures, "rows": check_rows(told["checks"]), "sentences": sentences, "recipe": recipe}


def _without_file_names(note: str, result: ItvResult) -> str:
    """A note as it may leave the folder: people name files after patients."""
    for path in result.request.gtv:
        note = note.replace(path.name, "the structure set")
    return re.sub(r", for example .+ of .+(?=\.$)", "", note)
