"""The weights that a training begins from, and what is known of where they came from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rt4d.errors import InputError, NotFoundError
from rt4d.provenance import sha256
from rt4d.segmentation.network import build, definition, load_weights
from rt4d.segmentation.training.checkpoint import CASES, NAME, Weights, weights_of
from rt4d.segmentation.training.options import Options

TRAINING = "configs/train.json"
"""Of a bundle, beside its folder of weights."""


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Weights to begin from. name, sha256: of their file. learnt: the cases (file names) from which they, and what they began from, had learnt.

    learnt is empty where that is not written down beside them.
    """

    weights: Weights
    name: str
    sha256: str
    learnt: tuple[str, ...] = ()

    def told(self) -> dict[str, Any]:
        """As it goes into a train.json."""
        return {"name": self.name, "sha256": self.sha256, "learnt": list(self.learnt)}


def read_start(path: Path, options: Options) -> Start:
    """The weights of a bundle (its first member), of a file of weights or of a checkpoint, for a network of these options.

    Raises NotFoundError where there are none, InputError where they are another network's, or not finite.
    """
    path = path.resolve()
    if path.is_dir():
        found = [path / NAME, *sorted(path.glob("models/*.pt"))]
        path = next((each for each in found if each.is_file()), path / "models")
    if not path.is_file():
        raise NotFoundError("No weights to begin from", where=path, expected="a bundle's folder, a file of weights, or a checkpoint")
    weights = _weights(path, options)
    beside = path.parent / CASES if path.name == NAME else path.parent.parent / TRAINING
    learnt = _learnt(beside, path.stem) if beside.is_file() else ()
    name = "/".join(path.parts[-3:]) if beside.is_file() else path.name
    return Start(weights, name, sha256(path), learnt)


def _weights(path: Path, options: Options) -> Weights:
    network = build(definition(deep_supervision=True, filters=options.filters))
    if path.name == NAME:
        state = weights_of(path)
        if {name: value.shape for name, value in state.items()} != {name: value.shape for name, value in network.named_parameters()}:
            raise InputError("Weights of another network", where=path, do="Give the filters that it was trained with")
        if not all(bool(torch.isfinite(value).all()) for value in state.values()):
            raise InputError("Weights must be finite", where=path)
        return state
    load_weights(network, path)
    return {name: value.detach() for name, value in network.named_parameters()}


def _learnt(beside: Path, member: str) -> tuple[str, ...]:
    """The cases in a train.json or a training's list of cases: those of the member, and of what it began from."""
    try:
        held = json.loads(beside.read_text(encoding="utf-8"))
        members = held.get("members", {member: held})
        before = (held.get("from") or {}).get("learnt", [])
        lists = [members[member]] if member in members else list(members.values())
        return tuple(dict.fromkeys(str(name) for each in (*(one["train"] for one in lists), before) for name in each))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()  # not known: said in the card
