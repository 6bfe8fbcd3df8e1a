"""What one DICOM file says of itself and of its slices, read without its pixels and without believing more than is asked for.

Values are taken from the raw elements, so that a malformed element which nobody needs is never looked at (archives hold many,
and pydicom raises or warns when they are read). Enhanced multi-frame CT gives one `Slice` for each frame, an ordinary file one.
"""

from __future__ import annotations

import struct
import threading
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom.charset import convert_encodings
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    LegacyConvertedEnhancedCTImageStorage,
    MediaStorageDirectoryStorage,
)

from rt4d.dicom.inflating import opened
from rt4d.dicom.raw_values import decoded, first_float, first_text, integer_of, items, latin, number_of, numbers_of, raw_bytes, text_of
from rt4d.errors import DicomError
from rt4d.geometry import Triple

CT_CLASSES = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
"""Only these are CT images: screenshots and dose reports (secondary captures) call their modality CT too."""
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
"""Transfer syntaxes whose pixels lie in the file as they are."""

PATIENT_TAGS = {
    "SpecificCharacterSet": 0x00080005,
    "StudyDate": 0x00080020,
    "StudyTime": 0x00080030,
    "AccessionNumber": 0x00080050,
    "ReferringPhysicianName": 0x00080090,
    "StudyDescription": 0x00081030,
    "PatientName": 0x00100010,
    "PatientID": 0x00100020,
    "PatientBirthDate": 0x00100030,
    "PatientSex": 0x00100040,
    "StudyID": 0x00200010,
    "PositionReferenceIndicator": 0x00201040,
}
_PATIENT_KEYS = {keyword: n for n, keyword in enumerate(PATIENT_TAGS)}
ELSCINT_TEXTS = {0x01E1101E: 0x01E10010, 0x01F11041: 0x01F10010}
"""Philips (formerly Elscint) private texts that hold the phase, each with the tag of its private creator."""

UNDEFINED_LENGTH = 0xFFFFFFFF
SHARED_GROUPS, FRAME_GROUPS, PIXEL_DATA = 0x52009229, 0x52009230, 0x7FE00010
_SPECIFIC = [
    *PATIENT_TAGS.values(), *ELSCINT_TEXTS.keys(), *ELSCINT_TEXTS.values(), SHARED_GROUPS, FRAME_GROUPS,
    0x00080008, 0x00080016, 0x00080018, 0x00080060, 0x0008103E, 0x00180050, 0x00185100, 0x0020000D, 0x0020000E, 0x00200011, 0x00200032,
    0x00200037, 0x00200052, 0x00200100, 0x00200105, 0x00204000, 0x00209128, 0x00209245, 0x00280002, 0x00280004, 0x00280008, 0x00280010,
    0x00280011, 0x00280030, 0x00280100, 0x00280101, 0x00280102, 0x00280103, 0x00280120, 0x00281052, 0x00281053, 0x00281054, 0x00209253,
]  # fmt: skip
_UNREADABLE = (
    InvalidDicomError, EOFError, OSError, ValueError, LookupError, AttributeError, TypeError, NameError, ArithmeticError, NotImplementedError,
    RecursionError, MemoryError, BytesLengthException, struct.error, zlib.error,
)  # fmt: skip
"""What pydicom raises on files that are broken in one way or another (NameError: its own slip where one ends early; MemoryError: a length of GiB)."""

_QUIET = threading.RLock()


