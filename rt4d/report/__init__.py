"""The report of a result: one HTML file without outside references, that opens offline in any browser."""

from __future__ import annotations

import base64
import io
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rt4d import __version__, figures, provenance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rt4d.patient import ItvResult, TargetResult


def write_report(path: Path, result: ItvResult, summary: dict[str, Any]) -> Path:
    """The path of report.html: verdict, volumes, motion, pictures, checks and where it came from. No patient identifiers."""
    from jinja2 import Environment, StrictUndefined

    template = resources.files("rt4d.report").joinpath("itv.html.jinja").read_text(encoding="utf8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(template).render(
        summary=summary,
        targets=[_target(result, target, told) for target, told in zip(result.targets, summary["targets"], strict=True)],
        grid=result.ct.geometry,
        told_by=result.ct.told_by,
        model=result.model.name if result.model else "",
        written=provenance.now(),
        version=__version__,
    )
    path.write_text(page, encoding="utf8")
    return path


def _target(result: ItvResult, target: TargetResult, told: dict[str, Any]) -> dict[str, Any]:
    """One target's part of the page: what summary.json says, and pictures."""
    drawn = {
        "planes": figures.itv_planes(result.ct, target.itv),
        "extremes": figures.itv_extremes(result.ct, target.itv),
        "trajectory": figures.trajectory(target.itv),
    }
    pictures = [{"src": _png(figure), "says": figures.FIGURES[name]} for name, figure in drawn.items()]
    return told | {"pictures": pictures, "recipe": target.motion.recipe.name, "recipe_sha256": target.motion.recipe.sha256[:12]}


def _png(figure: Figure) -> str:
    """A picture as a data URI."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
