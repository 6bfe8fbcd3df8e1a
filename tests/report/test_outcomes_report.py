"""The page of an analysis of outcomes: hazard ratios with their units, curves, checks, what to know, who was left out."""

from __future__ import annotations

import re

import pytest

from rt4d.errors import InputError
from rt4d.report import write_outcomes_report
from tests.report.compared import assert_offline, outcome


@pytest.fixture(scope="module")
def page(outcomes_page):
    return outcomes_page.read_text()


def test_the_page_asks_for_nothing_and_names_nobody(page):
    assert_offline(page)
    assert "Smithers" not in page
    assert "SHA-256 00" in page


def test_hazard_ratios_have_their_unit_and_interval_per_voxel_and_per_cm3(page, found):
    (table,) = re.findall(r"<h2>Hazard ratios</h2>.*?</table>", page, re.DOTALL)
    effect = found.joint["false_positive_voxels"]
    low, high = effect.per(125, "per cm³").ci95
    assert "per voxel of 8 mm³" in table
    assert f"<td class=\"text\">per cm³</td><td>{effect.per(125, '').hazard_ratio:.2f}</td><td>{low:.2f} to {high:.2f}</td>" in table
    assert "beside gtv_volume_cm3" in table


def test_who_was_left_out_is_told_by_row_and_why(page):
    left_out = page[page.index("<h2>Who was left out</h2>") :]
    assert "2 of 90 patients, in whom something is missing: rows 5, 9 of the table" in left_out
    assert "false_positive_voxels is missing in rows 5, 9" in left_out


def test_curves_checks_and_cautions_are_there(page, found):
    for words in ("Free of the event (Kaplan–Meier)", "at risk", "by halves", "proportional hazards", "events per covariate"):
        assert words in page
    assert f"{found.events_per_variable:.1f}" in page
    assert page.index("Before this is believed") < page.index("<h2>Hazard ratios")
    assert "counted from the first fraction" in page


def test_where_events_compete_incidence_is_shown_and_no_survival(undrawn, tmp_path):
    page = write_outcomes_report(tmp_path / "o.html", outcome(competing=True)).read_text()
    assert "Cumulative incidence" in page
    assert "Kaplan–Meier" not in page.split("<details")[0]
    assert "subdistribution (Fine and Gray)" in page


def test_a_report_is_not_written_over_another_file(found, tmp_path):
    (tmp_path / "o.html").write_text("mine")
    with pytest.raises(InputError, match="there already"):
        write_outcomes_report(tmp_path / "o.html", found)
    assert (tmp_path / "o.html").read_text() == "mine"