@dataclass(frozen=True, slots=True, eq=False)
class PixelLayout:
    """How the pixels lie in a file: `offset` and `length` in bytes, length −1 where they are encapsulated (compressed)."""

    transfer_syntax: str
    rows: int
    columns: int
    frames: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    samples: int
    photometric: str
    padding: int | None
    offset: int
    length: int

    @property
    def is_native(self) -> bool:
        return self.transfer_syntax in NATIVE and self.length >= 0

    @property
    def frame_bytes(self) -> int:
        return self.rows * self.columns * self.samples * self.bits_allocated // 8


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DicomFile:
    """One DICOM file. `name` is its path within the folder that was asked for, the form in which messages call it."""

    path: Path
    name: str
    size: int
    sop_class_uid: str
    sop_uid: str
    modality: str
    study_uid: str
    series_uid: str
    frame_of_reference: str
    series_number: str
    series_description: str
    patient_position: str
    patient_raw: tuple[bytes, ...]
    pixels: PixelLayout | None

    def __repr__(self) -> str:
        return f"DicomFile({self.name!r}, {self.modality})"

    @property
    def patient_key(self) -> tuple[str, str]:
        """Patient ID and name as far as they tell patients apart: case, spaces and empty components of a name do not. Never to be shown."""
        ident, name = (latin(self.patient_raw[_PATIENT_KEYS[keyword]]).casefold() for keyword in ("PatientID", "PatientName"))
        return ident, " ".join(name.replace("^", " ").split())

    @property
    def patient(self) -> dict[str, str]:
        """The attributes of the patient and study modules that the file has, by keyword, as text."""
        with quiet():
            encodings = convert_encodings(latin(self.patient_raw[0]).split("\\"))
            texts = {keyword: decoded(raw, encodings) for keyword, raw in zip(PATIENT_TAGS, self.patient_raw, strict=True)}
        return {keyword: text for keyword, text in texts.items() if text}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Slice:
    """One slice: where it lies, how its numbers become Hounsfield units, and what it says of its phase.

    frame: its number from 1 in a multi-frame file, None in an ordinary one. What a file lacks or garbles is None.
    row, column: unit vectors as stored. spacing_mm: between columns, between rows (x y). texts: where a phase may be written, by source.
    """

    file: DicomFile
    frame: int | None
    position_mm: Triple | None
    row: Triple | None
    column: Triple | None
    spacing_mm: tuple[float, float] | None
    thickness_mm: float | None
    slope: float | None
    intercept: float | None
    rescale_type: str
    image_type: tuple[str, ...]
    texts: tuple[tuple[str, str], ...]
    nominal_percent: float | None
    temporal_index: int | None
    temporal_count: int | None

    @property
    def name(self) -> str:
        return self.file.name if self.frame is None else f"{self.file.name} frame {self.frame}"

    def __repr__(self) -> str:
        return f"Slice({self.name!r})"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that claims to be DICOM and cannot be read."""

    name: str
    reason: str


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom's remarks on odd files from the user, whose filters are left as they were.

    Warning filters belong to the whole process, and leaving them in another order than entering would keep ours for good: hence
    the lock. Threads that read for us are started and ended inside.
    """
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_header(path: Path, name: str) -> tuple[DicomFile, tuple[Slice, ...]] | Unreadable | None:
    """What a file says; `Unreadable` where it claims to be DICOM and is not; None where it is something else. To be called inside `quiet`."""
    try:
        with opened(path) as stream:
            claims = _claims_dicom(stream, path)
            return _read(stream, path, name) if claims else None
    except DicomError as error:
        return Unreadable(name, error.what)
    except _UNREADABLE as error:
        return Unreadable(name, str(error).splitlines()[0][:120] if isinstance(error, OSError) else "its header is broken or cut off")


def _claims_dicom(stream: BinaryIO, path: Path) -> bool:
    """Whether it is named or begins as DICOM does, with or without the preamble of a file."""
    start = stream.read(132)
    stream.seek(0)
    bare = len(start) > 8 and start[:2] in (b"\x08\x00", b"\x02\x00") and start[2] < 0x20 and start[3] == 0
    foreign = path.name.startswith("._")  # what a Mac leaves beside each file on other disks
    return start[128:132] == b"DICM" or bare or (path.suffix.lower() == ".dcm" and not foreign)


