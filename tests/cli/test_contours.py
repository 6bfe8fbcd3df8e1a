"""`rt4d contours`: one mask file per ROI on the CT's grid, what was left out and why, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from rt4d import cli
from rt4d.phases import CtImage
from tests.dicom.drawn import PATIENT, Drawn, box, ct_image, grid, polygon, saved, structure_set, write_ct

Run = Callable[..., tuple[int, Path, str, str]]


@pytest.fixture
def ct() -> CtImage:
    return ct_image(grid())


@pytest.fixture
def folder(ct: CtImage, tmp_path: Path) -> Path:
    return write_ct(ct, tmp_path / "CT")


@pytest.fixture
def run(ct: CtImage, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the verb on a structure set with these ROIs: its exit code, OUT, stdout and stderr."""

    def call(*rois: Drawn, options: tuple[str, ...] = (), on: Path | None = None, **kwargs: object) -> tuple[int, Path, str, str]:
        path, out = saved(structure_set(ct, *rois, **kwargs), tmp_path / "RS.dcm"), tmp_path / "out"
        code = cli.run(["contours", str(path), str(on or folder), "--out", str(out), *options])
        said = capsys.readouterr()
        return code, out, said.out, said.err

    return call


def a_box(ct: CtImage, slices: tuple[float, ...] = (2, 3), shift: float = 0.0) -> list[np.ndarray]:
    """A box of 4 × 3 voxels on each of the slices."""
    return [polygon(ct.geometry, box(1.5 + shift, 2.5, 5.5 + shift, 5.5), z) for z in slices]


def listed(out: Path) -> dict[str, object]:
    return dict(json.loads((out / "contours.json").read_text()))


def inside(path: Path) -> np.ndarray:
    return np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(str(path))) > 0)


def test_every_roi_becomes_one_nifti_mask_on_the_grid_of_the_ct(run: Run, ct: CtImage) -> None:
    code, out, said, _ = run(Drawn("GTV", a_box(ct)), Drawn("Lung left", a_box(ct, (4,), 2), "ORGAN", 2))
    assert code == 0
    assert sorted(path.name for path in out.iterdir()) == ["GTV.nii.gz", "Lung_left.nii.gz", "contours.json"]
    expected = np.zeros(ct.geometry.shape, dtype=bool)
    expected[2:4, 3:6, 2:6] = True
    assert np.array_equal(inside(out / "GTV.nii.gz"), expected)
    image = sitk.ReadImage(str(out / "Lung_left.nii.gz"))
    assert image.GetSpacing() == pytest.approx(ct.geometry.spacing_mm)
    assert image.GetOrigin() == pytest.approx(ct.geometry.origin_mm)
    assert listed(out)["files"] == {"GTV.nii.gz": "GTV", "Lung_left.nii.gz": "Lung left"}
    assert listed(out)["skipped"] == []
    assert "GTV.nii.gz" in said
    assert "0.11 cm³" in said, "24 voxels of 4.5 mm³"


def test_json_prints_what_contours_json_says(run: Run, ct: CtImage) -> None:
    code, out, said, _ = run(Drawn("GTV", a_box(ct)), options=("--json",))
    assert code == 0
    assert json.loads(said) == listed(out)
    (roi,) = json.loads(said)["rois"]
    assert roi == {"file": "GTV.nii.gz", "roi": "GTV", "number": 1, "kind": "GTV", "volume_cm3": pytest.approx(0.108), "boundary": "half-open"}


def test_file_names_hold_no_odd_characters_leave_no_folder_and_never_clash(run: Run, ct: CtImage) -> None:
    names = ["GTV/1", "GTV 1", "GTV_1", "../../x", "Lüng", "lung", "LUNG", "GTV", "GTV", "x" * 64]
    code, out, _, _ = run(*(Drawn(name, a_box(ct), "", n) for n, name in enumerate(names, start=1)))
    assert code == 0
    assert list(listed(out)["files"].items()) == [
        ("GTV_1.nii.gz", "GTV/1"),
        ("GTV_1_2.nii.gz", "GTV 1"),
        ("GTV_1_3.nii.gz", "GTV_1"),
        ("___.._x.nii.gz", "../../x"),
        ("L_ng.nii.gz", "Lüng"),
        ("lung.nii.gz", "lung"),
        ("LUNG_2.nii.gz", "LUNG"),
        ("GTV.nii.gz", "GTV"),
        ("GTV_2.nii.gz", "GTV"),
        ("x" * 64 + ".nii.gz", "x" * 64),
    ]
    assert all((out / name).is_file() for name in listed(out)["files"])


