from __future__ import annotations

import shutil
import subprocess
import warnings
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from rt4d.dicom.series import read_ct
from rt4d.errors import DicomError, GeometryError, InputError, NotFoundError
from rt4d.geometry import Geometry
from tests.conftest import POSES, needs_program, rotation
from tests.dicom.make import GRID, ROOT, enhanced_of, hu_of, placed, save, setting, store, without_sop_uid, write_series

DECUBITUS = {
    "HFDL": (0, 1, 0, -1, 0, 0, 0, 0, 1),
    "FFDR": (0, 1, 0, 1, 0, 0, 0, 0, -1),
    "sagittal": (0, 0, 1, 1, 0, 0, 0, 1, 0),
    "steep": rotation(-70, 40, 130),
}


@pytest.mark.parametrize("pose", [*POSES, *DECUBITUS])
def test_a_series_lies_where_simpleitk_says_in_every_patient_position(tmp_path, pose):
    grid = replace(GRID, direction={**POSES, **DECUBITUS}[pose])
    hu = write_series(tmp_path, grid=grid)
    ct = read_ct(tmp_path)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path))
    oracle = sitk.ReadImage(names)
    assert np.array_equal(ct.volume.hu, sitk.GetArrayViewFromImage(oracle))
    assert np.array_equal(ct.volume.hu, hu)
    for index in ((0, 0, 0), (7, 0, 0), (0, 5, 0), (0, 0, 4), (3, 2, 1)):
        assert np.allclose(ct.geometry.to_patient(index), oracle.TransformIndexToPhysicalPoint(index), atol=1e-4)


def test_values_are_int16_and_read_only_and_the_grid_knows_its_frame(tmp_path):
    write_series(tmp_path)
    ct = read_ct(tmp_path)
    assert ct.volume.hu.dtype == np.int16
    assert not ct.volume.hu.flags.writeable
    assert ct.geometry.differences(GRID) == ""
    assert ct.geometry.frame_of_reference == GRID.frame_of_reference
    assert ct.geometry.is_even


