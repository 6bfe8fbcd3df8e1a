"""What a structure set says about itself, without any CT: its ROIs, the frames of reference and the images that it names.

Reads DICOM RT Structure Set Storage (PS3.3 A.19, C.8.8.5, C.8.8.6, C.8.8.8) as archives leave it: parts may be missing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from rt4d.dicom.headers import cut_short
from rt4d.dicom.inflating import opened
from rt4d.dicom.object_file import refusing, text
from rt4d.errors import ContourError, DicomError, NotFoundError
from rt4d.geometry import Floats

RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
"""Contours that bound an area. The standard wants the holes of the former drawn as keyholes (PS3.3 C.8.8.6.3); planning systems write them as
contours of their own all the same, so both are filled even-odd."""

Image = tuple[str, int]
"""SOPInstanceUID, and the number of a frame from 1; 0 where none is said."""

_CONTOUR_DATA = Tag("ContourData")


@dataclass(frozen=True, slots=True)
class RoiSummary:
    """One ROI of a structure set: kind is its RT ROI Interpreted Type ('GTV', 'ORGAN' …), '' where none is given.

    contour_count: closed planar contours. other_contours: how many there are of each other geometric type ('POINT').
    """

    number: int
    name: str
    kind: str = ""
    contour_count: int = 0
    other_contours: tuple[tuple[str, int], ...] = ()
    frame_of_reference: str = ""


@dataclass(frozen=True, slots=True)
class StructureSetSummary:
    """A structure set in brief. written_by: manufacturer and model. notes: what is odd about it. It holds nothing of the patient.

    referenced_*: what it was drawn on; where it lists several series, those of them whose images its contours name. referenced_frames: of enhanced
    multi-frame images (SOPInstanceUID, frame number from 1), empty where it names no frames.
    """

    label: str
    rois: tuple[RoiSummary, ...]
    frames_of_reference: tuple[str, ...] = ()
    referenced_series_uids: tuple[str, ...] = ()
    referenced_sop_uids: tuple[str, ...] = ()
    referenced_frames: tuple[Image, ...] = ()
    sop_instance_uid: str = ""
    series_uid: str = ""
    study_uid: str = ""
    written_by: str = ""
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(roi.name for roi in self.rois)


def summarise_rtstruct(source: str | Path | Dataset) -> StructureSetSummary:
    """A structure set's label, ROIs and references, from its file or dataset; no CT is needed.

    Raises NotFoundError where there is no such file, DicomError where it is no DICOM file, cut short, or not a structure set.
    """
    dataset = source if isinstance(source, Dataset) else open_rtstruct(source)
    where = "" if isinstance(source, Dataset) else Path(source).name
    with refusing("The structure set", where):
        require_rtstruct(dataset, where=where)
        return _summary(dataset)


def open_rtstruct(path: str | Path) -> Dataset:
    """The dataset of a structure set's file, refused where it cannot be read whole or is something else."""
    path = Path(path)
    if not path.is_file():
        raise NotFoundError("No structure set is here", where=path, do="Give the path of an RTSTRUCT file")
    with refusing("The structure set", path.name):
        with opened(path) as stream:
            dataset: Dataset = pydicom.dcmread(stream, force=True)
        require_rtstruct(dataset, where=path.name)
    return dataset


def require_rtstruct(dataset: Dataset, *, where: str = "") -> None:
    """Refuse a dataset that is not a structure set, or that ends before its time."""
    modality, sop_class = text(dataset, "Modality"), text(dataset, "SOPClassUID")
    if not modality and not sop_class:
        raise DicomError("Not a DICOM file", where=where, expected="an RT Structure Set", do="Give the path of an RTSTRUCT file")
    if (modality or "RTSTRUCT") != "RTSTRUCT" or (sop_class or RT_STRUCTURE_SET) != RT_STRUCTURE_SET:
        found = f"Modality {modality or 'unknown'}, SOP class {sop_class or 'unknown'}"
        raise DicomError("Not a structure set", where=where, expected="Modality RTSTRUCT", found=found)
    if (cut := cut_short(dataset)) is not None:
        raise DicomError("A structure set is cut short", where=where, found=f"it ends inside element {cut.tag}", do="Copy or export it again")
    if "StructureSetROISequence" not in dataset:
        do = "It may be cut short: export it again"
        raise DicomError("A structure set without a list of ROIs", where=where, expected="StructureSetROISequence", do=do)


def contours_of(dataset: Dataset) -> dict[int, list[Dataset]]:
    """The contour items of each ROI by its number, in the order of the file."""
    found: dict[int, list[Dataset]] = {}
    for roi in items(dataset, "ROIContourSequence"):
        number = _number(roi, "ReferencedROINumber")
        if number is not None:
            found.setdefault(number, []).extend(items(roi, "ContourSequence"))
    return found


def geometric_type(contour: Dataset) -> str:
    return text(contour, "ContourGeometricType") or "of no type"


