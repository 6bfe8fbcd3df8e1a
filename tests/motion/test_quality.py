"""The checks pass sound registrations and fail sabotaged ones: fields here are known, so nothing is left to the registration's luck."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from rt4d.errors import InputError
from rt4d.motion import DisplacementField
from rt4d.motion.quality import checks, remaining_shift_mm
from rt4d.volumes import Mask
from tests.conftest import POSES
from tests.motion.make import grid
from tests.motion.test_motion import known_motion, scene_on

CYCLE = {"phase_order", "trajectory_outlier_mm", "duplicated_phase"}
NAMES = {
    "jacobian_gtv_p1",
    "jacobian_gtv_p99",
    "jacobian_lung_p1",
    "jacobian_lung_p99",
    "similarity_gain",
    "vessel_residual_mm",
    "both_directions_mm", "bones_shift_mm",
    "jacobian_nonpositive_percent",
    "gtv_volume_change_percent",
    "inverse_residual_mm",
    "similarity",
    "gtv_mean_hu_change",
    "residual_shift_mm",
}


@pytest.fixture(scope="module")
def case():
    g = grid()
    scene = scene_on(g)
    return scene.four_d_ct(g), known_motion(scene, g), scene.tumour("50", g)


def failed(found):
    return {check.name for check in found if check.verdict == "fail"}


def with_field(motion, label, vectors):
    return replace(motion, fields={**motion.fields, label: DisplacementField(np.asarray(vectors, np.float32), motion.region)})


def of_phase(found, label):
    return [check for check in found if check.phase == label]


def test_sound_registrations_pass_every_check(case):
    ct, motion, gtv = case
    found = checks(motion, ct, gtv)
    assert failed(found) == set()
    for label in ("00", "20", "80"):
        assert {check.name for check in of_phase(found, label)} - CYCLE == NAMES
    assert {check.name for check in of_phase(found, "50")} <= CYCLE
    assert sum(check.name in CYCLE for check in found) == 3
    shift = next(check for check in found if check.name == "residual_shift_mm")
    assert shift.value < 0.5
    assert "Phase 00" in shift.sentence


def test_they_pass_on_an_oblique_grid():
    g = grid(direction=POSES["oblique"])
    scene = scene_on(g)
    assert failed(checks(known_motion(scene, g), scene.four_d_ct(g), scene.tumour("50", g))) == set()


def test_the_identity_in_place_of_a_registration_fails(case):
    ct, motion, gtv = case
    found = checks(with_field(motion, "00", np.zeros((*motion.region.shape, 3))), ct, gtv)
    assert {"similarity", "gtv_mean_hu_change", "residual_shift_mm"} <= failed(of_phase(found, "00"))
    assert failed(of_phase(found, "80")) == set()


def test_another_phases_field_fails(case):
    ct, motion, gtv = case
    assert "residual_shift_mm" in failed(of_phase(checks(with_field(motion, "80", motion.fields["00"].vectors_mm), ct, gtv), "80"))


def test_a_field_with_the_sign_wrong_fails(case):
    ct, motion, gtv = case
    assert {"similarity", "residual_shift_mm"} <= failed(checks(with_field(motion, "20", -motion.fields["20"].vectors_mm), ct, gtv))


@pytest.mark.parametrize("off_mm", [(0, 0, 10), (0, 0, 3), (-3, 0, 0), (0, 3, 0)])
def test_a_field_that_is_some_millimetres_off_fails_and_the_shift_is_measured(case, off_mm):
    ct, motion, gtv = case
    found = of_phase(checks(with_field(motion, "00", motion.fields["00"].vectors_mm + np.array(off_mm)), ct, gtv), "00")
    shift = next(check for check in found if check.name == "residual_shift_mm")
    assert shift.verdict == "fail"
    assert shift.value == pytest.approx(min(np.linalg.norm(off_mm), 9), abs=1)


def test_a_folded_field_fails(case):
    ct, motion, gtv = case
    wild = np.random.default_rng(8).normal(size=(*motion.region.shape, 3))
    wild = ndimage.gaussian_filter(wild, (1.5, 1.5, 1.5, 0)) * 60
    found = of_phase(checks(with_field(motion, "00", motion.fields["00"].vectors_mm + wild), ct, gtv), "00")
    assert {"jacobian_nonpositive_percent", "inverse_residual_mm", "similarity"} <= failed(found)


def test_a_target_that_swells_fails(case):
    ct, motion, gtv = case
    outwards = motion.region.centres() - np.array(gtv.centroid_mm)
    found = of_phase(checks(with_field(motion, "00", motion.fields["00"].vectors_mm + 0.2 * outwards), ct, gtv), "00")
    volume = next(check for check in found if check.name == "gtv_volume_change_percent")
    assert volume.verdict == "fail"
    assert volume.value == pytest.approx(100 * (1.2**3 - 1), abs=12)


def test_a_registration_that_failed_is_a_check_that_failed(case):
    ct, motion, gtv = case
    fields = {label: field for label, field in motion.fields.items() if label != "20"}
    found = of_phase(checks(replace(motion, fields=fields, failed={"20": "diverged"}), ct, gtv), "20")
    assert [(check.name, check.verdict, check.value) for check in found] == [("registration", "fail", None)]
    assert "diverged" in found[0].sentence


def test_an_empty_target_is_refused(case):
    ct, motion, gtv = case
    with pytest.raises(InputError, match="empty"):
        checks(motion, ct, Mask(np.zeros_like(gtv.inside), gtv.geometry))


@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (0.4, -0.3, 0.2), (2.0, -1.0, 1.5)])
def test_the_remaining_shift_is_found_to_a_part_of_a_voxel(shift):
    g = grid((40, 40, 40), (1.5, 1.5, 2.0))
    scene = scene_on(g, noise_hu=0.0)
    reference, moved = (ndimage.gaussian_filter(scene.hu(g.centres() - offset), 1.0) for offset in (0.0, np.array(shift)))
    where = np.linalg.norm(g.centres() - scene.centre_mm, axis=-1) < 16
    np.testing.assert_allclose(remaining_shift_mm(reference, moved, where, g), shift, atol=0.3)


def test_an_even_image_has_no_shift():
    g = grid((20, 20, 20))
    flat = np.zeros(g.shape, np.float32)
    where = np.zeros(g.shape, bool)
    where[5:15, 5:15, 5:15] = True
    assert remaining_shift_mm(flat, flat, where, g).tolist() == [0, 0, 0]