def _read(stream: BinaryIO, path: Path, name: str) -> tuple[DicomFile, tuple[Slice, ...]] | Unreadable | None:
    reached: list[tuple[str | None, int]] = []

    def stop(tag: int, vr: str | None, length: int) -> bool:
        group = tag >> 16  # a plain integer: pydicom's tags compare slowly
        if tag == PIXEL_DATA:
            reached.append((vr, length))
            return True
        return group > 0x7FE0 or 0x3002 <= group < 0x3010  # the latter is the body of an RT object, which is another's affair

    dataset = read_partial(stream, stop_when=stop, force=True, specific_tags=list(_SPECIFIC))
    if str(dataset.file_meta.get("MediaStorageSOPClassUID", "")) == MediaStorageDirectoryStorage:
        return None
    if cut_short(dataset) is not None:  # else a swallowed Modality would make an image something else, to be passed over in silence
        return Unreadable(name, "its header is broken or cut off")
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", "")) or _assumed_syntax(dataset)
    pixels = _layout(dataset, syntax, stream.tell(), *reached[-1]) if reached else None
    file = _file(dataset, path, name, pixels)
    if not file.sop_class_uid and not file.modality:
        return Unreadable(name, "it says neither what it is (SOPClassUID) nor its modality")
    if file.modality not in ("CT", "") or file.sop_class_uid not in (*CT_CLASSES, ""):
        return file, ()
    if not reached:
        return Unreadable(name, "it ends before its pixels")
    return file, tuple(_frames(dataset, file)) if FRAME_GROUPS in dataset else (_single(dataset, file),)


def cut_short(dataset: Dataset) -> RawDataElement | None:
    """The element whose value is shorter than it promises: the file ends there."""
    for element in list(dataset._dict.values()):  # noqa: SLF001 - raw elements tell the promised length; reading them would hide it
        if isinstance(element, RawDataElement) and element.value is not None and element.length not in (UNDEFINED_LENGTH, len(element.value)):
            return element
    return None


def _assumed_syntax(dataset: Dataset) -> str:
    implicit, _ = dataset.original_encoding
    return str(ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian)


def _file(dataset: Dataset, path: Path, name: str, pixels: PixelLayout | None) -> DicomFile:
    patient_raw = tuple(raw_bytes(dataset, tag) for tag in PATIENT_TAGS.values())
    encodings = convert_encodings(latin(patient_raw[0]).split("\\"))
    return DicomFile(
        path=path,
        name=name,
        size=path.stat().st_size,
        sop_class_uid=text_of(dataset, 0x00080016),
        sop_uid=text_of(dataset, 0x00080018),
        modality=text_of(dataset, 0x00080060),
        study_uid=text_of(dataset, 0x0020000D),
        series_uid=text_of(dataset, 0x0020000E),
        frame_of_reference=text_of(dataset, 0x00200052),
        series_number=text_of(dataset, 0x00200011),
        series_description=decoded(raw_bytes(dataset, 0x0008103E), encodings),
        patient_position=text_of(dataset, 0x00185100),
        patient_raw=patient_raw,
        pixels=pixels,
    )


def _layout(dataset: Dataset, syntax: str, at: int, vr: str | None, length: int) -> PixelLayout:
    """The pixel element begins at byte `at`: 8 bytes of tag and length before its value, 12 where the VR is written too."""
    signed = integer_of(dataset, 0x00280103) == 1
    bits = integer_of(dataset, 0x00280100)
    little = syntax != ExplicitVRBigEndian
    padding = raw_bytes(dataset, 0x00280120)
    return PixelLayout(
        transfer_syntax=syntax,
        rows=integer_of(dataset, 0x00280010),
        columns=integer_of(dataset, 0x00280011),
        frames=max(1, int(number_of(text_of(dataset, 0x00280008)) or 1)),
        bits_allocated=bits,
        bits_stored=integer_of(dataset, 0x00280101) or bits,
        high_bit=integer_of(dataset, 0x00280102) or bits - 1,
        is_signed=signed,
        samples=integer_of(dataset, 0x00280002) or 1,
        photometric=text_of(dataset, 0x00280004),
        padding=int.from_bytes(padding, "little" if little else "big", signed=signed) if padding else None,
        offset=at + (8 if vr is None else 12),
        length=-1 if length == UNDEFINED_LENGTH else length,
    )


