from __future__ import annotations

import gzip
import subprocess

import itk
import numpy as np
import pytest
import SimpleITK as sitk

from rt4d.errors import GeometryError, InputError, NotFoundError
from rt4d.geometry import Geometry
from rt4d.images import FORMATS, read_field, read_mask, read_volume, write_field, write_mask, write_volume
from rt4d.motion import DisplacementField
from rt4d.volumes import Mask, Volume
from tests.conftest import POSES, needs_program

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


def field_on(geometry: Geometry) -> DisplacementField:
    return DisplacementField(RNG.normal(scale=5, size=(*geometry.shape, 3)).astype(np.float32), geometry)


def inner_points(geometry: Geometry) -> np.ndarray:
    return geometry.to_patient(RNG.uniform(0.5, np.array(geometry.size) - 1.5, (5, 3)))


@pytest.mark.parametrize("suffix", FORMATS)
def test_fields_come_back_as_they_were_and_simpleitk_maps_the_same_points_in_every_pose(tmp_path, posed_geometry, suffix):
    field = field_on(posed_geometry)
    path = write_field(tmp_path / f"u{suffix}", field)
    again = read_field(path)
    assert again.geometry.is_same_grid(posed_geometry)
    assert np.array_equal(again.vectors_mm, field.vectors_mm)
    theirs = sitk.DisplacementFieldTransform(sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkVectorFloat64))
    points = inner_points(posed_geometry)
    np.testing.assert_allclose([theirs.TransformPoint(p) for p in points], field.map(points), atol=1e-3)


@pytest.mark.parametrize("suffix", FORMATS)
def test_itk_finds_the_same_values_at_the_same_points(tmp_path, posed_geometry, suffix):
    mask, field = Mask(RNG.random(posed_geometry.shape) > 0.5, posed_geometry), field_on(posed_geometry)
    seen = itk.imread(str(write_mask(tmp_path / f"m{suffix}", mask)))
    vectors = itk.imread(str(write_field(tmp_path / f"u{suffix}", field)))
    for x, y, z in RNG.integers(0, posed_geometry.size, (6, 3)).tolist():
        point = [float(v) for v in posed_geometry.to_patient((x, y, z))]
        at = seen.TransformPhysicalPointToIndex(point)
        assert seen.GetPixel(at) == mask.inside[z, y, x]
        np.testing.assert_allclose(list(vectors.GetPixel(vectors.TransformPhysicalPointToIndex(point))), field.vectors_mm[z, y, x])


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nibabel_sees_each_voxel_where_it_lies_and_the_intent_of_itk(tmp_path, posed_geometry, suffix):
    nibabel = pytest.importorskip("nibabel")
    volume, field = Volume(RNG.integers(-1000, 3000, posed_geometry.shape, dtype=np.int16), posed_geometry), field_on(posed_geometry)
    to_ras = np.diag([-1.0, -1.0, 1.0])
    seen = nibabel.load(write_volume(tmp_path / f"v{suffix}", volume))
    vectors = nibabel.load(write_field(tmp_path / f"u{suffix}", field))
    assert np.array_equal(np.asarray(seen.dataobj), volume.hu.transpose(2, 1, 0))
    index = RNG.integers(0, posed_geometry.size, (6, 3))
    for image in (seen, vectors):
        np.testing.assert_allclose(nibabel.affines.apply_affine(image.affine, index), posed_geometry.to_patient(index) @ to_ras, atol=1e-3)
    assert (vectors.shape, int(vectors.header["intent_code"])) == ((*posed_geometry.size, 1, 3), 1007)
    assert np.array_equal(np.asarray(vectors.dataobj)[..., 0, :], field.vectors_mm.transpose(2, 1, 0, 3))


def test_a_nifti_of_displacement_vectors_in_ras_is_turned(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    ras = RNG.normal(size=(4, 5, 6, 1, 3)).astype(np.float32)
    image = nibabel.Nifti1Image(ras, np.diag([-1.0, -1.0, 2.0, 1.0]))
    image.header.set_intent("displacement vector")
    nibabel.save(image, tmp_path / "u.nii")
    np.testing.assert_allclose(read_field(tmp_path / "u.nii").vectors_mm, ras[..., 0, :].transpose(2, 1, 0, 3) * [-1, -1, 1])


@needs_program("plastimatch")
def test_plastimatch_finds_the_same_vector_at_a_point(tmp_path):
    geometry = Geometry((12, 10, 8), (1.0, 1.5, 3.0), (-20.0, 30.0, -100.0), POSES["HFS"])
    field = field_on(geometry)
    path = write_field(tmp_path / "u.mha", field)
    point = geometry.to_patient((5, 4, 3))
    said = subprocess.run(
        ["plastimatch", "probe", "--location", " ".join(f"{v:.6f}" for v in point), path], capture_output=True, text=True, check=True
    ).stdout
    np.testing.assert_allclose([float(v) for v in said.split(";")[-1].replace("VF", "").split()], field.vectors_mm[3, 4, 5], atol=1e-3)


def test_a_left_handed_field_keeps_every_vector_in_its_place(tmp_path):
    array = RNG.normal(size=(4, 5, 6, 3)).astype(np.float32)
    image = sitk.GetImageFromArray(array, isVector=True)
    image.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, -1))
    sitk.WriteImage(image, str(tmp_path / "left.mha"))
    field = read_field(tmp_path / "left.mha")
    for x, y, z in [(0, 0, 0), (5, 4, 3), (2, 1, 1)]:
        np.testing.assert_allclose(field.at(image.TransformIndexToPhysicalPoint((x, y, z))), array[z, y, x], rtol=1e-6)


def test_what_is_no_field_is_named(tmp_path):
    grid = Geometry((4, 4, 4), (1, 1, 1))
    volume = write_volume(tmp_path / "v.nii.gz", Volume(np.zeros(grid.shape, np.int16), grid))
    with pytest.raises(InputError, match=r"3 numbers per voxel.*1 values"):
        read_field(volume)
    field = write_field(tmp_path / "u.nii.gz", field_on(grid))
    with pytest.raises(InputError, match=r"one number per voxel.*3 values"):
        read_volume(field)
    holed = sitk.GetImageFromArray(np.full((3, 3, 3, 3), np.nan, np.float32), isVector=True)
    sitk.WriteImage(holed, str(tmp_path / "nan.mha"))
    with pytest.raises(InputError, match=r"finite \(.*nan.mha\)"):
        read_field(tmp_path / "nan.mha")
