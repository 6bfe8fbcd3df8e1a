"""The page of a comparison tells its numbers with units, shows where contours differ, and names no patient."""

from __future__ import annotations

import re

import numpy as np
import pytest

from rt4d.errors import InputError, OutputError
from rt4d.report import write_comparison_report
from rt4d.report.comparison import shift_text
from rt4d.report.names import page_names, without_folders
from rt4d.segmentation import whole_files
from rt4d.volumes import Mask
from tests.report.compared import CT, DRAWN, GRID, NOTHING, SHIFTED, STRAY, assert_offline, pair


@pytest.fixture(scope="module")
def page(comparison_page):
    return comparison_page.read_text()


def test_the_page_asks_for_nothing_and_gives_no_verdict(page):
    assert_offline(page)
    assert "No verdict is given" in page
    assert "Not for clinical use without local commissioning" in page
    assert "pass" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)


def test_the_first_numbers_are_those_of_the_comparison_each_with_its_unit(page):
    found = pair(SHIFTED | STRAY, DRAWN).comparison
    for text in (
        f"<b>{found.dice:.3f}</b><span>DSC",
        f"<b>{found.surface_dice:.3f}</b><span>surface DSC at 2 mm",
        f"<b>{found.hd95_mm:.1f} mm</b>",
        f"<b>{found.mean_surface_distance_mm:.2f} mm</b>",
        f"<b>{found.volume_machine_cm3:.2f} cm³</b><span>machine",
        f"<b>{found.volume_physician_cm3:.2f} cm³</b><span>physician",
    ):
        assert text in page
    assert page.index("No verdict") < page.index("<figure")


def test_a_shift_is_told_in_the_patients_directions():
    assert shift_text((4.0, -0.02, 6.0)).replace("\N{NO-BREAK SPACE}", " ") == "4.0 mm left, 6.0 mm superior"
    assert shift_text((-1.26, 2.0, -3.0)).replace("\N{NO-BREAK SPACE}", " ") == "1.3 mm right, 2.0 mm posterior, 3.0 mm inferior"
    assert shift_text((0.0, 0.01, 0.0)) == "no shift"


def test_planes_go_through_where_they_differ_most_and_the_place_is_told(page):
    (x, y, z) = (float(v.replace("−", "-")) for v in re.search(r"differ most at x ([−.\d]+), y ([−.\d]+), z ([−.\d]+) mm", page).groups())
    assert np.linalg.norm(np.array([x, y, z]) - (-30, 20, -24)) < 6, "in the stray piece"


def test_false_volumes_lesions_and_provenance_are_told(page):
    found = pair(SHIFTED | STRAY, DRAWN).comparison
    assert f"<td>{found.false_positive_cm3:.2f}</td><td>{found.false_positive_voxels}</td>" in page
    assert "1 found</td><td>1 false positive" in page
    assert "any overlap" in page
    assert "SHA-256 00" in page
    assert "<li>odd</li>" in page


def test_several_observers_have_a_table_a_picture_and_the_dsc_of_every_two(undrawn, tmp_path):
    masks = {"net": SHIFTED, "anna": DRAWN, "bo": DRAWN | STRAY}
    names = [("net", "anna"), ("net", "bo"), ("anna", "bo")]
    pairs = [pair(masks[one], masks[other], names=(one, other)) for one, other in names]
    page = write_comparison_report(tmp_path / "r.html", pairs).read_text()
    assert "All contours, through" in page
    assert "DSC of every two contours" in page
    assert page.count(f"<td>{pairs[2].comparison.dice:.3f}</td>") == 3, "in the table, and twice in the matrix"
    assert page.count("<figcaption>Both contours on a plain ground") == 2, "pictures are of the first contour's pairs"
    without = write_comparison_report(tmp_path / "s.html", pairs[:2]).read_text()
    assert "DSC of every two contours" not in without


def test_what_is_undefined_is_a_dash_and_two_empty_contours_have_a_page_too(undrawn, tmp_path):
    page = write_comparison_report(tmp_path / "r.html", [pair(NOTHING, DRAWN)], ct=CT).read_text()
    assert "<b>–</b><span>HD95" in page
    assert "<b>0.000</b><span>DSC" in page
    both = write_comparison_report(tmp_path / "s.html", [pair(NOTHING, NOTHING)]).read_text()
    assert "<b>–</b><span>DSC" in both
    same = write_comparison_report(tmp_path / "t.html", [pair(DRAWN, DRAWN)]).read_text()
    assert "differ most" not in same
    assert write_comparison_report(tmp_path / "u.html", [pair(DRAWN, NOTHING)]).is_file()


def test_a_ct_of_another_frame_of_reference_is_not_put_beneath(undrawn, tmp_path):
    from dataclasses import replace

    other = replace(GRID, frame_of_reference="9.9")
    masks = [Mask(mask.inside, other) for mask in (SHIFTED, DRAWN)]
    assert "plain ground" in write_comparison_report(tmp_path / "r.html", [pair(*masks)], ct=CT).read_text()


def test_a_report_is_not_written_over_another_file_or_where_it_cannot_be(undrawn, tmp_path):
    (tmp_path / "there.html").write_text("mine")
    one = [pair(DRAWN, DRAWN)]
    for path, said in (("there.html", "there already"), ("no/folder.html", "not there"), ("report", "HTML file")):
        with pytest.raises(InputError, match=said):
            write_comparison_report(tmp_path / path, one)
    assert (tmp_path / "there.html").read_text() == "mine"


def test_a_full_disk_leaves_nothing_behind(undrawn, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole_files.os, "fsync", full)
    with pytest.raises(OutputError, match="disk is full"):
        write_comparison_report(tmp_path / "r.html", [pair(DRAWN, DRAWN)])
    assert list(tmp_path.iterdir()) == []


def test_names_are_without_folders_and_numbered_where_files_share_one(tmp_path):
    anna, bo = tmp_path / "Smithers" / "gtv.nii.gz", tmp_path / "Jones" / "gtv.nii.gz"
    rs = tmp_path / "Smithers" / "RS.dcm"
    named = page_names([(anna, ""), (bo, ""), (rs, "GTV"), (rs, "GTV")])
    assert named == ["gtv.nii.gz (contour 1)", "gtv.nii.gz (contour 2)", "RS.dcm:GTV", "RS.dcm:GTV"]
    said = f"Smithers/gtv.nii.gz: no lung in {tmp_path / 'Smithers' / 'CT'}; see {anna}"
    told = without_folders(said, files=[anna], folders=[tmp_path / "Smithers" / "CT"], renamed={"Smithers/gtv.nii.gz": "gtv.nii.gz (contour 1)"})
    assert told == "gtv.nii.gz (contour 1): no lung in the folder; see gtv.nii.gz"
