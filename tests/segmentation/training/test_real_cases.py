"""Real patients as cases: images, DICOM and structure sets, tables with faults."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from rt4d.dicom.ct_writer import new_identity, write_ct_series
from rt4d.dicom.structure_writer import write_rtstruct
from rt4d.errors import InputError, NotFoundError
from rt4d.geometry import Geometry
from rt4d.images import write_mask, write_volume
from rt4d.phases import CtImage
from rt4d.rois import Roi
from rt4d.segmentation.cases import read_case
from rt4d.segmentation.space import Space
from rt4d.segmentation.training import real_cases
from rt4d.segmentation.training.real_cases import case_of, convert, read_table
from rt4d.volumes import Mask, Volume
from tests.conftest import POSES

SPACE = Space(spacing_mm=2.5, window_hu=(-1000, 400))


def patient(pose: str = "HFS", radius_mm: float = 9.0) -> tuple[Volume, Mask]:
    """A block of lung with two balls, 38 mm apart."""
    size, spacing = (40, 40, 24), (2.0, 2.0, 3.0)
    matrix = np.array(POSES[pose]).reshape(3, 3)
    origin = -matrix @ ((np.array(size) - 1) * spacing / 2)
    grid = Geometry(size, spacing, tuple(origin), POSES[pose], "1.2.3")
    points = grid.centres()
    inside = (np.linalg.norm(points - [-15, 10, 5], axis=-1) <= radius_mm) | (np.linalg.norm(points - [18, -10, -2], axis=-1) <= radius_mm)
    return Volume(np.where(inside, 20, -800).astype(np.int16), grid), Mask(inside, grid)


def written(folder: Path, name: str) -> tuple[str, str]:
    volume, gtv = patient()
    write_volume(folder / f"{name}_ct.nii.gz", volume)
    write_mask(folder / f"{name}_gtv.nii.gz", gtv)
    return f"{name}_ct.nii.gz", f"{name}_gtv.nii.gz"


def table(folder: Path, *lines: str, header: str = "ct,gtv,patient") -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("pose", ["HFS", "FFP", "oblique"])
def test_a_case_keeps_the_gtvs_volume_pieces_and_place_in_any_pose(pose: str) -> None:
    volume, gtv = patient(pose)
    case = case_of(volume, gtv, space=SPACE, patient="P")
    assert case.lesion_count == 2
    assert sum(case.volumes_cm3) == pytest.approx(gtv.volume_cm3, rel=0.03)
    centres = [case.geometry.to_patient(np.argwhere(case.owner == n).mean(axis=0)[::-1]) for n in (1, 2)]
    np.testing.assert_allclose(sorted(map(tuple, centres)), [(-15, 10, 5), (18, -10, -2)], atol=1.0)
    assert case.hu[case.lesions == 255].mean() == pytest.approx(20, abs=60)


def test_a_ct_without_its_intercept_teaches_nothing() -> None:
    volume, gtv = patient()
    with pytest.raises(InputError, match="not Hounsfield units"):
        case_of(Volume(volume.hu + np.int16(1024), volume.geometry), gtv, space=SPACE, patient="P")


def test_a_table_of_images_is_converted_once_and_again_where_a_file_changes(tmp_path: Path) -> None:
    lines = [",".join([*written(tmp_path, name), name]) for name in ("A", "B")]
    rows = read_table(table(tmp_path, *lines))
    first = convert(rows, tmp_path / "cache", space=SPACE)
    assert [read_case(path).patient for path in first.cases] == ["A", "B"]
    made = [path.stat().st_mtime_ns for path in first.cases]
    again = convert(rows, tmp_path / "cache", space=SPACE)
    assert again == first
    assert [path.stat().st_mtime_ns for path in again.cases] == made
    gtv = patient(radius_mm=7.0)[1]
    write_mask(tmp_path / "A_gtv.nii.gz", gtv)
    changed = convert(rows, tmp_path / "cache", space=SPACE)
    assert changed.cases[0] != first.cases[0]
    assert changed.cases[1] == first.cases[1]


def test_dicom_and_structure_set_are_converted(tmp_path: Path) -> None:
    volume, gtv = patient()
    image = CtImage(volume, new_identity(volume.geometry))
    right, left = (Mask(gtv.inside & side, gtv.geometry) for side in (volume.geometry.centres()[..., 0] < 0, volume.geometry.centres()[..., 0] > 0))
    write_ct_series(image, tmp_path / "ct")
    write_rtstruct(tmp_path / "rs.dcm", on=image, rois=[Roi("GTV_a", right, "GTV"), Roi("GTV_b", left, "GTV")])
    rows = read_table(table(tmp_path, "ct,rs.dcm,P,GTV_a|GTV_b", header="ct,gtv,patient,roi"))
    (path,) = convert(rows, tmp_path / "cache", space=SPACE).cases
    assert sum(read_case(path).volumes_cm3) == pytest.approx(gtv.volume_cm3, rel=0.05)
    with pytest.raises(InputError, match=r"Which ROI is the GTV.*GTV_a, GTV_b"):
        convert(read_table(table(tmp_path, "ct,rs.dcm,P")), tmp_path / "cache", space=SPACE)
    with pytest.raises(InputError, match="Lung"):
        convert(read_table(table(tmp_path, "ct,rs.dcm,P,Lung", header="ct,gtv,patient,roi")), tmp_path / "cache", space=SPACE)


def test_a_broken_case_is_named_and_stops_unless_it_may_be_left_out(tmp_path: Path) -> None:
    good = ",".join([*written(tmp_path, "A"), "A"])
    (tmp_path / "broken.nii.gz").write_bytes(b"no image")
    written(tmp_path, "B")
    rows = read_table(table(tmp_path, good, "B_ct.nii.gz,broken.nii.gz,B", "none.nii.gz,A_gtv.nii.gz,C"))
    with pytest.raises(InputError, match=r"2 of 3.*line 3, patient B.*line 4, patient C.*--skip-broken"):
        convert(rows, tmp_path / "cache", space=SPACE)
    made = convert(rows, tmp_path / "cache", space=SPACE, skip_broken=True)
    assert len(made.cases) == 1
    assert len(made.broken) == 2


@pytest.mark.parametrize(
    ("header", "line", "said"),
    [
        ("ct,gtv", "a,b", "header"),
        ("ct,gtv,patient", "a,,P", "nothing for gtv"),
        ("ct,gtv,patient", "a,b,P,x", "more cells"),
        ("", "", "cannot be read"),
        ("ct,gtv,patient,patient", "a,b,P,Q", "twice"),
        ("ct,gtv,patient,Patient", "a,b,P,Q", "header"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, header: str, line: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_table(table(tmp_path, line, header=header))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_table_that_is_not_utf_8_is_refused_and_what_to_do_told(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes("ct,gtv,patient\na,b,M\u00fcller\n".encode(encoding))
    with pytest.raises(InputError, match=r"not UTF-8.*CSV UTF-8"):
        read_table(path)


def test_a_very_long_field_and_a_name_that_no_file_can_have_are_told(tmp_path: Path) -> None:
    assert len(read_table(table(tmp_path, "a,b," + "x" * 200_000))[0].patient) == 200_000
    with pytest.raises(InputError, match=r"2 of 2 cases cannot be used.*line 2.*line 3"):
        convert(read_table(table(tmp_path, "x" * 5000 + ",b,P", "a\x00b,b,Q")), tmp_path / "cache", space=SPACE)


def test_lines_are_numbered_as_a_spreadsheet_numbers_them(tmp_path: Path) -> None:
    rows = read_table(table(tmp_path, "a,b,P", "", "c,b,Q"))
    assert [row.where for row in rows] == ["table.csv, line 2, patient P", "table.csv, line 4, patient Q"]


def test_lines_of_one_ct_make_one_case_with_all_their_lesions(tmp_path: Path) -> None:
    volume, gtv = patient()
    x = volume.geometry.centres()[..., 0]
    write_volume(tmp_path / "ct.nii.gz", volume)
    for name, side in (("right", x < 0), ("left", x > 0)):
        write_mask(tmp_path / f"{name}.nii.gz", Mask(gtv.inside & side, gtv.geometry))
    (tmp_path / "link.nii.gz").symlink_to(tmp_path / "ct.nii.gz")
    made = convert(read_table(table(tmp_path, "ct.nii.gz,right.nii.gz,P", "link.nii.gz,left.nii.gz,P")), tmp_path / "cache", space=SPACE)
    (path,) = made.cases
    case = read_case(path)
    assert case.lesion_count == 2
    assert sum(case.volumes_cm3) == pytest.approx(gtv.volume_cm3, rel=0.03)
    assert "line 2, patient P with table.csv, line 3, patient P: of one CT" in made.notes[0]
    broken = read_table(table(tmp_path, "ct.nii.gz,right.nii.gz,P", "ct.nii.gz,none.nii.gz,P"))
    with pytest.raises(InputError, match="1 of 1 cases"):  # without its other lesion it would be wrong
        convert(broken, tmp_path / "cache", space=SPACE, skip_broken=True)
    with pytest.raises(InputError, match=r"two patients.*line 2, patient P.*line 3, patient Q"):
        convert(read_table(table(tmp_path, "ct.nii.gz,right.nii.gz,P", "ct.nii.gz,left.nii.gz,Q")), tmp_path / "cache", space=SPACE)


def test_equal_lines_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_cases, "cores", lambda: 4)
    line = ",".join([*written(tmp_path, "A"), "A"])
    for _ in range(2):
        made = convert(read_table(table(tmp_path, *[line] * 4)), tmp_path / "cache", space=SPACE)
        assert len(made.cases) == 1
        assert [note.split(":")[0] for note in made.notes] == [f"table.csv, line {n}, patient A" for n in (3, 4, 5)]


def test_a_slice_of_the_ct_written_anew_in_its_place_makes_another_case(tmp_path: Path) -> None:
    volume, gtv = patient()
    image = CtImage(volume, new_identity(volume.geometry))
    write_ct_series(image, tmp_path / "ct")
    write_mask(tmp_path / "gtv.nii.gz", gtv)
    rows = read_table(table(tmp_path, "ct,gtv.nii.gz,P"))
    first = convert(rows, tmp_path / "cache", space=SPACE).cases
    assert convert(rows, tmp_path / "cache", space=SPACE).cases == first
    before = (tmp_path / "ct").stat().st_mtime_ns
    slices = [path for path in (tmp_path / "ct").rglob("*") if path.is_file()]
    os.utime(slices[3], ns=(0, 0))
    assert (tmp_path / "ct").stat().st_mtime_ns == before
    assert convert(rows, tmp_path / "cache", space=SPACE).cases != first


@pytest.mark.parametrize(
    ("name", "kind", "is_taken"),
    [
        ("Tumour", "", True),
        ("lung tumour", "", True),
        ("Lesion 1", "GTV", True),
        ("GTV_1", "ORGAN", True),
        ("Lung_L", "", False),
        ("tumour", "ORGAN", False),
        ("BODY", "EXTERNAL", False),
        ("PTV_tumour", "", False),
    ],
)
def test_a_structure_sets_only_roi_is_taken_where_it_does_not_say_that_it_is_no_gtv(tmp_path: Path, name: str, kind: str, is_taken: bool) -> None:
    volume, gtv = patient()
    image = CtImage(volume, new_identity(volume.geometry))
    write_ct_series(image, tmp_path / "ct")
    write_rtstruct(tmp_path / "rs.dcm", on=image, rois=[Roi(name, gtv, kind)])
    rows = read_table(table(tmp_path, "ct,rs.dcm,P"))
    if is_taken:
        assert len(convert(rows, tmp_path / "cache", space=SPACE).cases) == 1
        return
    with pytest.raises(InputError, match=rf"does not seem to be a GTV.*{name}.*column roi"):
        convert(rows, tmp_path / "cache", space=SPACE)
    named = read_table(table(tmp_path, f"ct,rs.dcm,P,{name}", header="ct,gtv,patient,roi"))
    assert len(convert(named, tmp_path / "cache", space=SPACE).cases) == 1


def test_no_table_and_no_lines_and_no_gtv_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_table(tmp_path / "none.csv")
    with pytest.raises(InputError, match="no rows"):
        read_table(table(tmp_path))
    volume, gtv = patient()
    with pytest.raises(InputError, match="empty"):
        case_of(volume, Mask(np.zeros_like(gtv.inside), gtv.geometry), space=SPACE, patient="P")
