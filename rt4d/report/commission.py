"""The report of a commissioning: one HTML file without outside references."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rt4d.report.page import data_uri, write_page


def write_commission_report(path: Path, record: dict[str, Any], pictures: Sequence[bytes]) -> Path:
    """The path of report.html: verdict, every figure with its tolerance, the tolerances' sources, pictures, and where it came from.

    record: what commission.json holds. pictures: a PNG per case, b'' where there is none. No patient is named.
    """
    return write_page(
        path,
        "commission.html.jinja",
        record=record,
        sound=[case for case in record["cases"] if case["kind"] != "sabotaged"],
        sabotaged=[case for case in record["cases"] if case["kind"] == "sabotaged"],
        pictures=[data_uri(picture) if picture else "" for picture in pictures],
        figure=figure_text,
    )


def figure_text(value: float | None, unit: str, *, signed: bool = False) -> str:
    """A figure as it is read beside others of its unit: as many decimals as matter there; a dash where there is none."""
    if value is None:
        return "–"
    decimals = {"1": 3, "mm": 2, "%": 1}.get(unit, 0)
    text = f"{value:{'+' if signed else ''}.{decimals}f}"
    return text.replace("-", "−")
