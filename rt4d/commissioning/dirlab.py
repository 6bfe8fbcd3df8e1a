"""The ten 4D-CTs of DIR-Lab as their archives unpack: raw images and landmarks (Castillo et al., Phys Med Biol 54 (2009) 1849; dir-lab.com).

Images are little-endian int16 without a header, x fastest, stored as HU + 1024 (in some cases −2000 outside the scanner's circle); size and
spacing stand in a table. Landmarks are 1-based voxel numbers x y z: 300 on T00 (inhalation) and T50 (exhalation), or 75 on T00 to T50.

The first slice is taken as the highest of the patient: public readers turn images and landmarks over along z for that reason. rt4d does so
too, that its lungs are found with the apices above. Rows run from front to back, columns from the right as in all CT. An error on landmarks
does not depend on any of this, as long as images and landmarks go by the same voxel numbers, which they do here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rt4d.errors import InputError, NotFoundError
from rt4d.geometry import Floats, Geometry, Triple
from rt4d.volumes import Volume

HU_OFFSET, LOWEST_HU, HIGHEST_HU = 1024, -1024, 3071
EXTREME, SAMPLED = 300, 75
PAIR = ("00", "50")

_IMAGE = re.compile(r"case0?(?P<case>\d+)_T(?P<phase>\d\d)(?:[_-][a-z]+)?\.img", re.IGNORECASE)
_EXTREME = re.compile(r"case0?(?P<case>\d+)_(?:dirlab)?300_T(?P<phase>\d\d)_xyz\.txt", re.IGNORECASE)
_SAMPLED = re.compile(r"case0?(?P<case>\d+)_4D-?75_T(?P<phase>\d\d)(?:_xyz)?\.txt", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PublishedCase:
    """What DIR-Lab publishes of a case. before_mm: the mean distance of its 300 landmarks between T00 and T50."""

    number: int
    size: tuple[int, int, int]
    spacing_mm: Triple
    before_mm: float

    @property
    def geometry(self) -> Geometry:
        """The grid of its images, the lowest slice first, as they are read here; where it lay in the room is not told."""
        return Geometry(self.size, self.spacing_mm)


def _published(number: int, in_plane: int, slices: int, pixel_mm: float, before_mm: float) -> PublishedCase:
    return PublishedCase(number, (in_plane, in_plane, slices), (pixel_mm, pixel_mm, 2.5), before_mm)


PUBLISHED = (
    _published(1, 256, 94, 0.97, 3.89),
    _published(2, 256, 112, 1.16, 4.34),
    _published(3, 256, 104, 1.15, 6.94),
    _published(4, 256, 99, 1.13, 9.83),
    _published(5, 256, 106, 1.10, 7.48),
    _published(6, 512, 128, 0.97, 10.89),
    _published(7, 512, 136, 0.97, 11.03),
    _published(8, 512, 128, 0.97, 14.99),
    _published(9, 512, 128, 0.97, 7.92),
    _published(10, 512, 120, 0.97, 7.30),
)


@dataclass(frozen=True, slots=True)
class CaseFiles:
    """The files of one case by phase ('00' … '50'): images, the 300 landmarks of the extreme phases, the 75 of several."""

    published: PublishedCase
    images: Mapping[str, Path] = field(default_factory=dict)
    extreme: Mapping[str, Path] = field(default_factory=dict)
    sampled: Mapping[str, Path] = field(default_factory=dict)

    @property
    def landmarks(self) -> Mapping[str, Path]:
        """Those of T00 and T50: the 300 where they are there, else the 75."""
        return self.extreme if set(PAIR) <= set(self.extreme) or not set(PAIR) <= set(self.sampled) else self.sampled

    @property
    def count(self) -> int:
        """How many landmarks each of these files must hold."""
        return EXTREME if self.landmarks is self.extreme else SAMPLED

    @property
    def lacking(self) -> str:
        """What is not there of the pair T00 and T50, in words; '' where it is whole."""
        said = []
        for what, files in (("images", self.images), ("landmarks", self.landmarks)):
            if missing := [f"T{label}" for label in PAIR if label not in files]:
                said.append(f"{what} of {' and '.join(missing)}")
        return ", ".join(said)


def find_cases(folder: str | Path, published: Sequence[PublishedCase] = PUBLISHED) -> tuple[CaseFiles, ...]:
    """Each published case with what is there of it, anywhere below the folder; told by the files' own names, upper or lower case.

    Refused: a folder with nothing of any case (NotFoundError), a file that is there twice (InputError).
    """
    if not Path(folder).is_dir():
        raise NotFoundError("No such folder", where=folder)
    found: dict[tuple[int, str], dict[str, Path]] = {}
    for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
        for kind, pattern in (("images", _IMAGE), ("extreme", _EXTREME), ("sampled", _SAMPLED)):
            if named := pattern.fullmatch(path.name):
                _keep(found.setdefault((int(named["case"]), kind), {}), named["phase"], path)
    if not found:
        expected = "case1_T00*.img and Case1_300_T00_xyz.txt, and so on, in any folders below"
        raise NotFoundError("No case of DIR-Lab is here", where=folder, expected=expected)
    return tuple(
        CaseFiles(case, *(found.get((case.number, kind), {}) for kind in ("images", "extreme", "sampled"))) for case in published
    )


def _keep(files: dict[str, Path], phase: str, path: Path) -> None:
    if phase in files:
        do = "Leave one of them in the folder: rt4d does not choose"
        raise InputError("A file of a DIR-Lab case is there twice", where=f"T{phase}", found=f"{files[phase]} and {path}", do=do)
    files[phase] = path


def require_whole(path: Path, case: PublishedCase) -> None:
    """Refuse an image whose length is not that of its case."""
    x, y, z = case.size
    if (found := path.stat().st_size) != 2 * x * y * z:
        expected = f"{2 * x * y * z} bytes ({x} × {y} × {z} voxels of two)"
        raise InputError("A raw image has not the size of its case", where=path, expected=expected, found=f"{found} bytes")


def read_image(path: Path, case: PublishedCase) -> Volume:
    """The image in Hounsfield units, int16, the lowest slice first; below −1024 HU (outside the scanner's circle) it is −1024."""
    require_whole(path, case)
    raw = np.fromfile(path, dtype="<i2").reshape(case.geometry.shape)[::-1]
    hu = np.clip(raw.astype(np.int32) - HU_OFFSET, LOWEST_HU, HIGHEST_HU)
    return Volume(hu.astype(np.int16), case.geometry)


def read_landmarks(path: Path, case: PublishedCase, *, count: int) -> Floats:
    """The landmarks of a file in mm, shape (count, 3), in the coordinates of `read_image`; refused by line where one is no voxel of the case."""
    rows = [line.split() for line in path.read_text(encoding="latin-1").splitlines()]
    numbers = [_voxel(row, f"{path}, line {line}") for line, row in enumerate(rows, start=1) if row]
    if len(numbers) != count:
        raise InputError("A file of landmarks has not as many as its name says", where=path, expected=f"{count} points", found=len(numbers))
    index = np.array(numbers) - 1
    index[:, 2] = case.size[2] - 1 - index[:, 2]
    if not (inside := ((index > -0.5) & (index < np.array(case.size) - 0.5)).all(axis=1)).all():
        row = int(np.flatnonzero(~inside)[0])
        expected = f"1 to {' × '.join(str(n) for n in case.size)}"
        raise InputError("A landmark lies outside its image", where=path, expected=expected, found=" ".join(f"{v:g}" for v in numbers[row]))
    return case.geometry.to_patient(index)


def _voxel(row: Sequence[str], where: str) -> Triple:
    try:
        x, y, z = (float(value) for value in row)
    except ValueError as error:
        raise InputError("A line is no landmark", where=where, expected="three voxel numbers x y z", found=" ".join(row[:6])) from error
    if not np.isfinite((x, y, z)).all():
        raise InputError("A line is no landmark", where=where, expected="three voxel numbers x y z", found=" ".join(row))
    return x, y, z
