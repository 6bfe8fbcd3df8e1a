"""Contours named as on a command line: which file, which part of it, and what is said where that cannot be told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import rt4d
from rt4d.contour_files import ContourFiles, distinct_names
from rt4d.errors import InputError, NotFoundError
from rt4d.geometry import Geometry
from rt4d.images import write_mask
from rt4d.phases import CtImage
from rt4d.rois import Roi
from rt4d.volumes import Mask
from tests.dicom.drawn import Drawn, ball, box, ct_image, grid, polygon, saved, structure_set, write_ct


@pytest.fixture
def ct() -> CtImage:
    return ct_image(grid())


@pytest.fixture
def folder(ct: CtImage, tmp_path: Path) -> Path:
    return write_ct(ct, tmp_path / "CT")


def a_box(ct: CtImage, slices: tuple[float, ...] = (2, 3)) -> list[np.ndarray]:
    return [polygon(ct.geometry, box(1.5, 2.5, 5.5, 5.5), z) for z in slices]


def the_box(ct: CtImage) -> np.ndarray:
    inside = np.zeros(ct.geometry.shape, dtype=bool)
    inside[2:4, 3:6, 2:6] = True
    return inside


def labels(path: Path, *values: int, size: tuple[int, int, int] = (6, 5, 4)) -> Path:
    """A label map with one voxel of each value."""
    array = np.zeros(size[::-1], np.uint8)
    array.ravel()[: len(values)] = values
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    return path


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".mha", ".mhd", ".nrrd"])
def test_a_mask_file_of_any_kind_is_read(ending: str, tmp_path: Path) -> None:
    path = labels(tmp_path / f"mask{ending}", 255, 255)
    contour = ContourFiles().read(str(path))
    assert (contour.path, contour.part) == (path, "")
    assert np.count_nonzero(contour.mask.inside) == 2


def test_of_several_labels_one_must_be_named_and_they_are_listed(tmp_path: Path) -> None:
    path = labels(tmp_path / "map.nii.gz", 1, 1, 3, 7)
    with pytest.raises(InputError, match=r"several labels.*1, 3, 7.*map\.nii\.gz:LABEL"):
        ContourFiles().read(str(path))
    assert np.count_nonzero(ContourFiles().read(f"{path}:3").mask.inside) == 1
    with pytest.raises(NotFoundError, match="expected one of 1, 3, 7, found 2"):
        ContourFiles().read(f"{path}:2")
    with pytest.raises(InputError, match="found GTV"):
        ContourFiles().read(f"{path}:GTV")


def test_an_empty_mask_is_a_contour_of_nothing_by_whatever_label(tmp_path: Path) -> None:
    path = labels(tmp_path / "none.nii.gz")
    assert ContourFiles().read(str(path)).mask.is_empty
    assert ContourFiles().read(f"{path}:1").mask.is_empty


def test_fractions_and_images_are_no_masks(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 3, 4))
    sitk.WriteImage(image, str(tmp_path / "share.nii.gz"))
    with pytest.raises(InputError, match=r"no mask.*partial"):
        ContourFiles().read(str(tmp_path / "share.nii.gz"))
    hu = sitk.GetImageFromArray(np.arange(-500, 500, dtype=np.int16).reshape(10, 10, 10))
    sitk.WriteImage(hu, str(tmp_path / "ct.nii.gz"))
    with pytest.raises(InputError, match="no mask"):
        ContourFiles().read(str(tmp_path / "ct.nii.gz"))
    broken = sitk.GetImageFromArray(np.array([[[0.0, np.nan]]], dtype=np.float32))
    sitk.WriteImage(broken, str(tmp_path / "nan.nrrd"))
    with pytest.raises(InputError, match="no mask"):
        ContourFiles().read(str(tmp_path / "nan.nrrd"))


def test_an_roi_is_read_on_its_ct(ct: CtImage, folder: Path, tmp_path: Path) -> None:
    path = saved(structure_set(ct, Drawn("GTV", a_box(ct))), tmp_path / "RS.dcm")
    contour = ContourFiles(on=folder).read(f"{path}:GTV")
    assert (contour.path, contour.part) == (path, "GTV")
    assert np.array_equal(contour.mask.inside, the_box(ct))
    assert contour.mask.geometry.frame_of_reference == ct.geometry.frame_of_reference


@pytest.mark.parametrize("name", ["GTV: boost", "GTV 1, left", "a:b:c", "GTV 2.5cm", "1,SUV_primair"])
def test_an_roi_may_have_colons_spaces_and_commas(name: str, ct: CtImage, folder: Path, tmp_path: Path) -> None:
    path = saved(structure_set(ct, Drawn(name, a_box(ct)), Drawn("b", a_box(ct, (5,)), number=2)), tmp_path / "RS.dcm")
    contour = ContourFiles(on=folder).read(f"{path}:{name}")
    assert contour.part == name
    assert np.array_equal(contour.mask.inside, the_box(ct))


def test_a_drive_letter_is_no_file(ct: CtImage, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    windows = "C:\\plans\\RS.dcm"
    saved(structure_set(ct, Drawn("GTV", a_box(ct))), tmp_path / windows)
    assert ContourFiles(on=folder).read(f"{windows}:GTV").part == "GTV"
    with pytest.raises(NotFoundError, match="No such file"):
        ContourFiles(on=folder).read("D:\\plans\\RS.dcm:GTV")


@pytest.mark.parametrize("name", ["", ":"])
def test_without_a_name_the_rois_are_listed(name: str, ct: CtImage, folder: Path, tmp_path: Path) -> None:
    path = saved(structure_set(ct, Drawn("GTV", a_box(ct)), Drawn("Lung L", a_box(ct), number=2)), tmp_path / "RS.dcm")
    with pytest.raises(InputError, match=r"GTV, Lung L.*RS\.dcm:ROI"):
        ContourFiles(on=folder).read(f"{path}{name}")
    with pytest.raises(NotFoundError, match="one of GTV, Lung L"):
        ContourFiles(on=folder).read(f"{path}:PTV")


def test_without_a_ct_one_that_lies_beside_is_proposed(ct: CtImage, folder: Path, tmp_path: Path) -> None:
    path = saved(structure_set(ct, Drawn("GTV", a_box(ct))), tmp_path / "RS.dcm")
    with pytest.raises(InputError, match=f"--on.*{folder}"):
        ContourFiles().read(f"{path}:GTV")
    (tmp_path / "apart").mkdir()
    elsewhere = saved(structure_set(ct, Drawn("GTV", a_box(ct))), tmp_path / "apart" / "RS.dcm")
    with pytest.raises(InputError, match="Say on which CT it was drawn: --on CT_DIR"):
        ContourFiles().read(f"{elsewhere}:GTV")


def test_another_frame_is_refused_unless_told_and_then_noted(ct: CtImage, folder: Path, tmp_path: Path) -> None:
    path = saved(structure_set(ct, Drawn("GTV", a_box(ct), frame="1.2.3"), frame="1.2.3"), tmp_path / "RS.dcm")
    with pytest.raises(InputError, match="another frame of reference"):
        ContourFiles(on=folder).read(f"{path}:GTV")
    contour = ContourFiles(on=folder, assume_same_frame=True).read(f"{path}:GTV")
    assert any("because told so" in note for note in contour.notes)
    assert np.array_equal(contour.mask.inside, the_box(ct))


def test_of_several_series_each_structure_set_gets_its_own(ct: CtImage, folder: Path, tmp_path: Path) -> None:
    other = ct_image(Geometry((6, 5, 4), (1.0, 1.5, 3.0), (-20.0, 30.0, -100.0), frame_of_reference=ct.geometry.frame_of_reference))
    write_ct(other, folder / "other")
    first = saved(structure_set(ct, Drawn("GTV", a_box(ct))), tmp_path / "a.dcm")
    second = saved(structure_set(other, Drawn("GTV", [polygon(other.geometry, box(1, 1, 3, 3), 1)])), tmp_path / "b.dcm")
    files = ContourFiles(on=folder)
    assert files.read(f"{first}:GTV").mask.geometry.size == ct.geometry.size
    assert files.read(f"{second}:GTV").mask.geometry.size == other.geometry.size


def test_a_segment_is_named_where_there_are_several(ct: CtImage, tmp_path: Path) -> None:
    one, two = ball(ct, 3.0, "GTV"), ball(ct, 4.0, "GTV: boost")
    alone = rt4d.write_seg(tmp_path / "one.dcm", on=ct, rois=[one])
    assert np.array_equal(ContourFiles().read(str(alone)).mask.points_mm, one.mask.points_mm)
    both = rt4d.write_seg(tmp_path / "two.dcm", on=ct, rois=[one, two])
    with pytest.raises(InputError, match=r"GTV, GTV: boost.*two\.dcm:SEGMENT"):
        ContourFiles().read(str(both))
    found = ContourFiles().read(f"{both}:GTV: boost")
    assert np.allclose(found.mask.points_mm, two.mask.points_mm)
    assert found.mask.geometry.frame_of_reference == ct.geometry.frame_of_reference


def test_what_is_no_contour_is_refused_by_what_it_is(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"No such file .*gone\.nii\.gz"):
        ContourFiles().read(str(tmp_path / "gone.nii.gz"))
    with pytest.raises(InputError, match="a folder"):
        ContourFiles().read(str(folder))
    with pytest.raises(InputError, match="found CT"):
        ContourFiles().read(str(next(folder.iterdir())))
    (tmp_path / "notes.txt").write_text("no contour")
    with pytest.raises(InputError, match="NIfTI"):
        ContourFiles().read(str(tmp_path / "notes.txt"))
    (tmp_path / "bad.dcm").write_text("no DICOM")
    with pytest.raises(InputError, match=r"bad\.dcm"):
        ContourFiles().read(str(tmp_path / "bad.dcm"))
    (tmp_path / "cut.nii.gz").write_bytes(b"\x1f\x8b\x08\x00 no image")
    with pytest.raises(InputError, match=r"cut\.nii\.gz"):
        ContourFiles().read(str(tmp_path / "cut.nii.gz"))
    with pytest.raises(NotFoundError):
        ContourFiles().read("x" * 5000)


def test_names_are_short_and_told_apart_by_their_folders() -> None:
    names = distinct_names([(Path("/a/unet/gtv.nii.gz"), ""), (Path("/a/drs/gtv.nii.gz"), ""), (Path("/a/RS.dcm"), "GTV 1")])
    assert names == ["unet/gtv.nii.gz", "drs/gtv.nii.gz", "RS.dcm:GTV 1"]
    assert distinct_names([(Path("/p/a/x/m.nii"), ""), (Path("/p/b/x/m.nii"), "")]) == ["a/x/m.nii", "b/x/m.nii"]
    assert distinct_names([(Path("/p/m.nii"), "1"), (Path("/p/m.nii"), "2")]) == ["m.nii:1", "m.nii:2"]
    same = Path("/p/m.nii")
    assert distinct_names([(same, ""), (same, "")]) == ["m.nii", "m.nii"]


def test_a_mask_made_by_rt4d_comes_back_as_it_was(posed_geometry: Geometry, tmp_path: Path) -> None:
    inside = np.zeros(posed_geometry.shape, dtype=bool)
    inside[2:5, 3:7, 4:9] = True
    path = write_mask(tmp_path / "mask.nii.gz", Mask(inside, posed_geometry))
    found = ContourFiles().read(str(path)).mask
    assert np.allclose(np.sort(found.points_mm, axis=0), np.sort(Mask(inside, posed_geometry).points_mm, axis=0), atol=1e-3)
    assert isinstance(Roi("GTV", found), Roi)
