"""Deflated files are read as others are; one that would inflate without end is refused before it takes memory."""

from __future__ import annotations

import tracemalloc
import zlib
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

import rt4d
from rt4d.dicom import inflating
from rt4d.dicom.folder import read_folder
from rt4d.dicom.structures import read_rtstruct, summarise_rtstruct
from rt4d.errors import DicomError
from rt4d.phases import CtImage
from tests.dicom.drawn import Drawn, ball, box, ct_image, grid, polygon, structure_set, write_ct

MIB = 2**20


@pytest.fixture
def ct() -> CtImage:
    return ct_image(grid())


def deflated(dataset: pydicom.FileDataset, path: Path, *, padding: int = 0, preamble: bool = True) -> Path:
    """The dataset deflated, with so many zero bytes behind it in the deflated stream."""
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    written = BytesIO()
    dataset.save_as(written, enforce_file_format=True, implicit_vr=False, little_endian=True)
    whole = written.getvalue()
    meta_end = 144 + int.from_bytes(whole[140:144], "little")  # preamble, DICM, the group's length and what it counts
    packer = zlib.compressobj(1, wbits=-15)
    body = packer.compress(zlib.decompress(whole[meta_end:], -15))
    body += b"".join(packer.compress(bytes(MIB)) for _ in range(padding // MIB)) + packer.flush()
    path.write_bytes(whole[0 if preamble else 132 : meta_end] + body)
    return path


def a_set(ct: CtImage) -> pydicom.FileDataset:
    return structure_set(ct, Drawn("GTV", [polygon(ct.geometry, box(1.5, 2.5, 5.5, 5.5), z) for z in (2, 3)]))


def test_a_deflated_structure_set_is_read(tmp_path: Path, ct: CtImage) -> None:
    assert read_rtstruct(deflated(a_set(ct), tmp_path / "RS.dcm"), on=ct)["GTV"].inside.sum() == 24


@pytest.mark.parametrize("preamble", [True, False])
def test_a_structure_set_that_inflates_to_gigabytes_is_refused_before_it_takes_memory(tmp_path: Path, ct: CtImage, preamble: bool) -> None:
    path = deflated(a_set(ct), tmp_path / "RS.dcm", padding=inflating.LARGEST, preamble=preamble)
    assert path.stat().st_size < 2 * MIB
    tracemalloc.start()
    with pytest.raises(DicomError, match=r"too large to be believed \(RS\.dcm\): expected at most 256 MiB.*without compression"):
        summarise_rtstruct(path)
    assert tracemalloc.get_traced_memory()[1] < 64 * MIB
    tracemalloc.stop()


def test_segmentations_and_registrations_are_guarded_too(tmp_path: Path, ct: CtImage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflating, "LARGEST", MIB)
    rt4d.write_seg(tmp_path / "SEG.dcm", on=ct, rois=[ball(ct)])
    deflated(pydicom.dcmread(tmp_path / "SEG.dcm"), tmp_path / "SEG.dcm", padding=2 * MIB)
    with pytest.raises(DicomError, match=r"too large to be believed \(SEG\.dcm\)"):
        rt4d.read_seg(tmp_path / "SEG.dcm")


def test_in_a_folder_such_a_file_is_named_and_the_others_are_read(tmp_path: Path, ct: CtImage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflating, "LARGEST", MIB)
    deflated(a_set(ct), write_ct(ct, tmp_path / "CT") / "RS.dcm", padding=2 * MIB)
    contents = read_folder(tmp_path / "CT")
    assert len(contents.slices) == ct.geometry.size[2]
    (bomb,) = contents.unreadable
    assert bomb.name == "RS.dcm"
    assert "too large to be believed" in bomb.reason


def test_what_is_not_deflate_at_all_is_refused_as_broken(tmp_path: Path, ct: CtImage) -> None:
    path = deflated(a_set(ct), tmp_path / "RS.dcm")
    content = bytearray(path.read_bytes())
    content[-200:] = b"\xff" * 200
    path.write_bytes(bytes(content))
    with pytest.raises(DicomError, match=r"RS\.dcm"):
        summarise_rtstruct(path)
