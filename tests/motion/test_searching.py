"""A target is found in a phase as a rigid whole, however far it has moved."""

from __future__ import annotations

import numpy as np
import pytest

from rt4d.geometry import Geometry
from rt4d.motion.searching import target_shift_mm
from rt4d.volumes import Mask, Volume
from tests.conftest import POSES

CLIP = (-1000.0, 250.0)
GRID = Geometry((60, 50, 40), (2.0, 2.0, 3.0), (-60.0, -50.0, -60.0), frame_of_reference="1.2")


def ball(centre: tuple[float, float, float], grid: Geometry = GRID, radius: float = 7.0) -> np.ndarray:
    return ((grid.centres() - np.array(centre)) ** 2).sum(-1) < radius**2


def lung_with(inside: np.ndarray, *, noise_hu: float = 20.0, seed: int = 0) -> Volume:
    noise = np.random.default_rng(seed).normal(0, noise_hu, inside.shape)
    return Volume((np.where(inside, 30, -800) + noise).astype(np.int16), GRID)


@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (4.0, -6.0, -27.0), (-2.0, 2.0, 3.0)])
def test_a_ball_is_found_where_it_went_even_far_beyond_its_own_size(shift):
    here, there = ball((0, 0, 10)), ball(tuple(np.add((0, 0, 10), shift)))
    found = target_shift_mm(lung_with(here), lung_with(there, seed=1), Mask(here, GRID), reach_mm=30.0, clip_hu=CLIP)
    np.testing.assert_allclose(found, shift, atol=2.0)


def test_of_two_places_that_look_the_same_the_nearer_one_is_taken():
    here = ball((0, 0, 0))
    found = target_shift_mm(lung_with(here), lung_with(ball((0, 0, -9)) | ball((0, 0, 21)), seed=1), Mask(here, GRID), reach_mm=30.0, clip_hu=CLIP)
    np.testing.assert_allclose(found, (0, 0, -9), atol=2.0)


def test_an_even_image_moves_nothing():
    here = ball((0, 0, 0))
    even = Volume(np.full(GRID.shape, 40, dtype=np.int16), GRID)
    np.testing.assert_array_equal(target_shift_mm(even, even, Mask(here, GRID), reach_mm=30.0, clip_hu=CLIP), 0.0)


def test_noise_alone_moves_nothing():
    here = ball((0, 0, 0))
    tissue = [Volume(np.random.default_rng(seed).normal(40, 15, GRID.shape).astype(np.int16), GRID) for seed in (1, 2)]
    np.testing.assert_array_equal(target_shift_mm(*tissue, Mask(here, GRID), reach_mm=30.0, clip_hu=CLIP), 0.0)


@pytest.mark.parametrize("pose", POSES)
def test_the_shift_runs_along_the_voxel_axes_however_the_grid_lies(pose):
    grid = Geometry((40, 40, 30), (2.0, 2.0, 3.0), (0.0, 0.0, 0.0), POSES[pose], "1.2")
    index = np.moveaxis(np.indices(grid.shape)[::-1], 0, -1)
    placed = [((index - np.array(middle)) ** 2 * np.array([4, 4, 9])).sum(-1) < 64 for middle in ((20, 20, 15), (22, 17, 10))]
    images = [Volume(np.where(inside, 30, -800).astype(np.int16), grid) for inside in placed]
    found = target_shift_mm(*images, Mask(placed[0], grid), reach_mm=24.0, clip_hu=CLIP)
    np.testing.assert_allclose(found, (4, -6, -15), atol=2.1)


def test_a_target_at_the_edge_of_the_image_is_looked_for_in_what_there_is():
    here, there = ball((0, 0, -57)), ball((0, 0, -45))
    found = target_shift_mm(lung_with(here), lung_with(there, seed=1), Mask(here, GRID), reach_mm=30.0, clip_hu=CLIP)
    np.testing.assert_allclose(found, (0, 0, 12), atol=3.0)