def test_identity_holds_what_objects_that_refer_to_the_series_need(tmp_path):
    write_series(tmp_path, description="Planning", change=setting(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Änne"))
    identity = read_ct(tmp_path).identity
    assert identity.sop_instance_uids == tuple(f"{ROOT}.1.1.{z + 1}" for z in range(5))
    assert (identity.study_uid, identity.series_uid, identity.frame_numbers) == (f"{ROOT}.1", f"{ROOT}.1.1", None)
    assert identity.patient["PatientName"] == "Müller^Änne"
    assert identity.patient["StudyDate"] == "20200101"
    assert "ReferringPhysicianName" not in identity.patient
    assert (identity.series_description, identity.patient_position) == ("Planning", "HFS")


def test_the_patient_is_that_of_the_first_file_that_names_one(tmp_path):
    write_series(tmp_path, change=setting(0, PatientID="", PatientName=None))
    assert read_ct(tmp_path).identity.patient["PatientID"] == "SECRET-ID"


@pytest.mark.parametrize("unit", ["HU", "US", "", "unknown to the standard"])
def test_a_rescale_type_that_names_no_other_unit_is_read(tmp_path, unit):
    hu = write_series(tmp_path, change=setting(RescaleType=unit))
    assert np.array_equal(read_ct(tmp_path).volume.hu, hu)


def test_an_enhanced_ct_without_its_value_transformation_is_refused(tmp_path):
    ds, _ = enhanced_of(GRID, (0,))
    del ds.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
    save(ds, tmp_path / "enhanced")
    with pytest.raises(DicomError, match=r"\(enhanced frame \d\): expected RescaleIntercept"):
        read_ct(tmp_path)


def test_a_scout_that_is_left_out_need_not_tell_its_units(tmp_path):
    hu = write_series(tmp_path / "ct")
    write_series(tmp_path / "scout", series="2", change=setting(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], RescaleSlope=None))
    assert np.array_equal(read_ct(tmp_path).volume.hu, hu)


def test_names_order_and_extensions_of_files_do_not_matter(tmp_path):
    hu = write_series(tmp_path)
    rng = np.random.default_rng(1)
    deep = tmp_path / "a" / "b.dcm"
    deep.mkdir(parents=True)
    for n, path in zip(rng.permutation(5), sorted(tmp_path.glob("*.dcm")), strict=True):
        path.rename(deep / f"{n}")
    (tmp_path / "DICOMDIR.txt").write_text("not DICOM")
    (tmp_path / "empty").touch()
    assert np.array_equal(read_ct(tmp_path).volume.hu, hu)


def test_uneven_slices_keep_their_own_positions(tmp_path):
    at = [0.0, 3.0, 6.0, 12.0, 14.5]
    hu = write_series(tmp_path, change=placed(lambda z: [0, 0, at[z]]))
    ct = read_ct(tmp_path)
    assert ct.geometry.slice_offsets_mm == pytest.approx(at)
    assert ct.geometry.spacing_mm[2] == 3
    assert np.allclose(ct.geometry.to_patient([0, 0, 3]), [-20, 30, -88])
    assert np.array_equal(ct.volume.hu, hu)


def test_positions_that_a_vendor_rounded_are_still_even(tmp_path):
    at = np.round(np.arange(5) * 1.25, 1)
    write_series(tmp_path, change=placed(lambda z: [0, 0, at[z]]))
    geometry = read_ct(tmp_path).geometry
    assert geometry.is_even
    assert geometry.spacing_mm[2] == pytest.approx(1.25)


def test_what_the_file_says_of_spacing_between_slices_is_not_believed(tmp_path):
    write_series(tmp_path, change=setting(SpacingBetweenSlices="-2.0", SliceLocation="7"))
    assert read_ct(tmp_path).geometry.differences(GRID) == ""


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_every_uncompressed_transfer_syntax_is_read(tmp_path, syntax):
    def change(ds, z):
        ds.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()

    assert np.array_equal(write_series(tmp_path, change=change), read_ct(tmp_path).volume.hu)


def test_a_file_without_preamble_and_meta_header_is_read(tmp_path):
    hu = write_series(tmp_path, change=lambda ds, z: setattr(ds.file_meta, "TransferSyntaxUID", ImplicitVRLittleEndian))
    for path in tmp_path.glob("*.dcm"):
        whole = path.read_bytes()
        body = whole.index(b"\x08\x00\x08\x00", 132)
        path.with_suffix("").write_bytes(whole[body:])
        path.unlink()
    assert np.array_equal(read_ct(tmp_path).volume.hu, hu)


COMPRESSORS = {
    "RLE": ("dcmcrle",),
    "JPEG lossless": ("dcmcjpeg", "+e1"),
    "JPEG-LS": ("dcmcjpls",),
}


@pytest.mark.parametrize("name", COMPRESSORS)
@needs_program("dcmcjpls")
def test_compressed_series_hold_the_same_values(tmp_path, name):
    hu = write_series(tmp_path)
    for path in tmp_path.glob("*.dcm"):
        subprocess.run([*COMPRESSORS[name], str(path), str(path)], check=True)
    assert np.array_equal(read_ct(tmp_path).volume.hu, hu)


@needs_program("dcmcjpls")
def test_compressed_pixels_that_are_cut_off_are_refused_by_name(tmp_path):
    write_series(tmp_path)
    for path in tmp_path.glob("*.dcm"):
        subprocess.run(["dcmcjpls", str(path), str(path)], check=True)
    whole = (tmp_path / "slice002.dcm").read_bytes()
    (tmp_path / "slice002.dcm").write_bytes(whole[:-60])
    with pytest.raises(InputError, match=r"slice002\.dcm"):
        read_ct(tmp_path)


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype"),
    [
        (1, 0, np.int16), (1, -1024, np.uint16), (2, -1000, np.uint16), (1, -8192, np.uint16), (0.5, -1024, np.uint16), (1, -1000.5, np.uint16),
        (1, -1024, np.int32),
    ],
)
def test_rescaling_is_exact_or_rounded(tmp_path, slope, intercept, dtype):
    rescaled = {}

    def change(ds, z):
        store(ds, hu_of()[z], slope=slope, intercept=intercept, dtype=dtype)
        raw = np.frombuffer(ds.PixelData, dtype).astype(float).reshape(6, 8)
        rescaled[z] = np.maximum(np.rint(raw * slope + intercept), -1024)

    write_series(tmp_path, change=change)
    assert np.array_equal(read_ct(tmp_path).volume.hu, np.stack([rescaled[z] for z in range(5)]))


