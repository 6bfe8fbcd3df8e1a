"""Figures of agreement show the numbers that they are given, with units, and say what cannot be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from rt4d import figures
from rt4d.agreement.detection import Scan, detection_in
from rt4d.agreement.froc_curve import froc
from rt4d.agreement.lesions import lesions_of
from rt4d.agreement.limits_of_agreement import bland_altman
from rt4d.agreement.matching import Overlap, match
from rt4d.errors import InputError
from rt4d.volumes import Volume
from tests.agreement.make import GRID, box, empty


def pairs(dice: Sequence[float], *, pair: str = "machine-physician", cohort: str = "trial", roi: str = "GTV") -> pd.DataFrame:
    return pd.DataFrame({"cohort": cohort, "roi": roi, "pair": pair, "dice": dice, "tolerance_mm": 2.0})


def texts(figure: Figure) -> str:
    """All that a reader finds written in a figure."""
    figure.draw_without_rendering()
    legends = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return " | ".join([*legends, *(text.get_text() for axes in figure.axes for text in axes.findobj(Text))])


def points(figure: Figure) -> np.ndarray:
    """The places of all points of the scatters in the first axes, shape (n, 2)."""
    return np.concatenate([np.asarray(each.get_offsets()) for each in figure.axes[0].collections if len(each.get_offsets())])


def test_boxes_stand_beside_one_another_with_every_value_as_a_point() -> None:
    machine, physicians = [0.7, 0.75, 0.8, 0.82, 0.9, 0.91], [0.85, 0.86, 0.87, 0.9, 0.92]
    figure = figures.metric_boxes(pd.concat([pairs(machine), pairs(physicians, pair="physician-physician")]), "dice")
    shown = sorted(y for each in figure.axes[0].collections for _, y in np.asarray(each.get_offsets()))
    assert shown == pytest.approx(sorted([*machine, *physicians]))
    assert len(figure.axes[0].patches) == 2, "two boxes"
    said = texts(figure)
    assert "machine–physician" in said
    assert "physician–physician" in said
    assert "DSC" in said
    assert "n = 6 | 5" in said


def test_few_values_are_points_and_no_box_and_what_is_undefined_is_counted() -> None:
    table = pairs([0.7, 0.8, np.nan]).assign(hd95_mm=[3.0, np.nan, np.nan])
    assert not figures.metric_boxes(table, "dice").axes[0].patches
    said = texts(figures.metric_boxes(table, "hd95_mm"))
    assert "HD95, mm" in said
    assert "n = 1" in said
    assert "undefined 2" in said


def test_rois_stand_in_axes_of_their_own() -> None:
    figure = figures.metric_boxes(pd.concat([pairs([0.7] * 6), pairs([0.9] * 6, roi="Lung L")]), "dice")
    figure.draw_without_rendering()
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["GTV", "Lung L"]


def test_the_surface_dsc_names_its_tolerance() -> None:
    assert "surface DSC at 2 mm" in texts(figures.metric_boxes(pairs([0.8] * 6).rename(columns={"dice": "surface_dice"}), "surface_dice"))
    with pytest.raises(InputError, match="dice"):
        figures.metric_boxes(pairs([0.8]), "no metric")


def test_volumes_of_a_narrow_range_are_linear_from_zero() -> None:
    figure = figures.volume_scatter([20.0, 30.0, 0.0], [22.0, 28.0, 25.0])
    figure.draw_without_rendering()
    assert figure.axes[0].get_xscale() == "linear"
    assert figure.axes[0].get_xlim()[0] == 0
    assert points(figure).tolist() == [[22, 20], [28, 30], [25, 0]]


def test_volumes_of_a_wide_range_are_logarithmic_and_a_miss_stays_in_sight() -> None:
    figure = figures.volume_scatter([0.5, 200.0, 0.0], [0.6, 180.0, 12.0], labels=("unet", "Dr A"))
    axes = figure.axes[0]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert axes.get_xlim() == axes.get_ylim()
    assert len(points(figure)) == 3
    assert [12.0, axes.get_ylim()[0]] in [pytest.approx(place) for place in points(figure).tolist()]
    assert "unet, cm³" in texts(figure)
    with pytest.raises(InputError, match="finite"):
        figures.volume_scatter([1.0], [np.nan])


@pytest.mark.parametrize("ratio", [False, True])
def test_bland_altman_shows_bias_and_limits(ratio: bool) -> None:
    first, second = {"a": 10.0, "b": 22.0, "c": 31.0}, {"a": 11.0, "b": 20.0, "c": 30.0}
    agreement = bland_altman(first, second, quantity="volume", unit="cm³", ratio=ratio)
    figure = figures.bland_altman_plot(agreement)
    heights = {round(float(line.get_ydata()[0]), 9) for line in figure.axes[0].lines}
    pairs = agreement.pairs
    assert {round(pairs.back(value), 9) for value in (agreement.bias, agreement.lower, agreement.upper)} <= heights
    assert len(points(figure)) == 3
    assert points(figure)[0, 1] == pytest.approx(10 / 11 if ratio else -1)
    said = texts(figure)
    assert "upper limit" in said
    assert "mean volume of machine and physician, cm³" in said


def test_labels_of_limits_that_lie_close_together_stay_apart() -> None:
    agreement = bland_altman({"a": 8.0, "b": 155.8}, {"a": 8.0, "b": 156.3}, quantity="volume", unit="cm³")
    figure = figures.bland_altman_plot(agreement)
    figure.draw_without_rendering()
    boxes = sorted((text.get_window_extent() for text in figure.axes[0].texts), key=lambda box: box.y0)
    assert len(boxes) == 3
    assert all(below.y1 <= above.y0 for below, above in pairwise(boxes))


def test_equal_measurements_have_a_bias_and_no_limits_to_tell_apart() -> None:
    figure = figures.bland_altman_plot(bland_altman({"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 2.0}, quantity="volume", unit="cm³"))
    assert "limit" not in texts(figure)


def a_scan(name: str, *, lesion: bool, scores: Sequence[float]) -> Scan:
    """The first score is on the lesion where there is one."""
    lesions = [box((4, 4, 4), (5, 5, 5))] if lesion else []
    found = [box((5, 5, 5), (5, 5, 5)) if lesion and not n else box((14 + 5 * n, 20, 12), (3, 3, 3)) for n in range(len(scores))]
    return Scan(name, match(lesions_of(found, scores=scores), lesions_of(lesions), rule=Overlap()))


@pytest.fixture(scope="module")
def scans() -> list[Scan]:
    return [
        a_scan("a", lesion=True, scores=[0.9, 0.3]),
        a_scan("b", lesion=True, scores=[0.4]),
        a_scan("c", lesion=True, scores=[]),
        a_scan("d", lesion=False, scores=[0.5]),
        a_scan("e", lesion=False, scores=[]),
    ]


def test_the_confusion_table_holds_counts_shares_and_intervals(scans: list[Scan]) -> None:
    figure = figures.confusion_plot(detection_in(scans))
    said = texts(figure)
    for what in ("67 %", "33 %", "50 %", "sensitivity 2 of 3", "specificity 1 of 2", "physician", "machine"):
        assert what in said, what


def test_the_froc_curve_ends_where_the_machine_does(scans: list[Scan]) -> None:
    curve = froc(scans)
    figure = figures.froc_plot(curve)
    axes = figure.axes[0]
    assert "false positives per scan" in texts(figure)
    assert "any overlap" in texts(figure)
    assert axes.get_xlim()[1] < 1, "two false lesions in five scans are 0.4 per scan"
    assert max(axes.lines[-1].get_ydata()) == pytest.approx(2 / 3)


def test_a_long_rule_stays_within_the_froc_figure(scans: list[Scan]) -> None:
    rule = "overlap of at least 10 % of the machine's lesion and together 10 % of the physician's"
    figure = figures.froc_plot(replace(froc(scans), rule=rule))
    figure.draw_without_rendering()
    title = figure.axes[0]._left_title  # type: ignore[attr-defined]
    assert "physician" in title.get_text()
    assert title.get_window_extent().x1 <= figure.bbox.x1


def test_overlays_show_each_case_in_two_planes() -> None:
    ct = Volume(np.zeros(GRID.shape, np.int16), GRID)
    physician, machine = box((10, 8, 5), (8, 8, 6)), box((12, 8, 5), (8, 8, 6))
    cases = [figures.Case(f"{name}, DSC 0.75", ct, machine, physician) for name in ("worst", "best")]
    figure = figures.case_overlays(cases)
    assert len(figure.axes) == 4
    assert all(len(axes.collections) == 2 for axes in figure.axes), "two contours"
    assert "worst, DSC 0.75" in texts(figure)
    assert "physician" in texts(figure)


def test_a_case_whose_machine_found_nothing_shows_the_physicians_contour() -> None:
    ct = Volume(np.zeros(GRID.shape, np.int16), GRID)
    figure = figures.case_overlays([figures.Case("missed", ct, empty(), box((10, 8, 5), (8, 8, 6)))])
    figure.draw_without_rendering()
    assert all(len(axes.collections) == 1 for axes in figure.axes)
    with pytest.raises(InputError, match="missed"):
        figures.Case("missed", ct, empty(), empty())
