"""Figures and limits of checks as they are read: never so rounded that a failure looks like a pass."""

from __future__ import annotations

from rt4d.report.checks import check_rows, limit_text, value_text


def check(name: str, value: float, limit: float) -> dict[str, object]:
    return {"name": name, "phase": "00", "value": value, "limit": limit, "verdict": "pass" if value <= limit else "fail"}


def test_phases_that_are_too_much_alike_are_told_from_the_limit() -> None:
    failed, passed = check("duplicated_phase", 0.9999951, 0.99999), check("duplicated_phase", 0.99996, 0.99999)
    assert (limit_text(failed), value_text(failed), value_text(passed)) == ("≤ 0.99999", "0.9999951", "0.99996")
    (row,) = check_rows([failed])
    assert (row["limit"], row["cells"]["00"]["text"], row["failed"]) == ("≤ 0.99999", "0.9999951", True)


def test_other_figures_have_three_digits() -> None:
    shift = check("bones_shift_mm", 2.3456, 4.0)
    assert (limit_text(shift), value_text(shift)) == ("≤ 4", "2.35")
    assert value_text(check("gtv_mean_hu_change", -12.345, 50.0)) == "−12.3"