def _single(dataset: Dataset, file: DicomFile) -> Slice:
    return _slice(file, None, [dataset], _texts(dataset, file), _image_type(dataset, 0x00080008))


def _frames(dataset: Dataset, file: DicomFile) -> Iterator[Slice]:
    """The frames of an enhanced multi-frame CT: what a frame does not say itself, the shared group or the file says for all."""
    shared = items(dataset, SHARED_GROUPS)
    common = _texts(dataset, file)
    for number, group in enumerate(items(dataset, FRAME_GROUPS), start=1):
        places = [item for item in (group, *shared) if item is not None]
        inside = [item for place in places for tag in _MACROS for item in items(place, tag)]
        texts = list(common)
        for item in inside:
            texts += [(source, text) for source, tag in _FRAME_TEXTS if (text := text_of(item, tag))]
        kinds = [kind for item in inside if (kind := _image_type(item, 0x00089007))]
        yield _slice(file, number, [*inside, dataset], tuple(texts), kinds[0] if kinds else _image_type(dataset, 0x00080008))


_MACROS = (0x00209113, 0x00209116, 0x00289110, 0x00289145, 0x00209111, 0x00209253, 0x00189329, 0x00209171, 0x00209170)
"""Functional groups: plane position, orientation, pixel measures, value transformation, frame content, respiration, frame type, unassigned."""
_FRAME_TEXTS = (("FrameComments", 0x00209158), ("ImageComments", 0x00204000), ("SeriesDescription", 0x0008103E))


def _slice(file: DicomFile, frame: int | None, places: Sequence[Dataset], texts: tuple[tuple[str, str], ...], image_type: tuple[str, ...]) -> Slice:
    """A slice from the first of `places` that holds each attribute."""
    position, axes, spacing = (numbers_of(first_text(places, tag), n) for tag, n in ((0x00200032, 3), (0x00200037, 6), (0x00280030, 2)))
    slope, intercept = (number_of(first_text(places, tag)) for tag in (0x00281053, 0x00281052))
    temporal = number_of(first_text(places, 0x00209128)) or number_of(first_text(places, 0x00200100))
    count = number_of(first_text(places, 0x00200105))
    respiration = [item for place in places for item in items(place, 0x00209253)]
    return Slice(
        file=file,
        frame=frame,
        position_mm=(position[0], position[1], position[2]) if position else None,
        row=(axes[0], axes[1], axes[2]) if axes else None,
        column=(axes[3], axes[4], axes[5]) if axes else None,
        spacing_mm=(spacing[1], spacing[0]) if spacing else None,
        thickness_mm=number_of(first_text(places, 0x00180050)),
        slope=slope,
        intercept=intercept,
        rescale_type=first_text(places, 0x00281054).upper(),
        image_type=image_type,
        texts=texts,
        nominal_percent=first_float([*respiration, *places], 0x00209245),
        temporal_index=None if temporal is None else int(temporal),
        temporal_count=None if count is None else int(count),
    )


def _texts(dataset: Dataset, file: DicomFile) -> tuple[tuple[str, str], ...]:
    """Where a phase may be written, and what is written there."""
    found = [("SeriesDescription", file.series_description), ("ImageComments", text_of(dataset, 0x00204000))]
    for tag, creator in ELSCINT_TEXTS.items():
        if text_of(dataset, creator) == "ELSCINT1":
            found.append((f"private ({tag >> 16:04x},{tag & 0xFFFF:04x})", text_of(dataset, tag)))
    return tuple((source, text) for source, text in found if text)


def _image_type(dataset: Dataset, tag: int) -> tuple[str, ...]:
    return tuple(part.strip().upper() for part in text_of(dataset, tag).split("\\") if part.strip())
