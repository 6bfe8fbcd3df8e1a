"""ROIs added to another's structure set: what was there stays as it was, byte for byte, and the whole stays valid."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

import rt4d
from rt4d.dicom.structure_writer import write_rtstruct
from rt4d.dicom.structures import read_rtstruct, summarise_rtstruct
from rt4d.errors import ContourError, DicomError, NotFoundError
from rt4d.geometry import Geometry
from rt4d.phases import CtImage
from rt4d.rois import Roi
from rt4d.volumes import Mask
from tests.conftest import needs_program
from tests.dicom.drawn import (
    FRAME,
    PATIENT,
    Drawn,
    box,
    ct_image,
    grid,
    listing_another,
    polygon,
    referring,
    saved,
    structure_set,
    without_uids,
    write_ct,
)

SEQUENCES = ("StructureSetROISequence", "ROIContourSequence", "RTROIObservationsSequence")


@pytest.fixture
def ct() -> CtImage:
    return ct_image(grid())


def block(on: CtImage, name: str = "ITV", kind: str = "ITV") -> Roi:
    inside = np.zeros(on.geometry.shape, dtype=bool)
    inside[2:5, 3:7, 2:8] = True
    inside[3, 4, 4] = False
    return Roi(name, Mask(inside, on.geometry), kind)


def drawn_set(on: CtImage, **kwargs: object) -> pydicom.FileDataset:
    gtv = Drawn("GTV", [polygon(on.geometry, box(1.5, 1.5, 5.5, 4.5), z) for z in (2, 3)], number=7)
    heart = Drawn("Heart", [polygon(on.geometry, box(5.5, 5.5, 9.5, 8.5), z) for z in (2, 3)], number=3, kind="ORGAN")
    return structure_set(on, gtv, heart, **kwargs)


def contents(dataset: Dataset) -> list[tuple[object, ...]]:
    """Every element as it stands in the file: tag and the bytes of its value, sequences item by item."""
    found: list[tuple[object, ...]] = []
    for tag in sorted(dataset.keys()):
        raw = dataset.get_item(tag)
        if raw.VR == "SQ" or (raw.VR in (None, "UN") and isinstance(dataset[tag].value, pydicom.Sequence)):
            found.append((tag, [contents(item) for item in dataset[tag].value]))
        else:
            found.append((tag, bytes(raw.value or b"") if isinstance(raw, pydicom.dataelem.RawDataElement) else raw.value))
    return found


def assert_rest_untouched(before: Path, after: Path) -> None:
    old, new = pydicom.dcmread(before, force=True), pydicom.dcmread(after)
    for keyword in SEQUENCES:
        there = [contents(item) for item in old.get(keyword) or []]
        assert [contents(item) for item in new[keyword].value][: len(there)] == there
    ours = ("SOPInstanceUID", "SeriesInstanceUID", "InstanceCreationDate", "InstanceCreationTime", "StructureSetDate", "StructureSetTime")
    ours += ("ApprovalStatus", "ContributingEquipmentSequence", "PredecessorStructureSetSequence", "ReferencedFrameOfReferenceSequence")
    old, new = pydicom.dcmread(before, force=True), pydicom.dcmread(after)
    for dataset in (old, new):
        for keyword in (*SEQUENCES, *ours):
            if keyword in dataset:
                del dataset[keyword]
    assert contents(new) == contents(old)


def test_what_was_there_stays_and_the_new_roi_comes_after_it(tmp_path: Path, ct: CtImage) -> None:
    existing = saved(drawn_set(ct), tmp_path / "there.dcm")
    bytes_there = existing.read_bytes()
    path = write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[block(ct), block(ct, "PTV", "PTV")], into=existing)
    assert existing.read_bytes() == bytes_there
    assert_rest_untouched(existing, path)
    whole = path.read_bytes()
    for keyword in SEQUENCES:
        assert pydicom.dcmread(existing).get_item(keyword).value in whole, "as one run of bytes"
    new, old = pydicom.dcmread(path), pydicom.dcmread(existing)
    assert [item.ROINumber for item in new.StructureSetROISequence] == [7, 3, 8, 9]
    assert [item.ReferencedROINumber for item in new.ROIContourSequence] == [7, 3, 8, 9]
    assert [(item.ObservationNumber, item.ReferencedROINumber) for item in new.RTROIObservationsSequence] == [(1, 7), (2, 3), (3, 8), (4, 9)]
    assert new.SOPInstanceUID == new.file_meta.MediaStorageSOPInstanceUID != old.SOPInstanceUID
    assert new.SeriesInstanceUID != old.SeriesInstanceUID
    assert (new.StudyInstanceUID, new.StructureSetLabel, new.Manufacturer) == (old.StudyInstanceUID, "drawn", "nobody")
    assert new.PredecessorStructureSetSequence[0].ReferencedSOPInstanceUID == old.SOPInstanceUID
    assert new.ContributingEquipmentSequence[0].Manufacturer == "rt4d"
    before, after = read_rtstruct(existing, on=ct), read_rtstruct(path, on=ct)
    assert list(after) == ["GTV", "Heart", "ITV", "PTV"]
    assert all(np.array_equal(after[name].inside, before[name].inside) for name in before)
    assert np.array_equal(after["ITV"].inside, block(ct).mask.inside)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("undefined_length", [False, True])
def test_every_encoding_is_kept(tmp_path: Path, ct: CtImage, syntax: pydicom.uid.UID, undefined_length: bool) -> None:
    dataset = drawn_set(ct)
    for keyword in SEQUENCES:
        dataset[keyword].is_undefined_length = undefined_length
        for item in dataset[keyword].value:
            item.is_undefined_length_sequence_item = undefined_length
    dataset.file_meta.TransferSyntaxUID = syntax
    existing = saved(pydicom.dcmread(resaved(dataset, tmp_path / "made.dcm", syntax)), tmp_path / "there.dcm")
    path = write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[block(ct)], into=existing)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == syntax
    assert_rest_untouched(existing, path)
    assert np.array_equal(read_rtstruct(path, on=ct)["ITV"].inside, block(ct).mask.inside)


def resaved(dataset: pydicom.FileDataset, path: Path, syntax: pydicom.uid.UID) -> Path:
    pydicom.dcmwrite(path, dataset, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    return path


@pytest.mark.filterwarnings("ignore:The value for the data element")
def test_contours_of_more_than_64_kib_keep_their_place_in_an_explicit_encoding(tmp_path: Path) -> None:
    geometry = Geometry((300, 300, 2), (1.0, 1.0, 3.0), frame_of_reference=FRAME)
    ct = ct_image(geometry)
    turn = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    rim = np.column_stack([150 + 100 * np.cos(turn), 150 + 100 * np.sin(turn)])
    dataset = structure_set(ct, Drawn("Body", [polygon(geometry, rim, 0)]))
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    existing = resaved(dataset, tmp_path / "there.dcm", ExplicitVRLittleEndian)
    comb = np.zeros(geometry.shape, dtype=bool)
    comb[1, ::2] = comb[1, :, 0] = True
    path = write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[Roi("comb", Mask(comb, geometry))], into=existing)
    assert_rest_untouched(existing, path)
    data = [contour.get_item("ContourData") for roi in pydicom.dcmread(path).ROIContourSequence for contour in roi.ContourSequence]
    assert [element.VR for element in data] == ["UN", "DS"]
    after = read_rtstruct(path, on=ct)
    assert np.array_equal(after["comb"].inside, comb)
    assert np.array_equal(after["Body"].inside, read_rtstruct(existing, on=ct)["Body"].inside)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_a_new_contour_of_more_than_64_kib_is_refused_where_the_encoding_cannot_hold_it(tmp_path: Path, syntax: pydicom.uid.UID) -> None:
    geometry = Geometry((200, 200, 2), (0.977, 0.977, 3.0), (-195.1234, -195.1234, 0.0), frame_of_reference=FRAME)
    ct = ct_image(geometry)
    gtv = Drawn("GTV", [polygon(geometry, box(1.5, 1.5, 5.5, 4.5), 0)])
    dataset = structure_set(ct, gtv)
    dataset.file_meta.TransferSyntaxUID = syntax
    existing = resaved(dataset, tmp_path / "there.dcm", syntax)
    comb = np.zeros(geometry.shape, dtype=bool)
    comb[1, ::4] = comb[1, :, 0] = comb[1, 1::4, ::2] = True
    rois = [Roi("comb", Mask(comb, geometry))]
    if syntax == ExplicitVRLittleEndian:
        with pytest.raises(ContourError, match=r"ROI comb has a contour that is too long.*there\.dcm.*65535 bytes, found \d+ bytes.*of its own"):
            write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=rois, into=existing)
        assert not (tmp_path / "RS.dcm").exists()
    else:
        contours = read_rtstruct(write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=rois, into=existing), on=ct)
        assert np.array_equal(contours["comb"].inside, comb)


@pytest.mark.parametrize(
    ("characters", "there", "name", "own"),
    [
        ("ISO_IR 192", "Tumör 肺", "肺", None),
        ("ISO_IR 100", "Tumör", "Lunge übrig", None),
        ("ISO_IR 100", "Tumör", "肺", "ISO_IR 192"),
        ("", "GTV", "Ü", "ISO_IR 192"),
        ("\\ISO 2022 IR 87", "\x1b$B7Y\x1b(B", "ITV", None),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_names_keep_their_letters_in_any_character_set(tmp_path: Path, ct: CtImage, characters: str, there: str, name: str, own: str | None) -> None:
    dataset = drawn_set(ct)
    dataset.SpecificCharacterSet = characters.split("\\") if "\\" in characters else characters
    dataset.StructureSetROISequence[0].ROIName = there
    existing = saved(dataset, tmp_path / "there.dcm")
    path = write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[replace(block(ct), name=name)], into=existing)
    assert_rest_untouched(existing, path)
    assert pydicom.dcmread(path).StructureSetROISequence[-1].get("SpecificCharacterSet") == own
    assert read_rtstruct(path, on=ct).names == (*read_rtstruct(existing, on=ct).names, name)


def test_a_character_set_that_nobody_knows_is_kept(tmp_path: Path, ct: CtImage, recwarn: pytest.WarningsRecorder) -> None:
    dataset = drawn_set(ct)
    dataset.SpecificCharacterSet = "ISO_IR 100"
    existing = saved(dataset, tmp_path / "there.dcm")
    existing.write_bytes(existing.read_bytes().replace(b"ISO_IR 100", b"ISO_IR 999"))
    path = write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[block(ct)], into=existing)
    assert b"ISO_IR 999" in path.read_bytes()
    assert b"ITV" in path.read_bytes()
    assert not recwarn.list


def test_a_name_that_is_there_is_refused_and_nothing_is_written(tmp_path: Path, ct: CtImage) -> None:
    existing = saved(drawn_set(ct), tmp_path / "there.dcm")
    with pytest.raises(ContourError, match=r"already in the structure set.*found gtv.*another name"):
        write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[block(ct, "gtv")], into=existing)
    assert not (tmp_path / "RS.dcm").exists()


def test_short_names_keep_clear_of_those_that_are_there(tmp_path: Path, ct: CtImage) -> None:
    dataset = drawn_set(ct)
    dataset.StructureSetROISequence[0].ROIName = "Tumour_left_uppe"
    existing = saved(dataset, tmp_path / "there.dcm")
    path = write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[block(ct, "Tumour_left_upper_lobe")], into=existing, names="short")
    assert read_rtstruct(path, on=ct).names == ("Tumour_left_uppe", "Heart", "Tumour_left_up~2")
    assert pydicom.dcmread(path).StructureSetROISequence[-1].ROIDescription == "Tumour_left_upper_lobe"


def test_another_patient_another_frame_and_what_is_no_structure_set_are_refused(tmp_path: Path, ct: CtImage) -> None:
    other = saved(drawn_set(ct, patient=PATIENT | {"PatientID": "P-2", "PatientName": "Other"}), tmp_path / "other.dcm")
    with pytest.raises(ContourError, match="different patients") as raised:
        write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[block(ct)], into=other)
    assert "P-2" not in str(raised.value)
    elsewhere = Drawn("GTV", [polygon(ct.geometry, box(1.5, 1.5, 5.5, 4.5), 2)], frame="1.2.3.4")
    away = saved(structure_set(ct, elsewhere, frame="1.2.3.4"), tmp_path / "away.dcm")
    with pytest.raises(ContourError, match=r"another frame of reference.*found.*1\.2\.3\.4.*of their own"):
        write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[block(ct)], into=away)
    with pytest.raises(NotFoundError):
        write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[block(ct)], into=tmp_path / "absent.dcm")
    image = write_ct(ct, tmp_path / "CT") / "000.dcm"
    with pytest.raises(DicomError, match="Not a structure set"):
        write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[block(ct)], into=image)
    assert not (tmp_path / "RS.dcm").exists()


def test_images_that_the_source_does_not_reference_are_added(tmp_path: Path, ct: CtImage) -> None:
    existing = saved(drawn_set(without_uids(ct)), tmp_path / "there.dcm")
    path = write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[block(ct)], into=existing)
    summary = summarise_rtstruct(path)
    assert set(ct.identity.sop_instance_uids) < set(summary.referenced_sop_uids)
    assert summary.frames_of_reference == (FRAME,)
    assert_rest_untouched(existing, path)


def test_a_series_that_the_source_lists_is_not_listed_twice_where_its_contours_name_another(tmp_path: Path, ct: CtImage) -> None:
    other = ct_image(grid())
    dataset = referring(listing_another(drawn_set(ct), other), *other.identity.sop_instance_uids[2:4])
    path = write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[block(ct)], into=saved(dataset, tmp_path / "there.dcm"))
    listed = pydicom.dcmread(path).ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence
    assert [len(series.ContourImageSequence) for study in listed for series in study.RTReferencedSeriesSequence] == [8, 8]


def test_approval_and_signature_do_not_pass_to_what_was_added(tmp_path: Path, ct: CtImage) -> None:
    dataset = drawn_set(ct)
    dataset.ApprovalStatus, dataset.ReviewDate, dataset.ReviewTime, dataset.ReviewerName = "APPROVED", "20260101", "101010", "Doctor"
    path = write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[block(ct)], into=saved(dataset, tmp_path / "there.dcm"))
    after = pydicom.dcmread(path)
    assert after.ApprovalStatus == "UNAPPROVED"
    assert "ReviewerName" not in after


@pytest.mark.filterwarnings("ignore")
def test_rois_of_rt_utils_read_the_same_beside_ours(tmp_path: Path) -> None:
    from rt_utils import RTStructBuilder

    geometry = Geometry((40, 40, 12), (1.0, 1.0, 3.0), (-20.0, -18.0, -100.0), frame_of_reference=FRAME)
    ct = ct_image(geometry)
    theirs = RTStructBuilder.create_new(str(write_ct(ct, tmp_path / "CT")))
    mask = np.zeros(geometry.shape, dtype=bool)
    mask[3:7, 10:20, 8:18] = True
    theirs.add_roi(mask=np.ascontiguousarray(np.moveaxis(mask, 0, 2)), name="box")
    theirs.save(str(tmp_path / "theirs.dcm"))
    path = write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[block(ct)], into=tmp_path / "theirs.dcm")
    assert_rest_untouched(tmp_path / "theirs.dcm", path)
    after = read_rtstruct(path, on=ct)
    assert np.array_equal(after["box"].inside, mask), "traced through centres, as its manufacturer tells"
    assert np.array_equal(after["ITV"].inside, block(ct).mask.inside)
    again = RTStructBuilder.create_from(str(tmp_path / "CT"), str(path))
    assert again.get_roi_names() == ["box", "ITV"]
    assert_no_new_errors(tmp_path / "theirs.dcm", path)


@needs_program("dciodvfy")
@pytest.mark.parametrize("name", ["ITV", "肺"])
def test_dciodvfy_finds_no_error_that_was_not_there(tmp_path: Path, ct: CtImage, name: str) -> None:
    roi = Roi("GTV", block(ct).mask, "GTV", "a ball")
    existing = write_rtstruct(tmp_path / "there.dcm", on=ct, rois=[roi])
    path = write_rtstruct(tmp_path / "RS.dcm", on=without_uids(ct), rois=[replace(block(ct), name=name)], into=existing)
    assert_no_new_errors(existing, path)


def assert_no_new_errors(before: Path, after: Path) -> None:
    new = errors(after) - errors(before)
    assert not new, "\n".join(sorted(new))


def errors(path: Path) -> set[str]:
    said = subprocess.run(["dciodvfy", path], capture_output=True, check=False)
    return {line for line in (said.stderr + said.stdout).decode(errors="replace").splitlines() if line.startswith("Error")}


@pytest.fixture(scope="module")
def clinical_ct(real_data: Path) -> CtImage:
    return rt4d.read_ct(real_data / "lung1_001" / "CT")


@needs_program("dciodvfy")
@pytest.mark.parametrize("source", ["XiO", "ARIA"])
def test_rois_are_added_to_clinical_structure_sets(tmp_path: Path, real_data: Path, clinical_ct: CtImage, source: str) -> None:
    ct = clinical_ct
    existing = real_data / "lung1_001" / f"RTSTRUCT_{source}.dcm"
    if source == "ARIA":  # drawn on another frame of reference and study
        with pytest.raises(ContourError, match="another frame of reference"):
            write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[ball_in(ct)], into=existing)
        frame = summarise_rtstruct(existing).frames_of_reference[0]
        ct = CtImage(replace(ct.volume, geometry=replace(ct.geometry, frame_of_reference=frame)), ct.identity)
    path = write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[ball_in(ct)], into=existing)
    assert_rest_untouched(existing, path)
    assert_no_new_errors(existing, path)
    before, after = read_rtstruct(existing, on=ct), read_rtstruct(path, on=ct)
    assert np.array_equal(after["GTV-1"].inside, before["GTV-1"].inside)
    assert np.array_equal(after["rt4d ball"].inside, ball_in(ct).mask.inside)


def ball_in(on: CtImage) -> Roi:
    z, y, x = np.ogrid[: on.geometry.size[2], : on.geometry.size[1], : on.geometry.size[0]]
    return Roi("rt4d ball", Mask((3 * (z - 60.0)) ** 2 + (y - 250) ** 2 + (x - 200) ** 2 < 30**2, on.geometry), "ITV")
