"""ROIs added to a structure set that is already there, without touching its others.

Every element of the source is written as the bytes that were read; only what follows is new: the items of the added ROIs at the end of
their sequences; the references to the CT where the source lacks them; the UIDs of the object and of its series; dates; approval, which was
not given to what was added; the source as predecessor; rt4d as contributing equipment. The manufacturer stays, as the ROIs there are its own.
So does the encoding; a new contour that it could only hold as bytes of unknown kind (VR UN) is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydicom.charset import python_encoding
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ImplicitVRLittleEndian, generate_uid

from rt4d import __version__
from rt4d.dicom.object_file import code, item, refusing, require_patient, text
from rt4d.dicom.structure_file import RT_STRUCTURE_SET, items, listed_images, open_rtstruct, summarise_rtstruct
from rt4d.dicom.structure_items import referenced_frame, referenced_series, referenced_study, roi_items
from rt4d.errors import ContourError
from rt4d.phases import CtImage
from rt4d.rois import Roi

_SEQUENCES = ("StructureSetROISequence", "ROIContourSequence", "RTROIObservationsSequence")
_NUMBERS = ("ROINumber", "ReferencedROINumber", "ReferencedROINumber")
_OF_THE_OLD_WHOLE = ("ReviewDate", "ReviewTime", "ReviewerName", "DigitalSignaturesSequence", "MACParametersSequence")
"""Who approved and signed the structure set did so without the ROIs that are added."""
LONGEST_EXPLICIT = 0xFFFF
"""Bytes of a contour's points (DS) where the encoding writes out value representations: its lengths have 16 bits (PS3.5 7.1.2)."""


@dataclass(frozen=True, slots=True, repr=False)
class Existing:
    """A structure set to add to. dataset: as it was read, no value looked at; names: of its ROIs; last_*: the highest numbers in use."""

    dataset: FileDataset
    where: str
    names: tuple[str, ...]
    last_roi: int
    last_observation: int
    has_images: bool
    characters: str


def open_to_add(path: str | Path, *, on: CtImage) -> Existing:
    """A structure set to which ROIs drawn on this CT can be added; refused where it is another patient's or on another frame of reference."""
    path = Path(path)
    read = open_rtstruct(path)  # looked at here; what is written is read anew, since pydicom rewrites a value once it was looked at
    with refusing("The structure set", path.name):
        summary = summarise_rtstruct(read)
        require_patient(read, on, what="The structure set", where=path.name)
        if on.geometry.frame_of_reference not in summary.frames_of_reference:
            raise ContourError(
                "The structure set lies in another frame of reference than the CT",
                where=path.name,
                expected=on.geometry.frame_of_reference,
                found=", ".join(summary.frames_of_reference) or "none named",
                do="Write the ROIs into a structure set of their own",
            )
        fresh = open_rtstruct(path)
        assert isinstance(fresh, FileDataset)
        return Existing(
            dataset=fresh,
            where=path.name,
            names=summary.names,
            last_roi=max((_last(read, *each) for each in zip(_SEQUENCES, _NUMBERS, strict=True)), default=0),
            last_observation=_last(read, "RTROIObservationsSequence", "ObservationNumber"),
            has_images=set(on.identity.sop_instance_uids) <= {uid for images in listed_images(read).values() for uid, _ in images},
            characters=text(read, "SpecificCharacterSet"),
        )


def added_to(existing: Existing, rois: Sequence[Roi], *, on: CtImage, smooth: bool) -> FileDataset:
    """The dataset of `existing` with the ROIs added, as a new object. Raises ContourError where a name is already there or a contour too long."""
    _require_new_names(existing, rois)
    dataset = existing.dataset
    _become_a_new_object(dataset)
    if not existing.has_images:
        _reference(dataset, on)
    for n, roi in enumerate(rois, start=1):
        made = roi_items(roi, on, number=existing.last_roi + n, observation=existing.last_observation + n, smooth=smooth)
        _require_short_contours(existing, roi, made[1])
        _set_characters(made[0], roi, existing.characters)
        for keyword, new in zip(_SEQUENCES, made, strict=True):
            _append(dataset, keyword, new)
    return dataset


def _require_new_names(existing: Existing, rois: Sequence[Roi]) -> None:
    there = {name.strip().casefold() for name in existing.names}
    if clashes := [roi.name for roi in rois if roi.name.strip().casefold() in there]:
        raise ContourError(
            "An ROI of that name is already in the structure set",
            where=existing.where,
            expected="names other than " + ", ".join(existing.names),
            found=", ".join(clashes),
            do="Give the new ROI another name (dataclasses.replace(roi, name=…)); what is there is never replaced",
        )


