"""Two phases of the same images are named, those that merely look alike are not."""

from dataclasses import replace

import numpy as np
import pytest

from rt4d.motion.quality.duplicates import duplicate_check
from rt4d.motion.quality.surroundings import surroundings
from rt4d.phases import FourDCT
from rt4d.volumes import Volume
from tests.motion.quality.make import cycle


@pytest.fixture(scope="module")
def case():
    scene, g, motion, gtv = cycle(("00", "40", "50", "60"))
    return scene.four_d_ct(g), motion, gtv


def with_images(ct, label, hu):
    changed = (replace(phase, volume=Volume(hu, ct.geometry)) if phase.label == label else phase for phase in ct)
    return FourDCT(tuple(changed), ct.reference_label)


def found(ct, motion, gtv):
    return duplicate_check(motion, ct, surroundings(motion, ct.reference.volume, gtv))


def test_phases_that_lie_alike_but_were_imaged_twice_pass(case):
    check = found(*case)
    assert check.verdict == "pass"
    assert 0.9 < check.value < 0.999


@pytest.mark.parametrize("changed_by", [0, 1])
def test_a_phase_copied_from_another_fails(case, changed_by):
    ct, motion, gtv = case
    check = found(with_images(ct, "60", ct["00"].volume.hu + np.int16(changed_by)), motion, gtv)
    assert (check.phase, check.verdict) == ("60", "fail")
    assert "00 and 60" in check.sentence


def test_a_copy_of_the_reference_fails(case):
    ct, motion, gtv = case
    assert found(with_images(ct, "40", ct["50"].volume.hu), motion, gtv).verdict == "fail"


def test_phases_that_were_drawn_are_the_same_images_too(case):
    ct, motion, gtv = case
    near = surroundings(motion, ct.reference.volume, gtv)
    drawn = replace(motion, fields={}, skipped=frozenset(motion.fields))
    assert duplicate_check(drawn, ct, near) == duplicate_check(motion, ct, near)
