"""Planes with contours show what lies there: who alone drew what, where they differ most, and every observer by name."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from rt4d import figures
from rt4d.agreement import compare, locate
from rt4d.errors import InputError
from rt4d.figures.overlays import MACHINE, PHYSICIAN
from rt4d.volumes import Volume
from tests.agreement.make import GRID, box, empty

CT = Volume(np.full(GRID.shape, -800, np.int16), GRID)
DRAWN, MARKED = box((10, 8, 6), (10, 6, 6)), box((14, 8, 6), (10, 6, 6))


def titles(figure: Figure) -> list[str]:
    figure.draw_without_rendering()
    return [axes.get_title(loc="left") for axes in figure.axes]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_planes_through_the_middle_and_through_where_they_differ_most_tell_their_place() -> None:
    figure = figures.difference_planes(figures.Case("", CT, MARKED, DRAWN), most_mm=(3.0, 31.0, -15.0))
    above = ["axial, z −4.5 mm", "coronal, y 31.0 mm", "sagittal, x −5.5 mm"]
    assert titles(figure) == [*above, "axial, z −15.0 mm", "coronal, y 31.0 mm", "sagittal, x 3.0 mm"]
    assert "where they differ most (below)" in legend(figure)
    assert len(figures.difference_planes(figures.Case("", None, MARKED, DRAWN)).axes) == 3


def test_what_only_one_holds_is_filled_in_the_colour_of_whose_it_is() -> None:
    axes = figures.difference_planes(figures.Case("", CT, MARKED, DRAWN)).axes[0]
    filled = np.asarray(axes.images[1].get_array())
    reach = axes.images[1].get_extent()[1]
    place = lambda x: round((x - -5.5 + reach) / (2 * reach) * (filled.shape[1] - 1))  # noqa: E731
    row = filled[filled.shape[0] // 2]
    assert row[place(2.0)][:3] == pytest.approx(to_rgb(MACHINE)), "x 0 to 3 mm: the machine alone"
    assert row[place(-9.0)][:3] == pytest.approx(to_rgb(PHYSICIAN))
    assert row[place(-3.0)][3] == 0, "both"


def test_observers_stand_in_the_legend_and_empty_ones_do_no_harm() -> None:
    figure = figures.observer_planes({"net": MARKED, "anna": DRAWN, "bo": empty()}, ct=CT)
    assert legend(figure) == ["net", "anna", "bo"]
    assert len(figure.axes) == 3
    with pytest.raises(InputError, match="empty"):
        figures.observer_planes({"net": empty()})


def test_bars_are_the_volumes_of_the_places() -> None:
    found = compare(MARKED, DRAWN)
    places = {kind: locate(getattr(found, kind), DRAWN) for kind in ("false_positive", "false_negative")}
    figure = figures.places_plot(places)
    heights = [[bar.get_height() for bar in bars] for bars in figure.axes[0].containers]
    assert sum(heights[0]) == pytest.approx(found.false_positive_cm3)
    assert heights[0] == pytest.approx(list(places["false_positive"].by_direction_cm3.values()))
    assert heights[1] == pytest.approx(list(places["false_negative"].by_direction_cm3.values()))
    assert max(heights[0]) == heights[0][1], "most of it to the left"
    nothing = {kind: locate(MARKED, empty()) for kind in places}
    with pytest.raises(InputError, match="physician"):
        figures.places_plot(nothing)
