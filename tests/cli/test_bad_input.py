"""What is wrong is refused in one line that says what, where and what to do, with exit code 2, and nothing is written."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess

import numpy as np
import pydicom
import pytest

from rt4d import cli
from rt4d.dicom.fourdct import read_4dct
from rt4d.dicom.structures import write_rtstruct
from rt4d.rois import Roi
from rt4d.volumes import Mask
from tests.cli.conftest import QUICK


@pytest.fixture
def refused(tmp_path, capsys, written):
    """Run `rt4d itv` and return the one line that it was refused with."""

    def run(folder, *, gtv=None, options=(), code=2):
        out = tmp_path / "out"
        before = set(tmp_path.rglob("*"))
        arguments = ["itv", str(folder), "--gtv", str(gtv or written / "gtv.dcm"), "--recipe", str(QUICK), "--out", str(out), *options]
        assert cli.run(arguments) == code
        said = capsys.readouterr()
        assert said.out == ""
        errors = [line for line in said.err.splitlines() if line.startswith("rt4d: ")]
        assert len(errors) == 1, said.err
        assert "internal error" not in errors[0]
        assert set(tmp_path.rglob("*")) == before
        return errors[0]

    return run


def change(folder, **attributes):
    """Set attributes of every image in a folder, None to remove."""
    for path in sorted(folder.rglob("*.dcm")):
        dataset = pydicom.dcmread(path)
        for keyword, value in attributes.items():
            if value is None:
                dataset.pop(keyword, None)
            else:
                setattr(dataset, keyword, value)
        dataset.save_as(path)


def images(folder):
    """The files of a phase from the feet up."""
    return sorted(folder.glob("*.dcm"), key=lambda path: float(pydicom.dcmread(path, stop_before_pixels=True).ImagePositionPatient[2]))


def test_empty_folder(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty" in refused(tmp_path / "empty")


def test_folder_that_is_not_there(refused, tmp_path):
    assert "nowhere" in refused(tmp_path / "nowhere")


def test_no_ct(refused, patient):
    change(patient, Modality="MR")
    assert "CT" in refused(patient)


def test_one_phase_only(refused, patient):
    for label in ("00", "25", "75"):
        shutil.rmtree(patient / label)
    assert "phase" in refused(patient)


def test_a_phase_with_a_missing_slice(refused, patient):
    gone = images(patient / "25")[17]
    gone.unlink()
    said = refused(patient)
    assert "25" in said
    assert "12.0" in said or "gap" in said or "missing" in said


def test_two_slices_at_one_position(refused, patient):
    first, second = images(patient / "25")[10:12]
    dataset = pydicom.dcmread(second)
    dataset.ImagePositionPatient = pydicom.dcmread(first).ImagePositionPatient
    dataset.save_as(second)
    said = refused(patient)
    assert first.name in said
    assert second.name in said


def test_two_patients_in_one_folder_and_neither_is_named(refused, patient):
    change(patient / "00", PatientID="QX-ONE", PatientName="QUIXOTE^DON")
    change(patient / "25", PatientID="QX-TWO", PatientName="PANZA^SANCHO")
    said = refused(patient)
    assert "patient" in said
    assert not any(name in said for name in ("QUIXOTE", "PANZA", "QX-ONE", "QX-TWO"))


def test_phases_on_different_grids(refused, patient):
    change(patient / "25", PixelSpacing=[4.4, 4.4])
    assert "25" in refused(patient)


def test_phases_in_different_frames_of_reference(refused, patient):
    change(patient / "25", FrameOfReferenceUID="1.2.3.4")
    assert "1.2.3.4" in refused(patient)


def test_truncated_dicom(refused, patient):
    cut = images(patient / "75")[5]
    cut.write_bytes(cut.read_bytes()[:-2000])
    assert cut.name in refused(patient)


def test_phases_that_cannot_be_told_apart(refused, patient):
    change(patient, SeriesDescription="Thorax", ImageComments="")
    assert "phase" in refused(patient)


def test_a_reference_that_is_not_there(refused, patient):
    said = refused(patient, options=["--reference", "40"])
    assert "00" in said
    assert "75" in said


def test_unknown_roi_name_lists_the_names(refused, written):
    said = refused(written / "4dct", options=["--roi", "Tumour"])
    assert "GTV" in said
    assert "Tumour" in said


def structure_set(written, path, **rois):
    """A structure set on the reference phase; an ROI is a pair of index box corners."""
    reference = read_4dct(written / "4dct").reference
    made = []
    for name, ((x0, y0, z0), (x1, y1, z1)) in rois.items():
        inside = np.zeros(reference.geometry.shape, bool)
        inside[z0:z1, y0:y1, x0:x1] = True
        made.append(Roi(name, Mask(inside, reference.geometry), "GTV"))
    return write_rtstruct(path, on=reference, rois=made)


def test_ambiguous_roi_asks_which(refused, written, tmp_path):
    path = structure_set(written, tmp_path / "rs.dcm", GTVp=((20, 20, 10), (26, 26, 14)), GTVn=((40, 20, 10), (46, 26, 14)))
    said = refused(written / "4dct", gtv=path)
    assert "GTVp" in said
    assert "GTVn" in said
    assert "--roi" in said


def moved(written, path, offset_mm):
    """The physician's structure set with every point moved."""
    dataset = pydicom.dcmread(written / "gtv.dcm")
    for contour in dataset.ROIContourSequence[0].ContourSequence:
        points = np.array(contour.ContourData, dtype=float).reshape(-1, 3) + offset_mm
        contour.ContourData = [f"{v:.3f}" for v in points.ravel()]
    dataset.save_as(path)
    return path


