from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pydicom
import pytest

import rt4d
from rt4d import cli
from rt4d.agreement import dice
from rt4d.dicom.ct_writer import new_identity, write_ct_series
from rt4d.geometry import Geometry
from rt4d.images import read_mask
from rt4d.phases import CtImage
from rt4d.resources import data_folder
from rt4d.rois import Roi
from rt4d.volumes import Mask, Volume
from tests.cli.conftest import PHASES, QUICK


@pytest.fixture(scope="session")
def result(written, tmp_path_factory):
    """The main job, as a user runs it."""
    out = tmp_path_factory.mktemp("result") / "out"
    options = ["--margin", "5", "--projections", "--recipe", QUICK, "--out", out]
    command = [sys.executable, "-m", "rt4d", "itv", written / "4dct", "--gtv", written / "gtv.dcm", *options]
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return out, run


def test_the_contracts_files_are_there_and_nothing_else(result):
    out, _ = result
    expected = {"rtstruct.dcm", "itv.nii.gz", "summary.json", "report.html", "run.json", "average", "mip", "minimum", "slicer"}
    assert {path.name for path in out.iterdir()} == expected | {f"gtv_{label}.nii.gz" for label in PHASES}


def test_result_goes_to_stdout_and_progress_to_stderr(result):
    _, run = result
    assert "ITV of GTV" in run.stdout
    assert "cm³" in run.stdout
    assert "registering phases: 3 of 3" in run.stderr


def test_summary_keeps_the_contract(result):
    summary = json.loads((result[0] / "summary.json").read_text())
    assert summary["schema"] == "rt4d.summary/1"
    assert (summary["reference"], summary["verdict"]) == ("50", "pass")
    (target,) = summary["targets"]
    assert target["name"] == "ITV"
    assert set(target["volume_cm3"]) == {*PHASES, "ITV", "PTV"}
    assert set(target["centroid_mm"]) == set(PHASES)
    assert set(target["amplitude_mm"]) == {"x", "y", "z"}
    assert all({"phase", "name", "value", "limit", "verdict"} <= set(check) for check in target["checks"])
    assert {check["phase"] for check in target["checks"]} >= {"00", "25", "75"}


def test_masks_agree_with_summary_and_truth(result, written):
    summary = json.loads((result[0] / "summary.json").read_text())
    for name, key in [*((f"gtv_{label}", label) for label in PHASES), ("itv", "ITV")]:
        mask, truth = read_mask(result[0] / f"{name}.nii.gz"), read_mask(written / "truth" / f"{name}.nii.gz")
        assert mask.volume_cm3 == pytest.approx(summary["targets"][0]["volume_cm3"][key], abs=1e-3)
        assert dice(mask, truth) > 0.9
    assert summary["targets"][0]["amplitude_mm"]["z"] == pytest.approx(12, abs=1)


def test_the_tumour_moves_to_the_feet_at_inhalation_and_everything_says_so(result, written):
    ct = rt4d.read_4dct(written / "4dct")
    centroid = json.loads((result[0] / "summary.json").read_text())["targets"][0]["centroid_mm"]
    drawn = rt4d.read_rtstruct(result[0] / "rtstruct.dcm", on=ct.reference)
    for deep, high in [
        (centroid["00"], centroid["50"]),
        (read_mask(result[0] / "gtv_00.nii.gz").centroid_mm, read_mask(result[0] / "gtv_50.nii.gz").centroid_mm),
        (drawn["GTV_T00"].centroid_mm, drawn["GTV_T50"].centroid_mm),
    ]:
        assert high[2] - deep[2] == pytest.approx(12, abs=1)


def test_the_structure_set_refers_to_the_reference_phase_and_holds_the_masks(result, written):
    ct = rt4d.read_4dct(written / "4dct")
    dataset = pydicom.dcmread(result[0] / "rtstruct.dcm")
    names = [str(roi.ROIName) for roi in dataset.StructureSetROISequence]
    assert names == [*(f"GTV_T{label}" for label in PHASES), "ITV", "PTV_5mm"]
    frame = dataset.ReferencedFrameOfReferenceSequence[0]
    assert str(frame.FrameOfReferenceUID) == ct.geometry.frame_of_reference
    series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert str(series.SeriesInstanceUID) == ct.reference.identity.series_uid
    drawn = rt4d.read_rtstruct(result[0] / "rtstruct.dcm", on=ct.reference)
    assert np.array_equal(drawn["ITV"].inside, read_mask(result[0] / "itv.nii.gz").inside)


