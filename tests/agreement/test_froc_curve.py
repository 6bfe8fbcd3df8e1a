"""The FROC curve against MONAI's, a closed form, and pictures with tied scores."""

from __future__ import annotations

import json

import numpy as np
import pytest
from monai.metrics.froc import compute_froc_curve_data

from rt4d.agreement.detection import Scan, Stratum
from rt4d.agreement.froc_curve import froc
from rt4d.agreement.lesions import lesions_in, lesions_of
from rt4d.agreement.matching import IouAtLeast, Overlap, match
from rt4d.errors import InputError
from tests.agreement.make import box, together

PLACES = [(x, y, 4) for x in (2, 10, 18, 26) for y in (2, 10, 18)]
"""Where a lesion may be; none touches another."""


def scan(name, drawn, marked, scores):
    """Lesions drawn at some places, marked at others with their scores."""
    masks = {place: box(place, (4, 4, 4)) for place in {*drawn, *marked}}
    physician = lesions_of([masks[place] for place in drawn])
    return Scan(name, match(lesions_of([masks[place] for place in marked], scores=scores), physician, rule=Overlap()))


def random_scans(seed, *, count=12, ties=False):
    rng = np.random.default_rng(seed)
    scans = []
    for n in range(count):
        order = [PLACES[i] for i in rng.permutation(len(PLACES))]
        drawn, marked = order[: rng.integers(0, 4)], [place for place in PLACES if rng.random() < 0.5]
        scores = [float(rng.integers(1, 5)) if ties else float(rng.random()) for _ in marked]
        scans.append(scan(f"P{n}", drawn, marked, scores))
    return scans


@pytest.mark.parametrize("ties", [False, True])
def test_the_curve_is_monais(ties):
    """MONAI leaves out the lowest score, at which all lesions are in, and adds the point where none is."""
    scans = random_scans(3, ties=ties)
    false = [one.score for each in scans for one in each.matching.false_positive]
    true = [one.score for each in scans for one in each.matching.true_positive]
    drawn = sum(len(each.matching.physician) for each in scans)
    theirs = np.stack(compute_froc_curve_data(np.array(false), np.array(true), drawn, len(scans)), axis=1)
    curve = froc(scans)
    mine = np.stack([curve.false_positives_per_scan, curve.sensitivity], axis=1)
    assert mine[:-1] == pytest.approx(theirs[-2::-1] if theirs[-1].sum() == 0 else theirs[::-1])
    assert mine[-1] == pytest.approx([len(false) / len(scans), len(true) / drawn])


def test_lesions_of_one_score_come_in_together():
    """One true and one false of the same score: no threshold gives the one without the other."""
    curve = froc([scan("P1", [PLACES[0]], [PLACES[0], PLACES[5]], [0.7, 0.7])])
    assert curve.thresholds.tolist() == [0.7]
    assert curve.sensitivity.tolist() == [1.0]
    assert curve.false_positives_per_scan.tolist() == [1.0]
    assert curve.sensitivity_at(0.5) == 0
    assert curve.sensitivity_at(1) == 1


def test_sensitivity_is_that_of_points_that_a_threshold_gives():
    curve = froc([scan("P1", PLACES[:2], [PLACES[0], PLACES[5], PLACES[1], PLACES[6]], [0.9, 0.8, 0.7, 0.6]), scan("P2", [], [], [])])
    assert curve.false_positives_per_scan.tolist() == [0, 0.5, 0.5, 1]
    assert curve.sensitivity.tolist() == [0.5, 0.5, 1, 1]
    assert [curve.sensitivity_at(rate) for rate in (1 / 8, 1 / 2, 8)] == [0.5, 1.0, 1.0]
    assert curve.mean_sensitivity == pytest.approx((0.5 + 0.5 + 5) / 7)


def test_a_machine_that_marks_nothing_finds_nothing_at_any_rate():
    curve = froc([scan("P1", PLACES[:2], [], []), scan("P2", PLACES[:1], [], [])])
    assert curve.sensitivity_at(8) == 0
    assert curve.interval_at(8) == (0, 0)
    assert "0.00 false positives per scan" in str(curve)


def test_one_to_one_is_matched_anew_at_each_score():
    """The worse of two marks on a lesion has the higher score: it is the partner until the better one comes in, and false from then on."""
    marks = lesions_of([box((5, 5, 5), (10, 8, 6)), box((8, 5, 5), (10, 8, 6))], scores=[0.3, 0.6])
    curve = froc([Scan("P1", match(marks, lesions_in(box((5, 5, 5), (10, 8, 6))), rule=IouAtLeast(0.3)))])
    assert curve.sensitivity.tolist() == [1, 1]
    assert curve.false_positives_per_scan.tolist() == [0, 1]


def test_intervals_hold_the_value_and_narrow_with_more_patients():
    few, many = froc(random_scans(5, count=8)), froc(random_scans(6, count=40))
    widths = []
    for curve in (few, many):
        low, high = curve.interval_at(2.0, repetitions=200)
        assert low <= curve.sensitivity_at(2.0) <= high
        widths.append(high - low)
    assert widths[1] < widths[0]


def test_a_curve_of_measurable_lesions_leaves_out_small_ones_of_both():
    small = box((30, 20, 12), (2, 2, 2))
    machine = lesions_of([box(PLACES[0], (12, 4, 4)), small], scores=[0.5, 0.9])
    physician = lesions_in(together(box(PLACES[0], (12, 4, 4)), box((2, 20, 12), (2, 2, 2))))
    curve = froc([Scan("P1", match(machine, physician, rule=Overlap()))], stratum=Stratum("longest_axis_mm", 10))
    assert curve.sensitivity[-1] == 1
    assert curve.false_positives_per_scan[-1] == 0


def test_the_curve_is_printed_with_its_rule_and_is_json():
    curve = froc(random_scans(3))
    assert "A lesion is found by: any overlap" in str(curve)
    assert "0.125" in str(curve)
    assert json.loads(json.dumps(curve.to_dict()))["at"][0]["rate"] == 0.125


def test_without_scores_or_lesions_there_is_no_curve():
    lesions = lesions_in(box(PLACES[0], (4, 4, 4)))
    with pytest.raises(InputError, match="score"):
        froc([Scan("P1", match(lesions, lesions, rule=Overlap()))])
    with pytest.raises(InputError, match="lesions to find"):
        froc([scan("P1", [], PLACES[:1], [0.5])])
