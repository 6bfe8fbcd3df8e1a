"""How far a member's training has come, in one file that is written whole or not at all."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rt4d.errors import InputError
from rt4d.segmentation.whole_files import write_file

NAME, CASES = "checkpoint.pt", "cases.json"
"""Of a member's folder: its progress, and the cases that it began with."""
FROM = "from"
"""Beside the options: the SHA-256 of the weights that a training began from, None where there are none."""
Weights = dict[str, torch.Tensor]


@dataclass(slots=True)
class Progress:
    """What a training goes on from: steps done, seconds taken, weights, their average, the best average, the optimiser, and the curve so far."""

    weights: Weights
    average: Weights
    optimiser: dict[str, Any]
    scaler: dict[str, Any] = field(default_factory=dict)
    best: Weights | None = None
    best_score: float = -1.0
    since_best: int = 0
    validated: int = 0
    step: int = 0
    seconds: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)

    @property
    def chosen(self) -> Weights:
        """The weights to use: of the best validation, or the latest average where there was none."""
        return self.best if self.best is not None else self.average


def write_checkpoint(folder: Path, progress: Progress, *, options: dict[str, Any]) -> Path:
    """Write a member's progress; what stood there before stays until the new one is whole. Raises OutputError where the disk is full."""
    told = {name: getattr(progress, name) for name in Progress.__slots__}
    buffer = io.BytesIO()
    torch.save({"options": options, "progress": told}, buffer)
    return write_file(folder / NAME, buffer.getbuffer())


def read_checkpoint(folder: Path, *, options: dict[str, Any]) -> Progress | None:
    """The progress in a folder, None where there is none yet. Refused (InputError): one of a training with other options than the budget's.

    A checkpoint of an earlier rt4d, which does not tell what its training began from, is taken to have begun as asked.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    held = _read(path)
    before = {FROM: options.get(FROM)} | held["options"]
    other = sorted(name for name in options.keys() | before.keys() if name not in BUDGET and options.get(name) != before.get(name))
    if other:
        found = ", ".join(f"{name} {before.get(name)}" for name in other)
        expected = ", ".join(f"{name} {options.get(name)}" for name in other)
        raise InputError("A training goes on with the options it began with", where=path, expected=expected, found=found)
    return Progress(**held["progress"])


def weights_of(path: Path) -> Weights:
    """The weights to use from a checkpoint's file."""
    return Progress(**_read(path)["progress"]).chosen


BUDGET = ("minutes", "steps", "patience", "validation_scans")
"""May be changed on resuming: a longer budget goes on where the shorter one ended."""


def _read(path: Path) -> dict[str, Any]:
    try:
        held = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError("Not a checkpoint of a training", where=path, do="Remove it to begin anew") from error
    if not isinstance(held, dict) or held.keys() != {"options", "progress"} or set(held["progress"]) != set(Progress.__slots__):
        raise InputError("Not a checkpoint of a training", where=path, do="Remove it to begin anew")
    return held
