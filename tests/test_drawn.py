from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rt4d.dicom.ct_writer import derived_identity, new_identity, write_ct_series
from rt4d.dicom.structures import write_rtstruct
from rt4d.drawn import _label_at_end, drawn_targets
from rt4d.errors import ContourError, GeometryError, InputError, NotFoundError
from rt4d.geometry import Geometry
from rt4d.phases import CtImage, FourDCT, Phase
from rt4d.rois import Roi
from rt4d.target import projections
from rt4d.volumes import Mask, Volume

GRID = Geometry((24, 20, 16), (2.0, 2.0, 3.0), (-20.0, 30.0, -100.0), frame_of_reference="1.2.826.0.1.7")


@pytest.fixture
def ct():
    phases = [
        Phase(Volume(np.full(GRID.shape, -800, np.int16), GRID), new_identity(GRID, study_uid="1.2.826.0.1.8", patient_id="P"), label)
        for label in ("00", "30", "50")
    ]
    return FourDCT(tuple(phases), "50")


def box(start, grid=GRID):
    inside = np.zeros(grid.shape, bool)
    x, y, z = start
    inside[z : z + 4, y : y + 6, x : x + 6] = True
    return Mask(inside, grid)


def drawn_on(path, image, **masks):
    return write_rtstruct(path, on=image, rois=[Roi(name, mask, "GTV") for name, mask in masks.items()])


def test_the_only_gtv_needs_no_name(ct, tmp_path):
    path = write_rtstruct(tmp_path / "rs.dcm", on=ct.reference, rois=[Roi("Tumour", box((5, 5, 5)), "GTV"), Roi("Lung", box((9, 9, 9)), "ORGAN")])
    (target,) = drawn_targets(ct, [path])
    assert target.name == "Tumour"
    assert np.array_equal(target.masks["50"].inside, box((5, 5, 5)).inside)


def test_several_rois_are_several_targets_in_the_order_asked_for(ct, tmp_path):
    path = drawn_on(tmp_path / "rs.dcm", ct.reference, GTVp=box((5, 5, 5)), GTVn=box((14, 5, 5)))
    assert [target.name for target in drawn_targets(ct, [path], names=["GTVn", "GTVp"])] == ["GTVn", "GTVp"]
    with pytest.raises(InputError, match="--roi"):
        drawn_targets(ct, [path])


def test_one_structure_set_per_phase_is_taken_as_drawn_there(ct, tmp_path):
    paths = [drawn_on(tmp_path / f"{label}.dcm", ct[label], **{f"Tumor_c{label}": box((5, 5, z))}) for label, z in (("00", 4), ("50", 7))]
    (target,) = drawn_targets(ct, paths, names=["Tumor_c*"])
    assert list(target.masks) == ["00", "50"]
    assert target.masks["50"].centroid_mm[2] - target.masks["00"].centroid_mm[2] == pytest.approx(9)


def test_names_that_end_in_a_phase_tell_it_within_one_structure_set(ct, tmp_path):
    path = drawn_on(tmp_path / "rs.dcm", ct.reference, GTV_T00=box((5, 5, 4)), GTV_T50=box((5, 5, 7)), ITV=box((5, 5, 6)))
    (target,) = drawn_targets(ct, [path], names=["GTV_T*"])
    assert list(target.masks) == ["00", "50"]
    wrong = drawn_on(tmp_path / "wrong.dcm", ct.reference, GTV_a=box((5, 5, 4)), GTV_b=box((5, 5, 7)))
    with pytest.raises(ContourError, match="GTV_a, GTV_b"):
        drawn_targets(ct, [wrong], names=["GTV_*"])


def test_a_gtv_drawn_on_another_phase_only_asks_for_that_reference(ct, tmp_path):
    path = drawn_on(tmp_path / "rs.dcm", ct["30"], GTV=box((5, 5, 5)))
    with pytest.raises(ContourError, match="--reference 30"):
        drawn_targets(ct, [path])


def test_a_phase_drawn_twice_is_refused(ct, tmp_path):
    paths = [drawn_on(tmp_path / f"{n}.dcm", ct.reference, GTV=box((5, 5, 5))) for n in range(2)]
    with pytest.raises(ContourError, match="drawn twice on phase 50"):
        drawn_targets(ct, paths)


def test_a_gtv_on_the_average_ct_in_the_folder_comes_onto_the_phases(ct, tmp_path):
    average = CtImage(projections(ct)["average"], derived_identity(ct.reference.identity, description="Average"))
    write_ct_series(average, tmp_path / "patient" / "ave", series_description="Average", image_type=("DERIVED", "SECONDARY", "AXIAL", "AVERAGE"))
    path = drawn_on(tmp_path / "rs.dcm", average, GTV=box((5, 5, 5)))
    (target,) = drawn_targets(ct, [path], folder=tmp_path / "patient")
    assert np.array_equal(target.masks["50"].inside, box((5, 5, 5)).inside)