def points_of(contour: Dataset) -> Floats:
    """A contour's points in patient coordinates, shape (n, 3). Raises ContourError where its numbers are not triples of finite ones."""
    element = contour.get_item(_CONTOUR_DATA)
    value = element.value if element is not None else None
    if value is None:
        return np.empty((0, 3))
    parts = value.strip(b"\0 \\").split(b"\\") if isinstance(value, bytes) else [value] if isinstance(value, str | float) else list(value)
    try:
        numbers = np.array([float(part) for part in parts if part not in (b"", "")])
    except (ValueError, TypeError) as error:
        raise ContourError("A contour's coordinates are not numbers") from error
    if len(parts) % 3 or len(numbers) not in (0, len(parts)) or not np.all(np.isfinite(numbers)) or np.any(np.abs(numbers) > 1e6):
        raise ContourError("A contour's coordinates are not triples of finite numbers", found=f"{len(parts)} values")
    return numbers.reshape(-1, 3)


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; none where it is absent, empty or not a sequence."""
    value = dataset.get(keyword)
    return [item for item in value if isinstance(item, Dataset)] if isinstance(value, Iterable) and not isinstance(value, str | bytes) else []


def _summary(dataset: Dataset) -> StructureSetSummary:
    frames, series, images = _references(dataset)
    rois, notes = _rois(dataset, frames)
    named = dict.fromkeys(roi.frame_of_reference for roi in rois if roi.frame_of_reference)
    return StructureSetSummary(
        label=text(dataset, "StructureSetLabel"),
        rois=rois,
        frames_of_reference=tuple(dict.fromkeys([*named, *frames])),
        referenced_series_uids=tuple(series),
        referenced_sop_uids=tuple(dict.fromkeys(uid for uid, _ in images)),
        referenced_frames=tuple((uid, number) for uid, number in images if number),
        sop_instance_uid=text(dataset, "SOPInstanceUID"),
        series_uid=text(dataset, "SeriesInstanceUID"),
        study_uid=text(dataset, "StudyInstanceUID"),
        written_by=" ".join(filter(None, (text(dataset, "Manufacturer"), text(dataset, "ManufacturerModelName")))),
        notes=notes,
    )


def _rois(dataset: Dataset, frames: list[str]) -> tuple[tuple[RoiSummary, ...], tuple[str, ...]]:
    """The ROIs in the order of the file, and what is odd about them."""
    contours = contours_of(dataset)
    kinds = {_number(item, "ReferencedROINumber"): text(item, "RTROIInterpretedType") for item in items(dataset, "RTROIObservationsSequence")}
    rois, notes = [], []
    for item in items(dataset, "StructureSetROISequence"):
        number = _number(item, "ROINumber")
        if number is None:
            notes.append("An ROI without a number is left out")
            continue
        types = Counter(geometric_type(contour) for contour in contours.get(number, []))
        closed = sum(types.pop(kind, 0) for kind in CLOSED)
        frame = text(item, "ReferencedFrameOfReferenceUID") or (frames[0] if len(frames) == 1 else "")
        name = text(item, "ROIName")
        if not name:
            name = f"ROI {number}"
            notes.append(f"ROI number {number} has no name and is called {name!r} here")
        rois.append(RoiSummary(number, name, kinds.get(number, ""), closed, tuple(sorted(types.items())), frame))
    listed = {roi.number for roi in rois}
    notes += [f"Contours of ROI number {number}, which the structure set does not list, are left out" for number in contours if number not in listed]
    return tuple(rois), tuple(notes)


def listed_images(dataset: Dataset) -> dict[str, list[Image]]:
    """The images of each series in the list of what the structure set was drawn on (Referenced Frame of Reference Sequence)."""
    listed: dict[str, list[Image]] = {}
    for frame in items(dataset, "ReferencedFrameOfReferenceSequence"):
        for study in items(frame, "RTReferencedStudySequence"):
            for one in items(study, "RTReferencedSeriesSequence"):
                listed.setdefault(text(one, "SeriesInstanceUID"), []).extend(_images(one))
    return listed


def _references(dataset: Dataset) -> tuple[list[str], list[str], list[Image]]:
    """The frames of reference, series and images that a structure set says it was drawn on, each once.

    Some systems list series that were only open beside: of several those count whose images the contours themselves name.
    """
    frames = dict.fromkeys(text(frame, "FrameOfReferenceUID") for frame in items(dataset, "ReferencedFrameOfReferenceSequence"))
    if not frames:
        frames[text(dataset, "FrameOfReferenceUID")] = None
    listed = listed_images(dataset)
    images = [image for one in listed.values() for image in one]
    if not images:
        images = [(uid, number) for uid, numbers in _of_contours(dataset).items() for number in numbers]
    elif len(listed) > 1 or len(images) == 1:  # only then, for there may be thousands of contours
        by_contours = _of_contours(dataset)
        named = {series: found for series, one in listed.items() if (found := _named(one, by_contours))}
        listed, images = (named, [image for one in named.values() for image in one]) if named else (listed, images)
    return [uid for uid in frames if uid], [uid for uid in listed if uid], list(dict.fromkeys(image for image in images if image[0]))


def _of_contours(dataset: Dataset) -> dict[str, dict[int, None]]:
    """The images that contours name, and of each the frames in the order of the file."""
    found: dict[str, dict[int, None]] = {}
    for roi in items(dataset, "ROIContourSequence"):
        for contour in items(roi, "ContourSequence"):
            for uid, number in _images(contour):
                found.setdefault(uid, {})[number] = None
    return found


def _named(listed: Iterable[Image], by_contours: Mapping[str, Iterable[int]]) -> list[Image]:
    """Those of the listed images that contours name; where the list means a whole image, the frames of it that they name."""
    found: list[Image] = []
    for uid, number in listed:
        numbers = sorted(by_contours.get(uid, ()))
        found += [(uid, each) for each in numbers] if not number else [(uid, number)] if {0, number} & {*numbers} else []
    return found


def _images(item: Dataset) -> Iterator[Image]:
    for image in items(item, "ContourImageSequence"):
        uid, numbers = text(image, "ReferencedSOPInstanceUID"), re.findall(r"\d+", text(image, "ReferencedFrameNumber"))
        yield from ((uid, int(number)) for number in numbers or ["0"])


def _number(item: Dataset, keyword: str) -> int | None:
    written = text(item, keyword)
    try:
        return int(float(written)) if written else None
    except (ValueError, OverflowError):
        return None
