"""DICOM files opened so that a deflated one cannot fill the memory: a few hundred kilobytes may inflate to gigabytes.

pydicom reads a deflated file's rest in one piece and inflates it whole. Here that piece is first inflated bit by bit and thrown away, and
refused once it is larger than LARGEST. Other files are read as they are.
"""

from __future__ import annotations

import zlib
from io import BufferedReader, FileIO
from pathlib import Path

from rt4d.errors import DicomError

LARGEST = 256 * 2**20
"""Bytes that a deflated file may have when inflated: fifty times the structure set of a whole body."""
_PIECE, _AT_ONCE = 2**16, 2**22


def opened(path: Path) -> BufferedReader:
    """A file for pydicom to read, to be closed by the caller; reading it raises DicomError where it would inflate to more than LARGEST."""
    return _Guarded(FileIO(str(path)))


class _Guarded(BufferedReader):
    def read(self, size: int | None = -1, /) -> bytes:
        """Only to inflate it does pydicom ask for all the rest at once."""
        content = super().read(size)
        if (size is None or size < 0) and _inflates_beyond(LARGEST, content):
            raise DicomError(
                "A deflated file is too large to be believed",
                where=Path(str(self.name)).name,
                expected=f"at most {LARGEST >> 20} MiB",
                found="more when inflated",
                do="Export it without compression",
            )
        return content


def _inflates_beyond(limit: int, content: bytes) -> bool:
    """Whether content inflates to more bytes than that. Raises zlib.error where it is broken."""
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    for start in range(0, len(content), _PIECE):
        piece = content[start : start + _PIECE]
        while piece and not inflater.eof:
            size += len(inflater.decompress(piece, _AT_ONCE))
            if size > limit:
                return True
            piece = inflater.unconsumed_tail
    return False