def test_run_record_tells_versions_inputs_recipe_and_hashes(result, written):
    record = json.loads((result[0] / "run.json").read_text())
    assert record["versions"]["rt4d"] == rt4d.__version__
    assert record["recipe"]["name"] == "quick"
    assert set(record["inputs"]["phases"]) == set(PHASES)
    assert len(record["inputs"]["phases"]["50"]["sop_instance_uids"]) == 40
    assert {"read", "contours", "registration", "targets", "write", "report"} <= set(record["seconds"])
    from rt4d.provenance import sha256

    for name in ("itv.nii.gz", "rtstruct.dcm", "summary.json", "report.html"):
        assert record["outputs"][name] == sha256(result[0] / name)


def test_projections_are_ct_series_of_the_same_frame(result, written):
    ct = rt4d.read_4dct(written / "4dct")
    mip = rt4d.read_ct(result[0] / "mip")
    assert mip.geometry.is_same_grid(ct.geometry)
    assert mip.identity.study_uid == ct.reference.identity.study_uid
    assert np.array_equal(mip.volume.hu, np.maximum.reduce([phase.volume.hu for phase in ct]))


def test_the_report_needs_nothing_from_outside_and_names_no_patient(result, written):
    page = (result[0] / "report.html").read_text()
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    ct = rt4d.read_4dct(written / "4dct")
    for keyword in ("PatientName", "PatientID"):
        secret = ct.reference.identity.patient.get(keyword, "")
        assert secret == "" or secret not in page + result[1].stderr + result[1].stdout


@pytest.mark.slow
def test_the_same_input_gives_the_same_files_on_any_number_of_cores(written, result, tmp_path):
    for workers in ("1", "3"):
        out = tmp_path / workers
        arguments = ["itv", written / "4dct", "--gtv", written / "gtv.dcm", "--margin", "5", "--recipe", QUICK, "--out", out, "--workers", workers]
        assert cli.run([str(part) for part in arguments]) == 0
        for name in [*(f"gtv_{label}.nii.gz" for label in PHASES), "itv.nii.gz", "summary.json"]:
            assert (out / name).read_bytes() == (result[0] / name).read_bytes()


def test_json_is_all_that_stands_on_stdout(written, tmp_path, capsys):
    arguments = ["itv", written / "4dct", "--gtv", written / "gtv.dcm", "--recipe", QUICK, "--out", tmp_path / "out", "--json"]
    assert cli.run([str(part) for part in arguments]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "out" / "summary.json").read_text())


def test_names_after_tg_263_are_offered(written, result, tmp_path):
    arguments = ["itv", written / "4dct", "--gtv", result[0] / "rtstruct.dcm", "--roi", "GTV_T*", "--names", "tg263", "--margin", "5"]
    assert cli.run([str(part) for part in [*arguments, "--out", tmp_path / "out"]]) == 0
    names = [str(roi.ROIName) for roi in pydicom.dcmread(tmp_path / "out" / "rtstruct.dcm").StructureSetROISequence]
    assert names == [*(f"GTV^T{label}" for label in PHASES), "IGTV", "PTV^5mm"]


def test_a_result_goes_back_in_as_drawn_on_every_phase(written, result, tmp_path, capsys):
    again = ["itv", written / "4dct", "--gtv", result[0] / "rtstruct.dcm", "--roi", "GTV_T*", "--recipe", QUICK, "--out", tmp_path / "out", "--json"]
    assert cli.run([str(part) for part in again]) == 0
    (target,) = json.loads(capsys.readouterr().out)["targets"]
    assert target["drawn"] == list(PHASES)
    assert (tmp_path / "out" / "itv.nii.gz").read_bytes() == (result[0] / "itv.nii.gz").read_bytes()


