"""`rt4d compare`: a row for each pair, scripts' keys, what is undefined, what is said of contours taken on trust."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from rt4d.geometry import Geometry
from rt4d.images import read_mask, write_mask
from rt4d.volumes import Mask
from tests.cli.conftest import Compare
from tests.dicom.drawn import Drawn, box, ct_image, grid, polygon, saved, structure_set, write_ct

CONTRACT = {
    "machine",
    "physician",
    "dice",
    "surface_dice",
    "tolerance_mm",
    "hd95_mm",
    "mean_surface_distance_mm",
    "volume_machine_cm3",
    "volume_physician_cm3",
    "false_positive_cm3",
    "false_positive_voxels",
    "voxel_volume_mm3",
    "false_negative_cm3",
}
"""DESIGN.md: scripts depend on these."""
GRID = Geometry((20, 18, 10), (2.0, 2.0, 3.0), (-20.0, 10.0, -50.0))


def a_mask(path: Path, *, shift: int = 0, empty: bool = False, geometry: Geometry = GRID) -> Path:
    """A box of 6 × 5 × 4 voxels of 12 mm³ (1.44 cm³), shifted along x, written to a file."""
    inside = np.zeros(geometry.shape, dtype=bool)
    if not empty:
        inside[3:7, 5:10, 4 + shift : 10 + shift] = True
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_mask(path, Mask(inside, geometry))


def test_json_has_an_object_per_pair_with_the_contracts_keys(compare: Compare, tmp_path: Path) -> None:
    machine = a_mask(tmp_path / "machine.nii.gz", shift=2)
    first, second = a_mask(tmp_path / "first.nrrd"), a_mask(tmp_path / "second.mha", shift=2)
    code, out, _ = compare(machine, first, second, "--json")
    assert code == 0
    rows = json.loads(out)
    assert [(row["machine"], row["physician"]) for row in rows] == [("machine.nii.gz", "first.nrrd"), ("machine.nii.gz", "second.mha")]
    assert all(row.keys() >= CONTRACT for row in rows)
    assert rows[0]["dice"] == pytest.approx(4 / 6)
    assert rows[0]["volume_machine_cm3"] == pytest.approx(1.44)
    assert rows[0]["false_positive_voxels"] == 2 * 5 * 4
    assert rows[0]["false_positive_cm3"] == pytest.approx(0.48)
    assert rows[0]["false_negative_cm3"] == pytest.approx(0.48)
    assert rows[0]["voxel_volume_mm3"] == pytest.approx(12)
    assert rows[0]["tolerance_mm"] == 2
    assert rows[1]["dice"] == 1
    assert rows[1]["hd95_mm"] == 0


def test_the_tolerance_is_that_of_the_surface_dsc(compare: Compare, tmp_path: Path) -> None:
    machine, drawn = a_mask(tmp_path / "m.nii.gz", shift=2), a_mask(tmp_path / "p.nii.gz")
    tight, wide = (json.loads(compare(machine, drawn, "--json", "--tolerance-mm", mm)[1])[0] for mm in (1, 4))
    assert (tight["tolerance_mm"], wide["tolerance_mm"]) == (1, 4)
    assert tight["surface_dice"] < wide["surface_dice"] == 1
    code, _, err = compare(machine, drawn, "--tolerance-mm", -1)
    assert code == 2
    assert "tolerance" in err


def test_a_person_reads_an_aligned_table(compare: Compare, tmp_path: Path) -> None:
    machine = a_mask(tmp_path / "machine.nii.gz", shift=2)
    a_mask(tmp_path / "anna" / "gtv.nii.gz")
    a_mask(tmp_path / "bo" / "gtv.nii.gz", shift=1)
    code, out, _ = compare(machine, tmp_path / "anna" / "gtv.nii.gz", tmp_path / "bo" / "gtv.nii.gz")
    assert code == 0
    head, *rows, legend = out.splitlines()
    assert head.startswith("machine.nii.gz against")
    assert [row.split()[0] for row in rows] == ["anna/gtv.nii.gz", "bo/gtv.nii.gz"]
    assert "0.667" in rows[0]
    assert "4.0" in rows[0], "the centroid's shift to the left"
    assert len({row.index(".") for row in (row[len("anna/gtv.nii.gz") + 4 :] for row in rows)}) == 1
    assert "2 mm" in legend


def test_what_is_so_of_all_pairs_is_said_once(compare: Compare, tmp_path: Path) -> None:
    files = [a_mask(tmp_path / f"{name}.nii.gz", shift=n) for n, name in enumerate("abc")]
    finer = a_mask(tmp_path / "d.nii.gz", geometry=Geometry((40, 36, 30), (1.0, 1.0, 1.0), (-20.0, 10.0, -50.0)))
    err = compare(*files, finer, "--all-pairs")[2]
    assert err.count("taken on trust") == 1
    assert err.count("different grids") == 3
    assert "a.nii.gz – d.nii.gz: The contours lie on different grids" in err


def test_all_pairs_are_compared_when_asked_for(compare: Compare, tmp_path: Path) -> None:
    files = [a_mask(tmp_path / f"{name}.nii.gz", shift=n) for n, name in enumerate("abc")]
    code, out, _ = compare(*files, "--all-pairs", "--json")
    assert code == 0
    assert [(row["machine"][0], row["physician"][0]) for row in json.loads(out)] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert "a.nii.gz – c.nii.gz" in compare(*files, "--all-pairs")[1]


@pytest.mark.parametrize("who", ["machine", "physician", "both"])
def test_what_is_undefined_is_null_and_a_dash_and_why_is_said(who: str, compare: Compare, tmp_path: Path) -> None:
    machine = a_mask(tmp_path / "m.nii.gz", empty=who != "physician")
    drawn = a_mask(tmp_path / "p.nii.gz", empty=who != "machine")
    code, out, err = compare(machine, drawn, "--json")
    assert code == 0
    (row,) = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert row["hd95_mm"] is None
    assert row["mean_surface_distance_mm"] is None
    assert row["dice"] == (None if who == "both" else 0)
    assert row["false_negative_cm3"] == pytest.approx(1.44 if who == "machine" else 0)
    assert "empty" in err
    assert "undefined" in compare(machine, drawn)[1]
    assert " - " in compare(machine, drawn, drawn)[1]


def test_rois_of_two_systems_are_compared_on_their_ct(compare: Compare, tmp_path: Path) -> None:
    ct = ct_image(grid())
    folder = write_ct(ct, tmp_path / "CT")
    for name, shift in (("machine", 1.0), ("physician", 0.0)):
        contours = [polygon(ct.geometry, box(1.5 + shift, 2.5, 5.5 + shift, 5.5), z) for z in (2, 3)]
        saved(structure_set(ct, Drawn("GTV: 1, left", contours)), tmp_path / f"{name}.dcm")
    given = [f"{tmp_path / name}.dcm:GTV: 1, left" for name in ("machine", "physician")]
    code, out, _ = compare(*given, "--on", folder, "--json")
    assert code == 0
    (row,) = json.loads(out)
    assert (row["machine"], row["physician"]) == ("machine.dcm:GTV: 1, left", "physician.dcm:GTV: 1, left")
    assert row["dice"] == pytest.approx(0.75)
    code, out, err = compare(*given, "--json")
    assert (code, out) == (2, "")
    assert f"--on CT_DIR; a CT lies in {folder}" in err


def test_a_file_without_a_frame_is_taken_on_trust_and_that_is_said(compare: Compare, tmp_path: Path) -> None:
    ct = ct_image(grid())
    write_ct(ct, tmp_path / "CT")
    contours = [polygon(ct.geometry, box(1.5, 2.5, 5.5, 5.5), z) for z in (2, 3)]
    structures = saved(structure_set(ct, Drawn("GTV", contours)), tmp_path / "RS.dcm")
    inside = np.zeros(ct.geometry.shape, dtype=bool)
    inside[2:4, 3:6, 2:6] = True
    machine = write_mask(tmp_path / "machine.nii.gz", Mask(inside, ct.geometry))
    code, out, err = compare(machine, f"{structures}:GTV", "--on", tmp_path / "CT", "--json")
    assert code == 0
    assert json.loads(out)[0]["dice"] == 1
    assert "on trust" in err


def test_masks_of_what_is_false_are_written_once(compare: Compare, tmp_path: Path) -> None:
    machine, drawn = a_mask(tmp_path / "m.nii.gz", shift=2), a_mask(tmp_path / "p.nii.gz")
    code, out, _ = compare(machine, drawn, "--masks", tmp_path / "out", "--json")
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["compare.json", "false_negative.nii.gz", "false_positive.nii.gz"]
    false_positive = read_mask(tmp_path / "out" / "false_positive.nii.gz")
    assert np.array_equal(false_positive.inside, read_mask(machine).inside & ~read_mask(drawn).inside)
    assert false_positive.geometry.is_same_grid(read_mask(drawn).geometry)
    (row,) = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert row["false_negative_file"] == "false_negative.nii.gz"
    code, out, err = compare(machine, drawn, "--masks", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "not empty" in err
    code, _, _ = compare(machine, drawn, drawn, "--masks", tmp_path / "three")
    assert (tmp_path / "three" / "false_positive_2.nii.gz").is_file()


@pytest.mark.parametrize("given", [(), ("only.nii.gz",)])
def test_fewer_than_two_contours_are_refused(given: tuple[str, ...], compare: Compare) -> None:
    code, out, err = compare(*given)
    assert (code, out) == (2, "")
    assert "two contours" in err
    assert err.count("\n") == 1


def test_a_file_that_is_not_there_ends_in_one_line(compare: Compare, tmp_path: Path) -> None:
    code, out, err = compare(a_mask(tmp_path / "m.nii.gz"), tmp_path / "gone.nii.gz")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "gone.nii.gz" in err


def test_grids_that_share_no_place_are_refused(compare: Compare, tmp_path: Path) -> None:
    elsewhere = Geometry(GRID.size, GRID.spacing_mm, (500.0, 10.0, -50.0))
    code, _, err = compare(a_mask(tmp_path / "m.nii.gz"), a_mask(tmp_path / "p.nii.gz", geometry=elsewhere))
    assert code == 2
    assert "overlap" in err


def test_another_label_of_a_map_is_another_contour(compare: Compare, tmp_path: Path) -> None:
    array = np.zeros(GRID.shape, np.uint8)
    array[3:7, 5:10, 4:10], array[3:7, 5:10, 12:15] = 1, 2
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "map.nii.gz"))
    code, out, _ = compare(f"{tmp_path / 'map.nii.gz'}:1", f"{tmp_path / 'map.nii.gz'}:2", "--json")
    assert code == 0
    (row,) = json.loads(out)
    assert (row["machine"], row["physician"], row["dice"]) == ("map.nii.gz:1", "map.nii.gz:2", 0)


def test_real_contours_of_two_systems_agree(real_data: Path, compare: Compare) -> None:
    folder = real_data / "lung1_001"
    given = [f"{folder}/RTSTRUCT_{system}.dcm:GTV-1" for system in ("XiO", "ARIA")]
    code, _, err = compare(*given, "--on", folder / "CT", "--json")
    assert code == 2
    assert "--assume-same-frame" in err
    code, out, err = compare(*given, "--on", folder / "CT", "--assume-same-frame", "--json")
    assert code == 0
    (row,) = json.loads(out)
    assert row["volume_machine_cm3"] == pytest.approx(155.8, rel=0.005)
    assert row["volume_physician_cm3"] == pytest.approx(156.3, rel=0.005)
    assert row["dice"] > 0.97
    assert not math.isnan(row["hd95_mm"])
    assert "because told so" in err


def test_where_false_voxels_lie_is_told(compare: Compare, tmp_path: Path) -> None:
    machine, drawn = a_mask(tmp_path / "m.nii.gz", shift=2), a_mask(tmp_path / "p.nii.gz")
    (row,) = json.loads(compare(machine, drawn, "--json")[1])
    places = row["false_positive_places"]
    assert places["total_cm3"] == pytest.approx(0.48)
    assert places["by_direction_cm3"]["left"] == pytest.approx(0.48)
    assert places["inside_lung_cm3"] is None, "no CT, no lungs"
    assert "False positive 0.48 cm³: 100 % left" in compare(machine, drawn)[1]


def test_false_voxels_are_told_by_the_lungs_of_the_ct(compare: Compare, written: Path, tmp_path: Path) -> None:
    gtv = f"{written / 'gtv.dcm'}:GTV"
    ct = next(path for path in sorted((written / "4dct").iterdir()) if "50" in path.name)
    code, out, err = compare(gtv, gtv, "--on", ct, "--masks", tmp_path / "out", "--json")
    assert code == 0, err
    assert json.loads(out)[0]["dice"] == 1
    moved = read_mask(tmp_path / "out" / "false_positive.nii.gz")
    inside = np.zeros(moved.geometry.shape, dtype=bool)
    x, y, z = np.round(moved.geometry.to_index((-77.3, 18.4, 10.0))).astype(int)
    inside[z, y, x] = True
    machine = write_mask(tmp_path / "machine.nii.gz", Mask(inside, moved.geometry))
    code, out, err = compare(machine, gtv, "--on", ct)
    assert code == 0
    assert "100 % in the lungs" in out, err


def test_a_ct_without_lungs_is_no_hindrance(compare: Compare, tmp_path: Path) -> None:
    ct = ct_image(grid())
    folder = write_ct(ct, tmp_path / "CT")
    contours = [polygon(ct.geometry, box(1.5, 2.5, 5.5, 5.5), z) for z in (2, 3)]
    structures = saved(structure_set(ct, Drawn("GTV", contours), Drawn("B", contours, number=2)), tmp_path / "RS.dcm")
    code, _, err = compare(f"{structures}:GTV", f"{structures}:B", "--on", folder)
    assert code == 0
    assert "not told by lung" in err


@pytest.mark.parametrize("method", ["staple", "majority"])
def test_the_consensus_of_the_physicians_is_a_row_more(method: str, compare: Compare, tmp_path: Path) -> None:
    files = [a_mask(tmp_path / f"{name}.nii.gz", shift=n) for name, n in (("machine", 1), ("anna", 0), ("bo", 1), ("carl", 1))]
    code, out, _ = compare(*files, "--consensus", method, "--json")
    assert code == 0
    assert len(json.loads(out)) == 4
    assert json.loads(out)[-1]["physician"] == f"consensus of 3 ({method})"
    assert json.loads(out)[-1]["dice"] == 1, "two of three drew what the machine found"
    code, out, err = compare(*files[:3], "--consensus", method)
    assert code == 0
    assert "note: A consensus of two contours is what both drew" in err
    assert "flatters a machine that draws small" in err
    code, out, _ = compare(files[0], files[1], files[1], files[2], "--consensus", method, "--json")
    assert json.loads(out)[-1]["physician"] == f"consensus of 3 ({method})"
    assert json.loads(out)[-1]["dice"] == pytest.approx(5 / 6), "who is given twice has two votes, as said"
    code, _, err = compare(*files[:2], "--consensus", method)
    assert code == 2
    assert "two beside the machine" in err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("overlap", "any overlap"),
        ("overlap=0.1", "overlap of at least 10 % of the machine's lesion and together 10 % of the physician's"),
        ("DSC=0.5", "DSC of at least 0.5, one to one"),
        ("iou=0.3", "IoU of at least 0.3, one to one"),
        ("centroid", "the machine's centroid in the physician's lesion"),
        ("centroid=10", "the machine's centroid in the physician's lesion or at most 10 mm from its centroid"),
    ],
)
def test_lesions_are_matched_by_the_rule_that_is_given(given: str, said: str, compare: Compare, tmp_path: Path) -> None:
    machine, drawn = a_mask(tmp_path / "m.nii.gz", shift=1), a_mask(tmp_path / "p.nii.gz")
    (row,) = json.loads(compare(machine, drawn, "--lesions", given, "--json")[1])
    assert row["lesions"]["rule"] == said
    assert (row["lesions"]["drawn"], row["lesions"]["found"], row["lesions"]["missed"], row["lesions"]["false_positive"]) == (1, 1, 0, 0)
    assert [one["observer"] for one in row["lesions"]["lesions"]] == ["physician", "machine"]
    out = compare(machine, drawn, "--lesions", given)[1]
    assert f"A lesion is found by: {said}" in out
    assert "machine 1 (DSC 0.83)" in out
    assert "lesions" not in json.loads(compare(machine, drawn, "--json")[1])[0]


@pytest.mark.parametrize("given", ["", "dsc", "dsc=", "dsc=0", "dsc=2", "iou=x", "overlap=-1", "centroid=-1", "centroid=nan", "touch"])
def test_a_rule_that_is_none_is_refused_with_those_that_are(given: str, compare: Compare, tmp_path: Path) -> None:
    code, out, err = compare(a_mask(tmp_path / "m.nii.gz"), a_mask(tmp_path / "p.nii.gz"), "--lesions", given)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    for rule in ("overlap=0.1", "dsc=0.5", "iou=0.3", "centroid=10 (mm)"):
        assert rule in err


def test_lesions_of_several_physicians_stand_below_the_table(compare: Compare, tmp_path: Path) -> None:
    files = [a_mask(tmp_path / f"{name}.nii.gz", shift=n) for name, n in (("unet", 1), ("anna", 0), ("bo", 2))]
    code, out, _ = compare(*files, "--lesions", "overlap")
    assert code == 0
    assert out.index("Surface DSC at") < out.index("anna.nii.gz:") < out.index("bo.nii.gz:")
    assert out.count("A lesion is found by: any overlap") == 2


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three patients of two cohorts, a machine and two physicians each."""
    lines = ["patient,observer,roi,contour,cohort"]
    for n in range(3):
        for observer, shift in (("unet", n + 1), ("anna", 0), ("bo", 1)):
            a_mask(tmp_path / "masks" / f"{n}_{observer}.nii.gz", shift=shift)
            lines.append(f"{n},{observer},GTV,masks/{n}_{observer}.nii.gz,{'trial' if n else 'clinic'}")
    (tmp_path / "contours.csv").write_text("\n".join(lines))
    return tmp_path / "contours.csv"


