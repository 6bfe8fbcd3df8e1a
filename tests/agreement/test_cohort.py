"""A cohort of contours as a table: checked before use, compared pair by pair, summarised by patient."""

from __future__ import annotations

import builtins
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rt4d.agreement import IouAtLeast, Overlap, Scan, cohort_processes, compare, detection_in, intra_observer, lesions_in, match
from rt4d.agreement.cohort import compare_cohort, records, summarise, write_table
from rt4d.agreement.cohort_table import read_contour_table
from rt4d.errors import InputError, NotFoundError
from rt4d.geometry import Geometry
from rt4d.images import read_mask, write_mask
from rt4d.volumes import Mask
from tests.dicom.drawn import Drawn, box, ct_image, grid, polygon, saved, structure_set, write_ct

GRID = Geometry((16, 14, 8), (2.0, 2.0, 3.0), (-20.0, 10.0, -50.0), frame_of_reference="")


def a_mask(path: Path, shift: int = 0, *, empty: bool = False) -> Path:
    inside = np.zeros(GRID.shape, dtype=bool)
    if not empty:
        inside[3:6, 5:10, 3 + shift : 9 + shift] = True
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_mask(path, Mask(inside, GRID))


@pytest.fixture
def listed(tmp_path: Path) -> pd.DataFrame:
    """Four patients, a machine and two physicians each; the machine is off by 0 to 3 voxels, the physicians by one from one another."""
    rows = []
    for n in range(4):
        for observer, shift in (("anna", 0), ("machine", n), ("bo", 1)):
            a_mask(tmp_path / "masks" / f"{n}_{observer}.nii.gz", shift)
            cohort = "trial" if n < 2 else "clinic"
            rows.append({"patient": f"0{n}", "observer": observer, "roi": "GTV", "contour": f"masks/{n}_{observer}.nii.gz", "cohort": cohort})
    return pd.DataFrame(rows)


def written(frame: pd.DataFrame, folder: Path, name: str = "contours.csv") -> Path:
    path = folder / name
    if name.endswith(".csv"):
        frame.to_csv(path, index=False)
    elif name.endswith(".xlsx"):
        frame.to_excel(path, index=False)
    else:
        frame.to_parquet(path, index=False)
    return path


@pytest.mark.parametrize("name", ["contours.csv", "contours.xlsx", "contours.parquet"])
def test_a_table_of_any_kind_is_read_as_it_stands(name: str, listed: pd.DataFrame, tmp_path: Path) -> None:
    contours = read_contour_table(written(listed, tmp_path, name))
    assert contours.observers == ("anna", "machine", "bo")
    assert contours.rows[0].patient == "00", "text stays text"
    assert contours.rows[0].row == 2, "as a spreadsheet counts"
    assert contours.rows[0].contour == str(tmp_path / "masks" / "0_anna.nii.gz")
    assert contours.notes == ()


