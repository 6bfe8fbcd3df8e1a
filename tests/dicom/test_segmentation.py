"""Segmentations written and read: exact, placed by position, and the same to programs that are not ours."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import rt4d
from rt4d.dicom.segmentation import read_seg
from rt4d.dicom.segmentation_writer import write_seg
from rt4d.errors import ContourError, DicomError, GeometryError, InputError, NotFoundError, Rt4dError
from rt4d.geometry import Geometry
from rt4d.phases import CtImage
from rt4d.rois import Roi
from rt4d.volumes import Mask
from tests.conftest import POSES, needs_program
from tests.dicom.drawn import FRAME, PATIENT, ball, ct_image, grid

SMALL = (6, 5, 4)


@pytest.fixture
def ct() -> CtImage:
    return ct_image(grid())


def changed(path: Path, **attributes: object) -> Path:
    """The file with some of its attributes changed, saved beside it."""
    dataset = pydicom.dcmread(path)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path.with_name("changed.dcm"))
    return path.with_name("changed.dcm")


def one_position(dataset: pydicom.Dataset, frame: int) -> tuple[float, ...]:
    return tuple(float(v) for v in dataset.PerFrameFunctionalGroupsSequence[frame].PlanePositionSequence[0].ImagePositionPatient)


@pytest.mark.parametrize("pose", POSES)
@pytest.mark.parametrize("uneven", [False, True], ids=["even", "uneven"])
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(inside=arrays(bool, (2, *SMALL[::-1])).filter(lambda a: a.any(axis=(1, 2, 3)).all()), shift=st.floats(-900, 900))
def test_masks_to_segmentation_to_masks_is_the_identity_even_where_they_overlap(
    tmp_path: Path, pose: str, uneven: bool, inside: np.ndarray, shift: float
) -> None:
    offsets = (0.0, 2.0, 5.0, 6.5) if uneven else None
    geometry = Geometry(SMALL, (0.9765625, 1.1, 2.5), (shift, -shift / 3, 1 / 3), POSES[pose], FRAME, offsets)
    ct = ct_image(geometry)
    path = write_seg(tmp_path / "SEG.dcm", on=ct, rois=[Roi(name, Mask(each, geometry)) for name, each in zip("ab", inside, strict=True)])
    again = read_seg(path, on=ct)
    assert list(again) == ["a", "b"]
    for name, each in zip("ab", inside, strict=True):
        assert np.array_equal(again[name].inside, each)
        assert again[name].geometry is geometry


@pytest.mark.parametrize("pose", POSES)
def test_without_a_ct_the_frames_make_the_grid_and_empty_slices_come_back(tmp_path: Path, pose: str) -> None:
    ct = ct_image(grid(pose))
    inside = np.zeros(ct.geometry.shape, dtype=bool)
    inside[1, 2, 3] = inside[4, 5, 6] = inside[6, :, 0] = True
    alone = read_seg(write_seg(tmp_path / "SEG.dcm", on=ct, rois=[Roi("GTV", Mask(inside, ct.geometry))]))
    assert alone.geometry.is_same_grid(ct.geometry.crop((0, 0, 1), (12, 10, 6)))
    assert np.array_equal(alone["GTV"].inside, inside[1:7])
    assert alone.geometry.frame_of_reference == FRAME


def test_uneven_slices_stay_uneven_and_a_single_one_keeps_its_thickness(tmp_path: Path) -> None:
    ct = ct_image(grid(uneven=True))
    inside = np.ones(ct.geometry.shape, dtype=bool)
    assert read_seg(write_seg(tmp_path / "SEG.dcm", on=ct, rois=[Roi("all", Mask(inside, ct.geometry))])).geometry.is_same_grid(ct.geometry)
    inside[:3] = inside[4:] = False
    alone = read_seg(write_seg(tmp_path / "SEG.dcm", on=ct, rois=[Roi("one", Mask(inside, ct.geometry))]))
    assert alone["one"].geometry.size == (12, 10, 1)
    assert alone["one"].volume_cm3 == pytest.approx(120 * 1.0 * 1.5 * 3.0 / 1000)


def test_frames_are_placed_by_position_and_orientation_not_by_order(tmp_path: Path, ct: CtImage) -> None:
    inside = np.random.default_rng(1).random(ct.geometry.shape) > 0.6
    far = ct.geometry.to_patient(np.array(ct.geometry.size) - 1)
    turned = replace(ct.geometry, origin_mm=(far[0], ct.geometry.origin_mm[1], far[2]), direction=(-1, 0, 0, 0, 1, 0, 0, 0, -1))
    swapped = Geometry((10, 12, 8), (1.5, 1.0, 3.0), (*ct.geometry.origin_mm[:2], far[2]), (0, 1, 0, 1, 0, 0, 0, 0, -1), FRAME)
    cropped = ct.geometry.crop((1, 2, 1), (9, 7, 6))
    window = np.zeros_like(inside)
    window[1:7, 2:9, 1:10] = True
    for geometry, array, expected in (
        (turned, inside[::-1, :, ::-1], inside),
        (swapped, inside[::-1].transpose(0, 2, 1), inside),
        (cropped, inside[1:7, 2:9, 1:10], inside & window),
    ):
        other = ct_image(geometry)
        path = write_seg(tmp_path / "SEG.dcm", on=other, rois=[Roi("GTV", Mask(np.ascontiguousarray(array), geometry))])
        assert np.array_equal(read_seg(path, on=ct)["GTV"].inside, expected)


def test_a_plain_reading_of_bits_and_positions_finds_the_same_voxels(tmp_path: Path) -> None:
    ct = ct_image(grid("oblique", uneven=True))
    roi = ball(ct, 6)
    dataset = pydicom.dcmread(write_seg(tmp_path / "SEG.dcm", on=ct, rois=[ball(ct, 5, "ITV"), roi]))
    bits = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), bitorder="little")
    frames = bits[: dataset.NumberOfFrames * 120].reshape(-1, 10, 12)
    seen = np.zeros_like(roi.mask.inside)
    for n, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 2:
            z = np.linalg.norm(ct.geometry.to_patient([[0, 0, k] for k in range(8)]) - one_position(dataset, n), axis=1).argmin()
            seen[z] = frames[n]
            source = group.DerivationImageSequence[0].SourceImageSequence[0]
            assert source.ReferencedSOPInstanceUID == ct.identity.sop_instance_uids[z]
    assert np.array_equal(seen, roi.mask.inside)


@pytest.mark.parametrize("pose", ["HFS", "FFP", "oblique"])
def test_highdicom_reads_the_same_masks(tmp_path: Path, pose: str) -> None:
    from highdicom.seg import segread

    ct = ct_image(grid(pose))
    rois = [ball(ct, 6, "ITV", kind="ITV"), ball(ct, kind="GTV")]
    theirs = segread(write_seg(tmp_path / "SEG.dcm", on=ct, rois=rois))
    by_slice = theirs.get_pixels_by_source_instance(ct.identity.sop_instance_uids, assert_missing_frames_are_empty=True)
    for n, roi in enumerate(rois):
        assert np.array_equal(by_slice[..., n].astype(bool), roi.mask.inside)
    volume = theirs.get_volume()
    used = np.flatnonzero(rois[0].mask.inside.any(axis=(1, 2)))
    ours = rois[0].mask.inside[used[0] : used[-1] + 1]
    their_geometry = volume.get_geometry()
    first = np.asarray(their_geometry.affine)[:3, 3]
    flipped = not np.allclose(first, ct.geometry.to_patient((0, 0, used[0])), atol=0.01)
    assert np.array_equal(volume.array[..., 0].astype(bool), ours[::-1] if flipped else ours)


def test_frames_of_a_multi_frame_ct_are_told_by_number(tmp_path: Path) -> None:
    ct = ct_image(grid(), multi_frame=True)
    dataset = pydicom.dcmread(write_seg(tmp_path / "SEG.dcm", on=ct, rois=[ball(ct)]))
    sources = [group.DerivationImageSequence[0].SourceImageSequence[0] for group in dataset.PerFrameFunctionalGroupsSequence]
    used = np.flatnonzero(ball(ct).mask.inside.any(axis=(1, 2)))
    assert sorted(source.ReferencedFrameNumber for source in sources) == [z + 1 for z in used]
    assert {source.ReferencedSOPInstanceUID for source in sources} == {ct.identity.sop_instance_uids[0]}
    assert len(dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 1


def test_the_object_says_whose_it_is_what_it_shows_and_who_made_it(tmp_path: Path, ct: CtImage) -> None:
    rois = [
        ball(ct, kind="GTV", description="drawn by hand", colour=(255, 0, 0)),
        ball(ct, 5, "ITV", kind="ITV"),
        ball(ct, 5, "Lunge, büschel", kind="ORGAN"),
        ball(ct, 6, "x"),
    ]
    dataset = pydicom.dcmread(write_seg(tmp_path / "SEG.dcm", on=ct, rois=rois, label="RT4D"))
    assert (dataset.Modality, dataset.SegmentationType, dataset.BitsAllocated) == ("SEG", "BINARY", 1)
    assert (dataset.PatientID, dataset.PatientName, dataset.StudyInstanceUID) == (PATIENT["PatientID"], PATIENT["PatientName"], ct.identity.study_uid)
    assert (dataset.Manufacturer, dataset.SoftwareVersions, dataset.FrameOfReferenceUID) == ("rt4d", rt4d.__version__, FRAME)
    (series,) = dataset.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == ct.identity.series_uid
    assert [each.ReferencedSOPInstanceUID for each in series.ReferencedInstanceSequence] == list(ct.identity.sop_instance_uids)
    segments = dataset.SegmentSequence
    assert [each.SegmentLabel for each in segments] == [roi.name for roi in rois]
    assert {each.SegmentAlgorithmType for each in segments} == {"AUTOMATIC"}
    algorithm = segments[0].SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("rt4d", rt4d.__version__)
    types = [each.SegmentedPropertyTypeCodeSequence[0].CodeValue for each in segments]
    categories = [each.SegmentedPropertyCategoryCodeSequence[0].CodeValue for each in segments]
    assert types == ["228791009", "130056", "91723000", "85756007"]
    assert categories == ["49755003", "309825002", "91723000", "85756007"]
    assert segments[0].SegmentDescription == "drawn by hand"
    light, a, b = np.array(segments[0].RecommendedDisplayCIELabValue) / 65535 * [100, 255, 255] - [0, 128, 128]
    assert (light, a, b) == pytest.approx((53.2, 80.1, 67.2), abs=0.6), "red in CIELab (D65)"


def test_a_malformed_value_of_the_source_is_left_out(tmp_path: Path) -> None:
    ct = ct_image(grid(), PATIENT | {"PatientBirthDate": "about 1950", "PatientSex": "unknown to all"})
    dataset = pydicom.dcmread(write_seg(tmp_path / "SEG.dcm", on=ct, rois=[ball(ct)]))
    assert (dataset.PatientBirthDate, dataset.PatientSex) == ("", "")


def test_what_cannot_be_written_right_is_refused(tmp_path: Path, ct: CtImage) -> None:
    path = tmp_path / "SEG.dcm"
    with pytest.raises(ContourError, match="at least one ROI"):
        write_seg(path, on=ct, rois=[])
    with pytest.raises(ContourError, match="same name: found GTV"):
        write_seg(path, on=ct, rois=[ball(ct), ball(ct)])
    with pytest.raises(ContourError, match="same name: found GTV"):
        write_seg(path, on=ct, rois=[ball(ct), replace(ball(ct), name="GTV ")])
    with pytest.raises(ContourError, match="ROI PTV is empty"):
        write_seg(path, on=ct, rois=[Roi("PTV", Mask(np.zeros(ct.geometry.shape, dtype=bool), ct.geometry))])
    with pytest.raises(GeometryError, match="another grid"):
        write_seg(path, on=ct_image(grid("HFP")), rois=[ball(ct)])
    with pytest.raises(InputError, match="1 to 16 characters"):
        write_seg(path, on=ct, rois=[ball(ct)], label="seventeen letters")
    bare = ct_image(replace(ct.geometry, frame_of_reference=""))
    with pytest.raises(DicomError, match="without a frame of reference"):
        write_seg(path, on=bare, rois=[ball(bare)])
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_belong_to_the_ct_is_refused(tmp_path: Path, ct: CtImage) -> None:
    path = write_seg(tmp_path / "SEG.dcm", on=ct, rois=[ball(ct)])
    with pytest.raises(ContourError, match="different patients") as refused:
        read_seg(path, on=ct_image(grid(), PATIENT | {"PatientID": "P-2"}))
    assert "P-1" not in str(refused.value)
    elsewhere = ct_image(grid(frame="1.2.3.4"))
    with pytest.raises(ContourError, match=rf"another frame of reference.*expected 1\.2\.3\.4, found {FRAME}"):
        read_seg(path, on=elsewhere)
    trusted = read_seg(path, on=elsewhere, assume_same_frame=True)
    assert np.array_equal(trusted["GTV"].inside, ball(ct).mask.inside)
    assert "because told so" in trusted.notes[0]
    shifted = ct_image(replace(ct.geometry, origin_mm=(-19.6, 30.0, -100.0)))
    with pytest.raises(GeometryError, match=r"voxels are not those of the CT \(SEG.dcm, frame 1\)"):
        read_seg(path, on=shifted)
    finer = ct_image(replace(ct.geometry, spacing_mm=(0.5, 1.5, 3.0), size=(24, 10, 8)))
    with pytest.raises(GeometryError, match="voxels are not those"):
        read_seg(path, on=finer)
    part = ct_image(ct.geometry.crop((0, 0, 0), (12, 10, 4)))
    with pytest.raises(ContourError, match="partly outside"):
        read_seg(path, on=part)["GTV"]
    with pytest.raises(NotFoundError, match="one of GTV, found PTV"):
        read_seg(path, on=ct)["PTV"]


def foreign(path: Path, ct: CtImage, pixels: np.ndarray, kind: str, *names: str, **kwargs: object) -> Path:
    """A segmentation as highdicom's users write it, from slices in reverse order."""
    from highdicom.seg import Segmentation

    from rt4d.dicom.segmentation_writer import _description, _source

    descriptions = [_description(n, Roi(name, ball(ct).mask)) for n, name in enumerate(names, start=1)]
    made = Segmentation(
        [_source(ct, z) for z in reversed(range(ct.geometry.size[2]))],
        pixels[::-1],
        kind,
        descriptions,
        *("1.2.840.1", 5, "1.2.840.1.1", 1, "theirs", "theirs", "1", "1"),
        **kwargs,
    )
    made.save_as(path)
    return path


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"], ids=["plain", "RLE"])
def test_fractional_ones_are_refused_unless_a_threshold_is_given(tmp_path: Path, ct: CtImage, syntax: str) -> None:
    share = np.random.default_rng(2).random((*ct.geometry.shape, 1))
    path = foreign(tmp_path / "SEG.dcm", ct, share, "FRACTIONAL", "GTV", max_fractional_value=200, transfer_syntax_uid=syntax)
    with pytest.raises(ContourError, match=r"no mask.*PROBABILITY.*threshold=0\.5"):
        read_seg(path, on=ct)
    assert np.array_equal(read_seg(path, on=ct, threshold=0.7)["GTV"].inside, np.rint(share[..., 0] * 200) >= 140)
    with pytest.raises(InputError, match="fraction"):
        read_seg(path, on=ct, threshold=70)


