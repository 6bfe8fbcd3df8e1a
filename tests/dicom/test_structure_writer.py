"""Structure sets written: exact when read back, whole, and accepted by programs that are not ours."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import rt4d
from rt4d.dicom.roi_names import Naming
from rt4d.dicom.structure_items import decimal_text
from rt4d.dicom.structure_writer import write_rtstruct
from rt4d.dicom.structures import read_rtstruct
from rt4d.errors import ContourError, DicomError, GeometryError, InputError, OutputError
from rt4d.geometry import Geometry
from rt4d.phases import CtImage
from rt4d.rois import Roi
from rt4d.volumes import Mask, Volume
from tests.conftest import POSES, needs_program
from tests.dicom.drawn import FRAME, PATIENT, Drawn, ball, ct_image, grid, polygon, saved, structure_set, write_ct

SMALL = (6, 5, 4)


@pytest.fixture
def ct() -> CtImage:
    return ct_image(grid())


def written(tmp_path: Path, on: CtImage, *rois: Roi) -> pydicom.Dataset:
    return pydicom.dcmread(write_rtstruct(tmp_path / "RS.dcm", on=on, rois=rois or (ball(on),)))


@pytest.mark.parametrize("pose", POSES)
@pytest.mark.parametrize("uneven", [False, True], ids=["even", "uneven"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(inside=arrays(bool, SMALL[::-1]).filter(np.any), shift=st.floats(-900, 900))
def test_mask_to_structure_set_to_mask_is_the_identity(tmp_path: Path, pose: str, uneven: bool, inside: np.ndarray, shift: float) -> None:
    offsets = (0.0, 2.0, 5.0, 6.5) if uneven else None
    geometry = Geometry(SMALL, (0.9765625, 1.1, 2.5), (shift, -shift / 3, 1 / 3), POSES[pose], FRAME, offsets)
    ct = ct_image(geometry)
    write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[Roi("any", Mask(inside, geometry))])
    for boundary in (None, "half-open", "inclusive"):
        assert np.array_equal(read_rtstruct(tmp_path / "RS.dcm", on=ct, boundary=boundary)["any"].inside, inside)


def test_holes_islands_single_voxels_corners_and_edges_come_back(tmp_path: Path, ct: CtImage) -> None:
    inside = np.zeros(ct.geometry.shape, dtype=bool)
    inside[0] = True
    inside[1, 1:9, 1:11] = True
    inside[1, 3:7, 3:9] = False
    inside[1, 4:6, 5:7] = True
    inside[2, 4, 4] = inside[2, 0, 0] = inside[2, -1, -1] = True
    inside[3] = np.indices((10, 12)).sum(axis=0) % 2 == 0
    inside[7, :, 0] = True
    write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[Roi("odd", Mask(inside, ct.geometry))])
    assert np.array_equal(read_rtstruct(tmp_path / "RS.dcm", on=ct)["odd"].inside, inside)


def test_the_object_says_what_the_standard_and_planning_systems_ask_for(tmp_path: Path, ct: CtImage) -> None:
    rois = (
        ball(ct, name="GTV_T50", kind="GTV"),
        ball(ct, 6, name="ITV", kind="ITV", description="union of 10 phases", colour=(1, 2, 3)),
        ball(ct, name="x"),
    )
    ds = written(tmp_path, ct, *rois)
    assert (ds.Modality, ds.SOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID) == ("RTSTRUCT", "1.2.840.10008.5.1.4.1.1.481.3", ds.SOPInstanceUID)
    assert (ds.PatientName, ds.PatientID, ds.StudyInstanceUID, ds.StudyDate) == ("Phantom^Rose", "P-1", ct.identity.study_uid, "20260102")
    assert (ds.Manufacturer, ds.SoftwareVersions, ds.ApprovalStatus, ds.StructureSetLabel) == ("rt4d", rt4d.__version__, "UNAPPROVED", "rt4d")
    assert ds.SeriesInstanceUID != ct.identity.series_uid
    assert [item.ROINumber for item in ds.StructureSetROISequence] == [1, 2, 3]
    assert {item.ROIGenerationAlgorithm for item in ds.StructureSetROISequence} == {"AUTOMATIC"}
    assert {item.ReferencedFrameOfReferenceUID for item in ds.StructureSetROISequence} == {FRAME} == {ds.FrameOfReferenceUID}
    assert ds.StructureSetROISequence[1].ROIDescription == "union of 10 phases"
    assert [item.RTROIInterpretedType for item in ds.RTROIObservationsSequence] == ["GTV", "CTV", ""], "no interpreted type is for an ITV"
    assert ds.RTROIObservationsSequence[1].TherapeuticRoleTypeCodeSequence[0].CodeValue == "130056", "the code of an ITV"
    assert list(ds.ROIContourSequence[1].ROIDisplayColor) == [1, 2, 3]


def test_references_lead_from_the_frame_to_every_slice_and_from_each_contour_to_its_own(tmp_path: Path, ct: CtImage) -> None:
    ds = written(tmp_path, ct)
    (frame,) = ds.ReferencedFrameOfReferenceSequence
    (study,) = frame.RTReferencedStudySequence
    (series,) = study.RTReferencedSeriesSequence
    assert (frame.FrameOfReferenceUID, study.ReferencedSOPInstanceUID, series.SeriesInstanceUID) == (
        FRAME,
        ct.identity.study_uid,
        ct.identity.series_uid,
    )
    assert [image.ReferencedSOPInstanceUID for image in series.ContourImageSequence] == list(ct.identity.sop_instance_uids)
    numbers = []
    for contour in ds.ROIContourSequence[0].ContourSequence:
        points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
        z = round(float(ct.geometry.to_index(points)[0, 2]))
        assert contour.ContourImageSequence[0].ReferencedSOPInstanceUID == ct.identity.sop_instance_uids[z]
        assert contour.NumberOfContourPoints == len(points) >= 3
        assert contour.ContourGeometricType == "CLOSED_PLANAR"
        numbers.append(contour.ContourNumber)
    assert numbers == list(range(1, len(numbers) + 1))


def test_frames_of_a_multi_frame_ct_are_told_by_number(tmp_path: Path) -> None:
    ct = ct_image(grid(), multi_frame=True)
    ds = written(tmp_path, ct)
    images = ds.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].ContourImageSequence
    assert [image.ReferencedFrameNumber for image in images] == list(range(1, 9))
    assert len({image.ReferencedSOPInstanceUID for image in images}) == 1


@settings(max_examples=200, deadline=None)
@given(numbers=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9))
def test_decimal_strings_have_at_most_16_characters_and_keep_a_tenth_of_a_micrometre(numbers: list[float]) -> None:
    texts = decimal_text(np.array(numbers)).split("\\")
    assert max(map(len, texts)) <= 16
    assert np.abs(np.array(texts, dtype=float) - numbers).max() <= 0.5001e-4
    assert not any("e" in text or text == "-0" for text in texts)


@pytest.mark.parametrize(
    ("patient", "name", "expected"),
    [
        (PATIENT, "GTV", "ISO_IR 100"),
        (PATIENT | {"PatientName": "Müller^Änne", "SpecificCharacterSet": "ISO_IR 100"}, "GTV", "ISO_IR 100"),
        (PATIENT | {"PatientName": "Müller^Änne", "SpecificCharacterSet": "ISO_IR 192"}, "GTV", "ISO_IR 192"),
        (PATIENT | {"PatientName": "Müller^Änne"}, "GTV", "ISO_IR 192"),
        (PATIENT | {"PatientName": "Müller^Änne", "SpecificCharacterSet": "ISO_IR 100"}, "肺", "ISO_IR 192"),
        (PATIENT | {"SpecificCharacterSet": "\\ISO 2022 IR 87"}, "GTV", "ISO_IR 100"),
        ({}, "GTV", "ISO_IR 100"),
    ],
)
def test_names_come_back_whatever_their_letters(tmp_path: Path, patient: dict[str, str], name: str, expected: str) -> None:
    ct = ct_image(grid(), patient)
    ds = written(tmp_path, ct, ball(ct, name=name))
    assert ds.SpecificCharacterSet == expected
    assert ds.PatientName == patient.get("PatientName", "")
    assert read_rtstruct(tmp_path / "RS.dcm", on=ct)[name].inside.any()


def test_a_malformed_value_of_the_source_is_left_out_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ct = ct_image(grid(), PATIENT | {"PatientBirthDate": "about 1950", "StudyDate": "yesterday"})
    ds = written(tmp_path, ct)
    assert (ds.PatientBirthDate, ds.StudyDate) == ("", "")
    assert not caplog.records, "what is wrong with it must not reach a log"


def test_names_that_differ_in_case_alone_are_two_rois_which_are_read_back_each_for_itself(tmp_path: Path, ct: CtImage) -> None:
    rois = [ball(ct), replace(ball(ct, 6), name="gtv")]
    contours = read_rtstruct(write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=rois), on=ct)
    assert all(np.array_equal(contours[roi.name].inside, roi.mask.inside) for roi in rois)


def test_what_cannot_be_written_right_is_refused(tmp_path: Path, ct: CtImage) -> None:
    path = tmp_path / "RS.dcm"
    empty = Roi("PTV", Mask(np.zeros(ct.geometry.shape, dtype=bool), ct.geometry))
    other = ct_image(grid("HFP"))
    with pytest.raises(ContourError, match="at least one ROI"):
        write_rtstruct(path, on=ct, rois=[])
    with pytest.raises(ContourError, match="same name: found GTV"):
        write_rtstruct(path, on=ct, rois=[ball(ct), ball(ct)])
    with pytest.raises(ContourError, match="same name: found GTV"):
        write_rtstruct(path, on=ct, rois=[ball(ct), replace(ball(ct), name="GTV ")])
    with pytest.raises(ContourError, match="ROI PTV is empty"):
        write_rtstruct(path, on=ct, rois=[ball(ct), empty])
    with pytest.raises(GeometryError, match="ROI GTV lies on another grid than the CT"):
        write_rtstruct(path, on=other, rois=[ball(ct)])
    with pytest.raises(ContourError, match=r"unknown kind.*found GVT"):
        write_rtstruct(path, on=ct, rois=[ball(ct, kind="GVT")])
    with pytest.raises(InputError, match="1 to 16 characters"):
        write_rtstruct(path, on=ct, rois=[ball(ct)], label="seventeen letters")
    bare = ct_image(replace(ct.geometry, frame_of_reference=""))
    with pytest.raises(DicomError, match="without a frame of reference"):
        write_rtstruct(path, on=bare, rois=[ball(bare)])
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_whole_leaves_nothing_and_keeps_the_old_one(
    tmp_path: Path, ct: CtImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[ball(ct)])
    before = path.read_bytes()

    def full(self: pydicom.FileDataset, filename: Path, **_: object) -> None:
        Path(filename).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pydicom.FileDataset, "save_as", full)
    with pytest.raises(OutputError, match="No space left on device"):
        write_rtstruct(path, on=ct, rois=[ball(ct, 6)])
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["RS.dcm"]
    monkeypatch.undo()
    with pytest.raises(OutputError, match="No such file or directory"):
        write_rtstruct(tmp_path / "absent" / "RS.dcm", on=ct, rois=[ball(ct)])


@needs_program("dciodvfy")
@pytest.mark.parametrize("multi_frame", [False, True])
@pytest.mark.parametrize("names", ["full", "short", "tg263"])
def test_dciodvfy_finds_no_error(tmp_path: Path, multi_frame: bool, names: Naming) -> None:
    ct = ct_image(grid("oblique"), multi_frame=multi_frame)
    rois = [ball(ct, kind="GTV", description="a ball"), ball(ct, 6, "ITV_UNVERIFIED", kind="ITV"), ball(ct, 7, "what is left of the body")]
    write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=rois, names=names)
    said = subprocess.run(["dciodvfy", tmp_path / "RS.dcm"], capture_output=True, text=True, check=False)
    assert "RTStructureSet" in said.stderr + said.stdout
    assert not [line for line in (said.stderr + said.stdout).splitlines() if "Error" in line]


@needs_program("dcmdump")
def test_dcmtk_reads_every_roi_and_contour(tmp_path: Path, ct: CtImage) -> None:
    ds = written(tmp_path, ct, ball(ct), ball(ct, 6, "ITV"))
    said = subprocess.run(["dcmdump", "+L", tmp_path / "RS.dcm"], capture_output=True, text=True, check=True).stdout
    assert "[GTV]" in said
    assert "[ITV]" in said
    assert said.count("ContourGeometricType") == sum(len(item.ContourSequence) for item in ds.ROIContourSequence)


@pytest.fixture(scope="module")
def round_ct(tmp_path_factory: pytest.TempPathFactory) -> tuple[CtImage, Path]:
    """A CT on disk, head first supine, as many rows as columns: all that rt-utils can do."""
    geometry = Geometry((40, 40, 12), (1.0, 1.0, 3.0), (-20.0, -18.0, -100.0), frame_of_reference=FRAME)
    ct = ct_image(geometry)
    return ct, write_ct(ct, tmp_path_factory.mktemp("ct") / "CT")


def regions(on: CtImage) -> dict[str, np.ndarray]:
    """A ball, a hollow ball, and a box with a bump."""
    ball_, core = ball(on, 12).mask.inside, ball(on, 6).mask.inside
    box = np.zeros(on.geometry.shape, dtype=bool)
    box[3:7, 10:20, 8:18] = box[4, 14, 18] = True
    return {"ball": ball_, "hollow": ball_ & ~core, "box": box}


def write_regions(path: Path, on: CtImage, *, smooth: bool = True) -> Path:
    return write_rtstruct(path, on=on, rois=[Roi(name, Mask(inside, on.geometry)) for name, inside in regions(on).items()], smooth=smooth)


def test_a_reader_that_asks_which_centres_lie_inside_gets_exactly_the_mask(tmp_path: Path, round_ct: tuple[CtImage, Path]) -> None:
    from matplotlib.path import Path as Line

    ct, _ = round_ct
    ds = pydicom.dcmread(write_regions(tmp_path / "RS.dcm", ct))
    centres = ct.geometry.centres()
    for item, (name, expected) in zip(ds.ROIContourSequence, regions(ct).items(), strict=True):
        inside = np.zeros(ct.geometry.shape, dtype=bool)
        for contour in item.ContourSequence:
            points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
            z = int(np.abs(centres[:, 0, 0, 2] - points[0, 2]).argmin())
            inside[z] ^= Line(points[:, :2]).contains_points(centres[z, ..., :2].reshape(-1, 2)).reshape(inside[z].shape)
        assert np.array_equal(inside, expected), name


def test_a_reader_that_sums_the_areas_of_contours_gets_the_volume(tmp_path: Path, round_ct: tuple[CtImage, Path]) -> None:
    ct, _ = round_ct
    ds = pydicom.dcmread(write_regions(tmp_path / "RS.dcm", ct))
    for item, (name, expected) in zip(ds.ROIContourSequence, regions(ct).items(), strict=True):
        areas = []
        for contour in item.ContourSequence:
            x, y, _ = np.array(contour.ContourData, dtype=float).reshape(-1, 3).T
            areas.append(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
        assert sum(areas) * 3.0 == pytest.approx(expected.sum() * ct.geometry.voxel_volume_mm3, rel=0.005), name


@pytest.mark.filterwarnings("ignore")
def test_rt_utils_reads_our_file_as_its_rounding_lets_it(tmp_path: Path, round_ct: tuple[CtImage, Path]) -> None:
    from rt_utils import RTStructBuilder

    ct, folder = round_ct
    write_regions(tmp_path / "RS.dcm", ct)
    theirs = RTStructBuilder.create_from(str(folder), str(tmp_path / "RS.dcm"))
    assert theirs.get_roi_names() == list(regions(ct))
    for name, expected in regions(ct).items():
        inside = np.moveaxis(theirs.get_roi_mask_by_name(name), 2, 0)
        if name == "box":
            assert np.array_equal(inside, expected)
        else:  # it moves every point to the nearest centre and takes in all that the line then touches: up to a voxel more all round
            overlap = 2 * np.count_nonzero(inside & expected) / (np.count_nonzero(inside) + np.count_nonzero(expected))
            assert overlap > 0.93


@pytest.mark.filterwarnings("ignore")
def test_outlines_of_the_voxels_are_what_rt_utils_reads_exactly(tmp_path: Path, round_ct: tuple[CtImage, Path]) -> None:
    from rt_utils import RTStructBuilder

    ct, folder = round_ct
    path = write_regions(tmp_path / "RS.dcm", ct, smooth=False)
    theirs, ours = RTStructBuilder.create_from(str(folder), str(path)), read_rtstruct(path, on=ct)
    for name, expected in regions(ct).items():
        assert np.array_equal(np.moveaxis(theirs.get_roi_mask_by_name(name), 2, 0), expected), name
        assert np.array_equal(ours[name].inside, expected), name


@needs_program("plastimatch")
@pytest.mark.filterwarnings("ignore")
def test_a_circle_by_its_formula_is_what_rt_utils_reads_too_large_and_plastimatch_does_not(tmp_path: Path, round_ct: tuple[CtImage, Path]) -> None:
    """So that our smooth contours come out too large there is its rounding, not our drawing."""
    import SimpleITK as sitk
    from rt_utils import RTStructBuilder

    ct, folder = round_ct
    angles = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    circle = [[19.3 + 10 * np.cos(a), 19.7 + 10 * np.sin(a)] for a in angles]
    dataset = structure_set(ct, Drawn("circle", [polygon(ct.geometry, circle, z) for z in range(3, 9)]))
    for z, contour in zip(range(3, 9), dataset.ROIContourSequence[0].ContourSequence, strict=True):
        contour.ContourImageSequence = [pydicom.Dataset()]
        contour.ContourImageSequence[0].ReferencedSOPInstanceUID = ct.identity.sop_instance_uids[z]
    path, voxels = saved(dataset, tmp_path / "RS.dcm"), 6 * np.pi * 10**2
    theirs = RTStructBuilder.create_from(str(folder), str(path)).get_roi_mask_by_name("circle").sum()
    command = ["plastimatch", "convert", "--input", path, "--referenced-ct", folder, "--output-prefix", tmp_path / "masks", "--prefix-format", "nrrd"]
    subprocess.run(command, capture_output=True, check=True)
    plastimatch = (sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "masks" / "circle.nrrd"))) > 0).sum()
    assert read_rtstruct(path, on=ct)["circle"].inside.sum() == pytest.approx(voxels, rel=0.01)
    assert plastimatch == pytest.approx(voxels, rel=0.01)
    assert theirs > 1.05 * voxels


@pytest.mark.filterwarnings("ignore")
def test_a_file_by_rt_utils_comes_in_exactly(tmp_path: Path, round_ct: tuple[CtImage, Path]) -> None:
    from rt_utils import RTStructBuilder

    ct, folder = round_ct
    box = np.zeros(ct.geometry.shape, dtype=bool)
    box[3:7, 10:20, 8:18] = True
    theirs = RTStructBuilder.create_new(str(folder))
    for name, inside in {"ball": ball(ct, 12).mask.inside, "small": ball(ct, 4).mask.inside, "box": box}.items():
        theirs.add_roi(mask=np.ascontiguousarray(np.moveaxis(inside, 0, 2)), name=name)
    theirs.save(str(tmp_path / "theirs.dcm"))
    contours = read_rtstruct(tmp_path / "theirs.dcm", on=ct)
    assert np.array_equal(contours["ball"].inside, ball(ct, 12).mask.inside)
    assert np.array_equal(contours["small"].inside, ball(ct, 4).mask.inside)
    assert np.array_equal(contours["box"].inside, box)
    assert any("traced" in note for note in contours.notes)


@needs_program("plastimatch")
def test_plastimatch_reads_exactly_our_masks(tmp_path: Path, round_ct: tuple[CtImage, Path]) -> None:
    import SimpleITK as sitk

    ct, folder = round_ct
    write_regions(tmp_path / "RS.dcm", ct)
    command = ["plastimatch", "convert", "--input", "RS.dcm", "--referenced-ct", folder, "--output-prefix", "masks", "--prefix-format", "nrrd"]
    subprocess.run([*command, "--xor-contours"], cwd=tmp_path, capture_output=True, check=True)  # without it, it fills holes
    for name, expected in regions(ct).items():
        theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "masks" / f"{name}.nrrd"))) > 0
        assert np.array_equal(theirs, expected), name


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("full", ["GTV_T50", "ITV", "PTV_5x5x8mm_UNVERIFIED", "Lung_left_upper_lobe"]),
        ("short", ["GTV_T50", "ITV", "PTV_UNVERIFIED", "Lung_left_upper"]),
        ("tg263", ["GTV^T50", "IGTV", "PTV^UNVERIFIED", "Lung_left_upper"]),
    ],
)
def test_names_can_be_short_or_after_tg263_and_the_description_tells_the_full_one(
    tmp_path: Path, ct: CtImage, names: Naming, expected: list[str]
) -> None:
    given = ["GTV_T50", "ITV", "PTV_5x5x8mm_UNVERIFIED", "Lung_left_upper_lobe"]
    path = write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[ball(ct, name=name, description="drawn") for name in given], names=names)
    listed = pydicom.dcmread(path).StructureSetROISequence
    assert [item.ROIName for item in listed] == expected
    told = ["drawn" if name == kept else f"{name}: drawn" for name, kept in zip(given, expected, strict=True)]
    assert [item.ROIDescription for item in listed] == told


@pytest.mark.slow
def test_twenty_rois_on_512_512_150_are_written_and_read_in_seconds(tmp_path: Path) -> None:
    geometry = Geometry((512, 512, 150), (1.0, 1.0, 3.0), frame_of_reference=FRAME)
    ct = replace(ct_image(grid()), volume=Volume(np.broadcast_to(np.int16(0), geometry.shape), geometry))
    ct = CtImage(ct.volume, replace(ct.identity, sop_instance_uids=tuple(f"1.2.{z}" for z in range(150))))
    z, y, x = np.ogrid[:150, :512, :512]
    rois = []
    for n in range(20):
        centre, radius = 130 + 13 * n, 20 + 3 * n
        rois.append(Roi(f"roi{n}", Mask((3 * (z - 75)) ** 2 + (y - centre) ** 2 + (x - 256) ** 2 < radius**2, geometry)))
    start = time.perf_counter()
    path = write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=rois)
    contours = read_rtstruct(path, on=ct)
    for roi in rois:
        assert contours[roi.name].inside.sum() == roi.mask.inside.sum()
    assert time.perf_counter() - start < 15
