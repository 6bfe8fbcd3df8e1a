"""Figures in a page: SVG that follows the page into the dark, PNG where thousands of points would make it large."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from rt4d.figures import INK
from rt4d.report.page import environment, minus_text, number_text, picture


def scatter(n: int) -> Figure:
    figure = Figure(figsize=(4, 3))
    x, y = np.random.default_rng(0).normal(size=(2, n))
    figure.subplots().scatter(x, y, color=INK)
    return figure


def test_a_small_figure_stays_svg_with_the_pages_ink_and_a_large_one_becomes_png() -> None:
    small, large = picture(scatter(5), "five"), picture(scatter(5000), "five thousand")
    assert small.svg is not None
    assert "var(--ink)" in small.svg
    assert INK not in small.svg
    assert large.svg is None
    assert large.png.startswith("data:image/png;base64,")
    assert len(large.png) < 250_000


def test_a_png_keeps_its_white_ground_and_says_what_it_shows() -> None:
    template = environment().from_string('{% from "parts.html.jinja" import figure %}{{ figure(one) }}')
    page = template.render(one=picture(scatter(5000), "<five> thousand"))
    assert '<figure class=light' in page
    assert 'alt="&lt;five&gt; thousand"' in page


def test_numbers_have_true_minus_signs_and_no_sign_of_zero() -> None:
    assert number_text(-1.234) == "−1.23"
    assert number_text(-0.001) == "0.00"
    assert number_text(0.5, 1, signed=True) == "+0.5"
    assert number_text(0.0, 1, signed=True) == "0.0"
    assert number_text(None) == number_text(float("nan")) == "–"
    assert minus_text("bound -0.5 (at -3 to 2-4, lung-1)") == "bound −0.5 (at −3 to 2-4, lung-1)"
