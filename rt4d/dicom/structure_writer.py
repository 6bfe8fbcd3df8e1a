"""Masks written as an RT Structure Set (DICOM PS3.3 A.19) that planning systems accept: whole or not at all, exact when read back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import config
from pydicom.charset import default_encoding, python_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.uid import UID, ImplicitVRLittleEndian, generate_uid
from pydicom.valuerep import validate_value

from rt4d import __version__
from rt4d import geometry as grids
from rt4d.dicom.contours import contours
from rt4d.dicom.structure_file import RT_STRUCTURE_SET
from rt4d.errors import ContourError, DicomError, InputError, OutputError
from rt4d.geometry import Floats
from rt4d.phases import CtImage
from rt4d.rois import Roi

DECIMALS = 4
"""Of a millimetre in contour coordinates: no contour comes nearer than a third of a voxel to a voxel centre, so none is won or lost."""
STUDY_REFERENCE = "1.2.840.10008.3.1.2.3.1"
"""Detached Study Management: retired, and still what a reference to a study carries (PS3.3 C.8.8.5.4)."""

INTERPRETED_TYPES = (
    *("EXTERNAL", "PTV", "CTV", "GTV", "TREATED_VOLUME", "IRRAD_VOLUME", "OAR", "BOLUS", "AVOIDANCE", "ORGAN", "MARKER", "REGISTRATION"),
    *("ISOCENTER", "CONTRAST_AGENT", "CAVITY", "BRACHY_CHANNEL", "BRACHY_ACCESSORY", "BRACHY_SRC_APP", "BRACHY_CHNL_SHLD", "SUPPORT"),
    *("FIXATION", "DOSE_REGION", "CONTROL", "DOSE_MEASUREMENT", "DEVICE"),
)
"""The defined terms of RT ROI Interpreted Type (PS3.3 C.8.8.8.1)."""
THERAPEUTIC_ROLES = {
    "GTV": ("228791009", "SCT", "GTV"),
    "CTV": ("228792002", "SCT", "CTV"),
    "ITV": ("130056", "DCM", "ITV"),
    "PTV": ("228793007", "SCT", "PTV"),
}
"""CID 9534 Radiotherapy Targets. No interpreted type is for an ITV: it goes as CTV, on which ICRU 62 builds the ITV, and its code says ITV."""

_PATIENT = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientIdentityRemoved", "DeidentificationMethod")
_STUDY = ("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID", "StudyDescription")
_REQUIRED = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", *_STUDY[:-1])
_CONTOUR_DATA = Tag("ContourData")


def write_rtstruct(path: str | Path, *, on: CtImage, rois: Sequence[Roi], label: str = "rt4d") -> Path:
    """A structure set of the masks, drawn on the slices of `on`; reading it back gives exactly these masks. Returns its path.

    The masks lie on the grid of `on` (GeometryError otherwise). Refused: no ROI, two of one name, an empty mask, an unknown kind, a
    label over 16 characters, a CT without a frame of reference. What was at `path` is replaced, and only once the new file is whole
    (OutputError where it cannot be).
    """
    path = Path(path)
    _check(on, rois, label)
    dataset = _dataset(on, rois, label)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        dataset.save_as(part, enforce_file_format=True)
        part.replace(path)
    except OSError as error:
        raise OutputError("The structure set could not be written", where=path, found=error.strerror or type(error).__name__) from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _check(on: CtImage, rois: Sequence[Roi], label: str) -> None:
    if not rois:
        raise ContourError("A structure set needs at least one ROI")
    if not 1 <= len(label) <= 16 or "\\" in label:
        raise InputError("A structure set's label has 1 to 16 characters and no backslash", found=repr(label))
    if not on.geometry.frame_of_reference:
        what = "A CT without a frame of reference cannot carry a structure set"
        raise DicomError(what, where=on.identity.series_uid, expected="FrameOfReferenceUID")
    if len(on.identity.sop_instance_uids) != on.geometry.size[2]:
        raise DicomError("A CT must name one image for each slice", expected=on.geometry.size[2], found=len(on.identity.sop_instance_uids))
    names = [roi.name for roi in rois]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise ContourError("Two ROIs of one structure set have the same name", found=", ".join(doubled))
    for roi in rois:
        what = f"ROI {roi.name} lies on another grid than the CT"
        grids.require(on.geometry, roi.mask.geometry, what=what, do="Resample it onto the CT's grid first")
        if roi.mask.is_empty:
            raise ContourError(f"ROI {roi.name} is empty, so that there is nothing to contour")
        if roi.kind and roi.kind not in (*INTERPRETED_TYPES, *THERAPEUTIC_ROLES):
            raise ContourError(f"ROI {roi.name} is of an unknown kind", expected=f"ITV or one of {', '.join(INTERPRETED_TYPES)}", found=roi.kind)


def _dataset(on: CtImage, rois: Sequence[Roi], label: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(RT_STRUCTURE_SET)
    meta.MediaStorageSOPInstanceUID = generate_uid(prefix=None)
    meta.TransferSyntaxUID = ImplicitVRLittleEndian  # the explicit ones cannot hold a contour of more than 64 KiB
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    _patient_and_study(dataset, on, rois, label)
    _series_and_equipment(dataset, label)
    dataset.FrameOfReferenceUID = on.geometry.frame_of_reference
    dataset.PositionReferenceIndicator = on.identity.patient.get("PositionReferenceIndicator", "")
    dataset.ReferencedFrameOfReferenceSequence = Items([_referenced_frame(on)])
    numbered = list(enumerate(rois, start=1))
    dataset.StructureSetROISequence = Items([_roi(number, roi, on) for number, roi in numbered])
    dataset.ROIContourSequence = Items([_roi_contour(number, roi, on) for number, roi in numbered])
    dataset.RTROIObservationsSequence = Items([_observation(number, roi) for number, roi in numbered])
    dataset.ApprovalStatus = "UNAPPROVED"
    return dataset


def _patient_and_study(dataset: Dataset, on: CtImage, rois: Sequence[Roi], label: str) -> None:
    patient = on.identity.patient
    written = "".join([*patient.values(), label, *(roi.name + roi.description for roi in rois)])
    dataset.SpecificCharacterSet = _character_set(patient.get("SpecificCharacterSet", ""), written)
    for keyword in dict.fromkeys([*_PATIENT, *_STUDY]):
        value = patient.get(keyword, "")
        value = value if _is_valid(keyword, value) else ""
        if value or keyword in _REQUIRED:
            setattr(dataset, keyword, value)
    dataset.StudyInstanceUID = on.identity.study_uid


def _is_valid(keyword: str, value: str) -> bool:
    """Whether a value of the source may stand in our file; asked here, since pydicom would write a bad one into the log."""
    try:
        validate_value(dictionary_VR(keyword), value, config.RAISE)
    except ValueError:
        return False
    return True


def _series_and_equipment(dataset: Dataset, label: str) -> None:
    now = datetime.now()  # noqa: DTZ005 - DICOM dates and times are local
    date, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    dataset.SOPClassUID = RT_STRUCTURE_SET
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = date, time
    dataset.Modality = "RTSTRUCT"
    dataset.SeriesInstanceUID = generate_uid(prefix=None)
    dataset.SeriesNumber, dataset.InstanceNumber = "1", "1"
    dataset.SeriesDate, dataset.SeriesTime = date, time
    dataset.SeriesDescription = label
    dataset.OperatorsName = ""
    dataset.Manufacturer = dataset.ManufacturerModelName = "rt4d"
    dataset.SoftwareVersions = __version__
    dataset.StructureSetLabel = label
    dataset.StructureSetDate, dataset.StructureSetTime = date, time


def _character_set(source: str, written: str) -> str:
    """The source's character set where it can hold all that is written, else UTF-8; plain text needs no more than Latin-1."""
    if written.isascii():
        return source if source in python_encoding and source else "ISO_IR 100"
    try:
        written.encode(python_encoding.get(source, "ascii"))
    except UnicodeEncodeError:
        return "ISO_IR 192"
    return source or "ISO_IR 192"