def test_an_roi_without_a_name_or_a_plain_letter_still_gets_a_file_that_contours_json_explains(run: Run, ct: CtImage) -> None:
    rois = [Drawn(name, a_box(ct), "", n) for n, name in enumerate(["", "肺", "?", "ROI 1", "   "], start=1)]
    code, out, _, err = run(*rois, patient=PATIENT | {"SpecificCharacterSet": "ISO_IR 192"})
    assert code == 0
    assert "ROI number 5 has no name and is called 'ROI 5' here" in err
    assert list(listed(out)["files"].items()) == [
        ("ROI_1.nii.gz", "ROI 1"),
        ("_.nii.gz", "肺"),
        ("__2.nii.gz", "?"),
        ("ROI_1_2.nii.gz", "ROI 1"),
        ("ROI_5.nii.gz", "ROI 5"),
    ]
    assert [each["number"] for each in listed(out)["rois"]] == [1, 2, 3, 4, 5]


def test_a_contour_across_slices_is_named_in_contours_json(run: Run, ct: CtImage) -> None:
    sagittal = ct.geometry.to_patient([[4.0, 2, 1], [4, 6, 1], [4, 6, 5], [4, 2, 5]])
    code, out, said, _ = run(Drawn("GTV", [*a_box(ct), sagittal]), Drawn("CTV", a_box(ct), "CTV", 2))
    assert code == 1
    assert list(listed(out)["files"]) == ["CTV.nii.gz"], "a target without one of its contours is no target"
    (skipped,) = listed(out)["skipped"]
    assert "1 of 3 across them: number 3 from -97 to -85 mm" in skipped["why"]
    assert "number 3" in said


def test_points_and_empty_rois_are_skipped_with_the_reason_and_that_is_no_failure(run: Run, ct: CtImage) -> None:
    point = Drawn("Iso", [polygon(ct.geometry, [[3, 3]], 2)], "ISOCENTER", 2, "POINT")
    code, out, said, err = run(Drawn("GTV", a_box(ct)), point, Drawn("Nothing", [], "", 3))
    assert code == 0
    assert "Iso" not in err, "what the table says is not said twice"
    assert "not written" not in err
    skipped = listed(out)["skipped"]
    assert [each["roi"] for each in skipped] == ["Iso", "Nothing"]
    assert "POINT" in skipped[0]["why"]
    assert "no contours" in skipped[1]["why"]
    assert "skipped  Iso" in said


def test_an_roi_that_cannot_be_read_does_not_lose_the_others_and_makes_the_exit_code_1(run: Run, ct: CtImage) -> None:
    code, out, said, err = run(Drawn("Between", a_box(ct, (2.5,))), Drawn("CTV", a_box(ct), "CTV", 2), Drawn("Nothing", [], "", 3))
    assert code == 1
    assert err.endswith("rt4d: not written, though drawn or asked for: Between\n")
    assert list(listed(out)["files"]) == ["CTV.nii.gz"]
    assert "between the slices" in listed(out)["skipped"][0]["why"]
    assert "between the slices" in said


def test_without_any_mask_nothing_is_written_and_the_reason_is_said(run: Run, ct: CtImage) -> None:
    code, out, said, err = run(Drawn("Between", a_box(ct, (2.5,))))
    assert code == 2
    assert not out.exists()
    assert said == ""
    assert "between the slices" in err
    code, out, _, err = run(Drawn("Nothing", []))
    assert code == 2
    assert "No ROI" in err


def test_only_the_rois_that_are_asked_for_are_written(run: Run, ct: CtImage) -> None:
    code, out, _, err = run(Drawn("GTV", a_box(ct)), Drawn("CTV", a_box(ct), "CTV", 2), options=("--roi", "ctv"))
    assert code == 0
    assert listed(out)["files"] == {"CTV.nii.gz": "CTV"}
    assert listed(out)["skipped"] == []
    assert "ctv was taken to mean 'CTV'" in err


def test_an_roi_that_is_not_there_is_refused_with_those_that_are(run: Run, ct: CtImage) -> None:
    code, out, _, err = run(Drawn("GTV", a_box(ct)), options=("--roi", "PTV"))
    assert code == 2
    assert not out.exists()
    assert "expected one of GTV, found PTV" in err


def test_the_boundary_rule_can_be_overruled_and_is_recorded(run: Run, ct: CtImage) -> None:
    drawn_box = Drawn("GTV", [polygon(ct.geometry, box(2, 2, 6, 5), 2)])
    code, out, _, err = run(drawn_box, options=("--boundary", "inclusive"))
    assert code == 0
    assert inside(out / "GTV.nii.gz").sum() == 5 * 4
    assert listed(out)["rois"][0]["boundary"] == "inclusive"
    assert "as asked" in err
    assert any("as asked" in note for note in listed(out)["notes"])


@pytest.mark.parametrize("wrong", [("--boundary", "closed"), ("--partial-volume", "--interpolate", "--nonsense")])
def test_an_option_that_is_none_is_refused(run: Run, ct: CtImage, wrong: tuple[str, ...]) -> None:
    code, out, _, err = run(Drawn("GTV", a_box(ct)), options=wrong)
    assert code == 2
    assert not out.exists()
    assert "--help" in err


