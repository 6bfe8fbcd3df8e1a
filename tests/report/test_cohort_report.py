"""The page of a compared cohort: medians with intervals, figures, who failed and why; no patient by name unless asked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rt4d.agreement.cohort import summarise
from rt4d.report.cohort_page import Names
from tests.report.compared import assert_offline, cohort_page, compared, contour_table


@pytest.fixture(scope="module")
def page(cohort_written):
    return cohort_written.read_text()


def test_the_page_asks_for_nothing_and_names_nobody(page, cohort):
    assert_offline(page)
    assert "Smithers" not in page
    assert "/tmp" not in page
    assert str(cohort[0].rows[0].contour) not in page


def test_medians_stand_first_with_quartiles_intervals_and_units(page, cohort):
    row = next(row for row in summarise(cohort[1].table).to_dict("records") if row["metric"] == "hd95_mm" and row["pair"] == "machine-physician")
    assert f"<b>{row['median']:.2f} mm</b><span>HD95, median of {row['n']} pairs<br>quartiles {row['quartile_1']:.2f} to" in page
    assert page.index("HD95, median") < page.index("No verdict is given") < page.index("<figure")
    assert "GTV: a −0.5 lower." in page


def test_pairs_that_failed_are_told_by_number_and_row_with_the_reason(page):
    (table,) = re.findall(r"<h2>Not compared</h2>.*?</table>", page, re.DOTALL)
    assert table.count("patient 3") == 2
    assert "unet – bo" in table
    assert "row 8" in table, "as a spreadsheet counts"
    assert "cannot be read (the contour of row 8)" in table


def test_boxes_volumes_limits_and_detection_are_shown(page):
    assert page.count("<figure") == 4 + 3 + 1 + 2
    assert page.count("Limits of agreement need patients") == 2, "of one patient there are none, which is said"
    for words in ("Limits of agreement", "line of identity", "Scans by what the physician drew", "DSC (Dice", "any overlap"):
        assert words in page


def test_a_missing_contour_is_noted_without_the_patients_name(page):
    assert "bo has no contour of GTV of 4 of 6 patients: patient 1, patient 2, patient 5, patient 6" in page


def test_names_are_told_when_asked_for(undrawn, cohort, tmp_path, monkeypatch):
    contours, pairs = cohort
    monkeypatch.setattr("rt4d.report.cohort._figures", lambda _: ())
    page = cohort_page(tmp_path, pairs, contours, with_names=True).read_text()
    assert "Smithers 2" in page
    assert "this was asked for" in page


def test_a_patient_called_by_a_number_does_not_change_other_numbers(cohort):
    contours, _ = cohort
    names = Names(contours, with_names=False)
    assert names.told("row 3: Smithers 0 has 10 slices") == "row 3: patient 1 has 10 slices"


def test_a_cohort_of_which_everything_failed_has_a_page_too(undrawn, tmp_path):
    contours = contour_table(tmp_path)
    for row in contours.rows:
        Path(row.contour).write_bytes(b"broken")
    pairs = compared(contours)
    page = cohort_page(tmp_path, pairs, contours).read_text()
    assert "Not compared" in page
    assert "Smithers" not in page
