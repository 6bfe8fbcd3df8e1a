"""rt4d commission as it is called: what it prints, what it leaves, how it ends. The cases are tiny ones."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from functools import partial

import pytest

import rt4d
from rt4d import cli
from rt4d.commissioning import cases, dirlab, landmarks, running
from rt4d.commissioning.measures import SOUND
from rt4d.commissioning.running import CaseResult, Commissioning
from rt4d.commissioning.tolerances import DEFAULT
from rt4d.dicom.ct_writer import new_identity, write_ct_series
from rt4d.phases import CtImage
from rt4d.rois import Roi
from tests.cli.conftest import QUICK
from tests.commissioning.dirlab_folder import make_case, renumbered, write_case

SEEN = cases.Case("made up", "not run", lambda: None)
FIGURES = dict.fromkeys(SOUND, 0.0) | {"gtv_dice": 0.95, "itv_dice": 0.96, "tre_gtv_max_mm": 1.25}


def measured(asked, *, tolerances, **_more):
    """What running the cases gives, without running them."""
    return Commissioning(tuple(CaseResult(case, FIGURES, tolerances, seconds=1.0, picture=b"png") for case in asked), tolerances, 1.0)


@pytest.fixture
def made_up(monkeypatch):
    monkeypatch.setattr(cases, "generated_cases", lambda: (SEEN,))
    monkeypatch.setattr(running, "commission", measured)


@pytest.fixture
def wide(tmp_path):
    """Tolerances for voxels of 4 × 4 × 6 mm."""
    text = DEFAULT.read_text().replace("at_most = 1.0", "at_most = 3.0").replace("at_most = 10.0", "at_most = 15.0")
    (tmp_path / "wide.toml").write_text(text)
    return tmp_path / "wide.toml"


def run(*arguments):
    return cli.run(["commission", *(str(part) for part in arguments)])


def test_a_commissioning_leaves_record_report_and_figures_and_can_be_verified(made_up, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("--out", out) == 0
    told = capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {"commission.json", "report.html", "figures"}
    record = json.loads((out / "commission.json").read_text())
    assert record["sha256"] in told
    assert "all within tolerance (rt4d default)" in told
    assert run("--verify", out) == 0
    assert "As it was made" in capsys.readouterr().out
    (out / "figures" / "case_01.png").unlink()
    assert run("--verify", out, "--json") == 1
    assert json.loads(capsys.readouterr().out)["changed"] == ["figures/case_01.png is missing"]


def test_a_figure_outside_its_tolerance_ends_with_1_and_is_named(made_up, tmp_path, capsys):
    strict = tmp_path / "strict.toml"
    strict.write_text(DEFAULT.read_text().replace("at_least = 0.85", "at_least = 0.99").replace("rt4d default", "ours", 1))
    assert run("--out", tmp_path / "out", "--tolerances", strict) == 1
    told = capsys.readouterr().out
    assert "! made up: GTV, Dice coefficient 0.950, tolerance at least 0.99" in told
    assert "OUTSIDE TOLERANCE (ours)" in told


def test_a_disk_that_fills_up_ends_with_3_and_leaves_nothing(made_up, tmp_path, monkeypatch, capsys):
    from rt4d.commissioning import record

    def full(*_arguments, **_more):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(record, "write_record", full)
    assert run("--out", tmp_path / "out") == 3
    assert "disk is full" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.fixture
def own(case, tmp_path):
    """A clinic's CT with its structure set."""
    ct = CtImage(case.ct.reference.volume, new_identity(case.ct.geometry))
    write_ct_series(ct, tmp_path / "ct")
    rt4d.write_rtstruct(tmp_path / "RS.dcm", on=ct, rois=[Roi("tumour", case.reference_gtv, "GTV")])
    return ["--ct", tmp_path / "ct", "--gtv", tmp_path / "RS.dcm", "--roi", "tumour"]


@pytest.mark.slow
def test_the_clinics_own_ct_is_breathed_and_recorded_without_names_or_paths(own, wide, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cases, "generated_cases", tuple)
    monkeypatch.setattr(cases, "PHASES", ("00", "50"))
    monkeypatch.setattr(cases, "own_cases", partial(cases.own_cases, amplitudes_mm=(8.0,)))
    code = run("--out", tmp_path / "out", "--recipe", QUICK, "--tolerances", wide, *own, "--json")
    told = capsys.readouterr()
    assert "own CT, 8 mm: 5 of 5" in told.err
    record = json.loads(told.out)
    assert code == (0 if record["verdict"] == "pass" else 1)
    (measured,) = record["cases"]
    assert (measured["name"], measured["kind"], measured["error"]) == ("own CT, 8 mm", "own CT", "")
    assert measured["figures"]["gtv_dice"] > 0.85
    assert record["inputs"]["roi"] == "tumour"
    assert str(tmp_path) not in json.dumps(record)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of --out, --dirlab, --verify"),
        (["--out", "x", "--dirlab", "y"], "found --out, --dirlab"),
        (["--dirlab", "y", "--tolerances", "t.toml"], "does not go with this task"),
        (["--out", "x", "--ct", "y"], "Give both --ct and --gtv"),
        (["--out", "x", "--tolerances", "none.toml"], "No such file of tolerances"),
        (["--out", "x", "--recipe", "none"], "No registration recipe"),
        (["--dirlab", "none"], "No such folder"),
        (["--verify", "none"], "No record"),
    ],
)
def test_a_call_that_cannot_be_is_refused_and_leaves_nothing(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def fake():
    return make_case()


@pytest.fixture
def folder(fake, tmp_path, monkeypatch):
    second = renumbered(fake, 2)
    monkeypatch.setattr(dirlab, "PUBLISHED", (fake.published, second.published))
    return write_case(fake, tmp_path / "dirlab")


@pytest.fixture
def unmoved(monkeypatch):
    """A registration that finds no motion, at once."""
    monkeypatch.setattr(landmarks, "_tracked", lambda _fixed, _moving, points, **_more: (points, 0))


def test_the_table_of_dir_lab_names_errors_and_what_is_missing(folder, fake, unmoved, capsys):
    assert run("--dirlab", folder) == 1
    told = capsys.readouterr().out
    assert f"{fake.published.before_mm:.2f}" in told
    assert "case 2: missing, no images of T00 and T50, landmarks of T00 and T50" in told
    assert "snapped to voxels" in told
    assert "Recipe lung_4dct" in told


def test_images_or_landmarks_read_wrongly_are_warned_of(folder, fake, unmoved, monkeypatch, capsys):
    monkeypatch.setattr(dirlab, "PUBLISHED", (replace(fake.published, before_mm=1.0),))
    assert run("--dirlab", folder, "--json") == 1
    told = capsys.readouterr()
    assert "warning: case 1" in told.err
    assert json.loads(told.out)["cases"][0]["doubt"]
