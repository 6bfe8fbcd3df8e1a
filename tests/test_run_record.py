"""run.json tells which recipe was asked for, and no path."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from rt4d.delivery import run_record
from rt4d.motion import read_recipe
from rt4d.patient import ItvRequest
from rt4d.phantom import make_4dct
from rt4d.provenance import Stopwatch


@pytest.fixture(scope="module")
def ct():
    return make_4dct(size=(40, 30, 20), spacing_mm=(8.0, 8.0, 12.0), phases=("00", "50")).ct


@pytest.mark.parametrize(("asked", "told"), [("/data/Smith_John/recipe", "own folder"), ("lung_focus", "lung_focus"), (None, None)])
def test_the_folder_of_a_clinics_own_recipe_is_not_told(ct, tmp_path, asked, told):
    request = ItvRequest(folder=Path("/data/Smith_John/4dct"), out=tmp_path, recipe=asked)
    target = SimpleNamespace(motion=SimpleNamespace(recipe=read_recipe("lung_focus")))
    record = run_record(SimpleNamespace(request=request, ct=ct, planning=None, model=None, targets=[target]), tmp_path, watch=Stopwatch())
    assert record["options"]["recipe"] == told
    assert "Smith" not in json.dumps(record)