def test_a_spreadsheets_semicolons_and_byte_order_mark_are_read(listed: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("\ufeff" + listed.to_csv(index=False, sep=";"), encoding="utf-8")
    assert len(read_contour_table(tmp_path / "c.csv").rows) == 12


def test_a_table_that_is_not_in_utf_8_is_refused_with_what_to_do(listed: pd.DataFrame, tmp_path: Path) -> None:
    listed.loc[0, "observer"] = "Müller"
    (tmp_path / "c.csv").write_text(listed.to_csv(index=False), encoding="latin-1")
    with pytest.raises(InputError, match=r"UTF-8 text.*found byte 0xfc"):
        read_contour_table(tmp_path / "c.csv")


def test_columns_and_cells_that_are_missing_are_named(listed: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no observer, roi among patient, contour"):
        read_contour_table(written(listed[["patient", "contour"]], tmp_path))
    listed.loc[3, "roi"], listed.loc[5, "patient"] = "", " "
    with pytest.raises(InputError, match=r"row 5 \(roi\), row 7 \(patient\)"):
        read_contour_table(written(listed, tmp_path))
    with pytest.raises(InputError, match="no rows"):
        read_contour_table(written(listed.iloc[:0], tmp_path))


def test_all_missing_files_are_named_at_once_by_row(listed: pd.DataFrame, tmp_path: Path) -> None:
    listed.loc[1, "contour"], listed.loc[4, "contour"] = "masks/gone.nii.gz", "/nowhere/x.dcm:GTV"
    listed["ct"] = ""
    listed.loc[7, "ct"] = "no_ct"
    with pytest.raises(NotFoundError, match=r"row 3 .*gone\.nii\.gz, row 6 .*x\.dcm:GTV, row 9 .*no_ct"):
        read_contour_table(written(listed, tmp_path))


def test_a_contour_given_twice_is_refused_by_its_rows(listed: pd.DataFrame, tmp_path: Path) -> None:
    doubled = pd.concat([listed, listed.iloc[[2]]])
    with pytest.raises(InputError, match="rows 4 and 14"):
        read_contour_table(written(doubled, tmp_path))


def test_what_is_odd_but_usable_is_noted(listed: pd.DataFrame, tmp_path: Path) -> None:
    listed.loc[1, "contour"] = listed.loc[0, "contour"]
    listed["age"] = 70
    short = listed.drop([5, 6, 7])
    notes = " | ".join(read_contour_table(written(short, tmp_path)).notes)
    assert "age" in notes
    assert "2 and 3" in notes
    assert "bo has no contour of GTV of 1 of 2 patients in cohort trial: 01" in notes
    assert "machine has no contour of GTV of 1 of 2 patients in cohort clinic: 02" in notes
    assert "Rows without another contour to compare with: 7" in notes


def test_a_table_without_a_single_pair_is_refused(listed: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two contours"):
        read_contour_table(written(listed[listed.observer == "machine"], tmp_path))


def with_repeats(listed: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Anna drew two patients again, a voxel off; whoever drew once has no number."""
    again = []
    for n in range(2):
        a_mask(folder / "masks" / f"{n}_again.nii.gz", 1)
        again.append({"patient": f"0{n}", "observer": "anna", "roi": "GTV", "contour": f"masks/{n}_again.nii.gz", "cohort": "trial", "repeat": "2"})
    return pd.concat([pd.DataFrame(again), listed.assign(repeat="")])


def test_what_an_observer_drew_again_is_compared_with_what_that_observer_drew_alone(listed: pd.DataFrame, tmp_path: Path) -> None:
    once = compare_cohort(read_contour_table(written(listed, tmp_path)), workers=1).table
    contours = read_contour_table(written(with_repeats(listed, tmp_path), tmp_path))
    assert contours.notes == ()
    table = compare_cohort(contours, workers=1).table
    again = table[table.pair == "intra-observer"]
    assert again[["patient", "machine", "physician"]].to_numpy().tolist() == [["00", "anna", "anna (repeat 2)"], ["01", "anna", "anna (repeat 2)"]]
    assert again["dice"].tolist() == [pytest.approx(5 / 6)] * 2
    pd.testing.assert_frame_equal(table[table.pair != "intra-observer"].reset_index(drop=True), once)
    (found,) = intra_observer(records(table[table.cohort == "trial"]))
    assert (found.observer, found.median, len(found.values)) == ("anna", pytest.approx(5 / 6), 2)
    assert "intra-observer" in set(summarise(table)["pair"])


@pytest.mark.parametrize(("repeat", "said"), [("x", "row 2 (x)"), ("0", "row 2 (0)"), ("1.5", "row 2 (1.5)"), ("1", "rows 2 and 4")])
def test_repeats_that_make_no_sense_are_refused_by_their_rows(repeat: str, said: str, listed: pd.DataFrame, tmp_path: Path) -> None:
    frame = with_repeats(listed, tmp_path)
    frame["repeat"] = [repeat, *frame["repeat"][1:]]
    with pytest.raises(InputError, match=re.escape(said)):
        read_contour_table(written(frame, tmp_path))


def test_a_repeat_without_a_first_contour_is_refused(listed: pd.DataFrame, tmp_path: Path) -> None:
    frame = with_repeats(listed, tmp_path)
    first = (frame.patient == "00") & (frame.observer == "anna") & (frame["repeat"] == "")
    with pytest.raises(InputError, match=r"first.*row 2"):
        read_contour_table(written(frame[~first], tmp_path))


def test_a_structure_set_needs_its_ct(tmp_path: Path) -> None:
    ct = ct_image(grid())
    write_ct(ct, tmp_path / "CT")
    for name, shift in (("machine", 1.0), ("anna", 0.0)):
        contours = [polygon(ct.geometry, box(1.5 + shift, 2.5, 5.5 + shift, 5.5), z) for z in (2, 3)]
        saved(structure_set(ct, Drawn("GTV: 1", contours)), tmp_path / f"{name}.dcm")
    frame = pd.DataFrame([{"patient": "1", "observer": who, "roi": "GTV", "contour": f"{who}.dcm:GTV: 1"} for who in ("machine", "anna")])
    with pytest.raises(InputError, match="rows 2, 3"):
        read_contour_table(written(frame, tmp_path))
    pairs = compare_cohort(read_contour_table(written(frame.assign(ct="CT"), tmp_path)))
    assert pairs.table["dice"].tolist() == [pytest.approx(0.75)]


def test_every_pair_has_a_tidy_row_with_the_numbers_of_compare(listed: pd.DataFrame, tmp_path: Path) -> None:
    table = compare_cohort(read_contour_table(written(listed, tmp_path)), tolerance_mm=3, workers=1).table
    assert len(table) == 4 * 3
    assert table["pair"].value_counts().to_dict() == {"machine-physician": 8, "physician-physician": 4}
    row = table[(table.patient == "03") & (table.physician == "bo") & (table.pair == "machine-physician")].iloc[0]
    masks = (read_mask(tmp_path / "masks" / f"3_{who}.nii.gz") for who in ("machine", "bo"))
    alone = compare(*masks, tolerance_mm=3).to_dict()
    assert row["machine"] == "machine"
    for name in ("dice", "surface_dice", "hd95_mm", "volume_machine_cm3", "false_positive_voxels", "false_negative_cm3", "added_path_mm"):
        assert row[name] == pytest.approx(alone[name]), name
    assert row["centroid_shift_x_mm"] == pytest.approx(4)
    assert row["centroid_shift_mm"] == pytest.approx(4)


def test_processes_give_the_table_that_one_gives(listed: pd.DataFrame, tmp_path: Path) -> None:
    contours = read_contour_table(written(listed, tmp_path))
    told: list[tuple[int, int]] = []
    rule = Overlap(0.1, 0.5)
    side_by_side = compare_cohort(contours, rule=rule, workers=2, progress=lambda _stage, done, total: told.append((done, total)))
    alone = compare_cohort(contours, rule=rule, workers=1)
    pd.testing.assert_frame_equal(side_by_side.table, alone.table)
    assert [each.to_dict() for each in side_by_side.detections] == [each.to_dict() for each in alone.detections]
    assert told[-1] == (12, 12)


def test_a_contour_that_cannot_be_read_fails_its_own_pairs_only(listed: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "masks" / "2_bo.nii.gz").write_bytes(b"\x1f\x8b broken")
    pairs = compare_cohort(read_contour_table(written(listed, tmp_path)), workers=1)
    assert len(pairs.table) == 12
    assert len(pairs.failed) == 2
    assert all("02, GTV" in line and "bo" in line and "row 10" in line for line in pairs.failed)
    failed = pairs.table[pairs.table.error != ""]
    assert failed["dice"].isna().all()
    summary = summarise(pairs.table)
    counted = summary[(summary.metric == "dice") & (summary.cohort == "clinic") & (summary.pair == "machine-physician")].iloc[0]
    assert (counted.n, counted.failed, counted.undefined) == (3, 1, 0)


def test_half_an_answer_of_a_process_that_ended_fails_its_pairs_and_no_more(
    listed: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(_module: str, *, printed: Path) -> subprocess.Popen[str]:
        told = "import sys; sys.stdin.readline(); sys.stdout.write('{\"patient\": \"0'); sys.stdout.flush(); sys.exit(3)"
        printed.touch()
        return subprocess.Popen([sys.executable, "-c", told], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    monkeypatch.setattr(cohort_processes, "started", started)
    pairs = compare_cohort(read_contour_table(written(listed, tmp_path)), workers=2)
    assert len(pairs.failed) == len(pairs.table) == 12
    assert all("ended with code 3" in line for line in pairs.failed)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_a_process_that_is_killed_loses_its_own_pairs_only(listed: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patched = tmp_path / "patched"
    patched.mkdir()
    (patched / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "if any('cohort_worker' in one for one in sys.orig_argv):\n"
        "    import rt4d.contour_files as files\n"
        "    read = files.ContourFiles.read\n"
        "    files.ContourFiles.read = lambda self, given: os.kill(os.getpid(), signal.SIGKILL) if '1_bo' in given else read(self, given)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{patched}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    pairs = compare_cohort(read_contour_table(written(listed, tmp_path)), workers=2)
    assert len(pairs.table) == 12
    assert 2 <= len(pairs.failed) <= 3
    assert all("01, GTV" in line and "signal 9" in line for line in pairs.failed)


def test_a_miss_is_counted_and_its_distances_are_undefined(listed: pd.DataFrame, tmp_path: Path) -> None:
    a_mask(tmp_path / "masks" / "0_machine.nii.gz", empty=True)
    table = compare_cohort(read_contour_table(written(listed, tmp_path)), workers=1).table
    missed = table[(table.patient == "00") & (table.pair == "machine-physician")]
    assert missed["dice"].tolist() == [0, 0]
    assert missed["hd95_mm"].isna().all()
    summary = summarise(table).set_index(["cohort", "pair", "metric"])
    assert summary.loc[("trial", "machine-physician", "hd95_mm"), ["n", "undefined"]].tolist() == [2, 2]
    assert summary.loc[("trial", "machine-physician", "dice"), ["n", "undefined"]].tolist() == [4, 0]


def test_the_summary_is_median_quartiles_and_interval_by_patient(listed: pd.DataFrame, tmp_path: Path) -> None:
    table = compare_cohort(read_contour_table(written(listed.assign(cohort="all"), tmp_path)), workers=1).table
    summary = summarise(table)
    row = summary[(summary.metric == "dice") & (summary.pair == "machine-physician")].iloc[0]
    dice = table[table.pair == "machine-physician"]["dice"]
    assert (row.n, row.patients) == (8, 4)
    assert row["median"] == pytest.approx(np.median(dice))
    assert (row.quartile_1, row.quartile_3) == tuple(pytest.approx(v) for v in np.quantile(dice, [0.25, 0.75]))
    assert row.interval_low <= row["median"] <= row.interval_high
    again = summarise(table)
    pd.testing.assert_frame_equal(summary, again)
    like = set(summary[summary.pair == "physician-physician"].metric)
    assert "dice" in like
    assert "false_positive_cm3" not in like, "it has no sense between two physicians"


def test_one_patient_has_no_interval(listed: pd.DataFrame, tmp_path: Path) -> None:
    summary = summarise(compare_cohort(read_contour_table(written(listed.iloc[:3], tmp_path)), workers=1).table)
    first = next(records(summary))
    assert first["interval_low"] is None
    assert json.dumps(list(records(summary)), allow_nan=False)


def test_who_is_a_machine_is_told_or_noted(listed: pd.DataFrame, tmp_path: Path) -> None:
    contours = read_contour_table(written(listed, tmp_path))
    kinds = compare_cohort(contours, machines=["machine", "bo"], workers=1).table["pair"].value_counts()
    assert kinds.to_dict() == {"machine-physician": 8, "machine-machine": 4}
    with pytest.raises(InputError, match="unet"):
        compare_cohort(contours, machines=["unet"])
    without = read_contour_table(written(listed.replace({"machine": "carl"}), tmp_path))
    assert any("called machine" in note for note in compare_cohort(without, workers=1).notes)


def test_detection_of_a_cohort_is_that_of_its_masks(listed: pd.DataFrame, tmp_path: Path) -> None:
    a_mask(tmp_path / "masks" / "0_machine.nii.gz", empty=True)
    a_mask(tmp_path / "masks" / "1_anna.nii.gz", empty=True)
    rule = IouAtLeast(0.4)
    pairs = compare_cohort(read_contour_table(written(listed.assign(cohort=""), tmp_path)), rule=rule, workers=1)
    assert [(each.machine, each.physician) for each in pairs.detections] == [("machine", "anna"), ("machine", "bo")]
    masks = {who: [read_mask(tmp_path / "masks" / f"{n}_{who}.nii.gz") for n in range(4)] for who in ("machine", "anna")}
    scans = [Scan(f"0{n}", match(lesions_in(masks["machine"][n]), lesions_in(masks["anna"][n]), rule=rule)) for n in range(4)]
    assert pairs.detections[0].detection.to_dict() == detection_in(scans).to_dict()
    assert pairs.table[pairs.table.pair == "physician-physician"]["lesions_drawn"].isna().all()
    assert pairs.table[pairs.table.physician == "anna"]["lesions_false_positive"].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_comes_back_as_it_was_written(ending: str, listed: pd.DataFrame, tmp_path: Path) -> None:
    a_mask(tmp_path / "masks" / "0_machine.nii.gz", empty=True)
    table = compare_cohort(read_contour_table(written(listed, tmp_path)), workers=1).table
    path = write_table(tmp_path / f"cohort.{ending}", table)
    back = pd.read_parquet(path) if ending == "parquet" else pd.read_csv(path, dtype={"patient": str})
    assert back["patient"].tolist() == table["patient"].tolist()
    assert np.allclose(back["hd95_mm"].astype(float), table["hd95_mm"].astype(float), equal_nan=True)
    assert not [each for each in tmp_path.iterdir() if "partial" in each.name]


def test_without_pyarrow_it_says_what_to_install(listed: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name.startswith(("pyarrow", "fastparquet")):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    path = written(listed, tmp_path, "contours.parquet")
    monkeypatch.setattr(builtins, "__import__", without)
    for name in [each for each in list(__import__("sys").modules) if each.startswith(("pyarrow", "pandas.compat.pyarrow"))]:
        monkeypatch.delitem(__import__("sys").modules, name)
    with pytest.raises(InputError, match=r"pip install 'rt4d\[tables\]'"):
        write_table(tmp_path / "out.parquet", listed)
    with pytest.raises(InputError, match=r"pip install 'rt4d\[tables\]'"):
        read_contour_table(path)
