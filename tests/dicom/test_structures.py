"""Structure sets read: what is accepted, what is refused and in which words, and the volumes of real files."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

import rt4d
from rt4d.dicom.structures import read_rtstruct, summarise_rtstruct, write_rtstruct
from rt4d.errors import ContourError, DicomError, NotFoundError
from rt4d.phases import CtImage, SeriesIdentity
from rt4d.volumes import Volume
from tests.conftest import POSES
from tests.dicom.drawn import (
    FRAME,
    PATIENT,
    Drawn,
    ball,
    box,
    ct_image,
    grid,
    listing_another,
    polygon,
    referring,
    saved,
    structure_set,
    without_uids,
)


@pytest.fixture
def ct() -> CtImage:
    return ct_image(grid())


def a_box(ct: CtImage, slices: tuple[float, ...] = (2, 3), *, corners: list[list[float]] | None = None) -> list[np.ndarray]:
    """A box of 4 × 3 voxels on each of the slices."""
    return [polygon(ct.geometry, corners or box(1.5, 2.5, 5.5, 5.5), z) for z in slices]


def written(tmp_path: Path, ct: CtImage, *rois: Drawn, **kwargs: object) -> Path:
    return saved(structure_set(ct, *(rois or (Drawn("GTV", a_box(ct)),)), **kwargs), tmp_path / "RS.dcm")


@pytest.mark.parametrize("uneven", [False, True], ids=["even", "uneven"])
@pytest.mark.parametrize("pose", POSES)
def test_contours_go_to_the_voxels_they_were_drawn_around_in_every_pose(tmp_path: Path, pose: str, uneven: bool) -> None:
    ct = ct_image(grid(pose, uneven=uneven))
    mask = read_rtstruct(written(tmp_path, ct), on=ct)["GTV"]
    expected = np.zeros(ct.geometry.shape, dtype=bool)
    expected[2:4, 3:6, 2:6] = True
    assert mask.geometry is ct.geometry
    assert np.array_equal(mask.inside, expected)


DECUBITUS = {
    "head first, on the right": (0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0),
    "head first, on the left": (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0),
    "feet first, on the right": (0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
    "feet first, on the left": (0.0, -1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
    "sagittal": (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
}


@pytest.mark.parametrize("direction", DECUBITUS.values(), ids=DECUBITUS)
def test_contours_find_their_voxels_in_a_patient_who_lies_on_a_side(tmp_path: Path, direction: tuple[float, ...]) -> None:
    ct = ct_image(replace(grid(), direction=direction))
    contours = read_rtstruct(written(tmp_path, ct), on=ct)
    expected = np.zeros(ct.geometry.shape, dtype=bool)
    expected[2:4, 3:6, 2:6] = True
    assert np.array_equal(contours["GTV"].inside, expected)
    assert np.array_equal(contours.partial_volume("GTV").fraction, expected)


def test_a_structure_set_is_a_mapping_of_the_rois_that_have_closed_contours(tmp_path: Path, ct: CtImage) -> None:
    point = Drawn("Iso", [polygon(ct.geometry, [[3, 3]], 2)], "ISOCENTER", 2, "POINT")
    contours = read_rtstruct(written(tmp_path, ct, Drawn("GTV", a_box(ct)), point), on=ct)
    assert contours.names == ("GTV", "Iso")
    assert list(contours) == ["GTV"]
    assert len(contours) == 1
    assert {name: mask.inside.sum() for name, mask in contours.items()} == {"GTV": 24}
    assert contours["GTV"] is contours["GTV"], "made once"
    assert contours.get("nothing") is None
    assert contours.notes == ()
    assert [points.shape for points in contours.contours("GTV")] == [(4, 3), (4, 3)]
    assert "GTV" in repr(contours)
    with pytest.raises(ContourError, match=r"ROI Iso is empty \(RS.dcm\): expected closed planar contours, found 1 POINT"):
        contours["Iso"]


def test_the_public_name_is_the_function() -> None:
    assert rt4d.read_rtstruct is read_rtstruct


def test_other_image_references_are_read_and_noted(tmp_path: Path, ct: CtImage) -> None:
    path = written(tmp_path, ct)
    renumbered = read_rtstruct(path, on=without_uids(ct))
    assert renumbered["GTV"].inside.sum() == 24
    assert "not of this CT" in renumbered.notes[0]
    bare = read_rtstruct(written(tmp_path, ct, references=False), on=ct)
    assert "references no images" in bare.notes[0]
    assert bare["GTV"].inside.sum() == 24


@pytest.mark.parametrize(("frame", "said"), [("1.2.3.4", "1.2.3.4"), (None, "none named")])
def test_another_frame_of_reference_or_none_is_refused_naming_both_unless_told(tmp_path: Path, ct: CtImage, frame: str | None, said: str) -> None:
    path = written(tmp_path, ct, Drawn("GTV", a_box(ct), frame=frame), frame=frame)
    with pytest.raises(ContourError, match=re.escape(f"expected {FRAME}, found {said}")):
        read_rtstruct(path, on=ct)
    told = read_rtstruct(path, on=ct, assume_same_frame=True)
    assert told["GTV"].inside.sum() == 24
    assert "because told so" in told.notes[0]
    assert FRAME in told.notes[0]


def test_of_several_series_in_the_list_those_that_the_contours_name_were_drawn_on(ct: CtImage) -> None:
    other, mine = ct_image(grid()), ct.identity.sop_instance_uids
    dataset = listing_another(structure_set(ct, Drawn("GTV", a_box(ct))), other)
    both = summarise_rtstruct(dataset)
    assert both.referenced_series_uids == (other.identity.series_uid, ct.identity.series_uid)
    summary = summarise_rtstruct(referring(dataset, mine[2], mine[3]))
    assert (summary.referenced_series_uids, summary.referenced_sop_uids) == ((ct.identity.series_uid,), mine[2:4])
    unknown = summarise_rtstruct(referring(dataset, "1.2.3", "1.2.4"))
    assert unknown.referenced_sop_uids == both.referenced_sop_uids, "images that the list does not know decide nothing"


def test_with_one_series_in_the_list_its_images_count_whatever_the_contours_name(ct: CtImage) -> None:
    mine = ct.identity.sop_instance_uids
    assert summarise_rtstruct(referring(structure_set(ct, Drawn("GTV", a_box(ct))), mine[2], mine[3])).referenced_sop_uids == mine


def test_the_frames_that_a_structure_set_references_are_told(tmp_path: Path) -> None:
    ct = ct_image(grid(), multi_frame=True)
    write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[ball(ct)])
    uid = ct.identity.sop_instance_uids[0]
    assert summarise_rtstruct(tmp_path / "RS.dcm").referenced_frames == tuple((uid, n) for n in range(1, 9))


def test_a_frame_that_stands_only_at_the_top_of_the_file_counts(tmp_path: Path, ct: CtImage) -> None:
    dataset = structure_set(ct, Drawn("GTV", a_box(ct), frame=None), frame=None)
    dataset.FrameOfReferenceUID = FRAME
    assert read_rtstruct(saved(dataset, tmp_path / "RS.dcm"), on=ct)["GTV"].inside.sum() == 24


def test_an_roi_on_another_frame_is_refused_while_the_others_stay_usable(tmp_path: Path, ct: CtImage) -> None:
    contours = read_rtstruct(written(tmp_path, ct, Drawn("GTV", a_box(ct)), Drawn("PET", a_box(ct), "", 2, frame="1.2.3")), on=ct)
    assert contours["GTV"].inside.sum() == 24
    with pytest.raises(ContourError, match=r"ROI PET lies in another frame of reference.*found 1\.2\.3"):
        contours["PET"]


def test_a_ct_without_a_frame_of_reference_is_refused_unless_told(tmp_path: Path, ct: CtImage) -> None:
    path, bare = written(tmp_path, ct), ct_image(replace(ct.geometry, frame_of_reference=""))
    with pytest.raises(ContourError, match="this one names none"):
        read_rtstruct(path, on=bare)
    assert read_rtstruct(path, on=bare, assume_same_frame=True)["GTV"].inside.sum() == 24


@pytest.mark.parametrize("changed", [{"PatientID": "P-2"}, {"PatientID": "", "PatientName": "Other^Olga"}])
def test_another_patient_is_refused_without_saying_who(tmp_path: Path, ct: CtImage, changed: dict[str, str]) -> None:
    path = written(tmp_path, ct, patient=PATIENT | changed)
    for told in (False, True):
        with pytest.raises(ContourError, match="different patients") as caught:
            read_rtstruct(path, on=ct, assume_same_frame=told)
        assert "RS.dcm" in str(caught.value)
        assert ct.identity.series_uid in str(caught.value)
        assert not any(secret in str(caught.value) for secret in ("P-1", "P-2", "Rose", "Olga", "Phantom"))


@pytest.mark.parametrize(
    "changed", [{"PatientID": ""}, {"PatientID": "", "PatientName": ""}, {"PatientName": "PHANTOM^ROSE^^"}, {"PatientName": "Rose, Ph."}]
)
def test_a_patient_is_compared_only_by_what_both_sides_have(tmp_path: Path, ct: CtImage, changed: dict[str, str]) -> None:
    assert read_rtstruct(written(tmp_path, ct, patient=PATIENT | changed), on=ct)["GTV"].inside.sum() == 24


def test_planes_between_slices_are_refused_with_their_position_and_the_slices_beside(tmp_path: Path, ct: CtImage) -> None:
    contours = read_rtstruct(written(tmp_path, ct, Drawn("GTV", a_box(ct, (2, 2.5, 3))), Drawn("CTV", a_box(ct), "CTV", 2)), on=ct)
    with pytest.raises(ContourError, match=r"ROI GTV has planes between the slices.*-94, -91 mm.*1 of 3 contours off them, at -92\.5 mm"):
        contours["GTV"]
    assert contours["CTV"].inside.sum() == 24


def test_coordinates_rounded_to_a_tenth_of_a_millimetre_still_lie_on_their_slices(tmp_path: Path) -> None:
    ct = ct_image(replace(grid(), spacing_mm=(1.0, 1.5, 1.25), origin_mm=(-20.0, 30.0, -100.06)))
    rounded = [np.round(points, 1) for points in a_box(ct)]
    assert read_rtstruct(written(tmp_path, ct, Drawn("GTV", rounded)), on=ct)["GTV"].inside.sum() == 24


def test_a_contour_across_slices_is_named_and_its_roi_refused_as_part_of_a_target_is_never_left_out(tmp_path: Path, ct: CtImage) -> None:
    sagittal = ct.geometry.to_patient([[4.0, 2, 1], [4, 6, 1], [4, 6, 5], [4, 2, 5]])
    bent = polygon(ct.geometry, box(1.5, 2.5, 5.5, 5.5), 4)
    bent[2, 2] += 1.5
    first, second = a_box(ct)
    dataset = structure_set(ct, Drawn("GTV", [first, first[:1], sagittal, second, bent]), Drawn("CTV", a_box(ct), "CTV", 2))
    dataset.ROIContourSequence[0].ContourSequence[1].ContourGeometricType = "POINT"
    contours = read_rtstruct(saved(dataset, tmp_path / "RS.dcm"), on=ct)
    said = r"ROI GTV has contours.*found 2 of 4 across them: number 3 from -97 to -85 mm, number 5 from -88 to -86\.5 mm along the slice normal"
    for interpolate in (False, True):
        with pytest.raises(ContourError, match=said):
            read_rtstruct(tmp_path / "RS.dcm", on=ct, interpolate_missing=interpolate)["GTV"]
    assert contours["CTV"].inside.sum() == 24


@pytest.mark.parametrize(
    ("slices", "corners", "said"),
    [
        ((20.0,), None, "ROI GTV lies outside the image"),
        ((2.0,), box(40.5, 2.5, 44.5, 5.5), "ROI GTV lies outside the image"),
        ((6.0, 7.0, 8.0, 9.0), None, r"partly outside the image.*2 of 4 contours beyond, at -76, -73 mm"),
        ((2.0,), box(-3.5, 2.5, 2.5, 5.5), r"partly outside the image.*at least 0\.04 cm³ beyond its edge, 0\.04 cm³ within"),
    ],
)
def test_an_roi_outside_or_partly_outside_the_image_is_refused_with_the_amount(
    tmp_path: Path, ct: CtImage, slices: tuple[float, ...], corners: list[list[float]] | None, said: str
) -> None:
    contours = read_rtstruct(written(tmp_path, ct, Drawn("GTV", a_box(ct, slices, corners=corners))), on=ct)
    with pytest.raises(ContourError, match=said):
        contours["GTV"]


def test_a_contour_along_the_edge_of_the_image_is_not_cut(tmp_path: Path, ct: CtImage) -> None:
    everything = [polygon(ct.geometry, box(-0.5, -0.5, 11.5, 9.5), z) for z in range(8)]
    assert read_rtstruct(written(tmp_path, ct, Drawn("Body", everything)), on=ct)["Body"].inside.all()


def test_an_roi_smaller_than_a_voxel_is_refused(tmp_path: Path, ct: CtImage) -> None:
    with pytest.raises(ContourError, match="ROI GTV holds no voxel centre"):
        read_rtstruct(written(tmp_path, ct, Drawn("GTV", a_box(ct, corners=box(2.1, 2.1, 2.9, 2.9)))), on=ct)["GTV"]


def test_names_are_looked_up_exactly_then_without_case_and_spaces_where_one_fits(tmp_path: Path, ct: CtImage) -> None:
    rois = (
        Drawn("GTV 1", a_box(ct)),
        Drawn("Lung", a_box(ct), "", 2),
        Drawn("LUNG", a_box(ct), "", 3),
        Drawn("CTV", a_box(ct), "", 4),
        Drawn("CTV", [], "", 5),
    )
    contours = read_rtstruct(written(tmp_path, ct, *rois), on=ct)
    assert contours["gtv1"] is contours["GTV 1"]
    assert contours.notes == ("ROI gtv1 was taken to mean 'GTV 1'",)
    assert contours["Lung"] is not contours["LUNG"]
    with pytest.raises(ContourError, match="number 2 'Lung', number 3 'LUNG'"):
        contours["lung"]
    with pytest.raises(ContourError, match="number 4 'CTV', number 5 'CTV'"):
        contours["CTV"]
    with pytest.raises(NotFoundError, match=r"No ROI of that name \(RS.dcm\): expected one of GTV 1, Lung, LUNG, CTV, CTV, found PTV"):
        contours["PTV"]
    assert "gtv1" in contours
    assert "PTV" not in contours
    assert list(contours) == ["GTV 1", "Lung", "LUNG"]


def test_a_contour_stored_twice_is_not_a_hole(tmp_path: Path, ct: CtImage) -> None:
    doubled = [points for points in a_box(ct) for points in (points, np.roll(points[::-1], 1, axis=0))]
    contours = read_rtstruct(written(tmp_path, ct, Drawn("GTV", doubled)), on=ct)
    assert contours["GTV"].inside.sum() == 24
    assert contours.notes == ("ROI GTV: 2 contours stored more than once, counted once",)


def test_contours_that_cross_are_named_with_what_they_share_and_holes_islands_and_neighbours_are_not(tmp_path: Path, ct: CtImage) -> None:
    def drawn(*boxes: list[list[float]]) -> list[np.ndarray]:
        return [polygon(ct.geometry, corners, z) for corners in boxes for z in (2, 3)]

    crossing = Drawn("GTV", drawn(box(0.5, 2.5, 5.5, 5.5), box(3.5, 3.5, 8.5, 7.5)))
    redrawn = Drawn("CTV", drawn(box(0.5, 2.5, 5.5, 5.5), box(0.6, 2.5, 5.5, 5.6)), "CTV", 2)
    nested = Drawn("Ring", drawn(box(0.5, 0.5, 9.5, 8.5), box(2.5, 2.5, 7.5, 6.5), box(3.5, 3.5, 5.5, 5.5)), "ORGAN", 3)
    beside = Drawn("Node", drawn(box(0.5, 0.5, 3.5, 3.5), box(3.5, 0.5, 6.5, 3.5)), "GTV", 4)
    contours = read_rtstruct(written(tmp_path, ct, crossing, redrawn, nested, beside), on=ct)
    assert [int(contours[name].inside[2].sum()) for name in ("GTV", "Ring", "Node")] == [15 + 20 - 2 * 4, 72 - 20 + 4, 18]
    with pytest.raises(ContourError, match="holds no voxel centre"):
        contours["CTV"]
    assert contours.notes == (
        "ROI GTV: contours cross on 2 slices; the 0.036 cm³ that lie in two of them are outside, as in a hole: look whether that is meant",
        "ROI CTV: contours cross on 2 slices; the 0.135 cm³ that lie in two of them are outside, as in a hole: look whether that is meant",
    )


def test_a_traced_region_is_read_inclusively_unless_told_otherwise(tmp_path: Path, ct: CtImage) -> None:
    trace = [[3.0, 2], [4, 2], [5, 3], [5, 4], [4, 5], [3, 5], [2, 4], [2, 3]]
    path = written(tmp_path, ct, Drawn("GTV", a_box(ct, corners=trace)))
    contours = read_rtstruct(path, on=ct)
    assert contours["GTV"].inside.sum() == 2 * 12
    assert "traced through them" in contours.notes[0]
    assert read_rtstruct(path, on=ct, boundary="half-open")["GTV"].inside.sum() < 24
    drawn_box = written(tmp_path, ct, Drawn("GTV", a_box(ct, corners=box(2, 2, 6, 5))))
    boxed = read_rtstruct(drawn_box, on=ct)
    assert boxed["GTV"].inside.sum() == 2 * 4 * 3
    assert "run along voxel centres as a drawn box does" in boxed.notes[0], "which of both is meant cannot be known for sure: it is said"
    assert read_rtstruct(drawn_box, on=ct, boundary="inclusive")["GTV"].inside.sum() == 2 * 5 * 4


def test_a_gap_between_slices_is_noted(tmp_path: Path, ct: CtImage) -> None:
    contours = read_rtstruct(written(tmp_path, ct, Drawn("GTV", a_box(ct, (1, 4)))), on=ct)
    assert contours["GTV"].inside.any(axis=(1, 2)).tolist() == [False, True, False, False, True, False, False, False]
    (note,) = contours.notes
    assert note.startswith("ROI GTV has no contour on 2 of the slices between its first and its last")


def test_open_contours_beside_closed_ones_are_left_out_and_named(tmp_path: Path, ct: CtImage) -> None:
    dataset = structure_set(ct, Drawn("GTV", a_box(ct, (2, 3, 4))))
    dataset.ROIContourSequence[0].ContourSequence[2].ContourGeometricType = "OPEN_PLANAR"
    contours = read_rtstruct(saved(dataset, tmp_path / "RS.dcm"), on=ct)
    assert contours["GTV"].inside.sum() == 24
    assert contours.notes == ("ROI GTV: 1 contour OPEN_PLANAR left out",)


@pytest.mark.parametrize("data", [["1", "2"], ["1", "2", "x"], ["1", "2", "nan"], ["1", "2", "1e300"]])
def test_coordinates_that_are_no_triples_of_numbers_are_refused_by_name(tmp_path: Path, ct: CtImage, data: list[str]) -> None:
    path = written(tmp_path, ct)
    before = b"\\".join(f"{value:.6g}".encode() for value in a_box(ct)[0].ravel())
    content = path.read_bytes()
    assert before in content
    path.write_bytes(content.replace(before, "\\".join(data).encode().ljust(len(before)), 1))
    with pytest.raises(ContourError, match="Contour 1 of ROI GTV"):
        read_rtstruct(path, on=ct)["GTV"]


def test_a_wrong_modality_is_refused_naming_both(tmp_path: Path, ct: CtImage) -> None:
    dataset = structure_set(ct, Drawn("GTV", a_box(ct)))
    dataset.Modality = "RTPLAN"
    with pytest.raises(DicomError, match=r"Not a structure set \(RS.dcm\): expected Modality RTSTRUCT, found Modality RTPLAN"):
        read_rtstruct(saved(dataset, tmp_path / "RS.dcm"), on=ct)


def test_no_file_and_no_dicom_are_refused(tmp_path: Path, ct: CtImage) -> None:
    with pytest.raises(NotFoundError, match="No structure set is here"):
        read_rtstruct(tmp_path / "absent.dcm", on=ct)
    for content in (b"", b"not dicom at all" * 30, bytes(range(256)) * 20):
        (tmp_path / "RS.dcm").write_bytes(content)
        with pytest.raises(DicomError, match=r"RS.dcm"):
            summarise_rtstruct(tmp_path / "RS.dcm")


def test_a_file_that_breaks_off_is_told_as_that(tmp_path: Path, ct: CtImage) -> None:
    dataset = structure_set(ct, Drawn("GTV", a_box(ct)))
    dataset["ROIContourSequence"].is_undefined_length = True
    whole = saved(dataset, tmp_path / "RS.dcm").read_bytes()
    (tmp_path / "RS.dcm").write_bytes(whole[: whole.index(b"\x06\x30\x39\x00") + 30])
    with pytest.raises(DicomError, match=r"cannot be read \(RS\.dcm\): found damage, or its end is missing\. Copy or export it again"):
        read_rtstruct(tmp_path / "RS.dcm", on=ct)


@pytest.mark.parametrize("undefined_length", [False, True])
def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path, ct: CtImage, undefined_length: bool) -> None:
    dataset = structure_set(ct, Drawn("GTV", a_box(ct)))
    for name in ("ReferencedFrameOfReferenceSequence", "StructureSetROISequence", "ROIContourSequence", "RTROIObservationsSequence"):
        dataset[name].is_undefined_length = undefined_length
    whole = saved(dataset, tmp_path / "RS.dcm").read_bytes()
    listed = whole.index(b"\x06\x30\x39\x00")  # ROIContourSequence: from there on the ROIs are known
    for end in [*range(0, listed, 61), *range(listed + 1, len(whole) - 1, 13)]:
        (tmp_path / "RS.dcm").write_bytes(whole[:end])
        try:
            contours = read_rtstruct(tmp_path / "RS.dcm", on=ct)
        except DicomError:
            continue
        assert end > listed
        assert contours["GTV"].inside.sum() == 24, "what is cut off after the contours harms nobody"


def test_a_summary_needs_no_ct_and_survives_missing_parts(ct: CtImage) -> None:
    dataset = structure_set(ct, Drawn("GTV", a_box(ct)), Drawn("Iso", [np.zeros((1, 3))], "ISOCENTER", 7, "POINT"))
    summary = summarise_rtstruct(dataset)
    gtv, iso = summary.rois
    assert (summary.label, gtv.name, gtv.number, gtv.kind, gtv.contour_count) == ("drawn", "GTV", 1, "GTV", 2)
    assert (iso.number, iso.contour_count, iso.other_contours) == (7, 0, (("POINT", 1),))
    assert summary.frames_of_reference == (FRAME,)
    assert summary.referenced_series_uids == (ct.identity.series_uid,)
    assert summary.referenced_sop_uids == ct.identity.sop_instance_uids
    for keyword in ("ReferencedFrameOfReferenceSequence", "RTROIObservationsSequence", "ROIContourSequence", "StructureSetLabel", "StudyInstanceUID"):
        del dataset[keyword]
        assert summarise_rtstruct(dataset).names == ("GTV", "Iso")
    del dataset.StructureSetROISequence
    with pytest.raises(DicomError, match="without a list of ROIs"):
        summarise_rtstruct(dataset)
    with pytest.raises(DicomError, match="Not a DICOM file"):
        summarise_rtstruct(Dataset())


def real_ct(folder: Path) -> CtImage:
    import pydicom

    slices = sorted((pydicom.dcmread(file, stop_before_pixels=True) for file in folder.iterdir()), key=lambda s: float(s.ImagePositionPatient[2]))
    first, step = slices[0], float(slices[1].ImagePositionPatient[2]) - float(slices[0].ImagePositionPatient[2])
    spacing = (float(first.PixelSpacing[1]), float(first.PixelSpacing[0]), step)
    origin = tuple(float(value) for value in first.ImagePositionPatient)
    geometry = rt4d.Geometry((first.Columns, first.Rows, len(slices)), spacing, origin, frame_of_reference=first.FrameOfReferenceUID)
    uids = tuple(s.SOPInstanceUID for s in slices)
    identity = SeriesIdentity(
        first.StudyInstanceUID, first.SeriesInstanceUID, first.SOPClassUID, uids, patient={"PatientID": first.get("PatientID", "")}
    )
    return CtImage(Volume(np.zeros(geometry.shape, np.int8), geometry), identity)


def test_real_xio_and_aria_structure_sets_give_their_known_volumes_and_agree(real_data: Path) -> None:
    ct = real_ct(real_data / "lung1_001" / "CT")
    xio = read_rtstruct(real_data / "lung1_001" / "RTSTRUCT_XiO.dcm", on=ct)
    assert xio["GTV-1"].volume_cm3 == pytest.approx(155.8, rel=0.005)
    assert xio.partial_volume("GTV-1").volume_cm3 == pytest.approx(155.8, rel=0.005)
    assert xio["1,SUV_primair"].volume_cm3 > 100, "each of its contours is stored twice"
    assert min(holes(xio[lung].inside) for lung in ("Lung L", "Lung R")) > 0
    with pytest.raises(ContourError, match="POINT"):
        xio["Isocenter 6"]
    aria_path = real_data / "lung1_001" / "RTSTRUCT_ARIA.dcm"
    with pytest.raises(ContourError, match="another frame of reference"):
        read_rtstruct(aria_path, on=ct)
    aria = read_rtstruct(aria_path, on=ct, assume_same_frame=True)
    assert aria["GTV-1"].volume_cm3 == pytest.approx(156.3, rel=0.005)
    both = xio["GTV-1"] & aria["GTV-1"]
    assert 2 * both.volume_cm3 / (xio["GTV-1"].volume_cm3 + aria["GTV-1"].volume_cm3) >= 0.99
    assert holes(aria["Lung-Left"].inside) > 0


def holes(inside: np.ndarray) -> int:
    from scipy import ndimage

    return sum(int((ndimage.binary_fill_holes(slice_) & ~slice_).sum()) for slice_ in inside)


def test_the_real_4dct_gtv_lies_where_the_data_sheet_says(real_data: Path) -> None:
    ct = real_ct(real_data / "4dct_philips" / "50")
    gtv = read_rtstruct(real_data / "4dct_philips_gtv.dcm", on=ct)["GTV"]
    assert np.linalg.norm(np.subtract(gtv.centroid_mm, (-86, 77, -2))) < 10
    assert 4 < gtv.volume_cm3 < 12