def _referenced_frame(on: CtImage) -> Dataset:
    """frame of reference → study → series → every slice."""
    series = _item(SeriesInstanceUID=on.identity.series_uid, ContourImageSequence=Items([_image(on, z) for z in range(on.geometry.size[2])]))
    study = _item(ReferencedSOPClassUID=STUDY_REFERENCE, ReferencedSOPInstanceUID=on.identity.study_uid, RTReferencedSeriesSequence=Items([series]))
    return _item(FrameOfReferenceUID=on.geometry.frame_of_reference, RTReferencedStudySequence=Items([study]))


def _image(on: CtImage, z: int) -> Dataset:
    image = _item(ReferencedSOPClassUID=on.identity.sop_class_uid, ReferencedSOPInstanceUID=on.identity.sop_instance_uids[z])
    if on.identity.frame_numbers is not None:
        image.ReferencedFrameNumber = on.identity.frame_numbers[z]
    return image


def _roi(number: int, roi: Roi, on: CtImage) -> Dataset:
    item = _item(
        ROINumber=number,
        ReferencedFrameOfReferenceUID=on.geometry.frame_of_reference,
        ROIName=roi.name,
        ROIGenerationAlgorithm="AUTOMATIC",
    )
    if roi.description:
        item.ROIDescription = roi.description[:1024]
    return item


