"""A NIfTI file that was cut short is refused: read as it is, its mask would be smaller and nothing would say so."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from rt4d.contour_files import ContourFiles
from rt4d.errors import InputError
from rt4d.geometry import Geometry
from rt4d.images import read_field, read_mask, read_volume, write_mask
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


UNDEFINED = {"nan": np.nan, "inf": np.inf}


def with_undefined(path: Path, value: float, kind: type = np.float32) -> Path:
    """A ball of ones with three undefined voxels, of 4000."""
    array = INSIDE.astype(kind)
    array[0, 0, :3] = value
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    return path


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("value", UNDEFINED.values(), ids=UNDEFINED)
@pytest.mark.parametrize("name", ["m.nii", "m.nii.gz", "m.mha", "m.nrrd"])
def test_undefined_values_are_refused_and_their_share_told(name: str, value: float, kind: type, tmp_path: Path) -> None:
    """Of NIfTI the library makes zeros of them: a mask with a hole, a CT with water, and no word."""
    path = with_undefined(tmp_path / name, value, kind)
    found = r"3 of 4000 voxels \(0\.075 %\)"
    with pytest.raises(InputError, match=rf"no mask .*{found}.*write 0 where nothing was drawn"):
        read_mask(path)
    with pytest.raises(InputError, match=rf"no mask .*{found}"):
        ContourFiles().read(str(path))
    with pytest.raises(InputError, match=rf"no CT .*{found}.*-1000 HU"):
        read_volume(path)


def test_undefined_values_are_found_in_files_of_the_other_byte_order(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    array = INSIDE.astype(np.float32)
    for name, undefined in (("fine.nii", 0), ("holed.nii", 3), ("holed.nii.gz", 3)):
        array[0, 0, :undefined] = np.nan
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4), nibabel.Nifti1Header(endianness=">")), tmp_path / name)
    assert np.count_nonzero(read_mask(tmp_path / "fine.nii").inside) == np.count_nonzero(INSIDE)
    for name in ("holed.nii", "holed.nii.gz"):
        with pytest.raises(InputError, match="3 of 4000"):
            read_mask(tmp_path / name)


def test_a_displacement_field_with_undefined_vectors_is_refused_in_nifti_too(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.full((3, 3, 3, 3), np.nan, np.float32), isVector=True), str(tmp_path / "u.nii.gz"))
    with pytest.raises(InputError, match=r"field must be finite .*81 of 81"):
        read_field(tmp_path / "u.nii.gz")
