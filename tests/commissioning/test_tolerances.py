"""Tolerances: every measure has one, each states its source, and a slip in a clinic's file is refused with what was meant."""

from __future__ import annotations

import pytest

from rt4d.commissioning.measures import MEASURES
from rt4d.commissioning.tolerances import DEFAULT, Tolerance, read_tolerances
from rt4d.errors import InputError, NotFoundError


def test_every_measure_has_a_default_that_states_its_source():
    default = read_tolerances()
    assert set(default.by_measure) == set(MEASURES)
    assert all("TG-132" in each.source or "rt4d default" in each.source for each in default.by_measure.values())


def test_the_defaults_are_tg_132_s_where_it_states_one():
    default = read_tolerances()
    assert (default["tre_gtv_mean_mm"].value, default["tre_gtv_max_mm"].value) == (2.0, 5.0)
    assert 0.80 <= default["gtv_dice"].value <= default["itv_dice"].value <= 0.90
    assert default["folding_percent"].value == 0


def test_the_fingerprint_of_a_file_changes_with_it(tmp_path):
    path = tmp_path / "ours.toml"
    path.write_text(DEFAULT.read_text().replace("at_most = 5.0", "at_most = 4.0"))
    ours = read_tolerances(path)
    assert ours["tre_gtv_max_mm"].value == 4.0
    assert ours.sha256 != read_tolerances().sha256


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("[gtv_dice]", "[gtv_dce]", "found gtv_dce. Did you mean gtv_dice"),
        ("at_least = 0.85", "atleast = 0.85", "Did you mean at_least"),
        ("at_least = 0.85", "at_most = 0.85", "expected at_least, unit, source"),
        ("at_least = 0.85", "at_least = true", "found True"),
        ("at_least = 0.85", "at_least = nan", "found nan"),
        ("at_least = 0.85", "at_least = ", "is TOML"),
        ('unit = "%"', 'unit = "mm"', "expected '%', found 'mm'"),
        ('title = "rt4d default"', "", "expected title"),
        ('title = "rt4d default"', 'title = ""', "has a title"),
        ("[centroid_error_mm]", "", "A tolerance|TOML"),
    ],
)
def test_a_slip_is_refused_with_what_was_meant(tmp_path, before, after, message):
    path = tmp_path / "ours.toml"
    path.write_text(DEFAULT.read_text().replace(before, after, 1))
    with pytest.raises(InputError, match=message):
        read_tolerances(path)


def test_a_measure_left_out_is_refused_and_told_where_to_begin(tmp_path):
    text = DEFAULT.read_text()
    path = tmp_path / "ours.toml"
    path.write_text(text[: text.index("[sabotage_missed]")])
    with pytest.raises(InputError, match=r"expected sabotage_missed. Begin with a copy of .*tolerances\.toml"):
        read_tolerances(path)


def test_a_missing_source_is_refused(tmp_path):
    path = tmp_path / "ours.toml"
    path.write_text(DEFAULT.read_text().replace('source = "AAPM TG-132: no negative Jacobian determinants"', 'source = " "'))
    with pytest.raises(InputError, match="states its source"):
        read_tolerances(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(NotFoundError):
        read_tolerances(tmp_path / "none.toml")


def test_verdicts():
    low, high = Tolerance("x", "at_most", 2.0, "mm", "s"), Tolerance("x", "at_least", 0.8, "1", "s")
    assert [low.verdict(v) for v in (2.0, -2.0, 2.1, -2.1, None, float("inf"), float("nan"))] == ["pass"] * 2 + ["fail"] * 5
    assert [high.verdict(v) for v in (0.8, 0.79, None)] == ["pass", "fail", "fail"]