def test_each_slice_is_rescaled_by_its_own_slope(tmp_path):
    hu = write_series(tmp_path, change=lambda ds, z: store(ds, hu_of()[z], slope=0.25 * (z + 1), intercept=-1024))
    assert np.abs(read_ct(tmp_path).volume.hu - hu).max() <= 1


def _with_padding(ds, raw, padding, vr="SS"):
    raw[0, :3] = padding
    ds.PixelData = raw.tobytes()
    ds.add_new(0x00280120, vr, int(padding))


@pytest.mark.parametrize(("intercept", "padding"), [(0, -2000), (-1024, -2000), (0, -32768), (-1024, -32768), (-1024, 32767)])
def test_padding_outside_the_scanned_circle_becomes_air(tmp_path, intercept, padding):
    def change(ds, z):
        store(ds, hu_of()[z], intercept=intercept, dtype=np.int16)
        _with_padding(ds, np.frombuffer(ds.PixelData, np.int16).reshape(6, 8).copy(), padding)

    hu = write_series(tmp_path, change=change)
    hu[:, 0, :3] = -1024
    assert np.array_equal(read_ct(tmp_path).volume.hu, hu)


def test_a_declared_padding_value_that_water_has_too_is_not_believed(tmp_path):
    hu = write_series(tmp_path, change=lambda ds, z: ds.add_new(0x00280120, "US", 1024))
    assert np.array_equal(read_ct(tmp_path).volume.hu, hu)


def test_overlay_bits_above_the_stored_ones_are_not_read(tmp_path):
    def change(ds, z):
        raw = np.frombuffer(ds.PixelData, np.uint16).copy()
        raw[::2] |= 0x8000
        ds.PixelData, ds.BitsStored, ds.HighBit = raw.tobytes(), 12, 11

    assert np.array_equal(write_series(tmp_path, change=change), read_ct(tmp_path).volume.hu)


def test_values_beyond_int16_are_refused_rather_than_wrapped(tmp_path):
    def change(ds, z):
        raw = np.frombuffer(ds.PixelData, np.uint16).copy()
        raw[7] = 65535
        ds.PixelData = raw.tobytes()

    write_series(tmp_path, change=change)
    with pytest.raises(DicomError, match=r"no Hounsfield units \(slice00\d\.dcm\): expected at most 32767 HU, found 64511"):
        read_ct(tmp_path)


def test_malformed_elements_that_nobody_needs_do_no_harm_and_make_no_noise(tmp_path, recwarn):
    def change(ds, z):
        ds.private_block(0x00E1, "ELSCINT1", create=True).add_new(0x42, "UN", b"\xff\xfe\x01")

    hu = write_series(tmp_path, change=change)
    path = tmp_path / "slice001.dcm"
    path.write_bytes(path.read_bytes().replace(b"19500101", b"1950-1-1").replace(b"O \x20", b"??\x20"))
    filters = list(warnings.filters)
    assert np.array_equal(read_ct(tmp_path).volume.hu, hu)
    assert not recwarn.list
    assert warnings.filters == filters


def test_the_users_pydicom_settings_are_left_alone(tmp_path):
    from pydicom import config

    write_series(tmp_path)
    before = (config.settings.reading_validation_mode, config.settings.writing_validation_mode)
    read_ct(tmp_path)
    assert (config.settings.reading_validation_mode, config.settings.writing_validation_mode) == before


