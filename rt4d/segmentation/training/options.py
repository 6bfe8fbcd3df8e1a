"""What a training is asked to do, as one value that goes into the bundle's train.json and comes back from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from rt4d.errors import InputError
from rt4d.segmentation.bundle import PATCH
from rt4d.segmentation.network import FILTERS
from rt4d.segmentation.space import Space


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One member's training. Either `minutes` or `steps` is the budget over which the learning rate falls to nothing.

    patch: voxels along each edge. batch: patches per step and device. rate: the highest learning rate (AdamW). decay: its weight decay.
    patience: validations without a better one before training ends early. validations: how many there are over the budget.
    validation_patches, validation_scans: held-out lesions looked at each time, and whole held-out scans looked at in the end.
    """

    spacing_mm: float = 2.5
    window_hu: tuple[float, float] = (-1000.0, 400.0)
    patch: int = 80
    batch: int = 1
    filters: tuple[int, ...] = FILTERS
    minutes: float | None = 60.0
    steps: int | None = None
    rate: float = 1e-3
    decay: float = 1e-2
    seed: int = 0
    folds: int = 5
    validations: int = 12
    patience: int = 6
    validation_patches: int = 30
    validation_scans: int = 20
    mixed_precision: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "window_hu", tuple(float(value) for value in self.window_hu))
        object.__setattr__(self, "filters", tuple(int(value) for value in self.filters))
        if (self.minutes is None) == (self.steps is None):
            raise InputError("A training has one budget", expected="minutes or steps", found=f"minutes {self.minutes}, steps {self.steps}")
        above = {"minutes": 0, "steps": 0, "rate": 0, "batch": 0, "validations": 0, "patience": 0, "folds": 1, "validation_patches": 0}
        for name, bound in above.items():
            value = getattr(self, name)
            if value is not None and not bound < value < math.inf:
                raise InputError("An option of the training is out of range", where=name, expected=f"more than {bound}, and finite", found=value)
        if any(count < 1 for count in self.filters):
            raise InputError("An option of the training is out of range", where="filters", expected="1 or more on each level", found=self.filters)
        halvings = 2 ** (len(self.filters) - 1)
        least, most = max(2 * halvings, PATCH[0]), PATCH[1]
        if len(self.filters) < 3 or self.patch % halvings or not least <= self.patch <= most:
            expected = f"a multiple of {halvings}, {least} to {most} voxels, for {len(self.filters)} levels (three or more)"
            raise InputError("The patch does not fit the network", where="patch", expected=expected, found=self.patch)
        _ = self.space

    @property
    def space(self) -> Space:
        return Space(spacing_mm=self.spacing_mm, window_hu=self.window_hu)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Options:
        """The options of a train.json; unknown names are refused."""
        names = {each.name for each in fields(cls)}
        if unknown := sorted(told.keys() - names):
            raise InputError("Unknown options of a training", expected=", ".join(sorted(names)), found=", ".join(unknown))
        return cls(**told)