def test_gtv_outside_the_image(refused, written, tmp_path):
    assert "outside" in refused(written / "4dct", gtv=moved(written, tmp_path / "rs.dcm", (600, 0, 0)))


def test_gtv_between_slices(refused, written, tmp_path):
    assert "slice" in refused(written / "4dct", gtv=moved(written, tmp_path / "rs.dcm", (0, 0, 2)))


def test_empty_gtv(refused, written, tmp_path):
    dataset = pydicom.dcmread(written / "gtv.dcm")
    del dataset.ROIContourSequence[0].ContourSequence
    dataset.save_as(tmp_path / "rs.dcm")
    assert "contour" in refused(written / "4dct", gtv=tmp_path / "rs.dcm")


@pytest.fixture
def elsewhere(written, tmp_path):
    """A structure set in another frame of reference, and both frames."""
    own = read_4dct(written / "4dct").geometry.frame_of_reference
    other = own[:-3] + ("111" if own[-3:] != "111" else "222")
    (tmp_path / "rs.dcm").write_bytes((written / "gtv.dcm").read_bytes().replace(own.encode(), other.encode()))
    return tmp_path / "rs.dcm", own, other


def test_gtv_in_another_frame_of_reference_names_both(refused, written, elsewhere):
    drawn, own, other = elsewhere
    said = refused(written / "4dct", gtv=drawn)
    assert own in said
    assert other in said
    assert "--assume-same-frame" in said or "assume_same_frame" in said


@pytest.mark.slow
def test_another_frame_of_reference_can_be_assumed_to_be_the_same(written, elsewhere, tmp_path):
    drawn, _, other = elsewhere
    arguments = ["itv", written / "4dct", "--gtv", drawn, "--recipe", QUICK, "--out", tmp_path / "out", "--assume-same-frame"]
    assert cli.run([str(part) for part in arguments]) == 0
    assert other in (tmp_path / "out" / "summary.json").read_text() or "frame" in (tmp_path / "out" / "summary.json").read_text()


@pytest.fixture
def no_registration(monkeypatch):
    from rt4d import patient

    monkeypatch.setattr(patient, "track", lambda *_, **__: pytest.fail("phases were registered first"))


def test_gtv_at_the_edge_is_refused_before_registration(refused, written, tmp_path, no_registration):
    path = structure_set(written, tmp_path / "rs.dcm", GTV=((20, 20, 0), (26, 26, 4)))
    assert "edge of the CT" in refused(written / "4dct", gtv=path)


def test_a_4dct_without_a_frame_of_reference_is_refused_before_registration(refused, patient, no_registration):
    change(patient, FrameOfReferenceUID=None)
    assert "frame of reference" in refused(patient, options=["--assume-same-frame"])


@pytest.mark.parametrize("framed", [True, False])
def test_the_planning_ct_of_another_patient_is_refused(refused, written, patient, tmp_path, no_registration, framed):
    planning = shutil.copytree(written / "4dct" / "25", tmp_path / "planning")
    change(planning, PatientID="QX-TWO", PatientName="PANZA^SANCHO")
    if not framed:
        change(patient, FrameOfReferenceUID=None)
    said = refused(patient, options=["--planning", str(planning), "--assume-same-frame"])
    assert "different patients" in said
    assert not any(name in said for name in ("PANZA", "QX-TWO"))


def test_a_planning_ct_is_not_taken_on_trust(refused, written, patient, no_registration):
    change(patient, FrameOfReferenceUID=None)
    assert "--assume-same-frame" in refused(patient, options=["--planning", str(written / "4dct" / "25")])


def test_a_planning_ct_that_cuts_the_gtv_is_refused_before_registration(refused, written, tmp_path, no_registration):
    planning = shutil.copytree(written / "4dct" / "25", tmp_path / "planning")
    for path in images(planning)[:-8]:
        path.unlink()
    refused(written / "4dct", options=["--planning", str(planning)])


def test_structure_set_that_is_something_else(refused, written):
    said = refused(written / "4dct", gtv=images(written / "4dct" / "00")[0])
    assert "CT" in said


def test_output_folder_not_empty_inside_the_input_or_a_file(written, patient, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    for out, said in [
        (tmp_path / "full", "not empty"),
        (patient / "out", "inside the input"),
        (tmp_path / "full" / "mine.txt", "is a file"),
        ("/sys/kernel/rt4d", "cannot be written"),
    ]:
        assert cli.run(["itv", str(patient), "--gtv", str(written / "gtv.dcm"), "--out", str(out)]) == 2
        assert said in capsys.readouterr().err
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"


def test_disk_full_while_writing_ends_with_3_and_leaves_nothing(refused, written, monkeypatch):
    from rt4d import delivery

    def full(*_arguments, **_more):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(delivery, "write_rtstruct", full)
    assert "disk is full" in refused(written / "4dct", code=3)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_really_is_full(refused, written, tmp_path):
    small = tmp_path / "disk"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60k", "tmpfs", str(small)], check=False, capture_output=True).returncode:
        pytest.skip("cannot mount here")
    try:
        assert cli.run(["itv", str(written / "4dct"), "--gtv", str(written / "gtv.dcm"), "--out", str(small / "out")]) == 3
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize("options", [["--margin", "5,5"], ["--margin", "-3"], ["--margin", "900"], ["--recipe", "lung_fokus"], ["--workers", "0"]])
def test_impossible_options_are_refused(refused, written, options):
    refused(written / "4dct", options=options)


def test_a_recipe_that_does_not_exist_is_refused_before_anything_is_read(refused, written, monkeypatch):
    from rt4d import patient

    monkeypatch.setattr(patient, "read_4dct", lambda *_, **__: pytest.fail("the 4D-CT was read first"))
    refused(written / "4dct", options=["--recipe", "lung_fokus"])