def planning_ct(frame=GRID.frame_of_reference):
    fine = Geometry((60, 50, 28), (1.0, 1.0, 2.0), (-24.0, 26.0, -103.0), frame_of_reference=frame)
    return CtImage(Volume(np.full(fine.shape, -800, np.int16), fine), new_identity(fine, study_uid="1.2.826.0.1.8", patient_id="P"))


def test_a_gtv_on_the_planning_ct_comes_onto_the_phases_with_its_volume_and_place(ct, tmp_path):
    planning = planning_ct()
    centres = planning.geometry.centres()
    ball = Mask(np.linalg.norm(centres - np.array([0, 50, -76]), axis=-1) < 12, planning.geometry)
    path = drawn_on(tmp_path / "rs.dcm", planning, GTV=ball)
    (target,) = drawn_targets(ct, [path], planning=planning)
    assert target.masks["50"].geometry.is_same_grid(GRID)
    assert target.masks["50"].volume_cm3 == pytest.approx(ball.volume_cm3, rel=0.05)
    assert target.masks["50"].centroid_mm == pytest.approx(ball.centroid_mm, abs=0.4)


def test_a_planning_ct_in_another_frame_of_reference_is_refused(ct, tmp_path):
    planning = planning_ct("1.2.826.0.1.9")
    ball = Mask(np.linalg.norm(planning.geometry.centres() - np.array([0, 50, -76]), axis=-1) < 12, planning.geometry)
    path = drawn_on(tmp_path / "rs.dcm", planning, GTV=ball)
    with pytest.raises(GeometryError, match=r"1\.2\.826\.0\.1\.9"):
        drawn_targets(ct, [path], planning=planning)


def test_of_phases_in_one_image_the_frames_tell_which_was_drawn_on(ct, tmp_path):
    depth = GRID.size[2]
    one = {"series_uid": "1.2.3", "sop_instance_uids": ("1.2.3.4",) * depth, "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2.1"}
    numbers = [tuple(range(1 + n * depth, 1 + (n + 1) * depth)) for n in range(len(ct))]
    frames = [replace(phase, identity=replace(phase.identity, **one, frame_numbers=each)) for phase, each in zip(ct, numbers, strict=True)]
    enhanced = FourDCT(tuple(frames), "50")
    (target,) = drawn_targets(enhanced, [drawn_on(tmp_path / "rs.dcm", enhanced["50"], GTV=box((5, 5, 5)))])
    assert list(target.masks) == ["50"]


def test_an_unknown_name_lists_what_is_there(ct, tmp_path):
    path = drawn_on(tmp_path / "rs.dcm", ct.reference, GTVp=box((5, 5, 5)))
    with pytest.raises(NotFoundError, match="GTVp"):
        drawn_targets(ct, [path], names=["GTVx"])


def test_a_structure_set_without_image_references_is_read_on_the_reference_and_said(ct, tmp_path):
    elsewhere = CtImage(
        ct.reference.volume,
        replace(ct.reference.identity, series_uid="1.2.826.0.1.99", sop_instance_uids=tuple(f"1.2.826.0.1.99.{z}" for z in range(GRID.size[2]))),
    )
    path = drawn_on(tmp_path / "rs.dcm", elsewhere, GTV=box((5, 5, 5)))
    (target,) = drawn_targets(ct, [path])
    assert any("references no image that is here" in note for note in target.notes)


def test_a_structure_set_that_references_several_phases_is_refused(ct, tmp_path):
    mixed = tuple(ct[label].identity.sop_instance_uids[z] for z, label in zip(range(GRID.size[2]), ("00", "50") * 8, strict=True))
    both = CtImage(ct.reference.volume, replace(ct.reference.identity, sop_instance_uids=mixed))
    path = drawn_on(tmp_path / "rs.dcm", both, GTV=box((5, 5, 5)))
    with pytest.raises(ContourError, match="phases 00 50"):
        drawn_targets(ct, [path])


def test_what_is_odd_about_the_contours_is_noted(ct, tmp_path):
    gap = box((5, 5, 5))
    gap.inside.flags.writeable = True
    gap.inside[7] = False
    path = drawn_on(tmp_path / "rs.dcm", ct.reference, GTV=gap, GTVn=box((14, 5, 5)))
    missing, named = "no contour on 1 of the slices", "ROI gtv was taken to mean 'GTV'"
    (target,) = drawn_targets(ct, [path], names=["gtv"])
    assert any(missing in note for note in target.notes)
    assert named in target.notes
    node, whole = drawn_targets(ct, [path], names=["GTVn", "GTV"])
    assert not any(missing in note for note in node.notes)
    assert any(missing in note for note in whole.notes)
    (filled,) = drawn_targets(ct, [path], names=["GTV"], interpolate_missing=True)
    assert np.array_equal(filled.masks["50"].inside, box((5, 5, 5)).inside)
    assert any("interpolated on 1 slice" in note for note in filled.notes)