def test_structure_sets_scouts_and_other_modalities_are_passed_over(tmp_path):
    hu = write_series(tmp_path / "ct")
    scout = setting(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_series(tmp_path / "scout", series="2", grid=replace(GRID, size=(9, 9, 1)), change=scout)
    write_series(tmp_path / "mr", series="3", change=setting(Modality="MR"))
    write_series(tmp_path / "rs", series="4", change=setting(Modality="RTSTRUCT"))
    assert np.array_equal(read_ct(tmp_path).volume.hu, hu)


def test_of_several_series_one_is_chosen_by_its_uid(tmp_path):
    write_series(tmp_path / "a", description="planning", series="1")
    hu = write_series(tmp_path / "b", description="average", series="2", seed=2)
    with pytest.raises(DicomError, match=rf"several CT series.*'planning' \(5 slices, a/slice000\.dcm …, {ROOT}\.1\.1\); 'average'.*series_uid"):
        read_ct(tmp_path)
    assert np.array_equal(read_ct(tmp_path, series_uid=f"{ROOT}.1.2").volume.hu, hu)
    with pytest.raises(NotFoundError, match="No CT series of that UID"):
        read_ct(tmp_path, series_uid="1.2.3")


def test_an_enhanced_multiframe_ct_is_one_series(tmp_path):
    ds, phases = enhanced_of(GRID, (0,))
    path = save(ds, tmp_path / "enhanced")
    for place in (tmp_path, path):
        ct = read_ct(place)
        assert np.array_equal(ct.volume.hu, phases[0])
        assert ct.geometry.differences(GRID) == ""
        assert ct.identity.frame_numbers == (5, 4, 3, 2, 1)
        assert set(ct.identity.sop_instance_uids) == {ds.SOPInstanceUID}


def test_files_that_macs_leave_and_screenshots_of_modality_ct_are_passed_over(tmp_path):
    hu = write_series(tmp_path / "a")
    (tmp_path / "a" / "._slice000.dcm").write_bytes(b"\x00\x05\x16\x07" + bytes(400))
    write_series(tmp_path / "b", series="2", change=setting(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"))
    assert np.array_equal(read_ct(tmp_path).volume.hu, hu)


def test_a_copy_of_a_file_counts_once_but_two_images_of_one_uid_are_refused(tmp_path):
    hu = write_series(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert np.array_equal(read_ct(tmp_path).volume.hu, hu)
    path = tmp_path / "b" / "slice002.dcm"
    path.write_bytes(path.read_bytes()[:-2] + b"\x01\x02")
    with pytest.raises(DicomError, match=r"same SOPInstanceUID \(a/slice002\.dcm and b/slice002\.dcm\)"):
        read_ct(tmp_path)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (setting(3, ImagePositionPatient=None), DicomError, r"where it lies \(slice003\.dcm\): expected ImagePositionPatient"),
        (setting(3, ImagePositionPatient=["1", "2"]), DicomError, "ImagePositionPatient"),
        (setting(3, ImageOrientationPatient=None), DicomError, "expected ImageOrientationPatient"),
        (setting(3, PixelSpacing=None), DicomError, "expected PixelSpacing"),
        (setting(3, PixelSpacing=["0", "1"]), DicomError, "expected PixelSpacing"),
        (setting(3, PixelSpacing=["1.5", "1.1"]), GeometryError, r"differ in PixelSpacing.*slice003"),
        (setting(3, ImageOrientationPatient=["1", "0", "0", "0", "0.8", "0.6"]), GeometryError, r"differ in orientation.*slice003"),
        (setting(3, ImageOrientationPatient=["1", "0", "0", "1", "0", "0"]), GeometryError, r"perpendicular unit vectors \(slice003"),
        (setting(3, FrameOfReferenceUID="1.9"), GeometryError, r"differ in frame of reference.*slice003"),
        (placed(lambda z: [0, 0, 6], 3), GeometryError, r"Two slices.*slice002\.dcm and slice003\.dcm"),
        (placed(lambda z: [2, 0, 9], 3), GeometryError, r"shifted within its plane \(slice003\.dcm"),
        (setting(3, PhotometricInterpretation="MONOCHROME1"), DicomError, r"not a CT's \(slice003\.dcm\).*MONOCHROME1"),
        (setting(3, HighBit=14), DicomError, "high bit"),
        (setting(3, BitsAllocated=12), DicomError, "8, 16 or 32 bits"),
        (setting(3, SamplesPerPixel=3), DicomError, "one sample"),
        (setting(3, PixelData=bytes(80)), DicomError, r"cut off \(slice003\.dcm\): expected \d+ bytes, found \d+"),
        (setting(3, PixelData=None), DicomError, r"\(slice003\.dcm\): found it ends before its pixels"),
        (setting(3, Rows=5), GeometryError, r"differ in image size.*slice003"),
        (setting(3, PatientID="OTHER"), DicomError, r"two patients.*slice000\.dcm and slice003\.dcm"),
        (setting(3, PatientName="OTHER^PERSON"), DicomError, r"two patients.*different PatientName"),
        (setting(3, RescaleIntercept=None), DicomError, r"Hounsfield units \(slice003\.dcm\): expected RescaleIntercept, found none"),
        (setting(3, RescaleSlope=None), DicomError, r"Hounsfield units \(slice003\.dcm\): expected RescaleSlope, found none"),
        (setting(3, RescaleSlope="0"), DicomError, r"\(slice003\.dcm\): expected RescaleSlope above 0, found 0"),
        (setting(3, RescaleSlope="-1"), DicomError, r"\(slice003\.dcm\): expected RescaleSlope above 0, found -1"),
        (setting(3, RescaleType="MGML"), DicomError, r"\(slice003\.dcm\): expected RescaleType HU, found MGML"),
        (without_sop_uid(3), DicomError, r"identif.* \(slice003\.dcm\): expected SOPInstanceUID"),
        (setting(SeriesInstanceUID=None), DicomError, r"identif.* \(slice000\.dcm\): expected SeriesInstanceUID"),
        (setting(StudyInstanceUID=None), DicomError, r"identif.* \(slice000\.dcm\): expected StudyInstanceUID"),
    ],
)
def test_a_broken_slice_is_refused_by_its_name(tmp_path, change, error, message):
    write_series(tmp_path, change=change)
    with pytest.raises(error, match=message) as refused:
        read_ct(tmp_path)
    assert "SECRET" not in str(refused.value)
    assert "OTHER" not in str(refused.value)


def test_a_tilted_gantry_is_refused_and_its_angle_told(tmp_path):
    lean = np.tan(np.radians(12)) * 3
    write_series(tmp_path, change=placed(lambda z: [0, lean * z, 3 * z]))
    with pytest.raises(GeometryError, match=r"tilted gantry.*tilt of 12\.0°"):
        read_ct(tmp_path)


@pytest.mark.parametrize("length", [0, 60, 140, 300, 400, 600, 700, -97, -2])
def test_a_file_that_is_cut_off_anywhere_is_named(tmp_path, length):
    write_series(tmp_path)
    path = tmp_path / "slice002.dcm"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match=r"slice002\.dcm"):
        read_ct(tmp_path)


def test_an_empty_folder_no_folder_and_a_folder_without_ct_are_told_apart(tmp_path):
    with pytest.raises(NotFoundError, match="The folder is empty"):
        read_ct(tmp_path)
    with pytest.raises(NotFoundError, match="no such folder"):
        read_ct(tmp_path / "nowhere")
    (tmp_path / "ct.nii.gz").write_bytes(b"\x1f\x8b" + bytes(400))
    with pytest.raises(NotFoundError, match=r"no CT in the folder.*found 1 not DICOM"):
        read_ct(tmp_path)
    (tmp_path / "a.dcm").write_bytes(bytes(400))
    with pytest.raises(DicomError, match=r"cannot be read \(a\.dcm\)"):
        read_ct(tmp_path)


def test_a_single_slice_needs_its_thickness(tmp_path):
    one = Geometry((8, 6, 1), GRID.spacing_mm, frame_of_reference="1.2")
    write_series(tmp_path, grid=one)
    assert read_ct(tmp_path).geometry.spacing_mm == (1, 1.5, 3)
    write_series(tmp_path, grid=one, change=setting(SliceThickness=None))
    with pytest.raises(GeometryError, match="how thick"):
        read_ct(tmp_path)


def test_progress_is_told_from_the_calling_thread(tmp_path):
    import threading

    write_series(tmp_path)
    told = []
    read_ct(tmp_path, progress=lambda stage, done, total: told.append((stage, done, total, threading.get_ident())))
    assert [entry[:3] for entry in told[4::5]] == [("reading headers", 5, 5), ("reading slices", 5, 5)]
    assert {entry[3] for entry in told} == {threading.get_ident()}


def test_a_real_planning_ct_is_what_simpleitk_reads(real_data):
    folder = real_data / "lung1_001" / "CT"
    ct = read_ct(folder)
    oracle = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    assert ct.geometry.size == oracle.GetSize() == (512, 512, 134)
    assert np.array_equal(ct.volume.hu, sitk.GetArrayViewFromImage(oracle))
    assert np.allclose(ct.geometry.to_patient([511, 511, 133]), oracle.TransformIndexToPhysicalPoint([511, 511, 133]))
    assert np.array_equal(read_ct(folder.parent).volume.hu, ct.volume.hu)
