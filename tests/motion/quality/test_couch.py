"""A couch that moved between phases is told by the bones; breathing is not taken for one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rt4d import phantom
from rt4d.motion import DisplacementField, Motion, read_recipe
from rt4d.motion.quality.couch import bone_checks
from rt4d.phases import FourDCT
from rt4d.volumes import Volume


@pytest.fixture(scope="module")
def breathing():
    return phantom.make_4dct(size=(110, 86, 62), spacing_mm=(3.0, 3.0, 4.0), phases=("00", "50"), amplitude_mm=(1.0, 5.0, 20.0), seed=5).ct


def checked(ct):
    region = ct.geometry.crop((0, 0, 0), (2, 2, 2))
    still = DisplacementField(np.zeros((2, 2, 2, 3), dtype=np.float32), region)
    return bone_checks(Motion("50", ct.labels, {"00": still}, {}, ct.geometry, region, read_recipe("lung_focus")), ct)["00"]


def with_phase(ct, hu):
    return FourDCT(tuple(replace(p, volume=Volume(hu, ct.geometry)) if p.label == "00" else p for p in ct), "50")


def test_breathing_by_20_mm_leaves_the_bones_where_they_are(breathing):
    check = checked(breathing)
    assert check.verdict == "pass"
    assert check.value < 4.0


@pytest.mark.parametrize(("slices", "columns"), [(7, 0), (-7, 0), (0, 4), (3, 3)])
def test_a_couch_that_moved_is_told_with_its_direction(breathing, slices, columns):
    hu = np.roll(breathing["00"].volume.hu, (slices, columns), axis=(0, 2))
    check = checked(with_phase(breathing, hu))
    assert (check.name, check.verdict) == ("bones_shift_mm", "fail")
    assert check.value == pytest.approx(np.hypot(4.0 * slices, 3.0 * columns), abs=4.0)
    said = float(check.sentence.split("z ")[1].split(" ")[0])
    assert said == pytest.approx(4.0 * slices, abs=2.5)


def test_slices_further_apart_than_they_say_are_told(breathing):
    hu = breathing["00"].volume.hu
    at = np.clip(np.rint((np.arange(len(hu)) - 30) * 1.2 + 30).astype(int), 0, len(hu) - 1)
    assert checked(with_phase(breathing, hu[at])).verdict == "fail"


def test_a_stack_put_together_from_two_couch_positions_is_told(breathing):
    hu = breathing["00"].volume.hu.copy()
    hu[31:] = np.roll(hu, 5, axis=0)[31:]
    assert checked(with_phase(breathing, hu)).verdict == "fail"


@pytest.mark.parametrize("half", [slice(None, 44), slice(18, None)], ids=["lower", "upper"])
def test_a_phase_without_bones_in_and_near_one_half_fails(breathing, half):
    hu = breathing["00"].volume.hu.copy()
    hu[half] = -1000
    check = checked(with_phase(breathing, hu))
    assert check.verdict == "fail"
    assert np.isnan(check.value)


def test_without_bones_nothing_is_said_of_the_couch(breathing):
    soft = FourDCT(tuple(replace(p, volume=Volume(np.minimum(p.volume.hu, 100), breathing.geometry)) for p in breathing), "50")
    check = checked(soft)
    assert (check.value, check.verdict) == (None, "pass")
    assert "too little bone" in check.sentence
