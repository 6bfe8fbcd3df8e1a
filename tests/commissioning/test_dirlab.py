"""DIR-Lab's files come in exactly: a generated case written as theirs are gives back its image, its landmarks and their distances."""

from __future__ import annotations

import numpy as np
import pytest

from rt4d.commissioning import dirlab
from rt4d.errors import InputError, NotFoundError
from tests.commissioning.dirlab_folder import PHASES, make_case, renumbered, write_case


@pytest.fixture(scope="module")
def fake():
    return make_case()


@pytest.fixture
def found(fake, tmp_path):
    write_case(fake, tmp_path, sampled=True)
    (files,) = dirlab.find_cases(tmp_path, [fake.published])
    return files


def test_the_ten_published_cases_are_those_of_dir_lab():
    assert [case.number for case in dirlab.PUBLISHED] == list(range(1, 11))
    assert dirlab.PUBLISHED[0].size == (256, 256, 94)
    assert dirlab.PUBLISHED[6].size == (512, 512, 136)
    assert np.mean([case.before_mm for case in dirlab.PUBLISHED]) == pytest.approx(8.46, abs=0.005)


def test_an_image_comes_in_exactly(fake, found):
    volume = dirlab.read_image(found.images["00"], fake.published)
    truth = fake.phantom.ct["00"].volume.hu
    assert np.array_equal(volume.hu[:, 1:, 1:], truth[:, 1:, 1:])
    assert volume.geometry.spacing_mm == fake.published.spacing_mm


def test_what_lies_outside_the_scanners_circle_becomes_air(fake, found):
    volume = dirlab.read_image(found.images["50"], fake.published)
    assert (volume.hu[:, 0, 0] == -1024).all()
    assert volume.hu.dtype == np.int16


def test_landmarks_lie_on_the_voxels_they_were_put_on(fake, found):
    points = dirlab.read_landmarks(found.extreme["50"], fake.published, count=300)
    assert np.array_equal(fake.published.geometry.to_index(points), fake.voxels["50"])


def test_landmarks_show_what_they_show_in_the_phantom(fake, found):
    volume = dirlab.read_image(found.images["00"], fake.published)
    points = dirlab.read_landmarks(found.extreme["00"], fake.published, count=300)
    x, y, z = np.rint(volume.geometry.to_index(points)).astype(int).T
    px, py, pz = fake.voxels["00"].T
    assert np.array_equal(volume.hu[z, y, x], fake.phantom.ct["00"].volume.hu[pz, py, px])


def test_75_landmarks_on_six_phases_are_read(fake, found):
    assert set(found.sampled) == set(PHASES)
    points = {label: dirlab.read_landmarks(path, fake.published, count=75) for label, path in found.sampled.items()}
    for label in PHASES:
        assert np.array_equal(fake.published.geometry.to_index(points[label]), fake.voxels[label][:75])


def test_both_manners_of_naming_are_found(fake, tmp_path):
    second = renumbered(fake, 8)
    write_case(fake, tmp_path)
    write_case(second, tmp_path)
    found = dirlab.find_cases(tmp_path, [fake.published, second.published])
    assert [files.published.number for files in found] == [1, 8]
    assert all(not files.lacking for files in found)
    assert "Case8Deploy" in str(found[1].images["00"])


def test_what_is_missing_of_a_case_is_named(fake, found, tmp_path):
    found.extreme["50"].unlink()
    found.sampled["50"].unlink()
    (again,) = dirlab.find_cases(tmp_path, [fake.published])
    assert again.lacking == "landmarks of T50"
    (nothing,) = dirlab.find_cases(tmp_path, [renumbered(fake, 3).published])
    assert nothing.lacking == "images of T00 and T50, landmarks of T00 and T50"


def test_a_folder_without_any_case_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match=r"case1_T00\*\.img"):
        dirlab.find_cases(tmp_path)


def test_a_file_that_is_there_twice_is_refused(fake, found, tmp_path):
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "case1_T00.img").write_bytes(found.images["00"].read_bytes())
    with pytest.raises(InputError, match="there twice"):
        dirlab.find_cases(tmp_path, [fake.published])


def test_an_image_of_another_size_is_refused_with_both_sizes(fake, found):
    whole = found.images["00"].read_bytes()
    found.images["00"].write_bytes(whole[:-2])
    with pytest.raises(InputError, match=f"expected {len(whole)} bytes .* found {len(whole) - 2} bytes"):
        dirlab.read_image(found.images["00"], fake.published)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1 2 3\n4 5\n", "line 2"),
        ("1 2 3\n4 5 x\n", "line 2"),
        ("1 2 3\n", "expected 300 points, found 1"),
        ("0 2 3\n" * 300, "outside"),
        ("1 2 43\n" * 300, "outside"),
        ("1 2 nan\n" * 300, "line 1"),
    ],
)
def test_a_landmark_file_that_is_none_is_refused(fake, found, content, message):
    found.extreme["00"].write_text(content)
    with pytest.raises(InputError, match=message):
        dirlab.read_landmarks(found.extreme["00"], fake.published, count=300)
