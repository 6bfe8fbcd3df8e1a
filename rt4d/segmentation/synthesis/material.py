"""What synthetic tumours are made of: real tumours' shapes, and real nodules with their patients; each belongs to training or is held back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from rt4d.errors import InputError, NotFoundError
from rt4d.geometry import Triple
from rt4d.images import read_mask, read_volume
from rt4d.volumes import Mask, Volume

Part = Literal["train", "held"]
Thing = TypeVar("Thing", "MaskShape", "Nodule")
POOLS = 5
"""Training material falls into so many pools by its name; a scan takes from one only, so that scans can be split into folds."""
HELD_OF_TEN = 2


@dataclass(frozen=True, slots=True, eq=False)
class MaskShape:
    """A real tumour's shape without an image: `inside`, bool z y x, on an even grid of `spacing_mm` (x y z)."""

    name: str
    inside: npt.NDArray[np.bool_]
    spacing_mm: Triple


@dataclass(frozen=True, slots=True)
class Nodule:
    """A real nodule as files: a crop of a CT, and the radiologists' mask on its grid. `patient`: whose it is."""

    patient: str
    image: Path
    mask: Path

    def read(self) -> tuple[Volume, Mask]:
        """The crop and the nodule in it."""
        return read_volume(self.image), read_mask(self.mask)


def part_of(name: str) -> Part:
    """Whether a shape or patient of that name is for training (80 %) or held back (20 %); always the same."""
    return "held" if _draw(name) % 10 < HELD_OF_TEN else "train"


def pool_of(name: str) -> int:
    """The pool, 0 to 4, that a shape or patient of that name belongs to."""
    return _draw(name) // 10 % POOLS


def of_pool(things: Sequence[Thing], pool: int) -> list[Thing]:
    """Those of one pool; all where it has none."""
    return [one for one in things if pool_of(_name(one)) == pool] or list(things)


def read_shapes(path: Path, *, part: Part) -> tuple[MaskShape, ...]:
    """The shapes of one part from an .npz of packed masks (`mask_<id>`, `shape_<id>` z y x, `spacing_<id>` x y z mm), in the order of their ids."""
    if not path.is_file():
        raise NotFoundError("No such file of shapes", where=path)
    with np.load(path, allow_pickle=False) as file:
        ids = sorted(name.removeprefix("mask_") for name in file.files if name.startswith("mask_"))
        if not ids:
            raise InputError("A file of shapes holds none", where=path, expected="mask_<id>, shape_<id>, spacing_<id>")
        return tuple(_shape(file, one) for one in ids if part_of(_shape_name(one)) == part)


def read_nodules(folder: Path, *, part: Part) -> tuple[Nodule, ...]:
    """The nodules of one part's patients from `image/` and `mask/`, in the order of their names; a mask without an image is left out."""
    images = sorted((folder / "image").glob("*.nii.gz"))
    if not images:
        raise NotFoundError("No nodules here", where=folder, expected="image/*.nii.gz and mask/*.nii.gz")
    found = [Nodule(path.name.split("_")[0], path, folder / "mask" / path.name) for path in images]
    return tuple(one for one in found if part_of(one.patient) == part and one.mask.is_file())


def _shape(file: Any, one: str) -> MaskShape:
    size = tuple(int(n) for n in file[f"shape_{one}"])
    bits = np.unpackbits(file[f"mask_{one}"], count=int(np.prod(size)))
    x, y, z = (float(v) for v in file[f"spacing_{one}"])
    return MaskShape(_shape_name(one), bits.reshape(size).astype(bool), (x, y, z))


def _shape_name(one: str) -> str:
    return f"RTOG0617-{one}"


def _name(one: MaskShape | Nodule) -> str:
    return one.name if isinstance(one, MaskShape) else one.patient


def _draw(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
