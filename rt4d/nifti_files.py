"""What the library that reads NIfTI files does not tell: it makes zeros, in silence, of what is missing at the end of a copy that was cut short and
of numbers that are undefined, so that a mask is smaller and air is water.

The header (NIfTI-1 and NIfTI-2, nifti.nimh.nih.gov) tells how many bytes belong to it; gzip's last four tell how many were packed (RFC 1952).
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from rt4d.errors import InputError

HEADERS = {348: ("8h", 40, "h", 70, "h", 72, "f", 108), 540: ("8q", 16, "h", 12, "h", 14, "q", 168)}
"""By the length that the header names: kind and place of the image's sizes, its kind of number, its bits per voxel and where voxels begin."""
FLOATS = {16: "f4", 64: "f8"}
"""Kinds of number that may be undefined, as numpy calls them."""
PIECE = 1 << 24


@dataclass(frozen=True, slots=True)
class _Header:
    """Where voxels begin in the unpacked file, how many numbers there are, of how many bits, and where they are floats what numpy calls them."""

    start: int
    count: int
    bits: int
    floats: str

    @property
    def end(self) -> int:
        return self.start + self.count * self.bits // 8


def require_whole(path: Path) -> None:
    """Refuse a NIfTI file (.nii, .nii.gz) that ends before its last voxel; what is no NIfTI file is left to whoever reads it."""
    if not _is_nifti(path):
        return
    try:
        with _opened(path) as stream:
            header = _header(stream)
        if header is None or (_unpacked(path, header.end) if _is_packed(path) else path.stat().st_size) >= header.end:
            return
    except gzip.BadGzipFile:
        return
    except (EOFError, zlib.error):
        pass
    raise InputError("This image file is not whole", where=path, found="it ends before its last voxel", do="Copy or write it again")


def undefined_numbers(path: Path) -> int:
    """How many of a whole NIfTI file's numbers are undefined (NaN) or infinite; 0 of a file of another kind."""
    if not _is_nifti(path):
        return 0
    with _opened(path) as stream:
        header, undefined = _header(stream), 0
        if header is None or not header.floats:
            return 0
        stream.seek(header.start)
        left = header.end - header.start
        while left and (piece := stream.read(min(PIECE, left))):
            undefined += int(np.count_nonzero(~np.isfinite(np.frombuffer(piece, header.floats))))
            left -= len(piece)
    return undefined


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith((".nii", ".nii.gz"))


def _is_packed(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _opened(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path)) if _is_packed(path) else path.open("rb")


def _header(stream: BinaryIO) -> _Header | None:
    """What the beginning of a file tells; None where this is no header."""
    start = stream.read(max(HEADERS))
    for order in ("<", ">"):
        layout = HEADERS.get(struct.unpack(f"{order}i", start[:4])[0]) if len(start) >= 4 else None
        if layout and len(start) >= min(HEADERS):
            dim, kind, bits, at = (struct.unpack_from(order + each, start, place) for each, place in zip(layout[::2], layout[1::2], strict=True))
            floats = order + FLOATS[kind[0]] if kind[0] in FLOATS else ""
            return _Header(int(at[0]), math.prod(int(n) for n in dim[1 : 1 + dim[0]]), int(bits[0]), floats)
    return None


def _unpacked(path: Path, needed: int) -> int:
    """How many bytes a gzip file holds: as it says at its end, and where that is something else counted."""
    with path.open("rb") as stream:
        stream.seek(-4, 2)
        if struct.unpack("<I", stream.read(4))[0] == needed % 2**32:
            return needed
    count = 0
    with gzip.open(path) as stream:
        while piece := stream.read(PIECE):
            count += len(piece)
    return count
