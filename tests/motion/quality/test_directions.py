"""There and back: two registrations that agree pass, one that went wrong fails, and where there is none it is said."""

from dataclasses import replace

import numpy as np
import pytest

from rt4d.motion import DisplacementField
from rt4d.motion.quality.directions import direction_check
from tests.motion.quality.make import cycle, with_field


@pytest.fixture(scope="module")
def case():
    scene, _, motion, gtv = cycle(("00", "50", "80"))
    y = motion.region.centres()
    back = {label: DisplacementField((scene.phase_to_reference(label, y) - y).astype(np.float32), motion.region) for label in motion.fields}
    return replace(motion, back=back), gtv


def test_two_registrations_that_agree_pass(case):
    motion, gtv = case
    for label in motion.fields:
        check = direction_check(motion, label, gtv)
        assert (check.name, check.verdict) == ("both_directions_mm", "pass")
        assert check.value < 0.2


def test_one_that_went_wrong_fails_by_how_far(case):
    motion, gtv = case
    check = direction_check(with_field(motion, "00", motion.fields["00"].vectors_mm + np.array((0, 0, 4))), "00", gtv)
    assert check.verdict == "fail"
    assert check.value == pytest.approx(4, abs=1)


def test_none_in_the_other_direction_is_no_failure_and_said(case):
    motion, gtv = case
    check = direction_check(replace(motion, back={}), "00", gtv)
    assert (check.value, check.verdict) == (None, "pass")
    assert "not registered in the other direction" in check.sentence


def test_one_that_failed_is_a_failure_with_its_reason(case):
    motion, gtv = case
    check = direction_check(replace(motion, back={}, back_failed={"00": "diverged"}), "00", gtv)
    assert (check.value, check.verdict) == (None, "fail")
    assert "diverged" in check.sentence


def test_a_target_that_comes_to_lie_outside_fails(case):
    motion, gtv = case
    part = motion.back["00"].crop((0, 0, 0), (6, 6, 6))
    check = direction_check(replace(motion, back={"00": part}), "00", gtv)
    assert check.verdict == "fail"
    assert "outside" in check.sentence
