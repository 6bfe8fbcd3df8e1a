"""Recipes: those that come with rt4d are sound; what is unknown, missing or out of place in one is refused."""

import shutil
from dataclasses import replace

import pytest

from rt4d.errors import NotFoundError, RecipeError
from rt4d.motion import read_recipe, recipe_names
from rt4d.provenance import sha256
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
        ("jacobian_gtv = [0.5, 2.0]", "jacobian_gtv = [2.0, 0.5]", "jacobian_gtv must be two rising numbers"),
        ("jacobian_lung = [0.4, 2.5]", "jacobian_lung = 0.3", "jacobian_lung must be two numbers"),
        ("vessel_residual_mm = 2.0", "", r"lacks a key.*\[limits\].*vessel_residual_mm"),
        ("back = 0.4", "back = -1", "back must be a number"),
        ('region = "focus"', 'region = "liver"', "expected focus or lungs, found liver"),
        ("[-1000, 250]", "[250, -1000]", "two rising numbers"),
        ('["bspline.txt"]', '["../bspline.txt"]', "must be a file in the recipe's folder"),
        ('["bspline.txt"]', '["other.txt"]', "must be a file in the recipe's folder"),
        ('["bspline.txt"]', "[]", "at least one elastix parameter map"),
        ("margin_mm =", "margin_mm", "not TOML"),
        ("reach_mm = 30.0", f"reach_mm = 1{'0' * 5000}", "not TOML"),
        ('name = "lung_focus"', "name = 5", "name must be words.*found 5"),
        ('name = "lung_focus"', 'name = " "', "name must be words"),
        ("clip_hu = [-1000, 250]", "clip_hu = 250", "clip_hu must be two numbers.*found 250"),
        ("[-1000, 250]", '["a", "b"]', "clip_hu must be a number.*found a"),
        ("[-1000, 250]", "[-inf, inf]", "clip_hu must be a number.*from -32768 to 32767, found -inf"),
        ("[-1000, 250]", "[-1000, 0, 250]", "clip_hu must be two numbers"),
        ('parameter_maps = ["bspline.txt"]', "parameter_maps = 5", "parameter_maps must be a list of files.*found 5"),
        ('["bspline.txt"]', '"bspline.txt"', "parameter_maps must be a list of files"),
        ("mask_mm = 15.0", "mask_mm = 15.0\nmask_from = 7", "mask_from must be a stage's number.*from 1 to 1, found 7"),
        ("mask_mm = 15.0", "mask_mm = 15.0\nmask_from = 1.5", "mask_from must be a stage's number.*found 1.5"),
        ("mask_mm = 15.0", "mask_mm = 15.0\nmask_from = true", "mask_from must be a stage's number.*found True"),
        ("mask_mm = 15.0", "mask_mm = inf", "mask_mm must be a number.*finite"),
        ("reach_mm = 30.0", "reach_mm = inf", "reach_mm must be a number.*finite.*found inf"),
        ("reach_mm = 30.0", "reach_mm = nan", "reach_mm must be a number.*found nan"),
        ("reach_mm = 30.0", f"reach_mm = 1{'0' * 400}", "reach_mm must be a number.*finite"),
        ("bones_shift_mm = 8.0", "bones_shift_mm = inf", "bones_shift_mm must be a number.*finite.*found inf"),
        ("jacobian_gtv = [0.5, 2.0]", "jacobian_gtv = [0.5, inf]", "jacobian_gtv must be a number.*finite"),
        ("similarity = 0.8", "similarity = 80", "similarity must be a number.*from 0 to 1, found 80"),
        ("similarity_gain = -0.02", "similarity_gain = 2", "similarity_gain must be a number.*from -1 to 1"),
        ("duplicated_phase = 0.99999", "duplicated_phase = 2", "duplicated_phase must be a number.*from 0 to 1, found 2"),
        ("jacobian_nonpositive_percent = 0.0", "jacobian_nonpositive_percent = 101", "jacobian_nonpositive_percent must be a number.*from 0 to 100"),
    ],
)
def test_a_wrong_recipe_is_refused(own, old, new, message):
    change(own, old, new)
    with pytest.raises(RecipeError, match=message) as refused:
        read_recipe(own)
    assert str(own) in str(refused.value)


@pytest.mark.parametrize("given", ["limits = 3\n", "limits = [1, 2]\n"])
def test_limits_that_are_no_table_are_refused(own, given):
    path = own / "recipe.toml"
    path.write_text(given + path.read_text(encoding="utf-8").partition("[limits]")[0], encoding="utf-8")
    with pytest.raises(RecipeError, match=r"limits must be a table.*recipe\.toml"):
        read_recipe(own)


def test_a_mask_may_begin_with_the_last_stage_and_not_after_it():
    recipe = read_recipe("lung_large_deformation")
    assert replace(recipe, mask_from=2).mask_from == 2
    with pytest.raises(RecipeError, match=r"mask_from.*from 1 to 2, found 3"):
        replace(recipe, mask_from=3)


def test_an_unknown_name_is_answered_with_those_there_are(tmp_path):
    with pytest.raises(NotFoundError, match="lung_4dct, lung_focus"):
        read_recipe("lung_fokus")
    with pytest.raises(NotFoundError, match=r"no recipe.toml"):
        read_recipe(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("margin_mm = 25.0", "margin_mm = 20.0"),
        ("bones_shift_mm = 8.0", "bones_shift_mm = 1000.0"),
        ("jacobian_gtv = [0.5, 2.0]", "jacobian_gtv = [0.0, 2.0]"),
        ("similarity = 0.8", "similarity = 0.0"),
        ("back = 0.4", "back = 0.0"),
        ("search_mm = 30.0", "search_mm = 20.0"),
    ],
)
def test_a_changed_recipe_of_the_same_name_has_another_fingerprint(own, old, new):
    before = read_recipe(own).sha256
    change(own, old, new)
    assert read_recipe(own).sha256 != before == read_recipe("lung_focus").sha256


@pytest.mark.parametrize(("old", "new"), [("margin_mm = 25.0", "margin_mm = 25"), ('purpose = "', 'purpose = "Our own: '), ("0.4  ", "0.40  ")])
def test_what_changes_neither_result_nor_verdict_leaves_the_fingerprint(own, old, new):
    change(own, old, new)
    assert read_recipe(own).sha256 == read_recipe("lung_focus").sha256


def test_a_recipe_knows_the_hashes_of_the_files_it_was_read_from(own):
    change(own, "margin_mm = 25.0", "margin_mm = 20.0")
    recipe = read_recipe(own)
    assert recipe.files == {name: sha256(own / name) for name in ("recipe.toml", "bspline.txt")}
    assert str(own) not in repr(recipe)
    change(own, "margin_mm", "files = {}\nmargin_mm")
    with pytest.raises(RecipeError, match=r"no such key.*files"):
        read_recipe(own)


def test_a_recipe_for_two_scans_needs_no_limits_for_a_target(own):
    recipe = read_recipe("lung_large_deformation")
    assert recipe.limits.similarity == 0.8
    with pytest.raises(RecipeError, match=r"no limits for the checks around a target.*jacobian_gtv"):
        _ = recipe.target_limits
    assert read_recipe(own).target_limits.residual_shift_mm == 1.5


def test_the_other_way_takes_a_part_of_the_iterations():
    recipe = read_recipe("lung_focus")
    there, back = (each.parameter_maps[0].entries["MaximumNumberOfIterations"] for each in (recipe, recipe.the_other_way()))
    assert [int(n) for n in back] == [round(recipe.back * int(n)) for n in there]