def test_label_maps_are_read_too(tmp_path: Path, ct: CtImage) -> None:
    labels = np.random.default_rng(3).integers(0, 3, ct.geometry.shape, dtype=np.uint8)
    found = read_seg(foreign(tmp_path / "SEG.dcm", ct, labels, "LABELMAP", "one", "two"), on=ct)
    assert list(found) == ["one", "two"]
    assert np.array_equal(found["one"].inside, labels == 1)
    assert np.array_equal(found["two"].inside, labels == 2)


def test_files_that_are_no_segmentation_or_broken_are_named(tmp_path: Path, ct: CtImage) -> None:
    path = write_seg(tmp_path / "SEG.dcm", on=ct, rois=[ball(ct), ball(ct, 5, "ITV")])
    with pytest.raises(NotFoundError, match="No such file"):
        read_seg(tmp_path / "none.dcm")
    (tmp_path / "text.dcm").write_text("no DICOM at all")
    with pytest.raises(DicomError, match="segmentation is needed"):
        read_seg(tmp_path / "text.dcm")
    rt4d.write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[ball(ct)])
    with pytest.raises(DicomError, match="found Modality RTSTRUCT"):
        read_seg(tmp_path / "RS.dcm", on=ct)
    with pytest.raises(DicomError, match=r"cannot be what it says.*60000×60000"):
        read_seg(changed(path, Rows=60000, Columns=60000), on=ct)
    with pytest.raises(DicomError, match="cut short"):
        read_seg(changed(path, PixelData=b"\0\0"), on=ct)
    with pytest.raises(DicomError, match="does not place all its frames"):
        read_seg(changed(path, NumberOfFrames=3), on=ct)
    segments = pydicom.dcmread(path).SegmentSequence
    segments[1].SegmentLabel = "GTV"
    with pytest.raises(ContourError, match="Several segments are called GTV"):
        read_seg(changed(path, SegmentSequence=segments), on=ct)["GTV"]


