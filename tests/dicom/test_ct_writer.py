"""CT series as DICOM: read back by GDCM, valid by dciodvfy, refused where identity or HU do not fit."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from rt4d.dicom.ct_writer import derived_identity, new_identity, write_ct_series
from rt4d.errors import InputError
from rt4d.geometry import Geometry
from rt4d.phases import CtImage
from rt4d.volumes import Volume
from tests.conftest import needs_program


def image_on(geometry: Geometry) -> CtImage:
    hu = np.random.default_rng(0).integers(-1024, 2000, size=geometry.shape).astype(np.int16)
    return CtImage(Volume(hu, geometry), new_identity(geometry, patient_id="TEST-1", description="test"))


@pytest.mark.parametrize("unsigned", [False, True])
def test_a_series_reads_back_with_its_hu_and_grid_in_every_pose(posed_geometry, tmp_path, unsigned):
    image = image_on(posed_geometry)
    files = write_ct_series(image, tmp_path, unsigned=unsigned)
    read = sitk.ReadImage([str(path) for path in files])
    assert np.array_equal(sitk.GetArrayFromImage(read), image.volume.hu)
    assert read.GetOrigin() == pytest.approx(posed_geometry.origin_mm, abs=1e-4)
    assert read.GetSpacing() == pytest.approx(posed_geometry.spacing_mm, abs=1e-4)
    assert read.GetDirection() == pytest.approx(posed_geometry.direction, abs=1e-5)


def test_uneven_slices_keep_their_own_positions(tmp_path):
    geometry = Geometry((4, 3, 4), (1.0, 1.0, 3.0), (0.0, 0.0, -50.0), slice_offsets_mm=(0.0, 3.0, 6.0, 12.0))
    files = write_ct_series(image_on(geometry), tmp_path)
    heights = [float(pydicom.dcmread(path).ImagePositionPatient[2]) for path in files]
    assert heights == [-50.0, -47.0, -44.0, -38.0]


def test_identity_and_comments_are_written(tmp_path):
    image = image_on(Geometry((4, 3, 2), (1.0, 1.0, 3.0), frame_of_reference="1.2.3"))
    path = write_ct_series(image, tmp_path, series_description="50.0%", image_comments="50.0%", series_number=7)[1]
    read = pydicom.dcmread(path)
    assert (read.PatientID, read.StudyInstanceUID, read.SeriesInstanceUID) == ("TEST-1", image.identity.study_uid, image.identity.series_uid)
    assert read.SOPInstanceUID == image.identity.sop_instance_uids[1]
    assert (read.SeriesDescription, read.ImageComments, read.SeriesNumber, read.InstanceNumber) == ("50.0%", "50.0%", 7, 2)
    assert read.FrameOfReferenceUID == "1.2.3"


def test_a_malformed_value_of_the_source_is_left_out_in_silence(tmp_path, caplog, recwarn):
    image = image_on(Geometry((4, 3, 2), (1.0, 1.0, 3.0)))
    odd = {"PatientBirthDate": "01/02/1950", "StudyDate": "yesterday", "PatientName": "X" * 80, "PositionReferenceIndicator": "P" * 80}
    identity = replace(image.identity, patient=image.identity.patient | odd)
    read = pydicom.dcmread(write_ct_series(CtImage(image.volume, identity), tmp_path)[0])
    assert {read[keyword].value or "" for keyword in odd} == {""}
    assert read.PatientID == "TEST-1"
    assert not caplog.records
    assert not recwarn.list, "what is wrong with it must not reach a log"


def test_names_and_descriptions_come_back_whatever_their_letters(tmp_path):
    image = image_on(Geometry((4, 3, 2), (1.0, 1.0, 3.0)))
    identity = replace(image.identity, patient={"PatientName": "Müller^Änne", "SpecificCharacterSet": "ISO_IR 100"})
    read = pydicom.dcmread(write_ct_series(CtImage(image.volume, identity), tmp_path, series_description="呼吸", image_comments="呼吸")[0])
    assert (str(read.PatientName), read.SeriesDescription, read.ImageComments) == ("Müller^Änne", "呼吸", "呼吸")


@needs_program("dciodvfy")
@pytest.mark.parametrize("kind", [("ORIGINAL", "PRIMARY", "AXIAL"), ("DERIVED", "SECONDARY", "AXIAL")])
@pytest.mark.parametrize("unsigned", [False, True])
def test_files_are_valid_by_dciodvfy(tmp_path, kind, unsigned):
    geometry = Geometry((8, 6, 2), (0.9765625, 0.9765625, 3.0), (-1 / 3, 2 / 3, -100 / 7), frame_of_reference="1.2.3")
    path = write_ct_series(image_on(geometry), tmp_path, image_type=kind, unsigned=unsigned)[0]
    said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False).stderr
    assert "Error" not in said


def test_float_hu_are_rounded_to_the_nearest(tmp_path):
    geometry = Geometry((2, 2, 1), (1.0, 1.0, 1.0))
    image = CtImage(Volume(np.array([[[-0.6, 0.4], [1.6, 99.5]]]), geometry), new_identity(geometry))
    assert pydicom.dcmread(write_ct_series(image, tmp_path)[0]).pixel_array.tolist() == [[-1, 0], [2, 100]]


def test_hu_beyond_16_bits_are_refused(tmp_path):
    geometry = Geometry((2, 1, 1), (1.0, 1.0, 1.0))
    image = CtImage(Volume(np.array([[[0, 70000]]]), geometry), new_identity(geometry))
    with pytest.raises(InputError, match=r"16 bits.*70000"):
        write_ct_series(image, tmp_path)


def test_one_uid_for_all_slices_is_refused_and_a_derived_identity_has_its_own(tmp_path):
    image = image_on(Geometry((4, 3, 3), (1.0, 1.0, 3.0)))
    shared = replace(image.identity, sop_instance_uids=("1.2.3",) * 3, frame_numbers=(1, 2, 3))
    with pytest.raises(InputError, match="derived_identity"):
        write_ct_series(CtImage(image.volume, shared), tmp_path)
    derived = derived_identity(shared, description="average")
    assert derived.study_uid == shared.study_uid
    assert derived.patient == shared.patient
    assert derived.series_uid != shared.series_uid
    assert len(write_ct_series(CtImage(image.volume, derived), tmp_path)) == 3


def test_uids_from_a_seed_are_the_same_again_and_fresh_without():
    geometry = Geometry((2, 2, 2), (1.0, 1.0, 1.0))
    assert new_identity(geometry, seed="a") == new_identity(geometry, seed="a")
    assert new_identity(geometry).series_uid != new_identity(geometry).series_uid