def test_structure_sets_of_several_phases_may_name_their_gtv_otherwise(ct, tmp_path):
    paths = [drawn_on(tmp_path / f"{label}.dcm", ct[label], **{f"GTV_{label}": box((5, 5, z))}) for label, z in (("00", 4), ("50", 7))]
    (target,) = drawn_targets(ct, paths)
    assert (target.name, list(target.masks)) == ("GTV_50", ["00", "50"])


def test_a_structure_set_that_holds_none_of_the_rois_is_refused(ct, tmp_path):
    paths = [drawn_on(tmp_path / f"{label}.dcm", ct[label], **{f"GTV_{label}": box((5, 5, 5))}) for label in ("00", "50")]
    with pytest.raises(ContourError, match=r"(?s)holds no ROI that is asked for.*00\.dcm.*GTV_00"):
        drawn_targets(ct, paths, names=["GTV_50"])


def test_an_roi_is_asked_for_once(ct, tmp_path):
    path = drawn_on(tmp_path / "rs.dcm", ct.reference, GTV=box((5, 5, 5)))
    with pytest.raises(InputError, match="asked for twice"):
        drawn_targets(ct, [path], names=["GTV", "GTV"])


def test_one_name_that_fits_tells_its_phase_too(ct, tmp_path):
    path = drawn_on(tmp_path / "rs.dcm", ct.reference, GTV_T00=box((5, 5, 4)))
    with pytest.raises(ContourError, match="drawn on phase 00"):
        drawn_targets(ct, [path], names=["GTV_T*"])
    (target,) = drawn_targets(ct, [path], names=["GTV_T00"])
    assert list(target.masks) == ["50"]
    assert any("its name ends in another phase, 00" in note for note in target.notes)


@pytest.mark.parametrize("name", ["GTV_T6.25", "GTV_T75", "GTV_T50.5", "GTV_T101"])
def test_a_name_that_ends_in_no_phase_of_the_ct_is_refused(ct, tmp_path, name):
    path = drawn_on(tmp_path / "rs.dcm", ct.reference, **{"GTV_T50": box((5, 5, 4)), name: box((5, 5, 7))})
    with pytest.raises(ContourError, match="do not each end in a phase"):
        drawn_targets(ct, [path], names=["GTV_T*"])


@pytest.mark.parametrize(
    ("name", "label"), [("GTV_T12.5", "12p5"), ("GTV 12,5%", "12p5"), ("GTV.30", "30"), ("c5", "05"), ("GTV_30Ex", "30Ex"), ("GTV", "")]
)
def test_the_phase_at_the_end_of_a_name(name, label):
    assert _label_at_end(name) == label


def test_a_star_or_a_bracket_in_a_name_is_taken_as_it_stands(ct, tmp_path):
    path = drawn_on(tmp_path / "rs.dcm", ct.reference, **{"GTV*": box((5, 5, 4)), "GTV_old": box((5, 5, 7))})
    (target,) = drawn_targets(ct, [path], names=["GTV*"])
    assert np.array_equal(target.masks["50"].inside, box((5, 5, 4)).inside)
    path = drawn_on(tmp_path / "rs2.dcm", ct.reference, **{"GTV[1]_T50": box((5, 5, 4)), "GTV[1]_T00": box((5, 5, 7))})
    (target,) = drawn_targets(ct, [path], names=["GTV[1]_T*"])
    assert list(target.masks) == ["00", "50"]


def test_the_outline_of_the_patient_is_no_gtv(ct, tmp_path):
    path = write_rtstruct(tmp_path / "rs.dcm", on=ct.reference, rois=[Roi("BODY", box((5, 5, 5)), "EXTERNAL")])
    with pytest.raises(ContourError, match="BODY"):
        drawn_targets(ct, [path])


def test_what_was_drawn_on_no_phase_says_so(ct, tmp_path):
    average = CtImage(projections(ct)["average"], derived_identity(ct.reference.identity, description="Average"))
    write_ct_series(average, tmp_path / "patient" / "ave", series_description="Average", image_type=("DERIVED", "SECONDARY", "AXIAL", "AVERAGE"))
    (target,) = drawn_targets(ct, [drawn_on(tmp_path / "rs.dcm", average, GTV=box((5, 5, 5)))], folder=tmp_path / "patient")
    assert target.source == "drawn on the average CT"
    assert any("on the average CT, which is no phase" in note for note in target.notes)
    mip = CtImage(projections(ct)["MIP"], derived_identity(ct.reference.identity, description="MIP"))
    write_ct_series(mip, tmp_path / "patient" / "mip", series_description="MIP", image_type=("DERIVED", "SECONDARY", "AXIAL", "MIP"))
    with pytest.raises(ContourError, match="maximum intensity projection"):
        drawn_targets(ct, [drawn_on(tmp_path / "rs2.dcm", mip, GTV=box((5, 5, 5)))], folder=tmp_path / "patient")
