"""Values of DICOM elements taken from their raw bytes, so that what nobody asks for is never interpreted; absent and garbled become empty."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

from pydicom.charset import decode_bytes
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

TEMPORAL_POSITION_INDEX = 0x00209128


def items(dataset: Dataset, tag: int) -> list[Dataset]:
    """The items of a sequence, none where it is absent."""
    return list(dataset[tag].value or []) if tag in dataset else []


def raw_bytes(dataset: Dataset, tag: int) -> bytes:
    """An element's bytes as they lie in the file; of one that pydicom has converted, its text."""
    element: Any = dataset.get_item(tag)
    if element is None or element.value is None:
        return b""
    if isinstance(element, DataElement):
        value = element.value
        return ("\\".join(str(v) for v in value) if isinstance(value, MultiValue | list) else str(value)).encode("latin-1", "replace")
    return bytes(element.value)


def latin(raw: bytes) -> str:
    return raw.decode("latin-1").strip(" \0\t\r\n")


def text_of(dataset: Dataset, tag: int) -> str:
    return latin(raw_bytes(dataset, tag))


def decoded(raw: bytes, encodings: Sequence[str]) -> str:
    return decode_bytes(raw, encodings, {0x0A, 0x0C, 0x0D}).strip(" \0\t\r\n") if raw else ""


def first_text(places: Sequence[Dataset], tag: int) -> str:
    """The text of the first that is not empty; of binary integers, their decimal text."""
    for place in places:
        if raw := raw_bytes(place, tag):
            element: Any = place.get_item(tag)
            binary = tag == TEMPORAL_POSITION_INDEX and isinstance(element, RawDataElement)
            return str(int.from_bytes(raw, "little" if element.is_little_endian else "big")) if binary else latin(raw)
    return ""


def first_float(places: Sequence[Dataset], tag: int) -> float | None:
    """The first floating point number (VR FL or FD, or text where a writer chose so)."""
    for place in places:
        raw = raw_bytes(place, tag)
        element: Any = place.get_item(tag)
        if len(raw) in (4, 8) and isinstance(element, RawDataElement) and element.VR not in ("DS", "IS", "LO", "SH"):
            return float(struct.unpack(("<" if element.is_little_endian else ">") + ("f" if len(raw) == 4 else "d"), raw)[0])
        if raw:
            return number_of(latin(raw))
    return None


def integer_of(dataset: Dataset, tag: int) -> int:
    """An unsigned short, 0 where absent."""
    raw = raw_bytes(dataset, tag)
    _, little = dataset.original_encoding
    return int.from_bytes(raw[:2], "big" if little is False else "little")


def number_of(text: str) -> float | None:
    numbers = numbers_of(text.split("\\")[0], 1)
    return numbers[0] if numbers else None


def numbers_of(text: str, n: int) -> tuple[float, ...] | None:
    """n finite numbers of a DICOM decimal string, None where it is anything else."""
    parts = text.replace(",", ".").split("\\")
    try:
        numbers = tuple(float(part) for part in parts)
    except ValueError:
        return None
    return numbers if len(numbers) == n and all(math.isfinite(v) for v in numbers) else None