def test_phases_that_were_drawn_are_not_registered(written, result, tmp_path, capsys):
    arguments = ["itv", written / "4dct", "--gtv", result[0] / "rtstruct.dcm", "--roi", "GTV_T*", "--out", tmp_path / "out"]
    assert cli.run([str(part) for part in arguments]) == 0
    said = capsys.readouterr()
    assert "registering phases: 0 of 0" in said.err or "registering" not in said.err
    assert "drawn" in said.out


@pytest.mark.slow
def test_several_rois_each_have_their_own_itv_and_motion(written, case, tmp_path, capsys):
    """A second target in the spine hardly moves; the tumour does."""
    still = np.linalg.norm(case.ct.geometry.centres() - (0.0, 72.0, -21.0), axis=-1) < 12
    both = {"GTV p": case.reference_gtv, "GTV n": Mask(still, case.ct.geometry)}
    rois = [Roi(name, mask, "GTV") for name, mask in both.items()]
    rt4d.write_rtstruct(tmp_path / "both.dcm", on=rt4d.read_4dct(written / "4dct").reference, rois=rois)
    arguments = ["itv", written / "4dct", "--gtv", tmp_path / "both.dcm", "--roi", "GTV p", "--roi", "GTV n", "--recipe", QUICK]
    assert cli.run([str(part) for part in [*arguments, "--out", tmp_path / "out", "--json"]]) in (0, 1)
    first, second = json.loads(capsys.readouterr().out)["targets"]
    assert [first["roi"], second["roi"]] == ["GTV p", "GTV n"]
    assert first["name"] == "ITV1"
    assert second["name"].startswith("ITV2")
    assert first["amplitude_mm"]["z"] == pytest.approx(12, abs=1)
    assert second["amplitude_mm"]["z"] < 2
    one, two, together = (read_mask(tmp_path / "out" / f"{name}.nii.gz") for name in ("itv1", "itv2", "itv"))
    assert np.array_equal(together.inside, (one | two).inside)
    names = {str(roi.ROIName) for roi in pydicom.dcmread(tmp_path / "out" / "rtstruct.dcm").StructureSetROISequence}
    assert {f"GTV{n}_T{label}" for n in (1, 2) for label in PHASES} < names


@pytest.mark.slow
def test_the_structure_set_can_be_written_for_the_planning_ct(written, result, case, tmp_path):
    """A planning CT of the same frame on other, uneven slices: its images are referenced, and the ITV is where it was."""
    here = case.ct.geometry
    offsets = np.r_[0.0, np.cumsum(np.tile([2.5, 3.5], 38))]
    grid = Geometry((150, 110, 77), (2.3, 2.3, 3.0), here.origin_mm, here.direction, here.frame_of_reference, tuple(offsets))
    planning = CtImage(Volume(np.full(grid.shape, -700, np.int16), grid), new_identity(grid, patient_id="RT4D-PHANTOM"))
    write_ct_series(planning, tmp_path / "planning")
    arguments = ["itv", written / "4dct", "--gtv", written / "gtv.dcm", "--recipe", QUICK, "--planning", tmp_path / "planning"]
    assert cli.run([str(part) for part in [*arguments, "--out", tmp_path / "out"]]) == 0
    on = rt4d.read_ct(tmp_path / "planning")
    drawn = rt4d.read_rtstruct(tmp_path / "out" / "rtstruct.dcm", on=on)
    frame = pydicom.dcmread(tmp_path / "out" / "rtstruct.dcm").ReferencedFrameOfReferenceSequence[0]
    assert str(frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].SeriesInstanceUID) == on.identity.series_uid
    whole = read_mask(result[0] / "itv.nii.gz")
    assert np.abs(np.subtract(drawn["ITV"].centroid_mm, whole.centroid_mm)).max() < 0.7
    assert drawn["ITV"].volume_cm3 == pytest.approx(whole.volume_cm3, rel=0.05)
    (target,) = json.loads((tmp_path / "out" / "summary.json").read_text())["targets"]
    assert target["planning_volume_cm3"]["ITV"] == pytest.approx(drawn["ITV"].volume_cm3, rel=1e-3)
    assert np.array_equal(read_mask(tmp_path / "out" / "itv.nii.gz").inside, whole.inside)


