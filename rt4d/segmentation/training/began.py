"""The cases that a member's training began with, so that it goes on with no others."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rt4d.errors import InputError
from rt4d.segmentation.training.checkpoint import CASES, NAME
from rt4d.segmentation.training.folds import Split
from rt4d.segmentation.training.start import Start
from rt4d.segmentation.whole_files import write_file

ROLES = ("train", "held_back")
NAMED_AT_MOST = 5


def write_cases(folder: Path, split: Split, start: Start | None) -> Path:
    """Write what a training begins with into its folder: each case with its digest; and the weights, with the cases that these had learnt from."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_file(folder / CASES, json.dumps({**_listed(split), "from": start.told() if start else None}, indent=1).encode())


def require_same_cases(folder: Path, split: Split) -> str:
    """Refuse (InputError) to go on with other cases than the folder lists; what is to be said where that cannot be told wholly, else ''."""
    path = folder / CASES
    if not path.is_file():
        return ""
    held, now = _by_name(_read(path)), _by_name(_listed(split))
    different = {
        "changed": [name for name in now if name in held and held[name][1] not in ("", now[name][1])],
        "held back no more, or newly": [name for name in now if name in held and held[name][0] != now[name][0]],
        "new": [name for name in now if name not in held],
        "missing": [name for name in held if name not in now],
    }
    if found := "; ".join(f"{len(names)} {what}: {_some(names)}" for what, names in different.items() if names):
        do = f"Give the same cases and options of folds, unchanged; or another --out, where --from {folder / NAME} begins from what was learnt here"
        raise InputError("A training goes on with the cases it began with", where=path, found=found, do=do)
    if any(not digest for _, digest in held.values()):
        return f"{split.member} was begun by an earlier rt4d, which wrote down the names of its cases only: whether they changed is not known"
    return ""


def case_digest(path: Path) -> str:
    """Sixteen letters that tell what a case holds: of the checksums that its file, a ZIP archive, has of each of its parts."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = sorted((each.filename, each.CRC, each.file_size) for each in archive.infolist())
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError("Not a training case", where=path, found=error) from error
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _listed(split: Split) -> dict[str, dict[str, str]]:
    return {role: {path.name: case_digest(path) for path in getattr(split, role)} for role in ROLES}


def _read(path: Path) -> Mapping[str, Any]:
    try:
        held: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if all(isinstance(held[role], dict | list) for role in ROLES):
            return held
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("Not a training's list of cases", where=path, do="Begin anew with another --out") from error
    raise InputError("Not a training's list of cases", where=path, do="Begin anew with another --out")


def _by_name(held: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Role and digest by a case's name; '' for a digest that an earlier rt4d did not write."""
    return {name: (role, held[role][name] if isinstance(held[role], dict) else "") for role in ROLES for name in held[role]}


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED_AT_MOST]) + (" …" if len(names) > NAMED_AT_MOST else "")
