"""A NIfTI file that was cut short is refused: read as it is, its mask would be smaller and nothing would say so."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from rt4d.errors import InputError
from rt4d.geometry import Geometry
from rt4d.images import read_mask, read_volume, write_mask
from rt4d.volumes import Mask

INSIDE = np.random.default_rng(0).random((10, 20, 20)) > 0.5


@pytest.fixture(params=["nii", "nii.gz"])
def whole(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_mask(tmp_path / f"mask.{request.param}", Mask(INSIDE, Geometry((20, 20, 10), (1, 1, 3))))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_refused(share: float, whole: Path) -> None:
    assert np.array_equal(read_mask(whole).inside, INSIDE)
    content = whole.read_bytes()
    whole.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"not whole|cannot be read"):
        read_mask(whole)


def test_a_file_packed_in_several_members_is_read(tmp_path: Path) -> None:
    content = write_mask(tmp_path / "mask.nii", Mask(INSIDE, Geometry((20, 20, 10), (1, 1, 3)))).read_bytes()
    packed = tmp_path / "mask.nii.gz"
    packed.write_bytes(gzip.compress(content[:1000]) + gzip.compress(content[1000:]))
    assert np.array_equal(read_mask(packed).inside, INSIDE)
    packed.write_bytes(gzip.compress(content[:1000]) + gzip.compress(content[1000:-100]))
    with pytest.raises(InputError, match="not whole"):
        read_mask(packed)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64])
def test_files_of_every_kind_of_number_are_whole(kind: type, tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(INSIDE.astype(kind)), str(tmp_path / "volume.nii.gz"))
    assert np.array_equal(read_volume(tmp_path / "volume.nii.gz").hu, INSIDE)


def test_what_is_no_nifti_file_is_refused_as_that(tmp_path: Path) -> None:
    for name, content in (("a.nii", b"no"), ("a.nii.gz", b"no"), ("b.nii", b""), ("b.nii.gz", gzip.compress(b"no"))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"):
            read_mask(tmp_path / name)
