from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rt4d.dicom.ct_writer import derived_identity, new_identity, write_ct_series
from rt4d.dicom.structures import write_rtstruct
from rt4d.drawn import drawn_targets
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