def test_no_cut_or_flipped_byte_ends_in_another_exception(tmp_path: Path, ct: CtImage) -> None:
    whole = write_seg(tmp_path / "SEG.dcm", on=ct, rois=[ball(ct), ball(ct, 5, "ITV")]).read_bytes()
    rng = np.random.default_rng(4)
    for n in range(120):
        broken = bytearray(whole[: rng.integers(140, len(whole))] if n % 2 else whole)
        for at in rng.integers(132, len(broken), 3):
            broken[at] = rng.integers(256)
        (tmp_path / "broken.dcm").write_bytes(broken)
        try:
            for on in (ct, None):
                list(read_seg(tmp_path / "broken.dcm", on=on).values())
        except Rt4dError:
            continue


@needs_program("dciodvfy")
@pytest.mark.parametrize("multi_frame", [False, True])
def test_dciodvfy_finds_no_error(tmp_path: Path, multi_frame: bool) -> None:
    ct = ct_image(grid("oblique"), multi_frame=multi_frame)
    write_seg(tmp_path / "SEG.dcm", on=ct, rois=[ball(ct, kind="GTV", description="a ball"), ball(ct, 6, "ITV", kind="ITV"), ball(ct, 7, "rest")])
    said = subprocess.run(["dciodvfy", tmp_path / "SEG.dcm"], capture_output=True, text=True, check=False)
    assert "Segmentation" in said.stderr + said.stdout
    assert not [line for line in (said.stderr + said.stdout).splitlines() if "Error" in line]


@needs_program("dcmdump")
def test_dcmtk_reads_every_segment_and_frame(tmp_path: Path, ct: CtImage) -> None:
    path = write_seg(tmp_path / "SEG.dcm", on=ct, rois=[ball(ct), ball(ct, 6, "ITV")])
    said = subprocess.run(["dcmdump", "+L", path], capture_output=True, text=True, check=True).stdout
    assert "[GTV]" in said
    assert "[ITV]" in said
    assert said.count("ReferencedSegmentNumber") == pydicom.dcmread(path).NumberOfFrames