def _roi_contour(number: int, roi: Roi, on: CtImage) -> Dataset:
    numbers = count(1)
    drawn = []
    for z in np.flatnonzero(roi.mask.inside.any(axis=(1, 2))).tolist():
        polygons = contours(roi.mask.inside[z])
        corners = np.concatenate(polygons)
        points = on.geometry.to_patient(np.column_stack([corners, np.full(len(corners), float(z))]))
        ends = np.cumsum([len(polygon) for polygon in polygons])[:-1]
        drawn += [_contour(points_mm, _image(on, z), next(numbers)) for points_mm in np.split(points, ends)]
    return _item(ReferencedROINumber=number, ROIDisplayColor=list(roi.colour), ContourSequence=Items(drawn))


def _contour(points_mm: Floats, image: Dataset, number: int) -> Dataset:
    contour = _item(
        ContourNumber=number, ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=len(points_mm), ContourImageSequence=Items([image])
    )
    value = decimal_text(points_mm).encode("ascii")
    value += b" " * (len(value) % 2)
    contour.set_original_encoding(is_implicit_vr=True, is_little_endian=True, character_encoding=default_encoding)
    contour[_CONTOUR_DATA] = RawDataElement(_CONTOUR_DATA, "DS", len(value), value, 0, True, True)  # written as it is: no number is parsed again
    return contour


def decimal_text(numbers: Floats) -> str:
    """Numbers as DICOM decimal strings (DS) of at most 16 characters each, rounded to DECIMALS, joined by backslashes."""
    rounded = np.round(numbers, DECIMALS).ravel() + 0.0  # + 0.0: no '-0.0'
    if np.abs(rounded).max(initial=0) >= 1e9:
        raise InputError("A coordinate is too large to be written", expected="less than 10⁹ mm", found=f"{np.abs(rounded).max():.3g} mm")
    return "\\".join([f"{number:.{DECIMALS}f}".rstrip("0").rstrip(".") for number in rounded.tolist()])


def _observation(number: int, roi: Roi) -> Dataset:
    kind = "CTV" if roi.kind == "ITV" else roi.kind
    item = _item(ObservationNumber=number, ReferencedROINumber=number, RTROIInterpretedType=kind, ROIInterpreter="")
    if role := THERAPEUTIC_ROLES.get(roi.kind):
        item.TherapeuticRoleCategoryCodeSequence = Items([_code("130041", "DCM", "RT Target")])
        item.TherapeuticRoleTypeCodeSequence = Items([_code(*role)])
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _item(**attributes: Any) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item
