"""Folds: laws that hold for any cohort."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rt4d.errors import InputError, NotFoundError
from rt4d.segmentation.training import folds as module
from rt4d.segmentation.training.folds import case_paths, everybody, splits


@pytest.fixture
def cohort(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Whose each case is, without files."""
    owners: dict[str, str] = {}

    class Heading:
        def __init__(self, path: Path) -> None:
            self.patients = tuple(owners[path.name].split("+"))

    monkeypatch.setattr(module, "read_heading", Heading)
    return owners


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.lists(st.sets(st.integers(0, 12), min_size=1, max_size=2), min_size=1, max_size=30), st.integers(0, 3))
def test_no_patient_is_on_both_sides_and_every_case_is_held_back_once(cohort: dict[str, str], people: list[set[int]], seed: int) -> None:
    cohort |= {f"{number}.npz": "+".join(map(str, who)) for number, who in enumerate(people)}
    paths = [Path(f"{number}.npz") for number in range(len(people))]
    try:
        made = splits(paths, folds=3, seed=seed)
    except InputError:
        return
    assert made == splits(paths, folds=3, seed=seed)
    assert sorted(path for split in made for path in split.held_back) == sorted(paths)
    for split in made:
        assert set(split.train) | set(split.held_back) == set(paths)
        learnt, held = ({one for path in part for one in cohort[path.name].split("+")} for part in (split.train, split.held_back))
        assert not learnt & held
        assert split.train
        assert split.held_back


def test_folds_hold_about_equally_many_cases(cohort: dict[str, str]) -> None:
    cohort |= {f"{number}.npz": f"P{number // 3}" for number in range(30)}
    sizes = [len(split.held_back) for split in splits([Path(name) for name in cohort], folds=5, seed=1)]
    assert sizes == [6] * 5


def test_too_few_patients_are_told(cohort: dict[str, str]) -> None:
    cohort |= {"a.npz": "A", "b.npz": "A+B", "c.npz": "B", "d.npz": "C"}
    with pytest.raises(InputError, match=r"Too few patients.*found 2.*--fold none"):
        splits([Path(name) for name in cohort], folds=3, seed=0)
    assert len(everybody([Path(name) for name in cohort]).train) == 4


def test_a_folder_without_cases_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(NotFoundError):
            case_paths(folder)
