from __future__ import annotations

import json
import shutil

import pytest
from pydicom.dataset import Dataset

from rt4d.dicom.fourdct import scan
from rt4d.errors import NotFoundError
from tests.dicom.make import GRID, ROOT, common, item, save, setting, without_sop_uid, write_4dct, write_series


def structure_set(path) -> Dataset:
    ds = common(GRID, series="70", study="1")
    ds.Modality, ds.SOPClassUID, ds.SOPInstanceUID = "RTSTRUCT", "1.2.840.10008.5.1.4.1.1.481.3", f"{ROOT}.70"
    ds.StructureSetLabel = "plan"
    ds.StructureSetROISequence = item(ROINumber=1, ROIName="GTV", ReferencedFrameOfReferenceUID=GRID.frame_of_reference)
    ds.ROIContourSequence, ds.RTROIObservationsSequence = [], []
    save(ds, path)
    return ds


def test_everything_in_a_folder_is_told_with_its_role(tmp_path):
    write_4dct(tmp_path)
    write_series(tmp_path / "average", description="AVE 0-100%", series="60")
    write_series(tmp_path / "planning", description="Planning", series="61")
    write_series(tmp_path / "mr", description="T2", series="62", change=setting(Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4"))
    structure_set(tmp_path / "rs.dcm")
    (tmp_path / "readme.txt").write_text("hello")
    found = scan(tmp_path)
    assert [(s.role, s.phases, s.images) for s in found.series] == [
        ("phase", ("00",), 5), ("phase", ("20",), 5), ("phase", ("50",), 5), ("phase", ("80",), 5), ("average", (), 5), ("ct", (), 5),
        ("other", (), 5),
    ]  # fmt: skip
    assert found.series[0].grid == "8×6×5, 1×1.5×3 mm"
    assert (found.series[4].folder, found.series[6].modality) == ("average", "MR")
    assert [(s.path, s.label, s.roi_names) for s in found.structure_sets] == [("rs.dcm", "plan", ("GTV",))]
    assert found.structure_sets[0].frames_of_reference == (GRID.frame_of_reference,)
    [four_d_ct] = found.four_d_cts
    assert (four_d_ct.labels, four_d_ct.told_by, four_d_ct.reference) == (("00", "20", "50", "80"), "SeriesDescription", "50")
    assert (found.problems, found.files, found.others) == ((), 36, 1)
    assert found.rows()[0] == ("phase", "00", "CT", "0.0%", "5", "8×6×5, 1×1.5×3 mm", "p0", "patient A")
    assert len(found.SERIES_COLUMNS) == len(found.rows()[0])
    assert found.structure_rows() == [("rs.dcm", "plan", "GTV", "patient A")]


def test_patients_are_told_apart_but_not_named(tmp_path):
    write_series(tmp_path / "a", description="one")
    write_series(tmp_path / "b", description="two", series="2", study="2", change=setting(PatientID="HIDDEN", PatientName="HIDDEN^TOO"))
    found = scan(tmp_path)
    assert [s.patient for s in found.series] == ["patient A", "patient B"]
    text = json.dumps(found.to_dict()) + repr(found)
    assert "two patients" in text
    assert not any(secret in text for secret in ("SECRET", "HIDDEN", "19500101"))


def test_phases_that_share_a_series_are_told_in_it(tmp_path):
    changes = {p: setting(SeriesInstanceUID=f"{ROOT}.7", ImageComments=f"{p}%") for p in (0, 20, 50, 80)}
    write_4dct(tmp_path, text="Thorax", changes=changes)
    found = scan(tmp_path)
    assert [(s.phases, s.images) for s in found.series] == [(("00", "20", "50", "80"), 20)]
    assert found.four_d_cts[0].series_uids == (f"{ROOT}.7",)


def test_two_4dcts_of_two_studies_are_both_listed(tmp_path):
    write_4dct(tmp_path / "a")
    write_4dct(tmp_path / "b", study="2")
    found = scan(tmp_path)
    assert len(found.four_d_cts) == 2
    assert any("There are 2 4D-CTs" in problem for problem in found.problems)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda ds, z: z == 2, "A slice is missing in phase 50 (between p2/slice001.dcm and p2/slice003.dcm)"),
        (setting(1, ImageComments="60%"), "A file contradicts itself about its phase (p2/slice001.dcm)"),
        (setting(2, ImagePositionPatient=None), "p2/slice002.dcm"),
        (setting(1, RescaleSlope=None), "Hounsfield units (p2/slice001.dcm): expected RescaleSlope"),
        (without_sop_uid(1), "(p2/slice001.dcm): expected SOPInstanceUID"),
        (setting(PatientPosition="FFS"), "different patient positions"),
        (setting(2, PixelData=bytes(9)), "A file is cut off (p2/slice002.dcm)"),
    ],
)
def test_what_would_be_refused_is_told_as_a_problem(tmp_path, change, problem):
    write_4dct(tmp_path, changes={50: change})
    found = scan(tmp_path)
    assert any(problem in sentence for sentence in found.problems)
    assert found.four_d_cts == ()
    assert len(found.series) == 4


def test_files_that_cannot_be_read_are_problems_and_others_are_counted(tmp_path):
    write_series(tmp_path / "a")
    (tmp_path / "broken.dcm").write_bytes(bytes(500))
    (tmp_path / "stub").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "image.nii.gz").write_bytes(b"\x1f\x8b" + bytes(500))
    structure_set(tmp_path / "rs.dcm")
    cut = (tmp_path / "rs.dcm").read_bytes()
    (tmp_path / "rs.dcm").write_bytes(cut[: cut.index(b"GTV")])
    found = scan(tmp_path)
    for name in ("broken.dcm", "stub", "rs.dcm"):
        assert sum(name in problem for problem in found.problems) == 1
    assert found.others == 1


def test_two_images_of_one_uid_are_a_problem(tmp_path):
    write_series(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert scan(tmp_path).notes == ("5 files are copies of others and count once.",)
    path = tmp_path / "b" / "slice002.dcm"
    path.write_bytes(path.read_bytes()[:-2] + b"\x01\x02")
    assert "same SOPInstanceUID" in scan(tmp_path).problems[0]


def test_an_empty_folder_is_told_and_a_missing_one_refused(tmp_path):
    found = scan(tmp_path)
    assert (found.series, found.problems, found.files) == ((), (), 0)
    with pytest.raises(NotFoundError, match="no such folder"):
        scan(tmp_path / "nowhere")


def test_real_folders_have_no_problems(real_data):
    found = scan(real_data / "4dct_philips")
    assert [len(f.labels) for f in found.four_d_cts] == [10]
    assert found.problems == ()
    found = scan(real_data / "lung1_001")
    assert [(s.role, s.images) for s in found.series] == [("ct", 134)]
    assert {len(s.roi_names) for s in found.structure_sets} == {17, 4}
    assert found.problems == ()