def test_a_planning_ct_of_another_frame_is_refused(written, case, tmp_path, capsys):
    grid = replace(case.ct.geometry, frame_of_reference="1.2.3.4")
    write_ct_series(CtImage(Volume(case.ct.reference.volume.hu, grid), new_identity(grid, patient_id="RT4D-PHANTOM")), tmp_path / "planning")
    arguments = ["itv", written / "4dct", "--gtv", written / "gtv.dcm", "--planning", tmp_path / "planning", "--out", tmp_path / "out"]
    assert cli.run([str(part) for part in arguments]) == 2
    said = capsys.readouterr().err
    assert "planning CT lies in another frame of reference" in said
    assert "1.2.3.4" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_whole_lung_finds_the_same_target(written, tmp_path, capsys):
    lungs = tmp_path / "lungs"
    lungs.mkdir()
    for file in (data_folder("registration") / "lung_4dct").iterdir():
        text = file.read_text(encoding="utf-8").replace("(MaximumNumberOfIterations 500)", "(MaximumNumberOfIterations 80)")
        (lungs / file.name).write_text(text, encoding="utf-8")
    arguments = ["itv", written / "4dct", "--gtv", written / "gtv.dcm", "--whole-lung", "--recipe", lungs, "--out", tmp_path / "out", "--json"]
    assert cli.run([str(part) for part in arguments]) == 0
    (target,) = json.loads(capsys.readouterr().out)["targets"]
    assert dice(read_mask(tmp_path / "out" / "itv.nii.gz"), read_mask(written / "truth" / "itv.nii.gz")) > 0.9
    assert target["amplitude_mm"]["z"] == pytest.approx(12, abs=1.5)


def test_whole_lung_with_a_recipe_for_one_target_is_refused(written, tmp_path, capsys):
    arguments = ["itv", written / "4dct", "--gtv", written / "gtv.dcm", "--whole-lung", "--recipe", "lung_focus", "--out", tmp_path / "out"]
    assert cli.run([str(part) for part in arguments]) == 2
    assert "whole_lung needs a recipe for the lungs" in capsys.readouterr().err


def test_a_failed_check_ends_with_1_and_an_unverified_name(written, tmp_path, monkeypatch, capsys):
    from rt4d import patient
    from rt4d.motion.quality import Check

    def failing(*_arguments, **_more):
        return (Check("00", "similarity", 0.2, 0.8, "fail", "Phase 00 does not look like the reference."),)

    monkeypatch.setattr(patient, "checks", failing)
    out = tmp_path / "out"
    assert cli.run(["itv", str(written / "4dct"), "--gtv", str(written / "gtv.dcm"), "--recipe", str(QUICK), "--out", str(out)]) == 1
    assert "does not look like the reference" in capsys.readouterr().out
    names = [str(roi.ROIName) for roi in pydicom.dcmread(out / "rtstruct.dcm").StructureSetROISequence]
    assert "ITV_UNVERIFIED" in names
    assert json.loads((out / "summary.json").read_text())["verdict"] == "fail"


HEARS_CTRL_C = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""A shell's background job, as CI may be, passes on that Ctrl-C is not heard."""


def test_ctrl_c_leaves_nothing_behind(written, tmp_path):
    if os.name != "posix":
        pytest.skip("signals as on POSIX")
    out = tmp_path / "results" / "out"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    job = ["-m", "rt4d", "itv", str(written / "4dct"), "--gtv", str(written / "gtv.dcm"), "--out", str(out)]
    command = [sys.executable, "-c", HEARS_CTRL_C, *job]
    for after, number, code in (("", signal.SIGINT, 130), ("reading slices", signal.SIGINT, 130), ("reading slices", signal.SIGTERM, 143)):
        run = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(scratch)})
        while after and after not in run.stderr.readline():  # slices are read and registration, which takes seconds, begins
            assert run.poll() is None
        time.sleep(0.6)
        run.send_signal(number)
        said = run.communicate(timeout=20)[1]
        assert run.returncode == code, said
        assert "no result was left behind" in said
        assert "Traceback" not in said
        assert not out.parent.exists()
        assert list(scratch.iterdir()) == []
