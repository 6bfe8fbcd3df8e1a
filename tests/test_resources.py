"""Where the data folders are found, and that they hold data only."""

import pytest

from rt4d import resources
from rt4d.errors import NotFoundError
from rt4d.resources import data_folder


def test_in_a_source_tree_the_folders_lie_beside_the_package():
    assert data_folder("registration") == resources.PACKAGE.parent / "registration"
    assert data_folder("models") == resources.PACKAGE.parent / "models"


def test_in_a_wheel_they_lie_inside_the_package_and_come_first(tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "PACKAGE", tmp_path / "rt4d")
    (tmp_path / "registration").mkdir()
    inside = tmp_path / "rt4d" / "_resources" / "registration"
    inside.mkdir(parents=True)
    assert data_folder("registration") == inside


def test_a_missing_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "PACKAGE", tmp_path / "rt4d")
    with pytest.raises(NotFoundError, match="data folder 'models' is missing"):
        data_folder("models")


@pytest.mark.parametrize("name", ["registration", "models"])
def test_no_data_folder_contains_code(name):
    assert [str(path) for path in data_folder(name).rglob("*.py*")] == []
