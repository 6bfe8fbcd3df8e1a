"""`--report FILE.html` of compare and outcomes: one new file beside what is printed, refused before anything is computed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rt4d import cli
from rt4d.images import write_mask
from rt4d.report.page import Picture
from tests.cli.test_compare import a_mask
from tests.cli.test_outcomes import ASK, lines
from tests.report.compared import DRAWN, SHIFTED, STRAY

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call the command line, figures undrawn."""
    for module in ("comparison", "cohort_page", "outcomes"):
        monkeypatch.setattr(f"rt4d.report.{module}.picture", lambda _, says: Picture(says, 100, png="data:,"))

    def call(*given: object) -> tuple[int, str, str]:
        code = cli.run([*map(str, given)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_a_comparison_has_a_page_that_tells_files_without_their_folders(run: Run, tmp_path: Path) -> None:
    for name, mask in (("Smithers", SHIFTED | STRAY), ("Jones", DRAWN)):
        (tmp_path / name).mkdir()
        write_mask(tmp_path / name / "gtv.nii.gz", mask)
    contours = (tmp_path / "Smithers" / "gtv.nii.gz", tmp_path / "Jones" / "gtv.nii.gz")
    code, out, _ = run("compare", *contours, "--lesions", "overlap", "--json", "--report", tmp_path / "r.html", "--masks", tmp_path / "masks")
    assert code == 0
    page = (tmp_path / "r.html").read_text()
    assert f"<b>{json.loads(out)[0]['dice']:.3f}</b>" in page
    assert "gtv.nii.gz (contour 1) against gtv.nii.gz (contour 2)" in page
    assert "1 false positive" in page
    for secret in ("Smithers", "Jones", str(tmp_path)):
        assert secret not in page
    assert (tmp_path / "masks" / "compare.json").is_file()


def test_a_page_may_lie_in_the_folder_of_results(run: Run, tmp_path: Path) -> None:
    contours = [write_mask(tmp_path / name, mask) for name, mask in (("m.nii.gz", SHIFTED), ("p.nii.gz", DRAWN))]
    assert run("compare", *contours, "--masks", tmp_path / "out", "--report", tmp_path / "out" / "r.html")[0] == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"r.html", "compare.json"}


def test_a_page_that_is_there_is_refused_before_anything_is_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "r.html").write_text("mine")
    table = tmp_path / "t.csv"
    for given in (
        ("compare", "no.nii.gz", "none.nii.gz"),
        ("compare", "--cohort", table, "--out", tmp_path / "out"),
        ("outcomes", table, *ASK, "--covariates", "x"),
    ):
        code, out, err = run(*given, "--report", tmp_path / "r.html")
        assert (code, out) == (2, "")
        assert "there already" in err
    assert (tmp_path / "r.html").read_text() == "mine"
    assert not (tmp_path / "out").exists()


def test_a_cohort_has_a_page_that_numbers_patients_unless_told_otherwise(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rt4d.report.cohort._figures", lambda _: ())
    table = ["patient,observer,roi,contour"]
    for n in range(2):
        for observer in ("machine", "anna"):
            a_mask(tmp_path / "masks" / f"Smithers_{n}_{observer}.nii.gz", shift=n if observer == "machine" else 0)
            table.append(f"Smithers {n},{observer},GTV,masks/Smithers_{n}_{observer}.nii.gz")
    (tmp_path / "t.csv").write_text("\n".join(table))
    given = ("compare", "--cohort", tmp_path / "t.csv", "--workers", 1)
    assert run(*given, "--out", tmp_path / "out", "--report", tmp_path / "out" / "report.html")[0] == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Smithers" not in page
    assert "patient 2" in page
    assert run(*given, "--out", tmp_path / "again", "--report", tmp_path / "named.html", "--with-names")[0] == 0
    assert "Smithers 1" in (tmp_path / "named.html").read_text()
    code, _, err = run("compare", "a.nii.gz", "b.nii.gz", "--with-names")
    assert code == 2
    assert "--with-names" in err


def test_outcomes_have_a_page(run: Run, tmp_path: Path) -> None:
    (tmp_path / "cohort.csv").write_text(lines(twice=True))
    given = ("outcomes", tmp_path / "cohort.csv", *ASK, "--covariates", "false_positive_voxels", "--where", "model=new")
    code, out, _ = run(*given, "--report", tmp_path / "o.html", "--json")
    assert code == 0
    page = (tmp_path / "o.html").read_text()
    assert f"{json.loads(out)['events']} events" in page
    assert "model=new" in page
    assert "per voxel of 8 mm³" in page
