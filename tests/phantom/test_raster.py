import numpy as np
import pytest

from rt4d.geometry import Geometry
from rt4d.phantom.raster import Raster, splined

GRID = Geometry((40, 36, 24), (1.0, 1.5, 3.0), (5.0, -7.0, 11.0))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_breathed_ct_keeps_its_detail_between_voxels_along_every_axis(axis):
    """Waves of five voxels are the finest that matter to a registration; those next to the ends are left out."""

    def wave(voxels):
        return 100 * np.cos(2 * np.pi * voxels / 5)

    along = np.arange(GRID.size[axis], dtype=np.float32)
    shape = np.where(np.arange(3) == 2 - axis, len(along), 1)
    raster = splined(np.broadcast_to(wave(along).reshape(shape), GRID.shape).astype(np.float32), GRID)

    between = np.full((len(along) - 7, 3), 8.0)
    between[:, axis] = along[3:-4] + 0.5
    x, y, z = GRID.to_patient(between).T

    assert np.abs(raster.look_up(x, y, z) - wave(between[:, axis])).max() < 6


def test_at_voxel_centres_a_raster_is_the_image_itself_and_beyond_it_the_outermost_values_go_on():
    hu = np.random.default_rng(0).normal(size=GRID.shape).astype(np.float32)
    centres = GRID.centres()
    x, y, z = np.moveaxis(centres, -1, 0)

    for raster in (splined(hu, GRID), Raster(hu, GRID)):
        np.testing.assert_allclose(raster.look_up(x, y, z), hu, atol=2e-4)
        np.testing.assert_allclose(raster.look_up(x[..., :1] - 50, y[..., :1], z[..., :1]), hu[..., :1], atol=2e-4)
