"""The pages of comparisons, cohorts and outcomes in Chromium: nothing asked for, nothing complained of, dark, narrow, printed."""

from __future__ import annotations

import re

import pytest

from tests.conftest import needs_program

pytestmark = needs_program("chromium")


@pytest.fixture(params=["comparison_page", "cohort_written", "outcomes_page"])
def page(request, chromium):
    written = request.getfixturevalue(request.param)
    chromium.complaints.clear()
    chromium.requests.clear()
    chromium.open(written)
    assert {url for url in chromium.requests if not url.startswith("data:")} == {written.as_uri()}
    yield chromium
    chromium.call("Emulation.setEmulatedMedia", media="", features=[])
    assert chromium.complaints == []


def test_a_page_follows_the_dark_fits_a_narrow_window_and_prints_to_a_few_pages(page, tmp_path):
    light = page.run("getComputedStyle(document.querySelector('h1')).color")
    page.media(prefers_color_scheme="dark")
    assert page.run("getComputedStyle(document.querySelector('h1')).color") != light
    for width in (1250, 390):
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        assert page.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), width
        assert page.run("[...document.querySelectorAll('.figures div')].every((one) => one.scrollWidth <= one.clientWidth)"), width
    printed = page.pdf(tmp_path / "page.pdf").read_bytes()
    assert 1 <= len(re.findall(rb"/Type /Page\b", printed)) <= 8


def test_what_scrolls_can_be_reached_by_keyboard_and_says_what_it_is(page):
    assert page.run("[...document.querySelectorAll('.wide')].every((one) => one.tabIndex === 0 && one.getAttribute('aria-label'))")
    assert page.run("[...document.querySelectorAll('img')].every((one) => one.alt)")
    page.run("document.querySelector('.wide').focus()")
    assert page.run("document.activeElement.className").startswith("wide")
