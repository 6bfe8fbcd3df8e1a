"""The checks of one target as a table: a row for each, a column for each phase, with unit and limit."""

from __future__ import annotations

from typing import Any

CHECKS = {
    "registration": ("Registration finished", "", ""),
    "jacobian_nonpositive_percent": ("Folded part of the field", "%", "≤"),
    "jacobian_gtv_p1": ("Local volume in the target, 1st percentile", "×", "≥"),
    "jacobian_gtv_p99": ("Local volume in the target, 99th percentile", "×", "≤"),
    "jacobian_lung_p1": ("Local volume in the lung around, 1st percentile", "×", "≥"),
    "jacobian_lung_p99": ("Local volume in the lung around, 99th percentile", "×", "≤"),
    "gtv_volume_change_percent": ("Change of the target's volume", "%", "≤ ±"),
    "inverse_residual_mm": ("Field and its inverse apart", "mm", "≤"),
    "similarity": ("Similarity around the target", "", "≥"),
    "similarity_gain": ("Gain in similarity", "", "≥"),
    "gtv_mean_hu_change": ("Change of the mean in the target", "HU", "≤ ±"),
    "residual_shift_mm": ("Shift that would match better", "mm", "≤"),
    "vessel_residual_mm": ("Distinctive points apart", "mm", "≤"),
    "both_directions_mm": ("There and back apart", "mm", "≤"),
    "bones_shift_mm": ("Shift of the bones", "mm", "≤"),
    "cycle_gap_percent": ("Widest gap between phases", "% of the cycle", "≤"),
    "phase_order": ("Phases out of order", "", "≤"),
    "trajectory_outlier_mm": ("Centroid off a smooth way", "mm", "≤"),
    "duplicated_phase": ("Likeness of the two most alike phases", "", "≤"),
}
"""By the names in summary.json: what is measured, its unit, and on which side of the limit it passes."""

DIGITS = {"duplicated_phase": 7}
"""Significant digits of a figure and its limit, where three do not tell one from the other."""


def check_title(name: str) -> str:
    """What a check measures, with its unit."""
    title, unit, _ = CHECKS.get(name, (name.replace("_", " "), "", ""))
    return f"{title}, {unit}" if unit else title


def check_rows(checks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each check its title, its limit in words, and its figures by phase label; rows that hold a failure come first.

    What concerns the cycle as a whole stands at the phase that sticks out most.
    """
    rows = [_row(name, [check for check in checks if check["name"] == name]) for name in dict.fromkeys(check["name"] for check in checks)]
    return sorted(rows, key=lambda row: not row["failed"])


def limit_text(check: dict[str, Any]) -> str:
    """The limit of one check, with the side on which it passes."""
    side = CHECKS.get(check["name"], ("", "", ""))[2]
    return "–" if check["limit"] is None else f"{side} {_number(check, check['limit'])}".strip().replace("± ", "±").replace("-", "−")


def value_text(check: dict[str, Any]) -> str:
    """A figure as it is read beside others; what could not be measured is a dash, or the verdict where that is a failure."""
    if check["value"] is None:
        return "failed" if check["verdict"] == "fail" else "–"
    return _number(check, check["value"]).replace("-", "−")


def _number(check: dict[str, Any], number: float) -> str:
    return f"{number:.{DIGITS.get(check.get('name', ''), 3)}g}"


def _row(name: str, checks: list[dict[str, Any]]) -> dict[str, Any]:
    limits = list(dict.fromkeys(limit_text(check) for check in sorted(checks, key=lambda check: check["limit"] or 0.0)))
    limit = limits[0] if len(limits) == 1 else f"{limits[0]} to {limits[-1].split()[-1].lstrip('±')}"
    cells = {check["phase"]: check | {"text": value_text(check)} for check in checks}
    return {"title": check_title(name), "limit": limit, "cells": cells, "failed": any(check["verdict"] == "fail" for check in checks)}
