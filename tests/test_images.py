from __future__ import annotations

import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from rt4d.errors import GeometryError, InputError, NotFoundError
from rt4d.geometry import Geometry
from rt4d.images import FORMATS, read_mask, read_volume, write_mask, write_volume
from rt4d.volumes import Mask, Volume

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("suffix", FORMATS)
def test_masks_and_volumes_come_back_as_they_were_in_every_pose(tmp_path, posed_geometry, suffix):
    mask = Mask(RNG.random(posed_geometry.shape) > 0.5, posed_geometry)
    volume = Volume(RNG.integers(-1000, 3000, posed_geometry.shape, dtype=np.int16), posed_geometry)
    again, volume_again = read_mask(write_mask(tmp_path / f"m{suffix}", mask)), read_volume(write_volume(tmp_path / f"v{suffix}", volume))
    assert again.geometry.is_same_grid(mask.geometry)
    assert np.array_equal(again.inside, mask.inside)
    assert np.array_equal(volume_again.hu, volume.hu)
    assert volume_again.hu.dtype == np.int16
    assert [p.name for p in sorted(tmp_path.iterdir())] == [f"m{suffix}", f"v{suffix}"]


def test_a_left_handed_file_keeps_every_voxel_in_its_place(tmp_path):
    image = sitk.GetImageFromArray(RNG.integers(0, 99, (4, 5, 6)).astype(np.int16))
    image.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, -1))
    image.SetSpacing((1, 2, 3))
    image.SetOrigin((7, 8, 9))
    sitk.WriteImage(image, str(tmp_path / "left.mha"))
    volume = read_volume(tmp_path / "left.mha")
    for index in [(0, 0, 0), (3, 2, 1), (5, 4, 3)]:
        x, y, z = np.rint(volume.geometry.to_index(image.TransformIndexToPhysicalPoint(index))).astype(int)
        assert volume.hu[z, y, x] == image[index]


def test_uneven_slices_are_refused_rather_than_averaged(tmp_path):
    grid = Geometry((2, 2, 3), (1, 1, 3), slice_offsets_mm=(0, 3, 9))
    with pytest.raises(GeometryError, match=r"6\.00 mm between slices 2 and 3"):
        write_mask(tmp_path / "m.nii.gz", Mask(np.ones(grid.shape, bool), grid))


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(NotFoundError, match="none"):
        read_volume(tmp_path / "none.nii")
    (tmp_path / "text.nii.gz").write_bytes(gzip.compress(b"no image"))
    with pytest.raises(InputError, match="text"):
        read_volume(tmp_path / "text.nii.gz")
    sitk.WriteImage(sitk.GetImageFromArray(np.arange(24).reshape(2, 3, 4).astype(np.int16)), str(tmp_path / "labels.mha"))
    with pytest.raises(InputError, match="24 values"):
        read_mask(tmp_path / "labels.mha")
    with pytest.raises(InputError, match="kind of image file"):
        write_mask(tmp_path / "m.png", Mask(np.ones((2, 2, 2), bool), Geometry((2, 2, 2), (1, 1, 1))))
