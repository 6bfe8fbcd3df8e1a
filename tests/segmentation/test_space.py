"""The network's space: against SimpleITK, closed forms and itself, on grids in every pose."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import SimpleITK as sitk

from rt4d.errors import GeometryError, InputError
from rt4d.geometry import Geometry
from rt4d.segmentation.space import Space, click_channel, from_space, grid_for, normalised, resample_hu, share_in_space, to_space
from rt4d.volumes import Mask, Volume
from tests.conftest import POSES

SPACE = Space(spacing_mm=2.5, window_hu=(-1000.0, 400.0))


def image(array: np.ndarray, geometry: Geometry) -> sitk.Image:
    made = sitk.GetImageFromArray(array)
    made.SetSpacing(geometry.spacing_mm)
    made.SetOrigin(geometry.origin_mm)
    made.SetDirection(geometry.direction)
    return made


def ball(geometry: Geometry, centre_mm, radius_mm: float) -> Mask:
    return Mask(np.linalg.norm(geometry.centres() - centre_mm, axis=-1) < radius_mm, geometry)


def middle(geometry: Geometry) -> np.ndarray:
    return geometry.to_patient((np.array(geometry.size) - 1) / 2)


@pytest.mark.parametrize("pose", POSES)
def test_linear_hu_stay_where_they_are_in_every_pose(pose):
    """HU that rise linearly through the patient are met exactly, away from the edges, by averaging and interpolation alike."""
    geometry = Geometry((40, 36, 24), (1.0, 1.2, 3.0), (-20.0, 30.0, -100.0), POSES[pose], "1.2.3")

    def rising(grid: Geometry) -> np.ndarray:
        return (grid.centres() - middle(geometry)) @ np.array([3.0, -5.0, 7.0])

    found = to_space(Volume(rising(geometry).astype(np.float32), geometry), SPACE)
    assert found.geometry.direction == POSES["HFS"]
    assert found.geometry.frame_of_reference == "1.2.3"
    index = geometry.to_index(found.geometry.centres())
    deep = np.all((index >= 8) & (index <= np.array(geometry.size) - 9), axis=-1)
    assert deep.sum() > 50
    assert found.hu[deep] == pytest.approx(rising(found.geometry)[deep], abs=0.05)


@pytest.mark.parametrize("pose", POSES)
def test_onto_any_grid_as_simpleitk_does(pose):
    rng = np.random.default_rng(7)
    geometry = Geometry((20, 18, 16), (2.5, 2.5, 2.5), (-25.0, -20.0, -22.0))
    onto = Geometry((25, 30, 14), (1.3, 1.1, 3.2), tuple(-0.4 * np.array(POSES[pose]).reshape(3, 3) @ (25 * 1.3, 30 * 1.1, 14 * 3.2)), POSES[pose])
    values = rng.random(geometry.shape).astype(np.float32)
    expected = sitk.GetArrayFromImage(sitk.Resample(image(values, geometry), image(np.zeros(onto.shape, np.float32), onto), defaultPixelValue=-1.0))
    found = from_space(values, geometry, onto, outside=-1.0)
    assert (expected >= 0).sum() > 3000
    inner = (expected >= 0) & (found >= 0)
    assert np.mean((expected >= 0) == (found >= 0)) > 0.999
    assert found[inner] == pytest.approx(expected[inner], abs=2e-5)


def test_coarser_voxels_are_means_not_samples():
    """A chequerboard of single voxels, which sampling would show as noise, becomes grey."""
    geometry = Geometry((60, 60, 60), (0.7, 0.7, 0.7))
    hu = np.where(np.indices(geometry.shape).sum(axis=0) % 2, 400.0, -600.0).astype(np.float32)
    found = to_space(Volume(hu, geometry), SPACE).hu[3:-3, 3:-3, 3:-3]
    assert np.abs(found + 100).max() < 20


@pytest.mark.parametrize("pose", POSES)
def test_a_balls_volume_survives_there_and_back(pose):
    geometry = Geometry((70, 66, 40), (0.9, 1.1, 2.0), (-12.0, 8.0, -30.0), POSES[pose])
    mask = ball(geometry, middle(geometry) + 0.3, 20.0)
    there = grid_for(geometry, SPACE)
    share = share_in_space(mask, there)
    assert share.dtype == np.float32
    assert 0 <= share.min() <= share.max() <= 1 + 1e-6
    assert share.sum() * 2.5**3 / 1000 == pytest.approx(4 / 3 * np.pi * 2.0**3, rel=0.01)
    back = Mask(from_space(share, there, geometry) > 0.5, geometry)
    assert back.volume_cm3 == pytest.approx(4 / 3 * np.pi * 2.0**3, rel=0.02)
    assert np.linalg.norm(np.subtract(back.centroid_mm, mask.centroid_mm)) < 0.1


def test_a_mask_of_one_voxel_keeps_its_volume_in_shares():
    geometry = Geometry((9, 9, 9), (1.0, 1.0, 3.0))
    inside = np.zeros(geometry.shape, bool)
    inside[4, 4, 4] = True
    assert share_in_space(Mask(inside, geometry), grid_for(geometry, SPACE)).sum() * 2.5**3 == pytest.approx(3.0, rel=0.05)


def test_the_grid_covers_every_voxel_to_its_edge(posed_geometry):
    grid = grid_for(posed_geometry, SPACE)
    size = np.array(posed_geometry.size)
    corners = np.array([[x, y, z] for x in (-0.49, size[0] - 0.51) for y in (-0.49, size[1] - 0.51) for z in (-0.49, size[2] - 0.51)])
    assert grid.contains(posed_geometry.to_patient(corners)).all()
    assert grid.spacing_mm == (2.5, 2.5, 2.5)


def test_outside_the_image_there_is_air_and_the_last_slices_reach_to_their_edge():
    geometry = Geometry((10, 10, 4), (2.5, 2.5, 5.0))
    volume = Volume(np.full(geometry.shape, 50, np.int16), geometry)
    wide = Geometry((20, 20, 20), (2.5, 2.5, 2.5), (-12.5, -12.5, -12.5))
    found = resample_hu(volume, wide)
    assert set(np.unique(found.hu)) == {-1000.0, 50.0}
    assert np.array_equal(found.hu == 50, geometry.contains(wide.centres()))
    far = resample_hu(volume, Geometry((5, 5, 5), (2.5, 2.5, 2.5), (500.0, 0.0, 0.0)))
    assert np.all(far.hu == -1000)


def test_uneven_slices_stand_where_they_were_taken():
    offsets = (0.0, 2.0, 4.0, 10.0, 12.0, 14.0, 20.0)
    geometry = Geometry((12, 12, 7), (2.5, 2.5, 2.0), slice_offsets_mm=offsets)
    hu = np.broadcast_to(10 * np.array(offsets)[:, None, None], geometry.shape).astype(np.float32)
    found = to_space(Volume(hu, geometry), Space(spacing_mm=2.0, window_hu=(-1000, 400)))
    height = found.geometry.centres()[..., 2]
    within = (height >= 0) & (height <= 20)
    assert found.hu[within] == pytest.approx(10 * height[within], abs=1e-3)


def test_only_the_box_of_a_region_is_shown():
    geometry = Geometry((60, 60, 40), (1.0, 1.0, 2.0))
    volume = Volume(np.zeros(geometry.shape, np.int16), geometry)
    region = ball(geometry, middle(geometry), 15.0)
    found = to_space(volume, SPACE, inside=region)
    assert max(found.geometry.size) <= 14
    assert found.geometry.contains(region.points_mm).all()
    with pytest.raises(InputError, match="empty"):
        to_space(volume, SPACE, inside=Mask(np.zeros(geometry.shape, bool), geometry))


def test_the_window_becomes_zero_to_one():
    assert normalised(np.array([-3000, -1000, -300, 400, 3000], np.int16), SPACE).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]


def test_a_click_is_a_gaussian_of_5_mm_at_its_point():
    grid = Geometry((9, 9, 9), (2.5, 2.5, 2.5), (-10.0, -10.0, -10.0))
    click = click_channel(grid, (0.0, 0.0, 0.0))
    assert click[4, 4, 4] == pytest.approx(1.0)
    assert click[4, 4, 6] == pytest.approx(np.exp(-0.5))
    assert click[6, 6, 4] == pytest.approx(np.exp(-1.0))
    assert not click_channel(grid, None).any()


def test_a_click_on_a_turned_grid_is_refused(posed_geometry):
    if posed_geometry.direction == POSES["HFS"]:
        pytest.skip("this one is upright")
    with pytest.raises(GeometryError, match="upright"):
        click_channel(posed_geometry, (0.0, 0.0, 0.0))


def test_memory_is_that_of_the_result_and_little_more():
    geometry = Geometry((100, 100, 60), (2.5, 2.5, 2.5))
    onto = Geometry((300, 300, 150), (0.8, 0.8, 1.0))
    values = np.ones(geometry.shape, np.float32)
    tracemalloc.start()
    try:
        from_space(values, geometry, onto)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * np.prod(onto.shape) * 1.2


@pytest.mark.parametrize("wrong", [{"spacing_mm": 0.0}, {"spacing_mm": float("nan")}, {"window_hu": (400.0, -1000.0)}])
def test_an_impossible_space_is_refused(wrong):
    with pytest.raises(InputError):
        Space(**{"spacing_mm": 2.5, "window_hu": (-1000.0, 400.0)} | wrong)
