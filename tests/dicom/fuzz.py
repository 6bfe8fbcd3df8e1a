"""Damaged structure sets and CTs without end: each must be read right or refused with an Rt4dError, in little time and memory.

    python -m tests.dicom.fuzz SEED COUNT [SECONDS]     prints JSON: how many were read and refused, and every failure with its number

An input is told by (SEED, its number) alone, so that a failure can be made again.
"""

from __future__ import annotations

import json
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless

from rt4d.dicom.headers import quiet
from rt4d.dicom.series import read_ct
from rt4d.dicom.structures import StructureSet, read_rtstruct
from rt4d.errors import Rt4dError
from rt4d.phases import CtImage
from rt4d.roi_files import write_roi_files
from tests.dicom.drawn import Drawn, box, ct_image, grid, polygon, saved, structure_set, write_ct
from tests.dicom.make import enhanced_of

PIXEL_DATA = 0x7FE00010
LONGEST_S = 10
MOST_BYTES = 2 << 30
CIRCLE = [[5 + 3 * np.cos(a), 5 + 3 * np.sin(a)] for a in np.linspace(0, 6, 17)]
NASTY = (
    *(b"", b" ", b"\0\0", b"0 ", b"-1", b"1e308\\1e308\\1e308", b"nan", b"-inf", b"1e-308", b"9" * 64, b"\\", b"\\" * 5, b"abc ", b"1,5 "),
    *(b"1\\2", b"1\\2\\3 ", b"1\\2\\3\\4\\5\\6 ", b"0\\0\\0 ", b"1.2.3.4 ", b"1." * 40, b"\xff\xfe\xfd\xfc", b"\xff" * 8, b"\0\0\0\x80"),
    *(b"\x7f" * 16, b"CT", b"RTSTRUCT", b"POINT ", b"CLOSED_PLANAR ", b"ISO 2022 IR 87", b"ISO_IR 192", b"\x1b$B\x1b(B", b"A" * 70000),
    *(b"0\\" * 5000, b"../../../etc "),
)
Bytes = Callable[[bytes, np.random.Generator], bytes]


class HangError(BaseException):
    """One input took too long. Not an Exception, so that nothing catches it on the way."""


def flipped(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for at in rng.integers(0, len(changed), rng.integers(1, 20)):
        changed[at] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def overwritten(content: bytes, rng: np.random.Generator) -> bytes:
    at, length = int(rng.integers(len(content))), int(rng.integers(1, 40))
    return content[:at] + rng.bytes(length) + content[at + length :]


def with_odd_lengths(content: bytes, rng: np.random.Generator) -> bytes:
    """Four bytes replaced by what a length should never be."""
    at = int(rng.integers(132, len(content) - 4))
    extreme = (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\x01\0\0\0", b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0", b"\xfe\xff\x0d\xe0")
    return content[:at] + extreme[int(rng.integers(len(extreme)))] + content[at + 4 :]


def cut_out(content: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(content)))
    return content[:at] + content[at + int(rng.integers(1, 300)) :]


def cut_off(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(len(content)))]


def doubled(content: bytes, rng: np.random.Generator) -> bytes:
    at, length = int(rng.integers(len(content))), int(rng.integers(1, 500))
    return content[:at] + content[at : at + length] * 2 + content[at + length :]


def with_other_digits(content: bytes, rng: np.random.Generator) -> bytes:
    """Numbers and UIDs that are another's: digits, points and backslashes replaced by one another."""
    changed = bytearray(content)
    places = np.flatnonzero(np.isin(np.frombuffer(content, np.uint8), np.frombuffer(b"0123456789.\\-", np.uint8)))
    for at in rng.choice(places, min(len(places), int(rng.integers(1, 30)))):
        changed[at] = b"0123456789.\\-e "[int(rng.integers(15))]
    return bytes(changed)


def with_an_odd_attribute(content: bytes, rng: np.random.Generator) -> bytes:
    """One to three elements anywhere in the tree removed, emptied, or given another's value; items of sequences doubled or dropped."""
    dataset = pydicom.dcmread(BytesIO(content), force=True)
    implicit, little = dataset.original_encoding
    places = list(_places(dataset))
    for at in rng.permutation(len(places))[: int(rng.integers(1, 4))]:
        parent, tag = places[at]
        if tag not in parent or tag == PIXEL_DATA:  # the others damage pixels; pydicom would not write them
            continue
        element = parent[tag]
        if rng.random() < 0.2:
            del parent[tag]
        elif element.VR == "SQ" and len(element.value):
            _change_items(element.value, rng)
        else:
            value = NASTY[int(rng.integers(len(NASTY)))]
            value += b" " * (len(value) % 2)
            value = value if implicit else value[: 2**16 - 2]
            parent[tag] = RawDataElement(tag, element.VR, len(value), value, 0, bool(implicit), bool(little))
    return _bytes_of(dataset)