def test_a_cohort_becomes_a_table_a_summary_and_figures(compare: Compare, table: Path, tmp_path: Path) -> None:
    code, out, err = compare("--cohort", table, "--out", tmp_path / "out", "--machine", "unet", "--workers", 1, "--json")
    assert code == 0, err
    said = json.loads(out)
    assert said["failed"] == []
    assert {row["cohort"] for row in said["summary"]} == {"clinic", "trial"}
    assert next(row for row in said["summary"] if row["metric"] == "dice")["n"] == 2
    assert [(each["cohort"], each["machine"], each["non_inferior"]) for each in said["against_physicians"]] == [
        ("clinic", "unet", False),
        ("trial", "unet", False),
    ]
    tested = [(each["cohort"], each["first"], each["second"], each["n"]) for each in said["volumes"]]
    assert tested == [("clinic", "unet", "anna", 1), ("clinic", "unet", "bo", 1), ("trial", "unet", "anna", 2), ("trial", "unet", "bo", 2)]
    assert said["volumes"][2]["direction"] == "unet not significantly different from anna: smaller in 0, larger in 0, equal in 2 of 2 patients"
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files >= {"cohort.csv", "summary.csv", "dice.png", "dice.svg"}
    assert files >= {"volumes_unet_anna.png", "bland_altman_unet_bo.svg", "bland_altman_anna_bo.png"}, "every two observers"
    assert len((tmp_path / "out" / "cohort.csv").read_text().splitlines()) == 1 + 9
    code, out, err = compare("--cohort", table, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "not empty" in err


def test_what_an_observer_drew_again_is_told_apart(compare: Compare, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rt4d.report.cohort._figures", lambda *_, **__: ())
    lines = table.read_text().splitlines()
    again = [f"{n},anna,GTV,masks/{n}_bo.nii.gz,trial,2" for n in (1, 2)]
    table.write_text("\n".join([f"{lines[0]},repeat", *(f"{line}," for line in lines[1:]), *again]))
    given = ("--cohort", table, "--machine", "unet", "--workers", 1)
    code, out, err = compare(*given, "--out", tmp_path / "out", "--json")
    assert code == 0, err
    (told,) = json.loads(out)["intra_observer"]
    assert (told["cohort"], told["roi"], told["observer"], told["measure"], told["n"]) == ("trial", "GTV", "anna", "dice", 2)
    assert told["median"] == pytest.approx(5 / 6)
    assert "trial GTV: anna against anna: median DSC 0.833" in compare(*given, "--out", tmp_path / "text")[1]


def test_a_pair_that_failed_ends_with_1_and_the_others_are_there(
    compare: Compare, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rt4d.report.cohort._figures", lambda *_, **__: ())
    (tmp_path / "masks" / "1_bo.nii.gz").write_bytes(b"broken")
    code, out, err = compare("--cohort", table, "--out", tmp_path / "out", "--machine", "unet", "--workers", 1, "--parquet")
    assert code == 1
    assert "not compared: 1, GTV, unet – bo" in err
    assert (tmp_path / "out" / "cohort.parquet").is_file()
    assert "DSC" in out
    assert "trial GTV: volume, unet not significantly different from anna: smaller in 0, larger in 0, equal in 2 of 2 patients (Wilcoxon p = 1" in out
    assert f"Written to {tmp_path / 'out'}" in out


def test_detection_over_a_cohort_is_printed_and_written(compare: Compare, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rt4d.report.cohort._figures", lambda *_, **__: ())
    (tmp_path / "masks" / "1_bo.nii.gz").write_bytes(b"broken")
    a_mask(tmp_path / "masks" / "2_unet.nii.gz", empty=True)
    given = ("--cohort", table, "--machine", "unet", "--workers", 1, "--lesions", "dsc=0.5")
    code, out, _ = compare(*given, "--out", tmp_path / "out", "--json")
    assert code == 1, "a pair failed"
    told = json.loads(out)["detection"]
    assert json.loads((tmp_path / "out" / "detection.json").read_text()) == told
    assert [(each["cohort"], each["roi"], each["machine"], each["physician"], each["scans"]) for each in told] == [
        ("clinic", "GTV", "unet", "anna", 1),
        ("clinic", "GTV", "unet", "bo", 1),
        ("trial", "GTV", "unet", "anna", 2),
        ("trial", "GTV", "unet", "bo", 1),
    ]
    assert told[2]["lesions"][0]["sensitivity"]["successes"] == 1, "the empty one is a miss"
    assert told[2]["by_scan"]["missed"] == 1
    assert list(told[3]["left_out"]) == ["1"]
    rows = list(csv.DictReader((tmp_path / "out" / "detection.csv").read_text().splitlines()))
    assert {row["counted"] for row in rows} == {"all lesions", "longest axis ≥ 10 mm", "longest axis < 10 mm", "scans"}
    assert (rows[8]["found"], rows[8]["drawn"], rows[8]["sensitivity"]) == ("1", "2", "0.5")
    assert (tmp_path / "out" / "confusion_3.png").is_file()
    pairs = list(csv.DictReader((tmp_path / "out" / "cohort.csv").read_text().splitlines()))
    counted = {(row["patient"], row["physician"]): row["lesions_drawn"] + row["lesions_found"] + row["lesions_false_positive"] for row in pairs}
    assert (counted["0", "anna"], counted["2", "anna"], counted["1", "bo"]) == ("110", "100", "")
    text = compare(*given, "--out", tmp_path / "text")[1]
    assert "trial GTV: unet against anna" in text
    assert "left out: 1 (row 7" in text


@pytest.mark.parametrize(
    "given",
    [("a.nii", "b.nii", "--out", "x"), ("--cohort", "t.csv"), ("--cohort", "t.csv", "--out", "x", "--masks", "y"), ("a.nii", "--cohort", "t.csv")],
)
def test_options_of_another_task_are_refused(given: tuple[str, ...], compare: Compare) -> None:
    code, out, err = compare(*given)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "--cohort" in err
