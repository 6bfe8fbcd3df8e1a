"""Tiny cases: balls in noise, known by heart."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rt4d.geometry import Geometry
from rt4d.segmentation.cases import Case, write_case
from rt4d.segmentation.training.options import Options

EDGE = 28
TINY = Options(
    patch=16, batch=2, filters=(6, 8, 12), minutes=None, steps=150, rate=0.01, folds=2, validations=2, validation_patches=4, validation_scans=2
)


def balls(seed: int, *, lesions: int = 2, patient: str = "") -> Case:
    """A case with balls of tissue (0 HU) in noisy lung (-800 HU), apart from one another."""
    rng = np.random.default_rng(seed)
    grid = Geometry((EDGE,) * 3, (2.5,) * 3, tuple(rng.uniform(-100, 100, 3)))
    z, y, x = np.indices(grid.shape)
    hu = rng.normal(-800, 30, grid.shape)
    share, owner = np.zeros(grid.shape), np.zeros(grid.shape, np.uint8)
    for number, corner in enumerate(rng.permutation(8)[:lesions], start=1):
        centre = np.array([7 + 14 * (corner >> axis & 1) for axis in range(3)]) + rng.uniform(-1, 1, 3)
        distance = np.sqrt((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2)
        part = np.clip(rng.uniform(2.5, 4.5) - distance + 0.5, 0, 1)
        share += part
        owner[part > 0] = number
    hu += share * 800
    return Case(
        hu=hu.round().astype(np.int16),
        lesions=(255 * share).round().astype(np.uint8),
        owner=owner,
        geometry=grid,
        patient=patient or f"P{seed}",
        host=f"P{seed}",
        made={"seed": seed},
    )


def write_balls(folder: Path, count: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    return [write_case(folder / f"case{seed}.npz", balls(seed, lesions=1 + seed % 2)) for seed in range(count)]
