"""Who is trained on and who is held back: folds that never split a patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rt4d.errors import InputError, NotFoundError
from rt4d.segmentation.cases import SUFFIX, read_heading


@dataclass(frozen=True, slots=True)
class Split:
    """The cases of one member: what it learns from and what is held back (nothing where all are learnt from)."""

    member: str
    train: tuple[Path, ...]
    held_back: tuple[Path, ...] = ()


def case_paths(folder: Path) -> tuple[Path, ...]:
    """The cases of a folder, by name. Raises NotFoundError where there is none."""
    if not folder.is_dir():
        raise NotFoundError("No such folder of cases", where=folder)
    found = tuple(sorted(path for path in folder.glob(f"*{SUFFIX}") if not path.name.startswith(".")))
    if not found:
        do = "Give a folder of training cases, or a table of CTs and GTVs (ct,gtv,patient)"
        raise NotFoundError("No cases here", where=folder, expected=f"files *{SUFFIX}", do=do)
    return found


def splits(paths: Sequence[Path], *, folds: int, seed: int) -> tuple[Split, ...]:
    """One split per fold; each case is held back once, together with every case that shares a patient with it.

    The same paths and seed give the same folds; folds hold about equally many cases. Refused (InputError): fewer groups of patients than folds.
    """
    groups = _groups(paths)
    if len(groups) < folds:
        do = "Use fewer folds, more patients, or --fold none to train on all without a validation"
        raise InputError("Too few patients for the folds", expected=f"{folds} that share no case", found=len(groups), do=do)
    order = np.random.default_rng(seed).permutation(len(groups))
    parts: list[list[Path]] = [[] for _ in range(folds)]
    for group in sorted((groups[i] for i in order), key=len, reverse=True):
        min(parts, key=len).extend(group)
    return tuple(_without(paths, part, f"fold{number}") for number, part in enumerate(parts))


def everybody(paths: Sequence[Path]) -> Split:
    """All cases to learn from and none held back."""
    return Split("all", tuple(paths))


def _without(paths: Sequence[Path], part: Sequence[Path], member: str) -> Split:
    held = set(part)
    return Split(member, tuple(path for path in paths if path not in held), tuple(path for path in paths if path in held))


def _groups(paths: Sequence[Path]) -> list[list[Path]]:
    """Cases that share a patient, directly or through others, in the order of the paths."""
    stands_for: dict[str, str] = {}

    def head(name: str) -> str:
        while stands_for.setdefault(name, name) != name:
            name = stands_for[name]
        return name

    owners = [read_heading(path).patients for path in paths]
    for first, *others in owners:
        for other in others:
            stands_for[head(other)] = head(first)
    groups: dict[str, list[Path]] = {}
    for path, (first, *_) in zip(paths, owners, strict=True):
        groups.setdefault(head(first), []).append(path)
    return list(groups.values())