def _require_short_contours(existing: Existing, roi: Roi, drawn: Dataset) -> None:
    if existing.dataset.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian:
        return
    longest = max(len(contour.get_item("ContourData").value) for contour in drawn.ContourSequence)
    if longest > LONGEST_EXPLICIT:
        raise ContourError(
            f"ROI {roi.name} has a contour that is too long for the encoding of the structure set (explicit VR)",
            where=existing.where,
            expected=f"at most {LONGEST_EXPLICIT} bytes",
            found=f"{longest} bytes",
            do="Write it into a structure set of its own, or convert the one that is there to Implicit VR Little Endian first",
        )


def _become_a_new_object(dataset: FileDataset) -> None:
    predecessor = item(ReferencedSOPClassUID=RT_STRUCTURE_SET, ReferencedSOPInstanceUID=text(dataset, "SOPInstanceUID"))
    if predecessor.ReferencedSOPInstanceUID:
        dataset.PredecessorStructureSetSequence = Items([predecessor])
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = generate_uid(prefix=None), generate_uid(prefix=None)
    _set_file_meta(dataset)
    now = datetime.now()  # noqa: DTZ005 - DICOM dates and times are local
    date, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    dataset.InstanceCreationDate = dataset.StructureSetDate = date
    dataset.InstanceCreationTime = dataset.StructureSetTime = time
    dataset.ApprovalStatus = "UNAPPROVED"
    for keyword in _OF_THE_OLD_WHOLE:
        if keyword in dataset:
            del dataset[keyword]
    purpose = Items([code("109102", "DCM", "Processing Equipment")])
    by_us = item(PurposeOfReferenceCodeSequence=purpose, Manufacturer="rt4d", ManufacturerModelName="rt4d", SoftwareVersions=__version__)
    by_us.ContributionDateTime, by_us.ContributionDescription = date + time, "ROIs added"
    _append(dataset, "ContributingEquipmentSequence", by_us)


def _set_file_meta(dataset: FileDataset) -> None:
    """What the file says of itself; its encoding stays, so that what is there can stay as it is."""
    meta = dataset.file_meta
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(RT_STRUCTURE_SET), dataset.SOPInstanceUID
    if "TransferSyntaxUID" not in meta:
        implicit, little = dataset.original_encoding
        meta.TransferSyntaxUID = UID("1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2")
    for keyword in ("ImplementationClassUID", "ImplementationVersionName", "SourceApplicationEntityTitle"):
        if keyword in meta:
            del meta[keyword]
    dataset.preamble = dataset.preamble or b"\0" * 128


def _reference(dataset: Dataset, on: CtImage) -> None:
    """Name the CT among the references, at the deepest level that is already there."""
    frame = _find(dataset, "ReferencedFrameOfReferenceSequence", "FrameOfReferenceUID", on.geometry.frame_of_reference)
    study = _find(frame, "RTReferencedStudySequence", "ReferencedSOPInstanceUID", on.identity.study_uid)
    series = _find(study, "RTReferencedSeriesSequence", "SeriesInstanceUID", on.identity.series_uid)
    if frame is None:
        _append(dataset, "ReferencedFrameOfReferenceSequence", referenced_frame(on))
    elif study is None:
        _append(frame, "RTReferencedStudySequence", referenced_study(on))
    elif series is None:
        _append(study, "RTReferencedSeriesSequence", referenced_series(on))
    else:
        there = {text(image, "ReferencedSOPInstanceUID") for image in items(series, "ContourImageSequence")}
        for image in referenced_series(on).ContourImageSequence:
            if image.ReferencedSOPInstanceUID not in there:
                _append(series, "ContourImageSequence", image)


def _find(dataset: Dataset | None, sequence: str, keyword: str, value: str) -> Dataset | None:
    found = (each for each in (items(dataset, sequence) if dataset is not None else []) if text(each, keyword) == value)
    return next(found, None)


def _append(dataset: Dataset, keyword: str, new: Dataset) -> None:
    if items(dataset, keyword):
        dataset[keyword].value.append(new)
    else:
        setattr(dataset, keyword, Items([new]))


def _last(dataset: Dataset, sequence: str, keyword: str) -> int:
    """The highest number that is in use, 0 where there is none."""
    written = (text(each, keyword) for each in items(dataset, sequence))
    return max((int(float(number)) for number in written if number), default=0)


def _set_characters(listed: Dataset, roi: Roi, characters: str) -> None:
    """An item whose text the structure set's character set cannot hold names its own (PS3.5 6.1.2.2)."""
    try:
        (roi.name + roi.description).encode(python_encoding.get(characters, "ascii") if characters else "ascii")
    except UnicodeEncodeError:
        listed.SpecificCharacterSet = "ISO_IR 192"
