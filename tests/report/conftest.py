"""One browser for all tests of pages, and each page once."""

from __future__ import annotations

import pytest

from rt4d.report import write_comparison_report, write_outcomes_report
from rt4d.report.page import Picture
from tests.report.browser import browser
from tests.report.compared import CT, DRAWN, SHIFTED, STRAY, cohort_page, compared, contour_table, outcome, pair


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="session")
def comparison_page(tmp_path_factory):
    one = pair(SHIFTED | STRAY, DRAWN, lesions=True)
    return write_comparison_report(tmp_path_factory.mktemp("page") / "r.html", [one], ct=CT, notes=["odd"], made_of={"net": "SHA-256 00"})


@pytest.fixture(scope="session")
def cohort(tmp_path_factory):
    contours = contour_table(tmp_path_factory.mktemp("cohort"))
    return contours, compared(contours)


@pytest.fixture(scope="session")
def cohort_written(cohort, tmp_path_factory):
    contours, pairs = cohort
    return cohort_page(tmp_path_factory.mktemp("page"), pairs, contours)


@pytest.fixture(scope="session")
def found():
    return outcome()


@pytest.fixture(scope="session")
def outcomes_page(found, tmp_path_factory):
    return write_outcomes_report(tmp_path_factory.mktemp("page") / "o.html", found, made_of={"table": "SHA-256 00"})


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are made but not drawn, which takes longest: their captions alone stand in the page."""
    for module in ("comparison", "cohort_page", "outcomes"):
        monkeypatch.setattr(f"rt4d.report.{module}.picture", lambda _, says: Picture(says, 100, png="data:,"))
