"""NRRD files, whole or not at all (teem.sourceforge.net/nrrd/format.html).

Written here because ITK stores several values per voxel as a vector, and puts the grid on the wrong axes where it is told that they are a
list of images, which is how 3D Slicer keeps segments and the frames of a sequence.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rt4d import geometry as grids
from rt4d.errors import InputError
from rt4d.geometry import Floats, Geometry
from rt4d.segmentation.whole_files import write_file

_TYPES = {"float32": "float", "float64": "double"} | {f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}


def write_nrrd(path: Path, array: npt.NDArray[np.number], geometry: Geometry, *, axis: str = "", keys: Mapping[str, str] | None = None) -> Path:
    """The path of an array written on its grid, LPS mm, packed with gzip.

    array: shape z y x; or z y x n for a list of n images, whose axis is then called `axis` in the file. keys: the file's own entries, text.
    Refused: uneven slices, another shape than the grid's, a kind of number that NRRD does not have. Raises OutputError where the disk is full.
    """
    grids.require_even(geometry, what="An NRRD file")
    if array.shape[:3] != geometry.shape or array.ndim not in (3, 4) or array.dtype.name not in _TYPES:
        raise InputError("This array cannot be an NRRD file", expected=f"numbers of shape {geometry.shape}", found=f"{array.dtype}, {array.shape}")
    header = _header(array, geometry, axis) + "".join(f"{key}:={_escaped(value)}\n" for key, value in (keys or {}).items())
    return write_file(path, header.encode("utf-8") + b"\n" + _packed(array))


def _header(array: npt.NDArray[np.number], geometry: Geometry, axis: str) -> str:
    is_list = array.ndim == 4
    directions = [_vector(column) for column in (geometry.matrix * geometry.spacing_mm).T]
    lines = [
        "NRRD0004",
        f"type: {_TYPES[array.dtype.name]}",
        f"dimension: {array.ndim}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(str(n) for n in (*array.shape[3:], *geometry.size))}",
        f"space directions: {' '.join([*(['none'] if is_list else []), *directions])}",
        f"kinds: {' '.join([*(['list'] if is_list else []), *['domain'] * 3])}",
        *([f'labels: "{axis}" "" "" ""'] if axis else []),
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(np.array(geometry.origin_mm))}",
    ]
    return "\n".join(lines) + "\n"


def _vector(values: Floats) -> str:
    return f"({','.join(repr(float(v)) for v in values)})"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def _packed(array: npt.NDArray[np.number]) -> bytes:
    """As gzip. Images are noise, in which zlib finds no more than runs, and those in half the time; masks are little else than runs."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS, 9, zlib.Z_RLE)
    return packer.compress(little.data) + packer.flush()
