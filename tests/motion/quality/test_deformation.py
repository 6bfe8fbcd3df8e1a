"""How the field stretches lung and target: percentiles of the Jacobian within their limits, outside them, and with no lung to look at."""

import numpy as np
import pytest

from rt4d.motion.quality.deformation import deformation_checks
from rt4d.motion.quality.surroundings import surroundings
from rt4d.volumes import Volume
from tests.motion.quality.make import cycle, named, with_field

FOUR = ("jacobian_gtv_p1", "jacobian_gtv_p99", "jacobian_lung_p1", "jacobian_lung_p99")


@pytest.fixture(scope="module")
def case():
    scene, g, motion, gtv = cycle(("00", "50", "80"))
    ct = scene.four_d_ct(g)
    return ct, motion, gtv, surroundings(motion, ct.reference.volume, gtv)


def test_a_sound_field_hardly_changes_volumes(case):
    _, motion, _, near = case
    for label in ("00", "80"):
        found = deformation_checks(motion, label, near)
        assert {check.verdict for check in found} == {"pass"}
        assert all(named(found, name).value == pytest.approx(1, abs=0.4) for name in FOUR)


@pytest.mark.parametrize(
    ("stretch", "name"), [(1.6, "jacobian_gtv_p99"), (0.6, "jacobian_gtv_p1"), (0.5, "jacobian_lung_p1"), (1.7, "jacobian_lung_p99")]
)
def test_a_field_that_swells_or_crushes_fails(case, stretch, name):
    _, motion, gtv, near = case
    vectors = (stretch - 1) * (motion.region.centres() - np.array(gtv.centroid_mm))
    check = named(deformation_checks(with_field(motion, "00", vectors), "00", near), name)
    assert check.verdict == "fail"
    assert check.value == pytest.approx(stretch**3, rel=0.02)


def test_a_local_crease_in_the_lung_is_seen_by_a_percentile_though_the_target_is_sound(case):
    _, motion, gtv, near = case
    x = motion.region.centres() - np.array(gtv.centroid_mm) - (17.0, 0, 0)
    crease = -0.9 * x * np.exp(-(x**2).sum(-1, keepdims=True) / (2 * 6.0**2))
    found = deformation_checks(with_field(motion, "00", motion.fields["00"].vectors_mm + crease), "00", near)
    assert named(found, "jacobian_lung_p1").verdict == "fail", found
    assert named(found, "jacobian_gtv_p1").verdict == "pass"


def test_a_target_without_lung_around_it_says_so(case):
    ct, motion, gtv, _ = case
    near = surroundings(motion, Volume(np.full(ct.geometry.shape, 40, np.int16), ct.geometry), gtv)
    check = named(deformation_checks(motion, "00", near), "jacobian_lung_p1")
    assert (check.value, check.verdict) == (None, "pass")
    assert "no lung around the target" in check.sentence
