"""Soft tissue is stretched by how much of it lies around the target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rt4d.geometry import Geometry
from rt4d.motion.contrast import SOFT_TISSUE_HU, soft_tissue_gain, stretched
from rt4d.motion.jobs import prepared
from rt4d.motion.recipe import Recipe, read_recipe
from rt4d.volumes import Mask, Volume

GRID = Geometry((60, 60, 20), (1.0, 1.0, 3.0), (0.0, 0.0, 0.0), frame_of_reference="1.2")
EIGHTFOLD = replace(read_recipe("lung_focus"), soft_tissue_gain=8.0)


def sphere_at(x: float) -> Mask:
    return Mask(((GRID.centres() - np.array([x, 30.0, 30.0])) ** 2).sum(-1) < 8.0**2, GRID)


def half_lung_half_tissue() -> Volume:
    return Volume(np.where(GRID.centres()[..., 0] < 30, -800, 40).astype(np.int16), GRID)


@pytest.mark.parametrize(("x", "gain"), [(11.0, 1.0), (49.0, 8.0)])
def test_gain_is_one_in_lung_and_the_recipes_in_soft_tissue(x: float, gain: float) -> None:
    assert soft_tissue_gain(half_lung_half_tissue(), sphere_at(x), EIGHTFOLD) == pytest.approx(gain)


def test_gain_is_half_way_where_half_of_the_surroundings_are_soft_tissue() -> None:
    assert soft_tissue_gain(half_lung_half_tissue(), sphere_at(29.5), EIGHTFOLD) == pytest.approx(4.5, abs=0.1)


def test_the_tumour_itself_does_not_count_as_its_surroundings() -> None:
    image = half_lung_half_tissue()
    target = sphere_at(11.0)
    with_tumour = Volume(np.where(target.inside, 40, image.hu).astype(np.int16), GRID)
    assert soft_tissue_gain(with_tumour, target, EIGHTFOLD) == 1.0


def test_a_target_that_fills_the_image_has_no_surroundings() -> None:
    everything = Mask(np.ones(GRID.shape, dtype=bool), GRID)
    assert soft_tissue_gain(half_lung_half_tissue(), everything, EIGHTFOLD) == 1.0


def test_without_a_target_nothing_is_stretched() -> None:
    assert soft_tissue_gain(half_lung_half_tissue(), None, EIGHTFOLD) == 1.0


def test_lung_stays_and_soft_tissue_is_stretched_without_a_step() -> None:
    hu = np.array([-1000.0, -600.0, SOFT_TISSUE_HU, SOFT_TISSUE_HU + 1, 50.0], dtype=np.float32)
    np.testing.assert_allclose(stretched(hu, 3.0), [-1000.0, -600.0, SOFT_TISSUE_HU, SOFT_TISSUE_HU + 3, 450.0])


def test_what_elastix_is_given_is_clipped_before_it_is_stretched() -> None:
    image = Volume(np.full(GRID.shape, 1000, dtype=np.int16), GRID)
    recipe: Recipe = replace(EIGHTFOLD, clip_hu=(-1000.0, 250.0))
    assert np.all(prepared(image, recipe, soft_tissue_gain=2.0).hu == SOFT_TISSUE_HU + 2 * (250 - SOFT_TISSUE_HU))
