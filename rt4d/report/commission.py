"""The report of a commissioning: one HTML file without outside references."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any


def write_commission_report(path: Path, record: dict[str, Any], pictures: Sequence[bytes]) -> Path:
    """The path of report.html: verdict, every figure with its tolerance, the tolerances' sources, pictures, and where it came from.

    record: what commission.json holds. pictures: a PNG per case, b'' where there is none. No patient is named.
    """
    from jinja2 import Environment, StrictUndefined

    template = resources.files("rt4d.report").joinpath("commission.html.jinja").read_text(encoding="utf8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["figure"] = figure_text
    page = environment.from_string(template).render(
        record=record,
        sound=[case for case in record["cases"] if case["kind"] != "sabotaged"],
        sabotaged=[case for case in record["cases"] if case["kind"] == "sabotaged"],
        pictures=[_data_uri(picture) if picture else "" for picture in pictures],
    )
    path.write_text(page, encoding="utf8")
    return path


def figure_text(value: float | None, unit: str, *, signed: bool = False) -> str:
    """A figure as it is read beside others of its unit: as many decimals as matter there; a dash where there is none."""
    if value is None:
        return "–"
    decimals = {"1": 3, "mm": 2, "%": 1}.get(unit, 0)
    text = f"{value:{'+' if signed else ''}.{decimals}f}"
    return text.replace("-", "−")


def _data_uri(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode("ascii")
