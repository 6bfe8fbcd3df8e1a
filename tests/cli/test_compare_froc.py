"""`rt4d compare --cohort --lesions` of what `rt4d segment` wrote: the FROC curve over all candidates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rt4d.images import write_mask
from tests.cli.conftest import Compare
from tests.test_candidate_files import cube, written


def scored_cohort(folder: Path) -> Path:
    """Two scans with two lesions and one: found at 0.9, false at 0.6, found at 0.3 (not kept); found at 0.8, and two specks."""
    near, far, wrong = (2, 2, 2), (20, 2, 2), (2, 18, 6)
    written(folder / "seg" / "P1", (near, 0.9, True), (wrong, 0.6, True), (far, 0.3, False))
    written(folder / "seg" / "P2", (near, 0.8, True), specks=2)
    write_mask(folder / "P1.nii.gz", cube(near) | cube(far))
    write_mask(folder / "P2.nii.gz", cube(near))
    rows = [f"{patient},net,GTV,seg/{patient}/candidates.json\n{patient},anna,GTV,{patient}.nii.gz" for patient in ("P1", "P2")]
    (folder / "scored.csv").write_text("\n".join(["patient,observer,roi,contour", *rows]))
    return folder / "scored.csv"


def test_a_segmenters_lists_of_candidates_give_a_froc_curve(compare: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rt4d.report.cohort._figures", lambda *_, **__: ())
    given = ("--cohort", scored_cohort(tmp_path), "--machine", "net", "--workers", 1, "--lesions", "overlap")
    code, text, err = compare(*given, "--out", tmp_path / "out")
    assert code == 0, err
    (told,) = json.loads((tmp_path / "out" / "detection.json").read_text())
    assert told["lesions"][0]["sensitivity"]["successes"] == 2, "what was kept finds two of three lesions"
    assert told["lesions"][0]["false_positives"] == 1
    curve = told["froc"]
    assert curve["thresholds"] == [0.9, 0.8, 0.6, 0.3]
    assert curve["sensitivity"] == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1])
    assert curve["false_positives_per_scan"] == [0, 0, 0.5, 0.5]
    assert [at["sensitivity"] for at in curve["at"]] == pytest.approx([2 / 3, 2 / 3, 1, 1, 1, 1, 1])
    assert told["froc_note"] == "the curve counts all candidates, kept or not; but 2 too small to have a mask (rt4d segment), so it ends early"
    assert (tmp_path / "out" / "froc.png").is_file()
    assert (tmp_path / "out" / "froc.svg").is_file()
    assert "FROC: all lesions, 3 of them in 2 scans of 2 patients. A lesion is found by: any overlap" in text
    assert "note: the curve counts all candidates" in text
    (row,) = json.loads(compare(tmp_path / "seg" / "P1" / "candidates.json", tmp_path / "P1.nii.gz", "--json")[1])
    assert row["dice"] == pytest.approx(0.5), "of two that were kept one is right, of two that were drawn one was not kept"


def test_a_froc_curve_wants_scores_of_every_scan(compare: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rt4d.report.cohort._figures", lambda *_, **__: ())
    table = scored_cohort(tmp_path)
    table.write_text(table.read_text().replace("seg/P2/candidates.json", "seg/P2/gtv.nii.gz"))
    code, out, _ = compare("--cohort", table, "--machine", "net", "--workers", 1, "--lesions", "overlap", "--out", tmp_path / "out")
    assert code == 0
    assert "note: no FROC curve: 1 of 2 contours have no scores, as candidates.json has (P2)" in out
    assert not (tmp_path / "out" / "froc.png").exists()
