"""A reader of NRRD files that shares nothing with the writer: the format's own page (teem.sourceforge.net/nrrd/format.html), no library."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TYPES = {"uint8": "u1", "unsigned char": "u1", "int16": "<i2", "short": "<i2", "float": "<f4"}


@dataclass(frozen=True)
class Nrrd:
    """Fields (`name: value`), the writer's own keys (`name:=value`), voxels with the axes as the file lists them (fastest first)."""

    fields: dict[str, str]
    keys: dict[str, str]
    array: Any

    @property
    def space_directions(self) -> list[Any]:
        """One column per axis, None for an axis that lies in no direction."""
        parts = re.findall(r"none|\([^)]*\)", self.fields["space directions"])
        return [None if part == "none" else _numbers(part) for part in parts]

    @property
    def origin(self) -> Any:
        return _numbers(self.fields["space origin"])

    def place(self, index: Any) -> Any:
        """Where a voxel's centre lies, by its spatial index."""
        columns = np.array([column for column in self.space_directions if column is not None]).T
        return columns @ np.asarray(index, float) + self.origin


def read_nrrd(path: Path) -> Nrrd:
    content = path.read_bytes()
    head, _, data = content.partition(b"\n\n")
    magic, *lines = head.decode("utf-8").split("\n")
    assert re.fullmatch(r"NRRD000[1-5]", magic)
    fields, keys = {}, {}
    for line in lines:
        if line.startswith("#"):
            continue
        if ":=" in line and ": " not in line.split(":=")[0]:
            key, _, value = line.partition(":=")
            keys[key] = value.replace("\\n", "\n").replace("\\\\", "\\")
        else:
            field, _, value = line.partition(": ")
            fields[field] = value
    assert fields["encoding"] == "gzip"
    sizes = [int(n) for n in fields["sizes"].split()]
    assert len(sizes) == int(fields["dimension"]) == len(fields["kinds"].split())
    array = np.frombuffer(gzip.decompress(data), TYPES[fields["type"]]).reshape(sizes[::-1]).T
    return Nrrd(fields, keys, array)


def _numbers(text: str) -> Any:
    return np.array([float(part) for part in text.strip("()").split(",")])
