"""A training case on the disk: a CT in the network's space and what lesions are in it, as one .npz."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.npyio import NpzFile

from rt4d.errors import InputError, NotFoundError
from rt4d.geometry import IDENTITY, Geometry
from rt4d.segmentation.whole_files import write_file

SUFFIX = ".npz"
FULL_SHARE = 255
"""What `lesions` says of a voxel that lies wholly inside."""
_FIELDS = ("hu", "lesions", "owner", "geometry", "patient", "host", "made")


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class Case:
    """A CT and its lesions on an upright isotropic grid. Arrays are z y x and read-only.

    hu: int16. lesions: uint8, 255 × the share of the voxel that is lesion, 0 outside. owner: uint8, which lesion 1..n a voxel belongs to,
    0 none; every voxel with a share has an owner. patient: who must stay on one side of a split: names joined by '+' where several went
    in (a host and the patients of the nodules set into it). host: the image's own patient. made: how, seed, volumes, kinds (JSON).
    """

    hu: npt.NDArray[np.int16]
    lesions: npt.NDArray[np.uint8]
    owner: npt.NDArray[np.uint8]
    geometry: Geometry
    patient: str
    host: str = ""
    made: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.geometry.direction != IDENTITY or len(set(self.geometry.spacing_mm)) != 1 or not self.geometry.is_even:
            raise InputError("A case lies on an upright isotropic grid", where=self.patient, found=self.geometry)
        for name, kind in (("hu", np.int16), ("lesions", np.uint8), ("owner", np.uint8)):
            array = getattr(self, name)
            if array.dtype != kind or array.shape != self.geometry.shape:
                expected, found = f"{np.dtype(kind)} {self.geometry.shape}", f"{array.dtype} {array.shape}"
                raise InputError(f"A case's {name} is not what it must be", where=self.patient, expected=expected, found=found)
            view = array.view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)
        if not all(self.patients):
            raise InputError("A case names its patient", found=repr(self.patient))
        self._require_owners()

    def _require_owners(self) -> None:
        if bool((self.owner[self.lesions > 0] == 0).any()):
            raise InputError("A lesion's voxel has no owner", where=self.patient, do="Number the lesions 1..n in owner")
        held = np.unique(self.owner)
        if held.max() != np.count_nonzero(held):
            raise InputError("Lesions are numbered 1..n", where=self.patient, found=f"{np.count_nonzero(held)} numbers up to {held.max()}")

    @property
    def patients(self) -> tuple[str, ...]:
        """Everybody whose image or lesion is in it."""
        return tuple(self.patient.split("+"))

    @property
    def lesion_count(self) -> int:
        return int(self.owner.max())

    @property
    def volumes_cm3(self) -> tuple[float, ...]:
        """The volume of each lesion, partial shares counted as such."""
        shares = np.bincount(self.owner.ravel(), weights=self.lesions.ravel(), minlength=self.lesion_count + 1)[1:]
        return tuple((shares / FULL_SHARE * self.geometry.voxel_volume_mm3 / 1000).tolist())

    def __repr__(self) -> str:
        return f"Case({self.patient}, {self.lesion_count} lesions)"


def write_case(path: Path, case: Case) -> Path:
    """Write a case as .npz, whole or not at all; the path. Raises OutputError where the disk is full."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        hu=case.hu,
        lesions=case.lesions,
        owner=case.owner,
        geometry=np.array([*case.geometry.origin_mm, case.geometry.spacing_mm[0]]),
        patient=np.array(case.patient),
        host=np.array(case.host),
        made=np.array(json.dumps(dict(case.made))),
    )
    return write_file(path, buffer.getbuffer())


def read_case(path: Path) -> Case:
    """The case in a file. Raises NotFoundError where there is none, InputError where it is none."""
    if not path.is_file():
        raise NotFoundError("No such case", where=path)
    try:
        with _opened(path) as file:
            held = {name: file[name] for name in _FIELDS}
        *origin, spacing = (float(value) for value in held["geometry"])
        made = json.loads(str(held["made"]))
        z, y, x = held["hu"].shape
        geometry = Geometry((x, y, z), (spacing, spacing, spacing), (origin[0], origin[1], origin[2]))
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError("Not a training case", where=path, expected=f"an .npz with {', '.join(_FIELDS)}", found=error) from error
    arrays = {name: held[name] for name in ("hu", "lesions", "owner")}
    return Case(**arrays, geometry=geometry, patient=str(held["patient"]), host=str(held["host"]), made=made)


@dataclass(frozen=True, slots=True)
class Heading:
    """Whose case it is, and how large its voxels are."""

    patients: tuple[str, ...]
    spacing_mm: float


def read_heading(path: Path) -> Heading:
    """What a case says about itself, without reading its images."""
    try:
        with _opened(path) as file:
            return Heading(tuple(str(file["patient"]).split("+")), float(file["geometry"][3]))
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError("Not a training case", where=path, found=error) from error


@contextmanager
def _opened(path: Path) -> Iterator[NpzFile]:
    """An .npz by its content: a single array of that name is none (ValueError)."""
    with path.open("rb") as opened:
        file = np.load(opened, allow_pickle=False)
        if not isinstance(file, NpzFile):
            raise ValueError("a single array, as in an .npy")  # noqa: TRY004  # of the file's content, not of a caller's argument
        with file:
            yield file
