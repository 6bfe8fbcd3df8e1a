"""Reports: one HTML file each without outside references, that opens offline in any browser.

`write_report` of an ITV, `write_commission_report`, and for results of one's own `write_comparison_report` (of `ComparedPair`s),
`write_cohort_report` and `write_outcomes_report`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rt4d import figures, provenance
from rt4d.report.checks import check_rows, check_title, limit_text, value_text
from rt4d.report.cohort import draw_cohort
from rt4d.report.cohort_page import write_cohort_report
from rt4d.report.commission import write_commission_report
from rt4d.report.comparison import ComparedPair, write_comparison_report
from rt4d.report.identity import patient_named
from rt4d.report.outcomes import write_outcomes_report
from rt4d.report.page import inline_svg, write_page
from rt4d.report.viewer import viewer_data
from rt4d.segmentation.files import LISTED

if TYPE_CHECKING:
    from rt4d.patient import ItvResult, TargetResult

__all__ = [
    "ComparedPair",
    "draw_cohort",
    "write_cohort_report",
    "write_commission_report",
    "write_comparison_report",
    "write_outcomes_report",
    "write_report",
]

VIEWER = ("viewer_data.js", "viewer_drawing.js", "viewer_controls.js")


def write_report(path: Path, result: ItvResult, summary: dict[str, Any]) -> Path:
    """The path of report.html: verdict, volumes and motion, a viewer of the breathing cycle, figures, checks and where it came from.

    It holds images of the patient, but no name, number, birth date or file name, or in its head alone name and ID where the request
    says so; ROIs are named as the structure set names them.
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
        notes=summary["notes"],
        patient=patient_named(result.ct.reference.identity) if result.request.name_patient else None,
        grid=result.ct.geometry,
        told_by=result.ct.told_by,
        model=result.model.name if result.model else "",
        candidates_listed=LISTED,
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
