"""What `rt4d segment` wrote into a folder, read again by its candidates.json: the contour that it kept, and every candidate with its score."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rt4d import geometry as grids
from rt4d.errors import InputError
from rt4d.images import read_mask
from rt4d.volumes import Mask

NAME = "candidates.json"


@dataclass(frozen=True, slots=True, eq=False)
class ScoredMask:
    """A candidate of the machine, kept or not, on the CT's grid."""

    mask: Mask
    score: float

    def __post_init__(self) -> None:
        if not np.isfinite(self.score):
            raise InputError("A candidate's score is a number", found=self.score)
        if self.mask.is_empty:
            raise InputError("An empty mask is no candidate")


@dataclass(frozen=True, slots=True, eq=False)
class CandidateFile:
    """mask: all candidates that were kept. candidates: those that have a mask of their own; specks: how many have none, being too small."""

    mask: Mask
    candidates: tuple[ScoredMask, ...]
    specks: int


def is_candidate_file(path: Path) -> bool:
    """Whether a file, by its ending, is to be read as a list of candidates."""
    return path.suffix.lower() == ".json"


def read_candidates(path: Path) -> CandidateFile:
    """The candidates that a file lists, with the masks beside it. Refused: another kind of JSON, masks that are gone or on another grid."""
    listed = _listed(path)
    kept = read_mask(path.parent / "gtv.nii.gz")
    candidates = []
    for one in listed:
        if one["file"] is not None:
            mask = read_mask(path.parent / Path(str(one["file"])).name)
            grids.require(kept.geometry, mask.geometry, what=f"{one['file']} does not lie on the grid of gtv.nii.gz")
            candidates.append(ScoredMask(mask, float(one["score"])))
    return CandidateFile(kept, tuple(candidates), len(listed) - len(candidates))


def _listed(path: Path) -> list[dict[str, Any]]:
    from rt4d.segmentation.files import SCHEMA

    expected = f"{NAME} of rt4d segment ({SCHEMA})"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError("Not a list of candidates", where=path, expected=expected, found=f"no JSON: {error}") from error
    schema = record.get("schema") if isinstance(record, dict) else None
    if schema != SCHEMA:
        raise InputError("Not a list of candidates", where=path, expected=expected, found=f"schema {schema}" if schema else "another JSON file")
    candidates = record.get("candidates")
    if not isinstance(candidates, list) or not all(isinstance(one, dict) and {"file", "score"} <= one.keys() for one in candidates):
        raise InputError("A list of candidates is not whole", where=path, expected="candidates, each with score and file")
    return candidates
