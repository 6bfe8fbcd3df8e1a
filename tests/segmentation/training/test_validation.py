"""What a validation counts, on cases whose answer is known; the networks are formulas."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rt4d.segmentation.cases import read_case, write_case
from rt4d.segmentation.training.devices import Place
from rt4d.segmentation.training.validation import Looked, by_stratum, chosen_lesions, dice, look_at_patches, look_at_scan, score, stratum
from tests.segmentation.training.make import TINY, balls, write_balls

HERE = Place(torch.device("cpu"))


class AllTissue(torch.nn.Module):
    """Marks whatever is denser than -400 HU (0.43), clicked or not."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        tissue = 100 * (image[:, :1] - 0.43)
        return torch.cat([-tissue, tissue], dim=1)


class Nothing(torch.nn.Module):
    """Marks nothing."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.ones_like(image[:, :1]), torch.zeros_like(image[:, :1])], dim=1)


def test_every_lesion_is_found_by_a_network_that_marks_tissue_and_a_lesion_unknown_to_the_label_is_a_false_mark(tmp_path: Path) -> None:
    case = balls(1, lesions=3)
    kept = case.owner < 3
    lesions, owner = np.where(kept, case.lesions, 0).astype(np.uint8), np.where(kept, case.owner, 0).astype(np.uint8)
    path = write_case(tmp_path / "case.npz", replace(case, lesions=lesions, owner=owner))
    looked, false = look_at_scan(AllTissue(), path, options=TINY, where=HERE)
    assert false == 1
    assert [lesion.is_found for lesion in looked] == [True, True]
    assert min(lesion.unclicked for lesion in looked) > 0.95
    np.testing.assert_allclose([lesion.volume_cm3 for lesion in looked], read_case(path).volumes_cm3)


def test_nothing_marked_is_nothing_found_and_no_false_mark(tmp_path: Path) -> None:
    (path,) = write_balls(tmp_path, 1)
    looked, false = look_at_scan(Nothing(), path, options=TINY, where=HERE)
    assert false == 0
    assert [(lesion.is_found, lesion.clicked, lesion.unclicked) for lesion in looked] == [(False, 0.0, 0.0)]


def test_marking_everything_finds_nothing_and_is_one_false_mark(tmp_path: Path) -> None:
    class Everything(Nothing):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return -super().forward(image)

    (path,) = write_balls(tmp_path, 1)
    looked, false = look_at_scan(Everything(), path, options=TINY, where=HERE)
    assert false == 1
    assert [lesion.is_found for lesion in looked] == [False]


def test_held_back_lesions_are_the_same_each_time_and_from_as_many_cases_as_there_are(tmp_path: Path) -> None:
    paths = write_balls(tmp_path, 4)  # 1, 2, 1 and 2 lesions
    lesions = chosen_lesions(paths, count=5, seed=3)
    assert lesions == chosen_lesions(paths, count=5, seed=3)
    assert len(set(lesions)) == 5
    assert {path for path, _ in lesions[:4]} == set(paths)
    looked = look_at_patches(AllTissue(), lesions, options=TINY, where=HERE)
    assert [round(one.volume_cm3, 3) for one in looked] == [round(read_case(path).volumes_cm3[n - 1], 3) for path, n in lesions]
    assert 0.5 < score(looked) <= 1
    assert score([]) == 0


@pytest.mark.parametrize(("volume", "name"), [(0.3, "under 1 cm³"), (1.0, "1 to 10 cm³"), (49.9, "10 to 50 cm³"), (300.0, "50 cm³ and more")])
def test_sizes_have_names(volume: float, name: str) -> None:
    assert stratum(volume) == name


def test_figures_by_size_run_from_small_to_large() -> None:
    table = by_stratum([Looked(60, 0.9, 0.8), Looked(0.5, 0.7, 0.2, False), Looked(0.7, 0.5, 0.4)])
    assert list(table) == ["under 1 cm³", "50 cm³ and more"]
    assert table["under 1 cm³"] == {"lesions": 2, "dice": 0.3, "dice_clicked": 0.6, "found": 0.5}


def test_dice_of_nothing_and_nothing_is_one() -> None:
    nothing, some = np.zeros(4, bool), np.array([True, True, False, False])
    assert dice(nothing, nothing) == 1
    assert dice(some, nothing) == 0
    assert dice(some, np.array([True, False, False, False])) == pytest.approx(2 / 3)
