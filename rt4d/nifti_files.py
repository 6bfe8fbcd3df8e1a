"""Whether a NIfTI file is whole: the library that reads it fills what is missing with zeros in silence, so that a copy cut short is a smaller mask.

The header (NIfTI-1 and NIfTI-2, nifti.nimh.nih.gov) tells how many bytes belong to it; gzip's last four tell how many were packed (RFC 1952).
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

from rt4d.errors import InputError

HEADERS = {348: ("8h", 40, "h", 72, "f", 108), 540: ("8q", 16, "h", 14, "q", 168)}
"""By the length that the header names: kind and place of the image's sizes, its bits per voxel and where voxels begin."""
PIECE = 1 << 24


def require_whole(path: Path) -> None:
    """Refuse a NIfTI file (.nii, .nii.gz) that ends before its last voxel; what is no NIfTI file is left to whoever reads it."""
    name = path.name.lower()
    if not name.endswith((".nii", ".nii.gz")):
        return
    packed = name.endswith(".gz")
    try:
        with gzip.open(path) if packed else path.open("rb") as stream:
            needed = _needed(stream.read(max(HEADERS)))
        if needed is None or (_unpacked(path, needed) if packed else path.stat().st_size) >= needed:
            return
    except gzip.BadGzipFile:
        return
    except (EOFError, zlib.error):
        pass
    raise InputError("This image file is not whole", where=path, found="it ends before its last voxel", do="Copy or write it again")


def _needed(header: bytes) -> int | None:
    """How many bytes the file has at least; None where this is no header."""
    for order in ("<", ">"):
        layout = HEADERS.get(struct.unpack(f"{order}i", header[:4])[0]) if len(header) >= 4 else None
        if layout and len(header) >= min(HEADERS):
            dim, bits, offset = (struct.unpack_from(order + kind, header, at) for kind, at in zip(layout[::2], layout[1::2], strict=True))
            return int(offset[0]) + math.prod(int(n) for n in dim[1 : 1 + dim[0]]) * int(bits[0]) // 8
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
