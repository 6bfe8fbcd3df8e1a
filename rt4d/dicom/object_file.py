"""A DICOM object that is no image series: opened, refused where it is broken or another's, derived from a CT, saved whole or not at all."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pydicom
from pydicom import config
from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.sequence import Sequence as Items
from pydicom.uid import generate_uid
from pydicom.valuerep import validate_value

from rt4d import __version__
from rt4d.dicom.headers import quiet
from rt4d.dicom.inflating import opened
from rt4d.errors import ContourError, DicomError, NotFoundError, OutputError, Rt4dError
from rt4d.phases import CtImage, SeriesIdentity

UNREADABLE = (
    *(InvalidDicomError, BytesLengthException, EOFError, OSError, ValueError, LookupError, AttributeError, TypeError, NameError, ArithmeticError),
    *(NotImplementedError, RecursionError, RuntimeError, MemoryError, struct.error, zlib.error),
)
"""What pydicom and its decoders raise on files that are broken in one way or another."""

_PATIENT = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientIdentityRemoved", "DeidentificationMethod")
_STUDY = ("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID", "StudyDescription")
_REQUIRED = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", *_STUDY[:-1])


@contextmanager
def refusing(what: str, where: str) -> Iterator[None]:
    """Whatever a broken file makes pydicom raise in the block becomes a DicomError; rt4d's own errors pass."""
    with quiet():
        try:
            yield
        except Rt4dError:
            raise
        except UNREADABLE as error:
            raise DicomError(f"{what} cannot be read", where=where, found=_reason(error), do="Copy or export it again") from error


def _reason(error: BaseException) -> str:
    """Why a file cannot be read, in words of our own: pydicom's may quote what stands in it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "more than memory holds" if isinstance(error, MemoryError) else "damage, or its end is missing"


def open_object(path: Path, sop_classes: Sequence[str], *, what: str) -> Dataset:
    """The dataset of a file of one of these SOP classes; refused where it is not there, cannot be read, or is something else."""
    if not path.is_file():
        raise NotFoundError("No such file", where=path, expected=what)
    with refusing(what, path.name):
        with opened(path) as stream:
            dataset: Dataset = pydicom.dcmread(stream, force=True)
        modality, sop_class = text(dataset, "Modality"), text(dataset, "SOPClassUID")
    if sop_class not in sop_classes:
        found = f"Modality {modality or 'unknown'}, SOP class {sop_class or 'unknown'}"
        raise DicomError(f"{what} is needed", where=path.name, expected=f"SOP class {' or '.join(sop_classes)}", found=found)
    return dataset


def text(dataset: Dataset, keyword: str) -> str:
    """An attribute as text, '' where it is absent, empty or cannot be read."""
    try:
        value = dataset.get(keyword)
    except UNREADABLE:
        return ""
    return "" if value is None else str(value).strip().strip("\0")


def require_patient(dataset: Dataset, on: CtImage, *, what: str, where: str) -> None:
    """Refuse the object of another patient: by PatientID where both have one, else by name. Neither is ever said."""
    require_same_patient({keyword: text(dataset, keyword) for keyword in ("PatientID", "PatientName")}, on, what=what, where=where)


def require_same_patient(patient: Mapping[str, str], on: CtImage, *, what: str, where: str) -> None:
    """Refuse another patient, known by DICOM keyword, as `require_patient` does."""
    for keyword in ("PatientID", "PatientName"):
        here, imaged = _identifier(patient.get(keyword, "")), _identifier(on.identity.patient.get(keyword, ""))
        if here and imaged and here != imaged:
            expected, found = f"the {keyword} of CT series {on.identity.series_uid}", f"another {keyword} in {where}"
            do = "Give the one that belongs to this CT"
            raise ContourError(f"{what} and the CT are of different patients", where=where, expected=expected, found=found, do=do)
        if here and imaged:
            return


def set_patient_and_study(dataset: Dataset, identity: SeriesIdentity, *, written: str) -> None:
    """Give a dataset the patient and study of a CT, and a character set that holds these and `written`; malformed values are left empty."""
    patient = identity.patient
    dataset.SpecificCharacterSet = _character_set(patient.get("SpecificCharacterSet", ""), "".join([*patient.values(), written]))
    for keyword in (*_PATIENT, *_STUDY):
        value = patient.get(keyword, "")
        value = value if _is_valid(keyword, value) else ""
        if value or keyword in _REQUIRED:
            setattr(dataset, keyword, value)
    dataset.StudyInstanceUID = identity.study_uid


def position_reference(identity: SeriesIdentity) -> str:
    """The CT's PositionReferenceIndicator, '' where it is malformed."""
    value = identity.patient.get("PositionReferenceIndicator", "")
    return value if _is_valid("PositionReferenceIndicator", value) else ""


def set_series_and_equipment(dataset: Dataset, *, modality: str, description: str) -> None:
    """Give a dataset a series of its own, made by this version of rt4d, now."""
    now = datetime.now()  # noqa: DTZ005 - DICOM dates and times are local
    date, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    dataset.InstanceCreationDate = dataset.SeriesDate = dataset.ContentDate = date
    dataset.InstanceCreationTime = dataset.SeriesTime = dataset.ContentTime = time
    dataset.Modality = modality
    dataset.SeriesInstanceUID = generate_uid(prefix=None)
    dataset.SeriesNumber, dataset.InstanceNumber = "1", "1"
    dataset.SeriesDescription = description
    dataset.Manufacturer = dataset.ManufacturerModelName = "rt4d"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "0", __version__


def referenced_series(identity: SeriesIdentity) -> Dataset:
    """A series with every one of its files, as the Common Instance Reference module names it (PS3.3 C.12.2)."""
    uids = dict.fromkeys(identity.sop_instance_uids)
    images = [item(ReferencedSOPClassUID=identity.sop_class_uid, ReferencedSOPInstanceUID=uid) for uid in uids]
    return item(SeriesInstanceUID=identity.series_uid, ReferencedInstanceSequence=Items(images))


def save_whole(dataset: Dataset, path: Path, *, what: str) -> Path:
    """The path of the saved dataset, which replaces what was there only once it is whole."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        dataset.save_as(part, enforce_file_format=True)
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{what} could not be written", where=path, found=error.strerror or type(error).__name__) from error
    finally:
        part.unlink(missing_ok=True)
    return path


def code(value: str, scheme: str, meaning: str) -> Dataset:
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def item(**attributes: Any) -> Dataset:
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def _is_valid(keyword: str, value: str) -> bool:
    """Whether a value of the source may stand in our file; asked here, since pydicom would write a bad one into the log."""
    try:
        validate_value(dictionary_VR(keyword), value, config.RAISE)
    except ValueError:
        return False
    return True


def _character_set(source: str, written: str) -> str:
    """The source's character set where it can hold all that is written, else UTF-8; plain text needs no more than Latin-1."""
    if written.isascii():
        return source if source in python_encoding and source else "ISO_IR 100"
    try:
        written.encode(python_encoding.get(source, "ascii"))
    except UnicodeEncodeError:
        return "ISO_IR 192"
    return source or "ISO_IR 192"


def _identifier(written: str) -> str:
    return " ".join(written.replace("^", " ").split()).casefold()
