"""Simulated observers: physicians who vary about the truth, a machine that is one of them and one that is not."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from rt4d.agreement.consensus import majority, staple
from rt4d.agreement.observers import Observer, all_pairs, leave_one_out, missing_contours
from rt4d.errors import GeometryError, InputError
from rt4d.geometry import Geometry
from rt4d.volumes import Mask
from tests.agreement.make import ball

GRID = Geometry((32, 32, 16), (1.0, 1.0, 2.0), (-15.5, -15.5, -15.0), frame_of_reference="1.2.3")
NET = Observer("net", "machine")
PHYSICIANS = tuple(Observer(name) for name in "ABCDE")


def study(patients=3, *, physicians=PHYSICIANS, shrink_mm=0.0, seed=0):
    """Every observer draws a ball of 8 mm, moved and scaled by 0.4 mm (SD); the machine likewise, and smaller by some mm."""
    rng = np.random.default_rng(seed)
    return {
        f"P{n}": {who: ball(rng.normal(0, 0.4, 3), 8 - shrink_mm * (who == NET) + rng.normal(0, 0.4), GRID) for who in (*physicians, NET)}
        for n in range(patients)
    }


def kinds(pairs):
    found = [pair.kind for pair in pairs.pairs]
    return {kind: found.count(kind) for kind in set(found)}


def test_five_physicians_and_a_machine_have_fifteen_pairs():
    found = all_pairs(study(2))
    assert kinds(found) == {"machine-physician": 10, "physician-physician": 20}
    assert all(row["machine"] == "net" for row in found.rows if row["pair"] == "machine-physician")
    assert found.missing == found.left_out == {}


def test_a_row_is_the_comparison_of_the_whole_masks():
    contours = study(1)
    (row,) = [row for row in all_pairs(contours).rows if (row["machine"], row["physician"]) == ("A", "B")]
    a, b = contours["P0"][PHYSICIANS[0]], contours["P0"][PHYSICIANS[1]]
    assert row["dice"] == pytest.approx(2 * (a & b).volume_cm3 / (a.volume_cm3 + b.volume_cm3))
    assert row["volume_machine_cm3"] == pytest.approx(a.volume_cm3)
    assert row["false_positive_cm3"] == pytest.approx((a - b).volume_cm3)
    assert row["patient"] == "P0"


def test_rows_make_a_table_with_a_row_for_each_pair():
    table = all_pairs(study(2)).table()
    assert len(table) == 30
    assert table.groupby("patient")["dice"].median().between(0.7, 1).all()


def test_repeats_are_compared_within_their_observer_only():
    contours = study(2)
    again = Observer("A", repeat=2)
    for drawn in contours.values():
        drawn[again] = drawn[PHYSICIANS[0]]
    found = all_pairs(contours)
    assert kinds(found) == {"machine-physician": 10, "physician-physician": 20, "intra-observer": 2}
    (one, _) = [pair for pair in found.pairs if pair.kind == "intra-observer"]
    assert (one.comparison.machine, one.comparison.physician, one.comparison.dice) == ("A", "A (repeat 2)", 1.0)


def test_missing_contours_are_named_and_the_other_pairs_are_kept():
    contours = study(3)
    contours["P1"][PHYSICIANS[2]] = None
    del contours["P1"][NET]
    contours["P2"] = {PHYSICIANS[0]: contours["P2"][PHYSICIANS[0]]}
    found = all_pairs(contours)
    assert found.missing == {"P1": ("C", "net"), "P2": ("B", "C", "D", "E", "net")}
    assert found.left_out == {"P2": "1 contour: no pair"}
    assert len([pair for pair in found.pairs if pair.patient == "P1"]) == 6
    assert "missing: P1 has no contour of C, net" in str(found)
    assert "left out: P2 (1 contour: no pair)" in str(found)


def test_an_empty_contour_is_a_miss_and_not_a_missing_contour():
    contours = study(1)
    contours["P0"][NET] = Mask(np.zeros(GRID.shape, bool), GRID)
    found = all_pairs(contours)
    assert {row["dice"] for row in found.rows if row["machine"] == "net"} == {0.0}
    assert {row["hd95_mm"] for row in found.rows if row["machine"] == "net"} == {None}
    assert found.missing == {}
    json.dumps(found.rows, allow_nan=False)


def test_where_nobody_drew_anything_agreement_is_undefined_and_said_so():
    nothing = Mask(np.zeros(GRID.shape, bool), GRID)
    text = str(all_pairs({"P0": dict.fromkeys((*PHYSICIANS[:2], NET), nothing)}))
    assert "DSC undefined" in text


@pytest.mark.parametrize("method", [staple, majority])
def test_each_physician_meets_the_consensus_of_the_others_and_the_machine_all_of_these(method):
    contours = study(1)
    found = leave_one_out(contours, consensus=method)
    assert kinds(found) == {"physician-consensus": 5, "machine-consensus": 5}
    others = {str(who): mask for who, mask in contours["P0"].items() if who not in (NET, PHYSICIANS[0])}
    truth, own = method(others).mask, contours["P0"][PHYSICIANS[0]]
    (row,) = [row for row in found.rows if row["machine"] == "A"]
    assert row["dice"] == pytest.approx(2 * (truth & own).volume_cm3 / (truth.volume_cm3 + own.volume_cm3))
    assert (row["physician"], row["without"], row["pair"]) == ("consensus without A", "A", "physician-consensus")
    assert {row["without"] for row in found.rows if row["machine"] == "net"} == set("ABCDE")


def test_two_physicians_have_no_consensus_of_the_others():
    contours = study(2)
    for who in PHYSICIANS[2:]:
        contours["P1"][who] = None
    found = leave_one_out(contours)
    assert found.left_out == {"P1": "contours of 2 physicians, three are needed"}
    assert {pair.patient for pair in found.pairs} == {"P0"}


def test_a_consensus_of_different_grids_is_refused_by_name():
    contours = study(1)
    shifted = replace(GRID, origin_mm=(-14.0, -15.5, -15.0))
    contours["P0"][PHYSICIANS[3]] = Mask(contours["P0"][PHYSICIANS[3]].inside, shifted)
    with pytest.raises(GeometryError, match=r"one grid \(B and D\)"):
        leave_one_out(contours)
    assert len(all_pairs(contours).pairs) == 15


def test_observers_that_make_no_sense_are_refused():
    for wrong in ({"name": ""}, {"name": "A", "kind": "student"}, {"name": "A", "repeat": 0}):
        with pytest.raises(InputError):
            Observer(**wrong)
    with pytest.raises(InputError, match="bear one name"):
        missing_contours({"P0": {Observer("A"): None, Observer("A", "machine"): None}})
    with pytest.raises(InputError, match="no patients"):
        all_pairs({})
