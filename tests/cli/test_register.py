"""rt4d register: two images of one thorax, on other grids and couch positions."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from rt4d import cli
from rt4d.dicom.ct_writer import new_identity, write_ct_series
from rt4d.images import read_field, write_volume
from rt4d.phases import CtImage
from rt4d.resources import data_folder
from rt4d.volumes import Volume

COUCH_MM = np.array([-14.0, 22.0, 37.0])


@pytest.fixture(scope="module")
def pair(case, tmp_path_factory):
    """Phase 50 as NIfTI; phase 00 as DICOM, another frame of reference, the couch tens of millimetres off; a recipe of few iterations."""
    folder = tmp_path_factory.mktemp("pair")
    write_volume(folder / "fixed.nii.gz", case.ct["50"].volume)
    here = case.ct.geometry
    grid = replace(here, origin_mm=tuple(np.array(here.origin_mm) + COUCH_MM), frame_of_reference="1.2.9")
    write_ct_series(CtImage(Volume(case.ct["00"].volume.hu, grid), new_identity(grid)), folder / "moving")
    (folder / "recipe").mkdir()
    for file in (data_folder("registration") / "lung_large_deformation").iterdir():
        text = file.read_text(encoding="utf-8").replace("Iterations 500)", "Iterations 100)").replace("Iterations 250)", "Iterations 100)")
        (folder / "recipe" / file.name).write_text(text, encoding="utf-8")
    return folder


def test_points_of_the_first_image_are_found_in_the_second(pair, case, tmp_path, capsys):
    gtv = case.reference_gtv.points_mm
    with (tmp_path / "in.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("x", "y", "z"), *gtv.tolist()])
    arguments = ["register", pair / "fixed.nii.gz", pair / "moving", "--recipe", pair / "recipe", "--out", tmp_path / "field.mha", "--json"]
    points = ["--points", tmp_path / "in.csv", "--points-out", tmp_path / "out.csv"]
    code = cli.run([str(part) for part in [*arguments, *points]])
    summary = json.loads(capsys.readouterr().out)
    assert code == (0 if summary["verdict"] == "pass" else 1)
    assert {check["name"] for check in summary["checks"]} >= {"similarity", "lung_overlap", "jacobian_nonpositive_percent"}
    with (tmp_path / "out.csv").open() as file:
        found = np.array([[float(v) for v in row] for row in list(csv.reader(file))[1:]])
    truth = case.reference_to_phase("00", gtv) + COUCH_MM
    assert np.median(np.linalg.norm(found - truth, axis=-1)) < 1.5
    assert np.mean(found[:, 2] - gtv[:, 2]) < COUCH_MM[2] - 6  # the tumour moves to the feet, against the couch
    field = read_field(tmp_path / "field.mha")
    assert field.geometry.is_same_grid(case.ct.geometry)
    np.testing.assert_allclose(field.map(gtv), found, atol=1e-3)


@pytest.mark.parametrize(
    ("content", "said"),
    [("a,b,c\n1,2,3\n", "begins with its header"), ("x,y,z\n1,2\n", "line 2"), ("x,y,z\n1,2,nan\n", "not finite"), ("", "found nothing")],
)
def test_a_file_that_holds_no_points_is_refused_before_anything_is_done(pair, tmp_path, capsys, content, said):
    (tmp_path / "in.csv").write_text(content)
    arguments = ["register", pair / "fixed.nii.gz", pair / "moving", "--out", tmp_path / "f.mha", "--points", tmp_path / "in.csv"]
    assert cli.run([str(part) for part in [*arguments, "--points-out", tmp_path / "out.csv"]]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "f.mha").exists()


def test_what_is_there_is_not_written_over_and_what_shows_no_lungs_is_refused(pair, case, tmp_path, capsys):
    (tmp_path / "f.mha").write_text("mine")
    assert cli.run(["register", str(pair / "fixed.nii.gz"), str(pair / "moving"), "--out", str(tmp_path / "f.mha")]) == 2
    assert (tmp_path / "f.mha").read_text() == "mine"
    write_volume(tmp_path / "water.mha", Volume(np.zeros(case.ct.geometry.shape, np.int16), case.ct.geometry))
    assert cli.run(["register", str(pair / "fixed.nii.gz"), str(tmp_path / "water.mha"), "--out", str(tmp_path / "g.mha")]) == 2
    assert "second image" in capsys.readouterr().err
    assert cli.run(["register", str(pair / "fixed.nii.gz"), str(pair / "moving"), "--recipe", "lung_focus", "--out", str(tmp_path / "g.mha")]) == 2
    assert "needs a recipe for the lungs" in capsys.readouterr().err