def _change_items(items: Items, rng: np.random.Generator) -> None:
    at = int(rng.integers(len(items)))
    if rng.random() < 0.5:
        items.append(items[at])
    elif rng.random() < 0.5:
        del items[at]
    else:
        items[at] = Dataset()


def _places(dataset: Dataset) -> Iterator[tuple[Dataset, int]]:
    """Every element of a tree of datasets, with the dataset that holds it."""
    for element in dataset:
        yield dataset, int(element.tag)
        if element.VR == "SQ":
            for item in element.value:
                yield from _places(item)


MUTATIONS: tuple[Bytes, ...] = (
    *(flipped, overwritten, with_odd_lengths, cut_out, cut_off, doubled, with_other_digits),
    *(with_an_odd_attribute,) * 4,
)


class Fuzzer:
    """Whole inputs in a folder, damaged one at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ct = ct_image(grid())
        self.cts = _encodings_of_a_ct({path.name: path.read_bytes() for path in sorted(write_ct(self.ct, folder / "CT").iterdir())}, self.ct)
        geometry = self.ct.geometry
        rings = [polygon(geometry, box(a, a, 9 - a, 9 - a), z) for z in (2, 3, 4) for a in (0.5, 2.5)]
        traced = [polygon(geometry, [[3.0, 2], [4, 2], [5, 3], [5, 4], [4, 5], [3, 5], [2, 4], [2, 3]], z) for z in (2, 3)]
        rois = (
            Drawn("GTV", [polygon(geometry, CIRCLE, z) for z in (1, 2, 3, 4)]),
            Drawn("Ring", rings, "ORGAN", 2),
            Drawn("Traced", traced, "", 3),
            Drawn("Iso", [polygon(geometry, [[3, 3]], 2)], "ISOCENTER", 4, "POINT"),
        )
        dataset = structure_set(self.ct, *rois)
        self.rtstructs = [saved(dataset, folder / "RS.dcm").read_bytes(), *_other_encodings(folder / "RS.dcm")]
        self.read = read_ct(folder / "CT")
        whole = read_rtstruct(folder / "RS.dcm", on=self.read)
        self.masks = {name: whole[name].inside for name in whole}
        self.facts = _facts(self.rtstructs[0])

    def one(self, seed: int, number: int) -> str:
        """What became of one input: 'read' or 'refused'; anything else is raised."""
        rng = np.random.default_rng([seed, number])
        mutate = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
        return self._structure_set(mutate, rng) if rng.random() < 0.65 else self._ct(mutate, rng)

    def _structure_set(self, mutate: Bytes, rng: np.random.Generator) -> str:
        with quiet():
            content = mutate(self.rtstructs[int(rng.integers(len(self.rtstructs)))], rng)
        path = self.folder / "damaged.dcm"
        path.write_bytes(content)
        try:
            contours = read_rtstruct(path, on=self.read, interpolate_missing=bool(rng.random() < 0.3))
        except Rt4dError:
            return "refused"
        self._require_right(contours, content)
        if rng.random() < 0.05:
            with tempfile.TemporaryDirectory() as out:
                self._write(contours, Path(out), partial_volume=bool(rng.random() < 0.5))
        return "read"

    def _write(self, contours: StructureSet, out: Path, *, partial_volume: bool) -> None:
        try:
            files = write_roi_files(contours, out, partial_volume=partial_volume)
        except Rt4dError:
            return
        assert sorted(path.name for path in out.iterdir()) == sorted([*(each.file for each in files.written), "contours.json"])

    def _require_right(self, contours: StructureSet, content: bytes) -> None:
        facts = _facts(content)
        for roi in contours.summary.rois:
            try:
                mask = contours[roi.name]
                share = contours.partial_volume(roi.name).fraction
            except Rt4dError:
                continue
            assert mask.geometry is self.read.geometry, "a mask of another grid"
            assert share.min() >= 0, "shares that are none"
            assert share.max() <= 1, "shares that are none"
            if facts and facts.get(roi.name) == self.facts.get(roi.name) is not None:
                assert np.array_equal(mask.inside, self.masks[roi.name]), f"ROI {roi.name} is drawn as it was and has another mask"
        repr(contours), contours.notes

    def _ct(self, mutate: Bytes, rng: np.random.Generator) -> str:
        """One slice damaged, or every slice in the same way."""
        folder = self.folder / "damaged"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        files = self.cts[int(rng.integers(len(self.cts)))]
        only = list(files)[int(rng.integers(len(files)))] if rng.random() < 0.5 else None
        state = rng.bit_generator.state
        for name, content in files.items():
            rng.bit_generator.state = state
            with quiet():
                (folder / name).write_bytes(mutate(content, rng) if only in (None, name) else content)
        try:
            ct = read_ct(folder)
            self._require_ct(ct)
            contours = read_rtstruct(self.folder / "RS.dcm", on=ct)
        except Rt4dError:
            return "refused"
        for name in contours:
            try:
                mask = contours[name]
            except Rt4dError:
                continue
            if ct.geometry.is_same_grid(self.read.geometry):
                assert np.array_equal(mask.inside, self.masks[name]), f"ROI {name} lies on the same grid and has another mask"
        return "read"

    def _require_ct(self, ct: CtImage) -> None:
        assert ct.volume.hu.shape == ct.geometry.shape, "values of another shape than the grid"
        assert ct.volume.hu.min() >= -1024, "values below air"
        assert np.isfinite(ct.geometry.to_patient(np.array(ct.geometry.size))).all(), "a grid without a place"


def _encodings_of_a_ct(plain: dict[str, bytes], ct: CtImage) -> list[dict[str, bytes]]:
    """The same CT as one file per slice, plain and compressed, and as one enhanced file."""
    compressed = {}
    for name, content in plain.items():
        dataset = pydicom.dcmread(BytesIO(content))
        dataset.compress(RLELossless)
        compressed[name] = _bytes_of(dataset)
    enhanced, _ = enhanced_of(ct.geometry, (0,))
    for keyword, value in ct.identity.patient.items():
        setattr(enhanced, keyword, value)
    return [plain, compressed, {"enhanced.dcm": _bytes_of(enhanced)}]


def _other_encodings(path: Path) -> Iterator[bytes]:
    """The same structure set with its VRs written and sequences of undefined length, and deflated."""
    for syntax in (ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        dataset = pydicom.dcmread(path)
        for parent, tag in list(_places(dataset)):
            if parent[tag].VR == "SQ":
                parent[tag].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = syntax
        written = BytesIO()
        dataset.save_as(written, enforce_file_format=True, implicit_vr=False, little_endian=True)
        yield written.getvalue()


def _bytes_of(dataset: Dataset) -> bytes:
    written = BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()


def _facts(content: bytes) -> dict[str, object] | None:
    """What is drawn of each ROI, by pydicom alone: None where that is not sure."""
    try:
        with quiet():
            dataset = pydicom.dcmread(BytesIO(content), force=True)
            numbers = [int(item.ROINumber) for item in dataset.StructureSetROISequence]
            names = [str(item.ROIName) for item in dataset.StructureSetROISequence]
            drawn: dict[int, list[object]] = {}
            for item in dataset.ROIContourSequence:
                contours = [(str(each.ContourGeometricType), str(each.get("ContourData"))) for each in item.ContourSequence]
                drawn.setdefault(int(item.ReferencedROINumber), []).extend(contours)
            if len(set(numbers)) < len(numbers) or len(set(names)) < len(names):
                return None
            maker = dataset.get("Manufacturer"), dataset.get("ManufacturerModelName")
            return {name: (drawn.get(number), maker) for number, name in zip(numbers, names, strict=True)}
    except Exception:  # noqa: BLE001 - whatever pydicom cannot read is no fact
        return None


def run(seed: int, count: int, seconds: float) -> dict[str, object]:
    """Damage and read `count` inputs, or as many as fit into the seconds."""
    results: Counter[str] = Counter()
    failures: list[dict[str, object]] = []
    began, slowest = time.monotonic(), 0.0

    def hang(_signal: int, _frame: object) -> None:
        raise HangError

    signal.signal(signal.SIGALRM, hang)
    warnings.simplefilter("error")  # a warning would reach the user, and may say what stands in the file
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = Fuzzer(Path(folder))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MOST_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for number in range(count):
            if time.monotonic() - began > seconds:
                break
            start = time.monotonic()
            signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
            try:
                results[fuzzer.one(seed, number)] += 1
            except (Exception, HangError) as error:  # noqa: BLE001 - every other exception is what is looked for
                failures.append({"number": number, "error": repr(error), "where": traceback.format_exc().splitlines()[-24:]})
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            slowest = max(slowest, time.monotonic() - start)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "seed": seed,
        "inputs": sum(results.values()) + len(failures),
        **results,
        "slowest_s": round(slowest, 2),
        "grown_mib": grown // 1024,
        "failures": failures,
    }


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else 1e9)))
