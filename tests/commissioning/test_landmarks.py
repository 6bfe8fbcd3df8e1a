"""Errors on landmarks: known in closed form where the motion is, small after registration, and suspicious where the files cannot be right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rt4d.commissioning import dirlab
from rt4d.commissioning.landmarks import Errors, errors_mm, landmark_case, landmark_table, pooled, snapped
from rt4d.errors import InputError, NotFoundError
from tests.commissioning.dirlab_folder import make_case, renumbered, write_case

QUICK = {"recipe": Path(__file__).parent.parent / "recipes" / "quick_lungs"}


@pytest.fixture(scope="module")
def fake():
    return make_case()


@pytest.fixture(scope="module")
def files(fake, tmp_path_factory):
    folder = write_case(fake, tmp_path_factory.mktemp("dirlab"), sampled=True)
    (found,) = dirlab.find_cases(folder, [fake.published])
    return found


@pytest.fixture(scope="module")
def table(fake, tmp_path_factory):
    """Of a folder with one case that is whole and one that lacks an image."""
    folder, second = tmp_path_factory.mktemp("table"), renumbered(fake, 2)
    write_case(fake, folder)
    write_case(second, folder)
    next(folder.rglob("case2_T50.img")).unlink()
    return landmark_table(folder, **QUICK, published=[fake.published, second.published])


@pytest.fixture(scope="module")
def measured(table):
    return table.cases[0]


def test_with_the_true_motion_the_error_is_that_of_rounding_and_none_when_snapped(fake, files):
    here, there = (dirlab.read_landmarks(files.extreme[label], fake.published, count=300) for label in ("00", "50"))
    grid = fake.published.geometry
    origin = np.array(fake.phantom.ct.geometry.origin_mm)
    mapped = fake.phantom.reference_to_phase("50", here + origin) - origin
    rounding = np.linalg.norm(mapped - grid.to_patient(np.rint(grid.to_index(mapped))), axis=1)
    assert errors_mm(mapped, there) == pytest.approx(rounding, abs=1e-6)
    assert errors_mm(snapped(mapped, grid), there).max() < 1e-6


def test_the_error_before_registration_is_what_the_landmarks_say(fake, measured):
    voxels = fake.voxels["50"] - fake.voxels["00"]
    before = np.linalg.norm(voxels * np.array(fake.published.spacing_mm), axis=1)
    assert measured.before.mean == pytest.approx(before.mean())
    assert measured.before.sd == pytest.approx(before.std(ddof=1))
    assert (measured.landmarks, measured.doubt) == (300, "")


def test_registration_leaves_little_more_than_rounding(fake, measured):
    """A voxel of 4 × 4 × 6 mm rounds by 2.3 mm on average, in each landmark of the second phase; sliding lung is not followed everywhere."""
    assert measured.before.mean > 5
    assert measured.after.mean < 3.2
    assert measured.after.median < 2.9
    assert measured.after.median <= measured.after.p95 <= measured.after.maximum
    assert measured.snapped.median < measured.after.median
    assert measured.seconds > 0


def test_the_75_landmarks_serve_where_the_300_are_not(fake, tmp_path):
    write_case(fake, tmp_path, sampled=True)
    for path in tmp_path.rglob("*_300_*"):
        path.unlink()
    (files,) = dirlab.find_cases(tmp_path, [fake.published])
    assert (files.lacking, files.count) == ("", 75)


def test_an_error_before_that_is_not_the_published_one_is_doubted(files):
    wrong = replace(files, published=replace(files.published, before_mm=files.published.before_mm + 0.4))
    found = landmark_case(wrong, **QUICK, register=lambda _fixed, _moving, points: (points, 0))
    assert "published" in found.doubt
    assert f"{files.published.before_mm:.2f}" in found.doubt


def test_a_case_that_is_not_whole_is_refused(files):
    with pytest.raises(InputError, match="images of T50"):
        landmark_case(replace(files, images={"00": files.images["00"]}), **QUICK)


def test_errors_in_numbers():
    found = Errors.of(np.array([1.0, 2.0, 3.0, 4.0, 10.0]))
    assert (found.mean, found.median, found.maximum) == (4.0, 3.0, 10.0)
    assert found.sd == pytest.approx(np.sqrt(50 / 4))
    assert found.p95 == pytest.approx(np.percentile([1, 2, 3, 4, 10], 95))


def test_several_cases_together_count_every_landmark_once(measured):
    both = pooled([measured, measured])
    assert both.landmarks == 600
    assert both.after.mean == pytest.approx(measured.after.mean)
    assert both.after.maximum == measured.after.maximum


def test_the_table_measures_what_is_whole_and_names_what_is_missing(table):
    assert [case.number for case in table.cases] == [1]
    assert table.missing == {2: "images of T50"}
    said = table.to_dict()
    assert (said["cases"][0]["landmarks"], said["recipe"]["name"]) == (300, "quick_lungs")
    assert said["missing"] == [{"case": 2, "lacking": "images of T50"}]


def test_a_broken_file_of_any_case_is_refused_before_the_first_registration(fake, tmp_path):
    write_case(fake, tmp_path)
    second = renumbered(fake, 2)
    write_case(second, tmp_path)
    next(tmp_path.rglob("case2_T50.img")).write_bytes(b"short")
    with pytest.raises(InputError, match="found 5 bytes"):
        landmark_table(tmp_path, recipe="lung_4dct", published=[fake.published, second.published])


def test_a_folder_without_a_whole_case_says_what_there_is(fake, tmp_path):
    write_case(fake, tmp_path)
    next(tmp_path.rglob("case1_T50_s.img")).unlink()
    with pytest.raises(NotFoundError, match="case 1 without images of T50"):
        landmark_table(tmp_path, **QUICK, published=[fake.published, renumbered(fake, 2).published])
