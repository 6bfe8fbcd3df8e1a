"""Training and held-back material never meet, and a scan's material comes from one pool."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rt4d.errors import NotFoundError
from rt4d.segmentation.synthesis import MaskShape, part_of, read_nodules, read_shapes
from rt4d.segmentation.synthesis.material import of_pool, pool_of


def _file_of_shapes(path: Path, count: int = 40) -> Path:
    inside = np.zeros((3, 5, 7), dtype=bool)
    inside[1, 1:4, 2:6] = True
    arrays = {}
    for n in range(count):
        arrays |= {f"mask_{n}": np.packbits(inside), f"shape_{n}": np.array(inside.shape), f"spacing_{n}": np.array([1.0, 1.0, 3.0])}
    np.savez(path, **arrays)
    return path


def test_shapes_are_read_as_they_were_packed(tmp_path: Path) -> None:
    shape = read_shapes(_file_of_shapes(tmp_path / "shapes.npz"), part="train")[0]
    assert shape.inside.sum() == 12
    assert shape.inside.shape == (3, 5, 7)
    assert shape.spacing_mm == (1.0, 1.0, 3.0)


def test_every_shape_is_either_for_training_or_held_back(tmp_path: Path) -> None:
    path = _file_of_shapes(tmp_path / "shapes.npz")
    train, held = ({shape.name for shape in read_shapes(path, part=part)} for part in ("train", "held"))
    assert not train & held
    assert len(train | held) == 40


def test_about_a_fifth_is_held_back() -> None:
    held = sum(part_of(f"patient-{n}") == "held" for n in range(2000))
    assert 340 < held < 460


def test_pools_part_the_material() -> None:
    shapes = [MaskShape(f"s{n}", np.ones((1, 1, 1), dtype=bool), (1.0, 1.0, 1.0)) for n in range(60)]
    found = [{shape.name for shape in of_pool(shapes, pool)} for pool in range(5)]
    assert sum(len(names) for names in found) == 60
    assert set.union(*found) == {shape.name for shape in shapes}
    assert all(pool_of(name) == pool for pool, names in enumerate(found) for name in names)


def test_material_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="No such file of shapes"):
        read_shapes(tmp_path / "none.npz", part="train")
    with pytest.raises(NotFoundError, match="No nodules here"):
        read_nodules(tmp_path, part="train")


def test_held_back_patients_never_lend_a_nodule_to_training(real_data: Path) -> None:
    folder = real_data / "lidc_nodules"
    train, held = ({nodule.patient for nodule in read_nodules(folder, part=part)} for part in ("train", "held"))
    assert train
    assert held
    assert not train & held
