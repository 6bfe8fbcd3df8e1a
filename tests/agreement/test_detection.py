"""Detection over sets of scans whose counts are known."""

from __future__ import annotations

import json

import pytest
from scipy import stats

from rt4d.agreement.detection import ALL, BY_VOLUME, Confusion, Scan, Stratum, detection_in
from rt4d.agreement.lesions import lesions_in
from rt4d.agreement.matching import IouAtLeast, Overlap, match
from rt4d.errors import InputError
from tests.agreement.make import box, empty, together

LARGE, SMALL, ELSEWHERE = box((5, 5, 5), (12, 6, 4)), box((25, 5, 5), (3, 2, 2)), box((25, 20, 12), (12, 6, 4))

ANY = Overlap()


def scan(name, machine, physician, *, rule=ANY, patient=""):
    return Scan(name, match(lesions_in(machine), lesions_in(physician), rule=rule), patient)


def three_scans():
    return [
        scan("P1", together(LARGE, ELSEWHERE), together(LARGE, SMALL)),
        scan("P2", SMALL, together(SMALL)),
        scan("P3", empty(), LARGE),
        scan("P4", empty(), empty()),
        scan("P5", SMALL, empty()),
    ]


def test_lesions_are_counted_over_scans_and_by_size():
    found = detection_in(three_scans())
    everything, measurable, small = found.lesions
    assert (everything.sensitivity.successes, everything.sensitivity.trials) == (2, 4)
    assert (everything.precision.successes, everything.precision.trials) == (2, 4)
    assert everything.false_positives_per_scan == 2 / 5
    assert (measurable.sensitivity.successes, measurable.sensitivity.trials, measurable.false_positives) == (1, 2, 1)
    assert (small.sensitivity.successes, small.sensitivity.trials, small.false_positives) == (1, 2, 1)
    assert str(measurable.stratum) == "longest axis ≥ 10 mm"


def test_scans_are_counted_by_whether_a_lesion_was_found():
    confusion = detection_in(three_scans()).confusion
    assert confusion == Confusion(found=2, missed=1, false_alarm=1, rightly_clear=1)


def test_marks_elsewhere_do_not_find_a_scans_lesion():
    assert detection_in([scan("P1", ELSEWHERE, LARGE)]).confusion == Confusion(0, 1, 0, 0)


def test_a_published_table_comes_out_with_its_intervals():
    """Kashyap, Radiology 2025: 92 of 100 scans with a tumour found, 41 of 50 without one clear."""
    hit, miss = match(lesions_in(LARGE), lesions_in(LARGE), rule=Overlap()), match((), lesions_in(LARGE), rule=Overlap())
    alarm, clear = match(lesions_in(LARGE), (), rule=Overlap()), match((), (), rule=Overlap())
    matchings = [hit] * 92 + [miss] * 8 + [alarm] * 9 + [clear] * 41
    found = detection_in([Scan(f"P{n}", each) for n, each in enumerate(matchings)])
    assert found.confusion.sensitivity.interval() == pytest.approx((0.848, 0.965), abs=5e-4)
    assert found.confusion.specificity.interval() == pytest.approx((0.686, 0.914), abs=5e-4)
    text = str(found)
    for said in ("any overlap", "92 (92 %)", "9 (18 %)", "41 (82 %)", "0.82 (0.69–0.91)", "150 scans of 150 patients"):
        assert said in text
    per_scan = 9 / 150
    low, high = found.lesions[0].false_positive_interval
    assert (low, high) == pytest.approx(stats.binom.ppf([0.025, 0.975], 150, per_scan) / 150, abs=1.01 / 150)


def test_scans_of_one_patient_are_drawn_together():
    """Ten phases of each patient say no more than one: the interval by patient is wider than by scan."""
    hit, miss = match(lesions_in(LARGE), lesions_in(LARGE), rule=Overlap()), match((), lesions_in(LARGE), rule=Overlap())
    named = [(f"P{n} {phase}", f"P{n}", hit if n < 6 else miss) for n in range(10) for phase in range(10)]
    by_patient = detection_in([Scan(name, each, patient) for name, patient, each in named]).lesions[0].sensitivity_by_patient
    by_scan = detection_in([Scan(name, each) for name, _, each in named]).lesions[0].sensitivity_by_patient
    assert by_patient[1] - by_patient[0] > 2.5 * (by_scan[1] - by_scan[0])


def test_strata_by_volume_hold_every_lesion_once():
    found = detection_in(three_scans(), strata=BY_VOLUME)
    assert sum(each.sensitivity.trials for each in found.lesions[1:]) == found.lesions[0].sensitivity.trials
    assert sum(each.false_positives for each in found.lesions[1:]) == found.lesions[0].false_positives
    assert [str(each) for each in BY_VOLUME[1:]] == ["volume 1 to 5 cm³", "volume 5 to 30 cm³", "volume 30 to 100 cm³", "volume ≥ 100 cm³"]


def test_a_bound_belongs_to_the_upper_stratum():
    (nine,) = lesions_in(box((1, 1, 1), (10, 1, 1)))
    assert Stratum("longest_axis_mm", nine.longest_axis_mm).holds(nine)
    assert not Stratum("longest_axis_mm", 0, nine.longest_axis_mm).holds(nine)
    assert ALL.holds(nine)


def test_what_is_left_out_is_named_and_everything_is_json():
    found = detection_in(three_scans(), left_out={"P9": "no physician's contour"})
    assert "left out: P9 (no physician's contour)" in str(found)
    told = json.loads(json.dumps(found.to_dict()))
    assert told["left_out"] == {"P9": "no physician's contour"}
    assert told["by_scan"]["missed"] == 1
    assert told["rule"] == "any overlap"


def test_a_single_scan_has_no_interval_by_patient_and_is_printed_all_the_same():
    found = detection_in([scan("P1", empty(), empty())])
    assert found.lesions[0].sensitivity.value is None
    assert found.lesions[0].sensitivity_by_patient is None
    assert "0 of 0" in str(found)
    json.dumps(found.to_dict())


def test_sets_of_scans_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="needs scans"):
        detection_in([])
    with pytest.raises(InputError, match="twice"):
        detection_in([scan("P1", LARGE, LARGE)] * 2)
    with pytest.raises(InputError, match="one rule"):
        detection_in([scan("P1", LARGE, LARGE), scan("P2", LARGE, LARGE, rule=IouAtLeast(0.1))])
    with pytest.raises(InputError, match="bounds"):
        Stratum("volume_cm3", 5, 5)
