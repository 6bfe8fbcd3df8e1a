"""rt4d phantom: a 4D-CT whose truth is known, generated or breathed from a real CT (here the phantom's own reference phase)."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import rt4d
from rt4d import cli
from rt4d.dicom.ct_writer import new_identity, write_ct_series
from rt4d.images import read_mask
from rt4d.phases import CtImage
from rt4d.rois import Roi
from rt4d.volumes import Mask, Volume


def test_a_generated_case_is_what_was_asked_for(tmp_path, capsys):
    grid = ["--size", "70,50,36", "--spacing", "5,5,6", "--position", "FFP"]
    assert cli.run([str(part) for part in ["phantom", tmp_path / "case", *grid, "--phases", "4", "--amplitude", "0,3,11"]]) == 0
    assert "rt4d itv" in capsys.readouterr().out
    ct = rt4d.read_4dct(tmp_path / "case" / "4dct")
    assert ct.geometry.size == (70, 50, 36)
    assert ct.reference.identity.patient_position == "FFP"
    truth = json.loads((tmp_path / "case" / "truth" / "truth.json").read_text())
    assert truth["tumours"][0]["amplitude_mm"]["z"] == pytest.approx(11, abs=0.01)
    gtv = rt4d.read_rtstruct(tmp_path / "case" / "gtv.dcm", on=ct.reference)["GTV"]
    assert np.array_equal(gtv.inside, read_mask(tmp_path / "case" / "truth" / f"gtv_{ct.reference_label}.nii.gz").inside)


def test_the_command_it_suggests_names_the_reference_where_that_is_not_50(tmp_path, capsys):
    grid = ["--size", "60,44,30", "--spacing", "6,6,7", "--phases", "3"]
    assert cli.run(["phantom", str(tmp_path / "case"), *grid]) == 0
    assert "--reference 33p3" in capsys.readouterr().out


@pytest.fixture
def planning(case, tmp_path):
    """A planning CT with its structure set, as a clinic has them."""
    geometry = case.ct.geometry
    ct = CtImage(case.ct.reference.volume, new_identity(geometry))
    write_ct_series(ct, tmp_path / "planning")
    rt4d.write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[Roi("tumour", case.reference_gtv, "GTV")])
    return tmp_path / "planning", tmp_path / "RS.dcm"


def test_a_planning_ct_breathes_with_its_contour(planning, case, tmp_path):
    folder, contours = planning
    out = tmp_path / "breathed"
    arguments = ["phantom", out, "--breathe", folder, "--gtv", contours, "--roi", "tumour", "--amplitude", "1,3,10", "--phases", "4"]
    assert cli.run([str(part) for part in arguments]) == 0
    ct = rt4d.read_4dct(out / "4dct")
    assert ct.labels == ("00", "25", "50", "75")
    gtv = rt4d.read_rtstruct(out / "gtv.dcm", on=ct.reference)["tumour"]
    assert np.array_equal(gtv.inside, case.reference_gtv.inside)
    truth = json.loads((out / "truth" / "truth.json").read_text())
    assert truth["tumours"][0]["amplitude_mm"]["z"] == pytest.approx(10, abs=0.01)
    high, deep = (read_mask(out / "truth" / f"gtv_{label}.nii.gz").centroid_mm[2] for label in ("50", "00"))
    assert high - deep == pytest.approx(10, abs=1.5)


def test_without_a_contour_breathing_is_refused(planning, tmp_path, capsys):
    assert cli.run(["phantom", str(tmp_path / "out"), "--breathe", str(planning[0])]) == 2
    assert "Give its structure set with --gtv" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_uneven_slices_are_refused_unless_resampling_is_asked_for(case, tmp_path, capsys):
    here = case.ct.geometry
    offsets = here.offsets_mm + np.where(np.arange(here.size[2]) >= 30, 3.0, 0.0)
    ct = CtImage(Volume(case.ct.reference.volume.hu, replace(here, slice_offsets_mm=tuple(offsets))), new_identity(here))
    write_ct_series(ct, tmp_path / "planning")
    rt4d.write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[Roi("GTV", Mask(case.reference_gtv.inside, ct.geometry), "GTV")])
    command = ["phantom", tmp_path / "out", "--breathe", tmp_path / "planning", "--gtv", tmp_path / "RS.dcm", "--phases", "2"]
    arguments = [str(part) for part in command]
    assert cli.run(arguments) == 2
    said = capsys.readouterr().err
    assert "needs slices at even distances" in said
    assert "--resample" in said
    assert cli.run([*arguments, "--resample"]) == 0
    assert rt4d.read_4dct(tmp_path / "out" / "4dct").geometry.spacing_mm[2] == 6.0