def test_another_frame_is_refused_unless_told_and_then_recorded(run: Run, ct: CtImage) -> None:
    elsewhere = Drawn("GTV", a_box(ct), frame="1.2.3")
    code, out, _, err = run(elsewhere, frame="1.2.3")
    assert code == 2
    assert "frame of reference" in err
    assert not out.exists()
    code, out, _, _ = run(elsewhere, frame="1.2.3", options=("--assume-same-frame",))
    assert code == 0
    assert any("because told so" in note for note in listed(out)["notes"])


def test_of_several_series_the_one_that_the_structure_set_references_is_taken(run: Run, ct: CtImage, folder: Path) -> None:
    other = ct_image(grid(size=(6, 5, 4)))
    write_ct(other, folder / "other")
    code, out, _, _ = run(Drawn("GTV", a_box(ct)))
    assert code == 0
    assert inside(out / "GTV.nii.gz").shape == ct.geometry.shape
    assert listed(out)["ct_series_uid"] == ct.identity.series_uid


def test_several_series_of_which_none_is_referenced_are_refused(run: Run, ct: CtImage, folder: Path) -> None:
    write_ct(ct_image(grid()), folder / "other")
    code, out, _, err = run(Drawn("GTV", a_box(ct)), references=False, on=folder)
    assert code == 0, "its series is still named"
    (out / "contours.json").unlink()
    (out / "GTV.nii.gz").unlink()
    write_ct(ct_image(grid()), folder.parent / "two" / "a")
    write_ct(ct_image(grid()), folder.parent / "two" / "b")
    code, out, _, err = run(Drawn("GTV", a_box(ct)), on=folder.parent / "two")
    assert code == 2
    assert "several CT series" in err
    assert "references none of them" in err
    assert list(out.iterdir()) == []


def test_uneven_slices_are_refused_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ct = ct_image(grid(uneven=True))
    path = saved(structure_set(ct, Drawn("GTV", a_box(ct))), tmp_path / "RS.dcm")
    assert cli.run(["contours", str(path), str(write_ct(ct, tmp_path / "CT")), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "NIfTI" in said
    assert "rt4d.read_rtstruct" in said
    assert not (tmp_path / "out").exists()


def test_out_must_be_new_or_empty_and_not_inside_the_ct_folder(run: Run, ct: CtImage, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("kept")
    code, out, _, err = run(Drawn("GTV", a_box(ct)))
    assert code == 2
    assert "not empty" in err
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    assert cli.run(["contours", str(tmp_path / "RS.dcm"), str(folder), "--out", str(folder / "out")]) == 2


def test_interpolation_fills_missing_planes_only_when_asked(run: Run, ct: CtImage, tmp_path: Path) -> None:
    every_second = Drawn("GTV", a_box(ct, (1, 3, 5)))
    code, out, _, err = run(every_second)
    assert code == 0
    assert inside(out / "GTV.nii.gz").any(axis=(1, 2)).tolist() == [False, True, False, True, False, True, False, False]
    assert "no contour on 2 of the slices" in err
    for path in out.iterdir():
        path.unlink()
    code, out, _, err = run(every_second, options=("--interpolate",))
    assert code == 0
    assert inside(out / "GTV.nii.gz").sum() == 5 * 12
    assert "interpolated" in err


def test_partial_volume_writes_fractions(run: Run, ct: CtImage) -> None:
    code, out, _, _ = run(Drawn("GTV", [polygon(ct.geometry, box(2, 2, 6, 5), 2)]), options=("--partial-volume",))
    assert code == 0
    image = sitk.ReadImage(str(out / "GTV.nii.gz"))
    assert image.GetPixelID() == sitk.sitkFloat32
    fraction = sitk.GetArrayFromImage(image)
    assert fraction.sum() == pytest.approx(12)
    assert fraction[2, 2, 2] == pytest.approx(0.25)
    assert fraction[2, 2, 3] == pytest.approx(0.5)
    assert listed(out)["rois"][0]["volume_cm3"] == pytest.approx(12 * 4.5 / 1000)
    assert listed(out)["partial_volume"] is True


def test_real_structure_sets_give_their_known_volumes(real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = real_data / "lung1_001"
    for name, volume, told in (("XiO", 155.8, ()), ("ARIA", 156.3, ("--assume-same-frame",))):
        given = ["contours", str(folder / f"RTSTRUCT_{name}.dcm"), str(folder / "CT")]
        call = [*given, "--out", str(tmp_path / name), "--roi", "GTV-1", "--json", *told]
        assert cli.run(call) == 0
        assert json.loads(capsys.readouterr().out)["rois"][0]["volume_cm3"] == pytest.approx(volume, rel=0.005)
