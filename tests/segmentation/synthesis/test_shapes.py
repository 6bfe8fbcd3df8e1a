"""Forms keep the volume asked of them, whatever their pose, and are the shapes they were made of."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from rt4d.geometry import Geometry
from rt4d.segmentation.synthesis import MaskShape
from rt4d.segmentation.synthesis.shapes import Form, Pose, any_pose, distance_at, form_of_mask, lobulated, radius_of, share_of


def _volume_cm3(form: Form, pose: Pose, volume_cm3: float) -> float:
    radius = radius_of(volume_cm3)
    n = int(5 * radius / 2.5)
    geometry = Geometry((n, n, n), (2.5,) * 3)
    centre = np.full(3, (n - 1) / 2 * 2.5)
    share = share_of(distance_at(form, pose, radius_mm=radius, centre_mm=centre, geometry=geometry), 2.5)
    return float(share.sum()) * 2.5**3 / 1000


def _ball(spacing_mm: float = 1.5, radius_mm: float = 15.0) -> MaskShape:
    n = int(2.4 * radius_mm / spacing_mm)
    at = (np.indices((n, n, n)) - (n - 1) / 2) * spacing_mm
    return MaskShape("ball", (at**2).sum(axis=0) < radius_mm**2, (spacing_mm,) * 3)


@pytest.mark.parametrize("volume_cm3", [0.5, 5.0, 50.0, 300.0])
def test_the_share_of_a_ball_sums_to_the_volume_asked_for(volume_cm3: float) -> None:
    straight = Pose(np.eye(3), bend=0.0, rough=0.0, seed=0)
    assert _volume_cm3(form_of_mask(_ball(), largest_only=True), straight, volume_cm3) == pytest.approx(volume_cm3, rel=0.06)


@pytest.mark.parametrize("seed", range(4))
def test_a_parametric_form_in_any_pose_has_about_its_volume(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert _volume_cm3(lobulated(rng), any_pose(rng), 40.0) == pytest.approx(40.0, rel=0.3)


def test_distance_to_a_ball_is_the_formulas() -> None:
    geometry = Geometry((31, 31, 31), (2.0,) * 3)
    straight = Pose(np.eye(3), bend=0.0, rough=0.0, seed=0)
    distance = distance_at(form_of_mask(_ball(), largest_only=True), straight, radius_mm=20.0, centre_mm=np.full(3, 30.0), geometry=geometry)
    true = np.linalg.norm(geometry.centres() - 30.0, axis=-1) - 20.0
    near = np.abs(true) < 8
    assert np.abs(distance - true)[near].max() < 1.5


def test_the_smaller_of_two_pieces_is_left_out_on_request() -> None:
    inside = np.zeros((20, 20, 40), dtype=bool)
    inside[5:15, 5:15, 3:15] = True
    inside[6:14, 6:14, 28:36] = True
    shape = MaskShape("two", inside, (1.0, 1.0, 1.0))
    counts = [ndimage.label(form_of_mask(shape, largest_only=alone).distance < 0)[1] for alone in (True, False)]
    assert counts == [1, 2]
