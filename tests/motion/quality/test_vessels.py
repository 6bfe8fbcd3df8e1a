"""Distinctive points of the lung are found again where the field is sound, off by the error where it is not, and said to be too few."""

import numpy as np
import pytest

from rt4d.motion.quality.vessels import FEWEST, landmarks, residuals_mm, vessel_check
from rt4d.volumes import Volume
from tests.conftest import POSES
from tests.motion.make import grid
from tests.motion.quality.make import cycle, with_field
from tests.motion.test_motion import known_motion, scene_on


@pytest.fixture(scope="module")
def case():
    scene, g, motion, gtv = cycle(("00", "50", "80"))
    ct = scene.four_d_ct(g)
    return ct, motion, gtv, landmarks(motion, ct.reference.volume, gtv)


def test_points_lie_in_lung_near_the_target(case):
    _, _, gtv, points = case
    at = points.geometry.to_patient(points.index[:, ::-1].astype(float))
    assert FEWEST < len(at) <= 50
    assert (np.linalg.norm(at - np.array(gtv.centroid_mm), axis=1) > 11).all()
    assert (np.linalg.norm(at - np.array(gtv.centroid_mm), axis=1) < 11 + 26).all()


def test_a_sound_field_leaves_next_to_nothing(case):
    ct, motion, _, points = case
    for label in ("00", "80"):
        check = vessel_check(motion, label, ct[label].volume, points)
        assert check.verdict == "pass"
        assert check.value < 0.7
        assert "distinctive points" in check.sentence


@pytest.mark.parametrize("off_mm", [(0, 0, 3), (-3, 0, 0), (0, 3, 0), (2, 2, -2), (0, 0, -5.5)])
def test_a_field_three_millimetres_off_fails_and_the_error_is_measured(case, off_mm):
    ct, motion, _, points = case
    wrong = with_field(motion, "00", motion.fields["00"].vectors_mm + np.array(off_mm))
    check = vessel_check(wrong, "00", ct["00"].volume, points)
    assert check.verdict == "fail"
    assert check.value == pytest.approx(np.linalg.norm(off_mm), abs=0.7)
    way = np.median(residuals_mm(wrong, "00", ct["00"].volume, points), axis=0)
    np.testing.assert_allclose(way, -np.array(off_mm), atol=0.7)


def test_points_are_found_on_an_oblique_grid():
    g = grid(direction=POSES["oblique"])
    scene = scene_on(g)
    motion, ct = known_motion(scene, g), scene.four_d_ct(g)
    points = landmarks(motion, ct.reference.volume, scene.tumour("50", g))
    check = vessel_check(motion, "00", ct["00"].volume, points)
    assert check.verdict == "pass"
    assert check.value < 0.8


def test_a_target_without_lung_around_it_has_too_few_points_and_says_so(case):
    ct, motion, gtv, _ = case
    soft = Volume(ct.reference.volume.hu // 10 + 40, ct.geometry)
    check = vessel_check(motion, "00", ct["00"].volume, landmarks(motion, soft, gtv))
    assert (check.value, check.verdict) == (None, "pass")
    assert "0 of 0" in check.sentence
    assert "too few" in check.sentence


def test_noise_is_not_taken_for_vessels(case):
    ct, motion, gtv, _ = case
    noise = np.random.default_rng(1).normal(-750, 25, ct.geometry.shape)
    points = landmarks(motion, Volume(noise.astype(np.int16), ct.geometry), gtv)
    other = np.random.default_rng(2).normal(-750, 25, ct.geometry.shape)
    assert vessel_check(motion, "00", Volume(other.astype(np.int16), ct.geometry), points).value is None
