"""Recipes: those that come with rt4d are sound; what is unknown, missing or out of place in one is refused."""

import shutil

import pytest

from rt4d.errors import NotFoundError, RecipeError
from rt4d.motion import read_recipe, recipe_names
from rt4d.resources import data_folder


@pytest.fixture
def own(tmp_path):
    """A clinic's own recipe: a copy of lung_focus to be changed."""
    folder = tmp_path / "own"
    shutil.copytree(data_folder("registration") / "lung_focus", folder)
    return folder


def change(folder, old, new):
    path = folder / "recipe.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_recipes_that_come_with_rt4d_are_sound():
    assert recipe_names() == ("lung_4dct", "lung_focus", "lung_large_deformation")
    assert read_recipe("lung_focus").region == "focus"
    assert read_recipe("lung_4dct").region == "lungs"
    for name in recipe_names():
        assert (data_folder("registration") / name / "README.md").is_file()


def test_a_recipe_is_called_by_the_path_of_its_folder(own):
    assert read_recipe(own) == read_recipe(str(own)) == read_recipe("lung_focus")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("margin_mm", "margn_mm", "no such key.*margn_mm.*Did you mean margin_mm"),
        ("residual_shift_mm", "residual_shift", r"\[limits\].*Did you mean residual_shift_mm"),
        ('purpose = "', '# purpose = "', "lacks a key.*purpose"),
        ("margin_mm = 25.0", 'margin_mm = "wide"', "margin_mm must be a number"),
        ("margin_mm = 25.0", "margin_mm = -1", "at least 0"),
        ("soft_tissue_gain = 8.0", "soft_tissue_gain = 0.5", "soft_tissue_gain must be a number.*at least 1"),
        ('region = "focus"', 'region = "liver"', "expected focus or lungs, found liver"),
        ("[-1000, 250]", "[250, -1000]", "two rising numbers"),
        ('["bspline.txt"]', '["../bspline.txt"]', "must be a file in the recipe's folder"),
        ('["bspline.txt"]', '["other.txt"]', "must be a file in the recipe's folder"),
        ('["bspline.txt"]', "[]", "at least one elastix parameter map"),
        ("margin_mm =", "margin_mm", "not TOML"),
    ],
)
def test_a_wrong_recipe_is_refused(own, old, new, message):
    change(own, old, new)
    with pytest.raises(RecipeError, match=message):
        read_recipe(own)


def test_an_unknown_name_is_answered_with_those_there_are(tmp_path):
    with pytest.raises(NotFoundError, match="lung_4dct, lung_focus"):
        read_recipe("lung_fokus")
    with pytest.raises(NotFoundError, match=r"no recipe.toml"):
        read_recipe(tmp_path)


def test_a_changed_recipe_of_the_same_name_has_another_fingerprint(own):
    before = read_recipe(own).sha256
    change(own, "margin_mm = 25.0", "margin_mm = 20.0")
    assert read_recipe(own).sha256 != before == read_recipe("lung_focus").sha256
