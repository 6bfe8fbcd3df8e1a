"""Damaged input ends in a right result or in an Rt4dError: never in another exception, a hang or more than 2 GiB (see fuzz.py)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import RLELossless

from rt4d.dicom.series import read_ct
from rt4d.errors import DicomError
from tests.dicom.make import setting, write_series

ROOT = Path(__file__).parent.parent.parent


def fuzz(seed: int, count: int, *, seconds: float) -> dict[str, object]:
    """In a process of its own, whose memory is limited and which can be ended from outside."""
    command = [sys.executable, "-m", "tests.dicom.fuzz", str(seed), str(count), str(seconds)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=seconds + 60)
    assert said.returncode == 0, said.stderr[-2000:]
    return dict(json.loads(said.stdout))


def require_sound(found: dict[str, object]) -> None:
    assert found["failures"] == [], json.dumps(found["failures"], indent=1)[:4000]
    assert int(str(found["grown_mib"])) < 2048
    assert min(int(str(found.get(end, 0))) for end in ("read", "refused")) > 10, "both ends must be reached"


def compressed(folder: Path, **attributes: object) -> None:
    """A CT with RLE pixels, and attributes that do not fit them."""
    write_series(folder)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless)
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        dataset.save_as(path)


def test_a_position_beyond_any_scanner_is_refused_without_overflow(tmp_path: Path) -> None:
    write_series(tmp_path, change=setting(2, ImagePositionPatient=["1e200", "0", "0"]))
    with pytest.raises(DicomError, match=r"does not say where it lies \(slice002\.dcm\)"):
        read_ct(tmp_path)


@pytest.mark.parametrize(("attributes", "said"), [({"Rows": 65000, "Columns": 65000}, "8192"), ({"NumberOfFrames": 10**9}, "2 GiB")])
def test_compressed_pixels_of_impossible_size_are_refused_before_memory_is_taken(tmp_path: Path, attributes: dict[str, int], said: str) -> None:
    compressed(tmp_path, **attributes)
    with pytest.raises(DicomError, match=said):
        read_ct(tmp_path)


def test_a_transfer_syntax_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    write_series(tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2x9\0", 1))
    with pytest.raises(DicomError, match=r"slice00\d\.dcm"):
        read_ct(tmp_path)


def test_an_element_that_promises_gigabytes_is_refused_by_name(tmp_path: Path) -> None:
    """Its length is larger than the memory that there may be: read_header must survive the MemoryError."""
    write_series(tmp_path)
    path = tmp_path / "slice001.dcm"
    content = path.read_bytes()
    at = content.index(b"CS\x02\x00CT")
    path.write_bytes(content[:at] + b"OB\0\0\xf0\xff\xff\xff" + content[at + 6 :])
    with pytest.raises(DicomError, match=r"slice001\.dcm"):
        read_ct(tmp_path)


def test_hundreds_of_damaged_structure_sets_and_cts_are_read_right_or_refused() -> None:
    require_sound(fuzz(7, 400, seconds=6))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, 12])
def test_thousands_of_damaged_structure_sets_and_cts_are_read_right_or_refused(seed: int) -> None:
    found = fuzz(seed, 4000, seconds=120)
    require_sound(found)
    assert int(str(found["inputs"])) > 1000
