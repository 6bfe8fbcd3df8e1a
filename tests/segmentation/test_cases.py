"""A training case on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rt4d.errors import GeometryError, InputError, NotFoundError
from rt4d.geometry import Geometry
from rt4d.segmentation.cases import Case, Heading, read_case, read_heading, write_case
from tests.conftest import POSES

GRID = Geometry((7, 6, 5), (2.5, 2.5, 2.5), (-10.0, 20.0, -300.5))


def parts(**changed: Any) -> dict[str, Any]:
    lesions, owner = np.zeros(GRID.shape, np.uint8), np.zeros(GRID.shape, np.uint8)
    lesions[1:3, 1:3, 1:3], owner[1:3, 1:3, 1:3] = 255, 1
    lesions[4, 4, 4], owner[4, 4, 4] = 51, 2
    hu = np.arange(GRID.shape[0] * 42, dtype=np.int16).reshape(GRID.shape)
    return {"hu": hu, "lesions": lesions, "owner": owner, "geometry": GRID, "patient": "A+B", "host": "A", "made": {"seed": 3}} | changed


def test_a_case_comes_back_from_its_file(tmp_path: Path) -> None:
    case = Case(**parts())
    back = read_case(write_case(tmp_path / "case.npz", case))
    for name in ("hu", "lesions", "owner"):
        np.testing.assert_array_equal(getattr(back, name), getattr(case, name))
    assert back.geometry.is_same_grid(GRID)
    assert (back.patients, back.host, back.made) == (("A", "B"), "A", {"seed": 3})
    assert read_heading(tmp_path / "case.npz") == Heading(("A", "B"), 2.5)
    assert [entry.name for entry in tmp_path.iterdir()] == ["case.npz"]


def test_volumes_count_shares() -> None:
    np.testing.assert_allclose(Case(**parts()).volumes_cm3, [8 * 0.015625, 0.2 * 0.015625])


def test_a_case_without_lesions_is_one() -> None:
    nothing = np.zeros(GRID.shape, np.uint8)
    case = Case(**parts(lesions=nothing, owner=nothing))
    assert case.lesion_count == 0
    assert case.volumes_cm3 == ()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"hu": np.zeros(GRID.shape, np.float32)}, "hu"),
        ({"owner": np.zeros((2, 2, 2), np.uint8)}, "owner"),
        ({"owner": np.zeros(GRID.shape, np.uint8)}, "no owner"),
        ({"owner": np.full(GRID.shape, 2, np.uint8)}, "numbered"),
        ({"patient": "A+"}, "patient"),
        ({"geometry": Geometry(GRID.size, (2.5, 2.5, 3.0))}, "isotropic"),
        ({"geometry": Geometry(GRID.size, GRID.spacing_mm, direction=POSES["FFS"])}, "upright"),
    ],
)
def test_a_case_that_is_none_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises((InputError, GeometryError), match=said):
        Case(**parts(**changed))


def test_files_that_are_no_cases_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_case(tmp_path / "none.npz")
    whole = write_case(tmp_path / "case.npz", Case(**parts())).read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[:200])
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    np.savez(tmp_path / "objects.npz", hu=np.array([{}], dtype=object))
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    for name in ("half.npz", "other.npz", "objects.npz", "array.npz"):
        for read in (read_case, read_heading):
            with pytest.raises(InputError, match="Not a training case"):
                read(tmp_path / name)
