"""Figures of outcomes show the numbers that they are given, with units, and what cannot be shown is refused."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from rt4d import figures
from rt4d.errors import InputError
from rt4d.outcomes import Cohort, cumulative_incidence, hazard_curve, kaplan_meier
from rt4d.outcomes.calibration import CalibrationGroup
from rt4d.outcomes.effects import Effect
from tests.outcomes.made import cohort, simulated

SMALL = cohort([100, 200, 300, 400, 500], [1, 0, 1, 0, 0])


def texts(figure: Figure) -> list[str]:
    """All that a reader finds written in a figure."""
    figure.draw_without_rendering()
    return [text.get_text() for axes in figure.axes for text in axes.findobj(Text) if text.get_text()]


def steps(figure: Figure, n: int = 0) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in np.asarray(figure.axes[0].lines[n].get_xydata())]


def test_survival_falls_where_events_are_and_ticks_mark_who_was_followed_no_further() -> None:
    figure = figures.survival_plot(SMALL, outcome="free of local failure")
    later = pytest.approx(160 / 3)
    assert steps(figure) == [(0, 100), (100, 80), (200, 80), (300, later), (400, later), (500, later)]
    assert steps(figure, 1) == [(200, 80), (400, later), (500, later)]
    said = texts(figure)
    assert "time, days" in said
    assert "free of local failure, % of patients" in said


def test_numbers_at_risk_stand_beneath_round_times() -> None:
    figure = figures.survival_plot(SMALL)
    beneath = [(text.get_position()[0], text.get_text()) for text in figure.axes[1].texts if text.get_text() != "at risk"]
    assert beneath == [(0, "5"), (125, "4"), (250, "3"), (375, "2"), (500, "1")]


def test_long_follow_up_is_told_in_years() -> None:
    figure = figures.survival_plot(cohort([365.25, 731, 1461], [1, 1, 0]))
    assert "time, years" in texts(figure)
    assert [x for x, _ in steps(figure)] == pytest.approx([0, 1, 731 / 365.25, 4])
    assert "time, years" in texts(figures.survival_plot(Cohort(np.array([12.0, 36]), np.array([1, 0]), {}, unit="months")))


def test_groups_have_curves_of_their_own_and_one_without_events_stays_at_all() -> None:
    figure = figures.survival_plot(SMALL, groups=["a", "b", "a", "b", "b"])
    assert steps(figure, 2) == [(0, 100), (500, 100)]
    assert steps(figure)[-1] == (300, 0)
    said = texts(figure)
    assert "log-rank p = 0.062" in said, "R: survdiff(Surv(c(100,200,300,400,500), c(1,0,1,0,0)) ~ c('a','b','a','b','b'))"
    assert {"a", "b"} < set(said)
    with pytest.raises(InputError, match="curves"):
        figures.survival_plot(SMALL, groups=list("abcde"))


def test_incidence_shows_both_events_and_is_refused_where_nothing_competes() -> None:
    both = cohort([100, 200, 300, 400], [1, 2, 1, 0])
    figure = figures.incidence_plot(both, event="local failure", competing="death")
    assert steps(figure) == [(0, 0), (100, 25), (200, 25), (300, 50), (400, 50)]
    assert steps(figure, 1)[2] == (200, 25)
    assert {"local failure", "death", "cumulative incidence, % of patients"} < set(texts(figure))
    with pytest.raises(InputError, match="competing"):
        figures.incidence_plot(SMALL)


def test_bands_are_the_intervals_of_the_curves() -> None:
    made = simulated(60, effect=0.2, competing=True)
    for figure, curve in ((figures.survival_plot(made), kaplan_meier(made)), (figures.incidence_plot(made), cumulative_incidence(made))):
        corners = np.asarray(figure.axes[0].collections[0].get_paths()[0].vertices)[:, 1]
        assert corners.min() == pytest.approx(100 * curve.low.min(), abs=1e-6)
        assert corners.max() == pytest.approx(100 * curve.high.max(), abs=1e-6)


def test_a_forest_tells_every_ratio_with_interval_and_unit() -> None:
    alone, adjusted = Effect(0.2, 0.05, "per cm³"), Effect(0.1, 0.06, "per cm³")
    stage = Effect(0.3, 0.2, "against I")
    figure = figures.forest_plot({"false positive": {"alone": alone, "adjusted": adjusted}, "stage II": {"alone": stage}})
    said = texts(figure)
    assert {"1.22 (1.11 to 1.35), p < 0.001", "1.11 (0.98 to 1.24), p = 0.096", "false positive\nper cm³", "stage II"} < set(said)
    assert said.count("alone") == 2
    assert figure.axes[0].get_xscale() == "log"
    low, high = figure.axes[0].get_xlim()
    assert low < 1 < stage.ci95[1] < high
    with pytest.raises(InputError, match="forest"):
        figures.forest_plot({})


def test_nothing_written_in_a_forest_leaves_the_figure() -> None:
    effects = {"volume that only the machine drew": {"alone": Effect(0.2, 0.05, "per cm³"), "Fine–Gray, adjusted": Effect(0.1, 0.06, "per cm³")}}
    figure = figures.forest_plot(effects)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert min(box.x0 for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= figure.bbox.x1


def test_the_hazard_over_a_covariate_has_its_band_line_and_rug() -> None:
    curve = hazard_curve(simulated(80, effect=0.2), ["false_positive_cm3"], of="false_positive_cm3")
    figure = figures.hazard_plot(curve, name="false-positive volume", unit="cm³")
    assert steps(figure) == list(zip(curve.value.tolist(), curve.ratio.tolist(), strict=True))
    said = " | ".join(texts(figure))
    assert "false-positive volume, cm³" in said
    assert f"hazard against {curve.reference:.3g} cm³" in said
    rug = [len(each.get_paths()) for each in figure.axes[0].collections[1:]]
    assert rug == [int(curve.happened.sum()), int((~curve.happened).sum())]


def test_calibration_tells_groups_and_time() -> None:
    figure = figures.calibration_plot([CalibrationGroup(20, 0.1, 0.0, None), CalibrationGroup(30, 0.4, 0.45, (0.3, 0.6))], until="2 years")
    assert steps(figure, 1) == [(10, 0)]
    assert steps(figure, 2) == [(40, 45)]
    assert {"n = 20", "n = 30", "predicted risk until 2 years, %"} < set(texts(figure))
    with pytest.raises(InputError, match="groups"):
        figures.calibration_plot([], until="2 years")
